#include "worker/kit/product.h"
#include "worker/kit/wide.h"

#include <string.h>

/* A tile of the result is ROWS x COLUMNS sums in registers; the inner dimension goes in steps of DEPTH and the columns in
 * blocks of STRIPS tiles, so that the packed strips of both factors stay in the nearest caches. */
enum { ROWS = 4, PARTS = 2, COLUMNS = PARTS * MR_LANES, DEPTH = 128, STRIPS = 8 };

typedef struct strips {
    double a[DEPTH * ROWS], b[STRIPS][DEPTH * COLUMNS];
} strips;

/* Rows `at` and on of the inner dimension, `width` columns of `m`, zeros behind the last. */
static void pack(mr_view m, size_t at, size_t depth, size_t first, size_t have, size_t width, double *out) {
    for (size_t l = 0; l < depth; l++) {
        const double *from = m.data + (at + l) * m.row + first * m.column;
        for (size_t j = 0; j < width; j++) out[l * width + j] = j < have ? from[j * m.column] : 0;
    }
}

MR_WIDE_BODY tile(const double *a, const double *b, size_t depth, double *c) {
    mr_lanes_there *out = (mr_lanes_there *)c;
    mr_lanes sum[ROWS][PARTS];
    for (size_t i = 0; i < ROWS * PARTS; i++) sum[i / PARTS][i % PARTS] = out[i];
    for (size_t l = 0; l < depth; l++, a += ROWS, b += COLUMNS) {
        const mr_lanes_there *right = (const mr_lanes_there *)b;
        for (size_t i = 0; i < ROWS; i++)
            for (size_t j = 0; j < PARTS; j++) sum[i][j] += a[i] * right[j];
    }
    for (size_t i = 0; i < ROWS * PARTS; i++) out[i] = sum[i / PARTS][i % PARTS];
}

static void tile_any(const double *a, const double *b, size_t depth, double *c) { tile(a, b, depth, c); }
MR_WIDE static void tile_wide(const double *a, const double *b, size_t depth, double *c) { tile(a, b, depth, c); }

typedef struct block {
    size_t row, rows, column, columns; /* of c */
} block;

/* `c` is the tile's first element. */
static void multiply_tile(const double *a, const double *b, size_t depth, block at, size_t stride, double *c) {
    double sums[ROWS * COLUMNS];
    bool full = at.rows == ROWS && at.columns == COLUMNS;
    if (!full) memset(sums, 0, sizeof sums);
    for (size_t i = 0; i < at.rows; i++) {
        if (full)
            memcpy(sums + i * COLUMNS, c + i * stride, COLUMNS * sizeof *c); /* a constant size: no call */
        else
            memcpy(sums + i * COLUMNS, c + i * stride, at.columns * sizeof *c);
    }
    (MR_WIDE_HERE ? tile_wide : tile_any)(a, b, depth, sums);
    for (size_t i = 0; i < at.rows; i++) {
        if (full)
            memcpy(c + i * stride, sums + i * COLUMNS, COLUMNS * sizeof *c);
        else
            memcpy(c + i * stride, sums + i * COLUMNS, at.columns * sizeof *c);
    }
}

static size_t least(size_t a, size_t b) { return a < b ? a : b; }

/* All rows of c in the given columns gain the products of one step of the inner dimension; b is packed. */
static void multiply_strips(strips *s, mr_view down, size_t at, size_t depth, size_t rows, block columns, size_t stride,
                            double *c) {
    for (size_t i = 0; i < rows; i += ROWS) {
        size_t high = least(ROWS, rows - i);
        pack(down, at, depth, i, high, ROWS, s->a);
        for (size_t j = 0; j < columns.columns; j += COLUMNS) {
            block tile_at = {i, high, columns.column + j, least(COLUMNS, columns.columns - j)};
            multiply_tile(s->a, s->b[j / COLUMNS], depth, tile_at, stride, c + i * stride + tile_at.column);
        }
    }
}

void mr_product(mr_view a, mr_view b, size_t rows, size_t inner, size_t columns, bool add, double *c) {
    strips s;
    mr_view down = {a.data, a.column, a.row}; /* the inner dimension first */
    if (!add && rows && columns) memset(c, 0, rows * columns * sizeof *c);
    for (size_t at = 0; at < inner; at += DEPTH) {
        size_t depth = least(DEPTH, inner - at);
        for (size_t j = 0; j < columns; j += STRIPS * COLUMNS) {
            block some = {0, rows, j, least(STRIPS * COLUMNS, columns - j)};
            for (size_t k = 0; k < some.columns; k += COLUMNS)
                pack(b, at, depth, j + k, least(COLUMNS, some.columns - k), COLUMNS, s.b[k / COLUMNS]);
            multiply_strips(&s, down, at, depth, rows, some, columns, c);
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
