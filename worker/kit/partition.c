#include "worker/kit/partition.h"

#include <math.h>
#include <string.h>

size_t mr_number_labels(int32_t *label, size_t n, size_t most, mr_arena *arena) {
    int32_t *name = mr_arena_alloc(arena, most + 1, sizeof *name);
    if (!name) return SIZE_MAX;
    size_t count = 0;
    for (size_t i = 0; i < n; i++) {
        if (label[i] < 0) {
            label[i] = MR_NOISE;
            continue;
        }
        MR_ASSERT((size_t)label[i] < most);
        if (!name[label[i]]) name[label[i]] = (int32_t)++count;
        label[i] = name[label[i]] - 1;
    }
    return count;
}

/* ---- silhouette ---- */

typedef struct tally {
    double *sum;    /* clusters + 1: distances from the row in hand to noise, and to each cluster */
    uint32_t *size; /* clusters */
    double total, squares;
} tally;

static mr_status tally_init(tally *t, const mr_partition *part, size_t n, mr_arena *arena, mr_error *err) {
    *t = (tally){.sum = mr_arena_alloc(arena, part->clusters + 1, sizeof *t->sum),
                 .size = mr_arena_alloc(arena, part->clusters + 1, sizeof *t->size)};
    if (!t->sum || !t->size) return mr_fail(err, MR_E_MEMORY, "no memory for %zu clusters", part->clusters);
    for (size_t i = 0; i < n; i++)
        if (part->label[i] >= 0) t->size[part->label[i]]++;
    return MR_OK;
}

static double silhouette_of(const mr_partition *part, tally *t, const double *distance, size_t n,
                            size_t row) {
    int32_t own = part->label[row];
    if (own < 0) return NAN;
    memset(t->sum, 0, (part->clusters + 1) * sizeof *t->sum);
    for (size_t j = 0; j < n; j++) t->sum[part->label[j] + 1] += distance[j];
    if (t->size[own] == 1) return 0;
    double inside = t->sum[own + 1] / (t->size[own] - 1), outside = INFINITY;
    for (size_t c = 0; c < part->clusters; c++)
        if ((int32_t)c != own) outside = fmin(outside, t->sum[c + 1] / t->size[c]);
    double larger = fmax(inside, outside);
    return larger > 0 ? (outside - inside) / larger : 0;
}

static void distances_from(const mr_points *p, size_t row, double *out) {
    for (size_t b = 0; b < p->blocks; b++) {
        double *at = out + b * MR_POINT_BLOCK;
        mr_points_block(p, b, p->rows + row * p->width, at);
        for (size_t i = 0; i < MR_POINT_BLOCK; i++) at[i] = sqrt(at[i]);
    }
}

static void finish(mr_partition *part, const tally *t, size_t n) {
    part->noise = n;
    for (size_t c = 0; c < part->clusters; c++) part->noise -= t->size[c];
    double rows = (double)(n - part->noise), mean = t->total / rows;
    bool defined = part->clusters > 1;
    part->silhouette = defined ? mean : NAN;
    part->silhouette_sd = defined ? sqrt(fmax(0, t->squares / rows - mean * mean)) : NAN;
}

mr_status mr_silhouettes(const mr_points *p, mr_partition *parts, size_t count, double *row, mr_arena *arena,
                         const mr_ticker *tick, mr_error *err) {
    tally *tallies = mr_arena_alloc(arena, count + 1, sizeof *tallies);
    double *distance = mr_arena_alloc(arena, p->blocks * MR_POINT_BLOCK, sizeof *distance);
    if (!tallies || !distance)
        return mr_fail(err, MR_E_MEMORY, "no memory for the distances of %zu rows", p->n);
    for (size_t s = 0; s < count; s++) MR_TRY(tally_init(&tallies[s], &parts[s], p->n, arena, err));
    for (size_t i = 0; i < p->n; i++) {
        MR_TRY(mr_ticker_call(tick));
        distances_from(p, i, distance);
        for (size_t s = 0; s < count; s++) {
            double v = parts[s].clusters > 1 ? silhouette_of(&parts[s], &tallies[s], distance, p->n, i) : NAN;
            if (row && s == 0) row[i] = v;
            if (isnan(v)) continue;
            tallies[s].total += v;
            tallies[s].squares += v * v;
        }
    }
    for (size_t s = 0; s < count; s++) finish(&parts[s], &tallies[s], p->n);
    return MR_OK;
}

/* ---- Davies-Bouldin and Calinski-Harabasz ---- */

typedef struct scatter {
    size_t rows, clusters, width;
    double *centre, *all; /* clusters x width; width */
    double *spread;       /* clusters: mean distance to the centre */
    size_t *size;
    double within, between; /* sums of squares */
} scatter;

static double squared_distance(const double *x, const double *y, size_t width) {
    double sum = 0;
    for (size_t f = 0; f < width; f++) sum += (x[f] - y[f]) * (x[f] - y[f]);
    return sum;
}

static void centres(const mr_points *p, const int32_t *label, scatter *s) {
    for (size_t i = 0; i < p->n; i++) {
        if (label[i] < 0) continue;
        s->rows++;
        s->size[label[i]]++;
        for (size_t f = 0; f < s->width; f++)
            s->centre[(size_t)label[i] * s->width + f] += p->rows[i * s->width + f];
    }
    for (size_t c = 0; c < s->clusters; c++)
        for (size_t f = 0; f < s->width; f++) {
            s->all[f] += s->centre[c * s->width + f] / (double)s->rows;
            s->centre[c * s->width + f] /= (double)s->size[c];
        }
}

static void spreads(const mr_points *p, const int32_t *label, scatter *s) {
    for (size_t i = 0; i < p->n; i++) {
        if (label[i] < 0) continue;
        size_t c = (size_t)label[i];
        double d2 = squared_distance(p->rows + i * s->width, s->centre + c * s->width, s->width);
        s->within += d2;
        s->spread[c] += sqrt(d2) / (double)s->size[c];
    }
    for (size_t c = 0; c < s->clusters; c++)
        s->between += (double)s->size[c] * squared_distance(s->centre + c * s->width, s->all, s->width);
}

static double davies_bouldin(const scatter *s) {
    double sum = 0;
    for (size_t c = 0; c < s->clusters; c++) {
        double worst = 0;
        for (size_t o = 0; o < s->clusters; o++) {
            double apart =
                sqrt(squared_distance(s->centre + c * s->width, s->centre + o * s->width, s->width));
            if (o != c && apart > 0) worst = fmax(worst, (s->spread[c] + s->spread[o]) / apart);
        }
        sum += worst;
    }
    return sum / (double)s->clusters;
}

mr_status mr_scatter_indices(const mr_points *p, mr_partition *part, mr_arena *arena, mr_error *err) {
    size_t k = part->clusters;
    scatter s = {.clusters = k,
                 .width = p->width,
                 .centre = mr_arena_alloc(arena, k * p->width + 1, sizeof *s.centre),
                 .all = mr_arena_alloc(arena, p->width, sizeof *s.all),
                 .spread = mr_arena_alloc(arena, k + 1, sizeof *s.spread),
                 .size = mr_arena_alloc(arena, k + 1, sizeof *s.size)};
    if (!s.centre || !s.all || !s.spread || !s.size)
        return mr_fail(err, MR_E_MEMORY, "no memory for %zu centres", k);
    part->davies_bouldin = part->calinski_harabasz = NAN;
    centres(p, part->label, &s);
    if (k < 2 || k >= s.rows) return MR_OK;
    spreads(p, part->label, &s);
    part->davies_bouldin = davies_bouldin(&s);
    part->calinski_harabasz =
        s.within > 0 ? s.between * (double)(s.rows - k) / (s.within * (double)(k - 1)) : 1;
    return MR_OK;
}
