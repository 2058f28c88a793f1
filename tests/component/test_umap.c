/* knn.h, umap_graph.h, spectral.h, umap_layout.h, umap.h and embedding_quality.h. Reference values: tests/vectors/reduction.py
 * (SciPy, scikit-learn, R's uwot), brute force, and LAPACK in this process. */
#include "tests/component/harness.h"
#include "worker/kit/columns.h"
#include "worker/kit/embedding_quality.h"
#include "worker/kit/linalg.h"
#include "worker/kit/product.h"
#include "worker/kit/rsvd.h"
#include "worker/kit/spectral.h"
#include "worker/kit/umap.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/* ---- tables ---- */

typedef struct table {
    mr_arena *arena;
    mr_points points;
    double *x; /* z-scores */
    size_t n, width;
} table;

static table table_of(double *x, size_t n, size_t width) {
    table t = {.arena = mr_arena_new(NULL, (size_t)1 << 30), .n = n, .width = width};
    mr_error err;
    t.x = mr_arena_alloc(t.arena, n * width, sizeof *t.x);
    assert_non_null(t.x);
    memcpy(t.x, x, n * width * sizeof *x);
    assert_int_equal(mr_points_init(&t.points, t.arena, t.x, n, width, &err), MR_OK);
    return t;
}

static table shared(const char *name) {
    harness h;
    char path[96];
    snprintf(path, sizeof path, "tabular/%s.csv", name);
    harness_file(&h, "dimensionality_reducer", path, "label=target");
    size_t n = h.batch.rows, w = h.batch.width;
    double mean[64], sd[64], *z = malloc(n * w * sizeof *z);
    assert_true(z && w <= 64);
    mr_mean_sd(h.batch.features, n, w, mean, sd);
    mr_standardise(h.batch.features, n, w, mean, sd, z);
    table t = table_of(z, n, w);
    free(z);
    harness_free(&h);
    return t;
}

/* Groups of points along bent lines in `width` columns. */
static table blobs(size_t n, size_t width, size_t groups) {
    double *x = malloc(n * width * sizeof *x), *centre = malloc(groups * width * sizeof *centre);
    mr_rng rng;
    assert_true(x && centre);
    mr_rng_seed(&rng, 17);
    for (size_t i = 0; i < groups * width; i++) centre[i] = 3 * mr_rng_normal(&rng);
    for (size_t i = 0; i < n; i++) {
        double t = mr_rng_normal(&rng), u = mr_rng_normal(&rng);
        for (size_t j = 0; j < width; j++)
            x[i * width + j] = centre[i % groups * width + j] + t * cos((double)j) + u * sin(2 * (double)j) +
                               0.3 * t * u + 0.2 * mr_rng_normal(&rng);
    }
    table t = table_of(x, n, width);
    free(x);
    free(centre);
    return t;
}

static void table_free(table *t) { mr_arena_free(&t->arena); }

/* Lines of reduction.txt that start with `word` and, when given, `name`: the rest of each is handed to `check`. */
static void lines_of(const char *word, const char *name, void (*check)(const char *name, const char *rest)) {
    char line[1024], first[32], second[32];
    int used, seen = 0;
    FILE *f = fopen(MR_SOURCE_DIR "/tests/vectors/reduction.txt", "r");
    assert_non_null(f);
    while (fgets(line, sizeof line, f)) {
        if (sscanf(line, "%31s %31s%n", first, second, &used) != 2 || strcmp(first, word) != 0) continue;
        if (name && strcmp(second, name) != 0) continue;
        check(second, line + used);
        seen++;
    }
    fclose(f);
    assert_true(seen > 0);
}

/* ---- neighbours ---- */

static void test_exact_neighbours_are_those_of_brute_force(void **state) {
    (void)state;
    table t = blobs(301, 5, 4);
    memcpy(t.x + 5 * 7, t.x + 5 * 9, 5 * sizeof *t.x); /* two equal points */
    mr_error err;
    mr_points p;
    mr_knn got;
    mr_neighbour near[12];
    assert_int_equal(mr_points_init(&p, t.arena, t.x, t.n, t.width, &err), MR_OK);
    assert_int_equal(mr_knn_exact(&p, 12, t.arena, NULL, &got, &err), MR_OK);
    for (size_t i = 0; i < t.n; i++) {
        assert_int_equal(mr_nearest(&p, t.x + i * 5, i, 12, near), 12);
        for (size_t j = 0; j < 12; j++) {
            assert_int_equal(got.row[i * 12 + j], near[j].row);
            assert_true(got.distance[i * 12 + j] == near[j].distance);
        }
    }
    table_free(&t);
}

static void test_descent_finds_nearly_all_neighbours(void **state) {
    (void)state;
    table t = blobs(6000, 20, 8);
    mr_error err;
    mr_knn exact, found, again;
    size_t same = 0, k = 14;
    assert_int_equal(mr_knn_exact(&t.points, k, t.arena, NULL, &exact, &err), MR_OK);
    assert_int_equal(mr_knn_descent(&t.points, k, 5, t.arena, NULL, &found, &err), MR_OK);
    assert_int_equal(mr_knn_descent(&t.points, k, 5, t.arena, NULL, &again, &err), MR_OK);
    assert_false(found.exact);
    assert_memory_equal(found.row, again.row, t.n * k * sizeof *found.row);
    for (size_t i = 0; i < t.n; i++)
        for (size_t a = 0; a < k; a++)
            for (size_t b = 0; b < k; b++) same += found.row[i * k + a] == exact.row[i * k + b];
    print_message("%.4f of the neighbours found\n", (double)same / (double)(t.n * k));
    assert_true((double)same >= 0.95 * (double)(t.n * k));
    table_free(&t);
}

/* More equal points than a leaf holds, and lists that a leaf cannot fill. */
static void test_descent_ends_where_points_are_equal_or_few(void **state) {
    (void)state;
    double same[200 * 2] = {0};
    table t = table_of(same, 200, 2), few = blobs(30, 3, 2);
    mr_error err;
    mr_knn got;
    assert_int_equal(mr_knn_descent(&t.points, 10, 1, t.arena, NULL, &got, &err), MR_OK);
    for (size_t i = 0; i < 200 * 10; i++) assert_true(got.distance[i] == 0 && got.row[i] != i / 10);
    assert_int_equal(mr_knn_descent(&few.points, 29, 1, few.arena, NULL, &got, &err), MR_OK);
    for (size_t i = 0; i < 30; i++)
        for (size_t j = 0; j + 1 < 29; j++) assert_true(got.distance[i * 29 + j] <= got.distance[i * 29 + j + 1]);
    table_free(&t);
    table_free(&few);
}

/* ---- the graph ---- */

static void check_curve(const char *min_dist, const char *rest) {
    double spread, expected_a, expected_b, a, b;
    assert_int_equal(sscanf(rest, "%lf %lf %lf", &spread, &expected_a, &expected_b), 3);
    mr_umap_curve(strtod(min_dist, NULL), spread, &a, &b);
    assert_true(fabs(a / expected_a - 1) < 1e-7 && fabs(b / expected_b - 1) < 1e-7);
}

static void test_the_curve_is_that_of_scipy(void **state) {
    (void)state;
    lines_of("curve", NULL, check_curve);
}

static mr_graph graph_of(table *t, size_t neighbours) {
    mr_knn knn;
    mr_graph g;
    mr_error err;
    assert_int_equal(mr_knn_exact(&t->points, neighbours - 1, t->arena, NULL, &knn, &err), MR_OK);
    assert_int_equal(mr_umap_graph(&knn, t->arena, &g, &err), MR_OK);
    return g;
}

static int falling(const void *x, const void *y) {
    double a = *(const double *)x, b = *(const double *)y;
    return (a < b) - (a > b);
}

/* uwot works in single precision where it sums memberships. */
static void check_graph(const char *name, const char *rest) {
    size_t n, edges;
    double sum, top[5], total = 0, own[64] = {0};
    assert_int_equal(sscanf(rest, "%zu %zu %lf %lf %lf %lf %lf %lf", &n, &edges, &sum, &top[0], &top[1], &top[2], &top[3],
                            &top[4]), 8);
    table t = shared(name);
    mr_graph g = graph_of(&t, 15);
    assert_int_equal(t.n, n);
    assert_int_equal(g.edges, edges);
    for (size_t e = 0; e < g.edges; e++) total += g.weight[e];
    assert_true(fabs(total / sum - 1) < 1e-5);
    assert_true(g.start[1] < 64);
    memcpy(own, g.weight, g.start[1] * sizeof *own);
    qsort(own, g.start[1], sizeof *own, falling);
    for (int j = 0; j < 5; j++) assert_true(fabs(own[j] - top[j]) < 1e-4);
    table_free(&t);
}

static void test_the_graph_is_that_of_uwot(void **state) {
    (void)state;
    lines_of("graph", NULL, check_graph);
}

static void test_spectral_vectors_are_those_of_lapack(void **state) {
    (void)state;
    table t = shared("wine");
    mr_graph g = graph_of(&t, 15);
    mr_spectral got;
    mr_error err;
    size_t n = t.n, parts;
    double *laplacian = calloc(n * n, sizeof *laplacian), *degree = calloc(n, sizeof *degree);
    double *values = malloc(n * sizeof *values), *vectors = malloc(n * n * sizeof *vectors);
    assert_true(laplacian && degree && values && vectors);
    assert_int_equal(mr_graph_parts(&g, t.arena, &parts, &err), MR_OK);
    assert_int_equal(parts, 1);
    for (size_t i = 0; i < n; i++)
        for (uint32_t e = g.start[i]; e < g.start[i + 1]; e++) degree[i] += g.weight[e];
    for (size_t i = 0; i < n; i++)
        for (uint32_t e = g.start[i]; e < g.start[i + 1]; e++)
            laplacian[i * n + g.to[e]] = -g.weight[e] / sqrt(degree[i] * degree[g.to[e]]);
    for (size_t i = 0; i < n; i++) laplacian[i * n + i] += 1;
    assert_int_equal(mr_linalg_eigen(t.arena, laplacian, n, values, vectors, &err), MR_OK);
    assert_int_equal(mr_spectral_fit(&g, 3, 1e-9, 7, t.arena, NULL, &got, &err), MR_OK);
    assert_true(got.residual <= 1e-9);
    for (size_t k = 0; k < 3; k++) {
        assert_true(fabs(got.values[k] - values[n - 2 - k]) < 1e-10);
        assert_true(fabs(fabs(mr_dot(got.vectors + k * n, vectors + (n - 2 - k) * n, n)) - 1) < 1e-8);
    }
    free(laplacian);
    free(degree);
    free(values);
    free(vectors);
    table_free(&t);
}

/* ---- the layout ---- */

static void test_the_tables_of_forces_follow_their_formulas(void **state) {
    (void)state;
    double a = 1.5769436134, b = 0.8950607193;
    mr_arena *arena = mr_arena_new(NULL, 1 << 20);
    mr_umap_forces *f = mr_umap_forces_new(a, b, arena);
    assert_non_null(f);
    for (double d2 = 1e-8; d2 < 5e5; d2 *= 1.003) {
        double pull = -2 * a * b * pow(d2, b - 1) / (1 + a * pow(d2, b));
        double push = 2 * b / ((0.001 + d2) * (1 + a * pow(d2, b)));
        assert_true(fabs(mr_umap_pull(f, d2) / pull - 1) < 2e-4);
        assert_true(fabs(mr_umap_push(f, d2) / push - 1) < 2e-4);
    }
    assert_true(isfinite(mr_umap_pull(f, 0)) && isfinite(mr_umap_pull(f, INFINITY)) && isfinite(mr_umap_push(f, NAN)));
    mr_arena_free(&arena);
}

static mr_umap lay_out(table *t, size_t dimensions, uint64_t seed) {
    mr_umap u;
    mr_error err;
    mr_umap_options o = {.neighbours = 15, .dimensions = dimensions, .min_dist = 0.1, .spread = 1, .seed = seed};
    assert_int_equal(mr_umap_fit(&t->points, &o, t->arena, NULL, &u, &err), MR_OK);
    return u;
}

static mr_embedding_quality quality(table *t, const double *layout, size_t dims, size_t k, size_t centres) {
    mr_points p;
    mr_error err;
    mr_embedding_quality q;
    assert_int_equal(mr_points_init(&p, t->arena, layout, t->n, dims, &err), MR_OK);
    assert_int_equal(mr_embedding_quality_of(&t->points, &p, k, centres, 1, t->arena, NULL, &q, &err), MR_OK);
    return q;
}

/* Mean of five seeds, as in the reference. */
static void check_umap(const char *name, const char *rest) {
    double trust, continuity, got_trust = 0, got_continuity = 0;
    assert_int_equal(sscanf(rest, "%lf %lf", &trust, &continuity), 2);
    table t = shared(name);
    for (uint64_t seed = 1; seed <= 5; seed++) {
        mr_umap u = lay_out(&t, 2, seed);
        mr_embedding_quality q = quality(&t, u.layout, 2, 15, 0);
        got_trust += q.trustworthiness / 5;
        got_continuity += q.continuity / 5;
    }
    print_message("%s: trustworthiness %.4f (uwot %.4f), continuity %.4f (uwot %.4f)\n", name, got_trust, trust,
                  got_continuity, continuity);
    assert_true(got_trust > trust - 0.01 && got_continuity > continuity - 0.01);
    table_free(&t);
}

static void test_layouts_are_as_good_as_those_of_uwot(void **state) {
    (void)state;
    lines_of("umap", NULL, check_umap);
}

static void test_the_same_seed_gives_the_same_bits_and_another_others(void **state) {
    (void)state;
    table t = blobs(300, 6, 1);
    mr_umap a = lay_out(&t, 3, 4), b = lay_out(&t, 3, 4), c = lay_out(&t, 3, 5);
    assert_memory_equal(a.layout, b.layout, 300 * 3 * sizeof(double));
    assert_true(memcmp(a.layout, c.layout, 300 * 3 * sizeof(double)) != 0);
    table_free(&t);
}

static void test_groups_that_nothing_joins_start_from_principal_components(void **state) {
    (void)state;
    table t = blobs(400, 12, 5);
    for (size_t i = 0; i < t.n * t.width; i++) t.x[i] += 1000 * (double)(i / t.width % 5);
    mr_error err;
    assert_int_equal(mr_points_init(&t.points, t.arena, t.x, t.n, t.width, &err), MR_OK);
    mr_umap u = lay_out(&t, 2, 1);
    assert_int_equal(u.start, MR_UMAP_PRINCIPAL);
    assert_int_equal(u.parts, 5);
    assert_true(quality(&t, u.layout, 2, 15, 0).trustworthiness > 0.95);
    table_free(&t);
}

/* Fitted rows keep their places; new ones come to lie beside those that they are near to, each for itself. */
static void test_new_rows_are_put_among_the_fitted_ones(void **state) {
    (void)state;
    table all = blobs(1200, 8, 4), t = table_of(all.x, 1000, 8);
    mr_umap u = lay_out(&t, 2, 3);
    mr_umap_placer *placer = mr_umap_placer_new(&u, &t.points, t.arena);
    double at[2], again[2], *layout = malloc(1200 * 2 * sizeof *layout);
    assert_true(placer && layout);
    memcpy(layout, u.layout, 1000 * 2 * sizeof *layout);
    for (size_t i = 0; i < 50; i++) {
        mr_umap_place(placer, t.x + i * 8, at);
        assert_memory_equal(at, u.layout + i * 2, sizeof at);
    }
    for (size_t i = 1000; i < 1200; i++) {
        assert_true(mr_umap_place(placer, all.x + i * 8, at) > 0);
        mr_umap_place(placer, all.x + 1100 * 8, again);
        mr_umap_place(placer, all.x + i * 8, again);
        assert_memory_equal(at, again, sizeof at);
        memcpy(layout + i * 2, at, sizeof at);
    }
    mr_embedding_quality fitted = quality(&t, u.layout, 2, 15, 0), with = quality(&all, layout, 2, 15, 0);
    print_message("trustworthiness %.4f fitted, %.4f with 200 new rows\n", fitted.trustworthiness, with.trustworthiness);
    assert_true(with.trustworthiness > fitted.trustworthiness - 0.02 && with.continuity > fitted.continuity - 0.02);
    free(layout);
    table_free(&t);
    table_free(&all);
}

/* ---- quality ---- */

static void check_quality(const char *name, const char *rest) {
    size_t k;
    double trust, continuity;
    mr_rsvd svd;
    mr_error err;
    assert_int_equal(sscanf(rest, "%zu %lf %lf", &k, &trust, &continuity), 3);
    table t = shared(name);
    double *scores = malloc(t.n * 2 * sizeof *scores);
    assert_non_null(scores);
    assert_int_equal(mr_rsvd_fit(t.x, t.n, t.width, &(mr_rsvd_options){2, 28, 10, 1}, t.arena, NULL, &svd, &err), MR_OK);
    mr_product(mr_view_of(t.x, t.width), mr_view_transposed(svd.vectors, t.width), t.n, t.width, 2, false, scores);
    mr_embedding_quality all = quality(&t, scores, 2, k, 0), some = quality(&t, scores, 2, k, t.n / 2);
    assert_true(fabs(all.trustworthiness - trust) < 1e-12);
    assert_true(fabs(all.continuity - continuity) < 1e-12);
    assert_int_equal(some.centres, t.n / 2);
    assert_true(fabs(some.trustworthiness - trust) < 0.02 && fabs(some.continuity - continuity) < 0.02);
    mr_embedding_quality itself = quality(&t, t.x, t.width, k, 0);
    assert_true(itself.trustworthiness == 1 && itself.continuity == 1);
    assert_true(isnan(quality(&t, scores, 2, (t.n + 1) / 2, 0).trustworthiness));
    free(scores);
    table_free(&t);
}

static void test_trustworthiness_and_continuity_are_those_of_sklearn(void **state) {
    (void)state;
    lines_of("quality", NULL, check_quality);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exact_neighbours_are_those_of_brute_force),
        cmocka_unit_test(test_descent_finds_nearly_all_neighbours),
        cmocka_unit_test(test_descent_ends_where_points_are_equal_or_few),
        cmocka_unit_test(test_the_curve_is_that_of_scipy),
        cmocka_unit_test(test_the_graph_is_that_of_uwot),
        cmocka_unit_test(test_spectral_vectors_are_those_of_lapack),
        cmocka_unit_test(test_the_tables_of_forces_follow_their_formulas),
        cmocka_unit_test(test_layouts_are_as_good_as_those_of_uwot),
        cmocka_unit_test(test_the_same_seed_gives_the_same_bits_and_another_others),
        cmocka_unit_test(test_groups_that_nothing_joins_start_from_principal_components),
        cmocka_unit_test(test_new_rows_are_put_among_the_fitted_ones),
        cmocka_unit_test(test_trustworthiness_and_continuity_are_those_of_sklearn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
