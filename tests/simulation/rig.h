/* rig.h: a core on the bench: events go in one by one, and the actions of the last one lie there to be looked
 * at. */
#ifndef MR_TESTS_SIMULATION_RIG_H
#define MR_TESTS_SIMULATION_RIG_H

#include "broker/core/core.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { RIG_ACTIONS = 4096 };

typedef struct rig {
    mr_mem_failing mem;
    mr_core *core;
    uint64_t now, blobs;      /* blobs: inputs given to the core and not yet unloaded */
    uint64_t next_blob;
    bool hold_loads;          /* else each LOAD is answered at once */
    mr_action act[RIG_ACTIONS];
    size_t count;
} rig;

static inline void rig_open(rig *r, const mr_core_config *config) {
    memset(r, 0, sizeof *r);
    mr_mem_failing_init(&r->mem, 0);
    mr_core_config c = *config;
    c.mem = &r->mem.mem;
    r->now = 1000;
    r->next_blob = 1;
    assert_int_equal(mr_core_new(&c, &r->core), MR_OK);
}

static inline void rig_close(rig *r) {
    mr_core_free(&r->core);
    assert_int_equal(r->mem.live, 0);
}

static inline mr_core_config rig_config(void) {
    return (mr_core_config){.first_attempt = 1,
                            .lost_after_ms = 5000,
                            .load_ahead = 2,
                            .max_loads = 64,
                            .max_errors = 3,
                            .max_crashes = 2,
                            .max_timeouts = 2,
                            .retry_base_ms = 100,
                            .retry_max_ms = 1000,
                            .seed = 7};
}

static inline void rig_collect(rig *r) {
    mr_action a;
    while (mr_core_next_action(r->core, &a)) {
        assert_true(r->count < RIG_ACTIONS);
        r->act[r->count++] = a;
        if (a.type == MR_ACT_UNLOAD) r->blobs--;
        if (a.type != MR_ACT_LOAD || r->hold_loads) continue;
        mr_event e = {.type = MR_EV_LOADED, .as.loaded = {.work = a.work, .blob = r->next_blob++}};
        r->blobs++;
        assert_int_equal(mr_core_step(r->core, r->now, &e, NULL), MR_OK);
    }
}

static inline mr_status rig_try(rig *r, const mr_event *e) {
    mr_error err = {0};
    r->count = 0;
    mr_status status = mr_core_step(r->core, r->now, e, &err);
    rig_collect(r);
    return status;
}

static inline void rig_do(rig *r, mr_event e) { assert_int_equal(rig_try(r, &e), MR_OK); }

static inline size_t rig_count(const rig *r, mr_action_type type) {
    size_t n = 0;
    for (size_t i = 0; i < r->count; i++) n += r->act[i].type == type;
    return n;
}

/* The n-th action of that type, from 0. */
static inline mr_action *rig_act(rig *r, mr_action_type type, size_t n) {
    for (size_t i = 0; i < r->count; i++)
        if (r->act[i].type == type && n-- == 0) return &r->act[i];
    fail_msg("there is no such action (type %d)", (int)type);
    return NULL;
}

static inline void rig_tick(rig *r, uint64_t ms) {
    r->now += ms;
    rig_do(r, (mr_event){.type = MR_EV_TICK});
}

static inline void rig_join(rig *r, uint32_t peer, const char *const *names, uint32_t n) {
    mr_offer offer[8] = {0};
    for (uint32_t i = 0; i < n; i++) {
        snprintf(offer[i].name, sizeof offer[i].name, "%s", names[i]);
        offer[i].version = 1;
    }
    rig_do(r, (mr_event){.type = MR_EV_WORKER_JOINED, .peer = peer,
                         .as.joined = {.name = "w", .slots = 1, .offers = n, .offer = offer}});
}

static inline void rig_credit(rig *r, uint32_t peer, uint32_t n) {
    rig_do(r, (mr_event){.type = MR_EV_CREDIT, .peer = peer, .as.credit = n});
}

static inline mr_step_plan rig_step(const char *name, mr_step_shape shape, uint64_t rows,
                                    uint32_t batch_rows) {
    mr_step_plan s = {.version = 1, .shape = shape, .deadline_ms = 60000};
    snprintf(s.component, sizeof s.component, "%s", name);
    assert_int_equal(mr_plan_step(rows, batch_rows, &s, NULL), MR_OK);
    return s;
}

static inline void rig_plan(rig *r, uint64_t run, uint64_t rows, const mr_step_plan *step, uint32_t steps) {
    mr_run_plan plan = {.run = run, .rows = rows, .steps = steps, .step = step};
    rig_do(r, (mr_event){.type = MR_EV_RUN_PLANNED, .as.plan = &plan});
}

static inline void rig_run(rig *r, uint64_t run, uint64_t rows, const mr_step_plan *step, uint32_t steps) {
    rig_plan(r, run, rows, step, steps);
    rig_do(r, (mr_event){.type = MR_EV_RUN_OPENED, .as.run = run});
}

static inline mr_event rig_result(uint32_t peer, mr_work_key key, uint64_t attempt, mr_status status) {
    return (mr_event){.type = MR_EV_RESULT, .peer = peer,
                      .as.result = {.attempt = attempt, .key = key, .status = status, .body = attempt + 1000,
                                    .text = status ? "it went wrong" : ""}};
}

static inline mr_event rig_verdict(const mr_action *commit, mr_verdict verdict) {
    return (mr_event){
        .type = MR_EV_COMMITTED,
        .as.committed = {
            .key = commit->key, .attempt = commit->attempt, .peer = commit->peer, .verdict = verdict}};
}

#endif
