#include "common/show.h"

#include "common/show_parts.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { LIST_SHOWN = 8, ROWS_SHOWN = 12, TEXT_SHOWN = 60, VALUE_MAX = 4096, TABLE_MAX = 4 * 1024 * 1024 };

/* ---- values ---- */

static void put_f64(mr_buf *out, double v) {
    char text[32];
    mr_text_number(v, text);
    mr_buf_text(out, text);
}

static void put_text(mr_buf *out, mr_span text) {
    size_t shown = text.len < 4 * TEXT_SHOWN ? text.len : 4 * TEXT_SHOWN;
    char line[4 * TEXT_SHOWN + 1];
    for (size_t i = 0; i < shown; i++) line[i] = text.data[i] < 0x20 ? ' ' : (char)text.data[i];
    line[shown] = 0;
    size_t cut = mr_text_cut(line, TEXT_SHOWN);
    mr_buf_put(out, line, cut);
    if (cut < text.len) mr_buf_text(out, "...");
}

static mr_status put_value(mr_unpack *u, unsigned depth, mr_buf *out, mr_error *err);

static mr_status put_list(mr_unpack *u, uint32_t count, unsigned depth, mr_buf *out, mr_error *err) {
    mr_buf_text(out, "[");
    for (uint32_t i = 0; i < count; i++) {
        if (i >= LIST_SHOWN) {
            MR_TRY(mr_unpack_skip(u, err));
            continue;
        }
        if (i) mr_buf_text(out, ", ");
        MR_TRY(put_value(u, depth + 1, out, err));
    }
    if (count > LIST_SHOWN) mr_buf_printf(out, ", ... %u in all", count);
    mr_buf_text(out, "]");
    return MR_OK;
}

/* "13 x 4 matrix" for a matrix, "{name: value, ...}" else. */
static mr_status put_map(mr_unpack *u, uint32_t count, unsigned depth, mr_buf *out, mr_error *err) {
    uint64_t rows = 0, cols = 0;
    bool is_matrix = false;
    mr_buf_text(out, "{");
    size_t start = out->len;
    for (uint32_t i = 0; i < count; i++) {
        mr_span key;
        MR_TRY(mr_unpack_str(u, SIZE_MAX, &key, err));
        bool data = key.len == 4 && !memcmp(key.data, "data", 4);
        mr_unpack peek = *u;
        if (key.len == 4 && !memcmp(key.data, "rows", 4) &&
            mr_unpack_u64(&peek, UINT64_MAX, &rows, NULL) != MR_OK)
            rows = 0;
        if (key.len == 4 && !memcmp(key.data, "cols", 4) &&
            mr_unpack_u64(&peek, UINT64_MAX, &cols, NULL) != MR_OK)
            cols = 0;
        if (data && count == 3 && i == 2) is_matrix = true;
        if (data || i >= LIST_SHOWN) {
            MR_TRY(mr_unpack_skip(u, err));
            continue;
        }
        mr_buf_printf(out, "%s%.*s: ", i ? ", " : "", MR_SPAN_ARG(key));
        MR_TRY(put_value(u, depth + 1, out, err));
    }
    if (is_matrix && mr_buf_status(out) == MR_OK) {
        out->len = start - 1;
        mr_buf_printf(out, "%llu x %llu matrix", (unsigned long long)rows, (unsigned long long)cols);
        return MR_OK;
    }
    mr_buf_text(out, count > LIST_SHOWN ? ", ...}" : "}");
    return MR_OK;
}

/* One value on one line; what is deeper than two containers is only named. */
static mr_status put_value(mr_unpack *u, unsigned depth, mr_buf *out, mr_error *err) {
    mr_pack_value v;
    mr_unpack before = *u;
    MR_TRY(mr_unpack_next(u, &v, err));
    if ((v.type == MR_PACK_ARRAY || v.type == MR_PACK_MAP) && depth > 2) {
        mr_buf_printf(out, v.type == MR_PACK_MAP ? "{%u members}" : "[%u items]", v.as.count);
        *u = before;
        return mr_unpack_skip(u, err);
    }
    switch (v.type) {
    case MR_PACK_NIL:
        mr_buf_text(out, "-");
        break;
    case MR_PACK_BOOL:
        mr_buf_text(out, v.as.boolean ? "yes" : "no");
        break;
    case MR_PACK_UINT:
        mr_buf_printf(out, "%llu", (unsigned long long)v.as.u);
        break;
    case MR_PACK_INT:
        mr_buf_printf(out, "%lld", (long long)v.as.i);
        break;
    case MR_PACK_FLOAT:
        put_f64(out, v.as.f);
        break;
    case MR_PACK_STR:
        put_text(out, v.as.bytes);
        break;
    case MR_PACK_BIN:
        mr_buf_printf(out, "%zu bytes", v.as.bytes.len);
        break;
    case MR_PACK_ARRAY:
        return put_list(u, v.as.count, depth, out, err);
    case MR_PACK_MAP:
        return put_map(u, v.as.count, depth, out, err);
    }
    return MR_OK;
}

/* The value at the cursor as a NUL-terminated text in `out`, which is emptied first. */
static mr_status value_text(mr_unpack *u, unsigned depth, mr_buf *out, mr_error *err) {
    mr_buf_clear(out);
    MR_TRY(put_value(u, depth, out, err));
    mr_buf_put(out, "", 1);
    mr_status s = mr_buf_status(out);
    if (s == MR_E_MEMORY) return mr_fail(err, s, "no memory for a value");
    if (s == MR_OK) return MR_OK;
    mr_buf_clear(out);
    mr_buf_put(out, "(too long)", sizeof "(too long)");
    return mr_buf_status(out);
}

/* ---- lists of maps with equal keys: a table of their own ---- */

static bool same_keys(mr_unpack a, mr_unpack b, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        mr_span x, y;
        if (mr_unpack_str(&a, SIZE_MAX, &x, NULL) != MR_OK || mr_unpack_str(&b, SIZE_MAX, &y, NULL) != MR_OK)
            return false;
        if (!mr_span_eq(x, y)) return false;
        if (mr_unpack_skip(&a, NULL) != MR_OK || mr_unpack_skip(&b, NULL) != MR_OK) return false;
    }
    return true;
}

/* Whether the list at the cursor is one of maps that share their keys; `keys` is their number. */
static bool is_table(mr_unpack u, uint32_t *rows, uint32_t *keys) {
    uint32_t count, n;
    mr_unpack first;
    if (mr_unpack_array(&u, UINT32_MAX, &count, NULL) != MR_OK || count == 0) return false;
    for (uint32_t i = 0; i < count; i++) {
        mr_unpack row = u;
        if (mr_unpack_map(&row, MR_TABLE_COLS, &n, NULL) != MR_OK || n == 0) return false;
        if (i == 0) first = row, *keys = n;
        if (n != *keys || !same_keys(first, row, n)) return false;
        if (mr_unpack_skip(&u, NULL) != MR_OK) return false;
    }
    *rows = count;
    return true;
}

static mr_status put_table_row(mr_unpack *u, mr_text_table *t, mr_buf *text, bool header, mr_error *err) {
    uint32_t keys;
    MR_TRY(mr_unpack_map(u, MR_TABLE_COLS, &keys, err));
    for (uint32_t i = 0; i < keys; i++) {
        mr_span key;
        MR_TRY(mr_unpack_str(u, SIZE_MAX, &key, err));
        if (header) {
            char name[MR_TABLE_CELL + 1];
            snprintf(name, sizeof name, "%.*s", MR_SPAN_ARG(key));
            mr_text_table_cell(t, name);
            MR_TRY(mr_unpack_skip(u, err));
            continue;
        }
        mr_pack_value v;
        mr_unpack peek = *u;
        MR_TRY(mr_unpack_next(&peek, &v, err));
        if (v.type == MR_PACK_FLOAT || v.type == MR_PACK_UINT || v.type == MR_PACK_INT)
            t->right[i] = i + 1 < keys;
        MR_TRY(value_text(u, 2, text, err));
        mr_text_table_cell(t, (const char *)text->data);
    }
    return MR_OK;
}

static mr_status put_table(mr_unpack u, uint32_t rows, uint32_t keys, mr_buf *text, mr_buf *out,
                           mr_error *err) {
    mr_text_table t;
    uint32_t count;
    MR_TRY(mr_unpack_array(&u, UINT32_MAX, &count, err));
    mr_text_table_init(&t, out->mem, keys);
    mr_unpack first = u;
    mr_status status = put_table_row(&first, &t, text, true, err);
    for (uint32_t i = 0; i < rows && i < ROWS_SHOWN && status == MR_OK; i++)
        status = put_table_row(&u, &t, text, false, err);
    mr_text_table_end(&t, 6, out);
    if (rows > ROWS_SHOWN) mr_buf_printf(out, "      ... %u in all\n", rows);
    return status;
}

/* ---- a result ---- */

mr_status mr_show_read_finding(mr_unpack *u, double *weight, mr_span *text, bool *tally, mr_error *err) {
    mr_unpack at;
    if (mr_unpack_find(u, "weight", &at) != MR_OK)
        return mr_fail(err, MR_E_PROTOCOL, "a finding has no weight");
    MR_TRY(mr_unpack_f64(&at, weight, err));
    if (mr_unpack_find(u, "text", &at) != MR_OK) return mr_fail(err, MR_E_PROTOCOL, "a finding has no text");
    MR_TRY(mr_unpack_str(&at, SIZE_MAX, text, err));
    *tally = false;
    if (mr_unpack_find(u, "tally", &at) == MR_OK) MR_TRY(mr_unpack_bool(&at, tally, err));
    return mr_unpack_skip(u, err);
}

static mr_status put_findings(mr_span result, mr_buf *out, mr_error *err) {
    mr_unpack u, list;
    uint32_t count;
    mr_unpack_init(&u, result);
    if (mr_unpack_find(&u, "findings", &list) != MR_OK) return MR_OK;
    MR_TRY(mr_unpack_array(&list, UINT32_MAX, &count, err));
    mr_buf_text(out, count ? "  findings\n" : "  no findings\n");
    for (uint32_t i = 0; i < count; i++) {
        double weight;
        mr_span text;
        bool tally;
        MR_TRY(mr_show_read_finding(&list, &weight, &text, &tally, err));
        if (i < MR_SHOW_FINDINGS) mr_buf_printf(out, "    - %.*s\n", MR_SPAN_ARG(text));
    }
    if (count > MR_SHOW_FINDINGS) mr_buf_printf(out, "    (%u more)\n", count - MR_SHOW_FINDINGS);
    return MR_OK;
}

static void put_field(mr_text_table *t, const mr_show_field *field, const char *value) {
    mr_text_table_cell(t, field->name);
    mr_text_table_cell(t, value);
    mr_text_table_cell(t, field->unit);
    mr_text_table_cell(t, field->meaning);
}

static bool is_scalar(mr_unpack u) {
    mr_pack_value v;
    if (mr_unpack_next(&u, &v, NULL) != MR_OK) return false;
    return v.type != MR_PACK_NIL && v.type != MR_PACK_BIN && v.type != MR_PACK_ARRAY && v.type != MR_PACK_MAP;
}

static mr_status put_fields(const mr_show *show, mr_show_detail detail, mr_span result, mr_text_table *t, mr_buf *text,
                            mr_buf *tables, mr_error *err) {
    mr_unpack u, at;
    mr_unpack_init(&u, result);
    for (uint32_t i = 0; i < show->count; i++) {
        uint32_t rows, keys;
        if (mr_unpack_find(&u, show->fields[i].name, &at) != MR_OK) continue;
        if (detail == MR_SHOW_BRIEF && !is_scalar(at)) continue;
        if (is_table(at, &rows, &keys)) {
            mr_buf_printf(tables, "    %s\n", show->fields[i].name);
            MR_TRY(put_table(at, rows, keys, text, tables, err));
            char value[32];
            snprintf(value, sizeof value, "%u, below", rows);
            put_field(t, &show->fields[i], value);
            continue;
        }
        MR_TRY(value_text(&at, 0, text, err));
        put_field(t, &show->fields[i], (const char *)text->data);
    }
    return MR_OK;
}

mr_status mr_show_result(const mr_show *show, mr_show_detail detail, mr_span result, mr_buf *out, mr_error *err) {
    size_t length;
    MR_TRY(mr_pack_scan(result, 32, SIZE_MAX, &length, err));
    MR_TRY(put_findings(result, out, err));
    mr_text_table t;
    mr_buf text, tables;
    mr_text_table_init(&t, out->mem, 4);
    mr_buf_init(&text, out->mem, VALUE_MAX);
    mr_buf_init(&tables, out->mem, TABLE_MAX);
    mr_status status = put_fields(show, detail, result, &t, &text, &tables, err);
    mr_buf_text(out, "  result\n");
    mr_text_table_end(&t, 4, out);
    mr_buf_put(out, tables.data, tables.len);
    if (mr_buf_status(&tables) == MR_E_MEMORY) mr_buf_fail(out, MR_E_MEMORY);
    mr_buf_free(&text);
    mr_buf_free(&tables);
    return status;
}

/* ---- descriptions ---- */

static const char *copy_text(const mr_json *object, const char *name, mr_arena *arena) {
    mr_span text;
    return mr_json_text(mr_json_member(object, name), &text) ? mr_arena_copy(arena, text.data, text.len)
                                                             : NULL;
}

static mr_show_fold fold_named(const char *name) {
    static const char *const names[] = {"none", "sum", "mean", "min", "max"};
    for (int i = 1; name && i < (int)(sizeof names / sizeof *names); i++)
        if (!strcmp(names[i], name)) return (mr_show_fold)i;
    return MR_SHOW_NONE;
}

static const mr_json *component_named(const mr_json *catalogue, const char *component) {
    for (size_t i = 0; i < mr_json_count(catalogue); i++) {
        mr_span name;
        const mr_json *item = mr_json_item(catalogue, i);
        if (mr_json_text(mr_json_member(item, "name"), &name) && mr_span_eq(name, mr_span_of(component)))
            return item;
    }
    return NULL;
}

mr_status mr_show_from_json(const mr_json *catalogue, const char *component, mr_arena *arena, mr_show *out,
                            mr_error *err) {
    if (mr_json_kind(catalogue) != MR_JSON_LIST)
        return mr_fail(err, MR_E_INVALID, "the catalogue of components is not a list");
    const mr_json *c = component_named(catalogue, component);
    if (!c) return mr_fail(err, MR_E_NOT_FOUND, "the catalogue has no component '%.64s'", component);
    const mr_json *outputs = mr_json_member(c, "outputs");
    size_t count = mr_json_count(outputs) < MR_SHOW_FIELDS ? mr_json_count(outputs) : MR_SHOW_FIELDS;
    mr_show_field *fields = mr_arena_alloc(arena, count + 1, sizeof *fields);
    if (!fields) return mr_fail(err, MR_E_MEMORY, "no memory for the description of %s", component);
    *out = (mr_show){.name = copy_text(c, "name", arena),
                     .summary = copy_text(c, "summary", arena),
                     .count = (uint32_t)count,
                     .fields = fields};
    for (size_t i = 0; i < count; i++) {
        const mr_json *f = mr_json_item(outputs, i);
        fields[i] = (mr_show_field){.name = copy_text(f, "name", arena),
                                    .unit = copy_text(f, "unit", arena),
                                    .meaning = copy_text(f, "meaning", arena),
                                    .fold = fold_named(copy_text(f, "fold", arena))};
        if (!fields[i].name)
            return mr_fail(err, MR_E_INVALID, "an output of %s in the catalogue has no name", component);
    }
    return MR_OK;
}
