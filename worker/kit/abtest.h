/* abtest.h: two arms compared: beliefs about them, and evidence that stays valid however often one looks. */
#ifndef MR_KIT_ABTEST_H
#define MR_KIT_ABTEST_H

#include "worker/kit/hypothesis.h"

/* The z test of two proportions with the pooled variance, on p1 - p0. NaN when nothing varies. */
mr_test mr_pooled_z(double k0, double n0, double k1, double n1);

/* What is believed after the rows. The expected loss of choosing arm 1 is E[max(p0 - p1, 0)]. */
typedef struct mr_belief {
    double better;       /* P(arm 1 > arm 0) */
    double loss1, loss0; /* expected loss of choosing arm 1, of choosing arm 0 */
} mr_belief;
/* Proportions under Beta(1, 1) priors, in closed form: the finite sum for whole-numbered parameters (Miller
 * 2015), as many terms as the least of the four counts; above 2 million terms the normal approximation. */
mr_belief mr_belief_proportions(double k0, double n0, double k1, double n1);
/* Means under flat priors, normal approximation: difference ~ N(d, v). */
mr_belief mr_belief_means(double difference, double variance);

/* The mixture sequential probability ratio test (Robbins 1970; Johari, Koomen, Pekelis and Walsh 2022,
 * "Always valid inference"): the log likelihood ratio of an effect ~ N(0, tau^2) over no effect, for a
 * difference d whose variance is v. Under no effect it passes log(1 / alpha) at any time with probability at
 * most alpha. */
double mr_mixture_log_ratio(double difference, double variance, double tau);
/* Half the width of the interval for the difference that holds at all times at once, at the level 1 - alpha.
 */
double mr_mixture_margin(double variance, double tau, double alpha);

/* Wald's log likelihood ratio of a difference of `effect` over none, for a normal difference; its bounds are
 * in sequential.h. */
double mr_sprt_log_ratio(double difference, double variance, double effect);

#endif
