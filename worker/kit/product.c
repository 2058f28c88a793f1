#include "worker/kit/product.h"
#include "worker/kit/wide.h"

#include <string.h>

/* A tile of the result is so many rows and columns of sums in registers; the inner dimension goes in steps of DEPTH and the
 * columns in blocks of STRIPS tiles, so that the packed strips of both factors stay in the nearest caches. */
enum { SIDE = MR_TILE, HALF = SIDE / 2, DEPTH = 128, STRIPS = 8 };

typedef struct strips {
    double a[DEPTH * SIDE], b[STRIPS][DEPTH * SIDE];
} strips;

/* Rows `at` and on of the inner dimension, SIDE columns of `m`, zeros behind the last. */
static void pack(mr_view m, size_t at, size_t depth, size_t first, size_t have, double *out) {
    const double *from = m.data + at * m.row + first * m.column;
    if (have < SIDE) memset(out, 0, depth * SIDE * sizeof *out);
    if (have == SIDE && m.column == 1) {
        for (size_t l = 0; l < depth; l++) memcpy(out + l * SIDE, from + l * m.row, SIDE * sizeof *out);
        return;
    }
    for (size_t j = 0; j < have; j++)
        for (size_t l = 0; l < depth; l++) out[l * SIDE + j] = from[l * m.row + j * m.column];
}

/* rows x (parts vectors) of a tile: as many sums as the processor's registers hold. */
#define SUMS(name, vector, rows, parts)                                                                                      \
    MR_WIDE_BODY name(const double *a, const double *b, size_t depth, double *c) {                                           \
        vector sum[rows][parts];                                                                                             \
        for (size_t i = 0; i < (rows); i++)                                                                                  \
            for (size_t j = 0; j < (parts); j++) sum[i][j] = ((const vector##_there *)(c + i * SIDE))[j];                    \
        for (size_t l = 0; l < depth; l++, a += SIDE, b += SIDE)                                                             \
            for (size_t i = 0; i < (rows); i++)                                                                              \
                for (size_t j = 0; j < (parts); j++) sum[i][j] += a[i] * ((const vector##_there *)b)[j];                     \
        for (size_t i = 0; i < (rows); i++)                                                                                  \
            for (size_t j = 0; j < (parts); j++) ((vector##_there *)(c + i * SIDE))[j] = sum[i][j];                          \
    }
SUMS(quarter, mr_pair, HALF, 2)
SUMS(half, mr_lanes, HALF, 2)
SUMS(whole, mr_wide_lanes, SIDE, 1)

static void tile_any(const double *a, const double *b, size_t depth, double *c) {
    for (size_t i = 0; i < SIDE; i += HALF)
        for (size_t j = 0; j < SIDE; j += HALF) quarter(a + i, b + j, depth, c + i * SIDE + j);
}

MR_WIDE static void tile_wide(const double *a, const double *b, size_t depth, double *c) {
    half(a, b, depth, c);
    half(a + HALF, b, depth, c + HALF * SIDE);
}

MR_WIDEST static void tile_widest(const double *a, const double *b, size_t depth, double *c) { whole(a, b, depth, c); }

void mr_tile(const double *a, const double *b, size_t depth, double *c) {
    (MR_WIDEST_HERE ? tile_widest : MR_WIDE_HERE ? tile_wide : tile_any)(a, b, depth, c);
}

typedef struct block {
    size_t row, rows, column, columns; /* of c */
} block;

/* `c` is the tile's first element. */
static void multiply_tile(const double *a, const double *b, size_t depth, block at, size_t stride, double *c) {
    double sums[SIDE * SIDE];
    bool full = at.rows == SIDE && at.columns == SIDE;
    if (!full) memset(sums, 0, sizeof sums);
    for (size_t i = 0; i < at.rows; i++) {
        if (full)
            memcpy(sums + i * SIDE, c + i * stride, SIDE * sizeof *c); /* a constant size: no call */
        else
            memcpy(sums + i * SIDE, c + i * stride, at.columns * sizeof *c);
    }
    mr_tile(a, b, depth, sums);
    for (size_t i = 0; i < at.rows; i++) {
        if (full)
            memcpy(c + i * stride, sums + i * SIDE, SIDE * sizeof *c);
        else
            memcpy(c + i * stride, sums + i * SIDE, at.columns * sizeof *c);
    }
}

static size_t least(size_t a, size_t b) { return a < b ? a : b; }

/* All rows of c in the given columns gain the products of one step of the inner dimension; b is packed. */
static void multiply_strips(strips *s, mr_view down, size_t at, size_t depth, size_t rows, block columns, size_t stride,
                            double *c) {
    for (size_t i = 0; i < rows; i += SIDE) {
        size_t high = least(SIDE, rows - i);
        pack(down, at, depth, i, high, s->a);
        for (size_t j = 0; j < columns.columns; j += SIDE) {
            block tile_at = {i, high, columns.column + j, least(SIDE, columns.columns - j)};
            multiply_tile(s->a, s->b[j / SIDE], depth, tile_at, stride, c + i * stride + tile_at.column);
        }
    }
}

void mr_product(mr_view a, mr_view b, size_t rows, size_t inner, size_t columns, bool add, double *c) {
    strips s;
    mr_view down = {a.data, a.column, a.row}; /* the inner dimension first */
    if (!add && rows && columns) memset(c, 0, rows * columns * sizeof *c);
    for (size_t at = 0; at < inner; at += DEPTH) {
        size_t depth = least(DEPTH, inner - at);
        for (size_t j = 0; j < columns; j += STRIPS * SIDE) {
            block some = {0, rows, j, least(STRIPS * SIDE, columns - j)};
            for (size_t k = 0; k < some.columns; k += SIDE)
                pack(b, at, depth, j + k, least(SIDE, some.columns - k), s.b[k / SIDE]);
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
