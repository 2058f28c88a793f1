/* causal_inference_analyzer: what is tied to what directly (PC-stable), and how much a treatment that was not
 * given at random changes an outcome, adjusted for the other columns and put to two refutations.
 * docs/components/causal_inference_analyzer.md */
#include "worker/component.h"
#include "worker/kit/causal_put.h"
#include "worker/kit/choose_test.h"
#include "worker/kit/columns.h"
#include "worker/kit/dist.h"
#include "worker/kit/roles.h"
#include "worker/kit/put.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { WIDTH_MAX = MR_PC_WIDTH_MAX - 2, SHOWN = 8 };
enum { TEST_AUTO, TEST_FISHER_Z, TEST_G, TEST_CHI_SQUARE, TEST_RESIDUALS };
enum { UNDECIDED_KEEP, UNDECIDED_REMOVE };
static const double VALUE_MAX = 1e140;

typedef struct config {
    int64_t test, transform, depth, placebos, undecided;
    double alpha, level, trim, overlap;
    bool graph;
} config;

typedef struct study {
    const config *options;
    mr_names names; /* features, then treatment and outcome when there are both */
    size_t rows, features, width, constants;
    bool has_effect;
    double *x; /* rows x width, as it came */
    const char *treatment, *outcome;
    double low, high; /* the two treatment values */
    size_t missing;
    /* the graph */
    const char **column; /* of the graph: the columns that vary */
    size_t treatment_at; /* in the graph: behind the features that vary */
    mr_test_choice choice;
    size_t compared; /* rows that its tests saw */
    mr_independence test;
    mr_pc graph;
    /* the effect */
    mr_design design; /* intercept and z-scores of the columns that vary */
    const char **adjusted;
    uint8_t *treated;
    double *y, spread; /* of y: standard deviation */
    size_t trimmed;
    mr_effects effects;
    mr_confounder *adjusters;
    double regression; /* the effect by one regression for both groups */
    mr_refutation refutation;
} study;

static mr_status tick(void *ctx) { return mr_tick(ctx); }
static mr_status refuse(mr_ctx *ctx, const mr_error *err) {
    return mr_refuse(ctx, err->status, "%s", err->text);
}

/* ---- rows ---- */

/* Copies the rows whose treatment and outcome are known, these two behind the features. */
static mr_status gather(const mr_batch *b, const double *t, const double *y, study *s, mr_error *err) {
    for (uint32_t i = 0; i < b->rows; i++) {
        double *row = s->x + s->rows * s->width;
        if (s->has_effect && (isnan(t[i]) || isnan(y[i]))) {
            s->missing++;
            continue;
        }
        if (b->width) memcpy(row, b->features + (size_t)i * b->width, b->width * sizeof *row);
        if (s->has_effect) {
            if (!(fabs(t[i]) <= VALUE_MAX && fabs(y[i]) <= VALUE_MAX))
                return mr_fail(err, MR_E_INVALID,
                               "row %llu: treatment %g, %s %g; numbers beyond 1e140 cannot be used",
                               (unsigned long long)(b->first + i), t[i], s->outcome, y[i]);
            row[b->width] = t[i];
            row[b->width + 1] = y[i];
        }
        s->rows++;
    }
    return MR_OK;
}

static mr_status load(mr_ctx *ctx, const mr_batch *b, study *s, mr_error *err) {
    const double *t = mr_role_numbers(b, MR_NUM_TREATMENT), *y = mr_role_outcome(b, &s->outcome);
    if (b->width > 0 || !t || !y) MR_TRY(mr_check_features(b, WIDTH_MAX, err));
    s->has_effect = t && y;
    s->treatment = "treatment";
    s->features = b->width;
    s->width = s->features + (s->has_effect ? 2 : 0);
    const char **names = mr_ctx_alloc(ctx, s->width + 1, sizeof *names);
    s->x = mr_ctx_alloc(ctx, (size_t)b->rows * s->width + 1, sizeof *s->x);
    if (!names || !s->x) return mr_fail(err, MR_E_MEMORY, "no memory for %u rows", b->rows);
    for (size_t j = 0; j < s->features; j++) names[j] = b->feature_names[j];
    if (s->has_effect) {
        names[s->features] = s->treatment;
        names[s->features + 1] = s->outcome;
    }
    s->names = (mr_names){(uint32_t)s->width, names};
    return gather(b, t, y, s, err);
}

static bool varies(const study *s, size_t column) {
    for (size_t i = 1; i < s->rows; i++)
        if (s->x[i * s->width + column] != s->x[column]) return true;
    return false;
}

/* ---- graph ---- */

static mr_status choose_test(mr_ctx *ctx, study *s, double *x, size_t width, mr_error *err) {
    static const mr_independence_kind kinds[] = {MR_FISHER_Z, MR_FISHER_Z, MR_G_TEST, MR_CHI_SQUARE, MR_RESIDUALS};
    const mr_independence_kind *kind = s->options->test == TEST_AUTO ? NULL : &kinds[s->options->test];
    bool counts = s->options->test == TEST_G || s->options->test == TEST_CHI_SQUARE;
    for (size_t j = 0; counts && j < width; j++)
        if (mr_count_levels(x, s->rows, width, j) > MR_LEVELS_MAX)
            return mr_fail(err, MR_E_INVALID, "column '%.80s' has more than %d different values, and a test of counts wants "
                           "classes: cut it or leave it out, or choose another test", s->column[j], MR_LEVELS_MAX);
    return mr_choose_test(x, s->rows, width, kind, (mr_transform)s->options->transform, s->options->alpha,
                          mr_ctx_arena(ctx), &(mr_ticker){tick, ctx}, &s->choice, err);
}

static mr_status find_graph(mr_ctx *ctx, study *s, mr_error *err) {
    size_t *from = mr_ctx_alloc(ctx, s->width + 1, sizeof *from), width = 0, sink = MR_PC_NO_SINK;
    double *x = mr_ctx_alloc(ctx, s->rows * s->width + 1, sizeof *x);
    s->column = mr_ctx_alloc(ctx, s->width + 1, sizeof *s->column);
    if (!from || !x || !s->column) return mr_fail(err, MR_E_MEMORY, "no memory for %zu columns", s->width);
    for (size_t j = 0; j < s->width; j++) {
        if (!varies(s, j)) continue;
        if (s->has_effect && j == s->width - 1) sink = width;
        if (s->has_effect && j == s->width - 2) s->treatment_at = width;
        s->column[width] = s->names.items[j];
        from[width++] = j;
    }
    s->constants = s->width - width;
    if (!s->options->graph || width < 2 || s->rows < 4) return MR_OK;
    for (size_t i = 0; i < s->rows; i++)
        for (size_t j = 0; j < width; j++) x[i * width + j] = s->x[i * s->width + from[j]];
    mr_arena *arena = mr_ctx_arena(ctx);
    double no_p = s->options->undecided == UNDECIDED_KEEP ? NAN : 1;
    MR_TRY(choose_test(ctx, s, x, width, err));
    bool thin = s->choice.kind == MR_RESIDUALS && s->options->test == TEST_AUTO; /* each of its tests goes over the rows */
    const double *some = x;
    s->compared = s->rows;
    if (thin) some = mr_thin_rows(x, s->rows, width, arena, &s->compared);
    if (!some) return mr_fail(err, MR_E_MEMORY, "no memory for %zu rows", s->rows);
    MR_TRY(mr_independence_init(&s->test, s->choice.kind, no_p, some, s->compared, width, arena, err));
    return mr_pc_search(&s->test, s->options->alpha, (long)s->options->depth, sink, arena,
                        &(mr_ticker){tick, ctx}, &s->graph, err);
}

/* ---- effect ---- */

static mr_status read_treatment(study *s, mr_error *err) {
    size_t at = s->features;
    s->low = INFINITY, s->high = -INFINITY;
    for (size_t i = 0; i < s->rows; i++) {
        s->low = fmin(s->low, s->x[i * s->width + at]);
        s->high = fmax(s->high, s->x[i * s->width + at]);
    }
    for (size_t i = 0; i < s->rows; i++) {
        double v = s->x[i * s->width + at];
        if (v != s->low && v != s->high)
            return mr_fail(
                err, MR_E_INVALID,
                "the treatment has the value %g beside %g and %g; an effect is estimated between two "
                "values: give a column with two, or cut this one",
                v, s->low, s->high);
        s->treated[i] = v == s->high;
        s->y[i] = s->x[i * s->width + at + 1];
    }
    if (s->low < s->high) return MR_OK;
    return mr_fail(err, MR_E_INVALID, "all %zu rows have the treatment %g; nothing can be compared", s->rows,
                   s->low);
}

static mr_status make_design(mr_ctx *ctx, study *s, mr_error *err) {
    size_t n = s->rows, w = s->features;
    double *x = mr_ctx_alloc(ctx, n * (w + 1), sizeof *x),
           *mean = mr_ctx_alloc(ctx, 2 * s->width, sizeof *mean);
    s->treated = mr_ctx_alloc(ctx, n + 1, 1);
    s->y = mr_ctx_alloc(ctx, n + 1, sizeof *s->y);
    s->adjusted = mr_ctx_alloc(ctx, w + 1, sizeof *s->adjusted);
    if (!x || !mean || !s->treated || !s->y || !s->adjusted)
        return mr_fail(err, MR_E_MEMORY, "no memory to adjust %zu rows", n);
    mr_mean_sd(s->x, n, s->width, mean, mean + s->width);
    size_t p = 1;
    for (size_t j = 0; j < w; j++)
        if (mean[s->width + j] > 0) s->adjusted[p++ - 1] = s->names.items[j];
    for (size_t i = 0; i < n; i++) {
        double *row = x + i * p;
        *row++ = 1;
        for (size_t j = 0; j < w; j++)
            if (mean[s->width + j] > 0) *row++ = (s->x[i * s->width + j] - mean[j]) / mean[s->width + j];
    }
    s->design = (mr_design){x, n, p};
    s->spread = mean[2 * s->width - 1];
    return read_treatment(s, err);
}

/* Leaves out rows whose propensity lies outside [trim, 1 - trim]. */
static void trim_rows(study *s) {
    double *x = (double *)(uintptr_t)s->design.x, trim = s->options->trim;
    size_t p = s->design.p, kept = 0;
    for (size_t i = 0; i < s->design.n; i++) {
        double e = s->effects.propensity[i];
        if (e < trim || e > 1 - trim) continue;
        memmove(x + kept * p, x + i * p, p * sizeof *x);
        s->treated[kept] = s->treated[i];
        s->y[kept++] = s->y[i];
    }
    s->trimmed = s->design.n - kept;
    s->design.n = kept;
}

static mr_status find_effect(mr_ctx *ctx, study *s, mr_error *err) {
    mr_arena *arena = mr_ctx_arena(ctx);
    mr_ticker ticker = {tick, ctx};
    MR_TRY(make_design(ctx, s, err));
    MR_TRY(mr_effects_estimate(&s->design, s->treated, s->y, arena, &ticker, &s->effects, err));
    if (s->options->trim > 0) {
        trim_rows(s);
        if (s->trimmed > 0)
            MR_TRY(mr_effects_estimate(&s->design, s->treated, s->y, arena, &ticker, &s->effects, err));
    }
    mr_ctx_progress(ctx, 0.4);
    const double *propensity = s->effects.separated ? NULL : s->effects.propensity;
    MR_TRY(mr_confounders_judge(&s->design, s->adjusted, s->treated, s->y, propensity, s->options->alpha,
                                arena, &ticker, &s->adjusters, &s->regression, err));
    if (s->options->placebos == 0 || s->effects.separated) return MR_OK;
    return mr_refute(&s->design, s->treated, s->y, s->effects.by[MR_EFFECT_ROBUST].effect,
                     (size_t)s->options->placebos, arena, mr_ctx_rng(ctx), &ticker, &s->refutation, err);
}

/* ---- what is doubtful ---- */

static size_t beyond_overlap(const study *s) {
    size_t count = 0;
    for (size_t i = 0; i < s->design.n; i++) {
        double e = s->effects.propensity[i];
        count += e < s->options->overlap || e > 1 - s->options->overlap;
    }
    return count;
}

/* One row in a hundred, or one that is ten times further out than asked for. */
static bool overlap_is_poor(const study *s, size_t outside) {
    double least = fmin(s->effects.propensity_min, 1 - s->effects.propensity_max);
    return 100 * outside >= s->effects.n || least < s->options->overlap / 10;
}

static double worst_balance(const study *s, bool after) {
    double worst = 0;
    for (size_t j = 0; j + 1 < s->design.p; j++)
        worst = fmax(worst, fabs(after ? s->adjusters[j].after : s->adjusters[j].before));
    return worst;
}

/* Columns that the graph shows as effects of the treatment: adjusting for them hides part of the effect. */
static bool is_after_treatment(const study *s, size_t column) {
    return s->has_effect && column < s->treatment_at && mr_pc_points(&s->graph, s->treatment_at, column);
}

/* Both lists of warnings, in the result and as findings, are made here: `say` gets each sentence. */
static void put_warning(mr_out *out, bool as_finding, const char *text) {
    if (as_finding)
        mr_out_finding(out, 0.7, "%s", text);
    else
        mr_out_text(out, NULL, "%s", text);
}

static void effect_warnings(const study *s, mr_out *out, bool as_finding) {
    char text[400];
    const mr_effects *e = &s->effects;
    size_t outside = beyond_overlap(s);
    if (e->separated)
        put_warning(
            out, as_finding,
            "separation: the columns tell for some rows with certainty who is treated, so there is no one to "
            "compare them with; weighting and the doubly robust effect are not given, and regression extrapolates");
    else if (outside > 0 && overlap_is_poor(s, outside)) {
        snprintf(text, sizeof text,
                 "positivity is doubtful: %zu of %zu rows have a propensity outside [%g, %g] (from %.2g to %.6g); trim "
                 "compares only rows that could have gone either way",
                 outside, e->n, s->options->overlap, 1 - s->options->overlap, e->propensity_min,
                 e->propensity_max);
        put_warning(out, as_finding, text);
    }
    if (!e->separated && s->design.p > 1 && worst_balance(s, true) > 0.1) {
        snprintf(text, sizeof text,
                 "weighting does not balance the groups: a standardised mean difference of %.2f is left (0.1 is the "
                 "usual limit)",
                 worst_balance(s, true));
        put_warning(out, as_finding, text);
    }
    if (e->dropped) {
        snprintf(text, sizeof text,
                 "%zu columns are linear combinations of others, at least in one group, and add nothing",
                 e->dropped);
        put_warning(out, as_finding, text);
    }
    if (s->design.p == 1)
        put_warning(out, as_finding,
                    "there is no column that varies to adjust for: the effect is the naive difference");
}

static void put_warnings(const study *s, mr_out *out, bool as_finding) {
    char text[300];
    if (s->has_effect) effect_warnings(s, out, as_finding);
    for (size_t j = 0; s->graph.pair && j < s->graph.width; j++) {
        if (!is_after_treatment(s, j)) continue;
        snprintf(text, sizeof text,
                 "the graph points from the treatment to %.80s: if that is so, adjusting for it hides part of the effect; "
                 "leave the column out when it was measured after the treatment",
                 s->column[j]);
        put_warning(out, as_finding, text);
    }
}

/* ---- output: the graph ---- */

static const char *test_name(const study *s) {
    return s->graph.pair ? mr_test_choice_name(&s->choice) : NULL;
}

static void put_graph(mr_out *out, const study *s) {
    if (test_name(s)) {
        mr_out_text(out, "test", "%s", test_name(s));
        mr_put_test_choice(out, &s->choice, s->column, s->graph.width);
        mr_out_integer(out, "tests", (int64_t)s->test.tests);
        mr_out_integer(out, "depth", (int64_t)s->graph.depth);
    }
    mr_put_edges(out, &s->graph, s->column);
    mr_out_open_list(out, "constant_columns");
    for (size_t j = 0; j < s->width; j++)
        if (!varies(s, j)) mr_out_text(out, NULL, "%s", s->names.items[j]);
    mr_out_close(out);
}

/* ---- output: the effect ---- */

static const char *const method_names[] = {"difference of means", "regression adjustment",
                                           "inverse propensity weighting", "doubly robust"};

static bool usable(const study *s, int method) {
    return !s->effects.separated || method < MR_EFFECT_WEIGHTING;
}

static void put_estimate(mr_out *out, const study *s, int method) {
    const mr_effect_estimate *e = &s->effects.by[method];
    double z = mr_normal_quantile(0.5 + s->options->level / 2),
           ends[2] = {mr_clean(e->effect - z * e->se, s->spread), mr_clean(e->effect + z * e->se, s->spread)};
    bool good = usable(s, method);
    mr_out_open_map(out, NULL);
    mr_out_text(out, "method", "%s", method_names[method]);
    mr_out_number(out, "mean_treated", good ? e->mean1 : NAN);
    mr_out_number(out, "mean_untreated", good ? e->mean0 : NAN);
    mr_out_number(out, "effect", good ? mr_clean(e->effect, s->spread) : NAN);
    mr_out_number(out, "standard_error", good ? e->se : NAN);
    if (good) mr_out_numbers(out, "interval", ends, 2);
    mr_out_close(out);
}

static void put_overlap(mr_out *out, const study *s) {
    const mr_effects *e = &s->effects;
    mr_out_open_map(out, "positivity");
    mr_out_number(out, "least_propensity", e->propensity_min);
    mr_out_number(out, "largest_propensity", e->propensity_max);
    mr_out_integer(out, "rows_outside", (int64_t)beyond_overlap(s));
    mr_out_number(out, "effective_treated", usable(s, MR_EFFECT_WEIGHTING) ? e->effective1 : NAN);
    mr_out_number(out, "effective_untreated", usable(s, MR_EFFECT_WEIGHTING) ? e->effective0 : NAN);
    mr_out_bool(out, "separated", e->separated);
    mr_out_integer(out, "trimmed", (int64_t)s->trimmed);
    mr_out_close(out);
}

/* Within three standard errors of their mean, the placebo effects lie around 0. */
static bool placebo_centred(const study *s) {
    return fabs(s->refutation.mean) <= 3 * s->refutation.sd / sqrt((double)s->refutation.runs);
}
static bool cause_harmless(const study *s) {
    return fabs(s->refutation.cause_change) <= s->effects.by[MR_EFFECT_ROBUST].se / 2;
}

static void put_refutations(mr_out *out, const study *s) {
    if (!s->refutation.runs) return;
    mr_out_open_map(out, "refutations");
    mr_out_integer(out, "placebos", (int64_t)s->refutation.runs);
    mr_out_number(out, "placebo_mean", s->refutation.mean);
    mr_out_number(out, "placebo_sd", s->refutation.sd);
    mr_out_number(out, "placebo_p_permutation", s->refutation.p);
    mr_out_bool(out, "placebo_centred", placebo_centred(s));
    mr_out_integer(out, "random_causes", MR_REFUTE_CAUSES);
    mr_out_number(out, "random_cause_change", s->refutation.cause_change);
    mr_out_bool(out, "random_cause_harmless", cause_harmless(s));
    mr_out_close(out);
}

static void put_effect(mr_out *out, const study *s) {
    if (!s->has_effect) return;
    mr_out_text(out, "comparison", "%s by treatment %g against %g", s->outcome, s->high, s->low);
    mr_out_integer(out, "treated", (int64_t)s->effects.treated);
    mr_out_integer(out, "untreated", (int64_t)(s->effects.n - s->effects.treated));
    mr_out_open_list(out, "effects");
    for (int k = 0; k < MR_EFFECT_METHODS; k++) put_estimate(out, s, k);
    mr_out_close(out);
    mr_out_open_list(out, "adjusted_for");
    for (size_t k = 0; k + 1 < s->design.p; k++) mr_put_confounder(out, &s->adjusters[k]);
    mr_out_close(out);
    put_overlap(out, s);
    put_refutations(out, s);
}

/* ---- findings ---- */

static bool outcome_is_constant(const study *s) { return !varies(s, s->features + 1); }

static void effect_finding(mr_out *out, const study *s) {
    int method = usable(s, MR_EFFECT_ROBUST) ? MR_EFFECT_ROBUST : MR_EFFECT_REGRESSION;
    const mr_effect_estimate *e = &s->effects.by[method], *plain = &s->effects.by[MR_EFFECT_DIFFERENCE];
    double z = mr_normal_quantile(0.5 + s->options->level / 2), low = mr_clean(e->effect - z * e->se, s->spread),
           high = mr_clean(e->effect + z * e->se, s->spread);
    bool clear = low > 0 || high < 0, guess = s->effects.separated;
    if (outcome_is_constant(s)) {
        mr_out_finding(out, 0.8, "%s is %.4g in all %zu rows, so no effect on it can show", s->outcome, *s->y, s->effects.n);
        return;
    }
    mr_out_finding(
        out, guess ? 0.6 : clear ? 0.95 : 0.8,
        "%streatment %g instead of %g changes %s by %.4g (%g %% interval %.4g to %.4g, %s, %zu treated and %zu "
        "untreated rows, adjusted for %zu column%s)%s; the naive difference is %.4g",
        guess ? "only by extrapolation, since the columns tell who is treated: " : "", s->high, s->low,
        s->outcome, mr_clean(e->effect, s->spread), 100 * s->options->level, low, high, method_names[method],
        s->effects.treated, s->effects.n - s->effects.treated, s->design.p - 1, s->design.p == 2 ? "" : "s",
        clear || guess ? "" : ": no clear effect", plain->effect);
}

static void confounder_findings(mr_out *out, const study *s) {
    double gap = s->effects.by[MR_EFFECT_DIFFERENCE].effect - s->regression;
    for (size_t k = 0, shown = 0; k + 1 < s->design.p && shown < SHOWN; k++) {
        const mr_confounder *a = &s->adjusters[k];
        if (!a->confounder) continue;
        shown++;
        mr_out_finding(out, 0.6 - 0.02 * (double)shown,
                       "%.80s is a confounder: it is %.2f sd %s in treated rows (Welch t %s) and moves %s by %.3g a sd "
                       "(regression t %s, n = %zu); it accounts for %.3g of the %.3g by which the naive difference misleads",
                       a->name, fabs(a->before), a->before > 0 ? "higher" : "lower", mr_say_p(a->treatment_p).text,
                       s->outcome, a->coefficient, mr_say_p(a->outcome_p).text, s->effects.n, a->bias, gap);
    }
}

static void refutation_finding(mr_out *out, const study *s) {
    if (!s->refutation.runs || outcome_is_constant(s)) return;
    bool good = placebo_centred(s) && cause_harmless(s);
    mr_out_finding(out, good ? 0.4 : 0.75,
                   "%s: %lld placebo treatments have effects of %.3g on average (sd %.2g; permutation p = "
                   "%.2g, n = %zu), and random common causes change the effect by at most %.2g",
                   good ? "the refutations pass" : "a refutation fails", (long long)s->refutation.runs,
                   s->refutation.mean, s->refutation.sd, s->refutation.p, s->effects.n,
                   fabs(s->refutation.cause_change));
}

static void graph_finding(mr_out *out, const study *s) {
    size_t directed = 0, conflicts = 0, w = s->graph.width;
    for (size_t a = 0; a < w; a++)
        for (size_t b = 0; b < w; b++) {
            directed += mr_pc_points(&s->graph, a, b);
            conflicts += a < b && mr_pc_at(&s->graph, a, b)->mark == MR_PC_CONFLICT;
        }
    if (s->graph.edges == 0) {
        mr_out_finding(out, 0.5, "no two of the %zu columns are tied directly (PC, %s at alpha %g, n = %zu)", w, test_name(s),
                       s->options->alpha, s->compared);
        return;
    }
    mr_out_finding(out, 0.5,
                   "%zu of %zu pairs of columns are tied directly, %zu of them with a direction and %zu in "
                   "conflict (PC, %s at alpha %g, n = %zu); this assumes that no common cause is missing from the columns",
                   s->graph.edges, w * (w - 1) / 2, directed, conflicts, test_name(s), s->options->alpha,
                   s->compared);
}

static void put_findings(mr_out *out, const study *s) {
    if (s->has_effect) {
        effect_finding(out, s);
        confounder_findings(out, s);
        refutation_finding(out, s);
    }
    if (s->graph.pair) {
        graph_finding(out, s);
        mr_choice_findings(out, &s->choice, s->column, s->graph.width, s->rows);
    }
    put_warnings(s, out, true);
}

static mr_status process(mr_ctx *ctx, const void *options, const mr_batch *b, mr_out *out) {
    mr_error err = {0};
    study s = {.options = options};
    MR_TRY(mr_tick(ctx));
    mr_status status = load(ctx, b, &s, &err);
    if (status == MR_OK && s.rows < 4)
        status = mr_fail(&err, MR_E_INVALID, "%zu complete rows are too few; give at least 4", s.rows);
    if (status == MR_OK) status = find_graph(ctx, &s, &err);
    if (status == MR_OK && s.has_effect) status = find_effect(ctx, &s, &err);
    if (status != MR_OK) return err.status == MR_OK ? status : refuse(ctx, &err);
    mr_out_integer(out, "rows", (int64_t)s.rows);
    mr_out_integer(out, "missing", (int64_t)s.missing);
    put_graph(out, &s);
    put_effect(out, &s);
    mr_out_open_list(out, "warnings");
    put_warnings(&s, out, false);
    mr_out_close(out);
    put_findings(out, &s);
    return MR_OK;
}

static const char *const undecided[] = {"keep", "remove", NULL};
static const char *const tests[] = {"auto", "fisher_z", "g", "chi_square", "residuals", NULL};
static const char *const transforms[] = {"auto", "none", "normal_scores", NULL};

#define CHOICE(field, default_, list, words)                                                                \
    {.name = #field, .type = MR_OPT_CHOICE, .offset = offsetof(config, field), .def = default_, .choices = list, .help = words}
#define OPTION(field, kind, default_, least, most, words)                                                    \
    {                                                                                                        \
        .name = #field, .type = kind, .offset = offsetof(config, field), .def = default_, .min = least,      \
        .max = most, .help = words                                                                           \
    }
static const mr_option options[] = {
    OPTION(graph, MR_OPT_BOOL, "true", 0, 0, "search the graph"),
    CHOICE(test, "auto", tests,
           "test of independence; auto: g when every column has at most 20 different values and 10 rows "
           "for each, else fisher_z, or residuals where a tie is no straight line and there are 16 columns at most"),
    CHOICE(transform, "auto", transforms,
           "of numbers before they are tested; auto: normal scores of the ranks when a column is not normal and the "
           "test is auto or residuals"),
    CHOICE(undecided, "keep", undecided,
           "what a test that leaves no degrees of freedom does to an edge"),
    OPTION(alpha, MR_OPT_NUMBER, "0.01", 1e-12, 0.5,
           "level of the tests: an edge goes when some p is larger"),
    OPTION(depth, MR_OPT_INT, "-1", -1, MR_GIVEN_MAX, "most columns to condition on; -1: no limit"),
    OPTION(level, MR_OPT_NUMBER, "0.95", 0.5, 0.999, "confidence level of the intervals"),
    OPTION(trim, MR_OPT_NUMBER, "0", 0, 0.4,
           "leave out rows with a propensity outside [trim, 1 - trim], fit again"),
    OPTION(overlap, MR_OPT_NUMBER, "0.01", 0, 0.4,
           "propensities outside [overlap, 1 - overlap] are warned of"),
    OPTION(placebos, MR_OPT_INT, "19", 0, 999, "runs with a placebo treatment; 0: no refutations"),
    MR_OPTION_END};

static const mr_field outputs[] = {
    {"rows", MR_FIELD_INTEGER, "rows", "rows that were used", MR_FOLD_NONE},
    {"missing", MR_FIELD_INTEGER, "rows", "rows left out: treatment or outcome unknown", MR_FOLD_NONE},
    {"test", MR_FIELD_TEXT, NULL, "the test of independence", MR_FOLD_NONE},
    {"transform", MR_FIELD_TEXT, NULL, "none or normal scores: what the test was made on", MR_FOLD_NONE},
    {"not_normal", MR_FIELD_MAP, NULL, "the column that is least like normal: column, test, p; nil: none, or not asked",
     MR_FOLD_NONE},
    {"not_linear", MR_FIELD_MAP, NULL,
     "the first pair found whose tie is no line: column, by, statistic, df, p, rows; nil: none, or not asked",
     MR_FOLD_NONE},
    {"tests", MR_FIELD_INTEGER, NULL, "how many tests were made", MR_FOLD_NONE},
    {"depth", MR_FIELD_INTEGER, "columns", "most columns that were conditioned on", MR_FOLD_NONE},
    {"edges", MR_FIELD_LIST, NULL,
     "maps: from, to, directed, conflict, and the weakest test it survived: statistic, df, p, given",
     MR_FOLD_NONE},
    {"constant_columns", MR_FIELD_LIST, NULL, "columns that hold one value only and were left out",
     MR_FOLD_NONE},
    {"comparison", MR_FIELD_TEXT, NULL, "what is compared; nil without a treatment and an outcome",
     MR_FOLD_NONE},
    {"treated", MR_FIELD_INTEGER, "rows", "rows with the larger treatment value, after trimming",
     MR_FOLD_NONE},
    {"untreated", MR_FIELD_INTEGER, "rows", "rows with the smaller one", MR_FOLD_NONE},
    {"effects", MR_FIELD_LIST, NULL,
     "maps: method, mean_treated and mean_untreated (were all rows so), effect, standard_error, interval",
     MR_FOLD_NONE},
    {"adjusted_for", MR_FIELD_LIST, NULL,
     "maps, largest bias first: column, confounder, bias, balance_before, balance_after, treatment_p_welch_t, coefficient, "
     "outcome_p_t",
     MR_FOLD_NONE},
    {"positivity", MR_FIELD_MAP, NULL, "propensities, effective rows, rows outside the overlap, separation",
     MR_FOLD_NONE},
    {"refutations", MR_FIELD_MAP, NULL,
     "placebo treatments and random common causes, on the doubly robust effect", MR_FOLD_NONE},
    {"warnings", MR_FIELD_LIST, NULL, "what is doubtful, in words", MR_FOLD_NONE},
    {0}};

/* x is what decides on the treatment; numbers by numpy (tests/vectors/causal.py has larger cases). */
static const mr_example examples[] = {
    {"a treatment that follows x, and an outcome of both",
     "x,t,y\n1,0,2\n2,0,3\n3,0,5\n4,0,6\n5,0,8\n2,1,5\n3,1,6\n4,1,8\n5,1,9\n6,1,11\n", NULL,
     "treatment=t outcome=y",
     "{\"rows\": 10, \"treated\": 5, \"comparison\": \"outcome by treatment 1 against 0\", \"warnings\": []}"},
    {"a graph only", "a,b\n1,1.1\n2,2.3\n3,2.8\n4,4.1\n5,5.2\n6,5.9\n", NULL, NULL,
     "{\"test\": \"Fisher z\", \"tests\": 1, \"edges\": [{\"from\": \"a\", \"to\": \"b\", \"directed\": false}]}"},
    {0}};

const mr_component mr_component_causal_inference_analyzer = {
    .name = "causal_inference_analyzer",
    .summary = "finds which columns are tied directly, and what a treatment changes once other columns are accounted for",
    .kind = MR_ANALYZER,
    .shape = MR_WHOLE,
    .tier = 3,
    .version = 2,
    .columns_wanted = MR_COL_FEATURES | MR_COL_TREATMENT | MR_COL_OUTCOME | MR_COL_SCORE | MR_COL_SUCCESS,
    .capabilities = (const char *const[]){"causal graphs", "treatment effects", NULL},
    .options = options,
    .config_size = sizeof(config),
    .outputs = outputs,
    .examples = examples,
    .deadline_ms = 600000,
    .memory_mb = 1024,
    .process = process,
};
