#include "worker/kit/kmeans.h"

#include <math.h>
#include <string.h>

typedef struct work {
    const mr_points *p;
    size_t wanted, k;
    double *centre, *sum;             /* wanted x width */
    double *nearest, *trial, *chosen; /* squared distances, padded to whole blocks */
    int32_t *label;
    size_t *size;
    double inertia;
    unsigned rounds;
} work;

static mr_status work_init(work *w, const mr_points *p, size_t k, mr_arena *arena, mr_error *err) {
    size_t padded = p->blocks * MR_POINT_BLOCK, places = k * p->width;
    *w = (work){.p = p,
                .wanted = k,
                .centre = mr_arena_alloc(arena, places, sizeof(double)),
                .sum = mr_arena_alloc(arena, places, sizeof(double)),
                .nearest = mr_arena_alloc(arena, padded, sizeof(double)),
                .trial = mr_arena_alloc(arena, padded, sizeof(double)),
                .chosen = mr_arena_alloc(arena, padded, sizeof(double)),
                .label = mr_arena_alloc(arena, padded, sizeof(int32_t)),
                .size = mr_arena_alloc(arena, k, sizeof(size_t))};
    if (w->centre && w->sum && w->nearest && w->trial && w->chosen && w->label && w->size) return MR_OK;
    return mr_fail(err, MR_E_MEMORY, "no memory for %zu centres of %zu rows", k, p->n);
}

/* ---- the start ---- */

static void add_centre(work *w, size_t row) {
    memcpy(w->centre + w->k++ * w->p->width, w->p->rows + row * w->p->width, w->p->width * sizeof(double));
}

/* out = what `nearest` becomes when `row` is a centre too; returns its sum. */
static double potential_with(const work *w, size_t row, double *out) {
    double total = 0;
    for (size_t b = 0; b < w->p->blocks; b++) {
        size_t at = b * MR_POINT_BLOCK;
        mr_points_block(w->p, b, w->p->rows + row * w->p->width, out + at);
        for (size_t i = at; i < at + MR_POINT_BLOCK && i < w->p->n; i++) {
            if (w->nearest[i] < out[i]) out[i] = w->nearest[i];
            total += out[i];
        }
    }
    return total;
}

/* A row drawn with probability proportional to its squared distance from the centres. */
static size_t draw(const work *w, double total, mr_rng *rng) {
    double at = mr_rng_unit(rng) * total;
    size_t last = 0;
    for (size_t i = 0; i < w->p->n; i++) {
        if (w->nearest[i] <= 0) continue;
        last = i;
        at -= w->nearest[i];
        if (at < 0) break;
    }
    return last;
}

static void swap(double **x, double **y) {
    double *t = *x;
    *x = *y;
    *y = t;
}

static void plant(work *w, mr_rng *rng) {
    unsigned draws = 2 + (unsigned)log((double)w->wanted);
    w->k = 0;
    for (size_t i = 0; i < w->p->n; i++) w->nearest[i] = INFINITY;
    size_t first = mr_rng_below(rng, w->p->n);
    double total = potential_with(w, first, w->chosen);
    add_centre(w, first);
    swap(&w->nearest, &w->chosen);
    while (w->k < w->wanted && total > 0) {
        double best = INFINITY;
        size_t row = 0;
        for (unsigned d = 0; d < draws; d++) {
            size_t candidate = draw(w, total, rng);
            double potential = potential_with(w, candidate, w->trial);
            if (potential >= best) continue;
            best = potential;
            row = candidate;
            swap(&w->trial, &w->chosen);
        }
        add_centre(w, row);
        swap(&w->nearest, &w->chosen);
        total = best;
    }
}

/* ---- Lloyd's rounds ---- */

/* True when some row changed its cluster. Sets nearest and inertia. */
static bool assign(work *w) {
    bool changed = false;
    double d2[MR_POINT_BLOCK];
    w->inertia = 0;
    for (size_t b = 0; b < w->p->blocks; b++) {
        double best[MR_POINT_BLOCK];
        int32_t own[MR_POINT_BLOCK] = {0};
        for (size_t i = 0; i < MR_POINT_BLOCK; i++) best[i] = INFINITY;
        for (size_t c = 0; c < w->k; c++) {
            mr_points_block(w->p, b, w->centre + c * w->p->width, d2);
            for (size_t i = 0; i < MR_POINT_BLOCK; i++) {
                own[i] = d2[i] < best[i] ? (int32_t)c : own[i];
                best[i] = d2[i] < best[i] ? d2[i] : best[i];
            }
        }
        for (size_t i = 0, at = b * MR_POINT_BLOCK; i < MR_POINT_BLOCK && at < w->p->n; i++, at++) {
            changed |= w->label[at] != own[i];
            w->label[at] = own[i];
            w->nearest[at] = best[i];
            w->inertia += best[i];
        }
    }
    return changed;
}

static size_t farthest(const work *w) {
    size_t top = 0;
    for (size_t i = 1; i < w->p->n; i++)
        if (w->nearest[i] > w->nearest[top]) top = i;
    return top;
}

/* Centres to the means of their rows; one that has lost all rows goes to the row that is farthest from its
 * own. */
static void move(work *w) {
    size_t width = w->p->width;
    memset(w->sum, 0, w->k * width * sizeof *w->sum);
    memset(w->size, 0, w->k * sizeof *w->size);
    for (size_t i = 0; i < w->p->n; i++) {
        double *sum = w->sum + (size_t)w->label[i] * width;
        const double *row = w->p->rows + i * width;
        w->size[w->label[i]]++;
        for (size_t f = 0; f < width; f++) sum[f] += row[f];
    }
    for (size_t c = 0; c < w->k; c++) {
        if (!w->size[c]) {
            size_t row = farthest(w);
            w->nearest[row] = 0;
            memcpy(w->centre + c * width, w->p->rows + row * width, width * sizeof *w->centre);
            continue;
        }
        for (size_t f = 0; f < width; f++)
            w->centre[c * width + f] = w->sum[c * width + f] / (double)w->size[c];
    }
}

static mr_status run(work *w, const mr_ticker *tick) {
    for (size_t i = 0; i < w->p->n; i++) w->label[i] = -1;
    for (w->rounds = 0; assign(w) && w->rounds < MR_KMEANS_ROUNDS; w->rounds++) {
        MR_TRY(mr_ticker_call(tick));
        move(w);
    }
    return MR_OK;
}

static void keep(const work *w, mr_kmeans *out) {
    out->k = w->k;
    out->inertia = w->inertia;
    out->rounds = w->rounds;
    memcpy(out->centre, w->centre, w->k * w->p->width * sizeof *out->centre);
    memcpy(out->label, w->label, w->p->n * sizeof *out->label);
}

/* Numbers the clusters by the lowest row they hold; a centre without rows is dropped. */
static void renumber(work *w, mr_kmeans *out) {
    size_t width = w->p->width, count = 0;
    int32_t *name = w->label;
    memcpy(w->centre, out->centre, out->k * width * sizeof *w->centre);
    for (size_t c = 0; c < out->k; c++) name[c] = -1;
    for (size_t i = 0; i < w->p->n; i++) {
        size_t c = (size_t)out->label[i];
        if (name[c] < 0) {
            memcpy(out->centre + count * width, w->centre + c * width, width * sizeof *w->centre);
            name[c] = (int32_t)count++;
        }
        out->label[i] = name[c];
    }
    out->k = count;
}

mr_status mr_kmeans_fit(const mr_points *p, size_t k, unsigned starts, uint64_t seed, mr_arena *arena,
                        const mr_ticker *tick, mr_kmeans *out, mr_error *err) {
    MR_ASSERT(k >= 1 && k <= p->n && starts >= 1);
    work w;
    MR_TRY(work_init(&w, p, k, arena, err));
    *out = (mr_kmeans){.inertia = INFINITY,
                       .centre = mr_arena_alloc(arena, k * p->width, sizeof *out->centre),
                       .label = mr_arena_alloc(arena, p->n, sizeof *out->label)};
    if (!out->centre || !out->label) return mr_fail(err, MR_E_MEMORY, "no memory for %zu centres", k);
    for (unsigned s = 0; s < starts; s++) {
        mr_rng rng;
        mr_rng_stream(&rng, seed, k, s);
        plant(&w, &rng);
        MR_TRY(run(&w, tick));
        if (s == 0 || w.inertia < out->inertia) keep(&w, out);
    }
    renumber(&w, out);
    return MR_OK;
}

int32_t mr_kmeans_assign(const mr_kmeans *fit, size_t width, const double *row) {
    int32_t own = 0;
    double least = INFINITY;
    for (size_t c = 0; c < fit->k; c++) {
        double sum = 0;
        for (size_t f = 0; f < width; f++)
            sum += (row[f] - fit->centre[c * width + f]) * (row[f] - fit->centre[c * width + f]);
        if (sum >= least) continue;
        least = sum;
        own = (int32_t)c;
    }
    return own;
}
