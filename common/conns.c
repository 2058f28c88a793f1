#include "common/conns.h"

#include <fcntl.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { FD_MAX = 1 << 20, ALLOWANCE = 128 /* bytes a second of heartbeats of the transport */, LEAST_SHED = 1 << 20 };

typedef struct conn {
    bool open, heard, fresh, ended; /* heard: since the last check, also while it is not open */
    bool whole;                    /* it completed a message since it was last measured */
    uint64_t since_ms, drop_at_ms; /* drop_at_ms: 0 for never */
    uint64_t base;                 /* bytes received when it last completed a message */
    uint64_t base_ms;
} conn;

struct mr_conns {
    const mr_mem *mem;
    mr_conns_limits limits;
    int port;                                             /* where it listens; 0 for ipc */
    char path[sizeof((struct sockaddr_un *)0)->sun_path]; /* of ipc */
    conn *at;                                             /* by descriptor */
    size_t cap;
    unsigned count, fresh, checks;
};

mr_status mr_conns_new(const mr_mem *mem, const mr_conns_limits *limits, const char *address, mr_conns **out, mr_error *err) {
    mr_conns *c = *out = mr_new(mem, 1, sizeof *c);
    if (!c) return mr_fail(err, MR_E_MEMORY, "no memory for the connections");
    c->mem = mem;
    c->limits = *limits;
    if (!strncmp(address, "ipc://", 6)) snprintf(c->path, sizeof c->path, "%s", address + 6);
    else if (strrchr(address, ':')) c->port = atoi(strrchr(address, ':') + 1);
    return MR_OK;
}

void mr_conns_free(mr_conns **c) {
    if (!*c) return;
    mr_free((*c)->mem, (*c)->at, (*c)->cap, sizeof *(*c)->at);
    mr_free((*c)->mem, *c, 1, sizeof **c);
    *c = NULL;
}

unsigned mr_conns_count(const mr_conns *c) { return c->count; }

static conn *find(const mr_conns *c, int fd) {
    return fd >= 0 && (size_t)fd < c->cap && c->at[fd].open ? &c->at[fd] : NULL;
}

/* ---- descriptors ---- */

/* Is it still a connection that was made to our address? */
static bool ours(const mr_conns *c, int fd) {
    union {
        struct sockaddr any;
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
        struct sockaddr_un un;
    } local = {0};
    socklen_t len = sizeof local;
    if (getsockname(fd, &local.any, &len)) return false;
    if (local.any.sa_family == AF_INET) return c->port && ntohs(local.in.sin_port) == c->port;
    if (local.any.sa_family == AF_INET6) return c->port && ntohs(local.in6.sin6_port) == c->port;
    return local.any.sa_family == AF_UNIX && c->path[0] && !strncmp(local.un.sun_path, c->path, sizeof c->path);
}

/* 0 where the kernel does not tell (ipc). */
static uint64_t received(const mr_conns *c, int fd) {
    struct tcp_info info;
    socklen_t len = sizeof info;
    memset(&info, 0, sizeof info);
    if (!c->port || !ours(c, fd) || getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len)) return 0;
    return info.tcpi_bytes_received;
}

static void end(mr_conns *c, int fd) {
    conn *k = &c->at[fd];
    if (k->ended) return;
    const struct linger at_once = {.l_onoff = 1}; /* the other side is reset, not waited for */
    k->ended = true;
    if (!ours(c, fd)) return;
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    shutdown(fd, SHUT_RDWR);
}

/* ---- what happens to them ---- */

static bool make_room(mr_conns *c, int fd) {
    size_t cap = c->cap ? c->cap : 64;
    if (fd < 0 || fd >= FD_MAX) return false;
    while (cap <= (size_t)fd) cap *= 2;
    if (cap == c->cap) return true;
    conn *at = mr_grow(c->mem, c->at, c->cap, cap, sizeof *at);
    if (!at) return false;
    c->at = at;
    c->cap = cap;
    return true;
}

static void end_oldest_fresh(mr_conns *c) {
    int oldest = -1;
    for (size_t i = 0; i < c->cap; i++) {
        const conn *k = &c->at[i];
        if (k->open && k->fresh && !k->ended && (oldest < 0 || k->since_ms < c->at[oldest].since_ms)) oldest = (int)i;
    }
    if (oldest >= 0) end(c, oldest);
}

void mr_conns_opened(mr_conns *c, int fd, uint64_t now_ms) {
    mr_conns_closed(c, fd);
    if (!make_room(c, fd)) return;
    bool heard = c->at[fd].heard; /* its messages can be read before it is known to be another one under an old number */
    c->at[fd] = (conn){.open = true, .heard = heard, .fresh = !heard, .since_ms = now_ms, .base_ms = now_ms};
    c->count++;
    c->fresh += !heard;
    if (c->count > c->limits.total_max) end(c, fd);
    else if (c->fresh > c->limits.fresh_max) end_oldest_fresh(c);
}

void mr_conns_closed(mr_conns *c, int fd) {
    conn *k = find(c, fd);
    if (!k) return;
    c->count--;
    c->fresh -= k->fresh;
    *k = (conn){.heard = k->heard};
}

bool mr_conns_heard(mr_conns *c, int fd) {
    conn *k = find(c, fd);
    if (!k) return false;
    k->heard = true;
    c->fresh -= k->fresh;
    k->fresh = false;
    return true;
}

void mr_conns_drop(mr_conns *c, int fd, uint64_t at_ms) {
    conn *k = find(c, fd);
    if (k && (!k->drop_at_ms || at_ms < k->drop_at_ms)) k->drop_at_ms = at_ms ? at_ms : 1;
}

void mr_conns_drop_all(mr_conns *c) {
    for (size_t i = 0; i < c->cap; i++)
        if (c->at[i].open) end(c, (int)i);
}

/* ---- the check ---- */

/* Bytes that came since it last completed a message. One that completed some since it was last measured begins anew: its next
 * message began after that one. */
static uint64_t partial(const mr_conns *c, int fd, uint64_t now_ms) {
    conn *k = &c->at[fd];
    uint64_t all = received(c, fd);
    if (k->whole) {
        k->base = all;
        k->base_ms = now_ms;
        k->whole = false;
    }
    uint64_t allowed = k->base + (now_ms - k->base_ms) * ALLOWANCE / 1000;
    return all > allowed ? all - allowed : 0;
}

static size_t resident(void) {
    char text[128] = "";
    unsigned long all, pages = 0;
    int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    if (fd < 0) return 0;
    if (read(fd, text, sizeof text - 1) <= 0 || sscanf(text, "%lu %lu", &all, &pages) != 2) pages = 0;
    close(fd);
    return pages * (size_t)sysconf(_SC_PAGESIZE);
}

/* Who has said something whole is looked at each TURNS checks, as it costs two system calls; strangers, who is to go and, when
 * memory is short, all are looked at each time. */
static bool has_turn(const mr_conns *c, size_t fd, bool all) {
    enum { TURNS = 8 };
    const conn *k = &c->at[fd];
    return all || k->fresh || k->drop_at_ms || (fd + c->checks) % TURNS == 0;
}

unsigned mr_conns_check(mr_conns *c, uint64_t now_ms) {
    unsigned ended = 0;
    int most_fd = -1;
    uint64_t most = LEAST_SHED;
    bool short_of_memory = c->limits.memory_max && resident() > c->limits.memory_max;
    c->checks++;
    for (size_t i = 0; i < c->cap; i++) {
        conn *k = &c->at[i];
        k->whole |= k->heard;
        k->heard = false;
        if (!k->open || k->ended || !has_turn(c, i, short_of_memory)) continue;
        uint64_t held = partial(c, (int)i, now_ms);
        if ((k->drop_at_ms && now_ms >= k->drop_at_ms) || held > (k->fresh ? c->limits.fresh_bytes : c->limits.partial_max)) {
            end(c, (int)i);
            ended++;
        } else if (held > most) {
            most = held;
            most_fd = (int)i;
        }
    }
    if (most_fd >= 0 && short_of_memory) {
        end(c, most_fd);
        ended++;
    }
    return ended;
}
