#include "common/option_json.h"

#include "common/option.h"

#include <stdio.h>
#include <string.h>

enum { OPTIONS_MAX = 64, WORDS_MAX = 32, SLOT = MR_OPTION_TEXT };

/* The JSON rows become an mr_option table, so that one code checks values everywhere. */

typedef struct table {
    mr_option row[OPTIONS_MAX + 1];
    const char *words[OPTIONS_MAX][WORDS_MAX + 1];
    _Alignas(16) char config[OPTIONS_MAX][SLOT];
} table;

static const char *text_of(const mr_json *object, const char *name) {
    mr_span v;
    return mr_json_text(mr_json_member(object, name), &v) ? (const char *)v.data : NULL;
}

static double number_of(const mr_json *object, const char *name) {
    double v = 0;
    return mr_json_number(mr_json_member(object, name), &v) ? v : 0;
}

static bool type_named(const char *name, mr_option_type *out) {
    static const char *const names[] = {"bool", "integer", "number", "text", "choice", NULL};
    for (int i = 0; names[i]; i++)
        if (name && !strcmp(names[i], name)) return *out = (mr_option_type)i, true;
    return false;
}

static bool read_row(table *t, size_t i, const mr_json *from) {
    mr_option *row = &t->row[i];
    const mr_json *choices = mr_json_member(from, "choices");
    row->name = text_of(from, "name");
    row->def = text_of(from, "default");
    row->unit = text_of(from, "unit");
    row->min = number_of(from, "min");
    row->max = number_of(from, "max");
    row->offset = i * SLOT;
    row->choices = t->words[i];
    for (size_t w = 0; w < mr_json_count(choices) && w < WORDS_MAX; w++) {
        mr_span word = {0};
        if (!mr_json_text(mr_json_item(choices, w), &word)) return false;
        t->words[i][w] = (const char *)word.data;
    }
    return row->name && type_named(text_of(from, "type"), &row->type);
}

static mr_status read_table(const mr_json *component, table *t, mr_error *err) {
    const mr_json *options = mr_json_member(component, "options");
    if (mr_json_count(options) > OPTIONS_MAX)
        return mr_fail(err, MR_E_LIMIT, "a component has at most %d options", OPTIONS_MAX);
    for (size_t i = 0; i < mr_json_count(options); i++)
        if (!read_row(t, i, mr_json_item(options, i)))
            return mr_fail(err, MR_E_INVALID, "the worker's catalogue describes an option that is not understood");
    /* A worker's word is not an invariant of ours: defaults are set one by one, not with mr_option_defaults. */
    for (mr_option *row = t->row; row->name; row++)
        if (row->def) MR_TRY(mr_option_set(t->row, t->config, row->name, row->def, err));
    return MR_OK;
}

static mr_status set_given(table *t, mr_unpack *given, mr_error *err) {
    uint32_t n;
    MR_TRY(mr_unpack_map(given, OPTIONS_MAX, &n, err));
    for (uint32_t i = 0; i < n; i++) {
        mr_span name, value;
        char name_text[MR_OPTION_NAME], value_text[MR_OPTION_TEXT];
        MR_TRY(mr_unpack_str(given, sizeof name_text - 1, &name, err));
        MR_TRY(mr_unpack_str(given, sizeof value_text - 1, &value, err));
        snprintf(name_text, sizeof name_text, "%.*s", MR_SPAN_ARG(name));
        snprintf(value_text, sizeof value_text, "%.*s", MR_SPAN_ARG(value));
        MR_TRY(mr_option_set(t->row, t->config, name_text, value_text, err));
    }
    return MR_OK;
}

static void write_options(const table *t, mr_buf *out) {
    mr_buf value;
    mr_buf_init(&value, NULL, 1024);
    mr_buf_text(out, "{");
    for (const mr_option *row = t->row; row->name; row++) {
        mr_buf_clear(&value);
        mr_option_get(row, t->config, &value);
        if (row != t->row) mr_buf_text(out, ", ");
        mr_json_put_text(out, mr_span_of(row->name));
        mr_buf_text(out, ": ");
        mr_json_put_text(out, mr_buf_span(&value));
    }
    mr_buf_text(out, "}");
    mr_buf_free(&value);
}

mr_status mr_option_json(const mr_json *component, mr_unpack *given, mr_buf *out, mr_error *err) {
    table *t = mr_new(NULL, 1, sizeof *t);
    if (!t) return mr_fail(err, MR_E_MEMORY, "no memory for the options");
    mr_status s = read_table(component, t, err);
    if (s == MR_OK) s = set_given(t, given, err);
    if (s == MR_OK) write_options(t, out);
    mr_free(NULL, t, 1, sizeof *t);
    return s == MR_OK && mr_buf_status(out) != MR_OK ? mr_fail(err, mr_buf_status(out), "the options are too long") : s;
}
