/* Who is connected, and which of them is forgotten. */
#include "broker/io/peers.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

enum { IDLE_MS = 1000 };

static uint32_t add(mr_peers *p, const char *identity, mr_session_state state, uint64_t seen_ms) {
    mr_peer *peer = mr_peer_add(p, mr_span_of(identity));
    assert_non_null(peer);
    peer->state = state;
    peer->seen_ms = seen_ms;
    return peer->number;
}

static void a_client_of_whom_nothing_is_heard_is_forgotten(void **state) {
    (void)state;
    mr_peers p = {0};
    uint32_t old = add(&p, "old", MR_SESSION_CLIENT, 5000), late = add(&p, "late", MR_SESSION_CLIENT, 5001);
    mr_peers_forget_idle(&p, 5001 + IDLE_MS, IDLE_MS);
    assert_null(mr_peer_numbered(&p, old));
    assert_null(mr_peer_from(&p, mr_span_of("old")));
    assert_non_null(mr_peer_numbered(&p, late));
    mr_peers_free(&p);
}

/* The loop reads the clock once a round; a message of that round may have come a moment later. */
static void a_client_that_was_heard_after_the_clock_was_read_stays(void **state) {
    (void)state;
    mr_peers p = {0};
    uint32_t client = add(&p, "client", MR_SESSION_CLIENT, 5001);
    mr_peers_forget_idle(&p, 5000, IDLE_MS);
    assert_non_null(mr_peer_numbered(&p, client));
    mr_peers_free(&p);
}

static void workers_are_left_to_the_core(void **state) {
    (void)state;
    mr_peers p = {0};
    uint32_t worker = add(&p, "worker", MR_SESSION_WORKER, 0);
    mr_peers_forget_idle(&p, 100 * IDLE_MS, IDLE_MS);
    assert_non_null(mr_peer_numbered(&p, worker));
    mr_peers_free(&p);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_client_of_whom_nothing_is_heard_is_forgotten),
        cmocka_unit_test(a_client_that_was_heard_after_the_clock_was_read_stays),
        cmocka_unit_test(workers_are_left_to_the_core),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
