#include "broker/cli/command.h"

static const mr_option options[] = {MR_GLOBAL_OPTIONS};

static mr_status run(mr_cli *cli, const void *config, mr_error *err) {
    (void)config;
    const char *name = mr_cli_operand(cli, 0);
    const mr_cli_command *command = name ? mr_cli_find(name) : NULL;
    if (name && !command)
        return mr_fail(err, MR_E_USAGE, "there is no command '%.60s'; millrace help lists them", name);
    mr_buf text;
    mr_buf_init(&text, NULL, 1 << 20);
    char program[MR_OPTION_TEXT];
    if (command) {
        mr_usage usage = mr_cli_usage(command, program);
        mr_argv_help(command->options, &usage, &text);
    } else {
        mr_cli_overview(&text);
    }
    mr_status status = mr_program_print(&text, err);
    mr_buf_free(&text);
    return status;
}

const mr_cli_command mr_cli_help = {
    .name = "help",
    .summary = "list the commands, or explain one",
    .operands = "[COMMAND]",
    .example = "millrace help ingest\n",
    .max_operands = 1,
    .options = options,
    .config_size = sizeof(mr_globals),
    .run = run,
};
