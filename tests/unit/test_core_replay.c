/* Batches that were given up and are tried again while their run goes on. */
#include "tests/simulation/rig.h"

static const char *const names[] = {"a", "b", "c"};
enum { RUN = 1 };

static rig *open_rig(uint32_t credit) {
    rig *r = calloc(1, sizeof *r);
    mr_core_config config = rig_config();
    rig_open(r, &config);
    rig_join(r, 1, names, 3);
    rig_credit(r, 1, credit);
    return r;
}

static void close_rig(rig *r) {
    rig_do(r, (mr_event){.type = MR_EV_RUN_CANCEL, .as.run = RUN});
    mr_core_run_forget(r->core, RUN);
    mr_core_stats s;
    mr_core_stats_get(r->core, &s);
    assert_int_equal(s.runs, 0);
    assert_int_equal(r->blobs, 0);
    rig_close(r);
    free(r);
}

static mr_step_view view(const rig *r, uint32_t step) {
    mr_step_view v;
    assert_true(mr_core_step_at(r->core, RUN, step, &v));
    return v;
}

static mr_action sent(rig *r, size_t n) { return *rig_act(r, MR_ACT_SEND_WORK, n); }

static void give_up(rig *r, mr_action a) { rig_do(r, rig_result(1, a.key, a.attempt, MR_E_INVALID)); }

static void succeed(rig *r, mr_action a) {
    rig_do(r, rig_result(1, a.key, a.attempt, MR_OK));
    rig_do(r, rig_verdict(rig_act(r, MR_ACT_COMMIT, 0), MR_COMMITTED));
}

static void replay(rig *r, mr_action dead) {
    rig_do(r, (mr_event){.type = MR_EV_REPLAY, .as.replay = {.key = dead.key, .attempt = dead.attempt}});
}

static void a_replayed_batch_goes_out_again_with_a_new_number(void **state) {
    (void)state;
    rig *r = open_rig(2);
    mr_step_plan s = rig_step("a", MR_STEP_MAP, 2, 1);
    rig_run(r, RUN, 2, &s, 1);
    mr_action dead = sent(r, 0), other = sent(r, 1);
    give_up(r, dead);
    assert_int_equal(view(r, 0).level[0].dead, 1);
    replay(r, dead);
    assert_int_equal(view(r, 0).level[0].dead, 0);
    rig_credit(r, 1, 1);
    mr_action again = sent(r, 0);
    assert_int_equal(again.key.index, dead.key.index);
    assert_true(again.attempt > other.attempt);
    succeed(r, other);
    succeed(r, again);
    assert_int_equal(rig_act(r, MR_ACT_RUN_FINISHED, 0)->state, MR_RUN_SUCCEEDED);
    close_rig(r);
}

static void its_budgets_are_whole_again(void **state) {
    (void)state;
    rig *r = open_rig(2);
    mr_step_plan s = rig_step("a", MR_STEP_MAP, 2, 1);
    rig_run(r, RUN, 2, &s, 1);
    mr_action a = sent(r, 0), last = {0};
    for (int life = 0; life < 2; life++) {
        for (int i = 0; i < 2; i++) { /* the rig's budget of crashes */
            assert_int_equal(view(r, 0).level[0].dead, 0);
            rig_do(r, rig_result(1, a.key, a.attempt, MR_E_CRASHED));
            last = a;
            rig_do(r, (mr_event){.type = MR_EV_PEER_SEEN, .peer = 1});
            if (i == 0) {
                rig_tick(r, 2000);
                rig_credit(r, 1, 1);
                a = sent(r, 0);
            }
        }
        assert_int_equal(view(r, 0).level[0].dead, 1);
        replay(r, last);
        rig_credit(r, 1, 1);
        a = sent(r, 0);
    }
    close_rig(r);
}

/* What is told late, twice, or of an older letter must not bring back what was given up since. */
static void only_the_letter_that_was_replayed_counts(void **state) {
    (void)state;
    rig *r = open_rig(2);
    mr_step_plan s = rig_step("a", MR_STEP_MAP, 2, 1);
    rig_run(r, RUN, 2, &s, 1);
    mr_action first = sent(r, 0);
    replay(r, first); /* it is out, and was never given up */
    give_up(r, first);
    replay(r, first);
    rig_credit(r, 1, 1);
    mr_action second = sent(r, 0);
    give_up(r, second);
    replay(r, first);
    assert_int_equal(view(r, 0).level[0].dead, 1);
    rig_do(r, rig_result(1, second.key, second.attempt, MR_OK)); /* nor does a late result */
    assert_int_equal(rig_act(r, MR_ACT_ACK, 0)->verdict, MR_STALE);
    replay(r, second);
    replay(r, second);
    assert_int_equal(view(r, 0).level[0].dead, 0);
    mr_event e = {.type = MR_EV_REPLAY, .as.replay.key = {RUN, 0, 0, 2}};
    assert_int_equal(rig_try(r, &e), MR_E_INVALID);
    close_rig(r);
}

/* Also when it was found dead at a start. */
static void the_attempt_of_a_batch_that_was_dead_before_is_known(void **state) {
    (void)state;
    rig *r = open_rig(2);
    mr_step_plan s = rig_step("a", MR_STEP_MAP, 2, 1);
    rig_plan(r, RUN, 2, &s, 1);
    rig_do(r, (mr_event){.type = MR_EV_DEAD_BEFORE,
                         .as.dead = {.key = {RUN, 0, 0, 1}, .attempt = 77, .status = MR_E_CRASHED, .text = "it crashed"}});
    rig_do(r, (mr_event){.type = MR_EV_RUN_OPENED, .as.run = RUN});
    assert_int_equal(rig_count(r, MR_ACT_SEND_WORK), 1);
    rig_do(r, (mr_event){.type = MR_EV_REPLAY, .as.replay = {.key = {RUN, 0, 0, 1}, .attempt = 76}});
    assert_int_equal(rig_count(r, MR_ACT_SEND_WORK), 0);
    rig_do(r, (mr_event){.type = MR_EV_REPLAY, .as.replay = {.key = {RUN, 0, 0, 1}, .attempt = 77}});
    assert_int_equal(sent(r, 0).key.index, 1);
    close_rig(r);
}

/* A dead leaf ends its step while another goes on; replayed, all that was dropped with it comes back, and the merge. */
static void a_merge_that_waits_for_the_leaf_goes_on(void **state) {
    (void)state;
    rig *r = open_rig(4);
    mr_step_plan s[2] = {rig_step("a", MR_STEP_MERGE, 3, 1), rig_step("b", MR_STEP_WHOLE, 3, 3)};
    rig_run(r, RUN, 3, s, 2);
    assert_int_equal(rig_count(r, MR_ACT_SEND_WORK), 4);
    mr_action leaf[4], whole = {0};
    for (uint32_t i = 0, n = 0; i < 4; i++) {
        if (sent(r, i).key.step) whole = sent(r, i);
        else leaf[n++] = sent(r, i);
    }
    succeed(r, leaf[0]);
    give_up(r, leaf[1]);
    assert_int_equal(rig_act(r, MR_ACT_CANCEL_ATTEMPT, 0)->attempt, leaf[2].attempt);
    assert_int_equal(view(r, 0).state, MR_RUN_FAILED);
    replay(r, leaf[1]);
    assert_int_equal(view(r, 0).state, MR_RUN_RUNNING);
    succeed(r, leaf[2]); /* it was done before it heard of the cancel */
    rig_credit(r, 1, 4);
    assert_int_equal(rig_count(r, MR_ACT_SEND_WORK), 1);
    succeed(r, sent(r, 0));
    assert_int_equal(sent(r, 0).key.level, 1);
    mr_action merge = sent(r, 0);
    give_up(r, merge); /* a merge too can be given up and replayed */
    assert_int_equal(view(r, 0).state, MR_RUN_FAILED);
    replay(r, merge);
    succeed(r, sent(r, 0));
    assert_int_equal(view(r, 0).state, MR_RUN_SUCCEEDED);
    succeed(r, whole);
    assert_int_equal(rig_act(r, MR_ACT_RUN_FINISHED, 0)->state, MR_RUN_SUCCEEDED);
    close_rig(r);
}

static void what_is_with_the_ledger_while_its_step_failed_is_kept(void **state) {
    (void)state;
    for (int taken = 0; taken < 2; taken++) {
        rig *r = open_rig(2);
        mr_step_plan s = rig_step("a", MR_STEP_MERGE, 2, 1);
        rig_run(r, RUN, 2, &s, 1);
        mr_action first = sent(r, 0), second = sent(r, 1);
        rig_do(r, rig_result(1, first.key, first.attempt, MR_OK));
        mr_action commit = *rig_act(r, MR_ACT_COMMIT, 0);
        give_up(r, second); /* the run would have ended, but for the ledger's answer */
        assert_int_equal(rig_count(r, MR_ACT_RUN_FINISHED), 0);
        replay(r, second);
        rig_do(r, rig_verdict(&commit, taken ? MR_COMMITTED : MR_RETRY));
        assert_int_equal(rig_count(r, MR_ACT_RUN_FINISHED), 0);
        rig_credit(r, 1, 4);
        assert_int_equal(rig_count(r, MR_ACT_SEND_WORK), taken ? 1 : 2);
        close_rig(r);
    }
}

static void steps_that_failed_because_of_it_wait_again(void **state) {
    (void)state;
    rig *r = open_rig(2);
    mr_step_plan s[4];
    for (int i = 0; i < 3; i++) s[i] = rig_step(names[i], MR_STEP_WHOLE, 10, 10);
    s[3] = rig_step("a", MR_STEP_WHOLE, 10, 10);
    s[1].needs = 1 << 0;
    s[2].needs = 1 << 1;
    rig_run(r, RUN, 10, s, 4);
    mr_action a = sent(r, 0), other = sent(r, 1);
    give_up(r, a);
    for (uint32_t i = 0; i < 3; i++) assert_int_equal(view(r, i).state, MR_RUN_FAILED);
    replay(r, a);
    for (uint32_t i = 0; i < 3; i++) assert_int_equal(view(r, i).state, MR_RUN_RUNNING);
    assert_true(view(r, 1).waiting && view(r, 2).waiting);
    rig_credit(r, 1, 4);
    for (uint32_t i = 0; i < 3; i++) { /* in their order */
        assert_int_equal(sent(r, 0).key.step, i);
        succeed(r, sent(r, 0));
    }
    succeed(r, other);
    assert_int_equal(rig_act(r, MR_ACT_RUN_FINISHED, 0)->state, MR_RUN_SUCCEEDED);
    close_rig(r);
}

static void a_step_that_needs_another_failed_one_too_stays_failed(void **state) {
    (void)state;
    rig *r = open_rig(4);
    mr_step_plan s[4];
    for (int i = 0; i < 3; i++) s[i] = rig_step(names[i], MR_STEP_WHOLE, 10, 10);
    s[3] = rig_step("a", MR_STEP_WHOLE, 10, 10);
    s[2].needs = 1 << 0 | 1 << 1;
    rig_run(r, RUN, 10, s, 4);
    mr_action a = sent(r, 0), b = sent(r, 1);
    give_up(r, a);
    give_up(r, b);
    replay(r, a);
    assert_int_equal(view(r, 0).state, MR_RUN_RUNNING);
    assert_int_equal(view(r, 2).state, MR_RUN_FAILED);
    replay(r, b);
    assert_int_equal(view(r, 2).state, MR_RUN_RUNNING);
    assert_true(view(r, 2).waiting);
    close_rig(r);
}

/* A run that has ended, or is on its way to another broker, is for whoever reads it next. */
static void a_run_that_has_ended_or_leaves_is_not_touched(void **state) {
    (void)state;
    rig *r = open_rig(1);
    mr_step_plan s = rig_step("a", MR_STEP_MAP, 1, 1);
    rig_run(r, RUN, 1, &s, 1);
    mr_action dead = sent(r, 0);
    give_up(r, dead);
    assert_int_equal(rig_act(r, MR_ACT_RUN_FINISHED, 0)->state, MR_RUN_FAILED);
    replay(r, dead);
    assert_int_equal(r->count, 0);
    assert_int_equal(view(r, 0).state, MR_RUN_FAILED);
    close_rig(r);
    r = open_rig(2);
    s = rig_step("a", MR_STEP_MAP, 2, 1);
    rig_run(r, RUN, 2, &s, 1);
    dead = sent(r, 0);
    give_up(r, dead);
    rig_do(r, (mr_event){.type = MR_EV_RUN_LEAVE, .as.run = RUN});
    replay(r, dead);
    assert_int_equal(view(r, 0).level[0].dead, 1);
    close_rig(r);
}

static void the_reason_of_a_run_that_fails_again_is_not_the_old_one(void **state) {
    (void)state;
    rig *r = open_rig(3);
    mr_step_plan s = rig_step("a", MR_STEP_MAP, 3, 1);
    rig_run(r, RUN, 3, &s, 1);
    mr_action a = sent(r, 0), b = sent(r, 1), c = sent(r, 2);
    give_up(r, a);
    give_up(r, b);
    replay(r, a);
    rig_credit(r, 1, 1);
    succeed(r, sent(r, 0));
    mr_event last = rig_result(1, c.key, c.attempt, MR_E_INVALID);
    last.as.result.text = "and this";
    rig_do(r, last);
    assert_string_equal(rig_act(r, MR_ACT_RUN_FINISHED, 0)->text, "2 of 3 batches of a failed; the first: and this");
    close_rig(r);
}

static void a_task_of_an_open_stream_is_replayed_weeks_later(void **state) {
    (void)state;
    rig *r = open_rig(1);
    mr_step_plan s = {.component = "a", .version = 1, .deadline_ms = 60000};
    assert_int_equal(mr_plan_stream(1, &s, NULL), MR_OK);
    mr_run_plan plan = {.run = RUN, .rows = 1, .steps = 1, .step = &s, .stream = true, .open = true};
    rig_do(r, (mr_event){.type = MR_EV_RUN_PLANNED, .as.plan = &plan});
    rig_do(r, (mr_event){.type = MR_EV_RUN_OPENED, .as.run = RUN});
    mr_action dead = sent(r, 0);
    give_up(r, dead);
    for (int i = 0; i < 20; i++) {
        rig_do(r, (mr_event){.type = MR_EV_PEER_SEEN, .peer = 1});
        rig_tick(r, 4000);
    }
    rig_credit(r, 1, 1);
    assert_int_equal(rig_count(r, MR_ACT_SEND_WORK), 0);
    replay(r, dead);
    mr_action again = sent(r, 0);
    rig_do(r, (mr_event){.type = MR_EV_RUN_CLOSED, .as.run = RUN});
    assert_int_equal(rig_count(r, MR_ACT_RUN_FINISHED), 0);
    succeed(r, again);
    assert_int_equal(rig_act(r, MR_ACT_RUN_FINISHED, 0)->state, MR_RUN_SUCCEEDED);
    close_rig(r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_replayed_batch_goes_out_again_with_a_new_number),
        cmocka_unit_test(its_budgets_are_whole_again),
        cmocka_unit_test(only_the_letter_that_was_replayed_counts),
        cmocka_unit_test(the_attempt_of_a_batch_that_was_dead_before_is_known),
        cmocka_unit_test(a_merge_that_waits_for_the_leaf_goes_on),
        cmocka_unit_test(what_is_with_the_ledger_while_its_step_failed_is_kept),
        cmocka_unit_test(steps_that_failed_because_of_it_wait_again),
        cmocka_unit_test(a_step_that_needs_another_failed_one_too_stays_failed),
        cmocka_unit_test(a_run_that_has_ended_or_leaves_is_not_touched),
        cmocka_unit_test(the_reason_of_a_run_that_fails_again_is_not_the_old_one),
        cmocka_unit_test(a_task_of_an_open_stream_is_replayed_weeks_later),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
