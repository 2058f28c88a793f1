#include "broker/io/window.h"

#include "common/features.h"

#include <string.h>

enum { AHEAD = 2048 }; /* rows */
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

static bool covers(const mr_window *w, const mr_run_info *info, uint64_t first, uint32_t rows, uint32_t columns) {
    return w->rows && w->version == info->version && first >= w->first && first + rows <= w->first + w->rows &&
           !(columns & ~w->columns);
}

/* Whole batches, so that the next stretch begins with one. */
static uint32_t stretch_from(const mr_run_info *info, uint64_t first, uint32_t rows) {
    uint64_t left = info->rows - first, ahead = rows && rows < AHEAD ? AHEAD / rows * rows : rows;
    return (uint32_t)(ahead < left ? ahead : left);
}

static void let_go(mr_window *w) {
    mr_arena_free(&w->arena);
    w->rows = 0;
}

static mr_status move_to(mr_window *w, mr_pg *pg, const mr_run_info *info, uint64_t first, uint32_t rows,
                         uint32_t columns, mr_error *err) {
    let_go(w);
    w->arena = mr_arena_new(NULL, window_max);
    if (!w->arena) return mr_fail(err, MR_E_MEMORY, "no memory for rows");
    w->version = info->version;
    w->first = first;
    w->rows = stretch_from(info, first, rows);
    w->columns = columns;
    mr_plain_rows_settle(&w->plain, pg);
    mr_status s = allocate(w, info) ? fill(w, pg, info, err) : mr_fail(err, MR_E_MEMORY, "no memory for %u rows", w->rows);
    if (s != MR_OK) let_go(w);
    return s;
}

static mr_status cut_batch(const mr_window *w, const mr_run_info *info, uint64_t first, uint32_t rows, uint32_t columns,
                           mr_arena *arena, mr_batch *out, mr_error *err) {
    size_t at = first - w->first;
    if (info->is_table)
        return mr_table_batch(info->schema, w->cells + at * info->schema.count, rows, first, &info->bindings, columns, arena,
                              out, err);
    return mr_prompt_batch(w->prompts + at, w->features + at * MR_FEATURES, rows, first, &info->bindings, columns, arena, out,
                           err);
}

/* The features alone; *out is NULL when there is more to the rows than that, or to reading them. */
static mr_status find_plain(mr_window *w, mr_pg *pg, const mr_run_info *info, uint64_t first, uint32_t rows, uint32_t columns,
                            const float **out, mr_error *err) {
    *out = NULL;
    if (info->is_table || columns != MR_COL_FEATURES || covers(w, info, first, rows, columns)) return MR_OK;
    *out = mr_plain_rows_find(&w->plain, info->version, first, rows);
    if (*out) return MR_OK;
    uint32_t stretch = stretch_from(info, first, rows);
    MR_TRY(mr_plain_rows_move(&w->plain, pg, info->version, first, stretch, info->rows, err));
    *out = mr_plain_rows_find(&w->plain, info->version, first, rows);
    if (*out && w->seen) atomic_fetch_add_explicit(w->seen, stretch, memory_order_relaxed);
    return MR_OK;
}

mr_status mr_window_segment(mr_window *w, mr_pg *pg, const mr_run_info *info, uint64_t first, uint32_t rows,
                            uint32_t columns, mr_arena *arena, mr_buf *out, mr_error *err) {
    mr_batch batch;
    const float *features;
    mr_status s;
    MR_TRY(find_plain(w, pg, info, first, rows, columns, &features, err));
    if (features) {
        s = mr_segment_floats(first, rows, MR_FEATURES, mr_feature_names, features, out);
    } else {
        if (!covers(w, info, first, rows, columns)) MR_TRY(move_to(w, pg, info, first, rows, columns, err));
        MR_TRY(cut_batch(w, info, first, rows, columns, arena, &batch, err));
        s = mr_segment_encode(&batch, out);
    }
    return s == MR_OK ? MR_OK : mr_fail(err, s, "a segment of %u rows is larger than memory or its limits allow", rows);
}

void mr_window_settle(mr_window *w, mr_pg *pg) { mr_plain_rows_settle(&w->plain, pg); }
bool mr_window_awaits(const mr_window *w) { return w->plain.session != 0; }

void mr_window_free(mr_window *w) {
    mr_arena_free(&w->arena);
    mr_plain_rows_free(&w->plain);
    *w = (mr_window){.seen = w->seen};
}
