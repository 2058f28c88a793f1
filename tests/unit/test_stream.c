/* Streams through a whole broker on a real database: what is submitted is numbered, stored once, worked on and answered, also
 * across a broker's death; and what is not a task is refused. */
#include "tests/unit/broker_rig.h"

#include "common/packet.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static unsigned long long open_stream(party *client) {
    unsigned long long run;
    if (rig_call(client, MR_CMD_STREAM_OPEN, "{\"components\": [{\"name\": \"echo\"}], \"name\": \"s\"}") != MR_OK)
        fail_msg("%s", client->said);
    assert_int_equal(sscanf(client->said, "{\"run\":%llu", &run), 1);
    return run;
}

/* A segment with one prompt. */
static void put_body(mr_buf *out, const char *text) {
    mr_span prompt = mr_span_of(text);
    mr_batch batch = {.rows = 1, .columns = MR_COL_PROMPT};
    batch.text[MR_TEXT_PROMPT] = &prompt;
    assert_int_equal(mr_segment_encode(&batch, out), MR_OK);
}

/* A packet of n tasks, called "t0", ... when they are to have ids. */
static mr_packet_writer packet_of(int n, bool ids, const char *text) {
    mr_packet_writer w;
    mr_error err;
    char id[16] = "";
    mr_packet_writer_init(&w, NULL);
    for (int i = 0; i < n; i++) {
        put_body(mr_packet_body(&w), text);
        if (ids) snprintf(id, sizeof id, "t%d", i);
        if (mr_packet_add(&w, mr_span_of(id), &err) != MR_OK) fail_msg("%s", err.text);
    }
    assert_int_equal(mr_packet_finish(&w, &err), MR_OK);
    return w;
}

static mr_status submit(party *client, unsigned long long run, unsigned producer, unsigned packet, int n, const char *more) {
    char args[256];
    mr_packet_writer w = packet_of(n, strstr(more, "ids") != NULL, "words");
    snprintf(args, sizeof args, "{\"run\": %llu, \"producer\": %u, \"packet\": %u%s}", run, producer, packet,
             strstr(more, "wait") ? ", \"wait\": true" : "");
    mr_status s = rig_call_with(client, MR_CMD_SUBMIT, mr_buf_span(&w.bytes), args);
    mr_packet_writer_free(&w);
    return s;
}

/* Without waiting for the answer. */
static void send_packet(party *client, unsigned long long run, unsigned packet, bool wait, const mr_packet_writer *w) {
    mr_buf args;
    mr_wire m = {.type = MR_MSG_CALL};
    mr_buf_init(&args, NULL, 1024);
    rig_pack(&args, "{\"run\": %llu, \"producer\": 1, \"packet\": %u, \"wait\": %s}", run, packet, wait ? "true" : "false");
    m.as.call = (mr_wire_call){.call = ++client->calls, .command = MR_CMD_SUBMIT, .args = mr_buf_span(&args)};
    rig_send_wire(client, &m, mr_buf_span(&w->bytes));
    mr_buf_free(&args);
}

static void submitted(party *client, unsigned long long run, unsigned producer, unsigned packet, int n, const char *answer) {
    if (submit(client, run, producer, packet, n, "") != MR_OK) fail_msg("%s", client->said);
    rig_said(client, answer);
}

static mr_status close_stream(party *client, unsigned long long run) {
    char args[64];
    snprintf(args, sizeof args, "{\"run\": %llu}", run);
    return rig_call(client, MR_CMD_STREAM_CLOSE, args);
}

static void work_off(party *worker, uint32_t n) {
    mr_wire_work_item items[ITEMS];
    assert_true(n <= ITEMS);
    rig_credit(worker, n);
    rig_take_work(worker, n, items);
    for (uint32_t i = 0; i < n; i++) rig_give_result(worker, &items[i], true);
    for (uint32_t acks = 0; acks < n; acks += worker->in.as.ack.item_count) {
        rig_expect(worker, MR_MSG_ACK);
        for (uint32_t i = 0; i < worker->in.as.ack.item_count; i++)
            assert_int_equal(worker->in.as.ack.items[i].verdict, MR_COMMITTED);
    }
}

typedef struct scene {
    served s;
    party client, worker;
    unsigned long long run;
} scene;

static void set_scene(scene *c, void **state) {
    rig_start_broker(&c->s, state);
    rig_open_party(&c->worker, &c->s, 1, "worker");
    rig_open_party(&c->client, &c->s, 2, "producer/1");
    c->run = open_stream(&c->client);
}

static void end_scene(scene *c) {
    rig_stop_broker(&c->s, &c->client);
    rig_leave(&c->client);
    rig_leave(&c->worker);
}

static void tasks_are_numbered_worked_off_and_end_with_the_stream(void **state) {
    scene c;
    set_scene(&c, state);
    rig *r = c.s.r;
    submitted(&c.client, c.run, 7, 0, 3, "\"first\":0,\"tasks\":3,\"existed\":false");
    submitted(&c.client, c.run, 7, 1, 2, "\"first\":3,\"tasks\":2");
    submitted(&c.client, c.run, 8, 0, 1, "\"first\":5,\"tasks\":1");
    assert_int_equal(rig_number(r, "select count(*) from millrace.task_block where client = 'producer'"), 3);
    work_off(&c.worker, 6);
    assert_int_equal(rig_number(r, "select count(*) from millrace.result where last and first_row = batch and row_count = 1"), 6);
    assert_int_equal(rig_number(r, "select count(*) from millrace.run_end"), 0);
    assert_int_equal(close_stream(&c.client, c.run), MR_OK);
    rig_said(&c.client, "\"tasks\":6");
    rig_wait_for(r, "select exists (select 1 from millrace.run_end where state = 'succeeded')");
    end_scene(&c);
}

static void a_packet_that_comes_again_is_stored_once_and_answered_as_before(void **state) {
    scene c;
    set_scene(&c, state);
    submitted(&c.client, c.run, 7, 0, 3, "\"first\":0");
    submitted(&c.client, c.run, 7, 1, 4, "\"first\":3");
    submitted(&c.client, c.run, 7, 0, 3, "\"first\":0,\"tasks\":3,\"existed\":true");
    submitted(&c.client, c.run, 7, 1, 4, "\"first\":3,\"tasks\":4,\"existed\":true");
    assert_int_equal(submit(&c.client, c.run, 7, 3, 1, ""), MR_E_FULL); /* the one before it was refused, or is lost */
    rig_said(&c.client, "packet 2 of this producer is awaited");
    submitted(&c.client, c.run, 7, 2, 1, "\"first\":7");
    assert_int_equal(rig_number(c.s.r, "select sum(tasks) from millrace.task_block"), 8);
    work_off(&c.worker, 8);
    assert_int_equal(close_stream(&c.client, c.run), MR_OK);
    rig_wait_for(c.s.r, "select exists (select 1 from millrace.run_end)");
    submitted(&c.client, c.run, 7, 2, 1, "\"first\":7,\"tasks\":1,\"existed\":true"); /* also when all is over */
    end_scene(&c);
}

static void who_waits_gets_the_results(void **state) {
    scene c;
    mr_wire_work_item items[2];
    set_scene(&c, state);
    rig_credit(&c.worker, 2);
    mr_packet_writer w = packet_of(2, false, "words");
    send_packet(&c.client, c.run, 0, true, &w);
    rig_take_work(&c.worker, 2, items);
    rig_give_result(&c.worker, &items[1], true);
    rig_give_result(&c.worker, &items[0], true);
    rig_expect(&c.client, MR_MSG_REPLY);
    assert_int_equal(c.client.in.as.reply.status, MR_OK);
    char *said = rig_json(c.client.msg.body);
    assert_non_null(strstr(said, "\"first\":0,\"tasks\":2,\"existed\":false,\"results\":[["));
    assert_int_equal(rig_number(c.s.r, "select count(*) from millrace.result"), 2); /* they are committed */
    free(said);
    mr_packet_writer_free(&w);
    end_scene(&c);
}

static void who_waits_is_told_of_a_task_that_is_given_up_and_of_the_end(void **state) {
    scene c;
    mr_wire_work_item item;
    char text[64];
    set_scene(&c, state);
    for (int cancel = 0; cancel < 2; cancel++) {
        mr_packet_writer w = packet_of(1, false, "words");
        send_packet(&c.client, c.run, (unsigned)cancel, true, &w);
        rig_credit(&c.worker, 1);
        rig_take_work(&c.worker, 1, &item);
        party other;
        rig_open_party(&other, &c.s, 2, "other");
        snprintf(text, sizeof text, "{\"id\": %llu}", c.run);
        if (cancel) {
            assert_int_equal(rig_call(&other, MR_CMD_CANCEL, text), MR_OK);
        } else {
            mr_wire_result_item out = {.attempt = item.attempt, .run = item.run, .status = MR_E_INVALID,
                                       .text = mr_span_of("no such words")};
            mr_wire bad = {.type = MR_MSG_RESULT, .as.result = {.items = &out, .item_count = 1}};
            rig_send_wire(&c.worker, &bad, (mr_span){0});
        }
        rig_expect(&c.client, MR_MSG_REPLY);
        assert_int_equal(c.client.in.as.reply.status, cancel ? MR_E_CANCELLED : MR_OK);
        char *said = cancel ? strdup("no such words") : rig_json(c.client.msg.body);
        assert_non_null(strstr(said, "no such words"));
        free(said);
        rig_leave(&other);
        mr_packet_writer_free(&w);
    }
    end_scene(&c);
}

/* The stream stays open all the while. */
static void a_task_that_was_given_up_is_replayed_while_its_stream_is_open(void **state) {
    scene c;
    mr_wire_work_item item, again;
    char text[64];
    set_scene(&c, state);
    submitted(&c.client, c.run, 7, 0, 1, "\"first\":0");
    rig_credit(&c.worker, 1);
    rig_take_work(&c.worker, 1, &item);
    mr_wire_result_item out = {.attempt = item.attempt, .run = item.run, .status = MR_E_INVALID, .text = mr_span_of("no such words")};
    mr_wire bad = {.type = MR_MSG_RESULT, .as.result = {.items = &out, .item_count = 1}};
    rig_send_wire(&c.worker, &bad, (mr_span){0});
    rig_wait_for(c.s.r, "select exists (select 1 from millrace.dead_letter)");
    submitted(&c.client, c.run, 7, 1, 1, "\"first\":1");
    work_off(&c.worker, 1);
    snprintf(text, sizeof text, "{\"run\": %llu, \"search\": \"no such\"}", c.run);
    assert_int_equal(rig_call(&c.client, MR_CMD_DEAD_REPLAY, text), MR_OK);
    rig_credit(&c.worker, 1);
    rig_take_work(&c.worker, 1, &again); /* read back from its row */
    assert_int_equal(again.index, item.index);
    assert_int_not_equal(again.attempt, item.attempt);
    snprintf(text, sizeof text, "{\"run\": %llu, \"task\": 0}", c.run);
    assert_int_equal(rig_call(&c.client, MR_CMD_TASK, text), MR_OK);
    rig_said(&c.client, "\"state\":\"waiting\"");
    rig_give_result(&c.worker, &again, true);
    assert_int_equal(rig_next_ack(&c.worker, again.attempt), MR_COMMITTED);
    assert_int_equal(close_stream(&c.client, c.run), MR_OK);
    rig_wait_for(c.s.r, "select exists (select 1 from millrace.run_end where state = 'succeeded' and life = 1)");
    assert_int_equal(rig_number(c.s.r, "select count(*) from millrace.result"), 2);
    end_scene(&c);
}

/* Nobody is to wait for it. */
static void a_task_of_a_stream_that_was_cancelled_says_so(void **state) {
    scene c;
    char text[64];
    set_scene(&c, state);
    submitted(&c.client, c.run, 7, 0, 1, "\"first\":0");
    snprintf(text, sizeof text, "{\"id\": %llu}", c.run);
    assert_int_equal(rig_call(&c.client, MR_CMD_CANCEL, text), MR_OK);
    snprintf(text, sizeof text, "{\"run\": %llu, \"task\": 0}", c.run);
    if (rig_call(&c.client, MR_CMD_TASK, text) != MR_OK) fail_msg("%s", c.client.said);
    rig_said(&c.client, "\"state\":\"cancelled\"");
    rig_said(&c.client, "\"status\":14");
    end_scene(&c);
}

static void the_next_broker_goes_on_with_a_stream_and_knows_its_producers(void **state) {
    scene c;
    set_scene(&c, state);
    submitted(&c.client, c.run, 7, 0, 30, "\"first\":0");
    submitted(&c.client, c.run, 8, 0, 2, "\"first\":30");
    work_off(&c.worker, 5);
    assert_int_equal(rig_call(&c.client, MR_CMD_STOP, "{}"), MR_OK);
    assert_int_equal(rig_join_broker(&c.s), MR_OK);
    rig_run_broker(&c.s, "second");
    rig_leave(&c.client);
    rig_leave(&c.worker);
    rig_open_party(&c.worker, &c.s, 1, "worker");
    rig_open_party(&c.client, &c.s, 2, "producer/2");
    submitted(&c.client, c.run, 7, 0, 30, "\"first\":0,\"tasks\":30,\"existed\":true");
    submitted(&c.client, c.run, 7, 1, 1, "\"first\":32,\"tasks\":1,\"existed\":false");
    work_off(&c.worker, 28); /* read back: rig_take_work compares their hashes */
    assert_int_equal(close_stream(&c.client, c.run), MR_OK);
    rig_wait_for(c.s.r, "select exists (select 1 from millrace.run_end where state = 'succeeded')");
    assert_int_equal(rig_number(c.s.r, "select count(distinct batch) from millrace.result"), 33);
    end_scene(&c);
}

static void a_task_is_found_by_its_number_and_by_its_id(void **state) {
    scene c;
    char text[128];
    set_scene(&c, state);
    submitted(&c.client, c.run, 7, 0, 2, "\"first\":0");
    if (submit(&c.client, c.run, 7, 1, 3, "ids") != MR_OK) fail_msg("%s", c.client.said);
    work_off(&c.worker, 4);
    snprintf(text, sizeof text, "{\"run\": %llu, \"id\": \"t1\", \"body\": true}", c.run);
    if (rig_call(&c.client, MR_CMD_TASK, text) != MR_OK) fail_msg("%s", c.client.said);
    rig_said(&c.client, "\"task\":3,\"id\":\"t1\",\"state\":\"done\"");
    snprintf(text, sizeof text, "{\"run\": %llu, \"task\": 4}", c.run);
    if (rig_call(&c.client, MR_CMD_TASK, text) != MR_OK) fail_msg("%s", c.client.said);
    rig_said(&c.client, "\"id\":\"t2\",\"state\":\"waiting\"");
    snprintf(text, sizeof text, "{\"run\": %llu, \"id\": \"t3\"}", c.run);
    assert_int_equal(rig_call(&c.client, MR_CMD_TASK, text), MR_E_NOT_FOUND);
    snprintf(text, sizeof text, "{\"run\": %llu, \"task\": 5}", c.run);
    assert_int_equal(rig_call(&c.client, MR_CMD_TASK, text), MR_E_NOT_FOUND);
    end_scene(&c);
}

static void what_is_no_task_is_refused_with_words(void **state) {
    scene c;
    char args[128];
    float numbers[4] = {0};
    set_scene(&c, state);
    snprintf(args, sizeof args, "{\"run\": %llu, \"producer\": 1, \"packet\": 0}", c.run);
    assert_int_equal(rig_call(&c.client, MR_CMD_SUBMIT, args), MR_E_INVALID);
    rig_said(&c.client, "the packet is missing");
    assert_int_equal(rig_call_with(&c.client, MR_CMD_SUBMIT, mr_span_of("rubbish"), args), MR_E_INVALID);
    rig_said(&c.client, "packet: 7 bytes");
    mr_packet_writer w;
    mr_error err;
    mr_packet_writer_init(&w, NULL);
    mr_buf_text(mr_packet_body(&w), "no segment");
    assert_int_equal(mr_packet_add(&w, (mr_span){0}, &err), MR_OK);
    assert_int_equal(mr_packet_finish(&w, &err), MR_OK);
    assert_int_equal(rig_call_with(&c.client, MR_CMD_SUBMIT, mr_buf_span(&w.bytes), args), MR_E_INVALID);
    rig_said(&c.client, "task 0: segment of 10 bytes");
    mr_packet_clear(&w);
    assert_int_equal(mr_segment_matrix(2, 2, mr_packet_body(&w)), MR_OK);
    mr_buf_put(&w.bytes, numbers, sizeof numbers);
    assert_int_equal(mr_packet_add(&w, (mr_span){0}, &err), MR_OK);
    assert_int_equal(mr_packet_finish(&w, &err), MR_OK);
    assert_int_equal(rig_call_with(&c.client, MR_CMD_SUBMIT, mr_buf_span(&w.bytes), args), MR_E_INVALID);
    rig_said(&c.client, "no column 'prompt'");
    mr_packet_writer_free(&w);
    assert_int_equal(submit(&c.client, c.run + 50, 1, 0, 1, ""), MR_E_NOT_FOUND);
    assert_int_equal(rig_call(&c.client, MR_CMD_STREAM_OPEN, "{\"components\": [{\"name\": \"fold\"}]}"), MR_E_INVALID);
    rig_said(&c.client, "run it over a data set");
    assert_int_equal(rig_call(&c.client, MR_CMD_STREAM_OPEN, "{\"components\": [{\"name\": \"echo\"}, {\"name\": \"echo\"}]}"), MR_E_INVALID);
    rig_ingest(&c.client, 2);
    unsigned long long run = rig_run_of(&c.client, "echo");
    assert_int_equal(submit(&c.client, run, 1, 0, 1, ""), MR_E_INVALID);
    rig_said(&c.client, "reads a data set");
    assert_int_equal(close_stream(&c.client, run), MR_E_INVALID);
    assert_int_equal(close_stream(&c.client, c.run), MR_OK);
    assert_int_equal(submit(&c.client, c.run, 1, 0, 1, ""), MR_E_NOT_FOUND); /* it was empty, so it has ended */
    assert_int_equal(rig_number(c.s.r, "select count(*) from millrace.task_block"), 0);
    end_scene(&c);
}

static void a_closed_stream_takes_no_more(void **state) {
    scene c;
    set_scene(&c, state);
    submitted(&c.client, c.run, 1, 0, 1, "\"first\":0");
    assert_int_equal(close_stream(&c.client, c.run), MR_OK);
    assert_int_equal(submit(&c.client, c.run, 1, 1, 1, ""), MR_E_CONFLICT);
    rig_said(&c.client, "is closed");
    assert_int_equal(close_stream(&c.client, c.run), MR_E_CONFLICT);
    work_off(&c.worker, 1);
    rig_wait_for(c.s.r, "select exists (select 1 from millrace.run_end where state = 'succeeded')");
    end_scene(&c);
}

/* The worker's result is there long before its task can be stored. */
static void a_result_waits_for_its_task_while_the_database_is_away(void **state) {
    scene c;
    mr_wire_work_item item;
    set_scene(&c, state);
    rig *r = c.s.r;
    mr_packet_writer w = packet_of(1, false, "words");
    rig_credit(&c.worker, 1);
    rig_database_away(r, true);
    send_packet(&c.client, c.run, 0, false, &w);
    rig_take_work(&c.worker, 1, &item);
    rig_give_result(&c.worker, &item, true);
    rig_database_away(r, false);
    rig_expect(&c.client, MR_MSG_REPLY);
    assert_int_equal(c.client.in.as.reply.status, MR_OK);
    assert_int_equal(rig_next_ack(&c.worker, item.attempt), MR_COMMITTED);
    assert_int_equal(rig_number(r, "select count(*) from millrace.result t join millrace.task_block b using (run_id)"), 1);
    mr_packet_writer_free(&w);
    end_scene(&c);
}

static void refuse_task(party *worker, const mr_wire_work_item *item) {
    mr_wire_result_item out = {.attempt = item->attempt, .run = item->run, .index = item->index, .status = MR_E_INVALID,
                               .text = mr_span_of("no such words")};
    mr_wire bad = {.type = MR_MSG_RESULT, .as.result = {.items = &out, .item_count = 1}};
    rig_send_wire(worker, &bad, (mr_span){0});
}

/* Else the number's next task would be given up for it, if this one was lost with the broker. */
static void a_dead_letter_waits_for_its_task(void **state) {
    scene c;
    mr_wire_work_item items[2];
    set_scene(&c, state);
    rig *r = c.s.r;
    mr_packet_writer w = packet_of(1, false, "words");
    submitted(&c.client, c.run, 1, 0, 1, "\"first\":0");
    rig_sql(r, "begin");
    rig_sql(r, "lock table millrace.task_block in share mode");
    send_packet(&c.client, c.run, 1, false, &w);
    rig_credit(&c.worker, 2);
    rig_take_work(&c.worker, 2, items);
    refuse_task(&c.worker, &items[1]);
    refuse_task(&c.worker, &items[0]); /* its task is stored; failures are written in their order */
    rig_wait_for(r, "select exists (select 1 from millrace.attempt_failure where batch = 0)");
    assert_int_equal(rig_number(r, "select count(*) from millrace.attempt_failure where batch = 1"), 0);
    rig_sql(r, "rollback");
    rig_wait_for(r, "select exists (select 1 from millrace.attempt_failure where batch = 1)");
    mr_packet_writer_free(&w);
    end_scene(&c);
}

static mr_status next_answer(party *client) {
    rig_expect(client, MR_MSG_REPLY);
    return (mr_status)client->in.as.reply.status;
}

static void producers_are_pushed_back_while_the_database_is_away_and_nothing_is_lost(void **state) {
    enum { TEXT = 15 << 20, FITS = 5, SENT = 8 }; /* 64 MiB may wait */
    scene c;
    set_scene(&c, state);
    char *text = malloc(TEXT + 1);
    assert_non_null(text);
    memset(text, 'x', TEXT);
    text[TEXT] = 0;
    mr_packet_writer w = packet_of(1, false, text);
    free(text);
    rig_database_away(c.s.r, true);
    for (unsigned i = 0; i < SENT; i++) send_packet(&c.client, c.run, i, false, &w);
    for (int i = FITS; i < SENT; i++) assert_int_equal(next_answer(&c.client), MR_E_FULL);
    rig_database_away(c.s.r, false);
    for (int i = 0; i < FITS; i++) assert_int_equal(next_answer(&c.client), MR_OK);
    for (unsigned i = FITS; i < SENT; i++) send_packet(&c.client, c.run, i, false, &w);
    for (int i = FITS; i < SENT; i++) assert_int_equal(next_answer(&c.client), MR_OK);
    assert_int_equal(rig_number(c.s.r, "select sum(tasks) from millrace.task_block"), SENT);
    mr_packet_writer_free(&w);
    end_scene(&c);
}

/* As a COMMIT does whose answer is lost: the packet is there when it is written again. */
static void a_large_packet_that_is_there_already_is_not_written_twice(void **state) {
    enum { TEXT = 200000 };
    scene c;
    static char text[TEXT + 1];
    set_scene(&c, state);
    rig *r = c.s.r;
    memset(text, 'x', TEXT);
    mr_packet_writer w = packet_of(2, false, text);
    rig_database_away(r, true);
    for (unsigned i = 0; i < 2; i++) send_packet(&c.client, c.run, i, false, &w);
    rig_sql(r, "insert into millrace.task_block (run_id, first_task, tasks, producer, packet, size, client)"
               " values (%llu, 0, 2, 1, 0, %zu, 'producer')", c.run, w.bytes.len);
    rig_database_away(r, false);
    for (int i = 0; i < 2; i++) assert_int_equal(next_answer(&c.client), MR_OK);
    assert_int_equal(rig_number(r, "select count(*) from millrace.task_block"), 2);
    assert_int_equal(rig_number(r, "select count(*) from millrace.task_piece where first_task = 0"), 0); /* it put none there */
    assert_int_equal(rig_number(r, "select sum(length(bytes)) from millrace.task_piece where first_task = 2"), w.bytes.len);
    mr_packet_writer_free(&w);
    end_scene(&c);
}

static void read_by_index(rig *r, bool may) {
    rig_sql(r, "do $$ begin execute format('alter database %%I set enable_indexscan = %s', current_database()); end $$", may ? "on" : "off");
}

/* More than the broker keeps in memory comes back from the database, however it lies there. */
static void tasks_of_many_pieces_are_read_back_whole(void **state) {
    scene c;
    enum { TASKS = 6 };
    mr_wire_work_item items[TASKS];
    static char text[100001];
    set_scene(&c, state);
    for (unsigned i = 0; i < TASKS / 2; i++) {
        char args[128];
        memset(text, 'a' + (int)i, 30000 + i * 35000);
        mr_packet_writer w = packet_of(2, false, text);
        snprintf(args, sizeof args, "{\"run\": %llu, \"producer\": 1, \"packet\": %u}", c.run, i);
        if (rig_call_with(&c.client, MR_CMD_SUBMIT, mr_buf_span(&w.bytes), args) != MR_OK) fail_msg("%s", c.client.said);
        mr_packet_writer_free(&w);
    }
    assert_int_equal(rig_call(&c.client, MR_CMD_STOP, "{}"), MR_OK);
    assert_int_equal(rig_join_broker(&c.s), MR_OK);
    rig_sql(c.s.r, "update millrace.task_piece set bytes = bytes where piece < 2"); /* the first two go behind the others */
    read_by_index(c.s.r, false);
    rig_run_broker(&c.s, "second");
    rig_leave(&c.client);
    rig_leave(&c.worker);
    rig_open_party(&c.worker, &c.s, 1, "worker");
    rig_open_party(&c.client, &c.s, 2, "producer/2");
    rig_credit(&c.worker, TASKS);
    rig_take_work(&c.worker, TASKS, items);
    read_by_index(c.s.r, true);
    for (unsigned i = 0; i < TASKS; i++) assert_in_range(items[i].size, 30000 + i / 2 * 35000, 31000 + i / 2 * 35000);
    end_scene(&c);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tasks_are_numbered_worked_off_and_end_with_the_stream),
        cmocka_unit_test(a_packet_that_comes_again_is_stored_once_and_answered_as_before),
        cmocka_unit_test(who_waits_gets_the_results),
        cmocka_unit_test(who_waits_is_told_of_a_task_that_is_given_up_and_of_the_end),
        cmocka_unit_test(a_task_that_was_given_up_is_replayed_while_its_stream_is_open),
        cmocka_unit_test(a_task_of_a_stream_that_was_cancelled_says_so),
        cmocka_unit_test(the_next_broker_goes_on_with_a_stream_and_knows_its_producers),
        cmocka_unit_test(a_task_is_found_by_its_number_and_by_its_id),
        cmocka_unit_test(what_is_no_task_is_refused_with_words),
        cmocka_unit_test(a_closed_stream_takes_no_more),
        cmocka_unit_test(a_result_waits_for_its_task_while_the_database_is_away),
        cmocka_unit_test(a_dead_letter_waits_for_its_task),
        cmocka_unit_test(producers_are_pushed_back_while_the_database_is_away_and_nothing_is_lost),
        cmocka_unit_test(a_large_packet_that_is_there_already_is_not_written_twice),
        cmocka_unit_test(tasks_of_many_pieces_are_read_back_whole),
    };
    return cmocka_run_group_tests(tests, rig_start, rig_stop);
}
