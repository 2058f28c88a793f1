/* ledger_one.c: a single result as a row of a transaction that writes other things too. */
#include "broker/io/ledger.h"

const mr_pg_statement mr_ledger_insert_one = {
    "ledger_result",
    "insert into millrace.result (run_id, step, level, batch, last, first_row, row_count, attempt, worker, compute_us,"
    " body_hash, body) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) on conflict do nothing",
    12,
    {MR_PG_INT8, MR_PG_INT4, MR_PG_INT2, MR_PG_INT4, MR_PG_BOOL, MR_PG_INT8, MR_PG_INT8, MR_PG_INT8, MR_PG_TEXT, MR_PG_INT8,
     MR_PG_BYTEA, MR_PG_BYTEA}};

static const mr_pg_statement read_back = {
    "ledger_read_back",
    "select attempt from millrace.result where run_id = $1 and step = $2 and level = $3 and batch = $4",
    4,
    {MR_PG_INT8, MR_PG_INT4, MR_PG_INT2, MR_PG_INT4}};

static void put_key(mr_pg_params *p, const mr_work_key *key) {
    mr_pg_params_clear(p);
    mr_pg_put_int8(p, (int64_t)key->run);
    mr_pg_put_int4(p, (int32_t)key->step);
    mr_pg_put_int2(p, (int16_t)key->level);
    mr_pg_put_int4(p, (int32_t)key->index);
}

void mr_ledger_put_one(mr_pg_params *p, const mr_commit_job *job) {
    put_key(p, &job->key);
    mr_pg_put_bool(p, job->last);
    mr_pg_put_int8(p, (int64_t)job->first_row);
    mr_pg_put_int8(p, (int64_t)job->rows);
    mr_pg_put_int8(p, (int64_t)job->attempt);
    mr_pg_put_text(p, job->worker);
    mr_pg_put_int8(p, (int64_t)job->compute_us);
    mr_pg_put_bytea(p, mr_hash_span(&job->hash));
    mr_pg_lend_bytea(p, job->body);
}

void mr_ledger_take_one(mr_commit_job *job, const mr_pg_result *inserted) {
    job->verdict = mr_pg_changed(inserted) ? MR_COMMITTED : MR_STALE;
}

mr_status mr_ledger_settle(mr_pg *pg, mr_pg_params *p, mr_commit_job *job, mr_error *err) {
    mr_pg_result *r = NULL;
    if (job->verdict != MR_STALE) return MR_OK;
    put_key(p, &job->key);
    MR_TRY(mr_pg_exec(pg, &read_back, p, &r, err));
    mr_pg_row row = mr_pg_row_at(r, 0);
    if (mr_pg_rows(r) == 1 && mr_pg_int(&row, 0) == (int64_t)job->attempt) job->verdict = MR_COMMITTED;
    mr_pg_result_free(&r);
    return MR_OK;
}
