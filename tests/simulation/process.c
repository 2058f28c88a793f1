/* process.c: what becomes of simulated processes: started, killed, asked to end, paused, and started again. */
#include "tests/simulation/world.h"

enum { SUPERVISOR_US = 20000000 }; /* who does not end when asked is killed */

/* ---- ends and new beginnings ---- */

void sim_process_ended(sim_world *w, sim_process *p) {
    static const uint64_t longest_ms[] = {[SIM_BROKER] = 3000, [SIM_WORKER] = 5000, [SIM_CLIENT] = 1};
    sim_trace(w, "process %u has ended", p->number);
    p->up = p->dying = false;
    p->paused_until = 0;
    p->life++;
    if (w->ending || p->role == SIM_CLIENT) return;
    sim_at(w, sim_between(w, 20000, longest_ms[p->role] * 1000), (sim_item){.kind = SIM_START, .a = p->number});
}

void sim_process_kill(sim_world *w, sim_process *p) {
    if (!p->up || p->dying) return;
    p->dying = true;
    p->paused_until = 0;
    sim_trace(w, "process %u is killed", p->number);
    sim_network_killed(w, p);
    sim_database_killed(w, p);
    sim_wake_all(w, p);
}

/* ---- what happens to processes ---- */

static void start(sim_world *w, sim_process *p) {
    static void *(*const mains[])(void *) = {[SIM_BROKER] = sim_broker_main, [SIM_WORKER] = sim_worker_main};
    if (p->up || w->ending) return;
    p->up = true;
    p->well_since = w->now;
    p->dying = p->term = p->woken = p->asked = false;
    sim_trace(w, "process %u starts", p->number);
    sim_spawn(w, p, mains[p->role], p, NULL);
}

void sim_process_pause(sim_world *w, sim_process *p) {
    if (!p->up || p->dying || w->now < p->paused_until) return;
    p->paused_until = w->now + sim_between(w, 100000, 6000000);
    p->well_since = p->paused_until;
    if (p->role == SIM_BROKER) SIM_COUNT(w, broker_paused);
    else SIM_COUNT(w, worker_paused);
    sim_trace(w, "process %u is paused", p->number);
}

/* By seconds or by an hour, ahead or back. */
int64_t sim_jump_us(sim_world *w) {
    int64_t us = (int64_t)sim_between(w, 1000000, sim_chance(w, 0.5) ? 10000000 : 3600000000);
    return sim_chance(w, 0.5) ? us : -us;
}

static void jump(sim_world *w, sim_process *p) {
    p->wall_us += sim_jump_us(w);
    SIM_COUNT(w, clock_jumped);
    sim_trace(w, "the clock of process %u jumps to %lld s beside ours", p->number, (long long)p->wall_us / 1000000);
}

static void terminate(sim_world *w, sim_process *p) {
    if (!p->up || p->dying) return;
    if (p->role == SIM_BROKER) SIM_COUNT(w, broker_stopped);
    else SIM_COUNT(w, worker_stopped);
    p->term = p->asked = true;
    sim_at(w, SUPERVISOR_US, (sim_item){.kind = SIM_KILL, .a = p->number, .b = p->life});
    sim_trace(w, "process %u is asked to end", p->number);
    if (p->poller) sim_wake(w, p->poller);
}

static void kill(sim_world *w, sim_process *p) {
    if (!p->up || p->dying) return;
    if (p->role == SIM_BROKER) SIM_COUNT(w, broker_killed);
    else SIM_COUNT(w, worker_killed);
    sim_process_kill(w, p);
}

void sim_process_take(sim_world *w, const sim_item *item) {
    sim_process *p = &w->process[item->a];
    switch (item->kind) {
    case SIM_START: start(w, p); break;
    case SIM_KILL:
        if (!item->b || item->b == p->life) kill(w, p);
        break;
    case SIM_TERM: terminate(w, p); break;
    case SIM_PAUSE: sim_process_pause(w, p); break;
    case SIM_CLOCK_JUMP: jump(w, p); break;
    default:
        if (p->life == item->b && p->poller) sim_wake(w, p->poller);
        break;
    }
}
