#include "broker/io/desk.h"
#include "tests/unit/io_rig.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum { JOBS = 2000 };

typedef struct numbered {
    mr_job head;
    int n;
    int64_t answer;
} numbered;

static numbered *job_new(int n, void (*work)(mr_desk *, mr_job *)) {
    numbered *job = calloc(1, sizeof *job);
    assert_non_null(job);
    job->n = n;
    job->head.work = work;
    return job;
}

/* ---- queue ---- */

static void a_queue_gives_jobs_in_the_order_they_came(void **state) {
    (void)state;
    mr_queue q;
    mr_job jobs[5] = {0};
    mr_queue_init(&q);
    jobs[1].next = &jobs[2];
    mr_queue_push(&q, &jobs[0]);
    mr_queue_push(&q, &jobs[1]); /* two at once */
    mr_queue_push(&q, NULL);
    mr_queue_push(&q, &jobs[3]);
    assert_int_equal(mr_queue_count(&q), 4);
    mr_job *job = mr_queue_take(&q, 0);
    for (int i = 0; i < 4; i++, job = job->next) assert_ptr_equal(job, &jobs[i]);
    assert_null(job);
    assert_int_equal(mr_queue_count(&q), 0);
    assert_null(mr_queue_take(&q, 0));
    assert_null(mr_queue_take(&q, 1)); /* the time passes */
    mr_queue_destroy(&q);
}

static bool is_odd(void *base, mr_job *job) { return (job - (mr_job *)base) % 2; }

static void what_waits_is_taken_from_its_head_or_by_a_rule(void **state) {
    (void)state;
    mr_waiting w = {0};
    mr_job jobs[7] = {0};
    for (int i = 1; i < 6; i++) jobs[i - 1].next = &jobs[i];
    mr_waiting_add(&w, NULL);
    mr_waiting_add(&w, jobs); /* six at once */
    mr_waiting_add(&w, &jobs[6]);
    mr_job *odd = mr_waiting_sift(&w, is_odd, jobs);
    for (int i = 1; i < 7; i += 2, odd = odd->next) assert_ptr_equal(odd, &jobs[i]);
    assert_null(odd);
    mr_job *first = mr_waiting_take(&w, 3);
    for (int i = 0; i < 6; i += 2, first = first->next) assert_ptr_equal(first, &jobs[i]);
    assert_null(first);
    assert_ptr_equal(w.head, &jobs[6]);
    assert_ptr_equal(mr_waiting_take(&w, 9), &jobs[6]); /* no more than there are */
    assert_null(mr_waiting_take(&w, 1));
    mr_waiting_add(&w, &jobs[0]); /* an emptied list is as good as new */
    assert_ptr_equal(mr_waiting_take(&w, 1), &jobs[0]);
}

static void *push_two(void *arg) {
    void **both = arg;
    mr_job *jobs = both[1];
    mr_queue_push(both[0], &jobs[1]);
    mr_queue_push(both[0], &jobs[2]);
    return NULL;
}

static void a_taker_may_wait_until_there_are_enough_or_the_time_is_over(void **state) {
    (void)state;
    mr_queue q;
    mr_job jobs[3] = {0};
    pthread_t thread;
    void *both[] = {&q, jobs};
    mr_queue_init(&q);
    mr_queue_push(&q, &jobs[0]);
    assert_int_equal(pthread_create(&thread, NULL, push_two, both), 0);
    mr_job *job = mr_queue_take_some(&q, 3, -1);
    for (int i = 0; i < 3; i++, job = job->next) assert_ptr_equal(job, &jobs[i]);
    assert_null(job);
    pthread_join(thread, NULL);
    jobs[0].next = NULL;
    mr_queue_push(&q, &jobs[0]);
    assert_ptr_equal(mr_queue_take_some(&q, 2, 1), &jobs[0]); /* the time passes */
    assert_null(mr_queue_take_some(&q, 2, 1));
    mr_queue_push(&q, &jobs[0]);
    assert_ptr_equal(mr_queue_take(&q, -1), &jobs[0]); /* one is enough again */
    mr_queue_close(&q);
    assert_null(mr_queue_take_some(&q, 2, -1));
    mr_queue_destroy(&q);
}

static void *close_queue(void *q) {
    mr_queue_close(q);
    return NULL;
}

static void *push_job(void *arg) {
    void **both = arg;
    mr_queue_push(both[0], both[1]);
    return NULL;
}

static void a_waiting_taker_wakes_when_a_job_comes_and_when_the_queue_is_closed(void **state) {
    (void)state;
    mr_queue q;
    mr_job job = {0};
    pthread_t thread;
    mr_queue_init(&q);
    assert_int_equal(pthread_create(&thread, NULL, push_job, (void *[]){&q, &job}), 0);
    assert_ptr_equal(mr_queue_take(&q, -1), &job);
    pthread_join(thread, NULL);
    assert_false(mr_queue_closed(&q));
    assert_int_equal(pthread_create(&thread, NULL, close_queue, &q), 0);
    assert_null(mr_queue_take(&q, -1));
    pthread_join(thread, NULL);
    assert_true(mr_queue_closed(&q));
    mr_queue_push(&q, &job); /* what comes after is still given */
    assert_ptr_equal(mr_queue_take(&q, -1), &job);
    assert_null(mr_queue_take(&q, -1));
    mr_queue_destroy(&q);
}

/* ---- desk ---- */

static void count_up(mr_desk *desk, mr_job *job) {
    int *sum = desk->state;
    ((numbered *)job)->answer = ++*sum;
}

static void jobs_come_back_done_and_in_order(void **state) {
    rig *r = *state;
    int sum = 0;
    mr_desk desk = {.state = &sum};
    mr_error err;
    rig_desk(r, &desk);
    assert_int_equal(mr_desk_start(&desk, &err), MR_OK);
    for (int i = 1; i <= JOBS; i++) mr_desk_give(&desk, &job_new(i, count_up)->head);
    for (int i = 1; i <= JOBS; i++) {
        numbered *job = (numbered *)rig_next(r);
        assert_int_equal(job->n, i);
        assert_int_equal(job->answer, i);
        free(job);
    }
    mr_desk_stop(&desk);
    mr_desk_stop(&desk); /* twice is fine */
    assert_int_equal(sum, JOBS);
}

static void a_desk_works_off_what_it_has_before_it_stops(void **state) {
    rig *r = *state;
    int sum = 0;
    mr_desk desk = {.state = &sum};
    mr_error err;
    rig_desk(r, &desk);
    assert_int_equal(mr_desk_start(&desk, &err), MR_OK);
    for (int i = 1; i <= 100; i++) mr_desk_give(&desk, &job_new(i, count_up)->head);
    mr_desk_stop(&desk);
    for (int i = 1; i <= 100; i++) free(rig_next(r));
    assert_int_equal(sum, 100);
}

static void a_job_for_a_desk_that_has_stopped_comes_back_cancelled(void **state) {
    rig *r = *state;
    int sum = 0;
    mr_desk desk = {.state = &sum};
    mr_error err;
    rig_desk(r, &desk);
    assert_int_equal(mr_desk_start(&desk, &err), MR_OK);
    mr_desk_stop(&desk);
    numbered *job = job_new(1, count_up);
    mr_desk_give(&desk, &job->head);
    assert_ptr_equal(rig_next(r), job);
    assert_int_equal(job->head.status, MR_E_CANCELLED);
    assert_int_equal(sum, 0);
    free(job);
}

typedef struct hooks {
    int batches, idles, stops, seen;
} hooks;

static void take_batch(mr_desk *desk, mr_job *jobs) {
    hooks *h = desk->state;
    h->batches++;
    for (mr_job *job = jobs; job; job = job->next) h->seen++;
    mr_desk_done(desk, jobs);
}
static void be_idle(mr_desk *desk) { ((hooks *)desk->state)->idles++; }
static void be_stopped(mr_desk *desk) { ((hooks *)desk->state)->stops++; }

static void a_desk_with_hooks_takes_lists_and_is_idle_after_each_and_stops_once(void **state) {
    rig *r = *state;
    hooks h = {0};
    mr_desk desk = {.state = &h, .batch = take_batch, .idle = be_idle, .stop = be_stopped};
    mr_error err;
    rig_desk(r, &desk);
    desk.idle_ms = 1;
    assert_int_equal(mr_desk_start(&desk, &err), MR_OK);
    for (int i = 0; i < 50; i++) mr_desk_give(&desk, &job_new(i, NULL)->head);
    for (int i = 0; i < 50; i++) {
        numbered *job = (numbered *)rig_next(r);
        assert_int_equal(job->n, i);
        free(job);
    }
    mr_desk_stop(&desk);
    assert_int_equal(h.seen, 50);
    assert_in_range(h.batches, 1, 50);
    assert_true(h.idles >= h.batches);
    assert_int_equal(h.stops, 1);
}

/* ---- the database ---- */

static void ask(mr_desk *desk, mr_job *job) {
    static const mr_pg_statement pid = {"desk_pid", "select pg_backend_pid()", 0, {0}};
    numbered *n = (numbered *)job;
    mr_pg *pg;
    mr_pg_result *result = NULL;
    job->status = mr_desk_database(desk, &pg, &job->error);
    if (job->status == MR_OK) job->status = mr_pg_exec(pg, &pid, NULL, &result, &job->error);
    if (job->status != MR_OK) return;
    mr_pg_row row = mr_pg_row_at(result, 0);
    n->answer = mr_pg_int(&row, 0);
    mr_pg_result_free(&result);
}

static void a_desk_keeps_its_connection_and_makes_a_new_one_after_it_was_cut(void **state) {
    rig *r = rig_of(state);
    mr_desk desk = {0};
    numbered job = {0};
    rig_desk(r, &desk);
    ask(&desk, &job.head); /* on this thread: the desk is not started */
    assert_int_equal(job.head.status, MR_OK);
    int64_t first = job.answer;
    ask(&desk, &job.head);
    assert_int_equal(job.answer, first);
    rig_cut_connections(r);
    ask(&desk, &job.head); /* nothing was lost, so nobody hears of it */
    assert_int_equal(job.head.status, MR_OK);
    assert_int_not_equal(job.answer, first);
    mr_pg_free(&desk.pg);
}

static void a_database_that_is_away_is_tried_once_a_second_and_found_when_it_is_back(void **state) {
    rig *r = rig_of(state);
    mr_desk desk = {0};
    numbered job = {0};
    rig_desk(r, &desk);
    rig_database_away(r, true);
    ask(&desk, &job.head);
    assert_int_not_equal(job.head.status, MR_OK);
    assert_null(strstr(job.head.error.text, "every second"));
    ask(&desk, &job.head);
    assert_int_equal(job.head.status, MR_E_UNAVAILABLE);
    assert_non_null(strstr(job.head.error.text, "every second"));
    rig_database_away(r, false);
    desk.retry_at_ns = 0; /* the second has passed */
    ask(&desk, &job.head);
    assert_int_equal(job.head.status, MR_OK);
    mr_pg_free(&desk.pg);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_queue_gives_jobs_in_the_order_they_came),
        cmocka_unit_test(a_taker_may_wait_until_there_are_enough_or_the_time_is_over),
        cmocka_unit_test(what_waits_is_taken_from_its_head_or_by_a_rule),
        cmocka_unit_test(a_waiting_taker_wakes_when_a_job_comes_and_when_the_queue_is_closed),
        cmocka_unit_test(jobs_come_back_done_and_in_order),
        cmocka_unit_test(a_desk_works_off_what_it_has_before_it_stops),
        cmocka_unit_test(a_job_for_a_desk_that_has_stopped_comes_back_cancelled),
        cmocka_unit_test(a_desk_with_hooks_takes_lists_and_is_idle_after_each_and_stops_once),
        cmocka_unit_test(a_desk_keeps_its_connection_and_makes_a_new_one_after_it_was_cut),
        cmocka_unit_test(a_database_that_is_away_is_tried_once_a_second_and_found_when_it_is_back),
    };
    return cmocka_run_group_tests(tests, rig_start, rig_stop);
}
