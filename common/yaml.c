#include "common/yaml.h"
#include "common/file.h"
#include "common/text.h"

#include <stdio.h>
#include <string.h>
#include <yaml.h>

enum { PATH_MAX_BYTES = 512 };

/* A map or list that is being read. */
typedef struct level {
    uint32_t node;
    bool map, has_key;
    const char *key; /* map: of the value that comes next */
} level;

typedef struct reader {
    mr_arena *arena;
    const char *name;
    mr_yaml_node *nodes;
    uint32_t count, cap;
    unsigned depth;
    level at[MR_YAML_DEPTH];
    bool has_document;
} reader;

static mr_status refuse(const reader *r, yaml_mark_t at, mr_error *err, const char *what) {
    return mr_fail(err, MR_E_INVALID, "%.200s:%zu:%zu: %.200s", r->name, at.line + 1, at.column + 1, what);
}

static mr_status no_memory(const reader *r, mr_error *err) {
    return mr_fail(err, MR_E_MEMORY, "no memory to read %.200s", r->name);
}

static mr_status broken(const reader *r, const yaml_parser_t *p, mr_error *err) {
    if (p->error == YAML_MEMORY_ERROR) return no_memory(r, err);
    if (p->error == YAML_READER_ERROR)
        return mr_fail(err, MR_E_INVALID, "%.200s: byte %zu: %s", r->name, p->problem_offset + 1, p->problem);
    return refuse(r, p->problem_mark, err, p->problem ? p->problem : "not YAML");
}

/* ---- nodes ---- */

static mr_status room_for_node(reader *r, mr_error *err) {
    if (r->count < r->cap) return MR_OK;
    if (r->count == MR_YAML_NODES)
        return mr_fail(err, MR_E_LIMIT, "%.200s: more than %d values", r->name, MR_YAML_NODES);
    uint32_t cap = r->cap ? r->cap * 4 : 64;
    if (cap > MR_YAML_NODES) cap = MR_YAML_NODES;
    mr_yaml_node *nodes = mr_arena_alloc(r->arena, cap, sizeof *nodes);
    if (!nodes) return no_memory(r, err);
    if (r->count) memcpy(nodes, r->nodes, r->count * sizeof *nodes);
    r->nodes = nodes;
    r->cap = cap;
    return MR_OK;
}

static bool has_key(const reader *r, uint32_t parent, const char *key) {
    for (uint32_t i = parent + 1; i < r->count; i++)
        if (r->nodes[i].parent == parent && !strcmp(r->nodes[i].key, key)) return true;
    return false;
}

/* Adds a node under the innermost container. Its key is the map's pending one, or its place in the list. */
static mr_status add_node(reader *r, mr_yaml_kind kind, const char *value, yaml_mark_t mark, mr_error *err) {
    char path[PATH_MAX_BYTES], place[16];
    MR_TRY(room_for_node(r, err));
    mr_yaml_node n = {.path = "",
                      .key = "",
                      .value = value,
                      .kind = kind,
                      .line = (unsigned)mark.line + 1,
                      .column = (unsigned)mark.column + 1};
    if (r->depth) {
        level *top = &r->at[r->depth - 1];
        mr_yaml_node *parent = &r->nodes[top->node];
        snprintf(place, sizeof place, "%u", parent->count);
        const char *key = top->map ? top->key : place;
        int len = snprintf(path, sizeof path, "%s%s%s", parent->path, *parent->path ? "." : "", key);
        if (len >= (int)sizeof path) return refuse(r, mark, err, "the path of this value is too long");
        n.parent = top->node;
        n.path = mr_arena_copy(r->arena, path, (size_t)len);
        if (!n.path) return no_memory(r, err);
        n.key = n.path + len - strlen(key);
        parent->count++;
        top->has_key = false;
    }
    r->nodes[r->count++] = n;
    return MR_OK;
}

/* A key waits in its level for the value that follows. */
static mr_status take_key(reader *r, level *top, const char *key, yaml_mark_t mark, mr_error *err) {
    if (has_key(r, top->node, key)) {
        char what[160];
        snprintf(what, sizeof what, "the key '%.100s' is given twice", key);
        return refuse(r, mark, err, what);
    }
    if (!*key) return refuse(r, mark, err, "an empty key");
    top->key = key;
    top->has_key = true;
    return MR_OK;
}

static bool is_null(const char *value, yaml_scalar_style_t style) {
    static const char *const words[] = {"", "~", "null", "Null", "NULL"};
    if (style != YAML_PLAIN_SCALAR_STYLE) return false;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (!strcmp(value, words[i])) return true;
    return false;
}

/* ---- events ---- */

static mr_status on_scalar(reader *r, const yaml_event_t *e, mr_error *err) {
    const char *text = (const char *)e->data.scalar.value;
    size_t len = e->data.scalar.length;
    if (e->data.scalar.anchor) return refuse(r, e->start_mark, err, "anchors are not allowed");
    if (e->data.scalar.tag) return refuse(r, e->start_mark, err, "tags are not allowed");
    if (strlen(text) != len) return refuse(r, e->start_mark, err, "a NUL character");
    const char *copy = mr_arena_copy(r->arena, text, len);
    if (!copy) return no_memory(r, err);
    level *top = r->depth ? &r->at[r->depth - 1] : NULL;
    if (top && top->map && !top->has_key) return take_key(r, top, copy, e->start_mark, err);
    MR_TRY(add_node(r, MR_YAML_SCALAR, copy, e->start_mark, err));
    r->nodes[r->count - 1].null = is_null(copy, e->data.scalar.style);
    return MR_OK;
}

static mr_status on_open(reader *r, const yaml_event_t *e, mr_error *err) {
    bool map = e->type == YAML_MAPPING_START_EVENT;
    const void *anchor = map ? e->data.mapping_start.anchor : e->data.sequence_start.anchor;
    const void *tag = map ? e->data.mapping_start.tag : e->data.sequence_start.tag;
    if (anchor) return refuse(r, e->start_mark, err, "anchors are not allowed");
    if (tag) return refuse(r, e->start_mark, err, "tags are not allowed");
    if (r->depth == MR_YAML_DEPTH) return refuse(r, e->start_mark, err, "nested deeper than 16");
    const level *top = r->depth ? &r->at[r->depth - 1] : NULL;
    if (top && top->map && !top->has_key) return refuse(r, e->start_mark, err, "a key must be text");
    MR_TRY(add_node(r, map ? MR_YAML_MAP : MR_YAML_LIST, "", e->start_mark, err));
    r->at[r->depth++] = (level){.node = r->count - 1, .map = map};
    return MR_OK;
}

static mr_status on_document(reader *r, const yaml_event_t *e, mr_error *err) {
    if (r->has_document) return refuse(r, e->start_mark, err, "only one document is allowed");
    r->has_document = true;
    return MR_OK;
}

static mr_status on_event(reader *r, const yaml_event_t *e, mr_error *err) {
    switch (e->type) {
    case YAML_DOCUMENT_START_EVENT:
        return on_document(r, e, err);
    case YAML_ALIAS_EVENT:
        return refuse(r, e->start_mark, err, "aliases are not allowed");
    case YAML_SCALAR_EVENT:
        return on_scalar(r, e, err);
    case YAML_MAPPING_START_EVENT:
    case YAML_SEQUENCE_START_EVENT:
        return on_open(r, e, err);
    case YAML_MAPPING_END_EVENT:
    case YAML_SEQUENCE_END_EVENT:
        r->depth--;
        return MR_OK;
    default:
        return MR_OK;
    }
}

/* libyaml gives events one at a time, so a file that is refused is never read on. */
static mr_status read_events(reader *r, yaml_parser_t *p, mr_error *err) {
    for (bool more = true; more;) {
        yaml_event_t e;
        if (!yaml_parser_parse(p, &e)) return broken(r, p, err);
        mr_status status = on_event(r, &e, err);
        more = e.type != YAML_STREAM_END_EVENT;
        yaml_event_delete(&e);
        if (status != MR_OK) return status;
    }
    return MR_OK;
}

mr_status mr_yaml_parse(mr_span text, const char *name, mr_arena *arena, mr_yaml *out, mr_error *err) {
    reader r = {.arena = arena, .name = name};
    yaml_parser_t p;
    if (text.len > MR_YAML_BYTES)
        return mr_fail(err, MR_E_LIMIT, "%.200s: larger than %d bytes", name, MR_YAML_BYTES);
    size_t bad = mr_utf8_broken_at(text);
    if (bad < text.len) return mr_fail(err, MR_E_INVALID, "%.200s: byte %zu: not UTF-8", name, bad + 1);
    if (!yaml_parser_initialize(&p)) return no_memory(&r, err);
    yaml_parser_set_encoding(&p, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&p, text.len ? text.data : (const uint8_t *)"", text.len);
    mr_status status = read_events(&r, &p, err);
    yaml_parser_delete(&p);
    if (status != MR_OK) return status;
    *out = (mr_yaml){name, r.count, r.nodes};
    return MR_OK;
}

mr_status mr_yaml_read(const char *path, mr_arena *arena, mr_yaml *out, mr_error *err) {
    mr_buf text;
    mr_buf_init(&text, NULL, MR_YAML_BYTES + 65536);
    mr_status status = mr_file_read(path, MR_YAML_BYTES, &text, err);
    if (status == MR_OK) status = mr_yaml_parse(mr_buf_span(&text), path, arena, out, err);
    mr_buf_free(&text);
    return status;
}

const mr_yaml_node *mr_yaml_find(const mr_yaml *doc, const char *path) {
    for (uint32_t i = 0; i < doc->count; i++)
        if (!strcmp(doc->nodes[i].path, path)) return &doc->nodes[i];
    return NULL;
}
