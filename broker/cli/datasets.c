#include "broker/cli/view.h"

static const mr_option options[] = {MR_GLOBAL_OPTIONS};

static mr_status run(mr_cli *cli, const void *config, mr_error *err) {
    (void)config;
    return mr_view_call(cli, MR_CMD_DATASETS, NULL, err);
}

const mr_cli_command mr_cli_datasets = {
    .name = "datasets",
    .summary = "list the data sets with their rows and versions",
    .example = "millrace datasets\n",
    .options = options,
    .config_size = sizeof(mr_globals),
    .run = run,
};
