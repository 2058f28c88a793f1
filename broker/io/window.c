#include "broker/io/window.h"

#include "common/features.h"

#include <string.h>

/* AHEAD: rows. GROUP: rows that the server joins; what it takes for so many it has again for the next. */
enum { AHEAD = 2048, GROUP = 128 };
static const size_t window_max = (size_t)3 << 30;

/* $2 and $3 are the first and the last position; $4 and $5 say whether texts and JSON are wanted. */
static const mr_pg_statement read_prompts = {
    "window_prompts",
    "select case when $4 then p.prompt end, case when $4 then p.enhancement end, p.enhancement_json, p.source, p.priority,"
    " s.name, p.score, p.success, case when $5 then p.labels end, case when $5 then p.metadata end, p.created_at, p.features"
    " from millrace.version_rows v cross join lateral unnest(v.row_ids) with ordinality u (id, n)"
    " join millrace.training_prompts p on p.id = u.id left join millrace.prompt_sessions s on s.id = p.session_id"
    " where v.version_id = $1 and v.chunk between $2 / 4096 and $3 / 4096"
    " and v.chunk::bigint * 4096 + u.n - 1 between $2 and $3 order by v.chunk, u.n",
    5,
    {MR_PG_INT8, MR_PG_INT8, MR_PG_INT8, MR_PG_BOOL, MR_PG_BOOL}};

static const mr_pg_statement read_cells = {
    "window_cells",
    "select t.cells from millrace.version_rows v cross join lateral unnest(v.row_ids) with ordinality u (id, n)"
    " join millrace.table_row t on t.id = u.id"
    " where v.version_id = $1 and v.chunk between $2 / 4096 and $3 / 4096"
    " and v.chunk::bigint * 4096 + u.n - 1 between $2 and $3 order by v.chunk, u.n",
    3,
    {MR_PG_INT8, MR_PG_INT8, MR_PG_INT8}};

/* Features alone are read by a walk along the primary key: the ids of the stretch, then the rows between the first and the
 * last of them, joined: a row of the protocol costs as much as three of the table. */
static const mr_pg_statement read_ids = {
    "window_ids",
    "select row_ids[greatest($2 - chunk::bigint * 4096, 0) + 1 : least($3 - chunk::bigint * 4096, 4095) + 1]"
    " from millrace.version_rows where version_id = $1 and chunk between $2 / 4096 and $3 / 4096 order by chunk",
    3,
    {MR_PG_INT8, MR_PG_INT8, MR_PG_INT8}};

/* When no other id lies between them: groups of $3 rows, each by its first id. */
static const mr_pg_statement read_dense = {
    "window_dense",
    "select g.id, r.features from generate_series($1, $2, $3) g (id) cross join lateral (select string_agg(features, '') features"
    " from (select features from millrace.training_prompts where id between g.id and least(g.id + $3 - 1, $2) order by id) p) r",
    3,
    {MR_PG_INT8, MR_PG_INT8, MR_PG_INT8}};

/* Else as one row for all; both columns see the rows in the same order, whichever it is. */
static const mr_pg_statement read_features = {
    "window_features",
    "select array_agg(id), string_agg(features, '') from (select id, features from millrace.training_prompts"
    " where id between $1 and $2 order by id) r",
    2,
    {MR_PG_INT8, MR_PG_INT8}};

static const uint32_t text_columns = MR_COL_PROMPT | MR_COL_ENHANCEMENT;

static mr_status keep(mr_window *w, mr_span from, mr_span *to, mr_error *err) {
    *to = (mr_span){0};
    if (!from.len) return MR_OK;
    char *copy = mr_arena_copy(w->arena, from.data, from.len);
    if (!copy) return mr_fail(err, MR_E_MEMORY, "no memory for the texts of %u rows", w->rows);
    *to = (mr_span){(const uint8_t *)copy, from.len};
    return MR_OK;
}

static mr_prompt_source source_named(mr_span name) {
    int s = 0;
    while (s < MR_SOURCE_COUNT - 1 && !mr_span_eq(mr_span_of(mr_prompt_sources[s]), name)) s++;
    return (mr_prompt_source)s;
}

static mr_status read_prompt(mr_window *w, uint32_t i, mr_pg_row *row, mr_error *err) {
    mr_prompt *p = &w->prompts[i];
    mr_prompt_init(p);
    MR_TRY(keep(w, mr_pg_text(row, 0), &p->prompt, err));
    MR_TRY(keep(w, mr_pg_text(row, 1), &p->enhancement, err));
    p->has_enhancement = !mr_pg_is_null(row, 1);
    p->enhancement_is_json = mr_pg_bool(row, 2);
    p->source = source_named(mr_pg_text(row, 3));
    p->priority = (uint32_t)mr_pg_int(row, 4);
    MR_TRY(keep(w, mr_pg_text(row, 5), &p->session, err));
    if (!mr_pg_is_null(row, 6)) p->score = mr_pg_float(row, 6);
    if (!mr_pg_is_null(row, 7)) p->success = mr_pg_bool(row, 7);
    MR_TRY(keep(w, mr_pg_text(row, 8), &p->labels, err));
    MR_TRY(keep(w, mr_pg_text(row, 9), &p->metadata, err));
    p->created_at_us = mr_pg_time(row, 10) / 1000;
    mr_span features = mr_pg_bytea(row, 11);
    if (features.len != MR_FEATURES * sizeof(float))
        return mr_fail(err, MR_E_CORRUPT, "row %llu of version %llu has no features of the expected size",
                       (unsigned long long)(w->first + i), (unsigned long long)w->version);
    memcpy(w->features + (size_t)i * MR_FEATURES, features.data, features.len);
    return mr_pg_row_status(row, err);
}

static mr_status read_table_row(mr_window *w, const mr_run_info *info, uint32_t i, mr_pg_row *row, mr_error *err) {
    mr_span bytes = mr_pg_bytea(row, 0), copy;
    MR_TRY(mr_pg_row_status(row, err));
    MR_TRY(keep(w, bytes, &copy, err)); /* text cells borrow from it */
    mr_unpack u;
    mr_unpack_init(&u, copy);
    if (mr_table_row_unpack(&u, info->schema, w->cells + (size_t)i * info->schema.count, err) != MR_OK)
        return mr_fail_in(err, "row %llu of version %llu", (unsigned long long)(w->first + i), (unsigned long long)w->version);
    return MR_OK;
}

static bool allocate(mr_window *w, const mr_run_info *info) {
    if (info->is_table) {
        w->cells = mr_arena_alloc(w->arena, (size_t)w->rows * (info->schema.count + 1), sizeof *w->cells);
        return w->cells != NULL;
    }
    w->prompts = mr_arena_alloc(w->arena, w->rows, sizeof *w->prompts);
    w->features = mr_arena_alloc(w->arena, (size_t)w->rows * MR_FEATURES, sizeof *w->features);
    return w->prompts && w->features;
}

static mr_status stream(mr_window *w, mr_pg *pg, const mr_run_info *info, mr_error *err) {
    uint32_t n = 0;
    for (;;) {
        mr_pg_result *r = NULL;
        MR_TRY(mr_pg_stream_next(pg, &r, err));
        if (!r) break;
        mr_pg_row row = mr_pg_row_at(r, 0);
        mr_status s = n == w->rows         ? mr_fail(err, MR_E_CORRUPT, "version %llu lists a row twice", (unsigned long long)w->version)
                      : info->is_table     ? read_table_row(w, info, n, &row, err)
                                           : read_prompt(w, n, &row, err);
        mr_pg_result_free(&r);
        n++;
        if (w->seen) atomic_fetch_add_explicit(w->seen, 1, memory_order_relaxed);
        if (s != MR_OK) return s;
    }
    if (n < w->rows)
        return mr_fail(err, MR_E_CORRUPT, "version %llu has %u of the rows %llu to %llu: rows were deleted from the table",
                       (unsigned long long)w->version, n, (unsigned long long)w->first,
                       (unsigned long long)(w->first + w->rows - 1));
    return MR_OK;
}

/* Row by row: texts may be long. */
static mr_status fill(mr_window *w, mr_pg *pg, const mr_run_info *info, mr_error *err) {
    mr_pg_params p;
    mr_pg_params_init(&p, NULL, 256);
    mr_pg_put_int8(&p, (int64_t)w->version);
    mr_pg_put_int8(&p, (int64_t)w->first);
    mr_pg_put_int8(&p, (int64_t)(w->first + w->rows - 1));
    if (!info->is_table) {
        mr_pg_put_bool(&p, w->columns & text_columns);
        mr_pg_put_bool(&p, w->columns & ~text_columns & ~(uint32_t)MR_COL_FEATURES);
    }
    mr_status s = mr_pg_stream(pg, info->is_table ? &read_cells : &read_prompts, &p, err);
    mr_pg_params_free(&p);
    if (s != MR_OK) return s;
    s = stream(w, pg, info, err);
    mr_pg_stream_end(pg);
    return s;
}

/* ---- features alone ---- */

static mr_status take_ids(mr_window *w, mr_pg *pg, mr_pg_params *p, int64_t *ids, mr_error *err) {
    mr_pg_result *r = NULL;
    size_t n = 0;
    mr_pg_params_clear(p);
    mr_pg_put_int8(p, (int64_t)w->version);
    mr_pg_put_int8(p, (int64_t)w->first);
    mr_pg_put_int8(p, (int64_t)(w->first + w->rows - 1));
    MR_TRY(mr_pg_exec(pg, &read_ids, p, &r, err));
    mr_status s = MR_OK;
    for (uint32_t i = 0; s == MR_OK && i < mr_pg_rows(r); i++) {
        mr_pg_row row = mr_pg_row_at(r, i);
        n += mr_pg_int8s(&row, 0, ids + n, w->rows - n);
        s = mr_pg_row_status(&row, err);
    }
    mr_pg_result_free(&r);
    if (s == MR_OK && n < w->rows) ids[0] = 0; /* the long way says what is missing */
    return s;
}

/* The rows come in order, and few others lie between them. */
static bool lie_close(const int64_t *ids, uint32_t n) {
    for (uint32_t i = 0; i < n; i++)
        if (ids[i] < 1 || (i && ids[i] <= ids[i - 1])) return false;
    return ids[n - 1] - ids[0] < 2 * (int64_t)n;
}

/* Of the rows that are there, those of this version. False when not all are. */
static bool pick_features(mr_window *w, const int64_t *ids, const int64_t *there, size_t count, const uint8_t *features) {
    uint32_t n = 0;
    for (size_t i = 0; n < w->rows && i < count; i++) {
        if (there[i] != ids[n]) continue;
        memcpy(w->features + (size_t)n++ * MR_FEATURES, features + i * MR_FEATURES * sizeof(float), MR_FEATURES * sizeof(float));
    }
    return n == w->rows;
}

static mr_status take_features(mr_window *w, mr_pg *pg, mr_pg_params *p, const int64_t *ids, bool *filled, mr_error *err) {
    mr_pg_result *r = NULL;
    size_t most = (size_t)(ids[w->rows - 1] - ids[0]) + 1;
    int64_t *there = mr_arena_alloc(w->arena, most, sizeof *there);
    if (!there) return mr_fail(err, MR_E_MEMORY, "no memory for %zu rows", most);
    mr_pg_params_clear(p);
    mr_pg_put_int8(p, ids[0]);
    mr_pg_put_int8(p, ids[w->rows - 1]);
    MR_TRY(mr_pg_exec(pg, &read_features, p, &r, err));
    mr_pg_row row = mr_pg_row_at(r, 0);
    if (!mr_pg_is_null(&row, 0)) {
        size_t count = mr_pg_int8s(&row, 0, there, most);
        mr_span features = mr_pg_bytea(&row, 1);
        *filled = mr_pg_row_status(&row, err) == MR_OK && features.len == count * MR_FEATURES * sizeof(float) &&
                  pick_features(w, ids, there, count, features.data);
    }
    mr_pg_result_free(&r);
    return MR_OK;
}

/* Places a group. False when a row of it is not there. */
static bool place_group(mr_window *w, uint64_t at, mr_span features) {
    const size_t size = MR_FEATURES * sizeof(float);
    if (at >= w->rows || features.len != size * (w->rows - at < GROUP ? w->rows - at : GROUP)) return false;
    memcpy(w->features + (size_t)at * MR_FEATURES, features.data, features.len);
    return true;
}

static mr_status take_dense(mr_window *w, mr_pg *pg, mr_pg_params *p, const int64_t *ids, bool *filled, mr_error *err) {
    mr_pg_result *r = NULL;
    mr_pg_params_clear(p);
    mr_pg_put_int8(p, ids[0]);
    mr_pg_put_int8(p, ids[w->rows - 1]);
    mr_pg_put_int8(p, GROUP);
    MR_TRY(mr_pg_exec(pg, &read_dense, p, &r, err));
    *filled = mr_pg_rows(r) == (w->rows + GROUP - 1) / GROUP;
    for (uint32_t i = 0; *filled && i < mr_pg_rows(r); i++) {
        mr_pg_row row = mr_pg_row_at(r, i);
        *filled = place_group(w, (uint64_t)(mr_pg_int(&row, 0) - ids[0]), mr_pg_bytea(&row, 1));
    }
    mr_pg_result_free(&r);
    return MR_OK;
}

/* Not filled, without an error: what is there is not plain, and the long way finds the rows or the words. */
static mr_status fill_features(mr_window *w, mr_pg *pg, bool *filled, mr_error *err) {
    mr_pg_params p;
    int64_t *ids = mr_arena_alloc(w->arena, w->rows, sizeof *ids);
    if (!ids) return mr_fail(err, MR_E_MEMORY, "no memory for %u rows", w->rows);
    mr_pg_params_init(&p, NULL, 256);
    mr_status s = take_ids(w, pg, &p, ids, err);
    if (s == MR_OK && lie_close(ids, w->rows))
        s = (ids[w->rows - 1] - ids[0] < w->rows ? take_dense : take_features)(w, pg, &p, ids, filled, err);
    mr_pg_params_free(&p);
    if (*filled && w->seen) atomic_fetch_add_explicit(w->seen, w->rows, memory_order_relaxed);
    for (uint32_t i = 0; *filled && i < w->rows; i++) mr_prompt_init(&w->prompts[i]);
    return s;
}

static mr_status fill_window(mr_window *w, mr_pg *pg, const mr_run_info *info, mr_error *err) {
    bool filled = false;
    if (!allocate(w, info)) return mr_fail(err, MR_E_MEMORY, "no memory for %u rows", w->rows);
    if (!info->is_table && w->columns == MR_COL_FEATURES) MR_TRY(fill_features(w, pg, &filled, err));
    return filled ? MR_OK : fill(w, pg, info, err);
}

static bool covers(const mr_window *w, const mr_run_info *info, uint64_t first, uint32_t rows, uint32_t columns) {
    return w->rows && w->version == info->version && first >= w->first && first + rows <= w->first + w->rows &&
           !(columns & ~w->columns);
}

static mr_status move_to(mr_window *w, mr_pg *pg, const mr_run_info *info, uint64_t first, uint32_t rows,
                         uint32_t columns, mr_error *err) {
    mr_window_free(w);
    w->arena = mr_arena_new(NULL, window_max);
    if (!w->arena) return mr_fail(err, MR_E_MEMORY, "no memory for rows");
    uint64_t left = info->rows - first, ahead = rows > AHEAD ? rows : AHEAD;
    w->version = info->version;
    w->first = first;
    w->rows = (uint32_t)(ahead < left ? ahead : left);
    w->columns = columns;
    mr_status s = fill_window(w, pg, info, err);
    if (s != MR_OK) mr_window_free(w);
    return s;
}

mr_status mr_window_batch(mr_window *w, mr_pg *pg, const mr_run_info *info, uint64_t first, uint32_t rows,
                          uint32_t columns, mr_arena *arena, mr_batch *out, mr_error *err) {
    if (!covers(w, info, first, rows, columns)) MR_TRY(move_to(w, pg, info, first, rows, columns, err));
    size_t at = first - w->first;
    if (info->is_table)
        return mr_table_batch(info->schema, w->cells + at * info->schema.count, rows, first, &info->bindings, columns, arena,
                              out, err);
    return mr_prompt_batch(w->prompts + at, w->features + at * MR_FEATURES, rows, first, &info->bindings, columns, arena, out,
                           err);
}

void mr_window_free(mr_window *w) {
    mr_arena_free(&w->arena);
    *w = (mr_window){.seen = w->seen};
}
