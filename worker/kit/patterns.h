/* patterns.h: what miners find: lists of words (item numbers, or whatever the miner writes) with counts. */
#ifndef MR_KIT_PATTERNS_H
#define MR_KIT_PATTERNS_H

#include "common/mem.h"
#include "common/status.h"

typedef struct mr_patterns {
    mr_arena *arena;
    size_t most; /* one more than this is E_LIMIT */
    uint32_t count;
    size_t *end; /* of pattern i in `word`; it starts where pattern i - 1 ends */
    uint32_t *word;
    uint32_t *support, *hits; /* rows that hold it; those of them that are marked */
    size_t cap, cap_words, words;
} mr_patterns;

void mr_patterns_init(mr_patterns *p, mr_arena *arena, size_t most);
/* Errors: E_MEMORY; E_LIMIT with a sentence that names the options min_support and max_patterns. */
mr_status mr_patterns_add(mr_patterns *p, const uint32_t *word, size_t n, uint32_t support, uint32_t hits,
                          mr_error *err) MR_MUST_CHECK;

static inline const uint32_t *mr_pattern(const mr_patterns *p, uint32_t i) {
    return p->word + (i ? p->end[i - 1] : 0);
}
static inline size_t mr_pattern_length(const mr_patterns *p, uint32_t i) {
    return p->end[i] - (i ? p->end[i - 1] : 0);
}

/* The least count that is at least the share `share` of n (to 1e-9 relative, so that 0.07 of 100 is 7), or
 * `count` when that is over 0; at least 1. */
uint32_t mr_least_count(double share, uint64_t count, uint32_t n);

/* Finds patterns again by their words. */
typedef struct mr_pattern_index {
    const mr_patterns *patterns;
    uint32_t *slot;
    size_t slots;
} mr_pattern_index;
/* Errors: E_MEMORY. */
mr_status mr_pattern_index_make(mr_pattern_index *x, const mr_patterns *p, mr_error *err) MR_MUST_CHECK;
/* The pattern's number, or UINT32_MAX. */
uint32_t mr_pattern_find(const mr_pattern_index *x, const uint32_t *word, size_t n);

#endif
