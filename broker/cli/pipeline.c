#include "broker/cli/pipeline.h"

#include "broker/cli/proc.h"
#include "common/option_json.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SHIPPED_MAX = 256, OPTIONS_TEXT = 256 * 1024 };
static const char suffix[] = ".yaml";

/* ---- where they are ---- */

static bool ends_with(const char *name, const char *end) {
    size_t n = strlen(name), m = strlen(end);
    return n > m && !strcmp(name + n - m, end);
}

static int by_name(const void *a, const void *b) { return strcmp(*(const char *const *)a, *(const char *const *)b); }

mr_status mr_pipeline_shipped(mr_arena *arena, const char *const **out, mr_error *err) {
    char folder[PATH_MAX];
    const char **names = mr_arena_alloc(arena, SHIPPED_MAX + 1, sizeof *names);
    size_t count = 0;
    if (!names) return mr_fail(err, MR_E_MEMORY, "out of memory");
    *out = names;
    MR_TRY(mr_proc_share("pipelines", folder, err));
    DIR *dir = opendir(folder);
    if (!dir) return mr_fail(err, MR_E_IO, "cannot list %.300s", folder);
    for (const struct dirent *e; count < SHIPPED_MAX && (e = readdir(dir));) {
        if (!ends_with(e->d_name, suffix)) continue;
        char *name = mr_arena_copy(arena, e->d_name, strlen(e->d_name) - strlen(suffix));
        if (name) names[count++] = name;
    }
    closedir(dir);
    qsort(names, count, sizeof *names, by_name);
    return MR_OK;
}

static mr_status not_shipped(const char *name, mr_error *err) {
    const char *const *names = NULL;
    mr_arena *arena = mr_arena_new(NULL, 1 << 20);
    if (!arena) return mr_fail(err, MR_E_MEMORY, "out of memory");
    mr_status s = mr_pipeline_shipped(arena, &names, err);
    if (s == MR_OK) {
        const char *near = mr_nearest_word(names, name);
        s = mr_fail(err, MR_E_NOT_FOUND,
                    "there is no pipeline '%.60s'%s%s%s: 'millrace pipelines' lists them; a file ends with .yaml", name,
                    near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
    }
    mr_arena_free(&arena);
    return s;
}

mr_status mr_pipeline_find(const char *name, char out[PATH_MAX], mr_error *err) {
    char below[PATH_MAX];
    mr_error ignored;
    if (strchr(name, '/') || ends_with(name, suffix) || ends_with(name, ".yml")) {
        snprintf(out, PATH_MAX, "%s", name);
        return MR_OK;
    }
    snprintf(below, sizeof below, "pipelines/%.200s%s", name, suffix);
    return mr_proc_share(below, out, &ignored) == MR_OK ? MR_OK : not_shipped(name, err);
}

/* ---- against the catalogue ---- */

static const mr_json *component_named(const mr_json *catalogue, const char *name) {
    for (size_t i = 0; i < mr_json_count(catalogue); i++) {
        mr_span it;
        if (mr_json_text(mr_json_member(mr_json_item(catalogue, i), "name"), &it) && mr_span_eq(it, mr_span_of(name)))
            return mr_json_item(catalogue, i);
    }
    return NULL;
}

static mr_status no_component(const mr_pipeline *p, unsigned line, const mr_json *catalogue, const char *name,
                              mr_error *err) {
    const char *names[SHIPPED_MAX + 1] = {NULL};
    for (size_t i = 0, n = 0; i < mr_json_count(catalogue) && n < SHIPPED_MAX; i++) {
        mr_span it;
        if (mr_json_text(mr_json_member(mr_json_item(catalogue, i), "name"), &it)) names[n++] = (const char *)it.data;
    }
    const char *near = mr_nearest_word(names, name);
    return mr_fail(err, MR_E_NOT_FOUND, "%.200s:%u: there is no component '%.60s'%s%s%s: 'millrace components' lists them",
                   p->file, line, name, near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
}

static mr_status check_option(const mr_pipeline *p, const mr_pipeline_step *s, const mr_pipeline_pair *o,
                              const mr_json *component, mr_error *err) {
    mr_buf given, json;
    mr_unpack u;
    mr_buf_init(&given, NULL, OPTIONS_TEXT);
    mr_buf_init(&json, NULL, OPTIONS_TEXT);
    mr_pack_map(&given, 1);
    mr_pack_text(&given, o->name);
    mr_pack_text(&given, o->value);
    mr_unpack_init(&u, mr_buf_span(&given));
    mr_status status = mr_option_json(component, &u, &json, err);
    if (status != MR_OK) status = mr_fail_in(err, "%.200s:%u: %s", p->file, o->line, s->component);
    mr_buf_free(&given);
    mr_buf_free(&json);
    return status;
}

mr_status mr_pipeline_check(const mr_pipeline *p, const mr_json *catalogue, mr_error *err) {
    for (uint32_t i = 0; i < p->steps; i++) {
        const mr_pipeline_step *s = &p->step[i];
        const mr_json *component = component_named(catalogue, s->component);
        if (!component) return no_component(p, s->component_line, catalogue, s->component, err);
        for (uint32_t k = 0; k < s->options; k++) MR_TRY(check_option(p, s, &s->option[k], component, err));
        for (uint32_t k = 0; k < s->edges; k++)
            if (s->edge[k].newest && !component_named(catalogue, s->edge[k].newest))
                return no_component(p, s->edge[k].line, catalogue, s->edge[k].newest, err);
    }
    return MR_OK;
}

/* ---- options of the command line ---- */

/* The option behind "ID." when the text is of that step, else NULL. */
static const char *set_of(const char *text, const char *id) {
    size_t n = strlen(id);
    return !strncmp(text, id, n) && text[n] == '.' ? text + n + 1 : NULL;
}

mr_status mr_pipeline_check_sets(const mr_pipeline *p, const mr_option_list *sets, mr_error *err) {
    for (size_t i = 0; i < sets->count; i++) {
        const char *text = sets->items[i], *option = NULL;
        for (uint32_t k = 0; k < p->steps && !option; k++) option = set_of(text, p->step[k].id);
        if (option && strchr(option, '=') && *option != '=') continue;
        return mr_fail(err, MR_E_USAGE, "--set %.100s is not ID.OPTION=VALUE of a step of %.100s", text, p->file);
    }
    return MR_OK;
}

static bool is_set(const mr_pipeline_step *s, const mr_option_list *sets, const char *name) {
    size_t n = strlen(name);
    for (size_t i = 0; i < sets->count; i++) {
        const char *option = set_of(sets->items[i], s->id);
        if (option && !strncmp(option, name, n) && option[n] == '=') return true;
    }
    return false;
}

/* ---- the submission ---- */

static void put_options(const mr_pipeline_step *s, const mr_option_list *sets, mr_buf *to) {
    size_t at = mr_pack_open_map(to);
    uint32_t count = 0;
    for (uint32_t i = 0; i < s->options; i++) {
        if (is_set(s, sets, s->option[i].name)) continue;
        mr_pack_text(to, s->option[i].name);
        mr_pack_text(to, s->option[i].value);
        count++;
    }
    for (size_t i = 0; i < sets->count; i++) {
        const char *option = set_of(sets->items[i], s->id), *equals = option ? strchr(option, '=') : NULL;
        if (!equals) continue;
        mr_pack_str(to, (mr_span){(const uint8_t *)option, (size_t)(equals - option)});
        mr_pack_text(to, equals + 1);
        count++;
    }
    mr_pack_patch(to, at, count);
}

static void put_pair(mr_buf *to, const char *name, const char *value, uint32_t *count) {
    if (!value) return;
    mr_pack_text(to, name);
    mr_pack_text(to, value);
    ++*count;
}

static void put_edge(const mr_pipeline_edge *e, mr_buf *to) {
    size_t at = mr_pack_open_map(to);
    uint32_t count = 1;
    if (e->step || e->run) {
        mr_pack_text(to, e->step ? "step" : "run");
        mr_pack_u64(to, e->step ? e->place : e->run);
    } else {
        mr_pack_text(to, "newest");
        mr_pack_text(to, e->newest);
    }
    put_pair(to, "of", e->of, &count);
    put_pair(to, "artifact", e->artifact, &count);
    put_pair(to, "use", e->use_said ? mr_use_names[e->use] : NULL, &count);
    mr_pack_patch(to, at, count);
}

static void put_step(const mr_pipeline *p, const mr_pipeline_step *s, const mr_option_list *sets, mr_buf *to) {
    char where[128];
    const char *file = strrchr(p->file, '/');
    snprintf(where, sizeof where, "%.100s:%u", file ? file + 1 : p->file, s->line);
    mr_pack_map(to, 5 + s->edges_said);
    mr_pack_text(to, "optional");
    mr_pack_bool(to, s->optional);
    mr_pack_text(to, "name");
    mr_pack_text(to, s->component);
    mr_pack_text(to, "id");
    mr_pack_text(to, s->id);
    mr_pack_text(to, "at");
    mr_pack_text(to, where);
    mr_pack_text(to, "options");
    put_options(s, sets, to);
    if (!s->edges_said) return;
    mr_pack_text(to, "needs");
    mr_pack_array(to, s->edges);
    for (uint32_t i = 0; i < s->edges; i++) put_edge(&s->edge[i], to);
}

void mr_pipeline_put_steps(const mr_pipeline *p, const mr_option_list *sets, mr_buf *to) {
    mr_pack_array(to, p->steps);
    for (uint32_t i = 0; i < p->steps; i++) put_step(p, &p->step[i], sets, to);
}
