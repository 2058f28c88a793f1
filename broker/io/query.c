#include "broker/io/query.h"

#include "broker/io/call_args.h"
#include "common/clock.h"
#include "common/hash.h"
#include "common/json.h"
#include "common/pack.h"
#include "common/redis.h"

enum { LIMIT_DEFAULT = 100, LIMIT_MAX = 1000, ARGS = 6 };

/* ---- the table ---- */

typedef enum arg_form { ARG_NUMBER, ARG_TEXT_OR_NULL, ARG_NUMBER_OR_NULL, ARG_FLAG, ARG_LIMIT } arg_form;

typedef struct query {
    mr_command command;
    mr_query_fn *fn; /* instead of the rest */
    mr_pg_statement statement;
    struct {
        const char *name;
        arg_form form;
    } args[ARGS];
    mr_query_column columns[MR_QUERY_COLUMNS];
    mr_status (*check)(const mr_query_job *job, const mr_pg_result *r, mr_error *err); /* of what was read; may be NULL */
} query;

enum { RESULT_HASH = 10, RESULT_BODY = 12 }; /* columns of `results` */

/* Bytes that are given out are those that were committed. */
static mr_status check_results(const mr_query_job *job, const mr_pg_result *r, mr_error *err) {
    for (uint32_t i = 0; i < mr_pg_rows(r); i++) {
        mr_pg_row row = mr_pg_row_at(r, i);
        if (mr_pg_is_null(&row, RESULT_BODY)) continue;
        mr_hash hash = mr_hash_of(mr_pg_bytea(&row, RESULT_BODY));
        if (mr_span_eq(mr_pg_bytea(&row, RESULT_HASH), mr_hash_span(&hash))) continue;
        unsigned long long run = mr_arg_number(mr_buf_span(&job->args), "run", 0);
        return mr_fail(err, MR_E_CORRUPT,
                       "the stored result of run %llu, step %lld, batch %lld does not match its hash: 'millrace repair run %llu'"
                       " computes it again",
                       run, (long long)mr_pg_int(&row, 0), (long long)mr_pg_int(&row, 3), run);
    }
    return MR_OK;
}

static const query queries[] = {
    {.command = MR_CMD_DATASETS,
     .statement = {"q_datasets",
                   "select d.id, d.name, d.kind, case when d.kind = 'prompts'"
                   " then (select count(*) from millrace.training_prompts)"
                   " - (select count(*) from millrace.training_prompts where not active)"
                   " else (select count(*) from millrace.table_row t where t.dataset_id = d.id) end,"
                   " (select count(*) from millrace.dataset_version v where v.dataset_id = d.id), d.created_at"
                   " from millrace.dataset d order by d.id",
                   0, {0}},
     .columns = {{"id", MR_SHOW_INT}, {"name", MR_SHOW_TEXT}, {"kind", MR_SHOW_TEXT}, {"rows", MR_SHOW_INT},
                 {"versions", MR_SHOW_INT}, {"created_at", MR_SHOW_TIME}}},
    {.command = MR_CMD_BROKERS,
     .statement = {"q_brokers",
                   "select b.name, b.address, case when b.state = 'left' or b.expires_at > now() then b.state else 'silent' end,"
                   " count(l.partition), coalesce(string_agg(l.partition::text, ',' order by l.partition), ''), b.started_at,"
                   " b.seen_at from millrace.broker b left join millrace.partition_lease l on l.owner = b.name"
                   " and l.expires_at > now() group by b.name"
                   " union all select '', '', 'nobody', count(*), string_agg(partition::text, ',' order by partition), null, null"
                   " from millrace.partition_lease where owner = '' or expires_at <= now() having count(*) > 0 order by 1 desc",
                   0, {0}},
     .columns = {{"name", MR_SHOW_TEXT}, {"address", MR_SHOW_TEXT}, {"state", MR_SHOW_TEXT}, {"owned", MR_SHOW_INT},
                 {"partitions", MR_SHOW_TEXT}, {"started_at", MR_SHOW_TIME}, {"seen_at", MR_SHOW_TIME}}},
    {.command = MR_CMD_REJECTS,
     .statement = {"q_rejects",
                   "select id, ingest_id, file, line, \"column\", reason from millrace.ingest_reject"
                   " where ($1::bigint is null or ingest_id = $1) and id > $2 order by id limit $3",
                   3, {MR_PG_INT8, MR_PG_INT8, MR_PG_INT8}},
     .args = {{"ingest", ARG_NUMBER_OR_NULL}, {"after", ARG_NUMBER}, {"limit", ARG_LIMIT}},
     .columns = {{"id", MR_SHOW_INT}, {"ingest", MR_SHOW_INT}, {"file", MR_SHOW_TEXT}, {"line", MR_SHOW_INT},
                 {"column", MR_SHOW_INT}, {"reason", MR_SHOW_TEXT}}},
    {.command = MR_CMD_PROMPTS,
     .statement = {"q_prompts",
                   "select p.id, p.source, p.priority, s.name, p.score, p.success, length(p.prompt), left(p.prompt, 120),"
                   " p.created_at from millrace.training_prompts p left join millrace.prompt_sessions s on s.id = p.session_id"
                   " where ($1::text is null or s.name = $1) and ($2::text is null or p.source = $2)"
                   " and p.active <> $3 and not p.superseded and p.id > $4 order by p.id limit $5",
                   5, {MR_PG_TEXT, MR_PG_TEXT, MR_PG_BOOL, MR_PG_INT8, MR_PG_INT8}},
     .args = {{"session", ARG_TEXT_OR_NULL}, {"source", ARG_TEXT_OR_NULL}, {"deleted", ARG_FLAG}, {"after", ARG_NUMBER},
              {"limit", ARG_LIMIT}},
     .columns = {{"id", MR_SHOW_INT}, {"source", MR_SHOW_TEXT}, {"priority", MR_SHOW_INT}, {"session", MR_SHOW_TEXT},
                 {"score", MR_SHOW_FLOAT}, {"success", MR_SHOW_BOOL}, {"characters", MR_SHOW_INT}, {"prompt", MR_SHOW_TEXT},
                 {"created_at", MR_SHOW_TIME}}},
    {.command = MR_CMD_SESSIONS,
     .statement = {"q_sessions",
                   "select s.id, s.name, (select count(*) from millrace.training_prompts p where p.session_id = s.id and"
                   " p.active), s.created_at from millrace.prompt_sessions s where s.id > $1 order by s.id limit $2",
                   2, {MR_PG_INT8, MR_PG_INT8}},
     .args = {{"after", ARG_NUMBER}, {"limit", ARG_LIMIT}},
     .columns = {{"id", MR_SHOW_INT}, {"name", MR_SHOW_TEXT}, {"prompts", MR_SHOW_INT}, {"created_at", MR_SHOW_TIME}}},
    {.command = MR_CMD_RUNS,
     .statement = {"q_runs",
                   "select r.id, r.name, d.name, v.id, coalesce(v.row_count, millrace.task_count(r.id)), coalesce(e.state, 'running'),"
                   " (select count(*) from millrace.run_step s where s.run_id = r.id), r.created_at, e.ended_at"
                   " from millrace.run r left join millrace.dataset_version v on v.id = r.version_id"
                   " left join millrace.dataset d on d.id = v.dataset_id left join millrace.run_end e on e.run_id = r.id"
                   " where $1 = 0 or r.id < $1 order by r.id desc limit $2",
                   2, {MR_PG_INT8, MR_PG_INT8}},
     .args = {{"after", ARG_NUMBER}, {"limit", ARG_LIMIT}},
     .columns = {{"id", MR_SHOW_INT}, {"name", MR_SHOW_TEXT}, {"dataset", MR_SHOW_TEXT}, {"version", MR_SHOW_INT},
                 {"rows", MR_SHOW_INT}, {"state", MR_SHOW_TEXT}, {"steps", MR_SHOW_INT}, {"created_at", MR_SHOW_TIME},
                 {"ended_at", MR_SHOW_TIME}}},
    {.command = MR_CMD_RESULTS,
     .statement = {"q_results",
                   "select r.step, s.component, r.level, r.batch, r.first_row, r.row_count, r.worker, r.attempt, r.compute_us,"
                   " length(r.body), r.body_hash, r.committed_at, case when $5 then r.body end"
                   " from millrace.result r join millrace.run_step s on s.run_id = r.run_id and s.step = r.step"
                   " where r.run_id = $1 and r.last and ($2::bigint is null or r.step = $2)"
                   " and ($3::text is null or s.component = $3)"
                   " order by r.step, r.level, r.batch offset $4 limit $6",
                   6, {MR_PG_INT8, MR_PG_INT8, MR_PG_TEXT, MR_PG_INT8, MR_PG_BOOL, MR_PG_INT8}},
     .args = {{"run", ARG_NUMBER}, {"step", ARG_NUMBER_OR_NULL}, {"component", ARG_TEXT_OR_NULL}, {"after", ARG_NUMBER},
              {"body", ARG_FLAG}, {"limit", ARG_LIMIT}},
     .columns = {{"step", MR_SHOW_INT}, {"component", MR_SHOW_TEXT}, {"level", MR_SHOW_INT}, {"batch", MR_SHOW_INT},
                 {"first_row", MR_SHOW_INT}, {"rows", MR_SHOW_INT}, {"worker", MR_SHOW_TEXT}, {"attempt", MR_SHOW_INT},
                 {"compute_us", MR_SHOW_INT}, {"size", MR_SHOW_INT}, {"hash", MR_SHOW_HEX}, {"committed_at", MR_SHOW_TIME},
                 {"body", MR_SHOW_BYTES}},
     .check = check_results},
    {.command = MR_CMD_ARTIFACTS,
     .statement = {"q_artifacts",
                   "select a.hash, n.name, n.run_id, s.component, a.media_type, length(a.bytes), a.created_at"
                   " from millrace.run_artifact n join millrace.artifact a on a.hash = n.hash"
                   " join millrace.run_step s on s.run_id = n.run_id and s.step = n.step"
                   " where ($1::bigint is null or n.run_id = $1)"
                   " order by n.run_id, n.step, n.level, n.batch, n.name offset $2 limit $3",
                   3, {MR_PG_INT8, MR_PG_INT8, MR_PG_INT8}},
     .args = {{"run", ARG_NUMBER_OR_NULL}, {"after", ARG_NUMBER}, {"limit", ARG_LIMIT}},
     .columns = {{"hash", MR_SHOW_HEX}, {"name", MR_SHOW_TEXT}, {"run", MR_SHOW_INT}, {"component", MR_SHOW_TEXT},
                 {"media_type", MR_SHOW_TEXT}, {"size", MR_SHOW_INT}, {"created_at", MR_SHOW_TIME}}},
    {.command = MR_CMD_FAILURES,
     .statement = {"q_failures",
                   "select f.id, f.step, s.component, f.level, f.batch, f.attempt, f.worker, f.status, f.reason, f.dead, f.at"
                   " from millrace.attempt_failure f join millrace.run_step s on s.run_id = f.run_id and s.step = f.step"
                   " where f.run_id = $1 and f.id > $2 order by f.id limit $3",
                   3, {MR_PG_INT8, MR_PG_INT8, MR_PG_INT8}},
     .args = {{"run", ARG_NUMBER}, {"after", ARG_NUMBER}, {"limit", ARG_LIMIT}},
     .columns = {{"id", MR_SHOW_INT}, {"step", MR_SHOW_INT}, {"component", MR_SHOW_TEXT}, {"level", MR_SHOW_INT},
                 {"batch", MR_SHOW_INT}, {"attempt", MR_SHOW_INT}, {"worker", MR_SHOW_TEXT}, {"status", MR_SHOW_INT},
                 {"reason", MR_SHOW_TEXT}, {"dead", MR_SHOW_BOOL}, {"at", MR_SHOW_TIME}}},
    {.command = MR_CMD_AUDIT,
     .statement = {"q_audit_rows",
                   "select id, last_at, event, name, role, address, what, status, detail, count, key from millrace.audit"
                   " where (not $1 or event = 'refused') and ($2 = 0 or id < $2) order by id desc limit $3",
                   3, {MR_PG_BOOL, MR_PG_INT8, MR_PG_INT8}},
     .args = {{"refused", ARG_FLAG}, {"after", ARG_NUMBER}, {"limit", ARG_LIMIT}},
     .columns = {{"id", MR_SHOW_INT}, {"at", MR_SHOW_TIME}, {"event", MR_SHOW_TEXT}, {"name", MR_SHOW_TEXT},
                 {"role", MR_SHOW_TEXT}, {"address", MR_SHOW_TEXT}, {"what", MR_SHOW_TEXT}, {"status", MR_SHOW_INT},
                 {"detail", MR_SHOW_TEXT}, {"count", MR_SHOW_INT}, {"key", MR_SHOW_TEXT}}},
    {.command = MR_CMD_DEAD,
     .statement = {"q_dead",
                   "select id, run_id, step, component, level, batch, worker, status, reason, at from millrace.dead_letter"
                   " where ($1::bigint is null or run_id = $1) and ($2::text is null or component = $2)"
                   " and ($3::text is null or strpos(lower(reason), lower($3)) > 0) and id > $4 order by id limit $5",
                   5, {MR_PG_INT8, MR_PG_TEXT, MR_PG_TEXT, MR_PG_INT8, MR_PG_INT8}},
     .args = {{"run", ARG_NUMBER_OR_NULL}, {"component", ARG_TEXT_OR_NULL}, {"search", ARG_TEXT_OR_NULL},
              {"after", ARG_NUMBER}, {"limit", ARG_LIMIT}},
     .columns = {{"id", MR_SHOW_INT}, {"run", MR_SHOW_INT}, {"step", MR_SHOW_INT}, {"component", MR_SHOW_TEXT},
                 {"level", MR_SHOW_INT}, {"batch", MR_SHOW_INT}, {"worker", MR_SHOW_TEXT}, {"status", MR_SHOW_INT},
                 {"reason", MR_SHOW_TEXT}, {"at", MR_SHOW_TIME}}},
    {.command = MR_CMD_DAMAGE,
     .statement = {"q_damage",
                   "select id, run_id, step, component, level, batch, what, reason, found_at, again, again_at"
                   " from millrace.damage where ($1::bigint is null or run_id = $1) and id > $2 order by id limit $3",
                   3, {MR_PG_INT8, MR_PG_INT8, MR_PG_INT8}},
     .args = {{"run", ARG_NUMBER_OR_NULL}, {"after", ARG_NUMBER}, {"limit", ARG_LIMIT}},
     .columns = {{"id", MR_SHOW_INT}, {"run", MR_SHOW_INT}, {"step", MR_SHOW_INT}, {"component", MR_SHOW_TEXT},
                 {"level", MR_SHOW_INT}, {"batch", MR_SHOW_INT}, {"what", MR_SHOW_TEXT}, {"reason", MR_SHOW_TEXT},
                 {"found_at", MR_SHOW_TIME}, {"again", MR_SHOW_TEXT}, {"again_at", MR_SHOW_TIME}}},
    {.command = MR_CMD_PAUSES,
     .statement = {"q_pauses", "select subject, name, reason, client, at from millrace.pause_now where paused order by 1, 2", 0, {0}},
     .columns = {{"kind", MR_SHOW_TEXT}, {"name", MR_SHOW_TEXT}, {"reason", MR_SHOW_TEXT}, {"client", MR_SHOW_TEXT},
                 {"at", MR_SHOW_TIME}}},
    {.command = MR_CMD_SCHEDULES,
     .statement = {"q_schedules",
                   "select id, name, case when every_s is not null then (every_s * interval '1 second')::text"
                   " else coalesce('cron ' || cron, 'once') end, next_due, last_due, last_run, last_reason, client, created_at"
                   " from millrace.schedule_now where id > $1 order by id limit $2",
                   2, {MR_PG_INT8, MR_PG_INT8}},
     .args = {{"after", ARG_NUMBER}, {"limit", ARG_LIMIT}},
     .columns = {{"id", MR_SHOW_INT}, {"name", MR_SHOW_TEXT}, {"every", MR_SHOW_TEXT}, {"next_at", MR_SHOW_TIME},
                 {"last_at", MR_SHOW_TIME}, {"last_run", MR_SHOW_INT}, {"failed", MR_SHOW_TEXT}, {"client", MR_SHOW_TEXT},
                 {"created_at", MR_SHOW_TIME}}},
    {.command = MR_CMD_DEAD_SHOW, .fn = mr_query_dead_show},
    {.command = MR_CMD_PROMPT, .fn = mr_query_prompt},
    {.command = MR_CMD_RUN_SHOW, .fn = mr_query_run_show},
    {.command = MR_CMD_TASK, .fn = mr_query_task},
    {.command = MR_CMD_ARTIFACT, .fn = mr_query_artifact},
    {.command = MR_CMD_DOCTOR, .fn = mr_query_doctor},
};

static const query *find(mr_command command) {
    for (size_t i = 0; i < sizeof queries / sizeof *queries; i++)
        if (queries[i].command == command) return &queries[i];
    return NULL;
}

/* ---- arguments ---- */

static uint32_t limit_of(const mr_query_job *job) {
    uint64_t limit = mr_arg_number(mr_buf_span(&job->args), "limit", LIMIT_DEFAULT);
    return (uint32_t)(limit < 1 ? 1 : limit > LIMIT_MAX ? LIMIT_MAX : limit);
}

static void put_argument(mr_pg_params *p, const mr_query_job *job, const char *name, arg_form form) {
    mr_unpack ignored;
    mr_span args = mr_buf_span(&job->args), text;
    switch (form) {
    case ARG_NUMBER: mr_pg_put_int8(p, (int64_t)mr_arg_number(args, name, 0)); return;
    case ARG_FLAG: mr_pg_put_bool(p, mr_arg_flag(args, name)); return;
    case ARG_LIMIT: mr_pg_put_int8(p, (int64_t)limit_of(job) + 1); return; /* one more tells whether there is more */
    case ARG_NUMBER_OR_NULL:
        if (mr_arg_find(args, name, &ignored)) mr_pg_put_int8(p, (int64_t)mr_arg_number(args, name, 0));
        else mr_pg_put_null(p, MR_PG_INT8);
        return;
    case ARG_TEXT_OR_NULL:
        text = mr_arg_text(args, name);
        if (text.len) mr_pg_put_str(p, text);
        else mr_pg_put_null(p, MR_PG_TEXT);
        return;
    }
}

/* ---- answers ---- */

static void pack_json(mr_buf *out, mr_span text) {
    mr_json *v = NULL;
    mr_error err;
    if (mr_json_parse(text, MR_QUERY_REPLY_MAX, MR_JSON_DEPTH, &v, &err) == MR_OK) mr_json_to_pack(v, out);
    else mr_pack_str(out, text);
    mr_json_free(&v);
}

static void pack_hex(mr_buf *out, mr_span bytes) {
    mr_hash hash = {0};
    char text[MR_HASH_HEX];
    for (size_t i = 0; i < bytes.len && i < MR_HASH_BYTES; i++) hash.bytes[i] = bytes.data[i];
    mr_hash_hex(&hash, text);
    mr_pack_text(out, text);
}

static void pack_time(mr_buf *out, int64_t wall_ns) {
    char text[MR_CLOCK_TEXT];
    mr_time_text(wall_ns, text);
    mr_pack_text(out, text);
}

void mr_query_pack_cell(mr_buf *out, mr_pg_row *row, unsigned column, mr_cell_form form) {
    if (mr_pg_is_null(row, column)) {
        mr_pack_nil(out);
        return;
    }
    switch (form) {
    case MR_SHOW_INT: mr_pack_i64(out, mr_pg_int(row, column)); return;
    case MR_SHOW_FLOAT: mr_pack_f64(out, mr_pg_float(row, column)); return;
    case MR_SHOW_TEXT: mr_pack_str(out, mr_pg_text(row, column)); return;
    case MR_SHOW_BOOL: mr_pack_bool(out, mr_pg_bool(row, column)); return;
    case MR_SHOW_TIME: pack_time(out, mr_pg_time(row, column)); return;
    case MR_SHOW_HEX: pack_hex(out, mr_pg_bytea(row, column)); return;
    case MR_SHOW_BYTES: mr_pack_bin(out, mr_pg_bytea(row, column)); return;
    case MR_SHOW_JSON: pack_json(out, mr_pg_text(row, column)); return;
    }
}

void mr_query_pack_members(mr_buf *out, mr_pg_row *row, const mr_query_column *columns) {
    for (unsigned i = 0; columns[i].name; i++) {
        mr_pack_text(out, columns[i].name);
        mr_query_pack_cell(out, row, i, columns[i].form);
    }
}

mr_status mr_query_pack_list(mr_buf *out, const mr_pg_result *r, const mr_query_column *columns, uint32_t limit,
                             mr_error *err) {
    uint32_t cols = 0, rows = mr_pg_rows(r) < limit ? mr_pg_rows(r) : limit;
    while (cols < MR_QUERY_COLUMNS && columns[cols].name) cols++;
    mr_pack_map(out, 3);
    mr_pack_text(out, "columns");
    mr_pack_array(out, cols);
    for (uint32_t c = 0; c < cols; c++) mr_pack_text(out, columns[c].name);
    mr_pack_text(out, "rows");
    mr_pack_array(out, rows);
    for (uint32_t i = 0; i < rows; i++) {
        mr_pg_row row = mr_pg_row_at(r, i);
        mr_pack_array(out, cols);
        for (uint32_t c = 0; c < cols; c++) mr_query_pack_cell(out, &row, c, columns[c].form);
        MR_TRY(mr_pg_row_status(&row, err));
    }
    mr_pack_text(out, "more");
    mr_pack_bool(out, mr_pg_rows(r) > limit);
    return MR_OK;
}

static mr_status run_query(mr_pg *pg, const query *q, mr_query_job *job, mr_error *err) {
    mr_pg_params p;
    mr_pg_result *r = NULL;
    uint32_t limit = UINT32_MAX;
    mr_pg_params_init(&p, NULL, 256 * 1024);
    for (unsigned i = 0; i < q->statement.count; i++) {
        put_argument(&p, job, q->args[i].name, q->args[i].form);
        if (q->args[i].form == ARG_LIMIT) limit = limit_of(job);
    }
    mr_status s = mr_pg_exec(pg, &q->statement, &p, &r, err);
    if (s == MR_OK && q->check) s = q->check(job, r, err);
    if (s == MR_OK) s = mr_query_pack_list(&job->reply, r, q->columns, limit, err);
    mr_pg_result_free(&r);
    mr_pg_params_free(&p);
    return s;
}

/* ---- jobs ---- */

mr_query_job *mr_query_job_new(mr_command command, mr_span args) {
    mr_query_job *job = mr_new(NULL, 1, sizeof *job);
    if (!job) return NULL;
    job->command = command;
    job->head.work = mr_query_work;
    mr_buf_init(&job->args, NULL, args.len + 1);
    mr_buf_put(&job->args, args.data, args.len);
    mr_buf_init(&job->reply, NULL, MR_QUERY_REPLY_MAX);
    if (mr_buf_status(&job->args) == MR_OK) return job;
    mr_query_job_free(job);
    return NULL;
}

void mr_query_job_free(mr_query_job *job) {
    mr_buf_free(&job->args);
    mr_buf_free(&job->reply);
    mr_free(NULL, job, 1, sizeof *job);
}

void mr_query_work(mr_desk *desk, mr_job *head) {
    mr_query_job *job = (mr_query_job *)head;
    const query *q = find(job->command);
    mr_pg *pg;
    mr_error *err = &head->error;
    MR_ASSERT(q);
    mr_status s = mr_desk_database(desk, &pg, err);
    if (s == MR_OK) s = q->fn ? q->fn(desk, pg, job, err) : run_query(pg, q, job, err);
    if (s == MR_OK && mr_buf_status(&job->reply) != MR_OK)
        s = mr_fail(err, MR_E_LIMIT, "the answer is over %d MiB: ask for fewer rows with --limit", MR_QUERY_REPLY_MAX >> 20);
    head->status = s;
}

static void stop(mr_desk *desk) {
    mr_reader *reader = desk->state;
    mr_redis_free(&reader->redis);
    mr_free(NULL, reader, 1, sizeof *reader);
}

mr_status mr_reader_start(mr_desk *desk, const char *redis_url, unsigned ttl_s, mr_error *err) {
    mr_reader *reader = mr_new(NULL, 1, sizeof *reader);
    if (!reader) return mr_fail(err, MR_E_MEMORY, "no memory for the reader");
    reader->ttl_s = ttl_s;
    mr_status s = redis_url[0] ? mr_redis_new(redis_url, NULL, NULL, &reader->redis, err) : MR_OK;
    desk->name = "reader";
    desk->state = reader;
    desk->stop = stop;
    if (s == MR_OK) s = mr_desk_start(desk, err);
    if (s != MR_OK) {
        mr_redis_free(&reader->redis);
        mr_free(NULL, reader, 1, sizeof *reader);
    }
    return s;
}
