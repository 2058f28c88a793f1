/* world.c: time, chance, what is kept, and the course of one schedule. */
#include "tests/simulation/world.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool sim_chance(sim_world *w, double p) { return mr_rng_unit(&w->rng) < p; }

uint64_t sim_between(sim_world *w, uint64_t low, uint64_t high) {
    return low + mr_rng_below(&w->rng, high - low + 1);
}

/* ---- the agenda: a binary heap by time, then order ---- */

static bool before(const sim_item *a, const sim_item *b) {
    return a->at != b->at ? a->at < b->at : a->order < b->order;
}

static void swap(sim_item *a, sim_item *b) {
    sim_item t = *a;
    *a = *b;
    *b = t;
}

void sim_at(sim_world *w, uint64_t delay, sim_item item) {
    if (w->items == w->cap) {
        w->cap = w->cap ? w->cap * 2 : 256;
        w->heap = realloc(w->heap, w->cap * sizeof *w->heap);
        MR_ASSERT(w->heap);
    }
    item.at = w->now + delay;
    if (!item.order) item.order = ++w->order;
    size_t i = w->items++;
    w->heap[i] = item;
    for (; i > 0 && before(&w->heap[i], &w->heap[(i - 1) / 2]); i = (i - 1) / 2)
        swap(&w->heap[i], &w->heap[(i - 1) / 2]);
}

bool sim_next(sim_world *w, sim_item *out) {
    if (!w->items) return false;
    *out = w->heap[0];
    w->heap[0] = w->heap[--w->items];
    for (size_t i = 0, least;; i = least) {
        least = i;
        for (size_t child = 2 * i + 1; child <= 2 * i + 2 && child < w->items; child++)
            if (before(&w->heap[child], &w->heap[least])) least = child;
        if (least == i) break;
        swap(&w->heap[i], &w->heap[least]);
    }
    w->now = out->at;
    return true;
}

/* ---- reporting ---- */

void sim_broken(sim_world *w, const char *fmt, ...) {
    if (w->broken) return;
    w->broken = true;
    int n = snprintf(w->report->text, sizeof w->report->text, "at %llu ms: ", (unsigned long long)w->now);
    va_list args;
    va_start(args, fmt);
    vsnprintf(w->report->text + n, sizeof w->report->text - (size_t)n, fmt, args);
    va_end(args);
    if (w->trace) printf("BROKEN %s\n", w->report->text);
}

void sim_trace(const sim_world *w, const sim_item *i) {
    static const char *const names[SIM_KINDS] = {
        "B hello", "B credit", "B result", "B release", "B heartbeat", "B bye",
        "W welcome", "W again", "W step", "W work", "W ack", "W cancel",
        "W job done", "W resend", "W beat", "W crash", "W start", "W pause",
        "D loaded", "D commit", "D resolve", "D run ended", "D dead", "D down", "D up",
        "B tick", "B crash", "B start", "B submit", "B cancel", "B rule", "B replay"};
    if (!w->trace || i->kind == B_TICK || i->kind == W_BEAT || i->kind == B_HEARTBEAT) return;
    printf("%8llu %-11s worker=%u session=%u key=%llu/%u/%u/%u attempt=%llu status=%d verdict=%d\n",
           (unsigned long long)i->at, names[i->kind], i->worker, i->session, (unsigned long long)i->key.run,
           i->key.step, i->key.level, i->key.index, (unsigned long long)i->attempt, (int)i->status,
           (int)i->verdict);
}

/* ---- handles ---- */

uint64_t sim_handle_new(sim_handles *h, uint64_t value, const mr_work_key *key) {
    if (h->count == h->cap) {
        h->cap = h->cap ? h->cap * 2 : 256;
        h->item = realloc(h->item, h->cap * sizeof *h->item);
        MR_ASSERT(h->item);
    }
    h->item[h->count] = (sim_handle){.value = value, .key = *key, .open = true};
    return h->count++;
}

uint64_t sim_handle_close(sim_world *w, sim_handles *h, uint64_t handle, const char *what) {
    if (handle >= h->count || !h->item[handle].open) {
        sim_broken(w, "%s %llu was given back twice, or never given", what, (unsigned long long)handle);
        return 0;
    }
    h->item[handle].open = false;
    return h->item[handle].value;
}

/* ---- the computation ---- */

sim_node *sim_node_of(sim_world *w, const mr_work_key *key) {
    return &w->run[key->run - 1].node[key->step][key->level][key->index];
}

uint64_t sim_batch_input(const mr_work_key *key) {
    return mr_mix64(key->run * 1000003 + key->step * 4099 + (uint64_t)key->index + 1);
}

uint64_t sim_compute(uint64_t input) { return mr_mix64(input ^ 0x5eed); }

bool sim_merge_input(sim_world *w, const mr_work_key *key, bool expected, uint64_t *input) {
    uint32_t first, count;
    mr_plan_children(&w->run[key->run - 1].step[key->step], key->level, key->index, &first, &count);
    *input = mr_mix64(count);
    for (uint32_t i = 0; i < count; i++) {
        mr_work_key child = {key->run, key->step, key->level - 1, first + i};
        const sim_node *node = sim_node_of(w, &child);
        if (!expected && !node->rows) return false;
        *input = mr_mix64(*input ^ (expected ? node->expected : node->value));
    }
    return true;
}

uint32_t sim_component_of(const mr_step_plan *step) { return (uint32_t)(step->component[1] - '0'); }

static void expect(sim_world *w, mr_work_key key) {
    uint64_t input = sim_batch_input(&key);
    if (key.level > 0) sim_merge_input(w, &key, true, &input);
    sim_node_of(w, &key)->expected = sim_compute(input);
}

/* ---- what a seed says ---- */

static void draw_run(sim_world *w, uint64_t id) {
    sim_run_row *run = &w->run[id - 1];
    uint32_t batches = (uint32_t)sim_between(w, 1, 90);
    run->rows = (uint64_t)batches * 32 - sim_between(w, 0, 31);
    run->steps = (uint32_t)sim_between(w, 1, SIM_STEPS);
    run->priority = (uint32_t[]){100, 100, 150, 1000}[sim_between(w, 0, 3)];
    snprintf(run->client, sizeof run->client, "k%u", (unsigned)sim_between(w, 0, 1));
    for (uint32_t s = 0; s < run->steps; s++) {
        mr_step_plan *step = &run->step[s];
        *step = (mr_step_plan){.version = 1, .shape = (mr_step_shape)sim_between(w, 0, 2),
                               .deadline_ms = SIM_DEADLINE_MS};
        snprintf(step->component, sizeof step->component, "c%u", s % SIM_COMPONENTS);
        MR_ASSERT(mr_plan_step(run->rows, 32, step, NULL) == MR_OK);
        for (uint32_t k = 0; k < step->levels; k++)
            for (uint32_t i = 0; i < step->counts[k]; i++) expect(w, (mr_work_key){id, s, k, i});
    }
    if (sim_chance(w, 0.15)) {
        uint32_t s = (uint32_t)sim_between(w, 0, run->steps - 1);
        run->poisoned = true;
        run->node[s][0][sim_between(w, 0, run->step[s].counts[0] - 1)].poison = true;
    }
    sim_at(w, sim_between(w, 0, 4000), (sim_item){.kind = B_SUBMIT, .key.run = id});
    if (sim_chance(w, 0.15))
        sim_at(w, sim_between(w, 500, 9000), (sim_item){.kind = B_CANCEL, .key.run = id});
}

static void draw_worker(sim_world *w, uint32_t i) {
    sim_worker *me = &w->worker[i];
    me->slots = (uint32_t)sim_between(w, 1, 6);
    me->components =
        i == 0 ? (1u << SIM_COMPONENTS) - 1 : (uint32_t)sim_between(w, 1, (1u << SIM_COMPONENTS) - 1);
    me->slowness = sim_chance(w, 0.2) ? 10 : 1;
    me->keeps = sim_chance(w, 0.5);
    sim_at(w, sim_between(w, 0, 500), (sim_item){.kind = W_START, .worker = i});
    for (uint64_t n = sim_between(w, 0, 3); n > 0; n--)
        sim_at(w, sim_between(w, 500, SIM_FAULTS_MS), (sim_item){.kind = W_CRASH, .worker = i});
    for (uint64_t n = sim_between(w, 0, 2); n > 0; n--)
        sim_at(w, sim_between(w, 500, SIM_FAULTS_MS), (sim_item){.kind = W_PAUSE, .worker = i});
}

/* Set at some time and taken back at a later one. */
static void draw_rule(sim_world *w, uint32_t i) {
    mr_rule *rule = &w->rule[i].rule;
    /* Each of its own kind or name, so that no two are of the same thing. */
    rule->of = i == 0 ? MR_RULE_RUN : i == 1 ? MR_RULE_CLIENT : MR_RULE_COMPONENT;
    if (rule->of == MR_RULE_RUN)
        snprintf(rule->name, sizeof rule->name, "%u", (unsigned)sim_between(w, 1, SIM_RUNS));
    else if (rule->of == MR_RULE_CLIENT)
        snprintf(rule->name, sizeof rule->name, "k%u", (unsigned)sim_between(w, 0, 1));
    else
        snprintf(rule->name, sizeof rule->name, "c%u", i - 2);
    rule->paused = sim_chance(w, 0.4);
    if (sim_chance(w, 0.5)) rule->max_concurrent = (uint32_t)sim_between(w, 1, 4);
    if (sim_chance(w, 0.4)) {
        rule->per_second = (double)(10 * sim_between(w, 1, 10));
        rule->burst = (uint32_t)sim_between(w, 1, 8);
    }
    if (sim_chance(w, 0.5) || (!rule->paused && !rule->max_concurrent && rule->per_second <= 0)) return;
    uint64_t from = sim_between(w, 0, SIM_FAULTS_MS / 2);
    sim_at(w, from, (sim_item){.kind = B_RULE, .rule = i});
    sim_at(w, from + sim_between(w, 200, SIM_FAULTS_MS / 2), (sim_item){.kind = B_RULE, .rule = i, .failing = true});
}

static void draw(sim_world *w) {
    static const double rates[] = {0, 0.01, 0.05, 0.2};
    double *p[] = {&w->p_lose, &w->p_duplicate, &w->p_error, &w->p_load_fails, &w->p_unknown};
    for (size_t i = 0; i < sizeof p / sizeof *p; i++) *p[i] = rates[sim_between(w, 0, 3)];
    w->p_starve = sim_chance(w, 0.3) ? 0.05 : 0;
    w->p_stuck = sim_chance(w, 0.3) ? 0.005 : 0;
    w->p_swallow = sim_chance(w, 0.2) ? 0.01 : 0;
    for (uint32_t i = 0; i < SIM_RULES; i++) draw_rule(w, i);
    for (uint64_t id = 1; id <= SIM_RUNS; id++) draw_run(w, id);
    for (uint32_t i = 0; i < SIM_WORKERS; i++) draw_worker(w, i);
    sim_at(w, 0, (sim_item){.kind = B_START});
    for (uint64_t n = sim_between(w, 0, 3); n > 0; n--)
        sim_at(w, sim_between(w, 300, SIM_FAULTS_MS), (sim_item){.kind = B_CRASH});
    for (uint64_t n = sim_between(w, 0, 2); n > 0; n--)
        sim_at(w, sim_between(w, 300, SIM_FAULTS_MS), (sim_item){.kind = D_DOWN});
}

/* ---- the end ---- */

static bool all_quiet(const sim_world *w) {
    for (uint32_t i = 0; i < SIM_RUNS; i++)
        if (!w->run[i].ended || w->run[i].replay) return false;
    for (uint32_t i = 0; i < SIM_WORKERS; i++) {
        const sim_worker *me = &w->worker[i];
        if (!me->up || w->now < me->paused_until || me->helds) return false;
        for (uint32_t k = 0; k < SIM_JOBS; k++)
            if (me->job[k].busy) return false;
    }
    mr_core_stats s = {0};
    if (w->broker_up) mr_core_stats_get(w->core, &s);
    return w->broker_up && !w->database_down && w->now > SIM_FAULTS_MS && s.loading <= w->swallowed &&
           !s.ready && !s.sent && !s.committing;
}

static void check_row(sim_world *w, const mr_work_key *key, bool wanted) {
    const sim_node *node = sim_node_of(w, key);
    if (node->rows && node->value != node->expected) sim_broken(w, "a row is not what the computation gives");
    if (wanted && !node->rows)
        sim_broken(w, "run %llu succeeded without the row of %u/%u/%u", (unsigned long long)key->run,
                   key->step, key->level, key->index);
}

static void check_run(sim_world *w, uint64_t id) {
    sim_run_row *run = &w->run[id - 1];
    if (run->state == MR_RUN_SUCCEEDED && run->poisoned)
        sim_broken(w, "a run with a batch that always fails succeeded");
    if (run->state == MR_RUN_FAILED && !run->poisoned)
        sim_broken(w, "run %llu failed", (unsigned long long)id);
    if (run->state == MR_RUN_CANCELLED && !run->cancelled) sim_broken(w, "a run was cancelled by nobody");
    for (uint32_t s = 0; s < run->steps; s++) {
        bool poison = false;
        for (uint32_t i = 0; i < run->step[s].counts[0]; i++) poison |= run->node[s][0][i].poison;
        for (uint32_t k = 0; k < run->step[s].levels; k++)
            for (uint32_t i = 0; i < run->step[s].counts[k]; i++) {
                bool map = run->step[s].shape == MR_STEP_MAP && !run->node[s][k][i].poison;
                bool wanted = run->state != MR_RUN_CANCELLED && (!poison || map);
                check_row(w, &(mr_work_key){id, s, k, i}, wanted);
            }
    }
}

static void check_end(sim_world *w) {
    for (uint64_t id = 1; id <= SIM_RUNS; id++) check_run(w, id);
    mr_core_stats s;
    mr_core_stats_get(w->core, &s);
    if (s.loading > w->swallowed || w->lives || s.ready || s.sent || s.committing || s.waiting_retry || s.runs)
        sim_broken(w, "slots leak: %u loading, %u ready, %u sent, %u committing, %u waiting, %u runs",
                   s.loading, s.ready, s.sent, s.committing, s.waiting_retry, s.runs);
    for (size_t i = 0; i < w->blobs.count; i++)
        if (w->blobs.item[i].open) sim_broken(w, "an input was never unloaded");
    for (size_t i = 0; i < w->bodies.count; i++)
        if (w->bodies.item[i].open) sim_broken(w, "a body was neither committed nor dropped");
    if (w->results_in != w->acks_out)
        sim_broken(w, "%llu results, %llu answers", (unsigned long long)w->results_in,
                   (unsigned long long)w->acks_out);
}

static void take(sim_world *w, const sim_item *item) {
    sim_trace(w, item);
    if (item->kind >= W_WELCOME && item->kind <= W_PAUSE)
        sim_worker_take(w, item);
    else if (item->kind >= D_LOADED && item->kind <= D_UP)
        sim_database_take(w, item);
    else
        sim_broker_take(w, item);
}

void sim_run(uint64_t seed, sim_variant variant, bool trace, sim_report *out) {
    sim_world *w = calloc(1, sizeof *w);
    MR_ASSERT(w);
    *out = (sim_report){.seed = seed};
    w->variant = variant;
    w->trace = trace;
    w->report = out;
    mr_rng_stream(&w->rng, seed, 0x51, 0);
    draw(w);
    sim_item item;
    while (!w->broken && sim_next(w, &item)) {
        out->events++;
        take(w, &item);
        if (all_quiet(w)) break;
        if (w->now > SIM_END_MS) sim_broken(w, "a run did not end, or a worker holds a result for ever");
    }
    if (!w->broken) check_end(w);
    out->end_ms = w->now;
    sim_core_free(w);
    out->ok = !w->broken;
    free(w->heap);
    free(w->bodies.item);
    free(w->blobs.item);
    free(w);
}
