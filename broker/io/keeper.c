#include "broker/io/keeper.h"

#include "common/clock.h"

#include <stdio.h>
#include <string.h>

enum { IDLE_MS = 50, AFTER_EXPIRY_MS = 20, EXPIRED_MS = 250 };
static const uint64_t AGAIN_NS = 500000000u, MS = 1000000u;

typedef struct keeper {
    mr_keeper_config config;
    uint64_t round_at_ns; /* 0: at once */
    uint64_t listening;   /* the session that does; 0: none */
} keeper;

/* ---- telling the loop ---- */

static void tell_heard(mr_desk *desk, const char *text) {
    keeper *k = desk->state;
    mr_heard_job *job = mr_new(NULL, 1, sizeof *job);
    if (!job) {
        k->listening = 0; /* as if it had been missed */
        return;
    }
    job->head.done = k->config.heard;
    snprintf(job->text, sizeof job->text, "%s", text);
    mr_desk_done(desk, &job->head);
}

static void tell_news(mr_desk *desk, mr_news_job *job, const mr_lease_news *news, mr_status s, const mr_error *err) {
    keeper *k = desk->state;
    job->head.done = k->config.news;
    job->head.status = s;
    job->head.error = *err;
    job->news = *news;
    memcpy(job->epoch, k->config.holding.epoch, sizeof job->epoch);
    mr_desk_done(desk, &job->head);
}

/* ---- rounds ---- */

/* Renewals come three times in a lease; when another's lease ends before, then. */
static uint64_t next_round_ns(const keeper *k, const mr_lease_news *news) {
    uint64_t wait = (uint64_t)k->config.holding.seconds * 1000 * MS / 3;
    if (news->expires_ms < 0) return wait;
    uint64_t until = (news->expires_ms ? (uint64_t)news->expires_ms + AFTER_EXPIRY_MS : EXPIRED_MS) * MS;
    return until < wait ? until : wait;
}

static bool worth_telling(const mr_lease_news *n, mr_status s) {
    return n->replaced || (s == MR_OK && (n->lost || n->taken || n->surplus));
}

/* The lease counts from before it was asked for, by this machine's clock: so it never ends later here than there. */
static mr_status go_round(mr_desk *desk, mr_error *err) {
    keeper *k = desk->state;
    mr_pg *pg;
    mr_lease_news news = {0};
    mr_news_job *job = mr_new(NULL, 1, sizeof *job); /* before, so that nothing is taken in secret */
    uint64_t now = mr_clock_monotonic_ns();
    atomic_store(&k->config.lease->doubt, false);
    mr_status s = job ? mr_desk_database(desk, &pg, err) : mr_fail(err, MR_E_MEMORY, "no memory to keep the leases");
    if (s == MR_OK) s = mr_lease_round(pg, &k->config.holding, &news, err);
    if (s == MR_OK) atomic_store(&k->config.lease->others, news.others);
    if (s == MR_OK) atomic_store(&k->config.lease->until_ns, now + (uint64_t)k->config.holding.seconds * 1000 * MS);
    if (s != MR_OK) MR_LOG(desk->log, MR_LOG_WARN, "keeper", "lease_not_renewed", MR_LOG_TEXT("reason", err->text));
    k->round_at_ns = news.replaced ? UINT64_MAX : now + (s == MR_OK ? next_round_ns(k, &news) : AGAIN_NS);
    if (worth_telling(&news, s)) tell_news(desk, job, &news, s, err);
    else mr_free(NULL, job, 1, sizeof *job);
    return s;
}

/* ---- listening ---- */

static mr_status listen(mr_desk *desk, mr_pg **pg, mr_error *err) {
    keeper *k = desk->state;
    MR_TRY(mr_desk_database(desk, pg, err));
    if (k->listening == mr_pg_session(*pg)) return MR_OK;
    MR_TRY(mr_pg_run(*pg, "listen " MR_CHANNEL, err));
    k->listening = mr_pg_session(*pg);
    k->round_at_ns = 0;
    tell_heard(desk, "all");
    return MR_OK;
}

static mr_status hear(mr_desk *desk, mr_error *err) {
    keeper *k = desk->state;
    mr_pg *pg;
    char text[128];
    bool got;
    MR_TRY(listen(desk, &pg, err));
    for (;;) {
        MR_TRY(mr_pg_notified(pg, text, sizeof text, &got, err));
        if (!got) return MR_OK;
        if (!strcmp(text, "lease")) k->round_at_ns = 0;
        else tell_heard(desk, text);
    }
}

static void idle(mr_desk *desk) {
    keeper *k = desk->state;
    mr_error err = {0};
    mr_status s = hear(desk, &err);
    if (s != MR_OK) k->listening = 0; /* said in the log when the next round fails */
    if (mr_clock_monotonic_ns() < k->round_at_ns && !atomic_load(&k->config.lease->doubt)) return;
    s = go_round(desk, &err);
    (void)s; /* tried again */
}

/* ---- jobs ---- */

void mr_give_back_work(mr_desk *desk, mr_job *head) {
    keeper *k = desk->state;
    mr_give_back_job *job = (mr_give_back_job *)head;
    mr_holding *h = &k->config.holding;
    if (h->epoch[job->partition] != job->epoch) return; /* lost meanwhile */
    h->epoch[job->partition] = 0;
    h->giving[job->partition] = job->epoch;
    k->round_at_ns = 0;
}

void mr_keeper_drain_work(mr_desk *desk, mr_job *job) {
    keeper *k = desk->state;
    (void)job;
    k->config.holding.state = MR_LEASE_DRAINING;
    k->round_at_ns = 0;
}

/* ---- the desk ---- */

static void stop(mr_desk *desk) {
    keeper *k = desk->state;
    mr_pg *pg;
    mr_error err = {0};
    mr_lease_news news;
    k->config.holding.state = MR_LEASE_LEFT;
    mr_status s = mr_desk_database(desk, &pg, &err);
    if (s == MR_OK) s = mr_lease_round(pg, &k->config.holding, &news, &err);
    if (s != MR_OK) MR_LOG(desk->log, MR_LOG_WARN, "keeper", "lease_not_given_back", MR_LOG_TEXT("reason", err.text)); /* it ends by expiry */
    mr_free(NULL, k, 1, sizeof *k);
}

mr_status mr_keeper_start(mr_desk *desk, const mr_keeper_config *config, mr_error *err) {
    keeper *k = mr_new(NULL, 1, sizeof *k);
    if (!k) return mr_fail(err, MR_E_MEMORY, "no memory for the keeper");
    k->config = *config;
    desk->name = "keeper";
    desk->state = k;
    desk->idle = idle;
    desk->idle_ms = IDLE_MS;
    desk->stop = stop;
    mr_status s = mr_desk_start(desk, err);
    if (s != MR_OK) mr_free(NULL, k, 1, sizeof *k);
    return s;
}
