#include "broker/io/ledger_group.h"

#include <string.h>

/* COPY_FROM: below it a statement in one round trip is quicker than a COPY in four. COLUMNS: rows of one statement. */
enum { PARAMS_MAX = 256 * 1024 * 1024, COPY_FROM = 24, COLUMNS = 512, COPY_PART = 64 * 1024 };

/* Rows as columns, for unnest. */
typedef struct columns {
    size_t n;
    int64_t run[COLUMNS], first[COLUMNS], rows[COLUMNS], attempt[COLUMNS], us[COLUMNS];
    int32_t step[COLUMNS], batch[COLUMNS];
    int16_t level[COLUMNS];
    bool last[COLUMNS];
    mr_span worker[COLUMNS], hash[COLUMNS], body[COLUMNS];
} columns;

struct mr_group_writer {
    mr_pg_params results, artifacts, names, fence;
    mr_buf rows; /* of a COPY */
    columns columns;
};

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

/* ---- a group ---- */

void mr_group_begin(mr_group *g) {
    g->n = g->bytes = 0;
    g->artifacts = false;
}

bool mr_group_add(mr_group *g, mr_commit_job *job) {
    size_t bytes = job->body.len;
    for (uint32_t i = 0; i < job->artifacts; i++) bytes += job->artifact[i].bytes.len;
    if (g->n == MR_GROUP_MAX || (g->n && (g->bytes > MR_GROUP_BYTES || bytes > MR_GROUP_BYTES - g->bytes))) return false;
    g->bytes += bytes;
    g->artifacts |= job->artifacts > 0;
    g->run[g->n] = (int64_t)job->key.run;
    g->job[g->n++] = job;
    return true;
}

mr_group_writer *mr_group_writer_new(void) {
    mr_group_writer *w = mr_new(NULL, 1, sizeof *w);
    if (!w) return NULL;
    mr_pg_params_init(&w->results, NULL, PARAMS_MAX);
    mr_pg_params_init(&w->artifacts, NULL, PARAMS_MAX);
    mr_pg_params_init(&w->names, NULL, PARAMS_MAX);
    mr_pg_params_init(&w->fence, NULL, 64 * 1024);
    mr_buf_init(&w->rows, NULL, PARAMS_MAX);
    return w;
}

void mr_group_writer_free(mr_group_writer *w) {
    if (!w) return;
    mr_pg_params_free(&w->results);
    mr_pg_params_free(&w->artifacts);
    mr_pg_params_free(&w->names);
    mr_pg_params_free(&w->fence);
    mr_buf_free(&w->rows);
    mr_free(NULL, w, 1, sizeof *w);
}

/* ---- few results go by INSERT ---- */

static void add_columns(columns *c, const mr_commit_job *job) {
    size_t i = c->n++;
    c->run[i] = (int64_t)job->key.run;
    c->step[i] = (int32_t)job->key.step;
    c->level[i] = (int16_t)job->key.level;
    c->batch[i] = (int32_t)job->key.index;
    c->last[i] = job->last;
    c->first[i] = (int64_t)job->first_row;
    c->rows[i] = (int64_t)job->rows;
    c->attempt[i] = (int64_t)job->attempt;
    c->us[i] = (int64_t)job->compute_us;
    c->worker[i] = mr_span_of(job->worker);
    c->hash[i] = mr_hash_span(&job->hash);
    c->body[i] = job->body;
}

/* At most COLUMNS jobs. */
static void put_results(mr_group_writer *w, mr_commit_job *const *jobs, size_t n) {
    columns *c = &w->columns;
    mr_pg_params *p = &w->results;
    c->n = 0;
    for (size_t i = 0; i < n; i++) add_columns(c, jobs[i]);
    mr_pg_params_clear(p);
    mr_pg_put_int8s(p, c->run, NULL, n);
    mr_pg_put_int4s(p, c->step, NULL, n);
    mr_pg_put_int2s(p, c->level, NULL, n);
    mr_pg_put_int4s(p, c->batch, NULL, n);
    mr_pg_put_bools(p, c->last, NULL, n);
    mr_pg_put_int8s(p, c->first, NULL, n);
    mr_pg_put_int8s(p, c->rows, NULL, n);
    mr_pg_put_int8s(p, c->attempt, NULL, n);
    mr_pg_put_texts(p, c->worker, NULL, n);
    mr_pg_put_int8s(p, c->us, NULL, n);
    mr_pg_put_byteas(p, c->hash, NULL, n);
    mr_pg_put_byteas(p, c->body, NULL, n);
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
static mr_status send_group(mr_group_writer *w, mr_pg *pg, const mr_lease *lease, const mr_group *g, mr_error *err) {
    mr_lease_put_fence(&w->fence, lease, g->run, g->n);
    MR_TRY(mr_pg_pipeline_send(pg, &mr_lease_fence_statement, &w->fence, err));
    for (size_t at = 0; at < g->n; at += COLUMNS) {
        put_results(w, g->job + at, g->n - at < COLUMNS ? g->n - at : COLUMNS);
        MR_TRY(mr_pg_pipeline_send(pg, &insert_results, &w->results, err));
    }
    for (size_t i = 0; i < g->n; i++) {
        if (!g->job[i]->artifacts) continue;
        put_artifacts(&w->artifacts, &w->names, g->job[i]);
        MR_TRY(mr_pg_pipeline_send(pg, &insert_artifacts, &w->artifacts, err));
        MR_TRY(mr_pg_pipeline_send(pg, &insert_names, &w->names, err));
    }
    return mr_pg_pipeline_sync(pg, err);
}

static bool is_of(const mr_commit_job *job, const mr_work_key *key) {
    return job->key.run == key->run && job->key.step == key->step && job->key.level == key->level && job->key.index == key->index;
}

typedef struct marking {
    const mr_group *group;
    size_t inserts, at; /* at: where the last one was found */
} marking;

/* The answers behind the fence's are of inserted results, so many as there are inserts. RETURNING gives the inserted keys, nearly
 * always in the order they were sent: so each search starts where the last one ended, and goes once round. */
static void mark_inserted(void *context, size_t n, const mr_pg_result *r) {
    marking *m = context;
    const mr_group *g = m->group;
    if (n < 1 || n > m->inserts) return;
    for (uint32_t i = 0; i < mr_pg_rows(r); i++) {
        mr_pg_row row = mr_pg_row_at(r, i);
        mr_work_key key = {.run = (uint64_t)mr_pg_int(&row, 0), .step = (uint32_t)mr_pg_int(&row, 1),
                           .level = (uint32_t)mr_pg_int(&row, 2), .index = (uint32_t)mr_pg_int(&row, 3)};
        for (size_t tried = 0; tried < g->n && !is_of(g->job[m->at], &key); tried++) m->at = (m->at + 1) % g->n;
        g->job[m->at]->verdict = MR_COMMITTED;
    }
}

static mr_status insert_group(mr_group_writer *w, mr_pg *pg, const mr_lease *lease, const mr_group *g, mr_error *err) {
    MR_TRY(mr_pg_prepare(pg, &mr_lease_fence_statement, err));
    MR_TRY(mr_pg_prepare(pg, &insert_results, err));
    MR_TRY(mr_pg_prepare(pg, &insert_artifacts, err));
    MR_TRY(mr_pg_prepare(pg, &insert_names, err));
    MR_TRY(mr_pg_pipeline_begin(pg, err));
    marking m = {.group = g, .inserts = (g->n + COLUMNS - 1) / COLUMNS};
    mr_status sent = send_group(w, pg, lease, g, err);
    return mr_pg_pipeline_finish(pg, sent, mark_inserted, &m, err);
}

/* ---- many go by COPY ---- */

static const mr_pg_statement begin = {"ledger_begin", "begin", 0, {0}};

static const char copy_results[] =
    "copy millrace.result (run_id, step, level, batch, last, first_row, row_count, attempt, worker, compute_us, body_hash,"
    " body) from stdin (format binary)";

static void put_row(mr_buf *rows, const mr_commit_job *job) {
    mr_pg_cells(rows, 12);
    mr_pg_cell_int8(rows, (int64_t)job->key.run);
    mr_pg_cell_int4(rows, (int32_t)job->key.step);
    mr_pg_cell_int2(rows, (int16_t)job->key.level);
    mr_pg_cell_int4(rows, (int32_t)job->key.index);
    mr_pg_cell_bool(rows, job->last);
    mr_pg_cell_int8(rows, (int64_t)job->first_row);
    mr_pg_cell_int8(rows, (int64_t)job->rows);
    mr_pg_cell_int8(rows, (int64_t)job->attempt);
    mr_pg_cell_bytes(rows, mr_span_of(job->worker));
    mr_pg_cell_int8(rows, (int64_t)job->compute_us);
    mr_pg_cell_bytes(rows, mr_hash_span(&job->hash));
    mr_pg_cell_bytes(rows, job->body);
}

/* Opens the transaction and fences it, in one round trip. */
static mr_status begin_fenced(mr_group_writer *w, mr_pg *pg, const mr_lease *lease, const mr_group *g, mr_error *err) {
    MR_TRY(mr_pg_prepare(pg, &begin, err));
    MR_TRY(mr_pg_prepare(pg, &mr_lease_fence_statement, err));
    mr_lease_put_fence(&w->fence, lease, g->run, g->n);
    MR_TRY(mr_pg_pipeline_begin(pg, err));
    mr_status s = mr_pg_pipeline_send(pg, &begin, NULL, err);
    if (s == MR_OK) s = mr_pg_pipeline_send(pg, &mr_lease_fence_statement, &w->fence, err);
    if (s == MR_OK) s = mr_pg_pipeline_sync(pg, err);
    return mr_pg_pipeline_finish(pg, s, NULL, NULL, err);
}

/* In parts, so that the database takes one in while the next is written. */
static mr_status copy_rows(mr_group_writer *w, mr_pg *pg, const mr_group *g, mr_error *err) {
    mr_buf_clear(&w->rows);
    for (size_t i = 0; i < g->n; i++) {
        put_row(&w->rows, g->job[i]);
        if (w->rows.len < COPY_PART && i + 1 < g->n) continue;
        MR_TRY(mr_pg_copy_rows(pg, &w->rows, err));
        mr_buf_clear(&w->rows);
    }
    return MR_OK;
}

static mr_status copy_in_transaction(mr_group_writer *w, mr_pg *pg, const mr_group *g, mr_error *err) {
    mr_pg_outcome outcome;
    MR_TRY(mr_pg_copy_begin(pg, copy_results, err));
    mr_status s = copy_rows(w, pg, g, err);
    if (s != MR_OK) mr_pg_copy_abort(pg);
    else s = mr_pg_copy_end(pg, NULL, err);
    return s == MR_OK ? mr_pg_commit(pg, &outcome, err) : s;
}

/* E_EXISTS when a row of the group was there before: then nothing is written. */
static mr_status copy_group(mr_group_writer *w, mr_pg *pg, const mr_lease *lease, const mr_group *g, mr_error *err) {
    mr_status s = begin_fenced(w, pg, lease, g, err);
    if (s == MR_OK) s = copy_in_transaction(w, pg, g, err);
    for (size_t i = 0; i < g->n && s == MR_OK; i++) g->job[i]->verdict = MR_COMMITTED;
    if (s != MR_OK) mr_pg_rollback(pg);
    return s;
}

/* ---- one way or the other ---- */

mr_status mr_group_write(mr_group_writer *w, mr_pg *pg, const mr_lease *lease, mr_group *g, mr_error *err) {
    for (size_t i = 0; i < g->n; i++) g->job[i]->verdict = MR_STALE;
    mr_status s = g->n >= COPY_FROM && !g->artifacts ? copy_group(w, pg, lease, g, err) : MR_E_EXISTS;
    if (s == MR_E_EXISTS) s = insert_group(w, pg, lease, g, err);
    for (size_t i = 0; i < g->n && s == MR_OK; i++) s = mr_ledger_settle(pg, &w->results, g->job[i], err);
    return s;
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
    mr_pg_params_init(&p, NULL, PARAMS_MAX);
    mr_ledger_put_one(&p, job);
    mr_status s = mr_pg_exec(pg, &mr_ledger_insert_one, &p, &r, err);
    if (s == MR_OK) mr_ledger_take_one(job, r);
    mr_pg_result_free(&r);
    if (s == MR_OK) s = write_one_artifacts(pg, &p, job, err);
    if (s == MR_OK) s = mr_ledger_settle(pg, &p, job, err);
    mr_pg_params_free(&p);
    return s;
}
