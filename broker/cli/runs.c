#include "broker/cli/page.h"

static const mr_option options[] = {MR_PAGE_OPTIONS, MR_GLOBAL_OPTIONS};
static const char *const verbs[] = {"list", "show", NULL};

static mr_status run(mr_cli *cli, const void *config, mr_error *err) {
    size_t verb;
    uint64_t id = 0;
    MR_TRY(mr_cli_verb(cli, &verb, err));
    MR_TRY(mr_cli_at_most(cli, verb ? 2 : 1, err));
    if (verb) MR_TRY(mr_cli_number(cli, 1, "the number of a run", &id, err));
    mr_params p;
    mr_params_init(&p);
    if (verb)
        mr_params_u64(&p, "id", id);
    else
        mr_page_params(&p, config);
    return mr_view_call(cli, verb ? MR_CMD_RUN_SHOW : MR_CMD_RUNS, &p, err);
}

const mr_cli_command mr_cli_runs = {
    .name = "runs",
    .summary = "list runs, or show one with the progress of each step",
    .operands = "[list | show RUN]",
    .example = "millrace runs show 7\n",
    .verbs = verbs,
    .max_operands = 2,
    .options = options,
    .config_size = sizeof(mr_page),
    .run = run,
};
