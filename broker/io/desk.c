#include "broker/io/desk.h"

#include "common/clock.h"

#include <signal.h>
#include <time.h>

/* ---- queue ---- */

void mr_queue_init(mr_queue *q) {
    *q = (mr_queue){0};
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_mutex_init(&q->lock, NULL);
    pthread_cond_init(&q->filled, &attr);
    pthread_condattr_destroy(&attr);
}

void mr_queue_destroy(mr_queue *q) {
    MR_ASSERT(!q->head);
    pthread_cond_destroy(&q->filled);
    pthread_mutex_destroy(&q->lock);
}

bool mr_queue_push(mr_queue *q, mr_job *jobs) {
    if (!jobs) return false;
    size_t n = 1;
    mr_job *last = jobs;
    for (; last->next; last = last->next) n++;
    pthread_mutex_lock(&q->lock);
    bool was_empty = !q->head;
    if (q->tail) q->tail->next = jobs;
    else q->head = jobs;
    q->tail = last;
    q->count += n;
    bool enough = q->count >= q->enough;
    pthread_mutex_unlock(&q->lock);
    if (enough) pthread_cond_signal(&q->filled); /* not under the lock, or who wakes would wait for it at once */
    return was_empty;
}

static struct timespec after_us(int64_t us) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    t.tv_sec += us / 1000000;
    t.tv_nsec += (long)(us % 1000000) * 1000;
    if (t.tv_nsec >= 1000000000) {
        t.tv_nsec -= 1000000000;
        t.tv_sec++;
    }
    return t;
}

/* -1: for ever. */
static mr_job *take_within(mr_queue *q, size_t enough, int64_t wait_us) {
    struct timespec until = after_us(wait_us > 0 ? wait_us : 0);
    pthread_mutex_lock(&q->lock);
    q->enough = enough;
    while (q->count < enough && !q->closed && wait_us != 0) {
        if (wait_us < 0) pthread_cond_wait(&q->filled, &q->lock);
        else if (pthread_cond_timedwait(&q->filled, &q->lock, &until)) break;
    }
    mr_job *jobs = q->head;
    q->head = q->tail = NULL;
    q->count = 0;
    pthread_mutex_unlock(&q->lock);
    return jobs;
}

mr_job *mr_queue_take(mr_queue *q, int wait_ms) { return mr_queue_take_some(q, 1, wait_ms); }
mr_job *mr_queue_take_soon(mr_queue *q, uint32_t wait_us) { return take_within(q, 1, wait_us); }

mr_job *mr_queue_take_some(mr_queue *q, size_t enough, int wait_ms) {
    return take_within(q, enough, wait_ms < 0 ? -1 : (int64_t)wait_ms * 1000);
}

void mr_queue_close(mr_queue *q) {
    pthread_mutex_lock(&q->lock);
    q->closed = true;
    pthread_cond_broadcast(&q->filled);
    pthread_mutex_unlock(&q->lock);
}

bool mr_queue_closed(mr_queue *q) {
    pthread_mutex_lock(&q->lock);
    bool closed = q->closed;
    pthread_mutex_unlock(&q->lock);
    return closed;
}

size_t mr_queue_count(mr_queue *q) {
    pthread_mutex_lock(&q->lock);
    size_t count = q->count;
    pthread_mutex_unlock(&q->lock);
    return count;
}

/* ---- what waits ---- */

void mr_waiting_add(mr_waiting *w, mr_job *jobs) {
    if (w->last) w->last->next = jobs;
    else w->head = jobs;
    for (; jobs; jobs = jobs->next, w->count++) w->last = jobs;
}

mr_job *mr_waiting_take(mr_waiting *w, size_t n) {
    mr_job *first = w->head, *last = NULL;
    for (; n && w->head; n--, w->count--) {
        last = w->head;
        w->head = last->next;
    }
    if (!last) return NULL;
    last->next = NULL;
    if (!w->head) w->last = NULL;
    return first;
}

mr_job *mr_waiting_sift(mr_waiting *w, bool (*goes)(void *, mr_job *), void *context) {
    mr_waiting gone = {0}, stays = {0};
    for (mr_job *job; (job = mr_waiting_take(w, 1));) mr_waiting_add(goes(context, job) ? &gone : &stays, job);
    *w = stays;
    return gone.head;
}

/* ---- desk ---- */

void mr_desk_done(mr_desk *desk, mr_job *jobs) {
    /* The loop takes all there is: who finds the outbox filled knows that it has been woken and is still to come. */
    if (mr_queue_push(desk->outbox, jobs)) mr_waker_wake(desk->waker);
}

static void one_by_one(mr_desk *desk, mr_job *jobs) {
    while (jobs) {
        mr_job *job = jobs;
        jobs = job->next;
        job->next = NULL;
        job->work(desk, job);
        mr_desk_done(desk, job);
    }
}

static void *desk_thread(void *arg) {
    mr_desk *desk = arg;
    for (;;) {
        bool closed = mr_queue_closed(&desk->in); /* before the take: what came in before the close is worked off */
        mr_job *jobs = mr_queue_take(&desk->in, desk->idle ? desk->idle_ms : -1);
        if (jobs) (desk->batch ? desk->batch : one_by_one)(desk, jobs);
        else if (closed) break;
        if (desk->idle) desk->idle(desk);
    }
    if (desk->stop) desk->stop(desk);
    mr_pg_free(&desk->pg);
    return NULL;
}

mr_status mr_desk_start(mr_desk *desk, mr_error *err) {
    mr_queue_init(&desk->in);
    sigset_t all, before; /* signals are the loop's */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(&desk->thread, NULL, desk_thread, desk);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failed)
        return mr_fail(err, MR_E_LIMIT, "cannot start the thread '%s': the system refuses more threads", desk->name);
    desk->started = true;
    return MR_OK;
}

void mr_desk_stop(mr_desk *desk) {
    if (!desk->started) return;
    mr_queue_close(&desk->in);
    pthread_join(desk->thread, NULL);
    mr_queue_destroy(&desk->in);
    desk->started = false;
}

void mr_desk_give(mr_desk *desk, mr_job *job) {
    job->next = NULL;
    mr_desk_give_all(desk, job);
}

void mr_desk_give_all(mr_desk *desk, mr_job *jobs) {
    if (desk->started) {
        mr_queue_push(&desk->in, jobs);
        return;
    }
    for (mr_job *job = jobs; job; job = job->next)
        job->status = mr_fail(&job->error, MR_E_CANCELLED, "the broker has stopped");
    mr_desk_done(desk, jobs);
}

static mr_status connect_again(mr_desk *desk, mr_error *err) {
    mr_pg_options options = {.application = desk->name, .connect_timeout_ms = 3000, .reply_timeout_ms = 60000,
                             .plan_once = desk->plan_once, .in_order = desk->in_order, .idle_transaction_ms = 15000};
    if (desk->pg) return mr_pg_reconnect(desk->pg, err);
    return mr_pg_connect(desk->url, &options, NULL, &desk->pg, err);
}

mr_status mr_desk_database(mr_desk *desk, mr_pg **out, mr_error *err) {
    *out = desk->pg;
    if (desk->pg && mr_pg_idle_alive(desk->pg)) return MR_OK;
    uint64_t now = mr_clock_monotonic_ns();
    if (now < desk->retry_at_ns)
        return mr_fail(err, MR_E_UNAVAILABLE, "the database is not reachable; it is tried again every second");
    mr_status s = connect_again(desk, err);
    if (s != MR_OK) {
        desk->retry_at_ns = now + 1000000000u;
        MR_LOG(desk->log, MR_LOG_WARN, desk->name, "database_unreachable", MR_LOG_TEXT("reason", err ? err->text : ""));
        return s;
    }
    *out = desk->pg;
    return MR_OK;
}
