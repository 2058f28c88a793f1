#include "worker/kit/itemrows.h"
#include "common/hash.h"
#include "worker/kit/columns.h"
#include "worker/kit/scratch.h"
#include "worker/kit/sort32.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { PARTS = 6, ITEMS_MAX = INT32_MAX };

void mr_itemrows_init(mr_itemrows *r, mr_arena *arena, unsigned flags) {
    *r = (mr_itemrows){.arena = arena, .flags = flags};
}

static size_t doubled(size_t cap) { return cap ? 2 * cap : 64; }

/* ---- terms ---- */

static uint32_t slot_of(const mr_terms *t, mr_span text) {
    uint32_t mask = t->slots - 1, at = (uint32_t)mr_xxh64(text, 0) & mask;
    while (t->slot[at] && !mr_span_eq(t->text[t->slot[at] - 1], text)) at = (at + 1) & mask;
    return at;
}

static bool grow_terms(mr_terms *t, mr_arena *arena) {
    uint32_t cap = t->cap ? 2 * t->cap : 64;
    uint32_t *slot = mr_arena_alloc(arena, 2 * (size_t)cap, sizeof *slot);
    if (!slot || !mr_regrow(arena, &t->text, t->count, cap, sizeof *t->text)) return false;
    t->slot = slot;
    t->slots = 2 * cap;
    t->cap = cap;
    for (uint32_t i = 0; i < t->count; i++) slot[slot_of(t, t->text[i])] = i + 1;
    return true;
}

static mr_status term(mr_terms *t, mr_arena *arena, mr_span text, uint32_t *number, mr_error *err) {
    if (t->count == t->cap && (t->cap >= ITEMS_MAX / 4 || !grow_terms(t, arena)))
        return mr_fail(err, MR_E_MEMORY, "no memory for %u different items", t->count);
    uint32_t at = slot_of(t, text);
    if (!t->slot[at]) {
        t->text[t->count] = text;
        t->slot[at] = ++t->count;
    }
    *number = t->slot[at] - 1;
    return MR_OK;
}

typedef struct ranked {
    mr_span text;
    uint32_t number;
} ranked;

static int by_bytes(const void *x, const void *y) {
    mr_span a = ((const ranked *)x)->text, b = ((const ranked *)y)->text;
    int c = memcmp(a.data, b.data, a.len < b.len ? a.len : b.len);
    return c ? c : (a.len > b.len) - (a.len < b.len);
}

/* Brings the texts into the order of their bytes; rank[old number] is the new one. */
static mr_status sort_terms(mr_terms *t, mr_arena *arena, uint32_t **rank, mr_error *err) {
    ranked *order = mr_arena_alloc(arena, t->count + (size_t)1, sizeof *order);
    *rank = mr_arena_alloc(arena, t->count + (size_t)1, sizeof **rank);
    if (!order || !*rank) return mr_fail(err, MR_E_MEMORY, "no memory to sort %u items", t->count);
    for (uint32_t i = 0; i < t->count; i++) order[i] = (ranked){t->text[i], i};
    qsort(order, t->count, sizeof *order, by_bytes);
    if (t->slots) memset(t->slot, 0, t->slots * sizeof *t->slot);
    for (uint32_t i = 0; i < t->count; i++) {
        (*rank)[order[i].number] = i;
        t->text[i] = order[i].text;
    }
    for (uint32_t i = 0; i < t->count; i++) t->slot[slot_of(t, t->text[i])] = i + 1;
    return MR_OK;
}

/* ---- rows ---- */

static mr_status no_room(const mr_itemrows *r, mr_error *err) {
    return mr_fail(err, MR_E_MEMORY, "no memory for the items of %u rows", r->rows);
}

/* While a row is open, the ends of the rows so far stay and the counts grow past them. */
static mr_status append(mr_itemrows *r, uint32_t **list, uint32_t *count, size_t *cap, uint32_t value,
                        mr_error *err) {
    if (*count == *cap) {
        if (*cap > ITEMS_MAX / 2)
            return mr_fail(err, MR_E_LIMIT, "the rows hold over %d items; use fewer rows", ITEMS_MAX / 2);
        if (!mr_regrow(r->arena, list, *count, doubled(*cap), sizeof **list)) return no_room(r, err);
        *cap = doubled(*cap);
    }
    (*list)[(*count)++] = value;
    return MR_OK;
}

static mr_status open_row(mr_itemrows *r, mr_error *err) {
    size_t cap = doubled(r->cap_rows);
    if (r->rows + (size_t)1 < r->cap_rows) return MR_OK;
    bool ok =
        mr_regrow(r->arena, &r->item_end, r->rows + (size_t)(r->cap_rows > 0), cap, sizeof *r->item_end) &&
        mr_regrow(r->arena, &r->plain_end, r->rows + (size_t)(r->cap_rows > 0), cap, sizeof *r->plain_end) &&
        mr_regrow(r->arena, &r->session, r->rows, cap, sizeof *r->session) &&
        (!(r->flags & MR_ITEMROWS_TIMES) || mr_regrow(r->arena, &r->time, r->rows, cap, sizeof *r->time));
    if (!ok) return no_room(r, err);
    if (r->cap_rows == 0) r->item_end[0] = r->plain_end[0] = 0;
    r->cap_rows = cap;
    return MR_OK;
}

mr_status mr_itemrows_item(mr_itemrows *r, mr_span text, mr_error *err) {
    uint32_t number;
    MR_TRY(open_row(r, err));
    MR_TRY(term(&r->items, r->arena, text, &number, err));
    return append(r, &r->item, &r->item_end[r->rows], &r->cap_items, number, err);
}

mr_status mr_itemrows_words(mr_itemrows *r, mr_span text, mr_error *err) {
    for (size_t at = 0; at < text.len;) {
        size_t start = at;
        while (at < text.len && !strchr(" \t\r\n", text.data[at])) at++;
        if (at > start) MR_TRY(mr_itemrows_item(r, (mr_span){text.data + start, at - start}, err));
        at++;
    }
    return MR_OK;
}

mr_status mr_itemrows_plain(mr_itemrows *r, uint32_t value, mr_error *err) {
    MR_TRY(open_row(r, err));
    return append(r, &r->plain, &r->plain_end[r->rows], &r->cap_plain, value, err);
}

/* Sorts v[0 .. n) and drops repeats; returns how many are left. */
static uint32_t make_set(uint32_t *v, uint32_t n) {
    uint32_t kept = 0;
    bool sorted = true;
    for (uint32_t i = 1; i < n; i++) sorted &= v[i - 1] < v[i];
    if (sorted) return n;
    mr_sort32(v, n);
    for (uint32_t i = 0; i < n; i++)
        if (i == 0 || v[i] != v[kept - 1]) v[kept++] = v[i];
    return kept;
}

mr_status mr_itemrows_end(mr_itemrows *r, mr_span session, double time, mr_error *err) {
    MR_TRY(open_row(r, err));
    uint32_t row = r->rows, start = mr_itemrows_at(r->item_end, row), number = 0;
    bool known = (r->flags & MR_ITEMROWS_SESSIONS) && session.len > 0;
    if (known) MR_TRY(term(&r->sessions, r->arena, session, &number, err));
    if (!(r->flags & MR_ITEMROWS_ORDERED) && r->item_end[row] > start)
        r->item_end[row] = start + make_set(r->item + start, r->item_end[row] - start);
    r->session[row] = known ? number + 1 : MR_NO_SESSION;
    if (r->flags & MR_ITEMROWS_TIMES) r->time[row] = time;
    r->item_end[row + 1] = r->item_end[row];
    r->plain_end[row + 1] = r->plain_end[row];
    r->rows++;
    return MR_OK;
}

mr_status mr_itemrows_sort(mr_itemrows *r, mr_error *err) {
    uint32_t *item, *session;
    MR_TRY(sort_terms(&r->items, r->arena, &item, err));
    MR_TRY(sort_terms(&r->sessions, r->arena, &session, err));
    for (uint32_t i = 0; i < r->rows; i++) {
        uint32_t start = mr_itemrows_at(r->item_end, i), end = r->item_end[i];
        for (uint32_t k = start; k < end; k++) r->item[k] = item[r->item[k]];
        if (!(r->flags & MR_ITEMROWS_ORDERED) && end > start) make_set(r->item + start, end - start);
        if (r->session[i]) r->session[i] = session[r->session[i] - 1] + 1;
    }
    return MR_OK;
}

/* ---- bytes ---- */

static void put_varint(mr_buf *b, uint64_t v) {
    uint8_t bytes[10];
    size_t n = 0;
    for (; v >= 128; v >>= 7) bytes[n++] = (uint8_t)(v | 128);
    bytes[n++] = (uint8_t)v;
    mr_buf_put(b, bytes, n);
}

static bool get_varint(mr_span *s, uint32_t *v) {
    uint64_t sum = 0;
    for (unsigned shift = 0; s->len > 0 && shift < 35; shift += 7) {
        uint8_t byte = *s->data++;
        s->len--;
        sum |= (uint64_t)(byte & 127) << shift;
        if (byte & 128) continue;
        *v = (uint32_t)sum;
        return sum <= UINT32_MAX;
    }
    return false;
}

/* A binary block whose length is known only at its end. */
static size_t open_bin(mr_buf *b) {
    mr_buf_put(b, "\xc6\0\0\0", 5);
    return b->len;
}

static void close_bin(mr_buf *b, size_t start) {
    if (b->status != MR_OK) return;
    uint32_t n = __builtin_bswap32((uint32_t)(b->len - start));
    memcpy(b->data + start - sizeof n, &n, sizeof n);
}

static void put_terms(const mr_terms *t, mr_buf *out) {
    size_t start = open_bin(out);
    for (uint32_t i = 0; i < t->count; i++) {
        put_varint(out, t->text[i].len);
        mr_buf_put(out, t->text[i].data, t->text[i].len);
    }
    close_bin(out, start);
}

static void put_row(const mr_itemrows *r, uint32_t row, mr_buf *out) {
    uint32_t at = mr_itemrows_at(r->item_end, row), end = r->item_end[row], before = 0;
    bool ordered = r->flags & MR_ITEMROWS_ORDERED;
    if (r->flags & MR_ITEMROWS_SESSIONS) put_varint(out, r->session[row]);
    if (r->flags & MR_ITEMROWS_TIMES) mr_buf_put(out, &r->time[row], sizeof *r->time);
    put_varint(out, end - at);
    for (; at < end; at++) {
        put_varint(out, ordered ? r->item[at] : r->item[at] - before);
        before = r->item[at];
    }
    if (!(r->flags & MR_ITEMROWS_PLAIN)) return;
    at = mr_itemrows_at(r->plain_end, row);
    put_varint(out, r->plain_end[row] - at);
    for (; at < r->plain_end[row]; at++) put_varint(out, r->plain[at]);
}

void mr_itemrows_pack(const mr_itemrows *r, mr_buf *out) {
    mr_pack_array(out, PARTS);
    mr_pack_u64(out, r->flags);
    mr_pack_u64(out, r->seen);
    mr_pack_u64(out, r->rows);
    put_terms(&r->items, out);
    put_terms(&r->sessions, out);
    size_t start = open_bin(out);
    for (uint32_t i = 0; i < r->rows; i++) put_row(r, i, out);
    close_bin(out, start);
}

static mr_status corrupt(mr_error *err, const char *what) {
    return mr_fail(err, MR_E_CORRUPT, "packed rows of items: %s", what);
}

/* The terms of a block; ours[i] is the number that its term i has here. */
static mr_status read_terms(mr_terms *t, mr_arena *arena, mr_span bytes, uint32_t **ours, uint32_t *count,
                            mr_error *err) {
    uint32_t len;
    *count = 0;
    for (mr_span walk = bytes; walk.len > 0; ++*count) {
        if (!get_varint(&walk, &len) || len == 0 || len > walk.len)
            return corrupt(err, "the dictionary is cut short");
        walk = (mr_span){walk.data + len, walk.len - len};
    }
    *ours = mr_arena_alloc(arena, *count + (size_t)1, sizeof **ours);
    if (!*ours) return mr_fail(err, MR_E_MEMORY, "no memory for %u items", *count);
    for (uint32_t i = 0; i < *count && get_varint(&bytes, &len); i++) {
        MR_TRY(term(t, arena, (mr_span){bytes.data, len}, &(*ours)[i], err));
        bytes = (mr_span){bytes.data + len, bytes.len - len};
    }
    return MR_OK;
}

typedef struct reading {
    mr_span bytes;
    const uint32_t *item, *session; /* our numbers of their terms */
    uint32_t items, sessions;
} reading;

static mr_status read_items(mr_itemrows *r, reading *in, mr_error *err) {
    uint32_t count, v, before = 0;
    if (!get_varint(&in->bytes, &count)) return corrupt(err, "a row is cut short");
    for (uint32_t k = 0; k < count; k++) {
        if (!get_varint(&in->bytes, &v)) return corrupt(err, "a row is cut short");
        if (!(r->flags & MR_ITEMROWS_ORDERED)) v += before;
        if (v >= in->items || v < (r->flags & MR_ITEMROWS_ORDERED ? 0 : before))
            return corrupt(err, "an item is not in the dictionary");
        MR_TRY(append(r, &r->item, &r->item_end[r->rows], &r->cap_items, in->item[v], err));
        before = v;
    }
    if (!(r->flags & MR_ITEMROWS_PLAIN)) return MR_OK;
    if (!get_varint(&in->bytes, &count)) return corrupt(err, "a row is cut short");
    for (uint32_t k = 0; k < count; k++) {
        if (!get_varint(&in->bytes, &v)) return corrupt(err, "a row is cut short");
        MR_TRY(append(r, &r->plain, &r->plain_end[r->rows], &r->cap_plain, v, err));
    }
    return MR_OK;
}

static mr_status read_row(mr_itemrows *r, reading *in, mr_error *err) {
    uint32_t session = 0;
    double time = 0;
    if ((r->flags & MR_ITEMROWS_SESSIONS) && !get_varint(&in->bytes, &session))
        return corrupt(err, "a row is cut short");
    if (session > in->sessions) return corrupt(err, "a session is not in the dictionary");
    if (r->flags & MR_ITEMROWS_TIMES) {
        if (in->bytes.len < sizeof time) return corrupt(err, "a row is cut short");
        memcpy(&time, in->bytes.data, sizeof time);
        in->bytes = (mr_span){in->bytes.data + sizeof time, in->bytes.len - sizeof time};
        if (!isfinite(time)) return corrupt(err, "a time is not finite");
    }
    MR_TRY(open_row(r, err));
    MR_TRY(read_items(r, in, err));
    mr_span text = session ? r->sessions.text[in->session[session - 1]] : (mr_span){NULL, 0};
    return mr_itemrows_end(r, text, time, err);
}

mr_status mr_itemrows_add_packed(mr_itemrows *r, mr_unpack *in, mr_error *err) {
    uint32_t parts, *item, *session;
    uint64_t flags, seen, rows;
    mr_span items, sessions;
    reading from = {.items = 0};
    MR_TRY(mr_unpack_array(in, PARTS, &parts, err));
    if (parts != PARTS) return corrupt(err, "another number of parts");
    MR_TRY(mr_unpack_u64(in, 15, &flags, err));
    MR_TRY(mr_unpack_u64(in, UINT64_MAX - r->seen, &seen, err));
    MR_TRY(mr_unpack_u64(in, ITEMS_MAX, &rows, err));
    MR_TRY(mr_unpack_bin(in, SIZE_MAX, &items, err));
    MR_TRY(mr_unpack_bin(in, SIZE_MAX, &sessions, err));
    MR_TRY(mr_unpack_bin(in, SIZE_MAX, &from.bytes, err));
    if (flags != r->flags)
        return mr_fail(err, MR_E_INVALID, "batches differ in which of session and time they have");
    MR_TRY(read_terms(&r->items, r->arena, items, &item, &from.items, err));
    MR_TRY(read_terms(&r->sessions, r->arena, sessions, &session, &from.sessions, err));
    from.item = item;
    from.session = session;
    for (uint64_t i = 0; i < rows; i++) MR_TRY(read_row(r, &from, err));
    r->seen += seen;
    return from.bytes.len ? corrupt(err, "bytes behind the last row") : MR_OK;
}

static mr_status read_flags(mr_unpack in, unsigned *out, mr_error *err) {
    uint32_t parts;
    uint64_t flags;
    MR_TRY(mr_unpack_array(&in, PARTS, &parts, err));
    MR_TRY(mr_unpack_u64(&in, 15, &flags, err));
    *out = (unsigned)flags;
    return MR_OK;
}

mr_status mr_itemrows_add_partial(mr_itemrows *r, mr_span partial, const char *magic, uint32_t parts, bool first,
                                  mr_unpack *rest, mr_error *err) {
    mr_unpack_init(rest, partial);
    MR_TRY(mr_unpack_magic(rest, magic, parts, err));
    if (first) MR_TRY(read_flags(*rest, &r->flags, err));
    return mr_itemrows_add_packed(r, rest, err);
}
