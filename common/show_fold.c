/* The results of a component's batches as one summary. */
#include "common/show.h"
#include "common/show_parts.h"

#include <ctype.h>
#include <string.h>

mr_status mr_folding_init(mr_folding *f, const mr_show *show, mr_arena *arena) {
    *f = (mr_folding){.show = show, .arena = arena};
    f->cells = mr_arena_alloc(arena, show->count + 1, sizeof *f->cells);
    return f->cells ? MR_OK : MR_E_MEMORY;
}

static void fold_number(mr_fold_cell *cell, mr_show_fold fold, double v, double rows) {
    if (fold == MR_SHOW_SUM) cell->value += v;
    if (fold == MR_SHOW_MEAN) cell->value += v * rows;
    if (fold == MR_SHOW_MIN && (cell->count == 0 || v < cell->value)) cell->value = v;
    if (fold == MR_SHOW_MAX && (cell->count == 0 || v > cell->value)) cell->value = v;
    cell->weight += rows;
    cell->count++;
}

static mr_status keep_finding(mr_folding *f, double weight, mr_span text) {
    size_t at = f->top_count;
    while (at > 0 && f->top[at - 1].weight < weight) at--;
    f->findings++;
    if (at == MR_SHOW_FINDINGS) return MR_OK;
    const char *copy = mr_arena_copy(f->arena, text.data, text.len);
    if (!copy) return MR_E_MEMORY;
    if (f->top_count < MR_SHOW_FINDINGS) f->top_count++;
    for (size_t i = f->top_count - 1; i > at; i--) f->top[i] = f->top[i - 1];
    f->top[at] = (mr_fold_finding){weight, copy};
    return MR_OK;
}

/* Both texts at once, up to where they differ in more than the digits of their numbers; those of `b` go to `numbers`. */
static bool same_but_numbers(const char *a, mr_span b, uint64_t *numbers) {
    size_t i = 0, n = 0;
    memset(numbers, 0, MR_TALLY_NUMBERS * sizeof *numbers);
    while (*a && i < b.len) {
        if (!isdigit((unsigned char)*a) || !isdigit(b.data[i])) {
            if (*a++ != (char)b.data[i++]) return false;
            continue;
        }
        if (n == MR_TALLY_NUMBERS) return false;
        while (isdigit((unsigned char)*a)) a++;
        for (; i < b.len && isdigit(b.data[i]); i++) numbers[n] = numbers[n] * 10 + (uint64_t)(b.data[i] - '0');
        n++;
    }
    return !*a && i == b.len;
}

static mr_status add_tally(mr_folding *f, mr_span text) {
    uint64_t numbers[MR_TALLY_NUMBERS];
    size_t at = 0;
    while (at < f->tally_count && !same_but_numbers(f->tallies[at].text, text, numbers)) at++;
    if (at == MR_SHOW_TALLIES) return MR_OK;
    mr_fold_tally *tally = &f->tallies[at];
    if (at == f->tally_count) {
        tally->text = mr_arena_copy(f->arena, text.data, text.len);
        if (!tally->text) return MR_E_MEMORY;
        same_but_numbers(tally->text, text, numbers);
        f->tally_count++;
    }
    for (size_t i = 0; i < MR_TALLY_NUMBERS; i++) tally->sums[i] += numbers[i];
    return MR_OK;
}

static void put_tally(const mr_fold_tally *tally, mr_buf *out) {
    size_t n = 0;
    for (const char *a = tally->text; *a;) {
        if (!isdigit((unsigned char)*a)) {
            mr_buf_put(out, a++, 1);
            continue;
        }
        while (isdigit((unsigned char)*a)) a++;
        mr_buf_printf(out, "%llu", (unsigned long long)tally->sums[n++]);
    }
}

size_t mr_folding_findings(const mr_folding *f) { return f->tally_count + f->top_count; }

void mr_folding_finding(const mr_folding *f, size_t i, mr_buf *out) {
    if (i < f->tally_count) put_tally(&f->tallies[i], out);
    else mr_buf_text(out, f->top[i - f->tally_count].text);
}

bool mr_folding_value(const mr_folding *f, uint32_t i, double *out) {
    const mr_fold_cell *cell = &f->cells[i];
    bool mean = f->show->fields[i].fold == MR_SHOW_MEAN && cell->weight > 0;
    *out = mean ? cell->value / cell->weight : cell->value;
    return cell->count > 0;
}

static mr_status fold_findings(mr_folding *f, const mr_unpack *u, mr_error *err) {
    mr_unpack list;
    uint32_t count;
    if (mr_unpack_find(u, "findings", &list) != MR_OK) return MR_OK;
    MR_TRY(mr_unpack_array(&list, UINT32_MAX, &count, err));
    for (uint32_t i = 0; i < count; i++) {
        double weight;
        mr_span text;
        bool tally;
        MR_TRY(mr_show_read_finding(&list, &weight, &text, &tally, err));
        if ((tally ? add_tally(f, text) : keep_finding(f, weight, text)) != MR_OK)
            return mr_fail(err, MR_E_MEMORY, "no memory for a finding");
    }
    return MR_OK;
}

mr_status mr_folding_add(mr_folding *f, mr_span result, uint64_t rows, mr_error *err) {
    size_t length;
    mr_unpack u, at;
    MR_TRY(mr_pack_scan(result, 32, SIZE_MAX, &length, err));
    mr_unpack_init(&u, result);
    f->results++;
    f->rows += rows;
    for (uint32_t i = 0; i < f->show->count; i++) {
        const mr_show_field *field = &f->show->fields[i];
        double v;
        if (field->fold == MR_SHOW_NONE || mr_unpack_find(&u, field->name, &at) != MR_OK) continue;
        if (mr_unpack_f64(&at, &v, NULL) == MR_OK) fold_number(&f->cells[i], field->fold, v, (double)rows);
    }
    return fold_findings(f, &u, err);
}

static void put_folded(const mr_folding *f, uint32_t i, mr_text_table *t) {
    const mr_show_field *field = &f->show->fields[i];
    static const char *const how[] = {"", "sum", "mean", "least", "most"};
    char value[48] = "-";
    double v;
    if (mr_folding_value(f, i, &v)) mr_text_number(v, value);
    mr_text_table_cell(t, field->name);
    mr_text_table_cell(t, how[field->fold]);
    mr_text_table_cell(t, value);
    mr_text_table_cell(t, field->unit);
    mr_text_table_cell(t, field->meaning);
}

void mr_folding_print(const mr_folding *f, mr_buf *out) {
    mr_buf_text(out, f->findings || f->tally_count ? "  findings\n" : "  no findings\n");
    for (size_t i = 0; i < mr_folding_findings(f); i++) {
        mr_buf_text(out, "    - ");
        mr_folding_finding(f, i, out);
        mr_buf_text(out, "\n");
    }
    if (f->findings > f->top_count)
        mr_buf_printf(out, "    (%llu more)\n", (unsigned long long)(f->findings - f->top_count));
    mr_buf_printf(out, "  over %llu rows in %llu %s\n", (unsigned long long)f->rows, (unsigned long long)f->results,
                  f->results == 1 ? "batch" : "batches");
    mr_text_table t;
    mr_text_table_init(&t, out->mem, 5);
    t.right[2] = true;
    for (uint32_t i = 0; i < f->show->count; i++)
        if (f->show->fields[i].fold != MR_SHOW_NONE) put_folded(f, i, &t);
    mr_text_table_end(&t, 4, out);
}
