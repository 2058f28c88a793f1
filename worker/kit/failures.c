#include "worker/kit/failures.h"
#include "worker/kit/hdbscan.h"

#include <string.h>

typedef struct study {
    const mr_failures_options *options;
    uint64_t seed;
    mr_arena *arena;
    const mr_ticker *tick;
} study;

static mr_status take_rows(const study *t, const mr_sample *sample, mr_failures *s, mr_error *err) {
    size_t n = s->n = sample->count, w = s->width;
    if (n < MR_FAILURES_ROWS_MIN)
        return mr_fail(err, MR_E_INVALID, "%zu rows are too few; give at least %d", n, MR_FAILURES_ROWS_MIN);
    s->row = sample->row;
    s->raw = mr_arena_alloc(t->arena, n * w, sizeof(double));
    s->z = mr_arena_alloc(t->arena, n * w, sizeof(double));
    s->group = mr_arena_alloc(t->arena, n, sizeof *s->group);
    s->score = mr_arena_alloc(t->arena, n, sizeof(double));
    s->mean = mr_arena_alloc(t->arena, w, sizeof(double));
    s->sd = mr_arena_alloc(t->arena, w, sizeof(double));
    if (!s->raw || !s->z || !s->group || !s->score || !s->mean || !s->sd)
        return mr_fail(err, MR_E_MEMORY, "no memory for %zu sampled rows", n);
    for (size_t i = 0; i < n; i++) {
        const double *row = sample->values + i * (w + 1);
        memcpy(s->raw + i * w, row, w * sizeof *row);
        s->group[i] = row[w] == 0   ? MR_FAILURES_SCATTERED
                      : row[w] == 1 ? MR_FAILURES_SUCCEEDED
                                    : MR_FAILURES_UNKNOWN;
        s->failures += s->group[i] == MR_FAILURES_SCATTERED;
        s->labelled += s->group[i] != MR_FAILURES_UNKNOWN;
    }
    return MR_OK;
}

static mr_status find_anomalies(const study *t, mr_failures *s, mr_error *err) {
    size_t varying = 0;
    mr_mean_sd(s->raw, s->n, s->width, s->mean, s->sd);
    mr_standardise(s->raw, s->n, s->width, s->mean, s->sd, s->z);
    for (size_t j = 0; j < s->width; j++) varying += s->sd[j] > 0;
    if (varying == 0)
        return mr_fail(err, MR_E_INVALID, "every feature column holds one value only, so no row stands out");
    MR_TRY(mr_forest_fit(&s->forest, t->arena, s->z, s->n, s->width, t->options->trees, t->options->subsample,
                         t->seed, t->tick, err));
    for (size_t i = 0; i < s->n; i++) {
        MR_TRY(mr_ticker_call(t->tick));
        s->score[i] = mr_forest_score(&s->forest, s->z + i * s->width);
    }
    return MR_OK;
}

static bool all_equal(const double *x, size_t n, size_t width) {
    for (size_t i = width; i < n * width; i++)
        if (x[i] != x[i - width]) return false;
    return true;
}

/* Fewer failed rows than min_mode_size are all scattered; equal ones are one mode. */
static mr_status find_modes(const study *t, mr_failures *s, mr_error *err) {
    size_t size = t->options->min_mode_size, count = 0, w = s->width;
    s->scattered = s->failures;
    if (s->failures < size || s->failures < 3) return MR_OK;
    double *x = mr_arena_alloc(t->arena, s->failures * w, sizeof *x);
    uint32_t *from = mr_arena_alloc(t->arena, s->failures, sizeof *from);
    if (!x || !from) return mr_fail(err, MR_E_MEMORY, "no memory for %zu failed rows", s->failures);
    for (uint32_t i = 0; i < s->n; i++) {
        if (s->group[i] != MR_FAILURES_SCATTERED) continue;
        memcpy(x + count * w, s->z + i * w, w * sizeof *x);
        from[count++] = i;
    }
    mr_hdbscan found = {.clusters = 1};
    if (!all_equal(x, count, w)) {
        mr_points points;
        mr_hdbscan_options o = {size, size < count ? size : count - 1, true};
        MR_TRY(mr_points_init(&points, t->arena, x, count, w, err));
        MR_TRY(mr_hdbscan_fit(&points, &o, t->arena, t->tick, &found, err));
    }
    s->modes = found.clusters;
    for (size_t i = 0; i < count; i++) {
        s->group[from[i]] = found.label ? found.label[i] : 0;
        s->scattered -= s->group[from[i]] >= 0;
    }
    return MR_OK;
}

static mr_status take_labelled(const study *t, mr_failures *s, mr_error *err) {
    size_t w = s->width, count = 0;
    s->lz = mr_arena_alloc(t->arena, s->labelled * w + 1, sizeof(double));
    s->lfailed = mr_arena_alloc(t->arena, s->labelled + 1, 1);
    s->lrow = mr_arena_alloc(t->arena, s->labelled + 1, sizeof *s->lrow);
    s->lgroup = mr_arena_alloc(t->arena, s->labelled + 1, sizeof *s->lgroup);
    if (!s->lz || !s->lfailed || !s->lrow || !s->lgroup)
        return mr_fail(err, MR_E_MEMORY, "no memory for %zu labelled rows", s->labelled);
    for (size_t i = 0; i < s->n; i++) {
        if (s->group[i] == MR_FAILURES_UNKNOWN) continue;
        memcpy(s->lz + count * w, s->z + i * w, w * sizeof *s->z);
        s->lfailed[count] = s->group[i] != MR_FAILURES_SUCCEEDED;
        s->lrow[count] = s->row[i];
        s->lgroup[count++] = s->group[i];
    }
    return MR_OK;
}

static mr_status learn_risk(const study *t, mr_failures *s, mr_error *err) {
    const mr_failures_options *o = t->options;
    if (s->failures < MR_FAILURES_LEARN_MIN || s->labelled - s->failures < MR_FAILURES_LEARN_MIN)
        return MR_OK;
    MR_TRY(mr_risk_hold_out(s->lz, s->lfailed, s->labelled, s->width, o->neighbours, o->trees, o->subsample,
                            t->seed, t->arena, t->tick, &s->held_out, err));
    MR_TRY(mr_points_init(&s->points, t->arena, s->lz, s->labelled, s->width, err));
    s->risk = (mr_risk){.points = &s->points,
                        .failed = s->lfailed,
                        .forest = &s->forest,
                        .neighbours = o->neighbours < s->labelled ? o->neighbours : s->labelled - 1};
    s->learned = true;
    return mr_risk_fit(&s->risk, t->arena, t->tick, err);
}

mr_status mr_failures_study(const mr_sample *sample, mr_names names, const mr_failures_options *options,
                            uint64_t seed, mr_arena *arena, const mr_ticker *tick, mr_failures *out,
                            mr_error *err) {
    study t = {options, seed, arena, tick};
    *out = (mr_failures){.names = names, .width = names.count};
    MR_TRY(take_rows(&t, sample, out, err));
    MR_TRY(find_anomalies(&t, out, err));
    MR_TRY(find_modes(&t, out, err));
    MR_TRY(take_labelled(&t, out, err));
    return learn_risk(&t, out, err);
}
