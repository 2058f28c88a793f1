/* broker.h: the shell around the core: the one thread that owns sockets, peers and the core, and its desks. */
#ifndef MR_BROKER_IO_BROKER_H
#define MR_BROKER_IO_BROKER_H

#include "broker/io/access.h"
#include "broker/io/audit.h"
#include "broker/io/bytes.h"
#include "broker/io/catalogue.h"
#include "broker/io/keeper.h"
#include "broker/io/ledger.h"
#include "broker/io/loader.h"
#include "broker/io/peers.h"
#include "broker/io/plan.h"
#include "broker/io/settings.h"
#include "broker/io/stream.h"
#include "common/wakes.h"
#include "proto/gen/wire.h"

/* A run that the core knows. */
typedef struct mr_live_run {
    uint64_t run;
    mr_run_info *info;
    mr_stream *stream; /* NULL: it runs over a version */
    int32_t life;      /* the last that the core was told of: its end is that of this one */
    uint32_t failures; /* failed attempts that are not booked yet */
    bool unbooked;     /* a dead letter was refused, because the partition was lost meanwhile */
    mr_run_end_job *ending; /* its end waits for them, so that whoever sees it failed sees why */
    UT_hash_handle hh;
} mr_live_run;

/* The input of a work: what the core calls a blob. One that is out and was too large for its message (or went to a worker
 * that takes no spans) is found by its attempt, for `fetch`. */
typedef struct mr_input {
    struct mr_input *prev, *next; /* of all that the core holds */
    uint64_t attempt; /* 0: not to be fetched */
    mr_bytes *bytes;
    UT_hash_handle hh;
} mr_input;

enum { MR_OUT_BATCHES = 256, MR_OUT_ACKS = 1024, MR_SPAN_MAX = MR_MAX_WORK_ITEM_SIZES };

/* Work for one peer, gathered while actions are carried out, so that many batches go in one message, and those that
 * follow one another as one item. */
typedef struct mr_out_work {
    uint32_t peer, span;     /* span: most batches of an item that the peer takes */
    uint32_t items, batches, pieces;
    size_t size;             /* of the inline inputs */
    mr_wire_work_item item[MR_OUT_BATCHES];
    mr_net_body piece[MR_OUT_BATCHES]; /* the inline inputs */
    uint64_t sizes[MR_OUT_BATCHES];
} mr_out_work;

/* The acknowledgements of a round: results of several workers are committed together, and each worker gets one message. */
typedef struct mr_out_acks {
    uint32_t span, count; /* span: most outcomes of an item that the last one's peer takes */
    uint32_t peer[MR_OUT_ACKS];
    mr_wire_ack_item item[MR_OUT_ACKS];
} mr_out_acks;

/* Jobs for a desk, handed over together. */
typedef struct mr_out_jobs {
    mr_job *first, *last;
} mr_out_jobs;

/* What a worker said at length about a failed attempt, and the end of its log, until the failure is booked: the core keeps a
 * sentence. */
typedef struct mr_long_text {
    uint64_t attempt;
    char text[MR_MAX_RESULT_ITEM_TEXT + 1], log[MR_MAX_RESULT_ITEM_LOG + 1];
} mr_long_text;

enum { MR_LONG_TEXTS = 64 };

/* Runs whose forgetting is remembered, for what was read of them before. */
enum { MR_FORGOT = 256 };

/* What a partition is to this broker. */
typedef enum mr_place {
    MR_ELSEWHERE, /* another's, or nobody's */
    MR_TAKING,    /* leased; its runs are being read */
    MR_OURS,
    MR_LEAVING    /* on its way to another: no new run, nothing is handed out */
} mr_place;

typedef enum mr_phase { MR_SERVING, MR_DRAINING, MR_STOPPED } mr_phase;

/* What was to be looked at and could not be for want of memory; a later tick does. */
enum { MR_MISSED_RULES = 1, MR_MISSED_CANCELS = 2, MR_MISSED_RUNS = 4, MR_MISSED_REPLAYS = 8 };

typedef struct mr_broker {
    mr_broker_settings settings;
    mr_origins origins;
    mr_log log;
    mr_net *net;
    mr_socket *router, *events;
    mr_waker waker;
    int signals; /* signalfd of SIGTERM and SIGINT */
    mr_queue outbox;
    mr_access access;
    mr_audit audit;
    mr_desk ledger, loader, reader, intake, planner, submits, keeper;
    mr_lease lease;
    mr_holding holding; /* until the keeper starts */
    mr_place place[MR_PARTITIONS];
    uint32_t unread, handing;           /* partitions: their runs are to be read; the ledger is waited for */
    int64_t returning[MR_PARTITIONS];   /* epochs that the keeper is to give back */
    bool limits_shared, limits_asked;   /* asked: the keeper divides them just now */
    uint32_t limits_trust;              /* answers of an earlier number are of no use */
    uint64_t leave_until_ms; /* what is out of the partitions that are left is called back then */
    mr_core *core;
    atomic_ulong rows_seen; /* by the loader; while it grows, no load counts as stuck */
    unsigned long rows_told;
    mr_catalogue catalogue;
    mr_peers peers;
    mr_live_run *runs;
    mr_input *inputs; /* those that may be fetched, by attempt */
    mr_input *loaded; /* all of them, out or not */
    mr_arena *arena;  /* of the message that is being handled */
    mr_buf envelope;  /* of the message that is being sent */
    mr_out_work out_work;
    uint64_t work_messages; /* that carried work */
    mr_wakes wakes;
    mr_out_acks out_acks;
    mr_out_jobs out_loads, out_commits, out_submits;
    mr_commit_job *spare_commits; /* used ones, by head.next */
    uint32_t spares;
    uint64_t round_ms;            /* the time of this round of the loop; 0: outside of one */
    mr_long_text long_text[MR_LONG_TEXTS]; /* a ring */
    uint32_t long_texts;
    uint64_t forgot[MR_FORGOT], forgotten; /* a ring of runs; how many ever were */
    size_t intake_bytes; /* of rows that wait to be stored */
    size_t submit_bytes, task_bytes; /* of packets: that wait to be stored; that are kept in memory */
    uint32_t submit_packets;         /* that wait to be stored */
    uint32_t missed;  /* MR_MISSED_ */
    bool finding;     /* runs that the database has and the core does not are looked for, until */
    uint64_t find_until_ms;
    mr_job *again;    /* ledger jobs that the database did not take; given once more at a tick */
    uint64_t session /* random; a session is this plus the peer's number */, started_ms, tick_ms, stop_at_ms;
    mr_phase phase;
    mr_status stop_status; /* why it stops; MR_OK after a signal */
} mr_broker;

/* start.c. `broker` is zeroed but for settings, origins and log. Binds, connects, takes the lease, finds unfinished runs.
 * Errors are whole sentences for the person who started it. */
mr_status mr_broker_start(mr_broker *b, mr_error *err) MR_MUST_CHECK;
/* Serves until a signal or a fence; MR_OK after an orderly end. */
mr_status mr_broker_serve(mr_broker *b, mr_error *err) MR_MUST_CHECK;
void mr_broker_stop(mr_broker *b); /* any state that start left */

uint64_t mr_broker_now_ms(void);
/* Gives an event to the core; what follows is carried out by the next mr_broker_act. */
void mr_broker_event(mr_broker *b, const mr_event *event);
mr_live_run *mr_broker_run(const mr_broker *b, uint64_t run);
/* Takes it out of the runs; the core is told apart. */
void mr_broker_run_free(mr_broker *b, mr_live_run *run);
/* Takes `info` (also when it fails) and tells the core of the run. */
mr_status mr_broker_add_run(mr_broker *b, mr_run_info *info, mr_error *err) MR_MUST_CHECK;
/* The same without opening it; `info` stays the caller's. */
mr_status mr_broker_plan_run(mr_broker *b, mr_run_info *info, mr_error *err) MR_MUST_CHECK;
void mr_broker_drain(mr_broker *b, mr_status why);

/* receive.c: one message from a peer. */
void mr_broker_receive(mr_broker *b, mr_net_msg *msg);
/* Cuts an item's result and artifacts off the rest of the message's body, into `job`, and checks their hashes. NULL, or
 * why they cannot be taken. */
const char *mr_broker_cut_result(const mr_wire_result_item *item, mr_span *rest, mr_commit_job *job);

/* plural.c: this broker's share of the work: what is taken, given up and lost. */
mr_place mr_broker_place_of(const mr_broker *b, uint64_t run);
bool mr_broker_holds(const mr_broker *b, uint64_t run); /* it is ours, or is being taken */
int64_t mr_broker_epoch(const mr_broker *b, uint64_t run); /* 0: not ours */
/* Takes its first share and reads the runs of it. */
mr_status mr_broker_first_share(mr_broker *b, mr_pg *pg, mr_error *err) MR_MUST_CHECK;
mr_status mr_broker_start_keeper(mr_broker *b, mr_error *err) MR_MUST_CHECK;
/* At the beginning of each round: gives up all shares when the lease may be over, by this machine's clock. */
void mr_broker_fence_self(mr_broker *b);
void mr_broker_share_tick(mr_broker *b, uint64_t now_ms);
/* While it drains it takes no more, and others divide the work among themselves. */
void mr_broker_leave_share(mr_broker *b);
/* part.c: limits that are kept together with other brokers. */
mr_status mr_broker_first_part(mr_broker *b, mr_pg *pg, mr_error *err) MR_MUST_CHECK;
void mr_broker_divide_limits(mr_broker *b); /* a few times a second */
void mr_broker_distrust_limits(mr_broker *b);
/* A cancel was committed, by whomever. */
void mr_broker_cancelled(mr_broker *b, uint64_t run);

/* foreign.c: a result of a run that is not this broker's: it takes `job` (NULL for a failure) and answers. False: it is. */
bool mr_broker_foreign_result(mr_broker *b, uint32_t peer, const mr_wire_result_item *item, mr_commit_job *job);

/* act.c: carries out the core's actions; at the end of every round of the loop, so that they go out in groups. */
void mr_broker_act(mr_broker *b);
/* Sends what fits; a peer that cannot take it is gone. `body` may be NULL; it is given. */
void mr_broker_send(mr_broker *b, mr_peer *peer, const mr_wire *message, mr_net_body *body);
void mr_broker_refuse(mr_broker *b, mr_span identity, mr_status status, bool fatal, const char *text);
void mr_broker_peer_gone(mr_broker *b, mr_peer *peer, const char *why);
void mr_broker_publish(mr_broker *b, const char *name, const char *object, const char *fmt, ...) MR_PRINTF(4, 5);
/* A job for the desk of submitted tasks: given at once, or after the work of this round is sent. What came before it goes first. */
void mr_broker_store(mr_broker *b, mr_job *job, bool after_work);
/* act_work.c: the answer to a result. */
void mr_broker_ack(mr_broker *b, uint32_t peer, uint64_t attempt, mr_verdict verdict);
/* act_load.c: frees an input that the core gives back, or does not live to give back. */
void mr_broker_unload(mr_broker *b, mr_input *input);
/* act_commit.c: jobs of results; `job` may be NULL. */
mr_commit_job *mr_broker_commit_new(mr_broker *b);
void mr_broker_commit_free(mr_broker *b, mr_commit_job *job);
void mr_broker_spares_free(mr_broker *b);
/* The rows that a result is about: those of all the batches below it. */
void mr_broker_rows_below(const mr_run_info *info, const mr_work_key *key, uint64_t *first, uint64_t *rows);
/* A job of the ledger that must not be lost: comes again when the database is back. */
void mr_broker_try_again(mr_broker *b, mr_job *job);

/* command.c */
void mr_broker_call(mr_broker *b, mr_peer *peer, const mr_wire_call *call, mr_net_msg *msg);
/* The checked arguments of `run`, with the catalogue, as a job. Errors: whole sentences for the client. */
mr_status mr_broker_read_run(mr_broker *b, mr_span args, mr_plan_job *job, mr_error *err) MR_MUST_CHECK;
/* Answers a call; `body` (msgpack) is taken when the status is OK. */
void mr_broker_reply(mr_broker *b, uint32_t peer, uint32_t call, mr_status status, const char *text, mr_buf *body);

/* True when the planner cannot take more calls; `err` is the answer. */
bool mr_broker_planner_full(mr_broker *b, mr_error *err);
/* A run that was planned and committed becomes the core's; takes the job's info. */
mr_status mr_broker_adopt(mr_broker *b, mr_plan_job *job, mr_error *err) MR_MUST_CHECK;

/* command_delivery.c: dead letters, pauses, limits and schedules. */
void mr_broker_deliver(mr_broker *b, const mr_peer *peer, const mr_wire_call *call, mr_error *err);
/* A schedule's time has come. */
void mr_broker_due(mr_broker *b, mr_job *due);
/* Reads what may have changed without our hearing of it: rules, and which of our runs were cancelled. */
void mr_broker_read_rules(mr_broker *b);
void mr_broker_find_cancelled(mr_broker *b);
/* Does what there was no memory for before. */
void mr_broker_missed_tick(mr_broker *b);
bool mr_broker_is_running(const mr_broker *b, uint64_t run); /* as the core sees it */
/* A run of a partition that is ours, which the core may not know, or of which something was replayed. */
void mr_broker_recover(mr_broker *b, uint64_t run);
/* replay.c: reads what was replayed of a run that goes on, or (0) of all of them. */
void mr_broker_find_replays(mr_broker *b, uint64_t run);
/* Looks for runs that the database has and the core does not; when the outcome of a commit is not known. */
void mr_broker_find_runs(mr_broker *b);

/* view.c: the live state as msgpack documents. */
void mr_view_status(mr_broker *b, mr_buf *out);
void mr_view_workers(mr_broker *b, mr_buf *out);
void mr_view_components(mr_broker *b, mr_buf *out);
void mr_view_limits(mr_broker *b, mr_buf *out);
void mr_view_config(mr_broker *b, mr_buf *out);

#endif
