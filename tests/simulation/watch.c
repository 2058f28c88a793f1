/* watch.c: the checker's own view of what is out and of who goes first: nothing here asks the core. */
#include "tests/simulation/world.h"

#include <stdio.h>
#include <string.h>

bool sim_rule_applies(const sim_world *w, const mr_rule *rule, const mr_work_key *key) {
    const sim_run_row *run = &w->run[key->run - 1];
    char number[24];
    snprintf(number, sizeof number, "%llu", (unsigned long long)key->run);
    return !strcmp(rule->name, rule->of == MR_RULE_COMPONENT ? run->step[key->step].component
                               : rule->of == MR_RULE_CLIENT  ? run->client
                                                             : number);
}

void sim_rule_told(sim_world *w, sim_rule *rule) {
    rule->tokens = 1;
    rule->at_ms = w->now;
}

void sim_not_out(sim_world *w, uint32_t peer, uint64_t attempt) {
    for (uint32_t i = 0; i < w->lives; i++)
        if (w->live[i].peer == peer && (!attempt || w->live[i].attempt == attempt))
            w->live[i--] = w->live[--w->lives];
}

static void check_rate(sim_world *w, sim_rule *r) {
    double earned = (double)(w->now - r->at_ms) / 1000 * r->rule.per_second;
    r->tokens = r->tokens + earned < r->rule.burst ? r->tokens + earned : r->rule.burst;
    r->at_ms = w->now;
    if (r->tokens < 1 - 1e-6) sim_broken(w, "the rate of %s was exceeded", r->rule.name);
    r->tokens--;
}

static void check_rule(sim_world *w, sim_rule *r) {
    uint32_t out = 0;
    for (uint32_t i = 0; i < w->lives; i++) out += sim_rule_applies(w, &r->rule, &w->live[i].key);
    if (r->rule.paused) sim_broken(w, "%s is paused and work of it was sent", r->rule.name);
    if (r->rule.max_concurrent && out > r->rule.max_concurrent)
        sim_broken(w, "%u attempts of %s are out; the limit is %u", out, r->rule.name,
                   r->rule.max_concurrent);
    if (r->rule.per_second > 0) check_rate(w, r);
}

/* ---- priorities ---- */

static bool under_a_rule(const sim_world *w, const mr_work_key *key) {
    for (uint32_t i = 0; i < SIM_RULES; i++)
        if (w->rule[i].set && sim_rule_applies(w, &w->rule[i].rule, key)) return true;
    return false;
}

/* The longest that anybody of this priority has waited since it was served last. */
static uint64_t longest_wait(const sim_world *w, uint32_t priority) {
    uint64_t longest = 0;
    for (uint32_t r = 0; r < SIM_RUNS; r++)
        for (uint32_t s = 0; s < w->run[r].steps && w->run[r].priority == priority && w->run[r].submitted;
             s++) {
            uint64_t since = w->run[r].since_ms;
            for (uint32_t k = 0; k < SIM_RUNS; k++) /* its share: the same component, client and priority */
                if (w->run[k].priority == priority && !strcmp(w->run[k].client, w->run[r].client) &&
                    w->run[k].sent_ms[s] > since)
                    since = w->run[k].sent_ms[s];
            if (w->now - since > longest) longest = w->now - since;
        }
    return longest;
}

static bool offers(const sim_world *w, uint32_t peer, const mr_work_key *key) {
    for (uint32_t i = 0; i < SIM_WORKERS; i++)
        if (w->worker[i].peer == peer)
            return w->worker[i].components >> sim_component_of(&w->run[key->run - 1].step[key->step]) & 1;
    return false;
}

static void check_order(sim_world *w, const mr_action *a) {
    uint32_t priority = w->run[a->key.run - 1].priority;
    for (size_t i = 0; i < w->blobs.count; i++) {
        const sim_handle *h = &w->blobs.item[i];
        if (!h->open || h->sent) continue;
        uint32_t higher = w->run[h->key.run - 1].priority;
        if (higher <= priority || !offers(w, a->peer, &h->key) || under_a_rule(w, &h->key)) continue;
        if (longest_wait(w, priority) / SIM_AGE_MS + priority < higher)
            sim_broken(w, "work of priority %u was sent before ready work of priority %u", priority, higher);
    }
}

void sim_check_send(sim_world *w, const mr_action *a) {
    MR_ASSERT(w->lives < SIM_LIVE);
    check_order(w, a);
    w->blobs.item[a->handle].sent = true;
    w->live[w->lives++] = (sim_live){a->attempt, a->peer, a->key};
    w->run[a->key.run - 1].sent_ms[a->key.step] = w->now;
    for (uint32_t i = 0; i < SIM_RULES; i++)
        if (w->rule[i].set && sim_rule_applies(w, &w->rule[i].rule, &a->key)) check_rule(w, &w->rule[i]);
    if (sim_node_of(w, &a->key)->dead) sim_broken(w, "a batch that was given up was sent again");
}
