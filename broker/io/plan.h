/* plan.h: the desk job that makes a run: finds the data set, makes or finds its version, and commits run and steps. */
#ifndef MR_BROKER_IO_PLAN_H
#define MR_BROKER_IO_PLAN_H

#include "broker/io/chain.h"
#include "broker/io/desk.h"
#include "broker/io/lease.h"
#include "broker/io/run_info.h"
#include "common/hash.h"

/* A component of the run to be made; its options were checked already. */
typedef struct mr_plan_step_request {
    char component[MR_NAME_MAX + 1];
    uint32_t version, shape, columns, columns_wanted, batch_rows, deadline_ms;
    mr_span options; /* JSON object, in the job's arena */
    mr_chain_request chain;
} mr_plan_step_request;

typedef struct mr_plan_job {
    mr_job head;
    mr_arena *arena;
    const mr_lease *lease; /* the broker's; outlives the job */
    uint32_t peer, call;   /* whom to answer */
    char dataset[MR_NAME_MAX + 1], name[MR_NAME_MAX + 1], client[MR_NAME_MAX + 1];
    uint64_t version;      /* 0: the newest state of the data set */
    bool stream;           /* no data set: tasks will be submitted */
    uint32_t batch_size;
    uint64_t seed;
    uint32_t priority;     /* 0: MR_PRIORITY */
    char key[201];         /* "": none; else the same submission under it gives the same run */
    mr_hash request;       /* of the submission */
    int64_t schedule, due_ns, next_ns; /* schedule 0: none; else this run is that firing; next_ns INT64_MAX: the last */
    struct mr_due_job *due;            /* the loop's: the firing */
    mr_bindings bindings;
    uint32_t steps;
    mr_plan_step_request step[MR_STEPS_MAX];
    mr_run_info *info;     /* out, given: the committed run */
    bool existed;          /* out: it was submitted before under that key */
    bool check;            /* plan it, and leave nothing behind */
    char left_out[256];    /* out: the optional steps that the data set has no columns for; "": none */
} mr_plan_job;

/* Errors: E_NOT_FOUND no such data set or version; E_INVALID no rows, a column that a component needs is not there, a role
 * names no column; E_UNAVAILABLE this broker has no share of the work, or lost what it had; E_EXISTS the key is another submission's, or the schedule's time
 * was fired before. */
void mr_plan_work(mr_desk *desk, mr_job *job);
mr_plan_job *mr_plan_job_new(void); /* NULL without memory */
void mr_plan_job_free(mr_plan_job *job);

#endif
