/* itemviews.h: rows of items as what the miners take. The rows must be sorted; the views borrow from them. */
#ifndef MR_KIT_ITEMVIEWS_H
#define MR_KIT_ITEMVIEWS_H

#include "worker/kit/fpgrowth.h"
#include "worker/kit/itemrows.h"
#include "worker/kit/prefixspan.h"

/* Every row as a set; ordered rows lose their order and repeats. Errors: E_MEMORY. */
mr_status mr_itemsets_of(const mr_itemrows *rows, mr_arena *arena, mr_itemsets *out,
                         mr_error *err) MR_MUST_CHECK;

/* With sessions: every session is a sequence, its rows are the elements, by time and, at equal time, in their
 * order; rows without a session are left out and counted in *left_out. Without sessions: every row is a
 * sequence, its items are elements of one item. Errors: E_MEMORY. */
mr_status mr_sequences_of(const mr_itemrows *rows, mr_arena *arena, mr_sequences *out, uint64_t *left_out,
                          mr_error *err) MR_MUST_CHECK;

#endif
