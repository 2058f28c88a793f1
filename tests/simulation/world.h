/* world.h: what the files of the simulator share. */
#ifndef MR_TESTS_SIMULATION_WORLD_H
#define MR_TESTS_SIMULATION_WORLD_H

#include "broker/core/core.h"
#include "common/buf.h"
#include "common/hash.h"
#include "common/rng.h"
#include "tests/simulation/sim.h"

enum {
    SIM_BROKERS = 3,
    SIM_WORKERS = 5,
    SIM_CLIENTS = 1,
    SIM_PROCESSES = SIM_BROKERS + SIM_WORKERS + SIM_CLIENTS,
    SIM_SPECS = 3,
    SIM_STEPS = 4,
    SIM_COMPONENTS = 4,
    SIM_NODES = 100,
    SIM_LEVELS = 4,
    SIM_RULES = 4,
    SIM_PRODUCERS = 2,
    SIM_PACKETS = 8, /* the most of a producer */
    SIM_SLOTS = 8,
    SIM_TASKS = 128,
    SIM_ATTEMPTS = 1 << 17,
    SIM_BATCH_ROWS = 32,
    SIM_AGE_MS = 20,
    SIM_LOST_MS = 2000,
    SIM_DEADLINE_MS = 10000,
    SIM_FAULTS_MS = 12000,
    SIM_END_MS = 600000
};
#define SIM_NEVER UINT64_MAX

typedef struct sim_world sim_world;
typedef struct sim_process sim_process;
typedef struct sim_task sim_task;
typedef struct sim_frame sim_frame;

/* ---- the agenda (task.c): what happens at a moment ---- */

typedef enum sim_kind {
    SIM_RESUME,                                            /* task a, at its gen b */
    SIM_FRAME_COMES, SIM_CONNECT, SIM_LINK_FAULT,          /* network.c */
    SIM_START, SIM_KILL, SIM_TERM, SIM_PAUSE, SIM_POKE, SIM_CLOCK_JUMP, /* process.c: process a */
    SIM_DB_DOWN, SIM_DB_UP, SIM_DB_SLOW, SIM_DB_FULL, SIM_DB_KILL, SIM_DB_LATE, SIM_DB_CLOCK, /* database.c */
    SIM_LOOK                                               /* world.c: is all quiet? */
} sim_kind;

typedef struct sim_item {
    uint64_t at, order; /* at: microseconds */
    sim_kind kind;
    uint32_t a, b;
    void *p;
} sim_item;

void sim_at(sim_world *w, uint64_t delay_us, sim_item item);
bool sim_next(sim_world *w, sim_item *out);

/* ---- processes and their threads (task.c) ---- */

typedef enum sim_role { SIM_BROKER, SIM_WORKER, SIM_CLIENT } sim_role;

struct sim_process {
    sim_role role;
    uint32_t number, index, life; /* number: of all processes; index: of its role */
    bool up, dying;               /* dying: killed; nothing that it still does reaches anybody */
    bool term, woken, asked;      /* a signal waits; its waker was woken; it was asked to end */
    uint64_t paused_until, well_since; /* well_since: it started, or was paused last */
    int64_t wall_us;              /* its time of day beside ours */
    uint32_t threads;
    sim_task *poller;             /* in mr_net_poll */
    void *program;                /* what its role keeps: sim_broker, sim_worker or NULL */
};

void sim_spawn(sim_world *w, sim_process *p, void *(*run)(void *), void *arg, uint64_t *thread);
/* The thread that was begun last sees this as its machine's name. */
void sim_name_thread(sim_world *w, const char *host);
/* For the thread that runs: waits until then, or until it is woken (true). Between two calls of these nothing else runs. */
bool sim_block(sim_world *w, uint64_t until_us);
void sim_sleep(sim_world *w, uint64_t us);
void sim_wake(sim_world *w, sim_task *t);
void sim_resume(sim_world *w, const sim_item *item);
void sim_wake_all(sim_world *w, const sim_process *p);
void sim_tasks_free(sim_world *w);
sim_process *sim_self(void); /* whose thread runs; NULL outside of a schedule */
sim_world *sim_here(void);
void sim_enter(sim_world *w); /* NULL: leave */

/* Descriptors that are none. */
enum { SIM_FD = 1 << 20, SIM_FD_SIGNAL = 0, SIM_FD_WAKER, SIM_FD_SLOTS, SIM_FDS };
int sim_fd(const sim_process *p, int which);
bool sim_fd_readable(sim_world *w, int fd);

/* ---- network.c ---- */

struct mr_socket;
typedef struct sim_conn {
    uint32_t id, socket, broker, broker_life;
    bool up, told;      /* told: the router still takes it for alive */
    bool closing;       /* the dealer is closed; what it sent still arrives */
    uint64_t last[2], stalled[2], cut_until[2], down_us; /* down_us: since when it is not up */
    uint64_t credit;    /* given and not used, as the messages say */
    bool session;
} sim_conn;

void sim_frame_comes(sim_world *w, sim_frame *f);
void sim_connect(sim_world *w, uint32_t socket);
/* Somewhere; or that cut is over. */
void sim_link_fault(sim_world *w, uint32_t healed);
void sim_network_free(sim_world *w);
void sim_network_killed(sim_world *w, const sim_process *p);
bool sim_network_quiet(const sim_world *w);
void sim_send_ack(sim_world *w, uint32_t conn, uint64_t attempt);

/* ---- the table (tables.c) ---- */

/* One key of the table and what the checker knows of it. */
typedef struct sim_node {
    uint32_t rows;
    uint64_t value, expected, attempt; /* attempt: whose row it is */
    uint8_t errors, crashes, loads;    /* faults that it has had */
    bool poison;                       /* each attempt at it fails */
    bool unfit;                        /* and it fails because the database refuses its result */
    bool dead;                         /* a row says that it was given up, and nobody has decided otherwise */
    uint64_t dead_of;                  /* the attempt of that row */
} sim_node;

typedef struct sim_step {
    uint32_t component;
    mr_step_plan plan;
} sim_step;

/* A run that the client wants, and its row. */
typedef struct sim_spec {
    uint64_t rows, seed, run;        /* run: its id once it is committed, else 0 */
    uint32_t priority, steps;
    char client[8], client_row[16]; /* client_row: as the table has it */
    sim_step step[SIM_STEPS];
    bool poisoned, cancelled, replayed, to_replay, at_once; /* at_once: while it goes on, if it can be */
    uint64_t submit_at_us, cancel_at_us;
    bool stream, closed;             /* its only step's counts[0] is how many tasks there will be in the end */
    uint32_t tasks, producers, feeding, packets[SIM_PRODUCERS], packets_stored[SIM_PRODUCERS]; /* tasks: stored so far */
    int life, ended_life;            /* ended_life: of its last end, -1: none */
    mr_run_state state;
    uint32_t rows_of_run;            /* runs that were committed for it */
    uint8_t hash[32];
    struct {
        char component[16], options[16];
        int64_t version, shape, columns, batch_rows, deadline_ms;
    } step_row[SIM_STEPS];
    sim_node node[SIM_STEPS][SIM_LEVELS][SIM_NODES];
} sim_spec;

/* A rule that is set at some time and taken back later; `now` is what the table says. */
typedef struct sim_rule {
    mr_rule rule;
    uint64_t from_us, until_us;
    mr_rule now;
    int64_t pause_id, limit_id; /* of the rows that count */
    bool begun;                 /* several brokers: tokens and at_us are of all of them together */
    double tokens;
    uint64_t at_us;
} sim_rule;

typedef struct sim_lease {
    char owner[128];
    int64_t epoch;
    uint64_t expires_us;
} sim_lease;

/* A broker's part of a limit. */
typedef struct sim_part {
    bool there, wanted;
    int64_t slots;
    double rate;
} sim_part;

/* A row of millrace.broker. */
typedef struct sim_present {
    char name[16];
    uint64_t instance, expires_us;
    int state; /* 0 serving, 1 draining, 2 left */
    bool sharing;
    sim_part part[SIM_RULES];
} sim_present;

typedef struct sim_failure {
    int64_t id;
    mr_work_key key;
    uint64_t attempt;
    int64_t status;
    bool dead, settled;
    int life; /* that began when it was settled */
} sim_failure;

/* A row of millrace.task_block with its pieces. */
typedef struct sim_packet {
    uint64_t run, producer, packet, first;
    uint32_t tasks;
    bool stored; /* committed */
    uint8_t *bytes;
    size_t len;
} sim_packet;

typedef struct sim_op sim_op;
typedef struct sim_transaction sim_transaction;
typedef struct sim_lock {
    uint64_t what, transaction;
    bool shared;
} sim_lock;

typedef struct sim_database {
    bool down, full;
    uint64_t well_us;             /* when it was last neither, or came to be */
    uint32_t slow;                /* factor of every statement's time */
    int64_t clock_us;             /* its clock beside ours */
    int64_t rule_sequence;
    uint64_t run_sequence, block_sequence, failure_sequence, transactions;
    struct mr_pg *connections;
    sim_transaction *late;
    sim_lock *lock;
    uint32_t locks, lock_cap;
    uint8_t *ended;               /* by transaction: 0 in progress, 1 committed, 2 aborted */
    size_t ended_cap;
    sim_lease lease[16];
    sim_present present[SIM_BROKERS];
    sim_failure *failure;
    uint32_t failures, failure_cap;
    sim_packet *packet;
    uint32_t packets, packet_cap;
} sim_database;

void sim_database_take(sim_world *w, const sim_item *item);
void sim_database_killed(sim_world *w, const sim_process *p);
void sim_database_free(sim_world *w);
sim_spec *sim_spec_of_run(sim_world *w, uint64_t run);
sim_node *sim_node_of(sim_world *w, const mr_work_key *key); /* NULL: of no run that is committed */

/* ---- processes (process.c, broker.c, worker.c, client.c) ---- */

typedef struct sim_job {
    bool busy, stuck, ended;
    uint64_t attempt, ends_us, deadline_us;
    uint32_t component, level, index, last;
    uint64_t seed, input;
    mr_work_key key;
    mr_status status; /* forced end, or MR_OK */
} sim_job;

typedef struct sim_worker {
    uint32_t slots, components; /* components: bits */
    double slowness;
    struct mr_link *link[SIM_BROKERS];
    uint32_t links;
    sim_job job[SIM_SLOTS];
} sim_worker;

/* An input in a broker's hands. */
typedef struct sim_input {
    uint64_t blob;
    mr_work_key key;
    uint32_t work;
    bool loaded, sent;
} sim_input;

typedef struct sim_live {
    uint64_t attempt;
    uint32_t peer;
    mr_work_key key;
} sim_live;

enum { SIM_INPUTS = 8192, SIM_LIVES = 512, SIM_PEERS = 4096 };

typedef struct sim_broker {
    struct mr_broker *program;
    mr_core *core;
    uint64_t core_ms; /* the latest time that the core was told */
    mr_mem_failing mem;
    uint64_t results, answers;
    bool joined; /* a worker has come */
    bool stuck; /* its loader is: what it loads never comes */
    sim_input input[SIM_INPUTS];
    uint32_t inputs;
    mr_action *action; /* given out by the core and not yet carried out: from action_at to actions */
    size_t actions, action_at, action_cap;
    sim_live live[SIM_LIVES];
    uint32_t lives;
    uint32_t offers[SIM_PEERS], conn[SIM_PEERS]; /* by peer: components, with bit 31 while the session is open */
    struct {
        mr_rule rule;
        bool set, told; /* told: to the core; else only read by its shell */
        double tokens;
        uint64_t at_ms, told_us; /* told_us: when it changed last */
    } rule[SIM_RULES];
    uint64_t since_ms[SIM_SPECS], sent_ms[SIM_SPECS][SIM_STEPS];
    bool told[SIM_SPECS][SIM_STEPS][SIM_LEVELS][SIM_NODES];   /* in the table when this broker last read the run */
    bool before[SIM_SPECS][SIM_STEPS][SIM_LEVELS][SIM_NODES]; /* told, when the run was opened */
    bool committing[SIM_SPECS][SIM_STEPS][SIM_LEVELS][SIM_NODES];
} sim_broker;

void sim_process_take(sim_world *w, const sim_item *item);
void sim_process_kill(sim_world *w, sim_process *p);
int64_t sim_jump_us(sim_world *w); /* by how much a clock jumps */
void sim_process_pause(sim_world *w, sim_process *p); /* for a while */
/* By its main thread, at its very end: it will be started again. */
void sim_process_ended(sim_world *w, sim_process *p);
void *sim_broker_main(void *process);
void *sim_worker_main(void *process);
void sim_client_begin(sim_world *w);
bool sim_jobs_quiet(const sim_worker *me);

/* ---- stream.c, feeder.c: producers are numbered from 0 here, and from 1 in the tables ---- */
uint32_t sim_packet_tasks(const sim_spec *s, uint32_t producer, uint32_t packet);
void sim_task_body(uint32_t producer, uint32_t packet, uint32_t task, mr_buf *out);
bool sim_is_task(const sim_spec *s, uint64_t input);
const sim_packet *sim_packet_of(const sim_world *w, const sim_spec *s, uint32_t producer, uint64_t packet); /* NULL: not stored */
void sim_packets_free(sim_world *w);
void sim_feed(sim_world *w, uint32_t spec); /* its producers begin */
void *sim_feeder(void *feed);

/* ---- check.c: every event and action of every core passes here ---- */
void sim_check_rules_read(sim_world *w, sim_broker *b);
void sim_check_ack(sim_world *w, const sim_process *p, uint64_t attempt, uint8_t verdict);
/* What this broker is told of a run's results: read now. */
void sim_told_done(sim_world *w, uint64_t run);
void sim_check_end(sim_world *w);
/* Every now and then: what went to a worker that is gone has come back. */
void sim_check_recovered(sim_world *w);
void sim_check_job(sim_world *w, const sim_worker *me, const sim_job *job, uint64_t input);
uint64_t sim_compute(uint64_t input, uint64_t seed, uint32_t component, uint32_t level, uint32_t index);
uint64_t sim_bytes(mr_span bytes);
void sim_expect(sim_world *w, uint32_t spec);

/* ---- watch.c: rules, priorities and what is out ---- */
void sim_rule_told(sim_world *w, sim_broker *b, const mr_rule *rule);
void sim_check_send(sim_world *w, sim_broker *b, const mr_action *a);
void sim_not_out(sim_broker *b, uint32_t peer, uint64_t attempt);

/* ---- world.c ---- */

/* What an attempt number was used for. */
typedef struct sim_attempt {
    mr_work_key key;
    bool used, answered_ok;
    uint8_t status; /* of its result, once there was one */
    uint32_t sent_conn;
} sim_attempt;

struct sim_world {
    sim_variant variant;
    bool trace, broken, ending;
    sim_report *report;
    uint64_t now, order; /* microseconds */
    mr_rng rng, secrets, pace; /* secrets: what programs draw for themselves; pace: how long they take */
    uint64_t pace_us;          /* the longest between two looks at the clock, but for hitches */
    sim_item *heap;
    size_t items, cap;
    sim_task *task[SIM_TASKS];
    sim_task *running;
    uint32_t brokers;

    double p_lose, p_twice, p_overtake, p_stall, p_break, p_full, p_error, p_crash, p_stuck, p_load_fails, p_load_stuck,
        p_unknown, p_starve, p_hitch, p_pause_fenced;
    sim_process process[SIM_PROCESSES];
    sim_worker worker[SIM_WORKERS];
    sim_spec spec[SIM_SPECS];
    sim_rule rule[SIM_RULES];
    sim_database db;
    struct mr_socket **socket;
    uint32_t sockets, socket_cap;
    sim_conn *conn;
    uint32_t conns, conn_cap;
    uint64_t frames_out, client_link_us; /* client_link_us: until when connections of clients have had faults */
    sim_attempt attempt[SIM_ATTEMPTS];
    mr_arena *spy;
};

#define SIM_COUNT(w, name) ((w)->report->count[SIM_C_##name]++)
static inline uint64_t sim_ms(const sim_world *w) { return w->now / 1000; }
bool sim_chance(sim_world *w, double p);
uint64_t sim_between(sim_world *w, uint64_t low, uint64_t high);
void sim_broken(sim_world *w, const char *fmt, ...) MR_PRINTF(2, 3);
void sim_trace(const sim_world *w, const char *fmt, ...) MR_PRINTF(2, 3);
/* False once faults are over. */
bool sim_faulty(const sim_world *w);
sim_attempt *sim_attempt_of(sim_world *w, uint64_t attempt);
sim_process *sim_broker_process(sim_world *w, uint32_t index);
sim_process *sim_worker_process(sim_world *w, uint32_t index);

#endif
