/* Limits that several brokers keep together: what each may use never adds up to more than the limit. */
#include "broker/io/divide.h"
#include "tests/unit/io_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

static void come(rig *r, const char *name) {
    mr_error err = {0};
    mr_holding h = {.seconds = 60, .address = "ipc://nowhere", .instance = "1"};
    snprintf(h.owner, sizeof h.owner, "%s", name);
    if (mr_lease_register(r->pg, &h, &err) != MR_OK) fail_msg("%s", err.text);
}

/* One broker's say about one limit: ten at once, four a second. */
static mr_divided divide(rig *r, const char *name, bool wanted, uint32_t used_slots, double used_rate, bool *shared) {
    mr_error err = {0};
    mr_divide_job *job = mr_divide_job_new(1);
    job->owner = name;
    job->count = 1;
    job->item[0] = (mr_divided){.of = MR_RULE_COMPONENT, .name = "a", .max_concurrent = 10, .per_second = 4, .wanted = wanted,
                                .used_slots = used_slots, .used_rate = used_rate};
    if (mr_divide(r->pg, job, &err) != MR_OK) fail_msg("%s", err.text);
    mr_divided d = job->item[0];
    *shared = job->shared;
    mr_divide_job_free(job);
    return d;
}

static int64_t in_rows(rig *r) { return rig_number(r, "select coalesce(sum(slots), 0)::bigint from millrace.limit_share"); }

static void a_broker_that_is_alone_has_all_and_writes_no_row(void **state) {
    rig *r = rig_of(state);
    bool shared;
    come(r, "one");
    divide(r, "one", true, 10, 4, &shared);
    assert_false(shared);
    assert_true(rig_true(r, "select not sharing from millrace.broker"));
    assert_int_equal(rig_number(r, "select count(*) from millrace.limit_share"), 0);
}

static void who_comes_gets_nothing_until_the_other_has_given(void **state) {
    rig *r = rig_of(state);
    bool shared;
    come(r, "one");
    divide(r, "one", true, 10, 4, &shared);
    come(r, "two");
    mr_divided two = divide(r, "two", true, 0, 0, &shared);
    assert_true(shared);
    assert_int_equal(two.slots, 0); /* the first does not say yet what it uses */
    mr_divided one = divide(r, "one", true, 10, 4, &shared);
    assert_true(shared);
    assert_int_equal(one.slots, 5);
    assert_int_equal(in_rows(r), 10); /* its core has not been told yet */
    assert_int_equal(divide(r, "two", true, 0, 0, &shared).slots, 0);
    one = divide(r, "one", true, 7, 2, &shared); /* two more than its part are still out */
    two = divide(r, "two", true, 0, 0, &shared);
    assert_int_equal(two.slots, 3);
    assert_true(two.rate > 1.99 && two.rate < 2.01);
    one = divide(r, "one", true, 5, 2, &shared);
    assert_int_equal(divide(r, "two", true, 3, 2, &shared).slots, 5);
    assert_int_equal(in_rows(r), 10);
}

static void what_one_does_not_want_the_other_may_use(void **state) {
    rig *r = rig_of(state);
    bool shared;
    come(r, "one");
    come(r, "two");
    divide(r, "one", false, 0, 0, &shared);
    mr_divided two = divide(r, "two", true, 0, 0, &shared);
    assert_int_equal(two.slots, 10);
    assert_true(two.rate > 3.99);
    assert_int_equal(divide(r, "one", true, 0, 0, &shared).slots, 0);
    two = divide(r, "two", true, 10, 4, &shared);
    assert_int_equal(two.slots, 5); /* now the other wants some */
    divide(r, "two", true, 5, 2, &shared);
    assert_int_equal(divide(r, "one", true, 0, 0, &shared).slots, 5);
}

static void the_dead_and_those_that_left_hold_nothing(void **state) {
    rig *r = rig_of(state);
    bool shared;
    come(r, "one");
    come(r, "two");
    divide(r, "one", true, 0, 0, &shared);
    divide(r, "two", true, 0, 0, &shared);
    rig_sql(r, "update millrace.broker set expires_at = now() - interval '1 s' where name = 'one'");
    divide(r, "two", true, 5, 2, &shared);
    assert_false(shared);
    come(r, "one"); /* again, with nothing of what it had */
    assert_int_equal(rig_number(r, "select count(*) from millrace.limit_share where broker = 'one'"), 0);
    rig_sql(r, "update millrace.broker set state = 'left' where name = 'two'");
    divide(r, "one", true, 0, 0, &shared);
    assert_false(shared);
}

/* As when neither could reach the database for a while: the first to be back must not believe to be alone. */
static void who_is_not_there_itself_is_given_nothing(void **state) {
    rig *r = rig_of(state);
    mr_error err = {0};
    mr_divide_job *job = mr_divide_job_new(1);
    bool shared;
    come(r, "one");
    come(r, "two");
    divide(r, "one", true, 0, 0, &shared);
    rig_sql(r, "update millrace.broker set expires_at = now() - interval '1 s'");
    job->owner = "one";
    assert_int_equal(mr_divide(r->pg, job, &err), MR_E_FULL);
    mr_divide_job_free(job);
    rig_sql(r, "update millrace.broker set expires_at = now() + interval '1 min' where name = 'one'");
    divide(r, "one", true, 0, 0, &shared);
    assert_false(shared);
}

/* Any number of brokers, in any order, with whatever out: checked after every step. */
static void the_rows_never_add_up_to_more_than_the_limit(void **state) {
    rig *r = rig_of(state);
    static const char *const names[] = {"a", "b", "c", "d"};
    uint32_t has[4] = {0}, seed = 7;
    double rate[4] = {0};
    bool shared;
    for (int i = 0; i < 4; i++) come(r, names[i]);
    for (int step = 0; step < 150; step++) {
        seed = seed * 1664525u + 1013904223u;
        uint32_t who = seed >> 28 & 3, out = has[who] ? (seed >> 8) % (has[who] + 1) : 0;
        bool wanted = (seed >> 20 & 3) != 0;
        mr_divided d = divide(r, names[who], wanted, has[who] > out ? has[who] : out, rate[who], &shared);
        has[who] = d.slots > out ? d.slots : out;
        rate[who] = d.rate;
        assert_true(has[0] + has[1] + has[2] + has[3] <= 10);
        assert_true(rate[0] + rate[1] + rate[2] + rate[3] <= 4.000001);
        assert_true(in_rows(r) <= 10);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_broker_that_is_alone_has_all_and_writes_no_row),
        cmocka_unit_test(who_comes_gets_nothing_until_the_other_has_given),
        cmocka_unit_test(what_one_does_not_want_the_other_may_use),
        cmocka_unit_test(the_dead_and_those_that_left_hold_nothing),
        cmocka_unit_test(who_is_not_there_itself_is_given_nothing),
        cmocka_unit_test(the_rows_never_add_up_to_more_than_the_limit),
    };
    return cmocka_run_group_tests(tests, rig_start, rig_stop);
}
