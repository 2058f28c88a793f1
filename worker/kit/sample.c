#include "worker/kit/sample.h"
#include "common/rng.h"

#include <stdlib.h>
#include <string.h>

enum { FIRST_CAPACITY = 64 };

void mr_sample_init(mr_sample *s, mr_arena *arena, uint64_t seed, size_t k, size_t width) {
    MR_ASSERT(k > 0 && width > 0);
    *s = (mr_sample){.seed = seed, .k = k, .width = width, .arena = arena};
}

/* The order of the lottery: rows with smaller tickets stay. mr_mix64 is one to one, so tickets never tie. */
static uint64_t ticket_of(uint64_t seed, uint64_t row) { return mr_mix64(row ^ mr_mix64(seed)); }
static uint64_t ticket(const mr_sample *s, uint64_t row) { return ticket_of(s->seed, row); }

/* Room for `more` rows. */
static mr_status grow(mr_sample *s, size_t more, mr_error *err) {
    size_t capacity = s->capacity ? 2 * s->capacity : FIRST_CAPACITY;
    if (capacity > s->k) capacity = s->k;
    if (capacity < s->count + more) capacity = s->count + more;
    uint64_t *row = mr_arena_alloc(s->arena, capacity, sizeof *row);
    double *values = mr_arena_alloc(s->arena, capacity * s->width, sizeof *values);
    if (!row || !values) return mr_fail(err, MR_E_MEMORY, "no memory for a sample of %zu rows", capacity);
    if (s->count) {
        memcpy(row, s->row, s->count * sizeof *row);
        memcpy(values, s->values, s->count * s->width * sizeof *values);
    }
    s->row = row;
    s->values = values;
    s->capacity = capacity;
    return MR_OK;
}

static void put(mr_sample *s, size_t at, uint64_t row, const double *values) {
    s->row[at] = row;
    memcpy(s->values + at * s->width, values, s->width * sizeof *values);
}

/* ---- a full sample: its tickets form a heap with the largest on top, the rows stay where they are ---- */

/* `lot` goes to `at` or, past larger ones that move up, below. */
static void sift_down(mr_sample_lot *heap, size_t count, size_t at, mr_sample_lot lot) {
    for (size_t child; (child = 2 * at + 1) < count; at = child) {
        if (child + 1 < count && heap[child + 1].ticket > heap[child].ticket) child++;
        if (heap[child].ticket <= lot.ticket) break;
        heap[at] = heap[child];
    }
    heap[at] = lot;
}

static mr_status make_heap(mr_sample *s, mr_error *err) {
    s->heap = mr_arena_alloc(s->arena, s->count, sizeof *s->heap);
    if (!s->heap) return mr_fail(err, MR_E_MEMORY, "no memory for the tickets of %zu rows", s->count);
    for (size_t i = 0; i < s->count; i++) s->heap[i] = (mr_sample_lot){ticket(s, s->row[i]), i};
    for (size_t i = s->count / 2; i-- > 0;) sift_down(s->heap, s->count, i, s->heap[i]);
    return MR_OK;
}

mr_status mr_sample_add(mr_sample *s, uint64_t row, const double *values, mr_error *err) {
    if (s->count < s->k) {
        if (s->count == s->capacity) MR_TRY(grow(s, 1, err));
        put(s, s->count++, row, values);
        return MR_OK;
    }
    if (!s->heap) MR_TRY(make_heap(s, err));
    mr_sample_lot lot = {ticket(s, row), s->heap[0].at};
    if (lot.ticket >= s->heap[0].ticket) return MR_OK;
    put(s, lot.at, row, values);
    sift_down(s->heap, s->count, 0, lot);
    return MR_OK;
}

/* ---- order and bytes ---- */

typedef struct place {
    uint64_t row;
    size_t at;
} place;

static int by_row(const void *x, const void *y) {
    uint64_t p = ((const place *)x)->row, q = ((const place *)y)->row;
    return (p > q) - (p < q);
}

static bool is_sorted(const mr_sample *s) {
    for (size_t i = 1; i < s->count; i++)
        if (s->row[i] <= s->row[i - 1]) return false;
    return true;
}

mr_status mr_sample_sort(mr_sample *s, mr_error *err) {
    if (is_sorted(s)) return MR_OK;
    place *order = mr_arena_alloc(s->arena, s->count, sizeof *order);
    uint64_t *row = mr_arena_alloc(s->arena, s->count, sizeof *row);
    double *values = mr_arena_alloc(s->arena, s->count * s->width, sizeof *values);
    if (!order || !row || !values) return mr_fail(err, MR_E_MEMORY, "no memory to sort %zu rows", s->count);
    for (size_t i = 0; i < s->count; i++) order[i] = (place){s->row[i], i};
    qsort(order, s->count, sizeof *order, by_row);
    for (size_t i = 0; i < s->count; i++) {
        if (i > 0 && order[i].row == order[i - 1].row)
            return mr_fail(err, MR_E_CORRUPT, "row %llu is in the sample twice",
                           (unsigned long long)order[i].row);
        row[i] = order[i].row;
        memcpy(values + i * s->width, s->values + order[i].at * s->width, s->width * sizeof *values);
    }
    s->row = row;
    s->values = values;
    s->capacity = s->count;
    s->heap = NULL;
    return MR_OK;
}

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "blocks are little-endian as memory is");

size_t mr_sample_fits(size_t bytes, size_t width) {
    return bytes < 15 ? 0 : (bytes - 15) / (8 * (width + 1));
}

void mr_sample_pack(const mr_sample *s, mr_buf *out) {
    mr_pack_array(out, 3);
    mr_pack_u64(out, s->count);
    mr_pack_bin(out, (mr_span){(const uint8_t *)s->row, s->count * sizeof *s->row});
    mr_pack_bin(out, (mr_span){(const uint8_t *)s->values, s->count * s->width * sizeof *s->values});
}

/* All rows of the two blocks, which have room below k. */
static mr_status append(mr_sample *s, mr_span row, mr_span values, mr_error *err) {
    size_t rows = row.len / sizeof *s->row;
    if (rows == 0) return MR_OK;
    if (rows > s->capacity - s->count) MR_TRY(grow(s, rows, err));
    memcpy(s->row + s->count, row.data, row.len);
    memcpy(s->values + s->count * s->width, values.data, values.len);
    s->count += rows;
    return MR_OK;
}

mr_status mr_sample_add_packed(mr_sample *s, mr_unpack *in, mr_error *err) {
    uint32_t parts;
    uint64_t rows;
    mr_span row, values;
    MR_TRY(mr_unpack_array(in, 3, &parts, err));
    if (parts != 3) return mr_fail(err, MR_E_CORRUPT, "a packed sample has %u parts instead of 3", parts);
    MR_TRY(mr_unpack_u64(in, UINT32_MAX, &rows, err));
    MR_TRY(mr_unpack_bin(in, SIZE_MAX, &row, err));
    MR_TRY(mr_unpack_bin(in, SIZE_MAX, &values, err));
    if (row.len != rows * 8 || values.len / 8 / s->width != rows || values.len != rows * s->width * 8)
        return mr_fail(err, MR_E_CORRUPT, "a packed sample of %llu rows has blocks of %zu and %zu bytes",
                       (unsigned long long)rows, row.len, values.len);
    if (rows <= s->k - s->count) return append(s, row, values, err);
    double *one = mr_arena_alloc(s->arena, s->width, sizeof *one);
    if (!one) return mr_fail(err, MR_E_MEMORY, "no memory for a row");
    for (uint64_t i = 0; i < rows; i++) {
        uint64_t position;
        memcpy(&position, row.data + i * 8, 8);
        memcpy(one, values.data + i * s->width * 8, s->width * 8);
        MR_TRY(mr_sample_add(s, position, one, err));
    }
    return MR_OK;
}

static int by_number(const void *x, const void *y) {
    uint64_t a = *(const uint64_t *)x, b = *(const uint64_t *)y;
    return (a > b) - (a < b);
}

mr_status mr_sample_draw(mr_arena *arena, uint64_t seed, uint64_t first, uint32_t n, uint32_t k, uint32_t *out,
                         mr_error *err) {
    uint64_t *position = mr_arena_alloc(arena, (size_t)n + 1, sizeof *position);
    if (!position) return mr_fail(err, MR_E_MEMORY, "no memory to draw from %u rows", n);
    for (uint32_t i = 0; i < n; i++) position[i] = first + i;
    return mr_sample_draw_among(arena, seed, position, n, k, out, err);
}

/* Tickets do not tie, so the k-th smallest one is the bar. */
mr_status mr_sample_draw_among(mr_arena *arena, uint64_t seed, const uint64_t *position, uint32_t n, uint32_t k, uint32_t *out,
                               mr_error *err) {
    MR_ASSERT(k <= n);
    uint64_t *tickets = mr_arena_alloc(arena, (size_t)n + 1, sizeof *tickets);
    if (!tickets) return mr_fail(err, MR_E_MEMORY, "no memory to draw from %u rows", n);
    for (uint32_t i = 0; i < n; i++) tickets[i] = ticket_of(seed, position[i]);
    qsort(tickets, n, sizeof *tickets, by_number);
    uint32_t drawn = 0;
    for (uint32_t i = 0; i < n && k > 0; i++)
        if (ticket_of(seed, position[i]) <= tickets[k - 1]) out[drawn++] = i;
    MR_ASSERT(drawn == k);
    return MR_OK;
}
