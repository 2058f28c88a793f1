#include "common/log.h"
#include "common/clock.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <unistd.h>

static const mr_log_field fields[] = {MR_LOG_INT("held", -2),
                                      MR_LOG_TEXT("why", "no \"beat\"\n\x1b[0m\xff"),
                                      MR_LOG_NUM("s", 0.5),
                                      MR_LOG_BOOL("ok", true),
                                      MR_LOG_TEXT("none", NULL),
                                      MR_LOG_NUM("nan", NAN),
                                      {0}};

static void a_record_is_one_line_that_no_value_can_break(void **state) {
    (void)state;
    char line[MR_LOG_LINE];
    size_t n = mr_log_format(line, false, 0, MR_LOG_INFO, "worker:3", "worker_lost", fields);
    assert_int_equal(strlen(line), n);
    assert_string_equal(line,
                        "ts=1970-01-01T00:00:00.000000Z level=info obj=worker:3 event=worker_lost held=-2 "
                        "why=\"no \\\"beat\\\"\\u000a\\u001b[0m\\ufffd\" s=0.5 ok=true none=\"\" nan=nan\n");
    mr_log_format(line, true, 1500000000123456789, MR_LOG_WARN, "broker", "e", fields);
    assert_string_equal(
        line,
        "{\"ts\":\"2017-07-14T02:40:00.123456Z\",\"level\":\"warn\",\"obj\":\"broker\",\"event\":\"e\","
        "\"held\":-2,\"why\":\"no \\\"beat\\\"\\u000a\\u001b[0m\\ufffd\",\"s\":0.5,\"ok\":true,\"none\":\"\","
        "\"nan\":null}\n");
}

static void a_long_record_is_cut_between_pairs(void **state) {
    (void)state;
    char line[MR_LOG_LINE], *text = calloc(1, 5000);
    memset(text, '\x01', 4999);
    const mr_log_field large[] = {MR_LOG_INT("a", 1), MR_LOG_TEXT("t", text), MR_LOG_INT("b", 2), {0}};
    size_t n = mr_log_format(line, false, 0, MR_LOG_INFO, "o", "e", large);
    assert_true(n < MR_LOG_LINE);
    assert_string_equal(line + n - strlen("event=e a=1 cut=true\n"), "event=e a=1 cut=true\n");
    free(text);
}

static void only_what_is_at_the_level_is_written(void **state) {
    (void)state;
    int ends[2];
    mr_log log;
    char got[MR_LOG_LINE] = {0};
    mr_log_level level;
    assert_int_equal(pipe(ends), 0);
    mr_log_init(&log, ends[1], MR_LOG_WARN, false);
    MR_LOG(&log, MR_LOG_INFO, "o", "quiet");
    MR_LOG(&log, MR_LOG_ERROR, "o", "loud", MR_LOG_INT("n", 1));
    MR_LOG(NULL, MR_LOG_ERROR, "o", "nowhere");
    close(ends[1]);
    assert_true(read(ends[0], got, sizeof got - 1) > 0);
    assert_non_null(strstr(got, "level=error obj=o event=loud n=1\n"));
    assert_null(strstr(got, "quiet"));
    close(ends[0]);
    assert_true(mr_log_level_parse("debug", &level) && level == MR_LOG_DEBUG);
    assert_false(mr_log_level_parse("loud", &level));
    assert_string_equal(mr_log_level_name(MR_LOG_OFF), "off");
}

static void clocks_go_forward(void **state) {
    (void)state;
    char text[MR_CLOCK_TEXT];
    uint64_t a = mr_clock_monotonic_ns(), cpu = mr_clock_thread_cpu_ns();
    assert_true(mr_clock_monotonic_ns() >= a && mr_clock_thread_cpu_ns() >= cpu);
    assert_true(mr_clock_wall_ns() > 1700000000000000000);
    mr_time_text(-1, text);
    assert_string_equal(text, "1969-12-31T23:59:59.999999Z");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_record_is_one_line_that_no_value_can_break),
        cmocka_unit_test(a_long_record_is_cut_between_pairs),
        cmocka_unit_test(only_what_is_at_the_level_is_written),
        cmocka_unit_test(clocks_go_forward),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
