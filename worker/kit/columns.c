#include "worker/kit/columns.h"

#include <math.h>
#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "blocks are little-endian as memory is");

static void *arena_resize(void *self, void *p, size_t old_size, size_t size) {
    if (size == 0) return NULL;
    void *fresh = mr_arena_alloc(self, size, 1);
    if (fresh && p) memcpy(fresh, p, old_size < size ? old_size : size);
    return fresh;
}

mr_mem mr_arena_mem(mr_arena *arena) { return (mr_mem){arena_resize, arena}; }

/* True only if every |v| is below 2^465, a little under 1e140. By the bits and without a way out in the middle, so that the
 * compiler does several at once: at that size the sum reaches the highest bit. */
static bool surely_usable(const double *v, size_t n) {
    const uint64_t up_to = (UINT64_C(1) << 63) - ((UINT64_C(465) + 1023) << 52);
    uint64_t any = 0, bits;
    for (size_t i = 0; i < n; i++) {
        memcpy(&bits, v + i, sizeof bits);
        any |= (bits & INT64_MAX) + up_to;
    }
    return !(any >> 63);
}

mr_status mr_check_features(const mr_batch *batch, uint32_t width_max, mr_error *err) {
    if (batch->width == 0)
        return mr_fail(err, MR_E_INVALID,
                       "there is no feature column; give the data set at least one column of numbers");
    if (batch->width > width_max)
        return mr_fail(err, MR_E_INVALID,
                       "there are %u feature columns; at most %u can be used, choose among them",
                       batch->width, width_max);
    if (surely_usable(batch->features, (size_t)batch->rows * batch->width)) return MR_OK;
    for (size_t i = 0; i < batch->rows; i++)
        for (size_t j = 0; j < batch->width; j++) {
            double v = batch->features[i * batch->width + j];
            if (fabs(v) <= 1e140) continue;
            return mr_fail(err, MR_E_INVALID, "row %llu, column '%s': %s; fill it in or leave the row out",
                           (unsigned long long)(batch->first + i), batch->feature_names[j],
                           isnan(v) ? "the value is missing" : "the value is infinite or beyond 1e140");
        }
    return MR_OK;
}

mr_status mr_check_only_batch(const mr_batch *batch, mr_error *err) {
    if (batch->first == 0) return MR_OK;
    return mr_fail(err, MR_E_INVALID, "row %llu begins a second batch, and a state takes in its new rows as one: give a larger "
                   "batch size, or apply it to the first rows and what that leaves to the next", (unsigned long long)batch->first);
}

void mr_mean_sd(const double *x, size_t n, size_t width, double *mean, double *sd) {
    memset(mean, 0, width * sizeof *mean);
    memset(sd, 0, width * sizeof *sd); /* first: in how many rows the column differs from its first value */
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < width; j++) {
            mean[j] += x[i * width + j];
            sd[j] += x[i * width + j] != x[j];
        }
    for (size_t j = 0; j < width; j++) {
        mean[j] = sd[j] > 0 ? mean[j] / (double)n : x[j];
        sd[j] = 0;
    }
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < width; j++) {
            double d = x[i * width + j] - mean[j];
            sd[j] += d * d;
        }
    for (size_t j = 0; j < width; j++) sd[j] = sqrt(sd[j] / (double)n);
}

void mr_standardise(const double *x, size_t n, size_t width, const double *mean, const double *sd,
                    double *out) {
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < width; j++)
            out[i * width + j] = sd[j] > 0 ? (x[i * width + j] - mean[j]) / sd[j] : 0;
}

mr_status mr_same_names(mr_names ours, mr_names theirs, const char *what, mr_error *err) {
    if (ours.count != theirs.count)
        return mr_fail(err, MR_E_INVALID, "there are %u feature columns here and %u in %s", ours.count,
                       theirs.count, what);
    for (uint32_t i = 0; i < ours.count; i++)
        if (strcmp(ours.items[i], theirs.items[i]) != 0)
            return mr_fail(err, MR_E_INVALID, "feature column %u is '%.80s' here and '%.80s' in %s", i + 1,
                           ours.items[i], theirs.items[i], what);
    return MR_OK;
}

void mr_pack_names(mr_buf *b, mr_names names) {
    mr_pack_array(b, names.count);
    for (uint32_t i = 0; i < names.count; i++) mr_pack_text(b, names.items[i]);
}

void mr_pack_doubles(mr_buf *b, const double *v, size_t n) {
    mr_pack_bin(b, (mr_span){(const uint8_t *)v, n * sizeof *v});
}

/* What a reader of stored bytes says about any fault in them. */
static mr_status corrupt(mr_error *err) {
    err->status = MR_E_CORRUPT;
    return mr_fail_in(err, "stored bytes");
}

mr_status mr_unpack_names(mr_unpack *u, mr_arena *arena, mr_names *out, mr_error *err) {
    uint32_t count;
    if (mr_unpack_array(u, MR_COLUMNS_MAX, &count, err) != MR_OK) return corrupt(err);
    const char **items = mr_arena_alloc(arena, count + (size_t)1, sizeof *items);
    if (!items) return mr_fail(err, MR_E_MEMORY, "no memory for %u column names", count);
    for (uint32_t i = 0; i < count; i++) {
        mr_span text;
        if (mr_unpack_str(u, 4096, &text, err) != MR_OK) return corrupt(err);
        items[i] = mr_arena_copy(arena, text.data, text.len);
        if (!items[i]) return mr_fail(err, MR_E_MEMORY, "no memory for a column name");
    }
    *out = (mr_names){count, items};
    return MR_OK;
}

mr_status mr_unpack_block(mr_unpack *u, size_t n, size_t size, mr_arena *arena, void *out, mr_error *err) {
    mr_span bytes;
    if (mr_unpack_bin(u, SIZE_MAX, &bytes, err) != MR_OK) return corrupt(err);
    if (bytes.len / size != n || bytes.len % size)
        return mr_fail(err, MR_E_CORRUPT, "stored bytes: a block of %zu bytes should hold %zu values of %zu",
                       bytes.len, n, size);
    void *copy = mr_arena_alloc(arena, n + 1, size);
    if (!copy) return mr_fail(err, MR_E_MEMORY, "no memory for %zu values", n);
    if (n) memcpy(copy, bytes.data, bytes.len);
    memcpy(out, &copy, sizeof copy); /* `out` is a pointer to a pointer of any type */
    return MR_OK;
}

mr_status mr_unpack_doubles(mr_unpack *u, size_t n, mr_arena *arena, double **out, mr_error *err) {
    return mr_unpack_block(u, n, sizeof **out, arena, out, err);
}

mr_status mr_unpack_magic(mr_unpack *u, const char *magic, uint32_t count, mr_error *err) {
    uint32_t items;
    mr_span text;
    if (mr_unpack_array(u, count, &items, err) != MR_OK || mr_unpack_str(u, 64, &text, err) != MR_OK)
        return corrupt(err);
    if (items == count && mr_span_eq(text, mr_span_of(magic))) return MR_OK;
    return mr_fail(err, MR_E_CORRUPT, "these bytes are not '%s' with %u parts", magic, count);
}
