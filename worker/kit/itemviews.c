#include "worker/kit/itemviews.h"
#include "worker/kit/sort32.h"

#include <stdlib.h>
#include <string.h>

static mr_status no_memory(const mr_itemrows *r, mr_error *err) {
    return mr_fail(err, MR_E_MEMORY, "no memory for the items of %u rows", r->rows);
}

static uint32_t item_count(const mr_itemrows *r) { return r->rows ? r->item_end[r->rows - 1] : 0; }

mr_status mr_itemsets_of(const mr_itemrows *r, mr_arena *arena, mr_itemsets *out, mr_error *err) {
    *out = (mr_itemsets){r->rows, r->items.count, r->item_end, r->item, NULL};
    if (!(r->flags & MR_ITEMROWS_ORDERED)) return MR_OK;
    uint32_t *end = mr_arena_alloc(arena, r->rows + (size_t)1, sizeof *end), at = 0;
    uint32_t *item = mr_arena_alloc(arena, item_count(r) + (size_t)1, sizeof *item);
    if (!end || !item) return no_memory(r, err);
    for (uint32_t i = 0; i < r->rows; i++) {
        uint32_t from = mr_itemrows_at(r->item_end, i), n = r->item_end[i] - from, start = at;
        if (n) memcpy(item + start, r->item + from, n * sizeof *item);
        mr_sort32(item + start, n);
        for (uint32_t k = start; k < start + n; k++)
            if (k == start || item[k] != item[at - 1]) item[at++] = item[k];
        end[i] = at;
    }
    out->end = end;
    out->item = item;
    return MR_OK;
}

typedef struct event {
    double time;
    uint32_t session, row;
} event;

static int by_session_and_time(const void *x, const void *y) {
    const event *a = x, *b = y;
    if (a->session != b->session) return a->session < b->session ? -1 : 1;
    if (a->time != b->time) return a->time < b->time ? -1 : 1;
    return (a->row > b->row) - (a->row < b->row);
}

static uint32_t order_events(const mr_itemrows *r, event *out) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < r->rows; i++)
        if (r->session[i])
            out[n++] = (event){r->flags & MR_ITEMROWS_TIMES ? r->time[i] : 0, r->session[i], i};
    qsort(out, n, sizeof *out, by_session_and_time);
    return n;
}

static mr_status of_sessions(const mr_itemrows *r, mr_arena *arena, mr_sequences *out, uint64_t *left_out,
                             mr_error *err) {
    event *e = mr_arena_alloc(arena, r->rows + (size_t)1, sizeof *e);
    uint32_t *end = mr_arena_alloc(arena, r->sessions.count + (size_t)1, sizeof *end), at = 0;
    uint32_t *element = mr_arena_alloc(arena, r->rows + (size_t)1, sizeof *element);
    uint32_t *item = mr_arena_alloc(arena, item_count(r) + (size_t)1, sizeof *item);
    if (!e || !end || !element || !item) return no_memory(r, err);
    uint32_t n = order_events(r, e);
    for (uint32_t k = 0; k < n; k++) {
        uint32_t from = mr_itemrows_at(r->item_end, e[k].row), count = r->item_end[e[k].row] - from;
        if (count) memcpy(item + at, r->item + from, count * sizeof *item);
        element[k] = at += count;
        end[e[k].session - 1] = k + 1;
    }
    for (uint32_t s = 1; s < r->sessions.count; s++)
        if (end[s] == 0) end[s] = end[s - 1]; /* only where bytes from outside name a session without rows */
    *left_out = r->rows - n;
    *out = (mr_sequences){r->sessions.count, r->items.count, end, element, item};
    return MR_OK;
}

mr_status mr_sequences_of(const mr_itemrows *r, mr_arena *arena, mr_sequences *out, uint64_t *left_out,
                          mr_error *err) {
    *left_out = 0;
    if (r->flags & MR_ITEMROWS_SESSIONS) return of_sessions(r, arena, out, left_out, err);
    uint32_t n = item_count(r), *element = mr_arena_alloc(arena, n + (size_t)1, sizeof *element);
    if (!element) return no_memory(r, err);
    for (uint32_t k = 0; k < n; k++) element[k] = k + 1;
    *out = (mr_sequences){r->rows, r->items.count, r->item_end, element, r->item};
    return MR_OK;
}
