/* arms.h: the arms of an experiment (experiment.h) compared with a control arm: tests for a number of rows
 * that was planned, tests that stay valid however often one looks, beliefs (abtest.h) and learnt strata. */
#ifndef MR_KIT_ARMS_H
#define MR_KIT_ARMS_H

#include "worker/kit/abtest.h"
#include "worker/kit/experiment.h"
#include "worker/kit/power.h"
#include "worker/kit/sample.h"
#include "worker/kit/sequential.h"
#include "worker/kit/strata.h"

/* Whose verdict counts: the test that is valid at any time, the one look that was planned, the planned looks.
 */
typedef enum mr_horizon { MR_HORIZON_ANY, MR_HORIZON_FIXED, MR_HORIZON_GROUP } mr_horizon;
enum { MR_PLANNED_LOOKS = 20 };

typedef struct mr_arms_options {
    double alpha, power;
    double effect, mixing; /* of the SPRT and of the mixture test, in standard deviations */
    double first_look;     /* rows in each arm before a look counts */
    size_t strata;         /* in each half of the rows; below 2: none */
    uint64_t seed;
    mr_horizon horizon;
    size_t planned_looks; /* 1 to MR_PLANNED_LOOKS, equally spaced over the rows */
    mr_bound_kind bounds;
    bool lower_is_better;
    const char *control; /* "": the first arm */
    const char *split;   /* planned shares in the order of the arms, "1:1"; "": equal */
} mr_arms_options;

enum { MR_ARM_ROWS_MIN = 10 };
#define MR_SRM_ALPHA 0.001 /* a split that is less probable than this makes every verdict "invalid" */

typedef struct mr_cuped {
    double theta, reduction, predicted; /* cut of the variance of the difference; the correlation squared */
    mr_test test;                       /* Welch on y - theta x */
    double difference, low, high;
    mr_test balance; /* Welch on x: the treatment cannot have moved it */
} mr_cuped;

/* One arm (1) against the control (0); differences are arm minus control. */
typedef struct mr_comparison {
    uint32_t arm;
    mr_arm_sums s0, s1;
    mr_test test; /* pooled z of proportions, else Welch */
    double difference, low, high, p_holm, detectable;
    mr_effect effect;
    size_t looks;                     /* that counted */
    double best_ratio;                /* the largest log ratio of the mixture test so far */
    double any_p, any_p_holm, margin; /* valid at any time; half the interval's width at the last look */
    double sprt_ratio;
    int sprt;                         /* 1: the effect is there, -1: it is not, 0: go on */
    uint64_t crossed_at, sprt_at;     /* rows of the version up to the deciding look; 0: none */
    double group_z[MR_PLANNED_LOOKS]; /* at each planned look; NaN when there were too few rows */
    uint64_t group_at;                /* rows up to the first planned look beyond its bound; 0: none */
    double group_sign;                /* 1 or -1: the side of that bound */
    mr_belief belief;
    mr_cuped cuped;      /* with a covariate */
    mr_strata strata;    /* n = 0: none */
    const char *verdict; /* "better", "worse", "undecided", "invalid" */
} mr_comparison;

typedef struct mr_arms {
    uint32_t count, order[MR_ARMS], control; /* arms by number, then by name; the control's number */
    mr_arm_sums sums[MR_ARMS];
    double expected[MR_ARMS]; /* rows, in the order of `order` */
    bool proportion;
    mr_test srm;
    uint32_t comparisons;
    mr_group_design group; /* two-sided, at alpha / comparisons */
    mr_comparison c[MR_ARMS];
    size_t looks; /* of the first comparison: where it stood at each look */
    double look_d[MR_LOOKS], look_p[MR_LOOKS], look_fixed[MR_LOOKS];
    int64_t look_row[MR_LOOKS];
} mr_arms;

/* `sample`: sorted rows of `width` columns, the key of the arm (mr_class_key) and the outcome, for the
 * strata. Errors: E_INVALID fewer than two arms, too few rows in one, an unknown control, a split that is
 * none; E_MEMORY; what `tick` says. */
mr_status mr_arms_analyse(mr_experiment *e, const mr_sample *sample, size_t width, const mr_arms_options *o,
                          mr_arena *arena, const mr_ticker *tick, mr_arms *out, mr_error *err) MR_MUST_CHECK;

#endif
