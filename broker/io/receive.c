/* receive.c: messages of peers become events of the core. */
#include "broker/io/broker.h"

#include <stdio.h>
#include <string.h>

static void text_of(mr_span from, char *to, size_t size) {
    size_t n = from.len < size - 1 ? from.len : size - 1;
    memcpy(to, from.data, n);
    to[n] = 0;
}

/* ---- hello ---- */

static void welcome(mr_broker *b, mr_peer *peer) {
    const char *redis = b->settings.redis_url;
    mr_wire m = {.type = MR_MSG_WELCOME};
    m.as.welcome = (mr_wire_welcome){
        .session = b->session + peer->number,
        .broker = mr_span_of(b->settings.name),
        .build = mr_span_of(MR_VERSION),
        .heartbeat_ms = (uint32_t)b->settings.heartbeat_ms,
        .lost_after_ms = (uint32_t)b->settings.lost_after_ms,
        .inline_max = (uint32_t)b->settings.inline_max,
        .events = mr_span_of(mr_socket_address(b->events)),
        .redis = mr_span_of(strchr(redis, '@') ? "" : redis), /* credentials are told to nobody */
        .span = MR_SPAN_MAX,
        .sums = true,
    };
    mr_broker_send(b, peer, &m, NULL);
}

static mr_status take_catalogue(mr_broker *b, const mr_peer *peer, mr_span body) {
    mr_error err;
    mr_status s = mr_catalogue_add(&b->catalogue, body, &err);
    if (s != MR_OK) mr_broker_refuse(b, mr_peer_identity(peer), s, true, err.text);
    return s;
}

static void worker_joined(mr_broker *b, const mr_peer *peer, const mr_wire_hello *hello) {
    mr_offer *offers = mr_arena_alloc(b->arena, hello->offer_count + 1, sizeof *offers);
    if (!offers) return; /* it says hello again when nothing comes */
    for (uint32_t i = 0; i < hello->offer_count; i++) {
        text_of(hello->offers[i].name, offers[i].name, sizeof offers[i].name);
        offers[i].version = hello->offers[i].version;
    }
    mr_event e = {.type = MR_EV_WORKER_JOINED, .peer = peer->number};
    e.as.joined.name = peer->name;
    e.as.joined.slots = hello->slots;
    e.as.joined.offers = hello->offer_count;
    e.as.joined.offer = offers;
    MR_LOG(&b->log, MR_LOG_INFO, "broker", "worker_joined", MR_LOG_TEXT("worker", peer->name), MR_LOG_INT("peer", peer->number),
           MR_LOG_INT("slots", hello->slots), MR_LOG_INT("components", hello->offer_count));
    mr_broker_publish(b, "worker_joined", "broker", "worker=%s slots=%u", peer->name, hello->slots);
    mr_broker_event(b, &e);
}

static void on_hello(mr_broker *b, const mr_wire_hello *hello, const mr_net_msg *msg) {
    mr_peer *peer = mr_peer_from(&b->peers, msg->from);
    mr_key_row row;
    if (hello->role != 1 && hello->role != 2) {
        mr_broker_refuse(b, msg->from, MR_E_PROTOCOL, true, "hello: role is 1 (worker) or 2 (client)");
        return;
    }
    if (hello->role == 1 && (!hello->name.len || hello->name.len >= MR_NAME_MAX)) {
        mr_broker_refuse(b, msg->from, MR_E_PROTOCOL, true, "hello: a worker needs a name of at most 63 bytes");
        return;
    }
    if (peer) mr_broker_peer_gone(b, peer, "began again");
    if (!mr_access_hello(b, msg, hello->role == 1, &row)) return;
    peer = mr_peer_add(&b->peers, msg->from);
    if (!peer) return;
    peer->state = hello->role == 1 ? MR_SESSION_WORKER : MR_SESSION_CLIENT;
    peer->seen_ms = mr_broker_now_ms();
    text_of(hello->name, peer->name, sizeof peer->name);
    mr_access_name(peer, &row, msg);
    text_of(hello->build, peer->build, sizeof peer->build);
    peer->span = hello->span < MR_SPAN_MAX ? hello->span : MR_SPAN_MAX;
    if (hello->role == 1 && take_catalogue(b, peer, msg->body) != MR_OK) {
        mr_peer_remove(&b->peers, peer);
        return;
    }
    uint32_t number = peer->number;
    welcome(b, peer);
    peer = mr_peer_numbered(&b->peers, number); /* it may have gone while it was welcomed */
    if (peer && hello->role == 1) worker_joined(b, peer, hello);
}

/* ---- results ---- */

/* Cuts the next `size` bytes off the body. */
static bool cut(mr_span *rest, uint64_t size, mr_span *out) {
    if (size > rest->len) return false;
    *out = (mr_span){rest->data, size};
    if (!size) return true; /* there may be no body at all */
    rest->data += size;
    rest->len -= size;
    return true;
}

static bool hash_matches(mr_span bytes, const mr_hash *hash) {
    mr_hash found = mr_hash_of(bytes);
    return mr_hash_eq(&found, hash);
}

const char *mr_broker_cut_result(const mr_wire_result_item *item, mr_span *rest, mr_commit_job *job) {
    if (!cut(rest, item->size, &job->body)) return "the body is shorter than its items say";
    if (!item->artifact_count) return NULL;
    job->artifact = mr_new(NULL, item->artifact_count, sizeof *job->artifact);
    if (!job->artifact) return "there is no memory for its artifacts; send it again";
    job->artifacts = item->artifact_count;
    for (uint32_t i = 0; i < item->artifact_count; i++) {
        const mr_wire_artifact_item *from = &item->artifacts[i];
        mr_artifact_ref *to = &job->artifact[i];
        if (!cut(rest, from->size, &to->bytes)) return "the body is shorter than its artifacts say";
        to->hash = from->hash;
        text_of(from->name, to->name, sizeof to->name);
        text_of(from->media_type, to->media_type, sizeof to->media_type);
    }
    return NULL;
}

/* All bytes are as the worker sent them. */
static bool came_whole(const mr_wire_result_item *item, const mr_commit_job *job) {
    bool match = item->sum_count == 1 ? mr_xxh64(job->body, 0) == *item->sums : hash_matches(job->body, &job->hash);
    for (uint32_t i = 0; i < job->artifacts; i++) match &= hash_matches(job->artifact[i].bytes, &job->artifact[i].hash);
    return match;
}

static mr_commit_job *commit_job(mr_broker *b, const mr_peer *peer, const mr_wire_result_item *item) {
    mr_commit_job *job = mr_broker_commit_new(b);
    if (!job) return NULL;
    job->head.work = mr_commit_work;
    job->key = (mr_work_key){item->run, item->step, item->level, item->index};
    job->attempt = item->attempt;
    job->peer = peer->number;
    job->compute_us = item->compute_us;
    memcpy(job->worker, peer->name, sizeof job->worker);
    job->hash = item->hash;
    return job;
}

static void keep_long_text(mr_broker *b, const mr_wire_result_item *item) {
    mr_long_text *at = &b->long_text[b->long_texts++ % MR_LONG_TEXTS];
    at->attempt = item->attempt;
    text_of(item->text, at->text, sizeof at->text);
    text_of(item->log, at->log, sizeof at->log);
}

static void give_result(mr_broker *b, uint32_t peer, const mr_wire_result_item *item, mr_commit_job *job) {
    char text[256] = "";
    if (mr_broker_foreign_result(b, peer, item, job)) return;
    if (item->text.len) text_of(mr_codec_text_cut(item->text, sizeof text - 1), text, sizeof text);
    if (item->status != MR_OK && (item->text.len >= sizeof text || item->log.len)) keep_long_text(b, item);
    mr_event e = {.type = MR_EV_RESULT, .peer = peer};
    e.as.result.attempt = item->attempt;
    e.as.result.key = (mr_work_key){item->run, item->step, item->level, item->index};
    e.as.result.status = mr_status_of(item->status)->status;
    e.as.result.compute_us = item->compute_us;
    e.as.result.body = (uint64_t)(uintptr_t)job;
    e.as.result.text = text;
    mr_broker_event(b, &e);
}

/* Bytes that were damaged on their way: a failed attempt, so that the batch is tried again. */
static void give_broken(mr_broker *b, uint32_t peer, const mr_wire_result_item *item) {
    mr_wire_result_item broken = *item;
    broken.status = MR_E_CORRUPT;
    broken.text = mr_span_of("the result's bytes do not match their hash");
    give_result(b, peer, &broken, NULL);
}

/* One item; gives why it cannot be taken, or NULL. */
static const char *take_result(mr_broker *b, const mr_peer *peer, const mr_wire_result_item *item, mr_bytes *frame,
                               mr_span *rest) {
    if (item->status != MR_OK) {
        give_result(b, peer->number, item, NULL);
        return NULL;
    }
    mr_commit_job *job = commit_job(b, peer, item);
    if (!job) return NULL; /* the worker keeps it and sends it again */
    job->frame = mr_bytes_share(frame);
    const char *wrong = mr_broker_cut_result(item, rest, job);
    if (!wrong && came_whole(item, job)) {
        if (item->sum_count == 1) job->hash = mr_hash_of(job->body); /* here, as the ledger is what a drain waits for */
        give_result(b, peer->number, item, job);
        return NULL;
    }
    mr_broker_commit_free(b, job);
    if (!wrong) give_broken(b, peer->number, item);
    return wrong;
}

/* The outcomes of a span, one by one; gives why they cannot be taken, or NULL. */
static const char *take_span(mr_broker *b, uint32_t number, const mr_wire_result_item *span, mr_bytes *frame, mr_span *rest) {
    bool summed = span->sum_count == span->count, hashed = span->hashes.len == (size_t)span->count * MR_HASH_BYTES;
    if (span->count > MR_SPAN_MAX || span->size_count != span->count || span->time_count != span->count || !(summed || hashed))
        return "a span has a size, a time and a sum or hash for each of its outcomes";
    if (span->status != MR_OK || span->artifact_count) return "a span holds good outcomes without artifacts";
    mr_wire_result_item one = *span;
    const char *wrong = NULL;
    for (uint32_t i = 0; i < span->count && !wrong; i++) {
        const mr_peer *peer = mr_peer_numbered(&b->peers, number); /* an event may have ended the session */
        one.attempt = span->attempt + i;
        one.index = span->index + i;
        one.size = span->sizes[i];
        one.compute_us = span->times[i];
        one.sum_count = summed;
        if (summed) one.sums = &span->sums[i];
        else memcpy(one.hash.bytes, span->hashes.data + (size_t)i * MR_HASH_BYTES, MR_HASH_BYTES);
        if (!peer) break;
        wrong = take_result(b, peer, &one, frame, rest);
    }
    return wrong;
}

static void on_result(mr_broker *b, const mr_peer *from, const mr_wire_result *m, mr_net_msg *msg) {
    mr_net_body body = {0};
    uint32_t number = from->number;
    if (msg->has_body && mr_net_msg_take_body(msg, &body) != MR_OK) return;
    mr_bytes *frame = mr_bytes_of_body(&body);
    if (!frame) {
        mr_net_body_free(&body);
        return;
    }
    mr_span rest = mr_bytes_span(frame);
    for (uint32_t i = 0; i < m->item_count; i++) {
        const mr_peer *peer = mr_peer_numbered(&b->peers, number); /* an event may have ended the session */
        const char *wrong = !peer                   ? NULL
                            : m->items[i].count > 1 ? take_span(b, number, &m->items[i], frame, &rest)
                                                    : take_result(b, peer, &m->items[i], frame, &rest);
        if (!wrong) continue;
        peer = mr_peer_numbered(&b->peers, number);
        if (peer) mr_broker_refuse(b, mr_peer_identity(peer), MR_E_PROTOCOL, false, wrong);
        break;
    }
    mr_bytes_drop(frame);
}

/* ---- the others ---- */

static void on_fetch(mr_broker *b, mr_peer *peer, const mr_wire_fetch *m) {
    enum { PART_MAX = 4 * 1024 * 1024 };
    mr_input *input = NULL;
    HASH_FIND(hh, b->inputs, &m->attempt, sizeof m->attempt, input);
    mr_wire answer = {.type = MR_MSG_BLOB};
    answer.as.blob.request = m->request;
    answer.as.blob.offset = m->offset;
    if (!input) {
        answer.as.blob.status = MR_E_NOT_FOUND;
        mr_broker_send(b, peer, &answer, NULL);
        return;
    }
    mr_span all = mr_bytes_span(input->bytes);
    uint64_t offset = m->offset < all.len ? m->offset : all.len, length = m->length < PART_MAX ? m->length : PART_MAX;
    if (length > all.len - offset) length = all.len - offset;
    mr_net_body body = mr_bytes_body(input->bytes);
    body.data = all.data + offset;
    body.len = length;
    answer.as.blob.total = all.len;
    mr_broker_send(b, peer, &answer, &body);
}

static void on_release(mr_broker *b, uint32_t peer, const mr_wire_release *m) {
    for (uint32_t i = 0; i < m->attempt_count; i++) {
        mr_event e = {.type = MR_EV_RELEASE, .peer = peer, .as.attempt = m->attempts[i]};
        mr_broker_event(b, &e);
    }
}

static void heartbeat(mr_broker *b, mr_peer *peer) {
    mr_wire m = {.type = MR_MSG_HEARTBEAT};
    mr_broker_send(b, peer, &m, NULL);
}

/* What the session table lets through in an open session. */
static void handle(mr_broker *b, mr_peer *peer, const mr_wire *m, mr_net_msg *msg) {
    mr_event e = {.peer = peer->number};
    switch (m->type) {
    case MR_MSG_HEARTBEAT: heartbeat(b, peer); return;
    case MR_MSG_BYE: mr_broker_peer_gone(b, peer, "said bye"); return;
    case MR_MSG_CREDIT:
        e.type = MR_EV_CREDIT;
        e.as.credit = m->as.credit.amount;
        mr_broker_event(b, &e);
        return;
    case MR_MSG_RESULT: on_result(b, peer, &m->as.result, msg); return;
    case MR_MSG_RELEASE: on_release(b, peer->number, &m->as.release); return;
    case MR_MSG_FETCH: on_fetch(b, peer, &m->as.fetch); return;
    case MR_MSG_PROGRESS:
        e.type = MR_EV_PROGRESS;
        e.as.progress.attempt = m->as.progress.attempt;
        e.as.progress.done = m->as.progress.done;
        mr_broker_event(b, &e);
        return;
    case MR_MSG_CALL: mr_broker_call(b, peer, &m->as.call, msg); return;
    default: MR_ASSERT(false && "a message that the session table accepts has no handler");
    }
}

static void seen(mr_broker *b, mr_peer *peer) {
    peer->seen_ms = mr_broker_now_ms();
    if (peer->state != MR_SESSION_WORKER) return;
    mr_event e = {.type = MR_EV_PEER_SEEN, .peer = peer->number};
    mr_broker_event(b, &e);
}

void mr_broker_receive(mr_broker *b, mr_net_msg *msg) {
    mr_error err = {0};
    uint8_t type = 0;
    uint32_t version = 0;
    mr_wire m;
    mr_peer *peer = mr_peer_from(&b->peers, msg->from);
    if (!mr_access_message(b, peer, msg)) return;
    mr_session_state state = peer ? peer->state : MR_SESSION_NEW;
    mr_arena_reset(b->arena);
    mr_status s = mr_wire_peek(msg->envelope, &type, &version, &err);
    bool garbage = s != MR_OK;
    if (s == MR_OK && version != MR_WIRE_VERSION)
        s = mr_fail(&err, MR_E_PROTOCOL, "the peer speaks version %u of the protocol, this broker %d", version, MR_WIRE_VERSION);
    if (s == MR_OK && !mr_session_accepts(state, type)) {
        bool unknown = state == MR_SESSION_NEW;
        s = mr_fail(&err, MR_E_PROTOCOL, unknown ? "there is no session: begin with hello" : "'%s' is not taken in this session",
                    mr_msg_name(type));
    }
    if (s == MR_OK) {
        s = mr_wire_decode(msg->envelope, b->arena, &m, &err);
        garbage = s != MR_OK;
    }
    if (s != MR_OK) {
        mr_broker_refuse(b, msg->from, s, true, err.text);
        if (garbage) mr_access_cut_off(b, msg);
        if (peer) mr_broker_peer_gone(b, peer, err.text);
        return;
    }
    if (peer) seen(b, peer);
    peer = mr_peer_from(&b->peers, msg->from);
    if (m.type == MR_MSG_HELLO) on_hello(b, &m.as.hello, msg);
    else if (peer) handle(b, peer, &m, msg);
}
