/* What every component is held to, from its descriptor alone. */
#include "tests/component/harness.h"

#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum { ALL_ROWS = 1000000, SHORT_MS = 400, RUNNERS = 4 };

/* ---- examples ---- */

static void load_example(harness *h, const mr_component *c, const mr_example *e) {
    harness_text(h, c->name, e->input, e->roles);
    harness_set(h, e->options ? e->options : "");
}

/* False when the component has no example to run. */
static bool first_example(harness *h, const mr_component *c) {
    if (!c->examples || !c->examples[0].title) return false;
    load_example(h, c, &c->examples[0]);
    return true;
}

static bool matches(const mr_json *expected, const mr_json *got) {
    mr_span a, b;
    double x, y;
    bool p, q;
    switch (mr_json_kind(expected)) {
    case MR_JSON_NULL:
        return mr_json_kind(got) == MR_JSON_NULL;
    case MR_JSON_BOOL:
        return mr_json_boolean(expected, &p) && mr_json_boolean(got, &q) && p == q;
    case MR_JSON_INTEGER:
    case MR_JSON_NUMBER:
        return mr_json_number(expected, &x) && mr_json_number(got, &y) &&
               fabs(x - y) <= 1e-9 * fmax(1, fabs(x));
    case MR_JSON_TEXT:
        return mr_json_text(expected, &a) && mr_json_text(got, &b) && mr_span_eq(a, b);
    case MR_JSON_LIST: {
        if (mr_json_count(expected) != mr_json_count(got)) return false;
        for (size_t i = 0; i < mr_json_count(expected); i++)
            if (!matches(mr_json_item(expected, i), mr_json_item(got, i))) return false;
        return mr_json_kind(got) == MR_JSON_LIST;
    }
    case MR_JSON_OBJECT: {
        void *at = NULL;
        const char *name;
        const mr_json *value;
        while (mr_json_next(expected, &at, &name, &value))
            if (!matches(value, mr_json_member(got, name))) return false;
        return true;
    }
    }
    return false;
}

static void examples_give_what_they_say(void **state) {
    (void)state;
    for (const mr_component *const *c = mr_components; *c; c++) {
        for (const mr_example *e = (*c)->examples; e && e->title; e++) {
            harness h;
            mr_json *expected = NULL;
            load_example(&h, *c, e);
            harness_run(&h, ALL_ROWS, 1);
            if (e->expect) {
                mr_status status =
                    mr_json_parse(mr_span_of(e->expect), 1 << 20, MR_JSON_DEPTH, &expected, &h.err);
                harness_expect(&h, status, MR_OK);
                if (!matches(expected, harness_doc(&h, 0))) {
                    mr_buf text;
                    mr_buf_init(&text, NULL, 1 << 24);
                    mr_json_dump(harness_doc(&h, 0), &text);
                    fail_msg("%s, '%s': %s is not in %.*s", (*c)->name, e->title, e->expect, (int)text.len,
                             text.data);
                }
                mr_json_free(&expected);
            }
            harness_free(&h);
        }
    }
}

/* ---- the descriptor itself ---- */

static void check_names(const mr_component *c) {
    assert_true(strlen(c->name) > 0 && strlen(c->name) <= 64);
    assert_int_equal(strspn(c->name, "abcdefghijklmnopqrstuvwxyz0123456789_"), strlen(c->name));
    for (const mr_field *f = c->outputs; f->name; f++) {
        if (!f->meaning || !*f->meaning) fail_msg("%s: the output %s has no meaning", c->name, f->name);
        assert_string_not_equal(f->name, "findings");
        for (const mr_field *g = f + 1; g->name; g++) assert_string_not_equal(f->name, g->name);
    }
    for (const mr_option *o = c->options; o && o->name; o++) {
        if (!o->help || !*o->help) fail_msg("%s: the option %s has no help", c->name, o->name);
        for (const mr_option *p = o + 1; p->name; p++) assert_string_not_equal(o->name, p->name);
    }
}

static void descriptors_are_complete(void **state) {
    (void)state;
    for (const mr_component *const *at = mr_components; *at; at++) {
        const mr_component *c = *at;
        print_message("%s\n", c->name);
        assert_ptr_equal(mr_component_find(c->name), c);
        assert_non_null(c->summary);
        assert_non_null(c->outputs);
        assert_non_null(c->process);
        assert_true((c->shape == MR_MERGE) == (c->merge != NULL));
        assert_in_range(c->tier, 2, 4);
        assert_in_range(c->version, 1, 1000);
        assert_in_range(c->deadline_ms, 1, 3600000);
        assert_in_range(c->memory_mb, 1, 65536);
        if (!c->examples || !c->examples[0].title) fail_msg("%s has no example", c->name);
        check_names(c);
    }
}

/* ---- options ---- */

static void set_number(const mr_component *c, void *config, const mr_option *o, double v,
                       mr_status expected) {
    char text[64];
    mr_error err = {0};
    snprintf(text, sizeof text, o->type == MR_OPT_INT ? "%.0f" : "%.17g", v);
    mr_status got = mr_config_set(c, config, o->name, text, &err);
    if (got != expected) fail_msg("%s: %s=%s gives %d: %s", c->name, o->name, text, (int)got, err.text);
}

static bool has_bounds(const mr_option *o) {
    return (o->type == MR_OPT_INT || o->type == MR_OPT_NUMBER) && (o->min != 0 || o->max != 0);
}

static void options_keep_their_bounds(void **state) {
    (void)state;
    for (const mr_component *const *c = mr_components; *c; c++) {
        void *config = mr_config_new(*c, NULL);
        mr_error err;
        assert_int_equal(mr_config_set(*c, config, "no_such_option", "1", &err), MR_E_USAGE);
        for (const mr_option *o = (*c)->options; o && o->name; o++) {
            if (o->type == MR_OPT_CHOICE)
                assert_int_equal(mr_config_set(*c, config, o->name, "?", &err), MR_E_INVALID);
            if (!has_bounds(o)) continue;
            double step = o->type == MR_OPT_INT ? 1 : fmax(1e-3, fabs(o->max) / 8);
            set_number(*c, config, o, o->min, MR_OK);
            set_number(*c, config, o, o->max, MR_OK);
            set_number(*c, config, o, o->min - step, MR_E_INVALID);
            set_number(*c, config, o, o->max + step, MR_E_INVALID);
        }
        mr_config_free(*c, NULL, &config);
    }
}

/* Runs under a short deadline; a component may refuse, but not break. */
static void run_shortly(harness *h, const char *what) {
    mr_local run = {.component = h->component,
                    .config = h->config,
                    .seed = 1,
                    .batch_rows = ALL_ROWS,
                    .deadline_ms = SHORT_MS};
    mr_error err = {0};
    mr_local_results results;
    mr_status status = mr_run_local(&run, &h->batch, &results, &err);
    mr_local_results_free(&results);
    if (status == MR_E_INTERNAL || status == MR_E_CRASHED)
        fail_msg("%s with %s: %s", h->component->name, what, err.text);
    if (status != MR_OK && !err.text[0])
        fail_msg("%s with %s: fails without a sentence", h->component->name, what);
}

static void run_with(const mr_component *c, const mr_option *o, double v) {
    harness h;
    char what[96];
    if (!first_example(&h, c)) return;
    set_number(c, h.config, o, v, MR_OK);
    snprintf(what, sizeof what, "%s=%g", o->name, v);
    run_shortly(&h, what);
    harness_free(&h);
}

static void extreme_options_do_not_break_it(void **state) {
    (void)state;
    for (const mr_component *const *c = mr_components; *c; c++)
        for (const mr_option *o = (*c)->options; o && o->name; o++)
            if (has_bounds(o)) {
                run_with(*c, o, o->min);
                run_with(*c, o, o->max);
            }
}

/* ---- inputs ---- */

static void fill(harness *h, double v) {
    mr_batch *b = &h->batch;
    double *numbers = mr_arena_alloc(h->arena, (size_t)b->rows * (b->width + 1), sizeof *numbers);
    assert_non_null(numbers);
    for (size_t i = 0; i < (size_t)b->rows * (b->width + 1); i++) numbers[i] = v;
    if (b->features) b->features = numbers;
    for (int i = 0; i < MR_NUMBER_COLUMNS; i++)
        if (b->number[i]) b->number[i] = numbers;
}

static void strange_input_gives_a_status(void **state) {
    (void)state;
    static const struct {
        const char *what;
        double v;
    } rows[] = {{"NaN everywhere", NAN},
                {"infinity everywhere", INFINITY},
                {"zero everywhere", 0},
                {"huge numbers", 1.7e308},
                {"tiny numbers", 4.9e-324}};
    for (const mr_component *const *c = mr_components; *c; c++) {
        harness h;
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
            if (!first_example(&h, *c)) continue;
            fill(&h, rows[i].v);
            run_shortly(&h, rows[i].what);
            harness_free(&h);
        }
        for (uint32_t n = 0; n <= 3 && first_example(&h, *c); n++) {
            if (h.batch.rows > n) h.batch.rows = n;
            run_shortly(&h, n ? "a row or three" : "no rows");
            harness_free(&h);
        }
    }
}

/* ---- updates ---- */

static bool can(const mr_component *c, const char *what) {
    for (const char *const *at = c->capabilities; at && *at; at++)
        if (!strcmp(*at, what)) return true;
    return false;
}

static mr_status update(harness *h, const mr_artifact *state, uint32_t batch_rows, mr_local_results *out) {
    mr_local run = {.component = h->component, .config = h->config, .seed = 1, .batch_rows = batch_rows, .model = state};
    return mr_run_local(&run, &h->batch, out, &h->err);
}

/* A component that says it can leaves a state, which takes in all new rows as one, whatever the batch size, and leaves a model
 * and a state. A batch that is not the first is refused. */
static void a_state_takes_in_rows_as_one_batch(void **state) {
    (void)state;
    size_t tried = 0;
    for (const mr_component *const *c = mr_components; *c; c++) {
        harness h;
        mr_buf bytes;
        mr_local_results results;
        if (!can(*c, "update") || !first_example(&h, *c)) continue;
        harness_run(&h, ALL_ROWS, 1);
        mr_span left = harness_artifact(&h, 0, "state");
        mr_buf_init(&bytes, NULL, 1 << 24);
        mr_buf_put(&bytes, left.data, left.len);
        mr_artifact artifact = {"state", mr_buf_span(&bytes)};
        harness_apply(&h, artifact.bytes, ALL_ROWS, 1);
        assert_true(harness_number(&h, 0, "rows") == 2 * (double)h.batch.rows);
        assert_true(harness_artifact(&h, 0, "model").len > 0 && harness_artifact(&h, 0, "state").len > 0);
        assert_int_equal(update(&h, &artifact, h.batch.rows - 1, &results), MR_OK);
        assert_int_equal(results.count, 1);
        mr_span one = harness_bytes(&h, 0), cut = mr_buf_span(&results.items[0].outcome.bytes);
        assert_true(one.len == cut.len && memcmp(one.data, cut.data, one.len) == 0);
        mr_local_results_free(&results);
        h.batch.first = 1; /* as if a broker had cut it */
        assert_int_equal(update(&h, &artifact, h.batch.rows, &results), MR_E_INVALID);
        if (!strstr(h.err.text, "begins a second batch")) fail_msg("%s: %s", (*c)->name, h.err.text);
        mr_local_results_free(&results);
        mr_buf_free(&bytes);
        harness_free(&h);
        tried++;
    }
    assert_in_range(tried, 3, 100);
}

/* ---- sameness ---- */

typedef struct runner {
    pthread_t thread;
    harness *h;
    mr_local_results results;
    mr_status status;
} runner;

static void *run_one(void *arg) {
    runner *r = arg;
    mr_local run = {.component = r->h->component, .config = r->h->config, .seed = 5, .batch_rows = 3};
    mr_error err;
    r->status = mr_run_local(&run, &r->h->batch, &r->results, &err);
    return NULL;
}

static void same_results(const harness *h, const mr_local_results *got) {
    assert_int_equal(got->count, h->results.count);
    for (size_t i = 0; i < got->count; i++) {
        mr_span a = mr_buf_span(&got->items[i].outcome.bytes);
        if (!mr_span_eq(a, harness_bytes(h, i)))
            fail_msg("%s gives other bytes when it runs beside itself", h->component->name);
    }
}

static void the_bytes_are_the_same_alone_and_beside_others(void **state) {
    (void)state;
    for (const mr_component *const *c = mr_components; *c; c++) {
        harness h;
        runner runners[RUNNERS];
        if (!first_example(&h, *c)) continue;
        mr_status alone = harness_try(&h, 3, 5);
        for (int i = 0; i < RUNNERS; i++) {
            runners[i] = (runner){.h = &h};
            assert_int_equal(pthread_create(&runners[i].thread, NULL, run_one, &runners[i]), 0);
        }
        for (int i = 0; i < RUNNERS; i++) {
            pthread_join(runners[i].thread, NULL);
            assert_int_equal(runners[i].status, alone);
            if (alone == MR_OK) same_results(&h, &runners[i].results);
            mr_local_results_free(&runners[i].results);
        }
        harness_free(&h);
    }
}

/* ---- memory and cancel ---- */

static void every_failing_allocation_ends_cleanly(void **state) {
    (void)state;
    for (const mr_component *const *c = mr_components; *c; c++) {
        harness h;
        if (!first_example(&h, *c)) continue;
        mr_status full = harness_try(&h, ALL_ROWS, 1), status = MR_E_MEMORY;
        for (uint64_t n = 1; status == MR_E_MEMORY && n < 100000; n += 1 + n / 16) {
            mr_mem_failing mem;
            mr_mem_failing_init(&mem, n);
            mr_local run = {
                .component = *c, .config = h.config, .mem = &mem.mem, .seed = 1, .batch_rows = ALL_ROWS};
            mr_local_results results;
            mr_error err = {0};
            status = mr_run_local(&run, &h.batch, &results, &err);
            mr_local_results_free(&results);
            if (mem.live)
                fail_msg("%s leaks %lld allocations when the %lluth fails", (*c)->name, (long long)mem.live,
                         (unsigned long long)n);
            if (status != MR_E_MEMORY && status != full)
                fail_msg("%s: allocation %llu fails: %s", (*c)->name, (unsigned long long)n, err.text);
        }
        assert_int_equal(status, full);
        harness_free(&h);
    }
}

static void a_cancel_is_honoured(void **state) {
    (void)state;
    for (const mr_component *const *c = mr_components; *c; c++) {
        harness h;
        _Atomic uint32_t stop = MR_E_CANCELLED;
        if (!first_example(&h, *c)) continue;
        mr_local run = {
            .component = *c, .config = h.config, .seed = 1, .batch_rows = ALL_ROWS, .watch = {.stop = &stop}};
        mr_local_results results;
        mr_error err = {0};
        mr_status status = mr_run_local(&run, &h.batch, &results, &err);
        mr_local_results_free(&results);
        if (status != MR_E_CANCELLED)
            fail_msg("%s goes on although it is cancelled: %d %s", (*c)->name, (int)status, err.text);
        harness_free(&h);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(descriptors_are_complete),
        cmocka_unit_test(examples_give_what_they_say),
        cmocka_unit_test(options_keep_their_bounds),
        cmocka_unit_test(extreme_options_do_not_break_it),
        cmocka_unit_test(strange_input_gives_a_status),
        cmocka_unit_test(a_state_takes_in_rows_as_one_batch),
        cmocka_unit_test(the_bytes_are_the_same_alone_and_beside_others),
        cmocka_unit_test(every_failing_allocation_ends_cleanly),
        cmocka_unit_test(a_cancel_is_honoured),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
