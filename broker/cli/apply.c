/* `millrace apply`: a stored model on rows, as a run of one step. */
#include "broker/cli/run.h"

#include "broker/cli/view.h"
#include "common/hash.h"
#include "common/rows.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct settings {
    mr_run_settings run; /* of which only the flags below are in the table */
    char model[MR_OPTION_TEXT];
} settings;

#define AT(field) offsetof(settings, field)
enum { ROWS_AS_ONE = 1000000, PAGE = 1000, ARENA_MAX = 64 << 20, REPLY_MAX = 64 << 20, WORD = 128 };

static const mr_option options[] = {
    {.name = "model",
     .type = MR_OPT_TEXT,
     .offset = AT(model),
     .flag = 'm',
     .help = "what to apply: the artifact's hash, or RUN:STEP or RUN:STEP:ARTIFACT, where STEP is a number, an id or a "
             "component"},
    {.name = "dataset", .type = MR_OPT_TEXT, .offset = AT(run.dataset), .def = "prompts", .flag = 'd', .help = "the rows"},
    {.name = "version",
     .type = MR_OPT_INT,
     .offset = AT(run.version),
     .min = 0,
     .max = 9e15,
     .help = "an older version of the data set; 0: as it is now"},
    {.name = "set", .type = MR_OPT_LIST, .offset = AT(run.set), .flag = 's', .help = "an option as NAME=VALUE, repeatable"},
    {.name = "role", .type = MR_OPT_LIST, .offset = AT(run.role), .flag = 'r',
     .help = "a role as ROLE=COLUMN, repeatable; without any, those of the model's run that have their column here"},
    {.name = "batch_size",
     .type = MR_OPT_INT,
     .offset = AT(run.batch_size),
     .def = "4096",
     .min = 1,
     .max = 1000000,
     .unit = "rows",
     .help = "rows in a batch; the model is applied to each, with a result for each. A state takes all rows as one"},
    {.name = "seed",
     .type = MR_OPT_INT,
     .offset = AT(run.seed),
     .def = "1",
     .min = 0,
     .max = 9e15,
     .help = "of everything random"},
    {.name = "name", .type = MR_OPT_TEXT, .offset = AT(run.name), .help = "for people"},
    {.name = "priority",
     .type = MR_OPT_INT,
     .offset = AT(run.priority),
     .def = "100",
     .min = 1,
     .max = 1000,
     .flag = 'p',
     .help = "higher goes first"},
    {.name = "key",
     .type = MR_OPT_TEXT,
     .offset = AT(run.key),
     .help = "submits once: the same submission under the same key answers the first run"},
    {.name = "wait",
     .type = MR_OPT_BOOL,
     .offset = AT(run.wait),
     .def = "true",
     .help = "wait for the end and show the progress"},
    {.name = "detach", .type = MR_OPT_BOOL, .offset = AT(run.detach), .help = "print the run's number and do not wait"},
    MR_GLOBAL_OPTIONS,
};

/* The model that is meant. */
typedef struct model {
    mr_hash hash;
    uint64_t run; /* 0: the hash names it */
    char step[WORD], artifact[WORD], component[WORD];
} model;

/* "7:reduce" or "7:reduce:model". */
static mr_status read_place(const char *text, model *m, mr_error *err) {
    char *end;
    unsigned long long run = strtoull(text, &end, 10);
    if (!isdigit((unsigned char)*text) || run == 0 || run > INT64_MAX || *end != ':' || !end[1])
        return mr_fail(err, MR_E_USAGE, "--model %.80s is no hash of 64 hex digits and not RUN:STEP or RUN:STEP:ARTIFACT",
                       text);
    const char *step = end + 1, *colon = strchr(step, ':');
    m->run = run;
    snprintf(m->step, sizeof m->step, "%.*s", colon ? (int)(colon - step) : (int)strlen(step), step);
    snprintf(m->artifact, sizeof m->artifact, "%s", colon ? colon + 1 : "model");
    return MR_OK;
}

static void take_text(const mr_list *list, uint32_t row, const char *column, char out[WORD]) {
    mr_buf cell;
    mr_buf_init(&cell, NULL, 4096);
    mr_list_text(list, row, column, &cell);
    snprintf(out, WORD, "%.*s", (int)cell.len, (const char *)cell.data);
    mr_buf_free(&cell);
}

/* The component of the named step. */
static mr_status ask_step(const mr_cli *cli, model *m, mr_arena *arena, mr_error *err) {
    mr_params p;
    mr_buf reply;
    mr_unpack map, v;
    mr_list steps = {0};
    mr_buf_init(&reply, NULL, REPLY_MAX);
    mr_params_init(&p);
    mr_params_u64(&p, "id", m->run);
    mr_status status = mr_client_ask(cli, MR_CMD_RUN_SHOW, &p, &reply, err);
    mr_params_free(&p);
    if (status == MR_OK) {
        mr_unpack_init(&map, mr_buf_span(&reply));
        status = mr_unpack_find(&map, "steps", &v) == MR_OK
                     ? mr_list_read((mr_span){v.at, (size_t)(v.end - v.at)}, arena, &steps, err)
                     : mr_fail(err, MR_E_PROTOCOL, "the broker does not tell the run's steps");
    }
    for (uint32_t i = 0; status == MR_OK && i < steps.rows && !m->component[0]; i++) {
        char number[WORD], id[WORD], component[WORD];
        snprintf(number, sizeof number, "%llu", (unsigned long long)mr_list_u64(&steps, i, "step"));
        take_text(&steps, i, "id", id);
        take_text(&steps, i, "component", component);
        if (!strcmp(m->step, number) || !strcmp(m->step, id) || !strcmp(m->step, component))
            memcpy(m->component, component, sizeof component);
    }
    mr_buf_free(&reply);
    if (status == MR_OK && !m->component[0])
        return mr_fail(err, MR_E_NOT_FOUND, "run %llu has no step '%s': 'millrace runs show %llu' lists them",
                       (unsigned long long)m->run, m->step, (unsigned long long)m->run);
    return status;
}

/* The component that left the artifact with that hash. */
static mr_status ask_artifact(const mr_cli *cli, const char *hash, model *m, mr_arena *arena, mr_error *err) {
    mr_list list = {.more = true};
    for (uint64_t after = 0; list.more && !m->component[0]; after += list.rows) {
        mr_params p;
        mr_buf reply;
        char it[WORD];
        mr_buf_init(&reply, NULL, REPLY_MAX);
        mr_params_init(&p);
        mr_params_u64(&p, "limit", PAGE);
        mr_params_u64(&p, "after", after);
        mr_arena_reset(arena);
        mr_status status = mr_client_ask(cli, MR_CMD_ARTIFACTS, &p, &reply, err);
        mr_params_free(&p);
        if (status == MR_OK) status = mr_list_read(mr_buf_span(&reply), arena, &list, err);
        for (uint32_t i = 0; status == MR_OK && i < list.rows; i++) {
            take_text(&list, i, "hash", it);
            if (strcmp(it, hash)) continue;
            take_text(&list, i, "component", m->component);
            take_text(&list, i, "name", m->artifact);
        }
        mr_buf_free(&reply);
        MR_TRY(status);
    }
    return m->component[0]
               ? MR_OK
               : mr_fail(err, MR_E_NOT_FOUND, "there is no artifact %.64s: 'millrace artifacts' lists them", hash);
}

static mr_status find_model(const mr_cli *cli, const char *text, model *m, mr_error *err) {
    char hex[MR_HASH_HEX];
    *m = (model){0};
    if (!*text) return mr_fail(err, MR_E_USAGE, "--model is missing: the artifact's hash, or RUN:STEP");
    bool hashed = mr_hash_parse(mr_span_of(text), &m->hash);
    if (!hashed) MR_TRY(read_place(text, m, err));
    mr_arena *arena = mr_arena_new(NULL, ARENA_MAX);
    if (!arena) return mr_fail(err, MR_E_MEMORY, "out of memory");
    mr_hash_hex(&m->hash, hex);
    mr_status status = hashed ? ask_artifact(cli, hex, m, arena, err) : ask_step(cli, m, arena, err);
    mr_arena_free(&arena);
    return status;
}

static mr_status put_options(const settings *s, mr_buf *to, mr_error *err) {
    mr_pack_map(to, (uint32_t)s->run.set.count);
    for (size_t i = 0; i < s->run.set.count; i++) {
        const char *text = s->run.set.items[i], *equals = strchr(text, '=');
        if (!equals || equals == text) return mr_fail(err, MR_E_USAGE, "--set takes NAME=VALUE, not '%.100s'", text);
        mr_pack_str(to, (mr_span){(const uint8_t *)text, (size_t)(equals - text)});
        mr_pack_text(to, equals + 1);
    }
    return MR_OK;
}

static void put_need(const model *m, mr_buf *to) {
    char hex[MR_HASH_HEX];
    mr_hash_hex(&m->hash, hex);
    mr_pack_array(to, 1);
    mr_pack_map(to, m->run ? 4 : 2);
    mr_pack_text(to, "use");
    mr_pack_text(to, mr_use_names[MR_USE_MODEL]);
    mr_pack_text(to, m->run ? "run" : "hash");
    if (m->run)
        mr_pack_u64(to, m->run);
    else
        mr_pack_text(to, hex);
    if (!m->run) return;
    mr_pack_text(to, "of");
    mr_pack_text(to, m->step);
    mr_pack_text(to, "artifact");
    mr_pack_text(to, m->artifact);
}

/* Each batch of a state would give a state of its own, which lacks the rows of the others. */
static uint64_t batch_size(const settings *s, const model *m) {
    return strcmp(m->artifact, "state") == 0 ? ROWS_AS_ONE : (uint64_t)s->run.batch_size;
}

static mr_status put_arguments(const settings *s, const model *m, mr_params *p, mr_error *err) {
    mr_params_text(p, "dataset", s->run.dataset);
    if (s->run.version) mr_params_u64(p, "version", (uint64_t)s->run.version);
    mr_buf *to = mr_params_open(p, "components");
    mr_pack_array(to, 1);
    mr_pack_map(to, 3);
    mr_pack_text(to, "name");
    mr_pack_text(to, m->component);
    mr_pack_text(to, "options");
    MR_TRY(put_options(s, to, err));
    mr_pack_text(to, "needs");
    put_need(m, to);
    mr_params_u64(p, "batch_size", batch_size(s, m));
    mr_params_u64(p, "seed", (uint64_t)s->run.seed);
    mr_params_text(p, "name", s->run.name);
    if (s->run.priority != 100) mr_params_u64(p, "priority", (uint64_t)s->run.priority);
    mr_params_text(p, "key", s->run.key);
    return mr_run_put_roles(&s->run, NULL, p, err);
}

static mr_status run(mr_cli *cli, const void *config, mr_error *err) {
    const settings *s = config;
    model m;
    mr_params p;
    MR_TRY(find_model(cli, s->model, &m, err));
    mr_params_init(&p);
    mr_status status = put_arguments(s, &m, &p, err);
    if (status == MR_OK) status = mr_run_submit(cli, &s->run, &p, err);
    mr_params_free(&p);
    return status;
}

const mr_cli_command mr_cli_apply = {
    .name = "apply",
    .summary = "apply a stored model to rows, and wait for the end",
    .detail = "A run of one step: its results are committed and listed like those of any other run. A model that was "
              "trained on\n"
              "features that another component made sees the same kind of features. 'millrace artifacts' lists the models.",
    .example = "millrace apply --model 7:context_learner --dataset wine\n"
               "millrace apply --model 9:ml_model_service:model --dataset wine --detach\n",
    .options = options,
    .config_size = sizeof(settings),
    .run = run,
};
