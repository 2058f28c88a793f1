/* act.c: the core's actions become messages and jobs, and finished jobs become events. */
#include "broker/io/act.h"

#include "common/clock.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* ---- sending ---- */

void mr_broker_send(mr_broker *b, mr_peer *peer, const mr_wire *message, mr_net_body *body) {
    mr_error err = {0};
    mr_buf_clear(&b->envelope);
    mr_status s = mr_wire_encode(&b->envelope, message);
    MR_ASSERT(s == MR_OK || s == MR_E_MEMORY); /* what we send keeps our own maxima */
    if (s == MR_OK) s = mr_net_send(b->router, mr_peer_identity(peer), mr_buf_span(&b->envelope), body, &err);
    if (s == MR_OK) return;
    if (body) mr_net_body_free(body);
    mr_broker_peer_gone(b, peer, s == MR_E_FULL ? "it does not read what it is sent" : "it cannot be reached");
}

void mr_broker_refuse(mr_broker *b, mr_span identity, mr_status status, bool fatal, const char *text) {
    mr_error ignored;
    mr_wire m = {.type = MR_MSG_REFUSE};
    m.as.refuse = (mr_wire_refuse){.status = (uint16_t)status, .fatal = fatal, .text = mr_codec_text_cut(mr_span_of(text), MR_MAX_REFUSE_TEXT)};
    mr_buf_clear(&b->envelope);
    if (mr_wire_encode(&b->envelope, &m) == MR_OK)
        (void)!mr_net_send(b->router, identity, mr_buf_span(&b->envelope), NULL, &ignored);
    if (mr_access_may_say(b)) MR_LOG(&b->log, MR_LOG_WARN, "broker", "message_refused", MR_LOG_TEXT("reason", text));
}

void mr_broker_publish(mr_broker *b, const char *name, const char *object, const char *fmt, ...) {
    char detail[512];
    va_list args;
    mr_error ignored;
    va_start(args, fmt);
    vsnprintf(detail, sizeof detail, fmt, args);
    va_end(args);
    mr_wire m = {.type = MR_MSG_EVENT};
    m.as.event = (mr_wire_event){.at_us = mr_clock_wall_ns() / 1000, .name = mr_span_of(name), .object = mr_span_of(object),
                                 .detail = mr_codec_text_cut(mr_span_of(detail), MR_MAX_EVENT_DETAIL)};
    mr_buf_clear(&b->envelope);
    if (mr_wire_encode(&b->envelope, &m) == MR_OK)
        (void)!mr_net_send(b->events, mr_span_of(name), mr_buf_span(&b->envelope), NULL, &ignored);
}

void mr_broker_peer_gone(mr_broker *b, mr_peer *peer, const char *why) {
    uint32_t number = peer->number;
    bool worker = peer->state == MR_SESSION_WORKER;
    if (worker) {
        MR_LOG(&b->log, MR_LOG_INFO, "broker", "worker_left", MR_LOG_TEXT("worker", peer->name), MR_LOG_INT("peer", number),
               MR_LOG_TEXT("reason", why));
        mr_broker_publish(b, "worker_left", "broker", "worker=%s", peer->name);
    }
    mr_peer_remove(&b->peers, peer);
    if (!worker) return;
    mr_event e = {.type = MR_EV_PEER_GONE, .peer = number};
    mr_broker_event(b, &e);
}

/* ---- jobs ---- */

void mr_broker_gather(mr_out_jobs *out, mr_job *job) {
    job->next = NULL;
    if (out->last) out->last->next = job;
    else out->first = job;
    out->last = job;
}

static void hand_over(mr_out_jobs *out, mr_desk *desk) {
    mr_job *jobs = out->first;
    *out = (mr_out_jobs){0};
    mr_desk_give_all(desk, jobs);
}

void mr_broker_store(mr_broker *b, mr_job *job, bool after_work) {
    mr_broker_gather(&b->out_submits, job);
    if (!after_work) hand_over(&b->out_submits, &b->submits);
}

/* ---- the rest ---- */

static void step_finished(mr_broker *b, const mr_action *a) {
    char object[32];
    mr_step_view v;
    snprintf(object, sizeof object, "run:%llu", (unsigned long long)a->key.run);
    if (mr_core_step_at(b->core, a->key.run, a->key.step, &v))
        mr_broker_publish(b, "step_finished", object, "step=%u component=%s", a->key.step, v.plan->component);
}

static void worker_lost(mr_broker *b, const mr_action *a) {
    mr_peer *peer = mr_peer_numbered(&b->peers, a->peer);
    if (!peer) return;
    MR_LOG(&b->log, MR_LOG_WARN, "broker", "worker_lost", MR_LOG_TEXT("worker", peer->name), MR_LOG_INT("peer", a->peer));
    mr_broker_publish(b, "worker_lost", "broker", "worker=%s", peer->name);
    mr_broker_refuse(b, mr_peer_identity(peer), MR_E_TIMEOUT, true, "nothing was heard for too long; begin again with hello");
    mr_peer_remove(&b->peers, peer);
}

/* The second alarm ends this process with a failure, so that its supervisor starts a new one. */
static void stalled(mr_broker *b, const mr_action *a) {
    MR_LOG(&b->log, MR_LOG_ERROR, "broker", "stalled", MR_LOG_INT("run", a->key.run), MR_LOG_INT("step", a->key.step),
           MR_LOG_BOOL("fatal", a->fatal), MR_LOG_INT("loader_queue", mr_queue_count(&b->loader.in)),
           MR_LOG_INT("ledger_queue", mr_queue_count(&b->ledger.in)), MR_LOG_TEXT("reason", a->text));
    mr_broker_publish(b, "stalled", "broker", "fatal=%d %s", a->fatal, a->text);
    if (a->fatal) mr_broker_drain(b, MR_E_INTERNAL);
}

static void act_once(mr_broker *b, const mr_action *a) {
    switch (a->type) {
    case MR_ACT_LOAD: mr_broker_load(b, a); return;
    case MR_ACT_UNLOAD: mr_broker_unload(b, (mr_input *)(uintptr_t)a->handle); return;
    case MR_ACT_SEND_STEP: mr_broker_send_step(b, a); return;
    case MR_ACT_SEND_WORK: mr_broker_send_work(b, a); return;
    case MR_ACT_COMMIT: mr_broker_commit(b, a); return;
    case MR_ACT_ACK: mr_broker_ack(b, a->peer, a->attempt, a->verdict); return;
    case MR_ACT_CANCEL_ATTEMPT: mr_broker_cancel_attempt(b, a); return;
    case MR_ACT_RECORD_FAILURE: mr_broker_record_failure(b, a); return;
    case MR_ACT_DROP_BODY: mr_broker_commit_free(b, (mr_commit_job *)(uintptr_t)a->handle); return;
    case MR_ACT_STEP_FINISHED: step_finished(b, a); return;
    case MR_ACT_RUN_FINISHED: mr_broker_run_finished(b, a); return;
    case MR_ACT_RUN_LEFT: mr_broker_forget_run(b, a->key.run); return;
    case MR_ACT_WORKER_LOST: worker_lost(b, a); return;
    case MR_ACT_STALLED: stalled(b, a); return;
    }
}

/* Until nothing follows: a send that fails ends a session, which has consequences of its own. */
void mr_broker_act(mr_broker *b) {
    for (bool any = true; any;) {
        mr_action a;
        any = false;
        mr_core_hand_out(b->core);
        while (mr_core_next_action(b->core, &a)) {
            act_once(b, &a);
            any = true;
        }
        mr_broker_flush_work(b);
        mr_broker_flush_acks(b);
        hand_over(&b->out_loads, &b->loader);
        hand_over(&b->out_commits, &b->ledger);
    }
    hand_over(&b->out_submits, &b->submits);
}
