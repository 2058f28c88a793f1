#include "broker/cli/view.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

typedef struct settings {
    mr_globals globals;
    bool id, body;
} settings;

static const mr_option options[] = {
    {.name = "id", .type = MR_OPT_BOOL, .offset = offsetof(settings, id),
     .help = "the task is named by its id, though that looks like a number"},
    {.name = "body", .type = MR_OPT_BOOL, .offset = offsetof(settings, body), .help = "show the result's content too"},
    MR_GLOBAL_OPTIONS,
};

/* A number, 0 included. */
static bool is_number(const char *text, uint64_t *out) {
    char *end;
    errno = 0;
    *out = strtoull(text, &end, 10);
    return isdigit((unsigned char)*text) && !*end && !errno && *out <= INT64_MAX;
}

static mr_status run(mr_cli *cli, const void *config, mr_error *err) {
    const settings *s = config;
    const char *name = mr_cli_operand(cli, 1);
    uint64_t stream, task;
    mr_params p;
    MR_TRY(mr_cli_number(cli, 0, "the number of a stream", &stream, err));
    mr_params_init(&p);
    mr_params_u64(&p, "run", stream);
    if (!s->id && is_number(name, &task)) mr_params_u64(&p, "task", task);
    else mr_params_text(&p, "id", name);
    if (s->body) mr_params_bool(&p, "body", true);
    return mr_view_call(cli, MR_CMD_TASK, &p, err);
}

const mr_cli_command mr_cli_task = {
    .name = "task",
    .summary = "show one task of a stream and what became of it",
    .operands = "RUN TASK",
    .detail = "TASK is the task's number, which 'millrace submit' told, or the id that its producer gave it. When several "
              "tasks have\n"
              "that id, the first is shown.",
    .example = "millrace task 7 0\n"
               "millrace task 7 order-1815 --body --json\n",
    .min_operands = 2,
    .max_operands = 2,
    .options = options,
    .config_size = sizeof(settings),
    .run = run,
};
