#include "worker/core/local.h"

#include "common/pack.h"

#include <string.h>

enum { MAGIC_MAX = 64 };

mr_batch mr_batch_slice(const mr_batch *batch, uint32_t at, uint32_t n) {
    mr_batch s = *batch;
    s.first += at;
    s.rows = n;
    if (s.features) s.features += (size_t)at * s.width;
    for (int i = 0; i < MR_TEXT_COLUMNS; i++)
        if (s.text[i]) s.text[i] += at;
    for (int i = 0; i < MR_NUMBER_COLUMNS; i++)
        if (s.number[i]) s.number[i] += at;
    return s;
}

typedef struct walk {
    const mr_local *run;
    const mr_batch *rows;
    uint32_t batch_rows, batches;
    mr_local_results *results;
} walk;

static uint32_t ceil_div(uint32_t a, uint32_t b) { return a / b + (a % b != 0); }

static void plan(walk *w) {
    const mr_component *c = w->run->component;
    uint32_t rows = w->run->batch_rows > c->batch_rows ? w->run->batch_rows : c->batch_rows;
    if (c->shape == MR_WHOLE && !w->run->model) rows = w->rows->rows;
    w->batch_rows = rows ? rows : 1;
    w->batches = w->rows->rows ? ceil_div(w->rows->rows, w->batch_rows) : 1;
}

static mr_batch batch_at(const walk *w, uint32_t index) {
    uint32_t at = index * w->batch_rows, left = w->rows->rows - at;
    return mr_batch_slice(w->rows, at, left < w->batch_rows ? left : w->batch_rows);
}

static mr_status count_call(walk *w, const mr_outcome *o, mr_error *err) {
    mr_local_results *r = w->results;
    r->calls++;
    r->compute_us += o->compute_us;
    r->cpu_us += o->cpu_us;
    if (o->peak_bytes > r->peak_bytes) r->peak_bytes = o->peak_bytes;
    if (o->status != MR_OK && err) *err = o->err;
    return o->status;
}

static mr_call call_of(const walk *w, uint32_t level, uint32_t index, bool last) {
    const mr_local *run = w->run;
    return (mr_call){.cpu_time = true,
                     .component = run->component,
                     .config = run->config,
                     .mem = run->mem,
                     .seed = run->seed,
                     .level = level,
                     .index = index,
                     .last = last,
                     .deadline_ms = run->deadline_ms,
                     .model = run->model,
                     .given = run->given,
                     .given_count = run->given_count,
                     .reducer = run->reducer,
                     .watch = run->watch};
}

static mr_status process(walk *w, uint32_t index, mr_outcome *out, mr_error *err) {
    mr_batch batch = batch_at(w, index);
    mr_call call = call_of(w, 0, index, w->run->component->shape != MR_MERGE);
    call.batch = &batch;
    if (mr_run_call(&call, out) == MR_OK && w->run->watch.progress)
        w->run->watch.progress(w->run->watch.self, (double)(index + 1) / w->batches);
    return count_call(w, out, err);
}

/* Makes node `index` of `level`. Depth first, so that at most fan-in partials of each level are held. */
static mr_status node(walk *w, uint32_t level, uint32_t index, uint32_t nodes_below, bool last,
                      mr_outcome *out, mr_error *err) {
    mr_outcome below[MR_MERGE_FAN_IN] = {0};
    mr_span spans[MR_MERGE_FAN_IN];
    uint32_t first = index * MR_MERGE_FAN_IN, left = nodes_below - first, done = 0;
    uint32_t count = left < MR_MERGE_FAN_IN ? left : MR_MERGE_FAN_IN;
    mr_status status = MR_OK;
    for (; done < count && status == MR_OK; done++) {
        if (level == 1) {
            status = process(w, first + done, &below[done], err);
        } else {
            uint32_t deeper = w->batches;
            for (uint32_t k = 2; k < level; k++) deeper = ceil_div(deeper, MR_MERGE_FAN_IN);
            status = node(w, level - 1, first + done, deeper, false, &below[done], err);
        }
        spans[done] = mr_buf_span(&below[done].bytes);
    }
    if (status == MR_OK) {
        mr_call call = call_of(w, level, index, last);
        call.partials = spans;
        call.partial_count = count;
        mr_run_call(&call, out);
        status = count_call(w, out, err);
    }
    for (uint32_t i = 0; i < done; i++) mr_outcome_free(&below[i]);
    return status;
}

static mr_status merge_all(walk *w, mr_outcome *out, mr_error *err) {
    uint32_t level = 1, below = w->batches;
    for (; below > MR_MERGE_FAN_IN; level++) below = ceil_div(below, MR_MERGE_FAN_IN);
    return node(w, level, 0, below, true, out, err);
}

static mr_status add_result(walk *w, uint64_t first, uint32_t rows, mr_outcome *outcome, mr_error *err) {
    mr_local_results *r = w->results;
    if (r->count == r->cap) {
        size_t cap = r->cap ? 2 * r->cap : 16;
        mr_local_result *fresh = mr_grow(r->mem, r->items, r->cap, cap, sizeof *fresh);
        if (!fresh) {
            mr_outcome_free(outcome);
            return mr_fail(err, MR_E_MEMORY, "no memory for %zu results", cap);
        }
        r->items = fresh;
        r->cap = cap;
    }
    r->items[r->count++] = (mr_local_result){first, rows, *outcome};
    return MR_OK;
}

/* A state takes in all its new rows as one batch, whatever the batch size (component.h). */
static bool is_state(const mr_artifact *a) {
    mr_unpack u;
    mr_span magic;
    uint32_t count;
    mr_unpack_init(&u, a->bytes);
    return mr_unpack_array(&u, UINT32_MAX, &count, NULL) == MR_OK && count > 0 &&
           mr_unpack_str(&u, MAGIC_MAX, &magic, NULL) == MR_OK &&
           memmem(magic.data, magic.len, MR_STATE_MAGIC, sizeof MR_STATE_MAGIC - 1);
}

mr_status mr_run_local(const mr_local *run, const mr_batch *rows, mr_local_results *out, mr_error *err) {
    *out = (mr_local_results){.mem = run->mem};
    mr_local all = *run;
    if (run->model && is_state(run->model)) all.batch_rows = rows->rows ? rows->rows : 1;
    walk w = {.run = &all, .rows = rows, .results = out};
    plan(&w);
    mr_outcome outcome = {0};
    if (run->component->shape == MR_MERGE && !run->model) {
        mr_status status = merge_all(&w, &outcome, err);
        if (status == MR_OK) return add_result(&w, rows->first, rows->rows, &outcome, err);
        mr_outcome_free(&outcome);
        return status;
    }
    for (uint32_t i = 0; i < w.batches; i++) {
        mr_status status = process(&w, i, &outcome, err);
        mr_batch batch = batch_at(&w, i);
        if (status == MR_OK)
            status = add_result(&w, batch.first, batch.rows, &outcome, err);
        else
            mr_outcome_free(&outcome);
        MR_TRY(status);
    }
    return MR_OK;
}

void mr_local_results_free(mr_local_results *results) {
    for (size_t i = 0; i < results->count; i++) mr_outcome_free(&results->items[i].outcome);
    mr_free(results->mem, results->items, results->cap, sizeof *results->items);
    *results = (mr_local_results){.mem = results->mem};
}
