#include "broker/io/ledger.h"

#include "common/clock.h"

#include <stdio.h>
#include <string.h>

/* COPY_FROM: below it a statement in one round trip is quicker than a COPY in four. */
enum { GROUP_MAX = 1000, GROUP_BYTES = 32 * 1024 * 1024, PARAMS_MAX = 256 * 1024 * 1024, IDLE_MS = 250, COPY_FROM = 24 };

/* The commits that are written together, as columns for unnest. */
typedef struct group {
    size_t n;
    bool artifacts; /* some have */
    mr_commit_job *job[GROUP_MAX];
    int64_t run[GROUP_MAX], first[GROUP_MAX], rows[GROUP_MAX], attempt[GROUP_MAX], us[GROUP_MAX];
    int32_t step[GROUP_MAX], batch[GROUP_MAX];
    int16_t level[GROUP_MAX];
    bool last[GROUP_MAX];
    mr_span worker[GROUP_MAX], hash[GROUP_MAX], body[GROUP_MAX];
} group;

typedef struct ledger {
    mr_lease *lease;
    mr_waiting waiting; /* commits that the database has not taken yet */
    uint64_t retry_at_ns;
    mr_pg_params results, artifacts, names, fence;
    mr_buf rows;        /* of a COPY */
    group group;
} ledger;

/* ---- statements ---- */

static const mr_pg_statement insert_results = {
    "ledger_results",
    "insert into millrace.result (run_id, step, level, batch, last, first_row, row_count, attempt, worker, compute_us,"
    " body_hash, body)"
    " select * from unnest($1::bigint[], $2::int[], $3::smallint[], $4::int[], $5::boolean[], $6::bigint[], $7::bigint[],"
    " $8::bigint[], $9::text[], $10::bigint[], $11::bytea[], $12::bytea[])"
    " on conflict do nothing returning run_id, step, level, batch",
    12,
    {MR_PG_INT8S, MR_PG_INT4S, MR_PG_INT2S, MR_PG_INT4S, MR_PG_BOOLS, MR_PG_INT8S, MR_PG_INT8S, MR_PG_INT8S, MR_PG_TEXTS,
     MR_PG_INT8S, MR_PG_BYTEAS, MR_PG_BYTEAS}};

/* Artifacts and their names only for results whose attempt won. Stored bytes that differ under the same hash are damaged. */
static const mr_pg_statement insert_artifacts = {
    "ledger_artifacts",
    "insert into millrace.artifact (hash, media_type, bytes)"
    " select * from unnest($1::bytea[], $2::text[], $3::bytea[]) where exists (select 1 from millrace.result"
    " where run_id = $4 and step = $5 and level = $6 and batch = $7 and attempt = $8)"
    " on conflict (hash) do update set bytes = excluded.bytes where artifact.bytes <> excluded.bytes",
    8,
    {MR_PG_BYTEAS, MR_PG_TEXTS, MR_PG_BYTEAS, MR_PG_INT8, MR_PG_INT4, MR_PG_INT2, MR_PG_INT4, MR_PG_INT8}};

static const mr_pg_statement insert_names = {
    "ledger_artifact_names",
    "insert into millrace.run_artifact (run_id, step, level, batch, name, hash)"
    " select a.run_id, a.step, a.level, a.batch, a.name, a.hash from unnest($1::bigint[], $2::int[], $3::smallint[],"
    " $4::int[], $5::bigint[], $6::text[], $7::bytea[]) a (run_id, step, level, batch, attempt, name, hash)"
    " join millrace.result r using (run_id, step, level, batch, attempt) on conflict do nothing",
    7,
    {MR_PG_INT8S, MR_PG_INT4S, MR_PG_INT2S, MR_PG_INT4S, MR_PG_INT8S, MR_PG_TEXTS, MR_PG_BYTEAS}};

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

static void add_to_group(group *g, mr_commit_job *job) {
    size_t i = g->n++;
    g->job[i] = job;
    g->artifacts |= job->artifacts > 0;
    g->run[i] = (int64_t)job->key.run;
    g->step[i] = (int32_t)job->key.step;
    g->level[i] = (int16_t)job->key.level;
    g->batch[i] = (int32_t)job->key.index;
    g->last[i] = job->last;
    g->first[i] = (int64_t)job->first_row;
    g->rows[i] = (int64_t)job->rows;
    g->attempt[i] = (int64_t)job->attempt;
    g->us[i] = (int64_t)job->compute_us;
    g->worker[i] = mr_span_of(job->worker);
    g->hash[i] = mr_hash_span(&job->hash);
    g->body[i] = job->body;
}

/* As many of the waiting jobs as make a group; they stay in the list. */
static void gather(const ledger *l, group *g) {
    size_t bytes = 0;
    g->n = 0;
    g->artifacts = false;
    for (mr_job *job = l->waiting.head; job && g->n < GROUP_MAX; job = job->next) {
        mr_commit_job *c = (mr_commit_job *)job;
        bytes += c->body.len;
        for (uint32_t i = 0; i < c->artifacts; i++) bytes += c->artifact[i].bytes.len;
        if (g->n && bytes > GROUP_BYTES) break;
        add_to_group(g, c);
    }
}

static void put_results(mr_pg_params *p, const group *g) {
    mr_pg_params_clear(p);
    mr_pg_put_int8s(p, g->run, NULL, g->n);
    mr_pg_put_int4s(p, g->step, NULL, g->n);
    mr_pg_put_int2s(p, g->level, NULL, g->n);
    mr_pg_put_int4s(p, g->batch, NULL, g->n);
    mr_pg_put_bools(p, g->last, NULL, g->n);
    mr_pg_put_int8s(p, g->first, NULL, g->n);
    mr_pg_put_int8s(p, g->rows, NULL, g->n);
    mr_pg_put_int8s(p, g->attempt, NULL, g->n);
    mr_pg_put_texts(p, g->worker, NULL, g->n);
    mr_pg_put_int8s(p, g->us, NULL, g->n);
    mr_pg_put_byteas(p, g->hash, NULL, g->n);
    mr_pg_put_byteas(p, g->body, NULL, g->n);
}

/* The artifacts of one job; they are few, so a job at a time. */
static void put_artifacts(mr_pg_params *blobs, mr_pg_params *names, const mr_commit_job *c) {
    mr_span hash[MR_ARTIFACTS_MAX], media[MR_ARTIFACTS_MAX], bytes[MR_ARTIFACTS_MAX], name[MR_ARTIFACTS_MAX];
    int64_t run[MR_ARTIFACTS_MAX], attempt[MR_ARTIFACTS_MAX];
    int32_t step[MR_ARTIFACTS_MAX], batch[MR_ARTIFACTS_MAX];
    int16_t level[MR_ARTIFACTS_MAX];
    for (uint32_t i = 0; i < c->artifacts; i++) {
        hash[i] = mr_hash_span(&c->artifact[i].hash);
        media[i] = mr_span_of(c->artifact[i].media_type);
        name[i] = mr_span_of(c->artifact[i].name);
        bytes[i] = c->artifact[i].bytes;
        run[i] = (int64_t)c->key.run;
        attempt[i] = (int64_t)c->attempt;
        step[i] = (int32_t)c->key.step;
        batch[i] = (int32_t)c->key.index;
        level[i] = (int16_t)c->key.level;
    }
    mr_pg_params_clear(blobs);
    mr_pg_put_byteas(blobs, hash, NULL, c->artifacts);
    mr_pg_put_texts(blobs, media, NULL, c->artifacts);
    mr_pg_put_byteas(blobs, bytes, NULL, c->artifacts);
    mr_pg_put_int8(blobs, (int64_t)c->key.run);
    mr_pg_put_int4(blobs, (int32_t)c->key.step);
    mr_pg_put_int2(blobs, (int16_t)c->key.level);
    mr_pg_put_int4(blobs, (int32_t)c->key.index);
    mr_pg_put_int8(blobs, (int64_t)c->attempt);
    mr_pg_params_clear(names);
    mr_pg_put_int8s(names, run, NULL, c->artifacts);
    mr_pg_put_int4s(names, step, NULL, c->artifacts);
    mr_pg_put_int2s(names, level, NULL, c->artifacts);
    mr_pg_put_int4s(names, batch, NULL, c->artifacts);
    mr_pg_put_int8s(names, attempt, NULL, c->artifacts);
    mr_pg_put_texts(names, name, NULL, c->artifacts);
    mr_pg_put_byteas(names, hash, NULL, c->artifacts);
}

/* Sends the whole transaction; fence first, so that nothing is written without it. */
static mr_status send_group(ledger *l, mr_pg *pg, const group *g, mr_error *err) {
    mr_lease_put_fence(&l->fence, l->lease, g->run, g->n);
    MR_TRY(mr_pg_pipeline_send(pg, &mr_lease_fence_statement, &l->fence, err));
    put_results(&l->results, g);
    MR_TRY(mr_pg_pipeline_send(pg, &insert_results, &l->results, err));
    for (size_t i = 0; i < g->n; i++) {
        if (!g->job[i]->artifacts) continue;
        put_artifacts(&l->artifacts, &l->names, g->job[i]);
        MR_TRY(mr_pg_pipeline_send(pg, &insert_artifacts, &l->artifacts, err));
        MR_TRY(mr_pg_pipeline_send(pg, &insert_names, &l->names, err));
    }
    return mr_pg_pipeline_sync(pg, err);
}

/* RETURNING gives the inserted keys, nearly always in the order they were sent: so the search starts where the last one
 * was found, and goes once round. */
static void mark_inserted(group *g, const mr_pg_result *inserted) {
    size_t at = 0;
    for (uint32_t i = 0; i < mr_pg_rows(inserted); i++) {
        mr_pg_row row = mr_pg_row_at(inserted, i);
        int64_t run = mr_pg_int(&row, 0), step = mr_pg_int(&row, 1), level = mr_pg_int(&row, 2), batch = mr_pg_int(&row, 3);
        for (size_t tried = 0; tried < g->n; tried++, at = (at + 1) % g->n)
            if (g->batch[at] == batch && g->run[at] == run && g->step[at] == step && g->level[at] == level) break;
        g->job[at]->verdict = MR_COMMITTED;
    }
}

/* Reads every answer of the group; the first error is the group's. `inserted`: the second answer is that of the insert. */
static mr_status receive_group(mr_pg *pg, group *g, bool inserted, mr_error *err) {
    mr_status first = MR_OK;
    for (unsigned n = 0;; n++) {
        mr_pg_result *r = NULL;
        bool synced = false;
        mr_error why;
        mr_status s = mr_pg_pipeline_next(pg, &r, &synced, &why);
        if (inserted && s == MR_OK && !synced && n == 1 && r) mark_inserted(g, r);
        mr_pg_result_free(&r);
        if (s != MR_OK && first == MR_OK) {
            first = s;
            *err = why;
        }
        if (synced || !mr_pg_alive(pg)) return first;
    }
}

static mr_status insert_group(ledger *l, mr_pg *pg, group *g, mr_error *err) {
    MR_TRY(mr_pg_prepare(pg, &mr_lease_fence_statement, err));
    MR_TRY(mr_pg_prepare(pg, &insert_results, err));
    MR_TRY(mr_pg_prepare(pg, &insert_artifacts, err));
    MR_TRY(mr_pg_prepare(pg, &insert_names, err));
    MR_TRY(mr_pg_pipeline_begin(pg, err));
    mr_status sent = send_group(l, pg, g, err);
    mr_status s = sent == MR_OK ? receive_group(pg, g, true, err) : sent;
    mr_error ignored;
    mr_status ended = mr_pg_pipeline_end(pg, s == MR_OK ? err : &ignored);
    return s == MR_OK ? ended : s;
}

/* ---- a large group goes by COPY ---- */

static const mr_pg_statement begin = {"ledger_begin", "begin", 0, {0}};

static const char copy_results[] =
    "copy millrace.result (run_id, step, level, batch, last, first_row, row_count, attempt, worker, compute_us, body_hash,"
    " body) from stdin (format binary)";

static void put_rows(mr_buf *rows, const group *g) {
    mr_buf_clear(rows);
    for (size_t i = 0; i < g->n; i++) {
        mr_pg_cells(rows, 12);
        mr_pg_cell_int8(rows, g->run[i]);
        mr_pg_cell_int4(rows, g->step[i]);
        mr_pg_cell_int2(rows, g->level[i]);
        mr_pg_cell_int4(rows, g->batch[i]);
        mr_pg_cell_bool(rows, g->last[i]);
        mr_pg_cell_int8(rows, g->first[i]);
        mr_pg_cell_int8(rows, g->rows[i]);
        mr_pg_cell_int8(rows, g->attempt[i]);
        mr_pg_cell_bytes(rows, g->worker[i]);
        mr_pg_cell_int8(rows, g->us[i]);
        mr_pg_cell_bytes(rows, g->hash[i]);
        mr_pg_cell_bytes(rows, g->body[i]);
    }
}

/* Opens the transaction and fences it, in one round trip. */
static mr_status begin_fenced(ledger *l, mr_pg *pg, group *g, mr_error *err) {
    MR_TRY(mr_pg_prepare(pg, &begin, err));
    MR_TRY(mr_pg_prepare(pg, &mr_lease_fence_statement, err));
    mr_lease_put_fence(&l->fence, l->lease, g->run, g->n);
    MR_TRY(mr_pg_pipeline_begin(pg, err));
    mr_status s = mr_pg_pipeline_send(pg, &begin, NULL, err);
    if (s == MR_OK) s = mr_pg_pipeline_send(pg, &mr_lease_fence_statement, &l->fence, err);
    if (s == MR_OK) s = mr_pg_pipeline_sync(pg, err);
    if (s == MR_OK) s = receive_group(pg, g, false, err);
    mr_error ignored;
    mr_status ended = mr_pg_pipeline_end(pg, s == MR_OK ? err : &ignored);
    return s == MR_OK ? ended : s;
}

static mr_status copy_in_transaction(ledger *l, mr_pg *pg, const group *g, mr_error *err) {
    mr_pg_outcome outcome;
    MR_TRY(mr_pg_copy_begin(pg, copy_results, err));
    put_rows(&l->rows, g);
    mr_status s = mr_pg_copy_rows(pg, &l->rows, err);
    if (s != MR_OK) mr_pg_copy_abort(pg);
    else s = mr_pg_copy_end(pg, NULL, err);
    return s == MR_OK ? mr_pg_commit(pg, &outcome, err) : s;
}

/* E_EXISTS when a row of the group was there before: then nothing is written. */
static mr_status copy_group(ledger *l, mr_pg *pg, group *g, mr_error *err) {
    mr_status s = begin_fenced(l, pg, g, err);
    if (s == MR_OK) s = copy_in_transaction(l, pg, g, err);
    for (size_t i = 0; i < g->n && s == MR_OK; i++) g->job[i]->verdict = MR_COMMITTED;
    if (s != MR_OK) mr_pg_rollback(pg);
    return s;
}

static mr_status write_group(ledger *l, mr_pg *pg, group *g, mr_error *err) {
    for (size_t i = 0; i < g->n; i++) g->job[i]->verdict = MR_STALE;
    mr_status s = g->n >= COPY_FROM && !g->artifacts ? copy_group(l, pg, g, err) : MR_E_EXISTS;
    return s == MR_E_EXISTS ? insert_group(l, pg, g, err) : s;
}

/* ---- what was there before ---- */

/* A row that was there before is either another attempt's (stale) or our own from a commit whose answer was lost: then
 * it is committed. */
static mr_status settle_stale(mr_pg *pg, mr_pg_params *p, const group *g, mr_error *err) {
    for (size_t i = 0; i < g->n; i++) MR_TRY(mr_ledger_settle(pg, p, g->job[i], err));
    return MR_OK;
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

/* Writes what waits. False when the database did not take it: it stays and is tried again. */
static bool flush(mr_desk *desk, ledger *l) {
    group *g = &l->group;
    while (hand_back_lost(desk, l), l->waiting.head) {
        mr_error err = {0};
        mr_pg *pg;
        mr_status s = mr_desk_database(desk, &pg, &err);
        gather(l, g);
        if (s == MR_OK) s = write_group(l, pg, g, &err);
        if (s == MR_OK) s = settle_stale(pg, &l->results, g, &err);
        if (s != MR_OK) {
            MR_LOG(desk->log, MR_LOG_WARN, "ledger", "commit_failed", MR_LOG_INT("results", g->n), MR_LOG_TEXT("reason", err.text));
            note_fence(l, desk->pg);
            l->retry_at_ns = mr_clock_monotonic_ns() + 200000000u;
            return false;
        }
        mr_desk_done(desk, mr_waiting_take(&l->waiting, g->n));
    }
    return true;
}

/* ---- one result for itself ---- */

static mr_status write_one_artifacts(mr_pg *pg, mr_pg_params *p, const mr_commit_job *job, mr_error *err) {
    mr_pg_params names;
    if (!job->artifacts) return MR_OK;
    mr_pg_params_init(&names, NULL, PARAMS_MAX);
    put_artifacts(p, &names, job);
    mr_status s = mr_pg_exec(pg, &insert_artifacts, p, NULL, err);
    if (s == MR_OK) s = mr_pg_exec(pg, &insert_names, &names, NULL, err);
    mr_pg_params_free(&names);
    return s;
}

mr_status mr_ledger_write_one(mr_pg *pg, mr_commit_job *job, mr_error *err) {
    mr_pg_params p;
    mr_pg_result *r = NULL;
    group *g = mr_new(NULL, 1, sizeof *g);
    if (!g) return mr_fail(err, MR_E_MEMORY, "no memory for a result");
    mr_pg_params_init(&p, NULL, PARAMS_MAX);
    add_to_group(g, job);
    job->verdict = MR_STALE;
    put_results(&p, g);
    mr_status s = mr_pg_exec(pg, &insert_results, &p, &r, err);
    if (s == MR_OK) mark_inserted(g, r);
    mr_pg_result_free(&r);
    if (s == MR_OK) s = write_one_artifacts(pg, &p, job, err);
    if (s == MR_OK) s = settle_stale(pg, &p, g, err);
    mr_pg_params_free(&p);
    mr_free(NULL, g, 1, sizeof *g);
    return s;
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
    ledger *l = desk->state;
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
    flush_now(desk);
}

/* Sees to what waits for a database that was away. */
static void idle(mr_desk *desk) { flush_now(desk); }

/* What the database still does not take goes back: the workers keep it. */
static void stop(mr_desk *desk) {
    ledger *l = desk->state;
    for (mr_job *job = l->waiting.head; job; job = job->next) ((mr_commit_job *)job)->verdict = MR_RETRY;
    mr_desk_done(desk, l->waiting.head);
    mr_pg_params_free(&l->results);
    mr_pg_params_free(&l->artifacts);
    mr_pg_params_free(&l->names);
    mr_pg_params_free(&l->fence);
    mr_buf_free(&l->rows);
    mr_free(NULL, l, 1, sizeof *l);
}

mr_status mr_ledger_start(mr_desk *desk, mr_lease *lease, mr_error *err) {
    ledger *l = mr_new(NULL, 1, sizeof *l);
    if (!l) return mr_fail(err, MR_E_MEMORY, "no memory for the ledger");
    l->lease = lease;
    mr_pg_params_init(&l->results, NULL, PARAMS_MAX);
    mr_pg_params_init(&l->artifacts, NULL, PARAMS_MAX);
    mr_pg_params_init(&l->names, NULL, PARAMS_MAX);
    mr_pg_params_init(&l->fence, NULL, 1024 * 1024);
    mr_buf_init(&l->rows, NULL, PARAMS_MAX);
    desk->name = "ledger";
    desk->state = l;
    desk->batch = take_jobs;
    desk->idle = idle;
    desk->idle_ms = IDLE_MS;
    desk->stop = stop;
    return mr_desk_start(desk, err);
}
