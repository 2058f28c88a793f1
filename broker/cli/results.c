#include "broker/cli/page.h"
#include "broker/cli/run_pages.h"

#include <stdio.h>
#include <string.h>

typedef struct settings {
    mr_page page;
    char component[MR_OPTION_TEXT];
    bool batches, full;
} settings;

static const mr_option options[] = {
    {.name = "component", .type = MR_OPT_TEXT, .offset = offsetof(settings, component), .flag = 'c',
     .help = "only this component"},
    {.name = "batches", .type = MR_OPT_BOOL, .offset = offsetof(settings, batches),
     .help = "list the results batch by batch: who computed them, when, their hashes"},
    {.name = "full", .type = MR_OPT_BOOL, .offset = offsetof(settings, full),
     .help = "print lists and tables too"},
    MR_PAGE_OPTIONS,
    MR_GLOBAL_OPTIONS,
};

enum { OUT_MAX = 1 << 30 };

/* ---- for programs ---- */

static mr_status print_json(mr_run_pages *p, const char *component, mr_error *err) {
    mr_buf text;
    bool first = true;
    mr_status status;
    mr_buf_init(&text, NULL, OUT_MAX);
    fputs("[", stdout);
    do {
        mr_buf_clear(&text);
        status = mr_run_pages_next(p, component, err);
        if (status == MR_OK) status = mr_view_json(p->reply, &text, err);
        if (status != MR_OK || text.len < 3) break;
        /* "[...]\n" of each page, joined */
        if (text.len > 3)
            fprintf(stdout, "%s%.*s", first ? "" : ",", (int)(text.len - 3), (const char *)text.data + 1);
        first = first && text.len == 3;
    } while (p->more);
    fputs("]\n", stdout);
    mr_buf_free(&text);
    return status;
}

/* ---- for people ---- */

static mr_status print_whole(mr_run_pages *p, const mr_show *show, mr_show_detail detail, mr_buf *out,
                             mr_error *err) {
    MR_TRY(mr_run_pages_next(p, show->name, err));
    for (uint32_t i = 0; i < p->list.rows; i++) MR_TRY(mr_show_result(show, detail, mr_run_pages_body(p, i), out, err));
    if (!p->list.rows) mr_buf_text(out, "  no result yet\n");
    return MR_OK;
}

static mr_status print_folded(mr_run_pages *p, const mr_show *show, mr_arena *arena, mr_buf *out, mr_error *err) {
    mr_folding f;
    MR_TRY(mr_run_pages_fold(p, show, arena, &f, err));
    if (f.results)
        mr_folding_print(&f, out);
    else
        mr_buf_text(out, "  no result yet\n");
    return MR_OK;
}

static mr_status print_step(mr_run_pages *p, const mr_run_step *s, uint32_t place, const mr_json *catalogue, mr_show_detail detail,
                            mr_buf *out, mr_error *err) {
    mr_arena *arena = mr_arena_new(NULL, MR_RUN_ARENA);
    if (!arena) return mr_fail(err, MR_E_MEMORY, "out of memory");
    mr_show show = mr_run_pages_describe(catalogue, s->component, arena);
    bool named = strcmp(s->id, s->component) != 0;
    mr_buf_printf(out, "%s%s%s%s: %s\n", s->id, named ? " (" : "", named ? s->component : "", named ? ")" : "",
                  show.summary ? show.summary : "");
    for (uint32_t i = 0; i < s->inputs; i++) mr_buf_printf(out, "  %s\n", s->input[i]);
    if (strcmp(s->state, "succeeded")) mr_buf_printf(out, "  %s", s->state);
    if (strcmp(s->state, "succeeded") && s->dead)
        mr_buf_printf(out, ", %llu batches were given up", (unsigned long long)s->dead);
    if (strcmp(s->state, "succeeded")) mr_buf_text(out, "\n");
    mr_run_pages_rewind(p, place);
    mr_status status = strcmp(s->shape, "map") ? print_whole(p, &show, detail, out, err)
                                               : print_folded(p, &show, arena, out, err);
    mr_buf_text(out, "\n");
    mr_arena_free(&arena);
    return status;
}

static mr_status no_step(const mr_run_step *steps, uint32_t count, const char *component, mr_error *err) {
    const char *names[MR_OPTION_LIST + 1] = {NULL};
    for (uint32_t i = 0; i < count && i < MR_OPTION_LIST; i++) names[i] = steps[i].component;
    const char *near = mr_nearest_word(names, component);
    return mr_fail(err, MR_E_NOT_FOUND, "the run has no component '%.60s'%s%s%s", component,
                   near ? ": did you mean '" : "", near ? near : "", near ? "'?" : "");
}

static mr_status print_steps(mr_run_pages *p, const char *component, const mr_json *catalogue, mr_show_detail detail,
                             mr_arena *arena, mr_error *err) {
    mr_run_step *steps;
    uint32_t count, shown = 0;
    mr_buf out;
    MR_TRY(mr_run_pages_steps(p, &steps, &count, arena, err));
    mr_status status = MR_OK;
    mr_buf_init(&out, NULL, OUT_MAX);
    for (uint32_t i = 0; status == MR_OK && i < count; i++) {
        if (*component && strcmp(component, steps[i].component) && strcmp(component, steps[i].id)) continue;
        shown++;
        mr_buf_clear(&out);
        status = print_step(p, &steps[i], i, catalogue, detail, &out, err);
        if (status == MR_OK) status = mr_program_print(&out, err);
    }
    mr_buf_free(&out);
    if (status == MR_OK && !shown) return no_step(steps, count, component, err);
    return status;
}

static mr_status print_for_people(mr_run_pages *p, const char *component, mr_show_detail detail, mr_error *err) {
    mr_json *catalogue = NULL;
    mr_arena *arena = mr_arena_new(NULL, MR_RUN_ARENA);
    if (!arena) return mr_fail(err, MR_E_MEMORY, "out of memory");
    mr_status status = mr_run_pages_catalogue(p, &catalogue, err);
    if (status == MR_OK) status = print_steps(p, component, catalogue, detail, arena, err);
    mr_json_free(&catalogue);
    mr_arena_free(&arena);
    return status;
}

static mr_status list_batches(mr_cli *cli, const settings *s, uint64_t run, mr_error *err) {
    mr_params args;
    mr_params_init(&args);
    mr_params_u64(&args, "run", run);
    mr_params_text(&args, "component", s->component);
    mr_page_params(&args, &s->page);
    return mr_view_call(cli, MR_CMD_RESULTS, &args, err);
}

static mr_status run(mr_cli *cli, const void *config, mr_error *err) {
    const settings *s = config;
    mr_run_pages p;
    uint64_t id;
    MR_TRY(mr_cli_number(cli, 0, "the number of a run", &id, err));
    if (s->batches) return list_batches(cli, s, id, err);
    mr_status status = mr_run_pages_open(&p, cli, id, err);
    if (status == MR_OK && cli->globals->json)
        status = print_json(&p, s->component, err);
    else if (status == MR_OK)
        status = print_for_people(&p, s->component, s->full ? MR_SHOW_FULL : MR_SHOW_BRIEF, err);
    mr_run_pages_close(&p);
    return status;
}

const mr_cli_command mr_cli_results = {
    .name = "results",
    .summary = "show what a run found, component by component",
    .operands = "RUN",
    .detail = "Findings come first, the weightiest on top; then the outputs that are one value, with unit and "
              "meaning, summed up\n"
              "over the batches where a component gives a result for each. --full prints lists and tables too, "
              "--json gives\n"
              "every result in full, --batches tells who computed it and when.",
    .example = "millrace results 7\n"
               "millrace results 7 --component context_learner --json\n",
    .min_operands = 1,
    .max_operands = 1,
    .options = options,
    .config_size = sizeof(settings),
    .run = run,
};
