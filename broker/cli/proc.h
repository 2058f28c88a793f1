/* proc.h: the other programs: where they are, starting them, asking them, stopping them. */
#ifndef MR_BROKER_CLI_PROC_H
#define MR_BROKER_CLI_PROC_H

#include <limits.h>
#include <sys/types.h>

#include "common/buf.h"

/* The program of that name beside this one. E_NOT_FOUND says where it was looked for. */
mr_status mr_proc_beside(const char *name, char out[PATH_MAX], mr_error *err) MR_MUST_CHECK;
/* A file that comes with the programs: below MILLRACE_SHARE, the source tree that this was built in, or
 * /usr/share/millrace. E_NOT_FOUND names the places. */
mr_status mr_proc_share(const char *name, char out[PATH_MAX], mr_error *err) MR_MUST_CHECK;

/* Runs a program to its end and appends its stdout. stderr goes where ours goes, or with `quiet` nowhere. The
 * exit code goes to *code (128 + signal when killed). Errors: E_NOT_FOUND, E_IO, E_LIMIT, E_TIMEOUT (it is
 * killed then). */
mr_status mr_proc_capture(const char *const *argv, unsigned timeout_ms, bool quiet, mr_buf *out, int *code,
                          mr_error *err) MR_MUST_CHECK;
/* Starts a program in a session of its own with its output appended to the file `log`. `extra` ("NAME=value",
 * NULL-terminated) is added to our environment. */
mr_status mr_proc_start(const char *const *argv, const char *const *extra, const char *log, pid_t *pid,
                        mr_error *err) MR_MUST_CHECK;

/* ---- pid files: the number and the start time, so that a number used again is not taken for the old process
 * ---- */
mr_status mr_pid_write(const char *path, pid_t pid, mr_error *err) MR_MUST_CHECK;
/* The process of the file when it still runs, else 0. */
pid_t mr_pid_alive(const char *path);
/* SIGTERM, waits at most `grace_ms`, then SIGKILL. True when it had to be killed. */
bool mr_pid_end(pid_t pid, unsigned grace_ms);

#endif
