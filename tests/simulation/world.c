/* world.c: what a seed says, and the course of one schedule. */
#include "tests/simulation/world.h"

#include "worker/core/link.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LOOK_US = 100000, STOP_MS = 30000 };

bool sim_chance(sim_world *w, double p) { return p > 0 && mr_rng_unit(&w->rng) < p; }

uint64_t sim_between(sim_world *w, uint64_t low, uint64_t high) { return low + mr_rng_below(&w->rng, high - low + 1); }

bool sim_faulty(const sim_world *w) { return w->now < (uint64_t)SIM_FAULTS_MS * 1000; }

sim_process *sim_broker_process(sim_world *w, uint32_t index) { return &w->process[index]; }
sim_process *sim_worker_process(sim_world *w, uint32_t index) { return &w->process[SIM_BROKERS + index]; }

/* ---- reporting ---- */

const char *sim_variant_text(sim_variant variant) {
#define TEXT(name, text) text,
    static const char *const texts[] = {SIM_VARIANTS_OF(TEXT)};
    return texts[variant];
}

const char *sim_counter_name(sim_counter counter) {
#define NAME(name) #name,
    static const char *const names[] = {SIM_COUNTERS_OF(NAME)};
    return names[counter];
}

void sim_broken(sim_world *w, const char *fmt, ...) {
    if (w->broken) return;
    w->broken = true;
    int n = snprintf(w->report->text, sizeof w->report->text, "at %llu ms: ", (unsigned long long)sim_ms(w));
    va_list args;
    va_start(args, fmt);
    vsnprintf(w->report->text + n, sizeof w->report->text - (size_t)n, fmt, args);
    va_end(args);
    if (w->trace) printf("BROKEN %s\n", w->report->text);
}

void sim_trace(const sim_world *w, const char *fmt, ...) {
    if (!w->trace) return;
    const sim_process *p = sim_self();
    printf("%10.3f ms %c%u ", (double)w->now / 1000, p ? "bwc"[p->role] : '-', p ? p->index : 0);
    va_list args;
    va_start(args, fmt);
    vprintf(fmt, args);
    va_end(args);
    printf("\n");
    fflush(stdout);
}

/* ---- what a seed says ---- */

static uint64_t some_time(sim_world *w, uint64_t from_ms, uint64_t to_ms) {
    return sim_between(w, from_ms * 1000, to_ms * 1000);
}

static void draw_steps(sim_world *w, sim_spec *s) {
    uint32_t first = (uint32_t)sim_between(w, 0, SIM_COMPONENTS - 1);
    s->steps = (uint32_t)sim_between(w, 1, SIM_STEPS);
    for (uint32_t k = 0; k < s->steps; k++) {
        static const mr_step_shape shapes[SIM_COMPONENTS] = {MR_STEP_MAP, MR_STEP_MERGE, MR_STEP_WHOLE, MR_STEP_MERGE};
        sim_step *step = &s->step[k];
        step->component = (first + k) % SIM_COMPONENTS;
        step->plan = (mr_step_plan){.version = 1, .shape = shapes[step->component], .deadline_ms = SIM_DEADLINE_MS};
        MR_ASSERT(mr_plan_step(s->rows, SIM_BATCH_ROWS, &step->plan, NULL) == MR_OK);
        MR_ASSERT(step->plan.levels <= SIM_LEVELS && step->plan.counts[0] <= SIM_NODES);
    }
}

static void draw_stream(sim_world *w, sim_spec *s) {
    uint32_t tasks = 0;
    s->producers = (uint32_t)sim_between(w, 1, SIM_PRODUCERS);
    for (uint32_t p = 0; p < s->producers; p++) {
        s->packets[p] = (uint32_t)sim_between(w, 1, SIM_PACKETS);
        for (uint32_t n = 0; n < s->packets[p]; n++) tasks += sim_packet_tasks(s, p, n);
    }
    s->steps = 1;
    s->step[0].plan = (mr_step_plan){.version = 1, .shape = MR_STEP_MAP, .deadline_ms = SIM_DEADLINE_MS};
    MR_ASSERT(mr_plan_stream(tasks, &s->step[0].plan, NULL) == MR_OK);
    MR_ASSERT(tasks <= SIM_NODES);
}

static void draw_spec(sim_world *w, uint32_t i) {
    sim_spec *s = &w->spec[i];
    uint32_t batches = (uint32_t)sim_between(w, 1, 70);
    s->rows = (uint64_t)batches * SIM_BATCH_ROWS - sim_between(w, 0, SIM_BATCH_ROWS - 1);
    s->seed = 1000 + i;
    s->ended_life = -1;
    s->priority = (uint32_t[]){100, 100, 150, 1000}[sim_between(w, 0, 3)];
    snprintf(s->client, sizeof s->client, "k%u", (unsigned)sim_between(w, 0, 1));
    s->stream = sim_chance(w, 0.3);
    if (s->stream) draw_stream(w, s);
    else draw_steps(w, s);
    if (sim_chance(w, 0.2)) {
        uint32_t k = (uint32_t)sim_between(w, 0, s->steps - 1);
        s->poisoned = true;
        s->to_replay = sim_chance(w, 0.7);
        s->at_once = s->to_replay && sim_chance(w, 0.6);
        sim_node *node = &s->node[k][0][sim_between(w, 0, s->step[k].plan.counts[0] - 1)];
        node->poison = true;
        node->unfit = sim_chance(w, 0.5);
    }
    s->submit_at_us = some_time(w, 0, 4000);
    if (sim_chance(w, 0.15)) s->cancel_at_us = some_time(w, 500, 9000);
    sim_expect(w, i);
}

static void draw_worker(sim_world *w, uint32_t i) {
    sim_worker *me = &w->worker[i];
    uint32_t number = SIM_BROKERS + i;
    me->slots = (uint32_t)sim_between(w, 1, 6);
    me->components = i == 0 ? (1u << SIM_COMPONENTS) - 1 : (uint32_t)sim_between(w, 1, (1u << SIM_COMPONENTS) - 1);
    me->slowness = sim_chance(w, 0.2) ? 10 : 1;
    sim_at(w, some_time(w, 0, 500), (sim_item){.kind = SIM_START, .a = number});
    for (uint64_t n = sim_between(w, 0, 2); n > 0; n--)
        sim_at(w, some_time(w, 500, SIM_FAULTS_MS), (sim_item){.kind = SIM_KILL, .a = number});
    for (uint64_t n = sim_between(w, 0, 1); n > 0; n--)
        sim_at(w, some_time(w, 500, SIM_FAULTS_MS), (sim_item){.kind = SIM_PAUSE, .a = number});
    if (sim_chance(w, 0.2)) sim_at(w, some_time(w, 500, SIM_FAULTS_MS), (sim_item){.kind = SIM_TERM, .a = number});
}

static void draw_broker(sim_world *w, uint32_t i) {
    sim_at(w, i ? some_time(w, 0, 3000) : 0, (sim_item){.kind = SIM_START, .a = i});
    for (uint64_t n = sim_between(w, 0, 2); n > 0; n--)
        sim_at(w, some_time(w, 300, SIM_FAULTS_MS), (sim_item){.kind = SIM_KILL, .a = i});
    if (sim_chance(w, 0.4)) sim_at(w, some_time(w, 300, SIM_FAULTS_MS), (sim_item){.kind = SIM_TERM, .a = i});
    if (sim_chance(w, 0.4)) sim_at(w, some_time(w, 300, SIM_FAULTS_MS), (sim_item){.kind = SIM_PAUSE, .a = i});
}

/* Set at some time and taken back at a later one; each of its own kind or name. */
static void draw_rule(sim_world *w, uint32_t i) {
    sim_rule *r = &w->rule[i];
    mr_rule *rule = &r->rule;
    rule->of = i == 0 ? MR_RULE_RUN : i == 1 ? MR_RULE_CLIENT : MR_RULE_COMPONENT;
    if (rule->of == MR_RULE_CLIENT) snprintf(rule->name, sizeof rule->name, "cli@k%u", (unsigned)sim_between(w, 0, 1));
    if (rule->of == MR_RULE_COMPONENT) snprintf(rule->name, sizeof rule->name, "c%u", i - 2);
    rule->paused = sim_chance(w, 0.4);
    if (sim_chance(w, 0.5)) rule->max_concurrent = (uint32_t)sim_between(w, 1, 4);
    if (sim_chance(w, 0.4)) {
        rule->per_second = (double)(10 * sim_between(w, 1, 10));
        rule->burst = (uint32_t)sim_between(w, 1, 8);
    }
    if (sim_chance(w, 0.5) || (!rule->paused && !rule->max_concurrent && rule->per_second <= 0)) return;
    r->from_us = some_time(w, 1, SIM_FAULTS_MS / 2);
    r->until_us = r->from_us + some_time(w, 200, SIM_FAULTS_MS / 2);
}

/* Limits that several brokers have to share for most of the time. */
static void draw_crowd(sim_world *w) {
    for (uint32_t i = 1; i < SIM_RULES; i++) {
        sim_rule *r = &w->rule[i];
        r->rule.paused = false;
        r->rule.max_concurrent = (uint32_t)sim_between(w, 1, 4);
        r->rule.per_second = sim_chance(w, 0.5) ? (double)sim_between(w, 5, 40) : 0;
        r->rule.burst = (uint32_t)sim_between(w, 1, 8);
        r->from_us = some_time(w, 1, 1000);
        r->until_us = (uint64_t)SIM_FAULTS_MS * 1000;
    }
}

static void several(sim_world *w, uint64_t most, sim_kind kind) {
    for (uint64_t n = sim_between(w, 0, most); n > 0; n--) sim_at(w, some_time(w, 300, SIM_FAULTS_MS), (sim_item){.kind = kind});
}

static void draw_network(sim_world *w) {
    static const double rates[] = {0, 0.01, 0.05, 0.2};
    double *p[] = {&w->p_lose, &w->p_twice, &w->p_overtake, &w->p_load_fails, &w->p_unknown, &w->p_error};
    for (size_t i = 0; i < sizeof p / sizeof *p; i++) *p[i] = rates[sim_between(w, 0, 3)];
    w->p_crash = w->p_error / 4;
    w->p_stall = sim_chance(w, 0.5) ? 0.001 : 0;
    w->p_break = sim_chance(w, 0.3) ? 0.0005 : 0;
    w->p_full = sim_chance(w, 0.3) ? 0.2 : 0;
    w->p_starve = sim_chance(w, 0.3) ? 0.05 : 0;
    w->p_pause_fenced = sim_chance(w, 0.4) ? 0.005 : 0;
    w->p_stuck = sim_chance(w, 0.3) ? 0.005 : 0;
    w->p_load_stuck = sim_chance(w, 0.1) ? 0.01 : 0;
}

static void draw_brokers(sim_world *w) {
    bool for_two = w->variant == SIM_NO_FENCE || w->variant == SIM_NO_FENCE_LOCK || w->variant == SIM_SAME_EPOCH ||
                   w->variant == SIM_NO_PARTS;
    w->brokers = for_two ? 2 : (uint32_t[]){1, 1, 2, 3}[sim_between(w, 0, 3)];
}

/* How fast programs are. In some schedules the clock stands still while one runs. */
static void draw_pace(sim_world *w) {
    static const double hitches[] = {0, 0.001, 0.005};
    w->pace_us = (uint64_t[]){0, 30, 100, 300}[mr_rng_below(&w->pace, 4)];
    w->p_hitch = hitches[mr_rng_below(&w->pace, 3)];
}

static void draw(sim_world *w) {
    w->db.slow = 1;
    w->db.clock_us = INT64_C(100000000000); /* it may jump back by some hours */
    draw_pace(w);
    draw_brokers(w);
    draw_network(w);
    for (uint32_t i = 0; i < SIM_RULES; i++) draw_rule(w, i);
    if (w->brokers > 1 && (w->variant == SIM_NO_PARTS || sim_chance(w, 0.3))) draw_crowd(w);
    for (uint32_t i = 0; i < SIM_SPECS; i++) draw_spec(w, i);
    for (uint32_t i = 0; i < SIM_WORKERS; i++) draw_worker(w, i);
    for (uint32_t i = 0; i < w->brokers; i++) draw_broker(w, i);
    several(w, 4, SIM_LINK_FAULT);
    several(w, 2, SIM_DB_DOWN);
    several(w, 2, SIM_DB_SLOW);
    several(w, 1, SIM_DB_FULL);
    several(w, 4, SIM_DB_KILL);
    if (sim_chance(w, 0.3)) several(w, 3, SIM_DB_CLOCK);
    for (uint32_t i = 0; i < SIM_PROCESSES && sim_chance(w, 0.7); i++)
        sim_at(w, some_time(w, 300, SIM_FAULTS_MS), (sim_item){.kind = SIM_CLOCK_JUMP, .a = (uint32_t)sim_between(w, 0, SIM_PROCESSES - 1)});
    sim_at(w, LOOK_US, (sim_item){.kind = SIM_LOOK});
}

static void people(sim_world *w) {
    static const sim_role roles[] = {SIM_BROKER, SIM_WORKER, SIM_CLIENT};
    static const uint32_t counts[] = {SIM_BROKERS, SIM_WORKERS, SIM_CLIENTS};
    uint32_t n = 0;
    for (uint32_t r = 0; r < 3; r++)
        for (uint32_t i = 0; i < counts[r]; i++, n++)
            w->process[n] = (sim_process){.role = roles[r], .number = n, .index = i, .life = 1};
}

/* ---- the course ---- */

static bool worker_quiet(sim_world *w, uint32_t i) {
    const sim_process *p = sim_worker_process(w, i);
    const sim_worker *me = &w->worker[i];
    if (!p->up || p->dying || p->paused_until > w->now || !me->links || !sim_jobs_quiet(me)) return false;
    for (uint32_t k = 0; k < me->links; k++) {
        mr_link_stats s;
        mr_link_stats_get(me->link[k], &s);
        if (s.items || s.held || !s.open) return false;
    }
    return true;
}

static bool broker_quiet(const sim_world *w, uint32_t i) {
    const sim_process *p = &w->process[i];
    const sim_broker *b = p->program;
    mr_core_stats s;
    if (!p->up || p->dying || p->paused_until > w->now || !b || !b->core) return false;
    mr_core_stats_get(b->core, &s);
    return (!s.loading || b->stuck) && !s.ready && !s.sent && !s.committing && !s.runs;
}

static bool all_quiet(sim_world *w) {
    if (sim_faulty(w) || w->db.down || w->process[SIM_BROKERS + SIM_WORKERS].threads) return false;
    for (uint32_t i = 0; i < SIM_SPECS; i++)
        if (!w->spec[i].run || w->spec[i].ended_life < w->spec[i].life) return false;
    for (uint32_t i = 0; i < SIM_WORKERS; i++)
        if (!worker_quiet(w, i)) return false;
    for (uint32_t i = 0; i < w->brokers; i++)
        if (!broker_quiet(w, i)) return false;
    return true;
}

static bool all_down(const sim_world *w) {
    for (uint32_t i = 0; i < SIM_PROCESSES; i++)
        if (w->process[i].threads) return false;
    return true;
}

static void take(sim_world *w, const sim_item *item) {
    w->report->count[SIM_C_events]++;
    if (item->kind == SIM_RESUME) sim_resume(w, item);
    else if (item->kind == SIM_FRAME_COMES) sim_frame_comes(w, item->p);
    else if (item->kind == SIM_CONNECT) sim_connect(w, item->a);
    else if (item->kind == SIM_LINK_FAULT) sim_link_fault(w, item->a);
    else if (item->kind >= SIM_DB_DOWN && item->kind <= SIM_DB_CLOCK) sim_database_take(w, item);
    else if (item->kind != SIM_LOOK) sim_process_take(w, item);
}

/* What is left where, for who reads a trace. */
static void say_state(const sim_world *w) {
    for (uint32_t i = 0; i < SIM_SPECS; i++) {
        const sim_spec *s = &w->spec[i];
        sim_trace(w, "run %llu: priority %u, %u steps, life %d, ended %d, state %d", (unsigned long long)s->run, s->priority,
                  s->steps, s->life, s->ended_life, (int)s->state);
        for (uint32_t k = 0; k < s->steps; k++) {
            uint32_t rows = 0;
            for (uint32_t l = 0; l < s->step[k].plan.levels; l++)
                for (uint32_t n = 0; n < s->step[k].plan.counts[l]; n++) rows += s->node[k][l][n].rows;
            sim_trace(w, "  step %u, component %u: %u batches, %u rows", k, s->step[k].component, s->step[k].plan.counts[0], rows);
        }
    }
    for (uint32_t i = 0; i < SIM_RULES; i++)
        sim_trace(w, "rule %s: paused %d, %u at once, %g a second", w->rule[i].now.name, w->rule[i].now.paused,
                  w->rule[i].now.max_concurrent, w->rule[i].now.per_second);
    for (uint32_t i = 0; i < w->brokers; i++) {
        const sim_broker *b = w->process[i].program;
        mr_core_stats s = {0};
        if (b && b->core) mr_core_stats_get(b->core, &s);
        sim_trace(w, "broker %u: %u loading, %u ready, %u sent, %u committing, %u waiting, %u runs, %u workers", i, s.loading,
                  s.ready, s.sent, s.committing, s.waiting_retry, s.runs, s.workers);
    }
    for (uint32_t i = 0; i < SIM_WORKERS; i++)
        for (uint32_t k = 0; k < w->worker[i].links; k++) {
            mr_link_stats s;
            mr_link_stats_get(w->worker[i].link[k], &s);
            sim_trace(w, "worker %u: open %d, %u items, %u held, %u granted", i, s.open, s.items, s.held, s.granted);
        }
}

/* Until all is quiet, and what must be so then is looked at. */
static void serve(sim_world *w) {
    sim_item item;
    while (!w->broken && sim_next(w, &item)) {
        take(w, &item);
        if (item.kind != SIM_LOOK) continue;
        sim_check_recovered(w);
        if (all_quiet(w)) break;
        if (sim_ms(w) > SIM_END_MS) say_state(w);
        if (sim_ms(w) > SIM_END_MS) sim_broken(w, "a run did not end, or a worker holds a result for ever");
        sim_at(w, LOOK_US, (sim_item){.kind = SIM_LOOK});
    }
    if (!w->broken) sim_check_end(w);
}

/* All are asked to end, and do so in time; after a fault they are killed. */
static void stop(sim_world *w) {
    sim_item item;
    uint64_t until = w->now + (uint64_t)STOP_MS * 1000;
    w->ending = true;
    for (uint32_t i = 0; i < SIM_PROCESSES; i++) {
        if (w->broken || w->process[i].role == SIM_CLIENT) sim_process_kill(w, &w->process[i]);
        else if (w->process[i].up) sim_process_take(w, &(sim_item){.kind = SIM_TERM, .a = i});
    }
    while (!all_down(w) && sim_next(w, &item)) {
        take(w, &item);
        if (w->now < until) continue;
        sim_broken(w, "processes that were asked to end did not");
        for (uint32_t i = 0; i < SIM_PROCESSES; i++) sim_process_kill(w, &w->process[i]);
        until = SIM_NEVER;
    }
    while (sim_next(w, &item)) /* what is still on its way goes nowhere */
        if (item.kind == SIM_FRAME_COMES) sim_frame_comes(w, item.p);
}

void sim_run(uint64_t seed, sim_variant variant, bool trace, sim_report *out) {
    sim_world *w = calloc(1, sizeof *w);
    MR_ASSERT(w);
    *out = (sim_report){.seed = seed};
    w->variant = variant;
    w->trace = trace;
    w->report = out;
    w->spy = mr_arena_new(NULL, 1 << 22);
    mr_rng_stream(&w->rng, seed, 0x51, 0);
    mr_rng_stream(&w->secrets, seed, 0x52, 0);
    mr_rng_stream(&w->pace, seed, 0x53, 0);
    people(w);
    draw(w);
    sim_enter(w);
    sim_client_begin(w);
    serve(w);
    out->end_ms = sim_ms(w);
    stop(w);
    sim_tasks_free(w);
    sim_database_free(w);
    sim_network_free(w);
    sim_enter(NULL);
    out->ok = !w->broken;
    mr_arena_free(&w->spy);
    free(w->heap);
    free(w);
}
