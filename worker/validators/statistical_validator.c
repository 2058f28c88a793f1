/* statistical_validator: do two groups of rows differ? Several tests that do not share their assumptions, an
 * interval, an effect size, what could have been seen, and one verdict with its evidence.
 * docs/components/statistical_validator.md */
#include "worker/component.h"
#include "worker/kit/columns.h"
#include "worker/kit/hypothesis.h"
#include "worker/kit/power.h"
#include "worker/kit/put.h"
#include "worker/kit/resample.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { NAME_MAX_BYTES = 40, FINDINGS_SHOWN = 20 };
static const double VALUE_MAX = 1e140;

typedef struct config {
    double alpha, level, power, effect, prior_scale;
    int64_t resamples, interval;
} config;

/* One group of one measure. `values` as they came, `sorted` ascending. */
typedef struct group {
    double *values, *sorted;
    mr_summary summary;
    mr_test normality;
} group;

typedef struct measure {
    const char *name;
    group g[2];
    size_t missing;
    mr_test welch, mann_whitney, permutation, brown_forsythe;
    double welch_low, welch_high, holm;
    mr_boot_intervals boot;
    double power, detectable, log_bayes;
    mr_effect effect;
} measure;

/* What is compared: `of[row]` is 0, 1 or -1 (in neither). */
typedef struct plan {
    const char *by;      /* what makes the groups; NULL when there are none */
    const char *outcome; /* the one measure, or NULL for all features */
    const double *values;
    int8_t *of;
    char label[2][NAME_MAX_BYTES + 16]; /* "treatment 1", "label spam" */
    size_t rows[2];
} plan;

/* ---- what is compared ---- */

static const double *number_column(const mr_batch *b, int slot) {
    for (uint32_t i = 0; b->number[slot] && i < b->rows; i++)
        if (!isnan(b->number[slot][i])) return b->number[slot];
    return NULL;
}

/* "label X" with at most NAME_MAX_BYTES bytes of the value, whole characters only. */
static void name_label(char *to, size_t room, mr_span value) {
    size_t n = value.len < NAME_MAX_BYTES ? value.len : NAME_MAX_BYTES;
    while (n < value.len && n > 0 && (value.data[n] & 0xc0) == 0x80) n--;
    snprintf(to, room, "label %.*s", (int)n, (const char *)value.data);
}

/* Groups by a number with at most two values, the smaller one first. Refuses a third value. */
static mr_status group_by_number(mr_ctx *ctx, const mr_batch *b, const double *v, const char *role, plan *p) {
    double low = INFINITY, high = -INFINITY;
    for (uint32_t i = 0; i < b->rows; i++) {
        low = fmin(low, v[i]); /* fmin and fmax pass over NaN */
        high = fmax(high, v[i]);
    }
    for (uint32_t i = 0; i < b->rows; i++) {
        p->of[i] = isnan(v[i]) ? -1 : v[i] == low ? 0 : 1;
        if (!isnan(v[i]) && v[i] != low && v[i] != high)
            return mr_refuse(ctx, MR_E_INVALID,
                             "row %llu has %s %g beside %g and %g; two groups can be compared, so "
                             "give a column with two values",
                             (unsigned long long)(b->first + i), role, v[i], low, high);
    }
    p->by = role;
    snprintf(p->label[0], sizeof p->label[0], "%s %g", role, low);
    if (high > low) snprintf(p->label[1], sizeof p->label[1], "%s %g", role, high);
    return MR_OK;
}

static int compare(mr_span a, mr_span b) {
    int c = memcmp(a.data, b.data, a.len < b.len ? a.len : b.len);
    return c ? c : (a.len > b.len) - (a.len < b.len);
}

/* Groups by a label when there are exactly two, the lower bytes first; leaves the plan alone otherwise. */
static void group_by_label(const mr_batch *b, plan *p) {
    const mr_span *v = b->text[MR_TEXT_LABEL];
    mr_span kinds[2] = {{NULL, 0}, {NULL, 0}};
    unsigned count = 0;
    for (uint32_t i = 0; v && i < b->rows; i++) {
        if (!v[i].len || (count > 0 && mr_span_eq(v[i], kinds[0])) ||
            (count > 1 && mr_span_eq(v[i], kinds[1])))
            continue;
        if (count == 2) return;
        kinds[count++] = v[i];
    }
    if (count != 2) return;
    if (compare(kinds[0], kinds[1]) > 0) {
        mr_span t = kinds[0];
        kinds[0] = kinds[1];
        kinds[1] = t;
    }
    for (uint32_t i = 0; i < b->rows; i++) p->of[i] = !v[i].len ? -1 : (int8_t)!mr_span_eq(v[i], kinds[0]);
    p->by = "label";
    for (int k = 0; k < 2; k++) name_label(p->label[k], sizeof p->label[k], kinds[k]);
}

static void find_outcome(const mr_batch *b, plan *p) {
    static const struct {
        int slot;
        const char *name;
    } order[] = {{MR_NUM_OUTCOME, "outcome"}, {MR_NUM_SCORE, "score"}, {MR_NUM_SUCCESS, "success"}};
    for (size_t k = 0; k < sizeof order / sizeof *order && !p->values; k++) {
        p->values = number_column(b, order[k].slot);
        if (p->values) p->outcome = order[k].name;
    }
}

/* Groups: treatment, else a label with two values; then the outcome is compared, or the features without one.
 * Else success: then the features of successes and failures are compared. Else nothing. */
static mr_status make_plan(mr_ctx *ctx, const mr_batch *b, plan *p) {
    p->of = mr_ctx_alloc(ctx, (size_t)b->rows + 1, 1);
    if (!p->of) return MR_E_MEMORY;
    const double *treatment = number_column(b, MR_NUM_TREATMENT), *success = number_column(b, MR_NUM_SUCCESS);
    if (treatment)
        MR_TRY(group_by_number(ctx, b, treatment, "treatment", p));
    else
        group_by_label(b, p);
    if (p->by) {
        find_outcome(b, p);
    } else if (success) {
        MR_TRY(group_by_number(ctx, b, success, "success", p));
        if (!b->width) p->by = NULL;
    }
    if (!p->by) memset(p->of, 0, b->rows);
    for (uint32_t i = 0; i < b->rows; i++)
        if (p->of[i] >= 0) p->rows[p->of[i]]++;
    return MR_OK;
}

/* ---- one measure ---- */

static mr_status alloc_groups(mr_ctx *ctx, const plan *p, measure *m) {
    for (int k = 0; k < 2; k++) {
        m->g[k].values = mr_ctx_alloc(ctx, p->rows[k] + 1, sizeof(double));
        m->g[k].sorted = mr_ctx_alloc(ctx, p->rows[k] + 1, sizeof(double));
        if (!m->g[k].values || !m->g[k].sorted) return MR_E_MEMORY;
    }
    return MR_OK;
}

static void describe(group *g, size_t n, double *weights) {
    memcpy(g->sorted, g->values, n * sizeof *g->values);
    mr_sort_numbers(g->sorted, n);
    g->summary = mr_summarise(g->sorted, n);
    g->normality =
        n <= MR_SHAPIRO_MAX ? mr_shapiro_wilk(g->sorted, n, weights) : mr_dagostino_pearson(g->sorted, n);
}

/* Takes the values v[0], v[stride], ... apart into the groups. */
static mr_status split(mr_ctx *ctx, const mr_batch *b, const plan *p, const double *v, size_t stride,
                       measure *m) {
    size_t n[2] = {0, 0};
    MR_TRY(alloc_groups(ctx, p, m));
    for (uint32_t i = 0; i < b->rows; i++) {
        double x = v[i * stride];
        if (isnan(x) || p->of[i] < 0) {
            m->missing += isnan(x) ? 1 : 0;
            continue;
        }
        if (!(fabs(x) <= VALUE_MAX))
            return mr_refuse(ctx, MR_E_INVALID, "row %llu has %s %g, which is not a number up to 1e140",
                             (unsigned long long)(b->first + i), m->name, x);
        group *g = &m->g[p->of[i]];
        g->values[n[p->of[i]]++] = x;
    }
    double *weights = mr_ctx_alloc(ctx, (n[0] > n[1] ? n[0] : n[1]) + 1, sizeof *weights);
    if (!weights) return MR_E_MEMORY;
    for (int k = 0; k < 2; k++) describe(&m->g[k], n[k], weights);
    return MR_OK;
}

static mr_status tick(void *ctx) { return mr_tick(ctx); }

static mr_status run_resampling(mr_ctx *ctx, const config *c, measure *m, size_t n0, size_t n1) {
    unsigned rounds = (unsigned)c->resamples;
    const group *a = &m->g[0], *b = &m->g[1];
    double *pool = mr_ctx_alloc(ctx, n0 + n1, sizeof *pool);
    mr_error err;
    mr_ticker ticker = {tick, ctx};
    if (!pool) return MR_E_MEMORY;
    memcpy(pool, a->values, n0 * sizeof *pool);
    memcpy(pool + n0, b->values, n1 * sizeof *pool);
    MR_TRY(mr_permutation_test(pool, n0, n1, rounds, mr_ctx_rng(ctx), &ticker, &m->permutation));
    return mr_boot_means(a->values, n0, b->values, n1, rounds, c->level, (mr_boot)c->interval, mr_ctx_rng(ctx),
                         mr_ctx_arena(ctx), &ticker, &m->boot, &err);
}

static bool comparable(const measure *m) { return !isnan(m->welch.p); }

/* Every test of one measure; with too few rows or no spread they stay NaN. */
static mr_status run_tests(mr_ctx *ctx, const config *c, measure *m) {
    const group *a = &m->g[0], *b = &m->g[1];
    size_t n0 = a->summary.n, n1 = b->summary.n;
    mr_mem mem = mr_arena_mem(mr_ctx_arena(ctx));
    mr_error err;
    m->holm = m->power = m->detectable = m->log_bayes = NAN;
    m->boot = (mr_boot_intervals){NAN, NAN, NAN, NAN, NAN, NAN, "BCa"};
    m->welch = mr_welch(&a->summary, &b->summary);
    mr_welch_interval(&a->summary, &b->summary, c->level, &m->welch_low, &m->welch_high);
    m->brown_forsythe = mr_brown_forsythe(a->sorted, n0, b->sorted, n1);
    m->effect = mr_effect_size(&a->summary, &b->summary, c->level);
    if (!comparable(m)) return MR_OK;
    MR_TRY(mr_mann_whitney(a->sorted, n0, b->sorted, n1, &mem, &m->mann_whitney, &err));
    m->power = mr_power_t(c->effect, (double)n0, (double)n1, c->alpha);
    m->detectable = mr_detectable_t(c->power, (double)n0, (double)n1, c->alpha);
    m->log_bayes = mr_log_bayes_factor_t(mr_student(&a->summary, &b->summary).statistic, (double)n0,
                                         (double)n1, c->prior_scale);
    return run_resampling(ctx, c, m, n0, n1);
}

/* Holm's step-down over the Welch p-values of the measures that could be tested (Holm 1979). */
static void adjust(measure *m, size_t n) {
    size_t tests = 0;
    double floor_p = 0;
    for (size_t i = 0; i < n; i++) tests += comparable(&m[i]);
    for (size_t left = tests; left > 0; left--) {
        measure *least = NULL;
        for (size_t i = 0; i < n; i++)
            if (comparable(&m[i]) && isnan(m[i].holm) && (!least || m[i].welch.p < least->welch.p))
                least = &m[i];
        floor_p = fmax(floor_p, fmin(1, least->welch.p * (double)left));
        least->holm = floor_p;
    }
}

/* ---- verdict ---- */

static bool interval_excludes_zero(const measure *m) { return m->boot.low > 0 || m->boot.high < 0; }
static bool differs(const config *c, const measure *m) {
    return m->holm < c->alpha && interval_excludes_zero(m);
}
static bool torn(const config *c, const measure *m) { return (m->holm < c->alpha) != differs(c, m); }

static const char *verdict_of(const config *c, const measure *m) {
    if (!comparable(m)) return "inconclusive";
    if (differs(c, m)) return "differ";
    if (torn(c, m)) return "inconclusive";
    return m->power >= c->power ? "no difference found" : "inconclusive";
}

typedef struct tally {
    size_t tested, differing, powered;
} tally;

static tally count_verdicts(const config *c, const measure *m, size_t n) {
    tally t = {0, 0, 0};
    for (size_t i = 0; i < n; i++) {
        t.tested += comparable(&m[i]);
        t.differing += comparable(&m[i]) && differs(c, &m[i]);
        t.powered += comparable(&m[i]) && !torn(c, &m[i]) && m[i].power >= c->power;
    }
    return t;
}

static void put_reason(mr_out *out, const config *c, const plan *p, const measure *m, tally t) {
    if (!p->by)
        mr_out_text(out, "reason", "the rows carry no outcome");
    else if (!p->rows[0] || !p->rows[1])
        mr_out_text(out, "reason", "all rows are in one group, %s", p->label[!p->rows[0]]);
    else if (!t.tested)
        mr_out_text(out, "reason", "no measure has two rows in each group and any spread");
    else if (t.differing && p->outcome)
        mr_out_text(out, "reason",
                    "Welch t p = %.3g and the %s interval [%.4g, %.4g] leaves out 0 (n = %zu and %zu)",
                    m->welch.p, m->boot.name, m->boot.low, m->boot.high, m->g[0].summary.n, m->g[1].summary.n);
    else if (t.differing)
        mr_out_text(out, "reason",
                    "%zu of %zu measures differ: Welch t p under %g after Holm's correction, and a bootstrap "
                    "interval that leaves out 0 (n up to %zu and %zu)",
                    t.differing, t.tested, c->alpha, p->rows[0], p->rows[1]);
    else if (p->outcome && torn(c, m))
        mr_out_text(out, "reason",
                    "Welch t p = %.3g, but the %s interval [%.4g, %.4g] holds 0 (n = %zu and %zu)",
                    m->welch.p, m->boot.name, m->boot.low, m->boot.high, m->g[0].summary.n, m->g[1].summary.n);
    else if (t.powered == t.tested)
        mr_out_text(out, "reason",
                    "no Welch t p under %g, and the power for d = %g is at least %g (n up to %zu and %zu)",
                    c->alpha, c->effect, c->power, p->rows[0], p->rows[1]);
    else
        mr_out_text(out, "reason",
                    "no clear difference, and too few rows to rule out d = %g (n up to %zu and %zu; "
                    "%.0f in each group would do)",
                    c->effect, p->rows[0], p->rows[1], mr_rows_needed_t(c->effect, c->power, c->alpha));
}

static const char *overall(const config *c, const measure *m, size_t n, tally t) {
    if (n == 1) return verdict_of(c, m);
    if (t.differing) return "differ";
    return t.tested && t.powered == t.tested ? "no difference found" : "inconclusive";
}

/* ---- output ---- */

static void put_test(mr_out *out, const mr_test *t, size_t n0, size_t n1) {
    if (!t->name) return;
    mr_out_open_map(out, NULL);
    mr_out_text(out, "test", "%s", t->name);
    mr_out_integer(out, "n0", (int64_t)n0);
    mr_out_integer(out, "n1", (int64_t)n1);
    mr_out_number(out, "statistic", t->statistic);
    mr_out_number(out, "df", t->df);
    mr_out_number(out, "df2", t->df2);
    mr_out_number(out, "p", t->p);
    mr_out_close(out);
}

static void put_group(mr_out *out, const char *label, const group *g) {
    const mr_summary *s = &g->summary;
    mr_out_open_map(out, NULL);
    mr_out_text(out, "group", "%s", label);
    mr_out_integer(out, "n", (int64_t)s->n);
    mr_out_number(out, "mean", s->mean);
    mr_out_number(out, "sd", sqrt(s->var));
    mr_out_number(out, "min", s->min);
    mr_out_number(out, "median", mr_sorted_quantile(g->sorted, s->n, 0.5));
    mr_out_number(out, "max", s->max);
    mr_out_text(out, "normality_test", "%s", g->normality.name);
    mr_out_number(out, "normality_statistic", g->normality.statistic);
    mr_out_number(out, "normality_p", g->normality.p);
    mr_out_close(out);
}

static void put_comparison(mr_out *out, const config *c, const measure *m) {
    size_t n0 = m->g[0].summary.n, n1 = m->g[1].summary.n;
    double ends[][2] = {
        {m->welch_low, m->welch_high}, {m->boot.bca_low, m->boot.bca_high},
        {m->boot.t_low, m->boot.t_high}, {m->effect.d_low, m->effect.d_high}};
    mr_out_text(out, "verdict", "%s", verdict_of(c, m));
    mr_out_number(out, "difference", m->g[0].summary.mean - m->g[1].summary.mean);
    mr_out_numbers(out, "welch_interval", ends[0], 2);
    mr_out_numbers(out, "bca_interval", ends[1], 2);
    mr_out_numbers(out, "bootstrap_t_interval", ends[2], 2);
    mr_out_open_list(out, "tests");
    const mr_test *tests[] = {&m->welch, &m->mann_whitney, &m->permutation, &m->brown_forsythe};
    for (size_t i = 0; i < sizeof tests / sizeof *tests; i++) put_test(out, tests[i], n0, n1);
    mr_out_close(out);
    mr_out_number(out, "welch_p_holm", m->holm);
    mr_out_number(out, "cohen_d", m->effect.d);
    mr_out_numbers(out, "cohen_d_interval", ends[3], 2);
    mr_out_number(out, "hedges_g", m->effect.g);
    mr_out_number(out, "power", m->power);
    mr_out_number(out, "detectable_d", m->detectable);
    mr_out_number(out, "log_bayes_factor", m->log_bayes);
}

static void put_measure(mr_out *out, const config *c, const plan *p, const measure *m) {
    mr_out_open_map(out, NULL);
    mr_out_text(out, "measure", "%s", m->name);
    mr_out_integer(out, "missing", (int64_t)m->missing);
    mr_out_open_list(out, "groups");
    for (int k = 0; k < (p->by ? 2 : 1); k++)
        if (p->rows[k]) put_group(out, p->by ? p->label[k] : "all rows", &m->g[k]);
    mr_out_close(out);
    if (p->by && p->rows[0] && p->rows[1]) put_comparison(out, c, m);
    mr_out_close(out);
}

static bool is_finding(const config *c, const measure *m) { return comparable(m) && differs(c, m); }

/* How many findings have a larger effect, or an equal one and stand before it. */
static size_t rank_of(const config *c, const measure *m, size_t n, size_t i) {
    size_t rank = 0;
    double d = fabs(m[i].effect.d);
    for (size_t k = 0; k < n; k++)
        if (is_finding(c, &m[k])) rank += fabs(m[k].effect.d) > d || (fabs(m[k].effect.d) == d && k < i);
    return rank;
}

static void put_finding(mr_out *out, const config *c, const plan *p, const measure *m) {
    const mr_summary *a = &m->g[0].summary, *b = &m->g[1].summary;
    double d = fabs(m->effect.d);
    mr_out_finding(
        out, isnan(d) ? 0 : d / (1 + d),
        "%s is %s for %s (mean %.4g, n = %zu) than for %s (mean %.4g, n = %zu): difference %.4g, %g %% %s "
        "interval %.4g to %.4g, d = %.2f; Welch t p = %.2g, after Holm's correction %.2g",
        m->name, a->mean > b->mean ? "higher" : "lower", p->label[0], a->mean, a->n, p->label[1], b->mean,
        b->n, a->mean - b->mean, 100 * c->level, m->boot.name, m->boot.low, m->boot.high, m->effect.d, m->welch.p, m->holm);
}

/* One measure that does not differ clearly: by how much it might. */
static void put_quiet(mr_out *out, const config *c, const plan *p, const measure *m, const char *verdict) {
    const mr_summary *a = &m->g[0].summary, *b = &m->g[1].summary;
    mr_out_finding(out, 0.05,
                   "%s: %s is %.4g for %s (n = %zu) and %.4g for %s (n = %zu), a difference of %.4g (%g %% %s interval %.4g to "
                   "%.4g; Welch t %s); a true d of %.2g would be seen with %.0f %% power",
                   verdict, m->name, a->mean, p->label[0], a->n, b->mean, p->label[1], b->n,
                   mr_clean(a->mean - b->mean, m->welch_high - m->welch_low), 100 * c->level,
                   m->boot.name, m->boot.low, m->boot.high, mr_say_p(m->welch.p).text, m->detectable, 100 * c->power);
}

static void put_all(mr_out *out, const config *c, const mr_batch *b, const plan *p, const measure *m,
                    size_t n) {
    tally t = count_verdicts(c, m, n);
    mr_out_text(out, "verdict", "%s", p->by && n ? overall(c, m, n, t) : "inconclusive");
    put_reason(out, c, p, m, t);
    if (p->by) mr_out_text(out, "comparison", "%s by %s", p->outcome ? p->outcome : "features", p->by);
    mr_out_integer(out, "rows", b->rows);
    mr_out_integer(out, "group0_rows", p->by ? (int64_t)p->rows[0] : 0);
    mr_out_integer(out, "group1_rows", p->by ? (int64_t)p->rows[1] : 0);
    mr_out_number(out, "rows_needed", mr_rows_needed_t(c->effect, c->power, c->alpha));
    mr_out_integer(out, "tested", (int64_t)t.tested);
    mr_out_integer(out, "differing", (int64_t)t.differing);
    mr_out_open_list(out, "measures");
    for (size_t i = 0; i < n; i++) put_measure(out, c, p, &m[i]);
    mr_out_close(out);
    for (size_t i = 0; i < n; i++)
        if (is_finding(c, &m[i]) && rank_of(c, m, n, i) < FINDINGS_SHOWN) put_finding(out, c, p, &m[i]);
    if (!p->by)
        mr_out_tally(out, 0, "inconclusive: %u rows carry no outcome; their features are described", b->rows);
    else if (!t.differing && p->outcome && comparable(m))
        put_quiet(out, c, p, m, overall(c, m, n, t));
    else if (!t.tested && n && p->rows[0] && p->rows[1])
        mr_out_finding(out, 0.05,
                       "inconclusive: %s cannot be tested between %s (n = %zu) and %s (n = %zu), which takes two rows in each "
                       "and values that vary",
                       p->outcome ? p->outcome : "the features", p->label[0], p->rows[0], p->label[1], p->rows[1]);
    else if (!t.differing)
        mr_out_finding(out, 0.05, "%s: no clear difference of %s between %s (%zu rows) and %s (%zu rows)",
                       n ? overall(c, m, n, t) : "inconclusive", p->outcome ? p->outcome : "the features",
                       p->label[0], p->rows[0], p->rows[1] ? p->label[1] : "the other group", p->rows[1]);
}

static mr_status process(mr_ctx *ctx, const void *options, const mr_batch *b, mr_out *out) {
    const config *c = options;
    plan p = {0};
    MR_TRY(make_plan(ctx, b, &p));
    size_t n = p.values ? 1 : b->width;
    measure *m = mr_ctx_alloc(ctx, n + 1, sizeof *m);
    if (!m) return MR_E_MEMORY;
    for (size_t i = 0; i < n; i++) {
        MR_TRY(mr_tick(ctx));
        m[i].name = p.values ? p.outcome : b->feature_names[i];
        MR_TRY(split(ctx, b, &p, p.values ? p.values : b->features + i, p.values ? 1 : b->width, &m[i]));
        MR_TRY(run_tests(ctx, c, &m[i]));
        mr_ctx_progress(ctx, (double)(i + 1) / (double)n);
    }
    adjust(m, n);
    put_all(out, c, b, &p, m, n);
    return MR_OK;
}

static const char *const capabilities[] = {"two-sample tests", "effect sizes", "power", NULL};

static const char *const intervals[] = {"bootstrap_t", "bca", NULL}; /* as mr_boot */

static const mr_option options[] = {
    {.name = "alpha",
     .type = MR_OPT_NUMBER,
     .offset = offsetof(config, alpha),
     .def = "0.05",
     .min = 1e-6,
     .max = 0.5,
     .help = "significance level of the verdict"},
    {.name = "level",
     .type = MR_OPT_NUMBER,
     .offset = offsetof(config, level),
     .def = "0.95",
     .min = 0.5,
     .max = 0.999,
     .help = "confidence level of the intervals"},
    {.name = "power",
     .type = MR_OPT_NUMBER,
     .offset = offsetof(config, power),
     .def = "0.8",
     .min = 0.55,
     .max = 0.999,
     .help = "power at which a missing difference counts as evidence"},
    {.name = "effect",
     .type = MR_OPT_NUMBER,
     .offset = offsetof(config, effect),
     .def = "0.5",
     .min = 0.01,
     .max = 5,
     .unit = "sd",
     .help = "smallest difference that matters, as Cohen's d"},
    {.name = "prior_scale",
     .type = MR_OPT_NUMBER,
     .offset = offsetof(config, prior_scale),
     .def = "0.7071067811865476",
     .min = 0.05,
     .max = 5,
     .unit = "sd",
     .help = "scale of the Cauchy prior on d in the Bayes factor"},
    {.name = "resamples",
     .type = MR_OPT_INT,
     .offset = offsetof(config, resamples),
     .def = "999",
     .min = 99,
     .max = 99999,
     .unit = "rounds",
     .help = "rounds of the permutation test and of the bootstrap"},
    {.name = "interval",
     .type = MR_OPT_CHOICE,
     .offset = offsetof(config, interval),
     .def = "bootstrap_t",
     .choices = intervals,
     .help = "the bootstrap interval that the verdict goes by; bootstrap_t gives way to bca where it is not finite"},
    MR_OPTION_END,
};

static const mr_field outputs[] = {
    {"verdict", MR_FIELD_TEXT, NULL, "differ, no difference found, or inconclusive", MR_FOLD_NONE},
    {"reason", MR_FIELD_TEXT, NULL, "the evidence for the verdict in one sentence", MR_FOLD_NONE},
    {"comparison", MR_FIELD_TEXT, NULL, "what is compared by what; nil when there are no groups",
     MR_FOLD_NONE},
    {"rows", MR_FIELD_INTEGER, "rows", "rows of the batch", MR_FOLD_SUM},
    {"group0_rows", MR_FIELD_INTEGER, "rows",
     "rows in group 0: the lower treatment, the first label, the failures", MR_FOLD_SUM},
    {"group1_rows", MR_FIELD_INTEGER, "rows", "rows in group 1", MR_FOLD_SUM},
    {"rows_needed", MR_FIELD_NUMBER, "rows",
     "rows in each group that show a difference of `effect` with `power`", MR_FOLD_MAX},
    {"tested", MR_FIELD_INTEGER, "measures", "measures that could be tested", MR_FOLD_MAX},
    {"differing", MR_FIELD_INTEGER, "measures", "measures with the verdict differ", MR_FOLD_MAX},
    {"measures", MR_FIELD_LIST, NULL,
     "a map for each measure: groups, difference (group 0 - group 1), intervals, tests, "
     "effect sizes, power, Bayes factor",
     MR_FOLD_NONE},
    {0},
};

static const mr_example examples[] = {
    {"two treatments and an outcome", "treatment,outcome\n0,1\n0,2\n0,3\n0,4\n1,11\n1,12\n1,13\n1,15\n", NULL,
     "treatment=treatment outcome=outcome",
     "{\"verdict\": \"differ\", \"comparison\": \"outcome by treatment\", \"group0_rows\": 4, \"differing\": "
     "1}"},
    {"no outcome: described, not judged", "a,b\n1,2\n2,4\n3,5\n", NULL, NULL,
     "{\"verdict\": \"inconclusive\", \"reason\": \"the rows carry no outcome\", \"rows\": 3, \"tested\": "
     "0}"},
    {0},
};

const mr_component mr_component_statistical_validator = {
    .name = "statistical_validator",
    .summary = "tells whether two groups of rows differ, by tests that do not share their assumptions",
    .kind = MR_VALIDATOR,
    .shape = MR_MAP,
    .tier = 3,
    .version = 3,
    .columns = 0,
    .columns_wanted =
        MR_COL_FEATURES | MR_COL_OUTCOME | MR_COL_SCORE | MR_COL_SUCCESS | MR_COL_TREATMENT | MR_COL_LABEL,
    .batch_rows = 4096,
    .capabilities = capabilities,
    .options = options,
    .config_size = sizeof(config),
    .outputs = outputs,
    .examples = examples,
    .deadline_ms = 120000,
    .memory_mb = 256,
    .process = process,
};
