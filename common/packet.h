/* packet.h: tasks on their way from a client into a stream, many at a time. A packet is their bodies, one behind the other, and
 * then a foot that says where each ends, so that a client appends bodies as they come and nothing is moved or parsed byte by
 * byte on the way to disk. All numbers are little-endian:
 *     bodies | count x { u32 size, u64 XXH64 } | count x { u8 length, id } or nothing | u32 count, u32 bytes of ids, "MRT1"
 * A body is a segment (common/batch.h); the sum shows damage on the way and on disk, a task at a time. */
#ifndef MR_COMMON_PACKET_H
#define MR_COMMON_PACKET_H

#include "common/hash.h"

enum {
    MR_PACKET_TASKS = 4096,
    MR_PACKET_BYTES = 32 * 1024 * 1024, /* a whole packet */
    MR_TASK_BYTES = 16 * 1024 * 1024,   /* a body */
    MR_TASK_ID = 200                    /* bytes of an id */
};

/* ---- writing ---- */

typedef struct mr_packet_writer {
    mr_buf bytes, foot, ids; /* bytes: the packet, once it is finished */
    uint32_t count;
    size_t body_at;          /* where the body that is being written begins */
    bool any_id;
} mr_packet_writer;

void mr_packet_writer_init(mr_packet_writer *w, const mr_mem *mem);
void mr_packet_writer_free(mr_packet_writer *w);
/* Begins the next packet; keeps the memory. */
void mr_packet_clear(mr_packet_writer *w);
/* Where the next task's body is to be put; then mr_packet_add, with its id or an empty one. */
mr_buf *mr_packet_body(mr_packet_writer *w);
/* E_LIMIT, E_INVALID: the task is left out, and why. */
mr_status mr_packet_add(mr_packet_writer *w, mr_span id, mr_error *err) MR_MUST_CHECK;
/* True when another body of `size` bytes would not fit well. */
bool mr_packet_full(const mr_packet_writer *w, size_t size);
/* Puts the foot behind the bodies. E_MEMORY. */
mr_status mr_packet_finish(mr_packet_writer *w, mr_error *err) MR_MUST_CHECK;

/* ---- reading ---- */

/* A packet that was checked; borrowed from its bytes. */
typedef struct mr_packet {
    mr_span bodies, foot, ids; /* ids: empty when no task has one */
    uint32_t count;
} mr_packet;

typedef struct mr_task {
    mr_span body, id;
    uint64_t sum;
} mr_task;

/* E_INVALID: it is not a packet, and why. */
mr_status mr_packet_open(mr_span bytes, mr_packet *out, mr_error *err) MR_MUST_CHECK;

/* One task after the other: start with a zeroed cursor; false after the last. */
typedef struct mr_packet_cursor {
    uint32_t next;
    size_t body_at, id_at;
} mr_packet_cursor;
bool mr_packet_next(const mr_packet *p, mr_packet_cursor *at, mr_task *out);

/* Is its body what its producer sent? */
bool mr_task_whole(const mr_task *task);
/* Any task, without its id: body_at is where its body begins, as the cursor said when it stood there. */
mr_task mr_packet_at(const mr_packet *p, uint32_t i, size_t body_at);

#endif
