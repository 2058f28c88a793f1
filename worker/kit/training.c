#include "worker/kit/training.h"
#include "common/rng.h"
#include "common/text.h"
#include "worker/kit/crosses.h"

#include <math.h>
#include <string.h>

enum { HEADER_MAX = 256 << 10, SUM_BYTES = 80 };
static const char magic[] = "training-1";

const char *const mr_target_words[] = {"auto", "success", "outcome", "score", "label", NULL};

/* ---- the target of a row ---- */

static const struct {
    uint32_t column;
    int slot;
} number_roles[] = {[MR_TARGET_SUCCESS] = {MR_COL_SUCCESS, MR_NUM_SUCCESS},
                    [MR_TARGET_OUTCOME] = {MR_COL_OUTCOME, MR_NUM_OUTCOME},
                    [MR_TARGET_SCORE] = {MR_COL_SCORE, MR_NUM_SCORE}};

mr_target mr_target_of(const mr_batch *batch) {
    for (mr_target t = MR_TARGET_SUCCESS; t <= MR_TARGET_SCORE; t++)
        if (batch->columns & number_roles[t].column) return t;
    return MR_TARGET_LABEL;
}

double mr_class_key(mr_span name) {
    uint64_t h = 14695981039346656037u;
    for (size_t i = 0; i < name.len; i++) h = (h ^ name.data[i]) * 1099511628211u;
    return (double)(mr_mix64(h) >> 11);
}

static mr_span class_name(const mr_batch *b, mr_target t, size_t i) {
    if (t == MR_TARGET_LABEL) return b->text[MR_TEXT_LABEL][i];
    return mr_span_of(b->number[MR_NUM_SUCCESS][i] == 1 ? "1" : "0");
}

static mr_status read_label(mr_span text, bool number, unsigned long long row, double *out, mr_error *err) {
    if (text.len == 0) return MR_OK;
    if (number && !mr_number_parse(text, out))
        return mr_fail(err, MR_E_INVALID, "row %llu: the label is not a number, which this model needs", row);
    if (!number && text.len > MR_CLASS_NAME)
        return mr_fail(err, MR_E_INVALID, "row %llu: the label has %zu bytes; a class has at most %d", row,
                       text.len, MR_CLASS_NAME);
    if (!number) *out = mr_class_key(text);
    return MR_OK;
}

mr_status mr_target_read(const mr_batch *b, mr_target target, bool number, size_t i, double *out,
                         mr_error *err) {
    unsigned long long row = b->first + i;
    *out = NAN;
    if (target == MR_TARGET_LABEL) {
        const mr_span *label = b->text[MR_TEXT_LABEL];
        MR_TRY(read_label(label ? label[i] : (mr_span){NULL, 0}, number, row, out, err));
    } else if (b->number[number_roles[target].slot]) {
        double v = *out = b->number[number_roles[target].slot][i];
        bool success = target == MR_TARGET_SUCCESS && !isnan(v);
        if (success && v != 0 && v != 1)
            return mr_fail(err, MR_E_INVALID, "row %llu: success is %g; it must be 0, 1 or absent", row, v);
        if (success && !number) *out = mr_class_key(class_name(b, target, i));
    }
    if (!isnan(*out) && !(fabs(*out) <= 1e140))
        return mr_fail(err, MR_E_INVALID, "row %llu: the %s is %g, beyond 1e140", row,
                       mr_target_words[target], *out);
    return MR_OK;
}

double mr_class_number(double key, const mr_span *names, size_t count) {
    for (size_t k = 0; k < count; k++)
        if (mr_class_key(names[k]) == key) return (double)k;
    return NAN;
}

/* ---- taking rows ---- */

static size_t sum_count(size_t width) { return (width + 1) + (width + 1) * (width + 2) / 2; }

mr_status mr_training_init(mr_training *t, mr_arena *arena, const mr_training_options *o, mr_target target,
                           mr_names names, mr_error *err) {
    size_t sums = sum_count(names.count), bytes = o->bytes_max - HEADER_MAX, all = names.count + (size_t)1;
    bool number = o->numbers || target == MR_TARGET_OUTCOME || target == MR_TARGET_SCORE;
    *t = (mr_training){.arena = arena, .target = target, .number = number, .sums = number && o->sums};
    t->names = names;
    if (t->sums) bytes -= sums * SUM_BYTES;
    size_t k = mr_sample_fits(bytes, all);
    mr_sample_init(&t->sample, arena, o->seed, k < o->sample ? k : o->sample, all);
    t->classes = mr_arena_alloc(arena, MR_MODEL_CLASSES, sizeof *t->classes);
    t->sum = mr_arena_alloc(arena, t->sums ? sums : 1, sizeof *t->sum);
    return t->classes && t->sum ? MR_OK : mr_fail(err, MR_E_MEMORY, "no memory for %zu sums", sums);
}

static int compare(mr_span a, mr_span b) {
    int c = memcmp(a.data, b.data, a.len < b.len ? a.len : b.len);
    return c ? c : (a.len > b.len) - (a.len < b.len);
}

static mr_status add_class(mr_training *t, mr_span name, uint64_t rows, mr_error *err) {
    uint32_t at = t->class_count;
    while (at > 0 && compare(t->classes[at - 1].name, name) > 0) at--;
    if (at > 0 && mr_span_eq(t->classes[at - 1].name, name)) {
        t->classes[at - 1].rows += rows;
        return MR_OK;
    }
    if (t->class_count == MR_MODEL_CLASSES)
        return mr_fail(
            err, MR_E_INVALID,
            "the label has more than %d values; bind a column of classes, or a number as 'outcome'",
            MR_MODEL_CLASSES);
    memmove(t->classes + at + 1, t->classes + at, (t->class_count - at) * sizeof *t->classes);
    t->classes[at] = (mr_class){name, rows};
    t->class_count++;
    return MR_OK;
}

static mr_status add_sums(mr_training *t, const mr_batch *b, const double *target, const mr_ticker *tick, mr_error *err) {
    size_t all = t->names.count + (size_t)1, at = all;
    mr_cross_rows rows = {b->features, target, b->rows, b->width};
    mr_crosses c;
    MR_TRY(mr_crosses_of(rows, t->arena, tick, &c, err));
    for (size_t j = 0; j < all; j++) mr_crosses_add_sum(&c, j, &t->sum[j]);
    for (size_t j = 0; j < all; j++)
        for (size_t k = j; k < all; k++) mr_crosses_add_product(&c, j, k, &t->sum[at++]);
    return MR_OK;
}

mr_status mr_training_add(mr_training *t, const mr_batch *b, const mr_ticker *tick, mr_error *err) {
    double *row = mr_arena_alloc(t->arena, b->width + (size_t)1, sizeof *row);
    double *target = mr_arena_alloc(t->arena, b->rows + (size_t)1, sizeof *target);
    if (!row || !target) return mr_fail(err, MR_E_MEMORY, "no memory for a row");
    for (size_t i = 0; i < b->rows; i++) {
        MR_TRY(mr_ticker_call(tick));
        MR_TRY(mr_target_read(b, t->target, t->number, i, &target[i], err));
        if (isnan(target[i])) {
            t->left_out++;
            continue;
        }
        t->rows++;
        if (!t->number) MR_TRY(add_class(t, class_name(b, t->target, i), 1, err));
        memcpy(row, b->features + i * b->width, b->width * sizeof *row);
        row[b->width] = target[i];
        MR_TRY(mr_sample_add(&t->sample, b->first + i, row, err));
    }
    return t->sums ? add_sums(t, b, target, tick, err) : MR_OK;
}

/* ---- partials: [magic, target, rows, left out, names, [class, rows ...], sample], then the sums ---- */

mr_status mr_training_pack(mr_training *t, mr_buf *out, mr_error *err) {
    MR_TRY(mr_sample_sort(&t->sample, err));
    mr_pack_array(out, 7);
    mr_pack_text(out, magic);
    mr_pack_u64(out, t->target);
    mr_pack_u64(out, t->rows);
    mr_pack_u64(out, t->left_out);
    mr_pack_names(out, t->names);
    mr_pack_array(out, 2 * t->class_count);
    for (uint32_t k = 0; k < t->class_count; k++) {
        mr_pack_str(out, t->classes[k].name);
        mr_pack_u64(out, t->classes[k].rows);
    }
    mr_sample_pack(&t->sample, out);
    for (size_t i = 0; t->sums && i < sum_count(t->names.count); i++) mr_exact_pack(&t->sum[i], out);
    return MR_OK;
}

static mr_status add_classes(mr_training *t, mr_unpack *u, mr_error *err) {
    uint32_t items;
    uint64_t rows;
    mr_span name;
    MR_TRY(mr_unpack_array(u, 2 * MR_MODEL_CLASSES, &items, err));
    for (uint32_t k = 0; k < items / 2; k++) {
        MR_TRY(mr_unpack_str(u, MR_CLASS_NAME, &name, err));
        MR_TRY(mr_unpack_u64(u, UINT32_MAX, &rows, err));
        MR_TRY(add_class(t, name, rows, err));
    }
    return MR_OK;
}

static mr_status add_packed_sums(mr_training *t, mr_span rest, const mr_ticker *tick, mr_error *err) {
    for (size_t i = 0; t->sums && i < sum_count(t->names.count); i++) {
        MR_TRY(mr_ticker_call(tick));
        MR_TRY(mr_exact_add_packed(&t->sum[i], &rest, i > t->names.count, err));
    }
    return rest.len == 0 ? MR_OK : mr_fail(err, MR_E_CORRUPT, "%zu bytes behind a partial", rest.len);
}

mr_status mr_training_add_packed(mr_training *t, mr_arena *arena, const mr_training_options *o, mr_span bytes,
                                 bool first, const mr_ticker *tick, mr_error *err) {
    mr_unpack u;
    uint64_t target, rows, left_out;
    mr_names names;
    mr_unpack_init(&u, bytes);
    MR_TRY(mr_unpack_magic(&u, magic, 7, err));
    MR_TRY(mr_unpack_u64(&u, MR_TARGET_LABEL, &target, err));
    MR_TRY(mr_unpack_u64(&u, UINT32_MAX, &rows, err));
    MR_TRY(mr_unpack_u64(&u, UINT32_MAX, &left_out, err));
    MR_TRY(mr_unpack_names(&u, arena, &names, err));
    if (names.count == 0 || names.count > MR_TRAINING_WIDTH || target == MR_TARGET_AUTO)
        return mr_fail(err, MR_E_CORRUPT, "a partial has %u feature columns and target %u", names.count,
                       (unsigned)target);
    if (first) MR_TRY(mr_training_init(t, arena, o, (mr_target)target, names, err));
    MR_TRY(mr_same_names(names, t->names, "the batches before", err));
    if (target != t->target) return mr_fail(err, MR_E_INVALID, "the batches have targets of different roles");
    t->rows += rows;
    t->left_out += left_out;
    MR_TRY(add_classes(t, &u, err));
    MR_TRY(mr_sample_add_packed(&t->sample, &u, err));
    return add_packed_sums(t, (mr_span){u.at, (size_t)(u.end - u.at)}, tick, err);
}

/* ---- what the models take ---- */

static mr_status number_classes(const mr_training *t, double *y, size_t n, mr_error *err) {
    mr_span names[MR_MODEL_CLASSES];
    for (uint32_t k = 0; k < t->class_count; k++) names[k] = t->classes[k].name;
    for (size_t i = 0; i < n; i++) {
        y[i] = mr_class_number(y[i], names, t->class_count);
        if (isnan(y[i])) return mr_fail(err, MR_E_CORRUPT, "a sampled row is of no known class");
    }
    return MR_OK;
}

mr_status mr_training_rows(mr_training *t, mr_examples *out, mr_error *err) {
    MR_TRY(mr_sample_sort(&t->sample, err));
    size_t n = t->sample.count, w = t->names.count;
    double *x = mr_arena_alloc(t->arena, n * w + 1, sizeof *x),
           *y = mr_arena_alloc(t->arena, n + 1, sizeof *y);
    if (!x || !y) return mr_fail(err, MR_E_MEMORY, "no memory for %zu sampled rows", n);
    for (size_t i = 0; i < n; i++) {
        memcpy(x + i * w, t->sample.values + i * (w + 1), w * sizeof *x);
        y[i] = t->sample.values[i * (w + 1) + w];
    }
    *out = (mr_examples){x, y, n, w, t->class_count};
    return t->number ? MR_OK : number_classes(t, y, n, err);
}

mr_status mr_training_moments(mr_training *t, mr_moments *out, mr_error *err) {
    size_t all = t->names.count + (size_t)1, at = all;
    double n = (double)t->rows;
    mr_exact difference;
    *out = (mr_moments){t->names.count, n, mr_arena_alloc(t->arena, all, sizeof *out->mean),
                        mr_arena_alloc(t->arena, all * all, sizeof *out->covariance)};
    if (!out->mean || !out->covariance)
        return mr_fail(err, MR_E_MEMORY, "no memory for %zu moments", all * all);
    for (size_t j = 0; j < all; j++) {
        out->mean[j] = mr_exact_value(&t->sum[j]) / n;
        for (size_t k = j; k < all; k++) {
            mr_exact_comoment(&difference, t->rows, &t->sum[at++], &t->sum[j], &t->sum[k]);
            out->covariance[j * all + k] = out->covariance[k * all + j] = mr_exact_value(&difference) / n / n;
        }
    }
    return MR_OK;
}
