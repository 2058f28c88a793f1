/* Peers that do what no program of ours does, by a raw TCP client against the real sockets: each is dropped, memory stays
 * bounded, and a good peer goes on being answered all the while. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/net.h"

enum { FRAME_MAX = 1 << 20, PARTIAL_MAX = 8 << 20, FRESH_BYTES = 2 << 20, FRESH_MAX = 8, WAIT_MS = 20000 };

static size_t resident(void) {
    unsigned long all = 0, pages = 0;
    FILE *f = fopen("/proc/self/statm", "re");
    assert_non_null(f);
    assert_int_equal(fscanf(f, "%lu %lu", &all, &pages), 2);
    fclose(f);
    return pages * (size_t)sysconf(_SC_PAGESIZE);
}

/* ---- a server that answers every message with itself, as the broker's loop would ---- */

typedef struct server {
    mr_net *net;
    mr_socket *router, *friend;
    mr_waker end;
    pthread_t thread;
    atomic_uint ended;
    uint16_t port;
} server;

static void answer_all(server *v, uint64_t now_ms) {
    for (bool got = true; got;) {
        mr_net_msg msg;
        mr_error err;
        mr_status s = mr_net_receive(v->router, &msg, &got, &err);
        if (s == MR_E_PROTOCOL) mr_socket_drop(v->router, msg.conn, now_ms);
        if (s == MR_OK && got) (void)!mr_net_send(v->router, msg.from, msg.envelope, NULL, &err);
        mr_net_msg_free(&msg);
        if (s != MR_OK && s != MR_E_PROTOCOL) return;
    }
}

static void *serve(void *self) {
    server *v = self;
    mr_poll_item items[] = {{.socket = v->router}, {.fd = v->end.fd}};
    mr_error err;
    while (!items[1].readable) {
        (void)!mr_net_poll(items, 2, 20, &err);
        uint64_t now_ms = mr_clock_monotonic_ns() / 1000000;
        answer_all(v, now_ms);
        v->ended += mr_socket_check(v->router, now_ms);
    }
    return NULL;
}

static void start_with(server *v, size_t partial_max, size_t memory_max) {
    mr_error err = {0};
    mr_conns_limits limits = {.partial_max = partial_max, .fresh_bytes = FRESH_BYTES, .fresh_max = FRESH_MAX,
                              .total_max = 64, .memory_max = memory_max};
    mr_net_options options = {.max_frame = FRAME_MAX, .conns = &limits};
    assert_int_equal(mr_net_new(NULL, &v->net, &err), MR_OK);
    assert_int_equal(mr_net_bind(v->net, MR_ROUTER, "tcp://127.0.0.1:*", &options, &v->router, &err), MR_OK);
    v->port = (uint16_t)atoi(strrchr(mr_socket_address(v->router), ':') + 1);
    assert_int_equal(mr_net_connect(v->net, MR_DEALER, mr_socket_address(v->router), NULL, &v->friend, &err), MR_OK);
    assert_int_equal(mr_waker_init(&v->end, &err), MR_OK);
    assert_int_equal(pthread_create(&v->thread, NULL, serve, v), 0);
}

static void stop(server *v) {
    mr_waker_wake(&v->end);
    pthread_join(v->thread, NULL);
    mr_waker_close(&v->end);
    mr_socket_close(&v->friend);
    mr_socket_close(&v->router);
    mr_net_free(&v->net);
}

/* The good peer is answered. */
static void friend_is_served(server *v) {
    mr_poll_item item = {.socket = v->friend};
    mr_net_msg msg;
    mr_error err = {0};
    bool got = false;
    assert_int_equal(mr_net_send(v->friend, (mr_span){0}, mr_span_of("hello"), NULL, &err), MR_OK);
    assert_int_equal(mr_net_poll(&item, 1, WAIT_MS, &err), MR_OK);
    assert_int_equal(mr_net_receive(v->friend, &msg, &got, &err), MR_OK);
    assert_true(got);
    mr_net_msg_free(&msg);
}

/* ---- the raw client ---- */

static int dial(const server *v) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(v->port)};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct timeval limit = {.tv_sec = WAIT_MS / 1000};
    assert_true(fd >= 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit), 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&to, sizeof to), 0);
    return fd;
}

/* False when the other side has ended the connection. */
static bool put(int fd, const void *bytes, size_t n) {
    const char *at = bytes;
    while (n) {
        ssize_t sent = send(fd, at, n, MSG_NOSIGNAL);
        if (sent <= 0) return false;
        at += sent;
        n -= (size_t)sent;
    }
    return true;
}

static bool is_ended(int fd) {
    char sink[4096];
    struct pollfd item = {.fd = fd, .events = POLLIN};
    for (uint64_t until = mr_clock_monotonic_ns() + (uint64_t)WAIT_MS * 1000000; mr_clock_monotonic_ns() < until;) {
        if (poll(&item, 1, 100) <= 0) continue;
        ssize_t n = recv(fd, sink, sizeof sink, MSG_DONTWAIT);
        if (n == 0 || (n < 0 && errno != EAGAIN)) return true;
    }
    return false;
}

/* ZMTP 3.0: greeting with the mechanism NULL, and a READY command (RFC 23). */
static void shake_hands_as(int fd, const char *command, size_t len) {
    uint8_t greeting[64] = {0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0x7f, 3, 0, 'N', 'U', 'L', 'L'};
    uint8_t theirs[64];
    assert_true(put(fd, greeting, sizeof greeting));
    assert_int_equal(recv(fd, theirs, sizeof theirs, MSG_WAITALL), sizeof theirs);
    assert_true(put(fd, command, len));
}

static void shake_hands(int fd) {
    static const char ready[] = "\x04\x1c\x05READY\x0bSocket-Type\0\0\0\x06" "DEALER";
    shake_hands_as(fd, ready, sizeof ready - 1);
}

/* ---- the tests ---- */

static void a_frame_over_the_limit_ends_its_connection(void **state) {
    (void)state;
    server v = {0};
    start_with(&v, PARTIAL_MAX, 0);
    int fd = dial(&v);
    shake_hands(fd);
    static const uint8_t head[] = {0x02, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff, 0xff}; /* 547 GB are to come */
    assert_true(put(fd, head, sizeof head));
    assert_true(is_ended(fd));
    close(fd);
    friend_is_served(&v);
    stop(&v);
}

/* Sends a message that never ends, in frames of `size` bytes of content; how many bytes went out before it was ended. */
static size_t endless(server *v, int fd, size_t size, size_t most) {
    static uint8_t block[1 << 16];
    size_t sent = 0, head = size > 255 ? 9 : 2, n = 0;
    while (n + head + size <= sizeof block) {
        memset(block + n, 0, head + size);
        block[n] = size > 255 ? 0x03 : 0x01; /* MORE, and LONG */
        for (size_t i = 1; i < head; i++) block[n + i] = (uint8_t)(size >> 8 * (head - 1 - i));
        n += head + size;
    }
    while (sent < most && put(fd, block, n)) {
        sent += n;
        if (sent / n % 64 == 0) friend_is_served(v);
    }
    return sent;
}

static void an_endless_message_ends_its_connection_within_the_limit(void **state) {
    (void)state;
    server v = {0};
    start_with(&v, PARTIAL_MAX, 0);
    friend_is_served(&v);
    size_t before = resident();
    int fd = dial(&v);
    shake_hands(fd);
    assert_true(put(fd, "\x00\x02hi", 4)); /* one good message, so that it is no stranger */
    size_t sent = endless(&v, fd, 60000, (size_t)1 << 30);
    assert_true(sent < (size_t)1 << 30);
    size_t after = resident();
    print_message("ended after %zu MiB, %zu MiB more resident\n", sent >> 20, after > before ? (after - before) >> 20 : 0);
    assert_true(is_ended(fd));
    assert_true(v.ended >= 1);
    close(fd);
    friend_is_served(&v);
    stop(&v);
}

static void a_stranger_is_ended_sooner(void **state) {
    (void)state;
    server v = {0};
    start_with(&v, PARTIAL_MAX, 0);
    int fd = dial(&v);
    static const uint8_t greeting[64] = {0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0x7f, 3, 0, 'N', 'U', 'L', 'L'};
    assert_true(put(fd, greeting, sizeof greeting));
    size_t sent = endless(&v, fd, 60000, (size_t)256 << 20); /* no READY: frames in the middle of the handshake */
    assert_true(sent < (size_t)256 << 20);
    assert_true(is_ended(fd));
    close(fd);
    friend_is_served(&v);
    stop(&v);
}

/* Each takes 64 bytes of the library for 2 on the wire, so the limit in bytes alone would come late: it is memory that is
 * looked at. */
static void a_million_tiny_frames_end_their_connection_when_memory_runs_up(void **state) {
    (void)state;
    enum { ROOM = 64 << 20 };
    server v = {0};
    size_t before = resident();
    start_with(&v, (size_t)1 << 40, before + ROOM);
    int fd = dial(&v);
    shake_hands(fd);
    assert_true(put(fd, "\x00\x02hi", 4));
    size_t sent = endless(&v, fd, 0, (size_t)64 << 20);
    print_message("ended after %zu thousand frames, %zu MiB resident before, %zu after\n", sent / 2000, before >> 20,
                  resident() >> 20);
    assert_true(sent < (size_t)64 << 20);
    assert_true(is_ended(fd));
    close(fd);
    friend_is_served(&v);
    stop(&v);
}

static void garbage_ends_its_connection(void **state) {
    (void)state;
    server v = {0};
    start_with(&v, PARTIAL_MAX, 0);
    static const char *const texts[] = {"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 tls",
                                        "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"};
    int fd[4];
    uint8_t noise[4096];
    uint32_t x = 1;
    for (size_t i = 0; i < sizeof noise; i++) noise[i] = (uint8_t)((x = x * 1664525 + 1013904223) >> 24);
    for (size_t i = 0; i < 4; i++) {
        fd[i] = dial(&v);
        put(fd[i], i < 3 ? (const void *)texts[i] : noise, i < 3 ? strlen(texts[i]) : sizeof noise);
    }
    friend_is_served(&v);
    for (size_t i = 0; i < 4; i++) {
        assert_true(is_ended(fd[i]));
        close(fd[i]);
    }
    stop(&v);
}

static void half_open_handshakes_take_no_place_for_long(void **state) {
    (void)state;
    enum { MANY = 5 * FRESH_MAX };
    server v = {0};
    int fd[MANY];
    start_with(&v, PARTIAL_MAX, 0);
    friend_is_served(&v);
    for (int i = 0; i < MANY; i++) fd[i] = dial(&v);
    for (int i = 0; i < MANY - FRESH_MAX; i++) assert_true(is_ended(fd[i])); /* the oldest first, at once */
    friend_is_served(&v);
    mr_socket *late;
    mr_error err = {0};
    mr_net_msg msg;
    bool got = false;
    assert_int_equal(mr_net_connect(v.net, MR_DEALER, mr_socket_address(v.router), NULL, &late, &err), MR_OK);
    assert_int_equal(mr_net_send(late, (mr_span){0}, mr_span_of("new"), NULL, &err), MR_OK);
    mr_poll_item item = {.socket = late};
    assert_int_equal(mr_net_poll(&item, 1, WAIT_MS, &err), MR_OK);
    assert_int_equal(mr_net_receive(late, &msg, &got, &err), MR_OK);
    assert_true(got); /* a new one still comes in */
    mr_net_msg_free(&msg);
    mr_socket_close(&late);
    for (int i = MANY - FRESH_MAX; i < MANY; i++) assert_true(is_ended(fd[i])); /* the library's own limit: 5 s */
    for (int i = 0; i < MANY; i++) close(fd[i]);
    stop(&v);
}

static void a_message_of_too_many_frames_ends_its_connection(void **state) {
    (void)state;
    server v = {0};
    start_with(&v, PARTIAL_MAX, 0);
    int fd = dial(&v);
    shake_hands(fd);
    assert_true(put(fd, "\x01\x01" "a\x01\x01" "b\x00\x01" "c", 9));
    assert_true(is_ended(fd));
    close(fd);
    friend_is_served(&v);
    stop(&v);
}

/* Each subscription takes memory for as long as the follower stays. */
static void a_follower_of_endless_topics_is_ended(void **state) {
    (void)state;
    static const char ready[] = "\x04\x19\x05READY\x0bSocket-Type\0\0\0\x03" "SUB";
    uint8_t subscription[202] = {0x00, 200, 0x01};
    mr_error err = {0};
    server v = {0};
    mr_conns_limits limits = {.partial_max = 1 << 20, .fresh_bytes = 1 << 20, .fresh_max = 4, .total_max = 4};
    mr_net_options options = {.conns = &limits};
    assert_int_equal(mr_net_new(NULL, &v.net, &err), MR_OK);
    assert_int_equal(mr_net_bind(v.net, MR_PUB, "tcp://127.0.0.1:*", &options, &v.router, &err), MR_OK);
    v.port = (uint16_t)atoi(strrchr(mr_socket_address(v.router), ':') + 1);
    int fd = dial(&v);
    shake_hands_as(fd, ready, sizeof ready - 1);
    uint32_t sent = 0;
    for (unsigned ended = 0; !ended && sent < 1000000; sent++) {
        memcpy(subscription + 3, &sent, sizeof sent);
        if (!put(fd, subscription, sizeof subscription)) break;
        if (sent % 1000 == 0) ended = mr_socket_check(v.router, mr_clock_monotonic_ns() / 1000000);
    }
    assert_in_range(sent, 5000, 100000);
    assert_true(is_ended(fd));
    close(fd);
    mr_socket_close(&v.router);
    mr_net_free(&v.net);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_frame_over_the_limit_ends_its_connection),
        cmocka_unit_test(an_endless_message_ends_its_connection_within_the_limit),
        cmocka_unit_test(a_stranger_is_ended_sooner),
        cmocka_unit_test(a_million_tiny_frames_end_their_connection_when_memory_runs_up),
        cmocka_unit_test(garbage_ends_its_connection),
        cmocka_unit_test(half_open_handshakes_take_no_place_for_long),
        cmocka_unit_test(a_message_of_too_many_frames_ends_its_connection),
        cmocka_unit_test(a_follower_of_endless_topics_is_ended),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
