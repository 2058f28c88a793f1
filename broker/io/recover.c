/* recover.c: a run that the database has and the core does not: at the start, and when it was reopened. */
#include "broker/io/broker.h"
#include "broker/io/delivery.h"

#include <string.h>

enum { KEYS_MAX = 1 << 30 };

static const mr_pg_statement unfinished = {"recover_unfinished",
                                           "select r.id from millrace.run r where not exists (select 1 from "
                                           "millrace.run_end e where e.run_id = r.id) and $1 in (-1, r.partition) order by r.id",
                                           1,
                                           {MR_PG_INT4}};
static const mr_pg_statement has_ended = {
    "recover_ended", "select exists (select 1 from millrace.run_end where run_id = $1)", 1, {MR_PG_INT8}};
static const mr_pg_statement done_before = {
    "recover_done", "select step, level, batch from millrace.result where run_id = $1", 1, {MR_PG_INT8}};
static const mr_pg_statement dead_before = {
    "recover_dead",
    "select step, level, batch, status, reason, attempt from millrace.dead_letter where run_id = $1"
    " union all select f.step, f.level, f.batch, f.status, f.reason, f.attempt from millrace.attempt_failure f"
    " join millrace.dead_letter_end d on d.failure_id = f.id where f.run_id = $1 and d.action = 'discarded'",
    1,
    {MR_PG_INT8}};

static const mr_pg_statement producers_before = {
    "recover_producers",
    "select producer, max(packet) + 1 from millrace.task_block where run_id = $1 group by producer", 1, {MR_PG_INT8}};

typedef struct packed_producer {
    uint64_t id, next;
} packed_producer;

typedef struct packed_key {
    uint32_t index;
    uint16_t step;
    uint8_t level, status;
} packed_key;

typedef struct packed_dead {
    packed_key key;
    uint64_t attempt;
    char reason[256];
} packed_dead;

mr_recover_job *mr_recover_job_new(uint64_t run) {
    mr_recover_job *job = mr_new(NULL, 1, sizeof *job);
    if (!job) return NULL;
    job->run = run;
    mr_buf_init(&job->done, NULL, KEYS_MAX);
    mr_buf_init(&job->dead, NULL, KEYS_MAX);
    mr_buf_init(&job->producers, NULL, KEYS_MAX);
    return job;
}

void mr_recover_job_free(mr_recover_job *job) {
    mr_run_info_drop(job->info);
    mr_buf_free(&job->done);
    mr_buf_free(&job->dead);
    mr_buf_free(&job->producers);
    mr_free(NULL, job, 1, sizeof *job);
}

static mr_status put_producer(mr_pg_row *row, mr_buf *out, mr_error *err) {
    packed_producer p = {(uint64_t)mr_pg_int(row, 0), (uint64_t)mr_pg_int(row, 1)};
    mr_buf_put(out, &p, sizeof p);
    MR_TRY(mr_pg_row_status(row, err));
    return mr_buf_status(out) == MR_OK ? MR_OK : mr_fail(err, MR_E_MEMORY, "no memory for the producers of a stream");
}

static mr_status put_key(mr_pg_row *row, bool dead, mr_buf *out, mr_error *err) {
    packed_dead d = {.key = {.step = (uint16_t)mr_pg_int(row, 0),
                             .level = (uint8_t)mr_pg_int(row, 1),
                             .index = (uint32_t)mr_pg_int(row, 2),
                             .status = dead ? (uint8_t)mr_pg_int(row, 3) : 0}};
    if (dead) {
        mr_span text = mr_codec_text_cut(mr_pg_text(row, 4), sizeof d.reason - 1);
        memcpy(d.reason, text.data, text.len);
        d.attempt = (uint64_t)mr_pg_int(row, 5);
    }
    mr_buf_put(out, &d, dead ? sizeof d : sizeof d.key);
    MR_TRY(mr_pg_row_status(row, err));
    return mr_buf_status(out) == MR_OK ? MR_OK
                                       : mr_fail(err, MR_E_MEMORY, "no memory for what is done of a run");
}

static mr_status read_keys(mr_pg *pg, const mr_pg_statement *st, uint64_t run, bool dead, mr_buf *out,
                           mr_error *err) {
    mr_pg_params p;
    mr_pg_params_init(&p, NULL, 64);
    mr_pg_put_int8(&p, (int64_t)run);
    mr_status s = mr_pg_stream(pg, st, &p, err);
    mr_pg_params_free(&p);
    while (s == MR_OK) {
        mr_pg_result *r = NULL;
        s = mr_pg_stream_next(pg, &r, err);
        if (s != MR_OK || !r) break;
        mr_pg_row row = mr_pg_row_at(r, 0);
        s = st == &producers_before ? put_producer(&row, out, err) : put_key(&row, dead, out, err);
        mr_pg_result_free(&r);
    }
    mr_pg_stream_end(pg);
    return s;
}

static mr_status read_ended(mr_pg *pg, mr_recover_job *job, mr_error *err) {
    mr_pg_params p;
    mr_pg_result *r = NULL;
    mr_pg_params_init(&p, NULL, 64);
    mr_pg_put_int8(&p, (int64_t)job->run);
    mr_status s = mr_pg_exec(pg, &has_ended, &p, &r, err);
    mr_pg_params_free(&p);
    if (s != MR_OK) return s;
    mr_pg_row row = mr_pg_row_at(r, 0);
    job->ended = mr_pg_bool(&row, 0);
    s = mr_pg_row_status(&row, err);
    mr_pg_result_free(&r);
    return s;
}

mr_status mr_recover_read(mr_pg *pg, mr_recover_job *job, mr_error *err) {
    mr_run_info_drop(job->info);
    job->info = NULL;
    mr_buf_clear(&job->done);
    mr_buf_clear(&job->dead);
    mr_buf_clear(&job->producers);
    MR_TRY(read_ended(pg, job, err));
    if (job->ended) return MR_OK;
    MR_TRY(mr_run_info_read(pg, job->run, &job->info, err));
    if (job->info->stream) MR_TRY(read_keys(pg, &producers_before, job->run, false, &job->producers, err));
    MR_TRY(read_keys(pg, &done_before, job->run, false, &job->done, err));
    return read_keys(pg, &dead_before, job->run, true, &job->dead, err);
}

void mr_recover_work(mr_desk *desk, mr_job *head) {
    mr_pg *pg;
    head->status = mr_desk_database(desk, &pg, &head->error);
    if (head->status == MR_OK) head->status = mr_recover_read(pg, (mr_recover_job *)head, &head->error);
}

/* ---- telling ---- */

static packed_key key_at(const mr_buf *keys, size_t at) {
    packed_key key;
    memcpy(&key, keys->data + at, sizeof key);
    return key;
}

static mr_status tell_done(mr_broker *b, const mr_recover_job *job, mr_error *err) {
    for (size_t at = 0; at < job->done.len; at += sizeof(packed_key)) {
        packed_key k = key_at(&job->done, at);
        mr_event e = {.type = MR_EV_DONE_BEFORE, .as.key = {job->run, k.step, k.level, k.index}};
        MR_TRY(mr_core_step(b->core, mr_broker_now_ms(), &e, err));
    }
    return MR_OK;
}

static mr_status tell_dead(mr_broker *b, const mr_recover_job *job, mr_error *err) {
    for (size_t at = 0; at < job->dead.len; at += sizeof(packed_dead)) {
        packed_dead d;
        memcpy(&d, job->dead.data + at, sizeof d);
        mr_event e = {.type = MR_EV_DEAD_BEFORE};
        e.as.dead.key = (mr_work_key){job->run, d.key.step, d.key.level, d.key.index};
        e.as.dead.attempt = d.attempt;
        e.as.dead.status = mr_status_of(d.key.status)->status;
        e.as.dead.text = d.reason;
        MR_TRY(mr_core_step(b->core, mr_broker_now_ms(), &e, err));
    }
    return MR_OK;
}

static mr_status tell_producers(mr_broker *b, const mr_recover_job *job, mr_error *err) {
    for (size_t at = 0; at < job->producers.len; at += sizeof(packed_producer)) {
        packed_producer p;
        memcpy(&p, job->producers.data + at, sizeof p);
        MR_TRY(mr_stream_producer(mr_broker_run(b, job->run)->stream, p.id, p.next, err));
    }
    return MR_OK;
}

mr_status mr_recover_tell(mr_broker *b, mr_recover_job *job, mr_error *err) {
    MR_TRY(mr_broker_plan_run(b, job->info, err));
    MR_TRY(tell_producers(b, job, err));
    MR_TRY(tell_done(b, job, err));
    MR_TRY(tell_dead(b, job, err));
    mr_event open = {.type = MR_EV_RUN_OPENED, .as.run = job->run};
    mr_broker_event(b, &open);
    MR_LOG(&b->log, MR_LOG_INFO, "broker", "run_resumed", MR_LOG_INT("run", job->run),
           MR_LOG_INT("done", job->done.len / sizeof(packed_key)),
           MR_LOG_INT("dead", job->dead.len / sizeof(packed_dead)));
    return MR_OK;
}

/* ---- which there are ---- */

mr_status mr_unfinished_read(mr_pg *pg, mr_unfinished_job *job, mr_error *err) {
    mr_pg_params p;
    mr_pg_result *r = NULL;
    mr_free(NULL, job->run, job->runs, sizeof *job->run); /* of an earlier look */
    job->run = NULL;
    job->runs = 0;
    mr_pg_params_init(&p, NULL, 64);
    mr_pg_put_int4(&p, job->partition);
    mr_status s = mr_pg_exec(pg, &unfinished, &p, &r, err);
    mr_pg_params_free(&p);
    if (s != MR_OK) return s;
    uint32_t n = mr_pg_rows(r);
    if (n) job->run = mr_new(NULL, n, sizeof *job->run);
    if (n && !job->run) s = mr_fail(err, MR_E_MEMORY, "no memory for %u runs", n);
    for (uint32_t i = 0; s == MR_OK && i < n; i++) {
        mr_pg_row row = mr_pg_row_at(r, i);
        job->run[i] = (uint64_t)mr_pg_int(&row, 0);
        s = mr_pg_row_status(&row, err);
    }
    if (job->run) job->runs = n;
    mr_pg_result_free(&r);
    return s;
}

void mr_unfinished_work(mr_desk *desk, mr_job *head) {
    mr_pg *pg;
    head->status = mr_desk_database(desk, &pg, &head->error);
    if (head->status == MR_OK) head->status = mr_unfinished_read(pg, (mr_unfinished_job *)head, &head->error);
}

void mr_unfinished_job_free(mr_unfinished_job *job) {
    mr_free(NULL, job->run, job->runs, sizeof *job->run);
    mr_free(NULL, job, 1, sizeof *job);
}

/* ---- which were cancelled ---- */

static const mr_pg_statement cancelled = {
    "recover_cancelled", "select run_id from millrace.run_end where run_id = any ($1) and state = 'cancelled'", 1, {MR_PG_INT8S}};

mr_cancelled_job *mr_cancelled_job_new(uint32_t runs) {
    mr_cancelled_job *job = mr_new(NULL, 1, sizeof *job);
    if (!job) return NULL;
    job->cap = runs ? runs : 1;
    job->run = mr_new(NULL, job->cap, sizeof *job->run);
    if (job->run) return job;
    mr_free(NULL, job, 1, sizeof *job);
    return NULL;
}

void mr_cancelled_job_free(mr_cancelled_job *job) {
    mr_free(NULL, job->run, job->cap, sizeof *job->run);
    mr_free(NULL, job, 1, sizeof *job);
}

static mr_status read_cancelled(mr_pg *pg, mr_cancelled_job *job, mr_error *err) {
    mr_pg_params p;
    mr_pg_result *r = NULL;
    mr_pg_params_init(&p, NULL, 64 + 16 * (size_t)job->cap);
    mr_pg_put_int8s(&p, job->run, NULL, job->runs);
    mr_status s = mr_pg_exec(pg, &cancelled, &p, &r, err);
    mr_pg_params_free(&p);
    for (uint32_t i = 0; s == MR_OK && i < mr_pg_rows(r); i++) {
        mr_pg_row row = mr_pg_row_at(r, i);
        job->run[job->found++] = mr_pg_int(&row, 0);
        s = mr_pg_row_status(&row, err);
    }
    mr_pg_result_free(&r);
    return s;
}

void mr_cancelled_work(mr_desk *desk, mr_job *head) {
    mr_pg *pg;
    head->status = mr_desk_database(desk, &pg, &head->error);
    if (head->status == MR_OK) head->status = read_cancelled(pg, (mr_cancelled_job *)head, &head->error);
}
