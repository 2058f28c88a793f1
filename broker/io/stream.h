/* stream.h: what the loop knows of a stream: where each producer is, the tasks that are kept in memory, what must wait until
 * its task is stored, and who waits for results.
 *
 * A task is numbered, and may be sent to a worker, as soon as it has come; it is being stored meanwhile. So a result can be
 * there before its task is: it is held back until then, or stored with it, and so is the record of a failure held back. What is
 * stored is a beginning of the stream, and so are the tasks that are known after a restart. */
#ifndef MR_BROKER_IO_STREAM_H
#define MR_BROKER_IO_STREAM_H

#include "broker/core/core.h"
#include "broker/io/desk.h"
#include "broker/io/peers.h"
#include "broker/io/task_block.h"
#include "proto/gen/wire.h"

struct mr_commit_job;

typedef struct mr_stream mr_stream;

/* NULL without memory. `tasks` are stored, `columns` are what each must hold. */
mr_stream *mr_stream_new(uint64_t run, uint64_t tasks, uint32_t columns, bool open);
/* Whoever waits is told that the run ended. */
void mr_stream_end(struct mr_broker *b, mr_stream **s);
/* At start: the next packet of a producer. E_MEMORY, E_LIMIT. */
mr_status mr_stream_producer(mr_stream *s, uint64_t producer, uint64_t next, mr_error *err) MR_MUST_CHECK;

/* The commands. They answer later, or `err` says why not. */
void mr_stream_submit(struct mr_broker *b, const mr_peer *peer, const mr_wire_call *call, mr_net_msg *msg, mr_error *err);
void mr_stream_close(struct mr_broker *b, const mr_peer *peer, const mr_wire_call *call, mr_error *err);

/* The input of a task that is in memory; given. E_NOT_FOUND: the loader has to read it. E_MEMORY. */
mr_status mr_stream_input(struct mr_broker *b, mr_stream *s, uint64_t task, mr_bytes **out) MR_MUST_CHECK;
/* True when the job for the ledger is kept until its task is stored; then it goes there. */
bool mr_stream_holds(mr_stream *s, uint64_t task, mr_job *job);
/* The same for a result; that of a single task whose client waits for it goes to the desk which stores the task, and is written
 * with it or behind it. */
bool mr_stream_holds_result(struct mr_broker *b, mr_stream *s, struct mr_commit_job *job);
/* A result was committed, or a task given up: whoever waits for it is told. */
void mr_stream_done(struct mr_broker *b, mr_stream *s, const struct mr_commit_job *job);
void mr_stream_dead(struct mr_broker *b, mr_stream *s, uint64_t task, mr_status why, const char *text);

#endif
