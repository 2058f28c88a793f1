/* Any bytes as a pipeline file. What is read has its steps in an order that fits the edges, and can be put into a call. */
#include "broker/cli/pipeline.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_edges(const mr_pipeline *p, uint32_t step) {
    const mr_pipeline_step *s = &p->step[step];
    MR_ASSERT(s->id && s->component && s->edges <= MR_GIVENS && s->options <= MR_PIPELINE_OPTIONS);
    for (uint32_t k = 0; k < s->edges; k++) {
        const mr_pipeline_edge *e = &s->edge[k];
        MR_ASSERT(!!e->step + !!e->newest + !!e->run == 1);
        MR_ASSERT(!e->step || e->place < step);
        MR_ASSERT(e->use < MR_USES);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const mr_option_list none;
    mr_error err;
    mr_pipeline p;
    mr_arena *arena = mr_arena_new(NULL, 1 << 24);
    if (mr_pipeline_parse((mr_span){data, size}, "fuzz", arena, &p, &err) == MR_OK) {
        mr_buf b;
        MR_ASSERT(p.steps > 0 && p.steps <= MR_PIPELINE_STEPS);
        for (uint32_t i = 0; i < p.steps; i++) check_edges(&p, i);
        mr_buf_init(&b, NULL, 1 << 22);
        mr_pipeline_put_steps(&p, &none, &b);
        mr_error bad;
        size_t length;
        if (mr_buf_status(&b) == MR_OK) MR_ASSERT(mr_pack_scan(mr_buf_span(&b), 8, 1 << 20, &length, &bad) == MR_OK && length == b.len);
        mr_buf_free(&b);
    }
    mr_arena_free(&arena);
    return 0;
}
