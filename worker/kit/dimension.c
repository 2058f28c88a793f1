#include "worker/kit/dimension.h"

#include "worker/kit/dist.h"

#include <math.h>

/* Drops the neighbours at distance 0; returns how many are left. */
static size_t drop_duplicates(mr_neighbour *near, size_t count) {
    size_t kept = 0;
    for (size_t i = 0; i < count; i++)
        if (near[i].distance > 0) near[kept++] = near[i];
    return kept;
}

mr_status mr_intrinsic_dimension(const mr_points *p, size_t k, mr_arena *arena, const mr_ticker *tick,
                                 mr_dimension *out, mr_error *err) {
    mr_neighbour *near = mr_arena_alloc(arena, k + 1, sizeof *near);
    double ratios = 0, inverses = 0;
    size_t rows = 0, terms = 0;
    *out = (mr_dimension){0, NAN, NAN, NAN, NAN};
    if (!near) return mr_fail(err, MR_E_MEMORY, "no memory for %zu neighbours", k);
    for (size_t i = 0; i < p->n; i++) {
        MR_TRY(mr_ticker_call(tick));
        size_t count = drop_duplicates(near, mr_nearest(p, p->rows + i * p->width, i, k, near));
        if (count < 2) continue;
        rows++;
        ratios += log(near[1].distance / near[0].distance);
        for (size_t j = 0; j + 1 < count; j++) inverses += log(near[count - 1].distance / near[j].distance);
        terms += count - 1;
    }
    out->rows = rows;
    if (rows < 3) return MR_OK;
    if (ratios > 0) {
        double n = (double)rows;
        out->two_nn = (n - 1) / ratios;
        out->two_nn_low = mr_gamma_quantile(0.025, n, 1) / ratios;
        out->two_nn_high = mr_gamma_quantile(0.975, n, 1) / ratios;
    }
    if (inverses > 0) out->levina_bickel = (double)terms / inverses;
    return MR_OK;
}
