#include "broker/cli/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "broker/cli/term.h"
#include "common/file.h"

/* ---- where ---- */

static bool own_folder(char out[PATH_MAX]) {
    ssize_t n = readlink("/proc/self/exe", out, PATH_MAX - 1);
    if (n <= 0) return false;
    out[n] = 0;
    char *slash = strrchr(out, '/');
    if (slash) *slash = 0;
    return slash != NULL;
}

static bool joined(char out[PATH_MAX], const char *folder, const char *name) {
    int n = snprintf(out, PATH_MAX, "%s/%s", folder, name);
    return n > 0 && n < PATH_MAX;
}

mr_status mr_proc_beside(const char *name, char out[PATH_MAX], mr_error *err) {
    char folder[PATH_MAX];
    if (own_folder(folder) && joined(out, folder, name) && access(out, X_OK) == 0) return MR_OK;
    return mr_fail(err, MR_E_NOT_FOUND,
                   "there is no program %s beside millrace in %.300s: build or install it there", name,
                   folder);
}

mr_status mr_proc_share(const char *name, char out[PATH_MAX], mr_error *err) {
    char folder[PATH_MAX];
    const char *share = getenv("MILLRACE_SHARE");
    if (share && *share) {
        if (joined(out, share, name) && access(out, R_OK) == 0) return MR_OK;
        return mr_fail(err, MR_E_NOT_FOUND, "MILLRACE_SHARE is %.200s, and there is no %s in it", share,
                       name);
    }
    /* The build's bin folder lies two or three levels below the source tree. */
    static const char *const up[] = {"/../deploy", "/../../deploy", "/../../../deploy", "/../share/millrace"};
    bool known = own_folder(folder);
    for (size_t i = 0; known && i < sizeof up / sizeof *up; i++) {
        char place[PATH_MAX];
        if ((size_t)snprintf(place, sizeof place, "%s%s", folder, up[i]) >= sizeof place) continue;
        if (joined(out, place, name) && access(out, R_OK) == 0) return MR_OK;
    }
    if (joined(out, "/usr/share/millrace", name) && access(out, R_OK) == 0) return MR_OK;
    return mr_fail(err, MR_E_NOT_FOUND,
                   "cannot find %s near %.300s or in /usr/share/millrace: set MILLRACE_SHARE to the folder "
                   "that holds it",
                   name, folder);
}

/* ---- starting ---- */

/* A child gets no blocked signals from us, and its own group, so that Ctrl-C reaches only this program. */
static int start(const char *const *argv, char **environment, posix_spawn_file_actions_t *files, bool session,
                 pid_t *pid) {
    posix_spawnattr_t attr;
    sigset_t none;
    sigemptyset(&none);
    posix_spawnattr_init(&attr);
    posix_spawnattr_setsigmask(&attr, &none);
    posix_spawnattr_setflags(&attr, (short)(POSIX_SPAWN_SETSIGMASK | (session ? POSIX_SPAWN_SETSID : 0)));
    int failed = posix_spawn(pid, argv[0], files, &attr, (char *const *)(uintptr_t)argv, environment);
    posix_spawnattr_destroy(&attr);
    return failed;
}

static char **environment_with(const char *const *extra, mr_arena *arena) {
    size_t have = 0, more = 0, n = 0;
    while (environ[have]) have++;
    while (extra && extra[more]) more++;
    char **all = mr_arena_alloc(arena, have + more + 1, sizeof *all);
    if (!all) return NULL;
    for (size_t i = 0; i < more; i++) all[n++] = mr_arena_copy(arena, extra[i], strlen(extra[i]));
    for (size_t i = 0; i < have; i++) {
        bool replaced = false;
        for (size_t k = 0; k < more; k++) {
            size_t name = strcspn(extra[k], "=") + 1;
            replaced = replaced || !strncmp(extra[k], environ[i], name);
        }
        if (!replaced) all[n++] = environ[i];
    }
    return all;
}

mr_status mr_proc_start(const char *const *argv, const char *const *extra, const char *log, pid_t *pid,
                        mr_error *err) {
    mr_arena *arena = mr_arena_new(NULL, 16 << 20);
    char **environment = arena ? environment_with(extra, arena) : NULL;
    if (!environment) {
        if (arena) mr_arena_free(&arena);
        return mr_fail(err, MR_E_MEMORY, "out of memory");
    }
    posix_spawn_file_actions_t files;
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&files, 1, log, O_WRONLY | O_CREAT | O_APPEND, 0640);
    posix_spawn_file_actions_adddup2(&files, 1, 2);
    int failed = start(argv, environment, &files, true, pid);
    posix_spawn_file_actions_destroy(&files);
    mr_arena_free(&arena);
    if (failed) return mr_fail(err, MR_E_IO, "cannot start %s: %s", argv[0], strerror(failed));
    return MR_OK;
}

/* ---- asking ---- */

static mr_status read_until_end(int fd, uint64_t until, mr_buf *out, mr_error *err) {
    for (;;) {
        uint64_t now = mr_now_ms();
        if (now >= until) return mr_fail(err, MR_E_TIMEOUT, "it did not end in time");
        struct pollfd p = {.fd = fd, .events = POLLIN};
        if (poll(&p, 1, (int)(until - now)) == 0) continue;
        uint8_t block[16384];
        ssize_t n = read(fd, block, sizeof block);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return mr_fail(err, MR_E_IO, "cannot read its output: %s", strerror(errno));
        if (n == 0)
            return mr_buf_status(out) == MR_OK ? MR_OK
                                               : mr_fail(err, mr_buf_status(out), "its output is too long");
        mr_buf_put(out, block, (size_t)n);
    }
}

mr_status mr_proc_capture(const char *const *argv, unsigned timeout_ms, bool quiet, mr_buf *out, int *code,
                          mr_error *err) {
    int pipes[2];
    pid_t pid;
    if (pipe2(pipes, O_CLOEXEC)) return mr_fail(err, MR_E_IO, "cannot make a pipe: %s", strerror(errno));
    posix_spawn_file_actions_t files;
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&files, pipes[1], 1);
    if (quiet) posix_spawn_file_actions_addopen(&files, 2, "/dev/null", O_WRONLY, 0);
    int failed = start(argv, environ, &files, false, &pid);
    posix_spawn_file_actions_destroy(&files);
    close(pipes[1]);
    if (failed) {
        close(pipes[0]);
        return mr_fail(err, MR_E_NOT_FOUND, "cannot run %s: %s", argv[0], strerror(failed));
    }
    mr_status status = read_until_end(pipes[0], mr_now_ms() + timeout_ms, out, err);
    close(pipes[0]);
    if (status != MR_OK) kill(pid, SIGKILL);
    int how = 0;
    while (waitpid(pid, &how, 0) < 0 && errno == EINTR) continue;
    *code = WIFEXITED(how) ? WEXITSTATUS(how) : 128 + WTERMSIG(how);
    return status == MR_OK ? MR_OK : mr_fail_in(err, "%s", argv[0]);
}

/* ---- pid files ---- */

/* Field 22 of /proc/PID/stat: ticks since boot. 0 when there is no such process, or it is a zombie. */
static unsigned long long start_time(pid_t pid) {
    char path[64], text[1024];
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *f = fopen(path, "re");
    if (!f) return 0;
    size_t n = fread(text, 1, sizeof text - 1, f);
    fclose(f);
    text[n] = 0;
    char *at = strrchr(text, ')'); /* the name before it may hold anything */
    char state;
    unsigned long long ticks;
    if (!at ||
        sscanf(at + 1, " %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu",
               &state, &ticks) != 2)
        return 0;
    return state == 'Z' || state == 'X' ? 0 : ticks;
}

mr_status mr_pid_write(const char *path, pid_t pid, mr_error *err) {
    char text[64];
    int n = snprintf(text, sizeof text, "%d %llu\n", (int)pid, start_time(pid));
    return mr_file_write(path, (mr_span){(uint8_t *)text, (size_t)n}, 0644, err);
}

pid_t mr_pid_alive(const char *path) {
    FILE *f = fopen(path, "re");
    if (!f) return 0;
    int pid = 0;
    unsigned long long ticks = 0;
    int n = fscanf(f, "%d %llu", &pid, &ticks);
    fclose(f);
    return n == 2 && pid > 0 && ticks && start_time(pid) == ticks ? pid : 0;
}

static bool wait_for_end(pid_t pid, int pidfd, unsigned ms) {
    struct pollfd p = {.fd = pidfd, .events = POLLIN};
    if (poll(&p, 1, (int)ms) <= 0) return false;
    waitpid(pid, NULL, WNOHANG); /* when it is our child */
    return true;
}

bool mr_pid_end(pid_t pid, unsigned grace_ms) {
    int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (pidfd < 0) return false;
    kill(pid, SIGTERM);
    bool killed = !wait_for_end(pid, pidfd, grace_ms);
    if (killed) {
        kill(pid, SIGKILL);
        wait_for_end(pid, pidfd, 5000);
    }
    close(pidfd);
    return killed;
}
