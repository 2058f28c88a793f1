#include "broker/cli/catalog.h"
#include "broker/cli/page.h"

#include <stdio.h>
#include <string.h>

#include "common/show.h"

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

enum { PAGE = 200, OUT_MAX = 1 << 30, ARENA_MAX = 1 << 30 };

/* ---- pages of results with their bytes ---- */

typedef struct pages {
    mr_cli *cli;
    mr_client *client;
    uint64_t run, after, limit;
    mr_show_detail detail;
    mr_arena *arena; /* of the page */
    mr_span reply;   /* the page's bytes */
    mr_list list;
    bool more;
} pages;

static mr_status next_page(pages *p, const char *component, mr_error *err) {
    for (;;) {
        mr_params args;
        mr_params_init(&args);
        mr_params_u64(&args, "run", p->run);
        mr_params_text(&args, "component", component);
        mr_params_bool(&args, "body", true);
        mr_params_u64(&args, "limit", p->limit);
        if (p->after) mr_params_u64(&args, "after", p->after);
        mr_status status = mr_client_call(p->client, MR_CMD_RESULTS, mr_params_span(&args),
                                          (unsigned)p->cli->globals->timeout_ms, &p->reply, err);
        mr_params_free(&args);
        if (status == MR_E_LIMIT && p->limit > 1) { /* large results: fewer at a time */
            p->limit = p->limit / 4 + (p->limit < 4);
            continue;
        }
        MR_TRY(status);
        break;
    }
    mr_arena_reset(p->arena);
    MR_TRY(mr_list_read(p->reply, p->arena, &p->list, err));
    p->after += p->list.rows;
    p->more = p->list.more && p->list.rows;
    return MR_OK;
}

/* The body of a row of the page; empty when it has none. */
static mr_span body_of(const mr_list *list, uint32_t row) {
    int column = mr_list_column(list, "body");
    mr_span bytes = {0};
    if (column < 0) return bytes;
    mr_unpack u = list->values[(size_t)row * list->columns + (size_t)column];
    return mr_unpack_bin(&u, SIZE_MAX, &bytes, NULL) == MR_OK ? bytes : (mr_span){0};
}

/* ---- for programs ---- */

static mr_status print_json(pages *p, const char *component, mr_error *err) {
    mr_buf text;
    bool first = true;
    mr_status status;
    mr_buf_init(&text, NULL, OUT_MAX);
    fputs("[", stdout);
    do {
        mr_buf_clear(&text);
        status = next_page(p, component, err);
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

typedef struct step {
    char component[128], shape[16], state[16];
    uint64_t dead;
} step;

static void take_text(const mr_list *list, uint32_t row, const char *column, char *out, size_t room) {
    mr_buf cell;
    mr_buf_init(&cell, NULL, 4096);
    mr_list_text(list, row, column, &cell);
    snprintf(out, room, "%.*s", (int)cell.len, (const char *)cell.data);
    mr_buf_free(&cell);
}

static mr_status print_whole(pages *p, const mr_show *show, mr_buf *out, mr_error *err) {
    MR_TRY(next_page(p, show->name, err));
    for (uint32_t i = 0; i < p->list.rows; i++) MR_TRY(mr_show_result(show, p->detail, body_of(&p->list, i), out, err));
    if (!p->list.rows) mr_buf_text(out, "  no result yet\n");
    return MR_OK;
}

static mr_status print_folded(pages *p, const mr_show *show, mr_arena *arena, mr_buf *out, mr_error *err) {
    mr_folding f;
    if (mr_folding_init(&f, show, arena) != MR_OK)
        return mr_fail(err, MR_E_MEMORY, "out of memory for the summary");
    do {
        MR_TRY(next_page(p, show->name, err));
        for (uint32_t i = 0; i < p->list.rows; i++)
            MR_TRY(mr_folding_add(&f, body_of(&p->list, i), mr_list_u64(&p->list, i, "rows"), err));
    } while (p->more);
    if (f.results)
        mr_folding_print(&f, out);
    else
        mr_buf_text(out, "  no result yet\n");
    return MR_OK;
}

static mr_status print_step(pages *p, const step *s, const mr_json *catalogue, mr_buf *out, mr_error *err) {
    mr_arena *arena = mr_arena_new(NULL, ARENA_MAX);
    if (!arena) return mr_fail(err, MR_E_MEMORY, "out of memory");
    mr_show show = {.name = s->component, .summary = ""};
    mr_error ignored;
    if (mr_show_from_json(catalogue, s->component, arena, &show, &ignored) != MR_OK)
        show = (mr_show){.name = s->component,
                         .summary = "not in the catalogue any more: only its findings are shown"};
    mr_buf_printf(out, "%s: %s\n", s->component, show.summary ? show.summary : "");
    if (strcmp(s->state, "succeeded")) mr_buf_printf(out, "  %s", s->state);
    if (strcmp(s->state, "succeeded") && s->dead)
        mr_buf_printf(out, ", %llu batches were given up", (unsigned long long)s->dead);
    if (strcmp(s->state, "succeeded")) mr_buf_text(out, "\n");
    p->after = 0;
    p->limit = PAGE;
    mr_status status =
        strcmp(s->shape, "map") ? print_whole(p, &show, out, err) : print_folded(p, &show, arena, out, err);
    mr_buf_text(out, "\n");
    mr_arena_free(&arena);
    return status;
}

static mr_status find_catalogue(pages *p, mr_json **out, mr_error *err) {
    mr_span body;
    mr_error ignored;
    MR_TRY(mr_client_call(p->client, MR_CMD_COMPONENTS, (mr_span){0}, (unsigned)p->cli->globals->timeout_ms,
                          &body, err));
    if (mr_catalog_of_reply(body, out, &ignored) == MR_OK && mr_json_count(*out)) return MR_OK;
    mr_json_free(out); /* no worker is connected: the one beside this program knows too */
    if (mr_catalog_local(out, &ignored) == MR_OK) return MR_OK;
    return mr_json_parse(mr_span_of("[]"), 2, 1, out, err);
}

static mr_status read_steps(pages *p, step **out, uint32_t *count, mr_arena *arena, mr_error *err) {
    mr_params args;
    mr_span body;
    mr_unpack map, v;
    mr_list list;
    mr_params_init(&args);
    mr_params_u64(&args, "id", p->run);
    mr_status status = mr_client_call(p->client, MR_CMD_RUN_SHOW, mr_params_span(&args),
                                      (unsigned)p->cli->globals->timeout_ms, &body, err);
    mr_params_free(&args);
    MR_TRY(status);
    mr_unpack_init(&map, body);
    if (mr_unpack_find(&map, "steps", &v) != MR_OK)
        return mr_fail(err, MR_E_PROTOCOL, "the broker does not tell the run's steps");
    MR_TRY(mr_list_read((mr_span){v.at, (size_t)(v.end - v.at)}, arena, &list, err));
    *out = mr_arena_alloc(arena, list.rows + 1u, sizeof **out);
    if (!*out) return mr_fail(err, MR_E_MEMORY, "out of memory");
    for (uint32_t i = 0; i < list.rows; i++) {
        take_text(&list, i, "component", (*out)[i].component, sizeof(*out)[i].component);
        take_text(&list, i, "shape", (*out)[i].shape, sizeof(*out)[i].shape);
        take_text(&list, i, "state", (*out)[i].state, sizeof(*out)[i].state);
        (*out)[i].dead = mr_list_u64(&list, i, "dead");
    }
    *count = list.rows;
    return MR_OK;
}

static mr_status no_step(const step *steps, uint32_t count, const char *component, mr_error *err) {
    const char *names[MR_OPTION_LIST + 1] = {NULL};
    for (uint32_t i = 0; i < count && i < MR_OPTION_LIST; i++) names[i] = steps[i].component;
    const char *near = mr_nearest_word(names, component);
    return mr_fail(err, MR_E_NOT_FOUND, "the run has no component '%.60s'%s%s%s", component,
                   near ? ": did you mean '" : "", near ? near : "", near ? "'?" : "");
}

static mr_status print_steps(pages *p, const char *component, const mr_json *catalogue, mr_arena *arena,
                             mr_error *err) {
    step *steps;
    uint32_t count, shown = 0;
    mr_buf out;
    MR_TRY(read_steps(p, &steps, &count, arena, err));
    mr_status status = MR_OK;
    mr_buf_init(&out, NULL, OUT_MAX);
    for (uint32_t i = 0; status == MR_OK && i < count; i++) {
        if (*component && strcmp(component, steps[i].component)) continue;
        shown++;
        mr_buf_clear(&out);
        status = print_step(p, &steps[i], catalogue, &out, err);
        if (status == MR_OK) status = mr_cli_print(&out, err);
    }
    mr_buf_free(&out);
    if (status == MR_OK && !shown) return no_step(steps, count, component, err);
    return status;
}

static mr_status print_for_people(pages *p, const char *component, mr_error *err) {
    mr_json *catalogue = NULL;
    mr_arena *arena = mr_arena_new(NULL, ARENA_MAX);
    if (!arena) return mr_fail(err, MR_E_MEMORY, "out of memory");
    mr_status status = find_catalogue(p, &catalogue, err);
    if (status == MR_OK) status = print_steps(p, component, catalogue, arena, err);
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
    pages p = {.cli = cli, .limit = PAGE, .detail = s->full ? MR_SHOW_FULL : MR_SHOW_BRIEF};
    MR_TRY(mr_cli_number(cli, 0, "the number of a run", &p.run, err));
    if (s->batches) return list_batches(cli, s, p.run, err);
    MR_TRY(mr_client_connect(cli, &p.client, err));
    mr_status status = MR_OK;
    p.arena = mr_arena_new(NULL, ARENA_MAX);
    if (!p.arena)
        status = mr_fail(err, MR_E_MEMORY, "out of memory");
    else if (cli->globals->json)
        status = print_json(&p, s->component, err);
    else
        status = print_for_people(&p, s->component, err);
    if (p.arena) mr_arena_free(&p.arena);
    mr_client_close(&p.client);
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
