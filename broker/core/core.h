/* core.h: the broker as a pure state machine. Events go in, actions come out; it knows no socket, clock, thread, file or
 * random source, so the same code runs in the broker and, thousands of times over, in the simulator.
 *
 * A run has steps (one a component); a step has levels: level 0 are the batches of the data set version, level k + 1
 * merges the partials of level k, `fan_in` at a time in their order, until one node is left (shape merge). A piece of
 * all this that is not yet done and is in somebody's hands is a `work`; what it waits for is the list it is on. */
#ifndef MR_BROKER_CORE_CORE_H
#define MR_BROKER_CORE_CORE_H

#include "common/mem.h"
#include "common/status.h"

typedef struct mr_core mr_core;

enum { MR_NAME_MAX = 64, MR_OFFERS_MAX = 256, MR_STEPS_MAX = 64, MR_LEVELS_MAX = 8 };
enum { MR_PRIORITY = 100, MR_PRIORITY_MAX = 1000, MR_RULES_MAX = 4096 };

typedef enum mr_step_shape { MR_STEP_MAP, MR_STEP_MERGE, MR_STEP_WHOLE } mr_step_shape; /* as the wire's offer.shape */

typedef struct mr_core_config {
    const mr_mem *mem;
    uint64_t first_attempt;  /* above every attempt number that a broker of this database ever gave out; dispatching
                              * writes nothing, so reserve a range at start */
    uint32_t lost_after_ms;  /* silence after which a worker's attempts are free again */
    uint32_t load_ahead;     /* inputs that are kept loaded beyond what workers have asked for */
    uint32_t max_loads;      /* loads under way or loaded, at most, with the inputs of attempts that are out: set it
                              * above the sum of all workers' credit, or it is what limits them */
    uint32_t max_errors;     /* failed attempts that end a batch */
    uint32_t max_crashes;    /* attempts that crashed, or took too much memory, that end a batch */
    uint32_t max_timeouts;   /* attempts that were not done by their deadline that end a batch */
    uint32_t retry_base_ms, retry_max_ms; /* exponential backoff of a failed batch */
    uint64_t seed;           /* for the jitter of retries */
    uint32_t turn;           /* most batches that go in one turn of fair shares, as far as the worker asked for them; 0: one */
    uint32_t age_ms;         /* waiting that is worth one point of priority; 0: waiting is worth nothing */
    uint32_t stall_ms;       /* work and credit without any progress for so long is a stall; 0: nobody watches */
} mr_core_config;

/* ---- what a run is ---- */

/* A step of a run as it was planned and committed; core copies it. */
typedef struct mr_step_plan {
    char component[MR_NAME_MAX];
    uint32_t version;
    mr_step_shape shape;
    uint32_t batch_rows;  /* rows of a level-0 batch; the last has what is left */
    uint32_t levels;      /* 1 for map and whole; with merges 2 and more */
    uint32_t counts[MR_LEVELS_MAX]; /* batches or merge nodes of each level; counts[levels - 1] is 1 unless map */
    uint32_t deadline_ms; /* of one attempt */
    uint64_t needs;       /* bit i: begins when step i of the run, which comes before it, has succeeded */
} mr_step_plan;

enum { MR_FAN_IN = 32 };

/* Fills levels and counts from the number of rows: pure arithmetic, the same everywhere. `batch_rows` of a whole step
 * becomes `rows`. E_LIMIT when a level would have more than 2^31 batches, E_INVALID when rows is 0. */
mr_status mr_plan_step(uint64_t rows, uint32_t batch_rows, mr_step_plan *step, mr_error *err) MR_MUST_CHECK;
/* The same for the step of a stream that has `tasks` so far: each is a batch. E_INVALID unless its shape is map, E_LIMIT
 * beyond 2^31 tasks. */
mr_status mr_plan_stream(uint64_t tasks, mr_step_plan *step, mr_error *err) MR_MUST_CHECK;

/* The rows of a level-0 batch: its first row and how many. */
void mr_plan_range(const mr_step_plan *step, uint64_t rows, uint32_t index, uint64_t *first, uint32_t *count);
/* The children of a merge node: first index and count at the level below. */
void mr_plan_children(const mr_step_plan *step, uint32_t level, uint32_t index, uint32_t *first, uint32_t *count);

typedef struct mr_run_plan {
    uint64_t run;
    uint64_t rows;
    uint32_t steps;
    const mr_step_plan *step; /* `steps` of them */
    const char *client;       /* whose run it is, for fair shares; NULL: nobody's */
    uint32_t priority;        /* 1 to MR_PRIORITY_MAX, higher first; 0: MR_PRIORITY */
    bool stream;              /* `rows` are tasks that were submitted one by one; one step, of shape map */
    bool open;                /* a stream that more tasks may come to: it does not end before it is closed */
} mr_run_plan;

/* What holds work back. A rule that holds nothing is the absence of one. */
typedef enum mr_rule_of { MR_RULE_COMPONENT, MR_RULE_RUN, MR_RULE_CLIENT, MR_RULES } mr_rule_of;

typedef struct mr_rule {
    mr_rule_of of;
    char name[MR_NAME_MAX];  /* of the component or client; the number of the run */
    bool paused;             /* nothing new is sent; what is out goes on */
    uint32_t max_concurrent; /* attempts that are out at once; 0: any number */
    double per_second;       /* attempts sent, in the long run; 0: any number */
    uint32_t burst;          /* that may be sent at once after a pause, at least 1; of no use without per_second */
} mr_rule;

/* This broker's part of a rule that several brokers keep together. */
typedef struct mr_allowance {
    mr_rule_of of;
    const char *name;  /* borrowed */
    uint32_t slots;    /* of max_concurrent */
    double per_second; /* of per_second */
} mr_allowance;

typedef enum mr_run_state { MR_RUN_RUNNING, MR_RUN_SUCCEEDED, MR_RUN_FAILED, MR_RUN_CANCELLED } mr_run_state;

/* Which piece of work: the key of its result row. */
typedef struct mr_work_key {
    uint64_t run;
    uint32_t step, level, index;
} mr_work_key;

typedef struct mr_offer {
    char name[MR_NAME_MAX];
    uint32_t version;
} mr_offer;

typedef enum mr_verdict { MR_COMMITTED, MR_STALE, MR_REFUSED, MR_RETRY } mr_verdict; /* as the wire's ack_item */

/* ---- events ---- */

typedef enum mr_event_type {
    MR_EV_WORKER_JOINED, /* a worker's hello; an earlier session of the same peer is over */
    MR_EV_PEER_SEEN,     /* anything came from that peer */
    MR_EV_PEER_GONE,     /* it said bye, or cannot be reached */
    MR_EV_CREDIT,        /* of the session that is open now; credit of an earlier one must not be told */
    MR_EV_RESULT,        /* one result item; also from a peer without a session (it is answered MR_RETRY) */
    MR_EV_RELEASE,       /* the worker gives an attempt back */
    MR_EV_PROGRESS,
    MR_EV_RUN_PLANNED,   /* a run was committed, or is found again at start (then MR_EV_DONE_BEFORE follow) */
    MR_EV_DONE_BEFORE,   /* at start: this result is in the database already */
    MR_EV_DEAD_BEFORE,   /* at start, after all DONE_BEFORE of the run: this batch was given up */
    MR_EV_RUN_OPENED,    /* all MR_EV_DONE_BEFORE and DEAD_BEFORE of the run are told: begin */
    MR_EV_RUN_GROWN,     /* a stream has more tasks: numbered on from those before */
    MR_EV_RUN_CLOSED,    /* no more tasks will come to a stream: committed */
    MR_EV_REPLAY,        /* that a batch which was given up is to be tried again is committed; its run goes on */
    MR_EV_RUN_CANCEL,    /* the cancellation is committed; instead of RUN_OPENED for one found so at start */
    MR_EV_RUN_LEAVE,     /* another broker is to go on with it: nothing new is handed out, what is out may still come */
    MR_EV_RUN_LOST,      /* another broker has it: what is out is called back at once */
    MR_EV_DONE_ELSEWHERE, /* another broker has committed this result */
    MR_EV_LOADED,        /* the input of a work is at hand */
    MR_EV_LOAD_FAILED,
    MR_EV_LOAD_DAMAGED,  /* partials that a merge needs are gone or were moved aside as damaged: they are computed again */
    MR_EV_LOADING,       /* an input that was asked for is coming, though it is not all there yet */
    MR_EV_COMMITTED,     /* the ledger's answer to MR_ACT_COMMIT, with its verdict */
    MR_EV_RULE,          /* a rule was committed; it takes the place of what there was for the same name */
    MR_EV_LIMITS_SHARED, /* whether other brokers keep the limits of components and clients too: then nothing may be sent
                          * under one, also one that comes later, beyond what is allowed; else all of it */
    MR_EV_ALLOWANCE,     /* how much of a limit is this broker's, while limits are shared */
    MR_EV_DRAIN,         /* hand out nothing new */
    MR_EV_TICK           /* time passes; at least every 100 ms */
} mr_event_type;

typedef struct mr_event {
    mr_event_type type;
    uint32_t peer; /* the shell's number of a peer, never used again for another */
    union {
        struct {
            const char *name;
            uint32_t slots, offers;
            const mr_offer *offer;
        } joined;
        uint32_t credit;
        struct {
            uint64_t attempt;
            mr_work_key key;
            mr_status status;
            uint64_t compute_us; /* that it took, as the worker says; 0: it does not */
            uint64_t body;   /* the shell's handle of the bytes; given: core gives it to a COMMIT or DROP action */
            const char *text; /* the error's sentence; borrowed */
        } result;
        uint64_t attempt; /* RELEASE */
        struct {
            uint64_t attempt;
            double done;
        } progress;
        const mr_run_plan *plan;
        mr_work_key key; /* DONE_BEFORE, DONE_ELSEWHERE */
        struct {
            mr_work_key key;
            uint64_t attempt; /* that failed last */
            mr_status status;
            const char *text;
        } dead; /* DEAD_BEFORE: why; borrowed */
        struct {
            mr_work_key key;
            uint64_t attempt; /* of the dead letter: one that came since is another, and stays */
        } replay;
        const mr_rule *rule;
        bool shared; /* LIMITS_SHARED */
        mr_allowance allowance;
        uint64_t run;    /* RUN_OPENED, RUN_CLOSED, RUN_CANCEL, RUN_LEAVE, RUN_LOST */
        struct {
            uint64_t run;
            uint32_t tasks; /* that are new */
        } grown;
        struct {
            uint32_t work;
            uint64_t blob; /* the shell's handle of the input; given, until MR_ACT_UNLOAD */
            mr_status status; /* LOAD_FAILED: why */
            const char *text;
            mr_work_key key;   /* LOAD_DAMAGED: of the merge, and which of its children, the first in bit 0 */
            uint32_t children;
        } loaded;
        struct {
            mr_work_key key;
            uint64_t attempt;
            uint32_t peer;
            mr_verdict verdict; /* MR_RETRY: the database did not take it, the worker is to send it again; MR_REFUSED: it
                                 * never will, for the reason in status and text */
            mr_status status;
            const char *text;
        } committed;
    } as;
} mr_event;

/* ---- actions ---- */

typedef enum mr_action_type {
    MR_ACT_LOAD,     /* bring the input of `key`: rows of the version, or the partials of a merge */
    MR_ACT_UNLOAD,   /* the input is not needed any more */
    MR_ACT_SEND_STEP, /* tell a worker what a step is; comes before the first work of it */
    MR_ACT_SEND_WORK,
    MR_ACT_COMMIT,   /* write this result */
    MR_ACT_ACK,      /* one for each result; MR_COMMITTED for a failed live attempt too: it was taken note of */
    MR_ACT_CANCEL_ATTEMPT, /* tell a worker that an attempt is not wanted */
    MR_ACT_RECORD_FAILURE, /* append a row about a failed attempt; a failed load has a number of its own and peer 0 */
    MR_ACT_DROP_BODY, /* a result's bytes are not needed */
    MR_ACT_STEP_FINISHED, /* for people who watch */
    MR_ACT_RUN_FINISHED, /* append the run's end; no result of the run is with the ledger any more */
    MR_ACT_RUN_LEFT,    /* nothing of a run that was to be left is out or with the ledger any more: forget it */
    MR_ACT_WORKER_LOST, /* the session of a silent worker is closed */
    MR_ACT_STALLED      /* the watchdog's alarm: suspicious works were queued again; the second time it is fatal */
} mr_action_type;

typedef struct mr_action {
    mr_action_type type;
    uint32_t peer;
    mr_work_key key;
    uint64_t attempt;
    uint32_t work;        /* LOAD: to be named in LOADED */
    uint64_t handle;      /* SEND_WORK, UNLOAD: blob; COMMIT, DROP_BODY: body */
    bool last;            /* SEND_WORK, COMMIT: the outcome is the step's result, not a partial */
    bool dead;            /* RECORD_FAILURE: the batch is given up */
    bool fatal;           /* STALLED: nothing moved after the repair either; only a new process can help */
    uint32_t deadline_ms; /* SEND_WORK */
    mr_verdict verdict;   /* ACK */
    mr_status status;     /* RECORD_FAILURE, RUN_FINISHED: why */
    mr_run_state state;   /* RUN_FINISHED */
    char text[256];       /* RECORD_FAILURE, RUN_FINISHED, STALLED: the sentence */
} mr_action;

/* E_MEMORY when there is none. */
mr_status mr_core_new(const mr_core_config *config, mr_core **out) MR_MUST_CHECK;
void mr_core_free(mr_core **core);

/* Takes one event at time `now_ms` (monotonic). Errors leave the state as it was: E_MEMORY; E_INVALID for an event that
 * names a run, work or verdict that core does not wait for, where that cannot be a late message; E_EXISTS for a run that
 * is planned already; E_LIMIT and E_INVALID for a hello or a plan that is not valid. On any error, a handle that came
 * with the event (body, blob) stays the shell's. */
mr_status mr_core_take(mr_core *core, uint64_t now_ms, const mr_event *event, mr_error *err) MR_MUST_CHECK;
/* Hands out what can be: once after a round of events, so that what they brought together goes together. */
void mr_core_hand_out(mr_core *core);
/* Both, for one event alone. */
mr_status mr_core_step(mr_core *core, uint64_t now_ms, const mr_event *event, mr_error *err) MR_MUST_CHECK;

/* The next action, in order; false when there is none. Take them all before the next message of a peer is read, so that
 * no action of a session that has ended reaches the next one. */
bool mr_core_next_action(mr_core *core, mr_action *out);

/* ---- looking at it ---- */

typedef struct mr_level_view {
    uint32_t count, done, dead, in_hand; /* in_hand: loading, ready, sent or being committed */
} mr_level_view;

typedef struct mr_step_view {
    const mr_step_plan *plan;
    mr_run_state state;
    bool waiting; /* for the steps that it needs */
    mr_level_view level[MR_LEVELS_MAX];
} mr_step_view;

typedef struct mr_run_view {
    uint64_t run, rows;
    mr_run_state state;
    uint32_t steps, priority;
    const char *client;
    bool paused; /* by a rule of its own */
    bool leaving; /* it goes to another broker, or has gone */
} mr_run_view;

typedef struct mr_rule_view {
    const mr_rule *rule;
    uint32_t sent; /* attempts that are out under it */
    bool wanted;   /* something under it is out or could be sent but for it */
    uint32_t slots; /* how much of it is this broker's */
    double per_second;
} mr_rule_view;

typedef struct mr_worker_view {
    uint32_t peer, slots, credit, sent; /* sent: attempts that it holds */
    const char *name;
    uint64_t seen_ms, done, failed; /* since it joined */
    uint32_t offers;
    const mr_offer *offer;
} mr_worker_view;

typedef struct mr_core_stats {
    uint32_t runs, workers, loading, ready, sent, committing, waiting_retry;
    uint64_t dispatched, committed, stale, refused, failed, lost;
} mr_core_stats;

void mr_core_stats_get(const mr_core *core, mr_core_stats *out);
/* The i-th, from 0; false past the last. Borrowed until the next step. */
bool mr_core_run_at(const mr_core *core, uint32_t i, mr_run_view *out);
bool mr_core_run_find(const mr_core *core, uint64_t run, mr_run_view *out);
bool mr_core_step_at(const mr_core *core, uint64_t run, uint32_t step, mr_step_view *out);
bool mr_core_worker_at(const mr_core *core, uint32_t i, mr_worker_view *out);
bool mr_core_rule_at(const mr_core *core, uint32_t i, mr_rule_view *out);
/* When work that waits for a rate alone may go; UINT64_MAX: none does. A tick then sends it. */
uint64_t mr_core_due_ms(const mr_core *core);
/* Forgets a run that has finished (its end is committed) or that was left. */
void mr_core_run_forget(mr_core *core, uint64_t run);
/* True when nothing is in hand: draining is over. */
bool mr_core_idle(const mr_core *core);

#endif
