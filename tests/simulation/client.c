/* client.c: people: they submit runs under keys, cancel them, pause and limit, and replay what was given up, through the
 * client of the admin CLI; an answer that does not come is asked for again, of any broker. */
#include "broker/cli/client.h"

#include "tests/simulation/world.h"

#include <stdio.h>
#include <string.h>

typedef struct person {
    sim_world *w;
    uint32_t index;
    mr_client *client;
} person;

static bool worth_another_try(mr_status s) {
    return s == MR_E_UNAVAILABLE || s == MR_E_TIMEOUT || s == MR_E_FULL || s == MR_E_IO || s == MR_E_PROTOCOL ||
           s == MR_E_MEMORY || s == MR_E_CANCELLED || s == MR_E_INTERNAL;
}

/* Until there is an answer. */
static mr_status call(person *me, mr_command command, mr_params *args) {
    sim_world *w = me->w;
    char address[64];
    mr_error err = {0};
    mr_span body;
    for (;;) {
        mr_status s = MR_OK;
        if (!me->client) {
            snprintf(address, sizeof address, "tcp://127.0.0.1:%u", 7000 + (unsigned)sim_between(w, 0, w->brokers - 1));
            s = mr_client_open(address, 500, &me->client, &err);
        }
        SIM_COUNT(w, call);
        if (s == MR_OK) s = mr_client_call(me->client, command, mr_params_span(args), 1000, &body, &err);
        if (s != MR_OK) sim_trace(w, "call %d: %s", (int)command, err.text);
        if (s == MR_OK || sim_self()->dying || !worth_another_try(s)) return s;
        mr_client_close(&me->client);
        SIM_COUNT(w, call_again);
        sim_sleep(w, sim_between(w, 50000, 500000));
    }
}

/* Until it is so, or can never be; waits a while between calls that are answered by a no. */
static void call_until(person *me, mr_command command, mr_params *args, bool (*done)(person *)) {
    while (!done(me) && !sim_self()->dying) {
        mr_status s = call(me, command, args);
        if (s == MR_OK && done(me)) return;
        sim_sleep(me->w, sim_between(me->w, 100000, 300000));
    }
}

/* ---- who runs something ---- */

static sim_spec *mine(const person *me) { return &me->w->spec[me->index]; }
static bool is_planned(person *me) { return mine(me)->run != 0; }
static bool has_ended(person *me) { return mine(me)->ended_life >= mine(me)->life; }
static bool is_reopened(person *me) { return mine(me)->life > 0; }

static void submit(person *me) {
    const sim_spec *s = mine(me);
    char key[16];
    mr_params args;
    mr_params_init(&args);
    snprintf(key, sizeof key, "%u", me->index);
    mr_params_u64(&args, "version", me->index + 1);
    mr_params_u64(&args, "batch_size", SIM_BATCH_ROWS);
    mr_params_u64(&args, "seed", s->seed);
    mr_params_u64(&args, "priority", s->priority);
    mr_params_text(&args, "key", key);
    mr_buf *list = mr_params_open(&args, "components");
    mr_pack_array(list, s->steps);
    for (uint32_t i = 0; i < s->steps; i++) {
        char name[8];
        snprintf(name, sizeof name, "c%u", s->step[i].component);
        mr_pack_map(list, 1);
        mr_pack_text(list, "name");
        mr_pack_text(list, name);
    }
    call_until(me, MR_CMD_RUN, &args, is_planned);
    for (int again = 0; again < 2 && sim_chance(me->w, 0.3); again++) call(me, MR_CMD_RUN, &args);
    mr_params_free(&args);
}

static void ask_of_run(person *me, mr_command command, const char *name, bool (*done)(person *)) {
    mr_params args;
    mr_params_init(&args);
    mr_params_u64(&args, name, mine(me)->run);
    call_until(me, command, &args, done);
    mr_params_free(&args);
}

static void sleep_until(sim_world *w, uint64_t at) {
    if (at > w->now) sim_sleep(w, at - w->now);
}

static void wait_for_end(person *me) {
    while (!has_ended(me) && !sim_self()->dying) sim_sleep(me->w, 200000);
}

static void heal(sim_spec *s) {
    for (uint32_t i = 0; i < s->steps; i++)
        for (uint32_t k = 0; k < s->step[i].plan.counts[0]; k++) s->node[i][0][k].poison = false;
    s->replayed = true;
}

static void *runner(void *arg) {
    person me = *(person *)arg;
    sim_spec *s = mine(&me);
    sleep_until(me.w, s->submit_at_us);
    submit(&me);
    if (s->cancel_at_us) {
        sleep_until(me.w, s->cancel_at_us);
        s->cancelled = true;
        ask_of_run(&me, MR_CMD_CANCEL, "id", has_ended);
    }
    wait_for_end(&me);
    if (s->to_replay && s->state == MR_RUN_FAILED && !sim_self()->dying) {
        sim_sleep(me.w, sim_between(me.w, 100000, 3000000));
        heal(s);
        ask_of_run(&me, MR_CMD_DEAD_REPLAY, "run", is_reopened);
        wait_for_end(&me);
    }
    mr_client_close(&me.client);
    return NULL;
}

/* ---- who keeps order ---- */

static const char *const kinds[] = {"component", "run", "client"};

static void rule(person *me, mr_command command, const mr_rule *rule) {
    mr_params args;
    char rate[32];
    mr_params_init(&args);
    mr_params_text(&args, "kind", kinds[rule->of]);
    mr_params_text(&args, "name", rule->name);
    if (command == MR_CMD_LIMIT_SET) {
        if (rule->max_concurrent) mr_params_u64(&args, "max_concurrent", rule->max_concurrent);
        snprintf(rate, sizeof rate, "%g", rule->per_second);
        if (rule->per_second > 0) mr_params_text(&args, "per_second", rate);
        if (rule->per_second > 0) mr_params_u64(&args, "burst", rule->burst);
    }
    while (call(me, command, &args) != MR_OK && !sim_self()->dying) sim_sleep(me->w, 200000); /* no worker has come yet */
    mr_params_free(&args);
}

/* A call that was given up may still be on its way, and pause again what was resumed after it: not promised otherwise
 * (docs/SEMANTICS.md). So whoever resumed says so again, when what is late has come. */
static void look_again(person *me, const sim_rule *r) {
    enum { LATE_US = 60000000 };
    for (int i = 0; i < 2 && !sim_self()->dying; i++) {
        sim_sleep(me->w, LATE_US);
        if (!sim_self()->dying) rule(me, MR_CMD_RESUME, &r->rule);
    }
}

static void *ruler(void *arg) {
    person me = *(person *)arg;
    sim_rule *r = &me.w->rule[me.index];
    bool limits = r->rule.max_concurrent || r->rule.per_second > 0;
    sleep_until(me.w, r->from_us);
    while (r->rule.of == MR_RULE_RUN && !me.w->spec[0].run && !sim_self()->dying) sim_sleep(me.w, 100000);
    if (r->rule.of == MR_RULE_RUN)
        snprintf(r->rule.name, sizeof r->rule.name, "%llu", (unsigned long long)me.w->spec[0].run);
    r->now.of = r->rule.of;
    memcpy(r->now.name, r->rule.name, sizeof r->now.name);
    SIM_COUNT(me.w, rule);
    if (r->rule.paused) rule(&me, MR_CMD_PAUSE, &r->rule);
    if (limits) rule(&me, MR_CMD_LIMIT_SET, &r->rule);
    sleep_until(me.w, r->until_us);
    if (r->rule.paused) rule(&me, MR_CMD_RESUME, &r->rule);
    if (limits) rule(&me, MR_CMD_LIMIT_REMOVE, &r->rule);
    if (r->rule.paused) look_again(&me, r);
    mr_client_close(&me.client);
    return NULL;
}

void sim_client_begin(sim_world *w) {
    sim_process *p = &w->process[SIM_BROKERS + SIM_WORKERS];
    static person people[SIM_SPECS + SIM_RULES]; /* each copies its own at once */
    p->up = true;
    for (uint32_t i = 0; i < SIM_SPECS; i++) {
        people[i] = (person){.w = w, .index = i};
        sim_spawn(w, p, runner, &people[i], NULL);
        sim_name_thread(w, w->spec[i].client);
    }
    for (uint32_t i = 0; i < SIM_RULES; i++) {
        if (!w->rule[i].from_us) continue;
        people[SIM_SPECS + i] = (person){.w = w, .index = i};
        sim_spawn(w, p, ruler, &people[SIM_SPECS + i], NULL);
    }
}
