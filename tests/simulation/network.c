/* network.c: what common/net.h gives to programs, over simulated connections. A connection keeps the order of what goes
 * over it; it may stall, break with what is on the way, be cut in one direction, and live on for one side alone. As with
 * ZeroMQ the connecting side makes a new one by itself, under another routing id, and its program is not told. Messages
 * that may be lost, come twice or late by their meaning (results, acknowledgements and the like) also do so alone. */
#include "common/net.h"

#include "common/clock.h"
#include "proto/gen/wire.h"
#include "tests/simulation/world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { UP, DOWN, RETRY_US = 100000, WAITING_MAX = 1000 };

struct sim_frame {
    sim_frame *next;
    uint32_t conn, to; /* to: UP or DOWN */
    size_t envelope, body;
    bool has_body;
    uint8_t data[];
};

typedef struct queue {
    sim_frame *head, **tail;
    uint32_t count;
} queue;

struct mr_net {
    int unused;
};

struct mr_socket {
    uint32_t number, life, conn; /* conn: of a dealer, 0: none */
    sim_process *process;
    mr_socket_kind kind;
    uint32_t broker; /* a router's own, a dealer's other side */
    queue in, waiting; /* waiting: sent before there was a connection */
    sim_task *poller;
    char address[64];
};

/* ---- frames ---- */

static void put(queue *q, sim_frame *f) {
    f->next = NULL;
    if (!q->head) q->tail = &q->head;
    *q->tail = f;
    q->tail = &f->next;
    q->count++;
}

static sim_frame *take(queue *q) {
    sim_frame *f = q->head;
    if (!f) return NULL;
    q->head = f->next;
    q->count--;
    return f;
}

static void empty(sim_world *w, queue *q) {
    for (sim_frame *f; (f = take(q)); free(f)) w->frames_out--;
}

static sim_frame *frame(sim_world *w, uint32_t conn, uint32_t to, mr_span envelope, const mr_net_body *b) {
    size_t body = b ? b->len : 0;
    sim_frame *f = malloc(sizeof *f + envelope.len + body);
    MR_ASSERT(f);
    *f = (sim_frame){.conn = conn, .to = to, .envelope = envelope.len, .body = body, .has_body = b != NULL};
    memcpy(f->data, envelope.data, envelope.len);
    if (body) memcpy(f->data + envelope.len, b->data, body);
    w->frames_out++;
    return f;
}

static sim_frame *copy(sim_world *w, const sim_frame *f) {
    size_t n = sizeof *f + f->envelope + f->body;
    sim_frame *c = malloc(n);
    MR_ASSERT(c);
    memcpy(c, f, n);
    w->frames_out++;
    return c;
}

static uint8_t type_of(mr_span envelope) {
    uint8_t type = 0;
    uint32_t version;
    mr_error ignored;
    return mr_wire_peek(envelope, &type, &version, &ignored) == MR_OK ? type : 0;
}

/* ---- what is looked at on the way ---- */

static mr_span envelope_of(const sim_frame *f) { return (mr_span){f->data, f->envelope}; }

static bool look(sim_world *w, const sim_frame *f, mr_wire *m) {
    mr_error ignored;
    mr_arena_reset(w->spy);
    return mr_wire_decode(envelope_of(f), w->spy, m, &ignored) == MR_OK;
}

static uint32_t many(uint32_t count) { return count > 1 ? count : 1; }

/* An item is about one attempt, or about several that follow one another. */
static bool slipped(sim_world *w, const mr_wire_result_item *r, uint32_t conn) {
    bool before = false, elsewhere = false;
    for (uint32_t i = 0; i < many(r->count); i++) {
        sim_attempt *a = sim_attempt_of(w, r->attempt + i);
        if (!a) continue;
        before |= a->sent_conn != 0;
        elsewhere |= a->sent_conn && a->sent_conn != conn;
        if (w->variant != SIM_HELD_FORGOTTEN || !a->sent_conn) a->sent_conn = conn;
        a->status = (uint8_t)r->status;
    }
    return (w->variant == SIM_NO_RESEND && before) || (w->variant == SIM_HELD_FORGOTTEN && elsewhere);
}

/* False: this message does not go out (a variant). */
static bool sent_up(sim_world *w, const sim_frame *f, uint8_t type) {
    mr_wire m;
    bool goes = true;
    sim_conn *c = &w->conn[f->conn];
    if (type == MR_MSG_HELLO) c->credit = 0;
    if (type == MR_MSG_FETCH) SIM_COUNT(w, fetch);
    if ((type != MR_MSG_CREDIT && type != MR_MSG_RESULT) || !look(w, f, &m)) return true;
    if (type == MR_MSG_CREDIT) c->credit += m.as.credit.amount;
    for (uint32_t i = 0; type == MR_MSG_RESULT && i < m.as.result.item_count; i++) {
        if (m.as.result.items[i].count > 1) SIM_COUNT(w, span_up);
        goes &= !slipped(w, &m.as.result.items[i], f->conn);
    }
    return goes;
}

static void work_goes(sim_world *w, sim_conn *c, const mr_wire_work *work) {
    uint64_t attempts = 0;
    for (uint32_t i = 0; i < work->item_count; i++) {
        attempts += many(work->items[i].count);
        if (work->items[i].count > 1) SIM_COUNT(w, span_down);
    }
    if (attempts > c->credit) sim_broken(w, "connection %u was sent more work than its credit", c->id);
    else c->credit -= attempts;
}

static void sent_down(sim_world *w, const sim_process *from, const sim_frame *f, uint8_t type) {
    mr_wire m;
    if ((type != MR_MSG_WORK && type != MR_MSG_ACK) || !look(w, f, &m)) return;
    if (type == MR_MSG_WORK) {
        work_goes(w, &w->conn[f->conn], &m.as.work);
        return;
    }
    for (uint32_t i = 0; i < m.as.ack.item_count; i++)
        for (uint32_t k = 0; k < many(m.as.ack.items[i].count); k++)
            sim_check_ack(w, from, m.as.ack.items[i].attempt + k, m.as.ack.items[i].verdict);
}

/* ---- on the way ---- */

static bool may_get_lost(uint8_t type) {
    return type == MR_MSG_RESULT || type == MR_MSG_ACK || type == MR_MSG_HEARTBEAT || type == MR_MSG_PROGRESS ||
           type == MR_MSG_FETCH || type == MR_MSG_BLOB;
}

static bool may_come_twice(uint8_t type) { return type == MR_MSG_CANCEL || type == MR_MSG_RELEASE || may_get_lost(type); }

static void note_fault(sim_world *w, const sim_conn *c, uint64_t until) {
    const mr_socket *s = w->socket[c->socket];
    if (s && s->process->role == SIM_CLIENT && until > w->client_link_us) w->client_link_us = until;
}

static void on_its_way(sim_world *w, sim_frame *f, bool overtaken) {
    sim_conn *c = &w->conn[f->conn];
    uint64_t at = w->now + sim_between(w, 50, 2000);
    if (sim_faulty(w) && sim_chance(w, w->p_stall)) {
        SIM_COUNT(w, link_stalled);
        c->stalled[f->to] = w->now + sim_between(w, 100000, 4000000);
        note_fault(w, c, c->stalled[f->to]);
    }
    if (at < c->stalled[f->to]) at = c->stalled[f->to];
    if (at < c->last[f->to]) at = c->last[f->to];
    if (overtaken) at += sim_between(w, 1000, 300000);
    else c->last[f->to] = at;
    sim_at(w, at - w->now, (sim_item){.kind = SIM_FRAME_COMES, .p = f});
}

static void down(sim_world *w, sim_conn *c) {
    if (c->up) c->down_us = w->now;
    c->up = false;
}

static void break_link(sim_world *w, sim_conn *c);

static void go(sim_world *w, sim_frame *f) {
    uint8_t type = type_of(envelope_of(f));
    bool faulty = sim_faulty(w);
    SIM_COUNT(w, messages);
    if (faulty && may_get_lost(type) && sim_chance(w, w->p_lose)) {
        SIM_COUNT(w, message_lost);
        w->frames_out--;
        free(f);
        return;
    }
    if (faulty && may_come_twice(type) && sim_chance(w, w->p_twice)) {
        SIM_COUNT(w, message_twice);
        on_its_way(w, copy(w, f), sim_chance(w, 0.5));
    }
    bool overtaken = faulty && may_get_lost(type) && sim_chance(w, w->p_overtake);
    if (overtaken) SIM_COUNT(w, message_overtaken);
    sim_conn *c = &w->conn[f->conn];
    on_its_way(w, f, overtaken);
    if (faulty && sim_chance(w, w->p_break)) break_link(w, c);
}

static mr_socket *router_of(sim_world *w, uint32_t broker) {
    for (uint32_t i = 0; i < w->sockets; i++)
        if (w->socket[i] && w->socket[i]->kind == MR_ROUTER && w->socket[i]->broker == broker) return w->socket[i];
    return NULL;
}

static mr_socket *dealer_of(sim_world *w, const sim_conn *c) {
    mr_socket *s = w->socket[c->socket];
    return s && s->conn == c->id ? s : NULL;
}

void sim_frame_comes(sim_world *w, sim_frame *f) {
    sim_conn *c = &w->conn[f->conn];
    mr_socket *s = f->to == UP ? router_of(w, c->broker) : dealer_of(w, c);
    bool arrives = s && w->now >= c->cut_until[f->to] && (c->up || (f->to == UP && c->closing)) &&
                   (f->to == DOWN || s->life == c->broker_life) && !s->process->dying;
    if (!arrives) {
        w->frames_out--;
        free(f);
        return;
    }
    put(&s->in, f);
    if (s->poller) sim_wake(w, s->poller);
}

/* ---- connections ---- */

static uint32_t new_conn(sim_world *w, uint32_t socket, uint32_t broker, uint32_t life) {
    if (w->conns + 1 >= w->conn_cap) {
        w->conn_cap = w->conn_cap ? w->conn_cap * 2 : 64;
        w->conn = realloc(w->conn, w->conn_cap * sizeof *w->conn);
        MR_ASSERT(w->conn);
    }
    uint32_t id = ++w->conns; /* 0 is none */
    w->conn[id] = (sim_conn){.id = id, .socket = socket, .broker = broker, .broker_life = life, .up = true, .told = true};
    return id;
}

static void connect_again(sim_world *w, uint32_t socket, uint64_t after) {
    sim_at(w, after, (sim_item){.kind = SIM_CONNECT, .a = socket});
}

void sim_connect(sim_world *w, uint32_t socket) {
    mr_socket *s = w->socket[socket], *router = s ? router_of(w, s->broker) : NULL;
    if (!s || s->conn) return;
    if (!router || router->process->dying) {
        connect_again(w, socket, RETRY_US);
        return;
    }
    s->conn = new_conn(w, socket, s->broker, router->life);
    for (sim_frame *f; s->conn && (f = take(&s->waiting));) { /* it may break again at any of them */
        f->conn = s->conn;
        if (sent_up(w, f, type_of(envelope_of(f)))) {
            go(w, f);
        } else {
            w->frames_out--;
            free(f);
        }
    }
}

/* Both ends come to know it, or only the one that will make a new one. */
static void break_link(sim_world *w, sim_conn *c) {
    mr_socket *s = dealer_of(w, c);
    if (!c->up) return;
    SIM_COUNT(w, link_broken);
    note_fault(w, c, w->now);
    down(w, c);
    c->told = sim_chance(w, 0.5);
    if (c->told) SIM_COUNT(w, link_half_open);
    sim_trace(w, "connection %u breaks%s", c->id, c->told ? ", and the broker does not see it" : "");
    if (!s) return;
    s->conn = 0;
    connect_again(w, s->number, sim_between(w, 1000, 2 * RETRY_US));
}

/* One way is deaf for a while; when that is over, the connection is too. */
static void cut(sim_world *w, sim_conn *c) {
    uint64_t until = w->now + sim_between(w, 200000, 6000000);
    SIM_COUNT(w, link_cut);
    note_fault(w, c, until);
    c->cut_until[sim_between(w, 0, 1)] = until;
    if (sim_chance(w, 0.3)) c->cut_until[UP] = c->cut_until[DOWN] = until;
    sim_trace(w, "connection %u is cut", c->id);
    sim_at(w, until - w->now, (sim_item){.kind = SIM_LINK_FAULT, .a = c->id});
}

static void some_link_fault(sim_world *w) {
    for (int tries = 0; w->conns && tries < 8; tries++) {
        sim_conn *c = &w->conn[sim_between(w, 1, w->conns)];
        if (!c->up) continue;
        if (sim_chance(w, 0.5)) cut(w, c);
        else break_link(w, c);
        return;
    }
}

void sim_link_fault(sim_world *w, uint32_t healed) {
    if (healed) break_link(w, &w->conn[healed]);
    else some_link_fault(w);
}

bool sim_network_quiet(const sim_world *w) {
    for (uint32_t i = 1; i <= w->conns; i++)
        if (w->conn[i].up && (w->conn[i].stalled[UP] > w->now || w->conn[i].stalled[DOWN] > w->now)) return false;
    return true;
}

/* What a killed process sent and is still on its way may be lost with it. */
void sim_network_killed(sim_world *w, const sim_process *p) {
    for (uint32_t i = 1; i <= w->conns; i++) {
        sim_conn *c = &w->conn[i];
        mr_socket *s = w->socket[c->socket];
        bool ours = p->role == SIM_BROKER ? c->broker == p->index && c->broker_life == p->life
                                          : s && s->process == p && s->conn == c->id;
        if (!c->up || !ours) continue;
        down(w, c);
        c->closing = p->role != SIM_BROKER && sim_chance(w, 0.5);
        c->told = p->role != SIM_BROKER && sim_chance(w, 0.3); /* a host that is gone says nothing */
        if (p->role != SIM_BROKER || !s || s->conn != c->id) continue;
        s->conn = 0;
        connect_again(w, s->number, sim_between(w, 1000, 2 * RETRY_US));
    }
}

void sim_network_free(sim_world *w) {
    free(w->socket);
    free(w->conn);
}

void sim_send_ack(sim_world *w, uint32_t conn, uint64_t attempt) {
    mr_buf b;
    mr_wire_ack_item item = {.attempt = attempt, .verdict = 0};
    mr_wire m = {.type = MR_MSG_ACK, .as.ack = {.items = &item, .item_count = 1}};
    mr_buf_init(&b, NULL, MR_WIRE_ENVELOPE_MAX);
    MR_ASSERT(mr_wire_encode(&b, &m) == MR_OK);
    sim_frame *f = frame(w, conn, DOWN, mr_buf_span(&b), NULL);
    mr_buf_free(&b);
    sent_down(w, sim_self(), f, MR_MSG_ACK);
    go(w, f);
}

/* ---- net.h: sockets ---- */

mr_status mr_net_new(const mr_mem *mem, mr_net **out, mr_error *err) {
    (void)mem;
    (void)err;
    *out = mr_new(NULL, 1, sizeof **out);
    return MR_OK;
}

void mr_net_free(mr_net **net) {
    if (*net) mr_free(NULL, *net, 1, sizeof **net);
    *net = NULL;
}

mr_status mr_net_guard(mr_net *net, const mr_zap_gate *gate, mr_error *err) {
    (void)net;
    (void)gate;
    return mr_fail(err, MR_E_DENIED, "the simulated network has no keys");
}

mr_status mr_net_prove_guard(mr_net *net, mr_socket *s, const mr_net_keys *keys, mr_error *err) {
    (void)s;
    (void)keys;
    return mr_net_guard(net, NULL, err);
}

static uint32_t broker_at(const char *address) {
    const char *colon = strrchr(address, ':');
    return colon ? (uint32_t)strtoul(colon + 1, NULL, 10) - 7000 : 0;
}

static mr_status open_socket(mr_socket_kind kind, const char *address, mr_socket **out) {
    sim_world *w = sim_here();
    mr_socket *s = calloc(1, sizeof *s);
    if (w->sockets == w->socket_cap) {
        w->socket_cap = w->socket_cap ? w->socket_cap * 2 : 64;
        w->socket = realloc(w->socket, w->socket_cap * sizeof(mr_socket *));
    }
    MR_ASSERT(s && w->socket);
    *s = (mr_socket){.number = w->sockets, .process = sim_self(), .life = sim_self()->life, .kind = kind,
                     .broker = broker_at(address)};
    snprintf(s->address, sizeof s->address, "%s", address);
    w->socket[w->sockets++] = s;
    *out = s;
    return MR_OK;
}

mr_status mr_net_bind(mr_net *net, mr_socket_kind kind, const char *address, const mr_net_options *options, mr_socket **out,
                      mr_error *err) {
    (void)net;
    (void)options;
    (void)err;
    return open_socket(kind, address, out);
}

mr_status mr_net_connect(mr_net *net, mr_socket_kind kind, const char *address, const mr_net_options *options,
                         mr_socket **out, mr_error *err) {
    (void)net;
    (void)options;
    (void)err;
    mr_status s = open_socket(kind, address, out);
    connect_again(sim_here(), (*out)->number, sim_between(sim_here(), 100, 3000));
    return s;
}

mr_status mr_net_check_address(const char *address, const mr_net_keys *keys, mr_error *err) {
    (void)address;
    (void)keys;
    (void)err;
    return MR_OK;
}

void mr_socket_close(mr_socket **at) {
    sim_world *w = sim_here();
    mr_socket *s = *at;
    if (!s) return;
    if (s->kind == MR_ROUTER) {
        for (uint32_t i = 1; i <= w->conns; i++) {
            sim_conn *c = &w->conn[i];
            mr_socket *d = c->up && c->broker == s->broker && c->broker_life == s->life ? dealer_of(w, c) : NULL;
            if (!d) continue;
            down(w, c);
            d->conn = 0;
            connect_again(w, d->number, sim_between(w, 1000, 2 * RETRY_US));
        }
    } else if (s->conn) {
        down(w, &w->conn[s->conn]);
        w->conn[s->conn].closing |= !s->process->dying;
        w->conn[s->conn].told = false;
    }
    empty(w, &s->in);
    empty(w, &s->waiting);
    w->socket[s->number] = NULL;
    free(s);
    *at = NULL;
}

const char *mr_socket_address(const mr_socket *s) { return s->address; }

mr_status mr_socket_subscribe(mr_socket *s, mr_span prefix, mr_error *err) {
    (void)s;
    (void)prefix;
    (void)err;
    return MR_OK;
}

unsigned mr_socket_check(mr_socket *s, uint64_t now_ms) {
    (void)s;
    (void)now_ms;
    return 0;
}

void mr_socket_drop(mr_socket *s, int conn, uint64_t at_ms) {
    (void)s;
    (void)conn;
    (void)at_ms;
}

void mr_socket_drop_all(mr_socket *s, uint64_t now_ms) {
    (void)s;
    (void)now_ms;
}

/* ---- bodies ---- */

static void free_bytes(void *data, void *hint) { mr_free(NULL, data, (size_t)(uintptr_t)hint, 1); }

mr_status mr_net_body_of_buf(mr_buf *buf, mr_net_body *out) {
    size_t len, cap;
    MR_ASSERT(!buf->mem || buf->mem == mr_heap());
    if (mr_buf_status(buf) != MR_OK) return MR_E_MEMORY;
    void *data = mr_buf_take(buf, &len, &cap);
    *out = (mr_net_body){.data = data, .len = len, .release = data ? free_bytes : NULL, .hint = (void *)(uintptr_t)cap};
    return MR_OK;
}

void mr_net_body_free(mr_net_body *body) {
    if (body->release) body->release((void *)(uintptr_t)body->data, body->hint);
    *body = (mr_net_body){0};
}

/* ---- sending ---- */

static bool stalled(const sim_world *w, const sim_conn *c, uint32_t to) { return c->stalled[to] > w->now + 50000; }

static mr_status send_up(sim_world *w, mr_socket *s, mr_span envelope, const mr_net_body *body) {
    if (!s->conn) {
        if (s->waiting.count >= WAITING_MAX) return MR_E_FULL;
        put(&s->waiting, frame(w, 0, UP, envelope, body));
        return MR_OK;
    }
    if (stalled(w, &w->conn[s->conn], UP) && sim_chance(w, w->p_full)) {
        SIM_COUNT(w, queue_full);
        return MR_E_FULL;
    }
    sim_frame *f = frame(w, s->conn, UP, envelope, body);
    if (sent_up(w, f, type_of(envelope))) {
        go(w, f);
    } else {
        w->frames_out--;
        free(f);
    }
    return MR_OK;
}

static mr_status send_down(sim_world *w, const mr_socket *s, mr_span to, mr_span envelope, const mr_net_body *body,
                           mr_error *err) {
    uint32_t id = 0;
    if (to.len == 5) memcpy(&id, to.data + 1, sizeof id);
    sim_conn *c = id && id <= w->conns ? &w->conn[id] : NULL;
    if (!c || c->broker_life != s->life || c->broker != s->broker || (!c->up && !c->told))
        return mr_fail(err, MR_E_NOT_FOUND, "there is no such peer");
    if (stalled(w, c, DOWN) && sim_chance(w, w->p_full / 4)) {
        SIM_COUNT(w, queue_full);
        return MR_E_FULL;
    }
    sim_frame *f = frame(w, id, DOWN, envelope, body);
    sent_down(w, s->process, f, type_of(envelope));
    go(w, f);
    return MR_OK;
}

mr_status mr_net_send(mr_socket *s, mr_span to, mr_span envelope, mr_net_body *body, mr_error *err) {
    sim_world *w = sim_here();
    mr_status status = MR_OK;
    if (!s->process->dying && s->kind == MR_ROUTER) status = send_down(w, s, to, envelope, body, err);
    if (!s->process->dying && s->kind == MR_DEALER) status = send_up(w, s, envelope, body);
    if (status == MR_OK && body) mr_net_body_free(body);
    return status;
}

/* ---- receiving ---- */

typedef struct received {
    sim_frame *frame;
    uint8_t identity[5];
} received;

mr_status mr_net_receive(mr_socket *s, mr_net_msg *msg, bool *got, mr_error *err) {
    sim_world *w = sim_here();
    sim_frame *f = s->process->dying ? NULL : take(&s->in);
    (void)err;
    *msg = (mr_net_msg){.user = "", .address = "", .conn = -1};
    *got = f != NULL;
    if (!f) return MR_OK;
    received *r = (received *)(void *)msg->frames;
    r->frame = f;
    r->identity[0] = 0;
    memcpy(r->identity + 1, &f->conn, sizeof f->conn);
    if (s->kind == MR_ROUTER) msg->from = (mr_span){r->identity, sizeof r->identity};
    msg->envelope = envelope_of(f);
    msg->body = (mr_span){f->data + f->envelope, f->body};
    msg->has_body = f->has_body;
    msg->count = 1;
    w->frames_out--;
    return MR_OK;
}

void mr_net_msg_free(mr_net_msg *msg) {
    received *r = (received *)(void *)msg->frames;
    if (msg->count) free(r->frame);
    *msg = (mr_net_msg){0};
}

mr_status mr_net_msg_take_body(mr_net_msg *msg, mr_net_body *out) {
    if (!msg->has_body) return MR_E_NOT_FOUND;
    void *data = mr_new(NULL, msg->body.len ? msg->body.len : 1, 1);
    MR_ASSERT(data);
    if (msg->body.len) memcpy(data, msg->body.data, msg->body.len);
    *out = (mr_net_body){.data = data, .len = msg->body.len, .release = free_bytes,
                         .hint = (void *)(uintptr_t)(msg->body.len ? msg->body.len : 1)};
    msg->has_body = false;
    return MR_OK;
}

/* ---- waiting ---- */

static bool any_readable(sim_world *w, mr_poll_item *items, size_t n) {
    bool any = false;
    for (size_t i = 0; i < n; i++) {
        items[i].readable = items[i].socket ? items[i].socket->in.head != NULL
                                            : items[i].fd >= SIM_FD && sim_fd_readable(w, items[i].fd);
        any |= items[i].readable;
    }
    return any;
}

static void poll_by(mr_poll_item *items, size_t n, sim_task *t) {
    for (size_t i = 0; i < n; i++)
        if (items[i].socket) items[i].socket->poller = t;
}

mr_status mr_net_poll(mr_poll_item *items, size_t n, int timeout_ms, mr_error *err) {
    sim_world *w = sim_here();
    sim_process *p = sim_self();
    if (!any_readable(w, items, n) && timeout_ms && !p->dying) {
        poll_by(items, n, w->running);
        p->poller = w->running;
        sim_block(w, timeout_ms < 0 ? SIM_NEVER : w->now + (uint64_t)timeout_ms * 1000);
        poll_by(items, n, NULL);
        p->poller = NULL;
        any_readable(w, items, n);
    }
    return p->dying && p->role != SIM_WORKER ? mr_fail(err, MR_E_IO, "killed") : MR_OK; /* a worker ends by signals */
}

mr_status mr_waker_init(mr_waker *waker, mr_error *err) {
    (void)err;
    waker->fd = sim_fd(sim_self(), SIM_FD_WAKER);
    return MR_OK;
}

void mr_waker_wake(const mr_waker *waker) {
    sim_process *p = sim_self();
    (void)waker;
    p->woken = true;
    if (p->poller) sim_wake(sim_here(), p->poller);
}

void mr_waker_clear(const mr_waker *waker) {
    (void)waker;
    sim_self()->woken = false;
}

void mr_waker_close(mr_waker *waker) { waker->fd = -1; }
