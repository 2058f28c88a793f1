#include "worker/kit/boost.h"
#include "worker/kit/columns.h"
#include "worker/kit/hypothesis.h"

#include <math.h>
#include <string.h>

/* ---- bins ---- */

/* The share k / MR_BOOST_BINS of sorted values: the middle of the two values around it. */
static double quantile_middle(const double *sorted, size_t n, size_t k) {
    double at = (double)k / MR_BOOST_BINS * (double)(n - 1);
    size_t low = (size_t)floor(at), high = (size_t)ceil(at);
    return sorted[low] + (sorted[high] - sorted[low]) / 2;
}

/* Fills edge[0 .. count - 1) with ascending cuts; the last bin has no upper edge. */
static uint16_t edges_of(const double *sorted, size_t n, double *edge) {
    size_t distinct = n > 0, count = 0;
    for (size_t i = 1; i < n; i++) distinct += sorted[i] > sorted[i - 1];
    if (distinct <= MR_BOOST_BINS) {
        for (size_t i = 1; i < n; i++)
            if (sorted[i] > sorted[i - 1]) edge[count++] = sorted[i - 1] + (sorted[i] - sorted[i - 1]) / 2;
    } else {
        for (size_t k = 1; k < MR_BOOST_BINS; k++) {
            double v = quantile_middle(sorted, n, k);
            if ((count == 0 || v > edge[count - 1]) && v < sorted[n - 1]) edge[count++] = v;
        }
    }
    return (uint16_t)(count + 1);
}

static uint8_t bin_of(const double *edge, size_t count, double v) {
    size_t low = 0, high = count - 1;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (v <= edge[middle])
            high = middle;
        else
            low = middle + 1;
    }
    return (uint8_t)low;
}

mr_status mr_bins_make(const double *x, size_t n, size_t width, mr_scratch *scratch, const mr_ticker *tick,
                       mr_bins *out, mr_error *err) {
    double *sorted = mr_scratch_get(scratch, n + 1, sizeof *sorted);
    *out = (mr_bins){n, width, mr_scratch_get(scratch, n * width + 1, 1),
                     mr_scratch_get(scratch, width * MR_BOOST_BINS, sizeof(double)),
                     mr_scratch_get(scratch, width, sizeof(uint16_t))};
    if (!sorted || !out->bin || !out->edge || !out->count)
        return mr_fail(err, MR_E_MEMORY, "no memory to bin %zu rows of %zu columns", n, width);
    for (size_t j = 0; j < width; j++) {
        double *edge = out->edge + j * MR_BOOST_BINS;
        MR_TRY(mr_ticker_call(tick));
        for (size_t i = 0; i < n; i++) sorted[i] = x[i * width + j];
        mr_sort_numbers(sorted, n);
        out->count[j] = edges_of(sorted, n, edge);
        for (size_t i = 0; i < n; i++) out->bin[j * n + i] = bin_of(edge, out->count[j], x[i * width + j]);
    }
    return MR_OK;
}

/* ---- growing ---- */

typedef struct cell {
    double g, h;
    uint32_t n;
} cell;

typedef struct leaf {
    size_t start, count; /* in `order` */
    uint32_t node;
    double g, h;
    cell *cells; /* width x MR_BOOST_BINS */
    double gain; /* of the best cut; 0: none */
    size_t feature;
    unsigned bin;
} leaf;

typedef struct grower {
    const mr_bins *bins;
    const mr_boost_options *o;
    const mr_ticker *tick;
    mr_boost *model;
    double *g, *h, *raw; /* by row */
    double *og, *oh;     /* gathered in the order of a leaf */
    uint32_t *order, *spare;
    leaf *leaves;
    size_t leaf_count;
} grower;

static const double least_hessian = 1e-3;

/* The cells of the leaf's rows. */
static void count_cells(grower *w, leaf *l) {
    const uint32_t *rows = w->order + l->start;
    size_t n = w->bins->rows;
    memset(l->cells, 0, w->bins->width * MR_BOOST_BINS * sizeof *l->cells);
    for (size_t i = 0; i < l->count; i++) {
        w->og[i] = w->g[rows[i]];
        w->oh[i] = w->h[rows[i]];
    }
    for (size_t j = 0; j < w->bins->width; j++) {
        const uint8_t *bin = w->bins->bin + j * n;
        cell *cells = l->cells + j * MR_BOOST_BINS;
        for (size_t i = 0; i < l->count; i++) {
            cell *c = cells + bin[rows[i]];
            c->g += w->og[i];
            c->h += w->oh[i];
            c->n++;
        }
    }
}

static double worth(double g, double h, double l2) { return g * g / (h + l2); }

static void best_cut_of(const grower *w, leaf *l, size_t feature) {
    const cell *cells = l->cells + feature * MR_BOOST_BINS;
    double g = 0, h = 0, whole = worth(l->g, l->h, w->o->l2);
    size_t n = 0;
    for (unsigned b = 0; b + 1 < w->bins->count[feature]; b++) {
        g += cells[b].g;
        h += cells[b].h;
        n += cells[b].n;
        if (n < w->o->leaf_rows || h < least_hessian) continue;
        if (l->count - n < w->o->leaf_rows || l->h - h < least_hessian) break;
        double gain = worth(g, h, w->o->l2) + worth(l->g - g, l->h - h, w->o->l2) - whole;
        if (gain > l->gain && gain > 1e-12 * whole) {
            l->gain = gain;
            l->feature = feature;
            l->bin = b;
        }
    }
}

static void best_cut(const grower *w, leaf *l) {
    l->gain = 0;
    if (l->count < 2 * w->o->leaf_rows) return;
    for (size_t j = 0; j < w->bins->width; j++) best_cut_of(w, l, j);
}

/* Puts the rows of the left side first, both sides in their order; returns how many are on the left. */
static size_t part_rows(grower *w, const leaf *l) {
    const uint8_t *bin = w->bins->bin + l->feature * w->bins->rows;
    uint32_t *rows = w->order + l->start;
    size_t left = 0, right = 0;
    for (size_t i = 0; i < l->count; i++) {
        if (bin[rows[i]] <= l->bin)
            rows[left++] = rows[i];
        else
            w->spare[right++] = rows[i];
    }
    memcpy(rows + left, w->spare, right * sizeof *rows);
    return left;
}

static void sum_leaf(const grower *w, leaf *l) {
    l->g = l->h = 0;
    for (size_t i = 0; i < l->count; i++) {
        l->g += w->g[w->order[l->start + i]];
        l->h += w->h[w->order[l->start + i]];
    }
}

static uint32_t new_node(grower *w) { return (uint32_t)w->model->nodes++; }

/* The smaller side's cells are counted, the larger side's are what is left of the parent's. */
static void share_cells(grower *w, leaf *left, leaf *right, cell *parents, cell *fresh) {
    leaf *small = left->count <= right->count ? left : right, *large = small == left ? right : left;
    small->cells = fresh;
    large->cells = parents;
    count_cells(w, small);
    for (size_t k = 0; k < w->bins->width * MR_BOOST_BINS; k++) {
        parents[k].g -= fresh[k].g;
        parents[k].h -= fresh[k].h;
        parents[k].n -= fresh[k].n;
    }
}

static void cut_leaf(grower *w, leaf *l) {
    leaf *right = &w->leaves[w->leaf_count++];
    cell *parents = l->cells, *fresh = right->cells; /* every place has cells of its own from the start */
    mr_boost_node *node = &w->model->node[l->node];
    size_t left_count = part_rows(w, l);
    node->feature = (int32_t)l->feature;
    node->value = w->bins->edge[l->feature * MR_BOOST_BINS + l->bin];
    w->model->gain[l->feature] += l->gain;
    right->start = l->start + left_count;
    right->count = l->count - left_count;
    l->count = left_count;
    node->left = l->node = new_node(w);
    node->right = right->node = new_node(w);
    sum_leaf(w, l);
    sum_leaf(w, right);
    share_cells(w, l, right, parents, fresh);
    best_cut(w, l);
    best_cut(w, right);
}

/* The leaf of largest gain, the first of equals; NULL when no cut is worth it. */
static leaf *next_leaf(grower *w) {
    leaf *best = NULL;
    for (size_t i = 0; i < w->leaf_count; i++)
        if (w->leaves[i].gain > 0 && (!best || w->leaves[i].gain > best->gain)) best = &w->leaves[i];
    return best;
}

static void settle(grower *w, const leaf *l) {
    double value = -w->o->rate * l->g / (l->h + w->o->l2 + 1e-15);
    w->model->node[l->node] = (mr_boost_node){value, -1, 0, 0};
    for (size_t i = 0; i < l->count; i++) w->raw[w->order[l->start + i]] += value;
}

static mr_status grow_tree(grower *w) {
    leaf *root = &w->leaves[0];
    for (uint32_t i = 0; i < w->bins->rows; i++) w->order[i] = i;
    w->leaf_count = 1;
    root->start = 0;
    root->count = w->bins->rows;
    root->node = w->model->root[w->model->trees++] = new_node(w);
    sum_leaf(w, root);
    count_cells(w, root);
    best_cut(w, root);
    for (leaf *l; w->leaf_count < w->o->leaves && (l = next_leaf(w));) {
        MR_TRY(mr_ticker_call(w->tick));
        cut_leaf(w, l);
    }
    for (size_t i = 0; i < w->leaf_count; i++) settle(w, &w->leaves[i]);
    return MR_OK;
}

static void slopes(grower *w, const double *y) {
    for (size_t i = 0; i < w->bins->rows; i++) {
        double p = w->raw[i];
        w->h[i] = 1;
        if (w->o->loss == MR_BOOST_LOGISTIC) {
            p = 1 / (1 + exp(-p));
            w->h[i] = p * (1 - p);
        }
        w->g[i] = p - y[i];
    }
}

static double base_of(const double *y, size_t n, mr_boost_loss loss) {
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += y[i];
    if (loss == MR_BOOST_SQUARES) return sum / (double)n;
    bool mixed = sum > 0 && sum < (double)n;
    return mixed ? log(sum / ((double)n - sum)) : log((sum + 0.5) / ((double)n - sum + 0.5));
}

static mr_status make_room(grower *w, mr_scratch *scratch, mr_error *err) {
    size_t n = w->bins->rows, leaves = w->o->leaves, width = w->bins->width;
    double *numbers = mr_scratch_get(scratch, 5 * n + 1, sizeof *numbers);
    w->order = mr_scratch_get(scratch, n + 1, sizeof *w->order);
    w->spare = mr_scratch_get(scratch, n + 1, sizeof *w->spare);
    w->leaves = mr_scratch_get(scratch, leaves, sizeof *w->leaves);
    w->model->root = mr_arena_alloc(scratch->arena, w->o->rounds, sizeof *w->model->root);
    w->model->node = mr_arena_alloc(scratch->arena, w->o->rounds * 2 * leaves, sizeof *w->model->node);
    w->model->gain = mr_arena_alloc(scratch->arena, width, sizeof *w->model->gain);
    cell *cells = mr_scratch_get(scratch, leaves * width * MR_BOOST_BINS, sizeof *cells);
    if (!numbers || !w->order || !w->spare || !w->leaves || !w->model->root || !w->model->node ||
        !w->model->gain || !cells)
        return mr_fail(err, MR_E_MEMORY, "no memory to grow trees on %zu rows of %zu columns", n, width);
    w->g = numbers, w->h = numbers + n, w->raw = numbers + 2 * n;
    w->og = numbers + 3 * n, w->oh = numbers + 4 * n;
    for (size_t i = 0; i < leaves; i++) w->leaves[i].cells = cells + i * width * MR_BOOST_BINS;
    return MR_OK;
}

mr_status mr_boost_fit(const mr_bins *bins, const double *y, const mr_boost_options *o, mr_scratch *scratch,
                       const mr_ticker *tick, mr_boost *out, mr_error *err) {
    grower w = {.bins = bins, .o = o, .tick = tick, .model = out};
    mr_scratch_mark mark = mr_scratch_here(scratch);
    *out = (mr_boost){.width = bins->width, .base = base_of(y, bins->rows, o->loss)};
    MR_TRY(make_room(&w, scratch, err));
    for (size_t i = 0; i < bins->rows; i++) w.raw[i] = out->base;
    for (size_t t = 0; t < o->rounds; t++) {
        slopes(&w, y);
        MR_TRY(grow_tree(&w));
    }
    mr_scratch_back(scratch, mark);
    return MR_OK;
}

/* ---- use ---- */

uint32_t mr_boost_leaf(const mr_boost *b, size_t tree, const double *row) {
    uint32_t at = b->root[tree];
    for (const mr_boost_node *n; (n = b->node + at)->feature >= 0;)
        at = row[n->feature] <= n->value ? n->left : n->right;
    return at;
}

double mr_boost_at(const mr_boost *b, const double *row) {
    double sum = b->base;
    for (size_t t = 0; t < b->trees; t++) sum += b->node[mr_boost_leaf(b, t, row)].value;
    return sum;
}

/* [base, trees, nodes, roots, values, features, lefts and rights] */
void mr_boost_pack(const mr_boost *b, mr_buf *out) {
    mr_pack_array(out, 7);
    mr_pack_f64(out, b->base);
    mr_pack_u64(out, b->trees);
    mr_pack_u64(out, b->nodes);
    mr_pack_bin(out, (mr_span){(const uint8_t *)b->root, b->trees * sizeof *b->root});
    mr_pack_array(out, (uint32_t)b->nodes);
    for (size_t i = 0; i < b->nodes; i++) mr_pack_f64(out, b->node[i].value);
    mr_pack_array(out, (uint32_t)b->nodes);
    for (size_t i = 0; i < b->nodes; i++) mr_pack_i64(out, b->node[i].feature);
    mr_pack_array(out, (uint32_t)(2 * b->nodes));
    for (size_t i = 0; i < b->nodes; i++) {
        mr_pack_u64(out, b->node[i].left);
        mr_pack_u64(out, b->node[i].right);
    }
}

static mr_status read_count(mr_unpack *in, size_t expected, mr_error *err) {
    uint32_t count;
    MR_TRY(mr_unpack_array(in, UINT32_MAX, &count, err));
    if (count == expected) return MR_OK;
    return mr_fail(err, MR_E_CORRUPT, "a list of %u items in a tree model should have %zu", count, expected);
}

static mr_status read_nodes(mr_boost *b, mr_unpack *in, mr_error *err) {
    uint64_t left, right;
    int64_t feature;
    MR_TRY(read_count(in, b->nodes, err));
    for (size_t i = 0; i < b->nodes; i++) MR_TRY(mr_unpack_f64(in, &b->node[i].value, err));
    MR_TRY(read_count(in, b->nodes, err));
    for (size_t i = 0; i < b->nodes; i++) {
        MR_TRY(mr_unpack_i64(in, &feature, err));
        if (feature < -1 || feature >= (int64_t)b->width)
            return mr_fail(err, MR_E_CORRUPT, "a tree cuts column %lld of %zu", (long long)feature, b->width);
        b->node[i].feature = (int32_t)feature;
    }
    MR_TRY(read_count(in, 2 * b->nodes, err));
    for (size_t i = 0; i < b->nodes; i++) {
        MR_TRY(mr_unpack_u64(in, UINT32_MAX, &left, err));
        MR_TRY(mr_unpack_u64(in, UINT32_MAX, &right, err));
        if (b->node[i].feature >= 0 && (left <= i || right <= i || left >= b->nodes || right >= b->nodes))
            return mr_fail(err, MR_E_CORRUPT, "a tree's node %zu has children outside the model", i);
        b->node[i].left = (uint32_t)left;
        b->node[i].right = (uint32_t)right;
    }
    return MR_OK;
}

mr_status mr_boost_unpack(mr_boost *b, mr_arena *arena, size_t width, mr_unpack *in, mr_error *err) {
    uint64_t trees, nodes;
    *b = (mr_boost){.width = width};
    MR_TRY(read_count(in, 7, err));
    MR_TRY(mr_unpack_f64(in, &b->base, err));
    MR_TRY(mr_unpack_u64(in, UINT32_MAX, &trees, err));
    MR_TRY(mr_unpack_u64(in, (uint64_t)(in->end - in->at), &nodes, err));
    MR_TRY(mr_unpack_block(in, trees, sizeof *b->root, arena, &b->root, err));
    b->trees = trees;
    b->nodes = nodes;
    b->node = mr_arena_alloc(arena, nodes + 1, sizeof *b->node);
    if (!b->node) return mr_fail(err, MR_E_MEMORY, "no memory for %zu nodes", b->nodes);
    MR_TRY(read_nodes(b, in, err));
    for (size_t t = 0; t < b->trees; t++)
        if (b->root[t] >= b->nodes) return mr_fail(err, MR_E_CORRUPT, "tree %zu has no root", t);
    return MR_OK;
}
