#include "common/file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <unistd.h>

static char folder[] = "/tmp/millrace-file-XXXXXX", path[64];

static int start(void **state) {
    (void)state;
    if (!mkdtemp(folder)) return -1;
    snprintf(path, sizeof path, "%s/f", folder);
    return 0;
}

static int stop(void **state) {
    (void)state;
    unlink(path);
    return rmdir(folder);
}

static void a_file_is_replaced_whole_and_read_up_to_a_bound(void **state) {
    (void)state;
    mr_buf out;
    mr_error err = {0};
    mr_buf_init(&out, NULL, 1000);
    assert_int_equal(mr_file_write(path, mr_span_of("old"), 0600, &err), MR_OK);
    assert_int_equal(mr_file_write(path, mr_span_of("new text"), 0600, &err), MR_OK);
    assert_int_equal(mr_file_read(path, 7, &out, &err), MR_E_LIMIT);
    mr_buf_clear(&out);
    assert_int_equal(mr_file_read(path, 8, &out, &err), MR_OK);
    assert_true(mr_span_eq(mr_buf_span(&out), mr_span_of("new text")));
    assert_int_equal(mr_file_read("/nonexistent", 8, &out, &err), MR_E_NOT_FOUND);
    assert_int_equal(mr_file_read(folder, 8, &out, &err), MR_E_INVALID);
    assert_int_equal(mr_file_write("/nonexistent/f", mr_span_of("x"), 0600, &err), MR_E_NOT_FOUND);
    mr_buf_free(&out);
}

static void folders_are_made_with_those_above(void **state) {
    (void)state;
    char deep[96], in_file[96];
    mr_error err = {0};
    snprintf(deep, sizeof deep, "%s/a/b//c/", folder);
    snprintf(in_file, sizeof in_file, "%s/x", path);
    assert_int_equal(mr_make_dirs(deep, 0700, &err), MR_OK);
    assert_int_equal(mr_make_dirs(deep, 0700, &err), MR_OK);
    assert_int_equal(access(deep, F_OK), 0);
    assert_int_equal(mr_file_write(path, mr_span_of("x"), 0600, &err), MR_OK);
    assert_int_equal(mr_make_dirs(path, 0700, &err), MR_E_EXISTS);
    assert_int_equal(mr_make_dirs(in_file, 0700, &err), MR_E_EXISTS);
    for (const char *const *part = (const char *const[]){"a/b/c", "a/b", "a", NULL}; *part; part++) {
        snprintf(deep, sizeof deep, "%s/%s", folder, *part);
        rmdir(deep);
    }
}

/* Reads the file's lines and writes of each: number, length, '!' when too long, text. */
static void check_lines(mr_span bytes, size_t max_line, const char *expected) {
    mr_lines l;
    mr_line line;
    mr_error err = {0};
    mr_buf seen;
    bool got;
    mr_buf_init(&seen, NULL, 4096);
    assert_int_equal(mr_file_write(path, bytes, 0600, &err), MR_OK);
    assert_int_equal(mr_lines_open(&l, path, max_line, NULL, &err), MR_OK);
    for (;;) {
        assert_int_equal(mr_lines_next(&l, &line, &got, &err), MR_OK);
        if (!got) break;
        mr_buf_printf(&seen, "%d@%d:%d%s%.*s|", (int)line.number, (int)line.offset, (int)line.length,
                      line.too_long ? "!" : "=", (int)(line.text.len > 8 ? 8 : line.text.len),
                      (const char *)line.text.data);
    }
    mr_lines_close(&l);
    mr_buf_put(&seen, "", 1);
    assert_string_equal((char *)seen.data, expected);
    mr_buf_free(&seen);
}

static void lines_are_given_with_number_and_place(void **state) {
    (void)state;
    check_lines(mr_span_of(""), 10, "");
    check_lines(mr_span_of("a\nbb\r\n\nlast"), 10, "1@0:1=a|2@2:3=bb|3@6:0=|4@7:4=last|");
    check_lines(mr_span_of("\xef\xbb\xbf{}\n"), 10, "1@3:2={}|");
    check_lines(mr_span_of("abcd\nabcde\nx\n"), 4, "1@0:4=abcd|2@5:5!abcd|3@11:1=x|");
    check_lines(mr_span_of("abcd\r\nabcd\r"), 4, "1@0:5=abcd|2@6:5!abcd|");
}

static void a_huge_line_is_passed_over_in_little_memory(void **state) {
    (void)state;
    size_t n = 3 * 1024 * 1024;
    char *bytes = malloc(n + 20);
    memset(bytes, 'z', n);
    memcpy(bytes, "one\n", 4);
    memcpy(bytes + n, "\ntwo\n", 5);
    char expected[100];
    snprintf(expected, sizeof expected, "1@0:3=one|2@4:%zu!zzzzzzzz|3@%zu:3=two|", n - 4, n + 1);
    for (size_t max = 10; max < 1000000; max *= 7)
        check_lines((mr_span){(uint8_t *)bytes, n + 5}, max, expected);
    snprintf(expected, sizeof expected, "1@0:3=one|2@4:%zu!zzzzzzzz|", n - 4);
    check_lines((mr_span){(uint8_t *)bytes, n}, 1000, expected);
    free(bytes);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_is_replaced_whole_and_read_up_to_a_bound),
        cmocka_unit_test(folders_are_made_with_those_above),
        cmocka_unit_test(lines_are_given_with_number_and_place),
        cmocka_unit_test(a_huge_line_is_passed_over_in_little_memory),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
