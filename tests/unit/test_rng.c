#include "common/rng.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static void a_seed_gives_the_same_stream_and_others_differ(void **state) {
    (void)state;
    mr_rng a, b, c;
    mr_rng_stream(&a, 1, 2, 3);
    mr_rng_stream(&b, 1, 2, 3);
    mr_rng_stream(&c, 1, 3, 2);
    int equal = 0;
    for (int i = 0; i < 1000; i++) {
        uint64_t x = mr_rng_next(&a);
        assert_true(x == mr_rng_next(&b));
        equal += x == mr_rng_next(&c);
    }
    assert_int_equal(equal, 0);
}

/* The first three values of xoshiro256** from the state {1, 2, 3, 4}, as computed by hand from its
 * definition: rotl(2 * 5, 7) * 9 = 11520; then s[1] is 0; then s[1] is 262149, and rotl(1310745, 7) * 9 =
 * 1509978240. */
static void the_generator_is_xoshiro256_starstar(void **state) {
    (void)state;
    mr_rng r = {{1, 2, 3, 4}};
    assert_true(mr_rng_next(&r) == 11520);
    assert_true(mr_rng_next(&r) == 0);
    assert_true(mr_rng_next(&r) == 1509978240);
}

/* Bounds at six standard errors; the seed is fixed, so this passes always or never. */
static void draws_have_the_moments_they_should(void **state) {
    (void)state;
    enum { N = 100000 };
    mr_rng r;
    double sum = 0, square = 0, unit = 0;
    int counts[7] = {0};
    mr_rng_seed(&r, 42);
    for (int i = 0; i < N; i++) {
        double z = mr_rng_normal(&r), u = mr_rng_unit(&r);
        assert_true(u >= 0 && u < 1);
        sum += z;
        square += z * z;
        unit += u;
        counts[mr_rng_below(&r, 7)]++;
    }
    assert_true(fabs(sum / N) < 6 / sqrt(N));
    assert_true(fabs(square / N - 1) < 6 * sqrt(2.0 / N));
    assert_true(fabs(unit / N - 0.5) < 6 * sqrt(1 / 12.0 / N));
    for (int i = 0; i < 7; i++) assert_true(fabs(counts[i] - N / 7.0) < 6 * sqrt(N * 6 / 49.0));
}

static void a_shuffle_keeps_every_item(void **state) {
    (void)state;
    mr_rng r;
    uint32_t v[100];
    unsigned moved = 0, seen[100] = {0};
    mr_rng_seed(&r, 7);
    for (uint32_t i = 0; i < 100; i++) v[i] = i;
    mr_rng_shuffle(&r, v, 100);
    for (uint32_t i = 0; i < 100; i++) {
        seen[v[i]]++;
        moved += v[i] != i;
    }
    for (int i = 0; i < 100; i++) assert_int_equal(seen[i], 1);
    assert_true(moved > 80);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_seed_gives_the_same_stream_and_others_differ),
        cmocka_unit_test(the_generator_is_xoshiro256_starstar),
        cmocka_unit_test(draws_have_the_moments_they_should),
        cmocka_unit_test(a_shuffle_keeps_every_item),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
