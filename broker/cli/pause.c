#include "broker/cli/view.h"

#include <string.h>

typedef struct settings {
    mr_globals globals;
    char reason[MR_OPTION_TEXT];
} settings;

static const mr_option options[] = {
    {.name = "reason",
     .type = MR_OPT_TEXT,
     .offset = offsetof(settings, reason),
     .help = "why, for the record"},
    MR_GLOBAL_OPTIONS,
};

static const char *const verbs[] = {"list", "component", "run", "client", NULL};

static mr_status change(mr_cli *cli, const settings *s, mr_command command, const char *kind, mr_error *err) {
    mr_params p;
    mr_params_init(&p);
    mr_params_text(&p, "kind", kind);
    mr_params_text(&p, "name", mr_cli_operand(cli, 1));
    mr_params_text(&p, "reason", s->reason);
    return mr_view_call(cli, command, &p, err);
}

static mr_status run(mr_cli *cli, const void *config, mr_error *err) {
    bool pause = !strcmp(cli->command->name, "pause");
    size_t verb;
    MR_TRY(mr_cli_verb(cli, &verb, err));
    MR_TRY(mr_cli_at_most(cli, verb ? 2 : 1, err));
    if (!verb) return mr_view_call(cli, MR_CMD_PAUSES, NULL, err);
    if (!mr_cli_operand(cli, 1))
        return mr_fail(err, MR_E_USAGE, "millrace %s %s needs its %s", cli->command->name, verbs[verb],
                       !strcmp(verbs[verb], "run") ? "number" : "name");
    return change(cli, config, pause ? MR_CMD_PAUSE : MR_CMD_RESUME, verbs[verb], err);
}

const mr_cli_command mr_cli_pause = {
    .name = "pause",
    .summary = "send nothing new of a run, component or client, until it is resumed",
    .operands = "[list | run N | component NAME | client NAME]",
    .detail = "What is out goes on and is committed. A pause stays when the broker restarts. Without "
              "operands the pauses\n"
              "are listed.",
    .example = "millrace pause component context_learner --reason 'a new version comes'\n",
    .verbs = verbs,
    .max_operands = 2,
    .options = options,
    .config_size = sizeof(settings),
    .run = run,
};

const mr_cli_command mr_cli_resume = {
    .name = "resume",
    .summary = "end a pause",
    .operands = "[list | run N | component NAME | client NAME]",
    .example = "millrace resume component context_learner\n",
    .verbs = verbs,
    .max_operands = 2,
    .options = options,
    .config_size = sizeof(settings),
    .run = run,
};
