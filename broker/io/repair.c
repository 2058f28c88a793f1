#include "broker/io/repair.h"

#include "broker/io/call_args.h"
#include "common/pack.h"

#include <string.h>

enum { PLACES_MAX = 100000 };

/* Rows of a run that are moved aside: places by step, level and batch, as parallel columns for unnest. */
#define MOVE_ASIDE                                                                                               \
    "with place as (select * from unnest($2::int[], $3::smallint[], $4::int[]) p (step, level, batch)),"         \
    " gone as (delete from millrace.result r using place p where r.run_id = $1 and r.step = p.step"              \
    "  and r.level = p.level and r.batch = p.batch returning r.*)"                                               \
    " insert into millrace.damaged (run_id, step, level, batch, what, attempt, worker, hash, bytes, reason)"     \
    " select run_id, step, level, batch, 'result', attempt, worker, body_hash, body, $5 from gone"

static const mr_pg_statement move_results = {
    "repair_results", MOVE_ASIDE, 5, {MR_PG_INT8, MR_PG_INT4S, MR_PG_INT2S, MR_PG_INT4S, MR_PG_TEXT}};

/* The artifact's row stays, for other runs may name it: who computes it again writes over bytes that are wrong. */
static const mr_pg_statement copy_artifact = {
    "repair_artifact",
    "insert into millrace.damaged (run_id, step, level, batch, what, attempt, worker, hash, bytes, reason)"
    " select r.run_id, r.step, r.level, r.batch, 'artifact', r.attempt, r.worker, a.hash, a.bytes, $6"
    " from millrace.result r, millrace.artifact a"
    " where r.run_id = $1 and r.step = $2 and r.level = $3 and r.batch = $4 and a.hash = $5",
    6,
    {MR_PG_INT8, MR_PG_INT4, MR_PG_INT2, MR_PG_INT4, MR_PG_BYTEA, MR_PG_TEXT}};

static const mr_pg_statement read_results = {
    "repair_read_results", "select step, level, batch, body, body_hash from millrace.result where run_id = $1", 1, {MR_PG_INT8}};

static const mr_pg_statement read_artifacts = {
    "repair_read_artifacts",
    "select n.step, n.level, n.batch, a.bytes, a.hash from millrace.run_artifact n join millrace.artifact a using (hash)"
    " where n.run_id = $1",
    1,
    {MR_PG_INT8}};

static const mr_pg_statement read_state = {
    "repair_state",
    "select coalesce(e.state, 'running') from millrace.run r left join millrace.run_end e on e.run_id = r.id where r.id = $1",
    1,
    {MR_PG_INT8}};

static const mr_pg_statement reopen_run = {
    "repair_reopen",
    "insert into millrace.run_reopen (run_id, life, reason, client)"
    " select $1, 1 + coalesce((select max(o.life) from millrace.run_reopen o where o.run_id = $1), 0), $2, $3",
    3,
    {MR_PG_INT8, MR_PG_TEXT, MR_PG_TEXT}};

static const char why_result[] = "the stored bytes do not match their hash";
static const char why_artifact[] = "the stored bytes of its artifact do not match their hash";

/* ---- while the run goes on ---- */

void mr_repair_work(mr_desk *desk, mr_job *head) {
    mr_repair_job *job = (mr_repair_job *)head;
    int32_t step[MR_FAN_IN], batch[MR_FAN_IN];
    int16_t level[MR_FAN_IN];
    uint64_t moved;
    size_t n = 0;
    mr_pg_params p;
    for (uint32_t i = 0; i < MR_FAN_IN; i++) {
        if (!(job->children >> i & 1)) continue;
        step[n] = (int32_t)job->key.step;
        level[n] = (int16_t)(job->key.level - 1);
        batch[n++] = (int32_t)(job->first + i);
    }
    mr_pg_params_init(&p, NULL, 8192);
    mr_pg_put_int8(&p, (int64_t)job->key.run);
    mr_pg_put_int4s(&p, step, NULL, n);
    mr_pg_put_int2s(&p, level, NULL, n);
    mr_pg_put_int4s(&p, batch, NULL, n);
    mr_pg_put_text(&p, why_result);
    head->status = mr_ledger_write(desk, job->key.run, job->epoch, &move_results, &p, &moved, &head->error);
    mr_pg_params_free(&p);
}

/* ---- a run that has ended ---- */

typedef struct place {
    int32_t step, batch;
    int16_t level;
    mr_hash artifact; /* of an artifact */
} place;

typedef struct found {
    mr_buf results, artifacts; /* of place */
    uint64_t read;
} found;

static mr_status look_at(mr_pg_row *row, mr_buf *damaged, mr_error *err) {
    mr_span stored = mr_pg_bytea(row, 4);
    mr_hash hash = mr_hash_of(mr_pg_bytea(row, 3));
    place at = {.step = (int32_t)mr_pg_int(row, 0), .level = (int16_t)mr_pg_int(row, 1), .batch = (int32_t)mr_pg_int(row, 2)};
    MR_TRY(mr_pg_row_status(row, err));
    if (mr_span_eq(stored, mr_hash_span(&hash))) return MR_OK;
    if (stored.len == MR_HASH_BYTES)
        for (size_t i = 0; i < MR_HASH_BYTES; i++) at.artifact.bytes[i] = stored.data[i];
    mr_buf_put(damaged, &at, sizeof at);
    return mr_buf_status(damaged) == MR_OK
               ? MR_OK
               : mr_fail(err, MR_E_LIMIT, "over %d results of the run are damaged: restore the database from a backup", PLACES_MAX);
}

static mr_status read_all(mr_pg *pg, const mr_pg_statement *st, mr_pg_params *p, mr_buf *damaged, uint64_t *read, mr_error *err) {
    mr_status s = mr_pg_stream(pg, st, p, err);
    while (s == MR_OK) {
        mr_pg_result *r = NULL;
        s = mr_pg_stream_next(pg, &r, err);
        if (s != MR_OK || !r) break;
        mr_pg_row row = mr_pg_row_at(r, 0);
        s = look_at(&row, damaged, err);
        mr_pg_result_free(&r);
        ++*read;
    }
    mr_pg_stream_end(pg);
    return s;
}

static mr_status check_state(mr_pg *pg, mr_pg_params *p, long long run, mr_error *err) {
    mr_pg_result *r = NULL;
    MR_TRY(mr_pg_exec(pg, &read_state, p, &r, err));
    mr_pg_row row = mr_pg_row_at(r, 0);
    mr_status s = MR_OK;
    mr_span state = mr_pg_rows(r) ? mr_pg_text(&row, 0) : (mr_span){0};
    if (!mr_pg_rows(r)) s = mr_fail(err, MR_E_NOT_FOUND, "there is no run %lld: 'millrace runs' lists them", run);
    else if (mr_span_eq(state, mr_span_of("running")))
        s = mr_fail(err, MR_E_CONFLICT, "run %lld goes on, and repairs what it reads itself: wait for its end", run);
    else if (mr_span_eq(state, mr_span_of("cancelled")))
        s = mr_fail(err, MR_E_CONFLICT, "run %lld was cancelled: nothing of it is computed again", run);
    mr_pg_result_free(&r);
    return s;
}

static place place_at(const mr_buf *places, size_t i) {
    place at;
    memcpy(&at, places->data + i * sizeof at, sizeof at);
    return at;
}

static void put_place(mr_pg_params *p, int64_t run, const place *at) {
    mr_pg_params_clear(p);
    mr_pg_put_int8(p, run);
    mr_pg_put_int4s(p, &at->step, NULL, 1);
    mr_pg_put_int2s(p, &at->level, NULL, 1);
    mr_pg_put_int4s(p, &at->batch, NULL, 1);
}

/* A result that is damaged, or whose artifact is: one of the two moves its row, whichever comes first. */
static mr_status move_aside(mr_pg *pg, mr_pg_params *p, int64_t run, const found *f, mr_error *err) {
    for (size_t i = 0; i < f->artifacts.len / sizeof(place); i++) {
        place at = place_at(&f->artifacts, i);
        mr_pg_params_clear(p);
        mr_pg_put_int8(p, run);
        mr_pg_put_int4(p, at.step);
        mr_pg_put_int2(p, at.level);
        mr_pg_put_int4(p, at.batch);
        mr_pg_put_bytea(p, mr_hash_span(&at.artifact));
        mr_pg_put_text(p, why_result);
        MR_TRY(mr_pg_exec(pg, &copy_artifact, p, NULL, err));
    }
    for (size_t i = 0; i < f->results.len / sizeof(place); i++) {
        place at = place_at(&f->results, i);
        put_place(p, run, &at);
        mr_pg_put_text(p, why_result);
        MR_TRY(mr_pg_exec(pg, &move_results, p, NULL, err));
    }
    for (size_t i = 0; i < f->artifacts.len / sizeof(place); i++) {
        place at = place_at(&f->artifacts, i);
        put_place(p, run, &at);
        mr_pg_put_text(p, why_artifact);
        MR_TRY(mr_pg_exec(pg, &move_results, p, NULL, err));
    }
    return MR_OK;
}

/* The owner of the run is told, whoever was asked. */
static mr_status reopen(mr_pg *pg, mr_pg_params *p, mr_delivery_job *job, int64_t run, mr_error *err) {
    mr_pg_params_clear(p);
    mr_pg_put_int8(p, run);
    mr_pg_put_text(p, "stored bytes were damaged");
    mr_pg_put_text(p, job->client);
    job->run[job->runs++] = run;
    MR_TRY(mr_pg_exec(pg, &reopen_run, p, NULL, err));
    return mr_lease_notify(pg, err, "run %lld", (long long)run);
}

static void pack_answer(mr_buf *out, int64_t run, const found *f) {
    const struct {
        const char *name;
        uint64_t value;
    } members[] = {{"run", (uint64_t)run}, {"read", f->read}, {"damaged_results", f->results.len / sizeof(place)},
                   {"damaged_artifacts", f->artifacts.len / sizeof(place)}};
    mr_pack_map(out, 4);
    for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
        mr_pack_text(out, members[i].name);
        mr_pack_u64(out, members[i].value);
    }
}

static mr_status repair(mr_pg *pg, mr_pg_params *p, mr_delivery_job *job, found *f, mr_error *err) {
    int64_t run = (int64_t)mr_arg_number(mr_buf_span(&job->args), "run", 0);
    mr_pg_params_clear(p);
    mr_pg_put_int8(p, run);
    MR_TRY(mr_pg_exec(pg, &mr_ledger_lock_run, p, NULL, err));
    MR_TRY(check_state(pg, p, run, err));
    MR_TRY(read_all(pg, &read_results, p, &f->results, &f->read, err));
    MR_TRY(read_all(pg, &read_artifacts, p, &f->artifacts, &f->read, err));
    MR_TRY(move_aside(pg, p, run, f, err));
    if (f->results.len || f->artifacts.len) MR_TRY(reopen(pg, p, job, run, err));
    pack_answer(&job->reply, run, f);
    return MR_OK;
}

mr_status mr_repair_run(mr_pg *pg, mr_pg_params *p, mr_delivery_job *job, mr_error *err) {
    found f = {0};
    mr_buf_init(&f.results, NULL, PLACES_MAX * sizeof(place));
    mr_buf_init(&f.artifacts, NULL, PLACES_MAX * sizeof(place));
    mr_status s = repair(pg, p, job, &f, err);
    mr_buf_free(&f.results);
    mr_buf_free(&f.artifacts);
    return s;
}
