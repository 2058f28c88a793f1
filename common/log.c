#include "common/log.h"
#include "common/clock.h"
#include "common/text.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char *const level_names[] = {"debug", "info", "warn", "error", "off"};

const char *mr_log_level_name(mr_log_level level) { return level_names[level]; }

bool mr_log_level_parse(const char *text, mr_log_level *out) {
    for (size_t i = 0; i < sizeof level_names / sizeof *level_names; i++) {
        if (strcmp(text, level_names[i])) continue;
        *out = (mr_log_level)i;
        return true;
    }
    return false;
}

void mr_log_init(mr_log *log, int fd, mr_log_level level, bool json) { *log = (mr_log){fd, level, json}; }

/* A line in the making. A pair that does not fit is left out whole, and all after it. */
typedef struct line {
    char *text;
    size_t len;
    bool json, full;
} line;

/* Room for the mark of a cut line, the closing brace and the line's end. */
enum { RESERVED = 24 };

static void put(line *l, const char *bytes, size_t n) {
    if (l->full || n > MR_LOG_LINE - RESERVED - l->len) {
        l->full = true;
        return;
    }
    memcpy(l->text + l->len, bytes, n);
    l->len += n;
}

static void put_text(line *l, const char *text) { put(l, text, strlen(text)); }

/* Characters that a logfmt value may hold without quotes; all other bytes, also UTF-8, need them. */
static bool is_bare(const char *text) {
    static const char bare[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.:/+@%,#*";
    return *text && text[strspn(text, bare)] == 0;
}

/* Control characters, and bytes that are not UTF-8, never reach a terminal as they are. */
static void put_quoted(line *l, const char *text) {
    put(l, "\"", 1);
    for (size_t left = strlen(text); left && !l->full;) {
        const uint8_t *s = (const uint8_t *)text;
        char escape[8];
        size_t n = mr_utf8_char(s, left);
        bool c1 = n == 2 && s[0] == 0xc2 && s[1] < 0xa0;
        if (n == 0 || *s < 0x20 || *s == 0x7f || c1) {
            unsigned code = c1 ? s[1] : *s;
            snprintf(escape, sizeof escape, "\\u%04x", n ? code : 0xfffdu);
            put_text(l, escape);
        } else {
            if (*s == '"' || *s == '\\') put(l, "\\", 1);
            put(l, text, n);
        }
        text += n ? n : 1;
        left -= n ? n : 1;
    }
    put(l, "\"", 1);
}

static void put_value(line *l, const char *text, bool is_text) {
    if (is_text && (l->json || !is_bare(text)))
        put_quoted(l, text);
    else
        put_text(l, text);
}

static void put_pair(line *l, const char *key, const char *value, bool is_text) {
    size_t before = l->len;
    if (before > (l->json ? 1u : 0u)) put(l, l->json ? "," : " ", 1);
    if (l->json)
        put_quoted(l, key);
    else
        put_text(l, key);
    put(l, l->json ? ":" : "=", 1);
    put_value(l, value, is_text);
    if (l->full) l->len = before;
}

static void put_field(line *l, const mr_log_field *f) {
    char number[MR_NUMBER_TEXT];
    switch (f->type) {
    case MR_LOG_TEXT_:
        put_pair(l, f->key, f->text ? f->text : "", true);
        return;
    case MR_LOG_INT_:
        snprintf(number, sizeof number, "%lld", (long long)f->integer);
        break;
    case MR_LOG_BOOL_:
        strcpy(number, f->integer ? "true" : "false");
        break;
    default:
        mr_number_text(f->number, number);
        if (l->json && strpbrk(number, "ni")) strcpy(number, "null"); /* JSON has no NaN and no infinity */
    }
    put_pair(l, f->key, number, false);
}

size_t mr_log_format(char *out, bool json, int64_t wall_ns, mr_log_level level, const char *object,
                     const char *event, const mr_log_field *fields) {
    line l = {.text = out, .json = json};
    char time[MR_CLOCK_TEXT];
    mr_time_text(wall_ns, time);
    if (json) put(&l, "{", 1);
    put_pair(&l, "ts", time, true);
    put_pair(&l, "level", level_names[level], true);
    put_pair(&l, "obj", object, true);
    put_pair(&l, "event", event, true);
    for (; fields->type != MR_LOG_END_; fields++) put_field(&l, fields);
    const char *cut = !l.full ? "" : json ? ",\"cut\":true" : " cut=true";
    return l.len + (size_t)sprintf(out + l.len, "%s%s\n", cut, json ? "}" : "");
}

void mr_log_write(const mr_log *log, mr_log_level level, const char *object, const char *event,
                  const mr_log_field *fields) {
    if (!log || level < log->level || log->level == MR_LOG_OFF) return;
    char text[MR_LOG_LINE];
    size_t n = mr_log_format(text, log->json, mr_clock_wall_ns(), level, object, event, fields);
    if (write(log->fd, text, n) < 0) return;
}
