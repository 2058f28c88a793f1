/* run.h: how a run is described, for the commands that start one now or later. */
#ifndef MR_BROKER_CLI_RUN_H
#define MR_BROKER_CLI_RUN_H

#include "broker/cli/command.h"

typedef struct mr_run_settings {
    mr_globals globals;
    mr_option_list component, set, role;
    char dataset[MR_OPTION_TEXT], name[MR_OPTION_TEXT];
    char at[MR_OPTION_TEXT], every[MR_OPTION_TEXT], cron[MR_OPTION_TEXT], key[MR_OPTION_TEXT];
    int64_t batch_size, seed, version, priority;
    bool wait, detach;
} mr_run_settings;

extern const mr_option mr_run_options[];
/* Submits what the flags describe, or puts it on the schedule when they name a time. */
mr_status mr_run_command(mr_cli *cli, const void *config, mr_error *err) MR_MUST_CHECK;
/* Do the flags name a time? */
bool mr_run_is_later(const void *config);

#endif
