/* limit.c: rules of people that hold work back: pauses, limits of concurrency and rates, each for a
 * component, a run or a client. Concurrency is what the lists say. A rate is the generic cell rate algorithm
 * (ITU-T I.371): all that is kept is when the next one would be due if they came evenly, and one may come
 * earlier than that by `burst - 1` intervals. What several brokers keep together is divided among them outside; here
 * each has its part of the slots, the rate and the burst. A run is one broker's, and so is a rule for it. */
#include "broker/core/state.h"

#include <stdio.h>
#include <string.h>

static const double LEAST_PART = 1e-6; /* a second; of the least rate, 1e-4, a hundredth; less is left by rounding */

/* Rounded up: rather a little slower than faster. */
static uint64_t interval_us(const mr_limit *limit) {
    if (limit->per_second <= 0) return 0;
    uint64_t us = (uint64_t)(1e6 / limit->per_second);
    return (double)us * limit->per_second < 1e6 ? us + 1 : us;
}

static uint64_t tolerance_us(const mr_limit *limit) {
    double part = limit->rule.per_second > 0 ? limit->per_second / limit->rule.per_second : 0;
    uint64_t burst = (uint64_t)(limit->rule.burst * part);
    return (burst ? burst - 1 : 0) * interval_us(limit);
}

/* Nothing of it is this broker's. */
static bool has_no_part(const mr_limit *limit) {
    return (limit->rule.max_concurrent && !limit->slots) || (limit->rule.per_second > 0 && limit->per_second <= 0);
}

static bool is_shared(const mr_core *core, const mr_limit *limit) {
    return core->limits_shared && limit->rule.of != MR_RULE_RUN;
}

/* What is saved up, or still to be waited for, stays as many of its kind. Who had no part of the rate waits for its first
 * one: else each broker would send one more whenever a part comes back to it. */
static void give_rate(const mr_core *core, mr_limit *limit, double per_second) {
    uint64_t now = core->now_ms * 1000, due = limit->due_us > now ? limit->due_us : now;
    double saved = -1;
    if (limit->per_second == per_second) return;
    if (limit->per_second > 0)
        saved = ((double)tolerance_us(limit) - (double)(due - now)) / (double)interval_us(limit);
    limit->per_second = per_second;
    double due_in = (double)tolerance_us(limit) - saved * (double)interval_us(limit);
    limit->due_us = now + (due_in > 0 ? (uint64_t)due_in : 0);
}

/* All of it, or what is left of this broker's part when the rule has become less. */
static void settle_part(const mr_core *core, mr_limit *limit) {
    const mr_rule *rule = &limit->rule;
    bool shared = is_shared(core, limit);
    if (!shared || limit->slots > rule->max_concurrent) limit->slots = rule->max_concurrent;
    if (!shared || limit->per_second > rule->per_second) give_rate(core, limit, rule->per_second);
}

static bool applies(const mr_rule *rule, const mr_step *step) {
    char run[24];
    switch (rule->of) {
    case MR_RULE_COMPONENT:
        return !strcmp(rule->name, step->plan.component);
    case MR_RULE_CLIENT:
        return !strcmp(rule->name, step->run->client);
    default:
        snprintf(run, sizeof run, "%llu", (unsigned long long)step->run->id);
        return !strcmp(rule->name, run);
    }
}

void mr_limit_link(const mr_core *core, mr_step *step) {
    memset(step->limit, 0, sizeof step->limit);
    for (uint32_t i = 0; i < core->limits; i++)
        if (applies(&core->limit[i]->rule, step)) step->limit[core->limit[i]->rule.of] = core->limit[i];
}

/* ---- changing ---- */

static mr_status check(const mr_rule *rule, mr_error *err) {
    if (rule->of >= MR_RULES || !rule->name[0] || strnlen(rule->name, MR_NAME_MAX) == MR_NAME_MAX)
        return mr_fail(err, MR_E_INVALID, "a rule needs the name of a component, run or client");
    if (rule->per_second == 0 ||
        (rule->per_second >= 1e-4 && rule->per_second <= 1e6 && rule->burst <= 1000000))
        return MR_OK;
    return mr_fail(err, MR_E_INVALID,
                   "rule %s: a rate is 0.0001 to 1000000 a second, with a burst of at most 1000000",
                   rule->name);
}

static mr_limit *find(const mr_core *core, const mr_rule *rule) {
    for (uint32_t i = 0; i < core->limits; i++)
        if (core->limit[i]->rule.of == rule->of && !strcmp(core->limit[i]->rule.name, rule->name))
            return core->limit[i];
    return NULL;
}

static mr_status make(mr_core *core, mr_limit **out, mr_error *err) {
    if (core->limits == MR_RULES_MAX)
        return mr_fail(err, MR_E_LIMIT, "there are %d rules; remove some", MR_RULES_MAX);
    void *grown = mr_room(core, core->limit, &core->limit_cap, core->limits + 1);
    if (grown) core->limit = grown;
    *out = grown ? mr_new(core->config.mem, 1, sizeof **out) : NULL;
    if (!*out) return mr_fail(err, MR_E_MEMORY, "no memory for a rule");
    core->limit[core->limits++] = *out;
    return MR_OK;
}

static void drop(mr_core *core, mr_limit *limit) {
    for (uint32_t i = 0; i < core->limits; i++)
        if (core->limit[i] == limit) core->limit[i--] = core->limit[--core->limits];
    mr_free(core->config.mem, limit, 1, sizeof *limit);
}

/* Inputs that the new rule may hold up would keep others from loading: they are given up, and loaded again in
 * time. */
static void unload_ready(mr_core *core, mr_step *step) {
    for (mr_work *w; (w = mr_work_last_of(&step->list[MR_W_READY]));) {
        mr_work_unload(core, w);
        mr_work_move(core, w, MR_W_PENDING, true);
    }
}

static void link_all(mr_core *core) {
    for (uint32_t i = 0; i < core->runs; i++)
        for (uint32_t k = 0; k < core->run[i]->steps; k++) mr_limit_link(core, &core->run[i]->step[k]);
}

mr_status mr_limit_set(mr_core *core, const mr_rule *rule, mr_error *err) {
    MR_TRY(check(rule, err));
    mr_limit *limit = find(core, rule);
    bool holds = rule->paused || rule->max_concurrent || rule->per_second > 0;
    if (!limit && !holds) return MR_OK;
    if (!limit) MR_TRY(make(core, &limit, err));
    if (!holds) {
        drop(core, limit);
        link_all(core);
        return MR_OK;
    }
    bool same_rate = limit->rule.per_second == rule->per_second && limit->rule.burst == rule->burst;
    limit->rule = *rule;
    /* A new rate begins with one at once and no burst, so that a restart does not add one. */
    settle_part(core, limit);
    if (!same_rate) limit->due_us = core->now_ms * 1000 + tolerance_us(limit);
    link_all(core);
    for (uint32_t i = 0; i < core->lives; i++)
        if (core->live[i]->limit[rule->of] == limit) unload_ready(core, core->live[i]);
    return MR_OK;
}

/* ---- this broker's part ---- */

void mr_limits_share(mr_core *core, bool shared) {
    core->limits_shared = shared;
    for (uint32_t i = 0; i < core->limits; i++) {
        mr_limit *limit = core->limit[i];
        if (is_shared(core, limit)) limit->slots = 0, limit->per_second = 0;
        settle_part(core, limit);
    }
}

void mr_limit_allow(mr_core *core, const mr_allowance *a) {
    mr_rule named = {.of = a->of};
    if (!core->limits_shared || a->of == MR_RULE_RUN) return;
    snprintf(named.name, sizeof named.name, "%s", a->name);
    mr_limit *limit = find(core, &named);
    if (!limit) return; /* taken away meanwhile */
    limit->slots = a->slots;
    give_rate(core, limit, a->per_second < LEAST_PART ? 0 : a->per_second);
    settle_part(core, limit);
}

bool mr_limit_wanted(const mr_core *core, const mr_limit *limit) {
    for (uint32_t i = 0; i < core->lives; i++) {
        const mr_step *step = core->live[i];
        if (step->limit[limit->rule.of] != limit) continue;
        if (step->list[MR_W_SENT].count) return true;
        bool more = step->list[MR_W_READY].count || step->list[MR_W_LOADING].count || mr_step_has_more(step);
        if (more && step->lane->workers && !step->run->leaving && !mr_limit_paused(step)) return true;
    }
    return false;
}

void mr_limits_free(mr_core *core) {
    for (uint32_t i = 0; i < core->limits; i++)
        mr_free(core->config.mem, core->limit[i], 1, sizeof(mr_limit));
    mr_free(core->config.mem, core->limit, core->limit_cap, sizeof *core->limit);
}

/* ---- asking ---- */

bool mr_limit_any(const mr_step *step) {
    for (int i = 0; i < MR_RULES; i++)
        if (step->limit[i]) return true;
    return false;
}

bool mr_limit_paused(const mr_step *step) {
    for (int i = 0; i < MR_RULES; i++)
        if (step->limit[i] && step->limit[i]->rule.paused) return true;
    return false;
}

void mr_limits_count(mr_core *core) {
    for (uint32_t i = 0; i < core->limits; i++) core->limit[i]->sent = core->limit[i]->coming = 0;
    for (uint32_t i = 0; core->limits && i < core->lives; i++) {
        const mr_step *step = core->live[i];
        for (int k = 0; k < MR_RULES; k++) {
            if (!step->limit[k]) continue;
            step->limit[k]->sent += step->list[MR_W_SENT].count;
            step->limit[k]->coming += step->list[MR_W_LOADING].count + step->list[MR_W_READY].count;
        }
    }
}

/* Is there room for one more when `before` others go first? */
static bool room(const mr_core *core, const mr_limit *limit, uint32_t before) {
    const mr_rule *rule = &limit->rule;
    if (rule->paused || has_no_part(limit) || (rule->max_concurrent && limit->sent + before >= limit->slots)) return false;
    uint64_t now = core->now_ms * 1000, due = limit->due_us > now ? limit->due_us : now;
    return due + before * interval_us(limit) <= now + tolerance_us(limit);
}

bool mr_limit_may_send(const mr_core *core, const mr_step *step) {
    for (int i = 0; i < MR_RULES; i++)
        if (step->limit[i] && !room(core, step->limit[i], 0)) return false;
    return true;
}

bool mr_limit_may_load(const mr_core *core, const mr_step *step) {
    for (int i = 0; i < MR_RULES; i++)
        if (step->limit[i] && !room(core, step->limit[i], step->limit[i]->coming)) return false;
    return true;
}

void mr_limit_sent(mr_core *core, mr_step *step) {
    for (int i = 0; i < MR_RULES; i++) {
        mr_limit *limit = step->limit[i];
        if (!limit) continue;
        uint64_t now = core->now_ms * 1000;
        limit->sent++;
        if (limit->coming) limit->coming--;
        limit->due_us = (limit->due_us > now ? limit->due_us : now) + interval_us(limit);
    }
}

void mr_limit_loading(mr_step *step) {
    for (int i = 0; i < MR_RULES; i++)
        if (step->limit[i]) step->limit[i]->coming++;
}

uint64_t mr_limit_due_ms(const mr_step *step) {
    uint64_t due = 0;
    for (int i = 0; i < MR_RULES; i++) {
        const mr_limit *limit = step->limit[i];
        if (!limit || limit->per_second <= 0) continue;
        uint64_t tolerance = tolerance_us(limit);
        uint64_t at = limit->due_us > tolerance ? (limit->due_us - tolerance + 999) / 1000 : 0;
        if (at > due) due = at;
    }
    return due;
}
