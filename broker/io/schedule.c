/* schedule.c: runs that start later, by the database's clock. What is due is looked for by the planner's
 * desk; a schedule that is not due is nowhere but in its row. */
#include "broker/io/delivery.h"

#include "broker/core/cron.h"
#include "broker/io/call_args.h"
#include "common/clock.h"

#include <stdio.h>
#include <string.h>

enum { DUE_AT_ONCE = 50, REQUEST_MAX = 256 * 1024 };
static const uint64_t LOOK_NS = 5000000000u, AGAIN_NS = 2000000000u, MORE_NS = 500000000u;

typedef struct planner {
    uint64_t look_at_ns;
    void (*due)(struct mr_broker *, mr_job *);
} planner;

static const mr_pg_statement read_times = {
    "schedule_times",
    "select clock_timestamp(), case when left($1, 1) = '+' then clock_timestamp() + substr($1, 2)::interval"
    " else $1::timestamptz end, extract(epoch from $2::text::interval)::float8",
    2,
    {MR_PG_TEXT, MR_PG_TEXT}};
static const mr_pg_statement insert_schedule = {
    "schedule_insert",
    "insert into millrace.schedule (name, every_s, cron, first_due, request, client) values ($1, $2, $3, $4, "
    "$5, $6) returning id",
    6,
    {MR_PG_TEXT, MR_PG_INT8, MR_PG_TEXT, MR_PG_TIME, MR_PG_BYTEA, MR_PG_TEXT}};
static const mr_pg_statement end_schedule = {"schedule_end",
                                             "insert into millrace.schedule_end (schedule_id, client) select "
                                             "id, $2 from millrace.schedule where id = $1"
                                             " on conflict do nothing",
                                             2,
                                             {MR_PG_INT8, MR_PG_TEXT}};
static const mr_pg_statement read_due = {
    "schedule_due",
    "select id, name, every_s, cron, request, client, next_due, clock_timestamp() from millrace.schedule_now"
    " where next_due <= clock_timestamp() order by next_due limit 50",
    0,
    {0}};
static const mr_pg_statement read_wait = {"schedule_wait",
                                          "select coalesce(extract(epoch from min(next_due) - "
                                          "clock_timestamp()), 1e9)::float8 from millrace.schedule_now",
                                          0,
                                          {0}};
static const mr_pg_statement insert_failed = {
    "schedule_failed",
    "insert into millrace.schedule_fire (schedule_id, due, next_due, reason) values ($1, $2, $3, $4) on "
    "conflict do nothing",
    4,
    {MR_PG_INT8, MR_PG_TIME, MR_PG_TIME, MR_PG_TEXT}};

/* ---- adding ---- */

typedef struct times {
    int64_t now_ns, at_ns, every_s; /* 0: not given */
} times;

static mr_status read_given_times(mr_pg *pg, mr_pg_params *p, mr_span at, mr_span every, times *out,
                                  mr_error *err) {
    mr_pg_result *r = NULL;
    mr_pg_params_clear(p);
    if (at.len)
        mr_pg_put_str(p, at);
    else
        mr_pg_put_null(p, MR_PG_TEXT);
    if (every.len)
        mr_pg_put_str(p, every);
    else
        mr_pg_put_null(p, MR_PG_TEXT);
    mr_status s = mr_pg_exec(pg, &read_times, p, &r, err);
    if (s == MR_E_INVALID)
        return mr_fail(err, s,
                       "'%.40s%.*s' is not understood: a time is such as '2026-12-01 04:00+00' or '+90 "
                       "minutes', an interval "
                       "such as '1 hour'",
                       "", MR_SPAN_ARG(at.len ? at : every));
    if (s != MR_OK) return s;
    mr_pg_row row = mr_pg_row_at(r, 0);
    *out = (times){.now_ns = mr_pg_time(&row, 0)};
    if (at.len) out->at_ns = mr_pg_time(&row, 1);
    double seconds = every.len ? mr_pg_float(&row, 2) : 0;
    s = mr_pg_row_status(&row, err);
    mr_pg_result_free(&r);
    if (s == MR_OK && every.len && !(seconds >= 1 && seconds <= 1e9))
        return mr_fail(err, MR_E_INVALID, "a schedule comes every 1 second to 31 years");
    out->every_s = (int64_t)seconds;
    return s;
}

static mr_status first_time(const times *t, mr_span cron, int64_t *first_ns, mr_error *err) {
    char line[256];
    mr_cron c;
    *first_ns = t->at_ns ? t->at_ns : t->now_ns + t->every_s * 1000000000;
    if (!cron.len) return MR_OK;
    if (cron.len >= sizeof line)
        return mr_fail(err, MR_E_INVALID, "a cron line has at most %zu bytes", sizeof line - 1);
    snprintf(line, sizeof line, "%.*s", MR_SPAN_ARG(cron));
    MR_TRY(mr_cron_parse(line, &c, err));
    *first_ns = mr_cron_next(&c, (t->at_ns ? t->at_ns : t->now_ns) / 1000) * 1000;
    return MR_OK;
}

static mr_status insert(mr_pg *pg, mr_pg_params *p, mr_delivery_job *job, const times *t, mr_span cron,
                        int64_t first_ns, mr_error *err) {
    mr_span args = mr_buf_span(&job->args);
    mr_unpack run;
    mr_pg_result *r = NULL;
    if (!mr_arg_find(args, "run", &run)) return mr_fail(err, MR_E_INVALID, "the schedule has no run");
    mr_unpack rest = run;
    MR_TRY(mr_unpack_skip(&rest, err));
    mr_pg_params_clear(p);
    mr_pg_put_str(p, mr_arg_text(args, "name"));
    if (t->every_s)
        mr_pg_put_int8(p, t->every_s);
    else
        mr_pg_put_null(p, MR_PG_INT8);
    if (cron.len)
        mr_pg_put_str(p, cron);
    else
        mr_pg_put_null(p, MR_PG_TEXT);
    mr_pg_put_time(p, first_ns);
    mr_pg_put_bytea(p, (mr_span){run.at, (size_t)(rest.at - run.at)});
    mr_pg_put_text(p, job->client);
    MR_TRY(mr_pg_exec(pg, &insert_schedule, p, &r, err));
    mr_pg_row row = mr_pg_row_at(r, 0);
    char due[MR_CLOCK_TEXT];
    mr_time_text(first_ns, due);
    mr_pack_map(&job->reply, 2);
    mr_pack_text(&job->reply, "schedule");
    mr_pack_i64(&job->reply, mr_pg_int(&row, 0));
    mr_pack_text(&job->reply, "next");
    mr_pack_text(&job->reply, due);
    mr_status s = mr_pg_row_status(&row, err);
    mr_pg_result_free(&r);
    return s;
}

mr_status mr_schedule_add(mr_desk *desk, mr_pg *pg, mr_delivery_job *job, mr_error *err) {
    mr_span args = mr_buf_span(&job->args), at = mr_arg_text(args, "at"), every = mr_arg_text(args, "every"),
            cron = mr_arg_text(args, "cron");
    planner *state = desk->state;
    mr_pg_params p;
    times t;
    int64_t first_ns = 0;
    if ((every.len && cron.len) || !(at.len || every.len || cron.len))
        return mr_fail(
            err, MR_E_USAGE,
            "a schedule needs a time (--at), an interval (--every) or a cron line (--cron), and of the "
            "last two only one");
    mr_pg_params_init(&p, NULL, REQUEST_MAX + 4096);
    mr_status s = read_given_times(pg, &p, at, every, &t, err);
    if (s == MR_OK) s = first_time(&t, cron, &first_ns, err);
    if (s == MR_OK) s = insert(pg, &p, job, &t, cron, first_ns, err);
    mr_pg_params_free(&p);
    state->look_at_ns = 0;
    return s;
}

mr_status mr_schedule_remove(mr_pg *pg, mr_delivery_job *job, mr_error *err) {
    uint64_t id = mr_arg_number(mr_buf_span(&job->args), "id", 0);
    mr_pg_params p;
    mr_pg_result *r = NULL;
    mr_pg_params_init(&p, NULL, 256);
    mr_pg_put_int8(&p, (int64_t)id);
    mr_pg_put_text(&p, job->client);
    mr_status s = mr_pg_exec(pg, &end_schedule, &p, &r, err);
    if (s == MR_OK && mr_pg_changed(r) == 0)
        s = mr_fail(err, MR_E_NOT_FOUND,
                    "there is no schedule %llu, or it was removed before: 'millrace schedules' lists them",
                    (unsigned long long)id);
    mr_pg_result_free(&r);
    mr_pg_params_free(&p);
    mr_pack_map(&job->reply, 1);
    mr_pack_text(&job->reply, "schedule");
    mr_pack_u64(&job->reply, id);
    return s;
}

/* ---- what is due ---- */

void mr_due_job_free(mr_due_job *job) {
    mr_buf_free(&job->request);
    mr_free(NULL, job, 1, sizeof *job);
}

static mr_status timetable_of(mr_pg_row *row, mr_timetable *out, mr_error *err) {
    *out = (mr_timetable){.kind = MR_ONCE};
    if (!mr_pg_is_null(row, 2))
        *out = (mr_timetable){.kind = MR_EVERY, .every_us = mr_pg_int(row, 2) * 1000000};
    if (mr_pg_is_null(row, 3)) return MR_OK;
    char line[256];
    snprintf(line, sizeof line, "%.*s", MR_SPAN_ARG(mr_pg_text(row, 3)));
    out->kind = MR_CRON;
    return mr_cron_parse(line, &out->cron, err);
}

static mr_status read_due_row(mr_pg_row *row, mr_due_job *job, mr_error *err) {
    mr_timetable t;
    int64_t due_us, next_us;
    MR_TRY(timetable_of(row, &t, err));
    mr_timetable_fire(&t, mr_pg_time(row, 6) / 1000, mr_pg_time(row, 7) / 1000, &due_us, &next_us);
    job->schedule = mr_pg_int(row, 0);
    job->due_ns = due_us * 1000;
    job->next_ns = next_us == MR_NEVER ? MR_NEVER : next_us * 1000;
    snprintf(job->name, sizeof job->name, "%.*s", MR_SPAN_ARG(mr_pg_text(row, 1)));
    snprintf(job->client, sizeof job->client, "%.*s", MR_SPAN_ARG(mr_pg_text(row, 5)));
    mr_span request = mr_pg_bytea(row, 4);
    mr_buf_put(&job->request, request.data, request.len);
    MR_TRY(mr_pg_row_status(row, err));
    return mr_buf_status(&job->request) == MR_OK ? MR_OK
                                                 : mr_fail(err, MR_E_MEMORY, "no memory for a schedule");
}

static mr_status hand_over(mr_desk *desk, const mr_pg_result *r, mr_error *err) {
    const planner *state = desk->state;
    for (uint32_t i = 0; i < mr_pg_rows(r); i++) {
        mr_pg_row row = mr_pg_row_at(r, i);
        mr_due_job *job = mr_new(NULL, 1, sizeof *job);
        if (!job) return mr_fail(err, MR_E_MEMORY, "no memory for a schedule");
        job->head.done = state->due;
        mr_buf_init(&job->request, NULL, REQUEST_MAX);
        mr_status s = read_due_row(&row, job, err);
        if (s != MR_OK) {
            mr_due_job_free(job);
            return s;
        }
        mr_desk_done(desk, &job->head);
    }
    return MR_OK;
}

static mr_status look(mr_desk *desk, uint64_t *wait_ns, mr_error *err) {
    mr_pg *pg;
    mr_pg_result *r = NULL;
    MR_TRY(mr_desk_database(desk, &pg, err));
    MR_TRY(mr_pg_exec(pg, &read_due, NULL, &r, err));
    uint32_t n = mr_pg_rows(r);
    mr_status s = hand_over(desk, r, err);
    mr_pg_result_free(&r);
    if (s != MR_OK) return s;
    *wait_ns = n == DUE_AT_ONCE ? MORE_NS : AGAIN_NS;
    if (n) return MR_OK;
    MR_TRY(mr_pg_exec(pg, &read_wait, NULL, &r, err));
    mr_pg_row row = mr_pg_row_at(r, 0);
    double seconds = mr_pg_float(&row, 0);
    s = mr_pg_row_status(&row, err);
    mr_pg_result_free(&r);
    *wait_ns = seconds * 1e9 < (double)LOOK_NS ? (seconds > 0 ? (uint64_t)(seconds * 1e9) : 0) : LOOK_NS;
    return s;
}

static void idle(mr_desk *desk) {
    planner *state = desk->state;
    mr_error err = {0};
    uint64_t now = mr_clock_monotonic_ns(), wait_ns = LOOK_NS;
    if (now < state->look_at_ns) return;
    mr_status s = look(desk, &wait_ns, &err);
    if (s != MR_OK)
        MR_LOG(desk->log, MR_LOG_WARN, "planner", "schedules_not_read", MR_LOG_TEXT("reason", err.text));
    state->look_at_ns = now + (s == MR_OK ? wait_ns : AGAIN_NS);
}

void mr_due_failed_work(mr_desk *desk, mr_job *head) {
    mr_due_job *job = (mr_due_job *)head;
    mr_pg *pg;
    mr_pg_params p;
    mr_pg_params_init(&p, NULL, 4096);
    mr_pg_put_int8(&p, job->schedule);
    mr_pg_put_time(&p, job->due_ns);
    if (job->next_ns == MR_NEVER)
        mr_pg_put_null(&p, MR_PG_TIME);
    else
        mr_pg_put_time(&p, job->next_ns);
    mr_pg_put_text(&p, job->reason);
    head->status = mr_desk_database(desk, &pg, &head->error);
    if (head->status == MR_OK) head->status = mr_pg_exec(pg, &insert_failed, &p, NULL, &head->error);
    mr_pg_params_free(&p);
}

/* ---- the desk ---- */

static void stop(mr_desk *desk) {
    mr_free(NULL, desk->state, 1, sizeof(planner));
    desk->state = NULL;
}

mr_status mr_planner_start(mr_desk *desk, void (*due)(struct mr_broker *, mr_job *), mr_error *err) {
    planner *state = mr_new(NULL, 1, sizeof *state);
    if (!state) return mr_fail(err, MR_E_MEMORY, "no memory for the planner");
    state->due = due;
    desk->name = "planner";
    desk->state = state;
    desk->idle = idle;
    desk->idle_ms = 250;
    desk->stop = stop;
    mr_status s = mr_desk_start(desk, err);
    if (s != MR_OK) stop(desk);
    return s;
}
