/* The set of numbers and the map of the broker's core, each against a plain array. */
#include "broker/core/bits.h"
#include "common/map.h"
#include "common/rng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static void check_bits(const mr_bits *b, const bool *plain, uint32_t size) {
    uint32_t count = 0, first = size;
    for (uint32_t i = size; i-- > 0;) {
        assert_int_equal(mr_bits_has(b, i), plain[i]);
        count += plain[i];
        if (plain[i]) first = i;
    }
    assert_int_equal(b->count, count);
    if (count) assert_int_equal(mr_bits_first(b), first);
}

/* Sizes around the borders of the words of one, two and three levels. */
static void a_set_agrees_with_an_array(void **state) {
    (void)state;
    static const uint32_t sizes[] = {1, 63, 64, 65, 4095, 4096, 4097, 20000};
    mr_rng rng;
    mr_rng_seed(&rng, 3);
    for (size_t n = 0; n < 2 * sizeof sizes / sizeof *sizes; n++) {
        uint32_t size = sizes[n / 2];
        bool *plain = calloc(size, sizeof *plain);
        mr_bits b;
        assert_int_equal(mr_bits_init(&b, NULL, size, n % 2), MR_OK);
        for (uint32_t i = 0; i < size; i++) plain[i] = n % 2;
        check_bits(&b, plain, size);
        for (int k = 0; k < 3000; k++) {
            uint32_t i = (uint32_t)mr_rng_below(&rng, size);
            bool add = mr_rng_below(&rng, 3) == 0;
            assert_int_equal(add ? mr_bits_add(&b, i) : mr_bits_remove(&b, i), plain[i] != add);
            plain[i] = add;
        }
        check_bits(&b, plain, size);
        while (b.count) {
            uint32_t i = mr_bits_first(&b);
            assert_true(plain[i] && mr_bits_remove(&b, i));
            plain[i] = false;
        }
        check_bits(&b, plain, size);
        mr_bits_free(&b, NULL);
        free(plain);
    }
}

static void a_range_is_full_only_with_all_its_members(void **state) {
    (void)state;
    mr_bits b;
    assert_int_equal(mr_bits_init(&b, NULL, 200, true), MR_OK);
    assert_true(mr_bits_has_all(&b, 64, 64));
    assert_true(mr_bits_has_all(&b, 192, 8));
    mr_bits_remove(&b, 100);
    assert_false(mr_bits_has_all(&b, 96, 32));
    assert_true(mr_bits_has_all(&b, 64, 32));
    mr_bits_free(&b, NULL);
}

enum { KEYS = 700 };

/* Keys come and go for long in a map that stays small: what follows a removed key must still be found. */
static void a_map_agrees_with_an_array(void **state) {
    (void)state;
    static int values[KEYS];
    bool there[KEYS] = {false};
    mr_map m = {0};
    mr_rng rng;
    mr_rng_seed(&rng, 4);
    assert_null(mr_map_get(&m, 1));
    for (int k = 0; k < 200000; k++) {
        uint32_t i = (uint32_t)mr_rng_below(&rng, KEYS);
        if (there[i]) {
            mr_map_remove(&m, i);
        } else {
            assert_int_equal(mr_map_reserve(&m, NULL, 1), MR_OK);
            mr_map_put(&m, i, &values[i]);
        }
        there[i] = !there[i];
        uint32_t seen = (uint32_t)mr_rng_below(&rng, KEYS);
        assert_ptr_equal(mr_map_get(&m, seen), there[seen] ? &values[seen] : NULL);
    }
    size_t count = 0;
    for (uint32_t i = 0; i < KEYS; i++) {
        assert_ptr_equal(mr_map_get(&m, i), there[i] ? &values[i] : NULL);
        count += there[i];
    }
    assert_int_equal(m.count, count);
    assert_int_equal(m.cap, 1024);
    mr_map_free(&m, NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_set_agrees_with_an_array),
        cmocka_unit_test(a_range_is_full_only_with_all_its_members),
        cmocka_unit_test(a_map_agrees_with_an_array),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
