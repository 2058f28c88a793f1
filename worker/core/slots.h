/* slots.h: the compute processes of a worker, one a slot, kept alive between jobs. A crash, a hang or a
 * memory overrun ends that process and costs its one job; the slot gets a new process. The pool never blocks
 * and belongs to one thread. */
#ifndef MR_WORKER_CORE_SLOTS_H
#define MR_WORKER_CORE_SLOTS_H

#include "common/log.h"
#include "worker/core/job.h"

typedef struct mr_slots mr_slots;

typedef struct mr_slots_config {
    const char *program; /* what a slot executes, as `PROGRAM compute LEVEL json|text`; it calls
                          * mr_compute_main. Borrowed */
    uint32_t count;      /* 1 .. MR_SLOTS_MAX */
    uint32_t grace_ms;   /* how long past its deadline or a stop a job may take to end by itself */
    uint32_t late_ms;    /* when a job has run for so long, those behind it in its slot come back */
    const mr_log *log;   /* borrowed; NULL for none */
} mr_slots_config;

enum { MR_SLOTS_MAX = 256 };

/* Starts the processes. Errors: E_FULL no descriptors or processes left, E_IO, E_MEMORY. */
mr_status mr_slots_new(const mr_slots_config *config, mr_slots **out, mr_error *err) MR_MUST_CHECK;
/* Kills whatever still runs, and waits for all processes. */
void mr_slots_free(mr_slots **slots);

/* Readable when a slot has something to tell. */
int mr_slots_fd(const mr_slots *slots);
uint32_t mr_slots_idle(const mr_slots *slots);
uint32_t mr_slots_busy(const mr_slots *slots);

/* Gives a job to a slot that is idle or soon will be; the bytes are copied. A process that sleeps begins with it after
 * mr_slots_wake or mr_slots_next. Errors: E_FULL no slot is idle or no descriptor is left,
 * E_MEMORY, E_IO. */
mr_status mr_slots_start(mr_slots *slots, uint64_t now_ns, const mr_slot_job *job, mr_span options,
                         mr_span input, mr_error *err) MR_MUST_CHECK;
void mr_slots_wake(mr_slots *slots);
/* The running job with that attempt is to end with `why`; by itself, or after the grace by being killed. */
void mr_slots_stop(mr_slots *slots, uint64_t now_ns, uint64_t attempt, mr_status why);

/* The next job that has ended: `done` and its bytes appended to `body` (the result, then the artifacts). One that is
 * `unbegun` (E_FULL) comes back: it stood behind one that takes long, for compute_us up to now, and may go elsewhere.
 * Enforces deadlines and brings dead slots back, so it is called at least every 100 ms. False when there is
 * none. */
bool mr_slots_next(mr_slots *slots, uint64_t now_ns, mr_slot_done *done, mr_buf *body);

/* Calls `tell` for each running job. */
void mr_slots_progress(const mr_slots *slots, void (*tell)(void *self, uint64_t attempt, double done),
                       void *self);

#endif
