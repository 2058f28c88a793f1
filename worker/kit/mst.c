#include "worker/kit/mst.h"

#include <math.h>
#include <stdlib.h>

/* What Prim's algorithm knows of the points outside the tree; padded to whole blocks. Inside the tree, best
 * is -1. */
typedef struct frontier {
    double *best; /* weight of the lightest edge into the tree */
    double *core;
    uint32_t *from; /* its end in the tree */
} frontier;

static double larger(double x, double y) { return x > y ? x : y; }

static int by_weight(const void *x, const void *y) {
    const mr_edge *p = x, *q = y;
    if (p->weight != q->weight) return p->weight < q->weight ? -1 : 1;
    return p->found < q->found ? -1 : 1;
}

/* Whether an edge from a point with core distance `core` could be lighter than what some point of the block
 * has. */
static bool may_improve(const frontier *f, size_t at, double core) {
    for (size_t i = at; i < at + MR_POINT_BLOCK; i++)
        if (f->best[i] > larger(core, f->core[i])) return true;
    return false;
}

static void improve(const mr_points *p, frontier *f, size_t block, size_t from) {
    double d2[MR_POINT_BLOCK];
    size_t at = block * MR_POINT_BLOCK;
    mr_points_block(p, block, p->rows + from * p->width, d2);
    for (size_t i = 0; i < MR_POINT_BLOCK; i++) {
        double weight = larger(sqrt(d2[i]), larger(f->core[from], f->core[at + i]));
        if (weight >= f->best[at + i]) continue;
        f->best[at + i] = weight;
        f->from[at + i] = (uint32_t)from;
    }
}

static size_t lightest(const frontier *f, size_t n) {
    size_t top = n;
    double least = INFINITY;
    for (size_t i = 0; i < n; i++)
        if (f->best[i] >= 0 && f->best[i] < least) {
            least = f->best[i];
            top = i;
        }
    MR_ASSERT(top < n);
    return top;
}

mr_status mr_mst(const mr_points *p, const double *core, mr_edge *edges, mr_arena *arena,
                 const mr_ticker *tick, mr_error *err) {
    size_t padded = p->blocks * MR_POINT_BLOCK;
    frontier f = {mr_arena_alloc(arena, padded, sizeof *f.best),
                  mr_arena_alloc(arena, padded, sizeof *f.core),
                  mr_arena_alloc(arena, padded, sizeof *f.from)};
    if (!f.best || !f.core || !f.from)
        return mr_fail(err, MR_E_MEMORY, "no memory for a tree of %zu points", p->n);
    for (size_t i = 0; i < padded; i++) {
        f.best[i] = i < p->n ? INFINITY : -1;
        f.core[i] = i < p->n ? core[i] : 0;
    }
    size_t at = 0;
    f.best[0] = -1;
    for (size_t done = 0; done + 1 < p->n; done++) {
        MR_TRY(mr_ticker_call(tick));
        for (size_t b = 0; b < p->blocks; b++)
            if (may_improve(&f, b * MR_POINT_BLOCK, f.core[at])) improve(p, &f, b, at);
        at = lightest(&f, p->n);
        edges[done] = (mr_edge){f.from[at], (uint32_t)at, (uint32_t)done, f.best[at]};
        f.best[at] = -1;
    }
    qsort(edges, p->n - 1, sizeof *edges, by_weight);
    return MR_OK;
}
