/* scheduler.c: which step is next. Fair shares by virtual time (stride scheduling: Waldspurger and Weihl
 * 1995): each step counts the works that it has sent, and the one with the least count is next among those
 * that could go. All steps have the same share, so the stride is 1. Inputs are loaded in the same order, so
 * that they are there when credit comes. */
#include "broker/core/state.h"

/* A step that could not run for a while may catch up by this many works, not by all that it missed. */
enum { CATCH_UP = 16 };

static uint64_t virtual_time(const mr_core *core, const mr_step *step) {
    uint64_t least = core->vtime > CATCH_UP ? core->vtime - CATCH_UP : 0;
    return step->pass > least ? step->pass : least;
}

static uint64_t coming(const mr_lane *lane) {
    return (uint64_t)lane->count[MR_W_LOADING] + lane->count[MR_W_READY];
}

/* ---- sending ---- */

static mr_step *next_to_send(const mr_core *core) {
    mr_step *best = NULL;
    for (uint32_t i = 0; i < core->lives; i++) {
        mr_step *step = core->live[i];
        if (!step->list[MR_W_READY].count || !step->lane->credit) continue;
        if (!best || virtual_time(core, step) < virtual_time(core, best)) best = step;
    }
    return best;
}

/* In turn, so that work spreads evenly over the workers. */
static mr_worker *next_worker(mr_lane *lane) {
    for (uint32_t i = 0; i < lane->workers; i++) {
        lane->turn = (lane->turn + 1) % lane->workers;
        if (lane->worker[lane->turn]->credit) return lane->worker[lane->turn];
    }
    mr_assert_failed("a lane with credit has a worker with credit", __FILE__, __LINE__);
}

static mr_status send_room(mr_core *core, mr_worker *worker) {
    MR_TRY(mr_actions_reserve(core, 2));
    MR_TRY(mr_map_reserve(&core->by_attempt, core->config.mem, 1));
    return mr_map_reserve(&worker->told, core->config.mem, 1);
}

static void tell_step(mr_core *core, mr_worker *worker, mr_step *step) {
    if (mr_map_get(&worker->told, step->serial)) return;
    mr_map_put(&worker->told, step->serial, step);
    mr_action *a = mr_act(core, MR_ACT_SEND_STEP);
    a->peer = worker->peer;
    a->key = (mr_work_key){.run = step->run->id, .step = step->number};
}

static void send_work(mr_core *core, mr_worker *worker, mr_work *w) {
    mr_step *step = w->step;
    tell_step(core, worker, step);
    w->worker = worker;
    w->attempt = core->next_attempt++;
    w->at_ms = core->now_ms;
    mr_work_move(core, w, MR_W_SENT, false);
    mr_worker_credit(core, worker, -1);
    core->vtime = virtual_time(core, step) > core->vtime ? virtual_time(core, step) : core->vtime;
    step->pass = virtual_time(core, step) + 1;
    core->total.dispatched++;
    mr_action *a = mr_act(core, MR_ACT_SEND_WORK);
    a->peer = worker->peer;
    a->key = mr_work_key_of(w);
    a->attempt = w->attempt;
    a->work = w->id;
    a->handle = w->blob;
    a->last = mr_work_last(w);
    a->deadline_ms = step->plan.deadline_ms;
}

static bool send_one(mr_core *core) {
    mr_step *step = next_to_send(core);
    if (!step) return false;
    mr_worker *worker = next_worker(step->lane);
    if (send_room(core, worker) != MR_OK) return false;
    send_work(core, worker, mr_work_first(&step->list[MR_W_READY]));
    return true;
}

/* ---- loading ---- */

/* The highest level that has something to begin: merges first, so that few partials wait. -1: none. */
static int level_to_begin(const mr_step *step) {
    for (int level = (int)step->plan.levels - 1; level >= 0; level--)
        if (step->level[level].todo.count) return level;
    return -1;
}

static bool has_more(const mr_step *step) {
    return step->list[MR_W_PENDING].count || level_to_begin(step) >= 0;
}

/* Credit for which inputs are coming already. */
static uint64_t covered(const mr_core *core) {
    uint64_t sum = 0;
    for (uint32_t i = 0; i < core->lanes; i++) {
        const mr_lane *lane = core->lane[i];
        sum += coming(lane) < lane->credit ? coming(lane) : lane->credit;
    }
    return sum;
}

static bool asked_for(const mr_lane *lane, uint64_t free_credit) {
    return free_credit && coming(lane) < lane->credit;
}

static uint64_t inputs_held(const mr_core *core) {
    return (uint64_t)core->count[MR_W_LOADING] + core->count[MR_W_READY] + core->count[MR_W_SENT] +
           core->count[MR_W_ABANDONED];
}

/* Ahead of credit, half of all inputs is the most: the other half is for what is asked for. */
static bool may_load_ahead(const mr_core *core, const mr_lane *lane) {
    uint64_t inputs = (uint64_t)core->count[MR_W_LOADING] + core->count[MR_W_READY], held = inputs_held(core);
    return coming(lane) < mr_lane_limit(core, lane) && inputs < core->credit + core->config.load_ahead &&
           (held < core->config.max_loads / 2 || held == 0);
}

/* `asked`: only for credit that no coming input covers; else also ahead of it. */
static mr_step *next_to_load(const mr_core *core, bool asked) {
    uint64_t cover = covered(core), free_credit = core->credit > cover ? core->credit - cover : 0, least = 0;
    mr_step *best = NULL;
    for (uint32_t i = 0; i < core->lives; i++) {
        mr_step *step = core->live[i];
        if (!has_more(step)) continue;
        if (!asked_for(step->lane, free_credit) && (asked || !may_load_ahead(core, step->lane))) continue;
        uint64_t at =
            virtual_time(core, step) + step->list[MR_W_LOADING].count + step->list[MR_W_READY].count;
        if (best && at >= least) continue;
        best = step;
        least = at;
    }
    return best;
}

/* Gives up one input that no worker has credit for; false when there is none. */
static bool make_room(mr_core *core) {
    for (uint32_t i = 0; i < core->lives; i++) {
        mr_work *w = mr_work_last_of(&core->live[i]->list[MR_W_READY]);
        if (!w || w->step->lane->credit) continue;
        mr_work_unload(core, w);
        mr_work_move(core, w, MR_W_PENDING, true);
        return true;
    }
    return false;
}

static mr_work *begin(mr_core *core, mr_step *step) {
    mr_work *w = mr_work_first(&step->list[MR_W_PENDING]);
    if (w) {
        mr_work_move(core, w, MR_W_LOADING, false);
        return w;
    }
    uint32_t level = (uint32_t)level_to_begin(step), index = mr_bits_first(&step->level[level].todo);
    mr_bits_remove(&step->level[level].todo, index);
    return mr_work_new(core, step, level, index, MR_W_LOADING);
}

static bool load_one(mr_core *core) {
    bool full = inputs_held(core) >= core->config.max_loads;
    mr_step *step = next_to_load(core, full);
    if (!step || mr_actions_reserve(core, 2) != MR_OK || mr_works_reserve(core, 1) != MR_OK) return false;
    if (full && !make_room(core)) return false;
    mr_work *w = begin(core, step);
    mr_action *a = mr_act(core, MR_ACT_LOAD);
    a->key = mr_work_key_of(w);
    a->work = w->id;
    a->last = mr_work_last(w);
    return true;
}

void mr_schedule(mr_core *core) {
    if (core->draining) return;
    while (send_one(core)) continue;
    while (load_one(core)) continue;
}
