#include "worker/kit/choice_log.h"

#include "worker/kit/time_order.h"

#include <math.h>
#include <string.h>

enum { ROW_ARM, ROW_REWARD, ROW_PROPENSITY, ROW_TARGET, ROW_TIME, ROW_FEATURES };
enum { HEADER_MAX = 768 << 10 /* names of arms and columns */ };
static const char magic[] = "choices-1";

mr_status mr_choice_log_init(mr_choice_log *l, mr_arena *arena, uint64_t seed, size_t most, size_t bytes,
                             mr_names names, mr_error *err) {
    size_t width = ROW_FEATURES + names.count, k = mr_sample_fits(bytes - HEADER_MAX, width);
    *l = (mr_choice_log){.seed = seed, .names = names, .arena = arena};
    mr_sample_init(&l->sample, arena, seed, k < most ? k : most, width);
    return mr_words_init(&l->arms, arena, MR_CHOICE_ARMS_MAX, err);
}

mr_status mr_choice_log_pack(const mr_choice_log *l, mr_buf *out, mr_error *err) {
    mr_pack_array(out, 8);
    mr_pack_text(out, magic);
    mr_pack_u64(out, l->rows);
    mr_pack_u64(out, l->skipped);
    mr_pack_bool(out, l->propensities);
    mr_pack_bool(out, l->targets);
    mr_pack_names(out, l->names);
    MR_TRY(mr_words_pack(&l->arms, out, err));
    mr_sample_pack(&l->sample, out);
    return MR_OK;
}

static mr_status check_probability(double p, bool zero, const char *role, uint64_t row, mr_error *err) {
    if (isnan(p) || (p <= 1 && (p > 0 || (zero && p == 0)))) return MR_OK;
    return mr_fail(err, MR_E_INVALID, "row %llu: %s is %g; a probability must be %s 0 and at most 1",
                   (unsigned long long)row, role, p, zero ? "at least" : "above");
}

static mr_status add_row(const mr_batch *b, size_t i, const double *reward, mr_choice_log *l, double *row,
                         mr_error *err) {
    uint64_t at = b->first + i;
    size_t index;
    mr_span arm = b->text[MR_TEXT_ITEM][i];
    row[ROW_REWARD] = reward[i];
    row[ROW_PROPENSITY] = l->propensities ? b->number[MR_NUM_TREATMENT][i] : NAN;
    row[ROW_TARGET] = l->targets ? b->number[MR_NUM_SCORE][i] : NAN;
    row[ROW_TIME] = b->number[MR_NUM_TIME] ? b->number[MR_NUM_TIME][i] : 0;
    if (fabs(reward[i]) > 1e140)
        return mr_fail(err, MR_E_INVALID, "row %llu: the reward is infinite or beyond 1e140",
                       (unsigned long long)at);
    MR_TRY(check_probability(row[ROW_PROPENSITY], false, "the propensity (role treatment)", at, err));
    MR_TRY(
        check_probability(row[ROW_TARGET], true, "the evaluated policy's probability (role score)", at, err));
    l->rows++;
    if (arm.len == 0 || isnan(reward[i]) || (l->propensities && isnan(row[ROW_PROPENSITY]))) {
        l->skipped++;
        return MR_OK;
    }
    MR_TRY(mr_words_add(&l->arms, arm, &index, err));
    row[ROW_ARM] = (double)l->arms.items[index].hash;
    if (b->width) memcpy(row + ROW_FEATURES, b->features + i * b->width, b->width * sizeof *row);
    return mr_sample_add(&l->sample, at, row, err);
}

mr_status mr_choice_log_add(mr_choice_log *l, const mr_batch *b, const mr_ticker *tick, mr_error *err) {
    const double *reward = b->number[MR_NUM_OUTCOME] ? b->number[MR_NUM_OUTCOME] : b->number[MR_NUM_SUCCESS];
    double *row = mr_arena_alloc(l->arena, ROW_FEATURES + (size_t)b->width, sizeof *row);
    if (!row) return mr_fail(err, MR_E_MEMORY, "no memory for a row");
    if (!b->text[MR_TEXT_ITEM])
        return mr_fail(err, MR_E_INVALID,
                       "no column says which arm was chosen; bind one with the role 'item'");
    if (!reward)
        return mr_fail(err, MR_E_INVALID,
                       "no column holds rewards; bind one with the role 'outcome' or 'success'");
    if (b->width && b->features) MR_TRY(mr_check_features(b, MR_CHOICE_WIDTH_MAX, err));
    l->propensities = b->number[MR_NUM_TREATMENT] != NULL;
    l->targets = b->number[MR_NUM_SCORE] != NULL;
    for (size_t i = 0; i < b->rows; i++) {
        MR_TRY(mr_ticker_call(tick));
        MR_TRY(add_row(b, i, reward, l, row, err));
    }
    return MR_OK;
}

mr_status mr_choice_log_add_packed(mr_choice_log *l, mr_arena *arena, uint64_t seed, size_t most,
                                   size_t bytes, mr_span packed, bool first, mr_error *err) {
    mr_unpack u;
    uint64_t rows, skipped;
    bool propensities, targets;
    mr_names names;
    mr_unpack_init(&u, packed);
    MR_TRY(mr_unpack_magic(&u, magic, 8, err));
    MR_TRY(mr_unpack_u64(&u, UINT64_MAX, &rows, err));
    MR_TRY(mr_unpack_u64(&u, rows, &skipped, err));
    MR_TRY(mr_unpack_bool(&u, &propensities, err));
    MR_TRY(mr_unpack_bool(&u, &targets, err));
    MR_TRY(mr_unpack_names(&u, arena, &names, err));
    if (first)
        MR_TRY(mr_choice_log_init(l, arena, seed, most, bytes, names, err));
    else
        MR_TRY(mr_same_names(names, l->names, "the batches before", err));
    l->rows += rows;
    l->skipped += skipped;
    l->propensities |= propensities;
    l->targets |= targets;
    MR_TRY(mr_words_add_packed(&l->arms, &u, err));
    return mr_sample_add_packed(&l->sample, &u, err);
}

/* ---- in order ---- */

typedef struct rows {
    uint32_t *arm;
    double *reward, *propensity, *x;
} rows;

static mr_status alloc(const mr_choice_log *l, rows *r, mr_logged *out, mr_error *err) {
    size_t n = l->sample.count;
    *r = (rows){mr_arena_alloc(l->arena, n + 1, sizeof *r->arm),
                mr_arena_alloc(l->arena, n + 1, sizeof(double)),
                mr_arena_alloc(l->arena, n + 1, sizeof(double)),
                mr_arena_alloc(l->arena, n * l->names.count + 1, sizeof(double))};
    out->name = mr_arena_alloc(l->arena, l->arms.count + 1, sizeof *out->name);
    out->target = mr_arena_alloc(l->arena, n + 1, sizeof(double));
    out->fold = mr_arena_alloc(l->arena, n + 1, 1);
    if (r->arm && r->reward && r->propensity && r->x && out->name && out->target && out->fold) return MR_OK;
    return mr_fail(err, MR_E_MEMORY, "no memory for %zu choices", n);
}

/* The place of each word among the arms in their order. */
static uint32_t *ranks(const mr_choice_log *l, mr_logged *out) {
    uint32_t *order = mr_words_order(&l->arms, l->arena),
             *rank = mr_arena_alloc(l->arena, l->arms.count + 1, sizeof *rank);
    if (!order || !rank) return NULL;
    for (uint32_t a = 0; a < l->arms.count; a++) {
        rank[order[a]] = a;
        out->name[a] = l->arms.items[order[a]].text;
    }
    return rank;
}

static mr_status arm_of(const mr_choice_log *l, const uint32_t *rank, double hash, uint32_t *arm,
                        mr_error *err) {
    size_t word = hash >= 0 && hash < 0x1p53 ? mr_words_find(&l->arms, (uint64_t)hash) : SIZE_MAX;
    if (word == SIZE_MAX) return mr_fail(err, MR_E_CORRUPT, "a stored choice names no arm");
    *arm = rank[word];
    return MR_OK;
}

static mr_status estimate_propensities(const mr_choice_log *l, rows *r, size_t n, mr_error *err) {
    double *pulls = mr_arena_alloc(l->arena, l->arms.count + 1, sizeof *pulls);
    if (!pulls) return mr_fail(err, MR_E_MEMORY, "no memory for %zu arms", l->arms.count);
    for (size_t i = 0; i < n; i++) pulls[r->arm[i]]++;
    for (size_t i = 0; i < n; i++) r->propensity[i] = pulls[r->arm[i]] / (double)n;
    return MR_OK;
}

mr_status mr_choice_log_order(const mr_choice_log *l, mr_logged *out, mr_error *err) {
    const mr_sample *from = &l->sample;
    size_t n = from->count, width = l->names.count;
    rows r;
    *out = (mr_logged){.unit = true, .binary = true, .uniform = true, .has_target = l->targets};
    MR_TRY(alloc(l, &r, out, err));
    const uint32_t *order = mr_time_order(n ? from->values + ROW_TIME : NULL, from->width, n, l->arena);
    uint32_t *rank = ranks(l, out);
    if (!order || !rank) return mr_fail(err, MR_E_MEMORY, "no memory to order %zu choices", n);
    for (size_t i = 0; i < n; i++) {
        const double *row = from->values + order[i] * from->width;
        double reward = r.reward[i] = row[ROW_REWARD];
        MR_TRY(arm_of(l, rank, row[ROW_ARM], &r.arm[i], err));
        r.propensity[i] = row[ROW_PROPENSITY];
        out->target[i] = row[ROW_TARGET];
        out->has_target &= !isnan(row[ROW_TARGET]);
        out->fold[i] = mr_mix64(from->row[order[i]] ^ mr_mix64(l->seed)) & 1;
        out->unit &= reward >= 0 && reward <= 1;
        out->binary &= reward == 0 || reward == 1;
        if (width) memcpy(r.x + i * width, row + ROW_FEATURES, width * sizeof(double));
    }
    if (!l->propensities) MR_TRY(estimate_propensities(l, &r, n, err));
    for (size_t i = 0; i < n; i++) out->uniform &= fabs(r.propensity[i] - r.propensity[0]) <= 1e-9;
    out->log = (mr_choices){n, l->arms.count, width, r.arm, r.reward, r.propensity, r.x};
    return MR_OK;
}
