/* Dead letters, rules, keys and schedules against a real database: what two brokers do at once happens once.
 */
#include "broker/io/delivery.h"
#include "tests/unit/io_rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/core/cron.h"
#include "common/pack.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static mr_delivery_job *call(rig *r, mr_command command, const char *args) {
    mr_desk desk = {0};
    mr_buf pack;
    rig_desk(r, &desk);
    mr_buf_init(&pack, NULL, 65536);
    rig_pack(&pack, "%s", args);
    mr_delivery_job *job = mr_delivery_job_new(command, mr_buf_span(&pack), "tester");
    assert_non_null(job);
    mr_buf_free(&pack);
    mr_delivery_work(&desk, &job->head);
    mr_pg_free(&desk.pg);
    return job;
}

static void answers(rig *r, mr_command command, const char *args, const char *want) {
    mr_delivery_job *job = call(r, command, args);
    if (job->head.status != MR_OK) fail_msg("%s", job->head.error.text);
    char *json = rig_json(mr_buf_span(&job->reply));
    if (!strstr(json, want)) fail_msg("%s is not in %s", want, json);
    free(json);
    mr_delivery_job_free(job);
}

static void refuses(rig *r, mr_command command, const char *args, mr_status status) {
    mr_delivery_job *job = call(r, command, args);
    if (job->head.status != status)
        fail_msg("%s gives %d: %s", args, (int)job->head.status, job->head.error.text);
    mr_delivery_job_free(job);
}

/* ---- dead letters ---- */

/* A run with four batches: 0 has a result, 1 to 3 were given up; it has failed. */
static uint64_t failed_run(rig *r, const mr_lease *lease) {
    rig_prompts(r, 8);
    mr_run_info *info = rig_run(r, lease, "prompts", MR_STEP_MAP, 2, MR_COL_FEATURES);
    uint64_t run = info->run;
    mr_run_info_drop(info);
    rig_sql(r,
            "insert into millrace.result (run_id, step, level, batch, last, first_row, row_count, attempt, "
            "worker, compute_us,"
            " body_hash, body) values (%llu, 0, 0, 0, true, 0, 2, 1, 'w', 1, sha256('x'), 'x')",
            (unsigned long long)run);
    for (int batch = 1; batch <= 3; batch++)
        rig_sql(r,
                "insert into millrace.attempt_failure (run_id, step, level, batch, attempt, worker, status, "
                "reason, dead)"
                " values (%llu, 0, 0, %d, %d, 'w', 17, 'Crashed at %d', true)",
                (unsigned long long)run, batch, batch, batch);
    rig_sql(r, "insert into millrace.run_ending (run_id, state) values (%llu, 'failed')",
            (unsigned long long)run);
    return run;
}

static void recovered_is(rig *r, uint64_t run, size_t done, size_t dead) {
    mr_error err = {0};
    mr_recover_job *job = mr_recover_job_new(run);
    if (mr_recover_read(r->pg, job, &err) != MR_OK) fail_msg("%s", err.text);
    assert_int_equal(job->done.len, done * 8);
    assert_int_equal(job->dead.len, dead * (8 + 8 + 256));
    mr_recover_job_free(job);
}

static void letters_are_replayed_once_and_the_run_reopened(void **state) {
    rig *r = rig_of(state);
    mr_lease lease = rig_lease(r, "one");
    uint64_t run = failed_run(r, &lease);
    recovered_is(r, run, 0, 0); /* it has ended, so there is nothing to do */
    assert_true(rig_true(r, "select exists (select 1 from millrace.run_end)"));
    refuses(r, MR_CMD_DEAD_REPLAY, "{}", MR_E_USAGE);
    refuses(r, MR_CMD_DEAD_REPLAY, "{\"component\": \"another\"}", MR_E_NOT_FOUND);
    answers(r, MR_CMD_DEAD_DISCARD, "{\"search\": \"crashed at 3\", \"reason\": \"no use\"}",
            "\"discarded\":1");
    answers(r, MR_CMD_DEAD_REPLAY, "{\"component\": \"component_0\"}", "\"replayed\":2");
    assert_int_equal(rig_number(r, "select max(life) from millrace.run_reopen"), 1);
    assert_false(rig_true(r, "select exists (select 1 from millrace.run_end)")); /* it runs again */
    recovered_is(r, run, 1, 1); /* the discarded one stays dead */
    refuses(r, MR_CMD_DEAD_REPLAY, "{\"all\": true}", MR_E_NOT_FOUND);
    rig_sql(r, "insert into millrace.run_ending (run_id, life, state) values (%llu, 1, 'succeeded')",
            (unsigned long long)run);
    assert_true(rig_true(r, "select state = 'succeeded' and life = 1 from millrace.run_end"));
}

/* What was replayed in the lives after `life`. */
static mr_replays_job *replays_after(rig *r, uint64_t run, int32_t life) {
    mr_desk desk = {0};
    rig_desk(r, &desk);
    mr_replays_job *job = mr_replays_job_new(1);
    assert_non_null(job);
    job->run[0] = (int64_t)run;
    job->life[0] = life;
    job->runs = 1;
    mr_replays_work(&desk, &job->head);
    mr_pg_free(&desk.pg);
    if (job->head.status != MR_OK) fail_msg("%s", job->head.error.text);
    return job;
}

static void replayed_are(rig *r, uint64_t run, int32_t life, size_t letters, int32_t last_life) {
    mr_replays_job *job = replays_after(r, run, life);
    assert_int_equal(job->letters.len, letters * sizeof(mr_letter));
    for (size_t i = 0; i < letters; i++) {
        mr_letter l;
        memcpy(&l, job->letters.data + i * sizeof l, sizeof l);
        assert_int_equal(l.key.run, run);
        assert_int_equal(l.key.index, l.attempt); /* as failed_run has them */
        if (i + 1 == letters) assert_int_equal(l.life, last_life);
    }
    mr_replays_job_free(job);
}

static void letters_of_a_run_that_goes_on_are_replayed_in_a_new_life(void **state) {
    rig *r = rig_of(state);
    mr_lease lease = rig_lease(r, "one");
    uint64_t run = failed_run(r, &lease);
    rig_sql(r, "delete from millrace.run_ending");
    recovered_is(r, run, 1, 3);
    replayed_are(r, run, 0, 0, 0);
    answers(r, MR_CMD_DEAD_REPLAY, "{\"search\": \"crashed at 3\"}", "\"replayed\":1,\"runs\":1,\"left\":0");
    recovered_is(r, run, 1, 2);
    answers(r, MR_CMD_DEAD_REPLAY, "{\"all\": true}", "\"replayed\":2");
    recovered_is(r, run, 1, 0); /* also when nobody is told: what is undone is not given up */
    replayed_are(r, run, 0, 3, 2);
    replayed_are(r, run, 1, 2, 2);
    replayed_are(r, run, 2, 0, 0);
    rig_sql(r, "insert into millrace.run_ending (run_id, life, state) values (%llu, 1, 'failed')", (unsigned long long)run);
    assert_false(rig_true(r, "select exists (select 1 from millrace.run_end)")); /* of a life that is over */
}

static void letters_of_a_cancelled_run_can_only_be_discarded(void **state) {
    rig *r = rig_of(state);
    mr_lease lease = rig_lease(r, "one");
    failed_run(r, &lease);
    rig_sql(r, "update millrace.run_ending set state = 'cancelled'");
    refuses(r, MR_CMD_DEAD_REPLAY, "{\"all\": true}", MR_E_CONFLICT);
    answers(r, MR_CMD_DEAD_DISCARD, "{\"all\": true}", "\"discarded\":3");
}

typedef struct replayer {
    rig *r;
    mr_delivery_job *job;
    pthread_t thread;
} replayer;

static void *replay_all(void *arg) {
    replayer *me = arg;
    me->job = call(me->r, MR_CMD_DEAD_REPLAY, "{\"all\": true}");
    return NULL;
}

/* The cancel is in the middle of its transaction when the replay comes. */
static void a_replay_waits_for_a_cancel_and_then_does_nothing(void **state) {
    rig *r = rig_of(state);
    mr_lease lease = rig_lease(r, "one");
    replayer me = {.r = r};
    uint64_t run = failed_run(r, &lease);
    rig_sql(r, "delete from millrace.run_ending");
    rig_sql(r, "begin");
    rig_sql(r, "select id from millrace.run where id = %llu for no key update", (unsigned long long)run);
    rig_sql(r, "insert into millrace.run_ending (run_id, state) values (%llu, 'cancelled')", (unsigned long long)run);
    assert_int_equal(pthread_create(&me.thread, NULL, replay_all, &me), 0);
    while (!rig_true(r, "select exists (select 1 from pg_locks where not granted)")) continue;
    rig_sql(r, "commit");
    pthread_join(me.thread, NULL);
    assert_int_equal(me.job->head.status, MR_E_CONFLICT);
    mr_delivery_job_free(me.job);
    assert_int_equal(rig_number(r, "select count(*) from millrace.dead_letter_end"), 0);
    assert_true(rig_true(r, "select state = 'cancelled' from millrace.run_end"));
}

/* Whoever is asked: the run's owner hears of it. */
static void a_reopened_run_is_told_to_all_brokers(void **state) {
    rig *r = rig_of(state);
    mr_lease lease = rig_lease(r, "one");
    uint64_t run = failed_run(r, &lease);
    char text[64], want[64];
    mr_error err = {0};
    bool got = false;
    rig_sql(r, "listen " MR_CHANNEL);
    answers(r, MR_CMD_DEAD_REPLAY, "{\"all\": true}", "\"replayed\":3");
    rig_sql(r, "select 1");
    assert_int_equal(mr_pg_notified(r->pg, text, sizeof text, &got, &err), MR_OK);
    rig_sql(r, "unlisten *");
    assert_true(got);
    snprintf(want, sizeof want, "run %llu", (unsigned long long)run);
    assert_string_equal(text, want);
}

/* ---- damage ---- */

static void put_result(rig *r, uint64_t run, int batch, const char *body, const char *of) {
    char hex[MR_HASH_HEX];
    mr_hash hash = mr_hash_of(mr_span_of(of));
    mr_hash_hex(&hash, hex);
    rig_sql(r,
            "insert into millrace.result (run_id, step, level, batch, last, first_row, row_count, attempt, worker, compute_us,"
            " body_hash, body) values (%llu, 0, 0, %d, true, 0, 2, %d, 'w', 1, '\\x%s', '%s')",
            (unsigned long long)run, batch, batch + 1, hex, body);
}

static void put_artifact(rig *r, uint64_t run, int batch, const char *bytes, const char *of) {
    char hex[MR_HASH_HEX];
    mr_hash hash = mr_hash_of(mr_span_of(of));
    mr_hash_hex(&hash, hex);
    rig_sql(r, "insert into millrace.artifact (hash, media_type, bytes) values ('\\x%s', 'text/plain', '%s')", hex, bytes);
    rig_sql(r, "insert into millrace.run_artifact (run_id, step, level, batch, name, hash) values (%llu, 0, 0, %d, 'model', '\\x%s')",
            (unsigned long long)run, batch, hex);
}

/* Four results: 1 is damaged, of 2 the artifact, of 3 both. */
static void what_is_damaged_is_moved_aside_and_the_run_reopened(void **state) {
    rig *r = rig_of(state);
    mr_lease lease = rig_lease(r, "one");
    rig_prompts(r, 8);
    mr_run_info *info = rig_run(r, &lease, "prompts", MR_STEP_MAP, 2, MR_COL_FEATURES);
    uint64_t run = info->run;
    char args[64];
    mr_run_info_drop(info);
    for (int i = 0; i < 4; i++) put_result(r, run, i, i % 2 ? "flipped" : "body", "body");
    put_artifact(r, run, 0, "right", "right");
    put_artifact(r, run, 2, "wrong", "two");
    put_artifact(r, run, 3, "wrong", "three");
    snprintf(args, sizeof args, "{\"run\": %llu}", (unsigned long long)run);
    refuses(r, MR_CMD_REPAIR, args, MR_E_CONFLICT); /* it has not ended */
    rig_sql(r, "insert into millrace.run_ending (run_id, state) values (%llu, 'succeeded')", (unsigned long long)run);
    answers(r, MR_CMD_REPAIR, args, "\"read\":7,\"damaged_results\":2,\"damaged_artifacts\":2");
    recovered_is(r, run, 1, 0); /* batch 0 alone is still done */
    assert_int_equal(rig_number(r, "select count(*) from millrace.damaged where what = 'result' and batch in (1, 2, 3)"), 3);
    assert_int_equal(rig_number(r, "select count(*) from millrace.damaged where what = 'artifact' and bytes = 'wrong'"), 2);
    assert_int_equal(rig_number(r, "select count(*) from millrace.damage where again = 'waiting'"), 5);
    put_result(r, run, 1, "body", "body");
    put_result(r, run, 3, "other", "other");
    assert_int_equal(rig_number(r, "select count(*) from millrace.damage where again = 'same bytes' and batch = 1"), 1);
    assert_int_equal(rig_number(r, "select count(*) from millrace.damage where again = 'other bytes' and what = 'result'"), 1);
    rig_sql(r, "insert into millrace.run_ending (run_id, life, state) values (%llu, 1, 'cancelled')", (unsigned long long)run);
    refuses(r, MR_CMD_REPAIR, args, MR_E_CONFLICT);
    refuses(r, MR_CMD_REPAIR, "{\"run\": 99}", MR_E_NOT_FOUND);
}

/* ---- rules ---- */

static mr_status collect(void *context, const mr_rule *rule, mr_error *err) {
    char *out = context;
    (void)err;
    size_t n = strlen(out);
    snprintf(out + n, 512 - n, "%s %s %d %u %g %u; ", mr_rule_word(rule->of), rule->name, rule->paused,
             rule->max_concurrent, rule->per_second, rule->burst);
    return MR_OK;
}

static void the_last_row_of_a_rule_counts(void **state) {
    rig *r = rig_of(state);
    mr_error err = {0};
    char all[512] = "";
    rig_sql(r, "truncate millrace.pause, millrace.limit_rule");
    answers(r, MR_CMD_PAUSE, "{\"kind\": \"component\", \"name\": \"a\"}", "\"paused\":true");
    answers(r, MR_CMD_LIMIT_SET, "{\"kind\": \"component\", \"name\": \"a\", \"max_concurrent\": 3}",
            "\"paused\":true");
    answers(r, MR_CMD_LIMIT_SET,
            "{\"kind\": \"client\", \"name\": \"b\", \"per_second\": \"2.5\", \"burst\": 4}", "2.5");
    answers(r, MR_CMD_PAUSE, "{\"kind\": \"client\", \"name\": \"c\"}", "\"paused\":true");
    answers(r, MR_CMD_RESUME, "{\"kind\": \"client\", \"name\": \"c\"}", "\"paused\":false");
    assert_int_equal(mr_rules_read(r->pg, false, collect, all, &err), MR_OK);
    if (!strstr(all, "component a 1 3 0 1; ") || !strstr(all, "client b 0 0 2.5 4; ") ||
        strstr(all, "client c"))
        fail_msg("%s", all);
    answers(r, MR_CMD_LIMIT_REMOVE, "{\"kind\": \"component\", \"name\": \"a\"}",
            "\"max_concurrent\":0");
    answers(r, MR_CMD_RESUME, "{\"kind\": \"component\", \"name\": \"a\"}", "\"paused\":false");
    refuses(r, MR_CMD_PAUSE, "{\"kind\": \"worker\", \"name\": \"a\"}", MR_E_INVALID);
    refuses(r, MR_CMD_PAUSE, "{\"kind\": \"run\", \"name\": \"77\"}", MR_E_NOT_FOUND);
    refuses(r, MR_CMD_PAUSE, "{\"kind\": \"run\", \"name\": \"seven\"}", MR_E_INVALID);
    refuses(r, MR_CMD_PAUSE, "{\"kind\": \"run\", \"name\": \"\"}", MR_E_INVALID);
    refuses(r, MR_CMD_LIMIT_SET, "{\"kind\": \"run\", \"name\": \"a\"}", MR_E_INVALID);
    refuses(r, MR_CMD_LIMIT_SET, "{\"kind\": \"client\", \"name\": \"a\"}", MR_E_USAGE);
    refuses(r, MR_CMD_LIMIT_SET, "{\"kind\": \"client\", \"name\": \"a\", \"per_second\": \"nan\"}",
            MR_E_INVALID);
    refuses(r, MR_CMD_LIMIT_SET, "{\"kind\": \"client\", \"name\": \"a\", \"per_second\": \"5x\"}",
            MR_E_INVALID);
}

/* ---- what two do at once ---- */

typedef struct racer {
    rig *r;
    mr_plan_job *job;
    pthread_barrier_t *start;
    pthread_t thread;
} racer;

static void *race(void *arg) {
    racer *me = arg;
    mr_desk desk = {0};
    mr_pg *pg;
    rig_desk(me->r, &desk);
    bool connected = mr_desk_database(&desk, &pg, &me->job->head.error) == MR_OK;
    pthread_barrier_wait(me->start);
    if (connected) mr_plan_work(&desk, &me->job->head);
    mr_pg_free(&desk.pg);
    return NULL;
}

enum { RACERS = 4 };

static void race_all(rig *r, mr_plan_job *job[RACERS]) {
    racer racers[RACERS];
    pthread_barrier_t start;
    pthread_barrier_init(&start, NULL, RACERS);
    for (int i = 0; i < RACERS; i++) {
        racers[i] = (racer){.r = r, .job = job[i], .start = &start};
        assert_int_equal(pthread_create(&racers[i].thread, NULL, race, &racers[i]), 0);
    }
    for (int i = 0; i < RACERS; i++) pthread_join(racers[i].thread, NULL);
    pthread_barrier_destroy(&start);
}

static void a_time_is_fired_once_by_many_brokers(void **state) {
    rig *r = rig_of(state);
    mr_lease lease = rig_lease(r, "one");
    rig_prompts(r, 4);
    rig_sql(r, "truncate millrace.schedule cascade");
    rig_sql(
        r,
        "insert into millrace.schedule (every_s, first_due, request, client) values (3600, now(), '', 'c')");
    int64_t schedule = rig_number(r, "select id from millrace.schedule");
    mr_plan_job *job[RACERS];
    int fired = 0;
    for (int i = 0; i < RACERS; i++) {
        job[i] = rig_plan_job(&lease, "prompts", MR_STEP_MAP, 2, MR_COL_FEATURES, 1);
        job[i]->schedule = schedule;
        job[i]->due_ns = INT64_C(1800000000000000000);
        job[i]->next_ns = job[i]->due_ns + INT64_C(3600000000000);
    }
    race_all(r, job);
    for (int i = 0; i < RACERS; i++) {
        fired += job[i]->head.status == MR_OK;
        if (job[i]->head.status != MR_OK) assert_int_equal(job[i]->head.status, MR_E_EXISTS);
        mr_plan_job_free(job[i]);
    }
    assert_int_equal(fired, 1);
    assert_int_equal(rig_number(r, "select count(*) from millrace.run"),
                     1); /* the others left nothing behind */
    assert_int_equal(rig_number(r, "select count(*) from millrace.schedule_fire where run_id is not null"),
                     1);
}

static void a_key_gives_one_run_to_many_clients(void **state) {
    rig *r = rig_of(state);
    mr_lease lease = rig_lease(r, "one");
    rig_prompts(r, 4);
    mr_plan_job *job[RACERS];
    int existed = 0;
    for (int i = 0; i < RACERS; i++) {
        job[i] = rig_plan_job(&lease, "prompts", MR_STEP_MAP, 2, MR_COL_FEATURES, 1);
        snprintf(job[i]->key, sizeof job[i]->key, "k");
    }
    race_all(r, job);
    uint64_t run = (uint64_t)rig_number(r, "select min(id) from millrace.run");
    for (int i = 0; i < RACERS; i++) {
        if (job[i]->head.status != MR_OK) fail_msg("%s", job[i]->head.error.text);
        assert_int_equal(job[i]->info->run, run);
        existed += job[i]->existed;
        mr_plan_job_free(job[i]);
    }
    assert_int_equal(existed, RACERS - 1);
    assert_int_equal(rig_number(r, "select count(*) from millrace.run"), 1);
}

/* ---- schedules ---- */

static void what_is_due_is_handed_over_and_what_is_later_is_not(void **state) {
    rig *r = rig_of(state);
    mr_error err = {0};
    mr_desk planner = {0};
    rig_sql(r, "truncate millrace.schedule cascade");
    rig_sql(r, "insert into millrace.schedule (name, first_due, request, client)"
               " select 'later', now() + interval '1 day', '', 'c' from generate_series(1, 10000)");
    rig_sql(r, "insert into millrace.schedule (name, every_s, first_due, request, client)"
               " values ('missed', 3600, now() - interval '150 minutes', '\\x80', 'c')");
    rig_desk(r, &planner);
    assert_int_equal(mr_planner_start(&planner, NULL, &err), MR_OK);
    mr_due_job *due = (mr_due_job *)rig_next(r);
    mr_desk_stop(&planner);
    assert_string_equal(due->name, "missed");
    assert_int_equal(due->next_ns - due->due_ns, INT64_C(3600) * 1000000000);
    /* Of the three that came, the last. */
    assert_true(rig_true(
        r,
        "select first_due + interval '2 hours' = to_timestamp(%lld / 1000000.0) from millrace.schedule"
        " where name = 'missed'",
        (long long)(due->due_ns / 1000)));
    mr_due_job_free(due);
    while (r->done || mr_queue_count(&r->outbox)) { /* it may have looked again meanwhile */
        mr_due_job *more = (mr_due_job *)rig_next(r);
        assert_string_equal(more->name, "missed");
        mr_due_job_free(more);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(letters_are_replayed_once_and_the_run_reopened),
        cmocka_unit_test(letters_of_a_run_that_goes_on_are_replayed_in_a_new_life),
        cmocka_unit_test(letters_of_a_cancelled_run_can_only_be_discarded),
        cmocka_unit_test(a_replay_waits_for_a_cancel_and_then_does_nothing),
        cmocka_unit_test(a_reopened_run_is_told_to_all_brokers),
        cmocka_unit_test(what_is_damaged_is_moved_aside_and_the_run_reopened),
        cmocka_unit_test(the_last_row_of_a_rule_counts),
        cmocka_unit_test(a_time_is_fired_once_by_many_brokers),
        cmocka_unit_test(a_key_gives_one_run_to_many_clients),
        cmocka_unit_test(what_is_due_is_handed_over_and_what_is_later_is_not),
    };
    return cmocka_run_group_tests(tests, rig_start, rig_stop);
}
