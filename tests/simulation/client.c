/* client.c: people: they submit runs under keys, cancel them, pause and limit, and replay what was given up, through the
 * client of the admin CLI; an answer that does not come is asked for again, of any broker. One asks how things are. */
#include "broker/cli/client.h"

#include "broker/io/broker.h"
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
static bool is_closed(person *me) { return mine(me)->closed || has_ended(me); }
static bool is_reopened(person *me) { return mine(me)->life > 0; }
static bool needs_no_replay(person *me) { return is_reopened(me) || (has_ended(me) && mine(me)->state != MR_RUN_FAILED); }

static void submit(person *me) {
    const sim_spec *s = mine(me);
    char key[16];
    mr_params args;
    mr_params_init(&args);
    snprintf(key, sizeof key, "%u", me->index);
    if (!s->stream) mr_params_u64(&args, "version", me->index + 1);
    if (!s->stream) mr_params_u64(&args, "batch_size", SIM_BATCH_ROWS);
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
    mr_command command = s->stream ? MR_CMD_STREAM_OPEN : MR_CMD_RUN;
    call_until(me, command, &args, is_planned);
    for (int again = 0; again < 2 && sim_chance(me->w, 0.3); again++) call(me, command, &args);
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

static bool has_a_letter(const person *me) {
    const sim_world *w = me->w;
    for (uint32_t i = 0; i < w->db.failures; i++)
        if (w->db.failure[i].key.run == mine(me)->run && w->db.failure[i].dead) return true;
    return false;
}

/* As soon as something was given up; who comes too late replays a run that has failed. */
static void replay_at_once(person *me) {
    sim_spec *s = mine(me);
    while (!has_a_letter(me) && !has_ended(me) && !sim_self()->dying && !(s->cancel_at_us && me->w->now >= s->cancel_at_us))
        sim_sleep(me->w, 50000);
    if (sim_self()->dying || !has_a_letter(me)) return;
    sim_sleep(me->w, sim_between(me->w, 0, 1000000));
    heal(s);
    ask_of_run(me, MR_CMD_DEAD_REPLAY, "run", needs_no_replay);
}

static void *runner(void *arg) {
    person me = *(person *)arg;
    sim_spec *s = mine(&me);
    sleep_until(me.w, s->submit_at_us);
    submit(&me);
    if (s->stream && !sim_self()->dying) sim_feed(me.w, me.index);
    if (s->at_once) replay_at_once(&me);
    if (s->cancel_at_us) {
        sleep_until(me.w, s->cancel_at_us);
        s->cancelled = true;
        ask_of_run(&me, MR_CMD_CANCEL, "id", has_ended);
    }
    while (s->feeding && !sim_self()->dying) sim_sleep(me.w, 50000);
    if (s->stream) ask_of_run(&me, MR_CMD_STREAM_CLOSE, "run", is_closed);
    wait_for_end(&me);
    if (s->to_replay && s->state == MR_RUN_FAILED && !s->replayed && !sim_self()->dying) {
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

/* ---- who asks how things are: that needs no database, and is answered at once ---- */

typedef struct session {
    const sim_process *broker;
    uint32_t life;
    uint64_t since_us;
} session;

static bool is_sound(const sim_world *w, const session *s) {
    const sim_process *p = s->broker;
    const sim_broker *b = p->program;
    bool well = p->up && p->life == s->life && !p->dying && !p->asked && b && b->program->phase == MR_SERVING;
    return well && p->well_since < s->since_us && w->now >= p->paused_until && w->client_link_us < s->since_us;
}

static void ask(person *me, session *s) {
    sim_world *w = me->w;
    char address[64];
    mr_error err = {0};
    mr_span body;
    if (!me->client) {
        s->broker = sim_broker_process(w, (uint32_t)sim_between(w, 0, w->brokers - 1));
        snprintf(address, sizeof address, "tcp://127.0.0.1:%u", 7000 + s->broker->index);
        s->life = s->broker->life;
        if (mr_client_open(address, 500, &me->client, &err) != MR_OK) return;
        s->since_us = w->now;
    }
    if (mr_client_call(me->client, MR_CMD_STATUS, (mr_span){0}, 1000, &body, &err) == MR_OK) {
        SIM_COUNT(w, asked);
        return;
    }
    if (is_sound(w, s) && !sim_self()->dying) sim_broken(w, "a broker that is well did not say how it is: %s", err.text);
    mr_client_close(&me->client);
}

static void *asker(void *arg) {
    person me = *(person *)arg;
    session s = {0};
    while (me.w->now < (uint64_t)SIM_FAULTS_MS * 1000 && !sim_self()->dying) {
        ask(&me, &s);
        sim_sleep(me.w, sim_between(me.w, 2000, 200000));
    }
    mr_client_close(&me.client);
    return NULL;
}

void sim_client_begin(sim_world *w) {
    sim_process *p = &w->process[SIM_BROKERS + SIM_WORKERS];
    static person people[SIM_SPECS + SIM_RULES + 1]; /* each copies its own at once */
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
    people[SIM_SPECS + SIM_RULES] = (person){.w = w};
    sim_spawn(w, p, asker, &people[SIM_SPECS + SIM_RULES], NULL);
}
