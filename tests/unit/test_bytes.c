#include "broker/io/bytes.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

enum { THREADS = 4, ROUNDS = 5000 };

static void count_release(void *data, void *hint) {
    (void)data;
    __atomic_add_fetch((int *)hint, 1, __ATOMIC_SEQ_CST);
}

static mr_bytes *counted(int *released) {
    mr_net_body body = {"bytes", 5, count_release, released};
    mr_bytes *b = mr_bytes_of_body(&body);
    assert_non_null(b);
    assert_null(body.data);
    return b;
}

static void the_last_owner_releases_the_bytes_once(void **state) {
    (void)state;
    int released = 0;
    mr_bytes *b = counted(&released);
    assert_true(mr_span_eq(mr_bytes_span(b), mr_span_of("bytes")));
    assert_ptr_equal(mr_bytes_share(b), b);
    mr_bytes_drop(b);
    assert_int_equal(released, 0);
    mr_bytes_drop(b);
    assert_int_equal(released, 1);
    mr_bytes_drop(NULL);
}

static void a_body_to_send_is_an_owner_until_it_is_released(void **state) {
    (void)state;
    int released = 0;
    mr_bytes *b = counted(&released);
    mr_net_body one = mr_bytes_body(b), two = mr_bytes_body(b);
    mr_bytes_drop(b);
    assert_ptr_equal(one.data, two.data);
    mr_net_body_free(&one);
    assert_int_equal(released, 0);
    mr_net_body_free(&two);
    assert_int_equal(released, 1);
}

static void a_buffer_becomes_bytes_without_a_copy(void **state) {
    (void)state;
    mr_buf buf;
    mr_buf_init(&buf, NULL, 100);
    mr_buf_text(&buf, "hello");
    const uint8_t *at = buf.data;
    mr_bytes *b = mr_bytes_of_buf(&buf);
    assert_non_null(b);
    assert_int_equal(buf.len, 0);
    assert_ptr_equal(mr_bytes_span(b).data, at);
    assert_true(mr_span_eq(mr_bytes_span(b), mr_span_of("hello")));
    mr_bytes_drop(b);
    mr_buf_free(&buf);
}

static void drop_pieces(mr_net_body *piece, uint32_t n) {
    for (uint32_t i = 0; i < n; i++) mr_net_body_free(&piece[i]);
}

static void parts_that_lie_one_behind_the_other_are_one_piece(void **state) {
    (void)state;
    int released = 0;
    mr_bytes *whole = counted(&released), *other = counted(&released);
    const uint8_t *at = mr_bytes_span(whole).data;
    mr_bytes *by = mr_bytes_part(whole, (mr_span){at, 2}), *te = mr_bytes_part(whole, (mr_span){at + 2, 2});
    mr_bytes *s = mr_bytes_part(whole, (mr_span){at + 4, 1}), *like_s = mr_bytes_part(other, (mr_span){at + 4, 1});
    mr_net_body piece[3];
    mr_bytes_drop(whole);
    assert_int_equal(mr_bytes_append(by, piece, 0), 1);
    assert_int_equal(mr_bytes_append(te, piece, 1), 1);
    assert_int_equal(mr_bytes_append(s, piece, 1), 1);
    assert_ptr_equal(piece[0].data, at);
    assert_int_equal(piece[0].len, 5);
    assert_int_equal(mr_bytes_append(by, piece, 1), 2); /* not behind it */
    assert_int_equal(mr_bytes_append(s, piece, 2), 3);  /* nor this */
    drop_pieces(piece, 3);
    assert_int_equal(mr_bytes_append(te, piece, 0), 1);
    assert_int_equal(mr_bytes_append(like_s, piece, 1), 2); /* of another whole */
    mr_bytes_drop(by);
    mr_bytes_drop(te);
    mr_bytes_drop(s);
    mr_bytes_drop(like_s);
    assert_int_equal(released, 0); /* the pieces keep it */
    drop_pieces(piece, 2);
    assert_int_equal(released, 1);
    assert_int_equal(mr_bytes_append(other, piece, 0), 1); /* a whole one */
    mr_bytes_drop(other);
    assert_int_equal(released, 1);
    drop_pieces(piece, 1);
    assert_int_equal(released, 2);
}

static void *share_and_drop(void *b) {
    for (int i = 0; i < ROUNDS; i++) {
        mr_net_body body = mr_bytes_body(mr_bytes_share(b));
        mr_bytes_drop(b);
        mr_net_body_free(&body);
    }
    mr_bytes_drop(b);
    return NULL;
}

static void threads_share_bytes_and_one_of_them_is_the_last(void **state) {
    (void)state;
    int released = 0;
    pthread_t thread[THREADS];
    mr_bytes *b = counted(&released);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, share_and_drop, mr_bytes_share(b)), 0);
    mr_bytes_drop(b);
    for (int i = 0; i < THREADS; i++) pthread_join(thread[i], NULL);
    assert_int_equal(released, 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_last_owner_releases_the_bytes_once),
        cmocka_unit_test(a_body_to_send_is_an_owner_until_it_is_released),
        cmocka_unit_test(a_buffer_becomes_bytes_without_a_copy),
        cmocka_unit_test(parts_that_lie_one_behind_the_other_are_one_piece),
        cmocka_unit_test(threads_share_bytes_and_one_of_them_is_the_last),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
