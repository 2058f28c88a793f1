/* traits.h: feature columns apart for failures and successes, as exact sums that merge in any grouping. */
#ifndef MR_KIT_TRAITS_H
#define MR_KIT_TRAITS_H

#include "worker/kit/columns.h"
#include "worker/kit/contingency.h"
#include "worker/kit/exact.h"

enum { MR_TRAITS_MAX = 512 }; /* columns */

/* Of one column and one group. */
typedef struct mr_trait {
    uint64_t n; /* values that are not missing */
    mr_exact sum, squares;
    bool binary; /* all of them are 0 or 1 */
} mr_trait;

typedef struct mr_traits {
    mr_arena *arena;
    mr_names names;
    uint64_t rows, outcomes[2]; /* rows seen; failures and successes: the caller counts */
    mr_trait *of;               /* column j, group g: of[2 j + g] */
} mr_traits;

/* Errors: E_INVALID too many columns; E_MEMORY. */
mr_status mr_traits_init(mr_traits *t, mr_arena *arena, mr_names names, mr_error *err) MR_MUST_CHECK;
/* The features of row i into group 0 or 1. Missing values are left out. Errors: E_INVALID a value that is
 * infinite or beyond 1e140, by row and column. */
mr_status mr_traits_add(mr_traits *t, const mr_batch *b, uint32_t i, int group, mr_error *err) MR_MUST_CHECK;

/* At most 1.2 KiB for each column and group, about 50 bytes for ordinary values. Has to be the last part of a
 * partial. */
void mr_traits_pack(mr_traits *t, mr_buf *out);
/* Adds packed traits, up to the end of the bytes; an empty `t` (arena only) takes their names. Errors:
 * E_CORRUPT, E_INVALID other columns, E_MEMORY. */
mr_status mr_traits_add_packed(mr_traits *t, mr_unpack *in, mr_error *err) MR_MUST_CHECK;

/* Does the column hold only 0 and 1, in some row? Then *table counts the ones. */
bool mr_trait_is_binary(mr_traits *t, uint32_t column, mr_fourfold *table);
/* n, mean and variance (divisor n - 1), each correctly rounded from the exact sums, of both groups; min and
 * max are NaN. */
void mr_trait_summaries(mr_traits *t, uint32_t column, mr_summary out[2]);

#endif
