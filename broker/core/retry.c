/* retry.c: loads that are answered, attempts that fail, and when they are tried again: after a random time
 * between 0 and a bound that doubles with each failure ("full jitter": Brooker, Exponential Backoff and
 * Jitter, 2015). The waiting are on a hashed timing wheel (Varghese and Lauck 1987, scheme 6). */
#include "broker/core/state.h"

/* A load that fails says nothing of the batch, only that the database is away: when it is back, all must go on at once. */
enum { LOAD_WAIT_MAX_MS = 1000 };

static uint64_t backoff_ms(mr_core *core, uint32_t failures, uint64_t max) {
    uint64_t bound = core->config.retry_base_ms;
    for (uint32_t i = 1; i < failures && bound < max; i++) bound *= 2;
    if (bound > max) bound = max;
    return 1 + mr_rng_below(&core->rng, bound + 1);
}

static void wait_for(mr_core *core, mr_work *w, uint64_t ms) {
    mr_work_unload(core, w);
    w->at_ms = core->now_ms + ms;
    mr_work_move(core, w, MR_W_WAITING, false);
}

static mr_budget budget_of(mr_status status) {
    switch (status) {
    case MR_E_CRASHED:
    case MR_E_MEMORY: return MR_BUDGET_CRASHES;
    case MR_E_DEADLINE: return MR_BUDGET_TIMEOUTS;
    default: return MR_BUDGET_ERRORS;
    }
}

/* Gives the attempt's number. */
static uint64_t record(mr_core *core, const mr_work *w, mr_status status, const char *text, bool dead) {
    mr_action *a = mr_act(core, MR_ACT_RECORD_FAILURE);
    a->peer = w->worker ? w->worker->peer : 0;
    a->key = mr_work_key_of(w);
    a->attempt = w->attempt ? w->attempt : core->next_attempt++;
    a->work = w->id;
    a->status = status;
    a->dead = dead;
    mr_sentence(a->text, sizeof a->text, text && *text ? text : mr_status_of((int)status)->text);
    core->total.failed++;
    return a->attempt;
}

/* What the status table does not call retryable comes out the same each time: that ends the batch at once. */
static bool used_up(const mr_core *core, const mr_work *w, mr_status status) {
    const uint32_t most[MR_BUDGETS] = {core->config.max_errors, core->config.max_crashes, core->config.max_timeouts};
    mr_budget budget = budget_of(status);
    if (budget == MR_BUDGET_ERRORS && !mr_status_of((int)status)->retryable) return true;
    return w->failed[budget] >= most[budget];
}

static uint32_t failures_of(const mr_work *w) {
    uint32_t sum = 0;
    for (int i = 0; i < MR_BUDGETS; i++) sum += w->failed[i];
    return sum;
}

void mr_work_failed(mr_core *core, mr_work *w, mr_status status, const char *text) {
    w->failed[budget_of(status)]++;
    mr_watch_moved(core);
    bool dead = used_up(core, w, status);
    uint64_t attempt = record(core, w, status, text, dead);
    if (!dead) {
        wait_for(core, w, backoff_ms(core, failures_of(w), core->config.retry_max_ms));
        return;
    }
    mr_work_unload(core, w);
    mr_step_dead(core, w, attempt, status, text);
}

/* ---- loads ---- */

/* The work that the answer is for; an abandoned one is freed by it. NULL: nobody waits. */
static mr_status answered(mr_core *core, const mr_event *event, mr_work **out, mr_error *err) {
    mr_work *w = mr_work_by_id(core, event->as.loaded.work);
    if (!w || (w->list != MR_W_LOADING && w->list != MR_W_ABANDONED))
        return mr_fail(err, MR_E_INVALID, "work %u: an input that was not asked for", event->as.loaded.work);
    *out = w->list == MR_W_LOADING ? w : NULL;
    if (w->list == MR_W_ABANDONED) mr_work_move(core, w, MR_W_FREE, true);
    if (*out) mr_watch_moved(core);
    return MR_OK;
}

mr_status mr_loaded(mr_core *core, const mr_event *event, mr_error *err) {
    mr_work *w;
    MR_TRY(answered(core, event, &w, err));
    if (!w) {
        mr_action *a = mr_act(core, MR_ACT_UNLOAD);
        a->work = event->as.loaded.work;
        a->handle = event->as.loaded.blob;
        return MR_OK;
    }
    w->blob = event->as.loaded.blob;
    w->load_failures = 0;
    mr_work_move(core, w, MR_W_READY, false);
    if (mr_limit_paused(w->step)) { /* since it was asked for */
        mr_work_unload(core, w);
        mr_work_move(core, w, MR_W_PENDING, true);
        return MR_OK;
    }
    mr_lane_trim(core, w->step->lane);
    return MR_OK;
}

mr_status mr_load_failed(mr_core *core, const mr_event *event, mr_error *err) {
    mr_status status = event->as.loaded.status;
    mr_work *w;
    MR_TRY(answered(core, event, &w, err));
    if (!w) return MR_OK;
    if (status != MR_E_CORRUPT && mr_status_of((int)status)->retryable) {
        uint64_t most = core->config.retry_max_ms;
        wait_for(core, w, backoff_ms(core, ++w->load_failures, most < LOAD_WAIT_MAX_MS ? most : LOAD_WAIT_MAX_MS));
        return MR_OK;
    }
    mr_work_failed(core, w, status, event->as.loaded.text);
    return MR_OK;
}

/* Comes back when its children are there again. One with a worker or the ledger has its input, or needs none any more. */
static void wait_for_children(mr_core *core, mr_work *w) {
    static const mr_work_list waits[] = {MR_W_PENDING, MR_W_WAITING, MR_W_LOADING};
    for (size_t i = 0; w && i < sizeof waits / sizeof *waits; i++)
        if (w->list == waits[i]) {
            mr_work_drop(core, w);
            return;
        }
}

mr_status mr_load_damaged(mr_core *core, const mr_event *event, mr_error *err) {
    const mr_work_key *key = &event->as.loaded.key;
    mr_work *w;
    MR_TRY(answered(core, event, &w, err));
    if (w) mr_work_move(core, w, MR_W_FREE, true);
    mr_run *run = mr_run_by_id(core, key->run);
    mr_step *step = run ? mr_step_of_key(run, key) : NULL;
    if (!step || !key->level || step->state != MR_RUN_RUNNING) return MR_OK;
    wait_for_children(core, mr_work_find(core, step, key->level, key->index));
    mr_step_redo(step, key, event->as.loaded.children);
    return MR_OK;
}

/* ---- time ---- */

static void wake(mr_core *core, mr_list *slot) {
    for (mr_work *w = mr_work_side_first(slot), *next; w; w = next) {
        next = mr_work_side_next(slot, w);
        if (w->at_ms <= core->now_ms) mr_work_move(core, w, MR_W_PENDING, false);
    }
}

/* The slot of now is looked at again the next time: it may hold times that are yet to come. */
void mr_retries_tick(mr_core *core) {
    uint64_t now = core->now_ms / MR_WHEEL_MS;
    if (now - core->wheel_at >= MR_WHEEL_SLOTS) core->wheel_at = now - MR_WHEEL_SLOTS + 1;
    for (uint64_t at = core->wheel_at; at <= now; at++) wake(core, &core->wheel[at % MR_WHEEL_SLOTS]);
    core->wheel_at = now;
}

static bool overdue(const mr_core *core, const mr_work *w) {
    uint64_t limit = (uint64_t)w->step->plan.deadline_ms + core->config.lost_after_ms;
    return w->step->plan.deadline_ms && core->now_ms - w->at_ms > limit;
}

/* All attempts of a step have the same time, so the one that was sent first is due first. */
void mr_deadlines_tick(mr_core *core) {
    for (uint32_t i = core->lives; i-- > 0;) {
        mr_step *step = core->live[i];
        for (mr_work *w; step->state == MR_RUN_RUNNING && (w = mr_work_first(&step->list[MR_W_SENT]));) {
            if (!overdue(core, w)) break;
            mr_act_cancel(core, w);
            mr_share_took(core, w, UINT64_MAX);
            mr_work_failed(core, w, MR_E_DEADLINE, "no result within the deadline, though its worker lives");
        }
    }
}
