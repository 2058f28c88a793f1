/* Who gets which work, and when. */
#include "tests/simulation/rig.h"

static const char *const both[] = {"a", "b"};

static rig *open_rig_of_turns(uint32_t load_ahead, uint32_t turn) {
    rig *r = calloc(1, sizeof *r);
    mr_core_config config = rig_config();
    config.load_ahead = load_ahead;
    config.max_loads = 1000;
    config.turn = turn;
    rig_open(r, &config);
    return r;
}

static rig *open_rig(uint32_t load_ahead) { return open_rig_of_turns(load_ahead, 0); }

static void close_rig(rig *r) {
    rig_close(r);
    free(r);
}

static mr_core_stats stats(const rig *r) {
    mr_core_stats s;
    mr_core_stats_get(r->core, &s);
    return s;
}

static void nothing_is_sent_without_credit_and_never_more_than_credit(void **state) {
    (void)state;
    rig *r = open_rig(2);
    rig_join(r, 1, both, 1);
    mr_step_plan s = rig_step("a", MR_STEP_MAP, 320, 32);
    rig_run(r, 1, 320, &s, 1);
    assert_int_equal(rig_count(r, MR_ACT_SEND_WORK), 0);
    assert_int_equal(stats(r).ready, 2); /* loaded ahead */
    rig_credit(r, 1, 3);
    assert_int_equal(rig_count(r, MR_ACT_SEND_WORK), 3);
    rig_tick(r, 100);
    assert_int_equal(rig_count(r, MR_ACT_SEND_WORK), 0);
    assert_int_equal(stats(r).ready, 2);
    close_rig(r);
}

static void a_step_is_told_once_before_its_first_work(void **state) {
    (void)state;
    rig *r = open_rig(2);
    rig_join(r, 1, both, 1);
    mr_step_plan s = rig_step("a", MR_STEP_MAP, 320, 32);
    rig_run(r, 1, 320, &s, 1);
    rig_credit(r, 1, 2);
    assert_int_equal(rig_count(r, MR_ACT_SEND_STEP), 1);
    assert_true(rig_act(r, MR_ACT_SEND_STEP, 0) < rig_act(r, MR_ACT_SEND_WORK, 0));
    rig_credit(r, 1, 2);
    assert_int_equal(rig_count(r, MR_ACT_SEND_STEP), 0);
    rig_join(r, 1, both, 1); /* a new session knows nothing */
    rig_credit(r, 1, 1);
    assert_int_equal(rig_count(r, MR_ACT_SEND_STEP), 1);
    close_rig(r);
}

static void only_the_same_name_and_version_is_sent(void **state) {
    (void)state;
    rig *r = open_rig(2);
    mr_step_plan steps[] = {rig_step("a", MR_STEP_MAP, 64, 32), rig_step("b", MR_STEP_MAP, 64, 32)};
    steps[0].version = 2;
    rig_run(r, 1, 64, steps, 2);
    rig_join(r, 1, both, 1); /* a of version 1 */
    rig_credit(r, 1, 10);
    assert_int_equal(stats(r).loading + stats(r).ready + stats(r).sent, 0);
    rig_join(r, 2, both, 2);
    rig_credit(r, 2, 10);
    assert_int_equal(rig_count(r, MR_ACT_SEND_WORK), 2);
    assert_int_equal(rig_act(r, MR_ACT_SEND_WORK, 0)->key.step, 1);
    close_rig(r);
}

/* A step of 100,000 batches and one of 20: with one credit at a time they take turns until the small one is
 * done. */
static void a_large_step_does_not_hold_up_a_small_one(void **state) {
    (void)state;
    rig *r = open_rig(2);
    rig_join(r, 1, both, 2);
    mr_step_plan large = rig_step("a", MR_STEP_MAP, 100000, 1), small = rig_step("b", MR_STEP_MAP, 20, 1);
    rig_run(r, 1, 100000, &large, 1);
    for (int i = 0; i < 50; i++) rig_credit(r, 1, 1);
    rig_run(r, 2, 20, &small, 1);
    uint32_t of_small = 0;
    for (int i = 0; i < 44; i++) {
        rig_credit(r, 1, 1);
        assert_int_equal(rig_count(r, MR_ACT_SEND_WORK), 1);
        of_small += rig_act(r, MR_ACT_SEND_WORK, 0)->key.run == 2;
    }
    assert_int_equal(of_small, 20);
    close_rig(r);
}

/* Two steps that are both quick: what goes in a turn goes together, and both get the same. */
static void a_turn_may_have_several_batches(void **state) {
    (void)state;
    rig *r = open_rig_of_turns(8, 4);
    mr_step_plan a = rig_step("a", MR_STEP_MAP, 1000, 1), b = rig_step("b", MR_STEP_MAP, 1000, 1);
    rig_run(r, 1, 1000, &a, 1);
    rig_run(r, 2, 1000, &b, 1);
    rig_join(r, 1, both, 2);
    rig_credit(r, 1, 16);
    assert_int_equal(rig_count(r, MR_ACT_SEND_WORK), 16);
    uint32_t turns = 1, of_a = 0;
    for (size_t i = 0; i < 16; i++) {
        uint64_t run = rig_act(r, MR_ACT_SEND_WORK, i)->key.run;
        of_a += run == 1;
        turns += i && run != rig_act(r, MR_ACT_SEND_WORK, i - 1)->key.run;
    }
    assert_int_equal(of_a, 8);
    assert_int_equal(turns, 4);
    close_rig(r);
}

/* Both workers get credit before anything is sent; how many of the works at the head go to the same one. */
static size_t first_piece(rig *r, uint32_t credit) {
    for (uint32_t peer = 1; peer <= 2; peer++) {
        mr_event e = {.type = MR_EV_CREDIT, .peer = peer, .as.credit = credit};
        assert_int_equal(mr_core_take(r->core, r->now, &e, NULL), MR_OK);
    }
    r->count = 0;
    mr_core_hand_out(r->core);
    rig_collect(r);
    size_t n = 1;
    while (rig_act(r, MR_ACT_SEND_WORK, n)->peer == rig_act(r, MR_ACT_SEND_WORK, 0)->peer) n++;
    return n;
}

/* Inputs of eight are ready. Workers who have nothing share them; those who are busy get a turn in one piece, one after the
 * other. */
static void ready_work_is_dealt_out_evenly_but_not_in_small_pieces_to_the_busy(void **state) {
    (void)state;
    rig *r = open_rig_of_turns(8, 8);
    rig_join(r, 1, both, 1);
    rig_join(r, 2, both, 1);
    mr_step_plan a = rig_step("a", MR_STEP_MAP, 1000, 1);
    rig_run(r, 1, 1000, &a, 1);
    assert_int_equal(first_piece(r, 8), 4);
    rig_credit(r, 1, 8);
    rig_credit(r, 2, 8);
    assert_int_equal(first_piece(r, 8), 8);
    close_rig(r);
}

enum { WORKERS = 4, READY = 16 };

/* Idle workers, each with credit; all that is ready is sent. */
static rig *sent_to_idle_workers(uint32_t turn, uint32_t credit) {
    rig *r = open_rig_of_turns(READY, turn);
    for (uint32_t peer = 1; peer <= WORKERS; peer++) rig_join(r, peer, both, 1);
    mr_step_plan s = rig_step("a", MR_STEP_MAP, READY, 1);
    rig_run(r, 1, READY, &s, 1);
    for (uint32_t peer = 1; peer <= WORKERS; peer++) {
        mr_event e = {.type = MR_EV_CREDIT, .peer = peer, .as.credit = credit};
        assert_int_equal(mr_core_take(r->core, r->now, &e, NULL), MR_OK);
    }
    r->count = 0;
    mr_core_hand_out(r->core);
    rig_collect(r);
    assert_int_equal(rig_count(r, MR_ACT_SEND_WORK), READY);
    return r;
}

/* Does the i-th go to another worker than the one before? */
static bool turns_at(rig *r, size_t i) {
    return rig_act(r, MR_ACT_SEND_WORK, i)->peer != rig_act(r, MR_ACT_SEND_WORK, i - 1)->peer;
}

/* What is ready comes to idle workers in one piece each, and not in smaller and smaller ones. */
static void idle_workers_get_one_piece_each(void **state) {
    (void)state;
    rig *r = sent_to_idle_workers(0, READY);
    for (size_t i = 1; i < READY; i++) assert_int_equal(turns_at(r, i), i % (READY / WORKERS) == 0);
    close_rig(r);
}

/* Workers that ask for ten times what is ready do each in no time: fewer of them are woken. */
static void what_takes_a_moment_is_not_divided(void **state) {
    (void)state;
    enum { CREDIT = 160 };
    rig *r = sent_to_idle_workers(READY, CREDIT);
    for (size_t i = 1; i < READY; i++) assert_int_equal(turns_at(r, i), i == CREDIT / 16);
    close_rig(r);
}

/* What is kept loaded is filled up in stretches, so that work does not trickle. */
static void inputs_ahead_are_loaded_in_stretches(void **state) {
    (void)state;
    rig *r = open_rig(16);
    rig_join(r, 1, both, 1);
    mr_step_plan s = rig_step("a", MR_STEP_MAP, 1000, 1);
    rig_run(r, 1, 1000, &s, 1);
    assert_int_equal(stats(r).ready, 16);
    for (int i = 0; i < 4; i++) {
        rig_credit(r, 1, 1);
        assert_int_equal(rig_count(r, MR_ACT_SEND_WORK), 1);
        assert_int_equal(rig_count(r, MR_ACT_LOAD), 0);
    }
    rig_credit(r, 1, 1);
    assert_int_equal(rig_count(r, MR_ACT_LOAD), 5);
    assert_int_equal(stats(r).ready, 16);
    close_rig(r);
}

static void inputs_for_busy_workers_do_not_block_idle_ones(void **state) {
    (void)state;
    rig *r = calloc(1, sizeof *r);
    mr_core_config config = rig_config();
    config.load_ahead = 8;
    config.max_loads = 8;
    rig_open(r, &config);
    rig_join(r, 1, both, 1);
    rig_credit(r, 1, 8);
    r->hold_loads = true;
    mr_step_plan steps[] = {rig_step("a", MR_STEP_MAP, 640, 32), rig_step("b", MR_STEP_MAP, 640, 32)};
    rig_run(r, 1, 640, steps, 2);
    assert_int_equal(rig_count(r, MR_ACT_LOAD), 8);
    mr_action loads[8];
    for (size_t i = 0; i < 8; i++) loads[i] = *rig_act(r, MR_ACT_LOAD, i);
    rig_join(r, 1, both, 1); /* its credit is gone, and all inputs are for it */
    for (size_t i = 0; i < 8; i++) {
        r->blobs++;
        rig_do(r, (mr_event){.type = MR_EV_LOADED, .as.loaded = {.work = loads[i].work, .blob = i}});
    }
    assert_int_equal(stats(r).ready, 8);
    r->hold_loads = false;
    const char *const b[] = {"b"};
    rig_join(r, 2, b, 1);
    rig_credit(r, 2, 1);
    assert_int_equal(rig_count(r, MR_ACT_SEND_WORK), 1);
    assert_int_equal(rig_act(r, MR_ACT_SEND_WORK, 0)->key.step, 1);
    close_rig(r);
}

static void work_spreads_over_the_workers(void **state) {
    (void)state;
    rig *r = open_rig(0);
    for (uint32_t peer = 1; peer <= 4; peer++) rig_join(r, peer, both, 1);
    for (uint32_t peer = 1; peer <= 4; peer++) rig_credit(r, peer, 10);
    mr_step_plan s = rig_step("a", MR_STEP_MAP, 8, 1);
    rig_run(r, 1, 8, &s, 1);
    uint32_t got[5] = {0};
    for (size_t i = 0; i < 8; i++) got[rig_act(r, MR_ACT_SEND_WORK, i)->peer]++;
    for (uint32_t peer = 1; peer <= 4; peer++) assert_int_equal(got[peer], 2);
    close_rig(r);
}

static void draining_hands_out_nothing_and_ends_idle(void **state) {
    (void)state;
    rig *r = open_rig(2);
    rig_join(r, 1, both, 1);
    mr_step_plan s = rig_step("a", MR_STEP_MAP, 320, 32);
    rig_run(r, 1, 320, &s, 1);
    rig_credit(r, 1, 1);
    mr_action sent = *rig_act(r, MR_ACT_SEND_WORK, 0);
    rig_do(r, (mr_event){.type = MR_EV_DRAIN});
    assert_int_equal(stats(r).ready, 0);
    assert_false(mr_core_idle(r->core));
    rig_credit(r, 1, 5);
    assert_int_equal(rig_count(r, MR_ACT_SEND_WORK), 0);
    rig_do(r, rig_result(1, sent.key, sent.attempt, MR_OK));
    rig_do(r, rig_verdict(rig_act(r, MR_ACT_COMMIT, 0), MR_COMMITTED));
    assert_true(mr_core_idle(r->core));
    assert_int_equal(r->blobs, 0);
    close_rig(r);
}

static void a_worker_that_is_the_only_one_takes_its_inputs_with_it(void **state) {
    (void)state;
    rig *r = open_rig(4);
    rig_join(r, 1, both, 1);
    mr_step_plan s = rig_step("a", MR_STEP_MAP, 320, 32);
    rig_run(r, 1, 320, &s, 1);
    rig_credit(r, 1, 3);
    assert_int_equal(r->blobs, 7);
    rig_do(r, (mr_event){.type = MR_EV_PEER_GONE, .peer = 1});
    assert_int_equal(r->blobs, 0);
    assert_true(mr_core_idle(r->core));
    rig_join(r, 2, both, 1);
    rig_credit(r, 2, 1);
    assert_int_equal(rig_act(r, MR_ACT_SEND_WORK, 0)->key.index, 0); /* what came back goes first */
    close_rig(r);
}

/* ---- priorities and shares ---- */

static void run_of(rig *r, uint64_t run, const char *client, uint32_t priority, const mr_step_plan *steps, uint32_t n) {
    mr_run_plan plan = {.run = run, .rows = 100000, .steps = n, .step = steps, .client = client, .priority = priority};
    rig_do(r, (mr_event){.type = MR_EV_RUN_PLANNED, .as.plan = &plan});
    rig_do(r, (mr_event){.type = MR_EV_RUN_OPENED, .as.run = run});
}

/* The run whose work the next credit gets. */
static mr_work_key next(rig *r, uint64_t ms) {
    r->now += ms;
    rig_credit(r, 1, 1);
    assert_int_equal(rig_count(r, MR_ACT_SEND_WORK), 1);
    mr_action sent = *rig_act(r, MR_ACT_SEND_WORK, 0);
    rig_do(r, rig_result(1, sent.key, sent.attempt, MR_OK));
    rig_do(r, rig_verdict(rig_act(r, MR_ACT_COMMIT, 0), MR_COMMITTED));
    return sent.key;
}

static rig *open_aged(uint32_t age_ms) {
    rig *r = calloc(1, sizeof *r);
    mr_core_config config = rig_config();
    config.max_loads = 1000;
    config.age_ms = age_ms;
    rig_open(r, &config);
    rig_join(r, 1, both, 2);
    return r;
}

/* What was loaded before is the most that goes before work of a higher priority. */
static void a_higher_priority_goes_first(void **state) {
    (void)state;
    rig *r = open_aged(0);
    mr_step_plan s = rig_step("a", MR_STEP_MAP, 100000, 1);
    run_of(r, 1, "ann", 100, &s, 1);
    for (int i = 0; i < 10; i++) assert_int_equal(next(r, 1).run, 1);
    run_of(r, 2, "ann", 500, &s, 1);
    uint32_t inverted = 0;
    for (int i = 0; i < 1000; i++) inverted += next(r, 1).run == 1;
    assert_in_range(inverted, 0, 1);
    close_rig(r);
}

/* Priority 100 behind an endless flow of 1000, a point each 10 ms: it goes once each (1000 - 100) * 10 ms, and with
 * a credit each 100 ms that is each 90 credits. Without ageing it never goes. */
static void ageing_lets_the_lowest_go_as_often_as_promised(void **state) {
    (void)state;
    mr_step_plan s = rig_step("a", MR_STEP_MAP, 100000, 1);
    for (int aged = 0; aged < 2; aged++) {
        rig *r = open_aged(aged ? 10 : 0);
        run_of(r, 1, "ann", 1000, &s, 1);
        run_of(r, 2, "bob", 100, &s, 1);
        uint64_t waited = 0, longest = 0, went = 0;
        for (int i = 0; i < 900; i++) {
            rig_do(r, (mr_event){.type = MR_EV_PEER_SEEN, .peer = 1});
            waited += 100;
            if (next(r, 100).run != 2) continue;
            longest = waited > longest ? waited : longest;
            waited = 0;
            went++;
        }
        assert_int_equal(went, aged ? 9 : 0);
        if (aged) assert_in_range(longest, 9000, 9300);
        close_rig(r);
    }
}

/* Ann has 30 runs, bob one: each gets half. And of ann's half each of her runs the same. */
static void a_client_with_many_runs_gets_one_share(void **state) {
    (void)state;
    rig *r = open_aged(100);
    mr_step_plan s = rig_step("a", MR_STEP_MAP, 100000, 1);
    for (uint64_t run = 1; run <= 30; run++) run_of(r, run, "ann", 0, &s, 1);
    run_of(r, 31, "bob", 0, &s, 1);
    uint32_t got[32] = {0};
    for (int i = 0; i < 600; i++) got[next(r, 1000).run]++;
    assert_in_range(got[31], 299, 301);
    for (int run = 1; run <= 30; run++) assert_in_range(got[run], 9, 11);
    close_rig(r);
}

/* A million batches of one component, from three clients; then one batch of another component by a fourth: it waits for
 * what is on the way and for one turn, not for the million. The same for a new client of the same component. */
static void a_million_batches_hold_nobody_up(void **state) {
    (void)state;
    rig *r = open_aged(100);
    mr_step_plan flood = rig_step("a", MR_STEP_MAP, 100000, 1), other = rig_step("b", MR_STEP_MAP, 100000, 1);
    static const char *const clients[] = {"ann", "bob", "cem"};
    for (uint64_t run = 1; run <= 10; run++) run_of(r, run, clients[run % 3], 0, &flood, 1);
    for (int i = 0; i < 500; i++) assert_int_equal(next(r, 20).step, 0);
    run_of(r, 11, "dot", 0, &other, 1);
    uint32_t first = 0, of_other = 0;
    for (uint32_t i = 1; i <= 100; i++) {
        if (next(r, 20).run != 11) continue;
        first = first ? first : i;
        of_other++;
    }
    assert_in_range(first, 1, 3);
    assert_in_range(of_other, 48, 52); /* a component is a share */
    run_of(r, 12, "eve", 0, &flood, 1);
    first = 0;
    for (uint32_t i = 1; i <= 100 && !first; i++)
        if (next(r, 20).run == 12) first = i;
    assert_in_range(first, 1, 2 * 4 + 2); /* every other goes to the other component; four clients take turns */
    close_rig(r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_sent_without_credit_and_never_more_than_credit),
        cmocka_unit_test(a_step_is_told_once_before_its_first_work),
        cmocka_unit_test(only_the_same_name_and_version_is_sent),
        cmocka_unit_test(a_large_step_does_not_hold_up_a_small_one),
        cmocka_unit_test(a_turn_may_have_several_batches),
        cmocka_unit_test(ready_work_is_dealt_out_evenly_but_not_in_small_pieces_to_the_busy),
        cmocka_unit_test(idle_workers_get_one_piece_each),
        cmocka_unit_test(what_takes_a_moment_is_not_divided),
        cmocka_unit_test(inputs_ahead_are_loaded_in_stretches),
        cmocka_unit_test(inputs_for_busy_workers_do_not_block_idle_ones),
        cmocka_unit_test(work_spreads_over_the_workers),
        cmocka_unit_test(draining_hands_out_nothing_and_ends_idle),
        cmocka_unit_test(a_worker_that_is_the_only_one_takes_its_inputs_with_it),
        cmocka_unit_test(a_higher_priority_goes_first),
        cmocka_unit_test(ageing_lets_the_lowest_go_as_often_as_promised),
        cmocka_unit_test(a_client_with_many_runs_gets_one_share),
        cmocka_unit_test(a_million_batches_hold_nobody_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
