/* Reference values: tests/vectors/hdbscan.R (labels and tree weights, by R's dbscan) and learners.py
 * (stabilities). */
#include "common/rng.h"
#include "worker/kit/columns.h"
#include "worker/kit/hdbscan.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define VECTORS MR_SOURCE_DIR "/tests/vectors/"

typedef struct table {
    double *x;
    size_t n, width;
} table;

/* All columns but the last of a CSV file; false when it is not there. */
static bool read_table(const char *name, size_t n, bool zscore, mr_arena *arena, table *t) {
    char path[4096], line[8192];
    bool own = !strcmp(name, "hdbscan_blobs");
    snprintf(path, sizeof path, own ? VECTORS "%s.csv" : MR_SOURCE_DIR "/../shared/data/tabular/%s.csv",
             name);
    FILE *f = fopen(path, "r");
    if (!f) return false;
    assert_non_null(fgets(line, sizeof line, f));
    *t = (table){.n = n};
    for (char *c = line; *c; c++) t->width += *c == ',';
    t->x = mr_arena_alloc(arena, n * t->width, sizeof(double));
    for (size_t i = 0; i < n; i++) {
        assert_non_null(fgets(line, sizeof line, f));
        char *at = line;
        for (size_t j = 0; j < t->width; j++, at++) t->x[i * t->width + j] = strtod(at, &at);
    }
    fclose(f);
    double *mean = mr_arena_alloc(arena, t->width, sizeof *mean),
           *sd = mr_arena_alloc(arena, t->width, sizeof *sd);
    mr_mean_sd(t->x, n, t->width, mean, sd);
    if (zscore) mr_standardise(t->x, n, t->width, mean, sd, t->x);
    return true;
}

static mr_status fit(const table *t, size_t size, size_t samples, bool single, mr_arena *arena,
                     mr_hdbscan *out, mr_error *err) {
    mr_points points;
    assert_int_equal(mr_points_init(&points, arena, t->x, t->n, t->width, err), MR_OK);
    return mr_hdbscan_fit(&points, &(mr_hdbscan_options){size, samples, single}, arena, NULL, out, err);
}

typedef struct reference {
    char name[64];
    int zscore, size;
    size_t n, clusters;
    double weight;
    int32_t label[1000];
} reference;

static bool next_reference(FILE *f, reference *r) {
    double stability;
    if (fscanf(f, "%63s %d %d %zu %zu %lf", r->name, &r->zscore, &r->size, &r->n, &r->clusters, &r->weight) !=
        6)
        return false;
    assert_true(r->n <= 1000);
    for (size_t i = 0; i < r->clusters; i++) assert_int_equal(fscanf(f, "%lf", &stability), 1);
    for (size_t i = 0; i < r->n; i++) assert_int_equal(fscanf(f, "%d", &r->label[i]), 1);
    return true;
}

static void test_labels_and_tree_weight_are_those_of_r_dbscan(void **state) {
    (void)state;
    static reference r;
    FILE *f = fopen(VECTORS "hdbscan.txt", "r");
    assert_non_null(f);
    while (next_reference(f, &r)) {
        mr_arena *arena = mr_arena_new(NULL, 1 << 26);
        table t;
        mr_hdbscan got;
        mr_error err;
        if (read_table(r.name, r.n, r.zscore, arena, &t)) {
            size_t size = (size_t)r.size;
            assert_int_equal(fit(&t, size, size - 1, false, arena, &got, &err), MR_OK);
            assert_int_equal(got.clusters, r.clusters);
            assert_memory_equal(got.label, r.label, r.n * sizeof *r.label);
            assert_true(fabs(got.tree_weight / r.weight - 1) < 1e-12);
        } else {
            print_message("%s is not there\n", r.name);
        }
        mr_arena_free(&arena);
    }
    fclose(f);
}

static void check_stabilities(FILE *f) {
    reference r = {0};
    table t;
    mr_hdbscan got;
    mr_error err;
    mr_arena *arena = mr_arena_new(NULL, 1 << 26);
    assert_int_equal(fscanf(f, "%63s %d %d %zu", r.name, &r.zscore, &r.size, &r.clusters), 4);
    r.n = !strcmp(r.name, "wine") ? 178 : !strcmp(r.name, "breast_cancer") ? 569 : 210;
    bool there = read_table(r.name, r.n, r.zscore, arena, &t);
    if (there) assert_int_equal(fit(&t, (size_t)r.size, (size_t)r.size - 1, false, arena, &got, &err), MR_OK);
    if (there) assert_int_equal(got.clusters, r.clusters);
    for (size_t c = 0; c < r.clusters; c++) {
        double size, stability;
        assert_int_equal(fscanf(f, "%lf %lf", &size, &stability), 2);
        if (!there) continue;
        const mr_condensed *node = &got.tree[got.chosen[c]];
        assert_true(node->size == size);
        assert_true(fabs(node->stability - stability) <= 1e-9 * (1 + stability));
    }
    mr_arena_free(&arena);
}

static void test_stabilities_are_those_of_the_definition(void **state) {
    (void)state;
    char word[64];
    unsigned checked = 0;
    FILE *f = fopen(VECTORS "learners.txt", "r");
    assert_non_null(f);
    while (fscanf(f, "%63s", word) == 1)
        if (!strcmp(word, "stability")) {
            check_stabilities(f);
            checked++;
        }
    fclose(f);
    assert_int_equal(checked, 6);
}

static const double squares[] = {0, 0, 0, 1, 1, 0, 1, 1, 10, 10, 10, 11, 11, 10, 11, 11, 30, -30};

static void test_strengths_and_noise(void **state) {
    (void)state;
    mr_arena *arena = mr_arena_new(NULL, 1 << 22);
    mr_hdbscan got;
    mr_error err;
    assert_int_equal(fit(&(table){(double *)squares, 9, 2}, 3, 2, false, arena, &got, &err), MR_OK);
    assert_memory_equal(got.label, ((int32_t[]){0, 0, 0, 0, 1, 1, 1, 1, -1}), 9 * sizeof(int32_t));
    for (int i = 0; i < 8; i++) assert_true(got.strength[i] == 1);
    assert_true(got.strength[8] == 0);
    mr_arena_free(&arena);
}

static void test_one_cluster_only_when_allowed(void **state) {
    (void)state;
    double x[40];
    for (int i = 0; i < 40; i++) x[i] = i + 0.01 * i * i;
    mr_arena *arena = mr_arena_new(NULL, 1 << 22);
    mr_hdbscan got;
    mr_error err;
    assert_int_equal(fit(&(table){x, 40, 1}, 15, 3, false, arena, &got, &err), MR_OK);
    assert_int_equal(got.clusters, 0);
    assert_int_equal(fit(&(table){x, 40, 1}, 15, 3, true, arena, &got, &err), MR_OK);
    assert_int_equal(got.clusters, 1);
    for (int i = 0; i < 40; i++) assert_int_equal(got.label[i], 0);
    mr_arena_free(&arena);
}

static void test_duplicates_keep_densities_finite(void **state) {
    (void)state;
    double x[30];
    for (int i = 0; i < 30; i++) x[i] = i / 10;
    mr_arena *arena = mr_arena_new(NULL, 1 << 22);
    mr_hdbscan got;
    mr_error err;
    assert_int_equal(fit(&(table){x, 30, 1}, 5, 5, false, arena, &got, &err), MR_OK);
    assert_int_equal(got.clusters, 3);
    for (size_t c = 0; c < 3; c++) assert_true(isfinite(got.tree[got.chosen[c]].stability));
    assert_true(got.tree_weight == 2);
    mr_arena_free(&arena);
}

static void test_what_cannot_be_clustered_is_refused(void **state) {
    (void)state;
    double same[8] = {4, 4, 4, 4, 4, 4, 4, 4}, huge[8] = {0, 1, 2, 3, 4, 5, 6, 1e200},
           nan[8] = {0, 1, 2, NAN};
    mr_arena *arena = mr_arena_new(NULL, 1 << 22), *small = mr_arena_new(NULL, 1500);
    mr_hdbscan got;
    mr_error err;
    assert_int_equal(fit(&(table){same, 8, 1}, 3, 3, false, arena, &got, &err), MR_E_INVALID);
    assert_int_equal(fit(&(table){huge, 8, 1}, 3, 3, false, arena, &got, &err), MR_E_INVALID);
    assert_int_equal(fit(&(table){nan, 8, 1}, 3, 3, false, arena, &got, &err), MR_E_INVALID);
    assert_int_equal(fit(&(table){(double *)squares, 9, 2}, 1, 3, false, arena, &got, &err), MR_E_INVALID);
    assert_int_equal(fit(&(table){(double *)squares, 9, 2}, 3, 9, false, arena, &got, &err), MR_E_INVALID);
    assert_int_equal(fit(&(table){(double *)squares, 9, 2}, 10, 3, false, arena, &got, &err), MR_E_INVALID);
    assert_int_equal(fit(&(table){(double *)squares, 9, 2}, 3, 2, false, small, &got, &err), MR_E_MEMORY);
    mr_arena_free(&arena);
    mr_arena_free(&small);
}

static void test_new_rows_join_or_stay_out(void **state) {
    (void)state;
    mr_arena *arena = mr_arena_new(NULL, 1 << 22);
    mr_points points;
    mr_hdbscan got;
    double near[64];
    mr_error err;
    double strength;
    assert_int_equal(mr_points_init(&points, arena, squares, 9, 2, &err), MR_OK);
    assert_int_equal(mr_hdbscan_fit(&points, &(mr_hdbscan_options){3, 2, false}, arena, NULL, &got, &err),
                     MR_OK);
    assert_int_equal(mr_hdbscan_assign(&got, &points, 2, (double[]){0.5, 0.5}, near, &strength), 0);
    assert_true(strength == 1);
    assert_int_equal(mr_hdbscan_assign(&got, &points, 2, (double[]){12, 12}, near, &strength), 1);
    assert_true(strength > 0 && strength < 1);
    assert_int_equal(mr_hdbscan_assign(&got, &points, 2, (double[]){-40, 80}, near, &strength), MR_NOISE);
    assert_true(strength == 0);
    assert_int_equal(mr_hdbscan_assign(&got, &points, 2, (double[]){1e300, 0}, near, &strength), MR_NOISE);
    mr_arena_free(&arena);
}

static void test_nearest_rows_are_in_order(void **state) {
    (void)state;
    mr_arena *arena = mr_arena_new(NULL, 1 << 22);
    mr_points points;
    mr_neighbour near[20];
    assert_int_equal(mr_points_init(&points, arena, squares, 9, 2, NULL), MR_OK);
    assert_int_equal(mr_nearest(&points, squares, 0, 3, near), 3);
    assert_int_equal(near[0].row, 1); /* ties go to the lower row */
    assert_int_equal(near[1].row, 2);
    assert_int_equal(near[2].row, 3);
    assert_true(near[2].distance == sqrt(2));
    assert_int_equal(mr_nearest(&points, squares, MR_NOBODY, 20, near), 9);
    assert_true(near[0].row == 0 && near[0].distance == 0);
    mr_arena_free(&arena);
}

/* sklearn.metrics.adjusted_rand_score (scikit-learn 1.2.1). */
static void test_adjusted_rand_has_the_reference_values(void **state) {
    (void)state;
    mr_arena *arena = mr_arena_new(NULL, 1 << 20);
    const int32_t a[] = {0, 0, 1, 1, 2, 2, -1, -1, 0, 1}, b[] = {5, 5, 5, 2, 2, 2, 3, 3, 5, 2};
    assert_true(fabs(mr_adjusted_rand(a, b, 10, arena) - 0.45047489823609227) < 1e-12);
    assert_true(mr_adjusted_rand(a, a, 10, arena) == 1);
    assert_true(mr_adjusted_rand((int32_t[]){3, 3, 3}, (int32_t[]){1, 1, 1}, 3, arena) == 1);
    mr_arena_free(&arena);
}

/* Random points, many of them equal, against the sorted neighbours. */
static void test_core_distances_are_those_of_the_sorted_neighbours(void **state) {
    (void)state;
    enum { N = 501, WIDTH = 3 };
    static double x[N * WIDTH], core[N];
    static mr_neighbour near[N];
    mr_arena *arena = mr_arena_new(NULL, 1 << 22);
    mr_points points;
    mr_rng r;
    mr_error err;
    mr_rng_seed(&r, 7);
    for (size_t i = 0; i < N * WIDTH; i++) x[i] = (double)mr_rng_below(&r, i < 600 ? 3 : 1000);
    assert_int_equal(mr_points_init(&points, arena, x, N, WIDTH, &err), MR_OK);
    for (size_t k = 1; k < N; k = 2 * k + 1) {
        assert_int_equal(mr_core_distances(&points, k, core, arena, NULL, &err), MR_OK);
        for (size_t i = 0; i < N; i++) {
            assert_int_equal(mr_nearest(&points, x + i * WIDTH, i, k, near), k);
            assert_true(core[i] == near[k - 1].distance);
        }
    }
    mr_arena_free(&arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_core_distances_are_those_of_the_sorted_neighbours),
        cmocka_unit_test(test_labels_and_tree_weight_are_those_of_r_dbscan),
        cmocka_unit_test(test_stabilities_are_those_of_the_definition),
        cmocka_unit_test(test_strengths_and_noise),
        cmocka_unit_test(test_one_cluster_only_when_allowed),
        cmocka_unit_test(test_duplicates_keep_densities_finite),
        cmocka_unit_test(test_what_cannot_be_clustered_is_refused),
        cmocka_unit_test(test_new_rows_join_or_stay_out),
        cmocka_unit_test(test_nearest_rows_are_in_order),
        cmocka_unit_test(test_adjusted_rand_has_the_reference_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
