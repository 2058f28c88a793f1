#include "broker/io/lease.h"
#include "tests/unit/io_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

static mr_status take(rig *r, const char *owner, mr_lease *lease, uint64_t *first, mr_error *err) {
    *lease = (mr_lease){.seconds = 60};
    snprintf(lease->owner, sizeof lease->owner, "%s", owner);
    return mr_lease_take(r->pg, lease, first, err);
}

static void expire(rig *r) {
    rig_sql(r, "update millrace.partition_lease set expires_at = now() - interval '1 s'");
}

static mr_status fence(rig *r, const mr_lease *lease, const int64_t *runs, size_t n, mr_error *err) {
    mr_pg_params p;
    mr_pg_params_init(&p, NULL, 8192);
    mr_lease_put_fence(&p, lease, runs, n);
    mr_status s = mr_pg_exec(r->pg, &mr_lease_fence_statement, &p, NULL, err);
    mr_pg_params_free(&p);
    return s;
}

static void a_broker_takes_every_partition_and_a_block_of_attempts(void **state) {
    rig *r = rig_of(state);
    mr_lease lease;
    mr_error err = {0};
    uint64_t first, second;
    assert_int_equal(take(r, "one", &lease, &first, &err), MR_OK);
    assert_int_equal(
        rig_number(r, "select count(*) from millrace.partition_lease where owner = 'one'"
                      " and expires_at between now() + interval '50 s' and now() + interval '60 s'"),
        MR_PARTITIONS);
    for (int i = 0; i < MR_PARTITIONS; i++)
        assert_int_equal(rig_number(r, "select epoch from millrace.partition_lease where partition = %d", i),
                         lease.epoch[i]);
    assert_true(first >= (uint64_t)1 << 32);
    assert_int_equal(first & UINT32_MAX, 0);
    assert_int_equal(take(r, "one", &lease, &second, &err), MR_OK);
    assert_true(second > first);
}

static void a_second_broker_is_refused_with_the_name_of_the_first(void **state) {
    rig *r = rig_of(state);
    mr_lease one, two;
    mr_error err = {0};
    uint64_t first;
    assert_int_equal(take(r, "the first", &one, &first, &err), MR_OK);
    assert_int_equal(take(r, "two", &two, &first, &err), MR_E_CONFLICT);
    assert_non_null(strstr(err.text, "'the first'"));
    assert_non_null(strstr(err.text, "UTC"));
    assert_false(mr_pg_in_transaction(r->pg));
    assert_int_equal(rig_number(r, "select count(*) from millrace.partition_lease where owner = 'the first'"),
                     MR_PARTITIONS);
    assert_int_equal(mr_lease_renew(r->pg, &one, &err), MR_OK); /* no epoch has moved */
}

static void one_partition_of_another_is_enough_to_be_refused_and_nothing_is_taken(void **state) {
    rig *r = rig_of(state);
    mr_lease one, two;
    mr_error err = {0};
    uint64_t first;
    assert_int_equal(take(r, "one", &one, &first, &err), MR_OK);
    rig_sql(r,
            "update millrace.partition_lease set expires_at = now() - interval '1 s' where partition <> 5");
    assert_int_equal(take(r, "two", &two, &first, &err), MR_E_CONFLICT);
    assert_non_null(strstr(err.text, "'one'"));
    assert_int_equal(rig_number(r, "select count(*) from millrace.partition_lease where owner = 'two'"), 0);
}

static void an_expired_lease_is_taken_and_its_owner_can_not_renew(void **state) {
    rig *r = rig_of(state);
    mr_lease one, two;
    mr_error err = {0};
    uint64_t first;
    assert_int_equal(take(r, "one", &one, &first, &err), MR_OK);
    expire(r);
    assert_int_equal(take(r, "two", &two, &first, &err), MR_OK);
    for (int i = 0; i < MR_PARTITIONS; i++) assert_int_equal(two.epoch[i], one.epoch[i] + 1);
    assert_int_equal(mr_lease_renew(r->pg, &one, &err), MR_E_CONFLICT);
    assert_int_equal(mr_lease_renew(r->pg, &two, &err), MR_OK);
}

static void an_expired_lease_that_nobody_took_is_renewed(void **state) {
    rig *r = rig_of(state);
    mr_lease one;
    mr_error err = {0};
    uint64_t first;
    assert_int_equal(take(r, "one", &one, &first, &err), MR_OK);
    expire(r);
    assert_int_equal(mr_lease_renew(r->pg, &one, &err), MR_OK);
    assert_true(
        rig_true(r, "select bool_and(expires_at > now() + interval '50 s') from millrace.partition_lease"));
}

static void the_same_owner_takes_over_from_itself_under_new_epochs(void **state) {
    rig *r = rig_of(state);
    mr_lease before, after;
    mr_error err = {0};
    uint64_t first;
    assert_int_equal(take(r, "one", &before, &first, &err), MR_OK);
    assert_int_equal(take(r, "one", &after, &first, &err), MR_OK);
    for (int i = 0; i < MR_PARTITIONS; i++) assert_int_equal(after.epoch[i], before.epoch[i] + 1);
    assert_int_equal(mr_lease_renew(r->pg, &before, &err), MR_E_CONFLICT);
    int64_t run = 3;
    assert_int_not_equal(fence(r, &before, &run, 1, &err), MR_OK);
}

static void a_fence_holds_back_the_transaction_of_a_broker_that_lost_its_lease(void **state) {
    rig *r = rig_of(state);
    mr_lease one, two;
    mr_error err = {0};
    uint64_t first;
    int64_t runs[] = {1, 17, 33, 5, 1}; /* partitions 1 and 5 */
    assert_int_equal(take(r, "one", &one, &first, &err), MR_OK);
    assert_int_equal(mr_pg_begin(r->pg, &err), MR_OK);
    assert_int_equal(fence(r, &one, runs, 5, &err), MR_OK);
    mr_pg_rollback(r->pg);
    expire(r);
    assert_int_equal(take(r, "two", &two, &first, &err), MR_OK);
    assert_int_equal(mr_pg_begin(r->pg, &err), MR_OK);
    assert_int_not_equal(fence(r, &one, runs, 5, &err), MR_OK);
    assert_string_equal(mr_pg_sqlstate(r->pg), MR_LEASE_LOST);
    mr_pg_rollback(r->pg);
    assert_int_equal(fence(r, &two, runs, 5, &err), MR_OK);
}

static void only_the_partitions_of_the_runs_are_compared(void **state) {
    rig *r = rig_of(state);
    mr_lease one;
    mr_error err = {0};
    uint64_t first;
    int64_t run_in_3 = 19, run_in_4 = 4;
    assert_int_equal(take(r, "one", &one, &first, &err), MR_OK);
    rig_sql(r, "update millrace.partition_lease set owner = 'two', epoch = epoch + 1 where partition = 4");
    assert_int_equal(fence(r, &one, &run_in_3, 1, &err), MR_OK);
    assert_int_not_equal(fence(r, &one, &run_in_4, 1, &err), MR_OK);
    assert_int_equal(mr_partition_of(19), 3);
    assert_int_equal(mr_partition_of(16), 0);
}

static void a_fenced_transaction_keeps_a_taker_waiting_until_it_ends(void **state) {
    rig *r = rig_of(state);
    mr_lease one;
    mr_error err = {0};
    uint64_t first;
    int64_t run = 2;
    mr_pg *other = NULL;
    assert_int_equal(take(r, "one", &one, &first, &err), MR_OK);
    assert_int_equal(mr_pg_connect(r->url, NULL, NULL, &other, &err), MR_OK);
    assert_int_equal(mr_pg_run(other, "set lock_timeout = '100ms'", &err), MR_OK);
    assert_int_equal(mr_pg_begin(r->pg, &err), MR_OK);
    assert_int_equal(fence(r, &one, &run, 1, &err), MR_OK);
    mr_status s =
        mr_pg_run(other, "update millrace.partition_lease set owner = 'two', epoch = epoch + 1", &err);
    assert_int_not_equal(s, MR_OK);
    assert_string_equal(mr_pg_sqlstate(other), "55P03"); /* lock_not_available */
    mr_pg_rollback(r->pg);
    assert_int_equal(
        mr_pg_run(other, "update millrace.partition_lease set owner = 'two', epoch = epoch + 1", &err),
        MR_OK);
    mr_pg_free(&other);
}

static void a_released_lease_is_free_at_once_and_only_its_owner_can_release_it(void **state) {
    rig *r = rig_of(state);
    mr_lease one, two, three;
    mr_error err = {0};
    uint64_t first;
    assert_int_equal(take(r, "one", &one, &first, &err), MR_OK);
    mr_lease_release(r->pg, &one);
    assert_int_equal(mr_lease_renew(r->pg, &one, &err), MR_E_CONFLICT);
    assert_int_equal(take(r, "two", &two, &first, &err), MR_OK);
    mr_lease_release(r->pg, &one); /* late, and without effect */
    assert_int_equal(take(r, "three", &three, &first, &err), MR_E_CONFLICT);
    assert_non_null(strstr(err.text, "'two'"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_broker_takes_every_partition_and_a_block_of_attempts),
        cmocka_unit_test(a_second_broker_is_refused_with_the_name_of_the_first),
        cmocka_unit_test(one_partition_of_another_is_enough_to_be_refused_and_nothing_is_taken),
        cmocka_unit_test(an_expired_lease_is_taken_and_its_owner_can_not_renew),
        cmocka_unit_test(an_expired_lease_that_nobody_took_is_renewed),
        cmocka_unit_test(the_same_owner_takes_over_from_itself_under_new_epochs),
        cmocka_unit_test(a_fence_holds_back_the_transaction_of_a_broker_that_lost_its_lease),
        cmocka_unit_test(only_the_partitions_of_the_runs_are_compared),
        cmocka_unit_test(a_fenced_transaction_keeps_a_taker_waiting_until_it_ends),
        cmocka_unit_test(a_released_lease_is_free_at_once_and_only_its_owner_can_release_it),
    };
    return cmocka_run_group_tests(tests, rig_start, rig_stop);
}
