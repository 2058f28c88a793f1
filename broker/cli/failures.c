#include "broker/cli/page.h"

static const mr_option options[] = {MR_PAGE_OPTIONS, MR_GLOBAL_OPTIONS};

static mr_status run(mr_cli *cli, const void *config, mr_error *err) {
    uint64_t id;
    MR_TRY(mr_cli_number(cli, 0, "the number of a run", &id, err));
    mr_params p;
    mr_params_init(&p);
    mr_params_u64(&p, "run", id);
    mr_page_params(&p, config);
    return mr_view_call(cli, MR_CMD_FAILURES, &p, err);
}

const mr_cli_command mr_cli_failures = {
    .name = "failures",
    .summary = "list the attempts of a run that failed, with their reasons",
    .operands = "RUN",
    .example = "millrace failures 7\n",
    .min_operands = 1,
    .max_operands = 1,
    .options = options,
    .config_size = sizeof(mr_page),
    .run = run,
};
