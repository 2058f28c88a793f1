#include "worker/kit/choose_test.h"

#include "worker/kit/columns.h"
#include "worker/kit/hypothesis.h"

#include <math.h>
#include <string.h>

enum { NORMAL_ROWS = 20, LINE_ROWS_LEAST = 50 };

bool mr_are_classes(const double *x, size_t n, size_t width) {
    for (size_t j = 0; j < width; j++) {
        uint32_t levels = mr_count_levels(x, n, width, j);
        if (levels > MR_CLASSES_MAX || n < (size_t)MR_CLASS_ROWS * levels) return false;
    }
    return true;
}

/* The column with the smallest p, when it is under alpha over the number of columns. Columns of few values are no
 * measurements and are not asked. */
static void find_odd(const double *x, size_t n, size_t width, double alpha, double *room, mr_test_choice *c) {
    double least = alpha / (double)width;
    for (size_t j = 0; j < width && n >= NORMAL_ROWS; j++) {
        if (mr_count_levels(x, n, width, j) <= MR_RESIDUALS_FEW) continue;
        double mean, sd;
        for (size_t i = 0; i < n; i++) room[i] = x[i * width + j];
        mr_mean_sd(room, n, 1, &mean, &sd);
        mr_standardise(room, n, 1, &mean, &sd, room);
        double p = mr_dagostino_pearson(room, n).p;
        if (!(p < least)) continue;
        least = p;
        c->odd = j;
        c->odd_p = p;
    }
}

static mr_status find_bend(mr_residuals *t, size_t width, double alpha, const mr_ticker *tick, mr_test_choice *c) {
    double least = alpha / ((double)width * (double)(width - 1));
    for (size_t a = 0; a < width; a++)
        for (size_t b = 0; b < width && t->compared[a] > 1; b++) {
            if (a == b) continue;
            MR_TRY(mr_ticker_call(tick));
            mr_residuals_result r = mr_residuals_beyond_line(t, a, b);
            if (!(r.p < least)) continue;
            c->bent[0] = a, c->bent[1] = b;
            c->bend = r;
            return MR_OK;
        }
    return MR_OK;
}

static bool all_vary(const double *x, size_t n, size_t width) {
    for (size_t j = 0; j < width; j++) {
        size_t i = 1;
        while (i < n && x[i * width + j] == x[j]) i++;
        if (i >= n) return false;
    }
    return true;
}

const double *mr_thin_rows(const double *x, size_t n, size_t width, mr_arena *arena, size_t *rows) {
    size_t step = (n + MR_LINE_ROWS - 1) / MR_LINE_ROWS;
    *rows = n;
    if (step < 2) return x;
    size_t left = (n + step - 1) / step;
    double *some = mr_arena_alloc(arena, left * width, sizeof *some);
    if (!some) return NULL;
    for (size_t i = 0; i < left; i++) memcpy(some + i * width, x + i * step * width, width * sizeof *some);
    if (!all_vary(some, left, width)) return x;
    *rows = left;
    return some;
}

static mr_status look_for_bends(const double *x, size_t n, size_t width, double alpha, mr_arena *arena, const mr_ticker *tick,
                                mr_test_choice *c, mr_error *err) {
    mr_residuals t;
    const double *some = mr_thin_rows(x, n, width, arena, &c->bend_rows);
    if (!some) return mr_fail(err, MR_E_MEMORY, "no memory for %zu rows", n);
    MR_TRY(mr_residuals_init(&t, some, c->bend_rows, width, 1, arena, err));
    return find_bend(&t, width, alpha, tick, c);
}

mr_status mr_choose_test(double *x, size_t n, size_t width, const mr_independence_kind *kind, mr_transform transform,
                         double alpha, mr_arena *arena, const mr_ticker *tick, mr_test_choice *c, mr_error *err) {
    *c = (mr_test_choice){.kind = kind ? *kind : MR_FISHER_Z, .odd = width, .bent = {width, width}};
    bool numbers = c->kind == MR_FISHER_Z || c->kind == MR_RESIDUALS;
    if (!kind && mr_are_classes(x, n, width)) c->kind = MR_G_TEST;
    if (!numbers || c->kind == MR_G_TEST) return MR_OK;
    double *room = mr_arena_alloc(arena, n, sizeof *room);
    if (!room) return mr_fail(err, MR_E_MEMORY, "no memory to rank %zu rows", n);
    bool ask = transform == MR_TRANSFORM_AUTO && !(kind && *kind == MR_FISHER_Z);
    if (ask) find_odd(x, n, width, alpha, room, c);
    c->scores = transform == MR_TRANSFORM_SCORES || c->odd < width;
    for (size_t j = 0; c->scores && j < width; j++) {
        MR_TRY(mr_ticker_call(tick));
        mr_normal_scores(x, n, width, j, room);
    }
    if (!kind && n >= LINE_ROWS_LEAST) MR_TRY(look_for_bends(x, n, width, alpha, arena, tick, c, err));
    if (c->bent[0] < width && width <= MR_BENDS_COLUMNS) c->kind = MR_RESIDUALS;
    return MR_OK;
}
