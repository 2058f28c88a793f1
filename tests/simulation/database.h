/* database.h: between the simulated server (database.c) and its statements (tables.c). */
#ifndef MR_TESTS_SIMULATION_DATABASE_H
#define MR_TESTS_SIMULATION_DATABASE_H

#include "broker/core/partitions.h"
#include "common/pg.h"
#include "tests/simulation/world.h"

typedef enum sim_op_kind {
    SIM_OP_RESULT, SIM_OP_FAILURE, SIM_OP_END, SIM_OP_REOPEN, SIM_OP_RUN, SIM_OP_STEP, SIM_OP_LEASE, SIM_OP_PAUSE,
    SIM_OP_LIMIT, SIM_OP_SETTLE, SIM_OP_PRESENT, SIM_OP_SHARING, SIM_OP_PART, SIM_OP_NOTIFY,
    SIM_OP_PACKET, SIM_OP_CLOSE
} sim_op_kind;

/* What a transaction will have done. */
struct sim_op {
    sim_op_kind kind;
    mr_work_key key;       /* of RESULT and FAILURE; run of END, REOPEN, RUN, STEP */
    uint64_t attempt, value; /* PRESENT: value: the instance */
    int64_t id, number;    /* FAILURE, SETTLE: id; LEASE: epoch; RUN: seed */
    uint32_t index;        /* STEP: its place; LEASE: partition; RUN: spec; PAUSE, LIMIT: rule; PACKET: which */
    int life;
    bool flag;             /* FAILURE: dead; SETTLE: replayed; LEASE: the epoch changes */
    int64_t status;
    uint64_t until_us;     /* LEASE, PRESENT */
    mr_run_state state;
    mr_rule rule;
    sim_part part;
    int64_t numbers[5];    /* STEP: version, shape, columns, batch_rows, deadline_ms */
    char text[128], more[16];
    uint8_t hash[32];
};

struct sim_transaction {
    sim_transaction *next;
    uint64_t id;
    bool open, failed, explicit; /* explicit: it was begun by name, and a sync does not end it */
    sim_op *op;
    size_t ops, cap;
    int64_t fenced[MR_PARTITIONS]; /* epochs of the partitions that it named; 0: none */
};

/* One statement: reads its parameters, leaves its result. On an error `pg->sqlstate` says why. */
typedef mr_status (*sim_statement)(sim_world *w, struct mr_pg *pg, const mr_pg_params *p, mr_pg_result **out);
sim_statement sim_statement_named(const char *name);
sim_statement sim_presence_named(const char *name); /* presence.c */
sim_statement sim_limits_named(const char *name);   /* limits.c */
sim_statement sim_stream_named(const char *name);   /* stream.c */
void sim_apply_packet(sim_world *w, uint32_t index);
void sim_apply_close(sim_world *w, uint64_t run);
uint32_t sim_present_named(const sim_world *w, const char *name); /* its row, or the place of one */

/* False when the connection was lost, or a deadlock was found, while it waited. */
bool sim_lock_row(sim_world *w, struct mr_pg *pg, uint64_t what, bool shared);
/* The same for its own use alone, or false at once. */
bool sim_try_lock_row(sim_world *w, struct mr_pg *pg, uint64_t what);
sim_transaction *sim_transaction_of(struct mr_pg *pg);
sim_op *sim_do(struct mr_pg *pg, sim_op_kind kind);
mr_status sim_refuse(struct mr_pg *pg, mr_status status, const char *sqlstate);
void sim_apply(sim_world *w, const sim_op *op);
void sim_notify(sim_world *w, const char *text); /* to every connection that listens */
uint64_t sim_database_now(const sim_world *w);
mr_pg_result *sim_row_of(const mr_pg_result *all, uint32_t row); /* a result of one row */

/* Binary COPY into the table of results: rows as pg_wire.c writes them. */
mr_status sim_copy_results(sim_world *w, struct mr_pg *pg, mr_span rows);

#endif
