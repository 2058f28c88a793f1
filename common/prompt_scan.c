#include "common/prompt_scan.h"

#include <string.h>

enum { MEMBERS = 32, INTEGER_DIGITS = 18, EXACT_DIGITS = 15, NESTED = 8 };

typedef struct cursor {
    const uint8_t *at, *end;
} cursor;

static bool take(cursor *c, char what) {
    if (c->at == c->end || *c->at != (uint8_t)what) return false;
    c->at++;
    return true;
}

static void skip_space(cursor *c) {
    while (c->at < c->end && (*c->at == ' ' || *c->at == '\t' || *c->at == '\r' || *c->at == '\n')) c->at++;
}

static bool take_word(cursor *c, const char *word) {
    size_t n = strlen(word);
    if ((size_t)(c->end - c->at) < n || memcmp(c->at, word, n) != 0) return false;
    c->at += n;
    return true;
}

/* ---- strings ---- */

/* Where the next control character, quote or backslash may stand, eight bytes at a time (Warren, Hacker's Delight, 6-1). */
static const uint8_t *skip_plain(const uint8_t *p, const uint8_t *end) {
    const uint64_t ones = 0x0101010101010101u, tops = ones << 7;
    while (end - p >= 8) {
        uint64_t w;
        memcpy(&w, p, 8);
        uint64_t quote = w ^ (ones * '"'), slash = w ^ (ones * '\\');
        if (((w - ones * 0x20) & ~w & tops) | ((quote - ones) & ~quote & tops) | ((slash - ones) & ~slash & tops)) break;
        p += 8;
    }
    return p;
}

/* What stands between the quotes. `escaped`: some of it is written with backslashes. */
static bool take_string(cursor *c, mr_span *out, bool *escaped) {
    *escaped = false;
    if (!take(c, '"')) return false;
    const uint8_t *start = c->at;
    for (;;) {
        c->at = skip_plain(c->at, c->end);
        while (c->at < c->end && *c->at >= 0x20 && *c->at != '"' && *c->at != '\\') c->at++;
        if (c->at == c->end || *c->at < 0x20) return false;
        if (*c->at == '"') break;
        *escaped = true;
        if (c->end - c->at < 2) return false;
        c->at += 2;
    }
    *out = (mr_span){start, (size_t)(c->at++ - start)};
    return true;
}

/* Plain ASCII, the same with and without its quotes. */
static bool take_plain_string(cursor *c, mr_span *out) {
    bool escaped;
    if (!take_string(c, out, &escaped) || escaped) return false;
    for (size_t i = 0; i < out->len; i++)
        if (out->data[i] > 0x7E) return false;
    return true;
}

static char unescaped(uint8_t letter) {
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    const char *found = letter ? strchr(from, letter) : NULL;
    return found ? to[found - from] : '\0';
}

/* False for \uXXXX and for what is no escape. A backslash is never last. */
static bool unescape(mr_span raw, char *to, size_t *len) {
    *len = 0;
    for (size_t i = 0; i < raw.len; i++) {
        char c = (char)raw.data[i];
        if (c == '\\' && !(c = unescaped(raw.data[++i]))) return false;
        to[(*len)++] = c;
    }
    return true;
}

static bool take_text(cursor *c, mr_arena *arena, mr_span *out) {
    mr_span raw;
    bool escaped;
    if (!take_string(c, &raw, &escaped)) return false;
    char *copy = mr_arena_copy(arena, raw.data, raw.len);
    if (!copy) return false;
    *out = (mr_span){(const uint8_t *)copy, raw.len};
    return !escaped || unescape(raw, copy, &out->len);
}

/* ---- numbers and members ---- */

static bool is_digit(const cursor *c) { return c->at < c->end && *c->at >= '0' && *c->at <= '9'; }

/* Digits without a zero in front, at most `max` of them. */
static bool take_digits(cursor *c, unsigned max, uint64_t *v, unsigned *n) {
    const uint8_t *start = c->at;
    for (*v = 0, *n = 0; is_digit(c); c->at++, ++*n) {
        if (*n == max) return false;
        *v = *v * 10 + (uint64_t)(*c->at - '0');
    }
    return *n == 1 || (*n > 1 && *start != '0');
}

/* A decimal number whose digits and power of ten are exact doubles, so that one division rounds it right (Clinger 1990). */
static bool take_decimal(cursor *c, double *out) {
    static const double power[EXACT_DIGITS + 1] = {1e0, 1e1, 1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                                   1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15};
    uint64_t v;
    unsigned n, places = 0;
    if (!take_digits(c, EXACT_DIGITS, &v, &n)) return false;
    if (take(c, '.')) {
        for (; is_digit(c); c->at++, places++) {
            if (n + places == EXACT_DIGITS) return false;
            v = v * 10 + (uint64_t)(*c->at - '0');
        }
        if (!places) return false;
    }
    *out = (double)v / power[places];
    return c->at < c->end && *c->at != 'e' && *c->at != 'E';
}

static int order(mr_span a, mr_span b) {
    size_t n = a.len < b.len ? a.len : b.len;
    int d = n ? memcmp(a.data, b.data, n) : 0;
    return d ? d : (a.len > b.len) - (a.len < b.len);
}

static bool take_integer(cursor *c) {
    uint64_t v;
    unsigned n;
    bool minus = take(c, '-');
    return take_digits(c, INTEGER_DIGITS, &v, &n) && !(minus && v == 0) && c->at < c->end && !strchr(".eE", *c->at);
}

/* What follows is a value in its canonical form, in which at most `deep` objects and lists lie in each other, none of them
 * empty. */
static bool skip_canonical(cursor *c, unsigned deep);

static bool skip_object(cursor *c, unsigned deep) {
    mr_span key, before = {0};
    if (!take(c, '{')) return false;
    do {
        if (!take_plain_string(c, &key) || (before.data && order(before, key) >= 0)) return false;
        if (!take(c, ':') || !skip_canonical(c, deep)) return false;
        before = key;
    } while (take(c, ','));
    return take(c, '}');
}

static bool skip_list(cursor *c, unsigned deep) {
    if (!take(c, '[')) return false;
    do {
        if (!skip_canonical(c, deep)) return false;
    } while (take(c, ','));
    return take(c, ']');
}

static bool skip_canonical(cursor *c, unsigned deep) {
    mr_span text;
    if (c->at == c->end) return false;
    switch (*c->at) {
    case '"': return take_plain_string(c, &text);
    case '{': return deep && skip_object(c, deep - 1);
    case '[': return deep && skip_list(c, deep - 1);
    case 't': return take_word(c, "true");
    case 'f': return take_word(c, "false");
    default: return take_integer(c);
    }
}

static bool take_canonical_object(cursor *c, mr_span *out) {
    const uint8_t *start = c->at;
    if (!skip_object(c, NESTED)) return false;
    *out = (mr_span){start, (size_t)(c->at - start)};
    return true;
}

bool mr_prompt_is_canonical(mr_span text) {
    cursor c = {text.data, text.data + text.len};
    return skip_object(&c, NESTED) && c.at == c.end;
}

/* ---- a row ---- */

typedef struct scan {
    cursor c;
    mr_arena *arena;
    mr_prompt *p;
    struct {
        mr_span key, value;
    } more[MEMBERS]; /* in the order of their keys */
    unsigned count;
} scan;

static bool take_prompt(scan *s) { return take_text(&s->c, s->arena, &s->p->prompt); }
static bool take_session(scan *s) { return take_text(&s->c, s->arena, &s->p->session); }
static bool take_score(scan *s) { return take_decimal(&s->c, &s->p->score); }

/* An object in its canonical form, copied. */
static bool take_object(scan *s, mr_span *out) {
    mr_span text;
    if (!take_canonical_object(&s->c, &text)) return false;
    char *copy = mr_arena_copy(s->arena, text.data, text.len);
    *out = (mr_span){(const uint8_t *)copy, text.len};
    return copy;
}

/* Text, or an object whose length is known to be within bounds by mr_prompt_check. */
static bool take_enhancement(scan *s) {
    s->p->has_enhancement = true;
    s->p->enhancement_is_json = s->c.at < s->c.end && *s->c.at == '{';
    return s->p->enhancement_is_json ? take_object(s, &s->p->enhancement)
                                     : take_text(&s->c, s->arena, &s->p->enhancement);
}

static bool take_source(scan *s) {
    mr_span text;
    if (!take_plain_string(&s->c, &text)) return false;
    for (int i = 0; i < MR_SOURCE_COUNT; i++) {
        if (!mr_span_eq(text, mr_span_of(mr_prompt_sources[i]))) continue;
        s->p->source = (mr_prompt_source)i;
        return true;
    }
    return false;
}

static bool take_priority(scan *s) {
    uint64_t v;
    unsigned n;
    if (!take_digits(&s->c, 4, &v, &n) || s->c.at == s->c.end || strchr(".eE", *s->c.at)) return false;
    s->p->priority = (uint32_t)v;
    return v >= 1 && v <= MR_PROMPT_PRIORITY_MAX;
}

static bool take_success(scan *s) {
    s->p->success = take_word(&s->c, "true");
    return s->p->success || take_word(&s->c, "false");
}

static bool take_created(scan *s) {
    mr_span text;
    return take_plain_string(&s->c, &text) && mr_time_parse(text, &s->p->created_at_us);
}

static bool take_labels(scan *s) {
    return take_object(s, &s->p->labels) && s->p->labels.len <= MR_PROMPT_OBJECT_MAX;
}

#define KEY(name) {(const uint8_t *)(name), sizeof(name) - 1}
static const struct {
    mr_span name;
    bool (*take)(scan *s);
} known[] = {
    {KEY("prompt"), take_prompt},     {KEY("enhancement"), take_enhancement}, {KEY("source"), take_source},
    {KEY("priority"), take_priority}, {KEY("session"), take_session},         {KEY("score"), take_score},
    {KEY("success"), take_success},   {KEY("labels"), take_labels},           {KEY("created_at"), take_created},
};
enum { KNOWN = sizeof known / sizeof *known };

/* Any other key becomes metadata. */
static bool take_other(scan *s, mr_span key) {
    const uint8_t *start = s->c.at;
    unsigned at = s->count;
    if (s->count == MEMBERS || !skip_canonical(&s->c, NESTED)) return false;
    for (; at > 0; at--) {
        int d = order(s->more[at - 1].key, key);
        if (d == 0) return false;
        if (d < 0) break;
        s->more[at] = s->more[at - 1];
    }
    s->more[at].key = key;
    s->more[at].value = (mr_span){start, (size_t)(s->c.at - start)};
    s->count++;
    return true;
}

static bool take_member(scan *s, unsigned *seen) {
    mr_span key;
    skip_space(&s->c);
    if (!take_plain_string(&s->c, &key)) return false;
    skip_space(&s->c);
    if (!take(&s->c, ':')) return false;
    skip_space(&s->c);
    for (unsigned i = 0; i < KNOWN; i++) {
        if (!mr_span_eq(key, known[i].name)) continue;
        if (*seen & 1u << i) return false; /* twice */
        *seen |= 1u << i;
        return known[i].take(s);
    }
    return take_other(s, key);
}

static bool put_metadata(scan *s) {
    mr_buf b;
    if (!s->count) return true;
    mr_buf_init(&b, NULL, MR_PROMPT_OBJECT_MAX);
    for (unsigned i = 0; i < s->count; i++) {
        mr_buf_text(&b, i ? ",\"" : "{\"");
        mr_buf_put(&b, s->more[i].key.data, s->more[i].key.len);
        mr_buf_text(&b, "\":");
        mr_buf_put(&b, s->more[i].value.data, s->more[i].value.len);
    }
    mr_buf_text(&b, "}");
    char *copy = mr_buf_status(&b) == MR_OK ? mr_arena_copy(s->arena, b.data, b.len) : NULL;
    s->p->metadata = (mr_span){(const uint8_t *)copy, b.len};
    mr_buf_free(&b);
    return copy;
}

bool mr_prompt_scan(mr_span line, mr_arena *arena, mr_prompt *out) {
    scan s = {.c = {line.data, line.data + line.len}, .arena = arena, .p = out};
    unsigned seen = 0;
    skip_space(&s.c);
    if (!take(&s.c, '{')) return false;
    do {
        if (!take_member(&s, &seen)) return false;
        skip_space(&s.c);
    } while (take(&s.c, ','));
    if (!take(&s.c, '}')) return false;
    skip_space(&s.c);
    return s.c.at == s.c.end && out->prompt.data && put_metadata(&s);
}
