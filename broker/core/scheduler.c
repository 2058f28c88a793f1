/* scheduler.c: what is sent and what is loaded. Which step is next says share.c, and whether it may, limit.c.
 * Inputs are loaded in the same order as work is sent, so that they are there when credit comes. What a step sends in
 * its turn goes to one worker; when it is the only one that may go, that is all it has: nobody else is there whose turn
 * it could be. */
#include "broker/core/state.h"

static uint64_t coming(const mr_lane *lane) {
    return (uint64_t)lane->count[MR_W_LOADING] + lane->count[MR_W_READY];
}

/* ---- sending ---- */

static bool may_send(const mr_core *core, const mr_step *step, const void *context) {
    (void)context;
    return step->list[MR_W_READY].count && step->lane->credit && !step->run->leaving && mr_limit_may_send(core, step);
}

/* In turn, so that work spreads evenly over the workers. */
static mr_worker *next_worker(mr_lane *lane) {
    for (uint32_t i = 0; i < lane->workers; i++) {
        lane->turn = (lane->turn + 1) % lane->workers;
        if (lane->worker[lane->turn]->credit) return lane->worker[lane->turn];
    }
    mr_assert_failed("a lane with credit has a worker with credit", __FILE__, __LINE__);
}

static mr_status send_room(mr_core *core, mr_worker *worker, uint32_t n) {
    MR_TRY(mr_actions_reserve(core, 1 + (size_t)n));
    MR_TRY(mr_map_reserve(&core->by_attempt, core->config.mem, n));
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
    w->worker = worker;
    w->attempt = core->next_attempt++;
    w->at_ms = core->now_ms;
    w->charged_us = mr_share_estimate(core, step);
    mr_work_move(core, w, MR_W_SENT, false);
    mr_limit_sent(core, step);
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

/* Several go in a turn because work that goes together costs less; a worker asks for many only of what is quick. */
static uint32_t turn_of(const mr_core *core, const mr_step *step,
                        bool (*may)(const mr_core *, const mr_step *, const void *), const void *context) {
    return mr_limit_any(step) ? 1 : mr_share_turn(core, step, may, context);
}

/* Who is busy for two turns yet gets the next in one piece: it costs less in one message, and the others' come next. And a
 * sixteenth of what a worker wants at hand, which is some milliseconds of work, is not worth dividing. */
static uint32_t least_part(const mr_core *core, const mr_worker *worker) {
    uint64_t little = (worker->credit + worker->sent.count) / 16;
    if (worker->sent.count >= 2 * core->config.turn || little > core->config.turn) little = core->config.turn;
    return little ? (uint32_t)little : 1;
}

/* How many works of the step go to the worker at once: its part, when all that can be sent in this turn is dealt out evenly, or
 * as many as bring it up to what everyone will have out then; but no small change for one who has enough to do. */
static uint32_t stretch(const mr_core *core, const mr_step *step, const mr_worker *worker) {
    const mr_lane *lane = step->lane;
    uint32_t turn = turn_of(core, step, may_send, NULL);
    uint32_t takers = 0, ready = step->list[MR_W_READY].count, out = 0, have = worker->sent.count;
    if (turn > worker->credit) turn = worker->credit;
    for (uint32_t i = 0; i < lane->workers; i++) {
        if (!lane->worker[i]->credit) continue;
        takers++;
        out += lane->worker[i]->sent.count;
    }
    if (ready > lane->credit) ready = (uint32_t)lane->credit;
    uint32_t part = (ready + takers - 1) / takers, least = least_part(core, worker), each = (ready + out + takers - 1) / takers;
    if (each > have && part < each - have) part = each - have;
    if (part < least) part = least;
    if (part > ready) part = ready;
    return part < turn ? part : turn;
}

static bool send_some(mr_core *core) {
    if (!core->credit || !core->count[MR_W_READY]) return false;
    mr_step *step = mr_share_next(core, false, may_send, NULL);
    if (!step) return false;
    mr_worker *worker = next_worker(step->lane);
    uint32_t n = stretch(core, step, worker);
    if (send_room(core, worker, n) != MR_OK) return false;
    tell_step(core, worker, step);
    for (uint32_t i = 0; i < n; i++) send_work(core, worker, mr_work_first(&step->list[MR_W_READY]));
    mr_worker_credit(core, worker, -(int64_t)n);
    mr_share_sent(core, step, n);
    mr_watch_moved(core);
    return true;
}

/* ---- loading ---- */

/* The highest level that has something to begin: merges first, so that few partials wait. -1: none. */
static int level_to_begin(const mr_step *step) {
    for (int level = (int)step->plan.levels - 1; level >= 0; level--)
        if (step->level[level].todo.count) return level;
    return -1;
}

bool mr_step_has_more(const mr_step *step) {
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

typedef struct wish {
    bool asked; /* only for credit that no coming input covers; else also ahead of it */
    bool going; /* a stretch of loads has begun */
    uint64_t free_credit;
} wish;

/* Ahead of credit, half of all inputs is the most: the other half is for what is asked for. It goes in stretches, so that
 * work does not trickle: one begins when a quarter is missing, or when nothing is coming. */
static bool may_load_ahead(const mr_core *core, const mr_lane *lane, bool going) {
    uint64_t inputs = (uint64_t)core->count[MR_W_LOADING] + core->count[MR_W_READY], held = inputs_held(core);
    uint64_t missing = going || !coming(lane) ? 1 : (uint64_t)core->config.load_ahead / 4 + 1;
    return coming(lane) + missing <= mr_lane_limit(core, lane) && inputs + missing <= core->credit + core->config.load_ahead &&
           (held < core->config.max_loads / 2 || held == 0);
}

static bool lane_may_load(const mr_core *core, const mr_lane *lane, const wish *w) {
    return asked_for(lane, w->free_credit) || (!w->asked && may_load_ahead(core, lane, w->going));
}

/* What is under a limit is never loaded ahead of credit: what is ready counts against the limit, and would keep
 * others under it from going. */
static bool may_load(const mr_core *core, const mr_step *step, const void *context) {
    const wish *w = context;
    if (!mr_step_has_more(step) || step->run->leaving || !mr_limit_may_load(core, step)) return false;
    return mr_limit_any(step) ? asked_for(step->lane, w->free_credit) : lane_may_load(core, step->lane, w);
}

static wish wish_now(const mr_core *core, bool going) {
    uint64_t cover = covered(core);
    return (wish){.asked = inputs_held(core) >= core->config.max_loads,
                  .going = going,
                  .free_credit = core->credit > cover ? core->credit - cover : 0};
}

static mr_step *next_to_load(const mr_core *core, const wish *w) {
    bool any = false; /* steps may be many, and lanes are few */
    for (uint32_t i = 0; !any && i < core->lanes; i++) any = lane_may_load(core, core->lane[i], w);
    return any ? mr_share_next(core, true, may_load, w) : NULL;
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

static bool load_next(mr_core *core, mr_step *step, const wish *wanted) {
    if (mr_actions_reserve(core, 2) != MR_OK || mr_works_reserve(core, 1) != MR_OK) return false;
    if (wanted->asked && !make_room(core)) return false;
    mr_work *w = begin(core, step);
    mr_limit_loading(step);
    mr_action *a = mr_act(core, MR_ACT_LOAD);
    a->key = mr_work_key_of(w);
    a->work = w->id;
    a->last = mr_work_last(w);
    return true;
}

/* False when there is nothing more to load, or no room for it. `going`: something was loaded just before. */
static bool load_some(mr_core *core, bool going) {
    wish w = wish_now(core, going);
    mr_step *step = next_to_load(core, &w);
    if (!step) return false;
    uint32_t turn = turn_of(core, step, may_load, &w);
    do {
        if (!load_next(core, step, &w)) return false;
        w = wish_now(core, true);
    } while (--turn && !w.asked && may_load(core, step, &w));
    return true;
}

/* The earliest time at which a rate lets go what could go but for it. */
static uint64_t next_due(const mr_core *core) {
    uint64_t due = UINT64_MAX;
    for (uint32_t i = 0; core->limits && i < core->lives; i++) {
        const mr_step *step = core->live[i];
        uint64_t at = step->lane->credit ? mr_limit_due_ms(step) : 0;
        if (at > core->now_ms && at < due && !mr_limit_paused(step)) due = at;
    }
    return due;
}

void mr_schedule(mr_core *core) {
    core->due_ms = UINT64_MAX;
    if (core->draining) return;
    mr_limits_count(core);
    while (send_some(core)) continue;
    for (bool going = false; load_some(core, going);) going = true;
    core->due_ms = next_due(core);
}
