/* Which connections the check of mr_conns ends, also when their descriptors are given out again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <poll.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/conns.h"

enum { FRESH_BYTES = 1000, PARTIAL_MAX = 1500, MUCH = 2000 };

typedef struct place {
    int listener;
    struct sockaddr_in address;
    mr_conns *conns;
} place;

static void open_place(place *p) {
    static const mr_conns_limits limits = {.partial_max = PARTIAL_MAX, .fresh_bytes = FRESH_BYTES, .fresh_max = 8, .total_max = 8};
    socklen_t len = sizeof p->address;
    char name[64];
    mr_error err;
    p->address = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    p->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(p->listener, (const struct sockaddr *)&p->address, sizeof p->address), 0);
    assert_int_equal(listen(p->listener, 8), 0);
    assert_int_equal(getsockname(p->listener, (struct sockaddr *)&p->address, &len), 0);
    snprintf(name, sizeof name, "tcp://127.0.0.1:%d", ntohs(p->address.sin_port));
    assert_int_equal(mr_conns_new(NULL, &limits, name, &p->conns, &err), MR_OK);
}

static void close_place(place *p) {
    mr_conns_free(&p->conns);
    close(p->listener);
}

static void deliver(int caller, int fd, size_t bytes) {
    static const char zeros[MUCH];
    int there = 0;
    assert_int_equal(send(caller, zeros, bytes, MSG_NOSIGNAL), bytes);
    while ((size_t)there < bytes) {
        struct pollfd item = {.fd = fd, .events = POLLIN};
        assert_int_equal(poll(&item, 1, 10000), 1);
        assert_int_equal(ioctl(fd, FIONREAD, &there), 0);
    }
}

/* A connection whose other end has sent `bytes`; the end that was accepted. */
static int take(const place *p, int *caller, size_t bytes) {
    *caller = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(*caller, (const struct sockaddr *)&p->address, sizeof p->address), 0);
    int fd = accept4(p->listener, NULL, NULL, SOCK_CLOEXEC);
    assert_true(fd >= 0);
    deliver(*caller, fd, bytes);
    return fd;
}

/* One that was there, was heard, and has gone; its number is free. */
static int gone_before(place *p) {
    int caller, fd = take(p, &caller, 0);
    mr_conns_opened(p->conns, fd, 0);
    assert_true(mr_conns_heard(p->conns, fd));
    assert_int_equal(mr_conns_check(p->conns, 1), 0);
    close(fd);
    close(caller);
    return fd;
}

static void a_stranger_that_sends_much_is_ended(void **state) {
    (void)state;
    place p;
    int caller;
    open_place(&p);
    int fd = take(&p, &caller, MUCH);
    mr_conns_opened(p.conns, fd, 0);
    assert_int_equal(mr_conns_check(p.conns, 1), 1);
    close(fd);
    close(caller);
    close_place(&p);
}

/* The library tells of connections on one way and hands out messages on another: the hello of the second is read first. */
static void one_that_is_known_is_measured_now_and_then(void **state) {
    (void)state;
    place p;
    int caller;
    open_place(&p);
    int fd = take(&p, &caller, 0);
    mr_conns_opened(p.conns, fd, 0);
    assert_true(mr_conns_heard(p.conns, fd));
    for (uint64_t ms = 100; ms < 1000; ms += 100) assert_int_equal(mr_conns_check(p.conns, ms), 0);
    deliver(caller, fd, MUCH);
    unsigned ended = 0;
    for (uint64_t ms = 1000; ms < 1800; ms += 100) ended += mr_conns_check(p.conns, ms);
    assert_int_equal(ended, 1);
    close(fd);
    close(caller);
    close_place(&p);
}

static void one_that_spoke_before_it_was_known_under_an_old_number_stays(void **state) {
    (void)state;
    place p;
    int caller;
    open_place(&p);
    int old = gone_before(&p), fd = take(&p, &caller, MUCH);
    assert_int_equal(fd, old);
    assert_true(mr_conns_heard(p.conns, fd));
    mr_conns_closed(p.conns, old);
    mr_conns_opened(p.conns, fd, 2);
    assert_int_equal(mr_conns_check(p.conns, 2), 0);
    assert_int_equal(mr_conns_count(p.conns), 1);
    close(fd);
    close(caller);
    close_place(&p);
}

static void a_stranger_does_not_inherit_what_was_heard_before_a_check(void **state) {
    (void)state;
    place p;
    int caller;
    open_place(&p);
    int old = gone_before(&p);
    mr_conns_closed(p.conns, old);
    assert_int_equal(take(&p, &caller, MUCH), old);
    mr_conns_opened(p.conns, old, 2);
    assert_int_equal(mr_conns_check(p.conns, 2), 1);
    close(old);
    close(caller);
    close_place(&p);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stranger_that_sends_much_is_ended),
        cmocka_unit_test(one_that_is_known_is_measured_now_and_then),
        cmocka_unit_test(one_that_spoke_before_it_was_known_under_an_old_number_stays),
        cmocka_unit_test(a_stranger_does_not_inherit_what_was_heard_before_a_check),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
