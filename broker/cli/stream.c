#include "broker/cli/view.h"

#include <string.h>

typedef struct settings {
    mr_globals globals;
    char component[MR_OPTION_TEXT], name[MR_OPTION_TEXT], key[MR_OPTION_TEXT];
    mr_option_list set;
    int64_t seed, priority;
} settings;

#define AT(field) offsetof(settings, field)

static const mr_option options[] = {
    {.name = "component", .type = MR_OPT_TEXT, .offset = AT(component), .flag = 'c',
     .help = "open: what works on the tasks; it must take each batch alone (shape map)"},
    {.name = "set", .type = MR_OPT_LIST, .offset = AT(set), .flag = 's',
     .help = "open: an option of the component as OPTION=VALUE, repeatable"},
    {.name = "seed", .type = MR_OPT_INT, .offset = AT(seed), .def = "1", .min = 0, .max = 9e15,
     .help = "open: of everything random; the same seed gives the same results"},
    {.name = "name", .type = MR_OPT_TEXT, .offset = AT(name), .help = "open: for people"},
    {.name = "priority", .type = MR_OPT_INT, .offset = AT(priority), .def = "100", .min = 1, .max = 1000, .flag = 'p',
     .help = "open: higher goes first; what waits ages, so that a low one gets its turn too"},
    {.name = "key", .type = MR_OPT_TEXT, .offset = AT(key),
     .help = "open: opens once; the same words under the same key answer the first stream"},
    MR_GLOBAL_OPTIONS,
};

static const char *const verbs[] = {"open", "close", NULL};

static mr_status put_set(mr_buf *to, const settings *s, mr_error *err) {
    mr_pack_map(to, (uint32_t)s->set.count);
    for (size_t i = 0; i < s->set.count; i++) {
        const char *text = s->set.items[i], *equals = strchr(text, '=');
        if (!equals || equals == text) return mr_fail(err, MR_E_USAGE, "--set %.100s is not OPTION=VALUE", text);
        mr_pack_str(to, (mr_span){(const uint8_t *)text, (size_t)(equals - text)});
        mr_pack_text(to, equals + 1);
    }
    return MR_OK;
}

static mr_status open_stream(mr_cli *cli, const settings *s, mr_error *err) {
    mr_params p;
    MR_TRY(mr_cli_at_most(cli, 1, err));
    if (!s->component[0]) return mr_fail(err, MR_E_USAGE, "millrace stream open needs --component: 'millrace components' lists them");
    mr_params_init(&p);
    mr_buf *to = mr_params_open(&p, "components");
    mr_pack_array(to, 1);
    mr_pack_map(to, 2);
    mr_pack_text(to, "name");
    mr_pack_text(to, s->component);
    mr_pack_text(to, "options");
    mr_status status = put_set(to, s, err);
    mr_params_u64(&p, "seed", (uint64_t)s->seed);
    mr_params_u64(&p, "priority", (uint64_t)s->priority);
    mr_params_text(&p, "name", s->name);
    mr_params_text(&p, "key", s->key);
    if (status == MR_OK) return mr_view_call(cli, MR_CMD_STREAM_OPEN, &p, err);
    mr_params_free(&p);
    return status;
}

static mr_status close_stream(mr_cli *cli, mr_error *err) {
    uint64_t run;
    mr_params p;
    MR_TRY(mr_cli_number(cli, 1, "the number of a stream", &run, err));
    mr_params_init(&p);
    mr_params_u64(&p, "run", run);
    return mr_view_call(cli, MR_CMD_STREAM_CLOSE, &p, err);
}

static mr_status run(mr_cli *cli, const void *config, mr_error *err) {
    size_t verb;
    MR_TRY(mr_cli_verb(cli, &verb, err));
    return verb ? close_stream(cli, err) : open_stream(cli, config, err);
}

const mr_cli_command mr_cli_stream = {
    .name = "stream",
    .summary = "open or close a stream: a run whose inputs are submitted one by one",
    .operands = "open | close RUN",
    .detail = "A stream is a run of one component that reads no data set: each task that 'millrace submit' sends is one "
              "batch of\n"
              "it. Results, failures, pauses, limits and priorities are those of any run. It goes on until it is closed, "
              "and ends\n"
              "when what was submitted before is done.",
    .example = "millrace stream open --component linguistic_analyzer\n"
               "millrace stream close 7\n",
    .verbs = verbs,
    .min_operands = 1,
    .max_operands = 2,
    .options = options,
    .config_size = sizeof(settings),
    .run = run,
};
