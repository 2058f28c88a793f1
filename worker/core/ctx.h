/* ctx.h: the inside of mr_ctx: the memory, randomness, limits and ears of one call. */
#ifndef MR_WORKER_CORE_CTX_H
#define MR_WORKER_CORE_CTX_H

#include "worker/component.h"

#include <stdatomic.h>

/* Who watches a call. Everything may be NULL. */
typedef struct mr_watch {
    const _Atomic uint32_t *stop; /* not 0: the mr_status that mr_tick is to return */
    void (*progress)(void *self, double done);
    void (*log)(void *self, const char *event, const char *text);
    void *self;
} mr_watch;

struct mr_ctx {
    const mr_component *component;
    mr_arena *arena;
    mr_rng rng;
    uint64_t seed;
    uint64_t deadline_ns; /* on the monotonic clock */
    uint32_t ticks;
    double progress;   /* what was last told */
    mr_status stopped; /* what mr_tick has returned; it stays */
    mr_error refusal;
    mr_watch watch;
    const mr_given *given; /* to read */
    uint32_t given_count;
};

#endif
