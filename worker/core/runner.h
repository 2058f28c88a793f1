/* runner.h: one call of a component: process, merge or apply, under its limits, with its outputs checked. */
#ifndef MR_WORKER_CORE_RUNNER_H
#define MR_WORKER_CORE_RUNNER_H

#include "worker/core/ctx.h"
#include "worker/core/out.h"

/* What to call. Exactly one of batch and partials is set; `model` makes it an apply. All borrowed. */
typedef struct mr_call {
    const mr_component *component;
    const void *config;    /* of the component, see registry.h */
    const mr_mem *mem;     /* NULL: the heap */
    mr_arena *arena;       /* of the component's memory, with its ceiling; reset for the call. NULL: one is made */
    uint64_t seed;         /* the run's seed for this component */
    uint32_t level, index; /* the place in the run's tree; part of the randomness */
    bool last;             /* the outcome is the result, not a partial */
    uint32_t deadline_ms;  /* 0: the component's own */
    const mr_batch *batch;
    const mr_span *partials;
    uint32_t partial_count;
    const mr_artifact *model;
    const mr_given *given; /* by other steps; what is to be read reaches `process`, and of a merge component the last merge */
    uint32_t given_count;
    const mr_component *reducer; /* set: `given` has features for the batch, which this component made */
    bool cpu_time;         /* measure processor time too, which takes two system calls */
    mr_watch watch;
} mr_call;

/* What came of it. `bytes` and `artifacts` are the owner's, empty unless status is MR_OK. */
typedef struct mr_outcome {
    mr_status status;
    mr_error err;
    bool partial;
    mr_buf bytes; /* a partial, or the result: a msgpack map of the declared fields and "findings" */
    mr_given_artifact artifacts[MR_ARTIFACT_COUNT];
    size_t artifact_count;
    uint64_t compute_us, cpu_us, peak_bytes;
} mr_outcome;

/* Runs the call in this thread and fills `out` (free it with mr_outcome_free, always). Returns out->status:
 * E_INVALID the rows lack a column, or the component refused them; E_MEMORY over memory_mb; E_DEADLINE,
 * E_CANCELLED; E_INTERNAL the component broke its declaration. out->err has the sentence. */
mr_status mr_run_call(const mr_call *call, mr_outcome *out);
void mr_outcome_free(mr_outcome *out);

/* E_INVALID, with the sentence, when `batch` lacks a column that the component must have. */
mr_status mr_check_columns(const mr_component *component, const mr_batch *batch, mr_error *err) MR_MUST_CHECK;

#endif
