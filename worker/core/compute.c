#include "worker/core/job.h"

#include "common/log.h"
#include "common/pack.h"
#include "worker/core/registry.h"
#include "worker/core/runner.h"
#include "worker/core/seccomp.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

enum { PARTIALS_MAX = 1024 };

typedef struct compute {
    const mr_component *const *table;
    size_t count;
    mr_slot_shared *shared;
    int statm; /* /proc/self/statm, opened while files can be */
    const mr_component *running;
    mr_log log;
} compute;

/* A job with its bytes. */
typedef struct task {
    mr_slot_job job;
    const mr_component *component;
    uint8_t *map;
    size_t map_len;
    mr_span options, input;
} task;

/* ---- memory: what does not go through the arena is held by the address space ---- */

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif

/* Twice the component's limit above what the process holds now, and room for the rows and the result. */
static void limit_memory(const compute *c, const task *t) {
#ifdef SANITIZED
    (void)c;
    (void)t; /* shadow memory needs all of the address space */
#else
    static const size_t room = (size_t)512 << 20;
    char text[128];
    ssize_t n = pread(c->statm, text, sizeof text - 1, 0);
    if (n <= 0) return;
    text[n] = 0;
    unsigned long pages = strtoul(text, NULL, 10);
    struct rlimit limit;
    if (pages == 0 || getrlimit(RLIMIT_AS, &limit) != 0) return;
    rlim_t want = pages * (rlim_t)sysconf(_SC_PAGESIZE) + 2 * ((rlim_t)t->component->memory_mb << 20) + room +
                  8 * t->map_len;
    limit.rlim_cur = limit.rlim_max != RLIM_INFINITY && want > limit.rlim_max ? limit.rlim_max : want;
    setrlimit(RLIMIT_AS, &limit);
#endif
}

/* ---- one job ---- */

static mr_status open_task(const compute *c, int fd, task *t, mr_error *err) {
    if (t->job.component >= c->count)
        return mr_fail(err, MR_E_INTERNAL, "the job names component %u of %zu", t->job.component, c->count);
    t->component = c->table[t->job.component];
    t->map_len = t->job.options_len + t->job.input_len;
    if (t->map_len == 0) return MR_OK;
    void *map = mmap(NULL, t->map_len, PROT_READ, MAP_PRIVATE, fd, 0);
    if (map == MAP_FAILED) return mr_fail(err, MR_E_MEMORY, "no room to map %zu bytes of input", t->map_len);
    t->map = map;
    t->options = (mr_span){t->map, t->job.options_len};
    t->input = (mr_span){t->map + t->job.options_len, t->job.input_len};
    return MR_OK;
}

static void tell_progress(void *self, double done) {
    atomic_store(&((compute *)self)->shared->progress, (uint32_t)(done * 1e6));
}

static void tell_log(void *self, const char *event, const char *text) {
    const compute *c = self;
    MR_LOG(&c->log, MR_LOG_INFO, c->running->name, event, MR_LOG_TEXT("detail", text));
}

static mr_status unpack_partials(mr_span input, mr_span *items, uint32_t *count, mr_error *err) {
    mr_unpack u;
    mr_unpack_init(&u, input);
    MR_TRY(mr_unpack_array(&u, PARTIALS_MAX, count, err));
    for (uint32_t i = 0; i < *count; i++) MR_TRY(mr_unpack_bin(&u, MR_PARTIAL_MAX, &items[i], err));
    return MR_OK;
}

static mr_status run_merge(const task *t, mr_call *call, mr_outcome *out, mr_error *err) {
    mr_span *items = mr_new(NULL, PARTIALS_MAX, sizeof *items);
    if (!items) return mr_fail(err, MR_E_MEMORY, "no memory for the partials");
    mr_status status = unpack_partials(t->input, items, &call->partial_count, err);
    call->partials = items;
    if (status == MR_OK) {
        status = mr_run_call(call, out);
        *err = out->err;
    }
    mr_free(NULL, items, PARTIALS_MAX, sizeof *items);
    return status;
}

static mr_status run_process(const task *t, mr_call *call, mr_outcome *out, mr_error *err) {
    mr_batch batch;
    mr_arena *arena = mr_arena_new(NULL, 8 * t->input.len + (1 << 20));
    if (!arena) return mr_fail(err, MR_E_MEMORY, "no memory for the rows");
    uint32_t wanted = t->component->columns | t->component->columns_wanted;
    mr_status status = mr_segment_decode(t->input, wanted, arena, &batch, err);
    call->batch = &batch;
    if (status == MR_OK) {
        status = mr_run_call(call, out);
        *err = out->err;
    }
    mr_arena_free(&arena);
    return status;
}

static mr_status run_task(compute *c, const task *t, mr_outcome *out, mr_error *err) {
    void *config = mr_config_new(t->component, NULL);
    if (!config) return mr_fail(err, MR_E_MEMORY, "no memory for the options");
    mr_call call = {
        .component = t->component,
        .config = config,
        .seed = t->job.seed,
        .level = t->job.level,
        .index = t->job.index,
        .last = t->job.last,
        .deadline_ms = t->job.deadline_ms,
        .watch = {.stop = &c->shared->stop, .progress = tell_progress, .log = tell_log, .self = c}};
    mr_status status = mr_config_unpack(t->component, config, t->options, err);
    if (status == MR_OK)
        status = t->job.level ? run_merge(t, &call, out, err) : run_process(t, &call, out, err);
    mr_config_free(t->component, NULL, &config);
    return status;
}

/* ---- the answer ---- */

static bool write_all(int fd, mr_span bytes) {
    while (bytes.len) {
        ssize_t n = write(fd, bytes.data, bytes.len);
        if (n <= 0) return false;
        bytes.data += n;
        bytes.len -= (size_t)n;
    }
    return true;
}

/* The memfd with the outcome's bytes, described in `done`; -1 when there is no room for them. */
static int bytes_of(const mr_outcome *o, mr_slot_done *done) {
    int fd = memfd_create("millrace-result", MFD_CLOEXEC);
    bool ok = fd >= 0 && write_all(fd, mr_buf_span(&o->bytes));
    done->size = o->bytes.len;
    done->artifact_count = (uint32_t)o->artifact_count;
    for (size_t i = 0; i < o->artifact_count; i++) {
        const mr_given_artifact *a = &o->artifacts[i];
        memcpy(done->artifacts[i].name, a->name, sizeof a->name);
        memcpy(done->artifacts[i].media_type, a->media_type, sizeof a->media_type);
        done->artifacts[i].size = a->bytes.len;
        ok = ok && write_all(fd, mr_buf_span(&a->bytes));
    }
    if (!ok && fd >= 0) close(fd);
    return ok ? fd : -1;
}

static mr_status answer(int socket, const task *t, mr_status status, const mr_outcome *o,
                        const mr_error *err) {
    mr_slot_done done = {.attempt = t->job.attempt,
                         .status = status,
                         .partial = o->partial,
                         .compute_us = o->compute_us,
                         .peak_bytes = o->peak_bytes};
    int fd = -1;
    if (status == MR_OK && (fd = bytes_of(o, &done)) < 0) {
        done = (mr_slot_done){.attempt = t->job.attempt, .status = MR_E_MEMORY};
        snprintf(done.text, sizeof done.text, "no room for the result of %zu bytes", o->bytes.len);
    }
    if (status != MR_OK) snprintf(done.text, sizeof done.text, "%s", err->text);
    mr_status sent = mr_slot_send(socket, &done, sizeof done, fd);
    if (fd >= 0) close(fd);
    return sent;
}

static mr_status take_job(compute *c, task *t, int fd) {
    mr_outcome outcome = {0};
    mr_error err = {0};
    atomic_store(&c->shared->progress, 0);
    mr_status status = open_task(c, fd, t, &err);
    if (fd >= 0) close(fd);
    if (status == MR_OK) {
        c->running = t->component;
        limit_memory(c, t);
        status = run_task(c, t, &outcome, &err);
    }
    status = answer(MR_SLOT_SOCKET, t, status, &outcome, &err);
    mr_outcome_free(&outcome);
    if (t->map) munmap(t->map, t->map_len);
    return status;
}

/* Ctrl-C reaches the whole process group, but only the worker decides what becomes of a job; and when the
 * worker is gone, nobody wants the job. */
static void settle_in(void) {
    signal(SIGINT, SIG_IGN);
    signal(SIGTERM, SIG_IGN);
    signal(SIGPIPE, SIG_IGN);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    close_range(MR_SLOT_SHARED + 1, ~0u, 0);
}

/* From here on a component's code is on its own. A sanitizer's runtime needs more of the kernel than the filter allows. */
static void confine(const mr_log *log) {
#ifdef SANITIZED
    (void)log;
#else
    mr_error err = {0};
    if (mr_seccomp_confine(&err) == MR_OK) return;
    MR_LOG(log, MR_LOG_WARN, "compute", "seccomp_unavailable", MR_LOG_TEXT("reason", err.text));
#endif
}

int mr_compute_main(const mr_component *const *table, int argc, char **argv) {
    settle_in();
    compute c = {.table = table, .statm = open("/proc/self/statm", O_RDONLY | O_CLOEXEC)};
    mr_log_level level = MR_LOG_OFF;
    if (argc > 2 && !mr_log_level_parse(argv[2], &level)) level = MR_LOG_OFF;
    mr_log_init(&c.log, STDERR_FILENO, level, argc > 3 && !strcmp(argv[3], "json"));
    while (table[c.count]) c.count++;
    c.shared = mmap(NULL, sizeof *c.shared, PROT_READ | PROT_WRITE, MAP_SHARED, MR_SLOT_SHARED, 0);
    if (c.shared == MAP_FAILED) {
        fprintf(stderr, "millrace-worker compute is started by millrace-worker itself, not by hand\n");
        return mr_status_of(MR_E_USAGE)->exit_code;
    }
    confine(&c.log);
    for (;;) {
        task t = {0};
        size_t got;
        int fd;
        mr_status status = mr_slot_receive(MR_SLOT_SOCKET, &t.job, sizeof t.job, 0, &got, &fd);
        if (status != MR_OK || got != sizeof t.job) return status == MR_OK && got == 0 ? 0 : 1;
        if (take_job(&c, &t, fd) != MR_OK) return 1;
    }
}
