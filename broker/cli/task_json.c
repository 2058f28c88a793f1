#include "broker/cli/task_json.h"

#include <math.h>
#include <string.h>

#include "common/json.h"
#include "common/jsonl.h"
#include "common/option.h"

enum { DEPTH = 4, COLUMNS_MAX = 4096 };

static mr_status no_memory(mr_error *err) { return mr_fail(err, MR_E_MEMORY, "out of memory for a task"); }

/* Every list says how many rows there are. */
static mr_status check_rows(mr_batch *b, const char *name, const mr_json *list, mr_error *err) {
    size_t n = mr_json_count(list);
    if (mr_json_kind(list) != MR_JSON_LIST) return mr_fail(err, MR_E_INVALID, "\"%.60s\" is not a list, with a value for each row", name);
    if (n == 0 || n > UINT32_MAX) return mr_fail(err, MR_E_INVALID, "\"%.60s\" has no rows", name);
    if (b->columns && b->rows != n)
        return mr_fail(err, MR_E_INVALID, "\"%.60s\" has %zu rows, and what stands before it %u", name, n, b->rows);
    b->rows = (uint32_t)n;
    return MR_OK;
}

static mr_status read_number(const mr_json *v, double *out, const char *name, size_t row, mr_error *err) {
    bool truth;
    *out = (double)NAN;
    if (mr_json_kind(v) == MR_JSON_NULL || mr_json_number(v, out)) return MR_OK;
    if (!mr_json_boolean(v, &truth)) return mr_fail(err, MR_E_INVALID, "\"%.60s\", row %zu: a number or null is wanted", name, row + 1);
    *out = truth;
    return MR_OK;
}

static mr_status read_feature_row(const mr_json *row, size_t i, uint32_t width, double *to, mr_error *err) {
    if (mr_json_kind(row) != MR_JSON_LIST || mr_json_count(row) != width)
        return mr_fail(err, MR_E_INVALID, "\"features\", row %zu is not a list of %u numbers, as the first row is", i + 1, width);
    for (uint32_t j = 0; j < width; j++) MR_TRY(read_number(mr_json_item(row, j), &to[j], "features", i, err));
    return MR_OK;
}

static mr_status read_features(const mr_json *list, mr_arena *arena, mr_batch *b, mr_error *err) {
    MR_TRY(check_rows(b, "features", list, err));
    size_t width = mr_json_count(mr_json_item(list, 0));
    if (width == 0 || width > COLUMNS_MAX)
        return mr_fail(err, MR_E_INVALID, "\"features\" has rows of %zu numbers; 1 to %d are possible", width, COLUMNS_MAX);
    double *values = mr_arena_alloc(arena, b->rows * width, sizeof *values);
    if (!values) return no_memory(err);
    for (uint32_t i = 0; i < b->rows; i++)
        MR_TRY(read_feature_row(mr_json_item(list, i), i, (uint32_t)width, &values[i * width], err));
    b->features = values;
    b->width = (uint32_t)width;
    b->columns |= MR_COL_FEATURES;
    return MR_OK;
}

static mr_status read_names(const mr_json *list, mr_arena *arena, mr_batch *b, mr_error *err) {
    if (mr_json_count(list) != b->width)
        return mr_fail(err, MR_E_INVALID, "\"names\" has %zu names for %u features", mr_json_count(list), b->width);
    const char **names = mr_arena_alloc(arena, b->width + 1, sizeof *names);
    if (!names) return no_memory(err);
    for (uint32_t i = 0; i < b->width; i++) {
        mr_span name;
        if (!mr_json_text(mr_json_item(list, i), &name)) return mr_fail(err, MR_E_INVALID, "\"names\": a text is wanted");
        names[i] = mr_arena_copy(arena, name.data, name.len);
        if (!names[i]) return no_memory(err);
    }
    b->feature_names = names;
    return MR_OK;
}

static mr_status read_texts(const mr_json *list, const mr_column_row *role, mr_arena *arena, mr_batch *b, mr_error *err) {
    mr_span *texts = mr_arena_alloc(arena, b->rows, sizeof *texts);
    if (!texts) return no_memory(err);
    for (uint32_t i = 0; i < b->rows; i++) {
        const mr_json *v = mr_json_item(list, i);
        if (mr_json_kind(v) != MR_JSON_NULL && !mr_json_text(v, &texts[i]))
            return mr_fail(err, MR_E_INVALID, "\"%s\", row %u: a text or null is wanted", role->name, i + 1);
    }
    b->text[role->slot] = texts;
    return MR_OK;
}

static mr_status read_numbers(const mr_json *list, const mr_column_row *role, mr_arena *arena, mr_batch *b, mr_error *err) {
    double *numbers = mr_arena_alloc(arena, b->rows, sizeof *numbers);
    if (!numbers) return no_memory(err);
    for (uint32_t i = 0; i < b->rows; i++) MR_TRY(read_number(mr_json_item(list, i), &numbers[i], role->name, i, err));
    b->number[role->slot] = numbers;
    return MR_OK;
}

static mr_status unknown(const char *name, mr_error *err) {
    const char *names[MR_TEXT_COLUMNS + MR_NUMBER_COLUMNS + 4] = {"id", "features", "names"};
    for (size_t i = 0; mr_column_rows[i].name; i++) names[i + 3] = mr_column_rows[i].name;
    const char *near = mr_nearest_word(names, name);
    return mr_fail(err, MR_E_INVALID, "there is no role \"%.60s\"%s%s%s", name, near ? ": did you mean \"" : "", near ? near : "",
                   near ? "\"?" : "");
}

static mr_status read_member(const char *name, const mr_json *v, mr_arena *arena, mr_batch *b, mr_error *err) {
    if (!strcmp(name, "id") || !strcmp(name, "names")) return MR_OK;
    if (!strcmp(name, "features")) return read_features(v, arena, b, err);
    const mr_column_row *role = mr_column_named(name);
    if (!role) return unknown(name, err);
    MR_TRY(check_rows(b, name, v, err));
    b->columns |= role->column;
    return role->is_text ? read_texts(v, role, arena, b, err) : read_numbers(v, role, arena, b, err);
}

static mr_status read_id(const mr_json *v, mr_arena *arena, mr_span *id, mr_error *err) {
    *id = (mr_span){0};
    if (mr_json_kind(v) == MR_JSON_NULL) return MR_OK;
    if (!mr_json_text(v, id)) return mr_fail(err, MR_E_INVALID, "\"id\" is not a text");
    id->data = (const uint8_t *)mr_arena_copy(arena, id->data, id->len);
    return id->data ? MR_OK : no_memory(err);
}

static mr_status read_task(const mr_json *task, mr_arena *arena, mr_batch *b, mr_span *id, mr_error *err) {
    void *at = NULL;
    const char *name;
    const mr_json *v;
    if (mr_json_kind(task) != MR_JSON_OBJECT) return mr_fail(err, MR_E_INVALID, "a task is a JSON object");
    while (mr_json_next(task, &at, &name, &v)) MR_TRY(read_member(name, v, arena, b, err));
    if (!b->columns) return mr_fail(err, MR_E_INVALID, "a task needs \"features\" or another role, with its rows");
    if (mr_json_member(task, "names")) MR_TRY(read_names(mr_json_member(task, "names"), arena, b, err));
    return read_id(mr_json_member(task, "id"), arena, id, err);
}

mr_status mr_task_from_json(mr_span line, mr_arena *arena, mr_buf *body, mr_span *id, mr_error *err) {
    mr_json *task = NULL;
    mr_batch batch = {0};
    MR_TRY(mr_jsonl_parse(line, DEPTH, &task, NULL, err));
    mr_status s = read_task(task, arena, &batch, id, err);
    if (s == MR_OK) {
        s = mr_segment_encode(&batch, body);
        if (s != MR_OK) s = mr_fail(err, s, "the task is too large");
    }
    mr_json_free(&task);
    return s;
}
