/* residuals.h: are two columns of numbers independent given others, when their ties need not be straight lines?
 * Each of the two is regressed on cubic polynomials of the given columns (least squares, additive), and what is left of
 * one is compared with what is left of the other: Wilks' likelihood ratio between the powers 1 to 3 of r/sqrt(1 + r^2) of
 * both (r in its own spread: bounded, so that chi-square holds in small tables and a far row decides nothing), with
 * Bartlett's factor. The idea, residuals compared by a basis of functions, is Daudin's (1980) and, for structure search,
 * Ramsey's (2014). It takes it that the given columns add up in what they do to the mean, and that what is left does not
 * change its spread with them.
 * A column of few values is compared by r itself: its spread follows its mean, and would seem a tie. */
#ifndef MR_KIT_RESIDUALS_H
#define MR_KIT_RESIDUALS_H

#include "common/mem.h"
#include "common/status.h"

enum { MR_RESIDUALS_DEGREE = 3, MR_RESIDUALS_FEW = 20 };

typedef struct mr_residuals {
    size_t n, width;
    double *basis;  /* width x degree columns of n numbers: polynomials of the z-scores, of mean 0 and spread 1; 0 when constant */
    double *moment; /* of these columns, (width x degree) squared: their correlations */
    size_t *compared; /* functions that a column is compared by: 3, or r alone for few values */
    double *left;   /* room for what is left: 2 x degree columns of n */
    double *solve;  /* room for one regression */
} mr_residuals;

typedef struct mr_residuals_result {
    double statistic, df, p; /* p NaN: too few rows; df 0: one of the two follows from what is given */
} mr_residuals_result;

/* x is n x width, row-major, finite; n at least 4. `given_max`: most columns that a test may be given. Errors: E_MEMORY. */
mr_status mr_residuals_init(mr_residuals *t, const double *x, size_t n, size_t width, size_t given_max, mr_arena *arena,
                            mr_error *err) MR_MUST_CHECK;

/* Columns a and b, given `count` others. O(n x count + count^3). */
mr_residuals_result mr_residuals_test(mr_residuals *t, size_t a, size_t b, const uint16_t *given, size_t count);

/* Does a straight line through b say all that b tells about a? The same comparison, of b and what the line leaves of a
 * (df counts as if the line had taken nothing, which errs towards a line). */
mr_residuals_result mr_residuals_beyond_line(mr_residuals *t, size_t a, size_t b);

/* Ranks (ties share theirs) turned into normal quantiles, rank/(n + 1), in place: a column of x, n x width. A monotone
 * change of scale then changes nothing (Liu, Lafferty and Wasserman 2009; Harris and Drton 2013). `room`: n numbers. */
void mr_normal_scores(double *x, size_t n, size_t width, size_t column, double *room);

#endif
