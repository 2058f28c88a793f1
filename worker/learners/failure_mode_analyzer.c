/* failure_mode_analyzer: how and where rows fail. Every batch gives a bottom-k sample (worker/kit/sample.h),
 * so batches and workers cannot change the outcome; the last merge grows an isolation forest on the sampled
 * rows, groups the failed ones by density into failure modes, and learns the probability that a row fails. The
 * last partial is kept as the artifact `state`, which takes in rows that come later. */
#include "worker/component.h"
#include "worker/kit/failure_rows.h"
#include "worker/kit/failures.h"
#include "worker/kit/put.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { TRAITS = 4, TOP_ANOMALIES = 10, ARTIFACTS_MAX = 31 << 20 };
static const char model_magic[] = "failures-model-1", state_magic[] = "failures-state-1";

typedef struct failure_config {
    int64_t sample, trees, subsample, min_mode_size, neighbours, nearest;
} failure_config;

#define WHOLE(field, def_, min_, max_, unit_, help_)                                                         \
    {                                                                                                        \
        .name = #field, .type = MR_OPT_INT, .offset = offsetof(failure_config, field), .def = def_,          \
        .min = min_, .max = max_, .unit = unit_, .help = help_                                               \
    }

static const mr_option options[] = {
    WHOLE(sample, "8192", 64, 16384, "rows", "rows to keep; more rows than this are sampled uniformly"),
    WHOLE(trees, "500", 10, 2000, NULL, "isolation trees"),
    WHOLE(subsample, "256", 2, 4096, "rows", "rows that each tree is grown on"),
    WHOLE(min_mode_size, "5", 2, 4096, "rows", "failed rows that make a failure mode"),
    WHOLE(neighbours, "15", 1, 200, "rows", "nearest rows whose outcomes tell the probability of failure"),
    WHOLE(nearest, "3", 1, 20, "rows", "past failures to name for each new row"),
    MR_OPTION_END};

static const mr_field outputs[] = {
    {"rows", MR_FIELD_INTEGER, "rows", "rows seen, or scored by a stored model", MR_FOLD_SUM},
    {"failed", MR_FIELD_INTEGER, "rows", "rows with success = 0", MR_FOLD_NONE},
    {"succeeded", MR_FIELD_INTEGER, "rows", "rows with success = 1", MR_FOLD_NONE},
    {"sampled", MR_FIELD_INTEGER, "rows", "rows that everything below is computed from", MR_FOLD_NONE},
    {"columns", MR_FIELD_LIST, NULL, "names of the feature columns", MR_FOLD_NONE},
    {"anomaly_auc", MR_FIELD_NUMBER, NULL,
     "probability that a failed row has a higher anomaly score than a successful one (area under the ROC "
     "curve)",
     MR_FOLD_NONE},
    {"score_rows", MR_FIELD_LIST, NULL, "positions of the sampled rows", MR_FOLD_NONE},
    {"scores", MR_FIELD_NUMBERS, NULL,
     "anomaly score of each of them, or of each row by a stored model: 0 to 1, ordinary rows "
     "below 0.5",
     MR_FOLD_NONE},
    {"top_anomalies", MR_FIELD_LIST, NULL,
     "the rows with the highest scores: row, score, failed (nil: not known)", MR_FOLD_NONE},
    {"modes", MR_FIELD_LIST, NULL,
     "failure modes, the largest first: mode, size, share of the sampled failures, typical row, mean score, "
     "and the features that set it apart from the successful rows (name, difference in standard deviations, "
     "means)",
     MR_FOLD_NONE},
    {"scattered", MR_FIELD_INTEGER, "rows", "sampled failures that belong to no mode", MR_FOLD_NONE},
    {"held_out", MR_FIELD_MAP, NULL,
     "how well failure is foreseen on a quarter of the rows, kept apart: rows, failures, accuracy, "
     "false_positive_rate, recall, auc, brier, baseline (accuracy of always naming the commoner outcome)",
     MR_FOLD_NONE},
    {"probabilities", MR_FIELD_NUMBERS, NULL, "apply only: probability that each row fails", MR_FOLD_NONE},
    {"nearest_failures", MR_FIELD_LIST, NULL,
     "apply only: for each row the nearest past failures: row (position), distance (in standard deviations), "
     "mode (-1: none)",
     MR_FOLD_NONE},
    {0}};

static mr_status refuse(mr_ctx *ctx, const mr_error *err) {
    return mr_refuse(ctx, err->status, "%s", err->text);
}

static mr_status tick(void *ctx) { return mr_tick(ctx); }

/* ---- partials: worker/kit/failure_rows.h ---- */

static mr_failure_draw draw_of(mr_ctx *ctx, const failure_config *o) {
    return (mr_failure_draw){mr_ctx_seed(ctx), (size_t)o->sample, MR_PARTIAL_MAX};
}

static mr_status process(mr_ctx *ctx, const void *config, const mr_batch *batch, mr_out *out) {
    mr_error err = {0};
    mr_failure_rows p;
    mr_failure_draw draw = draw_of(ctx, config);
    if (mr_check_features(batch, MR_FAILURE_WIDTH, &err) != MR_OK) return refuse(ctx, &err);
    mr_failure_rows_init(&p, mr_ctx_arena(ctx), &draw, (mr_names){batch->width, batch->feature_names});
    mr_status status = mr_failure_rows_add(&p, batch, 0, &(mr_ticker){tick, ctx}, &err);
    if (status == MR_OK) status = mr_sample_sort(&p.sample, &err);
    if (status != MR_OK) return err.status == MR_OK ? status : refuse(ctx, &err);
    mr_failure_rows_pack(&p, mr_out_partial_buf(out));
    return MR_OK;
}

/* ---- the result ---- */

typedef struct ranked {
    double key;
    uint32_t at;
} ranked;

static int highest_first(const void *x, const void *y) {
    const ranked *p = x, *q = y;
    if (p->key != q->key) return p->key > q->key ? -1 : 1;
    return (p->at > q->at) - (p->at < q->at);
}

static void anomaly_finding(const mr_failures *s, size_t at, mr_out *out) {
    size_t top = 0;
    const double *z = s->z + at * s->width;
    for (size_t j = 1; j < s->width; j++)
        if (fabs(z[j]) > fabs(z[top])) top = j;
    mr_out_finding(
        out, 0.5,
        "row %llu is the most unusual of %zu (score %.2f): %.60s is %+.1f standard deviations from "
        "the mean",
        (unsigned long long)s->row[at], s->n, s->score[at], s->names.items[top], z[top]);
}

static mr_status put_scores(mr_ctx *ctx, const mr_failures *s, mr_out *out) {
    int64_t *row = mr_ctx_alloc(ctx, s->n, sizeof *row);
    ranked *order = mr_ctx_alloc(ctx, s->n, sizeof *order);
    if (!row || !order) return MR_E_MEMORY;
    for (uint32_t i = 0; i < s->n; i++) {
        row[i] = (int64_t)s->row[i];
        order[i] = (ranked){s->score[i], i};
    }
    qsort(order, s->n, sizeof *order, highest_first);
    mr_out_integers(out, "score_rows", row, s->n);
    mr_out_numbers(out, "scores", s->score, s->n);
    mr_out_open_list(out, "top_anomalies");
    for (size_t i = 0; i < s->n && i < TOP_ANOMALIES; i++) {
        size_t at = order[i].at;
        mr_out_open_map(out, NULL);
        mr_out_integer(out, "row", row[at]);
        mr_out_number(out, "score", s->score[at]);
        if (s->group[at] == MR_FAILURES_UNKNOWN)
            mr_out_nil(out, "failed");
        else
            mr_out_bool(out, "failed", s->group[at] != MR_FAILURES_SUCCEEDED);
        mr_out_close(out);
    }
    mr_out_close(out);
    anomaly_finding(s, order[0].at, out);
    return MR_OK;
}

static void put_mode(mr_ctx *ctx, const mr_failures *s, int32_t mode, size_t number, mr_out *out) {
    size_t size = 0, typical = s->n;
    double score = 0;
    for (size_t i = 0; i < s->n; i++) {
        if (s->group[i] != mode) continue;
        size++;
        score += s->score[i];
        if (typical == s->n || s->score[i] < s->score[typical]) typical = i;
    }
    bool successes = s->labelled > s->failures;
    mr_contrast c[TRAITS];
    size_t count = mr_contrasts(s->raw, s->n, s->width, s->group, mode,
                                successes ? MR_FAILURES_SUCCEEDED : MR_REST, s->sd, TRAITS, c);
    double part_of = (double)size / (double)s->failures;
    mr_out_open_map(out, NULL);
    mr_out_integer(out, "mode", mode);
    mr_out_integer(out, "size", (int64_t)size);
    mr_out_number(out, "share", part_of);
    mr_out_integer(out, "typical_row", (int64_t)s->row[typical]);
    mr_out_number(out, "mean_score", score / (double)size);
    mr_put_contrasts(out, "features", c, count, s->names);
    mr_out_close(out);
    mr_mem mem = mr_arena_mem(mr_ctx_arena(ctx));
    mr_buf words;
    mr_buf_init(&words, &mem, 4096);
    mr_contrast_words(c, count, s->names, &words);
    mr_out_finding(out, 0.3 + 0.5 * part_of,
                   "failure mode %zu: %zu of %zu failures (%.0f %%), %.*s than %s; for example "
                   "row %llu",
                   number, size, s->failures, 100 * part_of, MR_SPAN_ARG(mr_buf_span(&words)),
                   successes ? "the successes" : "the other rows", (unsigned long long)s->row[typical]);
}

static mr_status put_modes(mr_ctx *ctx, const mr_failures *s, mr_out *out) {
    ranked *order = mr_ctx_alloc(ctx, s->modes + 1, sizeof *order);
    if (!order) return MR_E_MEMORY;
    for (uint32_t m = 0; m < s->modes; m++) order[m].at = m;
    for (size_t i = 0; i < s->n; i++)
        if (s->group[i] >= 0) order[s->group[i]].key++;
    qsort(order, s->modes, sizeof *order, highest_first);
    mr_out_open_list(out, "modes");
    for (size_t m = 0; m < s->modes; m++) put_mode(ctx, s, (int32_t)order[m].at, m + 1, out);
    mr_out_close(out);
    mr_out_integer(out, "scattered", (int64_t)s->scattered);
    return MR_OK;
}

static void put_held_out(const mr_failures *s, mr_out *out) {
    const mr_risk_measure *m = &s->held_out;
    if (m->rows == 0) {
        mr_out_nil(out, "held_out");
        return;
    }
    double bad = (double)m->failures / (double)m->rows, baseline = bad > 0.5 ? bad : 1 - bad;
    mr_out_open_map(out, "held_out");
    mr_out_integer(out, "rows", (int64_t)m->rows);
    mr_out_integer(out, "failures", (int64_t)m->failures);
    mr_out_number(out, "accuracy", m->accuracy);
    mr_out_number(out, "false_positive_rate", m->false_positive_rate);
    mr_out_number(out, "recall", m->recall);
    mr_out_number(out, "auc", m->auc);
    mr_out_number(out, "brier", m->brier);
    mr_out_number(out, "baseline", baseline);
    mr_out_close(out);
    mr_out_finding(out, m->accuracy > baseline ? 0.9 : 0.6,
                   "failure is %s on %zu held-out rows: accuracy "
                   "%.0f %% (%.0f %% without looking), false alarms on %.0f %% of the successes, AUC %.2f",
                   m->accuracy > baseline ? "foreseen" : "not foreseen", m->rows, 100 * m->accuracy, 100 * baseline, 100 * m->false_positive_rate, m->auc);
}

static void put_limits(const mr_failures *s, const failure_config *o, double auc, mr_out *out) {
    if (s->labelled == 0)
        mr_out_finding(out, 0.8,
                       "no row says whether it succeeded, so only anomalies are reported; bind a column of 0 "
                       "and 1 with the role 'success' to learn about failures");
    else if (s->failures == 0)
        mr_out_finding(out, 0.8, "none of the %zu rows with a known outcome failed", s->labelled);
    else if (s->modes == 0)
        mr_out_finding(out, 0.6, "the %zu failures form no group of %lld or more", s->failures,
                       (long long)o->min_mode_size);
    if (s->labelled > 0 && !s->learned)
        mr_out_finding(out, 0.4,
                       "%zu failures and %zu successes are too few to foresee failure; %d of each are needed",
                       s->failures, s->labelled - s->failures, MR_FAILURES_LEARN_MIN);
    if (!isnan(auc))
        mr_out_finding(out, 0.4, "a failed row is more unusual than a successful one in %.0f %% of pairs",
                       100 * auc);
}

static mr_status put_result(mr_ctx *ctx, const failure_config *o, const mr_failure_rows *all, const mr_failures *s,
                            mr_out *out, mr_error *err) {
    double *score = mr_ctx_alloc(ctx, s->labelled + 1, sizeof *score), auc;
    size_t count = 0;
    if (!score) return mr_fail(err, MR_E_MEMORY, "no memory for %zu scores", s->labelled);
    for (size_t i = 0; i < s->n; i++)
        if (s->group[i] != MR_FAILURES_UNKNOWN) score[count++] = s->score[i];
    auc = mr_auc(score, s->lfailed, s->labelled, mr_ctx_arena(ctx));
    mr_out_integer(out, "rows", (int64_t)all->rows);
    mr_out_integer(out, "failed", (int64_t)all->failed);
    mr_out_integer(out, "succeeded", (int64_t)all->succeeded);
    mr_out_integer(out, "sampled", (int64_t)s->n);
    mr_put_names(out, "columns", s->names);
    mr_out_number(out, "anomaly_auc", auc);
    MR_TRY(put_scores(ctx, s, out));
    MR_TRY(put_modes(ctx, s, out));
    put_held_out(s, out);
    put_limits(s, o, auc, out);
    return MR_OK;
}

static void pack_model(const mr_failures *s, mr_buf *b) {
    mr_pack_array(b, 12);
    mr_pack_text(b, model_magic);
    mr_pack_names(b, s->names);
    mr_pack_doubles(b, s->mean, s->width);
    mr_pack_doubles(b, s->sd, s->width);
    mr_forest_pack(&s->forest, b);
    mr_pack_u64(b, s->labelled);
    mr_pack_doubles(b, s->lz, s->labelled * s->width);
    mr_pack_bin(b, (mr_span){s->lfailed, s->labelled});
    mr_pack_bin(b, (mr_span){(const uint8_t *)s->lrow, s->labelled * sizeof *s->lrow});
    mr_pack_bin(b, (mr_span){(const uint8_t *)s->lgroup, s->labelled * sizeof *s->lgroup});
    mr_pack_u64(b, s->learned ? s->risk.neighbours : 0);
    mr_pack_doubles(b, s->risk.weight, MR_RISK_WEIGHTS);
}

/* What must be the same in an update as in the run that left the state. */
static const struct bound {
    const char *name;
    size_t offset;
} bound[] = {{"sample", offsetof(failure_config, sample)},
             {"trees", offsetof(failure_config, trees)},
             {"subsample", offsetof(failure_config, subsample)},
             {"min_mode_size", offsetof(failure_config, min_mode_size)},
             {"neighbours", offsetof(failure_config, neighbours)}};
enum { BOUND = sizeof bound / sizeof *bound };

static int64_t bound_value(const failure_config *o, size_t i) {
    int64_t v;
    memcpy(&v, (const char *)o + bound[i].offset, sizeof v);
    return v;
}

/* The seed, the options and the last partial: all that a run over more rows needs. */
static void pack_state(const failure_config *o, uint64_t seed, const mr_failure_rows *all, mr_buf *partial, mr_buf *b) {
    mr_failure_rows_pack(all, partial);
    mr_pack_array(b, 3 + BOUND);
    mr_pack_text(b, state_magic);
    mr_pack_u64(b, seed);
    for (size_t i = 0; i < BOUND; i++) mr_pack_i64(b, bound_value(o, i));
    mr_pack_bin(b, mr_buf_span(partial));
    mr_buf_fail(b, mr_buf_status(partial));
}

static mr_status put_artifacts(mr_ctx *ctx, const failure_config *o, uint64_t seed, const mr_failure_rows *all,
                               const mr_failures *s, mr_out *out, mr_error *err) {
    mr_mem mem = mr_arena_mem(mr_ctx_arena(ctx));
    mr_buf model, state, partial;
    mr_buf_init(&model, &mem, ARTIFACTS_MAX);
    pack_model(s, &model);
    if (mr_buf_status(&model) != MR_OK)
        return mr_fail(err, mr_buf_status(&model), "the model of %zu rows does not fit; use fewer trees or a smaller sample",
                       s->labelled);
    mr_buf_init(&partial, &mem, MR_PARTIAL_MAX);
    mr_buf_init(&state, &mem, ARTIFACTS_MAX - model.len);
    pack_state(o, seed, all, &partial, &state);
    mr_out_artifact(out, "model", "application/x-msgpack", mr_buf_span(&model));
    if (mr_buf_status(&state) == MR_OK)
        mr_out_artifact(out, "state", "application/x-msgpack", mr_buf_span(&state));
    else if (mr_buf_status(&state) == MR_E_LIMIT)
        mr_out_finding(out, 0.5, "no state was kept: model and state together are over %d MiB, so rows that come later cannot "
                       "join these; use fewer trees or a smaller sample", ARTIFACTS_MAX >> 20);
    else
        return mr_fail(err, mr_buf_status(&state), "no memory for the state");
    return MR_OK;
}

static mr_status finish(mr_ctx *ctx, const failure_config *o, uint64_t seed, const mr_failure_rows *all, mr_out *out,
                        mr_error *err) {
    mr_failures s;
    mr_failures_options study = {(size_t)o->trees, (size_t)o->subsample, (size_t)o->min_mode_size,
                                 (size_t)o->neighbours};
    MR_TRY(mr_failures_study(&all->sample, all->names, &study, seed, mr_ctx_arena(ctx), &(mr_ticker){tick, ctx}, &s, err));
    MR_TRY(put_result(ctx, o, all, &s, out, err));
    return put_artifacts(ctx, o, seed, all, &s, out, err);
}

static mr_status merge(mr_ctx *ctx, const void *config, const mr_partials *partials, mr_out *out) {
    mr_error err = {0};
    mr_failure_rows all = {0};
    mr_failure_draw draw = draw_of(ctx, config);
    mr_status status = MR_OK;
    for (uint32_t i = 0; i < partials->count && status == MR_OK; i++)
        status = mr_failure_rows_add_packed(&all, mr_ctx_arena(ctx), &draw, partials->items[i], i == 0, &err);
    if (status == MR_OK) status = mr_sample_sort(&all.sample, &err);
    if (status == MR_OK && partials->last)
        status = finish(ctx, config, draw.seed, &all, out, &err);
    else if (status == MR_OK)
        mr_failure_rows_pack(&all, mr_out_partial_buf(out));
    return err.status == MR_OK ? status : refuse(ctx, &err);
}

/* ---- apply: a model scores rows, a state takes them in ---- */

static mr_status read_labelled(mr_unpack *u, mr_arena *arena, mr_failures *s, mr_error *err) {
    uint64_t n, neighbours;
    double *weight;
    MR_TRY(mr_unpack_u64(u, UINT32_MAX, &n, err));
    s->labelled = n;
    MR_TRY(mr_unpack_doubles(u, n * s->width, arena, &s->lz, err));
    MR_TRY(mr_unpack_block(u, n, 1, arena, &s->lfailed, err));
    MR_TRY(mr_unpack_block(u, n, sizeof *s->lrow, arena, &s->lrow, err));
    MR_TRY(mr_unpack_block(u, n, sizeof *s->lgroup, arena, &s->lgroup, err));
    MR_TRY(mr_unpack_u64(u, n, &neighbours, err));
    MR_TRY(mr_unpack_doubles(u, MR_RISK_WEIGHTS, arena, &weight, err));
    for (size_t i = 0; i < n; i++)
        if (s->lfailed[i] > 1)
            return mr_fail(err, MR_E_CORRUPT, "the model's row %zu has outcome %u", i, s->lfailed[i]);
    s->learned = neighbours > 0;
    if (!s->learned) return MR_OK;
    MR_TRY(mr_points_init(&s->points, arena, s->lz, n, s->width, err));
    s->risk =
        (mr_risk){.points = &s->points, .failed = s->lfailed, .forest = &s->forest, .neighbours = neighbours};
    memcpy(s->risk.weight, weight, sizeof s->risk.weight);
    return MR_OK;
}

static mr_status read_model(mr_ctx *ctx, mr_span bytes, mr_failures *s, mr_error *err) {
    mr_arena *arena = mr_ctx_arena(ctx);
    mr_unpack u;
    mr_unpack_init(&u, bytes);
    MR_TRY(mr_unpack_magic(&u, model_magic, 12, err));
    MR_TRY(mr_unpack_names(&u, arena, &s->names, err));
    s->width = s->names.count;
    if (s->width == 0) return mr_fail(err, MR_E_CORRUPT, "the model holds no columns");
    MR_TRY(mr_unpack_doubles(&u, s->width, arena, &s->mean, err));
    MR_TRY(mr_unpack_doubles(&u, s->width, arena, &s->sd, err));
    MR_TRY(mr_forest_unpack(&s->forest, arena, s->width, &u, err));
    return read_labelled(&u, arena, s, err);
}

/* The failed ones among the model's rows, and which rows they are. */
typedef struct past {
    mr_points points;
    size_t count, most, *from;
    mr_neighbour *near;
} past;

static mr_status past_failures(mr_ctx *ctx, const mr_failures *s, size_t most, past *p, mr_error *err) {
    size_t w = s->width;
    double *x = mr_ctx_alloc(ctx, s->labelled * w + 1, sizeof *x);
    *p = (past){.from = mr_ctx_alloc(ctx, s->labelled + 1, sizeof *p->from),
                .near = mr_ctx_alloc(ctx, most, sizeof *p->near),
                .most = most};
    if (!x || !p->from || !p->near) return mr_fail(err, MR_E_MEMORY, "no memory for past failures");
    for (size_t i = 0; i < s->labelled; i++) {
        if (!s->lfailed[i]) continue;
        memcpy(x + p->count * w, s->lz + i * w, w * sizeof *x);
        p->from[p->count++] = i;
    }
    return p->count ? mr_points_init(&p->points, mr_ctx_arena(ctx), x, p->count, w, err) : MR_OK;
}

static void put_nearest(const mr_failures *s, past *p, const double *row, mr_out *out) {
    size_t count = p->count ? mr_nearest(&p->points, row, MR_NOBODY, p->most, p->near) : 0;
    mr_out_open_list(out, NULL);
    for (size_t i = 0; i < count; i++) {
        size_t at = p->from[p->near[i].row];
        mr_out_open_map(out, NULL);
        mr_out_integer(out, "row", (int64_t)s->lrow[at]);
        mr_out_number(out, "distance", p->near[i].distance);
        mr_out_integer(out, "mode", s->lgroup[at]);
        mr_out_close(out);
    }
    mr_out_close(out);
}

static mr_status score_rows(mr_ctx *ctx, const mr_failures *s, past *p, const mr_batch *batch, mr_out *out) {
    size_t n = batch->rows, w = s->width;
    double *z = mr_ctx_alloc(ctx, n * w + 1, sizeof *z), *score = mr_ctx_alloc(ctx, n + 1, sizeof *score);
    double *chance = mr_ctx_alloc(ctx, n + 1, sizeof *chance);
    mr_neighbour *near = mr_ctx_alloc(ctx, s->risk.neighbours + 1, sizeof *near);
    if (!z || !score || !chance || !near) return MR_E_MEMORY;
    mr_standardise(batch->features, n, w, s->mean, s->sd, z);
    for (size_t i = 0; i < n; i++) {
        MR_TRY(mr_tick(ctx));
        score[i] = mr_forest_score(&s->forest, z + i * w);
        if (s->learned) chance[i] = mr_risk_of(&s->risk, z + i * w, MR_NOBODY, near);
    }
    mr_out_integer(out, "rows", (int64_t)n);
    mr_out_numbers(out, "scores", score, n);
    if (s->learned)
        mr_out_numbers(out, "probabilities", chance, n);
    else
        mr_out_nil(out, "probabilities");
    mr_out_open_list(out, "nearest_failures");
    for (size_t i = 0; i < n; i++) {
        MR_TRY(mr_tick(ctx));
        put_nearest(s, p, z + i * w, out);
    }
    mr_out_close(out);
    return MR_OK;
}

static mr_status apply_model(mr_ctx *ctx, const failure_config *o, mr_span bytes, const mr_batch *batch, mr_out *out,
                             mr_error *err) {
    mr_failures s = {0};
    past p;
    MR_TRY(read_model(ctx, bytes, &s, err));
    MR_TRY(mr_same_names((mr_names){batch->width, batch->feature_names}, s.names, "the model", err));
    MR_TRY(past_failures(ctx, &s, (size_t)o->nearest, &p, err));
    return score_rows(ctx, &s, &p, batch, out);
}

static bool is_state(mr_span bytes) {
    mr_unpack u;
    mr_error err;
    mr_unpack_init(&u, bytes);
    return mr_unpack_magic(&u, state_magic, 3 + BOUND, &err) == MR_OK;
}

/* *draw gets the state's seed; the options must be those of the state. */
static mr_status read_state(mr_ctx *ctx, const failure_config *o, mr_span bytes, mr_failure_draw *draw, mr_failure_rows *all,
                            mr_error *err) {
    mr_unpack u;
    mr_span partial;
    int64_t was;
    *draw = draw_of(ctx, o);
    mr_unpack_init(&u, bytes);
    MR_TRY(mr_unpack_magic(&u, state_magic, 3 + BOUND, err));
    MR_TRY(mr_unpack_u64(&u, UINT64_MAX, &draw->seed, err));
    for (size_t i = 0; i < BOUND; i++) {
        MR_TRY(mr_unpack_i64(&u, &was, err));
        if (was != bound_value(o, i))
            return mr_fail(err, MR_E_INVALID, "the state was left by a run with %s=%lld, and this one has %lld: apply it with "
                           "the same options", bound[i].name, (long long)was, (long long)bound_value(o, i));
    }
    MR_TRY(mr_unpack_bin(&u, MR_PARTIAL_MAX, &partial, err));
    MR_TRY(mr_failure_rows_add_packed(all, mr_ctx_arena(ctx), draw, partial, true, err));
    return mr_failure_rows_check(all, err);
}

/* As if the new rows had stood behind the old ones from the beginning: the same bytes as a run over all of them. */
static mr_status update(mr_ctx *ctx, const failure_config *o, mr_span bytes, const mr_batch *batch, mr_out *out,
                        mr_error *err) {
    mr_failure_rows all;
    mr_failure_draw draw;
    MR_TRY(mr_check_only_batch(batch, err));
    MR_TRY(read_state(ctx, o, bytes, &draw, &all, err));
    MR_TRY(mr_same_names((mr_names){batch->width, batch->feature_names}, all.names, "the state", err));
    MR_TRY(mr_failure_rows_add(&all, batch, all.rows, &(mr_ticker){tick, ctx}, err));
    MR_TRY(mr_sample_sort(&all.sample, err));
    return finish(ctx, o, draw.seed, &all, out, err);
}

static mr_status apply(mr_ctx *ctx, const void *config, const mr_artifact *artifact, const mr_batch *batch,
                       mr_out *out) {
    mr_error err = {0};
    mr_status status = mr_check_features(batch, MR_FAILURE_WIDTH, &err);
    if (status == MR_OK && is_state(artifact->bytes))
        status = update(ctx, config, artifact->bytes, batch, out, &err);
    else if (status == MR_OK)
        status = apply_model(ctx, config, artifact->bytes, batch, out, &err);
    return err.status == MR_OK ? status : refuse(ctx, &err);
}

/* Long rows fail. */
static const mr_example examples[] = {
    {.title = "six failures in one place",
     .input = "length,success\n1,1\n2,1\n3,1\n2,1\n1,1\n3,1\n90,0\n91,0\n92,0\n91,0\n90,0\n92,0\n",
     .options = "trees=50",
     .roles = "success=success",
     .expect = "{\"rows\": 12, \"failed\": 6, \"succeeded\": 6, \"sampled\": 12, \"columns\": [\"length\"], "
               "\"scattered\": 0}"},
    {0}};

const mr_component mr_component_failure_mode_analyzer = {
    .name = "failure_mode_analyzer",
    .summary = "finds unusual rows, groups the failed ones into failure modes and foresees failure "
               "(isolation forest)",
    .kind = MR_LEARNER,
    .shape = MR_MERGE,
    .tier = 2,
    .version = 2,
    .columns = MR_COL_FEATURES,
    .columns_wanted = MR_COL_SUCCESS,
    .capabilities = (const char *const[]){"anomaly", "failure_modes", "prediction", "update", NULL},
    .options = options,
    .config_size = sizeof(failure_config),
    .outputs = outputs,
    .examples = examples,
    .deadline_ms = 120000,
    .memory_mb = 512,
    .process = process,
    .merge = merge,
    .apply = apply,
};
