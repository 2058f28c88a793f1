/* Several brokers: runs that go to another, results that another has committed, limits that are kept together. */
#include "tests/simulation/rig.h"

static const char *const names[] = {"a"};

/* A run of `rows` batches, three of them with the worker; the rest wait. */
static rig *open_rig(mr_step_shape shape, uint64_t rows) {
    rig *r = calloc(1, sizeof *r);
    mr_core_config config = rig_config();
    config.stall_ms = 3000;
    rig_open(r, &config);
    rig_join(r, 1, names, 1);
    mr_step_plan s = rig_step("a", shape, rows, 1);
    rig_run(r, 1, rows, &s, 1);
    rig_credit(r, 1, 3);
    assert_int_equal(rig_count(r, MR_ACT_SEND_WORK), 3);
    return r;
}

static void close_rig(rig *r) {
    assert_int_equal(r->blobs, 0);
    rig_close(r);
    free(r);
}

static void leave(rig *r, mr_event_type type) { rig_do(r, (mr_event){.type = type, .as.run = 1}); }

static void forget(rig *r) {
    mr_run_view v;
    mr_core_run_forget(r->core, 1);
    assert_false(mr_core_run_find(r->core, 1, &v));
    assert_true(mr_core_idle(r->core));
}

static mr_work_key key_of(uint32_t level, uint32_t index) { return (mr_work_key){.run = 1, .level = level, .index = index}; }

static void a_run_that_is_left_hands_out_nothing_new_and_takes_what_is_out(void **state) {
    (void)state;
    rig *r = open_rig(MR_STEP_MAP, 10);
    mr_action sent[3] = {*rig_act(r, MR_ACT_SEND_WORK, 0), *rig_act(r, MR_ACT_SEND_WORK, 1), *rig_act(r, MR_ACT_SEND_WORK, 2)};
    leave(r, MR_EV_RUN_LEAVE);
    assert_int_equal(rig_count(r, MR_ACT_CANCEL_ATTEMPT) + rig_count(r, MR_ACT_RUN_LEFT), 0);
    assert_int_equal(r->blobs, 3); /* what was loaded ahead is given up */
    rig_credit(r, 1, 5);
    assert_int_equal(rig_count(r, MR_ACT_SEND_WORK) + rig_count(r, MR_ACT_LOAD), 0);
    rig_do(r, rig_result(1, sent[0].key, sent[0].attempt, MR_OK));
    mr_action commit = *rig_act(r, MR_ACT_COMMIT, 0);
    rig_do(r, rig_result(1, sent[1].key, sent[1].attempt, MR_E_TIMEOUT)); /* not tried again here */
    assert_int_equal(rig_count(r, MR_ACT_RECORD_FAILURE), 1);
    rig_do(r, (mr_event){.type = MR_EV_RELEASE, .peer = 1, .as.attempt = sent[2].attempt});
    rig_tick(r, 2000);
    assert_int_equal(rig_count(r, MR_ACT_SEND_WORK) + rig_count(r, MR_ACT_LOAD) + rig_count(r, MR_ACT_RUN_LEFT), 0);
    rig_do(r, rig_verdict(&commit, MR_COMMITTED));
    assert_int_equal(rig_act(r, MR_ACT_ACK, 0)->verdict, MR_COMMITTED);
    assert_int_equal(rig_act(r, MR_ACT_RUN_LEFT, 0)->key.run, 1);
    forget(r);
    close_rig(r);
}

static void a_run_that_is_lost_calls_back_what_is_out_and_waits_for_its_verdicts(void **state) {
    (void)state;
    rig *r = open_rig(MR_STEP_MAP, 10);
    mr_action first = *rig_act(r, MR_ACT_SEND_WORK, 0), second = *rig_act(r, MR_ACT_SEND_WORK, 1);
    rig_do(r, rig_result(1, first.key, first.attempt, MR_OK));
    mr_action commit = *rig_act(r, MR_ACT_COMMIT, 0);
    leave(r, MR_EV_RUN_LOST);
    assert_int_equal(rig_count(r, MR_ACT_CANCEL_ATTEMPT), 2);
    assert_int_equal(rig_count(r, MR_ACT_RUN_LEFT), 0);
    rig_do(r, rig_result(1, second.key, second.attempt, MR_OK)); /* the next broker takes it */
    assert_int_equal(rig_act(r, MR_ACT_ACK, 0)->verdict, MR_RETRY);
    rig_do(r, rig_verdict(&commit, MR_RETRY)); /* it was fenced */
    assert_int_equal(rig_act(r, MR_ACT_ACK, 0)->verdict, MR_RETRY);
    assert_int_equal(rig_count(r, MR_ACT_RUN_LEFT), 1);
    forget(r);
    rig_tick(r, 10000);
    close_rig(r);
}

static void a_run_with_nothing_out_is_left_at_once_also_while_it_loads(void **state) {
    (void)state;
    rig *r = calloc(1, sizeof *r);
    mr_core_config config = rig_config();
    rig_open(r, &config);
    r->hold_loads = true;
    rig_join(r, 1, names, 1);
    mr_step_plan s = rig_step("a", MR_STEP_MAP, 4, 1);
    rig_run(r, 1, 4, &s, 1);
    uint32_t work = rig_act(r, MR_ACT_LOAD, 0)->work, other = rig_act(r, MR_ACT_LOAD, 1)->work;
    leave(r, MR_EV_RUN_LEAVE);
    assert_int_equal(rig_count(r, MR_ACT_RUN_LEFT), 1);
    mr_core_run_forget(r->core, 1);
    rig_do(r, (mr_event){.type = MR_EV_LOADED, .as.loaded = {.work = work, .blob = 9}});
    assert_int_equal(rig_act(r, MR_ACT_UNLOAD, 0)->handle, 9);
    rig_do(r, (mr_event){.type = MR_EV_LOAD_FAILED, .as.loaded = {.work = other, .status = MR_E_UNAVAILABLE}});
    assert_true(mr_core_idle(r->core));
    r->blobs = 0;
    close_rig(r);
}

static void a_run_that_ends_while_it_is_left_ends_here(void **state) {
    (void)state;
    rig *r = open_rig(MR_STEP_MAP, 3);
    mr_action sent[3] = {*rig_act(r, MR_ACT_SEND_WORK, 0), *rig_act(r, MR_ACT_SEND_WORK, 1), *rig_act(r, MR_ACT_SEND_WORK, 2)};
    leave(r, MR_EV_RUN_LEAVE);
    for (int i = 0; i < 3; i++) {
        rig_do(r, rig_result(1, sent[i].key, sent[i].attempt, MR_OK));
        mr_action commit = *rig_act(r, MR_ACT_COMMIT, 0);
        rig_do(r, rig_verdict(&commit, MR_COMMITTED));
    }
    assert_int_equal(rig_act(r, MR_ACT_RUN_FINISHED, 0)->state, MR_RUN_SUCCEEDED);
    assert_int_equal(rig_count(r, MR_ACT_RUN_LEFT), 0);
    leave(r, MR_EV_RUN_LOST); /* its end is with the ledger */
    assert_int_equal(rig_count(r, MR_ACT_RUN_LEFT), 0);
    forget(r);
    close_rig(r);
}

/* Its end is the next broker's to tell. */
static void a_run_that_was_left_does_not_end_here_before_it_is_forgotten(void **state) {
    (void)state;
    rig *r = open_rig(MR_STEP_MAP, 4);
    leave(r, MR_EV_RUN_LOST);
    assert_int_equal(rig_count(r, MR_ACT_RUN_LEFT), 1);
    for (uint32_t i = 0; i < 4; i++) {
        rig_do(r, (mr_event){.type = MR_EV_DONE_ELSEWHERE, .as.key = key_of(0, i)});
        assert_int_equal(rig_count(r, MR_ACT_RUN_FINISHED) + rig_count(r, MR_ACT_STEP_FINISHED), 0);
    }
    rig_do(r, (mr_event){.type = MR_EV_RUN_CANCEL, .as.run = 1});
    assert_int_equal(rig_count(r, MR_ACT_RUN_FINISHED) + rig_count(r, MR_ACT_STEP_FINISHED), 0);
    forget(r);
    rig_tick(r, 100); /* room for what an event may need follows from the steps that are left: none */
    close_rig(r);
}

static void the_same_run_may_come_back(void **state) {
    (void)state;
    rig *r = open_rig(MR_STEP_MAP, 3);
    leave(r, MR_EV_RUN_LOST);
    forget(r);
    mr_step_plan s = rig_step("a", MR_STEP_MAP, 3, 1);
    rig_plan(r, 1, 3, &s, 1);
    rig_do(r, (mr_event){.type = MR_EV_DONE_BEFORE, .as.key = key_of(0, 1)});
    rig_do(r, (mr_event){.type = MR_EV_RUN_OPENED, .as.run = 1});
    rig_credit(r, 1, 3);
    assert_int_equal(rig_count(r, MR_ACT_SEND_STEP), 1); /* under a new serial, so it is told anew */
    assert_int_equal(rig_count(r, MR_ACT_SEND_WORK), 2);
    leave(r, MR_EV_RUN_LOST);
    forget(r);
    close_rig(r);
}

static void what_another_broker_committed_is_not_computed_again(void **state) {
    (void)state;
    rig *r = open_rig(MR_STEP_MERGE, 5); /* three are out, two wait */
    mr_action sent = *rig_act(r, MR_ACT_SEND_WORK, 0);
    rig_do(r, (mr_event){.type = MR_EV_DONE_ELSEWHERE, .as.key = sent.key});
    assert_int_equal(rig_act(r, MR_ACT_CANCEL_ATTEMPT, 0)->attempt, sent.attempt);
    rig_do(r, (mr_event){.type = MR_EV_DONE_ELSEWHERE, .as.key = sent.key}); /* told twice */
    rig_do(r, rig_result(1, sent.key, sent.attempt, MR_OK));
    assert_int_equal(rig_act(r, MR_ACT_ACK, 0)->verdict, MR_STALE);
    rig_do(r, (mr_event){.type = MR_EV_DONE_ELSEWHERE, .as.key = key_of(1, 0)}); /* of a merge that cannot be yet */
    for (uint32_t i = 0; i < 5; i++)
        if (i != sent.key.index) rig_do(r, (mr_event){.type = MR_EV_DONE_ELSEWHERE, .as.key = key_of(0, i)});
    rig_credit(r, 1, 1);
    mr_step_view v;
    assert_true(mr_core_step_at(r->core, 1, 0, &v));
    assert_int_equal(v.level[0].done, 5);
    rig_do(r, (mr_event){.type = MR_EV_DONE_ELSEWHERE, .as.key = key_of(1, 0)});
    assert_int_equal(rig_act(r, MR_ACT_RUN_FINISHED, 0)->state, MR_RUN_SUCCEEDED);
    mr_event bad = {.type = MR_EV_DONE_ELSEWHERE, .as.key = {.run = 9}};
    assert_int_equal(rig_try(r, &bad), MR_E_INVALID);
    close_rig(r);
}

static void one_that_is_with_the_ledger_meanwhile_is_stale_by_its_verdict(void **state) {
    (void)state;
    rig *r = open_rig(MR_STEP_MAP, 3);
    mr_action sent = *rig_act(r, MR_ACT_SEND_WORK, 0);
    rig_do(r, rig_result(1, sent.key, sent.attempt, MR_OK));
    mr_action commit = *rig_act(r, MR_ACT_COMMIT, 0);
    rig_do(r, (mr_event){.type = MR_EV_DONE_ELSEWHERE, .as.key = sent.key});
    rig_do(r, rig_verdict(&commit, MR_STALE));
    assert_int_equal(rig_act(r, MR_ACT_ACK, 0)->verdict, MR_STALE);
    leave(r, MR_EV_RUN_LOST);
    forget(r);
    close_rig(r);
}

/* ---- limits ---- */

static void rule(rig *r, mr_rule rule) { rig_do(r, (mr_event){.type = MR_EV_RULE, .as.rule = &rule}); }
static void share(rig *r, bool shared) { rig_do(r, (mr_event){.type = MR_EV_LIMITS_SHARED, .as.shared = shared}); }
static void allow(rig *r, uint32_t slots, double per_second) {
    rig_do(r, (mr_event){.type = MR_EV_ALLOWANCE,
                         .as.allowance = {.of = MR_RULE_COMPONENT, .name = "a", .slots = slots, .per_second = per_second}});
}

static uint32_t sent(rig *r, uint64_t ms) {
    uint32_t n = 0;
    for (uint64_t t = 0; t < ms; t += 50) {
        rig_do(r, (mr_event){.type = MR_EV_PEER_SEEN, .peer = 1});
        n += (uint32_t)rig_count(r, MR_ACT_SEND_WORK);
        rig_tick(r, 50);
        n += (uint32_t)rig_count(r, MR_ACT_SEND_WORK);
    }
    return n;
}

static void of_a_shared_limit_no_more_is_used_than_is_allowed(void **state) {
    (void)state;
    mr_rule_view v;
    rig *r = open_rig(MR_STEP_MAP, 60);
    share(r, true);
    rule(r, (mr_rule){.of = MR_RULE_COMPONENT, .name = "a", .max_concurrent = 10});
    rig_credit(r, 1, 40);
    assert_int_equal(rig_count(r, MR_ACT_SEND_WORK), 0); /* nothing is this broker's yet; three are out */
    assert_true(mr_core_rule_at(r->core, 0, &v));
    assert_true(v.wanted);
    assert_int_equal(v.slots, 0);
    assert_int_equal(v.sent, 3);
    allow(r, 5, 0);
    assert_int_equal(rig_count(r, MR_ACT_SEND_WORK), 2);
    allow(r, 12, 0); /* never more than the rule says */
    assert_int_equal(rig_count(r, MR_ACT_SEND_WORK), 5);
    allow(r, 4, 0);
    assert_int_equal(sent(r, 1000), 0);
    share(r, true); /* as when leases were lost */
    assert_true(mr_core_rule_at(r->core, 0, &v));
    assert_int_equal(v.slots, 0);
    share(r, false);
    rule(r, (mr_rule){.of = MR_RULE_COMPONENT, .name = "a", .max_concurrent = 11});
    assert_int_equal(rig_count(r, MR_ACT_SEND_WORK), 1);
    leave(r, MR_EV_RUN_LOST);
    assert_true(mr_core_rule_at(r->core, 0, &v));
    assert_false(v.wanted);
    forget(r);
    close_rig(r);
}

static void of_a_shared_rate_a_part_is_used(void **state) {
    (void)state;
    rig *r = open_rig(MR_STEP_MAP, 60);
    share(r, true);
    rule(r, (mr_rule){.of = MR_RULE_COMPONENT, .name = "a", .per_second = 10, .burst = 4});
    rig_credit(r, 1, 50);
    assert_int_equal(sent(r, 2000), 0);
    allow(r, 0, 5);
    assert_in_range(sent(r, 2000), 9, 11);
    leave(r, MR_EV_RUN_LOST);
    forget(r);
    close_rig(r);
}

/* What others did meanwhile with the rate is not known, so nothing is saved up from that time, not even the first one. */
static void who_gets_a_part_of_a_rate_has_nothing_saved_up(void **state) {
    (void)state;
    rig *r = open_rig(MR_STEP_MAP, 60);
    share(r, true);
    rule(r, (mr_rule){.of = MR_RULE_COMPONENT, .name = "a", .per_second = 10, .burst = 8});
    rig_credit(r, 1, 50);
    assert_int_equal(sent(r, 3000), 0);
    share(r, false); /* alone again */
    assert_int_equal(sent(r, 50), 0);
    assert_in_range(sent(r, 1000), 9, 10);
    for (int i = 0; i < 10; i++) { /* a part of 1 a second comes and goes */
        share(r, true);
        allow(r, 0, 1);
        assert_int_equal(sent(r, 900), 0);
    }
    allow(r, 0, 1e-15); /* what rounding leaves is none */
    assert_int_equal(sent(r, 1000), 0);
    leave(r, MR_EV_RUN_LOST);
    forget(r);
    close_rig(r);
}

/* Half of a rate lets half of its burst be saved up. The other half was another's. */
static void a_part_that_grows_saves_up_no_more_at_once(void **state) {
    (void)state;
    rig *r = open_rig(MR_STEP_MAP, 60);
    rule(r, (mr_rule){.of = MR_RULE_COMPONENT, .name = "a", .per_second = 10, .burst = 8});
    share(r, true);
    allow(r, 0, 5);
    assert_int_equal(sent(r, 10000), 0); /* nothing was asked for; it saves up */
    allow(r, 0, 10);
    rig_credit(r, 1, 50);
    assert_int_equal(rig_count(r, MR_ACT_SEND_WORK), 4);
    assert_in_range(sent(r, 1000), 9, 11);
    allow(r, 0, 5); /* what is to be waited for stays the same too */
    assert_in_range(sent(r, 2000), 9, 11);
    leave(r, MR_EV_RUN_LOST);
    forget(r);
    close_rig(r);
}

static void a_rule_of_a_run_is_its_owners_alone(void **state) {
    (void)state;
    rig *r = open_rig(MR_STEP_MAP, 60);
    share(r, true);
    rule(r, (mr_rule){.of = MR_RULE_RUN, .name = "1", .max_concurrent = 5});
    rig_credit(r, 1, 40);
    assert_int_equal(rig_count(r, MR_ACT_SEND_WORK), 2);
    leave(r, MR_EV_RUN_LOST);
    forget(r);
    close_rig(r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_run_that_is_left_hands_out_nothing_new_and_takes_what_is_out),
        cmocka_unit_test(a_run_that_is_lost_calls_back_what_is_out_and_waits_for_its_verdicts),
        cmocka_unit_test(a_run_with_nothing_out_is_left_at_once_also_while_it_loads),
        cmocka_unit_test(a_run_that_ends_while_it_is_left_ends_here),
        cmocka_unit_test(a_run_that_was_left_does_not_end_here_before_it_is_forgotten),
        cmocka_unit_test(the_same_run_may_come_back),
        cmocka_unit_test(what_another_broker_committed_is_not_computed_again),
        cmocka_unit_test(one_that_is_with_the_ledger_meanwhile_is_stale_by_its_verdict),
        cmocka_unit_test(of_a_shared_limit_no_more_is_used_than_is_allowed),
        cmocka_unit_test(of_a_shared_rate_a_part_is_used),
        cmocka_unit_test(who_gets_a_part_of_a_rate_has_nothing_saved_up),
        cmocka_unit_test(a_part_that_grows_saves_up_no_more_at_once),
        cmocka_unit_test(a_rule_of_a_run_is_its_owners_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
