#include "broker/io/intake.h"
#include "broker/io/intake_rows.h"
#include "broker/io/intake_seen.h"
#include "common/pack.h"
#include "tests/unit/io_rig.h"

#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

typedef struct intake_of {
    rig *r;
    mr_desk desk;
    char *said; /* the last answer: JSON, or the error's sentence */
    mr_buf rows;
} intake_of;

static void start_intake(intake_of *in, void **state) {
    mr_error err = {0};
    *in = (intake_of){.r = rig_of(state)};
    mr_buf_init(&in->rows, NULL, 1 << 26);
    rig_desk(in->r, &in->desk);
    if (mr_intake_start(&in->desk, 100, &err) != MR_OK) fail_msg("%s", err.text);
}

static void stop_intake(intake_of *in) {
    mr_desk_stop(&in->desk);
    mr_buf_free(&in->rows);
    free(in->said);
}

/* Sends what is in `rows` as the body, and empties it. */
static mr_status call(intake_of *in, mr_command command, const char *fmt, ...) MR_PRINTF(3, 4);
static mr_status call(intake_of *in, mr_command command, const char *fmt, ...) {
    char text[4096];
    va_list list;
    mr_buf args;
    mr_net_body body = {0};
    va_start(list, fmt);
    vsnprintf(text, sizeof text, fmt, list);
    va_end(list);
    mr_buf_init(&args, NULL, 1 << 20);
    rig_pack(&args, "%s", text);
    if (in->rows.len) assert_int_equal(mr_net_body_of_buf(&in->rows, &body), MR_OK);
    mr_intake_job *job = mr_intake_job_new(command, mr_buf_span(&args), &body, "tester");
    assert_non_null(job);
    assert_null(body.data);
    mr_buf_free(&args);
    mr_desk_give(&in->desk, &job->head);
    assert_ptr_equal(rig_next(in->r), job);
    mr_status s = job->head.status;
    free(in->said);
    in->said = s == MR_OK ? rig_json(mr_buf_span(&job->reply)) : strdup(job->head.error.text);
    mr_intake_job_free(job);
    return s;
}

static long long begin(intake_of *in, const char *more) {
    long long id = 0;
    if (call(in, MR_CMD_INGEST_BEGIN, "{\"paths\": [\"a.jsonl\"]%s}", more) != MR_OK)
        fail_msg("%s", in->said);
    assert_int_equal(sscanf(in->said, "{\"ingest\":%lld", &id), 1);
    return id;
}

static mr_status send_rows(intake_of *in, long long ingest) {
    return call(in, MR_CMD_INGEST_ROWS, "{\"ingest\": %lld, \"file\": \"a.jsonl\", \"rows\": 1}", ingest);
}

static void said(const intake_of *in, const char *words) {
    if (!strstr(in->said, words)) fail_msg("'%s' is not in '%s'", words, in->said);
}

static mr_prompt prompt_of(const char *text) {
    mr_prompt p;
    mr_prompt_init(&p);
    p.prompt = mr_span_of(text);
    return p;
}

static void add_prompts(intake_of *in, int n, const mr_prompt *p) {
    mr_pack_array(&in->rows, (uint32_t)n);
    for (int i = 0; i < n; i++) mr_prompt_pack(&in->rows, &p[i], (uint64_t)i + 1);
}

static void send_one(intake_of *in, long long ingest, const mr_prompt *p) {
    add_prompts(in, 1, p);
    if (send_rows(in, ingest) != MR_OK) fail_msg("%s", in->said);
}

/* ---- prompts ---- */

static void rows_are_stored_with_every_field(void **state) {
    intake_of in;
    start_intake(&in, state);
    long long id = begin(&in, "");
    mr_prompt p = prompt_of("Write a poem.");
    p.enhancement = mr_span_of("{\"a\":1}");
    p.has_enhancement = p.enhancement_is_json = true;
    p.source = MR_SOURCE_API;
    p.priority = 7;
    p.session = mr_span_of("morning");
    p.score = 0.25;
    p.success = 0;
    p.labels = mr_span_of("{\"intent\":\"poem\"}");
    p.metadata = mr_span_of("{\"k\":[1,2]}");
    p.created_at_us = 1700000000123456;
    send_one(&in, id, &p);
    said(&in, "{\"stored\":1,\"updated\":0,\"duplicate\":0,\"duplicates\":[],\"rejects\":[]}");
    assert_true(rig_true(
        in.r,
        "select p.prompt = 'Write a poem.' and enhancement = '{\"a\":1}' and enhancement_json and source = "
        "'api'"
        " and priority = 7 and s.name = 'morning' and score = 0.25 and not success"
        " and labels = '{\"intent\": \"poem\"}' and metadata = '{\"k\": [1, 2]}' and ingest_id = %lld"
        " and p.created_at = '2023-11-14T22:13:20.123456Z' and length(features) = 124 and revision = 1 and "
        "active"
        " from millrace.training_prompts p join millrace.prompt_sessions s on s.id = p.session_id",
        id));
    p = prompt_of("Bare.");
    send_one(&in, id, &p);
    assert_true(rig_true(in.r, "select enhancement is null and session_id is null and score is null and "
                               "success is null and labels is"
                               " null and metadata is null and source = 'user' and priority = 100 and "
                               "created_at > now() - interval '1 h'"
                               " from millrace.training_prompts where prompt = 'Bare.'"));
    stop_intake(&in);
}

static void duplicates_are_told_with_their_line_and_the_row_that_is_there(void **state) {
    intake_of in;
    char words[64];
    start_intake(&in, state);
    long long id = begin(&in, "");
    mr_prompt p[] = {prompt_of("one"), prompt_of("two"), prompt_of("one")};
    add_prompts(&in, 3, p);
    assert_int_equal(send_rows(&in, id), MR_OK);
    long long first = rig_number(in.r, "select id from millrace.training_prompts where prompt = 'one'");
    snprintf(words, sizeof words, "{\"stored\":2,\"updated\":0,\"duplicate\":1,\"duplicates\":[[3,%lld]]",
             first);
    said(&in, words);
    add_prompts(&in, 3, p);
    assert_int_equal(send_rows(&in, id), MR_OK);
    said(&in, "\"stored\":0,\"updated\":0,\"duplicate\":3");
    assert_int_equal(rig_number(in.r, "select count(*) from millrace.training_prompts"), 2);
    stop_intake(&in);
}

/* A call with these rows while `other` has a transaction open that the call must wait for, and that ends well; what it says
 * begins with `words`. */
static void send_beside(intake_of *in, long long id, int n, const mr_prompt *p, mr_pg *other, const char *words) {
    mr_error err = {0};
    mr_buf args;
    mr_net_body body = {0};
    mr_buf_init(&args, NULL, 1 << 20);
    rig_pack(&args, "{\"ingest\": %lld, \"file\": \"a.jsonl\", \"rows\": %d}", id, n);
    add_prompts(in, n, p);
    assert_int_equal(mr_net_body_of_buf(&in->rows, &body), MR_OK);
    mr_intake_job *job = mr_intake_job_new(MR_CMD_INGEST_ROWS, mr_buf_span(&args), &body, "tester");
    mr_desk_give(&in->desk, &job->head);
    while (!rig_true(in->r, "select exists (select 1 from pg_stat_activity where wait_event_type = 'Lock'"
                            " and datname = current_database())"))
        sched_yield();
    assert_int_equal(mr_pg_run(other, "commit", &err), MR_OK);
    assert_ptr_equal(rig_next(in->r), job);
    if (job->head.status != MR_OK) fail_msg("%s", job->head.error.text);
    char *told = rig_json(mr_buf_span(&job->reply));
    assert_ptr_equal(strstr(told, words), told);
    free(told);
    mr_intake_job_free(job);
    mr_buf_free(&args);
}

/* Another broker stores "one" in a transaction that is still open when the call comes. */
static void what_another_stores_at_the_same_time_is_a_duplicate(void **state) {
    intake_of in;
    mr_error err = {0};
    mr_pg *other = NULL;
    start_intake(&in, state);
    long long id = begin(&in, "");
    mr_prompt p[] = {prompt_of("zero"), prompt_of("one")};
    send_one(&in, id, &p[1]);
    rig_sql(in.r, "create table millrace.kept as select * from millrace.training_prompts");
    rig_sql(in.r, "delete from millrace.training_prompts");
    assert_int_equal(mr_pg_connect(in.r->url, NULL, NULL, &other, &err), MR_OK);
    assert_int_equal(mr_pg_run(other, "begin; insert into millrace.training_prompts overriding system value select * from"
                                      " millrace.kept", &err), MR_OK);
    send_beside(&in, id, 2, p, other, "{\"stored\":1,\"updated\":0,\"duplicate\":1,");
    assert_int_equal(rig_number(in.r, "select count(*) from millrace.training_prompts"), 2);
    rig_sql(in.r, "drop table millrace.kept");
    mr_pg_free(&other);
    stop_intake(&in);
}

/* Another broker makes the session in a transaction that is still open when the call comes. */
static void a_session_that_another_makes_at_the_same_time_is_the_same(void **state) {
    intake_of in;
    mr_error err = {0};
    mr_pg *other = NULL;
    start_intake(&in, state);
    long long id = begin(&in, "");
    mr_prompt p[] = {prompt_of("one"), prompt_of("two")};
    p[0].session = mr_span_of("morning");
    p[1].session = mr_span_of("evening");
    assert_int_equal(mr_pg_connect(in.r->url, NULL, NULL, &other, &err), MR_OK);
    assert_int_equal(mr_pg_run(other, "begin; insert into millrace.prompt_sessions (name) values ('evening')", &err), MR_OK);
    send_beside(&in, id, 2, p, other, "{\"stored\":2,\"updated\":0,\"duplicate\":0,");
    assert_true(rig_true(in.r, "select string_agg(p.prompt || ' ' || s.name, ',' order by p.id) = 'one morning,two evening'"
                               " and (select count(*) from millrace.prompt_sessions) = 2 from millrace.training_prompts p"
                               " join millrace.prompt_sessions s on s.id = p.session_id"));
    mr_pg_free(&other);
    stop_intake(&in);
}

static void send_numbered(intake_of *in, long long ingest, int from, int n) {
    char text[32];
    mr_pack_array(&in->rows, (uint32_t)n);
    for (int i = from; i < from + n; i++) {
        snprintf(text, sizeof text, "p %d", i);
        mr_prompt p = prompt_of(text);
        mr_prompt_pack(&in->rows, &p, (uint64_t)(i - from) + 1);
    }
    if (send_rows(in, ingest) != MR_OK) fail_msg("%s", in->said);
}

/* After so many new rows it stops asking for each: what it did not store itself, nor sees for the first time, is known all the
 * same, and so is what it stored. */
static void what_is_not_asked_for_is_still_stored_once(void **state) {
    enum { N = MR_SEEN_TRUST };
    intake_of in;
    mr_error err = {0};
    start_intake(&in, state);
    long long id = begin(&in, "");
    send_numbered(&in, id, 0, 2);
    rig_sql(in.r, "create table millrace.kept as select * from millrace.training_prompts where prompt = 'p 0'");
    rig_sql(in.r, "delete from millrace.training_prompts where prompt = 'p 0'");
    mr_desk_stop(&in.desk); /* the next one has seen nothing yet */
    rig_desk(in.r, &in.desk);
    assert_int_equal(mr_intake_start(&in.desk, 100, &err), MR_OK);
    send_numbered(&in, id, 10, N);
    said(&in, "\"duplicate\":0");
    send_numbered(&in, id, N, 20);
    said(&in, "{\"stored\":10,\"updated\":0,\"duplicate\":10,");
    rig_sql(in.r, "insert into millrace.training_prompts overriding system value select * from millrace.kept");
    rig_sql(in.r, "drop table millrace.kept");
    long long zero = rig_number(in.r, "select id from millrace.training_prompts where prompt = 'p 0'");
    char words[96];
    send_numbered(&in, id, 0, 3);
    snprintf(words, sizeof words, "{\"stored\":1,\"updated\":0,\"duplicate\":2,\"duplicates\":[[1,%lld],[2,", zero);
    said(&in, words);
    assert_true(rig_true(in.r, "select count(*) = %d and count(distinct content_hash) = count(*) from millrace.training_prompts",
                         N + 10 + 3));
    stop_intake(&in);
}

static void sessions_are_made_once_and_found_again(void **state) {
    intake_of in;
    start_intake(&in, state);
    long long id = begin(&in, "");
    mr_prompt p[] = {prompt_of("a"), prompt_of("b"), prompt_of("c"), prompt_of("d")};
    p[0].session = p[2].session = mr_span_of("morning");
    p[3].session = mr_span_of("evening");
    for (int call = 0; call < 2; call++) {
        add_prompts(&in, 4, p);
        assert_int_equal(send_rows(&in, id), MR_OK);
        p[0].prompt = mr_span_of("e");
        p[3].prompt = mr_span_of("f");
    }
    assert_int_equal(rig_number(in.r, "select count(*) from millrace.prompt_sessions"), 2);
    assert_true(rig_true(in.r, "select string_agg(p.prompt || ' ' || coalesce(s.name, '-'), ',' order by p.id)"
                               " = 'a morning,b -,c morning,d evening,e morning,f evening' from millrace.training_prompts p"
                               " left join millrace.prompt_sessions s on s.id = p.session_id"));
    stop_intake(&in);
}

static void an_updating_ingest_makes_revisions_of_what_changed(void **state) {
    intake_of in;
    start_intake(&in, state);
    mr_prompt p[] = {prompt_of("one"), prompt_of("two")};
    long long id = begin(&in, "");
    add_prompts(&in, 2, p);
    assert_int_equal(send_rows(&in, id), MR_OK);
    p[0].score = 0.75;
    id = begin(&in, ", \"update\": true");
    add_prompts(&in, 2, p);
    assert_int_equal(send_rows(&in, id), MR_OK);
    said(&in, "\"stored\":0,\"updated\":1,\"duplicate\":1");
    assert_true(rig_true(
        in.r,
        "select new.revision = 2 and new.score = 0.75 and new.active and not old.active and old.superseded"
        " from millrace.training_prompts new join millrace.training_prompts old on old.id = new.supersedes"));
    assert_true(rig_true(in.r, "select event = 'updated' and client = 'tester' from millrace.prompt_event"));
    add_prompts(&in, 2, p);
    assert_int_equal(send_rows(&in, id), MR_OK);
    said(&in, "\"stored\":0,\"updated\":0,\"duplicate\":2"); /* now it is the same */
    stop_intake(&in);
}

static void a_deleted_prompt_stays_deleted(void **state) {
    intake_of in;
    start_intake(&in, state);
    mr_prompt p = prompt_of("secret");
    send_one(&in, begin(&in, ""), &p);
    long long prompt = rig_number(in.r, "select id from millrace.training_prompts");
    assert_int_equal(call(&in, MR_CMD_PROMPT_DELETE, "{\"id\": %lld, \"reason\": \"private\"}", prompt),
                     MR_OK);
    said(&in, "{}");
    assert_true(rig_true(
        in.r,
        "select event = 'deleted' and reason = 'private' and client = 'tester' from millrace.prompt_event"));
    assert_int_equal(call(&in, MR_CMD_PROMPT_DELETE, "{\"id\": %lld}", prompt), MR_E_NOT_FOUND);
    p.score = 0.5;
    send_one(&in, begin(&in, ", \"update\": true"), &p);
    said(&in, "\"stored\":0,\"updated\":0,\"duplicate\":1");
    assert_int_equal(rig_number(in.r, "select count(*) from millrace.training_prompts where active"), 0);
    stop_intake(&in);
}

static void bad_rows_are_refused_one_by_one_and_the_good_ones_are_stored(void **state) {
    intake_of in;
    char longer[102];
    start_intake(&in, state);
    memset(longer, 'x', 101);
    longer[101] = 0;
    mr_prompt p[] = {prompt_of("good"),          prompt_of("   "),       prompt_of(longer),
                     prompt_of("too important"), prompt_of("also good"), prompt_of("broken \xff text"),
                     prompt_of("far away")};
    p[3].priority = 5000;
    p[6].created_at_us = 253402300799000000; /* year 9999: beyond what nanoseconds hold */
    long long id = begin(&in, "");
    add_prompts(&in, 7, p);
    assert_int_equal(send_rows(&in, id), MR_OK);
    said(&in, "{\"stored\":2,");
    for (int line = 2; line <= 7; line++) {
        char words[16];
        snprintf(words, sizeof words, "[%d,0,", line);
        if (line != 5) said(&in, words);
    }
    assert_int_equal(
        rig_number(in.r,
                   "select count(*) from millrace.ingest_reject where ingest_id = %lld and file = 'a.jsonl'"
                   " and line in (2, 3, 4, 6, 7) and length(reason) > 5",
                   id),
        5);
    stop_intake(&in);
}

static void times_at_the_ends_of_what_can_be_stored_come_back_as_they_were(void **state) {
    intake_of in;
    start_intake(&in, state);
    long long id = begin(&in, "");
    mr_prompt p = prompt_of("old");
    p.created_at_us = -9214560000000000; /* 1678-01-01 */
    send_one(&in, id, &p);
    assert_true(rig_true(
        in.r, "select created_at = '1678-01-01Z' from millrace.training_prompts where prompt = 'old'"));
    stop_intake(&in);
}

/* ---- hostile bodies ---- */

static void a_body_that_is_no_list_of_rows_is_refused_whole(void **state) {
    static const char *const bad[] = {
        "\xc1",      "\x93",      "\x81\xa1k\x01", "\xdd\xff\xff\xff\xff", "\x91\xdd\xff\xff\xff\xff",
        "\xa5hello", "\xd9\xffx", "\x92\xc0",      "\x91\xc7\x01\x05z"};
    intake_of in;
    start_intake(&in, state);
    long long id = begin(&in, "");
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        mr_buf_put(&in.rows, bad[i], strlen(bad[i]));
        mr_status s = send_rows(&in, id);
        if (s == MR_OK)
            said(&in, "\"stored\":0");
        else
            assert_true(s == MR_E_PROTOCOL || s == MR_E_LIMIT);
    }
    assert_int_equal(send_rows(&in, id), MR_E_PROTOCOL); /* no body at all */
    assert_int_equal(rig_number(in.r, "select count(*) from millrace.training_prompts"), 0);
    mr_prompt p = prompt_of("it goes on");
    send_one(&in, id, &p);
    stop_intake(&in);
}

static void rows_of_the_wrong_shape_are_refused_one_by_one(void **state) {
    intake_of in;
    start_intake(&in, state);
    long long id = begin(&in, "");
    mr_prompt good = prompt_of("good");
    mr_pack_array(&in.rows, 4);
    mr_pack_u64(&in.rows, 7);                                      /* no array */
    mr_pack_array(&in.rows, 0);                                    /* nothing in it */
    rig_pack(&in.rows, "[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]"); /* wrong types */
    mr_prompt_pack(&in.rows, &good, 4);
    assert_int_equal(send_rows(&in, id), MR_OK);
    said(&in, "{\"stored\":1,");
    assert_int_equal(rig_number(in.r, "select count(*) from millrace.ingest_reject"), 3);
    stop_intake(&in);
}

static void more_rows_than_a_call_may_hold_are_refused(void **state) {
    intake_of in;
    start_intake(&in, state);
    long long id = begin(&in, "");
    mr_pack_array(&in.rows, MR_INTAKE_ROWS + 1);
    for (int i = 0; i <= MR_INTAKE_ROWS; i++) mr_pack_nil(&in.rows);
    mr_status s = send_rows(&in, id);
    assert_true(s == MR_E_LIMIT || s == MR_E_PROTOCOL);
    said(&in, "at most 20000");
    stop_intake(&in);
}

static void an_ingest_that_was_not_begun_takes_no_rows(void **state) {
    intake_of in;
    start_intake(&in, state);
    mr_prompt p = prompt_of("x");
    add_prompts(&in, 1, &p);
    assert_int_equal(send_rows(&in, 123456), MR_E_NOT_FOUND);
    add_prompts(&in, 1, &p);
    assert_int_equal(send_rows(&in, 0), MR_E_NOT_FOUND);
    stop_intake(&in);
}

static void more_ingests_than_are_remembered_are_still_taken(void **state) {
    intake_of in;
    char text[32];
    long long id[20];
    start_intake(&in, state);
    for (int i = 0; i < 20; i++) id[i] = begin(&in, "");
    for (int round = 0; round < 2; round++)
        for (int i = 0; i < 20; i++) {
            snprintf(text, sizeof text, "p %d %d", round, i);
            mr_prompt p = prompt_of(text);
            send_one(&in, id[i], &p);
        }
    assert_int_equal(rig_number(in.r, "select count(distinct ingest_id) from millrace.training_prompts"), 20);
    stop_intake(&in);
}

static void a_lost_connection_loses_one_call_and_not_the_next(void **state) {
    intake_of in;
    start_intake(&in, state);
    long long id = begin(&in, "");
    rig_cut_connections(in.r);
    mr_prompt p = prompt_of("x");
    add_prompts(&in, 1, &p);
    mr_status s = send_rows(&in, id);
    assert_true(s == MR_OK || mr_status_of((int)s)->retryable);
    add_prompts(&in, 1, &p);
    assert_int_equal(send_rows(&in, id), MR_OK);
    assert_int_equal(rig_number(in.r, "select count(*) from millrace.training_prompts"), 1);
    stop_intake(&in);
}

/* ---- tables ---- */

static const char t_columns[] =
    ", \"dataset\": \"t\", \"columns\": {\"n\": \"integer\", \"x\": \"number\", \"y\": \"text\"}";

static void table_rows_are_known_by_their_place_in_the_file(void **state) {
    intake_of in;
    start_intake(&in, state);
    long long id = begin(&in, t_columns);
    rig_pack(&in.rows, "[[1, [1, 0.5, \"a\"]], [2, [1, 0.5, \"a\"]], [3, [null, null, null]]]");
    assert_int_equal(send_rows(&in, id), MR_OK);
    said(&in, "{\"stored\":3,\"updated\":0,\"duplicate\":0");
    rig_pack(&in.rows, "[[3, [9, 9.5, \"z\"]], [4, [2, 1.5, \"b\"]]]");
    assert_int_equal(send_rows(&in, id), MR_OK);
    long long third = rig_number(in.r, "select id from millrace.table_row order by id limit 1 offset 2");
    char words[64];
    snprintf(words, sizeof words, "{\"stored\":1,\"updated\":0,\"duplicate\":1,\"duplicates\":[[3,%lld]]",
             third);
    said(&in, words);
    assert_int_equal(rig_number(in.r, "select count(distinct content_hash) from millrace.table_row"), 3);
    stop_intake(&in);
}

static void table_rows_of_wrong_types_or_counts_are_refused(void **state) {
    intake_of in;
    start_intake(&in, state);
    long long id = begin(&in, t_columns);
    rig_pack(&in.rows, "[[1, [1, 0.5, \"a\"]], [2, [\"one\", 0.5, \"a\"]], [3, [1, 0.5]], [4, [1, 0.5, "
                       "\"a\", 4]], [5, [2, 1, \"b\"]]]");
    assert_int_equal(send_rows(&in, id), MR_OK);
    said(&in, "{\"stored\":2,");
    said(&in, "[2,0,");
    said(&in, "[3,0,");
    said(&in, "[4,0,");
    mr_pack_array(&in.rows, 1);
    mr_pack_array(&in.rows, 2);
    mr_pack_u64(&in.rows, 6);
    mr_pack_array(&in.rows, 3);
    mr_pack_i64(&in.rows, 1);
    mr_pack_f64(&in.rows, 1);
    mr_pack_text(&in.rows, "\xff\xfe");
    assert_int_equal(send_rows(&in, id), MR_OK);
    said(&in, "[6,0,");
    rig_pack(&in.rows, "[[1], [2, [1, 2, \"x\"]]]"); /* no cells: the rest cannot be told apart */
    assert_int_equal(send_rows(&in, id), MR_E_PROTOCOL);
    rig_pack(&in.rows, "[[\"one\", [1, 2, \"x\"]]]");
    assert_int_equal(send_rows(&in, id), MR_E_PROTOCOL);
    stop_intake(&in);
}

static void a_table_keeps_the_columns_it_was_made_with(void **state) {
    intake_of in;
    start_intake(&in, state);
    begin(&in, t_columns);
    begin(&in, t_columns); /* the same again is fine */
    static const char *const others[] = {"{\"n\": \"integer\", \"x\": \"number\"}",
                                         "{\"n\": \"number\", \"x\": \"number\", \"y\": \"text\"}",
                                         "{\"N\": \"integer\", \"x\": \"number\", \"y\": \"text\"}"};
    for (int i = 0; i < 3; i++) {
        mr_status s =
            call(&in, MR_CMD_INGEST_BEGIN, "{\"paths\": [], \"dataset\": \"t\", \"columns\": %s}", others[i]);
        assert_int_equal(s, MR_E_CONFLICT);
        said(&in, "other columns");
    }
    assert_int_equal(rig_number(in.r, "select count(*) from millrace.ingest"), 2);
    stop_intake(&in);
}

static void columns_that_make_no_table_are_refused(void **state) {
    intake_of in;
    start_intake(&in, state);
    static const char *const bad[] = {", \"columns\": {}", "", ", \"columns\": {\"a\": \"blob\"}",
                                      ", \"columns\": {\"\": \"text\"}"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(call(&in, MR_CMD_INGEST_BEGIN, "{\"paths\": [], \"dataset\": \"bad\"%s}", bad[i]),
                         MR_E_INVALID);
    assert_int_not_equal(
        call(&in, MR_CMD_INGEST_BEGIN, "{\"paths\": [], \"dataset\": \"bad\", \"columns\": {\"a\": 5}}"),
        MR_OK);
    char name[66];
    memset(name, 'n', 65);
    name[65] = 0;
    assert_int_equal(call(&in, MR_CMD_INGEST_BEGIN,
                          "{\"paths\": [], \"dataset\": \"%s\", \"columns\": {\"a\": \"text\"}}", name),
                     MR_E_INVALID);
    assert_int_equal(rig_number(in.r, "select count(*) from millrace.dataset"), 1);
    stop_intake(&in);
}

/* One name twice, which JSON would not let through. */
static void a_column_that_is_named_twice_is_refused(void **state) {
    intake_of in;
    mr_buf args;
    start_intake(&in, state);
    mr_buf_init(&args, NULL, 4096);
    mr_pack_map(&args, 2);
    mr_pack_text(&args, "dataset");
    mr_pack_text(&args, "twice");
    mr_pack_text(&args, "columns");
    mr_pack_map(&args, 2);
    for (int i = 0; i < 2; i++) {
        mr_pack_text(&args, "a");
        mr_pack_text(&args, i ? "text" : "number");
    }
    mr_intake_job *job = mr_intake_job_new(MR_CMD_INGEST_BEGIN, mr_buf_span(&args), NULL, "tester");
    mr_buf_free(&args);
    mr_desk_give(&in.desk, &job->head);
    assert_ptr_equal(rig_next(in.r), job);
    assert_int_equal(job->head.status, MR_E_INVALID);
    assert_non_null(strstr(job->head.error.text, "two columns 'a'"));
    mr_intake_job_free(job);
    stop_intake(&in);
}

/* ---- the rest of an ingest ---- */

static void an_ingest_ends_once_with_its_totals_and_the_clients_rejects(void **state) {
    intake_of in;
    start_intake(&in, state);
    long long id = begin(&in, "");
    assert_true(rig_true(
        in.r, "select paths = '[\"a.jsonl\"]' and client = 'tester' and not revises from millrace.ingest"));
    assert_int_equal(call(&in, MR_CMD_INGEST_REJECT,
                          "{\"ingest\": %lld, \"rejects\": [[\"f.csv\", 12, 3, 2, \"not a number\"]]}", id),
                     MR_OK);
    assert_true(rig_true(
        in.r,
        "select file = 'f.csv' and line = 12 and \"column\" = 3 and status = 2 and reason = 'not a number'"
        " from millrace.ingest_reject where ingest_id = %lld",
        id));
    assert_int_equal(
        call(&in, MR_CMD_INGEST_REJECT, "{\"ingest\": %lld, \"rejects\": [[\"f.csv\", 12]]}", id),
        MR_E_INVALID);
    assert_int_not_equal(call(&in, MR_CMD_INGEST_REJECT, "{\"ingest\": %lld, \"rejects\": [5]}", id), MR_OK);
    assert_int_not_equal(
        call(&in, MR_CMD_INGEST_REJECT, "{\"ingest\": 99999, \"rejects\": [[\"f\", 1, 1, 1, \"r\"]]}"),
        MR_OK);
    assert_int_equal(call(&in, MR_CMD_INGEST_REJECT, "{\"ingest\": %lld, \"rejects\": []}", id), MR_OK);
    assert_int_equal(call(&in, MR_CMD_INGEST_END, "{\"ingest\": %lld, \"read\": 10, \"rejected\": 1}", id),
                     MR_OK);
    assert_int_equal(call(&in, MR_CMD_INGEST_END, "{\"ingest\": %lld, \"read\": 99, \"rejected\": 9}", id),
                     MR_OK);
    assert_true(rig_true(in.r, "select rows_read = 10 and rejected = 1 from millrace.ingest_end"));
    stop_intake(&in);
}

static void paths_that_can_not_be_told_as_json_are_refused(void **state) {
    intake_of in;
    mr_buf args;
    start_intake(&in, state);
    mr_buf_init(&args, NULL, 4096);
    mr_pack_map(&args, 1);
    mr_pack_text(&args, "paths");
    mr_pack_array(&args, 2);
    mr_pack_text(&args, "a path that takes some memory first");
    mr_pack_map(&args, 1);
    mr_pack_u64(&args, 1); /* a key that is no text */
    mr_pack_u64(&args, 2);
    mr_intake_job *job = mr_intake_job_new(MR_CMD_INGEST_BEGIN, mr_buf_span(&args), NULL, "tester");
    mr_buf_free(&args);
    mr_desk_give(&in.desk, &job->head);
    assert_ptr_equal(rig_next(in.r), job);
    assert_int_equal(job->head.status, MR_E_PROTOCOL);
    mr_intake_job_free(job);
    assert_int_equal(rig_number(in.r, "select count(*) from millrace.ingest"), 0);
    stop_intake(&in);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_stored_with_every_field),
        cmocka_unit_test(duplicates_are_told_with_their_line_and_the_row_that_is_there),
        cmocka_unit_test(what_another_stores_at_the_same_time_is_a_duplicate),
        cmocka_unit_test(what_is_not_asked_for_is_still_stored_once),
        cmocka_unit_test(sessions_are_made_once_and_found_again),
        cmocka_unit_test(a_session_that_another_makes_at_the_same_time_is_the_same),
        cmocka_unit_test(an_updating_ingest_makes_revisions_of_what_changed),
        cmocka_unit_test(a_deleted_prompt_stays_deleted),
        cmocka_unit_test(bad_rows_are_refused_one_by_one_and_the_good_ones_are_stored),
        cmocka_unit_test(times_at_the_ends_of_what_can_be_stored_come_back_as_they_were),
        cmocka_unit_test(a_body_that_is_no_list_of_rows_is_refused_whole),
        cmocka_unit_test(rows_of_the_wrong_shape_are_refused_one_by_one),
        cmocka_unit_test(more_rows_than_a_call_may_hold_are_refused),
        cmocka_unit_test(an_ingest_that_was_not_begun_takes_no_rows),
        cmocka_unit_test(more_ingests_than_are_remembered_are_still_taken),
        cmocka_unit_test(a_lost_connection_loses_one_call_and_not_the_next),
        cmocka_unit_test(table_rows_are_known_by_their_place_in_the_file),
        cmocka_unit_test(table_rows_of_wrong_types_or_counts_are_refused),
        cmocka_unit_test(a_table_keeps_the_columns_it_was_made_with),
        cmocka_unit_test(columns_that_make_no_table_are_refused),
        cmocka_unit_test(a_column_that_is_named_twice_is_refused),
        cmocka_unit_test(an_ingest_ends_once_with_its_totals_and_the_clients_rejects),
        cmocka_unit_test(paths_that_can_not_be_told_as_json_are_refused),
    };
    return cmocka_run_group_tests(tests, rig_start, rig_stop);
}
