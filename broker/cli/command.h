/* command.h: what a command of the admin CLI is, and what all commands share. A command is one file with one
 * `const mr_cli_command mr_cli_NAME`; commands.c lists them. Help, man pages, completion and the parser all
 * read the same tables. Data goes to stdout, messages to stderr. */
#ifndef MR_BROKER_CLI_COMMAND_H
#define MR_BROKER_CLI_COMMAND_H

#include <stddef.h>

#include "common/settings.h"

/* Every command's config struct starts with this. */
typedef struct mr_globals {
    char broker[MR_OPTION_TEXT], config[MR_OPTION_TEXT], home[MR_OPTION_TEXT];
    char database_url[MR_OPTION_TEXT], redis_url[MR_OPTION_TEXT];
    char key_file[MR_OPTION_TEXT], server_key[MR_OPTION_TEXT];
    int64_t timeout_ms;
    bool json;
} mr_globals;

/* The shared settings, also the last rows of every command's table (whose config starts with mr_globals). */
/* clang-format off */
#define MR_GLOBAL_OPTIONS                                                                                    \
    {.name = "broker", .type = MR_OPT_TEXT, .offset = offsetof(mr_globals, broker),                          \
     .def = "tcp://127.0.0.1:7411", .help = "address of the broker; of several (repeated, or with commas) the first that answers", .flag = 'b'},                           \
    {.name = "json", .type = MR_OPT_BOOL, .offset = offsetof(mr_globals, json),                              \
     .help = "print JSON with a stable shape instead of tables"},                                            \
    {.name = "config", .type = MR_OPT_TEXT, .offset = offsetof(mr_globals, config),                          \
     .help = "YAML file with settings"},                                                                     \
    {.name = "timeout", .type = MR_OPT_INT, .offset = offsetof(mr_globals, timeout_ms), .def = "30000",      \
     .min = 100, .max = 3600000, .unit = "ms", .help = "longest wait for one answer of the broker"},         \
    {.name = "home", .type = MR_OPT_TEXT, .offset = offsetof(mr_globals, home),                              \
     .help = "folder of the private services (~/.local/share/millrace when not given)"},                     \
    {.name = "database_url", .type = MR_OPT_TEXT, .offset = offsetof(mr_globals, database_url),              \
     .secret = true, .help = "PostgreSQL to use instead of a private one"},                                  \
    {.name = "redis_url", .type = MR_OPT_TEXT, .offset = offsetof(mr_globals, redis_url),                    \
     .secret = true, .help = "Redis to use instead of a private one"},                                       \
    {.name = "key_file", .type = MR_OPT_TEXT, .offset = offsetof(mr_globals, key_file), .secret = true,      \
     .help = "file with the secret key to connect with, for a broker that has keys"},                        \
    {.name = "server_key", .type = MR_OPT_TEXT, .offset = offsetof(mr_globals, server_key), .secret = true,  \
     .help = "that broker's public key: 64 hex digits"},                                                     \
    MR_OPTION_END
/* clang-format on */

extern const mr_option mr_global_options[];

typedef struct mr_cli {
    const mr_globals *globals;
    const mr_origins *origins; /* of mr_global_options */
    const mr_args *args;       /* operands */
    const struct mr_cli_command *command;
    unsigned width; /* columns of the terminal; 0: not a terminal, never cut */
} mr_cli;

typedef struct mr_cli_command {
    const char *name, *summary; /* one line without a full stop */
    const char *operands;       /* as in mr_usage */
    const char *detail;         /* paragraphs for help and man page, or NULL */
    const char *example;        /* lines that end with \n */
    const char *const
        *verbs; /* first operand, when it is one of a few words; the first is the default; or NULL */
    size_t min_operands, max_operands;
    const mr_option *options; /* ends with MR_GLOBAL_OPTIONS */
    size_t config_size;
    bool hidden; /* not in help, docs and completion */
    const char
        *program; /* set: everything behind the command's name is this program's, which replaces ours */
    mr_status (*run)(mr_cli *cli, const void *config, mr_error *err);
} mr_cli_command;

enum { MR_CLI_OPERANDS = 100000 };

extern const mr_cli_command *const mr_cli_commands[]; /* ends with NULL */
const mr_cli_command *mr_cli_find(const char *name);

/* Is there a setting of that name in this program, the broker or the worker? */
bool mr_cli_knows_setting(const char *name);
/* Runs what argv asks for and returns the exit code; prints the error's sentence to stderr. */
int mr_cli_main(int argc, char **argv, const char *const *environment);

/* Which of command->verbs the first operand is. E_USAGE with the nearest. */
mr_status mr_cli_verb(const mr_cli *cli, size_t *verb, mr_error *err) MR_MUST_CHECK;
/* Operand i, or NULL. */
const char *mr_cli_operand(const mr_cli *cli, size_t i);
/* Operand i as a number from 1; E_USAGE says that `what` is wanted there. */
mr_status mr_cli_number(const mr_cli *cli, size_t i, const char *what, uint64_t *out,
                        mr_error *err) MR_MUST_CHECK;
/* Operands beyond `most` are refused. */
mr_status mr_cli_at_most(const mr_cli *cli, size_t most, mr_error *err) MR_MUST_CHECK;
/* The text for --help around a command's options. */
mr_usage mr_cli_usage(const mr_cli_command *command, char program[MR_OPTION_TEXT]);
/* The list of commands, as `millrace help` prints it. */
void mr_cli_overview(mr_buf *out);

#endif
