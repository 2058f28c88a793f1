/* The CLI's session and its feed of rows, against a broker that is played by a thread. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "broker/cli/feed.h"
#include "common/net.h"
#include "proto/gen/wire.h"

typedef struct player {
    mr_net *net;
    mr_socket *socket;
    mr_waker end;
    pthread_t thread;
    mr_arena *arena;
    atomic_uint full_answers; /* ingest_rows that are answered with E_FULL first */
    atomic_uint refuse_hello;
    atomic_uint calls; /* ingest_rows that were taken */
} player;

static void answer(player *p, mr_span to, mr_buf *envelope, mr_buf *body) {
    mr_error err = {0};
    mr_net_body frame = {0};
    if (body && mr_net_body_of_buf(body, &frame) != MR_OK) return;
    if (mr_net_send(p->socket, to, mr_buf_span(envelope), body ? &frame : NULL, &err) != MR_OK)
        fprintf(stderr, "player: %s\n", err.text);
    mr_net_body_free(&frame);
}

static void greet(player *p, mr_span to) {
    mr_buf b;
    mr_buf_init(&b, NULL, MR_WIRE_ENVELOPE_MAX);
    mr_wire_welcome welcome = {.session = 1,
                               .broker = mr_span_of("player"),
                               .heartbeat_ms = 200,
                               .lost_after_ms = 2000,
                               .events = mr_span_of("ipc://nowhere")};
    mr_wire_refuse refuse = {.status = MR_E_DENIED, .text = mr_span_of("not you"), .fatal = true};
    mr_status status =
        p->refuse_hello ? mr_wire_encode_refuse(&b, &refuse) : mr_wire_encode_welcome(&b, &welcome);
    if (status == MR_OK) answer(p, to, &b, NULL);
    mr_buf_free(&b);
}

/* Rows 1 .. n of a call: the row with line 103 on the wire is refused, the others are stored. */
static void put_taken(mr_buf *body, mr_span rows) {
    mr_unpack u;
    uint32_t count = 0, refused = 0;
    mr_error err;
    mr_unpack_init(&u, rows);
    if (mr_unpack_array(&u, 100000, &count, &err) != MR_OK) count = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint64_t line = 0;
        if (mr_unpack_u64(&u, UINT64_MAX, &line, &err) == MR_OK && line == 103) refused = 1;
    }
    mr_pack_map(body, 3);
    mr_pack_text(body, "stored");
    mr_pack_u64(body, count - refused);
    mr_pack_text(body, "duplicate");
    mr_pack_u64(body, 0);
    mr_pack_text(body, "rejects");
    mr_pack_array(body, refused);
    if (!refused) return;
    mr_pack_array(body, 3);
    mr_pack_u64(body, 103);
    mr_pack_u64(body, 0);
    mr_pack_text(body, "not wanted");
}

static void reply_to(player *p, const mr_net_msg *msg, const mr_wire_call *call) {
    mr_wire_reply reply = {.call = call->call};
    mr_buf b, body;
    mr_buf_init(&b, NULL, MR_WIRE_ENVELOPE_MAX);
    mr_buf_init(&body, NULL, 4096);
    if (call->command == MR_CMD_INGEST_ROWS && p->full_answers) {
        p->full_answers--;
        reply.status = MR_E_FULL;
        reply.text = mr_span_of("later");
    } else if (call->command == MR_CMD_INGEST_ROWS) {
        atomic_fetch_add(&p->calls, 1);
        put_taken(&body, msg->body);
    } else if (call->command == MR_CMD_DATASETS) {
        reply.status = MR_E_UNAVAILABLE;
        reply.text = mr_span_of("the database is away");
    } else {
        mr_pack_map(&body, 0);
    }
    if (mr_wire_encode_reply(&b, &reply) == MR_OK) answer(p, msg->from, &b, body.len ? &body : NULL);
    mr_buf_free(&b);
    mr_buf_free(&body);
}

static void take(player *p, const mr_net_msg *msg) {
    uint8_t type;
    uint32_t version;
    mr_error err;
    mr_wire_call call;
    mr_arena_reset(p->arena);
    if (mr_codec_peek(msg->envelope, &type, &version, &err) != MR_OK) return;
    if (type == MR_MSG_HELLO) greet(p, msg->from);
    if (type == MR_MSG_CALL && mr_wire_decode_call(msg->envelope, p->arena, &call, &err) == MR_OK)
        if (call.command != MR_CMD_DOCTOR) reply_to(p, msg, &call); /* that one never gets an answer */
}

static void *play(void *arg) {
    player *p = arg;
    mr_error err;
    for (;;) {
        mr_poll_item items[2] = {{.socket = p->socket}, {.fd = p->end.fd}};
        if (mr_net_poll(items, 2, -1, &err) != MR_OK || items[1].readable) return NULL;
        for (bool got = true; got;) {
            mr_net_msg msg = {0};
            if (mr_net_receive(p->socket, &msg, &got, &err) == MR_OK && got) take(p, &msg);
            mr_net_msg_free(&msg);
        }
    }
}

static int start_player(void **state) {
    mr_error err;
    player *p = mr_new(NULL, 1, sizeof *p);
    if (!p) return -1;
    p->arena = mr_arena_new(NULL, 1 << 20);
    if (mr_net_new(NULL, &p->net, &err) != MR_OK || mr_waker_init(&p->end, &err) != MR_OK) return -1;
    if (mr_net_bind(p->net, MR_ROUTER, "tcp://127.0.0.1:*", NULL, &p->socket, &err) != MR_OK) return -1;
    *state = p;
    return 0;
}

/* The player is set up by the test before its thread starts. */
static void begin(player *p) { assert_int_equal(pthread_create(&p->thread, NULL, play, p), 0); }

static int stop_player(void **state) {
    player *p = *state;
    mr_waker_wake(&p->end);
    pthread_join(p->thread, NULL);
    mr_socket_close(&p->socket);
    mr_net_free(&p->net);
    mr_waker_close(&p->end);
    mr_arena_free(&p->arena);
    mr_free(NULL, p, 1, sizeof *p);
    return 0;
}

static void calls_are_answered(void **state) {
    player *p = *state;
    mr_client *c;
    mr_span body;
    mr_error err = {0};
    begin(p);
    assert_int_equal(mr_client_open(mr_socket_address(p->socket), 5000, &c, &err), MR_OK);
    assert_string_equal(mr_client_events(c), "ipc://nowhere");
    assert_int_equal(mr_client_call(c, MR_CMD_STATUS, (mr_span){0}, 5000, &body, &err), MR_OK);
    assert_int_equal(body.len, 1);
    mr_client_close(&c);
}

static void an_error_of_the_broker_comes_with_its_sentence(void **state) {
    player *p = *state;
    mr_client *c;
    mr_span body;
    mr_error err = {0};
    begin(p);
    assert_int_equal(mr_client_open(mr_socket_address(p->socket), 5000, &c, &err), MR_OK);
    assert_int_equal(mr_client_call(c, MR_CMD_DATASETS, (mr_span){0}, 5000, &body, &err), MR_E_UNAVAILABLE);
    assert_string_equal(err.text, "the database is away");
    assert_int_equal(mr_client_call(c, MR_CMD_DOCTOR, (mr_span){0}, 150, &body, &err), MR_E_TIMEOUT);
    assert_int_equal(mr_client_call(c, MR_CMD_STATUS, (mr_span){0}, 5000, &body, &err), MR_OK);
    mr_client_close(&c);
}

static void a_refused_hello_is_told(void **state) {
    player *p = *state;
    mr_client *c;
    mr_error err = {0};
    p->refuse_hello = 1;
    begin(p);
    assert_int_equal(mr_client_open(mr_socket_address(p->socket), 5000, &c, &err), MR_E_DENIED);
    assert_non_null(strstr(err.text, "not you"));
    assert_null(c);
}

static void put_row(mr_feed *f, uint64_t line) {
    mr_buf *to;
    mr_error err;
    assert_int_equal(mr_feed_row(f, &line, &to, &err), MR_OK);
    mr_pack_u64(to, line);
    assert_int_equal(mr_feed_added(f, &err), MR_OK);
}

/* 300 files of 1 row, 100 lines each: they share calls, which are sent again after E_FULL, and the row that
 * the broker refuses is found in its file. */
static void small_files_share_calls(void **state) {
    player *p = *state;
    mr_client *c;
    mr_stop stop = {.fd = -1};
    mr_error err = {0};
    mr_feed_file files[300];
    mr_feed *f = mr_new(NULL, 1, sizeof *f);
    p->full_answers = 2;
    begin(p);
    assert_int_equal(mr_client_open(mr_socket_address(p->socket), 5000, &c, &err), MR_OK);
    mr_feed_init(f, c, mr_socket_address(p->socket), &stop, 1, 5000);
    f->join = true;
    for (size_t i = 0; i < 300; i++) {
        files[i] = (mr_feed_file){.name = "file.jsonl"};
        mr_feed_begin(f, &files[i]);
        put_row(f, i == 0 ? 100 : 3); /* the wire's lines: 100, 103, 106 ... */
        assert_int_equal(mr_feed_end(f, &err), MR_OK);
    }
    assert_int_equal(mr_feed_finish(f, &err), MR_OK);
    assert_int_equal(f->read, 300);
    assert_int_equal(f->stored, 299);
    assert_int_equal(f->rejected, 1);
    assert_int_equal(files[1].refused, 1);
    mr_client_close(&c);
    assert_int_equal(atomic_load(&p->calls), 2); /* 256 files, then the rest */
    mr_feed_free(f);
    mr_free(NULL, f, 1, sizeof *f);
}

#define WITH_PLAYER(test) cmocka_unit_test_setup_teardown(test, start_player, stop_player)

int main(void) {
    const struct CMUnitTest tests[] = {
        WITH_PLAYER(calls_are_answered),
        WITH_PLAYER(an_error_of_the_broker_comes_with_its_sentence),
        WITH_PLAYER(a_refused_hello_is_told),
        WITH_PLAYER(small_files_share_calls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
