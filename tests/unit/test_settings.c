#include "common/settings.h"
#include "common/file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <unistd.h>

typedef struct config {
    bool color;
    int64_t workers, batch_size;
    char url[MR_OPTION_TEXT], password[MR_OPTION_TEXT];
    mr_option_list tags;
} config;

static const mr_option table[] = {
    {.name = "color",
     .type = MR_OPT_BOOL,
     .offset = offsetof(config, color),
     .def = "true",
     .help = "Colour the output"},
    {.name = "workers",
     .type = MR_OPT_INT,
     .offset = offsetof(config, workers),
     .def = "4",
     .min = 1,
     .max = 64,
     .unit = "processes",
     .flag = 'w',
     .help = "How many workers are started"},
    {.name = "batch_size",
     .type = MR_OPT_INT,
     .offset = offsetof(config, batch_size),
     .def = "32",
     .min = 1,
     .max = 1e6,
     .unit = "rows",
     .group = "run",
     .help = "Rows in a batch"},
    {.name = "database_url",
     .type = MR_OPT_TEXT,
     .offset = offsetof(config, url),
     .help = "Where the database is"},
    {.name = "password",
     .type = MR_OPT_TEXT,
     .offset = offsetof(config, password),
     .secret = true,
     .help = "Secret"},
    {.name = "tags", .type = MR_OPT_LIST, .offset = offsetof(config, tags), .help = "Words"},
    MR_OPTION_END,
};
static const mr_option other[] = {{.name = "slots", .type = MR_OPT_INT, .help = "h", .group = "worker"},
                                  MR_OPTION_END};
static const mr_option *const others[] = {other, NULL};
static const mr_usage usage = {.program = "millrace test",
                               .operands = "PATH...",
                               .summary = "Tests flags.",
                               .example = "  millrace test a\n",
                               .min_operands = 1,
                               .max_operands = 3};

static mr_status parse(config *c, mr_args *args, mr_error *err, const char *line) {
    static char copy[1000];
    static char *argv[32];
    int argc = 0;
    snprintf(copy, sizeof copy, "%s", line);
    for (char *word = strtok(copy, " "); word; word = strtok(NULL, " ")) argv[argc++] = word;
    argv[argc] = NULL;
    *c = (config){0};
    mr_option_defaults(table, c);
    return mr_argv_parse(table, c, argc, argv, &usage, args, err);
}

static void flags_in_every_form_are_read(void **state) {
    (void)state;
    static config c;
    static mr_args args;
    mr_error err = {0};
    if (parse(&c, &args, &err, "x a --workers=8 --no-color --batch-size 64 b --tags=u --tags v"))
        fail_msg("%s", err.text);
    assert_true(c.workers == 8 && !c.color && c.batch_size == 64 && c.tags.count == 2);
    assert_int_equal(args.count, 2);
    assert_string_equal(args.operands[0], "a");
    assert_string_equal(args.operands[1], "b");
    assert_int_equal(parse(&c, &args, &err, "x -w 9 a --color=false -- --workers"), MR_OK);
    assert_true(c.workers == 9 && !c.color && args.count == 2);
    assert_string_equal(args.operands[1], "--workers");
    assert_int_equal(parse(&c, &args, &err, "x --help"), MR_OK);
    assert_int_equal(args.action, MR_ARGS_HELP);
    assert_int_equal(parse(&c, &args, &err, "x --version"), MR_OK);
    assert_int_equal(args.action, MR_ARGS_VERSION);
}

static void a_wrong_command_line_is_one_sentence(void **state) {
    (void)state;
    static config c;
    static mr_args args;
    static const struct {
        const char *line, *says;
        mr_status status;
    } cases[] = {{"x a --wrokers=3", "did you mean --workers", MR_E_USAGE},
                 {"x a --zzzzzz", "there is no flag '--zzzzzz'", MR_E_USAGE},
                 {"x a -q", "there is no flag '-q'", MR_E_USAGE},
                 {"x a --workers", "needs a value", MR_E_USAGE},
                 {"x a -w", "needs a value", MR_E_USAGE},
                 {"x a --workers=0", "1 to 64 processes", MR_E_INVALID},
                 {"x a --password=p", "is a secret", MR_E_USAGE},
                 {"x", "needs PATH", MR_E_USAGE},
                 {"x a b c d", "has no use for 'd'", MR_E_USAGE}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        mr_error err = {0};
        assert_int_equal(parse(&c, &args, &err, cases[i].line), cases[i].status);
        if (!strstr(err.text, cases[i].says)) fail_msg("'%s' says: %s", cases[i].line, err.text);
    }
}

static void help_is_made_from_the_table(void **state) {
    (void)state;
    static const char *const says[] = {"Usage: millrace test [FLAG...] PATH...",
                                       "-w, --workers=N",
                                       "1 to 64 processes;\n                            default 4)",
                                       "--[no-]color",
                                       "--help",
                                       "Example:\n  millrace test a\n"};
    mr_buf out;
    mr_buf_init(&out, NULL, 1 << 16);
    mr_argv_help(table, &usage, &out);
    mr_buf_put(&out, "", 1);
    for (size_t i = 0; i < sizeof says / sizeof *says; i++)
        if (!strstr((char *)out.data, says[i])) fail_msg("'%s' is not in:\n%s", says[i], (char *)out.data);
    assert_null(strstr((char *)out.data, "password"));
    mr_buf_clear(&out);
    mr_argv_version(&usage, &out);
    assert_true(mr_span_eq(mr_buf_span(&out), mr_span_of("millrace " MR_VERSION "\n")));
    mr_buf_free(&out);
}

static char file[64];

static int make_file(void **state) {
    (void)state;
    snprintf(file, sizeof file, "/tmp/millrace-settings-%d.yaml", (int)getpid());
    return 0;
}

static int remove_file(void **state) {
    (void)state;
    unlink(file);
    return 0;
}

static mr_status load(const char *yaml, const char *const *environment, const mr_args *args, config *c,
                      mr_origins *o, mr_error *err) {
    mr_settings_input in = {
        .args = args, .environment = environment, .file = yaml ? file : NULL, .others = others};
    if (yaml) assert_int_equal(mr_file_write(file, mr_span_of(yaml), 0600, err), MR_OK);
    *c = (config){0};
    return mr_settings_load(table, c, &in, o, err);
}

static void check_origin(size_t row, const mr_origins *o, const char *start) {
    mr_buf out;
    mr_buf_init(&out, NULL, 1000);
    mr_origin_text(table, &table[row], o, &out);
    mr_buf_put(&out, "", 1);
    assert_non_null(strstr((char *)out.data, start));
    mr_buf_free(&out);
}

static void flags_beat_environment_beats_file_beats_defaults(void **state) {
    (void)state;
    static config c, unused;
    static mr_args args;
    static mr_origins o;
    mr_error err = {0};
    const char *const environment[] = {"HOME=/",
                                       "MILLRACE_DATABASE_URL=env",
                                       "MILLRACE_WORKERS=7",
                                       "MILLRACE_TEST_X=1",
                                       "MILLRACE_SLOTS=1",
                                       "MILLRACE_TAGS=x,y",
                                       NULL};
    assert_int_equal(parse(&unused, &args, &err, "x a --workers=9"), MR_OK);
    mr_status status = load(
        "database_url: file\nworkers: 5\nrun:\n  batch_size: 100\nworker:\n  slots: 3\ntags: [a, b, c]\n",
        environment, &args, &c, &o, &err);
    if (status) fail_msg("%s", err.text);
    assert_int_equal(c.workers, 9);
    assert_int_equal(c.batch_size, 100);
    assert_string_equal(c.url, "env");
    assert_int_equal(c.tags.count, 2);
    assert_true(c.color);
    check_origin(0, &o, "default");
    check_origin(1, &o, "flag --workers");
    check_origin(2, &o, ".yaml:4");
    check_origin(3, &o, "environment MILLRACE_DATABASE_URL");
}

static void an_unknown_or_bad_setting_is_named_with_its_place(void **state) {
    (void)state;
    static const struct {
        const char *yaml, *variable, *says;
        mr_status status;
    } cases[] = {{"worker_count: 1\n", NULL, ".yaml:1:15: there is no setting 'worker_count'", MR_E_USAGE},
                 {"wrkers: 1\n", NULL, "did you mean 'workers'", MR_E_USAGE},
                 {"run:\n  batch_sise: 1\n", NULL, "did you mean 'run.batch_size'", MR_E_USAGE},
                 {"workers: many\n", NULL, ".yaml:1:10: option workers", MR_E_INVALID},
                 {"workers: [1, 2]\n", NULL, "one value", MR_E_INVALID},
                 {"just text\n", NULL, "name: value", MR_E_INVALID},
                 {NULL, "MILLRACE_WRKERS=1", "did you mean 'MILLRACE_WORKERS'", MR_E_USAGE},
                 {NULL, "MILLRACE_WORKERS=0", "environment MILLRACE_WORKERS: option workers", MR_E_INVALID}};
    static config c;
    static mr_origins o;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        mr_error err = {0};
        const char *const environment[] = {cases[i].variable, NULL};
        assert_int_equal(load(cases[i].yaml, environment, NULL, &c, &o, &err), cases[i].status);
        if (!strstr(err.text, cases[i].says)) fail_msg("says: %s", err.text);
    }
}

static void a_file_in_the_usual_place_may_be_absent_a_named_one_not(void **state) {
    (void)state;
    static config c;
    static mr_origins o;
    mr_error err = {0};
    mr_settings_input in = {.file = "/nonexistent/x.yaml", .file_may_be_absent = true};
    assert_int_equal(mr_settings_load(table, &c, &in, &o, &err), MR_OK);
    in.file_may_be_absent = false;
    assert_int_equal(mr_settings_load(table, &c, &in, &o, &err), MR_E_NOT_FOUND);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(flags_in_every_form_are_read),
        cmocka_unit_test(a_wrong_command_line_is_one_sentence),
        cmocka_unit_test(help_is_made_from_the_table),
        cmocka_unit_test(flags_beat_environment_beats_file_beats_defaults),
        cmocka_unit_test(an_unknown_or_bad_setting_is_named_with_its_place),
        cmocka_unit_test(a_file_in_the_usual_place_may_be_absent_a_named_one_not),
    };
    return cmocka_run_group_tests(tests, make_file, remove_file);
}
