/* What the intake remembers of contents, and when it is trusted. */
#include "broker/io/intake_seen.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static mr_span name(uint64_t *number, uint64_t v) {
    *number = v;
    return (mr_span){(const uint8_t *)number, sizeof *number};
}

static void what_was_added_is_there_and_the_rest_is_not(void **state) {
    (void)state;
    mr_seen s = {0};
    uint64_t n;
    assert_false(mr_seen_has(&s, name(&n, 1)));
    for (uint64_t i = 0; i < 100000; i++) mr_seen_add(&s, name(&n, i));
    for (uint64_t i = 0; i < 100000; i++) assert_true(mr_seen_has(&s, name(&n, i)));
    for (uint64_t i = 100000; i < 200000; i++) assert_false(mr_seen_has(&s, name(&n, i)));
    mr_seen_free(&s);
}

static void half_a_million_are_kept_and_no_more_than_fit(void **state) {
    enum { KEPT = 1 << 19, ALL = 5 * KEPT };
    (void)state;
    mr_seen s = {0};
    uint64_t n, there = 0;
    for (uint64_t i = 0; i < ALL; i++) mr_seen_add(&s, name(&n, i));
    for (uint64_t i = ALL - KEPT; i < ALL; i++) assert_true(mr_seen_has(&s, name(&n, i)));
    for (uint64_t i = 0; i < ALL; i++) there += mr_seen_has(&s, name(&n, i));
    assert_in_range(there, KEPT, 2 * KEPT);
    assert_true((s.slots + s.slots_before) * sizeof *s.now <= 16 << 20);
    mr_seen_free(&s);
}

static void trust_is_earned_lost_at_once_and_earned_again_more_slowly(void **state) {
    (void)state;
    mr_seen s = {0};
    assert_false(mr_seen_trusted(&s));
    mr_seen_was_right(&s, MR_SEEN_TRUST - 1);
    assert_false(mr_seen_trusted(&s));
    mr_seen_was_right(&s, 1);
    assert_true(mr_seen_trusted(&s));
    for (int i = 0; i < 100; i++) mr_seen_was_told(&s); /* a file that is read again */
    assert_false(mr_seen_trusted(&s));
    mr_seen_was_right(&s, MR_SEEN_TRUST);
    assert_true(mr_seen_trusted(&s));
    mr_seen_was_wrong(&s);
    mr_seen_was_right(&s, MR_SEEN_TRUST);
    assert_false(mr_seen_trusted(&s));
    mr_seen_was_right(&s, MR_SEEN_TRUST);
    assert_true(mr_seen_trusted(&s));
    mr_seen_was_right(&s, 6 * MR_SEEN_TRUST); /* long enough to be forgiven */
    mr_seen_was_wrong(&s);
    mr_seen_was_right(&s, 2 * MR_SEEN_TRUST);
    assert_true(mr_seen_trusted(&s));
    for (int i = 0; i < 100; i++) mr_seen_was_wrong(&s);
    mr_seen_was_right(&s, MR_SEEN_TRUST_MAX);
    assert_true(mr_seen_trusted(&s));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_added_is_there_and_the_rest_is_not),
        cmocka_unit_test(half_a_million_are_kept_and_no_more_than_fit),
        cmocka_unit_test(trust_is_earned_lost_at_once_and_earned_again_more_slowly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
