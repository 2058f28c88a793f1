#include "worker/core/slots.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

enum { FD_ABOVE = 16, ENV_MAX = 1024 };
static const uint64_t ms = 1000000, respawn_pause_ns = 1000000000;

typedef struct slot {
    pid_t pid;  /* 0: there is no process now */
    int socket; /* -1 without a process */
    mr_slot_shared *shared;
    int shared_fd;
    bool busy, killed;
    uint64_t attempt, kill_at_ns;
    mr_status why;       /* of a kill at kill_at_ns */
    uint64_t respawn_ns; /* not before then */
    uint32_t deadline_ms;
} slot;

struct mr_slots {
    mr_slots_config config;
    int epoll;
    slot *slots;
};

/* ---- processes ---- */

/* The environment of a compute process: no settings of ours, and OpenBLAS must not start threads of its own.
 */
static void compute_environment(char *fresh[ENV_MAX], char *blas) {
    size_t n = 0;
    for (char **e = environ; *e && n < ENV_MAX - 2; e++)
        if (strncmp(*e, "OPENBLAS_NUM_THREADS=", 21) != 0 && strncmp(*e, "MILLRACE_", 9) != 0)
            fresh[n++] = *e;
    fresh[n++] = blas;
    fresh[n] = NULL;
}

static int spawn(const mr_slots *s, int socket, int shared, pid_t *pid) {
    posix_spawn_file_actions_t files;
    const mr_log *log = s->config.log;
    char level[16], blas[] = "OPENBLAS_NUM_THREADS=1", *env[ENV_MAX];
    char *argv[] = {"millrace-worker", "compute", level, log && log->json ? "json" : "text", NULL};
    snprintf(level, sizeof level, "%s", mr_log_level_name(log ? log->level : MR_LOG_OFF));
    compute_environment(env, blas);
    int error = posix_spawn_file_actions_init(&files);
    if (error) return error;
    error = posix_spawn_file_actions_adddup2(&files, socket, MR_SLOT_SOCKET);
    if (!error) error = posix_spawn_file_actions_adddup2(&files, shared, MR_SLOT_SHARED);
    if (!error) error = posix_spawn(pid, s->config.program, &files, NULL, argv, env);
    posix_spawn_file_actions_destroy(&files);
    return error;
}

/* Out of the way of the numbers that the child gives to its two descriptors. */
static int raise_fd(int fd) {
    int high = fcntl(fd, F_DUPFD_CLOEXEC, FD_ABOVE);
    close(fd);
    return high;
}

static mr_status fail_errno(mr_error *err, int error) {
    mr_status status = MR_E_IO;
    if (error == EMFILE || error == ENFILE || error == EAGAIN) status = MR_E_FULL;
    if (error == ENOMEM) status = MR_E_MEMORY;
    return mr_fail(err, status, "a compute process cannot be started: %s", strerror(error));
}

static mr_status bring_up(mr_slots *s, slot *k, mr_error *err) {
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) return fail_errno(err, errno);
    pair[0] = raise_fd(pair[0]);
    pair[1] = raise_fd(pair[1]);
    int error = pair[0] < 0 || pair[1] < 0 ? EMFILE : spawn(s, pair[1], k->shared_fd, &k->pid);
    if (pair[1] >= 0) close(pair[1]);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = k};
    if (!error && epoll_ctl(s->epoll, EPOLL_CTL_ADD, pair[0], &event) != 0) {
        error = errno;
        kill(k->pid, SIGKILL);
        waitpid(k->pid, NULL, 0);
    }
    if (error) {
        if (pair[0] >= 0) close(pair[0]);
        k->pid = 0;
        return fail_errno(err, error);
    }
    k->socket = pair[0];
    k->busy = k->killed = false;
    return MR_OK;
}

/* Ends what is left of a slot's process and returns its wait status. */
static int take_down(slot *k) {
    int state = 0;
    kill(k->pid, SIGKILL);
    while (waitpid(k->pid, &state, 0) < 0 && errno == EINTR) {
    }
    close(k->socket); /* which also takes it out of the epoll set */
    k->socket = -1;
    k->pid = 0;
    return state;
}

/* ---- the pool ---- */

static mr_status open_shared(slot *k, mr_error *err) {
    int fd = memfd_create("millrace-slot", MFD_CLOEXEC);
    if (fd < 0) return fail_errno(err, errno);
    k->shared_fd = raise_fd(fd);
    if (k->shared_fd < 0 || ftruncate(k->shared_fd, sizeof *k->shared) != 0) return fail_errno(err, errno);
    void *map = mmap(NULL, sizeof *k->shared, PROT_READ | PROT_WRITE, MAP_SHARED, k->shared_fd, 0);
    if (map == MAP_FAILED) return fail_errno(err, errno);
    k->shared = map;
    return MR_OK;
}

static mr_status open_all(mr_slots *s, mr_error *err) {
    if (s->epoll < 0) return fail_errno(err, errno);
    for (uint32_t i = 0; i < s->config.count; i++) {
        MR_TRY(open_shared(&s->slots[i], err));
        MR_TRY(bring_up(s, &s->slots[i], err));
    }
    return MR_OK;
}

mr_status mr_slots_new(const mr_slots_config *config, mr_slots **out, mr_error *err) {
    MR_ASSERT(config->count >= 1 && config->count <= MR_SLOTS_MAX);
    mr_slots *s = *out = mr_new(NULL, 1, sizeof *s);
    if (!s) return mr_fail(err, MR_E_MEMORY, "no memory for the compute slots");
    s->config = *config;
    s->epoll = epoll_create1(EPOLL_CLOEXEC);
    s->slots = mr_new(NULL, config->count, sizeof *s->slots);
    for (uint32_t i = 0; s->slots && i < config->count; i++) s->slots[i].socket = s->slots[i].shared_fd = -1;
    mr_status status = MR_E_MEMORY;
    if (s->slots)
        status = open_all(s, err);
    else
        status = mr_fail(err, MR_E_MEMORY, "no memory for the compute slots");
    if (status != MR_OK) mr_slots_free(out);
    return status;
}

void mr_slots_free(mr_slots **slots) {
    mr_slots *s = *slots;
    if (!s) return;
    for (uint32_t i = 0; s->slots && i < s->config.count; i++) {
        slot *k = &s->slots[i];
        if (k->pid) take_down(k);
        if (k->shared) munmap(k->shared, sizeof *k->shared);
        if (k->shared_fd >= 0) close(k->shared_fd);
    }
    if (s->epoll >= 0) close(s->epoll);
    mr_free(NULL, s->slots, s->config.count, sizeof *s->slots);
    mr_free(NULL, s, 1, sizeof *s);
    *slots = NULL;
}

int mr_slots_fd(const mr_slots *s) { return s->epoll; }

/* A killed process that answered at the last moment dies idle. */
static bool is_idle(const slot *k) { return k->pid && !k->busy && !k->killed; }

uint32_t mr_slots_idle(const mr_slots *s) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < s->config.count; i++) n += is_idle(&s->slots[i]);
    return n;
}

uint32_t mr_slots_busy(const mr_slots *s) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < s->config.count; i++) n += s->slots[i].busy;
    return n;
}

/* ---- jobs ---- */

static bool write_span(int fd, mr_span bytes) {
    while (bytes.len) {
        ssize_t n = write(fd, bytes.data, bytes.len);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return false;
        bytes.data += n;
        bytes.len -= (size_t)n;
    }
    return true;
}

static slot *idle_slot(mr_slots *s) {
    for (uint32_t i = 0; i < s->config.count; i++)
        if (is_idle(&s->slots[i])) return &s->slots[i];
    return NULL;
}

mr_status mr_slots_start(mr_slots *s, uint64_t now_ns, const mr_slot_job *job, mr_span options, mr_span input,
                         mr_error *err) {
    MR_ASSERT(job->options_len == options.len && job->input_len == input.len);
    slot *k = idle_slot(s);
    if (!k) return mr_fail(err, MR_E_FULL, "all compute slots are busy");
    int fd = memfd_create("millrace-input", MFD_CLOEXEC);
    if (fd < 0) return fail_errno(err, errno);
    bool ok = write_span(fd, options) && write_span(fd, input);
    if (!ok) {
        close(fd);
        return mr_fail(err, MR_E_MEMORY, "no room for an input of %zu bytes", input.len);
    }
    atomic_store(&k->shared->stop, 0);
    atomic_store(&k->shared->progress, 0);
    /* A process that has just died is found by mr_slots_next, which then answers for the job. */
    mr_status sent = mr_slot_send(k->socket, job, sizeof *job, fd);
    close(fd);
    if (sent != MR_OK && errno != EPIPE && errno != ECONNRESET) return fail_errno(err, errno);
    k->busy = true;
    k->attempt = job->attempt;
    k->deadline_ms = job->deadline_ms;
    k->why = MR_E_DEADLINE;
    k->kill_at_ns = now_ns + ((uint64_t)job->deadline_ms + s->config.grace_ms) * ms;
    return MR_OK;
}

void mr_slots_stop(mr_slots *s, uint64_t now_ns, uint64_t attempt, mr_status why) {
    for (uint32_t i = 0; i < s->config.count; i++) {
        slot *k = &s->slots[i];
        uint64_t at = now_ns + s->config.grace_ms * ms;
        if (!k->busy || k->attempt != attempt || k->killed) continue;
        atomic_store(&k->shared->stop, (uint32_t)why);
        if (at >= k->kill_at_ns) continue;
        k->kill_at_ns = at;
        k->why = why;
    }
}

/* ---- what ends ---- */

static void explain_death(const slot *k, int state, mr_slot_done *done) {
    *done = (mr_slot_done){.attempt = k->attempt, .status = k->killed ? k->why : MR_E_CRASHED};
    size_t room = sizeof done->text;
    if (k->killed && k->why == MR_E_DEADLINE)
        snprintf(done->text, room, "killed: it did not end within its deadline of %u ms", k->deadline_ms);
    else if (k->killed)
        snprintf(done->text, room, "killed: it did not end when asked to");
    else if (WIFSIGNALED(state) && WTERMSIG(state) == SIGKILL)
        snprintf(done->text, room,
                 "the compute process was killed from outside; was the machine out of memory?");
    else if (WIFSIGNALED(state))
        snprintf(done->text, room, "the compute process died of signal %d (%s)", WTERMSIG(state),
                 strsignal(WTERMSIG(state)));
    else
        snprintf(done->text, room, "the compute process ended with status %d in the middle of a job",
                 WEXITSTATUS(state));
}

/* True when a job ended with the process. */
static bool bury(mr_slots *s, slot *k, uint64_t now_ns, mr_slot_done *done) {
    bool was_busy = k->busy;
    int state = take_down(k);
    if (was_busy) explain_death(k, state, done);
    MR_LOG(s->config.log, MR_LOG_WARN, "slots", "compute_process_died", MR_LOG_BOOL("busy", was_busy),
           MR_LOG_BOOL("killed", k->killed), MR_LOG_INT("signal", WIFSIGNALED(state) ? WTERMSIG(state) : 0));
    k->respawn_ns =
        was_busy ? now_ns : now_ns + respawn_pause_ns; /* one that dies idle may die again at once */
    k->busy = false;
    return was_busy;
}

static bool read_bytes(int fd, uint64_t n, mr_buf *body) {
    size_t before = body->len;
    uint8_t *at = mr_buf_extend(body, n);
    uint64_t done = 0;
    while (at && done < n) {
        ssize_t got = pread(fd, at + done, n - done, (off_t)done);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) break;
        done += (uint64_t)got;
    }
    if (!at || done < n) body->len = before;
    return at && done == n;
}

static uint64_t body_size(const mr_slot_done *done) {
    uint64_t n = done->size;
    for (uint32_t i = 0; i < done->artifact_count; i++) n += done->artifacts[i].size;
    return n;
}

/* A component may have written anywhere in its process, so what comes from there is looked at like a peer's
 * message. */
static bool believable(const slot *k, const mr_slot_done *done) {
    if (done->attempt != k->attempt || done->size > MR_RESULT_MAX || done->artifact_count > MR_ARTIFACT_COUNT)
        return false;
    if (mr_status_of((int)done->status)->status != (mr_status)done->status) return false;
    uint64_t left = MR_ARTIFACTS_MAX;
    for (uint32_t i = 0; i < done->artifact_count; i++) {
        const mr_slot_artifact *a = &done->artifacts[i];
        if (a->size > left || !memchr(a->name, 0, sizeof a->name) ||
            !memchr(a->media_type, 0, sizeof a->media_type))
            return false;
        left -= a->size;
    }
    return memchr(done->text, 0, sizeof done->text) != NULL;
}

/* True when the slot's job ended, by an answer or by its death. */
static bool hear(mr_slots *s, slot *k, uint64_t now_ns, mr_slot_done *done, mr_buf *body) {
    size_t got;
    int fd;
    mr_status status = mr_slot_receive(k->socket, done, sizeof *done, MSG_DONTWAIT, &got, &fd);
    if (status == MR_E_TIMEOUT) return false;
    bool sound = status == MR_OK && got == sizeof *done && k->busy && believable(k, done);
    if (sound && done->status != MR_OK) done->size = done->artifact_count = 0;
    uint64_t size = sound ? body_size(done) : 0;
    if (sound && done->status == MR_OK && !(fd >= 0 && read_bytes(fd, size, body))) {
        *done = (mr_slot_done){.attempt = k->attempt, .status = MR_E_MEMORY};
        snprintf(done->text, sizeof done->text, "no room for a result of %llu bytes",
                 (unsigned long long)size);
    }
    if (fd >= 0) close(fd);
    if (!sound) return bury(s, k, now_ns, done);
    k->busy = false;
    return true;
}

static void enforce(slot *k, uint64_t now_ns) {
    if (!k->busy || k->killed || now_ns < k->kill_at_ns) return;
    k->killed = true; /* its end is then heard as the end of its stream */
    kill(k->pid, SIGKILL);
}

bool mr_slots_next(mr_slots *s, uint64_t now_ns, mr_slot_done *done, mr_buf *body) {
    for (uint32_t i = 0; i < s->config.count; i++) {
        slot *k = &s->slots[i];
        if (k->pid && hear(s, k, now_ns, done, body)) return true;
        if (k->pid) enforce(k, now_ns);
        mr_error err;
        if (k->pid || now_ns < k->respawn_ns || bring_up(s, k, &err) == MR_OK) continue;
        MR_LOG(s->config.log, MR_LOG_ERROR, "slots", "compute_process_missing",
               MR_LOG_TEXT("reason", err.text));
        k->respawn_ns = now_ns + respawn_pause_ns;
    }
    return false;
}

void mr_slots_progress(const mr_slots *s, void (*tell)(void *self, uint64_t attempt, double done),
                       void *self) {
    for (uint32_t i = 0; i < s->config.count; i++) {
        const slot *k = &s->slots[i];
        if (k->busy) tell(self, k->attempt, atomic_load(&k->shared->progress) / 1e6);
    }
}
