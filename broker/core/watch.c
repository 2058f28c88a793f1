/* watch.c: the watchdog on progress. Work that could go while nothing moves is a defect somewhere: an input
 * that was asked for and never came, most likely. First an alarm, and such works are queued again; when that
 * does not help either, only a new process can. */
#include "broker/core/state.h"

#include <stdio.h>

void mr_watch_moved(mr_core *core) {
    core->moved_ms = core->now_ms;
    core->alarmed = false;
}

/* Something of this step should be moving: there is work, a worker with credit for it, and no rule against
 * it. */
static bool should_move(const mr_core *core, const mr_step *step) {
    if (!step->lane->credit || core->draining || step->run->leaving || mr_limit_paused(step)) return false;
    if (step->list[MR_W_LOADING].count) return true;
    if (step->list[MR_W_READY].count) return mr_limit_may_send(core, step);
    return core->count[MR_W_SENT] == 0 && mr_step_has_more(step) && mr_limit_may_load(core, step);
}

static const mr_step *first_stuck(const mr_core *core) {
    for (uint32_t i = 0; i < core->lives; i++)
        if (should_move(core, core->live[i])) return core->live[i];
    return NULL;
}

/* Asks for every input anew; answers that come to the old questions are given back. */
static void queue_again(mr_core *core) {
    if (mr_works_reserve(core, core->count[MR_W_LOADING]) != MR_OK) return;
    for (uint32_t i = 0; i < core->lives; i++)
        for (mr_work *w; (w = mr_work_last_of(&core->live[i]->list[MR_W_LOADING]));)
            mr_work_move(core, mr_work_leave_load(core, w, MR_W_PENDING), MR_W_PENDING, true);
}

static void alarm(mr_core *core, const mr_step *step) {
    mr_action *a = mr_act(core, MR_ACT_STALLED);
    a->key = (mr_work_key){.run = step->run->id, .step = step->number};
    a->fatal = core->alarmed;
    snprintf(a->text, sizeof a->text,
             "nothing moved for %llu ms: step %s has %u inputs on the way and %u ready, its workers have "
             "credit for %llu; "
             "in all %u are out and %u are being committed",
             (unsigned long long)(core->now_ms - core->moved_ms), step->plan.component,
             step->list[MR_W_LOADING].count, step->list[MR_W_READY].count,
             (unsigned long long)step->lane->credit, core->count[MR_W_SENT], core->count[MR_W_COMMITTING]);
}

void mr_watch_tick(mr_core *core) {
    if (!core->config.stall_ms) return;
    mr_limits_count(core);
    const mr_step *stuck = first_stuck(core);
    if (!stuck) mr_watch_moved(core);
    if (!stuck || core->now_ms - core->moved_ms < core->config.stall_ms * (core->alarmed ? UINT64_C(2) : 1))
        return;
    alarm(core, stuck);
    if (core->alarmed)
        mr_watch_moved(core); /* whoever does not stop is warned again */
    else {
        queue_again(core);
        core->alarmed = true;
    }
}
