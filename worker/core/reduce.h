/* reduce.h: a call on rows whose features another component's stored model has remade: its scores, say, in place of the
 * columns that they are made of. Exact and repeatable, as apply is. */
#ifndef MR_WORKER_CORE_REDUCE_H
#define MR_WORKER_CORE_REDUCE_H

#include "worker/core/runner.h"

/* As mr_run_call, for a call with `reducer` and a batch. The model is the artifact in `given` that is used for features;
 * the features become the matrix `scores` that applying it gives, named scores_1, scores_2, ... */
mr_status mr_run_reduced(const mr_call *call, mr_outcome *out);

#endif
