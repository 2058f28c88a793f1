#include "common/jsonl.h"
#include "common/unicode.h"

#include <stdio.h>
#include <string.h>

/* ---- lines ---- */

enum { BLOCK = 64 * 1024 };

struct mr_jsonl {
    const mr_mem *mem;
    mr_source source;
    uint8_t *data;
    size_t cap, start, end; /* bytes start .. end - 1 are read and not yet given out */
    size_t max_line;
    uint64_t number;
    bool eof, too_long;
};

mr_status mr_jsonl_new(const mr_mem *mem, mr_source source, size_t max_line, mr_jsonl **out) {
    mr_jsonl *j = mr_new(mem, 1, sizeof *j);
    if (!j) return MR_E_MEMORY;
    *j =
        (mr_jsonl){.mem = mem, .source = source, .max_line = max_line ? max_line : (size_t)MR_JSONL_LINE_MAX};
    *out = j;
    return MR_OK;
}

void mr_jsonl_free(mr_jsonl **j) {
    if (!*j) return;
    mr_free((*j)->mem, (*j)->data, (*j)->cap, 1);
    mr_free((*j)->mem, *j, 1, sizeof **j);
    *j = NULL;
}

/* Makes room behind `end`: moves what is left to the front, then grows. */
static mr_status make_room(mr_jsonl *j, mr_error *err) {
    if (j->start) {
        memmove(j->data, j->data + j->start, j->end - j->start);
        j->end -= j->start;
        j->start = 0;
    }
    if (j->cap - j->end >= BLOCK / 2) return MR_OK;
    size_t cap = j->cap ? j->cap * 2 : (size_t)BLOCK;
    uint8_t *fresh = mr_grow(j->mem, j->data, j->cap, cap, 1);
    if (!fresh) return mr_fail(err, MR_E_MEMORY, "out of memory for a line of %zu bytes", cap);
    j->data = fresh;
    j->cap = cap;
    return MR_OK;
}

static mr_status fill(mr_jsonl *j, mr_error *err) {
    size_t got = 0;
    MR_TRY(make_room(j, err));
    MR_TRY(j->source.read(j->source.self, j->data + j->end, j->cap - j->end, &got, err));
    j->end += got;
    j->eof = got == 0;
    return MR_OK;
}

/* Finds the end of the line; what is beyond max_line is thrown away while it is read. */
static mr_status find_line(mr_jsonl *j, size_t *length, mr_error *err) {
    size_t seen = 0;
    for (;;) {
        size_t have = j->end - j->start;
        const uint8_t *newline = NULL;
        if (have > seen) newline = memchr(j->data + j->start + seen, '\n', have - seen);
        *length = newline ? (size_t)(newline - (j->data + j->start)) : have;
        if (*length > j->max_line + 1) j->too_long = true; /* + 1: a CR before the newline */
        if (newline || j->eof) return MR_OK;
        if (j->too_long) j->start = j->end;
        seen = j->end - j->start;
        MR_TRY(fill(j, err));
    }
}

static bool is_blank(mr_span s) {
    for (size_t i = 0; i < s.len; i++)
        if (s.data[i] != ' ' && s.data[i] != '\t' && s.data[i] != '\r') return false;
    return true;
}

static mr_span clean_line(mr_jsonl *j, size_t length) {
    mr_span line = {j->data + j->start, length};
    if (line.len && line.data[line.len - 1] == '\r') line.len--;
    if (j->number == 1 && line.len >= 3 && !memcmp(line.data, "\xEF\xBB\xBF", 3)) {
        line.data += 3;
        line.len -= 3;
    }
    return line;
}

mr_status mr_jsonl_next(mr_jsonl *j, mr_span *line, uint64_t *number, mr_error *err) {
    for (;;) {
        size_t length;
        j->too_long = false;
        MR_TRY(find_line(j, &length, err));
        if (length == 0 && j->eof && j->start == j->end && !j->too_long)
            return mr_fail(err, MR_E_NOT_FOUND, "the end of the file");
        *number = ++j->number;
        *line = j->too_long ? (mr_span){NULL, 0} : clean_line(j, length);
        j->start += length;
        if (j->start < j->end) j->start++; /* the newline */
        if (j->too_long || line->len > j->max_line)
            return mr_fail(err, MR_E_LIMIT, "the line is longer than %zu bytes", j->max_line);
        if (!is_blank(*line)) return MR_OK;
    }
}

/* ---- one line ---- */

/* From a column in characters to one in bytes. */
static size_t byte_column(mr_span line, size_t chars) {
    size_t at = 0;
    for (size_t i = 1; i < chars && at < line.len; i++) (void)mr_utf8_next(line, &at);
    return at + 1;
}

/* mr_json_parse says "line L, column C: reason"; the line is ours, so only the reason is kept. */
static mr_status broken_json(mr_span line, mr_status status, size_t *column, mr_error *err) {
    int text_at = 0;
    size_t chars = 0;
    mr_error whole = *err;
    if (sscanf(whole.text, "line %*u, column %zu: %n", &chars, &text_at) != 1 || text_at == 0) return status;
    if (column) *column = byte_column(line, chars);
    return mr_fail(err, status, "broken JSON: %s", whole.text + text_at);
}

mr_status mr_jsonl_parse(mr_span line, unsigned max_depth, mr_json **out, size_t *column, mr_error *err) {
    mr_error local;
    size_t bad;
    if (!err) err = &local;
    if (column) *column = 0;
    if (!mr_utf8_check(line, NULL, &bad)) {
        if (column) *column = bad + 1;
        return mr_fail(err, MR_E_INVALID, "not UTF-8: byte 0x%02x", line.data[bad]);
    }
    const uint8_t *nul = line.len ? memchr(line.data, 0, line.len) : NULL;
    if (nul) {
        if (column) *column = (size_t)(nul - line.data) + 1;
        return mr_fail(err, MR_E_INVALID, "a NUL character, which cannot be stored");
    }
    mr_status status = mr_json_parse(line, line.len, max_depth, out, err);
    return status == MR_OK ? status : broken_json(line, status, column, err);
}

/* Behind the string that starts at the quote `at`. */
static size_t skip_string(mr_span s, size_t at) {
    for (at++; at < s.len && s.data[at] != '"'; at++)
        if (s.data[at] == '\\') at++;
    return at + 1;
}

static size_t skip_blanks(mr_span s, size_t at) {
    while (at < s.len && strchr(" \t\r\n", s.data[at])) at++;
    return at;
}

size_t mr_jsonl_column_of(mr_span line, mr_span key) {
    int depth = 0;
    for (size_t at = 0; at < line.len;) {
        uint8_t b = line.data[at];
        if (b != '"') {
            depth += b == '{' || b == '[' ? 1 : b == '}' || b == ']' ? -1 : 0;
            at++;
            continue;
        }
        size_t end = skip_string(line, at), colon = skip_blanks(line, end);
        if (depth == 1 && colon < line.len && line.data[colon] == ':' && end - at == key.len + 2 &&
            !memcmp(line.data + at + 1, key.data, key.len))
            return skip_blanks(line, colon + 1) + 1;
        at = end;
    }
    return 0;
}

/* ---- cells ---- */

static mr_status copy_text(mr_arena *arena, mr_span text, mr_span *out, mr_error *err) {
    char *copy = mr_arena_copy(arena, text.data, text.len);
    if (!copy) return mr_fail(err, MR_E_MEMORY, "out of memory while reading a row");
    *out = (mr_span){(uint8_t *)copy, text.len};
    return MR_OK;
}

static mr_status copy_json(const mr_json *v, mr_arena *arena, mr_span *out, mr_error *err) {
    mr_buf b;
    mr_buf_init(&b, NULL, MR_JSONL_LINE_MAX * 2);
    mr_json_dump(v, &b);
    mr_status status = mr_buf_status(&b);
    if (status == MR_OK)
        status = copy_text(arena, mr_buf_span(&b), out, err);
    else
        mr_fail(err, status, "a nested value is too large");
    mr_buf_free(&b);
    return status;
}

static mr_status take_value(const mr_json *v, mr_arena *arena, mr_jsonl_member *m, mr_error *err) {
    mr_span text;
    switch (mr_json_kind(v)) {
    case MR_JSON_NULL:
        m->type = MR_JSONL_NULL;
        return MR_OK;
    case MR_JSON_BOOL:
        m->type = MR_JSONL_BOOL;
        (void)mr_json_boolean(v, &m->as.boolean);
        return MR_OK;
    case MR_JSON_INTEGER:
        m->type = MR_JSONL_INTEGER;
        (void)mr_json_integer(v, &m->as.integer);
        return MR_OK;
    case MR_JSON_NUMBER:
        m->type = MR_JSONL_NUMBER;
        (void)mr_json_number(v, &m->as.number);
        return MR_OK;
    case MR_JSON_TEXT:
        m->type = MR_JSONL_TEXT;
        (void)mr_json_text(v, &text);
        return copy_text(arena, text, &m->as.text, err);
    default:
        m->type = MR_JSONL_JSON;
        return copy_json(v, arena, &m->as.text, err);
    }
}

static mr_status take_members(const mr_json *row, size_t max_members, mr_arena *arena,
                              mr_jsonl_member **members, size_t *count, mr_error *err) {
    if (mr_json_kind(row) != MR_JSON_OBJECT)
        return mr_fail(err, MR_E_INVALID, "the line is %s, an object is wanted", mr_json_kind_name(row));
    if (mr_json_count(row) > max_members)
        return mr_fail(err, MR_E_LIMIT, "%zu members, at most %zu are allowed", mr_json_count(row),
                       max_members);
    mr_jsonl_member *m = mr_arena_alloc(arena, mr_json_count(row) + 1, sizeof *m);
    if (!m) return mr_fail(err, MR_E_MEMORY, "out of memory while reading a row");
    *members = m;
    *count = mr_json_count(row);
    const char *name;
    const mr_json *v;
    for (void *at = NULL; mr_json_next(row, &at, &name, &v); m++) {
        MR_TRY(copy_text(arena, mr_span_of(name), &m->key, err));
        MR_TRY(take_value(v, arena, m, err));
    }
    return MR_OK;
}

mr_status mr_jsonl_object(mr_span line, size_t max_members, mr_arena *arena, mr_jsonl_member **members,
                          size_t *count, size_t *column, mr_error *err) {
    mr_json *row = NULL;
    MR_TRY(mr_jsonl_parse(line, MR_JSON_DEPTH, &row, column, err));
    mr_status status = take_members(row, max_members, arena, members, count, err);
    mr_json_free(&row);
    return status;
}
