#include "worker/core/link_state.h"

#include <stdio.h>
#include <string.h>

enum { RETRY_MS = 1000 };

/* ---- keeping ---- */

/* Hashes and names for the wire; the body holds the result, then the artifacts, one behind the other. */
static void describe(link_held *h, const mr_slot_done *done) {
    size_t at = done->size;
    const uint8_t *bytes = h->body.data;
    h->result.hash = mr_hash_of((mr_span){bytes, done->size});
    for (uint32_t i = 0; i < done->artifact_count; i++) {
        const mr_slot_artifact *a = &done->artifacts[i];
        memcpy(h->names[i][0], a->name, sizeof a->name);
        memcpy(h->names[i][1], a->media_type, sizeof a->media_type);
        h->artifacts[i] = (mr_wire_artifact_item){.name = mr_span_of(h->names[i][0]),
                                                  .media_type = mr_span_of(h->names[i][1]),
                                                  .size = a->size,
                                                  .hash = mr_hash_of((mr_span){bytes + at, a->size})};
        at += a->size;
    }
    h->result.artifacts = h->artifacts;
    h->result.artifact_count = done->artifact_count;
}

static void append(mr_link *l, link_held *h) {
    link_held **at = &l->held;
    while (*at) at = &(*at)->next;
    *at = h;
    l->held_count++;
    l->held_bytes += h->body.cap;
}

void mr_link_hold(mr_link *l, uint64_t now_ms, link_item *item, const mr_slot_done *done, mr_buf *body) {
    const mr_wire_work_item *w = &item->work;
    link_held *h = mr_new(l->config.mem, 1, sizeof *h);
    if (!h) { /* then the attempt goes back, and the broker makes another */
        mr_link_give_back(l, &w->attempt, 1);
        mr_link_item_remove(l, item);
        if (body) mr_buf_free(body);
        return;
    }
    mr_buf_init(&h->body, l->config.mem, 0);
    if (body) {
        h->body = *body;
        mr_buf_init(body, l->config.mem, body->max);
    }
    snprintf(h->text, sizeof h->text, "%s", done->text);
    h->result =
        (mr_wire_result_item){.attempt = w->attempt,
                              .run = w->run,
                              .step = w->step,
                              .level = w->level,
                              .index = w->index,
                              .status = (uint16_t)done->status,
                              .partial = !w->last,
                              .compute_us = done->compute_us,
                              .peak_kb = done->peak_bytes / 1024,
                              .size = done->size,
                              .text = mr_codec_text_cut(mr_span_of(h->text), MR_MAX_RESULT_ITEM_TEXT)};
    describe(h, done);
    h->send_at_ms = now_ms;
    append(l, h);
    l->totals.finished++;
    mr_link_item_remove(l, item);
}

void mr_link_answer(mr_link *l, uint64_t now_ms, link_item *item, mr_status status, const char *text) {
    mr_slot_done done = {.attempt = item->work.attempt, .status = status};
    snprintf(done.text, sizeof done.text, "%s", text);
    mr_link_hold(l, now_ms, item, &done, NULL);
}

bool mr_link_holds(const mr_link *l, uint64_t attempt) {
    for (const link_held *h = l->held; h; h = h->next)
        if (h->result.attempt == attempt) return true;
    return false;
}

static void drop(mr_link *l, link_held **at) {
    link_held *h = *at;
    *at = h->next;
    l->held_count--;
    l->held_bytes -= h->body.cap;
    mr_buf_free(&h->body);
    mr_free(l->config.mem, h, 1, sizeof *h);
}

void mr_link_forget_held(mr_link *l) {
    while (l->held) drop(l, &l->held);
}

/* ---- sending ---- */

/* One result a message, which keeps each body under the wire's maximum. False when the queue is full. */
static bool send_one(mr_link *l, uint64_t now_ms, link_held *h) {
    mr_wire m = {.type = MR_MSG_RESULT, .as.result = {.items = &h->result, .item_count = 1}};
    mr_status status = mr_link_send(l, &m, mr_buf_span(&h->body));
    if (status == MR_E_FULL) return false;
    h->send_at_ms = now_ms + l->config.resend_ms;
    return true;
}

void mr_link_send_due(mr_link *l, uint64_t now_ms) {
    for (link_held *h = l->held; h; h = h->next)
        if (now_ms >= h->send_at_ms && !send_one(l, now_ms, h)) return;
}

void mr_link_all_due(mr_link *l) {
    for (link_held *h = l->held; h; h = h->next) h->send_at_ms = 0;
}

/* ---- acknowledgements ---- */

static void acknowledge(mr_link *l, uint64_t now_ms, const mr_wire_ack_item *ack) {
    enum { COMMITTED, STALE, REFUSED, RETRY };
    link_held **at = &l->held;
    while (*at && (*at)->result.attempt != ack->attempt) at = &(*at)->next;
    if (!*at) return; /* acknowledged before */
    if (ack->verdict >= RETRY) {
        (*at)->send_at_ms = now_ms + RETRY_MS / 2 + mr_rng_below(&l->rng, RETRY_MS);
        return;
    }
    if (ack->verdict == REFUSED)
        MR_LOG(l->config.log, MR_LOG_WARN, "link", "result_refused", MR_LOG_INT("attempt", ack->attempt));
    l->totals.acknowledged++;
    drop(l, at);
}

void mr_link_on_ack(mr_link *l, uint64_t now_ms, const mr_wire_ack *ack) {
    for (uint32_t i = 0; i < ack->item_count; i++) acknowledge(l, now_ms, &ack->items[i]);
}
