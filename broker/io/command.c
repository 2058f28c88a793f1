/* command.c: calls of clients: checked against their row in proto/session.toml, then answered from the live state or by
 * the desk that reads or writes. */
#include "broker/io/broker.h"
#include "broker/io/call_args.h"
#include "broker/io/intake.h"
#include "broker/io/query.h"
#include "common/option_json.h"

#include <stdio.h>
#include <string.h>

enum { REPLY_MAX = 16 * 1024 * 1024, BATCH_SIZE = 32, BATCH_SIZE_MAX = 1000000 };

void mr_broker_reply(mr_broker *b, uint32_t number, uint32_t call, mr_status status, const char *text, mr_buf *reply) {
    mr_peer *peer = mr_peer_numbered(&b->peers, number);
    mr_net_body body = {0};
    mr_wire m = {.type = MR_MSG_REPLY};
    mr_audit_answered(b, number, call, status, text);
    if (!peer) return;
    if (status == MR_OK && reply && mr_net_body_of_buf(reply, &body) != MR_OK) {
        status = MR_E_MEMORY;
        text = "no memory for the answer";
    }
    m.as.reply = (mr_wire_reply){.call = call, .status = (uint16_t)status};
    if (status != MR_OK) m.as.reply.text = mr_codec_text_cut(mr_span_of(text), MR_MAX_REPLY_TEXT);
    mr_broker_send(b, peer, &m, body.data ? &body : NULL);
}

static void fail(mr_broker *b, const mr_peer *peer, const mr_wire_call *call, const mr_error *err) {
    mr_broker_reply(b, peer->number, call->call, err->status, err->text, NULL);
}

/* ---- views ---- */

static void reply_view(mr_broker *b, const mr_peer *peer, const mr_wire_call *call, void (*view)(mr_broker *, mr_buf *)) {
    mr_buf out;
    mr_buf_init(&out, NULL, REPLY_MAX);
    if (view) view(b, &out);
    else mr_pack_map(&out, 0);
    mr_status s = mr_buf_status(&out);
    mr_broker_reply(b, peer->number, call->call, s, "the answer is larger than 16 MiB", &out);
    mr_buf_free(&out);
}

/* ---- reading ---- */

static void query_done(mr_broker *b, mr_job *head) {
    mr_query_job *job = (mr_query_job *)head;
    mr_broker_reply(b, job->peer, job->call, head->status, head->error.text, &job->reply);
    mr_query_job_free(job);
}

static void live_steps(mr_broker *b, uint64_t run, mr_query_job *job) {
    mr_step_view v;
    for (uint32_t i = 0; i < MR_STEPS_MAX && mr_core_step_at(b->core, run, i, &v); i++) {
        mr_live_step *live = &job->live[i];
        live->state = v.state;
        live->waiting = v.waiting;
        for (uint32_t l = 0; l < v.plan->levels; l++) {
            live->done += v.level[l].done;
            live->total += v.level[l].count;
            live->dead += v.level[l].dead;
            live->in_hand += v.level[l].in_hand;
        }
        job->live_steps = i + 1;
    }
}

static void ask_reader(mr_broker *b, const mr_peer *peer, const mr_wire_call *call, mr_error *err) {
    mr_query_job *job = mr_query_job_new((mr_command)call->command, call->args);
    if (!job) {
        mr_fail(err, MR_E_MEMORY, "no memory for the call");
        return;
    }
    job->head.done = query_done;
    job->peer = peer->number;
    job->call = call->call;
    if (call->command == MR_CMD_RUN_SHOW) live_steps(b, mr_arg_number(call->args, "id", 0), job);
    mr_desk_give(&b->reader, &job->head);
}

/* ---- writing ---- */

static void intake_done(mr_broker *b, mr_job *head) {
    mr_intake_job *job = (mr_intake_job *)head;
    b->intake_bytes -= job->rows.len;
    mr_broker_reply(b, job->peer, job->call, head->status, head->error.text, &job->reply);
    mr_intake_job_free(job);
}

static void ask_intake(mr_broker *b, const mr_peer *peer, const mr_wire_call *call, mr_net_msg *msg, mr_error *err) {
    enum { WAITING_MAX = 512, WAITING_BYTES = 256 * 1024 * 1024 };
    mr_net_body rows = {0};
    if (mr_queue_count(&b->intake.in) >= WAITING_MAX || b->intake_bytes > WAITING_BYTES) {
        mr_fail(err, MR_E_FULL, "too much waits to be stored; send it again in a while");
        return;
    }
    if (msg->has_body && mr_net_msg_take_body(msg, &rows) != MR_OK) rows = (mr_net_body){0};
    mr_intake_job *job = mr_intake_job_new((mr_command)call->command, call->args, &rows, peer->name);
    if (!job) {
        mr_net_body_free(&rows);
        mr_fail(err, MR_E_MEMORY, "no memory for the call");
        return;
    }
    job->head.done = intake_done;
    job->peer = peer->number;
    job->call = call->call;
    b->intake_bytes += job->rows.len;
    mr_desk_give(&b->intake, &job->head);
}

/* ---- cancel ---- */

static void cancel_done(mr_broker *b, mr_job *head) {
    mr_run_end_job *job = (mr_run_end_job *)head;
    mr_buf out;
    mr_buf_init(&out, NULL, 256);
    if (head->status == MR_OK && job->existed)
        head->status = mr_fail(&head->error, MR_E_NOT_FOUND, "no run %llu is running: 'millrace runs' shows the state of each",
                               (unsigned long long)job->run);
    if (head->status == MR_OK) {
        mr_broker_cancelled(b, job->run);
        mr_pack_map(&out, 1);
        mr_pack_text(&out, "run");
        mr_pack_u64(&out, job->run);
    }
    mr_broker_reply(b, job->peer, job->call, head->status, head->error.text, &out);
    mr_buf_free(&out);
    mr_free(NULL, job, 1, sizeof *job);
}

static void cancel_run(mr_broker *b, const mr_peer *peer, const mr_wire_call *call, mr_error *err) {
    mr_run_end_job *job = mr_new(NULL, 1, sizeof *job);
    if (!job) {
        mr_fail(err, MR_E_MEMORY, "no memory for the call");
        return;
    }
    job->head.work = mr_run_cancel_work;
    job->head.done = cancel_done;
    job->run = mr_arg_number(call->args, "id", 0);
    job->state = MR_RUN_CANCELLED;
    job->peer = peer->number;
    job->call = call->call;
    snprintf(job->reason, sizeof job->reason, "cancelled by %s", peer->name);
    mr_desk_give(&b->ledger, &job->head);
}

/* ---- run ---- */

static void pack_planned(const mr_plan_job *job, mr_buf *out) {
    static const char *const names[] = {"step", "component", "version", "batches", "merges"};
    const mr_run_info *info = job->info;
    mr_pack_map(out, 6);
    mr_pack_text(out, "run");
    mr_pack_u64(out, info->run);
    mr_pack_text(out, "existed"); /* it was submitted before under the same key */
    mr_pack_bool(out, job->existed);
    mr_pack_text(out, "left_out"); /* optional steps that this data set has no columns for */
    mr_pack_text(out, job->left_out);
    mr_pack_text(out, "version");
    mr_pack_u64(out, info->version);
    mr_pack_text(out, "rows");
    mr_pack_u64(out, info->rows);
    mr_pack_text(out, "steps");
    mr_pack_map(out, 2);
    mr_pack_text(out, "columns");
    mr_pack_array(out, 5);
    for (int i = 0; i < 5; i++) mr_pack_text(out, names[i]);
    mr_pack_text(out, "rows");
    mr_pack_array(out, info->steps);
    for (uint32_t i = 0; i < info->steps; i++) {
        const mr_step_plan *p = &info->plan[i];
        uint64_t merges = 0;
        for (uint32_t l = 1; l < p->levels; l++) merges += p->counts[l];
        mr_pack_array(out, 5);
        mr_pack_u64(out, i);
        mr_pack_text(out, p->component);
        mr_pack_u64(out, p->version);
        mr_pack_u64(out, p->counts[0]);
        mr_pack_u64(out, merges);
    }
}

mr_status mr_broker_adopt(mr_broker *b, mr_plan_job *job, mr_error *err) {
    mr_run_info *info = job->info;
    job->info = NULL;
    MR_LOG(&b->log, MR_LOG_INFO, "broker", "run_planned", MR_LOG_INT("run", info->run), MR_LOG_INT("rows", info->rows),
           MR_LOG_INT("steps", info->steps), MR_LOG_INT("schedule", job->schedule));
    mr_broker_publish(b, "run_planned", "broker", "run=%llu rows=%llu", (unsigned long long)info->run,
                      (unsigned long long)info->rows);
    bool ours = mr_broker_holds(b, info->run); /* else its new owner finds it */
    if (ours && !mr_broker_run(b, info->run)) return mr_broker_add_run(b, info, err); /* without memory: found at the next start */
    mr_run_info_drop(info);
    return MR_OK;
}

static void plan_done(mr_broker *b, mr_job *head) {
    mr_plan_job *job = (mr_plan_job *)head;
    mr_buf out;
    mr_buf_init(&out, NULL, REPLY_MAX);
    if (head->status == MR_OK && job->check) {
        mr_pack_map(&out, 2);
        mr_pack_text(&out, "steps");
        mr_pack_u64(&out, job->steps);
        mr_pack_text(&out, "left_out");
        mr_pack_text(&out, job->left_out);
    } else if (head->status == MR_OK) {
        pack_planned(job, &out);
        if (!job->existed) head->status = mr_broker_adopt(b, job, &head->error);
    } else if (mr_status_of((int)head->status)->retryable) {
        atomic_store(&b->lease.doubt, true);
        mr_broker_find_runs(b);
    }
    mr_broker_reply(b, job->peer, job->call, head->status, head->error.text, &out);
    mr_buf_free(&out);
    mr_plan_job_free(job);
}

static bool shape_named(mr_span name, uint32_t *out) {
    static const char *const names[] = {"map", "merge", "whole"};
    for (uint32_t i = 0; i < 3; i++)
        if (mr_span_eq(name, mr_span_of(names[i]))) return *out = i, true;
    return false;
}

/* The roles that a descriptor lists, as bits. */
static uint32_t columns_named(const mr_json *list) {
    uint32_t bits = 0;
    for (size_t i = 0; i < mr_json_count(list); i++) {
        mr_span name = {0};
        char word[32];
        if (!mr_json_text(mr_json_item(list, i), &name)) continue;
        snprintf(word, sizeof word, "%.*s", MR_SPAN_ARG(name));
        const mr_column_row *row = mr_column_named(word);
        bits |= row ? row->column : strcmp(word, "features") ? 0 : MR_COL_FEATURES;
    }
    return bits;
}

static uint32_t integer(const mr_json *component, const char *name) {
    int64_t v = 0;
    return mr_json_integer(mr_json_member(component, name), &v) && v > 0 && v <= UINT32_MAX ? (uint32_t)v : 0;
}

static mr_status describe_step(const mr_json *c, mr_plan_job *job, mr_plan_step_request *step, mr_error *err) {
    mr_span shape = {0};
    mr_json_text(mr_json_member(c, "shape"), &shape);
    if (!shape_named(shape, &step->shape))
        return mr_fail(err, MR_E_INVALID, "the worker's catalogue gives '%s' no shape", step->component);
    uint32_t least = integer(c, "batch_rows");
    step->version = integer(c, "version");
    step->deadline_ms = integer(c, "deadline_ms");
    step->columns = columns_named(mr_json_member(c, "columns"));
    step->columns_wanted = columns_named(mr_json_member(c, "columns_wanted"));
    step->batch_rows = job->batch_size > least ? job->batch_size : least;
    return MR_OK;
}

static mr_status step_options(const mr_json *c, mr_plan_job *job, mr_plan_step_request *step, mr_span options, mr_error *err) {
    static const uint8_t empty_map = 0x80;
    mr_unpack given;
    mr_buf json;
    mr_unpack_init(&given, options.len ? options : (mr_span){&empty_map, 1});
    mr_buf_init(&json, NULL, 256 * 1024);
    mr_status s = mr_option_json(c, &given, &json, err);
    if (s == MR_OK) {
        char *copy = mr_arena_copy(job->arena, json.data, json.len);
        step->options = (mr_span){(const uint8_t *)copy, json.len};
        if (!copy) s = mr_fail(err, MR_E_MEMORY, "no memory for the options");
    } else {
        mr_fail_in(err, "%s", step->component);
    }
    mr_buf_free(&json);
    return s;
}

/* One item of `components`: {"name": text, "options": {name: text}}. */
static mr_status read_step(mr_broker *b, mr_unpack *u, mr_plan_job *job, mr_plan_step_request *step, mr_error *err) {
    mr_unpack item = *u, options_at;
    mr_span options = {0};
    MR_TRY(mr_unpack_skip(u, err));
    mr_span map = {item.at, (size_t)(u->at - item.at)}, name = mr_arg_text(map, "name");
    if (!name.len || name.len > MR_NAME_MAX) return mr_fail(err, MR_E_INVALID, "run: each component needs a name");
    snprintf(step->component, sizeof step->component, "%.*s", MR_SPAN_ARG(name));
    if (mr_arg_find(map, "options", &options_at)) options = (mr_span){options_at.at, (size_t)(options_at.end - options_at.at)};
    const mr_json *c = mr_catalogue_component(&b->catalogue, step->component);
    const char *near = c ? NULL : mr_catalogue_nearest(&b->catalogue, step->component);
    if (!b->catalogue.count)
        return mr_fail(err, MR_E_UNAVAILABLE, "no worker has connected yet, so no component is known: start millrace-worker");
    if (!c && near) return mr_fail(err, MR_E_NOT_FOUND, "there is no component '%s'; did you mean '%s'?", step->component, near);
    if (!c)
        return mr_fail(err, MR_E_NOT_FOUND, "there is no component '%s': 'millrace components' lists them", step->component);
    MR_TRY(describe_step(c, job, step, err));
    MR_TRY(step_options(c, job, step, options, err));
    return mr_chain_read(map, c, &step->chain, err);
}

/* What is wrong with a step that is written in a file begins with where. */
static mr_status read_step_at(mr_broker *b, mr_unpack *u, mr_plan_job *job, mr_plan_step_request *step, mr_error *err) {
    mr_unpack item = *u, after = *u;
    mr_status s = read_step(b, u, job, step, err);
    if (s == MR_OK || mr_unpack_skip(&after, NULL) != MR_OK) return s;
    mr_span at = mr_arg_text((mr_span){item.at, (size_t)(after.at - item.at)}, "at");
    return at.len ? mr_fail_in(err, "%.*s", MR_SPAN_ARG(at)) : s;
}

static mr_status read_components(mr_broker *b, mr_span args, mr_plan_job *job, mr_error *err) {
    mr_unpack u;
    uint32_t n = 0;
    if (mr_arg_find(args, "components", &u)) MR_TRY(mr_unpack_array(&u, MR_STEPS_MAX, &n, err));
    if (n == 0) return mr_fail(err, MR_E_INVALID, "run: name at least one component");
    for (; job->steps < n; job->steps++) MR_TRY(read_step_at(b, &u, job, &job->step[job->steps], err));
    return MR_OK;
}

static mr_status read_roles(mr_span args, mr_plan_job *job, mr_error *err) {
    mr_unpack u;
    uint32_t n;
    if (!mr_arg_find(args, "roles", &u)) return MR_OK;
    MR_TRY(mr_unpack_map(&u, MR_BINDINGS_MAX, &n, err));
    for (uint32_t i = 0; i < n; i++) {
        mr_span role, column;
        mr_binding *binding = &job->bindings.items[job->bindings.count++];
        char word[32];
        MR_TRY(mr_unpack_str(&u, sizeof word - 1, &role, err));
        MR_TRY(mr_unpack_str(&u, MR_TABLE_NAME - 1, &column, err));
        snprintf(word, sizeof word, "%.*s", MR_SPAN_ARG(role));
        snprintf(binding->column, sizeof binding->column, "%.*s", MR_SPAN_ARG(column));
        binding->role = mr_column_named(word);
        if (!binding->role) return mr_fail(err, MR_E_USAGE, "there is no role '%s'", word);
        for (uint32_t j = 0; j < i; j++)
            if (job->bindings.items[j].role == binding->role) return mr_fail(err, MR_E_USAGE, "the role '%s' is bound twice", word);
    }
    return MR_OK;
}

static mr_status read_priority_and_key(mr_span args, mr_plan_job *job, mr_error *err) {
    mr_span key = mr_arg_text(args, "key");
    uint64_t priority = mr_arg_number(args, "priority", MR_PRIORITY);
    if (priority < 1 || priority > MR_PRIORITY_MAX)
        return mr_fail(err, MR_E_INVALID, "run: a priority is 1 to %d, higher first", MR_PRIORITY_MAX);
    if (key.len >= sizeof job->key) return mr_fail(err, MR_E_INVALID, "run: a key has at most %zu bytes", sizeof job->key - 1);
    snprintf(job->key, sizeof job->key, "%.*s", MR_SPAN_ARG(key));
    job->priority = (uint32_t)priority;
    job->request = mr_hash_of(args);
    return MR_OK;
}

mr_status mr_broker_read_run(mr_broker *b, mr_span args, mr_plan_job *job, mr_error *err) {
    mr_span dataset = mr_arg_text(args, "dataset"), name = mr_arg_text(args, "name");
    uint64_t batch_size = mr_arg_number(args, "batch_size", BATCH_SIZE);
    if (mr_arg_beyond(args, "seed") || mr_arg_beyond(args, "version"))
        return mr_fail(err, MR_E_INVALID, "run: seed and version are numbers up to 2^63 - 1");
    if (dataset.len > MR_NAME_MAX || name.len > MR_NAME_MAX)
        return mr_fail(err, MR_E_INVALID, "run: a name has at most %d bytes", MR_NAME_MAX);
    if (batch_size < 1 || batch_size > BATCH_SIZE_MAX)
        return mr_fail(err, MR_E_INVALID, "run: batch size is 1 to %d rows", BATCH_SIZE_MAX);
    snprintf(job->dataset, sizeof job->dataset, "%.*s", MR_SPAN_ARG(dataset.len ? dataset : mr_span_of("prompts")));
    snprintf(job->name, sizeof job->name, "%.*s", MR_SPAN_ARG(name));
    job->batch_size = (uint32_t)batch_size;
    job->version = mr_arg_number(args, "version", 0);
    job->seed = mr_arg_number(args, "seed", 1);
    MR_TRY(read_priority_and_key(args, job, err));
    MR_TRY(read_components(b, args, job, err));
    mr_chain_order(job);
    return read_roles(args, job, err);
}

bool mr_broker_planner_full(mr_broker *b, mr_error *err) {
    enum { WAITING_MAX = 512 };
    if (mr_queue_count(&b->planner.in) < WAITING_MAX) return false;
    (void)mr_fail(err, MR_E_FULL, "too much waits to be planned; send it again in a while");
    return true;
}

/* What waits to be planned counts too, or a burst would be taken before the first of it is a run. */
static bool backlog_full(mr_broker *b, mr_error *err) {
    mr_core_stats stats;
    mr_core_stats_get(b->core, &stats);
    if ((int64_t)stats.runs + (int64_t)mr_queue_count(&b->planner.in) < b->settings.max_runs) return false;
    (void)mr_fail(err, MR_E_FULL, "%u runs are unfinished, and this broker holds at most %lld; submit it again in a while",
                  stats.runs, (long long)b->settings.max_runs);
    return true;
}

static void plan_run(mr_broker *b, const mr_peer *peer, const mr_wire_call *call, mr_error *err) {
    if (mr_broker_planner_full(b, err) || backlog_full(b, err)) return;
    mr_plan_job *job = mr_plan_job_new();
    if (!job) {
        mr_fail(err, MR_E_MEMORY, "no memory for the call");
        return;
    }
    if (mr_broker_read_run(b, call->args, job, err) != MR_OK) {
        mr_plan_job_free(job);
        return;
    }
    job->stream = call->command == MR_CMD_STREAM_OPEN;
    job->check = mr_arg_flag(call->args, "check");
    mr_peer_client(peer, job->client);
    job->head.work = mr_plan_work;
    job->head.done = plan_done;
    job->lease = &b->lease;
    job->peer = peer->number;
    job->call = call->call;
    mr_desk_give(&b->planner, &job->head);
}

/* ---- dispatch ---- */

static void core_command(mr_broker *b, mr_peer *peer, const mr_wire_call *call, mr_net_msg *msg, mr_error *err) {
    switch ((mr_command)call->command) {
    case MR_CMD_STATUS: reply_view(b, peer, call, mr_view_status); return;
    case MR_CMD_WORKERS: reply_view(b, peer, call, mr_view_workers); return;
    case MR_CMD_COMPONENTS: reply_view(b, peer, call, mr_view_components); return;
    case MR_CMD_CONFIG: reply_view(b, peer, call, mr_view_config); return;
    case MR_CMD_RUN: plan_run(b, peer, call, err); return;
    case MR_CMD_STREAM_OPEN: plan_run(b, peer, call, err); return;
    case MR_CMD_STREAM_CLOSE: mr_stream_close(b, peer, call, err); return;
    case MR_CMD_SUBMIT: mr_stream_submit(b, peer, call, msg, err); return;
    case MR_CMD_RUN_SHOW: ask_reader(b, peer, call, err); return;
    case MR_CMD_CANCEL: cancel_run(b, peer, call, err); return;
    case MR_CMD_LIMITS: reply_view(b, peer, call, mr_view_limits); return;
    case MR_CMD_DEAD_REPLAY:
    case MR_CMD_DEAD_DISCARD:
    case MR_CMD_REPAIR:
    case MR_CMD_PAUSE:
    case MR_CMD_RESUME:
    case MR_CMD_LIMIT_SET:
    case MR_CMD_LIMIT_REMOVE:
    case MR_CMD_SCHEDULE_ADD:
    case MR_CMD_SCHEDULE_REMOVE: mr_broker_deliver(b, peer, call, err); return;
    case MR_CMD_STOP:
        reply_view(b, peer, call, NULL);
        mr_broker_drain(b, MR_OK);
        return;
    default: MR_ASSERT(false && "a command that the core handles has no handler");
    }
}

void mr_broker_call(mr_broker *b, mr_peer *peer, const mr_wire_call *call, mr_net_msg *msg) {
    mr_error err = {0};
    const mr_command_row *row = mr_command_find(call->command);
    if (row) mr_audit_called(b, peer, call->call, row);
    if (!row) mr_fail(&err, MR_E_PROTOCOL, "there is no command with the number %u", call->command);
    else if (peer->role < row->role)
        mr_fail(&err, MR_E_DENIED, "'%s' needs the role %s", row->name, mr_role_name(row->role));
    else if (b->phase != MR_SERVING && row->handled != MR_HANDLED_READ && row->number != MR_CMD_STATUS)
        mr_fail(&err, MR_E_UNAVAILABLE, "the broker is stopping and takes nothing new");
    else if (mr_command_check_args(row, call->args, &err) == MR_OK) {
        if (row->handled == MR_HANDLED_CORE) core_command(b, peer, call, msg, &err);
        else if (row->handled == MR_HANDLED_READ) ask_reader(b, peer, call, &err);
        else ask_intake(b, peer, call, msg, &err);
    }
    if (err.status != MR_OK) fail(b, peer, call, &err);
}
