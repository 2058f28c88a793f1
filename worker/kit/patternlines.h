/* patternlines.h: itemsets that were mined before, from the lines that pattern_discovery leaves, counted in
 * other rows. */
#ifndef MR_KIT_PATTERNLINES_H
#define MR_KIT_PATTERNLINES_H

#include "worker/kit/fpgrowth.h"
#include "worker/kit/itemrows.h"

/* Reads the lines "KIND <tab> SUPPORT <tab> OF <tab> PATTERN" behind a header line, and adds those of the
 * kind "itemset" to `out`, with their support and hits in `sets`, the sets of the
 * sorted rows. Itemsets with an item that no row holds have support 0 and are left out, as are those of over
 * 64 items; *passed counts them and the lines of other kinds. Time: rows / 64 for each item of each line.
 * Errors: E_INVALID a line that is none; those of mr_patterns_add; E_MEMORY; what `tick` says. */
mr_status mr_pattern_lines(mr_span lines, const mr_itemrows *rows, const mr_itemsets *sets,
                           const mr_ticker *tick, mr_patterns *out, uint64_t *passed,
                           mr_error *err) MR_MUST_CHECK;

#endif
