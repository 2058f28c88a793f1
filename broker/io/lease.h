/* lease.h: which broker owns which share of the work. A partition's row holds owner and epoch; a transaction that plans
 * or commits locks the rows and compares, so a broker that was paused too long can write nothing more.
 *
 * A broker keeps its leases in rounds, each one transaction: it says that it lives, gives back what it was told to give
 * back, renews what it holds, and takes what is free up to its share. Nobody is asked; the rows are all that brokers have
 * in common. */
#ifndef MR_BROKER_IO_LEASE_H
#define MR_BROKER_IO_LEASE_H

#include "broker/core/partitions.h"
#include "common/option.h"
#include "common/pg.h"

#include <stdatomic.h>

#define MR_LEASE_LOST "MR001"    /* the SQLSTATE of a fence that held */
#define MR_LEASE_NOTHING "MR002" /* of a run that is to be planned where no partition is owned */
#define MR_DIVIDE_LOCK "5570291835" /* the advisory lock of whoever comes, and of whoever divides limits */
#define MR_CHANNEL "millrace"    /* that brokers LISTEN to */

/* What the desks see of the leases. The loop writes `epoch` and `open`, the keeper `until_ns`; who meets a fence sets
 * `doubt`, and the keeper looks at once. */
typedef struct mr_lease {
    char owner[128];
    int64_t seconds;
    atomic_llong epoch[MR_PARTITIONS]; /* 0: not ours */
    atomic_uint open;                  /* the partitions that new runs go to */
    atomic_ullong until_ns;            /* monotonic: what is held is not ours any more from then on */
    atomic_bool doubt;
    atomic_uint others;                /* brokers that live beside this one */
} mr_lease;

/* ---- the fence ---- */

/* False for epoch 0 too: what was given when the partition was nobody's here any more is not of now. */
bool mr_lease_holds(const mr_lease *lease, uint64_t run, int64_t epoch);
/* The first statement of a transaction that plans or commits for these runs. */
extern const mr_pg_statement mr_lease_fence_statement;
void mr_lease_put_fence(mr_pg_params *p, const mr_lease *lease, const int64_t *runs, size_t n);
/* The partitions of `open`, as an array of int4. */
void mr_lease_put_open(mr_pg_params *p, const mr_lease *lease);

/* ---- rounds ---- */

typedef enum mr_lease_state { MR_LEASE_SERVING, MR_LEASE_DRAINING, MR_LEASE_LEFT } mr_lease_state;

/* What a broker knows of its own leases; of one thread. */
typedef struct mr_holding {
    char owner[128], instance[24], address[MR_OPTION_TEXT];
    int64_t seconds;
    mr_lease_state state;
    int64_t epoch[MR_PARTITIONS];  /* 0: not held */
    int64_t giving[MR_PARTITIONS]; /* the epoch of one that is to be given back; else 0 */
} mr_holding;

typedef struct mr_lease_news {
    bool replaced;        /* another process has this name, and with it the work */
    uint32_t lost, taken; /* partitions; those taken have new epochs in the holding */
    uint32_t surplus;     /* beyond its share, while others live: to be handed over */
    uint32_t brokers;     /* that live and serve */
    uint32_t others;      /* that live beside this one, also if they drain */
    int64_t expires_ms;   /* until the first lease of another ends, 0: one has; -1: there is none */
} mr_lease_news;

/* Makes the name this process's; an older one of that name is out of business. */
mr_status mr_lease_register(mr_pg *pg, const mr_holding *holding, mr_error *err) MR_MUST_CHECK;
/* One round. When another process has taken the name, `out` says so beside E_CONFLICT. Whatever fails leaves `holding` as
 * it was. */
mr_status mr_lease_round(mr_pg *pg, mr_holding *holding, mr_lease_news *out, mr_error *err) MR_MUST_CHECK;
/* A block of 2^32 attempt numbers that nobody ever had. */
mr_status mr_lease_draw_attempts(mr_pg *pg, uint64_t *first_attempt, mr_error *err) MR_MUST_CHECK;
/* Tells every broker that listens, when the transaction commits. */
mr_status mr_lease_notify(mr_pg *pg, mr_error *err, const char *fmt, ...) MR_MUST_CHECK MR_PRINTF(3, 4);

#endif
