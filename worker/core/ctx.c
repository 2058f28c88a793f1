#include "worker/core/ctx.h"

#include "common/clock.h"

#include <stdarg.h>
#include <stdio.h>

enum { TICKS_PER_LOOK = 16 }; /* a look at the clock costs some 25 ns */
static const double progress_step = 0.01;

void *mr_ctx_alloc(mr_ctx *ctx, size_t n, size_t size) { return mr_arena_alloc(ctx->arena, n, size); }
mr_arena *mr_ctx_arena(mr_ctx *ctx) { return ctx->arena; }
mr_rng *mr_ctx_rng(mr_ctx *ctx) { return &ctx->rng; }
uint64_t mr_ctx_seed(const mr_ctx *ctx) { return ctx->seed; }

const mr_given *mr_ctx_given(const mr_ctx *ctx, const char *component) {
    return mr_given_find(ctx->given, ctx->given_count, MR_USE_INPUT, component);
}

mr_status mr_tick(mr_ctx *ctx) {
    if (ctx->stopped != MR_OK) return ctx->stopped;
    if (ctx->watch.stop)
        ctx->stopped = (mr_status)atomic_load_explicit(ctx->watch.stop, memory_order_relaxed);
    if (ctx->stopped == MR_OK && ctx->ticks++ % TICKS_PER_LOOK == 0 &&
        mr_clock_monotonic_ns() >= ctx->deadline_ns)
        ctx->stopped = MR_E_DEADLINE;
    return ctx->stopped;
}

void mr_ctx_progress(mr_ctx *ctx, double done) {
    if (!ctx->watch.progress || !(done >= ctx->progress + progress_step)) return;
    ctx->progress = done;
    ctx->watch.progress(ctx->watch.self, done > 1 ? 1 : done);
}

mr_status mr_refuse(mr_ctx *ctx, mr_status status, const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    ctx->refusal.status = status;
    vsnprintf(ctx->refusal.text, sizeof ctx->refusal.text, fmt, args);
    va_end(args);
    return status;
}

void mr_ctx_log(mr_ctx *ctx, const char *event, const char *fmt, ...) {
    if (!ctx->watch.log) return;
    char text[512];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    ctx->watch.log(ctx->watch.self, event, text);
}
