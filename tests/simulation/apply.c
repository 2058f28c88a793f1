/* apply.c: what a committed write changes in the tables; nothing comes into one any other way, so here the checker looks. */
#include "tests/simulation/database.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- what a commit changes ---- */

static void apply_result(sim_world *w, const sim_op *op) {
    sim_node *node = sim_node_of(w, &op->key);
    if (node->rows++) sim_broken(w, "a second row for run %llu, step %u, level %u, batch %u",
                                 (unsigned long long)op->key.run, op->key.step, op->key.level, op->key.index);
    const sim_spec *s = sim_spec_of_run(w, op->key.run);
    if (s->stream && op->key.index >= s->tasks) sim_broken(w, "a result was committed before its task");
    if (op->value != node->expected)
        sim_broken(w, "the row of run %llu, step %u, level %u, batch %u is not what the computation gives",
                   (unsigned long long)op->key.run, op->key.step, op->key.level, op->key.index);
    node->value = op->value;
    node->attempt = op->attempt;
}

static void apply_failure(sim_world *w, const sim_op *op) {
    sim_database *d = &w->db;
    sim_node *node = sim_node_of(w, &op->key);
    if (!node) return;
    const sim_spec *s = sim_spec_of_run(w, op->key.run);
    if (s->stream && op->key.index >= s->tasks) sim_broken(w, "a failure was committed before its task");
    if (d->failures == d->failure_cap) {
        d->failure_cap = d->failure_cap ? 2 * d->failure_cap : 64;
        d->failure = realloc(d->failure, d->failure_cap * sizeof *d->failure);
        MR_ASSERT(d->failure);
    }
    d->failure[d->failures++] =
        (sim_failure){.id = op->id, .key = op->key, .attempt = op->attempt, .status = op->status, .dead = op->flag};
    if (!op->flag) return;
    node->dead = true;
    node->dead_of = op->attempt;
}

static void apply_settle(sim_world *w, const sim_op *op) {
    for (uint32_t i = 0; i < w->db.failures; i++) {
        sim_failure *f = &w->db.failure[i];
        if (f->id != op->id) continue;
        if (f->settled) sim_broken(w, "a dead letter was settled twice");
        f->settled = true;
        f->life = op->life;
        sim_node_of(w, &f->key)->dead = false;
    }
}

static void apply_end(sim_world *w, const sim_op *op) {
    sim_spec *s = sim_spec_of_run(w, op->key.run);
    if (s->ended_life >= op->life) sim_broken(w, "run %llu ended twice", (unsigned long long)op->key.run);
    s->ended_life = op->life;
    s->state = op->state;
    if (op->state == MR_RUN_CANCELLED) SIM_COUNT(w, run_cancelled);
    sim_trace(w, "run %llu has ended: %d", (unsigned long long)op->key.run, (int)op->state);
}

static void apply_reopen(sim_world *w, sim_spec *s, const sim_op *op) {
    SIM_COUNT(w, run_replayed);
    if (s->ended_life < s->life) SIM_COUNT(w, replayed_at_once);
    else if (s->state == MR_RUN_CANCELLED) sim_broken(w, "a run that was cancelled was reopened");
    if (op->life != s->life + 1) sim_broken(w, "run %llu began a life twice", (unsigned long long)s->run);
    s->life = op->life;
}

static void apply_run(sim_world *w, const sim_op *op) {
    sim_spec *s = &w->spec[op->index];
    if (s->rows_of_run++) sim_broken(w, "the submission '%u' gave two runs", op->index);
    s->run = op->key.run;
    if ((uint64_t)op->number != s->seed || op->id != s->priority) sim_broken(w, "a run was planned with other arguments");
    memcpy(s->hash, op->hash, sizeof s->hash);
    snprintf(s->client_row, sizeof s->client_row, "%.15s", op->text);
}

static void apply_step(sim_world *w, const sim_op *op) {
    sim_spec *s = sim_spec_of_run(w, op->key.run);
    if (!s) return;
    snprintf(s->step_row[op->index].component, sizeof s->step_row->component, "%s", op->more);
    s->step_row[op->index].version = op->numbers[0];
    s->step_row[op->index].shape = op->numbers[1];
    s->step_row[op->index].columns = op->numbers[2];
    s->step_row[op->index].batch_rows = op->numbers[3];
    s->step_row[op->index].deadline_ms = op->numbers[4];
}

static void apply_lease(sim_world *w, const sim_op *op) {
    sim_lease *l = &w->db.lease[op->index];
    if (op->flag && op->number <= l->epoch) sim_broken(w, "the epoch of partition %u does not rise", op->index);
    l->epoch = op->number;
    l->expires_us = op->until_us;
    snprintf(l->owner, sizeof l->owner, "%s", op->text);
}

static void apply_present(sim_world *w, const sim_op *op) {
    sim_present *b = &w->db.present[op->index];
    snprintf(b->name, sizeof b->name, "%.15s", op->text);
    if (b->instance != op->value) b->sharing = true; /* a row that comes anew */
    b->instance = op->value;
    b->state = (int)op->status;
    b->expires_us = op->until_us;
}

/* The row with the highest number counts, whenever it was committed. */
static void apply_rule(sim_rule *r, const sim_op *op) {
    int64_t *last = op->kind == SIM_OP_PAUSE ? &r->pause_id : &r->limit_id;
    if (op->id < *last) return;
    *last = op->id;
    if (op->kind == SIM_OP_PAUSE) {
        r->now.paused = op->flag;
        return;
    }
    r->now.max_concurrent = op->rule.max_concurrent;
    r->now.per_second = op->rule.per_second;
    r->now.burst = op->rule.burst;
}

void sim_apply(sim_world *w, const sim_op *op) {
    switch (op->kind) {
    case SIM_OP_RESULT: apply_result(w, op); break;
    case SIM_OP_FAILURE: apply_failure(w, op); break;
    case SIM_OP_END: apply_end(w, op); break;
    case SIM_OP_REOPEN:
        apply_reopen(w, sim_spec_of_run(w, op->key.run), op);
        break;
    case SIM_OP_RUN: apply_run(w, op); break;
    case SIM_OP_STEP: apply_step(w, op); break;
    case SIM_OP_LEASE: apply_lease(w, op); break;
    case SIM_OP_PAUSE:
    case SIM_OP_LIMIT: apply_rule(&w->rule[op->index], op); break;
    case SIM_OP_SETTLE: apply_settle(w, op); break;
    case SIM_OP_PRESENT: apply_present(w, op); break;
    case SIM_OP_SHARING: w->db.present[op->index].sharing = op->flag; break;
    case SIM_OP_PART: w->db.present[op->index].part[op->number] = op->part; break;
    case SIM_OP_NOTIFY: sim_notify(w, op->text); break;
    case SIM_OP_PACKET: sim_apply_packet(w, op->index); break;
    case SIM_OP_CLOSE: sim_apply_close(w, op->key.run); break;
    }
}
