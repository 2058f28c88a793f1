#include "worker/kit/sensitivity.h"

#include "worker/kit/dist.h"
#include "worker/kit/hypothesis.h"

#include <math.h>
#include <string.h>

double mr_e_value(double ratio) {
    double r = ratio < 1 ? 1 / ratio : ratio;
    return r + sqrt(r * (r - 1));
}

double mr_e_value_limit(double low, double high) {
    if (isnan(low) || isnan(high)) return NAN;
    if (low <= 1 && high >= 1) return 1;
    return mr_e_value(low > 1 ? low : high);
}

/* Mean rank of `v` in the sorted sizes. */
static double rank_of(const double *sorted, size_t n, double v) {
    size_t below = 0, upto = n, end = n;
    while (below < upto) {
        size_t middle = below + (upto - below) / 2;
        if (sorted[middle] < v)
            below = middle + 1;
        else
            upto = middle;
    }
    for (size_t from = below; from < end;) {
        size_t middle = from + (end - from) / 2;
        if (sorted[middle] <= v)
            from = middle + 1;
        else
            end = middle;
    }
    return ((double)below + (double)end + 1) / 2;
}

mr_signed_ranks mr_sign_ranks(const double *difference, size_t n, double *scratch) {
    mr_signed_ranks r = {0, 0, 0, 0};
    double *kept = scratch + n;
    for (size_t i = 0; i < n; i++)
        if (difference[i] != 0) {
            kept[r.n] = difference[i];
            scratch[r.n++] = fabs(difference[i]);
        }
    mr_sort_numbers(scratch, r.n);
    for (size_t i = 0; i < r.n; i++) {
        double rank = rank_of(scratch, r.n, fabs(kept[i]));
        r.up += kept[i] > 0 ? rank : 0;
        r.total += rank;
        r.squares += rank * rank;
    }
    return r;
}

double mr_rosenbaum_p(const mr_signed_ranks *r, double gamma, bool upwards) {
    double share = gamma / (1 + gamma), statistic = upwards ? r->up : r->total - r->up;
    if (r->n == 0) return NAN;
    return mr_normal_sf((statistic - share * r->total) / sqrt(share * (1 - share) * r->squares));
}

double mr_rosenbaum_gamma(const mr_signed_ranks *r, double alpha, bool upwards) {
    double low = 1, high = 2;
    if (!(mr_rosenbaum_p(r, 1, upwards) <= alpha)) return NAN;
    while (high < 1e6 && mr_rosenbaum_p(r, high, upwards) <= alpha) high *= 2;
    for (int step = 0; step < 80; step++) {
        double middle = (low + high) / 2;
        *(mr_rosenbaum_p(r, middle, upwards) <= alpha ? &low : &high) = middle;
    }
    return low;
}
