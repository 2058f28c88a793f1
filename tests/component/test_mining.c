/* The miners against brute force from the definitions, on small random data. */
#include "common/rng.h"
#include "worker/kit/fpgrowth.h"
#include "worker/kit/gspan.h"
#include "worker/kit/prefixspan.h"
#include "worker/kit/rules.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum { ROUNDS = 40, MOST_PATTERNS = 100000 };

typedef struct bench {
    mr_arena *arena;
    mr_patterns patterns;
    mr_pattern_index index;
    mr_error err;
    bool cut;
    mr_rng rng;
} bench;

static void open_bench(bench *b, uint64_t seed) {
    *b = (bench){.arena = mr_arena_new(NULL, (size_t)64 << 20)};
    assert_non_null(b->arena);
    mr_patterns_init(&b->patterns, b->arena, MOST_PATTERNS);
    mr_rng_seed(&b->rng, seed);
}

static void index_bench(bench *b, mr_status status) {
    if (status != MR_OK) fail_msg("%s", b->err.text);
    assert_int_equal(mr_pattern_index_make(&b->index, &b->patterns, &b->err), MR_OK);
}

static uint32_t below(bench *b, uint32_t n) { return (uint32_t)mr_rng_below(&b->rng, n); }

/* ---- itemsets ---- */

enum { ROWS = 40, ITEMS = 9 };

typedef struct baskets {
    uint32_t end[ROWS], item[ROWS * ITEMS], mask[ROWS];
    uint8_t marked[ROWS];
} baskets;

static void draw_baskets(bench *b, baskets *d) {
    uint32_t at = 0, often = 3 + below(b, 5);
    *d = (baskets){0};
    for (int i = 0; i < ROWS; i++) {
        for (uint32_t k = 0; k < ITEMS; k++) {
            if (below(b, 8) >= often - (k > often ? 1 : 0)) continue;
            d->item[at++] = k;
            d->mask[i] |= 1u << k;
        }
        d->end[i] = at;
        d->marked[i] = below(b, 2) == 1;
    }
}

static void check_itemset(bench *b, const baskets *d, uint32_t mask, uint32_t least, uint32_t *expected) {
    uint32_t support = 0, hits = 0, word[ITEMS], n = 0;
    for (int i = 0; i < ROWS; i++) {
        if ((d->mask[i] & mask) != mask) continue;
        support++;
        hits += d->marked[i];
    }
    if (support < least) return;
    for (uint32_t k = 0; k < ITEMS; k++)
        if (mask >> k & 1) word[n++] = k;
    uint32_t at = mr_pattern_find(&b->index, word, n);
    assert_true(at != UINT32_MAX);
    assert_int_equal(b->patterns.support[at], support);
    assert_int_equal(b->patterns.hits[at], hits);
    ++*expected;
}

static void test_fp_growth_finds_exactly_the_frequent_itemsets(void **state) {
    (void)state;
    for (uint64_t seed = 0; seed < ROUNDS; seed++) {
        bench b;
        baskets d;
        open_bench(&b, seed);
        draw_baskets(&b, &d);
        uint32_t least = 1 + below(&b, 8), expected = 0;
        mr_itemsets in = {ROWS, ITEMS, d.end, d.item, d.marked};
        index_bench(&b, mr_fpgrowth(&in, least, ITEMS, NULL, &b.patterns, &b.cut, &b.err));
        assert_false(b.cut);
        for (uint32_t mask = 1; mask < 1u << ITEMS; mask++) check_itemset(&b, &d, mask, least, &expected);
        assert_int_equal(b.patterns.count, expected);
        mr_arena_free(&b.arena);
    }
}

static void test_a_limit_of_length_cuts_and_says_so(void **state) {
    (void)state;
    bench b;
    uint32_t end[] = {3, 6, 8}, item[] = {0, 1, 2, 0, 1, 2, 0, 1};
    mr_itemsets in = {3, 3, end, item, NULL};
    for (uint32_t longest = 1; longest <= 4; longest++) {
        open_bench(&b, 1);
        index_bench(&b, mr_fpgrowth(&in, 2, longest, NULL, &b.patterns, &b.cut, &b.err));
        assert_int_equal(b.cut, longest < 3);
        assert_int_equal(b.patterns.count, longest == 1 ? 3 : longest == 2 ? 6 : 7);
        mr_arena_free(&b.arena);
    }
}

static void test_too_many_patterns_are_refused_with_what_to_raise(void **state) {
    (void)state;
    bench b;
    uint32_t end[] = {3}, item[] = {0, 1, 2};
    mr_itemsets in = {1, 3, end, item, NULL};
    open_bench(&b, 1);
    b.patterns.most = 5;
    assert_int_equal(mr_fpgrowth(&in, 1, 9, NULL, &b.patterns, &b.cut, &b.err), MR_E_LIMIT);
    assert_non_null(strstr(b.err.text, "raise min_support"));
    mr_arena_free(&b.arena);
}

static void test_rules_follow_their_definitions(void **state) {
    (void)state;
    bench b;
    mr_rule *rules;
    size_t count;
    uint32_t end[] = {2, 4, 5, 6}, item[] = {0, 1, 0, 1, 0, 2};
    mr_itemsets in = {4, 3, end, item, NULL};
    open_bench(&b, 1);
    index_bench(&b, mr_fpgrowth(&in, 1, 9, NULL, &b.patterns, &b.cut, &b.err));
    assert_int_equal(mr_rules(&b.index, 4, 0.7, NULL, &rules, &count, &b.err), MR_OK);
    assert_int_equal(count, 1); /* 1 -> 0: 2 of 2, where 3 of 4 have 0; 0 -> 1 has only 2 of 3 */
    assert_int_equal(rules[0].right, 0);
    assert_true(fabs(rules[0].confidence - 1) < 1e-15 && fabs(rules[0].lift - 4.0 / 3) < 1e-15);
    assert_true(fabs(rules[0].leverage - (0.5 - 0.5 * 0.75)) < 1e-15);
    mr_arena_free(&b.arena);
}

/* ---- sequences ---- */

enum { SEQUENCES = 25, ELEMENTS = 6, LETTERS = 4, SEQUENCE_WORDS = 5 };

typedef struct tracks {
    uint32_t end[SEQUENCES], element_end[SEQUENCES * ELEMENTS], item[SEQUENCES * ELEMENTS * LETTERS];
    uint32_t mask[SEQUENCES * ELEMENTS]; /* of an element */
} tracks;

static void draw_tracks(bench *b, tracks *d) {
    uint32_t at = 0, e = 0;
    *d = (tracks){0};
    for (int s = 0; s < SEQUENCES; s++) {
        for (uint32_t k = below(b, ELEMENTS + 1); k > 0; k--, e++) {
            d->mask[e] = below(b, 1u << LETTERS);
            for (uint32_t i = 0; i < LETTERS; i++)
                if (d->mask[e] >> i & 1) d->item[at++] = i;
            d->element_end[e] = at;
        }
        d->end[s] = e;
    }
}

/* Greedy from the left: sequence s holds the elements p[0 .. n). */
static bool holds(const tracks *d, int s, const uint32_t *p, uint32_t n) {
    uint32_t at = 0;
    for (uint32_t e = s ? d->end[s - 1] : 0; e < d->end[s]; e++)
        if (at < n && (d->mask[e] & p[at]) == p[at]) at++;
    return at == n;
}

/* All lists of elements with at most SEQUENCE_WORDS items; `words` is how many there are so far. */
static void check_sequences(bench *b, const tracks *d, uint32_t least, uint32_t *p, uint32_t n,
                            uint32_t words, uint32_t *expected) {
    for (uint32_t mask = 1; mask < 1u << LETTERS; mask++) {
        uint32_t more = (uint32_t)__builtin_popcount(mask), support = 0, word[SEQUENCE_WORDS], at = 0;
        if (words + more > SEQUENCE_WORDS) continue;
        p[n] = mask;
        for (int s = 0; s < SEQUENCES; s++) support += holds(d, s, p, n + 1);
        if (support < least) continue;
        for (uint32_t k = 0; k <= n; k++) {
            bool opens = true;
            for (uint32_t i = 0; i < LETTERS; i++) {
                if (!(p[k] >> i & 1)) continue;
                word[at++] = mr_sequence_word(i, opens);
                opens = false;
            }
        }
        uint32_t found = mr_pattern_find(&b->index, word, at);
        assert_true(found != UINT32_MAX);
        assert_int_equal(b->patterns.support[found], support);
        ++*expected;
        check_sequences(b, d, least, p, n + 1, words + more, expected);
    }
}

static void test_prefix_span_finds_exactly_the_frequent_sequences(void **state) {
    (void)state;
    for (uint64_t seed = 0; seed < ROUNDS; seed++) {
        bench b;
        tracks d;
        uint32_t p[SEQUENCE_WORDS + 1], expected = 0;
        open_bench(&b, 100 + seed);
        draw_tracks(&b, &d);
        uint32_t least = 2 + below(&b, 8);
        mr_sequences in = {SEQUENCES, LETTERS, d.end, d.element_end, d.item};
        index_bench(&b, mr_prefixspan(&in, least, SEQUENCE_WORDS, NULL, &b.patterns, &b.cut, &b.err));
        check_sequences(&b, &d, least, p, 0, 0, &expected);
        assert_int_equal(b.patterns.count, expected);
        mr_arena_free(&b.arena);
    }
}

/* ---- subgraphs ---- */

enum { GRAPHS = 12, VERTICES = 5, EDGES = 6, FORMS = 40000, FORM = VERTICES + VERTICES * VERTICES };

typedef struct nets {
    uint32_t vertex_end[GRAPHS], edge_end[GRAPHS], vertex_label[GRAPHS * VERTICES];
    uint32_t edge_label[GRAPHS * EDGES], from[GRAPHS * EDGES], to[GRAPHS * EDGES];
} nets;

static void draw_nets(bench *b, nets *d) {
    uint32_t e = 0;
    for (uint32_t g = 0; g < GRAPHS; g++) {
        bool joined[VERTICES][VERTICES] = {{false}};
        for (uint32_t v = 0; v < VERTICES; v++) d->vertex_label[g * VERTICES + v] = below(b, 2);
        for (uint32_t k = 1 + below(b, EDGES); k > 0; k--) {
            uint32_t p = below(b, VERTICES), q = below(b, VERTICES);
            if (p == q || joined[p][q]) continue;
            joined[p][q] = joined[q][p] = true;
            d->from[e] = g * VERTICES + p;
            d->to[e] = g * VERTICES + q;
            d->edge_label[e++] = below(b, 2);
        }
        d->vertex_end[g] = (g + 1) * VERTICES;
        d->edge_end[g] = e;
    }
}

/* A graph of at most VERTICES vertices: labels + 1 (0: no vertex), and edge labels + 1. */
typedef struct form {
    uint8_t v[FORM];
} form;

static void permute(const form *f, const uint8_t *order, form *out) {
    for (int i = 0; i < VERTICES; i++) {
        out->v[i] = f->v[order[i]];
        for (int j = 0; j < VERTICES; j++)
            out->v[VERTICES + i * VERTICES + j] = f->v[VERTICES + order[i] * VERTICES + order[j]];
    }
}

/* The least of all numberings. */
static void canonical(const form *f, uint8_t *order, int n, form *best) {
    if (n == VERTICES) {
        form other;
        permute(f, order, &other);
        if (memcmp(&other, best, sizeof other) < 0) *best = other;
        return;
    }
    for (int i = n; i < VERTICES; i++) {
        uint8_t t = order[n];
        order[n] = order[i];
        order[i] = t;
        canonical(f, order, n + 1, best);
        order[i] = order[n];
        order[n] = t;
    }
}

static form canonical_of(const form *f) {
    uint8_t order[VERTICES] = {0, 1, 2, 3, 4};
    form best = *f;
    canonical(f, order, 0, &best);
    return best;
}

static void put_edge(form *f, uint32_t p, uint32_t lp, uint32_t q, uint32_t lq, uint32_t label) {
    f->v[p] = (uint8_t)(lp + 1);
    f->v[q] = (uint8_t)(lq + 1);
    f->v[VERTICES + p * VERTICES + q] = f->v[VERTICES + q * VERTICES + p] = (uint8_t)(label + 1);
}

static bool connected(const form *f) {
    unsigned all = 0, reached, before = 0;
    for (int i = 0; i < VERTICES; i++) all |= f->v[i] ? 1u << i : 0;
    reached = all & (~all + 1);
    while (reached != before) {
        before = reached;
        for (int i = 0; i < VERTICES; i++)
            for (int j = 0; j < VERTICES; j++)
                if ((reached >> i & 1) && f->v[VERTICES + i * VERTICES + j]) reached |= 1u << j;
    }
    return reached == all;
}

typedef struct census {
    form forms[FORMS];
    uint32_t support[FORMS], last[FORMS], count;
} census;

static void count_form(census *c, const form *f, uint32_t g) {
    uint32_t i = 0;
    while (i < c->count && memcmp(&c->forms[i], f, sizeof *f)) i++;
    if (i == c->count) {
        assert_true(c->count < FORMS);
        c->forms[c->count++] = *f;
        c->last[i] = UINT32_MAX;
    }
    c->support[i] += c->last[i] != g;
    c->last[i] = g;
}

/* Every set of edges of every graph. */
static void take_census(const nets *d, census *c) {
    c->count = 0;
    memset(c->support, 0, sizeof c->support);
    for (uint32_t g = 0; g < GRAPHS; g++) {
        uint32_t first = g ? d->edge_end[g - 1] : 0, edges = d->edge_end[g] - first;
        for (uint32_t set = 1; set < 1u << edges; set++) {
            form f = {{0}};
            for (uint32_t k = 0; k < edges; k++) {
                uint32_t p = d->from[first + k], q = d->to[first + k];
                if (set >> k & 1)
                    put_edge(&f, p % VERTICES, d->vertex_label[p], q % VERTICES, d->vertex_label[q],
                             d->edge_label[first + k]);
            }
            if (!connected(&f)) continue;
            f = canonical_of(&f);
            count_form(c, &f, g);
        }
    }
}

static void compare_with_census(const mr_patterns *p, const census *c, uint32_t least) {
    uint32_t expected = 0;
    for (uint32_t i = 0; i < c->count; i++) expected += c->support[i] >= least;
    assert_int_equal(p->count, expected);
    bool *seen = calloc(c->count + 1, sizeof *seen);
    assert_non_null(seen);
    for (uint32_t i = 0; i < p->count; i++) {
        form f = {{0}};
        const uint32_t *word = mr_pattern(p, i);
        for (size_t k = 0; k < mr_pattern_length(p, i); k += MR_CODE_WORDS)
            put_edge(&f, word[k + MR_CODE_I], word[k + MR_CODE_LABEL_I], word[k + MR_CODE_J],
                     word[k + MR_CODE_LABEL_J], word[k + MR_CODE_LABEL_E]);
        f = canonical_of(&f);
        uint32_t at = 0;
        while (at < c->count && memcmp(&c->forms[at], &f, sizeof f)) at++;
        assert_true(at < c->count && !seen[at]); /* it is there, and is not found twice */
        seen[at] = true;
        assert_int_equal(p->support[i], c->support[at]);
    }
    free(seen);
}

static void test_gspan_finds_exactly_the_frequent_subgraphs_each_once(void **state) {
    (void)state;
    census *c = malloc(sizeof *c);
    assert_non_null(c);
    for (uint64_t seed = 0; seed < ROUNDS; seed++) {
        bench b;
        nets d;
        open_bench(&b, 200 + seed);
        draw_nets(&b, &d);
        uint32_t least = 1 + below(&b, 4);
        mr_graphs in = {GRAPHS, d.vertex_end, d.edge_end, d.vertex_label, d.edge_label, d.from, d.to};
        index_bench(&b, mr_gspan(&in, least, EDGES, NULL, &b.patterns, &b.cut, &b.err));
        take_census(&d, c);
        compare_with_census(&b.patterns, c, least);
        assert_false(b.cut);
        mr_arena_free(&b.arena);
    }
    free(c);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fp_growth_finds_exactly_the_frequent_itemsets),
        cmocka_unit_test(test_a_limit_of_length_cuts_and_says_so),
        cmocka_unit_test(test_too_many_patterns_are_refused_with_what_to_raise),
        cmocka_unit_test(test_rules_follow_their_definitions),
        cmocka_unit_test(test_prefix_span_finds_exactly_the_frequent_sequences),
        cmocka_unit_test(test_gspan_finds_exactly_the_frequent_subgraphs_each_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
