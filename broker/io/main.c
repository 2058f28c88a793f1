/* millrace-broker: settings, then start, serve, stop. */
#include "broker/io/broker.h"
#include "common/man.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The file named by --config or MILLRACE_CONFIG. */
static const char *config_file(const mr_args *args) {
    for (size_t i = 0; i < args->flag_count; i++)
        if (args->flags[i].row == mr_option_find(mr_broker_options, "config")) return args->flags[i].value;
    return getenv("MILLRACE_CONFIG");
}

/* The settings of the CLI and the workers, which may stand in the same file and environment. */
static const mr_option settings_of_others[] = {
    {.name = "broker"}, {.name = "json"}, {.name = "timeout"}, {.name = "home"}, {.name = "share"},
    {.name = "threads"}, {.name = "credit"}, {.name = "held_max"}, {.name = "input_max_mb"}, {.name = "components"},
    {.name = "key_file"}, {.name = "server_key"},
    MR_OPTION_END,
};

static mr_status load_settings(mr_broker *b, const mr_args *args, mr_error *err) {
    static const mr_option *const others[] = {settings_of_others, NULL};
    mr_settings_input input = {.args = args, .environment = (const char *const *)environ, .file = config_file(args),
                               .others = others};
    MR_TRY(mr_settings_load(mr_broker_options, &b->settings, &input, &b->origins, err));
    if (b->settings.lost_after_ms < 2 * b->settings.heartbeat_ms)
        return mr_fail(err, MR_E_INVALID, "lost_after_ms must be at least twice heartbeat_ms (%lld)", (long long)b->settings.heartbeat_ms);
    mr_log_init(&b->log, STDERR_FILENO, (mr_log_level)b->settings.log_level, b->settings.log_json);
    return MR_OK;
}

static mr_status serve(mr_broker *b, const mr_args *args, mr_error *err) {
    MR_TRY(load_settings(b, args, err));
    MR_TRY(mr_crypto_init(err));
    mr_heap_keep();
    mr_status s = mr_broker_start(b, err);
    if (s == MR_OK) s = mr_broker_serve(b, err);
    if (s == MR_E_INTERNAL) /* stalled: a thread may be stuck, so nothing is waited for; the database has all */
        _exit(mr_program_end("millrace-broker", s, err));
    mr_broker_stop(b);
    return s;
}

int main(int argc, char **argv) {
    mr_error err = {0};
    mr_args args;
    mr_status s;
    if (argc == 3 && !strcmp(argv[1], "docs")) { /* for whoever changes the table */
        s = mr_man_write(argv[2], &mr_broker_usage, mr_broker_options, &err);
        return mr_program_end("millrace-broker", s, &err);
    }
    s = mr_argv_parse(mr_broker_options, NULL, argc, argv, &mr_broker_usage, &args, &err);
    mr_broker *b = mr_new(NULL, 1, sizeof *b);
    if (s == MR_OK && !b) s = mr_fail(&err, MR_E_MEMORY, "no memory to start with");
    if (s == MR_OK)
        s = args.action == MR_ARGS_RUN ? serve(b, &args, &err)
                                       : mr_program_answer(mr_broker_options, &mr_broker_usage, args.action, &err);
    mr_free(NULL, b, 1, sizeof *b);
    return mr_program_end("millrace-broker", s, &err);
}
