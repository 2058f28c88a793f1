#include "common/features.h"
#include "common/json.h"
#include "common/option.h"
#include "common/rows_parts.h"

#include <math.h>
#include <string.h>

/* What a role of a prompt batch reads. */
typedef enum field_kind {
    F_NONE,
    F_PROMPT,
    F_ENHANCEMENT,
    F_SESSION,
    F_SOURCE,
    F_LABELS,
    F_SCORE,
    F_SUCCESS,
    F_PRIORITY,
    F_TIME,
    F_FEATURE,
    F_LABEL,
    F_METADATA,
    F_ANY_LABEL
} field_kind;

typedef struct field {
    field_kind kind;
    int feature;      /* F_FEATURE */
    const char *path; /* F_LABEL, F_METADATA */
} field;

static const char *const names[] = {"prompt",  "enhancement", "session",    "source",   "labels",     "score",
                                    "success", "priority",    "created_at", "labels.X", "metadata.X", NULL};
static const field_kind kinds[] = {F_PROMPT, F_ENHANCEMENT, F_SESSION,  F_SOURCE, F_LABELS,
                                   F_SCORE,  F_SUCCESS,     F_PRIORITY, F_TIME};

static mr_status named_field(const mr_binding *b, field *out, mr_error *err) {
    const char *name = b->column;
    *out = (field){.kind = F_NONE};
    if (!name[0]) return MR_OK;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (!strcmp(names[i], name)) out->kind = kinds[i];
    if (!strncmp(name, "labels.", 7)) *out = (field){.kind = F_LABEL, .path = name + 7};
    if (!strncmp(name, "metadata.", 9)) *out = (field){.kind = F_METADATA, .path = name + 9};
    for (int i = 0; out->kind == F_NONE && i < MR_FEATURES; i++)
        if (!strcmp(mr_feature_names[i], name)) *out = (field){.kind = F_FEATURE, .feature = i};
    if (out->kind != F_NONE) return MR_OK;
    const char *near = mr_nearest_word(names, name);
    if (!near) near = mr_nearest_word(mr_feature_names, name);
    return mr_fail(err, MR_E_INVALID, "role '%s': a prompt has no '%s'%s%s%s", b->role->name, name,
                   near ? ", did you mean '" : "", near ? near : "",
                   near ? "'?" : "; name a field, labels.X, metadata.X or a feature");
}

static field default_field(const mr_column_row *role) {
    static const struct {
        uint32_t column;
        field_kind kind;
    } defaults[] = {{MR_COL_PROMPT, F_PROMPT},   {MR_COL_ENHANCEMENT, F_ENHANCEMENT},
                    {MR_COL_SESSION, F_SESSION}, {MR_COL_LABEL, F_ANY_LABEL},
                    {MR_COL_LABELS, F_LABELS},   {MR_COL_SCORE, F_SCORE},
                    {MR_COL_SUCCESS, F_SUCCESS}, {MR_COL_TIME, F_TIME}};
    for (size_t i = 0; i < sizeof defaults / sizeof *defaults; i++)
        if (defaults[i].column == role->column) return (field){.kind = defaults[i].kind};
    return (field){.kind = F_NONE};
}

static mr_status field_of(const mr_column_row *role, const mr_bindings *b, field *out, mr_error *err) {
    for (size_t i = 0; b && i < b->count; i++)
        if (b->items[i].role == role) return named_field(&b->items[i], out, err);
    *out = default_field(role);
    return MR_OK;
}

/* ---- values ---- */

typedef struct row {
    const mr_prompt *p;
    const float *features; /* of this row, or NULL */
    mr_arena *arena;
} row;

/* A member of the row's labels or metadata as a cell of the type it has. */
static mr_status take_member(const row *r, const field *f, mr_cell *cell, mr_cell_type *type, mr_error *err) {
    mr_span object = f->kind == F_METADATA ? r->p->metadata : r->p->labels;
    mr_json *v = NULL;
    *cell = (mr_cell){.missing = true};
    *type = MR_CELL_TEXT;
    if (object.len == 0) return MR_OK;
    MR_TRY(mr_json_parse(object, object.len, MR_JSON_DEPTH, &v, err));
    const mr_json *m = f->path ? mr_json_path(v, f->path) : mr_json_member(v, "label");
    const char *name;
    void *at = NULL;
    if (!f->path && !m && mr_json_count(v) == 1) (void)mr_json_next(v, &at, &name, &m);
    cell->missing = mr_json_kind(m) == MR_JSON_NULL;
    mr_status status = MR_OK;
    if (mr_json_boolean(m, &cell->as.boolean))
        *type = MR_CELL_BOOLEAN;
    else if (mr_json_integer(m, &cell->as.integer))
        *type = MR_CELL_INTEGER;
    else if (mr_json_number(m, &cell->as.number))
        *type = MR_CELL_NUMBER;
    else if (mr_json_text(m, &cell->as.text)) {
        char *copy = mr_arena_copy(r->arena, cell->as.text.data, cell->as.text.len);
        cell->as.text.data = (uint8_t *)copy;
        if (!copy) status = mr_fail(err, MR_E_MEMORY, "out of memory for a batch");
    } else {
        cell->missing = true; /* a list or an object is no label */
    }
    mr_json_free(&v);
    return status;
}

static mr_cell number_cell(double v) {
    mr_cell cell = {.missing = isnan(v)};
    cell.as.number = v;
    return cell;
}

static mr_cell text_cell(mr_span s) {
    mr_cell cell = {.missing = false};
    cell.as.text = s;
    return cell;
}

static mr_status value_of(const row *r, const field *f, mr_cell *cell, mr_cell_type *type, mr_error *err) {
    const mr_prompt *p = r->p;
    *type = MR_CELL_TEXT;
    switch (f->kind) {
    case F_PROMPT:
        *cell = text_cell(p->prompt);
        return MR_OK;
    case F_ENHANCEMENT:
        *cell = text_cell(p->enhancement);
        return MR_OK;
    case F_SESSION:
        *cell = text_cell(p->session);
        return MR_OK;
    case F_SOURCE:
        *cell = text_cell(mr_span_of(mr_prompt_sources[p->source]));
        return MR_OK;
    case F_LABELS:
        *cell = text_cell(p->labels);
        return MR_OK;
    case F_LABEL:
    case F_METADATA:
    case F_ANY_LABEL:
        return take_member(r, f, cell, type, err);
    default:
        break;
    }
    *type = MR_CELL_NUMBER;
    double v = NAN;
    if (f->kind == F_SCORE) v = p->score;
    if (f->kind == F_SUCCESS && p->success >= 0) v = p->success;
    if (f->kind == F_PRIORITY) v = p->priority;
    if (f->kind == F_FEATURE && r->features) v = (double)r->features[f->feature];
    if (f->kind == F_TIME && p->created_at_us != INT64_MIN) v = (double)p->created_at_us / 1e6;
    *cell = number_cell(v);
    return MR_OK;
}

/* ---- the batch ---- */

static mr_status fill_role(const mr_prompt *prompts, const float *features, const mr_column_row *role,
                           const field *f, mr_arena *arena, mr_batch *out, mr_error *err) {
    mr_span *text = role->is_text ? mr_arena_alloc(arena, out->rows, sizeof *text) : NULL;
    double *number = role->is_text ? NULL : mr_arena_alloc(arena, out->rows, sizeof *number);
    if (out->rows && !text && !number) return mr_fail(err, MR_E_MEMORY, "out of memory for a batch");
    for (uint32_t i = 0; i < out->rows; i++) {
        row r = {&prompts[i], features ? features + (size_t)i * MR_FEATURES : NULL, arena};
        mr_cell cell;
        mr_cell_type type;
        MR_TRY(value_of(&r, f, &cell, &type, err));
        if (text)
            MR_TRY(mr_cell_text(&cell, type, arena, &text[i], err));
        else
            number[i] = mr_cell_number(&cell, type);
    }
    if (text)
        out->text[role->slot] = text;
    else
        out->number[role->slot] = number;
    out->columns |= role->column;
    return MR_OK;
}

static mr_status fill_features(const float *features, mr_arena *arena, mr_batch *out, mr_error *err) {
    double *values = mr_arena_alloc(arena, (size_t)out->rows * MR_FEATURES + 1, sizeof *values);
    if (!values) return mr_fail(err, MR_E_MEMORY, "out of memory for a batch");
    for (size_t i = 0; i < (size_t)out->rows * MR_FEATURES; i++) values[i] = (double)features[i];
    out->width = MR_FEATURES;
    out->features = values;
    out->feature_names = mr_feature_names;
    out->columns |= MR_COL_FEATURES;
    return MR_OK;
}

mr_status mr_prompt_batch(const mr_prompt *prompts, const float *features, uint32_t rows, uint64_t first,
                          const mr_bindings *b, uint32_t columns, mr_arena *arena, mr_batch *out,
                          mr_error *err) {
    *out = (mr_batch){.first = first, .rows = rows};
    for (const mr_column_row *role = mr_column_rows; role->name; role++) {
        field f;
        MR_TRY(field_of(role, b, &f, err));
        if (f.kind != F_NONE && (columns & role->column))
            MR_TRY(fill_role(prompts, features, role, &f, arena, out, err));
    }
    return columns & MR_COL_FEATURES && features ? fill_features(features, arena, out, err) : MR_OK;
}
