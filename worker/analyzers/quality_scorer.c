/* quality_scorer: how good each prompt is in five named dimensions, and, where feedback says how prompts
 * fared, the probability that a prompt does well. docs/components/quality_scorer.md
 *
 * It merges rather than maps: a calibration that each batch learnt alone would depend on how the rows were
 * cut. Partials are exact sums and a bottom-k sample, so any batches give the same bytes; the stored model
 * scores new prompts row by row (apply). Half of the labelled rows weigh the dimensions, a quarter
 * calibrates, a quarter judges; which a row is follows from its position and the seed. */
#include "worker/component.h"
#include "worker/kit/calibrate.h"
#include "worker/kit/columns.h"
#include "worker/kit/dist.h"
#include "worker/kit/hypothesis.h"
#include "worker/kit/linear.h"
#include "worker/kit/quality_rows.h"
#include "worker/kit/risk.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    D = MR_QUALITY_DIMENSIONS,
    WIDTH = MR_QUALITY_WIDTH,
    LABELLED_MIN = 100,
    ISOTONIC_MIN = 1000,
    LOWEST = 10,
    NODES = 4096
};
enum { FIT, FIT_TOO, CALIBRATE, JUDGE }; /* a row's part, by two bits of a hash */
static const char model_magic[] = "quality-model-1";
static const char *const methods[] = {"auto", "isotonic", "platt", NULL};
enum { METHOD_AUTO, METHOD_ISOTONIC, METHOD_PLATT };

typedef struct quality_config {
    int64_t calibration, sample;
    double penalty;
} quality_config;

static const mr_option options[] = {
    {.name = "calibration",
     .type = MR_OPT_CHOICE,
     .offset = offsetof(quality_config, calibration),
     .def = "auto",
     .choices = methods,
     .help = "how scores become probabilities; auto: isotonic from 1000 calibrating rows on"},
    {.name = "penalty",
     .type = MR_OPT_NUMBER,
     .offset = offsetof(quality_config, penalty),
     .def = "1",
     .min = 1e-6,
     .max = 1e6,
     .help = "weight of half the squared weights beside the log losses"},
    {.name = "sample",
     .type = MR_OPT_INT,
     .offset = offsetof(quality_config, sample),
     .def = "100000",
     .min = 64,
     .max = 100000,
     .unit = "rows",
     .help = "rows to keep; of more rows a uniform sample is drawn"},
    MR_OPTION_END};

static const mr_field outputs[] = {
    {"rows", MR_FIELD_INTEGER, "rows", "prompts", MR_FOLD_SUM},
    {"empty", MR_FIELD_INTEGER, "rows", "prompts without a word; they have no score", MR_FOLD_SUM},
    {"labelled", MR_FIELD_INTEGER, "rows", "prompts with a success or a score", MR_FOLD_SUM},
    {"sampled", MR_FIELD_INTEGER, "rows", "prompts that everything but `rows` and `mean` is computed from",
     MR_FOLD_NONE},
    {"dimensions", MR_FIELD_LIST, NULL,
     "for each a map: dimension, mean (all prompts), p5, p50, p95, weakest (prompts of which it is the "
     "lowest), "
     "weight (in the log odds), auc (of this dimension alone on the labelled rows)",
     MR_FOLD_NONE},
    {"learned", MR_FIELD_BOOL, NULL, "feedback weighs and calibrates; else quality is the dimensions' mean",
     MR_FOLD_NONE},
    {"calibration", MR_FIELD_MAP, NULL,
     "method, rows (that calibrated), fit_rows, scores and values (isotonic: the steps), slope and shift "
     "(platt)",
     MR_FOLD_NONE},
    {"held_out", MR_FIELD_MAP, NULL,
     "rows that neither weighed nor calibrated: rows, rate, auc, ece, ece_noise (what perfect probabilities "
     "would "
     "have by chance), ece_before (without calibration), brier, bins (rows, foreseen, seen)",
     MR_FOLD_NONE},
    {"score_rows", MR_FIELD_LIST, NULL, "positions of the sampled prompts", MR_FOLD_NONE},
    {"qualities", MR_FIELD_NUMBERS, NULL,
     "quality of each of them, or of each row by a stored model: the probability of doing well when learned, "
     "else "
     "the mean of the dimensions",
     MR_FOLD_NONE},
    {"lowest", MR_FIELD_LIST, NULL, "the prompts of lowest quality: row, quality, weakest, its value",
     MR_FOLD_NONE},
    {"scores", MR_FIELD_MATRIX, NULL, "apply only: rows x dimensions", MR_FOLD_NONE},
    {0}};

static mr_status refuse(mr_ctx *ctx, const mr_error *err) {
    return mr_refuse(ctx, err->status, "%s", err->text);
}

static mr_status tick(void *ctx) { return mr_tick(ctx); }

/* ---- rows ---- */

/* Success, else score; NaN for none. */
static mr_status feedback(const mr_batch *b, uint32_t i, double *out, mr_error *err) {
    const double *success = b->number[MR_NUM_SUCCESS], *score = b->number[MR_NUM_SCORE];
    *out = success ? success[i] : NAN;
    if (isnan(*out) && score) *out = score[i];
    if (isnan(*out) || (*out >= 0 && *out <= 1)) return MR_OK;
    return mr_fail(err, MR_E_INVALID, "row %llu: the feedback is %g; it must lie between 0 and 1",
                   (unsigned long long)(b->first + i), *out);
}

static mr_status open_room(mr_ctx *ctx, const mr_mem *mem, mr_quality_room *room, mr_error *err) {
    MR_TRY(mr_structure_room_init(&room->structure, mr_ctx_arena(ctx), NODES, err));
    return mr_text_new(mem, &room->text, err);
}

static mr_status measure(mr_quality_room *room, const mr_batch *b, uint32_t i, double v[D], mr_error *err) {
    mr_quality_counts counts;
    mr_status status = mr_quality_measure(room, b->text[MR_TEXT_PROMPT][i], &counts, v, err);
    if (status == MR_OK || status == MR_E_MEMORY) return status;
    mr_error inner = *err;
    return mr_fail(err, status, "row %llu: %s", (unsigned long long)(b->first + i), inner.text);
}

static void init_rows(mr_ctx *ctx, const quality_config *o, mr_quality_rows *p) {
    mr_quality_rows_init(p, mr_ctx_arena(ctx), mr_ctx_seed(ctx), (size_t)o->sample);
}

static mr_status add_rows(mr_ctx *ctx, const mr_batch *b, mr_quality_room *room, mr_quality_rows *p, mr_error *err) {
    double v[WIDTH];
    for (uint32_t i = 0; i < b->rows; i++) {
        MR_TRY(mr_tick(ctx));
        MR_TRY(measure(room, b, i, v, err));
        MR_TRY(feedback(b, i, &v[D], err));
        MR_TRY(mr_quality_rows_add(p, b->first + i, v, err));
        mr_ctx_progress(ctx, (double)(i + 1) / b->rows);
    }
    return MR_OK;
}

static mr_status process(mr_ctx *ctx, const void *config, const mr_batch *b, mr_out *out) {
    mr_error err = {0};
    mr_mem mem = mr_arena_mem(mr_ctx_arena(ctx));
    mr_quality_room room = {0};
    mr_quality_rows p;
    init_rows(ctx, config, &p);
    mr_status status = open_room(ctx, &mem, &room, &err);
    if (status == MR_OK) status = add_rows(ctx, b, &room, &p, &err);
    if (room.text) mr_text_free(&room.text);
    if (status == MR_OK) status = mr_quality_rows_pack(&p, mr_out_partial_buf(out), &err);
    return err.status == MR_OK ? status : refuse(ctx, &err);
}

/* ---- learning ---- */

typedef struct model {
    bool learned;
    double weight[D + 1]; /* of the dimensions, then the intercept; unused when not learned */
    mr_calibration calibration;
} model;

/* The log odds of doing well when learned, else the mean of the dimensions. */
static double raw_quality(const model *m, const double *v) {
    double sum = 0;
    for (int k = 0; k < D; k++) sum += v[k];
    return m->learned ? mr_linear_at(m->weight, v, D) : sum / D;
}

static double quality_of(const model *m, const double *v) {
    return mr_calibrated(&m->calibration, raw_quality(m, v));
}

/* The rows of one part: the dimensions and the feedback apart. */
typedef struct rows {
    double *x, *y, *raw;
    size_t n;
} rows;

typedef struct study {
    const quality_config *o;
    mr_quality_rows p;
    rows fit, calibrate, judge;
    model model;
    double auc, rate; /* on the judging rows */
    mr_reliability before, after;
} study;

static mr_status take(mr_ctx *ctx, const study *s, int from, int to, rows *r, mr_error *err) {
    const mr_sample *sample = &s->p.sample;
    uint64_t salt = mr_mix64(mr_ctx_seed(ctx) + 0x7175616c);
    r->x = mr_ctx_alloc(ctx, sample->count * D + 1, sizeof *r->x);
    r->y = mr_ctx_alloc(ctx, sample->count + 1, sizeof *r->y);
    r->raw = mr_ctx_alloc(ctx, sample->count + 1, sizeof *r->raw);
    if (!r->x || !r->y || !r->raw)
        return mr_fail(err, MR_E_MEMORY, "no memory for %zu prompts", sample->count);
    for (size_t i = 0; i < sample->count; i++) {
        const double *v = sample->values + i * WIDTH;
        int which = (int)(mr_mix64(mr_mix64(sample->row[i]) ^ salt) & 3);
        if (v[D] < 0 || which < from || which > to) continue;
        memcpy(r->x + r->n * D, v, D * sizeof *v);
        r->y[r->n++] = v[D];
    }
    return MR_OK;
}

static bool varies(const rows *r) {
    for (size_t i = 1; i < r->n; i++)
        if (r->y[i] != r->y[0]) return true;
    return false;
}

static mr_status auc_of(mr_ctx *ctx, const double *score, size_t stride, const rows *r, double *out) {
    double *v = mr_ctx_alloc(ctx, r->n + 1, sizeof *v);
    uint8_t *up = mr_ctx_alloc(ctx, r->n + 1, 1);
    if (!v || !up) return MR_E_MEMORY;
    for (size_t i = 0; i < r->n; i++) {
        v[i] = score[i * stride];
        up[i] = r->y[i] >= 0.5;
    }
    *out = mr_auc(v, up, r->n, mr_ctx_arena(ctx));
    return MR_OK;
}

static mr_status calibrate(mr_ctx *ctx, study *s, mr_error *err) {
    rows *r = &s->calibrate;
    bool isotonic =
        s->o->calibration == METHOD_ISOTONIC || (s->o->calibration == METHOD_AUTO && r->n >= ISOTONIC_MIN);
    for (size_t i = 0; i < r->n; i++) r->raw[i] = raw_quality(&s->model, r->x + i * D);
    if (isotonic) return mr_isotonic_fit(r->raw, r->y, r->n, mr_ctx_arena(ctx), &s->model.calibration, err);
    mr_platt_fit(r->raw, r->y, r->n, &s->model.calibration);
    return MR_OK;
}

static mr_status judge(mr_ctx *ctx, study *s) {
    rows *r = &s->judge;
    double *p = mr_ctx_alloc(ctx, r->n, sizeof *p);
    if (!p) return MR_E_MEMORY;
    for (size_t i = 0; i < r->n; i++) {
        double raw = raw_quality(&s->model, r->x + i * D);
        p[i] = mr_sigmoid(raw);
        r->raw[i] = mr_calibrated(&s->model.calibration, raw);
        s->rate += r->y[i] / (double)r->n;
    }
    s->before = mr_reliability_of(p, r->y, r->n);
    s->after = mr_reliability_of(r->raw, r->y, r->n);
    return auc_of(ctx, r->raw, 1, r, &s->auc);
}

static mr_status learn(mr_ctx *ctx, study *s, mr_error *err) {
    mr_scratch scratch;
    MR_TRY(mr_sample_sort(&s->p.sample, err));
    MR_TRY(take(ctx, s, FIT, FIT_TOO, &s->fit, err));
    MR_TRY(take(ctx, s, CALIBRATE, CALIBRATE, &s->calibrate, err));
    MR_TRY(take(ctx, s, JUDGE, JUDGE, &s->judge, err));
    s->model.learned = s->fit.n + s->calibrate.n + s->judge.n >= LABELLED_MIN && varies(&s->fit) &&
                       varies(&s->calibrate) && s->judge.n > 0;
    if (!s->model.learned) return MR_OK;
    mr_scratch_init(&scratch, mr_ctx_arena(ctx));
    MR_TRY(mr_logit_fit(s->fit.x, s->fit.y, s->fit.n, D, 1 / s->o->penalty, &scratch, &(mr_ticker){tick, ctx},
                        s->model.weight, err));
    MR_TRY(calibrate(ctx, s, err));
    return judge(ctx, s);
}

/* ---- what came of it ---- */

static int weakest_of(const double *v) {
    int least = 0;
    for (int k = 1; k < D; k++)
        if (v[k] < v[least]) least = k;
    return least;
}

static mr_status put_dimension(mr_ctx *ctx, study *s, int k, const rows *labelled, const size_t weakest[D],
                               mr_out *out) {
    size_t n = s->p.sample.count;
    double *sorted = mr_ctx_alloc(ctx, n + 1, sizeof *sorted), auc = NAN;
    if (!sorted) return MR_E_MEMORY;
    for (size_t i = 0; i < n; i++) sorted[i] = s->p.sample.values[i * WIDTH + (size_t)k];
    mr_sort_numbers(sorted, n);
    if (labelled->n) MR_TRY(auc_of(ctx, labelled->x + k, D, labelled, &auc));
    mr_out_open_map(out, NULL);
    mr_out_text(out, "dimension", "%s", mr_quality_names[k]);
    mr_out_number(out, "mean", mr_exact_value(&s->p.sum[k]) / (double)(s->p.rows - s->p.empty));
    mr_out_number(out, "p5", mr_sorted_quantile(sorted, n, 0.05));
    mr_out_number(out, "p50", mr_sorted_quantile(sorted, n, 0.5));
    mr_out_number(out, "p95", mr_sorted_quantile(sorted, n, 0.95));
    mr_out_integer(out, "weakest", (int64_t)weakest[k]);
    mr_out_number(out, "weight", s->model.learned ? s->model.weight[k] : NAN);
    mr_out_number(out, "auc", auc);
    mr_out_close(out);
    if (!isnan(auc) && fabs(auc - 0.5) > 0.05)
        mr_out_finding(out, 0.4 + fabs(auc - 0.5),
                       "prompts of higher %s do %s: AUC %.2f on %zu labelled prompts", mr_quality_names[k],
                       auc > 0.5 ? "better" : "worse", auc, labelled->n);
    return MR_OK;
}

static mr_status put_dimensions(mr_ctx *ctx, study *s, mr_out *out, mr_error *err) {
    size_t weakest[D] = {0}, n = s->p.sample.count;
    rows all = {0};
    int most = 0;
    MR_TRY(take(ctx, s, FIT, JUDGE, &all, err));
    for (size_t i = 0; i < n; i++) weakest[weakest_of(s->p.sample.values + i * WIDTH)]++;
    for (int k = 1; k < D; k++)
        if (weakest[k] > weakest[most]) most = k;
    mr_out_open_list(out, "dimensions");
    for (int k = 0; k < D; k++) MR_TRY(put_dimension(ctx, s, k, &all, weakest, out));
    mr_out_close(out);
    if (n > 0)
        mr_out_finding(out, 0.5,
                       "the commonest weakness is %s: the lowest dimension of %zu of %zu prompts (%.0f %%)",
                       mr_quality_names[most], weakest[most], n, 100 * (double)weakest[most] / (double)n);
    return MR_OK;
}

static void put_calibration(const study *s, mr_out *out) {
    const mr_calibration *c = &s->model.calibration;
    mr_out_bool(out, "learned", s->model.learned);
    if (!s->model.learned) return;
    mr_out_open_map(out, "calibration");
    mr_out_text(out, "method", "%s", mr_calibration_names[c->kind]);
    mr_out_integer(out, "rows", (int64_t)s->calibrate.n);
    mr_out_integer(out, "fit_rows", (int64_t)s->fit.n);
    mr_out_numbers(out, "scores", c->score, c->count);
    mr_out_numbers(out, "values", c->value, c->count);
    mr_out_number(out, "slope", c->kind == MR_CALIBRATION_PLATT ? c->slope : NAN);
    mr_out_number(out, "shift", c->kind == MR_CALIBRATION_PLATT ? c->shift : NAN);
    mr_out_close(out);
}

static void put_reliability(const mr_reliability *r, double rate, double auc, double before, mr_out *out) {
    mr_out_open_map(out, "held_out");
    mr_out_integer(out, "rows", (int64_t)r->n);
    mr_out_number(out, "rate", rate);
    mr_out_number(out, "auc", auc);
    mr_out_number(out, "ece", r->ece);
    mr_out_number(out, "ece_noise", r->noise);
    mr_out_number(out, "ece_before", before);
    mr_out_number(out, "brier", r->brier);
    mr_out_open_list(out, "bins");
    for (size_t k = 0; k < MR_RELIABILITY_BINS; k++) {
        mr_out_open_map(out, NULL);
        mr_out_integer(out, "rows", (int64_t)r->rows[k]);
        mr_out_number(out, "foreseen", r->foreseen[k]);
        mr_out_number(out, "seen", r->seen[k]);
        mr_out_close(out);
    }
    mr_out_close(out);
    mr_out_close(out);
}

static void put_held_out(const study *s, mr_out *out) {
    if (!s->model.learned) {
        mr_out_finding(
            out, 0.6,
            "%llu prompts have feedback, too few or too alike to calibrate (%d of both outcomes are "
            "needed), so quality is the mean of the dimensions",
            (unsigned long long)s->p.labelled, LABELLED_MIN);
        return;
    }
    put_reliability(&s->after, s->rate, s->auc, s->before.ece, out);
    mr_out_finding(
        out, 0.9,
        "quality as a probability is off by %.3f on average (expected calibration error in 10 bins; "
        "%.3f would be chance, %.3f before calibration) on %zu prompts that nothing was learnt from; "
        "AUC %.2f",
        s->after.ece, s->after.noise, s->before.ece, s->judge.n, s->auc);
    if (s->auc < 0.55)
        mr_out_finding(out, 0.7,
                       "the dimensions say next to nothing about the feedback here (AUC %.2f, n = %zu)",
                       s->auc, s->judge.n);
}

typedef struct ranked {
    double quality;
    size_t at;
} ranked;

static int lowest_first(const void *x, const void *y) {
    const ranked *a = x, *b = y;
    if (a->quality != b->quality) return a->quality < b->quality ? -1 : 1;
    return (a->at > b->at) - (a->at < b->at);
}

static mr_status put_qualities(mr_ctx *ctx, const study *s, mr_out *out) {
    size_t n = s->p.sample.count;
    int64_t *row = mr_ctx_alloc(ctx, n + 1, sizeof *row);
    double *quality = mr_ctx_alloc(ctx, n + 1, sizeof *quality);
    ranked *order = mr_ctx_alloc(ctx, n + 1, sizeof *order);
    if (!row || !quality || !order) return MR_E_MEMORY;
    for (size_t i = 0; i < n; i++) {
        row[i] = (int64_t)s->p.sample.row[i];
        quality[i] = quality_of(&s->model, s->p.sample.values + i * WIDTH);
        order[i] = (ranked){quality[i], i};
    }
    qsort(order, n, sizeof *order, lowest_first);
    mr_out_integers(out, "score_rows", row, n);
    mr_out_numbers(out, "qualities", quality, n);
    mr_out_open_list(out, "lowest");
    for (size_t i = 0; i < n && i < LOWEST; i++) {
        const double *v = s->p.sample.values + order[i].at * WIDTH;
        int least = weakest_of(v);
        mr_out_open_map(out, NULL);
        mr_out_integer(out, "row", row[order[i].at]);
        mr_out_number(out, "quality", order[i].quality);
        mr_out_text(out, "weakest", "%s", mr_quality_names[least]);
        mr_out_number(out, "value", v[least]);
        mr_out_close(out);
    }
    mr_out_close(out);
    return MR_OK;
}

/* [magic, learned, weights, calibration] */
static mr_status put_model(mr_ctx *ctx, const model *m, mr_out *out, mr_error *err) {
    mr_mem mem = mr_arena_mem(mr_ctx_arena(ctx));
    mr_buf b;
    mr_buf_init(&b, &mem, (size_t)16 << 20);
    mr_pack_array(&b, 4);
    mr_pack_text(&b, model_magic);
    mr_pack_bool(&b, m->learned);
    mr_pack_doubles(&b, m->weight, D + 1);
    mr_calibration_pack(&m->calibration, &b);
    if (mr_buf_status(&b) != MR_OK) return mr_fail(err, mr_buf_status(&b), "no memory for the model");
    mr_out_artifact(out, "model", "application/x-msgpack", mr_buf_span(&b));
    return MR_OK;
}

static mr_status finish(mr_ctx *ctx, study *s, mr_out *out, mr_error *err) {
    MR_TRY(learn(ctx, s, err));
    mr_out_integer(out, "rows", (int64_t)s->p.rows);
    mr_out_integer(out, "empty", (int64_t)s->p.empty);
    mr_out_integer(out, "labelled", (int64_t)s->p.labelled);
    mr_out_integer(out, "sampled", (int64_t)s->p.sample.count);
    MR_TRY(put_dimensions(ctx, s, out, err));
    put_calibration(s, out);
    put_held_out(s, out);
    MR_TRY(put_qualities(ctx, s, out));
    return put_model(ctx, &s->model, out, err);
}

static mr_status merge(mr_ctx *ctx, const void *config, const mr_partials *partials, mr_out *out) {
    mr_error err = {0};
    study s = {.o = config};
    mr_status status = MR_OK;
    init_rows(ctx, config, &s.p);
    for (uint32_t i = 0; i < partials->count && status == MR_OK; i++) {
        status = mr_tick(ctx);
        if (status == MR_OK) status = mr_quality_rows_add_packed(&s.p, partials->items[i], &err);
    }
    if (status == MR_OK && partials->last)
        status = finish(ctx, &s, out, &err);
    else if (status == MR_OK)
        status = mr_quality_rows_pack(&s.p, mr_out_partial_buf(out), &err);
    return err.status == MR_OK ? status : refuse(ctx, &err);
}

/* ---- apply ---- */

static mr_status read_model(mr_ctx *ctx, mr_span bytes, model *m, mr_error *err) {
    mr_unpack u;
    double *weight;
    mr_unpack_init(&u, bytes);
    MR_TRY(mr_unpack_magic(&u, model_magic, 4, err));
    MR_TRY(mr_unpack_bool(&u, &m->learned, err));
    MR_TRY(mr_unpack_doubles(&u, D + 1, mr_ctx_arena(ctx), &weight, err));
    memcpy(m->weight, weight, sizeof m->weight);
    return mr_calibration_unpack(&m->calibration, mr_ctx_arena(ctx), &u, err);
}

typedef struct scored {
    double *scores, *quality, *p, *y; /* p, y: of the rows with feedback */
    size_t labelled, empty;
} scored;

static mr_status score_rows(mr_ctx *ctx, const model *m, const mr_batch *b, mr_quality_room *room, scored *s,
                            mr_error *err) {
    double y;
    for (uint32_t i = 0; i < b->rows; i++) {
        double *v = s->scores + (size_t)i * D;
        MR_TRY(mr_tick(ctx));
        MR_TRY(measure(room, b, i, v, err));
        MR_TRY(feedback(b, i, &y, err));
        s->empty += isnan(v[0]) ? 1 : 0;
        s->quality[i] = isnan(v[0]) ? NAN : quality_of(m, v);
        if (isnan(y) || isnan(v[0])) continue;
        s->p[s->labelled] = s->quality[i];
        s->y[s->labelled++] = y;
    }
    return MR_OK;
}

static mr_status put_scored(mr_ctx *ctx, const model *m, const mr_batch *b, scored *s, mr_out *out) {
    rows r = {.y = s->y, .n = s->labelled};
    double rate = 0, auc;
    mr_out_integer(out, "rows", b->rows);
    mr_out_integer(out, "empty", (int64_t)s->empty);
    mr_out_integer(out, "labelled", (int64_t)s->labelled);
    mr_out_bool(out, "learned", m->learned);
    if (s->labelled > 0) {
        mr_reliability got = mr_reliability_of(s->p, s->y, s->labelled);
        for (size_t i = 0; i < s->labelled; i++) rate += s->y[i] / (double)s->labelled;
        MR_TRY(auc_of(ctx, s->p, 1, &r, &auc));
        put_reliability(&got, rate, auc, NAN, out);
    }
    mr_out_numbers(out, "qualities", s->quality, b->rows);
    mr_out_matrix(out, "scores", s->scores, b->rows, D);
    return MR_OK;
}

static mr_status apply(mr_ctx *ctx, const void *config, const mr_artifact *artifact, const mr_batch *b,
                       mr_out *out) {
    (void)config;
    mr_error err = {0};
    mr_mem mem = mr_arena_mem(mr_ctx_arena(ctx));
    mr_quality_room room = {0};
    model m = {0};
    size_t n = b->rows + (size_t)1;
    scored s = {mr_ctx_alloc(ctx, n * D, sizeof(double)),
                mr_ctx_alloc(ctx, n, sizeof(double)),
                mr_ctx_alloc(ctx, n, sizeof(double)),
                mr_ctx_alloc(ctx, n, sizeof(double)),
                0,
                0};
    if (!s.scores || !s.quality || !s.p || !s.y) return MR_E_MEMORY;
    mr_status status = read_model(ctx, artifact->bytes, &m, &err);
    if (status == MR_OK) status = open_room(ctx, &mem, &room, &err);
    if (status == MR_OK) status = score_rows(ctx, &m, b, &room, &s, &err);
    if (room.text) mr_text_free(&room.text);
    if (status == MR_OK) status = put_scored(ctx, &m, b, &s, out);
    return err.status == MR_OK ? status : refuse(ctx, &err);
}

static const mr_example examples[] = {{.title = "a vague prompt and one that says what it wants",
                                       .input = "{\"prompt\": \"do something with the stuff maybe\"}\n"
                                                "{\"prompt\": \"Write a summary of the report in at most 120 "
                                                "words. The summary must name the 3 main "
                                                "risks of the report.\"}\n{\"prompt\": \"...\"}\n",
                                       .expect = "{\"rows\": 3, \"empty\": 1, \"labelled\": 0, \"sampled\": "
                                                 "2, \"learned\": false, \"score_rows\": [0, "
                                                 "1]}"},
                                      {0}};

const mr_component mr_component_quality_scorer = {
    .name = "quality_scorer",
    .summary = "prompt quality in five dimensions, calibrated to feedback (isotonic or Platt)",
    .kind = MR_ANALYZER,
    .shape = MR_MERGE,
    .tier = 2,
    .version = 2,
    .columns = MR_COL_PROMPT,
    .columns_wanted = MR_COL_SCORE | MR_COL_SUCCESS,
    .capabilities = (const char *const[]){"prompt quality", "calibration", "prediction", NULL},
    .options = options,
    .config_size = sizeof(quality_config),
    .outputs = outputs,
    .examples = examples,
    .deadline_ms = 300000,
    .memory_mb = 512,
    .process = process,
    .merge = merge,
    .apply = apply,
};
