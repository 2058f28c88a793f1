#include "worker/core/out.h"

#include "common/text.h"
#include "common/pack.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void mr_out_init(mr_out *out, const mr_component *component, const mr_mem *mem, bool wants_partial) {
    *out = (mr_out){.component = component, .mem = mem, .wants_partial = wants_partial};
    mr_buf_init(&out->bytes, mem, wants_partial ? MR_PARTIAL_MAX : MR_RESULT_MAX);
    mr_buf_init(&out->words, mem, MR_RESULT_MAX / 4);
    if (wants_partial) return;
    out->levels[0] = (mr_out_level){.header = mr_pack_open_map(&out->bytes), .is_map = true};
    out->depth = 1;
}

void mr_out_free(mr_out *out) {
    mr_buf_free(&out->bytes);
    mr_buf_free(&out->words);
    mr_free(out->mem, out->findings, out->finding_cap, sizeof *out->findings);
    for (size_t i = 0; i < out->artifact_count; i++) mr_buf_free(&out->artifacts[i].bytes);
    *out = (mr_out){0};
}

static bool failed(const mr_out *out) { return out->err.status != MR_OK; }

static void MR_PRINTF(2, 3) broken(mr_out *out, const char *fmt, ...) {
    if (failed(out)) return;
    char what[300];
    va_list args;
    va_start(args, fmt);
    vsnprintf(what, sizeof what, fmt, args);
    va_end(args);
    mr_fail_text(&out->err, MR_E_INTERNAL, "%s breaks its declaration: %s", out->component->name, what);
}

/* ---- fields ---- */

static bool type_fits(mr_field_type declared, mr_field_type written) {
    return declared == written || (declared == MR_FIELD_LIST && written == MR_FIELD_NUMBERS);
}

/* Moves to the declared field of that name; the ones that are passed over become nil. */
static bool declared(mr_out *out, const char *field, const mr_field_type *type) {
    const mr_field *outputs = out->component->outputs;
    size_t i = out->next;
    while (outputs && outputs[i].name && strcmp(outputs[i].name, field) != 0) i++;
    if (!outputs || !outputs[i].name) {
        broken(out, "the field '%.64s' is not among its outputs, or is written twice or out of order", field);
        return false;
    }
    if (type && !type_fits(outputs[i].type, *type)) {
        broken(out, "the field '%.64s' is written with another type than declared", field);
        return false;
    }
    for (; out->next < i; out->next++) {
        mr_pack_text(&out->bytes, outputs[out->next].name);
        mr_pack_nil(&out->bytes);
        out->levels[0].count++;
    }
    out->next = i + 1;
    return true;
}

/* Writes the key, if there has to be one, and counts the value that follows. */
static bool begin(mr_out *out, const char *field, const mr_field_type *type) {
    if (failed(out)) return false;
    if (out->wants_partial) broken(out, "a field is written in a call that gives a partial");
    if (failed(out)) return false;
    mr_out_level *level = &out->levels[out->depth - 1];
    if (level->is_map != (field != NULL)) {
        broken(out, level->is_map ? "a value in a map has no name" : "a value in a list has a name");
        return false;
    }
    if (out->depth == 1 && !declared(out, field, type)) return false;
    if (field) mr_pack_text(&out->bytes, field);
    level->count++;
    return true;
}

static bool begin_as(mr_out *out, const char *field, mr_field_type type) { return begin(out, field, &type); }

static void put_number(mr_out *out, double v) {
    if (isfinite(v))
        mr_pack_f64(&out->bytes, v);
    else
        mr_pack_nil(&out->bytes);
}

void mr_out_number(mr_out *out, const char *field, double v) {
    if (begin_as(out, field, MR_FIELD_NUMBER)) put_number(out, v);
}

void mr_out_integer(mr_out *out, const char *field, int64_t v) {
    if (begin_as(out, field, MR_FIELD_INTEGER)) mr_pack_i64(&out->bytes, v);
}

void mr_out_bool(mr_out *out, const char *field, bool v) {
    if (begin_as(out, field, MR_FIELD_BOOL)) mr_pack_bool(&out->bytes, v);
}

void mr_out_span(mr_out *out, const char *field, mr_span v) {
    if (begin_as(out, field, MR_FIELD_TEXT)) mr_pack_str(&out->bytes, v);
}

/* A sentence that shortens a name by bytes may cut a character in two: what is left of it goes. Returns the new length. */
static size_t drop_broken(char *text, size_t len) {
    size_t kept = mr_utf8_broken_at((mr_span){(const uint8_t *)text, len});
    for (size_t at = kept; at < len;) {
        size_t n = mr_utf8_char((const uint8_t *)text + at, len - at);
        memmove(text + kept, text + at, n);
        kept += n;
        at += n ? n : 1;
    }
    return kept;
}

void mr_out_text(mr_out *out, const char *field, const char *fmt, ...) {
    mr_buf text;
    char formatted[1024];
    va_list args, again;
    va_start(args, fmt);
    va_copy(again, args);
    mr_buf_init(&text, out->mem, MR_RESULT_MAX);
    int n = vsnprintf(formatted, sizeof formatted, fmt, args);
    char *at = formatted;
    if (n >= (int)sizeof formatted && (at = (char *)mr_buf_extend(&text, (size_t)n + 1)))
        vsnprintf(at, (size_t)n + 1, fmt, again);
    va_end(again);
    va_end(args);
    if (at)
        mr_out_span(out, field, (mr_span){(const uint8_t *)at, n > 0 ? drop_broken(at, (size_t)n) : 0});
    else if (!failed(out))
        mr_fail_text(&out->err, mr_buf_status(&text), "%s: no memory for a text", out->component->name);
    mr_buf_free(&text);
}

void mr_out_nil(mr_out *out, const char *field) {
    if (begin(out, field, NULL)) mr_pack_nil(&out->bytes);
}

void mr_out_numbers(mr_out *out, const char *field, const double *v, size_t n) {
    if (!begin_as(out, field, MR_FIELD_NUMBERS)) return;
    mr_pack_array(&out->bytes, (uint32_t)n);
    for (size_t i = 0; i < n; i++) put_number(out, v[i]);
}

void mr_out_integers(mr_out *out, const char *field, const int64_t *v, size_t n) {
    if (!begin_as(out, field, MR_FIELD_LIST)) return;
    mr_pack_array(&out->bytes, (uint32_t)n);
    for (size_t i = 0; i < n; i++) mr_pack_i64(&out->bytes, v[i]);
}

void mr_out_matrix(mr_out *out, const char *field, const double *v, size_t rows, size_t cols) {
    mr_buf block;
    mr_buf_init(&block, out->mem, MR_RESULT_MAX);
    if (!begin_as(out, field, MR_FIELD_MATRIX)) return;
    size_t bytes = rows * cols * sizeof *v;
    double *copy = (double *)(void *)mr_buf_extend(&block, bytes ? bytes : 1);
    if (!copy) {
        mr_fail_text(&out->err, mr_buf_status(&block), "%s: no room for a matrix", out->component->name);
        return;
    }
    for (size_t i = 0; i < rows * cols; i++)
        copy[i] = isnan(v[i]) ? (double)NAN : v[i]; /* one NaN on all machines */
    mr_pack_map(&out->bytes, 3);
    mr_pack_text(&out->bytes, "rows");
    mr_pack_u64(&out->bytes, rows);
    mr_pack_text(&out->bytes, "cols");
    mr_pack_u64(&out->bytes, cols);
    mr_pack_text(&out->bytes, "data");
    mr_pack_bin(&out->bytes, (mr_span){block.data, bytes});
    mr_buf_free(&block);
}

static void open_level(mr_out *out, const char *field, bool is_map) {
    if (!begin_as(out, field, is_map ? MR_FIELD_MAP : MR_FIELD_LIST)) return;
    if (out->depth == MR_OUT_DEPTH) {
        broken(out, "it nests deeper than %d", MR_OUT_DEPTH);
        return;
    }
    size_t header = is_map ? mr_pack_open_map(&out->bytes) : mr_pack_open_array(&out->bytes);
    out->levels[out->depth++] = (mr_out_level){.header = header, .is_map = is_map};
}

void mr_out_open_list(mr_out *out, const char *field) { open_level(out, field, false); }
void mr_out_open_map(mr_out *out, const char *field) { open_level(out, field, true); }

void mr_out_close(mr_out *out) {
    if (failed(out)) return;
    if (out->depth < 2) {
        broken(out, "it closes more lists and maps than it opened");
        return;
    }
    const mr_out_level *level = &out->levels[--out->depth];
    mr_pack_patch(&out->bytes, level->header, level->count);
}

/* ---- findings, partials, artifacts ---- */

static bool room_for_finding(mr_out *out) {
    if (failed(out)) return false;
    if (out->finding_count == MR_FINDINGS_MAX) {
        mr_fail_text(&out->err, MR_E_LIMIT, "%s has more than %d findings", out->component->name,
                     MR_FINDINGS_MAX);
        return false;
    }
    if (out->finding_count < out->finding_cap) return true;
    size_t cap = out->finding_cap ? 2 * out->finding_cap : 16;
    mr_out_finding_row *fresh = mr_grow(out->mem, out->findings, out->finding_cap, cap, sizeof *fresh);
    if (!fresh) {
        mr_fail_text(&out->err, MR_E_MEMORY, "%s: no memory for a finding", out->component->name);
        return false;
    }
    out->findings = fresh;
    out->finding_cap = cap;
    return true;
}

static void add_finding(mr_out *out, double weight, bool tally, const char *fmt, va_list args) {
    char text[1024];
    if (!room_for_finding(out)) return;
    vsnprintf(text, sizeof text, fmt, args);
    size_t at = out->words.len, len = drop_broken(text, strlen(text));
    mr_buf_put(&out->words, text, len);
    if (mr_buf_status(&out->words) != MR_OK) {
        mr_fail_text(&out->err, mr_buf_status(&out->words), "%s: no room for a finding",
                     out->component->name);
        return;
    }
    out->findings[out->finding_count++] =
        (mr_out_finding_row){.weight = isfinite(weight) ? weight : 0, .at = at, .len = len, .tally = tally};
}

void mr_out_finding(mr_out *out, double weight, const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    add_finding(out, weight, false, fmt, args);
    va_end(args);
}

void mr_out_tally(mr_out *out, double weight, const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    add_finding(out, weight, true, fmt, args);
    va_end(args);
}

void mr_out_partial(mr_out *out, const void *bytes, size_t n) {
    mr_buf *partial = mr_out_partial_buf(out);
    mr_buf_put(partial, bytes, n);
}

mr_buf *mr_out_partial_buf(mr_out *out) {
    if (!out->wants_partial) broken(out, "a partial is given where a result is wanted");
    out->has_partial = true;
    return &out->bytes;
}

static bool may_leave(mr_out *out, const char *name, const char *media_type, mr_span bytes) {
    if (failed(out)) return false;
    if (out->wants_partial) broken(out, "an artifact is left by a call that gives a partial");
    if (!*name || strlen(name) > MR_ARTIFACT_NAME || strlen(media_type) > MR_ARTIFACT_NAME)
        broken(out, "an artifact's name and media type have 1 to %d bytes", MR_ARTIFACT_NAME);
    for (size_t i = 0; i < out->artifact_count; i++)
        if (!strcmp(out->artifacts[i].name, name)) broken(out, "two artifacts are named '%.64s'", name);
    if (out->artifact_count == MR_ARTIFACT_COUNT)
        broken(out, "it leaves more than %d artifacts", MR_ARTIFACT_COUNT);
    if (!failed(out) && bytes.len > MR_ARTIFACTS_MAX - out->artifact_bytes)
        mr_fail_text(&out->err, MR_E_LIMIT, "%s: its artifacts are larger than %d MiB together",
                     out->component->name, MR_ARTIFACTS_MAX >> 20);
    return !failed(out);
}

void mr_out_artifact(mr_out *out, const char *name, const char *media_type, mr_span bytes) {
    if (!may_leave(out, name, media_type, bytes)) return;
    mr_given_artifact *a = &out->artifacts[out->artifact_count];
    snprintf(a->name, sizeof a->name, "%s", name);
    snprintf(a->media_type, sizeof a->media_type, "%s", media_type);
    mr_buf_init(&a->bytes, out->mem, MR_ARTIFACTS_MAX);
    mr_buf_put(&a->bytes, bytes.data, bytes.len);
    if (mr_buf_status(&a->bytes) != MR_OK) {
        mr_fail_text(&out->err, MR_E_MEMORY, "%s: no memory for the artifact '%s'", out->component->name,
                     name);
        return;
    }
    out->artifact_count++;
    out->artifact_bytes += bytes.len;
}

/* ---- the end ---- */

/* By weight, the heaviest first; equal ones stay in the order they were written. */
static void sort_findings(mr_out_finding_row *f, size_t n) {
    for (size_t i = 1; i < n; i++) {
        mr_out_finding_row row = f[i];
        size_t at = i;
        for (; at > 0 && f[at - 1].weight < row.weight; at--) f[at] = f[at - 1];
        f[at] = row;
    }
}

static void put_findings(mr_out *out) {
    sort_findings(out->findings, out->finding_count);
    mr_pack_text(&out->bytes, "findings");
    mr_pack_array(&out->bytes, (uint32_t)out->finding_count);
    for (size_t i = 0; i < out->finding_count; i++) {
        const mr_out_finding_row *f = &out->findings[i];
        mr_pack_map(&out->bytes, f->tally ? 3 : 2);
        mr_pack_text(&out->bytes, "weight");
        mr_pack_f64(&out->bytes, f->weight);
        mr_pack_text(&out->bytes, "text");
        mr_pack_str(&out->bytes, (mr_span){out->words.data + f->at, f->len});
        if (!f->tally) continue;
        mr_pack_text(&out->bytes, "tally");
        mr_pack_bool(&out->bytes, true);
    }
}

static void finish_result(mr_out *out) {
    const mr_field *outputs = out->component->outputs;
    if (out->depth != 1) broken(out, "%u lists or maps are left open", out->depth - 1);
    if (failed(out)) return;
    for (; outputs && outputs[out->next].name; out->next++) {
        mr_pack_text(&out->bytes, outputs[out->next].name);
        mr_pack_nil(&out->bytes);
        out->levels[0].count++;
    }
    put_findings(out);
    mr_pack_patch(&out->bytes, out->levels[0].header, out->levels[0].count + 1);
}

mr_status mr_out_finish(mr_out *out, mr_error *err) {
    if (!out->wants_partial)
        finish_result(out);
    else if (!out->has_partial)
        broken(out, "no partial is given");
    else if (out->finding_count)
        broken(out, "a finding is made in a call that gives a partial");
    if (failed(out)) {
        if (err) *err = out->err;
        return out->err.status;
    }
    mr_status status = mr_buf_status(&out->bytes);
    if (status == MR_OK) status = mr_buf_status(&out->words);
    if (status == MR_OK) return MR_OK;
    if (status == MR_E_LIMIT)
        return mr_fail(err, status, "%s: its %s is larger than %zu MiB", out->component->name,
                       out->wants_partial ? "partial" : "result", out->bytes.max >> 20);
    return mr_fail(err, status, "%s: no memory for its result", out->component->name);
}
