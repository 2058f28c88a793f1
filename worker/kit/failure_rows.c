#include "worker/kit/failure_rows.h"

#include <math.h>
#include <string.h>

enum { HEADER_MAX = 256 << 10 };
static const char magic[] = "failures-1";
static const double LARGEST = 1e140; /* as mr_check_features */

void mr_failure_rows_init(mr_failure_rows *r, mr_arena *arena, const mr_failure_draw *draw, mr_names names) {
    size_t width = names.count + (size_t)1, k = mr_sample_fits(draw->bytes_max - HEADER_MAX, width);
    *r = (mr_failure_rows){.names = names};
    mr_sample_init(&r->sample, arena, draw->seed, k < draw->rows ? k : draw->rows, width);
}

mr_status mr_failure_rows_add(mr_failure_rows *r, const mr_batch *batch, uint64_t behind, const mr_ticker *tick,
                              mr_error *err) {
    const double *success = batch->columns & MR_COL_SUCCESS ? batch->number[MR_NUM_SUCCESS] : NULL;
    double *row = mr_arena_alloc(r->sample.arena, batch->width + (size_t)1, sizeof *row);
    if (!row) return mr_fail(err, MR_E_MEMORY, "no memory for a row");
    for (size_t i = 0; i < batch->rows; i++) {
        MR_TRY(mr_ticker_call(tick));
        double outcome = success ? success[i] : NAN;
        if (!isnan(outcome) && outcome != 0 && outcome != 1)
            return mr_fail(err, MR_E_INVALID, "row %llu: success is %g; it must be 0, 1 or absent",
                           (unsigned long long)(batch->first + i), outcome);
        r->rows++;
        r->failed += outcome == 0;
        r->succeeded += outcome == 1;
        memcpy(row, batch->features + i * batch->width, batch->width * sizeof *row);
        row[batch->width] = isnan(outcome) ? -1 : outcome;
        MR_TRY(mr_sample_add(&r->sample, behind + batch->first + i, row, err));
    }
    return MR_OK;
}

void mr_failure_rows_pack(const mr_failure_rows *r, mr_buf *out) {
    mr_pack_array(out, 6);
    mr_pack_text(out, magic);
    mr_pack_u64(out, r->rows);
    mr_pack_u64(out, r->failed);
    mr_pack_u64(out, r->succeeded);
    mr_pack_names(out, r->names);
    mr_sample_pack(&r->sample, out);
}

mr_status mr_failure_rows_add_packed(mr_failure_rows *r, mr_arena *arena, const mr_failure_draw *draw, mr_span bytes,
                                     bool first, mr_error *err) {
    mr_unpack u;
    uint64_t rows, failed, succeeded;
    mr_names names;
    mr_unpack_init(&u, bytes);
    MR_TRY(mr_unpack_magic(&u, magic, 6, err));
    MR_TRY(mr_unpack_u64(&u, UINT64_MAX, &rows, err));
    MR_TRY(mr_unpack_u64(&u, rows, &failed, err));
    MR_TRY(mr_unpack_u64(&u, rows - failed, &succeeded, err));
    MR_TRY(mr_unpack_names(&u, arena, &names, err));
    if (names.count == 0 || names.count > MR_FAILURE_WIDTH)
        return mr_fail(err, MR_E_CORRUPT, "a partial has %u feature columns", names.count);
    if (first)
        mr_failure_rows_init(r, arena, draw, names);
    else
        MR_TRY(mr_same_names(names, r->names, "the batches before", err));
    r->rows += rows;
    r->failed += failed;
    r->succeeded += succeeded;
    return mr_sample_add_packed(&r->sample, &u, err);
}

static bool is_sound(const double *row, size_t width) {
    for (size_t j = 0; j < width; j++)
        if (!(fabs(row[j]) <= LARGEST)) return false;
    return row[width] == 0 || row[width] == 1 || row[width] == -1;
}

mr_status mr_failure_rows_check(const mr_failure_rows *r, mr_error *err) {
    const mr_sample *s = &r->sample;
    size_t due = r->rows < s->k ? (size_t)r->rows : s->k;
    if (r->rows > INT64_MAX || s->count != due)
        return mr_fail(err, MR_E_CORRUPT, "%zu rows are kept of %llu, where %zu are due", s->count, (unsigned long long)r->rows, due);
    for (size_t i = 0; i < s->count; i++)
        if (s->row[i] >= r->rows || !is_sound(s->values + i * s->width, r->names.count))
            return mr_fail(err, MR_E_CORRUPT, "kept row %zu is at position %llu of %llu, or holds what no row may hold", i,
                           (unsigned long long)s->row[i], (unsigned long long)r->rows);
    return MR_OK;
}
