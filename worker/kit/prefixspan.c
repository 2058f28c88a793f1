#include "worker/kit/prefixspan.h"
#include "worker/kit/scratch.h"
#include "worker/kit/sort32.h"

enum { LENGTH_MAX = 64, TICK_PLACES = 1 << 14 };

/* Where the last element of a pattern can lie when the elements before it lie as early as possible. */
typedef struct place {
    uint32_t sequence, element;
} place;

typedef struct candidate {
    uint32_t item, support;
    place *at;
    uint32_t count;
} candidate;

/* What a pattern can be extended by, for each kind of extension: a new element, or the last one. */
typedef struct tally {
    uint32_t *support, *places; /* of an item: sequences, places */
    uint64_t *stamp;            /* the last sequence that counted */
    uint32_t *slot;             /* candidate + 1 while places are filled in, else 0 */
    candidate *candidates;
    uint32_t *seen, count; /* items that were met */
} tally;

typedef struct miner {
    const mr_sequences *in;
    uint32_t least, longest, work;
    uint64_t stamp;
    tally tallies[2]; /* [1]: opens a new element */
    const mr_ticker *tick;
    mr_scratch scratch;
    mr_patterns *out;
    mr_error *err;
    bool *cut;
    uint32_t stack[LENGTH_MAX], depth;
} miner;

static mr_status no_memory(miner *m) { return mr_fail(m->err, MR_E_MEMORY, "no memory to mine sequences"); }

static mr_status tick(miner *m, uint32_t work) {
    m->work += work + 1;
    if (m->work < TICK_PLACES) return MR_OK;
    m->work = 0;
    return mr_ticker_call(m->tick);
}

static uint32_t start(const uint32_t *end, uint32_t i) { return i ? end[i - 1] : 0; }

/* ---- the two walks over what a pattern's places can be extended by: one counts, one fills ---- */

typedef void (*visit)(miner *, tally *, uint32_t item, place);

static void count(miner *m, tally *t, uint32_t item, place p) {
    (void)p;
    if (!t->places[item]++) t->seen[t->count++] = item;
    if (t->stamp[item] == m->stamp) return;
    t->stamp[item] = m->stamp;
    t->support[item]++;
}

static void fill(miner *m, tally *t, uint32_t item, place p) {
    (void)m;
    if (!t->slot[item]) return;
    candidate *c = &t->candidates[t->slot[item] - 1];
    c->at[c->count++] = p;
}

static void walk_element(miner *m, tally *t, uint32_t element, uint32_t sequence, uint32_t above, visit see) {
    const mr_sequences *in = m->in;
    for (uint32_t k = start(in->element_end, element); k < in->element_end[element]; k++)
        if (above == UINT32_MAX || in->item[k] > above) see(m, t, in->item[k], (place){sequence, element});
}

/* `last` is the pattern's last item; UINT32_MAX before the first. */
static mr_status walk(miner *m, const place *at, uint32_t n, uint32_t last, visit see) {
    for (uint32_t i = 0; i < n;) {
        uint32_t s = at[i].sequence, from = i;
        m->stamp++;
        for (; i < n && at[i].sequence == s; i++)
            if (last != UINT32_MAX) walk_element(m, &m->tallies[0], at[i].element, s, last, see);
        uint32_t e = at[from].element + (last != UINT32_MAX);
        MR_TRY(tick(m, m->in->end[s] - e));
        for (; e < m->in->end[s]; e++) walk_element(m, &m->tallies[1], e, s, UINT32_MAX, see);
    }
    return MR_OK;
}

/* ---- growing ---- */

/* Keeps the frequent items that were met as candidates with room for their places, and clears the tally. */
static mr_status choose(miner *m, tally *t, uint32_t *chosen) {
    *chosen = 0;
    mr_sort32(t->seen, t->count);
    t->candidates = mr_scratch_get(&m->scratch, t->count + (size_t)1, sizeof *t->candidates);
    bool ok = t->candidates;
    for (uint32_t i = 0; i < t->count; i++) {
        uint32_t item = t->seen[i];
        if (ok && t->support[item] >= m->least) {
            place *at = mr_scratch_get(&m->scratch, t->places[item], sizeof *at);
            ok = at;
            t->candidates[*chosen] = (candidate){item, t->support[item], at, 0};
            t->slot[item] = ++*chosen;
        }
        t->support[item] = t->places[item] = 0;
    }
    t->count = 0;
    return ok ? MR_OK : no_memory(m);
}

static mr_status grow(miner *m, const place *at, uint32_t n, uint32_t last);

static mr_status follow(miner *m, const candidate *c, uint32_t n, bool opens) {
    for (uint32_t i = 0; i < n; i++) {
        m->stack[m->depth++] = mr_sequence_word(c[i].item, opens);
        MR_TRY(mr_patterns_add(m->out, m->stack, m->depth, c[i].support, 0, m->err));
        MR_TRY(grow(m, c[i].at, c[i].count, c[i].item));
        m->depth--;
    }
    return MR_OK;
}

/* At full length only whether it could go on is of interest. */
static mr_status look_for_cut(miner *m, const place *at, uint32_t n, uint32_t last) {
    if (*m->cut) return MR_OK;
    MR_TRY(walk(m, at, n, last, count));
    for (int kind = 0; kind < 2; kind++) {
        tally *t = &m->tallies[kind];
        for (; t->count > 0; t->count--) {
            uint32_t item = t->seen[t->count - 1];
            *m->cut |= t->support[item] >= m->least;
            t->support[item] = t->places[item] = 0;
        }
    }
    return MR_OK;
}

static mr_status grow(miner *m, const place *at, uint32_t n, uint32_t last) {
    if (m->depth == m->longest) return look_for_cut(m, at, n, last);
    mr_scratch_mark mark = mr_scratch_here(&m->scratch);
    candidate *candidates[2];
    uint32_t chosen[2];
    MR_TRY(walk(m, at, n, last, count));
    for (int kind = 0; kind < 2; kind++) {
        MR_TRY(choose(m, &m->tallies[kind], &chosen[kind]));
        candidates[kind] = m->tallies[kind].candidates;
    }
    if (chosen[0] || chosen[1]) MR_TRY(walk(m, at, n, last, fill));
    for (int kind = 0; kind < 2; kind++)
        for (uint32_t i = 0; i < chosen[kind]; i++) m->tallies[kind].slot[candidates[kind][i].item] = 0;
    for (int kind = 0; kind < 2; kind++) MR_TRY(follow(m, candidates[kind], chosen[kind], kind == 1));
    mr_scratch_back(&m->scratch, mark);
    return MR_OK;
}

static bool alloc_tally(mr_arena *arena, uint32_t items, tally *t) {
    size_t n = items + (size_t)1;
    return (t->support = mr_arena_alloc(arena, n, sizeof *t->support)) &&
           (t->places = mr_arena_alloc(arena, n, sizeof *t->places)) &&
           (t->stamp = mr_arena_alloc(arena, n, sizeof *t->stamp)) &&
           (t->slot = mr_arena_alloc(arena, n, sizeof *t->slot)) &&
           (t->seen = mr_arena_alloc(arena, n, sizeof *t->seen));
}

/* The sequences without the items that are too rare to be in any pattern. */
static mr_status without_rare_items(miner *m, const mr_sequences *in, mr_sequences *out) {
    uint32_t elements = in->count ? in->end[in->count - 1] : 0,
             n = elements ? in->element_end[elements - 1] : 0;
    uint32_t *element_end = mr_arena_alloc(m->out->arena, elements + (size_t)1, sizeof *element_end);
    uint32_t *item = mr_arena_alloc(m->out->arena, n + (size_t)1, sizeof *item);
    uint32_t *support = mr_arena_alloc(m->out->arena, in->items + (size_t)1, sizeof *support);
    uint32_t *last = mr_arena_alloc(m->out->arena, in->items + (size_t)1, sizeof *last), at = 0;
    if (!element_end || !item || !support || !last) return no_memory(m);
    for (uint32_t s = 0, k = 0; s < in->count; s++)
        for (uint32_t end = in->end[s] ? in->element_end[in->end[s] - 1] : 0; k < end; k++) {
            support[in->item[k]] += last[in->item[k]] != s + 1;
            last[in->item[k]] = s + 1;
        }
    for (uint32_t e = 0, k = 0; e < elements; e++) {
        for (; k < in->element_end[e]; k++)
            if (support[in->item[k]] >= m->least) item[at++] = in->item[k];
        element_end[e] = at;
    }
    *out = (mr_sequences){in->count, in->items, in->end, element_end, item};
    return MR_OK;
}

mr_status mr_prefixspan(const mr_sequences *in, uint32_t least, uint32_t longest, const mr_ticker *ticker,
                        mr_patterns *out, bool *cut, mr_error *err) {
    MR_ASSERT(least > 0 && longest > 0);
    mr_sequences frequent;
    miner m = {.in = &frequent,
               .least = least,
               .longest = longest < LENGTH_MAX ? longest : LENGTH_MAX,
               .tick = ticker,
               .out = out,
               .err = err,
               .cut = cut};
    *cut = false;
    mr_scratch_init(&m.scratch, out->arena);
    MR_TRY(mr_ticker_call(ticker));
    MR_TRY(without_rare_items(&m, in, &frequent));
    place *all = mr_scratch_get(&m.scratch, in->count, sizeof *all);
    if (!all || !alloc_tally(out->arena, in->items, &m.tallies[0]) ||
        !alloc_tally(out->arena, in->items, &m.tallies[1]))
        return no_memory(&m);
    uint32_t n = 0;
    for (uint32_t s = 0; s < in->count; s++)
        if (in->end[s] > start(in->end, s)) all[n++] = (place){s, start(in->end, s)};
    return grow(&m, all, n, UINT32_MAX);
}
