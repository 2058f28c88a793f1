/* net.h: messages between programs. The only file that includes zmq. A message is an envelope frame and at
 * most one body frame; on a ROUTER the peer's routing id stands before it, on PUB and SUB the topic. Every
 * socket has safe limits from birth. A socket belongs to one thread at a time; the context and the waker may
 * be shared. */
#ifndef MR_COMMON_NET_H
#define MR_COMMON_NET_H

#include "common/conns.h"
#include "common/zap.h"

/* ---- context and sockets ---- */
typedef struct mr_net mr_net;
typedef struct mr_socket mr_socket;

/* CURVE: everything on the wire is encrypted, and both sides prove that they have their secret keys. */
typedef struct mr_net_keys {
    mr_key_pair own;
    mr_key server;      /* connecting: the public key of the other side */
    const char *domain; /* binding: what the gate is told of this socket; not empty */
} mr_net_keys;

typedef enum mr_socket_kind { MR_ROUTER, MR_DEALER, MR_PUB, MR_SUB } mr_socket_kind;

typedef struct mr_net_options {
    size_t max_frame;       /* a peer that sends a larger frame is dropped; 0: 16 MiB */
    unsigned send_queue;    /* messages a peer may be behind; 0: 1000 */
    unsigned receive_queue; /* 0: 1000 */
    unsigned linger_ms;     /* how long close keeps trying to send; 0: 1000 */
    unsigned heartbeat_ms;  /* ping interval of the transport; a peer is lost after three; 0: 2000 */
    mr_span identity; /* DEALER: the routing id it asks for, 1 to 255 bytes, not starting with 0; empty: made
                         up */
    const mr_net_keys *keys;      /* NULL: plain. Binding with keys needs a gate (mr_net_guard) */
    const mr_conns_limits *conns; /* binding: limits of its connections; NULL: they are not watched */
} mr_net_options;

/* `mem` must be safe to use from other threads (NULL: the heap): bodies are freed by the I/O thread. */
mr_status mr_net_new(const mr_mem *mem, mr_net **out, mr_error *err) MR_MUST_CHECK;
/* Close all sockets first. Waits at most their linger. */
void mr_net_free(mr_net **net);

/* Starts the thread that asks `gate` about each key that wants to connect to a socket with keys. It fails closed: without
 * this, or when it breaks, nobody comes in. Once a context, before the first bind with keys. */
mr_status mr_net_guard(mr_net *net, const mr_zap_gate *gate, mr_error *err) MR_MUST_CHECK;
/* Proves that the guard stands before `s`: connects with a key that nobody knows, sends, and sees the handshake refused
 * and no message come. Before the socket is served. E_DENIED when it could come in or nobody answered. */
mr_status mr_net_prove_guard(mr_net *net, mr_socket *s, const mr_net_keys *keys, mr_error *err) MR_MUST_CHECK;
mr_status mr_net_new_keys(mr_key_pair *out, mr_error *err) MR_MUST_CHECK;

/* Addresses: tcp://127.0.0.1:PORT (PORT may be *), tcp://localhost:PORT, ipc://PATH, inproc://NAME; with
 * keys tcp://HOST:PORT of any host. `options` NULL for the defaults. Errors: E_INVALID address, E_DENIED not loopback
 * without keys, or keys without a guard, E_EXISTS another
 * process listens there, E_NOT_FOUND no such interface or folder, E_LIMIT too many sockets, E_MEMORY, E_IO.
 */
mr_status mr_net_bind(mr_net *net, mr_socket_kind kind, const char *address, const mr_net_options *options,
                      mr_socket **out, mr_error *err) MR_MUST_CHECK;
/* Returns at once: the connection is made, and made again, behind the scenes. */
mr_status mr_net_connect(mr_net *net, mr_socket_kind kind, const char *address, const mr_net_options *options,
                         mr_socket **out, mr_error *err) MR_MUST_CHECK;
void mr_socket_close(mr_socket **s);
/* The address it is really bound to, with the port; as text that lives as long as the socket. */
const char *mr_socket_address(const mr_socket *s);
/* SUB: topics that start with `prefix`; the empty one is all. */
mr_status mr_socket_subscribe(mr_socket *s, mr_span prefix, mr_error *err) MR_MUST_CHECK;
/* Checks an address as bind and connect do, without a socket. */
mr_status mr_net_check_address(const char *address, const mr_net_keys *keys, mr_error *err) MR_MUST_CHECK;

/* ---- bodies: bytes that travel without a copy ---- */
typedef struct mr_net_body {
    const void *data;
    size_t len;
    void (*release)(void *data,
                    void *hint); /* called once, maybe by another thread; NULL: the bytes outlive all */
    void *hint;
} mr_net_body;

/* The buffer's bytes as a body, taken from `buf`; released to its mr_mem. E_MEMORY leaves `buf` as it is. */
mr_status mr_net_body_of_buf(mr_buf *buf, mr_net_body *out) MR_MUST_CHECK;
/* Releases a body that was not sent, and empties it. */
void mr_net_body_free(mr_net_body *body);

/* ---- sending; never blocks ---- */
/* `to`: ROUTER the peer's routing id, PUB the topic, DEALER empty. `body` NULL for none; on MR_OK it is taken
 * (emptied), else the caller still has it. Errors: E_FULL the queue is full (no sentence is written: this is
 * normal), E_NOT_FOUND no such peer (also without), E_LIMIT a frame over max_frame, E_MEMORY, E_IO. */
mr_status mr_net_send(mr_socket *s, mr_span to, mr_span envelope, mr_net_body *body,
                      mr_error *err) MR_MUST_CHECK;

/* ---- receiving ---- */
enum { MR_NET_IDENTITY = 255 };

typedef struct mr_net_msg {
    mr_span from; /* ROUTER: routing id; SUB: topic; DEALER: empty */
    mr_span envelope;
    mr_span body; /* empty when there is none; see has_body */
    bool has_body;
    const char *user;    /* ROUTER with keys: the peer's public key as hex, proven; else "" */
    const char *address; /* the peer's, "" when not known */
    int conn;            /* the connection it came by, for mr_socket_drop; -1 when they are not watched */
    unsigned count; /* private, with the frames themselves */
    _Alignas(8) uint8_t frames[3][64];
} mr_net_msg;

/* Never blocks: *got is false when nothing waits. On MR_OK with *got, spans are borrowed from the message
 * until mr_net_msg_free. E_PROTOCOL: the message had too few or too many frames; it was read off and dropped,
 * of the spans `from` alone is set, and the message must be freed too. */
mr_status mr_net_receive(mr_socket *s, mr_net_msg *msg, bool *got, mr_error *err) MR_MUST_CHECK;
void mr_net_msg_free(mr_net_msg *msg); /* twice, or zeroed, is fine */
/* Takes the body's bytes away from the message, without a copy: they outlive it, may go to another thread and
 * may be sent on. E_NOT_FOUND when there is none. */
mr_status mr_net_msg_take_body(mr_net_msg *msg, mr_net_body *out) MR_MUST_CHECK;

/* ---- the connections of a bound socket; nothing happens when they are not watched ---- */
/* Ends connections that are over their limits or were dropped; how many. To be called every 100 ms or so. */
unsigned mr_socket_check(mr_socket *s, uint64_t now_ms);
/* Ends a connection at the first check from `at_ms` on. */
void mr_socket_drop(mr_socket *s, int conn, uint64_t at_ms);
/* Ends all connections now: those who still may, come back and are asked for their key again. */
void mr_socket_drop_all(mr_socket *s, uint64_t now_ms);

/* ---- waiting ---- */
typedef struct mr_poll_item {
    mr_socket *socket; /* or NULL, and then a descriptor */
    int fd;
    bool readable; /* out */
} mr_poll_item;

enum { MR_POLL_MAX = 32 };
/* Waits until one is readable or `timeout_ms` passed (-1: for ever). Errors: E_INTERRUPTED a signal came,
 * E_IO. */
mr_status mr_net_poll(mr_poll_item *items, size_t n, int timeout_ms, mr_error *err) MR_MUST_CHECK;

/* Ends another thread's mr_net_poll: put `fd` into an item there. */
typedef struct mr_waker {
    int fd;
} mr_waker;

mr_status mr_waker_init(mr_waker *w, mr_error *err) MR_MUST_CHECK;
void mr_waker_wake(const mr_waker *w);  /* from any thread, also from a signal handler */
void mr_waker_clear(const mr_waker *w); /* by the waiting thread, before it looks for work */
void mr_waker_close(mr_waker *w);

#endif
