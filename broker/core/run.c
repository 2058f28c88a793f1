/* run.c: what is done, what can be begun, and when a step or a run has ended. */
#include "broker/core/state.h"

#include <stdio.h>
#include <string.h>

mr_run *mr_run_by_id(const mr_core *core, uint64_t id) { return mr_map_get(&core->by_run, id); }

mr_step *mr_step_of_key(const mr_run *run, const mr_work_key *key) {
    if (key->step >= run->steps) return NULL;
    mr_step *step = &run->step[key->step];
    return key->level < step->plan.levels && key->index < step->plan.counts[key->level] ? step : NULL;
}

mr_status mr_step_planned(const mr_core *core, const mr_work_key *key, mr_step **out, mr_error *err) {
    const mr_run *run = mr_run_by_id(core, key->run);
    *out = run ? mr_step_of_key(run, key) : NULL;
    if (*out) return MR_OK;
    return mr_fail(err, MR_E_INVALID, "run %llu, step %u, level %u, batch %u is not planned here", (unsigned long long)key->run,
                   key->step, key->level, key->index);
}

/* ---- planning ---- */

static mr_status check_step(const mr_run_plan *plan, uint32_t number, mr_error *err) {
    const mr_step_plan *step = &plan->step[number];
    if (step->needs >> number)
        return mr_fail(err, MR_E_INVALID, "run %llu, step %s: it may need only steps that come before it",
                       (unsigned long long)plan->run, step->component);
    if (strnlen(step->component, MR_NAME_MAX) == MR_NAME_MAX || step->shape > MR_STEP_WHOLE)
        return mr_fail(err, MR_E_INVALID, "run %llu: a step has no valid name or shape",
                       (unsigned long long)plan->run);
    mr_step_plan again = *step;
    if (plan->stream) MR_TRY(mr_plan_stream(plan->rows, &again, err));
    else MR_TRY(mr_plan_step(plan->rows, step->batch_rows, &again, err));
    if (again.levels == step->levels &&
        !memcmp(again.counts, step->counts, step->levels * sizeof *again.counts))
        return MR_OK;
    return mr_fail(err, MR_E_INVALID, "run %llu, step %s: its batches do not fit its %llu rows",
                   (unsigned long long)plan->run, step->component, (unsigned long long)plan->rows);
}

static mr_status check_plan(const mr_core *core, const mr_run_plan *plan, mr_error *err) {
    unsigned long long id = plan->run;
    if (mr_run_by_id(core, plan->run)) return mr_fail(err, MR_E_EXISTS, "run %llu is planned already", id);
    if (plan->steps == 0 || plan->steps > MR_STEPS_MAX)
        return mr_fail(err, MR_E_INVALID, "run %llu has %u steps; 1 to %d are possible", id, plan->steps,
                       MR_STEPS_MAX);
    if (plan->priority > MR_PRIORITY_MAX)
        return mr_fail(err, MR_E_INVALID, "run %llu has the priority %u; 1 to %d are possible", id, plan->priority,
                       MR_PRIORITY_MAX);
    if (plan->stream && plan->steps != 1)
        return mr_fail(err, MR_E_INVALID, "run %llu is a stream of %u steps; a stream has one", id, plan->steps);
    for (uint32_t i = 0; i < plan->steps; i++) MR_TRY(check_step(plan, i, err));
    return MR_OK;
}

static mr_status fill_step(mr_core *core, mr_step *step, const mr_step_plan *plan) {
    step->plan = *plan;
    step->since = core->next_attempt;
    for (uint32_t i = 0; i < MR_W_LISTS; i++) mr_list_init(&step->list[i]);
    for (uint32_t k = 0; k < plan->levels; k++) {
        MR_TRY(mr_bits_init(&step->level[k].done, core->config.mem, plan->counts[k], false));
        MR_TRY(mr_bits_init(&step->level[k].todo, core->config.mem, plan->counts[k], k == 0));
    }
    MR_TRY(mr_lane_get(core, plan->component, plan->version, &step->lane));
    step->lane->steps++;
    MR_TRY(mr_share_get(core, step->lane, step->run->client, step->run->priority, &step->share));
    step->share->steps++;
    mr_limit_link(core, step);
    return MR_OK;
}

void mr_run_free(mr_core *core, mr_run *run) {
    const mr_mem *mem = core->config.mem;
    for (uint32_t i = 0; i < run->steps && run->step; i++) {
        mr_step *step = &run->step[i];
        for (uint32_t k = 0; k < MR_LEVELS_MAX; k++) {
            mr_bits_free(&step->level[k].done, mem);
            mr_bits_free(&step->level[k].todo, mem);
        }
        if (step->lane) {
            mr_share_leave(core, step);
            step->lane->steps--;
        }
    }
    mr_free(mem, run->step, run->steps, sizeof *run->step);
    mr_free(mem, run, 1, sizeof *run);
}

static mr_status fill_run(mr_core *core, mr_run *run, const mr_run_plan *plan) {
    *run = (mr_run){.id = plan->run, .rows = plan->rows, .steps = plan->steps, .stream = plan->stream, .open = plan->open,
                    .priority = plan->priority ? plan->priority : MR_PRIORITY};
    mr_sentence(run->client, sizeof run->client, plan->client);
    run->step = mr_new(core->config.mem, plan->steps, sizeof *run->step);
    if (!run->step) return MR_E_MEMORY;
    for (uint32_t i = 0; i < plan->steps; i++) {
        run->step[i].run = run;
        run->step[i].number = i;
        MR_TRY(fill_step(core, &run->step[i], &plan->step[i]));
    }
    return MR_OK;
}

/* Also room to have all steps of all runs alive at once, so that opening a run needs no memory. */
static mr_status run_room(mr_core *core, uint32_t steps) {
    for (uint32_t i = 0; i < core->runs; i++) steps += core->run[i]->steps;
    void *grown = mr_room(core, core->run, &core->run_cap, core->runs + 1);
    if (!grown) return MR_E_MEMORY;
    core->run = grown;
    grown = mr_room(core, core->live, &core->live_cap, steps);
    if (!grown) return MR_E_MEMORY;
    core->live = grown;
    return mr_map_reserve(&core->by_run, core->config.mem, 1);
}

mr_status mr_run_planned(mr_core *core, const mr_run_plan *plan, mr_error *err) {
    MR_TRY(check_plan(core, plan, err));
    mr_run *run = mr_new(core->config.mem, 1, sizeof *run);
    mr_status status = run ? fill_run(core, run, plan) : MR_E_MEMORY;
    if (status == MR_OK) status = run_room(core, plan->steps);
    if (status != MR_OK) {
        if (run) mr_run_free(core, run);
        return mr_fail(err, status, "no memory to plan run %llu", (unsigned long long)plan->run);
    }
    for (uint32_t i = 0; i < run->steps; i++) run->step[i].serial = core->next_serial++;
    core->run[core->runs++] = run;
    core->steps += run->steps;
    mr_map_put(&core->by_run, run->id, run);
    if (run->id > core->highest_run) core->highest_run = run->id;
    return MR_OK;
}

/* ---- done ---- */

bool mr_step_mergeable(const mr_step *step, uint32_t level, uint32_t index) {
    if (level == 0) return true;
    uint32_t first, count;
    mr_plan_children(&step->plan, level, index, &first, &count);
    return mr_bits_has_all(&step->level[level - 1].done, first, count);
}

/* Books it, and lets its parent be begun when that was the last child. A parent that is begun already has had its
 * children, and this one was computed again. */
static void mark_done(const mr_core *core, mr_step *step, uint32_t level, uint32_t index) {
    mr_bits_remove(&step->level[level].todo, index);
    mr_bits_add(&step->level[level].done, index);
    if (level + 1 == step->plan.levels) return;
    uint32_t parent = index / MR_FAN_IN;
    if (mr_bits_has(&step->level[level + 1].done, parent) || !mr_step_mergeable(step, level + 1, parent)) return;
    if (!mr_work_find(core, step, level + 1, parent)) mr_bits_add(&step->level[level + 1].todo, parent);
}

void mr_step_redo(mr_step *step, const mr_work_key *parent, uint32_t children) {
    uint32_t first, count, below = parent->level - 1;
    mr_plan_children(&step->plan, parent->level, parent->index, &first, &count);
    mr_bits_remove(&step->level[parent->level].todo, parent->index);
    for (uint32_t i = 0; i < count; i++)
        if (children >> i & 1 && mr_bits_remove(&step->level[below].done, first + i))
            mr_bits_add(&step->level[below].todo, first + i);
}

static uint32_t dead_of(const mr_step *step) { return step->list[MR_W_DEAD].count; }

static uint64_t count_of(const mr_step *step) {
    uint64_t count = 0;
    for (uint32_t k = 0; k < step->plan.levels; k++) count += step->plan.counts[k];
    return count;
}

/* Nothing of the step is wanted any more. What is with the ledger stays until its verdict. */
static void drop_works(mr_core *core, mr_step *step) {
    static const mr_work_list lists[] = {MR_W_PENDING, MR_W_WAITING, MR_W_LOADING, MR_W_READY, MR_W_SENT};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
        for (mr_work *w; (w = mr_work_first(&step->list[lists[i]]));) mr_work_drop(core, w);
}

static void leave_live(mr_core *core, const mr_step *step) {
    for (uint32_t i = 0; i < core->lives; i++)
        if (core->live[i] == step) core->live[i--] = core->live[--core->lives];
}

static void describe(const mr_step *step, char *out, size_t size) {
    uint32_t dead = dead_of(step);
    if (!dead) {
        if (*step->reason) snprintf(out, size, "%s was not run: %s", step->plan.component, step->reason);
        return;
    }
    int used = snprintf(out, size, "%u of %llu batches of %s failed", dead, (unsigned long long)count_of(step),
                        step->plan.component);
    if (*step->reason) snprintf(out + used, size - (size_t)used, "; the first: %s", step->reason);
}

static void let_next_begin(mr_core *core, mr_run *run);

static void end_step(mr_core *core, mr_step *step, mr_run_state state) {
    step->state = state;
    step->waiting = false;
    leave_live(core, step);
    drop_works(core, step);
    mr_action *a = mr_act(core, MR_ACT_STEP_FINISHED);
    a->key = (mr_work_key){.run = step->run->id, .step = step->number};
    a->state = state;
    a->status = step->why;
    char text[sizeof a->text + 128] = "";
    describe(step, text, sizeof text);
    mr_sentence(a->text, sizeof a->text, text);
    let_next_begin(core, step->run);
}

/* A top that is done is not enough: a batch below it may be computed again because its stored bytes were damaged. */
static bool all_levels_done(const mr_step *step) {
    for (uint32_t k = 0; k < step->plan.levels; k++)
        if (step->level[k].done.count != step->plan.counts[k]) return false;
    return true;
}

bool mr_step_needs_all(const mr_step *step) { return step->plan.shape != MR_STEP_MAP; }

/* A map step ends when each batch is done or dead; with merges, all of them or one dead batch decides. */
static void check_step_end(mr_core *core, mr_step *step) {
    if (step->state != MR_RUN_RUNNING || step->waiting || !step->run->opened || step->run->open) return;
    uint32_t dead = dead_of(step);
    if (all_levels_done(step))
        end_step(core, step, MR_RUN_SUCCEEDED);
    else if (mr_step_needs_all(step) ? dead > 0 : step->level[0].done.count + dead == step->plan.counts[0])
        end_step(core, step, MR_RUN_FAILED);
}

/* What a step needs: a step that has not succeeded yet; NULL when there is none. A failed one comes first. */
static const mr_step *missing(const mr_step *step) {
    const mr_step *found = NULL;
    for (uint32_t i = 0; i < step->number; i++) {
        const mr_step *other = &step->run->step[i];
        if (!(step->plan.needs >> i & 1) || other->state == MR_RUN_SUCCEEDED) continue;
        if (other->state != MR_RUN_RUNNING) return other;
        if (!found) found = other;
    }
    return found;
}

void mr_step_begin(mr_core *core, mr_step *step) {
    step->waiting = false;
    mr_share_open(core, step);
    core->live[core->lives++] = step;
    check_step_end(core, step);
}

static void cannot_begin(mr_core *core, mr_step *step, const mr_step *needed) {
    char text[sizeof step->reason + 32];
    snprintf(text, sizeof text, "it needs %s (step %u), which failed", needed->plan.component, needed->number);
    step->why = needed->why;
    step->not_begun = true;
    mr_sentence(step->reason, sizeof step->reason, text);
    end_step(core, step, MR_RUN_FAILED);
}

/* The steps that wait for nothing any more begin; those that wait for what failed end. What is begun or ended here may
 * in turn end others, always later ones, whose turn comes in this pass or has come in the one inside. */
static void let_next_begin(mr_core *core, mr_run *run) {
    if (run->state != MR_RUN_RUNNING) return;
    for (uint32_t i = 0; i < run->steps; i++) {
        mr_step *step = &run->step[i];
        if (!step->waiting) continue;
        const mr_step *needed = missing(step);
        if (!needed) mr_step_begin(core, step);
        else if (needed->state != MR_RUN_RUNNING) cannot_begin(core, step, needed);
    }
}

void mr_step_done(mr_core *core, mr_step *step, uint32_t level, uint32_t index) {
    mark_done(core, step, level, index);
    check_step_end(core, step);
    mr_run_settle(core, step->run);
}

static void mark_dead(mr_core *core, mr_work *w, uint64_t attempt, mr_status why, const char *text) {
    mr_step *step = w->step;
    if (!*step->reason) {
        step->why = why;
        step->first_dead = attempt;
        mr_sentence(step->reason, sizeof step->reason, text && *text ? text : mr_status_of((int)why)->text);
    }
    mr_work_move(core, w, MR_W_DEAD, false);
    w->attempt = attempt;
}

void mr_step_dead(mr_core *core, mr_work *w, uint64_t attempt, mr_status why, const char *text) {
    mr_step *step = w->step;
    mark_dead(core, w, attempt, why, text);
    check_step_end(core, step);
    mr_run_settle(core, step->run);
}

/* ---- the run's course ---- */

static const mr_step *first_failed(const mr_run *run, uint32_t *failed) {
    const mr_step *first = NULL;
    *failed = 0;
    for (uint32_t i = 0; i < run->steps; i++) {
        if (run->step[i].state != MR_RUN_FAILED) continue;
        if (!first) first = &run->step[i];
        (*failed)++;
    }
    return first;
}

static void end_run(mr_core *core, mr_run *run) {
    uint32_t failed;
    const mr_step *step = first_failed(run, &failed);
    if (run->state == MR_RUN_RUNNING) run->state = step ? MR_RUN_FAILED : MR_RUN_SUCCEEDED;
    run->ended = true;
    core->steps -= run->steps;
    mr_action *a = mr_act(core, MR_ACT_RUN_FINISHED);
    a->key.run = run->id;
    a->state = run->state;
    char text[sizeof a->text + 128] = "";
    if (run->state == MR_RUN_CANCELLED) {
        a->status = MR_E_CANCELLED;
        snprintf(text, sizeof text, "cancelled; what was committed before stays");
    } else if (step) {
        a->status = step->why;
        int used =
            failed > 1 ? snprintf(text, sizeof text, "%u of %u steps failed: ", failed, run->steps) : 0;
        describe(step, text + used, sizeof text - (size_t)used);
    }
    mr_sentence(a->text, sizeof a->text, text);
}

void mr_run_settle(mr_core *core, mr_run *run) {
    if (run->ended || run->left || run->committing || (!run->opened && run->state == MR_RUN_RUNNING)) return;
    for (uint32_t i = 0; i < run->steps; i++)
        if (run->step[i].state == MR_RUN_RUNNING) return;
    end_run(core, run);
}

static mr_run *named(const mr_core *core, uint64_t id, mr_error *err) {
    mr_run *run = mr_run_by_id(core, id);
    if (!run) (void)mr_fail(err, MR_E_INVALID, "run %llu was not planned here", (unsigned long long)id);
    return run;
}

/* The step of what is told of a run that is not opened yet. */
static mr_status step_before(const mr_core *core, const mr_work_key *key, mr_step **out, mr_error *err) {
    MR_TRY(mr_step_planned(core, key, out, err));
    if (!(*out)->run->opened) return MR_OK;
    return mr_fail(err, MR_E_INVALID, "run %llu, step %u, level %u, batch %u was told after the run was opened",
                   (unsigned long long)key->run, key->step, key->level, key->index);
}

mr_status mr_run_done_before(mr_core *core, const mr_work_key *key, mr_error *err) {
    mr_step *step;
    MR_TRY(step_before(core, key, &step, err));
    mark_done(core, step, key->level, key->index);
    return MR_OK;
}

/* One that got its result all the same, or was told twice, is not in `todo`. */
mr_status mr_run_dead_before(mr_core *core, const mr_event *event, mr_error *err) {
    const mr_work_key *key = &event->as.dead.key;
    mr_step *step;
    MR_TRY(step_before(core, key, &step, err));
    if (!mr_bits_remove(&step->level[key->level].todo, key->index)) return MR_OK;
    mark_dead(core, mr_work_new(core, step, key->level, key->index, MR_W_PENDING), event->as.dead.attempt,
              event->as.dead.status, event->as.dead.text);
    return MR_OK;
}

mr_status mr_run_opened(mr_core *core, uint64_t id, mr_error *err) {
    mr_run *run = named(core, id, err);
    if (!run) return MR_E_INVALID;
    if (run->opened || run->state != MR_RUN_RUNNING) return MR_OK;
    run->opened = true;
    for (uint32_t i = 0; i < run->steps; i++) run->step[i].waiting = true;
    let_next_begin(core, run);
    mr_run_settle(core, run);
    return MR_OK;
}

/* ---- streams ---- */

static mr_status named_stream(const mr_core *core, uint64_t id, mr_run **out, mr_error *err) {
    *out = named(core, id, err);
    if (!*out) return MR_E_INVALID;
    if ((*out)->stream && (*out)->open) return MR_OK;
    return mr_fail(err, MR_E_INVALID, "run %llu is not a stream that is open", (unsigned long long)id);
}

mr_status mr_run_grown(mr_core *core, uint64_t id, uint32_t tasks, mr_error *err) {
    mr_run *run;
    MR_TRY(named_stream(core, id, &run, err));
    mr_step *step = &run->step[0];
    mr_level *level = &step->level[0];
    mr_step_plan grown = step->plan;
    MR_TRY(mr_plan_stream(run->rows + tasks, &grown, err));
    if (mr_bits_reserve(&level->done, core->config.mem, grown.counts[0]) != MR_OK ||
        mr_bits_reserve(&level->todo, core->config.mem, grown.counts[0]) != MR_OK)
        return mr_fail(err, MR_E_MEMORY, "no memory for more tasks of run %llu", (unsigned long long)id);
    if (run->opened) mr_share_wake(core, step);
    run->rows += tasks;
    step->plan = grown;
    mr_bits_extend(&level->done, grown.counts[0], false);
    mr_bits_extend(&level->todo, grown.counts[0], step->state == MR_RUN_RUNNING);
    return MR_OK;
}

mr_status mr_run_closed(mr_core *core, uint64_t id, mr_error *err) {
    mr_run *run;
    MR_TRY(named_stream(core, id, &run, err));
    run->open = false;
    check_step_end(core, &run->step[0]);
    mr_run_settle(core, run);
    return MR_OK;
}

mr_status mr_run_cancel(mr_core *core, uint64_t id, mr_error *err) {
    mr_run *run = named(core, id, err);
    if (!run) return MR_E_INVALID;
    if (run->ended || run->left || run->state != MR_RUN_RUNNING) return MR_OK;
    run->state = MR_RUN_CANCELLED;
    for (uint32_t i = 0; i < run->steps; i++)
        if (run->step[i].state == MR_RUN_RUNNING) end_step(core, &run->step[i], MR_RUN_CANCELLED);
    mr_run_settle(core, run);
    return MR_OK;
}

void mr_core_run_forget(mr_core *core, uint64_t id) {
    mr_run *run = mr_run_by_id(core, id);
    if (!run || !(run->ended || run->left)) return;
    for (uint32_t i = 0; i < core->workers; i++)
        for (uint32_t k = 0; k < run->steps; k++) mr_map_remove(&core->worker[i]->told, run->step[k].serial);
    for (uint32_t i = 0; i < core->runs; i++) {
        if (core->run[i] != run) continue;
        memmove(&core->run[i], &core->run[i + 1], (core->runs - i - 1) * sizeof(mr_run *));
        core->runs--;
    }
    mr_map_remove(&core->by_run, id);
    for (uint32_t k = 0; k < run->steps; k++)
        for (mr_work *w; (w = mr_work_first(&run->step[k].list[MR_W_DEAD]));) mr_work_move(core, w, MR_W_FREE, true);
    mr_run_free(core, run);
}
