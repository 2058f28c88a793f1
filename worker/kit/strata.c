#include "worker/kit/strata.h"

#include <math.h>
#include <string.h>

enum { LEAF_ROWS_MIN = 25 };

typedef struct tally {
    double n[2], sum[2], off[2]; /* by arm: rows, sum of y, sum of squared distances from the mean */
} tally;

/* Numbers the rows of one half by the leaves of a tree grown on the other, from *count on. */
static mr_status cut_half(const double *x, const double *y, const uint8_t *half, size_t n, size_t width,
                          unsigned which, size_t leaves, mr_scratch *scratch, const mr_ticker *tick,
                          uint32_t *stratum, size_t *count, mr_error *err) {
    mr_scratch_mark mark = mr_scratch_here(scratch);
    double *tx = mr_scratch_get(scratch, n * width + 1, sizeof *tx);
    double *ty = mr_scratch_get(scratch, n + 1, sizeof *ty);
    uint32_t number[2 * MR_STRATA_LEAVES] = {0};
    size_t grown = 0;
    mr_bins bins;
    mr_boost tree;
    if (!tx || !ty) return mr_fail(err, MR_E_MEMORY, "no memory to cut %zu rows into strata", n);
    for (size_t i = 0; i < n; i++) {
        if (half[i] == which) continue;
        memcpy(tx + grown * width, x + i * width, width * sizeof *tx);
        ty[grown++] = y[i];
    }
    size_t fair = grown / (4 * leaves);
    mr_boost_options o = {.rounds = 1, .leaves = leaves, .rate = 1, .leaf_rows = LEAF_ROWS_MIN};
    if (fair > o.leaf_rows) o.leaf_rows = fair;
    if (grown > 0) {
        MR_TRY(mr_bins_make(tx, grown, width, scratch, tick, &bins, err));
        MR_TRY(mr_boost_fit(&bins, ty, &o, scratch, tick, &tree, err));
    }
    for (size_t i = 0; i < n; i++) {
        if (half[i] != which) continue;
        uint32_t leaf = grown > 0 ? mr_boost_leaf(&tree, 0, x + i * width) : 0;
        if (number[leaf] == 0) number[leaf] = (uint32_t)++ * count;
        stratum[i] = number[leaf] - 1;
    }
    mr_scratch_back(scratch, mark);
    return MR_OK;
}

static void count_rows(const double *y, const uint8_t *treated, const uint32_t *stratum, size_t n, tally *t) {
    for (size_t i = 0; i < n; i++) {
        tally *s = t + (stratum ? stratum[i] : 0);
        s->n[treated[i]]++;
        s->sum[treated[i]] += y[i];
    }
    for (size_t i = 0; i < n; i++) {
        tally *s = t + (stratum ? stratum[i] : 0);
        double d = y[i] - s->sum[treated[i]] / s->n[treated[i]];
        s->off[treated[i]] += d * d;
    }
}

/* Adds up the strata, weighted by their rows. False when one has fewer than two rows of an arm. */
static bool combine(const tally *t, size_t count, size_t n, double *difference, double *variance) {
    *difference = *variance = 0;
    for (size_t s = 0; s < count; s++) {
        double w = (t[s].n[0] + t[s].n[1]) / (double)n;
        if (t[s].n[0] < 2 || t[s].n[1] < 2) return false;
        *difference += w * (t[s].sum[1] / t[s].n[1] - t[s].sum[0] / t[s].n[0]);
        for (int k = 0; k < 2; k++) *variance += w * w * t[s].off[k] / (t[s].n[k] - 1) / t[s].n[k];
    }
    return true;
}

mr_status mr_strata_estimate(const double *x, const double *y, const uint8_t *treated, const uint8_t *half,
                             size_t n, size_t width, size_t leaves, mr_scratch *scratch,
                             const mr_ticker *tick, mr_strata *out, mr_error *err) {
    MR_ASSERT(leaves <= MR_STRATA_LEAVES);
    mr_scratch_mark mark = mr_scratch_here(scratch);
    uint32_t *stratum = mr_scratch_get(scratch, n + 1, sizeof *stratum);
    tally t[2 * MR_STRATA_LEAVES] = {0}, all = {0};
    *out = (mr_strata){0};
    if (!stratum) return mr_fail(err, MR_E_MEMORY, "no memory for the strata of %zu rows", n);
    for (unsigned h = 0; h < 2; h++)
        MR_TRY(cut_half(x, y, half, n, width, h, leaves, scratch, tick, stratum, &out->strata, err));
    count_rows(y, treated, stratum, n, t);
    count_rows(y, treated, NULL, n, &all);
    if (combine(t, out->strata, n, &out->difference, &out->variance) &&
        combine(&all, 1, n, &out->plain, &out->plain_variance))
        out->n = n;
    mr_scratch_back(scratch, mark);
    return MR_OK;
}
