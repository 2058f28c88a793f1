#include "worker/core/slot_log.h"

#include "common/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

int mr_slot_log_open(mr_slot_log *log) {
    int end[2];
    *log = (mr_slot_log){.fd = -1};
    if (pipe2(end, O_CLOEXEC) != 0) return -1;
    if (fcntl(end[0], F_SETFL, O_NONBLOCK) != 0) {
        close(end[0]);
        close(end[1]);
        return -1;
    }
    log->fd = end[0];
    return end[1];
}

void mr_slot_log_add(mr_slot_log *log, const char *bytes, size_t n) {
    if (n > sizeof log->tail) {
        bytes += n - sizeof log->tail;
        n = sizeof log->tail;
    }
    size_t over = log->len + n > sizeof log->tail ? log->len + n - sizeof log->tail : 0;
    memmove(log->tail, log->tail + over, log->len - over);
    memcpy(log->tail + log->len - over, bytes, n);
    log->len = (uint32_t)(log->len - over + n);
}

/* Onto the worker's own log; nothing can be done when that is full or gone. */
static void pass_on(const char *bytes, size_t n) {
    while (n) {
        ssize_t done = write(STDERR_FILENO, bytes, n);
        if (done < 0 && errno == EINTR) continue;
        if (done <= 0) return;
        bytes += done;
        n -= (size_t)done;
    }
}

void mr_slot_log_read(mr_slot_log *log) {
    char bytes[4096];
    ssize_t n;
    while (log->fd >= 0 && (n = read(log->fd, bytes, sizeof bytes)) > 0) {
        mr_slot_log_add(log, bytes, (size_t)n);
        pass_on(bytes, (size_t)n);
        if (n < (ssize_t)sizeof bytes) return;
    }
}

void mr_slot_log_clear(mr_slot_log *log) { log->len = 0; }

/* Where to begin so that `room` bytes reach to the end: at a line if one begins there. */
static size_t begin_at(const mr_slot_log *log, size_t room) {
    size_t at = log->len > room ? log->len - room : 0;
    if (!at && log->len < sizeof log->tail) return 0;
    const char *line = memchr(log->tail + at, '\n', log->len - at);
    return line && line + 1 < log->tail + log->len ? (size_t)(line + 1 - log->tail) : at;
}

void mr_slot_log_tail(const mr_slot_log *log, char *out, size_t size) {
    size_t put = 0;
    for (size_t at = begin_at(log, size - 1); at < log->len;) {
        const uint8_t *from = (const uint8_t *)log->tail + at;
        size_t n = mr_utf8_char(from, log->len - at);
        bool plain = n > 1 || (n == 1 && (*from >= ' ' || *from == '\n' || *from == '\t') && *from != 127);
        if (!n) n = 1;
        if (put + n >= size) break;
        memcpy(out + put, plain ? (const char *)from : "?", n);
        put += n;
        at += n;
    }
    while (put && out[put - 1] == '\n') put--;
    out[put] = 0;
}

void mr_slot_log_close(mr_slot_log *log) {
    if (log->fd >= 0) close(log->fd);
    log->fd = -1;
}
