/* foreign.c: results of runs that are another broker's, or nobody's just now. They are as good as any: the result is
 * checked against what is stored of its run and written, and the run's owner is told. The first one of a batch wins, as
 * the table is unique on it. The run's row is locked against whatever ends the run or gives a batch up at that moment. */
#include "broker/io/broker.h"

typedef struct foreign_job {
    mr_job head;
    mr_commit_job *commit;
} foreign_job;

static const mr_pg_statement lock_run = {
    "foreign_lock", "select id from millrace.run where id = $1 for update", 1, {MR_PG_INT8}};

/* Is the run over, or the batch given up? And how many results of the level below lie in the range? */
static const mr_pg_statement look_at = {
    "foreign_look",
    "select exists (select 1 from millrace.run_end where run_id = $1),"
    " exists (select 1 from millrace.attempt_failure f where f.run_id = $1 and f.step = $2 and f.level = $3 and f.batch = $4"
    " and f.dead and not exists (select 1 from millrace.dead_letter_end d where d.failure_id = f.id and d.action = 'replayed')),"
    " (select count(*) from millrace.result where run_id = $1 and step = $2 and level = $3 - 1 and batch between $5 and $6)",
    6,
    {MR_PG_INT8, MR_PG_INT4, MR_PG_INT2, MR_PG_INT4, MR_PG_INT4, MR_PG_INT4}};

static bool in_plan(const mr_run_info *info, const mr_work_key *k) {
    if (k->step >= info->steps) return false;
    const mr_step_plan *step = &info->plan[k->step];
    return k->level < step->levels && k->index < step->counts[k->level];
}

static mr_status lock(mr_pg *pg, mr_pg_params *p, uint64_t run, bool *there, mr_error *err) {
    mr_pg_result *r = NULL;
    mr_pg_params_clear(p);
    mr_pg_put_int8(p, (int64_t)run);
    MR_TRY(mr_pg_exec(pg, &lock_run, p, &r, err));
    *there = mr_pg_rows(r) == 1;
    mr_pg_result_free(&r);
    return MR_OK;
}

/* MR_COMMITTED: it may be written. */
static mr_status judge(mr_pg *pg, mr_pg_params *p, const mr_run_info *info, const mr_work_key *k, mr_verdict *out, mr_error *err) {
    uint32_t first = 0, children = 0;
    mr_pg_result *r = NULL;
    *out = MR_REFUSED;
    if (!in_plan(info, k)) return MR_OK;
    if (k->level) mr_plan_children(&info->plan[k->step], k->level, k->index, &first, &children);
    mr_pg_params_clear(p);
    mr_pg_put_int8(p, (int64_t)k->run);
    mr_pg_put_int4(p, (int32_t)k->step);
    mr_pg_put_int2(p, (int16_t)k->level);
    mr_pg_put_int4(p, (int32_t)k->index);
    mr_pg_put_int4(p, (int32_t)first);
    mr_pg_put_int4(p, (int32_t)(first + children) - 1);
    MR_TRY(mr_pg_exec(pg, &look_at, p, &r, err));
    mr_pg_row row = mr_pg_row_at(r, 0);
    bool over = mr_pg_bool(&row, 0) || mr_pg_bool(&row, 1);
    bool whole = mr_pg_int(&row, 2) == children;
    mr_status s = mr_pg_row_status(&row, err);
    mr_pg_result_free(&r);
    if (s == MR_OK) *out = over ? MR_STALE : whole ? MR_COMMITTED : MR_REFUSED;
    return s;
}

static mr_status write_known(mr_pg *pg, mr_pg_params *p, const mr_run_info *info, mr_commit_job *c, mr_error *err) {
    const mr_work_key *k = &c->key;
    c->verdict = MR_STALE; /* of a stream: only its owner can tell whether the task still has that number */
    if (!info->stream) MR_TRY(judge(pg, p, info, k, &c->verdict, err));
    if (c->verdict != MR_COMMITTED) return MR_OK;
    c->last = k->level + 1 == info->plan[k->step].levels;
    mr_broker_rows_below(info, k, &c->first_row, &c->rows);
    MR_TRY(mr_ledger_write_one(pg, c, err));
    if (c->verdict != MR_COMMITTED) return MR_OK;
    return mr_lease_notify(pg, err, "result %llu %u %u %u", (unsigned long long)k->run, k->step, k->level, k->index);
}

static mr_status write_result(mr_pg *pg, mr_commit_job *c, mr_error *err) {
    mr_pg_params p;
    mr_pg_outcome outcome;
    mr_run_info *info = NULL;
    bool there = false;
    mr_pg_params_init(&p, NULL, 4096);
    mr_status s = mr_pg_begin(pg, err);
    if (s == MR_OK) s = lock(pg, &p, c->key.run, &there, err);
    if (s == MR_OK && !there) c->verdict = MR_REFUSED;
    if (s == MR_OK && there) s = mr_run_info_read(pg, c->key.run, &info, err);
    if (s == MR_OK && there) s = write_known(pg, &p, info, c, err);
    if (s == MR_OK) s = mr_pg_commit(pg, &outcome, err);
    if (s != MR_OK) mr_pg_rollback(pg);
    mr_run_info_drop(info);
    mr_pg_params_free(&p);
    return s;
}

static void foreign_work(mr_desk *desk, mr_job *head) {
    mr_commit_job *c = ((foreign_job *)head)->commit;
    mr_pg *pg;
    head->status = mr_desk_database(desk, &pg, &head->error);
    if (head->status == MR_OK) head->status = write_result(pg, c, &head->error);
    if (head->status != MR_OK) c->verdict = MR_RETRY;
}

static void foreign_done(mr_broker *b, mr_job *head) {
    foreign_job *job = (foreign_job *)head;
    mr_commit_job *c = job->commit;
    if (head->status != MR_OK && head->status != MR_E_CANCELLED)
        MR_LOG(&b->log, MR_LOG_WARN, "broker", "result_not_stored", MR_LOG_INT("run", c->key.run), MR_LOG_TEXT("reason", head->error.text));
    mr_broker_ack(b, c->peer, c->attempt, head->status == MR_OK ? c->verdict : MR_RETRY);
    mr_commit_job_free(c);
    mr_free(NULL, job, 1, sizeof *job);
}

static void store(mr_broker *b, mr_commit_job *c) {
    foreign_job *job = mr_new(NULL, 1, sizeof *job);
    mr_error full;
    if (!job || mr_broker_planner_full(b, &full)) {
        mr_broker_ack(b, c->peer, c->attempt, MR_RETRY);
        mr_commit_job_free(c);
        mr_free(NULL, job, 1, sizeof *job);
        return;
    }
    job->head.work = foreign_work;
    job->head.done = foreign_done;
    job->commit = c;
    mr_desk_give(&b->planner, &job->head);
}

/* A failure is the owner's to count, and only of its own attempts. */
bool mr_broker_foreign_result(mr_broker *b, uint32_t peer, const mr_wire_result_item *item, mr_commit_job *job) {
    mr_place place = mr_broker_place_of(b, item->run);
    if (place == MR_OURS || mr_broker_run(b, item->run)) return false;
    if (place == MR_TAKING) {
        mr_broker_ack(b, peer, item->attempt, MR_RETRY);
        mr_commit_job_free(job);
    } else if (job) {
        store(b, job);
    } else {
        mr_broker_ack(b, peer, item->attempt, MR_STALE);
    }
    return true;
}
