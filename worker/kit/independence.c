#include "worker/kit/independence.h"

#include "worker/kit/columns.h"
#include "worker/kit/dist.h"

#include <math.h>
#include <string.h>

static const double DETERMINED = 1e-12;

const char *mr_independence_name(mr_independence_kind kind) {
    static const char *const names[] = {"Fisher z", "G test", "chi-square test", "cubic residuals"};
    return names[kind];
}

/* ---- setting up ---- */

/* Distinct values of a column, ascending; MR_LEVELS_MAX + 1 when there are more. */
static uint32_t distinct(const double *x, size_t n, size_t width, size_t column,
                         double values[MR_LEVELS_MAX]) {
    uint32_t count = 0;
    for (size_t i = 0; i < n; i++) {
        double v = x[i * width + column];
        uint32_t at = 0;
        while (at < count && values[at] < v) at++;
        if (at < count && values[at] == v) continue;
        if (count == MR_LEVELS_MAX) return MR_LEVELS_MAX + 1;
        memmove(values + at + 1, values + at, (count - at) * sizeof *values);
        values[at] = v;
        count++;
    }
    return count;
}

uint32_t mr_count_levels(const double *x, size_t n, size_t width, size_t column) {
    double values[MR_LEVELS_MAX];
    return distinct(x, n, width, column, values);
}

static mr_status encode(mr_independence *t, const double *x, size_t column, mr_error *err) {
    double values[MR_LEVELS_MAX];
    uint32_t count = t->level[column] = distinct(x, t->n, t->width, column, values);
    if (count > MR_LEVELS_MAX)
        return mr_fail(
            err, MR_E_INVALID,
            "column %zu has more than %d different values; a test of counts wants classes: leave the column "
            "out or choose Fisher z",
            column + 1, MR_LEVELS_MAX);
    for (size_t i = 0; i < t->n; i++) {
        uint8_t at = 0;
        while (values[at] < x[i * t->width + column]) at++;
        t->code[column * t->n + i] = at;
    }
    return MR_OK;
}

static mr_status init_codes(mr_independence *t, const double *x, mr_arena *arena, mr_error *err) {
    size_t n = t->n;
    t->code = mr_arena_alloc(arena, n * t->width, 1);
    t->level = mr_arena_alloc(arena, t->width, sizeof *t->level);
    t->stratum = mr_arena_alloc(arena, n, sizeof *t->stratum);
    t->at = mr_arena_alloc(arena, n + 1, sizeof *t->at);
    t->order = mr_arena_alloc(arena, n, sizeof *t->order);
    t->map = mr_arena_alloc(arena, n * MR_LEVELS_MAX, sizeof *t->map);
    if (!t->code || !t->level || !t->stratum || !t->at || !t->order || !t->map)
        return mr_fail(err, MR_E_MEMORY, "no memory for the codes of %zu rows", n);
    for (size_t j = 0; j < t->width; j++) MR_TRY(encode(t, x, j, err));
    return MR_OK;
}

static mr_status init_correlation(mr_independence *t, const double *x, mr_arena *arena, mr_error *err) {
    size_t n = t->n, w = t->width;
    double *mean = mr_arena_alloc(arena, 2 * w, sizeof *mean), *z = mr_arena_alloc(arena, w, sizeof *z);
    t->correlation = mr_arena_alloc(arena, w * w, sizeof *t->correlation);
    if (!mean || !z || !t->correlation)
        return mr_fail(err, MR_E_MEMORY, "no memory for %zu correlations", w * w);
    mr_mean_sd(x, n, w, mean, mean + w);
    for (size_t i = 0; i < n; i++) {
        mr_standardise(x + i * w, 1, w, mean, mean + w, z);
        for (size_t j = 0; j < w; j++)
            for (size_t k = 0; k < j; k++) t->correlation[j * w + k] += z[j] * z[k];
    }
    for (size_t j = 0; j < w; j++) {
        t->correlation[j * w + j] = 1;
        for (size_t k = 0; k < j; k++) t->correlation[k * w + j] = t->correlation[j * w + k] /= (double)n;
    }
    return MR_OK;
}

mr_status mr_independence_init(mr_independence *t, mr_independence_kind kind, double undecided_p,
                               const double *x, size_t n, size_t width, mr_arena *arena, mr_error *err) {
    *t = (mr_independence){.kind = kind, .n = n, .width = width, .undecided_p = undecided_p};
    if (n < 4)
        return mr_fail(err, MR_E_INVALID, "%zu rows are too few to test independence; give at least 4", n);
    if (kind == MR_RESIDUALS)
        return mr_residuals_init(&t->residuals, x, n, width, width < MR_GIVEN_MAX ? width : MR_GIVEN_MAX, arena, err);
    return kind == MR_FISHER_Z ? init_correlation(t, x, arena, err) : init_codes(t, x, arena, err);
}

/* ---- Fisher z ---- */

/* The partial correlation from the Cholesky factor of the correlations of S, a, b in this order. A column of
 * S that follows from those before it is passed over; NaN when a or b follows from S. */
static double partial_correlation(const mr_independence *t, size_t a, size_t b, const uint16_t *given,
                                  size_t count) {
    enum { SIZE = MR_GIVEN_MAX + 2 };
    double l[SIZE][SIZE];
    for (size_t i = 0; i < count + 2; i++) {
        size_t row = i < count ? given[i] : i == count ? a : b;
        for (size_t j = 0; j <= i; j++) {
            size_t column = j < count ? given[j] : j == count ? a : b;
            double v = t->correlation[row * t->width + column];
            for (size_t k = 0; k < j; k++) v -= l[i][k] * l[j][k];
            if (i == j)
                l[i][i] = v > DETERMINED ? sqrt(v) : 0;
            else
                l[i][j] = l[j][j] > 0 ? v / l[j][j] : 0;
        }
    }
    double left = l[count + 1][count], rest = l[count + 1][count + 1];
    if (l[count][count] == 0 || left * left + rest * rest <= DETERMINED) return NAN;
    return left / sqrt(left * left + rest * rest);
}

static mr_independence_result fisher_z(const mr_independence *t, size_t a, size_t b, const uint16_t *given,
                                       size_t count) {
    if (t->n < count + 4) return (mr_independence_result){NAN, NAN, NAN};
    double r = partial_correlation(t, a, b, given, count);
    if (isnan(r)) return (mr_independence_result){0, NAN, t->undecided_p};
    double z = sqrt((double)(t->n - count - 3)) * atanh(r);
    return (mr_independence_result){z, NAN, fmin(1, 2 * mr_normal_sf(fabs(z)))};
}

/* ---- counts ---- */

/* Numbers the strata of S from 0 in t->stratum; returns how many hold rows. */
static uint32_t number_strata(mr_independence *t, const uint16_t *given, size_t count) {
    uint32_t strata = 1;
    memset(t->stratum, 0, t->n * sizeof *t->stratum);
    for (size_t s = 0; s < count; s++) {
        const uint8_t *code = t->code + (size_t)given[s] * t->n;
        uint32_t levels = t->level[given[s]], next = 0;
        memset(t->map, 0, (size_t)strata * levels * sizeof *t->map);
        for (size_t i = 0; i < t->n; i++) {
            uint32_t *seen = &t->map[t->stratum[i] * levels + code[i]];
            if (!*seen) *seen = ++next;
            t->stratum[i] = *seen - 1;
        }
        strata = next;
    }
    return strata;
}

/* Brings the rows of each stratum together in t->order; stratum k is at[k] .. at[k + 1] - 1. */
static void sort_strata(mr_independence *t, uint32_t strata) {
    memset(t->at, 0, ((size_t)strata + 1) * sizeof *t->at);
    for (size_t i = 0; i < t->n; i++) t->at[t->stratum[i] + 1]++;
    for (uint32_t k = 0; k < strata; k++) t->at[k + 1] += t->at[k];
    for (size_t i = 0; i < t->n; i++) t->order[t->at[t->stratum[i]]++] = (uint32_t)i;
    for (uint32_t k = strata; k > 0; k--) t->at[k] = t->at[k - 1];
    t->at[0] = 0;
}

static double term(bool chi_square, double observed, double expected) {
    if (chi_square) return (observed - expected) * (observed - expected) / expected;
    return observed > 0 ? 2 * observed * log(observed / expected) : 0;
}

typedef struct table {
    uint32_t cell[MR_LEVELS_MAX][MR_LEVELS_MAX], row[MR_LEVELS_MAX], column[MR_LEVELS_MAX];
} table;

static void add_table(const table *c, uint32_t rows, uint32_t columns, double total, bool chi_square,
                      mr_independence_result *sum) {
    double rows_seen = 0, columns_seen = 0;
    for (uint32_t i = 0; i < rows; i++) rows_seen += c->row[i] > 0;
    for (uint32_t j = 0; j < columns; j++) columns_seen += c->column[j] > 0;
    sum->df += (rows_seen - 1) * (columns_seen - 1);
    for (uint32_t i = 0; i < rows; i++)
        for (uint32_t j = 0; c->row[i] && j < columns; j++)
            if (c->column[j])
                sum->statistic +=
                    term(chi_square, c->cell[i][j], (double)c->row[i] * (double)c->column[j] / total);
}

static void clear_table(table *c, uint32_t rows, uint32_t columns) {
    for (uint32_t i = 0; i < rows; i++) memset(c->cell[i], 0, columns * sizeof c->cell[i][0]);
    memset(c->row, 0, sizeof c->row);
    memset(c->column, 0, sizeof c->column);
}

static mr_independence_result by_counts(mr_independence *t, size_t a, size_t b, const uint16_t *given,
                                        size_t count) {
    mr_independence_result sum = {0, 0, t->undecided_p};
    const uint8_t *x = t->code + a * t->n, *y = t->code + b * t->n;
    uint32_t strata = number_strata(t, given, count);
    table c;
    sort_strata(t, strata);
    for (uint32_t k = 0; k < strata; k++) {
        clear_table(&c, t->level[a], t->level[b]);
        for (uint32_t i = t->at[k]; i < t->at[k + 1]; i++) {
            uint8_t p = x[t->order[i]], q = y[t->order[i]];
            c.cell[p][q]++;
            c.row[p]++;
            c.column[q]++;
        }
        add_table(&c, t->level[a], t->level[b], t->at[k + 1] - t->at[k], t->kind == MR_CHI_SQUARE, &sum);
    }
    if (sum.df > 0) sum.p = mr_chi2_sf(fmax(0, sum.statistic), sum.df);
    return sum;
}

static mr_independence_result by_residuals(mr_independence *t, size_t a, size_t b, const uint16_t *given, size_t count) {
    mr_residuals_result r = mr_residuals_test(&t->residuals, a, b, given, count);
    if (r.df == 0) return (mr_independence_result){0, 0, t->undecided_p};
    return (mr_independence_result){r.statistic, r.df, r.p};
}

mr_independence_result mr_independence_test(mr_independence *t, size_t a, size_t b, const uint16_t *given,
                                            size_t count) {
    MR_ASSERT(count <= MR_GIVEN_MAX);
    t->tests++;
    if (t->kind == MR_RESIDUALS) return by_residuals(t, a, b, given, count);
    return t->kind == MR_FISHER_Z ? fisher_z(t, a, b, given, count) : by_counts(t, a, b, given, count);
}
