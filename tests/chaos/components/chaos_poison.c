/* chaos_poison: harms its process in the batch that holds a row of the version, and does nothing in the others. For the
 * chaos run only. */
#include "worker/component.h"

#include <stdlib.h>

typedef struct config {
    int64_t harm, row;
} config;

enum { HARM_CRASH, HARM_HOG, HARM_SPIN };

static mr_status hog(mr_ctx *ctx) {
    enum { PIECE = 1024 * 1024 };
    while (mr_ctx_alloc(ctx, 1, PIECE)) MR_TRY(mr_tick(ctx));
    return MR_E_MEMORY;
}

static mr_status spin(void) {
    for (volatile uint64_t turns = 0;; turns++) {
    }
    return MR_OK;
}

static mr_status process(mr_ctx *ctx, const void *conf, const mr_batch *batch, mr_out *out) {
    const config *c = conf;
    uint64_t row = (uint64_t)c->row;
    if (row >= batch->first && row - batch->first < batch->rows) {
        mr_ctx_log(ctx, "poison", "row %llu", (unsigned long long)row);
        if (c->harm == HARM_CRASH) abort();
        MR_TRY(c->harm == HARM_HOG ? hog(ctx) : spin());
    }
    mr_out_integer(out, "rows", (int64_t)batch->rows);
    return MR_OK;
}

static const char *const harms[] = {"crash", "hog", "spin", NULL};
static const mr_option options[] = {
    {.name = "harm", .type = MR_OPT_CHOICE, .offset = offsetof(config, harm), .def = "crash", .choices = harms,
     .help = "end by a signal, take memory without end, or loop without end"},
    {.name = "row", .type = MR_OPT_INT, .offset = offsetof(config, row), .def = "0", .min = 0, .max = 1000000000,
     .unit = "rows", .help = "the row of the version whose batch does it"},
    MR_OPTION_END,
};

static const mr_field outputs[] = {
    {"rows", MR_FIELD_INTEGER, "rows", "rows of the batch", MR_FOLD_SUM},
    {0},
};

const mr_component mr_component_chaos_poison = {
    .name = "chaos_poison",
    .summary = "harms its process in one batch",
    .kind = MR_VALIDATOR,
    .shape = MR_MAP,
    .tier = 4,
    .version = 1,
    .columns = MR_COL_PROMPT,
    .options = options,
    .config_size = sizeof(config),
    .outputs = outputs,
    .deadline_ms = 1000,
    .memory_mb = 64,
    .process = process,
};
