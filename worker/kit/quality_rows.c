#include "worker/kit/quality_rows.h"
#include "worker/kit/columns.h"

#include <math.h>

enum { D = MR_QUALITY_DIMENSIONS };
static const char magic[] = "quality-1";

void mr_quality_rows_init(mr_quality_rows *p, mr_arena *arena, uint64_t seed, size_t sample) {
    *p = (mr_quality_rows){0};
    mr_sample_init(&p->sample, arena, seed, sample, MR_QUALITY_WIDTH);
}

mr_status mr_quality_rows_add(mr_quality_rows *p, uint64_t position, double v[MR_QUALITY_WIDTH], mr_error *err) {
    p->rows++;
    if (isnan(v[0])) {
        p->empty++;
        return MR_OK;
    }
    p->labelled += v[D] >= 0;
    if (isnan(v[D])) v[D] = -1;
    for (int k = 0; k < D; k++) mr_exact_add(&p->sum[k], v[k]);
    return mr_sample_add(&p->sample, position, v, err);
}

/* [magic, rows, empty, labelled, sums, sample] */
mr_status mr_quality_rows_pack(mr_quality_rows *p, mr_buf *out, mr_error *err) {
    uint8_t room[D * MR_EXACT_BYTES_MAX];
    mr_buf sums = {.data = room, .cap = sizeof room, .max = sizeof room};
    MR_TRY(mr_sample_sort(&p->sample, err));
    for (int k = 0; k < D; k++) mr_exact_pack(&p->sum[k], &sums);
    mr_pack_array(out, 6);
    mr_pack_text(out, magic);
    mr_pack_u64(out, p->rows);
    mr_pack_u64(out, p->empty);
    mr_pack_u64(out, p->labelled);
    mr_pack_bin(out, mr_buf_span(&sums));
    mr_sample_pack(&p->sample, out);
    return MR_OK;
}

mr_status mr_quality_rows_add_packed(mr_quality_rows *p, mr_span bytes, mr_error *err) {
    mr_unpack u;
    mr_span sums;
    uint64_t rows, empty, labelled;
    mr_unpack_init(&u, bytes);
    MR_TRY(mr_unpack_magic(&u, magic, 6, err));
    MR_TRY(mr_unpack_u64(&u, UINT32_MAX, &rows, err));
    MR_TRY(mr_unpack_u64(&u, rows, &empty, err));
    MR_TRY(mr_unpack_u64(&u, rows, &labelled, err));
    MR_TRY(mr_unpack_bin(&u, D * MR_EXACT_BYTES_MAX, &sums, err));
    for (int k = 0; k < D; k++) MR_TRY(mr_exact_add_packed(&p->sum[k], &sums, false, err));
    p->rows += rows;
    p->empty += empty;
    p->labelled += labelled;
    return mr_sample_add_packed(&p->sample, &u, err);
}
