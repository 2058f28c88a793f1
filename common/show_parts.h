/* show_parts.h: what show.c and show_fold.c share. */
#ifndef MR_COMMON_SHOW_PARTS_H
#define MR_COMMON_SHOW_PARTS_H

#include "common/pack.h"

/* One item of "findings"; the cursor moves behind it. */
mr_status mr_show_read_finding(mr_unpack *u, double *weight, mr_span *text, bool *tally, mr_error *err) MR_MUST_CHECK;

#endif
