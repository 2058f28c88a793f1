/* act_work.c: attempts that go to workers, as few messages, and the acknowledgements of results. */
#include "broker/io/act.h"

#include <string.h>

/* The inline inputs, one behind the other; those that lie so already go without a copy. Empty without memory. */
static mr_net_body joined(mr_out_work *out) {
    mr_net_body body = {0};
    mr_buf buf;
    if (out->pieces == 1) return out->piece[0];
    mr_buf_init(&buf, NULL, MR_WIRE_BODY_MAX);
    uint8_t *to = mr_buf_extend(&buf, out->size);
    for (uint32_t i = 0; i < out->pieces; i++) {
        if (to) memcpy(to, out->piece[i].data, out->piece[i].len);
        if (to) to += out->piece[i].len;
        mr_net_body_free(&out->piece[i]);
    }
    if (mr_buf_status(&buf) != MR_OK || mr_net_body_of_buf(&buf, &body) != MR_OK) mr_buf_free(&buf);
    return body;
}

void mr_broker_flush_work(mr_broker *b) {
    mr_out_work *out = &b->out_work;
    if (!out->items) return;
    mr_peer *peer = mr_peer_numbered(&b->peers, out->peer);
    mr_wire m = {.type = MR_MSG_WORK};
    m.as.work = (mr_wire_work){.items = out->item, .item_count = out->items};
    mr_net_body body = out->size ? joined(out) : (mr_net_body){0};
    bool lacks = out->size && !body.data;
    out->items = out->batches = out->pieces = 0;
    out->size = 0;
    if (peer && lacks) mr_broker_peer_gone(b, peer, "there is no memory for its work");
    else if (peer) mr_broker_send(b, peer, &m, body.data ? &body : NULL);
    else mr_net_body_free(&body);
    b->work_messages++;
}

/* True when the batch follows the last item's and goes with it as a span. */
static bool goes_with_last(mr_out_work *out, const mr_action *a, size_t size) {
    mr_wire_work_item *last = out->items ? &out->item[out->items - 1] : NULL;
    uint32_t count = last && last->count > 1 ? last->count : 1;
    if (!last || !last->inlined || a->key.level || last->level || count >= out->span || last->run != a->key.run ||
        last->step != a->key.step || last->index + count != a->key.index || last->attempt + count != a->attempt)
        return false;
    last->count = last->size_count = count + 1;
    last->size += size;
    return true;
}

static void begin_work(mr_broker *b, uint32_t to) {
    mr_out_work *out = &b->out_work;
    const mr_peer *peer = mr_peer_numbered(&b->peers, to);
    out->peer = to;
    out->span = peer ? peer->span : 0;
}

/* A large input may be fetched as long as the attempt is out. */
static void may_be_fetched(mr_broker *b, mr_input *input, uint64_t attempt) {
    if (input->attempt) HASH_DELETE(hh, b->inputs, input);
    input->attempt = attempt;
    HASH_ADD(hh, b->inputs, attempt, sizeof input->attempt, input);
    if (!input->hh.tbl) input->attempt = 0; /* no memory: a fetch will not find it, and the attempt is made again */
}

void mr_broker_send_work(mr_broker *b, const mr_action *a) {
    mr_out_work *out = &b->out_work;
    mr_input *input = (mr_input *)(uintptr_t)a->handle;
    size_t size = mr_bytes_span(input->bytes).len;
    bool inlined = size <= (size_t)b->settings.inline_max;
    if (out->items && (out->peer != a->peer || out->batches == MR_OUT_BATCHES ||
                       (inlined && out->size + size > MR_WIRE_BODY_MAX / 2)))
        mr_broker_flush_work(b);
    if (!out->items) begin_work(b, a->peer);
    if (!inlined || !out->span) may_be_fetched(b, input, a->attempt);
    uint32_t at = out->batches++;
    out->sizes[at] = size;
    if (inlined && size) out->pieces = mr_bytes_append(input->bytes, out->piece, out->pieces);
    if (inlined) out->size += size;
    if (inlined && goes_with_last(out, a, size)) return;
    mr_hash hash = input->bytes->hash;
    if (inlined && !out->span) hash = mr_hash_of(mr_bytes_span(input->bytes)); /* an older worker looks at it */
    out->item[out->items++] = (mr_wire_work_item){
        .attempt = a->attempt, .run = a->key.run, .step = (uint16_t)a->key.step, .level = (uint8_t)a->key.level,
        .index = a->key.index, .last = a->last, .deadline_ms = a->deadline_ms, .inlined = inlined, .size = size,
        .hash = hash, .sizes = &out->sizes[at]};
}

void mr_broker_send_step(mr_broker *b, const mr_action *a) {
    mr_broker_flush_work(b); /* the peer may be gone after it */
    mr_peer *peer = mr_peer_numbered(&b->peers, a->peer);
    mr_live_run *run = mr_broker_run(b, a->key.run);
    if (!peer || !run) return;
    const mr_run_info *info = run->info;
    mr_wire m = {.type = MR_MSG_STEP};
    m.as.step = (mr_wire_step){.run = info->run, .step = (uint16_t)a->key.step,
                               .component = mr_span_of(info->plan[a->key.step].component),
                               .version = info->plan[a->key.step].version, .seed = info->seed,
                               .options = info->options[a->key.step]};
    mr_broker_send(b, peer, &m, NULL);
}

/* Those of one peer from `first` on, in their order; what was sent has no peer any more. */
static void send_acks(mr_broker *b, mr_out_acks *out, uint32_t first) {
    mr_wire_ack_item items[MR_OUT_ACKS];
    uint32_t number = out->peer[first], n = 0;
    for (uint32_t i = first; i < out->count; i++) {
        if (out->peer[i] != number) continue;
        items[n++] = out->item[i];
        out->peer[i] = 0;
    }
    mr_peer *peer = mr_peer_numbered(&b->peers, number);
    mr_wire m = {.type = MR_MSG_ACK};
    m.as.ack = (mr_wire_ack){.items = items, .item_count = n};
    if (peer) mr_broker_send(b, peer, &m, NULL);
}

void mr_broker_flush_acks(mr_broker *b) {
    mr_out_acks *out = &b->out_acks;
    for (uint32_t i = 0; i < out->count; i++)
        if (out->peer[i]) send_acks(b, out, i);
    out->count = 0;
}

static bool acked_with_last(mr_out_acks *out, uint64_t attempt, mr_verdict verdict) {
    mr_wire_ack_item *last = &out->item[out->count - 1];
    uint32_t count = last->count > 1 ? last->count : 1;
    if (!out->span || count == MR_OUT_ACKS || last->verdict != verdict || last->attempt + count != attempt) return false;
    last->count = count + 1;
    return true;
}

void mr_broker_ack(mr_broker *b, uint32_t to, uint64_t attempt, mr_verdict verdict) {
    mr_out_acks *out = &b->out_acks;
    if (out->count == MR_OUT_ACKS) mr_broker_flush_acks(b);
    bool same = out->count && out->peer[out->count - 1] == to;
    if (same && acked_with_last(out, attempt, verdict)) return;
    const mr_peer *peer = same ? NULL : mr_peer_numbered(&b->peers, to);
    if (!same) out->span = peer ? peer->span : 0;
    out->peer[out->count] = to;
    out->item[out->count++] = (mr_wire_ack_item){.attempt = attempt, .verdict = (uint8_t)verdict};
}

void mr_broker_cancel_attempt(mr_broker *b, const mr_action *a) {
    mr_broker_flush_work(b); /* a cancel must not overtake its work, and the peer may be gone after it */
    mr_peer *peer = mr_peer_numbered(&b->peers, a->peer);
    mr_wire m = {.type = MR_MSG_CANCEL};
    m.as.cancel = (mr_wire_cancel){.attempts = &a->attempt, .attempt_count = 1};
    if (peer) mr_broker_send(b, peer, &m, NULL);
}
