#include "common/pg.h"
#include "tests/unit/services.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

typedef struct world {
    char url[SERVICES_URL];
    mr_pg *pg;
} world;

static int start(void **state) {
    mr_error err = {0};
    world *w = calloc(1, sizeof *w);
    *state = w;
    if (!services_database_url()) return 0;
    if (services_database_new(w->url, &err) || mr_pg_connect(w->url, NULL, NULL, &w->pg, &err)) {
        print_error("%s\n", err.text);
        return -1;
    }
    static const char sql[] =
        "CREATE TABLE t (id int8 PRIMARY KEY, i4 int4, i2 int2, f float8, s text, b bytea, "
        "ok bool, j jsonb, at timestamptz, CHECK (i4 < 1000))";
    return mr_pg_run(w->pg, sql, &err) == MR_OK ? 0 : -1;
}

static int stop(void **state) {
    world *w = *state;
    if (w->pg) {
        mr_pg_free(&w->pg);
        services_database_drop(w->url);
    }
    free(w);
    return 0;
}

static mr_pg *connection(void **state) {
    world *w = *state;
    if (!w->pg) skip();
    mr_error err;
    if (!mr_pg_alive(w->pg)) assert_int_equal(mr_pg_reconnect(w->pg, &err), MR_OK);
    assert_int_equal(mr_pg_run(w->pg, "TRUNCATE t", &err), MR_OK);
    return w->pg;
}

static const mr_pg_statement insert = {"insert",
                                       "INSERT INTO t VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
                                       9,
                                       {MR_PG_INT8, MR_PG_INT4, MR_PG_INT2, MR_PG_FLOAT8, MR_PG_TEXT,
                                        MR_PG_BYTEA, MR_PG_BOOL, MR_PG_JSONB, MR_PG_TIME}};
static const mr_pg_statement select_all = {"select_all", "SELECT * FROM t ORDER BY id", 0, {0}};
static const mr_pg_statement numbers = {"numbers", "SELECT generate_series(1, $1::int8)", 1, {MR_PG_INT8}};

static void put_row(mr_pg_params *p, int64_t id, int32_t i4) {
    mr_pg_params_clear(p);
    mr_pg_put_int8(p, id);
    mr_pg_put_int4(p, i4);
    mr_pg_put_int2(p, -7);
    mr_pg_put_float8(p, -0.1);
    mr_pg_put_text(p, "");
    mr_pg_put_bytea(p, (mr_span){(const uint8_t *)"\0\xff\x01", 3});
    mr_pg_put_bool(p, true);
    mr_pg_put_jsonb(p, mr_span_of("{\"a\": 1}"));
    mr_pg_put_time(p, 1700000000123456000);
}

static void check_row(mr_pg_result *r) {
    mr_pg_row row = mr_pg_row_at(r, 0);
    mr_error err = {0};
    assert_int_equal(mr_pg_int(&row, 0), INT64_MIN);
    assert_int_equal(mr_pg_int(&row, 1), -5);
    assert_int_equal(mr_pg_int(&row, 2), -7);
    assert_true(mr_pg_float(&row, 3) == -0.1);
    assert_false(mr_pg_is_null(&row, 4));
    assert_int_equal(mr_pg_text(&row, 4).len, 0);
    assert_true(mr_span_eq(mr_pg_bytea(&row, 5), (mr_span){(const uint8_t *)"\0\xff\x01", 3}));
    assert_true(mr_pg_bool(&row, 6));
    assert_true(mr_span_eq(mr_pg_text(&row, 7), mr_span_of("{\"a\": 1}")));
    assert_int_equal(mr_pg_time(&row, 8), 1700000000123456000);
    assert_int_equal(mr_pg_row_status(&row, &err), MR_OK);
    mr_pg_int(&row, 9);
    assert_int_equal(mr_pg_row_status(&row, &err), MR_E_INTERNAL);
    row = mr_pg_row_at(r, 1);
    assert_true(mr_pg_is_null(&row, 0));
    assert_int_equal(mr_pg_row_status(&row, &err), MR_E_INTERNAL);
    row = mr_pg_row_at(r, 0);
    mr_pg_int(&row, 4);
    assert_non_null(strstr(row.error.text, "another type"));
}

static void every_type_comes_back_as_it_was(void **state) {
    mr_pg *pg = connection(state);
    mr_error err = {0};
    mr_pg_params p;
    mr_pg_result *r;
    mr_pg_params_init(&p, NULL, 4096);
    put_row(&p, INT64_MIN, -5);
    assert_int_equal(mr_pg_exec(pg, &insert, &p, NULL, &err), MR_OK);
    assert_int_equal(mr_pg_exec(pg, &select_all, NULL, &r, &err), MR_OK);
    assert_int_equal(mr_pg_rows(r), 1);
    check_row(r);
    mr_pg_result_free(&r);
    mr_pg_params_free(&p);
}

static void failures_are_told_apart(void **state) {
    mr_pg *pg = connection(state);
    mr_error err = {0};
    mr_pg_params p;
    mr_pg_params_init(&p, NULL, 4096);
    put_row(&p, 1, 1);
    assert_int_equal(mr_pg_exec(pg, &insert, &p, NULL, &err), MR_OK);
    assert_int_equal(mr_pg_exec(pg, &insert, &p, NULL, &err), MR_E_EXISTS);
    assert_string_equal(mr_pg_sqlstate(pg), "23505");
    assert_non_null(strstr(err.text, "insert"));
    put_row(&p, 2, 1000);
    assert_int_equal(mr_pg_exec(pg, &insert, &p, NULL, &err), MR_E_CONFLICT);
    assert_false(mr_pg_retryable(pg));
    assert_int_equal(mr_pg_run(pg, "SELECT * FROM nowhere", &err), MR_E_NOT_FOUND);
    assert_int_equal(mr_pg_run(pg, "SELECT 1 / 0", &err), MR_E_INVALID);
    assert_int_equal(mr_pg_run(pg, "DO $$BEGIN RAISE SQLSTATE '40001'; END$$", &err), MR_E_CONFLICT);
    assert_true(mr_pg_retryable(pg));
    assert_int_equal(mr_pg_run(pg, "DO $$BEGIN RAISE SQLSTATE '53100'; END$$", &err), MR_E_UNAVAILABLE);
    assert_non_null(strstr(err.text, "disk is full"));
    assert_true(mr_pg_alive(pg));
    mr_pg_params_free(&p);
}

static const mr_pg_statement unnest = {
    "unnest",
    "SELECT array_agg(a), sum(b), sum(c), sum(d), string_agg(e, ','), string_agg(f, ''::bytea), count(g), "
    "max(h), bool_and(i) "
    "FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9) AS u (a, b, c, d, e, f, g, h, i)",
    9,
    {MR_PG_INT8S, MR_PG_INT4S, MR_PG_INT2S, MR_PG_FLOAT8S, MR_PG_TEXTS, MR_PG_BYTEAS, MR_PG_JSONBS,
     MR_PG_TIMES, MR_PG_BOOLS}};

static void arrays_are_unnested_by_the_server(void **state) {
    mr_pg *pg = connection(state);
    mr_error err = {0};
    const int64_t a[] = {1, -2, INT64_MAX}, h[] = {0, -1500, 2000000};
    const int32_t b[] = {10, -20, 30};
    const int16_t c[] = {1, 2, -300};
    const double d[] = {0.5, 0.25, 1e300};
    const bool null[] = {false, true, false}, i[] = {true, true, true};
    const mr_span s[] = {mr_span_of("x"), mr_span_of("y"), mr_span_of("")},
                  j[] = {mr_span_of("1"), mr_span_of("{}"), mr_span_of("[]")};
    mr_pg_params p;
    mr_pg_result *r;
    mr_pg_params_init(&p, NULL, 65536);
    mr_pg_put_int8s(&p, a, NULL, 3);
    mr_pg_put_int4s(&p, b, NULL, 3);
    mr_pg_put_int2s(&p, c, NULL, 3);
    mr_pg_put_float8s(&p, d, null, 3);
    mr_pg_put_texts(&p, s, null, 3);
    mr_pg_put_byteas(&p, s, NULL, 3);
    mr_pg_put_jsonbs(&p, j, null, 3);
    mr_pg_put_times(&p, h, NULL, 3);
    mr_pg_put_bools(&p, i, NULL, 3);
    assert_int_equal(mr_pg_exec(pg, &unnest, &p, &r, &err), MR_OK);
    mr_pg_row row = mr_pg_row_at(r, 0);
    int64_t back[3];
    assert_int_equal(mr_pg_int8s(&row, 0, back, 3), 3);
    assert_memory_equal(back, a, sizeof a);
    assert_int_equal(mr_pg_int(&row, 1), 20);
    assert_int_equal(mr_pg_int(&row, 2), -297);
    assert_true(mr_pg_float(&row, 3) == 1e300);
    assert_true(mr_span_eq(mr_pg_text(&row, 4), mr_span_of("x,")));
    assert_true(mr_span_eq(mr_pg_bytea(&row, 5), mr_span_of("xy")));
    assert_int_equal(mr_pg_int(&row, 6), 2);
    assert_int_equal(mr_pg_time(&row, 7), 2000000);
    assert_true(mr_pg_bool(&row, 8));
    assert_int_equal(mr_pg_row_status(&row, &err), MR_OK);
    mr_pg_result_free(&r);
    mr_pg_params_free(&p);
}

static void a_large_result_is_read_row_by_row(void **state) {
    mr_pg *pg = connection(state);
    mr_error err = {0};
    mr_pg_params p;
    mr_pg_result *r;
    int64_t sum = 0;
    mr_pg_params_init(&p, NULL, 64);
    mr_pg_put_int8(&p, 10000);
    assert_int_equal(mr_pg_stream(pg, &numbers, &p, &err), MR_OK);
    for (;;) {
        assert_int_equal(mr_pg_stream_next(pg, &r, &err), MR_OK);
        if (!r) break;
        mr_pg_row row = mr_pg_row_at(r, 0);
        sum += mr_pg_int(&row, 0);
        mr_pg_result_free(&r);
    }
    assert_int_equal(sum, 50005000);
    assert_int_equal(mr_pg_stream(pg, &numbers, &p, &err), MR_OK);
    assert_int_equal(mr_pg_stream_next(pg, &r, &err), MR_OK);
    mr_pg_result_free(&r);
    mr_pg_stream_end(pg);
    assert_int_equal(mr_pg_run(pg, "SELECT 1", &err), MR_OK);
    mr_pg_params_free(&p);
}

static void copy_stores_rows_and_an_abort_stores_none(void **state) {
    static const char sql[] = "COPY t (id, i4, i2, f, s, b, ok, j, at) FROM STDIN (FORMAT binary)";
    mr_pg *pg = connection(state);
    mr_error err = {0};
    mr_pg_params p;
    mr_pg_result *r;
    uint64_t rows = 0;
    mr_pg_params_init(&p, NULL, 4096);
    assert_int_equal(mr_pg_copy_begin(pg, sql, &err), MR_OK);
    for (int64_t i = 0; i < 1000; i++) {
        put_row(&p, i, 3);
        assert_int_equal(mr_pg_copy_row(pg, &p, &err), MR_OK);
    }
    assert_int_equal(mr_pg_copy_end(pg, &rows, &err), MR_OK);
    assert_int_equal(rows, 1000);
    assert_int_equal(mr_pg_copy_begin(pg, sql, &err), MR_OK);
    put_row(&p, 5000, 3);
    assert_int_equal(mr_pg_copy_row(pg, &p, &err), MR_OK);
    mr_pg_copy_abort(pg);
    assert_int_equal(mr_pg_exec(pg, &select_all, NULL, &r, &err), MR_OK);
    assert_int_equal(mr_pg_rows(r), 1000);
    mr_pg_result_free(&r);
    mr_pg_params_free(&p);
}

static void a_pipeline_gives_results_in_order_and_skips_after_a_failure(void **state) {
    mr_pg *pg = connection(state);
    mr_error err = {0};
    mr_pg_params p;
    mr_pg_result *r;
    bool synced;
    mr_pg_params_init(&p, NULL, 4096);
    put_row(&p, 1, 1);
    assert_int_equal(mr_pg_prepare(pg, &insert, &err), MR_OK);
    assert_int_equal(mr_pg_pipeline_begin(pg, &err), MR_OK);
    for (int group = 0; group < 2;
         group++) { /* the second insert of the first group, and the first of the second, fail */
        for (int i = 0; i < 3; i++) assert_int_equal(mr_pg_pipeline_send(pg, &insert, &p, &err), MR_OK);
        assert_int_equal(mr_pg_pipeline_sync(pg, &err), MR_OK);
        put_row(&p, 2, 2000);
    }
    const mr_status expected[] = {MR_OK,         MR_E_EXISTS,    MR_E_CANCELLED, MR_OK,
                                  MR_E_CONFLICT, MR_E_CANCELLED, MR_E_CANCELLED, MR_OK};
    for (size_t i = 0; i < 8; i++) {
        assert_int_equal(mr_pg_pipeline_next(pg, &r, &synced, &err), expected[i]);
        assert_int_equal(synced, i == 3 || i == 7);
        if (r) mr_pg_result_free(&r);
    }
    assert_int_equal(mr_pg_pipeline_end(pg, &err), MR_OK);
    assert_int_equal(mr_pg_run(pg, "SELECT 1", &err), MR_OK);
    mr_pg_params_free(&p);
}

static void commit_tells_what_became_of_it(void **state) {
    mr_pg *pg = connection(state);
    mr_error err = {0};
    mr_pg_outcome outcome;
    assert_int_equal(mr_pg_begin(pg, &err), MR_OK);
    assert_true(mr_pg_in_transaction(pg));
    assert_int_equal(mr_pg_commit(pg, &outcome, &err), MR_OK);
    assert_int_equal(outcome, MR_PG_COMMITTED);
    assert_int_equal(mr_pg_begin(pg, &err), MR_OK);
    assert_int_equal(mr_pg_run(pg, "SELECT 1 / 0", &err), MR_E_INVALID);
    assert_int_equal(mr_pg_commit(pg, &outcome, &err), MR_E_CONFLICT);
    assert_int_equal(outcome, MR_PG_ROLLED_BACK);
    assert_int_equal(mr_pg_begin(pg, &err), MR_OK);
    mr_pg_rollback(pg);
    assert_false(mr_pg_in_transaction(pg));
}

static const mr_pg_statement own_pid = {"own_pid", "SELECT pg_backend_pid()", 0, {0}};
static const mr_pg_statement terminate = {
    "terminate", "SELECT pg_terminate_backend($1, 5000)", 1, {MR_PG_INT4}};

static void end_from_outside(void **state, mr_pg *pg) {
    mr_error err = {0};
    mr_pg *other;
    mr_pg_result *r;
    mr_pg_params p;
    assert_int_equal(mr_pg_exec(pg, &own_pid, NULL, &r, &err), MR_OK);
    mr_pg_row row = mr_pg_row_at(r, 0);
    mr_pg_params_init(&p, NULL, 64);
    mr_pg_put_int4(&p, (int32_t)mr_pg_int(&row, 0));
    mr_pg_result_free(&r);
    assert_int_equal(mr_pg_connect(((world *)*state)->url, NULL, NULL, &other, &err), MR_OK);
    assert_int_equal(mr_pg_exec(other, &terminate, &p, NULL, &err), MR_OK);
    mr_pg_free(&other);
    mr_pg_params_free(&p);
}

/* Before it is used, so that nothing has to fail. */
static void a_connection_that_the_server_ended_is_known_to_be_gone(void **state) {
    mr_pg *pg = connection(state);
    mr_error err = {0};
    assert_true(mr_pg_idle_alive(pg));
    end_from_outside(state, pg);
    assert_false(mr_pg_idle_alive(pg));
    assert_int_equal(mr_pg_reconnect(pg, &err), MR_OK);
    assert_true(mr_pg_idle_alive(pg));
    assert_int_equal(mr_pg_begin(pg, &err), MR_OK);
    end_from_outside(state, pg);
    assert_true(mr_pg_idle_alive(pg)); /* a transaction was lost, which has to be heard of */
    assert_int_equal(mr_pg_run(pg, "SELECT 1", &err), MR_E_UNAVAILABLE);
    assert_int_equal(mr_pg_reconnect(pg, &err), MR_OK);
}

static void a_connection_lost_in_commit_is_unknown_and_can_be_made_again(void **state) {
    mr_pg *pg = connection(state);
    mr_error err = {0};
    mr_pg_outcome outcome;
    assert_int_equal(mr_pg_begin(pg, &err), MR_OK);
    end_from_outside(state, pg);
    assert_int_equal(mr_pg_commit(pg, &outcome, &err), MR_E_UNAVAILABLE);
    assert_int_equal(outcome, MR_PG_UNKNOWN);
    assert_false(mr_pg_alive(pg));
    assert_int_equal(mr_pg_run(pg, "SELECT 1", &err), MR_E_UNAVAILABLE);
    uint64_t session = mr_pg_session(pg);
    assert_int_equal(mr_pg_reconnect(pg, &err), MR_OK);
    assert_int_not_equal(mr_pg_session(pg), session);
    assert_int_equal(mr_pg_exec(pg, &own_pid, NULL, NULL, &err), MR_OK);
}

static void a_reply_that_does_not_come_ends_in_time(void **state) {
    connection(state);
    mr_pg_options options = {.reply_timeout_ms = 100};
    mr_error err = {0};
    mr_pg *pg;
    assert_int_equal(mr_pg_connect(((world *)*state)->url, &options, NULL, &pg, &err), MR_OK);
    assert_int_equal(mr_pg_run(pg, "SELECT pg_sleep(5)", &err), MR_E_TIMEOUT);
    assert_false(mr_pg_alive(pg));
    mr_pg_free(&pg);
}

static void no_server_is_one_sentence_without_the_password(void **state) {
    (void)state;
    mr_error err = {0};
    mr_pg *pg = NULL;
    mr_buf text;
    assert_int_equal(mr_pg_connect("postgresql://me:hunter2@127.0.0.1:1/db", NULL, NULL, &pg, &err),
                     MR_E_UNAVAILABLE);
    assert_null(strstr(err.text, "hunter2"));
    assert_non_null(strstr(err.text, "me@127.0.0.1:1/db"));
    assert_int_equal(mr_pg_connect("postgresql://me:hunter2@[broken", NULL, NULL, &pg, &err), MR_E_INVALID);
    assert_null(strstr(err.text, "hunter2"));
    mr_buf_init(&text, NULL, 1024);
    mr_pg_describe("postgresql://me:hunter2@db.example:99/x?sslmode=disable", &text);
    assert_true(mr_span_eq(mr_buf_span(&text), mr_span_of("me@db.example:99/x")));
    mr_buf_free(&text);
}

static void a_missing_database_is_not_found(void **state) {
    connection(state);
    char url[SERVICES_URL];
    mr_error err = {0};
    mr_pg *pg = NULL;
    snprintf(url, sizeof url, "%s", ((world *)*state)->url);
    char *name = strstr(url, "millrace_test_");
    name[0] = 'x';
    assert_int_equal(mr_pg_connect(url, NULL, NULL, &pg, &err), MR_E_NOT_FOUND);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type_comes_back_as_it_was),
        cmocka_unit_test(failures_are_told_apart),
        cmocka_unit_test(arrays_are_unnested_by_the_server),
        cmocka_unit_test(a_large_result_is_read_row_by_row),
        cmocka_unit_test(copy_stores_rows_and_an_abort_stores_none),
        cmocka_unit_test(a_pipeline_gives_results_in_order_and_skips_after_a_failure),
        cmocka_unit_test(commit_tells_what_became_of_it),
        cmocka_unit_test(a_connection_that_the_server_ended_is_known_to_be_gone),
        cmocka_unit_test(a_connection_lost_in_commit_is_unknown_and_can_be_made_again),
        cmocka_unit_test(a_reply_that_does_not_come_ends_in_time),
        cmocka_unit_test(no_server_is_one_sentence_without_the_password),
        cmocka_unit_test(a_missing_database_is_not_found),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
