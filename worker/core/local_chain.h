/* local_chain.h: the steps of a pipeline run one after another in this process, each given what those before it left: the
 * same bytes as a run of the broker. What earlier runs left is not at hand here. */
#ifndef MR_WORKER_CORE_LOCAL_CHAIN_H
#define MR_WORKER_CORE_LOCAL_CHAIN_H

#include "common/pipeline.h"
#include "worker/core/local.h"

typedef struct mr_local_step {
    const mr_pipeline_step *step;
    const mr_component *component;
    void *config;
    mr_given given[MR_GIVENS];
    uint32_t givens;
    const mr_component *reducer;
    mr_artifact model;
    bool applies;  /* `model` is applied */
    bool done;     /* `results` are there */
    bool left_out; /* set by the caller: the rows lack a column for it, and what needs it does without */
    mr_local_results results;
} mr_local_step;

/* `steps` has room for each of the pipeline's; free them with mr_local_chain_free, always. Errors begin with file and line:
 * E_NOT_FOUND no such component; E_USAGE, E_INVALID options; E_INVALID an edge to an earlier run. */
mr_status mr_local_chain_open(const mr_pipeline *p, mr_local_step *steps, mr_error *err) MR_MUST_CHECK;
/* Takes what step i is given; E_INVALID when a step that it needs left nothing, or not that. */
mr_status mr_local_chain_take(const mr_pipeline *p, mr_local_step *steps, uint32_t i, mr_error *err) MR_MUST_CHECK;
/* The columns that the step's rows must have at least, and those that it can use. */
uint32_t mr_local_chain_columns(const mr_local_step *s);
mr_status mr_local_chain_run(mr_local_step *s, const mr_batch *rows, uint64_t seed, uint32_t batch_rows,
                             mr_error *err) MR_MUST_CHECK;
void mr_local_chain_free(mr_local_step *steps, uint32_t count);

#endif
