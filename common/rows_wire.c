#include "common/rows_parts.h"
#include "common/unicode.h"

#include <math.h>
#include <string.h>

void mr_table_schema_pack(mr_buf *b, mr_table_schema s) {
    mr_pack_array(b, s.count);
    for (uint32_t i = 0; i < s.count; i++) {
        mr_pack_array(b, 2);
        mr_pack_text(b, s.columns[i].name);
        mr_pack_u64(b, (uint64_t)s.columns[i].type);
    }
}

static mr_status take_column(mr_unpack *u, const mr_table_column *before, uint32_t count,
                             mr_table_column *out, mr_error *err) {
    uint32_t fields;
    mr_span name;
    uint64_t type;
    MR_TRY(mr_unpack_array(u, 2, &fields, err));
    if (fields != 2) return mr_fail(err, MR_E_INVALID, "column %u: a name and a type are needed", count + 1);
    MR_TRY(mr_unpack_str(u, MR_TABLE_NAME - 1, &name, err));
    MR_TRY(mr_unpack_u64(u, MR_CELL_TYPES - 1, &type, err));
    if (name.len == 0 || memchr(name.data, 0, name.len) || !mr_utf8_check(name, NULL, NULL))
        return mr_fail(err, MR_E_INVALID, "column %u has no sound name", count + 1);
    memcpy(out->name, name.data, name.len);
    out->type = (mr_cell_type)type;
    for (uint32_t i = 0; i < count; i++)
        if (!strcmp(before[i].name, out->name))
            return mr_fail(err, MR_E_INVALID, "two columns are named '%s'", out->name);
    return MR_OK;
}

mr_status mr_table_schema_unpack(mr_unpack *u, mr_arena *arena, mr_table_schema *out, mr_error *err) {
    uint32_t count;
    MR_TRY(mr_unpack_array(u, MR_TABLE_COLUMNS, &count, err));
    if (count == 0) return mr_fail(err, MR_E_INVALID, "a table without columns");
    mr_table_column *columns = mr_arena_alloc(arena, count, sizeof *columns);
    if (!columns) return mr_fail(err, MR_E_MEMORY, "out of memory while reading a table's columns");
    for (uint32_t i = 0; i < count; i++) MR_TRY(take_column(u, columns, i, &columns[i], err));
    *out = (mr_table_schema){count, columns};
    return MR_OK;
}

static void pack_cell(mr_buf *b, mr_cell_type type, const mr_cell *cell) {
    if (cell->missing) {
        mr_pack_nil(b);
        return;
    }
    switch (type) {
    case MR_CELL_NUMBER:
        mr_pack_f64(b, cell->as.number);
        return;
    case MR_CELL_INTEGER:
        mr_pack_i64(b, cell->as.integer);
        return;
    case MR_CELL_BOOLEAN:
        mr_pack_bool(b, cell->as.boolean);
        return;
    case MR_CELL_TIME:
        mr_pack_i64(b, cell->as.time_us);
        return;
    default:
        mr_pack_str(b, cell->as.text);
        return;
    }
}

void mr_table_row_pack(mr_buf *b, mr_table_schema s, const mr_cell *cells) {
    mr_pack_array(b, s.count);
    for (uint32_t i = 0; i < s.count; i++) pack_cell(b, s.columns[i].type, &cells[i]);
}

static bool is_nil(mr_unpack *u) {
    mr_unpack ahead = *u;
    mr_pack_value v;
    if (mr_unpack_next(&ahead, &v, NULL) != MR_OK || v.type != MR_PACK_NIL) return false;
    *u = ahead;
    return true;
}

static mr_status take_text(mr_unpack *u, mr_span *out, mr_error *err) {
    MR_TRY(mr_unpack_str(u, MR_TABLE_TEXT, out, err));
    if (out->len && memchr(out->data, 0, out->len)) return mr_fail(err, MR_E_INVALID, "a NUL character");
    if (!mr_utf8_check(*out, NULL, NULL)) return mr_fail(err, MR_E_INVALID, "not UTF-8");
    return MR_OK;
}

static mr_status take_cell(mr_unpack *u, mr_cell_type type, mr_cell *cell, mr_error *err) {
    *cell = (mr_cell){.missing = is_nil(u)};
    if (cell->missing) {
        if (type == MR_CELL_NUMBER) cell->as.number = NAN;
        return MR_OK;
    }
    switch (type) {
    case MR_CELL_NUMBER:
        MR_TRY(mr_unpack_f64(u, &cell->as.number, err));
        return isfinite(cell->as.number) ? MR_OK : mr_fail(err, MR_E_INVALID, "a number that is not finite");
    case MR_CELL_INTEGER:
        return mr_unpack_i64(u, &cell->as.integer, err);
    case MR_CELL_BOOLEAN:
        return mr_unpack_bool(u, &cell->as.boolean, err);
    case MR_CELL_TIME:
        return mr_unpack_i64(u, &cell->as.time_us, err);
    default:
        return take_text(u, &cell->as.text, err);
    }
}

mr_status mr_table_row_unpack(mr_unpack *u, mr_table_schema s, mr_cell *cells, mr_error *err) {
    uint32_t count;
    mr_error inner;
    MR_TRY(mr_unpack_array(u, MR_TABLE_COLUMNS, &count, err));
    if (count != s.count)
        return mr_fail(err, MR_E_INVALID, "a row of %u cells, the table has %u columns", count, s.count);
    for (uint32_t i = 0; i < s.count; i++)
        if (take_cell(u, s.columns[i].type, &cells[i], &inner) != MR_OK)
            return mr_fail(err, MR_E_INVALID, "column '%s': %s", s.columns[i].name, inner.text);
    return MR_OK;
}
