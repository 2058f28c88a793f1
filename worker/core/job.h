/* job.h: what the worker and its compute processes say to each other, over a SOCK_SEQPACKET pair: one
 * mr_slot_job there, one mr_slot_done back. The bytes lie in a memfd that is passed beside each, so no side
 * ever waits for the other to read. */
#ifndef MR_WORKER_CORE_JOB_H
#define MR_WORKER_CORE_JOB_H

#include "worker/core/out.h"

#include <stdatomic.h>

/* Descriptors of a compute process from its birth. */
enum { MR_SLOT_SOCKET = 3, MR_SLOT_SHARED = 4 };

/* The memfd holds `options_len` bytes of options (msgpack map of name to text), then `input_len` bytes of
 * input: a segment at level 0, else a msgpack array of partials, each a binary. */
typedef struct mr_slot_job {
    uint64_t attempt, seed;
    uint32_t component; /* its place in the table of components */
    uint32_t level, index;
    uint32_t last; /* 1: the outcome is the result, not a partial */
    uint32_t deadline_ms;
    uint32_t options_len;
    uint64_t input_len;
} mr_slot_job;

typedef struct mr_slot_artifact {
    char name[MR_ARTIFACT_NAME + 1], media_type[MR_ARTIFACT_NAME + 1];
    uint64_t size;
} mr_slot_artifact;

/* The memfd holds `size` bytes of the result or partial, then the artifacts' bytes, in order. */
typedef struct mr_slot_done {
    uint64_t attempt;
    uint32_t status, partial;
    uint64_t compute_us, peak_bytes, size;
    uint32_t artifact_count;
    mr_slot_artifact artifacts[MR_ARTIFACT_COUNT];
    char text[504]; /* the error's sentence */
} mr_slot_done;

/* A page that both sides see. */
typedef struct mr_slot_shared {
    _Atomic uint32_t stop;     /* not 0: the mr_status to end with */
    _Atomic uint32_t progress; /* of the running job, in millionths */
} mr_slot_shared;

/* One message with at most one descriptor (-1: none) beside it; blocks. E_IO, with errno, when the other side
 * is gone. */
mr_status mr_slot_send(int socket, const void *message, size_t size, int fd);
/* *got is 0 at the end of the stream. A descriptor that came is in *fd, else -1. E_IO; E_TIMEOUT nothing
 * there yet. */
mr_status mr_slot_receive(int socket, void *message, size_t size, int flags, size_t *got, int *fd);

/* The body of a compute process, `PROGRAM compute LEVEL json|text` (how to log): takes jobs until the other
 * side closes. Returns the exit code. */
int mr_compute_main(const mr_component *const *table, int argc, char **argv);

#endif
