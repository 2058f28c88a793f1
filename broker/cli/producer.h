/* producer.h: tasks on their way into a stream: gathered into packets, of which several are under way at once. The broker
 * takes the packets of a producer in their order; one that it cannot take now is sent again with all behind it, and so are
 * all that were not answered when it was away. What it had stored all the same is not stored twice.
 *
 *     mr_producer_open(&options, &p, err);
 *     for each task: build its body in mr_producer_body(p, size, &body, err); mr_producer_add(p, id, err);
 *     mr_producer_finish(p, err);
 *     mr_producer_close(&p); */
#ifndef MR_BROKER_CLI_PRODUCER_H
#define MR_BROKER_CLI_PRODUCER_H

#include "broker/cli/client.h"
#include "broker/cli/term.h"
#include "common/packet.h"

typedef struct mr_producer mr_producer;

/* What became of one task. */
typedef struct mr_task_result {
    uint64_t task;    /* its number in the stream */
    mr_status status; /* MR_OK, or why it was given up, with the reason in `text` */
    mr_span text, body;
} mr_task_result;

typedef struct mr_producer_options {
    const mr_globals *globals;  /* the broker, its keys, the time to wait for an answer */
    mr_stop *stop;              /* may be NULL */
    uint64_t run;
    uint64_t producer;          /* 0: a random number. With a number of its own a producer that begins again from the start, with
                                 * the same tasks in the same packets, stores nothing twice */
    unsigned window;            /* packets under way; 0: 32 */
    bool single;                /* a packet for each task */
    bool wait;                  /* packets are answered when their tasks are done */
    void (*accepted)(void *self, uint64_t first, uint32_t tasks, bool existed); /* stored, in their order; may be NULL */
    void (*done)(void *self, const mr_task_result *result); /* with `wait`; may be NULL */
    void *self;
} mr_producer_options;

/* The options are borrowed. Errors: those of mr_client_open. */
mr_status mr_producer_open(const mr_producer_options *options, mr_producer **out, mr_error *err) MR_MUST_CHECK;
/* What was not answered may be stored or not. */
void mr_producer_close(mr_producer **p);

/* Where the next body of about `size` bytes is to be put; sends what is full, and waits while the window is. */
mr_status mr_producer_body(mr_producer *p, size_t size, mr_buf **body, mr_error *err) MR_MUST_CHECK;
/* The body is there. `id` may be empty. E_LIMIT, E_INVALID: this task is left out. */
mr_status mr_producer_add(mr_producer *p, mr_span id, mr_error *err) MR_MUST_CHECK;
/* Sends what is gathered. */
mr_status mr_producer_flush(mr_producer *p, mr_error *err) MR_MUST_CHECK;
/* The same, and waits until everything is answered. */
mr_status mr_producer_finish(mr_producer *p, mr_error *err) MR_MUST_CHECK;

#endif
