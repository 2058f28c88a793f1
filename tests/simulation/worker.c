/* worker.c: millrace-worker from its main loop on, and its compute processes, which are simulated here. */
#include "tests/simulation/world.h"
#include "worker/core/link.h"
#include "worker/core/serve.h"
#include "worker/core/slots.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COMPONENT(at, called, formed)                                                                                     \
    [at] = {.name = called, .summary = "a component of the simulator", .kind = MR_ANALYZER, .shape = formed, .tier = 3,   \
            .version = 1, .outputs = outputs, .deadline_ms = SIM_DEADLINE_MS, .memory_mb = 64}

static const mr_field outputs[] = {{0}};
static const mr_component components[SIM_COMPONENTS] = {
    COMPONENT(0, "c0", MR_MAP),
    COMPONENT(1, "c1", MR_MERGE),
    COMPONENT(2, "c2", MR_WHOLE),
    COMPONENT(3, "c3", MR_MERGE),
};

/* ---- a worker ---- */

static const char *levels(const sim_world *w) { return w->trace ? "info" : "off"; }

static void addresses(const sim_world *w, mr_option_list *out) {
    for (; out->count < w->brokers; out->count++)
        snprintf(out->items[out->count], sizeof out->items[0], "tcp://127.0.0.1:%u", 7000 + (unsigned)out->count);
}

void *sim_worker_main(void *arg) {
    sim_world *w = sim_here();
    sim_process *p = arg;
    sim_worker *me = &w->worker[p->index];
    const mr_component *table[SIM_COMPONENTS + 1] = {NULL};
    mr_worker_settings settings = {.threads = me->slots, .credit = (int64_t)sim_between(w, 1, 3), .grace_s = 2,
                                   .held_max = 32, .input_max_mb = 64, .wake_us = -1,
                                   .log_level = levels(w)[0] == 'i' ? MR_LOG_INFO : MR_LOG_OFF};
    mr_error err = {0};
    uint32_t n = 0;
    p->program = me;
    me->links = 0;
    memset(me->job, 0, sizeof me->job);
    for (uint32_t i = 0; i < SIM_COMPONENTS; i++)
        if (me->components >> i & 1) table[n++] = &components[i];
    snprintf(settings.name, sizeof settings.name, "w%u", p->index);
    addresses(w, &settings.broker);
    SIM_COUNT(w, worker_start);
    mr_status s = mr_serve(&settings, table, "simulated", &err);
    if (s != MR_OK && !p->dying) sim_broken(w, "a worker ended: %s", err.text);
    me->links = 0;
    p->program = NULL;
    sim_process_ended(w, p);
    return NULL;
}

mr_status __wrap_mr_link_new(const struct mr_link_config *config, const struct mr_link_port *port, struct mr_link **out,
                             mr_error *err);
mr_status __real_mr_link_new(const struct mr_link_config *config, const struct mr_link_port *port, struct mr_link **out,
                             mr_error *err);

mr_status __wrap_mr_link_new(const struct mr_link_config *config, const struct mr_link_port *port, struct mr_link **out,
                             mr_error *err) {
    mr_status s = __real_mr_link_new(config, port, out, err);
    if (!sim_here()) return s;
    sim_worker *me = sim_self()->program;
    if (s == MR_OK) me->link[me->links++] = *out;
    return s;
}

/* ---- its compute processes ---- */

struct mr_slots {
    sim_worker *me;
    sim_process *process;
    uint32_t count;
};

mr_status mr_slots_new(const mr_slots_config *config, mr_slots **out, mr_error *err) {
    mr_slots *s = calloc(1, sizeof *s);
    (void)err;
    MR_ASSERT(s && config->count <= SIM_SLOTS);
    *s = (mr_slots){.me = sim_self()->program, .process = sim_self(), .count = config->count};
    *out = s;
    return MR_OK;
}

void mr_slots_free(mr_slots **slots) {
    free(*slots);
    *slots = NULL;
}

int mr_slots_fd(const mr_slots *slots) { return sim_fd(slots->process, SIM_FD_SLOTS); }

uint32_t mr_slots_busy(const mr_slots *slots) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < slots->count; i++) n += slots->me->job[i].busy;
    return n;
}

uint32_t mr_slots_idle(const mr_slots *slots) { return slots->count - mr_slots_busy(slots); }

bool sim_jobs_quiet(const sim_worker *me) {
    for (uint32_t i = 0; i < SIM_SLOTS; i++)
        if (me->job[i].busy) return false;
    return true;
}

static void ends_at(sim_world *w, const sim_process *p, sim_job *job, uint64_t at) {
    job->ends_us = at;
    sim_at(w, at - w->now, (sim_item){.kind = SIM_POKE, .a = p->number, .b = p->life});
}

mr_status mr_slots_start(mr_slots *slots, uint64_t now_ns, const mr_slot_job *given, mr_span options, mr_span input,
                         mr_error *err) {
    sim_world *w = sim_here();
    uint32_t i = 0;
    (void)now_ns;
    (void)options;
    (void)err;
    while (i < slots->count && slots->me->job[i].busy) i++;
    if (i == slots->count) return MR_E_FULL;
    sim_job *job = &slots->me->job[i];
    *job = (sim_job){.busy = true, .attempt = given->attempt, .level = given->level, .index = given->index,
                     .last = given->last, .seed = given->seed, .input = sim_bytes(input)};
    for (uint32_t c = 0, n = 0; c < SIM_COMPONENTS; c++)
        if (slots->me->components >> c & 1 && n++ == given->component) job->component = c;
    sim_check_job(w, slots->me, job, job->input);
    if (w->broken) return MR_E_FULL;
    job->key = sim_attempt_of(w, given->attempt)->key;
    sim_node *node = sim_node_of(w, &job->key);
    job->stuck = sim_faulty(w) && node->crashes < 1 && sim_chance(w, w->p_stuck);
    job->deadline_us = w->now + (uint64_t)given->deadline_ms * 1000;
    node->crashes += job->stuck;
    if (job->stuck) SIM_COUNT(w, job_stuck);
    uint64_t end = w->now + (uint64_t)((double)sim_between(w, 3000, 150000) * slots->me->slowness);
    ends_at(w, slots->process, job, job->stuck || end > job->deadline_us ? job->deadline_us : end);
    return MR_OK;
}

void mr_slots_wake(mr_slots *slots) { (void)slots; } /* a job begins by itself */

void mr_slots_stop(mr_slots *slots, uint64_t now_ns, uint64_t attempt, mr_status why) {
    sim_world *w = sim_here();
    (void)now_ns;
    for (uint32_t i = 0; i < slots->count; i++) {
        sim_job *job = &slots->me->job[i];
        if (!job->busy || job->attempt != attempt || (!job->stuck && sim_chance(w, 0.3))) continue; /* it may be quicker */
        job->status = why;
        ends_at(w, slots->process, job, w->now + sim_between(w, 100, 20000));
    }
}

static mr_status outcome(sim_world *w, const sim_job *job) {
    sim_node *node = sim_node_of(w, &job->key);
    if (job->status != MR_OK) return job->status;
    if (w->now >= job->deadline_us) {
        SIM_COUNT(w, deadline);
        return MR_E_DEADLINE;
    }
    if (node->poison && !node->unfit) return MR_E_CRASHED;
    if (sim_faulty(w) && node->errors + node->loads < 1 && sim_chance(w, w->p_error)) {
        SIM_COUNT(w, job_failed);
        node->errors++;
        return MR_E_IO;
    }
    if (sim_faulty(w) && node->crashes < 2 && sim_chance(w, w->p_crash)) {
        SIM_COUNT(w, job_crashed);
        node->crashes++;
        return MR_E_CRASHED;
    }
    return MR_OK;
}

bool mr_slots_next(mr_slots *slots, uint64_t now_ns, mr_slot_done *done, mr_buf *body) {
    sim_world *w = sim_here();
    (void)now_ns;
    for (uint32_t i = 0; i < slots->count; i++) {
        sim_job *job = &slots->me->job[i];
        if (!job->busy || job->ends_us > w->now) continue;
        uint64_t value = sim_compute(job->input, job->seed, job->component, job->level, job->index);
        *done = (mr_slot_done){.attempt = job->attempt, .status = outcome(w, job), .partial = !job->last, .compute_us = 1000,
                               .peak_bytes = 1024};
        if (done->status == MR_OK) {
            mr_buf_put(body, &value, sizeof value);
            done->size = sizeof value;
        } else {
            snprintf(done->text, sizeof done->text, "it failed");
        }
        job->busy = false;
        return true;
    }
    return false;
}

void mr_slots_progress(const mr_slots *slots, void (*tell)(void *self, uint64_t attempt, double done), void *self) {
    for (uint32_t i = 0; i < slots->count; i++)
        if (slots->me->job[i].busy) tell(self, slots->me->job[i].attempt, 0.5);
}
