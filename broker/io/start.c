/* start.c: how the shell begins, goes round and ends. */
#include "broker/io/broker.h"

#include "broker/io/delivery.h"
#include "broker/io/intake.h"
#include "broker/io/query.h"
#include "broker/io/submit.h"
#include "common/clock.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

enum { TICK_MS = 50, MESSAGES_A_ROUND = 256, CLIENT_IDLE_MS = 300000, ARENA_MAX = 64 * 1024 * 1024 };

uint64_t mr_broker_now_ms(void) { return mr_clock_monotonic_ns() / 1000000u; }

void mr_broker_event(mr_broker *b, const mr_event *event) {
    mr_error err;
    err.text[0] = 0;
    if (mr_core_take(b->core, b->round_ms ? b->round_ms : mr_broker_now_ms(), event, &err) == MR_OK) return;
    MR_LOG(&b->log, MR_LOG_ERROR, "broker", "event_refused", MR_LOG_INT("type", event->type), MR_LOG_TEXT("reason", err.text));
    if (event->type == MR_EV_RESULT) mr_broker_commit_free(b, (mr_commit_job *)(uintptr_t)event->as.result.body);
}

mr_live_run *mr_broker_run(const mr_broker *b, uint64_t run) {
    mr_live_run *live = NULL;
    HASH_FIND(hh, b->runs, &run, sizeof run, live);
    return live;
}

/* ---- runs ---- */

static mr_status plan_run(mr_broker *b, mr_live_run *live, mr_run_info *info, mr_error *err) {
    mr_run_plan plan = mr_run_info_plan(info);
    mr_event e = {.type = MR_EV_RUN_PLANNED, .as.plan = &plan};
    live->run = info->run;
    if (info->stream) live->stream = mr_stream_new(info->run, info->rows, info->columns[0], info->open);
    if (info->stream && !live->stream) return mr_fail(err, MR_E_MEMORY, "no memory for stream %llu", (unsigned long long)info->run);
    HASH_ADD(hh, b->runs, run, sizeof live->run, live);
    return live->hh.tbl ? mr_core_step(b->core, mr_broker_now_ms(), &e, err)
                        : mr_fail(err, MR_E_MEMORY, "no memory for run %llu", (unsigned long long)info->run);
}

mr_status mr_broker_plan_run(mr_broker *b, mr_run_info *info, mr_error *err) {
    mr_live_run *live = mr_new(NULL, 1, sizeof *live);
    if (!live) return mr_fail(err, MR_E_MEMORY, "no memory for run %llu", (unsigned long long)info->run);
    mr_status s = plan_run(b, live, info, err);
    if (s == MR_OK) {
        live->info = mr_run_info_share(info);
        live->life = info->life;
        return MR_OK;
    }
    if (live->hh.tbl) HASH_DELETE(hh, b->runs, live);
    mr_stream_end(b, &live->stream);
    mr_free(NULL, live, 1, sizeof *live);
    return s;
}

mr_status mr_broker_add_run(mr_broker *b, mr_run_info *info, mr_error *err) {
    mr_event open = {.type = MR_EV_RUN_OPENED, .as.run = info->run};
    mr_status s = mr_broker_plan_run(b, info, err);
    mr_run_info_drop(info);
    if (s == MR_OK) mr_broker_event(b, &open);
    return s;
}

static mr_status tell_rule(void *context, const mr_rule *rule, mr_error *err) {
    mr_broker *b = context;
    mr_event e = {.type = MR_EV_RULE, .as.rule = rule};
    return mr_core_step(b->core, mr_broker_now_ms(), &e, err);
}

/* ---- start ---- */

static mr_status open_signals(mr_broker *b, mr_error *err) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    b->signals = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    return b->signals >= 0 ? MR_OK : mr_fail(err, MR_E_LIMIT, "no descriptor is left for signals");
}

static mr_status open_sockets(mr_broker *b, mr_error *err) {
    mr_net_options options = {.max_frame = MR_WIRE_BODY_MAX, .send_queue = 10000, .receive_queue = 10000, .linger_ms = 1000};
    /* A message may have the largest body and what the kernel buffers; a stranger or a follower of events says little. */
    const mr_conns_limits peers = {.partial_max = MR_WIRE_BODY_MAX + (16u << 20), .fresh_bytes = 2u << 20, .fresh_max = 512,
                                   .total_max = 8192, .memory_max = (size_t)2 << 30},
                          followers = {.partial_max = 1u << 20, .fresh_bytes = 1u << 20, .fresh_max = 1024, .total_max = 1024};
    MR_TRY(mr_access_open(&b->access, &b->settings, err));
    MR_TRY(mr_net_new(NULL, &b->net, err));
    MR_TRY(mr_access_guard(&b->access, b->net, err));
    options.keys = mr_access_keys(&b->access, false);
    options.conns = &peers;
    MR_TRY(mr_net_bind(b->net, MR_ROUTER, b->settings.listen, &options, &b->router, err));
    options.keys = mr_access_keys(&b->access, true);
    options.conns = &followers;
    MR_TRY(mr_net_bind(b->net, MR_PUB, b->settings.events, &options, &b->events, err));
    return mr_access_prove(&b->access, b->net, b->router, b->events, err);
}

static void name_broker(mr_broker *b) {
    char host[128] = "";
    gethostname(host, sizeof host - 1);
    if (!b->settings.name[0]) snprintf(b->settings.name, MR_NAME_MAX, "%.24s %.36s", host, mr_socket_address(b->router));
    b->settings.name[mr_codec_text_cut(mr_span_of(b->settings.name), MR_NAME_MAX - 1).len] = 0;
    snprintf(b->lease.owner, sizeof b->lease.owner, "%.120s", b->settings.name);
    b->lease.seconds = b->settings.lease_s;
}

static mr_status make_core(mr_broker *b, uint64_t first_attempt, mr_error *err) {
    mr_core_config config = {
        .first_attempt = first_attempt,
        .lost_after_ms = (uint32_t)b->settings.lost_after_ms,
        .load_ahead = (uint32_t)b->settings.load_ahead,
        .max_loads = 16384,
        .max_errors = (uint32_t)b->settings.max_errors,
        .max_crashes = (uint32_t)b->settings.max_crashes,
        .max_timeouts = (uint32_t)b->settings.max_timeouts,
        .retry_base_ms = (uint32_t)b->settings.retry_base_ms,
        .retry_max_ms = (uint32_t)b->settings.retry_max_ms,
        .turn = (uint32_t)b->settings.turn,
        .age_ms = (uint32_t)b->settings.age_ms,
        .stall_ms = (uint32_t)b->settings.watchdog_s * 1000,
    };
    mr_random_bytes(&config.seed, sizeof config.seed);
    b->arena = mr_arena_new(NULL, ARENA_MAX);
    if (!b->arena || mr_core_new(&config, &b->core) != MR_OK) return mr_fail(err, MR_E_MEMORY, "no memory to start with");
    return MR_OK;
}

static mr_status check_migrated(mr_pg *pg, mr_error *err) {
    static const mr_pg_statement there = {
        "start_migrated", "select to_regclass('millrace.task_block') is not null", 0, {0}};
    mr_pg_result *r = NULL;
    MR_TRY(mr_pg_exec(pg, &there, NULL, &r, err));
    mr_pg_row row = mr_pg_row_at(r, 0);
    bool migrated = mr_pg_bool(&row, 0);
    mr_pg_result_free(&r);
    return migrated ? MR_OK : mr_fail(err, MR_E_NOT_FOUND, "the database does not have this broker's schema: run 'millrace migrate up' first");
}

static mr_status find_work(mr_broker *b, mr_error *err) {
    mr_pg_options options = {.application = "millrace-broker start", .connect_timeout_ms = 5000};
    mr_pg *pg = NULL;
    uint64_t first_attempt = 0;
    if (!b->settings.database_url[0])
        return mr_fail(err, MR_E_USAGE, "no database: set MILLRACE_DATABASE_URL, for example to postgresql://localhost/millrace, "
                                        "or start everything with 'millrace up'");
    MR_TRY(mr_pg_connect(b->settings.database_url, &options, NULL, &pg, err));
    mr_status s = check_migrated(pg, err);
    if (s == MR_OK) s = mr_lease_draw_attempts(pg, &first_attempt, err);
    if (s == MR_OK) s = make_core(b, first_attempt, err);
    if (s == MR_OK) s = mr_rules_read(pg, false, tell_rule, b, err);
    if (s == MR_OK) s = mr_broker_first_share(b, pg, err);
    if (s == MR_OK) s = mr_broker_first_part(b, pg, err);
    mr_pg_free(&pg);
    return s;
}

static mr_status start_desks(mr_broker *b, mr_error *err) {
    mr_desk *const desks[] = {&b->ledger, &b->loader, &b->reader, &b->intake, &b->planner, &b->submits, &b->keeper};
    mr_loader_options loader = {.redis_url = b->settings.redis_url, .inline_max = (size_t)b->settings.inline_max,
                                .cache_bytes = (size_t)b->settings.segment_cache_mb << 20,
                                .ttl_s = (unsigned)b->settings.cache_ttl_s,
                                .seen = &b->rows_seen};
    for (size_t i = 0; i < sizeof desks / sizeof *desks; i++) {
        desks[i]->log = &b->log;
        desks[i]->url = b->settings.database_url;
        desks[i]->outbox = &b->outbox;
        desks[i]->waker = &b->waker;
    }
    MR_TRY(mr_ledger_start(&b->ledger, &b->lease, err));
    MR_TRY(mr_submit_start(&b->submits, &b->lease, err));
    MR_TRY(mr_loader_start(&b->loader, &loader, err));
    MR_TRY(mr_reader_start(&b->reader, b->settings.redis_url, (unsigned)b->settings.cache_ttl_s, err));
    MR_TRY(mr_intake_start(&b->intake, (uint32_t)b->settings.max_chars, err));
    MR_TRY(mr_audit_start(b, err));
    MR_TRY(mr_broker_start_keeper(b, err));
    return mr_planner_start(&b->planner, mr_broker_due, err);
}

mr_status mr_broker_start(mr_broker *b, mr_error *err) {
    b->signals = b->waker.fd = b->wakes.fd = -1;
    mr_queue_init(&b->outbox);
    mr_buf_init(&b->envelope, NULL, MR_WIRE_ENVELOPE_MAX);
    mr_random_bytes(&b->session, sizeof b->session);
    b->started_ms = mr_broker_now_ms();
    MR_TRY(open_signals(b, err));
    MR_TRY(mr_wakes_open(MR_WAKES_FILE, b->settings.wake_us, &b->wakes, err));
    MR_TRY(mr_waker_init(&b->waker, err));
    MR_TRY(open_sockets(b, err));
    name_broker(b);
    MR_TRY(find_work(b, err));
    MR_TRY(start_desks(b, err));
    MR_LOG(&b->log, MR_LOG_INFO, "broker", "serving", MR_LOG_TEXT("address", mr_socket_address(b->router)),
           MR_LOG_TEXT("events", mr_socket_address(b->events)), MR_LOG_TEXT("version", MR_VERSION));
    return MR_OK;
}

/* ---- the loop ---- */

void mr_broker_drain(mr_broker *b, mr_status why) {
    if (b->phase != MR_SERVING) return;
    mr_event e = {.type = MR_EV_DRAIN};
    b->phase = MR_DRAINING;
    b->stop_status = why;
    b->stop_at_ms = mr_broker_now_ms() + (why == MR_OK ? (uint64_t)b->settings.grace_s * 1000 : 0);
    MR_LOG(&b->log, MR_LOG_INFO, "broker", "draining", MR_LOG_INT("grace_s", b->settings.grace_s));
    mr_broker_event(b, &e);
    mr_broker_leave_share(b);
}

/* Too few or too many frames: as any other message that cannot be taken. */
static void refuse_frames(mr_broker *b, mr_span from, const mr_error *err) {
    mr_peer *peer = mr_peer_from(&b->peers, from);
    mr_broker_refuse(b, from, MR_E_PROTOCOL, true, err->text);
    if (peer) mr_broker_peer_gone(b, peer, err->text);
}

static void receive_some(mr_broker *b) {
    for (int i = 0; i < MESSAGES_A_ROUND; i++) {
        mr_net_msg msg = {0};
        bool got = false;
        mr_error err;
        mr_status s = mr_net_receive(b->router, &msg, &got, &err);
        if (s == MR_E_PROTOCOL) {
            refuse_frames(b, msg.from, &err);
            mr_access_cut_off(b, &msg);
        }
        else if (s == MR_OK && got) mr_broker_receive(b, &msg);
        mr_net_msg_free(&msg);
        if (!got && s != MR_E_PROTOCOL) return;
    }
}

static void finish_jobs(mr_broker *b) {
    mr_waker_clear(&b->waker); /* before the take: who finds the outbox empty after it wakes the loop again */
    for (mr_job *jobs = mr_queue_take(&b->outbox, 0); jobs;) {
        mr_job *job = jobs;
        jobs = job->next;
        job->next = NULL;
        job->done(b, job);
    }
}

void mr_broker_try_again(mr_broker *b, mr_job *job) {
    job->next = b->again;
    b->again = job;
}

static void give_again(mr_broker *b) {
    mr_job *jobs = b->again;
    b->again = NULL;
    while (jobs) {
        mr_job *job = jobs;
        jobs = job->next;
        mr_desk_give(&b->ledger, job);
    }
}

static void tell_loading(mr_broker *b) {
    unsigned long seen = atomic_load_explicit(&b->rows_seen, memory_order_relaxed);
    mr_event e = {.type = MR_EV_LOADING};
    if (seen != b->rows_told) mr_broker_event(b, &e);
    b->rows_told = seen;
}

static void tick(mr_broker *b, uint64_t now) {
    enum { AGAIN_EVERY = 10 }; /* ticks */
    mr_event e = {.type = MR_EV_TICK};
    if (now - b->tick_ms < TICK_MS) {
        if (now >= mr_core_due_ms(b->core)) mr_broker_event(b, &e);
        return;
    }
    b->tick_ms = now;
    mr_access_tick(b, now);
    mr_audit_tick(b, now);
    mr_broker_event(b, &e);
    mr_broker_share_tick(b, now);
    mr_broker_missed_tick(b);
    tell_loading(b);
    if (now / TICK_MS % AGAIN_EVERY) return;
    mr_peers_forget_idle(&b->peers, now, CLIENT_IDLE_MS);
    give_again(b);
    mr_broker_divide_limits(b);
}

static void take_signal(mr_broker *b) {
    struct signalfd_siginfo info;
    while (read(b->signals, &info, sizeof info) == sizeof info) {
        if (b->phase == MR_DRAINING) b->stop_at_ms = 0; /* the second one does not wait */
        mr_broker_drain(b, MR_OK);
    }
}

static bool drained(const mr_broker *b, uint64_t now) {
    return b->phase == MR_DRAINING && (now >= b->stop_at_ms || (mr_core_idle(b->core) && !b->again));
}

/* Until the next tick, or until a rate lets something go. */
static int poll_ms(const mr_broker *b) {
    uint64_t now = mr_broker_now_ms(), due = mr_core_due_ms(b->core);
    return due > now + TICK_MS ? TICK_MS : due > now ? (int)(due - now) : 1;
}

mr_status mr_broker_serve(mr_broker *b, mr_error *err) {
    mr_poll_item items[] = {{.socket = b->router}, {.fd = b->waker.fd}, {.fd = b->signals}};
    mr_broker_act(b); /* what was found at the start */
    for (;;) {
        mr_status s = mr_net_poll(items, 3, poll_ms(b), err);
        if (s != MR_OK && s != MR_E_INTERRUPTED) return s;
        uint64_t now = b->round_ms = mr_broker_now_ms();
        mr_broker_fence_self(b); /* before anything is sent: it may have been stopped for long */
        if (items[0].readable) receive_some(b);
        if (items[1].readable || mr_queue_count(&b->outbox)) finish_jobs(b);
        if (items[2].readable) take_signal(b);
        tick(b, now);
        mr_broker_act(b);
        mr_wakes_follow(&b->wakes, b->work_messages, now);
        b->round_ms = 0;
        if (drained(b, now)) break;
    }
    if (b->stop_status == MR_E_CONFLICT)
        return mr_fail(err, MR_E_CONFLICT, "another broker has taken this one's name and work over; this one stops");
    if (b->stop_status == MR_E_INTERNAL)
        return mr_fail(err, MR_E_INTERNAL, "nothing moved though there was work, and the repair did not help: see the log");
    return MR_OK;
}

/* ---- stop ---- */

static void say_bye(mr_broker *b) {
    mr_peer *peer, *next;
    mr_wire m = {.type = MR_MSG_BYE};
    m.as.bye.reason = mr_span_of("the broker stops");
    HASH_ITER(by_number, b->peers.by_number, peer, next) mr_broker_send(b, peer, &m, NULL);
}

void mr_broker_run_free(mr_broker *b, mr_live_run *run) {
    HASH_DELETE(hh, b->runs, run);
    mr_stream_end(b, &run->stream);
    mr_run_info_drop(run->info);
    mr_free(NULL, run->ending, 1, sizeof *run->ending);
    mr_free(NULL, run, 1, sizeof *run);
}

static void free_runs(mr_broker *b) {
    mr_live_run *run, *next;
    HASH_ITER(hh, b->runs, run, next) mr_broker_run_free(b, run);
}

/* What desks hand back while they stop is told to the core, so that workers get their last acknowledgements. */
static void settle(mr_broker *b) {
    mr_desk *const readers[] = {&b->planner, &b->intake, &b->submits, &b->loader, &b->reader};
    if (!b->ledger.started) return;
    for (size_t i = 0; i < sizeof readers / sizeof *readers; i++) mr_desk_stop(readers[i]);
    finish_jobs(b);
    give_again(b);
    mr_desk_stop(&b->ledger);
    finish_jobs(b);
    give_again(b);
    do { /* what the core still asks of the desks comes back cancelled */
        finish_jobs(b);
        mr_broker_act(b);
    } while (mr_queue_count(&b->outbox));
    mr_desk_stop(&b->keeper); /* nothing more is written, so the leases may go */
    mr_audit_stop(b); /* the last answers are on record */
    finish_jobs(b);
    if (b->router) say_bye(b);
}

void mr_broker_stop(mr_broker *b) {
    bool served = b->planner.started; /* the last thing that a start does */
    b->phase = MR_STOPPED;
    settle(b);
    while (b->loaded) mr_broker_unload(b, b->loaded);
    mr_broker_spares_free(b);
    mr_core_free(&b->core);
    free_runs(b);
    mr_peers_free(&b->peers);
    mr_catalogue_free(&b->catalogue);
    mr_arena_free(&b->arena);
    mr_buf_free(&b->envelope);
    mr_socket_close(&b->router);
    mr_socket_close(&b->events);
    mr_net_free(&b->net);
    mr_access_close(&b->access);
    mr_waker_close(&b->waker);
    mr_wakes_close(&b->wakes);
    if (b->signals >= 0) close(b->signals);
    if (served) MR_LOG(&b->log, MR_LOG_INFO, "broker", "stopped");
}
