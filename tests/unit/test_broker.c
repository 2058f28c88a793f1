/* The whole broker in a thread of this program, with a worker and clients made of common/net.h and proto. */
#include "broker/io/broker.h"
#include "common/clock.h"
#include "common/pack.h"
#include "common/prompt.h"
#include "tests/unit/io_rig.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

enum { ITEMS = 256 };

static const char catalogue[] =
    "[{\"name\": \"echo\", \"version\": 1, \"kind\": \"analyzer\", \"shape\": \"map\", \"tier\": 2, \"columns\": [\"prompt\"],"
    " \"columns_wanted\": [], \"batch_rows\": 0, \"deadline_ms\": 60000, \"options\": [{\"name\": \"depth\", \"type\": \"integer\","
    " \"default\": \"3\", \"min\": 1, \"max\": 9}]},"
    " {\"name\": \"fold\", \"version\": 1, \"kind\": \"learner\", \"shape\": \"merge\", \"tier\": 2, \"columns\": [\"features\"],"
    " \"columns_wanted\": [], \"batch_rows\": 0, \"deadline_ms\": 60000, \"options\": []}]";

/* ---- the broker ---- */

typedef struct served {
    rig *r;
    char folder[64], address[96];
    int64_t lost_after_ms; /* 0: the default */
    mr_broker *b;
    pthread_t thread;
    mr_status status;
    mr_error err;
} served;

static void *serve(void *arg) {
    served *s = arg;
    s->status = mr_broker_start(s->b, &s->err);
    if (s->status == MR_OK) s->status = mr_broker_serve(s->b, &s->err);
    mr_broker_stop(s->b);
    return NULL;
}

static void run_broker(served *s, const char *name) {
    mr_broker_settings *set;
    s->b = mr_new(NULL, 1, sizeof *s->b);
    assert_non_null(s->b);
    s->b->log = s->r->log;
    set = &s->b->settings;
    mr_option_defaults(mr_broker_options, set);
    snprintf(set->name, sizeof set->name, "%s", name);
    snprintf(set->listen, sizeof set->listen, "%s", s->address);
    snprintf(set->events, sizeof set->events, "%s.events", s->address);
    assert_true(strlen(s->r->url) < sizeof set->database_url);
    memcpy(set->database_url, s->r->url, strlen(s->r->url) + 1);
    set->lease_s = 3;
    if (s->lost_after_ms) set->lost_after_ms = s->lost_after_ms;
    set->retry_base_ms = 1;
    set->retry_max_ms = 5;
    set->grace_s = 0;
    assert_int_equal(pthread_create(&s->thread, NULL, serve, s), 0);
}

static mr_status join_broker(served *s) {
    pthread_join(s->thread, NULL);
    mr_free(NULL, s->b, 1, sizeof *s->b);
    s->b = NULL;
    return s->status;
}

/* A folder for the broker's sockets: a path of theirs has at most some 100 bytes. */
static void make_folder(served *s) {
    const char *tmp = getenv("TMPDIR");
    snprintf(s->folder, sizeof s->folder, "%s/mrbXXXXXX", tmp && strlen(tmp) < 40 ? tmp : "/tmp");
    assert_non_null(mkdtemp(s->folder));
    snprintf(s->address, sizeof s->address, "ipc://%s/b", s->folder);
}

static void start_broker(served *s, void **state) {
    *s = (served){.r = rig_of(state)};
    make_folder(s);
    run_broker(s, "first");
}

static void remove_folder(served *s) {
    char path[128];
    snprintf(path, sizeof path, "%s/b", s->folder);
    unlink(path);
    snprintf(path, sizeof path, "%s/b.events", s->folder);
    unlink(path);
    assert_int_equal(rmdir(s->folder), 0);
}

/* ---- peers ---- */

typedef struct party {
    mr_net *net;
    mr_socket *socket;
    mr_arena *arena;
    mr_net_msg msg;
    mr_wire in; /* the last message; borrows from msg */
    mr_buf text;
    uint32_t calls;
    char *said; /* the last answer */
} party;

static void connect_party(party *p, const served *s) {
    mr_error err = {0};
    *p = (party){.arena = mr_arena_new(NULL, 1 << 24)};
    mr_buf_init(&p->text, NULL, 1 << 20);
    assert_int_equal(mr_net_new(NULL, &p->net, &err), MR_OK);
    mr_net_options options = {.max_frame = MR_WIRE_BODY_MAX};
    assert_int_equal(mr_net_connect(p->net, MR_DEALER, s->address, &options, &p->socket, &err), MR_OK);
}

static void leave(party *p) {
    mr_net_msg_free(&p->msg);
    mr_socket_close(&p->socket);
    mr_net_free(&p->net);
    mr_arena_free(&p->arena);
    mr_buf_free(&p->text);
    free(p->said);
}

static void send_raw(party *p, mr_span envelope, mr_span body) {
    mr_error err = {0};
    mr_buf copy;
    mr_net_body b = {0};
    mr_buf_init(&copy, NULL, MR_WIRE_BODY_MAX);
    mr_buf_put(&copy, body.data, body.len);
    if (body.len) assert_int_equal(mr_net_body_of_buf(&copy, &b), MR_OK);
    assert_int_equal(mr_net_send(p->socket, (mr_span){0}, envelope, body.len ? &b : NULL, &err), MR_OK);
}

static void send_wire(party *p, const mr_wire *m, mr_span body) {
    mr_buf envelope;
    mr_buf_init(&envelope, NULL, MR_WIRE_ENVELOPE_MAX);
    assert_int_equal(mr_wire_encode(&envelope, m), MR_OK);
    send_raw(p, mr_buf_span(&envelope), body);
    mr_buf_free(&envelope);
}

static void receive(party *p) {
    mr_error err = {0};
    mr_poll_item item = {.socket = p->socket};
    bool got = false;
    mr_net_msg_free(&p->msg);
    assert_int_equal(mr_net_poll(&item, 1, RIG_WAIT_MS, &err), MR_OK);
    assert_true(item.readable);
    assert_int_equal(mr_net_receive(p->socket, &p->msg, &got, &err), MR_OK);
    assert_true(got);
    mr_arena_reset(p->arena);
    if (mr_wire_decode(p->msg.envelope, p->arena, &p->in, &err) != MR_OK) fail_msg("%s", err.text);
}

/* The next message of that type; what comes before it is passed over. */
static void expect(party *p, mr_msg type) {
    do receive(p);
    while (p->in.type != type);
}

static void hello(party *p, uint8_t role, const char *name) {
    static const mr_wire_offer offers[] = {{.name = {(const uint8_t *)"echo", 4}, .version = 1, .shape = 0},
                                           {.name = {(const uint8_t *)"fold", 4}, .version = 1, .shape = 1}};
    mr_wire m = {.type = MR_MSG_HELLO};
    m.as.hello = (mr_wire_hello){.role = role, .name = mr_span_of(name), .build = mr_span_of("test"), .slots = 1};
    if (role == 1) m.as.hello.offers = offers, m.as.hello.offer_count = 2;
    send_wire(p, &m, role == 1 ? mr_span_of(catalogue) : (mr_span){0});
    expect(p, MR_MSG_WELCOME);
}

static void open_party(party *p, const served *s, uint8_t role, const char *name) {
    connect_party(p, s);
    hello(p, role, name);
}

static mr_status call_with(party *p, mr_command command, mr_span body, const char *args) {
    mr_buf pack;
    mr_wire m = {.type = MR_MSG_CALL};
    mr_buf_init(&pack, NULL, 1 << 17);
    rig_pack(&pack, "%s", args);
    m.as.call = (mr_wire_call){.call = ++p->calls, .command = (uint16_t)command, .args = mr_buf_span(&pack)};
    send_wire(p, &m, body);
    mr_buf_free(&pack);
    do expect(p, MR_MSG_REPLY);
    while (p->in.as.reply.call != p->calls);
    free(p->said);
    p->said = p->in.as.reply.status ? strndup((const char *)p->in.as.reply.text.data, p->in.as.reply.text.len) : rig_json(p->msg.body);
    return (mr_status)p->in.as.reply.status;
}

static mr_status call(party *p, mr_command command, const char *args) { return call_with(p, command, (mr_span){0}, args); }

static void said(const party *p, const char *words) {
    if (!strstr(p->said, words)) fail_msg("'%s' is not in '%s'", words, p->said);
}

static void ingest(party *client, int n) {
    mr_buf rows;
    char text[64];
    long long id;
    if (call(client, MR_CMD_INGEST_BEGIN, "{\"paths\": []}") != MR_OK) fail_msg("%s", client->said);
    assert_int_equal(sscanf(client->said, "{\"ingest\":%lld", &id), 1);
    mr_buf_init(&rows, NULL, 1 << 20);
    mr_pack_array(&rows, (uint32_t)n);
    for (int i = 0; i < n; i++) {
        mr_prompt p;
        mr_prompt_init(&p);
        snprintf(text, sizeof text, "prompt %d", i);
        p.prompt = mr_span_of(text);
        mr_prompt_pack(&rows, &p, (uint64_t)i + 1);
    }
    snprintf(text, sizeof text, "{\"ingest\": %lld, \"file\": \"f\", \"rows\": %d}", id, n);
    if (call_with(client, MR_CMD_INGEST_ROWS, mr_buf_span(&rows), text) != MR_OK) fail_msg("%s", client->said);
    mr_buf_free(&rows);
}

static uint64_t run_of(party *client, const char *component) {
    char text[128];
    unsigned long long run;
    snprintf(text, sizeof text, "{\"components\": [{\"name\": \"%s\"}], \"batch_size\": 2}", component);
    if (call(client, MR_CMD_RUN, text) != MR_OK) fail_msg("%s", client->said);
    assert_int_equal(sscanf(client->said, "{\"run\":%llu", &run), 1);
    return run;
}

static void credit(party *worker, uint32_t amount) {
    mr_wire m = {.type = MR_MSG_CREDIT, .as.credit.amount = amount};
    send_wire(worker, &m, (mr_span){0});
}

/* Waits until `n` items have come; they are copied. */
static void take_work(party *worker, uint32_t n, mr_wire_work_item *items) {
    for (uint32_t have = 0; have < n;) {
        expect(worker, MR_MSG_WORK);
        size_t size = 0;
        for (uint32_t i = 0; i < worker->in.as.work.item_count; i++) {
            assert_true(have < n);
            items[have++] = worker->in.as.work.items[i];
            if (!worker->in.as.work.items[i].inlined) continue;
            mr_span input = {worker->msg.body.data + size, worker->in.as.work.items[i].size};
            size += input.len;
            assert_true(size <= worker->msg.body.len);
            mr_hash hash = mr_hash_of(input);
            assert_true(mr_hash_eq(&hash, &worker->in.as.work.items[i].hash));
        }
    }
}

/* The outcome "rINDEX" of an item, with or without its right hash. */
static void give_result(party *worker, const mr_wire_work_item *item, bool right) {
    char body[32];
    snprintf(body, sizeof body, "%cr%u", 0xa0 + (item->index < 10 ? 2 : 3), item->index);
    mr_wire_result_item out = {.attempt = item->attempt, .run = item->run, .step = item->step, .level = item->level,
                               .index = item->index, .size = strlen(body), .hash = mr_hash_of(mr_span_of(right ? body : "other"))};
    mr_wire m = {.type = MR_MSG_RESULT, .as.result = {.items = &out, .item_count = 1}};
    send_wire(worker, &m, mr_span_of(body));
}

static mr_verdict next_ack(party *worker, uint64_t attempt) {
    for (;;) {
        expect(worker, MR_MSG_ACK);
        for (uint32_t i = 0; i < worker->in.as.ack.item_count; i++)
            if (worker->in.as.ack.items[i].attempt == attempt) return (mr_verdict)worker->in.as.ack.items[i].verdict;
    }
}

static void wait_for(rig *r, const char *sql) {
    for (uint64_t end = mr_clock_monotonic_ns() + (uint64_t)RIG_WAIT_MS * 1000000; mr_clock_monotonic_ns() < end;)
        if (rig_true(r, "%s", sql)) return;
    fail_msg("never: %s", sql);
}

static void stop_broker(served *s, party *client) {
    assert_int_equal(call(client, MR_CMD_STOP, "{}"), MR_OK);
    if (join_broker(s) != MR_OK) fail_msg("%s", s->err.text);
    remove_folder(s);
}

/* ---- tests ---- */

static void rows_go_in_batches_go_out_and_results_are_acknowledged_when_committed(void **state) {
    served s;
    party client, worker;
    mr_wire_work_item item[5];
    start_broker(&s, state);
    open_party(&client, &s, 2, "client");
    assert_int_equal(call(&client, MR_CMD_RUN, "{\"components\": [{\"name\": \"echo\"}]}"), MR_E_UNAVAILABLE);
    said(&client, "no worker has connected");
    open_party(&worker, &s, 1, "worker");
    ingest(&client, 10);
    uint64_t run = run_of(&client, "echo");
    credit(&worker, 5);
    expect(&worker, MR_MSG_STEP);
    assert_int_equal(worker.in.as.step.run, run);
    assert_true(mr_span_eq(worker.in.as.step.component, mr_span_of("echo")));
    char *options = rig_json(worker.in.as.step.options);
    assert_string_equal(options, "{\"depth\":\"3\"}");
    free(options);
    take_work(&worker, 5, item);
    give_result(&worker, &item[0], false);
    expect(&worker, MR_MSG_REFUSE);
    assert_false(worker.in.as.refuse.fatal);
    assert_int_equal(rig_number(s.r, "select count(*) from millrace.result"), 0);
    for (int i = 0; i < 5; i++) {
        give_result(&worker, &item[i], true);
        assert_int_equal(next_ack(&worker, item[i].attempt), MR_COMMITTED);
        assert_int_equal(rig_number(s.r, "select count(*) from millrace.result where attempt = %llu and batch = %u and first_row = %u"
                                         " and row_count = 2 and last and worker = 'worker'",
                                    (unsigned long long)item[i].attempt, item[i].index, 2 * item[i].index), 1);
    }
    wait_for(s.r, "select exists (select 1 from millrace.run_end where state = 'succeeded')");
    char text[64];
    snprintf(text, sizeof text, "{\"id\": %llu}", (unsigned long long)run);
    assert_int_equal(call(&client, MR_CMD_RUN_SHOW, text), MR_OK);
    said(&client, "\"state\":\"succeeded\"");
    said(&client, "[0,\"echo\",1,\"map\",\"succeeded\",5,5,0,0,0]");
    assert_int_equal(call(&client, MR_CMD_STATUS, "{}"), MR_OK);
    said(&client, "\"committed\":5");
    stop_broker(&s, &client);
    expect(&worker, MR_MSG_BYE);
    assert_true(rig_true(s.r, "select bool_and(owner = '') from millrace.partition_lease"));
    leave(&worker);
    leave(&client);
}

static void merges_follow_their_batches(void **state) {
    served s;
    party client, worker;
    mr_wire_work_item item[3], merge;
    start_broker(&s, state);
    open_party(&client, &s, 2, "client");
    open_party(&worker, &s, 1, "worker");
    ingest(&client, 6);
    run_of(&client, "fold");
    credit(&worker, 10);
    take_work(&worker, 3, item);
    for (int i = 0; i < 3; i++) {
        assert_false(item[i].last);
        give_result(&worker, &item[i], true);
    }
    take_work(&worker, 1, &merge);
    assert_int_equal(merge.level, 1);
    assert_true(merge.last);
    give_result(&worker, &merge, true);
    assert_int_equal(next_ack(&worker, merge.attempt), MR_COMMITTED);
    wait_for(s.r, "select exists (select 1 from millrace.run_end where state = 'succeeded')");
    assert_true(rig_true(s.r, "select first_row = 0 and row_count = 6 from millrace.result where level = 1"));
    stop_broker(&s, &client);
    leave(&worker);
    leave(&client);
}

static void the_batches_of_a_worker_that_left_go_to_another_and_its_late_result_is_stale(void **state) {
    served s;
    party client, first, second;
    mr_wire_work_item lost[2], again[2];
    start_broker(&s, state);
    open_party(&client, &s, 2, "client");
    open_party(&first, &s, 1, "first");
    ingest(&client, 4);
    run_of(&client, "echo");
    credit(&first, 2);
    take_work(&first, 2, lost);
    mr_wire bye = {.type = MR_MSG_BYE};
    send_wire(&first, &bye, (mr_span){0});
    open_party(&second, &s, 1, "second");
    credit(&second, 2);
    take_work(&second, 2, again);
    for (int i = 0; i < 2; i++) {
        for (int k = 0; k < 2; k++) assert_int_not_equal(again[i].attempt, lost[k].attempt);
        give_result(&second, &again[i], true);
        assert_int_equal(next_ack(&second, again[i].attempt), MR_COMMITTED);
    }
    hello(&first, 1, "first");
    give_result(&first, &lost[0], true);
    assert_int_not_equal(next_ack(&first, lost[0].attempt), MR_COMMITTED);
    give_result(&second, &again[0], true); /* once more: its acknowledgement was lost, say */
    assert_int_not_equal(next_ack(&second, again[0].attempt), MR_RETRY);
    assert_int_equal(rig_number(s.r, "select count(*) from millrace.result"), 2);
    assert_int_equal(rig_number(s.r, "select count(*) from millrace.result where worker = 'second'"), 2);
    stop_broker(&s, &client);
    leave(&first);
    leave(&second);
    leave(&client);
}

static void the_batches_of_a_silent_worker_go_to_another(void **state) {
    served s = {.r = rig_of(state), .lost_after_ms = 1500};
    party client, first, second;
    mr_wire_work_item lost, again;
    make_folder(&s);
    run_broker(&s, "first");
    open_party(&client, &s, 2, "client");
    open_party(&first, &s, 1, "first");
    ingest(&client, 2);
    run_of(&client, "echo");
    credit(&first, 1);
    take_work(&first, 1, &lost);
    expect(&first, MR_MSG_REFUSE); /* without a word from it */
    assert_true(first.in.as.refuse.fatal);
    assert_int_equal(first.in.as.refuse.status, MR_E_TIMEOUT);
    open_party(&second, &s, 1, "second");
    credit(&second, 1);
    take_work(&second, 1, &again);
    assert_int_equal(again.index, lost.index);
    give_result(&second, &again, true);
    assert_int_equal(next_ack(&second, again.attempt), MR_COMMITTED);
    stop_broker(&s, &client);
    leave(&first);
    leave(&second);
    leave(&client);
}

static void a_released_attempt_goes_to_another_worker(void **state) {
    served s;
    party client, first, second;
    mr_wire_work_item given, again;
    start_broker(&s, state);
    open_party(&client, &s, 2, "client");
    open_party(&first, &s, 1, "first");
    ingest(&client, 2);
    run_of(&client, "echo");
    credit(&first, 1);
    take_work(&first, 1, &given);
    mr_wire release = {.type = MR_MSG_RELEASE, .as.release = {.attempts = &given.attempt, .attempt_count = 1}};
    send_wire(&first, &release, (mr_span){0});
    open_party(&second, &s, 1, "second");
    credit(&second, 1);
    take_work(&second, 1, &again);
    assert_int_equal(again.index, given.index);
    assert_true(again.attempt > given.attempt);
    stop_broker(&s, &client);
    leave(&first);
    leave(&second);
    leave(&client);
}

static void two_results_for_one_batch_that_come_together_leave_one_row(void **state) {
    served s;
    party client, first, second;
    mr_wire_work_item one, two;
    start_broker(&s, state);
    open_party(&client, &s, 2, "client");
    open_party(&first, &s, 1, "first");
    ingest(&client, 2);
    run_of(&client, "echo");
    credit(&first, 1);
    take_work(&first, 1, &one);
    hello(&first, 1, "first"); /* it began again, so its batch is free, but it still has the result */
    open_party(&second, &s, 1, "second");
    credit(&second, 1);
    take_work(&second, 1, &two);
    give_result(&first, &one, true);
    give_result(&second, &two, true);
    mr_verdict a = next_ack(&first, one.attempt), b = next_ack(&second, two.attempt);
    assert_true(a == MR_COMMITTED || b == MR_COMMITTED);
    assert_false(a == MR_COMMITTED && b == MR_COMMITTED);
    wait_for(s.r, "select exists (select 1 from millrace.run_end where state = 'succeeded')");
    assert_int_equal(rig_number(s.r, "select count(*) from millrace.result"), 1);
    stop_broker(&s, &client);
    leave(&first);
    leave(&second);
    leave(&client);
}

static void a_failed_attempt_is_recorded_and_tried_again_until_it_is_given_up(void **state) {
    served s;
    party client, worker;
    mr_wire_work_item item;
    start_broker(&s, state);
    open_party(&client, &s, 2, "client");
    open_party(&worker, &s, 1, "worker");
    ingest(&client, 2);
    uint64_t run = run_of(&client, "echo");
    credit(&worker, 10);
    for (int i = 0; i < 3; i++) {
        take_work(&worker, 1, &item);
        mr_wire_result_item out = {.attempt = item.attempt, .run = item.run, .status = MR_E_INVALID,
                                   .text = mr_span_of("the numbers make no sense")};
        mr_wire m = {.type = MR_MSG_RESULT, .as.result = {.items = &out, .item_count = 1}};
        send_wire(&worker, &m, (mr_span){0});
    }
    wait_for(s.r, "select exists (select 1 from millrace.run_end where state = 'failed')");
    char text[64];
    snprintf(text, sizeof text, "{\"run\": %llu}", (unsigned long long)run);
    assert_int_equal(call(&client, MR_CMD_FAILURES, text), MR_OK);
    said(&client, "the numbers make no sense");
    assert_int_equal(rig_number(s.r, "select count(*) from millrace.attempt_failure where worker = 'worker' and status = 2"), 3);
    assert_int_equal(rig_number(s.r, "select count(*) from millrace.attempt_failure where dead"), 1);
    stop_broker(&s, &client);
    leave(&worker);
    leave(&client);
}

static void a_cancelled_run_ends_and_its_attempts_are_called_back(void **state) {
    served s;
    party client, worker;
    mr_wire_work_item item;
    char text[64];
    start_broker(&s, state);
    open_party(&client, &s, 2, "client");
    open_party(&worker, &s, 1, "worker");
    ingest(&client, 10);
    uint64_t run = run_of(&client, "echo");
    credit(&worker, 1);
    take_work(&worker, 1, &item);
    snprintf(text, sizeof text, "{\"id\": %llu}", (unsigned long long)run);
    assert_int_equal(call(&client, MR_CMD_CANCEL, text), MR_OK);
    expect(&worker, MR_MSG_CANCEL);
    assert_int_equal(worker.in.as.cancel.attempt_count, 1);
    assert_true(worker.in.as.cancel.attempts[0] == item.attempt);
    assert_true(rig_true(s.r, "select state = 'cancelled' and reason = 'cancelled by client' from millrace.run_end"));
    assert_int_equal(call(&client, MR_CMD_CANCEL, text), MR_E_NOT_FOUND);
    stop_broker(&s, &client);
    leave(&worker);
    leave(&client);
}

static void inputs_are_fetched_in_parts_while_their_work_is_out(void **state) {
    served s;
    party client, worker;
    mr_wire_work_item item;
    start_broker(&s, state);
    open_party(&client, &s, 2, "client");
    open_party(&worker, &s, 1, "worker");
    ingest(&client, 2);
    run_of(&client, "echo");
    credit(&worker, 1);
    take_work(&worker, 1, &item);
    mr_buf all;
    mr_buf_init(&all, NULL, 1 << 20);
    for (uint32_t at = 0; at < item.size; at += 50) {
        mr_wire m = {.type = MR_MSG_FETCH, .as.fetch = {.request = at, .attempt = item.attempt, .offset = at, .length = 50}};
        send_wire(&worker, &m, (mr_span){0});
        expect(&worker, MR_MSG_BLOB);
        assert_int_equal(worker.in.as.blob.status, 0);
        assert_int_equal(worker.in.as.blob.request, at);
        assert_int_equal(worker.in.as.blob.total, item.size);
        mr_buf_put(&all, worker.msg.body.data, worker.msg.body.len);
    }
    mr_hash hash = mr_hash_of(mr_buf_span(&all));
    assert_true(mr_hash_eq(&hash, &item.hash));
    mr_buf_free(&all);
    mr_wire beyond = {.type = MR_MSG_FETCH, .as.fetch = {.attempt = item.attempt, .offset = UINT64_MAX, .length = UINT32_MAX}};
    send_wire(&worker, &beyond, (mr_span){0});
    expect(&worker, MR_MSG_BLOB);
    assert_int_equal(worker.msg.body.len, 0);
    mr_wire unknown = {.type = MR_MSG_FETCH, .as.fetch = {.attempt = 12345, .length = 10}};
    send_wire(&worker, &unknown, (mr_span){0});
    expect(&worker, MR_MSG_BLOB);
    assert_int_equal(worker.in.as.blob.status, MR_E_NOT_FOUND);
    stop_broker(&s, &client);
    leave(&worker);
    leave(&client);
}

static void wrong_commands_and_runs_are_refused_with_words(void **state) {
    static const struct {
        mr_command command;
        const char *args, *words;
        mr_status status;
    } wrong[] = {
        {MR_CMD_RUN, "{\"components\": [{\"name\": \"ecko\"}]}", "did you mean 'echo'", MR_E_NOT_FOUND},
        {MR_CMD_RUN, "{\"components\": []}", "at least one component", MR_E_INVALID},
        {MR_CMD_RUN, "{\"components\": [5]}", "needs a name", MR_E_INVALID},
        {MR_CMD_RUN, "{\"components\": [{\"name\": \"echo\", \"options\": {\"depth\": \"10\"}}]}", "depth", MR_E_INVALID},
        {MR_CMD_RUN, "{\"components\": [{\"name\": \"echo\"}], \"batch_size\": 0}", "batch size", MR_E_INVALID},
        {MR_CMD_RUN, "{\"components\": [{\"name\": \"echo\"}], \"roles\": {\"nothing\": \"x\"}}", "no role", MR_E_USAGE},
        {MR_CMD_RUN, "{\"components\": [{\"name\": \"echo\"}], \"dataset\": \"none\"}", "no data set", MR_E_NOT_FOUND},
        {MR_CMD_RUN, "{\"components\": [{\"name\": \"echo\"}]}", "no rows", MR_E_INVALID},
        {MR_CMD_RUN_SHOW, "{\"id\": 999}", "no run 999", MR_E_NOT_FOUND},
        {MR_CMD_RUN_SHOW, "{}", "id", MR_E_INVALID},
        {MR_CMD_RUN_SHOW, "{\"id\": 1, \"more\": 1}", "more", MR_E_INVALID},
        {MR_CMD_ARTIFACT, "{\"hash\": \"short\"}", "64 hex digits", MR_E_INVALID},
        {(mr_command)9999, "{}", "no command", MR_E_PROTOCOL},
    };
    served s;
    party client, worker;
    start_broker(&s, state);
    open_party(&worker, &s, 1, "worker");
    open_party(&client, &s, 2, "client");
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_int_equal(call(&client, wrong[i].command, wrong[i].args), wrong[i].status);
        said(&client, wrong[i].words);
    }
    static const mr_command views[] = {MR_CMD_STATUS, MR_CMD_WORKERS, MR_CMD_COMPONENTS, MR_CMD_CONFIG, MR_CMD_DOCTOR};
    for (size_t i = 0; i < sizeof views / sizeof *views; i++) assert_int_equal(call(&client, views[i], "{}"), MR_OK);
    assert_int_equal(call(&client, MR_CMD_COMPONENTS, "{}"), MR_OK);
    said(&client, "[\"echo\",1,\"analyzer\",\"map\",2,1]");
    stop_broker(&s, &client);
    leave(&worker);
    leave(&client);
}

/* Every message type, empty, in every state: refused or taken, and the broker lives. */
static void no_message_of_a_wrong_state_does_harm(void **state) {
    served s;
    party client;
    start_broker(&s, state);
    open_party(&client, &s, 2, "client");
    for (unsigned type = 1; type < 45; type++) {
        for (uint8_t role = 0; role <= 2; role++) {
            party p;
            mr_wire m = {.type = (mr_msg)type};
            if (!mr_wire_shape((uint8_t)type)) continue;
            connect_party(&p, &s);
            if (role) hello(&p, role, "p");
            send_wire(&p, &m, (mr_span){0});
            mr_session_state st = role == 1 ? MR_SESSION_WORKER : role == 2 ? MR_SESSION_CLIENT : MR_SESSION_NEW;
            if (!mr_session_accepts(st, (uint8_t)type)) {
                expect(&p, MR_MSG_REFUSE);
                assert_true(p.in.as.refuse.fatal);
                assert_int_equal(p.in.as.refuse.status, MR_E_PROTOCOL);
            }
            leave(&p);
        }
    }
    assert_int_equal(call(&client, MR_CMD_STATUS, "{}"), MR_OK);
    stop_broker(&s, &client);
    leave(&client);
}

static void broken_messages_are_refused_and_end_the_session(void **state) {
    static const char *const broken[] = {"", "x", "\x93\x01", "\xdd\xff\xff\xff\xff", "\x92\x1e\x63"};
    served s;
    party client, p;
    start_broker(&s, state);
    open_party(&client, &s, 2, "client");
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
        open_party(&p, &s, 2, "p");
        send_raw(&p, mr_span_of(broken[i]), (mr_span){0});
        expect(&p, MR_MSG_REFUSE);
        assert_true(p.in.as.refuse.fatal);
        mr_wire call_late = {.type = MR_MSG_CALL, .as.call = {.call = 1, .command = MR_CMD_STATUS}};
        send_wire(&p, &call_late, (mr_span){0});
        expect(&p, MR_MSG_REFUSE);
        leave(&p);
    }
    stop_broker(&s, &client);
    leave(&client);
}

static void a_worker_whose_hello_makes_no_sense_is_refused(void **state) {
    static const struct {
        uint8_t role;
        const char *name, *body;
    } bad[] = {{0, "x", ""}, {3, "x", ""}, {1, "", catalogue}, {1, "x", "{}"}, {1, "x", "[1, "}, {1, "x", ""},
               {1, "a-name-of-sixty-four-bytes-which-is-one-more-than-what-is-possible", catalogue}};
    served s;
    party client;
    start_broker(&s, state);
    open_party(&client, &s, 2, "client");
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        party p;
        connect_party(&p, &s);
        mr_wire m = {.type = MR_MSG_HELLO};
        m.as.hello = (mr_wire_hello){.role = bad[i].role, .slots = 1,
                                     .name = mr_codec_text_cut(mr_span_of(bad[i].name), MR_MAX_HELLO_NAME)};
        send_wire(&p, &m, mr_span_of(bad[i].body));
        receive(&p);
        assert_int_equal(p.in.type, MR_MSG_REFUSE);
        assert_true(p.in.as.refuse.fatal);
        leave(&p);
    }
    assert_int_equal(call(&client, MR_CMD_WORKERS, "{}"), MR_OK);
    said(&client, "\"rows\":[]");
    stop_broker(&s, &client);
    leave(&client);
}

static void a_run_that_was_under_way_goes_on_with_the_next_broker(void **state) {
    served s;
    party client, worker;
    mr_wire_work_item item[3], rest[4];
    start_broker(&s, state);
    open_party(&client, &s, 2, "client");
    open_party(&worker, &s, 1, "worker");
    ingest(&client, 10);
    run_of(&client, "echo");
    credit(&worker, 3); /* two more are loaded ahead */
    take_work(&worker, 3, item);
    give_result(&worker, &item[0], true);
    assert_int_equal(next_ack(&worker, item[0].attempt), MR_COMMITTED);
    assert_int_equal(call(&client, MR_CMD_STOP, "{}"), MR_OK);
    assert_int_equal(join_broker(&s), MR_OK);
    leave(&worker);
    leave(&client);
    run_broker(&s, "second");
    open_party(&client, &s, 2, "client");
    open_party(&worker, &s, 1, "worker");
    credit(&worker, 10);
    take_work(&worker, 4, rest);
    for (int i = 0; i < 4; i++) {
        assert_int_not_equal(rest[i].index, item[0].index);
        assert_true(rest[i].attempt > item[2].attempt);
        give_result(&worker, &rest[i], true);
    }
    wait_for(s.r, "select exists (select 1 from millrace.run_end where state = 'succeeded')");
    assert_int_equal(rig_number(s.r, "select count(*) from millrace.result"), 5);
    stop_broker(&s, &client);
    leave(&worker);
    leave(&client);
}

static void a_second_broker_does_not_start_and_one_that_lost_its_lease_stops(void **state) {
    served s, other;
    party client;
    start_broker(&s, state);
    open_party(&client, &s, 2, "client");
    other = s;
    snprintf(other.address, sizeof other.address, "ipc://%s/c", s.folder);
    run_broker(&other, "second");
    assert_int_equal(join_broker(&other), MR_E_CONFLICT);
    assert_non_null(strstr(other.err.text, "'first'"));
    char path[128];
    snprintf(path, sizeof path, "%s/c", s.folder);
    unlink(path);
    snprintf(path, sizeof path, "%s/c.events", s.folder);
    unlink(path);
    rig_sql(s.r, "update millrace.partition_lease set owner = 'second', epoch = epoch + 1, expires_at = now() + interval '1 h'");
    /* It finds out when it writes, or when it renews. */
    assert_int_equal(join_broker(&s), MR_E_CONFLICT);
    assert_non_null(strstr(s.err.text, "taken over"));
    remove_folder(&s);
    leave(&client);
}

static void a_name_in_another_script_is_cut_at_a_character(void **state) {
    served s = {.r = rig_of(state)};
    party client;
    char name[121] = "";
    for (int i = 0; i < 40; i++) strcat(name, "\xe7\xa3\xa8");
    make_folder(&s);
    run_broker(&s, name);
    open_party(&client, &s, 2, "client");
    assert_int_equal(client.in.as.welcome.broker.len, 63);
    stop_broker(&s, &client);
    leave(&client);
}

static void a_database_without_the_schema_is_told_so(void **state) {
    served s;
    char url[SERVICES_URL];
    mr_error err = {0};
    s = (served){.r = rig_of(state)};
    rig bare = *s.r;
    assert_int_equal(services_database_new(url, &err), MR_OK);
    snprintf(bare.url, sizeof bare.url, "%s", url);
    s.r = &bare;
    make_folder(&s);
    run_broker(&s, "first");
    assert_int_equal(join_broker(&s), MR_E_NOT_FOUND);
    assert_non_null(strstr(s.err.text, "millrace migrate up"));
    services_database_drop(url);
    remove_folder(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_go_in_batches_go_out_and_results_are_acknowledged_when_committed),
        cmocka_unit_test(merges_follow_their_batches),
        cmocka_unit_test(the_batches_of_a_worker_that_left_go_to_another_and_its_late_result_is_stale),
        cmocka_unit_test(the_batches_of_a_silent_worker_go_to_another),
        cmocka_unit_test(a_released_attempt_goes_to_another_worker),
        cmocka_unit_test(two_results_for_one_batch_that_come_together_leave_one_row),
        cmocka_unit_test(a_failed_attempt_is_recorded_and_tried_again_until_it_is_given_up),
        cmocka_unit_test(a_cancelled_run_ends_and_its_attempts_are_called_back),
        cmocka_unit_test(inputs_are_fetched_in_parts_while_their_work_is_out),
        cmocka_unit_test(wrong_commands_and_runs_are_refused_with_words),
        cmocka_unit_test(no_message_of_a_wrong_state_does_harm),
        cmocka_unit_test(broken_messages_are_refused_and_end_the_session),
        cmocka_unit_test(a_worker_whose_hello_makes_no_sense_is_refused),
        cmocka_unit_test(a_run_that_was_under_way_goes_on_with_the_next_broker),
        cmocka_unit_test(a_second_broker_does_not_start_and_one_that_lost_its_lease_stops),
        cmocka_unit_test(a_name_in_another_script_is_cut_at_a_character),
        cmocka_unit_test(a_database_without_the_schema_is_told_so),
    };
    return cmocka_run_group_tests(tests, rig_start, rig_stop);
}
