/* insight_generation_engine: what changes over time, which successes are unusual, which columns go with
 * success once the others are accounted for, and what to do first.
 * docs/components/insight_generation_engine.md
 *
 * Partials: worker/kit/insight_rows.h, so any batching gives the same bytes. */
#include "worker/component.h"
#include "worker/kit/advice.h"
#include "worker/kit/insight_rows.h"
#include "worker/kit/put.h"
#include "worker/kit/trend.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    HAMED_RAO_ROWS = 8192,
    TREND_ROWS = 10
};
static const double DAY = 86400, ROBUST_LIMIT = 3.5, TAIL_SHARE = 0.01;

typedef struct config {
    double alpha, level;
    bool autocorrelation;
} config;

static mr_status tick(void *ctx) { return mr_tick(ctx); }
static mr_status refuse(mr_ctx *ctx, const mr_error *err) {
    return mr_refuse(ctx, err->status, "%s", err->text);
}

/* ---- process ---- */

static mr_status process(mr_ctx *ctx, const void *options, const mr_batch *b, mr_out *out) {
    (void)options;
    mr_error err = {0};
    mr_insight_rows s;
    bool bare = !(b->columns & (MR_COL_OUTCOME | MR_COL_SCORE | MR_COL_SUCCESS));
    mr_status status = b->width || bare ? mr_check_features(b, MR_INSIGHT_WIDTH, &err) : MR_OK;
    mr_names names = {b->width, b->feature_names};
    if (status == MR_OK) status = mr_insight_rows_init(&s, mr_ctx_arena(ctx), mr_ctx_seed(ctx), names, &err);
    double *row = mr_ctx_alloc(ctx, (size_t)b->width + MR_INSIGHT_EXTRA, sizeof *row);
    if (status == MR_OK && !row) return MR_E_MEMORY;
    for (uint32_t i = 0; status == MR_OK && i < b->rows; i++) {
        if (i % 256 == 0) MR_TRY(mr_tick(ctx));
        status = mr_insight_rows_add(&s, b, i, row, &err);
    }
    if (status == MR_OK) status = mr_insight_rows_pack(&s, mr_out_partial_buf(out), &err);
    return err.status == MR_OK ? status : refuse(ctx, &err);
}

/* ---- the analysis ---- */

typedef struct movement {
    const char *name;
    mr_trend trend;
    double slope, intercept, holm;
} movement;

typedef struct oddity {
    const char *name;
    uint64_t n;
    double mean, sd, median, mad;
    size_t count; /* outliers by the generalised ESD */
    bool heavy;   /* the values far out are too many to be anomalies */
    mr_outlier step[MR_EXTREMES];
} oddity;

typedef struct analysis {
    const config *options;
    const mr_insight_rows *s;
    const double *x;         /* the sample: rows x width */
    size_t n, width, target; /* target: column of the sample, width when there is none */
    const char **name;
    bool timed;
    movement *moves;
    oddity *odd;
    mr_causal_effect causal;
    mr_advice advice;
    size_t move_count, odd_count;
} analysis;

static double cell(const analysis *a, size_t row, size_t column) { return a->x[row * a->width + column]; }

static bool known(const analysis *a, size_t column) {
    for (size_t i = 0; i < a->n; i++)
        if (!isnan(cell(a, i, column))) return true;
    return false;
}

static mr_status begin(mr_ctx *ctx, const config *c, mr_insight_rows *s, analysis *a, mr_error *err) {
    size_t p = s->names.count;
    MR_TRY(mr_sample_sort(&s->sample, err));
    *a = (analysis){.options = c, .s = s, .x = s->sample.values, .n = s->sample.count, .width = p + MR_INSIGHT_EXTRA};
    a->name = mr_ctx_alloc(ctx, a->width, sizeof *a->name);
    a->moves = mr_ctx_alloc(ctx, p + 3, sizeof *a->moves);
    a->odd = mr_ctx_alloc(ctx, p + MR_INSIGHT_MEASURES, sizeof *a->odd);
    if (!a->name || !a->moves || !a->odd) return mr_fail(err, MR_E_MEMORY, "no memory for %zu columns", p);
    for (size_t j = 0; j < a->width; j++) a->name[j] = j < p ? s->names.items[j] : mr_insight_extra[j - p];
    a->timed = known(a, p + MR_INSIGHT_TIME);
    for (a->target = p; a->target < p + 3 && !known(a, a->target);) a->target++;
    if (a->target == p + 3) a->target = a->width;
    return MR_OK;
}

/* ---- trends ---- */

typedef struct point {
    double t, x;
    size_t row;
} point;

static int by_time(const void *x, const void *y) {
    const point *p = x, *q = y;
    if (p->t != q->t) return p->t < q->t ? -1 : 1;
    return (p->row > q->row) - (p->row < q->row);
}

/* The column in the order of time (in days), or of the rows. */
static size_t series(const analysis *a, size_t column, point *points, double *t, double *x) {
    size_t count = 0, time = a->s->names.count + MR_INSIGHT_TIME;
    for (size_t i = 0; i < a->n; i++) {
        double at = a->timed ? cell(a, i, time) / DAY : (double)a->s->sample.row[i];
        if (isnan(at) || isnan(cell(a, i, column))) continue;
        points[count] = (point){at, cell(a, i, column), count};
        count++;
    }
    if (a->timed) qsort(points, count, sizeof *points, by_time);
    for (size_t i = 0; i < count; i++) {
        t[i] = points[i].t;
        x[i] = points[i].x;
    }
    return count;
}

static mr_status check_autocorrelation(const analysis *a, mr_error *err) {
    if (!a->options->autocorrelation || (a->n == a->s->rows && a->n <= HAMED_RAO_ROWS)) return MR_OK;
    return mr_fail(err, MR_E_INVALID,
                   "autocorrelation=true needs every row in its order and at most %d of them; there are "
                   "%llu: sum the data "
                   "up (by day, say) first",
                   HAMED_RAO_ROWS, (unsigned long long)a->s->rows);
}

static mr_status find_trends(mr_ctx *ctx, analysis *a, mr_error *err) {
    mr_mem mem = mr_arena_mem(mr_ctx_arena(ctx));
    point *points = mr_ctx_alloc(ctx, a->n + 1, sizeof *points);
    double *t = mr_ctx_alloc(ctx, a->n + 1, sizeof *t), *x = mr_ctx_alloc(ctx, a->n + 1, sizeof *x);
    size_t room = ((size_t)MR_THEIL_SEN_ROWS * MR_THEIL_SEN_ROWS + 8 * a->n + 1024) * sizeof(double);
    mr_arena *scratch = mr_arena_new(&mem, 2 * room);
    mr_ticker ticker = {tick, ctx};
    if (!points || !t || !x || !scratch || !mr_arena_alloc(scratch, room, 1))
        return mr_fail(err, MR_E_MEMORY, "no memory for the trends of %zu rows", a->n);
    MR_TRY(check_autocorrelation(a, err));
    for (size_t j = 0; j < a->s->names.count + 3; j++) {
        size_t count = series(a, j, points, t, x);
        movement *m = &a->moves[a->move_count];
        if (count < TREND_ROWS) continue;
        mr_arena_reset(scratch);
        MR_TRY(mr_mann_kendall(t, x, count, scratch, &m->trend, err));
        if (isnan(m->trend.p)) continue;
        if (a->options->autocorrelation) MR_TRY(mr_hamed_rao(x, count, scratch, &ticker, &m->trend, err));
        MR_TRY(mr_theil_sen(t, x, count, scratch, &ticker, &m->slope, &m->intercept, err));
        m->name = a->name[j];
        a->move_count++;
    }
    double p[MR_INSIGHT_WIDTH + 3] = {0}, adjusted[MR_INSIGHT_WIDTH + 3];
    for (size_t i = 0; i < a->move_count; i++) p[i] = a->moves[i].trend.p;
    mr_holm(p, a->move_count, adjusted);
    for (size_t i = 0; i < a->move_count; i++) a->moves[i].holm = adjusted[i];
    return MR_OK;
}

/* ---- anomalies ---- */

/* Median and MAD of the rows of the sample that did not fail. Many values far out are a tail, not anomalies.
 */
static void robust_scale(const analysis *a, size_t column, double *room, oddity *o) {
    size_t count = 0;
    for (size_t i = 0; i < a->n; i++)
        if (!isnan(cell(a, i, column)) && mr_insight_not_failed(a->x + i * a->width + a->s->names.count))
            room[count++] = cell(a, i, column);
    o->median = mr_median(room, count);
    for (size_t i = 0; i < count; i++) room[i] = fabs(room[i] - o->median);
    o->mad = mr_median(room, count);
    size_t far = 0;
    for (size_t i = 0; i < count; i++)
        far += room[i] > 0 && !(mr_robust_z(room[i], 0, o->mad) <= ROBUST_LIMIT);
    o->heavy |= (double)far > 3 + TAIL_SHARE * (double)count;
}

/* Both must agree where the robust z is defined. */
static bool is_odd(const oddity *o, size_t step) {
    double z = mr_robust_z(o->step[step].at.value, o->median, o->mad);
    return step < o->count && !o->heavy && !(fabs(z) <= ROBUST_LIMIT);
}

static size_t odd_rows(const oddity *o) {
    size_t count = 0;
    for (size_t i = 0; i < o->count; i++) count += is_odd(o, i);
    return count;
}

/* Has the column only two values, as yes and no have? Then none of them is unusual. */
static bool two_valued(const mr_extremes *e) {
    double low = e->low[0].value, high = e->high[0].value;
    bool two = true;
    for (uint32_t i = 0; i < e->lows; i++) two &= e->low[i].value == low || e->low[i].value == high;
    for (uint32_t i = 0; i < e->highs; i++) two &= e->high[i].value == low || e->high[i].value == high;
    return two;
}

static mr_status find_anomalies(mr_ctx *ctx, analysis *a, mr_error *err) {
    size_t measures = mr_insight_measures(a->s);
    double *room = mr_ctx_alloc(ctx, a->n + 1, sizeof *room);
    if (!room) return mr_fail(err, MR_E_MEMORY, "no memory for the anomalies of %zu rows", a->n);
    for (size_t j = 0; j < measures; j++) {
        MR_TRY(mr_tick(ctx));
        oddity *o = &a->odd[a->odd_count];
        mr_extremes *e = &a->s->extremes[j];
        size_t most = e->n / 5 < MR_EXTREMES ? e->n / 5 : MR_EXTREMES;
        mr_extremes_moments(e, &o->mean, &o->sd);
        if (!(o->sd > 0) || two_valued(e)) continue;
        o->name = a->name[j];
        o->n = e->n;
        o->count = mr_generalised_esd(e, a->options->alpha / (double)measures, most, o->step);
        o->heavy = o->count > 0 && o->count == most;
        robust_scale(a, j, room, o);
        a->odd_count++;
    }
    return MR_OK;
}

/* ---- adjusted associations ---- */

/* The rows whose target (and treatment, where there is one) is known: features, and treatment behind them. */
static mr_status find_leads(mr_ctx *ctx, analysis *a, mr_error *err) {
    size_t p = a->s->names.count, treatment = p + MR_INSIGHT_TREATMENT, used = 0;
    MR_TRY(mr_causal_effect_read(ctx, &a->causal, err));
    if (a->target == a->width) return MR_OK;
    bool treated = known(a, treatment);
    size_t width = p + treated;
    double *x = mr_ctx_alloc(ctx, a->n * width + 1, sizeof *x), *y = mr_ctx_alloc(ctx, a->n + 1, sizeof *y);
    const char **names = mr_ctx_alloc(ctx, width + 1, sizeof *names);
    if (!x || !y || !names)
        return mr_fail(err, MR_E_MEMORY, "no memory for the associations of %zu columns", p);
    for (size_t j = 0; j < width; j++) names[j] = a->name[j < p ? j : treatment];
    for (size_t i = 0; i < a->n; i++) {
        double target = cell(a, i, a->target);
        if (isnan(target) || (treated && isnan(cell(a, i, treatment)))) continue;
        if (p) memcpy(x + used * width, a->x + i * a->width, p * sizeof *x);
        if (treated) x[used * width + p] = cell(a, i, treatment);
        y[used++] = target;
    }
    a->advice = (mr_advice){.used = used, .target = a->name[a->target], .alpha = a->options->alpha,
                            .level = a->options->level, .causal = &a->causal};
    return mr_advise(x, names, y, used, width, treated, (double)used / (double)a->n, mr_ctx_arena(ctx),
                     &(mr_ticker){tick, ctx}, &a->advice, err);
}

/* ---- output ---- */

static void put_trends(mr_out *out, const analysis *a) {
    mr_out_open_list(out, "trends");
    for (size_t i = 0; i < a->move_count; i++) {
        const movement *m = &a->moves[i];
        mr_out_open_map(out, NULL);
        mr_out_text(out, "measure", "%s", m->name);
        mr_out_integer(out, "n", (int64_t)m->trend.n);
        mr_out_text(out, "test", "Mann-Kendall%s", a->options->autocorrelation ? " (Hamed-Rao)" : "");
        mr_out_number(out, "s", m->trend.s);
        mr_out_number(out, "z", m->trend.z);
        mr_out_number(out, "p", m->trend.p);
        mr_out_number(out, "p_holm", m->holm);
        mr_out_number(out, "tau", m->trend.tau);
        mr_out_number(out, "slope", m->slope);
        mr_out_number(out, "intercept", m->intercept);
        mr_out_text(out, "per", "%s", a->timed ? "day" : "row");
        mr_out_number(out, "variance_factor", m->trend.factor);
        mr_out_close(out);
    }
    mr_out_close(out);
}

static void put_odd_row(mr_out *out, const oddity *o, size_t i) {
    mr_out_open_map(out, NULL);
    mr_out_integer(out, "row", (int64_t)o->step[i].at.row);
    mr_out_number(out, "value", o->step[i].at.value);
    mr_out_number(out, "distance", o->step[i].distance);
    mr_out_number(out, "critical", o->step[i].critical);
    mr_out_number(out, "robust_z", mr_robust_z(o->step[i].at.value, o->median, o->mad));
    mr_out_close(out);
}

static void put_anomalies(mr_out *out, const analysis *a) {
    mr_out_open_list(out, "anomalies");
    for (size_t k = 0; k < a->odd_count; k++) {
        const oddity *o = &a->odd[k];
        if (!o->count && !o->heavy) continue;
        mr_out_open_map(out, NULL);
        mr_out_text(out, "measure", "%s", o->name);
        mr_out_integer(out, "n", (int64_t)o->n);
        mr_out_number(out, "mean", o->mean);
        mr_out_number(out, "sd", o->sd);
        mr_out_number(out, "median", o->median);
        mr_out_number(out, "mad", o->mad);
        mr_out_bool(out, "heavy_tailed", o->heavy);
        mr_out_open_list(out, "rows");
        for (size_t i = 0; i < o->count; i++)
            if (is_odd(o, i)) put_odd_row(out, o, i);
        mr_out_close(out);
        mr_out_close(out);
    }
    mr_out_close(out);
}

static size_t trend_findings(mr_out *out, const analysis *a) {
    size_t found = 0;
    for (size_t i = 0; i < a->move_count; i++) {
        const movement *m = &a->moves[i];
        char slope[64] = "";
        if (!(m->holm < a->options->alpha)) continue;
        found++;
        if (m->slope != 0) snprintf(slope, sizeof slope, ", %.3g a %s (Theil-Sen)", m->slope, a->timed ? "day" : "row");
        mr_out_finding(out, 0.3 + 0.5 * fabs(m->trend.tau),
                       "%.60s %s %s: tau %.2f%s; Mann-Kendall%s %s, after Holm's correction %s, n = %zu", m->name,
                       m->trend.s > 0 ? "rises" : "falls", a->timed ? "over time" : "in the order of the rows", m->trend.tau,
                       slope, a->options->autocorrelation ? " (Hamed-Rao)" : "", mr_say_p(m->trend.p).text,
                       mr_say_p(m->holm).text, m->trend.n);
    }
    return found;
}

static void tail_finding(mr_out *out, const analysis *a) {
    size_t heavy = 0, first = 0;
    for (size_t k = a->odd_count; k-- > 0;)
        if (a->odd[k].heavy) {
            heavy++;
            first = k;
        }
    if (heavy)
        mr_out_finding(
            out, 0.15,
            "%zu of %zu measures %s a heavy tail (%.60s%s), so none of their rows is called unusual", heavy,
            a->odd_count, heavy == 1 ? "has" : "have", a->odd[first].name, heavy > 1 ? " and more" : "");
}

static size_t anomaly_findings(mr_out *out, const analysis *a) {
    size_t found = 0;
    for (size_t k = 0; k < a->odd_count; k++) {
        const oddity *o = &a->odd[k];
        size_t rows = odd_rows(o), first = 0;
        if (!rows) continue;
        found++;
        while (!is_odd(o, first)) first++;
        mr_out_finding(
            out, 0.45,
            "%zu of %llu rows that did not fail %s an unusual %.60s, most of all row %llu with %.4g (median "
            "%.4g; %.1f sd from the mean; generalised ESD at alpha %.2g)",
            rows, (unsigned long long)o->n, rows == 1 ? "has" : "have", o->name,
            (unsigned long long)o->step[first].at.row, o->step[first].at.value, o->median,
            o->step[first].distance, a->options->alpha / (double)mr_insight_measures(a->s));
    }
    tail_finding(out, a);
    return found;
}

/* Silence would leave open whether anything was looked at. */
static void nothing_finding(mr_out *out, const analysis *a) {
    const mr_advice *v = &a->advice;
    size_t columns = a->s->names.count + known(a, a->s->names.count + MR_INSIGHT_TREATMENT);
    if (v->used > 0 && !(v->sd > 0))
        mr_out_finding(out, 0.2, "%s is the same in all %zu rows, so nothing can be said of what goes with it",
                       v->target, v->used);
    else if (v->count == 0 && columns > 0)
        mr_out_finding(out, 0.2, "%zu row%s with %s %s too few to tell what goes with it: %zu column%s need %zu", v->used,
                       v->used == 1 ? "" : "s", v->target, v->used == 1 ? "is" : "are", columns, columns == 1 ? "" : "s",
                       2 * (columns + 1) + 3);
    else
        mr_out_finding(out, 0.1, "nothing stands out at alpha %g: %zu columns asked for what goes with %s (%zu rows), %zu for a "
                       "trend, %zu for unusual rows", a->options->alpha, v->count, v->target, v->used, a->move_count,
                       a->odd_count);
}

static void put_result(mr_out *out, analysis *a) {
    mr_out_integer(out, "rows", (int64_t)a->s->rows);
    mr_out_integer(out, "sampled", (int64_t)a->n);
    mr_out_integer(out, "not_failed", (int64_t)a->s->kept);
    if (a->target < a->width) mr_out_text(out, "target", "%s", a->name[a->target]);
    put_trends(out, a);
    put_anomalies(out, a);
    mr_advice_put(out, &a->advice);
    size_t found = mr_advice_findings(out, &a->advice) + trend_findings(out, a) + anomaly_findings(out, a);
    if (!found && a->target < a->width) nothing_finding(out, a);
    if (a->target == a->width)
        mr_out_finding(
            out, 0.1,
            "the rows carry no outcome, score or success, so nothing is said of what helps (%llu rows)",
            (unsigned long long)a->s->rows);
}

static mr_status analyse(mr_ctx *ctx, const config *c, mr_insight_rows *s, mr_out *out, mr_error *err) {
    analysis a;
    MR_TRY(begin(ctx, c, s, &a, err));
    MR_TRY(find_trends(ctx, &a, err));
    MR_TRY(find_anomalies(ctx, &a, err));
    MR_TRY(find_leads(ctx, &a, err));
    put_result(out, &a);
    mr_causal_effect_put(out, &a.causal, mr_advice_tells_causal(&a.advice));
    return MR_OK;
}

static mr_status merge(mr_ctx *ctx, const void *options, const mr_partials *partials, mr_out *out) {
    mr_error err = {0};
    mr_status status = MR_OK;
    mr_insight_rows s = {0};
    for (uint32_t i = 0; status == MR_OK && i < partials->count; i++) {
        MR_TRY(mr_tick(ctx));
        status = mr_insight_rows_add_packed(&s, mr_ctx_arena(ctx), mr_ctx_seed(ctx), partials->items[i], i == 0, &err);
    }
    if (status == MR_OK)
        status = partials->last ? analyse(ctx, options, &s, out, &err)
                                : mr_insight_rows_pack(&s, mr_out_partial_buf(out), &err);
    return err.status == MR_OK ? status : refuse(ctx, &err);
}

/* ---- descriptor ---- */

static const mr_option options[] = {
    {.name = "alpha",
     .type = MR_OPT_NUMBER,
     .offset = offsetof(config, alpha),
     .def = "0.01",
     .min = 1e-9,
     .max = 0.5,
     .help = "level of trends, anomalies and effects, corrected for the number of columns"},
    {.name = "level",
     .type = MR_OPT_NUMBER,
     .offset = offsetof(config, level),
     .def = "0.95",
     .min = 0.5,
     .max = 0.999,
     .help = "confidence level of the intervals"},
    {.name = "autocorrelation",
     .type = MR_OPT_BOOL,
     .offset = offsetof(config, autocorrelation),
     .def = "false",
     .help = "correct trends for autocorrelation (Hamed-Rao); at most 8192 rows"},
    MR_OPTION_END};

static const mr_field outputs[] = {
    {"rows", MR_FIELD_INTEGER, "rows", "rows that were seen", MR_FOLD_NONE},
    {"sampled", MR_FIELD_INTEGER, "rows", "rows that trends, effects and medians rest on", MR_FOLD_NONE},
    {"not_failed", MR_FIELD_INTEGER, "rows", "rows that did not fail, among which anomalies are sought",
     MR_FOLD_NONE},
    {"target", MR_FIELD_TEXT, NULL, "what effects are on: outcome, score or success", MR_FOLD_NONE},
    {"trends", MR_FIELD_LIST, NULL,
     "maps: measure, n, test, s, z, p, p_holm, tau, slope, intercept, per, variance_factor", MR_FOLD_NONE},
    {"anomalies", MR_FIELD_LIST, NULL,
     "maps: measure, n, mean, sd, median, mad, heavy_tailed, rows: maps of row, value, distance, critical, "
     "robust_z",
     MR_FOLD_NONE},
    {"effects", MR_FIELD_LIST, NULL,
     "maps, most important first: column, n, coefficient for one step, step, interval, test, df, p, p_holm, "
     "effect (in sd "
     "of the target), support, naive (the column by itself), naive_p_holm, vanished (naive alone), basis",
     MR_FOLD_NONE},
    {"recommendations", MR_FIELD_LIST, NULL,
     "maps, first things first: column, direction, priority = effect x support, basis, evidence", MR_FOLD_NONE},
    {"causal_from", MR_FIELD_MAP, NULL, "the causal result that is cited, when one was given: component, artifact, run, hash",
     MR_FOLD_NONE},
    {"causal", MR_FIELD_MAP, NULL,
     "its effect: comparison, method, effect, interval, naive, rows, adjusted_for, vanished", MR_FOLD_NONE},
    {0}};

static const mr_example examples[] = {
    {"a rising score", "x,score\n1,0.1\n2,0.2\n3,0.15\n4,0.3\n5,0.4\n6,0.35\n7,0.5\n8,0.6\n9,0.7\n10,0.8\n",
     NULL, "score=score", "{\"rows\": 10, \"target\": \"score\", \"anomalies\": []}"},
    {0}};

const mr_component mr_component_insight_generation_engine = {
    .name = "insight_generation_engine",
    .summary = "finds trends, unusual successes and what goes with success, and says what to do first",
    .kind = MR_ANALYZER,
    .shape = MR_MERGE,
    .tier = 2,
    .version = 3,
    .columns_wanted =
        MR_COL_FEATURES | MR_COL_OUTCOME | MR_COL_SCORE | MR_COL_SUCCESS | MR_COL_TREATMENT | MR_COL_TIME,
    .batch_rows = 4096,
    .capabilities = (const char *const[]){"trends", "anomalies", "recommendations", NULL},
    .depends_on = (const mr_dependency[]){{"causal_inference_analyzer", NULL, MR_USE_INPUT}, {0}},
    .options = options,
    .config_size = sizeof(config),
    .outputs = outputs,
    .examples = examples,
    .deadline_ms = 120000,
    .memory_mb = 512,
    .process = process,
    .merge = merge,
};
