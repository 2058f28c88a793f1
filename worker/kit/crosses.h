/* crosses.h: the sums of columns and of products of columns, without any rounding (worker/kit/exact.h), at about the speed
 * of a matrix product.
 *
 * Ozaki, Ogita, Oishi and Rump 2012, "Error-free transformations of matrix multiplication by using fast routines of matrix
 * multiplication and its applications", Numerical Algorithms 59: a column is cut into slices of 24 bits below its largest
 * value. The product of two slices is an integer of at most 2^46 in the slices' units, the sum of 128 of them at most 2^53,
 * so double arithmetic gives it exactly in any order and on any processor. Rows with a value that reaches below the last
 * slice are added term by term; how the columns are cut decides about speed alone. */
#ifndef MR_KIT_CROSSES_H
#define MR_KIT_CROSSES_H

#include "common/mem.h"
#include "worker/kit/exact.h"
#include "worker/kit/tick.h"

typedef struct mr_cross_rows {
    const double *x; /* rows x width, row-major, finite */
    const double *y; /* one more column, or NULL; a row whose y is NaN does not count */
    size_t rows, width;
} mr_cross_rows;

enum { MR_CROSS_SLICES = 6 };

typedef struct mr_cross_column {
    int exponent;     /* every |value| < 2^exponent */
    uint32_t slices;  /* 0 for a column that is 0 or too near to 0 for the grid */
    uint32_t place;   /* among the columns, those with the most slices first */
} mr_cross_column;

/* Sums over all rows; the arrays are in the arena, the rows are borrowed. */
typedef struct mr_crosses {
    mr_cross_rows in;
    size_t columns; /* width, and y */
    mr_cross_column *of;
    size_t level[MR_CROSS_SLICES + 1]; /* where the slices of each level begin; slice 0 is 1 in every row */
    size_t slices, strips;
    double *high, *low;   /* of every two slices: the sum of their products, in two parts */
    size_t rests;         /* rows that are added term by term */
    mr_exact_term *rest;  /* columns x rests */
} mr_crosses;

/* Fewer than 2^29 rows. Errors: E_MEMORY, what `tick` says. */
mr_status mr_crosses_of(mr_cross_rows in, mr_arena *arena, const mr_ticker *tick, mr_crosses *out,
                        mr_error *err) MR_MUST_CHECK;

/* *to gains the sum of column j; of the products of columns j and k. The y is column `width`. */
void mr_crosses_add_sum(const mr_crosses *c, size_t j, mr_exact *to);
void mr_crosses_add_product(const mr_crosses *c, size_t j, size_t k, mr_exact *to);

#endif
