/* settings.h: the settings of a program and the flags of a command, from one mr_option table.
 * Layers, the first wins: flags, environment (MILLRACE_NAME), YAML file ("group.name" or "name"), defaults.
 */
#ifndef MR_COMMON_SETTINGS_H
#define MR_COMMON_SETTINGS_H

#include "common/option.h"

/* ---- flags ---- */
enum { MR_ARGS_FLAGS = 256, MR_SETTINGS_MAX = 96 }; /* most flags on one command line, most rows in a table */

/* What --help says around the table. */
typedef struct mr_usage {
    const char *program;               /* "millrace ingest" */
    const char *operands;              /* "PATH...", NULL when there are none */
    const char *summary;               /* one line */
    const char *detail;                /* more paragraphs, or NULL */
    const char *example;               /* command lines and what they do; each ends with \n */
    size_t min_operands, max_operands; /* max 0: none */
} mr_usage;

typedef enum mr_args_action { MR_ARGS_RUN, MR_ARGS_HELP, MR_ARGS_VERSION } mr_args_action;

typedef struct mr_flag {
    const mr_option *row;
    const char *value; /* borrowed from argv */
} mr_flag;

/* Everything is borrowed from argv, which is put in a new order (operands last). */
typedef struct mr_args {
    mr_args_action action; /* HELP and VERSION: print mr_argv_help or mr_argv_version to stdout and exit 0 */
    size_t count;          /* operands */
    char **operands;
    size_t flag_count;
    mr_flag flags[MR_ARGS_FLAGS];
} mr_args;

/* Reads argv[1 .. argc - 1]. `--name value`, `--name=value`, `-f value`; a bool takes no value (`--name`,
 * `--no-name`,
 * `--name=false`); `--` ends flags. `config` (filled with defaults by the caller) gets every flag's value;
 * NULL: they are only kept in args->flags, and mr_settings_load checks them. Rows marked secret are not
 * flags. Never prints or exits. Errors: E_USAGE unknown flag (with the nearest), missing value, wrong number
 * of operands; E_INVALID bad value. */
mr_status mr_argv_parse(const mr_option *table, void *config, int argc, char **argv, const mr_usage *usage,
                        mr_args *args, mr_error *err) MR_MUST_CHECK;
/* The help text: usage, summary, each flag with its help, choices, bounds, unit and default, the example. */
void mr_argv_help(const mr_option *table, const mr_usage *usage, mr_buf *out);
void mr_argv_version(const mr_usage *usage, mr_buf *out); /* "millrace 0.1.0\n": the program's first word */

/* ---- what every main does ---- */
/* Writes all of `text` to stdout. E_IO; E_MEMORY or E_LIMIT when the buffer failed. */
mr_status mr_program_print(const mr_buf *text, mr_error *err) MR_MUST_CHECK;
/* Prints what HELP or VERSION asks for. */
mr_status mr_program_answer(const mr_option *table, const mr_usage *usage, mr_args_action action, mr_error *err) MR_MUST_CHECK;
/* Tells a failure on stderr ("who: sentence", unless the sentence names a program itself); gives the exit code. */
int mr_program_end(const char *who, mr_status status, const mr_error *err);

/* ---- settings ---- */
typedef enum mr_origin { MR_ORIGIN_DEFAULT, MR_ORIGIN_FILE, MR_ORIGIN_ENVIRONMENT, MR_ORIGIN_FLAG } mr_origin;

/* Where each row's value came from, by its place in the table. */
typedef struct mr_origins {
    char file[MR_OPTION_TEXT]; /* the YAML file that was read, or "" */
    mr_origin of[MR_SETTINGS_MAX];
    unsigned line[MR_SETTINGS_MAX]; /* in the file */
} mr_origins;

typedef struct mr_settings_input {
    const mr_args *args;            /* flags; NULL for none. Those of other tables are left alone */
    const char *const *environment; /* "NAME=value", NULL-terminated (environ); NULL for none */
    const char *file;               /* YAML; NULL for none */
    bool file_may_be_absent;        /* a default place: nothing there is fine */
    const mr_option *const *others; /* NULL-terminated tables of other programs that share the file and the
                                       environment: their names are known and passed over; NULL for none */
} mr_settings_input;

/* Fills `config` (zeroed by the caller) from all layers. MILLRACE_TEST_... variables are passed over.
 * Errors: E_USAGE unknown key or variable (with the nearest and its place), E_INVALID bad value (with its
 * place), and those of mr_yaml_read. */
mr_status mr_settings_load(const mr_option *table, void *config, const mr_settings_input *input,
                           mr_origins *origins, mr_error *err) MR_MUST_CHECK;
/* "default", "flag --name", "environment MILLRACE_NAME", "file PATH:LINE". */
void mr_origin_text(const mr_option *table, const mr_option *row, const mr_origins *origins, mr_buf *out);

#endif
