#include "common/pipeline.h"

#include "common/file.h"
#include "common/option.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct reader {
    const mr_yaml *doc;
    mr_arena *arena;
    mr_error *err;
} reader;

static mr_status MR_PRINTF(3, 4) refuse(const reader *r, const mr_yaml_node *at, const char *fmt, ...) {
    char what[400];
    va_list args;
    va_start(args, fmt);
    vsnprintf(what, sizeof what, fmt, args);
    va_end(args);
    return mr_fail(r->err, MR_E_INVALID, "%.200s:%u:%u: %s", r->doc->name, at->line, at->column, what);
}

static void *alloc(const reader *r, size_t n, size_t size, mr_status *status) {
    void *p = mr_arena_alloc(r->arena, n ? n : 1, size);
    if (!p) *status = mr_fail(r->err, MR_E_MEMORY, "no memory to read %.200s", r->doc->name);
    return p;
}

/* The next child of a container behind node `after` (the container itself at first); NULL behind the last. */
static const mr_yaml_node *child(const reader *r, const mr_yaml_node *parent, const mr_yaml_node *after) {
    uint32_t place = (uint32_t)(parent - r->doc->nodes);
    for (uint32_t i = (uint32_t)(after - r->doc->nodes) + 1; i < r->doc->count; i++)
        if (r->doc->nodes[i].parent == place) return &r->doc->nodes[i];
    return NULL;
}

static const mr_yaml_node *member(const reader *r, const mr_yaml_node *map, const char *key) {
    for (const mr_yaml_node *n = map; (n = child(r, map, n));)
        if (!strcmp(n->key, key)) return n;
    return NULL;
}

static mr_status check_members(const reader *r, const mr_yaml_node *map, const char *const *words) {
    for (const mr_yaml_node *n = map; (n = child(r, map, n));) {
        size_t i = 0;
        while (words[i] && strcmp(words[i], n->key) != 0) i++;
        if (words[i]) continue;
        const char *near = mr_nearest_word(words, n->key);
        return refuse(r, n, "'%.60s' is not known here%s%s%s", n->key, near ? ": did you mean '" : "", near ? near : "",
                      near ? "'?" : "");
    }
    return MR_OK;
}

/* ---- values ---- */

static mr_status want_text(const reader *r, const mr_yaml_node *n, const char **out) {
    if (n->kind != MR_YAML_SCALAR || n->null || !*n->value) return refuse(r, n, "'%.60s' must be text", n->key);
    *out = n->value;
    return MR_OK;
}

static mr_status read_name(const reader *r, const mr_yaml_node *map, const char *key, const char **out) {
    const mr_yaml_node *n = member(r, map, key);
    if (!n) return MR_OK;
    MR_TRY(want_text(r, n, out));
    return strlen(*out) <= MR_PIPELINE_NAME ? MR_OK : refuse(r, n, "'%s' has at most %d bytes", key, MR_PIPELINE_NAME);
}

static mr_status read_number(const reader *r, const mr_yaml_node *map, const char *key, int64_t least, int64_t *out) {
    const mr_yaml_node *n = member(r, map, key);
    char *end;
    if (!n) return MR_OK;
    errno = 0;
    long long v = strtoll(n->value, &end, 10);
    if (n->kind != MR_YAML_SCALAR || end == n->value || *end || errno || v < least)
        return refuse(r, n, "'%s' must be a whole number from %lld", key, (long long)least);
    *out = v;
    return MR_OK;
}

static mr_status read_flag(const reader *r, const mr_yaml_node *map, const char *key, bool *out) {
    const mr_yaml_node *n = member(r, map, key);
    if (!n) return MR_OK;
    *out = !strcmp(n->value, "true");
    return *out || !strcmp(n->value, "false") ? MR_OK : refuse(r, n, "'%s' must be true or false", key);
}

/* A map of names to single values, as pairs. */
static mr_status read_pairs(const reader *r, const mr_yaml_node *map, const char *key, uint32_t most,
                            const mr_pipeline_pair **out, uint32_t *count) {
    const mr_yaml_node *from = member(r, map, key);
    mr_status status = MR_OK;
    if (!from || from->null) return MR_OK;
    if (from->kind != MR_YAML_MAP) return refuse(r, from, "'%s' must be a map of names to values", key);
    if (from->count > most) return refuse(r, from, "'%s' has at most %u members", key, most);
    mr_pipeline_pair *pairs = alloc(r, from->count, sizeof *pairs, &status);
    for (const mr_yaml_node *n = from; pairs && (n = child(r, from, n));) {
        if (n->kind != MR_YAML_SCALAR) return refuse(r, n, "'%.60s' must be one value", n->key);
        pairs[(*count)++] = (mr_pipeline_pair){n->key, n->null ? "" : n->value, n->line};
    }
    *out = pairs;
    return status;
}

/* ---- edges ---- */

static bool use_named(const char *name, mr_use *out) {
    for (int i = 0; mr_use_names[i]; i++)
        if (!strcmp(mr_use_names[i], name)) return *out = (mr_use)i, true;
    return false;
}

static mr_status read_use(const reader *r, const mr_yaml_node *map, mr_pipeline_edge *e) {
    const char *word = NULL;
    MR_TRY(read_name(r, map, "as", &word));
    e->use_said = e->use_said || word;
    if (!word || use_named(word, &e->use)) return MR_OK;
    return refuse(r, member(r, map, "as"), "'as' is input, features or model, not '%.60s'", word);
}

static mr_status read_edge(const reader *r, const mr_yaml_node *n, bool apply, mr_pipeline_edge *e) {
    static const char *const words[] = {"step", "newest", "run", "of", "artifact", "as", NULL};
    int64_t run = 0;
    *e = (mr_pipeline_edge){.line = n->line, .use_said = apply, .use = apply ? MR_USE_MODEL : MR_USE_INPUT};
    if (n->kind == MR_YAML_SCALAR) return want_text(r, n, &e->step);
    if (n->kind != MR_YAML_MAP) return refuse(r, n, "a need is the id of a step, or a map with step, newest, or run and of");
    MR_TRY(check_members(r, n, words));
    MR_TRY(read_name(r, n, "step", &e->step));
    MR_TRY(read_name(r, n, "newest", &e->newest));
    MR_TRY(read_number(r, n, "run", 1, &run));
    MR_TRY(read_name(r, n, "of", &e->of));
    MR_TRY(read_name(r, n, "artifact", &e->artifact));
    e->run = (uint64_t)run;
    if (!!e->step + !!e->newest + !!e->run != 1)
        return refuse(r, n, "a need says one of step (of this pipeline), newest (a component) and run (with of)");
    if (!e->run != !e->of) return refuse(r, n, "run and of go together: the number of a run, and which of its steps");
    if (apply && member(r, n, "as")) return refuse(r, member(r, n, "as"), "what is applied is a model: leave 'as' out");
    return read_use(r, n, e);
}

static mr_status read_edges(const reader *r, const mr_yaml_node *map, mr_pipeline_step *s) {
    const mr_yaml_node *needs = member(r, map, "needs"), *apply = member(r, map, "apply");
    mr_status status = MR_OK;
    s->edges_said = needs || apply;
    if (needs && needs->kind != MR_YAML_LIST) return refuse(r, needs, "'needs' must be a list, such as [%s]", s->id);
    if ((needs ? needs->count : 0) + !!apply > MR_GIVENS)
        return refuse(r, needs, "a step is given at most %d things", MR_GIVENS);
    s->edge = alloc(r, MR_GIVENS, sizeof *s->edge, &status);
    MR_TRY(status);
    for (const mr_yaml_node *n = needs; needs && (n = child(r, needs, n));)
        MR_TRY(read_edge(r, n, false, &s->edge[s->edges++]));
    return apply ? read_edge(r, apply, true, &s->edge[s->edges++]) : MR_OK;
}

/* ---- steps ---- */

static mr_status read_step(const reader *r, const mr_yaml_node *n, mr_pipeline_step *s) {
    static const char *const words[] = {"id", "component", "options", "needs", "apply", "optional", NULL};
    *s = (mr_pipeline_step){.line = n->line};
    if (n->kind != MR_YAML_MAP) return refuse(r, n, "a step is a map with at least a component");
    MR_TRY(check_members(r, n, words));
    MR_TRY(read_name(r, n, "component", &s->component));
    if (!s->component) return refuse(r, n, "the step names no component: 'millrace components' lists them");
    s->id = s->component;
    s->component_line = member(r, n, "component")->line;
    MR_TRY(read_name(r, n, "id", &s->id));
    if (strspn(s->id, "0123456789") == strlen(s->id))
        return refuse(r, n, "the id '%s' is a number; steps have numbers of their own", s->id);
    MR_TRY(read_flag(r, n, "optional", &s->optional));
    MR_TRY(read_pairs(r, n, "options", MR_PIPELINE_OPTIONS, &s->option, &s->options));
    return read_edges(r, n, s);
}

static mr_pipeline_step *step_named(const mr_pipeline *p, uint32_t count, const char *id) {
    for (uint32_t i = 0; i < count; i++)
        if (!strcmp(p->step[i].id, id)) return &p->step[i];
    return NULL;
}

static mr_status read_steps(const reader *r, const mr_yaml_node *root, mr_pipeline *out) {
    const mr_yaml_node *list = member(r, root, "steps");
    mr_status status = MR_OK;
    if (!list || list->kind != MR_YAML_LIST || !list->count)
        return refuse(r, list ? list : root, "a pipeline has a list of steps");
    if (list->count > MR_PIPELINE_STEPS) return refuse(r, list, "a pipeline has at most %d steps", MR_PIPELINE_STEPS);
    out->step = alloc(r, list->count, sizeof *out->step, &status);
    MR_TRY(status);
    for (const mr_yaml_node *n = list; (n = child(r, list, n)); out->steps++) {
        mr_pipeline_step *s = &out->step[out->steps];
        MR_TRY(read_step(r, n, s));
        const mr_pipeline_step *same = step_named(out, out->steps, s->id);
        if (same)
            return refuse(r, n, "the id '%s' is that of line %u too: give each step an id of its own", s->id, same->line);
    }
    return MR_OK;
}

/* ---- order ---- */

static mr_status MR_PRINTF(3, 4) refuse_line(const reader *r, unsigned line, const char *fmt, ...) {
    char what[400];
    va_list args;
    va_start(args, fmt);
    vsnprintf(what, sizeof what, fmt, args);
    va_end(args);
    return mr_fail(r->err, MR_E_INVALID, "%.200s:%u: %s", r->doc->name, line, what);
}

static mr_status find_steps(const reader *r, const mr_pipeline *p) {
    const char *ids[MR_PIPELINE_STEPS + 1] = {NULL};
    for (uint32_t i = 0; i < p->steps; i++) ids[i] = p->step[i].id;
    for (uint32_t i = 0; i < p->steps; i++)
        for (uint32_t k = 0; k < p->step[i].edges; k++) {
            mr_pipeline_edge *e = &p->step[i].edge[k];
            if (!e->step) continue;
            const mr_pipeline_step *to = step_named(p, p->steps, e->step);
            if (to) {
                e->place = (uint32_t)(to - p->step);
                continue;
            }
            const char *near = mr_nearest_word(ids, e->step);
            return refuse_line(r, e->line, "'%s' needs '%.60s', which is the id of no step%s%s%s", p->step[i].id, e->step,
                               near ? ": did you mean '" : "", near ? near : "", near ? "'?" : "");
        }
    return MR_OK;
}

static const mr_pipeline_edge *edge_to_come(const mr_pipeline_step *s, const bool *placed) {
    for (uint32_t k = 0; k < s->edges; k++)
        if (s->edge[k].step && !placed[s->edge[k].place]) return &s->edge[k];
    return NULL;
}

/* Every step that is left needs one that is left: following the needs comes round. */
static mr_status tell_cycle(const reader *r, const mr_pipeline *p, const bool *placed) {
    bool seen[MR_PIPELINE_STEPS] = {false};
    uint32_t at = 0;
    char path[300];
    while (placed[at]) at++;
    for (; !seen[at]; at = edge_to_come(&p->step[at], placed)->place) seen[at] = true;
    unsigned line = edge_to_come(&p->step[at], placed)->line;
    uint32_t first = at;
    size_t n = (size_t)snprintf(path, sizeof path, "%s", p->step[first].id);
    do {
        at = edge_to_come(&p->step[at], placed)->place;
        if (n < sizeof path) n += (size_t)snprintf(path + n, sizeof path - n, " needs %s", p->step[at].id);
        if (at != first && n < sizeof path) n += (size_t)snprintf(path + n, sizeof path - n, ", which");
    } while (at != first);
    return refuse_line(r, line, "the steps need each other in a circle: %s; take one of these needs out", path);
}

static mr_status put_in_order(const reader *r, mr_pipeline *p) {
    bool placed[MR_PIPELINE_STEPS] = {false};
    uint32_t place[MR_PIPELINE_STEPS], done = 0;
    mr_status status = MR_OK;
    mr_pipeline_step *sorted = alloc(r, p->steps, sizeof *sorted, &status);
    if (!sorted) return status;
    while (done < p->steps) {
        uint32_t i = 0;
        while (i < p->steps && (placed[i] || edge_to_come(&p->step[i], placed))) i++;
        if (i == p->steps) return tell_cycle(r, p, placed);
        placed[i] = true;
        place[i] = done;
        sorted[done++] = p->step[i];
    }
    for (uint32_t i = 0; i < p->steps; i++)
        for (uint32_t k = 0; k < sorted[i].edges; k++)
            if (sorted[i].edge[k].step) sorted[i].edge[k].place = place[sorted[i].edge[k].place];
    p->step = sorted;
    return MR_OK;
}

/* ---- the file ---- */

mr_status mr_pipeline_parse(mr_span text, const char *file, mr_arena *arena, mr_pipeline *out, mr_error *err) {
    static const char *const words[] = {"name", "about", "dataset", "batch_size", "seed", "roles", "steps", NULL};
    mr_yaml doc;
    *out = (mr_pipeline){.file = file, .name = "", .about = "", .dataset = "", .batch_size = -1, .seed = -1};
    MR_TRY(mr_yaml_parse(text, file, arena, &doc, err));
    reader r = {&doc, arena, err};
    if (!doc.count || doc.nodes[0].kind != MR_YAML_MAP)
        return mr_fail(err, MR_E_INVALID, "%.200s:1: a pipeline is a map with a name and steps", file);
    const mr_yaml_node *root = doc.nodes, *about = member(&r, root, "about");
    MR_TRY(check_members(&r, root, words));
    MR_TRY(read_name(&r, root, "name", &out->name));
    MR_TRY(read_name(&r, root, "dataset", &out->dataset));
    if (about) MR_TRY(want_text(&r, about, &out->about));
    MR_TRY(read_number(&r, root, "batch_size", 1, &out->batch_size));
    MR_TRY(read_number(&r, root, "seed", 0, &out->seed));
    MR_TRY(read_pairs(&r, root, "roles", MR_PIPELINE_ROLES, &out->role, &out->roles));
    MR_TRY(read_steps(&r, root, out));
    MR_TRY(find_steps(&r, out));
    return put_in_order(&r, out);
}

mr_status mr_pipeline_read(const char *path, mr_arena *arena, mr_pipeline *out, mr_error *err) {
    mr_buf text;
    mr_buf_init(&text, NULL, MR_YAML_BYTES + 65536);
    mr_status status = mr_file_read(path, MR_YAML_BYTES, &text, err);
    if (status == MR_OK) status = mr_pipeline_parse(mr_buf_span(&text), path, arena, out, err);
    mr_buf_free(&text);
    return status;
}
