/* Reference values: tests/vectors/patterns.py (brute force from the definitions). */
#include "tests/component/harness.h"
#include "worker/kit/graphtext.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum { LINES = 6, VERTICES = 64, WORD = 24, WORDS = 3 * WORD + 24, SPELT = 2 * VERTICES * (WORDS + 1) + 8 };

/* ---- the check sum of patterns.py ---- */

static uint64_t fnv(const char *text, size_t n) {
    uint64_t h = 0xcbf29ce484222325u;
    for (size_t i = 0; i < n; i++) h = (h ^ (uint8_t)text[i]) * 0x100000001b3u;
    return h;
}

static int by_text(const void *a, const void *b) { return strcmp(a, b); }

static void join(char (*words)[WORDS], size_t n, char *out) {
    qsort(words, n, sizeof *words, by_text);
    for (size_t i = 0; i < n; i++) sprintf(out + strlen(out), "%s%s", i ? " " : "", words[i]);
}

/* "v 0 6 v 1 8 e 0 1 2" -> "6/1 8/1 | 6/1-2-8/1" */
static void spell_graph(const char *text, char *out) {
    char label[VERTICES][WORD], name[VERTICES][WORD + 8], words[VERTICES][WORDS];
    char edge[VERTICES][WORD];
    unsigned from[VERTICES], to[VERTICES], degree[VERTICES] = {0}, vertices = 0, edges = 0, number;
    int used;
    for (; sscanf(text, " v %u %23s%n", &number, label[vertices], &used) == 2; text += used) vertices++;
    for (; sscanf(text, " e %u %u %23s%n", &from[edges], &to[edges], edge[edges], &used) == 3; text += used) {
        degree[from[edges]]++;
        degree[to[edges++]]++;
    }
    out[0] = 0;
    for (unsigned i = 0; i < vertices; i++) sprintf(name[i], "%s/%u", label[i], degree[i]);
    for (unsigned i = 0; i < vertices; i++) strcpy(words[i], name[i]);
    join(words, vertices, out);
    strcat(out, " | ");
    for (unsigned i = 0; i < edges; i++) {
        const char *p = name[from[i]], *q = name[to[i]];
        bool swap = strcmp(p, q) > 0;
        snprintf(words[i], sizeof words[i], "%.31s-%.23s-%.31s", swap ? q : p, edge[i], swap ? p : q);
    }
    join(words, edges, out);
}

static uint64_t check_of(mr_span lines, const char *kind, size_t *count) {
    char *text = strndup((const char *)lines.data, lines.len), *rest, *line;
    uint64_t sum = 0;
    assert_non_null(text);
    *count = 0;
    for (line = strtok_r(text, "\n", &rest); (line = strtok_r(NULL, "\n", &rest)) != NULL;) {
        char kind_word[16], spelt[SPELT], all[SPELT + 32];
        unsigned support, of;
        int used;
        assert_int_equal(sscanf(line, "%15s %u %u\t%n", kind_word, &support, &of, &used), 3);
        if (strcmp(kind_word, kind) != 0) continue;
        snprintf(spelt, sizeof spelt, "%s", line + used);
        if (!strcmp(kind, "subgraph")) spell_graph(line + used, spelt);
        int n = snprintf(all, sizeof all, "%u %s", support, spelt);
        sum += fnv(all, (size_t)n);
        ++*count;
    }
    free(text);
    return sum;
}

/* ---- against the reference ---- */

/* The molecules as one column of text. */
static char *molecules(void) {
    char path[4096], line[256];
    harness_data("graphs/nci_molecules_500.txt", path);
    FILE *f = fopen(path, "r");
    char *out = NULL;
    size_t size;
    FILE *to = open_memstream(&out, &size);
    assert_non_null(f);
    assert_non_null(to);
    fputs("item", to);
    while (fgets(line, sizeof line, f)) {
        line[strcspn(line, "\n")] = 0;
        fprintf(to, "%s%s", line[0] == 't' ? "\n" : " ", line);
    }
    fclose(f);
    fclose(to);
    return out;
}

static void load(harness *h, const char *kind, char **text) {
    *text = NULL;
    if (!strcmp(kind, "subgraphs")) {
        *text = molecules();
        harness_text(h, "pattern_discovery", *text, NULL);
    } else {
        harness_file(h, "pattern_discovery", "transactions/online_retail_baskets.tsv",
                     "item=items session=customer time=datetime");
    }
}

static void check_line(const char *kind, double share, unsigned longest, size_t count, uint64_t check) {
    harness h;
    char *text, set[128], one[16];
    size_t found;
    load(&h, kind, &text);
    snprintf(set, sizeof set, "find=%s min_support=%g max_length=%u", kind, share, longest);
    harness_set(&h, set);
    harness_run(&h, 4096, 1);
    snprintf(one, sizeof one, "%.*s", (int)strlen(kind) - 1, kind);
    uint64_t got = check_of(harness_artifact(&h, 0, "patterns"), one, &found);
    assert_int_equal(found, count);
    assert_true(got == check);
    harness_free(&h);
    free(text);
}

static void test_real_baskets_sessions_and_molecules_give_exactly_the_reference(void **state) {
    (void)state;
    char there[4096], kind[16];
    double share;
    unsigned longest, lines = 0;
    size_t count;
    unsigned long long check;
    harness_data("transactions/online_retail_baskets.tsv", there);
    FILE *f = fopen(MR_SOURCE_DIR "/tests/vectors/patterns.txt", "r");
    assert_non_null(f);
    for (; fscanf(f, "%15s %lf %u %zu %llu", kind, &share, &longest, &count, &check) == 5; lines++)
        check_line(kind, share, longest, count, check);
    assert_int_equal(lines, LINES);
    fclose(f);
}

/* ---- batches ---- */

static void same_for_any_batches(harness *h) {
    static const uint32_t sizes[] = {4096, 5000, 10000};
    uint8_t *first = NULL;
    size_t len = 0;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        harness_run(h, sizes[i], 7);
        mr_span bytes = harness_bytes(h, 0);
        if (!first) {
            first = malloc(len = bytes.len);
            assert_non_null(first);
            memcpy(first, bytes.data, len);
        }
        assert_int_equal(bytes.len, len);
        assert_memory_equal(bytes.data, first, len);
    }
    free(first);
}

static void test_any_batches_give_the_same_bytes(void **state) {
    (void)state;
    harness h;
    harness_file(&h, "pattern_discovery", "transactions/online_retail_baskets.tsv",
                 "item=items session=customer time=datetime");
    harness_set(&h, "find=both min_support=0.04 top=1000");
    same_for_any_batches(&h);
    harness_set(&h, "find=itemsets min_support=0.02 thin=3");
    same_for_any_batches(&h);
    assert_in_range((uint64_t)harness_number(&h, 0, "kept"), 3100, 3600);
    harness_free(&h);
}

/* Over 32 batches, so that merges give partials too. */
static void test_a_tree_of_merges_gives_the_same_bytes_as_one_batch(void **state) {
    (void)state;
    enum { ROWS = 140000, TEXT = 16 };
    mr_span *items = calloc(ROWS, sizeof *items), *sessions = calloc(ROWS, sizeof *sessions);
    char(*text)[TEXT] = calloc(ROWS, sizeof *text);
    harness h;
    mr_rng rng;
    assert_true(items && sessions && text);
    mr_rng_seed(&rng, 4);
    for (size_t i = 0; i < ROWS; i++) {
        snprintf(text[i], TEXT, "%c %c%c", 'a' + (char)mr_rng_below(&rng, 6),
                 'a' + (char)mr_rng_below(&rng, 3), 'a' + (char)(i / 30000));
        items[i] = mr_span_of(text[i]);
        sessions[i] = (mr_span){(uint8_t *)text[i], 1 + mr_rng_below(&rng, 4)};
    }
    mr_batch batch = {.rows = ROWS,
                      .columns = MR_COL_ITEM | MR_COL_SESSION,
                      .text = {[MR_TEXT_ITEM] = items, [MR_TEXT_SESSION] = sessions}};
    harness_batch(&h, "pattern_discovery", &batch);
    harness_set(&h, "find=both min_support=0.05 max_length=2");
    harness_run(&h, ROWS, 1);
    mr_span bytes = harness_bytes(&h, 0);
    uint64_t one = fnv((const char *)bytes.data, bytes.len);
    harness_run(&h, 4096, 1);
    bytes = harness_bytes(&h, 0);
    assert_true(one == fnv((const char *)bytes.data, bytes.len));
    harness_free(&h);
    free(items);
    free(sessions);
    free(text);
}

/* ---- what rows mean ---- */

static void expect_pattern(harness *h, const char *pattern, double support) {
    char path[64];
    for (size_t i = 0; i < harness_length(h, 0, "patterns"); i++) {
        snprintf(path, sizeof path, "patterns[%zu].pattern", i);
        if (strcmp(harness_string(h, 0, path), pattern) != 0) continue;
        snprintf(path, sizeof path, "patterns[%zu].support", i);
        assert_true(harness_number(h, 0, path) == support);
        return;
    }
    fail_msg("'%s' is not among the patterns", pattern);
}

static void test_rows_of_a_session_are_elements_in_the_order_of_time(void **state) {
    (void)state;
    harness h;
    harness_text(&h, "pattern_discovery",
                 "session,time,item\np,3,c\np,1,a\nq,1,a b\nq,2,c\n,9,a\nq,2,d\np,2,b a\n", NULL);
    harness_set(&h, "find=sequences min_count=2");
    harness_run(&h, 4096, 1);
    assert_true(harness_number(&h, 0, "sequences") == 2);
    assert_true(harness_number(&h, 0, "without_session") == 1);
    expect_pattern(&h, "a > c", 2);
    expect_pattern(&h, "a b > c", 2);
    assert_true(harness_number(&h, 0, "sequence_count") == 7); /* a, b, c, a b, a > c, b > c, a b > c */
    harness_free(&h);
}

static void test_without_sessions_a_row_is_a_sequence_with_repeats(void **state) {
    (void)state;
    harness h;
    harness_text(&h, "pattern_discovery", "item\na b a\nb a a\na a c\n", NULL);
    harness_set(&h, "find=both min_count=3");
    harness_run(&h, 4096, 1);
    assert_true(harness_number(&h, 0, "sequence_count") == 2);
    assert_true(harness_number(&h, 0, "itemset_count") == 1);
    expect_pattern(&h, "a > a", 3);
    harness_free(&h);
}

static void test_a_wrong_graph_is_refused_by_its_row(void **state) {
    (void)state;
    static const struct {
        const char *text, *says;
    } rows[] = {{"item\nv 0 a v 1 b e 0 1 x\nv 0 a v 2 b\n", "row 1: the graph should number its vertices"},
                {"item\nv 0 a e 0 1 x\n", "row 0: the graph has no vertex '1'"},
                {"item\nv 0 a v 1 a e 0 0 x\n", "row 0: the graph has a loop"},
                {"item\nv 0 a v 1 a e 0 1 x e 1 0 x\n", "row 0: the graph has two edges"},
                {"item\nv 0 a v 1 a e 0 1\n", "row 0: the graph has no label at the edge"},
                {"item\nbread milk\n", "row 0: the graph has the unknown word 'bread'"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        harness h;
        harness_text(&h, "pattern_discovery", rows[i].text, NULL);
        harness_set(&h, "find=subgraphs");
        assert_int_equal(harness_try(&h, 4096, 1), MR_E_INVALID);
        if (!strstr(h.err.text, rows[i].says)) fail_msg("%s", h.err.text);
        harness_free(&h);
    }
}

/* ---- bounds ---- */

static void test_more_than_a_partial_holds_is_refused_with_what_to_raise(void **state) {
    (void)state;
    enum { ROWS = 20000, ITEMS = 500 };
    mr_span *items = calloc(ROWS, sizeof *items);
    char *text = malloc(ITEMS * 8);
    harness h;
    assert_non_null(items);
    assert_non_null(text);
    for (size_t i = 0, at = 0; i < ITEMS; i++) at += (size_t)sprintf(text + at, "%zu ", i);
    for (size_t i = 0; i < ROWS; i++) items[i] = mr_span_of(text);
    mr_batch batch = {.rows = ROWS, .columns = MR_COL_ITEM, .text = {[MR_TEXT_ITEM] = items}};
    harness_batch(&h, "pattern_discovery", &batch);
    harness_set(&h, "max_length=1");
    for (uint32_t size = 4096; size <= ROWS; size += ROWS - 4096) {
        assert_int_equal(harness_try(&h, size, 1), MR_E_LIMIT);
        assert_non_null(strstr(h.err.text, "raise `thin`"));
    }
    harness_set(&h, "max_length=1 thin=4");
    harness_run(&h, 4096, 1);
    assert_true(harness_number(&h, 0, "itemset_count") == ITEMS);
    harness_free(&h);
    free(items);
    free(text);
}

static void test_too_many_patterns_are_refused_with_what_to_raise(void **state) {
    (void)state;
    harness h;
    harness_text(&h, "pattern_discovery", "item\na b c d e f\na b c d e f\n", NULL);
    harness_set(&h, "max_patterns=50");
    assert_int_equal(harness_try(&h, 4096, 1), MR_E_LIMIT);
    assert_non_null(strstr(h.err.text, "raise min_support"));
    harness_set(&h, "max_patterns=63");
    harness_run(&h, 4096, 1);
    harness_free(&h);
}

/* ---- broken bytes ---- */

static void packed_rows(mr_arena *arena, mr_buf *out) {
    mr_itemrows r;
    mr_error err;
    mr_itemrows_init(&r, arena, MR_ITEMROWS_SESSIONS | MR_ITEMROWS_TIMES | MR_ITEMROWS_PLAIN);
    for (int i = 0; i < 20; i++) {
        assert_int_equal(mr_itemrows_words(&r, mr_span_of(i % 2 ? "a bb c" : "d a eee"), &err), MR_OK);
        assert_int_equal(mr_itemrows_plain(&r, (uint32_t)i, &err), MR_OK);
        assert_int_equal(mr_itemrows_end(&r, mr_span_of(i % 3 ? "s" : ""), i, &err), MR_OK);
    }
    assert_int_equal(mr_itemrows_sort(&r, &err), MR_OK);
    mr_itemrows_pack(&r, out);
    assert_int_equal(mr_buf_status(out), MR_OK);
}

static void test_broken_packed_rows_are_refused_not_believed(void **state) {
    (void)state;
    mr_arena *arena = mr_arena_new(NULL, (size_t)256 << 20);
    mr_buf good;
    mr_rng rng;
    mr_rng_seed(&rng, 3);
    mr_buf_init(&good, NULL, 1 << 20);
    packed_rows(arena, &good);
    for (int round = 0; round < 3000; round++) {
        uint8_t bytes[1024];
        mr_arena *fresh = mr_arena_new(NULL, (size_t)16 << 20);
        mr_itemrows r;
        mr_unpack u;
        mr_error err;
        size_t n = round < (int)good.len ? (size_t)round : good.len;
        assert_true(good.len < sizeof bytes);
        memcpy(bytes, good.data, n);
        if (round > (int)good.len) bytes[mr_rng_below(&rng, n)] = (uint8_t)mr_rng_next(&rng);
        mr_itemrows_init(&r, fresh, MR_ITEMROWS_SESSIONS | MR_ITEMROWS_TIMES | MR_ITEMROWS_PLAIN);
        mr_unpack_init(&u, (mr_span){bytes, n});
        mr_status status = mr_itemrows_add_packed(&r, &u, &err);
        if (round < (int)good.len) assert_int_not_equal(status, MR_OK);
        if (status == MR_OK) assert_int_equal(mr_itemrows_sort(&r, &err), MR_OK);
        mr_arena_free(&fresh);
    }
    mr_buf_free(&good);
    mr_arena_free(&arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_real_baskets_sessions_and_molecules_give_exactly_the_reference),
        cmocka_unit_test(test_any_batches_give_the_same_bytes),
        cmocka_unit_test(test_a_tree_of_merges_gives_the_same_bytes_as_one_batch),
        cmocka_unit_test(test_rows_of_a_session_are_elements_in_the_order_of_time),
        cmocka_unit_test(test_without_sessions_a_row_is_a_sequence_with_repeats),
        cmocka_unit_test(test_a_wrong_graph_is_refused_by_its_row),
        cmocka_unit_test(test_more_than_a_partial_holds_is_refused_with_what_to_raise),
        cmocka_unit_test(test_too_many_patterns_are_refused_with_what_to_raise),
        cmocka_unit_test(test_broken_packed_rows_are_refused_not_believed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
