/* The rules of results, failures, runs and restarts, one by one. */
#include "tests/simulation/rig.h"

static const char *const names[] = {"a", "b"};

static rig *open_rig(void) {
    rig *r = calloc(1, sizeof *r);
    mr_core_config config = rig_config();
    config.load_ahead = 0;
    rig_open(r, &config);
    return r;
}

static void close_rig(rig *r) {
    assert_int_equal(r->blobs, 0);
    rig_close(r);
    free(r);
}

/* One worker with credit, one step; the first attempt is out. */
static mr_action begin(rig *r, mr_step_shape shape, uint64_t rows) {
    rig_join(r, 1, names, 1);
    rig_credit(r, 1, 1);
    mr_step_plan s = rig_step("a", shape, rows, 32);
    rig_plan(r, 1, rows, &s, 1);
    rig_do(r, (mr_event){.type = MR_EV_RUN_OPENED, .as.run = 1});
    return *rig_act(r, MR_ACT_SEND_WORK, 0);
}

static mr_verdict ack(rig *r) {
    assert_int_equal(rig_count(r, MR_ACT_ACK), 1);
    return rig_act(r, MR_ACT_ACK, 0)->verdict;
}

static mr_verdict send(rig *r, uint32_t peer, mr_work_key key, uint64_t attempt, mr_status status) {
    rig_do(r, rig_result(peer, key, attempt, status));
    mr_verdict verdict = ack(r);
    assert_int_equal(rig_count(r, MR_ACT_DROP_BODY), 1);
    assert_int_equal(rig_act(r, MR_ACT_DROP_BODY, 0)->handle, attempt + 1000);
    return verdict;
}

static mr_action commit(rig *r, uint32_t peer, mr_work_key key, uint64_t attempt) {
    rig_do(r, rig_result(peer, key, attempt, MR_OK));
    assert_int_equal(rig_count(r, MR_ACT_ACK) + rig_count(r, MR_ACT_DROP_BODY), 0);
    return *rig_act(r, MR_ACT_COMMIT, 0);
}

static void finish_run(rig *r, mr_action sent) {
    mr_action c = commit(r, sent.peer, sent.key, sent.attempt);
    rig_do(r, rig_verdict(&c, MR_COMMITTED));
}

static mr_level_view level(const rig *r, uint32_t k) {
    mr_step_view v;
    assert_true(mr_core_step_at(r->core, 1, 0, &v));
    return v.level[k];
}

/* ---- results ---- */

static void a_result_is_acknowledged_only_after_its_commit(void **state) {
    (void)state;
    rig *r = open_rig();
    mr_action sent = begin(r, MR_STEP_MAP, 32);
    mr_action c = commit(r, 1, sent.key, sent.attempt);
    assert_int_equal(c.handle, sent.attempt + 1000);
    assert_true(c.last);
    rig_do(r, rig_verdict(&c, MR_COMMITTED));
    assert_int_equal(ack(r), MR_COMMITTED);
    assert_int_equal(rig_act(r, MR_ACT_RUN_FINISHED, 0)->state, MR_RUN_SUCCEEDED);
    assert_true(mr_core_idle(r->core));
    close_rig(r);
}

static void a_second_result_of_a_batch_is_stale(void **state) {
    (void)state;
    rig *r = open_rig();
    mr_action sent = begin(r, MR_STEP_MAP, 64);
    finish_run(r, sent);
    assert_int_equal(send(r, 1, sent.key, sent.attempt, MR_OK), MR_STALE);
    close_rig(r);
}

static void a_second_result_while_the_first_is_committed_is_to_come_again(void **state) {
    (void)state;
    rig *r = open_rig();
    mr_action sent = begin(r, MR_STEP_MAP, 64);
    mr_action c = commit(r, 1, sent.key, sent.attempt);
    assert_int_equal(send(r, 1, sent.key, sent.attempt, MR_OK), MR_RETRY);
    rig_do(r, rig_verdict(&c, MR_STALE)); /* another broker was first: done all the same */
    assert_int_equal(ack(r), MR_STALE);
    assert_int_equal(level(r, 0).done, 1);
    close_rig(r);
}

static void an_old_attempt_may_win_and_the_live_one_is_cancelled(void **state) {
    (void)state;
    rig *r = open_rig();
    mr_action old = begin(r, MR_STEP_MAP, 32);
    rig_join(r, 2, names, 1);
    rig_credit(r, 2, 1);
    for (int i = 0; i < 4; i++) {
        rig_tick(r, 1000);
        rig_do(r, (mr_event){.type = MR_EV_PEER_SEEN, .peer = 2});
    }
    rig_tick(r, 1000);
    assert_int_equal(rig_act(r, MR_ACT_WORKER_LOST, 0)->peer, 1);
    mr_action live = *rig_act(r, MR_ACT_SEND_WORK, 0);
    assert_true(live.attempt > old.attempt);
    assert_int_equal(send(r, 1, old.key, old.attempt, MR_OK), MR_RETRY); /* it has no session */
    rig_join(r, 1, names, 1);
    mr_action c = commit(r, 1, old.key, old.attempt);
    assert_int_equal(rig_act(r, MR_ACT_CANCEL_ATTEMPT, 0)->attempt, live.attempt);
    assert_int_equal(rig_act(r, MR_ACT_CANCEL_ATTEMPT, 0)->peer, 2);
    rig_do(r, rig_verdict(&c, MR_COMMITTED));
    assert_int_equal(send(r, 2, live.key, live.attempt, MR_OK), MR_STALE);
    close_rig(r);
}

static void a_result_that_overtakes_a_load_is_committed_and_the_load_given_back(void **state) {
    (void)state;
    rig *r = open_rig();
    r->hold_loads = true;
    rig_join(r, 1, names, 1);
    rig_credit(r, 1, 1);
    mr_step_plan s = rig_step("a", MR_STEP_MAP, 32, 32);
    rig_run(r, 1, 32, &s, 1);
    mr_action load = *rig_act(r, MR_ACT_LOAD, 0);
    mr_action c = commit(r, 1, load.key, 77); /* an attempt from before this core */
    assert_int_not_equal(c.work, load.work);
    rig_do(r, rig_verdict(&c, MR_COMMITTED));
    assert_int_equal(rig_count(r, MR_ACT_RUN_FINISHED), 1);
    mr_core_run_forget(r->core, 1);
    r->blobs++;
    rig_do(r, (mr_event){.type = MR_EV_LOADED, .as.loaded = {.work = load.work, .blob = 5}});
    assert_int_equal(rig_act(r, MR_ACT_UNLOAD, 0)->handle, 5);
    assert_true(mr_core_idle(r->core));
    close_rig(r);
}

static void what_nobody_asked_for_is_refused(void **state) {
    (void)state;
    rig *r = open_rig();
    mr_action sent = begin(r, MR_STEP_MERGE, 640);
    mr_work_key key = sent.key;
    rig_join(r, 2, names + 1, 1);
    assert_int_equal(send(r, 2, key, sent.attempt, MR_OK), MR_REFUSED); /* does not offer it */
    key.run = 9;
    assert_int_equal(send(r, 1, key, sent.attempt, MR_OK), MR_REFUSED);
    key = (mr_work_key){1, 1, 0, 0};
    assert_int_equal(send(r, 1, key, sent.attempt, MR_OK), MR_REFUSED);
    key = (mr_work_key){1, 0, 7, 0};
    assert_int_equal(send(r, 1, key, sent.attempt, MR_OK), MR_REFUSED);
    key = (mr_work_key){1, 0, 0, 20};
    assert_int_equal(send(r, 1, key, sent.attempt, MR_OK), MR_REFUSED);
    key = (mr_work_key){1, 0, 1, 0}; /* its children are not done */
    assert_int_equal(send(r, 1, key, sent.attempt, MR_OK), MR_REFUSED);
    rig_do(r, (mr_event){.type = MR_EV_RUN_CANCEL, .as.run = 1});
    close_rig(r);
}

static void a_result_that_the_database_did_not_take_comes_again(void **state) {
    (void)state;
    rig *r = open_rig();
    mr_action sent = begin(r, MR_STEP_MAP, 32);
    mr_action c = commit(r, 1, sent.key, sent.attempt);
    rig_do(r, rig_verdict(&c, MR_RETRY));
    assert_int_equal(ack(r), MR_RETRY);
    assert_int_equal(level(r, 0).done, 0);
    c = commit(r, 1, sent.key, sent.attempt);
    rig_do(r, rig_verdict(&c, MR_REFUSED)); /* fenced: another broker will take it */
    assert_int_equal(ack(r), MR_RETRY);
    c = commit(r, 1, sent.key, sent.attempt);
    rig_do(r, rig_verdict(&c, MR_COMMITTED));
    assert_int_equal(rig_count(r, MR_ACT_RUN_FINISHED), 1);
    close_rig(r);
}

static void a_result_that_the_database_refuses_for_good_ends_its_batch(void **state) {
    (void)state;
    rig *r = open_rig();
    mr_action sent = begin(r, MR_STEP_MAP, 32);
    mr_action c = commit(r, 1, sent.key, sent.attempt);
    mr_event verdict = rig_verdict(&c, MR_REFUSED);
    verdict.as.committed.status = MR_E_INVALID;
    verdict.as.committed.text = "the database refuses the result";
    rig_do(r, verdict);
    assert_int_equal(ack(r), MR_REFUSED);
    const mr_action *failure = rig_act(r, MR_ACT_RECORD_FAILURE, 0);
    assert_true(failure->dead);
    assert_int_equal(failure->peer, 1);
    assert_int_equal(failure->attempt, sent.attempt);
    assert_string_equal(failure->text, "the database refuses the result");
    assert_int_equal(rig_act(r, MR_ACT_RUN_FINISHED, 0)->state, MR_RUN_FAILED);
    close_rig(r);
}

static void a_forgotten_run_is_stale(void **state) {
    (void)state;
    rig *r = open_rig();
    mr_action sent = begin(r, MR_STEP_MAP, 32);
    finish_run(r, sent);
    assert_int_equal(send(r, 1, sent.key, sent.attempt, MR_OK), MR_STALE);
    mr_core_run_forget(r->core, 1);
    mr_run_view view;
    assert_false(mr_core_run_find(r->core, 1, &view));
    assert_int_equal(send(r, 1, sent.key, sent.attempt, MR_OK), MR_STALE);
    close_rig(r);
}

/* ---- failures ---- */

/* Fails the live attempt and waits for the next one. */
static mr_action fail_once(rig *r, mr_action sent, mr_status status) {
    assert_int_equal(send(r, 1, sent.key, sent.attempt, status), MR_COMMITTED);
    assert_int_equal(rig_act(r, MR_ACT_RECORD_FAILURE, 0)->status, status);
    assert_false(rig_act(r, MR_ACT_RECORD_FAILURE, 0)->dead);
    rig_credit(r, 1, 1);
    assert_int_equal(rig_count(r, MR_ACT_SEND_WORK), 0); /* it waits */
    for (int i = 0; i < 20; i++) {
        rig_tick(r, 50);
        if (rig_count(r, MR_ACT_SEND_WORK)) return *rig_act(r, MR_ACT_SEND_WORK, 0);
    }
    fail_msg("it was not tried again within a second");
    return sent;
}

static void errors_crashes_and_timeouts_have_budgets_apart(void **state) {
    (void)state;
    rig *r = open_rig(); /* 3 errors, 2 crashes, 2 timeouts */
    mr_action sent = begin(r, MR_STEP_MAP, 32);
    sent = fail_once(r, sent, MR_E_IO);
    sent = fail_once(r, sent, MR_E_CRASHED);
    sent = fail_once(r, sent, MR_E_DEADLINE);
    sent = fail_once(r, sent, MR_E_IO);
    assert_int_equal(send(r, 1, sent.key, sent.attempt, MR_E_MEMORY), MR_COMMITTED);
    assert_true(rig_act(r, MR_ACT_RECORD_FAILURE, 0)->dead);
    mr_action *end = rig_act(r, MR_ACT_RUN_FINISHED, 0);
    assert_int_equal(end->state, MR_RUN_FAILED);
    assert_int_equal(end->status, MR_E_MEMORY);
    assert_string_equal(end->text, "1 of 1 batches of a failed; the first: it went wrong");
    close_rig(r);
}

static void lost_and_released_attempts_cost_no_budget(void **state) {
    (void)state;
    rig *r = open_rig();
    mr_action sent = begin(r, MR_STEP_MAP, 32);
    for (int i = 0; i < 10; i++) {
        rig_credit(r, 1, 1);
        rig_do(r, (mr_event){.type = MR_EV_RELEASE, .peer = 1, .as.attempt = sent.attempt});
        assert_int_equal(rig_count(r, MR_ACT_RECORD_FAILURE), 0);
        sent = *rig_act(r, MR_ACT_SEND_WORK, 0);
        rig_join(r, 1, names, 1); /* a new session: what the old one had is free */
        rig_credit(r, 1, 1);
        sent = *rig_act(r, MR_ACT_SEND_WORK, 0);
    }
    finish_run(r, sent);
    assert_int_equal(rig_act(r, MR_ACT_RUN_FINISHED, 0)->state, MR_RUN_SUCCEEDED);
    close_rig(r);
}

static void a_failure_of_an_old_attempt_is_stale(void **state) {
    (void)state;
    rig *r = open_rig();
    mr_action old = begin(r, MR_STEP_MAP, 32);
    rig_join(r, 1, names, 1);
    rig_credit(r, 1, 1);
    mr_action sent = *rig_act(r, MR_ACT_SEND_WORK, 0);
    assert_int_equal(send(r, 1, old.key, old.attempt, MR_E_CRASHED), MR_STALE);
    assert_int_equal(rig_count(r, MR_ACT_RECORD_FAILURE), 0);
    finish_run(r, sent);
    close_rig(r);
}

static void an_attempt_that_is_out_for_too_long_counts_as_a_crash(void **state) {
    (void)state;
    rig *r = open_rig();
    mr_action sent = begin(r, MR_STEP_MAP, 32);
    for (int i = 0; i < 65; i++) {
        rig_do(r, (mr_event){.type = MR_EV_PEER_SEEN, .peer = 1});
        rig_tick(r, 1000);
        assert_int_equal(rig_count(r, MR_ACT_CANCEL_ATTEMPT), 0);
    }
    rig_tick(r, 1);
    assert_int_equal(rig_act(r, MR_ACT_CANCEL_ATTEMPT, 0)->attempt, sent.attempt);
    assert_int_equal(rig_act(r, MR_ACT_RECORD_FAILURE, 0)->status, MR_E_DEADLINE);
    assert_int_equal(r->blobs, 0);
    rig_do(r, (mr_event){.type = MR_EV_RUN_CANCEL, .as.run = 1});
    close_rig(r);
}

static void silence_of_the_broker_itself_loses_no_worker(void **state) {
    (void)state;
    rig *r = open_rig();
    mr_action sent = begin(r, MR_STEP_MAP, 32);
    rig_tick(r, 3600 * 1000);
    assert_int_equal(rig_count(r, MR_ACT_WORKER_LOST), 0);
    (void)sent;
    rig_tick(r, 2000);
    rig_tick(r, 2000);
    rig_tick(r, 1000);
    assert_int_equal(rig_count(r, MR_ACT_WORKER_LOST), 1);
    close_rig(r);
}

static mr_action load_failed(rig *r, mr_status status) {
    mr_action load = *rig_act(r, MR_ACT_LOAD, 0);
    rig_do(r, (mr_event){.type = MR_EV_LOAD_FAILED,
                         .as.loaded = {.work = load.work, .status = status, .text = "x"}});
    return load;
}

static void loads_fail_for_a_while_or_for_good(void **state) {
    (void)state;
    rig *r = open_rig();
    r->hold_loads = true;
    rig_join(r, 1, names, 1);
    rig_credit(r, 1, 1);
    mr_step_plan s = rig_step("a", MR_STEP_MAP, 32, 32);
    rig_run(r, 1, 32, &s, 1);
    for (int i = 0; i < 12; i++) {
        load_failed(r, i % 4 == 3 ? MR_E_CORRUPT : MR_E_UNAVAILABLE);
        assert_int_equal(rig_count(r, MR_ACT_RECORD_FAILURE), i % 4 == 3);
        if (i == 11) break;
        for (int k = 0; k < 40 && !rig_count(r, MR_ACT_LOAD); k++) {
            rig_do(r, (mr_event){.type = MR_EV_PEER_SEEN, .peer = 1});
            rig_tick(r, 50);
        }
    }
    assert_true(rig_act(r, MR_ACT_RECORD_FAILURE, 0)->dead);
    assert_int_equal(rig_act(r, MR_ACT_RUN_FINISHED, 0)->status, MR_E_CORRUPT);
    close_rig(r);
}

/* A database that is away for long must not be waited for longer once it is back. */
static void however_often_a_load_failed_it_is_tried_again_within_a_second(void **state) {
    (void)state;
    rig *r = calloc(1, sizeof *r);
    mr_core_config config = rig_config();
    config.retry_base_ms = 200;
    config.retry_max_ms = 30000;
    rig_open(r, &config);
    r->hold_loads = true;
    rig_join(r, 1, names, 1);
    rig_credit(r, 1, 1);
    mr_step_plan s = rig_step("a", MR_STEP_MAP, 32, 32);
    rig_run(r, 1, 32, &s, 1);
    for (int i = 0; i < 40; i++) {
        int ticks = 0;
        load_failed(r, MR_E_UNAVAILABLE);
        for (; ticks < 22 && !rig_count(r, MR_ACT_LOAD); ticks++) {
            rig_do(r, (mr_event){.type = MR_EV_PEER_SEEN, .peer = 1});
            rig_tick(r, 50);
        }
        assert_true(ticks < 22);
    }
    close_rig(r);
}

static void a_dead_batch_ends_a_merge_at_once_and_a_map_goes_on(void **state) {
    (void)state;
    rig *r = calloc(1, sizeof *r);
    mr_core_config config = rig_config();
    config.max_errors = 1;
    rig_open(r, &config);
    rig_join(r, 1, names, 2);
    mr_step_plan steps[] = {rig_step("a", MR_STEP_MAP, 96, 32), rig_step("b", MR_STEP_MERGE, 96, 32)};
    rig_run(r, 1, 96, steps, 2);
    rig_credit(r, 1, 10);
    assert_int_equal(rig_count(r, MR_ACT_SEND_WORK), 6);
    mr_action sent[2][3];
    for (size_t i = 0; i < 6; i++) {
        mr_action *a = rig_act(r, MR_ACT_SEND_WORK, i);
        sent[a->key.step][a->key.index] = *a;
    }
    assert_int_equal(send(r, 1, sent[1][0].key, sent[1][0].attempt, MR_E_INVALID), MR_COMMITTED);
    assert_int_equal(rig_count(r, MR_ACT_CANCEL_ATTEMPT), 2);
    assert_int_equal(rig_act(r, MR_ACT_STEP_FINISHED, 0)->state, MR_RUN_FAILED);
    assert_int_equal(send(r, 1, sent[1][1].key, sent[1][1].attempt, MR_OK), MR_STALE);
    assert_int_equal(send(r, 1, sent[0][0].key, sent[0][0].attempt, MR_E_INVALID), MR_COMMITTED);
    assert_int_equal(rig_count(r, MR_ACT_STEP_FINISHED), 0);
    finish_run(r, sent[0][1]);
    assert_int_equal(rig_count(r, MR_ACT_RUN_FINISHED), 0);
    finish_run(r, sent[0][2]);
    mr_action *end = rig_act(r, MR_ACT_RUN_FINISHED, 0);
    assert_int_equal(end->state, MR_RUN_FAILED);
    assert_string_equal(end->text,
                        "2 of 2 steps failed: 1 of 3 batches of a failed; the first: it went wrong");
    close_rig(r);
}

/* ---- runs ---- */

static void cancel_takes_everything_back_and_waits_for_the_ledger(void **state) {
    (void)state;
    rig *r = open_rig();
    mr_action first = begin(r, MR_STEP_MAP, 96);
    rig_credit(r, 1, 1);
    mr_action second = *rig_act(r, MR_ACT_SEND_WORK, 0);
    mr_action c = commit(r, 1, first.key, first.attempt);
    rig_do(r, (mr_event){.type = MR_EV_RUN_CANCEL, .as.run = 1});
    assert_int_equal(rig_act(r, MR_ACT_CANCEL_ATTEMPT, 0)->attempt, second.attempt);
    assert_int_equal(rig_count(r, MR_ACT_RUN_FINISHED), 0);
    assert_int_equal(send(r, 1, second.key, second.attempt, MR_OK), MR_STALE);
    rig_do(r, rig_verdict(&c, MR_COMMITTED));
    assert_int_equal(ack(r), MR_COMMITTED);
    assert_int_equal(rig_act(r, MR_ACT_RUN_FINISHED, 0)->state, MR_RUN_CANCELLED);
    assert_true(mr_core_idle(r->core));
    close_rig(r);
}

static void tell_done(rig *r, uint32_t k, uint32_t index) {
    rig_do(r, (mr_event){.type = MR_EV_DONE_BEFORE, .as.key = {1, 0, k, index}});
}

static void a_restart_goes_on_where_the_table_is(void **state) {
    (void)state;
    rig *r = open_rig();
    rig_join(r, 1, names, 1);
    rig_credit(r, 1, 10);
    mr_step_plan s = rig_step("a", MR_STEP_MERGE, 40 * 32, 32); /* 40 batches, 2 merges, 1 top */
    rig_plan(r, 1, 40 * 32, &s, 1);
    for (uint32_t i = 0; i < 39; i++) tell_done(r, 0, i);
    assert_int_equal(rig_count(r, MR_ACT_LOAD), 0);
    assert_int_equal(send(r, 1, (mr_work_key){1, 0, 0, 39}, 8, MR_OK), MR_RETRY); /* not all is told yet */
    rig_do(r, (mr_event){.type = MR_EV_RUN_OPENED, .as.run = 1});
    assert_int_equal(rig_count(r, MR_ACT_SEND_WORK), 2); /* merge 0 and batch 39 */
    assert_int_equal(rig_act(r, MR_ACT_SEND_WORK, 0)->key.level, 1);
    assert_int_equal(rig_act(r, MR_ACT_SEND_WORK, 1)->key.index, 39);
    assert_int_equal(level(r, 0).done, 39);
    assert_int_equal(level(r, 0).in_hand, 1);
    rig_do(r, (mr_event){.type = MR_EV_RUN_CANCEL, .as.run = 1});
    close_rig(r);
}

static void a_run_that_was_done_before_ends_when_it_is_opened(void **state) {
    (void)state;
    rig *r = open_rig();
    mr_step_plan s = rig_step("a", MR_STEP_MERGE, 64, 32);
    rig_plan(r, 1, 64, &s, 1);
    for (uint32_t i = 0; i < 2; i++) tell_done(r, 0, i);
    tell_done(r, 1, 0);
    assert_int_equal(rig_count(r, MR_ACT_RUN_FINISHED), 0);
    rig_do(r, (mr_event){.type = MR_EV_RUN_OPENED, .as.run = 1});
    assert_int_equal(rig_act(r, MR_ACT_RUN_FINISHED, 0)->state, MR_RUN_SUCCEEDED);
    close_rig(r);
}

static void wrong_events_are_refused_and_late_ones_pass(void **state) {
    (void)state;
    rig *r = open_rig();
    mr_step_plan s = rig_step("a", MR_STEP_MAP, 64, 32);
    rig_plan(r, 1, 64, &s, 1);
    mr_run_plan again = {.run = 1, .rows = 64, .steps = 1, .step = &s};
    assert_int_equal(rig_try(r, &(mr_event){.type = MR_EV_RUN_PLANNED, .as.plan = &again}), MR_E_EXISTS);
    again.run = 2;
    again.rows = 65; /* three batches, but the step says two */
    assert_int_equal(rig_try(r, &(mr_event){.type = MR_EV_RUN_PLANNED, .as.plan = &again}), MR_E_INVALID);
    assert_int_equal(rig_try(r, &(mr_event){.type = MR_EV_RUN_OPENED, .as.run = 3}), MR_E_INVALID);
    assert_int_equal(rig_try(r, &(mr_event){.type = MR_EV_DONE_BEFORE, .as.key = {1, 0, 0, 2}}),
                     MR_E_INVALID);
    assert_int_equal(rig_try(r, &(mr_event){.type = MR_EV_LOADED, .as.loaded = {.work = 4}}), MR_E_INVALID);
    mr_action none = {.key = {1, 0, 0, 0}, .attempt = 4};
    mr_event verdict = rig_verdict(&none, MR_COMMITTED);
    assert_int_equal(rig_try(r, &verdict), MR_E_INVALID);
    rig_credit(r, 8, 3);
    rig_do(r, (mr_event){.type = MR_EV_RELEASE, .peer = 8, .as.attempt = 3});
    rig_do(r, (mr_event){.type = MR_EV_PEER_GONE, .peer = 8});
    close_rig(r);
}

static void a_worker_can_be_looked_at(void **state) {
    (void)state;
    rig *r = open_rig();
    mr_action sent = begin(r, MR_STEP_MAP, 64);
    rig_credit(r, 1, 3);
    mr_worker_view v;
    assert_true(mr_core_worker_at(r->core, 0, &v));
    assert_false(mr_core_worker_at(r->core, 1, &v));
    assert_int_equal(v.sent, 2);
    assert_int_equal(v.credit, 2);
    assert_string_equal(v.offer[0].name, "a");
    finish_run(r, sent);
    assert_true(mr_core_worker_at(r->core, 0, &v));
    assert_int_equal(v.done, 1);
    rig_do(r, (mr_event){.type = MR_EV_RUN_CANCEL, .as.run = 1});
    close_rig(r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_result_is_acknowledged_only_after_its_commit),
        cmocka_unit_test(a_second_result_of_a_batch_is_stale),
        cmocka_unit_test(a_second_result_while_the_first_is_committed_is_to_come_again),
        cmocka_unit_test(an_old_attempt_may_win_and_the_live_one_is_cancelled),
        cmocka_unit_test(a_result_that_overtakes_a_load_is_committed_and_the_load_given_back),
        cmocka_unit_test(what_nobody_asked_for_is_refused),
        cmocka_unit_test(a_result_that_the_database_did_not_take_comes_again),
        cmocka_unit_test(a_result_that_the_database_refuses_for_good_ends_its_batch),
        cmocka_unit_test(a_forgotten_run_is_stale),
        cmocka_unit_test(errors_crashes_and_timeouts_have_budgets_apart),
        cmocka_unit_test(lost_and_released_attempts_cost_no_budget),
        cmocka_unit_test(a_failure_of_an_old_attempt_is_stale),
        cmocka_unit_test(an_attempt_that_is_out_for_too_long_counts_as_a_crash),
        cmocka_unit_test(silence_of_the_broker_itself_loses_no_worker),
        cmocka_unit_test(loads_fail_for_a_while_or_for_good),
        cmocka_unit_test(however_often_a_load_failed_it_is_tried_again_within_a_second),
        cmocka_unit_test(a_dead_batch_ends_a_merge_at_once_and_a_map_goes_on),
        cmocka_unit_test(cancel_takes_everything_back_and_waits_for_the_ledger),
        cmocka_unit_test(a_restart_goes_on_where_the_table_is),
        cmocka_unit_test(a_run_that_was_done_before_ends_when_it_is_opened),
        cmocka_unit_test(wrong_events_are_refused_and_late_ones_pass),
        cmocka_unit_test(a_worker_can_be_looked_at),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
