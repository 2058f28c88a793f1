/* result.c: what becomes of a result. The first valid one of a batch is committed, also when its attempt is
 * not the live one: components are pure, so an attempt of a worker that was thought lost, or from before a
 * restart, is as good. A live attempt elsewhere is cancelled at once and not at the verdict: so a batch with
 * the ledger is in nobody else's hands, and there are never two commits of one key. */
#include "broker/core/state.h"

#include <string.h>

static void answer(mr_core *core, const mr_event *event, mr_verdict verdict) {
    mr_act_ack(core, event->peer, event->as.result.attempt, &event->as.result.key, verdict);
    mr_action *a = mr_act(core, MR_ACT_DROP_BODY);
    a->peer = event->peer;
    a->key = event->as.result.key;
    a->attempt = event->as.result.attempt;
    a->handle = event->as.result.body;
}

static void failed(mr_core *core, const mr_event *event, mr_worker *worker, mr_work *w) {
    bool live = w && w->list == MR_W_SENT && w->worker == worker && w->attempt == event->as.result.attempt;
    answer(core, event, live ? MR_COMMITTED : MR_STALE);
    if (!live) return;
    worker->failed++;
    mr_share_took(core, w, event->as.result.compute_us);
    if (event->as.result.status == MR_E_CANCELLED) /* says nothing about the batch */
        mr_work_back(core, w);
    else
        mr_work_failed(core, w, event->as.result.status, event->as.result.text);
}

/* The work whose list will be COMMITTING; one whose load is under way stays behind for the load's answer. */
static mr_work *take(mr_core *core, mr_step *step, const mr_work_key *key, mr_work *w) {
    if (!w) {
        mr_bits_remove(&step->level[key->level].todo, key->index);
        return mr_work_new(core, step, key->level, key->index, MR_W_COMMITTING);
    }
    if (w->list == MR_W_LOADING) return mr_work_leave_load(core, w, MR_W_COMMITTING);
    mr_work_move(core, w, MR_W_COMMITTING, false);
    return w;
}

static void commit(mr_core *core, const mr_event *event, mr_step *step, mr_work *w) {
    uint64_t attempt = event->as.result.attempt;
    if (w && w->list == MR_W_SENT && w->attempt == attempt && w->worker->peer == event->peer) {
        mr_share_took(core, w, event->as.result.compute_us);
        mr_work_unload(core, w);
    } else if (w) {
        mr_work_recall(core, w);
    }
    w = take(core, step, &event->as.result.key, w);
    w->attempt = attempt;
    mr_action *a = mr_act(core, MR_ACT_COMMIT);
    a->peer = event->peer;
    a->key = event->as.result.key;
    a->attempt = attempt;
    a->work = w->id;
    a->handle = event->as.result.body;
    a->last = mr_work_last(w);
}

/* A task of a stream is known by its number before it is committed, so one that was lost with a broker leaves its number to
 * another: what an attempt of that time found is not this task's. Which tasks were stored when an attempt of an earlier owner
 * was made is not known, so none of them counts. */
static bool of_another_task(const mr_core *core, const mr_step *step, const mr_event *event) {
    uint64_t attempt = event->as.result.attempt;
    return step->run->stream && (attempt < step->since || attempt >= core->next_attempt);
}

void mr_result(mr_core *core, const mr_event *event) {
    const mr_work_key *key = &event->as.result.key;
    mr_worker *worker = mr_worker_by_peer(core, event->peer);
    mr_run *run = mr_run_by_id(core, key->run);
    /* Before its hello nobody knows what a peer may send; it has to come again. */
    if (!worker || (run && !run->opened && run->state == MR_RUN_RUNNING)) {
        answer(core, event, MR_RETRY);
        return;
    }
    if (!run) {
        answer(core, event, key->run <= core->highest_run ? MR_STALE : MR_REFUSED);
        return;
    }
    mr_step *step = mr_step_of_key(run, key);
    if (!step || !mr_worker_offers(worker, step->lane)) {
        answer(core, event, MR_REFUSED);
        return;
    }
    mr_work *w = mr_work_find(core, step, key->level, key->index);
    bool todo = mr_bits_has(&step->level[key->level].todo, key->index);
    bool done = mr_bits_has(&step->level[key->level].done, key->index);
    bool dead = w && w->list == MR_W_DEAD;
    bool left_alone = run->leaving && !done && !(w && w->list == MR_W_SENT); /* the next broker takes it */
    if (left_alone || (w && w->list == MR_W_COMMITTING))
        answer(core, event, MR_RETRY);
    else if (step->state != MR_RUN_RUNNING || done || dead || of_another_task(core, step, event))
        answer(core, event, MR_STALE);
    else if (event->as.result.status != MR_OK)
        failed(core, event, worker, w);
    else if ((w || todo) && !step->waiting)
        commit(core, event, step, w);
    else /* it waits for another step, or is a merge whose children are not all there, which nobody was asked for */
        answer(core, event, mr_step_mergeable(step, key->level, key->index) ? MR_STALE : MR_REFUSED);
}

static void booked(mr_core *core, const mr_event *event, mr_work *w) {
    mr_step *step = w->step;
    mr_worker *worker = mr_worker_by_peer(core, event->as.committed.peer);
    uint32_t level = w->level, index = w->index;
    if (worker) worker->done++;
    mr_watch_moved(core);
    if (event->as.committed.verdict == MR_COMMITTED) core->total.committed++;
    mr_work_move(core, w, MR_W_FREE, true);
    mr_step_done(core, step, level, index);
}

static void not_booked(mr_core *core, mr_work *w) {
    mr_run *run = w->step->run;
    if (w->step->state == MR_RUN_RUNNING) {
        mr_work_move(core, w, MR_W_PENDING, true);
        return;
    }
    mr_work_move(core, w, MR_W_FREE, true);
    mr_run_settle(core, run);
}

/* It would come out the same again. */
static void refused(mr_core *core, const mr_event *event, mr_work *w) {
    if (w->step->state != MR_RUN_RUNNING) {
        not_booked(core, w);
        return;
    }
    w->worker = mr_worker_by_peer(core, event->as.committed.peer);
    if (w->worker) w->worker->failed++;
    mr_work_failed(core, w, event->as.committed.status, event->as.committed.text);
}

mr_status mr_result_committed(mr_core *core, const mr_event *event, mr_error *err) {
    const mr_work_key *key = &event->as.committed.key;
    mr_verdict verdict = event->as.committed.verdict;
    mr_run *run = mr_run_by_id(core, key->run);
    mr_step *step = run ? mr_step_of_key(run, key) : NULL;
    mr_work *w = step ? mr_work_find(core, step, key->level, key->index) : NULL;
    if (!w || w->list != MR_W_COMMITTING || w->attempt != event->as.committed.attempt)
        return mr_fail(err, MR_E_INVALID,
                       "run %llu, step %u, level %u, batch %u: a verdict on attempt %llu, which was "
                       "not to be committed",
                       (unsigned long long)key->run, key->step, key->level, key->index,
                       (unsigned long long)event->as.committed.attempt);
    bool known = verdict == MR_COMMITTED || verdict == MR_STALE;
    bool unfit = verdict == MR_REFUSED && event->as.committed.status != MR_OK;
    mr_act_ack(core, event->as.committed.peer, event->as.committed.attempt, key, known || unfit ? verdict : MR_RETRY);
    if (known)
        booked(core, event, w);
    else if (unfit)
        refused(core, event, w);
    else
        not_booked(core, w);
    return MR_OK;
}
