/* Steps that need other steps: when they begin, what becomes of them when those fail, and after a restart. */
#include "tests/simulation/rig.h"

static const char *const names[] = {"a", "b", "c"};
enum { RUN = 1 };

/* A worker that can hold four attempts, and a run of three steps of one batch each: b needs a, c needs b. */
static rig *open_rig(void) {
    rig *r = calloc(1, sizeof *r);
    mr_core_config config = rig_config();
    rig_open(r, &config);
    rig_join(r, 1, names, 3);
    rig_credit(r, 1, 4);
    return r;
}

static void close_rig(rig *r) {
    assert_int_equal(r->blobs, 0);
    rig_close(r);
    free(r);
}

static void three(mr_step_plan step[3]) {
    for (int i = 0; i < 3; i++) step[i] = rig_step(names[i], MR_STEP_WHOLE, 10, 10);
    step[1].needs = 1 << 0;
    step[2].needs = 1 << 1;
}

static void begin(rig *r) {
    mr_step_plan step[3];
    three(step);
    rig_run(r, RUN, 10, step, 3);
}

static mr_step_view view(const rig *r, uint32_t step) {
    mr_step_view v;
    assert_true(mr_core_step_at(r->core, RUN, step, &v));
    return v;
}

/* The attempt is committed; what follows lies in the rig. */
static void succeed(rig *r, mr_action sent) {
    rig_do(r, rig_result(sent.peer, sent.key, sent.attempt, MR_OK));
    mr_action commit = *rig_act(r, MR_ACT_COMMIT, 0);
    assert_int_equal(rig_count(r, MR_ACT_SEND_WORK), 0); /* not before it is on disk */
    rig_do(r, rig_verdict(&commit, MR_COMMITTED));
}

static void a_step_begins_when_what_it_needs_is_committed(void **state) {
    (void)state;
    rig *r = open_rig();
    begin(r);
    for (uint32_t step = 0; step < 3; step++) {
        assert_int_equal(rig_count(r, MR_ACT_SEND_WORK), 1);
        mr_action sent = *rig_act(r, MR_ACT_SEND_WORK, 0);
        assert_int_equal(sent.key.step, step);
        assert_false(view(r, step).waiting);
        for (uint32_t later = step + 1; later < 3; later++) assert_true(view(r, later).waiting);
        succeed(r, sent);
    }
    assert_int_equal(rig_act(r, MR_ACT_RUN_FINISHED, 0)->state, MR_RUN_SUCCEEDED);
    close_rig(r);
}

static void a_step_that_needs_nothing_does_not_wait_for_the_chain(void **state) {
    (void)state;
    rig *r = open_rig();
    mr_step_plan step[3];
    three(step);
    step[2].needs = 0;
    rig_run(r, RUN, 10, step, 3);
    assert_int_equal(rig_count(r, MR_ACT_SEND_WORK), 2);
    assert_int_equal(rig_act(r, MR_ACT_SEND_WORK, 0)->key.step, 0);
    assert_int_equal(rig_act(r, MR_ACT_SEND_WORK, 1)->key.step, 2);
    rig_do(r, (mr_event){.type = MR_EV_RUN_CANCEL, .as.run = RUN});
    close_rig(r);
}

static void a_step_with_two_needs_waits_for_both(void **state) {
    (void)state;
    rig *r = open_rig();
    mr_step_plan step[3];
    three(step);
    step[1].needs = 0;
    step[2].needs = 1 << 0 | 1 << 1;
    rig_run(r, RUN, 10, step, 3);
    mr_action a = *rig_act(r, MR_ACT_SEND_WORK, 0), b = *rig_act(r, MR_ACT_SEND_WORK, 1);
    succeed(r, b);
    assert_int_equal(rig_count(r, MR_ACT_SEND_WORK), 0);
    succeed(r, a);
    assert_int_equal(rig_act(r, MR_ACT_SEND_WORK, 0)->key.step, 2);
    rig_do(r, (mr_event){.type = MR_EV_RUN_CANCEL, .as.run = RUN});
    close_rig(r);
}

static void what_needs_a_failed_step_is_not_run_and_others_go_on(void **state) {
    (void)state;
    rig *r = open_rig();
    mr_step_plan step[4];
    three(step);
    step[3] = rig_step("a", MR_STEP_WHOLE, 10, 10);
    rig_run(r, RUN, 10, step, 4);
    mr_action a = *rig_act(r, MR_ACT_SEND_WORK, 0), other = *rig_act(r, MR_ACT_SEND_WORK, 1);
    rig_do(r, rig_result(1, a.key, a.attempt, MR_E_INVALID));
    assert_int_equal(rig_count(r, MR_ACT_STEP_FINISHED), 3);
    assert_string_equal(rig_act(r, MR_ACT_STEP_FINISHED, 1)->text, "b was not run: it needs a (step 0), which failed");
    assert_string_equal(rig_act(r, MR_ACT_STEP_FINISHED, 2)->text, "c was not run: it needs b (step 1), which failed");
    for (uint32_t i = 0; i < 3; i++) assert_int_equal(view(r, i).state, MR_RUN_FAILED);
    assert_int_equal(rig_count(r, MR_ACT_RUN_FINISHED), 0);
    succeed(r, other);
    mr_action *end = rig_act(r, MR_ACT_RUN_FINISHED, 0);
    assert_int_equal(end->state, MR_RUN_FAILED);
    assert_non_null(strstr(end->text, "3 of 4 steps failed: 1 of 1 batches of a failed"));
    close_rig(r);
}

static void a_restart_between_two_steps_goes_on_with_the_second(void **state) {
    (void)state;
    rig *r = open_rig();
    mr_step_plan step[3];
    three(step);
    rig_plan(r, RUN, 10, step, 3);
    rig_do(r, (mr_event){.type = MR_EV_DONE_BEFORE, .as.key = {RUN, 0, 0, 0}});
    rig_do(r, (mr_event){.type = MR_EV_RUN_OPENED, .as.run = RUN});
    assert_int_equal(rig_count(r, MR_ACT_SEND_WORK), 1);
    assert_int_equal(rig_act(r, MR_ACT_SEND_WORK, 0)->key.step, 1);
    assert_true(view(r, 2).waiting);
    rig_do(r, (mr_event){.type = MR_EV_RUN_CANCEL, .as.run = RUN});
    close_rig(r);
}

static void a_restart_after_all_or_after_a_failure_ends_the_run(void **state) {
    (void)state;
    rig *r = open_rig();
    mr_step_plan step[3];
    three(step);
    rig_plan(r, RUN, 10, step, 3);
    for (uint32_t i = 0; i < 3; i++) rig_do(r, (mr_event){.type = MR_EV_DONE_BEFORE, .as.key = {RUN, i, 0, 0}});
    rig_do(r, (mr_event){.type = MR_EV_RUN_OPENED, .as.run = RUN});
    assert_int_equal(rig_act(r, MR_ACT_RUN_FINISHED, 0)->state, MR_RUN_SUCCEEDED);
    rig_plan(r, 2, 10, step, 3);
    mr_event dead = {.type = MR_EV_DEAD_BEFORE};
    dead.as.dead.key = (mr_work_key){2, 0, 0, 0};
    dead.as.dead.status = MR_E_INVALID;
    dead.as.dead.text = "bad rows";
    rig_do(r, dead);
    rig_do(r, (mr_event){.type = MR_EV_RUN_OPENED, .as.run = 2});
    assert_int_equal(rig_count(r, MR_ACT_SEND_WORK), 0);
    assert_int_equal(rig_act(r, MR_ACT_RUN_FINISHED, 0)->state, MR_RUN_FAILED);
    close_rig(r);
}

static void a_result_of_a_step_that_waits_is_not_taken(void **state) {
    (void)state;
    rig *r = open_rig();
    begin(r);
    rig_do(r, rig_result(1, (mr_work_key){RUN, 1, 0, 0}, 77, MR_OK));
    assert_int_equal(rig_count(r, MR_ACT_COMMIT), 0);
    assert_int_not_equal(rig_act(r, MR_ACT_ACK, 0)->verdict, MR_COMMITTED);
    rig_do(r, (mr_event){.type = MR_EV_RUN_CANCEL, .as.run = RUN});
    assert_int_equal(rig_count(r, MR_ACT_STEP_FINISHED), 3);
    close_rig(r);
}

static void a_step_may_need_only_earlier_ones(void **state) {
    (void)state;
    rig *r = open_rig();
    mr_step_plan step[3];
    for (int bit = 1; bit < 3; bit++) {
        three(step);
        step[1].needs = 1ull << bit;
        mr_run_plan plan = {.run = RUN, .rows = 10, .steps = 3, .step = step};
        mr_event e = {.type = MR_EV_RUN_PLANNED, .as.plan = &plan};
        assert_int_equal(rig_try(r, &e), MR_E_INVALID);
    }
    close_rig(r);
}

static void a_chain_as_long_as_a_run_may_be_ends(void **state) {
    (void)state;
    rig *r = open_rig();
    mr_step_plan step[MR_STEPS_MAX];
    for (uint32_t i = 0; i < MR_STEPS_MAX; i++) {
        step[i] = rig_step("a", MR_STEP_WHOLE, 10, 10);
        step[i].needs = i ? 1ull << (i - 1) : 0;
    }
    rig_run(r, RUN, 10, step, MR_STEPS_MAX);
    mr_action a = *rig_act(r, MR_ACT_SEND_WORK, 0);
    rig_do(r, rig_result(1, a.key, a.attempt, MR_E_INVALID));
    assert_int_equal(rig_count(r, MR_ACT_STEP_FINISHED), MR_STEPS_MAX);
    assert_int_equal(rig_act(r, MR_ACT_RUN_FINISHED, 0)->state, MR_RUN_FAILED);
    close_rig(r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_step_begins_when_what_it_needs_is_committed),
        cmocka_unit_test(a_step_that_needs_nothing_does_not_wait_for_the_chain),
        cmocka_unit_test(a_step_with_two_needs_waits_for_both),
        cmocka_unit_test(what_needs_a_failed_step_is_not_run_and_others_go_on),
        cmocka_unit_test(a_restart_between_two_steps_goes_on_with_the_second),
        cmocka_unit_test(a_restart_after_all_or_after_a_failure_ends_the_run),
        cmocka_unit_test(a_result_of_a_step_that_waits_is_not_taken),
        cmocka_unit_test(a_step_may_need_only_earlier_ones),
        cmocka_unit_test(a_chain_as_long_as_a_run_may_be_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
