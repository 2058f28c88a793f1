#include "worker/kit/models.h"
#include "worker/kit/columns.h"
#include "worker/kit/risk.h"

#include <math.h>
#include <string.h>

const char *const mr_model_names[MR_MODEL_KINDS] = {"ridge", "logistic", "trees"};

static size_t outputs_for(size_t classes) { return classes > 2 ? classes : 1; }
static size_t width_for(size_t classes) { return classes > 0 ? classes : 1; }
size_t mr_model_width(const mr_model *m) { return width_for(m->classes); }

/* ---- fitting ---- */

static mr_status no_room(const mr_examples *e, mr_error *err) {
    return mr_fail(err, MR_E_MEMORY, "no memory for a model of %zu rows of %zu columns", e->n, e->width);
}

/* 1 for the rows of one class; with two classes the second is the one that is foreseen. */
static void one_against_rest(const mr_examples *e, size_t output, double *out) {
    double class = e->classes == 2 ? 1 : (double)output;
    for (size_t i = 0; i < e->n; i++) out[i] = e->y[i] == class;
}

/* Weights for z-scores become weights for the values themselves. */
static void unscale(double *weight, size_t width, const double *mean, const double *sd) {
    for (size_t j = 0; j < width; j++) {
        weight[j] = sd[j] > 0 ? weight[j] / sd[j] : 0;
        weight[width] -= weight[j] * mean[j];
    }
}

static mr_status fit_logistic(const mr_examples *e, const mr_model_options *o, mr_scratch *scratch,
                              const mr_ticker *tick, mr_model *m, mr_error *err) {
    mr_scratch_mark mark = mr_scratch_here(scratch);
    size_t w = e->width;
    double *z = mr_scratch_get(scratch, e->n * w + 1, sizeof *z),
           *y = mr_scratch_get(scratch, e->n + 1, sizeof *y);
    double *mean = mr_scratch_get(scratch, w, sizeof *mean), *sd = mr_scratch_get(scratch, w, sizeof *sd);
    m->weight = mr_arena_alloc(scratch->arena, m->outputs * (w + 1), sizeof *m->weight);
    if (!z || !y || !mean || !sd || !m->weight) return no_room(e, err);
    mr_mean_sd(e->x, e->n, w, mean, sd);
    if (o->scale)
        mr_standardise(e->x, e->n, w, mean, sd, z);
    else
        memcpy(z, e->x, e->n * w * sizeof *z);
    for (size_t k = 0; k < m->outputs; k++) {
        double *weight = m->weight + k * (w + 1);
        one_against_rest(e, k, y);
        MR_TRY(mr_logit_fit(z, y, e->n, w, o->c, scratch, tick, weight, err));
        if (o->scale) unscale(weight, w, mean, sd);
    }
    mr_scratch_back(scratch, mark);
    return MR_OK;
}

static mr_status fit_trees(const mr_examples *e, const mr_model_options *o, mr_scratch *scratch,
                           const mr_ticker *tick, mr_model *m, mr_error *err) {
    mr_scratch_mark mark = mr_scratch_here(scratch);
    mr_bins bins;
    mr_boost_options options = o->trees;
    double *y = mr_scratch_get(scratch, e->n + 1, sizeof *y);
    m->trees = mr_arena_alloc(scratch->arena, m->outputs, sizeof *m->trees);
    if (!y || !m->trees) return no_room(e, err);
    options.loss = e->classes ? MR_BOOST_LOGISTIC : MR_BOOST_SQUARES;
    MR_TRY(mr_bins_make(e->x, e->n, e->width, scratch, tick, &bins, err));
    for (size_t k = 0; k < m->outputs; k++) {
        if (e->classes) one_against_rest(e, k, y);
        MR_TRY(mr_boost_fit(&bins, e->classes ? y : e->y, &options, scratch, tick, &m->trees[k], err));
    }
    mr_scratch_back(scratch, mark);
    return MR_OK;
}

mr_status mr_model_ridge(const mr_moments *moments, double lambda, mr_arena *arena, const mr_ticker *tick,
                         mr_model *out, mr_error *err) {
    size_t w = moments->width;
    double *sd = mr_arena_alloc(arena, w, sizeof *sd);
    *out = (mr_model){.kind = MR_MODEL_RIDGE,
                      .width = w,
                      .outputs = 1,
                      .weight = mr_arena_alloc(arena, w + 1, sizeof *out->weight)};
    if (!sd || !out->weight) return mr_fail(err, MR_E_MEMORY, "no memory for %zu weights", w);
    MR_TRY(mr_ridge_fit(moments, lambda, arena, tick, &out->ridge, err));
    for (size_t j = 0; j < w; j++) sd[j] = sqrt(moments->covariance[j * (w + 2)]);
    memcpy(out->weight, out->ridge.beta, w * sizeof *out->weight);
    out->weight[w] = out->ridge.intercept;
    unscale(out->weight, w, moments->mean, sd);
    return MR_OK;
}

mr_status mr_model_fit(mr_model_kind kind, const mr_examples *e, const mr_model_options *o,
                       mr_scratch *scratch, const mr_ticker *tick, mr_model *out, mr_error *err) {
    MR_ASSERT(kind == MR_MODEL_TREES || (kind == MR_MODEL_RIDGE) == (e->classes == 0));
    if (kind == MR_MODEL_RIDGE) {
        mr_moments m;
        MR_TRY(mr_moments_of(e->x, e->y, e->n, e->width, scratch->arena, &m, err));
        return mr_model_ridge(&m, o->lambda, scratch->arena, tick, out, err);
    }
    *out = (mr_model){
        .kind = kind, .width = e->width, .classes = e->classes, .outputs = outputs_for(e->classes)};
    return kind == MR_MODEL_LOGISTIC ? fit_logistic(e, o, scratch, tick, out, err)
                                     : fit_trees(e, o, scratch, tick, out, err);
}

/* ---- predicting ---- */

static double output_at(const mr_model *m, size_t k, const double *row) {
    double v = m->kind == MR_MODEL_TREES ? mr_boost_at(&m->trees[k], row)
                                         : mr_linear_at(m->weight + k * (m->width + 1), row, m->width);
    return m->classes ? mr_sigmoid(v) : v;
}

void mr_model_at(const mr_model *m, const double *row, double *out) {
    double sum = 0;
    for (size_t k = 0; k < m->outputs; k++) sum += out[k] = output_at(m, k, row);
    if (m->classes == 0) return;
    if (m->classes == 2) {
        out[1] = out[0];
        out[0] = 1 - out[1];
        return;
    }
    for (size_t k = 0; k < m->classes; k++) out[k] = sum > 0 ? out[k] / sum : 1 / (double)m->classes;
}

/* ---- bytes: [kind, then a block of weights or the trees of each output] ---- */

void mr_model_pack(const mr_model *m, mr_buf *out) {
    bool trees = m->kind == MR_MODEL_TREES;
    mr_pack_array(out, 1 + (trees ? (uint32_t)m->outputs : 1));
    mr_pack_u64(out, m->kind);
    if (!trees) mr_pack_doubles(out, m->weight, m->outputs * (m->width + 1));
    for (size_t k = 0; trees && k < m->outputs; k++) mr_boost_pack(&m->trees[k], out);
}

mr_status mr_model_unpack(mr_model *m, mr_arena *arena, size_t width, size_t classes, mr_unpack *in,
                          mr_error *err) {
    uint32_t parts;
    uint64_t kind;
    MR_TRY(mr_unpack_array(in, 1 + MR_MODEL_CLASSES, &parts, err));
    MR_TRY(mr_unpack_u64(in, MR_MODEL_KINDS - 1, &kind, err));
    *m = (mr_model){
        .kind = (mr_model_kind)kind, .width = width, .classes = classes, .outputs = outputs_for(classes)};
    if (parts != 1 + (kind == MR_MODEL_TREES ? m->outputs : 1))
        return mr_fail(err, MR_E_CORRUPT, "a model of %zu outputs has %u parts", m->outputs, parts);
    if (kind != MR_MODEL_TREES)
        return mr_unpack_doubles(in, m->outputs * (width + 1), arena, &m->weight, err);
    m->trees = mr_arena_alloc(arena, m->outputs, sizeof *m->trees);
    if (!m->trees) return mr_fail(err, MR_E_MEMORY, "no memory for the trees of %zu outputs", m->outputs);
    for (size_t k = 0; k < m->outputs; k++) MR_TRY(mr_boost_unpack(&m->trees[k], arena, width, in, err));
    return MR_OK;
}

/* ---- judging ---- */

static double mean_auc(const double *y, const double *p, size_t n, size_t classes, mr_arena *arena) {
    double *score = mr_arena_alloc(arena, n + 1, sizeof *score), sum = 0;
    uint8_t *positive = mr_arena_alloc(arena, n + 1, 1);
    size_t counted = 0;
    if (!score || !positive) return NAN;
    for (size_t k = classes == 2 ? 1 : 0; k < classes; k++) {
        for (size_t i = 0; i < n; i++) {
            score[i] = p[i * classes + k];
            positive[i] = y[i] == (double)k;
        }
        double auc = mr_auc(score, positive, n, arena);
        if (isnan(auc)) continue;
        sum += auc;
        counted++;
    }
    return counted ? sum / (double)counted : NAN;
}

static void judge_class(double y, const double *p, size_t classes, mr_judgement *j) {
    size_t top = 0;
    for (size_t k = 0; k < classes; k++) {
        double miss = p[k] - (y == (double)k);
        if (p[k] > p[top]) top = k;
        if (classes > 2 || k == 1) j->brier += miss * miss;
    }
    j->accuracy += (double)top == y;
    j->log_loss -= log(fmin(fmax(p[(size_t)y], 1e-15), 1 - 1e-15));
}

static void judge_numbers(const double *y, const double *p, size_t n, mr_judgement *j) {
    double mean = 0, rss = 0, total = 0, off = 0;
    for (size_t i = 0; i < n; i++) mean += y[i] / (double)n;
    for (size_t i = 0; i < n; i++) {
        rss += (y[i] - p[i]) * (y[i] - p[i]);
        total += (y[i] - mean) * (y[i] - mean);
        off += fabs(y[i] - p[i]);
    }
    j->r2 = total > 0 ? 1 - rss / total : NAN;
    j->rmse = sqrt(rss / (double)n);
    j->mae = off / (double)n;
}

mr_judgement mr_judge(const double *y, const double *predicted, size_t n, size_t classes, mr_arena *arena) {
    mr_judgement j = {n, NAN, NAN, NAN, NAN, NAN, NAN, NAN};
    if (n == 0) return j;
    if (classes == 0) {
        judge_numbers(y, predicted, n, &j);
        return j;
    }
    j.accuracy = j.log_loss = j.brier = 0;
    for (size_t i = 0; i < n; i++) judge_class(y[i], predicted + i * classes, classes, &j);
    j.accuracy /= (double)n;
    j.log_loss /= (double)n;
    j.brier /= (double)n;
    j.auc = mean_auc(y, predicted, n, classes, arena);
    return j;
}

double mr_judgement_loss(const mr_judgement *j) { return isnan(j->rmse) ? j->log_loss : j->rmse; }

/* ---- cross-validation ---- */

typedef struct crossing {
    mr_model_kind kind;
    const mr_examples *e;
    const uint8_t *fold;
    const mr_model_options *o;
    mr_scratch *scratch;
    const mr_ticker *tick;
    double *x, *y, *got; /* the rows to fit on; the predictions for those left out */
    mr_moments *of;      /* ridge: those of each fold's rows */
} crossing;

/* The rows that are in the fold, or else the others, into x and y; returns how many. */
static size_t gather(const crossing *c, size_t fold, bool in) {
    size_t w = c->e->width, count = 0;
    for (size_t i = 0; i < c->e->n; i++) {
        if ((c->fold[i] == fold) != in) continue;
        memcpy(c->x + count * w, c->e->x + i * w, w * sizeof *c->x);
        c->y[count++] = c->e->y[i];
    }
    return count;
}

/* Ridge needs no rows: the moments of a fold's rows serve all other folds. */
static mr_status sum_folds(crossing *c, size_t folds, mr_error *err) {
    c->of = mr_arena_alloc(c->scratch->arena, folds, sizeof *c->of);
    if (!c->of) return no_room(c->e, err);
    for (size_t f = 0; f < folds; f++) {
        size_t n = gather(c, f, true);
        if (n > 0) MR_TRY(mr_moments_of(c->x, c->y, n, c->e->width, c->scratch->arena, &c->of[f], err));
    }
    return MR_OK;
}

static mr_status fit_ridge_without(const crossing *c, size_t fold, size_t folds, mr_model *m, mr_error *err) {
    size_t w = c->e->width + 1;
    mr_moments all = {c->e->width, 0, mr_arena_alloc(c->scratch->arena, w, sizeof(double)),
                      mr_arena_alloc(c->scratch->arena, w * w, sizeof(double))};
    if (!all.mean || !all.covariance) return no_room(c->e, err);
    for (size_t f = 0; f < folds; f++)
        if (f != fold && c->of[f].rows > 0) mr_moments_join(&all, &c->of[f]);
    return mr_model_ridge(&all, c->o->lambda, c->scratch->arena, c->tick, m, err);
}

static mr_status fit_without(const crossing *c, size_t fold, size_t folds, mr_model *m, mr_error *err) {
    if (c->of) return fit_ridge_without(c, fold, folds, m, err);
    size_t kept = gather(c, fold, false);
    mr_examples rest = {c->x, c->y, kept, c->e->width, c->e->classes};
    return mr_model_fit(c->kind, &rest, c->o, c->scratch, c->tick, m, err);
}

static mr_status cross_one(const crossing *c, size_t fold, size_t folds, mr_validation *out, mr_error *err) {
    const mr_examples *e = c->e;
    size_t wide = width_for(e->classes), in = 0, left = 0;
    mr_model m;
    for (size_t i = 0; i < e->n; i++) in += c->fold[i] == fold;
    out->folds[fold] = mr_judge(NULL, NULL, 0, e->classes, c->scratch->arena);
    if (in == 0 || in == e->n) return MR_OK;
    MR_TRY(fit_without(c, fold, folds, &m, err));
    for (size_t i = 0; i < e->n; i++) {
        if (c->fold[i] != fold) continue;
        double *to = out->predicted + i * wide;
        mr_model_at(&m, e->x + i * e->width, to);
        memcpy(c->got + left * wide, to, wide * sizeof *to);
        c->y[left++] = e->y[i]; /* the fit is done with it */
    }
    out->folds[fold] = mr_judge(c->y, c->got, left, e->classes, c->scratch->arena);
    return MR_OK;
}

static void sum_up(size_t folds, mr_validation *c) {
    double sum = 0, squares = 0, used = 0;
    for (size_t f = 0; f < folds; f++) {
        if (c->folds[f].rows == 0) continue;
        sum += mr_judgement_loss(&c->folds[f]);
        used++;
    }
    c->loss = sum / used;
    for (size_t f = 0; f < folds; f++) {
        double d = mr_judgement_loss(&c->folds[f]) - c->loss;
        if (c->folds[f].rows > 0) squares += d * d;
    }
    c->loss_error = used > 1 ? sqrt(squares / (used - 1) / used) : NAN;
}

mr_status mr_cross_validate(mr_model_kind kind, const mr_examples *e, const uint8_t *fold, size_t folds,
                            const mr_model_options *o, mr_scratch *scratch, const mr_ticker *tick,
                            mr_validation *out, mr_error *err) {
    size_t wide = width_for(e->classes);
    mr_scratch_mark mark = mr_scratch_here(scratch);
    crossing c = {.kind = kind, .e = e, .fold = fold, .o = o, .scratch = scratch, .tick = tick};
    c.x = mr_scratch_get(scratch, e->n * e->width + 1, sizeof *c.x);
    c.y = mr_scratch_get(scratch, e->n + 1, sizeof *c.y);
    c.got = mr_scratch_get(scratch, e->n * wide + 1, sizeof *c.got);
    *out =
        (mr_validation){.predicted = mr_arena_alloc(scratch->arena, e->n * wide + 1, sizeof *out->predicted),
                        .folds = mr_arena_alloc(scratch->arena, folds, sizeof *out->folds)};
    if (!c.x || !c.y || !c.got || !out->predicted || !out->folds) return no_room(e, err);
    if (kind == MR_MODEL_RIDGE) MR_TRY(sum_folds(&c, folds, err));
    for (size_t f = 0; f < folds; f++) MR_TRY(cross_one(&c, f, folds, out, err));
    out->pooled = mr_judge(e->y, out->predicted, e->n, e->classes, scratch->arena);
    sum_up(folds, out);
    mr_scratch_back(scratch, mark);
    return MR_OK;
}
