#include "common/option.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

typedef struct config {
    bool on;
    int64_t rows, kind;
    double rate;
    char name[MR_OPTION_TEXT], password[MR_OPTION_TEXT];
    mr_option_list tags;
} config;

static const char *const kinds[] = {"plain", "two_words", NULL};
static const mr_option table[] = {
    {.name = "on", .type = MR_OPT_BOOL, .offset = offsetof(config, on), .def = "true", .help = "h"},
    {.name = "batch_rows",
     .type = MR_OPT_INT,
     .offset = offsetof(config, rows),
     .def = "32",
     .min = 1,
     .max = 1000,
     .unit = "rows",
     .help = "h"},
    {.name = "kind",
     .type = MR_OPT_CHOICE,
     .offset = offsetof(config, kind),
     .choices = kinds,
     .def = "two_words",
     .help = "h"},
    {.name = "rate", .type = MR_OPT_NUMBER, .offset = offsetof(config, rate), .def = "0.1", .help = "h"},
    {.name = "name", .type = MR_OPT_TEXT, .offset = offsetof(config, name), .def = "x", .help = "h"},
    {.name = "password",
     .type = MR_OPT_TEXT,
     .offset = offsetof(config, password),
     .secret = true,
     .help = "h"},
    {.name = "tags", .type = MR_OPT_LIST, .offset = offsetof(config, tags), .help = "h"},
    MR_OPTION_END,
};

static void check_text(const config *c, const char *name, const char *expected) {
    mr_buf out;
    mr_buf_init(&out, NULL, 1000);
    mr_option_get(mr_option_find(table, name), c, &out);
    assert_true(mr_span_eq(mr_buf_span(&out), mr_span_of(expected)));
    mr_buf_free(&out);
}

static void defaults_are_set_and_shown(void **state) {
    (void)state;
    config c = {0};
    mr_option_defaults(table, &c);
    static const char *const expected[][2] = {{"on", "true"},  {"batch-rows", "32"}, {"kind", "two_words"},
                                              {"rate", "0.1"}, {"name", "x"},        {"password", ""},
                                              {"tags", ""}};
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++)
        check_text(&c, expected[i][0], expected[i][1]);
}

static void good_values_are_taken(void **state) {
    (void)state;
    config c = {0};
    mr_error err = {0};
    static const char *const cases[][3] = {{"on", "off", "false"},
                                           {"on", "1", "true"},
                                           {"batch-rows", "1000", "1000"},
                                           {"kind", "two-words", "two_words"},
                                           {"rate", "1e-3", "0.001"},
                                           {"rate", "-5", "-5"},
                                           {"rate", "0.30000000000000004", "0.30000000000000004"},
                                           {"name", "", ""},
                                           {"name", "\xc3\xa4", "\xc3\xa4"},
                                           {"password", "p", "(set)"},
                                           {"tags", "a", "a"},
                                           {"tags", "b", "a,b"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(mr_option_set(table, &c, cases[i][0], cases[i][1], &err), MR_OK);
        check_text(&c, cases[i][0], cases[i][2]);
    }
}

static void bad_values_are_refused_in_a_sentence_and_change_nothing(void **state) {
    (void)state;
    config c = {0}, before;
    mr_option_defaults(table, &c);
    before = c;
    char longer[MR_OPTION_TEXT + 1];
    memset(longer, 'a', sizeof longer);
    longer[MR_OPTION_TEXT] = 0;
    const char *const cases[][3] = {{"on", "maybe", "true or false"},
                                    {"batch_rows", "0", "1 to 1000 rows"},
                                    {"batch_rows", "1001", "1 to 1000 rows"},
                                    {"batch_rows", "1.5", "whole"},
                                    {"batch_rows", "", "whole"},
                                    {"batch_rows", " 5", "whole"},
                                    {"batch_rows", "99999999999999999999", "64 bits"},
                                    {"kind", "other", "plain, two_words"},
                                    {"rate", "nan", "finite"},
                                    {"rate", "inf", "finite"},
                                    {"rate", "0x10", "finite"},
                                    {"rate", "1e999", "finite"},
                                    {"rate", "1 ", "finite"},
                                    {"name", longer, "256 bytes"},
                                    {"name", "\xff", "UTF-8"},
                                    {"password", "\xff", "UTF-8"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        mr_error err = {0};
        assert_int_equal(mr_option_set(table, &c, cases[i][0], cases[i][1], &err), MR_E_INVALID);
        assert_non_null(strstr(err.text, cases[i][0]));
        assert_non_null(strstr(err.text, cases[i][2]));
        assert_memory_equal(&c, &before, sizeof c);
    }
}

static void a_list_has_an_end(void **state) {
    (void)state;
    static config c;
    mr_error err = {0};
    for (int i = 0; i < MR_OPTION_LIST; i++)
        assert_int_equal(mr_option_set(table, &c, "tags", "t", &err), MR_OK);
    assert_int_equal(mr_option_set(table, &c, "tags", "t", &err), MR_E_INVALID);
}

static void an_unknown_name_brings_the_nearest(void **state) {
    (void)state;
    config c = {0};
    mr_error err = {0};
    assert_int_equal(mr_option_set(table, &c, "batchrows", "1", &err), MR_E_USAGE);
    assert_non_null(strstr(err.text, "did you mean 'batch_rows'"));
    assert_int_equal(mr_option_set(table, &c, "zzzzzz", "1", &err), MR_E_USAGE);
    assert_null(strstr(err.text, "did you mean"));
    assert_string_equal(mr_nearest_word(kinds, "plian"), "plain");
    assert_null(mr_nearest_word(kinds, ""));
}

static void without_memory_a_value_is_not_shown(void **state) {
    (void)state;
    config c = {0};
    mr_mem_failing mem;
    mr_buf out;
    mr_mem_failing_init(&mem, 1);
    mr_buf_init(&out, &mem.mem, 1000);
    for (const mr_option *row = table; row->name; row++) mr_option_get(row, &c, &out);
    assert_int_equal(mr_buf_status(&out), MR_E_MEMORY);
    mr_buf_free(&out);
    assert_int_equal(mem.live, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_are_set_and_shown),
        cmocka_unit_test(good_values_are_taken),
        cmocka_unit_test(bad_values_are_refused_in_a_sentence_and_change_nothing),
        cmocka_unit_test(a_list_has_an_end),
        cmocka_unit_test(an_unknown_name_brings_the_nearest),
        cmocka_unit_test(without_memory_a_value_is_not_shown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
