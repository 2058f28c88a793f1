#include "worker/kit/neighbours.h"
#include "worker/kit/wide.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

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

/* Squared distances of a block from `count` queries, in vectors. */
#define DISTANCES(name, vector, count)                                                                                       \
    MR_WIDE_BODY name(const double *at, size_t width, const double *const *query, double (*out)[MR_POINT_BLOCK]) {            \
        enum { PARTS = MR_POINT_BLOCK * sizeof(double) / sizeof(vector) };                                                   \
        vector sum[count][PARTS] = {0};                                                                                      \
        for (size_t f = 0; f < width; f++, at += MR_POINT_BLOCK)                                                             \
            for (size_t q = 0; q < (count); q++)                                                                             \
                for (size_t i = 0; i < PARTS; i++) {                                                                         \
                    vector apart = ((const vector##_there *)at)[i] - query[q][f];                                            \
                    sum[q][i] += apart * apart;                                                                              \
                }                                                                                                            \
        for (size_t q = 0; q < (count); q++)                                                                                 \
            for (size_t i = 0; i < PARTS; i++) ((vector##_there *)out[q])[i] = sum[q][i];                                    \
    }
DISTANCES(one_in_pairs, mr_pair, 1)
DISTANCES(one_in_lanes, mr_lanes, 1)
DISTANCES(some_in_lanes, mr_lanes, MR_QUERIES)
DISTANCES(some_in_wide_lanes, mr_wide_lanes, MR_QUERIES)

typedef void distances(const double *at, size_t width, const double *const *query, double (*out)[MR_POINT_BLOCK]);

static void block_any(const double *at, size_t width, const double *const *query, double (*out)[MR_POINT_BLOCK]) {
    one_in_pairs(at, width, query, out);
}
MR_WIDE static void block_wide(const double *at, size_t width, const double *const *query, double (*out)[MR_POINT_BLOCK]) {
    one_in_lanes(at, width, query, out);
}

void mr_points_block(const mr_points *p, size_t block, const double *query, double out[MR_POINT_BLOCK]) {
    distances *of = MR_WIDE_HERE ? block_wide : block_any;
    of(p->data + block * p->width * MR_POINT_BLOCK, p->width, &query, (double (*)[MR_POINT_BLOCK])out);
}

static void tile_any(const double *at, size_t width, const double *const *query, double (*out)[MR_POINT_BLOCK]) {
    for (size_t q = 0; q < MR_QUERIES; q++) one_in_pairs(at, width, query + q, out + q);
}
MR_WIDE static void tile_wide(const double *at, size_t width, const double *const *query, double (*out)[MR_POINT_BLOCK]) {
    some_in_lanes(at, width, query, out);
}
MR_WIDEST static void tile_widest(const double *at, size_t width, const double *const *query, double (*out)[MR_POINT_BLOCK]) {
    some_in_wide_lanes(at, width, query, out);
}

void mr_points_tile(const mr_points *p, size_t block, const double *const query[MR_QUERIES],
                    double out[MR_QUERIES][MR_POINT_BLOCK]) {
    distances *of = MR_WIDEST_HERE ? tile_widest : MR_WIDE_HERE ? tile_wide : tile_any;
    of(p->data + block * p->width * MR_POINT_BLOCK, p->width, query, out);
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

/* ---- the k-th nearest alone ---- */

double mr_select_least(double *v, size_t count, size_t k) {
    size_t low = 0, high = count - 1;
    while (low < high) {
        double middle = v[low + (high - low) / 2];
        size_t i = low, j = high;
        for (;;) {
            while (v[i] < middle) i++;
            while (v[j] > middle) j--;
            if (i >= j) break;
            double swap = v[i];
            v[i++] = v[j];
            v[j--] = swap;
        }
        if (k - 1 <= j) /* low .. j are not larger than the middle, the others not smaller */
            high = j;
        else
            low = j + 1;
    }
    double largest = v[0];
    for (size_t i = 1; i < k; i++) largest = v[i] > largest ? v[i] : largest;
    return largest;
}

/* The squared distances that may still be among the k least. */
typedef struct least_distances {
    double *v, worst;
    size_t count, k, room;
} least_distances;

static size_t room_for(size_t k) { return 3 * k + 8 * (size_t)MR_POINT_BLOCK; }
static least_distances none_yet(double *v, size_t k) { return (least_distances){v, INFINITY, 0, k, room_for(k)}; }

static void take_block(least_distances *l, const mr_points *p, size_t block, const double *d2, size_t except) {
    for (size_t i = 0; i < MR_POINT_BLOCK; i++) {
        size_t row = block * MR_POINT_BLOCK + i;
        if (d2[i] < l->worst && row < p->n && row != except) l->v[l->count++] = d2[i];
    }
    if (l->count + MR_POINT_BLOCK <= l->room) return;
    l->worst = mr_select_least(l->v, l->count, l->k);
    l->count = l->k;
}

/* Of rows `first` and on. */
static void core_of_some(const mr_points *p, size_t first, size_t k, double *room, double *out) {
    least_distances l[MR_QUERIES];
    const double *query[MR_QUERIES];
    double d2[MR_QUERIES][MR_POINT_BLOCK];
    size_t count = p->n - first < MR_QUERIES ? p->n - first : MR_QUERIES;
    for (size_t q = 0; q < MR_QUERIES; q++) {
        l[q] = none_yet(room + q * room_for(k), k);
        query[q] = p->rows + (first + (q < count ? q : 0)) * p->width;
    }
    for (size_t b = 0; b < p->blocks; b++) {
        mr_points_tile(p, b, query, d2);
        for (size_t q = 0; q < count; q++) take_block(&l[q], p, b, d2[q], first + q);
    }
    for (size_t q = 0; q < count; q++)
        out[first + q] = l[q].count >= k ? sqrt(mr_select_least(l[q].v, l[q].count, k)) : INFINITY;
}

mr_status mr_core_distances(const mr_points *p, size_t k, double *out, mr_arena *arena, const mr_ticker *tick,
                            mr_error *err) {
    MR_ASSERT(k >= 1 && k < p->n);
    double *room = mr_arena_alloc(arena, MR_QUERIES * room_for(k), sizeof *room);
    if (!room) return mr_fail(err, MR_E_MEMORY, "no memory for %zu neighbours", k);
    for (size_t i = 0; i < p->n; i += MR_QUERIES) {
        MR_TRY(mr_ticker_call(tick));
        core_of_some(p, i, k, room, out);
    }
    return MR_OK;
}
