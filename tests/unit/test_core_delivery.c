/* Failures that are final, dead letters after a restart, pauses, limits and the watchdog. */
#include "tests/simulation/rig.h"

static const char *const names[] = {"a", "b"};

static rig *open_rig(void) {
    rig *r = calloc(1, sizeof *r);
    mr_core_config config = rig_config();
    config.load_ahead = 2;
    config.stall_ms = 3000;
    rig_open(r, &config);
    return r;
}

static void close_rig(rig *r) {
    assert_int_equal(r->blobs, 0);
    rig_close(r);
    free(r);
}

static void cancel(rig *r, uint64_t run) { rig_do(r, (mr_event){.type = MR_EV_RUN_CANCEL, .as.run = run}); }

static void rule(rig *r, mr_rule rule) { rig_do(r, (mr_event){.type = MR_EV_RULE, .as.rule = &rule}); }

static mr_core_stats stats(const rig *r) {
    mr_core_stats s;
    mr_core_stats_get(r->core, &s);
    return s;
}

/* Lets time pass while the worker lives; gives how many works were sent, the last one in `last`. */
static uint32_t pass(rig *r, uint64_t ms, mr_action *last) {
    uint32_t sent = 0;
    for (uint64_t t = 0; t < ms; t += 50) {
        rig_do(r, (mr_event){.type = MR_EV_PEER_SEEN, .peer = 1});
        rig_tick(r, 50);
        size_t n = rig_count(r, MR_ACT_SEND_WORK);
        sent += (uint32_t)n;
        if (n && last) *last = *rig_act(r, MR_ACT_SEND_WORK, n - 1);
    }
    return sent;
}

/* A run of `rows` batches of one component, with credit for all. */
static void begin(rig *r, uint64_t rows, uint32_t credit) {
    rig_join(r, 1, names, 2);
    mr_step_plan s = rig_step("a", MR_STEP_MAP, rows, 1);
    rig_run(r, 1, rows, &s, 1);
    rig_credit(r, 1, credit);
}

static void a_failure_that_cannot_go_away_ends_the_batch_at_once(void **state) {
    (void)state;
    static const mr_status final[] = {MR_E_INVALID, MR_E_NOT_FOUND, MR_E_LIMIT, MR_E_PROTOCOL, MR_E_INTERNAL};
    for (size_t i = 0; i < sizeof final / sizeof *final; i++) {
        rig *r = open_rig();
        begin(r, 1, 1);
        mr_action sent = *rig_act(r, MR_ACT_SEND_WORK, 0);
        rig_do(r, rig_result(1, sent.key, sent.attempt, final[i]));
        assert_true(rig_act(r, MR_ACT_RECORD_FAILURE, 0)->dead);
        assert_int_equal(rig_act(r, MR_ACT_RUN_FINISHED, 0)->status, final[i]);
        close_rig(r);
    }
}

static void a_cancelled_attempt_says_nothing_about_its_batch(void **state) {
    (void)state;
    rig *r = open_rig();
    begin(r, 1, 1);
    for (int i = 0; i < 10; i++) {
        mr_action sent = *rig_act(r, MR_ACT_SEND_WORK, 0);
        rig_do(r, rig_result(1, sent.key, sent.attempt, MR_E_CANCELLED));
        assert_int_equal(rig_count(r, MR_ACT_RECORD_FAILURE), 0);
        rig_credit(r, 1, 1);
    }
    cancel(r, 1);
    close_rig(r);
}

/* ---- dead before ---- */

static void dead_before(rig *r, uint32_t level, uint32_t index) {
    rig_do(r, (mr_event){
                  .type = MR_EV_DEAD_BEFORE,
                  .as.dead = {.key = {1, 0, level, index}, .status = MR_E_CRASHED, .text = "it crashed"}});
}

static void what_was_given_up_stays_so_after_a_restart(void **state) {
    (void)state;
    rig *r = open_rig();
    rig_join(r, 1, names, 1);
    rig_credit(r, 1, 5);
    mr_step_plan s = rig_step("a", MR_STEP_MAP, 3, 1);
    rig_plan(r, 1, 3, &s, 1);
    rig_do(r, (mr_event){.type = MR_EV_DONE_BEFORE, .as.key = {1, 0, 0, 0}});
    dead_before(r, 0, 0); /* an older attempt's result was committed all the same */
    dead_before(r, 0, 1);
    dead_before(r, 0, 1);
    rig_do(r, (mr_event){.type = MR_EV_RUN_OPENED, .as.run = 1});
    assert_int_equal(rig_count(r, MR_ACT_SEND_WORK), 1);
    mr_action sent = *rig_act(r, MR_ACT_SEND_WORK, 0);
    assert_int_equal(sent.key.index, 2);
    rig_do(r, rig_result(1, sent.key, sent.attempt, MR_OK));
    rig_do(r, rig_verdict(rig_act(r, MR_ACT_COMMIT, 0), MR_COMMITTED));
    assert_int_equal(rig_act(r, MR_ACT_RUN_FINISHED, 0)->state, MR_RUN_FAILED);
    assert_string_equal(rig_act(r, MR_ACT_RUN_FINISHED, 0)->text,
                        "1 of 3 batches of a failed; the first: it crashed");
    close_rig(r);
}

/* A run that failed is planned anew with what it has: only the batch that is not dead any more is tried. */
static void a_reopened_run_tries_only_what_was_replayed(void **state) {
    (void)state;
    rig *r = open_rig();
    begin(r, 2, 2);
    mr_action first = *rig_act(r, MR_ACT_SEND_WORK, 0), second = *rig_act(r, MR_ACT_SEND_WORK, 1);
    rig_do(r, rig_result(1, first.key, first.attempt, MR_OK));
    rig_do(r, rig_verdict(rig_act(r, MR_ACT_COMMIT, 0), MR_COMMITTED));
    rig_do(r, rig_result(1, second.key, second.attempt, MR_E_INVALID));
    assert_int_equal(rig_act(r, MR_ACT_RUN_FINISHED, 0)->state, MR_RUN_FAILED);
    mr_core_run_forget(r->core, 1);
    mr_step_plan s = rig_step("a", MR_STEP_MAP, 2, 1);
    rig_plan(r, 1, 2, &s, 1);
    rig_do(r, (mr_event){.type = MR_EV_DONE_BEFORE, .as.key = first.key});
    rig_do(r, (mr_event){.type = MR_EV_RUN_OPENED, .as.run = 1});
    rig_credit(r, 1, 2);
    assert_int_equal(rig_count(r, MR_ACT_SEND_WORK), 1);
    mr_action again = *rig_act(r, MR_ACT_SEND_WORK, 0);
    assert_int_equal(again.key.index, second.key.index);
    rig_do(r, rig_result(1, second.key, second.attempt, MR_OK)); /* also from the attempt of before */
    rig_do(r, rig_verdict(rig_act(r, MR_ACT_COMMIT, 0), MR_COMMITTED));
    assert_int_equal(rig_act(r, MR_ACT_RUN_FINISHED, 0)->state, MR_RUN_SUCCEEDED);
    close_rig(r);
}

/* ---- pauses ---- */

static void a_paused_run_sends_nothing_new_and_what_is_out_ends(void **state) {
    (void)state;
    rig *r = open_rig();
    begin(r, 20, 1);
    mr_action sent = *rig_act(r, MR_ACT_SEND_WORK, 0);
    rule(r, (mr_rule){.of = MR_RULE_RUN, .name = "1", .paused = true});
    assert_int_equal(stats(r).ready, 0); /* and holds no inputs */
    rig_credit(r, 1, 5);
    assert_int_equal(pass(r, 20000, NULL), 0); /* nor is that a stall */
    rig_do(r, rig_result(1, sent.key, sent.attempt, MR_OK));
    rig_do(r, rig_verdict(rig_act(r, MR_ACT_COMMIT, 0), MR_COMMITTED));
    assert_int_equal(rig_count(r, MR_ACT_SEND_WORK), 0);
    mr_run_view view;
    assert_true(mr_core_run_find(r->core, 1, &view) && view.paused);
    rule(r, (mr_rule){.of = MR_RULE_RUN, .name = "1"});
    assert_int_equal(rig_count(r, MR_ACT_SEND_WORK) + pass(r, 50, NULL), 5);
    cancel(r, 1);
    close_rig(r);
}

static void a_paused_component_waits_while_others_go(void **state) {
    (void)state;
    rig *r = open_rig();
    rule(r, (mr_rule){.of = MR_RULE_COMPONENT, .name = "a", .paused = true}); /* before anybody wants it */
    rig_join(r, 1, names, 2);
    mr_step_plan steps[] = {rig_step("a", MR_STEP_MAP, 9, 1), rig_step("b", MR_STEP_MAP, 9, 1)};
    rig_run(r, 1, 9, steps, 2);
    rig_credit(r, 1, 20);
    assert_int_equal(rig_count(r, MR_ACT_SEND_WORK), 9);
    for (size_t i = 0; i < 9; i++) assert_int_equal(rig_act(r, MR_ACT_SEND_WORK, i)->key.step, 1);
    rule(r, (mr_rule){.of = MR_RULE_COMPONENT, .name = "a"});
    assert_int_equal(rig_count(r, MR_ACT_SEND_WORK) + pass(r, 50, NULL), 9);
    cancel(r, 1);
    close_rig(r);
}

static void what_comes_back_to_a_paused_run_waits_too(void **state) {
    (void)state;
    rig *r = open_rig();
    r->hold_loads = true;
    begin(r, 4, 2);
    mr_action load = *rig_act(r, MR_ACT_LOAD, 0);
    rig_do(r, (mr_event){.type = MR_EV_LOADED, .as.loaded = {.work = load.work, .blob = (r->blobs++, 9)}});
    mr_action sent = *rig_act(r, MR_ACT_SEND_WORK, 0);
    r->hold_loads = false;
    rule(r, (mr_rule){.of = MR_RULE_CLIENT, .name = "nobody", .paused = true}); /* another's */
    assert_int_equal(stats(r).loading, 3);
    rule(r, (mr_rule){.of = MR_RULE_RUN, .name = "1", .paused = true});
    rig_do(r, (mr_event){.type = MR_EV_RELEASE, .peer = 1, .as.attempt = sent.attempt});
    assert_int_equal(rig_count(r, MR_ACT_SEND_WORK) + stats(r).ready, 0);
    for (uint32_t id = 0; id < 8; id++) { /* the loads that were under way come */
        mr_event e = {.type = MR_EV_LOADED, .as.loaded = {.work = id, .blob = 50 + id}};
        r->blobs++;
        if (rig_try(r, &e) != MR_OK) r->blobs--;
    }
    assert_int_equal(stats(r).ready + stats(r).loading, 0);
    assert_int_equal(r->blobs, 0);
    cancel(r, 1);
    close_rig(r);
}

/* ---- limits ---- */

static void no_more_are_out_than_the_limit(void **state) {
    (void)state;
    rig *r = open_rig();
    rule(r, (mr_rule){.of = MR_RULE_COMPONENT, .name = "a", .max_concurrent = 3});
    begin(r, 50, 10);
    assert_int_equal(rig_count(r, MR_ACT_SEND_WORK), 3);
    assert_int_equal(stats(r).ready + stats(r).loading, 0); /* no inputs that could not be sent */
    mr_action sent = *rig_act(r, MR_ACT_SEND_WORK, 0);
    assert_int_equal(pass(r, 1000, NULL), 0);
    rig_do(r, rig_result(1, sent.key, sent.attempt,
                         MR_OK)); /* it is not out any more, though not yet committed */
    mr_action commit = *rig_act(r, MR_ACT_COMMIT, 0);
    assert_int_equal(stats(r).sent, 3);
    rig_do(r, rig_verdict(&commit, MR_COMMITTED));
    assert_int_equal(stats(r).sent, 3);
    rig_join(r, 1, names, 1); /* the worker begins again: its three are out no more */
    assert_int_equal(stats(r).sent, 0);
    rig_credit(r, 1, 10);
    assert_int_equal(stats(r).sent, 3);
    rule(r, (mr_rule){.of = MR_RULE_COMPONENT, .name = "a", .max_concurrent = 5});
    pass(r, 50, NULL);
    assert_int_equal(stats(r).sent, 5);
    rule(r, (mr_rule){.of = MR_RULE_COMPONENT, .name = "a"});
    pass(r, 50, NULL);
    assert_int_equal(stats(r).sent, 10);
    cancel(r, 1);
    close_rig(r);
}

static void a_client_has_one_limit_over_all_its_runs(void **state) {
    (void)state;
    rig *r = open_rig();
    rule(r, (mr_rule){.of = MR_RULE_CLIENT, .name = "ann", .max_concurrent = 4});
    rig_join(r, 1, names, 2);
    mr_step_plan steps[] = {rig_step("a", MR_STEP_MAP, 9, 1), rig_step("b", MR_STEP_MAP, 9, 1)};
    for (uint64_t run = 1; run <= 3; run++) {
        mr_run_plan plan = {
            .run = run, .rows = 9, .steps = 2, .step = steps, .client = run < 3 ? "ann" : "bob"};
        rig_do(r, (mr_event){.type = MR_EV_RUN_PLANNED, .as.plan = &plan});
        rig_do(r, (mr_event){.type = MR_EV_RUN_OPENED, .as.run = run});
    }
    rig_credit(r, 1, 100);
    uint32_t of_ann = 0;
    for (size_t i = 0; i < rig_count(r, MR_ACT_SEND_WORK); i++)
        of_ann += rig_act(r, MR_ACT_SEND_WORK, i)->key.run < 3;
    assert_int_equal(of_ann, 4);
    assert_int_equal(rig_count(r, MR_ACT_SEND_WORK), 4 + 18);
    mr_rule_view view;
    assert_true(mr_core_rule_at(r->core, 0, &view));
    assert_int_equal(view.sent, 4);
    for (uint64_t run = 1; run <= 3; run++) cancel(r, run);
    close_rig(r);
}

/* Ann may have two out; the workers of a are busy and those of b are not: what waits for a does not keep b
 * from going. */
static void a_limit_is_not_used_up_by_what_cannot_go(void **state) {
    (void)state;
    rig *r = open_rig();
    rule(r, (mr_rule){.of = MR_RULE_CLIENT, .name = "ann", .max_concurrent = 2});
    rig_join(r, 1, names, 1);
    rig_join(r, 2, names + 1, 1);
    mr_step_plan steps[] = {rig_step("a", MR_STEP_MAP, 9, 1), rig_step("b", MR_STEP_MAP, 9, 1)};
    mr_run_plan plan = {.run = 1, .rows = 9, .steps = 2, .step = steps, .client = "ann"};
    rig_do(r, (mr_event){.type = MR_EV_RUN_PLANNED, .as.plan = &plan});
    rig_do(r, (mr_event){.type = MR_EV_RUN_OPENED, .as.run = 1});
    assert_int_equal(stats(r).ready, 0);
    rig_credit(r, 2, 5);
    assert_int_equal(rig_count(r, MR_ACT_SEND_WORK), 2);
    for (size_t i = 0; i < 2; i++) assert_int_equal(rig_act(r, MR_ACT_SEND_WORK, i)->key.step, 1);
    cancel(r, 1);
    close_rig(r);
}

/* 10 a second with bursts of 5: one at once, for a new rate has no burst saved up; then one each 100 ms. */
static void a_rate_is_kept_and_a_burst_is_saved_up(void **state) {
    (void)state;
    rig *r = open_rig();
    rule(r, (mr_rule){.of = MR_RULE_RUN, .name = "1", .per_second = 10, .burst = 5});
    begin(r, 200, 100);
    assert_int_equal(rig_count(r, MR_ACT_SEND_WORK), 1);
    assert_int_equal(mr_core_due_ms(r->core), r->now + 100);
    assert_int_equal(pass(r, 2000, NULL), 20);
    rule(r, (mr_rule){.of = MR_RULE_COMPONENT, .name = "a", .paused = true});
    assert_int_equal(pass(r, 2000, NULL), 0);
    assert_int_equal(mr_core_due_ms(r->core), UINT64_MAX);
    rule(r, (mr_rule){.of = MR_RULE_COMPONENT, .name = "a"});
    assert_int_equal(rig_count(r, MR_ACT_SEND_WORK) + pass(r, 50, NULL), 5);
    assert_int_equal(pass(r, 1000, NULL), 10);
    cancel(r, 1);
    close_rig(r);
}

static void rules_that_make_no_sense_are_refused(void **state) {
    (void)state;
    rig *r = open_rig();
    mr_rule wrong[] = {{.of = MR_RULE_RUN, .paused = true},
                       {.of = MR_RULES, .name = "a", .paused = true},
                       {.of = MR_RULE_RUN, .name = "1", .per_second = -1},
                       {.of = MR_RULE_RUN, .name = "1", .per_second = 1e9},
                       {.of = MR_RULE_RUN, .name = "1", .per_second = 1, .burst = 2000000000}};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        mr_event e = {.type = MR_EV_RULE, .as.rule = &wrong[i]};
        assert_int_equal(rig_try(r, &e), MR_E_INVALID);
    }
    close_rig(r);
}

/* ---- damaged partials ---- */

/* Works off what was sent: every result is committed. */
static void give_results(rig *r) {
    mr_action sent[8], commit[8];
    size_t n = rig_count(r, MR_ACT_SEND_WORK);
    for (size_t i = 0; i < n; i++) sent[i] = *rig_act(r, MR_ACT_SEND_WORK, i);
    for (size_t i = 0; i < n; i++) {
        rig_do(r, rig_result(1, sent[i].key, sent[i].attempt, MR_OK));
        commit[i] = *rig_act(r, MR_ACT_COMMIT, 0);
    }
    for (size_t i = 0; i < n; i++) rig_do(r, rig_verdict(&commit[i], MR_COMMITTED));
}

/* Three batches are done, and the input of their merge is being loaded. */
static mr_action merge_is_loading(rig *r) {
    rig_join(r, 1, names, 1);
    mr_step_plan s = rig_step("a", MR_STEP_MERGE, 3, 1);
    rig_run(r, 1, 3, &s, 1);
    rig_credit(r, 1, 3);
    r->hold_loads = true;
    give_results(r);
    mr_action load = *rig_act(r, MR_ACT_LOAD, 0);
    assert_int_equal(load.key.level, 1);
    rig_credit(r, 1, 3);
    return load;
}

static void answer_load(rig *r, const mr_action *load) {
    r->blobs++;
    rig_do(r, (mr_event){.type = MR_EV_LOADED, .as.loaded = {.work = load->work, .blob = r->next_blob++}});
}

static mr_event damaged(const mr_action *load, uint32_t children) {
    return (mr_event){.type = MR_EV_LOAD_DAMAGED, .as.loaded = {.work = load->work, .key = load->key, .children = children}};
}

static void a_damaged_partial_is_computed_again_and_then_merged(void **state) {
    (void)state;
    rig *r = open_rig();
    mr_action merge = merge_is_loading(r);
    rig_do(r, damaged(&merge, 1u << 1));
    assert_int_equal(rig_count(r, MR_ACT_LOAD), 1);
    mr_action again = *rig_act(r, MR_ACT_LOAD, 0);
    assert_int_equal(again.key.level, 0);
    assert_int_equal(again.key.index, 1);
    answer_load(r, &again);
    give_results(r);
    merge = *rig_act(r, MR_ACT_LOAD, 0);
    assert_int_equal(merge.key.level, 1);
    answer_load(r, &merge);
    give_results(r);
    assert_int_equal(rig_act(r, MR_ACT_RUN_FINISHED, 0)->state, MR_RUN_SUCCEEDED);
    close_rig(r);
}

/* A worker of before comes with the merge's result while its partial is found damaged: both are there in the end. */
static void a_run_ends_only_when_what_was_damaged_is_there_again(void **state) {
    (void)state;
    rig *r = open_rig();
    mr_action merge = merge_is_loading(r);
    rig_do(r, rig_result(1, merge.key, 900, MR_OK));
    mr_action commit = *rig_act(r, MR_ACT_COMMIT, 0);
    rig_do(r, damaged(&merge, 1u << 2));
    mr_action again = *rig_act(r, MR_ACT_LOAD, 0);
    rig_do(r, rig_verdict(&commit, MR_COMMITTED));
    assert_int_equal(rig_count(r, MR_ACT_RUN_FINISHED), 0);
    answer_load(r, &again);
    give_results(r);
    assert_int_equal(rig_act(r, MR_ACT_RUN_FINISHED, 0)->state, MR_RUN_SUCCEEDED);
    assert_int_equal(rig_count(r, MR_ACT_LOAD), 0); /* the merge is not made again */
    close_rig(r);
}

/* As a repaired run is told after it was reopened. */
static void one_missing_batch_below_a_merge_that_is_done_is_computed_alone(void **state) {
    (void)state;
    rig *r = open_rig();
    rig_join(r, 1, names, 1);
    mr_step_plan s = rig_step("a", MR_STEP_MERGE, 3, 1);
    static const mr_work_key done[] = {{1, 0, 0, 0}, {1, 0, 1, 0}, {1, 0, 0, 2}};
    rig_plan(r, 1, 3, &s, 1);
    for (size_t i = 0; i < 3; i++) rig_do(r, (mr_event){.type = MR_EV_DONE_BEFORE, .as.key = done[i]});
    rig_do(r, (mr_event){.type = MR_EV_RUN_OPENED, .as.run = 1});
    rig_credit(r, 1, 3);
    assert_int_equal(rig_count(r, MR_ACT_SEND_WORK), 1);
    assert_int_equal(rig_act(r, MR_ACT_SEND_WORK, 0)->key.index, 1);
    give_results(r);
    assert_int_equal(rig_act(r, MR_ACT_RUN_FINISHED, 0)->state, MR_RUN_SUCCEEDED);
    close_rig(r);
}

static void damage_of_a_run_that_was_cancelled_meanwhile_is_nobodys(void **state) {
    (void)state;
    rig *r = open_rig();
    mr_action merge = merge_is_loading(r);
    cancel(r, 1);
    rig_do(r, damaged(&merge, 1));
    assert_int_equal(r->count, 0);
    close_rig(r);
}

/* ---- the watchdog ---- */

/* Two inputs are asked for, and nobody answers; gives the first. */
static mr_action begin_unanswered(rig *r) {
    r->hold_loads = true;
    rig_join(r, 1, names, 2);
    mr_step_plan s = rig_step("a", MR_STEP_MAP, 2, 1);
    rig_plan(r, 1, 2, &s, 1);
    rig_do(r, (mr_event){.type = MR_EV_RUN_OPENED, .as.run = 1});
    assert_int_equal(rig_count(r, MR_ACT_LOAD), 2);
    mr_action first = *rig_act(r, MR_ACT_LOAD, 0);
    rig_credit(r, 1, 2);
    return first;
}

static void loads_that_never_come_are_asked_for_again_and_then_it_is_fatal(void **state) {
    (void)state;
    rig *r = open_rig();
    begin_unanswered(r);
    for (int i = 0; i < 29; i++) {
        rig_do(r, (mr_event){.type = MR_EV_PEER_SEEN, .peer = 1});
        rig_tick(r, 100);
        assert_int_equal(rig_count(r, MR_ACT_STALLED), 0);
    }
    rig_tick(r, 100);
    assert_false(rig_act(r, MR_ACT_STALLED, 0)->fatal);
    assert_non_null(strstr(rig_act(r, MR_ACT_STALLED, 0)->text, "step a has 2 inputs on the way"));
    assert_int_equal(rig_count(r, MR_ACT_LOAD), 2); /* again */
    mr_action load = *rig_act(r, MR_ACT_LOAD, 0);
    for (int i = 0; i < 29; i++) {
        rig_do(r, (mr_event){.type = MR_EV_PEER_SEEN, .peer = 1});
        rig_tick(r, 100);
        assert_int_equal(rig_count(r, MR_ACT_STALLED), 0);
    }
    rig_tick(r, 100);
    assert_true(rig_act(r, MR_ACT_STALLED, 0)->fatal);
    r->blobs++;
    rig_do(r, (mr_event){.type = MR_EV_LOADED, .as.loaded = {.work = load.work, .blob = 5}});
    assert_int_equal(rig_count(r, MR_ACT_SEND_WORK), 1);
    cancel(r, 1);
    close_rig(r);
}

static void an_answer_after_the_alarm_ends_it(void **state) {
    (void)state;
    rig *r = open_rig();
    mr_action late = begin_unanswered(r);
    for (int i = 0; i < 30; i++) {
        rig_do(r, (mr_event){.type = MR_EV_PEER_SEEN, .peer = 1});
        rig_tick(r, 100);
    }
    assert_int_equal(rig_count(r, MR_ACT_STALLED), 1);
    mr_action loads[2] = {*rig_act(r, MR_ACT_LOAD, 0), *rig_act(r, MR_ACT_LOAD, 1)};
    r->blobs++;
    rig_do(r, (mr_event){.type = MR_EV_LOADED,
                         .as.loaded = {.work = late.work, .blob = 4}}); /* nobody's any more */
    assert_int_equal(rig_act(r, MR_ACT_UNLOAD, 0)->handle, 4);
    for (uint32_t i = 0; i < 2; i++) {
        r->blobs++;
        rig_do(r, (mr_event){.type = MR_EV_LOADED, .as.loaded = {.work = loads[i].work, .blob = 5 + i}});
        assert_int_equal(rig_count(r, MR_ACT_SEND_WORK), 1);
    }
    for (int i = 0; i < 100; i++) {
        rig_do(r, (mr_event){.type = MR_EV_PEER_SEEN, .peer = 1});
        rig_tick(r, 100);
        assert_int_equal(rig_count(r, MR_ACT_STALLED), 0); /* all is out: that is no stall */
    }
    cancel(r, 1);
    r->hold_loads = false;
    close_rig(r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_failure_that_cannot_go_away_ends_the_batch_at_once),
        cmocka_unit_test(a_cancelled_attempt_says_nothing_about_its_batch),
        cmocka_unit_test(what_was_given_up_stays_so_after_a_restart),
        cmocka_unit_test(a_reopened_run_tries_only_what_was_replayed),
        cmocka_unit_test(a_paused_run_sends_nothing_new_and_what_is_out_ends),
        cmocka_unit_test(a_paused_component_waits_while_others_go),
        cmocka_unit_test(what_comes_back_to_a_paused_run_waits_too),
        cmocka_unit_test(no_more_are_out_than_the_limit),
        cmocka_unit_test(a_client_has_one_limit_over_all_its_runs),
        cmocka_unit_test(a_limit_is_not_used_up_by_what_cannot_go),
        cmocka_unit_test(a_rate_is_kept_and_a_burst_is_saved_up),
        cmocka_unit_test(rules_that_make_no_sense_are_refused),
        cmocka_unit_test(loads_that_never_come_are_asked_for_again_and_then_it_is_fatal),
        cmocka_unit_test(an_answer_after_the_alarm_ends_it),
        cmocka_unit_test(a_damaged_partial_is_computed_again_and_then_merged),
        cmocka_unit_test(a_run_ends_only_when_what_was_damaged_is_there_again),
        cmocka_unit_test(one_missing_batch_below_a_merge_that_is_done_is_computed_alone),
        cmocka_unit_test(damage_of_a_run_that_was_cancelled_meanwhile_is_nobodys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
