/* neighbours.h: Euclidean distances between many points, by brute force: exact, O(n) memory, and vectorised
 * over points rather than over features, so that every distance is summed in the order of the features and is
 * the same number whichever of its two ends asks. */
#ifndef MR_KIT_NEIGHBOURS_H
#define MR_KIT_NEIGHBOURS_H

#include "common/mem.h"
#include "common/status.h"
#include "worker/kit/tick.h"

enum { MR_POINT_BLOCK = 8 };

/* Points in blocks of eight: within a block, the eight values of feature 0, then of feature 1, and so on. */
typedef struct mr_points {
    size_t n, width, blocks;
    double *data;       /* blocks x width x 8; the places behind the last point are copies of it */
    const double *rows; /* the n x width, row-major matrix that it was made from; borrowed */
} mr_points;

/* Errors: E_MEMORY. `rows` must be finite and outlive the points. */
mr_status mr_points_init(mr_points *p, mr_arena *arena, const double *rows, size_t n, size_t width,
                         mr_error *err) MR_MUST_CHECK;

/* The squared distances of the points of one block from `query` (width values). */
void mr_points_block(const mr_points *p, size_t block, const double *query, double out[MR_POINT_BLOCK]);

/* The same for MR_QUERIES queries at once, which is several times faster; the distances have the same bits. */
enum { MR_QUERIES = 4 };
void mr_points_tile(const mr_points *p, size_t block, const double *const query[MR_QUERIES],
                    double out[MR_QUERIES][MR_POINT_BLOCK]);

typedef struct mr_neighbour {
    double distance;
    uint32_t row;
} mr_neighbour;

/* No point has the number MR_NOBODY. */
#define MR_NOBODY SIZE_MAX

/* The k nearest points to `query`, nearest first, ties to the lower row, the point `except` left out
 * (MR_NOBODY: none). Returns how many were found: k, or
 * all whose distance is finite. `out` has room for k > 0. */
size_t mr_nearest(const mr_points *p, const double *query, size_t except, size_t k, mr_neighbour *out);

/* The k smallest of v come first; returns the largest of them (Hoare 1961, algorithm 65). 1 <= k <= count. */
double mr_select_least(double *v, size_t count, size_t k);

/* The distance from each point to its k-th neighbour, itself not counted; 1 <= k < n. O(n^2 width).
 * Errors: E_MEMORY, what `tick` says. */
mr_status mr_core_distances(const mr_points *p, size_t k, double *out, mr_arena *arena, const mr_ticker *tick,
                            mr_error *err) MR_MUST_CHECK;

#endif
