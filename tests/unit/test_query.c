#include "broker/io/query.h"
#include "broker/io/loader.h"
#include "common/clock.h"
#include "common/redis.h"
#include "tests/unit/io_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

typedef struct reader_of {
    rig *r;
    mr_desk desk;
    mr_lease lease;
    char *said; /* the last answer: JSON, or the error's sentence */
} reader_of;

static void start_reader(reader_of *q, void **state, const char *redis_url) {
    mr_error err = {0};
    *q = (reader_of){.r = rig_of(state)};
    q->lease = rig_lease(q->r, "one");
    rig_desk(q->r, &q->desk);
    if (mr_reader_start(&q->desk, redis_url, 60, &err) != MR_OK) fail_msg("%s", err.text);
}

static void stop_reader(reader_of *q) {
    mr_desk_stop(&q->desk);
    free(q->said);
}

static mr_status ask(reader_of *q, mr_command command, const char *fmt, ...) MR_PRINTF(3, 4);
static mr_status ask(reader_of *q, mr_command command, const char *fmt, ...) {
    char text[1024];
    mr_buf args;
    va_list list;
    va_start(list, fmt);
    vsnprintf(text, sizeof text, fmt, list);
    va_end(list);
    mr_buf_init(&args, NULL, 4096);
    rig_pack(&args, "%s", text);
    mr_query_job *job = mr_query_job_new(command, mr_buf_span(&args));
    assert_non_null(job);
    mr_buf_free(&args);
    mr_desk_give(&q->desk, &job->head);
    assert_ptr_equal(rig_next(q->r), job);
    mr_status s = job->head.status;
    free(q->said);
    q->said = s == MR_OK ? rig_json(mr_buf_span(&job->reply)) : strdup(job->head.error.text);
    mr_query_job_free(job);
    return s;
}

static void said(const reader_of *q, const char *words) {
    if (!strstr(q->said, words)) fail_msg("'%s' is not in '%s'", words, q->said);
}

static void answers(reader_of *q, const char *args, mr_command command, const char *words) {
    if (ask(q, command, "%s", args) != MR_OK) fail_msg("%s", q->said);
    said(q, words);
}

/* How many rows the last list had: each is an array in the array of rows. */
static int rows_of(const reader_of *q) {
    const char *at = strstr(q->said, "\"rows\":[");
    int depth = 0, rows = 0;
    assert_non_null(at);
    for (at += strlen("\"rows\":"); *at; at++) {
        if (*at == '[' && ++depth == 2) rows++;
        if (*at == ']' && --depth == 0) return rows;
    }
    return -1;
}

static mr_run_info *finished_run(reader_of *q) {
    mr_run_info *info = rig_run(q->r, &q->lease, "prompts", MR_STEP_MERGE, 2, MR_COL_FEATURES);
    unsigned long long run = info->run;
    rig_sql(q->r,
            "insert into millrace.result (run_id, step, level, batch, last, first_row, row_count, attempt, "
            "worker, compute_us,"
            " body_hash, body) select %llu, 0, l, b, l = 1, b, 2, 100 + b, 'w', 5, '\\xee155ace9c40292074cb6aff8c9ccdd273c81648ff1149ef36bcea6ebb8a3e25', '\\x01' from"
            " (values (0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)) v (l, b);"
            "insert into millrace.run_end (run_id, state, reason, counts) values (%llu, 'succeeded', '', "
            "'[[6, 0, 1]]');"
            "insert into millrace.attempt_failure (run_id, step, level, batch, attempt, worker, status, "
            "reason, dead)"
            " select %llu, 0, 0, i, 6 + i, 'w', 17, 'why ' || i, false from generate_series(1, 3) i",
            run, run, run);
    return info;
}

static void lists_have_their_columns(void **state) {
    reader_of q;
    start_reader(&q, state, "");
    rig_prompts(q.r, 6);
    mr_run_info *info = finished_run(&q);
    char args[64];
    answers(&q, "{}", MR_CMD_DATASETS,
            "{\"columns\":[\"id\",\"name\",\"kind\",\"rows\",\"versions\",\"created_at\"],");
    said(&q, "\"prompts\",\"prompts\",6,1,");
    answers(&q, "{}", MR_CMD_PROMPTS,
            "{\"columns\":[\"id\",\"source\",\"priority\",\"session\",\"score\",\"success\",\"characters\","
            "\"prompt\",\"created_at\"],");
    said(&q, ",\"user\",100,null,0.16666666666666666,false,8,\"prompt 1\",\"2026-01-01T00:00:01.000000Z\"]");
    said(&q, "\"more\":false}");
    answers(&q, "{}", MR_CMD_SESSIONS, "{\"columns\":[\"id\",\"name\",\"prompts\",\"created_at\"],");
    said(&q, ",\"s1\",2,");
    answers(&q, "{}", MR_CMD_REJECTS,
            "{\"columns\":[\"id\",\"ingest\",\"file\",\"line\",\"column\",\"reason\"],\"rows\":[],\"more\":"
            "false}");
    answers(&q, "{}", MR_CMD_RUNS,
            "{\"columns\":[\"id\",\"name\",\"dataset\",\"version\",\"rows\",\"state\",\"steps\",\"created_"
            "at\",\"ended_at\"],");
    said(&q, "\"prompts\",");
    said(&q, ",6,\"succeeded\",1,");
    snprintf(args, sizeof args, "{\"run\": %llu}", (unsigned long long)info->run);
    answers(&q, args, MR_CMD_RESULTS,
            "\"attempt\",\"compute_us\",\"size\",\"hash\",\"committed_at\",\"body\"],");
    assert_int_equal(rows_of(&q), 3); /* partials are not shown */
    said(&q, ",null]");               /* nor bodies */
    answers(&q, args, MR_CMD_FAILURES, "\"why 1\"");
    assert_int_equal(rows_of(&q), 3);
    answers(&q, args, MR_CMD_ARTIFACTS, "\"rows\":[],\"more\":false}");
    answers(&q, "{}", MR_CMD_DOCTOR, "[\"database\",true,\"PostgreSQL 15");
    said(&q, "no Redis is configured");
    mr_run_info_drop(info);
    stop_reader(&q);
}

static void prompts_are_paged_by_their_ids_and_filtered(void **state) {
    reader_of q;
    start_reader(&q, state, "");
    rig_prompts(q.r, 1100);
    long long first = rig_number(q.r, "select min(id) from millrace.training_prompts");
    assert_int_equal(ask(&q, MR_CMD_PROMPTS, "{}"), MR_OK);
    assert_int_equal(rows_of(&q), 100);
    said(&q, "\"more\":true}");
    assert_int_equal(ask(&q, MR_CMD_PROMPTS, "{\"limit\": 1000000}"), MR_OK);
    assert_int_equal(rows_of(&q), 1000);
    said(&q, "\"more\":true}");
    assert_int_equal(ask(&q, MR_CMD_PROMPTS, "{\"limit\": 0}"), MR_OK);
    assert_int_equal(rows_of(&q), 1);
    assert_int_equal(ask(&q, MR_CMD_PROMPTS, "{\"limit\": 1000, \"after\": %lld}", first + 99), MR_OK);
    assert_int_equal(rows_of(&q), 1000);
    said(&q, "\"more\":false}");
    said(&q, "\"prompt 101\"");
    assert_int_equal(ask(&q, MR_CMD_PROMPTS, "{\"session\": \"s1\", \"limit\": 1000}"), MR_OK);
    assert_int_equal(rows_of(&q), 366);
    assert_int_equal(ask(&q, MR_CMD_PROMPTS, "{\"source\": \"api\"}"), MR_OK);
    assert_int_equal(rows_of(&q), 0);
    rig_sql(q.r, "update millrace.training_prompts set active = false where id = %lld", first);
    assert_int_equal(ask(&q, MR_CMD_PROMPTS, "{\"deleted\": true}"), MR_OK);
    assert_int_equal(rows_of(&q), 1);
    stop_reader(&q);
}

static void runs_and_results_and_failures_are_paged(void **state) {
    reader_of q;
    start_reader(&q, state, "");
    rig_prompts(q.r, 6);
    mr_run_info *one = finished_run(&q),
                *two = rig_run(q.r, &q.lease, "prompts", MR_STEP_MAP, 2, MR_COL_FEATURES);
    unsigned long long run = one->run, newest = two->run;
    char words[64];
    assert_int_equal(ask(&q, MR_CMD_RUNS, "{\"limit\": 1}"), MR_OK);
    snprintf(words, sizeof words, "\"rows\":[[%llu,", newest);
    said(&q, words);
    said(&q, "\"more\":true}");
    assert_int_equal(ask(&q, MR_CMD_RUNS, "{\"after\": %llu}", newest), MR_OK);
    assert_int_equal(rows_of(&q), 1);
    said(&q, "\"more\":false}");
    assert_int_equal(ask(&q, MR_CMD_RESULTS, "{\"run\": %llu, \"limit\": 2, \"body\": true}", run), MR_OK);
    assert_int_equal(rows_of(&q), 2);
    said(&q, "\"more\":true}");
    said(&q, ",\"AQ==\"]");
    assert_int_equal(ask(&q, MR_CMD_RESULTS, "{\"run\": %llu, \"limit\": 2, \"after\": 2}", run), MR_OK);
    assert_int_equal(rows_of(&q), 1);
    assert_int_equal(ask(&q, MR_CMD_RESULTS, "{\"run\": %llu, \"step\": 1}", run), MR_OK);
    assert_int_equal(rows_of(&q), 0);
    assert_int_equal(ask(&q, MR_CMD_RESULTS, "{\"run\": %llu, \"component\": \"component_0\"}", run), MR_OK);
    assert_int_equal(rows_of(&q), 3);
    assert_int_equal(ask(&q, MR_CMD_FAILURES, "{\"run\": %llu, \"limit\": 2}", run), MR_OK);
    said(&q, "\"more\":true}");
    mr_run_info_drop(one);
    mr_run_info_drop(two);
    stop_reader(&q);
}

static void a_run_shows_its_steps_as_they_were_at_its_end(void **state) {
    reader_of q;
    start_reader(&q, state, "");
    rig_prompts(q.r, 6);
    mr_run_info *info = finished_run(&q);
    assert_int_equal(ask(&q, MR_CMD_RUN_SHOW, "{\"id\": %llu}", (unsigned long long)info->run), MR_OK);
    said(&q, "\"state\":\"succeeded\"");
    said(&q, "\"seed\":7");
    said(&q, "[0,\"component_0\",1,\"merge\",\"succeeded\",6,4,0,0,3,\"\"]");
    assert_int_equal(ask(&q, MR_CMD_RUN_SHOW, "{\"id\": 999999}"), MR_E_NOT_FOUND);
    mr_run_info_drop(info);
    stop_reader(&q);
}

static void a_prompt_is_shown_with_features_and_audit(void **state) {
    reader_of q;
    start_reader(&q, state, "");
    rig_prompts(q.r, 2);
    long long id = rig_number(q.r, "select max(id) from millrace.training_prompts");
    rig_sql(q.r,
            "insert into millrace.prompt_event (prompt_id, event, reason, client) values (%lld, 'deleted', "
            "'old', 'me')",
            id);
    assert_int_equal(ask(&q, MR_CMD_PROMPT, "{\"id\": %lld}", id), MR_OK);
    said(&q, "\"prompt\":\"prompt 2\",\"enhancement\":\"better 2\"");
    said(&q, "\"labels\":{\"label\":\"a\"},\"metadata\":null");
    said(&q, "\"features\":{\"chars\":");
    said(&q, "\"audit\":{\"columns\":[\"event\",\"reason\",\"client\",\"at\",\"revision\"],\"rows\":[["
             "\"created\",");
    said(&q, "[\"deleted\",\"old\",\"me\",");
    assert_int_equal(ask(&q, MR_CMD_PROMPT, "{\"id\": 999999}"), MR_E_NOT_FOUND);
    stop_reader(&q);
}

/* ---- artifacts ---- */

static void put_artifact(rig *r, const char *text, char hex[MR_HASH_HEX]) {
    mr_hash hash = mr_hash_of(mr_span_of(text));
    mr_hash_hex(&hash, hex);
    rig_sql(r, "insert into millrace.artifact (hash, media_type, bytes) values ('\\x%s', 'text/plain', '%s')",
            hex, text);
}

static void an_artifact_comes_in_parts(void **state) {
    reader_of q;
    char hex[MR_HASH_HEX];
    start_reader(&q, state, "");
    put_artifact(q.r, "0123456789", hex);
    assert_int_equal(ask(&q, MR_CMD_ARTIFACT, "{\"hash\": \"%s\"}", hex), MR_OK);
    said(&q, "\"total\":10,\"offset\":0,\"bytes\":\"MDEyMzQ1Njc4OQ==\"}");
    assert_int_equal(ask(&q, MR_CMD_ARTIFACT, "{\"hash\": \"%s\", \"offset\": 8, \"length\": 100}", hex),
                     MR_OK);
    said(&q, "\"total\":10,\"offset\":8,\"bytes\":\"ODk=\"}");
    assert_int_equal(ask(&q, MR_CMD_ARTIFACT, "{\"hash\": \"%s\", \"offset\": 999}", hex), MR_OK);
    said(&q, "\"offset\":10,\"bytes\":\"\"}");
    put_artifact(q.r, "", hex);
    assert_int_equal(ask(&q, MR_CMD_ARTIFACT, "{\"hash\": \"%s\"}", hex), MR_OK);
    said(&q, "\"total\":0,");
    hex[0] = hex[0] == '0' ? '1' : '0';
    assert_int_equal(ask(&q, MR_CMD_ARTIFACT, "{\"hash\": \"%s\"}", hex), MR_E_NOT_FOUND);
    assert_int_equal(ask(&q, MR_CMD_ARTIFACT, "{\"hash\": \"abc\"}"), MR_E_INVALID);
    stop_reader(&q);
}

static void an_artifact_that_does_not_match_its_hash_is_corrupt(void **state) {
    reader_of q;
    char hex[MR_HASH_HEX];
    start_reader(&q, state, "");
    put_artifact(q.r, "right", hex);
    rig_sql(q.r, "update millrace.artifact set bytes = 'wrong'");
    assert_int_equal(ask(&q, MR_CMD_ARTIFACT, "{\"hash\": \"%s\"}", hex), MR_E_CORRUPT);
    stop_reader(&q);
}

static void artifacts_are_kept_in_redis_and_wrong_bytes_there_are_passed_over(void **state) {
    reader_of q;
    char hex[MR_HASH_HEX], key[MR_BLOB_KEY];
    mr_redis *redis = NULL;
    mr_error err = {0};
    mr_hash hash;
    if (!services_redis_url()) skip();
    start_reader(&q, state, services_redis_url());
    put_artifact(q.r, "an artifact of this test", hex);
    assert_int_equal(ask(&q, MR_CMD_ARTIFACT, "{\"hash\": \"%s\"}", hex), MR_OK);
    rig_sql(q.r, "truncate millrace.artifact cascade");
    assert_int_equal(ask(&q, MR_CMD_ARTIFACT, "{\"hash\": \"%s\"}", hex), MR_OK); /* of the cache */
    assert_true(mr_hash_parse(mr_span_of(hex), &hash));
    mr_blob_key(&hash, key);
    assert_int_equal(mr_redis_new(services_redis_url(), NULL, NULL, &redis, &err), MR_OK);
    assert_int_equal(
        mr_redis_set(redis, mr_clock_monotonic_ns(), mr_span_of(key), mr_span_of("wrong"), 60, &err), MR_OK);
    assert_int_equal(ask(&q, MR_CMD_ARTIFACT, "{\"hash\": \"%s\"}", hex), MR_E_NOT_FOUND);
    assert_int_equal(mr_redis_del(redis, mr_clock_monotonic_ns(), mr_span_of(key), &err), MR_OK);
    mr_redis_free(&redis);
    answers(&q, "{}", MR_CMD_DOCTOR, "\"Redis answers\"");
    stop_reader(&q);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists_have_their_columns),
        cmocka_unit_test(prompts_are_paged_by_their_ids_and_filtered),
        cmocka_unit_test(runs_and_results_and_failures_are_paged),
        cmocka_unit_test(a_run_shows_its_steps_as_they_were_at_its_end),
        cmocka_unit_test(a_prompt_is_shown_with_features_and_audit),
        cmocka_unit_test(an_artifact_comes_in_parts),
        cmocka_unit_test(an_artifact_that_does_not_match_its_hash_is_corrupt),
        cmocka_unit_test(artifacts_are_kept_in_redis_and_wrong_bytes_there_are_passed_over),
    };
    return cmocka_run_group_tests(tests, rig_start, rig_stop);
}
