#include "broker/cli/page.h"

#include <stdio.h>

typedef struct settings {
    mr_page page;
    char session[MR_OPTION_TEXT], reason[MR_OPTION_TEXT];
    int64_t source;
    bool deleted;
} settings;

static const char *const sources[] = {"any", "user", "synthetic", "api", NULL};
static const mr_option options[] = {
    {.name = "session",
     .type = MR_OPT_TEXT,
     .offset = offsetof(settings, session),
     .help = "list: only this session"},
    {.name = "source",
     .type = MR_OPT_CHOICE,
     .offset = offsetof(settings, source),
     .def = "any",
     .choices = sources,
     .help = "list: only this source"},
    {.name = "deleted",
     .type = MR_OPT_BOOL,
     .offset = offsetof(settings, deleted),
     .help = "list: the deleted ones instead"},
    {.name = "reason",
     .type = MR_OPT_TEXT,
     .offset = offsetof(settings, reason),
     .help = "delete: why, for the audit trail"},
    MR_PAGE_OPTIONS,
    MR_GLOBAL_OPTIONS,
};
static const char *const verbs[] = {"list", "show", "delete", NULL};
enum { LIST, SHOW, DELETE };

static mr_status list(mr_cli *cli, const settings *s, mr_error *err) {
    MR_TRY(mr_cli_at_most(cli, 1, err));
    mr_params p;
    mr_params_init(&p);
    mr_params_text(&p, "session", s->session);
    if (s->source) mr_params_text(&p, "source", sources[s->source]);
    if (s->deleted) mr_params_bool(&p, "deleted", true);
    mr_page_params(&p, &s->page);
    return mr_view_call(cli, MR_CMD_PROMPTS, &p, err);
}

static mr_status run(mr_cli *cli, const void *config, mr_error *err) {
    const settings *s = config;
    size_t verb;
    uint64_t id;
    MR_TRY(mr_cli_verb(cli, &verb, err));
    if (verb == LIST) return list(cli, s, err);
    MR_TRY(mr_cli_number(cli, 1, "the number of a prompt", &id, err));
    mr_params p;
    mr_params_init(&p);
    mr_params_u64(&p, "id", id);
    if (verb == DELETE) mr_params_text(&p, "reason", s->reason);
    MR_TRY(mr_view_call(cli, verb == SHOW ? MR_CMD_PROMPT : MR_CMD_PROMPT_DELETE, &p, err));
    if (verb == DELETE) fprintf(stderr, "prompt %llu is deleted\n", (unsigned long long)id);
    return MR_OK;
}

const mr_cli_command mr_cli_prompts = {
    .name = "prompts",
    .summary = "list prompts, show one with its features and audit trail, or delete one",
    .operands = "[list | show ID | delete ID]",
    .detail = "Deleting is soft: the row is not active any more, so later data set versions leave it out; "
              "versions that\n"
              "exist keep it, and the audit trail says when and why.",
    .example = "millrace prompts list --source user --limit 20\n"
               "millrace prompts show 12\n"
               "millrace prompts delete 12 --reason 'holds a name'\n",
    .verbs = verbs,
    .max_operands = 2,
    .options = options,
    .config_size = sizeof(settings),
    .run = run,
};
