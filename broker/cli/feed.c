#include "broker/cli/feed.h"

#include <stdio.h>
#include <string.h>

enum {
    SHOWN = 20,
    REJECT_ITEMS = 200,
    REJECT_BYTES = 96 * 1024,
    RETRY_MS = 60000,
    PAUSE_MS = 100,
    ROW_MAX = 32 << 20
};

void mr_feed_init(mr_feed *f, mr_client *client, const char *address, mr_stop *stop, uint64_t ingest,
                  unsigned timeout_ms) {
    *f = (mr_feed){
        .client = client, .address = address, .stop = stop, .ingest = ingest, .timeout_ms = timeout_ms,
        .call_rows = MR_FEED_FIRST};
    for (size_t i = 0; i < MR_FEED_CALLS; i++) mr_buf_init(&f->slots[i].body, NULL, MR_FEED_BYTES + ROW_MAX);
    mr_buf_init(&f->rejects, NULL, REJECT_BYTES + 64 * 1024);
    mr_progress_init(&f->progress);
}

void mr_feed_free(mr_feed *f) {
    for (size_t i = 0; i < MR_FEED_CALLS; i++) mr_buf_free(&f->slots[i].body);
    mr_buf_free(&f->rejects);
}

void mr_feed_progress(mr_feed *f) {
    if (!mr_progress_due(&f->progress)) return;
    mr_progress_show(&f->progress, "%llu files, %llu rows read, %llu stored, %llu duplicate, %llu rejected",
                     (unsigned long long)f->files, (unsigned long long)f->read, (unsigned long long)f->stored,
                     (unsigned long long)f->duplicate, (unsigned long long)f->rejected);
}

/* ---- refused rows ---- */

static void tell_refused(mr_feed *f, mr_feed_file *file, uint64_t line, uint64_t column, const char *reason) {
    f->rejected++;
    if (!f->verbose && file->refused++ > SHOWN) return;
    mr_progress_clear(&f->progress);
    if (!f->verbose && file->refused > SHOWN)
        fprintf(
            stderr,
            "%s: more rows are refused; 'millrace rejects --ingest %llu' lists all, --verbose shows them\n",
            file->name, (unsigned long long)f->ingest);
    else if (column)
        fprintf(stderr, "%s:%llu:%llu: %s\n", file->name, (unsigned long long)line,
                (unsigned long long)column, reason);
    else
        fprintf(stderr, "%s:%llu: %s\n", file->name, (unsigned long long)line, reason);
}

/* Only the first of all, unless all are asked for: a file that is read again is nothing but duplicates. */
static void tell_duplicate(mr_feed *f, const mr_feed_file *file, uint64_t line, uint64_t id) {
    bool last = ++f->duplicate == SHOWN + 1 && !f->duplicates;
    if (f->duplicate > SHOWN && !f->duplicates && !last) return;
    mr_progress_clear(&f->progress);
    if (last)
        fprintf(stderr, "%s: more rows are there already; --duplicates shows them\n", file->name);
    else
        fprintf(stderr, "%s:%llu: there already, as row %llu\n", file->name, (unsigned long long)line,
                (unsigned long long)id);
}

static mr_status send_rejects(mr_feed *f, mr_error *err) {
    if (!f->reject_count) return MR_OK;
    mr_params p;
    uint32_t call;
    mr_params_init(&p);
    mr_params_u64(&p, "ingest", f->ingest);
    mr_buf *list = mr_params_open(&p, "rejects");
    mr_pack_array(list, f->reject_count);
    mr_buf_put(list, f->rejects.data, f->rejects.len);
    mr_status status =
        mr_client_send(f->client, MR_CMD_INGEST_REJECT, mr_params_span(&p), (mr_span){0}, &call, err);
    mr_params_free(&p);
    mr_buf_clear(&f->rejects);
    f->reject_count = 0;
    return status;
}

mr_status mr_feed_reject(mr_feed *f, uint64_t line, uint64_t column, mr_status why, const char *reason,
                         mr_error *err) {
    f->read++;
    tell_refused(f, f->file, line, column, reason);
    mr_pack_array(&f->rejects, 5);
    mr_pack_text(&f->rejects, f->file->name);
    mr_pack_u64(&f->rejects, line);
    mr_pack_u64(&f->rejects, column);
    mr_pack_u64(&f->rejects, (uint64_t)why);
    mr_pack_text(&f->rejects, reason);
    if (++f->reject_count < REJECT_ITEMS && f->rejects.len < REJECT_BYTES) return MR_OK;
    return send_rejects(f, err);
}

/* ---- replies ---- */

static uint64_t member(const mr_unpack *map, const char *name) {
    mr_unpack v;
    uint64_t n = 0;
    return mr_unpack_find(map, name, &v) == MR_OK && mr_unpack_u64(&v, UINT64_MAX, &n, NULL) == MR_OK ? n : 0;
}

/* The file that a line on the wire belongs to; *line becomes the line in it. */
static mr_feed_file *file_of(const mr_feed_slot *slot, uint64_t *line) {
    uint32_t i = slot->parts - 1;
    while (i && slot->part[i].base >= *line) i--;
    *line -= slot->part[i].base;
    return slot->part[i].file;
}

static mr_status take_rejects(mr_feed *f, mr_feed_slot *slot, mr_unpack *list, mr_error *err) {
    uint32_t count;
    MR_TRY(mr_unpack_array(list, slot->rows, &count, err));
    for (uint32_t i = 0; i < count; i++) {
        uint32_t width;
        uint64_t line, column;
        mr_span reason;
        char text[504];
        MR_TRY(mr_unpack_array(list, 3, &width, err));
        if (width != 3)
            return mr_fail(err, MR_E_PROTOCOL, "the broker tells a refused row in a form that is not known");
        MR_TRY(mr_unpack_u64(list, UINT64_MAX, &line, err));
        MR_TRY(mr_unpack_u64(list, UINT64_MAX, &column, err));
        MR_TRY(mr_unpack_str(list, 4096, &reason, err));
        snprintf(text, sizeof text, "%.*s", MR_SPAN_ARG(reason));
        mr_feed_file *file = file_of(slot, &line);
        tell_refused(f, file, line, column, text);
    }
    return MR_OK;
}

static mr_status take_duplicates(mr_feed *f, mr_feed_slot *slot, mr_unpack *list, mr_error *err) {
    uint32_t count;
    MR_TRY(mr_unpack_array(list, slot->rows, &count, err));
    for (uint32_t i = 0; i < count; i++) {
        uint32_t width;
        uint64_t line, id;
        MR_TRY(mr_unpack_array(list, 2, &width, err));
        MR_TRY(mr_unpack_u64(list, UINT64_MAX, &line, err));
        MR_TRY(mr_unpack_u64(list, UINT64_MAX, &id, err));
        const mr_feed_file *file = file_of(slot, &line);
        tell_duplicate(f, file, line, id);
    }
    return MR_OK;
}

static mr_status taken(mr_feed *f, mr_feed_slot *slot, mr_span body, mr_error *err) {
    mr_unpack map, list;
    mr_unpack_init(&map, body);
    f->stored += member(&map, "stored");
    f->updated += member(&map, "updated");
    f->bytes_ahead -= slot->body.len;
    slot->busy = false;
    mr_status status = MR_OK;
    if (mr_unpack_find(&map, "duplicates", &list) == MR_OK) status = take_duplicates(f, slot, &list, err);
    if (status == MR_OK && mr_unpack_find(&map, "rejects", &list) == MR_OK)
        status = take_rejects(f, slot, &list, err);
    mr_feed_progress(f);
    return status;
}

static mr_status send_slot(mr_feed *f, mr_feed_slot *slot, mr_error *err) {
    mr_params p;
    mr_params_init(&p);
    mr_params_u64(&p, "ingest", f->ingest);
    mr_params_text(&p, "file", slot->part[0].file->name);
    mr_params_u64(&p, "rows", slot->rows);
    mr_status status = mr_client_send(f->client, MR_CMD_INGEST_ROWS, mr_params_span(&p),
                                      mr_buf_span(&slot->body), &slot->call, err);
    mr_params_free(&p);
    return status;
}

static mr_status failed(mr_feed *f, mr_feed_slot *slot, const mr_client_reply *reply, mr_error *err) {
    bool again = mr_status_of((int)reply->status)->retryable && mr_now_ms() - slot->first_ms < RETRY_MS;
    if (!again) return mr_fail(err, reply->status, "%s", reply->text);
    if (mr_stop_wait(f->stop, PAUSE_MS)) return mr_fail(err, MR_E_INTERRUPTED, "interrupted");
    return send_slot(f, slot, err);
}

/* The broker went away or was started again: what it had not answered is sent once more, and rows that it had
 * stored all the same come back as duplicates. */
static mr_status begin_again(mr_feed *f, mr_error *err) {
    uint64_t until = mr_now_ms() + RETRY_MS;
    mr_status status;
    mr_progress_clear(&f->progress);
    fprintf(stderr, "%s; trying again\n", err->text);
    do {
        mr_client_close(&f->client);
        if (mr_stop_wait(f->stop, PAUSE_MS)) return mr_fail(err, MR_E_INTERRUPTED, "interrupted");
        status = mr_client_open(f->address, f->timeout_ms, &f->client, err);
    } while (status == MR_E_UNAVAILABLE && mr_now_ms() < until);
    for (size_t i = 0; status == MR_OK && i < MR_FEED_CALLS; i++)
        if (f->slots[i].busy) status = send_slot(f, &f->slots[i], err);
    return status;
}

static mr_status wait_for_one(mr_feed *f, mr_error *err) {
    mr_client_reply reply;
    int stop_fd = f->stop->asked ? -1 : f->stop->fd;
    mr_status status = mr_client_wait(f->client, f->timeout_ms, stop_fd, &reply, err);
    if (status == MR_E_UNAVAILABLE) return begin_again(f, err);
    if (status == MR_E_INTERRUPTED) mr_stop_asked(f->stop);
    MR_TRY(status);
    for (size_t i = 0; i < MR_FEED_CALLS; i++) {
        mr_feed_slot *slot = &f->slots[i];
        if (!slot->busy || slot->call != reply.call) continue;
        return reply.status == MR_OK ? taken(f, slot, reply.body, err) : failed(f, slot, &reply, err);
    }
    /* the answer to rejects */
    return reply.status == MR_OK ? MR_OK : mr_fail(err, reply.status, "%s", reply.text);
}

/* ---- rows ---- */

static mr_feed_slot *free_slot(mr_feed *f) {
    if (f->bytes_ahead > MR_FEED_AHEAD) return NULL;
    for (size_t i = 0; i < MR_FEED_CALLS; i++)
        if (!f->slots[i].busy) return &f->slots[i];
    return NULL;
}

void mr_feed_begin(mr_feed *f, mr_feed_file *file) { f->file = file; }

static mr_status open_slot(mr_feed *f, mr_error *err) {
    while (!f->open) {
        f->open = free_slot(f);
        if (!f->open) MR_TRY(wait_for_one(f, err));
    }
    mr_feed_slot *slot = f->open;
    mr_buf_clear(&slot->body);
    slot->at = mr_pack_open_array(&slot->body);
    slot->rows = slot->parts = 0;
    slot->last_line = 0;
    return MR_OK;
}

mr_status mr_feed_row(mr_feed *f, uint64_t *line, mr_buf **to, mr_error *err) {
    if (!f->open) MR_TRY(open_slot(f, err));
    mr_feed_slot *slot = f->open;
    if (!slot->parts || slot->part[slot->parts - 1].file != f->file)
        slot->part[slot->parts++] = (mr_feed_part){f->file, slot->last_line};
    *line += slot->part[slot->parts - 1].base;
    slot->last_line = *line;
    *to = &slot->body;
    return MR_OK;
}

static mr_status flush(mr_feed *f, mr_error *err) {
    mr_feed_slot *slot = f->open;
    if (!slot) return MR_OK;
    f->open = NULL;
    if (!slot->rows) return MR_OK;
    mr_pack_patch(&slot->body, slot->at, slot->rows);
    mr_status full = mr_buf_status(&slot->body);
    if (full != MR_OK) return mr_fail(err, full, "%s: a row does not fit into memory", f->file->name);
    slot->busy = true;
    slot->first_ms = mr_now_ms();
    f->bytes_ahead += slot->body.len;
    return send_slot(f, slot, err);
}

mr_status mr_feed_added(mr_feed *f, mr_error *err) {
    f->read++;
    f->open->rows++;
    if (f->open->rows < f->call_rows && f->open->body.len < MR_FEED_BYTES) return MR_OK;
    f->call_rows = f->call_rows * 2 < MR_FEED_ROWS ? f->call_rows * 2 : MR_FEED_ROWS;
    MR_TRY(flush(f, err));
    mr_feed_progress(f);
    return mr_stop_asked(f->stop) ? mr_fail(err, MR_E_INTERRUPTED, "interrupted") : MR_OK;
}

mr_status mr_feed_end(mr_feed *f, mr_error *err) {
    if (!f->join || (f->open && f->open->parts == MR_FEED_FILES)) MR_TRY(flush(f, err));
    f->files++;
    mr_feed_progress(f);
    return mr_stop_asked(f->stop) ? mr_fail(err, MR_E_INTERRUPTED, "interrupted") : MR_OK;
}

static bool any_busy(const mr_feed *f) {
    for (size_t i = 0; i < MR_FEED_CALLS; i++)
        if (f->slots[i].busy) return true;
    return false;
}

mr_status mr_feed_finish(mr_feed *f, mr_error *err) {
    mr_status status = flush(f, err);
    if (status == MR_OK) status = send_rejects(f, err);
    while (status == MR_OK && any_busy(f)) status = wait_for_one(f, err);
    mr_progress_clear(&f->progress);
    return status;
}
