/* What one peer says from its first message on, to a broker without desks: whatever is asked of the database comes back as
 * cancelled. Each message: two bytes of length of the envelope, two of the body, both. The session table, the sessions,
 * the commands and the core see every order of messages; the broker stays whole, and one peer is at most one session. */
#include "broker/io/broker.h"
#include "common/pack.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MESSAGES = 40, BYTES_MAX = 20000 };

/* Sockets live as long as the process; a broker as long as one input. */
typedef struct wires {
    mr_net *net;
    mr_socket *router, *events, *peer;
    mr_waker waker;
} wires;

static wires *opened(void) {
    static wires w;
    mr_error err;
    if (w.net) return &w;
    mr_net_options peer = {.identity = mr_span_of("peer")};
    MR_ASSERT(mr_crypto_init(&err) == MR_OK && mr_net_new(NULL, &w.net, &err) == MR_OK);
    MR_ASSERT(mr_net_bind(w.net, MR_ROUTER, "inproc://broker", NULL, &w.router, &err) == MR_OK);
    MR_ASSERT(mr_net_bind(w.net, MR_PUB, "inproc://events", NULL, &w.events, &err) == MR_OK);
    MR_ASSERT(mr_net_connect(w.net, MR_DEALER, "inproc://broker", &peer, &w.peer, &err) == MR_OK);
    MR_ASSERT(mr_waker_init(&w.waker, &err) == MR_OK);
    return &w;
}

/* A run of two steps that is under way: its inputs never come, but results of it may. */
static void plan_run(mr_broker *b) {
    mr_error err;
    mr_run_info *info = mr_new(NULL, 1, sizeof *info);
    mr_arena *arena = mr_arena_new(NULL, 1 << 20);
    MR_ASSERT(info && arena);
    atomic_init(&info->owners, 1);
    info->arena = arena;
    info->run = 1;
    info->rows = 8;
    info->steps = 2;
    info->plan[0] = (mr_step_plan){.component = "echo", .version = 1, .shape = MR_STEP_MAP};
    info->plan[1] = (mr_step_plan){.component = "fold", .version = 1, .shape = MR_STEP_MERGE};
    for (int i = 0; i < 2; i++) MR_ASSERT(mr_plan_step(8, 2, &info->plan[i], &err) == MR_OK);
    MR_ASSERT(mr_broker_add_run(b, info, &err) == MR_OK);
}

static mr_broker *broker_on(wires *w) {
    mr_broker *b = mr_new(NULL, 1, sizeof *b);
    mr_core_config config = {.first_attempt = 1, .lost_after_ms = 4000, .load_ahead = 4, .max_loads = 64, .max_errors = 3,
                             .max_crashes = 3, .max_timeouts = 3, .retry_base_ms = 100, .retry_max_ms = 1000, .seed = 1, .age_ms = 100};
    MR_ASSERT(b);
    mr_option_defaults(mr_broker_options, &b->settings);
    mr_log_init(&b->log, -1, MR_LOG_OFF, false);
    b->signals = -1;
    mr_queue_init(&b->outbox);
    mr_buf_init(&b->envelope, NULL, MR_WIRE_ENVELOPE_MAX);
    b->router = w->router;
    b->events = w->events;
    mr_desk *const desks[] = {&b->ledger, &b->loader, &b->reader, &b->intake, &b->planner, &b->submits, &b->keeper, &b->audit.desk};
    for (size_t i = 0; i < sizeof desks / sizeof *desks; i++) {
        desks[i]->outbox = &b->outbox;
        desks[i]->waker = &w->waker;
    }
    b->arena = mr_arena_new(NULL, 1 << 26);
    MR_ASSERT(b->arena && mr_core_new(&config, &b->core) == MR_OK);
    plan_run(b);
    return b;
}

static void finish_jobs(mr_broker *b) {
    for (mr_job *jobs = mr_queue_take(&b->outbox, 0); jobs;) {
        mr_job *job = jobs;
        jobs = job->next;
        job->next = NULL;
        job->done(b, job);
    }
}

static void settle(mr_broker *b) {
    do {
        mr_broker_act(b);
        finish_jobs(b);
    } while (mr_queue_count(&b->outbox));
    mr_broker_act(b);
}

static void read_off(mr_socket *s) {
    for (bool got = true; got;) {
        mr_net_msg msg = {0};
        mr_error err;
        if (mr_net_receive(s, &msg, &got, &err) != MR_OK) got = false;
        mr_net_msg_free(&msg);
    }
}

static void say(wires *w, mr_broker *b, mr_span envelope, mr_span body) {
    mr_error err;
    mr_net_msg msg = {0};
    mr_net_body bytes = {.data = body.data, .len = body.len};
    bool got = false;
    MR_ASSERT(mr_net_send(w->peer, (mr_span){0}, envelope, body.len ? &bytes : NULL, &err) == MR_OK);
    if (mr_net_receive(w->router, &msg, &got, &err) == MR_OK && got) mr_broker_receive(b, &msg);
    mr_net_msg_free(&msg);
    settle(b);
    read_off(w->peer);
    const mr_peer *peer = mr_peer_from(&b->peers, mr_span_of("peer"));
    MR_ASSERT(HASH_CNT(by_number, b->peers.by_number) == (peer ? 1 : 0));
    MR_ASSERT(!peer || peer->state != MR_SESSION_NEW);
}

static void end(mr_broker *b) {
    mr_live_run *run, *next;
    b->phase = MR_STOPPED;
    mr_peers_free(&b->peers);
    settle(b);
    mr_audit_stop(b);
    while (b->again) {
        mr_job *job = b->again;
        b->again = job->next;
        job->status = MR_E_CANCELLED;
        job->next = NULL;
        job->done(b, job);
    }
    finish_jobs(b);
    while (b->loaded) mr_broker_unload(b, b->loaded);
    mr_core_free(&b->core);
    HASH_ITER(hh, b->runs, run, next) mr_broker_run_free(b, run);
    mr_broker_spares_free(b);
    mr_catalogue_free(&b->catalogue);
    mr_arena_free(&b->arena);
    mr_buf_free(&b->envelope);
    mr_queue_destroy(&b->outbox);
    mr_free(NULL, b, 1, sizeof *b);
}

static mr_span cut(const uint8_t **data, size_t *size, size_t n) {
    mr_span s = {*data, n < *size ? n : *size};
    *data += s.len;
    *size -= s.len;
    return s;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size > BYTES_MAX) return 0;
    wires *w = opened();
    mr_broker *b = broker_on(w);
    for (int i = 0; i < MESSAGES && size >= 4; i++) {
        mr_span head = cut(&data, &size, 4);
        mr_span envelope = cut(&data, &size, (size_t)head.data[0] << 8 | head.data[1]);
        mr_span body = cut(&data, &size, (size_t)head.data[2] << 8 | head.data[3]);
        say(w, b, envelope, body);
    }
    end(b);
    return 0;
}
