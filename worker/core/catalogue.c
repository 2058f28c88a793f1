#include "worker/core/catalogue.h"

#include "common/pack.h"
#include "worker/core/registry.h"

#include <stdio.h>
#include <string.h>

static const char *const option_types[] = {"bool", "integer", "number", "text", "choice", "list"};

/* ---- msgpack, which becomes the JSON ---- */

static void put_pair(mr_buf *b, const char *name, const char *value) {
    mr_pack_text(b, name);
    mr_pack_text(b, value);
}

static void put_count(mr_buf *b, const char *name, uint64_t value) {
    mr_pack_text(b, name);
    mr_pack_u64(b, value);
}

static void put_words(mr_buf *b, const char *name, const char *const *words) {
    mr_pack_text(b, name);
    size_t at = mr_pack_open_array(b);
    uint32_t n = 0;
    for (; words && words[n]; n++) mr_pack_text(b, words[n]);
    mr_pack_patch(b, at, n);
}

static void put_dependencies(mr_buf *b, const mr_dependency *d) {
    uint32_t n = 0;
    mr_pack_text(b, "depends_on");
    size_t at = mr_pack_open_array(b);
    for (; d && d[n].component; n++) {
        mr_pack_map(b, 3);
        put_pair(b, "component", d[n].component);
        put_pair(b, "artifact", d[n].artifact ? d[n].artifact : "");
        put_pair(b, "use", mr_use_names[d[n].use]);
    }
    mr_pack_patch(b, at, n);
}

static void put_columns(mr_buf *b, const char *name, uint32_t bits) {
    uint32_t n = 0;
    mr_pack_text(b, name);
    size_t at = mr_pack_open_array(b);
    if (bits & MR_COL_FEATURES) mr_pack_text(b, "features"), n++;
    for (const mr_column_row *c = mr_column_rows; c->name; c++)
        if (bits & c->column) mr_pack_text(b, c->name), n++;
    mr_pack_patch(b, at, n);
}

static bool bounded(const mr_option *o) { return o->min != 0 || o->max != 0; }

static void put_bound(mr_buf *b, const mr_option *o, const char *name, double v) {
    mr_pack_text(b, name);
    if (!bounded(o))
        mr_pack_nil(b);
    else if (o->type == MR_OPT_INT)
        mr_pack_i64(b, (int64_t)v);
    else
        mr_pack_f64(b, v);
}

static void put_options(mr_buf *b, const mr_option *options) {
    uint32_t n = 0;
    mr_pack_text(b, "options");
    size_t at = mr_pack_open_array(b);
    for (const mr_option *o = options; o && o->name; o++, n++) {
        mr_pack_map(b, 8);
        put_pair(b, "name", o->name);
        put_pair(b, "type", option_types[o->type]);
        put_pair(b, "default", o->def);
        put_bound(b, o, "min", o->min);
        put_bound(b, o, "max", o->max);
        put_words(b, "choices", o->choices);
        put_pair(b, "unit", o->unit);
        put_pair(b, "help", o->help);
    }
    mr_pack_patch(b, at, n);
}

static void put_outputs(mr_buf *b, const mr_field *outputs) {
    uint32_t n = 0;
    mr_pack_text(b, "outputs");
    size_t at = mr_pack_open_array(b);
    for (const mr_field *f = outputs; f && f->name; f++, n++) {
        mr_pack_map(b, 5);
        put_pair(b, "name", f->name);
        put_pair(b, "type", mr_field_type_name(f->type));
        put_pair(b, "unit", f->unit);
        put_pair(b, "meaning", f->meaning);
        put_pair(b, "fold", mr_fold_name(f->fold));
    }
    mr_pack_patch(b, at, n);
}

static void put_component(mr_buf *b, const mr_component *c) {
    mr_pack_map(b, 16);
    put_pair(b, "name", c->name);
    put_count(b, "version", c->version);
    put_pair(b, "kind", mr_kind_name(c->kind));
    put_pair(b, "shape", mr_shape_name(c->shape));
    put_count(b, "tier", c->tier);
    put_pair(b, "summary", c->summary);
    put_columns(b, "columns", c->columns);
    put_columns(b, "columns_wanted", c->columns_wanted);
    put_count(b, "batch_rows", c->batch_rows);
    put_words(b, "capabilities", c->capabilities);
    put_dependencies(b, c->depends_on);
    put_options(b, c->options);
    put_outputs(b, c->outputs);
    put_count(b, "deadline_ms", c->deadline_ms);
    put_count(b, "memory_mb", c->memory_mb);
    mr_pack_text(b, "applies");
    mr_pack_bool(b, c->apply != NULL);
}

mr_status mr_catalogue_json(const mr_component *const *table, mr_buf *out, mr_error *err) {
    mr_buf pack;
    uint32_t n = 0;
    mr_buf_init(&pack, out->mem, out->max);
    size_t at = mr_pack_open_array(&pack);
    for (; table[n]; n++) put_component(&pack, table[n]);
    mr_pack_patch(&pack, at, n);
    mr_status status = mr_buf_status(&pack);
    if (status != MR_OK)
        mr_fail_text(err, status, "no memory for the catalogue of components");
    else
        status = mr_json_from_pack(mr_buf_span(&pack), out, err);
    mr_buf_free(&pack);
    return status;
}

/* ---- text ---- */

static void cell_number(mr_text_table *t, unsigned v) {
    char text[16];
    snprintf(text, sizeof text, "%u", v);
    mr_text_table_cell(t, text);
}

void mr_catalogue_table(const mr_component *const *table, mr_buf *out) {
    mr_text_table t;
    mr_text_table_init(&t, out->mem, 6);
    static const char *const head[] = {"COMPONENT", "KIND", "TIER", "SHAPE", "VERSION", "SUMMARY"};
    for (size_t i = 0; i < 6; i++) mr_text_table_cell(&t, head[i]);
    t.right[2] = t.right[4] = true;
    for (; *table; table++) {
        mr_text_table_cell(&t, (*table)->name);
        mr_text_table_cell(&t, mr_kind_name((*table)->kind));
        cell_number(&t, (*table)->tier);
        mr_text_table_cell(&t, mr_shape_name((*table)->shape));
        cell_number(&t, (*table)->version);
        mr_text_table_cell(&t, (*table)->summary);
    }
    mr_text_table_end(&t, 0, out);
}

static void put_roles(mr_buf *out, const char *title, uint32_t bits) {
    if (!bits) return;
    mr_buf_printf(out, "%s:%s", title, bits & MR_COL_FEATURES ? " features" : "");
    for (const mr_column_row *c = mr_column_rows; c->name; c++)
        if (bits & c->column) mr_buf_printf(out, " %s", c->name);
    mr_buf_text(out, "\n");
}

static void put_dependency_lines(mr_buf *out, const mr_dependency *d) {
    for (; d && d->component; d++)
        mr_buf_printf(out, "takes from %s in the same run: %s%s, as %s\n", d->component, d->artifact ? "its artifact " : "its result",
                      d->artifact ? d->artifact : "", mr_use_names[d->use]);
}

/* "integer 1..100", "choice a|b". */
static void type_text(const mr_option *o, char *out, size_t size) {
    size_t n = (size_t)snprintf(out, size, "%s", o->type == MR_OPT_CHOICE ? "" : option_types[o->type]);
    for (size_t i = 0; o->type == MR_OPT_CHOICE && o->choices[i] && n < size; i++)
        n += (size_t)snprintf(out + n, size - n, "%s%s", i ? "|" : "", o->choices[i]);
    if (bounded(o) && n < size) snprintf(out + n, size - n, " %.9g..%.9g", o->min, o->max);
}

static void put_option_table(mr_buf *out, const mr_option *options) {
    mr_text_table t;
    mr_text_table_init(&t, out->mem, 5);
    for (const mr_option *o = options; o && o->name; o++) {
        char type[128];
        type_text(o, type, sizeof type);
        mr_text_table_cell(&t, o->name);
        mr_text_table_cell(&t, type);
        mr_text_table_cell(&t, o->def ? o->def : "");
        mr_text_table_cell(&t, o->unit);
        mr_text_table_cell(&t, o->help);
    }
    mr_text_table_end(&t, 2, out);
}

void mr_catalogue_describe(const mr_component *c, mr_buf *out) {
    mr_buf_printf(out, "%s: %s\n", c->name, c->summary);
    mr_buf_printf(out, "%s, tier %u, %s, version %u; at most %u ms and %u MiB a call\n",
                  mr_kind_name(c->kind), c->tier, mr_shape_name(c->shape), c->version, c->deadline_ms,
                  c->memory_mb);
    put_roles(out, "columns it needs", c->columns);
    put_roles(out, "columns it uses when they are there", c->columns_wanted & ~c->columns);
    put_dependency_lines(out, c->depends_on);
    mr_buf_text(out, c->options && c->options->name ? "options (--set NAME=VALUE):\n" : "no options\n");
    put_option_table(out, c->options);
    mr_text_table t;
    mr_text_table_init(&t, out->mem, 4);
    for (const mr_field *f = c->outputs; f && f->name; f++) {
        mr_text_table_cell(&t, f->name);
        mr_text_table_cell(&t, mr_field_type_name(f->type));
        mr_text_table_cell(&t, f->unit);
        mr_text_table_cell(&t, f->meaning);
    }
    mr_buf_text(out, "outputs:\n");
    mr_text_table_end(&t, 2, out);
}

_Static_assert((int)MR_FOLD_MAX == (int)MR_SHOW_MAX && (int)MR_FOLD_MEAN == (int)MR_SHOW_MEAN,
               "the same order of folds");

mr_show mr_catalogue_show(const mr_component *c, mr_show_field *fields) {
    mr_show show = {.name = c->name, .summary = c->summary, .fields = fields};
    for (const mr_field *f = c->outputs; f && f->name && show.count < MR_SHOW_FIELDS; f++)
        fields[show.count++] = (mr_show_field){f->name, f->unit, f->meaning, (mr_show_fold)f->fold};
    return show;
}
