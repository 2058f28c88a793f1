#include "worker/kit/knn.h"
#include "worker/kit/scratch.h"
#include "common/rng.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { LEAF = 40, TREES_MAX = 8, ROUNDS_MAX = 16, JOIN_MAX = 60 };
static const double EXACT_MOST = 6e9, CHANGES_LEAST = 0.001;

/* The neighbours found so far of each point, sorted: nearest first. */
typedef struct found {
    double d2;
    uint32_t row;
    bool fresh; /* has not taken part in a round */
} found;

typedef struct search {
    const mr_points *p;
    size_t n, k, width;
    found *lists; /* n x k */
    uint32_t *held; /* n */
    mr_rng rng;
    const mr_ticker *tick;
    uint64_t changes;
} search;

static mr_status result_alloc(size_t n, size_t k, mr_arena *arena, mr_knn *out, mr_error *err) {
    *out = (mr_knn){.n = n, .k = k, .row = mr_arena_alloc(arena, n * k, sizeof *out->row),
                    .distance = mr_arena_alloc(arena, n * k, sizeof *out->distance)};
    return out->row && out->distance ? MR_OK : mr_fail(err, MR_E_MEMORY, "no memory for %zu neighbours of %zu points", k, n);
}

/* ---- all with all ---- */

/* A sorted list of the nearest: `count` held of at most k. */
static size_t insert(found *list, size_t count, size_t k, double d2, uint32_t row) {
    size_t at = count < k ? count : k - 1;
    for (; at > 0 && list[at - 1].d2 > d2; at--) list[at] = list[at - 1];
    list[at] = (found){.d2 = d2, .row = row, .fresh = true};
    return count < k ? count + 1 : k;
}

/* Rows rise, so of equal distances the lower rows stay in front. */
static void scan(const mr_points *p, size_t first, size_t queries, size_t k, found *lists) {
    double d2[MR_QUERIES][MR_POINT_BLOCK];
    size_t held[MR_QUERIES] = {0};
    const double *query[MR_QUERIES];
    for (size_t q = 0; q < MR_QUERIES; q++) query[q] = p->rows + (first + (q < queries ? q : 0)) * p->width;
    for (size_t b = 0; b < p->blocks; b++) {
        mr_points_tile(p, b, query, d2);
        for (size_t q = 0; q < queries; q++) {
            found *list = lists + q * k;
            for (size_t i = 0; i < MR_POINT_BLOCK; i++) {
                size_t row = b * MR_POINT_BLOCK + i;
                if (held[q] == k && !(d2[q][i] < list[k - 1].d2)) continue;
                if (row < p->n && row != first + q) held[q] = insert(list, held[q], k, d2[q][i], (uint32_t)row);
            }
        }
    }
}

static void put(const found *list, size_t k, size_t i, mr_knn *out) {
    for (size_t j = 0; j < k; j++) {
        out->row[i * k + j] = list[j].row;
        out->distance[i * k + j] = sqrt(list[j].d2);
    }
}

mr_status mr_knn_exact(const mr_points *p, size_t k, mr_arena *arena, const mr_ticker *tick, mr_knn *out, mr_error *err) {
    MR_ASSERT(k >= 1 && k < p->n);
    found *lists = mr_arena_alloc(arena, MR_QUERIES * k, sizeof *lists);
    if (!lists) return mr_fail(err, MR_E_MEMORY, "no memory for %zu neighbours", k);
    MR_TRY(result_alloc(p->n, k, arena, out, err));
    for (size_t i = 0; i < p->n; i += MR_QUERIES) {
        size_t queries = p->n - i < MR_QUERIES ? p->n - i : MR_QUERIES;
        MR_TRY(mr_ticker_call(tick));
        scan(p, i, queries, k, lists);
        for (size_t q = 0; q < queries; q++) put(lists + q * k, k, i + q, out);
    }
    out->exact = true;
    return MR_OK;
}

/* ---- descent ---- */

static double squared(const search *s, uint32_t a, uint32_t b) {
    const double *x = s->p->rows + a * s->width, *y = s->p->rows + b * s->width;
    double sum[4] = {0, 0, 0, 0};
    size_t j = 0;
    for (; j + 4 <= s->width; j += 4)
        for (size_t i = 0; i < 4; i++) sum[i] += (x[j + i] - y[j + i]) * (x[j + i] - y[j + i]);
    for (; j < s->width; j++) sum[0] += (x[j] - y[j]) * (x[j] - y[j]);
    return sum[0] + sum[1] + (sum[2] + sum[3]);
}

static bool nearer(double d2, uint32_t row, const found *than) {
    return d2 < than->d2 || (d2 == than->d2 && row < than->row);
}

/* Offers `row` to the list of `of`. */
static void offer(search *s, uint32_t of, uint32_t row, double d2) {
    found *list = s->lists + of * s->k;
    size_t held = s->held[of];
    if (held == s->k && !nearer(d2, row, &list[held - 1])) return;
    size_t at = held;
    while (at > 0 && nearer(d2, row, &list[at - 1])) at--;
    if (at > 0 && list[at - 1].row == row) return; /* the same pair gives the same distance, so it stands right here */
    if (held == s->k) held--;
    memmove(list + at + 1, list + at, (held - at) * sizeof *list);
    list[at] = (found){.d2 = d2, .row = row, .fresh = true};
    s->held[of] = (uint32_t)held + 1;
    s->changes++;
}

static void offer_both(search *s, uint32_t a, uint32_t b) {
    double d2 = squared(s, a, b);
    offer(s, a, b, d2);
    offer(s, b, a, d2);
}

/* Puts the rows nearer to one of two random rows than to the other to the front; how many. */
static size_t split(search *s, uint32_t *rows, size_t n) {
    uint32_t a = rows[mr_rng_below(&s->rng, n)], b = rows[mr_rng_below(&s->rng, n)];
    size_t front = 0;
    for (size_t i = 0; i < n; i++) {
        double left = squared(s, rows[i], a), right = squared(s, rows[i], b);
        if (left > right || (left == right && mr_rng_next(&s->rng) >> 63)) continue;
        uint32_t swap = rows[front];
        rows[front++] = rows[i];
        rows[i] = swap;
    }
    return front;
}

/* The deeper half is done first, so that the stack of what is left is short; a split that separates nothing is halved. */
static mr_status grow_tree(search *s, uint32_t *rows, size_t n) {
    while (n > LEAF) {
        MR_TRY(mr_ticker_call(s->tick));
        size_t front = split(s, rows, n);
        if (front < n / 16 || front > n - n / 16) front = n / 2;
        bool small_first = front <= n - front;
        MR_TRY(grow_tree(s, small_first ? rows : rows + front, small_first ? front : n - front));
        if (small_first) rows += front;
        n = small_first ? n - front : front;
    }
    for (size_t i = 0; i < n; i++)
        for (size_t j = i + 1; j < n; j++) offer_both(s, rows[i], rows[j]);
    return MR_OK;
}

/* Lists that are still short (their leaf held fewer than k others) get random members. */
static void fill_up(search *s) {
    for (uint32_t i = 0; i < s->n; i++)
        for (size_t tries = 0; s->held[i] < s->k; tries++) {
            uint32_t row = tries < 4 * s->k ? (uint32_t)mr_rng_below(&s->rng, s->n)
                                            : (uint32_t)((i + tries) % s->n);
            if (row != i) offer(s, i, row, squared(s, i, row));
        }
}

/* Who takes part in a round around each point: at most JOIN_MAX fresh and as many known, in both directions. */
typedef struct joins {
    uint32_t *rows, *count; /* n x cap, n */
    size_t cap;
} joins;

/* Reservoir sampling: every candidate has the same chance. `seen` counts them. */
static void candidate(search *s, joins *j, uint32_t *seen, uint32_t of, uint32_t row) {
    uint32_t nth = seen[of]++;
    if (nth < j->cap)
        j->rows[of * j->cap + j->count[of]++] = row;
    else {
        uint64_t at = mr_rng_below(&s->rng, nth + 1);
        if (at < j->cap) j->rows[of * j->cap + at] = row;
    }
}

static void collect(search *s, joins *fresh, joins *known, uint32_t *seen) {
    memset(fresh->count, 0, s->n * sizeof *fresh->count);
    memset(known->count, 0, s->n * sizeof *known->count);
    memset(seen, 0, 2 * s->n * sizeof *seen);
    for (uint32_t i = 0; i < s->n; i++)
        for (size_t k = 0; k < s->k; k++) {
            found *f = &s->lists[i * s->k + k];
            joins *into = f->fresh ? fresh : known;
            uint32_t *counts = f->fresh ? seen : seen + s->n;
            candidate(s, into, counts, i, f->row);
            candidate(s, into, counts, f->row, i);
            f->fresh = false;
        }
}

static mr_status join_all(search *s, const joins *fresh, const joins *known) {
    for (uint32_t i = 0; i < s->n; i++) {
        if (i % 64 == 0) MR_TRY(mr_ticker_call(s->tick));
        const uint32_t *a = fresh->rows + i * fresh->cap, *b = known->rows + i * known->cap;
        for (uint32_t x = 0; x < fresh->count[i]; x++) {
            for (uint32_t y = x + 1; y < fresh->count[i]; y++)
                if (a[x] != a[y]) offer_both(s, a[x], a[y]);
            for (uint32_t y = 0; y < known->count[i]; y++)
                if (a[x] != b[y]) offer_both(s, a[x], b[y]);
        }
    }
    return MR_OK;
}

static mr_status descend(search *s, mr_arena *arena, mr_error *err) {
    size_t cap = s->k < JOIN_MAX ? s->k : JOIN_MAX;
    joins fresh = {mr_arena_alloc(arena, s->n * cap, 4), mr_arena_alloc(arena, s->n, 4), cap};
    joins known = {mr_arena_alloc(arena, s->n * cap, 4), mr_arena_alloc(arena, s->n, 4), cap};
    uint32_t *seen = mr_arena_alloc(arena, 2 * s->n, sizeof *seen);
    if (!fresh.rows || !fresh.count || !known.rows || !known.count || !seen)
        return mr_fail(err, MR_E_MEMORY, "no memory to join the neighbours of %zu points", s->n);
    for (int round = 0; round < ROUNDS_MAX; round++) {
        collect(s, &fresh, &known, seen);
        s->changes = 0;
        MR_TRY(join_all(s, &fresh, &known));
        if ((double)s->changes <= CHANGES_LEAST * (double)s->n * (double)s->k) break;
    }
    return MR_OK;
}

mr_status mr_knn_descent(const mr_points *p, size_t k, uint64_t seed, mr_arena *arena, const mr_ticker *tick, mr_knn *out,
                         mr_error *err) {
    MR_ASSERT(k >= 1 && k < p->n);
    size_t n = p->n, trees = 0;
    search s = {.p = p, .n = n, .k = k, .width = p->width, .tick = tick,
                .lists = mr_arena_alloc(arena, n * k, sizeof *s.lists),
                .held = mr_arena_alloc(arena, n, sizeof *s.held)};
    uint32_t *rows = mr_arena_alloc(arena, n, sizeof *rows);
    if (!s.lists || !s.held || !rows) return mr_fail(err, MR_E_MEMORY, "no memory for neighbours of %zu points", n);
    MR_TRY(result_alloc(n, k, arena, out, err));
    mr_rng_seed(&s.rng, seed);
    for (uint32_t i = 0; i < n; i++) rows[i] = i;
    while (trees < TREES_MAX && ((size_t)1 << (2 * trees)) < n) trees++;
    for (size_t t = 0; t < trees; t++) MR_TRY(grow_tree(&s, rows, n));
    fill_up(&s);
    MR_TRY(descend(&s, arena, err));
    for (size_t i = 0; i < n; i++) put(s.lists + i * k, k, i, out);
    return MR_OK;
}

mr_status mr_knn_fit(const mr_points *p, size_t k, uint64_t seed, mr_arena *arena, const mr_ticker *tick, mr_knn *out,
                     mr_error *err) {
    double n = (double)p->n;
    if (n * n * (double)(p->width + 10) <= EXACT_MOST) return mr_knn_exact(p, k, arena, tick, out, err);
    return mr_knn_descent(p, k, seed, arena, tick, out, err);
}
