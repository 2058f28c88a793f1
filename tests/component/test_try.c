/* `millrace try` as a user meets it: exit codes, sentences, JSON, files. */
#include "common/file.h"
#include "tests/component/harness.h"
#include "worker/core/try.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

static char folder[] = "/tmp/millrace-test-try-XXXXXX";

enum { ARGS_MAX = 24 };

/* Runs "try" with these words (blanks between); %s stands for the folder. Returns the exit code. */
static int run(const char *line, mr_buf *out, mr_buf *messages) {
    char text[1024], *words[ARGS_MAX] = {"try"}, path[2][64];
    int n = 1, saved[2] = {dup(1), dup(2)};
    mr_error err;
    snprintf(text, sizeof text, line, folder, folder);
    for (char *w = strtok(text, " "); w && n < ARGS_MAX - 1; w = strtok(NULL, " ")) words[n++] = w;
    fflush(stdout);
    for (int i = 0; i < 2; i++) {
        snprintf(path[i], sizeof path[i], "%s/fd%d", folder, i + 1);
        assert_non_null(freopen(path[i], "w", i ? stderr : stdout));
    }
    int code = mr_try_main(n, words);
    fflush(stdout);
    fflush(stderr);
    for (int i = 0; i < 2; i++) {
        dup2(saved[i], i + 1);
        close(saved[i]);
    }
    mr_buf_init(out, NULL, 1 << 24);
    mr_buf_init(messages, NULL, 1 << 20);
    assert_int_equal(mr_file_read(path[0], 1 << 24, out, &err), MR_OK);
    assert_int_equal(mr_file_read(path[1], 1 << 20, messages, &err), MR_OK);
    mr_buf_put(out, "", 1);
    mr_buf_put(messages, "", 1);
    return code;
}

static void write_file(const char *name, const char *text) {
    char path[128];
    mr_error err;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    assert_int_equal(mr_file_write(path, mr_span_of(text), 0644, &err), MR_OK);
}

static void expect(const char *line, int code, const char *in_output, const char *in_messages) {
    mr_buf out, messages;
    int got = run(line, &out, &messages);
    if (got != code) fail_msg("%s: exit %d instead of %d: %s", line, got, code, (char *)messages.data);
    if (!strstr((char *)out.data, in_output))
        fail_msg("%s: '%s' is not in: %s", line, in_output, (char *)out.data);
    if (!strstr((char *)messages.data, in_messages))
        fail_msg("%s: '%s' is not in: %s", line, in_messages, (char *)messages.data);
    if (!code) assert_int_equal(messages.len, 1); /* nothing but the NUL */
    mr_buf_free(&out);
    mr_buf_free(&messages);
}

static void a_result_is_printed_for_people(void **state) {
    (void)state;
    expect("structural_analyzer --input %s/prompts.jsonl", 0, "findings", "");
    expect("structural_analyzer --input %s/prompts.jsonl --batch-size 1", 0, "over 2 rows in 2 batches", "");
    expect("structural_analyzer --describe", 0, "outputs:", "");
    expect("--help", 0, "millrace try", "");
}

static void json_holds_everything(void **state) {
    (void)state;
    mr_buf out, messages;
    mr_json *doc;
    mr_error err;
    double rows;
    assert_int_equal(run("structural_analyzer --input %s/prompts.jsonl --json --seed 9", &out, &messages), 0);
    mr_status status = mr_json_parse((mr_span){out.data, out.len - 1}, 1 << 24, MR_JSON_DEPTH, &doc, &err);
    if (status != MR_OK) fail_msg("%s", err.text);
    assert_true(mr_json_number(mr_json_member(doc, "rows"), &rows));
    assert_int_equal(rows, 2);
    assert_int_equal(mr_json_count(mr_json_member(doc, "results")), 1);
    assert_non_null(harness_path(doc, "results[0].result.findings"));
    mr_json_free(&doc);
    mr_buf_free(&out);
    mr_buf_free(&messages);
}

static void every_wrong_input_gets_one_sentence(void **state) {
    (void)state;
    expect("", 2, "", "COMPONENT");
    expect("structural_analyzr --input x", 4, "", "did you mean 'structural_analyzer'");
    expect("structural_analyzer", 2, "", "--input FILE is missing");
    expect("structural_analyzer --input %s/nothing", 4, "", "nothing");
    expect("structural_analyzer --input %s/prompts.jsonl --set", 2, "", "needs a value");
    expect("structural_analyzer --input %s/prompts.jsonl --set nonsense", 2, "", "NAME=VALUE");
    expect("structural_analyzer --input %s/prompts.jsonl --set nonsense=1", 2, "", "nonsense");
    expect("structural_analyzer --input %s/prompts.jsonl --batch-size 0", 3, "", "1");
    expect("structural_analyzer --input %s/prompts.jsonl --sed 3", 2, "", "did you mean --");
    expect("structural_analyzer --input %s/table.csv", 3, "", "--role prompt=COLUMN");
    expect("structural_analyzer --input %s/prompts.jsonl --apply %s/prompts.jsonl", 3, "", "apply");
    expect("structural_analyzer --input %s/prompts.jsonl --role rubbish=x", 2, "", "rubbish");
}

static void refused_rows_are_told_and_the_good_ones_computed(void **state) {
    (void)state;
    expect("structural_analyzer --input %s/mixed.jsonl", 19, "2 rows", "mixed.jsonl:2:");
}

static void results_and_models_are_saved(void **state) {
    (void)state;
    char path[128];
    struct stat info;
    expect("dimensionality_reducer --input %s/table.csv --save %s/kept", 0, "dimensionality_reducer", "");
    snprintf(path, sizeof path, "%s/kept/results.json", folder);
    assert_int_equal(stat(path, &info), 0);
    snprintf(path, sizeof path, "%s/kept/model", folder);
    assert_int_equal(stat(path, &info), 0);
    expect("dimensionality_reducer --input %s/table.csv --apply %s/kept/model", 0, "result", "");
}

static int open_folder(void **state) {
    (void)state;
    if (!mkdtemp(folder)) return -1;
    write_file("prompts.jsonl",
               "{\"prompt\": \"# Role\\nYou are a chef. List three dishes.\\n- one\\n- two\"}\n"
               "{\"prompt\": \"Write a poem about {topic}. Do not use rhymes.\"}\n");
    write_file("mixed.jsonl",
               "{\"prompt\": \"Write a poem.\"}\n{\"prompt\": 7}\n{\"prompt\": \"Name a fish.\"}\n");
    write_file("table.csv", "a,b,c\n1,2,3.5\n2,1,4\n3,5,9\n4,4,1\n5,9,2\n6,2,7.5\n");
    return 0;
}

static int remove_folder(void **state) {
    (void)state;
    static const char *const names[] = {"prompts.jsonl", "mixed.jsonl",       "table.csv", "fd1",
                                        "fd2",           "kept/results.json", "kept/model", "kept/state"};
    char path[128];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        unlink(path);
    }
    snprintf(path, sizeof path, "%s/kept", folder);
    rmdir(path);
    return rmdir(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_result_is_printed_for_people),
        cmocka_unit_test(json_holds_everything),
        cmocka_unit_test(every_wrong_input_gets_one_sentence),
        cmocka_unit_test(refused_rows_are_told_and_the_good_ones_computed),
        cmocka_unit_test(results_and_models_are_saved),
    };
    return cmocka_run_group_tests(tests, open_folder, remove_folder);
}
