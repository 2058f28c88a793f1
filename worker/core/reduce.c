#include "worker/core/reduce.h"

#include "common/pack.h"
#include "worker/core/registry.h"

#include <stdio.h>
#include <string.h>

enum { NAME = 96, WIDTH_MAX = 65536 };

/* The matrix of a result's field; *there is false when the field holds none. */
static mr_status read_matrix(mr_span result, const char *field, mr_span *data, uint64_t *rows, uint64_t *cols, bool *there,
                             mr_error *err) {
    mr_unpack map, value, member;
    uint32_t count;
    mr_unpack_init(&map, result);
    *there = mr_unpack_find(&map, field, &value) == MR_OK && value.at < value.end && *value.at != 0xc0;
    if (!*there) return MR_OK;
    member = value;
    MR_TRY(mr_unpack_map(&member, 8, &count, err));
    if (mr_unpack_find(&value, "rows", &member) != MR_OK) return mr_fail(err, MR_E_CORRUPT, "the matrix '%s' has no rows", field);
    MR_TRY(mr_unpack_u64(&member, UINT32_MAX, rows, err));
    if (mr_unpack_find(&value, "cols", &member) != MR_OK) return mr_fail(err, MR_E_CORRUPT, "the matrix '%s' has no cols", field);
    MR_TRY(mr_unpack_u64(&member, WIDTH_MAX, cols, err));
    if (mr_unpack_find(&value, "data", &member) != MR_OK) return mr_fail(err, MR_E_CORRUPT, "the matrix '%s' has no data", field);
    MR_TRY(mr_unpack_bin(&member, SIZE_MAX, data, err));
    if (data->len == *rows * *cols * sizeof(double)) return MR_OK;
    return mr_fail(err, MR_E_CORRUPT, "the matrix '%s' has not the size that it says", field);
}

static mr_status name_columns(const char *field, uint32_t width, mr_arena *arena, const char ***out, mr_error *err) {
    const char **names = mr_arena_alloc(arena, width, sizeof *names);
    for (uint32_t j = 0; names && j < width; j++) {
        char text[NAME];
        int n = snprintf(text, sizeof text, "%.64s_%u", field, j + 1);
        names[j] = mr_arena_copy(arena, text, (size_t)n + 1);
        if (!names[j]) names = NULL;
    }
    *out = names;
    return names ? MR_OK : mr_fail(err, MR_E_MEMORY, "no memory for %u columns", width);
}

static mr_status replace_features(const mr_call *call, mr_span result, mr_arena *arena, mr_batch *out, mr_error *err) {
    for (const mr_field *f = call->reducer->outputs; f->name; f++) {
        mr_span data;
        uint64_t rows, cols;
        bool there;
        if (f->type != MR_FIELD_MATRIX) continue;
        MR_TRY(read_matrix(result, f->name, &data, &rows, &cols, &there, err));
        if (!there || rows != call->batch->rows || cols == 0) continue;
        const char **names;
        MR_TRY(name_columns(f->name, (uint32_t)cols, arena, &names, err));
        double *features = mr_arena_alloc(arena, rows * cols + 1, sizeof *features);
        if (!features) return mr_fail(err, MR_E_MEMORY, "no memory for the features of %u rows", call->batch->rows);
        memcpy(features, data.data, data.len);
        *out = *call->batch;
        out->features = features;
        out->feature_names = names;
        out->width = (uint32_t)cols;
        return MR_OK;
    }
    return mr_fail(err, MR_E_INVALID, "%s, applied to the rows, gives no matrix with a row for each", call->reducer->name);
}

static mr_status apply_reducer(const mr_call *call, mr_outcome *out, mr_error *err) {
    const mr_given *from = mr_given_find(call->given, call->given_count, MR_USE_FEATURES, NULL);
    if (!from) return mr_fail(err, MR_E_INVALID, "nothing was given to make the features from");
    mr_artifact model = {from->artifact, from->bytes};
    void *config = mr_config_new(call->reducer, call->mem);
    if (!config) return mr_fail(err, MR_E_MEMORY, "no memory for the options of %s", call->reducer->name);
    mr_call first = {.component = call->reducer, .config = config, .mem = call->mem, .seed = call->seed, .level = call->level,
                     .index = call->index, .last = true, .batch = call->batch, .model = &model,
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
