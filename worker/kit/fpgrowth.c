#include "worker/kit/fpgrowth.h"
#include "worker/kit/scratch.h"
#include "worker/kit/sort32.h"

#include <stdlib.h>
#include <string.h>

enum { ROOT = UINT32_MAX, LENGTH_MAX = 64, TICK_NODES = 1 << 14 };

/* A trie: nodes grouped by item, the items in descending order of frequency, so a node's parent always stands
 * before it. */
typedef struct trie {
    uint32_t items, nodes;
    uint32_t *name;                         /* of item i: its number for the caller */
    uint32_t *start;                        /* of the nodes of item i; items + 1 entries */
    uint32_t *item, *parent, *count, *hits; /* of a node */
    uint32_t *support, *marked;             /* of an item: the sums over its nodes */
} trie;

typedef struct miner {
    uint32_t least, longest, work;
    const mr_ticker *tick;
    mr_scratch scratch;
    mr_patterns *out;
    mr_error *err;
    bool *cut;
    uint32_t stack[LENGTH_MAX], depth;
} miner;

static mr_status no_memory(miner *m) { return mr_fail(m->err, MR_E_MEMORY, "no memory to mine itemsets"); }

static uint32_t *words(miner *m, size_t n) {
    uint32_t *v = mr_scratch_get(&m->scratch, n + 1, sizeof *v);
    if (v) memset(v, 0, (n + 1) * sizeof *v);
    return v;
}

static mr_status tick(miner *m, size_t work) {
    m->work += (uint32_t)work + 1;
    if (m->work < TICK_NODES) return MR_OK;
    m->work = 0;
    return mr_ticker_call(m->tick);
}

static bool alloc_trie(miner *m, trie *t, uint32_t items, uint32_t nodes) {
    *t = (trie){.items = items, .nodes = nodes};
    return (t->name = words(m, items)) && (t->start = words(m, items + (size_t)1)) &&
           (t->support = words(m, items)) && (t->marked = words(m, items)) && (t->item = words(m, nodes)) &&
           (t->parent = words(m, nodes)) && (t->count = words(m, nodes)) && (t->hits = words(m, nodes));
}

/* ---- the first trie ---- */

typedef struct row {
    const uint32_t *item; /* ranks, ascending */
    uint32_t n;
    bool marked;
} row;

static int by_items(const void *x, const void *y) {
    const row *a = x, *b = y;
    for (uint32_t i = 0; i < a->n && i < b->n; i++)
        if (a->item[i] != b->item[i]) return a->item[i] < b->item[i] ? -1 : 1;
    return (a->n > b->n) - (a->n < b->n);
}

typedef struct frequency {
    uint32_t item, count;
} frequency;

static int most_frequent_first(const void *x, const void *y) {
    const frequency *a = x, *b = y;
    if (a->count != b->count) return a->count > b->count ? -1 : 1;
    return (a->item > b->item) - (a->item < b->item);
}

/* rank[item] is the place of a frequent item by frequency, or ROOT; names[rank] the item. */
static mr_status rank_items(miner *m, const mr_itemsets *in, uint32_t **rank, uint32_t **names,
                            uint32_t *frequent) {
    frequency *f = mr_scratch_get(&m->scratch, in->items + (size_t)1, sizeof *f);
    *rank = words(m, in->items);
    *names = words(m, in->items);
    if (!f || !*rank || !*names) return no_memory(m);
    for (uint32_t i = 0; i < in->items; i++) {
        f[i] = (frequency){i, 0};
        (*rank)[i] = ROOT;
    }
    for (uint32_t k = 0; in->rows && k < in->end[in->rows - 1]; k++) f[in->item[k]].count++;
    qsort(f, in->items, sizeof *f, most_frequent_first);
    for (*frequent = 0; *frequent < in->items && f[*frequent].count >= m->least; ++*frequent) {
        (*rank)[f[*frequent].item] = *frequent;
        (*names)[*frequent] = f[*frequent].item;
    }
    return MR_OK;
}

/* The rows as sorted ranks of their frequent items, themselves in lexicographic order. */
static mr_status ranked_rows(miner *m, const mr_itemsets *in, const uint32_t *rank, row **out) {
    uint32_t all = in->rows ? in->end[in->rows - 1] : 0, at = 0;
    uint32_t *item = words(m, all);
    row *rows = mr_scratch_get(&m->scratch, in->rows + (size_t)1, sizeof *rows);
    if (!item || !rows) return no_memory(m);
    for (uint32_t i = 0, k = 0; i < in->rows; i++) {
        uint32_t start = at;
        for (; k < in->end[i]; k++)
            if (rank[in->item[k]] != ROOT) item[at++] = rank[in->item[k]];
        mr_sort32(item + start, at - start);
        rows[i] = (row){item + start, at - start, in->marked && in->marked[i]};
        MR_TRY(tick(m, at - start));
    }
    qsort(rows, in->rows, sizeof *rows, by_items);
    *out = rows;
    return MR_OK;
}

static uint32_t shared(const row *a, const row *b) {
    uint32_t n = 0;
    while (n < a->n && n < b->n && a->item[n] == b->item[n]) n++;
    return n;
}

/* Counts the nodes of each item: start[item + 1]. */
static uint32_t count_nodes(const row *rows, uint32_t n, uint32_t *start) {
    uint32_t nodes = 0;
    for (uint32_t i = 0; i < n; i++)
        for (uint32_t k = i ? shared(&rows[i - 1], &rows[i]) : 0; k < rows[i].n; k++, nodes++)
            start[rows[i].item[k] + 1]++;
    return nodes;
}

/* Neighbours in lexicographic order share their path, so one path of open nodes is enough. */
static mr_status fill_trie(miner *m, const row *rows, uint32_t n, trie *t) {
    uint32_t *next = words(m, t->items), *path = words(m, t->items);
    if (!next || !path) return no_memory(m);
    memcpy(next, t->start, t->items * sizeof *next);
    for (uint32_t i = 0; i < n; i++) {
        uint32_t common = i ? shared(&rows[i - 1], &rows[i]) : 0;
        for (uint32_t k = 0; k < rows[i].n; k++) {
            uint32_t item = rows[i].item[k];
            if (k >= common) {
                path[k] = next[item]++;
                t->item[path[k]] = item;
                t->parent[path[k]] = k ? path[k - 1] : ROOT;
            }
            t->count[path[k]]++;
            t->hits[path[k]] += rows[i].marked;
            t->support[item]++;
            t->marked[item] += rows[i].marked;
        }
    }
    return MR_OK;
}

static mr_status first_trie(miner *m, const mr_itemsets *in, trie *t) {
    uint32_t *rank, *names, frequent;
    row *rows;
    MR_TRY(rank_items(m, in, &rank, &names, &frequent));
    MR_TRY(ranked_rows(m, in, rank, &rows));
    uint32_t *start = words(m, frequent + (size_t)1);
    if (!start) return no_memory(m);
    uint32_t nodes = count_nodes(rows, in->rows, start);
    for (uint32_t i = 0; i < frequent; i++) start[i + 1] += start[i];
    if (!alloc_trie(m, t, frequent, nodes)) return no_memory(m);
    t->name = names;
    t->start = start;
    return fill_trie(m, rows, in->rows, t);
}

/* ---- projection ---- */

/* What lies above the nodes of one item of a trie. */
typedef struct above {
    uint32_t *count, *hits; /* of the trie's nodes: rows that go on to the item; all 0 between projections */
    uint32_t *touched, nodes;
    uint32_t *support, *marked, *held; /* of the trie's items; `held`: nodes touched */
    uint32_t *place;                   /* of a node in the projected trie */
} above;

static bool alloc_above(miner *m, const trie *t, above *a) {
    return (a->count = words(m, t->nodes)) && (a->hits = words(m, t->nodes)) &&
           (a->touched = words(m, t->nodes)) && (a->place = words(m, t->nodes)) &&
           (a->support = words(m, t->items)) && (a->marked = words(m, t->items)) &&
           (a->held = words(m, t->items));
}

static void look_above(const trie *t, uint32_t item, above *a) {
    memset(a->support, 0, item * sizeof *a->support);
    memset(a->marked, 0, item * sizeof *a->marked);
    memset(a->held, 0, item * sizeof *a->held);
    a->nodes = 0;
    for (uint32_t n = t->start[item]; n < t->start[item + 1]; n++)
        for (uint32_t p = t->parent[n]; p != ROOT; p = t->parent[p]) {
            if (!a->count[p]) {
                a->touched[a->nodes++] = p;
                a->held[t->item[p]]++;
            }
            a->count[p] += t->count[n];
            a->hits[p] += t->hits[n];
            a->support[t->item[p]] += t->count[n];
            a->marked[t->item[p]] += t->hits[n];
        }
}

static void forget(above *a) {
    for (uint32_t i = 0; i < a->nodes; i++) a->count[a->touched[i]] = a->hits[a->touched[i]] = 0;
}

/* The nearest node above `n` whose item stays frequent. */
static uint32_t kept_parent(const miner *m, const trie *t, const above *a, uint32_t n) {
    uint32_t p = t->parent[n];
    while (p != ROOT && a->support[t->item[p]] < m->least) p = t->parent[p];
    return p;
}

/* The trie of the rows that hold `item`, without it and what is rarer; items == 0 when nothing is left. */
static mr_status project(miner *m, const trie *t, uint32_t item, above *a, trie *out) {
    uint32_t items = 0, nodes = 0;
    for (uint32_t i = 0; i < item; i++) {
        if (a->support[i] < m->least) continue;
        items++;
        nodes += a->held[i];
    }
    if (!alloc_trie(m, out, items, nodes)) return no_memory(m);
    uint32_t *number = words(m, item), *next = words(m, items);
    if (!number || !next) return no_memory(m);
    for (uint32_t i = 0, k = 0; i < item; i++) {
        if (a->support[i] < m->least) continue;
        out->name[k] = t->name[i];
        out->support[k] = a->support[i];
        out->marked[k] = a->marked[i];
        out->start[k + 1] = out->start[k] + a->held[i];
        next[k] = out->start[k];
        number[i] = k++;
    }
    for (uint32_t i = 0; i < a->nodes; i++) {
        uint32_t n = a->touched[i];
        if (a->support[t->item[n]] < m->least) continue;
        uint32_t k = a->place[n] = next[number[t->item[n]]]++;
        out->item[k] = number[t->item[n]];
        out->count[k] = a->count[n];
        out->hits[k] = a->hits[n];
    }
    for (uint32_t i = 0; i < a->nodes; i++) {
        uint32_t n = a->touched[i];
        if (a->support[t->item[n]] < m->least) continue;
        uint32_t p = kept_parent(m, t, a, n);
        out->parent[a->place[n]] = p == ROOT ? ROOT : a->place[p];
    }
    return MR_OK;
}

static mr_status report(miner *m, const trie *t, uint32_t item) {
    uint32_t sorted[LENGTH_MAX];
    m->stack[m->depth++] = t->name[item];
    memcpy(sorted, m->stack, m->depth * sizeof *sorted);
    mr_sort32(sorted, m->depth);
    return mr_patterns_add(m->out, sorted, m->depth, t->support[item], t->marked[item], m->err);
}

static mr_status mine(miner *m, const trie *t);

static mr_status grow(miner *m, const trie *t, uint32_t item, above *a) {
    mr_scratch_mark mark = mr_scratch_here(&m->scratch);
    trie next;
    look_above(t, item, a);
    MR_TRY(tick(m, a->nodes));
    mr_status status = project(m, t, item, a, &next);
    forget(a);
    if (status == MR_OK && next.items) status = mine(m, &next);
    mr_scratch_back(&m->scratch, mark);
    return status;
}

/* Is there a longer itemset above this one, which is as long as asked for? */
static mr_status look_for_cut(miner *m, const trie *t, uint32_t item, above *a) {
    look_above(t, item, a);
    for (uint32_t i = 0; i < item; i++) *m->cut |= a->support[i] >= m->least;
    forget(a);
    return tick(m, a->nodes);
}

static mr_status mine(miner *m, const trie *t) {
    above a = {0};
    bool last = m->depth + 1 == m->longest;
    if (!(last && *m->cut) && !alloc_above(m, t, &a)) return no_memory(m);
    for (uint32_t i = 0; i < t->items; i++) {
        MR_TRY(report(m, t, i));
        if (!last && i > 0) MR_TRY(grow(m, t, i, &a));
        if (last && !*m->cut) MR_TRY(look_for_cut(m, t, i, &a));
        m->depth--;
    }
    return MR_OK;
}

mr_status mr_fpgrowth(const mr_itemsets *rows, uint32_t least, uint32_t longest, const mr_ticker *ticker,
                      mr_patterns *out, bool *cut, mr_error *err) {
    MR_ASSERT(least > 0 && longest > 0);
    miner m = {.least = least,
               .longest = longest < LENGTH_MAX ? longest : LENGTH_MAX,
               .tick = ticker,
               .out = out,
               .err = err,
               .cut = cut};
    trie t;
    *cut = false;
    mr_scratch_init(&m.scratch, out->arena);
    MR_TRY(mr_ticker_call(ticker));
    MR_TRY(first_trie(&m, rows, &t));
    return mine(&m, &t);
}
