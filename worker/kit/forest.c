#include "worker/kit/forest.h"
#include "common/rng.h"

#include <math.h>
#include <string.h>

double mr_forest_c(size_t n) {
    if (n <= 1) return 0;
    if (n == 2) return 1;
    double m = (double)(n - 1);
    return 2 * (log(m) + 0.5772156649) - 2 * m / (double)n;
}

typedef struct grower {
    mr_forest *f;
    const double *rows;
    uint32_t *pick, *features; /* the subsample's rows, partitioned in place; scratch for the feature draw */
    mr_rng rng;
    unsigned height;
} grower;

typedef struct todo {
    uint32_t node, from, to; /* rows pick[from .. to) */
    unsigned depth;
} todo;

static double value(const grower *g, uint32_t at, uint32_t feature) {
    return g->rows[(size_t)g->pick[at] * g->f->width + feature];
}

static void range_of(const grower *g, const todo *t, uint32_t feature, double *low, double *high) {
    *low = *high = value(g, t->from, feature);
    for (uint32_t i = t->from + 1; i < t->to; i++) {
        double v = value(g, i, feature);
        if (v < *low) *low = v;
        if (v > *high) *high = v;
    }
}

/* Draws features without replacement until one varies; false when none does. */
static bool draw_cut(grower *g, const todo *t, uint32_t *feature, double *cut) {
    uint32_t *f = g->features;
    for (size_t left = g->f->width; left > 0; left--) {
        size_t k = mr_rng_below(&g->rng, left);
        uint32_t drawn = f[k];
        f[k] = f[left - 1];
        f[left - 1] = drawn;
        double low, high;
        range_of(g, t, drawn, &low, &high);
        if (low == high) continue;
        double u = mr_rng_unit(&g->rng);
        *feature = drawn;
        *cut = low * (1 - u) + high * u;
        if (*cut >= high) *cut = low; /* rounding must not leave a side empty */
        return true;
    }
    return false;
}

static uint32_t partition(grower *g, const todo *t, uint32_t feature, double cut) {
    uint32_t left = t->from;
    for (uint32_t i = t->from; i < t->to; i++) {
        if (value(g, i, feature) > cut) continue;
        uint32_t row = g->pick[i];
        g->pick[i] = g->pick[left];
        g->pick[left++] = row;
    }
    return left;
}

/* Draws `count` of n rows to the front of `all` (Fisher and Yates). */
static void draw_rows(mr_rng *rng, uint32_t *all, size_t n, size_t count) {
    for (size_t i = 0; i < count; i++) {
        size_t j = i + mr_rng_below(rng, n - i);
        uint32_t row = all[i];
        all[i] = all[j];
        all[j] = row;
    }
}

static void grow_tree(grower *g, todo *stack) {
    mr_forest *f = g->f;
    size_t depth = 0;
    stack[depth++] = (todo){(uint32_t)f->nodes++, 0, (uint32_t)f->subsample, 0};
    while (depth) {
        todo t = stack[--depth];
        mr_forest_node *node = &f->node[t.node];
        uint32_t feature;
        double cut;
        if (t.depth == g->height || t.to - t.from < 2 || !draw_cut(g, &t, &feature, &cut)) {
            *node = (mr_forest_node){t.depth + mr_forest_c(t.to - t.from), -1, 0};
            continue;
        }
        uint32_t middle = partition(g, &t, feature, cut), child = (uint32_t)f->nodes;
        f->nodes += 2;
        *node = (mr_forest_node){cut, (int32_t)feature, child};
        stack[depth++] = (todo){child + 1, middle, t.to, t.depth + 1};
        stack[depth++] = (todo){child, t.from, middle, t.depth + 1};
    }
}

static unsigned height_of(size_t subsample) {
    unsigned h = 0;
    while (((size_t)1 << h) < subsample) h++;
    return h;
}

mr_status mr_forest_fit(mr_forest *f, mr_arena *arena, const double *rows, size_t n, size_t width,
                        size_t trees, size_t subsample, uint64_t seed, const mr_ticker *tick, mr_error *err) {
    MR_ASSERT(n >= 2 && n <= UINT32_MAX && width > 0 && trees > 0 && subsample >= 2);
    if (subsample > n) subsample = n;
    *f = (mr_forest){.trees = trees, .subsample = subsample, .width = width};
    f->root = mr_arena_alloc(arena, trees, sizeof *f->root);
    f->node = mr_arena_alloc(arena, trees * (2 * subsample - 1), sizeof *f->node);
    grower g = {.f = f,
                .rows = rows,
                .pick = mr_arena_alloc(arena, n, sizeof *g.pick),
                .features = mr_arena_alloc(arena, width, sizeof *g.features),
                .height = height_of(subsample)};
    todo *stack = mr_arena_alloc(arena, g.height + 2, sizeof *stack);
    if (!f->root || !f->node || !g.pick || !g.features || !stack)
        return mr_fail(err, MR_E_MEMORY, "no memory for %zu isolation trees", trees);
    for (size_t t = 0; t < trees; t++) {
        MR_TRY(mr_ticker_call(tick));
        mr_rng_stream(&g.rng, seed, 0x666f7265, t);
        for (size_t i = 0; i < n; i++) g.pick[i] = (uint32_t)i;
        for (size_t i = 0; i < width; i++) g.features[i] = (uint32_t)i;
        draw_rows(&g.rng, g.pick, n, subsample);
        f->root[t] = (uint32_t)f->nodes;
        grow_tree(&g, stack);
    }
    return MR_OK;
}

double mr_forest_path(const mr_forest *f, size_t tree, const double *row) {
    const mr_forest_node *at = &f->node[f->root[tree]];
    while (at->feature >= 0) at = &f->node[at->child + (row[at->feature] > at->cut)];
    return at->cut;
}

double mr_forest_score(const mr_forest *f, const double *row) {
    double sum = 0;
    for (size_t t = 0; t < f->trees; t++) sum += mr_forest_path(f, t, row);
    return exp2(-sum / (double)f->trees / mr_forest_c(f->subsample));
}

/* ---- bytes: msgpack [trees, subsample, roots, nodes], the last two as blocks ---- */

_Static_assert(sizeof(mr_forest_node) == 16, "a packed node is 16 bytes");

void mr_forest_pack(const mr_forest *f, mr_buf *out) {
    mr_pack_array(out, 4);
    mr_pack_u64(out, f->trees);
    mr_pack_u64(out, f->subsample);
    mr_pack_bin(out, (mr_span){(const uint8_t *)f->root, f->trees * sizeof *f->root});
    mr_pack_bin(out, (mr_span){(const uint8_t *)f->node, f->nodes * sizeof *f->node});
}

/* Children must lie behind their parent, so that every walk ends. */
static bool sound(const mr_forest *f) {
    for (size_t t = 0; t < f->trees; t++)
        if (f->root[t] >= f->nodes) return false;
    for (size_t i = 0; i < f->nodes; i++) {
        const mr_forest_node *node = &f->node[i];
        if (node->feature < 0) continue;
        if ((size_t)node->feature >= f->width || node->child <= i || node->child + (size_t)1 >= f->nodes)
            return false;
    }
    return true;
}

mr_status mr_forest_unpack(mr_forest *f, mr_arena *arena, size_t width, mr_unpack *in, mr_error *err) {
    uint32_t parts;
    uint64_t trees, subsample;
    mr_span roots, nodes;
    MR_TRY(mr_unpack_array(in, 4, &parts, err));
    MR_TRY(mr_unpack_u64(in, UINT32_MAX, &trees, err));
    MR_TRY(mr_unpack_u64(in, UINT32_MAX, &subsample, err));
    MR_TRY(mr_unpack_bin(in, SIZE_MAX, &roots, err));
    MR_TRY(mr_unpack_bin(in, SIZE_MAX, &nodes, err));
    if (parts != 4 || trees == 0 || subsample < 2 || roots.len != trees * sizeof *f->root ||
        nodes.len % sizeof *f->node || nodes.len / sizeof *f->node > UINT32_MAX)
        return mr_fail(err, MR_E_CORRUPT, "a packed forest has the wrong size");
    *f = (mr_forest){trees, subsample, width, nodes.len / sizeof *f->node, NULL, NULL};
    f->root = mr_arena_alloc(arena, trees, sizeof *f->root);
    f->node = mr_arena_alloc(arena, f->nodes, sizeof *f->node);
    if (!f->root || !f->node)
        return mr_fail(err, MR_E_MEMORY, "no memory for a forest of %zu nodes", f->nodes);
    memcpy(f->root, roots.data, roots.len);
    memcpy(f->node, nodes.data, nodes.len);
    return sound(f) ? MR_OK : mr_fail(err, MR_E_CORRUPT, "a packed forest has a node that leads nowhere");
}
