/* Streams in the core: runs that grow, end only when they are closed, and whose numbers belong to one task for ever. */
#include "broker/core/bits.h"
#include "tests/simulation/rig.h"

static const char *const names[] = {"a"};

static void plan(rig *r, uint64_t run, uint64_t tasks, bool open) {
    mr_step_plan s = {.component = "a", .version = 1, .shape = MR_STEP_MAP, .deadline_ms = 60000};
    assert_int_equal(mr_plan_stream(tasks, &s, NULL), MR_OK);
    mr_run_plan p = {.run = run, .rows = tasks, .steps = 1, .step = &s, .stream = true, .open = open};
    rig_do(r, (mr_event){.type = MR_EV_RUN_PLANNED, .as.plan = &p});
}

static void grow(rig *r, uint32_t tasks) {
    rig_do(r, (mr_event){.type = MR_EV_RUN_GROWN, .as.grown = {.run = 1, .tasks = tasks}});
}

static void close_stream(rig *r) { rig_do(r, (mr_event){.type = MR_EV_RUN_CLOSED, .as.run = 1}); }

/* An open stream with a worker that has credit. */
static rig *open_stream(uint64_t tasks, uint32_t credit) {
    rig *r = calloc(1, sizeof *r);
    mr_core_config config = rig_config();
    config.load_ahead = 0;
    config.first_attempt = 100;
    rig_open(r, &config);
    plan(r, 1, tasks, true);
    rig_do(r, (mr_event){.type = MR_EV_RUN_OPENED, .as.run = 1});
    rig_join(r, 1, names, 1);
    rig_credit(r, 1, credit);
    return r;
}

static void close_rig(rig *r) {
    assert_int_equal(r->blobs, 0);
    rig_close(r);
    free(r);
}

/* Commits what was sent by the last event, all of it. */
static void finish_sent(rig *r) {
    mr_action sent[64];
    size_t n = 0;
    for (size_t i = 0; i < r->count; i++)
        if (r->act[i].type == MR_ACT_SEND_WORK) sent[n++] = r->act[i];
    for (size_t i = 0; i < n; i++) {
        rig_do(r, rig_result(1, sent[i].key, sent[i].attempt, MR_OK));
        mr_action c = *rig_act(r, MR_ACT_COMMIT, 0);
        rig_do(r, rig_verdict(&c, MR_COMMITTED));
        rig_act(r, MR_ACT_ACK, 0);
    }
}

static void tasks_go_out_as_they_come_and_the_stream_ends_when_it_is_closed(void **state) {
    (void)state;
    rig *r = open_stream(0, 10);
    mr_step_view v;
    for (uint32_t i = 0; i < 3; i++) {
        grow(r, 2);
        assert_int_equal(rig_count(r, MR_ACT_SEND_WORK), 2);
        assert_int_equal(rig_act(r, MR_ACT_SEND_WORK, 0)->key.index, 2 * i);
        assert_int_equal(rig_act(r, MR_ACT_SEND_WORK, 1)->key.index, 2 * i + 1);
        finish_sent(r);
        assert_int_equal(rig_count(r, MR_ACT_RUN_FINISHED), 0);
    }
    assert_true(mr_core_step_at(r->core, 1, 0, &v));
    assert_int_equal(v.level[0].count, 6);
    assert_int_equal(v.level[0].done, 6);
    close_stream(r);
    assert_int_equal(rig_act(r, MR_ACT_RUN_FINISHED, 0)->state, MR_RUN_SUCCEEDED);
    mr_core_run_forget(r->core, 1);
    close_rig(r);
}

static void a_closed_stream_ends_with_its_last_task(void **state) {
    (void)state;
    rig *r = open_stream(0, 10);
    mr_event more = {.type = MR_EV_RUN_GROWN, .as.grown = {.run = 1, .tasks = 1}};
    grow(r, 1);
    mr_action sent = *rig_act(r, MR_ACT_SEND_WORK, 0);
    close_stream(r);
    assert_int_equal(rig_count(r, MR_ACT_RUN_FINISHED), 0);
    assert_int_equal(rig_try(r, &more), MR_E_INVALID);
    rig_do(r, rig_result(1, sent.key, sent.attempt, MR_E_INVALID)); /* comes out the same each time */
    assert_true(rig_act(r, MR_ACT_RECORD_FAILURE, 0)->dead);
    assert_int_equal(rig_act(r, MR_ACT_RUN_FINISHED, 0)->state, MR_RUN_FAILED);
    close_rig(r);
}

static void an_empty_stream_that_is_closed_has_succeeded(void **state) {
    (void)state;
    rig *r = open_stream(0, 1);
    close_stream(r);
    assert_int_equal(rig_act(r, MR_ACT_RUN_FINISHED, 0)->state, MR_RUN_SUCCEEDED);
    close_rig(r);
}

static void a_cancelled_stream_ends_at_once_and_grows_no_work(void **state) {
    (void)state;
    rig *r = open_stream(0, 1);
    grow(r, 5);
    rig_do(r, (mr_event){.type = MR_EV_RUN_CANCEL, .as.run = 1});
    assert_int_equal(rig_act(r, MR_ACT_RUN_FINISHED, 0)->state, MR_RUN_CANCELLED);
    grow(r, 5); /* it was on its way */
    assert_int_equal(rig_count(r, MR_ACT_LOAD), 0);
    close_rig(r);
}

/* Tasks that were never stored leave their numbers to others: what was found for them must not pass for those. */
static void an_attempt_from_before_is_no_result_of_a_task_that_came_since(void **state) {
    (void)state;
    rig *r = open_stream(2, 0);
    rig_do(r, (mr_event){.type = MR_EV_RUN_GROWN, .as.grown = {.run = 1, .tasks = 2}});
    mr_work_key old = {.run = 1, .index = 1}, fresh = {.run = 1, .index = 2};
    rig_do(r, rig_result(1, fresh, 7, MR_OK));
    assert_int_equal(rig_act(r, MR_ACT_ACK, 0)->verdict, MR_STALE);
    rig_do(r, rig_result(1, fresh, 1000, MR_OK)); /* of another broker that came later */
    assert_int_equal(rig_act(r, MR_ACT_ACK, 0)->verdict, MR_STALE);
    rig_do(r, rig_result(1, old, 7, MR_OK)); /* that task is stored now, and perhaps was not when the attempt was made */
    assert_int_equal(rig_act(r, MR_ACT_ACK, 0)->verdict, MR_STALE);
    rig_credit(r, 1, 4);
    assert_int_equal(rig_count(r, MR_ACT_SEND_WORK), 4);
    finish_sent(r);
    close_stream(r);
    assert_int_equal(rig_count(r, MR_ACT_RUN_FINISHED), 1);
    close_rig(r);
}

static void what_was_done_before_a_restart_is_not_done_again(void **state) {
    (void)state;
    rig *r = calloc(1, sizeof *r);
    mr_core_config config = rig_config();
    rig_open(r, &config);
    plan(r, 1, 5, true);
    for (uint32_t i = 1; i < 4; i++)
        rig_do(r, (mr_event){.type = MR_EV_DONE_BEFORE, .as.key = {.run = 1, .index = i}});
    rig_do(r, (mr_event){.type = MR_EV_RUN_OPENED, .as.run = 1});
    rig_join(r, 1, names, 1);
    rig_credit(r, 1, 9);
    assert_int_equal(rig_count(r, MR_ACT_SEND_WORK), 2);
    assert_int_equal(rig_act(r, MR_ACT_SEND_WORK, 0)->key.index, 0);
    assert_int_equal(rig_act(r, MR_ACT_SEND_WORK, 1)->key.index, 4);
    finish_sent(r);
    close_rig(r);
}

static void a_stream_that_was_idle_has_not_saved_up_its_turns(void **state) {
    (void)state;
    rig *r = calloc(1, sizeof *r);
    mr_core_config config = rig_config();
    config.age_ms = 1;
    config.load_ahead = 0;
    config.lost_after_ms = 1000000;
    rig_open(r, &config);
    plan(r, 1, 0, true);
    rig_do(r, (mr_event){.type = MR_EV_RUN_OPENED, .as.run = 1});
    rig_join(r, 1, names, 1);
    mr_step_plan s = rig_step("a", MR_STEP_MAP, 32, 1);
    mr_run_plan p = {.run = 2, .rows = 32, .steps = 1, .step = &s, .priority = 200};
    rig_tick(r, 100000);
    rig_do(r, (mr_event){.type = MR_EV_RUN_PLANNED, .as.plan = &p});
    rig_do(r, (mr_event){.type = MR_EV_RUN_OPENED, .as.run = 2});
    grow(r, 1);
    rig_credit(r, 1, 1);
    assert_int_equal(rig_act(r, MR_ACT_SEND_WORK, 0)->key.run, 2); /* which has the higher priority */
    finish_sent(r);
    close_rig(r);
}

static void a_stream_cannot_merge(void **state) {
    (void)state;
    mr_error err;
    mr_step_plan s = {.component = "a", .shape = MR_STEP_MERGE};
    assert_int_equal(mr_plan_stream(0, &s, &err), MR_E_INVALID);
    s.shape = MR_STEP_MAP;
    assert_int_equal(mr_plan_stream((UINT64_C(1) << 31) + 1, &s, &err), MR_E_LIMIT);
}

/* Against a plain array, across the borders of words and levels. */
static void a_set_grows_with_what_is_in_it(void **state) {
    (void)state;
    enum { STEPS = 300, MOST = STEPS * 97 };
    for (int full = 0; full < 2; full++) {
        mr_bits b;
        bool *plain = calloc(MOST, sizeof *plain);
        uint32_t size = 0;
        assert_int_equal(mr_bits_init(&b, NULL, 0, full), MR_OK);
        for (uint32_t n = 1; n < STEPS; n++) {
            uint32_t more = n * 7919 % 97;
            assert_int_equal(mr_bits_reserve(&b, NULL, size + more), MR_OK);
            mr_bits_extend(&b, size + more, full);
            for (uint32_t i = 0; i < more; i++) plain[size + i] = full;
            size += more;
            for (uint32_t k = 0; size && k < 20; k++) {
                uint32_t i = (n * 31 + k * 7907) % size;
                if (k % 2) mr_bits_add(&b, i);
                else mr_bits_remove(&b, i);
                plain[i] = k % 2;
            }
            uint32_t first = 0, count = 0;
            for (uint32_t i = size; i-- > 0;) {
                assert_int_equal(mr_bits_has(&b, i), plain[i]);
                count += plain[i];
                if (plain[i]) first = i;
            }
            assert_int_equal(b.count, count);
            if (count) assert_int_equal(mr_bits_first(&b), first);
        }
        while (b.count) mr_bits_remove(&b, mr_bits_first(&b));
        mr_bits_free(&b, NULL);
        free(plain);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tasks_go_out_as_they_come_and_the_stream_ends_when_it_is_closed),
        cmocka_unit_test(a_closed_stream_ends_with_its_last_task),
        cmocka_unit_test(an_empty_stream_that_is_closed_has_succeeded),
        cmocka_unit_test(a_cancelled_stream_ends_at_once_and_grows_no_work),
        cmocka_unit_test(an_attempt_from_before_is_no_result_of_a_task_that_came_since),
        cmocka_unit_test(what_was_done_before_a_restart_is_not_done_again),
        cmocka_unit_test(a_stream_that_was_idle_has_not_saved_up_its_turns),
        cmocka_unit_test(a_stream_cannot_merge),
        cmocka_unit_test(a_set_grows_with_what_is_in_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
