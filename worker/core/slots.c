#include "worker/core/slots.h"

#include "worker/core/slot_log.h"

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
static const uint64_t ms = 1000000, respawn_pause_ns = 1000000000, log_every_ns = 50000000;

/* A job in the box. */
typedef struct boxed {
    uint64_t attempt, stop_ns; /* stop_ns: when it was asked to end; 0: it was not */
    mr_status why;             /* of that */
    uint32_t component, deadline_ms, expected_us;
} boxed;

typedef struct slot {
    pid_t pid;  /* 0: there is no process now */
    int socket; /* -1 without a process */
    mr_slot_given *given;
    mr_slot_answered *answered;
    int given_fd, answered_fd;
    uint32_t jobs, taken;   /* given, and of which the answer was taken */
    uint32_t seen;          /* answers when it was last looked at */
    uint64_t since_ns;      /* when that changed: the running job began about then */
    uint64_t expected_us;   /* of all that is in the box */
    uint32_t put;           /* in the box's input */
    boxed job[MR_BOX_JOBS];
    bool killed, has_told;
    bool unwoken;           /* jobs were given since its process was last woken */
    uint32_t killed_job;    /* which one was meant */
    mr_status why;          /* of the kill */
    uint32_t back;          /* of the jobs in the box, the last so many were taken back and are to be told */
    uint64_t late_us;       /* how long the running one had run by then */
    mr_slot_done told;      /* a message that is ahead of its answer's turn, when has_told */
    int told_fd;
    uint64_t respawn_ns;    /* not before then */
    mr_slot_log log;
    uint64_t log_ns;        /* when the log was last looked at */
} slot;

enum { PACES = 256, PACE_UNKNOWN = 1 << 30, AHEAD_US = 5000 };

struct mr_slots {
    mr_slots_config config;
    int epoll;
    slot *slots;
    uint32_t pace_us[PACES]; /* by component: what a job of it takes */
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

static int spawn(const mr_slots *s, int socket, int log_end, const slot *k, pid_t *pid) {
    posix_spawn_file_actions_t files;
    const mr_log *log = s->config.log;
    char level[16], blas[] = "OPENBLAS_NUM_THREADS=1", *env[ENV_MAX];
    char *argv[] = {"millrace-worker", "compute", level, log && log->json ? "json" : "text", NULL};
    snprintf(level, sizeof level, "%s", mr_log_level_name(log ? log->level : MR_LOG_OFF));
    compute_environment(env, blas);
    int error = posix_spawn_file_actions_init(&files);
    if (error) return error;
    error = posix_spawn_file_actions_adddup2(&files, socket, MR_SLOT_SOCKET);
    if (!error) error = posix_spawn_file_actions_adddup2(&files, log_end, STDERR_FILENO);
    if (!error) error = posix_spawn_file_actions_adddup2(&files, k->given_fd, MR_SLOT_GIVEN);
    if (!error) error = posix_spawn_file_actions_adddup2(&files, k->answered_fd, MR_SLOT_ANSWERED);
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

static mr_status bring_up(mr_slots *s, slot *k, uint64_t now_ns, mr_error *err) {
    int pair[2];
    pid_t pid = 0;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) return fail_errno(err, errno);
    pair[0] = raise_fd(pair[0]);
    pair[1] = raise_fd(pair[1]);
    int log_end = mr_slot_log_open(&k->log);
    int error = pair[0] < 0 || pair[1] < 0 || log_end < 0 ? EMFILE : spawn(s, pair[1], log_end, k, &pid);
    if (pair[1] >= 0) close(pair[1]);
    if (log_end >= 0) close(log_end);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = k};
    if (!error && epoll_ctl(s->epoll, EPOLL_CTL_ADD, pair[0], &event) != 0) {
        error = errno;
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
    }
    if (error) {
        if (pair[0] >= 0) close(pair[0]);
        mr_slot_log_close(&k->log);
        return fail_errno(err, error);
    }
    k->pid = pid;
    k->socket = pair[0];
    k->killed = false;
    k->since_ns = now_ns;
    return MR_OK;
}

/* Ends what is left of a slot's process and returns its wait status. */
static int take_down(slot *k) {
    int state = 0;
    kill(k->pid, SIGKILL);
    while (waitpid(k->pid, &state, 0) < 0 && errno == EINTR) {
    }
    close(k->socket); /* which also takes it out of the epoll set */
    mr_slot_log_read(&k->log);
    mr_slot_log_close(&k->log);
    k->socket = -1;
    k->pid = 0;
    return state;
}

/* ---- the pool ---- */

static void forget_told(slot *k) {
    if (k->has_told && k->told_fd >= 0) close(k->told_fd);
    k->has_told = false;
}

static mr_status open_box(const char *name, size_t size, int *fd, void **map, mr_error *err) {
    int low = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (low < 0) return fail_errno(err, errno);
    *fd = raise_fd(low);
    if (*fd < 0 || ftruncate(*fd, (off_t)size) != 0) return fail_errno(err, errno);
    void *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, *fd, 0);
    if (at == MAP_FAILED) return fail_errno(err, errno);
    *map = at;
    return MR_OK;
}

/* What the worker writes, nobody else can: a component that runs wild does not reach the jobs behind its own. */
static mr_status open_boxes(slot *k, mr_error *err) {
    void *given, *answered;
    MR_TRY(open_box("millrace-given", sizeof *k->given, &k->given_fd, &given, err));
    k->given = given;
    if (fcntl(k->given_fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE | F_SEAL_SHRINK | F_SEAL_GROW) != 0)
        return fail_errno(err, errno);
    MR_TRY(open_box("millrace-answered", sizeof *k->answered, &k->answered_fd, &answered, err));
    k->answered = answered;
    return fcntl(k->answered_fd, F_ADD_SEALS, F_SEAL_SHRINK) == 0 ? MR_OK : fail_errno(err, errno);
}

static mr_status open_all(mr_slots *s, mr_error *err) {
    if (s->epoll < 0) return fail_errno(err, errno);
    for (uint32_t i = 0; i < s->config.count; i++) {
        MR_TRY(open_boxes(&s->slots[i], err));
        MR_TRY(bring_up(s, &s->slots[i], 0, err));
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
    for (uint32_t i = 0; s->slots && i < config->count; i++)
        s->slots[i].socket = s->slots[i].given_fd = s->slots[i].answered_fd = s->slots[i].log.fd = -1;
    for (uint32_t i = 0; i < PACES; i++) s->pace_us[i] = PACE_UNKNOWN;
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
        forget_told(k);
        if (k->given) munmap(k->given, sizeof *k->given);
        if (k->answered) munmap(k->answered, sizeof *k->answered);
        if (k->given_fd >= 0) close(k->given_fd);
        if (k->answered_fd >= 0) close(k->answered_fd);
    }
    if (s->epoll >= 0) close(s->epoll);
    mr_free(NULL, s->slots, s->config.count, sizeof *s->slots);
    mr_free(NULL, s, 1, sizeof *s);
    *slots = NULL;
}

int mr_slots_fd(const mr_slots *s) { return s->epoll; }

static uint32_t boxed_jobs(const slot *k) { return k->jobs - k->taken; }

/* A killed process that answered at the last moment dies idle. */
static bool is_idle(const slot *k) { return k->pid && !k->killed && !boxed_jobs(k); }

uint32_t mr_slots_idle(const mr_slots *s) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < s->config.count; i++) n += is_idle(&s->slots[i]);
    return n;
}

uint32_t mr_slots_busy(const mr_slots *s) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < s->config.count; i++) n += boxed_jobs(&s->slots[i]) > 0;
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

/* How long jobs of a component take is learned from their answers; what is not known yet takes a slot alone. */
static uint32_t *pace_of(mr_slots *s, uint32_t component) { return &s->pace_us[component % PACES]; }

static void learn_pace(mr_slots *s, uint32_t component, uint64_t compute_us) {
    enum { BESIDES_US = 3 }; /* what a job costs beside its call */
    uint32_t *pace = pace_of(s, component);
    uint32_t took = compute_us < PACE_UNKNOWN ? (uint32_t)compute_us + BESIDES_US : PACE_UNKNOWN;
    if (took >= *pace || *pace == PACE_UNKNOWN) *pace = took;
    else *pace -= (*pace - took + 7) / 8;
}

static bool place_input(slot *k, size_t size, uint32_t *at) {
    uint32_t oldest = boxed_jobs(k) ? k->given->job[k->taken % MR_BOX_JOBS].at : 0;
    return mr_box_place(MR_BOX_INPUT, oldest, !boxed_jobs(k), (uint32_t)size, &k->put, at);
}

/* An idle slot, or one that will soon be done with what it has. */
static slot *slot_for(mr_slots *s, uint32_t component, bool apart) {
    slot *best = NULL;
    uint64_t pace = *pace_of(s, component);
    for (uint32_t i = 0; i < s->config.count; i++) {
        slot *k = &s->slots[i];
        if (is_idle(k)) return k;
        if (apart || !k->pid || k->killed || k->late_us || boxed_jobs(k) == MR_BOX_JOBS || k->expected_us + pace > AHEAD_US)
            continue;
        if (!best || k->expected_us < best->expected_us) best = k;
    }
    return best;
}

/* An input that does not fit into the box. The slot is idle, so its process looks for the message. */
static mr_status send_apart(const slot *k, const mr_slot_job *job, mr_span options, mr_span input, mr_error *err) {
    int fd = memfd_create("millrace-input", MFD_CLOEXEC);
    if (fd < 0) return fail_errno(err, errno);
    bool ok = write_span(fd, options) && write_span(fd, input);
    mr_status sent = ok ? mr_slot_send(k->socket, job, sizeof *job, fd) : MR_OK;
    int error = errno;
    close(fd);
    if (!ok) return mr_fail(err, MR_E_MEMORY, "no room for an input of %zu bytes", input.len);
    /* A process that has just died is found by mr_slots_next, which then answers for the job. */
    return sent == MR_OK || error == EPIPE || error == ECONNRESET ? MR_OK : fail_errno(err, error);
}

static void give(mr_slots *s, slot *k, uint64_t now_ns, const mr_slot_job *job) {
    uint32_t n = k->jobs % MR_BOX_JOBS;
    uint32_t pace = *pace_of(s, job->component);
    k->job[n] = (boxed){.attempt = job->attempt, .component = job->component, .deadline_ms = job->deadline_ms,
                        .expected_us = pace};
    k->given->job[n] = *job;
    atomic_store_explicit(&k->given->stop[n], 0, memory_order_relaxed);
    if (!boxed_jobs(k)) k->since_ns = now_ns;
    k->expected_us += pace;
    k->unwoken = true;
    atomic_store_explicit(&k->given->jobs, ++k->jobs, memory_order_release);
}

/* Once for many jobs: the count is stored again so that it is seen before the question whether the process sleeps is asked, and
 * that waits until all inputs are written. */
static void wake(slot *k) {
    if (!k->unwoken) return;
    k->unwoken = false;
    atomic_store(&k->given->jobs, k->jobs);
    if (atomic_load(&k->answered->asleep) && atomic_exchange(&k->answered->asleep, 0)) (void)!mr_slot_wake(k->socket);
}

void mr_slots_wake(mr_slots *s) {
    for (uint32_t i = 0; i < s->config.count; i++) wake(&s->slots[i]);
}

mr_status mr_slots_start(mr_slots *s, uint64_t now_ns, const mr_slot_job *job, mr_span options, mr_span input,
                         mr_error *err) {
    MR_ASSERT(job->options_len == options.len && job->input_len == input.len);
    mr_slot_job copy = *job;
    copy.apart = input.len > MR_BOX_INPUT / 4 || options.len > MR_BOX_INPUT / 4;
    slot *k = slot_for(s, job->component, copy.apart);
    size_t size = copy.apart ? 0 : options.len + input.len;
    if (!k || !place_input(k, size, &copy.at)) return mr_fail(err, MR_E_FULL, "all compute slots are busy");
    if (copy.apart) {
        MR_TRY(send_apart(k, &copy, options, input, err));
    } else {
        uint8_t *to = k->given->input + copy.at;
        if (options.len) memcpy(to, options.data, options.len);
        if (input.len) memcpy(to + options.len, input.data, input.len);
    }
    give(s, k, now_ns, &copy);
    return MR_OK;
}

void mr_slots_stop(mr_slots *s, uint64_t now_ns, uint64_t attempt, mr_status why) {
    for (uint32_t i = 0; i < s->config.count; i++) {
        slot *k = &s->slots[i];
        for (uint32_t at = k->taken; at != k->jobs; at++) {
            boxed *b = &k->job[at % MR_BOX_JOBS];
            if (b->attempt != attempt || b->stop_ns) continue;
            b->stop_ns = now_ns ? now_ns : 1;
            b->why = why;
            atomic_store(&k->given->stop[at % MR_BOX_JOBS], (uint32_t)why);
        }
    }
}

/* ---- what ends ---- */

static void explain_death(const slot *k, const boxed *b, int state, mr_slot_done *done) {
    *done = (mr_slot_done){.attempt = b->attempt, .status = k->killed ? k->why : MR_E_CRASHED};
    size_t room = sizeof done->text;
    if (k->killed && k->why == MR_E_DEADLINE)
        snprintf(done->text, room, "killed: it did not end within its deadline of %u ms", b->deadline_ms);
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

/* The oldest job leaves the box. */
static void take_out(slot *k) {
    k->expected_us -= k->job[k->taken % MR_BOX_JOBS].expected_us;
    k->taken++;
    k->late_us = 0;
    atomic_store_explicit(&k->given->taken, k->taken, memory_order_release); /* nobody sleeps for it */
    mr_slot_log_clear(&k->log);
}

/* True when a job ended with the process. What stood behind it waits in the box for the next one. */
static bool bury(mr_slots *s, slot *k, uint64_t now_ns, mr_slot_done *done) {
    bool was_busy = boxed_jobs(k) > 0;
    /* Killed for a job that then ended after all: the one that had just begun goes again. */
    bool blamed = was_busy && (!k->killed || k->killed_job == k->taken);
    int state = take_down(k);
    forget_told(k);
    MR_LOG(s->config.log, MR_LOG_WARN, "slots", "compute_process_died", MR_LOG_BOOL("busy", was_busy),
           MR_LOG_BOOL("killed", k->killed), MR_LOG_INT("signal", WIFSIGNALED(state) ? WTERMSIG(state) : 0));
    if (blamed) {
        const boxed *b = &k->job[k->taken % MR_BOX_JOBS];
        explain_death(k, b, state, done);
        mr_slot_log_tail(&k->log, done->log, sizeof done->log);
        done->compute_us = now_ns > k->since_ns ? (now_ns - k->since_ns) / 1000 : 0;
        learn_pace(s, b->component, done->compute_us);
        take_out(k);
    }
    atomic_store(&k->answered->jobs, k->taken);
    atomic_store(&k->answered->claimed, k->taken);
    atomic_store(&k->answered->asleep, 0);
    atomic_store(&k->answered->progress, 0);
    k->seen = k->taken;
    k->respawn_ns =
        was_busy ? now_ns : now_ns + respawn_pause_ns; /* one that dies idle may die again at once */
    return blamed;
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
static bool believable(const mr_slot_done *done, uint64_t attempt) {
    if (done->attempt != attempt || done->size > MR_RESULT_MAX || done->artifact_count > MR_ARTIFACT_COUNT)
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
    return memchr(done->text, 0, sizeof done->text) && memchr(done->log, 0, sizeof done->log);
}

typedef enum heard { HEARD_NOTHING, HEARD_WAKE, HEARD_ANSWER, HEARD_END } heard;

/* Reads one message; an answer is kept as what was told. */
static heard read_message(slot *k) {
    size_t got;
    int fd;
    mr_status status = mr_slot_receive(k->socket, &k->told, sizeof k->told, MSG_DONTWAIT, &got, &fd);
    if (status == MR_E_TIMEOUT) return HEARD_NOTHING;
    if (status == MR_OK && got == sizeof k->told) {
        k->has_told = true;
        k->told_fd = fd;
        return HEARD_ANSWER;
    }
    if (fd >= 0) close(fd);
    return status == MR_OK && got == 1 ? HEARD_WAKE : HEARD_END;
}

/* The answer of the oldest job came as a message. */
static bool take_told(slot *k, mr_slot_done *done, mr_buf *body) {
    uint64_t attempt = k->job[k->taken % MR_BOX_JOBS].attempt;
    while (!k->has_told) {
        heard h = read_message(k);
        if (h == HEARD_NOTHING || h == HEARD_END) return false; /* the message is sent before the answer is counted */
    }
    *done = k->told;
    done->unbegun = 0;
    bool sound = believable(done, attempt);
    if (sound && done->status != MR_OK) done->size = done->artifact_count = 0;
    uint64_t size = sound ? body_size(done) : 0;
    if (sound && done->status == MR_OK && !(k->told_fd >= 0 && read_bytes(k->told_fd, size, body))) {
        *done = (mr_slot_done){.attempt = attempt, .status = MR_E_MEMORY};
        snprintf(done->text, sizeof done->text, "no room for a result of %llu bytes",
                 (unsigned long long)size);
    }
    forget_told(k);
    return sound;
}

/* The answer of the oldest job lies in the box. */
static bool take_boxed(const slot *k, const mr_slot_answer *a, mr_slot_done *done, mr_buf *body) {
    if (a->attempt != k->job[k->taken % MR_BOX_JOBS].attempt || a->size > MR_BOX_OUTPUT || a->at > MR_BOX_OUTPUT - a->size)
        return false;
    done->attempt = a->attempt;
    done->status = MR_OK;
    done->partial = a->partial != 0;
    done->compute_us = a->compute_us;
    done->peak_bytes = a->peak_bytes;
    done->size = a->size;
    done->artifact_count = done->unbegun = 0;
    done->text[0] = done->log[0] = 0;
    mr_buf_put(body, k->answered->output + a->at, a->size);
    if (mr_buf_status(body) == MR_OK) return true;
    *done = (mr_slot_done){.attempt = a->attempt, .status = MR_E_MEMORY, .text = "no room for a result"};
    return true;
}

static bool take_answer(mr_slots *s, slot *k, mr_slot_done *done, mr_buf *body) {
    mr_slot_answer a = k->answered->answer[k->taken % MR_BOX_JOBS];
    if (!(a.apart ? take_told(k, done, body) : take_boxed(k, &a, done, body))) return false;
    learn_pace(s, k->job[k->taken % MR_BOX_JOBS].component, done->compute_us);
    take_out(k);
    return true;
}

static bool has_hung_up(const slot *k) {
    char byte;
    ssize_t n = recv(k->socket, &byte, sizeof byte, MSG_PEEK | MSG_DONTWAIT);
    return n == 0 || (n < 0 && errno == ECONNRESET);
}

/* True when a job of the slot ended, by an answer or by its death. Answers come first, also those of a process that has
 * died since. */
static bool hear(mr_slots *s, slot *k, uint64_t now_ns, mr_slot_done *done, mr_buf *body) {
    for (bool ended = false;;) {
        uint32_t answers = atomic_load(&k->answered->jobs) - k->taken;
        if (answers > boxed_jobs(k)) return bury(s, k, now_ns, done);
        if (answers) return take_answer(s, k, done, body) || bury(s, k, now_ns, done);
        if (ended) return bury(s, k, now_ns, done);
        if (k->has_told && !has_hung_up(k)) return false; /* its turn is about to come */
        if (k->has_told) {
            ended = true; /* it was killed between the two; but it may have counted since */
            continue;
        }
        heard h = read_message(k);
        if (h == HEARD_NOTHING) return false;
        ended = h == HEARD_END;
    }
}

/* A process that prints more than its pipe holds waits for this. */
static void look_at_log(slot *k, uint64_t now_ns) {
    if (now_ns - k->log_ns < log_every_ns) return;
    k->log_ns = now_ns;
    mr_slot_log_read(&k->log);
}

/* Jobs behind one that takes long are taken out of the box again, unbegun, so that they need not wait for it. */
static void take_back(slot *k, uint64_t now_ns) {
    uint32_t begun = atomic_exchange(&k->answered->claimed, MR_BOX_SHUT), kept = begun - k->taken;
    k->late_us = (now_ns - k->since_ns) / 1000;
    if (kept > boxed_jobs(k)) { /* written by a component that ran wild */
        k->why = MR_E_CRASHED;
        k->killed_job = k->taken;
        k->killed = true;
        kill(k->pid, SIGKILL);
        return;
    }
    k->back = boxed_jobs(k) - kept;
    if (k->back) k->put = k->given->job[begun % MR_BOX_JOBS].at;
    k->jobs = begun;
    atomic_store(&k->given->jobs, begun);
    atomic_store(&k->answered->claimed, begun);
}

/* The next of those that were taken back. */
static bool tell_back(slot *k, mr_slot_done *done) {
    if (!k->back) return false;
    boxed *b = &k->job[(k->jobs + --k->back) % MR_BOX_JOBS];
    k->expected_us -= b->expected_us;
    *done = (mr_slot_done){.attempt = b->attempt, .status = MR_E_FULL, .unbegun = 1, .compute_us = k->late_us};
    return true;
}

/* Looks at the job that runs now: when it began is not known better than from one look to the next. */
static void enforce(const mr_slots *s, slot *k, uint64_t now_ns) {
    uint32_t at = atomic_load(&k->answered->jobs);
    if (at != k->seen) k->since_ns = now_ns;
    k->seen = at;
    if (k->killed || at - k->taken >= boxed_jobs(k)) return;
    bool runs = atomic_load(&k->answered->claimed) != at; /* else the process is only starting */
    if (runs && !k->late_us && now_ns - k->since_ns > s->config.late_ms * ms) take_back(k, now_ns);
    if (k->killed) return;
    const boxed *b = &k->job[at % MR_BOX_JOBS];
    uint64_t grace = s->config.grace_ms * ms, limit = k->since_ns + b->deadline_ms * ms + grace;
    uint64_t asked = b->stop_ns > k->since_ns ? b->stop_ns : k->since_ns;
    bool stops = b->stop_ns && asked + grace < limit;
    if (stops) limit = asked + grace;
    if (now_ns < limit) return;
    k->why = stops ? b->why : MR_E_DEADLINE;
    k->killed_job = at;
    k->killed = true; /* its end is then heard as the end of its stream */
    kill(k->pid, SIGKILL);
}

bool mr_slots_next(mr_slots *s, uint64_t now_ns, mr_slot_done *done, mr_buf *body) {
    for (uint32_t i = 0; i < s->config.count; i++) {
        slot *k = &s->slots[i];
        wake(k);
        if (tell_back(k, done)) return true;
        if (k->pid && hear(s, k, now_ns, done, body)) return true;
        if (k->pid) enforce(s, k, now_ns);
        if (k->pid) look_at_log(k, now_ns);
        if (tell_back(k, done)) return true;
        mr_error err;
        if (k->pid || now_ns < k->respawn_ns || bring_up(s, k, now_ns, &err) == MR_OK) continue;
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
        uint32_t at = atomic_load(&k->answered->jobs);
        if (at - k->taken < boxed_jobs(k))
            tell(self, k->job[at % MR_BOX_JOBS].attempt, atomic_load(&k->answered->progress) / 1e6);
    }
}
