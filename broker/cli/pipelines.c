/* `millrace pipelines` lists what comes with the programs and prints one; `millrace pipeline check` checks a file. */
#include "broker/cli/pipeline.h"
#include "broker/cli/run.h"

#include "common/file.h"

#include <stdio.h>
#include <string.h>

static const mr_option no_options[] = {MR_GLOBAL_OPTIONS};
static const char *const list_verbs[] = {"list", "show", NULL}, *const check_verbs[] = {"check", NULL};
enum { ARENA_MAX = 64 << 20 };

/* "reduce, model": the steps' ids. */
static void put_ids(const mr_pipeline *p, mr_buf *pack) {
    mr_buf text;
    mr_buf_init(&text, NULL, 8192);
    for (uint32_t i = 0; i < p->steps; i++) mr_buf_printf(&text, "%s%s", i ? ", " : "", p->step[i].id);
    mr_pack_str(pack, mr_buf_span(&text));
    mr_buf_free(&text);
}

static mr_status put_row(const char *name, mr_arena *arena, mr_buf *pack, mr_error *err) {
    char path[PATH_MAX];
    mr_pipeline p;
    MR_TRY(mr_pipeline_find(name, path, err));
    MR_TRY(mr_pipeline_read(path, arena, &p, err));
    mr_pack_array(pack, 3);
    mr_pack_text(pack, name);
    mr_pack_text(pack, p.about);
    put_ids(&p, pack);
    return MR_OK;
}

static mr_status list(const mr_cli *cli, mr_arena *arena, mr_error *err) {
    static const char *const columns[] = {"name", "about", "steps"};
    const char *const *names;
    uint32_t count = 0;
    mr_buf pack;
    MR_TRY(mr_pipeline_shipped(arena, &names, err));
    mr_buf_init(&pack, NULL, 1 << 20);
    mr_pack_map(&pack, 2);
    mr_pack_text(&pack, "columns");
    mr_pack_array(&pack, 3);
    for (size_t i = 0; i < 3; i++) mr_pack_text(&pack, columns[i]);
    mr_pack_text(&pack, "rows");
    size_t at = mr_pack_open_array(&pack);
    mr_status status = MR_OK;
    for (; status == MR_OK && names[count]; count++) status = put_row(names[count], arena, &pack, err);
    mr_pack_patch(&pack, at, count);
    if (status == MR_OK) status = mr_view(cli, mr_buf_span(&pack), err);
    mr_buf_free(&pack);
    return status;
}

static mr_status show(const char *name, mr_error *err) {
    char path[PATH_MAX];
    mr_buf text;
    MR_TRY(mr_pipeline_find(name, path, err));
    mr_buf_init(&text, NULL, MR_YAML_BYTES + 65536);
    mr_status status = mr_file_read(path, MR_YAML_BYTES, &text, err);
    if (status == MR_OK) status = mr_program_print(&text, err);
    mr_buf_free(&text);
    return status;
}

static mr_status run_list(mr_cli *cli, const void *config, mr_error *err) {
    (void)config;
    size_t verb;
    MR_TRY(mr_cli_verb(cli, &verb, err));
    MR_TRY(mr_cli_at_most(cli, verb ? 2 : 1, err));
    if (verb && !mr_cli_operand(cli, 1))
        return mr_fail(err, MR_E_USAGE, "millrace pipelines show needs the name of a pipeline");
    if (verb) return show(mr_cli_operand(cli, 1), err);
    mr_arena *arena = mr_arena_new(NULL, ARENA_MAX);
    if (!arena) return mr_fail(err, MR_E_MEMORY, "out of memory");
    mr_status status = list(cli, arena, err);
    mr_arena_free(&arena);
    return status;
}

/* Without a broker nobody knows the data set and what earlier runs left. */
static mr_status run_check(mr_cli *cli, const void *config, mr_error *err) {
    mr_run_settings s = *(const mr_run_settings *)config;
    mr_params p;
    size_t verb;
    MR_TRY(mr_cli_verb(cli, &verb, err));
    const char *file = mr_cli_operand(cli, 1);
    if (!file || strlen(file) >= sizeof s.pipeline)
        return mr_fail(err, MR_E_USAGE, "millrace pipeline check needs a file or the name of a pipeline");
    snprintf(s.pipeline, sizeof s.pipeline, "%s", file);
    mr_params_init(&p);
    mr_status status = mr_run_check(cli, &s, &p, err);
    mr_params_free(&p);
    if (status == MR_E_UNAVAILABLE)
        return mr_fail_in(err, "%.200s: its form, components and options are right; what needs the broker was not checked",
                          file);
    if (status == MR_OK) fprintf(stderr, "%s can be run\n", file);
    return status;
}

const mr_cli_command mr_cli_pipelines = {
    .name = "pipelines",
    .summary = "list the pipelines that come with the programs, or print one",
    .operands = "[list | show NAME]",
    .detail = "A pipeline is a YAML file: components, their options, and what they take from each other. Copy one and "
              "change it.",
    .example = "millrace pipelines\n"
               "millrace pipelines show standard > mine.yaml\n",
    .verbs = list_verbs,
    .max_operands = 2,
    .options = no_options,
    .config_size = sizeof(mr_globals),
    .run = run_list,
};

const mr_cli_command mr_cli_pipeline = {
    .name = "pipeline",
    .summary = "check a pipeline without running it",
    .operands = "check FILE|NAME",
    .detail = "Everything that 'millrace run --pipeline' would refuse is refused, with file and line: the form, unknown or "
              "doubled ids,\n"
              "circles, components, options and their values, the wrong kind of artifact, and roles that the data set does "
              "not have.\n"
              "The data set and the roles are given as for 'millrace run'.",
    .example = "millrace pipeline check mine.yaml --dataset wine --role label=target\n",
    .verbs = check_verbs,
    .min_operands = 2,
    .max_operands = 2,
    .options = mr_run_options,
    .config_size = sizeof(mr_run_settings),
    .run = run_check,
};
