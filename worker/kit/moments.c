#include "worker/kit/moments.h"
#include "worker/kit/crosses.h"

#include <math.h>

static const char magic[] = "moments-1";
static const size_t SAMPLE_NARROW = (size_t)9 << 19, SAMPLE_WIDE = (size_t)7 << 20;

static bool is_wide(size_t width) { return width > MR_MOMENTS_NARROW; }

size_t mr_moments_sample(size_t asked, size_t width) {
    size_t fits = mr_sample_fits(is_wide(width) ? SAMPLE_WIDE : SAMPLE_NARROW, width);
    return asked < fits ? asked : fits;
}

static void put_header(mr_buf *out, uint64_t rows, mr_names names, const mr_moments_options *o, const mr_sample *sample) {
    mr_pack_array(out, 6);
    mr_pack_text(out, magic);
    mr_pack_u64(out, rows);
    mr_pack_names(out, names);
    mr_pack_u64(out, o->sample);
    mr_pack_u64(out, o->seed);
    mr_sample_pack(sample, out);
}

/* ---- a batch ---- */

static mr_status put_squares(const mr_batch *batch, const mr_ticker *tick, mr_buf *out) {
    mr_exact sum;
    for (int squares = 0; squares < 2; squares++)
        for (size_t j = 0; j < batch->width; j++) {
            MR_TRY(mr_ticker_call(tick));
            mr_exact_clear(&sum);
            for (size_t i = 0; i < batch->rows; i++) {
                mr_exact_term x = mr_exact_split(batch->features[i * batch->width + j]);
                if (squares)
                    mr_exact_add_product(&sum, x, x);
                else
                    mr_exact_add_term(&sum, x);
            }
            mr_exact_pack(&sum, out);
        }
    return MR_OK;
}

/* The sums, then the sums of products i <= j row by row (only i = j when wide), straight behind the header. */
static mr_status put_sums(const mr_batch *batch, mr_arena *arena, const mr_ticker *tick, mr_buf *out, mr_error *err) {
    size_t width = batch->width;
    mr_crosses c;
    mr_exact sum;
    if (is_wide(width)) return put_squares(batch, tick, out);
    MR_TRY(mr_crosses_of((mr_cross_rows){.x = batch->features, .rows = batch->rows, .width = width}, arena, tick, &c, err));
    for (size_t j = 0; j < width; j++) {
        mr_exact_clear(&sum);
        mr_crosses_add_sum(&c, j, &sum);
        mr_exact_pack(&sum, out);
    }
    for (size_t j = 0; j < width; j++)
        for (size_t k = j; k < width; k++) {
            MR_TRY(mr_ticker_call(tick));
            mr_exact_clear(&sum);
            mr_crosses_add_product(&c, j, k, &sum);
            mr_exact_pack(&sum, out);
        }
    return MR_OK;
}

mr_status mr_moments_put(const mr_batch *batch, uint64_t first, const mr_moments_options *o, mr_arena *arena,
                         const mr_ticker *tick, mr_buf *out, mr_error *err) {
    mr_sample sample;
    mr_moments_options kept = {mr_moments_sample(o->sample, batch->width), o->seed};
    mr_sample_init(&sample, arena, kept.seed, kept.sample, batch->width);
    for (uint32_t i = 0; i < batch->rows; i++)
        MR_TRY(mr_sample_add(&sample, first + i, batch->features + (size_t)i * batch->width, err));
    MR_TRY(mr_sample_sort(&sample, err));
    put_header(out, batch->rows, (mr_names){batch->width, batch->feature_names}, &kept, &sample);
    return put_sums(batch, arena, tick, out, err);
}

/* ---- several ---- */

static mr_status open_one(mr_moments *m, uint32_t at, mr_span partial, mr_arena *arena, mr_error *err) {
    mr_unpack u;
    uint64_t rows, sample, seed;
    mr_names names;
    mr_unpack_init(&u, partial);
    MR_TRY(mr_unpack_magic(&u, magic, 6, err));
    MR_TRY(mr_unpack_u64(&u, UINT64_MAX, &rows, err));
    MR_TRY(mr_unpack_names(&u, arena, &names, err));
    MR_TRY(mr_unpack_u64(&u, UINT32_MAX, &sample, err));
    MR_TRY(mr_unpack_u64(&u, UINT64_MAX, &seed, err));
    if (at > 0) MR_TRY(mr_same_names(names, m->names, "the batches before", err));
    if (names.count == 0 || names.count > MR_COLUMNS_MAX || sample == 0 ||
        __builtin_add_overflow(m->rows, rows, &m->rows) ||
        (at > 0 && (sample != m->options.sample || seed != m->options.seed)))
        return mr_fail(err, MR_E_CORRUPT, "a partial of %u columns, %llu rows and a sample of %llu", names.count,
                       (unsigned long long)rows, (unsigned long long)sample);
    if (at == 0) {
        m->names = names;
        m->options = (mr_moments_options){sample, seed};
        mr_sample_init(&m->sample, arena, seed, sample, names.count);
    }
    MR_TRY(mr_sample_add_packed(&m->sample, &u, err));
    m->rest[at] = (mr_span){u.at, (size_t)(u.end - u.at)};
    return MR_OK;
}

mr_status mr_moments_open(mr_moments *m, const mr_span *partials, uint32_t count, mr_arena *arena, mr_error *err) {
    *m = (mr_moments){.count = count, .rest = mr_arena_alloc(arena, count, sizeof *m->rest)};
    if (!m->rest) return mr_fail(err, MR_E_MEMORY, "no memory for %u partials", count);
    for (uint32_t i = 0; i < count; i++) MR_TRY(open_one(m, i, partials[i], arena, err));
    return mr_sample_sort(&m->sample, err);
}

/* The next sum of all partials together. */
static mr_status next_sum(mr_moments *m, bool of_products, mr_exact *out, mr_error *err) {
    mr_exact_clear(out);
    for (uint32_t i = 0; i < m->count; i++) MR_TRY(mr_exact_add_packed(out, &m->rest[i], of_products, err));
    return MR_OK;
}

mr_status mr_moments_pack(mr_moments *m, const mr_ticker *tick, mr_buf *out, mr_error *err) {
    size_t width = m->names.count, products = is_wide(width) ? width : width * (width + 1) / 2;
    mr_exact sum;
    put_header(out, m->rows, m->names, &m->options, &m->sample);
    for (size_t i = 0; i < width + products; i++) {
        MR_TRY(mr_ticker_call(tick));
        MR_TRY(next_sum(m, i >= width, &sum, err));
        mr_exact_pack(&sum, out);
    }
    return MR_OK;
}

static mr_status spread_alloc(mr_spread *s, size_t w, mr_arena *arena, mr_error *err) {
    s->mean = mr_arena_alloc(arena, w, sizeof(double));
    s->sd = mr_arena_alloc(arena, w, sizeof(double));
    s->comoment = is_wide(w) ? NULL : mr_arena_alloc(arena, w * w, sizeof(double));
    if (s->mean && s->sd && (s->comoment || is_wide(w))) return MR_OK;
    return mr_fail(err, MR_E_MEMORY, "no memory for the covariance of %zu columns", w);
}

mr_status mr_moments_finish(mr_moments *m, mr_arena *arena, const mr_ticker *tick, mr_spread *out, mr_error *err) {
    size_t w = m->names.count;
    mr_exact *sum = mr_arena_alloc(arena, w, sizeof *sum), xy, difference;
    *out = (mr_spread){.rows = m->rows, .width = w};
    if (!sum) return mr_fail(err, MR_E_MEMORY, "no memory for %zu sums", w);
    MR_TRY(spread_alloc(out, w, arena, err));
    for (size_t j = 0; j < w; j++) {
        MR_TRY(next_sum(m, false, &sum[j], err));
        out->mean[j] = mr_exact_value(&sum[j]) / (double)m->rows;
    }
    for (size_t j = 0; j < w; j++)
        for (size_t k = j; k < (is_wide(w) ? j + 1 : w); k++) {
            MR_TRY(mr_ticker_call(tick));
            MR_TRY(next_sum(m, true, &xy, err));
            mr_exact_comoment(&difference, m->rows, &xy, &sum[j], &sum[k]);
            double c = mr_exact_value(&difference);
            if (out->comoment) out->comoment[j * w + k] = out->comoment[k * w + j] = c;
            if (j == k) out->sd[j] = sqrt(c) / (double)m->rows;
        }
    for (size_t j = 0; j < w; j++) out->constants += out->sd[j] == 0;
    return MR_OK;
}
