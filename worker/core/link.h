/* link.h: a worker's side of the protocol, as a state machine: messages, ends of jobs and the time go in;
 * messages and jobs go out through a port. No socket, process, clock or cache of its own, so that it also
 * runs in a simulator.
 *
 * Every attempt that a worker takes is answered once: by a result, which is kept and sent again until the
 * broker acknowledges it, or by a release. */
#ifndef MR_WORKER_CORE_LINK_H
#define MR_WORKER_CORE_LINK_H

#include "common/log.h"
#include "proto/gen/wire.h"
#include "worker/core/job.h"

/* What the link asks of its surroundings. Nothing may call back into the link. */
typedef struct mr_link_port {
    void *self;
    /* A message to the broker; both spans are borrowed for the call. E_FULL: not now. */
    mr_status (*send)(void *self, mr_span envelope, mr_span body);
    /* Drops the connection and makes a new one, under a new routing id. */
    void (*reconnect)(void *self);
    /* Starts a job. E_FULL: all slots are busy. Any other failure ends the attempt. */
    mr_status (*start)(void *self, const mr_slot_job *job, mr_span options, mr_span input, mr_error *err);
    /* Asks a running job to end; its end still comes. */
    void (*stop)(void *self, uint64_t attempt, mr_status why);
    /* Appends the blob of that hash from the cache; false when it is not there. The link checks the bytes.
     * NULL: none */
    bool (*cached)(void *self, const mr_hash *hash, uint64_t size, mr_buf *out);
} mr_link_port;

typedef struct mr_link_config {
    const mr_component *const *table; /* NULL-terminated */
    const char *name;                 /* of this worker */
    mr_span catalogue;                /* JSON, the body of the hello */
    uint16_t slots;
    uint32_t prefetch; /* attempts that are held for each slot, the running one included */
    uint32_t held_max; /* unacknowledged results above which no more work is taken */
    size_t held_bytes_max;
    size_t input_max;                    /* bytes of one input */
    uint32_t resend_ms;                  /* how long an acknowledgement or a blob is waited for */
    uint32_t hello_ms;                   /* how long a welcome is waited for */
    uint32_t backoff_ms, backoff_max_ms; /* pause before a new connection: random up to base * 2^n */
    uint64_t seed;                       /* of that randomness */
    const mr_mem *mem;
    const mr_log *log; /* NULL for none */
} mr_link_config;

typedef struct mr_link mr_link;

/* What is in `config` is borrowed. E_MEMORY. */
mr_status mr_link_new(const mr_link_config *config, const mr_link_port *port, mr_link **out,
                      mr_error *err) MR_MUST_CHECK;
void mr_link_free(mr_link **link);

/* A message came from the broker. */
void mr_link_message(mr_link *link, uint64_t now_ms, mr_span envelope, mr_span body);
/* A job ended; `body` holds its bytes, which are taken: another buffer, empty but maybe with memory for the next, comes back, and
 * stays the caller's. One that was not begun goes back to the broker. */
void mr_link_done(mr_link *link, uint64_t now_ms, const mr_slot_done *done, mr_buf *body);
/* Time passes; to be called at least every 100 ms, and after the calls above. */
void mr_link_tick(mr_link *link, uint64_t now_ms);
/* How far a running attempt is. */
void mr_link_progress(mr_link *link, uint64_t attempt, double done);

/* Is that attempt in this link's hands? */
bool mr_link_has(mr_link *link, uint64_t attempt);
/* Results that `from` holds for a broker that is away for longer than its lost time go to the broker of `to`, when that
 * one is there: any broker takes them. Both links have the same memory. */
void mr_link_hand_on(mr_link *from, mr_link *to, uint64_t now_ms);

/* No new work from now on; what has not started is released, what runs may finish. */
void mr_link_drain(mr_link *link, uint64_t now_ms);
/* Draining is over: nothing runs, and every result is acknowledged. */
bool mr_link_drained(const mr_link *link);
/* Ends the session: what still runs is released, and bye is said. */
void mr_link_close(mr_link *link, const char *reason);

typedef struct mr_link_stats {
    bool open;
    uint64_t session;
    uint32_t items, running, held, granted;
    uint64_t taken, finished, acknowledged, sessions;
    size_t held_bytes;
    const char *redis; /* that the broker named; "" for none */
} mr_link_stats;
void mr_link_stats_get(const mr_link *link, mr_link_stats *out);

#endif
