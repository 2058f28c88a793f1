#include "common/net.h"
#include "common/clock.h"
#include "common/text.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <zmq.h>

_Static_assert(sizeof(zmq_msg_t) <= 64, "a frame's place in mr_net_msg is large enough");

#ifndef ZMQ_ZAP_ENFORCE_DOMAIN
#define ZMQ_ZAP_ENFORCE_DOMAIN 93 /* a draft's name in some versions' header, but there in each from 4.3 on */
#endif

enum { ADDRESS_MAX = 256, MAX_FRAME = 16 * 1024 * 1024 };

struct mr_net {
    const mr_mem *mem;
    void *zmq;
    mr_zap_gate gate;
    pthread_t guard; /* runs while guard_end.fd >= 0 */
    void *guard_zmq;
    mr_waker guard_end;
};

struct mr_socket {
    const mr_mem *mem;
    void *zmq;
    int fd; /* readable when the library's thread has something to tell */
    mr_socket_kind kind;
    size_t max_frame;
    bool curve_server;
    mr_conns *conns; /* NULL when they are not watched */
    void *monitor;
    char address[ADDRESS_MAX];
};

/* What each kind is to ZeroMQ, and whether its messages start with a routing id or topic. */
static const struct {
    int zmq_type;
    bool has_first_frame;
} kinds[] = {
    [MR_ROUTER] = {ZMQ_ROUTER, true},
    [MR_DEALER] = {ZMQ_DEALER, false},
    [MR_PUB] = {ZMQ_PUB, true},
    [MR_SUB] = {ZMQ_SUB, true},
};

/* ---- the guard ---- */

static bool send_text(void *zmq, const char *text, bool more) {
    return zmq_send(zmq, text, strlen(text), more ? ZMQ_SNDMORE : 0) >= 0;
}

static bool send_answer(void *zmq, mr_span id, const mr_zap_answer *a) {
    return send_text(zmq, "1.0", true) && zmq_send(zmq, id.data, id.len, ZMQ_SNDMORE) >= 0 && send_text(zmq, a->code, true) &&
           send_text(zmq, a->text, true) && send_text(zmq, a->user, true) && send_text(zmq, "", false);
}

/* One request. Its frames come from this process, so they are few; what is above MR_ZAP_FRAMES makes it none. */
static void answer_request(const mr_zap_gate *gate, void *zmq) {
    zmq_msg_t frame[MR_ZAP_FRAMES + 1];
    mr_span span[MR_ZAP_FRAMES + 1] = {0};
    mr_zap_answer answer;
    size_t n = 0;
    for (bool more = true; more; n++) {
        size_t at = n <= MR_ZAP_FRAMES ? n : MR_ZAP_FRAMES;
        if (at < n) zmq_msg_close(&frame[at]);
        zmq_msg_init(&frame[at]);
        if (zmq_msg_recv(&frame[at], zmq, 0) < 0) break;
        span[at] = (mr_span){zmq_msg_data(&frame[at]), zmq_msg_size(&frame[at])};
        more = zmq_msg_more(&frame[at]);
    }
    mr_zap_decide(gate, span, n, &answer);
    send_answer(zmq, span[1].len ? span[1] : mr_span_of("0"), &answer);
    for (size_t i = 0; i < n && i <= MR_ZAP_FRAMES; i++) zmq_msg_close(&frame[i]);
}

static void *guard(void *self) {
    mr_net *net = self;
    zmq_pollitem_t items[] = {{.socket = net->guard_zmq, .events = ZMQ_POLLIN},
                              {.fd = net->guard_end.fd, .events = ZMQ_POLLIN}};
    while (!items[1].revents) {
        if (zmq_poll(items, 2, -1) < 0 && errno != EINTR) break;
        if (items[0].revents) answer_request(&net->gate, net->guard_zmq);
    }
    zmq_close(net->guard_zmq);
    return NULL;
}

mr_status mr_net_guard(mr_net *net, const mr_zap_gate *gate, mr_error *err) {
    MR_ASSERT(net->guard_end.fd < 0);
    if (!zmq_has("curve")) return mr_fail(err, MR_E_UNAVAILABLE, "this ZeroMQ was built without CURVE: install one that has it");
    MR_TRY(mr_waker_init(&net->guard_end, err));
    net->gate = *gate;
    net->guard_zmq = zmq_socket(net->zmq, ZMQ_REP);
    int none = 0;
    bool ok = net->guard_zmq && !zmq_setsockopt(net->guard_zmq, ZMQ_LINGER, &none, sizeof none) &&
              !zmq_bind(net->guard_zmq, "inproc://zeromq.zap.01");
    int why = ok ? pthread_create(&net->guard, NULL, guard, net) : errno;
    if (ok && !why) return MR_OK;
    if (net->guard_zmq) zmq_close(net->guard_zmq);
    mr_waker_close(&net->guard_end);
    return mr_fail(err, MR_E_IO, "the check of keys cannot start: %s", zmq_strerror(why));
}

static void end_guard(mr_net *net) {
    if (net->guard_end.fd < 0) return;
    mr_waker_wake(&net->guard_end);
    pthread_join(net->guard, NULL);
    mr_waker_close(&net->guard_end);
}

mr_status mr_net_new_keys(mr_key_pair *out, mr_error *err) {
    char open_text[41], secret_text[41];
    bool ok = !zmq_curve_keypair(open_text, secret_text) && zmq_z85_decode(out->open.bytes, open_text) &&
              zmq_z85_decode(out->secret.bytes, secret_text);
    explicit_bzero(secret_text, sizeof secret_text);
    return ok ? MR_OK : mr_fail(err, MR_E_UNAVAILABLE, "no keys can be made: %s", zmq_strerror(errno));
}

/* ---- the context ---- */

mr_status mr_net_new(const mr_mem *mem, mr_net **out, mr_error *err) {
    mr_net *net = mr_new(mem, 1, sizeof *net);
    if (!net) return mr_fail(err, MR_E_MEMORY, "no memory for the network");
    net->mem = mem;
    net->guard_end.fd = -1;
    net->zmq = zmq_ctx_new();
    if (!net->zmq) {
        mr_free(mem, net, 1, sizeof *net);
        return mr_fail(err, MR_E_MEMORY, "the network cannot start: %s", zmq_strerror(errno));
    }
    *out = net;
    return MR_OK;
}

void mr_net_free(mr_net **net) {
    if (!*net) return;
    end_guard(*net);
    while (zmq_ctx_term((*net)->zmq) && errno == EINTR) continue;
    mr_free((*net)->mem, *net, 1, sizeof **net);
    *net = NULL;
}

/* ---- addresses ---- */

static bool starts(const char *text, const char *with) { return !strncmp(text, with, strlen(with)); }

/* "127." and four numbers in all, so that a name such as 127.evil.example is not taken for one. */
static bool is_loopback(const char *host, size_t len) {
    if (len == strlen("localhost") && starts(host, "localhost")) return true;
    return len > 4 && starts(host, "127.") && strspn(host, "0123456789.") == len;
}

static mr_status no_address(const char *address, mr_error *err) {
    return mr_fail(err, MR_E_INVALID, "'%s' is no address; write tcp://127.0.0.1:PORT or ipc://PATH",
                   address);
}

static bool is_port(const char *text) {
    int64_t port;
    return !strcmp(text, "*") || (mr_integer_parse(mr_span_of(text), &port) && port >= 0 && port <= 65535);
}

mr_status mr_net_check_address(const char *address, const mr_net_keys *keys, mr_error *err) {
    if (strlen(address) >= ADDRESS_MAX)
        return mr_fail(err, MR_E_INVALID, "the address '%.40s...' is too long", address);
    if (starts(address, "ipc://") || starts(address, "inproc://")) return MR_OK;
    const char *host = starts(address, "tcp://") ? address + strlen("tcp://") : NULL;
    const char *colon = host ? strrchr(host, ':') : NULL;
    if (!colon || colon == host || !is_port(colon + 1)) return no_address(address, err);
    if (keys || is_loopback(host, (size_t)(colon - host))) return MR_OK;
    return mr_fail(err, MR_E_DENIED,
                   "%s is not on this machine, and traffic there would be plain; use tcp://127.0.0.1:PORT or ipc://PATH, "
                   "or keys: 'millrace keys --help'",
                   address);
}

/* ---- sockets ---- */

static bool set_int(mr_socket *s, int option, int value) {
    return !zmq_setsockopt(s->zmq, option, &value, sizeof value);
}

static int or_else(unsigned value, int otherwise) {
    return value == 0 ? otherwise : value > INT32_MAX ? INT32_MAX : (int)value;
}

/* A peer must not take over another's routing id: with keys the one who has it keeps it. Enforcing the domain makes a
 * missing or broken guard refuse, where it would else let in; so that is read back. */
static bool set_server_keys(mr_socket *s, const mr_net_keys *k) {
    int enforced = 0;
    size_t len = sizeof enforced;
    bool ok = set_int(s, ZMQ_CURVE_SERVER, 1) && set_int(s, ZMQ_ZAP_ENFORCE_DOMAIN, 1);
    ok = ok && !zmq_setsockopt(s->zmq, ZMQ_CURVE_SECRETKEY, k->own.secret.bytes, MR_HASH_BYTES);
    ok = ok && !zmq_setsockopt(s->zmq, ZMQ_ZAP_DOMAIN, k->domain, strlen(k->domain));
    if (s->kind == MR_ROUTER) ok = ok && set_int(s, ZMQ_ROUTER_HANDOVER, 0);
    ok = ok && !zmq_getsockopt(s->zmq, ZMQ_ZAP_ENFORCE_DOMAIN, &enforced, &len);
    s->curve_server = true;
    if (ok && enforced != 1) errno = EPROTO;
    return ok && enforced == 1;
}

static bool set_client_keys(mr_socket *s, const mr_net_keys *k) {
    return !zmq_setsockopt(s->zmq, ZMQ_CURVE_SERVERKEY, k->server.bytes, MR_HASH_BYTES) &&
           !zmq_setsockopt(s->zmq, ZMQ_CURVE_PUBLICKEY, k->own.open.bytes, MR_HASH_BYTES) &&
           !zmq_setsockopt(s->zmq, ZMQ_CURVE_SECRETKEY, k->own.secret.bytes, MR_HASH_BYTES);
}

static bool set_options(mr_socket *s, bool bind, const mr_net_options *o) {
    int heartbeat = or_else(o->heartbeat_ms, 2000);
    int64_t max = (int64_t)s->max_frame;
    bool ok = !zmq_setsockopt(s->zmq, ZMQ_MAXMSGSIZE, &max, sizeof max);
    ok = ok && set_int(s, ZMQ_LINGER, or_else(o->linger_ms, 1000));
    ok = ok && set_int(s, ZMQ_SNDHWM, or_else(o->send_queue, 1000));
    ok = ok && set_int(s, ZMQ_RCVHWM, or_else(o->receive_queue, 1000));
    ok = ok && set_int(s, ZMQ_HANDSHAKE_IVL, 5000) && set_int(s, ZMQ_IPV6, 0);
    ok = ok && set_int(s, ZMQ_HEARTBEAT_IVL, heartbeat) && set_int(s, ZMQ_HEARTBEAT_TIMEOUT, 3 * heartbeat);
    ok = ok && set_int(s, ZMQ_HEARTBEAT_TTL, 3 * heartbeat);
    ok = ok && set_int(s, ZMQ_RECONNECT_IVL, 100) && set_int(s, ZMQ_RECONNECT_IVL_MAX, 2000);
    if (s->kind == MR_ROUTER) ok = ok && set_int(s, ZMQ_ROUTER_MANDATORY, 1);
    /* A worker that comes back under its old name after a crash must not be locked out by its own dead
     * connection. */
    if (s->kind == MR_ROUTER) ok = ok && set_int(s, ZMQ_ROUTER_HANDOVER, 1);
    if (s->kind == MR_DEALER && o->identity.len)
        ok = ok && !zmq_setsockopt(s->zmq, ZMQ_ROUTING_ID, o->identity.data, o->identity.len);
    if (o->keys) ok = ok && (bind ? set_server_keys(s, o->keys) : set_client_keys(s, o->keys));
    return ok;
}

static mr_status open_socket(mr_net *net, bool bind, mr_socket_kind kind, const mr_net_options *o, mr_socket **out,
                             mr_error *err) {
    mr_socket *s = mr_new(net->mem, 1, sizeof *s);
    if (!s) return mr_fail(err, MR_E_MEMORY, "no memory for a socket");
    s->mem = net->mem;
    s->kind = kind;
    s->max_frame = o->max_frame ? o->max_frame : MAX_FRAME;
    s->zmq = zmq_socket(net->zmq, kinds[kind].zmq_type);
    size_t len = sizeof s->fd;
    if (s->zmq && set_options(s, bind, o) && !zmq_getsockopt(s->zmq, ZMQ_FD, &s->fd, &len)) {
        *out = s;
        return MR_OK;
    }
    mr_status status = errno == EMFILE ? MR_E_LIMIT : errno == EINVAL ? MR_E_INVALID : MR_E_IO;
    mr_fail_text(err, status, "a socket cannot be made: %s", zmq_strerror(errno));
    mr_socket_close(&s);
    return status;
}

void mr_socket_close(mr_socket **s) {
    if (!*s) return;
    if ((*s)->monitor) zmq_close((*s)->monitor);
    if ((*s)->zmq) zmq_close((*s)->zmq);
    mr_conns_free(&(*s)->conns);
    mr_free((*s)->mem, *s, 1, sizeof **s);
    *s = NULL;
}

static mr_status attach_failed(const char *address, mr_error *err) {
    switch (errno) {
    case EADDRINUSE:
        return mr_fail(err, MR_E_EXISTS, "another process listens on %s; stop it or choose another port",
                       address);
    case EACCES:
        return mr_fail(err, MR_E_DENIED,
                       "%s: not permitted; choose a port above 1023 or a folder of your own", address);
    case EADDRNOTAVAIL:
    case ENODEV:
        return mr_fail(err, MR_E_NOT_FOUND, "%s: this machine has no such interface", address);
    case ENOENT:
        return mr_fail(err, MR_E_NOT_FOUND, "%s: there is no such folder", address);
    case ECONNREFUSED:
        return mr_fail(err, MR_E_NOT_FOUND, "%s: nobody is bound there in this process", address);
    case EINVAL:
    case ENAMETOOLONG:
    case EPROTONOSUPPORT:
        return no_address(address, err);
    default:
        return mr_fail(err, MR_E_IO, "%s: %s", address, zmq_strerror(errno));
    }
}

/* ZeroMQ takes over an ipc path without a look, even from a process that is alive; so we ask whether somebody
 * listens. */
static bool somebody_listens(const char *address) {
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    const char *path = address + strlen("ipc://");
    if (!starts(address, "ipc:///") || strlen(path) >= sizeof to.sun_path) return false;
    strcpy(to.sun_path, path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) return false;
    bool listens = !connect(fd, (const struct sockaddr *)&to, sizeof to) || errno == EAGAIN;
    close(fd);
    return listens;
}

/* ZeroMQ tells of connections on a pair of sockets in this process. Without a limit to what waits there, because its
 * thread would wait for the reader. */
static bool open_monitor(mr_net *net, mr_socket *s, int events) {
    char name[64];
    int none = 0;
    uint64_t id; /* not the address: the library forgets a name later than the socket's memory is used again */
    mr_random_bytes(&id, sizeof id);
    snprintf(name, sizeof name, "inproc://millrace.monitor.%016llx", (unsigned long long)id);
    if (zmq_socket_monitor(s->zmq, name, events)) return false;
    s->monitor = zmq_socket(net->zmq, ZMQ_PAIR);
    return s->monitor && !zmq_setsockopt(s->monitor, ZMQ_RCVHWM, &none, sizeof none) &&
           !zmq_setsockopt(s->monitor, ZMQ_LINGER, &none, sizeof none) && !zmq_connect(s->monitor, name);
}

static mr_status attach(mr_net *net, bool bind, mr_socket_kind kind, const char *address,
                        const mr_net_options *options, mr_socket **out, mr_error *err) {
    const mr_net_options none = {0};
    if (!options) options = &none;
    MR_TRY(mr_net_check_address(address, options->keys, err));
    if (bind && somebody_listens(address)) {
        errno = EADDRINUSE;
        return attach_failed(address, err);
    }
    if (bind && options->keys && net->guard_end.fd < 0)
        return mr_fail(err, MR_E_DENIED, "%s: keys need a guard that checks them", address);
    mr_socket *s;
    MR_TRY(open_socket(net, bind, kind, options, &s, err));
    if (bind && options->conns && !open_monitor(net, s, ZMQ_EVENT_ACCEPTED | ZMQ_EVENT_DISCONNECTED)) {
        mr_socket_close(&s);
        return mr_fail(err, MR_E_LIMIT, "%s: its connections cannot be watched: %s", address, zmq_strerror(errno));
    }
    if (bind ? zmq_bind(s->zmq, address) : zmq_connect(s->zmq, address)) {
        mr_status status = attach_failed(address, err);
        mr_socket_close(&s);
        return status;
    }
    size_t len = sizeof s->address;
    if (zmq_getsockopt(s->zmq, ZMQ_LAST_ENDPOINT, s->address, &len))
        snprintf(s->address, sizeof s->address, "%s", address);
    mr_status status = bind && options->conns ? mr_conns_new(net->mem, options->conns, s->address, &s->conns, err) : MR_OK;
    if (status != MR_OK) mr_socket_close(&s);
    *out = s;
    return status;
}

mr_status mr_net_bind(mr_net *net, mr_socket_kind kind, const char *address, const mr_net_options *options,
                      mr_socket **out, mr_error *err) {
    return attach(net, true, kind, address, options, out, err);
}

mr_status mr_net_connect(mr_net *net, mr_socket_kind kind, const char *address, const mr_net_options *options,
                         mr_socket **out, mr_error *err) {
    return attach(net, false, kind, address, options, out, err);
}

const char *mr_socket_address(const mr_socket *s) { return s->address; }

mr_status mr_socket_subscribe(mr_socket *s, mr_span prefix, mr_error *err) {
    if (!zmq_setsockopt(s->zmq, ZMQ_SUBSCRIBE, prefix.len ? (const void *)prefix.data : "", prefix.len))
        return MR_OK;
    return mr_fail(err, MR_E_IO, "cannot subscribe at %s: %s", s->address, zmq_strerror(errno));
}

/* ---- bodies ---- */

/* A buffer's memory on its way: what mr_free needs. */
typedef struct owned {
    const mr_mem *mem;
    uint8_t *data;
    size_t cap;
} owned;

static void release_owned(void *data, void *hint) {
    owned *o = hint;
    (void)data;
    const mr_mem *mem = o->mem;
    mr_free(mem, o->data, o->cap, 1);
    mr_free(mem, o, 1, sizeof *o);
}

mr_status mr_net_body_of_buf(mr_buf *buf, mr_net_body *out) {
    owned *o = mr_new(buf->mem, 1, sizeof *o);
    if (!o) return MR_E_MEMORY;
    size_t len;
    o->mem = buf->mem;
    o->data = mr_buf_take(buf, &len, &o->cap);
    *out = (mr_net_body){o->data, len, release_owned, o};
    return MR_OK;
}

void mr_net_body_free(mr_net_body *body) {
    if (body->release) body->release((void *)(uintptr_t)body->data, body->hint);
    *body = (mr_net_body){0};
}

/* ---- sending ---- */

/* What ZeroMQ gets as a body's hint; disarmed when the send fails, because then the caller keeps the body. */
typedef struct parcel {
    const mr_mem *mem;
    mr_net_body body;
    bool armed;
} parcel;

/* The parcel goes through ZeroMQ's own queue to another thread; ThreadSanitizer cannot see that and is told. */
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#include <sanitizer/tsan_interface.h>
#define HANDED_OVER(p) __tsan_release(p)
#define TAKEN_OVER(p) __tsan_acquire(p)
#endif
#endif
#ifndef HANDED_OVER
#define HANDED_OVER(p) (void)(p)
#define TAKEN_OVER(p) (void)(p)
#endif

static void release_parcel(void *data, void *hint) {
    parcel *p = hint;
    (void)data;
    TAKEN_OVER(p);
    if (p->armed) mr_net_body_free(&p->body);
    mr_free(p->mem, p, 1, sizeof *p);
}

static mr_status send_failed(const mr_socket *s, mr_error *err) {
    switch (errno) {
    case EAGAIN:
        return MR_E_FULL;
    case EHOSTUNREACH:
        return MR_E_NOT_FOUND;
    case ENOMEM:
        return mr_fail(err, MR_E_MEMORY, "no memory to send to %s", s->address);
    default:
        return mr_fail(err, MR_E_IO, "sending at %s: %s", s->address, zmq_strerror(errno));
    }
}

static mr_status send_copy(mr_socket *s, mr_span bytes, bool more, mr_error *err) {
    int rc;
    do
        rc = zmq_send(s->zmq, bytes.len ? (const void *)bytes.data : "", bytes.len,
                      ZMQ_DONTWAIT | (more ? ZMQ_SNDMORE : 0));
    while (rc < 0 && errno == EINTR);
    return rc < 0 ? send_failed(s, err) : MR_OK;
}

/* Once the frames before it are accepted a body frame is too, so `armed` is set before the I/O thread can see
 * it. */
static mr_status send_parcel(mr_socket *s, zmq_msg_t *frame, parcel *p, mr_error *err) {
    int rc;
    p->armed = true;
    HANDED_OVER(p);
    do rc = zmq_msg_send(frame, s->zmq, ZMQ_DONTWAIT);
    while (rc < 0 && errno == EINTR);
    if (rc >= 0) return MR_OK;
    mr_status status = send_failed(s, err);
    p->armed = false;
    return status;
}

static mr_status send_head(mr_socket *s, mr_span to, mr_span envelope, bool body, mr_error *err) {
    if (kinds[s->kind].has_first_frame) MR_TRY(send_copy(s, to, true, err));
    return send_copy(s, envelope, body, err);
}

static mr_status send_with_body(mr_socket *s, mr_span to, mr_span envelope, mr_net_body *body,
                                mr_error *err) {
    zmq_msg_t frame;
    parcel *p = mr_new(s->mem, 1, sizeof *p);
    if (!p) return mr_fail(err, MR_E_MEMORY, "no memory to send to %s", s->address);
    *p = (parcel){s->mem, *body, false};
    if (zmq_msg_init_data(&frame, (void *)(uintptr_t)body->data, body->len, release_parcel, p)) {
        mr_free(s->mem, p, 1, sizeof *p);
        return mr_fail(err, MR_E_MEMORY, "no memory to send to %s", s->address);
    }
    mr_status status = send_head(s, to, envelope, true, err);
    if (status == MR_OK) status = send_parcel(s, &frame, p, err);
    zmq_msg_close(&frame); /* after a send it is empty; else this frees the parcel */
    if (status == MR_OK) *body = (mr_net_body){0};
    return status;
}

mr_status mr_net_send(mr_socket *s, mr_span to, mr_span envelope, mr_net_body *body, mr_error *err) {
    size_t largest = body && body->len > envelope.len ? body->len : envelope.len;
    if (largest > s->max_frame)
        return mr_fail(err, MR_E_LIMIT, "a frame of %zu bytes at %s, at most %zu are allowed", largest,
                       s->address, s->max_frame);
    return body ? send_with_body(s, to, envelope, body, err) : send_head(s, to, envelope, false, err);
}

/* ---- receiving ---- */

static zmq_msg_t *frame_at(mr_net_msg *msg, unsigned i) { return (zmq_msg_t *)(void *)msg->frames[i]; }

static mr_span frame_span(mr_net_msg *msg, unsigned i) {
    zmq_msg_t *frame = frame_at(msg, i);
    return (mr_span){zmq_msg_data(frame), zmq_msg_size(frame)};
}

void mr_net_msg_free(mr_net_msg *msg) {
    for (unsigned i = 0; i < msg->count; i++) zmq_msg_close(frame_at(msg, i));
    memset(msg, 0, sizeof *msg);
}

static int receive_on(void *zmq, zmq_msg_t *frame) {
    int rc;
    zmq_msg_init(frame);
    do rc = zmq_msg_recv(frame, zmq, ZMQ_DONTWAIT);
    while (rc < 0 && errno == EINTR);
    return rc;
}

static int receive_frame(mr_socket *s, zmq_msg_t *frame) { return receive_on(s->zmq, frame); }

static void read_events(mr_socket *s, uint64_t now_ms);

/* Reads off what is left of a message, one frame in memory at a time. */
static unsigned drain(mr_socket *s) {
    unsigned frames = 0;
    for (bool more = true; more; frames++) {
        zmq_msg_t frame;
        more = receive_frame(s, &frame) >= 0 && zmq_msg_more(&frame);
        zmq_msg_close(&frame);
    }
    return frames;
}

static const char *property(mr_net_msg *msg, unsigned frame, const char *name) {
    const char *text = zmq_msg_gets(frame_at(msg, frame), name);
    return text ? text : "";
}

/* Who sent it, from a frame that came over the wire. */
static void note_sender(mr_socket *s, mr_net_msg *msg, unsigned frame) {
    msg->user = s->curve_server ? property(msg, frame, "User-Id") : "";
    msg->address = property(msg, frame, "Peer-Address");
    if (!s->conns) return;
    msg->conn = zmq_msg_get(frame_at(msg, frame), ZMQ_SRCFD);
    if (mr_conns_heard(s->conns, msg->conn)) return;
    read_events(s, mr_clock_monotonic_ns() / 1000000); /* it is new */
    mr_conns_heard(s->conns, msg->conn);
}

mr_status mr_net_receive(mr_socket *s, mr_net_msg *msg, bool *got, mr_error *err) {
    memset(msg, 0, sizeof *msg);
    msg->user = msg->address = "";
    msg->conn = -1;
    *got = false;
    unsigned first = kinds[s->kind].has_first_frame ? 1 : 0, most = first + 2, n = 0;
    for (bool more = true; more && n < most; n++) {
        msg->count = n + 1;
        if (receive_frame(s, frame_at(msg, n)) < 0) {
            int why = errno;
            mr_net_msg_free(msg);
            if (why == EAGAIN) return MR_OK;
            return mr_fail(err, MR_E_IO, "receiving at %s: %s", s->address, zmq_strerror(why));
        }
        more = zmq_msg_more(frame_at(msg, n));
    }
    *got = true;
    note_sender(s, msg, n > first ? first : n - 1); /* the envelope stays when the body is taken away */
    if (first) msg->from = frame_span(msg, 0);
    unsigned extra = zmq_msg_more(frame_at(msg, n - 1)) ? drain(s) : 0;
    if (extra || n <= first)
        return mr_fail(err, MR_E_PROTOCOL, "a message of %u frames at %s, 1 or 2 are allowed",
                       n - first + extra, s->address);
    msg->envelope = frame_span(msg, first);
    msg->has_body = n == most;
    if (msg->has_body) msg->body = frame_span(msg, first + 1);
    return MR_OK;
}

/* ---- connections ---- */

/* An event is two frames: number (16 bits) and value (32 bits, the descriptor), in the machine's order; then the address.
 */
static bool next_event(mr_socket *s, uint16_t *number, int32_t *value) {
    zmq_msg_t frame;
    bool got = receive_on(s->monitor, &frame) >= (int)(sizeof *number + sizeof *value);
    if (got) {
        const uint8_t *at = zmq_msg_data(&frame);
        memcpy(number, at, sizeof *number);
        memcpy(value, at + sizeof *number, sizeof *value);
    }
    bool more = got && zmq_msg_more(&frame);
    zmq_msg_close(&frame);
    while (more) {
        more = receive_on(s->monitor, &frame) >= 0 && zmq_msg_more(&frame);
        zmq_msg_close(&frame);
    }
    return got;
}

static void read_events(mr_socket *s, uint64_t now_ms) {
    uint16_t number;
    int32_t fd;
    while (next_event(s, &number, &fd)) {
        if (number == ZMQ_EVENT_ACCEPTED) mr_conns_opened(s->conns, fd, now_ms);
        else mr_conns_closed(s->conns, fd);
    }
}

unsigned mr_socket_check(mr_socket *s, uint64_t now_ms) {
    if (!s->conns) return 0;
    read_events(s, now_ms);
    return mr_conns_check(s->conns, now_ms);
}

void mr_socket_drop(mr_socket *s, int conn, uint64_t at_ms) {
    if (s->conns) mr_conns_drop(s->conns, conn, at_ms);
}

void mr_socket_drop_all(mr_socket *s, uint64_t now_ms) {
    if (!s->conns) return;
    read_events(s, now_ms);
    mr_conns_drop_all(s->conns);
}

/* ---- the proof ---- */

/* The address as one connects to it from this machine. */
static void reachable(const char *address, char out[ADDRESS_MAX]) {
    const char *any = starts(address, "tcp://0.0.0.0:") ? strrchr(address, ':') : NULL;
    snprintf(out, ADDRESS_MAX, "%s%s", any ? "tcp://127.0.0.1" : address, any ? any : "");
}

static mr_status outcome_of_handshake(mr_socket *stranger, mr_error *err) {
    enum { WAIT_MS = 5000 };
    zmq_pollitem_t item = {.socket = stranger->monitor, .events = ZMQ_POLLIN};
    uint64_t until = mr_clock_monotonic_ns() / 1000000 + WAIT_MS, now;
    while ((now = mr_clock_monotonic_ns() / 1000000) < until) {
        uint16_t number;
        int32_t value;
        if (zmq_poll(&item, 1, (long)(until - now)) < 0 && errno != EINTR) break;
        while (next_event(stranger, &number, &value)) {
            if (number == ZMQ_EVENT_HANDSHAKE_FAILED_AUTH) return MR_OK;
            if (number == ZMQ_EVENT_HANDSHAKE_SUCCEEDED)
                return mr_fail(err, MR_E_DENIED, "a key that nobody knows was let in: the check of keys does not work");
        }
    }
    return mr_fail(err, MR_E_DENIED, "the check of keys did not answer within %d ms", WAIT_MS);
}

mr_status mr_net_prove_guard(mr_net *net, mr_socket *s, const mr_net_keys *keys, mr_error *err) {
    char address[ADDRESS_MAX];
    mr_net_keys unknown = {.server = keys->own.open};
    mr_net_options options = {.keys = &unknown, .linger_ms = 1};
    mr_socket *stranger;
    MR_TRY(mr_net_new_keys(&unknown.own, err));
    MR_TRY(open_socket(net, false, s->kind == MR_PUB ? MR_SUB : MR_DEALER, &options, &stranger, err));
    reachable(s->address, address);
    mr_status status = open_monitor(net, stranger, ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_HANDSHAKE_FAILED_AUTH) &&
                               !zmq_connect(stranger->zmq, address)
                           ? outcome_of_handshake(stranger, err)
                           : mr_fail(err, MR_E_IO, "%s cannot be tried: %s", address, zmq_strerror(errno));
    mr_socket_close(&stranger);
    if (status != MR_OK && err) mr_fail_in(err, "%s", s->address);
    return status;
}

/* ---- bodies that stay ---- */

/* A received frame that outlives its message. */
typedef struct kept {
    const mr_mem *mem;
    zmq_msg_t frame;
} kept;

static void release_kept(void *data, void *hint) {
    kept *k = hint;
    (void)data;
    zmq_msg_close(&k->frame);
    mr_free(k->mem, k, 1, sizeof *k);
}

mr_status mr_net_msg_take_body(mr_net_msg *msg, mr_net_body *out) {
    if (!msg->has_body) return MR_E_NOT_FOUND;
    kept *k = mr_new(NULL, 1, sizeof *k);
    if (!k) return MR_E_MEMORY;
    zmq_msg_init(&k->frame);
    zmq_msg_move(&k->frame, frame_at(msg, msg->count - 1));
    *out = (mr_net_body){zmq_msg_data(&k->frame), zmq_msg_size(&k->frame), release_kept, k};
    msg->has_body = false;
    msg->body = (mr_span){NULL, 0};
    return MR_OK;
}

/* ---- waiting ---- */

/* Whether a message can be taken. Asking also takes in what the library's thread tells the socket; without that its descriptor
 * says nothing new. */
static mr_status look(mr_poll_item *item, mr_error *err) {
    int events = 0;
    size_t len = sizeof events;
    if (zmq_getsockopt(item->socket->zmq, ZMQ_EVENTS, &events, &len))
        return mr_fail(err, MR_E_IO, "waiting for messages: %s", zmq_strerror(errno));
    item->readable = events & ZMQ_POLLIN;
    return MR_OK;
}

/* One look at everything, with at most that much time between sockets and descriptors. */
static mr_status poll_once(mr_poll_item *items, size_t n, int timeout_ms, bool *any, mr_error *err) {
    struct pollfd fds[MR_POLL_MAX];
    for (size_t i = 0; i < n; i++) {
        items[i].readable = false;
        if (items[i].socket) MR_TRY(look(&items[i], err));
        *any |= items[i].readable;
        fds[i] = (struct pollfd){.fd = items[i].socket ? items[i].socket->fd : items[i].fd, .events = POLLIN};
    }
    if (poll(fds, n, *any ? 0 : timeout_ms) < 0) {
        if (errno == EINTR) return mr_fail(err, MR_E_INTERRUPTED, "a signal came");
        return mr_fail(err, MR_E_IO, "waiting for messages: %s", strerror(errno));
    }
    for (size_t i = 0; i < n; i++) {
        if (!items[i].socket) items[i].readable = fds[i].revents != 0;
        else if (fds[i].revents && !items[i].readable) MR_TRY(look(&items[i], err));
        *any |= items[i].readable;
    }
    return MR_OK;
}

/* What zmq_poll does, with half of its system calls. */
mr_status mr_net_poll(mr_poll_item *items, size_t n, int timeout_ms, mr_error *err) {
    MR_ASSERT(n <= MR_POLL_MAX);
    uint64_t start = mr_clock_monotonic_ns() / 1000000, spent = 0;
    for (bool any = false;;) {
        MR_TRY(poll_once(items, n, timeout_ms < 0 ? -1 : timeout_ms - (int)spent, &any, err));
        if (any) return MR_OK;
        spent = mr_clock_monotonic_ns() / 1000000 - start;
        if (timeout_ms >= 0 && spent >= (uint64_t)timeout_ms) return MR_OK;
    }
}

mr_status mr_waker_init(mr_waker *w, mr_error *err) {
    w->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    return w->fd >= 0 ? MR_OK
                      : mr_fail(err, MR_E_LIMIT, "no descriptor for waking a thread: %s", strerror(errno));
}

/* A full counter is as good as a wake-up, so an outcome is not looked at. */
void mr_waker_wake(const mr_waker *w) {
    int before = errno;
    if (write(w->fd, &(uint64_t){1}, sizeof(uint64_t)) < 0) errno = before;
}

void mr_waker_clear(const mr_waker *w) {
    uint64_t count;
    if (read(w->fd, &count, sizeof count) < 0) return;
}

void mr_waker_close(mr_waker *w) {
    if (w->fd >= 0) close(w->fd);
    w->fd = -1;
}
