/* independence.h: tests of conditional independence of two columns given others, for structure search.
 *   Fisher z     sqrt(n - |S| - 3) atanh(partial correlation), for numbers (Fisher 1924)
 *   G            2 sum of observed log(observed/expected) over the strata of S, for codes
 *   chi-square   sum of (observed - expected)^2/expected over the strata of S
 *   residuals    what cubic polynomials of S leave of both, compared (worker/kit/residuals.h), for numbers
 * Degrees of freedom of G and chi-square: (rows seen - 1)(columns seen - 1) of each stratum that holds rows,
 * summed. */
#ifndef MR_KIT_INDEPENDENCE_H
#define MR_KIT_INDEPENDENCE_H

#include "worker/kit/residuals.h"
#include "worker/kit/tick.h"

typedef enum mr_independence_kind { MR_FISHER_Z, MR_G_TEST, MR_CHI_SQUARE, MR_RESIDUALS } mr_independence_kind;
enum { MR_LEVELS_MAX = 32, MR_GIVEN_MAX = 64 };

typedef struct mr_independence {
    mr_independence_kind kind;
    size_t n, width;
    double *correlation; /* Fisher z: width x width */
    uint8_t *code;       /* G, chi-square: width columns of n codes below level[column] */
    uint32_t *level;
    uint32_t *stratum, *at, *order, *map; /* n; n + 1; n; room to number the strata anew */
    mr_residuals residuals;
    uint64_t tests;
    double undecided_p;
} mr_independence;

/* p is undecided_p where no dependence could show (the strata leave no freedom, or one column follows from
 * S), and NaN with too few rows (n - |S| - 3 < 1). */
typedef struct mr_independence_result {
    double statistic, df, p; /* df is NaN for Fisher z */
} mr_independence_result;

/* `undecided_p`: NaN, so that such a test separates nothing, or 1, as most software does.
 * x is n x width, row-major, finite. Codes number the distinct values of each column in ascending order.
 * Errors: E_INVALID a column with over MR_LEVELS_MAX values, or fewer than 4 rows; E_MEMORY. */
mr_status mr_independence_init(mr_independence *t, mr_independence_kind kind, double undecided_p,
                               const double *x, size_t n, size_t width, mr_arena *arena,
                               mr_error *err) MR_MUST_CHECK;

/* Are columns a and b independent given the `count` columns `given`? count <= MR_GIVEN_MAX. O(count^3) for
 * Fisher z, O(n count) for the others, O(n count + count^3) for residuals. */
mr_independence_result mr_independence_test(mr_independence *t, size_t a, size_t b, const uint16_t *given,
                                            size_t count);

/* How many distinct values the column has, or MR_LEVELS_MAX + 1 for more. */
uint32_t mr_count_levels(const double *x, size_t n, size_t width, size_t column);

const char *mr_independence_name(mr_independence_kind kind);

#endif
