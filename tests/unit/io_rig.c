#include "tests/unit/io_rig.h"

#include "common/hash.h"
#include "common/json.h"
#include "common/pack.h"
#include "common/rows.h"

#include <glob.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

enum { SQL_MAX = 8192 };

#define EXPAND(text, fmt)                                                                                    \
    do {                                                                                                     \
        va_list args_;                                                                                       \
        va_start(args_, fmt);                                                                                \
        vsnprintf(text, sizeof text, fmt, args_);                                                            \
        va_end(args_);                                                                                       \
    } while (0)

/* ---- a database with the schema ---- */

static mr_status run_file(mr_pg *pg, const char *path, mr_error *err) {
    static const size_t most = 1 << 20;
    char *text = calloc(1, most + 1);
    FILE *f = fopen(path, "r");
    if (!f || !text) {
        if (f) fclose(f);
        free(text);
        return mr_fail(err, MR_E_IO, "cannot read %s", path);
    }
    size_t n = fread(text, 1, most, f);
    fclose(f);
    text[n] = 0;
    mr_status s = mr_pg_run(pg, text, err);
    free(text);
    return s;
}

static mr_status migrate(mr_pg *pg, mr_error *err) {
    glob_t files;
    if (glob(MR_SOURCE_DIR "/deploy/sql/*.up.sql", 0, NULL, &files))
        return mr_fail(err, MR_E_NOT_FOUND, "no schema");
    mr_status s = mr_pg_run(pg, "set client_min_messages = warning", err);
    for (size_t i = 0; s == MR_OK && i < files.gl_pathc; i++) s = run_file(pg, files.gl_pathv[i], err);
    globfree(&files);
    return s;
}

int rig_start(void **state) {
    mr_error err = {0};
    rig *r = calloc(1, sizeof *r);
    *state = r;
    if (!r || mr_crypto_init(&err)) return -1;
    mr_log_level level = MR_LOG_OFF;
    const char *wanted = getenv("MILLRACE_TEST_LOG"); /* debug, info, ...: what the threads under test say */
    if (wanted) (void)mr_log_level_parse(wanted, &level);
    mr_log_init(&r->log, STDERR_FILENO, level, false);
    mr_queue_init(&r->outbox);
    if (mr_waker_init(&r->waker, &err)) return -1;
    if (!services_database_url()) return 0;
    if (services_database_new(r->url, &err) || mr_pg_connect(r->url, NULL, NULL, &r->pg, &err) ||
        migrate(r->pg, &err)) {
        print_error("%s\n", err.text);
        return -1;
    }
    return 0;
}

int rig_stop(void **state) {
    rig *r = *state;
    mr_pg_free(&r->pg);
    if (r->url[0]) services_database_drop(r->url);
    mr_waker_close(&r->waker);
    mr_queue_destroy(&r->outbox);
    free(r);
    return 0;
}

rig *rig_of(void **state) {
    rig *r = *state;
    mr_error err = {0};
    if (!r->pg) skip();
    if (!mr_pg_alive(r->pg)) assert_int_equal(mr_pg_reconnect(r->pg, &err), MR_OK);
    assert_null(r->done);
    rig_sql(r, "truncate millrace.training_prompts, millrace.prompt_sessions, millrace.table_row, "
               "millrace.dataset_version,"
               " millrace.ingest, millrace.run, millrace.result, millrace.artifact, millrace.task_block, millrace.task_piece cascade;"
               "delete from millrace.dataset where name <> 'prompts';"
               "update millrace.partition_lease set owner = '', expires_at = '-infinity'; delete from millrace.broker");
    return r;
}

void rig_desk(rig *r, mr_desk *desk) {
    desk->name = "desk";
    desk->log = &r->log;
    desk->url = r->url;
    desk->outbox = &r->outbox;
    desk->waker = &r->waker;
    desk->idle_ms = -1;
}

mr_job *rig_next(rig *r) {
    mr_error err = {0};
    while (!r->done) {
        mr_poll_item item = {.fd = r->waker.fd};
        assert_int_equal(mr_net_poll(&item, 1, RIG_WAIT_MS, &err), MR_OK);
        assert_true(item.readable);
        mr_waker_clear(&r->waker);
        r->done = mr_queue_take(&r->outbox, 0);
    }
    mr_job *job = r->done;
    r->done = job->next;
    job->next = NULL;
    return job;
}

/* ---- SQL ---- */

void rig_sql(rig *r, const char *fmt, ...) {
    char sql[SQL_MAX];
    mr_error err = {0};
    EXPAND(sql, fmt);
    if (mr_pg_run(r->pg, sql, &err) != MR_OK) fail_msg("%s: %s", sql, err.text);
}

/* On a connection of its own, as a connection remembers its statements for good. */
static mr_pg_result *ask(rig *r, const char *sql) {
    mr_error err = {0};
    mr_pg *pg = NULL;
    mr_pg_result *result = NULL;
    mr_pg_statement st = {.name = "rig_ask", .sql = sql};
    assert_int_equal(mr_pg_connect(r->url, NULL, NULL, &pg, &err), MR_OK);
    if (mr_pg_exec(pg, &st, NULL, &result, &err) != MR_OK) fail_msg("%s: %s", sql, err.text);
    mr_pg_free(&pg);
    assert_true(mr_pg_rows(result) > 0);
    return result;
}

int64_t rig_number(rig *r, const char *fmt, ...) {
    char sql[SQL_MAX];
    mr_error err = {0};
    EXPAND(sql, fmt);
    mr_pg_result *result = ask(r, sql);
    mr_pg_row row = mr_pg_row_at(result, 0);
    int64_t v = mr_pg_int(&row, 0);
    if (mr_pg_row_status(&row, &err) != MR_OK) fail_msg("%s: %s", sql, err.text);
    mr_pg_result_free(&result);
    return v;
}

bool rig_true(rig *r, const char *fmt, ...) {
    char sql[SQL_MAX];
    mr_error err = {0};
    EXPAND(sql, fmt);
    mr_pg_result *result = ask(r, sql);
    mr_pg_row row = mr_pg_row_at(result, 0);
    bool v = mr_pg_bool(&row, 0);
    if (mr_pg_row_status(&row, &err) != MR_OK) fail_msg("%s: %s", sql, err.text);
    mr_pg_result_free(&result);
    return v;
}

void rig_cut_connections(rig *r) {
    rig_sql(r, "select pg_terminate_backend(pid, 10000) from pg_stat_activity"
               " where datname = current_database() and pid <> pg_backend_pid()");
}

void rig_database_away(rig *r, bool away) {
    rig_sql(r, "update pg_database set datallowconn = %s where datname = current_database()",
            away ? "false" : "true");
    if (away) rig_cut_connections(r);
}

mr_lease rig_lease(rig *r, const char *owner) {
    mr_lease lease = {.seconds = 60, .open = MR_ALL_PARTITIONS};
    snprintf(lease.owner, sizeof lease.owner, "%s", owner);
    rig_sql(r, "update millrace.partition_lease set owner = '%s', epoch = epoch + 1, expires_at = now() + interval '1 min'", owner);
    for (int i = 0; i < MR_PARTITIONS; i++)
        lease.epoch[i] = rig_number(r, "select epoch from millrace.partition_lease where partition = %d", i);
    return lease;
}

/* ---- rows ---- */

void rig_prompts(rig *r, int n) {
    rig_sql(r,
            "insert into millrace.prompt_sessions (name) values ('s1') on conflict do nothing;"
            "insert into millrace.training_prompts (content_hash, prompt, enhancement, source, priority, "
            "session_id, score,"
            " success, labels, created_at, features, features_version)"
            " select sha256(convert_to('prompt ' || i, 'UTF8')), 'prompt ' || i, case when i %% 2 = 0 then "
            "'better ' || i end,"
            " 'user', 100, case when i %% 3 = 0 then s.id end, i::float8 / %d, i %% 2 = 0,"
            " jsonb_build_object('label', case when i %% 2 = 0 then 'a' else 'b' end), "
            "'2026-01-01Z'::timestamptz + i * interval '1 s',"
            " decode(repeat(lpad(to_hex(i %% 120), 2, '0') || '000000', 31), 'hex'), 1"
            " from generate_series(1, %d) i, millrace.prompt_sessions s where s.name = 's1' order by i",
            n, n);
}

static const mr_table_column table_columns[] = {
    {"x", MR_CELL_NUMBER}, {"k", MR_CELL_INTEGER}, {"note", MR_CELL_TEXT}, {"score", MR_CELL_NUMBER}};

static void put_table_row(rig *r, int64_t dataset, int i) {
    static const mr_pg_statement insert = {"rig_table_row",
                                           "insert into millrace.table_row (dataset_id, row_key, "
                                           "content_hash, cells) values ($1, sha256($2), sha256($3), $3)",
                                           3,
                                           {MR_PG_INT8, MR_PG_BYTEA, MR_PG_BYTEA}};
    mr_table_schema schema = {.count = 4, .columns = table_columns};
    char note[32];
    mr_error err = {0};
    snprintf(note, sizeof note, "note %d", i);
    mr_cell cells[4] = {{.missing = i % 5 == 0, .as.number = i % 5 == 0 ? 0 : i * 0.5},
                        {.as.integer = i},
                        {.as.text = mr_span_of(note)},
                        {.as.number = i / 1000.0}};
    mr_buf pack;
    mr_pg_params p;
    mr_buf_init(&pack, NULL, 4096);
    mr_table_row_pack(&pack, schema, cells);
    mr_pg_params_init(&p, NULL, 8192);
    mr_pg_put_int8(&p, dataset);
    mr_pg_put_bytea(&p, mr_span_of(note));
    mr_pg_put_bytea(&p, mr_buf_span(&pack));
    if (mr_pg_exec(r->pg, &insert, &p, NULL, &err) != MR_OK) fail_msg("%s", err.text);
    mr_pg_params_free(&p);
    mr_buf_free(&pack);
}

void rig_table(rig *r, int n) {
    rig_sql(r, "insert into millrace.dataset (name, kind, columns) values ('t', 'table',"
               " '[{\"name\": \"x\", \"type\": \"number\"}, {\"name\": \"k\", \"type\": \"integer\"},"
               " {\"name\": \"note\", \"type\": \"text\"}, {\"name\": \"score\", \"type\": \"number\"}]')");
    int64_t id = rig_number(r, "select id from millrace.dataset where name = 't'");
    for (int i = 1; i <= n; i++) put_table_row(r, id, i);
}

/* ---- runs ---- */

mr_plan_job *rig_plan_job(const mr_lease *lease, const char *dataset, uint32_t shape, uint32_t batch_rows,
                          uint32_t columns, uint32_t steps) {
    mr_plan_job *job = mr_plan_job_new();
    assert_non_null(job);
    job->lease = lease;
    job->batch_size = batch_rows;
    job->seed = 7;
    job->steps = steps;
    snprintf(job->dataset, sizeof job->dataset, "%s", dataset);
    snprintf(job->client, sizeof job->client, "test");
    for (uint32_t i = 0; i < steps; i++) {
        job->step[i] = (mr_plan_step_request){.version = 1,
                                              .shape = shape,
                                              .columns = columns,
                                              .batch_rows = batch_rows,
                                              .deadline_ms = 1000,
                                              .options = mr_span_of("{\"depth\": \"3\"}")};
        snprintf(job->step[i].component, sizeof job->step[i].component, "component_%u", i);
    }
    return job;
}

mr_run_info *rig_run(rig *r, const mr_lease *lease, const char *dataset, uint32_t shape, uint32_t batch_rows,
                     uint32_t columns) {
    mr_desk desk = {0};
    rig_desk(r, &desk);
    mr_plan_job *job = rig_plan_job(lease, dataset, shape, batch_rows, columns, 1);
    mr_plan_work(&desk, &job->head);
    if (job->head.status != MR_OK) fail_msg("%s", job->head.error.text);
    mr_run_info *info = mr_run_info_share(job->info);
    mr_plan_job_free(job);
    mr_pg_free(&desk.pg);
    return info;
}

/* ---- msgpack ---- */

void rig_pack(mr_buf *out, const char *fmt, ...) {
    char text[SQL_MAX];
    mr_json *v = NULL;
    mr_error err = {0};
    EXPAND(text, fmt);
    if (mr_json_parse(mr_span_of(text), sizeof text, 32, &v, &err) != MR_OK)
        fail_msg("%s: %s", text, err.text);
    mr_json_to_pack(v, out);
    mr_json_free(&v);
    assert_int_equal(mr_buf_status(out), MR_OK);
}

char *rig_json(mr_span pack) {
    mr_buf text;
    mr_error err = {0};
    mr_buf_init(&text, NULL, 1 << 26);
    if (mr_json_from_pack(pack, &text, &err) != MR_OK) fail_msg("%s", err.text);
    mr_buf_put(&text, "", 1);
    assert_int_equal(mr_buf_status(&text), MR_OK);
    char *copy = strdup((const char *)text.data);
    mr_buf_free(&text);
    return copy;
}
