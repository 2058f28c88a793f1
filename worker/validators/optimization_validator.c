/* optimization_validator: did an optimisation help? A bootstrap interval and a test of the difference (of
 * pairs where there are any), what is believed of it, less noise by an earlier measure (CUPED), and how
 * strong something unmeasured would have to be to explain it. docs/components/optimization_validator.md */
#include "worker/component.h"
#include "worker/kit/put.h"
#include "worker/kit/comparison.h"
#include "worker/kit/dist.h"
#include "worker/kit/posterior.h"
#include "worker/kit/roles.h"
#include "worker/kit/sensitivity.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const double VALUE_MAX = 1e140;
enum { PAIRS_AUTO, PAIRS_SESSION, PAIRS_NONE };
enum { HIGHER, LOWER };

typedef struct config {
    double alpha, level, margin;
    int64_t resamples, better, pairs, interval;
    char pre[MR_OPTION_TEXT];
} config;

typedef enum layout { BY_GROUP, BY_SESSION, BY_ROW, NOTHING } layout;

/* What the rows hold. Group 1 is the larger treatment. In pairs, group 1 has the differences and group 0 is
 * empty. */
typedef struct sample {
    layout layout;
    const char *measure, *pre_name;
    double low, high; /* the treatments */
    double *y[2], *pre[2];
    size_t n[2], left_out, repeated; /* rows left out; rows whose session has several in their group */
    double mean[2];
    bool binary;
    double hits[2];
} sample;

static mr_status tick(void *ctx) { return mr_tick(ctx); }

/* ---- rows ---- */

/* The feature that holds the earlier measure: the one that `pre` names, else one with a usual name. -1: none.
 */
static mr_status find_pre(mr_ctx *ctx, const mr_batch *b, const config *c, long *at) {
    static const char *const usual[] = {"pre", "before", "baseline", NULL};
    *at = -1;
    for (uint32_t j = 0; j < b->width; j++) {
        if (c->pre[0] && strcmp(b->feature_names[j], c->pre) == 0) *at = (long)j;
        for (int k = 0; !c->pre[0] && *at < 0 && usual[k]; k++)
            if (strcasecmp(b->feature_names[j], usual[k]) == 0) *at = (long)j;
    }
    if (*at >= 0 || !c->pre[0]) return MR_OK;
    return mr_refuse(ctx, MR_E_INVALID, "there is no feature column '%.80s' to take the earlier measure from",
                     c->pre);
}

static mr_status check_number(mr_ctx *ctx, const mr_batch *b, uint32_t i, double v, const char *what) {
    if (fabs(v) <= VALUE_MAX) return MR_OK;
    return mr_refuse(ctx, MR_E_INVALID, "row %llu has the %s %g; numbers beyond 1e140 cannot be used",
                     (unsigned long long)(b->first + i), what, v);
}

static mr_status find_treatments(mr_ctx *ctx, const mr_batch *b, const double *t, sample *s) {
    s->low = INFINITY, s->high = -INFINITY;
    for (uint32_t i = 0; i < b->rows; i++) {
        s->low = fmin(s->low, t[i]);
        s->high = fmax(s->high, t[i]);
    }
    for (uint32_t i = 0; i < b->rows; i++)
        if (!isnan(t[i]) && t[i] != s->low && t[i] != s->high)
            return mr_refuse(
                ctx, MR_E_INVALID,
                "row %llu has treatment %g beside %g and %g; before and after are two values, so give a "
                "column with two",
                (unsigned long long)(b->first + i), t[i], s->low, s->high);
    return MR_OK;
}

/* A usable row: its session, group, value and earlier measure. */
typedef struct entry {
    mr_span session;
    uint32_t row;
    int group;
    double y, pre;
} entry;

static int by_session(const void *p, const void *q) {
    const entry *x = p, *y = q;
    size_t n = x->session.len < y->session.len ? x->session.len : y->session.len;
    int c = n ? memcmp(x->session.data, y->session.data, n) : 0;
    if (c == 0) c = (x->session.len > y->session.len) - (x->session.len < y->session.len);
    return c ? c : (x->row > y->row) - (x->row < y->row);
}

static mr_status collect(mr_ctx *ctx, const mr_batch *b, const double *t, const double *y, long pre,
                         sample *s, entry *entries, size_t *count) {
    const mr_span *session = b->text[MR_TEXT_SESSION];
    for (uint32_t i = 0; i < b->rows; i++) {
        double earlier = pre >= 0 ? b->features[(size_t)i * b->width + (size_t)pre] : NAN;
        bool known = !isnan(y[i]) && (t ? !isnan(t[i]) : !isnan(earlier));
        if (!known) {
            s->left_out++;
            continue;
        }
        MR_TRY(check_number(ctx, b, i, y[i], s->measure));
        if (!isnan(earlier)) MR_TRY(check_number(ctx, b, i, earlier, "earlier measure"));
        entries[(*count)++] =
            (entry){session ? session[i] : (mr_span){NULL, 0}, i, t && t[i] != s->low, y[i], earlier};
    }
    return MR_OK;
}

/* A missing earlier measure is NaN; then CUPED is left alone. */
static void add(sample *s, int group, double y, double pre) {
    s->pre[group][s->n[group]] = pre;
    s->y[group][s->n[group]++] = y;
}

static bool same_session(const entry *x, const entry *y) { return mr_span_eq(x->session, y->session); }

/* One difference for each session with rows in both groups: mean of its treated minus mean of its other rows.
 */
static void pair_sessions(sample *s, const entry *e, size_t count) {
    double total[2] = {0, 0};
    for (size_t i = 0, j; i < count; i = j) {
        double sum[2] = {0, 0}, rows[2] = {0, 0};
        for (j = i; j < count && same_session(&e[i], &e[j]); j++) {
            sum[e[j].group] += e[j].y;
            rows[e[j].group] += 1;
        }
        if (!e[i].session.len || rows[0] == 0 || rows[1] == 0) {
            s->left_out += j - i;
            continue;
        }
        for (int k = 0; k < 2; k++) total[k] += sum[k] / rows[k];
        add(s, 1, sum[1] / rows[1] - sum[0] / rows[0], NAN);
    }
    for (int k = 0; k < 2; k++) s->mean[k] = total[k] / (double)s->n[1];
}

static void pair_rows(sample *s, const entry *e, size_t count) {
    for (size_t i = 0; i < count; i++) {
        add(s, 1, e[i].y - e[i].pre, NAN);
        s->mean[1] += e[i].y / (double)count;
        s->mean[0] += e[i].pre / (double)count;
    }
}

static void split_groups(sample *s, const entry *e, size_t count) {
    s->binary = true;
    for (size_t i = 0; i < count; i++) {
        add(s, e[i].group, e[i].y, e[i].pre);
        s->mean[e[i].group] += e[i].y;
        s->binary &= e[i].y == 0 || e[i].y == 1;
        bool again = i > 0 && e[i].session.len && same_session(&e[i], &e[i - 1]);
        s->repeated += again;
    }
    for (int k = 0; k < 2; k++) {
        s->hits[k] = s->mean[k];
        s->mean[k] = s->n[k] ? s->mean[k] / (double)s->n[k] : NAN;
    }
}

/* Sessions with rows in both groups; `sessions`: all that have a name. */
static size_t count_pairs(const entry *e, size_t count, size_t *sessions) {
    size_t pairs = 0;
    *sessions = 0;
    for (size_t i = 0, j; i < count; i = j) {
        bool seen[2] = {false, false};
        for (j = i; j < count && same_session(&e[i], &e[j]); j++) seen[e[j].group] = true;
        *sessions += e[i].session.len > 0;
        pairs += e[i].session.len > 0 && seen[0] && seen[1];
    }
    return pairs;
}

static layout choose_layout(const config *c, bool treated, const entry *e, size_t count) {
    size_t sessions, pairs = count_pairs(e, count, &sessions);
    if (!treated) return BY_ROW;
    if (c->pairs == PAIRS_NONE) return BY_GROUP;
    return c->pairs == PAIRS_SESSION || (pairs >= 2 && 2 * pairs >= sessions) ? BY_SESSION : BY_GROUP;
}

static mr_status load(mr_ctx *ctx, const mr_batch *b, const config *c, sample *s) {
    const double *t = mr_role_numbers(b, MR_NUM_TREATMENT), *y = mr_role_outcome(b, &s->measure);
    long pre;
    size_t count = 0, room = (size_t)b->rows + 1;
    MR_TRY(find_pre(ctx, b, c, &pre));
    s->layout = NOTHING;
    if (!y || (!t && pre < 0)) return MR_OK;
    if (t) MR_TRY(find_treatments(ctx, b, t, s));
    if (pre >= 0) s->pre_name = b->feature_names[pre];
    entry *entries = mr_ctx_alloc(ctx, room, sizeof *entries);
    double *numbers = mr_ctx_alloc(ctx, 4 * room, sizeof *numbers);
    if (!entries || !numbers) return MR_E_MEMORY;
    for (size_t k = 0; k < 2; k++) {
        s->y[k] = numbers + k * room;
        s->pre[k] = numbers + (2 + k) * room;
    }
    MR_TRY(collect(ctx, b, t, y, pre, s, entries, &count));
    qsort(entries, count, sizeof *entries, by_session);
    s->layout = choose_layout(c, t != NULL, entries, count);
    if (s->layout == BY_SESSION)
        pair_sessions(s, entries, count);
    else if (s->layout == BY_ROW)
        pair_rows(s, entries, count);
    else
        split_groups(s, entries, count);
    return MR_OK;
}

static bool paired(const sample *s) { return s->layout == BY_SESSION || s->layout == BY_ROW; }

static mr_status estimate(mr_ctx *ctx, const config *c, const sample *s, mr_comparison *plain, mr_cuped *q) {
    mr_samples rows = {
        .y = {s->y[0], s->y[1]}, .pre = {s->pre[0], s->pre[1]}, .n = {s->n[0], s->n[1]}, .pairs = paired(s)};
    mr_error err = {0};
    mr_ticker ticker = {tick, ctx};
    unsigned rounds = (unsigned)c->resamples;
    mr_status status =
        mr_compare(&rows, c->level, rounds, (mr_boot)c->interval, mr_ctx_rng(ctx), mr_ctx_arena(ctx), &ticker,
                   plain, &err);
    if (status == MR_OK && s->layout == BY_GROUP && s->pre_name)
        status = mr_cuped_compare(&rows, plain, c->level, rounds, (mr_boot)c->interval, mr_ctx_rng(ctx),
                                  mr_ctx_arena(ctx), &ticker, q, &err);
    return status;
}

/* ---- sensitivity ---- */

typedef struct doubt {
    double ratio, e_value, e_limit; /* risk ratio, or what stands for it */
    double gamma, signed_rank_p;
} doubt;

/* Risk ratio of two rates with its Wald interval on the log; 0.5 is added where a count is 0. */
static void ratio_of_rates(const sample *s, double z, doubt *d) {
    double add = s->hits[0] == 0 || s->hits[1] == 0 ? 0.5 : 0;
    double k1 = s->hits[1] + add, k0 = s->hits[0] + add, n1 = (double)s->n[1] + add,
           n0 = (double)s->n[0] + add;
    double se = sqrt(1 / k1 - 1 / n1 + 1 / k0 - 1 / n0);
    d->ratio = k1 / n1 / (k0 / n0);
    d->e_limit = mr_e_value_limit(d->ratio * exp(-z * se), d->ratio * exp(z * se));
}

/* A difference of means stands for the risk ratio exp(0.91 d) (VanderWeele and Ding 2017). */
static void ratio_of_means(const mr_comparison *e, bool pairs, double z, doubt *d) {
    double n1 = (double)e->of[1].n, n0 = (double)e->of[0].n;
    double sd = pairs ? sqrt(e->of[1].var)
                      : sqrt(((n1 - 1) * e->of[1].var + (n0 - 1) * e->of[0].var) / (n1 + n0 - 2));
    double cohen = e->difference / sd, se = e->se / sd;
    d->ratio = exp(0.91 * cohen);
    d->e_limit = mr_e_value_limit(exp(0.91 * (cohen - z * se)), exp(0.91 * (cohen + z * se)));
}

static mr_status doubt_it(mr_ctx *ctx, const config *c, const sample *s, const mr_comparison *e, doubt *d) {
    double z = mr_normal_quantile(0.5 + c->level / 2);
    *d = (doubt){NAN, NAN, NAN, NAN, NAN};
    if (s->binary)
        ratio_of_rates(s, z, d);
    else
        ratio_of_means(e, paired(s), z, d);
    d->e_value = mr_e_value(d->ratio);
    if (!paired(s)) return MR_OK;
    double *scratch = mr_ctx_alloc(ctx, 2 * s->n[1], sizeof *scratch);
    if (!scratch) return MR_E_MEMORY;
    mr_signed_ranks ranks = mr_sign_ranks(s->y[1], s->n[1], scratch);
    bool up = e->difference > 0;
    d->gamma = mr_rosenbaum_gamma(&ranks, c->alpha / 2, up);
    d->signed_rank_p = fmin(1, 2 * fmin(mr_rosenbaum_p(&ranks, 1, true), mr_rosenbaum_p(&ranks, 1, false)));
    return MR_OK;
}

static mr_posterior believe(const config *c, const sample *s, const mr_comparison *e) {
    if (paired(s)) return mr_posterior_mean(&e->of[1], c->level);
    if (s->binary)
        return mr_posterior_rates(s->hits[1], (double)s->n[1], s->hits[0], (double)s->n[0], c->level);
    return mr_posterior_means(&e->of[1], &e->of[0], c->level);
}

/* ---- verdict ---- */

static const char *verdict_of(const config *c, const mr_comparison *e) {
    bool sure = e->test.p < c->alpha && (e->boot.low > 0 || e->boot.high < 0);
    if (sure && (e->boot.low > c->margin || e->boot.high < -c->margin))
        return (e->boot.low > 0) == (c->better == HIGHER) ? "helped" : "harmed";
    if (c->margin > 0 && e->boot.low > -c->margin && e->boot.high < c->margin) return "no change that matters";
    return "inconclusive";
}

static bool enough(const sample *s) {
    return s->layout != NOTHING && s->n[1] >= 2 && (paired(s) || s->n[0] >= 2);
}

static void put_nothing(mr_out *out, const mr_batch *b, const sample *s) {
    const char *why = s->layout == NOTHING ? "the rows carry no treatment (or earlier measure) and outcome"
                      : paired(s)          ? "there are fewer than two pairs"
                                           : "a group has fewer than two rows";
    mr_out_text(out, "verdict", "inconclusive");
    mr_out_text(out, "reason", "%s", why);
    mr_out_integer(out, "rows", b->rows);
    mr_out_integer(out, "left_out", (int64_t)s->left_out);
    mr_out_finding(out, 0, "inconclusive: %s (%u rows)", why, b->rows);
}

/* ---- output ---- */

static void put_estimate(mr_out *out, const mr_comparison *e) {
    mr_out_number(out, "difference", e->difference);
    mr_out_number(out, "standard_error", e->se);
    mr_out_numbers(out, "bca_interval", (double[]){e->boot.bca_low, e->boot.bca_high}, 2);
    mr_out_numbers(out, "bootstrap_t_interval", (double[]){e->boot.t_low, e->boot.t_high}, 2);
    mr_out_numbers(out, "t_interval", (double[]){e->t_low, e->t_high}, 2);
    mr_out_text(out, "test", "%s", e->test.name);
    mr_out_number(out, "statistic", e->test.statistic);
    mr_out_number(out, "df", e->test.df);
    mr_out_number(out, "p", e->test.p);
}

static void put_cuped(mr_out *out, const sample *s, const mr_cuped *q) {
    if (!q->done) return;
    mr_out_open_map(out, "cuped");
    mr_out_text(out, "pre", "%s", s->pre_name);
    mr_out_number(out, "theta", q->theta);
    mr_out_number(out, "correlation", q->correlation);
    mr_out_number(out, "variance_reduction", q->reduction);
    mr_out_number(out, "balance_p_welch_t", q->balance.p);
    put_estimate(out, &q->adjusted);
    mr_out_close(out);
}

static void put_bayes(mr_out *out, const config *c, const mr_posterior *p) {
    bool higher = c->better == HIGHER;
    mr_out_open_map(out, "bayes");
    mr_out_number(out, "probability_helped", higher ? p->above : 1 - p->above);
    mr_out_number(out, "expected_loss", p->loss);
    mr_out_numbers(out, "interval", (double[]){p->low, p->high}, 2);
    mr_out_close(out);
}

static void put_doubt(mr_out *out, const doubt *d) {
    mr_out_open_map(out, "sensitivity");
    mr_out_number(out, "risk_ratio", d->ratio);
    mr_out_number(out, "e_value", d->e_value);
    mr_out_number(out, "e_value_limit", d->e_limit);
    mr_out_number(out, "rosenbaum_gamma", d->gamma);
    mr_out_number(out, "signed_rank_p", d->signed_rank_p);
    mr_out_close(out);
}

static const char *layout_name(const sample *s) {
    return s->layout == BY_SESSION ? "pairs by session" : s->layout == BY_ROW ? "pairs by row" : "two groups";
}

static void put_findings(mr_out *out, const config *c, const sample *s, const mr_comparison *e,
                         const mr_posterior *p, const doubt *d, const mr_cuped *q) {
    const char *verdict = verdict_of(c, e);
    double helped = c->better == HIGHER ? p->above : 1 - p->above;
    char rows[96];
    if (!(e->se > 0)) {
        mr_out_finding(out, 0.6, "inconclusive: %s does not vary (%.4g and %.4g, n = %zu and %zu), so no test can be made",
                       s->measure, s->mean[0], s->mean[1], s->n[1], s->n[paired(s)]);
        return;
    }
    if (paired(s))
        snprintf(rows, sizeof rows, "%zu %s", s->n[1], layout_name(s));
    else
        snprintf(rows, sizeof rows, "n = %zu and %zu", s->n[1], s->n[0]);
    mr_out_finding(out, strcmp(verdict, "inconclusive") ? 0.9 : 0.6,
                   "%s: %s went from %.4g to %.4g, a difference of %.4g%s (%g %% %s interval %.4g to %.4g; "
                   "%s %s; %s); "
                   "the probability that it helped is %.3g",
                   verdict, s->measure, s->mean[0], s->mean[1], mr_clean(e->difference, e->se), q->done ? " after CUPED" : "",
                   100 * c->level, e->boot.name, e->boot.low, e->boot.high, e->test.name, mr_say_p(e->test.p).text, rows, helped);
    if (d->e_limit > 1)
        mr_out_finding(out, 0.5,
                       "to explain this away, something unmeasured would have to be tied to both treatment "
                       "and %s by a risk "
                       "ratio of %.2f each (%.2f to bring the interval to no effect)",
                       s->measure, d->e_value, d->e_limit);
    if (q->done)
        mr_out_finding(
            out, 0.4,
            "%.80s explains part of the noise: the variance of the difference falls by %.0f %% (CUPED, "
            "correlation %.2f, n = %zu)",
            s->pre_name, 100 * q->reduction, q->correlation, s->n[0] + s->n[1]);
    if (q->done && q->balance.p < 0.001)
        mr_out_finding(out, 0.7,
                       "%.80s already differed between the groups (Welch t p = %.2g, n = %zu and %zu): they "
                       "were not made at "
                       "random, so see causal_inference_analyzer",
                       s->pre_name, q->balance.p, s->n[1], s->n[0]);
    if (s->repeated)
        mr_out_finding(out, 0.7,
                       "%zu rows share their session with another row and are counted as independent; the "
                       "intervals may be "
                       "too narrow",
                       s->repeated);
}

static mr_status process(mr_ctx *ctx, const void *options, const mr_batch *b, mr_out *out) {
    const config *c = options;
    sample s = {0};
    mr_comparison plain = {0};
    mr_cuped q = {0};
    doubt d;
    MR_TRY(mr_tick(ctx));
    MR_TRY(load(ctx, b, c, &s));
    if (!enough(&s)) {
        put_nothing(out, b, &s);
        return MR_OK;
    }
    MR_TRY(estimate(ctx, c, &s, &plain, &q));
    const mr_comparison *e = q.done ? &q.adjusted : &plain;
    MR_TRY(doubt_it(ctx, c, &s, &plain, &d));
    mr_posterior p = believe(c, &s, &plain);
    if (c->better == LOWER) p.loss += plain.difference; /* E max(x, 0) = E max(-x, 0) + E x */
    mr_out_text(out, "verdict", "%s", verdict_of(c, e));
    mr_out_text(out, "reason", "%s %s, %s interval [%.4g, %.4g]%s", e->test.name, mr_say_p(e->test.p).text,
                e->boot.name, e->boot.low, e->boot.high, q.done ? " after CUPED" : "");
    mr_out_text(out, "layout", "%s", layout_name(&s));
    mr_out_text(out, "measure", "%s", s.measure);
    mr_out_integer(out, "rows", b->rows);
    mr_out_integer(out, "left_out", (int64_t)s.left_out);
    mr_out_integer(out, "n_treated", (int64_t)s.n[1]);
    mr_out_integer(out, "n_control", (int64_t)s.n[paired(&s)]);
    mr_out_number(out, "mean_treated", s.mean[1]);
    mr_out_number(out, "mean_control", s.mean[0]);
    put_estimate(out, &plain);
    put_cuped(out, &s, &q);
    put_bayes(out, c, &p);
    put_doubt(out, &d);
    put_findings(out, c, &s, e, &p, &d, &q);
    return MR_OK;
}

/* ---- descriptor ---- */

static const char *const directions[] = {"higher", "lower", NULL}, *const pairings[] = {"auto", "session",
                                                                                        "none", NULL};

static const char *const intervals[] = {"bootstrap_t", "bca", NULL}; /* as mr_boot */

static const mr_option options[] = {
    {.name = "better",
     .type = MR_OPT_CHOICE,
     .offset = offsetof(config, better),
     .def = "higher",
     .choices = directions,
     .help = "which values of the measure are better"},
    {.name = "pairs",
     .type = MR_OPT_CHOICE,
     .offset = offsetof(config, pairs),
     .def = "auto",
     .choices = pairings,
     .help = "compare rows of one session; auto: when at least half of the sessions have both treatments"},
    {.name = "pre",
     .type = MR_OPT_TEXT,
     .offset = offsetof(config, pre),
     .def = "",
     .help = "feature column with the measure before the change; empty: one named pre, before or baseline"},
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
    {.name = "margin",
     .type = MR_OPT_NUMBER,
     .offset = offsetof(config, margin),
     .def = "0",
     .min = 0,
     .max = 1e100,
     .help = "least difference that matters, in the measure's unit"},
    {.name = "resamples",
     .type = MR_OPT_INT,
     .offset = offsetof(config, resamples),
     .def = "1999",
     .min = 99,
     .max = 99999,
     .unit = "rounds",
     .help = "rounds of the bootstrap"},
    {.name = "interval",
     .type = MR_OPT_CHOICE,
     .offset = offsetof(config, interval),
     .def = "bootstrap_t",
     .choices = intervals,
     .help = "the bootstrap interval that the verdict goes by; bootstrap_t gives way to bca where it is not finite"},
    MR_OPTION_END};

static const mr_field outputs[] = {
    {"verdict", MR_FIELD_TEXT, NULL,
     "helped, harmed, no change that matters (with a margin), or inconclusive", MR_FOLD_NONE},
    {"reason", MR_FIELD_TEXT, NULL, "the evidence for the verdict", MR_FOLD_NONE},
    {"layout", MR_FIELD_TEXT, NULL,
     "pairs by session, pairs by row (outcome and earlier measure), or two groups", MR_FOLD_NONE},
    {"measure", MR_FIELD_TEXT, NULL, "what is compared: outcome, score or success", MR_FOLD_NONE},
    {"rows", MR_FIELD_INTEGER, "rows", "rows of the batch", MR_FOLD_SUM},
    {"left_out", MR_FIELD_INTEGER, "rows", "rows without a value, or without a partner", MR_FOLD_SUM},
    {"n_treated", MR_FIELD_INTEGER, NULL, "rows with the larger treatment value, or pairs", MR_FOLD_SUM},
    {"n_control", MR_FIELD_INTEGER, NULL, "rows with the smaller one, or pairs", MR_FOLD_SUM},
    {"mean_treated", MR_FIELD_NUMBER, NULL, "mean after the change", MR_FOLD_MEAN},
    {"mean_control", MR_FIELD_NUMBER, NULL, "mean before it", MR_FOLD_MEAN},
    {"difference", MR_FIELD_NUMBER, NULL, "treatment minus control", MR_FOLD_MEAN},
    {"standard_error", MR_FIELD_NUMBER, NULL, "of the difference", MR_FOLD_NONE},
    {"bca_interval", MR_FIELD_NUMBERS, NULL, "bootstrap interval of the difference, BCa", MR_FOLD_NONE},
    {"bootstrap_t_interval", MR_FIELD_NUMBERS, NULL,
     "the same, symmetric studentised; nil where it is not finite", MR_FOLD_NONE},
    {"t_interval", MR_FIELD_NUMBERS, NULL, "the same by the t distribution", MR_FOLD_NONE},
    {"test", MR_FIELD_TEXT, NULL, "the test that p belongs to: paired t or Welch t", MR_FOLD_NONE},
    {"statistic", MR_FIELD_NUMBER, NULL, "t", MR_FOLD_NONE},
    {"df", MR_FIELD_NUMBER, NULL, "its degrees of freedom", MR_FOLD_NONE},
    {"p", MR_FIELD_NUMBER, NULL, "two-sided", MR_FOLD_NONE},
    {"cuped", MR_FIELD_MAP, NULL,
     "pre, theta, correlation, variance_reduction, balance_p_welch_t and the adjusted difference as above",
     MR_FOLD_NONE},
    {"bayes", MR_FIELD_MAP, NULL, "probability_helped, expected_loss of keeping the change, interval",
     MR_FOLD_NONE},
    {"sensitivity", MR_FIELD_MAP, NULL,
     "risk_ratio, e_value, e_value_limit; for pairs rosenbaum_gamma and the p of Wilcoxon's signed ranks "
     "(n_treated pairs)",
     MR_FOLD_NONE},
    {0}};

/* Mean and standard error of 2, 3, 1, 2, 3, 1 are 2 and sqrt(0.8/6); t = 5.477 on 5 df, p = 0.00277 (SciPy).
 */
static const mr_example examples[] = {
    {"six sessions before and after",
     "s,t,y\na,0,1\na,1,3\nb,0,2\nb,1,5\nc,0,4\nc,1,5\nd,0,3\nd,1,5\ne,0,1\ne,1,4\nf,0,2\nf,1,3\n", NULL,
     "session=s treatment=t outcome=y",
     "{\"verdict\": \"helped\", \"layout\": \"pairs by session\", \"n_treated\": 6, \"difference\": 2, "
     "\"test\": \"paired t\", "
     "\"statistic\": 5.477225575051661, \"df\": 5}"},
    {"nothing to compare", "a\n1\n2\n", NULL, NULL, "{\"verdict\": \"inconclusive\", \"rows\": 2}"},
    {0}};

const mr_component mr_component_optimization_validator = {
    .name = "optimization_validator",
    .summary =
        "tells whether an optimisation helped, by how much, how surely, and what could explain it away",
    .kind = MR_VALIDATOR,
    .shape = MR_MAP,
    .tier = 3,
    .version = 2,
    .columns_wanted =
        MR_COL_FEATURES | MR_COL_SESSION | MR_COL_TREATMENT | MR_COL_OUTCOME | MR_COL_SCORE | MR_COL_SUCCESS,
    .batch_rows = 131072,
    .capabilities = (const char *const[]){"paired bootstrap", "cuped", "sensitivity analysis", NULL},
    .options = options,
    .config_size = sizeof(config),
    .outputs = outputs,
    .examples = examples,
    .deadline_ms = 120000,
    .memory_mb = 256,
    .process = process,
};
