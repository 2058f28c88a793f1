#include "common/redis.h"
#include "common/text.h"

#include <hiredis/hiredis.h>
#include <stdio.h>
#include <string.h>

/* ---- the breaker ---- */

void mr_breaker_init(mr_breaker *b, unsigned threshold, uint64_t pause_ms) {
    *b = (mr_breaker){.threshold = threshold, .pause_ns = pause_ms * 1000000};
}

bool mr_breaker_allow(mr_breaker *b, uint64_t now_ns) {
    if (b->state == MR_BREAKER_CLOSED) return true;
    /* A try whose outcome never came must not keep the breaker half open for ever: it gets another pause. */
    if (now_ns < b->open_until_ns) return false;
    b->state = MR_BREAKER_HALF_OPEN;
    b->open_until_ns = now_ns + b->pause_ns;
    return true;
}

void mr_breaker_succeeded(mr_breaker *b) {
    b->state = MR_BREAKER_CLOSED;
    b->failures = 0;
}

void mr_breaker_failed(mr_breaker *b, uint64_t now_ns) {
    b->failures++;
    if (b->state == MR_BREAKER_CLOSED && b->failures < b->threshold) return;
    b->state = MR_BREAKER_OPEN;
    b->open_until_ns = now_ns + b->pause_ns;
}

/* ---- the URL ---- */

enum { PART = 256, PIPELINE_MAX = 1024 };

typedef struct place {
    char host[PART]; /* or the socket's path */
    bool is_unix;
    int port;
    long db;
    char user[PART], password[PART];
} place;

struct mr_redis {
    const mr_mem *mem;
    place at;
    mr_redis_options options;
    mr_breaker breaker;
    redisContext *conn; /* NULL when not connected */
};

static bool copy_part(char out[PART], const char *from, size_t n) {
    if (n >= PART) return false;
    memcpy(out, from, n);
    out[n] = 0;
    return true;
}

static int hex(char c) {
    const char *digits = "0123456789abcdef",
               *at = c ? strchr(digits, c >= 'A' && c <= 'F' ? c + 32 : c) : NULL;
    return at ? (int)(at - digits) : -1;
}

/* RFC 3986: %40 in a password is '@'. In place; a '%' that starts no such escape stays. */
static void decode_percent(char *text) {
    char *to = text;
    for (const char *from = text; *from; to++) {
        int high = from[0] == '%' ? hex(from[1]) : -1, low = high >= 0 ? hex(from[2]) : -1;
        *to = low >= 0 ? (char)(high * 16 + low) : *from;
        from += low >= 0 ? 3 : 1;
    }
    *to = 0;
}

static bool parse_user(const char *text, size_t n, place *p) {
    const char *colon = memchr(text, ':', n);
    size_t user = colon ? (size_t)(colon - text) : n;
    if (!copy_part(p->user, text, user)) return false;
    if (colon && !copy_part(p->password, colon + 1, n - user - 1)) return false;
    decode_percent(p->user);
    decode_percent(p->password);
    return true;
}

static bool parse_number(const char *text, size_t n, int64_t least, int64_t most, int64_t *out) {
    return mr_integer_parse((mr_span){(const uint8_t *)text, n}, out) && *out >= least && *out <= most;
}

static bool parse_tcp(const char *rest, place *p) {
    int64_t port = 6379, db = 0;
    const char *slash = strchr(rest, '/');
    size_t n = slash ? (size_t)(slash - rest) : strlen(rest);
    const char *at = memrchr(rest, '@', n);
    if (at && !parse_user(rest, (size_t)(at - rest), p)) return false;
    const char *host = at ? at + 1 : rest;
    n -= (size_t)(host - rest);
    const char *colon = memrchr(host, ':', n);
    size_t host_len = colon ? (size_t)(colon - host) : n;
    if (host_len == 0 || !copy_part(p->host, host, host_len)) return false;
    if (colon && !parse_number(colon + 1, n - host_len - 1, 1, 65535, &port)) return false;
    if (slash && slash[1] && !parse_number(slash + 1, strlen(slash + 1), 0, 1000000, &db)) return false;
    p->port = (int)port;
    p->db = (long)db;
    return true;
}

static bool parse_unix(const char *path, place *p) {
    const char *query = strchr(path, '?');
    int64_t db = 0;
    size_t n = query ? (size_t)(query - path) : strlen(path);
    if (*path != '/' || !copy_part(p->host, path, n)) return false;
    if (query && (strncmp(query, "?db=", 4) || !parse_number(query + 4, strlen(query + 4), 0, 1000000, &db)))
        return false;
    p->is_unix = true;
    p->db = (long)db;
    return true;
}

static bool parse_url(const char *url, place *p) {
    if (!strncmp(url, "redis://", 8)) return parse_tcp(url + 8, p);
    return !strncmp(url, "unix://", 7) && parse_unix(url + 7, p);
}

/* ---- the connection ---- */

static unsigned or_else(unsigned v, unsigned otherwise) { return v ? v : otherwise; }

mr_status mr_redis_new(const char *url, const mr_redis_options *options, const mr_mem *mem, mr_redis **out,
                       mr_error *err) {
    place at = {0};
    if (!parse_url(url, &at)) /* the URL is not shown, it may hold a password */
        return mr_fail(err, MR_E_INVALID,
                       "the Redis URL is not valid; write redis://host:port/db or unix:///path/to/socket");
    mr_redis *r = mr_new(mem, 1, sizeof *r);
    if (!r) return mr_fail(err, MR_E_MEMORY, "no memory for a Redis connection");
    r->mem = mem;
    r->at = at;
    if (options) r->options = *options;
    r->options.connect_timeout_ms = or_else(r->options.connect_timeout_ms, 500);
    r->options.call_timeout_ms = or_else(r->options.call_timeout_ms, 1000);
    mr_breaker_init(&r->breaker, or_else(r->options.breaker_failures, 3),
                    or_else(r->options.breaker_pause_ms, 5000));
    *out = r;
    return MR_OK;
}

static void disconnect(mr_redis *r) {
    if (r->conn) redisFree(r->conn);
    r->conn = NULL;
}

void mr_redis_free(mr_redis **r) {
    if (!*r) return;
    disconnect(*r);
    mr_free((*r)->mem, *r, 1, sizeof **r);
    *r = NULL;
}

const mr_breaker *mr_redis_breaker(const mr_redis *r) { return &r->breaker; }

static void describe(const place *p, char out[PART + 40]) {
    if (p->is_unix)
        snprintf(out, PART + 40, "%s/%ld", p->host, p->db);
    else
        snprintf(out, PART + 40, "%s:%d/%ld", p->host, p->port, p->db);
}

void mr_redis_describe(const mr_redis *r, mr_buf *out) {
    char text[PART + 40];
    describe(&r->at, text);
    mr_buf_text(out, text);
}

static mr_status unavailable(const mr_redis *r, const char *why, mr_error *err) {
    char text[PART + 40];
    describe(&r->at, text);
    return mr_fail(err, MR_E_UNAVAILABLE, "Redis at %s: %.150s", text, why);
}

static struct timeval milliseconds(unsigned ms) {
    return (struct timeval){.tv_sec = ms / 1000, .tv_usec = (suseconds_t)(ms % 1000) * 1000};
}

/* Sends one of the commands at the start of a connection; the answer must not be an error. */
static bool greet(mr_redis *r, int argc, const char **argv) {
    redisReply *reply = redisCommandArgv(r->conn, argc, argv, NULL);
    bool ok = reply && reply->type != REDIS_REPLY_ERROR;
    if (reply) freeReplyObject(reply);
    return ok;
}

static bool log_in(mr_redis *r) {
    const place *p = &r->at;
    char db[24];
    snprintf(db, sizeof db, "%ld", p->db);
    const char *with_user[] = {"AUTH", p->user, p->password}, *password_only[] = {"AUTH", p->password};
    if (*p->password && *p->user && !greet(r, 3, with_user)) return false;
    if (*p->password && !*p->user && !greet(r, 2, password_only)) return false;
    return p->db == 0 || greet(r, 2, (const char *[]){"SELECT", db});
}

static mr_status connect_now(mr_redis *r, mr_error *err) {
    struct timeval wait = milliseconds(r->options.connect_timeout_ms),
                   call = milliseconds(r->options.call_timeout_ms);
    r->conn = r->at.is_unix ? redisConnectUnixWithTimeout(r->at.host, wait)
                            : redisConnectWithTimeout(r->at.host, r->at.port, wait);
    if (!r->conn) return mr_fail(err, MR_E_MEMORY, "no memory for a Redis connection");
    if (r->conn->err) return unavailable(r, r->conn->errstr, err);
    if (redisSetTimeout(r->conn, call) != REDIS_OK) return unavailable(r, "no time limit can be set", err);
    if (!r->at.is_unix) redisEnableKeepAlive(r->conn);
    return log_in(r) ? MR_OK : unavailable(r, "the server refuses the login or the database number", err);
}

/* ---- calls ---- */

static mr_status failed(mr_redis *r, uint64_t now_ns, mr_status status) {
    disconnect(r);
    mr_breaker_failed(&r->breaker, now_ns);
    return status;
}

static mr_status ready(mr_redis *r, uint64_t now_ns, mr_error *err) {
    if (!mr_breaker_allow(&r->breaker, now_ns))
        return unavailable(r, "not tried, it failed a moment ago", err);
    if (r->conn) return MR_OK;
    mr_status status = connect_now(r, err);
    return status == MR_OK ? MR_OK : failed(r, now_ns, status);
}

/* The next answer; NULL when the connection failed. An answer that is an error (out of memory, read-only,
 * loading) is counted as a failure by the caller but leaves the connection whole. */
static mr_status next_reply(mr_redis *r, uint64_t now_ns, redisReply **out, mr_error *err) {
    void *reply = NULL;
    if (redisGetReply(r->conn, &reply) == REDIS_OK && reply) {
        *out = reply;
        return MR_OK;
    }
    mr_status status = unavailable(
        r, r->conn->err == REDIS_ERR_IO ? "no answer in time, or the connection is lost" : r->conn->errstr,
        err);
    return failed(r, now_ns, status);
}

static void append(mr_redis *r, int argc, const mr_span *argv) {
    const char *texts[8];
    size_t lengths[8];
    MR_ASSERT(argc <= 8);
    for (int i = 0; i < argc; i++) {
        texts[i] = argv[i].len ? (const char *)argv[i].data : "";
        lengths[i] = argv[i].len;
    }
    /* It fails only without memory; then no answer comes and next_reply says so. */
    redisAppendCommandArgv(r->conn, argc, texts, lengths);
}

static mr_status check_reply(mr_redis *r, uint64_t now_ns, const redisReply *reply, mr_error *err) {
    if (reply->type != REDIS_REPLY_ERROR) return MR_OK;
    mr_breaker_failed(&r->breaker, now_ns);
    return unavailable(r, reply->str, err);
}

/* One command and its answer, to be freed. */
static mr_status call(mr_redis *r, uint64_t now_ns, int argc, const mr_span *argv, redisReply **out,
                      mr_error *err) {
    MR_TRY(ready(r, now_ns, err));
    append(r, argc, argv);
    MR_TRY(next_reply(r, now_ns, out, err));
    mr_status status = check_reply(r, now_ns, *out, err);
    if (status != MR_OK)
        freeReplyObject(*out);
    else
        mr_breaker_succeeded(&r->breaker);
    return status;
}

static mr_status call_plain(mr_redis *r, uint64_t now_ns, int argc, const mr_span *argv, mr_error *err) {
    redisReply *reply;
    MR_TRY(call(r, now_ns, argc, argv, &reply, err));
    freeReplyObject(reply);
    return MR_OK;
}

static mr_status put_value(const redisReply *reply, mr_buf *out, mr_error *err) {
    if (reply->type != REDIS_REPLY_STRING) return MR_E_NOT_FOUND;
    mr_buf_put(out, reply->str, reply->len);
    mr_status status = mr_buf_status(out);
    return status == MR_OK
               ? MR_OK
               : mr_fail(err, status, "a value of %zu bytes from Redis is too large", (size_t)reply->len);
}

mr_status mr_redis_ping(mr_redis *r, uint64_t now_ns, mr_error *err) {
    return call_plain(r, now_ns, 1, (mr_span[]){mr_span_of("PING")}, err);
}

mr_status mr_redis_get(mr_redis *r, uint64_t now_ns, mr_span key, mr_buf *out, mr_error *err) {
    redisReply *reply;
    MR_TRY(call(r, now_ns, 2, (mr_span[]){mr_span_of("GET"), key}, &reply, err));
    mr_status status = put_value(reply, out, err);
    freeReplyObject(reply);
    return status;
}

/* The words of SET; `seconds` holds the text of the time to live. Returns how many they are. */
static int set_words(mr_span words[5], mr_span key, mr_span value, unsigned ttl_s, char seconds[16]) {
    snprintf(seconds, 16, "%u", ttl_s);
    words[0] = mr_span_of("SET");
    words[1] = key;
    words[2] = value;
    words[3] = mr_span_of("EX");
    words[4] = mr_span_of(seconds);
    return ttl_s ? 5 : 3;
}

mr_status mr_redis_set(mr_redis *r, uint64_t now_ns, mr_span key, mr_span value, unsigned ttl_s,
                       mr_error *err) {
    char seconds[16];
    mr_span words[5];
    return call_plain(r, now_ns, set_words(words, key, value, ttl_s, seconds), words, err);
}

mr_status mr_redis_del(mr_redis *r, uint64_t now_ns, mr_span key, mr_error *err) {
    return call_plain(r, now_ns, 2, (mr_span[]){mr_span_of("DEL"), key}, err);
}

mr_status mr_redis_info(mr_redis *r, uint64_t now_ns, mr_buf *out, mr_error *err) {
    redisReply *reply;
    MR_TRY(call(r, now_ns, 1, (mr_span[]){mr_span_of("INFO")}, &reply, err));
    mr_status status = put_value(reply, out, err);
    freeReplyObject(reply);
    return status;
}

/* ---- many in one round trip ---- */

typedef mr_status take_reply(void *self, size_t i, const redisReply *reply, mr_error *err);

/* Takes the answers of `n` commands that were appended. A failure is kept until all are read, so that the
 * connection stays in step. */
static mr_status take_replies(mr_redis *r, uint64_t now_ns, size_t n, take_reply *take, void *self,
                              mr_error *err) {
    mr_status status = MR_OK;
    for (size_t i = 0; i < n; i++) {
        redisReply *reply;
        MR_TRY(next_reply(r, now_ns, &reply, err));
        if (status == MR_OK) status = check_reply(r, now_ns, reply, err);
        if (status == MR_OK && take) status = take(self, i, reply, err);
        freeReplyObject(reply);
    }
    if (status == MR_OK) mr_breaker_succeeded(&r->breaker);
    return status;
}

typedef struct mget {
    mr_buf *out;
    bool *found;
    size_t *ends;
} mget;

static mr_status take_value(void *self, size_t i, const redisReply *reply, mr_error *err) {
    mget *m = self;
    mr_status status = put_value(reply, m->out, err);
    m->found[i] = status == MR_OK;
    m->ends[i] = m->out->len;
    return status == MR_E_NOT_FOUND ? MR_OK : status;
}

mr_status mr_redis_mget(mr_redis *r, uint64_t now_ns, const mr_span *keys, size_t n, mr_buf *out, bool *found,
                        size_t *ends, mr_error *err) {
    for (size_t at = 0; at < n; at += PIPELINE_MAX) {
        size_t piece = n - at < PIPELINE_MAX ? n - at : PIPELINE_MAX;
        MR_TRY(ready(r, now_ns, err));
        for (size_t i = 0; i < piece; i++) append(r, 2, (mr_span[]){mr_span_of("GET"), keys[at + i]});
        MR_TRY(take_replies(r, now_ns, piece, take_value, &(mget){out, found + at, ends + at}, err));
    }
    return MR_OK;
}

mr_status mr_redis_mset(mr_redis *r, uint64_t now_ns, const mr_span *keys, const mr_span *values, size_t n,
                        unsigned ttl_s, mr_error *err) {
    char seconds[16];
    mr_span words[5];
    for (size_t at = 0; at < n; at += PIPELINE_MAX) {
        size_t piece = n - at < PIPELINE_MAX ? n - at : PIPELINE_MAX;
        MR_TRY(ready(r, now_ns, err));
        for (size_t i = at; i < at + piece; i++)
            append(r, set_words(words, keys[i], values[i], ttl_s, seconds), words);
        MR_TRY(take_replies(r, now_ns, piece, NULL, NULL, err));
    }
    return MR_OK;
}
