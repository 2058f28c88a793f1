/* part.c: the loop's side of limits that several brokers keep together (divide.h): what the core uses is told, what it may
 * use comes back. Whoever has lost leases trusts nothing that it was allowed before. */
#include "broker/io/broker.h"

#include "broker/io/divide.h"

#include <stdio.h>

static void share_limits(mr_broker *b, bool shared) {
    mr_event e = {.type = MR_EV_LIMITS_SHARED, .as.shared = shared};
    b->limits_shared = shared;
    mr_broker_event(b, &e);
}

void mr_broker_distrust_limits(mr_broker *b) {
    b->limits_trust++;
    share_limits(b, true);
}

static uint32_t count_divided(const mr_broker *b) {
    mr_rule_view v;
    uint32_t n = 0;
    for (uint32_t i = 0; mr_core_rule_at(b->core, i, &v); i++)
        n += v.rule->of != MR_RULE_RUN && (v.rule->max_concurrent || v.rule->per_second > 0);
    return n;
}

static void add(mr_divide_job *job, const mr_rule_view *v) {
    const mr_rule *rule = v->rule;
    if (rule->of == MR_RULE_RUN || (!rule->max_concurrent && rule->per_second <= 0) || job->count == job->cap) return;
    mr_divided *d = &job->item[job->count++];
    *d = (mr_divided){.of = rule->of, .max_concurrent = rule->max_concurrent, .per_second = rule->per_second,
                      .wanted = v->wanted, .used_slots = v->slots > v->sent ? v->slots : v->sent, .used_rate = v->per_second};
    snprintf(d->name, sizeof d->name, "%s", rule->name);
    if (!rule->max_concurrent) d->used_slots = 0;
}

static void apply(mr_broker *b, const mr_divide_job *job) {
    if (job->shared != b->limits_shared) share_limits(b, job->shared);
    for (uint32_t i = 0; job->shared && i < job->count; i++) {
        const mr_divided *d = &job->item[i];
        mr_event e = {.type = MR_EV_ALLOWANCE};
        e.as.allowance = (mr_allowance){.of = d->of, .name = d->name, .slots = d->slots, .per_second = d->rate};
        mr_broker_event(b, &e);
    }
}

static void divided(mr_broker *b, mr_job *head) {
    mr_divide_job *job = (mr_divide_job *)head;
    b->limits_asked = false;
    if (head->status == MR_OK && job->trust == b->limits_trust && b->phase != MR_STOPPED) apply(b, job);
    mr_divide_job_free(job);
}

static mr_divide_job *ask(mr_broker *b, uint32_t n) {
    mr_divide_job *job = mr_divide_job_new(n);
    mr_rule_view v;
    if (!job) return NULL;
    job->owner = b->lease.owner;
    job->trust = b->limits_trust;
    for (uint32_t i = 0; mr_core_rule_at(b->core, i, &v); i++) add(job, &v);
    return job;
}

void mr_broker_divide_limits(mr_broker *b) {
    bool others = atomic_load(&b->lease.others) > 0;
    uint32_t n = count_divided(b);
    if (b->limits_asked || (others == b->limits_shared && (!others || !n))) return;
    mr_divide_job *job = ask(b, n);
    if (!job) return;
    job->head.done = divided;
    b->limits_asked = true;
    mr_desk_give(&b->keeper, &job->head);
}

mr_status mr_broker_first_part(mr_broker *b, mr_pg *pg, mr_error *err) {
    share_limits(b, true);
    mr_divide_job *job = ask(b, count_divided(b));
    if (!job) return mr_fail(err, MR_E_MEMORY, "no memory to start with");
    mr_status s = mr_divide(pg, job, err);
    if (s == MR_OK) apply(b, job);
    if (s == MR_E_FULL) s = MR_OK; /* another starts just now; it is asked again soon */
    mr_divide_job_free(job);
    return s;
}
