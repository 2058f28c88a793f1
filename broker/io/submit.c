#include "broker/io/submit.h"

#include "broker/io/ledger.h"
#include "common/clock.h"

#include <stdio.h>
#include <string.h>

enum { GROUP_MAX = 256, GROUP_BYTES = 8 * 1024 * 1024, PARAMS_MAX = 4 * 1024 * 1024, IDLE_MS = 100 };
/* With the row's header and its other columns it fills a page of 8 KiB. */
enum { PIECE = 8096 };
/* How long a transaction stays open for the result of its task: about as long as the transaction takes that is saved, so that
 * a wait in vain costs no more than that (Karlin, Li, Manasse and Owicki 1991, of spinning for a lock). */
enum { RIDE_US = 500, PASSED_MAX = 10 };

typedef struct submits {
    mr_lease *lease;
    mr_waiting waiting; /* what the database has not taken yet */
    uint64_t retry_at_ns;
    size_t most;        /* jobs of the next group: one at a time after a failure that is not the database's */
    uint32_t passed;    /* waits in vain one after the other */
    uint32_t pass;      /* tasks that are not waited with, because of them */
    mr_pg_params params, fence;
} submits;

/* ---- statements ---- */

/* Writes no piece when the packet is there: then it is ours, from a COMMIT whose answer was lost. */
static const mr_pg_statement insert_packet = {
    "submit_packet",
    "with b as (insert into millrace.task_block (run_id, first_task, tasks, producer, packet, size, ids, client)"
    " values ($1, $2, $3, $4, $5, $6, $7, $8) on conflict do nothing returning first_task)"
    " insert into millrace.task_piece (run_id, first_task, piece, bytes)"
    " select $1, $2, i, substr($9, i * $10 + 1, $10) from b, generate_series(0, ($6 - 1) / $10) i",
    10,
    {MR_PG_INT8, MR_PG_INT8, MR_PG_INT4, MR_PG_INT8, MR_PG_INT8, MR_PG_INT4, MR_PG_TEXTS, MR_PG_TEXT, MR_PG_BYTEA,
     MR_PG_INT4}};

static const mr_pg_statement find_packet = {
    "submit_find",
    "select first_task, tasks from millrace.task_block where run_id = $1 and producer = $2 and packet = $3",
    3,
    {MR_PG_INT8, MR_PG_INT8, MR_PG_INT8}};

static const mr_pg_statement insert_end = {
    "submit_end", "insert into millrace.stream_end (run_id, client) values ($1, $2) on conflict do nothing", 2,
    {MR_PG_INT8, MR_PG_TEXT}};

/* ---- jobs: those of producers, and results ---- */

static mr_commit_job *as_result(mr_job *job) { return job->work == mr_commit_work ? (mr_commit_job *)job : NULL; }
static mr_submit_job *as_submit(mr_job *job) { return job->work == mr_commit_work ? NULL : (mr_submit_job *)job; }

static uint64_t run_of(mr_job *job) { return as_result(job) ? as_result(job)->key.run : as_submit(job)->run; }
static int64_t epoch_of(mr_job *job) { return as_result(job) ? as_result(job)->epoch : as_submit(job)->epoch; }

static size_t bytes_of(mr_job *job) {
    const mr_submit_job *j = as_submit(job);
    return !j ? as_result(job)->body.len : j->frame ? mr_bytes_span(j->frame).len : 0;
}

/* ---- a group ---- */

typedef struct group {
    size_t n;
    mr_job *job[GROUP_MAX];
    int64_t run[GROUP_MAX];
    bool again[GROUP_MAX]; /* it was there before */
} group;

static void add_to_group(group *g, mr_job *job) {
    g->again[g->n] = false;
    g->run[g->n] = (int64_t)run_of(job);
    g->job[g->n++] = job;
}

/* As many of the waiting jobs as make a group; they stay in the list. */
static void gather(const submits *s, group *g) {
    size_t bytes = 0;
    g->n = 0;
    for (mr_job *job = s->waiting.head; job && g->n < s->most; job = job->next) {
        bytes += bytes_of(job);
        if (g->n && bytes > GROUP_BYTES) break;
        add_to_group(g, job);
    }
}

static void put_ids(mr_pg_params *p, const mr_packet *packet) {
    mr_span ids[MR_PACKET_TASKS];
    mr_packet_cursor at = {0};
    mr_task task;
    if (!packet->ids.len) {
        mr_pg_put_null(p, MR_PG_TEXTS);
        return;
    }
    for (uint32_t i = 0; mr_packet_next(packet, &at, &task); i++) ids[i] = task.id;
    mr_pg_put_texts(p, ids, NULL, packet->count);
}

static void put_packet(mr_pg_params *p, const mr_submit_job *j) {
    mr_span bytes = mr_bytes_span(j->frame);
    mr_pg_params_clear(p);
    mr_pg_put_int8(p, (int64_t)j->run);
    mr_pg_put_int8(p, (int64_t)j->first);
    mr_pg_put_int4(p, (int32_t)j->tasks);
    mr_pg_put_int8(p, (int64_t)j->producer);
    mr_pg_put_int8(p, (int64_t)j->packet);
    mr_pg_put_int4(p, (int32_t)bytes.len);
    put_ids(p, &j->view);
    mr_pg_put_text(p, j->client);
    mr_pg_lend_bytea(p, bytes);
    mr_pg_put_int4(p, PIECE);
}

static void put_named(mr_pg_params *p, const mr_submit_job *j) {
    mr_pg_params_clear(p);
    mr_pg_put_int8(p, (int64_t)j->run);
    mr_pg_put_int8(p, (int64_t)j->producer);
    mr_pg_put_int8(p, (int64_t)j->packet);
}

static const mr_pg_statement *put_job(mr_pg_params *p, mr_job *job) {
    const mr_submit_job *j = as_submit(job);
    if (!j) {
        mr_ledger_put_one(p, as_result(job));
        return &mr_ledger_insert_one;
    }
    switch (j->kind) {
    case MR_SUBMIT_PACKET: put_packet(p, j); return &insert_packet;
    case MR_SUBMIT_AGAIN: put_named(p, j); return &find_packet;
    case MR_SUBMIT_CLOSE: break;
    }
    mr_pg_params_clear(p);
    mr_pg_put_int8(p, (int64_t)j->run);
    mr_pg_put_text(p, j->client);
    return &insert_end;
}

static mr_status send_job(submits *s, mr_pg *pg, mr_job *job, mr_error *err) {
    const mr_pg_statement *st = put_job(&s->params, job);
    return mr_pg_pipeline_send(pg, st, &s->params, err);
}

/* ---- a result that comes while its task is being stored ---- */

/* A single task whose client waits for the result, and nothing else. */
static bool worth_waiting(submits *s, const group *g) {
    const mr_submit_job *j = as_submit(g->job[0]);
    if (g->n > 1 || s->waiting.head->next || !j || j->kind != MR_SUBMIT_PACKET || !j->wait || j->tasks > 1) return false;
    if (s->pass) s->pass--;
    return !s->pass;
}

/* After waits in vain so many tasks are stored at once, twice as many each time; most results are in time again after one that
 * is. */
static void note_wait(submits *s, bool in_time) {
    s->passed = in_time ? 0 : s->passed < PASSED_MAX ? s->passed + 1 : PASSED_MAX;
    s->pass = in_time ? 0 : 1u << s->passed;
}

/* The task is being written meanwhile. Whatever comes first ends the wait; a result of the task goes with it, fenced as it is.
 */
static mr_status take_along(mr_desk *desk, submits *s, mr_pg *pg, group *g, mr_error *err) {
    if (!worth_waiting(s, g)) return MR_OK;
    MR_TRY(mr_pg_pipeline_flush(pg, err));
    mr_job *job = mr_queue_take_soon(&desk->in, RIDE_US);
    const mr_commit_job *result = job ? as_result(job) : NULL;
    bool goes = result && result->key.run == run_of(g->job[0]) && result->epoch == epoch_of(g->job[0]);
    mr_waiting_add(&s->waiting, job);
    note_wait(s, goes);
    if (!goes) return MR_OK;
    add_to_group(g, job);
    return send_job(s, pg, job, err);
}

/* Sends the whole transaction; fence first, so that nothing is written without it. */
static mr_status send_group(mr_desk *desk, submits *s, mr_pg *pg, group *g, mr_error *err) {
    mr_lease_put_fence(&s->fence, s->lease, g->run, g->n);
    MR_TRY(mr_pg_pipeline_send(pg, &mr_lease_fence_statement, &s->fence, err));
    for (size_t i = 0; i < g->n; i++) MR_TRY(send_job(s, pg, g->job[i], err));
    MR_TRY(take_along(desk, s, pg, g, err));
    return mr_pg_pipeline_sync(pg, err);
}

static void take_found(mr_submit_job *j, const mr_pg_result *r) {
    mr_pg_row row = mr_pg_row_at(r, 0);
    if (mr_pg_rows(r) == 1) {
        j->first = (uint64_t)mr_pg_int(&row, 0);
        j->tasks = (uint32_t)mr_pg_int(&row, 1);
    }
    j->head.status = mr_pg_rows(r) == 1 ? mr_pg_row_status(&row, &j->head.error)
                                        : mr_fail(&j->head.error, MR_E_NOT_FOUND,
                                                  "no stream %llu is open: 'millrace runs' shows the state of each",
                                                  (unsigned long long)j->run);
}

/* The first answer is the fence's. */
static void take_answer(void *context, size_t n, const mr_pg_result *r) {
    group *g = context;
    if (n < 1 || n > g->n) return;
    mr_submit_job *j = as_submit(g->job[n - 1]);
    if (!j) mr_ledger_take_one(as_result(g->job[n - 1]), r);
    else if (j->kind == MR_SUBMIT_AGAIN) take_found(j, r);
    g->again[n - 1] = j && j->kind == MR_SUBMIT_PACKET && mr_pg_changed(r) == 0;
}

static mr_status write_group(mr_desk *desk, submits *s, mr_pg *pg, group *g, mr_error *err) {
    MR_TRY(mr_pg_prepare(pg, &mr_lease_fence_statement, err));
    MR_TRY(mr_pg_prepare(pg, &insert_packet, err));
    MR_TRY(mr_pg_prepare(pg, &find_packet, err));
    MR_TRY(mr_pg_prepare(pg, &insert_end, err));
    MR_TRY(mr_pg_prepare(pg, &mr_ledger_insert_one, err));
    MR_TRY(mr_pg_pipeline_begin(pg, err));
    mr_status sent = send_group(desk, s, pg, g, err);
    return mr_pg_pipeline_finish(pg, sent, take_answer, g, err);
}

/* What was there before must be what is to be written: another broker's rows would mean that the fence does not hold. */
static mr_status check_again(submits *s, mr_pg *pg, const group *g, mr_error *err) {
    for (size_t i = 0; i < g->n; i++) {
        if (as_result(g->job[i])) MR_TRY(mr_ledger_settle(pg, &s->params, as_result(g->job[i]), err));
        if (!g->again[i]) continue;
        const mr_submit_job *j = as_submit(g->job[i]);
        mr_pg_result *r = NULL;
        put_named(&s->params, j);
        MR_TRY(mr_pg_exec(pg, &find_packet, &s->params, &r, err));
        mr_pg_row row = mr_pg_row_at(r, 0);
        bool ours = mr_pg_rows(r) == 1 && (uint64_t)mr_pg_int(&row, 0) == j->first;
        mr_pg_result_free(&r);
        if (!ours)
            return mr_fail(err, MR_E_CONFLICT, "run %llu has other tasks from number %llu on than this broker gave out",
                           (unsigned long long)j->run, (unsigned long long)j->first);
    }
    return MR_OK;
}

/* A result stays with its worker, to be sent again. */
static void give_up(mr_job *job, const char *text) {
    if (as_result(job)) as_result(job)->verdict = MR_RETRY;
    else job->status = mr_fail(&job->error, MR_E_UNAVAILABLE, "%s: what is stored already is not stored twice", text);
}

static bool has_lost(void *lease, mr_job *job) {
    char text[128];
    if (mr_lease_holds(lease, run_of(job), epoch_of(job))) return false;
    snprintf(text, sizeof text, "stream %llu has gone to another broker: send it there", (unsigned long long)run_of(job));
    give_up(job, text);
    return true;
}

/* What waits for a partition that is not this broker's any more goes back, and keeps nobody waiting. */
static void hand_back_lost(mr_desk *desk, submits *s) { mr_desk_done(desk, mr_waiting_sift(&s->waiting, has_lost, s->lease)); }

static mr_status store(mr_desk *desk, submits *s, group *g, bool *lost, mr_error *err) {
    mr_pg *pg;
    mr_status status = mr_desk_database(desk, &pg, err);
    gather(s, g);
    if (status == MR_OK) status = write_group(desk, s, pg, g, err);
    *lost = status != MR_OK && desk->pg && !strcmp(mr_pg_sqlstate(desk->pg), MR_LEASE_LOST);
    if (status != MR_OK) return status;
    status = check_again(s, pg, g, err);
    *lost = status == MR_E_CONFLICT;
    return status;
}

/* A result that is not taken does not keep its task from being stored. Packets stay in their order. True when the next can be
 * tried at once. */
static bool set_apart(mr_desk *desk, submits *s, const group *g, const mr_error *err) {
    if (!mr_ledger_at_fault(desk->pg, err)) return false;
    s->most = 1;
    return g->n > 1 || (as_result(g->job[0]) && mr_ledger_set_aside(desk, &s->waiting, err));
}

/* Writes what waits. What the database does not take stays and is tried again. */
static void flush(mr_desk *desk, submits *s, group *g) {
    while (hand_back_lost(desk, s), s->waiting.head) {
        mr_error err = {0};
        bool lost;
        if (store(desk, s, g, &lost, &err) == MR_OK) {
            mr_desk_done(desk, mr_waiting_take(&s->waiting, g->n));
            s->most = s->most < GROUP_MAX / 2 ? 2 * s->most : GROUP_MAX;
            continue;
        }
        MR_LOG(desk->log, MR_LOG_WARN, "submit", "store_failed", MR_LOG_INT("packets", g->n), MR_LOG_TEXT("reason", err.text));
        if (lost) atomic_store(&s->lease->doubt, true);
        else if (set_apart(desk, s, g, &err)) continue;
        s->retry_at_ns = mr_clock_monotonic_ns() + 200000000u;
        return;
    }
}

/* ---- the desk ---- */

static void flush_now(mr_desk *desk) {
    submits *s = desk->state;
    if (!s->waiting.head || mr_clock_monotonic_ns() < s->retry_at_ns) return;
    group *g = mr_new(NULL, 1, sizeof *g);
    if (!g) return; /* they wait until there is memory */
    flush(desk, s, g);
    mr_free(NULL, g, 1, sizeof *g);
}

static void take_jobs(mr_desk *desk, mr_job *jobs) {
    submits *s = desk->state;
    mr_waiting_add(&s->waiting, jobs);
    flush_now(desk);
}

static void stop(mr_desk *desk) {
    submits *s = desk->state;
    for (mr_job *job = s->waiting.head; job; job = job->next) give_up(job, "the broker stops, send it again");
    mr_desk_done(desk, s->waiting.head);
    mr_pg_params_free(&s->params);
    mr_pg_params_free(&s->fence);
    mr_free(NULL, s, 1, sizeof *s);
}

mr_submit_job *mr_submit_job_new(mr_submit_kind kind, uint64_t run, const char *client) {
    mr_submit_job *job = mr_new(NULL, 1, sizeof *job);
    if (!job) return NULL;
    job->kind = kind;
    job->run = run;
    snprintf(job->client, sizeof job->client, "%s", client);
    return job;
}

void mr_submit_job_free(mr_submit_job *job) {
    mr_bytes_drop(job->frame);
    mr_free(NULL, job, 1, sizeof *job);
}

mr_status mr_submit_start(mr_desk *desk, mr_lease *lease, mr_error *err) {
    submits *s = mr_new(NULL, 1, sizeof *s);
    if (!s) return mr_fail(err, MR_E_MEMORY, "no memory for the desk of submitted tasks");
    s->lease = lease;
    s->most = GROUP_MAX;
    mr_pg_params_init(&s->params, NULL, PARAMS_MAX);
    mr_pg_params_init(&s->fence, NULL, 64 * 1024);
    desk->name = "submit";
    desk->plan_once = true;
    desk->state = s;
    desk->batch = take_jobs;
    desk->idle = flush_now;
    desk->idle_ms = IDLE_MS;
    desk->stop = stop;
    return mr_desk_start(desk, err);
}
