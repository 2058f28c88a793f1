/* limits.c: the statements by which brokers divide what a limit lets among themselves. */
#include "tests/simulation/database.h"

#include "tests/simulation/values.h"

#include <string.h>

enum { LOCK_DIVIDE = 500 }; /* beside the rows of tables.c */

static uint32_t row_of(sim_world *w, const mr_pg_params *p, unsigned at) {
    char name[128];
    sim_p_text(p, at, name, sizeof name);
    return sim_present_named(w, name);
}

static bool alive(const sim_world *w, const sim_present *b) {
    return b->name[0] && b->state != 2 && b->expires_us > sim_database_now(w);
}

static uint32_t rule_at(const sim_world *w, const mr_pg_params *p) {
    uint32_t i = 0;
    while (i < SIM_RULES && !mr_span_eq(sim_param(p, 1), mr_span_of(w->rule[i].rule.name))) i++;
    MR_ASSERT(i < SIM_RULES);
    return i;
}

static mr_status divide_lock(sim_world *w, mr_pg *pg, const mr_pg_params *p, mr_pg_result **out) {
    (void)p;
    return sim_one_bool(out, sim_try_lock_row(w, pg, LOCK_DIVIDE));
}

static mr_status divide_others(sim_world *w, mr_pg *pg, const mr_pg_params *p, mr_pg_result **out) {
    const sim_present *me = &w->db.present[row_of(w, p, 0)];
    int64_t there = 0, not_sharing = 0;
    (void)pg;
    for (const sim_present *b = w->db.present; b < w->db.present + SIM_BROKERS; b++) {
        if (b == me || !alive(w, b)) continue;
        there++;
        not_sharing += !b->sharing;
    }
    *out = sim_result_of(4, (const unsigned[]){OID_INT8, OID_INT8, OID_INT8, OID_INT8}, 1);
    sim_set_int(*out, 0, 0, there);
    sim_set_int(*out, 0, 1, not_sharing);
    sim_set_int(*out, 0, 2, (int64_t)(sim_database_now(w) / 1000000));
    sim_set_int(*out, 0, 3, alive(w, me));
    return MR_OK;
}

static mr_status divide_mark(sim_world *w, mr_pg *pg, const mr_pg_params *p, mr_pg_result **out) {
    sim_op *op = sim_do(pg, SIM_OP_SHARING);
    op->index = row_of(w, p, 0);
    op->flag = sim_p_bool(p, 1);
    return sim_changed(out, 1);
}

static mr_status divide_sum(sim_world *w, mr_pg *pg, const mr_pg_params *p, mr_pg_result **out) {
    const sim_present *me = &w->db.present[row_of(w, p, 2)];
    uint32_t rule = rule_at(w, p);
    int64_t wanting = 0, before = 0, slots = 0;
    double rate = 0;
    (void)pg;
    for (const sim_present *b = w->db.present; b < w->db.present + SIM_BROKERS; b++) {
        const sim_part *part = &b->part[rule];
        if (b == me || !alive(w, b) || !part->there || w->variant == SIM_NO_PARTS) continue;
        wanting += part->wanted;
        before += part->wanted && strcmp(b->name, me->name) < 0;
        slots += part->slots;
        rate += part->rate;
    }
    *out = sim_result_of(4, (const unsigned[]){OID_INT8, OID_INT8, OID_INT8, OID_FLOAT8}, 1);
    sim_set_int(*out, 0, 0, wanting);
    sim_set_int(*out, 0, 1, before);
    sim_set_int(*out, 0, 2, slots);
    sim_set_float(*out, 0, 3, rate);
    return MR_OK;
}

static mr_status divide_put(sim_world *w, mr_pg *pg, const mr_pg_params *p, mr_pg_result **out) {
    sim_op *op = sim_do(pg, SIM_OP_PART);
    op->index = row_of(w, p, 2);
    op->number = rule_at(w, p);
    op->part = (sim_part){
        .there = true, .wanted = sim_p_bool(p, 3), .slots = sim_p_int(p, 4), .rate = sim_p_float(p, 5)};
    return sim_changed(out, 1);
}

static mr_status divide_drop(sim_world *w, mr_pg *pg, const mr_pg_params *p, mr_pg_result **out) {
    sim_items names = sim_array(p, 2);
    bool kept[SIM_RULES] = {false};
    for (uint32_t i = 0, n = names.count; i < n; i++) {
        mr_span name = sim_next_item(&names);
        for (uint32_t k = 0; k < SIM_RULES; k++) kept[k] |= mr_span_eq(name, mr_span_of(w->rule[k].rule.name));
    }
    for (uint32_t k = 0; k < SIM_RULES; k++) {
        if (kept[k]) continue;
        sim_op *op = sim_do(pg, SIM_OP_PART);
        op->index = row_of(w, p, 0);
        op->number = k;
    }
    return sim_changed(out, 1);
}

static mr_status lease_free_limits(sim_world *w, mr_pg *pg, const mr_pg_params *p, mr_pg_result **out) {
    for (uint32_t k = 0; k < SIM_RULES; k++) {
        sim_op *op = sim_do(pg, SIM_OP_PART);
        op->index = row_of(w, p, 0);
        op->number = k;
    }
    return sim_changed(out, 1);
}

static mr_status lease_come_in(sim_world *w, mr_pg *pg, const mr_pg_params *p, mr_pg_result **out) {
    (void)p;
    if (!sim_lock_row(w, pg, LOCK_DIVIDE, false)) return sim_refuse(pg, MR_E_CONFLICT, "40P01");
    return sim_one_bool(out, true);
}

static const struct {
    const char *name;
    sim_statement run;
} statements[] = {
    {"divide_lock", divide_lock},   {"divide_others", divide_others}, {"divide_mark", divide_mark},
    {"divide_sum", divide_sum},     {"divide_put", divide_put},       {"divide_drop", divide_drop},
    {"lease_come_in", lease_come_in}, {"lease_free_limits", lease_free_limits},
};

sim_statement sim_limits_named(const char *name) {
    for (size_t i = 0; i < sizeof statements / sizeof *statements; i++)
        if (!strcmp(statements[i].name, name)) return statements[i].run;
    return NULL;
}
