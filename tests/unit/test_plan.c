#include "broker/io/plan.h"
#include "common/pack.h"
#include "tests/unit/io_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static mr_status plan(rig *r, mr_plan_job *job) {
    mr_desk desk = {0};
    rig_desk(r, &desk);
    mr_plan_work(&desk, &job->head);
    mr_pg_free(&desk.pg);
    return job->head.status;
}

static void refused(rig *r, mr_plan_job *job, mr_status status, const char *words) {
    assert_int_equal(plan(r, job), status);
    if (!strstr(job->head.error.text, words)) fail_msg("'%s' is not in '%s'", words, job->head.error.text);
    assert_null(job->info);
    assert_int_equal(rig_number(r, "select count(*) from millrace.run"), 0);
    mr_plan_job_free(job);
}

static void bind(mr_plan_job *job, const char *role, const char *column) {
    mr_binding *b = &job->bindings.items[job->bindings.count++];
    b->role = mr_column_named(role);
    assert_non_null(b->role);
    snprintf(b->column, sizeof b->column, "%s", column);
}

static void what_is_read_back_is_what_was_asked_for(void **state) {
    rig *r = rig_of(state);
    mr_lease lease = rig_lease(r, "one");
    rig_table(r, 100);
    mr_plan_job *job = rig_plan_job(&lease, "t", MR_STEP_MERGE, 2, MR_COL_FEATURES, 2);
    bind(job, "label", "note");
    bind(job, "outcome", "");
    job->step[1].shape = MR_STEP_WHOLE;
    job->step[1].version = 9;
    job->step[1].deadline_ms = 123456;
    job->step[1].columns = MR_COL_LABEL;
    job->step[1].options = mr_span_of("{\"a\": \"x \\\"y\\\"\", \"b\": \"2\"}");
    snprintf(job->name, sizeof job->name, "my run");
    if (plan(r, job) != MR_OK) fail_msg("%s", job->head.error.text);
    const mr_run_info *i = job->info;
    assert_int_equal(i->rows, 100);
    assert_int_equal(i->seed, 7);
    assert_string_equal(i->dataset_name, "t");
    assert_true(i->is_table);
    assert_int_equal(i->schema.count, 4);
    assert_string_equal(i->schema.columns[2].name, "note");
    assert_int_equal(i->schema.columns[2].type, MR_CELL_TEXT);
    assert_int_equal(i->bindings.count, 2);
    for (size_t b = 0; b < 2; b++)
        assert_string_equal(i->bindings.items[b].column,
                            strcmp(i->bindings.items[b].role->name, "label") ? "" : "note");
    assert_int_equal(i->steps, 2);
    assert_string_equal(i->plan[0].component, "component_0");
    assert_int_equal(i->plan[0].shape, MR_STEP_MERGE);
    assert_int_equal(i->plan[0].batch_rows, 2);
    assert_int_equal(i->plan[0].levels, 3); /* 50 batches, 2 nodes, 1 */
    assert_int_equal(i->plan[0].counts[0], 50);
    assert_int_equal(i->plan[1].shape, MR_STEP_WHOLE);
    assert_int_equal(i->plan[1].batch_rows, 100);
    assert_int_equal(i->plan[1].version, 9);
    assert_int_equal(i->plan[1].deadline_ms, 123456);
    assert_int_equal(i->columns[1], MR_COL_LABEL);
    char *options = rig_json(i->options[1]);
    assert_string_equal(options, "{\"a\":\"x \\\"y\\\"\",\"b\":\"2\"}");
    free(options);
    mr_run_plan core = mr_run_info_plan(i);
    assert_int_equal(core.run, i->run);
    assert_int_equal(core.steps, 2);
    assert_ptr_equal(core.step, i->plan);
    assert_true(
        rig_true(r, "select name = 'my run' and client = 'test' and batch_size = 2 and partition = id %% 16"
                    " and roles = '{\"label\": \"note\", \"outcome\": \"\"}' from millrace.run"));
    mr_plan_job_free(job);
}

static void steps_that_cut_the_version_alike_share_their_columns(void **state) {
    rig *r = rig_of(state);
    mr_lease lease = rig_lease(r, "one");
    rig_prompts(r, 20);
    mr_plan_job *job = rig_plan_job(&lease, "prompts", MR_STEP_MAP, 4, MR_COL_FEATURES, 4);
    job->step[1].columns = MR_COL_PROMPT;
    job->step[1].columns_wanted = MR_COL_SCORE | MR_COL_ITEM; /* no prompt has an item */
    job->step[2].columns = MR_COL_SESSION;
    job->step[2].batch_rows = 5;
    job->step[3].columns = MR_COL_TIME;
    job->step[3].shape = MR_STEP_WHOLE;
    if (plan(r, job) != MR_OK) fail_msg("%s", job->head.error.text);
    const uint32_t *c = job->info->columns;
    assert_int_equal(c[0], MR_COL_FEATURES | MR_COL_PROMPT | MR_COL_SCORE);
    assert_int_equal(c[1], c[0]);
    assert_int_equal(c[2], MR_COL_SESSION);
    assert_int_equal(c[3], MR_COL_TIME);
    mr_plan_job_free(job);
}

static void a_data_set_that_is_not_there_is_named(void **state) {
    rig *r = rig_of(state);
    mr_lease lease = rig_lease(r, "one");
    refused(r, rig_plan_job(&lease, "nothing", MR_STEP_MAP, 4, MR_COL_FEATURES, 1), MR_E_NOT_FOUND,
            "'nothing'");
    refused(r, rig_plan_job(&lease, "prompts", MR_STEP_MAP, 4, MR_COL_FEATURES, 1), MR_E_INVALID, "no rows");
}

static void a_column_that_is_missing_is_named_with_the_component_that_needs_it(void **state) {
    rig *r = rig_of(state);
    mr_lease lease = rig_lease(r, "one");
    rig_table(r, 3);
    mr_plan_job *job = rig_plan_job(&lease, "t", MR_STEP_MAP, 4, MR_COL_TREATMENT, 1);
    refused(r, job, MR_E_INVALID,
            "'component_0' needs the column 'treatment', which the data set 't' does not have: bind it with"
            " --role treatment=COLUMN");
    rig_prompts(r, 3);
    refused(r, rig_plan_job(&lease, "prompts", MR_STEP_MAP, 4, MR_COL_OUTCOME, 1), MR_E_INVALID, "'outcome'");
}

static void a_role_that_names_no_column_or_one_of_a_wrong_type_is_refused(void **state) {
    rig *r = rig_of(state);
    mr_lease lease = rig_lease(r, "one");
    rig_table(r, 3);
    mr_plan_job *job = rig_plan_job(&lease, "t", MR_STEP_MAP, 4, MR_COL_FEATURES, 1);
    bind(job, "label", "notes");
    refused(r, job, MR_E_INVALID, "notes");
    job = rig_plan_job(&lease, "t", MR_STEP_MAP, 4, MR_COL_FEATURES, 1);
    bind(job, "outcome", "note");
    refused(r, job, MR_E_INVALID, "is text, a number is wanted");
    job = rig_plan_job(&lease, "t", MR_STEP_MAP, 4, MR_COL_SCORE, 1);
    bind(job, "score", "");
    refused(r, job, MR_E_INVALID, "'score'");
}

/* A text column of the name of a number role does not fill it. */
static void a_column_of_a_role_s_name_but_of_another_type_does_not_count(void **state) {
    rig *r = rig_of(state);
    mr_lease lease = rig_lease(r, "one");
    rig_table(r, 3);
    rig_sql(r, "update millrace.dataset set columns = jsonb_set(columns, '{2,name}', '\"outcome\"') where "
               "name = 't'");
    refused(r, rig_plan_job(&lease, "t", MR_STEP_MAP, 4, MR_COL_OUTCOME, 1), MR_E_INVALID,
            "needs the column 'outcome'");
}

static void a_table_without_numbers_has_no_features(void **state) {
    rig *r = rig_of(state);
    mr_lease lease = rig_lease(r, "one");
    rig_sql(r, "insert into millrace.dataset (name, kind, columns) values ('words', 'table', '[{\"name\": "
               "\"w\", \"type\": \"text\"}]')");
    refused(r, rig_plan_job(&lease, "words", MR_STEP_MAP, 4, MR_COL_FEATURES, 1), MR_E_INVALID,
            "no number columns");
}

static void a_version_can_be_named_and_must_be_there(void **state) {
    rig *r = rig_of(state);
    mr_lease lease = rig_lease(r, "one");
    rig_prompts(r, 5);
    mr_plan_job *job = rig_plan_job(&lease, "prompts", MR_STEP_MAP, 4, MR_COL_FEATURES, 1);
    assert_int_equal(plan(r, job), MR_OK);
    uint64_t version = job->info->version;
    mr_plan_job_free(job);
    rig_sql(r, "update millrace.training_prompts set active = false where prompt = 'prompt 1'");
    job = rig_plan_job(&lease, "prompts", MR_STEP_MAP, 4, MR_COL_FEATURES, 1);
    job->version = version;
    assert_int_equal(plan(r, job), MR_OK);
    assert_int_equal(job->info->rows, 5); /* as it was */
    mr_plan_job_free(job);
    rig_sql(r, "truncate millrace.run cascade");
    job = rig_plan_job(&lease, "prompts", MR_STEP_MAP, 4, MR_COL_FEATURES, 1);
    job->version = version + 1000;
    refused(r, job, MR_E_NOT_FOUND, "no version");
}

static void a_broker_without_its_lease_plans_nothing(void **state) {
    rig *r = rig_of(state);
    mr_lease lease = rig_lease(r, "one");
    rig_prompts(r, 5);
    rig_sql(r, "update millrace.partition_lease set owner = 'two', epoch = epoch + 1");
    mr_plan_job *job = rig_plan_job(&lease, "prompts", MR_STEP_MAP, 4, MR_COL_FEATURES, 1);
    assert_int_not_equal(plan(r, job), MR_OK);
    assert_null(job->info);
    assert_int_equal(
        rig_number(
            r,
            "select (select count(*) from millrace.run) + (select count(*) from millrace.dataset_version)"),
        0);
    mr_plan_job_free(job);
}

static void a_run_that_is_not_there_is_not_read(void **state) {
    rig *r = rig_of(state);
    mr_run_info *info = NULL;
    mr_error err = {0};
    assert_int_equal(mr_run_info_read(r->pg, 12345, &info, &err), MR_E_NOT_FOUND);
    assert_null(info);
}

static void a_schema_survives_its_json(void **state) {
    (void)state;
    mr_arena *arena = mr_arena_new(NULL, 1 << 20);
    mr_table_schema s;
    mr_buf json;
    mr_error err = {0};
    mr_buf_init(&json, NULL, 4096);
    const char text[] =
        "[{\"name\": \"a \\\"b\\\" \\u00e9\", \"type\": \"time\"}, {\"name\": \"c\", \"type\": \"boolean\"}]";
    assert_int_equal(mr_schema_from_json(mr_span_of(text), arena, &s, &err), MR_OK);
    assert_int_equal(s.count, 2);
    assert_string_equal(s.columns[0].name, "a \"b\" \xc3\xa9");
    mr_schema_to_json(s, &json);
    mr_table_schema again;
    assert_int_equal(mr_schema_from_json(mr_buf_span(&json), arena, &again, &err), MR_OK);
    assert_int_equal(again.count, 2);
    assert_memory_equal(again.columns, s.columns, 2 * sizeof *s.columns);
    assert_int_equal(
        mr_schema_from_json(mr_span_of("[{\"name\": \"a\", \"type\": \"blob\"}]"), arena, &s, &err),
        MR_E_CORRUPT);
    mr_buf_free(&json);
    mr_arena_free(&arena);
}

/* Long readers of the results, and a writer, on one side; a run that needs a new partition on the other. */
static void readers_do_not_hold_up_a_run_that_needs_a_new_partition(void **state) {
    rig *r = rig_of(state);
    mr_lease lease = rig_lease(r, "one");
    mr_pg *reader = NULL;
    mr_error err;
    rig_prompts(r, 4);
    mr_run_info_drop(rig_run(r, &lease, "prompts", MR_STEP_MAP, 2, MR_COL_PROMPT));
    rig_sql(r, "select setval(pg_get_serial_sequence('millrace.run', 'id'), 256 * 1000 - 1)");
    assert_int_equal(mr_pg_connect(r->url, NULL, NULL, &reader, &err), MR_OK);
    assert_int_equal(mr_pg_run(reader,
                               "begin; select count(*) from millrace.result, millrace.task_block, millrace.task_piece;"
                               " delete from millrace.result",
                               &err),
                     MR_OK);
    rig_sql(r, "set lock_timeout = '5s'");
    rig_sql(r, "select millrace.result_partition_for(256 * 999)");
    rig_sql(r, "select millrace.task_partition_for(256 * 999)");
    rig_sql(r, "reset lock_timeout");
    mr_run_info *info = rig_run(r, &lease, "prompts", MR_STEP_MAP, 2, MR_COL_PROMPT);
    assert_true(info->run >= 256 * 1000);
    assert_true(rig_true(r, "select to_regclass('millrace.result_1000') is not null"));
    rig_sql(r,
            "insert into millrace.result (run_id, step, level, batch, last, first_row, row_count, attempt, worker, compute_us,"
            " body_hash, body) values (%llu, 0, 0, 0, true, 0, 2, 1, 'w', 1, sha256('x'), 'x')",
            (unsigned long long)info->run);
    mr_pg_rollback(reader);
    mr_pg_free(&reader);
    mr_run_info_drop(info);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_read_back_is_what_was_asked_for),
        cmocka_unit_test(steps_that_cut_the_version_alike_share_their_columns),
        cmocka_unit_test(a_data_set_that_is_not_there_is_named),
        cmocka_unit_test(a_column_that_is_missing_is_named_with_the_component_that_needs_it),
        cmocka_unit_test(a_role_that_names_no_column_or_one_of_a_wrong_type_is_refused),
        cmocka_unit_test(a_column_of_a_role_s_name_but_of_another_type_does_not_count),
        cmocka_unit_test(a_table_without_numbers_has_no_features),
        cmocka_unit_test(a_version_can_be_named_and_must_be_there),
        cmocka_unit_test(a_broker_without_its_lease_plans_nothing),
        cmocka_unit_test(a_run_that_is_not_there_is_not_read),
        cmocka_unit_test(a_schema_survives_its_json),
        cmocka_unit_test(readers_do_not_hold_up_a_run_that_needs_a_new_partition),
    };
    return cmocka_run_group_tests(tests, rig_start, rig_stop);
}
