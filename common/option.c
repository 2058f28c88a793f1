#include "common/option.h"
#include "common/text.h"

#include <stdio.h>
#include <string.h>

/* ---- names ---- */

static char plain(char c) { return c == '-' ? '_' : c; }

static bool same_name(const char *a, const char *b) {
    while (*a && plain(*a) == plain(*b)) a++, b++;
    return plain(*a) == plain(*b);
}

const mr_option *mr_option_find(const mr_option *table, const char *name) {
    for (const mr_option *row = table; row->name; row++)
        if (same_name(row->name, name)) return row;
    return NULL;
}

static size_t least(size_t a, size_t b) { return a < b ? a : b; }

/* Levenshtein's distance (1966), one row of the table at a time; '-' counts as '_'. */
static size_t distance(const char *a, const char *b) {
    size_t row[MR_OPTION_TEXT], n = strlen(b);
    if (n >= MR_OPTION_TEXT) return SIZE_MAX;
    for (size_t j = 0; j <= n; j++) row[j] = j;
    for (size_t i = 1; a[i - 1]; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= n; j++) {
            size_t swap = diagonal + (plain(a[i - 1]) != plain(b[j - 1]));
            diagonal = row[j];
            row[j] = least(swap, least(row[j], row[j - 1]) + 1);
        }
    }
    return row[n];
}

/* The nearest so far, for the two kinds of list. */
typedef struct nearest {
    const char *word;
    size_t distance;
} nearest;

static void consider(nearest *best, const char *candidate, const char *word) {
    size_t d = distance(candidate, word), most = strlen(word) / 2;
    if (d <= most && (!best->word || d < best->distance)) *best = (nearest){candidate, d};
}

const char *mr_option_nearest(const mr_option *table, const char *name) {
    nearest best = {0};
    for (const mr_option *row = table; row->name; row++) consider(&best, row->name, name);
    return best.word;
}

const char *mr_nearest_word(const char *const *words, const char *word) {
    nearest best = {0};
    for (; *words; words++) consider(&best, *words, word);
    return best.word;
}

/* ---- values ---- */

static mr_status bad(const mr_option *row, const char *value, const char *wanted, mr_error *err) {
    if (row->secret) return mr_fail(err, MR_E_INVALID, "option %s: %s is expected", row->name, wanted);
    return mr_fail(err, MR_E_INVALID, "option %s: '%.80s' is given, %s is expected", row->name, value,
                   wanted);
}

static mr_status set_bool(const mr_option *row, bool *field, const char *value, mr_error *err) {
    static const char *const yes[] = {"true", "yes", "on", "1"}, *const no[] = {"false", "no", "off", "0"};
    for (size_t i = 0; i < sizeof yes / sizeof *yes; i++) {
        if (strcmp(value, yes[i]) && strcmp(value, no[i])) continue;
        *field = !strcmp(value, yes[i]);
        return MR_OK;
    }
    return bad(row, value, "true or false", err);
}

static bool within(const mr_option *row, double v) {
    return (row->min == 0 && row->max == 0) || (v >= row->min && v <= row->max);
}

static mr_status out_of_bounds(const mr_option *row, const char *value, mr_error *err) {
    char wanted[96];
    snprintf(wanted, sizeof wanted, "%.15g to %.15g%s%s", row->min, row->max, row->unit ? " " : "",
             row->unit ? row->unit : "");
    return bad(row, value, wanted, err);
}

static mr_status set_int(const mr_option *row, int64_t *field, const char *value, mr_error *err) {
    int64_t v;
    if (!mr_integer_parse(mr_span_of(value), &v))
        return bad(row, value, "a whole number of at most 64 bits", err);
    if (!within(row, (double)v)) return out_of_bounds(row, value, err);
    *field = v;
    return MR_OK;
}

static mr_status set_number(const mr_option *row, double *field, const char *value, mr_error *err) {
    double v;
    if (!mr_number_parse(mr_span_of(value), &v)) return bad(row, value, "a finite number", err);
    if (!within(row, v)) return out_of_bounds(row, value, err);
    *field = v;
    return MR_OK;
}

static mr_status set_text(const mr_option *row, char *field, const char *value, mr_error *err) {
    mr_span text = mr_span_of(value);
    if (text.len >= MR_OPTION_TEXT)
        return mr_fail(err, MR_E_INVALID, "option %s: text of %zu bytes, at most %d is allowed", row->name,
                       text.len, MR_OPTION_TEXT - 1);
    size_t broken = mr_utf8_broken_at(text);
    if (broken < text.len)
        return mr_fail(err, MR_E_INVALID, "option %s: byte %zu is not UTF-8", row->name, broken + 1);
    memcpy(field, value, text.len + 1);
    return MR_OK;
}

static mr_status set_choice(const mr_option *row, int64_t *field, const char *value, mr_error *err) {
    for (int64_t i = 0; row->choices[i]; i++) {
        if (!same_name(row->choices[i], value)) continue;
        *field = i;
        return MR_OK;
    }
    char wanted[256] = "one of";
    for (size_t i = 0, n = strlen(wanted); row->choices[i] && n < sizeof wanted; i++)
        n += (size_t)snprintf(wanted + n, sizeof wanted - n, "%s %s", i ? "," : "", row->choices[i]);
    return bad(row, value, wanted, err);
}

static mr_status add_item(const mr_option *row, mr_option_list *list, const char *value, mr_error *err) {
    if (list->count == MR_OPTION_LIST)
        return mr_fail(err, MR_E_INVALID, "option %s: given more than %d times", row->name, MR_OPTION_LIST);
    MR_TRY(set_text(row, list->items[list->count], value, err));
    list->count++;
    return MR_OK;
}

static mr_status set_field(const mr_option *row, void *config, const char *value, mr_error *err) {
    void *field = (char *)config + row->offset;
    switch (row->type) {
    case MR_OPT_BOOL:
        return set_bool(row, field, value, err);
    case MR_OPT_INT:
        return set_int(row, field, value, err);
    case MR_OPT_NUMBER:
        return set_number(row, field, value, err);
    case MR_OPT_TEXT:
        return set_text(row, field, value, err);
    case MR_OPT_CHOICE:
        return set_choice(row, field, value, err);
    case MR_OPT_LIST:
        return add_item(row, field, value, err);
    }
    return mr_fail(err, MR_E_INTERNAL, "option %s: its row has no type", row->name);
}

void mr_option_defaults(const mr_option *table, void *config) {
    for (const mr_option *row = table; row->name; row++)
        if (row->def) MR_ASSERT(set_field(row, config, row->def, NULL) == MR_OK);
}

mr_status mr_option_set(const mr_option *table, void *config, const char *name, const char *value,
                        mr_error *err) {
    const mr_option *row = mr_option_find(table, name);
    if (row) return set_field(row, config, value, err);
    const char *near = mr_option_nearest(table, name);
    return near ? mr_fail(err, MR_E_USAGE, "there is no option '%.80s'; did you mean '%s'?", name, near)
                : mr_fail(err, MR_E_USAGE, "there is no option '%.80s'", name);
}

/* ---- values as text ---- */

static void put_number(double v, mr_buf *out) {
    char text[MR_NUMBER_TEXT];
    mr_number_text(v, text);
    mr_buf_text(out, text);
}

static void put_list(const mr_option_list *list, mr_buf *out) {
    for (size_t i = 0; i < list->count; i++) mr_buf_printf(out, "%s%s", i ? "," : "", list->items[i]);
}

static bool is_set(const mr_option *row, const void *field) {
    if (row->type == MR_OPT_TEXT) return *(const char *)field != 0;
    return row->type != MR_OPT_LIST || ((const mr_option_list *)field)->count > 0;
}

void mr_option_get(const mr_option *row, const void *config, mr_buf *out) {
    const void *field = (const char *)config + row->offset;
    if (row->secret) {
        mr_buf_text(out, is_set(row, field) ? "(set)" : "");
        return;
    }
    switch (row->type) {
    case MR_OPT_BOOL:
        mr_buf_text(out, *(const bool *)field ? "true" : "false");
        break;
    case MR_OPT_INT:
        mr_buf_printf(out, "%lld", (long long)*(const int64_t *)field);
        break;
    case MR_OPT_NUMBER:
        put_number(*(const double *)field, out);
        break;
    case MR_OPT_TEXT:
        mr_buf_text(out, field);
        break;
    case MR_OPT_CHOICE:
        mr_buf_text(out, row->choices[*(const int64_t *)field]);
        break;
    case MR_OPT_LIST:
        put_list(field, out);
        break;
    }
}
