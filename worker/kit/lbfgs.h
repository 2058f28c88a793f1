/* lbfgs.h: least of a smooth function of many variables: limited-memory BFGS (Liu and Nocedal 1989) with a bisecting line
 * search for the weak Wolfe conditions (Lewis and Overton 2013). Only +, -, *, / and the square root in a fixed order, which
 * liblbfgs, whose sums follow the processor, does not promise (docs/adr/0012). */
#ifndef MR_KIT_LBFGS_H
#define MR_KIT_LBFGS_H

#include "common/mem.h"
#include "common/status.h"

/* Value and gradient at x. An error ends the search and is returned. */
typedef mr_status (*mr_objective)(void *self, const double *x, double *value, double *gradient);

typedef struct mr_lbfgs_result {
    double value;
    size_t iterations;
    bool converged; /* the gradient is at most `enough` times the size of x (or of 1), or no step makes the value less */
} mr_lbfgs_result;

/* Improves x (n values) in at most `iterations` steps. 20 n numbers of memory from the arena. Errors: E_MEMORY, what the
 * objective returns. */
mr_status mr_lbfgs(mr_objective objective, void *self, double *x, size_t n, size_t iterations, double enough,
                   mr_arena *arena, mr_lbfgs_result *out, mr_error *err) MR_MUST_CHECK;

#endif
