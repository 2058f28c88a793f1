/* version.h: makes the immutable version that a run reads: the ordered ids of a data set's rows, and a hash of their
 * contents, in which a later revision of a prompt counts as other content. When nothing has changed since, it finds the
 * version that is there. */
#ifndef MR_BROKER_IO_VERSION_H
#define MR_BROKER_IO_VERSION_H

#include "common/pg.h"

typedef struct mr_version {
    int64_t id;
    uint64_t rows;
} mr_version;

/* In the caller's transaction. Errors: E_INVALID the data set has no rows. */
mr_status mr_version_make(mr_pg *pg, int64_t dataset, bool is_table, mr_version *out, mr_error *err) MR_MUST_CHECK;
/* E_NOT_FOUND when the data set has no such version. */
mr_status mr_version_find(mr_pg *pg, int64_t dataset, int64_t id, mr_version *out, mr_error *err) MR_MUST_CHECK;

#endif
