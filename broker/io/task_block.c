#include "broker/io/task_block.h"

#include <stdlib.h>
#include <string.h>

enum { AHEAD_BYTES = 2 * 1024 * 1024, KEPT_BYTES = 2 * MR_PACKET_BYTES };

mr_status mr_task_block_open(mr_task_block *b, uint64_t run, uint64_t first, mr_bytes *frame, mr_error *err) {
    mr_packet view;
    mr_packet_cursor at = {0};
    mr_task task;
    MR_TRY(mr_packet_open(mr_bytes_span(frame), &view, err));
    uint32_t *body_at = mr_new(NULL, view.count, sizeof *body_at);
    if (!body_at) return mr_fail(err, MR_E_MEMORY, "no memory for %u tasks", view.count);
    for (uint32_t i = 0; i < view.count; i++) {
        body_at[i] = (uint32_t)at.body_at;
        mr_packet_next(&view, &at, &task);
    }
    *b = (mr_task_block){.run = run, .first = first, .count = view.count, .frame = mr_bytes_share(frame), .view = view,
                         .body_at = body_at};
    return MR_OK;
}

void mr_task_block_close(mr_task_block *b) {
    mr_bytes_drop(b->frame);
    mr_free(NULL, b->body_at, b->count, sizeof *b->body_at);
    *b = (mr_task_block){0};
}

bool mr_task_block_has(const mr_task_block *b, uint64_t run, uint64_t task) {
    return b->frame && b->run == run && task >= b->first && task - b->first < b->count;
}

mr_task mr_task_block_at(const mr_task_block *b, uint64_t task) {
    uint32_t i = (uint32_t)(task - b->first);
    return mr_packet_at(&b->view, i, b->body_at[i]);
}

mr_bytes *mr_task_block_input(const mr_task_block *b, uint64_t task, size_t inline_max) {
    mr_span body = mr_task_block_at(b, task).body;
    mr_bytes *bytes = mr_bytes_part(b->frame, body);
    if (bytes && body.len > inline_max) bytes->hash = mr_hash_of(body);
    return bytes;
}

/* ---- reading back ---- */

/* The block that holds the task, and those behind it. */
static const mr_pg_statement read_blocks = {
    "tasks_blocks",
    "select first_task, size from millrace.task_block where run_id = $1 and first_task >="
    " (select first_task from millrace.task_block where run_id = $1 and first_task <= $2 order by first_task desc limit 1)"
    " order by first_task limit $3",
    3,
    {MR_PG_INT8, MR_PG_INT8, MR_PG_INT4}};

/* In any order: the server would sort the bytes with the numbers, which takes ten times as long as to read them. */
static const mr_pg_statement read_pieces = {
    "tasks_pieces",
    "select first_task, piece, bytes from millrace.task_piece where run_id = $1 and first_task between $2 and $3",
    3,
    {MR_PG_INT8, MR_PG_INT8, MR_PG_INT8}};

void mr_task_blocks_free(mr_task_blocks *t) {
    for (uint32_t i = 0; i < MR_TASK_BLOCKS; i++) mr_task_block_close(&t->block[i]);
}

static const mr_task_block *find(const mr_task_blocks *t, uint64_t run, uint64_t task) {
    for (uint32_t i = 0; i < MR_TASK_BLOCKS; i++) /* the newest first */
        if (mr_task_block_has(&t->block[(t->next + MR_TASK_BLOCKS - 1 - i) % MR_TASK_BLOCKS], run, task))
            return &t->block[(t->next + MR_TASK_BLOCKS - 1 - i) % MR_TASK_BLOCKS];
    return NULL;
}

typedef struct range {
    uint64_t run, first, last; /* of blocks, by their first tasks */
    uint32_t blocks;
    int64_t size[MR_TASK_BLOCKS];
} range;

/* As many of the blocks as are worth reading at once. */
static mr_status take_range(const mr_pg_result *r, range *out, mr_error *err) {
    int64_t bytes = 0;
    for (uint32_t i = 0; i < mr_pg_rows(r) && i < MR_TASK_BLOCKS; i++) {
        mr_pg_row row = mr_pg_row_at(r, i);
        uint64_t first = (uint64_t)mr_pg_int(&row, 0);
        out->size[i] = mr_pg_int(&row, 1);
        MR_TRY(mr_pg_row_status(&row, err));
        bytes += out->size[i];
        if (i && bytes > AHEAD_BYTES) break;
        if (i == 0) out->first = first;
        out->last = first;
        out->blocks = i + 1;
    }
    return MR_OK;
}

static mr_status find_range(mr_pg *pg, uint64_t run, uint64_t task, range *out, mr_error *err) {
    mr_pg_params p;
    mr_pg_result *r = NULL;
    *out = (range){.run = run};
    mr_pg_params_init(&p, NULL, 64);
    mr_pg_put_int8(&p, (int64_t)run);
    mr_pg_put_int8(&p, (int64_t)task);
    mr_pg_put_int4(&p, MR_TASK_BLOCKS / 2);
    mr_status s = mr_pg_exec(pg, &read_blocks, &p, &r, err);
    mr_pg_params_free(&p);
    if (s == MR_OK) s = take_range(r, out, err);
    mr_pg_result_free(&r);
    return s;
}

typedef struct piece {
    uint64_t first;
    int64_t number;
    mr_span bytes; /* in the result */
} piece;

static int by_place(const void *a, const void *b) {
    const piece *x = a, *y = b;
    if (x->first != y->first) return x->first < y->first ? -1 : 1;
    return (x->number > y->number) - (x->number < y->number);
}

static mr_status take_pieces(const mr_pg_result *r, piece *out, mr_error *err) {
    mr_status s = MR_OK;
    for (uint32_t i = 0; i < mr_pg_rows(r) && s == MR_OK; i++) {
        mr_pg_row at = mr_pg_row_at(r, i);
        out[i] = (piece){(uint64_t)mr_pg_int(&at, 0), mr_pg_int(&at, 1), mr_pg_bytea(&at, 2)};
        s = mr_pg_row_status(&at, err);
    }
    qsort(out, mr_pg_rows(r), sizeof *out, by_place);
    return s;
}

/* The pieces from `at` on that are of its block, joined; `at` is left behind them. */
static mr_status join(const piece **at, const piece *end, int64_t size, mr_bytes **out, mr_error *err) {
    const piece *begin = *at;
    size_t room = size > 0 && size <= MR_PACKET_BYTES ? (size_t)size : 0, got = 0;
    mr_buf bytes;
    mr_buf_init(&bytes, NULL, MR_PACKET_BYTES);
    uint8_t *to = mr_buf_extend(&bytes, room);
    for (; *at < end && (*at)->first == begin->first; ++*at) {
        mr_span part = (*at)->bytes;
        if (to && got <= room && part.len <= room - got) memcpy(to + got, part.data, part.len);
        got += part.len;
    }
    *out = to && room && got == room ? mr_bytes_of_buf(&bytes) : NULL;
    mr_buf_free(&bytes);
    if (*out) return MR_OK;
    if (!room || got != room) return mr_fail(err, MR_E_CORRUPT, "the stored pieces of a packet are not %lld bytes", (long long)size);
    return mr_fail(err, MR_E_MEMORY, "no memory for a packet of %lld bytes", (long long)size);
}

static void let_go(mr_task_blocks *t, mr_task_block *b) {
    if (b->frame) t->kept -= mr_bytes_span(b->frame).len;
    mr_task_block_close(b);
}

static mr_status keep(mr_task_blocks *t, uint64_t run, uint64_t first, mr_bytes *frame, mr_error *err) {
    mr_task_block *slot = &t->block[t->next % MR_TASK_BLOCKS];
    mr_task_block fresh;
    mr_status s = mr_task_block_open(&fresh, run, first, frame, err);
    if (s == MR_E_INVALID) return mr_fail(err, MR_E_CORRUPT, "the stored tasks from number %llu on are damaged", (unsigned long long)first);
    if (s != MR_OK) return s;
    t->kept += mr_bytes_span(frame).len;
    for (uint32_t i = 0; i == 0 || (i < MR_TASK_BLOCKS && t->kept > KEPT_BYTES); i++)
        let_go(t, &t->block[(t->next + i) % MR_TASK_BLOCKS]);
    *slot = fresh;
    t->next = (t->next + 1) % MR_TASK_BLOCKS;
    return MR_OK;
}

static mr_status keep_all(mr_task_blocks *t, const range *want, const piece *at, const piece *end, mr_error *err) {
    for (uint32_t i = 0; i < want->blocks; i++) {
        mr_bytes *frame;
        uint64_t first = at < end ? at->first : want->first;
        MR_TRY(join(&at, end, want->size[i], &frame, err));
        mr_status s = keep(t, want->run, first, frame, err);
        mr_bytes_drop(frame);
        MR_TRY(s);
    }
    return MR_OK;
}

static mr_status keep_pieces(mr_task_blocks *t, const range *want, const mr_pg_result *r, mr_error *err) {
    uint32_t n = mr_pg_rows(r);
    piece *pieces = mr_new(NULL, n + 1, sizeof *pieces);
    if (!pieces) return mr_fail(err, MR_E_MEMORY, "no memory for %u pieces of packets", n);
    mr_status s = take_pieces(r, pieces, err);
    if (s == MR_OK) s = keep_all(t, want, pieces, pieces + n, err);
    mr_free(NULL, pieces, n + 1, sizeof *pieces);
    return s;
}

static mr_status read_range(mr_pg *pg, mr_task_blocks *t, const range *want, mr_error *err) {
    mr_pg_params p;
    mr_pg_result *r = NULL;
    mr_pg_params_init(&p, NULL, 64);
    mr_pg_put_int8(&p, (int64_t)want->run);
    mr_pg_put_int8(&p, (int64_t)want->first);
    mr_pg_put_int8(&p, (int64_t)want->last);
    mr_status s = mr_pg_exec(pg, &read_pieces, &p, &r, err);
    mr_pg_params_free(&p);
    if (s == MR_OK) s = keep_pieces(t, want, r, err);
    mr_pg_result_free(&r);
    return s;
}

mr_status mr_task_read(mr_pg *pg, mr_task_blocks *t, uint64_t run, uint64_t task, size_t inline_max, mr_bytes **out,
                       mr_error *err) {
    const mr_task_block *b = find(t, run, task);
    range want;
    if (!b) {
        MR_TRY(find_range(pg, run, task, &want, err));
        mr_status s = want.blocks ? read_range(pg, t, &want, err) : MR_OK;
        b = find(t, run, task);
        if (!b && s != MR_OK) return s; /* a block behind it may be damaged: that is for those who ask for it */
    }
    if (!b)
        return mr_fail(err, MR_E_NOT_FOUND, "run %llu has no task %llu", (unsigned long long)run, (unsigned long long)task);
    mr_task found = mr_task_block_at(b, task);
    if (!mr_task_whole(&found))
        return mr_fail(err, MR_E_CORRUPT, "the stored body of task %llu of run %llu is damaged", (unsigned long long)task, (unsigned long long)run);
    *out = mr_task_block_input(b, task, inline_max);
    return *out ? MR_OK : mr_fail(err, MR_E_MEMORY, "no memory for an input");
}
