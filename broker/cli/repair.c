#include "broker/cli/page.h"

#include <stdio.h>

typedef struct settings {
    mr_page page;
    int64_t run;
} settings;

static const mr_option options[] = {
    {.name = "run", .type = MR_OPT_INT, .offset = offsetof(settings, run), .min = 0, .max = 9e15, .help = "list: only of this run"},
    MR_PAGE_OPTIONS,
    MR_GLOBAL_OPTIONS,
};

enum { LIST, RUN };
static const char *const verbs[] = {"list", "run", NULL};

static mr_status run(mr_cli *cli, const void *config, mr_error *err) {
    const settings *s = config;
    size_t verb;
    uint64_t id;
    mr_params p;
    MR_TRY(mr_cli_verb(cli, &verb, err));
    MR_TRY(mr_cli_at_most(cli, verb == LIST ? 1 : 2, err));
    mr_params_init(&p);
    if (verb == RUN) {
        MR_TRY(mr_cli_number(cli, 1, "the number of a run", &id, err));
        mr_params_u64(&p, "run", id);
        return mr_view_call(cli, MR_CMD_REPAIR, &p, err);
    }
    if (s->run) mr_params_u64(&p, "run", (uint64_t)s->run);
    mr_page_params(&p, &s->page);
    return mr_view_call(cli, MR_CMD_DAMAGE, &p, err);
}

const mr_cli_command mr_cli_repair = {
    .name = "repair",
    .summary = "find stored bytes that do not match their hash, and compute them again",
    .operands = "[list | run ID]",
    .detail = "'run' reads every result and artifact of a run that has ended. What is damaged moves to millrace.damaged, and the\n"
              "run is reopened to compute it again. A run that goes on does so itself with what its merges read. 'list' tells\n"
              "what was found, and whether the same bytes came out again.",
    .example = "millrace repair run 7\n"
               "millrace repair list --run 7\n",
    .verbs = verbs,
    .max_operands = 2,
    .options = options,
    .config_size = sizeof(settings),
    .run = run,
};
