/* The whole broker in a thread of this program, with a worker and clients made of common/net.h and proto. */
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

/* ---- tests ---- */

static void rows_go_in_batches_go_out_and_results_are_acknowledged_when_committed(void **state) {
    served s;
    party client, worker;
    mr_wire_work_item item[5];
    rig_start_broker(&s, state);
    rig_open_party(&client, &s, 2, "client");
    assert_int_equal(rig_call(&client, MR_CMD_RUN, "{\"components\": [{\"name\": \"echo\"}]}"), MR_E_UNAVAILABLE);
    rig_said(&client, "no worker has connected");
    rig_open_party(&worker, &s, 1, "worker");
    rig_ingest(&client, 10);
    uint64_t run = rig_run_of(&client, "echo");
    rig_credit(&worker, 5);
    rig_expect(&worker, MR_MSG_STEP);
    assert_int_equal(worker.in.as.step.run, run);
    assert_true(mr_span_eq(worker.in.as.step.component, mr_span_of("echo")));
    char *options = rig_json(worker.in.as.step.options);
    assert_string_equal(options, "{\"depth\":\"3\"}");
    free(options);
    rig_take_work(&worker, 5, item);
    rig_give_result(&worker, &item[0], false); /* damaged on its way: a failed attempt, which is made again */
    assert_int_equal(rig_next_ack(&worker, item[0].attempt), MR_COMMITTED);
    assert_int_equal(rig_number(s.r, "select count(*) from millrace.result"), 0);
    rig_wait_for(s.r, "select exists (select 1 from millrace.attempt_failure where status = 13)");
    rig_credit(&worker, 1);
    rig_take_work(&worker, 1, item);
    for (int i = 0; i < 5; i++) {
        rig_give_result(&worker, &item[i], true);
        assert_int_equal(rig_next_ack(&worker, item[i].attempt), MR_COMMITTED);
        assert_int_equal(
            rig_number(
                s.r,
                "select count(*) from millrace.result where attempt = %llu and batch = %u and first_row = %u"
                " and row_count = 2 and last and worker = 'worker'",
                (unsigned long long)item[i].attempt, item[i].index, 2 * item[i].index),
            1);
    }
    rig_wait_for(s.r, "select exists (select 1 from millrace.run_end where state = 'succeeded')");
    char text[64];
    snprintf(text, sizeof text, "{\"id\": %llu}", (unsigned long long)run);
    assert_int_equal(rig_call(&client, MR_CMD_RUN_SHOW, text), MR_OK);
    rig_said(&client, "\"state\":\"succeeded\"");
    rig_said(&client, "[0,\"echo\",1,\"map\",\"succeeded\",5,5,0,0,1,\"\"]");
    assert_int_equal(rig_call(&client, MR_CMD_STATUS, "{}"), MR_OK);
    rig_said(&client, "\"committed\":5");
    rig_stop_broker(&s, &client);
    rig_expect(&worker, MR_MSG_BYE);
    assert_true(rig_true(s.r, "select bool_and(owner = '') from millrace.partition_lease"));
    rig_leave(&worker);
    rig_leave(&client);
}

static void merges_follow_their_batches(void **state) {
    served s;
    party client, worker;
    mr_wire_work_item item[3], merge;
    rig_start_broker(&s, state);
    rig_open_party(&client, &s, 2, "client");
    rig_open_party(&worker, &s, 1, "worker");
    rig_ingest(&client, 6);
    rig_run_of(&client, "fold");
    rig_credit(&worker, 10);
    rig_take_work(&worker, 3, item);
    for (int i = 0; i < 3; i++) {
        assert_false(item[i].last);
        rig_give_result(&worker, &item[i], true);
    }
    rig_take_work(&worker, 1, &merge);
    assert_int_equal(merge.level, 1);
    assert_true(merge.last);
    rig_give_result(&worker, &merge, true);
    assert_int_equal(rig_next_ack(&worker, merge.attempt), MR_COMMITTED);
    rig_wait_for(s.r, "select exists (select 1 from millrace.run_end where state = 'succeeded')");
    assert_true(rig_true(s.r, "select first_row = 0 and row_count = 6 from millrace.result where level = 1"));
    rig_stop_broker(&s, &client);
    rig_leave(&worker);
    rig_leave(&client);
}

static void the_batches_of_a_worker_that_left_go_to_another_and_its_late_result_is_stale(void **state) {
    served s;
    party client, first, second;
    mr_wire_work_item lost[2], again[2];
    rig_start_broker(&s, state);
    rig_open_party(&client, &s, 2, "client");
    rig_open_party(&first, &s, 1, "first");
    rig_ingest(&client, 4);
    rig_run_of(&client, "echo");
    rig_credit(&first, 2);
    rig_take_work(&first, 2, lost);
    mr_wire bye = {.type = MR_MSG_BYE};
    rig_send_wire(&first, &bye, (mr_span){0});
    rig_open_party(&second, &s, 1, "second");
    rig_credit(&second, 2);
    rig_take_work(&second, 2, again);
    for (int i = 0; i < 2; i++) {
        for (int k = 0; k < 2; k++) assert_int_not_equal(again[i].attempt, lost[k].attempt);
        rig_give_result(&second, &again[i], true);
        assert_int_equal(rig_next_ack(&second, again[i].attempt), MR_COMMITTED);
    }
    rig_hello(&first, 1, "first");
    rig_give_result(&first, &lost[0], true);
    assert_int_not_equal(rig_next_ack(&first, lost[0].attempt), MR_COMMITTED);
    rig_give_result(&second, &again[0], true); /* once more: its acknowledgement was lost, say */
    assert_int_not_equal(rig_next_ack(&second, again[0].attempt), MR_RETRY);
    assert_int_equal(rig_number(s.r, "select count(*) from millrace.result"), 2);
    assert_int_equal(rig_number(s.r, "select count(*) from millrace.result where worker = 'second'"), 2);
    rig_stop_broker(&s, &client);
    rig_leave(&first);
    rig_leave(&second);
    rig_leave(&client);
}

/* Outcomes "r" of the batches from `first` on, as one item; `wrong`: the one whose hash is not right. */
static void give_span(party *worker, const mr_wire_work_item *work, uint32_t first, uint32_t count, uint32_t wrong, bool summed) {
    uint64_t sizes[64], times[64], sums[64];
    mr_hash hashes[64];
    char body[2 * 64];
    for (uint32_t i = 0; i < count; i++) {
        memcpy(body + 2 * i, "\xa1r", 2);
        sizes[i] = 2;
        times[i] = i;
        hashes[i] = mr_hash_of(mr_span_of(i == wrong ? "other" : "\xa1r"));
        sums[i] = mr_xxh64(mr_span_of(i == wrong ? "other" : "\xa1r"), 0);
    }
    mr_wire_result_item item = {.attempt = work->attempt + first, .run = work->run, .index = work->index + first,
                                .size = 2 * (uint64_t)count, .count = count, .sizes = sizes, .size_count = count,
                                .times = times, .time_count = count,
                                .hashes = {(const uint8_t *)hashes, summed ? 0 : count * sizeof *hashes},
                                .sums = sums, .sum_count = summed ? count : 0};
    mr_wire m = {.type = MR_MSG_RESULT, .as.result = {.items = &item, .item_count = 1}};
    rig_send_wire(worker, &m, (mr_span){(const uint8_t *)body, 2 * (size_t)count});
}

static void a_worker_that_takes_spans_gets_and_answers_many_batches_at_once(void **state) {
    served s;
    party client, worker;
    mr_wire_work_item span, again;
    rig_start_broker(&s, state);
    rig_open_party(&client, &s, 2, "client");
    rig_connect_party(&worker, &s);
    rig_hello_spans(&worker, "worker", 40);
    assert_int_equal(worker.in.as.welcome.span, 64);
    assert_true(worker.in.as.welcome.sums);
    rig_ingest(&client, 100);
    rig_run_of(&client, "echo"); /* 50 batches */
    rig_credit(&worker, 50);
    rig_expect(&worker, MR_MSG_WORK);
    span = worker.in.as.work.items[0];
    assert_int_equal(span.index, 0);
    assert_in_range(span.count, 2, 40);
    uint32_t sent = 0;
    uint64_t last = span.attempt;
    for (uint64_t bytes = 0;; bytes = 0) {
        for (uint32_t i = 0; i < worker.in.as.work.item_count; i++) {
            const mr_wire_work_item *w = &worker.in.as.work.items[i];
            uint32_t count = w->count > 1 ? w->count : 1;
            assert_true(w->attempt == last && w->index == sent && count <= 40);
            last += count;
            sent += count;
            bytes += w->size;
            for (uint32_t k = 0; k < w->size_count; k++) bytes -= w->sizes[k];
            if (w->count < 2) bytes -= w->size;
        }
        assert_int_equal(bytes, 0);
        if (sent == 50) break;
        rig_expect(&worker, MR_MSG_WORK);
    }
    give_span(&worker, &span, 0, 50, 7, true); /* the worker may cut them otherwise; one was damaged on its way */
    for (uint32_t seen = 0; seen < 50;) {
        rig_expect(&worker, MR_MSG_ACK);
        for (uint32_t i = 0; i < worker.in.as.ack.item_count; i++)
            seen += worker.in.as.ack.items[i].count > 1 ? worker.in.as.ack.items[i].count : 1;
    }
    assert_int_equal(rig_number(s.r, "select count(*) from millrace.result"), 49);
    assert_int_equal(rig_number(s.r, "select count(*) from millrace.attempt_failure where batch = 7 and status = 13"), 1);
    char named[160], hex[MR_HASH_HEX + 1] = {0};
    mr_hash name = mr_hash_of(mr_span_of("\xa1r"));
    mr_hash_hex(&name, hex);
    snprintf(named, sizeof named, "select count(*) from millrace.result where body_hash = '\\x%s'", hex);
    assert_int_equal(rig_number(s.r, "%s", named), 49);
    rig_credit(&worker, 1);
    rig_expect(&worker, MR_MSG_WORK);
    again = worker.in.as.work.items[0];
    assert_int_equal(again.index, 7);
    assert_int_equal(again.attempt, span.attempt + 50);
    give_span(&worker, &span, 0, 50, 50, false); /* sent twice: 49 are stale, and one is in time */
    rig_wait_for(s.r, "select exists (select 1 from millrace.run_end where state = 'succeeded')");
    assert_int_equal(rig_number(s.r, "select count(*) from millrace.result"), 50);
    rig_stop_broker(&s, &client);
    rig_leave(&worker);
    rig_leave(&client);
}

static void a_span_that_does_not_hold_together_is_refused(void **state) {
    served s;
    party client, worker;
    rig_start_broker(&s, state);
    rig_open_party(&client, &s, 2, "client");
    rig_connect_party(&worker, &s);
    rig_hello_spans(&worker, "worker", 64);
    rig_ingest(&client, 4);
    uint64_t run = rig_run_of(&client, "echo");
    uint64_t sizes[2] = {1, 1}, times[2] = {0};
    uint8_t hashes[2 * MR_HASH_BYTES] = {0};
    mr_wire_result_item good = {.attempt = 1, .run = run, .count = 2, .size = 2, .sizes = sizes, .size_count = 2,
                                .times = times, .time_count = 2, .hashes = {hashes, sizeof hashes}};
    mr_wire_result_item wrong[] = {good, good, good, good};
    wrong[0].size_count = 1;
    wrong[1].hashes.len = MR_HASH_BYTES;
    wrong[2].status = MR_E_CRASHED;
    wrong[3].count = UINT32_MAX;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        mr_wire m = {.type = MR_MSG_RESULT, .as.result = {.items = &wrong[i], .item_count = 1}};
        rig_send_wire(&worker, &m, mr_span_of("ab"));
        rig_expect(&worker, MR_MSG_REFUSE);
        assert_false(worker.in.as.refuse.fatal);
    }
    assert_int_equal(rig_number(s.r, "select count(*) from millrace.result"), 0);
    rig_stop_broker(&s, &client);
    rig_leave(&worker);
    rig_leave(&client);
}

static void the_batches_of_a_silent_worker_go_to_another(void **state) {
    served s = {.r = rig_of(state), .lost_after_ms = 1500};
    party client, first, second;
    mr_wire_work_item lost, again;
    rig_make_folder(&s);
    rig_run_broker(&s, "first");
    rig_open_party(&client, &s, 2, "client");
    rig_open_party(&first, &s, 1, "first");
    rig_ingest(&client, 2);
    rig_run_of(&client, "echo");
    rig_credit(&first, 1);
    rig_take_work(&first, 1, &lost);
    rig_expect(&first, MR_MSG_REFUSE); /* without a word from it */
    assert_true(first.in.as.refuse.fatal);
    assert_int_equal(first.in.as.refuse.status, MR_E_TIMEOUT);
    rig_open_party(&second, &s, 1, "second");
    rig_credit(&second, 1);
    rig_take_work(&second, 1, &again);
    assert_int_equal(again.index, lost.index);
    rig_give_result(&second, &again, true);
    assert_int_equal(rig_next_ack(&second, again.attempt), MR_COMMITTED);
    rig_stop_broker(&s, &client);
    rig_leave(&first);
    rig_leave(&second);
    rig_leave(&client);
}

static void a_released_attempt_goes_to_another_worker(void **state) {
    served s;
    party client, first, second;
    mr_wire_work_item given, again;
    rig_start_broker(&s, state);
    rig_open_party(&client, &s, 2, "client");
    rig_open_party(&first, &s, 1, "first");
    rig_ingest(&client, 2);
    rig_run_of(&client, "echo");
    rig_credit(&first, 1);
    rig_take_work(&first, 1, &given);
    mr_wire release = {.type = MR_MSG_RELEASE,
                       .as.release = {.attempts = &given.attempt, .attempt_count = 1}};
    rig_send_wire(&first, &release, (mr_span){0});
    rig_open_party(&second, &s, 1, "second");
    rig_credit(&second, 1);
    rig_take_work(&second, 1, &again);
    assert_int_equal(again.index, given.index);
    assert_true(again.attempt > given.attempt);
    rig_stop_broker(&s, &client);
    rig_leave(&first);
    rig_leave(&second);
    rig_leave(&client);
}

static void two_results_for_one_batch_that_come_together_leave_one_row(void **state) {
    served s;
    party client, first, second;
    mr_wire_work_item one, two;
    rig_start_broker(&s, state);
    rig_open_party(&client, &s, 2, "client");
    rig_open_party(&first, &s, 1, "first");
    rig_ingest(&client, 2);
    rig_run_of(&client, "echo");
    rig_credit(&first, 1);
    rig_take_work(&first, 1, &one);
    rig_hello(&first, 1, "first"); /* it began again, so its batch is free, but it still has the result */
    rig_open_party(&second, &s, 1, "second");
    rig_credit(&second, 1);
    rig_take_work(&second, 1, &two);
    rig_give_result(&first, &one, true);
    rig_give_result(&second, &two, true);
    mr_verdict a = rig_next_ack(&first, one.attempt), b = rig_next_ack(&second, two.attempt);
    assert_true(a == MR_COMMITTED || b == MR_COMMITTED);
    assert_false(a == MR_COMMITTED && b == MR_COMMITTED);
    rig_wait_for(s.r, "select exists (select 1 from millrace.run_end where state = 'succeeded')");
    assert_int_equal(rig_number(s.r, "select count(*) from millrace.result"), 1);
    rig_stop_broker(&s, &client);
    rig_leave(&first);
    rig_leave(&second);
    rig_leave(&client);
}

static void a_failed_attempt_is_recorded_and_tried_again_until_it_is_given_up(void **state) {
    served s;
    party client, worker;
    mr_wire_work_item item;
    rig_start_broker(&s, state);
    rig_open_party(&client, &s, 2, "client");
    rig_open_party(&worker, &s, 1, "worker");
    rig_ingest(&client, 2);
    uint64_t run = rig_run_of(&client, "echo");
    rig_credit(&worker, 10);
    for (int i = 0; i < 3; i++) {
        rig_take_work(&worker, 1, &item);
        mr_wire_result_item out = {.attempt = item.attempt,
                                   .run = item.run,
                                   .status = MR_E_IO,
                                   .text = mr_span_of("the numbers make no sense"),
                                   .log = mr_span_of("read: 2 rows\nadded: 1 of them")};
        mr_wire m = {.type = MR_MSG_RESULT, .as.result = {.items = &out, .item_count = 1}};
        rig_send_wire(&worker, &m, (mr_span){0});
    }
    rig_wait_for(s.r, "select exists (select 1 from millrace.run_end where state = 'failed')");
    char text[64];
    snprintf(text, sizeof text, "{\"run\": %llu}", (unsigned long long)run);
    assert_int_equal(rig_call(&client, MR_CMD_FAILURES, text), MR_OK);
    rig_said(&client, "the numbers make no sense");
    assert_int_equal(
        rig_number(s.r,
                   "select count(*) from millrace.attempt_failure where worker = 'worker' and status = 9"),
        3);
    assert_int_equal(rig_number(s.r, "select count(*) from millrace.attempt_failure where dead"), 1);
    assert_int_equal(rig_number(s.r, "select count(*) from millrace.attempt_failure where log like '%%added: 1 of them'"), 3);
    rig_stop_broker(&s, &client);
    rig_leave(&worker);
    rig_leave(&client);
}

static void a_cancelled_run_ends_and_its_attempts_are_called_back(void **state) {
    served s;
    party client, worker;
    mr_wire_work_item item;
    char text[64];
    rig_start_broker(&s, state);
    rig_open_party(&client, &s, 2, "client");
    rig_open_party(&worker, &s, 1, "worker");
    rig_ingest(&client, 10);
    uint64_t run = rig_run_of(&client, "echo");
    rig_credit(&worker, 1);
    rig_take_work(&worker, 1, &item);
    snprintf(text, sizeof text, "{\"id\": %llu}", (unsigned long long)run);
    assert_int_equal(rig_call(&client, MR_CMD_CANCEL, text), MR_OK);
    rig_expect(&worker, MR_MSG_CANCEL);
    assert_int_equal(worker.in.as.cancel.attempt_count, 1);
    assert_true(worker.in.as.cancel.attempts[0] == item.attempt);
    assert_true(
        rig_true(s.r, "select state = 'cancelled' and reason = 'cancelled by client' from millrace.run_end"));
    assert_int_equal(rig_call(&client, MR_CMD_CANCEL, text), MR_E_NOT_FOUND);
    rig_stop_broker(&s, &client);
    rig_leave(&worker);
    rig_leave(&client);
}

static void inputs_are_fetched_in_parts_while_their_work_is_out(void **state) {
    served s;
    party client, worker;
    mr_wire_work_item item;
    rig_start_broker(&s, state);
    rig_open_party(&client, &s, 2, "client");
    rig_open_party(&worker, &s, 1, "worker");
    rig_ingest(&client, 2);
    rig_run_of(&client, "echo");
    rig_credit(&worker, 1);
    rig_take_work(&worker, 1, &item);
    mr_buf all;
    mr_buf_init(&all, NULL, 1 << 20);
    for (uint32_t at = 0; at < item.size; at += 50) {
        mr_wire m = {.type = MR_MSG_FETCH,
                     .as.fetch = {.request = at, .attempt = item.attempt, .offset = at, .length = 50}};
        rig_send_wire(&worker, &m, (mr_span){0});
        rig_expect(&worker, MR_MSG_BLOB);
        assert_int_equal(worker.in.as.blob.status, 0);
        assert_int_equal(worker.in.as.blob.request, at);
        assert_int_equal(worker.in.as.blob.total, item.size);
        mr_buf_put(&all, worker.msg.body.data, worker.msg.body.len);
    }
    mr_hash hash = mr_hash_of(mr_buf_span(&all));
    assert_true(mr_hash_eq(&hash, &item.hash));
    mr_buf_free(&all);
    mr_wire beyond = {.type = MR_MSG_FETCH,
                      .as.fetch = {.attempt = item.attempt, .offset = UINT64_MAX, .length = UINT32_MAX}};
    rig_send_wire(&worker, &beyond, (mr_span){0});
    rig_expect(&worker, MR_MSG_BLOB);
    assert_int_equal(worker.msg.body.len, 0);
    mr_wire unknown = {.type = MR_MSG_FETCH, .as.fetch = {.attempt = 12345, .length = 10}};
    rig_send_wire(&worker, &unknown, (mr_span){0});
    rig_expect(&worker, MR_MSG_BLOB);
    assert_int_equal(worker.in.as.blob.status, MR_E_NOT_FOUND);
    rig_stop_broker(&s, &client);
    rig_leave(&worker);
    rig_leave(&client);
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
        {MR_CMD_RUN, "{\"components\": [{\"name\": \"echo\", \"options\": {\"depth\": \"10\"}}]}", "depth",
         MR_E_INVALID},
        {MR_CMD_RUN, "{\"components\": [{\"name\": \"echo\"}], \"batch_size\": 0}", "batch size",
         MR_E_INVALID},
        {MR_CMD_RUN, "{\"components\": [{\"name\": \"echo\"}], \"roles\": {\"nothing\": \"x\"}}", "no role",
         MR_E_USAGE},
        {MR_CMD_RUN, "{\"components\": [{\"name\": \"echo\"}], \"dataset\": \"none\"}", "no data set",
         MR_E_NOT_FOUND},
        {MR_CMD_RUN, "{\"components\": [{\"name\": \"echo\"}]}", "no rows", MR_E_INVALID},
        {MR_CMD_RUN_SHOW, "{\"id\": 999}", "no run 999", MR_E_NOT_FOUND},
        {MR_CMD_RUN_SHOW, "{}", "id", MR_E_INVALID},
        {MR_CMD_RUN_SHOW, "{\"id\": 1, \"more\": 1}", "more", MR_E_INVALID},
        {MR_CMD_ARTIFACT, "{\"hash\": \"short\"}", "64 hex digits", MR_E_INVALID},
        {(mr_command)9999, "{}", "no command", MR_E_PROTOCOL},
    };
    served s;
    party client, worker;
    rig_start_broker(&s, state);
    rig_open_party(&worker, &s, 1, "worker");
    rig_open_party(&client, &s, 2, "client");
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_int_equal(rig_call(&client, wrong[i].command, wrong[i].args), wrong[i].status);
        rig_said(&client, wrong[i].words);
    }
    static const mr_command views[] = {MR_CMD_STATUS, MR_CMD_WORKERS, MR_CMD_COMPONENTS, MR_CMD_CONFIG,
                                       MR_CMD_DOCTOR};
    for (size_t i = 0; i < sizeof views / sizeof *views; i++)
        assert_int_equal(rig_call(&client, views[i], "{}"), MR_OK);
    assert_int_equal(rig_call(&client, MR_CMD_COMPONENTS, "{}"), MR_OK);
    rig_said(&client, "[\"echo\",1,\"analyzer\",\"map\",2,1]");
    rig_stop_broker(&s, &client);
    rig_leave(&worker);
    rig_leave(&client);
}

/* Every message type, empty, in every state: refused or taken, and the broker lives. */
static void no_message_of_a_wrong_state_does_harm(void **state) {
    served s;
    party client;
    rig_start_broker(&s, state);
    rig_open_party(&client, &s, 2, "client");
    for (unsigned type = 1; type < 45; type++) {
        for (uint8_t role = 0; role <= 2; role++) {
            party p;
            mr_wire m = {.type = (mr_msg)type};
            if (!mr_wire_shape((uint8_t)type)) continue;
            rig_connect_party(&p, &s);
            if (role) rig_hello(&p, role, "p");
            rig_send_wire(&p, &m, (mr_span){0});
            mr_session_state st = role == 1   ? MR_SESSION_WORKER
                                  : role == 2 ? MR_SESSION_CLIENT
                                              : MR_SESSION_NEW;
            if (!mr_session_accepts(st, (uint8_t)type)) {
                rig_expect(&p, MR_MSG_REFUSE);
                assert_true(p.in.as.refuse.fatal);
                assert_int_equal(p.in.as.refuse.status, MR_E_PROTOCOL);
            }
            rig_leave(&p);
        }
    }
    assert_int_equal(rig_call(&client, MR_CMD_STATUS, "{}"), MR_OK);
    rig_stop_broker(&s, &client);
    rig_leave(&client);
}

static void broken_messages_are_refused_and_end_the_session(void **state) {
    static const char *const broken[] = {"", "x", "\x93\x01", "\xdd\xff\xff\xff\xff", "\x92\x1e\x63"};
    served s;
    party client, p;
    rig_start_broker(&s, state);
    rig_open_party(&client, &s, 2, "client");
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
        rig_open_party(&p, &s, 2, "p");
        rig_send_raw(&p, mr_span_of(broken[i]), (mr_span){0});
        rig_expect(&p, MR_MSG_REFUSE);
        assert_true(p.in.as.refuse.fatal);
        mr_wire call_late = {.type = MR_MSG_CALL, .as.call = {.call = 1, .command = MR_CMD_STATUS}};
        rig_send_wire(&p, &call_late, (mr_span){0});
        rig_expect(&p, MR_MSG_REFUSE);
        rig_leave(&p);
    }
    rig_stop_broker(&s, &client);
    rig_leave(&client);
}

static void a_worker_whose_hello_makes_no_sense_is_refused(void **state) {
    static const struct {
        uint8_t role;
        const char *name, *body;
    } bad[] = {{0, "x", ""},
               {3, "x", ""},
               {1, "", rig_catalogue},
               {1, "x", "{}"},
               {1, "x", "[1, "},
               {1, "x", ""},
               {1, "a-name-of-sixty-four-bytes-which-is-one-more-than-what-is-possible", rig_catalogue}};
    served s;
    party client;
    rig_start_broker(&s, state);
    rig_open_party(&client, &s, 2, "client");
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        party p;
        rig_connect_party(&p, &s);
        mr_wire m = {.type = MR_MSG_HELLO};
        m.as.hello = (mr_wire_hello){.role = bad[i].role,
                                     .slots = 1,
                                     .name = mr_codec_text_cut(mr_span_of(bad[i].name), MR_MAX_HELLO_NAME)};
        rig_send_wire(&p, &m, mr_span_of(bad[i].body));
        rig_receive(&p);
        assert_int_equal(p.in.type, MR_MSG_REFUSE);
        assert_true(p.in.as.refuse.fatal);
        rig_leave(&p);
    }
    assert_int_equal(rig_call(&client, MR_CMD_WORKERS, "{}"), MR_OK);
    rig_said(&client, "\"rows\":[]");
    rig_stop_broker(&s, &client);
    rig_leave(&client);
}

static void a_run_that_was_under_way_goes_on_with_the_next_broker(void **state) {
    served s;
    party client, worker;
    mr_wire_work_item item[3], rest[4];
    rig_start_broker(&s, state);
    rig_open_party(&client, &s, 2, "client");
    rig_open_party(&worker, &s, 1, "worker");
    rig_ingest(&client, 10);
    rig_run_of(&client, "echo");
    rig_credit(&worker, 3); /* two more are loaded ahead */
    rig_take_work(&worker, 3, item);
    rig_give_result(&worker, &item[0], true);
    assert_int_equal(rig_next_ack(&worker, item[0].attempt), MR_COMMITTED);
    assert_int_equal(rig_call(&client, MR_CMD_STOP, "{}"), MR_OK);
    assert_int_equal(rig_join_broker(&s), MR_OK);
    rig_leave(&worker);
    rig_leave(&client);
    rig_run_broker(&s, "second");
    rig_open_party(&client, &s, 2, "client");
    rig_open_party(&worker, &s, 1, "worker");
    rig_credit(&worker, 10);
    rig_take_work(&worker, 4, rest);
    for (int i = 0; i < 4; i++) {
        assert_int_not_equal(rest[i].index, item[0].index);
        assert_true(rest[i].attempt > item[2].attempt);
        rig_give_result(&worker, &rest[i], true);
    }
    rig_wait_for(s.r, "select exists (select 1 from millrace.run_end where state = 'succeeded')");
    assert_int_equal(rig_number(s.r, "select count(*) from millrace.result"), 5);
    rig_stop_broker(&s, &client);
    rig_leave(&worker);
    rig_leave(&client);
}

static void a_producer_is_pushed_back_until_a_run_has_ended(void **state) {
    served s = {.r = rig_of(state), .max_runs = 2};
    party client, worker;
    mr_wire_work_item item;
    rig_make_folder(&s);
    rig_run_broker(&s, "first");
    rig_open_party(&client, &s, 2, "client");
    rig_open_party(&worker, &s, 1, "worker");
    rig_ingest(&client, 1);
    rig_run_of(&client, "echo");
    rig_run_of(&client, "echo");
    assert_int_equal(rig_call(&client, MR_CMD_RUN, "{\"components\": [{\"name\": \"echo\"}]}"), MR_E_FULL);
    rig_said(&client, "2 runs are unfinished");
    assert_int_equal(rig_number(s.r, "select count(*) from millrace.run"), 2);
    rig_credit(&worker, 1);
    rig_take_work(&worker, 1, &item);
    rig_give_result(&worker, &item, true);
    assert_int_equal(rig_next_ack(&worker, item.attempt), MR_COMMITTED);
    rig_wait_for(s.r, "select exists (select 1 from millrace.run_end)");
    while (rig_call(&client, MR_CMD_RUN, "{\"components\": [{\"name\": \"echo\"}]}") == MR_E_FULL) {}
    assert_int_equal(rig_number(s.r, "select count(*) from millrace.run"), 3);
    rig_stop_broker(&s, &client);
    rig_leave(&worker);
    rig_leave(&client);
}

static void take_and_give(party *worker, uint32_t level, uint32_t index) {
    mr_wire_work_item item;
    rig_credit(worker, 1);
    rig_take_work(worker, 1, &item);
    assert_int_equal(item.level, level);
    assert_int_equal(item.index, index);
    rig_give_result(worker, &item, true);
    assert_int_equal(rig_next_ack(worker, item.attempt), MR_COMMITTED);
}

/* A bit flips in a partial before it is merged, and in the run's result after its end. */
static void damaged_results_are_moved_aside_and_computed_again(void **state) {
    served s;
    party client, worker;
    char text[64];
    rig_start_broker(&s, state);
    rig_open_party(&client, &s, 2, "client");
    rig_open_party(&worker, &s, 1, "worker");
    rig_ingest(&client, 6);
    unsigned long long run = rig_run_of(&client, "fold");
    take_and_give(&worker, 0, 0);
    rig_sql(s.r, "update millrace.result set body = set_byte(body, 1, get_byte(body, 1) # 4) where batch = 0");
    take_and_give(&worker, 0, 1);
    take_and_give(&worker, 0, 2);
    take_and_give(&worker, 0, 0); /* again, and only then the merge */
    take_and_give(&worker, 1, 0);
    rig_wait_for(s.r, "select exists (select 1 from millrace.run_end where state = 'succeeded')");
    assert_true(rig_true(s.r, "select again = 'same bytes' and batch = 0 and level = 0 from millrace.damage"));
    assert_int_equal(rig_number(s.r, "select count(*) from millrace.result"), 4);
    assert_int_equal(rig_number(s.r, "select count(*) from millrace.attempt_failure"), 0);

    rig_sql(s.r, "update millrace.result set body = set_byte(body, 1, get_byte(body, 1) # 4) where level = 1");
    snprintf(text, sizeof text, "{\"run\": %llu, \"body\": true}", run);
    assert_int_equal(rig_call(&client, MR_CMD_RESULTS, text), MR_E_CORRUPT);
    rig_said(&client, "millrace repair run");
    snprintf(text, sizeof text, "{\"run\": %llu}", run);
    assert_int_equal(rig_call(&client, MR_CMD_REPAIR, text), MR_OK);
    rig_said(&client, "\"read\":4,\"damaged_results\":1,\"damaged_artifacts\":0");
    assert_int_equal(rig_call(&client, MR_CMD_REPAIR, text), MR_E_CONFLICT); /* it runs */
    take_and_give(&worker, 1, 0);
    rig_wait_for(s.r, "select exists (select 1 from millrace.run_end where state = 'succeeded')");
    assert_int_equal(rig_call(&client, MR_CMD_REPAIR, text), MR_OK);
    rig_said(&client, "\"damaged_results\":0");
    assert_int_equal(rig_call(&client, MR_CMD_DAMAGE, text), MR_OK);
    rig_said(&client, "\"same bytes\"");
    assert_int_equal(rig_number(s.r, "select count(*) from millrace.result"), 4);
    assert_int_equal(rig_call(&client, MR_CMD_REPAIR, "{\"run\": 999}"), MR_E_NOT_FOUND);
    rig_stop_broker(&s, &client);
    rig_leave(&worker);
    rig_leave(&client);
}

static void a_name_in_another_script_is_cut_at_a_character(void **state) {
    served s = {.r = rig_of(state)};
    party client;
    char name[121] = "";
    for (int i = 0; i < 40; i++) strcat(name, "\xe7\xa3\xa8");
    rig_make_folder(&s);
    rig_run_broker(&s, name);
    rig_open_party(&client, &s, 2, "client");
    assert_int_equal(client.in.as.welcome.broker.len, 63);
    rig_stop_broker(&s, &client);
    rig_leave(&client);
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
    rig_make_folder(&s);
    rig_run_broker(&s, "first");
    assert_int_equal(rig_join_broker(&s), MR_E_NOT_FOUND);
    assert_non_null(strstr(s.err.text, "millrace migrate up"));
    services_database_drop(url);
    rig_remove_folder(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_go_in_batches_go_out_and_results_are_acknowledged_when_committed),
        cmocka_unit_test(merges_follow_their_batches),
        cmocka_unit_test(the_batches_of_a_worker_that_left_go_to_another_and_its_late_result_is_stale),
        cmocka_unit_test(a_worker_that_takes_spans_gets_and_answers_many_batches_at_once),
        cmocka_unit_test(a_span_that_does_not_hold_together_is_refused),
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
        cmocka_unit_test(a_producer_is_pushed_back_until_a_run_has_ended),
        cmocka_unit_test(damaged_results_are_moved_aside_and_computed_again),
        cmocka_unit_test(a_name_in_another_script_is_cut_at_a_character),
        cmocka_unit_test(a_database_without_the_schema_is_told_so),
    };
    return cmocka_run_group_tests(tests, rig_start, rig_stop);
}
