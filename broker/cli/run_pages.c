#include "broker/cli/run_pages.h"

#include <stdio.h>
#include <string.h>

mr_status mr_run_pages_open(mr_run_pages *p, mr_cli *cli, uint64_t run, mr_error *err) {
    *p = (mr_run_pages){.cli = cli, .run = run, .limit = MR_RUN_PAGE, .step = -1};
    MR_TRY(mr_client_connect(cli, &p->client, err));
    p->arena = mr_arena_new(NULL, MR_RUN_ARENA);
    return p->arena ? MR_OK : mr_fail(err, MR_E_MEMORY, "out of memory");
}

void mr_run_pages_close(mr_run_pages *p) {
    if (p->arena) mr_arena_free(&p->arena);
    mr_client_close(&p->client);
}

void mr_run_pages_rewind(mr_run_pages *p, uint32_t step) {
    p->step = step;
    p->after = 0;
    p->limit = MR_RUN_PAGE;
}

mr_status mr_run_pages_next(mr_run_pages *p, const char *component, mr_error *err) {
    for (;;) {
        mr_params args;
        mr_params_init(&args);
        mr_params_u64(&args, "run", p->run);
        mr_params_text(&args, "component", component);
        if (p->step >= 0) mr_params_u64(&args, "step", (uint64_t)p->step);
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

mr_span mr_run_pages_body(const mr_run_pages *p, uint32_t row) {
    int column = mr_list_column(&p->list, "body");
    mr_span bytes = {0};
    if (column < 0) return bytes;
    mr_unpack u = p->list.values[(size_t)row * p->list.columns + (size_t)column];
    return mr_unpack_bin(&u, SIZE_MAX, &bytes, NULL) == MR_OK ? bytes : (mr_span){0};
}

mr_status mr_run_pages_fold(mr_run_pages *p, const mr_show *show, mr_arena *arena, mr_folding *out, mr_error *err) {
    if (mr_folding_init(out, show, arena) != MR_OK)
        return mr_fail(err, MR_E_MEMORY, "out of memory for the summary");
    do {
        MR_TRY(mr_run_pages_next(p, show->name, err));
        for (uint32_t i = 0; i < p->list.rows; i++)
            MR_TRY(mr_folding_add(out, mr_run_pages_body(p, i), mr_list_u64(&p->list, i, "rows"), err));
    } while (p->more);
    return MR_OK;
}

mr_status mr_run_pages_show(mr_run_pages *p, mr_span *body, mr_error *err) {
    mr_params args;
    mr_params_init(&args);
    mr_params_u64(&args, "id", p->run);
    mr_status status = mr_client_call(p->client, MR_CMD_RUN_SHOW, mr_params_span(&args),
                                      (unsigned)p->cli->globals->timeout_ms, body, err);
    mr_params_free(&args);
    return status;
}

static void take_text(const mr_list *list, uint32_t row, const char *column, char *out, size_t room) {
    mr_buf cell;
    mr_buf_init(&cell, NULL, 4096);
    mr_list_text(list, row, column, &cell);
    snprintf(out, room, "%.*s", (int)cell.len, (const char *)cell.data);
    mr_buf_free(&cell);
}

/* "features from dimensionality_reducer: model of run 7, step 0 (3f2a...)". */
static void input_line(const mr_list *chain, uint32_t row, uint64_t run, char *out, size_t size) {
    char use[16], component[128], what[128], hash[65], where[32] = "this run";
    uint64_t from = mr_list_u64(chain, row, "from_run");
    take_text(chain, row, "use", use, sizeof use);
    take_text(chain, row, "component", component, sizeof component);
    take_text(chain, row, "what", what, sizeof what);
    take_text(chain, row, "hash", hash, sizeof hash);
    if (from != run) snprintf(where, sizeof where, "run %llu", (unsigned long long)from);
    snprintf(out, size, "%s from %.60s: %.60s of %s, step %llu%s%.12s%s", use, component, what, where,
             (unsigned long long)mr_list_u64(chain, row, "from_step"), *hash ? " (" : "", hash, *hash ? ")" : "");
}

static mr_status take_inputs(mr_span show, uint64_t run, mr_run_step *steps, uint32_t count, mr_arena *arena, mr_error *err) {
    mr_unpack map, v;
    mr_list chain;
    mr_unpack_init(&map, show);
    if (mr_unpack_find(&map, "chain", &v) != MR_OK) return MR_OK;
    MR_TRY(mr_list_read((mr_span){v.at, (size_t)(v.end - v.at)}, arena, &chain, err));
    for (uint32_t i = 0; i < chain.rows; i++) {
        uint64_t at = mr_list_u64(&chain, i, "step");
        if (at >= count) continue;
        mr_run_step *s = &steps[at];
        if (!s->input) s->input = mr_arena_alloc(arena, chain.rows, sizeof *s->input);
        if (!s->input) return mr_fail(err, MR_E_MEMORY, "out of memory");
        input_line(&chain, i, run, s->input[s->inputs++], sizeof *s->input);
    }
    return MR_OK;
}

mr_status mr_run_pages_steps(mr_run_pages *p, mr_run_step **out, uint32_t *count, mr_arena *arena, mr_error *err) {
    mr_span body;
    mr_unpack map, v;
    mr_list list;
    MR_TRY(mr_run_pages_show(p, &body, err));
    mr_unpack_init(&map, body);
    if (mr_unpack_find(&map, "steps", &v) != MR_OK)
        return mr_fail(err, MR_E_PROTOCOL, "the broker does not tell the run's steps");
    MR_TRY(mr_list_read((mr_span){v.at, (size_t)(v.end - v.at)}, arena, &list, err));
    *out = mr_arena_alloc(arena, list.rows + 1u, sizeof **out);
    if (!*out) return mr_fail(err, MR_E_MEMORY, "out of memory");
    for (uint32_t i = 0; i < list.rows; i++) {
        take_text(&list, i, "component", (*out)[i].component, sizeof(*out)[i].component);
        take_text(&list, i, "id", (*out)[i].id, sizeof(*out)[i].id);
        if (!(*out)[i].id[0]) memcpy((*out)[i].id, (*out)[i].component, sizeof(*out)[i].id);
        take_text(&list, i, "shape", (*out)[i].shape, sizeof(*out)[i].shape);
        take_text(&list, i, "state", (*out)[i].state, sizeof(*out)[i].state);
        (*out)[i].dead = mr_list_u64(&list, i, "dead");
    }
    *count = list.rows;
    return take_inputs(body, p->run, *out, *count, arena, err);
}

mr_status mr_run_pages_catalogue(mr_run_pages *p, mr_json **out, mr_error *err) {
    mr_span body;
    mr_error ignored;
    MR_TRY(mr_client_call(p->client, MR_CMD_COMPONENTS, (mr_span){0}, (unsigned)p->cli->globals->timeout_ms,
                          &body, err));
    if (mr_catalog_of_reply(body, out, &ignored) == MR_OK && mr_json_count(*out)) return MR_OK;
    mr_json_free(out); /* no worker is connected: the one beside this program knows too */
    if (mr_catalog_local(out, &ignored) == MR_OK) return MR_OK;
    return mr_json_parse(mr_span_of("[]"), 2, 1, out, err);
}

mr_show mr_run_pages_describe(const mr_json *catalogue, const char *component, mr_arena *arena) {
    mr_show show;
    mr_error ignored;
    if (mr_show_from_json(catalogue, component, arena, &show, &ignored) == MR_OK) return show;
    return (mr_show){.name = component, .summary = "not in the catalogue any more: only its findings are shown"};
}
