/* Dead letters of runs that go on, replayed through whole brokers on a real database: what is committed is told to the core of
 * the run's owner, whoever was asked, and nothing is lost when that never hears of it. */
#include "tests/unit/broker_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

/* A run of two batches, both out. */
typedef struct scene {
    served s;
    party client, worker;
    uint64_t run;
    mr_wire_work_item item[2];
    char args[64]; /* of a replay of it */
} scene;

static void open_parties(scene *c, void **state) {
    rig_start_broker(&c->s, state);
    rig_open_party(&c->worker, &c->s, 1, "worker");
    rig_open_party(&c->client, &c->s, 2, "client");
}

static void begin(scene *c) {
    rig_ingest(&c->client, 4);
    c->run = rig_run_of(&c->client, "echo");
    rig_credit(&c->worker, 2);
    rig_take_work(&c->worker, 2, c->item);
    snprintf(c->args, sizeof c->args, "{\"run\": %llu}", (unsigned long long)c->run);
}

static void set_scene(scene *c, void **state) {
    open_parties(c, state);
    begin(c);
}

static void end_scene(scene *c) {
    rig_stop_broker(&c->s, &c->client);
    rig_leave(&c->worker);
    rig_leave(&c->client);
}

/* An error that ends it at once. */
static void give_up(scene *c, const mr_wire_work_item *item) {
    mr_wire_result_item out = {.attempt = item->attempt, .run = item->run, .step = item->step, .level = item->level,
                               .index = item->index, .status = MR_E_INVALID, .text = mr_span_of("bad rows")};
    mr_wire m = {.type = MR_MSG_RESULT, .as.result = {.items = &out, .item_count = 1}};
    rig_send_wire(&c->worker, &m, (mr_span){0});
}

static void wait_for_letter(const scene *c) { rig_wait_for(c->s.r, "select exists (select 1 from millrace.dead_letter)"); }

/* It comes again and is done. */
static void do_again(scene *c, const mr_wire_work_item *before) {
    mr_wire_work_item again;
    rig_credit(&c->worker, 1);
    rig_take_work(&c->worker, 1, &again);
    assert_int_equal(again.index, before->index);
    assert_int_not_equal(again.attempt, before->attempt);
    rig_give_result(&c->worker, &again, true);
    assert_int_equal(rig_next_ack(&c->worker, again.attempt), MR_COMMITTED);
}

static void succeeds(scene *c) {
    rig_wait_for(c->s.r, "select exists (select 1 from millrace.run_end where state = 'succeeded')");
    assert_int_equal(rig_number(c->s.r, "select count(*) from millrace.result"), 2);
    assert_int_equal(rig_number(c->s.r, "select count(*) from millrace.dead_letter"), 0);
}

static void a_letter_of_a_run_that_goes_on_is_replayed_at_once(void **state) {
    scene c;
    set_scene(&c, state);
    give_up(&c, &c.item[0]);
    wait_for_letter(&c);
    assert_int_equal(rig_call(&c.client, MR_CMD_DEAD_REPLAY, c.args), MR_OK);
    rig_said(&c.client, "\"replayed\":1,\"runs\":1,\"left\":0");
    do_again(&c, &c.item[0]);
    assert_int_equal(rig_number(c.s.r, "select count(*) from millrace.run_end"), 0);
    rig_give_result(&c.worker, &c.item[1], true);
    succeeds(&c);
    assert_int_equal(rig_number(c.s.r, "select life from millrace.run_end"), 1);
    end_scene(&c);
}

static void it_can_be_given_up_and_replayed_again_and_the_run_then_ends_as_it_is(void **state) {
    scene c;
    set_scene(&c, state);
    give_up(&c, &c.item[0]);
    wait_for_letter(&c);
    mr_wire_work_item again;
    for (int life = 1; life <= 3; life++) {
        assert_int_equal(rig_call(&c.client, MR_CMD_DEAD_REPLAY, c.args), MR_OK);
        rig_credit(&c.worker, 1);
        rig_take_work(&c.worker, 1, &again);
        give_up(&c, &again);
        wait_for_letter(&c);
    }
    assert_int_equal(rig_call(&c.client, MR_CMD_DEAD_DISCARD, c.args), MR_OK);
    rig_said(&c.client, "\"discarded\":1");
    assert_int_equal(rig_call(&c.client, MR_CMD_DEAD_REPLAY, c.args), MR_E_NOT_FOUND);
    rig_give_result(&c.worker, &c.item[1], true);
    rig_wait_for(c.s.r, "select exists (select 1 from millrace.run_end where state = 'failed' and life = 3)");
    assert_int_equal(rig_number(c.s.r, "select count(*) from millrace.attempt_failure where dead"), 4);
    end_scene(&c);
}

/* The broker dies between the commit and its core's hearing of it: the rows alone say how it goes on. */
static void a_broker_that_dies_after_the_commit_loses_nothing(void **state) {
    scene c;
    set_scene(&c, state);
    give_up(&c, &c.item[0]);
    wait_for_letter(&c);
    rig_sql(c.s.r, "with letter as (insert into millrace.dead_letter_end (failure_id, action, client)"
                   " select id, 'replayed', 'c' from millrace.dead_letter)"
                   " insert into millrace.run_reopen (run_id, life, client) values (%llu, 1, 'c')", (unsigned long long)c.run);
    assert_int_equal(rig_call(&c.client, MR_CMD_STOP, "{}"), MR_OK);
    assert_int_equal(rig_join_broker(&c.s), MR_OK);
    rig_leave(&c.client);
    rig_leave(&c.worker);
    rig_run_broker(&c.s, "second");
    rig_open_party(&c.client, &c.s, 2, "client");
    rig_open_party(&c.worker, &c.s, 1, "worker");
    rig_credit(&c.worker, 2);
    mr_wire_work_item item[2];
    rig_take_work(&c.worker, 2, item);
    for (int i = 0; i < 2; i++) rig_give_result(&c.worker, &item[i], true);
    succeeds(&c);
    end_scene(&c);
}

/* The end of a run, which waits here for a lock, is written after its letter was replayed: it is that of a life that is over. */
static void an_end_that_is_being_written_does_not_overtake(void **state) {
    scene c;
    set_scene(&c, state);
    rig_give_result(&c.worker, &c.item[1], true);
    rig_wait_for(c.s.r, "select count(*) = 1 from millrace.result");
    rig_sql(c.s.r, "begin");
    rig_sql(c.s.r, "insert into millrace.run_ending (run_id, life, state) values (%llu, 0, 'failed')", (unsigned long long)c.run);
    give_up(&c, &c.item[0]);
    wait_for_letter(&c);
    rig_wait_for(c.s.r, "select exists (select 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock')");
    assert_int_equal(rig_call(&c.client, MR_CMD_DEAD_REPLAY, c.args), MR_OK);
    rig_said(&c.client, "\"replayed\":1");
    rig_sql(c.s.r, "rollback");
    do_again(&c, &c.item[0]);
    succeeds(&c);
    assert_int_equal(rig_number(c.s.r, "select count(*) from millrace.run_ending where life = 0 and state = 'failed'"), 1);
    end_scene(&c);
}

/* Who is cancelled stays so, whatever is replayed at that moment. */
static void a_cancelled_run_is_not_replayed(void **state) {
    scene c;
    char id[64];
    set_scene(&c, state);
    give_up(&c, &c.item[0]);
    wait_for_letter(&c);
    snprintf(id, sizeof id, "{\"id\": %llu}", (unsigned long long)c.run);
    assert_int_equal(rig_call(&c.client, MR_CMD_CANCEL, id), MR_OK);
    assert_int_equal(rig_call(&c.client, MR_CMD_DEAD_REPLAY, c.args), MR_E_CONFLICT);
    rig_said(&c.client, "cancelled");
    assert_int_equal(rig_call(&c.client, MR_CMD_DEAD_DISCARD, c.args), MR_OK);
    end_scene(&c);
}

/* Its owner hears of it; a new run goes into the share of the broker that plans it. */
static void any_broker_may_be_asked(void **state) {
    scene c;
    served other;
    party second;
    open_parties(&c, state);
    other = (served){.r = c.s.r};
    snprintf(other.address, sizeof other.address, "ipc://%s/c", c.s.folder);
    rig_run_broker(&other, "second");
    rig_wait_for(c.s.r, "select min(n) = 8 and count(*) = 2 from (select count(*) n from millrace.partition_lease"
                        " where owner <> '' group by owner) x");
    begin(&c);
    rig_open_party(&second, &other, 2, "client");
    give_up(&c, &c.item[0]);
    wait_for_letter(&c);
    assert_int_equal(rig_call(&second, MR_CMD_DEAD_REPLAY, c.args), MR_OK);
    do_again(&c, &c.item[0]);
    rig_give_result(&c.worker, &c.item[1], true);
    succeeds(&c);
    assert_int_equal(rig_call(&second, MR_CMD_STOP, "{}"), MR_OK);
    assert_int_equal(rig_join_broker(&other), MR_OK);
    rig_leave(&second);
    char path[128];
    for (int i = 0; i < 2; i++) {
        snprintf(path, sizeof path, "%s/c%s", c.s.folder, i ? ".events" : "");
        unlink(path);
    }
    end_scene(&c);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_letter_of_a_run_that_goes_on_is_replayed_at_once),
        cmocka_unit_test(it_can_be_given_up_and_replayed_again_and_the_run_then_ends_as_it_is),
        cmocka_unit_test(a_broker_that_dies_after_the_commit_loses_nothing),
        cmocka_unit_test(an_end_that_is_being_written_does_not_overtake),
        cmocka_unit_test(a_cancelled_run_is_not_replayed),
        cmocka_unit_test(any_broker_may_be_asked),
    };
    return cmocka_run_group_tests(tests, rig_start, rig_stop);
}
