#include "worker/kit/embedding_quality.h"
#include "worker/kit/sample.h"
#include "worker/kit/wide.h"

#include <math.h>
#include <string.h>

typedef struct side {
    const mr_points *p;
    double *d2;     /* MR_QUERIES x (blocks of points): squared distances of a few rows to all */
    uint32_t *near; /* the k nearest of one row, in no order */
    uint8_t *is_near;
} side;

static void distances(side *s, const uint32_t rows[MR_QUERIES]) {
    const double *query[MR_QUERIES];
    size_t stride = s->p->blocks * MR_POINT_BLOCK;
    for (size_t q = 0; q < MR_QUERIES; q++) query[q] = s->p->rows + (size_t)rows[q] * s->p->width;
    for (size_t b = 0; b < s->p->blocks; b++) {
        double d2[MR_QUERIES][MR_POINT_BLOCK];
        mr_points_tile(s->p, b, query, d2);
        for (size_t q = 0; q < MR_QUERIES; q++)
            memcpy(s->d2 + q * stride + b * MR_POINT_BLOCK, d2[q], sizeof d2[q]);
    }
}

/* The k nearest of `row`, sorted in; rows rise, so of equal distances the lower comes first. */
static void mark_near(side *s, const double *d2, size_t row, size_t k, bool on) {
    size_t count = 0;
    for (size_t j = 0; on && j < s->p->n; j++) {
        if (j == row || (count == k && !(d2[j] < d2[s->near[k - 1]]))) continue;
        size_t at = count < k ? count++ : k - 1;
        for (; at > 0 && d2[s->near[at - 1]] > d2[j]; at--) s->near[at] = s->near[at - 1];
        s->near[at] = (uint32_t)j;
    }
    for (size_t j = 0; j < k; j++) s->is_near[s->near[j]] = on;
}

MR_WIDE_BODY count_nearer(const double *d2, size_t n, double than, uint64_t *out) {
    uint64_t count = 0;
    for (size_t i = 0; i < n; i++) count += d2[i] < than;
    *out = count;
}
static void nearer_any(const double *d2, size_t n, double than, uint64_t *out) { count_nearer(d2, n, than, out); }
MR_WIDE static void nearer_wide(const double *d2, size_t n, double than, uint64_t *out) { count_nearer(d2, n, than, out); }
MR_WIDEST static void nearer_widest(const double *d2, size_t n, double than, uint64_t *out) { count_nearer(d2, n, than, out); }

/* How many others are nearer to `row` than j is, plus 1. */
static size_t rank_of(const double *d2, size_t n, size_t row, size_t j) {
    uint64_t nearer;
    double than = d2[j];
    (MR_WIDEST_HERE ? nearer_widest : MR_WIDE_HERE ? nearer_wide : nearer_any)(d2, n, than, &nearer);
    for (size_t i = 0; i < j; i++) nearer += d2[i] == than;
    bool self = d2[row] < than || (d2[row] == than && row < j);
    return nearer + 1 - self;
}

/* How much too far the neighbours in `in` are in `of`. */
static double excess(const side *in, const side *of, const double *d2, size_t row, size_t k) {
    double sum = 0;
    for (size_t a = 0; a < k; a++)
        if (!of->is_near[in->near[a]]) sum += (double)(rank_of(d2, of->p->n, row, in->near[a]) - k);
    return sum;
}

static mr_status side_init(side *s, const mr_points *p, size_t k, mr_arena *arena, mr_error *err) {
    *s = (side){p, mr_arena_alloc(arena, p->blocks * MR_POINT_BLOCK * MR_QUERIES, sizeof(double)),
                mr_arena_alloc(arena, k, sizeof(uint32_t)), mr_arena_alloc(arena, p->n, 1)};
    return s->d2 && s->near && s->is_near ? MR_OK : mr_fail(err, MR_E_MEMORY, "no memory to rank %zu rows", p->n);
}

static mr_status choose(size_t n, size_t centres, uint64_t seed, mr_arena *arena, uint32_t **out, mr_error *err) {
    *out = mr_arena_alloc(arena, centres, sizeof **out);
    if (!*out) return mr_fail(err, MR_E_MEMORY, "no memory for %zu rows", centres);
    if (centres < n) return mr_sample_draw(arena, seed, 0, (uint32_t)n, (uint32_t)centres, *out, err);
    for (size_t i = 0; i < n; i++) (*out)[i] = (uint32_t)i;
    return MR_OK;
}

mr_status mr_embedding_quality_of(const mr_points *original, const mr_points *layout, size_t k, size_t centres,
                                  uint64_t seed, mr_arena *arena, const mr_ticker *tick, mr_embedding_quality *out,
                                  mr_error *err) {
    MR_ASSERT(original->n == layout->n && k >= 1);
    size_t n = original->n, m = centres && centres < n ? centres : n;
    *out = (mr_embedding_quality){NAN, NAN, m};
    if (n <= 2 * k) return MR_OK;
    side x, y;
    uint32_t *rows;
    double far_from = 0, torn = 0;
    MR_TRY(side_init(&x, original, k, arena, err));
    MR_TRY(side_init(&y, layout, k, arena, err));
    MR_TRY(choose(n, m, seed, arena, &rows, err));
    for (size_t c = 0; c < m; c += MR_QUERIES) {
        uint32_t some[MR_QUERIES];
        for (size_t q = 0; q < MR_QUERIES; q++) some[q] = rows[c + q < m ? c + q : c];
        MR_TRY(mr_ticker_call(tick));
        distances(&x, some);
        distances(&y, some);
        for (size_t q = 0; q < MR_QUERIES && c + q < m; q++) {
            const double *dx = x.d2 + q * original->blocks * MR_POINT_BLOCK,
                         *dy = y.d2 + q * layout->blocks * MR_POINT_BLOCK;
            mark_near(&x, dx, some[q], k, true);
            mark_near(&y, dy, some[q], k, true);
            far_from += excess(&y, &x, dx, some[q], k);
            torn += excess(&x, &y, dy, some[q], k);
            mark_near(&x, dx, some[q], k, false);
            mark_near(&y, dy, some[q], k, false);
        }
    }
    double scale = 2 / ((double)m * (double)k * (2.0 * (double)n - 3.0 * (double)k - 1));
    out->trustworthiness = 1 - scale * far_from;
    out->continuity = 1 - scale * torn;
    return MR_OK;
}
