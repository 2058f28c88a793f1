/* posterior.h: what is believed of a difference after the rows were seen: treatment minus control.
 *   means   normal values with unknown means and variances under the reference prior: each mean is Student's
 * t around the sample's (Behrens and Fisher for two samples; Box and Tiao 1973, section 2.5), by the
 * trapezoidal rule rates   Beta(1, 1) priors, probability and loss in closed form (Evan Miller 2015),
 * interval by quadrature */
#ifndef MR_KIT_POSTERIOR_H
#define MR_KIT_POSTERIOR_H

#include "worker/kit/hypothesis.h"

typedef struct mr_posterior {
    double above; /* P(difference > 0) */
    double loss;  /* E max(-difference, 0): what choosing the treatment costs on average when it is wrong */
    double low, high; /* equal-tailed interval */
} mr_posterior;

/* One sample of differences, n >= 2 (the loss wants 3). Without spread: NaN. */
mr_posterior mr_posterior_mean(const mr_summary *differences, double level);
/* Both groups n >= 2 (the loss wants 3) and some spread in both, else NaN. */
mr_posterior mr_posterior_means(const mr_summary *treated, const mr_summary *control, double level);
/* Successes k of n. O(min(k1, n0 - k0)). */
mr_posterior mr_posterior_rates(double k1, double n1, double k0, double n0, double level);

#endif
