/* choose_test.h: which test of independence suits a table. Classes are counted (G); numbers are compared by partial
 * correlations (Fisher z), which see straight lines between normal columns, and by more where the rows say that this is
 * too little:
 *   a column is not normal (D'Agostino and Pearson's K2)          -> normal scores take the place of the values
 *   a line does not say all that one column tells about another   -> cubic residuals instead of correlations
 * each at `alpha` over the number of columns or ordered pairs. */
#ifndef MR_KIT_CHOOSE_TEST_H
#define MR_KIT_CHOOSE_TEST_H

#include "worker/kit/independence.h"

enum { MR_CLASSES_MAX = 20, MR_CLASS_ROWS = 10, MR_LINE_ROWS = 10000 };

typedef enum mr_transform { MR_TRANSFORM_AUTO, MR_TRANSFORM_NONE, MR_TRANSFORM_SCORES } mr_transform;

/* Columns up to which auto takes residuals. How many tests a graph takes grows fast with its columns, and one of residuals takes
 * some hundred times as long as one of Fisher's z. */
enum { MR_BENDS_COLUMNS = 16 };

typedef struct mr_test_choice {
    mr_independence_kind kind;
    bool scores;     /* the values were replaced by normal scores */
    size_t odd;      /* the column that is least like normal; width: none is unlike it, or nobody asked */
    double odd_p;
    size_t bent[2];  /* the first pair found whose tie is no line: [1] tells about [0]; width: none, or nobody asked */
    mr_residuals_result bend;
    size_t bend_rows; /* rows that were looked at: all, or every k-th up to MR_LINE_ROWS */
} mr_test_choice;

/* Up to 20 different values, and 10 rows for each, in every column. */
bool mr_are_classes(const double *x, size_t n, size_t width);

/* Every k-th row of x, so that at most MR_LINE_ROWS are left, in the arena; all rows, borrowed, when a column would then be
 * constant. *rows: how many. NULL without memory. */
const double *mr_thin_rows(const double *x, size_t n, size_t width, mr_arena *arena, size_t *rows);

/* `kind` is asked for, or NULL to choose. Auto transforms when the kind is chosen or MR_RESIDUALS; fisher z that was asked
 * for is taken on the values as they are. x, n x width, row-major, finite and nowhere constant, is changed in place when
 * scores are wanted. Errors: E_MEMORY, what `tick` says. */
mr_status mr_choose_test(double *x, size_t n, size_t width, const mr_independence_kind *kind, mr_transform transform,
                         double alpha, mr_arena *arena, const mr_ticker *tick, mr_test_choice *out,
                         mr_error *err) MR_MUST_CHECK;

#endif
