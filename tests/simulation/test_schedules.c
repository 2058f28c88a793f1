/* Schedules under clocks that jump, brokers that crash at any moment, and two of them at once: each time is
 * fired once, and what was missed is fired once. The rows are modelled as the tables have them: a firing is
 * unique on (schedule, time), and comes with its run in one transaction. */
#include "broker/core/cron.h"
#include "common/rng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

enum { FIRES = 4096, SEEDS = 2000, STEPS = 400 };

typedef struct fire {
    int64_t due, next;
} fire;

typedef struct table {
    mr_timetable timetable;
    int64_t first;
    fire fire[FIRES];
    size_t fires, runs;
} table;

/* A broker that has read what is pending and not yet written. */
typedef struct broker {
    bool read;
    int64_t due, next;
} broker;

static int64_t pending(const table *t) {
    int64_t latest = -1, next = t->first;
    for (size_t i = 0; i < t->fires; i++)
        if (t->fire[i].due > latest) latest = t->fire[i].due, next = t->fire[i].next;
    return next;
}

static void look(const table *t, broker *b, int64_t clock) {
    int64_t p = pending(t);
    b->read = p <= clock;
    if (b->read) mr_timetable_fire(&t->timetable, p, clock, &b->due, &b->next);
}

static void commit(table *t, broker *b, bool unique) {
    for (size_t i = 0; unique && i < t->fires; i++)
        if (t->fire[i].due == b->due) b->read = false;
    if (!b->read) return;
    assert_true(t->fires < FIRES);
    t->fire[t->fires++] = (fire){b->due, b->next};
    t->runs++;
    b->read = false;
}

static mr_timetable draw(mr_rng *rng) {
    static const char *const lines[] = {"* * * * *", "*/7 * * * *", "0 * * * *", "15 3 * * *"};
    mr_timetable t = {.kind = (mr_recurrence)mr_rng_below(rng, 3),
                      .every_us = (int64_t)(1 + mr_rng_below(rng, 4000)) * 1000000};
    assert_int_equal(mr_cron_parse(lines[mr_rng_below(rng, 4)], &t.cron, NULL), MR_OK);
    return t;
}

static bool fired(const table *t, int64_t due) {
    for (size_t i = 0; i < t->fires; i++)
        if (t->fire[i].due == due) return true;
    return false;
}

/* Runs one schedule; true when each time was fired at most once and nothing that came stayed unfired. */
static bool one(uint64_t seed, bool unique) {
    table *t = calloc(1, sizeof *t);
    broker b[2] = {{0}};
    mr_rng rng;
    mr_rng_stream(&rng, seed, 0x5c, 0);
    int64_t clock = INT64_C(1800000000000000), highest = clock;
    t->timetable = draw(&rng);
    t->first = t->timetable.kind == MR_CRON ? mr_cron_next(&t->timetable.cron, clock)
                                            : clock + t->timetable.every_us;
    for (int i = 0; i < STEPS; i++) {
        broker *who = &b[mr_rng_below(&rng, 2)];
        clock += (int64_t)mr_rng_below(&rng, 600) * 1000000;
        if (mr_rng_below(&rng, 50) == 0)
            clock += mr_rng_below(&rng, 2) ? INT64_C(3600000000) : INT64_C(-3600000000);
        highest = clock > highest ? clock : highest;
        if (mr_rng_below(&rng, 10) == 0)
            who->read = false; /* crashed; what it began is rolled back */
        else if (who->read)
            commit(t, who, unique);
        else
            look(t, who, clock);
    }
    for (clock = highest; pending(t) <= clock;) { /* in the end one of them looks in peace */
        look(t, &b[0], clock);
        commit(t, &b[0], true);
    }
    bool ok = t->runs == t->fires;
    for (size_t i = 0; i < t->fires; i++)
        for (size_t k = 0; k < i; k++) ok &= t->fire[i].due != t->fire[k].due;
    for (size_t i = 0; i < t->fires; i++) ok &= t->fire[i].due <= highest && t->fire[i].next > t->fire[i].due;
    if (t->timetable.kind == MR_ONCE)
        ok &= t->fires == (t->first <= highest ? 1u : 0u) && (!t->fires || fired(t, t->first));
    ok &= pending(t) > highest;
    free(t);
    return ok;
}

static void each_time_is_fired_once(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++)
        if (!one(seed, true)) fail_msg("seed %llu", (unsigned long long)seed);
}

static void a_table_without_its_key_is_caught(void **state) {
    (void)state;
    bool ok = true;
    for (uint64_t seed = 1; ok && seed <= SEEDS; seed++) ok = one(seed, false);
    assert_false(ok);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_time_is_fired_once),
        cmocka_unit_test(a_table_without_its_key_is_caught),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
