/* harness.h: runs one component over rows as a run would: batches, the merge tree, checked outputs.
 *
 *     harness h;
 *     harness_file(&h, "context_learner", "tabular/wine.csv", "label=target");   // skipped where it is not there
 *     harness_set(&h, "min_samples=5 min_cluster_size=10");
 *     harness_run(&h, 32, 7);                                                    // fails the test unless it succeeds
 *     assert_int_equal(harness_number(&h, 0, "clusters"), 3);
 *     harness_free(&h);
 *
 * Every function but harness_try fails the test, with the sentence, when something goes wrong. */
#ifndef MR_TESTS_HARNESS_H
#define MR_TESTS_HARNESS_H

#include "common/json.h"
#include "common/rows.h"
#include "worker/core/local.h"
#include "worker/core/registry.h"

typedef struct harness {
    const mr_component *component;
    void *config;
    const mr_mem *mem; /* NULL: the heap; may be set to a failing one before a run */
    mr_rows *rows;
    mr_arena *arena;
    mr_bindings bindings;
    mr_batch batch; /* all the rows */
    mr_local_results results;
    mr_json **docs; /* each result as JSON, made when asked for */
    size_t doc_count;
    mr_error err; /* of the last harness_try */
    mr_given given[MR_GIVENS];
    uint32_t givens;
    const mr_component *reducer;
} harness;

/* Where rows come from, one of: a file (relative names lie in the shared data folder), CSV or JSONL text, a
 * batch made by hand (borrowed), or number columns x[rows][width] named x0, x1, ... (borrowed). `roles` may
 * be NULL. */
void harness_file(harness *h, const char *component, const char *path, const char *roles);
void harness_text(harness *h, const char *component, const char *text, const char *roles);
void harness_batch(harness *h, const char *component, const mr_batch *batch);
void harness_numbers(harness *h, const char *component, const double *x, uint32_t rows, uint32_t width);
void harness_free(harness *h);

/* "name=value name=value"; a value with blanks stands in double quotes. Each call starts from the defaults.
 */
void harness_set(harness *h, const char *options);
/* As harness_set, for a set that may be refused. */
mr_status harness_try_set(harness *h, const char *options);

/* The runs to come are given this by another component, as by a step of the same run; the bytes are borrowed. */
void harness_give(harness *h, mr_use use, const char *component, const char *artifact, mr_span bytes);

/* Runs it; what an earlier run gave is forgotten. */
void harness_run(harness *h, uint32_t batch_rows, uint64_t seed);
mr_status harness_try(harness *h, uint32_t batch_rows, uint64_t seed);
/* Applies a stored model to all rows in batches; one result a batch. */
void harness_apply(harness *h, mr_span model, uint32_t batch_rows, uint64_t seed);

/* ---- what came out; `result` counts from 0: merge and whole have one, map and apply one for each batch ----
 */
size_t harness_count(const harness *h);
mr_span harness_bytes(const harness *h, size_t result);
/* The artifact's bytes, until the next run. */
mr_span harness_artifact(const harness *h, size_t result, const char *name);
/* The result as JSON: common/json.h has the form of matrices. */
const mr_json *harness_doc(harness *h, size_t result);
/* The value at a path such as "trees[3].depth" or "loadings.data[7]"; NULL when there is none. */
const mr_json *harness_at(harness *h, size_t result, const char *path);
const mr_json *harness_path(const mr_json *doc, const char *path);
/* A number there (integers and booleans too); NaN when it is null. */
double harness_number(harness *h, size_t result, const char *path);
/* A text there, NUL-terminated, until harness_free. */
const char *harness_string(harness *h, size_t result, const char *path);
/* Items of the list there. */
size_t harness_length(harness *h, size_t result, const char *path);

/* ---- helpers ---- */
/* The path of a file in the shared data folder; skips the test when it is not there. `out` holds 4096 bytes.
 */
void harness_data(const char *name, char *out);
/* The rows of `text`, with each allocation failing in turn: E_MEMORY or the result, and nothing is left behind. */
void harness_try_without_memory(const char *component, const char *text, const char *roles);
/* A batch of prompts without rows has a result that says 0 rows. */
void harness_try_without_rows(const char *component);
/* Fails the test, with the sentence, unless the status is the expected one. */
void harness_expect(const harness *h, mr_status got, mr_status expected);

#endif
