#include "worker/kit/product.h"
#include "worker/kit/wide.h"

#include <string.h>

/* A tile of the result is ROWS x COLUMNS sums in registers; the inner dimension goes in steps of DEPTH, so that the
 * packed strips of both factors stay in the nearest cache. */
enum { ROWS = 4, PARTS = 2, COLUMNS = PARTS * MR_LANES, DEPTH = 256 };

typedef struct strips {
    double a[DEPTH * ROWS], b[DEPTH * COLUMNS];
} strips;

/* Rows `at` and on of the inner dimension, `width` columns of `b`, zeros behind the last. */
static void pack(mr_view m, size_t at, size_t depth, size_t first, size_t have, size_t width, double *out) {
    for (size_t l = 0; l < depth; l++) {
        const double *from = m.data + (at + l) * m.row + first * m.column;
        for (size_t j = 0; j < width; j++) out[l * width + j] = j < have ? from[j * m.column] : 0;
    }
}

MR_WIDE_BODY tile(const double *a, const double *b, size_t depth, double *c) {
    mr_lanes sum[ROWS][PARTS];
    memcpy(sum, c, sizeof sum);
    for (size_t l = 0; l < depth; l++, a += ROWS, b += COLUMNS) {
        mr_lanes right[PARTS];
        memcpy(right, b, sizeof right);
        for (size_t i = 0; i < ROWS; i++)
            for (size_t j = 0; j < PARTS; j++) sum[i][j] += a[i] * right[j];
    }
    memcpy(c, sum, sizeof sum);
}

static void tile_any(const double *a, const double *b, size_t depth, double *c) { tile(a, b, depth, c); }
MR_WIDE static void tile_wide(const double *a, const double *b, size_t depth, double *c) { tile(a, b, depth, c); }

typedef struct block {
    size_t row, rows, column, columns; /* of c */
} block;

static void multiply_block(const strips *s, size_t depth, block at, size_t stride, double *c) {
    double sums[ROWS * COLUMNS] = {0};
    for (size_t i = 0; i < at.rows; i++)
        memcpy(sums + i * COLUMNS, c + (at.row + i) * stride + at.column, at.columns * sizeof *c);
    (MR_WIDE_HERE ? tile_wide : tile_any)(s->a, s->b, depth, sums);
    for (size_t i = 0; i < at.rows; i++)
        memcpy(c + (at.row + i) * stride + at.column, sums + i * COLUMNS, at.columns * sizeof *c);
}

static size_t least(size_t a, size_t b) { return a < b ? a : b; }

void mr_product(mr_view a, mr_view b, size_t rows, size_t inner, size_t columns, bool add, double *c) {
    strips s;
    mr_view down = {a.data, a.column, a.row}; /* the inner dimension first */
    if (!add && rows && columns) memset(c, 0, rows * columns * sizeof *c);
    for (size_t at = 0; at < inner; at += DEPTH) {
        size_t depth = least(DEPTH, inner - at);
        for (size_t j = 0; j < columns; j += COLUMNS) {
            size_t wide = least(COLUMNS, columns - j);
            pack(b, at, depth, j, wide, COLUMNS, s.b);
            for (size_t i = 0; i < rows; i += ROWS) {
                size_t high = least(ROWS, rows - i);
                pack(down, at, depth, i, high, ROWS, s.a);
                multiply_block(&s, depth, (block){i, high, j, wide}, columns, c);
            }
        }
    }
}

double mr_dot(const double *x, const double *y, size_t n) {
    double sum[4] = {0, 0, 0, 0};
    size_t j = 0;
    for (; j + 4 <= n; j += 4)
        for (size_t k = 0; k < 4; k++) sum[k] += x[j + k] * y[j + k];
    for (; j < n; j++) sum[0] += x[j] * y[j];
    return sum[0] + sum[1] + (sum[2] + sum[3]);
}
