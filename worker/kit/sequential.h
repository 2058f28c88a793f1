/* sequential.h: tests that look at the data more than once and still keep their error rate: group sequential
 * bounds (Jennison and Turnbull 2000, Group Sequential Methods, chapters 2, 7 and 19), Wald's sequential
 * probability ratio test, and the chance that a trial will still succeed. */
#ifndef MR_KIT_SEQUENTIAL_H
#define MR_KIT_SEQUENTIAL_H

#include "common/status.h"

#include <stdbool.h>
#include <stddef.h>

enum { MR_LOOKS_MAX = 50 };

typedef enum mr_bound_kind {
    MR_BOUND_OBRIEN_FLEMING, /* constant sqrt(looks / look), exact */
    MR_BOUND_POCOCK,         /* the same bound at every look, exact */
    MR_BOUND_SPEND_OBRIEN,   /* Lan and DeMets 1983: each side spends 2 - 2 Phi(z(side / 2) / sqrt(t)) */
    MR_BOUND_SPEND_POCOCK,   /* each side spends side ln(1 + (e - 1) t) */
    MR_BOUNDS
} mr_bound_kind;
extern const char *const mr_bound_names[MR_BOUNDS];

typedef struct mr_group_design {
    mr_bound_kind kind;
    size_t looks;
    bool two_sided;
    double z[MR_LOOKS_MAX];     /* stop when |z| (one-sided: z) is at least this */
    double spent[MR_LOOKS_MAX]; /* type I error up to and with each look */
    double constant;            /* of the first two kinds; NaN for the others */
    double drift;               /* mean of the last z at which the power is reached */
    double inflation;           /* largest sample over that of a test with one look of the same power */
    double expected_null,
        expected_drift; /* mean sample over that of a test with one look: no effect; the drift */
} mr_group_design;

/* Looks at equally spaced information, 1 <= looks <= MR_LOOKS_MAX, 0 < alpha < 1 (two-sided: both sides
 * together), alpha < power < 1. Densities are integrated by Gauss-Legendre quadrature; bounds are exact to
 * about 1e-8. */
mr_group_design mr_group_design_of(mr_bound_kind kind, size_t looks, double alpha, double power,
                                   bool two_sided);

/* The probability to stop at each look, above (upper) and, two-sided, below (lower), when the last z has mean
 * `drift`. */
void mr_crossing(const double *z, size_t looks, bool two_sided, double drift, double *upper, double *lower);

/* Wald 1945. Stop for the alternative at or above high = log((1 - beta) / alpha), for the null at or below
 * low = log(beta / (1 - alpha)). */
typedef struct mr_sprt_bounds {
    double low, high;
} mr_sprt_bounds;
mr_sprt_bounds mr_sprt_bounds_of(double alpha, double beta);

/* The probability, under a flat prior, that a trial with statistic z at the share t of its information will
 * end with a statistic of at least `bound` (two-sided: or at most -bound): predictive power (Spiegelhalter,
 * Freedman and Blackburn 1986). 0 < t <= 1. */
double mr_predictive_power(double z, double t, double bound, bool two_sided);

#endif
