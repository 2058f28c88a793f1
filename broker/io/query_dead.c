/* One dead letter, with all that happened to its batch. */
#include "broker/io/call_args.h"
#include "broker/io/query.h"
#include "common/pack.h"

static const mr_pg_statement read_letter = {
    "q_dead_letter",
    "select f.id, f.run_id, f.step, s.component, f.level, f.batch, f.attempt, f.worker, f.status, f.reason, "
    "f.at,"
    " coalesce(d.action, 'open'), d.reason, d.client, d.at, f.log"
    " from millrace.attempt_failure f join millrace.run_step s on s.run_id = f.run_id and s.step = f.step"
    " left join millrace.dead_letter_end d on d.failure_id = f.id where f.id = $1 and f.dead",
    1,
    {MR_PG_INT8}};
static const mr_query_column letter_columns[] = {{"id", MR_SHOW_INT},
                                                 {"run", MR_SHOW_INT},
                                                 {"step", MR_SHOW_INT},
                                                 {"component", MR_SHOW_TEXT},
                                                 {"level", MR_SHOW_INT},
                                                 {"batch", MR_SHOW_INT},
                                                 {"attempt", MR_SHOW_INT},
                                                 {"worker", MR_SHOW_TEXT},
                                                 {"status", MR_SHOW_INT},
                                                 {"reason", MR_SHOW_TEXT},
                                                 {"at", MR_SHOW_TIME},
                                                 {"state", MR_SHOW_TEXT},
                                                 {"decision_reason", MR_SHOW_TEXT},
                                                 {"decided_by", MR_SHOW_TEXT},
                                                 {"decided_at", MR_SHOW_TIME},
                                                 {"log", MR_SHOW_TEXT},
                                                 {0}};
enum { LETTER_MEMBERS = 16 };

static const mr_pg_statement read_attempts = {
    "q_dead_attempts",
    "select a.id, a.attempt, a.worker, a.status, a.reason, a.dead, a.at, a.log from millrace.attempt_failure f"
    " join millrace.attempt_failure a on a.run_id = f.run_id and a.step = f.step and a.level = f.level and "
    "a.batch = f.batch"
    " where f.id = $1 order by a.id",
    1,
    {MR_PG_INT8}};
static const mr_query_column attempt_columns[] = {
    {"id", MR_SHOW_INT},      {"attempt", MR_SHOW_INT}, {"worker", MR_SHOW_TEXT}, {"status", MR_SHOW_INT},
    {"reason", MR_SHOW_TEXT}, {"dead", MR_SHOW_BOOL},   {"at", MR_SHOW_TIME},     {"log", MR_SHOW_TEXT}, {0}};

static mr_status read_with_id(mr_pg *pg, const mr_pg_statement *st, uint64_t id, mr_pg_result **out,
                              mr_error *err) {
    mr_pg_params p;
    mr_pg_params_init(&p, NULL, 64);
    mr_pg_put_int8(&p, (int64_t)id);
    mr_status s = mr_pg_exec(pg, st, &p, out, err);
    mr_pg_params_free(&p);
    return s;
}

static mr_status pack_letter(const mr_pg_result *r, uint64_t id, mr_buf *out, mr_error *err) {
    if (mr_pg_rows(r) != 1)
        return mr_fail(err, MR_E_NOT_FOUND, "there is no dead letter %llu: 'millrace dead' lists them",
                       (unsigned long long)id);
    mr_pg_row row = mr_pg_row_at(r, 0);
    mr_pack_map(out, LETTER_MEMBERS + 1);
    for (unsigned i = 0; i < LETTER_MEMBERS; i++) {
        mr_pack_text(out, letter_columns[i].name);
        mr_query_pack_cell(out, &row, i, letter_columns[i].form);
    }
    return mr_pg_row_status(&row, err);
}

mr_status mr_query_dead_show(mr_desk *desk, mr_pg *pg, mr_query_job *job, mr_error *err) {
    (void)desk;
    uint64_t id = mr_arg_number(mr_buf_span(&job->args), "id", 0);
    mr_pg_result *r = NULL;
    MR_TRY(read_with_id(pg, &read_letter, id, &r, err));
    mr_status s = pack_letter(r, id, &job->reply, err);
    mr_pg_result_free(&r);
    if (s != MR_OK) return s;
    MR_TRY(read_with_id(pg, &read_attempts, id, &r, err));
    mr_pack_text(&job->reply, "attempts");
    s = mr_query_pack_list(&job->reply, r, attempt_columns, UINT32_MAX, err);
    mr_pg_result_free(&r);
    return s;
}
