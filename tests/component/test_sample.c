#include "common/rng.h"
#include "worker/kit/sample.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

enum { ROWS = 1000, WIDTH = 3 };

static void row_of(uint64_t row, double out[WIDTH]) {
    for (int j = 0; j < WIDTH; j++) out[j] = (double)(row * 10 + (uint64_t)j);
}

static void add_range(mr_sample *s, uint64_t from, uint64_t to) {
    double v[WIDTH];
    for (uint64_t i = from; i < to; i++) {
        row_of(i, v);
        assert_int_equal(mr_sample_add(s, i, v, NULL), MR_OK);
    }
    assert_int_equal(mr_sample_sort(s, NULL), MR_OK);
}

static void add_bytes(mr_sample *s, mr_span bytes) {
    mr_unpack u;
    mr_unpack_init(&u, bytes);
    assert_int_equal(mr_sample_add_packed(s, &u, NULL), MR_OK);
    assert_true(mr_unpack_done(&u));
}

static void test_any_cut_gives_the_same_bytes(void **state) {
    (void)state;
    static const size_t sizes[] = {1, 10, 64, 200, ROWS, 2 * ROWS};
    for (size_t z = 0; z < sizeof sizes / sizeof *sizes; z++)
        for (uint64_t step = 1; step <= ROWS; step = step * 4 + 3) {
            mr_arena *arena = mr_arena_new(NULL, 1 << 26);
            mr_buf whole, part, merged;
            mr_sample one, all;
            mr_buf_init(&whole, NULL, 1 << 20);
            mr_buf_init(&part, NULL, 1 << 20);
            mr_buf_init(&merged, NULL, 1 << 20);
            mr_sample_init(&one, arena, 9, sizes[z], WIDTH);
            add_range(&one, 0, ROWS);
            mr_sample_pack(&one, &whole);
            mr_sample_init(&all, arena, 9, sizes[z], WIDTH);
            for (uint64_t at = 0; at < ROWS; at += step) {
                mr_sample some;
                mr_sample_init(&some, arena, 9, sizes[z], WIDTH);
                add_range(&some, at, at + step < ROWS ? at + step : ROWS);
                mr_buf_clear(&part);
                mr_sample_pack(&some, &part);
                add_bytes(&all, mr_buf_span(&part));
            }
            assert_int_equal(mr_sample_sort(&all, NULL), MR_OK);
            mr_sample_pack(&all, &merged);
            assert_true(mr_span_eq(mr_buf_span(&whole), mr_buf_span(&merged)));
            mr_buf_free(&whole);
            mr_buf_free(&part);
            mr_buf_free(&merged);
            mr_arena_free(&arena);
        }
}

static void test_rows_stay_whole_and_in_order(void **state) {
    (void)state;
    mr_arena *arena = mr_arena_new(NULL, 1 << 24);
    mr_sample s;
    mr_sample_init(&s, arena, 4, 100, WIDTH);
    add_range(&s, 0, ROWS);
    assert_int_equal(s.count, 100);
    for (size_t i = 0; i < s.count; i++) {
        double expected[WIDTH];
        row_of(s.row[i], expected);
        assert_memory_equal(s.values + i * WIDTH, expected, sizeof expected);
        assert_true(i == 0 || s.row[i] > s.row[i - 1]);
    }
    mr_arena_free(&arena);
}

/* Each row should be drawn in a tenth of the samples: a chi-square of about ROWS, sd about sqrt(2 ROWS). */
static void test_every_row_is_as_likely(void **state) {
    (void)state;
    enum { TRIALS = 400 };
    static unsigned drawn[ROWS];
    memset(drawn, 0, sizeof drawn);
    for (uint64_t seed = 0; seed < TRIALS; seed++) {
        mr_arena *arena = mr_arena_new(NULL, 1 << 24);
        mr_sample s;
        mr_sample_init(&s, arena, seed, ROWS / 10, WIDTH);
        add_range(&s, 0, ROWS);
        for (size_t i = 0; i < s.count; i++) drawn[s.row[i]]++;
        mr_arena_free(&arena);
    }
    double chi = 0, expected = TRIALS / 10.0;
    for (int i = 0; i < ROWS; i++) chi += (drawn[i] - expected) * (drawn[i] - expected) / (expected * 0.9);
    assert_in_range((uint64_t)chi, ROWS - 180, ROWS + 180);
}

static void test_broken_bytes_are_refused(void **state) {
    (void)state;
    mr_arena *arena = mr_arena_new(NULL, 1 << 20);
    mr_buf b;
    mr_sample s, twice;
    mr_buf_init(&b, NULL, 1 << 20);
    mr_sample_init(&s, arena, 1, 10, WIDTH);
    add_range(&s, 0, 5);
    mr_sample_pack(&s, &b);
    for (size_t n = 0; n < b.len; n++) {
        mr_unpack u;
        mr_sample t;
        mr_sample_init(&t, arena, 1, 10, WIDTH);
        mr_unpack_init(&u, (mr_span){b.data, n});
        assert_int_not_equal(mr_sample_add_packed(&t, &u, NULL), MR_OK);
    }
    mr_sample_init(&twice, arena, 1, 10, WIDTH);
    add_bytes(&twice, mr_buf_span(&b));
    add_bytes(&twice, mr_buf_span(&b));
    assert_int_equal(mr_sample_sort(&twice, NULL), MR_E_CORRUPT);
    mr_buf_free(&b);
    mr_arena_free(&arena);
}

static void test_the_packed_size_is_as_promised(void **state) {
    (void)state;
    for (size_t rows = 1; rows < 300; rows += 37) {
        mr_arena *arena = mr_arena_new(NULL, 1 << 20);
        mr_buf b;
        mr_sample s;
        mr_buf_init(&b, NULL, 1 << 20);
        mr_sample_init(&s, arena, 1, rows, WIDTH);
        add_range(&s, 0, rows);
        mr_sample_pack(&s, &b);
        assert_in_range(b.len, 8 * (WIDTH + 1) * rows, 8 * (WIDTH + 1) * rows + 15);
        assert_true(mr_sample_fits(8 * (WIDTH + 1) * rows + 15, WIDTH) == rows);
        mr_buf_free(&b);
        mr_arena_free(&arena);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_any_cut_gives_the_same_bytes),
        cmocka_unit_test(test_rows_stay_whole_and_in_order),
        cmocka_unit_test(test_every_row_is_as_likely),
        cmocka_unit_test(test_broken_bytes_are_refused),
        cmocka_unit_test(test_the_packed_size_is_as_promised),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
