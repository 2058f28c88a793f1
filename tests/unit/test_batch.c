#include "common/batch.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum { ROWS = 3, WIDTH = 2, ALL = (MR_COL_ITEM << 1) - 1 };

static const double wide[ROWS * WIDTH] = {0.1, 1, -2, 1e300, 0.3, 5};
static const double narrow[ROWS * WIDTH] = {0.5, 1, -2, NAN, -0.0, 16777216};
static const char *const names[WIDTH] = {"one", "two"};
static const double numbers[ROWS] = {0.1, NAN, -3};

static mr_batch example(mr_span texts[ROWS], const double *features) {
    texts[0] = mr_span_of("first");
    texts[1] = (mr_span){NULL, 0};
    texts[2] = mr_span_of("dritte \xc3\xa4");
    mr_batch b = {.first = 1000,
                  .rows = ROWS,
                  .columns = ALL,
                  .width = WIDTH,
                  .features = features,
                  .feature_names = names};
    for (int i = 0; i < MR_TEXT_COLUMNS; i++) b.text[i] = texts;
    for (int i = 0; i < MR_NUMBER_COLUMNS; i++) b.number[i] = numbers;
    return b;
}

static void check_same(const mr_batch *a, const mr_batch *b) {
    assert_int_equal(a->first, b->first);
    assert_int_equal(a->rows, b->rows);
    assert_memory_equal(a->features, b->features, ROWS * WIDTH * sizeof(double));
    assert_string_equal(b->feature_names[1], "two");
    for (int i = 0; i < MR_TEXT_COLUMNS; i++)
        for (int r = 0; r < ROWS; r++) assert_true(mr_span_eq(a->text[i][r], b->text[i][r]));
    for (int i = 0; i < MR_NUMBER_COLUMNS; i++)
        assert_memory_equal(a->number[i], b->number[i], sizeof numbers);
}

static void rows_come_back_bit_for_bit_and_floats_take_half_the_room(void **state) {
    (void)state;
    size_t lengths[2];
    for (int i = 0; i < 2; i++) {
        mr_span texts[ROWS];
        mr_batch in = example(texts, i ? narrow : wide), out;
        mr_buf bytes;
        mr_error err = {0};
        mr_buf_init(&bytes, NULL, 1 << 20);
        mr_arena *arena = mr_arena_new(NULL, 1 << 20);
        assert_int_equal(mr_segment_encode(&in, &bytes), MR_OK);
        lengths[i] = bytes.len;
        assert_int_equal(mr_segment_decode(mr_buf_span(&bytes), ALL, arena, &out, &err), MR_OK);
        check_same(&in, &out);
        mr_arena_free(&arena);
        mr_buf_free(&bytes);
    }
    assert_true(lengths[1] < lengths[0]);
}

static void floats_alone_give_the_same_bytes_as_a_batch(void **state) {
    (void)state;
    static const float floats[ROWS * WIDTH] = {0.5F, 1, -2, NAN, -0.0F, 16777216};
    mr_batch b = {.first = 70000, .rows = ROWS, .columns = MR_COL_FEATURES, .width = WIDTH, .features = narrow, .feature_names = names};
    mr_buf bytes, same;
    mr_buf_init(&bytes, NULL, 1 << 20);
    mr_buf_init(&same, NULL, 1 << 20);
    assert_int_equal(mr_segment_encode(&b, &bytes), MR_OK);
    assert_int_equal(mr_segment_floats(70000, ROWS, WIDTH, names, floats, &same), MR_OK);
    assert_true(mr_span_eq(mr_buf_span(&bytes), mr_buf_span(&same)));
    mr_buf_free(&bytes);
    mr_buf_free(&same);
}

static void only_wanted_columns_are_decoded(void **state) {
    (void)state;
    mr_span texts[ROWS];
    mr_batch in = example(texts, wide), out;
    mr_buf bytes;
    mr_error err = {0};
    mr_buf_init(&bytes, NULL, 1 << 20);
    in.columns = MR_COL_FEATURES | MR_COL_PROMPT | MR_COL_SCORE;
    mr_arena *arena = mr_arena_new(NULL, 1 << 20);
    assert_int_equal(mr_segment_encode(&in, &bytes), MR_OK);
    assert_int_equal(mr_segment_decode(mr_buf_span(&bytes), MR_COL_PROMPT | MR_COL_TIME, arena, &out, &err),
                     MR_OK);
    assert_int_equal(out.columns, MR_COL_PROMPT);
    assert_null(out.features);
    assert_null(out.number[MR_NUM_SCORE]);
    assert_int_equal(out.width, 0);
    assert_true(mr_span_eq(out.text[MR_TEXT_PROMPT][2], texts[2]));
    mr_arena_free(&arena);
    mr_buf_free(&bytes);
}

static void no_rows_are_a_segment_too(void **state) {
    (void)state;
    mr_batch in = {.first = 5, .columns = MR_COL_PROMPT | MR_COL_SCORE | MR_COL_FEATURES, .width = 2}, out;
    mr_buf bytes;
    mr_error err = {0};
    mr_buf_init(&bytes, NULL, 1 << 20);
    mr_arena *arena = mr_arena_new(NULL, 1 << 20);
    assert_int_equal(mr_segment_encode(&in, &bytes), MR_OK);
    assert_int_equal(mr_segment_decode(mr_buf_span(&bytes), ALL, arena, &out, &err), MR_OK);
    assert_int_equal(out.rows, 0);
    mr_arena_free(&arena);
    mr_buf_free(&bytes);
}

/* Every cut and every changed byte: refused or read, never a read outside (ASan looks on). */
static void broken_bytes_are_corrupt_never_worse(void **state) {
    (void)state;
    mr_span texts[ROWS];
    mr_batch in = example(texts, wide), out;
    mr_buf bytes;
    mr_error err;
    mr_buf_init(&bytes, NULL, 1 << 20);
    assert_int_equal(mr_segment_encode(&in, &bytes), MR_OK);
    uint8_t *copy = malloc(bytes.len);
    for (size_t n = 0; n < bytes.len; n++) {
        mr_arena *arena = mr_arena_new(NULL, 1 << 20);
        uint8_t *cut = malloc(n ? n : 1);
        memcpy(cut, bytes.data, n);
        assert_int_equal(mr_segment_decode((mr_span){cut, n}, ALL, arena, &out, &err), MR_E_CORRUPT);
        free(cut);
        memcpy(copy, bytes.data, bytes.len);
        copy[n] = (uint8_t)~copy[n];
        mr_status status = mr_segment_decode((mr_span){copy, bytes.len}, ALL, arena, &out, &err);
        assert_true(status == MR_OK || status == MR_E_CORRUPT);
        mr_arena_free(&arena);
    }
    free(copy);
    mr_buf_free(&bytes);
}

static void without_memory_it_says_so_and_leaks_nothing(void **state) {
    (void)state;
    mr_span texts[ROWS];
    mr_batch in = example(texts, wide), out;
    mr_status status = MR_E_MEMORY;
    for (uint64_t n = 1; status != MR_OK; n++) {
        mr_mem_failing mem;
        mr_error err = {0};
        mr_mem_failing_init(&mem, n);
        mr_buf bytes;
        mr_buf_init(&bytes, &mem.mem, 1 << 20);
        mr_arena *arena = mr_arena_new(&mem.mem, 1 << 20);
        status = arena ? mr_segment_encode(&in, &bytes) : MR_E_MEMORY;
        if (status == MR_OK) status = mr_segment_decode(mr_buf_span(&bytes), ALL, arena, &out, &err);
        assert_true(status == MR_OK || status == MR_E_MEMORY);
        mr_arena_free(&arena);
        mr_buf_free(&bytes);
        assert_int_equal(mem.live, 0);
        assert_true(n < 100);
    }
    mr_buf bytes;
    mr_error err = {0};
    mr_buf_init(&bytes, NULL, 1 << 20);
    assert_int_equal(mr_segment_encode(&in, &bytes), MR_OK);
    mr_arena *small = mr_arena_new(NULL, 64);
    assert_int_equal(mr_segment_decode(mr_buf_span(&bytes), ALL, small, &out, &err), MR_E_MEMORY);
    mr_arena_free(&small);
    mr_buf_free(&bytes);
}

static void each_role_has_its_place(void **state) {
    (void)state;
    uint32_t bits = MR_COL_FEATURES, before = MR_COL_FEATURES;
    for (const mr_column_row *row = mr_column_rows; row->name; row++) {
        assert_true(row->column > before);
        assert_ptr_equal(mr_column_named(row->name), row);
        before = row->column;
        bits |= row->column;
    }
    assert_int_equal(bits, ALL);
    assert_null(mr_column_named("features"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_come_back_bit_for_bit_and_floats_take_half_the_room),
        cmocka_unit_test(floats_alone_give_the_same_bytes_as_a_batch),
        cmocka_unit_test(only_wanted_columns_are_decoded),
        cmocka_unit_test(no_rows_are_a_segment_too),
        cmocka_unit_test(broken_bytes_are_corrupt_never_worse),
        cmocka_unit_test(without_memory_it_says_so_and_leaks_nothing),
        cmocka_unit_test(each_role_has_its_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
