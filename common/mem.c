#include "common/mem.h"
#include "common/status.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>

static void *heap_resize(void *self, void *p, size_t old_size, size_t size) {
    (void)self;
    (void)old_size;
    if (size) return realloc(p, size);
    free(p);
    return NULL;
}

const mr_mem *mr_heap(void) {
    static const mr_mem heap = {heap_resize, NULL};
    return &heap;
}

static void *resize(const mr_mem *mem, void *p, size_t old_size, size_t size) {
    if (!mem) mem = mr_heap();
    return mem->resize(mem->self, p, old_size, size);
}

void mr_heap_keep(void) {
    enum { KEEP = 64 << 20, MAPPED_FROM = 16 << 20 };
    mallopt(M_TRIM_THRESHOLD, KEEP);
    mallopt(M_MMAP_THRESHOLD, MAPPED_FROM);
}

void *mr_grow_raw(const mr_mem *mem, void *p, size_t old_n, size_t n, size_t size) {
    size_t bytes;
    if (__builtin_mul_overflow(n, size, &bytes) || bytes == 0) return NULL;
    return resize(mem, p, old_n * size, bytes);
}

void *mr_grow(const mr_mem *mem, void *p, size_t old_n, size_t n, size_t size) {
    char *fresh = mr_grow_raw(mem, p, old_n, n, size);
    if (fresh && n > old_n) memset(fresh + old_n * size, 0, (n - old_n) * size);
    return fresh;
}

void *mr_new(const mr_mem *mem, size_t n, size_t size) { return mr_grow(mem, NULL, 0, n, size); }

void mr_free(const mr_mem *mem, void *p, size_t n, size_t size) {
    if (p) resize(mem, p, n * size, 0);
}

/* ---- arena ---- */

typedef struct block {
    struct block *next;
    size_t size, used; /* bytes behind this header */
} block;

struct mr_arena {
    const mr_mem *mem;
    block *head; /* the block that is filled now; the first one is last in the chain */
    size_t ceiling, used, peak;
};

enum { BLOCK_MIN = 64 * 1024, ALIGN_BIG = 64, ALIGN_SMALL = 16, BIG = 4096 };

mr_arena *mr_arena_new(const mr_mem *mem, size_t ceiling) {
    mr_arena *a = mr_new(mem, 1, sizeof *a);
    if (!a) return NULL;
    a->mem = mem;
    a->ceiling = ceiling;
    return a;
}

static bool add_block(mr_arena *a, size_t need) {
    size_t size = need > BLOCK_MIN ? need : BLOCK_MIN;
    block *b = resize(a->mem, NULL, 0, sizeof *b + size);
    if (!b) return false;
    *b = (block){.next = a->head, .size = size};
    a->head = b;
    return true;
}

static size_t padding(const block *b, size_t align) {
    uintptr_t at = (uintptr_t)(b + 1) + b->used;
    return (size_t)(-at & (align - 1));
}

void *mr_arena_raw(mr_arena *a, size_t n, size_t size) {
    size_t bytes;
    if (__builtin_mul_overflow(n, size, &bytes) || bytes > a->ceiling - a->used) return NULL;
    size_t align = bytes >= BIG ? ALIGN_BIG : ALIGN_SMALL;
    if (!a->head || a->head->size - a->head->used < bytes + padding(a->head, align))
        if (!add_block(a, bytes + align)) return NULL;
    block *b = a->head;
    b->used += padding(b, align);
    void *p = (char *)(b + 1) + b->used;
    b->used += bytes;
    a->used += bytes;
    if (a->used > a->peak) a->peak = a->used;
    return p;
}

void *mr_arena_alloc(mr_arena *a, size_t n, size_t size) {
    void *p = mr_arena_raw(a, n, size);
    return p ? memset(p, 0, n * size) : NULL;
}

char *mr_arena_copy(mr_arena *a, const void *bytes, size_t n) {
    char *p = n == SIZE_MAX ? NULL : mr_arena_raw(a, n + 1, 1);
    if (!p) return NULL;
    if (n) memcpy(p, bytes, n);
    p[n] = 0;
    return p;
}

size_t mr_arena_used(const mr_arena *a) { return a->used; }
size_t mr_arena_peak(const mr_arena *a) { return a->peak; }

void mr_arena_reset(mr_arena *a) {
    while (a->head && a->head->next) {
        block *b = a->head;
        a->head = b->next;
        resize(a->mem, b, sizeof *b + b->size, 0);
    }
    if (a->head) a->head->used = 0;
    a->used = a->peak = 0;
}

void mr_arena_free(mr_arena **a) {
    if (!*a) return;
    mr_arena_reset(*a);
    if ((*a)->head) resize((*a)->mem, (*a)->head, sizeof(block) + (*a)->head->size, 0);
    mr_free((*a)->mem, *a, 1, sizeof **a);
    *a = NULL;
}

/* ---- the failing allocator of the tests ---- */

static void *failing_resize(void *self, void *p, size_t old_size, size_t size) {
    mr_mem_failing *f = self;
    if (size) {
        f->count++;
        if (f->fail_at && f->count >= f->fail_at) return NULL;
        if (!p) f->live++;
    } else if (p) {
        f->live--;
    }
    return heap_resize(NULL, p, old_size, size);
}

void mr_mem_failing_init(mr_mem_failing *f, uint64_t fail_at) {
    *f = (mr_mem_failing){.mem = {failing_resize, NULL}, .fail_at = fail_at};
    f->mem.self = f;
}
