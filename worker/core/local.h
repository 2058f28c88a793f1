/* local.h: a component run over rows in this process: the same batches and the same merge tree as a run of
 * the broker, so the same bytes. For `try`, for tests, and to compute a stored result again. */
#ifndef MR_WORKER_CORE_LOCAL_H
#define MR_WORKER_CORE_LOCAL_H

#include "worker/core/runner.h"

/* Partials that one merge takes: node i of level k + 1 merges the nodes i * 32 .. i * 32 + 31 of level k. */
enum { MR_MERGE_FAN_IN = 32 };

typedef struct mr_local {
    const mr_component *component;
    const void *config;
    const mr_mem *mem;
    uint64_t seed;
    uint32_t batch_rows;      /* the run's batch size, at least 1; a component may ask for larger ones */
    uint32_t deadline_ms;     /* of each call; 0: the component's own */
    const mr_artifact *model; /* set: apply it to each batch instead */
    const mr_given *given;    /* by other steps, and `reducer`: as in mr_call */
    uint32_t given_count;
    const mr_component *reducer;
    mr_watch watch;
} mr_local;

/* One result; `first` and `rows` say which rows it is about. */
typedef struct mr_local_result {
    uint64_t first;
    uint32_t rows;
    mr_outcome outcome;
} mr_local_result;

/* What a run gives: one result, or with MR_MAP and apply one for each batch, in the order of the rows. */
typedef struct mr_local_results {
    const mr_mem *mem;
    mr_local_result *items;
    size_t count, cap;
    uint64_t calls, compute_us, cpu_us, peak_bytes; /* of all calls: their number, the sums, the largest */
} mr_local_results;

/* Runs it over `rows`, which may be none. Stops at the first call that fails and returns its status and
 * sentence. Free `out` always. */
mr_status mr_run_local(const mr_local *run, const mr_batch *rows, mr_local_results *out,
                       mr_error *err) MR_MUST_CHECK;
void mr_local_results_free(mr_local_results *results);

/* Rows at .. at + n - 1 of a batch, borrowed. */
mr_batch mr_batch_slice(const mr_batch *batch, uint32_t at, uint32_t n);

#endif
