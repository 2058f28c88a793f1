/* broker.c: millrace-broker from its main loop on, and the rows that its loader reads. */
#include "broker/io/broker.h"

#include "broker/io/window.h"
#include "tests/simulation/world.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* ---- a broker ---- */

static void settle_broker(sim_world *w, mr_broker *b, uint32_t index) {
    mr_broker_settings *s = &b->settings;
    mr_option_defaults(mr_broker_options, s);
    s->age_ms = SIM_AGE_MS;
    s->watchdog_s = w->variant == SIM_NO_WATCHDOG ? 0 : 4;
    s->heartbeat_ms = 400;
    s->lost_after_ms = w->variant == SIM_DEAF_TO_GONE ? 40000 : SIM_LOST_MS;
    s->load_ahead = (int64_t)sim_between(w, 1, 8);
    s->max_crashes = 4;
    s->max_timeouts = 4;
    s->retry_base_ms = 50;
    s->retry_max_ms = 1500;
    s->inline_max = (const int64_t[]){0, 64, 65536}[sim_between(w, 0, 2)];
    s->segment_cache_mb = 1;
    s->lease_s = 4;
    s->grace_s = 3;
    snprintf(s->listen, sizeof s->listen, "tcp://127.0.0.1:%u", 7000 + index);
    snprintf(s->events, sizeof s->events, "tcp://127.0.0.1:%u", 8000 + index);
    snprintf(s->name, sizeof s->name, "b%u", index);
    snprintf(s->database_url, sizeof s->database_url, "postgresql://simulated");
    mr_log_init(&b->log, STDOUT_FILENO, w->trace ? MR_LOG_INFO : MR_LOG_OFF, false);
}

void *sim_broker_main(void *arg) {
    sim_world *w = sim_here();
    sim_process *p = arg;
    sim_broker *mine = p->program = calloc(1, sizeof *mine);
    mr_broker *b = mine->program = mr_new(NULL, 1, sizeof *b);
    mr_error err = {0};
    MR_ASSERT(mine && b);
    mr_mem_failing_init(&mine->mem, 0);
    settle_broker(w, b, p->index);
    SIM_COUNT(w, broker_start);
    mr_status s = mr_broker_start(b, &err);
    if (s == MR_OK) s = mr_broker_serve(b, &err);
    sim_trace(w, "broker %u ends: %s", p->index, err.text);
    if (s == MR_E_INTERNAL) sim_process_kill(w, p); /* as its main does: nothing is waited for */
    mr_broker_stop(b);
    mr_free(NULL, b, 1, sizeof *b);
    if (mine->mem.live) sim_broken(w, "the core left %lld allocations behind", (long long)mine->mem.live);
    MR_ASSERT(p->threads == 1);
    free(mine->action);
    free(mine);
    p->program = NULL;
    sim_process_ended(w, p);
    return NULL;
}

void __wrap_mr_peers_forget_idle(mr_peers *p, uint64_t now_ms, uint64_t idle_ms);
void __real_mr_peers_forget_idle(mr_peers *p, uint64_t now_ms, uint64_t idle_ms);
void __wrap_mr_peers_forget_idle(mr_peers *p, uint64_t now_ms, uint64_t idle_ms) {
    mr_peer *peer, *next;
    if (sim_here()->variant != SIM_FORGET_HEARD) {
        __real_mr_peers_forget_idle(p, now_ms, idle_ms);
        return;
    }
    HASH_ITER(by_number, p->by_number, peer, next)
        if (peer->state == MR_SESSION_CLIENT && now_ms - peer->seen_ms > idle_ms) mr_peer_remove(p, peer);
}

/* ---- a broker's rows: a batch of them is its place and nothing else ---- */

/* A read that never comes back: only a new process helps. */
static bool stuck(sim_world *w) {
    if (!sim_faulty(w) || !sim_chance(w, w->p_load_stuck)) return false;
    SIM_COUNT(w, load_stuck);
    ((sim_broker *)sim_self()->program)->stuck = true;
    while (!sim_self()->dying) sim_block(w, SIM_NEVER);
    return true;
}

static sim_node *batch_at(sim_world *w, uint64_t run, uint64_t first) {
    sim_spec *s = sim_spec_of_run(w, run);
    return s ? &s->node[0][0][first / SIM_BATCH_ROWS] : NULL; /* faults of a batch are counted in the first step */
}

mr_status mr_window_segment(mr_window *window, mr_pg *pg, const mr_run_info *info, uint64_t first, uint32_t rows,
                          uint32_t columns, mr_arena *arena, mr_buf *out, mr_error *err) {
    sim_world *w = sim_here();
    sim_node *node = batch_at(w, info->run, first);
    (void)pg;
    (void)arena;
    sim_sleep(w, sim_between(w, 200, 15000));
    if (stuck(w) || sim_self()->dying) return mr_fail(err, MR_E_UNAVAILABLE, "killed");
    if (window->seen) atomic_fetch_add(window->seen, rows);
    if (sim_faulty(w) && sim_chance(w, w->p_load_fails)) {
        SIM_COUNT(w, load_failed);
        bool for_good = node && node->errors + node->loads < 1 && sim_chance(w, 0.05);
        if (!for_good) return mr_fail(err, MR_E_UNAVAILABLE, "the rows cannot be read now");
        node->loads++;
        return mr_fail(err, MR_E_CORRUPT, "the rows are damaged");
    }
    (void)columns;
    return mr_segment_encode(&(mr_batch){.first = first, .rows = rows}, out);
}

void mr_window_free(mr_window *window) { (void)window; }
bool mr_window_awaits(const mr_window *window) { return !window; }
void mr_window_settle(mr_window *window, mr_pg *pg) {
    (void)window;
    (void)pg;
}
