/* What is written of refusals has a bound, whatever the clock said when. */
#include "broker/io/broker.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

/* The loop reads the clock once a round; a refusal of that round may have come a moment later. */
static void a_budget_that_is_spent_does_not_come_back_at_once(void **state) {
    (void)state;
    mr_broker *b = mr_new(NULL, 1, sizeof *b);
    assert_non_null(b);
    b->audit.more = 1; /* what there was no budget for */
    b->audit.budget_at_ms = 100001;
    mr_audit_tick(b, 100000);
    assert_int_equal(b->audit.more, 1);
    assert_in_range(b->audit.budget_ms, 0, 1);
    mr_free(NULL, b, 1, sizeof *b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_budget_that_is_spent_does_not_come_back_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
