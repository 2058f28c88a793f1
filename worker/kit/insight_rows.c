#include "worker/kit/insight_rows.h"

#include <math.h>
#include <string.h>

static const char magic[] = "insight-1";
static const double VALUE_MAX = 1e140, SUCCESS_SCORE = 0.5;
const char *const mr_insight_extra[MR_INSIGHT_EXTRA] = {"outcome", "score", "success", "treatment", "time"};

size_t mr_insight_measures(const mr_insight_rows *r) { return r->names.count + MR_INSIGHT_MEASURES; }

mr_status mr_insight_rows_init(mr_insight_rows *r, mr_arena *arena, uint64_t seed, mr_names names, mr_error *err) {
    size_t width = names.count + MR_INSIGHT_EXTRA, fits = mr_sample_fits(MR_INSIGHT_SAMPLE, width);
    *r = (mr_insight_rows){.names = names,
                           .extremes = mr_arena_alloc(arena, names.count + MR_INSIGHT_MEASURES, sizeof *r->extremes)};
    if (!r->extremes) return mr_fail(err, MR_E_MEMORY, "no memory for %u columns", names.count);
    mr_sample_init(&r->sample, arena, seed, fits < MR_INSIGHT_SAMPLED ? fits : MR_INSIGHT_SAMPLED, width);
    return MR_OK;
}

static mr_status read_extra(const mr_batch *b, uint32_t i, double out[MR_INSIGHT_EXTRA], mr_error *err) {
    static const int slot[MR_INSIGHT_EXTRA] = {MR_NUM_OUTCOME, MR_NUM_SCORE, MR_NUM_SUCCESS, MR_NUM_TREATMENT, MR_NUM_TIME};
    for (int k = 0; k < MR_INSIGHT_EXTRA; k++) {
        out[k] = b->number[slot[k]] ? b->number[slot[k]][i] : NAN;
        if (isnan(out[k]) || fabs(out[k]) <= VALUE_MAX) continue;
        return mr_fail(err, MR_E_INVALID, "row %llu has the %s %g; numbers beyond 1e140 cannot be used",
                       (unsigned long long)(b->first + i), mr_insight_extra[k], out[k]);
    }
    return MR_OK;
}

bool mr_insight_not_failed(const double extra[MR_INSIGHT_EXTRA]) {
    if (!isnan(extra[MR_INSIGHT_SUCCESS])) return extra[MR_INSIGHT_SUCCESS] > 0.5;
    return !(extra[MR_INSIGHT_SCORE] < SUCCESS_SCORE);
}

mr_status mr_insight_rows_add(mr_insight_rows *r, const mr_batch *b, uint32_t i, double *row, mr_error *err) {
    size_t p = b->width;
    uint64_t at = b->first + i;
    if (p) memcpy(row, b->features + (size_t)i * p, p * sizeof *row);
    MR_TRY(read_extra(b, i, row + p, err));
    MR_TRY(mr_sample_add(&r->sample, at, row, err));
    r->rows++;
    if (!mr_insight_not_failed(row + p)) return MR_OK;
    r->kept++;
    for (size_t j = 0; j < p + MR_INSIGHT_MEASURES; j++)
        if (!isnan(row[j])) mr_extremes_add(&r->extremes[j], row[j], at);
    return MR_OK;
}

mr_status mr_insight_rows_pack(mr_insight_rows *r, mr_buf *out, mr_error *err) {
    MR_TRY(mr_sample_sort(&r->sample, err));
    mr_pack_array(out, 5);
    mr_pack_text(out, magic);
    mr_pack_u64(out, r->rows);
    mr_pack_u64(out, r->kept);
    mr_pack_names(out, r->names);
    mr_sample_pack(&r->sample, out);
    for (size_t j = 0; j < mr_insight_measures(r); j++) mr_extremes_pack(&r->extremes[j], out);
    return MR_OK;
}

mr_status mr_insight_rows_add_packed(mr_insight_rows *r, mr_arena *arena, uint64_t seed, mr_span bytes, bool first,
                                     mr_error *err) {
    mr_unpack u;
    uint64_t rows, kept;
    mr_names names;
    mr_unpack_init(&u, bytes);
    MR_TRY(mr_unpack_magic(&u, magic, 5, err));
    MR_TRY(mr_unpack_u64(&u, UINT32_MAX, &rows, err));
    MR_TRY(mr_unpack_u64(&u, rows, &kept, err));
    MR_TRY(mr_unpack_names(&u, arena, &names, err));
    if (names.count > MR_INSIGHT_WIDTH) return mr_fail(err, MR_E_CORRUPT, "a partial has %u columns", names.count);
    if (first)
        MR_TRY(mr_insight_rows_init(r, arena, seed, names, err));
    else
        MR_TRY(mr_same_names(names, r->names, "the batches before", err));
    MR_TRY(mr_sample_add_packed(&r->sample, &u, err));
    for (size_t j = 0; j < mr_insight_measures(r); j++) MR_TRY(mr_extremes_unpack(&r->extremes[j], &u, err));
    r->rows += rows;
    r->kept += kept;
    return mr_unpack_done(&u) ? MR_OK : mr_fail(err, MR_E_CORRUPT, "bytes behind the end of a partial");
}
