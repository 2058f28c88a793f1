/* association.h: how a target goes with each of several columns when the others are held, by one regression
 * with standard errors that bear unequal spread (HC1). */
#ifndef MR_KIT_ASSOCIATION_H
#define MR_KIT_ASSOCIATION_H

#include "worker/kit/glm.h"

typedef struct mr_association {
    const char *name;
    bool two;    /* the column has two values */
    double step; /* what the coefficient is for: the way from its low to its high value, or one standard
                    deviation */
    double coefficient, se, df, low, high;
    double p, holm; /* t; after Holm's correction over the columns */
    double above;   /* share of rows with the higher of two values; a half for other columns */
} mr_association;

/* x is n x width, row-major, finite; names and y alongside. Constant columns are left out. *out gets *count
 * entries: none when there are under 2 (columns + 1) + 3 rows or y is constant. Errors: E_MEMORY, what `tick`
 * says. */
mr_status mr_associate(const double *x, const char *const *names, const double *y, size_t n, size_t width,
                       double level, mr_arena *arena, const mr_ticker *tick, mr_association **out,
                       size_t *count, mr_error *err) MR_MUST_CHECK;

/* Holm's step-down over n p-values (Holm 1979); NaN stays NaN and does not count. */
void mr_holm(const double *p, size_t n, double *adjusted);

#endif
