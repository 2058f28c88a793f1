#include "worker/kit/gspan.h"
#include "common/hash.h"

#include <stdlib.h>
#include <string.h>

enum { VERTICES_MAX = MR_CODE_EDGES + 1, TICK_STEPS = 1 << 14, NOT_HERE = 0 };

/* ---- codes ---- */

typedef struct code_edge {
    uint32_t i, j, li, le, lj;
} code_edge;

/* A code, and what is needed to extend it. */
typedef struct code {
    code_edge edge[MR_CODE_EDGES];
    uint32_t edges, vertices;
    uint32_t label[VERTICES_MAX];
    uint64_t linked[VERTICES_MAX];    /* bit j of linked[i]: i and j are joined */
    uint32_t path[VERTICES_MAX], far; /* the rightmost path from the root; its last vertex is path[far] */
    uint64_t on_path;
} code;

static int compare(uint32_t a, uint32_t b) { return (a > b) - (a < b); }

static bool forward(const code_edge *e) { return e->i < e->j; }

/* The order of two extensions of one code (Yan and Han 2002, definition 4): backward ones first, by their
 * end; then forward ones, the deepest start first; then by labels. */
static int by_code(const code_edge *a, const code_edge *b) {
    if (forward(a) != forward(b)) return forward(a) ? 1 : -1;
    int c = forward(a) ? compare(b->i, a->i) : compare(a->j, b->j);
    if (!c) c = compare(a->li, b->li);
    if (!c) c = compare(a->le, b->le);
    return c ? c : compare(a->lj, b->lj);
}

static void find_path(code *c) {
    uint32_t back[VERTICES_MAX], at = c->vertices - 1;
    uint32_t parent[VERTICES_MAX] = {0};
    for (uint32_t k = 0; k < c->edges; k++)
        if (forward(&c->edge[k])) parent[c->edge[k].j] = c->edge[k].i;
    c->far = 0;
    for (; at > 0; at = parent[at]) back[c->far++] = at;
    c->path[0] = 0;
    c->on_path = 1;
    for (uint32_t k = 0; k < c->far; k++) {
        c->path[c->far - k] = back[k];
        c->on_path |= (uint64_t)1 << back[k];
    }
}

static void push_edge(code *c, code_edge e) {
    c->edge[c->edges++] = e;
    c->label[e.i] = e.li;
    c->label[e.j] = e.lj;
    c->linked[e.i] |= (uint64_t)1 << e.j;
    c->linked[e.j] |= (uint64_t)1 << e.i;
    if (e.j >= c->vertices) c->vertices = e.j + 1;
    find_path(c);
}

static void pop_edge(code *c) {
    code_edge e = c->edge[--c->edges];
    c->linked[e.i] &= ~((uint64_t)1 << e.j);
    c->linked[e.j] &= ~((uint64_t)1 << e.i);
    if (forward(&e)) c->vertices = e.j;
    if (c->edges) find_path(c);
    if (!c->edges) c->vertices = 0;
}

/* ---- graphs as neighbour lists; the same form for the data and for one pattern ---- */

typedef struct view {
    const uint32_t *label; /* of a vertex */
    uint32_t *start, *to, *edge_label;
    uint8_t
        *mark; /* of a vertex: its number in the code + 1 while an embedding is looked at, else NOT_HERE */
    uint32_t vertices;
} view;

static bool alloc_view(mr_arena *arena, uint32_t vertices, uint32_t edges, view *v) {
    v->vertices = vertices;
    return (v->start = mr_arena_alloc(arena, vertices + (size_t)2, sizeof *v->start)) &&
           (v->to = mr_arena_alloc(arena, 2 * (size_t)edges + 1, sizeof *v->to)) &&
           (v->edge_label = mr_arena_alloc(arena, 2 * (size_t)edges + 1, sizeof *v->edge_label)) &&
           (v->mark = mr_arena_alloc(arena, vertices + (size_t)1, 1));
}

/* `start` must be all 0. */
static void fill_view(view *v, uint32_t edges, const uint32_t *from, const uint32_t *to,
                      const uint32_t *label) {
    for (uint32_t k = 0; k < edges; k++) {
        v->start[from[k] + 2]++;
        v->start[to[k] + 2]++;
    }
    for (uint32_t i = 2; i <= v->vertices + 1; i++) v->start[i] += v->start[i - 1];
    for (uint32_t k = 0; k < edges; k++) {
        uint32_t a = v->start[from[k] + 1]++, b = v->start[to[k] + 1]++;
        v->to[a] = to[k];
        v->to[b] = from[k];
        v->edge_label[a] = v->edge_label[b] = label[k];
    }
}

/* An extension of an embedding: the code's next edge, and the vertex that it reaches. */
typedef mr_status (*extend)(void *self, const code_edge *e, uint32_t vertex);

/* Every extension of the embedding `map` (code number to vertex) from the rightmost path, whose marks are
 * set. A vertex with a label below the root's never belongs to a minimal code. */
static mr_status extensions(const view *v, const code *c, const uint32_t *map, extend call, void *self) {
    uint32_t last = c->path[c->far];
    for (uint32_t k = v->start[map[last]]; k < v->start[map[last] + 1]; k++) {
        uint32_t at = v->mark[v->to[k]], j = at - 1;
        if (at == NOT_HERE || !(c->on_path >> j & 1) || (c->linked[last] >> j & 1)) continue;
        code_edge e = {last, j, c->label[last], v->edge_label[k], c->label[j]};
        MR_TRY(call(self, &e, v->to[k]));
    }
    for (uint32_t p = 0; p <= c->far; p++) {
        uint32_t i = c->path[p];
        for (uint32_t k = v->start[map[i]]; k < v->start[map[i] + 1]; k++) {
            uint32_t w = v->to[k];
            if (v->mark[w] != NOT_HERE || v->label[w] < c->label[0]) continue;
            code_edge e = {i, c->vertices, c->label[i], v->edge_label[k], v->label[w]};
            MR_TRY(call(self, &e, w));
        }
    }
    return MR_OK;
}

/* ---- is a code minimal? Build the least code of its graph, and stop where it is less ---- */

typedef struct minimum {
    view v;
    code c;
    mr_arena *arena;
    uint32_t *maps, *next; /* embeddings of c: VERTICES_MAX numbers each */
    size_t count, next_count, cap, next_cap;
    code_edge least;
    bool any;
    uint32_t map[VERTICES_MAX]; /* the embedding that is being extended */
    uint32_t from[MR_CODE_EDGES], to[MR_CODE_EDGES], label[MR_CODE_EDGES]; /* the pattern's edges */
} minimum;

static mr_status grow_next(minimum *m) {
    size_t cap = m->next_cap ? 2 * m->next_cap : 32;
    uint32_t *next = mr_arena_alloc(m->arena, cap * VERTICES_MAX, sizeof *next);
    if (!next) return MR_E_MEMORY;
    if (m->next_count) memcpy(next, m->next, m->next_count * VERTICES_MAX * sizeof *next);
    m->next = next;
    m->next_cap = cap;
    return MR_OK;
}

/* Keeps the extended embedding when no smaller extension was met, and drops those it is smaller than. */
static mr_status offer(void *self, const code_edge *e, uint32_t vertex) {
    minimum *m = self;
    int order = m->any ? by_code(e, &m->least) : -1;
    if (order > 0) return MR_OK;
    if (order < 0) {
        m->least = *e;
        m->any = true;
        m->next_count = 0;
    }
    if (m->next_count == m->next_cap) MR_TRY(grow_next(m));
    uint32_t *to = m->next + m->next_count++ * VERTICES_MAX;
    memcpy(to, m->map, sizeof m->map);
    if (forward(e)) to[e->j] = vertex;
    return MR_OK;
}

/* The first edges: both directions of every edge of the pattern. */
static mr_status offer_first(minimum *m) {
    for (uint32_t u = 0; u < m->v.vertices; u++)
        for (uint32_t k = m->v.start[u]; k < m->v.start[u + 1]; k++) {
            code_edge e = {0, 1, m->v.label[u], m->v.edge_label[k], m->v.label[m->v.to[k]]};
            m->map[0] = u;
            MR_TRY(offer(m, &e, m->v.to[k]));
        }
    return MR_OK;
}

static mr_status offer_next(minimum *m) {
    for (size_t i = 0; i < m->count; i++) {
        memcpy(m->map, m->maps + i * VERTICES_MAX, sizeof m->map);
        for (uint32_t k = 0; k < m->c.vertices; k++) m->v.mark[m->map[k]] = (uint8_t)(k + 1);
        MR_TRY(extensions(&m->v, &m->c, m->map, offer, m));
        memset(m->v.mark, NOT_HERE, m->v.vertices);
    }
    return MR_OK;
}

/* Finds the least next edge; the embeddings that reach it become the embeddings. */
static mr_status step(minimum *m) {
    m->any = false;
    m->next_count = 0;
    MR_TRY(m->c.edges ? offer_next(m) : offer_first(m));
    uint32_t *maps = m->maps;
    size_t cap = m->cap;
    m->maps = m->next;
    m->cap = m->next_cap;
    m->count = m->next_count;
    m->next = maps;
    m->next_cap = cap;
    m->next_count = 0;
    push_edge(&m->c, m->least);
    return MR_OK;
}

static void view_code(minimum *m, const code *c) {
    for (uint32_t k = 0; k < c->edges; k++) {
        m->from[k] = c->edge[k].i;
        m->to[k] = c->edge[k].j;
        m->label[k] = c->edge[k].le;
    }
    memset(m->v.start, 0, (VERTICES_MAX + 2) * sizeof *m->v.start);
    m->v.vertices = c->vertices;
    m->v.label = c->label;
    fill_view(&m->v, c->edges, m->from, m->to, m->label);
}

static mr_status is_minimal(minimum *m, const code *c, bool *minimal) {
    view_code(m, c);
    m->c = (code){.edges = 0};
    m->count = m->next_count = 0;
    *minimal = true;
    while (*minimal && m->c.edges < c->edges) {
        MR_TRY(step(m));
        *minimal = by_code(&m->least, &c->edge[m->c.edges - 1]) == 0;
    }
    return MR_OK;
}

/* ---- the search ---- */

/* An embedding of a code: the embedding of the code without its last edge, by its place on the level below,
 * and the vertex that the last edge reaches. On the first level `before` is the vertex that the edge leaves.
 */
typedef struct record {
    uint32_t vertex, before;
} record;

/* One extension of a code, and its embeddings. */
typedef struct extension {
    code_edge e;
    uint32_t support, last; /* graphs; the last one that counted + 1 */
    uint32_t size, start;
} extension;

/* The frequent extensions of the code below, in the order of by_code, with their embeddings. */
typedef struct level {
    record *items;
    extension *extensions;
    uint32_t count;
    size_t cap, extension_cap;
} level;

/* Where extensions are gathered before the frequent ones go to their level. */
typedef struct gathering {
    record *items;
    uint32_t *of; /* the extension of each */
    size_t count, cap;
    extension *extensions;
    uint32_t *slot; /* open addressing: extension + 1, or 0 */
    uint32_t kinds, slots;
} gathering;

typedef struct miner {
    view v;
    const uint32_t *graph; /* of a vertex */
    code c;
    minimum m;
    gathering g;
    level levels[MR_CODE_EDGES + 2];
    uint32_t before; /* the place of the embedding that is being extended */
    uint32_t least, longest, work;
    const mr_ticker *tick;
    mr_patterns *out;
    mr_error *err;
    bool *cut;
} miner;

static mr_status no_memory(miner *s) { return mr_fail(s->err, MR_E_MEMORY, "no memory to mine subgraphs"); }

/* An array of at least `n`, at least twice as large as before; *cap is its size. */
static void *larger(miner *s, size_t *cap, size_t n, size_t size) {
    *cap = 2 * *cap > n ? 2 * *cap : n;
    return *cap > UINT32_MAX ? NULL : mr_arena_alloc(s->out->arena, *cap, size);
}

static uint32_t slot_of(const gathering *g, const code_edge *e) {
    mr_span bytes = {(const uint8_t *)e, sizeof *e};
    uint32_t at = (uint32_t)mr_xxh64(bytes, 0) & (g->slots - 1);
    while (g->slot[at] && memcmp(&g->extensions[g->slot[at] - 1].e, e, sizeof *e) != 0)
        at = (at + 1) & (g->slots - 1);
    return at;
}

static bool grow_kinds(miner *s) {
    gathering *g = &s->g;
    size_t slots = g->slots ? 2 * (size_t)g->slots : 256;
    uint32_t *slot = slots > UINT32_MAX ? NULL : mr_arena_alloc(s->out->arena, slots, sizeof *slot);
    extension *extensions = mr_arena_alloc(s->out->arena, slots / 2, sizeof *extensions);
    if (!slot || !extensions) return false;
    if (g->kinds) memcpy(extensions, g->extensions, g->kinds * sizeof *extensions);
    g->slot = slot;
    g->slots = (uint32_t)slots;
    g->extensions = extensions;
    for (uint32_t i = 0; i < g->kinds; i++) slot[slot_of(g, &extensions[i].e)] = i + 1;
    return true;
}

static bool grow_items(miner *s) {
    gathering *g = &s->g;
    size_t cap = g->cap, same = g->cap;
    record *items = larger(s, &cap, 1024, sizeof *items);
    uint32_t *of = larger(s, &same, 1024, sizeof *of);
    if (!items || !of) return false;
    if (g->count) memcpy(items, g->items, g->count * sizeof *items);
    if (g->count) memcpy(of, g->of, g->count * sizeof *of);
    g->items = items;
    g->of = of;
    g->cap = cap;
    return true;
}

static mr_status gather(miner *s, const code_edge *e, uint32_t vertex, uint32_t before) {
    gathering *g = &s->g;
    if (g->kinds == g->slots / 2 && !grow_kinds(s)) return no_memory(s);
    if (g->count == g->cap && !grow_items(s)) return no_memory(s);
    uint32_t at = slot_of(g, e);
    if (!g->slot[at]) {
        g->extensions[g->kinds] = (extension){.e = *e};
        g->slot[at] = ++g->kinds;
    }
    uint32_t kind = g->slot[at] - 1;
    extension *x = &g->extensions[kind];
    x->support += x->last != s->graph[vertex] + 1;
    x->last = s->graph[vertex] + 1;
    x->size++;
    g->items[g->count] = (record){vertex, before};
    g->of[g->count++] = kind;
    return MR_OK;
}

static mr_status found(void *self, const code_edge *e, uint32_t vertex) {
    miner *s = self;
    return gather(s, e, vertex, s->before);
}

static void start_gathering(gathering *g) {
    g->count = g->kinds = 0;
    if (g->slots) memset(g->slot, 0, g->slots * sizeof *g->slot);
}

static int by_edge(const void *x, const void *y) {
    return by_code(&((const extension *)x)->e, &((const extension *)y)->e);
}

/* The frequent extensions in order, with room for their embeddings. */
static mr_status make_level(miner *s, level *l) {
    gathering *g = &s->g;
    uint64_t total = 0;
    if (l->extension_cap < g->kinds)
        l->extensions = larger(s, &l->extension_cap, g->kinds, sizeof *l->extensions);
    if (g->kinds && !l->extensions) return no_memory(s);
    l->count = 0;
    for (uint32_t i = 0; i < g->kinds; i++)
        if (g->extensions[i].support >= s->least) l->extensions[l->count++] = g->extensions[i];
    if (l->count) qsort(l->extensions, l->count, sizeof *l->extensions, by_edge);
    for (uint32_t i = 0; i < l->count; i++) {
        l->extensions[i].start = (uint32_t)total;
        total += l->extensions[i].size;
    }
    if (l->cap < total) l->items = larger(s, &l->cap, (size_t)total, sizeof *l->items);
    return total && !l->items ? no_memory(s) : MR_OK;
}

/* Moves the gathered embeddings to the level; those of an extension stay in the order they came in. */
static mr_status settle(miner *s, level *l) {
    gathering *g = &s->g;
    MR_TRY(make_level(s, l));
    for (uint32_t i = 0; i < g->kinds; i++) g->extensions[i].start = UINT32_MAX;
    for (uint32_t i = 0; i < l->count; i++)
        g->extensions[g->slot[slot_of(g, &l->extensions[i].e)] - 1].start = l->extensions[i].start;
    for (size_t k = 0; k < g->count; k++) {
        extension *x = &g->extensions[g->of[k]];
        if (x->start != UINT32_MAX) l->items[x->start++] = g->items[k];
    }
    return MR_OK;
}

/* map[number in the code] = vertex, for embedding `at` of the code. */
static void make_map(const miner *s, size_t at, uint32_t *map) {
    for (uint32_t k = s->c.edges; k > 0; k--) {
        const record *r = &s->levels[k].items[at];
        if (forward(&s->c.edge[k - 1])) map[s->c.edge[k - 1].j] = r->vertex;
        if (k == 1) map[0] = r->before;
        at = r->before;
    }
}

/* All extensions of the code's embeddings, to the level above. */
static mr_status extend_all(miner *s, const extension *x) {
    uint32_t map[VERTICES_MAX];
    start_gathering(&s->g);
    for (uint32_t i = x->start; i < x->start + x->size; i++) {
        if (++s->work % TICK_STEPS == 0) MR_TRY(mr_ticker_call(s->tick));
        make_map(s, i, map);
        for (uint32_t k = 0; k < s->c.vertices; k++) s->v.mark[map[k]] = (uint8_t)(k + 1);
        s->before = i;
        mr_status status = extensions(&s->v, &s->c, map, found, s);
        for (uint32_t k = 0; k < s->c.vertices; k++) s->v.mark[map[k]] = NOT_HERE;
        MR_TRY(status);
    }
    return settle(s, &s->levels[s->c.edges + 1]);
}

static mr_status report(miner *s, uint32_t support) {
    uint32_t word[MR_CODE_EDGES * MR_CODE_WORDS];
    for (uint32_t k = 0; k < s->c.edges; k++) {
        const code_edge *e = &s->c.edge[k];
        uint32_t one[MR_CODE_WORDS] = {e->i, e->j, e->li, e->le, e->lj};
        memcpy(word + k * MR_CODE_WORDS, one, sizeof one);
    }
    return mr_patterns_add(s->out, word, s->c.edges * (size_t)MR_CODE_WORDS, support, 0, s->err);
}

/* Every frequent extension on the level above the code; the code is minimal. At full length only whether
 * there is one is of interest. */
static mr_status grow(miner *s) {
    const level *l = &s->levels[s->c.edges + 1];
    if (s->c.edges == s->longest) {
        *s->cut |= l->count > 0;
        return MR_OK;
    }
    for (uint32_t i = 0; i < l->count; i++) {
        bool minimal;
        push_edge(&s->c, l->extensions[i].e);
        if (is_minimal(&s->m, &s->c, &minimal) != MR_OK) return no_memory(s);
        if (minimal) {
            MR_TRY(report(s, l->extensions[i].support));
            if (s->c.edges < s->longest || !*s->cut) {
                MR_TRY(extend_all(s, &l->extensions[i]));
                MR_TRY(grow(s));
            }
        }
        pop_edge(&s->c);
    }
    return MR_OK;
}

static mr_status first_edges(miner *s, const mr_graphs *in) {
    start_gathering(&s->g);
    for (uint32_t k = 0; in->count && k < in->edge_end[in->count - 1]; k++) {
        if (k % TICK_STEPS == 0) MR_TRY(mr_ticker_call(s->tick));
        for (int turn = 0; turn < 2; turn++) {
            uint32_t a = turn ? in->to[k] : in->from[k], b = turn ? in->from[k] : in->to[k];
            code_edge e = {0, 1, in->vertex_label[a], in->edge_label[k], in->vertex_label[b]};
            if (e.li <= e.lj) MR_TRY(gather(s, &e, b, a));
        }
    }
    return settle(s, &s->levels[1]);
}

/* Which graph each vertex belongs to. */
static mr_status number_graphs(miner *s, const mr_graphs *in) {
    uint32_t vertices = in->count ? in->vertex_end[in->count - 1] : 0;
    uint32_t *graph = mr_arena_alloc(s->out->arena, vertices + (size_t)1, sizeof *graph);
    if (!graph) return no_memory(s);
    for (uint32_t g = 0, v = 0; g < in->count; g++)
        for (; v < in->vertex_end[g]; v++) graph[v] = g;
    s->graph = graph;
    return MR_OK;
}

mr_status mr_gspan(const mr_graphs *in, uint32_t least, uint32_t longest, const mr_ticker *ticker,
                   mr_patterns *out, bool *cut, mr_error *err) {
    MR_ASSERT(least > 0 && longest > 0);
    mr_arena *arena = out->arena;
    *cut = false;
    miner *s = mr_arena_alloc(arena, 1, sizeof *s);
    if (!s) return mr_fail(err, MR_E_MEMORY, "no memory to mine subgraphs");
    *s = (miner){.least = least,
                 .longest = longest < MR_CODE_EDGES ? longest : MR_CODE_EDGES,
                 .tick = ticker,
                 .out = out,
                 .err = err,
                 .cut = cut,
                 .m = {.arena = arena}};
    uint32_t vertices = in->count ? in->vertex_end[in->count - 1] : 0;
    uint32_t edges = in->count ? in->edge_end[in->count - 1] : 0;
    if (!alloc_view(arena, vertices, edges, &s->v) ||
        !alloc_view(arena, VERTICES_MAX, MR_CODE_EDGES, &s->m.v))
        return no_memory(s);
    s->v.label = in->vertex_label;
    fill_view(&s->v, edges, in->from, in->to, in->edge_label);
    MR_TRY(number_graphs(s, in));
    MR_TRY(first_edges(s, in));
    return grow(s);
}
