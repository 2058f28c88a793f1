/* What other steps gave, wrapped around an input and taken off again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "common/given.h"
#include "common/pack.h"

#include <stdlib.h>
#include <string.h>

static mr_arena *arena;

static int open_arena(void **state) {
    (void)state;
    mr_error err;
    arena = mr_arena_new(NULL, 1 << 20);
    return arena && mr_crypto_init(&err) == MR_OK ? 0 : -1;
}

static int close_arena(void **state) {
    (void)state;
    mr_arena_free(&arena);
    return 0;
}

static mr_given item(mr_use use, const char *component, const char *artifact, const char *text) {
    mr_given g = {.use = use, .component = component, .artifact = artifact, .run = 7, .step = 2, .bytes = mr_span_of(text)};
    g.hash = mr_hash_of(g.bytes);
    return g;
}

static void wrap(mr_buf *out) {
    mr_given items[] = {item(MR_USE_INPUT, "finder", "", "a result"), item(MR_USE_FEATURES, "reducer", "model", "numbers")};
    mr_buf_init(out, NULL, 1 << 16);
    assert_int_equal(mr_given_wrap(mr_span_of("rows"), items, 2, out), MR_OK);
}

static void what_was_given_comes_back_with_the_input(void **state) {
    (void)state;
    mr_buf b;
    mr_span input;
    mr_given items[MR_GIVENS];
    uint32_t count;
    mr_error err = {0};
    wrap(&b);
    assert_int_equal(mr_given_unwrap(mr_buf_span(&b), arena, &input, items, &count, &err), MR_OK);
    assert_true(mr_span_eq(input, mr_span_of("rows")));
    assert_int_equal(count, 2);
    assert_string_equal(items[0].component, "finder");
    assert_string_equal(items[0].artifact, "");
    assert_true(mr_span_eq(items[1].bytes, mr_span_of("numbers")));
    assert_int_equal(items[1].run, 7);
    assert_int_equal(items[1].step, 2);
    assert_ptr_equal(mr_given_find(items, count, MR_USE_FEATURES, NULL), &items[1]);
    assert_ptr_equal(mr_given_find(items, count, MR_USE_INPUT, "finder"), &items[0]);
    assert_null(mr_given_find(items, count, MR_USE_INPUT, "reducer"));
    assert_null(mr_given_find(items, count, MR_USE_MODEL, NULL));
    mr_buf_free(&b);
}

static void a_bare_input_is_itself(void **state) {
    (void)state;
    mr_buf b;
    mr_span input;
    mr_given items[MR_GIVENS];
    uint32_t count = 9;
    mr_error err = {0};
    mr_buf_init(&b, NULL, 1024);
    mr_pack_array(&b, 3);
    mr_pack_text(&b, "MRS1");
    mr_span bare[] = {mr_buf_span(&b), {0}, mr_span_of("no msgpack at all")};
    for (size_t i = 0; i < sizeof bare / sizeof *bare; i++) {
        assert_int_equal(mr_given_unwrap(bare[i], arena, &input, items, &count, &err), MR_OK);
        assert_true(mr_span_eq(input, bare[i]));
        assert_int_equal(count, 0);
    }
    mr_buf_free(&b);
}

/* Whatever byte is damaged: refused, or a bare input, or names that differ; never other bytes of what was given. */
static void damaged_bytes_are_never_taken_for_what_was_given(void **state) {
    (void)state;
    mr_buf b;
    wrap(&b);
    size_t n = b.len;
    for (size_t i = 0; i < n; i++) {
        mr_span input;
        mr_given items[MR_GIVENS];
        uint32_t count;
        mr_error err = {0};
        uint8_t *copy = malloc(n);
        memcpy(copy, b.data, n);
        copy[i] ^= 0x10;
        if (mr_given_unwrap((mr_span){copy, n}, arena, &input, items, &count, &err) == MR_OK && count == 2)
            assert_true(mr_span_eq(items[0].bytes, mr_span_of("a result")) && mr_span_eq(items[1].bytes, mr_span_of("numbers")));
        free(copy);
        uint8_t *cut = malloc(i + 1);
        memcpy(cut, b.data, i);
        mr_status status = mr_given_unwrap((mr_span){cut, i}, arena, &input, items, &count, &err);
        assert_true(status != MR_OK || count == 0);
        free(cut);
    }
    mr_buf_free(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_given_comes_back_with_the_input),
        cmocka_unit_test(a_bare_input_is_itself),
        cmocka_unit_test(damaged_bytes_are_never_taken_for_what_was_given),
    };
    return cmocka_run_group_tests(tests, open_arena, close_arena);
}
