#include "worker/kit/umap_graph.h"
#include "worker/kit/fixmath.h"

#include <math.h>
#include <string.h>

static const double CLOSE_ENOUGH = 1e-5, SCALE_LEAST = 1e-3;

/* Memberships on the scale; returns their sum. */
static double fill(const double *distance, size_t count, double nearest, double scale, double *out) {
    double sum = 0;
    for (size_t j = 0; j < count; j++) {
        double over = distance[j] - nearest;
        double v = mr_fix_exp(over > 0 ? -over / scale : 0);
        out[j] = v;
        sum += v;
    }
    return sum;
}

void mr_memberships(const double *distance, size_t count, double nearest, double target, double least_scale, double *out) {
    double low = 0, high = INFINITY, scale = 1;
    for (int i = 0; i < 64; i++) {
        double sum = fill(distance, count, nearest, scale, out);
        if (fabs(sum - target) < CLOSE_ENOUGH) break;
        if (sum > target)
            high = scale;
        else
            low = scale;
        scale = isinf(high) ? 2 * scale : (low + high) / 2;
    }
    if (scale < least_scale) scale = least_scale;
    if (scale > 0)
        fill(distance, count, nearest, scale, out);
    else
        for (size_t j = 0; j < count; j++) out[j] = 1;
}

static double mean(const double *x, size_t n, size_t divisor) {
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += x[i];
    return sum / (double)divisor;
}

/* The directed memberships, n x k. */
static void directed(const mr_knn *knn, double *out) {
    size_t k = knn->k;
    double overall = mean(knn->distance, knn->n * k, knn->n * (k + 1)), target = mr_fix_log((double)(k + 1)) / mr_fix_log(2);
    for (size_t i = 0; i < knn->n; i++) {
        const double *d = knn->distance + i * k;
        size_t first = 0;
        while (first < k && d[first] == 0) first++;
        double nearest = first < k ? d[first] : 0;
        double usual = nearest > 0 ? mean(d, k, k + 1) : overall;
        mr_memberships(d, k, nearest, target, SCALE_LEAST * usual, out + i * k);
    }
}

typedef struct entry {
    uint32_t to;
    double weight;
} entry;

static void sort_entries(entry *e, size_t n) {
    for (size_t i = 1; i < n; i++) {
        entry v = e[i];
        size_t at = i;
        for (; at > 0 && e[at - 1].to > v.to; at--) e[at] = e[at - 1];
        e[at] = v;
    }
}

/* Every entry in the list of its target, which comes out sorted by source: back[start[j]] on. */
static void transpose(const mr_knn *knn, const double *weight, uint32_t *start, entry *back) {
    size_t n = knn->n, k = knn->k;
    for (size_t e = 0; e < n * k; e++) start[knn->row[e] + 1]++;
    for (size_t i = 0; i < n; i++) start[i + 1] += start[i];
    for (size_t e = 0; e < n * k; e++)
        back[start[knn->row[e]]++] = (entry){(uint32_t)(e / k), weight[e]};
    for (size_t i = n; i > 0; i--) start[i] = start[i - 1];
    start[0] = 0;
}

static void append(mr_graph *g, uint32_t to, double weight) {
    g->to[g->edges] = to;
    g->weight[g->edges++] = weight;
}

/* Joins two sorted lists: a + b - a b where both have an entry. */
static void join(mr_graph *g, const entry *a, size_t count_a, const entry *b, size_t count_b) {
    size_t i = 0, j = 0;
    while (i < count_a || j < count_b) {
        if (j == count_b || (i < count_a && a[i].to < b[j].to)) {
            append(g, a[i].to, a[i].weight);
            i++;
        } else if (i == count_a || b[j].to < a[i].to) {
            append(g, b[j].to, b[j].weight);
            j++;
        } else {
            append(g, a[i].to, a[i].weight + b[j].weight - a[i].weight * b[j].weight);
            i++;
            j++;
        }
    }
}

mr_status mr_umap_graph(const mr_knn *knn, mr_arena *arena, mr_graph *out, mr_error *err) {
    size_t n = knn->n, k = knn->k;
    MR_ASSERT(2 * n * k <= UINT32_MAX);
    *out = (mr_graph){.n = n, .start = mr_arena_alloc(arena, n + 1, sizeof *out->start),
                      .to = mr_arena_alloc(arena, 2 * n * k, sizeof *out->to),
                      .weight = mr_arena_alloc(arena, 2 * n * k, sizeof *out->weight)};
    double *weight = mr_arena_alloc(arena, n * k, sizeof *weight);
    entry *back = mr_arena_alloc(arena, n * k, sizeof *back), *own = mr_arena_alloc(arena, k, sizeof *own);
    uint32_t *start = mr_arena_alloc(arena, n + 1, sizeof *start);
    if (!out->start || !out->to || !out->weight || !weight || !back || !own || !start)
        return mr_fail(err, MR_E_MEMORY, "no memory for the graph of %zu points", n);
    directed(knn, weight);
    transpose(knn, weight, start, back);
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < k; j++) own[j] = (entry){knn->row[i * k + j], weight[i * k + j]};
        sort_entries(own, k);
        join(out, own, k, back + start[i], start[i + 1] - start[i]);
        out->start[i + 1] = (uint32_t)out->edges;
    }
    return MR_OK;
}

void mr_graph_prune(mr_graph *g, double least) {
    size_t kept = 0, from = 0;
    for (size_t i = 0; i < g->n; i++) {
        for (; from < g->start[i + 1]; from++) {
            if (g->weight[from] < least) continue;
            g->to[kept] = g->to[from];
            g->weight[kept++] = g->weight[from];
        }
        g->start[i + 1] = (uint32_t)kept;
    }
    g->edges = kept;
}

mr_status mr_graph_parts(const mr_graph *g, mr_arena *arena, size_t *parts, mr_error *err) {
    uint8_t *seen = mr_arena_alloc(arena, g->n, 1);
    uint32_t *open = mr_arena_alloc(arena, g->n, sizeof *open);
    if (!seen || !open) return mr_fail(err, MR_E_MEMORY, "no memory for the parts of %zu points", g->n);
    *parts = 0;
    for (uint32_t first = 0; first < g->n; first++) {
        if (seen[first]) continue;
        size_t count = 1;
        open[0] = first;
        seen[first] = 1;
        for (++*parts; count > 0;) {
            uint32_t at = open[--count];
            for (uint32_t e = g->start[at]; e < g->start[at + 1]; e++)
                if (!seen[g->to[e]]) seen[open[count++] = g->to[e]] = 1;
        }
    }
    return MR_OK;
}
