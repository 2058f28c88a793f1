/* Made by proto/gen.py from proto/session.toml. Do not edit. */
#ifndef MR_PROTO_GEN_SESSION_H
#define MR_PROTO_GEN_SESSION_H

#include "common/buf.h"

/* A session's states, seen from the broker. */
typedef enum mr_session_state {
    MR_SESSION_NEW, /* nothing but a hello is taken */
    MR_SESSION_WORKER, /* a worker's session is open */
    MR_SESSION_CLIENT, /* a client's session is open */
    MR_SESSION_STATES
} mr_session_state;

/* A role may do what those before it may. */
typedef enum mr_role {
    MR_ROLE_VIEWER,
    MR_ROLE_PRODUCER,
    MR_ROLE_OPERATOR,
    MR_ROLE_ADMIN,
    MR_ROLES,
} mr_role;

typedef enum mr_command {
    MR_CMD_STATUS = 1,
    MR_CMD_WORKERS = 2,
    MR_CMD_COMPONENTS = 3,
    MR_CMD_DOCTOR = 4,
    MR_CMD_BROKERS = 7,
    MR_CMD_CONFIG = 5,
    MR_CMD_STOP = 6,
    MR_CMD_INGEST_BEGIN = 10,
    MR_CMD_INGEST_ROWS = 11,
    MR_CMD_INGEST_REJECT = 12,
    MR_CMD_INGEST_END = 13,
    MR_CMD_DATASETS = 14,
    MR_CMD_REJECTS = 15,
    MR_CMD_PROMPTS = 20,
    MR_CMD_PROMPT = 21,
    MR_CMD_PROMPT_DELETE = 22,
    MR_CMD_SESSIONS = 23,
    MR_CMD_RUN = 30,
    MR_CMD_RUNS = 31,
    MR_CMD_RUN_SHOW = 32,
    MR_CMD_CANCEL = 33,
    MR_CMD_RESULTS = 34,
    MR_CMD_ARTIFACTS = 35,
    MR_CMD_ARTIFACT = 36,
    MR_CMD_FAILURES = 37,
    MR_CMD_AUDIT = 60,
    MR_CMD_DEAD = 40,
    MR_CMD_DEAD_SHOW = 41,
    MR_CMD_DEAD_REPLAY = 42,
    MR_CMD_DEAD_DISCARD = 43,
    MR_CMD_REPAIR = 80,
    MR_CMD_DAMAGE = 81,
    MR_CMD_PAUSE = 44,
    MR_CMD_RESUME = 45,
    MR_CMD_PAUSES = 46,
    MR_CMD_LIMITS = 47,
    MR_CMD_LIMIT_SET = 48,
    MR_CMD_LIMIT_REMOVE = 49,
    MR_CMD_SCHEDULE_ADD = 50,
    MR_CMD_SCHEDULES = 51,
    MR_CMD_SCHEDULE_REMOVE = 52,
    MR_CMD_STREAM_OPEN = 70,
    MR_CMD_STREAM_CLOSE = 71,
    MR_CMD_SUBMIT = 72,
    MR_CMD_TASK = 73,
} mr_command;

/* What answers a command: core (live state), read (a query), write (the ledger). */
typedef enum mr_handled {
    MR_HANDLED_CORE,
    MR_HANDLED_READ,
    MR_HANDLED_WRITE,
} mr_handled;

typedef enum mr_arg_type {
    MR_ARG_U32,
    MR_ARG_U64,
    MR_ARG_TEXT,
    MR_ARG_BOOL,
    MR_ARG_MAP,
    MR_ARG_LIST,
} mr_arg_type;

typedef struct mr_command_arg {
    const char *name;
    mr_arg_type type;
    bool required;
} mr_command_arg;

typedef struct mr_command_row {
    const char *name, *doc;
    mr_command number;
    mr_role role; /* the least that may call it */
    mr_handled handled;
    uint16_t arg_count;
    const mr_command_arg *args;
} mr_command_row;

enum { MR_COMMAND_COUNT = 45, MR_COMMAND_ARGS_MAX = 32 };
extern const mr_command_row mr_commands[MR_COMMAND_COUNT];

/* Whether the broker takes a message type from a peer in this state; whether it sends one. */
bool mr_session_accepts(mr_session_state state, uint8_t type);
bool mr_session_sends(mr_session_state state, uint8_t type);
const char *mr_session_state_name(mr_session_state state);
const char *mr_role_name(mr_role role);
const char *mr_arg_type_name(mr_arg_type type);

/* NULL when there is none. */
const mr_command_row *mr_command_find(uint16_t number);
const mr_command_row *mr_command_by_name(mr_span name);
/* False when there is no such role. */
bool mr_role_by_name(mr_span name, mr_role *out);

/* Whether `args` is what the command takes: one msgpack map (no bytes at all count as an empty one) with
 * known names, each once, of the right types, none missing, and with every text in it UTF-8 without NUL. Maps
 * inside it are not searched for repeated keys. Error: E_INVALID, with the command's and the argument's
 * name. */
mr_status mr_command_check_args(const mr_command_row *row, mr_span args,
                                mr_error *err) MR_MUST_CHECK;

#endif
