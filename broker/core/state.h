/* state.h: what the core holds, and the functions that its files share. Only broker/core includes it.
 *
 * An event first reserves all memory that it can need (mr_core_take), so what it then changes cannot fail
 * half-way. mr_core_hand_out then hands out what can be handed out, and stops early when memory is short. */
#ifndef MR_BROKER_CORE_STATE_H
#define MR_BROKER_CORE_STATE_H

#include "broker/core/bits.h"
#include "broker/core/core.h"
#include "common/map.h"
#include "common/rng.h"

typedef struct mr_link {
    struct mr_link *prev, *next;
} mr_link;

typedef struct mr_list {
    mr_link head; /* a ring; empty when it points at itself */
    uint32_t count;
} mr_list;

void mr_list_init(mr_list *l);

/* The list that a work is on: this is its whole state. Only mr_work_move changes it. */
typedef enum mr_work_list {
    MR_W_FREE,    /* core.free: a slot without work */
    MR_W_PENDING, /* step.list: came back (lost, released, retried); goes out before anything new */
    MR_W_WAITING, /* step.list, and core.wheel: failed; waits until at_ms */
    MR_W_LOADING, /* step.list: its input was asked for */
    MR_W_READY,   /* step.list: holds its input, waits for credit */
    MR_W_SENT,    /* step.list in the order of sending, and worker.sent: an attempt is out; holds its input */
    MR_W_COMMITTING, /* step.list: a result of it is with the ledger */
    MR_W_DEAD,       /* step.list: given up; stays until it is replayed or its run is forgotten */
    MR_W_ABANDONED,  /* core.abandoned: not wanted any more, waits only for the answer to its load */
    MR_W_LISTS
} mr_work_list;

typedef struct mr_worker mr_worker;
typedef struct mr_step mr_step;
typedef struct mr_run mr_run;
typedef struct mr_lane mr_lane;
typedef struct mr_share mr_share;
typedef struct mr_limit mr_limit;

/* What a failed attempt is charged to: each has a budget of its own. */
typedef enum mr_budget { MR_BUDGET_ERRORS, MR_BUDGET_CRASHES, MR_BUDGET_TIMEOUTS, MR_BUDGETS } mr_budget;

typedef struct mr_work {
    mr_link link, side; /* side: in worker.sent or core.wheel */
    mr_step *step;      /* NULL when free or abandoned */
    uint32_t id, level, index;
    mr_work_list list;
    uint64_t attempt;   /* SENT: the live one; COMMITTING: the one whose result it is; DEAD: the last; else 0 */
    mr_worker *worker;  /* SENT */
    uint64_t blob;      /* READY, SENT */
    uint64_t at_ms;     /* WAITING: until when; SENT: since when */
    uint64_t charged_us; /* SENT: what its share was charged for it */
    uint32_t failed[MR_BUDGETS], load_failures;
} mr_work;

/* A component of one version: the steps that need it and the workers that offer it meet here. */
struct mr_lane {
    char name[MR_NAME_MAX];
    uint32_t version;
    uint32_t steps;      /* of runs that are not forgotten */
    mr_worker **worker;
    uint32_t workers, cap, turn; /* turn: where the search for a worker with credit begins */
    uint64_t credit;     /* of its workers; changed by mr_worker_credit alone */
    uint32_t count[MR_W_LISTS]; /* works of its steps by list; changed by mr_work_move alone */
    uint64_t pass, vtime;       /* as a child of the core; of its shares; in microseconds of computing */
    uint64_t cost8;             /* eight times what a batch takes; 0: nobody knows */
    mr_share **share;
    uint32_t shares, share_cap;
};

/* What one client wants of a lane at one priority: its steps there share one turn. */
struct mr_share {
    char client[MR_NAME_MAX];
    uint32_t priority;
    uint32_t steps;       /* of runs that are not forgotten */
    uint32_t coming;      /* works LOADING or READY; changed by mr_work_move alone */
    uint64_t pass, vtime; /* as a child of its lane; of its steps */
    uint64_t served_ms;   /* when it last sent something, or began to want to: from then on it ages */
};

/* A rule, and what is out under it: counted anew from the lists whenever work is handed out, so it cannot leak. */
struct mr_limit {
    mr_rule rule;
    uint32_t slots;    /* this broker's part of it; all of it while the limits are not shared */
    double per_second;
    uint64_t due_us; /* per_second: when the next one would be sent if they came evenly */
    uint32_t sent, coming;
};

typedef struct mr_level {
    mr_bits done; /* a result is committed */
    mr_bits todo; /* can be begun, and nobody has: not done, dead or in hand, and all children done */
} mr_level;

struct mr_step {
    mr_run *run;
    uint32_t number, serial; /* serial: of all steps of this core, never used again */
    mr_step_plan plan;
    mr_lane *lane;
    mr_share *share;
    mr_limit *limit[MR_RULES]; /* the rules that it is under; NULL: none */
    mr_run_state state;
    bool waiting;            /* for the steps that it needs: not yet among core.live */
    bool not_begun;          /* it failed because a step that it needs did */
    mr_level level[MR_LEVELS_MAX];
    uint64_t since; /* the first attempt since it was planned here */
    mr_list list[MR_W_LISTS];
    uint64_t pass, cost8;    /* as a child of its share; as in mr_lane */
    mr_status why;           /* of the first dead batch, */
    char reason[160];        /* empty when that was replayed and others were not */
    uint64_t first_dead;     /* its last attempt */
};

struct mr_run {
    uint64_t id, rows;
    mr_run_state state;
    bool opened, ended; /* ended: RUN_FINISHED was given out */
    bool stream, open;  /* as in mr_run_plan */
    bool leaving, left; /* it goes to another broker; left: RUN_LEFT was given out */
    uint32_t steps, committing, priority;
    char client[MR_NAME_MAX];
    mr_step *step;
};

struct mr_worker {
    uint32_t peer, slots, credit;
    char name[MR_NAME_MAX];
    uint64_t seen_ms, done, failed;
    uint32_t offers, lanes;
    mr_offer *offer;  /* `offers` */
    mr_lane **lane;   /* room for `offers` */
    mr_list sent;
    mr_map told;      /* serials of the steps that it knows */
};

enum { MR_WHEEL_SLOTS = 256, MR_WHEEL_MS = 32 };

typedef struct mr_action_ring {
    mr_action *item;
    size_t cap, first, count;
} mr_action_ring;

struct mr_core {
    mr_core_config config;
    uint64_t now_ms;
    bool started, draining;
    mr_rng rng;
    uint64_t next_attempt, highest_run, vtime, cost8; /* as in mr_lane */
    uint32_t next_serial;

    mr_work **chunk; /* chunks of MR_POOL_CHUNK slots; a slot never moves */
    uint32_t chunks, chunk_cap;
    mr_list free, abandoned, wheel[MR_WHEEL_SLOTS];
    uint64_t wheel_at; /* the wheel's slot number up to which all is looked at */
    uint32_t count[MR_W_LISTS];
    mr_map by_key, by_attempt; /* works: in hand or waiting; SENT */

    mr_run **run;
    uint32_t runs, run_cap, leaving; /* leaving: runs that are to be left and are not yet */
    uint32_t steps;  /* of runs that have not ended */
    mr_map by_run;
    mr_step **live; /* the steps that are running in opened runs */
    uint32_t lives, live_cap;
    mr_lane **lane;
    uint32_t lanes, lane_cap;
    mr_limit **limit;
    uint32_t limits, limit_cap;
    bool limits_shared;
    uint64_t due_ms; /* when a rate lets something go; UINT64_MAX: nothing waits for one */
    uint64_t moved_ms; /* when something was last sent, loaded, committed or failed, or there was nothing to do */
    bool alarmed;      /* nothing has moved since the watchdog's alarm */
    mr_worker **worker;
    uint32_t workers, worker_cap;
    uint64_t credit; /* of all workers; changed by mr_worker_credit alone */
    mr_map by_peer;

    mr_action_ring actions;
    mr_core_stats total; /* only the sums since the start */
};

/* ---- core.c ---- */
/* An array of pointers with room for `need` of them; NULL when there is no memory, and the array is as it
 * was. */
void *mr_room(const mr_core *core, void *array, uint32_t *cap, uint32_t need);

/* ---- action.c ---- */
mr_status mr_actions_reserve(mr_core *core, size_t extra) MR_MUST_CHECK;
/* A zeroed action at the end; the room must be reserved. */
mr_action *mr_act(mr_core *core, mr_action_type type);
void mr_act_ack(mr_core *core, uint32_t peer, uint64_t attempt, const mr_work_key *key, mr_verdict verdict);
/* Copies a sentence, cut at `size` but not inside of a UTF-8 character; NULL gives the empty one. */
void mr_sentence(char *out, size_t size, const char *text);

/* ---- work.c ---- */
enum { MR_POOL_CHUNK = 128 };
mr_status mr_works_reserve(mr_core *core, uint32_t extra) MR_MUST_CHECK;
void mr_works_free(mr_core *core);
mr_work *mr_work_by_id(const mr_core *core, uint32_t id); /* NULL when there is none */
mr_work *mr_work_find(const mr_core *core, const mr_step *step, uint32_t level, uint32_t index);
mr_work_key mr_work_key_of(const mr_work *w);
bool mr_work_last(const mr_work *w);
mr_work *mr_work_first(const mr_list *l); /* NULL when empty */
mr_work *mr_work_next(const mr_list *l, const mr_work *w);
mr_work *mr_work_last_of(const mr_list *l);
mr_work *mr_work_side_first(const mr_list *l);
mr_work *mr_work_side_last(const mr_list *l);
mr_work *mr_work_side_next(const mr_list *l, const mr_work *w);
/* Takes a slot for that piece of a step, which no work has; the slot must be reserved. */
mr_work *mr_work_new(mr_core *core, mr_step *step, uint32_t level, uint32_t index, mr_work_list to);
/* Before a move to SENT, `worker`, `attempt` and `at_ms` are set; before one to WAITING, `at_ms`. */
void mr_work_move(mr_core *core, mr_work *w, mr_work_list to, bool front);
/* CANCEL_ATTEMPT; the work is SENT. */
void mr_act_cancel(mr_core *core, const mr_work *w);
/* UNLOAD, when it holds an input. */
void mr_work_unload(mr_core *core, mr_work *w);
/* Takes the attempt and the input back, where there are any; the caller moves it. */
void mr_work_recall(mr_core *core, mr_work *w);
/* Out of all hands: takes the attempt and the input back, and frees it (a load under way is abandoned). */
void mr_work_drop(mr_core *core, mr_work *w);
/* An attempt is over without a verdict about the batch: ready again, or pending when nobody could take it. */
void mr_work_back(mr_core *core, mr_work *w);
/* The work is LOADING: leaves that load to itself. A new work with the same past takes its place on a list; a slot
 * must be reserved. */
mr_work *mr_work_leave_load(mr_core *core, mr_work *w, mr_work_list to);

/* ---- run.c ---- */
mr_status mr_run_planned(mr_core *core, const mr_run_plan *plan, mr_error *err) MR_MUST_CHECK;
mr_status mr_run_done_before(mr_core *core, const mr_work_key *key, mr_error *err) MR_MUST_CHECK;
mr_status mr_run_dead_before(mr_core *core, const mr_event *event, mr_error *err) MR_MUST_CHECK;
mr_status mr_run_opened(mr_core *core, uint64_t id, mr_error *err) MR_MUST_CHECK;
mr_status mr_run_grown(mr_core *core, uint64_t id, uint32_t tasks, mr_error *err) MR_MUST_CHECK;
mr_status mr_run_closed(mr_core *core, uint64_t id, mr_error *err) MR_MUST_CHECK;
mr_status mr_run_cancel(mr_core *core, uint64_t id, mr_error *err) MR_MUST_CHECK;
mr_run *mr_run_by_id(const mr_core *core, uint64_t id);
/* NULL when the key lies outside of what was planned. */
mr_step *mr_step_of_key(const mr_run *run, const mr_work_key *key);
/* The same of any run. E_INVALID when there is no such run, or no such batch of it. */
mr_status mr_step_planned(const mr_core *core, const mr_work_key *key, mr_step **out, mr_error *err) MR_MUST_CHECK;
/* Are all its inputs there: is it a batch, or a merge whose children are all done? */
bool mr_step_mergeable(const mr_step *step, uint32_t level, uint32_t index);
/* Books a committed result; may make a merge ready and end the step. */
void mr_step_done(mr_core *core, mr_step *step, uint32_t level, uint32_t index);
/* Those children of a merge (the first in bit 0) are not done any more, and it waits for them again. */
void mr_step_redo(mr_step *step, const mr_work_key *parent, uint32_t children);
/* Books a batch that is given up, whose last attempt this was; may end the step. */
void mr_step_dead(mr_core *core, mr_work *w, uint64_t attempt, mr_status why, const char *text);
/* Begins a step, which is running and not yet among core.live. */
void mr_step_begin(mr_core *core, mr_step *step);
/* Does a dead batch end the step, so that the others are not wanted any more? */
bool mr_step_needs_all(const mr_step *step);
/* Gives out RUN_FINISHED when all steps have ended and nothing is with the ledger. */
void mr_run_settle(mr_core *core, mr_run *run);
void mr_run_free(mr_core *core, mr_run *run);

/* ---- replay.c ---- */
mr_status mr_run_replay(mr_core *core, const mr_work_key *key, uint64_t attempt, mr_error *err) MR_MUST_CHECK;

/* ---- leave.c ---- */
mr_status mr_run_leave(mr_core *core, uint64_t id, bool lost, mr_error *err) MR_MUST_CHECK;
mr_status mr_run_done_elsewhere(mr_core *core, const mr_work_key *key, mr_error *err) MR_MUST_CHECK;
/* Gives out RUN_LEFT for the runs that may be forgotten; after every event. */
void mr_leave_sweep(mr_core *core);

/* ---- lane.c ---- */
/* Finds or makes; E_MEMORY. */
mr_status mr_lane_get(mr_core *core, const char *name, uint32_t version, mr_lane **out) MR_MUST_CHECK;
/* Frees the lanes that have neither steps nor workers. */
void mr_lanes_sweep(mr_core *core);
/* How many inputs may be loaded or loading for it: none without workers or when draining. */
uint64_t mr_lane_limit(const mr_core *core, const mr_lane *lane);
/* Gives up inputs beyond the limit, so that they do not keep others from loading. */
void mr_lane_trim(mr_core *core, mr_lane *lane);

/* ---- share.c ---- */
/* Finds or makes; E_MEMORY. */
mr_status mr_share_get(mr_core *core, mr_lane *lane, const char *client, uint32_t priority,
                       mr_share **out) MR_MUST_CHECK;
/* A step leaves its share, which goes with its last one. */
void mr_share_leave(mr_core *core, mr_step *step);
/* A step begins to want work; it is not yet among core.live. */
void mr_share_open(mr_core *core, mr_step *step);
/* A step that is among core.live gets more work: a share that wanted nothing has not waited. Before the work is there. */
void mr_share_wake(mr_core *core, const mr_step *step);
/* What a work of the step is taken to cost as long as nobody knows, in microseconds; at least 1. */
uint64_t mr_share_estimate(const mr_core *core, const mr_step *step);
/* Books `n` works that were sent, each at the estimate. */
void mr_share_sent(mr_core *core, mr_step *step, uint32_t n);
/* The attempt, which is SENT, is over and took `us`, at most the time since it was sent; 0: nobody says, the estimate
 * stays. */
void mr_share_took(mr_core *core, const mr_work *w, uint64_t us);
/* The attempt, which is SENT, was not begun. */
void mr_share_refund(const mr_work *w);
/* The step of those that `may` go that is next; NULL when none may. `loading`: what is coming counts as sent. */
mr_step *mr_share_next(const mr_core *core, bool loading, bool (*may)(const mr_core *, const mr_step *, const void *),
                       const void *context);

/* How many works the step may send or load in its turn: all it has when no other may go, one when it goes by age alone. */
uint32_t mr_share_turn(const mr_core *core, const mr_step *step,
                    bool (*may)(const mr_core *, const mr_step *, const void *), const void *context);

/* ---- limit.c ---- */
mr_status mr_limit_set(mr_core *core, const mr_rule *rule, mr_error *err) MR_MUST_CHECK;
void mr_limits_share(mr_core *core, bool shared);
void mr_limit_allow(mr_core *core, const mr_allowance *a);
/* Does anything under it want to be sent, or is out? */
bool mr_limit_wanted(const mr_core *core, const mr_limit *limit);
/* Finds the rules that a step is under. */
void mr_limit_link(const mr_core *core, mr_step *step);
bool mr_limit_any(const mr_step *step);
bool mr_limit_paused(const mr_step *step);
/* Counts what is out and coming under each rule; what follows keeps it up until the next event. */
void mr_limits_count(mr_core *core);
bool mr_limit_may_send(const mr_core *core, const mr_step *step);
/* Also counts what is coming, so that what is loaded can be sent. */
bool mr_limit_may_load(const mr_core *core, const mr_step *step);
void mr_limit_sent(mr_core *core, mr_step *step);
void mr_limit_loading(mr_step *step);
/* When the rates that a step is under let it go. */
uint64_t mr_limit_due_ms(const mr_step *step);
void mr_limits_free(mr_core *core);

/* ---- watch.c ---- */
void mr_watch_moved(mr_core *core);
void mr_watch_tick(mr_core *core);

/* ---- worker.c ---- */
mr_status mr_worker_joined(mr_core *core, const mr_event *event, mr_error *err) MR_MUST_CHECK;
mr_worker *mr_worker_by_peer(const mr_core *core, uint32_t peer);
bool mr_worker_offers(const mr_worker *w, const mr_lane *lane);
void mr_worker_credit(mr_core *core, mr_worker *w, int64_t change);
void mr_worker_gone(mr_core *core, mr_worker *w);
void mr_worker_free(mr_core *core, mr_worker *w);
void mr_workers_tick(mr_core *core);

/* ---- result.c ---- */
void mr_result(mr_core *core, const mr_event *event);
mr_status mr_result_committed(mr_core *core, const mr_event *event, mr_error *err) MR_MUST_CHECK;

/* ---- retry.c ---- */
/* Books a failed attempt: RECORD_FAILURE, and then WAITING, or dead when a budget is used up. */
void mr_work_failed(mr_core *core, mr_work *w, mr_status status, const char *text);
mr_status mr_loaded(mr_core *core, const mr_event *event, mr_error *err) MR_MUST_CHECK;
mr_status mr_load_failed(mr_core *core, const mr_event *event, mr_error *err) MR_MUST_CHECK;
mr_status mr_load_damaged(mr_core *core, const mr_event *event, mr_error *err) MR_MUST_CHECK;
/* Ends the waiting that is over, and the attempts that are out for too long. */
void mr_retries_tick(mr_core *core);
void mr_deadlines_tick(mr_core *core);

/* ---- scheduler.c ---- */
void mr_schedule(mr_core *core);
/* Has it anything to begin? */
bool mr_step_has_more(const mr_step *step);

#endif
