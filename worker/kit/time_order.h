/* time_order.h: rows by a number of theirs. */
#ifndef MR_KIT_TIME_ORDER_H
#define MR_KIT_TIME_ORDER_H

#include "common/mem.h"

/* The rows 0 .. n - 1 by time[i * stride], ascending, equal times by row; NaN comes first. NULL: no memory.
 */
uint32_t *mr_time_order(const double *time, size_t stride, size_t n, mr_arena *arena);

#endif
