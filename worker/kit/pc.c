#include "worker/kit/pc.h"

#include <math.h>
#include <string.h>

mr_pc_pair *mr_pc_at(const mr_pc *g, size_t a, size_t b) {
    return &g->pair[a < b ? a * g->width + b : b * g->width + a];
}

bool mr_pc_adjacent(const mr_pc *g, size_t a, size_t b) {
    return a != b && mr_pc_at(g, a, b)->mark != MR_PC_NONE;
}

bool mr_pc_points(const mr_pc *g, size_t a, size_t b) {
    return a != b && mr_pc_at(g, a, b)->mark == (a < b ? MR_PC_FORWARD : MR_PC_BACKWARD);
}

static bool is_line(const mr_pc *g, size_t a, size_t b) {
    return a != b && mr_pc_at(g, a, b)->mark == MR_PC_LINE;
}

static void direct(mr_pc *g, size_t a, size_t b) {
    mr_pc_at(g, a, b)->mark = a < b ? MR_PC_FORWARD : MR_PC_BACKWARD;
}

/* ---- skeleton ---- */

typedef struct search {
    mr_pc *g;
    mr_independence *test;
    const mr_ticker *tick;
    uint8_t *before; /* width x width: adjacent when the round began */
    size_t depth;
    bool more; /* some pair had enough neighbours for this depth */
} search;

static size_t neighbours(const search *s, size_t of, size_t but, uint16_t *out) {
    size_t count = 0, w = s->g->width;
    for (size_t j = 0; j < w; j++)
        if (j != but && s->before[of * w + j]) out[count++] = (uint16_t)j;
    return count;
}

/* The next choice of k out of n in lexicographic order; false after the last. */
static bool next_choice(size_t *choice, size_t k, size_t n) {
    for (size_t i = k; i-- > 0;) {
        if (choice[i] == n - k + i) continue;
        choice[i]++;
        for (size_t j = i + 1; j < k; j++) choice[j] = choice[j - 1] + 1;
        return true;
    }
    return false;
}

static void keep_largest(mr_pc_pair *pair, mr_independence_result r, const uint16_t *given, size_t count) {
    if (!isnan(pair->test.p) && !(r.p > pair->test.p)) return;
    pair->test = r;
    pair->given_count = (uint16_t)count;
    memcpy(pair->given, given, count * sizeof *given);
}

/* Were these columns, all neighbours of b, already neighbours of a, and so tested from there? */
static bool tested_before(const search *s, size_t a, const uint16_t *given) {
    for (size_t i = 0; i < s->depth; i++)
        if (!s->before[a * s->g->width + given[i]]) return false;
    return true;
}

/* Tests a and b given every subset of the right size of the neighbours of `side` (a or b). */
static mr_status test_subsets(search *s, size_t a, size_t b, size_t side) {
    uint16_t near[MR_PC_WIDTH_MAX], given[MR_GIVEN_MAX];
    size_t choice[MR_GIVEN_MAX], count = neighbours(s, side, side == a ? b : a, near);
    if (count < s->depth) return MR_OK;
    s->more = true;
    for (size_t i = 0; i < s->depth; i++) choice[i] = i;
    do {
        for (size_t i = 0; i < s->depth; i++) given[i] = near[choice[i]];
        if (side == b && tested_before(s, a, given)) continue;
        MR_TRY(mr_ticker_call(s->tick));
        keep_largest(mr_pc_at(s->g, a, b), mr_independence_test(s->test, a, b, given, s->depth), given,
                     s->depth);
    } while (next_choice(choice, s->depth, count));
    return MR_OK;
}

static mr_status one_round(search *s, double alpha) {
    mr_pc *g = s->g;
    size_t w = g->width;
    s->more = false;
    for (size_t a = 0; a < w; a++)
        for (size_t b = 0; b < w; b++) s->before[a * w + b] = mr_pc_adjacent(g, a, b);
    for (size_t a = 0; a < w; a++)
        for (size_t b = a + 1; b < w; b++) {
            if (!s->before[a * w + b]) continue;
            MR_TRY(test_subsets(s, a, b, a));
            MR_TRY(test_subsets(s, a, b, b));
            if (mr_pc_at(g, a, b)->test.p > alpha) mr_pc_at(g, a, b)->mark = MR_PC_NONE;
        }
    return MR_OK;
}

static mr_status skeleton(search *s, double alpha, long depth_max) {
    size_t w = s->g->width;
    for (size_t a = 0; a < w; a++)
        for (size_t b = a + 1; b < w; b++) {
            mr_pc_at(s->g, a, b)->mark = MR_PC_LINE;
            mr_pc_at(s->g, a, b)->test.p = NAN;
        }
    for (s->depth = 0, s->more = true; s->depth <= MR_GIVEN_MAX; s->depth++) {
        if (depth_max >= 0 && s->depth > (size_t)depth_max) break;
        MR_TRY(one_round(s, alpha));
        if (!s->more) break;
        s->g->depth = s->depth;
    }
    for (size_t a = 0; a < w; a++)
        for (size_t b = a + 1; b < w; b++) s->g->edges += mr_pc_adjacent(s->g, a, b);
    return MR_OK;
}

/* ---- direction ---- */

static bool separates(const mr_pc *g, size_t a, size_t b, size_t c) {
    const mr_pc_pair *pair = mr_pc_at(g, a, b);
    for (size_t i = 0; i < pair->given_count; i++)
        if (pair->given[i] == c) return true;
    return false;
}

/* wanted[a x b]: some collider wants a -> b. All are collected before any is drawn, so that order does not
 * matter. */
static void colliders(mr_pc *g, size_t sink, uint8_t *wanted) {
    size_t w = g->width;
    for (size_t c = 0; c < w; c++)
        for (size_t a = 0; a < w; a++)
            for (size_t b = a + 1; b < w; b++) {
                if (!mr_pc_adjacent(g, a, c) || !mr_pc_adjacent(g, b, c) || mr_pc_adjacent(g, a, b)) continue;
                if (a == sink || b == sink || separates(g, a, b, c)) continue;
                wanted[a * w + c] = wanted[b * w + c] = 1;
            }
    for (size_t a = 0; a < w; a++)
        for (size_t b = a + 1; b < w; b++) {
            if (wanted[a * w + b] && wanted[b * w + a])
                mr_pc_at(g, a, b)->mark = MR_PC_CONFLICT;
            else if (wanted[a * w + b])
                direct(g, a, b);
            else if (wanted[b * w + a])
                direct(g, b, a);
        }
}

static void point_into(mr_pc *g, size_t sink) {
    for (size_t a = 0; sink < g->width && a < g->width; a++)
        if (mr_pc_adjacent(g, a, sink)) direct(g, a, sink);
}

/* a -> c -- b without a, b adjacent: else b would be a collider's end. */
static bool rule1(const mr_pc *g, size_t from, size_t to) {
    for (size_t c = 0; c < g->width; c++)
        if (c != to && mr_pc_points(g, c, from) && !mr_pc_adjacent(g, c, to)) return true;
    return false;
}

/* from -> c -> to: else a cycle. */
static bool rule2(const mr_pc *g, size_t from, size_t to) {
    for (size_t c = 0; c < g->width; c++)
        if (mr_pc_points(g, from, c) && mr_pc_points(g, c, to)) return true;
    return false;
}

/* from -- c -> to, from -- d -> to, c and d not adjacent. */
static bool rule3(const mr_pc *g, size_t from, size_t to) {
    for (size_t c = 0; c < g->width; c++)
        for (size_t d = c + 1; is_line(g, from, c) && mr_pc_points(g, c, to) && d < g->width; d++)
            if (is_line(g, from, d) && mr_pc_points(g, d, to) && !mr_pc_adjacent(g, c, d)) return true;
    return false;
}

/* from -- c -> d -> to, c and to not adjacent, from and d adjacent: needed only beside knowledge from
 * outside. */
static bool rule4(const mr_pc *g, size_t from, size_t to) {
    for (size_t c = 0; c < g->width; c++)
        for (size_t d = 0; c != to && is_line(g, from, c) && !mr_pc_adjacent(g, c, to) && d < g->width; d++)
            if (mr_pc_points(g, c, d) && mr_pc_points(g, d, to) && mr_pc_adjacent(g, from, d)) return true;
    return false;
}

static mr_status meek(mr_pc *g, const mr_ticker *tick) {
    for (bool changed = true; changed;) {
        changed = false;
        for (size_t a = 0; a < g->width; a++)
            for (size_t b = 0; b < g->width; b++) {
                if (!is_line(g, a, b)) continue;
                MR_TRY(mr_ticker_call(tick));
                if (!rule1(g, a, b) && !rule2(g, a, b) && !rule3(g, a, b) && !rule4(g, a, b)) continue;
                direct(g, a, b);
                changed = true;
            }
    }
    return MR_OK;
}

mr_status mr_pc_search(mr_independence *test, double alpha, long depth_max, size_t sink, mr_arena *arena,
                       const mr_ticker *tick, mr_pc *out, mr_error *err) {
    size_t w = test->width;
    MR_ASSERT(w <= MR_PC_WIDTH_MAX);
    *out = (mr_pc){.width = w, .pair = mr_arena_alloc(arena, w * w, sizeof *out->pair)};
    uint8_t *room = mr_arena_alloc(arena, 2 * w * w, 1);
    if (!out->pair || !room) return mr_fail(err, MR_E_MEMORY, "no memory for a graph of %zu columns", w);
    search s = {.g = out, .test = test, .tick = tick, .before = room};
    MR_TRY(skeleton(&s, alpha, depth_max));
    colliders(out, sink, room + w * w);
    point_into(out, sink);
    return meek(out, tick);
}
