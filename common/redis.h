/* redis.h: the cache. The only file that includes hiredis. Everything works without Redis, so every failure
 * here is E_UNAVAILABLE and cheap: each call is bounded in time, and after some failures a circuit breaker
 * refuses at once until a while has passed. Values are not trusted: the caller checks their hash. A
 * connection belongs to one thread. */
#ifndef MR_COMMON_REDIS_H
#define MR_COMMON_REDIS_H

#include "common/buf.h"

/* ---- the breaker: pure, the time is an argument (mr_clock_monotonic_ns) ---- */
typedef enum mr_breaker_state { MR_BREAKER_CLOSED, MR_BREAKER_OPEN, MR_BREAKER_HALF_OPEN } mr_breaker_state;

typedef struct mr_breaker {
    mr_breaker_state state;
    unsigned failures, threshold; /* opens after `threshold` failures in a row */
    uint64_t pause_ns;            /* how long it stays open before one call may try */
    uint64_t open_until_ns;
} mr_breaker;

void mr_breaker_init(mr_breaker *b, unsigned threshold, uint64_t pause_ms);
/* May a call be tried now? After the pause exactly one may, until its outcome is known. */
bool mr_breaker_allow(mr_breaker *b, uint64_t now_ns);
void mr_breaker_succeeded(mr_breaker *b);
void mr_breaker_failed(mr_breaker *b, uint64_t now_ns);

/* ---- the connection ---- */
typedef struct mr_redis mr_redis;

typedef struct mr_redis_options {
    unsigned connect_timeout_ms, call_timeout_ms; /* 0: 500 and 1000 */
    unsigned breaker_failures, breaker_pause_ms;  /* 0: 3 and 5000 */
} mr_redis_options;

/* `url`: redis://[user:password@]host[:port][/db] or unix:///path[?db=N]. Connects at the first call, and
 * again by itself after a failure. Errors: E_INVALID the URL, E_MEMORY. */
mr_status mr_redis_new(const char *url, const mr_redis_options *options, const mr_mem *mem, mr_redis **out,
                       mr_error *err) MR_MUST_CHECK;
void mr_redis_free(mr_redis **r);
const mr_breaker *mr_redis_breaker(const mr_redis *r);
/* "host:port/db" or "path/db", without the password. */
void mr_redis_describe(const mr_redis *r, mr_buf *out);

/* All: E_UNAVAILABLE no connection, no answer in time, breaker open, or the server refused (out of memory,
 * read-only). */
mr_status mr_redis_ping(mr_redis *r, uint64_t now_ns, mr_error *err) MR_MUST_CHECK;
/* Appends the value. E_NOT_FOUND when there is none, E_LIMIT when it is over what `out` may hold. */
mr_status mr_redis_get(mr_redis *r, uint64_t now_ns, mr_span key, mr_buf *out, mr_error *err) MR_MUST_CHECK;
/* `ttl_s` 0 keeps it for ever. */
mr_status mr_redis_set(mr_redis *r, uint64_t now_ns, mr_span key, mr_span value, unsigned ttl_s,
                       mr_error *err) MR_MUST_CHECK;
mr_status mr_redis_del(mr_redis *r, uint64_t now_ns, mr_span key, mr_error *err) MR_MUST_CHECK;
/* Appends the text of INFO. */
mr_status mr_redis_info(mr_redis *r, uint64_t now_ns, mr_buf *out, mr_error *err) MR_MUST_CHECK;
/* n keys in one round trip. found[i] tells whether there is a value; the values follow each other in `out`,
 * and ends[i] is where the i-th ends (its start is ends[i - 1]). */
mr_status mr_redis_mget(mr_redis *r, uint64_t now_ns, const mr_span *keys, size_t n, mr_buf *out, bool *found,
                        size_t *ends, mr_error *err) MR_MUST_CHECK;
mr_status mr_redis_mset(mr_redis *r, uint64_t now_ns, const mr_span *keys, const mr_span *values, size_t n,
                        unsigned ttl_s, mr_error *err) MR_MUST_CHECK;

#endif
