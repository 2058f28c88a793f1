#include "common/hash.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

static int start(void **state) {
    (void)state;
    return mr_crypto_init(NULL) == MR_OK ? 0 : -1;
}

/* Values from Python 3.11: hashlib.blake2b(b"", digest_size=32) and of b"abc". */
static void hashes_are_blake2b_256(void **state) {
    (void)state;
    char hex[MR_HASH_HEX];
    mr_hash h = mr_hash_of((mr_span){NULL, 0});
    mr_hash_hex(&h, hex);
    assert_string_equal(hex, "0e5751c026e543b2e8ab2eb06099daa1d1e5df47778f7787faab45cdf12fe3a8");
    h = mr_hash_of(mr_span_of("abc"));
    mr_hash_hex(&h, hex);
    assert_string_equal(hex, "bddd813c634239723171ef3fee98579b94964e3bb1cb3e427262c8c068d52319");
}

static void pieces_give_the_hash_of_the_whole(void **state) {
    (void)state;
    mr_hash_state s;
    mr_hash_init(&s);
    mr_hash_update(&s, mr_span_of("a"));
    mr_hash_update(&s, (mr_span){NULL, 0});
    mr_hash_update(&s, mr_span_of("bc"));
    mr_hash a = mr_hash_final(&s), b = mr_hash_of(mr_span_of("abc"));
    assert_true(mr_hash_eq(&a, &b));
}

static void hex_is_read_back_and_anything_else_refused(void **state) {
    (void)state;
    char hex[MR_HASH_HEX + 1];
    mr_hash a = mr_hash_of(mr_span_of("x")), b = {0};
    mr_hash_hex(&a, hex);
    assert_true(mr_hash_parse(mr_span_of(hex), &b));
    assert_true(mr_hash_eq(&a, &b));
    hex[10] = 'g';
    assert_false(mr_hash_parse(mr_span_of(hex), &b));
    assert_false(mr_hash_parse(mr_span_of("00"), &b));
    assert_true(mr_hash_eq(&a, &b));
}

/* XXH64 of the empty input with seed 0, from the algorithm's specification. */
static void xxh64_is_the_published_one(void **state) {
    (void)state;
    assert_true(mr_xxh64((mr_span){NULL, 0}, 0) == 0xef46db3751d8e999u);
}

static void base64_is_that_of_rfc_4648(void **state) {
    (void)state;
    static const char *const cases[][2] = {
        {"", ""}, {"f", "Zg=="}, {"fo", "Zm8="}, {"foo", "Zm9v"}, {"foobar", "Zm9vYmFy"}};
    mr_buf out;
    mr_buf_init(&out, NULL, 1 << 20);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        mr_buf_clear(&out);
        mr_base64_put(&out, mr_span_of(cases[i][0]));
        assert_true(mr_span_eq(mr_buf_span(&out), mr_span_of(cases[i][1])));
    }
    static uint8_t large[10000];
    mr_buf_clear(&out);
    mr_base64_put(&out, (mr_span){large, sizeof large});
    assert_int_equal(out.len, 13336);
    assert_null(memchr(out.data, '=', out.len - 2));
    mr_buf_free(&out);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hashes_are_blake2b_256),
        cmocka_unit_test(pieces_give_the_hash_of_the_whole),
        cmocka_unit_test(hex_is_read_back_and_anything_else_refused),
        cmocka_unit_test(xxh64_is_the_published_one),
        cmocka_unit_test(base64_is_that_of_rfc_4648),
    };
    return cmocka_run_group_tests(tests, start, NULL);
}
