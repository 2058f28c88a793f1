#include "broker/cli/home.h"

#include <stdio.h>

static const mr_option options[] = {MR_GLOBAL_OPTIONS};

static mr_status run(mr_cli *cli, const void *config, mr_error *err) {
    (void)config;
    mr_home home;
    unsigned stopped;
    MR_TRY(mr_home_open(cli->globals, &home, err));
    MR_TRY(mr_home_stop(&home, &stopped, err));
    if (cli->globals->json)
        printf("{\"home\":\"%s\",\"stopped\":%u}\n", home.path, stopped);
    else if (stopped)
        fprintf(stderr, "stopped %u processes of %s\n", stopped, home.path);
    else
        fprintf(stderr, "nothing of %s is running\n", home.path);
    return MR_OK;
}

const mr_cli_command mr_cli_down = {
    .name = "down",
    .summary = "stop what 'millrace up' started; the data stay",
    .detail = "Workers first, then the broker, then the private PostgreSQL and Redis. Each gets 20 seconds "
              "to end in good\n"
              "order. Running twice is fine.",
    .example = "millrace down\n",
    .options = options,
    .config_size = sizeof(mr_globals),
    .run = run,
};
