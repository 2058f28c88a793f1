/* plural.c: this broker's share of the work among several brokers. The keeper says what was taken and lost; here runs are
 * read and resumed, left and forgotten. A broker that is alone goes the same way with all partitions. */
#include "broker/io/broker.h"

#include "broker/io/delivery.h"
#include "common/clock.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

mr_place mr_broker_place_of(const mr_broker *b, uint64_t run) { return b->place[mr_partition_of(run)]; }

int64_t mr_broker_epoch(const mr_broker *b, uint64_t run) { return atomic_load(&b->lease.epoch[mr_partition_of(run)]); }

static void set_place(mr_broker *b, int32_t partition, mr_place place) {
    uint32_t open = atomic_load(&b->lease.open), bit = 1u << partition;
    b->place[partition] = place;
    atomic_store(&b->lease.open, place == MR_OURS ? open | bit : open & ~bit);
}

static bool has_run_of(const mr_broker *b, int32_t partition) {
    for (const mr_live_run *run = b->runs; run; run = run->hh.next)
        if (mr_partition_of(run->run) == partition) return true;
    return false;
}

/* Of an earlier hold on it, before it was lost and taken again. */
static bool has_leaving_of(const mr_broker *b, int32_t partition) {
    mr_run_view v;
    for (const mr_live_run *run = b->runs; run; run = run->hh.next)
        if (mr_partition_of(run->run) == partition && mr_core_run_find(b->core, run->run, &v) && v.leaving) return true;
    return false;
}

static void tell_runs_of(mr_broker *b, int32_t partition, mr_event_type type) {
    for (const mr_live_run *run = b->runs; run; run = run->hh.next) {
        mr_event e = {.type = type, .as.run = run->run};
        if (mr_partition_of(run->run) == partition) mr_broker_event(b, &e);
    }
}

/* ---- taking ---- */

typedef struct take_job {
    mr_job head;
    int32_t partition;
    int64_t epoch;
    uint32_t runs, cap;
    mr_recover_job **run; /* out */
} take_job;

static void take_job_free(take_job *job) {
    for (uint32_t i = 0; i < job->runs; i++) mr_recover_job_free(job->run[i]);
    mr_free(NULL, job->run, job->cap, sizeof *job->run);
    mr_free(NULL, job, 1, sizeof *job);
}

static take_job *take_job_new(const mr_broker *b, int32_t partition) {
    take_job *job = mr_new(NULL, 1, sizeof *job);
    if (!job) return NULL;
    job->partition = partition;
    job->epoch = atomic_load(&b->lease.epoch[partition]);
    return job;
}

/* One damaged run must not keep the others waiting. */
static mr_status read_run(mr_pg *pg, uint64_t id, const mr_log *log, take_job *job, mr_error *err) {
    mr_recover_job *run = mr_recover_job_new(id);
    if (!run) return mr_fail(err, MR_E_MEMORY, "no memory for a run");
    mr_status s = mr_recover_read(pg, run, err);
    if (s == MR_OK) {
        job->run[job->runs++] = run;
        return MR_OK;
    }
    mr_recover_job_free(run);
    if (!mr_pg_alive(pg)) return s;
    MR_LOG(log, MR_LOG_ERROR, "broker", "run_not_resumed", MR_LOG_INT("run", id), MR_LOG_TEXT("reason", err->text));
    return MR_OK;
}

static mr_status read_runs(mr_pg *pg, const mr_log *log, take_job *job, mr_error *err) {
    mr_unfinished_job *all = mr_new(NULL, 1, sizeof *all);
    if (!all) return mr_fail(err, MR_E_MEMORY, "no memory for runs");
    all->partition = job->partition;
    mr_status s = mr_unfinished_read(pg, all, err);
    if (s == MR_OK && all->runs) {
        job->run = mr_new(NULL, all->runs, sizeof(mr_recover_job *));
        job->cap = job->run ? all->runs : 0;
        if (!job->run) s = mr_fail(err, MR_E_MEMORY, "no memory for %u runs", all->runs);
    }
    for (uint32_t i = 0; s == MR_OK && i < all->runs; i++) s = read_run(pg, all->run[i], log, job, err);
    mr_unfinished_job_free(all);
    return s;
}

static void forget_read(take_job *job) {
    for (uint32_t i = 0; i < job->runs; i++) mr_recover_job_free(job->run[i]);
    mr_free(NULL, job->run, job->cap, sizeof *job->run);
    job->run = NULL;
    job->runs = job->cap = 0;
}

static void take_work(mr_desk *desk, mr_job *head) {
    take_job *job = (take_job *)head;
    mr_pg *pg;
    forget_read(job); /* of an earlier try */
    head->status = mr_desk_database(desk, &pg, &head->error);
    if (head->status == MR_OK) head->status = read_runs(pg, desk->log, job, &head->error);
}

static mr_status resume(mr_broker *b, take_job *job, mr_error *err) {
    for (uint32_t i = 0; i < job->runs; i++) {
        mr_recover_job *run = job->run[i];
        if (run->ended || mr_broker_run(b, run->run)) continue;
        if (mr_recover_tell(b, run, err) != MR_OK)
            return mr_fail_in(err, "run %llu cannot be resumed", (unsigned long long)run->run);
    }
    set_place(b, job->partition, MR_OURS);
    return MR_OK;
}

static void taken(mr_broker *b, mr_job *head) {
    take_job *job = (take_job *)head;
    bool wanted = b->place[job->partition] == MR_TAKING && atomic_load(&b->lease.epoch[job->partition]) == job->epoch;
    if (!wanted || b->phase == MR_STOPPED) {
        take_job_free(job);
        return;
    }
    bool early = has_leaving_of(b, job->partition); /* they have to go first */
    if (head->status == MR_OK && !early) head->status = resume(b, job, &head->error);
    if (early || b->place[job->partition] != MR_OURS) {
        if (!early)
            MR_LOG(&b->log, MR_LOG_WARN, "broker", "share_not_read", MR_LOG_INT("partition", job->partition),
                   MR_LOG_TEXT("reason", head->error.text));
        mr_broker_try_again(b, head);
        return;
    }
    take_job_free(job);
}

static void begin_taking(mr_broker *b, int32_t partition, int64_t epoch) {
    atomic_store(&b->lease.epoch[partition], epoch);
    set_place(b, partition, MR_TAKING);
    b->unread |= 1u << partition;
}

static void read_taken(mr_broker *b) {
    for (int32_t i = 0; b->unread && i < MR_PARTITIONS; i++) {
        take_job *job = b->unread & 1u << i ? take_job_new(b, i) : NULL;
        if (!job) continue;
        b->unread &= ~(1u << i);
        job->head.work = take_work;
        job->head.done = taken;
        mr_desk_give(&b->planner, &job->head);
    }
}

/* ---- giving up ---- */

/* Not ours from now on. `back`: the row may still say that it is. */
static void give_up(mr_broker *b, int32_t partition, bool back) {
    int64_t epoch = atomic_exchange(&b->lease.epoch[partition], 0);
    if (back) b->returning[partition] = epoch;
    b->unread &= ~(1u << partition);
    set_place(b, partition, MR_ELSEWHERE);
}

static void lose(mr_broker *b, int32_t partition, bool back) {
    if (b->place[partition] == MR_ELSEWHERE) return;
    give_up(b, partition, back);
    tell_runs_of(b, partition, MR_EV_RUN_LOST);
}

static void begin_leaving(mr_broker *b, int32_t partition) {
    if (b->place[partition] != MR_OURS) return; /* when it is, a later round asks again */
    set_place(b, partition, MR_LEAVING);
    tell_runs_of(b, partition, MR_EV_RUN_LEAVE);
}

static void freed(mr_broker *b, mr_job *job) {
    (void)b;
    mr_free(NULL, job, 1, sizeof(mr_give_back_job));
}

static void return_leases(mr_broker *b) {
    for (int32_t i = 0; i < MR_PARTITIONS; i++) {
        mr_give_back_job *job = b->returning[i] ? mr_new(NULL, 1, sizeof *job) : NULL;
        if (!job) continue;
        job->head.work = mr_give_back_work;
        job->head.done = freed;
        job->partition = i;
        job->epoch = b->returning[i];
        b->returning[i] = 0;
        mr_desk_give(&b->keeper, &job->head);
    }
}

/* What the ledger had before this is written; now the partition may go. */
static void ledger_is_through(mr_broker *b, mr_job *head) {
    mr_give_back_job *job = (mr_give_back_job *)head;
    b->handing &= ~(1u << job->partition);
    if (b->place[job->partition] == MR_LEAVING && atomic_load(&b->lease.epoch[job->partition]) == job->epoch)
        give_up(b, job->partition, true);
    freed(b, head);
}

static void nothing(mr_desk *desk, mr_job *job) {
    (void)desk;
    (void)job;
}

static void hand_over(mr_broker *b, int32_t partition) {
    mr_give_back_job *job = mr_new(NULL, 1, sizeof *job);
    if (!job) return; /* at the next tick */
    job->head.work = nothing;
    job->head.done = ledger_is_through;
    job->partition = partition;
    job->epoch = atomic_load(&b->lease.epoch[partition]);
    b->handing |= 1u << partition;
    mr_desk_give(&b->ledger, &job->head);
}

static void go_on_leaving(mr_broker *b, uint64_t now_ms) {
    bool late = now_ms >= b->leave_until_ms;
    for (int32_t i = 0; i < MR_PARTITIONS; i++) {
        if (b->place[i] != MR_LEAVING || b->handing & 1u << i) continue;
        if (!has_run_of(b, i)) hand_over(b, i);
        else if (late) tell_runs_of(b, i, MR_EV_RUN_LOST); /* what is still out is computed again */
    }
}

/* ---- by the clock ---- */

/* By its own clock a broker stops before others may begin: a tenth of the lease before its end. */
void mr_broker_fence_self(mr_broker *b) {
    uint64_t margin = (uint64_t)b->lease.seconds * 100000000u;
    uint32_t lost = 0;
    if (mr_clock_monotonic_ns() + margin < atomic_load(&b->lease.until_ns)) return;
    for (int32_t i = 0; i < MR_PARTITIONS; i++) {
        lost += b->place[i] != MR_ELSEWHERE;
        lose(b, i, true);
    }
    if (!lost) return;
    mr_broker_distrust_limits(b);
    MR_LOG(&b->log, MR_LOG_WARN, "broker", "leases_not_renewed_in_time", MR_LOG_INT("partitions", lost));
    mr_broker_publish(b, "share_lost", "broker", "partitions=%u", lost);
}

bool mr_broker_holds(const mr_broker *b, uint64_t run) {
    mr_place place = mr_broker_place_of(b, run);
    return place == MR_OURS || place == MR_TAKING;
}

void mr_broker_share_tick(mr_broker *b, uint64_t now_ms) {
    go_on_leaving(b, now_ms);
    read_taken(b);
    return_leases(b);
}

/* ---- what the keeper says ---- */

static void say_share(mr_broker *b, const mr_lease_news *n) {
    uint32_t held = 0;
    for (int32_t i = 0; i < MR_PARTITIONS; i++) held += b->place[i] == MR_TAKING || b->place[i] == MR_OURS;
    MR_LOG(&b->log, MR_LOG_INFO, "broker", "share_changed", MR_LOG_INT("taken", mr_partitions_count(n->taken)),
           MR_LOG_INT("lost", mr_partitions_count(n->lost)), MR_LOG_INT("to_hand_over", mr_partitions_count(n->surplus)),
           MR_LOG_INT("held", held), MR_LOG_INT("brokers", n->brokers));
    mr_broker_publish(b, "share_changed", "broker", "held=%u brokers=%u", held, n->brokers);
}

static void apply_news(mr_broker *b, const mr_news_job *job) {
    const mr_lease_news *n = &job->news;
    bool leaving = false;
    if (n->lost) mr_broker_distrust_limits(b);
    for (int32_t i = 0; i < MR_PARTITIONS; i++) {
        uint32_t bit = 1u << i;
        if (n->lost & bit) lose(b, i, false);
        if (n->taken & bit) begin_taking(b, i, job->epoch[i]);
        leaving |= b->place[i] == MR_LEAVING;
    }
    if (!leaving && n->surplus) b->leave_until_ms = mr_broker_now_ms() + (uint64_t)b->lease.seconds * 1000 / 3;
    for (int32_t i = 0; i < MR_PARTITIONS; i++)
        if (n->surplus & 1u << i) begin_leaving(b, i);
    say_share(b, n);
}

static void news(mr_broker *b, mr_job *head) {
    mr_news_job *job = (mr_news_job *)head;
    if (job->news.replaced) {
        for (int32_t i = 0; i < MR_PARTITIONS; i++) lose(b, i, false);
        mr_broker_drain(b, MR_E_CONFLICT);
    } else if (b->phase != MR_STOPPED) {
        apply_news(b, job);
    }
    mr_free(NULL, job, 1, sizeof *job);
}

/* ---- what other brokers say ---- */

void mr_broker_cancelled(mr_broker *b, uint64_t run) {
    mr_event e = {.type = MR_EV_RUN_CANCEL, .as.run = run};
    if (mr_broker_run(b, run)) mr_broker_event(b, &e);
}

static void done_elsewhere(mr_broker *b, const char *text) {
    mr_event e = {.type = MR_EV_DONE_ELSEWHERE};
    mr_work_key *k = &e.as.key;
    bool read = sscanf(text, "result %" SCNu64 " %" SCNu32 " %" SCNu32 " %" SCNu32, &k->run, &k->step, &k->level, &k->index) == 4;
    if (read && mr_broker_run(b, k->run)) mr_broker_event(b, &e);
}

static void heard(mr_broker *b, mr_job *head) {
    mr_heard_job *job = (mr_heard_job *)head;
    uint64_t run;
    bool all = !strcmp(job->text, "all"); /* something may have been missed */
    if (b->phase != MR_STOPPED) {
        if (all || !strcmp(job->text, "rules")) mr_broker_read_rules(b);
        if (all) mr_broker_find_runs(b);
        if (all) mr_broker_find_cancelled(b);
        if (all) mr_broker_find_replays(b, 0);
        if (sscanf(job->text, "cancel %" SCNu64, &run) == 1) mr_broker_cancelled(b, run);
        if (sscanf(job->text, "run %" SCNu64, &run) == 1) mr_broker_recover(b, run);
        done_elsewhere(b, job->text);
    }
    mr_free(NULL, job, 1, sizeof *job);
}

/* ---- start ---- */

static void fill_holding(mr_broker *b) {
    mr_holding *h = &b->holding;
    snprintf(h->owner, sizeof h->owner, "%s", b->lease.owner);
    snprintf(h->instance, sizeof h->instance, "%016" PRIx64, b->session);
    snprintf(h->address, sizeof h->address, "%s", mr_socket_address(b->router));
    h->seconds = b->lease.seconds;
}

static mr_status read_first(mr_broker *b, mr_pg *pg, int32_t partition, mr_error *err) {
    take_job *job = take_job_new(b, partition);
    if (!job) return mr_fail(err, MR_E_MEMORY, "no memory to start with");
    mr_status s = read_runs(pg, &b->log, job, err);
    if (s == MR_OK) s = resume(b, job, err);
    take_job_free(job);
    return s;
}

mr_status mr_broker_first_share(mr_broker *b, mr_pg *pg, mr_error *err) {
    mr_lease_news n;
    fill_holding(b);
    MR_TRY(mr_lease_register(pg, &b->holding, err));
    uint64_t now_ns = mr_clock_monotonic_ns();
    MR_TRY(mr_lease_round(pg, &b->holding, &n, err));
    atomic_store(&b->lease.others, n.others);
    atomic_store(&b->lease.until_ns, now_ns + (uint64_t)b->lease.seconds * 1000000000u);
    for (int32_t i = 0; i < MR_PARTITIONS; i++) {
        if (!(n.taken & 1u << i)) continue;
        atomic_store(&b->lease.epoch[i], b->holding.epoch[i]);
        MR_TRY(read_first(b, pg, i, err));
    }
    say_share(b, &n);
    return MR_OK;
}

mr_status mr_broker_start_keeper(mr_broker *b, mr_error *err) {
    mr_keeper_config config = {.holding = b->holding, .lease = &b->lease, .news = news, .heard = heard};
    return mr_keeper_start(&b->keeper, &config, err);
}

/* Others go on with what is not out any more after a third of a lease; a broker that is alone has no reason to hurry. */
void mr_broker_leave_share(mr_broker *b) {
    b->leave_until_ms = mr_broker_now_ms() + (uint64_t)b->lease.seconds * 1000 / 3;
    for (int32_t i = 0; atomic_load(&b->lease.others) && i < MR_PARTITIONS; i++) begin_leaving(b, i);
    mr_job *job = mr_new(NULL, 1, sizeof(mr_give_back_job));
    if (!job) return; /* others learn of it by the end */
    job->work = mr_keeper_drain_work;
    job->done = freed;
    mr_desk_give(&b->keeper, job);
}
