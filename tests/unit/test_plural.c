/* Several brokers on one database, each in a thread of this process, with workers and clients that share nothing with the
 * real ones. */
#include "tests/unit/broker_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

static void start_second(served *other, const served *first, const char *name) {
    *other = (served){.r = first->r};
    snprintf(other->address, sizeof other->address, "ipc://%s/c", first->folder);
    rig_run_broker(other, name);
}

static void remove_second(const served *first) {
    char path[128];
    snprintf(path, sizeof path, "%s/c", first->folder);
    unlink(path);
    snprintf(path, sizeof path, "%s/c.events", first->folder);
    unlink(path);
}

static const char half_each[] = "select min(n) = 8 and count(*) = 2 from (select count(*) n from millrace.partition_lease"
                                " where owner <> '' group by owner) x";

static void a_second_broker_takes_half_and_the_first_goes_on(void **state) {
    served s, other;
    party client, second;
    rig_start_broker(&s, state);
    rig_open_party(&client, &s, 2, "client");
    party worker;
    rig_open_party(&worker, &s, 1, "worker");
    rig_ingest(&client, 2);
    for (int i = 0; i < 8; i++) rig_run_of(&client, "echo");
    start_second(&other, &s, "second");
    rig_wait_for(s.r, half_each);
    rig_open_party(&second, &other, 2, "client");
    party helper;
    rig_open_party(&helper, &other, 1, "helper");
    do assert_int_equal(rig_call(&second, MR_CMD_STATUS, "{}"), MR_OK);
    while (!strstr(second.said, "\"partitions\":8")); /* their runs are read */
    uint64_t more = rig_run_of(&second, "echo"); /* into its own share */
    assert_true(rig_true(s.r, "select owner = 'second' from millrace.run join millrace.partition_lease using (partition)"
                              " where id = %llu", (unsigned long long)more));
    uint32_t there = (uint32_t)rig_number(s.r, "select count(*) from millrace.run join millrace.partition_lease using"
                                               " (partition) where owner = 'second'");
    assert_true(there >= 1 && there < 9);
    mr_wire_work_item item[9];
    rig_credit(&helper, 20);
    rig_take_work(&helper, there, item);
    for (uint32_t i = 0; i < there; i++) rig_give_result(&helper, &item[i], true);
    rig_credit(&worker, 20);
    rig_take_work(&worker, 9 - there, item);
    for (uint32_t i = 0; i < 9 - there; i++) rig_give_result(&worker, &item[i], true);
    rig_wait_for(s.r, "select count(*) = 9 from millrace.run_end where state = 'succeeded'");
    assert_int_equal(rig_number(s.r, "select count(*) from millrace.result"), 9);
    assert_int_equal(rig_call(&second, MR_CMD_STOP, "{}"), MR_OK);
    assert_int_equal(rig_join_broker(&other), MR_OK);
    rig_wait_for(s.r, "select bool_and(owner = 'first') from millrace.partition_lease"); /* long before the lease's end */
    remove_second(&s);
    rig_stop_broker(&s, &client);
    rig_leave(&worker);
    rig_leave(&helper);
    rig_leave(&second);
    rig_leave(&client);
}

/* The worker had its work from the first broker, and brings the result to the second. */
static void a_result_may_go_to_any_broker_and_its_owner_learns_of_it(void **state) {
    served s, other;
    party client, worker, helper;
    mr_wire_work_item item[5], again;
    rig_start_broker(&s, state);
    rig_open_party(&client, &s, 2, "client");
    rig_open_party(&worker, &s, 1, "worker");
    start_second(&other, &s, "second");
    rig_wait_for(s.r, half_each);
    rig_open_party(&helper, &other, 1, "helper");
    rig_ingest(&client, 10);
    rig_run_of(&client, "echo");
    rig_credit(&worker, 5);
    rig_take_work(&worker, 5, item);
    rig_give_result(&helper, &item[0], true);
    assert_int_equal(rig_next_ack(&helper, item[0].attempt), MR_COMMITTED);
    rig_expect(&worker, MR_MSG_CANCEL);
    assert_int_equal(worker.in.as.cancel.attempts[0], item[0].attempt);
    rig_give_result(&helper, &item[0], true);
    assert_int_equal(rig_next_ack(&helper, item[0].attempt), MR_COMMITTED); /* its own, once more */
    again = item[0];
    again.attempt = 99;
    rig_give_result(&helper, &again, true);
    assert_int_equal(rig_next_ack(&helper, 99), MR_STALE);
    again.index = 77;
    rig_give_result(&helper, &again, true);
    assert_int_equal(rig_next_ack(&helper, 99), MR_REFUSED);
    again.run += 16; /* there is no such run */
    rig_give_result(&helper, &again, true);
    assert_int_equal(rig_next_ack(&helper, 99), MR_REFUSED);
    for (int i = 1; i < 5; i++) rig_give_result(&worker, &item[i], true);
    rig_wait_for(s.r, "select exists (select 1 from millrace.run_end where state = 'succeeded')");
    assert_int_equal(rig_number(s.r, "select count(*) from millrace.result"), 5);
    assert_int_equal(rig_number(s.r, "select count(distinct attempt) from millrace.result"), 5);
    rig_give_result(&helper, &item[1], true);
    assert_int_equal(rig_next_ack(&helper, item[1].attempt), MR_STALE); /* the run is over */
    rig_leave(&helper);
    rig_open_party(&helper, &other, 2, "client");
    assert_int_equal(rig_call(&helper, MR_CMD_STOP, "{}"), MR_OK);
    assert_int_equal(rig_join_broker(&other), MR_OK);
    remove_second(&s);
    rig_stop_broker(&s, &client);
    rig_leave(&helper);
    rig_leave(&worker);
    rig_leave(&client);
}

static void pauses_and_cancels_reach_the_broker_whose_run_it_is(void **state) {
    served s, other;
    party client, worker, second;
    char args[64];
    mr_wire_work_item item[2];
    rig_start_broker(&s, state);
    rig_open_party(&client, &s, 2, "client");
    rig_open_party(&worker, &s, 1, "worker");
    start_second(&other, &s, "second");
    rig_wait_for(s.r, half_each);
    rig_open_party(&second, &other, 2, "client");
    rig_ingest(&client, 4);
    assert_int_equal(rig_call(&second, MR_CMD_PAUSE, "{\"kind\": \"component\", \"name\": \"echo\"}"), MR_OK);
    do assert_int_equal(rig_call(&client, MR_CMD_PAUSES, "{}"), MR_OK);
    while (!strstr(client.said, "echo"));
    uint64_t run = rig_run_of(&client, "echo");
    rig_credit(&worker, 2);
    assert_int_equal(rig_call(&second, MR_CMD_RESUME, "{\"kind\": \"component\", \"name\": \"echo\"}"), MR_OK);
    rig_take_work(&worker, 2, item);
    snprintf(args, sizeof args, "{\"id\": %llu}", (unsigned long long)run);
    assert_int_equal(rig_call(&second, MR_CMD_CANCEL, args), MR_OK);
    rig_expect(&worker, MR_MSG_CANCEL);
    assert_int_equal(rig_call(&second, MR_CMD_CANCEL, args), MR_E_NOT_FOUND);
    assert_int_equal(rig_call(&second, MR_CMD_STOP, "{}"), MR_OK);
    assert_int_equal(rig_join_broker(&other), MR_OK);
    remove_second(&s);
    rig_stop_broker(&s, &client);
    rig_leave(&second);
    rig_leave(&worker);
    rig_leave(&client);
}

/* The next items of a worker, when some come within that time; at most `room`. */
static uint32_t next_items(party *worker, int wait_ms, mr_wire_work_item *out, uint32_t room) {
    mr_error err = {0};
    mr_poll_item item = {.socket = worker->socket};
    assert_int_equal(mr_net_poll(&item, 1, wait_ms, &err), MR_OK);
    if (!item.readable) return 0;
    rig_receive(worker);
    if (worker->in.type != MR_MSG_WORK) return 0;
    uint32_t n = worker->in.as.work.item_count;
    assert_true(n <= room); /* else more is out than the limit */
    memcpy(out, worker->in.as.work.items, n * sizeof *out);
    return n;
}

/* Both have work for all of the time; what is out in both together is never more than the limit, and both get on. */
static void two_brokers_keep_one_limit_together_and_both_get_on(void **state) {
    enum { MOST = 3, BATCHES = 20 };
    served s, other;
    party client, second, worker[2];
    mr_wire_work_item held[MOST];
    int from[MOST], done[2] = {0};
    uint32_t out = 0;
    rig_start_broker(&s, state);
    rig_open_party(&client, &s, 2, "client");
    rig_open_party(&worker[0], &s, 1, "worker");
    start_second(&other, &s, "second");
    rig_wait_for(s.r, half_each);
    rig_open_party(&second, &other, 2, "client");
    rig_open_party(&worker[1], &other, 1, "helper");
    rig_ingest(&client, 2 * BATCHES);
    assert_int_equal(rig_call(&client, MR_CMD_LIMIT_SET, "{\"kind\": \"component\", \"name\": \"echo\", \"max_concurrent\": 3}"), MR_OK);
    rig_wait_for(s.r, "select count(*) = 2 and sum(slots) = 0 from millrace.limit_share"); /* both know it; nobody wants any */
    rig_run_of(&client, "echo");
    do assert_int_equal(rig_call(&second, MR_CMD_STATUS, "{}"), MR_OK);
    while (!strstr(second.said, "\"partitions\":8"));
    rig_run_of(&second, "echo");
    for (int i = 0; i < 2; i++) rig_credit(&worker[i], 2 * BATCHES);
    for (int turn = 0; done[0] + done[1] < 2 * BATCHES; turn ^= 1) {
        uint32_t n = next_items(&worker[turn], 20, held + out, MOST - out);
        for (uint32_t i = 0; i < n; i++) from[out++] = turn;
        if (n || !out || turn) continue;
        out--; /* the oldest first, so that both have some out for long */
        rig_give_result(&worker[from[0]], &held[0], true);
        done[from[0]]++;
        memmove(held, held + 1, out * sizeof *held);
        memmove(from, from + 1, out * sizeof *from);
    }
    assert_int_equal(done[0], BATCHES);
    assert_int_equal(done[1], BATCHES);
    rig_wait_for(s.r, "select count(*) = 2 from millrace.run_end where state = 'succeeded'");
    assert_int_equal(rig_call(&second, MR_CMD_STOP, "{}"), MR_OK);
    assert_int_equal(rig_join_broker(&other), MR_OK);
    remove_second(&s);
    rig_sql(s.r, "truncate millrace.limit_rule");
    rig_stop_broker(&s, &client);
    rig_leave(&second);
    for (int i = 0; i < 2; i++) rig_leave(&worker[i]);
    rig_leave(&client);
}

static void a_broker_whose_leases_were_taken_loses_its_runs_and_rejoins(void **state) {
    served s;
    party client, worker;
    mr_wire_work_item item[2], rest[2];
    rig_start_broker(&s, state);
    rig_open_party(&client, &s, 2, "client");
    rig_open_party(&worker, &s, 1, "worker");
    rig_ingest(&client, 4);
    rig_run_of(&client, "echo");
    rig_credit(&worker, 2);
    rig_take_work(&worker, 2, item);
    rig_sql(s.r, "update millrace.partition_lease set owner = 'another', epoch = epoch + 1, expires_at = now() + interval '2 s'");
    rig_give_result(&worker, &item[0], true);
    assert_int_equal(rig_next_ack(&worker, item[0].attempt), MR_RETRY); /* fenced: nothing was written */
    assert_int_equal(rig_number(s.r, "select count(*) from millrace.result"), 0);
    rig_wait_for(s.r, "select bool_and(owner = 'first') from millrace.partition_lease");
    rig_credit(&worker, 4);
    rig_take_work(&worker, 2, rest);
    for (int i = 0; i < 2; i++) rig_give_result(&worker, &rest[i], true);
    rig_wait_for(s.r, "select exists (select 1 from millrace.run_end where state = 'succeeded')");
    rig_stop_broker(&s, &client);
    rig_leave(&worker);
    rig_leave(&client);
}

static void a_broker_whose_name_another_process_takes_stops(void **state) {
    served s, other;
    party client, second;
    rig_start_broker(&s, state);
    rig_open_party(&client, &s, 2, "client");
    start_second(&other, &s, "first");
    assert_int_equal(rig_join_broker(&s), MR_E_CONFLICT);
    assert_non_null(strstr(s.err.text, "name and work"));
    rig_open_party(&second, &other, 2, "client");
    assert_int_equal(rig_number(s.r, "select count(*) from millrace.partition_lease where owner = 'first'"), 16);
    assert_int_equal(rig_call(&second, MR_CMD_STOP, "{}"), MR_OK);
    assert_int_equal(rig_join_broker(&other), MR_OK);
    remove_second(&s);
    rig_remove_folder(&s);
    rig_leave(&second);
    rig_leave(&client);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_second_broker_takes_half_and_the_first_goes_on),
        cmocka_unit_test(a_result_may_go_to_any_broker_and_its_owner_learns_of_it),
        cmocka_unit_test(pauses_and_cancels_reach_the_broker_whose_run_it_is),
        cmocka_unit_test(two_brokers_keep_one_limit_together_and_both_get_on),
        cmocka_unit_test(a_broker_whose_leases_were_taken_loses_its_runs_and_rejoins),
        cmocka_unit_test(a_broker_whose_name_another_process_takes_stops),
    };
    return cmocka_run_group_tests(tests, rig_start, rig_stop);
}
