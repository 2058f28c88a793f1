/* delivery.h: the jobs behind the commands that say how work is delivered: dead letters, pauses and limits,
 * schedules; and the way back of a run that the database has and the core does not. They run on the planner's
 * desk. */
#ifndef MR_BROKER_IO_DELIVERY_H
#define MR_BROKER_IO_DELIVERY_H

#include "broker/io/plan.h"
#include "proto/gen/session.h"

enum { MR_REOPENED_MAX = 256 };

typedef struct mr_due_job mr_due_job;

typedef struct mr_delivery_job {
    mr_job head;
    uint32_t peer, call; /* whom to answer */
    mr_command command;
    mr_buf args;           /* the call's msgpack map, checked */
    char client[MR_NAME_MAX + 1];
    mr_buf reply;  /* out: one msgpack document */
    bool has_rule; /* out: what holds for that name now */
    mr_rule rule;
    uint32_t runs; /* out: of which something was replayed; also when the outcome of the commit is not known */
    int64_t run[MR_REOPENED_MAX];
} mr_delivery_job;

/* NULL without memory. */
mr_delivery_job *mr_delivery_job_new(mr_command command, mr_span args, const char *client);
void mr_delivery_job_free(mr_delivery_job *job);
/* Errors: E_NOT_FOUND nothing of that name, E_CONFLICT the run was cancelled (of a repair: or goes on), E_INVALID an argument. */
void mr_delivery_work(mr_desk *desk, mr_job *job);

/* Which of the three kinds that word is; false for another. */
bool mr_rule_of_word(mr_span word, mr_rule_of *out);
const char *mr_rule_word(mr_rule_of of);
/* Every rule that holds something, and with `idle` those that hold nothing any more. */
mr_status mr_rules_read(mr_pg *pg, bool idle, mr_status (*tell)(void *context, const mr_rule *rule, mr_error *err),
                        void *context, mr_error *err) MR_MUST_CHECK;

/* ---- schedules ---- */

/* A time that has come; handed to the loop, which makes the run. */
struct mr_due_job {
    mr_job head;
    int64_t schedule, due_ns, next_ns; /* next_ns MR_NEVER: none */
    char name[MR_NAME_MAX + 1], client[MR_NAME_MAX + 1];
    mr_buf request;   /* the arguments of `run` */
    char reason[256]; /* for mr_due_failed_work: why there is no run */
};

void mr_due_job_free(mr_due_job *job);
/* Books a time that cannot give a run, so that it is not tried for ever. */
void mr_due_failed_work(mr_desk *desk, mr_job *job);
mr_status mr_schedule_add(mr_desk *desk, mr_pg *pg, mr_delivery_job *job, mr_error *err) MR_MUST_CHECK;
mr_status mr_schedule_remove(mr_pg *pg, mr_delivery_job *job, mr_error *err) MR_MUST_CHECK;

/* The planner's desk, which also looks for what is due; `due` is the loop's part. */
mr_status mr_planner_start(mr_desk *desk, void (*due)(struct mr_broker *, mr_job *),
                           mr_error *err) MR_MUST_CHECK;

/* ---- runs that the core does not know ---- */

typedef struct mr_recover_job {
    mr_job head;
    uint64_t run;
    bool known;        /* it was not yet forgotten when this was handed to a desk: its end may be younger than what is read */
    uint64_t forgotten; /* as b->forgotten then */
    bool ended;        /* out: it has ended meanwhile; then there is nothing else */
    mr_run_info *info; /* out, given */
    mr_buf done, dead; /* out: 8 bytes a batch, and for a dead one its attempt and reason behind */
    mr_buf producers;  /* out, of a stream: each with the number of its next packet */
} mr_recover_job;

mr_recover_job *mr_recover_job_new(uint64_t run);
void mr_recover_job_free(mr_recover_job *job);
mr_status mr_recover_read(mr_pg *pg, mr_recover_job *job, mr_error *err) MR_MUST_CHECK;
void mr_recover_work(mr_desk *desk, mr_job *job);
/* Tells the core of the run and opens it. */
mr_status mr_recover_tell(struct mr_broker *b, mr_recover_job *job, mr_error *err) MR_MUST_CHECK;

/* Runs that go on, and what was replayed of them in lives that the loop does not know. */
typedef struct mr_replays_job {
    mr_job head;
    uint32_t runs, cap;
    int64_t *run;   /* in */
    int32_t *life;  /* in: the last that is known */
    mr_buf letters; /* out: of mr_letter, by run */
} mr_replays_job;

typedef struct mr_letter {
    mr_work_key key;
    uint64_t attempt; /* 0: there is none, the run has a new life all the same */
    int32_t life;     /* the one that began with it */
} mr_letter;

mr_replays_job *mr_replays_job_new(uint32_t runs); /* NULL without memory */
void mr_replays_job_free(mr_replays_job *job);
void mr_replays_work(mr_desk *desk, mr_job *job);

/* The runs without an end, of one partition or (-1) of all. */
typedef struct mr_unfinished_job {
    mr_job head;
    int32_t partition;
    uint32_t runs;
    uint64_t *run; /* out; mr_free */
} mr_unfinished_job;

mr_status mr_unfinished_read(mr_pg *pg, mr_unfinished_job *job, mr_error *err) MR_MUST_CHECK;
void mr_unfinished_work(mr_desk *desk, mr_job *job);
void mr_unfinished_job_free(mr_unfinished_job *job);

/* Which of these runs were cancelled. */
typedef struct mr_cancelled_job {
    mr_job head;
    uint32_t runs, found, cap;
    int64_t *run; /* in, and then those that were found */
} mr_cancelled_job;

mr_cancelled_job *mr_cancelled_job_new(uint32_t runs); /* NULL without memory */
void mr_cancelled_job_free(mr_cancelled_job *job);
void mr_cancelled_work(mr_desk *desk, mr_job *job);

#endif
