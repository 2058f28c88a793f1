/* run.h: how a run is described, for the commands that start one now or later. */
#ifndef MR_BROKER_CLI_RUN_H
#define MR_BROKER_CLI_RUN_H

#include "broker/cli/client.h"
#include "common/pipeline.h"

typedef struct mr_run_settings {
    mr_globals globals;
    mr_option_list component, set, role;
    char pipeline[MR_OPTION_TEXT];
    char dataset[MR_OPTION_TEXT], name[MR_OPTION_TEXT];
    char at[MR_OPTION_TEXT], every[MR_OPTION_TEXT], cron[MR_OPTION_TEXT], key[MR_OPTION_TEXT];
    int64_t batch_size, seed, version, priority;
    bool wait, detach;
} mr_run_settings;

extern const mr_option mr_run_options[];
/* Submits what the flags describe, or puts it on the schedule when they name a time. */
mr_status mr_run_command(mr_cli *cli, const void *config, mr_error *err) MR_MUST_CHECK;
/* The argument `roles`: the flags' bindings, and the pipeline's (which may be NULL) where the flags have none. */
mr_status mr_run_put_roles(const mr_run_settings *s, const mr_pipeline *pipeline, mr_params *p, mr_error *err) MR_MUST_CHECK;
/* Submits these arguments of the call, now or later as the flags say, and waits when they do. */
mr_status mr_run_submit(mr_cli *cli, const mr_run_settings *s, mr_params *p, mr_error *err) MR_MUST_CHECK;
/* Has the broker check what the flags describe, and make nothing; fills `p`. */
mr_status mr_run_check(mr_cli *cli, const mr_run_settings *s, mr_params *p, mr_error *err) MR_MUST_CHECK;
/* Do the flags name a time? */
bool mr_run_is_later(const void *config);

#endif
