#include "tests/component/harness.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

static const size_t arena_max = (size_t)1 << 32;

void harness_data(const char *name, char *out) {
    snprintf(out, 4096, "%s%s", *name == '/' ? "" : MR_SOURCE_DIR "/../shared/data/", name);
    if (access(out, R_OK) == 0) return;
    print_message("skipped: %s is not there\n", out);
    skip();
}

void harness_expect(const harness *h, mr_status got, mr_status expected) {
    if (got == expected) return;
    fail_msg("%s: %s instead of %s: %s", h->component->name, mr_status_of((int)got)->name,
             mr_status_of((int)expected)->name, h->err.text);
}

static void start(harness *h, const char *component, const char *roles) {
    *h = (harness){.component = mr_component_find(component)};
    if (!h->component) fail_msg("there is no component '%s'", component);
    h->arena = mr_arena_new(NULL, arena_max);
    h->config = mr_config_new(h->component, NULL);
    assert_non_null(h->arena);
    assert_non_null(h->config);
    if (roles) harness_expect(h, mr_bindings_parse(&h->bindings, roles, &h->err), MR_OK);
}

static void make_batch(harness *h) {
    uint32_t columns = h->component->columns | h->component->columns_wanted;
    mr_status status = mr_rows_batch(h->rows, 0, mr_rows_count(h->rows), &h->bindings, columns, h->arena,
                                     &h->batch, &h->err);
    harness_expect(h, status, MR_OK);
}

void harness_file(harness *h, const char *component, const char *path, const char *roles) {
    char full[4096];
    harness_data(path, full);
    start(h, component, roles);
    harness_expect(h, mr_rows_load(NULL, full, NULL, &h->rows, &h->err), MR_OK);
    make_batch(h);
}

void harness_text(harness *h, const char *component, const char *text, const char *roles) {
    start(h, component, roles);
    mr_status status =
        mr_rows_load_memory(NULL, "the rows of the test", mr_span_of(text), NULL, &h->rows, &h->err);
    harness_expect(h, status, MR_OK);
    make_batch(h);
}

void harness_batch(harness *h, const char *component, const mr_batch *batch) {
    start(h, component, NULL);
    h->batch = *batch;
}

void harness_numbers(harness *h, const char *component, const double *x, uint32_t rows, uint32_t width) {
    start(h, component, NULL);
    const char **names = mr_arena_alloc(h->arena, width + 1, sizeof *names);
    assert_non_null(names);
    for (uint32_t i = 0; i < width; i++) {
        char name[16];
        int n = snprintf(name, sizeof name, "x%u", i);
        names[i] = mr_arena_copy(h->arena, name, (size_t)n);
    }
    h->batch = (mr_batch){
        .rows = rows, .columns = MR_COL_FEATURES, .width = width, .features = x, .feature_names = names};
}

static void forget(harness *h) {
    for (size_t i = 0; i < h->doc_count; i++) mr_json_free(&h->docs[i]);
    free(h->docs);
    h->docs = NULL;
    h->doc_count = 0;
    mr_local_results_free(&h->results);
    h->err = (mr_error){0};
}

void harness_free(harness *h) {
    forget(h);
    if (h->component) mr_config_free(h->component, NULL, &h->config);
    mr_rows_free(&h->rows);
    mr_arena_free(&h->arena);
}

/* ---- options ---- */

/* Cuts the next "name=value" out of *at; false at the end. */
static bool next_pair(char **at, char **name, char **value) {
    char *p = *at + strspn(*at, " ");
    if (!*p) return false;
    *name = p;
    p += strcspn(p, "= ");
    if (*p != '=') fail_msg("'%s' is not name=value", *name);
    *p++ = 0;
    char stop = *p == '"' ? '"' : ' ';
    if (stop == '"') p++;
    *value = p;
    p += strcspn(p, stop == '"' ? "\"" : " ");
    if (*p) *p++ = 0;
    *at = p;
    return true;
}

mr_status harness_try_set(harness *h, const char *options) {
    mr_config_free(h->component, NULL, &h->config);
    h->config = mr_config_new(h->component, NULL);
    assert_non_null(h->config);
    char *copy = strdup(options), *at = copy, *name, *value;
    assert_non_null(copy);
    mr_status status = MR_OK;
    while (status == MR_OK && next_pair(&at, &name, &value))
        status = mr_config_set(h->component, h->config, name, value, &h->err);
    free(copy);
    return status;
}

void harness_set(harness *h, const char *options) { harness_expect(h, harness_try_set(h, options), MR_OK); }

/* ---- runs ---- */

void harness_give(harness *h, mr_use use, const char *component, const char *artifact, mr_span bytes) {
    assert_true(h->givens < MR_GIVENS);
    h->given[h->givens++] = (mr_given){.use = use, .component = component, .artifact = artifact, .hash = mr_hash_of(bytes),
                                       .bytes = bytes};
    if (use == MR_USE_FEATURES) h->reducer = mr_component_find(component);
}

static mr_status run(harness *h, const mr_artifact *model, uint32_t batch_rows, uint64_t seed) {
    forget(h);
    mr_local local = {.component = h->component,
                      .config = h->config,
                      .mem = h->mem,
                      .seed = seed,
                      .batch_rows = batch_rows,
                      .model = model,
                      .given = h->given,
                      .given_count = h->givens,
                      .reducer = h->reducer};
    return mr_run_local(&local, &h->batch, &h->results, &h->err);
}

mr_status harness_try(harness *h, uint32_t batch_rows, uint64_t seed) {
    return run(h, NULL, batch_rows, seed);
}

void harness_run(harness *h, uint32_t batch_rows, uint64_t seed) {
    harness_expect(h, run(h, NULL, batch_rows, seed), MR_OK);
}

void harness_apply(harness *h, mr_span model, uint32_t batch_rows, uint64_t seed) {
    mr_artifact artifact = {.name = "model", .bytes = model};
    harness_expect(h, run(h, &artifact, batch_rows, seed), MR_OK);
}

/* ---- results ---- */

size_t harness_count(const harness *h) { return h->results.count; }

static const mr_outcome *outcome(const harness *h, size_t result) {
    if (result >= h->results.count) fail_msg("there are %zu results, not %zu", h->results.count, result + 1);
    return &h->results.items[result].outcome;
}

mr_span harness_bytes(const harness *h, size_t result) { return mr_buf_span(&outcome(h, result)->bytes); }

mr_span harness_artifact(const harness *h, size_t result, const char *name) {
    const mr_outcome *o = outcome(h, result);
    for (size_t i = 0; i < o->artifact_count; i++)
        if (!strcmp(o->artifacts[i].name, name)) return mr_buf_span(&o->artifacts[i].bytes);
    fail_msg("there is no artifact '%s'", name);
    return (mr_span){0};
}

const mr_json *harness_doc(harness *h, size_t result) {
    mr_span bytes = harness_bytes(h, result);
    if (!h->docs) {
        h->docs = calloc(h->results.count, sizeof *h->docs);
        assert_non_null(h->docs);
        h->doc_count = h->results.count;
    }
    if (h->docs[result]) return h->docs[result];
    mr_buf text;
    mr_buf_init(&text, NULL, arena_max);
    harness_expect(h, mr_json_from_pack(bytes, &text, &h->err), MR_OK);
    harness_expect(h, mr_buf_status(&text), MR_OK);
    harness_expect(h, mr_json_parse(mr_buf_span(&text), arena_max, MR_JSON_DEPTH, &h->docs[result], &h->err),
                   MR_OK);
    mr_buf_free(&text);
    return h->docs[result];
}

const mr_json *harness_path(const mr_json *doc, const char *path) {
    while (doc && *path) {
        if (*path == '[') {
            char *end;
            doc = mr_json_item(doc, strtoul(path + 1, &end, 10));
            path = *end == ']' ? end + 1 : end;
        } else {
            char name[256];
            path += *path == '.';
            size_t n = strcspn(path, ".[");
            snprintf(name, sizeof name, "%.*s", (int)n, path);
            doc = mr_json_member(doc, name);
            path += n;
        }
    }
    return doc;
}

const mr_json *harness_at(harness *h, size_t result, const char *path) {
    return harness_path(harness_doc(h, result), path);
}

static const mr_json *must_at(harness *h, size_t result, const char *path) {
    const mr_json *v = harness_at(h, result, path);
    if (!v) fail_msg("%s: the result has no '%s'", h->component->name, path);
    return v;
}

double harness_number(harness *h, size_t result, const char *path) {
    const mr_json *v = must_at(h, result, path);
    double number;
    bool truth;
    if (mr_json_number(v, &number)) return number;
    if (mr_json_boolean(v, &truth)) return truth;
    if (mr_json_kind(v) != MR_JSON_NULL)
        fail_msg("%s: '%s' is %s", h->component->name, path, mr_json_kind_name(v));
    return NAN;
}

const char *harness_string(harness *h, size_t result, const char *path) {
    const mr_json *v = must_at(h, result, path);
    mr_span text;
    if (!mr_json_text(v, &text)) fail_msg("%s: '%s' is %s", h->component->name, path, mr_json_kind_name(v));
    return mr_arena_copy(h->arena, text.data, text.len);
}

size_t harness_length(harness *h, size_t result, const char *path) {
    return mr_json_count(must_at(h, result, path));
}

void harness_try_without_memory(const char *component, const char *text, const char *roles) {
    mr_status status = MR_E_MEMORY;
    for (uint64_t n = 1; status != MR_OK; n++) {
        harness h = {0};
        mr_mem_failing failing;
        mr_mem_failing_init(&failing, n);
        harness_text(&h, component, text, roles);
        h.mem = &failing.mem;
        status = harness_try(&h, 1000, 1);
        harness_free(&h);
        assert_true(status == MR_OK || status == MR_E_MEMORY);
        assert_int_equal(failing.live, 0);
        assert_true(n < 1000);
    }
}

void harness_try_without_rows(const char *component) {
    static const mr_span none[1];
    mr_batch batch = {.columns = MR_COL_PROMPT};
    batch.text[MR_TEXT_PROMPT] = none;
    harness h = {0};
    harness_batch(&h, component, &batch);
    harness_run(&h, 32, 1);
    assert_true(harness_number(&h, 0, "rows") == 0);
    harness_free(&h);
}
