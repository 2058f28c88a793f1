#include "broker/io/ledger.h"

#include "broker/io/ledger_group.h"
#include "common/clock.h"

#include <stdio.h>
#include <string.h>

/* When results come this fast, a group waits for more: MANY in one group, and a quarter as many while it was written. */
enum { IDLE_MS = 250, MANY = 64, ENOUGH = 2048, ENOUGH_BYTES = 4 * 1024 * 1024, SLICE_MS = 2, SLICES = 4 };

typedef struct ledger {
    mr_lease *lease;
    mr_waiting waiting; /* commits that the database has not taken yet */
    size_t most;        /* results of the next group: fewer while one is looked for that is not taken */
    uint64_t retry_at_ns;
    mr_pg_params fence;
    mr_group_writer *writer;
    mr_group group;
} ledger;

/* ---- statements ---- */

/* Written again when the answer to its COMMIT was lost; an attempt fails once. */
static const mr_pg_statement insert_failure = {
    "ledger_failure",
    "insert into millrace.attempt_failure (run_id, step, level, batch, attempt, worker, status, reason, dead, log)"
    " values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) on conflict (run_id, attempt) do nothing",
    10,
    {MR_PG_INT8, MR_PG_INT4, MR_PG_INT2, MR_PG_INT4, MR_PG_INT8, MR_PG_TEXT, MR_PG_INT4, MR_PG_TEXT, MR_PG_BOOL, MR_PG_TEXT}};

/* Of the life that the broker knows: one that is written again, because the answer to its COMMIT was lost, must not end the
 * life that a replay has begun since. */
static const mr_pg_statement insert_run_end = {
    "ledger_run_end",
    "insert into millrace.run_ending (run_id, life, state, reason, counts) values ($1, $2, $3, $4, $5) on conflict do nothing",
    5,
    {MR_PG_INT8, MR_PG_INT4, MR_PG_TEXT, MR_PG_TEXT, MR_PG_JSONB}};

const mr_pg_statement mr_ledger_lock_run = {
    "run_lock", "select id from millrace.run where id = $1 for no key update", 1, {MR_PG_INT8}};

static const mr_pg_statement insert_cancel = {
    "ledger_cancel",
    "insert into millrace.run_ending (run_id, life, state, reason)"
    " select r.id, coalesce((select max(life) from millrace.run_reopen where run_id = r.id), 0), 'cancelled', $2"
    " from millrace.run r where r.id = $1 on conflict do nothing",
    2,
    {MR_PG_INT8, MR_PG_TEXT}};

/* ---- a group of commits ---- */

void mr_commit_job_clear(mr_commit_job *job) {
    mr_bytes_drop(job->frame);
    mr_free(NULL, job->artifact, job->artifacts, sizeof *job->artifact);
    job->frame = NULL;
    job->artifact = NULL;
}

void mr_commit_job_free(mr_commit_job *job) {
    if (!job) return;
    mr_commit_job_clear(job);
    mr_free(NULL, job, 1, sizeof *job);
}

void mr_commit_work(mr_desk *desk, mr_job *job) {
    (void)desk;
    (void)job;
    MR_ASSERT(false && "commits are written in groups");
}

static bool has_lost(void *lease, mr_job *job) {
    mr_commit_job *c = (mr_commit_job *)job;
    if (mr_lease_holds(lease, c->key.run, c->epoch)) return false;
    c->verdict = MR_RETRY;
    return true;
}

/* What waits for a partition that is not this broker's any more goes back, and keeps nobody waiting. */
static void hand_back_lost(mr_desk *desk, ledger *l) { mr_desk_done(desk, mr_waiting_sift(&l->waiting, has_lost, l->lease)); }

static void note_fence(ledger *l, const mr_pg *pg) {
    if (pg && !strcmp(mr_pg_sqlstate(pg), MR_LEASE_LOST)) atomic_store(&l->lease->doubt, true);
}

/* As many of the waiting jobs as make a group; they stay in the list. */
static mr_status write_some(mr_desk *desk, ledger *l, mr_error *err) {
    mr_pg *pg;
    mr_group_begin(&l->group);
    for (mr_job *job = l->waiting.head; job && l->group.n < l->most && mr_group_add(&l->group, (mr_commit_job *)job);) job = job->next;
    MR_TRY(mr_desk_database(desk, &pg, err));
    return mr_group_write(l->writer, pg, l->lease, &l->group, err);
}

/* Commits wait, all else is done now. */
static void sort(mr_desk *desk, ledger *l, mr_job *jobs) {
    while (jobs) {
        mr_job *job = jobs;
        jobs = job->next;
        job->next = NULL;
        if (job->work == mr_commit_work) {
            mr_waiting_add(&l->waiting, job);
        } else {
            job->work(desk, job);
            mr_desk_done(desk, job);
        }
    }
}

/* A large group costs less a result than a small one, so while results come fast they are let gather for some milliseconds,
 * until none comes. How fast is what came while the group was written, before anyone heard of it: who sends only after an
 * answer is not waited for. */
static void let_gather(mr_desk *desk, ledger *l) {
    bool fast = l->group.n >= MANY && l->group.bytes < ENOUGH_BYTES && l->waiting.count >= MANY / 4;
    for (int slice = 0; fast && slice < SLICES && l->waiting.count < ENOUGH; slice++) {
        mr_job *came = mr_queue_take_some(&desk->in, ENOUGH - l->waiting.count, SLICE_MS);
        fast = came != NULL;
        sort(desk, l, came);
    }
}

/* ---- one result that is not taken does not hold up the others ---- */

bool mr_ledger_at_fault(const mr_pg *pg, const mr_error *err) {
    return pg && strcmp(mr_pg_sqlstate(pg), MR_LEASE_LOST) && !mr_status_of((int)err->status)->retryable;
}

bool mr_ledger_set_aside(mr_desk *desk, mr_waiting *waiting, const mr_error *err) {
    mr_commit_job *job = (mr_commit_job *)mr_waiting_take(waiting, 1);
    if (err->status != MR_E_INVALID && err->status != MR_E_LIMIT) {
        mr_waiting_add(waiting, &job->head);
        return false;
    }
    job->verdict = MR_REFUSED;
    (void)mr_fail(&job->head.error, err->status, "the database refuses the result: %s", err->text);
    mr_desk_done(desk, &job->head);
    return true;
}

/* The group is halved until who is at fault is alone. True when the next can be tried at once. */
static bool set_apart(mr_desk *desk, ledger *l, const mr_error *err) {
    if (!mr_ledger_at_fault(desk->pg, err)) return false;
    l->most = (l->group.n + 1) / 2;
    return l->group.n > 1 || mr_ledger_set_aside(desk, &l->waiting, err);
}

/* True when it is to be tried at once what is next. */
static bool not_taken(mr_desk *desk, ledger *l, const mr_error *err) {
    MR_LOG(desk->log, MR_LOG_WARN, "ledger", "commit_failed", MR_LOG_INT("results", l->group.n), MR_LOG_TEXT("reason", err->text));
    note_fence(l, desk->pg);
    if (set_apart(desk, l, err)) return true;
    l->retry_at_ns = mr_clock_monotonic_ns() + 200000000u;
    return false;
}

/* Writes what waits. What the database does not take stays and is tried again. */
static void flush(mr_desk *desk, ledger *l) {
    while (hand_back_lost(desk, l), l->waiting.head) {
        mr_error err = {0};
        if (write_some(desk, l, &err) != MR_OK) {
            if (not_taken(desk, l, &err)) continue;
            return;
        }
        l->most = l->most < MR_GROUP_MAX / 2 ? 2 * l->most : MR_GROUP_MAX;
        mr_job *came = mr_queue_take(&desk->in, 0);
        mr_desk_done(desk, mr_waiting_take(&l->waiting, l->group.n));
        sort(desk, l, came);
        let_gather(desk, l);
    }
}

/* ---- single rows ---- */

mr_status mr_ledger_write(mr_desk *desk, uint64_t run, int64_t epoch, const mr_pg_statement *st, const mr_pg_params *p,
                          uint64_t *changed, mr_error *err) {
    ledger *l = desk->state;
    mr_pg *pg;
    mr_pg_result *r = NULL;
    mr_pg_outcome outcome;
    if (!mr_lease_holds(l->lease, run, epoch))
        return mr_fail(err, MR_E_CONFLICT, "run %llu has gone to another broker", (unsigned long long)run);
    MR_TRY(mr_desk_database(desk, &pg, err));
    mr_lease_put_fence(&l->fence, l->lease, &(int64_t){(int64_t)run}, 1);
    mr_status s = mr_pg_begin(pg, err);
    if (s == MR_OK) s = mr_pg_exec(pg, &mr_lease_fence_statement, &l->fence, NULL, err);
    if (s != MR_OK) note_fence(l, pg);
    if (s == MR_OK) s = mr_pg_exec(pg, st, p, &r, err);
    *changed = s == MR_OK ? mr_pg_changed(r) : 0;
    mr_pg_result_free(&r);
    if (s == MR_OK) s = mr_pg_commit(pg, &outcome, err);
    if (s != MR_OK) mr_pg_rollback(pg);
    return s;
}

void mr_failure_work(mr_desk *desk, mr_job *job) {
    mr_failure_job *f = (mr_failure_job *)job;
    uint64_t changed;
    mr_pg_params p;
    mr_pg_params_init(&p, NULL, 8192);
    mr_pg_put_int8(&p, (int64_t)f->key.run);
    mr_pg_put_int4(&p, (int32_t)f->key.step);
    mr_pg_put_int2(&p, (int16_t)f->key.level);
    mr_pg_put_int4(&p, (int32_t)f->key.index);
    mr_pg_put_int8(&p, (int64_t)f->attempt);
    mr_pg_put_text(&p, f->worker);
    mr_pg_put_int4(&p, (int32_t)f->cause);
    mr_pg_put_text(&p, f->reason);
    mr_pg_put_bool(&p, f->dead);
    mr_pg_put_text(&p, f->log);
    job->status = mr_ledger_write(desk, f->key.run, f->epoch, &insert_failure, &p, &changed, &job->error);
    mr_pg_params_free(&p);
}

static const char *run_state_word(mr_run_state s) {
    return s == MR_RUN_SUCCEEDED ? "succeeded" : s == MR_RUN_FAILED ? "failed" : "cancelled";
}

void mr_run_end_work(mr_desk *desk, mr_job *job) {
    mr_run_end_job *e = (mr_run_end_job *)job;
    uint64_t changed;
    mr_pg_params p;
    mr_pg_params_init(&p, NULL, 8192);
    mr_pg_put_int8(&p, (int64_t)e->run);
    mr_pg_put_int4(&p, e->life);
    mr_pg_put_text(&p, run_state_word(e->state));
    mr_pg_put_text(&p, e->reason);
    mr_pg_put_jsonb(&p, mr_span_of(e->counts[0] ? e->counts : "[]"));
    job->status = mr_ledger_write(desk, e->run, e->epoch, &insert_run_end, &p, &changed, &job->error);
    if (job->status == MR_OK) e->existed = changed == 0;
    mr_pg_params_free(&p);
}

static mr_status lock_run(mr_pg *pg, mr_pg_params *p, uint64_t run, mr_error *err) {
    mr_pg_params_clear(p);
    mr_pg_put_int8(p, (int64_t)run);
    return mr_pg_exec(pg, &mr_ledger_lock_run, p, NULL, err);
}

static mr_status cancel(mr_pg *pg, mr_run_end_job *e, mr_error *err) {
    mr_pg_params p;
    mr_pg_result *r = NULL;
    mr_pg_params_init(&p, NULL, 1024);
    mr_status s = lock_run(pg, &p, e->run, err);
    mr_pg_params_clear(&p);
    mr_pg_put_int8(&p, (int64_t)e->run);
    mr_pg_put_text(&p, e->reason);
    if (s == MR_OK) s = mr_pg_exec(pg, &insert_cancel, &p, &r, err);
    mr_pg_params_free(&p);
    e->existed = s == MR_OK && mr_pg_changed(r) == 0;
    mr_pg_result_free(&r);
    return s == MR_OK && !e->existed ? mr_lease_notify(pg, err, "cancel %llu", (unsigned long long)e->run) : s;
}

void mr_run_cancel_work(mr_desk *desk, mr_job *job) {
    mr_pg *pg;
    mr_pg_outcome outcome;
    mr_status s = mr_desk_database(desk, &pg, &job->error);
    if (s == MR_OK) s = mr_pg_begin(pg, &job->error);
    if (s == MR_OK) {
        s = cancel(pg, (mr_run_end_job *)job, &job->error);
        if (s == MR_OK) s = mr_pg_commit(pg, &outcome, &job->error);
        if (s != MR_OK) mr_pg_rollback(pg);
    }
    job->status = s;
}

/* ---- the desk ---- */

static void flush_now(mr_desk *desk) {
    ledger *l = desk->state;
    if (!l->waiting.head || mr_clock_monotonic_ns() < l->retry_at_ns) return;
    flush(desk, l);
}

static void take_jobs(mr_desk *desk, mr_job *jobs) {
    sort(desk, desk->state, jobs);
    flush_now(desk);
}

/* Sees to what waits for a database that was away. */
static void idle(mr_desk *desk) { flush_now(desk); }

/* What the database still does not take goes back: the workers keep it. */
static void stop(mr_desk *desk) {
    ledger *l = desk->state;
    for (mr_job *job = l->waiting.head; job; job = job->next) ((mr_commit_job *)job)->verdict = MR_RETRY;
    mr_desk_done(desk, l->waiting.head);
    mr_pg_params_free(&l->fence);
    mr_group_writer_free(l->writer);
    mr_free(NULL, l, 1, sizeof *l);
}

mr_status mr_ledger_start(mr_desk *desk, mr_lease *lease, mr_error *err) {
    ledger *l = mr_new(NULL, 1, sizeof *l);
    mr_group_writer *writer = l ? mr_group_writer_new() : NULL;
    if (!writer) {
        mr_free(NULL, l, 1, sizeof *l);
        return mr_fail(err, MR_E_MEMORY, "no memory for the ledger");
    }
    l->lease = lease;
    l->most = MR_GROUP_MAX;
    l->writer = writer;
    mr_pg_params_init(&l->fence, NULL, 64 * 1024);
    desk->name = "ledger";
    desk->state = l;
    desk->batch = take_jobs;
    desk->idle = idle;
    desk->idle_ms = IDLE_MS;
    desk->stop = stop;
    return mr_desk_start(desk, err);
}
