#include "worker/core/link_state.h"

#include <stdio.h>
#include <string.h>
#include <utlist.h>

enum { RETRY_MS = 1000 };

/* ---- keeping ---- */

/* The sentence, and hashes and names of the artifacts, which lie in the body behind the result. False without memory. */
static bool describe(mr_link *l, link_held *h, const mr_slot_done *done) {
    if (!done->artifact_count && !done->text[0]) return true;
    link_more *more = h->more = mr_new(l->config.mem, 1, sizeof *more);
    if (!more) return false;
    size_t at = done->size;
    snprintf(more->text, sizeof more->text, "%s", done->text);
    h->result.text = mr_codec_text_cut(mr_span_of(more->text), MR_MAX_RESULT_ITEM_TEXT);
    snprintf(more->log, sizeof more->log, "%s", done->log);
    h->result.log = mr_codec_text_cut(mr_span_of(more->log), MR_MAX_RESULT_ITEM_LOG);
    for (uint32_t i = 0; i < done->artifact_count; i++) {
        const mr_slot_artifact *a = &done->artifacts[i];
        memcpy(more->names[i][0], a->name, sizeof a->name);
        memcpy(more->names[i][1], a->media_type, sizeof a->media_type);
        more->artifacts[i] = (mr_wire_artifact_item){.name = mr_span_of(more->names[i][0]),
                                                     .media_type = mr_span_of(more->names[i][1]),
                                                     .size = a->size,
                                                     .hash = mr_hash_of((mr_span){h->body.data + at, a->size})};
        at += a->size;
    }
    h->result.artifacts = more->artifacts;
    h->result.artifact_count = done->artifact_count;
    return true;
}

/* False without memory, or when another broker's attempt has the number. */
static bool append(mr_link *l, link_held *h) {
    if (mr_link_holds(l, h->result.attempt) || mr_map_reserve(&l->held_of, l->config.mem, 1) != MR_OK) return false;
    mr_map_put(&l->held_of, h->result.attempt, h);
    if (h->result.attempt > l->newest) l->newest = h->result.attempt;
    DL_APPEND(l->fresh, h);
    l->held_count++;
    l->held_bytes += h->body.cap;
    return true;
}

static link_held *new_held(mr_link *l) {
    link_held *h = l->spare_held;
    if (!h) return mr_new(l->config.mem, 1, sizeof *h);
    l->spare_held = h->next;
    l->spares--;
    *h = (link_held){.body = h->body};
    mr_buf_clear(&h->body);
    return h;
}

/* To be used again with the memory of a small body. */
static void free_held(mr_link *l, link_held *h) {
    bool spare = l->spares < LINK_SPARES_MAX;
    mr_free(l->config.mem, h->more, 1, sizeof *h->more);
    if (!spare || h->body.cap > LINK_SPARE_BYTES) mr_buf_free(&h->body);
    if (!spare) {
        mr_free(l->config.mem, h, 1, sizeof *h);
        return;
    }
    h->next = l->spare_held;
    l->spare_held = h;
    l->spares++;
}

void mr_link_free_spares(mr_link *l) {
    for (link_item *i; (i = l->spare_items);) {
        l->spare_items = i->next;
        mr_free(l->config.mem, i, 1, sizeof *i);
    }
    for (link_held *h; (h = l->spare_held);) {
        l->spare_held = h->next;
        mr_buf_free(&h->body);
        mr_free(l->config.mem, h, 1, sizeof *h);
    }
}

/* The bytes go over, and what was the memory of an earlier result comes back for the next. */
static void take_body(link_held *h, mr_buf *body) {
    mr_buf spare = h->body;
    h->body = *body;
    if (!spare.data) mr_buf_init(&spare, body->mem, body->max);
    *body = spare;
}

static link_held *held_of(mr_link *l, const mr_wire_work_item *w, const mr_slot_done *done, mr_buf *body) {
    link_held *h = new_held(l);
    if (!h) return NULL;
    if (body) take_body(h, body);
    h->result = (mr_wire_result_item){.attempt = w->attempt,
                                      .run = w->run,
                                      .step = w->step,
                                      .level = w->level,
                                      .index = w->index,
                                      .status = (uint16_t)done->status,
                                      .partial = !w->last,
                                      .compute_us = done->compute_us,
                                      .peak_kb = done->peak_bytes / 1024,
                                      .size = done->size};
    if (describe(l, h, done)) return h;
    free_held(l, h);
    return NULL;
}

void mr_link_hold(mr_link *l, link_item *item, const mr_slot_done *done, mr_buf *body) {
    link_held *h = held_of(l, &item->work, done, body);
    if (!h || !append(l, h)) { /* then the attempt goes back, and the broker makes another */
        if (h) free_held(l, h);
        mr_link_give_back(l, &item->work.attempt, 1);
        mr_link_item_remove(l, item);
        return;
    }
    l->totals.finished++;
    mr_link_item_remove(l, item);
}

void mr_link_answer(mr_link *l, link_item *item, mr_status status, const char *text) {
    mr_slot_done done = {.attempt = item->work.attempt, .status = status};
    snprintf(done.text, sizeof done.text, "%s", text);
    mr_link_hold(l, item, &done, NULL);
}

/* Acknowledgements mostly come in the order of sending. */
static link_held *held_find(const mr_link *l, uint64_t attempt) {
    if (l->held && l->held->result.attempt == attempt) return l->held;
    return mr_map_get(&l->held_of, attempt);
}

bool mr_link_holds(const mr_link *l, uint64_t attempt) { return held_find(l, attempt) != NULL; }

static void drop(mr_link *l, link_held *h) {
    mr_map_remove(&l->held_of, h->result.attempt);
    if (h->sent) DL_DELETE(l->held, h);
    else DL_DELETE(l->fresh, h);
    l->held_count--;
    l->held_bytes -= h->body.cap;
    free_held(l, h);
}

void mr_link_forget_held(mr_link *l) {
    while (l->fresh) drop(l, l->fresh);
    while (l->held) drop(l, l->held);
}

/* ---- sending: what is due goes in few messages, and what follows one another as one item ---- */

static mr_span bytes_of(const link_held *h) { return (mr_span){h->body.data, h->result.size}; }

static const mr_hash *name_of(link_held *h) {
    if (!h->named) h->result.hash = mr_hash_of(bytes_of(h));
    h->named = true;
    return &h->result.hash;
}

/* By what the broker sees whether the outcomes from held[at] on came as they were sent. */
static void seal_item(const mr_link *l, link_out *out, mr_wire_result_item *item, uint32_t at) {
    uint32_t count = item->count > 1 ? item->count : 1;
    for (uint32_t i = at; i < at + count; i++) {
        if (count == 1) item->hash = *name_of(out->held[i]);
        else if (l->sums) out->sums[i] = mr_xxh64(bytes_of(out->held[i]), 0);
        else memcpy(out->hashes[i], name_of(out->held[i])->bytes, MR_HASH_BYTES);
    }
    if (count > 1 && l->sums) {
        item->sums = &out->sums[at];
        item->sum_count = count;
    } else if (count > 1) {
        item->hashes = (mr_span){out->hashes[at], (size_t)count * MR_HASH_BYTES};
    }
}

static void seal(const mr_link *l, link_out *out) {
    for (uint32_t i = 0, at = 0; i < out->items; i++) {
        seal_item(l, out, &out->item[i], at);
        at += out->item[i].count > 1 ? out->item[i].count : 1;
    }
}

static void begin_message(link_out *out) {
    out->items = out->results = 0;
    out->bytes = 0;
}

/* False when the queue is full; then it is all still due. A single result goes without a copy. */
static bool flush(mr_link *l, uint64_t now_ms) {
    link_out *out = l->out;
    if (!out->results) return true;
    mr_span body = mr_buf_span(&out->held[0]->body);
    if (out->results > 1) {
        mr_buf_clear(&out->body);
        for (uint32_t i = 0; i < out->results; i++) mr_buf_put(&out->body, out->held[i]->body.data, out->held[i]->body.len);
        body = mr_buf_span(&out->body);
        if (mr_buf_status(&out->body) != MR_OK) return false; /* when there is memory again */
    }
    seal(l, out);
    mr_wire m = {.type = MR_MSG_RESULT, .as.result = {.items = out->item, .item_count = out->items}};
    if (mr_link_send(l, &m, body) == MR_E_FULL) return false;
    for (uint32_t i = 0; i < out->results; i++) {
        link_held *h = out->held[i];
        h->send_at_ms = now_ms + l->config.resend_ms;
        if (h->sent) continue;
        DL_DELETE(l->fresh, h);
        DL_APPEND(l->held, h);
        h->sent = true;
        if (h->send_at_ms < l->due_ms) l->due_ms = h->send_at_ms;
    }
    begin_message(out);
    return true;
}

static bool is_plain(const mr_wire_result_item *r) { return r->status == MR_OK && !r->artifact_count && !r->text.len; }

/* True when it follows the last item's outcomes, and goes with them as a span. */
static bool joins(const mr_link *l, link_out *out, const link_held *h) {
    mr_wire_result_item *last = out->items ? &out->item[out->items - 1] : NULL;
    const mr_wire_result_item *r = &h->result;
    uint32_t count = last && last->count > 1 ? last->count : 1;
    if (!last || count >= l->span || !is_plain(last) || !is_plain(r) || last->run != r->run || last->step != r->step ||
        last->level != r->level || last->partial != r->partial || last->index + count != r->index ||
        last->attempt + count != r->attempt)
        return false;
    last->count = last->size_count = last->time_count = count + 1;
    last->size += r->size;
    if (r->peak_kb > last->peak_kb) last->peak_kb = r->peak_kb;
    return true;
}

static bool has_room(const mr_link *l, const link_out *out, const link_held *h) {
    if (!out->results) return true;
    return l->span && out->results < LINK_OUT_MAX && out->bytes + h->body.len <= LINK_OUT_BYTES;
}

static void add(const mr_link *l, link_held *h) {
    link_out *out = l->out;
    uint32_t at = out->results++;
    out->held[at] = h;
    out->sizes[at] = h->result.size;
    out->times[at] = h->result.compute_us;
    out->bytes += h->body.len;
    if (joins(l, out, h)) return;
    mr_wire_result_item *item = &out->item[out->items++];
    *item = h->result;
    item->sizes = &out->sizes[at];
    item->times = &out->times[at];
}

/* What was sent and not acknowledged for too long. */
static bool send_again(mr_link *l, uint64_t now_ms) {
    link_held *h;
    if (now_ms < l->due_ms) return true;
    DL_FOREACH(l->held, h) {
        if (now_ms < h->send_at_ms) continue;
        if (!has_room(l, l->out, h) && !flush(l, now_ms)) return false;
        add(l, h);
    }
    if (!flush(l, now_ms)) return false;
    l->due_ms = UINT64_MAX;
    DL_FOREACH(l->held, h) if (h->send_at_ms < l->due_ms) l->due_ms = h->send_at_ms;
    return true;
}

/* Behind quick work that runs more results are about to come, which then go in the same message: the compute process tells of
 * them within two milliseconds. */
static bool more_will_come(mr_link *l, uint64_t now_ms) {
    enum { MANY = 8, QUICK_US = 100, WAIT_MS = 2 };
    if (!l->fresh_ms) l->fresh_ms = now_ms;
    return l->running >= MANY && l->pace_us < QUICK_US && now_ms - l->fresh_ms < WAIT_MS;
}

void mr_link_send_due(mr_link *l, uint64_t now_ms) {
    link_held *h, *next;
    begin_message(l->out);
    if (!send_again(l, now_ms)) return;
    if (!l->fresh || more_will_come(l, now_ms)) return;
    l->fresh_ms = 0;
    DL_FOREACH_SAFE(l->fresh, h, next) {
        if (!has_room(l, l->out, h) && !flush(l, now_ms)) return;
        add(l, h);
    }
    (void)!flush(l, now_ms);
}

void mr_link_all_due(mr_link *l) {
    link_held *h;
    DL_FOREACH(l->held, h) h->sent = false;
    DL_CONCAT(l->held, l->fresh);
    l->fresh = l->held;
    l->held = NULL;
    l->due_ms = UINT64_MAX;
}

/* ---- acknowledgements ---- */

static void acknowledge(mr_link *l, uint64_t now_ms, link_held *h, uint8_t verdict) {
    enum { COMMITTED, STALE, REFUSED, RETRY };
    if (verdict >= RETRY) {
        h->send_at_ms = now_ms + RETRY_MS / 2 + mr_rng_below(&l->rng, RETRY_MS);
        if (h->send_at_ms < l->due_ms) l->due_ms = h->send_at_ms;
        return;
    }
    if (verdict == REFUSED)
        MR_LOG(l->config.log, MR_LOG_WARN, "link", "result_refused", MR_LOG_INT("attempt", h->result.attempt));
    l->totals.acknowledged++;
    drop(l, h);
}

/* One that was acknowledged before is passed over; of no more than are held. */
void mr_link_on_ack(mr_link *l, uint64_t now_ms, const mr_wire_ack *ack) {
    enum { AT_ONCE = 4096 };
    for (uint32_t i = 0; i < ack->item_count; i++) {
        const mr_wire_ack_item *a = &ack->items[i];
        uint32_t count = a->count > 1 ? a->count : 1;
        for (uint32_t k = 0; k < count && k < AT_ONCE && l->held_count; k++) {
            link_held *h = held_find(l, a->attempt + k);
            if (h) acknowledge(l, now_ms, h, a->verdict);
        }
    }
}

/* ---- another broker ---- */

/* One that is to be sent. Without memory it stays where it was; without memory for that either it is given up, as if this
 * worker had ended. */
static bool move(mr_link *from, mr_link *to, link_held *h) {
    mr_map_remove(&from->held_of, h->result.attempt);
    DL_DELETE(from->fresh, h);
    from->held_count--;
    from->held_bytes -= h->body.cap;
    if (append(to, h)) return true;
    if (!append(from, h)) free_held(from, h);
    return false;
}

void mr_link_hand_on(mr_link *from, mr_link *to, uint64_t now_ms) {
    if (!from->held_count || from->session == SESSION_OPEN || now_ms - from->away_ms < from->lost_after_ms) return;
    if (to == from || to->session != SESSION_OPEN) return;
    MR_LOG(to->config.log, MR_LOG_INFO, "link", "results_handed_on", MR_LOG_INT("results", from->held_count));
    mr_link_all_due(from);
    while (from->fresh)
        if (!move(from, to, from->fresh)) return;
}
