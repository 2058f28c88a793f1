/* act.c: the core's actions become messages and jobs, and finished jobs become events. */
#include "broker/io/broker.h"

#include "broker/io/repair.h"
#include "common/clock.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <utlist.h>

/* ---- sending ---- */

void mr_broker_send(mr_broker *b, mr_peer *peer, const mr_wire *message, mr_net_body *body) {
    mr_error err = {0};
    mr_buf_clear(&b->envelope);
    mr_status s = mr_wire_encode(&b->envelope, message);
    MR_ASSERT(s == MR_OK || s == MR_E_MEMORY); /* what we send keeps our own maxima */
    if (s == MR_OK) s = mr_net_send(b->router, mr_peer_identity(peer), mr_buf_span(&b->envelope), body, &err);
    if (s == MR_OK) return;
    if (body) mr_net_body_free(body);
    mr_broker_peer_gone(b, peer, s == MR_E_FULL ? "it does not read what it is sent" : "it cannot be reached");
}

void mr_broker_refuse(mr_broker *b, mr_span identity, mr_status status, bool fatal, const char *text) {
    mr_error ignored;
    mr_wire m = {.type = MR_MSG_REFUSE};
    m.as.refuse = (mr_wire_refuse){.status = (uint16_t)status, .fatal = fatal, .text = mr_codec_text_cut(mr_span_of(text), MR_MAX_REFUSE_TEXT)};
    mr_buf_clear(&b->envelope);
    if (mr_wire_encode(&b->envelope, &m) == MR_OK)
        (void)!mr_net_send(b->router, identity, mr_buf_span(&b->envelope), NULL, &ignored);
    if (mr_access_may_say(b)) MR_LOG(&b->log, MR_LOG_WARN, "broker", "message_refused", MR_LOG_TEXT("reason", text));
}

void mr_broker_publish(mr_broker *b, const char *name, const char *object, const char *fmt, ...) {
    char detail[512];
    va_list args;
    mr_error ignored;
    va_start(args, fmt);
    vsnprintf(detail, sizeof detail, fmt, args);
    va_end(args);
    mr_wire m = {.type = MR_MSG_EVENT};
    m.as.event = (mr_wire_event){.at_us = mr_clock_wall_ns() / 1000, .name = mr_span_of(name), .object = mr_span_of(object),
                                 .detail = mr_codec_text_cut(mr_span_of(detail), MR_MAX_EVENT_DETAIL)};
    mr_buf_clear(&b->envelope);
    if (mr_wire_encode(&b->envelope, &m) == MR_OK)
        (void)!mr_net_send(b->events, mr_span_of(name), mr_buf_span(&b->envelope), NULL, &ignored);
}

void mr_broker_peer_gone(mr_broker *b, mr_peer *peer, const char *why) {
    uint32_t number = peer->number;
    bool worker = peer->state == MR_SESSION_WORKER;
    if (worker) {
        MR_LOG(&b->log, MR_LOG_INFO, "broker", "worker_left", MR_LOG_TEXT("worker", peer->name), MR_LOG_INT("peer", number),
               MR_LOG_TEXT("reason", why));
        mr_broker_publish(b, "worker_left", "broker", "worker=%s", peer->name);
    }
    mr_peer_remove(&b->peers, peer);
    if (!worker) return;
    mr_event e = {.type = MR_EV_PEER_GONE, .peer = number};
    mr_broker_event(b, &e);
}

/* ---- work ---- */

/* The inline inputs, one behind the other; those that lie so already go without a copy. Empty without memory. */
static mr_net_body joined(mr_out_work *out) {
    mr_net_body body = {0};
    mr_buf buf;
    if (out->pieces == 1) return out->piece[0];
    mr_buf_init(&buf, NULL, MR_WIRE_BODY_MAX);
    uint8_t *to = mr_buf_extend(&buf, out->size);
    for (uint32_t i = 0; i < out->pieces; i++) {
        if (to) memcpy(to, out->piece[i].data, out->piece[i].len);
        if (to) to += out->piece[i].len;
        mr_net_body_free(&out->piece[i]);
    }
    if (mr_buf_status(&buf) != MR_OK || mr_net_body_of_buf(&buf, &body) != MR_OK) mr_buf_free(&buf);
    return body;
}

static void flush_work(mr_broker *b) {
    mr_out_work *out = &b->out_work;
    if (!out->items) return;
    mr_peer *peer = mr_peer_numbered(&b->peers, out->peer);
    mr_wire m = {.type = MR_MSG_WORK};
    m.as.work = (mr_wire_work){.items = out->item, .item_count = out->items};
    mr_net_body body = out->size ? joined(out) : (mr_net_body){0};
    bool lacks = out->size && !body.data;
    out->items = out->batches = out->pieces = 0;
    out->size = 0;
    if (peer && lacks) mr_broker_peer_gone(b, peer, "there is no memory for its work");
    else if (peer) mr_broker_send(b, peer, &m, body.data ? &body : NULL);
    else mr_net_body_free(&body);
    b->work_messages++;
}

/* True when the batch follows the last item's and goes with it as a span. */
static bool goes_with_last(mr_out_work *out, const mr_action *a, size_t size) {
    mr_wire_work_item *last = out->items ? &out->item[out->items - 1] : NULL;
    uint32_t count = last && last->count > 1 ? last->count : 1;
    if (!last || !last->inlined || a->key.level || last->level || count >= out->span || last->run != a->key.run ||
        last->step != a->key.step || last->index + count != a->key.index || last->attempt + count != a->attempt)
        return false;
    last->count = last->size_count = count + 1;
    last->size += size;
    return true;
}

static void begin_work(mr_broker *b, uint32_t to) {
    mr_out_work *out = &b->out_work;
    const mr_peer *peer = mr_peer_numbered(&b->peers, to);
    out->peer = to;
    out->span = peer ? peer->span : 0;
}

/* A large input may be fetched as long as the attempt is out. */
static void may_be_fetched(mr_broker *b, mr_input *input, uint64_t attempt) {
    if (input->attempt) HASH_DELETE(hh, b->inputs, input);
    input->attempt = attempt;
    HASH_ADD(hh, b->inputs, attempt, sizeof input->attempt, input);
    if (!input->hh.tbl) input->attempt = 0; /* no memory: a fetch will not find it, and the attempt is made again */
}

static void send_work(mr_broker *b, const mr_action *a) {
    mr_out_work *out = &b->out_work;
    mr_input *input = (mr_input *)(uintptr_t)a->handle;
    size_t size = mr_bytes_span(input->bytes).len;
    bool inlined = size <= (size_t)b->settings.inline_max;
    if (out->items && (out->peer != a->peer || out->batches == MR_OUT_BATCHES ||
                       (inlined && out->size + size > MR_WIRE_BODY_MAX / 2)))
        flush_work(b);
    if (!out->items) begin_work(b, a->peer);
    if (!inlined || !out->span) may_be_fetched(b, input, a->attempt);
    uint32_t at = out->batches++;
    out->sizes[at] = size;
    if (inlined && size) out->pieces = mr_bytes_append(input->bytes, out->piece, out->pieces);
    if (inlined) out->size += size;
    if (inlined && goes_with_last(out, a, size)) return;
    mr_hash hash = input->bytes->hash;
    if (inlined && !out->span) hash = mr_hash_of(mr_bytes_span(input->bytes)); /* an older worker looks at it */
    out->item[out->items++] = (mr_wire_work_item){
        .attempt = a->attempt, .run = a->key.run, .step = (uint16_t)a->key.step, .level = (uint8_t)a->key.level,
        .index = a->key.index, .last = a->last, .deadline_ms = a->deadline_ms, .inlined = inlined, .size = size,
        .hash = hash, .sizes = &out->sizes[at]};
}

static void send_step(mr_broker *b, const mr_action *a) {
    flush_work(b); /* the peer may be gone after it */
    mr_peer *peer = mr_peer_numbered(&b->peers, a->peer);
    mr_live_run *run = mr_broker_run(b, a->key.run);
    if (!peer || !run) return;
    const mr_run_info *info = run->info;
    mr_wire m = {.type = MR_MSG_STEP};
    m.as.step = (mr_wire_step){.run = info->run, .step = (uint16_t)a->key.step,
                               .component = mr_span_of(info->plan[a->key.step].component),
                               .version = info->plan[a->key.step].version, .seed = info->seed,
                               .options = info->options[a->key.step]};
    mr_broker_send(b, peer, &m, NULL);
}

static void flush_acks(mr_broker *b) {
    mr_out_acks *out = &b->out_acks;
    if (!out->count) return;
    mr_peer *peer = mr_peer_numbered(&b->peers, out->peer);
    mr_wire m = {.type = MR_MSG_ACK};
    m.as.ack = (mr_wire_ack){.items = out->item, .item_count = out->count};
    out->count = 0;
    if (peer) mr_broker_send(b, peer, &m, NULL);
}

static bool acked_with_last(mr_out_acks *out, const mr_action *a) {
    mr_wire_ack_item *last = out->count ? &out->item[out->count - 1] : NULL;
    uint32_t count = last && last->count > 1 ? last->count : 1;
    if (!last || !out->span || count == MR_OUT_ACKS || last->verdict != a->verdict || last->attempt + count != a->attempt) return false;
    last->count = count + 1;
    return true;
}

static void ack(mr_broker *b, const mr_action *a) {
    mr_out_acks *out = &b->out_acks;
    if (out->count && (out->peer != a->peer || out->count == MR_OUT_ACKS)) flush_acks(b);
    if (!out->count) {
        const mr_peer *peer = mr_peer_numbered(&b->peers, a->peer);
        out->peer = a->peer;
        out->span = peer ? peer->span : 0;
    }
    if (acked_with_last(out, a)) return;
    out->item[out->count++] = (mr_wire_ack_item){.attempt = a->attempt, .verdict = (uint8_t)a->verdict};
}

void mr_broker_ack(mr_broker *b, uint32_t peer, uint64_t attempt, mr_verdict verdict) {
    ack(b, &(mr_action){.peer = peer, .attempt = attempt, .verdict = verdict});
}

static void cancel_attempt(mr_broker *b, const mr_action *a) {
    flush_work(b); /* a cancel must not overtake its work, and the peer may be gone after it */
    mr_peer *peer = mr_peer_numbered(&b->peers, a->peer);
    mr_wire m = {.type = MR_MSG_CANCEL};
    m.as.cancel = (mr_wire_cancel){.attempts = &a->attempt, .attempt_count = 1};
    if (peer) mr_broker_send(b, peer, &m, NULL);
}

/* ---- loading ---- */

static void gather(mr_out_jobs *out, mr_job *job) {
    job->next = NULL;
    if (out->last) out->last->next = job;
    else out->first = job;
    out->last = job;
}

static void hand_over(mr_out_jobs *out, mr_desk *desk) {
    mr_job *jobs = out->first;
    *out = (mr_out_jobs){0};
    mr_desk_give_all(desk, jobs);
}

void mr_broker_store(mr_broker *b, mr_job *job, bool after_work) {
    gather(&b->out_submits, job);
    if (!after_work) hand_over(&b->out_submits, &b->submits);
}

static void load_failed(mr_broker *b, uint32_t work, mr_status status, const char *text) {
    mr_event e = {.type = MR_EV_LOAD_FAILED};
    e.as.loaded.work = work;
    e.as.loaded.status = status;
    e.as.loaded.text = text;
    mr_broker_event(b, &e);
}

static void repaired(mr_broker *b, mr_job *head) {
    mr_repair_job *job = (mr_repair_job *)head;
    if (mr_status_of((int)head->status)->retryable) {
        mr_broker_try_again(b, head);
        return;
    }
    mr_event e = {.type = MR_EV_LOAD_DAMAGED};
    e.as.loaded.work = job->work;
    e.as.loaded.key = job->key;
    e.as.loaded.children = job->children;
    if (head->status == MR_OK) mr_broker_event(b, &e);
    else if (head->status != MR_E_CANCELLED) load_failed(b, job->work, head->status, head->error.text);
    mr_free(NULL, job, 1, sizeof *job);
}

/* Damaged partials are moved aside first; then the core is told, and has them computed again. */
static bool repair(mr_broker *b, const mr_load_job *load) {
    mr_repair_job *job = load->damaged ? mr_new(NULL, 1, sizeof *job) : NULL;
    uint32_t count;
    if (!job) return false;
    job->head.work = mr_repair_work;
    job->head.done = repaired;
    job->epoch = mr_broker_epoch(b, load->key.run);
    job->key = load->key;
    job->children = load->damaged;
    job->work = load->work[0];
    mr_plan_children(&load->info->plan[load->key.step], load->key.level, load->key.index, &job->first, &count);
    mr_broker_publish(b, "damaged", "broker", "run=%llu step=%u level=%u first=%u children=%x", (unsigned long long)load->key.run,
                      load->key.step, load->key.level - 1, job->first, load->damaged);
    mr_desk_give(&b->ledger, &job->head);
    return true;
}

/* Takes the bytes. */
static void loaded(mr_broker *b, uint32_t work, mr_bytes **bytes) {
    mr_input *input = mr_new(NULL, 1, sizeof *input);
    if (!input) {
        load_failed(b, work, MR_E_MEMORY, "no memory for an input");
        return;
    }
    input->bytes = *bytes;
    *bytes = NULL;
    DL_APPEND(b->loaded, input);
    mr_event e = {.type = MR_EV_LOADED};
    e.as.loaded.work = work;
    e.as.loaded.blob = (uint64_t)(uintptr_t)input;
    mr_broker_event(b, &e);
}

/* What comes behind a batch that failed is still to be loaded. True when the job goes on. */
static bool load_the_rest(mr_broker *b, mr_load_job *job) {
    uint32_t past = job->loaded + 1;
    for (uint32_t i = 0; i < job->loaded; i++) mr_bytes_drop(job->bytes[i]);
    memset(job->bytes, 0, sizeof job->bytes);
    job->count -= past;
    memmove(job->work, job->work + past, job->count * sizeof *job->work);
    job->key.index += past;
    job->loaded = 0;
    job->head.status = MR_OK;
    if (job->count) gather(&b->out_loads, &job->head);
    return job->count > 0;
}

static void load_done(mr_broker *b, mr_job *head) {
    mr_load_job *job = (mr_load_job *)head;
    mr_status s = head->status;
    bool stopped = s == MR_E_CANCELLED; /* the loader has stopped, and so does the core */
    for (uint32_t i = 0; i < job->loaded && !stopped; i++) loaded(b, job->work[i], &job->bytes[i]);
    if (s != MR_OK && !stopped) {
        MR_LOG(&b->log, MR_LOG_WARN, "loader", "load_failed", MR_LOG_INT("run", job->key.run), MR_LOG_INT("step", job->key.step),
               MR_LOG_INT("batch", job->key.index + job->loaded), MR_LOG_TEXT("reason", head->error.text));
        if (repair(b, job)) {
            mr_load_job_free(job);
            return;
        }
        bool of_all = s != MR_E_CORRUPT && mr_status_of((int)s)->retryable; /* the database is away */
        for (uint32_t i = job->loaded; i < (of_all ? job->count : job->loaded + 1); i++)
            load_failed(b, job->work[i], s, head->error.text);
        if (!of_all && load_the_rest(b, job)) return;
    }
    mr_load_job_free(job);
}

/* A task that is in memory needs no loader. */
static bool load_task(mr_broker *b, const mr_action *a) {
    const mr_live_run *run = mr_broker_run(b, a->key.run);
    mr_bytes *bytes;
    mr_status s = run && run->stream ? mr_stream_input(b, run->stream, a->key.index, &bytes) : MR_E_NOT_FOUND;
    if (s == MR_E_MEMORY) load_failed(b, a->work, s, "no memory for an input");
    if (s != MR_OK) return s == MR_E_MEMORY;
    loaded(b, a->work, &bytes);
    mr_bytes_drop(bytes); /* NULL, but when there was no memory */
    return true;
}

static bool loads_with_last(const mr_broker *b, const mr_action *a) {
    mr_load_job *last = (mr_load_job *)b->out_loads.last;
    if (!last || a->key.level || last->key.level || last->count == MR_LOAD_MAX || last->key.run != a->key.run ||
        last->key.step != a->key.step || last->key.index + last->count != a->key.index)
        return false;
    last->work[last->count++] = a->work;
    return true;
}

static void load(mr_broker *b, const mr_action *a) {
    if (load_task(b, a) || loads_with_last(b, a)) return;
    mr_live_run *run = mr_broker_run(b, a->key.run);
    mr_load_job *job = run ? mr_new(NULL, 1, sizeof *job) : NULL;
    if (!job) {
        load_failed(b, a->work, MR_E_MEMORY, "no memory for an input");
        return;
    }
    job->head.work = mr_load_work;
    job->head.done = load_done;
    job->info = mr_run_info_share(run->info);
    job->key = a->key;
    job->work[job->count++] = a->work;
    gather(&b->out_loads, &job->head);
}

void mr_broker_unload(mr_broker *b, mr_input *input) {
    if (input->attempt) HASH_DELETE(hh, b->inputs, input);
    DL_DELETE(b->loaded, input);
    mr_bytes_drop(input->bytes);
    mr_free(NULL, input, 1, sizeof *input);
}

/* ---- committing ---- */

/* Results come and go by the thousand, all on this thread: their jobs are used again. */
mr_commit_job *mr_broker_commit_new(mr_broker *b) {
    mr_commit_job *job = b->spare_commits;
    if (!job) return mr_new(NULL, 1, sizeof *job);
    b->spare_commits = (mr_commit_job *)job->head.next;
    b->spares--;
    memset((char *)job + sizeof job->head, 0, sizeof *job - sizeof job->head);
    job->head.status = MR_OK;
    job->head.next = NULL;
    return job;
}

void mr_broker_commit_free(mr_broker *b, mr_commit_job *job) {
    enum { SPARES_MAX = 8192 };
    if (!job) return;
    if (b->spares == SPARES_MAX) {
        mr_commit_job_free(job);
        return;
    }
    mr_commit_job_clear(job);
    job->head.next = (mr_job *)b->spare_commits;
    b->spare_commits = job;
    b->spares++;
}

void mr_broker_spares_free(mr_broker *b) {
    for (mr_commit_job *job; (job = b->spare_commits);) {
        b->spare_commits = (mr_commit_job *)job->head.next;
        mr_commit_job_free(job);
    }
}

static void commit_done(mr_broker *b, mr_job *head) {
    mr_commit_job *job = (mr_commit_job *)head;
    mr_event e = {.type = MR_EV_COMMITTED};
    e.as.committed.key = job->key;
    e.as.committed.attempt = job->attempt;
    e.as.committed.peer = job->peer;
    e.as.committed.verdict = head->status == MR_OK ? job->verdict : MR_RETRY;
    e.as.committed.status = job->verdict == MR_REFUSED ? head->error.status : MR_OK;
    e.as.committed.text = head->error.text;
    const mr_live_run *run = mr_broker_run(b, job->key.run);
    bool known = e.as.committed.verdict == MR_COMMITTED || e.as.committed.verdict == MR_STALE;
    if (run && run->stream && known) mr_stream_done(b, run->stream, job);
    mr_broker_event(b, &e);
    mr_broker_commit_free(b, job);
}

/* The rows that a result is about: those of all the batches below it. */
void mr_broker_rows_below(const mr_run_info *info, const mr_work_key *key, uint64_t *first, uint64_t *rows) {
    uint64_t span = info->plan[key->step].batch_rows;
    *first = key->index;
    *rows = 1;
    if (info->stream) return; /* a task */
    for (uint32_t i = 0; i < key->level; i++) span *= MR_FAN_IN;
    *first = key->index * span;
    uint64_t left = info->rows - *first;
    *rows = span < left ? span : left;
}

static void commit(mr_broker *b, const mr_action *a) {
    mr_commit_job *job = (mr_commit_job *)(uintptr_t)a->handle;
    mr_live_run *run = mr_broker_run(b, a->key.run);
    MR_ASSERT(run); /* core commits for runs that it knows */
    job->head.done = commit_done;
    job->last = a->last;
    job->peer = a->peer;
    job->attempt = a->attempt;
    job->epoch = mr_broker_epoch(b, a->key.run);
    mr_broker_rows_below(run->info, &a->key, &job->first_row, &job->rows);
    if (!run->stream || !mr_stream_holds_result(b, run->stream, job)) gather(&b->out_commits, &job->head);
}

static void forget_run(mr_broker *b, uint64_t id);

/* The end of a run is written when its failures are. One that has a dead letter without a row is read again instead: the batch
 * is pending in the database, and so it is tried again. */
static void end_run(mr_broker *b, mr_live_run *run) {
    uint64_t id = run->run;
    if (!run->ending || run->failures) return;
    if (run->unbooked) {
        forget_run(b, id);
        mr_broker_recover(b, id);
        return;
    }
    mr_desk_give(&b->ledger, &run->ending->head);
    run->ending = NULL;
}

static void failure_done(mr_broker *b, mr_job *head) {
    const mr_failure_job *job = (const mr_failure_job *)head;
    if (mr_status_of((int)head->status)->retryable) {
        mr_broker_try_again(b, head);
        return;
    }
    mr_live_run *run = mr_broker_run(b, job->key.run);
    if (run && run->stream && job->dead && head->status == MR_OK)
        mr_stream_dead(b, run->stream, job->key.index, job->cause, job->reason);
    if (run) {
        run->failures -= run->failures > 0;
        run->unbooked |= job->dead && head->status != MR_OK;
        end_run(b, run);
    }
    mr_free(NULL, head, 1, sizeof(mr_failure_job));
}

/* NULL when the worker said no more than the core has kept. */
static const mr_long_text *long_text_of(const mr_broker *b, uint64_t attempt) {
    for (uint32_t i = 0; i < MR_LONG_TEXTS; i++)
        if (b->long_text[i].attempt == attempt && attempt) return &b->long_text[i];
    return NULL;
}

static void record_failure(mr_broker *b, const mr_action *a) {
    const mr_peer *peer = mr_peer_numbered(&b->peers, a->peer);
    MR_LOG(&b->log, MR_LOG_WARN, "broker", "attempt_failed", MR_LOG_INT("run", a->key.run), MR_LOG_INT("step", a->key.step),
           MR_LOG_INT("level", a->key.level), MR_LOG_INT("batch", a->key.index), MR_LOG_BOOL("dead", a->dead),
           MR_LOG_TEXT("reason", a->text));
    mr_broker_publish(b, "attempt_failed", "broker", "run=%llu step=%u batch=%u status=%s", (unsigned long long)a->key.run,
                      a->key.step, a->key.index, mr_status_of((int)a->status)->name);
    mr_live_run *run = mr_broker_run(b, a->key.run);
    mr_failure_job *job = mr_new(NULL, 1, sizeof *job);
    if (run) run->failures += job || a->dead; /* without its dead letter a run does not end; the next start finds it */
    if (!job) return;
    job->head.work = mr_failure_work;
    job->head.done = failure_done;
    job->epoch = mr_broker_epoch(b, a->key.run);
    job->key = a->key;
    job->attempt = a->attempt;
    job->cause = a->status;
    job->dead = a->dead;
    snprintf(job->worker, sizeof job->worker, "%s", peer ? peer->name : "");
    const mr_long_text *more = long_text_of(b, a->attempt);
    snprintf(job->reason, sizeof job->reason, "%s", more && more->text[0] ? more->text : a->text);
    if (more) memcpy(job->log, more->log, sizeof job->log);
    if (!run || !run->stream || !mr_stream_holds(run->stream, a->key.index, &job->head)) mr_desk_give(&b->ledger, &job->head);
}

/* ---- the end of a run ---- */

static void forget_run(mr_broker *b, uint64_t id) {
    mr_live_run *run = mr_broker_run(b, id);
    mr_core_run_forget(b->core, id);
    if (!run) return;
    b->forgot[b->forgotten++ % MR_FORGOT] = id;
    mr_broker_run_free(b, run);
}

static void run_end_done(mr_broker *b, mr_job *head) {
    mr_run_end_job *job = (mr_run_end_job *)head;
    if (mr_status_of((int)head->status)->retryable) {
        mr_broker_try_again(b, head);
        return;
    }
    if (head->status != MR_OK) /* without a row for its end the run is found, and ended, at the next start */
        MR_LOG(&b->log, MR_LOG_ERROR, "ledger", "run_end_failed", MR_LOG_INT("run", job->run), MR_LOG_TEXT("reason", head->error.text));
    forget_run(b, job->run);
    mr_free(NULL, job, 1, sizeof *job);
}

/* [done, dead, state] of each step, as run_show reads it. */
static void counts_json(mr_broker *b, uint64_t run, char *out, size_t size) {
    mr_step_view v;
    size_t n = (size_t)snprintf(out, size, "[");
    for (uint32_t i = 0; n < size && mr_core_step_at(b->core, run, i, &v); i++) {
        uint64_t done = 0, dead = 0;
        for (uint32_t l = 0; l < v.plan->levels; l++) {
            done += v.level[l].done;
            dead += v.level[l].dead;
        }
        n += (size_t)snprintf(out + n, size - n, "%s[%llu, %llu, %d]", i ? ", " : "", (unsigned long long)done,
                              (unsigned long long)dead, (int)v.state);
    }
    if (n + 1 < size) snprintf(out + n, size - n, "]");
    else snprintf(out, size, "[]");
}

static void run_finished(mr_broker *b, const mr_action *a) {
    static const char *const words[] = {"running", "succeeded", "failed", "cancelled"};
    char object[32];
    snprintf(object, sizeof object, "run:%llu", (unsigned long long)a->key.run);
    MR_LOG(&b->log, MR_LOG_INFO, object, "run_finished", MR_LOG_TEXT("state", words[a->state]), MR_LOG_TEXT("reason", a->text));
    mr_broker_publish(b, "run_finished", object, "state=%s", words[a->state]);
    if (a->state == MR_RUN_CANCELLED) { /* its end is committed already */
        forget_run(b, a->key.run);
        return;
    }
    mr_live_run *run = mr_broker_run(b, a->key.run);
    mr_run_end_job *job = mr_new(NULL, 1, sizeof *job);
    if (!job) return; /* found again, and ended, at the next start */
    job->head.work = mr_run_end_work;
    job->head.done = run_end_done;
    job->epoch = mr_broker_epoch(b, a->key.run);
    job->run = a->key.run;
    job->life = run ? run->life : 0;
    job->state = a->state;
    snprintf(job->reason, sizeof job->reason, "%s", a->text);
    counts_json(b, a->key.run, job->counts, sizeof job->counts);
    if (!run) {
        mr_desk_give(&b->ledger, &job->head);
        return;
    }
    run->ending = job;
    end_run(b, run);
}

static void step_finished(mr_broker *b, const mr_action *a) {
    char object[32];
    mr_step_view v;
    snprintf(object, sizeof object, "run:%llu", (unsigned long long)a->key.run);
    if (mr_core_step_at(b->core, a->key.run, a->key.step, &v))
        mr_broker_publish(b, "step_finished", object, "step=%u component=%s", a->key.step, v.plan->component);
}

static void worker_lost(mr_broker *b, const mr_action *a) {
    mr_peer *peer = mr_peer_numbered(&b->peers, a->peer);
    if (!peer) return;
    MR_LOG(&b->log, MR_LOG_WARN, "broker", "worker_lost", MR_LOG_TEXT("worker", peer->name), MR_LOG_INT("peer", a->peer));
    mr_broker_publish(b, "worker_lost", "broker", "worker=%s", peer->name);
    mr_broker_refuse(b, mr_peer_identity(peer), MR_E_TIMEOUT, true, "nothing was heard for too long; begin again with hello");
    mr_peer_remove(&b->peers, peer);
}

/* The second alarm ends this process with a failure, so that its supervisor starts a new one. */
static void stalled(mr_broker *b, const mr_action *a) {
    MR_LOG(&b->log, MR_LOG_ERROR, "broker", "stalled", MR_LOG_INT("run", a->key.run), MR_LOG_INT("step", a->key.step),
           MR_LOG_BOOL("fatal", a->fatal), MR_LOG_INT("loader_queue", mr_queue_count(&b->loader.in)),
           MR_LOG_INT("ledger_queue", mr_queue_count(&b->ledger.in)), MR_LOG_TEXT("reason", a->text));
    mr_broker_publish(b, "stalled", "broker", "fatal=%d %s", a->fatal, a->text);
    if (a->fatal) mr_broker_drain(b, MR_E_INTERNAL);
}

static void act_once(mr_broker *b, const mr_action *a) {
    switch (a->type) {
    case MR_ACT_LOAD: load(b, a); return;
    case MR_ACT_UNLOAD: mr_broker_unload(b, (mr_input *)(uintptr_t)a->handle); return;
    case MR_ACT_SEND_STEP: send_step(b, a); return;
    case MR_ACT_SEND_WORK: send_work(b, a); return;
    case MR_ACT_COMMIT: commit(b, a); return;
    case MR_ACT_ACK: ack(b, a); return;
    case MR_ACT_CANCEL_ATTEMPT: cancel_attempt(b, a); return;
    case MR_ACT_RECORD_FAILURE: record_failure(b, a); return;
    case MR_ACT_DROP_BODY: mr_broker_commit_free(b, (mr_commit_job *)(uintptr_t)a->handle); return;
    case MR_ACT_STEP_FINISHED: step_finished(b, a); return;
    case MR_ACT_RUN_FINISHED: run_finished(b, a); return;
    case MR_ACT_RUN_LEFT: forget_run(b, a->key.run); return;
    case MR_ACT_WORKER_LOST: worker_lost(b, a); return;
    case MR_ACT_STALLED: stalled(b, a); return;
    }
}

/* Until nothing follows: a send that fails ends a session, which has consequences of its own. */
void mr_broker_act(mr_broker *b) {
    for (bool any = true; any;) {
        mr_action a;
        any = false;
        mr_core_hand_out(b->core);
        while (mr_core_next_action(b->core, &a)) {
            act_once(b, &a);
            any = true;
        }
        flush_work(b);
        flush_acks(b);
        hand_over(&b->out_loads, &b->loader);
        hand_over(&b->out_commits, &b->ledger);
    }
    hand_over(&b->out_submits, &b->submits);
}
