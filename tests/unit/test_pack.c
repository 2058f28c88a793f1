#include "common/pack.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/* One line of tests/vectors/pack.txt, written by Python's msgpack 1.0.3: kind and value, then the first
 * bytes. */
static void pack_named(mr_buf *b, const char *name) {
    static uint8_t xs[65536];
    memset(xs, 'x', sizeof xs);
    const char *arg = name + 2;
    mr_span text = {xs, strtoull(arg, NULL, 10)};
    if (!strcmp(name, "nil"))
        mr_pack_nil(b);
    else if (!strcmp(name, "true") || !strcmp(name, "false"))
        mr_pack_bool(b, *name == 't');
    else if (*name == 'u')
        mr_pack_u64(b, strtoull(arg, NULL, 10));
    else if (*name == 'i')
        mr_pack_i64(b, strtoll(arg, NULL, 10));
    else if (*name == 'f')
        mr_pack_f64(b, strtod(arg, NULL));
    else if (*name == 's')
        mr_pack_str(b, text);
    else if (*name == 'b')
        mr_pack_bin(b, text);
    else if (*name == 'a')
        mr_pack_array(b, (uint32_t)text.len);
    else if (*name == 'm')
        mr_pack_map(b, (uint32_t)text.len);
    else
        fail_msg("no such vector: %s", name);
    if (*name == 'a' || *name == 'm')
        for (size_t i = 0; i < text.len && b->len < 8; i++) {
            if (*name == 'm') mr_pack_u64(b, i);
            mr_pack_nil(b);
        }
}

static void bytes_are_those_of_another_encoder(void **state) {
    (void)state;
    char line[256], hex[32];
    FILE *f = fopen(MR_SOURCE_DIR "/tests/vectors/pack.txt", "r");
    assert_non_null(f);
    mr_buf b;
    mr_buf_init(&b, NULL, 1 << 20);
    int count = 0;
    for (; fgets(line, sizeof line, f); count++) {
        char *bar = strstr(line, " | ");
        assert_non_null(bar);
        *bar = 0;
        char *expected = strtok(bar + 3, "\n");
        mr_buf_clear(&b);
        pack_named(&b, line);
        size_t n = 0;
        for (size_t i = 0; i < b.len && i < 8; i++)
            n += (size_t)snprintf(hex + n, sizeof hex - n, "%02x", b.data[i]);
        if (b.len > 8 && *line == 'f') snprintf(hex + n, sizeof hex - n, "%02x", b.data[8]);
        if (b.len > 8 && (*line == 'u' || *line == 'i')) snprintf(hex + n, sizeof hex - n, "%02x", b.data[8]);
        assert_string_equal(hex, expected);
    }
    assert_int_equal(count, 52);
    mr_buf_free(&b);
    fclose(f);
}

static void values_come_back(void **state) {
    (void)state;
    mr_buf b;
    mr_unpack u;
    mr_error err = {0};
    mr_buf_init(&b, NULL, 4096);
    size_t at = mr_pack_open_array(&b);
    mr_pack_u64(&b, UINT64_MAX);
    mr_pack_i64(&b, INT64_MIN);
    mr_pack_f64(&b, 3);
    mr_pack_u64(&b, 7);
    mr_pack_bool(&b, true);
    mr_pack_text(&b, "text");
    mr_pack_text(&b, NULL);
    mr_pack_bin(&b, mr_span_of("bin"));
    mr_pack_map(&b, 2);
    mr_pack_text(&b, "k");
    mr_pack_array(&b, 1);
    mr_pack_nil(&b);
    mr_pack_text(&b, "l");
    mr_pack_i64(&b, 5);
    mr_pack_patch(&b, at, 9);
    mr_unpack_init(&u, mr_buf_span(&b));
    uint32_t count;
    uint64_t big;
    int64_t i;
    double f, g;
    bool yes;
    mr_span text, none, bin;
    assert_int_equal(mr_unpack_array(&u, 8, &count, &err), MR_E_PROTOCOL);
    assert_int_equal(mr_unpack_array(&u, 9, &count, &err), MR_OK);
    assert_int_equal(mr_unpack_i64(&u, &i, &err), MR_E_PROTOCOL);
    assert_int_equal(mr_unpack_u64(&u, UINT64_MAX, &big, &err), MR_OK);
    assert_int_equal(mr_unpack_i64(&u, &i, &err), MR_OK);
    assert_true(big == UINT64_MAX && i == INT64_MIN);
    assert_int_equal(mr_unpack_f64(&u, &f, &err), MR_OK);
    assert_int_equal(mr_unpack_f64(&u, &g, &err), MR_OK);
    assert_true(f == 3 && g == 7);
    assert_int_equal(mr_unpack_str(&u, 10, &text, &err), MR_E_PROTOCOL);
    assert_int_equal(mr_unpack_bool(&u, &yes, &err), MR_OK);
    assert_int_equal(mr_unpack_str(&u, 3, &text, &err), MR_E_PROTOCOL);
    assert_int_equal(mr_unpack_str(&u, 4, &text, &err), MR_OK);
    assert_int_equal(mr_unpack_str(&u, 4, &none, &err), MR_OK);
    assert_int_equal(mr_unpack_bin(&u, 4, &bin, &err), MR_OK);
    assert_true(yes && mr_span_eq(text, mr_span_of("text")) && none.len == 0 &&
                mr_span_eq(bin, mr_span_of("bin")));
    mr_unpack value;
    assert_int_equal(mr_unpack_find(&u, "l", &value), MR_OK);
    assert_int_equal(mr_unpack_i64(&value, &i, &err), MR_OK);
    assert_int_equal(i, 5);
    assert_int_equal(mr_unpack_find(&u, "m", &value), MR_E_NOT_FOUND);
    assert_int_equal(mr_unpack_skip(&u, &err), MR_OK);
    assert_true(mr_unpack_done(&u));
    mr_buf_free(&b);
}

static void every_cut_of_a_value_is_refused(void **state) {
    (void)state;
    mr_buf b;
    mr_error err;
    size_t length;
    mr_buf_init(&b, NULL, 4096);
    mr_pack_array(&b, 4);
    mr_pack_text(&b, "some text");
    mr_pack_f64(&b, 0.1);
    mr_pack_map(&b, 1);
    mr_pack_u64(&b, 70000);
    mr_pack_bin(&b, mr_span_of("bytes"));
    mr_pack_i64(&b, -70000);
    assert_int_equal(mr_pack_scan(mr_buf_span(&b), 2, 7, &length, &err), MR_OK);
    assert_int_equal(length, b.len);
    assert_int_equal(mr_pack_scan(mr_buf_span(&b), 1, 7, &length, &err), MR_E_PROTOCOL);
    assert_int_equal(mr_pack_scan(mr_buf_span(&b), 2, 6, &length, &err), MR_E_PROTOCOL);
    for (size_t n = 0; n < b.len; n++) {
        uint8_t *exact = malloc(n ? n : 1);
        memcpy(exact, b.data, n);
        assert_int_equal(mr_pack_scan((mr_span){exact, n}, 8, 100, &length, &err), MR_E_PROTOCOL);
        free(exact);
    }
    mr_buf_free(&b);
}

static void lies_and_bombs_are_refused(void **state) {
    (void)state;
    static const struct {
        const char *bytes;
        size_t len;
    } bad[] = {
        {"\xdd\xff\xff\xff\xff", 5},
        {"\xdf\x80\x00\x00\x00\xc0", 6},
        {"\xdb\xff\xff\xff\xff"
         "a",
         6},
        {"\xc6\x00\x00\x00\x02"
         "a",
         6},
        {"\xc1", 1},
        {"\xc7\x01\x01"
         "a",
         4},
        {"\xd4\x01"
         "a",
         3},
        {"\x92\xc0", 2},
        {"\x81\xc0", 2},
    };
    mr_error err;
    size_t length;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(
            mr_pack_scan((mr_span){(const uint8_t *)bad[i].bytes, bad[i].len}, 32, 1000, &length, &err),
            MR_E_PROTOCOL);
    static uint8_t deep[100000];
    memset(deep, 0x91, sizeof deep);
    mr_unpack u;
    mr_unpack_init(&u, (mr_span){deep, sizeof deep});
    assert_int_equal(mr_unpack_skip(&u, &err), MR_E_PROTOCOL);
    assert_int_equal(mr_pack_scan((mr_span){deep, sizeof deep}, UINT32_MAX, SIZE_MAX, &length, &err),
                     MR_E_PROTOCOL);
}

static void a_failed_buffer_stays_failed(void **state) {
    (void)state;
    for (uint64_t n = 1; n < 4; n++) {
        mr_mem_failing mem;
        mr_mem_failing_init(&mem, n);
        mr_buf b;
        mr_buf_init(&b, &mem.mem, 1 << 20);
        for (int i = 0; i < 200; i++) mr_pack_text(&b, "0123456789");
        assert_int_equal(mr_buf_status(&b), MR_E_MEMORY);
        mr_pack_patch(&b, 0, 1);
        mr_buf_free(&b);
        assert_int_equal(mem.live, 0);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_are_those_of_another_encoder), cmocka_unit_test(values_come_back),
        cmocka_unit_test(every_cut_of_a_value_is_refused),    cmocka_unit_test(lies_and_bombs_are_refused),
        cmocka_unit_test(a_failed_buffer_stays_failed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
