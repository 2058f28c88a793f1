/* sensitivity.h: how strong something unmeasured would have to be to explain an effect away. */
#ifndef MR_KIT_SENSITIVITY_H
#define MR_KIT_SENSITIVITY_H

#include "common/mem.h"
#include "common/status.h"

/* E-value of a risk ratio (VanderWeele and Ding 2017): the least risk ratio with which a confounder would
 * have to be tied to both treatment and outcome. 1 for 1. */
double mr_e_value(double ratio);
/* Of the end of an interval that lies nearer to 1; 1 when the interval holds 1. */
double mr_e_value_limit(double low, double high);

/* Wilcoxon's signed ranks of paired differences: zeros are left out, ties share the mean rank. */
typedef struct mr_signed_ranks {
    size_t n;                  /* differences other than 0 */
    double up, total, squares; /* sum of the ranks of positive differences, of all ranks, of their squares */
} mr_signed_ranks;
/* `scratch` has room for 2 n numbers. */
mr_signed_ranks mr_sign_ranks(const double *difference, size_t n, double *scratch);
/* Rosenbaum (2002, section 4.3): the largest p, one-sided and by the normal approximation, when one unit of a
 * pair is at most `gamma` times as likely as the other to be treated. `upwards`: for an effect above 0. gamma
 * = 1 is the plain test. */
double mr_rosenbaum_p(const mr_signed_ranks *r, double gamma, bool upwards);
/* The largest gamma with that p <= alpha; NaN when it is above at gamma = 1. */
double mr_rosenbaum_gamma(const mr_signed_ranks *r, double alpha, bool upwards);

#endif
