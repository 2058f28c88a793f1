#include "worker/core/runner.h"

#include "common/clock.h"
#include "worker/core/reduce.h"

#include <string.h>

/* ---- columns ---- */

mr_status mr_check_columns(const mr_component *component, const mr_batch *batch, mr_error *err) {
    uint32_t missing = component->columns & ~batch->columns;
    if (!missing) return MR_OK;
    if (missing & MR_COL_FEATURES)
        return mr_fail(err, MR_E_INVALID, "%s needs features, and the rows have no number column",
                       component->name);
    for (const mr_column_row *c = mr_column_rows; c->name; c++)
        if (missing & c->column)
            return mr_fail(err, MR_E_INVALID,
                           "%s needs the column '%s', which the rows do not have; bind one with "
                           "--role %s=COLUMN",
                           component->name, c->name, c->name);
    return mr_fail(err, MR_E_INVALID, "%s needs a column that the rows do not have", component->name);
}

/* Hides what the component did not ask for, so that it sees the same rows here as on a worker. */
static mr_batch visible(const mr_component *component, const mr_batch *batch) {
    mr_batch seen = *batch;
    uint32_t wanted = component->columns | component->columns_wanted;
    seen.columns &= wanted;
    if (!(wanted & MR_COL_FEATURES)) {
        seen.features = NULL;
        seen.feature_names = NULL;
        seen.width = 0;
    }
    for (const mr_column_row *c = mr_column_rows; c->name; c++) {
        if (wanted & c->column) continue;
        if (c->is_text)
            seen.text[c->slot] = NULL;
        else
            seen.number[c->slot] = NULL;
    }
    return seen;
}

/* ---- the call ---- */

static uint64_t name_hash(const char *name) {
    uint64_t h = 0;
    for (; *name; name++) h = mr_mix64(h ^ (uint8_t)*name);
    return h;
}

static mr_status dispatch(const mr_call *call, mr_ctx *ctx, mr_out *out) {
    const mr_component *c = call->component;
    if (call->partials) {
        mr_partials partials = {.count = call->partial_count, .items = call->partials, .last = call->last};
        return c->merge(ctx, call->config, &partials, out);
    }
    mr_batch batch = visible(c, call->batch);
    if (call->model) return c->apply(ctx, call->config, call->model, &batch, out);
    return c->process(ctx, call->config, &batch, out);
}

static bool gives_partial(const mr_call *call) {
    if (call->model) return false;
    if (call->partials) return !call->last;
    return call->component->shape == MR_MERGE;
}

/* The sentence for a status that the component gave without one. */
static mr_status explain(const mr_call *call, const mr_ctx *ctx, mr_status status, uint32_t deadline_ms,
                         mr_error *err) {
    const char *name = call->component->name;
    if (ctx->refusal.status == status) {
        *err = ctx->refusal;
        return status;
    }
    if (status == MR_E_MEMORY)
        return mr_fail(err, status, "%s needs more than its %u MiB; give it fewer rows", name,
                       call->component->memory_mb);
    if (status == MR_E_DEADLINE) return mr_fail(err, status, "%s took longer than %u ms", name, deadline_ms);
    return mr_fail(err, status, "%s: %s", name, mr_status_of((int)status)->text);
}

/* A merge component reads what it was given once, where all its rows come together. */
static bool may_read(const mr_call *call) {
    return call->component->shape != MR_MERGE || call->model || (call->partials && call->last);
}

/* The out's bytes and artifacts change hands. */
static void give(mr_out *out, mr_outcome *outcome) {
    outcome->bytes = out->bytes;
    memcpy(outcome->artifacts, out->artifacts, sizeof out->artifacts);
    outcome->artifact_count = out->artifact_count;
    mr_buf_init(&out->bytes, out->mem, 0);
    out->artifact_count = 0;
}

static mr_status run_in(const mr_call *call, mr_arena *arena, mr_outcome *outcome) {
    uint64_t start_ns = mr_clock_monotonic_ns(), cpu_ns = call->cpu_time ? mr_clock_thread_cpu_ns() : 0;
    uint32_t deadline_ms = call->deadline_ms ? call->deadline_ms : call->component->deadline_ms;
    mr_ctx ctx = {.component = call->component,
                  .arena = arena,
                  .seed = call->seed,
                  .watch = call->watch,
                  .deadline_ns = start_ns + (uint64_t)deadline_ms * 1000000,
                  .given = call->given,
                  .given_count = may_read(call) ? call->given_count : 0};
    mr_rng_stream(&ctx.rng, call->seed ^ name_hash(call->component->name), call->level, call->index);
    mr_out out;
    mr_out_init(&out, call->component, call->mem, gives_partial(call));
    mr_status status = dispatch(call, &ctx, &out);
    if (status != MR_OK)
        status = explain(call, &ctx, status, deadline_ms, &outcome->err);
    else
        status = mr_out_finish(&out, &outcome->err);
    outcome->partial = out.wants_partial;
    if (status == MR_OK) give(&out, outcome);
    mr_out_free(&out);
    outcome->compute_us = (mr_clock_monotonic_ns() - start_ns) / 1000;
    outcome->cpu_us = call->cpu_time ? (mr_clock_thread_cpu_ns() - cpu_ns) / 1000 : 0;
    outcome->peak_bytes = mr_arena_peak(arena);
    return status;
}

static mr_status check(const mr_call *call, mr_error *err) {
    const mr_component *c = call->component;
    MR_ASSERT(!call->batch != !call->partials);
    if (call->partials && !c->merge) return mr_fail(err, MR_E_INVALID, "%s does not merge", c->name);
    if (call->model && !c->apply)
        return mr_fail(err, MR_E_INVALID, "%s cannot apply a stored model to rows", c->name);
    return call->batch ? mr_check_columns(c, call->batch, err) : MR_OK;
}

mr_status mr_run_call(const mr_call *call, mr_outcome *out) {
    if (call->reducer && call->batch) return mr_run_reduced(call, out);
    *out = (mr_outcome){0};
    mr_buf_init(&out->bytes, call->mem, 0);
    out->status = check(call, &out->err);
    if (out->status != MR_OK) return out->status;
    mr_arena *own = call->arena ? NULL : mr_arena_new(call->mem, (size_t)call->component->memory_mb << 20);
    mr_arena *arena = call->arena ? call->arena : own;
    if (call->arena) mr_arena_reset(arena);
    if (arena)
        out->status = run_in(call, arena, out);
    else
        out->status = mr_fail(&out->err, MR_E_MEMORY, "%s: no memory to start", call->component->name);
    mr_arena_free(&own);
    return out->status;
}

void mr_outcome_free(mr_outcome *out) {
    mr_buf_free(&out->bytes);
    for (size_t i = 0; i < out->artifact_count; i++) mr_buf_free(&out->artifacts[i].bytes);
    out->artifact_count = 0;
}
