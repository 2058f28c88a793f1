/* world.h: what the files of the simulator share. */
#ifndef MR_TESTS_SIMULATION_WORLD_H
#define MR_TESTS_SIMULATION_WORLD_H

#include "broker/core/core.h"
#include "common/rng.h"
#include "tests/simulation/sim.h"

enum {
    SIM_WORKERS = 5,
    SIM_RUNS = 3,
    SIM_STEPS = 4,
    SIM_COMPONENTS = 4,
    SIM_HELD = 256,
    SIM_JOBS = 16,
    SIM_NODES = 160,
    SIM_RULES = 4,
    SIM_LIVE = 512,
    SIM_AGE_MS = 20,
    SIM_STALL_MS = 4000,
    SIM_LOST_MS = 2000,
    SIM_DEADLINE_MS = 10000,
    SIM_FAULTS_MS = 15000,
    SIM_END_MS = 600000
};

/* What happens at a moment; the letter says where: B the broker, W a worker, D the database side. B_HELLO to
 * B_BYE come from a worker, W_WELCOME to W_CANCEL go to one; W_AGAIN: there is no session, say hello. */
typedef enum sim_kind {
    B_HELLO, B_CREDIT, B_RESULT, B_RELEASE, B_HEARTBEAT, B_BYE,
    W_WELCOME, W_AGAIN, W_STEP, W_WORK, W_ACK, W_CANCEL,
    W_JOB_DONE, W_RESEND, W_BEAT, W_CRASH, W_START, W_PAUSE,
    D_LOADED, D_COMMIT, D_RESOLVE, D_RUN_ENDED, D_DEAD, D_DOWN, D_UP,
    B_TICK, B_CRASH, B_START, B_SUBMIT, B_CANCEL, B_RULE, B_REPLAY,
    SIM_KINDS
} sim_kind;

typedef struct sim_item {
    uint64_t at, order;
    sim_kind kind;
    uint32_t worker, life; /* life: of the process it is for or comes from; an older one's items vanish */
    uint32_t broker_life;  /* the same for the broker */
    uint32_t session, peer, work, amount, job, rule;
    mr_work_key key;
    uint64_t attempt, value;
    mr_status status;
    mr_verdict verdict;
    mr_run_state state;
    bool failing;
} sim_item;

typedef struct sim_held {
    mr_work_key key;
    uint64_t attempt, value;
    mr_status status;
} sim_held;

typedef struct sim_job {
    bool busy, stuck;
    sim_held work; /* value: the input */
} sim_job;

typedef struct sim_worker {
    bool up, keeps, has_session;
    uint32_t life, peer, session, slots;
    uint32_t credit;     /* given and not yet used */
    uint32_t components; /* bits */
    uint64_t paused_until;
    sim_held held[SIM_HELD];
    uint32_t helds;
    sim_job job[SIM_JOBS];
    bool knows[SIM_RUNS][SIM_STEPS];
    uint64_t up_last, down_last, up_stalled, down_stalled; /* the link: order is kept, and it may stall */
    double slowness;
} sim_worker;

/* One key of the table and what the checker knows of it. */
typedef struct sim_node {
    uint32_t rows;
    uint64_t value, expected;
    uint32_t committing, errors, crashes;
    bool before;  /* was in the table when this broker started */
    bool poison;
    bool dead;    /* a row says that it was given up */
} sim_node;

typedef struct sim_run_row {
    bool submitted, ended, cancelled, poisoned;
    bool replay, was_over; /* replay: it will be replayed; was_over: it had ended once */
    uint32_t priority;
    char client[8];
    uint64_t rows, since_ms, sent_ms[SIM_STEPS];
    mr_run_state state;
    mr_step_plan step[SIM_STEPS];
    uint32_t steps;
    sim_node node[SIM_STEPS][MR_LEVELS_MAX][SIM_NODES];
} sim_run_row;

typedef struct sim_handle {
    uint64_t value;
    mr_work_key key;
    bool open, sent;
} sim_handle;

/* A rule of the table, which is set once and taken back once. */
typedef struct sim_rule {
    mr_rule rule;
    bool set, over; /* over: taken back, whenever it may come to be set */
    double tokens; /* the checker's own count for its rate */
    uint64_t at_ms;
} sim_rule;

/* An attempt that is out, as the checker sees it. */
typedef struct sim_live {
    uint64_t attempt;
    uint32_t peer;
    mr_work_key key;
} sim_live;

typedef struct sim_handles {
    sim_handle *item;
    size_t count, cap;
} sim_handles;

typedef struct sim_world {
    sim_variant variant;
    bool trace;
    sim_report *report;
    uint64_t now, order;
    mr_rng rng;
    sim_item *heap;
    size_t items, cap;

    double p_lose, p_duplicate, p_error, p_stuck, p_load_fails, p_unknown, p_starve, p_swallow;
    sim_rule rule[SIM_RULES];
    sim_live live[SIM_LIVE];
    uint32_t lives, swallowed; /* swallowed: inputs that this broker asked for and that never come */
    sim_worker worker[SIM_WORKERS];
    sim_run_row run[SIM_RUNS];

    mr_core *core;
    mr_mem_failing mem;       /* the core's; some events get none and are given again */
    uint32_t broker_life, next_peer, next_session;
    bool broker_up, database_down;
    uint32_t sessions[4096];  /* by peer: its session; 0 none */
    uint8_t seen_attempts[1 << 18];
    uint64_t results_in, acks_out;
    sim_handles bodies, blobs;
    bool broken;
} sim_world;

/* ---- world.c ---- */
bool sim_chance(sim_world *w, double p);
uint64_t sim_between(sim_world *w, uint64_t low, uint64_t high);
/* An item that comes again (a paused worker's) keeps its place in the order. */
void sim_at(sim_world *w, uint64_t delay, sim_item item);
bool sim_next(sim_world *w, sim_item *out);
void sim_broken(sim_world *w, const char *fmt, ...) MR_PRINTF(2, 3);
void sim_trace(const sim_world *w, const sim_item *item);
uint64_t sim_handle_new(sim_handles *h, uint64_t value, const mr_work_key *key);
/* Closes it; what was not open is a fault. */
uint64_t sim_handle_close(sim_world *w, sim_handles *h, uint64_t handle, const char *what);
sim_node *sim_node_of(sim_world *w, const mr_work_key *key);
uint64_t sim_batch_input(const mr_work_key *key);
uint64_t sim_compute(uint64_t input);
/* The input of a merge from its children: from the table, or as expected. False: a child is missing. */
bool sim_merge_input(sim_world *w, const mr_work_key *key, bool expected, uint64_t *input);
uint32_t sim_component_of(const mr_step_plan *step);

/* ---- watch.c: what is checked of rules, priorities and attempts that are out ---- */
void sim_rule_told(sim_world *w, sim_rule *rule);
bool sim_rule_applies(const sim_world *w, const mr_rule *rule, const mr_work_key *key);
void sim_check_send(sim_world *w, const mr_action *a);
/* That attempt, or all of that peer (attempt 0), is out no more. */
void sim_not_out(sim_world *w, uint32_t peer, uint64_t attempt);

/* ---- worker.c ---- */
void sim_worker_take(sim_world *w, const sim_item *item);
void sim_to_broker(sim_world *w, uint32_t worker, sim_item item);
void sim_to_worker(sim_world *w, uint32_t worker, sim_item item);

/* ---- shell.c ---- */
void sim_broker_take(sim_world *w, const sim_item *item);
/* The core is gone, and all its memory with it. */
void sim_core_free(sim_world *w);
void sim_database_take(sim_world *w, const sim_item *item);

#endif
