/* Packets of tasks: what is written is read, and what is not a packet is refused. */
#include "common/batch.h"
#include "common/packet.h"
#include "common/rng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static void add(mr_packet_writer *w, const char *body, const char *id) {
    mr_error err;
    mr_buf_text(mr_packet_body(w), body);
    if (mr_packet_add(w, mr_span_of(id), &err) != MR_OK) fail_msg("%s", err.text);
}

static void finish(mr_packet_writer *w) {
    mr_error err;
    assert_int_equal(mr_packet_finish(w, &err), MR_OK);
}

static void what_is_written_is_read(void **state) {
    (void)state;
    static const char *const bodies[] = {"first", "", "the third"}, *const ids[] = {"a", "", "\xc3\xa4"};
    for (int named = 0; named < 2; named++) {
        mr_packet_writer w;
        mr_packet p;
        mr_packet_cursor at = {0};
        mr_task task;
        mr_error err;
        size_t body_at = 0;
        mr_packet_writer_init(&w, NULL);
        for (int again = 0; again < 2; again++) { /* the second time in the memory of the first */
            mr_packet_clear(&w);
            for (int i = 0; i < 3; i++) add(&w, bodies[i], named ? ids[i] : "");
            finish(&w);
        }
        assert_int_equal(mr_packet_open(mr_buf_span(&w.bytes), &p, &err), MR_OK);
        assert_int_equal(p.count, 3);
        for (uint32_t i = 0; i < 3; i++) {
            mr_task same = mr_packet_at(&p, i, body_at);
            assert_true(mr_packet_next(&p, &at, &task));
            assert_true(mr_span_eq(task.body, mr_span_of(bodies[i])) && mr_span_eq(same.body, task.body));
            assert_true(mr_span_eq(task.id, mr_span_of(named ? ids[i] : "")));
            assert_true(mr_task_whole(&task) && mr_task_whole(&same));
            task.body = mr_span_of("another");
            assert_false(mr_task_whole(&task));
            body_at = at.body_at;
        }
        assert_false(mr_packet_next(&p, &at, &task));
        mr_packet_writer_free(&w);
    }
}

static void a_task_that_does_not_fit_is_left_out(void **state) {
    (void)state;
    mr_packet_writer w;
    mr_packet p;
    mr_error err;
    char id[MR_TASK_ID + 2];
    memset(id, 'i', sizeof id);
    id[MR_TASK_ID + 1] = 0;
    mr_packet_writer_init(&w, NULL);
    add(&w, "one", "");
    mr_buf_text(mr_packet_body(&w), "two");
    assert_int_equal(mr_packet_add(&w, mr_span_of(id), &err), MR_E_INVALID);
    mr_buf_extend(mr_packet_body(&w), MR_TASK_BYTES + 1);
    assert_int_equal(mr_packet_add(&w, mr_span_of(""), &err), MR_E_LIMIT);
    mr_buf_extend(mr_packet_body(&w), MR_PACKET_BYTES);
    assert_int_equal(mr_packet_add(&w, mr_span_of(""), &err), MR_E_LIMIT);
    add(&w, "three", "");
    assert_true(mr_packet_full(&w, MR_TASK_BYTES));
    finish(&w);
    assert_int_equal(mr_packet_open(mr_buf_span(&w.bytes), &p, &err), MR_OK);
    assert_int_equal(p.count, 2);
    assert_int_equal(p.bodies.len, 8);
    mr_packet_clear(&w);
    for (int i = 0; i < MR_PACKET_TASKS; i++) {
        assert_false(mr_packet_full(&w, 0));
        add(&w, "", "");
    }
    assert_true(mr_packet_full(&w, 0));
    assert_int_equal(mr_packet_add(&w, mr_span_of(""), &err), MR_E_LIMIT);
    mr_packet_writer_free(&w);
}

static void refused(mr_span bytes, const char *words) {
    mr_packet p;
    mr_error err;
    assert_int_equal(mr_packet_open(bytes, &p, &err), MR_E_INVALID);
    if (!strstr(err.text, words)) fail_msg("'%s' is not in '%s'", words, err.text);
}

/* The packet with its byte at `at`, counted from the end, made `value`. */
static void spoiled(const mr_packet_writer *w, size_t at, uint8_t value, const char *words) {
    mr_span all = mr_buf_span(&w->bytes);
    uint8_t *copy = malloc(all.len);
    assert_non_null(copy);
    memcpy(copy, all.data, all.len);
    copy[all.len - at] = value;
    refused((mr_span){copy, all.len}, words);
    free(copy);
}

static void what_is_no_packet_is_refused_with_words(void **state) {
    (void)state;
    mr_packet_writer w;
    mr_packet_writer_init(&w, NULL);
    add(&w, "body", "id");
    add(&w, "other", "");
    finish(&w);
    mr_span all = mr_buf_span(&w.bytes);
    refused((mr_span){0}, "do not end with");
    refused((mr_span){all.data, all.len - 1}, "do not end with");
    spoiled(&w, 12, 0, "0 tasks");
    spoiled(&w, 11, 255, "tasks; 1 to");
    spoiled(&w, 12, 200, "too few");
    spoiled(&w, 7, 1, "too few");
    spoiled(&w, 13, 9, "the id of task 1");          /* the length of the second id */
    spoiled(&w, 12 + 4 + 12, 4, "belong to no task"); /* the size of the second body */
    spoiled(&w, 12 + 4 + 12, 6, "longer than what is left");
    spoiled(&w, 12 + 4 + 9, 255, "a task has at most");
    mr_packet_writer_free(&w);
}

static void random_bytes_never_do_harm(void **state) {
    (void)state;
    mr_packet_writer w;
    mr_rng rng;
    mr_packet p;
    mr_error err;
    mr_rng_seed(&rng, 5);
    mr_packet_writer_init(&w, NULL);
    for (int i = 0; i < 5; i++) add(&w, "some bytes", i % 2 ? "name" : "");
    finish(&w);
    for (int n = 0; n < 20000; n++) {
        uint8_t copy[512];
        size_t len = w.bytes.len;
        assert_true(len < sizeof copy);
        memcpy(copy, w.bytes.data, len);
        for (int k = 0; k < 3; k++) copy[mr_rng_below(&rng, len)] = (uint8_t)mr_rng_below(&rng, 256);
        if (mr_packet_open((mr_span){copy, len}, &p, &err) != MR_OK) continue;
        mr_packet_cursor at = {0};
        mr_task task;
        size_t sum = 0;
        while (mr_packet_next(&p, &at, &task)) sum += task.body.len;
        assert_int_equal(sum, p.bodies.len);
    }
    mr_packet_writer_free(&w);
}

/* ---- bodies ---- */

static void a_matrix_needs_only_a_head_to_be_a_segment(void **state) {
    (void)state;
    float matrix[32 * 31];
    mr_buf body;
    mr_batch batch;
    mr_error err;
    uint32_t columns;
    for (int i = 0; i < 32 * 31; i++) matrix[i] = (float)i / 7;
    mr_buf_init(&body, NULL, 1 << 20);
    assert_int_equal(mr_segment_matrix(32, 31, &body), MR_OK);
    size_t head = body.len;
    mr_buf_put(&body, matrix, sizeof matrix);
    assert_int_equal(mr_segment_check(mr_buf_span(&body), &columns, &err), MR_OK);
    assert_int_equal(columns, MR_COL_FEATURES);
    mr_arena *arena = mr_arena_new(NULL, 1 << 20);
    assert_int_equal(mr_segment_decode(mr_buf_span(&body), MR_COL_FEATURES, arena, &batch, &err), MR_OK);
    assert_int_equal(batch.rows, 32);
    assert_int_equal(batch.width, 31);
    for (int i = 0; i < 32 * 31; i++) assert_true(batch.features[i] == (double)matrix[i]);
    body.len -= 4;
    assert_int_equal(mr_segment_check(mr_buf_span(&body), &columns, &err), MR_E_CORRUPT);
    assert_true(head < 40);
    mr_arena_free(&arena);
    mr_buf_free(&body);
}

int main(void) {
    mr_error err;
    if (mr_crypto_init(&err)) return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_read),
        cmocka_unit_test(a_task_that_does_not_fit_is_left_out),
        cmocka_unit_test(what_is_no_packet_is_refused_with_words),
        cmocka_unit_test(random_bytes_never_do_harm),
        cmocka_unit_test(a_matrix_needs_only_a_head_to_be_a_segment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
