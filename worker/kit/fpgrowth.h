/* fpgrowth.h: all itemsets that enough rows hold, exactly. FP-Growth (Han, Pei, Yin and Mao 2004) on tries in
 * flat arrays that are projected without merging equal siblings (Racz 2004, "nonordfp"). */
#ifndef MR_KIT_FPGROWTH_H
#define MR_KIT_FPGROWTH_H

#include "worker/kit/patterns.h"
#include "worker/kit/tick.h"

/* Rows as sets: row i holds item[end[i - 1] .. end[i]), ascending, without repeats, all below `items`. */
typedef struct mr_itemsets {
    uint32_t rows, items;
    const uint32_t *end, *item;
    const uint8_t *marked; /* rows to count in `hits`; NULL: none */
} mr_itemsets;

/* Adds every itemset of 1 to `longest` items that at least `least` > 0 rows hold; words are the item numbers,
 * ascending; patterns come in no particular but always the same order. *cut: there are
 * longer ones. Time grows with the sum over patterns of the
 * nodes of their tries; memory with the items of the rows. Errors: those of mr_patterns_add; E_MEMORY; what
 * `tick` says. */
mr_status mr_fpgrowth(const mr_itemsets *rows, uint32_t least, uint32_t longest, const mr_ticker *tick,
                      mr_patterns *out, bool *cut, mr_error *err) MR_MUST_CHECK;

#endif
