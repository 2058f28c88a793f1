#include "worker/kit/structure_spans.h"

#include <string.h>

enum { NAME_BYTES_MAX = 48 };

/* ---- characters ---- */

static bool is_space(uint8_t c) { return c == ' ' || (c >= '\t' && c <= '\r'); }
static bool is_digit(uint8_t c) { return c >= '0' && c <= '9'; }
static bool is_lower(uint8_t c) { return c >= 'a' && c <= 'z'; }
static bool is_upper(uint8_t c) { return c >= 'A' && c <= 'Z'; }
static bool is_letter(uint8_t c) { return is_lower(c) || is_upper(c); }
static bool is_word(uint8_t c) { return is_letter(c) || is_digit(c) || c == '_' || c >= 0x80; }
static uint8_t lower(uint8_t c) { return is_upper(c) ? (uint8_t)(c + 32) : c; }

/* ---- phrases ---- */

bool mr_spans_phrase(mr_span text, size_t at, size_t end, const char *phrase) {
    for (; *phrase; phrase++, at++)
        if (at >= end || lower(text.data[at]) != (uint8_t)*phrase) return false;
    return at >= end || !is_word(text.data[at]);
}

size_t mr_spans_any(mr_span text, size_t at, size_t end, const char *const *phrases) {
    uint8_t first = at < end ? lower(text.data[at]) : 0; /* tells nearly all apart */
    for (; *phrases; phrases++)
        if ((uint8_t)**phrases == first && mr_spans_phrase(text, at, end, *phrases)) return strlen(*phrases);
    return 0;
}

static const char *const verbs[] = {
    "add",        "analyse",      "analyze",     "answer",    "apply",      "arrange",   "ask",
    "assess",     "assume",       "avoid",       "begin",     "brainstorm", "break",     "build",
    "calculate",  "change",       "check",       "choose",    "cite",       "clarify",   "classify",
    "combine",    "come up with", "compare",     "complete",  "compose",    "compute",   "consider",
    "continue",   "convert",      "correct",     "count",     "create",     "critique",  "debug",
    "define",     "delete",       "demonstrate", "describe",  "design",     "detect",    "determine",
    "develop",    "discuss",      "display",     "divide",    "draft",      "draw",      "edit",
    "elaborate",  "enumerate",    "estimate",    "evaluate",  "examine",    "expand",    "explain",
    "extract",    "fill",         "find",        "fix",       "focus",      "follow",    "format",
    "formulate",  "generate",     "give",        "group",     "help",       "highlight", "identify",
    "illustrate", "implement",    "improve",     "include",   "insert",     "interpret", "keep",
    "label",      "list",         "look",        "make",      "match",      "mention",   "modify",
    "name",       "note",         "optimise",    "optimize",  "organise",   "organize",  "outline",
    "output",     "paraphrase",   "pick",        "plan",      "predict",    "prepare",   "present",
    "print",      "produce",      "proofread",   "propose",   "provide",    "put",       "rank",
    "rate",       "read",         "recommend",   "refactor",  "reformat",   "remove",    "repeat",
    "rephrase",   "replace",      "reply",       "report",    "respond",    "return",    "review",
    "revise",     "rewrite",      "say",         "score",     "select",     "send",      "shorten",
    "show",       "simplify",     "solve",       "sort",      "specify",    "split",     "start",
    "state",      "suggest",      "summarise",   "summarize", "take",       "tell",      "think",
    "transform",  "translate",    "try",         "use",       "verify",     "write",     NULL};

/* Verbs that are also the names of fields: "Output: ..." asks for nothing. */
static const char *const field_names[] = {"answer", "format", "label", "list",  "name",  "note", "output",
                                          "plan",   "report", "reply", "score", "state", NULL};

bool mr_spans_verb(mr_span text, size_t at, size_t end) {
    size_t name = mr_spans_any(text, at, end, field_names);
    if (name && at + name < end && text.data[at + name] == ':') return false;
    return mr_spans_any(text, at, end, verbs) > 0;
}

static const char *const roles[] = {"you are a",
                                    "you are an",
                                    "you are the",
                                    "you're a",
                                    "you're an",
                                    "act as",
                                    "act like",
                                    "please act as",
                                    "i want you to act",
                                    "i need you to act",
                                    "i would like you to act",
                                    "imagine you are",
                                    "imagine you're",
                                    "imagine that you are",
                                    "pretend to be",
                                    "pretend you are",
                                    "pretend that you are",
                                    "assume the role",
                                    "take on the role",
                                    "take the role",
                                    "play the role",
                                    "your role is",
                                    "you will act as",
                                    "you act as",
                                    "you will be acting as",
                                    NULL};

static const char *const lead_ins[] = {"please", "then",   "first", "next",   "now",        "finally", "also",
                                       "and",    "second", "third", "kindly", "afterwards", NULL};

static const char *const requests[] = {"i want you to",
                                       "i need you to",
                                       "i would like you to",
                                       "i'd like you to",
                                       "your task is",
                                       "your job is",
                                       "your goal is",
                                       "help me",
                                       "let's",
                                       NULL};

static const char *const constraints[] = {"must",
                                          "shall",
                                          "should",
                                          "do not",
                                          "don't",
                                          "never",
                                          "always",
                                          "avoid",
                                          "at most",
                                          "at least",
                                          "no more than",
                                          "no longer than",
                                          "no fewer than",
                                          "no less than",
                                          "no earlier than",
                                          "no later than",
                                          "exactly",
                                          "maximum",
                                          "minimum",
                                          "limit",
                                          "limited to",
                                          "required",
                                          "ensure",
                                          "make sure",
                                          "cannot",
                                          "can't",
                                          "may not",
                                          "not allowed",
                                          "not exceed",
                                          "only use",
                                          "use only",
                                          "only answer",
                                          "answer only",
                                          "only respond",
                                          "respond only",
                                          "only reply",
                                          "reply only",
                                          "only return",
                                          "return only",
                                          "only output",
                                          "output only",
                                          "only write",
                                          "write only",
                                          "and nothing else",
                                          "nothing else",
                                          NULL};

/* These limit something only when a number follows. */
static const char *const before_number[] = {"fewer than", "less than", "more than", "under", "over", "up to",
                                            "within",     "between",   "max",       "min",   "in",   NULL};
static const char *const units[] = {"word",       "words",      "sentence", "sentences", "character",
                                    "characters", "line",       "lines",    "bullet",    "bullets",
                                    "paragraph",  "paragraphs", "token",    "tokens",    "step",
                                    "steps",      "item",       "items",    "points",    NULL};

static size_t skip_spaces(mr_span t, size_t at, size_t end) {
    while (at < end && is_space(t.data[at])) at++;
    return at;
}

/* "in 50 words", "within 3 sentences", "between 5 and 9": a number, and for "in" a unit behind it. */
static bool numeric_limit(mr_span t, size_t at, size_t end) {
    size_t n = mr_spans_any(t, at, end, before_number);
    if (!n) return false;
    size_t number = skip_spaces(t, at + n, end);
    if (number >= end || !is_digit(t.data[number])) return false;
    if (!mr_spans_phrase(t, at, end, "in") && !mr_spans_phrase(t, at, end, "over")) return true;
    while (number < end && is_digit(t.data[number])) number++;
    return mr_spans_any(t, skip_spaces(t, number, end), end, units) > 0;
}

static bool holds_constraint(mr_span t, size_t start, size_t end) {
    for (size_t i = start; i < end; i++) {
        if (!is_letter(t.data[i]) || (i > start && (is_word(t.data[i - 1]) || t.data[i - 1] == '\'')))
            continue;
        if (mr_spans_any(t, i, end, constraints) || numeric_limit(t, i, end)) return true;
    }
    return false;
}

static size_t skip_lead_ins(mr_span t, size_t at, size_t end) {
    for (size_t n; (n = mr_spans_any(t, at, end, lead_ins)) > 0;) {
        at += n;
        while (at < end && (is_space(t.data[at]) || t.data[at] == ',')) at++;
    }
    return at;
}

/* ---- sentences ---- */

static bool closes(uint8_t c) {
    return c == '"' || c == '\'' || c == ')' || c == ']' || c == '*' || c == '_';
}

static const char *const abbreviations[] = {"e.g",  "i.e", "vs",  "mr", "mrs",    "ms", "dr",
                                            "prof", "no",  "fig", "cf", "approx", "st", NULL};

/* Whether the full stop at `dot` ends an abbreviation, an initial or a number at the sentence's start. */
static bool abbreviates(mr_span t, size_t start, size_t dot) {
    size_t from = dot;
    while (from > start && (is_word(t.data[from - 1]) || t.data[from - 1] == '.')) from--;
    if (dot - from == 1 && is_upper(t.data[from])) return t.data[from] != 'I';
    bool number = from == start && dot > from;
    for (size_t i = from; i < dot; i++) number = number && is_digit(t.data[i]);
    return number || (dot > from && mr_spans_any(t, from, dot, abbreviations) == dot - from);
}

/* 3 for the full stops of Chinese and Japanese, else 0. */
static size_t wide_stop(mr_span t, size_t at, size_t end) {
    static const char *const stops[] = {"\xe3\x80\x82", "\xef\xbc\x81", "\xef\xbc\x9f"};
    for (size_t k = 0; end - at >= 3 && k < 3; k++)
        if (!memcmp(t.data + at, stops[k], 3)) return 3;
    return 0;
}

/* A line break ends a sentence unless the next line goes on in lower case or with a digit. */
static bool break_ends(mr_span t, size_t at, size_t end) {
    at = skip_spaces(t, at, end);
    return at >= end || !(is_lower(t.data[at]) || is_digit(t.data[at]));
}

static size_t sentence_end(mr_span t, size_t start, size_t end) {
    for (size_t i = start; i < end; i++) {
        uint8_t c = t.data[i];
        size_t wide = wide_stop(t, i, end);
        if (wide) return i + wide;
        if (c == '\n' && break_ends(t, i, end)) return i;
        if (c != '.' && c != '!' && c != '?') continue;
        size_t stop = i;
        while (i + 1 < end && (t.data[i + 1] == '.' || t.data[i + 1] == '!' || t.data[i + 1] == '?')) i++;
        size_t after = i + 1;
        while (after < end && closes(t.data[after])) after++;
        if (after < end && !is_space(t.data[after])) continue;
        if (c == '.' && stop == i && abbreviates(t, start, stop)) continue;
        return after;
    }
    return end;
}

static bool asks(mr_span t, size_t start, size_t end) {
    while (end > start && closes(t.data[end - 1])) end--;
    if (end > start && t.data[end - 1] == '?') return true;
    return end - start >= 3 && !memcmp(t.data + end - 3, "\xef\xbc\x9f", 3);
}

static void judge(mr_spans *s, size_t start, size_t end) {
    size_t at = start;
    while (at < end && (closes(s->text.data[at]) || s->text.data[at] == '(' || s->text.data[at] == '>')) at++;
    bool question = asks(s->text, start, end), role = !question && mr_spans_any(s->text, at, end, roles) > 0;
    size_t first = skip_lead_ins(s->text, at, end);
    if (role) mr_spans_add(s, MR_NODE_ROLE, start, end, 0);
    if (question) mr_spans_add(s, MR_NODE_QUESTION, start, end, 0);
    if (question) return;
    if (!role && (mr_spans_verb(s->text, first, end) || mr_spans_any(s->text, first, end, requests)))
        mr_spans_add(s, MR_NODE_INSTRUCTION, start, end, 0);
    if (holds_constraint(s->text, start, end)) mr_spans_add(s, MR_NODE_CONSTRAINT, start, end, 0);
}

/* ---- inside sentences ---- */

static const char *const clause_examples[] = {"e.g.", "e.g", "for example", "for instance", NULL};

/* Where the clause that starts at `at` ends: before a closing bracket that it did not open, a semicolon, a
 * line's end, or the stop of its sentence. */
static size_t clause_end(mr_span t, size_t at, size_t end) {
    int open = 0;
    for (size_t i = at; i < end; i++) {
        uint8_t c = t.data[i];
        if (c == '(' || c == '[') open++;
        if ((c == ')' || c == ']') && open-- == 0) return i;
        if (c == ';' || c == '\n') return i;
        bool stops = c == '.' || c == '!' || c == '?';
        if (stops && (i + 1 >= end || is_space(t.data[i + 1])) && !abbreviates(t, at, i)) return i;
    }
    return end;
}

static void find_clause_examples(mr_spans *s, size_t start, size_t end) {
    for (size_t i = start; i < end; i++) {
        if (!is_letter(s->text.data[i]) || (i > start && is_word(s->text.data[i - 1]))) continue;
        size_t n = mr_spans_any(s->text, i, end, clause_examples);
        if (!n) continue;
        size_t stop = clause_end(s->text, i + n, end);
        while (stop > i + n && is_space(s->text.data[stop - 1])) stop--;
        if (stop > i + n + 1) mr_spans_add(s, MR_NODE_EXAMPLE, i, stop, 0);
        i = stop > i + n ? stop : i + n;
    }
}

static void find_code(mr_spans *s, size_t start, size_t end) {
    for (size_t i = start; i < end; i++) {
        if (s->text.data[i] != '`') continue;
        size_t ticks = 1;
        while (i + ticks < end && s->text.data[i + ticks] == '`') ticks++;
        size_t run = 0, j = i + ticks;
        for (; j < end; j++) {
            run = s->text.data[j] == '`' ? run + 1 : 0;
            if (run == ticks && (j + 1 == end || s->text.data[j + 1] != '`')) break;
        }
        if (j < end) mr_spans_add(s, MR_NODE_CODE, i, j + 1, 0);
        i = j < end ? j : i + ticks - 1;
    }
}

/* Bytes of the name [A-Za-z_][A-Za-z0-9_ .-]* at `at`, without spaces at its end; 0 when there is none. */
static size_t name_length(mr_span t, size_t at, size_t end) {
    size_t n = 0;
    if (at >= end || !(is_letter(t.data[at]) || t.data[at] == '_')) return 0;
    while (at + n < end && n < NAME_BYTES_MAX &&
           (is_letter(t.data[at + n]) || is_digit(t.data[at + n]) ||
            (t.data[at + n] && strchr("_ .-/'", t.data[at + n]))))
        n++;
    while (n && t.data[at + n - 1] == ' ') n--;
    return n;
}

/* The end of `open` name `close` at `at`, blanks inside allowed; 0 when that is not there. */
static size_t bracketed(mr_span t, size_t at, size_t end, const char *open, const char *close, size_t *name) {
    size_t n = strlen(open), m = strlen(close);
    if (end - at < n || memcmp(t.data + at, open, n) != 0) return 0;
    *name = skip_spaces(t, at + n, end);
    size_t length = name_length(t, *name, end);
    size_t after = skip_spaces(t, *name + length, end);
    if (!length || end - after < m || memcmp(t.data + after, close, m) != 0) return 0;
    return after + m;
}

static const char *const tags[] = {
    "a",    "b",    "i",    "u",      "p",   "br",  "hr",   "em",   "li",  "ol",    "ul",    "td",     "th",
    "tr",   "div",  "img",  "pre",    "sub", "sup", "body", "h1",   "h2",  "h3",    "h4",    "h5",     "code",
    "head", "html", "span", "strong", "s",   "nav", "main", "form", "svg", "style", "table", "script", NULL};
static const char *const fill_words[] = {"insert", "your", "enter",       "add", "name",
                                         "topic",  "text", "placeholder", NULL};

static size_t placeholder_end(mr_span t, size_t at, size_t end) {
    size_t name, stop;
    uint8_t c = t.data[at];
    if (c == '$') return bracketed(t, at, end, "${", "}", &name);
    if (c == '{') {
        if ((stop = bracketed(t, at, end, "{{", "}}", &name))) return stop;
        return bracketed(t, at, end, "{", "}", &name);
    }
    if (c == '<') {
        stop = bracketed(t, at, end, "<", ">", &name);
        size_t n = stop ? mr_spans_any(t, name, stop, tags) : 0;
        return stop && name == at + 1 && n + name + 1 != stop ? stop : 0;
    }
    stop = bracketed(t, at, end, "[", "]", &name);
    if (!stop || (stop < end && (t.data[stop] == '(' || t.data[stop] == '['))) return 0;
    if (at > 0 && (t.data[at - 1] == ']' || is_word(t.data[at - 1]))) return 0;
    return is_upper(t.data[name]) || mr_spans_any(t, name, end, fill_words) ? stop : 0;
}

static void find_placeholders(mr_spans *s, size_t start, size_t end) {
    for (size_t i = start; i < end; i++) {
        uint8_t c = s->text.data[i];
        if (c != '{' && c != '$' && c != '<' && c != '[') continue;
        size_t stop = placeholder_end(s->text, i, end);
        if (!stop) continue;
        mr_spans_add(s, MR_NODE_PLACEHOLDER, i, stop, 0);
        i = stop - 1;
    }
}

void mr_spans_running_text(mr_spans *s, size_t start, size_t end) {
    while (end > start && is_space(s->text.data[end - 1])) end--;
    for (size_t at = skip_spaces(s->text, start, end); !s->quiet && at < end;) {
        size_t stop = sentence_end(s->text, at, end), last = stop;
        while (last > at && is_space(s->text.data[last - 1])) last--;
        if (last > at) judge(s, at, last);
        at = skip_spaces(s->text, stop > at ? stop : at + 1, end);
    }
    if (!s->quiet) find_clause_examples(s, start, end);
    find_code(s, start, end);
    find_placeholders(s, start, end);
}
