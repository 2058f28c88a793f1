#include "tests/unit/broker_rig.h"

#include "common/clock.h"
#include "common/pack.h"
#include "common/prompt.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>


const char rig_catalogue[] =
    "[{\"name\": \"echo\", \"version\": 1, \"kind\": \"analyzer\", \"shape\": \"map\", \"tier\": 2, "
    "\"columns\": [\"prompt\"],"
    " \"columns_wanted\": [], \"batch_rows\": 0, \"deadline_ms\": 60000, \"options\": [{\"name\": \"depth\", "
    "\"type\": \"integer\","
    " \"default\": \"3\", \"min\": 1, \"max\": 9}]},"
    " {\"name\": \"fold\", \"version\": 1, \"kind\": \"learner\", \"shape\": \"merge\", \"tier\": 2, "
    "\"columns\": [\"features\"],"
    " \"columns_wanted\": [], \"batch_rows\": 0, \"deadline_ms\": 60000, \"options\": []}]";

/* ---- the broker ---- */


static void *serve(void *arg) {
    served *s = arg;
    s->status = mr_broker_start(s->b, &s->err);
    if (s->status == MR_OK) s->status = mr_broker_serve(s->b, &s->err);
    mr_broker_stop(s->b);
    return NULL;
}

void rig_run_broker(served *s, const char *name) {
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
    if (s->max_runs) set->max_runs = s->max_runs;
    set->retry_base_ms = 1;
    set->retry_max_ms = 5;
    set->grace_s = 0;
    assert_int_equal(pthread_create(&s->thread, NULL, serve, s), 0);
}

mr_status rig_join_broker(served *s) {
    pthread_join(s->thread, NULL);
    mr_free(NULL, s->b, 1, sizeof *s->b);
    s->b = NULL;
    return s->status;
}

/* A folder for the broker's sockets: a path of theirs has at most some 100 bytes. */
void rig_make_folder(served *s) {
    const char *tmp = getenv("TMPDIR");
    snprintf(s->folder, sizeof s->folder, "%s/mrbXXXXXX", tmp && strlen(tmp) < 40 ? tmp : "/tmp");
    assert_non_null(mkdtemp(s->folder));
    snprintf(s->address, sizeof s->address, "ipc://%s/b", s->folder);
}

void rig_start_broker(served *s, void **state) {
    *s = (served){.r = rig_of(state)};
    rig_make_folder(s);
    rig_run_broker(s, "first");
}

void rig_remove_folder(served *s) {
    char path[128];
    snprintf(path, sizeof path, "%s/b", s->folder);
    unlink(path);
    snprintf(path, sizeof path, "%s/b.events", s->folder);
    unlink(path);
    assert_int_equal(rmdir(s->folder), 0);
}

/* ---- peers ---- */


void rig_connect_party(party *p, const served *s) {
    mr_error err = {0};
    *p = (party){.arena = mr_arena_new(NULL, 1 << 24)};
    mr_buf_init(&p->text, NULL, 1 << 20);
    assert_int_equal(mr_net_new(NULL, &p->net, &err), MR_OK);
    mr_net_options options = {.max_frame = MR_WIRE_BODY_MAX};
    assert_int_equal(mr_net_connect(p->net, MR_DEALER, s->address, &options, &p->socket, &err), MR_OK);
}

void rig_leave(party *p) {
    mr_net_msg_free(&p->msg);
    mr_socket_close(&p->socket);
    mr_net_free(&p->net);
    mr_arena_free(&p->arena);
    mr_buf_free(&p->text);
    free(p->said);
}

void rig_send_raw(party *p, mr_span envelope, mr_span body) {
    mr_error err = {0};
    mr_buf copy;
    mr_net_body b = {0};
    mr_buf_init(&copy, NULL, MR_WIRE_BODY_MAX);
    mr_buf_put(&copy, body.data, body.len);
    if (body.len) assert_int_equal(mr_net_body_of_buf(&copy, &b), MR_OK);
    assert_int_equal(mr_net_send(p->socket, (mr_span){0}, envelope, body.len ? &b : NULL, &err), MR_OK);
}

void rig_send_wire(party *p, const mr_wire *m, mr_span body) {
    mr_buf envelope;
    mr_buf_init(&envelope, NULL, MR_WIRE_ENVELOPE_MAX);
    assert_int_equal(mr_wire_encode(&envelope, m), MR_OK);
    rig_send_raw(p, mr_buf_span(&envelope), body);
    mr_buf_free(&envelope);
}

void rig_receive(party *p) {
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
void rig_expect(party *p, mr_msg type) {
    do rig_receive(p);
    while (p->in.type != type);
}

static void hello(party *p, uint8_t role, const char *name, uint32_t span) {
    static const mr_wire_offer offers[] = {{.name = {(const uint8_t *)"echo", 4}, .version = 1, .shape = 0},
                                           {.name = {(const uint8_t *)"fold", 4}, .version = 1, .shape = 1}};
    mr_wire m = {.type = MR_MSG_HELLO};
    m.as.hello =
        (mr_wire_hello){.role = role, .name = mr_span_of(name), .build = mr_span_of("test"), .slots = 1, .span = span};
    if (role == 1) m.as.hello.offers = offers, m.as.hello.offer_count = 2;
    rig_send_wire(p, &m, role == 1 ? mr_span_of(rig_catalogue) : (mr_span){0});
    rig_expect(p, MR_MSG_WELCOME);
}

void rig_hello(party *p, uint8_t role, const char *name) { hello(p, role, name, 0); }
void rig_hello_spans(party *p, const char *name, uint32_t span) { hello(p, 1, name, span); }

void rig_open_party(party *p, const served *s, uint8_t role, const char *name) {
    rig_connect_party(p, s);
    rig_hello(p, role, name);
}

mr_status rig_call_with(party *p, mr_command command, mr_span body, const char *args) {
    mr_buf pack;
    mr_wire m = {.type = MR_MSG_CALL};
    mr_buf_init(&pack, NULL, 1 << 17);
    rig_pack(&pack, "%s", args);
    m.as.call = (mr_wire_call){.call = ++p->calls, .command = (uint16_t)command, .args = mr_buf_span(&pack)};
    rig_send_wire(p, &m, body);
    mr_buf_free(&pack);
    do rig_expect(p, MR_MSG_REPLY);
    while (p->in.as.reply.call != p->calls);
    free(p->said);
    p->said = p->in.as.reply.status ? strndup((const char *)p->in.as.reply.text.data, p->in.as.reply.text.len)
                                    : rig_json(p->msg.body);
    return (mr_status)p->in.as.reply.status;
}

mr_status rig_call(party *p, mr_command command, const char *args) {
    return rig_call_with(p, command, (mr_span){0}, args);
}

void rig_said(const party *p, const char *words) {
    if (!strstr(p->said, words)) fail_msg("'%s' is not in '%s'", words, p->said);
}

void rig_ingest(party *client, int n) {
    mr_buf rows;
    char text[64];
    long long id;
    if (rig_call(client, MR_CMD_INGEST_BEGIN, "{\"paths\": []}") != MR_OK) fail_msg("%s", client->said);
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
    if (rig_call_with(client, MR_CMD_INGEST_ROWS, mr_buf_span(&rows), text) != MR_OK)
        fail_msg("%s", client->said);
    mr_buf_free(&rows);
}

uint64_t rig_run_of(party *client, const char *component) {
    char text[128];
    unsigned long long run;
    snprintf(text, sizeof text, "{\"components\": [{\"name\": \"%s\"}], \"batch_size\": 2}", component);
    if (rig_call(client, MR_CMD_RUN, text) != MR_OK) fail_msg("%s", client->said);
    assert_int_equal(sscanf(client->said, "{\"run\":%llu", &run), 1);
    return run;
}

void rig_credit(party *worker, uint32_t amount) {
    mr_wire m = {.type = MR_MSG_CREDIT, .as.credit.amount = amount};
    rig_send_wire(worker, &m, (mr_span){0});
}

/* Waits until `n` items have come; they are copied. */
void rig_take_work(party *worker, uint32_t n, mr_wire_work_item *items) {
    for (uint32_t have = 0; have < n;) {
        rig_expect(worker, MR_MSG_WORK);
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
void rig_give_result(party *worker, const mr_wire_work_item *item, bool right) {
    char body[32];
    snprintf(body, sizeof body, "%cr%u", 0xa0 + (item->index < 10 ? 2 : 3), item->index);
    mr_wire_result_item out = {.attempt = item->attempt,
                               .run = item->run,
                               .step = item->step,
                               .level = item->level,
                               .index = item->index,
                               .size = strlen(body),
                               .hash = mr_hash_of(mr_span_of(right ? body : "other"))};
    mr_wire m = {.type = MR_MSG_RESULT, .as.result = {.items = &out, .item_count = 1}};
    rig_send_wire(worker, &m, mr_span_of(body));
}

mr_verdict rig_next_ack(party *worker, uint64_t attempt) {
    for (;;) {
        rig_expect(worker, MR_MSG_ACK);
        for (uint32_t i = 0; i < worker->in.as.ack.item_count; i++)
            if (worker->in.as.ack.items[i].attempt == attempt)
                return (mr_verdict)worker->in.as.ack.items[i].verdict;
    }
}

void rig_wait_for(rig *r, const char *sql) {
    for (uint64_t end = mr_clock_monotonic_ns() + (uint64_t)RIG_WAIT_MS * 1000000;
         mr_clock_monotonic_ns() < end;)
        if (rig_true(r, "%s", sql)) return;
    fail_msg("never: %s", sql);
}

void rig_stop_broker(served *s, party *client) {
    assert_int_equal(rig_call(client, MR_CMD_STOP, "{}"), MR_OK);
    if (rig_join_broker(s) != MR_OK) fail_msg("%s", s->err.text);
    rig_remove_folder(s);
}
