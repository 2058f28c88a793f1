#include "common/redis.h"
#include "common/clock.h"
#include "tests/unit/services.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

static void the_breaker_opens_tries_once_and_closes(void **state) {
    (void)state;
    mr_breaker b;
    const uint64_t second = 1000000000;
    mr_breaker_init(&b, 3, 1000);
    for (int i = 0; i < 3; i++) {
        assert_true(mr_breaker_allow(&b, 0));
        mr_breaker_failed(&b, 0);
    }
    assert_int_equal(b.state, MR_BREAKER_OPEN);
    assert_false(mr_breaker_allow(&b, second - 1));
    assert_true(mr_breaker_allow(&b, second));
    assert_false(mr_breaker_allow(&b, second));
    mr_breaker_failed(&b, second);
    assert_false(mr_breaker_allow(&b, 2 * second - 1));
    assert_true(mr_breaker_allow(&b, 2 * second));
    mr_breaker_succeeded(&b);
    assert_int_equal(b.state, MR_BREAKER_CLOSED);
    mr_breaker_failed(&b, 2 * second);
    assert_true(mr_breaker_allow(&b, 2 * second));
}

static void urls_are_understood_or_refused(void **state) {
    (void)state;
    static const char *const good[][2] = {{"redis://h:1/2", "h:1/2"},
                                          {"redis://h", "h:6379/0"},
                                          {"redis://u:p%40@h:7/", "h:7/0"},
                                          {"unix:///a/b.sock", "/a/b.sock/0"},
                                          {"unix:///a?db=3", "/a/3"}};
    static const char *const bad[] = {
        "",         "http://h",     "redis://",     "redis://h:0", "redis://h:x", "redis://h:99999",
        "unix://a", "redis://h/-1", "unix:///a?x=1"};
    mr_error err;
    mr_redis *r;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        mr_buf text;
        mr_buf_init(&text, NULL, 1000);
        assert_int_equal(mr_redis_new(good[i][0], NULL, NULL, &r, &err), MR_OK);
        mr_redis_describe(r, &text);
        assert_true(mr_span_eq(mr_buf_span(&text), mr_span_of(good[i][1])));
        mr_buf_free(&text);
        mr_redis_free(&r);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(mr_redis_new(bad[i], NULL, NULL, &r, &err), MR_E_INVALID);
}

static void nobody_there_fails_fast_and_then_at_once(void **state) {
    (void)state;
    mr_redis *r;
    mr_error err = {0};
    mr_redis_options options = {.breaker_failures = 2, .breaker_pause_ms = 1000};
    assert_int_equal(mr_redis_new("redis://127.0.0.1:1", &options, NULL, &r, &err), MR_OK);
    for (int i = 0; i < 2; i++) assert_int_equal(mr_redis_ping(r, 0, &err), MR_E_UNAVAILABLE);
    assert_non_null(strstr(err.text, "127.0.0.1:1"));
    assert_int_equal(mr_redis_ping(r, 0, &err), MR_E_UNAVAILABLE);
    assert_non_null(strstr(err.text, "not tried"));
    mr_redis_free(&r);
}

static void values_come_back_byte_for_byte(void **state) {
    (void)state;
    if (!services_redis_url()) skip();
    mr_redis *r;
    mr_error err = {0};
    mr_buf out;
    uint8_t bytes[1000];
    uint64_t now = mr_clock_monotonic_ns();
    mr_span key = mr_span_of("millrace-test-key"), value = {bytes, sizeof bytes};
    for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (uint8_t)i;
    mr_buf_init(&out, NULL, 1 << 20);
    assert_int_equal(mr_redis_new(services_redis_url(), NULL, NULL, &r, &err), MR_OK);
    assert_int_equal(mr_redis_ping(r, now, &err), MR_OK);
    assert_int_equal(mr_redis_set(r, now, key, value, 60, &err), MR_OK);
    assert_int_equal(mr_redis_get(r, now, key, &out, &err), MR_OK);
    assert_true(mr_span_eq(mr_buf_span(&out), value));
    assert_int_equal(mr_redis_del(r, now, key, &err), MR_OK);
    assert_int_equal(mr_redis_get(r, now, key, &out, &err), MR_E_NOT_FOUND);
    mr_buf_clear(&out);
    assert_int_equal(mr_redis_info(r, now, &out, &err), MR_OK);
    mr_buf_put(&out, "", 1);
    assert_non_null(strstr((char *)out.data, "redis_version"));
    mr_buf_free(&out);
    mr_redis_free(&r);
}

static void many_values_go_in_one_round_trip(void **state) {
    (void)state;
    if (!services_redis_url()) skip();
    enum { N = 2500 };
    static char texts[N][24];
    static mr_span keys[N], values[N];
    static bool found[N];
    static size_t ends[N];
    mr_redis *r;
    mr_error err = {0};
    mr_buf out;
    uint64_t now = mr_clock_monotonic_ns();
    for (size_t i = 0; i < N; i++) {
        snprintf(texts[i], sizeof texts[i], "millrace-test-%zu", i);
        keys[i] = values[i] = mr_span_of(texts[i]);
    }
    mr_buf_init(&out, NULL, 1 << 20);
    assert_int_equal(mr_redis_new(services_redis_url(), NULL, NULL, &r, &err), MR_OK);
    assert_int_equal(mr_redis_mset(r, now, keys, values, N, 60, &err), MR_OK);
    assert_int_equal(mr_redis_del(r, now, keys[7], &err), MR_OK);
    assert_int_equal(mr_redis_mget(r, now, keys, N, &out, found, ends, &err), MR_OK);
    for (size_t i = 0, from = 0; i < N; from = ends[i++]) {
        assert_int_equal(found[i], i != 7);
        mr_span got = {out.data + from, ends[i] - from};
        assert_true(mr_span_eq(got, i == 7 ? (mr_span){NULL, 0} : values[i]));
    }
    for (size_t i = 0; i < N; i++) assert_int_equal(mr_redis_del(r, now, keys[i], &err), MR_OK);
    mr_buf_free(&out);
    mr_redis_free(&r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_breaker_opens_tries_once_and_closes),
        cmocka_unit_test(urls_are_understood_or_refused),
        cmocka_unit_test(nobody_there_fails_fast_and_then_at_once),
        cmocka_unit_test(values_come_back_byte_for_byte),
        cmocka_unit_test(many_values_go_in_one_round_trip),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
