#include "worker/kit/contingency.h"
#include "worker/kit/dist.h"

#include <math.h>
#include <stdlib.h>

/* ---- fourfold tables ---- */

/* Successes among the `with` rows when `success` of the n rows succeed: hypergeometric, by three binomials
 * that keep their digits (Loader 2000). */
static double hypergeometric(double k, double with, double success, double n) {
    double share = with / n;
    return mr_binomial_pmf(k, success, share) * mr_binomial_pmf(with - k, n - success, share) /
           mr_binomial_pmf(with, n, share);
}

typedef struct margins {
    double with, success, n, low, high, seen; /* low .. high: the possible counts; seen: the one at hand */
} margins;

static margins margins_of(const mr_fourfold *t) {
    margins m = {.with = (double)t->with,
                 .success = (double)(t->with_success + t->without_success),
                 .n = (double)(t->with + t->without),
                 .seen = (double)t->with_success};
    m.low = fmax(0, m.with + m.success - m.n);
    m.high = fmin(m.with, m.success);
    return m;
}

static bool testable(const margins *m) {
    return m->with > 0 && m->with < m->n && m->success > 0 && m->success < m->n;
}

/* P(k + 1) / P(k) */
static double ratio(const margins *m, double k) {
    return (m->with - k) * (m->success - k) / ((k + 1) * (m->n - m->with - m->success + k + 1));
}

/* Sums the probabilities on one side of the seen count that are as extreme as it. */
static double side(const margins *m, int step, bool by_probability, double seen_p) {
    double p = seen_p, sum = 0, mean = m->with * m->success / m->n, far = fabs(m->seen - mean) * (1 - 1e-12);
    for (double k = m->seen; step > 0 ? k < m->high : k > m->low; k += step) {
        double change = step > 0 ? ratio(m, k) : 1 / ratio(m, k - 1);
        p *= change;
        bool extreme = by_probability ? p <= seen_p * (1 + 1e-7) : fabs(k + step - mean) >= far;
        if (extreme) sum += p;
        if (change < 1 && p < (sum + seen_p) * 1e-19) break;
    }
    return sum;
}

static double exact_p(const margins *m, bool by_probability) {
    double seen = hypergeometric(m->seen, m->with, m->success, m->n);
    if (!(seen > 0)) return 0; /* below the least double */
    double p = seen + side(m, 1, by_probability, seen) + side(m, -1, by_probability, seen);
    return fmin(1, p);
}

static double chi_square(const margins *m, bool yates) {
    double failures = m->n - m->success, without = m->n - m->with;
    double difference =
        fabs(m->seen * m->n - m->with * m->success); /* n times that of the cells and the mean */
    if (yates) difference -= fmin(m->n / 2, difference);
    return difference / m->with * difference / m->success / failures * m->n / without;
}

mr_test mr_fourfold_test(const mr_fourfold *t, mr_fourfold_kind kind) {
    static const char *const names[MR_FOURFOLD_KINDS] = {"Fisher exact", "Pearson chi-square",
                                                         "Pearson chi-square with Yates's correction",
                                                         "exact permutation of the difference of rates"};
    margins m = margins_of(t);
    mr_test out = {names[kind], NAN, NAN, NAN, NAN};
    if (!testable(&m)) return out;
    if (kind == MR_FISHER_EXACT) {
        out.p = exact_p(&m, true);
    } else if (kind == MR_PERMUTATION_EXACT) {
        out.statistic = m.seen / m.with - (double)t->without_success / (double)t->without;
        out.p = exact_p(&m, false);
    } else {
        out.statistic = chi_square(&m, kind == MR_CHI_SQUARE_YATES);
        out.df = 1;
        out.p = mr_chi2_sf(out.statistic, 1);
    }
    return out;
}

mr_test mr_chi_square_rows(const uint64_t *total, const uint64_t *success, size_t k, double *least_expected,
                           double *v) {
    mr_test out = {"Pearson chi-square", 0, (double)k - 1, NAN, NAN};
    double n = 0, hits = 0;
    for (size_t i = 0; i < k; i++) {
        n += (double)total[i];
        hits += (double)success[i];
    }
    *least_expected = INFINITY;
    *v = NAN;
    for (size_t i = 0; i < k; i++) {
        double good = (double)total[i] * hits / n, bad = (double)total[i] * (n - hits) / n;
        double off = (double)success[i] - good;
        out.statistic += off * off / good + off * off / bad;
        *least_expected = fmin(*least_expected, fmin(good, bad));
    }
    if (k < 2 || !(*least_expected > 0)) out.statistic = out.df = NAN;
    if (isnan(out.statistic)) return out;
    out.p = mr_chi2_sf(out.statistic, out.df);
    *v = sqrt(out.statistic / n);
    return out;
}

/* The mean of a trait that `held` of n rows have, as a sample of zeros and ones. */
static mr_summary ones(double held, double n) {
    double mean = held / n;
    return (mr_summary){(size_t)n, mean, n > 1 ? n * mean * (1 - mean) / (n - 1) : 0, 0, 1};
}

static double cohen_d(const margins *m) {
    double failures = m->n - m->success;
    mr_summary bad = ones(m->with - m->seen, failures), good = ones(m->seen, m->success);
    double pooled = ((failures - 1) * bad.var + (m->success - 1) * good.var) / (m->n - 2);
    return pooled > 0 ? (bad.mean - good.mean) / sqrt(pooled) : NAN;
}

mr_fourfold_effect mr_fourfold_effects(const mr_fourfold *t, double level) {
    double a = (double)t->with_success, b = (double)(t->with - t->with_success);
    double c = (double)t->without_success, d = (double)(t->without - t->without_success);
    double add = a > 0 && b > 0 && c > 0 && d > 0 ? 0 : 0.5, z = mr_normal_quantile(0.5 + level / 2);
    margins m = margins_of(t);
    mr_fourfold_effect e = {NAN, NAN, NAN, NAN, NAN, NAN};
    if (!testable(&m)) return e;
    double odds = (a + add) * (d + add) / ((b + add) * (c + add));
    double se = sqrt(1 / (a + add) + 1 / (b + add) + 1 / (c + add) + 1 / (d + add));
    e.odds_ratio = odds;
    e.odds_low = odds * exp(-z * se);
    e.odds_high = odds * exp(z * se);
    e.cramers_v = sqrt(chi_square(&m, false) / m.n);
    e.cohen_d = cohen_d(&m);
    e.least_expected = fmin(m.with, m.n - m.with) * fmin(m.success, m.n - m.success) / m.n;
    return e;
}

/* ---- many tests ---- */

typedef struct ranked {
    double p;
    size_t at;
} ranked;

static int smallest_first(const void *x, const void *y) {
    const ranked *a = x, *b = y;
    if (a->p != b->p) return a->p < b->p ? -1 : 1;
    return (a->at > b->at) - (a->at < b->at);
}

/* Step-up: from the largest p down, p m / rank times `factor`, never above what was before. */
static void step_up(const ranked *r, size_t m, double factor, double *out) {
    double ceiling = 1;
    for (size_t i = m; i > 0; i--) {
        ceiling = fmin(ceiling, r[i - 1].p * (double)m / (double)i * factor);
        out[r[i - 1].at] = ceiling;
    }
}

static void step_down(const ranked *r, size_t m, double *out) {
    double floor_p = 0;
    for (size_t i = 0; i < m; i++) {
        floor_p = fmax(floor_p, fmin(1, r[i].p * (double)(m - i)));
        out[r[i].at] = floor_p;
    }
}

mr_status mr_adjust(mr_adjustment kind, const double *p, size_t n, mr_arena *arena, double *out,
                    mr_error *err) {
    ranked *r = mr_arena_alloc(arena, n + 1, sizeof *r);
    size_t m = 0;
    double harmonic = 0;
    if (!r) return mr_fail(err, MR_E_MEMORY, "no memory to adjust %zu p-values", n);
    for (size_t i = 0; i < n; i++) {
        out[i] = NAN;
        if (!isnan(p[i])) r[m++] = (ranked){p[i], i};
    }
    qsort(r, m, sizeof *r, smallest_first);
    for (size_t i = m; i > 0; i--) harmonic += 1 / (double)i;
    if (kind == MR_HOLM) step_down(r, m, out);
    if (kind == MR_BENJAMINI_HOCHBERG) step_up(r, m, 1, out);
    if (kind == MR_BENJAMINI_YEKUTIELI) step_up(r, m, harmonic, out);
    for (size_t i = 0; kind == MR_BONFERRONI && i < m; i++) out[r[i].at] = fmin(1, r[i].p * (double)m);
    return MR_OK;
}
