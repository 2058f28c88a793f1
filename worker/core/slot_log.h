/* slot_log.h: the end of a log, kept for the record of a failed attempt. In the compute process: of what the running call logs. In
 * the worker: of what the process prints, a library's last words too; it comes through a pipe and goes on to the worker's own
 * standard error. The process may be some jobs ahead, so only its death makes the worker look. */
#ifndef MR_WORKER_CORE_SLOT_LOG_H
#define MR_WORKER_CORE_SLOT_LOG_H

#include <stddef.h>
#include <stdint.h>

enum { MR_SLOT_LOG_MAX = 1024 };

typedef struct mr_slot_log {
    int fd; /* the end that is read; -1: closed */
    uint32_t len;
    char tail[MR_SLOT_LOG_MAX]; /* of what came since it was last cleared */
} mr_slot_log;

/* A new pipe; returns the end that the process writes to, which the caller closes, or -1 with errno. */
int mr_slot_log_open(mr_slot_log *log);
void mr_slot_log_add(mr_slot_log *log, const char *bytes, size_t n);
/* Takes what is there. Never blocks at the pipe. */
void mr_slot_log_read(mr_slot_log *log);
/* The next job begins. */
void mr_slot_log_clear(mr_slot_log *log);
/* The end of what was printed, cut to `size` with its zero: from the beginning of a line if it can be; printable UTF-8. */
void mr_slot_log_tail(const mr_slot_log *log, char *out, size_t size);
void mr_slot_log_close(mr_slot_log *log);

#endif
