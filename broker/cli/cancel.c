#include "broker/cli/view.h"

#include <stdio.h>

static const mr_option options[] = {MR_GLOBAL_OPTIONS};

static mr_status run(mr_cli *cli, const void *config, mr_error *err) {
    (void)config;
    uint64_t id;
    MR_TRY(mr_cli_number(cli, 0, "the number of a run", &id, err));
    mr_params p;
    mr_params_init(&p);
    mr_params_u64(&p, "id", id);
    MR_TRY(mr_view_call(cli, MR_CMD_CANCEL, &p, err));
    fprintf(stderr, "run %llu is cancelled\n", (unsigned long long)id);
    return MR_OK;
}

const mr_cli_command mr_cli_cancel = {
    .name = "cancel",
    .summary = "cancel a run; what is committed stays",
    .operands = "RUN",
    .example = "millrace cancel 7\n",
    .min_operands = 1,
    .max_operands = 1,
    .options = options,
    .config_size = sizeof(mr_globals),
    .run = run,
};
