/* The read command that answers one task of a stream. */
#include "broker/io/call_args.h"
#include "broker/io/query.h"

static const mr_pg_statement find_id = {
    "q_task_id",
    "select b.first_task + array_position(b.ids, $2) - 1 from millrace.task_block b"
    " where b.run_id = $1 and $2 = any (b.ids) order by b.first_task limit 1",
    2,
    {MR_PG_INT8, MR_PG_TEXT}};

static const mr_pg_statement read_task = {
    "q_task",
    "select b.run_id, $2, b.ids[$2 - b.first_task + 1],"
    " case when r.batch is not null then 'done' when f.status is not null then 'dead' when e.state is not null then 'cancelled'"
    " else 'waiting' end,"
    " b.client, b.at, r.worker, r.attempt, r.compute_us, length(r.body), r.body_hash, r.committed_at,"
    " case when r.batch is null then coalesce(f.status, case when e.state is not null then $4 end) end,"
    " case when r.batch is null then coalesce(f.reason, case when e.state is not null then 'its stream ended before it was done' end) end,"
    " case when $3 then r.body end"
    " from millrace.task_block b"
    " left join millrace.result r on r.run_id = b.run_id and r.step = 0 and r.level = 0 and r.batch = $2"
    " left join lateral (select status, reason from millrace.attempt_failure a where a.run_id = b.run_id and a.step = 0"
    "  and a.level = 0 and a.batch = $2 and a.dead and not exists (select 1 from millrace.dead_letter_end d"
    "  where d.failure_id = a.id and d.action = 'replayed') order by a.id desc limit 1) f on true"
    " left join millrace.run_end e on e.run_id = b.run_id"
    " where b.run_id = $1 and b.first_task <= $2 and $2 < b.first_task + b.tasks"
    " order by b.first_task desc limit 1",
    4,
    {MR_PG_INT8, MR_PG_INT8, MR_PG_BOOL, MR_PG_INT4}};

static const mr_query_column columns[] = {
    {"run", MR_SHOW_INT}, {"task", MR_SHOW_INT}, {"id", MR_SHOW_TEXT}, {"state", MR_SHOW_TEXT}, {"client", MR_SHOW_TEXT},
    {"submitted_at", MR_SHOW_TIME}, {"worker", MR_SHOW_TEXT}, {"attempt", MR_SHOW_INT}, {"compute_us", MR_SHOW_INT},
    {"size", MR_SHOW_INT}, {"hash", MR_SHOW_HEX}, {"committed_at", MR_SHOW_TIME}, {"status", MR_SHOW_INT}, {"reason", MR_SHOW_TEXT},
    {"body", MR_SHOW_BYTES}, {0}};
enum { MEMBERS = 15 };

static mr_status find_task(mr_pg *pg, const mr_query_job *job, int64_t run, int64_t *task, mr_error *err) {
    mr_span args = mr_buf_span(&job->args), id = mr_arg_text(args, "id");
    mr_pg_params p;
    mr_pg_result *r = NULL;
    *task = (int64_t)mr_arg_number(args, "task", 0);
    if (!id.len) return MR_OK;
    mr_pg_params_init(&p, NULL, 4096);
    mr_pg_put_int8(&p, run);
    mr_pg_put_str(&p, id);
    mr_status s = mr_pg_exec(pg, &find_id, &p, &r, err);
    mr_pg_params_free(&p);
    if (s != MR_OK) return s;
    mr_pg_row row = mr_pg_row_at(r, 0);
    if (mr_pg_rows(r)) *task = mr_pg_int(&row, 0);
    s = mr_pg_rows(r) ? mr_pg_row_status(&row, err)
                      : mr_fail(err, MR_E_NOT_FOUND, "run %lld has no task with the id '%.*s'", (long long)run, MR_SPAN_ARG(id));
    mr_pg_result_free(&r);
    return s;
}

mr_status mr_query_task(mr_desk *desk, mr_pg *pg, mr_query_job *job, mr_error *err) {
    (void)desk;
    mr_span args = mr_buf_span(&job->args);
    int64_t run = (int64_t)mr_arg_number(args, "run", 0), task;
    mr_pg_params p;
    mr_pg_result *r = NULL;
    MR_TRY(find_task(pg, job, run, &task, err));
    mr_pg_params_init(&p, NULL, 256);
    mr_pg_put_int8(&p, run);
    mr_pg_put_int8(&p, task);
    mr_pg_put_bool(&p, mr_arg_flag(args, "body"));
    mr_pg_put_int4(&p, MR_E_CANCELLED);
    mr_status s = mr_pg_exec(pg, &read_task, &p, &r, err);
    mr_pg_params_free(&p);
    if (s != MR_OK) return s;
    mr_pg_row row = mr_pg_row_at(r, 0);
    if (!mr_pg_rows(r)) {
        s = mr_fail(err, MR_E_NOT_FOUND, "run %lld has no task %lld", (long long)run, (long long)task);
    } else {
        mr_pack_map(&job->reply, MEMBERS);
        mr_query_pack_members(&job->reply, &row, columns);
        s = mr_pg_row_status(&row, err);
    }
    mr_pg_result_free(&r);
    return s;
}
