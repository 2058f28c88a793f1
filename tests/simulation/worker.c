/* worker.c: a simulated worker: computes, keeps each result until it is acknowledged, and is crashed, paused,
 * slowed. */
#include "tests/simulation/world.h"

#include <string.h>

/* The link keeps order; a message may be late, and everything behind it with it. */
static uint64_t arrival(sim_world *w, uint64_t *last, uint64_t *stalled) {
    uint64_t at = w->now + sim_between(w, 1, 20);
    if (sim_chance(w, 0.0005)) *stalled = w->now + sim_between(w, 100, 4000);
    if (at < *stalled) at = *stalled;
    if (at < *last) at = *last;
    *last = at;
    return at - w->now;
}

void sim_to_broker(sim_world *w, uint32_t worker, sim_item item) {
    sim_worker *me = &w->worker[worker];
    if (!w->broker_up) return;
    item.worker = worker;
    item.broker_life = w->broker_life;
    item.life = me->life;
    item.peer = item.peer ? item.peer : me->peer;
    item.session = me->session;
    sim_at(w, arrival(w, &me->up_last, &me->up_stalled), item);
}

void sim_to_worker(sim_world *w, uint32_t worker, sim_item item) {
    sim_worker *me = &w->worker[worker];
    item.worker = worker;
    item.life = me->life;
    sim_at(w, arrival(w, &me->down_last, &me->down_stalled), item);
}

static void own(sim_world *w, uint32_t worker, uint64_t delay, sim_item item) {
    item.worker = worker;
    item.life = w->worker[worker].life;
    sim_at(w, delay, item);
}

static uint32_t busy(const sim_worker *me) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < SIM_JOBS; i++) n += me->job[i].busy;
    return n;
}

static void give_credit(sim_world *w, uint32_t worker, uint32_t amount) {
    if (!w->worker[worker].has_session || !amount) return;
    w->worker[worker].credit += amount;
    sim_to_broker(w, worker, (sim_item){.kind = B_CREDIT, .amount = amount});
}

static void send_result(sim_world *w, uint32_t worker, const sim_held *h) {
    sim_item item = {
        .kind = B_RESULT, .key = h->key, .attempt = h->attempt, .value = h->value, .status = h->status};
    if (!sim_chance(w, w->p_lose)) sim_to_broker(w, worker, item);
    if (sim_chance(w, w->p_duplicate)) sim_to_broker(w, worker, item);
}

static void welcome(sim_world *w, const sim_item *item) {
    sim_worker *me = &w->worker[item->worker];
    me->has_session = true;
    me->session = item->session;
    me->credit = 0;
    memset(me->knows, 0, sizeof me->knows);
    for (uint32_t i = 0; i < SIM_JOBS; i++) me->job[i].busy &= !me->job[i].stuck;
    give_credit(w, item->worker, me->slots > busy(me) ? me->slots - busy(me) : 0);
    if (w->variant == SIM_NO_RESEND) return;
    for (uint32_t i = 0; i < me->helds; i++) send_result(w, item->worker, &me->held[i]);
}

static void again(sim_world *w, const sim_item *item) {
    w->worker[item->worker].has_session = false;
    sim_to_broker(w, item->worker, (sim_item){.kind = B_HELLO});
}

/* ---- work ---- */

static uint64_t duration(sim_world *w, const sim_worker *me) {
    return (uint64_t)((double)sim_between(w, 3, 150) * me->slowness);
}

static void start_job(sim_world *w, const sim_item *item) {
    sim_worker *me = &w->worker[item->worker];
    uint32_t i = 0;
    while (i < SIM_JOBS && me->job[i].busy) i++;
    MR_ASSERT(i < SIM_JOBS);
    sim_node *node = sim_node_of(w, &item->key);
    bool stuck = node->crashes < 1 && sim_chance(w, w->p_stuck);
    node->crashes += stuck;
    me->job[i] = (sim_job){true, stuck, {item->key, item->attempt, item->value, MR_OK}};
    if (stuck) return; /* loops until it is cancelled, or the session ends */
    own(w, item->worker, duration(w, me), (sim_item){.kind = W_JOB_DONE, .job = i, .attempt = item->attempt});
}

static void take_work(sim_world *w, const sim_item *item) {
    sim_worker *me = &w->worker[item->worker];
    if (!me->has_session || item->session != me->session) return;
    uint64_t run = item->key.run;
    if (!me->credit) sim_broken(w, "worker %u was sent more than its credit", item->worker);
    if (!me->knows[run - 1][item->key.step]) sim_broken(w, "work came before its step");
    if (!(me->components >> sim_component_of(&w->run[run - 1].step[item->key.step]) & 1))
        sim_broken(w, "worker %u was sent what it does not offer", item->worker);
    if (w->broken) return;
    me->credit--;
    if (!sim_chance(w, 0.01)) {
        start_job(w, item);
        return;
    }
    sim_to_broker(w, item->worker, (sim_item){.kind = B_RELEASE, .attempt = item->attempt});
    give_credit(w, item->worker, 1);
}

static mr_status outcome(sim_world *w, const sim_job *job) {
    sim_node *node = sim_node_of(w, &job->work.key);
    if (node->poison) return MR_E_CRASHED;
    if (node->errors < 2 && sim_chance(w, w->p_error)) {
        node->errors++;
        return MR_E_IO;
    }
    if (node->crashes < 2 && sim_chance(w, w->p_error / 4)) {
        node->crashes++;
        return MR_E_CRASHED;
    }
    return MR_OK;
}

static void finish_job(sim_world *w, const sim_item *item) {
    sim_worker *me = &w->worker[item->worker];
    sim_job *job = &me->job[item->job];
    if (!job->busy || job->work.attempt != item->attempt) return;
    MR_ASSERT(me->helds < SIM_HELD);
    sim_held *h = &me->held[me->helds++];
    *h = job->work;
    h->status = outcome(w, job);
    h->value = h->status == MR_OK ? sim_compute(job->work.value) : 0;
    job->busy = false;
    send_result(w, item->worker, h);
    give_credit(w, item->worker, 1);
}

static void cancel_job(sim_world *w, const sim_item *item) {
    sim_worker *me = &w->worker[item->worker];
    for (uint32_t i = 0; i < SIM_JOBS; i++) {
        sim_job *job = &me->job[i];
        if (!job->busy || job->work.attempt != item->attempt || (!job->stuck && sim_chance(w, 0.3))) continue;
        job->busy = false;
        give_credit(w, item->worker, 1);
    }
}

/* ---- answers ---- */

static bool in_table_or_over(sim_world *w, const sim_item *item) {
    const sim_run_row *run = &w->run[item->key.run - 1];
    bool over = run->ended || run->cancelled || run->poisoned || run->was_over;
    return sim_node_of(w, &item->key)->rows > 0 || (item->verdict == MR_STALE && over);
}

static bool same_key(const mr_work_key *a, const mr_work_key *b) {
    return a->run == b->run && a->step == b->step && a->level == b->level && a->index == b->index;
}

static void take_ack(sim_world *w, const sim_item *item) {
    sim_worker *me = &w->worker[item->worker];
    for (uint32_t i = 0; i < me->helds; i++) {
        sim_held *h = &me->held[i];
        if (h->attempt != item->attempt || !same_key(&h->key, &item->key) || item->verdict == MR_RETRY)
            continue;
        if (item->verdict == MR_REFUSED && !w->run[item->key.run - 1].was_over)
            sim_broken(w, "an honest result of a living run was refused");
        if (h->status == MR_OK && item->verdict != MR_REFUSED && !in_table_or_over(w, item))
            sim_broken(w, "a result was acknowledged that is not in the table");
        me->held[i--] = me->held[--me->helds];
    }
}

/* ---- its life ---- */

static void start(sim_world *w, const sim_item *item) {
    sim_worker *me = &w->worker[item->worker];
    if (me->up) return;
    sim_worker before = *me;
    *me = (sim_worker){.up = true, .keeps = before.keeps, .life = before.life + 1, .peer = ++w->next_peer,
                       .slots = before.slots, .components = before.components, .slowness = before.slowness};
    me->helds = before.keeps ? before.helds : 0;
    memcpy(me->held, before.held, me->helds * sizeof *me->held);
    MR_ASSERT(w->next_peer < sizeof w->sessions / sizeof *w->sessions);
    w->report->worker_starts++;
    sim_to_broker(w, item->worker, (sim_item){.kind = B_HELLO});
    own(w, item->worker, 400, (sim_item){.kind = W_BEAT});
    own(w, item->worker, 700, (sim_item){.kind = W_RESEND});
}

static void crash(sim_world *w, const sim_item *item) {
    sim_worker *me = &w->worker[item->worker];
    if (!me->up) return;
    if (sim_chance(w, 0.5)) sim_to_broker(w, item->worker, (sim_item){.kind = B_BYE, .peer = me->peer});
    me->up = false;
    me->life++;
    sim_at(w, sim_between(w, 20, 5000), (sim_item){.kind = W_START, .worker = item->worker});
}

static void beat(sim_world *w, const sim_item *item) {
    bool known = w->worker[item->worker].has_session;
    sim_to_broker(w, item->worker, (sim_item){.kind = known ? B_HEARTBEAT : B_HELLO});
    own(w, item->worker, 400, (sim_item){.kind = W_BEAT});
}

static void resend(sim_world *w, const sim_item *item) {
    sim_worker *me = &w->worker[item->worker];
    for (uint32_t i = 0; i < me->helds && w->variant != SIM_NO_RESEND; i++)
        send_result(w, item->worker, &me->held[i]);
    own(w, item->worker, 700, (sim_item){.kind = W_RESEND});
}

static void pause(sim_world *w, const sim_item *item) {
    sim_worker *me = &w->worker[item->worker];
    if (me->up && w->now >= me->paused_until) me->paused_until = w->now + sim_between(w, 100, 6000);
}

static void take_own(sim_world *w, const sim_item *item) {
    switch (item->kind) {
    case W_WELCOME: welcome(w, item); break;
    case W_AGAIN: again(w, item); break;
    case W_STEP:
        if (item->session == w->worker[item->worker].session)
            w->worker[item->worker].knows[item->key.run - 1][item->key.step] = true;
        break;
    case W_WORK: take_work(w, item); break;
    case W_ACK: take_ack(w, item); break;
    case W_CANCEL: cancel_job(w, item); break;
    case W_JOB_DONE: finish_job(w, item); break;
    case W_RESEND: resend(w, item); break;
    case W_BEAT: beat(w, item); break;
    default: mr_assert_failed("an item of a worker", __FILE__, __LINE__);
    }
}

void sim_worker_take(sim_world *w, const sim_item *item) {
    sim_worker *me = &w->worker[item->worker];
    if (item->kind == W_START) {
        start(w, item);
    } else if (item->kind == W_CRASH) {
        crash(w, item);
    } else if (item->kind == W_PAUSE) {
        pause(w, item);
    } else if (item->life == me->life && me->up) {
        if (w->now < me->paused_until)
            sim_at(w, me->paused_until - w->now, *item);
        else
            take_own(w, item);
    }
}
