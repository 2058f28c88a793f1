/* term.h: the terminal and its signals: width, a progress line on stderr, Ctrl-C as a descriptor, time for
 * people. */
#ifndef MR_BROKER_CLI_TERM_H
#define MR_BROKER_CLI_TERM_H

#include "common/buf.h"

/* Columns of the terminal behind `fd`; 0 when it is none. */
unsigned mr_term_width(int fd);
/* Milliseconds of a clock that never jumps. */
uint64_t mr_now_ms(void);
/* Local time with its offset, "2026-11-20 05:31:05+01:00", from microseconds since 1970. */
enum { MR_LOCAL_TIME = 48 };
void mr_local_time(int64_t us, char out[MR_LOCAL_TIME]);
/* "850 ms", "12.4 s", "3 min 20 s", "2 h 5 min". */
void mr_duration_text(uint64_t ms, char out[32]);

/* One line on stderr that replaces itself, at most every 100 ms; silent when stderr is no terminal. */
typedef struct mr_progress {
    bool on, shown;
    unsigned width;
    uint64_t next_ms;
} mr_progress;
void mr_progress_init(mr_progress *p);
bool mr_progress_due(mr_progress *p); /* true: now is the time for mr_progress_show */
void mr_progress_show(mr_progress *p, const char *fmt, ...) MR_PRINTF(2, 3);
void mr_progress_clear(mr_progress *p); /* before any other line is written to stderr */
/* "[######....]" of `width` cells for done of total. */
void mr_bar(uint64_t done, uint64_t total, char *out, size_t width);

/* SIGINT and SIGTERM as something to ask for, so that a command can end in good order. A second one ends the
 * process. */
typedef struct mr_stop {
    int fd;
    bool asked;
} mr_stop;
mr_status mr_stop_init(mr_stop *s, mr_error *err) MR_MUST_CHECK;
bool mr_stop_asked(mr_stop *s);
/* Waits at most `ms` for a signal; true when one came. */
bool mr_stop_wait(mr_stop *s, unsigned ms);
void mr_stop_close(mr_stop *s);

#endif
