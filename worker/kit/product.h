/* product.h: products of dense matrices whose bits do not depend on the processor: every element of the result is summed in
 * the order of the inner dimension, one multiplication and one addition at a time. Faster processors do several elements at
 * once, never one sum in parts, so unlike a BLAS the last bits are the same everywhere (docs/adr/0012). */
#ifndef MR_KIT_PRODUCT_H
#define MR_KIT_PRODUCT_H

#include <stdbool.h>
#include <stddef.h>

/* A matrix in row-major order, or its transpose. */
typedef struct mr_view {
    const double *data;
    size_t row, column; /* data[i * row + j * column] is the element of row i and column j */
} mr_view;

static inline mr_view mr_view_of(const double *data, size_t columns) { return (mr_view){data, columns, 1}; }
static inline mr_view mr_view_transposed(const double *data, size_t columns) { return (mr_view){data, 1, columns}; }

/* c (rows x columns, row-major, apart from a and b) = a b, or c += a b with `add`. `inner` may be 0. */
void mr_product(mr_view a, mr_view b, size_t rows, size_t inner, size_t columns, bool add, double *c);

/* The kernel: c (MR_TILE x MR_TILE) += a' b for two strips of `depth` rows of MR_TILE numbers. */
enum { MR_TILE = 8 };
void mr_tile(const double *a, const double *b, size_t depth, double *c);

/* Sums of products of two vectors; four sums side by side, always in the same order. */
double mr_dot(const double *x, const double *y, size_t n);

#endif
