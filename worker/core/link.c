#include "worker/core/link_state.h"

#include <stdio.h>
#include <string.h>

enum { ENVELOPE_ARENA = 4 * 1024 * 1024, LOST_AFTER_MIN_MS = 200 };

mr_status mr_link_new(const mr_link_config *config, const mr_link_port *port, mr_link **out, mr_error *err) {
    mr_link *l = *out = mr_new(config->mem, 1, sizeof *l);
    if (!l) return mr_fail(err, MR_E_MEMORY, "no memory for the link to the broker");
    l->config = *config;
    l->port = *port;
    l->arena = mr_arena_new(config->mem, ENVELOPE_ARENA);
    l->out = mr_new(config->mem, 1, sizeof *l->out);
    l->pace_us = LINK_PACE_UNKNOWN_US;
    l->took_us = UINT64_MAX;
    mr_rng_seed(&l->rng, config->seed);
    if (l->out) mr_buf_init(&l->out->body, config->mem, 2 * LINK_OUT_BYTES);
    if (l->arena && l->out) return MR_OK;
    mr_link_free(out);
    return mr_fail(err, MR_E_MEMORY, "no memory for the link to the broker");
}

void mr_link_free(mr_link **link) {
    mr_link *l = *link;
    if (!l) return;
    mr_link_release(l, false, true);
    mr_link_forget_held(l);
    mr_link_forget_steps(l);
    mr_link_free_spares(l);
    mr_map_free(&l->item_of, l->config.mem);
    mr_map_free(&l->held_of, l->config.mem);
    mr_free(l->config.mem, l->steps, l->step_cap, sizeof *l->steps);
    mr_arena_free(&l->arena);
    if (l->out) mr_buf_free(&l->out->body);
    mr_free(l->config.mem, l->out, 1, sizeof *l->out);
    mr_free(l->config.mem, l, 1, sizeof *l);
    *link = NULL;
}

/* ---- sending ---- */

mr_status mr_link_send(mr_link *l, const mr_wire *message, mr_span body) {
    mr_buf envelope;
    mr_buf_init(&envelope, l->config.mem, MR_WIRE_ENVELOPE_MAX);
    mr_status status = mr_wire_encode(&envelope, message);
    if (status == MR_OK) status = l->port.send(l->port.self, mr_buf_span(&envelope), body);
    mr_buf_free(&envelope);
    if (status != MR_OK && status != MR_E_FULL)
        MR_LOG(l->config.log, MR_LOG_ERROR, "link", "send_failed",
               MR_LOG_TEXT("message", mr_msg_name((uint8_t)message->type)),
               MR_LOG_TEXT("status", mr_status_of((int)status)->name));
    return status;
}

static mr_wire_offer offer_of(const mr_component *c) {
    return (mr_wire_offer){.name = mr_span_of(c->name),
                           .version = c->version,
                           .kind = (uint8_t)c->kind,
                           .shape = (uint8_t)c->shape,
                           .tier = (uint8_t)c->tier,
                           .columns = c->columns,
                           .columns_wanted = c->columns_wanted,
                           .batch_rows = c->batch_rows,
                           .deadline_ms = c->deadline_ms,
                           .memory_mb = c->memory_mb};
}

static mr_status send_hello(mr_link *l) {
    mr_wire_offer offers[MR_MAX_HELLO_OFFERS];
    uint32_t n = 0;
    for (; l->config.table[n] && n < MR_MAX_HELLO_OFFERS; n++) offers[n] = offer_of(l->config.table[n]);
    mr_wire m = {.type = MR_MSG_HELLO,
                 .as.hello = {.role = 1,
                              .name = mr_codec_text_cut(mr_span_of(l->config.name), MR_MAX_HELLO_NAME),
                              .build = mr_span_of(MR_VERSION),
                              .slots = l->config.slots,
                              .offers = offers,
                              .offer_count = n,
                              .span = MR_MAX_WORK_ITEM_SIZES}};
    return mr_link_send(l, &m, l->config.catalogue);
}

/* With work in hand twice as often as promised, so that a late one is not taken for a loss; without, nothing would be lost. */
static void beat(mr_link *l, uint64_t now_ms) {
    uint32_t early = l->item_count || l->held_count ? l->heartbeat_ms / 2 : l->heartbeat_ms / 8;
    mr_wire m = {.type = MR_MSG_HEARTBEAT,
                 .as.heartbeat = {.busy = (uint16_t)(l->running < l->config.slots ? l->running : l->config.slots), .held = l->held_count}};
    if (now_ms < l->beat_at_ms || mr_link_send(l, &m, (mr_span){0}) != MR_OK) return;
    l->beat_at_ms = now_ms + l->heartbeat_ms - early;
}

void mr_link_progress(mr_link *l, uint64_t attempt, double done) {
    mr_wire m = {.type = MR_MSG_PROGRESS, .as.progress = {.attempt = attempt, .done = done}};
    /* A report that cannot be sent is not worth keeping. */
    if (l->session == SESSION_OPEN && mr_link_send(l, &m, (mr_span){0}) != MR_OK) return;
}

/* ---- the session ---- */

/* What has not started belongs to the session and is lost with it; what runs goes on, and results are kept.
 */
void mr_link_lose(mr_link *l, uint64_t now_ms, const char *why) {
    if (l->session == SESSION_CLOSED) return;
    uint64_t bound = l->config.backoff_ms;
    for (uint32_t i = 0; i < l->failures && bound < l->config.backoff_max_ms; i++) bound *= 2;
    if (bound > l->config.backoff_max_ms) bound = l->config.backoff_max_ms;
    l->retry_at_ms = now_ms + mr_rng_below(&l->rng, bound + 1);
    l->failures++;
    if (l->session == SESSION_OPEN) l->away_ms = now_ms;
    l->session = SESSION_CLOSED;
    l->granted = 0;
    mr_link_release(l, false, false);
    mr_link_forget_steps(l);
    MR_LOG(l->config.log, MR_LOG_WARN, "link", "session_lost", MR_LOG_TEXT("reason", why),
           MR_LOG_INT("held", l->held_count), MR_LOG_INT("retry_ms", l->retry_at_ms - now_ms));
}

static void open_session(mr_link *l, uint64_t now_ms) {
    l->port.reconnect(l->port.self);
    l->session = SESSION_HELLO;
    l->hello_until_ms = now_ms + l->config.hello_ms;
    if (send_hello(l) != MR_OK) mr_link_lose(l, now_ms, "the hello could not be sent");
}

static void on_welcome(mr_link *l, uint64_t now_ms, const mr_wire_welcome *w) {
    if (l->session != SESSION_HELLO) return;
    l->session = SESSION_OPEN;
    l->session_id = w->session;
    l->heartbeat_ms = w->heartbeat_ms ? w->heartbeat_ms : 1000;
    l->lost_after_ms = w->lost_after_ms > LOST_AFTER_MIN_MS ? w->lost_after_ms : LOST_AFTER_MIN_MS;
    l->beat_at_ms = now_ms;
    l->failures = 0;
    l->span = w->span < MR_MAX_RESULT_ITEM_SIZES ? w->span : MR_MAX_RESULT_ITEM_SIZES;
    l->sums = w->sums;
    l->totals.sessions++;
    snprintf(l->redis, sizeof l->redis, "%.*s", MR_SPAN_ARG(w->redis));
    mr_link_all_due(l);
    MR_LOG(l->config.log, MR_LOG_INFO, "link", "session_open", MR_LOG_INT("session", w->session),
           MR_LOG_INT("held", l->held_count));
}

static void on_refuse(mr_link *l, uint64_t now_ms, const mr_wire_refuse *r) {
    char text[MR_MAX_REFUSE_TEXT + 1];
    snprintf(text, sizeof text, "%.*s", MR_SPAN_ARG(r->text));
    MR_LOG(l->config.log, MR_LOG_WARN, "link", "refused", MR_LOG_TEXT("reason", text),
           MR_LOG_BOOL("fatal", r->fatal));
    if (r->fatal) mr_link_lose(l, now_ms, "the broker closed the session");
}

static void take_open(mr_link *l, uint64_t now_ms, const mr_wire *m, mr_span body) {
    switch (m->type) {
    case MR_MSG_STEP:
        mr_link_on_step(l, &m->as.step);
        break;
    case MR_MSG_WORK:
        mr_link_on_work(l, now_ms, &m->as.work, body);
        break;
    case MR_MSG_BLOB:
        mr_link_on_blob(l, now_ms, &m->as.blob, body);
        break;
    case MR_MSG_ACK:
        mr_link_on_ack(l, now_ms, &m->as.ack);
        break;
    case MR_MSG_CANCEL:
        mr_link_on_cancel(l, &m->as.cancel);
        break;
    default:
        break; /* a heartbeat, or something that a newer broker says */
    }
}

void mr_link_message(mr_link *l, uint64_t now_ms, mr_span envelope, mr_span body) {
    if (l->session == SESSION_CLOSED) return;
    mr_wire m;
    mr_error err;
    mr_arena_reset(l->arena);
    mr_status status = mr_wire_decode(envelope, l->arena, &m, &err);
    if (status == MR_E_MEMORY) return; /* the broker sends it again when it matters */
    if (status != MR_OK) {
        mr_link_lose(l, now_ms, err.text);
        return;
    }
    l->heard_ms = now_ms;
    if (m.type == MR_MSG_WELCOME)
        on_welcome(l, now_ms, &m.as.welcome);
    else if (m.type == MR_MSG_REFUSE)
        on_refuse(l, now_ms, &m.as.refuse);
    else if (m.type == MR_MSG_BYE)
        mr_link_lose(l, now_ms, "the broker said bye");
    else if (l->session == SESSION_OPEN)
        take_open(l, now_ms, &m, body);
}

void mr_link_lately(uint32_t *mean, uint64_t v) {
    if (v > INT32_MAX) v = INT32_MAX;
    if (v >= *mean) *mean = (uint32_t)v;
    else *mean -= (*mean - (uint32_t)v + 15) / 16;
}

/* One among short ones that took some milliseconds was kept from its processor; two in a row are a new pace. */
static void note_pace(mr_link *l, uint64_t took_us) {
    bool odd = took_us > l->took_us && took_us < LINK_WINDOW_US;
    mr_link_lately(&l->pace_us, odd ? l->took_us : took_us);
    l->took_us = took_us;
}

void mr_link_done(mr_link *l, uint64_t now_ms, const mr_slot_done *done, mr_buf *body) {
    enum { BESIDES_US = 5 }; /* what an attempt costs beside its call */
    (void)now_ms; /* the result goes with the next tick */
    link_item *item = mr_link_item_find(l, done->attempt);
    note_pace(l, done->compute_us + BESIDES_US);
    if (item && done->unbegun) {
        mr_link_give_back(l, &item->work.attempt, 1);
        mr_link_item_remove(l, item);
    } else if (item) { /* else it was released */
        mr_link_hold(l, item, done, body);
    }
    if (body) mr_buf_clear(body);
}

void mr_link_tick(mr_link *l, uint64_t now_ms) {
    if (l->closed) return;
    if (l->session == SESSION_CLOSED && now_ms >= l->retry_at_ms) open_session(l, now_ms);
    if (l->session == SESSION_HELLO && now_ms >= l->hello_until_ms)
        mr_link_lose(l, now_ms, "no welcome in time");
    if (l->session == SESSION_OPEN && now_ms - l->heard_ms >= l->lost_after_ms)
        mr_link_lose(l, now_ms, "nothing heard from the broker");
    mr_link_start_ready(l);
    if (l->session != SESSION_OPEN) return;
    mr_link_send_due(l, now_ms);
    mr_link_fetch_again(l, now_ms);
    mr_link_top_up(l);
    beat(l, now_ms);
}

bool mr_link_has(mr_link *l, uint64_t attempt) { return mr_link_item_find(l, attempt) != NULL; }

/* ---- the end ---- */

void mr_link_drain(mr_link *l, uint64_t now_ms) {
    if (l->draining) return;
    l->draining = true;
    mr_link_release(l, true, false);
    mr_link_tick(l, now_ms);
}

bool mr_link_drained(const mr_link *l) { return l->draining && l->item_count == 0 && l->held_count == 0; }

void mr_link_close(mr_link *l, const char *reason) {
    mr_wire m = {.type = MR_MSG_BYE,
                 .as.bye = {.reason = mr_codec_text_cut(mr_span_of(reason), MR_MAX_BYE_REASON)}};
    mr_link_release(l, true, true);
    if (l->session == SESSION_OPEN && mr_link_send(l, &m, (mr_span){0}) != MR_OK)
        MR_LOG(l->config.log, MR_LOG_WARN, "link", "bye_unsent"); /* the broker finds out by silence */
    l->session = SESSION_CLOSED;
    l->closed = true;
}

void mr_link_stats_get(const mr_link *l, mr_link_stats *out) {
    *out = l->totals;
    out->open = l->session == SESSION_OPEN;
    out->session = l->session_id;
    out->items = l->item_count;
    out->running = l->running;
    out->held = l->held_count;
    out->granted = l->granted;
    out->held_bytes = l->held_bytes;
    out->redis = l->redis;
}
