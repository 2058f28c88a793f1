#include "worker/core/reduce.h"

#include "common/pack.h"
#include "worker/core/registry.h"

#include <stdio.h>
#include <string.h>

enum { NAME = 32, WIDTH_MAX = 65536 };

static const char field[] = "scores";

static mr_status no_scores(const mr_call *call, mr_error *err) {
    return mr_fail(err, MR_E_INVALID, "%s, applied to the rows, gives no matrix '%s' with a row for each",
                   call->reducer->name, field);
}

/* The matrix: rows x *cols values, each float64. */
static mr_status read_scores(const mr_call *call, mr_span result, mr_span *data, uint64_t *cols, mr_error *err) {
    mr_unpack map, value, member;
    uint64_t rows;
    mr_unpack_init(&map, result);
    if (mr_unpack_find(&map, field, &value) != MR_OK || mr_unpack_find(&value, "rows", &member) != MR_OK ||
        mr_unpack_u64(&member, UINT32_MAX, &rows, NULL) != MR_OK || mr_unpack_find(&value, "cols", &member) != MR_OK ||
        mr_unpack_u64(&member, WIDTH_MAX, cols, NULL) != MR_OK || mr_unpack_find(&value, "data", &member) != MR_OK ||
        mr_unpack_bin(&member, SIZE_MAX, data, NULL) != MR_OK)
        return no_scores(call, err);
    return rows == call->batch->rows && *cols && data->len == rows * *cols * sizeof(double) ? MR_OK : no_scores(call, err);
}

static mr_status name_columns(uint32_t width, mr_arena *arena, const char ***out, mr_error *err) {
    const char **names = mr_arena_alloc(arena, width, sizeof *names);
    for (uint32_t j = 0; names && j < width; j++) {
        char text[NAME];
        int n = snprintf(text, sizeof text, "%s_%u", field, j + 1);
        names[j] = mr_arena_copy(arena, text, (size_t)n);
        if (!names[j]) names = NULL;
    }
    *out = names;
    return names ? MR_OK : mr_fail(err, MR_E_MEMORY, "no memory for %u columns", width);
}

static mr_status replace_features(const mr_call *call, mr_span result, mr_arena *arena, mr_batch *out, mr_error *err) {
    mr_span data;
    uint64_t cols;
    const char **names;
    MR_TRY(read_scores(call, result, &data, &cols, err));
    MR_TRY(name_columns((uint32_t)cols, arena, &names, err));
    double *features = mr_arena_alloc(arena, call->batch->rows * cols + 1, sizeof *features);
    if (!features) return mr_fail(err, MR_E_MEMORY, "no memory for the features of %u rows", call->batch->rows);
    memcpy(features, data.data, data.len);
    *out = *call->batch;
    out->features = features;
    out->feature_names = names;
    out->width = (uint32_t)cols;
    return MR_OK;
}

static mr_status apply_reducer(const mr_call *call, mr_outcome *out, mr_error *err) {
    const mr_given *from = mr_given_find(call->given, call->given_count, MR_USE_FEATURES, NULL);
    if (!from) return mr_fail(err, MR_E_INVALID, "nothing was given to make the features from");
    mr_artifact model = {from->artifact, from->bytes};
    void *config = mr_config_new(call->reducer, call->mem);
    if (!config) return mr_fail(err, MR_E_MEMORY, "no memory for the options of %s", call->reducer->name);
    mr_call first = {.component = call->reducer,
                     .config = config,
                     .mem = call->mem,
                     .seed = call->seed,
                     .level = call->level,
                     .index = call->index,
                     .last = true,
                     .batch = call->batch,
                     .model = &model,
                     .watch = {.stop = call->watch.stop}};
    mr_status status = mr_run_call(&first, out);
    mr_config_free(call->reducer, call->mem, &config);
    *err = out->err;
    return status;
}

mr_status mr_run_reduced(const mr_call *call, mr_outcome *out) {
    mr_outcome scores = {0};
    mr_batch batch;
    mr_error err = {0};
    mr_arena *arena = mr_arena_new(call->mem, SIZE_MAX / 2);
    mr_status status = arena ? apply_reducer(call, &scores, &err) : mr_fail(&err, MR_E_MEMORY, "no memory to start");
    if (status == MR_OK) status = replace_features(call, mr_buf_span(&scores.bytes), arena, &batch, &err);
    if (status == MR_OK) {
        mr_call then = *call;
        then.reducer = NULL;
        then.batch = &batch;
        status = mr_run_call(&then, out);
        out->compute_us += scores.compute_us;
        if (scores.peak_bytes > out->peak_bytes) out->peak_bytes = scores.peak_bytes;
    } else {
        *out = (mr_outcome){.status = status, .err = err};
        mr_buf_init(&out->bytes, call->mem, 0);
    }
    mr_outcome_free(&scores);
    mr_arena_free(&arena);
    return status;
}
