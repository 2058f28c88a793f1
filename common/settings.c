#include "common/settings.h"
#include "common/yaml.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

enum { PREFIX = 9, PATH_BYTES = 2 * MR_OPTION_NAME + 2 };
static const char prefix[] = "MILLRACE_";

/* What the layers share while they are read. */
typedef struct load {
    const mr_option *table;
    void *config;
    const mr_settings_input *input;
    mr_origins *origins;
    mr_error *err;
} load;

/* ---- names ---- */

static void path_of(const mr_option *row, char out[PATH_BYTES]) {
    snprintf(out, PATH_BYTES, "%s%s%s", row->group ? row->group : "", row->group ? "." : "", row->name);
}

static void variable_of(const mr_option *row, char out[PATH_BYTES]) {
    snprintf(out, PATH_BYTES, "%s%s", prefix, row->name);
    for (char *c = out; *c; c++) *c = (char)toupper((unsigned char)*c);
}

/* A way to name a row: path_of or variable_of. */
typedef void name_row(const mr_option *row, char out[PATH_BYTES]);

static const mr_option *find_by(const mr_option *table, name_row *naming, const char *name) {
    char own[PATH_BYTES];
    for (const mr_option *row = table; row->name; row++) {
        naming(row, own);
        if (!strcmp(own, name)) return row;
    }
    return NULL;
}

static bool others_know(const load *l, name_row *naming, const char *name) {
    for (size_t i = 0; l->input->others && l->input->others[i]; i++)
        if (find_by(l->input->others[i], naming, name)) return true;
    return false;
}

static mr_status unknown(const load *l, name_row *naming, const char *where, const char *name) {
    char names[MR_SETTINGS_MAX][PATH_BYTES];
    const char *words[MR_SETTINGS_MAX + 1] = {0};
    for (size_t i = 0; l->table[i].name; i++) {
        naming(&l->table[i], names[i]);
        words[i] = names[i];
    }
    const char *near = mr_nearest_word(words, name);
    return mr_fail(l->err, MR_E_USAGE, "%.250s: there is no setting '%.80s'%s%s%s", where, name,
                   near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
}

/* ---- layers ---- */

static mr_status set(load *l, const mr_option *row, const char *value, mr_origin origin, const char *where) {
    size_t i = (size_t)(row - l->table);
    /* A list from a layer takes the place of the one below it, it is not added to that. */
    if (row->type == MR_OPT_LIST && l->origins->of[i] != origin)
        ((mr_option_list *)(void *)((char *)l->config + row->offset))->count = 0;
    if (mr_option_set(l->table, l->config, row->name, value, l->err) != MR_OK)
        return mr_fail_in(l->err, "%s", where);
    l->origins->of[i] = origin;
    return MR_OK;
}

static mr_status set_node(load *l, const mr_yaml *doc, const mr_yaml_node *node) {
    const mr_yaml_node *parent = &doc->nodes[node->parent];
    const mr_yaml_node *named = parent->kind == MR_YAML_LIST ? parent : node;
    char where[300];
    snprintf(where, sizeof where, "%.250s:%u:%u", doc->name, node->line, node->column);
    const mr_option *row = find_by(l->table, path_of, named->path);
    if (!row) return others_know(l, path_of, named->path) ? MR_OK : unknown(l, path_of, where, named->path);
    if (named != node && row->type != MR_OPT_LIST)
        return mr_fail(l->err, MR_E_INVALID, "%s: %s takes one value, not a list", where, named->path);
    if (node->null) return MR_OK;
    l->origins->line[row - l->table] = named->line;
    return set(l, row, node->value, MR_ORIGIN_FILE, where);
}

/* Sections and lists count only by the values in them. */
static mr_status read_nodes(load *l, const mr_yaml *doc) {
    if (doc->count && doc->nodes[0].kind != MR_YAML_MAP && !doc->nodes[0].null)
        return mr_fail(l->err, MR_E_INVALID, "%.250s: settings are lines of 'name: value'", doc->name);
    for (uint32_t i = 1; i < doc->count; i++)
        if (doc->nodes[i].kind == MR_YAML_SCALAR) MR_TRY(set_node(l, doc, &doc->nodes[i]));
    return MR_OK;
}

static mr_status read_file(load *l) {
    const char *path = l->input->file;
    mr_yaml doc = {0};
    if (!path) return MR_OK;
    mr_arena *arena = mr_arena_new(NULL, 16 * (size_t)MR_YAML_BYTES);
    if (!arena) return mr_fail(l->err, MR_E_MEMORY, "no memory to read %.250s", path);
    mr_status status = mr_yaml_read(path, arena, &doc, l->err);
    if (status == MR_OK) {
        snprintf(l->origins->file, sizeof l->origins->file, "%s", path);
        status = read_nodes(l, &doc);
    }
    mr_arena_free(&arena);
    return status == MR_E_NOT_FOUND && l->input->file_may_be_absent ? MR_OK : status;
}

/* A list is separated by commas. */
static mr_status set_variable(load *l, const mr_option *row, const char *value, const char *where) {
    if (row->type != MR_OPT_LIST) return set(l, row, value, MR_ORIGIN_ENVIRONMENT, where);
    while (*value) {
        char item[MR_OPTION_TEXT];
        size_t n = strcspn(value, ",");
        if (n >= sizeof item) return mr_fail(l->err, MR_E_INVALID, "%s: an item is too long", where);
        snprintf(item, sizeof item, "%.*s", (int)n, value);
        MR_TRY(set(l, row, item, MR_ORIGIN_ENVIRONMENT, where));
        value += n;
        value += *value == ',';
    }
    return MR_OK;
}

static mr_status read_environment(load *l) {
    for (size_t i = 0; l->input->environment && l->input->environment[i]; i++) {
        const char *entry = l->input->environment[i], *equals = strchr(entry, '=');
        char name[PATH_BYTES], where[PATH_BYTES + 16];
        if (!equals || strncmp(entry, prefix, PREFIX) || !strncmp(entry, "MILLRACE_TEST_", 14)) continue;
        snprintf(name, sizeof name, "%.*s", (int)(equals - entry), entry);
        snprintf(where, sizeof where, "environment %s", name);
        const mr_option *row = find_by(l->table, variable_of, name);
        if (row)
            MR_TRY(set_variable(l, row, equals + 1, where));
        else if (!others_know(l, variable_of, name))
            return unknown(l, variable_of, "environment", name);
    }
    return MR_OK;
}

static mr_status read_flags(load *l) {
    const mr_args *args = l->input->args;
    for (size_t i = 0; args && i < args->flag_count; i++) {
        const mr_option *row = mr_option_find(l->table, args->flags[i].row->name);
        if (row) MR_TRY(set(l, row, args->flags[i].value, MR_ORIGIN_FLAG, "command line"));
    }
    return MR_OK;
}

mr_status mr_settings_load(const mr_option *table, void *config, const mr_settings_input *input,
                           mr_origins *origins, mr_error *err) {
    mr_error own; /* sentences get their place put before them, so there must be one */
    load l = {table, config, input, origins, err ? err : &own};
    size_t rows = 0;
    while (table[rows].name) rows++;
    MR_ASSERT(rows <= MR_SETTINGS_MAX);
    *origins = (mr_origins){0};
    mr_option_defaults(table, config);
    MR_TRY(read_file(&l));
    MR_TRY(read_environment(&l));
    return read_flags(&l);
}

void mr_origin_text(const mr_option *table, const mr_option *row, const mr_origins *origins, mr_buf *out) {
    size_t i = (size_t)(row - table);
    char name[PATH_BYTES];
    variable_of(row, name);
    switch (origins->of[i]) {
    case MR_ORIGIN_DEFAULT:
        mr_buf_text(out, "default");
        break;
    case MR_ORIGIN_FILE:
        mr_buf_printf(out, "file %s:%u", origins->file, origins->line[i]);
        break;
    case MR_ORIGIN_ENVIRONMENT:
        mr_buf_printf(out, "environment %s", name);
        break;
    case MR_ORIGIN_FLAG:
        snprintf(name, sizeof name, "%s", row->name);
        for (char *c = name; *c; c++)
            if (*c == '_') *c = '-';
        mr_buf_printf(out, "flag --%s", name);
        break;
    }
}
