/* planner.c: the arithmetic that turns rows into batches and merges. Nothing is stored for each: a batch is
 * its number. */
#include "broker/core/core.h"

static const uint64_t COUNT_MAX = UINT64_C(1) << 31;

static uint64_t ceil_div(uint64_t a, uint64_t b) { return a / b + (a % b != 0); }

static mr_status check(uint64_t rows, uint32_t batch_rows, const mr_step_plan *step, mr_error *err) {
    const char *name = step->component;
    if (rows == 0) return mr_fail(err, MR_E_INVALID, "%s: the version has no rows; ingest some first", name);
    if (step->shape == MR_STEP_WHOLE) {
        if (rows <= UINT32_MAX) return MR_OK;
        return mr_fail(err, MR_E_LIMIT,
                       "%s takes the whole version at once, and %llu rows are too many for that", name,
                       (unsigned long long)rows);
    }
    if (batch_rows == 0) return mr_fail(err, MR_E_INVALID, "%s: a batch needs at least one row", name);
    if (ceil_div(rows, batch_rows) <= COUNT_MAX) return MR_OK;
    return mr_fail(err, MR_E_LIMIT,
                   "%s: %llu rows in batches of %u are more than 2^31 batches; use a larger batch size", name,
                   (unsigned long long)rows, batch_rows);
}

mr_status mr_plan_step(uint64_t rows, uint32_t batch_rows, mr_step_plan *step, mr_error *err) {
    MR_TRY(check(rows, batch_rows, step, err));
    for (uint32_t k = 0; k < MR_LEVELS_MAX; k++) step->counts[k] = 0;
    step->batch_rows = step->shape == MR_STEP_WHOLE ? (uint32_t)rows : batch_rows;
    step->counts[0] = (uint32_t)ceil_div(rows, step->batch_rows);
    step->levels = 1;
    if (step->shape != MR_STEP_MERGE) return MR_OK;
    do {
        MR_ASSERT(step->levels < MR_LEVELS_MAX);
        step->counts[step->levels] = (uint32_t)ceil_div(step->counts[step->levels - 1], MR_FAN_IN);
    } while (step->counts[step->levels++] > 1);
    return MR_OK;
}

mr_status mr_plan_stream(uint64_t tasks, mr_step_plan *step, mr_error *err) {
    if (step->shape != MR_STEP_MAP)
        return mr_fail(err, MR_E_INVALID,
                       "%s merges what it finds, and a stream has no end to merge at: run it over a data set",
                       step->component);
    if (tasks > COUNT_MAX)
        return mr_fail(err, MR_E_LIMIT, "a stream has at most 2^31 tasks: close it and open another");
    for (uint32_t k = 0; k < MR_LEVELS_MAX; k++) step->counts[k] = 0;
    step->batch_rows = 1;
    step->counts[0] = (uint32_t)tasks;
    step->levels = 1;
    return MR_OK;
}

void mr_plan_range(const mr_step_plan *step, uint64_t rows, uint32_t index, uint64_t *first,
                   uint32_t *count) {
    MR_ASSERT(index < step->counts[0]);
    *first = (uint64_t)index * step->batch_rows;
    uint64_t left = rows - *first;
    *count = left < step->batch_rows ? (uint32_t)left : step->batch_rows;
}

void mr_plan_children(const mr_step_plan *step, uint32_t level, uint32_t index, uint32_t *first,
                      uint32_t *count) {
    MR_ASSERT(level > 0 && level < step->levels && index < step->counts[level]);
    *first = index * MR_FAN_IN;
    uint32_t left = step->counts[level - 1] - *first;
    *count = left < MR_FAN_IN ? left : MR_FAN_IN;
}
