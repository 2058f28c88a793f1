/* The gate before sockets with keys: what is asked, who comes in, and that everything else stays out. The last tests hold
 * the library to what common/net.c relies on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <zmq.h>

#include "common/net.h"

/* ---- the decision ---- */

typedef struct asked {
    mr_key good;
    char domain[32];
    int times;
} asked;

static bool admit_good(void *self, mr_span domain, const mr_key *key, mr_span address) {
    asked *a = self;
    (void)address;
    a->times++;
    snprintf(a->domain, sizeof a->domain, "%.*s", MR_SPAN_ARG(domain));
    return mr_hash_eq(key, &a->good);
}

static void only_an_exact_request_of_a_good_key_comes_in(void **state) {
    (void)state;
    static const mr_key good = {{1, 2, 3}}, bad = {{1, 2, 4}};
    asked a = {.good = good};
    mr_zap_gate gate = {admit_good, &a};
    mr_zap_answer answer;
    const mr_span right[MR_ZAP_FRAMES] = {mr_span_of("1.0"),  mr_span_of("1"), mr_span_of("d"),
                                          mr_span_of("::1"),  {0},             mr_span_of("CURVE"),
                                          {good.bytes, sizeof good.bytes}};
    mr_span frames[MR_ZAP_FRAMES + 1] = {0};
    memcpy(frames, right, sizeof right);
    mr_zap_decide(&gate, frames, MR_ZAP_FRAMES, &answer);
    assert_string_equal(answer.code, "200");
    assert_int_equal(strlen(answer.user), 64);
    assert_string_equal(a.domain, "d");
    static const struct {
        unsigned at;
        const char *text;
    } wrong[] = {{0, "1.1"}, {0, ""}, {5, "NULL"}, {5, "PLAIN"}, {5, "curve"}, {6, "short"}, {6, ""}};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        memcpy(frames, right, sizeof right);
        frames[wrong[i].at] = mr_span_of(wrong[i].text);
        mr_zap_decide(&gate, frames, MR_ZAP_FRAMES, &answer);
        assert_string_equal(answer.code, "400");
        assert_string_equal(answer.user, "");
    }
    memcpy(frames, right, sizeof right);
    for (size_t n = 0; n <= MR_ZAP_FRAMES + 1; n++) {
        if (n == MR_ZAP_FRAMES) continue;
        mr_zap_decide(&gate, frames, n, &answer);
        assert_string_equal(answer.code, "400");
    }
    assert_int_equal(a.times, 1); /* the gate saw none of these */
    frames[6] = (mr_span){bad.bytes, sizeof bad.bytes};
    mr_zap_decide(&gate, frames, MR_ZAP_FRAMES, &answer);
    assert_string_equal(answer.code, "400");
    assert_int_equal(a.times, 2);
}

/* ---- real sockets ---- */

typedef struct place {
    mr_net *net;
    mr_socket *router;
    mr_net_keys server, client;
    asked asked;
    mr_zap_gate gate;
} place;

static bool admit_all(void *self, mr_span domain, const mr_key *key, mr_span address) {
    (void)self;
    (void)domain;
    (void)key;
    (void)address;
    return true;
}

static void open_place(place *p, bool everybody) {
    mr_error err = {0};
    mr_conns_limits limits = {.partial_max = 1 << 20, .fresh_bytes = 1 << 20, .fresh_max = 10, .total_max = 100};
    *p = (place){.server.domain = "test"};
    assert_int_equal(mr_crypto_init(&err), MR_OK);
    assert_int_equal(mr_net_new(NULL, &p->net, &err), MR_OK);
    assert_int_equal(mr_net_new_keys(&p->server.own, &err), MR_OK);
    assert_int_equal(mr_net_new_keys(&p->client.own, &err), MR_OK);
    p->client.server = p->server.own.open;
    p->asked.good = p->client.own.open;
    mr_net_options options = {.keys = &p->server, .conns = &limits};
    assert_int_equal(mr_net_bind(p->net, MR_ROUTER, "tcp://127.0.0.1:*", &options, &p->router, &err), MR_E_DENIED);
    p->gate = (mr_zap_gate){everybody ? admit_all : admit_good, &p->asked};
    assert_int_equal(mr_net_guard(p->net, &p->gate, &err), MR_OK);
    assert_int_equal(mr_net_bind(p->net, MR_ROUTER, "tcp://127.0.0.1:*", &options, &p->router, &err), MR_OK);
}

static void close_place(place *p) {
    mr_socket_close(&p->router);
    mr_net_free(&p->net);
}

static mr_socket *connect_as(place *p, const mr_net_keys *keys, const char *identity) {
    mr_socket *s;
    mr_error err = {0};
    mr_net_options options = {.keys = keys, .linger_ms = 1, .identity = mr_span_of(identity)};
    assert_int_equal(mr_net_connect(p->net, MR_DEALER, mr_socket_address(p->router), &options, &s, &err), MR_OK);
    return s;
}

static bool arrives(mr_socket *s, int wait_ms, mr_net_msg *msg) {
    mr_poll_item item = {.socket = s};
    mr_error err = {0};
    bool got = false;
    assert_int_equal(mr_net_poll(&item, 1, wait_ms, &err), MR_OK);
    assert_int_equal(mr_net_receive(s, msg, &got, &err), MR_OK);
    return got;
}

static void send_text(mr_socket *s, const char *to, const char *text) {
    mr_error err = {0};
    assert_int_equal(mr_net_send(s, mr_span_of(to), mr_span_of(text), NULL, &err), MR_OK);
}

static void a_good_key_comes_in_and_is_told_with_each_message(void **state) {
    (void)state;
    place p;
    mr_net_msg msg;
    char hex[MR_KEY_HEX];
    open_place(&p, false);
    mr_socket *s = connect_as(&p, &p.client, "me");
    mr_hash_hex(&p.client.own.open, hex);
    send_text(s, "", "one");
    assert_true(arrives(p.router, 5000, &msg));
    assert_string_equal(msg.user, hex);
    assert_string_equal(msg.address, "127.0.0.1");
    assert_true(msg.conn >= 0);
    send_text(p.router, "me", "back");
    mr_net_msg_free(&msg);
    assert_true(arrives(s, 5000, &msg));
    mr_net_msg_free(&msg);
    mr_socket_close(&s);
    close_place(&p);
}

/* One after the other: what an unknown key sent would arrive before what the good key sends last. */
static void an_unknown_key_a_plain_peer_and_a_wrong_server_stay_out(void **state) {
    (void)state;
    place p;
    mr_net_msg msg;
    mr_error err = {0};
    open_place(&p, false);
    mr_net_keys unknown = p.client, misled = p.client;
    assert_int_equal(mr_net_new_keys(&unknown.own, &err), MR_OK);
    misled.server = unknown.own.open;
    mr_socket *out[] = {connect_as(&p, &unknown, ""), connect_as(&p, NULL, ""), connect_as(&p, &misled, "")};
    for (size_t i = 0; i < 3; i++) send_text(out[i], "", "secret");
    assert_false(arrives(p.router, 500, &msg));
    mr_socket *s = connect_as(&p, &p.client, "");
    send_text(s, "", "good");
    assert_true(arrives(p.router, 5000, &msg));
    assert_true(mr_span_eq(msg.envelope, mr_span_of("good")));
    mr_net_msg_free(&msg);
    assert_false(arrives(p.router, 100, &msg));
    for (size_t i = 0; i < 3; i++) mr_socket_close(&out[i]);
    mr_socket_close(&s);
    close_place(&p);
}

static void the_proof_passes_a_gate_and_finds_one_that_stands_open(void **state) {
    (void)state;
    place p;
    mr_error err = {0};
    open_place(&p, false);
    assert_int_equal(mr_net_prove_guard(p.net, p.router, &p.server, &err), MR_OK);
    close_place(&p);
    open_place(&p, true);
    assert_int_equal(mr_net_prove_guard(p.net, p.router, &p.server, &err), MR_E_DENIED);
    assert_non_null(strstr(err.text, "was let in"));
    close_place(&p);
}

static void another_with_the_same_routing_id_does_not_get_the_session(void **state) {
    (void)state;
    place p;
    mr_net_msg msg;
    mr_error err = {0};
    open_place(&p, true);
    mr_net_keys thief = p.client;
    assert_int_equal(mr_net_new_keys(&thief.own, &err), MR_OK);
    mr_socket *victim = connect_as(&p, &p.client, "victim");
    send_text(victim, "", "mine");
    assert_true(arrives(p.router, 5000, &msg));
    mr_net_msg_free(&msg);
    mr_socket *s = connect_as(&p, &thief, "victim");
    send_text(s, "", "stolen");
    assert_false(arrives(p.router, 500, &msg));
    send_text(p.router, "victim", "for the victim");
    assert_true(arrives(victim, 5000, &msg));
    mr_net_msg_free(&msg);
    assert_false(arrives(s, 100, &msg));
    mr_socket_close(&s);
    mr_socket_close(&victim);
    close_place(&p);
}

/* ---- what the library must do ---- */

enum handler { NO_HANDLER, SILENT_GARBAGE };

/* Answers one request with something that is no answer. */
static void *garbage(void *rep) {
    zmq_pollitem_t item = {.socket = rep, .events = ZMQ_POLLIN};
    if (zmq_poll(&item, 1, 3000) > 0) {
        char sink[256];
        int more = 1;
        for (size_t len = sizeof more; more; zmq_getsockopt(rep, ZMQ_RCVMORE, &more, &len)) zmq_recv(rep, sink, sizeof sink, 0);
        zmq_send(rep, "200", 3, 0);
    }
    return NULL;
}

static void check_refusal(enum handler handler) {
    void *ctx = zmq_ctx_new(), *server = zmq_socket(ctx, ZMQ_ROUTER), *client = zmq_socket(ctx, ZMQ_DEALER), *rep = NULL;
    char open_key[41], secret[41], mine[41], my_secret[41], address[64], sink[16];
    int one = 1, zero = 0, wait_ms = 500;
    size_t len = sizeof address;
    pthread_t thread;
    assert_int_equal(zmq_curve_keypair(open_key, secret) | zmq_curve_keypair(mine, my_secret), 0);
    if (handler == SILENT_GARBAGE) {
        rep = zmq_socket(ctx, ZMQ_REP);
        assert_int_equal(zmq_bind(rep, "inproc://zeromq.zap.01"), 0);
        assert_int_equal(pthread_create(&thread, NULL, garbage, rep), 0);
    }
    zmq_setsockopt(server, ZMQ_CURVE_SERVER, &one, sizeof one);
    zmq_setsockopt(server, ZMQ_CURVE_SECRETKEY, secret, 40);
    zmq_setsockopt(server, ZMQ_ZAP_DOMAIN, "test", 4);
    assert_int_equal(zmq_setsockopt(server, 93, &one, sizeof one), 0);
    zmq_setsockopt(server, ZMQ_RCVTIMEO, &wait_ms, sizeof wait_ms);
    zmq_setsockopt(client, ZMQ_LINGER, &zero, sizeof zero);
    zmq_setsockopt(client, ZMQ_CURVE_SERVERKEY, open_key, 40);
    zmq_setsockopt(client, ZMQ_CURVE_PUBLICKEY, mine, 40);
    zmq_setsockopt(client, ZMQ_CURVE_SECRETKEY, my_secret, 40);
    assert_int_equal(zmq_bind(server, "tcp://127.0.0.1:*"), 0);
    assert_int_equal(zmq_getsockopt(server, ZMQ_LAST_ENDPOINT, address, &len), 0);
    assert_int_equal(zmq_connect(client, address), 0);
    zmq_send(client, "in", 2, 0);
    assert_int_equal(zmq_recv(server, sink, sizeof sink, 0), -1);
    if (rep) {
        pthread_join(thread, NULL);
        zmq_close(rep);
    }
    zmq_close(client);
    zmq_close(server);
    zmq_ctx_term(ctx);
}

static void without_a_handler_nobody_comes_in(void **state) {
    (void)state;
    check_refusal(NO_HANDLER);
}

static void with_a_broken_handler_nobody_comes_in(void **state) {
    (void)state;
    check_refusal(SILENT_GARBAGE);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_an_exact_request_of_a_good_key_comes_in),
        cmocka_unit_test(a_good_key_comes_in_and_is_told_with_each_message),
        cmocka_unit_test(an_unknown_key_a_plain_peer_and_a_wrong_server_stay_out),
        cmocka_unit_test(the_proof_passes_a_gate_and_finds_one_that_stands_open),
        cmocka_unit_test(another_with_the_same_routing_id_does_not_get_the_session),
        cmocka_unit_test(without_a_handler_nobody_comes_in),
        cmocka_unit_test(with_a_broken_handler_nobody_comes_in),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
