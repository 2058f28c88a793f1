#include "broker/cli/page.h"

typedef struct settings {
    mr_page page;
    bool refused;
} settings;

static const mr_option options[] = {
    {.name = "refused", .type = MR_OPT_BOOL, .offset = offsetof(settings, refused),
     .help = "only what was refused"},
    MR_PAGE_OPTIONS,
    MR_GLOBAL_OPTIONS,
};

static mr_status run(mr_cli *cli, const void *config, mr_error *err) {
    const settings *s = config;
    mr_params p;
    mr_params_init(&p);
    if (s->refused) mr_params_bool(&p, "refused", true);
    mr_page_params(&p, &s->page);
    return mr_view_call(cli, MR_CMD_AUDIT, &p, err);
}

const mr_cli_command mr_cli_audit = {
    .name = "audit",
    .summary = "list who was refused and who wrote what, the newest first",
    .detail = "Events that say the same within a second are one row with a count. Refusals have a budget of one\n"
              "row a second after a first lot; a row 'more' counts what went beyond it.",
    .example = "millrace audit --refused --limit 20\n",
    .options = options,
    .config_size = sizeof(settings),
    .run = run,
};
