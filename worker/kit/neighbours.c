#include "worker/kit/neighbours.h"
#include "worker/kit/wide.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef double lanes __attribute__((vector_size(2 * sizeof(double)))); /* what every 64-bit processor has */
enum { LANES = sizeof(lanes) / sizeof(double), PARTS = MR_POINT_BLOCK / LANES };

mr_status mr_points_init(mr_points *p, mr_arena *arena, const double *rows, size_t n, size_t width,
                         mr_error *err) {
    MR_ASSERT(n > 0 && width > 0 && n <= UINT32_MAX);
    size_t blocks = (n + MR_POINT_BLOCK - 1) / MR_POINT_BLOCK;
    *p = (mr_points){.n = n, .width = width, .blocks = blocks, .rows = rows};
    p->data = mr_arena_alloc(arena, blocks * width, MR_POINT_BLOCK * sizeof(double));
    if (!p->data) return mr_fail(err, MR_E_MEMORY, "no memory for %zu points of %zu features", n, width);
    for (size_t i = 0; i < blocks * MR_POINT_BLOCK; i++) {
        const double *row = rows + (i < n ? i : n - 1) * width;
        double *block = p->data + i / MR_POINT_BLOCK * width * MR_POINT_BLOCK;
        for (size_t f = 0; f < width; f++) block[f * MR_POINT_BLOCK + i % MR_POINT_BLOCK] = row[f];
    }
    return MR_OK;
}

void mr_points_block(const mr_points *p, size_t block, const double *query, double out[MR_POINT_BLOCK]) {
    const double *at = p->data + block * p->width * MR_POINT_BLOCK;
    lanes sum[PARTS] = {0};
    for (size_t f = 0; f < p->width; f++, at += MR_POINT_BLOCK)
        for (size_t i = 0; i < PARTS; i++) {
            lanes x;
            memcpy(&x, at + i * LANES, sizeof x);
            x -= query[f];
            sum[i] += x * x;
        }
    memcpy(out, sum, sizeof sum);
}

enum { WIDE_PARTS = MR_POINT_BLOCK / MR_LANES };

MR_WIDE_BODY tile(const double *at, size_t width, const double *const query[MR_QUERIES],
                  double out[MR_QUERIES][MR_POINT_BLOCK]) {
    mr_lanes sum[MR_QUERIES][WIDE_PARTS] = {0};
    for (size_t f = 0; f < width; f++, at += MR_POINT_BLOCK) {
        const mr_lanes_there *x = (const mr_lanes_there *)at;
        for (size_t q = 0; q < MR_QUERIES; q++)
            for (size_t i = 0; i < WIDE_PARTS; i++) {
                mr_lanes apart = x[i] - query[q][f];
                sum[q][i] += apart * apart;
            }
    }
    for (size_t q = 0; q < MR_QUERIES; q++)
        for (size_t i = 0; i < WIDE_PARTS; i++) ((mr_lanes_there *)out[q])[i] = sum[q][i];
}

static void tile_any(const double *at, size_t width, const double *const query[MR_QUERIES],
                     double out[MR_QUERIES][MR_POINT_BLOCK]) {
    tile(at, width, query, out);
}

MR_WIDE static void tile_wide(const double *at, size_t width, const double *const query[MR_QUERIES],
                              double out[MR_QUERIES][MR_POINT_BLOCK]) {
    tile(at, width, query, out);
}

void mr_points_tile(const mr_points *p, size_t block, const double *const query[MR_QUERIES],
                    double out[MR_QUERIES][MR_POINT_BLOCK]) {
    const double *at = p->data + block * p->width * MR_POINT_BLOCK;
    (MR_WIDE_HERE ? tile_wide : tile_any)(at, p->width, query, out);
}

/* Farther first; of equal distances the higher row. */
static bool farther(mr_neighbour x, mr_neighbour y) {
    return x.distance > y.distance || (x.distance == y.distance && x.row > y.row);
}

/* The heap has the farthest neighbour on top. */
static void sift_up(mr_neighbour *heap, size_t at, mr_neighbour v) {
    for (; at > 0 && farther(v, heap[(at - 1) / 2]); at = (at - 1) / 2) heap[at] = heap[(at - 1) / 2];
    heap[at] = v;
}

static void replace_top(mr_neighbour *heap, size_t count, mr_neighbour v) {
    size_t at = 0;
    for (size_t child; (child = 2 * at + 1) < count; at = child) {
        if (child + 1 < count && farther(heap[child + 1], heap[child])) child++;
        if (!farther(heap[child], v)) break;
        heap[at] = heap[child];
    }
    heap[at] = v;
}

/* The k nearest as a heap of squared distances; returns how many. Rows come in rising order, so of equal
 * distances the lower rows stay. */
static size_t nearest_heap(const mr_points *p, const double *query, size_t except, size_t k,
                           mr_neighbour *heap) {
    size_t count = 0;
    double worst = INFINITY, d2[MR_POINT_BLOCK];
    for (size_t b = 0; b < p->blocks; b++) {
        mr_points_block(p, b, query, d2);
        for (size_t i = 0; i < MR_POINT_BLOCK; i++) {
            size_t row = b * MR_POINT_BLOCK + i;
            if (!(d2[i] < worst) || row >= p->n || row == except) continue;
            mr_neighbour found = {d2[i], (uint32_t)row};
            if (count < k)
                sift_up(heap, count++, found);
            else
                replace_top(heap, count, found);
            if (count == k) worst = heap[0].distance;
        }
    }
    return count;
}

static int by_distance(const void *x, const void *y) {
    const mr_neighbour *p = x, *q = y;
    return farther(*p, *q) - farther(*q, *p);
}

size_t mr_nearest(const mr_points *p, const double *query, size_t except, size_t k, mr_neighbour *out) {
    size_t count = nearest_heap(p, query, except, k, out);
    if (count > 0) qsort(out, count, sizeof *out, by_distance);
    for (size_t i = 0; i < count; i++) out[i].distance = sqrt(out[i].distance);
    return count;
}

mr_status mr_core_distances(const mr_points *p, size_t k, double *out, mr_arena *arena, const mr_ticker *tick,
                            mr_error *err) {
    MR_ASSERT(k >= 1 && k < p->n);
    mr_neighbour *near = mr_arena_alloc(arena, k, sizeof *near);
    if (!near) return mr_fail(err, MR_E_MEMORY, "no memory for %zu neighbours", k);
    for (size_t i = 0; i < p->n; i++) {
        MR_TRY(mr_ticker_call(tick));
        size_t count = nearest_heap(p, p->rows + i * p->width, i, k, near);
        out[i] = count == k ? sqrt(near[0].distance) : INFINITY;
    }
    return MR_OK;
}
