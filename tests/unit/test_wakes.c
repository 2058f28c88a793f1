/* Against a plain file: what would be told to the kernel, in order. */
#include "common/wakes.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <unistd.h>

static void it_is_held_while_work_goes_on_and_a_second_longer(void **state) {
    (void)state;
    char path[] = "/tmp/millrace-wakes-XXXXXX";
    int fd = mkstemp(path);
    mr_wakes w;
    mr_error err;
    assert_true(fd >= 0);
    assert_int_equal(mr_wakes_open(path, 5, &w, &err), MR_OK);
    mr_wakes_follow(&w, 0, 100); /* nothing was done yet */
    mr_wakes_follow(&w, 1, 200);
    mr_wakes_follow(&w, 1, 700);
    mr_wakes_follow(&w, 2, 1000);
    mr_wakes_follow(&w, 2, 1999);
    mr_wakes_follow(&w, 2, 2000);
    mr_wakes_follow(&w, 2, 9000);
    mr_wakes_follow(&w, 3, 9001);
    mr_wakes_close(&w);
    int32_t told[5];
    const int32_t expected[4] = {INT32_MAX, 5, INT32_MAX, 5};
    assert_int_equal(read(fd, told, sizeof told), sizeof expected);
    assert_memory_equal(told, expected, sizeof expected);
    close(fd);
    unlink(path);
}

static void nothing_is_opened_unless_it_is_asked_for(void **state) {
    (void)state;
    mr_wakes w;
    mr_error err;
    assert_int_equal(mr_wakes_open("/nonexistent/file", -1, &w, &err), MR_OK);
    mr_wakes_follow(&w, 1, 1);
    mr_wakes_close(&w);
}

static void a_kernel_without_it_is_named(void **state) {
    (void)state;
    mr_wakes w;
    mr_error err;
    assert_int_equal(mr_wakes_open("/nonexistent/file", 0, &w, &err), MR_E_NOT_FOUND);
    assert_non_null(strstr(err.text, "/nonexistent/file"));
    assert_non_null(strstr(err.text, "wake_us"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_held_while_work_goes_on_and_a_second_longer),
        cmocka_unit_test(nothing_is_opened_unless_it_is_asked_for),
        cmocka_unit_test(a_kernel_without_it_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
