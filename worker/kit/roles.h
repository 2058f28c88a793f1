/* roles.h: which of a batch's number columns there is something in. */
#ifndef MR_KIT_ROLES_H
#define MR_KIT_ROLES_H

#include "common/batch.h"

/* The column in this slot, or NULL when it is not there or holds only NaN. */
const double *mr_role_numbers(const mr_batch *b, int slot);
/* What is to be explained: outcome, else score, else success; NULL for none. *name: which. */
const double *mr_role_outcome(const mr_batch *b, const char **name);

#endif
