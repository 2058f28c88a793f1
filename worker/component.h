/* component.h: what a component is, and all that it may use (with worker/kit).
 *
 * A component is one file in worker/learners, worker/analyzers or worker/validators with one global symbol,
 *     const mr_component mr_component_NAME = { ... };
 * It is a pure function of its rows, options, seed and version. Memory, randomness, time limits, the log and artifacts
 * come only through mr_ctx; it has no mutable statics and calls no clock, socket or file. */
#ifndef MR_WORKER_COMPONENT_H
#define MR_WORKER_COMPONENT_H

#include "common/batch.h"
#include "common/given.h"
#include "common/option.h"
#include "common/rng.h"

typedef struct mr_ctx mr_ctx;
typedef struct mr_out mr_out;

typedef enum mr_kind { MR_LEARNER, MR_ANALYZER, MR_VALIDATOR } mr_kind;

typedef enum mr_shape {
    MR_MAP,   /* process: each batch alone gives a result */
    MR_MERGE, /* process: each batch gives a partial; merge: partials give a partial or, last, the result */
    MR_WHOLE  /* process: one batch that is the whole version gives the result */
} mr_shape;

typedef enum mr_field_type {
    MR_FIELD_NUMBER, MR_FIELD_INTEGER, MR_FIELD_BOOL, MR_FIELD_TEXT,
    MR_FIELD_NUMBERS, /* a list of numbers */
    MR_FIELD_MATRIX,  /* {rows, cols, data: one binary block of float64} */
    MR_FIELD_LIST,    /* of anything; `meaning` says of what */
    MR_FIELD_MAP
} mr_field_type;

/* How a map component's field is summed up over its batches for a person to read. */
typedef enum mr_fold { MR_FOLD_NONE, MR_FOLD_SUM, MR_FOLD_MEAN /* weighted by rows */, MR_FOLD_MIN, MR_FOLD_MAX } mr_fold;

/* A field of the result. MR_FOLD_NONE fields are left out of summaries over batches. */
typedef struct mr_field {
    const char *name;
    mr_field_type type;
    const char *unit; /* NULL for none */
    const char *meaning;
    mr_fold fold;
} mr_field;

/* A small input that shows what the component does; run as a test, printed in its page. */
typedef struct mr_example {
    const char *title;
    const char *input;   /* JSONL rows, or CSV when the first line is not an object */
    const char *options; /* "name=value name=value", or NULL */
    const char *roles;   /* "label=target", or NULL */
    const char *expect;  /* JSON: a subset of the result that must be there, numbers to 1e-9 relative; or NULL */
} mr_example;

/* The partials that one merge gets, in the order of their rows. */
typedef struct mr_partials {
    uint32_t count;
    const mr_span *items;
    bool last; /* true: give the result, false: give a partial */
} mr_partials;

/* An artifact that an earlier run stored. One that is to take in rows that come later is called `state`, and its bytes are a
 * msgpack array that begins with a text in which MR_STATE_MAGIC stands: it is applied to all new rows as one batch. */
#define MR_STATE_MAGIC "-state-"

typedef struct mr_artifact {
    const char *name;
    mr_span bytes;
} mr_artifact;

/* What it takes from another component, when both are steps of one run or a pipeline says so. Only of a component that
 * gives one result (not a map). What makes features (MR_USE_FEATURES) gives the matrix field `scores` when it is applied. */
typedef struct mr_dependency {
    const char *component;
    const char *artifact; /* which one it takes; NULL: the result */
    mr_use use;
} mr_dependency;

typedef struct mr_component {
    const char *name, *summary;
    mr_kind kind;
    mr_shape shape;
    unsigned tier;    /* 2 optimisation, 3 evaluation, 4 platform */
    unsigned version; /* counts up whenever the same input may give other bytes */
    uint32_t columns; /* bits of enum mr_column that it must have */
    uint32_t columns_wanted; /* bits that it uses when they are there */
    uint32_t batch_rows;     /* for map and merge: rows a batch should have at least; 0 = the run's batch size */
    const char *const *capabilities; /* NULL-terminated, or NULL */
    const mr_dependency *depends_on; /* ends with component == NULL; or NULL */
    const mr_option *options; /* ends with MR_OPTION_END; NULL for none */
    size_t config_size;
    const mr_field *outputs;     /* ends with name == NULL */
    const mr_example *examples;  /* ends with title == NULL */
    uint32_t deadline_ms, memory_mb;
    mr_status (*process)(mr_ctx *, const void *config, const mr_batch *, mr_out *);
    mr_status (*merge)(mr_ctx *, const void *config, const mr_partials *, mr_out *);
    mr_status (*apply)(mr_ctx *, const void *config, const mr_artifact *, const mr_batch *, mr_out *);
} mr_component;

/* ---- context ---- */

/* Zeroed memory that lives until the call returns; NULL over the component's memory limit (return MR_E_MEMORY then). */
void *mr_ctx_alloc(mr_ctx *ctx, size_t n, size_t size);
mr_arena *mr_ctx_arena(mr_ctx *ctx);
/* Randomness for this call: seeded from the run's seed, the component and the batch; the same on every worker. */
mr_rng *mr_ctx_rng(mr_ctx *ctx);
/* The run's seed for this component: equal in all calls of a run, for what must agree between batches. */
uint64_t mr_ctx_seed(const mr_ctx *ctx);
/* Call it in long loops. MR_E_CANCELLED or MR_E_DEADLINE: free nothing, return it at once. Cheap. */
mr_status mr_tick(mr_ctx *ctx) MR_MUST_CHECK;
/* How far this call is, 0 to 1; for people who watch. */
void mr_ctx_progress(mr_ctx *ctx, double done);
/* Refuses the input with one sentence: what is wrong, where (row numbers as batch->first + i), what to do.
 * Returns `status`, so a component writes `return mr_refuse(ctx, MR_E_INVALID, "...")`. */
mr_status mr_refuse(mr_ctx *ctx, mr_status status, const char *fmt, ...) MR_PRINTF(3, 4);
/* What this step was given by that component to read; NULL when it was given nothing. A merge component has it in the last
 * merge alone. */
const mr_given *mr_ctx_given(const mr_ctx *ctx, const char *component);
/* A structured log line of the worker; never put row contents into it. */
void mr_ctx_log(mr_ctx *ctx, const char *event, const char *fmt, ...) MR_PRINTF(3, 4);

/* ---- output ---- */
/* Fields are written in the order of the component's `outputs`, each at most once; the runner checks names and types.
 * Inside a map, `field` names the member; inside a list it is NULL. A write that fails (memory, size) is remembered
 * and returned by the runner, so there is nothing to check here. NaN and infinity are written as nil. */
void mr_out_number(mr_out *out, const char *field, double v);
void mr_out_integer(mr_out *out, const char *field, int64_t v);
void mr_out_bool(mr_out *out, const char *field, bool v);
void mr_out_text(mr_out *out, const char *field, const char *fmt, ...) MR_PRINTF(3, 4);
void mr_out_span(mr_out *out, const char *field, mr_span v);
void mr_out_nil(mr_out *out, const char *field);
void mr_out_numbers(mr_out *out, const char *field, const double *v, size_t n);
void mr_out_integers(mr_out *out, const char *field, const int64_t *v, size_t n); /* for MR_FIELD_LIST */
void mr_out_matrix(mr_out *out, const char *field, const double *v, size_t rows, size_t cols);
void mr_out_open_list(mr_out *out, const char *field);
void mr_out_open_map(mr_out *out, const char *field);
void mr_out_close(mr_out *out);

/* A finding in words, for a person. `weight` orders findings, most important first (effect x support, 0 to 1).
 * Goes to the field "findings", which every component has without declaring it. */
void mr_out_finding(mr_out *out, double weight, const char *fmt, ...) MR_PRINTF(3, 4);
/* The same for a map component's sentence of which every number is a count: in a summary over batches the sentences become
 * one, and the counts are added up. */
void mr_out_tally(mr_out *out, double weight, const char *fmt, ...) MR_PRINTF(3, 4);

/* The partial of a merge component: opaque bytes of the component's own format, at most MR_PARTIAL_MAX. */
enum { MR_PARTIAL_MAX = 8 * 1024 * 1024 };
void mr_out_partial(mr_out *out, const void *bytes, size_t n);
/* The buffer of the partial, to write into directly (common/pack.h); the alternative to mr_out_partial. */
mr_buf *mr_out_partial_buf(mr_out *out);

/* Leaves an artifact (a model): immutable bytes, stored under their hash, listed with the run under `name`. */
void mr_out_artifact(mr_out *out, const char *name, const char *media_type, mr_span bytes);

#endif
