/* view.c: looking at the core. Numbers of what is in hand are counted from the lists. */
#include "broker/core/state.h"

void mr_core_stats_get(const mr_core *core, mr_core_stats *out) {
    *out = core->total;
    out->runs = core->runs;
    out->workers = core->workers;
    out->loading = core->count[MR_W_LOADING] + core->count[MR_W_ABANDONED];
    out->ready = core->count[MR_W_READY];
    out->sent = core->count[MR_W_SENT];
    out->committing = core->count[MR_W_COMMITTING];
    out->waiting_retry = core->count[MR_W_WAITING];
}

static bool view_run(const mr_run *run, mr_run_view *out) {
    if (!run) return false;
    const mr_limit *own = run->step[0].limit[MR_RULE_RUN];
    *out = (mr_run_view){.run = run->id, .rows = run->rows, .state = run->state, .steps = run->steps,
                         .priority = run->priority, .client = run->client, .paused = own && own->rule.paused,
                         .leaving = run->leaving};
    return true;
}

bool mr_core_rule_at(const mr_core *core, uint32_t i, mr_rule_view *out) {
    if (i >= core->limits) return false;
    const mr_limit *limit = core->limit[i];
    *out = (mr_rule_view){.rule = &limit->rule, .sent = limit->sent, .wanted = mr_limit_wanted(core, limit),
                          .slots = limit->slots, .per_second = limit->per_second};
    return true;
}

uint64_t mr_core_due_ms(const mr_core *core) { return core->due_ms; }

bool mr_core_run_at(const mr_core *core, uint32_t i, mr_run_view *out) {
    return view_run(i < core->runs ? core->run[i] : NULL, out);
}

bool mr_core_run_find(const mr_core *core, uint64_t run, mr_run_view *out) {
    return view_run(mr_run_by_id(core, run), out);
}

static void count_works(const mr_step *step, mr_step_view *out) {
    static const mr_work_list lists[] = {MR_W_LOADING, MR_W_READY, MR_W_SENT, MR_W_COMMITTING};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        const mr_list *l = &step->list[lists[i]];
        for (const mr_work *w = mr_work_first(l); w; w = mr_work_next(l, w)) out->level[w->level].in_hand++;
    }
    const mr_list *dead = &step->list[MR_W_DEAD];
    for (const mr_work *w = mr_work_first(dead); w; w = mr_work_next(dead, w)) out->level[w->level].dead++;
}

bool mr_core_step_at(const mr_core *core, uint64_t run_id, uint32_t number, mr_step_view *out) {
    const mr_run *run = mr_run_by_id(core, run_id);
    if (!run || number >= run->steps) return false;
    const mr_step *step = &run->step[number];
    *out = (mr_step_view){.plan = &step->plan, .state = step->state, .waiting = step->waiting};
    for (uint32_t k = 0; k < step->plan.levels; k++)
        out->level[k] = (mr_level_view){.count = step->plan.counts[k], .done = step->level[k].done.count};
    count_works(step, out);
    return true;
}

bool mr_core_worker_at(const mr_core *core, uint32_t i, mr_worker_view *out) {
    if (i >= core->workers) return false;
    const mr_worker *w = core->worker[i];
    *out = (mr_worker_view){.peer = w->peer, .slots = w->slots, .credit = w->credit, .sent = w->sent.count,
                            .name = w->name, .seen_ms = w->seen_ms, .done = w->done, .failed = w->failed,
                            .offers = w->offers, .offer = w->offer};
    return true;
}

bool mr_core_idle(const mr_core *core) {
    return !core->count[MR_W_LOADING] && !core->count[MR_W_READY] && !core->count[MR_W_SENT] &&
           !core->count[MR_W_COMMITTING] && !core->count[MR_W_ABANDONED];
}
