/* replay.c: dead letters of runs that go on. Whichever broker is asked marks them, begins the run's next life in the same
 * transaction and tells all; the run's owner then reads what was replayed in the lives that it does not know, and tells its
 * core. When it dies before that nothing is lost: the batches have neither a result nor an open letter, so whoever reads the
 * run next finds them undone. A letter and the life that began with it have the time of their transaction in common. */
#include "broker/io/broker.h"
#include "broker/io/delivery.h"

#include <string.h>

enum { LETTERS_MAX = 1 << 30 };

static const mr_pg_statement replays = {
    "replay_read",
    "select k.run, o.life, f.step, f.level, f.batch, f.attempt from unnest($1::bigint[], $2::int[]) k (run, life)"
    " join millrace.run_reopen o on o.run_id = k.run and o.life > k.life"
    " left join lateral (select a.* from millrace.attempt_failure a join millrace.dead_letter_end d on d.failure_id = a.id"
    "  where a.run_id = k.run and a.dead and d.action = 'replayed' and d.at = o.at) f on true order by k.run, o.life",
    2,
    {MR_PG_INT8S, MR_PG_INT4S}};

mr_replays_job *mr_replays_job_new(uint32_t runs) {
    mr_replays_job *job = mr_new(NULL, 1, sizeof *job);
    if (!job) return NULL;
    job->cap = runs ? runs : 1;
    job->run = mr_new(NULL, job->cap, sizeof *job->run);
    job->life = mr_new(NULL, job->cap, sizeof *job->life);
    mr_buf_init(&job->letters, NULL, LETTERS_MAX);
    if (job->run && job->life) return job;
    mr_replays_job_free(job);
    return NULL;
}

void mr_replays_job_free(mr_replays_job *job) {
    mr_free(NULL, job->run, job->cap, sizeof *job->run);
    mr_free(NULL, job->life, job->cap, sizeof *job->life);
    mr_buf_free(&job->letters);
    mr_free(NULL, job, 1, sizeof *job);
}

static mr_status put_letter(mr_pg_row *row, mr_buf *out, mr_error *err) {
    mr_letter l = {.key.run = (uint64_t)mr_pg_int(row, 0), .life = (int32_t)mr_pg_int(row, 1)};
    if (!mr_pg_is_null(row, 5)) {
        l.key.step = (uint32_t)mr_pg_int(row, 2);
        l.key.level = (uint32_t)mr_pg_int(row, 3);
        l.key.index = (uint32_t)mr_pg_int(row, 4);
        l.attempt = (uint64_t)mr_pg_int(row, 5);
    }
    mr_buf_put(out, &l, sizeof l);
    MR_TRY(mr_pg_row_status(row, err));
    return mr_buf_status(out) == MR_OK ? MR_OK : mr_fail(err, MR_E_MEMORY, "no memory for what was replayed");
}

void mr_replays_work(mr_desk *desk, mr_job *head) {
    mr_replays_job *job = (mr_replays_job *)head;
    mr_pg *pg;
    mr_pg_params p;
    mr_pg_result *r = NULL;
    mr_buf_clear(&job->letters); /* of an earlier try */
    mr_pg_params_init(&p, NULL, 64 + 32 * (size_t)job->cap);
    mr_pg_put_int8s(&p, job->run, NULL, job->runs);
    mr_pg_put_int4s(&p, job->life, NULL, job->runs);
    mr_status s = mr_desk_database(desk, &pg, &head->error);
    if (s == MR_OK) s = mr_pg_exec(pg, &replays, &p, &r, &head->error);
    mr_pg_params_free(&p);
    for (uint32_t i = 0; s == MR_OK && i < mr_pg_rows(r); i++) {
        mr_pg_row row = mr_pg_row_at(r, i);
        s = put_letter(&row, &job->letters, &head->error);
    }
    mr_pg_result_free(&r);
    head->status = s;
}

/* ---- telling ---- */

static mr_letter letter_at(const mr_replays_job *job, size_t i) {
    mr_letter l;
    memcpy(&l, job->letters.data + i * sizeof l, sizeof l);
    return l;
}

/* One that leaves is for its next owner, and must not end here with the new life. */
static bool goes_on(const mr_broker *b, uint64_t run) {
    mr_run_view v;
    return mr_core_run_find(b->core, run, &v) && v.state == MR_RUN_RUNNING && !v.leaving;
}

/* The end of one that has ended here comes with a life that is over, so it is read anew when it is forgotten. */
static void begin_life(mr_broker *b, const mr_letter *l) {
    mr_live_run *live = mr_broker_run(b, l->key.run);
    if (!mr_broker_is_running(b, l->key.run)) mr_broker_recover(b, l->key.run);
    else if (goes_on(b, l->key.run) && l->life > live->life) live->life = l->life;
}

static bool last_of_run(const mr_replays_job *job, size_t i, size_t n) {
    return i + 1 == n || letter_at(job, i).key.run != letter_at(job, i + 1).key.run;
}

/* A run has its new life when all its letters are told: told twice they do no harm, not at all they would be lost. So without
 * memory all are told again; one that the core does not know holds up no other. */
static mr_status tell(mr_broker *b, const mr_replays_job *job, mr_error *err) {
    size_t n = job->letters.len / sizeof(mr_letter), told = 0;
    for (size_t i = 0; i < n; i++) {
        mr_letter l = letter_at(job, i);
        mr_event e = {.type = MR_EV_REPLAY, .as.replay = {.key = l.key, .attempt = l.attempt}};
        if (!l.attempt || !goes_on(b, l.key.run)) continue;
        mr_status s = mr_core_take(b->core, mr_broker_now_ms(), &e, err);
        if (s == MR_E_MEMORY) return s;
        if (s != MR_OK) MR_LOG(&b->log, MR_LOG_ERROR, "broker", "letter_not_replayed", MR_LOG_TEXT("reason", err->text));
        told += s == MR_OK;
    }
    for (size_t i = 0; i < n; i++) {
        mr_letter l = letter_at(job, i);
        if (last_of_run(job, i, n)) begin_life(b, &l); /* its life is the highest */
    }
    if (told) MR_LOG(&b->log, MR_LOG_INFO, "broker", "dead_letters_replayed", MR_LOG_INT("letters", told));
    return MR_OK;
}

static void replays_read(mr_broker *b, mr_job *head) {
    mr_replays_job *job = (mr_replays_job *)head;
    if (head->status == MR_OK && b->phase != MR_STOPPED) head->status = tell(b, job, &head->error);
    if (head->status == MR_E_MEMORY || mr_status_of((int)head->status)->retryable) {
        mr_broker_try_again(b, head);
        return;
    }
    if (head->status != MR_OK)
        MR_LOG(&b->log, MR_LOG_ERROR, "broker", "replays_not_read", MR_LOG_TEXT("reason", head->error.text));
    mr_replays_job_free(job);
}

void mr_broker_find_replays(mr_broker *b, uint64_t run) {
    mr_replays_job *job = mr_replays_job_new(run ? 1 : HASH_COUNT(b->runs));
    if (!job) {
        b->missed |= MR_MISSED_REPLAYS;
        return;
    }
    for (const mr_live_run *live = b->runs; live; live = live->hh.next) {
        if ((run && live->run != run) || !mr_broker_is_running(b, live->run)) continue;
        job->run[job->runs] = (int64_t)live->run;
        job->life[job->runs++] = live->life;
    }
    job->head.work = mr_replays_work;
    job->head.done = replays_read;
    mr_desk_give(&b->reader, &job->head);
}
