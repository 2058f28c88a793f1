#include "broker/cli/view.h"

#include <stdio.h>

typedef struct settings {
    mr_globals globals;
    int64_t concurrent, burst;
    double rate;
} settings;

#define AT(field) offsetof(settings, field)

static const mr_option options[] = {
    {.name = "concurrent",
     .type = MR_OPT_INT,
     .offset = AT(concurrent),
     .min = 0,
     .max = 2147483647,
     .unit = "attempts",
     .help = "at most so many are out at once; 0: any number"},
    {.name = "rate",
     .type = MR_OPT_NUMBER,
     .offset = AT(rate),
     .min = 0,
     .max = 1000000,
     .unit = "attempts/s",
     .help = "at most so many are sent a second in the long run; 0: any number"},
    {.name = "burst",
     .type = MR_OPT_INT,
     .offset = AT(burst),
     .def = "1",
     .min = 1,
     .max = 1000000,
     .unit = "attempts",
     .help = "so many may be saved up and sent at once"},
    MR_GLOBAL_OPTIONS,
};

static const char *const verbs[] = {"list", "set", "remove", NULL};

static mr_status run(mr_cli *cli, const void *config, mr_error *err) {
    static const mr_command commands[] = {MR_CMD_LIMITS, MR_CMD_LIMIT_SET, MR_CMD_LIMIT_REMOVE};
    const settings *s = config;
    size_t verb;
    char rate[48];
    MR_TRY(mr_cli_verb(cli, &verb, err));
    MR_TRY(mr_cli_at_most(cli, verb ? 3 : 1, err));
    if (!verb) return mr_view_call(cli, MR_CMD_LIMITS, NULL, err);
    if (!mr_cli_operand(cli, 2))
        return mr_fail(err, MR_E_USAGE,
                       "millrace limits %s needs a kind (component, run or client) and a name", verbs[verb]);
    mr_params p;
    mr_params_init(&p);
    mr_params_text(&p, "kind", mr_cli_operand(cli, 1));
    mr_params_text(&p, "name", mr_cli_operand(cli, 2));
    if (verb == 1) {
        if (s->concurrent) mr_params_u64(&p, "max_concurrent", (uint64_t)s->concurrent);
        snprintf(rate, sizeof rate, "%.17g", s->rate);
        if (s->rate > 0) mr_params_text(&p, "per_second", rate);
        mr_params_u64(&p, "burst", (uint64_t)s->burst);
    }
    return mr_view_call(cli, commands[verb], &p, err);
}

const mr_cli_command mr_cli_limits = {
    .name = "limits",
    .summary = "list, set or remove limits of a component, run or client",
    .operands = "[list | set KIND NAME | remove KIND NAME]",
    .detail = "KIND is component, run or client. The number that is out is counted from the attempts "
              "themselves whenever\n"
              "work is handed out. Setting a limit takes the place of the one before.",
    .example = "millrace limits set component context_learner --concurrent 4\n"
               "millrace limits set client nightly --rate 20 --burst 5\n",
    .verbs = verbs,
    .max_operands = 3,
    .options = options,
    .config_size = sizeof(settings),
    .run = run,
};
