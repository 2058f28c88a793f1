/* Pipeline files: what is read, in which order the steps come, and what is refused with which words. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "broker/cli/pipeline.h"

#include <stdio.h>
#include <string.h>

static mr_arena *arena;

static int open_arena(void **state) {
    (void)state;
    arena = mr_arena_new(NULL, 1 << 24);
    return arena ? 0 : -1;
}

static int close_arena(void **state) {
    (void)state;
    mr_arena_free(&arena);
    return 0;
}

static mr_pipeline parse(const char *text) {
    mr_pipeline p;
    mr_error err = {0};
    if (mr_pipeline_parse(mr_span_of(text), "p.yaml", arena, &p, &err) != MR_OK) fail_msg("%s", err.text);
    return p;
}

static void a_whole_file_is_read(void **state) {
    (void)state;
    mr_pipeline p = parse("name: reduced\nabout: fewer columns\ndataset: wine\nbatch_size: 64\nseed: 7\nroles: {label: target}\n"
                          "steps:\n"
                          "  - id: reduce\n    component: dimensionality_reducer\n    options: {variance: 0.9, scale: true}\n"
                          "  - component: ml_model_service\n    optional: true\n"
                          "    needs: [{step: reduce, artifact: model, as: features}]\n");
    assert_string_equal(p.name, "reduced");
    assert_string_equal(p.dataset, "wine");
    assert_int_equal(p.batch_size, 64);
    assert_int_equal(p.seed, 7);
    assert_int_equal(p.roles, 1);
    assert_string_equal(p.role[0].value, "target");
    assert_int_equal(p.steps, 2);
    assert_string_equal(p.step[0].id, "reduce");
    assert_int_equal(p.step[0].options, 2);
    assert_string_equal(p.step[0].option[1].name, "scale");
    assert_int_equal(p.step[0].option[1].line, 10);
    assert_false(p.step[0].edges_said);
    const mr_pipeline_step *s = &p.step[1];
    assert_string_equal(s->id, "ml_model_service");
    assert_true(s->optional && s->edges_said);
    assert_int_equal(s->edges, 1);
    assert_int_equal(s->edge[0].place, 0);
    assert_string_equal(s->edge[0].artifact, "model");
    assert_int_equal(s->edge[0].use, MR_USE_FEATURES);
}

static void sources_of_other_runs_are_read(void **state) {
    (void)state;
    mr_pipeline p = parse("steps:\n"
                          "  - component: a\n    apply: {newest: a}\n"
                          "  - component: b\n    needs: [{run: 7, of: '2', artifact: model, as: features}, {newest: c}]\n"
                          "  - component: c\n    needs: []\n");
    assert_true(p.step[0].edge[0].use_said && p.step[0].edge[0].use == MR_USE_MODEL);
    assert_string_equal(p.step[0].edge[0].newest, "a");
    assert_int_equal(p.step[1].edge[0].run, 7);
    assert_string_equal(p.step[1].edge[0].of, "2");
    assert_false(p.step[1].edge[1].use_said);
    assert_true(p.step[2].edges_said && p.step[2].edges == 0);
}

static void steps_come_behind_what_they_need_and_else_as_written(void **state) {
    (void)state;
    mr_pipeline p = parse("steps:\n"
                          "  - {component: d, needs: [b, c]}\n"
                          "  - {component: c, needs: [a]}\n"
                          "  - {component: a}\n"
                          "  - {component: b}\n");
    static const char *const order[] = {"a", "c", "b", "d"};
    for (uint32_t i = 0; i < 4; i++) assert_string_equal(p.step[i].id, order[i]);
    for (uint32_t i = 0; i < p.steps; i++)
        for (uint32_t k = 0; k < p.step[i].edges; k++) {
            assert_true(p.step[i].edge[k].place < i);
            assert_string_equal(p.step[p.step[i].edge[k].place].id, p.step[i].edge[k].step);
        }
}

static void refused(const char *text, const char *sentence) {
    mr_pipeline p;
    mr_error err = {0};
    assert_int_equal(mr_pipeline_parse(mr_span_of(text), "p.yaml", arena, &p, &err), MR_E_INVALID);
    if (!strstr(err.text, sentence)) fail_msg("'%s' does not say '%s'", err.text, sentence);
}

static void what_is_wrong_is_told_with_its_line(void **state) {
    (void)state;
    refused("", "p.yaml:1: a pipeline is a map");
    refused("name: x\n", "p.yaml:1:1: a pipeline has a list of steps");
    refused("steps: []\n", "p.yaml:1:8: a pipeline has a list of steps");
    refused("nmae: x\nsteps: [{component: a}]\n", "p.yaml:1:7: 'nmae' is not known here: did you mean 'name'?");
    refused("steps:\n  - id: a\n", "p.yaml:2:5: the step names no component");
    refused("steps:\n  - {component: a}\n  - {component: a}\n", "p.yaml:3:5: the id 'a' is that of line 2 too");
    refused("steps:\n  - {component: a, needs: b}\n", "p.yaml:2:27: 'needs' must be a list");
    refused("steps:\n  - {component: reduce}\n  - {component: b, needs: [reduc]}\n",
            "p.yaml:3: 'b' needs 'reduc', which is the id of no step: did you mean 'reduce'?");
    refused("steps:\n  - {component: a, needs: [{step: a, newest: b}]}\n", "says one of step");
    refused("steps:\n  - {component: a, needs: [{run: 7}]}\n", "run and of go together");
    refused("steps:\n  - {component: a, needs: [{newest: b, as: rows}]}\n", "'as' is input, features or model, not 'rows'");
    refused("steps:\n  - {component: a, apply: {newest: a, as: model}}\n", "leave 'as' out");
    refused("steps:\n  - {component: a, options: {x: [1]}}\n", "'x' must be one value");
    refused("steps:\n  - {component: a, id: '12'}\n", "the id '12' is a number");
    refused("batch_size: 0\nsteps:\n  - {component: a}\n", "p.yaml:1:13: 'batch_size' must be a whole number from 1");
    refused("steps:\n  - {component: a, optional: maybe}\n", "'optional' must be true or false");
}

static void a_circle_is_told_as_a_path(void **state) {
    (void)state;
    refused("steps:\n  - {component: z}\n  - {component: a, needs: [c]}\n  - {component: b, needs: [a, z]}\n  - {component: c, needs: [b]}\n",
            "p.yaml:3: the steps need each other in a circle: a needs c, which needs b, which needs a; take one");
    refused("steps:\n  - {component: a, needs: [a]}\n", "a needs a; take one");
}

static void the_most_steps_are_read_and_no_more(void **state) {
    (void)state;
    char text[8192];
    size_t n = (size_t)snprintf(text, sizeof text, "steps:\n");
    for (int i = 0; i < MR_PIPELINE_STEPS; i++) n += (size_t)snprintf(text + n, sizeof text - n, "  - {component: a, id: s%d}\n", i);
    assert_int_equal(parse(text).steps, MR_PIPELINE_STEPS);
    snprintf(text + n, sizeof text - n, "  - {component: a}\n");
    refused(text, "at most 64 steps");
}

/* ---- against a catalogue ---- */

static const char catalogue_text[] =
    "[{\"name\": \"reducer\", \"options\": [{\"name\": \"components\", \"type\": \"integer\", \"default\": \"0\", \"min\": 0, "
    "\"max\": 9, \"choices\": [], \"unit\": null, \"help\": \"\"}]}, {\"name\": \"model\", \"options\": []}]";

static void unknown(const char *text, const char *sentence) {
    mr_json *catalogue = NULL;
    mr_error err = {0};
    mr_pipeline p = parse(text);
    assert_int_equal(mr_json_parse(mr_span_of(catalogue_text), sizeof catalogue_text, 8, &catalogue, &err), MR_OK);
    assert_int_not_equal(mr_pipeline_check(&p, catalogue, &err), MR_OK);
    if (!strstr(err.text, sentence)) fail_msg("'%s' does not say '%s'", err.text, sentence);
    mr_json_free(&catalogue);
}

static void components_and_options_are_checked_where_they_stand(void **state) {
    (void)state;
    unknown("steps:\n  - id: x\n    component: reduce\n", "p.yaml:3: there is no component 'reduce'; did you mean 'reducer'?");
    unknown("steps:\n  - component: reducer\n    options:\n      component: 2\n", "p.yaml:4: reducer: ");
    unknown("steps:\n  - component: reducer\n    options:\n      components: 10\n", "p.yaml:4: reducer: ");
    unknown("steps:\n  - component: model\n    needs: [{newest: modle}]\n", "p.yaml:3: there is no component 'modle'");
}

static void options_of_the_command_line_win(void **state) {
    (void)state;
    mr_option_list *sets = mr_arena_alloc(arena, 1, sizeof *sets);
    mr_pipeline p = parse("steps:\n  - id: r\n    component: reducer\n    options: {components: 2}\n");
    mr_error err = {0};
    mr_buf b;
    sets->count = 1;
    snprintf(sets->items[0], sizeof sets->items[0], "r.components=5");
    assert_int_equal(mr_pipeline_check_sets(&p, sets, &err), MR_OK);
    mr_buf_init(&b, NULL, 4096);
    mr_pipeline_put_steps(&p, sets, &b);
    mr_unpack u, options, value;
    uint32_t n;
    mr_span text;
    mr_unpack_init(&u, mr_buf_span(&b));
    assert_int_equal(mr_unpack_array(&u, 9, &n, NULL), MR_OK);
    assert_int_equal(mr_unpack_find(&u, "options", &options), MR_OK);
    assert_int_equal(mr_unpack_find(&options, "components", &value), MR_OK);
    assert_int_equal(mr_unpack_str(&value, 9, &text, NULL), MR_OK);
    assert_true(mr_span_eq(text, mr_span_of("5")));
    mr_buf_free(&b);
    snprintf(sets->items[0], sizeof sets->items[0], "x.components=5");
    assert_int_equal(mr_pipeline_check_sets(&p, sets, &err), MR_E_USAGE);
}

/* What comes with the programs is right by the reader's word. */
static void the_shipped_pipelines_are_read(void **state) {
    (void)state;
    static const char *const files[] = {"standard", "evaluation"};
    for (size_t i = 0; i < 2; i++) {
        char path[4096];
        mr_pipeline p;
        mr_error err = {0};
        snprintf(path, sizeof path, MR_SOURCE_DIR "/deploy/pipelines/%s.yaml", files[i]);
        if (mr_pipeline_read(path, arena, &p, &err) != MR_OK) fail_msg("%s", err.text);
        assert_string_equal(p.name, files[i]);
        assert_true(p.about[0]);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_whole_file_is_read, open_arena, close_arena),
        cmocka_unit_test_setup_teardown(sources_of_other_runs_are_read, open_arena, close_arena),
        cmocka_unit_test_setup_teardown(steps_come_behind_what_they_need_and_else_as_written, open_arena, close_arena),
        cmocka_unit_test_setup_teardown(what_is_wrong_is_told_with_its_line, open_arena, close_arena),
        cmocka_unit_test_setup_teardown(a_circle_is_told_as_a_path, open_arena, close_arena),
        cmocka_unit_test_setup_teardown(the_most_steps_are_read_and_no_more, open_arena, close_arena),
        cmocka_unit_test_setup_teardown(components_and_options_are_checked_where_they_stand, open_arena, close_arena),
        cmocka_unit_test_setup_teardown(options_of_the_command_line_win, open_arena, close_arena),
        cmocka_unit_test_setup_teardown(the_shipped_pipelines_are_read, open_arena, close_arena),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
