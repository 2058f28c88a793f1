#include "common/json.h"
#include "common/hash.h"
#include "common/pack.h"
#include "common/text.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- parsing ---- */

/* jansson recurses, so the depth is measured before it runs. Brackets in strings do not count; broken text is
 * left for jansson to refuse. */
static bool too_deep(mr_span text, unsigned max_depth) {
    unsigned depth = 0;
    bool in_string = false;
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.data[i];
        if (in_string) {
            if (c == '\\')
                i++;
            else if (c == '"')
                in_string = false;
        } else if (c == '"') {
            in_string = true;
        } else if (c == '[' || c == '{') {
            if (++depth > max_depth) return true;
        } else if ((c == ']' || c == '}') && depth) {
            depth--;
        }
    }
    return false;
}

static mr_status refuse(const json_error_t *e, mr_error *err) {
    enum json_error_code code = json_error_code(e);
    mr_status status = code == json_error_out_of_memory ? MR_E_MEMORY : MR_E_INVALID;
    return mr_fail(err, status, "line %d, column %d: %s", e->line > 0 ? e->line : 1,
                   e->column > 0 ? e->column : 1, e->text);
}

mr_status mr_json_parse(mr_span text, size_t max_bytes, unsigned max_depth, mr_json **out, mr_error *err) {
    if (text.len > max_bytes)
        return mr_fail(err, MR_E_LIMIT, "JSON of %zu bytes, at most %zu are allowed", text.len, max_bytes);
    if (max_depth > MR_JSON_DEPTH) max_depth = MR_JSON_DEPTH;
    if (too_deep(text, max_depth))
        return mr_fail(err, MR_E_LIMIT, "JSON is nested deeper than %u", max_depth);
    if (text.len == 0) return mr_fail(err, MR_E_INVALID, "line 1, column 1: there is no JSON value");
    json_error_t e;
    json_t *v = json_loadb((const char *)text.data, text.len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &e);
    if (!v) return refuse(&e, err);
    *out = v;
    return MR_OK;
}

void mr_json_free(mr_json **v) {
    json_decref(*v);
    *v = NULL;
}

/* ---- looking ---- */

mr_json_type mr_json_kind(const mr_json *v) {
    if (!v) return MR_JSON_NULL;
    switch (json_typeof(v)) {
    case JSON_OBJECT:
        return MR_JSON_OBJECT;
    case JSON_ARRAY:
        return MR_JSON_LIST;
    case JSON_STRING:
        return MR_JSON_TEXT;
    case JSON_INTEGER:
        return MR_JSON_INTEGER;
    case JSON_REAL:
        return MR_JSON_NUMBER;
    case JSON_TRUE:
    case JSON_FALSE:
        return MR_JSON_BOOL;
    default:
        return MR_JSON_NULL;
    }
}

const char *mr_json_kind_name(const mr_json *v) {
    static const char *const names[] = {"null", "a bool", "an integer", "a number",
                                        "text", "a list", "an object"};
    return v ? names[mr_json_kind(v)] : "nothing";
}

size_t mr_json_count(const mr_json *v) {
    return json_is_object(v) ? json_object_size(v) : json_array_size(v); /* 0 for what is neither */
}

const mr_json *mr_json_item(const mr_json *list, size_t i) { return json_array_get(list, i); }
const mr_json *mr_json_member(const mr_json *object, const char *name) {
    return json_object_get(object, name);
}

const mr_json *mr_json_path(const mr_json *object, const char *path) {
    for (;;) {
        const mr_json *whole = mr_json_member(object, path);
        const char *dot = strchr(path, '.');
        char name[256];
        if (whole || !dot || (size_t)(dot - path) >= sizeof name) return whole;
        snprintf(name, sizeof name, "%.*s", (int)(dot - path), path);
        object = mr_json_member(object, name);
        path = dot + 1;
    }
}

bool mr_json_next(const mr_json *object, void **at, const char **name, const mr_json **value) {
    json_t *o = (json_t *)(uintptr_t)object; /* jansson's iterator wants it so; nothing is changed */
    *at = *at ? json_object_iter_next(o, *at) : json_object_iter(o);
    if (!*at) return false;
    *name = json_object_iter_key(*at);
    *value = json_object_iter_value(*at);
    return true;
}

bool mr_json_text(const mr_json *v, mr_span *out) {
    if (!json_is_string(v)) return false;
    *out = (mr_span){(const uint8_t *)json_string_value(v), json_string_length(v)};
    return true;
}

bool mr_json_integer(const mr_json *v, int64_t *out) {
    if (!json_is_integer(v)) return false;
    *out = json_integer_value(v);
    return true;
}

bool mr_json_number(const mr_json *v, double *out) {
    if (!json_is_number(v)) return false;
    *out = json_number_value(v);
    return true;
}

bool mr_json_boolean(const mr_json *v, bool *out) {
    if (!json_is_boolean(v)) return false;
    *out = json_is_true(v);
    return true;
}

static mr_status member_status(const mr_json *v, bool fits, const char *name, const char *wanted,
                               mr_error *err) {
    if (fits) return MR_OK;
    if (!v || json_is_null(v)) return mr_fail(err, MR_E_NOT_FOUND, "member '%.100s' is missing", name);
    return mr_fail(err, MR_E_INVALID, "member '%.100s' is %s, %s is expected", name, mr_json_kind_name(v),
                   wanted);
}

mr_status mr_json_get_text(const mr_json *object, const char *name, mr_span *out, mr_error *err) {
    const mr_json *v = mr_json_member(object, name);
    return member_status(v, mr_json_text(v, out), name, "text", err);
}

mr_status mr_json_get_integer(const mr_json *object, const char *name, int64_t *out, mr_error *err) {
    const mr_json *v = mr_json_member(object, name);
    return member_status(v, mr_json_integer(v, out), name, "an integer", err);
}

mr_status mr_json_get_number(const mr_json *object, const char *name, double *out, mr_error *err) {
    const mr_json *v = mr_json_member(object, name);
    return member_status(v, mr_json_number(v, out), name, "a number", err);
}

mr_status mr_json_get_boolean(const mr_json *object, const char *name, bool *out, mr_error *err) {
    const mr_json *v = mr_json_member(object, name);
    return member_status(v, mr_json_boolean(v, out), name, "true or false", err);
}

/* ---- writing ---- */

static void put_escape(mr_buf *out, uint8_t c) {
    static const char named[] = "\"\"\\\\\bb\ff\nn\rr\tt"; /* pairs: the byte and its letter */
    for (size_t i = 0; i + 1 < sizeof named; i += 2)
        if ((uint8_t)named[i] == c) {
            mr_buf_put(out, (char[]){'\\', named[i + 1]}, 2);
            return;
        }
    char text[8];
    snprintf(text, sizeof text, "\\u%04x", c);
    mr_buf_text(out, text);
}

void mr_json_put_text(mr_buf *out, mr_span text) {
    mr_buf_put(out, "\"", 1);
    size_t from = 0; /* bytes from here to i go out as they are */
    for (size_t i = 0; i < text.len;) {
        uint8_t c = text.data[i];
        size_t n = mr_utf8_char(text.data + i, text.len - i);
        if (n != 0 && c >= 0x20 && c != '"' && c != '\\') {
            i += n;
            continue;
        }
        if (i > from) mr_buf_put(out, text.data + from, i - from);
        if (n == 0)
            mr_buf_text(out, "\xef\xbf\xbd");
        else
            put_escape(out, c);
        from = ++i;
    }
    if (text.len > from) mr_buf_put(out, text.data + from, text.len - from);
    mr_buf_put(out, "\"", 1);
}

void mr_json_put_number(mr_buf *out, double v) {
    char text[MR_NUMBER_TEXT];
    if (!isfinite(v)) {
        mr_buf_text(out, "null");
        return;
    }
    mr_number_text(v, text);
    mr_buf_text(out, text);
    if (!strpbrk(text, ".e")) mr_buf_text(out, ".0");
}

static int by_key(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* An object's keys in the order of their bytes; to be freed with its size. NULL: there are none, or no
 * memory, which is then noted in `out`. */
static const char **sorted_keys(const mr_json *object, mr_buf *out) {
    size_t n = json_object_size(object), i = 0;
    const char **keys = n ? mr_new(out->mem, n, sizeof *keys) : NULL, *name;
    const mr_json *value;
    if (n && !keys && out->status == MR_OK) out->status = MR_E_MEMORY;
    if (!keys) return NULL;
    for (void *at = NULL; mr_json_next(object, &at, &name, &value);) keys[i++] = name;
    qsort(keys, n, sizeof *keys, by_key);
    return keys;
}

static void dump_list(const mr_json *list, mr_buf *out) {
    mr_buf_put(out, "[", 1);
    for (size_t i = 0; i < json_array_size(list); i++) {
        if (i) mr_buf_put(out, ",", 1);
        mr_json_dump(json_array_get(list, i), out);
    }
    mr_buf_put(out, "]", 1);
}

static void dump_object(const mr_json *object, mr_buf *out) {
    size_t n = json_object_size(object);
    const char **keys = sorted_keys(object, out);
    mr_buf_put(out, "{", 1);
    for (size_t i = 0; keys && i < n; i++) {
        if (i) mr_buf_put(out, ",", 1);
        mr_json_put_text(out, mr_span_of(keys[i]));
        mr_buf_put(out, ":", 1);
        mr_json_dump(json_object_get(object, keys[i]), out);
    }
    mr_buf_put(out, "}", 1);
    mr_free(out->mem, keys, n, sizeof *keys);
}

/* Recursion is bounded by MR_JSON_DEPTH, which mr_json_parse keeps. */
void mr_json_dump(const mr_json *v, mr_buf *out) {
    mr_span text;
    switch (mr_json_kind(v)) {
    case MR_JSON_NULL:
        mr_buf_text(out, "null");
        break;
    case MR_JSON_BOOL:
        mr_buf_text(out, json_is_true(v) ? "true" : "false");
        break;
    case MR_JSON_INTEGER:
        mr_buf_printf(out, "%lld", (long long)json_integer_value(v));
        break;
    case MR_JSON_NUMBER:
        mr_json_put_number(out, json_real_value(v));
        break;
    case MR_JSON_TEXT:
        if (mr_json_text(v, &text)) mr_json_put_text(out, text);
        break;
    case MR_JSON_LIST:
        dump_list(v, out);
        break;
    case MR_JSON_OBJECT:
        dump_object(v, out);
        break;
    }
}

/* ---- JSON to msgpack ---- */

static void pack_list(const mr_json *list, mr_buf *out) {
    mr_pack_array(out, (uint32_t)json_array_size(list));
    for (size_t i = 0; i < json_array_size(list); i++) mr_json_to_pack(json_array_get(list, i), out);
}

static void pack_object(const mr_json *object, mr_buf *out) {
    size_t n = json_object_size(object);
    const char **keys = sorted_keys(object, out);
    mr_pack_map(out, (uint32_t)n);
    for (size_t i = 0; keys && i < n; i++) {
        mr_pack_text(out, keys[i]);
        mr_json_to_pack(json_object_get(object, keys[i]), out);
    }
    mr_free(out->mem, keys, n, sizeof *keys);
}

void mr_json_to_pack(const mr_json *v, mr_buf *out) {
    mr_span text;
    switch (mr_json_kind(v)) {
    case MR_JSON_NULL:
        mr_pack_nil(out);
        break;
    case MR_JSON_BOOL:
        mr_pack_bool(out, json_is_true(v));
        break;
    case MR_JSON_INTEGER:
        mr_pack_i64(out, json_integer_value(v));
        break;
    case MR_JSON_NUMBER:
        mr_pack_f64(out, json_real_value(v));
        break;
    case MR_JSON_TEXT:
        if (mr_json_text(v, &text)) mr_pack_str(out, text);
        break;
    case MR_JSON_LIST:
        pack_list(v, out);
        break;
    case MR_JSON_OBJECT:
        pack_object(v, out);
        break;
    }
}

/* ---- msgpack to JSON ---- */

/* A container that is being written. */
typedef struct level {
    uint32_t left; /* items, or pairs */
    bool map, first;
    bool rows, cols, data; /* map: such members were seen; data: it is the member being read */
    uint64_t numbers;      /* rows x cols so far */
} level;

typedef struct writer {
    mr_unpack in;
    mr_buf *out;
    unsigned depth;
    level at[MR_JSON_DEPTH];
} writer;

static void put_numbers(mr_buf *out, mr_span block, size_t width) {
    mr_buf_put(out, "[", 1);
    for (size_t i = 0; i < block.len / width; i++) {
        double d;
        float f;
        if (width == sizeof d)
            memcpy(&d, block.data + i * width, sizeof d);
        else
            memcpy(&f, block.data + i * width, sizeof f), d = (double)f;
        if (i) mr_buf_put(out, ",", 1);
        mr_json_put_number(out, d);
    }
    mr_buf_put(out, "]", 1);
}

static void put_binary(writer *w, mr_span bytes) {
    const level *l = w->depth ? &w->at[w->depth - 1] : NULL;
    if (l && l->map && l->data && l->rows && l->cols && l->numbers <= bytes.len) {
        size_t n = (size_t)l->numbers;
        if (bytes.len == n * sizeof(double) || bytes.len == n * sizeof(float)) {
            put_numbers(w->out, bytes, n && bytes.len == n * sizeof(float) ? sizeof(float) : sizeof(double));
            return;
        }
    }
    mr_buf_put(w->out, "\"", 1);
    mr_base64_put(w->out, bytes);
    mr_buf_put(w->out, "\"", 1);
}

/* {"numbers": binary} is a plain list: true when the map that starts at the cursor is that, and then it is
 * written. */
static bool put_numbers_map(writer *w) {
    mr_unpack ahead = w->in;
    uint32_t count;
    mr_span name, block;
    mr_pack_value v;
    if (mr_unpack_map(&ahead, 1, &count, NULL) || count != 1 || mr_unpack_str(&ahead, 16, &name, NULL))
        return false;
    if (!mr_span_eq(name, mr_span_of("numbers")) || mr_unpack_next(&ahead, &v, NULL) || v.type != MR_PACK_BIN)
        return false;
    block = v.as.bytes;
    if (block.len % sizeof(double)) return false;
    put_numbers(w->out, block, sizeof(double));
    w->in = ahead;
    return true;
}

static bool is(mr_span name, const char *word) { return mr_span_eq(name, mr_span_of(word)); }

static mr_status put_key(writer *w, level *l, mr_error *err) {
    mr_pack_value v;
    size_t at = (size_t)(w->in.at - w->in.start);
    MR_TRY(mr_unpack_next(&w->in, &v, err));
    if (v.type != MR_PACK_STR)
        return mr_fail(err, MR_E_PROTOCOL, "msgpack at byte %zu: a map key that is no text", at);
    if (!l->first) mr_buf_put(w->out, ",", 1);
    l->data = is(v.as.bytes, "data");
    uint64_t n;
    mr_unpack peek = w->in;
    if (is(v.as.bytes, "rows") || is(v.as.bytes, "cols")) {
        bool *seen = is(v.as.bytes, "rows") ? &l->rows : &l->cols;
        if (!*seen && mr_unpack_u64(&peek, UINT32_MAX, &n, NULL) == MR_OK) l->numbers *= n, *seen = true;
    }
    mr_json_put_text(w->out, v.as.bytes);
    mr_buf_put(w->out, ":", 1);
    return MR_OK;
}

static mr_status open_level(writer *w, const mr_pack_value *v, mr_error *err) {
    if (w->depth == MR_JSON_DEPTH)
        return mr_fail(err, MR_E_PROTOCOL, "msgpack is nested deeper than %d", MR_JSON_DEPTH);
    bool map = v->type == MR_PACK_MAP;
    w->at[w->depth++] = (level){.left = v->as.count, .map = map, .first = true, .numbers = 1};
    mr_buf_put(w->out, map ? "{" : "[", 1);
    return MR_OK;
}

static mr_status put_value(writer *w, mr_error *err) {
    mr_pack_value v;
    if (put_numbers_map(w)) return MR_OK;
    MR_TRY(mr_unpack_next(&w->in, &v, err));
    switch (v.type) {
    case MR_PACK_NIL:
        mr_buf_text(w->out, "null");
        break;
    case MR_PACK_BOOL:
        mr_buf_text(w->out, v.as.boolean ? "true" : "false");
        break;
    case MR_PACK_UINT:
        mr_buf_printf(w->out, "%llu", (unsigned long long)v.as.u);
        break;
    case MR_PACK_INT:
        mr_buf_printf(w->out, "%lld", (long long)v.as.i);
        break;
    case MR_PACK_FLOAT:
        mr_json_put_number(w->out, v.as.f);
        break;
    case MR_PACK_STR:
        mr_json_put_text(w->out, v.as.bytes);
        break;
    case MR_PACK_BIN:
        put_binary(w, v.as.bytes);
        break;
    default:
        return open_level(w, &v, err);
    }
    return MR_OK;
}

/* Closes what is full, so that the level at the top has a value left; 0 levels: the whole value is written.
 */
static void close_levels(writer *w) {
    while (w->depth && w->at[w->depth - 1].left == 0)
        mr_buf_put(w->out, w->at[--w->depth].map ? "}" : "]", 1);
}

mr_status mr_json_from_pack(mr_span pack, mr_buf *out, mr_error *err) {
    writer w = {.out = out};
    mr_unpack_init(&w.in, pack);
    MR_TRY(put_value(&w, err));
    for (close_levels(&w); w.depth; close_levels(&w)) {
        level *l = &w.at[w.depth - 1];
        if (l->map)
            MR_TRY(put_key(&w, l, err));
        else if (!l->first)
            mr_buf_put(out, ",", 1);
        l->first = false;
        l->left--;
        MR_TRY(put_value(&w, err));
    }
    if (!mr_unpack_done(&w.in)) return mr_fail(err, MR_E_PROTOCOL, "msgpack: bytes behind the value");
    mr_status status = mr_buf_status(out);
    return status == MR_OK
               ? MR_OK
               : mr_fail(err, status, "the JSON text does not fit: %s", mr_status_of((int)status)->text);
}
