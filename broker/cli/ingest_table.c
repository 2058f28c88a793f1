#include "broker/cli/ingest.h"

#include <stdio.h>
#include <string.h>

enum { DECLARED_MAX = sizeof((mr_table_types){0}.items) / sizeof(mr_table_column) };

static mr_cell_type wider(mr_cell_type a, mr_cell_type b) {
    if (a == b) return a;
    bool numbers =
        (a == MR_CELL_INTEGER || a == MR_CELL_NUMBER) && (b == MR_CELL_INTEGER || b == MR_CELL_NUMBER);
    return numbers ? MR_CELL_NUMBER : MR_CELL_TEXT;
}

static mr_status start_schema(mr_table_plan *plan, mr_table_schema s, mr_arena *arena, mr_error *err) {
    mr_table_column *columns = mr_arena_alloc(arena, s.count + 1u, sizeof *columns);
    if (!columns) return mr_fail(err, MR_E_MEMORY, "out of memory");
    memcpy(columns, s.columns, s.count * sizeof *columns);
    plan->schema = (mr_table_schema){s.count, columns};
    return MR_OK;
}

static mr_status widen_schema(mr_table_plan *plan, mr_table_schema s, const char *path, const char *first,
                              mr_arena *arena, mr_error *err) {
    if (s.count != plan->schema.count)
        return mr_fail(err, MR_E_INVALID,
                       "%s has %u columns and %s has %u: one data set has one set of columns", path, s.count,
                       first, plan->schema.count);
    mr_table_column *columns = mr_arena_alloc(arena, s.count + 1u, sizeof *columns);
    if (!columns) return mr_fail(err, MR_E_MEMORY, "out of memory");
    for (uint32_t i = 0; i < s.count; i++) {
        if (strcmp(s.columns[i].name, plan->schema.columns[i].name))
            return mr_fail(err, MR_E_INVALID,
                           "column %u is '%s' in %s and '%s' in %s: one data set has one set of columns",
                           i + 1, s.columns[i].name, path, plan->schema.columns[i].name, first);
        columns[i] = s.columns[i];
        columns[i].type = wider(s.columns[i].type, plan->schema.columns[i].type);
    }
    plan->schema.columns = columns;
    return MR_OK;
}

static mr_status declare(mr_table_plan *plan, mr_arena *arena, mr_error *err) {
    plan->declared = mr_arena_alloc(arena, 1, sizeof *plan->declared);
    if (!plan->declared) return mr_fail(err, MR_E_MEMORY, "out of memory");
    if (plan->schema.count > DECLARED_MAX)
        return mr_fail(err, MR_E_LIMIT,
                       "several files of one table may have at most %d columns: ingest them one by one",
                       (int)DECLARED_MAX);
    plan->declared->count = plan->schema.count;
    memcpy(plan->declared->items, plan->schema.columns, plan->schema.count * sizeof(mr_table_column));
    return MR_OK;
}

mr_status mr_ingest_plan(const mr_ingest_settings *s, const mr_paths *paths, mr_table_plan *out,
                         mr_error *err) {
    mr_table_types *types = mr_arena_alloc(paths->arena, 1, sizeof *types);
    if (!types) return mr_fail(err, MR_E_MEMORY, "out of memory");
    for (size_t i = 0; i < s->types.count; i++) MR_TRY(mr_table_types_parse(types, s->types.items[i], err));
    mr_table_options o = {.types = types->count ? types : NULL};
    for (size_t i = 0; i < paths->count; i++) {
        mr_table *t;
        MR_TRY(mr_table_open(NULL, paths->items[i], &o, &t, err));
        mr_table_schema schema = mr_table_schema_of(t);
        mr_status status = i ? widen_schema(out, schema, paths->items[i], paths->items[0], paths->arena, err)
                             : start_schema(out, schema, paths->arena, err);
        mr_table_close(&t);
        MR_TRY(status);
    }
    out->declared = types->count ? types : NULL;
    return paths->count > 1 ? declare(out, paths->arena, err) : MR_OK;
}

/* A row on the wire: [line, cells]. */
static mr_status send_row(mr_feed *feed, mr_table_schema schema, const mr_cell *cells, uint64_t line,
                          mr_error *err) {
    mr_buf *to;
    MR_TRY(mr_feed_row(feed, &line, &to, err));
    mr_pack_array(to, 2);
    mr_pack_u64(to, line);
    mr_table_row_pack(to, schema, cells);
    return mr_feed_added(feed, err);
}

static mr_status table_rows(mr_table *t, mr_feed *feed, mr_error *err) {
    mr_table_schema schema = mr_table_schema_of(t);
    for (;;) {
        const mr_cell *cells;
        mr_where where = {0};
        mr_error why = {0};
        mr_status status = mr_table_next(t, &cells, &where, &why);
        if (status == MR_E_NOT_FOUND) return MR_OK;
        if (status == MR_OK)
            status = send_row(feed, schema, cells, where.line, err);
        else if (status == MR_E_INVALID || status == MR_E_LIMIT)
            status = mr_feed_reject(feed, where.line, where.column, status, why.text, err);
        else
            return mr_fail(err, status, "%s", why.text);
        MR_TRY(status);
    }
}

mr_status mr_ingest_tables(const mr_table_plan *plan, const mr_paths *paths, mr_feed_file *files,
                           mr_feed *feed, mr_error *err) {
    mr_table_options o = {.types = plan->declared};
    for (size_t i = 0; i < paths->count; i++) {
        mr_table *t;
        mr_feed_begin(feed, &files[i]);
        MR_TRY(mr_table_open(NULL, paths->items[i], &o, &t, err));
        mr_status status = table_rows(t, feed, err);
        mr_table_close(&t);
        if (status == MR_OK) status = mr_feed_end(feed, err);
        MR_TRY(status);
    }
    return MR_OK;
}
