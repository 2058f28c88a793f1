#include "broker/cli/run.h"

#include "broker/cli/pipeline.h"
#include "broker/cli/watch.h"

#include <stdio.h>
#include <string.h>

#include "common/rows.h"

typedef mr_run_settings settings;

enum { ARENA_MAX = 16 << 20 };

#define AT(field) offsetof(settings, field)

const mr_option mr_run_options[] = {
    {.name = "component", .type = MR_OPT_LIST, .offset = AT(component), .flag = 'c',
     .help = "a component to run, repeatable; the six standard ones when not given"},
    {.name = "pipeline", .type = MR_OPT_TEXT, .offset = AT(pipeline), .flag = 'P',
     .help = "the steps of this pipeline: a file, or the name of one that 'millrace pipelines' lists"},
    {.name = "set", .type = MR_OPT_LIST, .offset = AT(set), .flag = 's',
     .help = "an option of a component as COMPONENT.OPTION=VALUE, repeatable; of a pipeline's step as ID.OPTION=VALUE"},
    {.name = "dataset", .type = MR_OPT_TEXT, .offset = AT(dataset), .def = "prompts", .flag = 'd',
     .help = "what to read"},
    {.name = "version", .type = MR_OPT_INT, .offset = AT(version), .min = 0, .max = 9e15,
     .help = "an older version of the data set; 0: as it is now"},
    {.name = "batch_size", .type = MR_OPT_INT, .offset = AT(batch_size), .def = "32", .min = 1,
     .max = 1000000, .unit = "rows", .help = "rows in a batch"},
    {.name = "seed", .type = MR_OPT_INT, .offset = AT(seed), .def = "1", .min = 0, .max = 9e15,
     .help = "of everything random; the same seed gives the same results"},
    {.name = "role", .type = MR_OPT_LIST, .offset = AT(role), .flag = 'r',
     .help = "a role as ROLE=COLUMN, such as label=target, repeatable"},
    {.name = "name", .type = MR_OPT_TEXT, .offset = AT(name), .help = "for people"},
    {.name = "priority", .type = MR_OPT_INT, .offset = AT(priority), .def = "100", .min = 1, .max = 1000, .flag = 'p',
     .help = "higher goes first; what waits ages, so that a low one gets its turn too"},
    {.name = "key", .type = MR_OPT_TEXT, .offset = AT(key),
     .help = "submits once: the same submission under the same key answers the first run"},
    {.name = "at", .type = MR_OPT_TEXT, .offset = AT(at),
     .help = "start later, by the database's clock: '2026-12-01 04:00+00', or '+90 minutes'"},
    {.name = "every", .type = MR_OPT_TEXT, .offset = AT(every), .help = "start again and again: '1 hour'"},
    {.name = "cron", .type = MR_OPT_TEXT, .offset = AT(cron),
     .help = "start by a cron line in UTC: 'minute hour day month weekday'"},
    {.name = "wait", .type = MR_OPT_BOOL, .offset = AT(wait), .def = "true",
     .help = "wait for the end and show the progress; --no-wait is --detach"},
    {.name = "detach", .type = MR_OPT_BOOL, .offset = AT(detach),
     .help = "print the run's number and do not wait"},
    MR_GLOBAL_OPTIONS,
};

static const char *const standard[] = {"structural_analyzer",
                                       "linguistic_analyzer",
                                       "dimensionality_reducer",
                                       "context_learner",
                                       "failure_mode_analyzer",
                                       "statistical_validator",
                                       NULL};

static const char *component_at(const settings *s, size_t i) {
    if (!s->component.count) return i < sizeof standard / sizeof *standard ? standard[i] : NULL;
    return i < s->component.count ? s->component.items[i] : NULL;
}

/* "component.option=value": where the option and the value start; the component must be one of the run. */
static mr_status check_set(const settings *s, const char *text, mr_error *err) {
    const char *dot = strchr(text, '.'), *equals = strchr(text, '=');
    char word[MR_OPTION_TEXT];
    const char *names[MR_OPTION_LIST + 1] = {NULL};
    if (!dot || !equals || equals < dot || dot == text || equals == dot + 1)
        return mr_fail(err, MR_E_USAGE, "--set %.100s is not COMPONENT.OPTION=VALUE", text);
    snprintf(word, sizeof word, "%.*s", (int)(dot - text), text);
    for (size_t i = 0; component_at(s, i); i++) {
        names[i] = component_at(s, i);
        if (!strcmp(names[i], word)) return MR_OK;
    }
    const char *near = mr_nearest_word(names, word);
    return mr_fail(err, MR_E_USAGE, "--set %.100s: the run has no component '%.60s'%s%s%s", text, word,
                   near ? ": did you mean '" : "", near ? near : "", near ? "'?" : "");
}

static void put_options(const settings *s, const char *component, mr_buf *to) {
    size_t at = mr_pack_open_map(to), n = strlen(component);
    uint32_t count = 0;
    for (size_t i = 0; i < s->set.count; i++) {
        const char *text = s->set.items[i];
        if (strncmp(text, component, n) || text[n] != '.') continue;
        const char *equals = strchr(text, '=');
        mr_pack_str(to, (mr_span){(const uint8_t *)text + n + 1, (size_t)(equals - text) - n - 1});
        mr_pack_text(to, equals + 1);
        count++;
    }
    mr_pack_patch(to, at, count);
}

static bool is_bound(const mr_bindings *b, const char *role) {
    for (size_t i = 0; i < b->count; i++)
        if (!strcmp(b->items[i].role->name, role)) return true;
    return false;
}

/* The file's roles, where the command line does not bind them itself. */
static mr_status add_file_roles(const mr_pipeline *pipeline, mr_bindings *b, mr_error *err) {
    for (uint32_t i = 0; i < pipeline->roles; i++) {
        const mr_pipeline_pair *r = &pipeline->role[i];
        char text[MR_OPTION_TEXT];
        if (is_bound(b, r->name)) continue;
        snprintf(text, sizeof text, "%s=%s", r->name, r->value);
        if (mr_bindings_parse(b, text, err) != MR_OK) return mr_fail_in(err, "%.200s:%u", pipeline->file, r->line);
    }
    return MR_OK;
}

mr_status mr_run_put_roles(const mr_run_settings *s, const mr_pipeline *pipeline, mr_params *p, mr_error *err) {
    mr_bindings b = {0};
    for (size_t i = 0; i < s->role.count; i++) MR_TRY(mr_bindings_parse(&b, s->role.items[i], err));
    if (pipeline) MR_TRY(add_file_roles(pipeline, &b, err));
    if (!b.count) return MR_OK;
    mr_buf *to = mr_params_open(p, "roles");
    mr_pack_map(to, (uint32_t)b.count);
    for (size_t i = 0; i < b.count; i++) {
        mr_pack_text(to, b.items[i].role->name);
        mr_pack_text(to, b.items[i].column);
    }
    return MR_OK;
}

static void put_components(const settings *s, mr_buf *to) {
    uint32_t count = 0;
    size_t at = mr_pack_open_array(to);
    for (; component_at(s, count); count++) {
        mr_pack_map(to, 2);
        mr_pack_text(to, "name");
        mr_pack_text(to, component_at(s, count));
        mr_pack_text(to, "options");
        put_options(s, component_at(s, count), to);
    }
    mr_pack_patch(to, at, count);
}

/* A flag that is as it is by default leaves the word to the file. */
static int64_t either(int64_t flag, int64_t usual, int64_t of_file) { return flag == usual && of_file >= 0 ? of_file : flag; }

static mr_status put_arguments(const settings *s, const mr_pipeline *pipeline, mr_params *p, mr_error *err) {
    static const mr_pipeline none = {.name = "", .dataset = "", .batch_size = -1, .seed = -1};
    const mr_pipeline *file = pipeline ? pipeline : &none;
    bool usual = !strcmp(s->dataset, "prompts");
    mr_params_text(p, "dataset", usual && *file->dataset ? file->dataset : s->dataset);
    if (s->version) mr_params_u64(p, "version", (uint64_t)s->version);
    mr_buf *to = mr_params_open(p, "components");
    if (pipeline) mr_pipeline_put_steps(pipeline, &s->set, to);
    else put_components(s, to);
    mr_params_u64(p, "batch_size", (uint64_t)either(s->batch_size, 32, file->batch_size));
    mr_params_u64(p, "seed", (uint64_t)either(s->seed, 1, file->seed));
    mr_params_text(p, "name", *s->name ? s->name : file->name);
    if (s->priority != 100) mr_params_u64(p, "priority", (uint64_t)s->priority);
    mr_params_text(p, "key", s->key);
    return mr_run_put_roles(s, pipeline, p, err);
}

/* The pipeline of the flags, checked as far as it can be here; *out is NULL without one. */
static mr_status read_pipeline(const settings *s, mr_arena *arena, mr_pipeline *room, const mr_pipeline **out, mr_error *err) {
    char path[PATH_MAX];
    mr_json *catalogue = NULL;
    mr_error ignored;
    *out = NULL;
    if (!s->pipeline[0]) return MR_OK;
    if (s->component.count) return mr_fail(err, MR_E_USAGE, "--pipeline names the components: leave --component out");
    MR_TRY(mr_pipeline_find(s->pipeline, path, err));
    char *name = mr_arena_copy(arena, path, strlen(path));
    if (!name) return mr_fail(err, MR_E_MEMORY, "out of memory");
    MR_TRY(mr_pipeline_read(name, arena, room, err));
    MR_TRY(mr_pipeline_check_sets(room, &s->set, err));
    *out = room;
    if (mr_catalog_local(&catalogue, &ignored) != MR_OK) return MR_OK; /* the broker checks all the same */
    mr_status status = mr_pipeline_check(room, catalogue, err);
    mr_json_free(&catalogue);
    return status;
}

static void tell_left_out(mr_span reply) {
    mr_unpack map, v;
    mr_span text = {0};
    mr_unpack_init(&map, reply);
    if (mr_unpack_find(&map, "left_out", &v) == MR_OK && mr_unpack_str(&v, 4096, &text, NULL) == MR_OK && text.len)
        fprintf(stderr, "left out: %.*s\n", MR_SPAN_ARG(text));
}

static mr_status submit(mr_cli *cli, mr_client *c, mr_params *p, mr_buf *reply, uint64_t *id, mr_error *err) {
    mr_span body;
    mr_unpack map, v;
    MR_TRY(mr_client_call(c, MR_CMD_RUN, mr_params_span(p), (unsigned)cli->globals->timeout_ms, &body, err));
    mr_unpack_init(&map, body);
    if (mr_unpack_find(&map, "run", &v) != MR_OK || mr_unpack_u64(&v, UINT64_MAX, id, NULL) != MR_OK)
        return mr_fail(err, MR_E_PROTOCOL, "the broker's answer has no number of the run");
    mr_buf_put(reply, body.data, body.len);
    tell_left_out(body);
    return MR_OK;
}

static mr_status submit_and_follow(mr_cli *cli, const settings *s, mr_params *p, mr_stop *stop,
                                   mr_error *err) {
    mr_client *c;
    uint64_t id;
    mr_buf reply;
    MR_TRY(mr_client_connect(cli, &c, err));
    mr_buf_init(&reply, NULL, 1 << 20);
    mr_status status = submit(cli, c, p, &reply, &id, err);
    if (status == MR_OK && (s->detach || !s->wait))
        status = mr_view(cli, mr_buf_span(&reply), err);
    else if (status == MR_OK)
        status = mr_watch_run(cli, &c, stop, id, err);
    mr_client_close(&c);
    mr_buf_free(&reply);
    return status;
}

/* The submission becomes the argument of another command. */
static mr_status schedule(mr_cli *cli, const settings *s, mr_params *submission, mr_error *err) {
    mr_span bytes = mr_params_span(submission);
    mr_params p;
    mr_params_init(&p);
    mr_params_text(&p, "name", s->name);
    mr_params_text(&p, "at", s->at);
    mr_params_text(&p, "every", s->every);
    mr_params_text(&p, "cron", s->cron);
    mr_buf_put(mr_params_open(&p, "run"), bytes.data, bytes.len);
    return mr_view_call(cli, MR_CMD_SCHEDULE_ADD, &p, err);
}

bool mr_run_is_later(const void *config) {
    const settings *s = config;
    return s->at[0] || s->every[0] || s->cron[0];
}

static mr_status check_sets(const settings *s, mr_error *err) {
    for (size_t i = 0; !s->pipeline[0] && i < s->set.count; i++) MR_TRY(check_set(s, s->set.items[i], err));
    return MR_OK;
}

mr_status mr_run_submit(mr_cli *cli, const mr_run_settings *s, mr_params *p, mr_error *err) {
    mr_stop stop;
    if (mr_run_is_later(s)) return schedule(cli, s, p, err);
    MR_TRY(mr_stop_init(&stop, err));
    mr_status status = submit_and_follow(cli, s, p, &stop, err);
    mr_stop_close(&stop);
    return status;
}

mr_status mr_run_command(mr_cli *cli, const void *config, mr_error *err) {
    const settings *s = config;
    mr_pipeline room;
    const mr_pipeline *pipeline;
    mr_params p;
    MR_TRY(check_sets(s, err));
    mr_arena *arena = mr_arena_new(NULL, ARENA_MAX);
    if (!arena) return mr_fail(err, MR_E_MEMORY, "out of memory");
    mr_params_init(&p);
    mr_status status = read_pipeline(s, arena, &room, &pipeline, err);
    if (status == MR_OK) status = put_arguments(s, pipeline, &p, err);
    if (status == MR_OK) status = mr_run_submit(cli, s, &p, err);
    mr_params_free(&p);
    mr_arena_free(&arena);
    return status;
}

/* Everything that `run` would refuse is refused here too, and nothing is made. */
mr_status mr_run_check(mr_cli *cli, const mr_run_settings *s, mr_params *p, mr_error *err) {
    mr_buf reply;
    mr_pipeline room;
    const mr_pipeline *pipeline;
    mr_arena *arena = mr_arena_new(NULL, ARENA_MAX);
    if (!arena) return mr_fail(err, MR_E_MEMORY, "out of memory");
    mr_buf_init(&reply, NULL, 1 << 20);
    mr_status status = read_pipeline(s, arena, &room, &pipeline, err);
    if (status == MR_OK) status = put_arguments(s, pipeline, p, err);
    mr_params_bool(p, "check", true);
    if (status == MR_OK) status = mr_client_ask(cli, MR_CMD_RUN, p, &reply, err);
    if (status == MR_OK) tell_left_out(mr_buf_span(&reply));
    mr_buf_free(&reply);
    mr_arena_free(&arena);
    return status;
}

const mr_cli_command mr_cli_run = {
    .name = "run",
    .summary = "run components over a data set and wait for the end",
    .detail = "The run reads the data set as it is now; rows that come later do not change it. Ctrl-C ends "
              "the waiting, not\n"
              "the run. Exit codes: 0 the run succeeded, 17 it failed, 14 it was cancelled, 130 interrupted.",
    .example =
        "millrace run\n"
        "millrace run --pipeline standard\n"
        "millrace run --dataset wine --component context_learner --set context_learner.min_cluster_size=8\n",
    .options = mr_run_options,
    .config_size = sizeof(settings),
    .run = mr_run_command,
};
