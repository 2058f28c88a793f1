/* scratch.h: a stack of memory on top of an arena, for recursions whose levels need arrays of sizes that are
 * not known before: what a level took is given back when it returns, and used again by the next one. */
#ifndef MR_KIT_SCRATCH_H
#define MR_KIT_SCRATCH_H

#include "common/mem.h"

typedef struct mr_scratch_block mr_scratch_block;
typedef struct mr_scratch {
    mr_arena *arena;
    mr_scratch_block *first, *at;
} mr_scratch;

typedef struct mr_scratch_mark {
    mr_scratch_block *at;
    size_t used;
} mr_scratch_mark;

void mr_scratch_init(mr_scratch *s, mr_arena *arena);
/* Not zeroed, 16-byte aligned; NULL over the arena's ceiling. Never NULL for n = 0 otherwise. */
void *mr_scratch_get(mr_scratch *s, size_t n, size_t size);
/* Everything taken after the mark is given back by mr_scratch_back. */
mr_scratch_mark mr_scratch_here(const mr_scratch *s);
void mr_scratch_back(mr_scratch *s, mr_scratch_mark mark);

/* Moves the first `count` values of the array that the pointer at `at` points to into a new one of `cap`
 * values. False over the arena's ceiling; the pointer is then as it was. */
bool mr_regrow(mr_arena *arena, void *at, size_t count, size_t cap, size_t size);

#endif
