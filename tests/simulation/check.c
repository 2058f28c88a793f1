/* check.c: every event and action of every core passes here on its way (-Wl,--wrap), and the end of a schedule. */
#include "broker/io/broker.h"
#include "tests/simulation/world.h"

#include <stdlib.h>
#include <string.h>

#define JOINED (1u << 31)

static sim_broker *my_broker(void) {
    sim_process *p = sim_self();
    return p && p->role == SIM_BROKER && !p->dying ? p->program : NULL;
}

static bool place(sim_world *w, const mr_work_key *key, uint32_t *spec) {
    sim_spec *s = sim_spec_of_run(w, key->run);
    if (!s || !sim_node_of(w, key)) return false;
    *spec = (uint32_t)(s - w->spec);
    return true;
}

/* ---- the computation ---- */

uint64_t sim_bytes(mr_span bytes) {
    uint64_t h = bytes.len;
    for (size_t i = 0; i < bytes.len; i++) h = (h ^ bytes.data[i]) * UINT64_C(0x100000001b3);
    return mr_mix64(h);
}

uint64_t sim_compute(uint64_t input, uint64_t seed, uint32_t component, uint32_t level, uint32_t index) {
    return mr_mix64(input ^ mr_mix64(seed * 31 + component * 7 + level * 3 + (uint64_t)index * 101));
}

static uint64_t segment_bytes(const sim_spec *s, const mr_step_plan *plan, uint32_t index) {
    mr_batch batch = {0};
    mr_buf b;
    mr_plan_range(plan, s->rows, index, &batch.first, &batch.rows);
    mr_buf_init(&b, NULL, 4096);
    MR_ASSERT(mr_segment_encode(&batch, &b) == MR_OK);
    uint64_t bytes = sim_bytes(mr_buf_span(&b));
    mr_buf_free(&b);
    return bytes;
}

static uint64_t partials_bytes(const mr_step_plan *plan, const sim_node *below, uint32_t level, uint32_t index) {
    uint32_t first, count;
    mr_buf b;
    mr_plan_children(plan, level, index, &first, &count);
    mr_buf_init(&b, NULL, 65536);
    mr_pack_array(&b, count);
    for (uint32_t i = 0; i < count; i++)
        mr_pack_bin(&b, (mr_span){(const uint8_t *)&below[first + i].expected, sizeof below->expected});
    uint64_t bytes = sim_bytes(mr_buf_span(&b));
    mr_buf_free(&b);
    return bytes;
}

static uint64_t input_of(const sim_spec *s, uint32_t step, uint32_t level, uint32_t index) {
    const mr_step_plan *plan = &s->step[step].plan;
    return level ? partials_bytes(plan, s->node[step][level - 1], level, index) : segment_bytes(s, plan, index);
}

void sim_expect(sim_world *w, uint32_t spec) {
    sim_spec *s = &w->spec[spec];
    for (uint32_t i = 0; i < s->steps && !s->stream; i++) /* of a task when it is stored */
        for (uint32_t l = 0; l < s->step[i].plan.levels; l++)
            for (uint32_t k = 0; k < s->step[i].plan.counts[l]; k++)
                s->node[i][l][k].expected = sim_compute(input_of(s, i, l, k), s->seed, s->step[i].component, l, k);
}

/* ---- attempts ---- */

/* Numbers are drawn in blocks of 2^32, of which only the beginning is ever used here. */
sim_attempt *sim_attempt_of(sim_world *w, uint64_t attempt) {
    enum { IN_A_BLOCK = 2048 };
    uint64_t block = attempt >> 32, n = attempt & UINT32_MAX;
    return block * IN_A_BLOCK + n < SIM_ATTEMPTS && n < IN_A_BLOCK ? &w->attempt[block * IN_A_BLOCK + n] : NULL;
}

void sim_check_job(sim_world *w, const sim_worker *me, const sim_job *job, uint64_t input) {
    const sim_attempt *a = sim_attempt_of(w, job->attempt);
    if (!a || !a->used) {
        sim_broken(w, "a worker works at attempt %llx, which no broker made", (unsigned long long)job->attempt);
        return;
    }
    const mr_work_key *key = &a->key;
    const sim_spec *s = sim_spec_of_run(w, key->run);
    const sim_step *step = &s->step[key->step];
    bool same = job->level == key->level && job->index == key->index && job->seed == s->seed &&
                job->component == step->component && job->last == (key->level + 1 == step->plan.levels);
    if (!same) sim_broken(w, "attempt %llx came to the worker as something else", (unsigned long long)job->attempt);
    if (!(me->components >> step->component & 1)) sim_broken(w, "a worker was sent what it does not offer");
    if (s->stream && !sim_is_task(s, input))
        sim_broken(w, "attempt %llx came with a task that nobody sent", (unsigned long long)job->attempt);
    if (s->stream) return; /* the task may have been lost with its broker; then nothing comes of the attempt */
    if (sim_compute(input, s->seed, step->component, key->level, key->index) !=
        s->node[key->step][key->level][key->index].expected)
        sim_broken(w, "attempt %llx came with another input than its own", (unsigned long long)job->attempt);
}

void sim_check_ack(sim_world *w, const sim_process *from, uint64_t attempt, uint8_t verdict) {
    const sim_attempt *a = sim_attempt_of(w, attempt);
    (void)from;
    if (!a || !a->used) {
        sim_broken(w, "an answer about attempt %llx, which no broker made", (unsigned long long)attempt);
        return;
    }
    if (verdict == MR_RETRY) SIM_COUNT(w, retry);
    if (verdict > MR_STALE || a->status != MR_OK) return;
    const sim_node *node = sim_node_of(w, &a->key);
    const sim_spec *s = sim_spec_of_run(w, a->key.run);
    bool over = s->ended_life >= 0 || s->cancelled || s->poisoned || s->stream; /* of a stream only its owner can tell */
    if (!node->rows && !(verdict == MR_STALE && over))
        sim_broken(w, "the result of attempt %llx was acknowledged and is not in the table", (unsigned long long)attempt);
}

/* ---- events ---- */

static uint32_t bits_of(const mr_event *e) {
    uint32_t bits = JOINED;
    for (uint32_t i = 0; i < e->as.joined.offers; i++) bits |= 1u << (e->as.joined.offer[i].name[1] - '0');
    return bits;
}

static void opened(sim_world *w, sim_broker *b, uint64_t run) {
    sim_spec *s = sim_spec_of_run(w, run);
    if (!s) return;
    uint32_t spec = (uint32_t)(s - w->spec);
    b->since_ms[spec] = b->core_ms;
    memset(b->sent_ms[spec], 0, sizeof b->sent_ms[spec]);
    memcpy(b->before[spec], b->told[spec], sizeof b->before[spec]);
}

/* Other brokers may store results of the run from then on. */
void sim_told_done(sim_world *w, uint64_t run) {
    sim_broker *b = my_broker();
    sim_spec *s = sim_spec_of_run(w, run);
    if (!b || !s) return;
    uint32_t spec = (uint32_t)(s - w->spec);
    for (uint32_t i = 0; i < SIM_STEPS; i++)
        for (uint32_t l = 0; l < SIM_LEVELS; l++)
            for (uint32_t k = 0; k < SIM_NODES; k++) b->told[spec][i][l][k] = s->node[i][l][k].rows > 0;
}

static sim_input *input_at(sim_broker *b, uint64_t blob) {
    for (uint32_t i = 0; i < b->inputs; i++)
        if (b->input[i].loaded && b->input[i].blob == blob) return &b->input[i];
    return NULL;
}

static void load_answered(sim_broker *b, const mr_event *e) {
    for (uint32_t i = 0; i < b->inputs; i++) {
        if (b->input[i].loaded || b->input[i].work != e->as.loaded.work) continue;
        b->input[i].loaded = e->type == MR_EV_LOADED;
        b->input[i].blob = e->as.loaded.blob;
        if (!b->input[i].loaded) b->input[i] = b->input[--b->inputs];
        return;
    }
}

static void verdict(sim_world *w, sim_broker *b, const mr_event *e) {
    const mr_work_key *k = &e->as.committed.key;
    uint32_t spec;
    if (place(w, k, &spec)) b->committing[spec][k->step][k->level][k->index] = false;
    if (e->as.committed.verdict == MR_COMMITTED) SIM_COUNT(w, committed);
}

static uint32_t conn_of(const sim_broker *b, uint32_t number) {
    const mr_peer *peer = mr_peer_numbered(&b->program->peers, number);
    uint32_t conn = 0;
    if (peer) memcpy(&conn, peer->identity + 1, sizeof conn);
    return conn;
}

static void take_actions(sim_world *w, sim_broker *b);

/* What the checker makes of an event that the core is about to get. */
static void event_comes(sim_world *w, sim_broker *b, const mr_event *e) {
    uint32_t *offers = e->peer < SIM_PEERS ? &b->offers[e->peer] : NULL;
    switch (e->type) {
    case MR_EV_WORKER_JOINED:
        sim_not_out(b, e->peer, 0);
        b->joined = true;
        if (offers) *offers = bits_of(e);
        if (offers) b->conn[e->peer] = conn_of(b, e->peer);
        break;
    case MR_EV_PEER_GONE:
        sim_not_out(b, e->peer, 0);
        if (offers) *offers &= ~JOINED;
        break;
    case MR_EV_RESULT:
        SIM_COUNT(w, result);
        b->results++;
        if (offers && *offers & JOINED) sim_not_out(b, e->peer, e->as.result.attempt);
        break;
    case MR_EV_RELEASE:
        SIM_COUNT(w, released);
        sim_not_out(b, e->peer, e->as.attempt);
        break;
    case MR_EV_RUN_OPENED: opened(w, b, e->as.run); break;
    case MR_EV_LOADED:
    case MR_EV_LOAD_FAILED: load_answered(b, e); break;
    case MR_EV_COMMITTED: verdict(w, b, e); break;
    case MR_EV_RULE: sim_rule_told(w, b, e->as.rule); break;
    default: break;
    }
}

mr_status __wrap_mr_core_new(const mr_core_config *config, mr_core **out);
mr_status __real_mr_core_new(const mr_core_config *config, mr_core **out);
typedef mr_status (*taker)(mr_core *, uint64_t, const mr_event *, mr_error *);
mr_status __wrap_mr_core_take(mr_core *core, uint64_t now_ms, const mr_event *event, mr_error *err);
mr_status __real_mr_core_take(mr_core *core, uint64_t now_ms, const mr_event *event, mr_error *err);
mr_status __wrap_mr_core_step(mr_core *core, uint64_t now_ms, const mr_event *event, mr_error *err);
mr_status __real_mr_core_step(mr_core *core, uint64_t now_ms, const mr_event *event, mr_error *err);
void __wrap_mr_core_hand_out(mr_core *core);
void __real_mr_core_hand_out(mr_core *core);
bool __wrap_mr_core_next_action(mr_core *core, mr_action *out);
bool __real_mr_core_next_action(mr_core *core, mr_action *out);

mr_status __wrap_mr_core_new(const mr_core_config *config, mr_core **out) {
    sim_broker *b = my_broker();
    mr_core_config c = *config;
    if (b) c.mem = &b->mem.mem;
    mr_status s = __real_mr_core_new(&c, out);
    if (b && s == MR_OK) b->core = *out;
    return s;
}

static void take_actions(sim_world *w, sim_broker *b);

/* Sometimes the event finds no memory from its n-th allocation on; then it is given again. */
static mr_status starved(sim_world *w, sim_broker *b, taker real, uint64_t now_ms, const mr_event *event) {
    if (!sim_chance(w, w->p_starve)) return MR_E_MEMORY;
    b->mem.fail_at = b->mem.count + sim_between(w, 1, 4);
    mr_status status = real(b->core, now_ms, event, NULL);
    b->mem.fail_at = 0;
    if (status == MR_E_MEMORY) SIM_COUNT(w, no_memory);
    return status;
}

static mr_status take(taker real, mr_core *core, uint64_t now_ms, const mr_event *event, mr_error *err) {
    sim_world *w = sim_here();
    sim_broker *b = w ? my_broker() : NULL;
    if (!b) return real(core, now_ms, event, err);
    if (now_ms > b->core_ms) b->core_ms = now_ms;
    if (w->variant == SIM_DEAF_TO_GONE && event->type == MR_EV_PEER_GONE) return MR_OK;
    event_comes(w, b, event);
    mr_status s = starved(w, b, real, now_ms, event);
    if (s == MR_E_MEMORY) s = real(core, now_ms, event, err);
    if (w->variant == SIM_CREDIT_TWICE && event->type == MR_EV_CREDIT) s = real(core, now_ms, event, err);
    take_actions(w, b);
    if (s != MR_OK) sim_broken(w, "the core refused event %d: %s", (int)event->type, err ? err->text : "");
    return s;
}

mr_status __wrap_mr_core_take(mr_core *core, uint64_t now_ms, const mr_event *event, mr_error *err) {
    return take(__real_mr_core_take, core, now_ms, event, err);
}

mr_status __wrap_mr_core_step(mr_core *core, uint64_t now_ms, const mr_event *event, mr_error *err) {
    return take(__real_mr_core_step, core, now_ms, event, err);
}

void __wrap_mr_core_hand_out(mr_core *core) {
    sim_world *w = sim_here();
    sim_broker *b = w ? my_broker() : NULL;
    __real_mr_core_hand_out(core);
    if (b) take_actions(w, b);
}

/* ---- actions ---- */

static void load(sim_world *w, sim_broker *b, const mr_action *a) {
    const mr_work_key *k = &a->key;
    uint32_t spec;
    SIM_COUNT(w, load);
    MR_ASSERT(b->inputs < SIM_INPUTS);
    b->input[b->inputs++] = (sim_input){.work = a->work, .key = *k};
    if (place(w, k, &spec) && b->before[spec][k->step][k->level][k->index])
        sim_broken(w, "run %llu, step %u, level %u, batch %u was in the table and is computed again",
                   (unsigned long long)k->run, k->step, k->level, k->index);
}

static void unload(sim_world *w, sim_broker *b, const mr_action *a) {
    sim_input *i = input_at(b, a->handle);
    if (!i) sim_broken(w, "an input was given back twice, or never given");
    else *i = b->input[--b->inputs];
}

static void send_work(sim_world *w, sim_broker *b, const mr_action *a) {
    sim_attempt *at = sim_attempt_of(w, a->attempt);
    sim_input *i = input_at(b, a->handle);
    SIM_COUNT(w, sent);
    if (!at) {
        sim_broken(w, "there are too many attempts");
        return;
    }
    if (at->used) sim_broken(w, "attempt %llx was used before", (unsigned long long)a->attempt);
    if (a->peer >= SIM_PEERS || !(b->offers[a->peer] & JOINED)) sim_broken(w, "work for a peer that has no session");
    if (!i) sim_broken(w, "work without its input");
    if (w->broken) return;
    *at = (sim_attempt){.used = true, .key = a->key};
    sim_check_send(w, b, a);
    i->sent = true;
}

static void commit(sim_world *w, sim_broker *b, const mr_action *a) {
    const mr_work_key *k = &a->key;
    uint32_t spec, conn = conn_of(b, a->peer);
    if (!place(w, k, &spec)) return;
    if (b->committing[spec][k->step][k->level][k->index]) sim_broken(w, "two commits of one key at a time");
    b->committing[spec][k->step][k->level][k->index] = true;
    if (w->variant == SIM_ACK_BEFORE_COMMIT && conn) sim_send_ack(w, conn, a->attempt);
}

static void action_goes(sim_world *w, sim_broker *b, const mr_action *a) {
    switch (a->type) {
    case MR_ACT_LOAD: load(w, b, a); break;
    case MR_ACT_UNLOAD: unload(w, b, a); break;
    case MR_ACT_SEND_WORK: send_work(w, b, a); break;
    case MR_ACT_COMMIT: commit(w, b, a); break;
    case MR_ACT_ACK:
        b->answers++;
        if (a->verdict == MR_STALE) SIM_COUNT(w, stale);
        break;
    case MR_ACT_CANCEL_ATTEMPT:
        SIM_COUNT(w, cancelled);
        sim_not_out(b, a->peer, a->attempt);
        break;
    case MR_ACT_RECORD_FAILURE:
        SIM_COUNT(w, failure);
        if (a->dead) SIM_COUNT(w, dead);
        break;
    case MR_ACT_STEP_FINISHED: SIM_COUNT(w, step_finished); break;
    case MR_ACT_RUN_LEFT: break;
    case MR_ACT_RUN_FINISHED: SIM_COUNT(w, run_finished); break;
    case MR_ACT_WORKER_LOST:
        SIM_COUNT(w, worker_lost);
        sim_not_out(b, a->peer, 0);
        if (a->peer < SIM_PEERS) b->offers[a->peer] &= ~JOINED;
        break;
    case MR_ACT_STALLED:
        if (a->fatal) SIM_COUNT(w, stalled_fatal);
        else SIM_COUNT(w, stalled);
        break;
    default: break;
    }
}

/* Looked at when the core gives them out, which is before the shell carries them out. */
static void take_actions(sim_world *w, sim_broker *b) {
    mr_action a;
    while (__real_mr_core_next_action(b->core, &a)) {
        if (b->actions == b->action_cap) {
            b->action_cap = b->action_cap ? 2 * b->action_cap : 64;
            b->action = realloc(b->action, b->action_cap * sizeof *b->action);
            MR_ASSERT(b->action);
        }
        b->action[b->actions++] = a;
        if (!w->broken) action_goes(w, b, &a);
    }
}

bool __wrap_mr_core_next_action(mr_core *core, mr_action *out) {
    sim_broker *b = sim_self() && sim_self()->role == SIM_BROKER ? sim_self()->program : NULL;
    if (!b || b->action_at == b->actions) {
        if (b) b->actions = b->action_at = 0;
        return __real_mr_core_next_action(core, out);
    }
    *out = b->action[b->action_at++];
    return true;
}

/* ---- the end ---- */

static void check_row(sim_world *w, const sim_spec *s, const mr_work_key *k, bool wanted) {
    if (wanted && !s->node[k->step][k->level][k->index].rows)
        sim_broken(w, "run %llu succeeded without the row of %u/%u/%u", (unsigned long long)k->run, k->step, k->level,
                   k->index);
}

static void check_rows(sim_world *w, const sim_spec *s, uint32_t step) {
    const mr_step_plan *plan = &s->step[step].plan;
    bool poison = false, map = plan->shape == MR_STEP_MAP;
    for (uint32_t i = 0; i < plan->counts[0]; i++) poison |= s->node[step][0][i].poison;
    for (uint32_t l = 0; l < plan->levels; l++)
        for (uint32_t i = 0; i < plan->counts[l]; i++) {
            bool wanted = s->state != MR_RUN_CANCELLED && (!poison || (map && !s->node[step][l][i].poison));
            check_row(w, s, &(mr_work_key){s->run, step, l, i}, wanted);
        }
}

static void check_run(sim_world *w, const sim_spec *s) {
    bool poison = s->poisoned && !s->replayed;
    if (s->state == MR_RUN_SUCCEEDED && poison) sim_broken(w, "a run with a batch that always fails succeeded");
    if (s->state == MR_RUN_FAILED && !poison) sim_broken(w, "run %llu failed", (unsigned long long)s->run);
    if (s->state == MR_RUN_CANCELLED && !s->cancelled) sim_broken(w, "a run was cancelled by nobody");
    if (s->stream && s->state != MR_RUN_CANCELLED && (!s->closed || s->tasks != s->step[0].plan.counts[0]))
        sim_broken(w, "run %llu ended before its stream", (unsigned long long)s->run);
    for (uint32_t i = 0; i < s->steps; i++) check_rows(w, s, i);
}

static void check_broker(sim_world *w, const sim_broker *b) {
    mr_core_stats s;
    mr_core_stats_get(b->core, &s);
    if ((s.loading && !b->stuck) || b->lives || s.ready || s.sent || s.committing || s.waiting_retry || s.runs)
        sim_broken(w, "slots leak: %u loading, %u ready, %u sent, %u committing, %u waiting, %u runs, %u out", s.loading,
                   s.ready, s.sent, s.committing, s.waiting_retry, s.runs, b->lives);
    if (b->inputs && !b->stuck) sim_broken(w, "%u inputs were never unloaded", b->inputs);
    if (b->results != b->answers)
        sim_broken(w, "%llu results, %llu answers", (unsigned long long)b->results, (unsigned long long)b->answers);
}

void sim_check_recovered(sim_world *w) {
    const uint64_t longest_us = 5000000;
    for (uint32_t i = 0; i < w->brokers; i++) {
        const sim_process *p = &w->process[i];
        const sim_broker *b = p->program;
        if (!b || p->dying || p->asked || w->now < p->well_since + longest_us) continue;
        for (uint32_t k = 0; k < b->lives; k++) {
            const sim_conn *c = &w->conn[b->conn[b->live[k].peer]];
            if (!c->up && w->now > c->down_us + longest_us)
                sim_broken(w, "attempt %llx is out at a worker that has been gone for 5 s",
                           (unsigned long long)b->live[k].attempt);
        }
    }
}

void sim_check_end(sim_world *w) {
    for (uint32_t i = 0; i < SIM_SPECS; i++) check_run(w, &w->spec[i]);
    for (uint32_t i = 0; i < w->brokers; i++)
        if (w->process[i].program) check_broker(w, w->process[i].program);
}
