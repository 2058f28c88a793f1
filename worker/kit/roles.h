/* roles.h: which of a batch's number columns there is something in. */
#ifndef MR_KIT_ROLES_H
#define MR_KIT_ROLES_H

#include "common/batch.h"

/* The column in this slot, or NULL when it is not there or holds only NaN. */
const double *mr_role_numbers(const mr_batch *b, int slot);
/* What is to be explained: outcome, else score, else success; NULL for none. *name: which. */
const double *mr_role_outcome(const mr_batch *b, const char **name);

/* What a trial measures: the first of outcome, success and score that the batch has, filled or not; NULL for none. */
const double *mr_role_result(const mr_batch *b, const char **name);

#endif
