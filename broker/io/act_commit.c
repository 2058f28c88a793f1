/* act_commit.c: results, failed attempts and ends of runs go to the ledger. */
#include "broker/io/act.h"

#include <stdio.h>
#include <string.h>

/* ---- results ---- */

/* Results come and go by the thousand, all on this thread: their jobs are used again. */
mr_commit_job *mr_broker_commit_new(mr_broker *b) {
    mr_commit_job *job = b->spare_commits;
    if (!job) return mr_new(NULL, 1, sizeof *job);
    b->spare_commits = (mr_commit_job *)job->head.next;
    b->spares--;
    memset((char *)job + sizeof job->head, 0, sizeof *job - sizeof job->head);
    job->head.status = MR_OK;
    job->head.next = NULL;
    return job;
}

void mr_broker_commit_free(mr_broker *b, mr_commit_job *job) {
    enum { SPARES_MAX = 8192 };
    if (!job) return;
    if (b->spares == SPARES_MAX) {
        mr_commit_job_free(job);
        return;
    }
    mr_commit_job_clear(job);
    job->head.next = (mr_job *)b->spare_commits;
    b->spare_commits = job;
    b->spares++;
}

void mr_broker_spares_free(mr_broker *b) {
    for (mr_commit_job *job; (job = b->spare_commits);) {
        b->spare_commits = (mr_commit_job *)job->head.next;
        mr_commit_job_free(job);
    }
}

static void commit_done(mr_broker *b, mr_job *head) {
    mr_commit_job *job = (mr_commit_job *)head;
    mr_event e = {.type = MR_EV_COMMITTED};
    e.as.committed.key = job->key;
    e.as.committed.attempt = job->attempt;
    e.as.committed.peer = job->peer;
    e.as.committed.verdict = head->status == MR_OK ? job->verdict : MR_RETRY;
    e.as.committed.status = job->verdict == MR_REFUSED ? head->error.status : MR_OK;
    e.as.committed.text = head->error.text;
    const mr_live_run *run = mr_broker_run(b, job->key.run);
    bool known = e.as.committed.verdict == MR_COMMITTED || e.as.committed.verdict == MR_STALE;
    if (run && run->stream && known) mr_stream_done(b, run->stream, job);
    mr_broker_event(b, &e);
    mr_broker_commit_free(b, job);
}

/* The rows that a result is about: those of all the batches below it. */
void mr_broker_rows_below(const mr_run_info *info, const mr_work_key *key, uint64_t *first, uint64_t *rows) {
    uint64_t span = info->plan[key->step].batch_rows;
    *first = key->index;
    *rows = 1;
    if (info->stream) return; /* a task */
    for (uint32_t i = 0; i < key->level; i++) span *= MR_FAN_IN;
    *first = key->index * span;
    uint64_t left = info->rows - *first;
    *rows = span < left ? span : left;
}

void mr_broker_commit(mr_broker *b, const mr_action *a) {
    mr_commit_job *job = (mr_commit_job *)(uintptr_t)a->handle;
    mr_live_run *run = mr_broker_run(b, a->key.run);
    MR_ASSERT(run); /* core commits for runs that it knows */
    job->head.done = commit_done;
    job->last = a->last;
    job->peer = a->peer;
    job->attempt = a->attempt;
    job->epoch = mr_broker_epoch(b, a->key.run);
    mr_broker_rows_below(run->info, &a->key, &job->first_row, &job->rows);
    if (!run->stream || !mr_stream_holds_result(b, run->stream, job)) mr_broker_gather(&b->out_commits, &job->head);
}

void mr_broker_forget_run(mr_broker *b, uint64_t id) {
    mr_live_run *run = mr_broker_run(b, id);
    mr_core_run_forget(b->core, id);
    if (!run) return;
    b->forgot[b->forgotten++ % MR_FORGOT] = id;
    mr_broker_run_free(b, run);
}

/* The end of a run is written when its failures are. One that has a dead letter without a row is read again instead: the batch
 * is pending in the database, and so it is tried again. */
static void end_run(mr_broker *b, mr_live_run *run) {
    uint64_t id = run->run;
    if (!run->ending || run->failures) return;
    if (run->unbooked) {
        mr_broker_forget_run(b, id);
        mr_broker_recover(b, id);
        return;
    }
    mr_desk_give(&b->ledger, &run->ending->head);
    run->ending = NULL;
}

static void failure_done(mr_broker *b, mr_job *head) {
    const mr_failure_job *job = (const mr_failure_job *)head;
    if (mr_status_of((int)head->status)->retryable) {
        mr_broker_try_again(b, head);
        return;
    }
    mr_live_run *run = mr_broker_run(b, job->key.run);
    if (run && run->stream && job->dead && head->status == MR_OK)
        mr_stream_dead(b, run->stream, job->key.index, job->cause, job->reason);
    if (run) {
        run->failures -= run->failures > 0;
        run->unbooked |= job->dead && head->status != MR_OK;
        end_run(b, run);
    }
    mr_free(NULL, head, 1, sizeof(mr_failure_job));
}

/* NULL when the worker said no more than the core has kept. */
static const mr_long_text *long_text_of(const mr_broker *b, uint64_t attempt) {
    for (uint32_t i = 0; i < MR_LONG_TEXTS; i++)
        if (b->long_text[i].attempt == attempt && attempt) return &b->long_text[i];
    return NULL;
}

void mr_broker_record_failure(mr_broker *b, const mr_action *a) {
    const mr_peer *peer = mr_peer_numbered(&b->peers, a->peer);
    MR_LOG(&b->log, MR_LOG_WARN, "broker", "attempt_failed", MR_LOG_INT("run", a->key.run), MR_LOG_INT("step", a->key.step),
           MR_LOG_INT("level", a->key.level), MR_LOG_INT("batch", a->key.index), MR_LOG_BOOL("dead", a->dead),
           MR_LOG_TEXT("reason", a->text));
    mr_broker_publish(b, "attempt_failed", "broker", "run=%llu step=%u batch=%u status=%s", (unsigned long long)a->key.run,
                      a->key.step, a->key.index, mr_status_of((int)a->status)->name);
    mr_live_run *run = mr_broker_run(b, a->key.run);
    mr_failure_job *job = mr_new(NULL, 1, sizeof *job);
    if (run) run->failures += job || a->dead; /* without its dead letter a run does not end; the next start finds it */
    if (!job) return;
    job->head.work = mr_failure_work;
    job->head.done = failure_done;
    job->epoch = mr_broker_epoch(b, a->key.run);
    job->key = a->key;
    job->attempt = a->attempt;
    job->cause = a->status;
    job->dead = a->dead;
    snprintf(job->worker, sizeof job->worker, "%s", peer ? peer->name : "");
    const mr_long_text *more = long_text_of(b, a->attempt);
    snprintf(job->reason, sizeof job->reason, "%s", more && more->text[0] ? more->text : a->text);
    if (more) memcpy(job->log, more->log, sizeof job->log);
    if (!run || !run->stream || !mr_stream_holds(run->stream, a->key.index, &job->head)) mr_desk_give(&b->ledger, &job->head);
}

/* ---- the end of a run ---- */

static void run_end_done(mr_broker *b, mr_job *head) {
    mr_run_end_job *job = (mr_run_end_job *)head;
    if (mr_status_of((int)head->status)->retryable) {
        mr_broker_try_again(b, head);
        return;
    }
    if (head->status != MR_OK) /* without a row for its end the run is found, and ended, at the next start */
        MR_LOG(&b->log, MR_LOG_ERROR, "ledger", "run_end_failed", MR_LOG_INT("run", job->run), MR_LOG_TEXT("reason", head->error.text));
    mr_broker_forget_run(b, job->run);
    mr_free(NULL, job, 1, sizeof *job);
}

/* [done, dead, state] of each step, as run_show reads it. */
static void counts_json(mr_broker *b, uint64_t run, char *out, size_t size) {
    mr_step_view v;
    size_t n = (size_t)snprintf(out, size, "[");
    for (uint32_t i = 0; n < size && mr_core_step_at(b->core, run, i, &v); i++) {
        uint64_t done = 0, dead = 0;
        for (uint32_t l = 0; l < v.plan->levels; l++) {
            done += v.level[l].done;
            dead += v.level[l].dead;
        }
        n += (size_t)snprintf(out + n, size - n, "%s[%llu, %llu, %d]", i ? ", " : "", (unsigned long long)done,
                              (unsigned long long)dead, (int)v.state);
    }
    if (n + 1 < size) snprintf(out + n, size - n, "]");
    else snprintf(out, size, "[]");
}

void mr_broker_run_finished(mr_broker *b, const mr_action *a) {
    static const char *const words[] = {"running", "succeeded", "failed", "cancelled"};
    char object[32];
    snprintf(object, sizeof object, "run:%llu", (unsigned long long)a->key.run);
    MR_LOG(&b->log, MR_LOG_INFO, object, "run_finished", MR_LOG_TEXT("state", words[a->state]), MR_LOG_TEXT("reason", a->text));
    mr_broker_publish(b, "run_finished", object, "state=%s", words[a->state]);
    if (a->state == MR_RUN_CANCELLED) { /* its end is committed already */
        mr_broker_forget_run(b, a->key.run);
        return;
    }
    mr_live_run *run = mr_broker_run(b, a->key.run);
    mr_run_end_job *job = mr_new(NULL, 1, sizeof *job);
    if (!job) return; /* found again, and ended, at the next start */
    job->head.work = mr_run_end_work;
    job->head.done = run_end_done;
    job->epoch = mr_broker_epoch(b, a->key.run);
    job->run = a->key.run;
    job->life = run ? run->life : 0;
    job->state = a->state;
    snprintf(job->reason, sizeof job->reason, "%s", a->text);
    counts_json(b, a->key.run, job->counts, sizeof job->counts);
    if (!run) {
        mr_desk_give(&b->ledger, &job->head);
        return;
    }
    run->ending = job;
    end_run(b, run);
}
