#include "broker/io/intake_store.h"

#include <endian.h>
#include <string.h>

/* ---- statements ---- */

/* Locks the ingest's row against removal, and tells the transaction's time in microseconds since 2000. Plans are kept from
 * when the tables were small, so none may walk a whole table. */
static const mr_pg_statement open_ingest = {"intake_open",
                                            "select (extract(epoch from now() - timestamptz '2000-01-01Z') * "
                                            "1000000)::bigint, set_config('enable_seqscan', 'off', true)"
                                            " from millrace.ingest where id = $1 for key share",
                                            1,
                                            {MR_PG_INT8}};

static const mr_pg_statement read_sessions = {
    "intake_session_ids", "select name, id from millrace.prompt_sessions where name = any ($1)", 1, {MR_PG_TEXTS}};

static const mr_pg_statement insert_sessions = {
    "intake_sessions", "insert into millrace.prompt_sessions (name) select unnest($1::text[]) returning name, id", 1,
    {MR_PG_TEXTS}};

/* The same when another call makes one of them at this moment: what it made is to be read then. */
static const mr_pg_statement insert_sessions_beside = {
    "intake_sessions_beside",
    "insert into millrace.prompt_sessions (name) select unnest($1::text[]) on conflict do nothing returning name, id",
    1,
    {MR_PG_TEXTS}};

static const mr_pg_statement read_known = {
    "intake_known",
    "select content_hash, id from millrace.training_prompts where content_hash = any ($1) and not superseded",
    1,
    {MR_PG_BYTEAS}};

/* The order of mr_intake_encode. */
static const char copy_prompts[] =
    "copy millrace.training_prompts (created_at, session_id, content_hash, prompt, enhancement, enhancement_json, source,"
    " priority, score, success, labels, metadata, features, features_version, ingest_id) from stdin (format binary)";

/* With `revises`: what is there with the same content and other fields makes room. A deleted prompt stays deleted. */
static const mr_pg_statement supersede = {
    "intake_supersede",
    "update millrace.training_prompts p set superseded = true, active = false"
    " from unnest($1::bytea[], $2::text[], $3::int[], $4::text[], $5::float8[], $6::boolean[], $7::jsonb[], $8::jsonb[])"
    " r (hash, source, priority, session, score, success, labels, metadata)"
    " left join millrace.prompt_sessions s on s.name = r.session"
    " where p.content_hash = r.hash and p.active and not p.superseded"
    " and (p.source, p.priority, p.session_id, p.score, p.success, p.labels, p.metadata)"
    " is distinct from (r.source, r.priority, s.id, r.score, r.success, r.labels, r.metadata)",
    8,
    {MR_PG_BYTEAS, MR_PG_TEXTS, MR_PG_INT4S, MR_PG_TEXTS, MR_PG_FLOAT8S, MR_PG_BOOLS, MR_PG_JSONBS, MR_PG_JSONBS}};

/* Both inserts answer with one row (0, stored, updated), then one (n, id, 0) for each duplicate, in order: the n-th row of
 * the call is there already, as `id` (0 when another call is storing it right now). */
static const mr_pg_statement insert_prompts = {
    "intake_prompts",
    "with r as materialized (select *, row_number() over (partition by hash order by n) as copy"
    " from unnest($1::bytea[], $2::text[], $3::text[], $4::boolean[], $5::text[], $6::int[], $7::text[], $8::float8[],"
    " $9::boolean[], $10::jsonb[], $11::jsonb[], $12::timestamptz[], $13::bytea[]) with ordinality"
    " u (hash, prompt, enhancement, enhancement_json, source, priority, session, score, success, labels, metadata, "
    "created_at,"
    " features, n)),"
    " stored as ("
    " insert into millrace.training_prompts (content_hash, prompt, enhancement, enhancement_json, source, priority, "
    "session_id,"
    " score, success, labels, metadata, created_at, features, features_version, ingest_id, revision, supersedes)"
    " select r.hash, r.prompt, r.enhancement, r.enhancement_json, r.source, r.priority, s.id, r.score, r.success, r.labels,"
    " r.metadata, coalesce(r.created_at, now()), r.features, $14, $15, coalesce(o.revision, 0) + 1, o.id"
    " from r left join millrace.prompt_sessions s on s.name = r.session"
    " left join lateral (select id, revision from millrace.training_prompts q where q.content_hash = r.hash and q.superseded"
    " order by revision desc limit 1) o on $16"
    " where r.copy = 1 order by r.n on conflict (content_hash) where not superseded do nothing"
    " returning id, content_hash, supersedes),"
    " told as (insert into millrace.prompt_event (prompt_id, event, client)"
    " select supersedes, 'updated', $17 from stored where supersedes is not null)"
    " select 0::bigint, count(*), count(supersedes) from stored union all"
    " select r.n, coalesce(t.id, p.id, 0), 0 from r left join stored t on t.content_hash = r.hash"
    " left join millrace.training_prompts p on p.content_hash = r.hash and not p.superseded"
    " where t.id is null or r.copy > 1 order by 1",
    17,
    {MR_PG_BYTEAS, MR_PG_TEXTS, MR_PG_TEXTS, MR_PG_BOOLS, MR_PG_TEXTS, MR_PG_INT4S, MR_PG_TEXTS, MR_PG_FLOAT8S, MR_PG_BOOLS,
     MR_PG_JSONBS, MR_PG_JSONBS, MR_PG_TIMES, MR_PG_BYTEAS, MR_PG_INT4, MR_PG_INT8, MR_PG_BOOL, MR_PG_TEXT}};

static const mr_pg_statement insert_cells = {
    "intake_cells",
    "with r as materialized (select * from unnest($1::bytea[], $2::bytea[], $3::bytea[]) with ordinality u (key, hash, "
    "cells, n)),"
    " stored as (insert into millrace.table_row (dataset_id, row_key, content_hash, cells, ingest_id)"
    " select $4, r.key, r.hash, r.cells, $5 from r order by r.n on conflict do nothing returning row_key)"
    " select 0::bigint, count(*), 0::bigint from stored union all"
    " select r.n, coalesce(t.id, 0), 0 from r left join millrace.table_row t on t.dataset_id = $4 and t.row_key = r.key"
    " where r.key not in (select row_key from stored) order by 1",
    5,
    {MR_PG_BYTEAS, MR_PG_BYTEAS, MR_PG_BYTEAS, MR_PG_INT8, MR_PG_INT8}};

static const mr_pg_statement insert_rejects = {
    "intake_rejects",
    "insert into millrace.ingest_reject (ingest_id, file, line, \"column\", status, reason)"
    " select $1, * from unnest($2::text[], $3::bigint[], $4::int[], $5::int[], $6::text[])",
    6,
    {MR_PG_INT8, MR_PG_TEXTS, MR_PG_INT8S, MR_PG_INT4S, MR_PG_INT4S, MR_PG_TEXTS}};

/* ---- sessions ---- */

/* Sets ids[place in r->names] for each of `n` names that the statement tells. */
static mr_status take_session_ids(mr_pg *pg, const mr_pg_statement *st, const mr_intake_rows *r, const mr_span *names,
                                  size_t n, mr_pg_params *p, int64_t *ids, mr_error *err) {
    mr_pg_result *result = NULL;
    if (!n) return MR_OK;
    mr_pg_params_clear(p);
    mr_pg_put_texts(p, names, NULL, n);
    MR_TRY(mr_pg_exec(pg, st, p, &result, err));
    mr_status s = MR_OK;
    for (uint32_t i = 0; s == MR_OK && i < mr_pg_rows(result); i++) {
        mr_pg_row row = mr_pg_row_at(result, i);
        uint32_t at = mr_intake_find(&r->sessions, r->names, mr_pg_text(&row, 0));
        int64_t id = mr_pg_int(&row, 1);
        s = mr_pg_row_status(&row, err);
        if (s == MR_OK && at < r->name_count) ids[at] = id;
    }
    mr_pg_result_free(&result);
    return s;
}

static size_t missing(const mr_intake_rows *r, const int64_t *ids, mr_span *names) {
    size_t n = 0;
    for (uint32_t i = 0; i < r->name_count; i++)
        if (!ids[i]) names[n++] = r->names[i];
    return n;
}

/* The ids of r->names; those that are not there yet are made. Without `careful`, E_EXISTS when another call makes one of
 * them too. */
static mr_status session_ids(mr_pg *pg, const mr_intake_rows *r, bool careful, mr_pg_params *p, mr_arena *arena,
                             int64_t **ids, mr_error *err) {
    if (!r->name_count) return MR_OK;
    mr_span *names = mr_arena_alloc(arena, r->name_count, sizeof *names);
    *ids = mr_arena_alloc(arena, r->name_count, sizeof **ids);
    if (!names || !*ids) return mr_fail(err, MR_E_MEMORY, "no memory for the sessions of a call");
    MR_TRY(take_session_ids(pg, &read_sessions, r, r->names, r->name_count, p, *ids, err));
    const mr_pg_statement *make = careful ? &insert_sessions_beside : &insert_sessions;
    MR_TRY(take_session_ids(pg, make, r, names, missing(r, *ids, names), p, *ids, err));
    MR_TRY(take_session_ids(pg, &read_sessions, r, names, missing(r, *ids, names), p, *ids, err));
    return missing(r, *ids, names) ? mr_fail(err, MR_E_CONFLICT, "a session went away meanwhile") : MR_OK;
}

/* ---- prompts that are new, by COPY ---- */

/* Sets id[first row with that content] for each of `n` hashes that is there. */
static mr_status read_ids(mr_pg *pg, const mr_intake_rows *r, const mr_span *hashes, size_t n, mr_pg_params *p, int64_t *id,
                          mr_error *err) {
    mr_pg_result *result = NULL;
    if (!n) return MR_OK;
    mr_pg_params_clear(p);
    mr_pg_put_byteas(p, hashes, NULL, n);
    MR_TRY(mr_pg_exec(pg, &read_known, p, &result, err));
    mr_status s = MR_OK;
    for (uint32_t i = 0; s == MR_OK && i < mr_pg_rows(result); i++) {
        mr_pg_row row = mr_pg_row_at(result, i);
        uint32_t at = mr_intake_find(&r->contents, r->hash, mr_pg_bytea(&row, 0));
        int64_t there = mr_pg_int(&row, 1);
        s = mr_pg_row_status(&row, err);
        if (s == MR_OK && at < r->count) id[at] = there;
    }
    mr_pg_result_free(&result);
    return s;
}

static void patch(mr_buf *copy, size_t at, int64_t v) {
    uint64_t bytes = htobe64((uint64_t)v);
    memcpy(copy->data + at, &bytes, sizeof bytes);
}

/* What only the database knows is put into the rows that were encoded before: the time, the session's id. */
static void complete(const mr_intake_rows *r, int64_t now_us, const int64_t *sessions, mr_buf *copy) {
    for (uint32_t i = 0; i < r->count; i++) {
        if (r->no_time[i]) patch(copy, r->copy_at[i] + MR_INTAKE_TIME_AT, now_us);
        if (!r->no_session[i]) patch(copy, r->copy_at[i] + MR_INTAKE_SESSION_AT, sessions[r->name[i]]);
    }
}

/* The time by the database, and that the ingest is there and stays. */
static mr_status open_rows(mr_pg *pg, int64_t ingest, mr_pg_params *p, int64_t *now_us, mr_error *err) {
    mr_pg_result *result = NULL;
    mr_pg_params_clear(p);
    mr_pg_put_int8(p, ingest);
    MR_TRY(mr_pg_exec(pg, &open_ingest, p, &result, err));
    mr_pg_row row = mr_pg_row_at(result, 0);
    mr_status s = MR_OK;
    if (!mr_pg_rows(result))
        s = mr_fail(err, MR_E_NOT_FOUND, "the ingest %lld is not there any more", (long long)ingest);
    else
        *now_us = mr_pg_int(&row, 0);
    if (s == MR_OK) s = mr_pg_row_status(&row, err);
    mr_pg_result_free(&result);
    return s;
}

static bool allocate_outcome(mr_intake_outcome *out, uint32_t rows, mr_arena *arena) {
    *out = (mr_intake_outcome){0};
    out->row = mr_arena_alloc(arena, (size_t)rows + 1, sizeof *out->row);
    out->id = mr_arena_alloc(arena, (size_t)rows + 1, sizeof *out->id);
    return out->row && out->id;
}

/* What the steps of store_new share: by row, all for the first row of each content. */
typedef struct newcomers {
    mr_span *ask; /* hashes to look up */
    int64_t *id;  /* of the row that is there, 0: none */
    bool *fresh;  /* it is to be stored */
    bool *seen;   /* it was stored or found before */
} newcomers;

/* Of a row some places behind the one that is looked at: so many are fetched from memory at once. */
static void expect(const mr_intake_rows *r, uint32_t row, const mr_seen *seen) {
    enum { AHEAD = 12 };
    if (r->count - row > AHEAD) mr_seen_expect(seen, r->hash[row + AHEAD]);
}

static mr_status pick_new(mr_pg *pg, const mr_intake_rows *r, mr_pg_params *p, const mr_seen *seen, newcomers *w,
                          int64_t *count, mr_error *err) {
    bool trusted = mr_seen_trusted(seen);
    size_t n = 0;
    for (uint32_t i = 0; i < r->count; i++) {
        expect(r, i, seen);
        if (r->first[i] != i) continue;
        w->seen[i] = mr_seen_has(seen, r->hash[i]);
        if (w->seen[i] || !trusted) w->ask[n++] = r->hash[i];
    }
    MR_TRY(read_ids(pg, r, w->ask, n, p, w->id, err));
    for (uint32_t i = 0; i < r->count; i++) {
        w->fresh[i] = r->first[i] == i && !w->id[i];
        *count += w->fresh[i];
    }
    return MR_OK;
}

/* Contents that are on their way, though perhaps not to stay: what it remembers is a guess. */
static void remember(const mr_intake_rows *r, const newcomers *w, mr_seen *seen) {
    for (uint32_t i = 0; i < r->count; i++) {
        expect(r, i, seen);
        if (r->first[i] == i && !w->seen[i]) mr_seen_add(seen, r->hash[i]);
    }
}

/* The rows that are not known, in runs as long as can be. While the database still works on the last of them there is time
 * to remember them. */
static mr_status copy_new(mr_pg *pg, const mr_intake_rows *r, const mr_buf *copy, const newcomers *w, mr_seen *seen,
                          mr_error *err) {
    const bool *fresh = w->fresh;
    MR_TRY(mr_pg_copy_begin(pg, copy_prompts, err));
    for (uint32_t i = 0, end; i < r->count; i = end) {
        for (end = i + 1; end < r->count && fresh[end] == fresh[i]; end++) {
        }
        if (!fresh[i]) continue;
        mr_status s = mr_pg_copy_part(pg, (mr_span){copy->data + r->copy_at[i], r->copy_at[end] - r->copy_at[i]}, err);
        if (s != MR_OK) return mr_pg_copy_abort(pg), s;
    }
    remember(r, w, seen);
    return mr_pg_copy_end(pg, NULL, err);
}

/* When all rows are in place. */
static void learn(const mr_intake_rows *r, const newcomers *w, mr_seen *seen) {
    uint64_t unknown = 0;
    bool surprise = false;
    for (uint32_t i = 0; i < r->count; i++) {
        if (r->first[i] != i || w->seen[i]) continue;
        surprise |= !w->fresh[i];
        unknown++;
    }
    if (surprise) mr_seen_was_told(seen);
    else mr_seen_was_right(seen, unknown);
}

/* A row that came twice in this call is there under the id that its first one has just got. */
static mr_status tell_duplicates(mr_pg *pg, const mr_intake_rows *r, mr_pg_params *p, newcomers *w, mr_intake_outcome *out,
                                 mr_error *err) {
    size_t n = 0;
    for (uint32_t i = 0; i < r->count; i++)
        if (r->first[i] != i && w->fresh[r->first[i]]) w->ask[n++] = r->hash[i];
    MR_TRY(read_ids(pg, r, w->ask, n, p, w->id, err));
    for (uint32_t i = 0; i < r->count; i++) {
        if (w->fresh[i]) continue;
        out->row[out->duplicates] = i;
        out->id[out->duplicates++] = w->id[r->first[i]];
    }
    return MR_OK;
}

static mr_status store_new(mr_pg *pg, const mr_intake_target *to, const mr_intake_rows *r, mr_buf *copy, mr_seen *seen,
                           mr_pg_params *p, mr_arena *arena, mr_intake_outcome *out, mr_error *err) {
    int64_t now_us = 0, *sessions = NULL;
    size_t n = (size_t)r->count + 1;
    newcomers w = {mr_arena_alloc(arena, n, sizeof *w.ask), mr_arena_alloc(arena, n, sizeof *w.id),
                   mr_arena_alloc(arena, n, sizeof *w.fresh), mr_arena_alloc(arena, n, sizeof *w.seen)};
    if (!w.ask || !w.id || !w.fresh || !w.seen) return mr_fail(err, MR_E_MEMORY, "no memory for the rows of this call");
    MR_TRY(open_rows(pg, to->ingest, p, &now_us, err));
    MR_TRY(session_ids(pg, r, false, p, arena, &sessions, err));
    MR_TRY(pick_new(pg, r, p, seen, &w, &out->stored, err));
    complete(r, now_us, sessions, copy);
    if (out->stored) MR_TRY(copy_new(pg, r, copy, &w, seen, err));
    else remember(r, &w, seen);
    learn(r, &w, seen);
    return tell_duplicates(pg, r, p, &w, out, err);
}

/* ---- everything else, by INSERT ---- */

static void put_supersede(mr_pg_params *p, const mr_intake_rows *r) {
    mr_pg_params_clear(p);
    mr_pg_put_byteas(p, r->hash, NULL, r->count);
    mr_pg_put_texts(p, r->source, NULL, r->count);
    mr_pg_put_int4s(p, r->priority, NULL, r->count);
    mr_pg_put_texts(p, r->session, r->no_session, r->count);
    mr_pg_put_float8s(p, r->score, r->no_score, r->count);
    mr_pg_put_bools(p, r->success, r->no_success, r->count);
    mr_pg_put_jsonbs(p, r->labels, r->no_labels, r->count);
    mr_pg_put_jsonbs(p, r->metadata, r->no_metadata, r->count);
}

/* The answer of both inserts: what they stored, then the duplicates. */
static mr_status read_outcome(const mr_pg_result *result, const mr_intake_rows *r, mr_intake_outcome *out, mr_error *err) {
    mr_pg_row row = mr_pg_row_at(result, 0);
    out->stored = mr_pg_int(&row, 1);
    out->updated = mr_pg_int(&row, 2);
    MR_TRY(mr_pg_row_status(&row, err));
    for (uint32_t i = 1; i < mr_pg_rows(result) && out->duplicates < r->count; i++) {
        row = mr_pg_row_at(result, i);
        uint64_t at = (uint64_t)mr_pg_int(&row, 0) - 1;
        out->row[out->duplicates] = at < r->count ? (uint32_t)at : 0;
        out->id[out->duplicates++] = mr_pg_int(&row, 1);
        MR_TRY(mr_pg_row_status(&row, err));
    }
    return MR_OK;
}

static mr_status insert(mr_pg *pg, const mr_pg_statement *statement, const mr_intake_rows *r, mr_pg_params *p,
                        mr_intake_outcome *out, mr_error *err) {
    mr_pg_result *result = NULL;
    MR_TRY(mr_pg_exec(pg, statement, p, &result, err));
    mr_status s = read_outcome(result, r, out, err);
    mr_pg_result_free(&result);
    return s;
}

static mr_status insert_carefully(mr_pg *pg, const mr_intake_target *to, const mr_intake_rows *r, const char *client,
                                  mr_pg_params *p, mr_arena *arena, mr_intake_outcome *out, mr_error *err) {
    int64_t now_us, *sessions;
    MR_TRY(open_rows(pg, to->ingest, p, &now_us, err));
    MR_TRY(session_ids(pg, r, true, p, arena, &sessions, err));
    if (to->revises) {
        put_supersede(p, r);
        MR_TRY(mr_pg_exec(pg, &supersede, p, NULL, err));
    }
    mr_pg_params_clear(p);
    mr_intake_put_prompts(p, r);
    mr_pg_put_int4(p, MR_FEATURES_VERSION);
    mr_pg_put_int8(p, to->ingest);
    mr_pg_put_bool(p, to->revises);
    mr_pg_put_text(p, client);
    return insert(pg, &insert_prompts, r, p, out, err);
}

static mr_status insert_table(mr_pg *pg, const mr_intake_target *to, const mr_intake_rows *r, mr_pg_params *p,
                              mr_intake_outcome *out, mr_error *err) {
    mr_pg_params_clear(p);
    mr_pg_put_byteas(p, r->key, NULL, r->count);
    mr_pg_put_byteas(p, r->hash, NULL, r->count);
    mr_pg_put_byteas(p, r->cells, NULL, r->count);
    mr_pg_put_int8(p, to->dataset);
    mr_pg_put_int8(p, to->ingest);
    return insert(pg, &insert_cells, r, p, out, err);
}

mr_status mr_intake_store(mr_pg *pg, const mr_intake_target *to, const mr_intake_rows *rows, mr_buf *copy,
                          const char *client, bool careful, mr_seen *seen, mr_pg_params *params, mr_arena *arena,
                          mr_intake_outcome *out, mr_error *err) {
    if (!allocate_outcome(out, rows->count, arena)) return mr_fail(err, MR_E_MEMORY, "no memory for the rows of this call");
    if (to->is_table) return insert_table(pg, to, rows, params, out, err);
    if (careful || to->revises) return insert_carefully(pg, to, rows, client, params, arena, out, err);
    return store_new(pg, to, rows, copy, seen, params, arena, out, err);
}

mr_status mr_intake_store_rejects(mr_pg *pg, int64_t ingest, size_t n, const mr_span *file, const int64_t *line,
                                  const int32_t *column, const int32_t *status, const mr_span *reason, mr_pg_params *params,
                                  mr_error *err) {
    mr_pg_params_clear(params);
    mr_pg_put_int8(params, ingest);
    mr_pg_put_texts(params, file, NULL, n);
    mr_pg_put_int8s(params, line, NULL, n);
    mr_pg_put_int4s(params, column, NULL, n);
    mr_pg_put_int4s(params, status, NULL, n);
    mr_pg_put_texts(params, reason, NULL, n);
    return mr_pg_exec(pg, &insert_rejects, params, NULL, err);
}
