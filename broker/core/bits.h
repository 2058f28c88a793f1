/* bits.h: a set of the numbers 0 .. size - 1, a bit each, with a tree of summaries above it (a bit says that
 * the word below is not empty), so that the least member is found in six steps at most, also among 2^31. */
#ifndef MR_BROKER_CORE_BITS_H
#define MR_BROKER_CORE_BITS_H

#include "common/mem.h"
#include "common/status.h"

enum { MR_BITS_LEVELS = 6 };

typedef struct mr_bits {
    uint64_t *word;              /* all levels, the members first */
    size_t words;
    size_t at[MR_BITS_LEVELS];   /* where each level starts in `word` */
    uint32_t levels, size, count; /* count: how many members */
    uint32_t room;                /* the size that `word` is laid out for */
} mr_bits;

/* Empty, or with all numbers in it. E_MEMORY. */
mr_status mr_bits_init(mr_bits *b, const mr_mem *mem, uint32_t size, bool full) MR_MUST_CHECK;
/* Room for the numbers below `size` (at most 2^31), without them being in it; doubles, so that growing one by one is cheap.
 * E_MEMORY leaves it as it was. */
mr_status mr_bits_reserve(mr_bits *b, const mr_mem *mem, uint32_t size) MR_MUST_CHECK;
/* The size is now `size`, for which there is room, and what is new is in it or not. */
void mr_bits_extend(mr_bits *b, uint32_t size, bool full);
void mr_bits_free(mr_bits *b, const mr_mem *mem);
bool mr_bits_has(const mr_bits *b, uint32_t i);
/* Both are true when that changed something. */
bool mr_bits_add(mr_bits *b, uint32_t i);
bool mr_bits_remove(mr_bits *b, uint32_t i);
/* The least member; there must be one. */
uint32_t mr_bits_first(const mr_bits *b);
/* Are the `n` <= 64 numbers from `first` all members? They must lie in one aligned group of 64. */
bool mr_bits_has_all(const mr_bits *b, uint32_t first, uint32_t n);

#endif
