#include "worker/kit/trend.h"

#include "worker/kit/dist.h"
#include "worker/kit/hypothesis.h"

#include <math.h>
#include <string.h>

/* ---- median ---- */

static void swap(double *a, double *b) {
    double t = *a;
    *a = *b;
    *b = t;
}

/* Brings the k-th smallest to v[k], smaller ones before it (Hoare's selection, pivot of three). */
static void select_kth(double *v, size_t n, size_t k) {
    size_t low = 0, high = n - 1;
    while (low < high) {
        size_t middle = low + (high - low) / 2, i = low, j = high;
        if (v[middle] < v[low]) swap(&v[middle], &v[low]);
        if (v[high] < v[low]) swap(&v[high], &v[low]);
        if (v[high] < v[middle]) swap(&v[high], &v[middle]);
        double pivot = v[middle];
        while (i <= j) {
            while (v[i] < pivot) i++;
            while (v[j] > pivot) j--;
            if (i > j) break;
            swap(&v[i++], &v[j]);
            if (j == 0) break;
            j--;
        }
        if (k <= j)
            high = j;
        else if (k >= i)
            low = i;
        else
            return;
    }
}

double mr_median(double *v, size_t n) {
    if (n == 0) return NAN;
    size_t k = n / 2;
    select_kth(v, n, k);
    if (n % 2) return v[k];
    double below = v[0];
    for (size_t i = 1; i < k; i++) below = fmax(below, v[i]);
    return (below + v[k]) / 2;
}

/* ---- Mann-Kendall ---- */

/* Sums over groups of equal sorted values: g(g-1)(2g+5), g(g-1), g(g-1)(g-2). */
typedef struct ties {
    double variance, pairs, triples;
} ties;

static ties count_ties(const double *sorted, size_t n) {
    ties r = {0, 0, 0};
    for (size_t i = 0, j; i < n; i = j) {
        for (j = i; j < n && sorted[j] == sorted[i]; j++) continue;
        double g = (double)(j - i);
        r.variance += g * (g - 1) * (2 * g + 5);
        r.pairs += g * (g - 1);
        r.triples += g * (g - 1) * (g - 2);
    }
    return r;
}

/* Index of the first value that is not below v. */
static size_t lower_bound(const double *sorted, size_t n, double v) {
    size_t low = 0;
    while (n > 0) {
        size_t half = n / 2;
        if (sorted[low + half] < v) {
            low += half + 1;
            n -= half + 1;
        } else {
            n = half;
        }
    }
    return low;
}

/* A Fenwick tree of counts: how many of the places 0 .. at - 1 are taken (Fenwick 1994). */
static double taken_below(const uint32_t *tree, size_t at) {
    double sum = 0;
    for (; at > 0; at &= at - 1) sum += tree[at];
    return sum;
}

static void take(uint32_t *tree, size_t n, size_t at) {
    for (at++; at <= n; at += at & (~at + 1)) tree[at]++;
}

/* Concordant minus discordant pairs. Places are by lower bound, so equal values share one. */
static double kendall_s(const double *t, const double *x, const double *sorted, size_t n, uint32_t *tree) {
    double s = 0;
    for (size_t i = 0, j; i < n; i = j) {
        for (j = i; j < n && t[j] == t[i]; j++) {
            size_t place = lower_bound(sorted, n, x[j]);
            s += taken_below(tree, place) - ((double)i - taken_below(tree, place + 1));
        }
        for (size_t k = i; k < j; k++) take(tree, n, lower_bound(sorted, n, x[k]));
    }
    return s;
}

static void set_p(mr_trend *r) {
    double corrected = r->s > 0 ? r->s - 1 : r->s < 0 ? r->s + 1 : 0;
    r->z = r->variance > 0 ? corrected / sqrt(r->variance) : NAN;
    r->p = r->variance > 0 ? fmin(1, 2 * mr_normal_sf(fabs(r->z))) : NAN;
}

mr_status mr_mann_kendall(const double *t, const double *x, size_t n, mr_arena *arena, mr_trend *out,
                          mr_error *err) {
    *out = (mr_trend){.n = n, .z = NAN, .p = NAN, .tau = NAN, .factor = 1};
    if (n < 3) return MR_OK;
    double *sorted = mr_arena_alloc(arena, n, sizeof *sorted), rows = (double)n;
    uint32_t *tree = mr_arena_alloc(arena, n + 2, sizeof *tree);
    if (!sorted || !tree) return mr_fail(err, MR_E_MEMORY, "no memory for the trend of %zu rows", n);
    memcpy(sorted, x, n * sizeof *sorted);
    mr_sort_numbers(sorted, n);
    ties u = count_ties(sorted, n), v = count_ties(t, n);
    out->s = kendall_s(t, x, sorted, n, tree);
    out->tau = out->s / (rows * (rows - 1) / 2);
    out->variance = (rows * (rows - 1) * (2 * rows + 5) - u.variance - v.variance) / 18 +
                    u.pairs * v.pairs / (2 * rows * (rows - 1)) +
                    u.triples * v.triples / (9 * rows * (rows - 1) * (rows - 2));
    if (sorted[0] == sorted[n - 1] || t[0] == t[n - 1]) out->variance = 0;
    set_p(out);
    return MR_OK;
}

/* ---- Theil-Sen ---- */

static size_t step_of(size_t n) { return (n + MR_THEIL_SEN_ROWS - 1) / MR_THEIL_SEN_ROWS; }

mr_status mr_theil_sen(const double *t, const double *x, size_t n, mr_arena *arena, const mr_ticker *tick,
                       double *slope, double *intercept, mr_error *err) {
    size_t by = step_of(n), used = by ? (n + by - 1) / by : 0, count = 0;
    *slope = *intercept = NAN;
    double *slopes = mr_arena_alloc(arena, used * used / 2 + n + 1, sizeof *slopes);
    if (!slopes) return mr_fail(err, MR_E_MEMORY, "no memory for the slopes of %zu rows", n);
    for (size_t i = 0; i < n; i += by) {
        MR_TRY(mr_ticker_call(tick));
        for (size_t j = i + by; j < n; j += by)
            if (t[j] > t[i]) slopes[count++] = (x[j] - x[i]) / (t[j] - t[i]);
    }
    if (count == 0) return MR_OK;
    *slope = mr_median(slopes, count);
    memcpy(slopes, x, n * sizeof *x);
    double middle = mr_median(slopes, n);
    *intercept = middle - *slope * (n % 2 ? t[n / 2] : (t[n / 2 - 1] + t[n / 2]) / 2);
    return MR_OK;
}

/* ---- Hamed and Rao ---- */

/* ranks[i] = mean rank of v[i], less the mean of all ranks. */
static void centred_ranks(const double *v, const double *sorted, size_t n, double *ranks) {
    for (size_t i = 0; i < n; i++) {
        size_t first = lower_bound(sorted, n, v[i]), last = first;
        while (last < n && sorted[last] == v[i]) last++;
        ranks[i] = ((double)(first + last) - (double)n) / 2;
    }
}

static mr_status autocorrelation_sum(const double *ranks, size_t n, const mr_ticker *tick, double *out) {
    double rows = (double)n, limit = mr_normal_quantile(0.975) / sqrt(rows), whole = 0;
    for (size_t i = 0; i < n; i++) whole += ranks[i] * ranks[i];
    *out = 0;
    for (size_t lag = 1; lag < n && whole > 0; lag++) {
        double sum = 0, left = (double)(n - lag);
        MR_TRY(mr_ticker_call(tick));
        for (size_t i = 0; i + lag < n; i++) sum += ranks[i] * ranks[i + lag];
        if (fabs(sum / whole) > limit) *out += left * (left - 1) * (left - 2) * sum / whole;
    }
    return MR_OK;
}

mr_status mr_hamed_rao(const double *x, size_t n, mr_arena *arena, const mr_ticker *tick, mr_trend *trend,
                       mr_error *err) {
    double *room = mr_arena_alloc(arena, 3 * n + 1, sizeof *room), rows = (double)n, slope, intercept, sum;
    if (!room) return mr_fail(err, MR_E_MEMORY, "no memory for the autocorrelation of %zu rows", n);
    if (n < 3) return MR_OK;
    double *index = room, *flat = room + n, *sorted = room + 2 * n;
    for (size_t i = 0; i < n; i++) index[i] = (double)(i + 1);
    MR_TRY(mr_theil_sen(index, x, n, arena, tick, &slope, &intercept, err));
    for (size_t i = 0; i < n; i++) sorted[i] = flat[i] = x[i] - index[i] * slope;
    mr_sort_numbers(sorted, n);
    centred_ranks(flat, sorted, n, index);
    MR_TRY(autocorrelation_sum(index, n, tick, &sum));
    trend->factor = 1 + 2 / (rows * (rows - 1) * (rows - 2)) * sum;
    trend->variance *= trend->factor;
    set_p(trend);
    return MR_OK;
}
