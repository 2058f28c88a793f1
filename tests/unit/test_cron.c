/* When schedules are due. The times are those of `date -u -d`; the rules those of POSIX crontab. */
#include "broker/core/cron.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>

#include <cmocka.h>

static const int64_t S = 1000000;

/* Another implementation of the calendar: the C library's. */
static int64_t utc(const char *text) {
    struct tm tm = {0};
    assert_non_null(strptime(text, "%Y-%m-%d %H:%M:%S", &tm));
    return (int64_t)timegm(&tm) * S;
}

static void next_is(const char *line, const char *after, const char *want) {
    mr_cron c;
    mr_error err = {0};
    if (mr_cron_parse(line, &c, &err) != MR_OK) fail_msg("%s", err.text);
    assert_int_equal(mr_cron_next(&c, utc(after)), utc(want));
}

static void cron_lines_are_due_when_crontab_says(void **state) {
    (void)state;
    next_is("* * * * *", "2026-11-20 05:00:00", "2026-11-20 05:01:00");
    next_is("* * * * *", "2026-12-31 23:59:59", "2027-01-01 00:00:00");
    next_is("*/15 * * * *", "2026-11-20 05:46:00", "2026-11-20 06:00:00");
    next_is("30 4 * * 1-5", "2026-11-20 05:00:00", "2026-11-23 04:30:00"); /* a Friday; Monday is next */
    next_is("0 0 1 * *", "2026-11-20 05:00:00", "2026-12-01 00:00:00");
    next_is("5,35 9-17/4 * * *", "2026-11-20 13:05:00", "2026-11-20 13:35:00");
    next_is("5,35 9-17/4 * * *", "2026-11-20 17:35:00", "2026-11-21 09:05:00");
    next_is("0 12 29 2 *", "2026-11-20 05:00:00", "2028-02-29 12:00:00");
    next_is("0 12 29 2 *", "2096-03-01 00:00:00", "2104-02-29 12:00:00"); /* 2100 is no leap year */
    next_is("0 0 13 * 5", "2026-11-20 05:00:00", "2026-11-27 00:00:00");  /* the 13th, or any Friday */
    next_is("0 0 * * 7", "2026-11-20 05:00:00", "2026-11-22 00:00:00");   /* 7 is Sunday */
    next_is("0 0 31 * *", "2026-11-20 05:00:00", "2026-12-31 00:00:00");
}

static void wrong_cron_lines_are_refused(void **state) {
    (void)state;
    static const char *const wrong[] = {"",
                                        "* * * *",
                                        "* * * * * *",
                                        "60 * * * *",
                                        "* 24 * * *",
                                        "* * 0 * *",
                                        "* * * 13 *",
                                        "* * * * 8",
                                        "a * * * *",
                                        "1- * * * *",
                                        "5-1 * * * *",
                                        "*/0 * * * *",
                                        "5/2 * * * *",
                                        "1,,2 * * * *",
                                        "1, * * * *",
                                        "-1 * * * *",
                                        "0 0 30 2 *",
                                        "99999999999 * * * *",
                                        "* * * * *x"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        mr_cron c;
        mr_error err = {0};
        if (mr_cron_parse(wrong[i], &c, &err) != MR_E_INVALID) fail_msg("'%s' was taken", wrong[i]);
        assert_true(err.text[0]);
    }
}

/* Each minute of four years that fits by the library's calendar is found, and no other. */
static void every_minute_agrees_with_the_library(void **state) {
    (void)state;
    mr_cron c;
    assert_int_equal(mr_cron_parse("7 */6 */10 2-9 *", &c, NULL), MR_OK);
    int64_t at = utc("2023-12-31 00:00:00"), end = utc("2028-01-01 00:00:00"), next = mr_cron_next(&c, at);
    for (at += 60 * S; at < end; at += 60 * S) {
        time_t t = (time_t)(at / S);
        struct tm tm;
        gmtime_r(&t, &tm);
        bool fits =
            tm.tm_min == 7 && tm.tm_hour % 6 == 0 && tm.tm_mday % 10 == 1 && tm.tm_mon >= 1 && tm.tm_mon <= 8;
        assert_int_equal(fits, at == next);
        if (fits) next = mr_cron_next(&c, at);
    }
}

static void fires(const mr_timetable *t, const char *pending, const char *now, const char *due,
                  const char *next) {
    int64_t d, n;
    mr_timetable_fire(t, utc(pending), utc(now), &d, &n);
    assert_int_equal(d, utc(due));
    assert_int_equal(n, next ? utc(next) : MR_NEVER);
}

static void of_what_was_missed_the_last_is_fired(void **state) {
    (void)state;
    mr_timetable once = {.kind = MR_ONCE}, hourly = {.kind = MR_EVERY, .every_us = 3600 * S},
                 cron = {.kind = MR_CRON};
    fires(&once, "2026-11-20 05:00:00", "2027-11-20 05:00:00", "2026-11-20 05:00:00", NULL);
    fires(&hourly, "2026-11-20 05:00:10", "2026-11-20 05:00:10", "2026-11-20 05:00:10",
          "2026-11-20 06:00:10");
    fires(&hourly, "2026-11-20 05:00:10", "2026-11-21 05:00:09", "2026-11-21 04:00:10",
          "2026-11-21 05:00:10");
    assert_int_equal(mr_cron_parse("*/5 * * * *", &cron.cron, NULL), MR_OK);
    fires(&cron, "2026-11-20 05:00:00", "2026-11-20 05:04:59", "2026-11-20 05:00:00", "2026-11-20 05:05:00");
    fires(&cron, "2020-11-20 05:00:00", "2026-11-20 05:04:59", "2026-11-20 05:00:00", "2026-11-20 05:05:00");
    assert_int_equal(mr_cron_parse("0 0 1 1 *", &cron.cron, NULL), MR_OK);
    fires(&cron, "2020-01-01 00:00:00", "2026-11-20 05:04:59", "2026-01-01 00:00:00", "2027-01-01 00:00:00");
    assert_int_equal(mr_cron_parse("0 0 * * 0", &cron.cron, NULL), MR_OK);
    fires(&cron, "2020-01-05 00:00:00", "2026-11-20 05:04:59", "2026-11-15 00:00:00", "2026-11-22 00:00:00");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cron_lines_are_due_when_crontab_says),
        cmocka_unit_test(wrong_cron_lines_are_refused),
        cmocka_unit_test(every_minute_agrees_with_the_library),
        cmocka_unit_test(of_what_was_missed_the_last_is_fired),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
