#include "broker/cli/view.h"

static const mr_option options[] = {MR_GLOBAL_OPTIONS};

static mr_status run(mr_cli *cli, const void *config, mr_error *err) {
    (void)config;
    return mr_view_call(cli, MR_CMD_BROKERS, NULL, err);
}

const mr_cli_command mr_cli_brokers = {
    .name = "brokers",
    .summary = "list the brokers of the database and what each owns of the work",
    .detail = "The work is 16 partitions; a run belongs to the partition of its number modulo 16, and a partition to one\n"
              "broker under a lease. A broker is serving, draining, left (it ended in order) or silent (it has not renewed\n"
              "its leases in time: it died, is paused, or cannot reach the database). What nobody owns is listed last.",
    .example = "millrace brokers\n",
    .options = options,
    .config_size = sizeof(mr_globals),
    .run = run,
};
