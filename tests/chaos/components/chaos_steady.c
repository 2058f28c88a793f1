/* chaos_steady: takes a fixed time for each batch and hardly any processor, so that the rate of a fleet is known and a
 * fault shows in it; and gives a checksum in which every row of every batch counts once. For the chaos run only. */
#include "common/hash.h"
#include "worker/component.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef struct config {
    int64_t ms;
} config;

/* Rows, the sum of the rows' hashes modulo 2^64, and the hash of the parts in their order. */
typedef struct sums {
    uint64_t rows, sum;
    mr_hash order;
} sums;

static mr_status rest(mr_ctx *ctx, int64_t ms) {
    struct timespec piece = {.tv_nsec = 5000000};
    for (int64_t left = ms; left > 0; left -= 5) {
        nanosleep(&piece, NULL);
        MR_TRY(mr_tick(ctx));
    }
    return MR_OK;
}

static uint64_t first_bytes(const mr_hash *hash) {
    uint64_t v;
    memcpy(&v, mr_hash_span(hash).data, sizeof v);
    return v;
}

static mr_status process(mr_ctx *ctx, const void *conf, const mr_batch *batch, mr_out *out) {
    const config *c = conf;
    sums s = {.rows = batch->rows};
    for (uint32_t i = 0; i < batch->rows; i++) {
        mr_hash hash = mr_hash_of(batch->text[MR_TEXT_PROMPT][i]);
        uint64_t pair[2] = {first_bytes(&hash), batch->first + i};
        hash = mr_hash_of((mr_span){(const uint8_t *)pair, sizeof pair});
        s.sum += first_bytes(&hash);
        s.order = hash;
    }
    MR_TRY(rest(ctx, c->ms));
    mr_out_partial(out, &s, sizeof s);
    return MR_OK;
}

static mr_status merge(mr_ctx *ctx, const void *conf, const mr_partials *partials, mr_out *out) {
    (void)conf;
    sums all = {0};
    for (uint32_t i = 0; i < partials->count; i++) {
        sums s;
        if (partials->items[i].len != sizeof s) return mr_refuse(ctx, MR_E_CORRUPT, "part %u is not of this component", i);
        memcpy(&s, partials->items[i].data, sizeof s);
        struct {
            mr_hash before, part;
        } chain = {all.order, s.order};
        all.rows += s.rows;
        all.sum += s.sum;
        all.order = mr_hash_of((mr_span){(const uint8_t *)&chain, sizeof chain});
    }
    if (!partials->last) {
        mr_out_partial(out, &all, sizeof all);
        return MR_OK;
    }
    mr_out_integer(out, "rows", (int64_t)all.rows);
    mr_out_integer(out, "sum", (int64_t)(all.sum >> 1));
    mr_out_integer(out, "order", (int64_t)(first_bytes(&all.order) >> 1));
    return MR_OK;
}

static const mr_option options[] = {
    {.name = "ms", .type = MR_OPT_INT, .offset = offsetof(config, ms), .def = "40", .min = 0, .max = 10000, .unit = "ms",
     .help = "time that a batch takes"},
    MR_OPTION_END,
};

static const mr_field outputs[] = {
    {"rows", MR_FIELD_INTEGER, "rows", "rows of the version", MR_FOLD_SUM},
    {"sum", MR_FIELD_INTEGER, NULL, "half the sum of the rows' hashes", MR_FOLD_NONE},
    {"order", MR_FIELD_INTEGER, NULL, "half the hash of the parts in their order", MR_FOLD_NONE},
    {0},
};

const mr_component mr_component_chaos_steady = {
    .name = "chaos_steady",
    .summary = "a checksum that takes its time",
    .kind = MR_VALIDATOR,
    .shape = MR_MERGE,
    .tier = 4,
    .version = 1,
    .columns = MR_COL_PROMPT,
    .options = options,
    .config_size = sizeof(config),
    .outputs = outputs,
    .deadline_ms = 20000,
    .memory_mb = 32,
    .process = process,
    .merge = merge,
};
