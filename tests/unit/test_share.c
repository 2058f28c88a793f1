/* Fair shares of computing time: workers that really take as long as their batches do, under simulated time. */
#include "tests/simulation/rig.h"

enum { OUT_MAX = 64, RUNS = 8 };

typedef struct out {
    mr_action sent;
    uint64_t at_us, due_us;
} out;

/* One worker with so many slots. */
typedef struct plant {
    rig *r;
    uint64_t now_us, took_us[RUNS], cost_us[RUNS], sent[RUNS]; /* by run */
    bool silent;                                               /* it does not say what a batch took */
    out out[OUT_MAX];
    uint32_t outs, bunch, asked; /* bunch: it asks for so many at a time */
} plant;

static const char *const names[] = {"a", "b"};

static plant *open_plant(uint32_t turn) {
    plant *p = calloc(1, sizeof *p);
    mr_core_config config = rig_config();
    p->r = calloc(1, sizeof *p->r);
    config.load_ahead = 8;
    config.max_loads = 1000;
    config.turn = turn;
    config.lost_after_ms = 1000000;
    rig_open(p->r, &config);
    rig_join(p->r, 1, names, 2);
    p->now_us = p->r->now * 1000;
    return p;
}

static void close_plant(plant *p) {
    rig_close(p->r);
    free(p->r);
    free(p);
}

static void begin_run(plant *p, uint64_t run, const char *component, const char *client, uint64_t cost_us) {
    mr_step_plan step = rig_step(component, MR_STEP_MAP, 1000000, 1);
    mr_run_plan plan = {.run = run, .rows = 1000000, .steps = 1, .step = &step, .client = client};
    step.deadline_ms = 0;
    p->cost_us[run] = cost_us;
    rig_do(p->r, (mr_event){.type = MR_EV_RUN_PLANNED, .as.plan = &plan});
    rig_do(p->r, (mr_event){.type = MR_EV_RUN_OPENED, .as.run = run});
}

static void take_what_was_sent(plant *p) {
    for (size_t i = 0; i < rig_count(p->r, MR_ACT_SEND_WORK); i++) {
        mr_action *a = rig_act(p->r, MR_ACT_SEND_WORK, i);
        assert_true(p->outs < OUT_MAX);
        p->sent[a->key.run]++;
        p->out[p->outs++] = (out){.sent = *a, .at_us = p->now_us, .due_us = p->now_us + p->cost_us[a->key.run]};
    }
}

static void give_credit(plant *p, uint32_t n) {
    rig_credit(p->r, 1, n);
    take_what_was_sent(p);
}

/* The next one that is done, at its time. */
static void finish_one(plant *p) {
    uint32_t at = 0;
    assert_true(p->outs > 0);
    for (uint32_t i = 1; i < p->outs; i++)
        if (p->out[i].due_us < p->out[at].due_us) at = i;
    out o = p->out[at];
    p->out[at] = p->out[--p->outs];
    p->now_us = o.due_us;
    p->r->now = p->now_us / 1000;
    p->took_us[o.sent.key.run] += o.due_us - o.at_us;
    mr_event e = rig_result(1, o.sent.key, o.sent.attempt, MR_OK);
    e.as.result.compute_us = p->silent ? 0 : o.due_us - o.at_us;
    rig_do(p->r, e);
    mr_action commit = *rig_act(p->r, MR_ACT_COMMIT, 0);
    take_what_was_sent(p);
    rig_do(p->r, rig_verdict(&commit, MR_COMMITTED));
    take_what_was_sent(p);
}

static void go_on(plant *p, uint64_t ms) {
    for (uint64_t until = p->now_us + ms * 1000; p->now_us < until;) {
        finish_one(p);
        if (++p->asked < p->bunch) continue;
        give_credit(p, p->asked);
        p->asked = 0;
    }
}

static void same_within_a_tenth(uint64_t a, uint64_t b) {
    if (a * 10 > b * 11 || b * 10 > a * 11) fail_msg("%llu us and %llu us", (unsigned long long)a, (unsigned long long)b);
}

/* At each level of the tree, with one slot and with eight, batch by batch and in turns. */
static void batches_of_one_and_ten_milliseconds_get_the_same_time(void **state) {
    (void)state;
    static const struct {
        const char *component[2], *client[2];
    } cases[] = {{{"a", "b"}, {"ann", "ann"}}, {{"a", "a"}, {"ann", "bob"}}, {{"a", "a"}, {"ann", "ann"}}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int how = 0; how < 4; how++) {
            plant *p = open_plant(how / 2 ? 16 : 1);
            begin_run(p, 1, cases[i].component[0], cases[i].client[0], 1000);
            begin_run(p, 2, cases[i].component[1], cases[i].client[1], 10000);
            p->bunch = how / 2 ? 12 : 1;
            give_credit(p, how % 2 ? 24 : p->bunch);
            go_on(p, 5000);
            print_message("case %zu, way %d: %llu and %llu us\n", i, how, (unsigned long long)p->took_us[1],
                          (unsigned long long)p->took_us[2]);
            same_within_a_tenth(p->took_us[1], p->took_us[2]);
            assert_true(p->sent[1] > 8 * p->sent[2]);
            close_plant(p);
        }
}

/* Nobody knows at first that one takes a thousand times as long; what it got too much, the other gets after it. */
static void what_was_estimated_wrong_is_made_good(void **state) {
    (void)state;
    plant *p = open_plant(1);
    begin_run(p, 1, "a", "ann", 200);
    begin_run(p, 2, "b", "bob", 200000);
    give_credit(p, 8);
    go_on(p, 10000);
    same_within_a_tenth(p->took_us[1], p->took_us[2]);
    close_plant(p);
}

/* A batch that suddenly takes longer. */
static void a_change_of_cost_is_followed(void **state) {
    (void)state;
    plant *p = open_plant(1);
    begin_run(p, 1, "a", "ann", 1000);
    begin_run(p, 2, "b", "bob", 1000);
    give_credit(p, 4);
    go_on(p, 1000);
    p->cost_us[2] = 20000;
    go_on(p, 5000);
    same_within_a_tenth(p->took_us[1], p->took_us[2]);
    close_plant(p);
}

/* Who comes late, or comes back, shares from then on: it has saved nothing up, and owes nothing for what others did. */
static void who_was_idle_has_no_credit_and_no_debt(void **state) {
    (void)state;
    for (int quick = 0; quick < 2; quick++) {
        plant *p = open_plant(1);
        begin_run(p, 1, "a", "ann", quick ? 1000 : 20000);
        give_credit(p, 4);
        go_on(p, 5000);
        begin_run(p, 2, "b", "bob", quick ? 20000 : 1000);
        uint64_t before = p->took_us[1];
        go_on(p, 4000);
        same_within_a_tenth(p->took_us[1] - before, p->took_us[2]);
        close_plant(p);
    }
}

/* An attempt that was given back unbegun costs nothing; one that was not heard of any more keeps its estimate. */
static void what_was_not_begun_is_not_charged(void **state) {
    (void)state;
    plant *p = open_plant(1);
    begin_run(p, 1, "a", "ann", 1000);
    begin_run(p, 2, "b", "bob", 1000);
    give_credit(p, 2);
    go_on(p, 200);
    uint64_t sent[] = {p->sent[1], p->sent[2]};
    for (int i = 0; i < 200; i++) { /* it gives back each of the first run's, and does the other's */
        out o = p->out[0];
        bool back = o.sent.key.run == 1;
        p->out[0] = p->out[--p->outs];
        p->now_us += back ? 0 : 1000;
        p->r->now = p->now_us / 1000;
        if (back) rig_do(p->r, (mr_event){.type = MR_EV_RELEASE, .peer = 1, .as.attempt = o.sent.attempt});
        else {
            mr_event e = rig_result(1, o.sent.key, o.sent.attempt, MR_OK);
            e.as.result.compute_us = 1000;
            rig_do(p->r, e);
            mr_action commit = *rig_act(p->r, MR_ACT_COMMIT, 0);
            take_what_was_sent(p);
            rig_do(p->r, rig_verdict(&commit, MR_COMMITTED));
        }
        take_what_was_sent(p);
        give_credit(p, 1);
    }
    assert_true(p->sent[1] - sent[0] > 10 * (p->sent[2] - sent[1])); /* it is its turn, until it takes one */
    close_plant(p);
}

/* A worker cannot say more than the time since the attempt was sent, and where nobody says anything batches count. */
static void what_workers_say_is_bounded(void **state) {
    (void)state;
    plant *p = open_plant(1);
    begin_run(p, 1, "a", "ann", 5000);
    begin_run(p, 2, "b", "bob", 5000);
    give_credit(p, 1);
    for (int i = 0; i < 400; i++) {
        out o = p->out[0];
        p->outs = 0;
        p->now_us += 5000;
        p->r->now = p->now_us / 1000;
        mr_event e = rig_result(1, o.sent.key, o.sent.attempt, MR_OK);
        e.as.result.compute_us = o.sent.key.run == 1 ? UINT64_MAX : 5000;
        rig_do(p->r, e);
        rig_do(p->r, rig_verdict(rig_act(p->r, MR_ACT_COMMIT, 0), MR_COMMITTED));
        give_credit(p, 1);
    }
    assert_in_range(p->sent[1], 160, 200); /* 6 ms of 5: what the clock of a millisecond can tell */
    close_plant(p);
    p = open_plant(1);
    p->silent = true;
    begin_run(p, 1, "a", "ann", 1000);
    begin_run(p, 2, "b", "bob", 10000);
    give_credit(p, 1);
    go_on(p, 5000);
    assert_in_range(p->sent[1], p->sent[2] - 1, p->sent[2] + 1);
    close_plant(p);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(batches_of_one_and_ten_milliseconds_get_the_same_time),
        cmocka_unit_test(what_was_estimated_wrong_is_made_good),
        cmocka_unit_test(a_change_of_cost_is_followed),
        cmocka_unit_test(who_was_idle_has_no_credit_and_no_debt),
        cmocka_unit_test(what_was_not_begun_is_not_charged),
        cmocka_unit_test(what_workers_say_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
