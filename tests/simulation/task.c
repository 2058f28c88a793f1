/* task.c: the agenda, and threads of simulated processes as coroutines: one runs until it waits, then the agenda says
 * what is next. The thread functions, clocks and descriptors that the programs use are linked to what stands here
 * (-Wl,--wrap), so that nothing of theirs waits or looks at a real clock. */
#include "tests/simulation/world.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__)
#define SIM_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SIM_ASAN 1
#endif
#endif
#ifdef SIM_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

enum { STACK = 512 * 1024 };

struct sim_task {
    sim_process *process;
    void *(*run)(void *);
    void *arg;
    ucontext_t self;
    void *stack, *fake;
    uint32_t number, turn; /* turn: counts its waits, so that a late alarm is known */
    uint32_t begun;        /* its turn when it began: tells it from another that has its place later */
    bool live, waiting, woken;
    const void *on; /* the condition variable that it waits for */
    sim_task *joiner;
    char host[8]; /* what it takes its machine's name for */
};

/* The schedule that runs: what is linked in the place of the system's functions is told of it in no other way. */
static sim_world *here;
static ucontext_t loop;
#ifdef SIM_ASAN
static void *loop_fake;
static const void *loop_bottom;
static size_t loop_size;
#endif
static void *stacks[SIM_TASKS];

sim_world *sim_here(void) { return here; }
static void find_switcher(void);

void sim_enter(sim_world *w) {
    here = w;
    if (w) find_switcher();
}

sim_process *sim_self(void) { return here && here->running ? here->running->process : NULL; }

/* ---- the agenda: a binary heap by time, then order ---- */

static bool before(const sim_item *a, const sim_item *b) {
    return a->at != b->at ? a->at < b->at : a->order < b->order;
}

static void swap(sim_item *a, sim_item *b) {
    sim_item t = *a;
    *a = *b;
    *b = t;
}

void sim_at(sim_world *w, uint64_t delay_us, sim_item item) {
    if (w->items == w->cap) {
        w->cap = w->cap ? w->cap * 2 : 256;
        w->heap = realloc(w->heap, w->cap * sizeof *w->heap);
        MR_ASSERT(w->heap);
    }
    item.at = w->now + delay_us;
    if (!item.order) item.order = ++w->order; /* what comes again (of a process that is paused) keeps its place */
    size_t i = w->items++;
    w->heap[i] = item;
    for (; i > 0 && before(&w->heap[i], &w->heap[(i - 1) / 2]); i = (i - 1) / 2) swap(&w->heap[i], &w->heap[(i - 1) / 2]);
}

bool sim_next(sim_world *w, sim_item *out) {
    if (!w->items) return false;
    *out = w->heap[0];
    w->heap[0] = w->heap[--w->items];
    for (size_t i = 0, least;; i = least) {
        least = i;
        for (size_t child = 2 * i + 1; child <= 2 * i + 2 && child < w->items; child++)
            if (before(&w->heap[child], &w->heap[least])) least = child;
        if (least == i) break;
        swap(&w->heap[i], &w->heap[least]);
    }
    if (out->at > w->now) w->now = out->at; /* programs take time: what was due meanwhile comes late */
    return true;
}

/* ---- switching ---- */

/* The C library's own: what AddressSanitizer puts in its place wipes the shadow of a whole stack at each switch. */
typedef int (*switcher)(ucontext_t *, const ucontext_t *);
static switcher swap_contexts;

static void find_switcher(void) {
    void *libc = dlopen("libc.so.6", RTLD_LAZY | RTLD_NOLOAD);
    void *found = libc ? dlsym(libc, "swapcontext") : NULL;
    swap_contexts = swapcontext;
    if (found) memcpy(&swap_contexts, &found, sizeof found);
}

static void leave(sim_task *t, bool for_good) {
#ifdef SIM_ASAN
    __sanitizer_start_switch_fiber(for_good ? NULL : &t->fake, loop_bottom, loop_size);
#else
    (void)for_good;
#endif
    swap_contexts(&t->self, &loop);
#ifdef SIM_ASAN
    __sanitizer_finish_switch_fiber(t->fake, &loop_bottom, &loop_size);
#endif
}

static void body(void) {
    sim_task *t = here->running;
#ifdef SIM_ASAN
    __sanitizer_finish_switch_fiber(NULL, &loop_bottom, &loop_size);
#endif
    t->run(t->arg);
    t->live = false;
    t->process->threads--;
    if (t->joiner) sim_wake(here, t->joiner);
    leave(t, true);
}

static void enter(sim_world *w, sim_task *t) {
    w->running = t;
    t->waiting = false;
#ifdef SIM_ASAN
    __sanitizer_start_switch_fiber(&loop_fake, t->stack, STACK);
#endif
    swap_contexts(&loop, &t->self);
#ifdef SIM_ASAN
    __sanitizer_finish_switch_fiber(loop_fake, NULL, NULL);
#endif
    w->running = NULL;
}

void sim_resume(sim_world *w, const sim_item *item) {
    sim_task *t = w->task[item->a];
    if (!t->live || !t->waiting || t->turn != item->b) return;
    if (t->process->paused_until > w->now && !t->process->dying) {
        sim_at(w, t->process->paused_until - w->now, *item);
        return;
    }
    enter(w, t);
}

/* Kept from one schedule to the next. */
static void *new_stack(void) {
    void *stack = mmap(NULL, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    MR_ASSERT(stack != MAP_FAILED);
    return stack;
}

static sim_task *free_task(sim_world *w) {
    uint32_t i = 0;
    while (i < SIM_TASKS && w->task[i] && w->task[i]->live) i++;
    MR_ASSERT(i < SIM_TASKS);
    if (!w->task[i]) {
        w->task[i] = calloc(1, sizeof *w->task[i]);
        MR_ASSERT(w->task[i]);
        w->task[i]->number = i;
        w->task[i]->stack = stacks[i] ? stacks[i] : new_stack();
        stacks[i] = w->task[i]->stack;
    }
    return w->task[i];
}

void sim_spawn(sim_world *w, sim_process *p, void *(*run)(void *), void *arg, uint64_t *thread) {
    sim_task *t = free_task(w);
    uint32_t turn = t->turn + 1;
    *t = (sim_task){.process = p, .run = run, .arg = arg, .stack = t->stack, .number = t->number, .turn = turn, .begun = turn, .live = true,
                    .waiting = true};
#ifdef SIM_ASAN
    ASAN_UNPOISON_MEMORY_REGION(t->stack, STACK);
#endif
    getcontext(&t->self);
    t->self.uc_stack.ss_sp = t->stack;
    t->self.uc_stack.ss_size = STACK;
    t->self.uc_link = NULL;
    makecontext(&t->self, body, 0);
    p->threads++;
    if (thread) *thread = (uint64_t)t->begun << 32 | t->number;
    sim_at(w, 0, (sim_item){.kind = SIM_RESUME, .a = t->number, .b = t->turn});
}

void sim_name_thread(sim_world *w, const char *host) {
    sim_task *last = NULL;
    for (uint32_t i = 0; i < SIM_TASKS && w->task[i]; i++) last = w->task[i];
    memcpy(last->host, host, strnlen(host, sizeof last->host - 1));
}

bool sim_block(sim_world *w, uint64_t until_us) {
    sim_task *t = w->running;
    t->turn++;
    t->waiting = true;
    t->woken = false;
    if (t->process->dying) until_us = w->now + 500; /* others of it must come to their end too, and what they wait for too */
    if (until_us != SIM_NEVER)
        sim_at(w, until_us > w->now ? until_us - w->now : 0, (sim_item){.kind = SIM_RESUME, .a = t->number, .b = t->turn});
    leave(t, false);
    return t->woken;
}

void sim_sleep(sim_world *w, uint64_t us) {
    uint64_t until = w->now + us;
    do sim_block(w, until);
    while (w->now < until && !w->running->process->dying);
}

void sim_wake(sim_world *w, sim_task *t) {
    if (!t->waiting || t->woken) return;
    t->woken = true;
    sim_at(w, 0, (sim_item){.kind = SIM_RESUME, .a = t->number, .b = t->turn});
}

void sim_wake_all(sim_world *w, const sim_process *p) {
    for (uint32_t i = 0; i < SIM_TASKS && w->task[i]; i++)
        if (w->task[i]->live && w->task[i]->process == p && w->task[i]->waiting)
            sim_at(w, 0, (sim_item){.kind = SIM_RESUME, .a = i, .b = w->task[i]->turn});
}

void sim_tasks_free(sim_world *w) {
    for (uint32_t i = 0; i < SIM_TASKS && w->task[i]; i++) {
        MR_ASSERT(!w->task[i]->live);
        free(w->task[i]);
    }
}

/* ---- threads ---- */

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*run)(void *), void *arg);
int __wrap_pthread_join(pthread_t thread, void **result);
int __wrap_pthread_mutex_lock(pthread_mutex_t *m);
int __wrap_pthread_mutex_unlock(pthread_mutex_t *m);
int __wrap_pthread_cond_wait(pthread_cond_t *c, pthread_mutex_t *m);
int __wrap_pthread_cond_timedwait(pthread_cond_t *c, pthread_mutex_t *m, const struct timespec *until);
int __wrap_pthread_cond_signal(pthread_cond_t *c);
int __wrap_pthread_cond_broadcast(pthread_cond_t *c);
int __wrap_pthread_sigmask(int how, const sigset_t *set, sigset_t *before_it);
int __wrap_sigprocmask(int how, const sigset_t *set, sigset_t *before_it);

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*run)(void *), void *arg) {
    uint64_t number;
    (void)attr;
    sim_spawn(here, sim_self(), run, arg, &number);
    *thread = (pthread_t)number;
    return 0;
}

int __wrap_pthread_join(pthread_t thread, void **result) {
    sim_task *t = here->task[(uint64_t)thread & UINT32_MAX];
    uint32_t begun = (uint32_t)((uint64_t)thread >> 32);
    (void)result;
    while (t->live && t->begun == begun) {
        t->joiner = here->running;
        sim_block(here, SIM_NEVER);
    }
    return 0;
}

/* Nothing else runs until somebody waits, and nobody waits with a lock but for its condition. */
int __wrap_pthread_mutex_lock(pthread_mutex_t *m) {
    (void)m;
    return 0;
}

int __wrap_pthread_mutex_unlock(pthread_mutex_t *m) {
    (void)m;
    return 0;
}

static bool wait_on(const void *condition, uint64_t until_us) {
    here->running->on = condition;
    bool woken = sim_block(here, until_us);
    return woken;
}

int __wrap_pthread_cond_wait(pthread_cond_t *c, pthread_mutex_t *m) {
    (void)m;
    wait_on(c, SIM_NEVER);
    return 0;
}

int __wrap_pthread_cond_timedwait(pthread_cond_t *c, pthread_mutex_t *m, const struct timespec *until) {
    (void)m;
    return wait_on(c, (uint64_t)until->tv_sec * 1000000 + (uint64_t)until->tv_nsec / 1000) ? 0 : ETIMEDOUT;
}

static void signalled(const void *condition, bool all) {
    for (uint32_t i = 0; i < SIM_TASKS && here->task[i]; i++) {
        sim_task *t = here->task[i];
        if (!t->live || !t->waiting || t->woken || t->on != condition) continue;
        t->on = NULL;
        sim_wake(here, t);
        if (!all) return;
    }
}

int __wrap_pthread_cond_signal(pthread_cond_t *c) {
    signalled(c, false);
    return 0;
}

int __wrap_pthread_cond_broadcast(pthread_cond_t *c) {
    signalled(c, true);
    return 0;
}

int __wrap_pthread_sigmask(int how, const sigset_t *set, sigset_t *before_it) {
    (void)how;
    (void)set;
    if (before_it) sigemptyset(before_it);
    return 0;
}

int __wrap_sigprocmask(int how, const sigset_t *set, sigset_t *before_it) {
    return __wrap_pthread_sigmask(how, set, before_it);
}

/* ---- clocks and chance ---- */

int __wrap_clock_gettime(clockid_t id, struct timespec *out);
int __real_clock_gettime(clockid_t id, struct timespec *out);
int __wrap_nanosleep(const struct timespec *t, struct timespec *left);
void __wrap_mr_random_bytes(void *out, size_t n);
void __real_mr_random_bytes(void *out, size_t n);

/* A program takes time between two looks at the clock: mostly little, now and then some milliseconds. */
static void time_passes(sim_world *w) {
    const sim_process *p = sim_self();
    if (!p || p->dying || !w->pace_us) return;
    uint64_t us = mr_rng_below(&w->pace, w->pace_us + 1);
    if (mr_rng_unit(&w->pace) < w->p_hitch) us += 1000 + mr_rng_below(&w->pace, 5000);
    w->now += us;
    w->report->count[SIM_C_clock_moved] += us > 0;
}

int __wrap_clock_gettime(clockid_t id, struct timespec *out) {
    if (!here) return __real_clock_gettime(id, out);
    if (id == CLOCK_MONOTONIC) time_passes(here);
    uint64_t us = here->now;
    if (id == CLOCK_REALTIME) us += UINT64_C(1800000000000000) + (uint64_t)(sim_self() ? sim_self()->wall_us : 0);
    *out = (struct timespec){.tv_sec = (time_t)(us / 1000000), .tv_nsec = (long)(us % 1000000) * 1000};
    return 0;
}

int __wrap_nanosleep(const struct timespec *t, struct timespec *left) {
    (void)left;
    sim_sleep(here, (uint64_t)t->tv_sec * 1000000 + (uint64_t)t->tv_nsec / 1000);
    return 0;
}

void __wrap_mr_random_bytes(void *out, size_t n) {
    if (!here) {
        __real_mr_random_bytes(out, n);
        return;
    }
    for (size_t i = 0; i < n; i++) ((uint8_t *)out)[i] = (uint8_t)mr_rng_next(&here->secrets);
}

int __wrap_gethostname(char *out, size_t n);
int __wrap_gethostname(char *out, size_t n) {
    const char *host = here && here->running && here->running->host[0] ? here->running->host : "host";
    if (n) out[0] = 0;
    strncat(out, host, n - 1);
    return 0;
}

pid_t __wrap_getpid(void);
pid_t __real_getpid(void);
pid_t __wrap_getpid(void) { return here ? 4711 : __real_getpid(); }

/* ---- descriptors ---- */

int __wrap_signalfd(int fd, const sigset_t *set, int flags);
ssize_t __wrap_read(int fd, void *out, size_t n);
ssize_t __real_read(int fd, void *out, size_t n);
int __wrap_close(int fd);
int __real_close(int fd);

int sim_fd(const sim_process *p, int which) { return SIM_FD + (int)p->number * SIM_FDS + which; }

bool sim_fd_readable(sim_world *w, int fd) {
    const sim_process *p = &w->process[(fd - SIM_FD) / SIM_FDS];
    switch ((fd - SIM_FD) % SIM_FDS) {
    case SIM_FD_SIGNAL: return p->term || p->dying;
    case SIM_FD_WAKER: return p->woken;
    default: return false; /* the compute processes are asked in each round */
    }
}

int __wrap_signalfd(int fd, const sigset_t *set, int flags) {
    (void)fd;
    (void)set;
    (void)flags;
    return sim_fd(sim_self(), SIM_FD_SIGNAL);
}

/* One SIGTERM; for one that is killed, as many as it takes. */
ssize_t __wrap_read(int fd, void *out, size_t n) {
    sim_process *p = sim_self();
    if (fd < SIM_FD) return __real_read(fd, out, n);
    MR_ASSERT(n == sizeof(struct signalfd_siginfo));
    if (!p->term && !(p->dying && p->role == SIM_WORKER)) {
        errno = EAGAIN;
        return -1;
    }
    p->term = false;
    memset(out, 0, n);
    ((struct signalfd_siginfo *)out)->ssi_signo = SIGTERM;
    return (ssize_t)n;
}

int __wrap_close(int fd) { return fd >= SIM_FD ? 0 : __real_close(fd); }
