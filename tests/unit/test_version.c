#include "broker/io/version.h"
#include "tests/unit/io_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

static int64_t prompts_id(rig *r) {
    return rig_number(r, "select id from millrace.dataset where name = 'prompts'");
}

static mr_version make(rig *r, int64_t dataset, bool is_table) {
    mr_version v = {0};
    mr_error err = {0};
    if (mr_version_make(r->pg, dataset, is_table, &v, &err) != MR_OK) fail_msg("%s", err.text);
    return v;
}

static void the_same_rows_give_the_same_version(void **state) {
    rig *r = rig_of(state);
    rig_prompts(r, 10);
    mr_version one = make(r, prompts_id(r), false), two = make(r, prompts_id(r), false);
    assert_int_equal(one.id, two.id);
    assert_int_equal(one.rows, 10);
    assert_int_equal(two.rows, 10);
    assert_int_equal(rig_number(r, "select count(*) from millrace.dataset_version"), 1);
    assert_int_equal(rig_number(r, "select count(*) from millrace.version_rows"), 1);
}

static void a_row_more_or_less_gives_a_new_version_and_the_old_one_stays(void **state) {
    rig *r = rig_of(state);
    rig_prompts(r, 10);
    mr_version one = make(r, prompts_id(r), false);
    rig_sql(r, "update millrace.training_prompts set active = false where prompt = 'prompt 4'");
    mr_version two = make(r, prompts_id(r), false);
    assert_int_not_equal(one.id, two.id);
    assert_int_equal(two.rows, 9);
    rig_sql(r, "update millrace.training_prompts set active = true");
    assert_int_equal(make(r, prompts_id(r), false).id, one.id);
    assert_int_equal(
        rig_number(r, "select cardinality(row_ids) from millrace.version_rows where version_id = %lld",
                   (long long)one.id),
        10);
}

/* Every row is revised, in order: the contents are the same, but what a run reads is not. */
static void revisions_of_all_rows_give_a_new_version(void **state) {
    rig *r = rig_of(state);
    rig_prompts(r, 3);
    mr_version one = make(r, prompts_id(r), false);
    rig_sql(r, "update millrace.training_prompts set superseded = true, active = false;"
               "insert into millrace.training_prompts (content_hash, prompt, source, priority, score, "
               "created_at, features,"
               " features_version, revision, supersedes) select content_hash, prompt, source, priority, 0.5, "
               "created_at, features,"
               " 1, 2, id from millrace.training_prompts order by id");
    mr_version two = make(r, prompts_id(r), false);
    assert_int_not_equal(one.id, two.id);
    assert_true(rig_true(
        r,
        "select row_ids = (select array_agg(id order by id) from millrace.training_prompts where active)"
        " from millrace.version_rows where version_id = %lld",
        (long long)two.id));
}

static void rows_stand_in_the_order_of_their_ids_under_the_hash_of_their_hashes(void **state) {
    rig *r = rig_of(state);
    rig_prompts(r, 50);
    mr_version v = make(r, prompts_id(r), false);
    assert_true(rig_true(r,
                         "select row_ids = (select array_agg(id order by id) from millrace.training_prompts)"
                         " from millrace.version_rows where version_id = %lld",
                         (long long)v.id));
    assert_true(rig_true(
        r,
        "select length(content_hash) = 32 and row_count = 50 from millrace.dataset_version where id = %lld",
        (long long)v.id));
    /* The same rows in another order are another version: the ids of two prompts change places. */
    rig_sql(
        r,
        "update millrace.training_prompts set content_hash = sha256('aside') where prompt = 'prompt 1';"
        "update millrace.training_prompts set content_hash = sha256('prompt 1') where prompt = 'prompt 2';"
        "update millrace.training_prompts set content_hash = sha256('prompt 2') where prompt = 'prompt 1'");
    assert_int_not_equal(make(r, prompts_id(r), false).id, v.id);
}

static void more_than_4096_rows_are_cut_into_chunks_without_a_loss(void **state) {
    rig *r = rig_of(state);
    rig_prompts(r, 9000);
    mr_version v = make(r, prompts_id(r), false);
    assert_int_equal(v.rows, 9000);
    assert_int_equal(
        rig_number(r, "select count(*) from millrace.version_rows where version_id = %lld", (long long)v.id),
        3);
    for (int chunk = 0; chunk < 3; chunk++)
        assert_int_equal(rig_number(r,
                                    "select cardinality(row_ids) from millrace.version_rows where version_id "
                                    "= %lld and chunk = %d",
                                    (long long)v.id, chunk),
                         chunk < 2 ? 4096 : 9000 - 8192);
    assert_true(rig_true(
        r,
        "select array_agg(u.id order by chunk, u.n) = (select array_agg(id order by id) from"
        " millrace.training_prompts) from millrace.version_rows, unnest(row_ids) with ordinality u (id, n)"
        " where version_id = %lld",
        (long long)v.id));
}

static void a_table_has_versions_of_its_own_rows_alone(void **state) {
    rig *r = rig_of(state);
    rig_prompts(r, 5);
    rig_table(r, 7);
    int64_t t = rig_number(r, "select id from millrace.dataset where name = 't'");
    assert_int_equal(make(r, t, true).rows, 7);
    assert_int_equal(make(r, prompts_id(r), false).rows, 5);
}

static void an_empty_data_set_is_refused(void **state) {
    rig *r = rig_of(state);
    mr_version v;
    mr_error err = {0};
    assert_int_equal(mr_version_make(r->pg, prompts_id(r), false, &v, &err), MR_E_INVALID);
    assert_non_null(strstr(err.text, "no rows"));
    assert_int_equal(rig_number(r, "select count(*) from millrace.dataset_version"), 0);
}

static void a_version_is_found_by_its_id_in_its_own_data_set(void **state) {
    rig *r = rig_of(state);
    mr_version found;
    mr_error err = {0};
    rig_prompts(r, 3);
    rig_table(r, 2);
    int64_t t = rig_number(r, "select id from millrace.dataset where name = 't'");
    mr_version v = make(r, prompts_id(r), false);
    assert_int_equal(mr_version_find(r->pg, prompts_id(r), v.id, &found, &err), MR_OK);
    assert_int_equal(found.id, v.id);
    assert_int_equal(found.rows, 3);
    assert_int_equal(mr_version_find(r->pg, t, v.id, &found, &err), MR_E_NOT_FOUND);
    assert_int_equal(mr_version_find(r->pg, prompts_id(r), v.id + 1000, &found, &err), MR_E_NOT_FOUND);
    assert_non_null(strstr(err.text, "millrace datasets"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_rows_give_the_same_version),
        cmocka_unit_test(a_row_more_or_less_gives_a_new_version_and_the_old_one_stays),
        cmocka_unit_test(revisions_of_all_rows_give_a_new_version),
        cmocka_unit_test(rows_stand_in_the_order_of_their_ids_under_the_hash_of_their_hashes),
        cmocka_unit_test(more_than_4096_rows_are_cut_into_chunks_without_a_loss),
        cmocka_unit_test(a_table_has_versions_of_its_own_rows_alone),
        cmocka_unit_test(an_empty_data_set_is_refused),
        cmocka_unit_test(a_version_is_found_by_its_id_in_its_own_data_set),
    };
    return cmocka_run_group_tests(tests, rig_start, rig_stop);
}
