#include "broker/cli/client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "broker/cli/term.h"
#include "common/net.h"
#include "proto/gen/wire.h"

enum { HELLO_MS = 2000, CALLS_QUEUED = 4096 };

struct mr_client {
    mr_net *net;
    mr_socket *socket;
    mr_net_keys keys;
    bool plain;
    mr_arena *arena; /* of the message that was decoded last */
    mr_net_msg msg;
    char address[MR_OPTION_TEXT], events[MR_MAX_WELCOME_EVENTS + 1];
    uint32_t next_call, heartbeat_ms;
    uint64_t sent_ms;
};

static mr_status send_envelope(mr_client *c, mr_buf *envelope, mr_span body, mr_error *err) {
    mr_net_body frame = {.data = body.data, .len = body.len};
    mr_status status =
        mr_net_send(c->socket, (mr_span){0}, mr_buf_span(envelope), body.len ? &frame : NULL, err);
    if (status == MR_E_FULL)
        return mr_fail(err, status, "the broker at %s takes no more messages", c->address);
    if (status == MR_OK) c->sent_ms = mr_now_ms();
    return status;
}

static mr_status send_hello(mr_client *c, mr_error *err) {
    char name[MR_MAX_HELLO_NAME], host[40];
    if (gethostname(host, sizeof host)) snprintf(host, sizeof host, "unknown");
    host[sizeof host - 1] = 0;
    snprintf(name, sizeof name, "cli@%s/%d", host, (int)getpid());
    mr_wire_hello hello = {.role = 2, .name = mr_span_of(name), .build = mr_span_of(MR_VERSION)};
    mr_buf b;
    mr_buf_init(&b, NULL, MR_WIRE_ENVELOPE_MAX);
    mr_status status = mr_wire_encode_hello(&b, &hello);
    status = status == MR_OK ? send_envelope(c, &b, (mr_span){0}, err)
                             : mr_fail(err, status, "cannot write a hello");
    mr_buf_free(&b);
    return status;
}

mr_status mr_client_alive(mr_client *c, mr_error *err) {
    if (mr_now_ms() - c->sent_ms < c->heartbeat_ms / 2) return MR_OK;
    mr_wire_heartbeat beat = {0};
    mr_buf b;
    mr_buf_init(&b, NULL, MR_WIRE_ENVELOPE_MAX);
    mr_status status = mr_wire_encode_heartbeat(&b, &beat);
    status = status == MR_OK ? send_envelope(c, &b, (mr_span){0}, err)
                             : mr_fail(err, status, "cannot write a heartbeat");
    mr_buf_free(&b);
    return status;
}

/* The next message into c->msg, or *got = false when `until_ms` passed. */
static mr_status next_message(mr_client *c, uint64_t until_ms, int stop_fd, bool *got, mr_error *err) {
    for (;;) {
        mr_net_msg_free(&c->msg);
        MR_TRY(mr_net_receive(c->socket, &c->msg, got, err));
        if (*got) return MR_OK;
        uint64_t now = mr_now_ms();
        if (now >= until_ms) return MR_OK;
        if (c->heartbeat_ms) MR_TRY(mr_client_alive(c, err));
        uint64_t left = until_ms - now, beat = c->heartbeat_ms ? c->heartbeat_ms / 2 + 1 : 1000;
        mr_poll_item items[2] = {{.socket = c->socket}, {.fd = stop_fd}};
        MR_TRY(mr_net_poll(items, stop_fd < 0 ? 1 : 2, (int)(left < beat ? left : beat), err));
        if (stop_fd >= 0 && items[1].readable) return mr_fail(err, MR_E_INTERRUPTED, "interrupted");
    }
}

static mr_status refused(mr_client *c, mr_error *err) {
    mr_wire_refuse m;
    MR_TRY(mr_wire_decode_refuse(c->msg.envelope, c->arena, &m, err));
    return mr_fail(err,
                   mr_status_of(m.status)->status == MR_OK ? MR_E_PROTOCOL : mr_status_of(m.status)->status,
                   "the broker refused: %.*s", MR_SPAN_ARG(m.text));
}

static mr_status message_type(mr_client *c, uint8_t *type, mr_error *err) {
    uint32_t version;
    MR_TRY(mr_codec_peek(c->msg.envelope, type, &version, err));
    if (version == MR_WIRE_VERSION) return MR_OK;
    return mr_fail(err, MR_E_PROTOCOL,
                   "the broker at %s speaks version %u of the protocol, this program version %d", c->address,
                   version, MR_WIRE_VERSION);
}

static mr_status nobody(const mr_client *c, mr_error *err) {
    return mr_fail(err, MR_E_UNAVAILABLE,
                   "no broker answers at %s: start one with 'millrace up' or set MILLRACE_BROKER%s", c->address,
                   c->plain ? "" : "; one that does not admit this key does not answer either");
}

/* A broker that listens on every interface tells no host: it is the one that was reached. */
static void note_events(mr_client *c, mr_span told) {
    static const char any[] = "tcp://0.0.0.0";
    const char *port = strrchr(c->address, ':');
    size_t n = sizeof any - 1;
    if (told.len > n && !memcmp(told.data, any, n) && told.data[n] == ':' && port)
        snprintf(c->events, sizeof c->events, "%.*s%.*s", (int)(port - c->address), c->address, (int)(told.len - n),
                 (const char *)told.data + n);
    else
        snprintf(c->events, sizeof c->events, "%.*s", MR_SPAN_ARG(told));
}

static mr_status await_welcome(mr_client *c, unsigned hello_ms, mr_error *err) {
    uint64_t until = mr_now_ms() + hello_ms;
    for (;;) {
        bool got;
        uint8_t type;
        mr_wire_welcome m;
        MR_TRY(next_message(c, until, -1, &got, err));
        if (!got) return nobody(c, err);
        mr_arena_reset(c->arena);
        MR_TRY(message_type(c, &type, err));
        if (type == MR_MSG_REFUSE) return refused(c, err);
        if (type != MR_MSG_WELCOME) continue;
        MR_TRY(mr_wire_decode_welcome(c->msg.envelope, c->arena, &m, err));
        c->heartbeat_ms = m.heartbeat_ms ? m.heartbeat_ms : 1000;
        note_events(c, m.events);
        return MR_OK;
    }
}

static mr_status open_session(mr_client *c, unsigned hello_ms, mr_error *err) {
    mr_net_options o = {.max_frame = MR_WIRE_BODY_MAX,
                        .send_queue = CALLS_QUEUED,
                        .receive_queue = CALLS_QUEUED,
                        .linger_ms = 200,
                        .keys = c->plain ? NULL : &c->keys};
    c->arena = mr_arena_new(NULL, 8 << 20);
    if (!c->arena) return mr_fail(err, MR_E_MEMORY, "out of memory");
    MR_TRY(mr_net_new(NULL, &c->net, err));
    MR_TRY(mr_net_connect(c->net, MR_DEALER, c->address, &o, &c->socket, err));
    MR_TRY(send_hello(c, err));
    return await_welcome(c, hello_ms, err);
}

mr_status mr_client_open(const char *addresses, unsigned hello_ms, mr_client **out, mr_error *err) {
    static const mr_globals none = {0};
    return mr_client_open_with(&none, addresses, hello_ms, out, err);
}

static mr_status open_one(const mr_globals *g, mr_span address, unsigned hello_ms, mr_client **out, mr_error *err) {
    mr_client *c = mr_new(NULL, 1, sizeof *c);
    if (!c) return mr_fail(err, MR_E_MEMORY, "out of memory");
    snprintf(c->address, sizeof c->address, "%.*s", MR_SPAN_ARG(address));
    mr_status status =
        mr_keys_to_connect(g->key_file, g->server_key, &c->keys.own, &c->keys.server, &c->plain, err);
    if (status == MR_OK) status = open_session(c, hello_ms, err);
    if (status == MR_OK)
        *out = c;
    else
        mr_client_close(&c);
    return status;
}

mr_status mr_client_open_with(const mr_globals *g, const char *addresses, unsigned hello_ms, mr_client **out,
                              mr_error *err) {
    mr_status status;
    *out = NULL;
    do {
        size_t n = strcspn(addresses, ",");
        status = open_one(g, (mr_span){(const uint8_t *)addresses, n}, hello_ms, out, err);
        addresses += n + (addresses[n] == ',');
    } while (status == MR_E_UNAVAILABLE && *addresses);
    return status;
}

mr_status mr_client_connect(const mr_cli *cli, mr_client **out, mr_error *err) {
    int64_t ms = cli->globals->timeout_ms;
    return mr_client_open_with(cli->globals, cli->globals->broker, ms < HELLO_MS ? (unsigned)ms : HELLO_MS, out,
                               err);
}

static void say_bye(mr_client *c) {
    mr_wire_bye bye = {.reason = mr_span_of("done")};
    mr_buf b;
    mr_buf_init(&b, NULL, MR_WIRE_ENVELOPE_MAX);
    if (mr_wire_encode_bye(&b, &bye) != MR_OK || send_envelope(c, &b, (mr_span){0}, NULL) != MR_OK)
        c->heartbeat_ms = 0; /* the broker finds out by the silence */
    mr_buf_free(&b);
}

void mr_client_close(mr_client **at) {
    mr_client *c = *at;
    if (!c) return;
    if (c->socket && c->heartbeat_ms) say_bye(c);
    mr_net_msg_free(&c->msg);
    if (c->socket) mr_socket_close(&c->socket);
    if (c->net) mr_net_free(&c->net);
    if (c->arena) mr_arena_free(&c->arena);
    explicit_bzero(&c->keys, sizeof c->keys);
    mr_free(NULL, c, 1, sizeof *c);
    *at = NULL;
}

const char *mr_client_address(const mr_client *c) { return c->address; }
const char *mr_client_events(const mr_client *c) { return c->events; }

/* ---- calls ---- */

mr_status mr_client_send(mr_client *c, mr_command command, mr_span args, mr_span body, uint32_t *call,
                         mr_error *err) {
    mr_wire_call m = {.call = ++c->next_call, .command = (uint16_t)command, .args = args};
    mr_buf b;
    mr_buf_init(&b, NULL, MR_WIRE_ENVELOPE_MAX);
    mr_status status = mr_wire_encode_call(&b, &m);
    status = status == MR_OK ? send_envelope(c, &b, body, err)
                             : mr_fail(err, status, "the arguments are too large for one call");
    mr_buf_free(&b);
    *call = m.call;
    return status;
}

static mr_status take_reply(mr_client *c, mr_client_reply *out, mr_error *err) {
    mr_wire_reply m;
    MR_TRY(mr_wire_decode_reply(c->msg.envelope, c->arena, &m, err));
    *out = (mr_client_reply){.call = m.call, .status = mr_status_of(m.status)->status, .body = c->msg.body};
    snprintf(out->text, sizeof out->text, "%.*s", MR_SPAN_ARG(m.text));
    return MR_OK;
}

/* A broker that was started again knows no session of ours: that is worth another try, unlike a refused
 * hello. */
static mr_status session_lost(mr_client *c, mr_error *err) {
    mr_wire_refuse m;
    MR_TRY(mr_wire_decode_refuse(c->msg.envelope, c->arena, &m, err));
    if (!m.fatal) return refused(c, err);
    return mr_fail(err, MR_E_UNAVAILABLE,
                   "the broker at %s closed the session (%.*s); it may have been started again", c->address,
                   MR_SPAN_ARG(m.text));
}

mr_status mr_client_wait(mr_client *c, unsigned timeout_ms, int stop_fd, mr_client_reply *out,
                         mr_error *err) {
    uint64_t until = mr_now_ms() + timeout_ms;
    for (;;) {
        bool got;
        uint8_t type;
        MR_TRY(next_message(c, until, stop_fd, &got, err));
        if (!got)
            return mr_fail(err, MR_E_TIMEOUT,
                           "the broker at %s did not answer within %u ms: see 'millrace doctor'", c->address,
                           timeout_ms);
        mr_arena_reset(c->arena);
        MR_TRY(message_type(c, &type, err));
        if (type == MR_MSG_REFUSE) return session_lost(c, err);
        if (type == MR_MSG_BYE)
            return mr_fail(err, MR_E_UNAVAILABLE, "the broker at %s is stopping", c->address);
        if (type == MR_MSG_REPLY) return take_reply(c, out, err);
    }
}

mr_status mr_client_call(mr_client *c, mr_command command, mr_span args, unsigned timeout_ms, mr_span *body,
                         mr_error *err) {
    uint32_t call;
    mr_client_reply reply;
    MR_TRY(mr_client_send(c, command, args, (mr_span){0}, &call, err));
    do MR_TRY(mr_client_wait(c, timeout_ms, -1, &reply, err));
    while (reply.call != call);
    if (reply.status != MR_OK)
        return mr_fail(err, reply.status, "%s",
                       reply.text[0] ? reply.text : mr_status_of((int)reply.status)->text);
    *body = reply.body;
    return MR_OK;
}

mr_status mr_client_ask(const mr_cli *cli, mr_command command, mr_params *args, mr_buf *out, mr_error *err) {
    mr_client *c;
    MR_TRY(mr_client_connect(cli, &c, err));
    mr_span body;
    mr_status status = mr_client_call(c, command, args ? mr_params_span(args) : (mr_span){0},
                                      (unsigned)cli->globals->timeout_ms, &body, err);
    if (status == MR_OK) {
        mr_buf_put(out, body.data, body.len);
        status = mr_buf_status(out);
        if (status != MR_OK)
            status = mr_fail(err, status, "the broker's answer of %zu bytes is too large", body.len);
    }
    mr_client_close(&c);
    return status;
}

/* ---- arguments ---- */

void mr_params_init(mr_params *p) {
    *p = (mr_params){0};
    mr_buf_init(&p->buf, NULL, MR_MAX_CALL_ARGS);
    p->at = mr_pack_open_map(&p->buf);
}

void mr_params_free(mr_params *p) { mr_buf_free(&p->buf); }

mr_buf *mr_params_open(mr_params *p, const char *name) {
    mr_pack_text(&p->buf, name);
    p->count++;
    return &p->buf;
}

void mr_params_u64(mr_params *p, const char *name, uint64_t v) { mr_pack_u64(mr_params_open(p, name), v); }
void mr_params_bool(mr_params *p, const char *name, bool v) { mr_pack_bool(mr_params_open(p, name), v); }

void mr_params_text(mr_params *p, const char *name, const char *v) {
    if (v && *v) mr_pack_text(mr_params_open(p, name), v);
}

mr_span mr_params_span(mr_params *p) {
    mr_pack_patch(&p->buf, p->at, p->count);
    return mr_buf_span(&p->buf);
}
