/* mem.h: where memory comes from. Everything in common, proto and broker/core takes its memory from an mr_mem,
 * so a test can make the n-th allocation fail and a component can be held under a ceiling. */
#ifndef MR_COMMON_MEM_H
#define MR_COMMON_MEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct mr_mem {
    void *(*resize)(void *self, void *p, size_t old_size, size_t size); /* size 0 frees; NULL on failure */
    void *self;
} mr_mem;

/* The C heap. */
const mr_mem *mr_heap(void);

/* For programs that take and free buffers all the time: what was freed stays with the process (some 64 MiB of it), where it
 * would else go back to the kernel and come again page by page. */
void mr_heap_keep(void);

/* `mem` may be NULL for the heap. Memory from mr_new is zeroed; NULL when there is none or n * size overflows. */
void *mr_new(const mr_mem *mem, size_t n, size_t size);
void *mr_grow(const mr_mem *mem, void *p, size_t old_n, size_t n, size_t size);
/* As mr_grow, but what is new is not zeroed: for bytes that are written before anybody reads them. */
void *mr_grow_raw(const mr_mem *mem, void *p, size_t old_n, size_t n, size_t size);
void mr_free(const mr_mem *mem, void *p, size_t n, size_t size);

/* A chain of blocks that is freed as one, with a ceiling on the sum of what was asked for. */
typedef struct mr_arena mr_arena;
mr_arena *mr_arena_new(const mr_mem *mem, size_t ceiling);
/* Zeroed, 16-byte aligned (64 from 4 KiB up); NULL over the ceiling. */
void *mr_arena_alloc(mr_arena *a, size_t n, size_t size);
/* The same, not zeroed: for what is written at once. */
void *mr_arena_raw(mr_arena *a, size_t n, size_t size);
/* A copy of `n` bytes with a NUL behind it. */
char *mr_arena_copy(mr_arena *a, const void *bytes, size_t n);
size_t mr_arena_used(const mr_arena *a);
size_t mr_arena_peak(const mr_arena *a);
/* Forgets everything, keeps the first block for the next use. */
void mr_arena_reset(mr_arena *a);
void mr_arena_free(mr_arena **a);

/* For tests: fails the n-th allocation (from 1) and all after it; n = 0 never fails. Counts what was asked for. */
typedef struct mr_mem_failing {
    mr_mem mem;
    uint64_t fail_at, count;
    int64_t live; /* allocations that are not yet freed */
} mr_mem_failing;
void mr_mem_failing_init(mr_mem_failing *f, uint64_t fail_at);

#endif
