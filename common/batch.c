#include "common/batch.h"
#include "common/pack.h"

#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
               "segments are little-endian, and so are all machines we run on");

static const char magic[] = "MRS1";
/* At most as many as a version may hold in one batch; keeps every product below far from 2^64. */
enum { ROWS_MAX = 1 << 28, WIDTH_MAX = 1 << 16, NAME_MAX_BYTES = 256 };
enum { ALL_COLUMNS = (MR_COL_ITEM << 1) - 1 };

const mr_column_row mr_column_rows[] = {
    {"prompt", MR_COL_PROMPT, true, MR_TEXT_PROMPT},
    {"enhancement", MR_COL_ENHANCEMENT, true, MR_TEXT_ENHANCEMENT},
    {"session", MR_COL_SESSION, true, MR_TEXT_SESSION},
    {"label", MR_COL_LABEL, true, MR_TEXT_LABEL},
    {"labels", MR_COL_LABELS, true, MR_TEXT_LABELS},
    {"score", MR_COL_SCORE, false, MR_NUM_SCORE},
    {"success", MR_COL_SUCCESS, false, MR_NUM_SUCCESS},
    {"treatment", MR_COL_TREATMENT, false, MR_NUM_TREATMENT},
    {"outcome", MR_COL_OUTCOME, false, MR_NUM_OUTCOME},
    {"time", MR_COL_TIME, false, MR_NUM_TIME},
    {"item", MR_COL_ITEM, true, MR_TEXT_ITEM},
    {0},
}; /* in the order of their bits, which is the order of the blocks */

const mr_column_row *mr_column_named(const char *name) {
    for (const mr_column_row *row = mr_column_rows; row->name; row++)
        if (!strcmp(row->name, name)) return row;
    return NULL;
}

const char *mr_column_first(uint32_t columns) {
    for (const mr_column_row *row = mr_column_rows; row->name; row++)
        if (columns & row->column) return row->name;
    return "features";
}

/* ---- encoding ---- */

/* By bits, so that a NaN's payload and the sign of zero survive too. */
static bool survives_float32(double v) {
    double back = (double)(float)v;
    return !memcmp(&back, &v, sizeof v);
}

static void put_bin_header(mr_buf *out, size_t len) {
    if (len > UINT32_MAX && out->status == MR_OK) out->status = MR_E_LIMIT;
    uint32_t big = __builtin_bswap32((uint32_t)len);
    mr_buf_put(out, "\xc6", 1);
    mr_buf_put(out, &big, sizeof big);
}

static void put_features(mr_buf *out, const double *v, size_t n) {
    bool narrow = true;
    for (size_t i = 0; i < n && narrow; i++) narrow = survives_float32(v[i]);
    if (!narrow) {
        mr_pack_bin(out, (mr_span){(const uint8_t *)v, n * sizeof *v});
        return;
    }
    put_bin_header(out, n * sizeof(float));
    uint8_t *at = mr_buf_extend(out, n * sizeof(float));
    for (size_t i = 0; at && i < n; i++) {
        float f = (float)v[i];
        memcpy(at + i * sizeof f, &f, sizeof f);
    }
}

static void put_texts(mr_buf *out, const mr_span *texts, uint32_t rows) {
    size_t sum = 0;
    for (uint32_t i = 0; i < rows; i++) sum += texts[i].len;
    size_t len = rows * sizeof(uint32_t) + sum;
    put_bin_header(out, len);
    uint8_t *at = len ? mr_buf_extend(out, len) : NULL;
    if (!at) return;
    uint8_t *bytes = at + rows * sizeof(uint32_t);
    uint32_t end = 0;
    for (uint32_t i = 0; i < rows; i++) {
        if (texts[i].len) memcpy(bytes + end, texts[i].data, texts[i].len);
        end += (uint32_t)texts[i].len;
        memcpy(at + i * sizeof end, &end, sizeof end);
    }
}

static void put_blocks(const mr_batch *b, mr_buf *out) {
    mr_pack_array(out, (uint32_t)__builtin_popcount(b->columns));
    if (b->columns & MR_COL_FEATURES) put_features(out, b->features, (size_t)b->rows * b->width);
    for (const mr_column_row *row = mr_column_rows; row->name; row++) {
        if (!(b->columns & row->column)) continue;
        if (row->is_text)
            put_texts(out, b->text[row->slot], b->rows);
        else
            mr_pack_bin(out, (mr_span){(const uint8_t *)b->number[row->slot], b->rows * sizeof(double)});
    }
}

/* All that comes before the feature names. */
static void put_header(const mr_batch *b, mr_buf *out) {
    mr_pack_array(out, 7);
    mr_pack_text(out, magic);
    mr_pack_u64(out, b->first);
    mr_pack_u64(out, b->rows);
    mr_pack_u64(out, b->columns);
    mr_pack_u64(out, b->columns & MR_COL_FEATURES ? b->width : 0);
}

static mr_status put_front(const mr_batch *b, mr_buf *out) {
    if (b->rows > ROWS_MAX || b->width > WIDTH_MAX) return MR_E_LIMIT;
    uint32_t names = b->feature_names && b->columns & MR_COL_FEATURES ? b->width : 0;
    put_header(b, out);
    mr_pack_array(out, names);
    for (uint32_t i = 0; i < names; i++) {
        if (strlen(b->feature_names[i]) > NAME_MAX_BYTES) return MR_E_LIMIT;
        mr_pack_text(out, b->feature_names[i]);
    }
    return mr_buf_status(out);
}

static mr_status put_matrix_front(const mr_batch *b, mr_buf *out) {
    MR_TRY(put_front(b, out));
    mr_pack_array(out, 1);
    put_bin_header(out, (size_t)b->rows * b->width * sizeof(float));
    return mr_buf_status(out);
}

mr_status mr_segment_matrix(uint32_t rows, uint32_t width, mr_buf *out) {
    return put_matrix_front(&(mr_batch){.rows = rows, .columns = MR_COL_FEATURES, .width = width}, out);
}

mr_status mr_segment_floats(uint64_t first, uint32_t rows, uint32_t width, const char *const *names, const float *features,
                            mr_buf *out) {
    mr_batch b = {.first = first, .rows = rows, .columns = MR_COL_FEATURES, .width = width, .feature_names = names};
    MR_TRY(put_matrix_front(&b, out));
    mr_buf_put(out, features, (size_t)rows * width * sizeof *features);
    return mr_buf_status(out);
}

mr_status mr_segment_encode(const mr_batch *b, mr_buf *out) {
    MR_ASSERT(!(b->columns & ~(uint32_t)ALL_COLUMNS));
    MR_TRY(put_front(b, out));
    put_blocks(b, out);
    return mr_buf_status(out);
}

/* ---- decoding ---- */

static mr_status no_memory(mr_error *err) {
    return mr_fail(err, MR_E_MEMORY, "segment: its rows do not fit into the memory that is allowed");
}

/* Walks over the array of feature names; `*all` (out): its bytes. Names that are the same as before are known to be right. */
static mr_status walk_names(mr_unpack *u, uint64_t width, const mr_segment_names *known, mr_span *all, mr_error *err) {
    uint32_t count;
    mr_span found;
    const uint8_t *start = u->at;
    *all = (mr_span){start, (size_t)(u->end - start)};
    if (known && known->bytes.len && known->width == width && known->bytes.len <= all->len &&
        !memcmp(start, known->bytes.data, known->bytes.len)) {
        u->at += known->bytes.len;
        all->len = known->bytes.len;
        return MR_OK;
    }
    MR_TRY(mr_unpack_array(u, WIDTH_MAX, &count, err));
    if (count != 0 && count != width)
        return mr_fail(err, MR_E_PROTOCOL, "%u feature names for %llu features", count, (unsigned long long)width);
    for (uint32_t i = 0; i < count; i++) MR_TRY(mr_unpack_str(u, NAME_MAX_BYTES, &found, err));
    all->len = (size_t)(u->at - start);
    return MR_OK;
}

/* The header, checked. `names`: the bytes of the array of feature names. */
static mr_status read_header(mr_unpack *u, mr_batch *b, const mr_segment_names *known, mr_span *names, mr_error *err) {
    uint32_t count;
    mr_span found;
    uint64_t rows, columns, width;
    MR_TRY(mr_unpack_array(u, 7, &count, err));
    if (count != 7) return mr_fail(err, MR_E_PROTOCOL, "it has %u parts, 7 are expected", count);
    MR_TRY(mr_unpack_str(u, 16, &found, err));
    if (!mr_span_eq(found, mr_span_of(magic)))
        return mr_fail(err, MR_E_PROTOCOL, "it does not start with %s", magic);
    MR_TRY(mr_unpack_u64(u, UINT64_MAX, &b->first, err));
    MR_TRY(mr_unpack_u64(u, ROWS_MAX, &rows, err));
    MR_TRY(mr_unpack_u64(u, ALL_COLUMNS, &columns, err));
    MR_TRY(mr_unpack_u64(u, WIDTH_MAX, &width, err));
    MR_TRY(walk_names(u, width, known, names, err));
    b->rows = (uint32_t)rows;
    b->columns = (uint32_t)columns;
    b->width = (uint32_t)width;
    if (width && !(columns & MR_COL_FEATURES)) return mr_fail(err, MR_E_PROTOCOL, "a width without features");
    return MR_OK;
}

static uint32_t end_at(mr_span block, uint32_t i) {
    uint32_t end;
    memcpy(&end, block.data + i * sizeof end, sizeof end);
    return end;
}

static mr_status check_texts(mr_span block, uint32_t rows, const char *name, mr_error *err) {
    if (block.len / sizeof(uint32_t) < rows)
        return mr_fail(err, MR_E_PROTOCOL, "column %s has %zu bytes for %u rows", name, block.len, rows);
    size_t text = block.len - rows * sizeof(uint32_t), before = 0;
    for (uint32_t i = 0; i < rows; i++) {
        size_t end = end_at(block, i);
        if (end < before || end > text)
            return mr_fail(err, MR_E_PROTOCOL, "column %s, row %u ends at %zu of %zu", name, i, end, text);
        before = end;
    }
    if (before == text) return MR_OK;
    return mr_fail(err, MR_E_PROTOCOL, "column %s has %zu bytes behind its last row", name, text - before);
}

static mr_status check_numbers(mr_span block, uint32_t rows, const char *name, mr_error *err) {
    if (block.len == rows * sizeof(double)) return MR_OK;
    return mr_fail(err, MR_E_PROTOCOL, "column %s has %zu bytes for %u rows", name, block.len, rows);
}

static mr_status check_features(mr_span block, const mr_batch *b, mr_error *err) {
    size_t n = (size_t)b->rows * b->width;
    if (block.len == n * sizeof(float) || block.len == n * sizeof(double)) return MR_OK;
    return mr_fail(err, MR_E_PROTOCOL, "features have %zu bytes for %u rows of %u", block.len, b->rows,
                   b->width);
}

/* Every block in its column's place (features, then mr_column_rows), all of them checked. */
enum { BLOCKS = 1 + MR_TEXT_COLUMNS + MR_NUMBER_COLUMNS };

static mr_status read_blocks(mr_unpack *u, const mr_batch *b, mr_span blocks[BLOCKS], mr_error *err) {
    uint32_t count;
    MR_TRY(mr_unpack_array(u, BLOCKS, &count, err));
    if (count != (uint32_t)__builtin_popcount(b->columns))
        return mr_fail(err, MR_E_PROTOCOL, "%u blocks for %d columns", count, __builtin_popcount(b->columns));
    if (b->columns & MR_COL_FEATURES) {
        MR_TRY(mr_unpack_bin(u, SIZE_MAX, &blocks[0], err));
        MR_TRY(check_features(blocks[0], b, err));
    }
    for (size_t i = 0; mr_column_rows[i].name; i++) {
        const mr_column_row *row = &mr_column_rows[i];
        mr_span *block = &blocks[i + 1];
        if (!(b->columns & row->column)) continue;
        MR_TRY(mr_unpack_bin(u, SIZE_MAX, block, err));
        if (row->is_text)
            MR_TRY(check_texts(*block, b->rows, row->name, err));
        else
            MR_TRY(check_numbers(*block, b->rows, row->name, err));
    }
    if (mr_unpack_done(u)) return MR_OK;
    return mr_fail(err, MR_E_PROTOCOL, "bytes behind the last block");
}

static const double *copy_features(mr_span block, const mr_batch *b, mr_arena *arena) {
    size_t n = (size_t)b->rows * b->width;
    double *v = mr_arena_raw(arena, n, sizeof *v);
    if (!v || n == 0) return v;
    if (block.len == n * sizeof *v) return memcpy(v, block.data, block.len);
    for (size_t i = 0; i < n; i++) {
        float f;
        memcpy(&f, block.data + i * sizeof f, sizeof f);
        v[i] = (double)f;
    }
    return v;
}

static const double *copy_numbers(mr_span block, uint32_t rows, mr_arena *arena) {
    double *v = mr_arena_raw(arena, rows, sizeof *v);
    if (v && rows) memcpy(v, block.data, block.len);
    return v;
}

static const mr_span *copy_texts(mr_span block, uint32_t rows, mr_arena *arena) {
    size_t head = rows * sizeof(uint32_t);
    mr_span *spans = mr_arena_raw(arena, rows, sizeof *spans);
    const void *from = block.len > head ? block.data + head : NULL;
    const uint8_t *bytes = (const uint8_t *)mr_arena_copy(arena, from, block.len - head);
    if (!spans || !bytes) return NULL;
    for (uint32_t i = 0, start = 0; i < rows; i++) {
        uint32_t end = end_at(block, i);
        spans[i] = (mr_span){bytes + start, end - start};
        start = end;
    }
    return spans;
}

static mr_status copy_names(mr_span bytes, mr_arena *arena, const char *const **out, mr_error *err) {
    uint32_t count;
    mr_unpack names;
    mr_unpack_init(&names, bytes);
    MR_TRY(mr_unpack_array(&names, WIDTH_MAX, &count, err));
    if (count == 0) return MR_OK;
    const char **list = mr_arena_alloc(arena, count, sizeof *list);
    if (!list) return no_memory(err);
    for (uint32_t i = 0; i < count; i++) {
        mr_span name;
        MR_TRY(mr_unpack_str(&names, NAME_MAX_BYTES, &name, err));
        list[i] = mr_arena_copy(arena, name.data, name.len);
        if (!list[i]) return no_memory(err);
    }
    *out = list;
    return MR_OK;
}

/* The names from before, when they are the same; else they are copied and kept instead. */
static mr_status keep_names(mr_span bytes, mr_batch *b, mr_segment_names *known, mr_error *err) {
    if (known->bytes.len != bytes.len || known->width != b->width || memcmp(known->bytes.data, bytes.data, bytes.len) != 0) {
        mr_arena_reset(known->arena);
        known->list = NULL;
        known->bytes = (mr_span){0};
        MR_TRY(copy_names(bytes, known->arena, &known->list, err));
        char *copy = mr_arena_copy(known->arena, bytes.data, bytes.len);
        if (!copy) return no_memory(err);
        known->bytes = (mr_span){(const uint8_t *)copy, bytes.len};
        known->width = b->width;
    }
    b->feature_names = known->list;
    return MR_OK;
}

static mr_status copy_columns(const mr_span blocks[BLOCKS], mr_arena *arena, mr_batch *b, mr_error *err) {
    if (b->columns & MR_COL_FEATURES && !(b->features = copy_features(blocks[0], b, arena)))
        return no_memory(err);
    for (size_t i = 0; mr_column_rows[i].name; i++) {
        const mr_column_row *row = &mr_column_rows[i];
        if (!(b->columns & row->column)) continue;
        bool done;
        if (row->is_text)
            done = (b->text[row->slot] = copy_texts(blocks[i + 1], b->rows, arena)) != NULL;
        else
            done = (b->number[row->slot] = copy_numbers(blocks[i + 1], b->rows, arena)) != NULL;
        if (!done) return no_memory(err);
    }
    return MR_OK;
}

static mr_status in_segment(mr_span bytes, const mr_error *inner, mr_error *err) {
    return mr_fail(err, MR_E_CORRUPT, "segment of %zu bytes: %.400s", bytes.len, inner->text);
}

mr_status mr_segment_check(mr_span bytes, uint32_t *columns, mr_error *err) {
    mr_error inner;
    mr_batch b = {0};
    mr_unpack u;
    mr_span names, blocks[BLOCKS] = {0};
    mr_unpack_init(&u, bytes);
    mr_status status = read_header(&u, &b, NULL, &names, &inner);
    if (status == MR_OK) status = read_blocks(&u, &b, blocks, &inner);
    if (status != MR_OK) return in_segment(bytes, &inner, err);
    *columns = b.columns;
    return MR_OK;
}

mr_status mr_segment_decode_like(mr_span bytes, uint32_t wanted, mr_segment_names *known, mr_arena *arena, mr_batch *out,
                                 mr_error *err) {
    mr_error inner;
    mr_batch b = {0};
    mr_unpack u;
    mr_span names, blocks[BLOCKS] = {0};
    mr_unpack_init(&u, bytes);
    mr_status status = read_header(&u, &b, known, &names, &inner);
    if (status == MR_OK) status = read_blocks(&u, &b, blocks, &inner);
    if (status != MR_OK) return in_segment(bytes, &inner, err);
    b.columns &= wanted;
    if (!(b.columns & MR_COL_FEATURES)) b.width = 0;
    else if (known) MR_TRY(keep_names(names, &b, known, err));
    else MR_TRY(copy_names(names, arena, &b.feature_names, err));
    MR_TRY(copy_columns(blocks, arena, &b, err));
    *out = b;
    return MR_OK;
}

mr_status mr_segment_decode(mr_span bytes, uint32_t wanted, mr_arena *arena, mr_batch *out, mr_error *err) {
    return mr_segment_decode_like(bytes, wanted, NULL, arena, out, err);
}
