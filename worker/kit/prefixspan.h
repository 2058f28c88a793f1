/* prefixspan.h: all sequential patterns that enough sequences hold, exactly. PrefixSpan (Pei, Han,
 * Mortazavi-Asl et al. 2004) with pseudo-projection. */
#ifndef MR_KIT_PREFIXSPAN_H
#define MR_KIT_PREFIXSPAN_H

#include "worker/kit/patterns.h"
#include "worker/kit/tick.h"

/* Sequence s is the elements end[s - 1] .. end[s] - 1; element e is the set of items item[element_end[e - 1]
 * .. element_end[e]), ascending, without repeats, all below `items` <= 2^31. */
typedef struct mr_sequences {
    uint32_t count, items;
    const uint32_t *end, *element_end, *item;
} mr_sequences;

/* A pattern's word: an item, and whether it opens an element. */
static inline uint32_t mr_sequence_word(uint32_t item, bool opens) { return 2 * item + opens; }

/* Adds every pattern of 1 to `longest` items that is contained in at least `least` > 0 sequences: its
 * elements are subsets of different elements in the same order, gaps allowed. Items of an element ascend.
 * *cut: there are longer ones. Memory: 8 bytes for each occurrence of an item, once for each item of the
 * longest pattern. Errors: those of mr_patterns_add; E_MEMORY; what `tick` says. */
mr_status mr_prefixspan(const mr_sequences *in, uint32_t least, uint32_t longest, const mr_ticker *tick,
                        mr_patterns *out, bool *cut, mr_error *err) MR_MUST_CHECK;

#endif
