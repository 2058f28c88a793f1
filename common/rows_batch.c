#include "common/option.h"
#include "common/rows_parts.h"

#include <stdio.h>
#include <string.h>

/* ---- bindings ---- */

static mr_status unknown_role(const char *name, mr_error *err) {
    const char *names[MR_TEXT_COLUMNS + MR_NUMBER_COLUMNS + 1] = {NULL};
    size_t n = 0;
    for (const mr_column_row *r = mr_column_rows; r->name && n + 1 < sizeof names / sizeof *names; r++)
        names[n++] = r->name;
    const char *near = mr_nearest_word(names, name);
    return mr_fail(err, MR_E_USAGE, "there is no role '%s'%s%s%s", name, near ? ", did you mean '" : "",
                   near ? near : "",
                   near ? "'?" : "; roles are label, score, success, treatment, outcome and others");
}

static mr_status add_binding(mr_bindings *b, const char *text, size_t n, mr_error *err) {
    const char *equals = memchr(text, '=', n);
    char name[32];
    if (!equals || equals == text)
        return mr_fail(err, MR_E_USAGE, "'%.*s' binds no role, write role=column as in label=target", (int)n,
                       text);
    snprintf(name, sizeof name, "%.*s", (int)(equals - text), text);
    const mr_column_row *role = mr_column_named(name);
    if (!role) return unknown_role(name, err);
    for (size_t i = 0; i < b->count; i++)
        if (b->items[i].role == role) return mr_fail(err, MR_E_USAGE, "the role '%s' is bound twice", name);
    size_t length = n - (size_t)(equals - text) - 1;
    if (length >= MR_TABLE_NAME || b->count == MR_BINDINGS_MAX)
        return mr_fail(err, MR_E_USAGE, "too many roles, or a column's name that is too long");
    mr_binding *item = &b->items[b->count++];
    item->role = role;
    memcpy(item->column, equals + 1, length);
    item->column[length] = 0;
    return MR_OK;
}

/* Where a binding ends: at a comma, or at a blank with another "role=" behind it, as names may hold blanks.
 */
static size_t binding_length(const char *text) {
    size_t n = 0;
    for (;; n++) {
        n += strcspn(text + n, " ,");
        if (text[n] != ' ') return n;
        const char *next = text + n + strspn(text + n, " ");
        if (*next == 0 || *next == ',' || next[strcspn(next, " ,=")] == '=') return n;
    }
}

mr_status mr_bindings_parse(mr_bindings *b, const char *text, mr_error *err) {
    for (;;) {
        text += strspn(text, " ,");
        size_t n = binding_length(text);
        if (n == 0) return MR_OK;
        MR_TRY(add_binding(b, text, n, err));
        text += n;
    }
}

/* ---- a table as a batch ---- */

enum { NO_COLUMN = MR_TABLE_COLUMNS };

static uint32_t find_column(mr_table_schema s, const char *name) {
    for (uint32_t i = 0; i < s.count; i++)
        if (!strcmp(s.columns[i].name, name)) return i;
    return NO_COLUMN;
}

static bool is_number(mr_cell_type t) {
    return t == MR_CELL_NUMBER || t == MR_CELL_INTEGER || t == MR_CELL_BOOLEAN;
}

static bool fits_role(const mr_column_row *role, mr_cell_type type) {
    return role->is_text || is_number(type) || (role->column == MR_COL_TIME && type == MR_CELL_TIME);
}

static mr_status no_column(mr_table_schema s, const mr_binding *b, mr_error *err) {
    const char *names[MR_TABLE_COLUMNS + 1];
    for (uint32_t i = 0; i < s.count; i++) names[i] = s.columns[i].name;
    names[s.count] = NULL;
    const char *near = mr_nearest_word(names, b->column);
    return mr_fail(err, MR_E_INVALID, "role '%s': there is no column '%s'%s%s%s", b->role->name, b->column,
                   near ? ", did you mean '" : "", near ? near : "", near ? "'?" : "");
}

/* The column of a role: the one it is bound to, else the one of its own name. */
static mr_status resolve(mr_table_schema s, const mr_column_row *role, const mr_bindings *b, uint32_t *column,
                         mr_error *err) {
    for (size_t i = 0; b && i < b->count; i++) {
        if (b->items[i].role != role) continue;
        *column = NO_COLUMN;
        if (!b->items[i].column[0]) return MR_OK;
        *column = find_column(s, b->items[i].column);
        if (*column == NO_COLUMN) return no_column(s, &b->items[i], err);
        if (fits_role(role, s.columns[*column].type)) return MR_OK;
        return mr_fail(err, MR_E_INVALID, "role '%s': column '%s' is %s, a number is wanted", role->name,
                       b->items[i].column, mr_cell_types[s.columns[*column].type]);
    }
    *column = find_column(s, role->name);
    if (*column != NO_COLUMN && !fits_role(role, s.columns[*column].type)) *column = NO_COLUMN;
    return MR_OK;
}

static mr_status no_memory(mr_error *err) { return mr_fail(err, MR_E_MEMORY, "out of memory for a batch"); }

static mr_status fill_role(mr_table_schema s, const mr_cell *cells, const mr_column_row *role,
                           uint32_t column, mr_arena *arena, mr_batch *out, mr_error *err) {
    mr_cell_type type = s.columns[column].type;
    mr_span *text = role->is_text ? mr_arena_alloc(arena, out->rows, sizeof *text) : NULL;
    double *number = role->is_text ? NULL : mr_arena_alloc(arena, out->rows, sizeof *number);
    if (out->rows && !text && !number) return no_memory(err);
    for (uint32_t i = 0; i < out->rows; i++) {
        const mr_cell *cell = &cells[(size_t)i * s.count + column];
        if (text)
            MR_TRY(mr_cell_text(cell, type, arena, &text[i], err));
        else
            number[i] = mr_cell_number(cell, type);
    }
    if (text)
        out->text[role->slot] = text;
    else
        out->number[role->slot] = number;
    out->columns |= role->column;
    return MR_OK;
}

static mr_status fill_features(mr_table_schema s, const mr_cell *cells, const bool *taken, mr_arena *arena,
                               mr_batch *out, mr_error *err) {
    uint32_t which[MR_TABLE_COLUMNS], width = 0;
    for (uint32_t i = 0; i < s.count; i++)
        if (!taken[i] && is_number(s.columns[i].type)) which[width++] = i;
    if (width == 0) return MR_OK;
    const char **names = mr_arena_alloc(arena, width, sizeof *names);
    double *values = mr_arena_alloc(arena, (size_t)out->rows * width + 1, sizeof *values);
    if (!names || !values) return no_memory(err);
    for (uint32_t k = 0; k < width; k++) {
        names[k] = mr_arena_copy(arena, s.columns[which[k]].name, strlen(s.columns[which[k]].name));
        if (!names[k]) return no_memory(err);
    }
    for (uint32_t i = 0; i < out->rows; i++)
        for (uint32_t k = 0; k < width; k++)
            values[(size_t)i * width + k] =
                mr_cell_number(&cells[(size_t)i * s.count + which[k]], s.columns[which[k]].type);
    out->width = width;
    out->features = values;
    out->feature_names = names;
    out->columns |= MR_COL_FEATURES;
    return MR_OK;
}

mr_status mr_table_batch(mr_table_schema s, const mr_cell *cells, uint32_t rows, uint64_t first,
                         const mr_bindings *b, uint32_t columns, mr_arena *arena, mr_batch *out,
                         mr_error *err) {
    bool taken[MR_TABLE_COLUMNS] = {false};
    *out = (mr_batch){.first = first, .rows = rows};
    for (const mr_column_row *role = mr_column_rows; role->name; role++) {
        uint32_t column = NO_COLUMN;
        MR_TRY(resolve(s, role, b, &column, err));
        if (column == NO_COLUMN) continue;
        taken[column] = true;
        if (columns & role->column) MR_TRY(fill_role(s, cells, role, column, arena, out, err));
    }
    return columns & MR_COL_FEATURES ? fill_features(s, cells, taken, arena, out, err) : MR_OK;
}
