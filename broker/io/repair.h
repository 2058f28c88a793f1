/* repair.h: stored bytes that do not match their hash. Whoever finds them so has their rows moved to millrace.damaged, while
 * the run goes on in a fenced transaction; what has no result is pending, so the batch is computed again like any other. */
#ifndef MR_BROKER_IO_REPAIR_H
#define MR_BROKER_IO_REPAIR_H

#include "broker/io/delivery.h"
#include "broker/io/ledger.h"

/* Partials that the loader found damaged while their run goes on; a job of the ledger's desk. */
typedef struct mr_repair_job {
    mr_job head;
    int64_t epoch;
    mr_work_key key;   /* of the merge that needs them */
    uint32_t first;    /* its first child */
    uint32_t children; /* which of them, the first in bit 0 */
    uint32_t work;     /* the core's, that waits for its input */
} mr_repair_job;

void mr_repair_work(mr_desk *desk, mr_job *job);

/* `repair`: reads every result and artifact of a run that has ended, moves aside what is damaged and reopens the run; in a
 * transaction that is open. E_NOT_FOUND no such run, E_CONFLICT it goes on or was cancelled. */
mr_status mr_repair_run(mr_pg *pg, mr_pg_params *p, mr_delivery_job *job, mr_error *err) MR_MUST_CHECK;

#endif
