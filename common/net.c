#include "common/net.h"
#include "common/text.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <zmq.h>

_Static_assert(sizeof(zmq_msg_t) <= 64, "a frame's place in mr_net_msg is large enough");

enum { ADDRESS_MAX = 256, MAX_FRAME = 16 * 1024 * 1024 };

struct mr_net {
    const mr_mem *mem;
    void *zmq;
};

struct mr_socket {
    const mr_mem *mem;
    void *zmq;
    mr_socket_kind kind;
    size_t max_frame;
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

mr_status mr_net_new(const mr_mem *mem, mr_net **out, mr_error *err) {
    mr_net *net = mr_new(mem, 1, sizeof *net);
    if (!net) return mr_fail(err, MR_E_MEMORY, "no memory for the network");
    net->mem = mem;
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
    if (keys) return mr_fail(err, MR_E_DENIED, "%s: encrypted sockets are not in this version", address);
    if (starts(address, "ipc://") || starts(address, "inproc://")) return MR_OK;
    const char *host = starts(address, "tcp://") ? address + strlen("tcp://") : NULL;
    const char *colon = host ? strrchr(host, ':') : NULL;
    if (!colon || colon == host || !is_port(colon + 1)) return no_address(address, err);
    if (is_loopback(host, (size_t)(colon - host))) return MR_OK;
    return mr_fail(
        err, MR_E_DENIED,
        "%s is not on this machine, and traffic there would be plain; use tcp://127.0.0.1:PORT or ipc://PATH",
        address);
}

/* ---- sockets ---- */

static bool set_int(mr_socket *s, int option, int value) {
    return !zmq_setsockopt(s->zmq, option, &value, sizeof value);
}

static int or_else(unsigned value, int otherwise) {
    return value == 0 ? otherwise : value > INT32_MAX ? INT32_MAX : (int)value;
}

static bool set_options(mr_socket *s, const mr_net_options *o) {
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
    return ok;
}

static mr_status open_socket(mr_net *net, mr_socket_kind kind, const mr_net_options *o, mr_socket **out,
                             mr_error *err) {
    mr_socket *s = mr_new(net->mem, 1, sizeof *s);
    if (!s) return mr_fail(err, MR_E_MEMORY, "no memory for a socket");
    s->mem = net->mem;
    s->kind = kind;
    s->max_frame = o->max_frame ? o->max_frame : MAX_FRAME;
    s->zmq = zmq_socket(net->zmq, kinds[kind].zmq_type);
    if (s->zmq && set_options(s, o)) {
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
    if ((*s)->zmq) zmq_close((*s)->zmq);
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

static mr_status attach(mr_net *net, bool bind, mr_socket_kind kind, const char *address,
                        const mr_net_options *options, mr_socket **out, mr_error *err) {
    const mr_net_options none = {0};
    if (!options) options = &none;
    MR_TRY(mr_net_check_address(address, options->keys, err));
    if (bind && somebody_listens(address)) {
        errno = EADDRINUSE;
        return attach_failed(address, err);
    }
    mr_socket *s;
    MR_TRY(open_socket(net, kind, options, &s, err));
    if (bind ? zmq_bind(s->zmq, address) : zmq_connect(s->zmq, address)) {
        mr_status status = attach_failed(address, err);
        mr_socket_close(&s);
        return status;
    }
    size_t len = sizeof s->address;
    if (zmq_getsockopt(s->zmq, ZMQ_LAST_ENDPOINT, s->address, &len))
        snprintf(s->address, sizeof s->address, "%s", address);
    *out = s;
    return MR_OK;
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

static int receive_frame(mr_socket *s, zmq_msg_t *frame) {
    int rc;
    zmq_msg_init(frame);
    do rc = zmq_msg_recv(frame, s->zmq, ZMQ_DONTWAIT);
    while (rc < 0 && errno == EINTR);
    return rc;
}

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

mr_status mr_net_receive(mr_socket *s, mr_net_msg *msg, bool *got, mr_error *err) {
    memset(msg, 0, sizeof *msg);
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

mr_status mr_net_poll(mr_poll_item *items, size_t n, int timeout_ms, mr_error *err) {
    zmq_pollitem_t polled[MR_POLL_MAX] = {0};
    MR_ASSERT(n <= MR_POLL_MAX);
    for (size_t i = 0; i < n; i++) {
        polled[i].socket = items[i].socket ? items[i].socket->zmq : NULL;
        polled[i].fd = items[i].fd;
        polled[i].events = ZMQ_POLLIN;
        items[i].readable = false;
    }
    if (zmq_poll(polled, (int)n, timeout_ms) < 0) {
        if (errno == EINTR) return mr_fail(err, MR_E_INTERRUPTED, "a signal came");
        return mr_fail(err, MR_E_IO, "waiting for messages: %s", zmq_strerror(errno));
    }
    for (size_t i = 0; i < n; i++) items[i].readable = polled[i].revents != 0;
    return MR_OK;
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
