/* limit_zmq: what libzmq alone carries over tcp loopback: a ROUTER hands tasks to four DEALER worker processes, N tasks a
 * message (an envelope of 16 bytes and one frame of bodies), each computes and answers 300 bytes a task. Eight messages are
 * out to each worker, so that none waits for the next.
 * usage: limit_zmq TASKS TASKS_A_MESSAGE copy|reference     reference: bodies are sent from where they lie */
#include "tests/bench/limit.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zmq.h>

enum { AHEAD = 8, ENVELOPE = 16, POOL = 64, ENDPOINT = 64, GROUP_MAX = 4096 };

static void must(bool ok, const char *what) {
    if (!ok) die("%s: %s", what, zmq_strerror(zmq_errno()));
}

static void receive(void *socket, zmq_msg_t *m) { must(zmq_msg_init(m) == 0 && zmq_msg_recv(m, socket, 0) >= 0, "receive"); }

/* ---- a worker ---- */

static void answer_message(void *dealer, size_t group) {
    zmq_msg_t envelope, bodies, answers;
    receive(dealer, &envelope);
    size_t n = (size_t)get_u64((uint8_t *)zmq_msg_data(&envelope) + 8);
    if (n == 0) exit(0);
    receive(dealer, &bodies);
    must(n <= group && zmq_msg_size(&bodies) == n * BODY && zmq_msg_init_size(&answers, n * ANSWER) == 0, "bodies");
    for (size_t i = 0; i < n; i++)
        answer_of((uint8_t *)zmq_msg_data(&bodies) + i * BODY, (uint8_t *)zmq_msg_data(&answers) + i * ANSWER);
    must(zmq_msg_send(&envelope, dealer, ZMQ_SNDMORE) >= 0 && zmq_msg_send(&answers, dealer, 0) >= 0, "answer");
    zmq_msg_close(&bodies);
}

static void work(int endpoint, size_t group) {
    char address[ENDPOINT];
    if (read(endpoint, address, sizeof address) != sizeof address) die("no address");
    void *dealer = zmq_socket(zmq_ctx_new(), ZMQ_DEALER);
    must(dealer && zmq_connect(dealer, address) == 0 && zmq_send(dealer, "ready", 5, 0) == 5, "connect");
    for (;;) answer_message(dealer, group);
}

/* ---- the broker ---- */

typedef struct broker {
    void *router;
    uint8_t *pool; /* bodies of POOL + group tasks, one behind the other */
    size_t tasks, group, sent, done;
    bool reference;
} broker;

static void keep(void *data, void *hint) {
    (void)data;
    (void)hint;
}

/* Tasks sent .. sent + group - 1; their bodies are those of the pool from sent % POOL on. None: the worker ends. */
static void give(broker *b, const void *peer, size_t peer_len) {
    uint8_t envelope[ENVELOPE];
    zmq_msg_t bodies;
    size_t n = b->tasks - b->sent < b->group ? b->tasks - b->sent : b->group;
    uint8_t *from = b->pool + b->sent % POOL * BODY;
    put_u64(envelope, b->sent);
    put_u64(envelope + 8, n);
    must(zmq_send(b->router, peer, peer_len, ZMQ_SNDMORE) >= 0, "send");
    must(zmq_send(b->router, envelope, sizeof envelope, n ? ZMQ_SNDMORE : 0) >= 0, "send");
    if (!n) return;
    if (b->reference) {
        must(zmq_msg_init_data(&bodies, from, n * BODY, keep, NULL) == 0, "bodies");
    } else {
        must(zmq_msg_init_size(&bodies, n * BODY) == 0, "bodies");
        memcpy(zmq_msg_data(&bodies), from, n * BODY);
    }
    must(zmq_msg_send(&bodies, b->router, 0) >= 0, "send");
    b->sent += n;
}

static void take(broker *b) {
    zmq_msg_t peer, envelope, answers;
    receive(b->router, &peer);
    receive(b->router, &envelope);
    if (zmq_msg_size(&envelope) == ENVELOPE) {
        size_t first = (size_t)get_u64(zmq_msg_data(&envelope)), n = (size_t)get_u64((uint8_t *)zmq_msg_data(&envelope) + 8);
        receive(b->router, &answers);
        must(zmq_msg_size(&answers) == n * ANSWER, "answers");
        check_answer(first % POOL, zmq_msg_data(&answers));
        b->done += n;
        zmq_msg_close(&answers);
    }
    if (b->sent < b->tasks) give(b, zmq_msg_data(&peer), zmq_msg_size(&peer));
    zmq_msg_close(&peer);
    zmq_msg_close(&envelope);
}

static void start_workers(broker *b, const int endpoint[2], uint8_t peers[WORKERS][5]) {
    char address[ENDPOINT] = {0};
    size_t len = sizeof address;
    int forever = 0;
    b->router = zmq_socket(zmq_ctx_new(), ZMQ_ROUTER);
    must(b->router && zmq_setsockopt(b->router, ZMQ_SNDHWM, &forever, sizeof forever) == 0, "socket");
    must(zmq_bind(b->router, "tcp://127.0.0.1:*") == 0, "bind");
    must(zmq_getsockopt(b->router, ZMQ_LAST_ENDPOINT, address, &len) == 0, "address");
    for (int i = 0; i < WORKERS; i++) {
        zmq_msg_t hello;
        if (write(endpoint[1], address, sizeof address) != sizeof address) die("no worker");
        if (zmq_recv(b->router, peers[i], 5, 0) != 5) die("a peer's name has another length");
        receive(b->router, &hello);
        zmq_msg_close(&hello);
    }
}

int main(int argc, char **argv) {
    if (argc != 4) die("usage: limit_zmq TASKS TASKS_A_MESSAGE copy|reference");
    broker b = {.tasks = (size_t)number_of(argv[1], 1), .group = (size_t)number_of(argv[2], 1)};
    uint8_t peers[WORKERS][5];
    int endpoint[2], status;
    b.reference = !strcmp(argv[3], "reference");
    if (b.group > GROUP_MAX || pipe(endpoint)) die("a message has at most %d tasks", GROUP_MAX);
    for (int i = 0; i < WORKERS; i++)
        if (!fork()) work(endpoint[0], b.group);
    b.pool = malloc((POOL + b.group) * BODY);
    if (!b.pool) die("no memory");
    for (size_t i = 0; i < POOL + b.group; i++) fill_body(i % POOL, b.pool + i * BODY);
    start_workers(&b, endpoint, peers);
    double start = seconds(), used = processor_seconds();
    for (int i = 0; i < AHEAD * WORKERS && b.sent < b.tasks; i++) give(&b, peers[i % WORKERS], 5);
    while (b.done < b.tasks) take(&b);
    double took = seconds() - start;
    used = processor_seconds() - used;
    for (int i = 0; i < WORKERS; i++) give(&b, peers[i], 5);
    for (int i = 0; i < WORKERS; i++)
        if (wait(&status) < 0 || status) die("a worker failed");
    printf("{\"rate\": %.1f, \"broker_us\": %.3f, \"us\": %.3f}\n", (double)b.tasks / took, used * 1e6 / (double)b.tasks,
           (used + children_seconds()) * 1e6 / (double)b.tasks);
}
