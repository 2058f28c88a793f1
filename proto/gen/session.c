/* Made by proto/gen.py from proto/session.toml. Do not edit. */
#include "proto/gen/session.h"
#include "proto/gen/wire.h"

bool mr_session_accepts(mr_session_state state, uint8_t type) {
    switch (state) {
    case MR_SESSION_NEW:
        return type == MR_MSG_HELLO;
    case MR_SESSION_WORKER:
        return type == MR_MSG_HELLO || type == MR_MSG_HEARTBEAT || type == MR_MSG_BYE ||
               type == MR_MSG_CREDIT || type == MR_MSG_RESULT || type == MR_MSG_RELEASE ||
               type == MR_MSG_FETCH || type == MR_MSG_PROGRESS;
    case MR_SESSION_CLIENT:
        return type == MR_MSG_HELLO || type == MR_MSG_HEARTBEAT || type == MR_MSG_BYE || type == MR_MSG_CALL;
    default: return false;
    }
}

bool mr_session_sends(mr_session_state state, uint8_t type) {
    switch (state) {
    case MR_SESSION_NEW:
        return type == MR_MSG_REFUSE;
    case MR_SESSION_WORKER:
        return type == MR_MSG_WELCOME || type == MR_MSG_REFUSE || type == MR_MSG_HEARTBEAT ||
               type == MR_MSG_BYE || type == MR_MSG_STEP || type == MR_MSG_WORK || type == MR_MSG_ACK ||
               type == MR_MSG_CANCEL || type == MR_MSG_BLOB;
    case MR_SESSION_CLIENT:
        return type == MR_MSG_WELCOME || type == MR_MSG_REFUSE || type == MR_MSG_HEARTBEAT ||
               type == MR_MSG_BYE || type == MR_MSG_REPLY;
    default: return false;
    }
}

const char *mr_session_state_name(mr_session_state state) {
    static const char *const names[] = {"new", "worker", "client"};
    return (unsigned)state < MR_SESSION_STATES ? names[state] : "unknown";
}

const char *mr_role_name(mr_role role) {
    static const char *const names[] = {"viewer", "producer", "operator", "admin"};
    return (unsigned)role < MR_ROLES ? names[role] : "unknown";
}

const char *mr_arg_type_name(mr_arg_type type) {
    static const char *const names[] = {"u32", "u64", "text", "bool", "map", "list"};
    return (unsigned)type < 6 ? names[type] : "unknown";
}

static const mr_command_arg ingest_begin_args[] = {
    {"dataset", MR_ARG_TEXT, false},
    {"kind", MR_ARG_TEXT, false},
    {"columns", MR_ARG_MAP, false},
    {"paths", MR_ARG_LIST, true},
    {"update", MR_ARG_BOOL, false},
};
static const mr_command_arg ingest_rows_args[] = {
    {"ingest", MR_ARG_U64, true},
    {"file", MR_ARG_TEXT, true},
    {"rows", MR_ARG_U32, true},
};
static const mr_command_arg ingest_reject_args[] = {
    {"ingest", MR_ARG_U64, true},
    {"rejects", MR_ARG_LIST, true},
};
static const mr_command_arg ingest_end_args[] = {
    {"ingest", MR_ARG_U64, true},
    {"read", MR_ARG_U64, true},
    {"rejected", MR_ARG_U64, true},
};
static const mr_command_arg rejects_args[] = {
    {"ingest", MR_ARG_U64, false},
    {"limit", MR_ARG_U32, false},
    {"after", MR_ARG_U64, false},
};
static const mr_command_arg prompts_args[] = {
    {"session", MR_ARG_TEXT, false},
    {"source", MR_ARG_TEXT, false},
    {"deleted", MR_ARG_BOOL, false},
    {"limit", MR_ARG_U32, false},
    {"after", MR_ARG_U64, false},
};
static const mr_command_arg prompt_args[] = {
    {"id", MR_ARG_U64, true},
};
static const mr_command_arg prompt_delete_args[] = {
    {"id", MR_ARG_U64, true},
    {"reason", MR_ARG_TEXT, false},
};
static const mr_command_arg sessions_args[] = {
    {"limit", MR_ARG_U32, false},
    {"after", MR_ARG_U64, false},
};
static const mr_command_arg run_args[] = {
    {"dataset", MR_ARG_TEXT, false},
    {"version", MR_ARG_U64, false},
    {"components", MR_ARG_LIST, true},
    {"batch_size", MR_ARG_U32, false},
    {"seed", MR_ARG_U64, false},
    {"roles", MR_ARG_MAP, false},
    {"name", MR_ARG_TEXT, false},
    {"priority", MR_ARG_U32, false},
    {"key", MR_ARG_TEXT, false},
    {"check", MR_ARG_BOOL, false},
};
static const mr_command_arg runs_args[] = {
    {"limit", MR_ARG_U32, false},
    {"after", MR_ARG_U64, false},
};
static const mr_command_arg run_show_args[] = {
    {"id", MR_ARG_U64, true},
};
static const mr_command_arg cancel_args[] = {
    {"id", MR_ARG_U64, true},
};
static const mr_command_arg results_args[] = {
    {"run", MR_ARG_U64, true},
    {"step", MR_ARG_U32, false},
    {"component", MR_ARG_TEXT, false},
    {"body", MR_ARG_BOOL, false},
    {"limit", MR_ARG_U32, false},
    {"after", MR_ARG_U64, false},
};
static const mr_command_arg artifacts_args[] = {
    {"run", MR_ARG_U64, false},
    {"limit", MR_ARG_U32, false},
    {"after", MR_ARG_U64, false},
};
static const mr_command_arg artifact_args[] = {
    {"hash", MR_ARG_TEXT, true},
    {"offset", MR_ARG_U64, false},
    {"length", MR_ARG_U32, false},
};
static const mr_command_arg failures_args[] = {
    {"run", MR_ARG_U64, true},
    {"limit", MR_ARG_U32, false},
    {"after", MR_ARG_U64, false},
};
static const mr_command_arg audit_args[] = {
    {"refused", MR_ARG_BOOL, false},
    {"limit", MR_ARG_U32, false},
    {"after", MR_ARG_U64, false},
};
static const mr_command_arg dead_args[] = {
    {"run", MR_ARG_U64, false},
    {"component", MR_ARG_TEXT, false},
    {"search", MR_ARG_TEXT, false},
    {"limit", MR_ARG_U32, false},
    {"after", MR_ARG_U64, false},
};
static const mr_command_arg dead_show_args[] = {
    {"id", MR_ARG_U64, true},
};
static const mr_command_arg dead_replay_args[] = {
    {"id", MR_ARG_U64, false},
    {"run", MR_ARG_U64, false},
    {"component", MR_ARG_TEXT, false},
    {"search", MR_ARG_TEXT, false},
    {"all", MR_ARG_BOOL, false},
    {"reason", MR_ARG_TEXT, false},
};
static const mr_command_arg dead_discard_args[] = {
    {"id", MR_ARG_U64, false},
    {"run", MR_ARG_U64, false},
    {"component", MR_ARG_TEXT, false},
    {"search", MR_ARG_TEXT, false},
    {"all", MR_ARG_BOOL, false},
    {"reason", MR_ARG_TEXT, false},
};
static const mr_command_arg repair_args[] = {
    {"run", MR_ARG_U64, true},
};
static const mr_command_arg damage_args[] = {
    {"run", MR_ARG_U64, false},
    {"limit", MR_ARG_U32, false},
    {"after", MR_ARG_U64, false},
};
static const mr_command_arg pause_args[] = {
    {"kind", MR_ARG_TEXT, true},
    {"name", MR_ARG_TEXT, true},
    {"reason", MR_ARG_TEXT, false},
};
static const mr_command_arg resume_args[] = {
    {"kind", MR_ARG_TEXT, true},
    {"name", MR_ARG_TEXT, true},
    {"reason", MR_ARG_TEXT, false},
};
static const mr_command_arg limit_set_args[] = {
    {"kind", MR_ARG_TEXT, true},
    {"name", MR_ARG_TEXT, true},
    {"max_concurrent", MR_ARG_U32, false},
    {"per_second", MR_ARG_TEXT, false},
    {"burst", MR_ARG_U32, false},
};
static const mr_command_arg limit_remove_args[] = {
    {"kind", MR_ARG_TEXT, true},
    {"name", MR_ARG_TEXT, true},
};
static const mr_command_arg schedule_add_args[] = {
    {"name", MR_ARG_TEXT, false},
    {"at", MR_ARG_TEXT, false},
    {"every", MR_ARG_TEXT, false},
    {"cron", MR_ARG_TEXT, false},
    {"run", MR_ARG_MAP, true},
};
static const mr_command_arg schedules_args[] = {
    {"limit", MR_ARG_U32, false},
    {"after", MR_ARG_U64, false},
};
static const mr_command_arg schedule_remove_args[] = {
    {"id", MR_ARG_U64, true},
};
static const mr_command_arg stream_open_args[] = {
    {"components", MR_ARG_LIST, true},
    {"seed", MR_ARG_U64, false},
    {"name", MR_ARG_TEXT, false},
    {"priority", MR_ARG_U32, false},
    {"key", MR_ARG_TEXT, false},
};
static const mr_command_arg stream_close_args[] = {
    {"run", MR_ARG_U64, true},
};
static const mr_command_arg submit_args[] = {
    {"run", MR_ARG_U64, true},
    {"producer", MR_ARG_U64, true},
    {"packet", MR_ARG_U64, true},
    {"wait", MR_ARG_BOOL, false},
};
static const mr_command_arg task_args[] = {
    {"run", MR_ARG_U64, true},
    {"task", MR_ARG_U64, false},
    {"id", MR_ARG_TEXT, false},
    {"body", MR_ARG_BOOL, false},
};

const mr_command_row mr_commands[MR_COMMAND_COUNT] = {
    {.name = "status", .number = MR_CMD_STATUS, .role = MR_ROLE_VIEWER, .handled = MR_HANDLED_CORE,
     .doc = "The broker, its workers, runs and queues in numbers."},
    {.name = "workers", .number = MR_CMD_WORKERS, .role = MR_ROLE_VIEWER, .handled = MR_HANDLED_CORE,
     .doc = "The workers that are connected."},
    {.name = "components", .number = MR_CMD_COMPONENTS, .role = MR_ROLE_VIEWER, .handled = MR_HANDLED_CORE,
     .doc = "The components that connected workers offer."},
    {.name = "doctor", .number = MR_CMD_DOCTOR, .role = MR_ROLE_VIEWER, .handled = MR_HANDLED_READ,
     .doc = "The broker's view of its database and cache."},
    {.name = "brokers", .number = MR_CMD_BROKERS, .role = MR_ROLE_VIEWER, .handled = MR_HANDLED_READ,
     .doc = "The brokers of this database, and which partitions of the work each owns."},
    {.name = "config", .number = MR_CMD_CONFIG, .role = MR_ROLE_OPERATOR, .handled = MR_HANDLED_CORE,
     .doc = "The broker's settings and where each came from."},
    {.name = "stop", .number = MR_CMD_STOP, .role = MR_ROLE_ADMIN, .handled = MR_HANDLED_CORE,
     .doc = "Drain and stop the broker."},
    {.name = "ingest_begin", .number = MR_CMD_INGEST_BEGIN, .role = MR_ROLE_PRODUCER,
     .handled = MR_HANDLED_WRITE, .args = ingest_begin_args, .arg_count = 5,
     .doc = "Opens an ingest; answers its id. `columns` of a table: name to type, in order. `update`: rows "
            "whose content is there with other fields become new revisions instead of duplicates."},
    {.name = "ingest_rows", .number = MR_CMD_INGEST_ROWS, .role = MR_ROLE_PRODUCER,
     .handled = MR_HANDLED_WRITE, .args = ingest_rows_args, .arg_count = 3,
     .doc = "Stores the rows in the body; answered after COMMIT with stored, duplicate and refused rows."},
    {.name = "ingest_reject", .number = MR_CMD_INGEST_REJECT, .role = MR_ROLE_PRODUCER,
     .handled = MR_HANDLED_WRITE, .args = ingest_reject_args, .arg_count = 2,
     .doc = "Records rows that the client refused."},
    {.name = "ingest_end", .number = MR_CMD_INGEST_END, .role = MR_ROLE_PRODUCER, .handled = MR_HANDLED_WRITE,
     .args = ingest_end_args, .arg_count = 3,
     .doc = "Closes an ingest with its totals."},
    {.name = "datasets", .number = MR_CMD_DATASETS, .role = MR_ROLE_VIEWER, .handled = MR_HANDLED_READ,
     .doc = "The data sets with their rows and versions."},
    {.name = "rejects", .number = MR_CMD_REJECTS, .role = MR_ROLE_VIEWER, .handled = MR_HANDLED_READ,
     .args = rejects_args, .arg_count = 3,
     .doc = "The rows that an ingest refused."},
    {.name = "prompts", .number = MR_CMD_PROMPTS, .role = MR_ROLE_VIEWER, .handled = MR_HANDLED_READ,
     .args = prompts_args, .arg_count = 5,
     .doc = "Lists prompts."},
    {.name = "prompt", .number = MR_CMD_PROMPT, .role = MR_ROLE_VIEWER, .handled = MR_HANDLED_READ,
     .args = prompt_args, .arg_count = 1,
     .doc = "One prompt with its features and audit trail."},
    {.name = "prompt_delete", .number = MR_CMD_PROMPT_DELETE, .role = MR_ROLE_OPERATOR,
     .handled = MR_HANDLED_WRITE, .args = prompt_delete_args, .arg_count = 2,
     .doc = "Soft-deletes a prompt; versions made before keep it."},
    {.name = "sessions", .number = MR_CMD_SESSIONS, .role = MR_ROLE_VIEWER, .handled = MR_HANDLED_READ,
     .args = sessions_args, .arg_count = 2,
     .doc = "Lists prompt sessions."},
    {.name = "run", .number = MR_CMD_RUN, .role = MR_ROLE_PRODUCER, .handled = MR_HANDLED_CORE,
     .args = run_args, .arg_count = 10,
     .doc = "Plans a run over the newest version of a data set (made when rows have changed); answered after "
            "COMMIT with its id. `components`: maps of name and options (name to text); `roles`: role to "
            "column; `priority`: 1 to 1000, higher first, 100 when not given; `key`: the same submission under "
            "the same key answers the first run; `check`: everything is checked and nothing is made. Further "
            "members of a component, none of which must be there: `id`; `optional`, left out when the data set "
            "lacks a column that it must have; `at`, where it is written, which errors begin with; `needs`, a "
            "list of maps that say where from (`step`: a place before it in the list; `newest`: a component; "
            "`run` and `of`; or `hash`), `artifact` and `use` (input, features, model); without it what the "
            "descriptor depends on is taken from the steps before."},
    {.name = "runs", .number = MR_CMD_RUNS, .role = MR_ROLE_VIEWER, .handled = MR_HANDLED_READ,
     .args = runs_args, .arg_count = 2,
     .doc = "Lists runs."},
    {.name = "run_show", .number = MR_CMD_RUN_SHOW, .role = MR_ROLE_VIEWER, .handled = MR_HANDLED_CORE,
     .args = run_show_args, .arg_count = 1,
     .doc = "One run with the progress of each step."},
    {.name = "cancel", .number = MR_CMD_CANCEL, .role = MR_ROLE_OPERATOR, .handled = MR_HANDLED_CORE,
     .args = cancel_args, .arg_count = 1,
     .doc = "Cancels a run; what is committed stays."},
    {.name = "results", .number = MR_CMD_RESULTS, .role = MR_ROLE_VIEWER, .handled = MR_HANDLED_READ,
     .args = results_args, .arg_count = 6,
     .doc = "The committed results of a run or of one step, without partials; `body` only when asked for."},
    {.name = "artifacts", .number = MR_CMD_ARTIFACTS, .role = MR_ROLE_VIEWER, .handled = MR_HANDLED_READ,
     .args = artifacts_args, .arg_count = 3,
     .doc = "Lists artifacts."},
    {.name = "artifact", .number = MR_CMD_ARTIFACT, .role = MR_ROLE_VIEWER, .handled = MR_HANDLED_READ,
     .args = artifact_args, .arg_count = 3,
     .doc = "The bytes of one artifact, in parts."},
    {.name = "failures", .number = MR_CMD_FAILURES, .role = MR_ROLE_VIEWER, .handled = MR_HANDLED_READ,
     .args = failures_args, .arg_count = 3,
     .doc = "The attempts of a run that failed, with their reasons."},
    {.name = "audit", .number = MR_CMD_AUDIT, .role = MR_ROLE_OPERATOR, .handled = MR_HANDLED_READ,
     .args = audit_args, .arg_count = 3,
     .doc = "Peers that were refused and commands that wrote: who, what, when and with what outcome."},
    {.name = "dead", .number = MR_CMD_DEAD, .role = MR_ROLE_VIEWER, .handled = MR_HANDLED_READ,
     .args = dead_args, .arg_count = 5,
     .doc = "Lists dead letters: batches that were given up and that nobody has decided about."},
    {.name = "dead_show", .number = MR_CMD_DEAD_SHOW, .role = MR_ROLE_VIEWER, .handled = MR_HANDLED_READ,
     .args = dead_show_args, .arg_count = 1,
     .doc = "One dead letter with every failed attempt at its batch."},
    {.name = "dead_replay", .number = MR_CMD_DEAD_REPLAY, .role = MR_ROLE_OPERATOR,
     .handled = MR_HANDLED_CORE, .args = dead_replay_args, .arg_count = 6,
     .doc = "Tries dead letters again: runs that go on go on with them, those that failed are reopened where "
            "they were. Answered after COMMIT."},
    {.name = "dead_discard", .number = MR_CMD_DEAD_DISCARD, .role = MR_ROLE_OPERATOR,
     .handled = MR_HANDLED_CORE, .args = dead_discard_args, .arg_count = 6,
     .doc = "Settles dead letters without trying them again."},
    {.name = "repair", .number = MR_CMD_REPAIR, .role = MR_ROLE_OPERATOR, .handled = MR_HANDLED_CORE,
     .args = repair_args, .arg_count = 1,
     .doc = "Reads every result and artifact of a run that has ended; what does not match its hash is moved "
            "aside and computed again. Answered after COMMIT."},
    {.name = "damage", .number = MR_CMD_DAMAGE, .role = MR_ROLE_VIEWER, .handled = MR_HANDLED_READ,
     .args = damage_args, .arg_count = 3,
     .doc = "Lists what was found damaged, and what became of it: the same bytes again, others, or still "
            "waiting."},
    {.name = "pause", .number = MR_CMD_PAUSE, .role = MR_ROLE_OPERATOR, .handled = MR_HANDLED_CORE,
     .args = pause_args, .arg_count = 3,
     .doc = "Sends nothing new of a component, run or client; what is out goes on. Survives restarts."},
    {.name = "resume", .number = MR_CMD_RESUME, .role = MR_ROLE_OPERATOR, .handled = MR_HANDLED_CORE,
     .args = resume_args, .arg_count = 3,
     .doc = "Ends a pause."},
    {.name = "pauses", .number = MR_CMD_PAUSES, .role = MR_ROLE_VIEWER, .handled = MR_HANDLED_READ,
     .doc = "Lists what is paused."},
    {.name = "limits", .number = MR_CMD_LIMITS, .role = MR_ROLE_VIEWER, .handled = MR_HANDLED_CORE,
     .doc = "Lists the limits, with the attempts that are out under each."},
    {.name = "limit_set", .number = MR_CMD_LIMIT_SET, .role = MR_ROLE_OPERATOR, .handled = MR_HANDLED_CORE,
     .args = limit_set_args, .arg_count = 5,
     .doc = "Limits the attempts of a component, run or client: how many at once, how many a second (a decimal "
            "number) with which burst."},
    {.name = "limit_remove", .number = MR_CMD_LIMIT_REMOVE, .role = MR_ROLE_OPERATOR,
     .handled = MR_HANDLED_CORE, .args = limit_remove_args, .arg_count = 2,
     .doc = "Takes a limit away."},
    {.name = "schedule_add", .number = MR_CMD_SCHEDULE_ADD, .role = MR_ROLE_PRODUCER,
     .handled = MR_HANDLED_CORE, .args = schedule_add_args, .arg_count = 5,
     .doc = "Starts runs later, by the database's clock: at a time (as PostgreSQL reads it, or + and an "
            "interval), every so often, or by a cron line in UTC. `run`: the arguments of the command run."},
    {.name = "schedules", .number = MR_CMD_SCHEDULES, .role = MR_ROLE_VIEWER, .handled = MR_HANDLED_READ,
     .args = schedules_args, .arg_count = 2,
     .doc = "Lists schedules with their last and next time."},
    {.name = "schedule_remove", .number = MR_CMD_SCHEDULE_REMOVE, .role = MR_ROLE_OPERATOR,
     .handled = MR_HANDLED_CORE, .args = schedule_remove_args, .arg_count = 1,
     .doc = "Ends a schedule; runs that it started stay."},
    {.name = "stream_open", .number = MR_CMD_STREAM_OPEN, .role = MR_ROLE_PRODUCER,
     .handled = MR_HANDLED_CORE, .args = stream_open_args, .arg_count = 5,
     .doc = "Opens a stream: a run of one component (of shape map) whose tasks are submitted. Answered after "
            "COMMIT with its id. Arguments as those of run."},
    {.name = "stream_close", .number = MR_CMD_STREAM_CLOSE, .role = MR_ROLE_PRODUCER,
     .handled = MR_HANDLED_CORE, .args = stream_close_args, .arg_count = 1,
     .doc = "Takes no more tasks; the run ends when those that are there are done. Answered after COMMIT."},
    {.name = "submit", .number = MR_CMD_SUBMIT, .role = MR_ROLE_PRODUCER, .handled = MR_HANDLED_CORE,
     .args = submit_args, .arg_count = 4,
     .doc = "Tasks for a stream, as the packet in the body (common/packet.h); answered after COMMIT with the "
            "number of the first. `producer`: a number of the sender's own, `packet`: counts its packets from "
            "0; one that comes again is stored once and answered as before. `wait`: answered when every task "
            "is done, with the results."},
    {.name = "task", .number = MR_CMD_TASK, .role = MR_ROLE_VIEWER, .handled = MR_HANDLED_READ,
     .args = task_args, .arg_count = 4,
     .doc = "One task of a stream by its number, or by the id that its producer gave it, with its result."},
};
