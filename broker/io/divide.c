#include "broker/io/divide.h"

#include "broker/core/partitions.h"
#include "broker/io/delivery.h"

enum { PARAMS_MAX = 1 << 20, TURN_S = 5 };

/* Who decides that it is alone, and who comes, do so one after the other. */
static const mr_pg_statement try_lock = {
    "divide_lock", "select pg_try_advisory_xact_lock(" MR_DIVIDE_LOCK ")", 0, {0}};

static const mr_pg_statement count_others = {
    "divide_others",
    "select count(*) filter (where name <> $1), count(*) filter (where name <> $1 and not sharing),"
    " extract(epoch from now())::bigint, count(*) filter (where name = $1)"
    " from millrace.broker where state <> 'left' and expires_at > now()",
    1,
    {MR_PG_TEXT}};

static const mr_pg_statement mark = {
    "divide_mark", "update millrace.broker set sharing = $2 where name = $1 and sharing <> $2", 2, {MR_PG_TEXT, MR_PG_BOOL}};

static const mr_pg_statement sum_others = {
    "divide_sum",
    "select count(*) filter (where s.wanted), count(*) filter (where s.wanted and s.broker < $3), coalesce(sum(s.slots), 0)::bigint,"
    " coalesce(sum(s.per_second), 0)::float8 from millrace.limit_share s join millrace.broker b on b.name = s.broker"
    " where s.subject = $1 and s.name = $2 and s.broker <> $3 and b.state <> 'left' and b.expires_at > now()",
    3,
    {MR_PG_TEXT, MR_PG_TEXT, MR_PG_TEXT}};

static const mr_pg_statement put_row = {
    "divide_put",
    "insert into millrace.limit_share (subject, name, broker, wanted, slots, per_second) values ($1, $2, $3, $4, $5, $6)"
    " on conflict (subject, name, broker) do update set wanted = excluded.wanted, slots = excluded.slots,"
    " per_second = excluded.per_second where (limit_share.wanted, limit_share.slots, limit_share.per_second)"
    " is distinct from (excluded.wanted, excluded.slots, excluded.per_second)",
    6,
    {MR_PG_TEXT, MR_PG_TEXT, MR_PG_TEXT, MR_PG_BOOL, MR_PG_INT4, MR_PG_FLOAT8}};

/* Of rules that are no more. */
static const mr_pg_statement drop_rows = {
    "divide_drop",
    "delete from millrace.limit_share s where s.broker = $1"
    " and not exists (select 1 from unnest($2::text[], $3::text[]) k (subject, name) where k.subject = s.subject and k.name = s.name)",
    3,
    {MR_PG_TEXT, MR_PG_TEXTS, MR_PG_TEXTS}};

mr_divide_job *mr_divide_job_new(uint32_t cap) {
    mr_divide_job *job = mr_new(NULL, 1, sizeof *job);
    if (!job) return NULL;
    job->cap = cap ? cap : 1;
    job->item = mr_new(NULL, job->cap, sizeof *job->item);
    job->head.work = mr_divide_work;
    if (job->item) return job;
    mr_free(NULL, job, 1, sizeof *job);
    return NULL;
}

void mr_divide_job_free(mr_divide_job *job) {
    mr_free(NULL, job->item, job->cap, sizeof *job->item);
    mr_free(NULL, job, 1, sizeof *job);
}

/* ---- the others ---- */

/* Only who is there itself may count on what it finds: two that were both away for too long would each be alone. */
typedef struct others {
    int64_t alive, not_sharing, turn;
} others;

static mr_status look_round(mr_pg *pg, mr_pg_params *p, const char *owner, others *out, mr_error *err) {
    mr_pg_result *r = NULL;
    mr_pg_params_clear(p);
    mr_pg_put_text(p, owner);
    MR_TRY(mr_pg_exec(pg, &count_others, p, &r, err));
    mr_pg_row row = mr_pg_row_at(r, 0);
    *out = (others){.alive = mr_pg_int(&row, 0), .not_sharing = mr_pg_int(&row, 1), .turn = mr_pg_int(&row, 2) / TURN_S};
    bool there = mr_pg_int(&row, 3) > 0;
    mr_status s = mr_pg_row_status(&row, err);
    mr_pg_result_free(&r);
    if (s != MR_OK || there) return s;
    return mr_fail(err, MR_E_FULL, "this broker has not said for too long that it lives: others do not count with it");
}

static mr_status lock(mr_pg *pg, mr_error *err) {
    mr_pg_result *r = NULL;
    MR_TRY(mr_pg_exec(pg, &try_lock, NULL, &r, err));
    mr_pg_row row = mr_pg_row_at(r, 0);
    bool got = mr_pg_bool(&row, 0);
    mr_pg_result_free(&r);
    return got ? MR_OK : mr_fail(err, MR_E_FULL, "another broker divides the limits just now");
}

static mr_status say_sharing(mr_pg *pg, mr_pg_params *p, const mr_divide_job *job, mr_error *err) {
    mr_pg_params_clear(p);
    mr_pg_put_text(p, job->owner);
    mr_pg_put_bool(p, job->shared);
    return mr_pg_exec(pg, &mark, p, NULL, err);
}

/* ---- one limit ---- */

static void allow(mr_divided *d, const others *o, uint32_t wanting, uint32_t rank, int64_t slots, double rate) {
    uint32_t free_slots = !o->not_sharing && slots < d->max_concurrent ? d->max_concurrent - (uint32_t)slots : 0;
    double free_rate = !o->not_sharing && rate < d->per_second ? d->per_second - rate : 0;
    uint32_t part = d->wanted ? mr_portion(d->max_concurrent, wanting + 1, rank, (uint64_t)o->turn) : 0;
    double share = d->wanted ? d->per_second / (wanting + 1) : 0;
    d->slots = part < free_slots ? part : free_slots;
    d->rate = share < free_rate ? share : free_rate;
    if (d->used_slots < d->slots) d->used_slots = d->slots;
    if (d->used_rate < d->rate) d->used_rate = d->rate;
}

static mr_status divide_one(mr_pg *pg, mr_pg_params *p, const char *owner, mr_divided *d, const others *o, mr_error *err) {
    mr_pg_result *r = NULL;
    mr_pg_params_clear(p);
    mr_pg_put_text(p, mr_rule_word(d->of));
    mr_pg_put_text(p, d->name);
    mr_pg_put_text(p, owner);
    MR_TRY(mr_pg_exec(pg, &sum_others, p, &r, err));
    mr_pg_row row = mr_pg_row_at(r, 0);
    allow(d, o, (uint32_t)mr_pg_int(&row, 0), (uint32_t)mr_pg_int(&row, 1), mr_pg_int(&row, 2), mr_pg_float(&row, 3));
    mr_status s = mr_pg_row_status(&row, err);
    mr_pg_result_free(&r);
    if (s != MR_OK) return s;
    mr_pg_put_bool(p, d->wanted);
    mr_pg_put_int4(p, (int32_t)d->used_slots);
    mr_pg_put_float8(p, d->used_rate);
    return mr_pg_exec(pg, &put_row, p, NULL, err);
}

static mr_status drop_others(mr_pg *pg, mr_pg_params *p, const mr_divide_job *job, mr_error *err) {
    mr_span *subject = mr_new(NULL, 2 * (size_t)job->cap, sizeof *subject), *name = subject + job->cap;
    if (!subject) return mr_fail(err, MR_E_MEMORY, "no memory to divide limits");
    uint32_t n = job->shared ? job->count : 0;
    for (uint32_t i = 0; i < n; i++) {
        subject[i] = mr_span_of(mr_rule_word(job->item[i].of));
        name[i] = mr_span_of(job->item[i].name);
    }
    mr_pg_params_clear(p);
    mr_pg_put_text(p, job->owner);
    mr_pg_put_texts(p, subject, NULL, n);
    mr_pg_put_texts(p, name, NULL, n);
    mr_free(NULL, subject, 2 * (size_t)job->cap, sizeof *subject);
    return mr_pg_exec(pg, &drop_rows, p, NULL, err);
}

static mr_status divide_all(mr_pg *pg, mr_pg_params *p, mr_divide_job *job, mr_error *err) {
    others o;
    MR_TRY(lock(pg, err));
    MR_TRY(look_round(pg, p, job->owner, &o, err));
    job->shared = o.alive > 0;
    MR_TRY(say_sharing(pg, p, job, err));
    MR_TRY(drop_others(pg, p, job, err));
    for (uint32_t i = 0; job->shared && i < job->count; i++) MR_TRY(divide_one(pg, p, job->owner, &job->item[i], &o, err));
    return MR_OK;
}

mr_status mr_divide(mr_pg *pg, mr_divide_job *job, mr_error *err) {
    mr_pg_params p;
    mr_pg_outcome outcome;
    mr_pg_params_init(&p, NULL, PARAMS_MAX);
    mr_status s = mr_pg_begin(pg, err);
    if (s == MR_OK) s = divide_all(pg, &p, job, err);
    if (s == MR_OK) s = mr_pg_commit(pg, &outcome, err);
    if (s != MR_OK) mr_pg_rollback(pg);
    mr_pg_params_free(&p);
    return s;
}

void mr_divide_work(mr_desk *desk, mr_job *head) {
    mr_pg *pg;
    head->status = mr_desk_database(desk, &pg, &head->error);
    if (head->status == MR_OK) head->status = mr_divide(pg, (mr_divide_job *)head, &head->error);
}
