/* leave.c: runs that another broker goes on with, and results that others have committed. A run that is left hands out
 * nothing new; what is out may still come, what is with the ledger gets its verdict, and then the run may be forgotten. */
#include "broker/core/state.h"

static void drop_lists(mr_core *core, mr_run *run, const mr_work_list *lists, size_t n) {
    for (uint32_t i = 0; i < run->steps; i++)
        for (size_t k = 0; k < n; k++)
            for (mr_work *w; (w = mr_work_first(&run->step[i].list[lists[k]]));) mr_work_drop(core, w);
}

static uint32_t out_of(const mr_run *run) {
    uint32_t out = run->committing;
    for (uint32_t i = 0; i < run->steps; i++) out += run->step[i].list[MR_W_SENT].count;
    return out;
}

static void leave(mr_core *core, mr_run *run) {
    for (uint32_t i = 0; i < core->lives; i++)
        if (core->live[i]->run == run) core->live[i--] = core->live[--core->lives];
    run->left = true;
    core->leaving--;
    core->steps -= run->steps;
    mr_act(core, MR_ACT_RUN_LEFT)->key.run = run->id;
}

mr_status mr_run_leave(mr_core *core, uint64_t id, bool lost, mr_error *err) {
    static const mr_work_list out[] = {MR_W_SENT};
    mr_run *run = mr_run_by_id(core, id);
    if (!run) return mr_fail(err, MR_E_INVALID, "run %llu was not planned here", (unsigned long long)id);
    if (run->ended || run->left) return MR_OK; /* its end is being written */
    if (!run->leaving) core->leaving++;
    run->leaving = true;
    if (lost) drop_lists(core, run, out, 1);
    return MR_OK;
}

/* What came back since: it is not tried again here. */
void mr_leave_sweep(mr_core *core) {
    static const mr_work_list idle[] = {MR_W_PENDING, MR_W_WAITING, MR_W_LOADING, MR_W_READY};
    for (uint32_t i = 0; core->leaving && i < core->runs; i++) {
        mr_run *run = core->run[i];
        if (!run->leaving || run->left) continue;
        drop_lists(core, run, idle, sizeof idle / sizeof *idle);
        if (run->ended) {
            run->left = true;
            core->leaving--;
        } else if (!out_of(run)) {
            leave(core, run);
        }
    }
}

mr_status mr_run_done_elsewhere(mr_core *core, const mr_work_key *key, mr_error *err) {
    mr_step *step;
    MR_TRY(mr_step_planned(core, key, &step, err));
    const mr_run *run = step->run;
    mr_work *w = mr_work_find(core, step, key->level, key->index);
    bool todo = mr_bits_has(&step->level[key->level].todo, key->index);
    if (!run->opened || run->left || step->state != MR_RUN_RUNNING || (!w && !todo)) return MR_OK;
    /* Its verdict will be that it is stale; one that was given up here was replayed, and will be told as that. */
    if (w && (w->list == MR_W_COMMITTING || w->list == MR_W_DEAD)) return MR_OK;
    if (w) mr_work_drop(core, w);
    mr_watch_moved(core);
    mr_step_done(core, step, key->level, key->index);
    return MR_OK;
}
