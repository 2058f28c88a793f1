/* presence.c: the statements about which brokers are there: millrace.broker, and what they say to each other. */
#include "tests/simulation/database.h"

#include "broker/io/lease.h"
#include "tests/simulation/values.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LOCK_PRESENT = 600 }; /* beside the rows of tables.c */

uint32_t sim_present_named(const sim_world *w, const char *name) {
    for (uint32_t i = 0; i < SIM_BROKERS; i++)
        if (!strcmp(w->db.present[i].name, name)) return i;
    for (uint32_t i = 0; i < SIM_BROKERS; i++)
        if (!w->db.present[i].name[0]) return i;
    MR_ASSERT(false && "there are more brokers than rows for them");
    return 0;
}

static void put_present(mr_pg *pg, uint32_t at, const char *name, uint64_t instance, int state, uint64_t until_us) {
    sim_op *op = sim_do(pg, SIM_OP_PRESENT);
    op->index = at;
    op->value = instance;
    op->status = state;
    op->until_us = until_us;
    snprintf(op->text, sizeof op->text, "%s", name);
}

/* A commit of an earlier process that is on its way still has the row. */
static bool lock_present(sim_world *w, mr_pg *pg, uint32_t at) { return sim_lock_row(w, pg, LOCK_PRESENT + at * 2, false); }

static uint64_t instance_of(const mr_pg_params *p) {
    char text[32];
    sim_p_text(p, 1, text, sizeof text);
    return strtoull(text, NULL, 16);
}

static mr_status lease_register(sim_world *w, mr_pg *pg, const mr_pg_params *p, mr_pg_result **out) {
    char name[128];
    sim_p_text(p, 0, name, sizeof name);
    uint32_t at = sim_present_named(w, name);
    if (!lock_present(w, pg, at)) return sim_refuse(pg, MR_E_CONFLICT, "40P01");
    put_present(pg, at, name, instance_of(p), 0, sim_database_now(w) + (uint64_t)(sim_p_float(p, 3) * 1e6));
    return sim_changed(out, 1);
}

static mr_status lease_live(sim_world *w, mr_pg *pg, const mr_pg_params *p, mr_pg_result **out) {
    char name[128], state[16];
    sim_p_text(p, 0, name, sizeof name);
    sim_p_text(p, 2, state, sizeof state);
    uint32_t at = sim_present_named(w, name);
    const sim_present *b = &w->db.present[at];
    if (!lock_present(w, pg, at)) return sim_refuse(pg, MR_E_CONFLICT, "40P01");
    if (strcmp(b->name, name) || b->instance != instance_of(p)) return sim_changed(out, 0);
    bool left = !strcmp(state, "left");
    put_present(pg, at, name, b->instance, left ? 2 : !strcmp(state, "draining"),
                sim_database_now(w) + (left ? 0 : (uint64_t)(sim_p_float(p, 3) * 1e6)));
    return sim_changed(out, 1);
}

/* The row as this transaction has it. */
static sim_present present_at(const sim_world *w, mr_pg *pg, uint32_t i) {
    sim_present b = w->db.present[i];
    const sim_transaction *t = sim_transaction_of(pg);
    for (size_t k = 0; k < t->ops; k++) {
        if (t->op[k].kind != SIM_OP_PRESENT || t->op[k].index != i) continue;
        b.state = (int)t->op[k].status;
        b.expires_us = t->op[k].until_us;
        snprintf(b.name, sizeof b.name, "%.15s", t->op[k].text);
    }
    return b;
}

static mr_status lease_brokers(sim_world *w, mr_pg *pg, const mr_pg_params *p, mr_pg_result **out) {
    char name[128];
    int64_t serving = 0, before = 0, others = 0;
    sim_p_text(p, 0, name, sizeof name);
    for (uint32_t i = 0; i < SIM_BROKERS; i++) {
        sim_present b = present_at(w, pg, i);
        if (!b.name[0] || b.state == 2 || b.expires_us <= sim_database_now(w)) continue;
        serving += b.state == 0;
        before += b.state == 0 && strcmp(b.name, name) < 0;
        others += strcmp(b.name, name) != 0;
    }
    *out = sim_result_of(3, (const unsigned[]){OID_INT8, OID_INT8, OID_INT8}, 0);
    sim_set_int(*out, 0, 0, serving);
    sim_set_int(*out, 0, 1, before);
    sim_set_int(*out, 0, 2, others);
    return MR_OK;
}

static mr_status lease_expiry(sim_world *w, mr_pg *pg, const mr_pg_params *p, mr_pg_result **out) {
    char owner[128];
    uint64_t now = sim_database_now(w), least = SIM_NEVER;
    (void)pg;
    sim_p_text(p, 0, owner, sizeof owner);
    for (uint32_t i = 0; i < MR_PARTITIONS; i++) {
        const sim_lease *l = &w->db.lease[i];
        if (l->owner[0] && strcmp(l->owner, owner) && l->expires_us < least) least = l->expires_us;
    }
    *out = sim_result_of(1, (const unsigned[]){OID_FLOAT8}, 0);
    sim_set_float(*out, 0, 0, least == SIM_NEVER ? -1 : least <= now ? 0 : (double)(least - now) / 1000);
    return MR_OK;
}

static mr_status lease_notify(sim_world *w, mr_pg *pg, const mr_pg_params *p, mr_pg_result **out) {
    (void)w;
    sim_op *op = sim_do(pg, SIM_OP_NOTIFY);
    sim_p_text(p, 0, op->text, sizeof op->text);
    return sim_one_bool(out, true);
}

static const struct {
    const char *name;
    sim_statement run;
} statements[] = {
    {"lease_register", lease_register}, {"lease_live", lease_live},     {"lease_brokers", lease_brokers},
    {"lease_expiry", lease_expiry},     {"lease_notify", lease_notify},
};

sim_statement sim_presence_named(const char *name) {
    for (size_t i = 0; i < sizeof statements / sizeof *statements; i++)
        if (!strcmp(statements[i].name, name)) return statements[i].run;
    return NULL;
}
