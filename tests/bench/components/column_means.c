/* column_means: the mean of each feature column of a batch: hardly any arithmetic, so that what a task costs is what the
 * system costs. For tests/bench only. */
#include "worker/component.h"
#include "worker/kit/columns.h"

enum { WIDTH_MAX = 512 };

static mr_status process(mr_ctx *ctx, const void *config, const mr_batch *batch, mr_out *out) {
    (void)config;
    mr_error err;
    double mean[WIDTH_MAX] = {0};
    if (batch->rows == 0) return mr_refuse(ctx, MR_E_INVALID, "a batch without rows has no means");
    if (mr_check_features(batch, WIDTH_MAX, &err) != MR_OK) return mr_refuse(ctx, err.status, "%s", err.text);
    for (uint32_t i = 0; i < batch->rows; i++)
        for (uint32_t j = 0; j < batch->width; j++) mean[j] += batch->features[(size_t)i * batch->width + j];
    for (uint32_t j = 0; j < batch->width; j++) mean[j] /= batch->rows;
    mr_out_numbers(out, "means", mean, batch->width);
    return MR_OK;
}

static const mr_field outputs[] = {
    {"means", MR_FIELD_NUMBERS, NULL, "mean of each feature column, summed in the order of the rows", MR_FOLD_NONE},
    {0},
};

const mr_component mr_component_column_means = {
    .name = "column_means",
    .summary = "the mean of each feature column of a batch",
    .kind = MR_ANALYZER,
    .shape = MR_MAP,
    .tier = 4,
    .version = 1,
    .columns = MR_COL_FEATURES,
    .outputs = outputs,
    .deadline_ms = 5000,
    .memory_mb = 64,
    .process = process,
};
