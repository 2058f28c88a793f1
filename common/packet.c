#include "common/packet.h"

#include <string.h>

static const char magic[4] = "MRT1";
enum { ENTRY = sizeof(uint32_t) + sizeof(uint64_t), TRAILER = 2 * sizeof(uint32_t) + sizeof magic };
enum { WELL_FILLED = 256 * 1024 };

/* ---- writing ---- */

void mr_packet_writer_init(mr_packet_writer *w, const mr_mem *mem) {
    *w = (mr_packet_writer){0};
    mr_buf_init(&w->bytes, mem, MR_PACKET_BYTES);
    mr_buf_init(&w->foot, mem, (size_t)MR_PACKET_TASKS * ENTRY);
    mr_buf_init(&w->ids, mem, (size_t)MR_PACKET_TASKS * (MR_TASK_ID + 1));
}

void mr_packet_writer_free(mr_packet_writer *w) {
    mr_buf_free(&w->bytes);
    mr_buf_free(&w->foot);
    mr_buf_free(&w->ids);
}

void mr_packet_clear(mr_packet_writer *w) {
    mr_buf_clear(&w->bytes);
    mr_buf_clear(&w->foot);
    mr_buf_clear(&w->ids);
    w->count = 0;
    w->body_at = 0;
    w->any_id = false;
}

mr_buf *mr_packet_body(mr_packet_writer *w) {
    w->body_at = w->bytes.len;
    return &w->bytes;
}

/* The packet as it was before the body. */
static mr_status left_out(mr_packet_writer *w, mr_status why, mr_error *err) {
    size_t size = w->bytes.len - w->body_at;
    w->bytes.len = w->body_at;
    w->bytes.status = MR_OK;
    if (why == MR_E_INVALID) return mr_fail(err, why, "a task's id has at most %d bytes", MR_TASK_ID);
    if (why == MR_E_MEMORY) return mr_fail(err, why, "no memory for a task of %zu bytes", size);
    return mr_fail(err, MR_E_LIMIT, "a task has at most %d bytes, and a packet %d tasks and %d bytes", MR_TASK_BYTES,
                   MR_PACKET_TASKS, MR_PACKET_BYTES);
}

static size_t foot_size(const mr_packet_writer *w) {
    return w->foot.len + ENTRY + w->ids.len + MR_TASK_ID + 1 + TRAILER;
}

mr_status mr_packet_add(mr_packet_writer *w, mr_span id, mr_error *err) {
    uint32_t size = (uint32_t)(w->bytes.len - w->body_at);
    uint8_t id_len = (uint8_t)id.len;
    if (mr_buf_status(&w->bytes) != MR_OK) return left_out(w, mr_buf_status(&w->bytes), err);
    if (id.len > MR_TASK_ID) return left_out(w, MR_E_INVALID, err);
    if (size > MR_TASK_BYTES || w->count == MR_PACKET_TASKS || foot_size(w) > MR_PACKET_BYTES - w->bytes.len)
        return left_out(w, MR_E_LIMIT, err);
    uint64_t sum = mr_xxh64((mr_span){w->bytes.data + w->body_at, size}, 0);
    mr_buf_put(&w->foot, &size, sizeof size);
    mr_buf_put(&w->foot, &sum, sizeof sum);
    mr_buf_put(&w->ids, &id_len, 1);
    mr_buf_put(&w->ids, id.data, id.len);
    if (mr_buf_status(&w->foot) != MR_OK || mr_buf_status(&w->ids) != MR_OK) return left_out(w, MR_E_MEMORY, err);
    w->any_id |= id.len > 0;
    w->count++;
    return MR_OK;
}

bool mr_packet_full(const mr_packet_writer *w, size_t size) {
    return w->count == MR_PACKET_TASKS || (w->count && (w->bytes.len >= WELL_FILLED || size > WELL_FILLED - w->bytes.len));
}

mr_status mr_packet_finish(mr_packet_writer *w, mr_error *err) {
    uint32_t ids = w->any_id ? (uint32_t)w->ids.len : 0;
    mr_buf_put(&w->bytes, w->foot.data, w->foot.len);
    mr_buf_put(&w->bytes, w->ids.data, ids);
    mr_buf_put(&w->bytes, &w->count, sizeof w->count);
    mr_buf_put(&w->bytes, &ids, sizeof ids);
    mr_buf_put(&w->bytes, magic, sizeof magic);
    mr_status s = mr_buf_status(&w->bytes);
    return s == MR_OK ? MR_OK : mr_fail(err, s, "no memory for a packet of %u tasks", w->count);
}

/* ---- reading ---- */

static uint32_t u32_at(const uint8_t *at) {
    uint32_t v;
    memcpy(&v, at, sizeof v);
    return v;
}

static mr_status check_sizes(const mr_packet *p, mr_error *err) {
    size_t left = p->bodies.len;
    for (uint32_t i = 0; i < p->count; i++) {
        uint32_t size = u32_at(p->foot.data + (size_t)i * ENTRY);
        if (size > MR_TASK_BYTES)
            return mr_fail(err, MR_E_INVALID, "packet: task %u has %u bytes; a task has at most %d", i, size, MR_TASK_BYTES);
        if (size > left) return mr_fail(err, MR_E_INVALID, "packet: task %u is longer than what is left", i);
        left -= size;
    }
    return left ? mr_fail(err, MR_E_INVALID, "packet: %zu bytes belong to no task", left) : MR_OK;
}

static mr_status check_ids(const mr_packet *p, mr_error *err) {
    size_t at = 0;
    for (uint32_t i = 0; p->ids.len && i < p->count; i++) {
        if (at == p->ids.len || p->ids.data[at] > MR_TASK_ID || p->ids.data[at] > p->ids.len - at - 1)
            return mr_fail(err, MR_E_INVALID, "packet: the id of task %u is cut short or has more than %d bytes", i, MR_TASK_ID);
        at += 1 + (size_t)p->ids.data[at];
    }
    return at == p->ids.len ? MR_OK : mr_fail(err, MR_E_INVALID, "packet: %zu bytes behind the last id", p->ids.len - at);
}

mr_status mr_packet_open(mr_span bytes, mr_packet *out, mr_error *err) {
    if (bytes.len < TRAILER || memcmp(bytes.data + bytes.len - sizeof magic, magic, sizeof magic))
        return mr_fail(err, MR_E_INVALID, "packet: %zu bytes that do not end with %.4s", bytes.len, magic);
    size_t left = bytes.len - TRAILER;
    const uint8_t *trailer = bytes.data + left;
    uint32_t count = u32_at(trailer), ids = u32_at(trailer + sizeof count);
    if (count == 0 || count > MR_PACKET_TASKS)
        return mr_fail(err, MR_E_INVALID, "packet: %u tasks; 1 to %d are possible", count, MR_PACKET_TASKS);
    if (ids > left || (size_t)count * ENTRY > left - ids)
        return mr_fail(err, MR_E_INVALID, "packet: %zu bytes are too few for the foot of %u tasks", bytes.len, count);
    size_t foot = (size_t)count * ENTRY;
    *out = (mr_packet){.bodies = {bytes.data, left - ids - foot}, .foot = {trailer - ids - foot, foot},
                       .ids = {trailer - ids, ids}, .count = count};
    MR_TRY(check_sizes(out, err));
    return check_ids(out, err);
}

mr_task mr_packet_at(const mr_packet *p, uint32_t i, size_t body_at) {
    MR_ASSERT(i < p->count && body_at <= p->bodies.len);
    const uint8_t *entry = p->foot.data + (size_t)i * ENTRY;
    mr_task task = {.body = {p->bodies.data + body_at, u32_at(entry)}};
    memcpy(&task.sum, entry + sizeof(uint32_t), sizeof task.sum);
    return task;
}

bool mr_task_whole(const mr_task *task) { return mr_xxh64(task->body, 0) == task->sum; }

bool mr_packet_next(const mr_packet *p, mr_packet_cursor *at, mr_task *out) {
    if (at->next == p->count) return false;
    *out = mr_packet_at(p, at->next++, at->body_at);
    at->body_at += out->body.len;
    if (!p->ids.len) return true;
    out->id = (mr_span){p->ids.data + at->id_at + 1, p->ids.data[at->id_at]};
    at->id_at += 1 + out->id.len;
    return true;
}
