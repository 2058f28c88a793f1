/* calibrate.h: scores become probabilities. Isotonic regression by pooling adjacent violators (Ayer et al.
 * 1955) or a sigmoid (Platt 1999, with the targets and Newton steps of Lin, Lin and Weng 2007); how well it
 * worked by the expected calibration error (Naeini, Cooper and Hauskrecht 2015). */
#ifndef MR_KIT_CALIBRATE_H
#define MR_KIT_CALIBRATE_H

#include "common/pack.h"

typedef enum mr_calibration_kind {
    MR_CALIBRATION_NONE,
    MR_CALIBRATION_ISOTONIC,
    MR_CALIBRATION_PLATT
} mr_calibration_kind;
extern const char *const mr_calibration_names[]; /* "none", "isotonic", "platt" */

typedef struct mr_calibration {
    mr_calibration_kind kind;
    size_t count;          /* isotonic: knots */
    double *score, *value; /* ascending; between knots linear, outside them constant */
    double slope, shift;   /* platt: 1 / (1 + exp(-(slope score + shift))) */
} mr_calibration;

/* y in [0, 1]: 0, 1 or a share. Equal scores are one point. Errors: E_MEMORY. n > 0. */
mr_status mr_isotonic_fit(const double *score, const double *y, size_t n, mr_arena *arena,
                          mr_calibration *out, mr_error *err) MR_MUST_CHECK;
/* Targets are drawn in as if one more row of each outcome had been half seen: (N+ + 1)/(N+ + 2), 1/(N- + 2).
 */
void mr_platt_fit(const double *score, const double *y, size_t n, mr_calibration *out);
double mr_calibrated(const mr_calibration *c, double score);

void mr_calibration_pack(const mr_calibration *c, mr_buf *out);
mr_status mr_calibration_unpack(mr_calibration *c, mr_arena *arena, mr_unpack *in,
                                mr_error *err) MR_MUST_CHECK;

/* Ten bins of equal width over the probabilities [0, 1]. */
enum { MR_RELIABILITY_BINS = 10 };
typedef struct mr_reliability {
    size_t n, rows[MR_RELIABILITY_BINS];
    double foreseen[MR_RELIABILITY_BINS],
        seen[MR_RELIABILITY_BINS]; /* means of p and of y; NaN without rows */
    double ece;                    /* sum of |foreseen - seen|, weighted by rows */
    double noise; /* the ece that perfect probabilities would have by chance in as many rows: each bin gives
                     sqrt(2 / pi) of its standard error */
    double brier;
} mr_reliability;
mr_reliability mr_reliability_of(const double *p, const double *y, size_t n);

#endif
