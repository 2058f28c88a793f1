/* Reference values: tests/vectors/clusters.py (scikit-learn 1.2.1). */
#include "tests/component/harness.h"
#include "worker/kit/columns.h"
#include "worker/kit/dimension.h"
#include "worker/kit/settings.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define VECTORS MR_SOURCE_DIR "/tests/vectors/"
enum { ROWS_MAX = 1000, WIDTH_MAX = 40 };

/* ---- the kit beside scikit-learn ---- */

typedef struct table {
    mr_arena *arena;
    double *x;
    size_t n, width;
    mr_points points;
} table;

/* All columns but the last; false when the file is not there. */
static bool read_table(table *t, const char *name, int zscore) {
    char path[4096], line[8192];
    mr_error err;
    snprintf(path, sizeof path,
             !strcmp(name, "hdbscan_blobs") ? VECTORS "%s.csv"
                                            : MR_SOURCE_DIR "/../shared/data/tabular/%s.csv",
             name);
    FILE *f = fopen(path, "r");
    if (!f) return false;
    *t = (table){.arena = mr_arena_new(NULL, 1 << 27)};
    t->x = mr_arena_alloc(t->arena, (size_t)ROWS_MAX * WIDTH_MAX, sizeof(double));
    assert_non_null(fgets(line, sizeof line, f));
    for (char *c = line; *c; c++) t->width += *c == ',';
    for (; fgets(line, sizeof line, f); t->n++) {
        char *at = line;
        for (size_t j = 0; j < t->width; j++, at++) t->x[t->n * t->width + j] = strtod(at, &at);
    }
    fclose(f);
    double mean[WIDTH_MAX], sd[WIDTH_MAX];
    mr_mean_sd(t->x, t->n, t->width, mean, sd);
    if (zscore) mr_standardise(t->x, t->n, t->width, mean, sd, t->x);
    assert_int_equal(mr_points_init(&t->points, t->arena, t->x, t->n, t->width, &err), MR_OK);
    return true;
}

static void near_to(double got, double expected, double relative) {
    if (!(fabs(got - expected) <= relative * fabs(expected))) fail_msg("%.17g is not %.17g", got, expected);
}

static void check_scores(const table *t, size_t k, int noise, const double *expected) {
    mr_error err;
    int32_t label[ROWS_MAX];
    double row[ROWS_MAX], sum = 0;
    size_t counted = 0;
    for (size_t i = 0; i < t->n; i++)
        label[i] = noise && i % 11 == 0 ? MR_NOISE : (int32_t)((7 * i + i / 5) % k);
    mr_partition part = {.label = label, .clusters = k};
    assert_int_equal(mr_silhouettes(&t->points, &part, 1, row, t->arena, NULL, &err), MR_OK);
    assert_int_equal(mr_scatter_indices(&t->points, &part, t->arena, &err), MR_OK);
    assert_true(fabs(part.silhouette - expected[0]) < 1e-9);
    near_to(part.davies_bouldin, expected[1], 1e-9);
    near_to(part.calinski_harabasz, expected[2], 1e-9);
    for (size_t i = 0; i < t->n; i++) {
        assert_int_equal(isnan(row[i]) != 0, label[i] == MR_NOISE);
        if (label[i] == MR_NOISE) continue;
        sum += row[i];
        counted++;
    }
    near_to(sum / (double)counted, part.silhouette, 1e-12);
}

static void check_kmeans(const table *t, size_t k, double least) {
    mr_error err;
    mr_kmeans fit;
    assert_int_equal(mr_kmeans_fit(&t->points, k, 10, 7, t->arena, NULL, &fit, &err), MR_OK);
    assert_int_equal(fit.k, k);
    double inertia = 0;
    for (size_t i = 0; i < t->n; i++) {
        const double *row = t->x + i * t->width, *centre = fit.centre + (size_t)fit.label[i] * t->width;
        assert_int_equal(mr_kmeans_assign(&fit, t->width, row), fit.label[i]);
        for (size_t f = 0; f < t->width; f++) inertia += (row[f] - centre[f]) * (row[f] - centre[f]);
    }
    near_to(fit.inertia, inertia, 1e-12);
    assert_true(fit.inertia < least * 1.005);
}

static void check_mixture(const table *t, size_t k, int full, double log_likelihood) {
    mr_error err;
    mr_mixture fit;
    int32_t label[ROWS_MAX];
    for (size_t i = 0; i < t->n; i++) {
        size_t rank = 0;
        for (size_t j = 0; j < t->n; j++) {
            double x = t->x[i * t->width], y = t->x[j * t->width];
            rank += y < x || (y == x && j < i);
        }
        label[i] = (int32_t)(rank * k / t->n);
    }
    mr_status status =
        mr_mixture_fit(t->x, t->n, t->width, label, k, full, 1e-10, t->arena, NULL, &fit, &err);
    assert_int_equal(status, MR_OK);
    assert_true(fabs(fit.log_likelihood - log_likelihood) < 1e-4 * (1 + fabs(log_likelihood)));
}

static void check_dimension(const table *t, double two_nn, double levina_bickel) {
    mr_error err;
    mr_dimension d;
    assert_int_equal(mr_intrinsic_dimension(&t->points, 10, t->arena, NULL, &d, &err), MR_OK);
    near_to(d.two_nn, two_nn, 1e-6);
    near_to(d.levina_bickel, levina_bickel, 1e-6);
    assert_true(d.two_nn_low < d.two_nn && d.two_nn < d.two_nn_high);
}

static void test_indices_and_fits_are_those_of_sklearn(void **state) {
    (void)state;
    char what[32], name[64], line[512];
    unsigned checked = 0;
    FILE *f = fopen(VECTORS "clusters.txt", "r");
    assert_non_null(f);
    while (fgets(line, sizeof line, f)) {
        int zscore, at, count;
        double v[5] = {0};
        table t;
        assert_int_equal(sscanf(line, "%31s %63s %d%n", what, name, &zscore, &at), 3);
        count = sscanf(line + at, "%lf %lf %lf %lf %lf", &v[0], &v[1], &v[2], &v[3], &v[4]);
        if (!read_table(&t, name, zscore)) continue;
        if (!strcmp(what, "scores") && count == 5)
            check_scores(&t, (size_t)v[0], v[1] > 0, v + 2);
        else if (!strcmp(what, "kmeans") && count == 2)
            check_kmeans(&t, (size_t)v[0], v[1]);
        else if (!strcmp(what, "mixture") && count == 3)
            check_mixture(&t, (size_t)v[0], v[1] > 0, v[2]);
        else if (!strcmp(what, "two_nn") && count == 2)
            check_dimension(&t, v[0], v[1]);
        else
            fail_msg("not understood: %s", line);
        mr_arena_free(&t.arena);
        checked++;
    }
    fclose(f);
    assert_true(checked >= 12);
}

static void test_edges_of_the_indices(void **state) {
    (void)state;
    double x[] = {0, 0, 1, 5, 6};
    int32_t one[] = {0, 0, 0, 0, 0}, alone[] = {0, 0, 0, 1, 1}, each[] = {0, 0, 1, 1, 2},
            noise[] = {-1, -1, -1, -1, -1};
    mr_partition parts[] = {{.label = one, .clusters = 1},
                            {.label = alone, .clusters = 2},
                            {.label = each, .clusters = 3},
                            {.label = noise, .clusters = 0}};
    double row[5];
    mr_error err;
    mr_points p;
    mr_arena *arena = mr_arena_new(NULL, 1 << 20);
    assert_int_equal(mr_points_init(&p, arena, x, 5, 1, &err), MR_OK);
    assert_int_equal(mr_silhouettes(&p, parts, 4, NULL, arena, NULL, &err), MR_OK);
    for (size_t i = 0; i < 4; i++) assert_int_equal(mr_scatter_indices(&p, &parts[i], arena, &err), MR_OK);
    assert_true(isnan(parts[0].silhouette) && isnan(parts[0].davies_bouldin));
    assert_true(isnan(parts[3].silhouette) && parts[3].noise == 5);
    assert_int_equal(mr_silhouettes(&p, &parts[2], 1, row, arena, NULL, &err), MR_OK);
    assert_true(row[0] == 1 && row[4] == 0); /* equal rows beside each other; a row alone in its cluster */
    mr_arena_free(&arena);
}

static void test_fewer_places_than_clusters_give_fewer_clusters(void **state) {
    (void)state;
    double x[] = {1, 1, 1, 4, 4, 4, 4, 9};
    mr_error err;
    mr_points p;
    mr_kmeans fit;
    mr_arena *arena = mr_arena_new(NULL, 1 << 20);
    assert_int_equal(mr_points_init(&p, arena, x, 8, 1, &err), MR_OK);
    assert_int_equal(mr_kmeans_fit(&p, 5, 3, 1, arena, NULL, &fit, &err), MR_OK);
    assert_int_equal(fit.k, 3);
    assert_true(fit.inertia == 0 && fit.label[0] == 0 && fit.label[3] == 1 && fit.label[7] == 2);
    mr_arena_free(&arena);
}

/* ---- the component ---- */

/* `groups` normal blobs of sd 1, `apart` between them, in `width` columns. */
static void blobs(double *x, size_t n, size_t width, size_t groups, double apart, uint64_t seed) {
    mr_rng r;
    mr_rng_seed(&r, seed);
    for (size_t i = 0; i < n; i++)
        for (size_t f = 0; f < width; f++)
            x[i * width + f] =
                mr_rng_normal(&r) + (f == i % groups % width ? apart * (double)(1 + i % groups / width) : 0);
}

static void test_planted_clusters_are_found(void **state) {
    (void)state;
    static double x[900 * 6];
    for (size_t groups = 2; groups <= 6; groups++) {
        harness h;
        blobs(x, 900, 6, groups, 15, groups);
        harness_numbers(&h, "clustering_optimizer", x, 900, 6);
        harness_set(&h, "standardise=false");
        harness_run(&h, 100, 7);
        assert_true(harness_number(&h, 0, "clusters") == (double)groups);
        assert_true(harness_number(&h, 0, "silhouette") > 0.6);
        for (size_t i = 0; i < 900; i++) {
            char path[32];
            snprintf(path, sizeof path, "labels[%zu]", i);
            assert_true(harness_number(&h, 0, path) == (double)(i % groups));
        }
        harness_free(&h);
    }
}

/* The defaults of scikit-learn 1.2.1 (k-means with 8 clusters), and HDBSCAN with min_cluster_size 5, are in
 * the grid. */
static void never_worse(const char *file) {
    harness h;
    harness_file(&h, "clustering_optimizer", file, "label=target");
    harness_run(&h, 100, 7);
    double best = harness_number(&h, 0, "silhouette");
    size_t settings = harness_length(&h, 0, "settings");
    for (size_t i = 0; i < settings; i++) {
        char path[64];
        snprintf(path, sizeof path, "settings[%zu].excluded", i);
        if (mr_json_kind(harness_at(&h, 0, path)) != MR_JSON_NULL) continue;
        snprintf(path, sizeof path, "settings[%zu].silhouette", i);
        assert_true(harness_number(&h, 0, path) <= best);
        snprintf(path, sizeof path, "settings[%zu].noise", i);
        assert_true(harness_number(&h, 0, path) <= 0.3 * harness_number(&h, 0, "rows"));
    }
    assert_true(settings > 30);
    harness_free(&h);
}

static void test_never_worse_than_any_setting_that_counts(void **state) {
    (void)state;
    never_worse("tabular/wine.csv");
}

static void test_many_rows_are_searched_on_a_sample_and_all_are_labelled(void **state) {
    (void)state;
    static double x[3000 * 4];
    harness h;
    blobs(x, 3000, 4, 4, 15, 3);
    harness_numbers(&h, "clustering_optimizer", x, 3000, 4);
    harness_set(&h, "sample=400 max_clusters=5 standardise=false");
    harness_run(&h, 100, 7);
    assert_true(harness_number(&h, 0, "rows") == 3000 && harness_number(&h, 0, "sampled") == 400);
    assert_int_equal(harness_length(&h, 0, "labels"), 3000);
    assert_int_equal(harness_length(&h, 0, "silhouettes"), 400);
    double first[4] = {-1, -1, -1, -1};
    size_t noise = 0;
    for (size_t i = 0; i < 3000; i++) {
        char path[32];
        snprintf(path, sizeof path, "labels[%zu]", i);
        double label = harness_number(&h, 0, path);
        noise += label < 0;
        if (label >= 0 && first[i % 4] < 0) first[i % 4] = label;
        assert_true(label < 0 || label == first[i % 4]);
    }
    assert_true((double)noise == harness_number(&h, 0, "noise") && noise <= 900);
    harness_free(&h);
}

static void test_dimension_of_a_plane_in_space_is_two(void **state) {
    (void)state;
    static double x[1500 * 8];
    mr_rng r;
    mr_rng_seed(&r, 5);
    for (size_t i = 0; i < 1500; i++) {
        double u = mr_rng_normal(&r), v = mr_rng_normal(&r);
        for (size_t f = 0; f < 8; f++) x[i * 8 + f] = u * cos((double)f) + v * sin(2.0 * (double)f);
    }
    harness h;
    harness_numbers(&h, "clustering_optimizer", x, 1500, 8);
    harness_set(&h, "max_clusters=2 starts=1");
    harness_run(&h, 100, 7);
    assert_true(harness_number(&h, 0, "intrinsic_dimension.low") < 2.0);
    assert_true(harness_number(&h, 0, "intrinsic_dimension.high") > 2.0);
    assert_true(fabs(harness_number(&h, 0, "intrinsic_dimension.levina_bickel") - 2) < 0.25);
    harness_free(&h);
}

static void refused(const char *text, const char *word) {
    harness h;
    harness_text(&h, "clustering_optimizer", text, NULL);
    assert_int_equal(harness_try(&h, 4, 7), MR_E_INVALID);
    if (!strstr(h.err.text, word)) fail_msg("'%s' does not say '%s'", h.err.text, word);
    harness_free(&h);
}

static void test_bad_input_is_refused_with_its_place(void **state) {
    (void)state;
    refused("a\n1\n2\n", "too few");
    refused("a,b\n1,2\n3,\n1,2\n1,2\n1,2\n1,2\n1,2\n1,2\n1,2\n1,2\n", "row 1, column 'b'");
    refused("a\n1\n1\n1\n1\n1\n1\n1\n1\n1\n1\n1\n", "one value only");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_indices_and_fits_are_those_of_sklearn),
        cmocka_unit_test(test_edges_of_the_indices),
        cmocka_unit_test(test_fewer_places_than_clusters_give_fewer_clusters),
        cmocka_unit_test(test_planted_clusters_are_found),
        cmocka_unit_test(test_never_worse_than_any_setting_that_counts),
        cmocka_unit_test(test_many_rows_are_searched_on_a_sample_and_all_are_labelled),
        cmocka_unit_test(test_dimension_of_a_plane_in_space_is_two),
        cmocka_unit_test(test_bad_input_is_refused_with_its_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
