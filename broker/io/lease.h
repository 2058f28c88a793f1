/* lease.h: which broker owns which share of the work. A lease row holds owner and epoch; a transaction that plans or
 * commits locks the rows and compares, so a broker that was paused too long can write nothing more. */
#ifndef MR_BROKER_IO_LEASE_H
#define MR_BROKER_IO_LEASE_H

#include "common/pg.h"

enum { MR_PARTITIONS = 16 };
#define MR_LEASE_LOST "MR001" /* the SQLSTATE of a fence that held */

/* A broker's hold on the work: its name and the epoch of each partition. */
typedef struct mr_lease {
    char owner[128];
    int64_t epoch[MR_PARTITIONS];
    int64_t seconds;
} mr_lease;

int32_t mr_partition_of(uint64_t run);

/* Takes all partitions that are free, expired or already this owner's, under new epochs, and draws a block of attempt
 * numbers. E_CONFLICT names the broker that holds them and until when. */
mr_status mr_lease_take(mr_pg *pg, mr_lease *lease, uint64_t *first_attempt, mr_error *err) MR_MUST_CHECK;
/* E_CONFLICT: another broker has taken a partition. */
mr_status mr_lease_renew(mr_pg *pg, const mr_lease *lease, mr_error *err) MR_MUST_CHECK;
/* Gives them up; what fails here ends by expiry. */
void mr_lease_release(mr_pg *pg, const mr_lease *lease);

/* The first statement of a transaction that plans or commits for these runs. */
extern const mr_pg_statement mr_lease_fence_statement;
void mr_lease_put_fence(mr_pg_params *p, const mr_lease *lease, const int64_t *runs, size_t n);

#endif
