/* core.c: the life of the core, and the way of an event through it. */
#include "broker/core/state.h"

void *mr_room(const mr_core *core, void *array, uint32_t *cap, uint32_t need) {
    if (array && need <= *cap) return array;
    uint32_t more = *cap ? *cap : 16;
    while (more < need) more *= 2;
    void *grown = mr_grow(core->config.mem, array, *cap, more, sizeof(void *));
    if (grown) *cap = more;
    return grown;
}

mr_status mr_core_new(const mr_core_config *config, mr_core **out) {
    mr_core *core = mr_new(config->mem, 1, sizeof *core);
    *out = core;
    if (!core) return MR_E_MEMORY;
    core->config = *config;
    core->next_attempt = config->first_attempt ? config->first_attempt : 1;
    mr_rng_stream(&core->rng, config->seed, 1, 0);
    mr_list_init(&core->free);
    mr_list_init(&core->abandoned);
    for (uint32_t i = 0; i < MR_WHEEL_SLOTS; i++) mr_list_init(&core->wheel[i]);
    return MR_OK;
}

void mr_core_free(mr_core **at) {
    mr_core *core = *at;
    if (!core) return;
    const mr_mem *mem = core->config.mem;
    for (uint32_t i = 0; i < core->workers; i++) mr_worker_free(core, core->worker[i]);
    for (uint32_t i = 0; i < core->runs; i++) mr_run_free(core, core->run[i]);
    mr_limits_free(core);
    for (uint32_t i = 0; i < core->lanes; i++) core->lane[i]->workers = core->lane[i]->steps = 0;
    mr_lanes_sweep(core);
    mr_works_free(core);
    mr_free(mem, core->worker, core->worker_cap, sizeof *core->worker);
    mr_free(mem, core->run, core->run_cap, sizeof *core->run);
    mr_free(mem, core->live, core->live_cap, sizeof *core->live);
    mr_free(mem, core->lane, core->lane_cap, sizeof *core->lane);
    mr_map_free(&core->by_key, mem);
    mr_map_free(&core->by_attempt, mem);
    mr_map_free(&core->by_run, mem);
    mr_map_free(&core->by_peer, mem);
    mr_free(mem, core->actions.item, core->actions.cap, sizeof *core->actions.item);
    mr_free(mem, core, 1, sizeof *core);
    *at = NULL;
}

/* ---- events ---- */

static uint32_t in_hand(const mr_core *core) {
    return core->count[MR_W_LOADING] + core->count[MR_W_READY] + core->count[MR_W_SENT] +
           core->count[MR_W_COMMITTING] + core->count[MR_W_ABANDONED];
}

/* All that an event may need: at most CANCEL, UNLOAD and RECORD_FAILURE for each work in hand, WORKER_LOST
 * for each worker, STEP_FINISHED for each step, RUN_FINISHED for each run; and one slot for a work. */
static mr_status prepare(mr_core *core) {
    MR_TRY(mr_actions_reserve(core, 8 + 3 * (size_t)in_hand(core) + core->workers + core->steps + core->runs));
    return mr_works_reserve(core, 1);
}

static void credit(mr_core *core, mr_worker *w, const mr_event *event) {
    if (w) mr_worker_credit(core, w, event->as.credit);
}

static void gone(mr_core *core, mr_worker *w) {
    if (w) mr_worker_gone(core, w);
}

static void release(mr_core *core, mr_worker *w, const mr_event *event) {
    mr_work *work = mr_map_get(&core->by_attempt, event->as.attempt);
    if (!w || !work || work->worker != w) return;
    mr_share_refund(work);
    mr_work_back(core, work);
}

static void drain(mr_core *core) {
    core->draining = true;
    for (uint32_t i = 0; i < core->lanes; i++) mr_lane_trim(core, core->lane[i]);
}

/* When the broker itself was stopped, what workers sent meanwhile waits in its queues: their silence is its
 * own, and so is the standstill. */
static void forgive(mr_core *core, uint64_t now_ms) {
    if (!core->started || now_ms - core->now_ms <= core->config.lost_after_ms / 2) return;
    for (uint32_t i = 0; i < core->workers; i++) core->worker[i]->seen_ms = now_ms;
    core->moved_ms = now_ms;
}

static void tick(mr_core *core) {
    mr_workers_tick(core);
    mr_deadlines_tick(core);
    mr_retries_tick(core);
    mr_lanes_sweep(core);
    mr_watch_tick(core);
}

static mr_status take(mr_core *core, mr_worker *w, const mr_event *event, mr_error *err) {
    switch (event->type) {
    case MR_EV_WORKER_JOINED: return mr_worker_joined(core, event, err);
    case MR_EV_PEER_GONE: gone(core, w); return MR_OK;
    case MR_EV_CREDIT: credit(core, w, event); return MR_OK;
    case MR_EV_RESULT: mr_result(core, event); return MR_OK;
    case MR_EV_RELEASE: release(core, w, event); return MR_OK;
    case MR_EV_RUN_PLANNED: return mr_run_planned(core, event->as.plan, err);
    case MR_EV_DONE_BEFORE: return mr_run_done_before(core, &event->as.key, err);
    case MR_EV_DEAD_BEFORE: return mr_run_dead_before(core, event, err);
    case MR_EV_RUN_OPENED: return mr_run_opened(core, event->as.run, err);
    case MR_EV_RUN_GROWN: return mr_run_grown(core, event->as.grown.run, event->as.grown.tasks, err);
    case MR_EV_RUN_CLOSED: return mr_run_closed(core, event->as.run, err);
    case MR_EV_REPLAY: return mr_run_replay(core, &event->as.replay.key, event->as.replay.attempt, err);
    case MR_EV_RUN_CANCEL: return mr_run_cancel(core, event->as.run, err);
    case MR_EV_RUN_LEAVE: return mr_run_leave(core, event->as.run, false, err);
    case MR_EV_RUN_LOST: return mr_run_leave(core, event->as.run, true, err);
    case MR_EV_DONE_ELSEWHERE: return mr_run_done_elsewhere(core, &event->as.key, err);
    case MR_EV_LOADED: return mr_loaded(core, event, err);
    case MR_EV_LOAD_FAILED: return mr_load_failed(core, event, err);
    case MR_EV_LOAD_DAMAGED: return mr_load_damaged(core, event, err);
    case MR_EV_LOADING: mr_watch_moved(core); return MR_OK;
    case MR_EV_COMMITTED: return mr_result_committed(core, event, err);
    case MR_EV_RULE: return mr_limit_set(core, event->as.rule, err);
    case MR_EV_LIMITS_SHARED: mr_limits_share(core, event->as.shared); return MR_OK;
    case MR_EV_ALLOWANCE: mr_limit_allow(core, &event->as.allowance); return MR_OK;
    case MR_EV_DRAIN: drain(core); return MR_OK;
    case MR_EV_TICK: tick(core); return MR_OK;
    case MR_EV_PEER_SEEN:
    case MR_EV_PROGRESS: return MR_OK; /* that it was seen is all */
    }
    return mr_fail(err, MR_E_INVALID, "there is no event %d", (int)event->type);
}

static bool from_peer(mr_event_type type) { return type <= MR_EV_PROGRESS; }

mr_status mr_core_take(mr_core *core, uint64_t now_ms, const mr_event *event, mr_error *err) {
    if (prepare(core) != MR_OK) return mr_fail(err, MR_E_MEMORY, "the broker has no memory to take an event");
    if (now_ms < core->now_ms) now_ms = core->now_ms;
    forgive(core, now_ms);
    core->now_ms = now_ms;
    if (!core->started) {
        core->wheel_at = now_ms / MR_WHEEL_MS;
        core->moved_ms = now_ms;
    }
    core->started = true;
    mr_worker *w = from_peer(event->type) ? mr_worker_by_peer(core, event->peer) : NULL;
    if (w) w->seen_ms = now_ms;
    MR_TRY(take(core, w, event, err));
    mr_leave_sweep(core);
    return MR_OK;
}

void mr_core_hand_out(mr_core *core) { mr_schedule(core); }

mr_status mr_core_step(mr_core *core, uint64_t now_ms, const mr_event *event, mr_error *err) {
    MR_TRY(mr_core_take(core, now_ms, event, err));
    mr_core_hand_out(core);
    return MR_OK;
}
