/* tables.c: the simulated database's statements, by name, each as its SQL says. */
#include "tests/simulation/database.h"

#include "broker/io/lease.h"
#include "tests/simulation/values.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- finding ---- */

sim_spec *sim_spec_of_run(sim_world *w, uint64_t run) {
    for (uint32_t i = 0; i < SIM_SPECS; i++)
        if (run && w->spec[i].run == run) return &w->spec[i];
    return NULL;
}

sim_node *sim_node_of(sim_world *w, const mr_work_key *key) {
    sim_spec *s = sim_spec_of_run(w, key->run);
    if (!s || key->step >= s->steps || key->level >= SIM_LEVELS || key->index >= SIM_NODES) return NULL;
    return &s->node[key->step][key->level][key->index];
}

static uint64_t row_lock(const mr_work_key *k) {
    return mr_mix64(k->run * 0x9e3779b97f4a7c15u ^ (uint64_t)k->step << 40 ^ (uint64_t)k->level << 36 ^ k->index) | 1;
}

/* LOCK_RUN: the run's row, LOCK_END: the unique index of its ends. */
enum { LOCK_LEASE = 2, LOCK_SUBMIT = 1000, LOCK_END = 2000, LOCK_RUN = 3000, LOCK_FAILURE = 4000 };

static const sim_op *pending(mr_pg *pg, sim_op_kind kind, const mr_work_key *key) {
    const sim_transaction *t = sim_transaction_of(pg);
    for (size_t i = 0; i < t->ops; i++)
        if (t->op[i].kind == kind && (!key || !memcmp(&t->op[i].key, key, sizeof *key))) return &t->op[i];
    return NULL;
}

/* ---- leases ---- */

static mr_status deadlock(mr_pg *pg) { return sim_refuse(pg, MR_E_CONFLICT, "40P01"); }

static mr_status lease_take(sim_world *w, mr_pg *pg, const mr_pg_params *p, mr_pg_result **out) {
    char owner[128];
    uint32_t held = 0;
    int row = 0;
    int64_t most = sim_p_int(p, 3);
    sim_items not_these = sim_array(p, 2);
    sim_p_text(p, 0, owner, sizeof owner);
    for (uint32_t i = 0, n = not_these.count; i < n; i++) held |= 1u << sim_next_int(&not_these);
    *out = sim_result_of(2, (const unsigned[]){OID_INT8, OID_INT8}, 0);
    for (uint32_t i = 0; i < MR_PARTITIONS && row < most; i++) {
        sim_lease *l = &w->db.lease[i];
        uint64_t now = sim_database_now(w);
        if (held >> i & 1 || (l->owner[0] && l->expires_us >= now)) continue;
        if (!sim_try_lock_row(w, pg, LOCK_LEASE + i * 2)) continue;
        sim_op *op = sim_do(pg, SIM_OP_LEASE);
        op->index = i;
        op->number = w->variant == SIM_SAME_EPOCH && l->epoch ? l->epoch : l->epoch + 1;
        op->flag = true;
        if (l->owner[0] && strcmp(l->owner, owner)) SIM_COUNT(w, lease_taken_over);
        op->until_us = now + (uint64_t)(sim_p_float(p, 1) * 1e6);
        snprintf(op->text, sizeof op->text, "%s", owner);
        sim_set_int(*out, row, 0, i);
        sim_set_int(*out, row++, 1, op->number);
    }
    return MR_OK;
}

static mr_status lease_free_own(sim_world *w, mr_pg *pg, const mr_pg_params *p, mr_pg_result **out) {
    char owner[128];
    uint32_t held = 0;
    uint64_t n = 0;
    sim_items but_these = sim_array(p, 1);
    sim_p_text(p, 0, owner, sizeof owner);
    for (uint32_t i = 0, count = but_these.count; i < count; i++) held |= 1u << sim_next_int(&but_these);
    for (uint32_t i = 0; i < MR_PARTITIONS; i++) {
        if (held >> i & 1 || strcmp(w->db.lease[i].owner, owner)) continue;
        if (!sim_lock_row(w, pg, LOCK_LEASE + i * 2, false)) return deadlock(pg);
        if (strcmp(w->db.lease[i].owner, owner)) continue;
        sim_op *op = sim_do(pg, SIM_OP_LEASE);
        op->index = i;
        op->number = w->db.lease[i].epoch;
        n++;
    }
    return sim_changed(out, n);
}

static mr_status lease_block(sim_world *w, mr_pg *pg, const mr_pg_params *p, mr_pg_result **out) {
    (void)pg;
    (void)p;
    return sim_one_int(out, w->variant == SIM_REUSE_ATTEMPTS ? 1 : (int64_t)++w->db.block_sequence);
}

/* Renews (or gives back) what is still this owner's under the epochs that it names; the answer has what was renewed. */
static mr_status lease_change(sim_world *w, mr_pg *pg, const mr_pg_params *p, mr_pg_result *r, bool renew) {
    char owner[128];
    int row = 0;
    sim_items epochs = sim_array(p, 0);
    sim_p_text(p, 1, owner, sizeof owner);
    for (uint32_t i = 0, n = epochs.count; i < n && i < MR_PARTITIONS; i++) {
        int64_t epoch = sim_next_int(&epochs);
        const sim_lease *l = &w->db.lease[i];
        if (l->epoch != epoch || strcmp(l->owner, owner)) continue;
        if (!sim_lock_row(w, pg, LOCK_LEASE + i * 2, false)) return deadlock(pg);
        if (l->epoch != epoch || strcmp(l->owner, owner)) continue;
        sim_op *op = sim_do(pg, SIM_OP_LEASE);
        op->index = i;
        op->number = epoch;
        op->until_us = renew ? sim_database_now(w) + (uint64_t)(sim_p_float(p, 2) * 1e6) : 0;
        snprintf(op->text, sizeof op->text, "%s", renew ? owner : "");
        sim_set_int(r, row++, 0, i);
    }
    return MR_OK;
}

static mr_status lease_renew(sim_world *w, mr_pg *pg, const mr_pg_params *p, mr_pg_result **out) {
    *out = sim_result_of(1, (const unsigned[]){OID_INT8}, 0);
    return lease_change(w, pg, p, *out, true);
}

static mr_status lease_give_back(sim_world *w, mr_pg *pg, const mr_pg_params *p, mr_pg_result **out) {
    SIM_COUNT(w, lease_given_back);
    *out = sim_result_of(1, (const unsigned[]){OID_INT8}, 0);
    return lease_change(w, pg, p, *out, false);
}

static mr_status lease_fence(sim_world *w, mr_pg *pg, const mr_pg_params *p, mr_pg_result **out) {
    char owner[128];
    sim_items partitions = sim_array(p, 0), epochs = sim_array(p, 1);
    sim_p_text(p, 2, owner, sizeof owner);
    for (uint32_t i = 0; i < partitions.count; i++) {
        int64_t partition = sim_next_int(&partitions), epoch = sim_next_int(&epochs);
        const sim_lease *l = &w->db.lease[partition];
        bool locks = w->variant != SIM_NO_FENCE && w->variant != SIM_NO_FENCE_LOCK;
        if (locks && !sim_lock_row(w, pg, LOCK_LEASE + (uint64_t)partition * 2, true)) return deadlock(pg);
        sim_transaction_of(pg)->fenced[partition] = epoch;
        if (w->variant == SIM_NO_FENCE || (l->epoch == epoch && !strcmp(l->owner, owner))) continue;
        SIM_COUNT(w, fence_held);
        return sim_refuse(pg, MR_E_INTERNAL, MR_LEASE_LOST);
    }
    if (sim_faulty(w) && sim_chance(w, w->p_pause_fenced)) { /* long enough, perhaps, for others to take the lease */
        SIM_COUNT(w, paused_fenced);
        sim_process_pause(w, sim_self());
    }
    return sim_one_int(out, 0);
}

/* ---- results ---- */

static mr_status insert_result(sim_world *w, mr_pg *pg, const mr_work_key *key, uint64_t attempt, mr_span body,
                               mr_pg_result *r, int *row) {
    const sim_node *node = sim_node_of(w, key);
    uint64_t value = 0;
    if (!node) return sim_refuse(pg, MR_E_CONFLICT, "23503");
    if (node->poison && node->unfit) {
        SIM_COUNT(w, result_unfit);
        return sim_refuse(pg, MR_E_INVALID, "22021");
    }
    if (!sim_lock_row(w, pg, row_lock(key), false)) return deadlock(pg);
    if ((node->rows || pending(pg, SIM_OP_RESULT, key)) && w->variant != SIM_NO_UNIQUE) return MR_OK;
    if (body.len == sizeof value) memcpy(&value, body.data, sizeof value);
    sim_op *op = sim_do(pg, SIM_OP_RESULT);
    op->key = *key;
    op->attempt = attempt;
    op->value = value;
    sim_set_int(r, *row, 0, (int64_t)key->run);
    sim_set_int(r, *row, 1, key->step);
    sim_set_int(r, *row, 2, key->level);
    sim_set_int(r, (*row)++, 3, key->index);
    return MR_OK;
}

static mr_status ledger_results(sim_world *w, mr_pg *pg, const mr_pg_params *p, mr_pg_result **out) {
    sim_items run = sim_array(p, 0), step = sim_array(p, 1), level = sim_array(p, 2), batch = sim_array(p, 3), attempt = sim_array(p, 7),
          body = sim_array(p, 11);
    int row = 0;
    *out = sim_result_of(4, (const unsigned[]){OID_INT8, OID_INT8, OID_INT8, OID_INT8}, 0);
    for (uint32_t i = 0, n = run.count; i < n; i++) {
        mr_work_key key = {.run = (uint64_t)sim_next_int(&run)};
        key.step = (uint32_t)sim_next_int(&step);
        key.level = (uint32_t)sim_next_int(&level);
        key.index = (uint32_t)sim_next_int(&batch);
        uint64_t number = (uint64_t)sim_next_int(&attempt);
        mr_status s = insert_result(w, pg, &key, number, sim_next_item(&body), *out, &row);
        if (s != MR_OK) return s;
    }
    return MR_OK;
}

static mr_status ledger_result(sim_world *w, mr_pg *pg, const mr_pg_params *p, mr_pg_result **out) {
    mr_work_key key = {(uint64_t)sim_p_int(p, 0), (uint32_t)sim_p_int(p, 1), (uint32_t)sim_p_int(p, 2), (uint32_t)sim_p_int(p, 3)};
    int rows = 0;
    mr_pg_result *ignored = sim_result_of(4, (const unsigned[]){OID_INT8, OID_INT8, OID_INT8, OID_INT8}, 0);
    mr_status s = insert_result(w, pg, &key, (uint64_t)sim_p_int(p, 7), sim_param(p, 11), ignored, &rows);
    mr_pg_result_free(&ignored);
    const sim_transaction *t = sim_transaction_of(pg);
    for (size_t i = 0; rows && i < t->ops; i++)
        if (t->op[i].kind == SIM_OP_PACKET) SIM_COUNT(w, result_with_task);
    return s == MR_OK ? sim_changed(out, (uint64_t)rows) : s;
}

/* A row that is there already fails the whole COPY. */
static mr_status copy_row(sim_world *w, mr_pg *pg, const mr_span *cell) {
    mr_work_key key = {(uint64_t)sim_number_of(cell[0]), (uint32_t)sim_number_of(cell[1]), (uint32_t)sim_number_of(cell[2]),
                       (uint32_t)sim_number_of(cell[3])};
    int rows = 0;
    mr_pg_result *ignored = sim_result_of(4, (const unsigned[]){OID_INT8, OID_INT8, OID_INT8, OID_INT8}, 0);
    mr_status s = insert_result(w, pg, &key, (uint64_t)sim_number_of(cell[7]), cell[11], ignored, &rows);
    mr_pg_result_free(&ignored);
    return s == MR_OK && !rows ? sim_refuse(pg, MR_E_EXISTS, "23505") : s;
}

mr_status sim_copy_results(sim_world *w, mr_pg *pg, mr_span rows) {
    const uint8_t *at = rows.data, *end = at + rows.len;
    while (at < end) {
        mr_span cell[RESULT_COLUMNS];
        MR_ASSERT(sim_number_of((mr_span){at, 2}) == RESULT_COLUMNS);
        sim_items all = {at + 2, RESULT_COLUMNS};
        for (uint32_t i = 0; i < RESULT_COLUMNS; i++) cell[i] = sim_next_item(&all);
        at = all.at;
        MR_TRY(copy_row(w, pg, cell));
    }
    return MR_OK;
}

static mr_status ledger_begin(sim_world *w, mr_pg *pg, const mr_pg_params *p, mr_pg_result **out) {
    (void)w;
    (void)p;
    sim_transaction_of(pg)->explicit = true;
    return sim_changed(out, 0);
}

static mr_work_key p_key(const mr_pg_params *p) {
    return (mr_work_key){(uint64_t)sim_p_int(p, 0), (uint32_t)sim_p_int(p, 1), (uint32_t)sim_p_int(p, 2), (uint32_t)sim_p_int(p, 3)};
}

static mr_status ledger_read_back(sim_world *w, mr_pg *pg, const mr_pg_params *p, mr_pg_result **out) {
    mr_work_key key = p_key(p);
    const sim_node *node = sim_node_of(w, &key);
    (void)pg;
    SIM_COUNT(w, read_back);
    *out = sim_result_of(1, (const unsigned[]){OID_INT8}, 0);
    if (node && node->rows) sim_set_int(*out, 0, 0, (int64_t)node->attempt);
    return MR_OK;
}

static mr_status ledger_failure(sim_world *w, mr_pg *pg, const mr_pg_params *p, mr_pg_result **out) {
    uint64_t attempt = (uint64_t)sim_p_int(p, 4);
    mr_work_key key = p_key(p);
    if (!sim_lock_row(w, pg, LOCK_FAILURE + attempt * 2, false)) return deadlock(pg);
    for (uint32_t i = 0; i < w->db.failures; i++)
        if (w->db.failure[i].key.run == key.run && w->db.failure[i].attempt == attempt) return sim_changed(out, 0);
    sim_op *op = sim_do(pg, SIM_OP_FAILURE);
    op->key = key;
    op->attempt = attempt;
    op->status = sim_p_int(p, 6);
    op->flag = sim_p_bool(p, 8);
    op->id = (int64_t)++w->db.failure_sequence;
    return sim_changed(out, 1);
}

static mr_status ledger_run_end(sim_world *w, mr_pg *pg, const mr_pg_params *p, mr_pg_result **out) {
    uint64_t run = (uint64_t)sim_p_int(p, 0);
    int life = (int)sim_p_int(p, 1);
    mr_span word = sim_param(p, 2);
    sim_spec *s = sim_spec_of_run(w, run);
    if (!s) return sim_refuse(pg, MR_E_CONFLICT, "23503");
    if (!sim_lock_row(w, pg, LOCK_END + run * 2, false)) return deadlock(pg);
    if (s->ended_life >= life) return sim_changed(out, 0);
    sim_op *op = sim_do(pg, SIM_OP_END);
    op->key.run = run;
    op->life = life;
    op->state = mr_span_eq(word, mr_span_of("succeeded")) ? MR_RUN_SUCCEEDED
                : mr_span_eq(word, mr_span_of("failed"))  ? MR_RUN_FAILED
                                                          : MR_RUN_CANCELLED;
    return sim_changed(out, 1);
}

static mr_status loader_partials(sim_world *w, mr_pg *pg, const mr_pg_params *p, mr_pg_result **out) {
    mr_work_key key = {(uint64_t)sim_p_int(p, 0), (uint32_t)sim_p_int(p, 1), (uint32_t)sim_p_int(p, 2), 0};
    int row = 0;
    (void)pg;
    *out = sim_result_of(3, (const unsigned[]){OID_INT8, OID_BYTEA, OID_BYTEA}, 0);
    for (int64_t i = sim_p_int(p, 3); i <= sim_p_int(p, 4); i++) {
        key.index = (uint32_t)i;
        const sim_node *node = sim_node_of(w, &key);
        if (!node || !node->rows) continue;
        uint64_t value = w->variant == SIM_WRONG_INPUT ? node->value + 1 : node->value;
        mr_hash hash = mr_hash_of((mr_span){(const uint8_t *)&value, sizeof value});
        sim_set_int(*out, row, 0, i);
        sim_set(*out, row, 1, &value, sizeof value);
        sim_set(*out, row++, 2, hash.bytes, sizeof hash.bytes);
    }
    return MR_OK;
}

/* ---- planning ---- */

static mr_status plan_dataset(sim_world *w, mr_pg *pg, const mr_pg_params *p, mr_pg_result **out) {
    (void)w;
    (void)pg;
    (void)p;
    *out = sim_result_of(3, (const unsigned[]){OID_INT8, OID_TEXT, OID_TEXT}, 1);
    sim_set_int(*out, 0, 0, 1);
    sim_set_text(*out, 0, 1, "prompts");
    sim_set_text(*out, 0, 2, "[]");
    return MR_OK;
}

/* Version n is the rows of the n-th run that the client wants. */
static mr_status version_find(sim_world *w, mr_pg *pg, const mr_pg_params *p, mr_pg_result **out) {
    int64_t version = sim_p_int(p, 1);
    (void)pg;
    *out = sim_result_of(1, (const unsigned[]){OID_INT8}, 0);
    if (version >= 1 && version <= SIM_SPECS) sim_set_int(*out, 0, 0, (int64_t)w->spec[version - 1].rows);
    return MR_OK;
}

static mr_status plan_key(sim_world *w, mr_pg *pg, const mr_pg_params *p, mr_pg_result **out) {
    char key[16];
    (void)pg;
    sim_p_text(p, 0, key, sizeof key);
    const sim_spec *s = &w->spec[strtoul(key, NULL, 10)];
    *out = sim_result_of(2, (const unsigned[]){OID_INT8, OID_BYTEA}, 0);
    if (!s->run || w->variant == SIM_NO_SUBMIT_KEY) return MR_OK;
    sim_set_int(*out, 0, 0, (int64_t)s->run);
    sim_set(*out, 0, 1, s->hash, sizeof s->hash);
    SIM_COUNT(w, submitted_again);
    return MR_OK;
}

static mr_status plan_run(sim_world *w, mr_pg *pg, const mr_pg_params *p, mr_pg_result **out) {
    char key[16];
    uint32_t mine = 0;
    sim_p_text(p, 7, key, sizeof key);
    uint32_t spec = (uint32_t)strtoul(key, NULL, 10); /* the client's key says which it is */
    sim_items open = sim_array(p, 9);
    for (uint32_t i = 0, n = open.count; i < n; i++) mine |= 1u << sim_next_int(&open);
    bool unique = w->variant != SIM_NO_SUBMIT_KEY;
    *out = sim_result_of(2, (const unsigned[]){OID_INT8, OID_INT8}, 0);
    if (unique && !sim_lock_row(w, pg, LOCK_SUBMIT + spec * 2, false)) return deadlock(pg);
    if (unique && w->spec[spec].run) return MR_OK;
    if (!mine) return sim_refuse(pg, MR_E_CONFLICT, MR_LEASE_NOTHING);
    sim_op *op = sim_do(pg, SIM_OP_RUN);
    op->index = spec;
    do op->key.run = ++w->db.run_sequence;
    while (!(mine >> op->key.run % MR_PARTITIONS & 1));
    op->number = sim_p_int(p, 3);
    op->id = sim_p_int(p, 6);
    sim_p_text(p, 5, op->text, sizeof op->text);
    memcpy(op->hash, sim_param(p, 8).data, sizeof op->hash);
    sim_set_int(*out, 0, 0, (int64_t)op->key.run);
    sim_set_int(*out, 0, 1, (int64_t)sim_transaction_of(pg)->id);
    return MR_OK;
}

static mr_status plan_outcome(sim_world *w, mr_pg *pg, const mr_pg_params *p, mr_pg_result **out) {
    static const char *const words[] = {"in progress", "committed", "aborted"};
    (void)pg;
    *out = sim_result_of(1, (const unsigned[]){OID_TEXT}, 1);
    sim_set_text(*out, 0, 0, words[w->db.ended[sim_p_int(p, 0)]]);
    return MR_OK;
}

static mr_status nothing(sim_world *w, mr_pg *pg, const mr_pg_params *p, mr_pg_result **out) {
    (void)w;
    (void)pg;
    (void)p;
    return sim_changed(out, 1);
}

static mr_status plan_step(sim_world *w, mr_pg *pg, const mr_pg_params *p, mr_pg_result **out) {
    static const unsigned columns[5] = {3, 4, 6, 7, 8};
    (void)w;
    sim_op *op = sim_do(pg, SIM_OP_STEP);
    op->key.run = (uint64_t)sim_p_int(p, 0);
    op->index = (uint32_t)sim_p_int(p, 1);
    sim_p_text(p, 2, op->more, sizeof op->more);
    for (int i = 0; i < 5; i++) op->numbers[i] = sim_p_int(p, columns[i]);
    return sim_changed(out, 1);
}

static mr_status run_read(sim_world *w, mr_pg *pg, const mr_pg_params *p, mr_pg_result **out) {
    const sim_spec *s = sim_spec_of_run(w, (uint64_t)sim_p_int(p, 0));
    (void)pg;
    *out = sim_result_of(13, (const unsigned[]){OID_INT8, OID_INT8, OID_INT8, OID_INT8, OID_TEXT, OID_TEXT, OID_TEXT, OID_TEXT,
                                                OID_INT8, OID_TEXT, OID_BOOL, OID_BOOL, OID_INT8}, 0);
    if (!s) return MR_OK;
    sim_set_int(*out, 0, 0, s->stream ? 0 : s - w->spec + 1);
    sim_set_int(*out, 0, 1, s->stream ? s->tasks : (int64_t)s->rows);
    sim_set_int(*out, 0, 2, (int64_t)s->seed);
    sim_set_int(*out, 0, 3, 1);
    sim_set_text(*out, 0, 4, "prompts");
    sim_set_text(*out, 0, 5, "prompts");
    sim_set_text(*out, 0, 6, "[]");
    sim_set_text(*out, 0, 7, "{}");
    sim_set_int(*out, 0, 8, w->variant == SIM_NO_PRIORITY ? 100 : (int64_t)s->priority);
    sim_set_text(*out, 0, 9, s->client_row);
    sim_set_bool(*out, 0, 10, s->stream);
    sim_set_bool(*out, 0, 11, !s->closed);
    sim_set_int(*out, 0, 12, s->life);
    return MR_OK;
}

static mr_status run_steps(sim_world *w, mr_pg *pg, const mr_pg_params *p, mr_pg_result **out) {
    const sim_spec *s = sim_spec_of_run(w, (uint64_t)sim_p_int(p, 0));
    (void)pg;
    *out = sim_result_of(8, (const unsigned[]){OID_INT8, OID_TEXT, OID_INT8, OID_INT8, OID_INT8, OID_INT8, OID_INT8, OID_TEXT}, 0);
    for (uint32_t i = 0; s && i < s->steps; i++) {
        int row = (int)i;
        sim_set_int(*out, row, 0, row);
        sim_set_text(*out, row, 1, s->step_row[i].component);
        sim_set_int(*out, row, 2, s->step_row[i].version);
        sim_set_int(*out, row, 3, s->step_row[i].shape);
        sim_set_int(*out, row, 4, s->step_row[i].batch_rows);
        sim_set_int(*out, row, 5, s->step_row[i].deadline_ms);
        sim_set_int(*out, row, 6, s->step_row[i].columns);
        sim_set_text(*out, row, 7, "{}");
    }
    return MR_OK;
}

/* ---- finding again ---- */

static bool unfinished(const sim_spec *s) { return s->run && s->ended_life < s->life; }

static mr_status recover_unfinished(sim_world *w, mr_pg *pg, const mr_pg_params *p, mr_pg_result **out) {
    int row = 0;
    uint64_t after = 0;
    int64_t partition = sim_p_int(p, 0);
    (void)pg;
    *out = sim_result_of(1, (const unsigned[]){OID_INT8}, 0);
    for (uint32_t n = 0; n < SIM_SPECS && w->variant != SIM_FORGET_RUNS; n++) {
        const sim_spec *least = NULL;
        for (uint32_t i = 0; i < SIM_SPECS; i++)
            if (w->spec[i].run > after && (!least || w->spec[i].run < least->run)) least = &w->spec[i];
        if (!least) break;
        after = least->run;
        bool wanted = partition < 0 || (int64_t)(least->run % MR_PARTITIONS) == partition;
        if (wanted && unfinished(least)) sim_set_int(*out, row++, 0, (int64_t)least->run);
    }
    return MR_OK;
}

static mr_status recover_ended(sim_world *w, mr_pg *pg, const mr_pg_params *p, mr_pg_result **out) {
    const sim_spec *s = sim_spec_of_run(w, (uint64_t)sim_p_int(p, 0));
    (void)pg;
    return sim_one_bool(out, s && !unfinished(s));
}

/* Each key of a run for which `wanted` holds. */
static void keys_of(sim_world *w, uint64_t run, bool (*wanted)(const sim_node *), mr_pg_result *r, bool reasons) {
    sim_spec *s = sim_spec_of_run(w, run);
    int row = 0;
    for (uint32_t i = 0; s && i < s->steps; i++)
        for (uint32_t l = 0; l < s->step[i].plan.levels; l++)
            for (uint32_t k = 0; k < s->step[i].plan.counts[l]; k++) {
                if (!wanted(&s->node[i][l][k])) continue;
                sim_set_int(r, row, 0, i);
                sim_set_int(r, row, 1, l);
                sim_set_int(r, row, 2, k);
                if (reasons) sim_set_int(r, row, 3, MR_E_CRASHED);
                if (reasons) sim_set_text(r, row, 4, "it was given up");
                if (reasons) sim_set_int(r, row, 5, (int64_t)s->node[i][l][k].dead_of);
                row++;
            }
}

static bool has_row(const sim_node *n) { return n->rows > 0; }
static bool given_up(const sim_node *n) { return n->dead && !n->rows; }

static mr_status recover_done(sim_world *w, mr_pg *pg, const mr_pg_params *p, mr_pg_result **out) {
    (void)pg;
    SIM_COUNT(w, run_found);
    sim_told_done(w, (uint64_t)sim_p_int(p, 0));
    *out = sim_result_of(3, (const unsigned[]){OID_INT8, OID_INT8, OID_INT8}, 0);
    if (w->variant != SIM_FORGET_DONE) keys_of(w, (uint64_t)sim_p_int(p, 0), has_row, *out, false);
    return MR_OK;
}

static mr_status recover_dead(sim_world *w, mr_pg *pg, const mr_pg_params *p, mr_pg_result **out) {
    (void)pg;
    *out = sim_result_of(6, (const unsigned[]){OID_INT8, OID_INT8, OID_INT8, OID_INT8, OID_TEXT, OID_INT8}, 0);
    if (w->variant != SIM_FORGET_DEAD) keys_of(w, (uint64_t)sim_p_int(p, 0), given_up, *out, true);
    return MR_OK;
}

static mr_status yes(sim_world *w, mr_pg *pg, const mr_pg_params *p, mr_pg_result **out) {
    (void)w;
    (void)pg;
    (void)p;
    return sim_one_bool(out, true);
}

/* ---- dead letters ---- */

static bool open_letter(const sim_world *w, const sim_failure *f) {
    const sim_node *node = sim_node_of((sim_world *)(uintptr_t)w, &f->key);
    return f->dead && !f->settled && node && !node->rows;
}

static bool may_be_replayed(const sim_spec *s) { return unfinished(s) || s->state == MR_RUN_FAILED; }

/* People replay a run at a time. */
static mr_status dead_lock(sim_world *w, mr_pg *pg, const mr_pg_params *p, mr_pg_result **out) {
    uint64_t run = (uint64_t)sim_p_int(p, 1);
    const sim_spec *s = sim_spec_of_run(w, run);
    *out = sim_result_of(1, (const unsigned[]){OID_INT8}, 0);
    if (!s || !may_be_replayed(s)) return MR_OK;
    if (!sim_lock_row(w, pg, LOCK_RUN + run * 2, false)) return deadlock(pg);
    sim_set_int(*out, 0, 0, (int64_t)run);
    return MR_OK;
}

static mr_status run_lock(sim_world *w, mr_pg *pg, const mr_pg_params *p, mr_pg_result **out) {
    if (!sim_lock_row(w, pg, LOCK_RUN + (uint64_t)sim_p_int(p, 0) * 2, false)) return deadlock(pg);
    return sim_one_int(out, sim_p_int(p, 0));
}

static mr_status dead_take(sim_world *w, mr_pg *pg, const mr_pg_params *p, mr_pg_result **out) {
    uint64_t run = (uint64_t)sim_p_int(p, 1);
    const sim_spec *s = sim_spec_of_run(w, run);
    int64_t taken = 0;
    *out = sim_result_of(2, (const unsigned[]){OID_INT8, OID_INT8}, 0);
    if (!may_be_replayed(s)) return MR_OK;
    for (uint32_t i = 0; i < w->db.failures; i++) {
        const sim_failure *f = &w->db.failure[i];
        if (f->key.run != run || !open_letter(w, f)) continue;
        sim_op *op = sim_do(pg, SIM_OP_SETTLE);
        op->id = f->id;
        op->life = s->life + 1;
        taken++;
    }
    if (!taken) return MR_OK;
    sim_set_int(*out, 0, 0, (int64_t)run);
    sim_set_int(*out, 0, 1, taken);
    return MR_OK;
}

static mr_status dead_left(sim_world *w, mr_pg *pg, const mr_pg_params *p, mr_pg_result **out) {
    int64_t left = 0;
    for (uint32_t i = 0; i < w->db.failures; i++)
        left += w->db.failure[i].key.run == (uint64_t)sim_p_int(p, 1) && open_letter(w, &w->db.failure[i]);
    const sim_transaction *t = sim_transaction_of(pg);
    for (size_t i = 0; i < t->ops; i++) left -= t->op[i].kind == SIM_OP_SETTLE;
    return sim_one_int(out, left);
}

static mr_status dead_reopen(sim_world *w, mr_pg *pg, const mr_pg_params *p, mr_pg_result **out) {
    sim_items runs = sim_array(p, 0);
    for (uint32_t i = 0, n = runs.count; i < n; i++) {
        uint64_t run = (uint64_t)sim_next_int(&runs);
        sim_op *op = sim_do(pg, SIM_OP_REOPEN);
        op->key.run = run;
        op->life = sim_spec_of_run(w, run)->life + 1;
    }
    return sim_changed(out, 1);
}

/* What was replayed in the lives of these runs after those that are named. */
static mr_status replay_read(sim_world *w, mr_pg *pg, const mr_pg_params *p, mr_pg_result **out) {
    sim_items runs = sim_array(p, 0), lives = sim_array(p, 1);
    int row = 0;
    (void)pg;
    *out = sim_result_of(6, (const unsigned[]){OID_INT8, OID_INT8, OID_INT8, OID_INT8, OID_INT8, OID_INT8}, 0);
    for (uint32_t i = 0, n = runs.count; i < n; i++) {
        uint64_t run = (uint64_t)sim_next_int(&runs);
        int64_t life = sim_next_int(&lives);
        for (uint32_t k = 0; k < w->db.failures; k++) {
            const sim_failure *f = &w->db.failure[k];
            if (f->key.run != run || !f->settled || f->life <= life) continue;
            const int64_t cell[] = {(int64_t)run, f->life, f->key.step, f->key.level, f->key.index, (int64_t)f->attempt};
            for (int c = 0; c < (w->variant == SIM_FORGET_REPLAYS ? 2 : 6); c++) sim_set_int(*out, row, c, cell[c]);
            row++;
        }
    }
    if (row) SIM_COUNT(w, replay_told);
    return MR_OK;
}

/* ---- pauses and limits ---- */

static const char *const subjects[] = {"component", "run", "client"};

static uint32_t rule_named(const sim_world *w, const mr_pg_params *p) {
    uint32_t i = 0;
    while (i < SIM_RULES && (!mr_span_eq(sim_param(p, 0), mr_span_of(subjects[w->rule[i].rule.of])) ||
                             !mr_span_eq(sim_param(p, 1), mr_span_of(w->rule[i].rule.name))))
        i++;
    MR_ASSERT(i < SIM_RULES);
    return i;
}

static mr_status rule_pause(sim_world *w, mr_pg *pg, const mr_pg_params *p, mr_pg_result **out) {
    sim_op *op = sim_do(pg, SIM_OP_PAUSE);
    op->id = ++w->db.rule_sequence;
    op->index = rule_named(w, p);
    op->flag = sim_p_bool(p, 2);
    return sim_changed(out, 1);
}

static mr_status rule_limit(sim_world *w, mr_pg *pg, const mr_pg_params *p, mr_pg_result **out) {
    sim_op *op = sim_do(pg, SIM_OP_LIMIT);
    op->id = ++w->db.rule_sequence;
    op->index = rule_named(w, p);
    op->rule = (mr_rule){.max_concurrent = (uint32_t)sim_p_int(p, 2), .per_second = sim_p_float(p, 3), .burst = (uint32_t)sim_p_int(p, 4)};
    return sim_changed(out, 1);
}

static void put_rule(const sim_world *w, const mr_rule *rule, mr_pg_result *r, int row) {
    bool more = w->variant == SIM_ONE_MORE && rule->max_concurrent;
    sim_set_text(r, row, 0, subjects[rule->of]);
    sim_set_text(r, row, 1, rule->name);
    sim_set_bool(r, row, 2, rule->paused);
    sim_set_int(r, row, 3, rule->max_concurrent + (more ? 1 : 0));
    sim_set_float(r, row, 4, rule->per_second * (w->variant == SIM_TWICE_AS_FAST ? 2 : 1));
    sim_set_int(r, row, 5, rule->burst ? rule->burst : 1);
}

static mr_pg_result *rules(void) {
    return sim_result_of(6, (const unsigned[]){OID_TEXT, OID_TEXT, OID_BOOL, OID_INT8, OID_FLOAT8, OID_INT8}, 0);
}

/* With what this transaction has written of it. */
static mr_status rule_read(sim_world *w, mr_pg *pg, const mr_pg_params *p, mr_pg_result **out) {
    uint32_t i = rule_named(w, p);
    mr_rule rule = w->rule[i].now;
    const sim_transaction *t = sim_transaction_of(pg);
    for (size_t k = 0; k < t->ops; k++) {
        const sim_op *op = &t->op[k];
        if (op->kind == SIM_OP_PAUSE && op->index == i) rule.paused = op->flag;
        if (op->kind != SIM_OP_LIMIT || op->index != i) continue;
        rule.max_concurrent = op->rule.max_concurrent;
        rule.per_second = op->rule.per_second;
        rule.burst = op->rule.burst;
    }
    *out = rules();
    put_rule(w, &rule, *out, 0);
    return MR_OK;
}

static mr_status rule_all(sim_world *w, mr_pg *pg, const mr_pg_params *p, mr_pg_result **out) {
    int row = 0;
    bool idle = sim_p_bool(p, 0);
    (void)pg;
    *out = rules();
    sim_check_rules_read(w, sim_self()->program);
    for (uint32_t i = 0; i < SIM_RULES && w->variant != SIM_FORGET_RULES; i++) {
        const mr_rule *r = &w->rule[i].now;
        bool holds = r->paused || r->max_concurrent || r->per_second > 0;
        if (holds || (idle && r->name[0])) put_rule(w, r, *out, row++);
    }
    return MR_OK;
}

/* ---- schedules: none ---- */

static mr_status schedule_due(sim_world *w, mr_pg *pg, const mr_pg_params *p, mr_pg_result **out) {
    (void)w;
    (void)pg;
    (void)p;
    *out = sim_result_of(8, (const unsigned[]){OID_INT8, OID_TEXT, OID_INT8, OID_TEXT, OID_BYTEA, OID_TEXT, OID_TIME, OID_TIME}, 0);
    return MR_OK;
}

static mr_status schedule_wait(sim_world *w, mr_pg *pg, const mr_pg_params *p, mr_pg_result **out) {
    (void)w;
    (void)pg;
    (void)p;
    *out = sim_result_of(1, (const unsigned[]){OID_FLOAT8}, 1);
    sim_set_float(*out, 0, 0, 1e9);
    return MR_OK;
}

/* A person's cancel, of whichever life the run is in. */
static mr_status ledger_cancel(sim_world *w, mr_pg *pg, const mr_pg_params *p, mr_pg_result **out) {
    uint64_t run = (uint64_t)sim_p_int(p, 0);
    const sim_spec *s = sim_spec_of_run(w, run);
    if (!s) return sim_changed(out, 0);
    if (!sim_lock_row(w, pg, LOCK_END + run * 2, false)) return deadlock(pg);
    if (s->ended_life >= s->life) return sim_changed(out, 0);
    sim_op *op = sim_do(pg, SIM_OP_END);
    op->key.run = run;
    op->life = s->life;
    op->state = MR_RUN_CANCELLED;
    return sim_changed(out, 1);
}

static mr_status recover_cancelled(sim_world *w, mr_pg *pg, const mr_pg_params *p, mr_pg_result **out) {
    sim_items runs = sim_array(p, 0);
    int row = 0;
    (void)pg;
    *out = sim_result_of(1, (const unsigned[]){OID_INT8}, 0);
    for (uint32_t i = 0, n = runs.count; i < n; i++) {
        int64_t run = sim_next_int(&runs);
        const sim_spec *s = sim_spec_of_run(w, (uint64_t)run);
        if (s && !unfinished(s) && s->state == MR_RUN_CANCELLED) sim_set_int(*out, row++, 0, run);
    }
    return MR_OK;
}

/* ---- a result that came to a broker whose run it is not ---- */

static mr_status foreign_lock(sim_world *w, mr_pg *pg, const mr_pg_params *p, mr_pg_result **out) {
    uint64_t run = (uint64_t)sim_p_int(p, 0);
    *out = sim_result_of(1, (const unsigned[]){OID_INT8}, 0);
    if (!sim_spec_of_run(w, run)) return MR_OK;
    if (!sim_lock_row(w, pg, LOCK_RUN + run * 2, false) || !sim_lock_row(w, pg, LOCK_END + run * 2, false)) return deadlock(pg);
    sim_set_int(*out, 0, 0, (int64_t)run);
    return MR_OK;
}

static mr_status foreign_look(sim_world *w, mr_pg *pg, const mr_pg_params *p, mr_pg_result **out) {
    SIM_COUNT(w, foreign);
    mr_work_key key = {.run = (uint64_t)sim_p_int(p, 0), .step = (uint32_t)sim_p_int(p, 1), .level = (uint32_t)sim_p_int(p, 2),
                       .index = (uint32_t)sim_p_int(p, 3)};
    const sim_node *node = sim_node_of(w, &key);
    int64_t below = 0;
    (void)pg;
    for (int64_t i = sim_p_int(p, 4); key.level && i <= sim_p_int(p, 5); i++) {
        mr_work_key child = {.run = key.run, .step = key.step, .level = key.level - 1, .index = (uint32_t)i};
        const sim_node *at = sim_node_of(w, &child);
        below += at && at->rows;
    }
    *out = sim_result_of(3, (const unsigned[]){OID_BOOL, OID_BOOL, OID_INT8}, 0);
    sim_set_bool(*out, 0, 0, !unfinished(sim_spec_of_run(w, key.run)));
    sim_set_bool(*out, 0, 1, node && node->dead);
    sim_set_int(*out, 0, 2, below);
    return MR_OK;
}

/* No run of a schedule waits for another's results. */
static mr_status no_rows(sim_world *w, mr_pg *pg, const mr_pg_params *p, mr_pg_result **out) {
    (void)w;
    (void)pg;
    (void)p;
    *out = sim_result_of(1, (const unsigned[]){OID_INT8}, 0);
    return MR_OK;
}

/* ---- what is known ---- */

static const struct {
    const char *name;
    sim_statement run;
} statements[] = {
    {"ledger_results", ledger_results}, {"ledger_result", ledger_result}, {"ledger_begin", ledger_begin}, {"lease_fence", lease_fence}, {"ledger_read_back", ledger_read_back},
    {"loader_partials", loader_partials}, {"ledger_failure", ledger_failure}, {"ledger_run_end", ledger_run_end},
    {"lease_renew", lease_renew}, {"schedule_due", schedule_due}, {"schedule_wait", schedule_wait},
    {"audit_insert", nothing}, {"lease_take", lease_take}, {"lease_free_own", lease_free_own}, {"lease_forget", nothing},
    {"ledger_cancel", ledger_cancel}, {"recover_cancelled", recover_cancelled}, {"lease_block", lease_block},
    {"lease_give_back", lease_give_back}, {"plan_dataset", plan_dataset}, {"version_find", version_find}, {"plan_key", plan_key},
    {"plan_run", plan_run}, {"plan_outcome", plan_outcome}, {"plan_result_partition", nothing}, {"plan_step", plan_step},
    {"run_read", run_read}, {"run_steps", run_steps}, {"recover_unfinished", recover_unfinished},
    {"recover_ended", recover_ended}, {"recover_done", recover_done}, {"recover_dead", recover_dead},
    {"start_migrated", yes}, {"rule_run", yes}, {"rule_pause", rule_pause}, {"rule_limit", rule_limit},
    {"rule_read", rule_read}, {"rule_all", rule_all}, {"dead_take", dead_take}, {"dead_left", dead_left},
    {"dead_reopen", dead_reopen}, {"dead_lock", dead_lock}, {"run_lock", run_lock}, {"replay_read", replay_read}, {"chain_inputs", no_rows}, {"foreign_lock", foreign_lock}, {"foreign_look", foreign_look},
};

sim_statement sim_statement_named(const char *name) {
    for (size_t i = 0; i < sizeof statements / sizeof *statements; i++)
        if (!strcmp(statements[i].name, name)) return statements[i].run;
    sim_statement found = sim_presence_named(name);
    if (!found) found = sim_limits_named(name);
    return found ? found : sim_stream_named(name);
}

