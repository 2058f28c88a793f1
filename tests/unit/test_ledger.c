#include "broker/io/ledger.h"
#include "tests/unit/io_rig.h"

#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum { TRIES = 2000 };

typedef struct desk_of {
    rig *r;
    mr_lease lease;
    mr_desk desk;
    uint64_t run;
} desk_of;

static void start_desk(desk_of *d, void **state) {
    mr_error err = {0};
    *d = (desk_of){.r = rig_of(state)};
    d->lease = rig_lease(d->r, "one");
    rig_prompts(d->r, 3);
    mr_run_info *info = rig_run(d->r, &d->lease, "prompts", MR_STEP_MAP, 1, MR_COL_FEATURES);
    d->run = info->run;
    mr_run_info_drop(info);
    rig_desk(d->r, &d->desk);
    assert_int_equal(mr_ledger_start(&d->desk, &d->lease, &err), MR_OK);
}

static void stop_desk(desk_of *d) { mr_desk_stop(&d->desk); }

static int64_t epoch_of(const desk_of *d, uint64_t run) { return d->lease.epoch[mr_partition_of(run)]; }

/* A result with the body "body ATTEMPT", and maybe one artifact "artifact ATTEMPT" behind it. */
static mr_commit_job *commit_new(const desk_of *d, uint32_t batch, uint64_t attempt, bool artifact) {
    mr_buf buf;
    mr_commit_job *job = mr_new(NULL, 1, sizeof *job);
    assert_non_null(job);
    job->head.work = mr_commit_work;
    job->key = (mr_work_key){.run = d->run, .index = batch};
    job->epoch = epoch_of(d, d->run);
    job->attempt = attempt;
    job->rows = 1;
    job->first_row = batch;
    job->last = true;
    snprintf(job->worker, sizeof job->worker, "w");
    mr_buf_init(&buf, NULL, 1000);
    mr_buf_printf(&buf, "body %llu", (unsigned long long)attempt);
    size_t body = buf.len;
    if (artifact) mr_buf_printf(&buf, "artifact %llu", (unsigned long long)attempt);
    size_t all = buf.len;
    job->frame = mr_bytes_of_buf(&buf);
    assert_non_null(job->frame);
    job->body = (mr_span){mr_bytes_span(job->frame).data, body};
    job->hash = mr_hash_of(job->body);
    if (!artifact) return job;
    job->artifacts = 1;
    mr_artifact_ref *a = job->artifact = mr_new(NULL, 1, sizeof *a);
    assert_non_null(a);
    a->bytes = (mr_span){mr_bytes_span(job->frame).data + body, all - body};
    a->hash = mr_hash_of(a->bytes);
    snprintf(a->name, sizeof a->name, "model");
    snprintf(a->media_type, sizeof a->media_type, "text/plain");
    return job;
}

/* Links `job` before `list`. */
static mr_job *before(mr_commit_job *job, mr_job *list) {
    job->head.next = list;
    return &job->head;
}

static mr_verdict next_verdict(desk_of *d) {
    mr_commit_job *job = (mr_commit_job *)rig_next(d->r);
    assert_ptr_equal(job->head.work, mr_commit_work);
    mr_verdict v = job->verdict;
    mr_commit_job_free(job);
    return v;
}

static int64_t results(desk_of *d) {
    return rig_number(d->r, "select count(*) from millrace.result where run_id = %llu",
                      (unsigned long long)d->run);
}

static void what_waits_is_written_in_one_transaction(void **state) {
    desk_of d;
    mr_job *list = NULL;
    start_desk(&d, state);
    for (uint32_t i = 700; i-- > 0;) list = before(commit_new(&d, i, 1000 + i, false), list);
    mr_queue_push(&d.desk.in, list);
    for (int i = 0; i < 700; i++) assert_int_equal(next_verdict(&d), MR_COMMITTED);
    assert_int_equal(results(&d), 700);
    assert_int_equal(rig_number(d.r, "select count(distinct xmin::text) from millrace.result"), 1);
    assert_true(rig_true(d.r, "select bool_and(body = convert_to('body ' || attempt, 'UTF8') and attempt = "
                              "1000 + batch and worker = 'w'"
                              " and first_row = batch and row_count = 1 and last) from millrace.result"));
    stop_desk(&d);
}

static void more_than_a_group_holds_is_written_in_several(void **state) {
    desk_of d;
    mr_job *list = NULL;
    start_desk(&d, state);
    for (uint32_t i = 9000; i-- > 0;) list = before(commit_new(&d, i, 1000 + i, false), list);
    mr_queue_push(&d.desk.in, list);
    for (int i = 0; i < 9000; i++) assert_int_equal(next_verdict(&d), MR_COMMITTED);
    assert_int_equal(results(&d), 9000);
    assert_int_equal(rig_number(d.r, "select count(distinct xmin::text) from millrace.result"), 3);
    stop_desk(&d);
}

/* While a large group waits for its fence, more results and a run's end come. */
static void what_comes_while_a_large_group_is_written_goes_in_the_next(void **state) {
    desk_of d;
    mr_job *list = NULL;
    start_desk(&d, state);
    rig_sql(d.r, "begin");
    rig_sql(d.r, "lock table millrace.partition_lease in exclusive mode");
    for (uint32_t i = 300; i-- > 0;) list = before(commit_new(&d, i, 1000 + i, false), list);
    mr_queue_push(&d.desk.in, list);
    while (!rig_true(d.r, "select exists (select 1 from pg_locks where not granted)")) sched_yield();
    mr_run_end_job *end = mr_new(NULL, 1, sizeof *end);
    assert_non_null(end);
    end->head.work = mr_run_end_work;
    end->run = d.run;
    end->epoch = epoch_of(&d, d.run);
    end->state = MR_RUN_FAILED;
    list = &end->head;
    for (uint32_t i = 400; i-- > 300;) list = before(commit_new(&d, i, 1000 + i, false), list);
    mr_queue_push(&d.desk.in, list);
    rig_sql(d.r, "commit");
    for (int i = 0; i < 300; i++) assert_int_equal(next_verdict(&d), MR_COMMITTED);
    assert_ptr_equal(rig_next(d.r), &end->head); /* it does not wait for results */
    assert_int_equal(end->head.status, MR_OK);
    mr_free(NULL, end, 1, sizeof *end);
    for (int i = 0; i < 100; i++) assert_int_equal(next_verdict(&d), MR_COMMITTED);
    assert_int_equal(results(&d), 400);
    assert_int_equal(rig_number(d.r, "select count(distinct xmin::text) from millrace.result"), 2);
    stop_desk(&d);
}

static void the_first_attempt_wins_within_a_group_and_across_groups(void **state) {
    desk_of d;
    start_desk(&d, state);
    /* batch 7 twice in one group, with another between */
    mr_job *list = before(commit_new(&d, 7, 1, false),
                          before(commit_new(&d, 8, 2, false), before(commit_new(&d, 7, 3, false), NULL)));
    mr_queue_push(&d.desk.in, list);
    assert_int_equal(next_verdict(&d), MR_COMMITTED);
    assert_int_equal(next_verdict(&d), MR_COMMITTED);
    assert_int_equal(next_verdict(&d), MR_STALE);
    list = before(commit_new(&d, 7, 4, false), before(commit_new(&d, 9, 5, false), NULL));
    mr_queue_push(&d.desk.in, list);
    assert_int_equal(next_verdict(&d), MR_STALE);
    assert_int_equal(next_verdict(&d), MR_COMMITTED);
    assert_int_equal(results(&d), 3);
    assert_int_equal(rig_number(d.r, "select attempt from millrace.result where batch = 7"), 1);
    stop_desk(&d);
}

/* A large group goes by COPY, which knows no conflict: then it is inserted instead. */
static void a_large_group_with_rows_that_were_there_before_writes_the_others(void **state) {
    desk_of d;
    mr_job *list = NULL;
    start_desk(&d, state);
    mr_desk_give(&d.desk, &commit_new(&d, 50, 1, false)->head);
    mr_desk_give(&d.desk, &commit_new(&d, 51, 1051, false)->head);
    for (int i = 0; i < 2; i++) assert_int_equal(next_verdict(&d), MR_COMMITTED);
    for (uint32_t i = 1200; i-- > 0;) list = before(commit_new(&d, i, 1000 + i, false), list);
    mr_queue_push(&d.desk.in, list);
    for (int i = 0; i < 1200; i++) assert_int_equal(next_verdict(&d), i == 50 ? MR_STALE : MR_COMMITTED);
    assert_int_equal(results(&d), 1200);
    assert_int_equal(rig_number(d.r, "select attempt from millrace.result where batch = 50"), 1);
    stop_desk(&d);
}

static void an_attempt_that_is_there_already_as_our_own_is_committed(void **state) {
    desk_of d;
    start_desk(&d, state);
    mr_desk_give(&d.desk, &commit_new(&d, 1, 11, false)->head);
    assert_int_equal(next_verdict(&d), MR_COMMITTED);
    mr_desk_give(&d.desk, &commit_new(&d, 1, 11, false)->head);
    assert_int_equal(next_verdict(&d), MR_COMMITTED);
    assert_int_equal(results(&d), 1);
    stop_desk(&d);
}

static void artifacts_are_those_of_the_attempts_that_won(void **state) {
    desk_of d;
    start_desk(&d, state);
    mr_job *list = before(commit_new(&d, 1, 1, true), before(commit_new(&d, 1, 2, true), NULL));
    mr_queue_push(&d.desk.in, list);
    assert_int_equal(next_verdict(&d), MR_COMMITTED);
    assert_int_equal(next_verdict(&d), MR_STALE);
    mr_desk_give(&d.desk, &commit_new(&d, 1, 3, true)->head);
    assert_int_equal(next_verdict(&d), MR_STALE);
    assert_int_equal(rig_number(d.r, "select count(*) from millrace.artifact"), 1);
    assert_true(rig_true(
        d.r,
        "select a.bytes = 'artifact 1' and a.media_type = 'text/plain' and n.name = 'model' and n.batch = 1"
        " from millrace.run_artifact n join millrace.artifact a using (hash)"));
    mr_desk_give(&d.desk, &commit_new(&d, 2, 1, true)->head); /* the same bytes again */
    assert_int_equal(next_verdict(&d), MR_COMMITTED);
    assert_int_equal(rig_number(d.r, "select count(*) from millrace.artifact"), 1);
    assert_int_equal(rig_number(d.r, "select count(*) from millrace.run_artifact"), 2);
    rig_sql(d.r, "update millrace.artifact set bytes = 'artifact 0'"); /* damaged: whoever has the right bytes mends it */
    mr_desk_give(&d.desk, &commit_new(&d, 3, 1, true)->head);
    assert_int_equal(next_verdict(&d), MR_COMMITTED);
    assert_true(rig_true(d.r, "select bytes = 'artifact 1' from millrace.artifact"));
    stop_desk(&d);
}

static void wait_for(rig *r, const char *sql) {
    for (int i = 0; i < TRIES; i++)
        if (rig_true(r, "%s", sql)) return;
    fail_msg("never: %s", sql);
}

static void a_connection_that_is_cut_inside_a_transaction_loses_and_doubles_nothing(void **state) {
    desk_of d;
    mr_job *list = NULL;
    start_desk(&d, state);
    for (uint32_t i = 300; i-- > 0;) list = before(commit_new(&d, i, 1000 + i, i % 10 == 0), list);
    rig_sql(d.r,
            "begin; lock table millrace.artifact in exclusive mode"); /* the group stops behind its results */
    mr_queue_push(&d.desk.in, list);
    wait_for(d.r, "select exists (select 1 from pg_stat_activity where application_name = 'ledger' and "
                  "wait_event_type = 'Lock'"
                  " and datname = current_database())");
    rig_cut_connections(d.r);
    rig_sql(d.r, "rollback");
    for (int i = 0; i < 300; i++) assert_int_equal(next_verdict(&d), MR_COMMITTED);
    assert_int_equal(results(&d), 300);
    assert_int_equal(rig_number(d.r, "select count(*) from millrace.run_artifact"), 30);
    stop_desk(&d);
}

static void connections_that_are_cut_again_and_again_lose_and_double_nothing(void **state) {
    desk_of d;
    start_desk(&d, state);
    for (uint32_t i = 0; i < 200; i++) {
        mr_desk_give(&d.desk, &commit_new(&d, i, 1000 + i, false)->head);
        if (i % 50 == 25) rig_cut_connections(d.r);
    }
    for (int i = 0; i < 200; i++) assert_int_equal(next_verdict(&d), MR_COMMITTED);
    assert_int_equal(results(&d), 200);
    assert_int_equal(rig_number(d.r, "select count(distinct attempt) from millrace.result"), 200);
    stop_desk(&d);
}

/* Gives 40 results, of which the one of batch 13 is of `worker`; the desk sees all at once. */
static void give_forty(desk_of *d, const char *worker) {
    mr_job *list = NULL;
    for (uint32_t i = 40; i-- > 0;) {
        mr_commit_job *job = commit_new(d, i, 1000 + i, false);
        if (i == 13) snprintf(job->worker, sizeof job->worker, "%s", worker);
        list = before(job, list);
    }
    mr_queue_push(&d->desk.in, list);
}

static void a_result_that_the_database_refuses_goes_back_and_the_others_are_written(void **state) {
    desk_of d;
    int refused = 0;
    start_desk(&d, state);
    give_forty(&d, "\xff"); /* no text to PostgreSQL */
    for (int i = 0; i < 40; i++) {
        mr_commit_job *job = (mr_commit_job *)rig_next(d.r);
        if (job->verdict == MR_REFUSED) {
            refused++;
            assert_int_equal(job->key.index, 13);
            assert_int_equal(job->head.error.status, MR_E_INVALID);
            assert_non_null(strstr(job->head.error.text, "refuses the result"));
        } else {
            assert_int_equal(job->verdict, MR_COMMITTED);
        }
        mr_commit_job_free(job);
    }
    assert_int_equal(refused, 1);
    assert_int_equal(results(&d), 39);
    stop_desk(&d);
}

/* Something is wrong with the tables, for some results. */
static void a_result_that_cannot_be_written_now_waits_behind_the_others(void **state) {
    desk_of d;
    start_desk(&d, state);
    rig_sql(d.r, "alter table millrace.result add constraint broken check (batch <> 13)");
    give_forty(&d, "w");
    for (int i = 0; i < 39; i++) assert_int_equal(next_verdict(&d), MR_COMMITTED);
    assert_int_equal(results(&d), 39);
    rig_sql(d.r, "alter table millrace.result drop constraint broken");
    assert_int_equal(next_verdict(&d), MR_COMMITTED);
    assert_int_equal(results(&d), 40);
    stop_desk(&d);
}

static void a_ledger_whose_lease_was_taken_writes_nothing_and_raises_a_doubt(void **state) {
    desk_of d;
    start_desk(&d, state);
    (void)rig_lease(d.r, "two");
    mr_desk_give(&d.desk, &commit_new(&d, 1, 1, true)->head);
    while (!d.lease.doubt) sched_yield();
    assert_int_equal(results(&d), 0);
    assert_int_equal(rig_number(d.r, "select count(*) from millrace.artifact"), 0);
    d.lease.epoch[mr_partition_of(d.run)] = 0; /* as the broker does when it has looked */
    assert_int_equal(next_verdict(&d), MR_RETRY); /* the worker keeps it */
    stop_desk(&d);
    assert_int_equal(results(&d), 0);
}

static void one_lost_partition_does_not_hold_up_the_results_of_the_others(void **state) {
    desk_of d;
    start_desk(&d, state);
    uint64_t lost = d.run;
    mr_run_info *info = rig_run(d.r, &d.lease, "prompts", MR_STEP_MAP, 1, MR_COL_FEATURES);
    d.run = info->run;
    mr_run_info_drop(info);
    assert_int_not_equal(mr_partition_of(lost), mr_partition_of(d.run));
    rig_sql(d.r, "update millrace.partition_lease set owner = 'two', epoch = epoch + 1 where partition = %d",
            mr_partition_of(lost));
    mr_commit_job *other = commit_new(&d, 0, 1, false);
    other->key.run = lost;
    other->epoch = epoch_of(&d, lost);
    mr_desk_give(&d.desk, &other->head);
    mr_desk_give(&d.desk, &commit_new(&d, 0, 2, false)->head);
    while (!d.lease.doubt) sched_yield();
    d.lease.epoch[mr_partition_of(lost)] = 0;
    assert_int_equal(next_verdict(&d), MR_RETRY);
    assert_int_equal(next_verdict(&d), MR_COMMITTED);
    stop_desk(&d);
}

/* A partition that was lost and taken again: what was given under the old epoch is of a past that others may have changed. */
static void what_was_given_under_an_earlier_epoch_is_not_written(void **state) {
    desk_of d;
    start_desk(&d, state);
    mr_commit_job *job = commit_new(&d, 1, 1, false);
    mr_run_end_job *end = mr_new(NULL, 1, sizeof *end);
    *end = (mr_run_end_job){.head.work = mr_run_end_work, .run = d.run, .epoch = job->epoch, .state = MR_RUN_SUCCEEDED};
    mr_lease again = rig_lease(d.r, "one");
    for (int i = 0; i < MR_PARTITIONS; i++) d.lease.epoch[i] = again.epoch[i];
    mr_desk_give(&d.desk, &job->head);
    assert_int_equal(next_verdict(&d), MR_RETRY);
    mr_desk_give(&d.desk, &end->head);
    assert_ptr_equal(rig_next(d.r), end);
    assert_int_equal(end->head.status, MR_E_CONFLICT);
    mr_free(NULL, end, 1, sizeof *end);
    assert_int_equal(rig_number(d.r, "select count(*) from millrace.run_end"), 0);
    mr_desk_give(&d.desk, &commit_new(&d, 1, 2, false)->head);
    assert_int_equal(next_verdict(&d), MR_COMMITTED);
    stop_desk(&d);
}

/* The core gave it out before it learned that the partition was lost. */
static void what_is_given_after_the_loss_goes_back_and_keeps_nobody_waiting(void **state) {
    desk_of d;
    start_desk(&d, state);
    uint64_t lost = d.run;
    mr_run_info *info = rig_run(d.r, &d.lease, "prompts", MR_STEP_MAP, 1, MR_COL_FEATURES);
    d.run = info->run;
    mr_run_info_drop(info);
    d.lease.epoch[mr_partition_of(lost)] = 0;
    mr_commit_job *late = commit_new(&d, 0, 1, false);
    late->key.run = lost;
    late->epoch = epoch_of(&d, lost);
    mr_desk_give(&d.desk, &late->head);
    assert_int_equal(next_verdict(&d), MR_RETRY);
    mr_desk_give(&d.desk, &commit_new(&d, 0, 2, false)->head);
    assert_int_equal(next_verdict(&d), MR_COMMITTED);
    assert_false(d.lease.doubt);
    stop_desk(&d);
}

static void results_wait_for_a_database_that_is_away(void **state) {
    desk_of d;
    start_desk(&d, state);
    rig_database_away(d.r, true);
    for (uint32_t i = 0; i < 20; i++) mr_desk_give(&d.desk, &commit_new(&d, i, 1 + i, false)->head);
    rig_database_away(d.r, false);
    for (int i = 0; i < 20; i++) assert_int_equal(next_verdict(&d), MR_COMMITTED);
    assert_int_equal(results(&d), 20);
    stop_desk(&d);
}

static void what_the_database_did_not_take_before_the_end_goes_back_to_be_sent_again(void **state) {
    desk_of d;
    start_desk(&d, state);
    rig_database_away(d.r, true);
    for (uint32_t i = 0; i < 20; i++) mr_desk_give(&d.desk, &commit_new(&d, i, 1 + i, false)->head);
    mr_desk_stop(&d.desk);
    for (int i = 0; i < 20; i++) assert_int_equal(next_verdict(&d), MR_RETRY);
    rig_database_away(d.r, false);
    stop_desk(&d);
    assert_int_equal(results(&d), 0);
}

/* ---- single rows ---- */

static mr_run_end_job *end_run(desk_of *d, mr_run_state state) {
    mr_run_end_job *job = mr_new(NULL, 1, sizeof *job);
    job->head.work = mr_run_end_work;
    job->run = d->run;
    job->epoch = epoch_of(d, d->run);
    job->state = state;
    snprintf(job->reason, sizeof job->reason, "why");
    snprintf(job->counts, sizeof job->counts, "[[1, 0, 1]]");
    mr_desk_give(&d->desk, &job->head);
    assert_ptr_equal(rig_next(d->r), job);
    return job;
}

static mr_failure_job *record_failure(desk_of *d) {
    mr_failure_job *job = mr_new(NULL, 1, sizeof *job);
    job->head.work = mr_failure_work;
    job->key = (mr_work_key){.run = d->run, .level = 1, .index = 3};
    job->epoch = epoch_of(d, d->run);
    job->attempt = 77;
    job->cause = MR_E_CRASHED;
    job->dead = true;
    snprintf(job->worker, sizeof job->worker, "w");
    snprintf(job->reason, sizeof job->reason, "it fell over");
    snprintf(job->log, sizeof job->log, "one line\nand another");
    mr_desk_give(&d->desk, &job->head);
    assert_ptr_equal(rig_next(d->r), job);
    return job;
}

static void a_run_ends_once(void **state) {
    desk_of d;
    start_desk(&d, state);
    mr_run_end_job *first = end_run(&d, MR_RUN_SUCCEEDED), *second = end_run(&d, MR_RUN_CANCELLED);
    assert_int_equal(first->head.status, MR_OK);
    assert_false(first->existed);
    assert_int_equal(second->head.status, MR_OK);
    assert_true(second->existed);
    assert_true(rig_true(
        d.r,
        "select state = 'succeeded' and reason = 'why' and counts = '[[1, 0, 1]]' from millrace.run_end"));
    mr_free(NULL, first, 1, sizeof *first);
    mr_free(NULL, second, 1, sizeof *second);
    stop_desk(&d);
}

/* A person's word needs no lease: whichever broker is asked writes it, and tells the others. */
static void any_broker_may_cancel_a_run_that_goes_on(void **state) {
    desk_of d;
    char text[64], want[64];
    mr_error err;
    bool got;
    start_desk(&d, state);
    (void)rig_lease(d.r, "two");
    rig_sql(d.r, "listen " MR_CHANNEL);
    for (int i = 0; i < 2; i++) {
        mr_run_end_job *job = mr_new(NULL, 1, sizeof *job);
        *job = (mr_run_end_job){.head.work = mr_run_cancel_work, .run = d.run, .reason = "why"};
        mr_desk_give(&d.desk, &job->head);
        assert_ptr_equal(rig_next(d.r), job);
        assert_int_equal(job->head.status, MR_OK);
        assert_int_equal(job->existed, i);
        mr_free(NULL, job, 1, sizeof *job);
    }
    assert_true(rig_true(d.r, "select state = 'cancelled' and reason = 'why' from millrace.run_end"));
    rig_sql(d.r, "unlisten *");
    assert_int_equal(mr_pg_notified(d.r->pg, text, sizeof text, &got, &err), MR_OK);
    snprintf(want, sizeof want, "cancel %llu", (unsigned long long)d.run);
    assert_true(got);
    assert_string_equal(text, want);
    stop_desk(&d);
}

static void an_end_that_is_written_again_does_not_end_the_next_life(void **state) {
    desk_of d;
    start_desk(&d, state);
    mr_run_end_job *first = end_run(&d, MR_RUN_FAILED);
    rig_sql(d.r, "insert into millrace.run_reopen (run_id, life, client) select id, 1, 'c' from millrace.run");
    mr_run_end_job *again = end_run(&d, MR_RUN_FAILED); /* as when the answer to its COMMIT was lost */
    assert_int_equal(again->head.status, MR_OK);
    assert_true(again->existed);
    assert_int_equal(rig_number(d.r, "select count(*) from millrace.run_end"), 0);
    mr_free(NULL, first, 1, sizeof *first);
    mr_free(NULL, again, 1, sizeof *again);
    stop_desk(&d);
}

static void a_failed_attempt_is_a_row(void **state) {
    desk_of d;
    start_desk(&d, state);
    mr_failure_job *job = record_failure(&d);
    assert_int_equal(job->head.status, MR_OK);
    assert_true(rig_true(
        d.r, "select step = 0 and level = 1 and batch = 3 and attempt = 77 and worker = 'w' and status = 17"
             " and reason = 'it fell over' and dead and log = E'one line\\nand another' from millrace.attempt_failure"));
    mr_free(NULL, job, 1, sizeof *job);
    stop_desk(&d);
}

static void ends_and_failures_are_fenced_too(void **state) {
    desk_of d;
    start_desk(&d, state);
    rig_sql(d.r, "update millrace.partition_lease set owner = 'two', epoch = epoch + 1");
    mr_run_end_job *end = end_run(&d, MR_RUN_FAILED);
    assert_true(d.lease.doubt);
    assert_int_not_equal(end->head.status, MR_OK);
    mr_failure_job *failure = record_failure(&d);
    assert_int_not_equal(failure->head.status, MR_OK);
    assert_int_equal(rig_number(d.r, "select (select count(*) from millrace.run_end) + (select count(*) from "
                                     "millrace.attempt_failure)"),
                     0);
    mr_free(NULL, end, 1, sizeof *end);
    mr_free(NULL, failure, 1, sizeof *failure);
    stop_desk(&d);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_waits_is_written_in_one_transaction),
        cmocka_unit_test(more_than_a_group_holds_is_written_in_several),
        cmocka_unit_test(what_comes_while_a_large_group_is_written_goes_in_the_next),
        cmocka_unit_test(the_first_attempt_wins_within_a_group_and_across_groups),
        cmocka_unit_test(a_large_group_with_rows_that_were_there_before_writes_the_others),
        cmocka_unit_test(an_attempt_that_is_there_already_as_our_own_is_committed),
        cmocka_unit_test(artifacts_are_those_of_the_attempts_that_won),
        cmocka_unit_test(a_connection_that_is_cut_inside_a_transaction_loses_and_doubles_nothing),
        cmocka_unit_test(connections_that_are_cut_again_and_again_lose_and_double_nothing),
        cmocka_unit_test(a_result_that_the_database_refuses_goes_back_and_the_others_are_written),
        cmocka_unit_test(a_result_that_cannot_be_written_now_waits_behind_the_others),
        cmocka_unit_test(a_ledger_whose_lease_was_taken_writes_nothing_and_raises_a_doubt),
        cmocka_unit_test(one_lost_partition_does_not_hold_up_the_results_of_the_others),
        cmocka_unit_test(what_was_given_under_an_earlier_epoch_is_not_written),
        cmocka_unit_test(what_is_given_after_the_loss_goes_back_and_keeps_nobody_waiting),
        cmocka_unit_test(results_wait_for_a_database_that_is_away),
        cmocka_unit_test(what_the_database_did_not_take_before_the_end_goes_back_to_be_sent_again),
        cmocka_unit_test(a_run_ends_once),
        cmocka_unit_test(an_end_that_is_written_again_does_not_end_the_next_life),
        cmocka_unit_test(any_broker_may_cancel_a_run_that_goes_on),
        cmocka_unit_test(a_failed_attempt_is_a_row),
        cmocka_unit_test(ends_and_failures_are_fenced_too),
    };
    return cmocka_run_group_tests(tests, rig_start, rig_stop);
}
