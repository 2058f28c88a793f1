#include "broker/cli/command.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "broker/cli/proc.h"
#include "broker/cli/term.h"
#include "common/hash.h"

const mr_option mr_global_options[] = {MR_GLOBAL_OPTIONS};

#define COMMANDS(X)                                                                                          \
    X(up)                                                                                                    \
    X(down) X(status) X(doctor) X(ingest) X(sample) X(run) X(apply) X(pipelines) X(pipeline) X(stream) X(submit) X(task) X(runs) X(results) X(report) X(cancel) X(failures)          \
        X(components) X(try) X(workers) X(brokers) X(datasets) X(prompts) X(sessions) X(rejects) X(artifacts) X(tail)   \
            X(dead) X(repair) X(pause) X(resume) X(limits) X(schedules) X(migrate) X(keys) X(audit) X(config) X(completion) X(help) X(docs)
#define DECLARE(name) extern const mr_cli_command mr_cli_##name;
COMMANDS(DECLARE)
#define ROW(name) &mr_cli_##name,
const mr_cli_command *const mr_cli_commands[] = {COMMANDS(ROW) NULL};

const mr_cli_command *mr_cli_find(const char *name) {
    for (const mr_cli_command *const *c = mr_cli_commands; *c; c++)
        if (!strcmp((*c)->name, name)) return *c;
    return NULL;
}

/* ---- what commands share ---- */

const char *mr_cli_operand(const mr_cli *cli, size_t i) {
    return i < cli->args->count ? cli->args->operands[i] : NULL;
}

mr_status mr_cli_verb(const mr_cli *cli, size_t *verb, mr_error *err) {
    const char *word = mr_cli_operand(cli, 0);
    *verb = 0;
    if (!word) return MR_OK;
    for (size_t i = 0; cli->command->verbs[i]; i++) {
        if (strcmp(cli->command->verbs[i], word)) continue;
        *verb = i;
        return MR_OK;
    }
    const char *near = mr_nearest_word(cli->command->verbs, word);
    return mr_fail(err, MR_E_USAGE, "millrace %s does not know '%s'%s%s%s; see millrace %s --help",
                   cli->command->name, word, near ? ": did you mean '" : "", near ? near : "",
                   near ? "'?" : "", cli->command->name);
}

mr_status mr_cli_number(const mr_cli *cli, size_t i, const char *what, uint64_t *out, mr_error *err) {
    const char *text = mr_cli_operand(cli, i);
    if (!text) return mr_fail(err, MR_E_USAGE, "millrace %s needs %s", cli->command->name, what);
    char *end;
    errno = 0;
    unsigned long long v = strtoull(text, &end, 10);
    if (!isdigit((unsigned char)*text) || *end || errno || v == 0 || v > INT64_MAX)
        return mr_fail(err, MR_E_USAGE, "'%.80s' is not a number: millrace %s needs %s", text,
                       cli->command->name, what);
    *out = v;
    return MR_OK;
}

mr_status mr_cli_at_most(const mr_cli *cli, size_t most, mr_error *err) {
    if (cli->args->count <= most) return MR_OK;
    return mr_fail(err, MR_E_USAGE, "'%.80s' is one operand too many; see millrace %s --help",
                   cli->args->operands[most], cli->command->name);
}

mr_usage mr_cli_usage(const mr_cli_command *command, char program[MR_OPTION_TEXT]) {
    snprintf(program, MR_OPTION_TEXT, "millrace %s", command->name);
    return (mr_usage){.program = program,
                      .operands = command->operands,
                      .summary = command->summary,
                      .detail = command->detail,
                      .example = command->example,
                      .min_operands = command->min_operands,
                      .max_operands = command->max_operands};
}

void mr_cli_overview(mr_buf *out) {
    mr_buf_text(out, "usage: millrace COMMAND [OPTION...] [OPERAND...]\n\n"
                     "Feeds training batches to workers and keeps what they find.\n\ncommands:\n");
    for (const mr_cli_command *const *c = mr_cli_commands; *c; c++)
        if (!(*c)->hidden) mr_buf_printf(out, "  %-12s %s\n", (*c)->name, (*c)->summary);
    mr_buf_text(out,
                "\nmillrace COMMAND --help tells more, with an example; millrace --version the version.\n"
                "First steps: millrace up; millrace sample --rows 500 --output rows.jsonl; "
                "millrace ingest rows.jsonl; millrace run\n");
}

/* ---- settings ---- */

/* The settings of the broker and the workers, which may stand in the same file and environment. A test
 * compares these names with their tables. */
static const mr_option settings_of_others[] = {
    {.name = "listen"},
    {.name = "server_key_file"},
    {.name = "allow_file"},
    {.name = "events"},
    {.name = "name"},
    {.name = "heartbeat_ms"},
    {.name = "lost_after_ms"},
    {.name = "turn"},
    {.name = "load_ahead"},
    {.name = "max_errors"},
    {.name = "max_crashes"},
    {.name = "max_timeouts"},
    {.name = "retry_base_ms"},
    {.name = "retry_max_ms"},
    {.name = "age_ms"},
    {.name = "max_runs"},
    {.name = "watchdog_s"},
    {.name = "inline_max"},
    {.name = "cache_ttl_s"},
    {.name = "segment_cache_mb"},
    {.name = "task_cache_mb"},
    {.name = "lease_s"},
    {.name = "wake_us"},
    {.name = "grace_s"},
    {.name = "max_chars"},
    {.name = "log_level"},
    {.name = "log_json"},
    {.name = "threads"},
    {.name = "credit"},
    {.name = "held_max"},
    {.name = "input_max_mb"},
    {.name = "components"},
    {.name = "share"},
    MR_OPTION_END,
};

bool mr_cli_knows_setting(const char *name) {
    return mr_option_find(mr_global_options, name) || mr_option_find(settings_of_others, name);
}

static const char *environment_value(const char *const *environment, const char *name) {
    size_t n = strlen(name);
    for (; *environment; environment++)
        if (!strncmp(*environment, name, n) && (*environment)[n] == '=') return *environment + n + 1;
    return NULL;
}

static const char *flag_value(const mr_args *args, const char *name) {
    const char *value = NULL;
    for (size_t i = 0; i < args->flag_count; i++)
        if (!strcmp(args->flags[i].row->name, name)) value = args->flags[i].value;
    return value;
}

static mr_status load_settings(const mr_args *args, const char *const *environment, void *config,
                               mr_origins *origins, mr_error *err) {
    static const mr_option *const others[] = {settings_of_others, NULL};
    const char *file = flag_value(args, "config");
    if (!file) file = environment_value(environment, "MILLRACE_CONFIG");
    mr_settings_input input = {
        .args = args, .environment = environment, .file = file && *file ? file : NULL, .others = others};
    return mr_settings_load(mr_global_options, config, &input, origins, err);
}

/* Several --broker are one list with commas, as in the environment and in the file. */
static mr_status join_brokers(const mr_args *args, mr_globals *g, mr_error *err) {
    size_t used = 0;
    for (size_t i = 0; i < args->flag_count; i++) {
        if (strcmp(args->flags[i].row->name, "broker")) continue;
        int n = snprintf(g->broker + used, sizeof g->broker - used, "%s%s", used ? "," : "", args->flags[i].value);
        if (n < 0 || (size_t)n >= sizeof g->broker - used)
            return mr_fail(err, MR_E_LIMIT, "the brokers' addresses are longer than %zu bytes together", sizeof g->broker - 1);
        used += (size_t)n;
    }
    return MR_OK;
}

/* ---- from argv to a command ---- */

/* Where the command's name stands: behind global flags, if there are any. */
static int command_at(int argc, char **argv) {
    for (int i = 1; i < argc; i++) {
        if (argv[i][0] != '-') return i;
        const mr_option *row = NULL;
        if (!strncmp(argv[i], "--", 2))
            row = strchr(argv[i], '=') ? NULL : mr_option_find(mr_global_options, argv[i] + 2);
        else if (!strcmp(argv[i], "-b"))
            row = mr_option_find(mr_global_options, "broker");
        if (row && row->type != MR_OPT_BOOL) i++;
    }
    return argc;
}

static mr_status run_command(const mr_cli_command *command, int argc, char **argv,
                             const char *const *environment, mr_arena *arena, mr_error *err) {
    char program[MR_OPTION_TEXT];
    mr_usage usage = mr_cli_usage(command, program);
    mr_args *args = mr_arena_alloc(arena, 1, sizeof *args);
    mr_origins *origins = mr_arena_alloc(arena, 1, sizeof *origins);
    void *config = mr_arena_alloc(arena, 1, command->config_size);
    mr_buf text;
    if (!args || !origins || !config) return mr_fail(err, MR_E_MEMORY, "out of memory");
    MR_TRY(mr_argv_parse(command->options, NULL, argc, argv, &usage, args, err));
    if (args->action != MR_ARGS_RUN) {
        mr_buf_init(&text, NULL, 1 << 20);
        if (args->action == MR_ARGS_HELP)
            mr_argv_help(command->options, &usage, &text);
        else
            mr_argv_version(&usage, &text);
        mr_status status = mr_program_print(&text, err);
        mr_buf_free(&text);
        return status;
    }
    MR_TRY(load_settings(args, environment, config, origins, err));
    MR_TRY(join_brokers(args, config, err));
    mr_globals globals = *(mr_globals *)config;
    mr_option_defaults(command->options, config);
    *(mr_globals *)config = globals;
    for (size_t i = 0; i < args->flag_count; i++) {
        const mr_flag *flag = &args->flags[i];
        if (mr_option_find(mr_global_options, flag->row->name)) continue;
        MR_TRY(mr_option_set(command->options, config, flag->row->name, flag->value, err));
    }
    mr_cli cli = {
        .globals = config, .origins = origins, .args = args, .command = command, .width = mr_term_width(1)};
    return command->run(&cli, config, err);
}

static mr_status become(const mr_cli_command *command, char **rest, mr_error *err) {
    char path[PATH_MAX];
    MR_TRY(mr_proc_beside(command->program, path, err));
    char *first = rest[0];
    rest[0] = path;
    execv(path, rest);
    rest[0] = first;
    return mr_fail(err, MR_E_IO, "cannot run %s: %s", path, strerror(errno));
}

static mr_status unknown_command(const char *word, mr_error *err) {
    const char *names[64] = {NULL};
    size_t n = 0;
    for (const mr_cli_command *const *c = mr_cli_commands; *c && n < 63; c++)
        if (!(*c)->hidden) names[n++] = (*c)->name;
    const char *near = mr_nearest_word(names, word);
    if (near) return mr_fail(err, MR_E_USAGE, "there is no command '%.60s': did you mean '%s'?", word, near);
    return mr_fail(err, MR_E_USAGE, "there is no command '%.60s'; millrace help lists them", word);
}

static mr_status no_command(int argc, char **argv, mr_error *err) {
    mr_usage usage = {.program = "millrace"};
    mr_buf text;
    mr_buf_init(&text, NULL, 1 << 20);
    bool help = argc > 1 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"));
    mr_status status = MR_OK;
    if (argc > 1 && !strcmp(argv[1], "--version"))
        mr_argv_version(&usage, &text);
    else if (help)
        mr_cli_overview(&text);
    else
        status = mr_fail(err, MR_E_USAGE,
                         argc > 1 ? "'%.60s' stands without a command; millrace help lists them"
                                  : "no command given%.0s; millrace help lists them",
                         argc > 1 ? argv[1] : "");
    if (status == MR_OK) status = mr_program_print(&text, err);
    mr_buf_free(&text);
    return status;
}

static mr_status dispatch(int argc, char **argv, const char *const *environment, mr_arena *arena,
                          mr_error *err) {
    MR_TRY(mr_crypto_init(err));
    int at = command_at(argc, argv);
    if (at >= argc) return no_command(argc, argv, err);
    const mr_cli_command *command = mr_cli_find(argv[at]);
    if (!command) return unknown_command(argv[at], err);
    char **rest = mr_arena_alloc(arena, (size_t)argc + 1, sizeof *rest);
    if (!rest) return mr_fail(err, MR_E_MEMORY, "out of memory");
    int n = 0;
    rest[n++] = argv[0];
    if (command->program) rest[n++] = argv[at];
    for (int i = 1; i < argc; i++)
        if (i != at) rest[n++] = argv[i];
    if (command->program) return become(command, rest, err);
    return run_command(command, n, rest, environment, arena, err);
}

int mr_cli_main(int argc, char **argv, const char *const *environment) {
    mr_error err = {0};
    mr_arena *arena = mr_arena_new(NULL, 64 << 20);
    mr_status status = MR_E_MEMORY;
    if (arena) {
        status = dispatch(argc, argv, environment, arena, &err);
        mr_arena_free(&arena);
    }
    if (status == MR_E_MEMORY && !arena) snprintf(err.text, sizeof err.text, "out of memory");
    if (status != MR_OK && err.text[0]) fprintf(stderr, "millrace: %s\n", err.text);
    return mr_status_of((int)status)->exit_code;
}
