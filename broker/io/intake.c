#include "broker/io/intake.h"

#include "broker/io/call_args.h"
#include "broker/io/intake_store.h"
#include "broker/io/run_info.h"
#include "common/json.h"
#include "common/pack.h"

#include <semaphore.h>
#include <stdio.h>
#include <string.h>

enum {
    ARENA_MAX = 512 * 1024 * 1024,
    PARAMS_MAX = 512 * 1024 * 1024,
    COPY_MAX = 512 * 1024 * 1024,
    REPLY_MAX = 16 * 1024 * 1024,
    KNOWN = 16,
    PACKETS = 3 /* one is prepared, one waits, one is stored */
};

/* An ingest that is under way. */
typedef struct ingest {
    mr_intake_target to;
    mr_arena *arena; /* of the schema */
    mr_table_schema schema;
} ingest;

/* The rows of one call, ready to be stored. */
struct mr_intake_packet {
    mr_intake_target to;
    mr_arena *arena;
    mr_intake_rows rows;
    mr_buf copy;
};

/* Two threads, so that a call's rows are checked and their features computed while those of the call before are on their way
 * into the database. The first desk is the one that calls are given to; it prepares rows and passes every call on, in order,
 * to the second, which alone writes. */
typedef struct intake {
    /* of the first desk */
    uint32_t max_chars, next, packet;
    mr_text *text;
    mr_pg_params row;
    ingest known[KNOWN]; /* a ring: the oldest is read again when it comes back */
    /* of whoever holds the packet: the first desk takes them in turn when `free` has one, the second gives them back */
    mr_intake_packet packets[PACKETS];
    sem_t free;
    /* of the second desk */
    mr_desk store;
    mr_arena *arena; /* of one call */
    mr_pg_params params;
    mr_seen seen;
} intake;

/* ---- statements ---- */

static const mr_pg_statement make_dataset = {
    "intake_dataset",
    "insert into millrace.dataset (name, kind, columns) values ($1, $2, $3) on conflict do nothing",
    3, {MR_PG_TEXT, MR_PG_TEXT, MR_PG_JSONB}};

static const mr_pg_statement read_dataset = {
    "intake_read_dataset", "select id, kind, columns, columns = $2 from millrace.dataset where name = $1", 2,
    {MR_PG_TEXT, MR_PG_JSONB}};

static const mr_pg_statement insert_ingest = {
    "intake_begin",
    "insert into millrace.ingest (dataset_id, paths, client, revises) values ($1, $2, $3, $4) returning id",
    4, {MR_PG_INT8, MR_PG_JSONB, MR_PG_TEXT, MR_PG_BOOL}};

static const mr_pg_statement read_ingest = {
    "intake_read",
    "select i.dataset_id, d.kind, d.columns, i.revises from millrace.ingest i join millrace.dataset d on d.id = i.dataset_id"
    " where i.id = $1",
    1, {MR_PG_INT8}};

static const mr_pg_statement insert_end = {
    "intake_end",
    "insert into millrace.ingest_end (ingest_id, rows_read, rejected) values ($1, $2, $3) on conflict do nothing",
    3, {MR_PG_INT8, MR_PG_INT8, MR_PG_INT8}};

static const mr_pg_statement delete_prompt = {
    "intake_delete",
    "with gone as (update millrace.training_prompts set active = false where id = $1 and active returning id)"
    " insert into millrace.prompt_event (prompt_id, event, reason, client) select id, 'deleted', $2, $3 from gone",
    3, {MR_PG_INT8, MR_PG_TEXT, MR_PG_TEXT}};

/* ---- arguments ---- */

static int64_t number(const mr_intake_job *job, const char *name) {
    return (int64_t)mr_arg_number(mr_buf_span(&job->args), name, 0);
}
static mr_span text(const mr_intake_job *job, const char *name) { return mr_arg_text(mr_buf_span(&job->args), name); }
static bool argument(const mr_intake_job *job, const char *name, mr_unpack *value) {
    return mr_arg_find(mr_buf_span(&job->args), name, value);
}

/* ---- ingest_begin ---- */

static mr_status check_names(mr_table_schema schema, mr_error *err) {
    for (uint32_t i = 0; i < schema.count; i++) {
        if (!schema.columns[i].name[0]) return mr_fail(err, MR_E_INVALID, "column %u of the table has no name", i + 1);
        for (uint32_t j = 0; j < i; j++)
            if (!strcmp(schema.columns[i].name, schema.columns[j].name))
                return mr_fail(err, MR_E_INVALID, "the table has two columns '%s'", schema.columns[i].name);
    }
    return schema.count ? MR_OK : mr_fail(err, MR_E_INVALID, "a table needs its columns");
}

/* {"name": "type", ...}, in order, as the schema's JSON. */
static mr_status columns_json(const mr_intake_job *job, mr_arena *arena, mr_buf *out, mr_error *err) {
    mr_unpack u;
    uint32_t n;
    mr_table_schema schema;
    mr_buf pairs;
    if (!argument(job, "columns", &u)) return mr_fail(err, MR_E_INVALID, "a table needs its columns");
    MR_TRY(mr_unpack_map(&u, MR_TABLE_COLUMNS, &n, err));
    mr_buf_init(&pairs, NULL, 1024 * 1024);
    mr_buf_text(&pairs, "[");
    mr_status s = MR_OK;
    for (uint32_t i = 0; s == MR_OK && i < n; i++) {
        mr_span name, type;
        s = mr_unpack_str(&u, MR_TABLE_NAME - 1, &name, err);
        if (s == MR_OK) s = mr_unpack_str(&u, 16, &type, err);
        if (s != MR_OK) break;
        mr_buf_text(&pairs, i ? ", {\"name\": " : "{\"name\": ");
        mr_json_put_text(&pairs, name);
        mr_buf_text(&pairs, ", \"type\": ");
        mr_json_put_text(&pairs, type);
        mr_buf_text(&pairs, "}");
    }
    mr_buf_text(&pairs, "]");
    if (s == MR_OK) s = mr_schema_from_json(mr_buf_span(&pairs), arena, &schema, err);
    if (s == MR_OK) s = check_names(schema, err);
    if (s == MR_OK) mr_schema_to_json(schema, out);
    else if (s == MR_E_CORRUPT) s = mr_fail(err, MR_E_INVALID, "a column has no name or a type that is none of number, integer, boolean, text, time");
    mr_buf_free(&pairs);
    return s;
}

static mr_status find_dataset(mr_pg *pg, intake *in, mr_span name, bool is_table, mr_span columns, int64_t *id, mr_error *err) {
    mr_pg_result *r = NULL;
    mr_pg_params_clear(&in->params);
    mr_pg_put_str(&in->params, name);
    mr_pg_put_jsonb(&in->params, columns);
    MR_TRY(mr_pg_exec(pg, &read_dataset, &in->params, &r, err));
    mr_pg_row row = mr_pg_row_at(r, 0);
    mr_status s = MR_OK;
    bool table_there = mr_pg_rows(r) && mr_span_eq(mr_pg_text(&row, 1), mr_span_of("table"));
    if (!mr_pg_rows(r)) s = mr_fail(err, MR_E_NOT_FOUND, "there is no data set '%.*s'", MR_SPAN_ARG(name));
    else if (table_there != is_table)
        s = mr_fail(err, MR_E_CONFLICT, "the data set '%.*s' holds %.*s, which is another kind", MR_SPAN_ARG(name), MR_SPAN_ARG(mr_pg_text(&row, 1)));
    else if (is_table && !mr_pg_bool(&row, 3))
        s = mr_fail(err, MR_E_CONFLICT, "the table '%.*s' is there with other columns or types: take another name, or declare the types that it has", MR_SPAN_ARG(name));
    if (s == MR_OK) *id = mr_pg_int(&row, 0);
    if (s == MR_OK) s = mr_pg_row_status(&row, err);
    mr_pg_result_free(&r);
    return s;
}

/* The paths as JSON; `[]` when none are told. */
static mr_status paths_json(const mr_intake_job *job, mr_buf *out, mr_error *err) {
    mr_unpack u;
    if (!argument(job, "paths", &u)) {
        mr_buf_text(out, "[]");
        return MR_OK;
    }
    const uint8_t *start = u.at;
    MR_TRY(mr_unpack_skip(&u, err));
    return mr_json_from_pack((mr_span){start, (size_t)(u.at - start)}, out, err);
}

static mr_status begin_in_transaction(mr_pg *pg, intake *in, mr_intake_job *job, mr_span name, bool is_table, mr_buf *columns,
                                      int64_t ids[2], mr_error *err) {
    mr_pg_result *r = NULL;
    if (is_table) {
        MR_TRY(columns_json(job, in->arena, columns, err));
        mr_pg_params_clear(&in->params);
        mr_pg_put_str(&in->params, name);
        mr_pg_put_text(&in->params, "table");
        mr_pg_put_jsonb(&in->params, mr_buf_span(columns));
        MR_TRY(mr_pg_exec(pg, &make_dataset, &in->params, NULL, err));
    }
    MR_TRY(find_dataset(pg, in, name, is_table, columns->len ? mr_buf_span(columns) : mr_span_of("[]"), &ids[1], err));
    mr_buf paths;
    mr_buf_init(&paths, NULL, 1024 * 1024);
    mr_status s = paths_json(job, &paths, err);
    mr_pg_params_clear(&in->params);
    mr_pg_put_int8(&in->params, ids[1]);
    mr_pg_put_jsonb(&in->params, mr_buf_span(&paths));
    mr_pg_put_text(&in->params, job->client);
    mr_pg_put_bool(&in->params, mr_arg_flag(mr_buf_span(&job->args), "update"));
    mr_buf_free(&paths);
    MR_TRY(s);
    MR_TRY(mr_pg_exec(pg, &insert_ingest, &in->params, &r, err));
    mr_pg_row row = mr_pg_row_at(r, 0);
    ids[0] = mr_pg_int(&row, 0);
    s = mr_pg_row_status(&row, err);
    mr_pg_result_free(&r);
    return s;
}

static mr_status begin(mr_pg *pg, intake *in, mr_intake_job *job, mr_error *err) {
    mr_span name = text(job, "dataset");
    bool is_table = name.len > 0 && !mr_span_eq(name, mr_span_of("prompts"));
    int64_t ids[2]; /* ingest, data set */
    mr_buf columns;
    mr_pg_outcome outcome;
    if (name.len > 64) return mr_fail(err, MR_E_INVALID, "the name of a data set has at most 64 bytes");
    mr_buf_init(&columns, NULL, 1024 * 1024);
    mr_status s = mr_pg_begin(pg, err);
    if (s == MR_OK) s = begin_in_transaction(pg, in, job, is_table ? name : mr_span_of("prompts"), is_table, &columns, ids, err);
    if (s == MR_OK) s = mr_pg_commit(pg, &outcome, err);
    if (s != MR_OK) mr_pg_rollback(pg);
    mr_buf_free(&columns);
    if (s != MR_OK) return s;
    mr_pack_map(&job->reply, 2);
    mr_pack_text(&job->reply, "ingest");
    mr_pack_i64(&job->reply, ids[0]);
    mr_pack_text(&job->reply, "dataset");
    mr_pack_i64(&job->reply, ids[1]);
    return MR_OK;
}

/* ---- ingest_rows ---- */

static mr_status read_known(mr_pg *pg, intake *in, int64_t id, ingest *out, mr_error *err) {
    mr_pg_result *r = NULL;
    mr_pg_params_clear(&in->row);
    mr_pg_put_int8(&in->row, id);
    MR_TRY(mr_pg_exec(pg, &read_ingest, &in->row, &r, err));
    mr_pg_row row = mr_pg_row_at(r, 0);
    mr_status s = MR_OK;
    if (!mr_pg_rows(r)) {
        s = mr_fail(err, MR_E_NOT_FOUND, "there is no ingest %lld: begin one with ingest_begin", (long long)id);
    } else {
        *out = (ingest){.to = {.ingest = id, .dataset = mr_pg_int(&row, 0)}, .arena = mr_arena_new(NULL, 16 * 1024 * 1024)};
        out->to.is_table = mr_span_eq(mr_pg_text(&row, 1), mr_span_of("table"));
        out->to.revises = mr_pg_bool(&row, 3);
        s = out->arena ? mr_schema_from_json(mr_pg_text(&row, 2), out->arena, &out->schema, err)
                       : mr_fail(err, MR_E_MEMORY, "no memory for an ingest");
        if (s != MR_OK) mr_arena_free(&out->arena);
    }
    mr_pg_result_free(&r);
    return s;
}

static mr_status known(mr_desk *desk, int64_t id, const ingest **out, mr_error *err) {
    intake *in = desk->state;
    mr_pg *pg;
    for (int i = 0; i < KNOWN; i++) {
        *out = &in->known[i];
        if (in->known[i].to.ingest == id && id) return MR_OK;
    }
    ingest fresh = {0};
    MR_TRY(mr_desk_database(desk, &pg, err));
    MR_TRY(read_known(pg, in, id, &fresh, err));
    ingest *slot = &in->known[in->next++ % KNOWN];
    mr_arena_free(&slot->arena);
    *slot = fresh;
    *out = slot;
    return MR_OK;
}

/* On the first desk: the packet that job->packet becomes. */
static mr_status prepare(mr_desk *desk, mr_intake_job *job, mr_intake_packet *k, mr_error *err) {
    intake *in = desk->state;
    const ingest *to;
    mr_span bytes = {job->rows.data, job->rows.len};
    mr_arena_reset(k->arena);
    MR_TRY(known(desk, number(job, "ingest"), &to, err));
    k->to = to->to;
    if (k->to.is_table) return mr_intake_table(bytes, to->schema, text(job, "file"), k->arena, &k->rows, err);
    MR_TRY(mr_intake_prompts(bytes, in->max_chars, in->text, k->arena, &k->rows, err));
    return k->to.revises ? MR_OK : mr_intake_encode(&k->rows, k->to.ingest, &k->copy, err);
}

static mr_status put_rejects(mr_pg *pg, intake *in, const mr_intake_job *job, const mr_intake_rows *r, mr_error *err) {
    size_t n = r->rejects;
    mr_span *file = mr_arena_alloc(in->arena, n, sizeof *file), *reason = mr_arena_alloc(in->arena, n, sizeof *reason);
    int64_t *line = mr_arena_alloc(in->arena, n, sizeof *line);
    int32_t *column = mr_arena_alloc(in->arena, n, sizeof *column), *status = mr_arena_alloc(in->arena, n, sizeof *status);
    if (!file || !reason || !line || !column || !status) return mr_fail(err, MR_E_MEMORY, "no memory for refused rows");
    for (size_t i = 0; i < n; i++) {
        file[i] = text(job, "file");
        reason[i] = mr_span_of(r->reject[i].reason);
        line[i] = (int64_t)r->reject[i].line;
        status[i] = MR_E_INVALID;
    }
    return mr_intake_store_rejects(pg, number(job, "ingest"), n, file, line, column, status, reason, &in->params, err);
}

/* [line, id] of each row that is there already. */
static void pack_duplicates(mr_buf *b, const mr_intake_rows *r, const mr_intake_outcome *o) {
    mr_pack_text(b, "duplicates");
    mr_pack_array(b, o->duplicates);
    for (uint32_t i = 0; i < o->duplicates; i++) {
        mr_pack_array(b, 2);
        mr_pack_u64(b, r->line[o->row[i]]);
        mr_pack_i64(b, o->id[i]);
    }
}

static void pack_stored(mr_buf *b, const mr_intake_rows *r, const mr_intake_outcome *o) {
    mr_pack_map(b, 5);
    mr_pack_text(b, "stored");
    mr_pack_i64(b, o->stored - o->updated);
    mr_pack_text(b, "updated");
    mr_pack_i64(b, o->updated);
    mr_pack_text(b, "duplicate");
    mr_pack_i64(b, (int64_t)r->count - o->stored);
    pack_duplicates(b, r, o);
    mr_pack_text(b, "rejects");
    mr_pack_array(b, r->rejects);
    for (uint32_t i = 0; i < r->rejects; i++) {
        mr_pack_array(b, 3);
        mr_pack_u64(b, r->reject[i].line);
        mr_pack_u64(b, 0);
        mr_pack_text(b, r->reject[i].reason);
    }
}

/* One transaction. */
static mr_status store(mr_pg *pg, intake *in, mr_intake_job *job, bool careful, mr_error *err) {
    mr_intake_packet *k = job->packet;
    mr_intake_outcome outcome;
    mr_pg_outcome committed;
    mr_arena_reset(in->arena);
    MR_TRY(mr_pg_begin(pg, err));
    mr_status s = mr_intake_store(pg, &k->to, &k->rows, &k->copy, job->client, careful, &in->seen, &in->params, in->arena,
                                  &outcome, err);
    if (s == MR_OK && k->rows.rejects) s = put_rejects(pg, in, job, &k->rows, err);
    if (s == MR_OK) s = mr_pg_commit(pg, &committed, err);
    if (s != MR_OK) mr_pg_rollback(pg);
    else pack_stored(&job->reply, &k->rows, &outcome);
    return s;
}

static mr_status take_rows(mr_pg *pg, intake *in, mr_intake_job *job, mr_error *err) {
    bool guessed = mr_seen_trusted(&in->seen);
    mr_status s = store(pg, in, job, false, err);
    if (s == MR_E_EXISTS && guessed) {
        mr_seen_was_wrong(&in->seen);
        s = store(pg, in, job, false, err);
    }
    return s == MR_E_EXISTS ? store(pg, in, job, true, err) : s; /* another broker stores the same rows */
}

/* ---- the others ---- */

/* The client's list: [[file, line, column, status, reason], ...]. */
static mr_status client_rejects(mr_pg *pg, intake *in, mr_intake_job *job, mr_error *err) {
    mr_unpack u;
    uint32_t n, five;
    if (!argument(job, "rejects", &u)) return mr_fail(err, MR_E_INVALID, "ingest_reject needs the rows that were refused");
    MR_TRY(mr_unpack_array(&u, MR_INTAKE_ROWS, &n, err));
    size_t cap = n ? n : 1;
    mr_span *file = mr_arena_alloc(in->arena, cap, sizeof *file), *reason = mr_arena_alloc(in->arena, cap, sizeof *reason);
    int64_t *line = mr_arena_alloc(in->arena, cap, sizeof *line);
    int32_t *column = mr_arena_alloc(in->arena, cap, sizeof *column), *status = mr_arena_alloc(in->arena, cap, sizeof *status);
    if (!file || !reason || !line || !column || !status) return mr_fail(err, MR_E_MEMORY, "no memory for refused rows");
    for (uint32_t i = 0; i < n; i++) {
        uint64_t at, col, code;
        MR_TRY(mr_unpack_array(&u, 5, &five, err));
        if (five != 5) return mr_fail(err, MR_E_INVALID, "a refused row is [file, line, column, status, reason]");
        MR_TRY(mr_unpack_str(&u, 4096, &file[i], err));
        MR_TRY(mr_unpack_u64(&u, INT64_MAX, &at, err));
        MR_TRY(mr_unpack_u64(&u, INT32_MAX, &col, err));
        MR_TRY(mr_unpack_u64(&u, 1000, &code, err));
        MR_TRY(mr_unpack_str(&u, 1024, &reason[i], err));
        if (!mr_utf8_check(file[i], NULL, NULL) || !mr_utf8_check(reason[i], NULL, NULL))
            return mr_fail(err, MR_E_INVALID, "a refused row's file name or reason is not UTF-8");
        line[i] = (int64_t)at;
        column[i] = (int32_t)col;
        status[i] = (int32_t)code;
    }
    return mr_intake_store_rejects(pg, number(job, "ingest"), n, file, line, column, status, reason, &in->params, err);
}

static mr_status end(mr_pg *pg, intake *in, mr_intake_job *job, mr_error *err) {
    mr_pg_params_clear(&in->params);
    mr_pg_put_int8(&in->params, number(job, "ingest"));
    mr_pg_put_int8(&in->params, number(job, "read"));
    mr_pg_put_int8(&in->params, number(job, "rejected"));
    return mr_pg_exec(pg, &insert_end, &in->params, NULL, err);
}

static mr_status delete_one(mr_pg *pg, intake *in, mr_intake_job *job, mr_error *err) {
    mr_pg_result *r = NULL;
    int64_t id = number(job, "id");
    mr_pg_params_clear(&in->params);
    mr_pg_put_int8(&in->params, id);
    mr_span reason = text(job, "reason");
    mr_pg_put_str(&in->params, reason.data ? reason : mr_span_of(""));
    mr_pg_put_text(&in->params, job->client);
    MR_TRY(mr_pg_exec(pg, &delete_prompt, &in->params, &r, err));
    bool gone = mr_pg_changed(r) == 1;
    mr_pg_result_free(&r);
    return gone ? MR_OK : mr_fail(err, MR_E_NOT_FOUND, "there is no active prompt %lld: 'millrace prompts list' shows them", (long long)id);
}

static mr_status (*handler(mr_command command))(mr_pg *, intake *, mr_intake_job *, mr_error *) {
    switch (command) {
    case MR_CMD_INGEST_BEGIN: return begin;
    case MR_CMD_INGEST_ROWS: return take_rows;
    case MR_CMD_INGEST_REJECT: return client_rejects;
    case MR_CMD_INGEST_END: return end;
    default: MR_ASSERT(command == MR_CMD_PROMPT_DELETE); return delete_one;
    }
}

/* ---- the two desks ---- */

/* On the second desk. */
static void write_job(mr_desk *desk, mr_job *head) {
    mr_intake_job *job = (mr_intake_job *)head;
    intake *in = desk->state;
    mr_pg *pg;
    mr_error *err = &head->error;
    mr_arena_reset(in->arena);
    mr_status s = mr_desk_database(desk, &pg, err);
    if (s == MR_OK) s = handler(job->command)(pg, in, job, err);
    if (s == MR_OK && !job->reply.len) mr_pack_map(&job->reply, 0);
    if (s == MR_OK && mr_buf_status(&job->reply) != MR_OK) s = mr_fail(err, MR_E_MEMORY, "no memory for the answer");
    head->status = s;
    if (job->packet) sem_post(&in->free);
    job->packet = NULL;
}

static void wait_for_packet(intake *in) {
    while (sem_wait(&in->free) != 0) { /* EINTR */
    }
}

/* On the first desk: false when the rows are of no use, and the job goes back. */
static bool prepare_job(mr_desk *desk, mr_intake_job *job) {
    intake *in = desk->state;
    if (job->command != MR_CMD_INGEST_ROWS) return true;
    wait_for_packet(in);
    mr_intake_packet *k = &in->packets[in->packet];
    job->head.status = prepare(desk, job, k, &job->head.error);
    if (job->head.status != MR_OK) return sem_post(&in->free), false;
    job->packet = k;
    in->packet = (in->packet + 1) % PACKETS;
    return true;
}

static void prepare_jobs(mr_desk *desk, mr_job *jobs) {
    intake *in = desk->state;
    while (jobs) {
        mr_job *job = jobs;
        jobs = job->next;
        job->next = NULL;
        if (prepare_job(desk, (mr_intake_job *)job)) mr_desk_give(&in->store, job);
        else mr_desk_done(desk, job);
    }
}

/* ---- jobs and the desk ---- */

mr_intake_job *mr_intake_job_new(mr_command command, mr_span args, mr_net_body *rows, const char *client) {
    mr_intake_job *job = mr_new(NULL, 1, sizeof *job);
    if (!job) return NULL;
    job->command = command;
    job->head.work = write_job;
    snprintf(job->client, sizeof job->client, "%s", client);
    mr_buf_init(&job->args, NULL, args.len + 1);
    mr_buf_init(&job->reply, NULL, REPLY_MAX);
    mr_buf_put(&job->args, args.data, args.len);
    if (mr_buf_status(&job->args) != MR_OK) {
        mr_intake_job_free(job);
        return NULL;
    }
    if (rows) {
        job->rows = *rows;
        *rows = (mr_net_body){0};
    }
    return job;
}

void mr_intake_job_free(mr_intake_job *job) {
    mr_net_body_free(&job->rows);
    mr_buf_free(&job->args);
    mr_buf_free(&job->reply);
    mr_free(NULL, job, 1, sizeof *job);
}

static void free_intake(intake *in) {
    for (int i = 0; i < KNOWN; i++) mr_arena_free(&in->known[i].arena);
    for (int i = 0; i < PACKETS; i++) {
        mr_arena_free(&in->packets[i].arena);
        mr_buf_free(&in->packets[i].copy);
    }
    mr_text_free(&in->text);
    mr_arena_free(&in->arena);
    mr_pg_params_free(&in->params);
    mr_pg_params_free(&in->row);
    mr_seen_free(&in->seen);
    sem_destroy(&in->free);
    mr_free(NULL, in, 1, sizeof *in);
}

/* At the end of the first desk's thread: the second works off what it has. */
static void stop(mr_desk *desk) {
    intake *in = desk->state;
    mr_desk_stop(&in->store);
    free_intake(in);
}

static mr_status make_intake(intake *in, mr_error *err) {
    bool ok = sem_init(&in->free, 0, PACKETS) == 0;
    mr_pg_params_init(&in->params, NULL, PARAMS_MAX);
    mr_pg_params_init(&in->row, NULL, PARAMS_MAX);
    in->arena = mr_arena_new(NULL, ARENA_MAX);
    for (int i = 0; i < PACKETS; i++) {
        mr_buf_init(&in->packets[i].copy, NULL, COPY_MAX);
        in->packets[i].arena = mr_arena_new(NULL, ARENA_MAX);
        ok = ok && in->packets[i].arena;
    }
    if (!ok || !in->arena) return mr_fail(err, MR_E_MEMORY, "no memory for the intake");
    return mr_text_new(NULL, &in->text, err);
}

mr_status mr_intake_start(mr_desk *desk, uint32_t max_chars, mr_error *err) {
    intake *in = mr_new(NULL, 1, sizeof *in);
    if (!in) return mr_fail(err, MR_E_MEMORY, "no memory for the intake");
    in->max_chars = max_chars;
    in->store = (mr_desk){.name = "intake_store", .log = desk->log, .url = desk->url, .outbox = desk->outbox,
                          .waker = desk->waker, .state = in};
    mr_status s = make_intake(in, err);
    desk->name = "intake";
    desk->state = in;
    desk->batch = prepare_jobs;
    desk->stop = stop;
    if (s == MR_OK) s = mr_desk_start(&in->store, err);
    if (s == MR_OK) s = mr_desk_start(desk, err);
    if (s == MR_OK) return MR_OK;
    mr_desk_stop(&in->store);
    free_intake(in);
    return s;
}
