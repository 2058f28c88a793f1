/* shell.c: what broker/io is in the real program: sessions, the loader, the ledger with its table, and
 * restarts. */
#include "tests/simulation/world.h"

#include <stdio.h>
#include <string.h>

enum { ATTEMPTS_A_LIFE = 1 << 13 };

static void pump(sim_world *w);

/* Sometimes the event finds no memory from its n-th allocation on; then it is given again. */
static mr_status starved(sim_world *w, const mr_event *e) {
    if (!sim_chance(w, w->p_starve)) return MR_E_MEMORY;
    w->mem.fail_at = w->mem.count + sim_between(w, 1, 4);
    mr_status status = mr_core_step(w->core, w->now, e, NULL);
    w->mem.fail_at = 0;
    return status;
}

static void event(sim_world *w, mr_event e) {
    mr_error err = {0};
    mr_status status = starved(w, &e);
    if (status == MR_E_MEMORY) status = mr_core_step(w->core, w->now, &e, &err);
    if (status != MR_OK) sim_broken(w, "the core refused an event: %s", err.text);
    pump(w);
}

void sim_core_free(sim_world *w) {
    mr_core_free(&w->core);
    if (w->mem.live) sim_broken(w, "the core left %lld allocations behind", (long long)w->mem.live);
}

/* ---- actions ---- */

static uint32_t worker_of(const sim_world *w, uint32_t peer) {
    uint32_t i = 0;
    while (i < SIM_WORKERS && (w->worker[i].peer != peer || !w->worker[i].up)) i++;
    return i;
}

/* To the process behind that peer; nobody gets it when it is gone. */
static void send(sim_world *w, uint32_t peer, sim_item item) {
    uint32_t worker = worker_of(w, peer);
    item.session = w->sessions[peer];
    if (worker < SIM_WORKERS) sim_to_worker(w, worker, item);
}

static void load(sim_world *w, const mr_action *a) {
    const sim_node *node = sim_node_of(w, &a->key);
    if (node->before)
        sim_broken(w, "%llu/%u/%u/%u was in the table at start and is computed again",
                   (unsigned long long)a->key.run, a->key.step, a->key.level, a->key.index);
    if (w->now < SIM_FAULTS_MS && sim_chance(w, w->p_swallow)) {
        w->swallowed++;
        return;
    }
    sim_at(w, sim_between(w, 1, 40),
           (sim_item){.kind = D_LOADED,
                      .broker_life = w->broker_life,
                      .key = a->key,
                      .work = a->work,
                      .failing = sim_chance(w, w->p_load_fails)});
}

static void send_work(sim_world *w, const mr_action *a) {
    if (a->attempt >= sizeof w->seen_attempts || w->seen_attempts[a->attempt]++)
        sim_broken(w, "attempt %llu was used before", (unsigned long long)a->attempt);
    if (!w->sessions[a->peer]) sim_broken(w, "work for a peer that has no session");
    if (a->handle >= w->blobs.count || !w->blobs.item[a->handle].open)
        sim_broken(w, "work without its input");
    if (w->broken) return;
    sim_check_send(w, a);
    w->report->sent++;
    send(w, a->peer, (sim_item){.kind = W_WORK, .key = a->key, .attempt = a->attempt,
                                .value = w->blobs.item[a->handle].value});
}

static void commit(sim_world *w, const mr_action *a) {
    sim_node *node = sim_node_of(w, &a->key);
    if (node->committing++) sim_broken(w, "two commits of one key at a time");
    uint64_t value = sim_handle_close(w, &w->bodies, a->handle, "body");
    sim_item item = {.kind = D_COMMIT, .broker_life = w->broker_life, .peer = a->peer, .key = a->key,
                     .attempt = a->attempt, .value = value};
    sim_at(w, sim_between(w, 3, 60), item);
    if (w->variant == SIM_ACK_BEFORE_COMMIT)
        send(w, a->peer,
             (sim_item){.kind = W_ACK, .key = a->key, .attempt = a->attempt, .verdict = MR_COMMITTED});
}

static void ack(sim_world *w, const mr_action *a) {
    w->acks_out++;
    if (sim_chance(w, w->p_lose)) return;
    send(w, a->peer, (sim_item){.kind = W_ACK, .key = a->key, .attempt = a->attempt, .verdict = a->verdict});
}

static void act(sim_world *w, const mr_action *a) {
    switch (a->type) {
    case MR_ACT_LOAD: load(w, a); break;
    case MR_ACT_UNLOAD: sim_handle_close(w, &w->blobs, a->handle, "input"); break;
    case MR_ACT_SEND_STEP: send(w, a->peer, (sim_item){.kind = W_STEP, .key = a->key}); break;
    case MR_ACT_SEND_WORK: send_work(w, a); break;
    case MR_ACT_COMMIT: commit(w, a); break;
    case MR_ACT_ACK: ack(w, a); break;
    case MR_ACT_CANCEL_ATTEMPT:
        sim_not_out(w, a->peer, a->attempt);
        send(w, a->peer, (sim_item){.kind = W_CANCEL, .attempt = a->attempt});
        break;
    case MR_ACT_RECORD_FAILURE:
        w->report->retried++;
        if (a->dead)
            sim_at(w, sim_between(w, 3, 60),
                   (sim_item){.kind = D_DEAD, .broker_life = w->broker_life, .key = a->key});
        break;
    case MR_ACT_DROP_BODY: sim_handle_close(w, &w->bodies, a->handle, "body"); break;
    case MR_ACT_STEP_FINISHED: break;
    case MR_ACT_RUN_FINISHED:
        sim_at(
            w, sim_between(w, 3, 60),
            (sim_item){.kind = D_RUN_ENDED, .broker_life = w->broker_life, .key = a->key, .state = a->state});
        break;
    case MR_ACT_WORKER_LOST:
        w->sessions[a->peer] = 0;
        sim_not_out(w, a->peer, 0);
        w->report->lost++;
        break;
    case MR_ACT_STALLED:
        w->report->stalls++;
        if (a->fatal) sim_at(w, 1, (sim_item){.kind = B_CRASH}); /* its supervisor starts it again */
        break;
    }
}

static void pump(sim_world *w) {
    for (mr_action a; !w->broken && mr_core_next_action(w->core, &a);) {
        if (w->trace && a.type == MR_ACT_RUN_FINISHED) printf("         run finished: %s\n", a.text);
        act(w, &a);
    }
}

/* ---- the broker's life ---- */

static void plan_run(sim_world *w, uint64_t id) {
    sim_run_row *run = &w->run[id - 1];
    mr_run_plan plan = {.run = id, .rows = run->rows, .steps = run->steps, .step = run->step,
                        .client = run->client, .priority = w->variant == SIM_NO_PRIORITY ? 100 : run->priority};
    event(w, (mr_event){.type = MR_EV_RUN_PLANNED, .as.plan = &plan});
}

/* What is in the table of a run; the core is told, unless the variant forgets. */
static void tell_done(sim_world *w, uint64_t id) {
    sim_run_row *run = &w->run[id - 1];
    for (uint32_t s = 0; s < run->steps; s++)
        for (uint32_t k = 0; k < run->step[s].levels; k++)
            for (uint32_t i = 0; i < run->step[s].counts[k]; i++) {
                mr_work_key key = {id, s, k, i};
                sim_node *node = sim_node_of(w, &key);
                node->committing = 0;
                node->before = node->rows > 0;
                if (node->before && w->variant != SIM_FORGET_DONE)
                    event(w, (mr_event){.type = MR_EV_DONE_BEFORE, .as.key = key});
            }
}

static void tell_dead(sim_world *w, uint64_t id) {
    sim_run_row *run = &w->run[id - 1];
    for (uint32_t s = 0; s < run->steps && w->variant != SIM_FORGET_DEAD; s++)
        for (uint32_t k = 0; k < run->step[s].levels; k++)
            for (uint32_t i = 0; i < run->step[s].counts[k]; i++) {
                mr_work_key key = {id, s, k, i};
                if (!sim_node_of(w, &key)->dead) continue;
                event(w, (mr_event){.type = MR_EV_DEAD_BEFORE, .as.dead = {.key = key, .status = MR_E_CRASHED}});
            }
}

static void recover_run(sim_world *w, uint64_t id) {
    if (!w->run[id - 1].submitted || w->run[id - 1].ended) return;
    plan_run(w, id);
    tell_done(w, id);
    tell_dead(w, id);
    mr_event_type type = w->run[id - 1].cancelled ? MR_EV_RUN_CANCEL : MR_EV_RUN_OPENED;
    event(w, (mr_event){.type = type, .as.run = id});
}

static void tell_rule(sim_world *w, sim_rule *r) {
    mr_rule rule = {.of = r->rule.of};
    memcpy(rule.name, r->rule.name, sizeof rule.name);
    if (r->set) rule = r->rule;
    if (w->variant == SIM_ONE_MORE && rule.max_concurrent) rule.max_concurrent++;
    if (w->variant == SIM_TWICE_AS_FAST) rule.per_second *= 2;
    sim_rule_told(w, r);
    event(w, (mr_event){.type = MR_EV_RULE, .as.rule = &rule});
}

static void set_rule(sim_world *w, const sim_item *item) {
    if (!w->broker_up || w->database_down) {
        sim_at(w, 500, *item);
        return;
    }
    sim_rule *r = &w->rule[item->rule];
    r->over |= item->failing;
    r->set = !r->over;
    w->report->rules++;
    tell_rule(w, r);
}

static void start(sim_world *w) {
    mr_mem_failing_init(&w->mem, 0);
    mr_core_config config = {.mem = &w->mem.mem,
                             .first_attempt = 1 + w->broker_life * (uint64_t)ATTEMPTS_A_LIFE,
                             .lost_after_ms = SIM_LOST_MS, .load_ahead = (uint32_t)sim_between(w, 0, 8),
                             .max_loads = (uint32_t)sim_between(w, 1, 40), .max_errors = 3, .max_crashes = 4,
                             .retry_base_ms = 50, .retry_max_ms = 1500, .seed = w->now,
                             .age_ms = SIM_AGE_MS,
                             .stall_ms = w->variant == SIM_NO_WATCHDOG ? 0 : SIM_STALL_MS};
    if (w->variant == SIM_REUSE_ATTEMPTS) config.first_attempt = 1;
    MR_ASSERT(mr_core_new(&config, &w->core) == MR_OK);
    w->broker_up = true;
    w->broker_life++;
    w->results_in = w->acks_out = 0;
    w->bodies.count = w->blobs.count = 0;
    w->lives = w->swallowed = 0;
    memset(w->sessions, 0, sizeof w->sessions);
    w->report->broker_starts++;
    sim_at(w, 100, (sim_item){.kind = B_TICK, .broker_life = w->broker_life});
    for (uint32_t i = 0; i < SIM_RULES; i++)
        if (w->rule[i].set && w->variant != SIM_FORGET_RULES) tell_rule(w, &w->rule[i]);
    for (uint64_t id = 1; id <= SIM_RUNS; id++) recover_run(w, id);
}

static bool insert(sim_world *w, const sim_item *item) {
    sim_node *node = sim_node_of(w, &item->key);
    if (node->rows && w->variant != SIM_NO_UNIQUE) return false;
    if (node->rows++) sim_broken(w, "a second row for one key");
    node->value = item->value;
    w->report->committed++;
    return true;
}

/* What the ledger was writing is in the table, or it is not. */
static void crash(sim_world *w) {
    if (!w->broker_up) return;
    for (size_t i = 0; i < w->items; i++)
        if (w->heap[i].kind == D_COMMIT && w->heap[i].broker_life == w->broker_life && !w->database_down &&
            sim_chance(w, 0.5))
            insert(w, &w->heap[i]);
    sim_core_free(w);
    w->broker_up = false;
    w->broker_life++;
    sim_at(w, sim_between(w, 50, 3000), (sim_item){.kind = B_START});
}

static void submit(sim_world *w, const sim_item *item) {
    if (!w->broker_up || w->database_down) {
        sim_at(w, 500, *item);
        return;
    }
    w->run[item->key.run - 1].submitted = true;
    w->run[item->key.run - 1].since_ms = w->now;
    plan_run(w, item->key.run);
    event(w, (mr_event){.type = MR_EV_RUN_OPENED, .as.run = item->key.run});
}

static void cancel(sim_world *w, const sim_item *item) {
    sim_run_row *run = &w->run[item->key.run - 1];
    if (run->ended) return;
    if (!w->broker_up || w->database_down || !run->submitted) {
        sim_at(w, 500, *item);
        return;
    }
    run->cancelled = true;
    event(w, (mr_event){.type = MR_EV_RUN_CANCEL, .as.run = item->key.run});
}

/* What was given up is healed and tried again: the run goes on where it was. */
static void replay(sim_world *w, const sim_item *item) {
    sim_run_row *run = &w->run[item->key.run - 1];
    if (!w->broker_up || w->database_down) {
        sim_at(w, 500, *item);
        return;
    }
    run->replay = run->ended = run->poisoned = false;
    for (uint32_t s = 0; s < run->steps; s++)
        for (uint32_t k = 0; k < run->step[s].levels; k++)
            for (uint32_t i = 0; i < run->step[s].counts[k]; i++)
                run->node[s][k][i].dead = run->node[s][k][i].poison = false;
    w->report->replays++;
    recover_run(w, item->key.run);
}

/* ---- messages ---- */

static void hello(sim_world *w, const sim_item *item) {
    mr_offer offer[SIM_COMPONENTS] = {0};
    uint32_t offers = 0;
    for (uint32_t c = 0; c < SIM_COMPONENTS; c++) {
        if (!(w->worker[item->worker].components >> c & 1)) continue;
        snprintf(offer[offers].name, sizeof offer[offers].name, "c%u", c);
        offer[offers++].version = 1;
    }
    w->sessions[item->peer] = ++w->next_session;
    sim_not_out(w, item->peer, 0);
    send(w, item->peer, (sim_item){.kind = W_WELCOME});
    event(w, (mr_event){.type = MR_EV_WORKER_JOINED, .peer = item->peer,
                        .as.joined = {.name = "w", .slots = w->worker[item->worker].slots, .offers = offers,
                                      .offer = offer}});
}

static void result(sim_world *w, const sim_item *item) {
    w->results_in++;
    if (w->sessions[item->peer]) sim_not_out(w, item->peer, item->attempt);
    uint64_t body = sim_handle_new(&w->bodies, item->value, &item->key);
    event(w, (mr_event){.type = MR_EV_RESULT, .peer = item->peer,
                        .as.result = {.attempt = item->attempt, .key = item->key, .status = item->status,
                                      .body = body, .text = item->status ? "it failed" : ""}});
}

static void message(sim_world *w, const sim_item *item) {
    bool known = w->sessions[item->peer] != 0;
    if (!known && item->kind != B_HELLO && item->kind != B_BYE)
        send(w, item->peer, (sim_item){.kind = W_AGAIN});
    if (item->kind == B_HELLO) {
        hello(w, item);
    } else if (item->kind == B_RESULT) {
        result(w, item);
    } else if (item->kind == B_BYE) {
        w->sessions[item->peer] = 0;
        sim_not_out(w, item->peer, 0);
        event(w, (mr_event){.type = MR_EV_PEER_GONE, .peer = item->peer});
    } else if (known && item->kind == B_CREDIT && item->session == w->sessions[item->peer]) {
        event(w, (mr_event){.type = MR_EV_CREDIT, .peer = item->peer, .as.credit = item->amount});
    } else if (known && item->kind == B_RELEASE) {
        sim_not_out(w, item->peer, item->attempt);
        event(w, (mr_event){.type = MR_EV_RELEASE, .peer = item->peer, .as.attempt = item->attempt});
    } else {
        event(w, (mr_event){.type = MR_EV_PEER_SEEN, .peer = item->peer});
    }
}

void sim_broker_take(sim_world *w, const sim_item *item) {
    bool alive = w->broker_up && item->broker_life == w->broker_life;
    if (item->kind == B_START) {
        start(w);
    } else if (item->kind == B_CRASH) {
        crash(w);
    } else if (item->kind == B_SUBMIT) {
        submit(w, item);
    } else if (item->kind == B_CANCEL) {
        cancel(w, item);
    } else if (item->kind == B_RULE) {
        set_rule(w, item);
    } else if (item->kind == B_REPLAY) {
        replay(w, item);
    } else if (alive && item->kind == B_TICK) {
        event(w, (mr_event){.type = MR_EV_TICK});
        sim_at(w, 100, *item);
    } else if (alive) {
        message(w, item);
    }
}

/* ---- the loader and the ledger ---- */

static void loaded(sim_world *w, const sim_item *item) {
    sim_node *node = sim_node_of(w, &item->key);
    mr_status failure = MR_OK;
    if (w->database_down || item->failing) failure = MR_E_UNAVAILABLE;
    if (!failure && node->errors < 2 && sim_chance(w, w->p_load_fails / 20)) {
        node->errors++;
        failure = MR_E_CORRUPT;
    }
    if (failure) {
        event(w, (mr_event){.type = MR_EV_LOAD_FAILED, .as.loaded = {.work = item->work, .status = failure}});
        return;
    }
    uint64_t input = sim_batch_input(&item->key);
    if (item->key.level > 0 && !sim_merge_input(w, &item->key, false, &input))
        sim_broken(w, "a merge was begun before all its children were in the table");
    if (item->key.level > 0 && w->variant == SIM_WRONG_INPUT) input = mr_mix64(input);
    uint64_t blob = sim_handle_new(&w->blobs, input, &item->key);
    event(w, (mr_event){.type = MR_EV_LOADED, .as.loaded = {.work = item->work, .blob = blob}});
}

static void verdict(sim_world *w, const sim_item *item, mr_verdict v) {
    sim_node_of(w, &item->key)->committing--;
    event(w, (mr_event){.type = MR_EV_COMMITTED, .as.committed = {.key = item->key, .attempt = item->attempt,
                                                                  .peer = item->peer, .verdict = v}});
}

static void write_row(sim_world *w, const sim_item *item) {
    if (w->database_down) {
        verdict(w, item, MR_RETRY);
    } else if (sim_chance(w, w->p_unknown)) {
        sim_item later = *item;
        later.kind = D_RESOLVE;
        if (sim_chance(w, 0.5)) insert(w, item);
        sim_at(w, sim_between(w, 20, 500), later);
    } else {
        verdict(w, item, insert(w, item) ? MR_COMMITTED : MR_STALE);
    }
}

/* Reads back, as soon as the database is there. */
static void resolve(sim_world *w, const sim_item *item) {
    if (w->database_down)
        sim_at(w, 200, *item);
    else if (w->variant == SIM_HOPE)
        verdict(w, item, MR_COMMITTED);
    else
        verdict(w, item,
                sim_node_of(w, &item->key)->rows && w->variant != SIM_NO_UNIQUE ? MR_COMMITTED : MR_RETRY);
}

static void end_run(sim_world *w, const sim_item *item) {
    if (w->database_down) {
        sim_at(w, 200, *item);
        return;
    }
    sim_run_row *run = &w->run[item->key.run - 1];
    if (run->ended) sim_broken(w, "a run ended twice");
    run->ended = true;
    run->state = item->state;
    mr_core_run_forget(w->core, item->key.run);
    run->replay = run->state == MR_RUN_FAILED && !run->was_over && sim_chance(w, 0.5);
    run->was_over = true;
    if (run->replay) sim_at(w, sim_between(w, 100, 5000), (sim_item){.kind = B_REPLAY, .key.run = item->key.run});
}

static void bury(sim_world *w, const sim_item *item) {
    if (w->database_down)
        sim_at(w, 200, *item);
    else
        sim_node_of(w, &item->key)->dead = true;
}

void sim_database_take(sim_world *w, const sim_item *item) {
    if (item->kind == D_DOWN) {
        w->database_down = true;
        sim_at(w, sim_between(w, 100, 5000), (sim_item){.kind = D_UP});
    } else if (item->kind == D_UP) {
        w->database_down = false;
    } else if (w->broker_up && item->broker_life == w->broker_life) {
        if (item->kind == D_LOADED) loaded(w, item);
        if (item->kind == D_COMMIT) write_row(w, item);
        if (item->kind == D_RESOLVE) resolve(w, item);
        if (item->kind == D_RUN_ENDED) end_run(w, item);
        if (item->kind == D_DEAD) bury(w, item);
    }
}
