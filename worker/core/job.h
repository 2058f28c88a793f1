/* job.h: what the worker and its compute processes say to each other. A slot has a mailbox in two pieces of shared memory:
 * the worker writes jobs and their inputs into one, which the compute process can only read, and the compute process
 * writes answers into the other. Counters say how far each side is, so many small jobs go through with one wake-up: the
 * compute process sleeps at its socket when the box is empty, and wakes the worker when it goes to sleep, or when answers
 * have lain there for a while. What does not fit into the box goes over the socket, in a memfd beside the message. */
#ifndef MR_WORKER_CORE_JOB_H
#define MR_WORKER_CORE_JOB_H

#include "worker/core/out.h"

#include <stdatomic.h>

/* Descriptors of a compute process from its birth. */
enum { MR_SLOT_SOCKET = 3, MR_SLOT_GIVEN = 4, MR_SLOT_ANSWERED = 5 };

/* Jobs a slot may hold, and the bytes of their inputs and of their outcomes; a piece of one is at most a quarter. */
enum { MR_BOX_JOBS = 512, MR_BOX_INPUT = 4 << 20, MR_BOX_OUTPUT = 2 << 20 };

/* `options_len` bytes of options (msgpack map of name to text), then `input_len` bytes of input: a segment at level 0,
 * else a msgpack array of partials, each a binary. They lie in the box from `at` on, or, when `apart`, in a memfd that
 * came with a message that holds the job once more. */
typedef struct mr_slot_job {
    uint64_t attempt, seed;
    uint32_t component; /* its place in the table of components */
    uint32_t level, index;
    uint32_t last; /* 1: the outcome is the result, not a partial */
    uint32_t deadline_ms;
    uint32_t options_len;
    uint64_t input_len;
    uint32_t at, apart;
} mr_slot_job;

typedef struct mr_slot_artifact {
    char name[MR_ARTIFACT_NAME + 1], media_type[MR_ARTIFACT_NAME + 1];
    uint64_t size;
} mr_slot_artifact;

/* As a message, beside a memfd that holds `size` bytes of the result or partial, then the artifacts' bytes, in order. */
typedef struct mr_slot_done {
    uint64_t attempt;
    uint32_t status, partial;
    uint64_t compute_us, peak_bytes, size;
    uint32_t artifact_count;
    uint32_t unbegun; /* set by the worker alone: the job was taken back out of the box */
    mr_slot_artifact artifacts[MR_ARTIFACT_COUNT];
    char text[504]; /* the error's sentence */
    char log[1008];  /* of a failure: the end of what the call logged; when the process died, of what it printed */
} mr_slot_done;

/* The good outcome of a job without artifacts, in the box from `at` on; when `apart`, a message tells it all. */
typedef struct mr_slot_answer {
    uint64_t attempt, compute_us, peak_bytes;
    uint32_t size, at, partial, apart;
} mr_slot_answer;

/* Written by the worker alone. Job n (from 0, for ever) has the place n % MR_BOX_JOBS. */
typedef struct mr_slot_given {
    _Atomic uint32_t jobs;     /* how many were given */
    _Atomic uint32_t taken;    /* of how many the answer was taken away */
    _Atomic uint32_t stop[MR_BOX_JOBS]; /* not 0: the mr_status to end with */
    mr_slot_job job[MR_BOX_JOBS];
    uint8_t input[MR_BOX_INPUT];
} mr_slot_given;

/* While the worker takes back what was not begun, nothing can be claimed. */
enum { MR_BOX_SHUT = INT32_MAX };

/* Written by the compute process; before there is one, by the worker, which also sets `claimed` and `asleep`. Nothing here is
 * believed unseen. */
typedef struct mr_slot_answered {
    _Atomic uint32_t jobs;     /* how many were answered */
    _Atomic uint32_t claimed;  /* how many were begun: a process claims each before it looks at it; or MR_BOX_SHUT */
    _Atomic uint32_t asleep;   /* 1: the compute process waits at its socket; who sets it back, wakes it */
    _Atomic uint32_t progress; /* of the running job, in millionths */
    mr_slot_answer answer[MR_BOX_JOBS];
    uint8_t output[MR_BOX_OUTPUT];
} mr_slot_answered;

/* A stretch of `size` bytes of a box of `room` bytes, behind what is used up to `*put`; `oldest` is where the oldest bytes
 * that are still needed begin, and `empty` says that none are. False when there is no room now. */
bool mr_box_place(uint32_t room, uint32_t oldest, bool empty, uint32_t size, uint32_t *put, uint32_t *at);

/* One message with at most one descriptor (-1: none) beside it; blocks. E_IO, with errno, when the other side
 * is gone. A message of one byte is a wake-up. */
mr_status mr_slot_send(int socket, const void *message, size_t size, int fd);
mr_status mr_slot_wake(int socket);
/* *got is 0 at the end of the stream. A descriptor that came is in *fd, else -1. E_IO; E_TIMEOUT nothing
 * there yet. */
mr_status mr_slot_receive(int socket, void *message, size_t size, int flags, size_t *got, int *fd);

/* The body of a compute process, `PROGRAM compute LEVEL json|text` (how to log): takes jobs until the other
 * side closes. Returns the exit code. */
int mr_compute_main(const mr_component *const *table, int argc, char **argv);

#endif
