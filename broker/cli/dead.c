#include "broker/cli/page.h"

#include <stdio.h>

typedef struct settings {
    mr_page page;
    int64_t run;
    char component[MR_OPTION_TEXT], search[MR_OPTION_TEXT], reason[MR_OPTION_TEXT];
    bool all;
} settings;

#define AT(field) offsetof(settings, field)

static const mr_option options[] = {
    {.name = "run", .type = MR_OPT_INT, .offset = AT(run), .min = 0, .max = 9e15, .help = "only of this run"},
    {.name = "component",
     .type = MR_OPT_TEXT,
     .offset = AT(component),
     .flag = 'c',
     .help = "only of this component"},
    {.name = "search",
     .type = MR_OPT_TEXT,
     .offset = AT(search),
     .help = "only those whose reason holds this text"},
    {.name = "all", .type = MR_OPT_BOOL, .offset = AT(all), .help = "replay or discard all there are"},
    {.name = "reason", .type = MR_OPT_TEXT, .offset = AT(reason), .help = "why, for the record"},
    MR_PAGE_OPTIONS,
    MR_GLOBAL_OPTIONS,
};

enum { LIST, SHOW, REPLAY, DISCARD };
static const char *const verbs[] = {"list", "show", "replay", "discard", NULL};

static void put_choice(mr_params *p, const settings *s, uint64_t id) {
    if (id) mr_params_u64(p, "id", id);
    if (s->run) mr_params_u64(p, "run", (uint64_t)s->run);
    mr_params_text(p, "component", s->component);
    mr_params_text(p, "search", s->search);
}

static mr_status run(mr_cli *cli, const void *config, mr_error *err) {
    static const mr_command commands[] = {MR_CMD_DEAD, MR_CMD_DEAD_SHOW, MR_CMD_DEAD_REPLAY,
                                          MR_CMD_DEAD_DISCARD};
    const settings *s = config;
    size_t verb;
    uint64_t id = 0;
    MR_TRY(mr_cli_verb(cli, &verb, err));
    MR_TRY(mr_cli_at_most(cli, verb == LIST ? 1 : 2, err));
    if (verb == SHOW || mr_cli_operand(cli, 1))
        MR_TRY(mr_cli_number(cli, 1, "the number of a dead letter", &id, err));
    if (verb >= REPLAY && !id && !s->run && !s->component[0] && !s->search[0] && !s->all)
        return mr_fail(
            err, MR_E_USAGE,
            "millrace dead %s needs the number of a dead letter, --run, --component, --search or --all",
            verbs[verb]);
    mr_params p;
    mr_params_init(&p);
    put_choice(&p, s, id);
    if (verb == LIST) mr_page_params(&p, &s->page);
    if (verb >= REPLAY && s->all) mr_params_bool(&p, "all", true);
    if (verb >= REPLAY) mr_params_text(&p, "reason", s->reason);
    return mr_view_call(cli, commands[verb], &p, err);
}

const mr_cli_command mr_cli_dead = {
    .name = "dead",
    .summary = "list, show, replay or discard batches that were given up",
    .operands = "[list | show ID | replay [ID] | discard [ID]]",
    .detail = "A batch is given up when its error or crash budget is used up, or at once when the error "
              "cannot go away.\n"
              "Replaying tries it again with whole budgets, while its run or stream goes on or after it has failed; "
              "the run is then reopened.\nWhat is committed stays. Of a run that was cancelled nothing is tried again.\n"
              "One call takes letters of at most 256 runs; the answer says how many are left.",
    .example = "millrace dead list --component context_learner\n"
               "millrace dead replay --run 7 --reason 'the rows were mended'\n",
    .verbs = verbs,
    .max_operands = 2,
    .options = options,
    .config_size = sizeof(settings),
    .run = run,
};
