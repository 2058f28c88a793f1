/* bandit.h: policies that choose among arms and learn from the rewards, and their replay on a log of choices.
 * Ties go to the lower arm. */
#ifndef MR_KIT_BANDIT_H
#define MR_KIT_BANDIT_H

#include "common/mem.h"
#include "common/rng.h"
#include "common/status.h"
#include "worker/kit/tick.h"

typedef enum mr_policy {
    MR_POLICY_UNIFORM,        /* any arm, equally often: learns nothing */
    MR_POLICY_EPSILON_GREEDY, /* each arm once; then any arm with probability epsilon, else the best mean */
    MR_POLICY_UCB1,   /* Auer, Cesa-Bianchi and Fischer 2002: mean + alpha sqrt(2 ln(total) / pulls) */
    MR_POLICY_KL_UCB, /* Garivier and Cappe 2011, c = 0: the largest q with pulls kl(mean, q) <= ln(total) */
    MR_POLICY_THOMPSON_BETA,     /* a draw from Beta(1 + rewards, 1 + pulls - rewards) each */
    MR_POLICY_THOMPSON_GAUSSIAN, /* Agrawal and Goyal 2013: Normal(rewards / (pulls + 1), noise^2 / (pulls +
                                    1)) */
    MR_POLICY_LINUCB, /* Li et al. 2010, disjoint: x'theta + alpha sqrt(x'A^-1 x), A = lambda I + X'X */
    MR_POLICY_THOMPSON_LINEAR, /* Agrawal and Goyal 2013, disjoint: x'theta of theta from Normal(A^-1 b,
                                * noise^2 A^-1) */
    MR_POLICIES
} mr_policy;
extern const char *const mr_policy_names[MR_POLICIES];

/* Needs rewards from 0 to 1; needs a context. */
bool mr_policy_unit_reward(mr_policy p);
bool mr_policy_linear(mr_policy p);

typedef struct mr_bandit_options {
    double epsilon, alpha, lambda, noise;
} mr_bandit_options;

/* Everything lives in the arena: 8 arms (width^2 + 2 width + 3) bytes. */
typedef struct mr_bandit {
    mr_policy policy;
    mr_bandit_options options;
    size_t arms, width;
    uint64_t total, *pulls;
    double *sum;                      /* of rewards, by arm */
    double *inverse, *moment, *theta; /* by arm: A^-1, X'y and A^-1 X'y; NULL without a context */
    double *score, *scratch;          /* of the last choice, by arm; width */
    mr_rng rng;
    bool known; /* `chosen` still holds: no reward came since, and neither context nor chance play a part */
    size_t chosen;
} mr_bandit;

/* width is 0 for policies that look at no context. Errors: E_MEMORY. */
mr_status mr_bandit_init(mr_bandit *b, mr_policy policy, const mr_bandit_options *options, size_t arms,
                         size_t width, uint64_t seed, mr_arena *arena, mr_error *err) MR_MUST_CHECK;
/* Which arm to pull in context x. */
size_t mr_bandit_choose(mr_bandit *b, const double *x);
/* What arm `arm` is worth to the policy in context x; a random policy draws. INFINITY for one that must come
 * first. */
double mr_bandit_score(mr_bandit *b, size_t arm, const double *x);
void mr_bandit_learn(mr_bandit *b, size_t arm, const double *x, double reward);

/* ---- a log of choices ---- */

typedef struct mr_choices {
    size_t n, arms, width;
    const uint32_t *arm;
    const double *reward, *propensity; /* of the logged arm: 0 < p <= 1 */
    const double *x;                   /* n x width */
} mr_choices;

/* Li, Chu, Langford and Wang 2011: a row counts, and teaches, when the policy chooses the logged arm;
 * unbiased when arms were logged uniformly at random. The weighted mean divides each reward that counts by
 * its propensity, which corrects for other logging. */
typedef struct mr_replay {
    size_t matched;
    double sum, squares; /* of the rewards that count */
    double weighted;     /* sum(r / p) / sum(1 / p); NaN when none count */
} mr_replay;
mr_status mr_replay_run(mr_bandit *b, const mr_choices *log, const mr_ticker *tick,
                        mr_replay *out) MR_MUST_CHECK;

#endif
