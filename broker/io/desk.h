/* desk.h: a thread with a database connection that works off jobs. The broker's loop hands jobs to desks (ledger,
 * loader, reader, intake) and gets them back, done, through one outbox; so only the loop touches the broker's state. */
#ifndef MR_BROKER_IO_DESK_H
#define MR_BROKER_IO_DESK_H

#include "common/log.h"
#include "common/net.h"
#include "common/pg.h"

#include <pthread.h>

struct mr_broker;
typedef struct mr_desk mr_desk;
typedef struct mr_job mr_job;

/* The head of every kind of job; the kind's own struct begins with it. */
struct mr_job {
    mr_job *next;
    void (*work)(mr_desk *desk, mr_job *job);             /* on the desk's thread; sets status and error */
    void (*done)(struct mr_broker *broker, mr_job *job);  /* on the loop's thread; frees the job */
    mr_status status;
    mr_error error;
    uint64_t kept_for;                                    /* the loop's, while it keeps the job back */
};

/* A list of jobs under a lock. */
typedef struct mr_queue {
    pthread_mutex_t lock;
    pthread_cond_t filled;
    mr_job *head, *tail;
    size_t count, enough; /* enough: so many end a wait */
    bool closed;
} mr_queue;

void mr_queue_init(mr_queue *q);
void mr_queue_destroy(mr_queue *q); /* must be empty */
/* Appends a list of jobs, linked by next; true when the queue was empty before. */
bool mr_queue_push(mr_queue *q, mr_job *jobs);
/* Takes all jobs, in order; NULL when there are none. With `wait_ms` it waits that long for the first (-1: for ever), and
 * returns at once when the queue is closed. */
mr_job *mr_queue_take(mr_queue *q, int wait_ms);
/* The same for a wait of microseconds. */
mr_job *mr_queue_take_soon(mr_queue *q, uint32_t wait_us);
/* The same, but it waits until there are so many, and takes fewer when the time is over. One thread takes from a queue. */
mr_job *mr_queue_take_some(mr_queue *q, size_t enough, int wait_ms);
void mr_queue_close(mr_queue *q);
bool mr_queue_closed(mr_queue *q);
size_t mr_queue_count(mr_queue *q);

/* Jobs that wait, in order, for a database that takes them; of a desk's thread alone. Zeroed, it is empty. */
typedef struct mr_waiting {
    mr_job *head, *last;
    size_t count;
} mr_waiting;

/* Appends a list, linked by next; NULL is fine. */
void mr_waiting_add(mr_waiting *w, mr_job *jobs);
/* Takes the first `n` out, as a list; all that there are when they are fewer. */
mr_job *mr_waiting_take(mr_waiting *w, size_t n);
/* Takes those out, as a list in their order, for which `goes` is true. */
mr_job *mr_waiting_sift(mr_waiting *w, bool (*goes)(void *context, mr_job *job), void *context);

struct mr_desk {
    const char *name;
    const mr_log *log;
    const char *url;          /* of the database */
    mr_queue in;
    mr_queue *outbox;         /* the loop's */
    const mr_waker *waker;    /* wakes the loop */
    pthread_t thread;
    bool started;
    mr_pg *pg;                /* of the desk's thread alone; NULL until the first use */
    bool plan_once, in_order; /* as in mr_pg_options */
    uint64_t retry_at_ns;     /* not before then is a lost connection tried again */
    int idle_ms;              /* how often `idle` is called when there is nothing to do; -1: never */
    void (*batch)(mr_desk *, mr_job *jobs); /* takes a list and hands every job back; NULL: one by one */
    void (*idle)(mr_desk *);
    void (*stop)(mr_desk *);  /* on the desk's thread, at its end; may be NULL */
    void *state;              /* the desk's own */
};

/* Starts the thread; the fields above `thread` and the hooks are set by the caller, zeroed else. */
mr_status mr_desk_start(mr_desk *desk, mr_error *err) MR_MUST_CHECK;
/* Lets the desk work off what it has, ends its thread and frees its connection. */
void mr_desk_stop(mr_desk *desk);
/* To a desk that has stopped: the job comes back at once, undone, with E_CANCELLED. */
void mr_desk_give(mr_desk *desk, mr_job *job);
/* The same for a list of jobs, linked by next; NULL is fine. */
void mr_desk_give_all(mr_desk *desk, mr_job *jobs);
/* For the desk's thread: a list of finished jobs goes back to the loop. */
void mr_desk_done(mr_desk *desk, mr_job *jobs);
/* For the desk's thread: a live connection, made now if need be. E_UNAVAILABLE at once while the last failure is younger
 * than a second. */
mr_status mr_desk_database(mr_desk *desk, mr_pg **out, mr_error *err) MR_MUST_CHECK;

#endif
