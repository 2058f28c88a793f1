/* Many schedules from many seeds, each clean; and every variant that is broken on purpose caught.
 * MR_SIM_SEEDS=N runs N schedules, MR_SIM_FROM=S from that seed on; MR_SIM_SEED=S runs that one alone and prints each
 * step. tests/simulation/run sets them. */
#include "tests/simulation/sim.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

enum { SEEDS = 1500, SEEDS_FOR_A_VARIANT = 120, FAILURES_SHOWN = 10 };

static uint64_t from_environment(const char *name, uint64_t otherwise) {
    const char *text = getenv(name);
    return text && *text ? strtoull(text, NULL, 10) : otherwise;
}

static volatile uint64_t running; /* for the words after an assertion */

static void say_seed(int signal_number) {
    char text[96];
    int n = snprintf(text, sizeof text, "seed %llu: tests/simulation/run --seed %llu\n", (unsigned long long)running,
                     (unsigned long long)running);
    if (write(STDERR_FILENO, text, (size_t)n) < 0) _exit(3);
    signal(signal_number, SIG_DFL);
    raise(signal_number);
}

static void print_counts(const sim_report *sum) {
    for (int i = 0; i < SIM_COUNTERS; i++)
        print_message("%s %llu%s", sim_counter_name((sim_counter)i), (unsigned long long)sum->count[i],
                      i + 1 < SIM_COUNTERS ? ", " : "\n");
}

static void schedules_with_faults_end_as_without(void **state) {
    (void)state;
    sim_report r, sum = {0};
    int failed = 0;
    uint64_t one = from_environment("MR_SIM_SEED", 0), from = one ? one : from_environment("MR_SIM_FROM", 1);
    uint64_t n = one ? 1 : from_environment("MR_SIM_SEEDS", SEEDS);
    for (uint64_t seed = from; seed < from + n; seed++) {
        running = seed;
        sim_run(seed, SIM_SOUND, one != 0, &r);
        if (!r.ok)
            print_error("seed %llu: %s (tests/simulation/run --seed %llu prints each step of it)\n", (unsigned long long)seed,
                        r.text, (unsigned long long)seed);
        failed += !r.ok;
        if (failed == FAILURES_SHOWN) break;
        for (int i = 0; i < SIM_COUNTERS; i++) sum.count[i] += r.count[i];
    }
    print_counts(&sum);
    assert_int_equal(failed, 0);
    for (int i = 0; i < SIM_COUNTERS && n >= SEEDS; i++)
        if (!sum.count[i]) fail_msg("%s never happened", sim_counter_name((sim_counter)i));
}

static void same_seed_gives_the_same_schedule(void **state) {
    (void)state;
    sim_report a, b;
    sim_run(5, SIM_SOUND, false, &a);
    sim_run(5, SIM_SOUND, false, &b);
    assert_memory_equal(&a, &b, sizeof a);
}

static void every_broken_variant_is_caught(void **state) {
    (void)state;
    int missed = 0;
    for (int v = SIM_SOUND + 1; v < SIM_VARIANTS; v++) {
        sim_report r = {.ok = true};
        for (uint64_t seed = 1; r.ok && seed <= SEEDS_FOR_A_VARIANT; seed++) {
            running = seed;
            sim_run(seed, (sim_variant)v, false, &r);
        }
        missed += r.ok;
        print_message("%s: seed %llu: %s\n", sim_variant_text((sim_variant)v), (unsigned long long)running,
                      r.ok ? "NOT SEEN" : r.text);
    }
    assert_int_equal(missed, 0);
}

int main(void) {
    const struct CMUnitTest all[] = {
        cmocka_unit_test(schedules_with_faults_end_as_without),
        cmocka_unit_test(same_seed_gives_the_same_schedule),
        cmocka_unit_test(every_broken_variant_is_caught),
    };
    const struct CMUnitTest schedules[] = {cmocka_unit_test(schedules_with_faults_end_as_without)};
    const struct CMUnitTest variants[] = {cmocka_unit_test(every_broken_variant_is_caught)};
    signal(SIGABRT, say_seed);
    if (getenv("MR_SIM_VARIANTS")) return cmocka_run_group_tests(variants, NULL, NULL);
    return getenv("MR_SIM_SEED") || getenv("MR_SIM_SEEDS") ? cmocka_run_group_tests(schedules, NULL, NULL)
                                                           : cmocka_run_group_tests(all, NULL, NULL);
}
