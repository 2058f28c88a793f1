#include "broker/cli/catalog.h"
#include "broker/cli/proc.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const mr_option options[] = {MR_GLOBAL_OPTIONS};
enum { ASK_MS = 400, NAMES_MAX = 256 };

/* The broker's list, or nothing when none answers quickly: the catalogue is here anyway. */
static bool ask_broker(const mr_cli *cli, mr_buf *reply) {
    mr_client *c;
    mr_span body;
    mr_error ignored;
    if (mr_client_open_with(cli->globals, cli->globals->broker, ASK_MS, &c, &ignored) != MR_OK) return false;
    bool good = mr_client_call(c, MR_CMD_COMPONENTS, (mr_span){0}, 2000, &body, &ignored) == MR_OK;
    if (good) mr_buf_put(reply, body.data, body.len);
    mr_client_close(&c);
    return good && mr_buf_status(reply) == MR_OK;
}

static bool text_of(const mr_json *object, const char *name, mr_span *out) {
    return mr_json_text(mr_json_member(object, name), out);
}

static void put_text(mr_buf *pack, const mr_json *object, const char *name) {
    mr_span text;
    if (text_of(object, name, &text))
        mr_pack_str(pack, text);
    else
        mr_pack_nil(pack);
}

static void put_integer(mr_buf *pack, const mr_json *object, const char *name) {
    int64_t v;
    if (mr_json_integer(mr_json_member(object, name), &v))
        mr_pack_i64(pack, v);
    else
        mr_pack_nil(pack);
}

static void put_workers(mr_buf *pack, const mr_list *live, const mr_json *component) {
    mr_span name;
    if (!live) {
        mr_pack_nil(pack);
        return;
    }
    uint64_t workers = 0;
    mr_buf cell;
    mr_buf_init(&cell, NULL, 1024);
    for (uint32_t i = 0; text_of(component, "name", &name) && i < live->rows; i++) {
        mr_buf_clear(&cell);
        mr_list_text(live, i, "name", &cell);
        if (mr_span_eq(mr_buf_span(&cell), name)) workers += mr_list_u64(live, i, "workers");
    }
    mr_buf_free(&cell);
    mr_pack_u64(pack, workers);
}

static mr_status print_list(const mr_cli *cli, const mr_json *catalogue, const mr_list *live, mr_error *err) {
    static const char *const columns[] = {"name", "kind", "tier", "shape", "version", "workers", "summary"};
    mr_buf pack;
    mr_buf_init(&pack, NULL, 4 << 20);
    mr_pack_map(&pack, 2);
    mr_pack_text(&pack, "columns");
    mr_pack_array(&pack, 7);
    for (size_t i = 0; i < 7; i++) mr_pack_text(&pack, columns[i]);
    mr_pack_text(&pack, "rows");
    mr_pack_array(&pack, (uint32_t)mr_json_count(catalogue));
    for (size_t i = 0; i < mr_json_count(catalogue); i++) {
        const mr_json *c = mr_json_item(catalogue, i);
        mr_pack_array(&pack, 7);
        put_text(&pack, c, "name");
        put_text(&pack, c, "kind");
        put_integer(&pack, c, "tier");
        put_text(&pack, c, "shape");
        put_integer(&pack, c, "version");
        put_workers(&pack, live, c);
        put_text(&pack, c, "summary");
    }
    mr_status status = mr_view(cli, mr_buf_span(&pack), err);
    mr_buf_free(&pack);
    return status;
}

static mr_status unknown(const mr_json *catalogue, const char *name, mr_error *err) {
    static const size_t room = 64;
    char names[NAMES_MAX][64];
    const char *words[NAMES_MAX + 1] = {NULL};
    for (size_t i = 0; i < mr_json_count(catalogue) && i < NAMES_MAX; i++) {
        mr_span text = {0};
        if (!text_of(mr_json_item(catalogue, i), "name", &text)) text = (mr_span){0};
        snprintf(names[i], room, "%.*s", MR_SPAN_ARG(text));
        words[i] = names[i];
    }
    const char *near = mr_nearest_word(words, name);
    return mr_fail(err, MR_E_NOT_FOUND,
                   "there is no component '%.60s'%s%s%s; 'millrace components' lists them", name,
                   near ? ": did you mean '" : "", near ? near : "", near ? "'?" : "");
}

static mr_status print_one(const mr_cli *cli, const mr_json *catalogue, const char *name, mr_error *err) {
    const mr_json *found = NULL;
    mr_span text;
    for (size_t i = 0; i < mr_json_count(catalogue); i++) {
        const mr_json *c = mr_json_item(catalogue, i);
        if (text_of(c, "name", &text) && mr_span_eq(text, mr_span_of(name))) found = c;
    }
    if (!found) return unknown(catalogue, name, err);
    mr_buf pack;
    mr_buf_init(&pack, NULL, 4 << 20);
    mr_json_to_pack(found, &pack);
    mr_status status = mr_view(cli, mr_buf_span(&pack), err);
    mr_buf_free(&pack);
    return status;
}

/* The worker beside this program describes its components best. */
static mr_status describe(const mr_cli *cli, const mr_json *catalogue, const char *name, mr_error *err) {
    char worker[PATH_MAX];
    if (cli->globals->json || mr_proc_beside("millrace-worker", worker, NULL) != MR_OK)
        return print_one(cli, catalogue, name, err);
    const char *argv[] = {worker, "try", name, "--describe", NULL};
    mr_buf text;
    int code = 0;
    mr_buf_init(&text, NULL, 4 << 20);
    mr_status status = mr_proc_capture(argv, 10000, true, &text, &code, err);
    if (status == MR_OK && code)
        status = print_one(cli, catalogue, name, err);
    else if (status == MR_OK)
        status = mr_program_print(&text, err);
    mr_buf_free(&text);
    return status;
}

static mr_status run(mr_cli *cli, const void *config, mr_error *err) {
    (void)config;
    mr_buf reply;
    mr_json *catalogue = NULL;
    mr_list live;
    mr_buf_init(&reply, NULL, 32 << 20);
    mr_arena *arena = mr_arena_new(NULL, 64 << 20);
    if (!arena) return mr_fail(err, MR_E_MEMORY, "out of memory");
    bool answered = ask_broker(cli, &reply) && mr_list_read(mr_buf_span(&reply), arena, &live, NULL) == MR_OK;
    mr_status status = mr_catalog_local(&catalogue, err);
    if (status == MR_E_NOT_FOUND && answered)
        status = mr_catalog_of_reply(mr_buf_span(&reply), &catalogue, err);
    const char *name = mr_cli_operand(cli, 0);
    if (status == MR_OK)
        status = name ? describe(cli, catalogue, name, err)
                      : print_list(cli, catalogue, answered ? &live : NULL, err);
    mr_json_free(&catalogue);
    mr_arena_free(&arena);
    mr_buf_free(&reply);
    return status;
}

const mr_cli_command mr_cli_components = {
    .name = "components",
    .summary = "list the components that are compiled in, or describe one",
    .operands = "[NAME]",
    .detail = "The column 'workers' says how many connected workers offer a component; it is empty when no "
              "broker answers.",
    .example = "millrace components\n"
               "millrace components context_learner\n",
    .max_operands = 1,
    .options = options,
    .config_size = sizeof(mr_globals),
    .run = run,
};
