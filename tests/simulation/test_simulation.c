/* Many schedules from many seeds, each clean; and every variant that is broken on purpose caught.
 * MR_SIM_SEEDS=N runs N schedules; MR_SIM_SEED=S runs that one alone and prints each step. */
#include "tests/simulation/sim.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { SEEDS = 1500, SEEDS_FOR_A_VARIANT = 60 };

static uint64_t from_environment(const char *name, uint64_t otherwise) {
    const char *text = getenv(name);
    return text && *text ? strtoull(text, NULL, 10) : otherwise;
}

static void schedules_with_faults_end_as_without(void **state) {
    (void)state;
    sim_report r, sum = {0};
    uint64_t seeds = from_environment("MR_SIM_SEEDS", SEEDS), one = from_environment("MR_SIM_SEED", 0);
    for (uint64_t seed = one ? one : 1; seed <= (one ? one : seeds); seed++) {
        sim_run(seed, SIM_SOUND, one != 0, &r);
        if (!r.ok) fail_msg("seed %llu: %s (replay: MR_SIM_SEED=%llu)", (unsigned long long)seed, r.text,
                            (unsigned long long)seed);
        sum.events += r.events;
        sum.sent += r.sent;
        sum.committed += r.committed;
        sum.retried += r.retried;
        sum.lost += r.lost;
        sum.broker_starts += r.broker_starts;
        sum.worker_starts += r.worker_starts;
        sum.rules += r.rules;
        sum.replays += r.replays;
        sum.stalls += r.stalls;
    }
    print_message(
        "%llu events, %llu attempts, %llu results, %llu failures, %llu workers lost, %llu broker and %llu "
        "worker starts, %llu pauses and limits begun or ended, %llu runs replayed, %llu stalls\n",
        (unsigned long long)sum.events, (unsigned long long)sum.sent, (unsigned long long)sum.committed,
        (unsigned long long)sum.retried, (unsigned long long)sum.lost, (unsigned long long)sum.broker_starts,
        (unsigned long long)sum.worker_starts, (unsigned long long)sum.rules, (unsigned long long)sum.replays,
        (unsigned long long)sum.stalls);
}

static void same_seed_gives_the_same_schedule(void **state) {
    (void)state;
    sim_report a, b;
    sim_run(5, SIM_SOUND, false, &a);
    sim_run(5, SIM_SOUND, false, &b);
    assert_memory_equal(&a, &b, sizeof a);
}

static void caught(sim_variant variant) {
    sim_report r = {.ok = true};
    for (uint64_t seed = 1; r.ok && seed <= SEEDS_FOR_A_VARIANT; seed++) sim_run(seed, variant, false, &r);
    if (r.ok) fail_msg("the checker did not see it");
    print_message("seed %llu %s\n", (unsigned long long)r.seed, r.text);
}

static void acknowledging_before_the_commit_is_caught(void **state) {
    (void)state;
    caught(SIM_ACK_BEFORE_COMMIT);
}
static void sending_a_result_only_once_is_caught(void **state) { (void)state; caught(SIM_NO_RESEND); }
static void using_attempt_numbers_again_is_caught(void **state) { (void)state; caught(SIM_REUSE_ATTEMPTS); }
static void forgetting_what_was_done_is_caught(void **state) { (void)state; caught(SIM_FORGET_DONE); }
static void hoping_for_an_unknown_commit_is_caught(void **state) { (void)state; caught(SIM_HOPE); }
static void a_table_without_its_key_is_caught(void **state) { (void)state; caught(SIM_NO_UNIQUE); }
static void a_merge_of_other_children_is_caught(void **state) { (void)state; caught(SIM_WRONG_INPUT); }

static void forgetting_pauses_and_limits_is_caught(void **state) { (void)state; caught(SIM_FORGET_RULES); }
static void one_more_than_a_limit_is_caught(void **state) { (void)state; caught(SIM_ONE_MORE); }
static void twice_the_rate_is_caught(void **state) { (void)state; caught(SIM_TWICE_AS_FAST); }
static void ignoring_priorities_is_caught(void **state) { (void)state; caught(SIM_NO_PRIORITY); }
static void trying_again_what_was_given_up_is_caught(void **state) { (void)state; caught(SIM_FORGET_DEAD); }
static void inputs_that_never_come_are_caught(void **state) { (void)state; caught(SIM_NO_WATCHDOG); }

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(schedules_with_faults_end_as_without),
        cmocka_unit_test(same_seed_gives_the_same_schedule),
        cmocka_unit_test(acknowledging_before_the_commit_is_caught),
        cmocka_unit_test(sending_a_result_only_once_is_caught),
        cmocka_unit_test(using_attempt_numbers_again_is_caught),
        cmocka_unit_test(forgetting_what_was_done_is_caught),
        cmocka_unit_test(hoping_for_an_unknown_commit_is_caught),
        cmocka_unit_test(a_table_without_its_key_is_caught),
        cmocka_unit_test(a_merge_of_other_children_is_caught),
        cmocka_unit_test(forgetting_pauses_and_limits_is_caught),
        cmocka_unit_test(one_more_than_a_limit_is_caught),
        cmocka_unit_test(twice_the_rate_is_caught),
        cmocka_unit_test(ignoring_priorities_is_caught),
        cmocka_unit_test(trying_again_what_was_given_up_is_caught),
        cmocka_unit_test(inputs_that_never_come_are_caught),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
