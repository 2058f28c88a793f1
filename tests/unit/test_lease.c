#include "broker/io/lease.h"
#include "tests/unit/io_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

static mr_holding broker(rig *r, const char *name, const char *instance) {
    mr_error err = {0};
    mr_holding h = {.seconds = 60, .address = "ipc://nowhere"};
    snprintf(h.owner, sizeof h.owner, "%s", name);
    snprintf(h.instance, sizeof h.instance, "%s", instance);
    if (mr_lease_register(r->pg, &h, &err) != MR_OK) fail_msg("%s", err.text);
    return h;
}

static mr_lease_news go(rig *r, mr_holding *h) {
    mr_lease_news n;
    mr_error err = {0};
    if (mr_lease_round(r->pg, h, &n, &err) != MR_OK) fail_msg("%s", err.text);
    assert_false(mr_pg_in_transaction(r->pg));
    return n;
}

static int64_t owned(rig *r, const char *name) {
    return rig_number(r, "select count(*) from millrace.partition_lease where owner = '%s'", name);
}

static void expire(rig *r, const char *name) {
    rig_sql(r, "update millrace.partition_lease set expires_at = now() - interval '1 s' where owner = '%s';"
               "update millrace.broker set expires_at = now() - interval '1 s' where name = '%s'", name, name);
}

static mr_status fence(rig *r, const mr_holding *h, const int64_t *runs, size_t n, mr_error *err) {
    mr_pg_params p;
    mr_lease lease = {.seconds = 60};
    snprintf(lease.owner, sizeof lease.owner, "%s", h->owner);
    for (int i = 0; i < MR_PARTITIONS; i++) lease.epoch[i] = h->epoch[i];
    mr_pg_params_init(&p, NULL, 8192);
    mr_lease_put_fence(&p, &lease, runs, n);
    mr_status s = mr_pg_exec(r->pg, &mr_lease_fence_statement, &p, NULL, err);
    mr_pg_params_free(&p);
    return s;
}

/* Gives back what its last round called surplus. */
static void hand_over(mr_holding *h, uint32_t surplus) {
    for (int i = 0; i < MR_PARTITIONS; i++) {
        if (!(surplus & 1u << i)) continue;
        h->giving[i] = h->epoch[i];
        h->epoch[i] = 0;
    }
}

static void a_broker_that_is_alone_takes_every_partition_at_once(void **state) {
    rig *r = rig_of(state);
    mr_holding one = broker(r, "one", "1");
    mr_lease_news n = go(r, &one);
    assert_int_equal(n.taken, MR_ALL_PARTITIONS);
    assert_int_equal(n.brokers, 1);
    assert_int_equal(n.surplus | n.lost, 0);
    assert_int_equal(n.expires_ms, -1);
    assert_int_equal(rig_number(r, "select count(*) from millrace.partition_lease where owner = 'one'"
                                   " and expires_at between now() + interval '50 s' and now() + interval '60 s'"),
                     MR_PARTITIONS);
    for (int i = 0; i < MR_PARTITIONS; i++)
        assert_int_equal(rig_number(r, "select epoch from millrace.partition_lease where partition = %d", i), one.epoch[i]);
    n = go(r, &one);
    assert_int_equal(n.taken | n.lost | n.surplus, 0);
}

static void attempt_numbers_come_in_blocks_that_nobody_had(void **state) {
    rig *r = rig_of(state);
    mr_error err = {0};
    uint64_t first, second;
    assert_int_equal(mr_lease_draw_attempts(r->pg, &first, &err), MR_OK);
    assert_int_equal(mr_lease_draw_attempts(r->pg, &second, &err), MR_OK);
    assert_true(first >= (uint64_t)1 << 32);
    assert_int_equal(first & UINT32_MAX, 0);
    assert_true(second > first);
}

static void a_second_broker_gets_its_half_when_the_first_hands_it_over(void **state) {
    rig *r = rig_of(state);
    mr_holding one = broker(r, "one", "1");
    go(r, &one);
    mr_holding two = broker(r, "two", "2");
    mr_lease_news n = go(r, &two);
    assert_int_equal(n.taken, 0); /* nothing is free */
    assert_int_equal(n.brokers, 2);
    assert_true(n.expires_ms > 50000 && n.expires_ms <= 60000);
    n = go(r, &one);
    assert_int_equal(mr_partitions_count(n.surplus), 8);
    assert_int_equal(owned(r, "one"), 16); /* until it says so */
    hand_over(&one, n.surplus);
    n = go(r, &one);
    assert_int_equal(n.surplus | n.taken | n.lost, 0); /* not taken back */
    assert_int_equal(owned(r, "one"), 8);
    n = go(r, &two);
    assert_int_equal(mr_partitions_count(n.taken), 8);
    assert_int_equal(owned(r, "two"), 8);
    mr_holding three = broker(r, "three", "3");
    n = go(r, &one);
    hand_over(&one, n.surplus);
    go(r, &one);
    n = go(r, &two);
    hand_over(&two, n.surplus);
    go(r, &two);
    go(r, &three);
    assert_int_equal(owned(r, "one") + owned(r, "two") + owned(r, "three"), 16);
    assert_int_equal(owned(r, "three"), 5);
}

static void what_a_dead_broker_had_is_taken_when_its_lease_has_ended(void **state) {
    rig *r = rig_of(state);
    mr_holding one = broker(r, "one", "1");
    go(r, &one);
    mr_holding two = broker(r, "two", "2");
    go(r, &two);
    expire(r, "one");
    mr_lease_news n = go(r, &two);
    assert_int_equal(n.taken, MR_ALL_PARTITIONS);
    assert_int_equal(n.brokers, 1);
    for (int i = 0; i < MR_PARTITIONS; i++) assert_int_equal(two.epoch[i], one.epoch[i] + 1);
    n = go(r, &one); /* it was only paused */
    assert_int_equal(n.lost, MR_ALL_PARTITIONS);
    assert_int_equal(n.taken, 0);
    for (int i = 0; i < MR_PARTITIONS; i++) assert_int_equal(one.epoch[i], 0);
    n = go(r, &two);
    assert_int_equal(mr_partitions_count(n.surplus), 8); /* and is there again */
}

static void an_expired_lease_that_nobody_took_is_renewed(void **state) {
    rig *r = rig_of(state);
    mr_holding one = broker(r, "one", "1");
    go(r, &one);
    expire(r, "one");
    assert_int_equal(go(r, &one).lost, 0);
    assert_true(rig_true(r, "select bool_and(expires_at > now() + interval '50 s') from millrace.partition_lease"));
}

/* The row says for an hour that the broker has it: the database's clock was ahead, and the COMMIT was not heard. */
static void what_a_broker_took_without_knowing_is_free_after_its_next_round(void **state) {
    rig *r = rig_of(state);
    mr_holding one = broker(r, "one", "1");
    go(r, &one);
    mr_holding two = broker(r, "two", "2");
    hand_over(&one, go(r, &one).surplus);
    go(r, &one);
    assert_int_equal(mr_partitions_count(go(r, &two).taken), MR_PARTITIONS / 2);
    rig_sql(r, "update millrace.partition_lease set owner = 'one', epoch = epoch + 1, expires_at = now() + interval '1 hour'"
               " where owner = 'two' and partition > 12");
    mr_lease_news n = go(r, &two);
    uint32_t lost = mr_partitions_count(n.lost);
    assert_int_equal(lost, 3);
    assert_int_equal(n.taken, 0);
    n = go(r, &one); /* it has its share, so they are nothing to it */
    assert_int_equal(n.taken | n.lost, 0);
    assert_int_equal(owned(r, "one"), MR_PARTITIONS / 2);
    assert_int_equal(mr_partitions_count(go(r, &two).taken), lost);
}

static void a_name_is_one_process_and_its_successor_has_the_work_at_once(void **state) {
    rig *r = rig_of(state);
    mr_lease_news n;
    mr_error err = {0};
    int64_t run = 3;
    mr_holding before = broker(r, "one", "1");
    go(r, &before);
    mr_holding after = broker(r, "one", "2");
    assert_int_equal(go(r, &after).taken, MR_ALL_PARTITIONS);
    assert_int_equal(mr_lease_round(r->pg, &before, &n, &err), MR_E_CONFLICT);
    assert_true(n.replaced);
    assert_int_not_equal(fence(r, &before, &run, 1, &err), MR_OK);
}

static void a_draining_broker_takes_nothing_and_counts_for_nobody(void **state) {
    rig *r = rig_of(state);
    mr_holding one = broker(r, "one", "1"), two;
    go(r, &one);
    two = broker(r, "two", "2");
    hand_over(&one, go(r, &one).surplus);
    one.state = MR_LEASE_DRAINING;
    assert_int_equal(go(r, &one).surplus, 0);
    mr_lease_news n = go(r, &two);
    assert_int_equal(n.brokers, 1);
    assert_int_equal(mr_partitions_count(n.taken), 8); /* what it still has stays its own */
    one.state = MR_LEASE_LEFT;
    go(r, &one);
    assert_int_equal(mr_partitions_count(go(r, &two).taken), 8);
    assert_int_equal(owned(r, "two"), 16);
    assert_true(rig_true(r, "select state = 'left' and expires_at <= now() from millrace.broker where name = 'one'"));
}

static void a_broker_gives_back_only_what_is_its_own(void **state) {
    rig *r = rig_of(state);
    mr_holding one = broker(r, "one", "1");
    go(r, &one);
    mr_holding late = one;
    expire(r, "one");
    mr_holding two = broker(r, "two", "2");
    assert_int_equal(go(r, &two).taken, MR_ALL_PARTITIONS);
    hand_over(&late, MR_ALL_PARTITIONS);
    go(r, &late);
    assert_int_equal(owned(r, "two"), 16);
}

static void a_fence_holds_back_the_transaction_of_a_broker_that_lost_its_lease(void **state) {
    rig *r = rig_of(state);
    mr_error err = {0};
    int64_t runs[] = {1, 17, 33, 5, 1}; /* partitions 1 and 5 */
    mr_holding one = broker(r, "one", "1");
    go(r, &one);
    assert_int_equal(mr_pg_begin(r->pg, &err), MR_OK);
    assert_int_equal(fence(r, &one, runs, 5, &err), MR_OK);
    mr_pg_rollback(r->pg);
    expire(r, "one");
    mr_holding two = broker(r, "two", "2");
    go(r, &two);
    assert_int_equal(mr_pg_begin(r->pg, &err), MR_OK);
    assert_int_not_equal(fence(r, &one, runs, 5, &err), MR_OK);
    assert_string_equal(mr_pg_sqlstate(r->pg), MR_LEASE_LOST);
    mr_pg_rollback(r->pg);
    assert_int_equal(fence(r, &two, runs, 5, &err), MR_OK);
}

static void only_the_partitions_of_the_runs_are_compared(void **state) {
    rig *r = rig_of(state);
    mr_error err = {0};
    int64_t run_in_3 = 19, run_in_4 = 4;
    mr_holding one = broker(r, "one", "1");
    go(r, &one);
    rig_sql(r, "update millrace.partition_lease set owner = 'two', epoch = epoch + 1 where partition = 4");
    assert_int_equal(fence(r, &one, &run_in_3, 1, &err), MR_OK);
    assert_int_not_equal(fence(r, &one, &run_in_4, 1, &err), MR_OK);
}

/* A fenced transaction holds its partition against whoever wants to take it, but keeps nobody from renewing; and a taker
 * passes it over instead of waiting. */
static void a_fenced_transaction_keeps_takers_away_and_renewals_going(void **state) {
    rig *r = rig_of(state);
    mr_error err = {0};
    int64_t run = 2;
    mr_holding one = broker(r, "one", "1");
    go(r, &one);
    rig other = *r;
    other.pg = NULL;
    assert_int_equal(mr_pg_connect(r->url, NULL, NULL, &other.pg, &err), MR_OK);
    assert_int_equal(mr_pg_run(other.pg, "set lock_timeout = '100ms'", &err), MR_OK);
    assert_int_equal(mr_pg_begin(other.pg, &err), MR_OK);
    assert_int_equal(mr_pg_run(other.pg, "set local lock_timeout = 0", &err), MR_OK);
    assert_int_equal(fence(&other, &one, &run, 1, &err), MR_OK);
    assert_int_equal(go(r, &one).lost, 0); /* would wait for ever */
    rig_sql(r, "set lock_timeout = '100ms'");
    mr_status s = mr_pg_run(r->pg, "update millrace.partition_lease set owner = 'two', epoch = epoch + 1", &err);
    assert_int_not_equal(s, MR_OK);
    assert_string_equal(mr_pg_sqlstate(r->pg), "55P03"); /* lock_not_available */
    rig_sql(r, "set lock_timeout = 0");
    expire(r, "one");
    mr_holding two = broker(r, "two", "2");
    mr_lease_news n = go(r, &two);
    assert_int_equal(n.taken, MR_ALL_PARTITIONS & ~(1 << 2));
    assert_int_equal(n.expires_ms, 0); /* it looks again soon */
    mr_pg_rollback(other.pg);
    assert_int_equal(go(r, &two).taken, 1 << 2);
    mr_pg_free(&other.pg);
}

static void run_numbers_are_drawn_until_they_fall_into_what_is_owned(void **state) {
    rig *r = rig_of(state);
    mr_error err = {0};
    for (int i = 0; i < 5; i++) assert_true(rig_true(r, "select millrace.run_id_in('{3,7}') %% 16 in (3, 7)"));
    assert_int_not_equal(mr_pg_run(r->pg, "select millrace.run_id_in('{}')", &err), MR_OK);
    assert_string_equal(mr_pg_sqlstate(r->pg), MR_LEASE_NOTHING);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_broker_that_is_alone_takes_every_partition_at_once),
        cmocka_unit_test(attempt_numbers_come_in_blocks_that_nobody_had),
        cmocka_unit_test(a_second_broker_gets_its_half_when_the_first_hands_it_over),
        cmocka_unit_test(what_a_dead_broker_had_is_taken_when_its_lease_has_ended),
        cmocka_unit_test(an_expired_lease_that_nobody_took_is_renewed),
        cmocka_unit_test(what_a_broker_took_without_knowing_is_free_after_its_next_round),
        cmocka_unit_test(a_name_is_one_process_and_its_successor_has_the_work_at_once),
        cmocka_unit_test(a_draining_broker_takes_nothing_and_counts_for_nobody),
        cmocka_unit_test(a_broker_gives_back_only_what_is_its_own),
        cmocka_unit_test(a_fence_holds_back_the_transaction_of_a_broker_that_lost_its_lease),
        cmocka_unit_test(only_the_partitions_of_the_runs_are_compared),
        cmocka_unit_test(a_fenced_transaction_keeps_takers_away_and_renewals_going),
        cmocka_unit_test(run_numbers_are_drawn_until_they_fall_into_what_is_owned),
    };
    return cmocka_run_group_tests(tests, rig_start, rig_stop);
}
