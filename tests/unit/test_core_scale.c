/* A run of many batches in one step: memory stays at bits, and each batch costs the same. */
#include "tests/simulation/rig.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { BATCHES = 200 * 1000 };
#else
enum { BATCHES = 10 * 1000 * 1000 };
#endif

typedef struct drain {
    mr_core *core;
    uint64_t sent, finished, bytes;
    mr_run_state state;
} drain;

/* A worker and a ledger that answer each action at once; the answers' actions come from the same queue. */
static void answer(drain *d, const mr_action *a) {
    mr_event e = {0};
    switch (a->type) {
    case MR_ACT_LOAD:
        e = (mr_event){.type = MR_EV_LOADED, .as.loaded = {.work = a->work, .blob = 1}};
        break;
    case MR_ACT_SEND_WORK:
        d->sent++;
        e = rig_result(a->peer, a->key, a->attempt, MR_OK);
        break;
    case MR_ACT_COMMIT: e = rig_verdict(a, MR_COMMITTED); break;
    case MR_ACT_ACK: e = (mr_event){.type = MR_EV_CREDIT, .peer = a->peer, .as.credit = 1}; break;
    case MR_ACT_RUN_FINISHED:
        d->finished++;
        d->state = a->state;
        return;
    default: return;
    }
    assert_int_equal(mr_core_step(d->core, 1000, &e, NULL), MR_OK);
}

static void drain_step(mr_step_shape shape, uint64_t batches) {
    rig *r = calloc(1, sizeof *r);
    mr_core_config config = rig_config();
    rig_open(r, &config);
    const char *names[] = {"c"};
    rig_join(r, 1, names, 1);
    r->hold_loads = true;
    mr_step_plan s = rig_step("c", shape, batches * 32, 32);
    rig_run(r, 1, batches * 32, &s, 1);
    drain d = {.core = r->core};
    for (size_t i = 0; i < r->count; i++) answer(&d, &r->act[i]);
    mr_event credit = {.type = MR_EV_CREDIT, .peer = 1, .as.credit = 8};
    assert_int_equal(mr_core_step(r->core, 1000, &credit, NULL), MR_OK);
    for (mr_action a; mr_core_next_action(r->core, &a);) answer(&d, &a);
    uint64_t all = 0;
    for (uint32_t k = 0; k < s.levels; k++) all += s.counts[k];
    assert_int_equal(d.sent, all);
    assert_int_equal(d.finished, 1);
    assert_int_equal(d.state, MR_RUN_SUCCEEDED);
    mr_core_stats stats;
    mr_core_stats_get(r->core, &stats);
    assert_int_equal(stats.loading + stats.ready + stats.sent + stats.committing + stats.waiting_retry, 0);
    rig_close(r);
    free(r);
}

static void a_step_of_very_many_batches_drains(void **state) {
    (void)state;
    drain_step(MR_STEP_MAP, BATCHES);
}

static void a_merge_tree_over_very_many_batches_drains(void **state) {
    (void)state;
    drain_step(MR_STEP_MERGE, BATCHES / 10);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_step_of_very_many_batches_drains),
        cmocka_unit_test(a_merge_tree_over_very_many_batches_drains),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
