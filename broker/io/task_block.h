/* task_block.h: the tasks of one packet, kept whole: as they came from a producer, or as they are read back. A task's input,
 * and the inputs of several that follow each other, are a part of the packet's bytes; nothing is copied. */
#ifndef MR_BROKER_IO_TASK_BLOCK_H
#define MR_BROKER_IO_TASK_BLOCK_H

#include "broker/io/bytes.h"
#include "common/packet.h"
#include "common/pg.h"

typedef struct mr_task_block {
    uint64_t run, first;
    uint32_t count;
    mr_bytes *frame; /* an owner; NULL: there is no block */
    mr_packet view;
    uint32_t *body_at; /* `count`: where each body begins */
} mr_task_block;

/* Checks the packet in `frame`, and becomes one more owner of it. E_INVALID, E_MEMORY. */
mr_status mr_task_block_open(mr_task_block *b, uint64_t run, uint64_t first, mr_bytes *frame, mr_error *err) MR_MUST_CHECK;
void mr_task_block_close(mr_task_block *b);
bool mr_task_block_has(const mr_task_block *b, uint64_t run, uint64_t task);
/* One that it has. */
mr_task mr_task_block_at(const mr_task_block *b, uint64_t task);
/* The input of a task that it has; with its hash when it is larger than `inline_max`. NULL when there is no memory. */
mr_bytes *mr_task_block_input(const mr_task_block *b, uint64_t task, size_t inline_max);

/* ---- reading back ---- */

enum { MR_TASK_BLOCKS = 64 };

/* What was read ahead, for one thread. Zeroed at birth. */
typedef struct mr_task_blocks {
    mr_task_block block[MR_TASK_BLOCKS]; /* a ring: the oldest goes first */
    uint32_t next;
    size_t kept; /* bytes */
} mr_task_blocks;

void mr_task_blocks_free(mr_task_blocks *t);
/* The input of a task that is stored, as mr_task_block_input gives it; reads the blocks behind it too, since tasks are asked
 * for in their order. E_NOT_FOUND when there is no such task; E_CORRUPT when what is stored is damaged. */
mr_status mr_task_read(mr_pg *pg, mr_task_blocks *t, uint64_t run, uint64_t task, size_t inline_max, mr_bytes **out,
                       mr_error *err) MR_MUST_CHECK;

#endif
