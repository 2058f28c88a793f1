/* The bytes of contexts.h: model and state. */
#include "worker/kit/contexts.h"
#include "worker/kit/sample.h"

#include <math.h>
#include <string.h>

static const char model_magic[] = "hdbscan-1", state_magic[] = "contexts-state-1";
static const double LARGEST = 1e140; /* as mr_check_features */

static void pack_labels(mr_buf *b, const int32_t *label, size_t n) {
    mr_pack_bin(b, (mr_span){(const uint8_t *)label, n * sizeof *label});
}

static mr_status read_labels(mr_unpack *u, mr_arena *arena, mr_hdbscan *m, mr_error *err) {
    MR_TRY(mr_unpack_block(u, m->n, sizeof *m->label, arena, &m->label, err));
    for (size_t i = 0; i < m->n; i++)
        if (m->label[i] < MR_NOISE || m->label[i] >= (int64_t)m->clusters)
            return mr_fail(err, MR_E_CORRUPT, "row %zu has cluster %d of %zu", i, m->label[i], m->clusters);
    return MR_OK;
}

/* ---- model ---- */

void mr_contexts_pack_model(const mr_contexts *c, mr_arena *arena, mr_buf *out) {
    size_t n = c->rows.n, w = c->names.count, k = c->found.clusters;
    double *lives = mr_arena_alloc(arena, 2 * k + 1, sizeof *lives);
    if (!lives) {
        mr_buf_fail(out, MR_E_MEMORY);
        return;
    }
    for (size_t i = 0; i < k; i++) {
        lives[2 * i] = c->found.tree[c->found.chosen[i]].birth;
        lives[2 * i + 1] = c->found.tree[c->found.chosen[i]].death;
    }
    mr_pack_array(out, 11);
    mr_pack_text(out, model_magic);
    mr_pack_names(out, c->names);
    mr_pack_u64(out, n);
    mr_pack_u64(out, k);
    mr_pack_u64(out, c->min_samples);
    mr_pack_doubles(out, c->shift, w);
    mr_pack_doubles(out, c->divisor, w);
    mr_pack_doubles(out, c->x, n * w);
    mr_pack_doubles(out, c->found.core, n);
    pack_labels(out, c->found.label, n);
    mr_pack_doubles(out, lives, 2 * k);
}

static mr_status read_lives(mr_unpack *u, mr_arena *arena, mr_hdbscan *m, mr_error *err) {
    double *lives;
    MR_TRY(mr_unpack_doubles(u, 2 * m->clusters, arena, &lives, err));
    m->tree = mr_arena_alloc(arena, m->clusters + 1, sizeof *m->tree);
    m->chosen = mr_arena_alloc(arena, m->clusters + 1, sizeof *m->chosen);
    if (!m->tree || !m->chosen) return mr_fail(err, MR_E_MEMORY, "no memory for %zu clusters", m->clusters);
    for (size_t c = 0; c < m->clusters; c++) {
        m->tree[c] = (mr_condensed){.label = (int32_t)c, .birth = lives[2 * c], .death = lives[2 * c + 1]};
        m->chosen[c] = (uint32_t)c;
    }
    return MR_OK;
}

mr_status mr_contexts_read_model(mr_contexts *c, mr_span bytes, mr_arena *arena, mr_error *err) {
    mr_hdbscan *m = &c->found;
    uint64_t n, k, min_samples;
    mr_unpack u;
    mr_unpack_init(&u, bytes);
    MR_TRY(mr_unpack_magic(&u, model_magic, 11, err));
    MR_TRY(mr_unpack_names(&u, arena, &c->names, err));
    MR_TRY(mr_unpack_u64(&u, INT32_MAX, &n, err));
    MR_TRY(mr_unpack_u64(&u, n, &k, err));
    MR_TRY(mr_unpack_u64(&u, n, &min_samples, err));
    if (n == 0 || min_samples == 0 || c->names.count == 0)
        return mr_fail(err, MR_E_CORRUPT, "the model holds no rows");
    *m = (mr_hdbscan){.n = n, .clusters = k};
    c->min_samples = min_samples;
    MR_TRY(mr_unpack_doubles(&u, c->names.count, arena, &c->shift, err));
    MR_TRY(mr_unpack_doubles(&u, c->names.count, arena, &c->divisor, err));
    MR_TRY(mr_unpack_doubles(&u, n * c->names.count, arena, &c->x, err));
    MR_TRY(mr_unpack_doubles(&u, n, arena, &m->core, err));
    MR_TRY(read_labels(&u, arena, m, err));
    MR_TRY(read_lives(&u, arena, m, err));
    return mr_points_init(&c->points, arena, c->x, n, c->names.count, err);
}

/* ---- state: [magic, options, seed, seen, seen at fit, names, rows, positions, features, fitted, fit] ---- */

enum { STATE_PARTS = 11, FIT_PARTS = 7, SETTINGS = 5 };
static const char *const setting_names[SETTINGS] = {"min_cluster_size", "min_samples", "max_rows", "standardise",
                                                    "allow_single_cluster"};

static void settings_of(const mr_contexts_options *o, int64_t out[SETTINGS]) {
    out[0] = o->min_cluster_size;
    out[1] = o->min_samples;
    out[2] = o->max_rows;
    out[3] = o->standardise;
    out[4] = o->allow_single_cluster;
}

static void pack_settings(const mr_contexts_options *o, mr_buf *out) {
    int64_t v[SETTINGS];
    settings_of(o, v);
    mr_pack_array(out, SETTINGS);
    for (int i = 0; i < SETTINGS; i++) mr_pack_i64(out, v[i]);
}

static mr_status read_settings(mr_unpack *u, const mr_contexts_options *o, mr_error *err) {
    int64_t now[SETTINGS], was;
    uint32_t count;
    settings_of(o, now);
    MR_TRY(mr_unpack_array(u, SETTINGS, &count, err));
    if (count != SETTINGS) return mr_fail(err, MR_E_CORRUPT, "the state has %u options", count);
    for (int i = 0; i < SETTINGS; i++) {
        MR_TRY(mr_unpack_i64(u, &was, err));
        if (was != now[i])
            return mr_fail(err, MR_E_INVALID, "the state was left by a run with %s=%lld, and this one has %lld: apply it with "
                           "the same options", setting_names[i], (long long)was, (long long)now[i]);
    }
    return MR_OK;
}

/* Each node of the tree as six numbers: parent, label, size, birth, death, stability. */
enum { NODE = 6 };

static mr_status pack_tree(const mr_hdbscan *m, mr_arena *arena, mr_buf *out, mr_error *err) {
    double *v = mr_arena_alloc(arena, m->tree_size * NODE + 1, sizeof *v);
    if (!v) return mr_fail(err, MR_E_MEMORY, "no memory for %zu nodes", m->tree_size);
    for (size_t i = 0; i < m->tree_size; i++) {
        const mr_condensed *t = &m->tree[i];
        const double node[NODE] = {t->parent, t->label, t->size, t->birth, t->death, t->stability};
        memcpy(v + i * NODE, node, sizeof node);
    }
    mr_pack_doubles(out, v, m->tree_size * NODE);
    return MR_OK;
}

static bool is_whole(double v, double least, double most) { return v >= least && v <= most && v == floor(v); }

static mr_status read_tree(mr_unpack *u, mr_arena *arena, mr_hdbscan *m, mr_error *err) {
    double *v;
    size_t chosen = 0;
    MR_TRY(mr_unpack_doubles(u, m->tree_size * NODE, arena, &v, err));
    m->tree = mr_arena_alloc(arena, m->tree_size + 1, sizeof *m->tree);
    m->chosen = mr_arena_alloc(arena, m->clusters + 1, sizeof *m->chosen);
    if (!m->tree || !m->chosen) return mr_fail(err, MR_E_MEMORY, "no memory for %zu nodes", m->tree_size);
    for (size_t i = 0; i < m->tree_size; i++, v += NODE) {
        if (!is_whole(v[0], -1, (double)i - 1) || !is_whole(v[1], MR_NOISE, (double)m->clusters - 1) ||
            !is_whole(v[2], 1, (double)m->n))
            return mr_fail(err, MR_E_CORRUPT, "node %zu of the state's tree is none", i);
        m->tree[i] = (mr_condensed){(int32_t)v[0], (int32_t)v[1], (uint32_t)v[2], v[3], v[4], v[5]};
        if (m->tree[i].label == MR_NOISE) continue;
        m->chosen[m->tree[i].label] = (uint32_t)i;
        chosen++;
    }
    return chosen == m->clusters ? MR_OK : mr_fail(err, MR_E_CORRUPT, "%zu nodes of the tree are chosen for %zu clusters", chosen, m->clusters);
}

/* The fitted ones, and those that a fit on all rows would draw: their places in `all`. */
static mr_status choose_kept(const mr_contexts_state *s, const mr_context_rows *all, const uint8_t *fitted, mr_arena *arena,
                             uint32_t *kept, size_t *count, mr_error *err) {
    size_t most = (size_t)s->options.max_rows, k = all->n < most ? all->n : most, next = 0;
    uint32_t *drawn = mr_arena_alloc(arena, k + 1, sizeof *drawn);
    if (!drawn) return mr_fail(err, MR_E_MEMORY, "no memory for %zu rows", k);
    MR_TRY(mr_sample_draw_among(arena, s->seed, all->position, (uint32_t)all->n, (uint32_t)k, drawn, err));
    *count = 0;
    for (uint32_t i = 0; i < all->n; i++) {
        bool is_drawn = next < k && drawn[next] == i;
        next += is_drawn;
        if (is_drawn || fitted[i]) kept[(*count)++] = i;
    }
    return MR_OK;
}

static mr_status pack_rows(const mr_context_rows *all, const uint8_t *fitted, const uint32_t *kept, size_t n, mr_arena *arena,
                           mr_buf *out, mr_error *err) {
    size_t w = all->width;
    uint64_t *position = mr_arena_alloc(arena, n + 1, sizeof *position);
    double *features = mr_arena_alloc(arena, n * w + 1, sizeof *features);
    uint8_t *flag = mr_arena_alloc(arena, n + 1, 1);
    if (!position || !features || !flag) return mr_fail(err, MR_E_MEMORY, "no memory for %zu rows", n);
    for (size_t i = 0; i < n; i++) {
        position[i] = all->position[kept[i]];
        flag[i] = fitted[kept[i]];
        memcpy(features + i * w, all->features + kept[i] * w, w * sizeof *features);
    }
    mr_pack_u64(out, n);
    mr_pack_bin(out, (mr_span){(const uint8_t *)position, n * sizeof *position});
    mr_pack_doubles(out, features, n * w);
    mr_pack_bin(out, (mr_span){flag, n});
    return MR_OK;
}

static mr_status pack_fit(const mr_hdbscan *m, mr_arena *arena, mr_buf *out, mr_error *err) {
    mr_pack_array(out, FIT_PARTS);
    mr_pack_u64(out, m->clusters);
    mr_pack_u64(out, m->tree_size);
    mr_pack_doubles(out, m->core, m->n);
    pack_labels(out, m->label, m->n);
    mr_pack_doubles(out, m->strength, m->n);
    mr_pack_f64(out, m->tree_weight);
    return pack_tree(m, arena, out, err);
}

/* The least that the rows and their fit take. */
static size_t least_bytes(size_t kept, size_t fitted, size_t width) {
    return kept * (8 * (width + 1) + 1) + fitted * 20;
}

mr_status mr_contexts_pack_state(const mr_contexts_state *s, const mr_contexts *c, const mr_context_rows *all,
                                 const uint8_t *fitted, mr_arena *arena, mr_buf *out, mr_error *err) {
    uint32_t *kept = mr_arena_alloc(arena, all->n + 1, sizeof *kept);
    size_t count;
    if (!kept) return mr_fail(err, MR_E_MEMORY, "no memory for %zu rows", all->n);
    MR_TRY(choose_kept(s, all, fitted, arena, kept, &count, err));
    if (least_bytes(count, c->rows.n, all->width) > out->max) { /* before anything is copied */
        mr_buf_fail(out, MR_E_LIMIT);
        return MR_OK;
    }
    mr_pack_array(out, STATE_PARTS);
    mr_pack_text(out, state_magic);
    pack_settings(&s->options, out);
    mr_pack_u64(out, s->seed);
    mr_pack_u64(out, s->seen);
    mr_pack_u64(out, s->seen_at_fit);
    mr_pack_names(out, c->names);
    MR_TRY(pack_rows(all, fitted, kept, count, arena, out, err));
    return pack_fit(&c->found, arena, out, err);
}

bool mr_contexts_is_state(mr_span bytes) {
    mr_unpack u;
    mr_error err;
    mr_unpack_init(&u, bytes);
    return mr_unpack_magic(&u, state_magic, STATE_PARTS, &err) == MR_OK;
}

static mr_status check_rows(const mr_contexts_state *s, size_t *fitted, mr_error *err) {
    const mr_context_rows *r = &s->rows;
    uint64_t due = s->seen < (uint64_t)s->options.max_rows ? s->seen : (uint64_t)s->options.max_rows;
    *fitted = 0;
    for (size_t i = 0; i < r->n; i++) {
        if (r->position[i] >= s->seen || (i > 0 && r->position[i] <= r->position[i - 1]) || s->fitted[i] > 1)
            return mr_fail(err, MR_E_CORRUPT, "kept row %zu is at position %llu", i, (unsigned long long)r->position[i]);
        *fitted += s->fitted[i];
    }
    for (size_t i = 0; i < r->n * r->width; i++)
        if (!(fabs(r->features[i]) <= LARGEST)) return mr_fail(err, MR_E_CORRUPT, "a kept row holds what no row may hold");
    if (r->n < due || *fitted == 0 || s->seen > INT64_MAX || s->seen_at_fit > s->seen || s->seen_at_fit < *fitted)
        return mr_fail(err, MR_E_CORRUPT, "%zu rows are kept and %zu fitted of %llu", r->n, *fitted, (unsigned long long)s->seen);
    return MR_OK;
}

static mr_status read_rows(mr_unpack *u, mr_contexts_state *s, size_t *fitted, mr_arena *arena, mr_error *err) {
    uint64_t n, *position;
    double *features;
    MR_TRY(mr_unpack_names(u, arena, &s->names, err));
    if (s->names.count == 0 || s->names.count > MR_CONTEXTS_WIDTH)
        return mr_fail(err, MR_E_CORRUPT, "the state has %u feature columns", s->names.count);
    MR_TRY(mr_unpack_u64(u, 2 * (uint64_t)s->options.max_rows, &n, err));
    MR_TRY(mr_unpack_block(u, n, sizeof *position, arena, &position, err));
    MR_TRY(mr_unpack_doubles(u, n * s->names.count, arena, &features, err));
    MR_TRY(mr_unpack_block(u, n, 1, arena, &s->fitted, err));
    s->rows = (mr_context_rows){n, s->names.count, position, features};
    return check_rows(s, fitted, err);
}

static mr_status check_members(const mr_hdbscan *m, mr_arena *arena, mr_error *err) {
    uint8_t *seen = mr_arena_alloc(arena, m->clusters + 1, 1);
    if (!seen) return mr_fail(err, MR_E_MEMORY, "no memory for %zu clusters", m->clusters);
    for (size_t i = 0; i < m->n; i++)
        if (m->label[i] != MR_NOISE) seen[m->label[i]] = 1;
    for (size_t c = 0; c < m->clusters; c++)
        if (!seen[c]) return mr_fail(err, MR_E_CORRUPT, "cluster %zu of the state holds no row", c);
    return MR_OK;
}

static mr_status read_fit(mr_unpack *u, size_t fitted, size_t min_samples, mr_hdbscan *m, mr_arena *arena, mr_error *err) {
    uint32_t parts;
    uint64_t k, nodes;
    MR_TRY(mr_unpack_array(u, FIT_PARTS, &parts, err));
    MR_TRY(mr_unpack_u64(u, fitted, &k, err));
    MR_TRY(mr_unpack_u64(u, 2 * (uint64_t)fitted, &nodes, err));
    if (parts != FIT_PARTS || min_samples == 0 || min_samples >= fitted)
        return mr_fail(err, MR_E_CORRUPT, "the state's fit has %u parts and %zu rows", parts, fitted);
    *m = (mr_hdbscan){.n = fitted, .clusters = k, .tree_size = nodes};
    MR_TRY(mr_unpack_doubles(u, fitted, arena, &m->core, err));
    MR_TRY(read_labels(u, arena, m, err));
    MR_TRY(check_members(m, arena, err));
    MR_TRY(mr_unpack_doubles(u, fitted, arena, &m->strength, err));
    MR_TRY(mr_unpack_f64(u, &m->tree_weight, err));
    return read_tree(u, arena, m, err);
}

mr_status mr_contexts_read_state(mr_contexts_state *s, mr_contexts *c, const mr_contexts_options *o, mr_span bytes,
                                 mr_arena *arena, mr_error *err) {
    mr_unpack u;
    size_t fitted;
    *s = (mr_contexts_state){.options = *o};
    mr_unpack_init(&u, bytes);
    MR_TRY(mr_unpack_magic(&u, state_magic, STATE_PARTS, err));
    MR_TRY(read_settings(&u, o, err));
    MR_TRY(mr_unpack_u64(&u, UINT64_MAX, &s->seed, err));
    MR_TRY(mr_unpack_u64(&u, UINT64_MAX, &s->seen, err));
    MR_TRY(mr_unpack_u64(&u, UINT64_MAX, &s->seen_at_fit, err));
    MR_TRY(read_rows(&u, s, &fitted, arena, err));
    MR_TRY(mr_contexts_of_rows(&s->rows, s->fitted, fitted, s->names, o, arena, c, err));
    return read_fit(&u, fitted, c->min_samples, &c->found, arena, err);
}
