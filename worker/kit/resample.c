#include "worker/kit/resample.h"

#include "worker/kit/dist.h"
#include "worker/kit/hypothesis.h"

#include <math.h>
#include <string.h>

static double mean_of(const double *v, size_t n) {
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += v[i];
    return sum / (double)n;
}

double mr_mean_difference(const double *x, size_t n0, const double *y, size_t n1) {
    return n1 ? mean_of(x, n0) - mean_of(y, n1) : mean_of(x, n0);
}

static void resample(const double *from, size_t n, mr_rng *rng, double *to) {
    for (size_t i = 0; i < n; i++) to[i] = from[mr_rng_below(rng, n)];
}

mr_status mr_bootstrap(mr_statistic statistic, const double *x, size_t n0, const double *y, size_t n1,
                       unsigned rounds, mr_rng *rng, const mr_ticker *tick, double *scratch,
                       double *replicates) {
    for (unsigned b = 0; b < rounds; b++) {
        MR_TRY(mr_ticker_call(tick));
        resample(x, n0, rng, scratch);
        resample(y, n1, rng, scratch + n0);
        replicates[b] = statistic(scratch, n0, scratch + n0, n1);
    }
    return MR_OK;
}

typedef struct drawn {
    double mean, square; /* square: of the mean's standard error */
} drawn;

static drawn draw(const double *v, size_t n, double centre, mr_rng *rng) {
    double sum = 0, off = 0, squares = 0, rows = (double)n;
    for (size_t i = 0; i < n; i++) {
        double one = v[mr_rng_below(rng, n)], d = one - centre;
        sum += one;
        off += d;
        squares += d * d;
    }
    return (drawn){sum / rows, n > 1 ? fmax(0, squares - off * off / rows) / (rows - 1) / rows : 0};
}

static double studentise(double off, double square) { return off == 0 ? 0 : fabs(off) / sqrt(square); }

mr_status mr_bootstrap_means(const double *x, size_t n0, const double *y, size_t n1, unsigned rounds,
                             mr_rng *rng, const mr_ticker *tick, double *replicates, double *studentised) {
    double mean0 = n0 ? mean_of(x, n0) : 0, mean1 = n1 ? mean_of(y, n1) : 0;
    for (unsigned b = 0; b < rounds; b++) {
        MR_TRY(mr_ticker_call(tick));
        drawn d = draw(x, n0, mean0, rng), e = {0, 0};
        if (n1) e = draw(y, n1, mean1, rng);
        replicates[b] = d.mean - e.mean;
        if (studentised) studentised[b] = studentise(replicates[b] - (mean0 - mean1), d.square + e.square);
    }
    return MR_OK;
}

/* ---- acceleration ---- */

typedef struct influence {
    double squares, cubes; /* sums of l^2/n^2 and l^3/n^3 */
} influence;

static void add_influence(influence *sum, double l, size_t n) {
    double v = l / (double)n;
    sum->squares += v * v;
    sum->cubes += v * v * v;
}

static double acceleration_of(const influence *sum) {
    return sum->squares > 0 ? sum->cubes / (6 * sum->squares * sqrt(sum->squares)) : 0;
}

double mr_acceleration_means(const double *x, size_t n0, const double *y, size_t n1) {
    influence sum = {0, 0};
    double mean0 = mean_of(x, n0), mean1 = n1 ? mean_of(y, n1) : 0;
    for (size_t i = 0; i < n0; i++) add_influence(&sum, x[i] - mean0, n0);
    for (size_t i = 0; i < n1; i++) add_influence(&sum, mean1 - y[i], n1);
    return acceleration_of(&sum);
}

/* `v` is one of the two groups inside `scratch`, at `at`; each of its rows is left out in turn. */
static void leave_one_out(mr_statistic statistic, const double *v, size_t n, size_t at, size_t n0, size_t n1,
                          double *scratch, influence *sum) {
    double mean = 0;
    for (int pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < n; i++) {
            memcpy(scratch + at, v, i * sizeof *v);
            memcpy(scratch + at + i, v + i + 1, (n - 1 - i) * sizeof *v);
            double left = at ? statistic(scratch, n0, scratch + n0, n1 - 1)
                             : statistic(scratch, n0 - 1, scratch + n0, n1);
            if (pass == 0)
                mean += left / (double)n;
            else
                add_influence(sum, (double)(n - 1) * (mean - left), n);
        }
    }
    if (n) memcpy(scratch + at, v, n * sizeof *v);
}

double mr_acceleration(mr_statistic statistic, const double *x, size_t n0, const double *y, size_t n1,
                       double *scratch) {
    influence sum = {0, 0};
    if (n0 < 2 || n1 == 1) return 0;
    if (n1) memcpy(scratch + n0, y, n1 * sizeof *y);
    leave_one_out(statistic, x, n0, 0, n0, n1, scratch, &sum);
    if (n1) leave_one_out(statistic, y, n1, n0, n0, n1, scratch, &sum);
    return acceleration_of(&sum);
}

/* ---- interval ---- */

static double bias_of(const double *sorted, unsigned rounds, double estimate) {
    double below = 0;
    for (unsigned b = 0; b < rounds && sorted[b] <= estimate; b++) below += sorted[b] < estimate ? 1 : 0.5;
    double edge = 1 / ((double)rounds + 1);
    return mr_normal_quantile(fmin(fmax(below / (double)rounds, edge), 1 - edge));
}

static double bca_end(const double *sorted, unsigned rounds, double bias, double acceleration, double p) {
    double z = bias + mr_normal_quantile(p), shrink = 1 - acceleration * z;
    double share = shrink > 0 ? mr_normal_cdf(bias + z / shrink) : p > 0.5;
    return mr_sorted_quantile(sorted, rounds, share);
}

void mr_bca_interval(double *replicates, unsigned rounds, double estimate, double acceleration, double level,
                     double *low, double *high) {
    *low = *high = NAN;
    if (rounds == 0) return;
    mr_sort_numbers(replicates, rounds);
    double bias = bias_of(replicates, rounds, estimate);
    *low = bca_end(replicates, rounds, bias, acceleration, (1 - level) / 2);
    *high = bca_end(replicates, rounds, bias, acceleration, (1 + level) / 2);
}

bool mr_studentised_interval(double *studentised, unsigned rounds, double estimate, double se, double level, double *low,
                             double *high) {
    double at = ceil(level * ((double)rounds + 1) - 1e-9);
    *low = *high = NAN;
    if (rounds == 0 || at > rounds) return false;
    mr_sort_numbers(studentised, rounds);
    double half = studentised[(size_t)at - 1] * se;
    if (!isfinite(half)) return false;
    *low = estimate - half;
    *high = estimate + half;
    return true;
}

/* ---- both ---- */

mr_status mr_boot_means(const double *x, size_t n0, const double *y, size_t n1, unsigned rounds, double level, mr_boot want,
                        mr_rng *rng, mr_arena *arena, const mr_ticker *tick, mr_boot_intervals *out, mr_error *err) {
    double *replicates = mr_arena_alloc(arena, 2 * (size_t)rounds + 1, sizeof *replicates), *studentised = replicates + rounds;
    if (!replicates) return mr_fail(err, MR_E_MEMORY, "no memory for %u rounds of the bootstrap", rounds);
    mr_summary a = mr_summarise(x, n0), b = mr_summarise(y, n1);
    double estimate = a.mean - (n1 ? b.mean : 0), se = sqrt(a.var / (double)n0 + (n1 ? b.var / (double)n1 : 0));
    MR_TRY(mr_bootstrap_means(x, n0, y, n1, rounds, rng, tick, replicates, studentised));
    mr_bca_interval(replicates, rounds, estimate, mr_acceleration_means(x, n0, y, n1), level, &out->bca_low, &out->bca_high);
    bool finite = mr_studentised_interval(studentised, rounds, estimate, se, level, &out->t_low, &out->t_high);
    bool bca = want == MR_BOOT_BCA || !finite;
    out->low = bca ? out->bca_low : out->t_low;
    out->high = bca ? out->bca_high : out->t_high;
    out->name = bca ? "BCa" : "bootstrap-t";
    return MR_OK;
}
