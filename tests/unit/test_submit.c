/* The desk of submitted tasks on a real database: a result that comes while its task is being stored is committed with it, and
 * never before it. */
#include "broker/io/ledger.h"
#include "broker/io/submit.h"
#include "tests/unit/io_rig.h"

#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

enum { RUN = 7, TRIES = 2000 };

typedef struct desk_of {
    rig *r;
    mr_lease lease;
    mr_desk desk;
} desk_of;

static void start_desk(desk_of *d, void **state) {
    mr_error err = {0};
    *d = (desk_of){.r = rig_of(state)};
    d->lease = rig_lease(d->r, "one");
    rig_sql(d->r, "select millrace.result_partition_for(%d), millrace.partition_for('millrace.task_block', %d, 256),"
                  " millrace.partition_for('millrace.task_piece', %d, 256)", RUN, RUN, RUN);
    rig_desk(d->r, &d->desk);
    assert_int_equal(mr_submit_start(&d->desk, &d->lease, &err), MR_OK);
}

static int64_t epoch_of(const desk_of *d) { return d->lease.epoch[mr_partition_of(RUN)]; }

/* Packet n, which is task n. */
static mr_submit_job *packet_new(const desk_of *d, uint64_t n, bool wait) {
    mr_submit_job *job = mr_submit_job_new(MR_SUBMIT_PACKET, RUN, "client");
    mr_packet_writer w;
    mr_error err;
    assert_non_null(job);
    mr_packet_writer_init(&w, NULL);
    mr_buf_text(mr_packet_body(&w), "a body");
    assert_int_equal(mr_packet_add(&w, (mr_span){0}, &err), MR_OK);
    assert_int_equal(mr_packet_finish(&w, &err), MR_OK);
    job->frame = mr_bytes_of_buf(&w.bytes);
    assert_non_null(job->frame);
    mr_packet_writer_free(&w);
    assert_int_equal(mr_packet_open(mr_bytes_span(job->frame), &job->view, &err), MR_OK);
    job->epoch = epoch_of(d);
    job->producer = 1;
    job->packet = job->first = n;
    job->tasks = 1;
    job->wait = wait;
    return job;
}

static mr_commit_job *result_new(const desk_of *d, uint64_t task, uint64_t attempt) {
    mr_commit_job *job = mr_new(NULL, 1, sizeof *job);
    assert_non_null(job);
    job->head.work = mr_commit_work;
    job->key = (mr_work_key){.run = RUN, .index = (uint32_t)task};
    job->epoch = epoch_of(d);
    job->attempt = attempt;
    job->first_row = task;
    job->rows = 1;
    job->last = true;
    snprintf(job->worker, sizeof job->worker, "w");
    job->body = mr_span_of("a result");
    job->hash = mr_hash_of(job->body);
    return job;
}

static mr_status next_status(desk_of *d) {
    mr_submit_job *job = (mr_submit_job *)rig_next(d->r);
    assert_null(job->head.work);
    mr_status s = job->head.status;
    mr_submit_job_free(job);
    return s;
}

static mr_verdict next_verdict(desk_of *d) {
    mr_commit_job *job = (mr_commit_job *)rig_next(d->r);
    assert_ptr_equal(job->head.work, mr_commit_work);
    mr_verdict v = job->verdict;
    mr_commit_job_free(job);
    return v;
}

static bool together(desk_of *d, uint64_t task) {
    return rig_true(d->r, "select r.xmin = b.xmin from millrace.result r join millrace.task_block b on b.run_id = r.run_id and"
                          " b.first_task = r.batch where r.run_id = %d and r.batch = %llu", RUN, (unsigned long long)task);
}

static void a_result_that_waits_behind_its_task_is_written_with_it(void **state) {
    desk_of d;
    start_desk(&d, state);
    mr_submit_job *task = packet_new(&d, 0, true);
    task->head.next = &result_new(&d, 0, 11)->head;
    mr_desk_give_all(&d.desk, &task->head);
    assert_int_equal(next_status(&d), MR_OK); /* the task comes back first */
    assert_int_equal(next_verdict(&d), MR_COMMITTED);
    assert_true(together(&d, 0));
    assert_true(rig_true(d.r, "select attempt = 11 and worker = 'w' and last and first_row = 0 and row_count = 1 and level = 0"
                              " and body = 'a result' from millrace.result where run_id = %d", RUN));
    mr_desk_stop(&d.desk);
}

/* How soon the desk has begun with the task is the machine's: so until it was seen once. */
static void a_result_that_comes_while_its_task_is_being_stored_goes_with_it(void **state) {
    desk_of d;
    bool seen = false;
    start_desk(&d, state);
    for (uint64_t n = 0; !seen && n < TRIES; n++) {
        mr_desk_give(&d.desk, &packet_new(&d, n, true)->head);
        while (mr_queue_count(&d.desk.in)) sched_yield();
        mr_desk_give(&d.desk, &result_new(&d, n, 100 + n)->head);
        assert_int_equal(next_status(&d), MR_OK);
        assert_int_equal(next_verdict(&d), MR_COMMITTED);
        seen = together(&d, n);
    }
    assert_true(seen);
    mr_desk_stop(&d.desk);
}

static void what_comes_instead_of_a_result_is_stored_behind_the_task(void **state) {
    desk_of d;
    start_desk(&d, state);
    for (uint64_t n = 0; n < 20; n++) {
        mr_desk_give(&d.desk, &packet_new(&d, n, true)->head);
        while (mr_queue_count(&d.desk.in)) sched_yield();
    }
    for (uint64_t n = 0; n < 20; n++) assert_int_equal(next_status(&d), MR_OK);
    assert_int_equal(rig_number(d.r, "select count(*) from millrace.task_block where run_id = %d", RUN), 20);
    mr_desk_stop(&d.desk);
}

static void a_second_result_of_a_task_is_stale_and_the_same_one_is_committed(void **state) {
    desk_of d;
    start_desk(&d, state);
    mr_desk_give(&d.desk, &packet_new(&d, 0, false)->head);
    assert_int_equal(next_status(&d), MR_OK);
    uint64_t attempts[] = {5, 6, 5};
    mr_verdict verdicts[] = {MR_COMMITTED, MR_STALE, MR_COMMITTED};
    for (int i = 0; i < 3; i++) {
        mr_desk_give(&d.desk, &result_new(&d, 0, attempts[i])->head);
        assert_int_equal(next_verdict(&d), verdicts[i]);
    }
    assert_int_equal(rig_number(d.r, "select count(*) from millrace.result where run_id = %d", RUN), 1);
    mr_desk_stop(&d.desk);
}

static void a_large_result_goes_with_its_task_too(void **state) {
    enum { LARGE = 12 << 20 };
    desk_of d;
    start_desk(&d, state);
    uint8_t *large = mr_new(NULL, LARGE, 1);
    assert_non_null(large);
    memset(large, 7, LARGE);
    mr_submit_job *task = packet_new(&d, 0, true);
    mr_commit_job *result = result_new(&d, 0, 11);
    result->body = (mr_span){large, LARGE};
    result->hash = mr_hash_of(result->body);
    task->head.next = &result->head;
    mr_desk_give_all(&d.desk, &task->head);
    assert_int_equal(next_status(&d), MR_OK);
    assert_int_equal(next_verdict(&d), MR_COMMITTED);
    assert_int_equal(rig_number(d.r, "select length(body) from millrace.result where run_id = %d", RUN), LARGE);
    mr_free(NULL, large, LARGE, 1);
    mr_desk_stop(&d.desk);
}

static void a_result_that_the_database_refuses_does_not_keep_its_task(void **state) {
    desk_of d;
    start_desk(&d, state);
    mr_submit_job *task = packet_new(&d, 0, true);
    mr_commit_job *result = result_new(&d, 0, 11);
    snprintf(result->worker, sizeof result->worker, "\xff"); /* no text to PostgreSQL */
    task->head.next = &result->head;
    mr_desk_give_all(&d.desk, &task->head);
    assert_int_equal(next_status(&d), MR_OK);
    assert_int_equal(next_verdict(&d), MR_REFUSED);
    assert_int_equal(rig_number(d.r, "select count(*) from millrace.result where run_id = %d", RUN), 0);
    mr_desk_give(&d.desk, &packet_new(&d, 1, false)->head);
    assert_int_equal(next_status(&d), MR_OK);
    mr_desk_stop(&d.desk);
}

/* Something is wrong with the tables, for some results. */
static void a_result_that_cannot_be_written_now_waits_behind_the_tasks(void **state) {
    desk_of d;
    start_desk(&d, state);
    rig_sql(d.r, "alter table millrace.result add constraint broken check (batch <> 0)");
    mr_submit_job *task = packet_new(&d, 0, true);
    task->head.next = &result_new(&d, 0, 11)->head;
    mr_desk_give_all(&d.desk, &task->head);
    assert_int_equal(next_status(&d), MR_OK);
    mr_desk_give(&d.desk, &packet_new(&d, 1, false)->head);
    assert_int_equal(next_status(&d), MR_OK);
    rig_sql(d.r, "alter table millrace.result drop constraint broken");
    assert_int_equal(next_verdict(&d), MR_COMMITTED);
    mr_desk_stop(&d.desk);
}

static void a_task_and_its_result_wait_for_a_database_that_is_away(void **state) {
    desk_of d;
    start_desk(&d, state);
    rig_cut_connections(d.r);
    rig_database_away(d.r, true);
    mr_submit_job *task = packet_new(&d, 0, true);
    task->head.next = &result_new(&d, 0, 11)->head;
    mr_desk_give_all(&d.desk, &task->head);
    rig_database_away(d.r, false);
    assert_int_equal(next_status(&d), MR_OK);
    assert_int_equal(next_verdict(&d), MR_COMMITTED);
    assert_true(together(&d, 0));
    mr_desk_stop(&d.desk);
}

static void a_result_of_a_partition_that_is_lost_stays_with_its_worker(void **state) {
    desk_of d;
    start_desk(&d, state);
    mr_submit_job *task = packet_new(&d, 0, true);
    mr_commit_job *result = result_new(&d, 0, 11);
    task->epoch = result->epoch = epoch_of(&d) + 1; /* not the one that is held */
    task->head.next = &result->head;
    mr_desk_give_all(&d.desk, &task->head);
    assert_int_equal(next_status(&d), MR_E_UNAVAILABLE);
    assert_int_equal(next_verdict(&d), MR_RETRY);
    assert_int_equal(rig_number(d.r, "select count(*) from millrace.result where run_id = %d", RUN), 0);
    mr_desk_stop(&d.desk);
}

static void under_a_lease_that_another_took_nothing_is_written(void **state) {
    desk_of d;
    start_desk(&d, state);
    rig_lease(d.r, "two"); /* this broker does not know yet */
    mr_submit_job *task = packet_new(&d, 0, true);
    task->head.next = &result_new(&d, 0, 11)->head;
    mr_desk_give_all(&d.desk, &task->head);
    for (int i = 0; i < TRIES * 1000 && !atomic_load(&d.lease.doubt); i++) sched_yield();
    assert_true(atomic_load(&d.lease.doubt));
    mr_desk_stop(&d.desk);
    assert_int_equal(next_status(&d), MR_E_UNAVAILABLE);
    assert_int_equal(next_verdict(&d), MR_RETRY);
    assert_int_equal(rig_number(d.r, "select count(*) from millrace.result where run_id = %d", RUN), 0);
    assert_int_equal(rig_number(d.r, "select count(*) from millrace.task_block where run_id = %d", RUN), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_result_that_waits_behind_its_task_is_written_with_it),
        cmocka_unit_test(a_result_that_comes_while_its_task_is_being_stored_goes_with_it),
        cmocka_unit_test(what_comes_instead_of_a_result_is_stored_behind_the_task),
        cmocka_unit_test(a_second_result_of_a_task_is_stale_and_the_same_one_is_committed),
        cmocka_unit_test(a_large_result_goes_with_its_task_too),
        cmocka_unit_test(a_result_that_the_database_refuses_does_not_keep_its_task),
        cmocka_unit_test(a_result_that_cannot_be_written_now_waits_behind_the_tasks),
        cmocka_unit_test(a_task_and_its_result_wait_for_a_database_that_is_away),
        cmocka_unit_test(a_result_of_a_partition_that_is_lost_stays_with_its_worker),
        cmocka_unit_test(under_a_lease_that_another_took_nothing_is_written),
    };
    return cmocka_run_group_tests(tests, rig_start, rig_stop);
}
