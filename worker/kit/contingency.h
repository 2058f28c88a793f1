/* contingency.h: tests and effect sizes for tables of counts, and corrections for many tests. Pure functions
 * but for mr_adjust. */
#ifndef MR_KIT_CONTINGENCY_H
#define MR_KIT_CONTINGENCY_H

#include "common/mem.h"
#include "common/status.h"
#include "worker/kit/hypothesis.h"

/* Rows with and without a trait, and how many of each succeeded. */
typedef struct mr_fourfold {
    uint64_t with, with_success, without, without_success;
} mr_fourfold;

typedef enum mr_fourfold_kind {
    MR_FISHER_EXACT,      /* two-sided: all tables no more probable than this one (to 1e-7 relative, as R) */
    MR_CHI_SQUARE_PLAIN,  /* Pearson, without continuity correction */
    MR_CHI_SQUARE_YATES,  /* Pearson with Yates's correction */
    MR_PERMUTATION_EXACT, /* of the difference of rates, over every relabelling (no sampling) */
    MR_FOURFOLD_KINDS
} mr_fourfold_kind;

/* Two-sided. `p` is NaN when all or no rows have the trait, or succeed. The statistic is chi-square or the
 * difference of rates; NaN for Fisher's test. Time: the exact ones grow with the smaller margin. */
mr_test mr_fourfold_test(const mr_fourfold *t, mr_fourfold_kind kind);

/* Pearson's chi-square for k rows of (total, successes). NaN when a margin is 0. `least_expected`: the least
 * expected count of a cell; `v`: Cramer's V. */
mr_test mr_chi_square_rows(const uint64_t *total, const uint64_t *success, size_t k, double *least_expected,
                           double *v);

/* odds of success with the trait over those without; Wald interval on the log at `level`; 0.5 is added to all
 * cells when one is 0. */
typedef struct mr_fourfold_effect {
    double odds_ratio, odds_low, odds_high;
    double cramers_v;
    double cohen_d;        /* of having the trait (0 or 1), failures minus successes, pooled sd */
    double least_expected; /* the least expected count of a cell */
} mr_fourfold_effect;
mr_fourfold_effect mr_fourfold_effects(const mr_fourfold *t, double level);

typedef enum mr_adjustment {
    MR_BONFERRONI,
    MR_HOLM,                /* Holm 1979 */
    MR_BENJAMINI_HOCHBERG,  /* 1995: false discovery rate, independent or positively dependent tests */
    MR_BENJAMINI_YEKUTIELI, /* 2001: false discovery rate, any dependence */
    MR_ADJUSTMENTS
} mr_adjustment;
/* out[i] is the adjusted p[i]; NaN stays NaN and does not count as a test. Errors: E_MEMORY. */
mr_status mr_adjust(mr_adjustment kind, const double *p, size_t n, mr_arena *arena, double *out,
                    mr_error *err) MR_MUST_CHECK;

#endif
