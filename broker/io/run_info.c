#include "broker/io/run_info.h"

#include "broker/io/chain.h"
#include "common/json.h"

#include <stdio.h>
#include <string.h>

enum { ARENA_MAX = 16 * 1024 * 1024, SCHEMA_JSON_MAX = 1024 * 1024 };

static const mr_pg_statement read_run = {
    "run_read",
    "select coalesce(r.version_id, 0), coalesce(v.row_count, millrace.task_count(r.id)), r.seed, coalesce(d.id, 0),"
    " coalesce(d.name, ''), coalesce(d.kind, ''), coalesce(d.columns, '[]'), r.roles, r.priority, r.client,"
    " r.version_id is null, not exists (select 1 from millrace.stream_end e where e.run_id = r.id),"
    " coalesce((select max(o.life) from millrace.run_reopen o where o.run_id = r.id), 0)"
    " from millrace.run r left join millrace.dataset_version v on v.id = r.version_id"
    " left join millrace.dataset d on d.id = v.dataset_id"
    " where r.id = $1",
    1,
    {MR_PG_INT8}};

static const mr_pg_statement read_steps = {
    "run_steps",
    "select step, component, version, shape, batch_rows, deadline_ms, columns, options"
    " from millrace.run_step where run_id = $1 order by step",
    1,
    {MR_PG_INT8}};

static mr_cell_type cell_type_named(mr_span name) {
    int t = 0;
    while (t < MR_CELL_TYPES && !mr_span_eq(mr_span_of(mr_cell_types[t]), name)) t++;
    return (mr_cell_type)t;
}

static mr_status read_column(const mr_json *item, mr_table_column *out, mr_error *err) {
    mr_span name, type;
    MR_TRY(mr_json_get_text(item, "name", &name, err));
    MR_TRY(mr_json_get_text(item, "type", &type, err));
    out->type = cell_type_named(type);
    if (name.len >= MR_TABLE_NAME || out->type == MR_CELL_TYPES)
        return mr_fail(err, MR_E_CORRUPT, "the data set's column '%.*s' has the unknown type '%.*s'", MR_SPAN_ARG(name),
                       MR_SPAN_ARG(type));
    memcpy(out->name, name.data, name.len);
    return MR_OK;
}

static mr_status read_columns(const mr_json *list, mr_arena *arena, mr_table_schema *out, mr_error *err) {
    size_t n = mr_json_count(list);
    if (n > MR_TABLE_COLUMNS) return mr_fail(err, MR_E_LIMIT, "a table has at most %d columns", MR_TABLE_COLUMNS);
    mr_table_column *columns = mr_arena_alloc(arena, n ? n : 1, sizeof *columns);
    if (!columns) return mr_fail(err, MR_E_MEMORY, "no memory for %zu columns", n);
    for (size_t i = 0; i < n; i++) MR_TRY(read_column(mr_json_item(list, i), &columns[i], err));
    *out = (mr_table_schema){.count = (uint32_t)n, .columns = columns};
    return MR_OK;
}

mr_status mr_schema_from_json(mr_span json, mr_arena *arena, mr_table_schema *out, mr_error *err) {
    mr_json *list = NULL;
    MR_TRY(mr_json_parse(json, SCHEMA_JSON_MAX, 4, &list, err));
    mr_status s = read_columns(list, arena, out, err);
    mr_json_free(&list);
    return s;
}

void mr_schema_to_json(mr_table_schema schema, mr_buf *out) {
    mr_buf_text(out, "[");
    for (uint32_t i = 0; i < schema.count; i++) {
        mr_buf_text(out, i ? ", {\"name\": " : "{\"name\": ");
        mr_json_put_text(out, mr_span_of(schema.columns[i].name));
        mr_buf_printf(out, ", \"type\": \"%s\"}", mr_cell_types[schema.columns[i].type]);
    }
    mr_buf_text(out, "]");
}

/* {"label": "target"} as bindings; it was checked when the run was planned. */
static mr_status read_roles(mr_span json, mr_bindings *out, mr_error *err) {
    mr_json *roles = NULL;
    MR_TRY(mr_json_parse(json, SCHEMA_JSON_MAX, 4, &roles, err));
    void *at = NULL;
    const char *name;
    const mr_json *value;
    mr_status s = MR_OK;
    while (s == MR_OK && mr_json_next(roles, &at, &name, &value)) {
        mr_span column = {0};
        mr_binding *b = &out->items[out->count];
        const mr_column_row *role = mr_column_named(name);
        if (!role || !mr_json_text(value, &column) || column.len >= sizeof b->column || out->count == MR_BINDINGS_MAX) {
            s = mr_fail(err, MR_E_CORRUPT, "the run's role '%s' is not one that Millrace knows", name);
        } else {
            b->role = role;
            memcpy(b->column, column.data, column.len);
            out->count++;
        }
    }
    mr_json_free(&roles);
    return s;
}

static mr_status read_head(mr_pg *pg, mr_run_info *info, mr_pg_params *p, mr_error *err) {
    mr_pg_result *r = NULL;
    MR_TRY(mr_pg_exec(pg, &read_run, p, &r, err));
    mr_pg_row row = mr_pg_row_at(r, 0);
    mr_status s = MR_OK;
    if (mr_pg_rows(r) != 1) s = mr_fail(err, MR_E_NOT_FOUND, "there is no run %llu", (unsigned long long)info->run);
    if (s == MR_OK) {
        info->version = (uint64_t)mr_pg_int(&row, 0);
        info->rows = (uint64_t)mr_pg_int(&row, 1);
        info->seed = (uint64_t)mr_pg_int(&row, 2);
        info->dataset = mr_pg_int(&row, 3);
        snprintf(info->dataset_name, sizeof info->dataset_name, "%.*s", MR_SPAN_ARG(mr_pg_text(&row, 4)));
        info->is_table = mr_span_eq(mr_pg_text(&row, 5), mr_span_of("table"));
        s = mr_schema_from_json(mr_pg_text(&row, 6), info->arena, &info->schema, err);
    }
    if (s == MR_OK) s = read_roles(mr_pg_text(&row, 7), &info->bindings, err);
    if (s == MR_OK) {
        info->priority = (uint32_t)mr_pg_int(&row, 8);
        snprintf(info->client, sizeof info->client, "%.*s", MR_SPAN_ARG(mr_pg_text(&row, 9)));
        info->stream = mr_pg_bool(&row, 10);
        info->open = info->stream && mr_pg_bool(&row, 11);
        info->life = (int32_t)mr_pg_int(&row, 12);
    }
    if (s == MR_OK) s = mr_pg_row_status(&row, err);
    mr_pg_result_free(&r);
    return s;
}

static mr_status read_options(mr_run_info *info, uint32_t i, mr_span json, mr_error *err) {
    mr_json *options = NULL;
    mr_buf pack;
    mr_buf_init(&pack, NULL, MR_TABLE_TEXT);
    MR_TRY(mr_json_parse(json, SCHEMA_JSON_MAX, 4, &options, err));
    mr_json_to_pack(options, &pack);
    mr_json_free(&options);
    mr_status s = mr_buf_status(&pack);
    char *copy = s == MR_OK ? mr_arena_copy(info->arena, pack.data, pack.len) : NULL;
    info->options[i] = (mr_span){(const uint8_t *)copy, copy ? pack.len : 0};
    mr_buf_free(&pack);
    return copy ? MR_OK : mr_fail(err, MR_E_MEMORY, "no memory for the options of step %u", i);
}

static mr_status read_step(mr_run_info *info, uint32_t i, mr_pg_row *row, mr_error *err) {
    mr_step_plan *plan = &info->plan[i];
    snprintf(plan->component, sizeof plan->component, "%.*s", MR_SPAN_ARG(mr_pg_text(row, 1)));
    plan->version = (uint32_t)mr_pg_int(row, 2);
    plan->shape = (mr_step_shape)mr_pg_int(row, 3);
    plan->deadline_ms = (uint32_t)mr_pg_int(row, 5);
    info->columns[i] = (uint32_t)mr_pg_int(row, 6);
    if (info->stream) MR_TRY(mr_plan_stream(info->rows, plan, err));
    else MR_TRY(mr_plan_step(info->rows, (uint32_t)mr_pg_int(row, 4), plan, err));
    MR_TRY(read_options(info, i, mr_pg_text(row, 7), err));
    return mr_pg_row_status(row, err);
}

static mr_status read_all_steps(mr_pg *pg, mr_run_info *info, mr_pg_params *p, mr_error *err) {
    mr_pg_result *r = NULL;
    MR_TRY(mr_pg_exec(pg, &read_steps, p, &r, err));
    mr_status s = mr_pg_rows(r) > MR_STEPS_MAX ? mr_fail(err, MR_E_LIMIT, "a run has at most %d steps", MR_STEPS_MAX) : MR_OK;
    for (uint32_t i = 0; s == MR_OK && i < mr_pg_rows(r); i++) {
        mr_pg_row row = mr_pg_row_at(r, i);
        s = read_step(info, i, &row, err);
        info->steps = i + 1;
    }
    mr_pg_result_free(&r);
    return s;
}

mr_status mr_run_info_read(mr_pg *pg, uint64_t run, mr_run_info **out, mr_error *err) {
    mr_pg_params p;
    mr_run_info *info = mr_new(NULL, 1, sizeof *info);
    mr_arena *arena = mr_arena_new(NULL, ARENA_MAX);
    if (!info || !arena) {
        mr_arena_free(&arena);
        mr_free(NULL, info, 1, sizeof *info);
        return mr_fail(err, MR_E_MEMORY, "no memory for run %llu", (unsigned long long)run);
    }
    atomic_init(&info->owners, 1);
    info->arena = arena;
    info->run = run;
    mr_pg_params_init(&p, NULL, 256);
    mr_pg_put_int8(&p, (int64_t)run);
    mr_status s = read_head(pg, info, &p, err);
    if (s == MR_OK) s = read_all_steps(pg, info, &p, err);
    if (s == MR_OK) s = mr_chain_read_run(pg, info, err);
    mr_pg_params_free(&p);
    if (s != MR_OK) mr_run_info_drop(info);
    else *out = info;
    return s;
}

mr_run_info *mr_run_info_share(mr_run_info *info) {
    atomic_fetch_add_explicit(&info->owners, 1, memory_order_relaxed);
    return info;
}

void mr_run_info_drop(mr_run_info *info) {
    if (!info || atomic_fetch_sub_explicit(&info->owners, 1, memory_order_acq_rel) > 1) return;
    mr_arena_free(&info->arena);
    mr_free(NULL, info, 1, sizeof *info);
}

mr_run_plan mr_run_info_plan(const mr_run_info *info) {
    return (mr_run_plan){.run = info->run, .rows = info->rows, .steps = info->steps, .step = info->plan,
                         .client = info->client, .priority = info->priority,
                         .stream = info->stream, .open = info->open};
}
