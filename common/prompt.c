#include "common/prompt_parts.h"
#include "common/hash.h"
#include "common/unicode.h"

#include <math.h>
#include <string.h>

const char *const mr_prompt_sources[] = {"user", "synthetic", "api", NULL};

void mr_prompt_init(mr_prompt *p) {
    *p = (mr_prompt){.priority = MR_PROMPT_PRIORITY, .score = NAN, .success = -1, .created_at_us = INT64_MIN};
}

/* ---- the content hash ---- */

static void hash_part(mr_hash_state *s, uint8_t kind, mr_span bytes) {
    uint8_t head[9] = {kind};
    for (int i = 0; i < 8; i++) head[1 + i] = (uint8_t)((uint64_t)bytes.len >> (8 * i));
    mr_hash_update(s, (mr_span){head, sizeof head});
    mr_hash_update(s, bytes);
}

void mr_prompt_hash(mr_prompt *p) {
    mr_hash_state s;
    mr_hash_init(&s);
    mr_hash_update(&s, mr_span_of("millrace prompt1"));
    hash_part(&s, 1, p->prompt);
    hash_part(&s, !p->has_enhancement ? 0 : p->enhancement_is_json ? 2 : 1, p->enhancement);
    mr_hash h = mr_hash_final(&s);
    memcpy(p->hash, h.bytes, sizeof p->hash);
}

/* ---- the rules ---- */

uint32_t mr_prompt_max_chars(const mr_prompt_limits *limits) {
    uint32_t n = limits && limits->max_chars ? limits->max_chars : (uint32_t)MR_PROMPT_CHARS;
    return n > MR_PROMPT_CHARS_MAX ? (uint32_t)MR_PROMPT_CHARS_MAX : n;
}

mr_status mr_prompt_check_text(const char *name, mr_span text, uint32_t max_chars, mr_error *err) {
    size_t chars, bad;
    if (!mr_utf8_check(text, &chars, &bad))
        return mr_fail(err, MR_E_INVALID, "'%.100s' is not UTF-8 at byte %zu", name, bad + 1);
    if (text.len && memchr(text.data, 0, text.len))
        return mr_fail(err, MR_E_INVALID, "'%.100s' holds a NUL character, which cannot be stored", name);
    if (chars > max_chars)
        return mr_fail(err, MR_E_LIMIT, "'%.100s' has %zu characters, at most %u are allowed", name, chars,
                       max_chars);
    return MR_OK;
}

static mr_status refuse(const char **key, const char *name, mr_status status) {
    if (status != MR_OK && key) *key = name;
    return status;
}

static mr_status check_numbers(const mr_prompt *p, const char **key, mr_error *err) {
    if (p->priority < 1 || p->priority > MR_PROMPT_PRIORITY_MAX)
        return refuse(key, "priority",
                      mr_fail(err, MR_E_INVALID, "'priority' is %u, it must be from 1 to %d", p->priority,
                              MR_PROMPT_PRIORITY_MAX));
    if (!isnan(p->score) && !(p->score >= 0 && p->score <= 1))
        return refuse(key, "score",
                      mr_fail(err, MR_E_INVALID, "'score' is %g, it must be from 0 to 1", p->score));
    if (p->created_at_us != INT64_MIN && (p->created_at_us < MR_TIME_MIN || p->created_at_us > MR_TIME_MAX))
        return refuse(key, "created_at",
                      mr_fail(err, MR_E_INVALID, "'created_at' is not between the years 1 and 9999"));
    return MR_OK;
}

mr_status mr_prompt_check(const mr_prompt *p, const mr_prompt_limits *limits, const char **key,
                          mr_error *err) {
    uint32_t max = mr_prompt_max_chars(limits);
    mr_status s = refuse(key, "prompt", mr_prompt_check_text("prompt", p->prompt, max, err));
    if (s != MR_OK) return s;
    if (mr_text_trim(p->prompt).len == 0)
        return refuse(key, "prompt", mr_fail(err, MR_E_INVALID, "'prompt' is empty or only white space"));
    s = refuse(key, "enhancement", mr_prompt_check_text("enhancement", p->enhancement, max, err));
    if (s != MR_OK) return s;
    s = refuse(key, "session", mr_prompt_check_text("session", p->session, MR_PROMPT_SESSION_CHARS, err));
    if (s != MR_OK) return s;
    return check_numbers(p, key, err);
}

/* ---- into the arena ---- */

mr_status mr_prompt_copy(mr_arena *arena, mr_span text, mr_span *out, mr_error *err) {
    char *copy = mr_arena_copy(arena, text.data, text.len);
    if (!copy) return mr_fail(err, MR_E_MEMORY, "out of memory while reading a row");
    *out = (mr_span){(uint8_t *)copy, text.len};
    return MR_OK;
}

mr_status mr_prompt_keep(const char *name, mr_buf *b, mr_arena *arena, mr_span *out, mr_error *err) {
    mr_status status = mr_buf_status(b);
    if (status == MR_E_LIMIT)
        mr_fail(err, status, "'%.100s' is larger than %zu bytes", name, b->max);
    else if (status != MR_OK)
        mr_fail(err, status, "out of memory while reading a row");
    else
        status = mr_prompt_copy(arena, mr_buf_span(b), out, err);
    mr_buf_free(b);
    return status;
}

mr_status mr_prompt_canonical(const char *name, const mr_json *v, size_t max, mr_arena *arena, mr_span *out,
                              mr_error *err) {
    mr_buf b;
    mr_buf_init(&b, NULL, max);
    mr_json_dump(v, &b);
    return mr_prompt_keep(name, &b, arena, out, err);
}
