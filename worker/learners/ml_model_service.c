/* ml_model_service: fits, judges and serves ridge regression, logistic regression and gradient-boosted trees.
 * A batch gives exact sums of products (worker/kit/exact.h), from which ridge is fitted on all rows, and a
 * bottom-k sample of its rows (worker/kit/sample.h), on which everything else is done; so batches and workers
 * cannot change the outcome. docs/components/ml_model_service.md */
#include "worker/component.h"
#include "worker/kit/model_put.h"
#include "worker/kit/put.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS_MIN = 10, TOP = 5, MODEL_BYTES_MAX = 31 << 20, RARE = 20 };
static const char model_magic[] = "model-1";

static const char *const model_words[] = {"auto", "ridge", "logistic", "trees", NULL};
enum { MODEL_AUTO }; /* else 1 + mr_model_kind */

typedef struct model_config {
    int64_t model, target, folds, sample, rounds, leaves, leaf_rows;
    double lambda, c, rate, l2;
    bool scale;
} model_config;

#define AT(field) .offset = offsetof(model_config, field)
static const mr_option options[] = {
    {.name = "model",
     .type = MR_OPT_CHOICE,
     AT(model),
     .def = "auto",
     .choices = model_words,
     .help = "which model to fit; auto: all that suit the target, the best in cross-validation is kept"},
    {.name = "target",
     .type = MR_OPT_CHOICE,
     AT(target),
     .def = "auto",
     .choices = mr_target_words,
     .help = "the role to foresee; auto: the first bound of success, outcome, score, label"},
    {.name = "folds",
     .type = MR_OPT_INT,
     AT(folds),
     .def = "5",
     .min = 2,
     .max = 20,
     .help = "parts of the rows for cross-validation, each foreseen from the others"},
    {.name = "sample",
     .type = MR_OPT_INT,
     AT(sample),
     .def = "100000",
     .min = 64,
     .max = 200000,
     .unit = "rows",
     .help = "rows to keep for logistic, trees and cross-validation; of more a uniform sample is drawn"},
    {.name = "lambda",
     .type = MR_OPT_NUMBER,
     AT(lambda),
     .def = "1",
     .min = 0,
     .max = 1e9,
     .help = "ridge: weight of the squared coefficients beside the residual sum of squares"},
    {.name = "c",
     .type = MR_OPT_NUMBER,
     AT(c),
     .def = "1",
     .min = 1e-9,
     .max = 1e6,
     .help = "logistic: weight of the log losses beside half the squared coefficients"},
    {.name = "scale",
     .type = MR_OPT_BOOL,
     AT(scale),
     .def = "true",
     .help = "logistic: bring columns to mean 0 and population standard deviation 1 first"},
    {.name = "rounds",
     .type = MR_OPT_INT,
     AT(rounds),
     .def = "100",
     .min = 1,
     .max = 1000,
     .help = "trees: how many, for each class when there are more than two"},
    {.name = "leaves",
     .type = MR_OPT_INT,
     AT(leaves),
     .def = "31",
     .min = 2,
     .max = 256,
     .help = "trees: at most so many leaves each"},
    {.name = "leaf_rows",
     .type = MR_OPT_INT,
     AT(leaf_rows),
     .def = "20",
     .min = 1,
     .max = 10000,
     .unit = "rows",
     .help = "trees: at least so many rows in a leaf"},
    {.name = "rate",
     .type = MR_OPT_NUMBER,
     AT(rate),
     .def = "0.1",
     .min = 0.001,
     .max = 1,
     .help = "trees: learning rate"},
    {.name = "l2",
     .type = MR_OPT_NUMBER,
     AT(l2),
     .def = "0",
     .min = 0,
     .max = 1e6,
     .help = "trees: penalty on the squared value of a leaf"},
    MR_OPTION_END};

static const mr_field outputs[] = {
    {"rows", MR_FIELD_INTEGER, "rows", "rows with a target, or scored by a stored model", MR_FOLD_SUM},
    {"left_out", MR_FIELD_INTEGER, "rows", "rows without a target", MR_FOLD_SUM},
    {"sampled", MR_FIELD_INTEGER, "rows", "rows that logistic, trees and cross-validation used",
     MR_FOLD_NONE},
    {"target", MR_FIELD_TEXT, NULL, "the role that is foreseen", MR_FOLD_NONE},
    {"classes", MR_FIELD_LIST, NULL, "for each class a map: name, rows; empty for a number", MR_FOLD_NONE},
    {"columns", MR_FIELD_LIST, NULL, "names of the feature columns", MR_FOLD_NONE},
    {"model", MR_FIELD_TEXT, NULL, "the model that was kept", MR_FOLD_NONE},
    {"validation", MR_FIELD_LIST, NULL,
     "for each model fitted: model, loss (mean over the folds of log loss or root mean squared error), "
     "loss_error (its standard error), pooled (auc, accuracy, log_loss, brier, r2, rmse, mae over all rows, "
     "each foreseen by a model that did not see it), folds (rows and the same, fold by fold)",
     MR_FOLD_NONE},
    {"baseline", MR_FIELD_NUMBER, NULL, "the loss of always foreseeing the mean, or the classes' shares",
     MR_FOLD_NONE},
    {"coefficients", MR_FIELD_LIST, NULL,
     "ridge and logistic: for each output a map: class, intercept, weights (for the values as they came)",
     MR_FOLD_NONE},
    {"ridge", MR_FIELD_MAP, NULL,
     "ridge: beta and error (its standard error) for z-scored columns, df (effective degrees of freedom), "
     "rss, "
     "r2 on the rows it was fitted on",
     MR_FOLD_NONE},
    {"importance", MR_FIELD_LIST, NULL,
     "columns by their part in the model, the largest first: name, share (trees: of the gain of all cuts; "
     "else "
     "of the sum of |weight| x standard deviation)",
     MR_FOLD_NONE},
    {"predictions", MR_FIELD_NUMBERS, NULL, "apply only, a number as target: what is foreseen for each row",
     MR_FOLD_NONE},
    {"predicted", MR_FIELD_LIST, NULL, "apply only, classes: the most probable class of each row",
     MR_FOLD_NONE},
    {"probabilities", MR_FIELD_MATRIX, NULL, "apply only, classes: rows x classes", MR_FOLD_NONE},
    {"check", MR_FIELD_MAP, NULL,
     "apply only, when rows carry the target: rows and auc, accuracy, log_loss, brier, r2, rmse, mae on them",
     MR_FOLD_NONE},
    {0}};

static mr_status refuse(mr_ctx *ctx, const mr_error *err) {
    return mr_refuse(ctx, err->status, "%s", err->text);
}

static mr_status tick(void *ctx) { return mr_tick(ctx); }

static mr_training_options training_options(mr_ctx *ctx, const model_config *o) {
    bool ridge = o->model == 1 + MR_MODEL_RIDGE;
    return (mr_training_options){.numbers = ridge,
                                 .sums = ridge || o->model == MODEL_AUTO,
                                 .sample = (size_t)o->sample,
                                 .bytes_max = MR_PARTIAL_MAX,
                                 .seed = mr_ctx_seed(ctx)};
}

static mr_target target_of(const model_config *o, const mr_batch *batch) {
    return o->target == MR_TARGET_AUTO ? mr_target_of(batch) : (mr_target)o->target;
}

static mr_status process(mr_ctx *ctx, const void *config, const mr_batch *batch, mr_out *out) {
    mr_error err = {0};
    mr_training t;
    mr_training_options o = training_options(ctx, config);
    if (mr_check_features(batch, MR_TRAINING_WIDTH, &err) != MR_OK) return refuse(ctx, &err);
    mr_names names = {batch->width, batch->feature_names};
    mr_status status = mr_training_init(&t, mr_ctx_arena(ctx), &o, target_of(config, batch), names, &err);
    if (status == MR_OK) status = mr_training_add(&t, batch, &(mr_ticker){tick, ctx}, &err);
    if (status == MR_OK) status = mr_training_pack(&t, mr_out_partial_buf(out), &err);
    return err.status == MR_OK ? status : refuse(ctx, &err);
}

/* ---- learning ---- */

typedef struct study {
    const model_config *o;
    mr_training t;
    mr_examples rows;
    mr_validation crossing[MR_MODEL_KINDS];
    bool fitted[MR_MODEL_KINDS];
    mr_model model;
    double *sd; /* of the sampled rows' columns */
    double baseline;
} study;

static bool suits(const study *s, mr_model_kind kind) {
    if (s->o->model != MODEL_AUTO) return s->o->model == 1 + (int64_t)kind;
    return kind == MR_MODEL_TREES || (kind == MR_MODEL_RIDGE) == s->t.number;
}

static mr_status check_rows(const study *s, mr_error *err) {
    const mr_training *t = &s->t;
    const char *role = mr_target_words[t->target];
    if (t->rows == 0)
        return mr_fail(err, MR_E_INVALID,
                       "no row has a %s; bind a column with --role %s=COLUMN, or set target to another role",
                       role, role);
    if (t->rows < ROWS_MIN)
        return mr_fail(err, MR_E_INVALID, "%llu rows with a %s are too few; give at least %d",
                       (unsigned long long)t->rows, role, ROWS_MIN);
    if (!t->number && t->class_count < 2)
        return mr_fail(err, MR_E_INVALID, "all rows are of one class, '%.*s', so there is nothing to learn",
                       MR_SPAN_ARG(t->classes[0].name));
    if (t->number && s->o->model == 1 + MR_MODEL_LOGISTIC)
        return mr_fail(err, MR_E_INVALID,
                       "logistic regression wants classes; bind the target as success or label");
    return MR_OK;
}

/* The loss of the simplest prediction, on the rows themselves. */
static double baseline_of(const mr_examples *e) {
    double n = (double)e->n, mean = 0, loss = 0, share[MR_MODEL_CLASSES] = {0};
    for (size_t i = 0; i < e->n; i++) {
        mean += e->y[i] / n;
        if (e->classes) share[(size_t)e->y[i]] += 1 / n;
    }
    for (size_t i = 0; i < e->n; i++) {
        double off = e->y[i] - mean;
        loss += e->classes ? -log(share[(size_t)e->y[i]]) : off * off;
    }
    return e->classes ? loss / n : sqrt(loss / n);
}

static mr_model_options model_options(const model_config *o) {
    return (mr_model_options){.lambda = o->lambda,
                              .c = o->c,
                              .scale = o->scale,
                              .trees = {.rounds = (size_t)o->rounds,
                                        .leaves = (size_t)o->leaves,
                                        .leaf_rows = (size_t)o->leaf_rows,
                                        .rate = o->rate,
                                        .l2 = o->l2}};
}

/* By a hash of (seed, row) that has nothing to do with the sample's. */
static uint8_t *folds_of(mr_ctx *ctx, const study *s) {
    uint8_t *fold = mr_ctx_alloc(ctx, s->rows.n, 1);
    uint64_t salt = mr_mix64(mr_ctx_seed(ctx) + 0x666f6c6473);
    for (size_t i = 0; fold && i < s->rows.n; i++)
        fold[i] = (uint8_t)(mr_mix64(mr_mix64(s->t.sample.row[i]) ^ salt) % (uint64_t)s->o->folds);
    return fold;
}

static mr_status take_rows(mr_ctx *ctx, study *s, mr_error *err) {
    size_t w = s->t.names.count;
    double *mean = mr_ctx_alloc(ctx, w, sizeof *mean);
    s->sd = mr_ctx_alloc(ctx, w, sizeof *s->sd);
    if (!mean || !s->sd) return mr_fail(err, MR_E_MEMORY, "no memory for %zu columns", w);
    MR_TRY(mr_training_rows(&s->t, &s->rows, err));
    mr_mean_sd(s->rows.x, s->rows.n, w, mean, s->sd);
    s->baseline = baseline_of(&s->rows);
    return MR_OK;
}

static mr_status validate(mr_ctx *ctx, study *s, mr_scratch *scratch, mr_model_kind *best, mr_error *err) {
    mr_model_options o = model_options(s->o);
    uint8_t *fold = folds_of(ctx, s);
    if (!fold) return mr_fail(err, MR_E_MEMORY, "no memory for %zu folds", s->rows.n);
    *best = MR_MODEL_KINDS;
    for (mr_model_kind k = 0; k < MR_MODEL_KINDS; k++) {
        if (!suits(s, k)) continue;
        s->fitted[k] = true;
        MR_TRY(mr_cross_validate(k, &s->rows, fold, (size_t)s->o->folds, &o, scratch, &(mr_ticker){tick, ctx},
                                 &s->crossing[k], err));
        if (*best == MR_MODEL_KINDS || s->crossing[k].loss < s->crossing[*best].loss) *best = k;
        mr_ctx_progress(ctx, (double)(k + 1) / (MR_MODEL_KINDS + 1));
    }
    return MR_OK;
}

static mr_status learn(mr_ctx *ctx, study *s, mr_error *err) {
    mr_ticker ticker = {tick, ctx};
    mr_model_options o = model_options(s->o);
    mr_scratch scratch;
    mr_model_kind best;
    mr_moments moments;
    mr_scratch_init(&scratch, mr_ctx_arena(ctx));
    MR_TRY(check_rows(s, err));
    MR_TRY(take_rows(ctx, s, err));
    MR_TRY(validate(ctx, s, &scratch, &best, err));
    if (best != MR_MODEL_RIDGE) return mr_model_fit(best, &s->rows, &o, &scratch, &ticker, &s->model, err);
    MR_TRY(mr_training_moments(&s->t, &moments, err));
    return mr_model_ridge(&moments, o.lambda, mr_ctx_arena(ctx), &ticker, &s->model, err);
}

/* ---- what came of it ---- */

static void put_validation(const study *s, mr_out *out) {
    mr_out_open_list(out, "validation");
    for (mr_model_kind k = 0; k < MR_MODEL_KINDS; k++) {
        if (!s->fitted[k]) continue;
        mr_out_open_map(out, NULL);
        mr_out_text(out, "model", "%s", mr_model_names[k]);
        mr_out_number(out, "loss", s->crossing[k].loss);
        mr_out_number(out, "loss_error", s->crossing[k].loss_error);
        mr_put_judgement(out, "pooled", &s->crossing[k].pooled);
        mr_out_open_list(out, "folds");
        for (int64_t f = 0; f < s->o->folds; f++) mr_put_judgement(out, NULL, &s->crossing[k].folds[f]);
        mr_out_close(out);
        mr_out_close(out);
    }
    mr_out_close(out);
    mr_out_number(out, "baseline", s->baseline);
}

typedef struct weighed {
    double share;
    uint32_t column;
} weighed;

static int largest_first(const void *x, const void *y) {
    const weighed *a = x, *b = y;
    if (a->share != b->share) return a->share < b->share ? 1 : -1;
    return (a->column > b->column) - (a->column < b->column);
}

static double part_in_model(const study *s, size_t column) {
    const mr_model *m = &s->model;
    double sum = 0;
    for (size_t k = 0; k < m->outputs; k++)
        sum += m->kind == MR_MODEL_TREES ? m->trees[k].gain[column]
                                         : fabs(m->weight[k * (m->width + 1) + column]) * s->sd[column];
    return sum;
}

static mr_status put_importance(mr_ctx *ctx, const study *s, mr_out *out) {
    uint32_t w = s->t.names.count;
    weighed *v = mr_ctx_alloc(ctx, w, sizeof *v);
    mr_buf words;
    mr_mem mem = mr_arena_mem(mr_ctx_arena(ctx));
    double total = 0;
    if (!v) return MR_E_MEMORY;
    for (uint32_t j = 0; j < w; j++) {
        v[j] = (weighed){part_in_model(s, j), j};
        total += v[j].share;
    }
    qsort(v, w, sizeof *v, largest_first);
    mr_buf_init(&words, &mem, 4096);
    mr_out_open_list(out, "importance");
    for (uint32_t j = 0; j < w; j++) {
        double share = total > 0 ? v[j].share / total : 0;
        const char *name = s->t.names.items[v[j].column];
        mr_out_open_map(out, NULL);
        mr_out_text(out, "name", "%s", name);
        mr_out_number(out, "share", share);
        mr_out_close(out);
        if (j < TOP && share > 0.02)
            mr_buf_printf(&words, "%s%.60s (%.0f %%)", j ? ", " : "", name, 100 * share);
    }
    mr_out_close(out);
    if (words.len)
        mr_out_finding(out, 0.5, "what counts most in the model of %s: %.*s", mr_model_names[s->model.kind],
                       MR_SPAN_ARG(mr_buf_span(&words)));
    return MR_OK;
}

static const char *const sentences[MR_MODEL_KINDS] = {
    "ridge regression foresees", "logistic regression foresees", "gradient-boosted trees foresee"};

static void put_quality(const study *s, mr_out *out) {
    const mr_validation *c = &s->crossing[s->model.kind];
    bool classes = s->rows.classes > 0, better = c->loss + c->loss_error < s->baseline;
    double low = INFINITY, high = -INFINITY;
    char also[64];
    for (int64_t f = 0; f < s->o->folds; f++) {
        double v = classes ? c->folds[f].auc : c->folds[f].r2;
        low = fmin(low, v);
        high = fmax(high, v);
    }
    if (classes)
        snprintf(also, sizeof also, "accuracy %.1f %%", 100 * c->pooled.accuracy);
    else
        snprintf(also, sizeof also, "a mean error of %.4g", c->pooled.mae);
    mr_out_finding(out, better ? 0.9 : 0.7,
                   "%s the %s with %s %.3f (fold by fold %.3f to %.3f) and %s, on %zu rows in %lld "
                   "folds, none foreseen by a model that saw it",
                   sentences[s->model.kind], mr_target_words[s->t.target], classes ? "AUC" : "R2",
                   classes ? c->pooled.auc : c->pooled.r2, low, high, also, s->rows.n,
                   (long long)s->o->folds);
    if (!better)
        mr_out_finding(out, 0.8, "the columns hardly help: %s %.4g +- %.2g against %.4g without them",
                       classes ? "log loss" : "root mean squared error", c->loss, c->loss_error, s->baseline);
}

static void put_cautions(const study *s, mr_out *out) {
    const mr_validation *c = &s->crossing[s->model.kind];
    double perfect = s->rows.classes > 0 ? c->pooled.auc : c->pooled.r2;
    size_t constant = 0;
    if (perfect > 0.9999)
        mr_out_finding(out, 0.85,
                       "the columns tell the %s without error on %zu rows: make sure that none of those that count most was "
                       "written after it", mr_target_words[s->t.target], s->rows.n);
    for (uint32_t k = 0; k < s->t.class_count; k++)
        if (s->t.classes[k].rows < RARE)
            mr_out_finding(out, 0.6, "only %llu rows are of class '%.*s': what is foreseen of it is unsure",
                           (unsigned long long)s->t.classes[k].rows, MR_SPAN_ARG(s->t.classes[k].name));
    for (uint32_t j = 0; j < s->t.names.count; j++) constant += s->sd[j] == 0;
    if (constant)
        mr_out_finding(out, 0.3, "%zu of %u columns hold one value only and add nothing", constant,
                       s->t.names.count);
    if (s->t.rows > s->rows.n)
        mr_out_finding(out, 0.3, "%zu of %llu rows, drawn uniformly, were used%s", s->rows.n,
                       (unsigned long long)s->t.rows,
                       s->model.kind == MR_MODEL_RIDGE ? " for validation; the model is of all rows" : "");
    if (s->t.left_out)
        mr_out_finding(out, 0.2, "%llu rows have no %s and were left out", (unsigned long long)s->t.left_out,
                       mr_target_words[s->t.target]);
}

/* [magic, target, names, classes, model] */
static mr_status put_model(mr_ctx *ctx, const study *s, mr_out *out, mr_error *err) {
    mr_mem mem = mr_arena_mem(mr_ctx_arena(ctx));
    mr_buf b;
    mr_buf_init(&b, &mem, MODEL_BYTES_MAX);
    mr_pack_array(&b, 5);
    mr_pack_text(&b, model_magic);
    mr_pack_u64(&b, s->t.target);
    mr_pack_names(&b, s->t.names);
    mr_pack_array(&b, s->t.class_count);
    for (uint32_t k = 0; k < s->t.class_count; k++) mr_pack_str(&b, s->t.classes[k].name);
    mr_model_pack(&s->model, &b);
    if (mr_buf_status(&b) != MR_OK)
        return mr_fail(err, mr_buf_status(&b),
                       "the model does not fit into 31 MiB; use fewer rounds or leaves");
    mr_out_artifact(out, "model", "application/x-msgpack", mr_buf_span(&b));
    return MR_OK;
}

static mr_status finish(mr_ctx *ctx, study *s, mr_out *out, mr_error *err) {
    MR_TRY(learn(ctx, s, err));
    mr_out_integer(out, "rows", (int64_t)s->t.rows);
    mr_out_integer(out, "left_out", (int64_t)s->t.left_out);
    mr_out_integer(out, "sampled", (int64_t)s->rows.n);
    mr_out_text(out, "target", "%s", mr_target_words[s->t.target]);
    mr_out_open_list(out, "classes");
    for (uint32_t k = 0; k < s->t.class_count; k++) {
        mr_out_open_map(out, NULL);
        mr_out_span(out, "name", s->t.classes[k].name);
        mr_out_integer(out, "rows", (int64_t)s->t.classes[k].rows);
        mr_out_close(out);
    }
    mr_out_close(out);
    mr_put_names(out, "columns", s->t.names);
    mr_out_text(out, "model", "%s", mr_model_names[s->model.kind]);
    put_validation(s, out);
    mr_put_coefficients(out, &s->model, s->t.classes);
    MR_TRY(put_importance(ctx, s, out));
    put_quality(s, out);
    put_cautions(s, out);
    return put_model(ctx, s, out, err);
}

static mr_status merge(mr_ctx *ctx, const void *config, const mr_partials *partials, mr_out *out) {
    mr_error err = {0};
    mr_training_options o = training_options(ctx, config);
    study s = {.o = config};
    mr_status status = MR_OK;
    for (uint32_t i = 0; i < partials->count && status == MR_OK; i++)
        status = mr_training_add_packed(&s.t, mr_ctx_arena(ctx), &o, partials->items[i], i == 0,
                                        &(mr_ticker){tick, ctx}, &err);
    if (status == MR_OK && partials->last)
        status = finish(ctx, &s, out, &err);
    else if (status == MR_OK)
        status = mr_training_pack(&s.t, mr_out_partial_buf(out), &err);
    return err.status == MR_OK ? status : refuse(ctx, &err);
}

/* ---- apply ---- */

typedef struct stored {
    mr_target target;
    mr_names names;
    uint32_t class_count;
    mr_span classes[MR_MODEL_CLASSES];
    mr_model model;
} stored;

static mr_status read_model(mr_ctx *ctx, mr_span bytes, stored *m, mr_error *err) {
    mr_unpack u;
    uint64_t target;
    mr_unpack_init(&u, bytes);
    MR_TRY(mr_unpack_magic(&u, model_magic, 5, err));
    MR_TRY(mr_unpack_u64(&u, MR_TARGET_LABEL, &target, err));
    MR_TRY(mr_unpack_names(&u, mr_ctx_arena(ctx), &m->names, err));
    MR_TRY(mr_unpack_array(&u, MR_MODEL_CLASSES, &m->class_count, err));
    for (uint32_t k = 0; k < m->class_count; k++)
        MR_TRY(mr_unpack_str(&u, MR_CLASS_NAME, &m->classes[k], err));
    if (target == MR_TARGET_AUTO || m->class_count == 1)
        return mr_fail(err, MR_E_CORRUPT, "the model is of %u classes and target %u", m->class_count,
                       (unsigned)target);
    m->target = (mr_target)target;
    return mr_model_unpack(&m->model, mr_ctx_arena(ctx), m->names.count, m->class_count, &u, err);
}

/* Rows that carry the target show how right the model is. */
static mr_status put_check(mr_ctx *ctx, const stored *m, const mr_batch *batch, double *predicted,
                           mr_out *out, mr_error *err) {
    size_t wide = mr_model_width(&m->model), n = 0;
    double *y = mr_ctx_alloc(ctx, batch->rows + (size_t)1, sizeof *y), v;
    if (!y) return mr_fail(err, MR_E_MEMORY, "no memory for %u targets", batch->rows);
    for (size_t i = 0; i < batch->rows; i++) {
        MR_TRY(mr_target_read(batch, m->target, m->class_count == 0, i, &v, err));
        if (m->class_count && !isnan(v)) v = mr_class_number(v, m->classes, m->class_count);
        if (isnan(v)) continue;
        memmove(predicted + n * wide, predicted + i * wide, wide * sizeof *predicted);
        y[n++] = v;
    }
    if (n == 0) return MR_OK;
    mr_judgement j = mr_judge(y, predicted, n, m->class_count, mr_ctx_arena(ctx));
    mr_put_judgement(out, "check", &j);
    return MR_OK;
}

static void put_predictions(const stored *m, const double *predicted, size_t rows, mr_out *out) {
    size_t wide = mr_model_width(&m->model);
    if (m->class_count == 0) {
        mr_out_numbers(out, "predictions", predicted, rows);
        return;
    }
    mr_out_open_list(out, "predicted");
    for (size_t i = 0; i < rows; i++) {
        size_t top = 0;
        for (size_t k = 1; k < wide; k++)
            if (predicted[i * wide + k] > predicted[i * wide + top]) top = k;
        mr_out_span(out, NULL, m->classes[top]);
    }
    mr_out_close(out);
    mr_out_matrix(out, "probabilities", predicted, rows, wide);
}

static mr_status apply(mr_ctx *ctx, const void *config, const mr_artifact *artifact, const mr_batch *batch,
                       mr_out *out) {
    (void)config;
    mr_error err = {0};
    stored m = {0};
    if (mr_check_features(batch, MR_TRAINING_WIDTH, &err) != MR_OK ||
        read_model(ctx, artifact->bytes, &m, &err) != MR_OK ||
        mr_same_names((mr_names){batch->width, batch->feature_names}, m.names, "the model", &err) != MR_OK)
        return refuse(ctx, &err);
    size_t wide = mr_model_width(&m.model);
    double *predicted = mr_ctx_alloc(ctx, batch->rows * wide + 1, sizeof *predicted);
    if (!predicted) return MR_E_MEMORY;
    for (size_t i = 0; i < batch->rows; i++) {
        MR_TRY(mr_tick(ctx));
        mr_model_at(&m.model, batch->features + i * batch->width, predicted + i * wide);
    }
    mr_out_integer(out, "rows", batch->rows);
    mr_out_text(out, "target", "%s", mr_target_words[m.target]);
    mr_out_open_list(out, "classes");
    for (uint32_t k = 0; k < m.class_count; k++) {
        mr_out_open_map(out, NULL);
        mr_out_span(out, "name", m.classes[k]);
        mr_out_close(out);
    }
    mr_out_close(out);
    mr_put_names(out, "columns", m.names);
    mr_out_text(out, "model", "%s", mr_model_names[m.model.kind]);
    put_predictions(&m, predicted, batch->rows, out);
    mr_status status = put_check(ctx, &m, batch, predicted, out, &err);
    return err.status == MR_OK ? status : refuse(ctx, &err);
}

/* y = 1 + 2 x with noise; on z-scores beta = z'y / (10 + 1) by numpy. */
static const mr_example examples[] = {
    {.title = "a line with noise",
     .input = "x,y\n1,3.1\n2,4.9\n3,7.2\n4,8.8\n5,11.1\n6,12.9\n7,15.2\n8,16.8\n9,19.1\n10,20.9\n",
     .options = "model=ridge",
     .roles = "outcome=y",
     .expect = "{\"rows\": 10, \"model\": \"ridge\", \"columns\": [\"x\"], \"ridge\": {\"beta\": "
               "[5.20017434064021], "
               "\"df\": 0.909090909090909}}"},
    {0}};

const mr_component mr_component_ml_model_service = {
    .name = "ml_model_service",
    .summary = "fits, judges and serves ridge regression, logistic regression and gradient-boosted trees",
    .kind = MR_LEARNER,
    .shape = MR_MERGE,
    .tier = 2,
    .version = 2,
    .columns = MR_COL_FEATURES,
    .columns_wanted = MR_COL_LABEL | MR_COL_SUCCESS | MR_COL_OUTCOME | MR_COL_SCORE,
    .capabilities = (const char *const[]){"regression", "classification", "prediction", NULL},
    .depends_on = (const mr_dependency[]){{"dimensionality_reducer", "model", MR_USE_FEATURES}, {0}},
    .options = options,
    .config_size = sizeof(model_config),
    .outputs = outputs,
    .examples = examples,
    .deadline_ms = 600000,
    .memory_mb = 1024,
    .process = process,
    .merge = merge,
    .apply = apply,
};
