#include "common/net.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <pthread.h>
#include <unistd.h>
#include <zmq.h>

enum { WAIT_MS = 5000 };

typedef struct pair {
    mr_net *net;
    mr_socket *router, *dealer;
} pair;

static int start(void **state) {
    pair *p = calloc(1, sizeof *p);
    mr_net_options options = {.identity = mr_span_of("w1"), .max_frame = 1 << 20};
    mr_error err = {0};
    *state = p;
    if (mr_net_new(NULL, &p->net, &err) ||
        mr_net_bind(p->net, MR_ROUTER, "tcp://127.0.0.1:*", &options, &p->router, &err) ||
        mr_net_connect(p->net, MR_DEALER, mr_socket_address(p->router), &options, &p->dealer, &err)) {
        print_error("%s\n", err.text);
        return -1;
    }
    return 0;
}

static int stop(void **state) {
    pair *p = *state;
    mr_socket_close(&p->dealer);
    mr_socket_close(&p->router);
    mr_net_free(&p->net);
    free(p);
    return 0;
}

static mr_status receive(mr_socket *s, mr_net_msg *msg) {
    mr_error err;
    mr_poll_item item = {.socket = s};
    bool got;
    assert_int_equal(mr_net_poll(&item, 1, WAIT_MS, &err), MR_OK);
    assert_true(item.readable);
    mr_status status = mr_net_receive(s, msg, &got, &err);
    assert_true(got);
    return status;
}

static void count_release(void *data, void *hint) {
    (void)data;
    __atomic_add_fetch((int *)hint, 1, __ATOMIC_SEQ_CST);
}

static void bodies_travel_both_ways_and_can_be_taken_away(void **state) {
    pair *p = *state;
    mr_net_msg msg;
    mr_error err;
    int released = 0;
    mr_net_body body = {"the body", 8, count_release, &released}, taken;
    assert_int_equal(mr_net_send(p->dealer, (mr_span){0}, mr_span_of("hello"), &body, &err), MR_OK);
    assert_null(body.data);
    assert_int_equal(receive(p->router, &msg), MR_OK);
    assert_true(mr_span_eq(msg.from, mr_span_of("w1")));
    assert_true(mr_span_eq(msg.envelope, mr_span_of("hello")));
    assert_true(mr_span_eq(msg.body, mr_span_of("the body")));
    assert_int_equal(mr_net_msg_take_body(&msg, &taken), MR_OK);
    assert_int_equal(mr_net_msg_take_body(&msg, &taken), MR_E_NOT_FOUND);
    assert_int_equal(mr_net_send(p->router, msg.from, mr_span_of("back"), &taken, &err), MR_OK);
    mr_net_msg_free(&msg);
    mr_net_msg_free(&msg);
    assert_int_equal(receive(p->dealer, &msg), MR_OK);
    assert_int_equal(msg.from.len, 0);
    assert_true(mr_span_eq(msg.body, mr_span_of("the body")));
    mr_net_msg_free(&msg);
}

static void a_buffer_becomes_a_body(void **state) {
    pair *p = *state;
    mr_net_msg msg;
    mr_error err;
    mr_buf buf;
    mr_net_body body;
    mr_buf_init(&buf, NULL, 100000);
    for (int i = 0; i < 10000; i++) mr_buf_put(&buf, "0123456789", 10);
    assert_int_equal(mr_net_body_of_buf(&buf, &body), MR_OK);
    assert_int_equal(mr_net_send(p->dealer, (mr_span){0}, mr_span_of("e"), &body, &err), MR_OK);
    assert_int_equal(receive(p->router, &msg), MR_OK);
    assert_int_equal(msg.body.len, 100000);
    mr_net_msg_free(&msg);
}

static void an_unknown_peer_and_a_full_queue_leave_the_body_with_the_sender(void **state) {
    pair *p = *state;
    mr_error err;
    int released = 0;
    mr_net_body body = {"x", 1, count_release, &released};
    assert_int_equal(mr_net_send(p->router, mr_span_of("nobody"), mr_span_of("e"), &body, &err),
                     MR_E_NOT_FOUND);
    assert_int_equal(released, 0);
    mr_socket *lonely;
    mr_net_options options = {.send_queue = 2, .linger_ms = 1};
    assert_int_equal(mr_net_connect(p->net, MR_DEALER, "tcp://127.0.0.1:1", &options, &lonely, &err), MR_OK);
    mr_status status = MR_OK;
    for (int i = 0; i < 10 && status == MR_OK; i++)
        status = mr_net_send(lonely, (mr_span){0}, mr_span_of("e"), NULL, &err);
    assert_int_equal(status, MR_E_FULL);
    assert_int_equal(mr_net_send(lonely, (mr_span){0}, mr_span_of("e"), &body, &err), MR_E_FULL);
    assert_int_equal(released, 0);
    mr_net_body_free(&body);
    assert_int_equal(released, 1);
    mr_socket_close(&lonely);
}

static void messages_of_many_frames_are_dropped_whole(void **state) {
    pair *p = *state;
    mr_net_msg msg;
    void *ctx = zmq_ctx_new(), *raw = zmq_socket(ctx, ZMQ_DEALER);
    assert_int_equal(zmq_connect(raw, mr_socket_address(p->router)), 0);
    for (int i = 0; i < 500; i++) zmq_send(raw, "f", 1, ZMQ_SNDMORE);
    zmq_send(raw, "f", 1, 0);
    zmq_send(raw, "good", 4, 0);
    assert_int_equal(receive(p->router, &msg), MR_E_PROTOCOL);
    assert_true(msg.from.len > 0);
    assert_int_equal(msg.envelope.len, 0);
    mr_net_msg_free(&msg);
    assert_int_equal(receive(p->router, &msg), MR_OK);
    assert_true(mr_span_eq(msg.envelope, mr_span_of("good")));
    assert_false(msg.has_body);
    mr_net_msg_free(&msg);
    zmq_close(raw);
    zmq_ctx_term(ctx);
}

static void a_frame_over_the_limit_is_not_sent(void **state) {
    pair *p = *state;
    mr_error err;
    static uint8_t big[(1 << 20) + 1];
    assert_int_equal(mr_net_send(p->dealer, (mr_span){0}, (mr_span){big, sizeof big}, NULL, &err),
                     MR_E_LIMIT);
}

static void a_topic_reaches_its_subscribers(void **state) {
    pair *p = *state;
    mr_socket *pub, *sub;
    mr_net_msg msg;
    mr_error err;
    bool got = false;
    assert_int_equal(mr_net_bind(p->net, MR_PUB, "tcp://127.0.0.1:*", NULL, &pub, &err), MR_OK);
    assert_int_equal(mr_net_connect(p->net, MR_SUB, mr_socket_address(pub), NULL, &sub, &err), MR_OK);
    assert_int_equal(mr_socket_subscribe(sub, mr_span_of("run."), &err), MR_OK);
    for (int i = 0; i < 500 && !got;
         i++) { /* a subscription takes a moment to arrive; until then nothing is kept */
        mr_poll_item item = {.socket = sub};
        assert_int_equal(mr_net_send(pub, mr_span_of("batch.1"), mr_span_of("no"), NULL, &err), MR_OK);
        assert_int_equal(mr_net_send(pub, mr_span_of("run.1"), mr_span_of("yes"), NULL, &err), MR_OK);
        assert_int_equal(mr_net_poll(&item, 1, 10, &err), MR_OK);
        assert_int_equal(mr_net_receive(sub, &msg, &got, &err), MR_OK);
    }
    assert_true(got);
    assert_true(mr_span_eq(msg.from, mr_span_of("run.1")));
    assert_true(mr_span_eq(msg.envelope, mr_span_of("yes")));
    mr_net_msg_free(&msg);
    mr_socket_close(&sub);
    mr_socket_close(&pub);
}

static void addresses_beyond_this_machine_are_denied(void **state) {
    pair *p = *state;
    static const struct {
        const char *address;
        mr_status status;
    } cases[] = {
        {"tcp://0.0.0.0:5000", MR_E_DENIED},  {"tcp://*:5000", MR_E_DENIED},
        {"tcp://10.0.0.1:5000", MR_E_DENIED}, {"tcp://127.evil.example:5", MR_E_DENIED},
        {"tcp://example.org:5", MR_E_DENIED}, {"tcp://127.0.0.1", MR_E_INVALID},
        {"udp://127.0.0.1:5", MR_E_INVALID},  {"", MR_E_INVALID},
        {"tcp://:5", MR_E_INVALID},           {"tcp://127.0.0.1:99999", MR_E_INVALID},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        mr_socket *s = NULL;
        mr_error err = {0};
        assert_int_equal(mr_net_bind(p->net, MR_ROUTER, cases[i].address, NULL, &s, &err), cases[i].status);
        assert_true(err.text[0]);
    }
}

static void two_on_one_address_is_one_clear_sentence(void **state) {
    pair *p = *state;
    mr_socket *s = NULL, *first;
    mr_error err = {0};
    char folder[] = "/tmp/millrace-net-XXXXXX", address[64];
    assert_int_equal(mr_net_bind(p->net, MR_ROUTER, mr_socket_address(p->router), NULL, &s, &err),
                     MR_E_EXISTS);
    assert_non_null(strstr(err.text, "another process listens on tcp://127.0.0.1:"));
    assert_non_null(mkdtemp(folder));
    snprintf(address, sizeof address, "ipc://%s/s", folder);
    assert_int_equal(mr_net_bind(p->net, MR_ROUTER, address, NULL, &first, &err), MR_OK);
    assert_int_equal(mr_net_bind(p->net, MR_ROUTER, address, NULL, &s, &err), MR_E_EXISTS);
    mr_socket_close(&first);
    unlink(address + strlen("ipc://"));
    rmdir(folder);
}

static void *wake(void *waker) {
    mr_waker_wake(waker);
    return NULL;
}

static void a_waker_ends_a_wait_and_a_timeout_too(void **state) {
    pair *p = *state;
    mr_waker w;
    mr_error err;
    pthread_t thread;
    assert_int_equal(mr_waker_init(&w, &err), MR_OK);
    mr_poll_item items[] = {{.socket = p->router}, {.fd = w.fd}};
    assert_int_equal(mr_net_poll(items, 2, 1, &err), MR_OK);
    assert_false(items[0].readable || items[1].readable);
    assert_int_equal(pthread_create(&thread, NULL, wake, &w), 0);
    assert_int_equal(mr_net_poll(items, 2, WAIT_MS, &err), MR_OK);
    assert_true(items[1].readable);
    pthread_join(thread, NULL);
    mr_waker_clear(&w);
    assert_int_equal(mr_net_poll(items, 2, 0, &err), MR_OK);
    assert_false(items[1].readable);
    mr_waker_close(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(bodies_travel_both_ways_and_can_be_taken_away, start, stop),
        cmocka_unit_test_setup_teardown(a_buffer_becomes_a_body, start, stop),
        cmocka_unit_test_setup_teardown(an_unknown_peer_and_a_full_queue_leave_the_body_with_the_sender,
                                        start, stop),
        cmocka_unit_test_setup_teardown(messages_of_many_frames_are_dropped_whole, start, stop),
        cmocka_unit_test_setup_teardown(a_frame_over_the_limit_is_not_sent, start, stop),
        cmocka_unit_test_setup_teardown(a_topic_reaches_its_subscribers, start, stop),
        cmocka_unit_test_setup_teardown(addresses_beyond_this_machine_are_denied, start, stop),
        cmocka_unit_test_setup_teardown(two_on_one_address_is_one_clear_sentence, start, stop),
        cmocka_unit_test_setup_teardown(a_waker_ends_a_wait_and_a_timeout_too, start, stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
