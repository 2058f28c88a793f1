#include "common/features_parts.h"
#include "common/unicode_ascii.h"

#include <string.h>

static unsigned class_of(uint8_t b) { return b < 128 ? mr_ascii_class[b] : (unsigned)MR_CHAR_LETTER; }
static bool is_space(uint8_t b) { return class_of(b) & MR_CHAR_SPACE; }
static bool is_letter(uint8_t b) { return class_of(b) & MR_CHAR_LETTER; }
static bool is_digit(uint8_t b) { return class_of(b) & MR_CHAR_DIGIT; }

static mr_span trim(mr_span s) {
    while (s.len && is_space(s.data[0])) {
        s.data++;
        s.len--;
    }
    while (s.len && is_space(s.data[s.len - 1])) s.len--;
    return s;
}

static bool is_fence(mr_span line) {
    return line.len >= 3 && (!memcmp(line.data, "```", 3) || !memcmp(line.data, "~~~", 3));
}

/* "- x", "* x", "+ x", a bullet, "1. x", "12) x", "a) x". */
static bool is_list_item(mr_span line) {
    static const char bullet[] = "\xE2\x80\xA2";
    if (line.len >= 3 && !memcmp(line.data, bullet, 3)) return true;
    if (line.len < 3) return false;
    if (strchr("-*+", line.data[0])) return line.data[1] == ' ';
    size_t n = 0;
    while (n < 3 && n < line.len && is_digit(line.data[n])) n++;
    bool numbered =
        n > 0 && line.len - n >= 2 && (line.data[n] == '.' || line.data[n] == ')') && line.data[n + 1] == ' ';
    return numbered || (is_letter(line.data[0]) && line.data[1] == ')' && line.data[2] == ' ');
}

enum { HEADING_BYTES = 60 };

/* "# x" to "###### x", or a short line that starts with a letter and ends in a colon. */
static bool is_heading(mr_span line) {
    size_t marks = 0;
    while (marks < line.len && line.data[marks] == '#') marks++;
    if (marks >= 1 && marks <= 6) return marks < line.len && line.data[marks] == ' ';
    return line.len >= 2 && line.len <= HEADING_BYTES && is_letter(line.data[0]) &&
           line.data[line.len - 1] == ':';
}

typedef struct line_walk {
    bool in_code, in_paragraph;
} line_walk;

static void count_line(mr_structure_counts *out, line_walk *walk, mr_span line) {
    line = trim(line);
    out->lines++;
    if (line.len && !walk->in_paragraph) out->paragraphs++;
    walk->in_paragraph = line.len != 0;
    if (is_fence(line)) {
        walk->in_code = !walk->in_code;
        out->code_blocks += walk->in_code;
    } else if (!walk->in_code && line.len) {
        bool item = line.data[0] != 0 && is_list_item(line);
        out->items += item;
        out->headings += !item && is_heading(line);
    }
}

static void count_lines(mr_span s, mr_structure_counts *out) {
    line_walk walk = {false, false};
    while (s.len) {
        const uint8_t *newline = memchr(s.data, '\n', s.len);
        size_t n = newline ? (size_t)(newline - s.data) : s.len;
        count_line(out, &walk, (mr_span){s.data, n});
        n += newline != NULL;
        s.data += n;
        s.len -= n;
    }
}

enum { PLACEHOLDER_BYTES = 40 };

/* The closing bracket of "{name}", "[NAME]" or "<name>" when one opens at `at`, else 0: at most 40 bytes of
 * letters, digits, blanks, '_' and '-', the first a letter. A Markdown link "[text](" is none. */
static size_t placeholder_end(mr_span s, size_t at) {
    uint8_t close = s.data[at] == '{' ? '}' : s.data[at] == '[' ? ']' : '>';
    size_t i = at + 1;
    if (i >= s.len || !is_letter(s.data[i])) return 0;
    for (; i < s.len && i - at <= PLACEHOLDER_BYTES; i++) {
        uint8_t b = s.data[i];
        if (b == close) return close == ']' && s.len - i > 1 && s.data[i + 1] == '(' ? 0 : i;
        if (!is_letter(b) && !is_digit(b) && b != ' ' && b != '_' && b != '-') return 0;
    }
    return 0;
}

/* What count_marks looks at: most bytes are none of these. */
static const bool is_mark[256] = {['"'] = true, ['{'] = true, ['['] = true, ['<'] = true, [0xE2] = true, [0xC2] = true};

static void count_marks(mr_span s, mr_structure_counts *out) {
    uint64_t straight = 0;
    for (size_t i = 0; i < s.len; i++) {
        uint8_t b = s.data[i];
        if (!is_mark[b]) continue;
        straight += b == '"';
        if (b == 0xE2) out->quotes += s.len - i >= 3 && s.data[i + 1] == 0x80 && s.data[i + 2] == 0x9C;
        if (b == 0xC2) out->quotes += s.len - i >= 2 && s.data[i + 1] == 0xAB;
        if (b == '{' || b == '[' || b == '<') {
            size_t end = placeholder_end(s, i);
            out->placeholders += end != 0;
            if (end) i = end;
        }
    }
    out->quotes += straight / 2;
}

void mr_count_structure(mr_span s, mr_structure_counts *out) {
    *out = (mr_structure_counts){0};
    count_lines(s, out);
    count_marks(s, out);
}
