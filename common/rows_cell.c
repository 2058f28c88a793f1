#include "common/option.h"
#include "common/rows_parts.h"
#include "common/text.h"
#include "common/unicode.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

const char *const mr_cell_types[] = {"number", "integer", "boolean", "text", "time", NULL};

enum { FITS_ALL = (1 << MR_CELL_TYPES) - 1 };

static unsigned bit(mr_cell_type t) { return 1u << t; }

mr_status mr_table_types_parse(mr_table_types *t, const char *text, mr_error *err) {
    for (;;) {
        size_t n = strcspn(text, ",");
        const char *equals = memchr(text, '=', n);
        size_t left = equals ? (size_t)(equals - text) : 0;
        if (left == 0 || left >= MR_TABLE_NAME || t->count == sizeof t->items / sizeof *t->items)
            return mr_fail(err, MR_E_USAGE, "'%.*s' is no column type, write name=type, at most 64 of them",
                           (int)n, text);
        char word[16];
        snprintf(word, sizeof word, "%.*s", (int)(n - left - 1), equals + 1);
        mr_cell_type type = 0;
        while (mr_cell_types[type] && strcmp(mr_cell_types[type], word) != 0) type++;
        if (!mr_cell_types[type]) {
            const char *near = mr_nearest_word(mr_cell_types, word);
            return mr_fail(err, MR_E_USAGE, "there is no type '%s'%s%s%s", word,
                           near ? ", did you mean '" : "", near ? near : "",
                           near ? "'?" : "; types are number, integer, boolean, text and time");
        }
        snprintf(t->items[t->count].name, MR_TABLE_NAME, "%.*s", (int)left, text);
        t->items[t->count++].type = type;
        if (!text[n]) return MR_OK;
        text += n + 1;
    }
}

/* ---- text to value ---- */

/* "007" is a code, not a number. */
static bool is_code(mr_span s) {
    size_t i = s.len && (s.data[0] == '-' || s.data[0] == '+');
    return s.len - i >= 2 && s.data[i] == '0' && s.data[i + 1] >= '0' && s.data[i + 1] <= '9';
}

static bool parse_boolean(mr_span s, bool *out) {
    *out = s.len == 4;
    return (s.len == 4 && !strncasecmp((const char *)s.data, "true", 4)) ||
           (s.len == 5 && !strncasecmp((const char *)s.data, "false", 5));
}

unsigned mr_cell_fits_text(mr_span text, bool quoted) {
    mr_cell v;
    mr_span s = mr_text_trim(text);
    if (s.len == 0) return quoted ? bit(MR_CELL_TEXT) : (unsigned)FITS_ALL;
    unsigned fits = bit(MR_CELL_TEXT);
    bool starts_as_number = strchr("+-.0123456789", s.data[0]) != NULL;
    if (!starts_as_number) return fits | (parse_boolean(s, &v.as.boolean) ? bit(MR_CELL_BOOLEAN) : 0);
    if (mr_time_parse(s, &v.as.time_us)) fits |= bit(MR_CELL_TIME);
    if (is_code(s)) return fits;
    if (mr_number_parse(s, &v.as.number)) fits |= bit(MR_CELL_NUMBER);
    if (mr_integer_parse(s, &v.as.integer)) fits |= bit(MR_CELL_INTEGER);
    return fits;
}

unsigned mr_cell_fits_json(const mr_jsonl_member *m) {
    int64_t us;
    switch (m->type) {
    case MR_JSONL_NULL:
        return FITS_ALL;
    case MR_JSONL_BOOL:
        return bit(MR_CELL_TEXT) | bit(MR_CELL_BOOLEAN);
    case MR_JSONL_INTEGER:
        return bit(MR_CELL_TEXT) | bit(MR_CELL_NUMBER) | bit(MR_CELL_INTEGER);
    case MR_JSONL_NUMBER:
        return bit(MR_CELL_TEXT) | bit(MR_CELL_NUMBER);
    case MR_JSONL_TEXT:
        return bit(MR_CELL_TEXT) | (mr_time_parse(m->as.text, &us) ? bit(MR_CELL_TIME) : 0);
    default:
        return bit(MR_CELL_TEXT);
    }
}

static mr_cell missing(mr_cell_type type) {
    mr_cell cell = {.missing = true};
    if (type == MR_CELL_NUMBER) cell.as.number = NAN;
    return cell;
}

static mr_status refuse(mr_span value, const mr_table_column *column, mr_error *err) {
    static const char *const wanted[] = {"a finite number", "an integer of 64 bits", "true or false", "text",
                                         "a time"};
    int n = value.len > 40 ? 40 : (int)value.len;
    return mr_fail(err, MR_E_INVALID, "column '%s': \"%.*s\" is not %s", column->name, n,
                   (const char *)value.data, wanted[column->type]);
}

mr_status mr_cell_from_text(mr_span text, bool quoted, const mr_table_column *column, mr_cell *out,
                            mr_error *err) {
    bool fits = true;
    *out = (mr_cell){.missing = false};
    if (column->type == MR_CELL_TEXT) {
        if (text.len == 0 && !quoted)
            *out = missing(column->type);
        else
            out->as.text = text;
        return MR_OK;
    }
    mr_span s = mr_text_trim(text);
    if (s.len == 0) {
        *out = missing(column->type);
        return MR_OK;
    }
    switch (column->type) {
    case MR_CELL_NUMBER:
        fits = mr_number_parse(s, &out->as.number);
        break;
    case MR_CELL_INTEGER:
        fits = mr_integer_parse(s, &out->as.integer);
        break;
    case MR_CELL_BOOLEAN:
        fits = parse_boolean(s, &out->as.boolean);
        break;
    default:
        fits = mr_time_parse(s, &out->as.time_us);
        break;
    }
    return fits ? MR_OK : refuse(s, column, err);
}

/* A JSON value that is no text, as text. */
static mr_status json_as_text(const mr_jsonl_member *m, mr_arena *arena, mr_cell *out, mr_error *err) {
    mr_cell value = {.missing = false};
    mr_cell_type type = MR_CELL_BOOLEAN;
    if (m->type == MR_JSONL_BOOL)
        value.as.boolean = m->as.boolean;
    else if (m->type == MR_JSONL_INTEGER)
        value.as.integer = m->as.integer, type = MR_CELL_INTEGER;
    else
        value.as.number = m->as.number, type = MR_CELL_NUMBER;
    return mr_cell_text(&value, type, arena, &out->as.text, err);
}

mr_status mr_cell_from_json(const mr_jsonl_member *m, const mr_table_column *column, mr_arena *arena,
                            mr_cell *out, mr_error *err) {
    *out = (mr_cell){.missing = false};
    if (m->type == MR_JSONL_NULL) {
        *out = missing(column->type);
        return MR_OK;
    }
    if (!(mr_cell_fits_json(m) & bit(column->type))) {
        mr_cell shown = {.missing = false};
        if (m->type == MR_JSONL_TEXT || m->type == MR_JSONL_JSON)
            shown.as.text = m->as.text;
        else
            MR_TRY(json_as_text(m, arena, &shown, err));
        return refuse(shown.as.text, column, err);
    }
    bool is_text = m->type == MR_JSONL_TEXT || m->type == MR_JSONL_JSON;
    switch (column->type) {
    case MR_CELL_NUMBER:
        out->as.number = m->type == MR_JSONL_INTEGER ? (double)m->as.integer : m->as.number;
        return MR_OK;
    case MR_CELL_INTEGER:
        out->as.integer = m->as.integer;
        return MR_OK;
    case MR_CELL_BOOLEAN:
        out->as.boolean = m->as.boolean;
        return MR_OK;
    case MR_CELL_TIME:
        return mr_time_parse(m->as.text, &out->as.time_us) ? MR_OK : refuse(m->as.text, column, err);
    default:
        if (!is_text) return json_as_text(m, arena, out, err);
        out->as.text = m->as.text;
        return MR_OK;
    }
}

/* ---- value to text and number ---- */

mr_status mr_cell_text(const mr_cell *cell, mr_cell_type type, mr_arena *arena, mr_span *out, mr_error *err) {
    char text[64];
    *out = (mr_span){NULL, 0};
    if (cell->missing) return MR_OK;
    if (type == MR_CELL_TEXT) {
        *out = cell->as.text;
        return MR_OK;
    }
    if (type == MR_CELL_NUMBER) mr_number_text(cell->as.number, text);
    if (type == MR_CELL_INTEGER) snprintf(text, sizeof text, "%" PRId64, cell->as.integer);
    if (type == MR_CELL_BOOLEAN) snprintf(text, sizeof text, "%s", cell->as.boolean ? "true" : "false");
    if (type == MR_CELL_TIME) mr_time_format(cell->as.time_us, text);
    size_t n = strlen(text);
    char *copy = mr_arena_copy(arena, text, n);
    if (!copy) return mr_fail(err, MR_E_MEMORY, "out of memory while reading rows");
    *out = (mr_span){(uint8_t *)copy, n};
    return MR_OK;
}

double mr_cell_number(const mr_cell *cell, mr_cell_type type) {
    if (cell->missing) return NAN;
    switch (type) {
    case MR_CELL_NUMBER:
        return cell->as.number;
    case MR_CELL_INTEGER:
        return (double)cell->as.integer;
    case MR_CELL_BOOLEAN:
        return cell->as.boolean;
    case MR_CELL_TIME:
        return (double)cell->as.time_us / 1e6;
    default:
        return NAN;
    }
}
