/* watch.c: the checker's own view of what is out and of who goes first: nothing here asks the core. */
#include "broker/io/broker.h"
#include "tests/simulation/world.h"

#include <stdio.h>
#include <string.h>

enum { AGREED_US = 3000000 };

static uint32_t spec_of(sim_world *w, uint64_t run) {
    const sim_spec *s = sim_spec_of_run(w, run);
    MR_ASSERT(s);
    return (uint32_t)(s - w->spec);
}

static bool applies(sim_world *w, const mr_rule *rule, const mr_work_key *key) {
    const sim_spec *s = sim_spec_of_run(w, key->run);
    char text[24];
    if (rule->of == MR_RULE_COMPONENT) snprintf(text, sizeof text, "c%u", s->step[key->step].component);
    else if (rule->of == MR_RULE_CLIENT) snprintf(text, sizeof text, "cli@%s", s->client);
    else snprintf(text, sizeof text, "%llu", (unsigned long long)key->run);
    return !strcmp(rule->name, text);
}

static bool holds(const mr_rule *r) { return r->paused || r->max_concurrent || r->per_second > 0; }

static void hold(sim_broker *b, uint32_t i, const mr_rule *rule, uint64_t at_ms, bool told) {
    bool same = b->rule[i].set && (b->rule[i].told || !told) && rule->burst == b->rule[i].rule.burst &&
                !(rule->per_second < b->rule[i].rule.per_second) && !(rule->per_second > b->rule[i].rule.per_second);
    bool as_many = rule->max_concurrent == b->rule[i].rule.max_concurrent;
    b->rule[i].rule = *rule;
    b->rule[i].set = holds(rule);
    if (!same || !as_many) b->rule[i].told_us = sim_here()->now;
    b->rule[i].told = told || (same && b->rule[i].told);
    if (same) return; /* its rate goes on */
    b->rule[i].tokens = 1;
    b->rule[i].at_ms = at_ms;
}

/* What is asked for is what the table says, whatever the core was told. */
void sim_rule_told(sim_world *w, sim_broker *b, const mr_rule *rule) {
    for (uint32_t i = 0; i < SIM_RULES; i++) {
        mr_rule *now = &w->rule[i].now;
        if (now->of != rule->of || strcmp(now->name, rule->name)) continue;
        mr_rule told = *rule;
        if (w->variant == SIM_ONE_MORE || w->variant == SIM_TWICE_AS_FAST) {
            told.max_concurrent = rule->max_concurrent && w->variant == SIM_ONE_MORE ? rule->max_concurrent - 1
                                                                                     : rule->max_concurrent;
            told.per_second = w->variant == SIM_TWICE_AS_FAST ? rule->per_second / 2 : rule->per_second;
        }
        hold(b, i, &told, b->core_ms, true);
    }
}

/* A broker that starts has read the rules now: these hold, told or not. Later it is told of each. */
void sim_check_rules_read(sim_world *w, sim_broker *b) {
    for (uint32_t i = 0; b && !b->joined && i < SIM_RULES; i++)
        if (w->rule[i].now.name[0]) hold(b, i, &w->rule[i].now, sim_ms(w), false);
}

void sim_not_out(sim_broker *b, uint32_t peer, uint64_t attempt) {
    for (uint32_t i = 0; i < b->lives; i++)
        if (b->live[i].peer == peer && (!attempt || b->live[i].attempt == attempt)) b->live[i--] = b->live[--b->lives];
}

static void check_rate(sim_world *w, sim_broker *b, uint32_t i) {
    const mr_rule *rule = &b->rule[i].rule;
    uint64_t now = b->core_ms > b->rule[i].at_ms ? b->core_ms : b->rule[i].at_ms;
    double tokens = b->rule[i].tokens + (double)(now - b->rule[i].at_ms) / 1000 * rule->per_second;
    b->rule[i].tokens = tokens < rule->burst ? tokens : rule->burst;
    b->rule[i].at_ms = now;
    if (b->rule[i].tokens < 1 - 1e-6) sim_broken(w, "the rate of %s was exceeded", rule->name);
    b->rule[i].tokens--;
}

/* Holds leases by its own clock, and has known the rule for long enough to have agreed with the others, in the database. */
static bool takes_part(const sim_world *w, const sim_broker *b, uint32_t i) {
    if (w->db.full || w->db.down || w->now <= w->db.well_us + AGREED_US) return false;
    return b && b->program && atomic_load(&b->program->lease.until_ns) > w->now * 1000 && b->rule[i].told &&
           w->now > b->rule[i].told_us + AGREED_US;
}

/* Of all brokers together no more are out than the limit lets. */
static void check_together(sim_world *w, const sim_broker *b, uint32_t i) {
    const mr_rule *rule = &b->rule[i].rule;
    uint32_t out = 0;
    if (!takes_part(w, b, i) || rule->of == MR_RULE_RUN) return;
    for (uint32_t k = 0; k < w->brokers; k++) {
        const sim_broker *other = w->process[k].program;
        if (!takes_part(w, other, i)) continue;
        for (uint32_t n = 0; n < other->lives; n++) out += applies(w, rule, &other->live[n].key);
    }
    if (out > rule->max_concurrent)
        sim_broken(w, "%u attempts of %s are out at all brokers; the limit is %u", out, rule->name, rule->max_concurrent);
}

/* Each of them may be one ahead of the others, and send one late. */
static void check_rate_together(sim_world *w, const sim_broker *b, uint32_t i) {
    const mr_rule *rule = &b->rule[i].rule;
    sim_rule *r = &w->rule[i];
    double most = rule->burst + 2.0 * w->brokers;
    if (!takes_part(w, b, i) || rule->of == MR_RULE_RUN) return;
    r->tokens = r->begun ? r->tokens + (double)(w->now - r->at_us) / 1e6 * rule->per_second : most;
    if (r->tokens > most) r->tokens = most;
    r->begun = true;
    r->at_us = w->now;
    if (r->tokens < 1 - 1e-6) sim_broken(w, "the rate of %s was exceeded by all brokers together", rule->name);
    r->tokens--;
}

static void check_all(sim_world *w, const sim_broker *b, uint32_t i) {
    const mr_rule *rule = &b->rule[i].rule;
    if (w->brokers == 1 || w->report->count[SIM_C_database_clock_jumped]) return; /* then leases change hands at once */
    if (rule->max_concurrent) check_together(w, b, i);
    if (rule->per_second > 0) check_rate_together(w, b, i);
}

static void check_rule(sim_world *w, sim_broker *b, uint32_t i) {
    const mr_rule *rule = &b->rule[i].rule;
    uint32_t out = 0;
    for (uint32_t k = 0; k < b->lives; k++) out += applies(w, rule, &b->live[k].key);
    if (rule->paused) sim_broken(w, "%s is paused and work of it was sent", rule->name);
    if (rule->max_concurrent && out > rule->max_concurrent)
        sim_broken(w, "%u attempts of %s are out; the limit is %u", out, rule->name, rule->max_concurrent);
    check_all(w, b, i);
    if (rule->per_second > 0) check_rate(w, b, i);
}

/* ---- priorities ---- */

static bool under_a_rule(sim_world *w, const sim_broker *b, const mr_work_key *key) {
    for (uint32_t i = 0; i < SIM_RULES; i++)
        if (b->rule[i].set && applies(w, &b->rule[i].rule, key)) return true;
    return false;
}

/* The longest that anybody of this priority has waited since it was served last. */
static uint64_t longest_wait(const sim_world *w, const sim_broker *b, uint32_t priority) {
    uint64_t longest = 0, now = b->core_ms;
    for (uint32_t r = 0; r < SIM_SPECS; r++)
        for (uint32_t s = 0; s < w->spec[r].steps && w->spec[r].priority == priority && b->since_ms[r]; s++) {
            uint64_t since = b->since_ms[r];
            for (uint32_t k = 0; k < SIM_SPECS; k++) /* its share: the same component, client and priority */
                for (uint32_t t = 0; t < w->spec[k].steps; t++)
                    if (w->spec[k].priority == priority && !strcmp(w->spec[k].client, w->spec[r].client) &&
                        w->spec[k].step[t].component == w->spec[r].step[s].component && b->sent_ms[k][t] > since)
                        since = b->sent_ms[k][t];
            if (now - since > longest) longest = now - since;
        }
    return longest;
}

static bool offers(sim_world *w, const sim_broker *b, uint32_t peer, const mr_work_key *key) {
    const sim_spec *s = sim_spec_of_run(w, key->run);
    return b->offers[peer] >> s->step[key->step].component & 1;
}

static void check_order(sim_world *w, sim_broker *b, const mr_action *a) {
    uint32_t priority = w->spec[spec_of(w, a->key.run)].priority;
    uint64_t waited = UINT64_MAX;
    for (uint32_t i = 0; i < b->inputs; i++) {
        const sim_input *in = &b->input[i];
        if (!in->loaded || in->sent) continue;
        uint32_t higher = w->spec[spec_of(w, in->key.run)].priority;
        if (higher <= priority || !offers(w, b, a->peer, &in->key) || under_a_rule(w, b, &in->key)) continue;
        if (waited == UINT64_MAX) waited = longest_wait(w, b, priority);
        if (waited / SIM_AGE_MS + 1 + priority < higher)
            sim_broken(w, "work of priority %u was sent before ready work of priority %u", priority, higher);
    }
}

void sim_check_send(sim_world *w, sim_broker *b, const mr_action *a) {
    MR_ASSERT(b->lives < SIM_LIVES);
    check_order(w, b, a);
    b->live[b->lives++] = (sim_live){a->attempt, a->peer, a->key};
    b->sent_ms[spec_of(w, a->key.run)][a->key.step] = b->core_ms;
    for (uint32_t i = 0; i < SIM_RULES; i++)
        if (b->rule[i].set && applies(w, &b->rule[i].rule, &a->key)) check_rule(w, b, i);
    const sim_node *node = sim_node_of(w, &a->key);
    if (node->dead && !node->rows) sim_broken(w, "a batch that was given up was sent again");
}
