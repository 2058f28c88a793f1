/* outliers.h: which values of a column stand out, from what merges exactly: the count, the exact sums of
 * values and squares, and the MR_EXTREMES lowest and highest values with their rows. */
#ifndef MR_KIT_OUTLIERS_H
#define MR_KIT_OUTLIERS_H

#include "common/pack.h"
#include "worker/kit/exact.h"

enum { MR_EXTREMES = 32, MR_EXTREMES_BYTES_MAX = 64 + 2 * MR_EXACT_BYTES_MAX + 2 * 18 * MR_EXTREMES };

typedef struct mr_extreme {
    double value;
    uint64_t row;
} mr_extreme;

/* Zeroed is empty. About 3 KiB. */
typedef struct mr_extremes {
    uint64_t n;
    mr_exact sum, squares;
    uint32_t lows, highs;
    mr_extreme low[MR_EXTREMES], high[MR_EXTREMES]; /* from the outside in; ties: the lower row first */
} mr_extremes;

void mr_extremes_add(mr_extremes *e, double value, uint64_t row); /* finite, below 1e140 in size */
void mr_extremes_pack(mr_extremes *e, mr_buf *out);
/* Adds packed ones. Errors: E_CORRUPT. */
mr_status mr_extremes_unpack(mr_extremes *e, mr_unpack *in, mr_error *err) MR_MUST_CHECK;
/* Mean, and standard deviation with divisor n - 1; NaN for too few values. */
void mr_extremes_moments(mr_extremes *e, double *mean, double *sd);

typedef struct mr_outlier {
    mr_extreme at;
    double distance, critical; /* R and lambda of the step that took it */
} mr_outlier;

/* Generalised ESD (Rosner 1983): takes the value furthest from the mean `most` times (at most MR_EXTREMES)
 * and counts the steps up to the last whose distance, in standard deviations of what is left, passes the
 * critical value. out[most] gets all steps. Returns how many are outliers; 0 for n < 15, for which the
 * critical values are not good. */
size_t mr_generalised_esd(const mr_extremes *e, double alpha, size_t most, mr_outlier *out);

/* 0.6744897501960817 (x - median)/MAD; NaN for MAD 0. */
double mr_robust_z(double x, double median, double mad);

#endif
