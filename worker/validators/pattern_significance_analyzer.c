/* pattern_significance_analyzer: which patterns go with success? Itemsets of the rows' items and label,
 * feature columns, and the label as a whole, each tested against success, all corrected together. Batches
 * give exact counts and sums and their packed rows, so no cut into batches can change the result. Given the list that
 * pattern_discovery leaves, it tests the itemsets of that list and mines none of its own.
 * docs/components/pattern_significance_analyzer.md */
#include "worker/component.h"
#include "worker/kit/columns.h"
#include "worker/kit/contingency.h"
#include "worker/kit/dist.h"
#include "worker/kit/itemviews.h"
#include "worker/kit/patternlines.h"
#include "worker/kit/power.h"
#include "worker/kit/put.h"
#include "worker/kit/traits.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FINDINGS_SHOWN = 20, FEW = 10, WORDS_SHOWN = 200 };
static const char partial_magic[] = "significance-1";
static const char *const test_names[] = {"fisher", "chi_square", "chi_square_yates", "permutation", NULL};
static const char *const correction_names[] = {"bonferroni", "holm", "bh", "by", NULL};

typedef struct config {
    int64_t test, correction, min_count, max_length, max_patterns, top;
    double alpha, level, min_support;
} config;

static mr_status refuse(mr_ctx *ctx, const mr_error *err) {
    return mr_refuse(ctx, err->status, "%s", err->text);
}

static mr_status tick(void *ctx) { return mr_tick(ctx); }

/* ---- process ---- */

/* A label is an item that no word can be: it starts with a blank. */
static mr_status add_label(mr_ctx *ctx, mr_itemrows *rows, mr_span label, mr_error *err) {
    if (!label.len) return MR_OK;
    uint8_t *text = mr_ctx_alloc(ctx, label.len + 1, 1);
    if (!text) return mr_fail(err, MR_E_MEMORY, "no memory for a label");
    text[0] = ' ';
    memcpy(text + 1, label.data, label.len);
    return mr_itemrows_item(rows, (mr_span){text, label.len + 1}, err);
}

static mr_status add_row(mr_ctx *ctx, const mr_batch *b, uint32_t i, bool success, mr_itemrows *rows,
                         mr_error *err) {
    if (b->columns & MR_COL_ITEM) MR_TRY(mr_itemrows_words(rows, b->text[MR_TEXT_ITEM][i], err));
    if (b->columns & MR_COL_LABEL) MR_TRY(add_label(ctx, rows, b->text[MR_TEXT_LABEL][i], err));
    MR_TRY(mr_itemrows_plain(rows, success, err));
    return mr_itemrows_end(rows, (mr_span){NULL, 0}, 0, err);
}

/* Counts a row's outcome; *known: it is 0 or 1. */
static mr_status outcome_of(const mr_batch *b, uint32_t i, mr_traits *t, bool *known, mr_error *err) {
    double v = b->number[MR_NUM_SUCCESS][i];
    *known = !isnan(v);
    if (*known && v != 0 && v != 1)
        return mr_fail(err, MR_E_INVALID, "row %llu: success is %g; it must be 0, 1 or absent",
                       (unsigned long long)(b->first + i), v);
    t->rows++;
    if (*known) t->outcomes[v == 1]++;
    return MR_OK;
}

static mr_status add_rows(mr_ctx *ctx, const mr_batch *b, mr_traits *t, mr_itemrows *rows, mr_error *err) {
    bool known, with_items = b->columns & (MR_COL_ITEM | MR_COL_LABEL);
    for (uint32_t i = 0; i < b->rows; i++) {
        MR_TRY(mr_tick(ctx));
        MR_TRY(outcome_of(b, i, t, &known, err));
        if (!known) continue;
        bool success = b->number[MR_NUM_SUCCESS][i] == 1;
        MR_TRY(mr_traits_add(t, b, i, success, err));
        if (with_items) MR_TRY(add_row(ctx, b, i, success, rows, err));
    }
    return MR_OK;
}

static mr_status pack(mr_traits *t, mr_itemrows *rows, mr_buf *out, mr_error *err) {
    MR_TRY(mr_itemrows_sort(rows, err));
    mr_pack_array(out, 3);
    mr_pack_text(out, partial_magic);
    mr_itemrows_pack(rows, out);
    mr_traits_pack(t, out);
    if (mr_buf_status(out) != MR_E_LIMIT) return mr_buf_status(out);
    return mr_fail(
        err, MR_E_LIMIT,
        "the items and labels of %u rows take more than %d MiB packed, which is all that exact counting can "
        "hold; use fewer rows, or bind item or label to nothing (item=)",
        rows->rows, MR_PARTIAL_MAX >> 20);
}

static mr_status process(mr_ctx *ctx, const void *options, const mr_batch *b, mr_out *out) {
    (void)options;
    mr_error err = {0};
    mr_traits t;
    mr_itemrows rows;
    mr_itemrows_init(&rows, mr_ctx_arena(ctx), MR_ITEMROWS_PLAIN);
    mr_status status = mr_traits_init(&t, mr_ctx_arena(ctx), (mr_names){b->width, b->feature_names}, &err);
    if (status == MR_OK) status = add_rows(ctx, b, &t, &rows, &err);
    if (status == MR_OK) status = pack(&t, &rows, mr_out_partial_buf(out), &err);
    return err.status == MR_OK ? status : refuse(ctx, &err);
}

/* ---- what is tested ---- */

enum kind { ITEMSET, FEATURE, NUMBER, LABEL };
static const char *const kind_names[] = {"itemset", "feature", "number", "label"};

typedef struct tested {
    enum kind kind;
    uint32_t number; /* of the pattern or column */
    mr_fourfold table;
    mr_summary group[2]; /* NUMBER: failures, successes */
    mr_test test;
    uint64_t n;
    double least_expected, v; /* LABEL */
    double adjusted[MR_ADJUSTMENTS];
} tested;

typedef struct analysis {
    const config *c;
    mr_ctx *ctx;
    mr_traits traits;
    mr_itemrows rows;
    mr_patterns patterns;
    bool cut;
    const mr_given *list; /* of patterns, by another step; NULL: the frequent itemsets are mined here */
    uint64_t passed;      /* patterns of the list that cannot be tested */
    char source[48];      /* " of run 7", when it was another run */
    tested *tests;
    size_t count, significant, constant, rough; /* rough: chi-square with an expected count under 5 */
    mr_mem mem;
    mr_buf words;
    mr_error *err;
} analysis;

static mr_status no_memory(analysis *a) {
    return mr_fail(a->err, MR_E_MEMORY, "no memory for the tests; raise min_support (or min_count)");
}

/* Keeps the test, unless there is nothing to test. */
static void keep(analysis *a, const tested *t) {
    bool chi = a->c->test == MR_CHI_SQUARE_PLAIN || a->c->test == MR_CHI_SQUARE_YATES;
    if (isnan(t->test.p)) {
        a->constant++;
        return;
    }
    if (t->kind == LABEL)
        a->rough += t->least_expected < 5;
    else if (t->kind != NUMBER && chi)
        a->rough += mr_fourfold_effects(&t->table, a->c->level).least_expected < 5;
    a->tests[a->count++] = *t;
}

static void test_table(analysis *a, enum kind kind, uint32_t number, mr_fourfold table) {
    tested t = {.kind = kind, .number = number, .table = table, .n = table.with + table.without};
    t.test = mr_fourfold_test(&table, (mr_fourfold_kind)a->c->test);
    keep(a, &t);
}

static void test_column(analysis *a, uint32_t column) {
    mr_fourfold table;
    if (mr_trait_is_binary(&a->traits, column, &table)) {
        test_table(a, FEATURE, column, table);
        return;
    }
    tested t = {.kind = NUMBER, .number = column};
    mr_trait_summaries(&a->traits, column, t.group);
    t.n = t.group[0].n + t.group[1].n;
    t.test = mr_welch(&t.group[0], &t.group[1]);
    keep(a, &t);
}

static mr_status test_itemsets(analysis *a) {
    const mr_patterns *p = &a->patterns;
    uint64_t good = a->traits.outcomes[1], n = a->traits.outcomes[0] + good;
    for (uint32_t i = 0; i < p->count; i++) {
        MR_TRY(mr_tick(a->ctx));
        test_table(a, ITEMSET, i,
                   (mr_fourfold){p->support[i], p->hits[i], n - p->support[i], good - p->hits[i]});
    }
    return MR_OK;
}

/* The label as a whole: as many rows of the table as it has values, rare ones too. */
static mr_status test_label(analysis *a) {
    const mr_itemrows *r = &a->rows;
    uint64_t *total = mr_ctx_alloc(a->ctx, r->items.count + (size_t)1, sizeof *total);
    uint64_t *success = mr_ctx_alloc(a->ctx, r->items.count + (size_t)1, sizeof *success);
    size_t labels = 0;
    if (!total || !success) return no_memory(a);
    while (labels < r->items.count && r->items.text[labels].data[0] == ' ') labels++; /* they sort first */
    for (uint32_t i = 0, k = 0; i < r->rows; i++)
        for (; k < r->item_end[i]; k++) {
            total[r->item[k]]++;
            success[r->item[k]] += r->plain[i];
        }
    if (labels < 2) return MR_OK;
    tested t = {.kind = LABEL};
    for (size_t i = 0; i < labels; i++) t.n += total[i];
    t.test = mr_chi_square_rows(total, success, labels, &t.least_expected, &t.v);
    keep(a, &t);
    return MR_OK;
}

/* The rows as sets, the successful ones marked. */
static mr_status make_sets(analysis *a, mr_itemsets *sets) {
    uint8_t *marked = mr_ctx_alloc(a->ctx, a->rows.rows + (size_t)1, 1);
    if (!marked) return no_memory(a);
    for (uint32_t i = 0; i < a->rows.rows; i++) marked[i] = a->rows.plain[i] != 0;
    MR_TRY(mr_itemsets_of(&a->rows, mr_ctx_arena(a->ctx), sets, a->err));
    sets->marked = marked;
    mr_patterns_init(&a->patterns, mr_ctx_arena(a->ctx), (size_t)a->c->max_patterns);
    return MR_OK;
}

static mr_status mine(analysis *a) {
    mr_itemsets sets;
    uint64_t n = a->traits.outcomes[0] + a->traits.outcomes[1];
    MR_TRY(make_sets(a, &sets));
    uint32_t least = mr_least_count(a->c->min_support, (uint64_t)a->c->min_count, (uint32_t)n);
    return mr_fpgrowth(&sets, least, (uint32_t)a->c->max_length, &(mr_ticker){tick, a->ctx}, &a->patterns,
                       &a->cut, a->err);
}

/* The itemsets of the list, counted in these rows. */
static mr_status read_list(analysis *a) {
    mr_itemsets sets;
    if (!a->rows.rows)
        return mr_fail(a->err, MR_E_INVALID, "there is no item column; bind one (item=COLUMN) to test itemsets in it");
    MR_TRY(make_sets(a, &sets));
    return mr_pattern_lines(a->list->bytes, &a->rows, &sets, &(mr_ticker){tick, a->ctx}, &a->patterns, &a->passed, a->err);
}

static mr_status adjust(analysis *a) {
    double *p = mr_ctx_alloc(a->ctx, a->count + 1, sizeof *p),
           *q = mr_ctx_alloc(a->ctx, a->count + 1, sizeof *q);
    if (!p || !q) return no_memory(a);
    for (size_t i = 0; i < a->count; i++) p[i] = a->tests[i].test.p;
    for (int kind = 0; kind < MR_ADJUSTMENTS; kind++) {
        MR_TRY(mr_adjust((mr_adjustment)kind, p, a->count, mr_ctx_arena(a->ctx), q, a->err));
        for (size_t i = 0; i < a->count; i++) a->tests[i].adjusted[kind] = q[i];
    }
    for (size_t i = 0; i < a->count; i++)
        a->significant += a->tests[i].adjusted[a->c->correction] < a->c->alpha;
    return MR_OK;
}

static int smallest_p_first(const void *x, const void *y) {
    const tested *a = x, *b = y;
    if (a->test.p != b->test.p) return a->test.p < b->test.p ? -1 : 1;
    if (a->kind != b->kind) return a->kind < b->kind ? -1 : 1;
    return (a->number > b->number) - (a->number < b->number);
}

static mr_status test_all(analysis *a) {
    a->tests = mr_ctx_alloc(a->ctx, a->patterns.count + (size_t)a->traits.names.count + 2, sizeof *a->tests);
    if (!a->tests) return no_memory(a);
    MR_TRY(test_itemsets(a));
    for (uint32_t j = 0; j < a->traits.names.count; j++) test_column(a, j);
    if (a->rows.rows) MR_TRY(test_label(a));
    MR_TRY(adjust(a));
    qsort(a->tests, a->count, sizeof *a->tests, smallest_p_first);
    return MR_OK;
}

/* ---- output ---- */

static mr_span name_of(analysis *a, const tested *t) {
    mr_buf_clear(&a->words);
    if (t->kind == LABEL) mr_buf_text(&a->words, "label");
    if (t->kind == FEATURE || t->kind == NUMBER) mr_buf_text(&a->words, a->traits.names.items[t->number]);
    if (t->kind != ITEMSET) return mr_buf_span(&a->words);
    const uint32_t *word = mr_pattern(&a->patterns, t->number);
    for (size_t k = 0; k < mr_pattern_length(&a->patterns, t->number); k++) {
        mr_span item = a->rows.items.text[word[k]];
        if (k) mr_buf_text(&a->words, " ");
        if (item.data[0] == ' ') mr_buf_text(&a->words, "label=");
        mr_buf_put(&a->words, item.data + (item.data[0] == ' '), item.len - (item.data[0] == ' '));
    }
    return mr_buf_span(&a->words);
}

static void put_table(const analysis *a, const mr_fourfold *f, mr_out *out) {
    double rate = (double)f->with_success / (double)f->with, low, high;
    double other = (double)f->without_success / (double)f->without;
    mr_fourfold_effect e = mr_fourfold_effects(f, a->c->level);
    mr_newcombe((double)f->without_success, (double)f->without, (double)f->with_success, (double)f->with,
                a->c->level, &low, &high);
    mr_out_integer(out, "with", (int64_t)f->with);
    mr_out_integer(out, "with_success", (int64_t)f->with_success);
    mr_out_integer(out, "without", (int64_t)f->without);
    mr_out_integer(out, "without_success", (int64_t)f->without_success);
    mr_out_number(out, "rate_with", rate);
    mr_out_number(out, "rate_without", other);
    mr_out_number(out, "difference", rate - other);
    mr_out_numbers(out, "difference_interval", (double[]){low, high}, 2);
    mr_out_number(out, "odds_ratio", e.odds_ratio);
    mr_out_numbers(out, "odds_interval", (double[]){e.odds_low, e.odds_high}, 2);
    mr_out_number(out, "cramers_v", e.cramers_v);
    mr_out_number(out, "cohen_d", e.cohen_d);
    mr_out_number(out, "least_expected", e.least_expected);
}

static void put_numbers(const analysis *a, const tested *t, mr_out *out) {
    mr_effect e = mr_effect_size(&t->group[0], &t->group[1], a->c->level);
    double low, high;
    mr_welch_interval(&t->group[0], &t->group[1], a->c->level, &low, &high);
    mr_out_integer(out, "failures", (int64_t)t->group[0].n);
    mr_out_integer(out, "successes", (int64_t)t->group[1].n);
    mr_out_number(out, "mean_failures", t->group[0].mean);
    mr_out_number(out, "mean_successes", t->group[1].mean);
    mr_out_number(out, "difference", t->group[0].mean - t->group[1].mean);
    mr_out_numbers(out, "difference_interval", (double[]){low, high}, 2);
    mr_out_number(out, "cohen_d", e.d);
    mr_out_numbers(out, "cohen_d_interval", (double[]){e.d_low, e.d_high}, 2);
}

static void put_test(analysis *a, const tested *t, mr_out *out) {
    mr_out_open_map(out, NULL);
    mr_out_text(out, "kind", "%s", kind_names[t->kind]);
    mr_out_span(out, "pattern", name_of(a, t));
    mr_out_text(out, "test", "%s", t->test.name);
    mr_out_integer(out, "n", (int64_t)t->n);
    mr_out_number(out, "p", t->test.p);
    mr_out_bool(out, "significant", t->adjusted[a->c->correction] < a->c->alpha);
    mr_out_number(out, "p_bonferroni", t->adjusted[MR_BONFERRONI]);
    mr_out_number(out, "p_holm", t->adjusted[MR_HOLM]);
    mr_out_number(out, "p_bh", t->adjusted[MR_BENJAMINI_HOCHBERG]);
    mr_out_number(out, "p_by", t->adjusted[MR_BENJAMINI_YEKUTIELI]);
    mr_out_number(out, "statistic", t->test.statistic);
    mr_out_number(out, "df", t->test.df);
    if (t->kind == LABEL) {
        mr_out_number(out, "cramers_v", t->v);
        mr_out_number(out, "least_expected", t->least_expected);
    } else if (t->kind == NUMBER) {
        put_numbers(a, t, out);
    } else {
        put_table(a, &t->table, out);
    }
    mr_out_close(out);
}

static int shown(mr_span s) { return (int)(s.len < WORDS_SHOWN ? s.len : WORDS_SHOWN); }

static void table_finding(const analysis *a, const tested *t, mr_span name, double adjusted, mr_out *out) {
    const mr_fourfold *f = &t->table;
    double rate = (double)f->with_success / (double)f->with, low, high;
    double other = (double)f->without_success / (double)f->without;
    mr_fourfold_effect e = mr_fourfold_effects(f, a->c->level);
    mr_newcombe((double)f->without_success, (double)f->without, (double)f->with_success, (double)f->with,
                a->c->level, &low, &high);
    mr_out_finding(
        out, 0.3 + 0.6 * fabs(rate - other),
        "rows with %.*s succeed %.1f points %s often: %.1f %% of %llu against %.1f %% of %llu (%g %% "
        "Newcombe "
        "interval %+.1f to %+.1f points, odds ratio %.3g); %s p = %.2g, %s-adjusted %.2g, n = %llu",
        shown(name), (const char *)name.data, 100 * fabs(rate - other), rate > other ? "more" : "less",
        100 * rate, (unsigned long long)f->with, 100 * other, (unsigned long long)f->without,
        100 * a->c->level, 100 * low, 100 * high, e.odds_ratio, t->test.name, t->test.p,
        correction_names[a->c->correction], adjusted, (unsigned long long)t->n);
}

static void finding(analysis *a, const tested *t, mr_out *out) {
    mr_span name = name_of(a, t);
    const char *correction = correction_names[a->c->correction];
    double adjusted = t->adjusted[a->c->correction];
    if (t->kind == ITEMSET || t->kind == FEATURE) {
        table_finding(a, t, name, adjusted, out);
    } else if (t->kind == LABEL) {
        mr_out_finding(
            out, 0.3 + 0.6 * t->v,
            "success differs between labels (Cramer's V %.2f); %s with %g degrees of freedom p = %.2g, "
            "%s-adjusted %.2g, n = %llu",
            t->v, t->test.name, t->test.df, t->test.p, correction, adjusted, (unsigned long long)t->n);
    } else {
        double d = mr_effect_size(&t->group[0], &t->group[1], a->c->level).d;
        mr_out_finding(
            out, 0.3 + 0.6 * fabs(d) / (1 + fabs(d)),
            "%.*s is %s for failures (mean %.4g, n = %zu) than for successes (mean %.4g, n = %zu), d = %.2f; "
            "%s p = %.2g, %s-adjusted %.2g",
            shown(name), (const char *)name.data, t->group[0].mean > t->group[1].mean ? "higher" : "lower",
            t->group[0].mean, t->group[0].n, t->group[1].mean, t->group[1].n, d, t->test.name, t->test.p,
            correction, adjusted);
    }
}

static void state_findings(const analysis *a, mr_out *out) {
    uint64_t bad = a->traits.outcomes[0], good = a->traits.outcomes[1];
    mr_out_finding(out, 0.95,
                   "%zu of %zu patterns go with success or failure (%s-adjusted p under %g; %llu rows)",
                   a->significant, a->count, correction_names[a->c->correction], a->c->alpha,
                   (unsigned long long)(bad + good));
    if (bad < FEW || good < FEW)
        mr_out_finding(out, 0.9, "only %llu successes and %llu failures: little can be shown with so few",
                       (unsigned long long)good, (unsigned long long)bad);
    if (a->rough)
        mr_out_finding(out, 0.8,
                       "%zu of the chi-square tests: an expected count under 5, so p is rough; "
                       "test=fisher is exact for two by two tables",
                       a->rough);
    if (a->list)
        mr_out_finding(out, 0.7,
                       "the itemsets are those that %s found (its artifact %s%s): %u were tested in %u rows; %llu of "
                       "its patterns were not: other kinds, or with an item that is in no row",
                       a->list->component, a->list->artifact, a->source, a->patterns.count, a->rows.rows,
                       (unsigned long long)a->passed);
    if (a->cut)
        mr_out_finding(out, 0.2, "longer frequent itemsets than max_length=%lld were not tested",
                       (long long)a->c->max_length);
}

static void put_result(analysis *a, mr_out *out) {
    const mr_traits *t = &a->traits;
    mr_out_integer(out, "rows", (int64_t)t->rows);
    mr_out_integer(out, "successes", (int64_t)t->outcomes[1]);
    mr_out_integer(out, "failures", (int64_t)t->outcomes[0]);
    mr_out_integer(out, "without_outcome", (int64_t)(t->rows - t->outcomes[0] - t->outcomes[1]));
    mr_out_text(out, "correction", "%s", correction_names[a->c->correction]);
    mr_out_integer(out, "tested", (int64_t)a->count);
    mr_out_integer(out, "constant", (int64_t)a->constant);
    mr_out_integer(out, "significant", (int64_t)a->significant);
    mr_out_integer(out, "rough", (int64_t)a->rough);
    mr_out_open_list(out, "tests");
    for (size_t i = 0; i < a->count && i < (size_t)a->c->top; i++) put_test(a, &a->tests[i], out);
    mr_out_close(out);
    if (a->list) mr_put_given(out, "patterns_from", a->list);
    for (size_t i = 0, k = 0; i < a->count && k < FINDINGS_SHOWN; i++)
        if (a->tests[i].adjusted[a->c->correction] < a->c->alpha && ++k) finding(a, &a->tests[i], out);
    state_findings(a, out);
}

/* ---- merge ---- */

static mr_status add_partial(analysis *a, mr_span partial) {
    mr_unpack u;
    MR_TRY(mr_itemrows_add_partial(&a->rows, partial, partial_magic, 3, false, &u, a->err));
    return mr_traits_add_packed(&a->traits, &u, a->err);
}

/* Rows are there for every known outcome or for none, each with its outcome. */
static mr_status check_rows(const analysis *a) {
    const mr_itemrows *r = &a->rows;
    const uint64_t *known = a->traits.outcomes;
    uint64_t successes = 0;
    bool right = r->rows == 0 || r->rows == known[0] + known[1];
    for (uint32_t i = 0; right && i < r->rows; i++) {
        right = r->plain_end[i] == i + 1 && r->plain[i] <= 1;
        if (right) successes += r->plain[i];
    }
    if (right && (r->rows == 0 || successes == known[1])) return MR_OK;
    return mr_fail(a->err, MR_E_CORRUPT,
                   "partials whose %u rows do not fit their %llu failures and %llu successes", r->rows,
                   (unsigned long long)known[0], (unsigned long long)known[1]);
}

static mr_status merge_all(analysis *a, const mr_partials *partials, mr_out *out) {
    a->traits.arena = mr_ctx_arena(a->ctx);
    mr_itemrows_init(&a->rows, mr_ctx_arena(a->ctx), MR_ITEMROWS_PLAIN);
    for (uint32_t i = 0; i < partials->count; i++) {
        MR_TRY(mr_tick(a->ctx));
        MR_TRY(add_partial(a, partials->items[i]));
    }
    MR_TRY(check_rows(a));
    if (!partials->last) return pack(&a->traits, &a->rows, mr_out_partial_buf(out), a->err);
    mr_buf_init(&a->words, &a->mem, MR_PARTIAL_MAX);
    MR_TRY(pack(&a->traits, &a->rows, &a->words, a->err)); /* the bound holds here too, for any batches */
    a->list = mr_ctx_given(a->ctx, "pattern_discovery");
    if (a->list && a->list->run)
        snprintf(a->source, sizeof a->source, " of run %llu", (unsigned long long)a->list->run);
    MR_TRY(a->list ? read_list(a) : mine(a));
    MR_TRY(test_all(a));
    put_result(a, out);
    return MR_OK;
}

static mr_status merge(mr_ctx *ctx, const void *options, const mr_partials *partials, mr_out *out) {
    mr_error err = {0};
    analysis a = {.c = options, .ctx = ctx, .mem = mr_arena_mem(mr_ctx_arena(ctx)), .err = &err};
    mr_status status = merge_all(&a, partials, out);
    return err.status == MR_OK ? status : refuse(ctx, &err);
}

/* ---- the descriptor ---- */

#define WHOLE(field, def_, min_, max_, unit_, help_)                                                         \
    {                                                                                                        \
        .name = #field, .type = MR_OPT_INT, .offset = offsetof(config, field), .def = def_, .min = min_,     \
        .max = max_, .unit = unit_, .help = help_                                                            \
    }

static const mr_option options[] = {
    {.name = "test",
     .type = MR_OPT_CHOICE,
     .offset = offsetof(config, test),
     .def = "fisher",
     .choices = test_names,
     .help = "for patterns and 0/1 features; others take Welch's t, the label as a whole chi-square"},
    {.name = "correction",
     .type = MR_OPT_CHOICE,
     .offset = offsetof(config, correction),
     .def = "bh",
     .choices = correction_names,
     .help =
         "which adjusted p-value decides: bonferroni or holm (any false finding), bh or by (their share)"},
    {.name = "alpha",
     .type = MR_OPT_NUMBER,
     .offset = offsetof(config, alpha),
     .def = "0.05",
     .min = 1e-9,
     .max = 0.5,
     .help = "significance level, or false discovery rate, of the adjusted p-values"},
    {.name = "level",
     .type = MR_OPT_NUMBER,
     .offset = offsetof(config, level),
     .def = "0.95",
     .min = 0.5,
     .max = 0.999,
     .help = "confidence level of the intervals"},
    {.name = "min_support",
     .type = MR_OPT_NUMBER,
     .offset = offsetof(config, min_support),
     .def = "0.01",
     .min = 1e-7,
     .max = 1,
     .help = "share of the rows with an outcome that must hold an itemset for it to be tested"},
    WHOLE(min_count, "0", 0, 1e9, "rows", "the same as a count; 0: min_support decides"),
    WHOLE(max_length, "2", 1, 60, "items", "most items of an itemset"),
    WHOLE(max_patterns, "100000", 1, 1e6, NULL, "refuse the run when more itemsets are frequent"),
    WHOLE(top, "200", 1, 20000, NULL, "tests to list, the smallest p first"),
    MR_OPTION_END};

static const mr_field outputs[] = {
    {"rows", MR_FIELD_INTEGER, "rows", "rows seen", MR_FOLD_NONE},
    {"successes", MR_FIELD_INTEGER, "rows", "rows with success 1", MR_FOLD_NONE},
    {"failures", MR_FIELD_INTEGER, "rows", "rows with success 0", MR_FOLD_NONE},
    {"without_outcome", MR_FIELD_INTEGER, "rows", "rows whose success is not known; they are left out",
     MR_FOLD_NONE},
    {"correction", MR_FIELD_TEXT, NULL, "which adjusted p-value decides", MR_FOLD_NONE},
    {"tested", MR_FIELD_INTEGER, NULL, "tests, all corrected together", MR_FOLD_NONE},
    {"constant", MR_FIELD_INTEGER, NULL,
     "patterns and columns that cannot be tested: the same in all rows, or too few rows", MR_FOLD_NONE},
    {"significant", MR_FIELD_INTEGER, NULL, "tests with an adjusted p-value under alpha", MR_FOLD_NONE},
    {"rough", MR_FIELD_INTEGER, NULL, "chi-square tests with an expected count under 5", MR_FOLD_NONE},
    {"tests", MR_FIELD_LIST, NULL,
     "the tests with the smallest p: kind, pattern, test, n, p, adjusted p, statistic, counts, rates, "
     "difference, odds "
     "ratio, Cramer's V, Cohen's d, intervals",
     MR_FOLD_NONE},
    {"patterns_from", MR_FIELD_MAP, NULL, "where the tested itemsets come from, when not from here: component, artifact, run, hash",
     MR_FOLD_NONE},
    {0}};

/* Fisher's "lady tasting tea": 3 of 4 and 1 of 4; R: fisher.test gives p = 0.485714285714286. */
static const mr_example examples[] = {
    {.title = "milk first",
     .input = "milk,success\n1,1\n1,1\n1,1\n1,0\n0,1\n0,0\n0,0\n0,0\n",
     .options = NULL,
     .expect =
         "{\"tested\": 1, \"significant\": 0, \"tests\": [{\"kind\": \"feature\", \"pattern\": \"milk\", "
         "\"p\": 0.485714285714286, \"with\": 4, \"with_success\": 3, \"odds_ratio\": 9, "
         "\"cramers_v\": 0.5}]}"},
    {.title = "words that go with success",
     .input = "item,success\na b,1\na,1\na b,1\na,1\nb,0\nb,0\n,0\nb,0\n",
     .options = "max_length=1",
     .expect =
         "{\"tested\": 2, \"significant\": 0, \"tests\": [{\"pattern\": \"a\", \"p\": 0.0285714285714286, "
         "\"p_bonferroni\": 0.0571428571428571}, {\"pattern\": \"b\"}]}"},
    {0}};

static const char *const capabilities[] = {"exact tests", "multiple testing", "effect sizes", NULL};
static const mr_dependency depends_on[] = {{"pattern_discovery", "patterns", MR_USE_INPUT}, {0}};

const mr_component mr_component_pattern_significance_analyzer = {
    .name = "pattern_significance_analyzer",
    .summary = "tests which items, labels and features go with success, corrected for how many are tested",
    .kind = MR_VALIDATOR,
    .shape = MR_MERGE,
    .tier = 3,
    .version = 2,
    .columns = MR_COL_SUCCESS,
    .columns_wanted = MR_COL_FEATURES | MR_COL_LABEL | MR_COL_ITEM,
    .batch_rows = 4096,
    .capabilities = capabilities,
    .depends_on = depends_on,
    .options = options,
    .config_size = sizeof(config),
    .outputs = outputs,
    .examples = examples,
    .deadline_ms = 300000,
    .memory_mb = 1024,
    .process = process,
    .merge = merge,
};
