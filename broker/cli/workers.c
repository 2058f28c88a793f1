#include "broker/cli/view.h"

static const mr_option options[] = {MR_GLOBAL_OPTIONS};

static mr_status run(mr_cli *cli, const void *config, mr_error *err) {
    (void)config;
    return mr_view_call(cli, MR_CMD_WORKERS, NULL, err);
}

const mr_cli_command mr_cli_workers = {
    .name = "workers",
    .summary = "list the workers that are connected",
    .example = "millrace workers\n",
    .options = options,
    .config_size = sizeof(mr_globals),
    .run = run,
};
