#include "broker/io/stream.h"

#include "broker/io/broker.h"
#include "broker/io/call_args.h"
#include "broker/io/submit.h"

#include <string.h>
#include <utlist.h>

/* Without memory for them nobody could tell a packet that comes again from a new one. */
enum { PRODUCERS_MAX = 1 << 18, WAITERS_MAX = 1 << 16, RESULTS_MAX = 48 * 1024 * 1024 };
/* What may wait to be stored; beyond it producers are pushed back. */
enum { WAITING_BYTES = 64 * 1024 * 1024, WAITING_PACKETS = 4096 };

typedef struct producer {
    uint64_t id, next; /* next: the packet that is awaited */
    UT_hash_handle hh;
} producer;

/* A packet in memory: until all its tasks were loaded once, and until it is stored. */
typedef struct kept {
    mr_task_block block;
    uint32_t left; /* tasks that were not asked for yet */
    struct kept *prev, *next;
    UT_hash_handle hh;
} kept;

/* A client that waits for the results of a packet. */
typedef struct waiter {
    uint64_t first;
    uint32_t tasks, left, peer, call;
    mr_buf results; /* msgpack items */
    struct waiter *prev, *next;
} waiter;

struct mr_stream {
    uint64_t run, tasks, stored; /* tasks: given a number; the first `stored` of them are committed */
    uint32_t columns, waiting;
    bool open;
    producer *producers;
    kept *packets, *by_first; /* in the order of their tasks; by the first of them */
    mr_job *held;             /* for the ledger; kept_for: the task */
    waiter *waiters;          /* in the order of their tasks */
};

mr_stream *mr_stream_new(uint64_t run, uint64_t tasks, uint32_t columns, bool open) {
    mr_stream *s = mr_new(NULL, 1, sizeof *s);
    if (s) *s = (mr_stream){.run = run, .tasks = tasks, .stored = tasks, .columns = columns, .open = open};
    return s;
}

/* ---- producers ---- */

static producer *producer_of(const mr_stream *s, uint64_t id) {
    producer *p = NULL;
    HASH_FIND(hh, s->producers, &id, sizeof id, p);
    return p;
}

mr_status mr_stream_producer(mr_stream *s, uint64_t id, uint64_t next, mr_error *err) {
    producer *p = producer_of(s, id);
    if (!p && HASH_COUNT(s->producers) >= PRODUCERS_MAX)
        return mr_fail(err, MR_E_LIMIT, "run %llu had %d producers, which is all that a stream can have: close it and open another",
                       (unsigned long long)s->run, PRODUCERS_MAX);
    if (!p && !(p = mr_new(NULL, 1, sizeof *p))) return mr_fail(err, MR_E_MEMORY, "no memory for a producer");
    bool fresh = !producer_of(s, id);
    p->id = id;
    p->next = next;
    if (fresh) HASH_ADD(hh, s->producers, id, sizeof p->id, p);
    if (p->hh.tbl) return MR_OK;
    mr_free(NULL, p, 1, sizeof *p);
    return mr_fail(err, MR_E_MEMORY, "no memory for a producer");
}

/* ---- packets in memory ---- */

static void drop_packet(mr_broker *b, mr_stream *s, kept *k) {
    b->task_bytes -= mr_bytes_span(k->block.frame).len;
    DL_DELETE(s->packets, k);
    HASH_DELETE(hh, s->by_first, k);
    mr_task_block_close(&k->block);
    mr_free(NULL, k, 1, sizeof *k);
}

static kept *packet_with(const mr_stream *s, uint64_t task) {
    kept *k = s->packets;
    while (k && !mr_task_block_has(&k->block, s->run, task)) k = k->block.first > task ? NULL : k->next;
    return k;
}

static bool is_stored(const mr_stream *s, const kept *k) { return k->block.first + k->block.count <= s->stored; }

mr_status mr_stream_input(mr_broker *b, mr_stream *s, uint64_t task, mr_bytes **out) {
    kept *k = packet_with(s, task);
    if (!k) return MR_E_NOT_FOUND;
    *out = mr_task_block_input(&k->block, task, (size_t)b->settings.inline_max);
    if (!*out) return MR_E_MEMORY;
    if (k->left) k->left--;
    if (!k->left && is_stored(s, k)) drop_packet(b, s, k);
    return MR_OK;
}

/* What was stored stays in memory while there is room beside what is not; the tasks that came first are the first to be asked
 * for. */
static void settle_packet(mr_broker *b, mr_stream *s, uint64_t first) {
    kept *k = NULL;
    HASH_FIND(hh, s->by_first, &first, sizeof first, k);
    if (k && is_stored(s, k) && (!k->left || b->task_bytes > b->submit_bytes + ((size_t)b->settings.task_cache_mb << 20)))
        drop_packet(b, s, k);
}

/* ---- what is held back ---- */

bool mr_stream_holds(mr_stream *s, uint64_t task, mr_job *job) {
    if (task < s->stored) return false;
    job->kept_for = task;
    LL_PREPEND(s->held, job);
    return true;
}

/* Up to `stored` they go to the ledger, or back when their tasks cannot be stored any more. */
static void release_held(mr_broker *b, mr_stream *s, mr_status status) {
    mr_job *all = s->held, *ready = NULL, **rest = &s->held, *job, *next;
    s->held = NULL;
    LL_FOREACH_SAFE(all, job, next) {
        job->next = NULL;
        job->status = status;
        if (status == MR_OK && job->kept_for >= s->stored) {
            *rest = job;
            rest = &job->next;
        } else if (status == MR_OK) {
            LL_PREPEND(ready, job); /* the last that came was first in the list */
        } else {
            job->done(b, job);
        }
    }
    if (ready) mr_desk_give_all(&b->ledger, ready);
}

/* ---- who waits ---- */

static void answer_packet(mr_broker *b, uint32_t peer, uint32_t call, uint64_t first, uint32_t tasks, bool existed,
                          const mr_buf *results) {
    mr_buf out;
    mr_buf_init(&out, NULL, RESULTS_MAX + 1024);
    mr_pack_map(&out, results ? 4 : 3);
    mr_pack_text(&out, "first");
    mr_pack_u64(&out, first);
    mr_pack_text(&out, "tasks");
    mr_pack_u64(&out, tasks);
    mr_pack_text(&out, "existed");
    mr_pack_bool(&out, existed);
    if (results) {
        mr_pack_text(&out, "results");
        mr_pack_array(&out, tasks);
        mr_buf_put(&out, results->data, results->len);
    }
    mr_status status = mr_buf_status(&out);
    mr_broker_reply(b, peer, call, status, "no memory for the answer", &out);
    mr_buf_free(&out);
}

static void forget_waiter(mr_stream *s, waiter *w) {
    DL_DELETE(s->waiters, w);
    s->waiting--;
    mr_buf_free(&w->results);
    mr_free(NULL, w, 1, sizeof *w);
}

static waiter *waiter_for(const mr_stream *s, uint64_t task) {
    waiter *w = s->waiters;
    while (w && task - w->first >= w->tasks) w = w->first > task ? NULL : w->next;
    return w;
}

/* [task, status, text, body] */
static void tell_waiter(mr_broker *b, mr_stream *s, uint64_t task, mr_status status, const char *text, mr_span body) {
    waiter *w = waiter_for(s, task);
    if (!w) return;
    mr_pack_array(&w->results, 4);
    mr_pack_u64(&w->results, task);
    mr_pack_u64(&w->results, (uint64_t)status);
    mr_pack_text(&w->results, text);
    mr_pack_bin(&w->results, body);
    if (--w->left) return;
    if (mr_buf_status(&w->results) != MR_OK)
        mr_broker_reply(b, w->peer, w->call, MR_E_LIMIT, "the results are there, but too large for one answer: read them with 'results'", NULL);
    else answer_packet(b, w->peer, w->call, w->first, w->tasks, false, &w->results);
    forget_waiter(s, w);
}

bool mr_stream_holds_result(mr_broker *b, mr_stream *s, mr_commit_job *job) {
    const waiter *w = job->key.index < s->stored ? NULL : waiter_for(s, job->key.index);
    if (!w || w->tasks > 1 || job->artifacts) return mr_stream_holds(s, job->key.index, &job->head);
    mr_broker_store(b, &job->head, false);
    return true;
}

void mr_stream_done(mr_broker *b, mr_stream *s, const mr_commit_job *job) {
    tell_waiter(b, s, job->key.index, MR_OK, "", job->body);
}

void mr_stream_dead(mr_broker *b, mr_stream *s, uint64_t task, mr_status why, const char *text) {
    tell_waiter(b, s, task, why, text, (mr_span){0});
}

static void refuse_waiter(mr_broker *b, mr_stream *s, waiter *w, mr_status status, const char *text) {
    mr_broker_reply(b, w->peer, w->call, status, text, NULL);
    forget_waiter(s, w);
}

/* ---- the end ---- */

void mr_stream_end(mr_broker *b, mr_stream **at) {
    mr_stream *s = *at;
    producer *p, *next;
    if (!s) return;
    release_held(b, s, MR_E_CANCELLED);
    bool left = mr_broker_place_of(b, s->run) != MR_OURS;
    while (s->waiters)
        refuse_waiter(b, s, s->waiters, left ? MR_E_UNAVAILABLE : MR_E_CANCELLED,
                      left ? "the stream has gone to another broker, and goes on there" : "the stream ended before all tasks were done");
    while (s->packets) drop_packet(b, s, s->packets);
    HASH_ITER(hh, s->producers, p, next) {
        HASH_DELETE(hh, s->producers, p);
        mr_free(NULL, p, 1, sizeof *p);
    }
    mr_free(NULL, s, 1, sizeof *s);
    *at = NULL;
}

/* ---- submit ---- */

static mr_status find_stream(mr_broker *b, uint64_t run, mr_stream **out, mr_error *err) {
    const mr_live_run *live = mr_broker_run(b, run);
    mr_run_view view;
    if (!live || !mr_core_run_find(b->core, run, &view) || view.state != MR_RUN_RUNNING)
        return mr_fail(err, MR_E_NOT_FOUND, "no stream %llu is open: 'millrace runs' shows the state of each",
                       (unsigned long long)run);
    if (!live->stream)
        return mr_fail(err, MR_E_INVALID, "run %llu reads a data set; tasks go to a stream: 'millrace stream open' makes one",
                       (unsigned long long)run);
    *out = live->stream;
    return MR_OK;
}

/* Every body is a segment with all that the component needs. */
static mr_status check_tasks(const mr_stream *s, const mr_packet *packet, mr_error *err) {
    mr_packet_cursor at = {0};
    mr_task task;
    while (mr_packet_next(packet, &at, &task)) {
        uint32_t columns;
        mr_error why;
        if (!mr_task_whole(&task)) return mr_fail(err, MR_E_INVALID, "task %u: its bytes do not match their sum", at.next - 1);
        if (mr_segment_check(task.body, &columns, &why) != MR_OK)
            return mr_fail(err, MR_E_INVALID, "task %u: %.400s", at.next - 1, why.text);
        if (s->columns & ~columns)
            return mr_fail(err, MR_E_INVALID, "task %u has no column '%s', which the stream's component needs", at.next - 1,
                           mr_column_first(s->columns & ~columns));
        if (!mr_codec_text_ok(task.id)) return mr_fail(err, MR_E_INVALID, "task %u: its id is not UTF-8, or holds a NUL", at.next - 1);
    }
    return MR_OK;
}

static bool full(mr_broker *b, mr_error *err) {
    if (b->submit_bytes <= WAITING_BYTES && b->submit_packets < WAITING_PACKETS) return false;
    (void)mr_fail(err, MR_E_FULL, "too much waits to be stored; send it again in a while");
    return true;
}

/* Which packet it is: E_FULL when one before it was refused, which must come first; *again when it came before. */
static mr_status place_packet(const mr_stream *s, const mr_submit_job *job, bool *again, mr_error *err) {
    const producer *p = producer_of(s, job->producer);
    uint64_t next = p ? p->next : 0;
    *again = job->packet < next;
    if (job->packet <= next) return MR_OK;
    return mr_fail(err, MR_E_FULL, "packet %llu of this producer is awaited: send from there again", (unsigned long long)next);
}

static mr_status take_frame(mr_submit_job *job, mr_net_msg *msg, mr_error *err) {
    mr_net_body body = {0};
    if (!msg->has_body || mr_net_msg_take_body(msg, &body) != MR_OK)
        return mr_fail(err, MR_E_INVALID, "submit: the packet is missing");
    if (body.len <= MR_PACKET_BYTES) job->frame = mr_bytes_of_body(&body);
    size_t size = body.len;
    mr_net_body_free(&body);
    if (size > MR_PACKET_BYTES) return mr_fail(err, MR_E_LIMIT, "a packet has at most %d bytes, not %zu", MR_PACKET_BYTES, size);
    if (!job->frame) return mr_fail(err, MR_E_MEMORY, "no memory for a packet");
    return mr_packet_open(mr_bytes_span(job->frame), &job->view, err);
}

static mr_status keep_packet(mr_broker *b, mr_stream *s, const mr_submit_job *job, kept **out, mr_error *err) {
    kept *k = mr_new(NULL, 1, sizeof *k);
    mr_status status = k ? mr_task_block_open(&k->block, s->run, s->tasks, job->frame, err)
                         : mr_fail(err, MR_E_MEMORY, "no memory for a packet");
    if (status == MR_OK) {
        HASH_ADD(hh, s->by_first, block.first, sizeof k->block.first, k);
        if (!k->hh.tbl) status = mr_fail(err, MR_E_MEMORY, "no memory for a packet");
        if (status != MR_OK) mr_task_block_close(&k->block);
    }
    if (status != MR_OK) {
        mr_free(NULL, k, 1, sizeof *k);
        return status;
    }
    k->left = k->block.count;
    b->task_bytes += mr_bytes_span(job->frame).len;
    DL_APPEND(s->packets, k);
    *out = k;
    return MR_OK;
}

static mr_status add_waiter(mr_stream *s, const mr_submit_job *job, mr_error *err) {
    if (s->waiting == WAITERS_MAX) return mr_fail(err, MR_E_FULL, "%d clients wait for results of this stream", WAITERS_MAX);
    waiter *w = mr_new(NULL, 1, sizeof *w);
    if (!w) return mr_fail(err, MR_E_MEMORY, "no memory for a client that waits");
    *w = (waiter){.first = s->tasks, .tasks = job->view.count, .left = job->view.count, .peer = job->peer, .call = job->call};
    mr_buf_init(&w->results, NULL, RESULTS_MAX);
    DL_APPEND(s->waiters, w);
    s->waiting++;
    return MR_OK;
}

static void submit_done(mr_broker *b, mr_job *head);

/* All that can fail comes before the numbers are given out. */
static mr_status accept(mr_broker *b, mr_stream *s, mr_submit_job *job, mr_error *err) {
    kept *k;
    mr_event e = {.type = MR_EV_RUN_GROWN};
    e.as.grown.run = s->run;
    e.as.grown.tasks = job->view.count;
    MR_TRY(check_tasks(s, &job->view, err));
    if (!producer_of(s, job->producer)) MR_TRY(mr_stream_producer(s, job->producer, 0, err));
    MR_TRY(keep_packet(b, s, job, &k, err));
    mr_status status = job->wait ? add_waiter(s, job, err) : MR_OK;
    if (status == MR_OK) {
        status = mr_core_take(b->core, mr_broker_now_ms(), &e, err);
        if (status != MR_OK && job->wait) forget_waiter(s, s->waiters->prev);
    }
    if (status != MR_OK) {
        drop_packet(b, s, k);
        return status;
    }
    job->first = s->tasks;
    job->tasks = job->view.count;
    s->tasks += job->view.count;
    producer_of(s, job->producer)->next = job->packet + 1;
    b->submit_bytes += mr_bytes_span(job->frame).len;
    b->submit_packets++;
    return MR_OK;
}

static mr_status take_packet(mr_broker *b, const mr_wire_call *call, mr_net_msg *msg, mr_submit_job *job, mr_error *err) {
    mr_stream *s;
    bool again;
    job->producer = mr_arg_number(call->args, "producer", 0);
    job->packet = mr_arg_number(call->args, "packet", 0);
    job->wait = mr_arg_flag(call->args, "wait");
    if (mr_arg_beyond(call->args, "producer") || mr_arg_beyond(call->args, "packet"))
        return mr_fail(err, MR_E_INVALID, "submit: producer and packet are numbers up to 2^63 - 1");
    mr_status found = find_stream(b, job->run, &s, err);
    again = found == MR_E_NOT_FOUND; /* a stream that has ended may have the packet */
    if (!again) MR_TRY(found);
    if (!again) MR_TRY(place_packet(s, job, &again, err));
    if (again) {
        job->kind = MR_SUBMIT_AGAIN;
        *err = (mr_error){0};
        return MR_OK;
    }
    if (!s->open) return mr_fail(err, MR_E_CONFLICT, "stream %llu is closed: it takes no more tasks", (unsigned long long)s->run);
    MR_TRY(take_frame(job, msg, err));
    return accept(b, s, job, err);
}

static mr_submit_job *new_job(const mr_broker *b, mr_submit_kind kind, const mr_peer *peer, const mr_wire_call *call, mr_error *err) {
    char client[MR_NAME_MAX + 1];
    mr_peer_client(peer, client);
    mr_submit_job *job = mr_submit_job_new(kind, mr_arg_number(call->args, "run", 0), client);
    if (!job) {
        mr_fail(err, MR_E_MEMORY, "no memory for the call");
        return NULL;
    }
    job->peer = peer->number;
    job->call = call->call;
    job->epoch = mr_broker_epoch(b, job->run);
    job->head.done = submit_done;
    return job;
}

/* Tasks get their numbers from the stream's owner alone. */
static bool elsewhere(const mr_broker *b, const mr_wire_call *call, mr_error *err) {
    uint64_t run = mr_arg_number(call->args, "run", 0);
    if (mr_broker_place_of(b, run) == MR_OURS) return false;
    (void)mr_fail(err, MR_E_UNAVAILABLE, "stream %llu is not this broker's now: 'millrace brokers' shows which one owns partition %d",
                  (unsigned long long)run, mr_partition_of(run));
    return true;
}

void mr_stream_submit(mr_broker *b, const mr_peer *peer, const mr_wire_call *call, mr_net_msg *msg, mr_error *err) {
    mr_submit_job *job = elsewhere(b, call, err) || full(b, err) ? NULL : new_job(b, MR_SUBMIT_PACKET, peer, call, err);
    if (!job) return;
    if (take_packet(b, call, msg, job, err) != MR_OK) mr_submit_job_free(job);
    else mr_broker_store(b, &job->head, job->wait); /* who waits for results needs the work to go out first */
}

/* Its numbers are given out, but nothing can be stored under them any more: this broker has ended. Who waited for a stream that
 * is gone was told so. */
static void not_stored(mr_broker *b, mr_stream *s, const mr_submit_job *job) {
    waiter *w = s && job->wait ? waiter_for(s, job->first) : NULL;
    if (s) release_held(b, s, MR_E_CANCELLED);
    if (w) refuse_waiter(b, s, w, job->head.status, job->head.error.text);
    else if (!job->wait) mr_broker_reply(b, job->peer, job->call, job->head.status, job->head.error.text, NULL);
}

static void packet_done(mr_broker *b, mr_stream *s, const mr_submit_job *job) {
    b->submit_bytes -= mr_bytes_span(job->frame).len;
    b->submit_packets--;
    if (job->head.status != MR_OK) {
        not_stored(b, s, job);
        return;
    }
    if (s) {
        s->stored = job->first + job->tasks;
        settle_packet(b, s, job->first);
        release_held(b, s, MR_OK);
    }
    if (!job->wait) answer_packet(b, job->peer, job->call, job->first, job->tasks, false, NULL);
}

/* ---- close ---- */

static void closed(mr_broker *b, mr_stream *s, const mr_submit_job *job) {
    mr_buf out;
    mr_buf_init(&out, NULL, 256);
    mr_event e = {.type = MR_EV_RUN_CLOSED, .as.run = job->run};
    uint64_t tasks = s ? s->tasks : 0;
    if (s && job->head.status == MR_OK) mr_broker_event(b, &e);
    mr_pack_map(&out, 2);
    mr_pack_text(&out, "run");
    mr_pack_u64(&out, job->run);
    mr_pack_text(&out, "tasks");
    mr_pack_u64(&out, tasks);
    mr_broker_reply(b, job->peer, job->call, job->head.status, job->head.error.text, &out);
    mr_buf_free(&out);
}

static void submit_done(mr_broker *b, mr_job *head) {
    mr_submit_job *job = (mr_submit_job *)head;
    const mr_live_run *live = mr_broker_run(b, job->run);
    mr_stream *s = live ? live->stream : NULL;
    switch (job->kind) {
    case MR_SUBMIT_PACKET: packet_done(b, s, job); break;
    case MR_SUBMIT_AGAIN:
        if (head->status == MR_OK) answer_packet(b, job->peer, job->call, job->first, job->tasks, true, NULL);
        else mr_broker_reply(b, job->peer, job->call, head->status, head->error.text, NULL);
        break;
    case MR_SUBMIT_CLOSE: closed(b, s, job); break;
    }
    mr_submit_job_free(job);
}

/* What was accepted before is stored first: the desk keeps the order. */
void mr_stream_close(mr_broker *b, const mr_peer *peer, const mr_wire_call *call, mr_error *err) {
    mr_stream *s;
    if (elsewhere(b, call, err) || find_stream(b, mr_arg_number(call->args, "run", 0), &s, err) != MR_OK) return;
    if (!s->open) {
        mr_fail(err, MR_E_CONFLICT, "stream %llu is closed already", (unsigned long long)s->run);
        return;
    }
    mr_submit_job *job = new_job(b, MR_SUBMIT_CLOSE, peer, call, err);
    if (!job) return;
    s->open = false;
    mr_broker_store(b, &job->head, false);
}
