#include "broker/cli/page.h"

static const mr_option options[] = {MR_PAGE_OPTIONS, MR_GLOBAL_OPTIONS};

static mr_status run(mr_cli *cli, const void *config, mr_error *err) {
    mr_params p;
    mr_params_init(&p);
    mr_page_params(&p, config);
    return mr_view_call(cli, MR_CMD_SESSIONS, &p, err);
}

const mr_cli_command mr_cli_sessions = {
    .name = "sessions",
    .summary = "list the sessions that prompts belong to",
    .example = "millrace sessions --limit 20\n",
    .options = options,
    .config_size = sizeof(mr_page),
    .run = run,
};
