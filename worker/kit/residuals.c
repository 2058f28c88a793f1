#include "worker/kit/residuals.h"

#include "worker/kit/columns.h"
#include "worker/kit/dist.h"
#include "worker/kit/hypothesis.h"
#include "worker/kit/independence.h"

#include <math.h>
#include <string.h>

enum { D = MR_RESIDUALS_DEGREE, ROWS_LEFT = 10 };
static const double DETERMINED = 1e-10;

/* ---- setting up ---- */

static double *column_of(const mr_residuals *t, size_t column, size_t power) { return t->basis + (column * D + power) * t->n; }

/* Brings v to mean 0 and spread 1; all 0 when nothing, or rounding alone, is left of it. */
static void scale(double *v, size_t n, double least) {
    double sum = 0, squares = 0;
    for (size_t i = 0; i < n; i++) sum += v[i];
    double mean = sum / (double)n;
    for (size_t i = 0; i < n; i++) {
        v[i] -= mean;
        squares += v[i] * v[i];
    }
    double sd = sqrt(squares / (double)n), by = sd > least ? 1 / sd : 0;
    for (size_t i = 0; i < n; i++) v[i] *= by;
}

/* Hermite polynomials of degree 2 and 3 of z, which has mean 0 and spread 1: uncorrelated when z is normal. */
static void polynomials(const double *z, size_t n, double *second, double *third) {
    for (size_t i = 0; i < n; i++) {
        second[i] = z[i] * z[i] - 1;
        third[i] = z[i] * (z[i] * z[i] - 3);
    }
}

/* What r, of mean 0 and spread 1, is compared by: powers of a bounded function of it, or r itself. */
static void bound(double *r, size_t n, size_t functions) {
    if (functions == 1) return;
    for (size_t i = 0; i < n; i++) {
        double v = r[i] / sqrt(1 + r[i] * r[i]);
        r[i] = v, r[n + i] = v * v, r[2 * n + i] = v * v * v;
    }
    for (size_t k = 0; k < D; k++) scale(r + k * n, n, DETERMINED);
}

static double product(const double *a, const double *b, size_t n) {
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += a[i] * b[i];
    return sum / (double)n;
}

static void fill(mr_residuals *t, const double *x) {
    size_t n = t->n, columns = t->width * D;
    for (size_t j = 0; j < t->width; j++) {
        double *z = column_of(t, j, 0);
        for (size_t i = 0; i < n; i++) z[i] = x[i * t->width + j];
        scale(z, n, 0);
        polynomials(z, n, column_of(t, j, 1), column_of(t, j, 2));
        for (size_t k = 1; k < D; k++) scale(column_of(t, j, k), n, DETERMINED);
        t->compared[j] = mr_count_levels(x, n, t->width, j) <= MR_RESIDUALS_FEW ? 1 : D;
    }
    for (size_t a = 0; a < columns; a++)
        for (size_t b = 0; b <= a; b++)
            t->moment[a * columns + b] = t->moment[b * columns + a] = product(t->basis + a * n, t->basis + b * n, n);
}

mr_status mr_residuals_init(mr_residuals *t, const double *x, size_t n, size_t width, size_t given_max, mr_arena *arena,
                            mr_error *err) {
    size_t columns = width * D, unknowns = given_max * D;
    *t = (mr_residuals){.n = n, .width = width};
    t->basis = mr_arena_alloc(arena, columns * n, sizeof *t->basis);
    t->moment = mr_arena_alloc(arena, columns * columns, sizeof *t->moment);
    t->compared = mr_arena_alloc(arena, width, sizeof *t->compared);
    t->left = mr_arena_alloc(arena, 2 * D * n, sizeof *t->left);
    t->solve = mr_arena_alloc(arena, unknowns * (unknowns + 1) + 1, sizeof *t->solve);
    if (!t->basis || !t->moment || !t->compared || !t->left || !t->solve)
        return mr_fail(err, MR_E_MEMORY, "no memory for the polynomials of %zu rows of %zu columns", n, width);
    fill(t, x);
    return MR_OK;
}

/* ---- what the given columns leave ---- */

/* The place of the k-th unknown among the columns of `basis`. */
static size_t place(const uint16_t *given, size_t k) { return (size_t)given[k / D] * D + k % D; }

/* The Cholesky factor of the given columns' moments, in t->solve; one that follows from those before it is passed over
 * (0 on the diagonal). Returns how many are left. */
static size_t factor(mr_residuals *t, const uint16_t *given, size_t count) {
    size_t m = count * D, all = t->width * D, rank = 0;
    double *l = t->solve;
    for (size_t i = 0; i < m; i++) {
        for (size_t j = 0; j <= i; j++) {
            double v = t->moment[place(given, i) * all + place(given, j)];
            for (size_t k = 0; k < j; k++) v -= l[i * m + k] * l[j * m + k];
            if (i == j)
                l[i * m + i] = v > DETERMINED ? sqrt(v) : 0;
            else
                l[i * m + j] = l[j * m + j] > 0 ? v / l[j * m + j] : 0;
        }
        rank += l[i * m + i] > 0;
    }
    return rank;
}

/* Writes what is left of the column, as it is compared, into `out`; false when nothing is left of it. */
static bool regress(mr_residuals *t, size_t column, const uint16_t *given, size_t count, double *out) {
    size_t m = count * D, n = t->n, all = t->width * D;
    const double *l = t->solve;
    double *b = t->solve + m * m;
    for (size_t i = 0; i < m; i++) {
        b[i] = t->moment[column * D * all + place(given, i)];
        for (size_t k = 0; k < i; k++) b[i] -= l[i * m + k] * b[k];
        b[i] = l[i * m + i] > 0 ? b[i] / l[i * m + i] : 0;
    }
    memcpy(out, column_of(t, column, 0), n * sizeof *out);
    for (size_t i = m; i-- > 0;) {
        for (size_t k = i + 1; k < m; k++) b[i] -= l[k * m + i] * b[k];
        b[i] = l[i * m + i] > 0 ? b[i] / l[i * m + i] : 0;
        const double *f = t->basis + place(given, i) * n;
        for (size_t row = 0; b[i] != 0 && row < n; row++) out[row] -= b[i] * f[row];
    }
    scale(out, n, sqrt(DETERMINED));
    bound(out, n, t->compared[column]);
    return product(out, out, n) > 0;
}

/* ---- the comparison ---- */

typedef struct spans {
    const double *column[2 * D]; /* first those of one, then those of the other */
    size_t first, count;
} spans;

/* Log determinant of the correlations of columns from..count, those that follow from others passed over; their number
 * in *rank. */
static double log_determinant(const spans *s, size_t from, const double c[2 * D][2 * D], size_t *rank) {
    double l[2 * D][2 * D] = {{0}}, sum = 0;
    *rank = 0;
    for (size_t i = from; i < s->count; i++) {
        for (size_t j = from; j <= i; j++) {
            double v = c[i][j];
            for (size_t k = from; k < j; k++) v -= l[i][k] * l[j][k];
            if (i == j)
                l[i][i] = v > DETERMINED ? sqrt(v) : 0;
            else
                l[i][j] = l[j][j] > 0 ? v / l[j][j] : 0;
        }
        if (!(l[i][i] > 0)) continue;
        sum += 2 * log(l[i][i]);
        ++*rank;
    }
    return sum;
}

/* -factor log(Wilks' lambda); df is the product of the ranks. */
static mr_residuals_result compare(const spans *s, size_t n, size_t used) {
    double c[2 * D][2 * D] = {{0}};
    spans first = *s;
    size_t rank_a, rank_b, rank;
    first.count = s->first;
    for (size_t i = 0; i < s->count; i++)
        for (size_t j = 0; j <= i; j++) c[i][j] = c[j][i] = product(s->column[i], s->column[j], n);
    double a = log_determinant(&first, 0, c, &rank_a), b = log_determinant(s, s->first, c, &rank_b),
           both = log_determinant(s, 0, c, &rank);
    double factor = (double)n - 1 - (double)used - ((double)(rank_a + rank_b) + 1) / 2;
    if (factor < ROWS_LEFT) return (mr_residuals_result){NAN, NAN, NAN};
    mr_residuals_result r = {0, (double)(rank_a * rank_b), NAN};
    if (r.df <= 0) return (mr_residuals_result){0, 0, 1};
    r.statistic = rank < rank_a + rank_b ? INFINITY : fmax(0, factor * (a + b - both));
    r.p = isinf(r.statistic) ? 0 : mr_chi2_sf(r.statistic, r.df);
    return r;
}

static void add_columns(spans *s, const double *from, size_t n, size_t count) {
    for (size_t k = 0; k < count; k++) s->column[s->count++] = from + k * n;
}

mr_residuals_result mr_residuals_test(mr_residuals *t, size_t a, size_t b, const uint16_t *given, size_t count) {
    size_t n = t->n, used = factor(t, given, count);
    double *left_a = t->left, *left_b = t->left + D * n;
    if (n < used + ROWS_LEFT) return (mr_residuals_result){NAN, NAN, NAN};
    if (!regress(t, a, given, count, left_a) || !regress(t, b, given, count, left_b)) return (mr_residuals_result){0, 0, 1};
    spans s = {.count = 0};
    add_columns(&s, left_a, n, t->compared[a]);
    s.first = s.count;
    add_columns(&s, left_b, n, t->compared[b]);
    return compare(&s, n, used);
}

mr_residuals_result mr_residuals_beyond_line(mr_residuals *t, size_t a, size_t b) {
    size_t n = t->n, all = t->width * D;
    double slope = t->moment[a * D * all + b * D], *left = t->left, *by = t->left + D * n;
    const double *y = column_of(t, a, 0), *x = column_of(t, b, 0);
    for (size_t i = 0; i < n; i++) left[i] = y[i] - slope * x[i];
    scale(left, n, sqrt(DETERMINED));
    if (!(product(left, left, n) > 0)) return (mr_residuals_result){0, 0, 1};
    memcpy(by, x, n * sizeof *by);
    bound(left, n, t->compared[a]);
    bound(by, n, t->compared[b]);
    spans s = {.count = 0};
    add_columns(&s, left, n, t->compared[a]);
    s.first = s.count;
    add_columns(&s, by, n, t->compared[b]);
    return compare(&s, n, 1);
}

/* ---- normal scores ---- */

/* The first place in the sorted numbers that is not below v, or, `past`, that is above it. */
static size_t first_not_below(const double *sorted, size_t n, double v, bool past) {
    size_t low = 0, high = n;
    while (low < high) {
        size_t at = low + (high - low) / 2;
        if (past ? sorted[at] <= v : sorted[at] < v)
            low = at + 1;
        else
            high = at;
    }
    return low;
}

void mr_normal_scores(double *x, size_t n, size_t width, size_t column, double *room) {
    for (size_t i = 0; i < n; i++) room[i] = x[i * width + column];
    mr_sort_numbers(room, n);
    for (size_t i = 0; i < n; i++) {
        double *v = &x[i * width + column];
        size_t below = first_not_below(room, n, *v, false), upto = first_not_below(room, n, *v, true);
        *v = mr_normal_quantile(((double)(below + upto) + 1) / 2 / ((double)n + 1));
    }
}
