#include "worker/kit/risk.h"
#include "common/rng.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- the two inputs ---- */

static void inputs(const mr_risk *r, const double *row, size_t except, mr_neighbour *near,
                   double out[MR_RISK_WEIGHTS]) {
    size_t count = mr_nearest(r->points, row, except, r->neighbours, near), bad = 0;
    for (size_t i = 0; i < count; i++) bad += r->failed[near[i].row];
    out[0] = 1;
    out[1] = log(((double)bad + 0.5) / ((double)(count - bad) + 0.5));
    out[2] = 10 * (mr_forest_score(r->forest, row) - 0.5);
}

static double probability(const double w[MR_RISK_WEIGHTS], const double v[MR_RISK_WEIGHTS]) {
    double sum = 0;
    for (int j = 0; j < MR_RISK_WEIGHTS; j++) sum += w[j] * v[j];
    return 1 / (1 + exp(-sum));
}

double mr_risk_of(const mr_risk *r, const double *row, size_t except, mr_neighbour *near) {
    double v[MR_RISK_WEIGHTS];
    inputs(r, row, except, near, v);
    return probability(r->weight, v);
}

/* ---- logistic regression ---- */

enum { M = MR_RISK_WEIGHTS };

/* Solves h x = g for a positive definite h by elimination; g becomes x. */
static void solve(double h[M][M], double g[M]) {
    for (int i = 0; i < M; i++)
        for (int k = i + 1; k < M; k++) {
            double f = h[k][i] / h[i][i];
            for (int j = i; j < M; j++) h[k][j] -= f * h[i][j];
            g[k] -= f * g[i];
        }
    for (int i = M - 1; i >= 0; i--) {
        for (int j = i + 1; j < M; j++) g[i] -= h[i][j] * g[j];
        g[i] /= h[i][i];
    }
}

/* One step; returns its largest change, at most 5 in any weight. */
static double newton_step(const double *v, const uint8_t *failed, size_t n, double w[M]) {
    double h[M][M] = {{0}}, g[M] = {0}, most = 0;
    for (int j = 0; j < M; j++) {
        double penalty = j == 0 ? 1e-9 : 0.01;
        h[j][j] = penalty;
        g[j] = -penalty * w[j];
    }
    for (size_t i = 0; i < n; i++) {
        const double *x = v + i * M;
        double p = probability(w, x), spread = p * (1 - p);
        for (int j = 0; j < M; j++) {
            g[j] += (failed[i] - p) * x[j];
            for (int k = 0; k < M; k++) h[j][k] += spread * x[j] * x[k];
        }
    }
    solve(h, g);
    for (int j = 0; j < M; j++) most = fmax(most, fabs(g[j]));
    double damp = most > 5 ? 5 / most : 1;
    for (int j = 0; j < M; j++) w[j] += damp * g[j];
    return most;
}

mr_status mr_risk_fit(mr_risk *r, mr_arena *arena, const mr_ticker *tick, mr_error *err) {
    enum { STEPS_MAX = 60 };
    size_t n = r->points->n;
    double *v = mr_arena_alloc(arena, n * M, sizeof *v);
    mr_neighbour *near = mr_arena_alloc(arena, r->neighbours, sizeof *near);
    if (!v || !near) return mr_fail(err, MR_E_MEMORY, "no memory for the failure odds of %zu rows", n);
    for (size_t i = 0; i < n; i++) {
        MR_TRY(mr_ticker_call(tick));
        inputs(r, r->points->rows + i * r->points->width, i, near, v + i * M);
    }
    memset(r->weight, 0, sizeof r->weight);
    for (int step = 0; step < STEPS_MAX; step++)
        if (newton_step(v, r->failed, n, r->weight) < 1e-10) break;
    return MR_OK;
}

/* ---- held-out rows ---- */

typedef struct split {
    double *train, *test;
    uint8_t *train_failed, *test_failed;
    size_t trained, tested, train_failures, test_failures;
} split;

static mr_status divide(const double *x, const uint8_t *failed, size_t n, size_t width, uint64_t seed,
                        mr_arena *arena, split *s, mr_error *err) {
    *s = (split){.train = mr_arena_alloc(arena, n * width, sizeof(double)),
                 .test = mr_arena_alloc(arena, n * width, sizeof(double)),
                 .train_failed = mr_arena_alloc(arena, n, 1),
                 .test_failed = mr_arena_alloc(arena, n, 1)};
    if (!s->train || !s->test || !s->train_failed || !s->test_failed)
        return mr_fail(err, MR_E_MEMORY, "no memory to hold out rows of %zu", n);
    for (size_t i = 0; i < n; i++) {
        bool out = mr_mix64(i ^ mr_mix64(seed ^ 0x686f6c64)) % 4 == 0;
        memcpy(out ? s->test + s->tested * width : s->train + s->trained * width, x + i * width,
               width * sizeof *x);
        if (out)
            s->test_failed[s->tested++] = failed[i];
        else
            s->train_failed[s->trained++] = failed[i];
        if (out)
            s->test_failures += failed[i];
        else
            s->train_failures += failed[i];
    }
    return MR_OK;
}

static void measure(const split *s, const double *p, mr_arena *arena, mr_risk_measure *out) {
    size_t right = 0, alarms = 0, caught = 0, good = s->tested - s->test_failures;
    double brier = 0;
    for (size_t i = 0; i < s->tested; i++) {
        bool called = p[i] >= 0.5, bad = s->test_failed[i];
        right += called == bad;
        alarms += called && !bad;
        caught += called && bad;
        brier += (p[i] - bad) * (p[i] - bad);
    }
    *out = (mr_risk_measure){.rows = s->tested,
                             .failures = s->test_failures,
                             .accuracy = (double)right / (double)s->tested,
                             .false_positive_rate = (double)alarms / (double)good,
                             .recall = (double)caught / (double)s->test_failures,
                             .auc = mr_auc(p, s->test_failed, s->tested, arena),
                             .brier = brier / (double)s->tested};
}

mr_status mr_risk_hold_out(const double *x, const uint8_t *failed, size_t n, size_t width, size_t neighbours,
                           size_t trees, size_t subsample, uint64_t seed, mr_arena *arena,
                           const mr_ticker *tick, mr_risk_measure *out, mr_error *err) {
    split s;
    mr_points points;
    mr_forest forest;
    *out = (mr_risk_measure){0};
    MR_TRY(divide(x, failed, n, width, seed, arena, &s, err));
    if (s.train_failures == 0 || s.train_failures == s.trained || s.test_failures == 0 ||
        s.test_failures == s.tested || s.trained < 8)
        return MR_OK;
    MR_TRY(mr_points_init(&points, arena, s.train, s.trained, width, err));
    MR_TRY(mr_forest_fit(&forest, arena, s.train, s.trained, width, trees, subsample, seed, tick, err));
    mr_risk r = {.points = &points,
                 .failed = s.train_failed,
                 .forest = &forest,
                 .neighbours = neighbours < s.trained ? neighbours : s.trained - 1};
    MR_TRY(mr_risk_fit(&r, arena, tick, err));
    double *p = mr_arena_alloc(arena, s.tested, sizeof *p);
    mr_neighbour *near = mr_arena_alloc(arena, r.neighbours, sizeof *near);
    if (!p || !near) return mr_fail(err, MR_E_MEMORY, "no memory for %zu probabilities", s.tested);
    for (size_t i = 0; i < s.tested; i++) {
        MR_TRY(mr_ticker_call(tick));
        p[i] = mr_risk_of(&r, s.test + i * width, MR_NOBODY, near);
    }
    measure(&s, p, arena, out);
    return MR_OK;
}

/* ---- area under the curve ---- */

typedef struct scored {
    double score;
    uint8_t positive;
} scored;

static int by_score(const void *x, const void *y) {
    double p = ((const scored *)x)->score, q = ((const scored *)y)->score;
    return (p > q) - (p < q);
}

double mr_auc(const double *score, const uint8_t *positive, size_t n, mr_arena *arena) {
    scored *v = mr_arena_alloc(arena, n + 1, sizeof *v);
    if (!v) return NAN;
    for (size_t i = 0; i < n; i++) v[i] = (scored){score[i], positive[i]};
    qsort(v, n, sizeof *v, by_score);
    double below = 0, wins = 0, up = 0; /* negatives so far, pairs won, positives so far */
    for (size_t i = 0, j; i < n; i = j) {
        double here_up = 0, here_down = 0;
        for (j = i; j < n && v[j].score == v[i].score; j++) *(v[j].positive ? &here_up : &here_down) += 1;
        wins += here_up * (below + here_down / 2);
        below += here_down;
        up += here_up;
    }
    return up > 0 && below > 0 ? wins / (up * below) : NAN;
}
