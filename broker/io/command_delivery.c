/* command_delivery.c: the loop's part of dead letters, pauses, limits and schedules: what was committed is
 * told to the core. */
#include "broker/io/broker.h"
#include "broker/io/call_args.h"
#include "broker/io/delivery.h"

#include <stdio.h>
#include <string.h>

/* ---- runs that the core does not know ---- */

bool mr_broker_is_running(const mr_broker *b, uint64_t run) {
    mr_run_view v;
    return mr_core_run_find(b->core, run, &v) && v.state == MR_RUN_RUNNING;
}

/* When so many were that nobody knows, perhaps. */
static bool forgotten_since(const mr_broker *b, uint64_t run, uint64_t since) {
    uint64_t n = b->forgotten - since;
    for (uint64_t i = 0; i < n && i < MR_FORGOT; i++)
        if (b->forgot[(b->forgotten - 1 - i) % MR_FORGOT] == run) return true;
    return n > MR_FORGOT;
}

static void recovered(mr_broker *b, mr_job *head) {
    mr_recover_job *job = (mr_recover_job *)head;
    bool running = mr_broker_is_running(b, job->run);
    bool there = mr_broker_run(b, job->run) != NULL;
    /* The word that its last end is written is on the way, or came while this was read; or it began and ended here meanwhile. */
    bool leaving = !running && (there || job->known || forgotten_since(b, job->run, job->forgotten));
    bool taking = mr_broker_place_of(b, job->run) == MR_TAKING; /* it may be among what is being read, or not */
    if (mr_status_of((int)head->status)->retryable || (head->status == MR_OK && (leaving || taking))) {
        job->known = there;
        job->forgotten = b->forgotten;
        mr_broker_try_again(b, head);
        return;
    }
    if (head->status == MR_OK && !running && !job->ended && mr_broker_place_of(b, job->run) == MR_OURS)
        head->status = mr_recover_tell(b, job, &head->error);
    if (head->status != MR_OK)
        MR_LOG(&b->log, MR_LOG_ERROR, "broker", "run_not_resumed", MR_LOG_INT("run", job->run),
               MR_LOG_TEXT("reason", head->error.text));
    if (head->status == MR_OK && running) mr_broker_find_replays(b, job->run); /* it may have been read before that */
    mr_recover_job_free(job);
}

void mr_broker_recover(mr_broker *b, uint64_t run) {
    if (!mr_broker_holds(b, run)) return;
    if (mr_broker_is_running(b, run)) {
        mr_broker_find_replays(b, run);
        return;
    }
    mr_recover_job *job = mr_recover_job_new(run);
    if (!job) {
        b->missed |= MR_MISSED_RUNS;
        return;
    }
    job->known = mr_broker_run(b, run) != NULL;
    job->forgotten = b->forgotten;
    job->head.work = mr_recover_work;
    job->head.done = recovered;
    mr_desk_give(&b->planner, &job->head);
}

static void found(mr_broker *b, mr_job *head) {
    mr_unfinished_job *job = (mr_unfinished_job *)head;
    for (uint32_t i = 0; head->status == MR_OK && i < job->runs; i++)
        if (!mr_broker_is_running(b, job->run[i])) mr_broker_recover(b, job->run[i]);
    bool again = mr_status_of((int)head->status)->retryable || mr_broker_now_ms() < b->find_until_ms;
    if (again && b->phase != MR_STOPPED) {
        mr_broker_try_again(b, head);
        return;
    }
    b->finding = false;
    mr_unfinished_job_free(job);
}

/* For a while: a commit whose answer was lost may still be under way. */
void mr_broker_find_runs(mr_broker *b) {
    enum { FIND_MS = 30000 };
    b->find_until_ms = mr_broker_now_ms() + FIND_MS;
    if (b->finding) return;
    mr_unfinished_job *job = mr_new(NULL, 1, sizeof *job);
    if (!job) {
        b->missed |= MR_MISSED_RUNS;
        return;
    }
    b->finding = true;
    job->partition = -1;
    job->head.work = mr_unfinished_work;
    job->head.done = found;
    mr_broker_try_again(b, &job->head);
}

/* ---- what may have changed without our hearing of it ---- */

enum { RULES_MAX = 2 * MR_RULES_MAX };

typedef struct rules_job {
    mr_job head;
    uint32_t count;
    mr_rule rule[RULES_MAX]; /* out */
} rules_job;

static mr_status keep_rule(void *context, const mr_rule *rule, mr_error *err) {
    rules_job *job = context;
    if (job->count == RULES_MAX) return mr_fail(err, MR_E_LIMIT, "there are more than %d rules", RULES_MAX);
    job->rule[job->count++] = *rule;
    return MR_OK;
}

static void rules_work(mr_desk *desk, mr_job *head) {
    rules_job *job = (rules_job *)head;
    mr_pg *pg;
    job->count = 0;
    head->status = mr_desk_database(desk, &pg, &head->error);
    if (head->status == MR_OK) head->status = mr_rules_read(pg, true, keep_rule, job, &head->error);
}

static void rules_read(mr_broker *b, mr_job *head) {
    rules_job *job = (rules_job *)head;
    if (mr_status_of((int)head->status)->retryable) {
        mr_broker_try_again(b, head);
        return;
    }
    if (head->status != MR_OK)
        MR_LOG(&b->log, MR_LOG_ERROR, "broker", "rules_not_read", MR_LOG_TEXT("reason", head->error.text));
    for (uint32_t i = 0; i < job->count; i++) {
        mr_event e = {.type = MR_EV_RULE, .as.rule = &job->rule[i]};
        mr_broker_event(b, &e);
    }
    mr_free(NULL, job, 1, sizeof *job);
}

void mr_broker_read_rules(mr_broker *b) {
    rules_job *job = mr_new(NULL, 1, sizeof *job);
    if (!job) {
        b->missed |= MR_MISSED_RULES;
        return;
    }
    job->head.work = rules_work;
    job->head.done = rules_read;
    mr_desk_give(&b->reader, &job->head);
}

static void ended_found(mr_broker *b, mr_job *head) {
    mr_cancelled_job *job = (mr_cancelled_job *)head;
    if (mr_status_of((int)head->status)->retryable) {
        mr_broker_try_again(b, head);
        return;
    }
    for (uint32_t i = 0; head->status == MR_OK && i < job->found; i++) mr_broker_cancelled(b, (uint64_t)job->run[i]);
    mr_cancelled_job_free(job);
}

void mr_broker_find_cancelled(mr_broker *b) {
    mr_cancelled_job *job = mr_cancelled_job_new(HASH_COUNT(b->runs));
    if (!job) {
        b->missed |= MR_MISSED_CANCELS;
        return;
    }
    for (const mr_live_run *run = b->runs; run; run = run->hh.next) job->run[job->runs++] = (int64_t)run->run;
    job->head.work = mr_cancelled_work;
    job->head.done = ended_found;
    mr_desk_give(&b->reader, &job->head);
}

void mr_broker_missed_tick(mr_broker *b) {
    uint32_t missed = b->missed;
    b->missed = 0;
    if (missed & MR_MISSED_RULES) mr_broker_read_rules(b);
    if (missed & MR_MISSED_CANCELS) mr_broker_find_cancelled(b);
    if (missed & MR_MISSED_RUNS) mr_broker_find_runs(b);
    if (missed & MR_MISSED_REPLAYS) mr_broker_find_replays(b, 0);
}

/* ---- commands ---- */

static void delivered(mr_broker *b, mr_job *head) {
    mr_delivery_job *job = (mr_delivery_job *)head;
    if (head->status == MR_OK && job->has_rule) {
        mr_event e = {.type = MR_EV_RULE, .as.rule = &job->rule};
        mr_broker_event(b, &e);
        mr_broker_publish(b, "rule_changed", "broker", "%s=%s paused=%d", mr_rule_word(job->rule.of),
                          job->rule.name, job->rule.paused);
    }
    if (job->command == MR_CMD_DEAD_REPLAY || job->command == MR_CMD_REPAIR) {
        for (uint32_t i = 0; head->status == MR_OK && i < job->runs; i++) mr_broker_recover(b, (uint64_t)job->run[i]);
        if (mr_status_of((int)head->status)->retryable) mr_broker_find_runs(b);
    }
    mr_broker_reply(b, job->peer, job->call, head->status, head->error.text, &job->reply);
    mr_delivery_job_free(job);
}

/* A component that nobody knows is more likely a slip than one to come. */
static mr_status check_component(mr_broker *b, mr_span args, mr_error *err) {
    char name[MR_NAME_MAX + 1];
    if (!mr_span_eq(mr_arg_text(args, "kind"), mr_span_of("component"))) return MR_OK;
    mr_span given = mr_arg_text(args, "name");
    if (!given.len || given.len > MR_NAME_MAX) return MR_OK; /* the job says so */
    snprintf(name, sizeof name, "%.*s", MR_SPAN_ARG(given));
    const char *near =
        mr_catalogue_component(&b->catalogue, name) ? NULL : mr_catalogue_nearest(&b->catalogue, name);
    return near ? mr_fail(err, MR_E_NOT_FOUND, "there is no component '%s'; did you mean '%s'?", name, near)
                : MR_OK;
}

/* What it will start is checked now, so that a slip is seen today and not at night. */
static mr_status check_schedule(mr_broker *b, mr_span args, mr_error *err) {
    mr_unpack run;
    if (!mr_arg_find(args, "run", &run)) return mr_fail(err, MR_E_INVALID, "the schedule has no run");
    mr_unpack rest = run;
    MR_TRY(mr_unpack_skip(&rest, err));
    mr_span request = {run.at, (size_t)(rest.at - run.at)};
    MR_TRY(mr_command_check_args(mr_command_find(MR_CMD_RUN), request, err));
    if (mr_arg_text(request, "key").len)
        return mr_fail(err, MR_E_INVALID,
                       "a run that comes by schedule cannot have a key: it would be submitted only once");
    mr_plan_job *job = mr_plan_job_new();
    if (!job) return mr_fail(err, MR_E_MEMORY, "no memory for the call");
    mr_status s = mr_broker_read_run(b, request, job, err);
    mr_plan_job_free(job);
    return s;
}

static mr_status check(mr_broker *b, const mr_wire_call *call, mr_error *err) {
    if (call->command == MR_CMD_PAUSE || call->command == MR_CMD_LIMIT_SET)
        return check_component(b, call->args, err);
    return call->command == MR_CMD_SCHEDULE_ADD ? check_schedule(b, call->args, err) : MR_OK;
}

void mr_broker_deliver(mr_broker *b, const mr_peer *peer, const mr_wire_call *call, mr_error *err) {
    if (mr_broker_planner_full(b, err) || check(b, call, err) != MR_OK) return;
    char client[MR_NAME_MAX + 1];
    mr_peer_client(peer, client);
    mr_delivery_job *job = mr_delivery_job_new((mr_command)call->command, call->args, client);
    if (!job) {
        mr_fail(err, MR_E_MEMORY, "no memory for the call");
        return;
    }
    job->head.done = delivered;
    job->peer = peer->number;
    job->call = call->call;
    mr_desk_give(&b->planner, &job->head);
}

/* ---- schedules ---- */

static void failure_booked(mr_broker *b, mr_job *head) {
    (void)b; /* when it could not be booked, the time is still due and comes again */
    mr_due_job_free((mr_due_job *)head);
}

/* It can never give a run as it is: booked, so that the next time has its chance. Takes `due`. */
static void give_up(mr_broker *b, mr_due_job *due, const char *why) {
    MR_LOG(&b->log, MR_LOG_ERROR, "broker", "schedule_failed", MR_LOG_INT("schedule", due->schedule),
           MR_LOG_TEXT("reason", why));
    mr_broker_publish(b, "schedule_failed", "broker", "schedule=%lld", (long long)due->schedule);
    snprintf(due->reason, sizeof due->reason, "%.255s", why);
    due->head.work = mr_due_failed_work;
    due->head.done = failure_booked;
    mr_desk_give(&b->planner, &due->head);
}

static bool for_good(mr_status s) {
    return !mr_status_of((int)s)->retryable && s != MR_E_EXISTS && s != MR_E_CONFLICT;
}

static void fired(mr_broker *b, mr_job *head) {
    mr_plan_job *job = (mr_plan_job *)head;
    mr_due_job *due = job->due;
    if (head->status == MR_OK) {
        head->status = mr_broker_adopt(b, job, &head->error);
    } else if (for_good(head->status)) {
        give_up(b, due, head->error.text);
        due = NULL;
    } else if (mr_status_of((int)head->status)->retryable) {
        mr_broker_find_runs(b);
    }
    if (due) mr_due_job_free(due);
    mr_plan_job_free(job);
}

void mr_broker_due(mr_broker *b, mr_job *head) {
    mr_due_job *due = (mr_due_job *)head;
    mr_error err = {0};
    mr_plan_job *job = b->phase == MR_SERVING ? mr_plan_job_new() : NULL;
    if (!job) { /* it stays due */
        mr_due_job_free(due);
        return;
    }
    mr_status s = mr_broker_read_run(b, mr_buf_span(&due->request), job, &err);
    if (s != MR_OK) {
        mr_plan_job_free(job);
        if (for_good(s))
            give_up(b, due, err.text);
        else
            mr_due_job_free(due); /* no worker has come yet */
        return;
    }
    snprintf(job->client, sizeof job->client, "%s", due->client);
    if (due->name[0]) snprintf(job->name, sizeof job->name, "%s", due->name);
    job->schedule = due->schedule;
    job->due_ns = due->due_ns;
    job->next_ns = due->next_ns;
    job->due = due;
    job->head.work = mr_plan_work;
    job->head.done = fired;
    job->lease = &b->lease;
    mr_desk_give(&b->planner, &job->head);
}
