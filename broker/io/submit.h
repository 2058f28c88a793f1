/* submit.h: the desk that stores what producers submit: packets of tasks, and the ends of streams. What waits is written in
 * one transaction (group commit, as the ledger does it), in the order in which it was given, so that what is stored of a
 * stream is always its beginning. Every transaction is fenced by the broker's leases. A commit job (ledger.h) without artifacts,
 * of a task that was given before it, is written behind its task; for one that is on its way the transaction of a single task
 * stays open a moment. */
#ifndef MR_BROKER_IO_SUBMIT_H
#define MR_BROKER_IO_SUBMIT_H

#include "broker/io/bytes.h"
#include "broker/io/desk.h"
#include "broker/io/lease.h"
#include "common/packet.h"

typedef enum mr_submit_kind {
    MR_SUBMIT_PACKET,
    MR_SUBMIT_AGAIN, /* a packet that came before: where its tasks are is asked for */
    MR_SUBMIT_CLOSE
} mr_submit_kind;

typedef struct mr_submit_job {
    mr_job head;
    int64_t epoch;           /* of its run's partition */
    mr_submit_kind kind;
    uint32_t peer, call;     /* whom to answer */
    bool wait;               /* the answer comes with the results */
    char client[65];
    uint64_t run, producer, packet;
    uint64_t first;          /* the number of its first task; out for AGAIN */
    uint32_t tasks;          /* out for AGAIN */
    mr_bytes *frame;         /* the packet's bytes; NULL but for PACKET */
    mr_packet view;          /* of the frame */
} mr_submit_job;

/* NULL without memory. */
mr_submit_job *mr_submit_job_new(mr_submit_kind kind, uint64_t run, const char *client);
void mr_submit_job_free(mr_submit_job *job);

/* Jobs come back stored, or with E_UNAVAILABLE when the desk was stopped before the database took them: it may have them all
 * the same; and so does what waits for a partition that is not this broker's any more. AGAIN: E_NOT_FOUND. `lease` outlives
 * the desk. */
mr_status mr_submit_start(mr_desk *desk, mr_lease *lease, mr_error *err) MR_MUST_CHECK;

#endif
