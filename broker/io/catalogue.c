#include "broker/io/catalogue.h"

#include "common/option.h"

#include <stdio.h>
#include <string.h>

enum { OPTIONS_MAX = 64, WORDS_MAX = 32, SLOT = MR_OPTION_TEXT };

void mr_catalogue_free(mr_catalogue *c) {
    for (uint32_t i = 0; i < c->count; i++) {
        mr_json_free(&c->doc[i].list);
        mr_buf_free(&c->doc[i].text);
    }
    c->count = 0;
}

/* Moves document `at` to the front. */
static void to_front(mr_catalogue *c, uint32_t at) {
    typeof(c->doc[0]) doc = c->doc[at];
    memmove(&c->doc[1], &c->doc[0], at * sizeof doc);
    c->doc[0] = doc;
}

mr_status mr_catalogue_add(mr_catalogue *c, mr_span json, mr_error *err) {
    mr_hash hash = mr_hash_of(json);
    for (uint32_t i = 0; i < c->count; i++) {
        if (!mr_hash_eq(&c->doc[i].hash, &hash)) continue;
        to_front(c, i);
        return MR_OK;
    }
    mr_json *list = NULL;
    MR_TRY(mr_json_parse(json, MR_CATALOGUE_MAX, 8, &list, err));
    if (mr_json_kind(list) != MR_JSON_LIST) {
        mr_json_free(&list);
        return mr_fail(err, MR_E_INVALID, "a worker's catalogue is not a list of components");
    }
    mr_buf text;
    mr_buf_init(&text, NULL, MR_CATALOGUE_MAX);
    mr_buf_put(&text, json.data, json.len);
    mr_status s = mr_buf_status(&text);
    if (s != MR_OK) {
        mr_json_free(&list);
        return mr_fail(err, s, "no memory for a worker's catalogue");
    }
    uint32_t at = c->count < MR_CATALOGUES ? c->count++ : MR_CATALOGUES - 1;
    if (at == MR_CATALOGUES - 1) {
        mr_json_free(&c->doc[at].list);
        mr_buf_free(&c->doc[at].text);
    }
    c->doc[at].hash = hash;
    c->doc[at].list = list;
    c->doc[at].text = text;
    to_front(c, at);
    return MR_OK;
}

static bool name_of(const mr_json *component, mr_span *out) {
    return mr_json_text(mr_json_member(component, "name"), out);
}

const mr_json *mr_catalogue_component(const mr_catalogue *c, const char *name) {
    mr_span it;
    for (uint32_t d = 0; d < c->count; d++)
        for (size_t i = 0; i < mr_json_count(c->doc[d].list); i++) {
            const mr_json *component = mr_json_item(c->doc[d].list, i);
            if (name_of(component, &it) && mr_span_eq(it, mr_span_of(name))) return component;
        }
    return NULL;
}

const char *mr_catalogue_nearest(const mr_catalogue *c, const char *name) {
    const char *words[256];
    size_t n = 0;
    mr_span it;
    for (size_t i = 0; c->count && i < mr_json_count(c->doc[0].list) && n < 255; i++)
        if (name_of(mr_json_item(c->doc[0].list, i), &it)) words[n++] = (const char *)it.data; /* JSON texts end with NUL */
    words[n] = NULL;
    return mr_nearest_word(words, name);
}

mr_span mr_catalogue_text(const mr_catalogue *c) {
    return c->count ? mr_buf_span(&c->doc[0].text) : mr_span_of("[]");
}

/* ---- options: the JSON rows become an mr_option table, so that one code checks values everywhere ---- */

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

mr_status mr_catalogue_options(const mr_json *component, mr_unpack *given, mr_buf *out, mr_error *err) {
    table *t = mr_new(NULL, 1, sizeof *t);
    if (!t) return mr_fail(err, MR_E_MEMORY, "no memory for the options");
    mr_status s = read_table(component, t, err);
    if (s == MR_OK) s = set_given(t, given, err);
    if (s == MR_OK) write_options(t, out);
    mr_free(NULL, t, 1, sizeof *t);
    return s == MR_OK && mr_buf_status(out) != MR_OK ? mr_fail(err, mr_buf_status(out), "the options are too long") : s;
}
