#include "worker/core/job.h"

#include "common/clock.h"
#include "common/log.h"
#include "common/pack.h"
#include "worker/core/registry.h"
#include "worker/core/runner.h"
#include "worker/core/seccomp.h"
#include "worker/core/slot_log.h"

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

enum { TELL_NS = 2000000, LIMIT_EVERY = 64 };

/* What a component needs for its calls, kept as long as the jobs are of one step. */
typedef struct kept {
    const mr_component *component; /* NULL: nothing is kept */
    mr_buf options;
    void *config;
    mr_arena *arena; /* of its calls */
    uint32_t calls;
} kept;

typedef struct compute {
    const mr_component *const *table;
    size_t count;
    const mr_slot_given *given;
    mr_slot_answered *answered;
    uint32_t next;          /* the job that is to be run */
    uint32_t put;           /* in the box's output */
    uint32_t told;          /* answers of which the worker knows */
    uint64_t told_ns;       /* since when there are others, about */
    bool has_message;       /* a job that came apart, before its turn */
    mr_slot_job message;
    int message_fd;
    int statm; /* /proc/self/statm, opened while files can be */
    const mr_component *running;
    kept kept;
    mr_arena *rows;         /* of small inputs */
    mr_segment_names names; /* of the last one */
    mr_log log;
    mr_slot_log said;       /* by the running call */
} compute;

/* A job with its bytes. */
typedef struct task {
    mr_slot_job job;
    const mr_component *component;
    uint8_t *map; /* of a job that came apart */
    size_t map_len;
    mr_span options, input;
} task;

/* What other steps gave, and the model among it. */
typedef struct given_things {
    mr_given items[MR_GIVENS];
    mr_artifact model;
} given_things;

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
                  8 * t->input.len;
    limit.rlim_cur = limit.rlim_max != RLIM_INFINITY && want > limit.rlim_max ? limit.rlim_max : want;
    setrlimit(RLIMIT_AS, &limit);
#endif
}

/* ---- one job ---- */

static mr_status find_component(const compute *c, task *t, mr_error *err) {
    if (t->job.component >= c->count)
        return mr_fail(err, MR_E_INTERNAL, "the job names component %u of %zu", t->job.component, c->count);
    t->component = c->table[t->job.component];
    return MR_OK;
}

static mr_status map_apart(task *t, int fd, mr_error *err) {
    t->map_len = t->job.options_len + t->job.input_len;
    if (t->map_len == 0) return MR_OK;
    void *map = mmap(NULL, t->map_len, PROT_READ, MAP_PRIVATE, fd, 0);
    if (map == MAP_FAILED) return mr_fail(err, MR_E_MEMORY, "no room to map %zu bytes of input", t->map_len);
    t->map = map;
    return MR_OK;
}

static mr_status open_task(const compute *c, task *t, int fd, mr_error *err) {
    MR_TRY(find_component(c, t, err));
    if (t->job.apart) MR_TRY(map_apart(t, fd, err));
    const uint8_t *bytes = t->job.apart ? t->map : c->given->input + t->job.at;
    t->options = (mr_span){bytes, t->job.options_len};
    t->input = (mr_span){bytes + t->job.options_len, t->job.input_len};
    return MR_OK;
}

static void forget_kept(kept *k) {
    if (k->component) mr_config_free(k->component, NULL, &k->config);
    mr_arena_free(&k->arena);
    mr_buf_free(&k->options);
    *k = (kept){0};
}

/* The configuration of the task's step, made when it is another than the last one's. */
static mr_status keep_config(compute *c, const task *t, mr_error *err) {
    kept *k = &c->kept;
    if (k->component == t->component && mr_span_eq(mr_buf_span(&k->options), t->options)) return MR_OK;
    forget_kept(k);
    mr_buf_init(&k->options, NULL, t->options.len);
    mr_buf_put(&k->options, t->options.data, t->options.len);
    k->config = mr_config_new(t->component, NULL);
    k->arena = mr_arena_new(NULL, (size_t)t->component->memory_mb << 20);
    k->component = t->component;
    mr_status status = mr_buf_status(&k->options);
    if (status != MR_OK || !k->config || !k->arena)
        status = mr_fail(err, MR_E_MEMORY, "no memory for the options");
    else
        status = mr_config_unpack(t->component, k->config, t->options, err);
    if (status != MR_OK) forget_kept(k);
    return status;
}

static void tell_progress(void *self, double done) {
    atomic_store(&((compute *)self)->answered->progress, (uint32_t)(done * 1e6));
}

static void tell_log(void *self, const char *event, const char *text) {
    compute *c = self;
    char line[640];
    int n = snprintf(line, sizeof line, "%s: %s\n", event, text);
    mr_slot_log_add(&c->said, line, n < (int)sizeof line ? (size_t)n : sizeof line - 1);
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
        if (status != MR_OK) *err = out->err;
    }
    mr_free(NULL, items, PARTIALS_MAX, sizeof *items);
    return status;
}

static mr_status run_process(compute *c, const task *t, mr_arena *arena, mr_call *call, mr_outcome *out, mr_error *err) {
    mr_batch batch;
    uint32_t wanted = t->component->columns | t->component->columns_wanted;
    if (call->reducer) wanted |= call->reducer->columns | call->reducer->columns_wanted;
    MR_TRY(mr_segment_decode_like(t->input, wanted, &c->names, arena, &batch, err));
    call->batch = &batch;
    mr_status status = mr_run_call(call, out);
    if (status != MR_OK) *err = out->err;
    return status;
}

/* What came with the input: what the component is to read, a model to apply, or what makes the features. */
static mr_status take_given(const compute *c, task *t, mr_arena *arena, given_things *things, mr_call *call, mr_error *err) {
    MR_TRY(mr_given_unwrap(t->input, arena, &t->input, things->items, &call->given_count, err));
    call->given = things->items;
    if (t->job.level) return MR_OK;
    const mr_given *model = mr_given_find(call->given, call->given_count, MR_USE_MODEL, NULL);
    const mr_given *features = mr_given_find(call->given, call->given_count, MR_USE_FEATURES, NULL);
    if (model) {
        things->model = (mr_artifact){model->artifact, model->bytes};
        call->model = &things->model;
    }
    for (size_t i = 0; features && i < c->count; i++)
        if (!strcmp(c->table[i]->name, features->component)) call->reducer = c->table[i];
    if (!features || call->reducer) return MR_OK;
    return mr_fail(err, MR_E_NOT_FOUND, "this worker has no component '%s', which makes the features", features->component);
}

static mr_status run_input(compute *c, task *t, mr_call *call, mr_outcome *out, mr_error *err) {
    given_things things;
    mr_arena *large = t->job.apart ? mr_arena_new(NULL, 8 * t->input.len + (1 << 20)) : NULL;
    mr_arena *arena = t->job.apart ? large : c->rows;
    if (!arena) return mr_fail(err, MR_E_MEMORY, "no memory for the rows");
    mr_arena_reset(arena);
    mr_status status = take_given(c, t, arena, &things, call, err);
    if (status == MR_OK) status = t->job.level ? run_merge(t, call, out, err) : run_process(c, t, arena, call, out, err);
    mr_arena_free(&large);
    return status;
}

static mr_status run_task(compute *c, task *t, mr_outcome *out, mr_error *err) {
    MR_TRY(keep_config(c, t, err));
    if (t->job.apart || c->kept.calls++ % LIMIT_EVERY == 0) limit_memory(c, t);
    mr_call call = {
        .component = t->component,
        .config = c->kept.config,
        .arena = c->kept.arena,
        .seed = t->job.seed,
        .level = t->job.level,
        .index = t->job.index,
        .last = t->job.last,
        .deadline_ms = t->job.deadline_ms,
        .watch = {.stop = &c->given->stop[c->next % MR_BOX_JOBS], .progress = tell_progress, .log = tell_log, .self = c}};
    return run_input(c, t, &call, out, err);
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

static mr_status send_answer(const compute *c, const task *t, mr_status status, const mr_outcome *o, const mr_error *err) {
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
    if (done.status != MR_OK) mr_slot_log_tail(&c->said, done.log, sizeof done.log);
    mr_status sent = mr_slot_send(MR_SLOT_SOCKET, &done, sizeof done, fd);
    if (fd >= 0) close(fd);
    return sent;
}

/* A place in the box for the outcome's bytes; false: it has to go apart. */
static bool place_output(compute *c, const mr_outcome *o, uint32_t *at) {
    uint32_t taken = atomic_load_explicit(&c->given->taken, memory_order_acquire);
    bool empty = taken == c->next;
    uint32_t oldest = empty ? 0 : c->answered->answer[taken % MR_BOX_JOBS].at;
    return o->artifact_count == 0 && o->bytes.len <= MR_BOX_OUTPUT / 4 &&
           mr_box_place(MR_BOX_OUTPUT, oldest, empty, (uint32_t)o->bytes.len, &c->put, at);
}

/* Writes the answer where the worker looks for it, and counts it. */
static mr_status answer(compute *c, const task *t, mr_status status, const mr_outcome *o, const mr_error *err) {
    mr_slot_answer a = {.attempt = t->job.attempt, .compute_us = o->compute_us, .peak_bytes = o->peak_bytes,
                        .size = (uint32_t)o->bytes.len, .partial = o->partial, .at = c->put};
    a.apart = status != MR_OK || !place_output(c, o, &a.at);
    if (a.apart) MR_TRY(send_answer(c, t, status, o, err));
    else if (a.size) memcpy(c->answered->output + a.at, o->bytes.data, a.size);
    c->answered->answer[c->next % MR_BOX_JOBS] = a;
    atomic_store(&c->answered->jobs, ++c->next);
    return MR_OK;
}

/* ---- messages ---- */

static mr_status tell(compute *c) {
    if (c->told == c->next) return MR_OK;
    c->told = c->next;
    return mr_slot_wake(MR_SLOT_SOCKET);
}

/* Answers that lie there are worth a wake-up after a while, though more are coming. */
static mr_status tell_in_time(compute *c) {
    uint64_t now = mr_clock_monotonic_ns();
    if (now - c->told_ns < TELL_NS) return MR_OK;
    c->told_ns = now;
    return tell(c);
}

/* Waits for one: a wake-up, or a job that comes apart. */
static mr_status hear(compute *c) {
    size_t got;
    int fd;
    MR_TRY(mr_slot_receive(MR_SLOT_SOCKET, &c->message, sizeof c->message, 0, &got, &fd));
    if (got == sizeof c->message && !c->has_message) {
        c->has_message = true;
        c->message_fd = fd;
        return MR_OK;
    }
    if (fd >= 0) close(fd);
    return got == 1 ? MR_OK : got == 0 ? MR_E_CANCELLED : MR_E_IO; /* 0: the worker has closed its end */
}

static mr_status await_jobs(compute *c) {
    MR_TRY(tell(c));
    while (atomic_load(&c->given->jobs) == c->next) {
        atomic_store(&c->answered->asleep, 1);
        if (atomic_load(&c->given->jobs) == c->next) MR_TRY(hear(c));
        atomic_store(&c->answered->asleep, 0);
    }
    c->told_ns = mr_clock_monotonic_ns();
    return MR_OK;
}

/* False when there is none, or the worker takes back what was not begun. */
static bool claim(compute *c) {
    uint32_t next = c->next;
    return atomic_load(&c->given->jobs) != next && atomic_compare_exchange_strong(&c->answered->claimed, &next, next + 1);
}

/* ---- a job's way ---- */

static mr_status run_job(compute *c, task *t, int fd, mr_outcome *outcome, mr_error *err) {
    mr_status stop = (mr_status)atomic_load_explicit(&c->given->stop[c->next % MR_BOX_JOBS], memory_order_relaxed);
    if (stop != MR_OK) return mr_fail(err, stop, "stopped before it began");
    MR_TRY(open_task(c, t, fd, err));
    c->running = t->component;
    return run_task(c, t, outcome, err);
}

static mr_status take_job(compute *c) {
    task t = {.job = c->given->job[c->next % MR_BOX_JOBS]};
    mr_outcome outcome = {0};
    mr_error err;
    int fd = -1;
    err.text[0] = 0;
    while (t.job.apart && !c->has_message) MR_TRY(hear(c));
    if (t.job.apart) {
        fd = c->message_fd;
        c->has_message = false;
    }
    atomic_store_explicit(&c->answered->progress, 0, memory_order_relaxed);
    mr_slot_log_clear(&c->said);
    mr_status status = run_job(c, &t, fd, &outcome, &err);
    if (fd >= 0) close(fd);
    status = answer(c, &t, status, &outcome, &err);
    mr_outcome_free(&outcome);
    if (t.map) munmap(t.map, t.map_len);
    return status;
}

/* Ctrl-C reaches the whole process group, but only the worker decides what becomes of a job; and when the
 * worker is gone, nobody wants the job. */
static void settle_in(void) {
    signal(SIGINT, SIG_IGN);
    signal(SIGTERM, SIG_IGN);
    signal(SIGPIPE, SIG_IGN);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    close_range(MR_SLOT_ANSWERED + 1, ~0u, 0);
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

static bool open_boxes(compute *c) {
    void *given = mmap(NULL, sizeof *c->given, PROT_READ, MAP_SHARED, MR_SLOT_GIVEN, 0);
    void *answered = mmap(NULL, sizeof *c->answered, PROT_READ | PROT_WRITE, MAP_SHARED, MR_SLOT_ANSWERED, 0);
    if (given == MAP_FAILED || answered == MAP_FAILED) return false;
    c->given = given;
    c->answered = answered;
    c->next = c->told = atomic_load(&c->answered->jobs);
    c->rows = mr_arena_new(NULL, 8 * (size_t)MR_BOX_INPUT + (1 << 20));
    c->names.arena = mr_arena_new(NULL, 64 << 20);
    return c->rows && c->names.arena;
}

int mr_compute_main(const mr_component *const *table, int argc, char **argv) {
    settle_in();
    compute c = {.said = {.fd = -1}, .table = table, .statm = open("/proc/self/statm", O_RDONLY | O_CLOEXEC)};
    mr_log_level level = MR_LOG_OFF;
    if (argc > 2 && !mr_log_level_parse(argv[2], &level)) level = MR_LOG_OFF;
    mr_log_init(&c.log, STDERR_FILENO, level, argc > 3 && !strcmp(argv[3], "json"));
    while (table[c.count]) c.count++;
    if (!open_boxes(&c)) {
        fprintf(stderr, "millrace-worker compute is started by millrace-worker itself, not by hand\n");
        return mr_status_of(MR_E_USAGE)->exit_code;
    }
    confine(&c.log);
    mr_status status = MR_OK;
    while (status == MR_OK) {
        status = await_jobs(&c);
        while (status == MR_OK && claim(&c)) {
            status = take_job(&c);
            if (status == MR_OK) status = tell_in_time(&c);
        }
    }
    forget_kept(&c.kept);
    mr_arena_free(&c.rows);
    mr_arena_free(&c.names.arena);
    return status == MR_E_CANCELLED ? 0 : 1;
}
