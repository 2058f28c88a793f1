/* conns.h: the connections of a listening socket, known by their descriptors, so that one that takes too much can be
 * ended. The messaging library bounds a frame but keeps all frames of a message until its last, and all connections that
 * say nothing; here each connection is measured by the bytes that the kernel received for it (TCP_INFO) since it last
 * completed a message. Ending one is shutdown(2): its owner, the library's thread, then sees the end and frees it. */
#ifndef MR_COMMON_CONNS_H
#define MR_COMMON_CONNS_H

#include "common/mem.h"
#include "common/status.h"

typedef struct mr_conns mr_conns;

typedef struct mr_conns_limits {
    size_t partial_max; /* bytes without a complete message; above the largest message and what the kernel buffers */
    size_t fresh_bytes; /* the same before the first message: of somebody unknown */
    unsigned fresh_max; /* connections without a first message; above it the oldest of them is ended */
    unsigned total_max; /* connections; above it a new one is ended */
    size_t memory_max;  /* resident bytes of this process above which the connection that holds most, if over 1 MiB,
                         * is ended at each check: small frames take more memory than wire; 0: no such limit */
} mr_conns_limits;

/* `address`: where the socket listens, tcp://HOST:PORT or ipc://PATH; a descriptor that lies elsewhere (it was closed and
 * its number given out again) is never touched. E_MEMORY. */
mr_status mr_conns_new(const mr_mem *mem, const mr_conns_limits *limits, const char *address, mr_conns **out,
                       mr_error *err) MR_MUST_CHECK;
void mr_conns_free(mr_conns **c);

/* In their order, though possibly later than messages: what was heard under a number since the last check counts for who has it
 * at the next one. */
void mr_conns_opened(mr_conns *c, int fd, uint64_t now_ms);
void mr_conns_closed(mr_conns *c, int fd);
/* A complete message came from it. False when it is not known. */
bool mr_conns_heard(mr_conns *c, int fd);
/* Ends it at the first check from `at_ms` on, so that a last message can reach it. */
void mr_conns_drop(mr_conns *c, int fd, uint64_t at_ms);
void mr_conns_drop_all(mr_conns *c);
/* Ends those over a limit; how many. To be called every 100 ms or so. One that has completed a message before is measured at each
 * eighth call. */
unsigned mr_conns_check(mr_conns *c, uint64_t now_ms);
unsigned mr_conns_count(const mr_conns *c);

#endif
