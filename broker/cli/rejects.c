#include "broker/cli/page.h"

typedef struct settings {
    mr_page page;
    int64_t ingest;
} settings;

static const mr_option options[] = {
    {.name = "ingest", .type = MR_OPT_INT, .offset = offsetof(settings, ingest), .min = 0, .max = 9e15,
     .help = "only those of this ingest"},
    MR_PAGE_OPTIONS,
    MR_GLOBAL_OPTIONS,
};

static mr_status run(mr_cli *cli, const void *config, mr_error *err) {
    const settings *s = config;
    mr_params p;
    mr_params_init(&p);
    if (s->ingest) mr_params_u64(&p, "ingest", (uint64_t)s->ingest);
    mr_page_params(&p, &s->page);
    return mr_view_call(cli, MR_CMD_REJECTS, &p, err);
}

const mr_cli_command mr_cli_rejects = {
    .name = "rejects",
    .summary = "list the rows that an ingest refused, with file, line, column and reason",
    .example = "millrace rejects --ingest 3\n",
    .options = options,
    .config_size = sizeof(settings),
    .run = run,
};
