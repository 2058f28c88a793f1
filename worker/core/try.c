#include "worker/core/try.h"

#include "common/file.h"
#include "common/hash.h"
#include "common/rows.h"
#include "common/settings.h"
#include "worker/core/catalogue.h"
#include "worker/core/local_chain.h"
#include "worker/core/registry.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { REFUSED_SHOWN = 10, NAME_MAX_BYTES = 128 };
static const size_t output_max = (size_t)2 << 30, model_max = (size_t)1 << 30;

typedef struct try_options {
    char pipeline[MR_OPTION_TEXT], input[MR_OPTION_TEXT], apply[MR_OPTION_TEXT], save[MR_OPTION_TEXT], map[MR_OPTION_TEXT];
    mr_option_list set, role;
    int64_t batch_size, seed;
    bool json, describe;
} try_options;

#define AT(field) offsetof(try_options, field)
static const mr_option table[] = {
    {.name = "input",
     .type = MR_OPT_TEXT,
     .offset = AT(input),
     .flag = 'i',
     .help = "file of rows: JSONL prompts, or a table as CSV, TSV or JSONL"},
    {.name = "pipeline",
     .type = MR_OPT_TEXT,
     .offset = AT(pipeline),
     .flag = 'P',
     .help = "runs the steps of this pipeline file instead of one component"},
    {.name = "set",
     .type = MR_OPT_LIST,
     .offset = AT(set),
     .flag = 's',
     .help = "an option as NAME=VALUE; repeatable"},
    {.name = "role",
     .type = MR_OPT_LIST,
     .offset = AT(role),
     .flag = 'r',
     .help = "binds a role to a column as ROLE=COLUMN, such as label=target; repeatable"},
    {.name = "map",
     .type = MR_OPT_TEXT,
     .offset = AT(map),
     .flag = 'm',
     .help = "other names of prompt fields, such as prompt=text,labels.intent=intent"},
    {.name = "batch_size",
     .type = MR_OPT_INT,
     .offset = AT(batch_size),
     .def = "32",
     .min = 1,
     .max = 1000000,
     .flag = 'b',
     .unit = "rows",
     .help = "rows of a batch; does not matter to components that take the whole"},
    {.name = "seed",
     .type = MR_OPT_INT,
     .offset = AT(seed),
     .def = "1",
     .min = 0,
     .max = 9007199254740991.0,
     .help = "of everything random"},
    {.name = "apply",
     .type = MR_OPT_TEXT,
     .offset = AT(apply),
     .flag = 'a',
     .help = "applies this stored model to the rows instead"},
    {.name = "save",
     .type = MR_OPT_TEXT,
     .offset = AT(save),
     .flag = 'o',
     .help = "folder for the results (JSON) and the artifacts"},
    {.name = "json",
     .type = MR_OPT_BOOL,
     .offset = AT(json),
     .flag = 'j',
     .help = "everything, as one JSON object"},
    {.name = "describe",
     .type = MR_OPT_BOOL,
     .offset = AT(describe),
     .flag = 'd',
     .help = "only tells what the component needs, takes and gives"},
    MR_OPTION_END,
};

static const mr_usage usage = {
    .program = "millrace try",
    .operands = "COMPONENT | --pipeline=FILE",
    .summary = "runs one component on one file, in this process, without services",
    .detail =
        "Prints findings first, then every field of the result with its unit. Runs the same batches and "
        "merges as\n"
        "a run of the broker, so the result is the same. Exit status 19: done, but some rows were refused.",
    .example =
        "millrace try context_learner --input requests.csv --set min_cluster_size=10 --role label=intent\n"
        "    clusters a table and compares the clusters with its column `intent`\n",
    .min_operands = 0,
    .max_operands = 1,
};

/* Everything that one try owns. */
typedef struct trial {
    try_options o;
    const mr_component *component;
    void *config;
    mr_bindings bindings;
    mr_prompt_map map;
    mr_rows *rows;
    mr_arena *arena;
    mr_batch batch;
    mr_buf model;
    mr_local_results results;
    uint64_t refused;
} trial;

/* ---- preparing ---- */

static mr_status set_option(trial *t, const char *pair, mr_error *err) {
    char name[NAME_MAX_BYTES];
    const char *equals = strchr(pair, '=');
    if (!equals || equals == pair || (size_t)(equals - pair) >= sizeof name)
        return mr_fail(err, MR_E_USAGE, "--set takes NAME=VALUE, not '%.100s'", pair);
    snprintf(name, sizeof name, "%.*s", (int)(equals - pair), pair);
    return mr_config_set(t->component, t->config, name, equals + 1, err);
}

static mr_status configure(trial *t, mr_error *err) {
    t->config = mr_config_new(t->component, NULL);
    t->arena = mr_arena_new(NULL, SIZE_MAX / 2);
    if (!t->config || !t->arena) return mr_fail(err, MR_E_MEMORY, "no memory to start");
    for (size_t i = 0; i < t->o.set.count; i++) MR_TRY(set_option(t, t->o.set.items[i], err));
    for (size_t i = 0; i < t->o.role.count; i++)
        MR_TRY(mr_bindings_parse(&t->bindings, t->o.role.items[i], err));
    if (t->o.map[0]) MR_TRY(mr_prompt_map_parse(&t->map, t->o.map, err));
    return MR_OK;
}

static void tell_refused(void *self, const mr_where *where, const mr_error *why) {
    trial *t = self;
    if (t->refused++ >= REFUSED_SHOWN) return;
    fprintf(stderr, "millrace try: %s:%llu:%zu: %s\n", t->o.input, (unsigned long long)where->line,
            where->column, why->text);
}

static mr_status load_rows(trial *t, mr_error *err) {
    if (!t->o.input[0]) return mr_fail(err, MR_E_USAGE, "--input FILE is missing; it names the rows");
    mr_rows_options options = {.map = t->o.map[0] ? &t->map : NULL, .refused = tell_refused, .self = t};
    MR_TRY(mr_rows_load(NULL, t->o.input, &options, &t->rows, err));
    uint32_t columns = t->component->columns | t->component->columns_wanted;
    MR_TRY(
        mr_rows_batch(t->rows, 0, mr_rows_count(t->rows), &t->bindings, columns, t->arena, &t->batch, err));
    return mr_check_columns(t->component, &t->batch, err);
}

static mr_status compute(trial *t, mr_error *err) {
    mr_artifact model = {.name = "model"};
    mr_local run = {.component = t->component,
                    .config = t->config,
                    .seed = (uint64_t)t->o.seed,
                    .batch_rows = (uint32_t)t->o.batch_size};
    if (t->o.apply[0]) {
        mr_buf_init(&t->model, NULL, model_max);
        MR_TRY(mr_file_read(t->o.apply, model_max, &t->model, err));
        model.bytes = mr_buf_span(&t->model);
        run.model = &model;
    }
    return mr_run_local(&run, &t->batch, &t->results, err);
}

static void trial_free(trial *t) {
    mr_local_results_free(&t->results);
    mr_buf_free(&t->model);
    if (t->rows) mr_rows_free(&t->rows);
    if (t->config) mr_config_free(t->component, NULL, &t->config);
    mr_arena_free(&t->arena);
}

/* ---- for programs ---- */

static void put_name(mr_buf *out, const char *before, const char *name) {
    mr_buf_text(out, before);
    mr_json_put_text(out, mr_span_of(name));
    mr_buf_text(out, ":");
}

static void put_options(const trial *t, mr_buf *out) {
    mr_buf_text(out, "{");
    for (const mr_option *o = t->component->options; o && o->name; o++) {
        mr_buf value;
        mr_buf_init(&value, NULL, 4096);
        mr_option_get(o, t->config, &value);
        put_name(out, o == t->component->options ? "" : ",", o->name);
        mr_json_put_text(out, mr_buf_span(&value));
        mr_buf_free(&value);
    }
    mr_buf_text(out, "}");
}

static void put_artifact(const mr_given_artifact *a, mr_buf *out) {
    char hex[MR_HASH_HEX];
    mr_hash hash = mr_hash_of(mr_buf_span(&a->bytes));
    mr_hash_hex(&hash, hex);
    mr_buf_text(out, "{\"name\":");
    mr_json_put_text(out, mr_span_of(a->name));
    mr_buf_text(out, ",\"media_type\":");
    mr_json_put_text(out, mr_span_of(a->media_type));
    mr_buf_printf(out, ",\"size\":%zu,\"hash\":\"%s\"}", a->bytes.len, hex);
}

static mr_status put_json_result(const mr_local_result *r, mr_buf *out, mr_error *err) {
    mr_buf_printf(out, "{\"first\":%llu,\"rows\":%u,\"result\":", (unsigned long long)r->first, r->rows);
    MR_TRY(mr_json_from_pack(mr_buf_span(&r->outcome.bytes), out, err));
    mr_buf_text(out, ",\"artifacts\":[");
    for (size_t i = 0; i < r->outcome.artifact_count; i++) {
        if (i) mr_buf_text(out, ",");
        put_artifact(&r->outcome.artifacts[i], out);
    }
    mr_buf_text(out, "]}");
    return MR_OK;
}

static mr_status put_json(const trial *t, mr_buf *out, mr_error *err) {
    const mr_local_results *r = &t->results;
    put_name(out, "{", "component");
    mr_json_put_text(out, mr_span_of(t->component->name));
    mr_buf_printf(out, ",\"version\":%u,\"seed\":%lld,\"options\":", t->component->version,
                  (long long)t->o.seed);
    put_options(t, out);
    mr_buf_printf(
        out,
        ",\"rows\":%u,\"refused\":%llu,\"calls\":%llu,\"compute_us\":%llu,\"cpu_us\":%llu,\"peak_bytes\":%llu,\"results\":[",
        t->batch.rows, (unsigned long long)t->refused, (unsigned long long)r->calls,
        (unsigned long long)r->compute_us, (unsigned long long)r->cpu_us, (unsigned long long)r->peak_bytes);
    for (size_t i = 0; i < r->count; i++) {
        if (i) mr_buf_text(out, ",");
        MR_TRY(put_json_result(&r->items[i], out, err));
    }
    mr_buf_text(out, "]}\n");
    return MR_OK;
}

/* ---- for people ---- */

static mr_status put_folded(const trial *t, const mr_show *show, mr_buf *out, mr_error *err) {
    mr_folding folding;
    if (mr_folding_init(&folding, show, t->arena) != MR_OK)
        return mr_fail(err, MR_E_MEMORY, "no memory for the summary");
    for (size_t i = 0; i < t->results.count; i++) {
        const mr_local_result *r = &t->results.items[i];
        MR_TRY(mr_folding_add(&folding, mr_buf_span(&r->outcome.bytes), r->rows, err));
    }
    mr_folding_print(&folding, out);
    return MR_OK;
}

static void put_artifacts(const trial *t, mr_buf *out) {
    size_t count = 0;
    mr_text_table lines;
    mr_text_table_init(&lines, NULL, 3);
    lines.right[1] = true;
    for (size_t i = 0; i < t->results.count; i++) {
        const mr_outcome *o = &t->results.items[i].outcome;
        for (size_t j = 0; j < o->artifact_count && count < REFUSED_SHOWN; j++, count++) {
            char size[32];
            snprintf(size, sizeof size, "%zu bytes", o->artifacts[j].bytes.len);
            mr_text_table_cell(&lines, o->artifacts[j].name);
            mr_text_table_cell(&lines, size);
            mr_text_table_cell(&lines, o->artifacts[j].media_type);
        }
    }
    if (count) mr_buf_text(out, "  artifacts (--save DIR keeps them)\n");
    mr_text_table_end(&lines, 4, out);
}

static mr_status put_text(const trial *t, mr_buf *out, mr_error *err) {
    mr_show_field fields[MR_SHOW_FIELDS];
    mr_show show = mr_catalogue_show(t->component, fields);
    const mr_local_results *r = &t->results;
    mr_buf_printf(out, "%s: %s\n", t->component->name, t->component->summary);
    mr_buf_printf(out, "  %u rows, %llu call%s, %.1f ms, at most %.1f MiB\n", t->batch.rows,
                  (unsigned long long)r->calls, r->calls == 1 ? "" : "s", (double)r->compute_us / 1e3,
                  (double)r->peak_bytes / 1048576.0);
    if (r->count == 1)
        MR_TRY(mr_show_result(&show, MR_SHOW_FULL, mr_buf_span(&r->items[0].outcome.bytes), out, err));
    else
        MR_TRY(put_folded(t, &show, out, err));
    if (!t->o.save[0]) put_artifacts(t, out);
    return MR_OK;
}

/* ---- files ---- */

static mr_status save_artifact(const trial *t, size_t result, const mr_given_artifact *a, mr_error *err) {
    char path[MR_OPTION_TEXT + 128], name[MR_ARTIFACT_NAME + 1];
    snprintf(name, sizeof name, "%s", a->name);
    for (char *c = name; *c; c++)
        if (*c == '/' || (c == name && *c == '.')) *c = '_';
    if (t->results.count == 1)
        snprintf(path, sizeof path, "%s/%s", t->o.save, name);
    else
        snprintf(path, sizeof path, "%s/%06zu-%s", t->o.save, result, name);
    return mr_file_write(path, mr_buf_span(&a->bytes), 0644, err);
}

static mr_status save(const trial *t, mr_error *err) {
    char path[MR_OPTION_TEXT + 32];
    mr_buf text;
    mr_buf_init(&text, NULL, output_max);
    MR_TRY(mr_make_dirs(t->o.save, 0755, err));
    snprintf(path, sizeof path, "%s/results.json", t->o.save);
    mr_status status = put_json(t, &text, err);
    if (status == MR_OK) status = mr_buf_status(&text);
    if (status == MR_OK) status = mr_file_write(path, mr_buf_span(&text), 0644, err);
    mr_buf_free(&text);
    for (size_t i = 0; i < t->results.count && status == MR_OK; i++)
        for (size_t j = 0; j < t->results.items[i].outcome.artifact_count && status == MR_OK; j++)
            status = save_artifact(t, i, &t->results.items[i].outcome.artifacts[j], err);
    return status;
}

/* ---- the command ---- */

static mr_status report(const trial *t, mr_error *err) {
    mr_buf out;
    mr_buf_init(&out, NULL, output_max);
    mr_status status = t->o.json ? put_json(t, &out, err) : put_text(t, &out, err);
    if (status == MR_OK) status = mr_program_print(&out, err);
    mr_buf_free(&out);
    return status;
}

static mr_status describe(const mr_component *component, mr_error *err) {
    mr_buf out;
    mr_buf_init(&out, NULL, output_max);
    mr_catalogue_describe(component, &out);
    mr_status status = mr_program_print(&out, err);
    mr_buf_free(&out);
    return status;
}

static mr_status check_refused(const trial *t, mr_error *err) {
    return t->refused ? mr_fail(err, MR_E_PARTIAL, "done, but %llu rows of %s were refused",
                                (unsigned long long)t->refused, t->o.input)
                      : MR_OK;
}

/* ---- a pipeline ---- */

/* Reports a step as a trial of its own, which borrows everything. */
static mr_status report_step(const trial *t, const mr_local_step *s, const mr_batch *batch, bool first, mr_error *err) {
    trial one = {.o = t->o, .component = s->component, .config = s->config, .arena = t->arena, .batch = *batch,
                 .results = s->results, .refused = t->refused};
    if (t->o.json) fputs(first ? "[" : ",", stdout);
    else printf("%s\n", s->step->id);
    if (t->o.save[0]) snprintf(one.o.save, sizeof one.o.save, "%.150s/%.64s", t->o.save, s->step->id);
    if (one.o.save[0]) MR_TRY(save(&one, err));
    return report(&one, err);
}

static mr_status run_step(trial *t, const mr_pipeline *p, mr_local_step *steps, uint32_t i, bool *first, mr_error *err) {
    mr_local_step *s = &steps[i];
    mr_batch batch;
    int64_t seed = p->seed >= 0 ? p->seed : t->o.seed, rows = p->batch_size >= 0 ? p->batch_size : t->o.batch_size;
    MR_TRY(mr_local_chain_take(p, steps, i, err));
    MR_TRY(mr_rows_batch(t->rows, 0, mr_rows_count(t->rows), &t->bindings, mr_local_chain_columns(s), t->arena, &batch, err));
    if (s->step->optional && mr_check_columns(s->component, &batch, NULL) != MR_OK) {
        fprintf(stderr, "millrace try: left out: %s\n", s->step->id);
        s->left_out = true;
        return MR_OK;
    }
    MR_TRY(mr_check_columns(s->component, &batch, err));
    MR_TRY(mr_local_chain_run(s, &batch, (uint64_t)seed, (uint32_t)rows, err));
    MR_TRY(report_step(t, s, &batch, *first, err));
    *first = false;
    return MR_OK;
}

static mr_status read_roles(trial *t, const mr_pipeline *p, mr_error *err) {
    for (uint32_t i = 0; i < p->roles; i++) {
        char text[MR_OPTION_TEXT];
        snprintf(text, sizeof text, "%s=%s", p->role[i].name, p->role[i].value);
        if (mr_bindings_parse(&t->bindings, text, err) != MR_OK) return mr_fail_in(err, "%.200s:%u", p->file, p->role[i].line);
    }
    return MR_OK;
}

static mr_status run_steps(trial *t, const mr_pipeline *p, mr_local_step *steps, mr_error *err) {
    mr_status status = mr_local_chain_open(p, steps, err);
    bool first = true;
    for (uint32_t i = 0; status == MR_OK && i < p->steps; i++) status = run_step(t, p, steps, i, &first, err);
    if (t->o.json && !first) fputs("]\n", stdout);
    return status;
}

static mr_status try_pipeline(trial *t, mr_error *err) {
    mr_pipeline p;
    mr_rows_options options = {.map = t->o.map[0] ? &t->map : NULL, .refused = tell_refused, .self = t};
    if (t->o.apply[0] || t->o.set.count || t->o.describe)
        return mr_fail(err, MR_E_USAGE, "a pipeline's file says what is applied and set: leave --apply, --set and --describe out");
    if (!t->o.input[0]) return mr_fail(err, MR_E_USAGE, "--input FILE is missing; it names the rows");
    t->arena = mr_arena_new(NULL, SIZE_MAX / 2);
    if (!t->arena) return mr_fail(err, MR_E_MEMORY, "no memory to start");
    MR_TRY(mr_pipeline_read(t->o.pipeline, t->arena, &p, err));
    for (size_t i = 0; i < t->o.role.count; i++) MR_TRY(mr_bindings_parse(&t->bindings, t->o.role.items[i], err));
    MR_TRY(read_roles(t, &p, err));
    if (t->o.map[0]) MR_TRY(mr_prompt_map_parse(&t->map, t->o.map, err));
    MR_TRY(mr_rows_load(NULL, t->o.input, &options, &t->rows, err));
    mr_local_step *steps = mr_arena_alloc(t->arena, p.steps, sizeof *steps);
    if (!steps) return mr_fail(err, MR_E_MEMORY, "no memory to start");
    mr_status status = run_steps(t, &p, steps, err);
    mr_local_chain_free(steps, p.steps);
    return status == MR_OK ? check_refused(t, err) : status;
}

static mr_status try_it(trial *t, const char *name, mr_error *err) {
    MR_TRY(mr_crypto_init(err));
    if (t->o.pipeline[0] && !name) return try_pipeline(t, err);
    if (!name || t->o.pipeline[0])
        return mr_fail(err, MR_E_USAGE, "name one COMPONENT ('millrace components' lists them), or a --pipeline in its place");
    MR_TRY(mr_component_get(name, &t->component, err));
    if (t->o.describe) return describe(t->component, err);
    MR_TRY(configure(t, err));
    MR_TRY(load_rows(t, err));
    if (t->refused > REFUSED_SHOWN)
        fprintf(stderr, "millrace try: %llu rows were refused in all\n", (unsigned long long)t->refused);
    MR_TRY(compute(t, err));
    if (t->o.save[0]) MR_TRY(save(t, err));
    MR_TRY(report(t, err));
    return check_refused(t, err);
}

int mr_try_main(int argc, char **argv) {
    mr_error err = {0};
    mr_args args;
    trial *t = mr_new(NULL, 1, sizeof *t);
    if (!t) return mr_status_of(MR_E_MEMORY)->exit_code;
    mr_option_defaults(table, &t->o);
    mr_status status = mr_argv_parse(table, &t->o, argc, argv, &usage, &args, &err);
    if (status == MR_OK && args.action != MR_ARGS_RUN)
        status = mr_program_answer(table, &usage, args.action, &err);
    else if (status == MR_OK)
        status = try_it(t, args.count ? args.operands[0] : NULL, &err);
    trial_free(t);
    mr_free(NULL, t, 1, sizeof *t);
    return mr_program_end("millrace try", status, &err);
}
