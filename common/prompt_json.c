#include "common/jsonl.h"
#include "common/option.h"
#include "common/prompt_parts.h"
#include "common/prompt_scan.h"
#include "common/unicode.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- --map ---- */

static const char *const target_names[] = {"prompt",     "enhancement", "source",     "priority",
                                           "session",    "score",       "success",    "labels",
                                           "created_at", "labels.X",    "metadata.X", NULL};

static bool is_member_of(const char *target, const char *object) {
    size_t n = strlen(object);
    return !strncmp(target, object, n) && target[n] == '.' && target[n + 1];
}

static mr_status check_target(const mr_prompt_map *map, const char *target, mr_error *err) {
    for (size_t i = 0; i < map->count; i++)
        if (!strcmp(map->items[i].target, target))
            return mr_fail(err, MR_E_USAGE, "'%s' is mapped twice", target);
    if (is_member_of(target, "labels") || is_member_of(target, "metadata")) return MR_OK;
    for (const char *const *name = target_names; *name; name++)
        if (!strcmp(*name, target) && !strchr(*name, '.')) return MR_OK;
    const char *near = mr_nearest_word(target_names, target);
    return mr_fail(err, MR_E_USAGE, "there is no target '%s' to map to%s%s%s", target,
                   near ? ", did you mean '" : "", near ? near : "",
                   near ? "'?" : "; targets are prompt, enhancement, labels.X, metadata.X and others");
}

static mr_status add_pair(mr_prompt_map *map, const char *text, size_t n, mr_error *err) {
    const char *equals = memchr(text, '=', n);
    size_t left = equals ? (size_t)(equals - text) : 0;
    if (left == 0 || left + 1 == n)
        return mr_fail(err, MR_E_USAGE, "'%.*s' is no mapping, write target=key as in prompt=text", (int)n,
                       text);
    if (left >= MR_PROMPT_KEY_MAX || n - left - 1 >= MR_PROMPT_KEY_MAX)
        return mr_fail(err, MR_E_USAGE, "a name in a mapping may have at most %d bytes",
                       MR_PROMPT_KEY_MAX - 1);
    if (map->count == MR_PROMPT_MAP_MAX)
        return mr_fail(err, MR_E_USAGE, "at most %d keys can be mapped", MR_PROMPT_MAP_MAX);
    char target[MR_PROMPT_KEY_MAX];
    snprintf(target, sizeof target, "%.*s", (int)left, text);
    MR_TRY(check_target(map, target, err));
    memcpy(map->items[map->count].target, target, sizeof target);
    snprintf(map->items[map->count].key, MR_PROMPT_KEY_MAX, "%.*s", (int)(n - left - 1), equals + 1);
    map->count++;
    return MR_OK;
}

mr_status mr_prompt_map_parse(mr_prompt_map *map, const char *text, mr_error *err) {
    for (;;) {
        size_t n = strcspn(text, ",");
        MR_TRY(add_pair(map, text, n, err));
        if (!text[n]) return MR_OK;
        text += n + 1;
    }
}

/* ---- one row ---- */

typedef struct member {
    const char *name;
    const mr_json *value;
} member;

/* Members of labels or metadata, on their way to canonical form. */
typedef struct members {
    member *items;
    size_t count;
} members;

typedef struct reading {
    mr_arena *arena;
    mr_prompt *p;
    const mr_prompt_limits *limits;
    members labels, metadata;
    const char *key; /* the key of the row that is looked at, for the message's column */
} reading;

static mr_status wrong_type(const char *key, const mr_json *v, const char *wanted, mr_error *err) {
    return mr_fail(err, MR_E_INVALID, "'%.100s' is %s, %s is wanted", key, mr_json_kind_name(v), wanted);
}

static mr_status take_text(reading *r, const mr_json *v, mr_span *out, mr_error *err) {
    mr_span text;
    if (!mr_json_text(v, &text)) return wrong_type(r->key, v, "text", err);
    return mr_prompt_copy(r->arena, text, out, err);
}

static mr_status take_prompt(reading *r, const mr_json *v, mr_error *err) {
    return take_text(r, v, &r->p->prompt, err);
}

static mr_status take_session(reading *r, const mr_json *v, mr_error *err) {
    return take_text(r, v, &r->p->session, err);
}

static mr_status take_enhancement(reading *r, const mr_json *v, mr_error *err) {
    mr_json_type kind = mr_json_kind(v);
    r->p->has_enhancement = true;
    if (kind == MR_JSON_TEXT) return take_text(r, v, &r->p->enhancement, err);
    if (kind != MR_JSON_OBJECT && kind != MR_JSON_LIST)
        return wrong_type(r->key, v, "text, an object or a list", err);
    r->p->enhancement_is_json = true;
    size_t max = (size_t)mr_prompt_max_chars(r->limits) * 4;
    return mr_prompt_canonical("enhancement", v, max, r->arena, &r->p->enhancement, err);
}

static mr_status take_source(reading *r, const mr_json *v, mr_error *err) {
    mr_span text;
    if (!mr_json_text(v, &text)) return wrong_type(r->key, v, "text", err);
    for (int i = 0; i < MR_SOURCE_COUNT; i++) {
        if (!mr_span_eq(text, mr_span_of(mr_prompt_sources[i]))) continue;
        r->p->source = (mr_prompt_source)i;
        return MR_OK;
    }
    return mr_fail(err, MR_E_INVALID, "'%.100s' is \"%.40s\", it must be synthetic, user or api", r->key,
                   (const char *)text.data);
}

static mr_status take_priority(reading *r, const mr_json *v, mr_error *err) {
    int64_t n;
    if (!mr_json_integer(v, &n)) return wrong_type(r->key, v, "an integer from 1 to 1000", err);
    if (n < 1 || n > MR_PROMPT_PRIORITY_MAX)
        return mr_fail(err, MR_E_INVALID, "'%.100s' is %lld, it must be from 1 to %d", r->key, (long long)n,
                       MR_PROMPT_PRIORITY_MAX);
    r->p->priority = (uint32_t)n;
    return MR_OK;
}

static mr_status take_score(reading *r, const mr_json *v, mr_error *err) {
    if (!mr_json_number(v, &r->p->score)) return wrong_type(r->key, v, "a number from 0 to 1", err);
    return MR_OK;
}

static mr_status take_success(reading *r, const mr_json *v, mr_error *err) {
    bool yes;
    int64_t n = -1;
    if (mr_json_boolean(v, &yes))
        n = yes;
    else if (!mr_json_integer(v, &n))
        return wrong_type(r->key, v, "true, false, 1 or 0", err);
    if (n != 0 && n != 1) return mr_fail(err, MR_E_INVALID, "'%.100s' must be true, false, 1 or 0", r->key);
    r->p->success = (int8_t)n;
    return MR_OK;
}

static mr_status take_created(reading *r, const mr_json *v, mr_error *err) {
    mr_span text;
    double seconds;
    if (mr_json_text(v, &text)) {
        if (mr_time_parse(text, &r->p->created_at_us)) return MR_OK;
        return mr_fail(err, MR_E_INVALID, "'%.100s' is no time, write it as 2026-01-31T12:00:00Z", r->key);
    }
    if (!mr_json_number(v, &seconds))
        return wrong_type(r->key, v, "a time as text or seconds since 1970", err);
    double us = floor(seconds * 1e6 + 0.5);
    if (!(us >= (double)MR_TIME_MIN && us < (double)MR_TIME_MAX))
        return mr_fail(err, MR_E_INVALID, "'%.100s' is not between the years 1 and 9999", r->key);
    r->p->created_at_us = (int64_t)us;
    return MR_OK;
}

/* What came through --map wins over a member of the same name. */
static void add_member(members *m, const char *name, const mr_json *value) {
    for (size_t i = 0; i < m->count; i++)
        if (!strcmp(m->items[i].name, name)) return;
    m->items[m->count++] = (member){name, value};
}

static mr_status take_labels(reading *r, const mr_json *v, mr_error *err) {
    if (mr_json_kind(v) != MR_JSON_OBJECT) return wrong_type(r->key, v, "an object", err);
    member *more = mr_arena_alloc(r->arena, r->labels.count + mr_json_count(v) + 1, sizeof *more);
    if (!more) return mr_fail(err, MR_E_MEMORY, "out of memory while reading a row");
    if (r->labels.count) memcpy(more, r->labels.items, r->labels.count * sizeof *more);
    r->labels.items = more;
    const char *name;
    const mr_json *value;
    for (void *at = NULL; mr_json_next(v, &at, &name, &value);) add_member(&r->labels, name, value);
    return MR_OK;
}

typedef struct target {
    const char *name;
    mr_status (*take)(reading *r, const mr_json *v, mr_error *err);
} target;

static const target targets[] = {
    {"prompt", take_prompt},     {"enhancement", take_enhancement}, {"source", take_source},
    {"priority", take_priority}, {"session", take_session},         {"score", take_score},
    {"success", take_success},   {"labels", take_labels},           {"created_at", take_created},
};

static const target *target_named(const char *name) {
    for (size_t i = 0; i < sizeof targets / sizeof *targets; i++)
        if (!strcmp(targets[i].name, name)) return &targets[i];
    return NULL;
}

static bool is_mapped(const mr_prompt_map *map, const char *key, const char *name_as_target) {
    for (size_t i = 0; map && i < map->count; i++) {
        if (key && !strcmp(map->items[i].key, key)) return true;
        if (name_as_target && !strcmp(map->items[i].target, name_as_target)) return true;
    }
    return false;
}

static mr_status take_mapped(reading *r, const mr_json *row, const mr_prompt_map *map, mr_error *err) {
    for (size_t i = 0; map && i < map->count; i++) {
        const char *name = map->items[i].target;
        const mr_json *v = mr_json_path(row, map->items[i].key);
        if (mr_json_kind(v) == MR_JSON_NULL) continue;
        r->key = map->items[i].key;
        if (is_member_of(name, "labels"))
            add_member(&r->labels, name + strlen("labels."), v);
        else if (is_member_of(name, "metadata"))
            add_member(&r->metadata, name + strlen("metadata."), v);
        else
            MR_TRY(target_named(name)->take(r, v, err));
    }
    return MR_OK;
}

static mr_status take_members(reading *r, const mr_json *row, const mr_prompt_map *map, mr_error *err) {
    const char *name;
    const mr_json *v;
    for (void *at = NULL; mr_json_next(row, &at, &name, &v);) {
        if (mr_json_kind(v) == MR_JSON_NULL || is_mapped(map, name, NULL)) continue;
        const target *t = is_mapped(map, NULL, name) ? NULL : target_named(name);
        r->key = name;
        if (t)
            MR_TRY(t->take(r, v, err));
        else
            add_member(&r->metadata, name, v);
    }
    return MR_OK;
}

static int by_name(const void *a, const void *b) {
    return strcmp(((const member *)a)->name, ((const member *)b)->name);
}

static mr_status put_members(reading *r, const char *name, members *m, mr_span *out, mr_error *err) {
    if (m->count == 0) return MR_OK;
    qsort(m->items, m->count, sizeof *m->items, by_name);
    mr_buf b;
    mr_buf_init(&b, NULL, MR_PROMPT_OBJECT_MAX);
    for (size_t i = 0; i < m->count; i++) {
        mr_buf_text(&b, i ? "," : "{");
        mr_json_put_text(&b, mr_span_of(m->items[i].name));
        mr_buf_text(&b, ":");
        mr_json_dump(m->items[i].value, &b);
    }
    mr_buf_text(&b, "}");
    r->key = name;
    return mr_prompt_keep(name, &b, r->arena, out, err);
}

static mr_status read_row(reading *r, const mr_json *row, const mr_prompt_map *map, mr_error *err) {
    if (mr_json_kind(row) != MR_JSON_OBJECT)
        return mr_fail(err, MR_E_INVALID, "the line is %s, an object is wanted", mr_json_kind_name(row));
    size_t room = mr_json_count(row) + MR_PROMPT_MAP_MAX;
    r->labels.items = mr_arena_alloc(r->arena, MR_PROMPT_MAP_MAX, sizeof *r->labels.items);
    r->metadata.items = mr_arena_alloc(r->arena, room, sizeof *r->metadata.items);
    if (!r->labels.items || !r->metadata.items)
        return mr_fail(err, MR_E_MEMORY, "out of memory while reading a row");
    MR_TRY(take_mapped(r, row, map, err));
    MR_TRY(take_members(r, row, map, err));
    r->key = NULL;
    if (!r->p->prompt.data)
        return mr_fail(err, MR_E_INVALID, "there is no 'prompt'; --map prompt=KEY names another key");
    MR_TRY(put_members(r, "labels", &r->labels, &r->p->labels, err));
    MR_TRY(put_members(r, "metadata", &r->metadata, &r->p->metadata, err));
    return mr_prompt_check(r->p, r->limits, &r->key, err);
}

/* The top-level key that a refused name came from. */
static size_t column_of_key(mr_span line, const mr_prompt_map *map, const char *key) {
    if (!key) return 0;
    for (size_t i = 0; map && i < map->count; i++)
        if (!strcmp(map->items[i].target, key)) key = map->items[i].key;
    size_t column = mr_jsonl_column_of(line, mr_span_of(key));
    if (column) return column;
    return mr_jsonl_column_of(line, (mr_span){(const uint8_t *)key, strcspn(key, ".")});
}

mr_status mr_prompt_from_json(mr_span line, const mr_prompt_map *map, const mr_prompt_limits *limits,
                              mr_arena *arena, mr_prompt *out, size_t *column, mr_error *err) {
    mr_json *row = NULL;
    reading r = {.arena = arena, .p = out, .limits = limits};
    mr_prompt_init(out);
    if (column) *column = 0;
    if (!map && mr_prompt_scan(line, arena, out) && mr_prompt_check(out, limits, NULL, NULL) == MR_OK)
        return MR_OK;
    mr_prompt_init(out);
    MR_TRY(mr_jsonl_parse(line, MR_PROMPT_DEPTH, &row, column, err));
    mr_status status = read_row(&r, row, map, err);
    if (status != MR_OK && column) *column = column_of_key(line, map, r.key);
    mr_json_free(&row);
    return status;
}

/* ---- writing ---- */

static void put_field(mr_buf *out, const char *name, mr_span text, bool as_json) {
    if (text.len == 0) return;
    mr_buf_printf(out, ",\"%s\":", name);
    if (as_json)
        mr_buf_put(out, text.data, text.len);
    else
        mr_json_put_text(out, text);
}

/* The members of an object, without its braces, behind what is there. */
static void put_inner(mr_buf *out, mr_span object) {
    if (object.len <= 2) return;
    mr_buf_text(out, ",");
    mr_buf_put(out, object.data + 1, object.len - 2);
}

void mr_prompt_to_json(const mr_prompt *p, mr_buf *out) {
    mr_buf_text(out, "{\"prompt\":");
    mr_json_put_text(out, p->prompt);
    if (p->has_enhancement && p->enhancement.len == 0) mr_buf_text(out, ",\"enhancement\":\"\"");
    put_field(out, "enhancement", p->enhancement, p->enhancement_is_json);
    mr_buf_printf(out, ",\"source\":\"%s\",\"priority\":%u", mr_prompt_sources[p->source], p->priority);
    put_field(out, "session", p->session, false);
    if (!isnan(p->score)) {
        mr_buf_text(out, ",\"score\":");
        mr_json_put_number(out, p->score);
    }
    if (p->success >= 0) mr_buf_printf(out, ",\"success\":%s", p->success ? "true" : "false");
    put_field(out, "labels", p->labels, true);
    if (p->created_at_us != INT64_MIN) {
        char text[MR_TIME_TEXT];
        mr_time_format(p->created_at_us, text);
        mr_buf_printf(out, ",\"created_at\":\"%s\"", text);
    }
    put_inner(out, p->metadata);
    mr_buf_text(out, "}");
}
