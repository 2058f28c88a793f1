#include "worker/kit/hdbscan.h"

#include <math.h>
#include <stdlib.h>

enum { NONE = -1 };

/* ---- the dendrogram: leaves are 0 .. n - 1, and the i-th lightest edge makes node n + i ---- */

typedef struct node {
    int32_t child[2];
    uint32_t size;
    double weight; /* 0 for a leaf */
} node;

typedef struct dendrogram {
    node *nodes;
    size_t n;
    uint32_t *up; /* union-find over nodes */
} dendrogram;

static uint32_t root_of(uint32_t *up, uint32_t i) {
    while (up[i] != i) i = up[i] = up[up[i]];
    return i;
}

/* The last node is the root. The edges are sorted. */
static void build(dendrogram *d, const mr_edge *edges) {
    for (size_t i = 0; i < 2 * d->n - 1; i++) d->up[i] = (uint32_t)i;
    for (size_t i = 0; i < d->n; i++) d->nodes[i] = (node){.size = 1};
    for (size_t i = 0; i + 1 < d->n; i++) {
        uint32_t a = root_of(d->up, edges[i].a), b = root_of(d->up, edges[i].b), made = (uint32_t)(d->n + i);
        d->nodes[made] =
            (node){{(int32_t)a, (int32_t)b}, d->nodes[a].size + d->nodes[b].size, edges[i].weight};
        d->up[a] = d->up[b] = made;
    }
}

/* ---- the condensed tree ---- */

typedef struct visit {
    int32_t node, cluster;
} visit;

typedef struct condenser {
    const dendrogram *d;
    mr_condensed *tree;
    size_t count, min_size;
    int32_t *cluster; /* of a row: the last cluster that it was in */
    double *leave;    /* of a row: the density at which it left that cluster */
    visit *stack;     /* clusters' nodes to look at */
    int32_t *leaves;  /* a stack of nodes whose leaves are wanted */
    size_t depth;
} condenser;

static int32_t new_cluster(condenser *c, int32_t parent, uint32_t size, double birth) {
    c->tree[c->count] = (mr_condensed){parent, MR_NOISE, size, birth, birth, 0};
    return (int32_t)c->count++;
}

static void leave_all(condenser *c, int32_t from, int32_t cluster, double density) {
    size_t depth = 0;
    c->leaves[depth++] = from;
    while (depth) {
        int32_t at = c->leaves[--depth];
        if ((size_t)at < c->d->n) {
            c->cluster[at] = cluster;
            c->leave[at] = density;
            continue;
        }
        c->leaves[depth++] = c->d->nodes[at].child[0];
        c->leaves[depth++] = c->d->nodes[at].child[1];
    }
}

/* One node of the dendrogram: a small child is rows that fall out; a large child beside a small one is the
 * cluster going on; two large children are new clusters. */
static void condense_node(condenser *c, visit v) {
    const node *nodes = c->d->nodes, *at = &nodes[v.node];
    double density = 1 / at->weight;
    bool large[2];
    for (int i = 0; i < 2; i++) large[i] = nodes[at->child[i]].size >= c->min_size;
    mr_condensed *mine = &c->tree[v.cluster];
    double gain = density - mine->birth;
    bool goes_on = large[0] != large[1];
    if (!goes_on) mine->death = density;
    for (int i = 0; i < 2; i++) {
        int32_t k = at->child[i];
        if (!large[i] || !goes_on) mine->stability += gain * nodes[k].size;
        if (!large[i])
            leave_all(c, k, v.cluster, density);
        else
            c->stack[c->depth++] =
                (visit){k, goes_on ? v.cluster : new_cluster(c, v.cluster, nodes[k].size, density)};
    }
}

static void condense(condenser *c) {
    int32_t all = new_cluster(c, NONE, (uint32_t)c->d->n, 0);
    c->stack[c->depth++] = (visit){(int32_t)(2 * c->d->n - 2), all};
    while (c->depth) condense_node(c, c->stack[--c->depth]);
}

/* ---- the choice: excess of mass ---- */

/* owner[i]: the chosen cluster that node i belongs to, or NONE. `best` and `has` are scratch of the same
 * size. */
static void choose(const mr_condensed *tree, size_t count, bool allow_root, int32_t *owner, double *best,
                   bool *has) {
    for (size_t i = count; i-- > 0;) {
        bool keep = !has[i] || tree[i].stability >= best[i];
        if (i == 0 && !allow_root) keep = false;
        owner[i] = keep ? (int32_t)i : NONE;
        if (keep) best[i] = tree[i].stability;
        if (i == 0) break;
        best[tree[i].parent] += best[i];
        has[tree[i].parent] = true;
    }
    for (size_t i = 1; i < count; i++)
        if (owner[tree[i].parent] != NONE) owner[i] = owner[tree[i].parent];
}

static void label_rows(mr_hdbscan *out, const condenser *c, const int32_t *owner) {
    for (size_t i = 0; i < out->n; i++) {
        int32_t own = owner[c->cluster[i]];
        out->label[i] = MR_NOISE;
        if (own == NONE) continue;
        mr_condensed *t = &out->tree[own];
        if (t->label == MR_NOISE) {
            out->chosen[out->clusters] = (uint32_t)own;
            t->label = (int32_t)out->clusters++;
        }
        out->label[i] = t->label;
        out->strength[i] = c->cluster[i] == own && c->leave[i] < t->death ? c->leave[i] / t->death : 1;
    }
}

/* Duplicates: see hdbscan.h. Returns false when all edges are 0. */
static bool lift_zeros(mr_edge *edges, size_t count) {
    size_t zeros = 0;
    while (zeros < count && edges[zeros].weight == 0) zeros++;
    if (zeros == count) return false;
    for (size_t i = 0; i < zeros; i++) edges[i].weight = edges[zeros].weight / 2;
    return true;
}

static mr_status cut(const mr_edge *edges, const mr_hdbscan_options *o, mr_arena *arena, mr_hdbscan *out,
                     mr_error *err) {
    size_t n = out->n;
    dendrogram d = {mr_arena_alloc(arena, 2 * n, sizeof *d.nodes), n,
                    mr_arena_alloc(arena, 2 * n, sizeof *d.up)};
    condenser c = {.d = &d, .min_size = o->min_cluster_size};
    c.tree = out->tree = mr_arena_alloc(arena, 2 * n, sizeof *c.tree);
    c.cluster = mr_arena_alloc(arena, n, sizeof *c.cluster);
    c.leave = mr_arena_alloc(arena, n, sizeof *c.leave);
    c.stack = mr_arena_alloc(arena, 2 * n, sizeof *c.stack);
    c.leaves = mr_arena_alloc(arena, 2 * n, sizeof *c.leaves);
    int32_t *owner = mr_arena_alloc(arena, 2 * n, sizeof *owner);
    double *best = mr_arena_alloc(arena, 2 * n, sizeof *best);
    bool *has = mr_arena_alloc(arena, 2 * n, sizeof *has);
    if (!d.nodes || !d.up || !c.tree || !c.cluster || !c.leave || !c.stack || !c.leaves || !owner || !best ||
        !has)
        return mr_fail(err, MR_E_MEMORY, "no memory for the cluster tree of %zu rows", n);
    build(&d, edges);
    condense(&c);
    out->tree_size = c.count;
    choose(c.tree, c.count, o->allow_single_cluster, owner, best, has);
    label_rows(out, &c, owner);
    return MR_OK;
}

static mr_status check(const mr_points *p, const mr_hdbscan_options *o, mr_error *err) {
    if (o->min_cluster_size < 2 || o->min_samples < 1)
        return mr_fail(err, MR_E_INVALID, "min_cluster_size must be at least 2 and min_samples at least 1");
    if (p->n < o->min_cluster_size || p->n <= o->min_samples)
        return mr_fail(err, MR_E_INVALID, "%zu rows are too few for min_cluster_size %zu and min_samples %zu",
                       p->n, o->min_cluster_size, o->min_samples);
    for (size_t i = 0; i < p->n * p->width; i++)
        if (!(fabs(p->rows[i]) <= 1e140))
            return mr_fail(err, MR_E_INVALID, "row %zu has a value that is not a number or beyond 1e140",
                           i / p->width);
    return MR_OK;
}

mr_status mr_hdbscan_fit(const mr_points *p, const mr_hdbscan_options *options, mr_arena *arena,
                         const mr_ticker *tick, mr_hdbscan *out, mr_error *err) {
    MR_TRY(check(p, options, err));
    *out = (mr_hdbscan){.n = p->n};
    out->label = mr_arena_alloc(arena, p->n, sizeof *out->label);
    out->strength = mr_arena_alloc(arena, p->n, sizeof *out->strength);
    out->core = mr_arena_alloc(arena, p->n, sizeof *out->core);
    out->chosen = mr_arena_alloc(arena, p->n, sizeof *out->chosen);
    mr_edge *edges = mr_arena_alloc(arena, p->n, sizeof *edges);
    if (!out->label || !out->strength || !out->core || !out->chosen || !edges)
        return mr_fail(err, MR_E_MEMORY, "no memory for clusters of %zu rows", p->n);
    MR_TRY(mr_core_distances(p, options->min_samples, out->core, arena, tick, err));
    MR_TRY(mr_mst(p, out->core, edges, arena, tick, err));
    for (size_t i = 0; i + 1 < p->n; i++) out->tree_weight += edges[i].weight;
    if (!lift_zeros(edges, p->n - 1))
        return mr_fail(err, MR_E_INVALID, "all %zu rows are equal, so there is nothing to cluster", p->n);
    return cut(edges, options, arena, out, err);
}

/* Squared distances to all points; returns the nearest. */
static size_t distances_to(const mr_points *p, const double *query, double *d2) {
    size_t nearest = 0;
    for (size_t b = 0; b < p->blocks; b++) mr_points_block(p, b, query, d2 + b * MR_POINT_BLOCK);
    for (size_t i = 1; i < p->n; i++)
        if (d2[i] < d2[nearest]) nearest = i;
    return nearest;
}

/* The distance to the k-th nearest point, or to the last whose distance is finite. k others lie within the core distance of the
 * nearest point, so none beyond that and the way there counts. */
static double core_of(const mr_hdbscan *fit, size_t n, size_t k, const double *d2, size_t nearest, double *room) {
    double reach = sqrt(d2[nearest]) + fit->core[nearest], most = reach * reach * (1 + 1e-14);
    size_t count = 0;
    for (size_t i = 0; i < n; i++) {
        room[count] = d2[i];
        count += d2[i] <= most && d2[i] < INFINITY;
    }
    return sqrt(mr_select_least(room, count, count < k ? count : k));
}

static double larger(double x, double y) { return x > y ? x : y; }

int32_t mr_hdbscan_assign(const mr_hdbscan *fit, const mr_points *p, size_t min_samples, const double *query,
                          double *room, double *strength) {
    size_t near = distances_to(p, query, room), joined = near;
    *strength = 0;
    if (isinf(room[near])) return MR_NOISE; /* so far away that no distance is finite */
    double core = core_of(fit, p->n, min_samples, room, near, room + p->blocks * MR_POINT_BLOCK);
    double least = INFINITY, nearest = INFINITY, enough = larger(larger(sqrt(room[near]), core), fit->core[near]);
    double beyond = enough * enough * (1 + 1e-15); /* its root is above `enough` */
    for (size_t i = 0; i < p->n; i++) {
        double most = larger(core, fit->core[i]);
        if (most > enough || room[i] > beyond) continue;
        double distance = sqrt(room[i]), reach = larger(distance, most);
        if (reach > least || (reach == least && distance >= nearest)) continue;
        least = reach;
        nearest = distance;
        joined = i;
    }
    int32_t label = fit->label[joined];
    if (label == MR_NOISE) return MR_NOISE;
    const mr_condensed *t = &fit->tree[fit->chosen[label]];
    if (least * t->birth >= 1) return MR_NOISE;
    *strength = least * t->death <= 1 ? 1 : 1 / (least * t->death);
    return label;
}

/* ---- agreement ---- */

static int by_number(const void *x, const void *y) {
    uint64_t p = *(const uint64_t *)x, q = *(const uint64_t *)y;
    return (p > q) - (p < q);
}

/* Sum over the runs of equal numbers of run (run - 1) / 2. */
static double pairs_within(uint64_t *v, size_t n) {
    qsort(v, n, sizeof *v, by_number);
    double pairs = 0;
    for (size_t i = 0, j; i < n; i = j) {
        for (j = i + 1; j < n && v[j] == v[i];) j++;
        pairs += (double)(j - i) * (double)(j - i - 1) / 2;
    }
    return pairs;
}

double mr_adjusted_rand(const int32_t *a, const int32_t *b, size_t n, mr_arena *arena) {
    uint64_t *v = mr_arena_alloc(arena, n, sizeof *v);
    if (!v) return NAN;
    for (size_t i = 0; i < n; i++) v[i] = (uint64_t)(uint32_t)a[i] << 32 | (uint32_t)b[i];
    double both = pairs_within(v, n);
    for (size_t i = 0; i < n; i++) v[i] = (uint32_t)a[i];
    double in_a = pairs_within(v, n);
    for (size_t i = 0; i < n; i++) v[i] = (uint32_t)b[i];
    double in_b = pairs_within(v, n), all = (double)n * (double)(n - 1) / 2;
    double expected = all > 0 ? in_a * in_b / all : 0, most = (in_a + in_b) / 2;
    return most == expected ? 1 : (both - expected) / (most - expected);
}
