#include "worker/kit/spectral.h"
#include "worker/kit/linalg.h"
#include "worker/kit/fixmath.h"
#include "worker/kit/product.h"
#include "common/rng.h"

#include <math.h>
#include <string.h>

enum { STARTS_MAX = 10, STEPS_BASE = 40 };

/* The matrix is (I + D^-1/2 W D^-1/2) / 2, whose eigenvalues 1 - lambda / 2 lie in [0, 1]: the wanted ones are the largest
 * but one, which belongs to sqrt(degree). */
typedef struct lanczos {
    const mr_graph *g;
    size_t n, steps, count;
    double *trivial, *root; /* sqrt(degree), as a unit vector; 1 / sqrt(degree) */
    double *basis;          /* (steps + 1) x n */
    double *t, *values, *vectors; /* steps x steps: the matrix within the basis, and its eigenvectors */
    double *next;
} lanczos;

static void multiply(const lanczos *l, const double *x, double *out) {
    const mr_graph *g = l->g;
    for (size_t i = 0; i < l->n; i++) {
        double sum = 0;
        for (uint32_t e = g->start[i]; e < g->start[i + 1]; e++) sum += g->weight[e] * l->root[g->to[e]] * x[g->to[e]];
        out[i] = 0.5 * (x[i] + l->root[i] * sum);
    }
}

static void subtract(double *restrict x, const double *restrict from, size_t n, double by) {
    for (size_t i = 0; i < n; i++) x[i] -= by * from[i];
}

/* Makes x orthogonal to all that is there, and a unit vector; returns its length before. */
static double clean(const lanczos *l, size_t have, double *x) {
    for (int round = 0; round < 2; round++) {
        subtract(x, l->trivial, l->n, mr_dot(x, l->trivial, l->n));
        for (size_t k = 0; k < have; k++) {
            const double *b = l->basis + k * l->n;
            subtract(x, b, l->n, mr_dot(x, b, l->n));
        }
    }
    double size = sqrt(mr_dot(x, x, l->n));
    for (size_t i = 0; size > 0 && i < l->n; i++) x[i] /= size;
    return size;
}

/* Krylov steps from the first `have` vectors of the basis, which are the Ritz vectors kept, with their values in t.
 * Returns how many vectors the basis holds in the end: fewer than `steps` when it spans an invariant space. */
static mr_status expand(lanczos *l, size_t have, const mr_ticker *tick, size_t *held) {
    size_t m = l->steps;
    for (size_t j = have; j < m; j++) {
        MR_TRY(mr_ticker_call(tick));
        const double *x = l->basis + j * l->n;
        multiply(l, x, l->next);
        for (size_t k = 0; k <= j; k++) l->t[j * m + k] = l->t[k * m + j] = mr_dot(l->next, l->basis + k * l->n, l->n);
        *held = j + 1;
        double size = clean(l, j + 1, l->next);
        if (size < 1e-12) return MR_OK;
        memcpy(l->basis + (j + 1) * l->n, l->next, l->n * sizeof *l->next);
    }
    return MR_OK;
}

/* The Ritz vectors of the `count` largest values, into the first rows of the basis by way of `out`. */
static mr_status ritz(lanczos *l, size_t held, double *out, mr_arena *arena, const mr_ticker *tick, mr_error *err) {
    double *a = mr_arena_alloc(arena, held * held, sizeof *a);
    if (!a) return mr_fail(err, MR_E_MEMORY, "no memory for %zu Lanczos vectors", held);
    for (size_t i = 0; i < held; i++) memcpy(a + i * held, l->t + i * l->steps, held * sizeof *a);
    MR_TRY(mr_eigen_jacobi(arena, a, held, l->values, l->vectors, tick, err));
    size_t count = l->count < held ? l->count : held;
    mr_product(mr_view_of(l->vectors, held), mr_view_of(l->basis, l->n), count, held, l->n, false, out);
    return MR_OK;
}

static double residual(lanczos *l, const double *vectors, size_t count) {
    double worst = 0;
    for (size_t k = 0; k < count; k++) {
        const double *v = vectors + k * l->n;
        multiply(l, v, l->next);
        subtract(l->next, v, l->n, l->values[k]);
        worst = fmax(worst, 2 * sqrt(mr_dot(l->next, l->next, l->n)));
    }
    return worst;
}

static mr_status prepare(lanczos *l, uint64_t seed, mr_arena *arena, mr_error *err) {
    size_t n = l->n, m = l->steps;
    l->trivial = mr_arena_alloc(arena, n, sizeof(double));
    l->root = mr_arena_alloc(arena, n, sizeof(double));
    l->next = mr_arena_alloc(arena, n, sizeof(double));
    l->basis = mr_arena_alloc(arena, (m + 1) * n, sizeof(double));
    l->t = mr_arena_alloc(arena, m * m, sizeof(double));
    l->values = mr_arena_alloc(arena, m, sizeof(double));
    l->vectors = mr_arena_alloc(arena, m * m, sizeof(double));
    if (!l->trivial || !l->root || !l->next || !l->basis || !l->t || !l->values || !l->vectors)
        return mr_fail(err, MR_E_MEMORY, "no memory for %zu Lanczos vectors of %zu points", m, n);
    for (size_t i = 0; i < n; i++) {
        double degree = 0;
        for (uint32_t e = l->g->start[i]; e < l->g->start[i + 1]; e++) degree += l->g->weight[e];
        l->root[i] = degree > 0 ? 1 / sqrt(degree) : 0;
        l->trivial[i] = sqrt(degree);
    }
    double size = sqrt(mr_dot(l->trivial, l->trivial, n));
    for (size_t i = 0; size > 0 && i < n; i++) l->trivial[i] /= size;
    mr_rng rng;
    mr_rng_seed(&rng, seed);
    for (size_t i = 0; i < n; i++) l->basis[i] = mr_fix_normal(&rng);
    clean(l, 0, l->basis);
    return MR_OK;
}

/* The kept vectors and the direction that Lanczos would have gone on with become the new start (thick restart: Wu and
 * Simon 2000). */
static void restart(lanczos *l, const double *kept, size_t count, size_t held) {
    size_t m = l->steps;
    memmove(l->basis + count * l->n, l->basis + held * l->n, l->n * sizeof *l->basis);
    memcpy(l->basis, kept, count * l->n * sizeof *kept);
    memset(l->t, 0, m * m * sizeof *l->t);
    for (size_t k = 0; k < count; k++) l->t[k * m + k] = l->values[k];
    clean(l, count, l->basis + count * l->n);
}

mr_status mr_spectral_fit(const mr_graph *g, size_t count, double enough, uint64_t seed, mr_arena *arena,
                          const mr_ticker *tick, mr_spectral *out, mr_error *err) {
    MR_ASSERT(count >= 1 && count < g->n);
    size_t n = g->n, steps = STEPS_BASE + 4 * count, held = 0, have = 0;
    size_t keep = 2 * count + 2;
    lanczos l = {.g = g, .n = n, .steps = steps < n - 1 ? steps : n - 1, .count = keep < n - 1 ? keep : n - 1};
    if (l.count >= l.steps) l.count = l.steps > count ? l.steps - 1 : count;
    MR_TRY(prepare(&l, seed, arena, err));
    *out = (mr_spectral){.values = mr_arena_alloc(arena, count, sizeof(double)),
                         .vectors = mr_arena_alloc(arena, l.count * n, sizeof(double)), .residual = INFINITY};
    if (!out->values || !out->vectors) return mr_fail(err, MR_E_MEMORY, "no memory to lay out %zu points", n);
    for (int start = 0; start < STARTS_MAX; start++) {
        MR_TRY(expand(&l, have, tick, &held));
        MR_TRY(ritz(&l, held, out->vectors, arena, tick, err));
        if (held < count) return mr_fail(err, MR_E_INTERNAL, "the layout of %zu points has too few directions", n);
        out->residual = residual(&l, out->vectors, count);
        if (out->residual <= enough || held < l.steps) break;
        have = l.count;
        restart(&l, out->vectors, have, held);
    }
    for (size_t k = 0; k < count; k++) out->values[k] = 2 * (1 - l.values[k]);
    mr_eigen_fix_signs(out->vectors, count, n);
    return MR_OK;
}
