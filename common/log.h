/* log.h: structured records, one line each, written whole by one write(2) so that threads and processes may
 * share a descriptor. Never payloads, never secrets. ts=2026-11-20T04:31:05.123456Z level=info obj=worker:3
 * event=worker_lost held=2 reason="no heartbeat" MR_LOG(log, MR_LOG_INFO, "worker:3", "worker_lost",
 * MR_LOG_INT("held", 2), MR_LOG_TEXT("reason", why)); */
#ifndef MR_COMMON_LOG_H
#define MR_COMMON_LOG_H

#include "common/status.h"

typedef enum mr_log_level { MR_LOG_DEBUG, MR_LOG_INFO, MR_LOG_WARN, MR_LOG_ERROR, MR_LOG_OFF } mr_log_level;
enum { MR_LOG_LINE = 4096 }; /* longest line; pairs that do not fit are left out and it ends with cut=true */

/* Fixed after init, so threads may share it. */
typedef struct mr_log {
    int fd;
    mr_log_level level; /* what is below is not written */
    bool json;          /* one JSON object a line */
} mr_log;

typedef enum mr_log_type { MR_LOG_END_, MR_LOG_TEXT_, MR_LOG_INT_, MR_LOG_NUMBER_, MR_LOG_BOOL_ } mr_log_type;

typedef struct mr_log_field {
    mr_log_type type;
    const char *key; /* a literal, lower case */
    const char *text;
    int64_t integer;
    double number;
} mr_log_field;

#define MR_LOG_TEXT(k, v)                                                                                    \
    { .type = MR_LOG_TEXT_, .key = (k), .text = (v) } /* NULL is written as "" */
#define MR_LOG_INT(k, v)                                                                                     \
    { .type = MR_LOG_INT_, .key = (k), .integer = (int64_t)(v) }
#define MR_LOG_NUM(k, v)                                                                                     \
    { .type = MR_LOG_NUMBER_, .key = (k), .number = (v) }
#define MR_LOG_BOOL(k, v)                                                                                    \
    { .type = MR_LOG_BOOL_, .key = (k), .integer = (v) ? 1 : 0 }

/* `log` may be NULL: nothing is written. `object` is what it is about ("broker", "worker:3"); `event` is a
 * stable name. */
#define MR_LOG(log, level, object, event, ...)                                                               \
    mr_log_write((log), (level), (object), (event), (const mr_log_field[]){__VA_ARGS__ __VA_OPT__(, ){0}})

void mr_log_init(mr_log *log, int fd, mr_log_level level, bool json);
/* `fields` end with a zeroed one. A failed write is ignored: a full disk must not stop the work. */
void mr_log_write(const mr_log *log, mr_log_level level, const char *object, const char *event,
                  const mr_log_field *fields);
/* The record as text with its '\n', into `out` of MR_LOG_LINE bytes; returns its length. mr_log_write without
 * write. */
size_t mr_log_format(char *out, bool json, int64_t wall_ns, mr_log_level level, const char *object,
                     const char *event, const mr_log_field *fields);
/* The word of a level, and back. False when `text` is none of debug, info, warn, error, off. */
const char *mr_log_level_name(mr_log_level level);
bool mr_log_level_parse(const char *text, mr_log_level *out);

#endif
