#include "worker/kit/contexts.h"
#include "worker/kit/contingency.h"
#include "worker/kit/sample.h"

#include <math.h>
#include <string.h>

static mr_status no_memory(size_t n, mr_error *err) { return mr_fail(err, MR_E_MEMORY, "no memory for %zu rows", n); }

/* ---- the fit ---- */

/* The rows of `all` at the places in `drawn`. */
static mr_status gather(const mr_context_rows *all, const uint32_t *drawn, size_t k, mr_arena *arena, mr_context_rows *out,
                        mr_error *err) {
    size_t w = all->width;
    uint64_t *position = mr_arena_alloc(arena, k + 1, sizeof *position);
    double *features = mr_arena_alloc(arena, k * w + 1, sizeof *features);
    if (!position || !features) return no_memory(k, err);
    for (size_t i = 0; i < k; i++) {
        position[i] = all->position[drawn[i]];
        memcpy(features + i * w, all->features + drawn[i] * w, w * sizeof *features);
    }
    *out = (mr_context_rows){k, w, position, features};
    return MR_OK;
}

static mr_status draw(const mr_context_rows *all, size_t most, uint64_t seed, mr_arena *arena, mr_contexts *c, mr_error *err) {
    c->rows = *all;
    if (all->n <= most) return MR_OK;
    uint32_t *drawn = mr_arena_alloc(arena, most, sizeof *drawn);
    if (!drawn) return no_memory(most, err);
    MR_TRY(mr_sample_draw_among(arena, seed, all->position, (uint32_t)all->n, (uint32_t)most, drawn, err));
    c->drawn = drawn;
    return gather(all, drawn, most, arena, &c->rows, err);
}

static mr_status prepare(mr_contexts *c, const mr_contexts_options *o, mr_arena *arena, mr_error *err) {
    size_t n = c->rows.n, w = c->rows.width;
    c->mean = mr_arena_alloc(arena, w, sizeof(double));
    c->sd = mr_arena_alloc(arena, w, sizeof(double));
    c->shift = mr_arena_alloc(arena, w, sizeof(double));
    c->divisor = mr_arena_alloc(arena, w, sizeof(double));
    c->x = mr_arena_alloc(arena, n * w, sizeof(double));
    if (!c->mean || !c->sd || !c->shift || !c->divisor || !c->x) return no_memory(n, err);
    mr_mean_sd(c->rows.features, n, w, c->mean, c->sd);
    for (size_t j = 0; j < w; j++) {
        c->shift[j] = o->standardise ? c->mean[j] : 0;
        c->divisor[j] = o->standardise ? c->sd[j] : 1;
    }
    mr_standardise(c->rows.features, n, w, c->shift, c->divisor, c->x);
    c->min_samples = (size_t)(o->min_samples ? o->min_samples : o->min_cluster_size);
    return mr_points_init(&c->points, arena, c->x, n, w, err);
}

mr_status mr_contexts_fit(const mr_context_rows *all, mr_names names, const mr_contexts_options *o, uint64_t seed,
                          mr_arena *arena, const mr_ticker *tick, mr_contexts *out, mr_error *err) {
    *out = (mr_contexts){.names = names};
    if (all->n == 0)
        return mr_fail(err, MR_E_INVALID, "there are no rows; clustering needs at least min_cluster_size (%lld)",
                       (long long)o->min_cluster_size);
    MR_TRY(draw(all, (size_t)o->max_rows, seed, arena, out, err));
    MR_TRY(prepare(out, o, arena, err));
    mr_hdbscan_options h = {(size_t)o->min_cluster_size, out->min_samples, o->allow_single_cluster};
    return mr_hdbscan_fit(&out->points, &h, arena, tick, &out->found, err);
}

mr_status mr_contexts_of_rows(const mr_context_rows *all, const uint8_t *fitted, size_t count, mr_names names,
                              const mr_contexts_options *o, mr_arena *arena, mr_contexts *out, mr_error *err) {
    uint32_t *at = mr_arena_alloc(arena, count + 1, sizeof *at), k = 0;
    *out = (mr_contexts){.names = names};
    if (!at) return no_memory(count, err);
    for (uint32_t i = 0; i < all->n; i++)
        if (fitted[i]) at[k++] = i;
    MR_TRY(gather(all, at, count, arena, &out->rows, err));
    return prepare(out, o, arena, err);
}

mr_status mr_contexts_place(const mr_contexts *c, const double *features, size_t n, const uint8_t *fitted, mr_arena *arena,
                            const mr_ticker *tick, int32_t *label, double *strength, mr_error *err) {
    size_t w = c->names.count, next = 0;
    double *row = mr_arena_alloc(arena, w, sizeof *row);
    double *room = mr_arena_alloc(arena, mr_hdbscan_room(&c->points), sizeof *room);
    if (!row || !room) return no_memory(1, err);
    for (size_t i = 0; i < n; i++) {
        if (fitted && fitted[i]) {
            label[i] = c->found.label[next];
            strength[i] = c->found.strength[next++];
            continue;
        }
        MR_TRY(mr_ticker_call(tick));
        mr_standardise(features + i * w, 1, w, c->shift, c->divisor, row);
        label[i] = mr_hdbscan_assign(&c->found, &c->points, c->min_samples, row, room, &strength[i]);
    }
    return MR_OK;
}

/* ---- is the fit still right? ---- */

typedef struct side {
    size_t rows, noise;
    double *strength; /* of those in clusters */
} side;

static void count(side *s, int32_t label, double strength) {
    if (label == MR_NOISE) s->noise++;
    else s->strength[s->rows - s->noise] = strength;
    s->rows++;
}

static mr_context_change change_of(const mr_context_drift *d, double growth, double alpha) {
    if (d->growth >= growth) return MR_CONTEXTS_GREW;
    if (d->noise_p < alpha) return MR_CONTEXTS_NOISE;
    return d->strength_p < alpha && d->new_strength < d->strength ? MR_CONTEXTS_STRENGTH : MR_CONTEXTS_KEPT;
}

mr_status mr_contexts_drift(const mr_contexts_state *s, const int32_t *label, const double *strength, const uint8_t *fitted,
                            size_t n, double growth, double alpha, mr_arena *arena, mr_context_drift *out, mr_error *err) {
    side of[2] = {0}; /* since the fit, and of it */
    for (int k = 0; k < 2; k++) {
        of[k].strength = mr_arena_alloc(arena, n + 1, sizeof(double));
        if (!of[k].strength) return no_memory(n, err);
    }
    for (size_t i = 0; i < n; i++) count(&of[fitted[i]], label[i], strength[i]);
    mr_fourfold noise = {of[0].rows, of[0].noise, of[1].rows, of[1].noise};
    mr_summary before = mr_summarise(of[1].strength, of[1].rows - of[1].noise),
               after = mr_summarise(of[0].strength, of[0].rows - of[0].noise);
    *out = (mr_context_drift){.growth = (double)(s->seen - s->seen_at_fit) / (double)s->seen_at_fit,
                              .rows = of[1].rows,
                              .noise = of[1].noise,
                              .new_rows = of[0].rows,
                              .new_noise = of[0].noise,
                              .noise_p = mr_fourfold_test(&noise, MR_FISHER_EXACT).p,
                              .strength = before.mean,
                              .new_strength = after.mean,
                              .strength_p = mr_welch(&before, &after).p};
    out->change = change_of(out, growth, alpha);
    return MR_OK;
}
