/* When memory ends: an event that gets none changes nothing, and can be given again. */
#include "common/rng.h"
#include "tests/simulation/rig.h"

typedef struct bench {
    rig *r;
    uint64_t refused; /* events that failed for want of memory, and were given again */
    bool replays;     /* what is given up is replayed at once */
    bool starve;      /* let the allocations of each event fail, from the first to the last */
    bool finished;
} bench;

typedef struct snapshot {
    mr_core_stats stats;
    mr_level_view level[2];
    mr_worker_view worker;
} snapshot;

static snapshot look(const bench *b) {
    snapshot s = {0};
    mr_step_view step;
    mr_core_stats_get(b->r->core, &s.stats);
    if (mr_core_step_at(b->r->core, 1, 0, &step)) memcpy(s.level, step.level, sizeof s.level);
    (void)mr_core_worker_at(b->r->core, 0, &s.worker);
    return s;
}

/* Gives the event again and again, each time with one allocation more, until it is taken. */
static void give(bench *b, const mr_event *e) {
    mr_mem_failing *mem = &b->r->mem;
    for (uint64_t n = 1; b->starve; n++) {
        snapshot before = look(b);
        mem->fail_at = mem->count + n;
        mr_status status = mr_core_step(b->r->core, b->r->now, e, NULL);
        mem->fail_at = 0;
        if (status == MR_OK) return;
        assert_int_equal(status, MR_E_MEMORY);
        snapshot after = look(b);
        assert_memory_equal(&before.stats, &after.stats, sizeof before.stats);
        assert_memory_equal(before.level, after.level, sizeof before.level);
        assert_int_equal(before.worker.credit, after.worker.credit);
        assert_int_equal(before.worker.sent, after.worker.sent);
        b->refused++;
    }
    assert_int_equal(mr_core_step(b->r->core, b->r->now, e, NULL), MR_OK);
}

static void answer(bench *b, const mr_action *a) {
    mr_event e = {0};
    if (a->type == MR_ACT_LOAD)
        e = (mr_event){.type = MR_EV_LOADED, .as.loaded = {.work = a->work, .blob = 1}};
    if (a->type == MR_ACT_SEND_WORK)
        e = rig_result(a->peer, a->key, a->attempt, mr_mix64(a->attempt) % 7 == 0 ? MR_E_CRASHED : MR_OK);
    if (a->type == MR_ACT_COMMIT) e = rig_verdict(a, a->attempt % 5 == 0 ? MR_RETRY : MR_COMMITTED);
    if (a->type == MR_ACT_ACK) e = (mr_event){.type = MR_EV_CREDIT, .peer = a->peer, .as.credit = 1};
    if (a->type == MR_ACT_RECORD_FAILURE && b->replays)
        e = (mr_event){.type = MR_EV_REPLAY, .as.replay = {.key = a->key, .attempt = a->attempt}};
    if (a->type == MR_ACT_STEP_FINISHED) b->finished = a->state == MR_RUN_SUCCEEDED;
    if (e.type != MR_EV_WORKER_JOINED) give(b, &e);
}

static void settle(bench *b) {
    for (int i = 0; i < 1000 && !b->finished; i++) {
        mr_event tick = {.type = MR_EV_TICK}, seen = {.type = MR_EV_PEER_SEEN, .peer = 1};
        b->r->now += 100;
        give(b, &seen);
        give(b, &tick);
        /* What a starved event could not hand out goes with the first that has memory. */
        assert_int_equal(mr_core_step(b->r->core, b->r->now, &tick, NULL), MR_OK);
        for (mr_action a; mr_core_next_action(b->r->core, &a);) answer(b, &a);
    }
    assert_true(b->finished);
}

/* The second step is one that nobody offers: so the run goes on when its first has failed. */
static uint64_t drain_one(bool starve, bool replays) {
    bench b = {.r = calloc(1, sizeof(rig)), .starve = starve, .replays = replays};
    mr_core_config config = rig_config();
    config.max_crashes = replays ? 1 : 50;
    config.max_timeouts = 50;
    rig_open(b.r, &config);
    mr_offer offer = {.name = "a", .version = 1};
    give(&b, &(mr_event){.type = MR_EV_WORKER_JOINED, .peer = 1,
                         .as.joined = {.name = "w", .slots = 4, .offers = 1, .offer = &offer}});
    mr_step_plan s[] = {rig_step("a", MR_STEP_MERGE, 300 * 32, 32), rig_step("nobody's", MR_STEP_MAP, 300 * 32, 9600)};
    mr_run_plan plan = {.run = 1, .rows = 300 * 32, .steps = 2, .step = s};
    give(&b, &(mr_event){.type = MR_EV_RUN_PLANNED, .as.plan = &plan});
    give(&b, &(mr_event){.type = MR_EV_DONE_BEFORE, .as.key = {1, 0, 0, 3}});
    give(&b, &(mr_event){.type = MR_EV_RUN_OPENED, .as.run = 1});
    give(&b, &(mr_event){.type = MR_EV_CREDIT, .peer = 1, .as.credit = 40});
    settle(&b);
    assert_true(mr_core_idle(b.r->core));
    rig_close(b.r);
    free(b.r);
    return b.refused;
}

static void an_event_without_memory_changes_nothing(void **state) {
    (void)state;
    assert_int_equal(drain_one(false, false), 0);
    assert_true(drain_one(true, false) > 10);
}

static void a_replay_without_memory_changes_nothing(void **state) {
    (void)state;
    assert_int_equal(drain_one(false, true), 0);
    assert_true(drain_one(true, true) > 10);
}

static void a_core_without_memory_is_not_made(void **state) {
    (void)state;
    mr_mem_failing mem;
    mr_mem_failing_init(&mem, 1);
    mr_core_config config = rig_config();
    config.mem = &mem.mem;
    mr_core *core;
    assert_int_equal(mr_core_new(&config, &core), MR_E_MEMORY);
    assert_null(core);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_event_without_memory_changes_nothing),
        cmocka_unit_test(a_replay_without_memory_changes_nothing),
        cmocka_unit_test(a_core_without_memory_is_not_made),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
