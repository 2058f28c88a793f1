/* The arithmetic of batches and merges. */
#include "tests/simulation/rig.h"

static void rows_are_cut_into_batches_and_the_last_has_the_rest(void **state) {
    (void)state;
    mr_step_plan s = rig_step("c", MR_STEP_MAP, 100, 32);
    assert_int_equal(s.levels, 1);
    assert_int_equal(s.counts[0], 4);
    uint64_t first;
    uint32_t count;
    mr_plan_range(&s, 100, 2, &first, &count);
    assert_int_equal(first, 64);
    assert_int_equal(count, 32);
    mr_plan_range(&s, 100, 3, &first, &count);
    assert_int_equal(first, 96);
    assert_int_equal(count, 4);
}

static void a_whole_step_is_one_batch(void **state) {
    (void)state;
    mr_step_plan s = rig_step("c", MR_STEP_WHOLE, 1001, 32);
    assert_int_equal(s.levels, 1);
    assert_int_equal(s.counts[0], 1);
    assert_int_equal(s.batch_rows, 1001);
}

static void a_merge_of_one_batch_still_merges(void **state) {
    (void)state;
    mr_step_plan s = rig_step("c", MR_STEP_MERGE, 5, 32);
    assert_int_equal(s.levels, 2);
    assert_int_equal(s.counts[0], 1);
    assert_int_equal(s.counts[1], 1);
}

/* For many sizes: each level covers the one below exactly, in order, and the top is one node. */
static void merges_cover_the_level_below_exactly(void **state) {
    (void)state;
    static const uint64_t sizes[] = {1, 2, 31, 32, 33, 1023, 1024, 1025, 32768, 32769, 1000000};
    for (size_t n = 0; n < sizeof sizes / sizeof *sizes; n++) {
        mr_step_plan s = rig_step("c", MR_STEP_MERGE, sizes[n], 1);
        assert_int_equal(s.counts[s.levels - 1], 1);
        for (uint32_t k = 1; k < s.levels; k++) {
            uint32_t next = 0, first, count;
            for (uint32_t i = 0; i < s.counts[k]; i++, next += count) {
                mr_plan_children(&s, k, i, &first, &count);
                assert_int_equal(first, next);
                assert_in_range(count, 1, MR_FAN_IN);
            }
            assert_int_equal(next, s.counts[k - 1]);
        }
    }
}

static void the_largest_plan_fits_the_levels(void **state) {
    (void)state;
    mr_step_plan s = rig_step("c", MR_STEP_MERGE, UINT64_C(1) << 31, 1);
    assert_int_equal(s.levels, MR_LEVELS_MAX);
    assert_int_equal(s.counts[0], UINT32_C(1) << 31);
}

static void what_cannot_be_planned_is_refused_with_a_sentence(void **state) {
    (void)state;
    mr_step_plan s = {.component = "c", .shape = MR_STEP_MAP};
    mr_error err = {0};
    assert_int_equal(mr_plan_step(0, 32, &s, &err), MR_E_INVALID);
    assert_non_null(strstr(err.text, "no rows"));
    assert_int_equal(mr_plan_step(10, 0, &s, &err), MR_E_INVALID);
    assert_int_equal(mr_plan_step((UINT64_C(1) << 31) + 1, 1, &s, &err), MR_E_LIMIT);
    s.shape = MR_STEP_WHOLE;
    assert_int_equal(mr_plan_step(UINT64_C(1) << 32, 1, &s, &err), MR_E_LIMIT);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_cut_into_batches_and_the_last_has_the_rest),
        cmocka_unit_test(a_whole_step_is_one_batch),
        cmocka_unit_test(a_merge_of_one_batch_still_merges),
        cmocka_unit_test(merges_cover_the_level_below_exactly),
        cmocka_unit_test(the_largest_plan_fits_the_levels),
        cmocka_unit_test(what_cannot_be_planned_is_refused_with_a_sentence),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
