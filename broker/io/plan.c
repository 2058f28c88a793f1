#include "broker/io/plan.h"

#include "broker/io/version.h"
#include "common/json.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

enum { ARENA_MAX = 8 * 1024 * 1024 };

static const mr_pg_statement find_dataset = {
    "plan_dataset", "select id, kind, columns from millrace.dataset where name = $1", 1, {MR_PG_TEXT}};

static const mr_pg_statement insert_run = {
    "plan_run",
    "insert into millrace.run (id, name, version_id, batch_size, seed, roles, client, priority, submit_key, request_hash)"
    " overriding system value values (millrace.run_id_in($10), $1, $2, $3, $4, $5, $6, $7, $8, $9)"
    " on conflict (submit_key) do nothing returning id, pg_current_xact_id()::text::bigint",
    10,
    {MR_PG_TEXT, MR_PG_INT8, MR_PG_INT4, MR_PG_INT8, MR_PG_JSONB, MR_PG_TEXT, MR_PG_INT4, MR_PG_TEXT, MR_PG_BYTEA,
     MR_PG_INT4S}};

static const mr_pg_statement find_key = {
    "plan_key", "select id, request_hash from millrace.run where submit_key = $1", 1, {MR_PG_TEXT}};

static const mr_pg_statement insert_fire = {
    "plan_fire", "insert into millrace.schedule_fire (schedule_id, due, next_due, run_id) values ($1, $2, $3, $4)", 4,
    {MR_PG_INT8, MR_PG_TIME, MR_PG_TIME, MR_PG_INT8}};

static const mr_pg_statement how_it_ended = {
    "plan_outcome", "select pg_xact_status($1::text::xid8)", 1, {MR_PG_INT8}};

static const mr_pg_statement make_partition = {
    "plan_result_partition", "select millrace.result_partition_for($1)", 1, {MR_PG_INT8}};

static const mr_pg_statement make_task_partition = {
    "plan_task_partition", "select millrace.task_partition_for($1)", 1, {MR_PG_INT8}};

static const mr_pg_statement insert_step = {
    "plan_step",
    "insert into millrace.run_step (run_id, step, component, version, shape, options, columns, batch_rows, deadline_ms, name)"
    " values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
    10,
    {MR_PG_INT8, MR_PG_INT4, MR_PG_TEXT, MR_PG_INT4, MR_PG_INT2, MR_PG_JSONB, MR_PG_INT4, MR_PG_INT4, MR_PG_INT4, MR_PG_TEXT}};

typedef struct dataset {
    int64_t id;
    bool is_table;
    mr_table_schema schema;
} dataset;

/* What is asked for when the answer to a COMMIT was lost. */
typedef struct made {
    int64_t run, transaction;
} made;

mr_plan_job *mr_plan_job_new(void) {
    mr_plan_job *job = mr_new(NULL, 1, sizeof *job);
    if (job && !(job->arena = mr_arena_new(NULL, ARENA_MAX))) {
        mr_free(NULL, job, 1, sizeof *job);
        return NULL;
    }
    return job;
}

void mr_plan_job_free(mr_plan_job *job) {
    mr_run_info_drop(job->info);
    mr_arena_free(&job->arena);
    mr_free(NULL, job, 1, sizeof *job);
}

/* ---- what the data set has, and what the components need ---- */

static mr_status read_dataset(mr_pg *pg, mr_pg_params *p, mr_plan_job *job, dataset *out, mr_error *err) {
    mr_pg_result *r = NULL;
    mr_pg_put_text(p, job->dataset);
    MR_TRY(mr_pg_exec(pg, &find_dataset, p, &r, err));
    mr_pg_row row = mr_pg_row_at(r, 0);
    mr_status s;
    if (mr_pg_rows(r) != 1) {
        s = mr_fail(err, MR_E_NOT_FOUND, "there is no data set '%s': 'millrace datasets' lists them", job->dataset);
    } else {
        out->id = mr_pg_int(&row, 0);
        out->is_table = mr_span_eq(mr_pg_text(&row, 1), mr_span_of("table"));
        s = mr_schema_from_json(mr_pg_text(&row, 2), job->arena, &out->schema, err);
        if (s == MR_OK) s = mr_pg_row_status(&row, err);
    }
    mr_pg_result_free(&r);
    return s;
}

static const mr_binding *bound(const mr_bindings *b, const mr_column_row *role) {
    for (size_t i = 0; i < b->count; i++)
        if (b->items[i].role == role) return &b->items[i];
    return NULL;
}

/* The roles that can be filled from this data set: what binding no rows gives, which also checks that every role names
 * a column of a type that fits. Prompts have all but those that only a binding gives. */
static mr_status columns_of(const mr_plan_job *job, const dataset *d, uint32_t *has, mr_error *err) {
    const uint32_t only_bound = MR_COL_TREATMENT | MR_COL_OUTCOME | MR_COL_ITEM;
    mr_batch nothing;
    *has = MR_COL_FEATURES;
    for (const mr_column_row *role = mr_column_rows; role->name; role++) {
        const mr_binding *by = bound(&job->bindings, role);
        if (by ? by->column[0] != 0 : d->is_table || !(role->column & only_bound)) *has |= role->column;
    }
    if (!d->is_table) return mr_prompt_batch(NULL, NULL, 0, 0, &job->bindings, *has, job->arena, &nothing, err);
    MR_TRY(mr_table_batch(d->schema, NULL, 0, 0, &job->bindings, *has, job->arena, &nothing, err));
    *has = nothing.columns;
    return MR_OK;
}

static mr_status check_columns(const mr_plan_job *job, uint32_t has, mr_error *err) {
    for (uint32_t i = 0; i < job->steps; i++) {
        uint32_t missing = job->step[i].columns & ~has;
        if (!missing) continue;
        const char *role = mr_column_first(missing);
        const char *at = job->step[i].chain.at, *colon = *at ? ": " : "";
        if (missing == MR_COL_FEATURES)
            return mr_fail(err, MR_E_INVALID, "%s%s'%s' needs features, but the data set '%s' has no number columns that are no role",
                           at, colon, job->step[i].component, job->dataset);
        return mr_fail(err, MR_E_INVALID, "%s%s'%s' needs the column '%s', which the data set '%s' does not have: bind it with --role %s=COLUMN",
                       at, colon, job->step[i].component, role, job->dataset, role);
    }
    return MR_OK;
}

static void tell_left_out(mr_plan_job *job, const mr_plan_step_request *step, uint32_t missing) {
    size_t n = strlen(job->left_out);
    snprintf(job->left_out + n, sizeof job->left_out - n, "%s%s (no %s)", n ? ", " : "",
             step->chain.name[0] ? step->chain.name : step->component, mr_column_first(missing));
}

/* Takes out the optional steps that cannot run on this data set. Those that need them do without. */
static mr_status leave_out(mr_plan_job *job, uint32_t has, mr_error *err) {
    uint32_t place[MR_STEPS_MAX], kept = 0;
    for (uint32_t i = 0; i < job->steps; i++) {
        uint32_t missing = job->step[i].columns & ~has;
        bool gone = missing && job->step[i].chain.optional;
        if (gone) tell_left_out(job, &job->step[i], missing);
        place[i] = gone ? MR_STEPS_MAX : kept;
        if (!gone && kept != i) job->step[kept] = job->step[i];
        if (!gone) mr_chain_moved(&job->step[kept++].chain, place, i);
    }
    job->steps = kept;
    return kept ? MR_OK : mr_fail(err, MR_E_INVALID, "the data set '%s' has no columns for any step: %s", job->dataset, job->left_out);
}

/* Steps that cut the version in the same way get the same columns, so that one segment serves them all. */
static uint32_t segment_columns(const mr_plan_job *job, uint32_t i, uint32_t has) {
    uint32_t columns = 0;
    for (uint32_t j = 0; j < job->steps; j++) {
        const mr_plan_step_request *a = &job->step[i], *b = &job->step[j];
        if (a->batch_rows == b->batch_rows && (a->shape == MR_STEP_WHOLE) == (b->shape == MR_STEP_WHOLE))
            columns |= b->columns | b->columns_wanted;
    }
    return columns & has;
}

/* ---- submission by key ---- */

/* The run that was submitted under the job's key; 0: none. */
static mr_status find_submitted(mr_pg *pg, mr_pg_params *p, const mr_plan_job *job, int64_t *run, mr_error *err) {
    mr_pg_result *r = NULL;
    mr_pg_params_clear(p);
    mr_pg_put_text(p, job->key);
    MR_TRY(mr_pg_exec(pg, &find_key, p, &r, err));
    mr_status s = MR_OK;
    if (mr_pg_rows(r)) {
        mr_pg_row row = mr_pg_row_at(r, 0);
        *run = mr_pg_int(&row, 0);
        bool same = mr_span_eq(mr_pg_bytea(&row, 1), mr_hash_span(&job->request));
        s = mr_pg_row_status(&row, err);
        if (s == MR_OK && !same)
            s = mr_fail(err, MR_E_EXISTS, "the key '%s' was used for another submission, which is run %lld", job->key,
                        (long long)*run);
    }
    mr_pg_result_free(&r);
    return s;
}

/* ---- the rows ---- */

static void roles_json(const mr_bindings *b, mr_buf *out) {
    mr_buf_text(out, "{");
    for (size_t i = 0; i < b->count; i++) {
        mr_buf_printf(out, "%s\"%s\": ", i ? ", " : "", b->items[i].role->name);
        mr_json_put_text(out, mr_span_of(b->items[i].column));
    }
    mr_buf_text(out, "}");
}

/* Leaves out->run at 0 when somebody was faster with the same key. */
static mr_status put_run(mr_pg *pg, mr_pg_params *p, const mr_plan_job *job, const mr_version *v, made *out, mr_error *err) {
    mr_buf roles;
    mr_buf_init(&roles, NULL, 64 * 1024);
    roles_json(&job->bindings, &roles);
    mr_pg_params_clear(p);
    mr_pg_put_text(p, job->name);
    if (job->stream) mr_pg_put_null(p, MR_PG_INT8);
    else mr_pg_put_int8(p, v->id);
    mr_pg_put_int4(p, (int32_t)job->batch_size);
    mr_pg_put_int8(p, (int64_t)job->seed);
    mr_pg_put_jsonb(p, mr_buf_span(&roles));
    mr_pg_put_text(p, job->client);
    mr_pg_put_int4(p, job->priority ? (int32_t)job->priority : MR_PRIORITY);
    mr_pg_put_text(p, job->key[0] ? job->key : NULL);
    mr_pg_put_bytea(p, mr_hash_span(&job->request));
    mr_lease_put_open(p, job->lease);
    mr_buf_free(&roles);
    mr_pg_result *r = NULL;
    MR_TRY(mr_pg_exec(pg, &insert_run, p, &r, err));
    mr_pg_row row = mr_pg_row_at(r, 0);
    if (mr_pg_rows(r)) {
        out->run = mr_pg_int(&row, 0);
        out->transaction = mr_pg_int(&row, 1);
    }
    mr_status s = mr_pg_row_status(&row, err);
    mr_pg_result_free(&r);
    return s;
}

/* Whose lease covers the run follows from its id, so it is fenced as soon as the id is known. */
static mr_status fence_run(mr_pg *pg, mr_pg_params *p, const mr_plan_job *job, int64_t run, mr_error *err) {
    mr_lease_put_fence(p, job->lease, &run, 1);
    MR_TRY(mr_pg_exec(pg, &mr_lease_fence_statement, p, NULL, err));
    mr_pg_params_clear(p);
    mr_pg_put_int8(p, run);
    if (job->stream) MR_TRY(mr_pg_exec(pg, &make_task_partition, p, NULL, err));
    return mr_pg_exec(pg, &make_partition, p, NULL, err);
}

static mr_status put_step(mr_pg *pg, mr_pg_params *p, const mr_plan_job *job, int64_t run, uint32_t i, uint32_t has,
                          const mr_version *v, mr_error *err) {
    const mr_plan_step_request *step = &job->step[i];
    mr_step_plan plan = {.shape = (mr_step_shape)step->shape};
    snprintf(plan.component, sizeof plan.component, "%s", step->component);
    if (job->stream) MR_TRY(mr_plan_stream(0, &plan, err));
    else MR_TRY(mr_plan_step(v->rows, step->batch_rows, &plan, err));
    mr_pg_params_clear(p);
    mr_pg_put_int8(p, run);
    mr_pg_put_int4(p, (int32_t)i);
    mr_pg_put_text(p, step->component);
    mr_pg_put_int4(p, (int32_t)step->version);
    mr_pg_put_int2(p, (int16_t)step->shape);
    mr_pg_put_jsonb(p, step->options);
    mr_pg_put_int4(p, (int32_t)(job->stream ? step->columns : segment_columns(job, i, has)));
    mr_pg_put_int4(p, (int32_t)plan.batch_rows);
    mr_pg_put_int4(p, (int32_t)step->deadline_ms);
    mr_pg_put_text(p, step->chain.name);
    MR_TRY(mr_pg_exec(pg, &insert_step, p, NULL, err));
    return mr_chain_put(pg, &step->chain, run, i, err);
}

static mr_status put_fire(mr_pg *pg, mr_pg_params *p, const mr_plan_job *job, int64_t run, mr_error *err) {
    mr_pg_params_clear(p);
    mr_pg_put_int8(p, job->schedule);
    mr_pg_put_time(p, job->due_ns);
    if (job->next_ns == INT64_MAX) mr_pg_put_null(p, MR_PG_TIME);
    else mr_pg_put_time(p, job->next_ns);
    mr_pg_put_int8(p, run);
    return mr_pg_exec(pg, &insert_fire, p, NULL, err);
}

/* The rows of the run: those of a version, whose columns must do for the components. A stream has none. */
static mr_status find_rows(mr_pg *pg, mr_pg_params *p, mr_plan_job *job, mr_version *v, uint32_t *has, mr_error *err) {
    dataset d = {0};
    if (job->stream && job->steps != 1)
        return mr_fail(err, MR_E_INVALID, "a stream runs one component, not %u: open one for each", job->steps);
    if (job->stream && job->step[0].chain.needs)
        return mr_fail(err, MR_E_INVALID, "a stream's component is given nothing by other runs: leave 'needs' out");
    if (job->stream) return MR_OK;
    mr_pg_params_clear(p);
    MR_TRY(read_dataset(pg, p, job, &d, err));
    if (d.is_table) MR_TRY(mr_chain_roles(pg, job, d.id, err));
    MR_TRY(columns_of(job, &d, has, err));
    MR_TRY(leave_out(job, *has, err));
    MR_TRY(check_columns(job, *has, err));
    MR_TRY(mr_chain_resolve(pg, job, d.id, err));
    if (job->version) return mr_version_find(pg, d.id, (int64_t)job->version, v, err);
    return mr_version_make(pg, d.id, d.is_table, v, err);
}

static mr_status plan(mr_pg *pg, mr_pg_params *p, mr_plan_job *job, made *out, mr_error *err) {
    mr_version v = {0};
    uint32_t has = 0;
    if (job->key[0]) MR_TRY(find_submitted(pg, p, job, &out->run, err));
    job->existed = out->run != 0;
    if (job->existed) return MR_OK;
    MR_TRY(find_rows(pg, p, job, &v, &has, err));
    MR_TRY(put_run(pg, p, job, &v, out, err));
    job->existed = out->run == 0;
    if (job->existed) return find_submitted(pg, p, job, &out->run, err);
    MR_TRY(fence_run(pg, p, job, out->run, err));
    for (uint32_t i = 0; i < job->steps; i++) MR_TRY(put_step(pg, p, job, out->run, i, has, &v, err));
    return job->schedule ? put_fire(pg, p, job, out->run, err) : MR_OK;
}

/* ---- a run that is committed must be known ---- */

/* Whether the transaction took effect, once the server is done with it; E_FULL while it is not. */
static mr_status read_outcome(mr_pg *pg, int64_t transaction, bool *committed, mr_error *err) {
    mr_pg_params p;
    mr_pg_result *r = NULL;
    mr_pg_params_init(&p, NULL, 64);
    mr_pg_put_int8(&p, transaction);
    mr_status s = mr_pg_exec(pg, &how_it_ended, &p, &r, err);
    mr_pg_params_free(&p);
    if (s == MR_OK) {
        mr_pg_row row = mr_pg_row_at(r, 0);
        mr_span word = mr_pg_text(&row, 0);
        *committed = mr_span_eq(word, mr_span_of("committed"));
        if (mr_span_eq(word, mr_span_of("in progress"))) s = mr_fail(err, MR_E_FULL, "the run is still being committed");
    }
    mr_pg_result_free(&r);
    return s;
}

/* Reads the run that was or may have been committed, for as long as the database is away: nobody else would work on it
 * until the next start, which finds it. `known`: it is committed. */
static mr_status adopt(mr_desk *desk, const made *m, bool known, mr_run_info **info, mr_error *err) {
    const struct timespec pause = {.tv_nsec = 200000000};
    mr_error lost = *err;
    for (;;) {
        mr_pg *pg;
        mr_status s = mr_desk_database(desk, &pg, err);
        if (s == MR_OK && !known) {
            s = read_outcome(pg, m->transaction, &known, err);
            if (s == MR_OK && !known) {
                *err = lost;
                return MR_E_UNAVAILABLE;
            }
        }
        if (s == MR_OK) s = mr_run_info_read(pg, (uint64_t)m->run, info, err);
        if (s == MR_OK || !mr_status_of((int)s)->retryable || mr_queue_closed(&desk->in)) return s;
        nanosleep(&pause, NULL);
    }
}

/* The share of the work that this broker may plan in has changed, or there is none: that passes. */
static mr_status not_ours(const mr_pg *pg, mr_status s, mr_error *err) {
    const char *state = mr_pg_sqlstate(pg);
    if (!strcmp(state, MR_LEASE_NOTHING))
        return mr_fail(err, MR_E_UNAVAILABLE, "this broker has no share of the work now: ask another, or again in a while");
    if (!strcmp(state, MR_LEASE_LOST))
        return mr_fail(err, MR_E_UNAVAILABLE, "this broker's share of the work has just changed: send it again");
    return s;
}

void mr_plan_work(mr_desk *desk, mr_job *head) {
    mr_plan_job *job = (mr_plan_job *)head;
    mr_pg *pg;
    mr_pg_params p;
    mr_pg_outcome outcome = MR_PG_ROLLED_BACK;
    made m = {0};
    mr_error *err = &head->error;
    mr_pg_params_init(&p, NULL, 4 * 1024 * 1024);
    mr_status s = mr_desk_database(desk, &pg, err);
    if (s == MR_OK) s = mr_pg_begin(pg, err);
    if (s == MR_OK) {
        s = plan(pg, &p, job, &m, err);
        if (s == MR_OK && !job->check) s = mr_pg_commit(pg, &outcome, err);
        if (s != MR_OK) s = not_ours(pg, s, err);
        if (s != MR_OK || job->check) mr_pg_rollback(pg);
    }
    if (outcome != MR_PG_ROLLED_BACK) s = adopt(desk, &m, outcome == MR_PG_COMMITTED, &job->info, err);
    mr_pg_params_free(&p);
    head->status = s;
}
