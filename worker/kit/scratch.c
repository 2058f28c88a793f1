#include "worker/kit/scratch.h"

#include <string.h>

struct mr_scratch_block {
    mr_scratch_block *next;
    size_t used, cap;
    uint8_t *data;
};

static const size_t first_block = (size_t)64 << 10;

void mr_scratch_init(mr_scratch *s, mr_arena *arena) { *s = (mr_scratch){.arena = arena}; }

static bool fits(const mr_scratch_block *b, size_t bytes) { return b && bytes <= b->cap - b->used; }

/* A new block behind the last one, at least twice its size. */
static mr_scratch_block *append(mr_scratch *s, mr_scratch_block *last, size_t bytes) {
    size_t cap = last ? 2 * last->cap : first_block;
    if (cap < bytes) cap = bytes;
    mr_scratch_block *b = mr_arena_alloc(s->arena, 1, sizeof *b);
    uint8_t *data = b ? mr_arena_alloc(s->arena, cap, 1) : NULL;
    if (!data) return NULL;
    *b = (mr_scratch_block){.cap = cap, .data = data};
    if (last)
        last->next = b;
    else
        s->first = b;
    return b;
}

void *mr_scratch_get(mr_scratch *s, size_t n, size_t size) {
    size_t bytes;
    if (__builtin_mul_overflow(n, size, &bytes) || bytes > SIZE_MAX / 4) return NULL;
    bytes = (bytes + 15) / 16 * 16;
    mr_scratch_block *b = s->at ? s->at : s->first, *last = b;
    for (; b && !fits(b, bytes); b = b->next) {
        last = b;
        if (b->next) b->next->used = 0;
    }
    if (!b) b = append(s, last, bytes);
    if (!b) return NULL;
    s->at = b;
    b->used += bytes;
    return b->data + b->used - bytes;
}

mr_scratch_mark mr_scratch_here(const mr_scratch *s) {
    return (mr_scratch_mark){s->at, s->at ? s->at->used : 0};
}

void mr_scratch_back(mr_scratch *s, mr_scratch_mark mark) {
    s->at = mark.at ? mark.at : s->first;
    if (s->at) s->at->used = mark.used;
}

bool mr_regrow(mr_arena *arena, void *at, size_t count, size_t cap, size_t size) {
    void *old, *fresh = mr_arena_alloc(arena, cap, size);
    if (!fresh) return false;
    memcpy(&old, at, sizeof old); /* `at` is a pointer to a pointer of any type */
    if (count) memcpy(fresh, old, count * size);
    memcpy(at, &fresh, sizeof fresh);
    return true;
}
