/* replay.c: batches that were given up and are to be tried again while their run goes on. A batch has no past then: its
 * budgets are whole, and its next attempt has a number of its own, as any. A step that had failed of it goes on, and with it
 * the steps that failed because they need it. */
#include "broker/core/state.h"

static void forget_reason(mr_step *step, uint64_t attempt) {
    if (step->first_dead != attempt) return;
    step->first_dead = 0;
    step->reason[0] = '\0';
    if (!step->list[MR_W_DEAD].count) step->why = MR_OK;
}

/* When the step failed, its works were dropped: what nobody has is to be done again. */
static void fill_todo(mr_core *core, mr_step *step) {
    for (uint32_t k = 0; k < step->plan.levels; k++)
        for (uint32_t i = 0; i < step->plan.counts[k]; i++)
            if (!mr_bits_has(&step->level[k].done, i) && mr_step_mergeable(step, k, i) && !mr_work_find(core, step, k, i))
                mr_bits_add(&step->level[k].todo, i);
}

static bool needs_failed(const mr_step *step) {
    for (uint32_t i = 0; i < step->number; i++)
        if (step->plan.needs >> i & 1 && step->run->step[i].state == MR_RUN_FAILED) return true;
    return false;
}

/* Those that failed only because of it, and because of each other, wait again; what they need comes before them. */
static void let_others_wait(mr_run *run) {
    for (uint32_t i = 0; i < run->steps; i++) {
        mr_step *step = &run->step[i];
        if (step->state != MR_RUN_FAILED || !step->not_begun || needs_failed(step)) continue;
        step->state = MR_RUN_RUNNING;
        step->waiting = true;
        step->not_begun = false;
        step->why = MR_OK;
        step->reason[0] = '\0';
    }
}

/* A map step has nothing left but what was given up; one that needs all its batches goes on when none is given up. */
static void reopen(mr_core *core, mr_step *step) {
    bool needs_all = mr_step_needs_all(step);
    if (step->state != MR_RUN_FAILED || step->not_begun || (needs_all && step->list[MR_W_DEAD].count)) return;
    step->state = MR_RUN_RUNNING;
    if (needs_all) fill_todo(core, step);
    let_others_wait(step->run);
    mr_step_begin(core, step);
}

mr_status mr_run_replay(mr_core *core, const mr_work_key *key, uint64_t attempt, mr_error *err) {
    mr_step *step;
    MR_TRY(mr_step_planned(core, key, &step, err));
    const mr_run *run = step->run;
    mr_work *w = mr_work_find(core, step, key->level, key->index);
    if (run->ended || run->leaving || run->state != MR_RUN_RUNNING) return MR_OK; /* whoever reads it next knows */
    if (!w || w->list != MR_W_DEAD || w->attempt != attempt) return MR_OK;
    if (run->opened && step->state == MR_RUN_RUNNING && !step->waiting) mr_share_wake(core, step);
    mr_work_move(core, w, MR_W_FREE, true);
    forget_reason(step, attempt);
    if (mr_step_mergeable(step, key->level, key->index)) mr_bits_add(&step->level[key->level].todo, key->index);
    reopen(core, step);
    return MR_OK;
}
