#include "common/unicode.h"
#include "common/unicode_ascii.h"

#include <string.h>

/* The rules are of our own making: vowel groups, corrected by the table below. test_unicode.c says how often
 * they are right. */

enum { WORD_MAX = 64 };

typedef struct letters {
    char w[WORD_MAX + 1]; /* lower case; an accented vowel is 'A', which is never silent */
    size_t n;
    bool spoken_not; /* ends in a consonant and n't: "didn't" */
} letters;

static bool is_vowel_letter(char c) {
    return c == 'a' || c == 'e' || c == 'i' || c == 'o' || c == 'u' || c == 'y' || c == 'A';
}

/* The vowels of Latin-1: A-ring and O-stroke count, eth and thorn do not. */
static bool is_latin_vowel(uint32_t c) {
    uint32_t low = c | 0x20;
    return (low >= 0xE0 && low <= 0xE6) || (low >= 0xE8 && low <= 0xEF) ||
           (low >= 0xF2 && low <= 0xFD && low != 0xF7);
}

static void add_letter(letters *l, char c) {
    if (l->n < WORD_MAX) l->w[l->n++] = c;
}

static void read_letters(mr_span word, letters *l) {
    *l = (letters){.n = 0};
    for (size_t at = 0; at < word.len;) {
        uint32_t c = mr_utf8_next(word, &at);
        if (c < 128) {
            if (mr_ascii_class[c] & MR_CHAR_LETTER) add_letter(l, (char)(c | 0x20));
            bool not_end = c == '\'' && word.len - at == 1 && (word.data[at] | 0x20) == 't';
            if (not_end && l->n > 2 && l->w[l->n - 1] == 'n')
                l->spoken_not = !is_vowel_letter(l->w[l->n - 2]);
        } else if (mr_char_class(c) & MR_CHAR_LETTER) {
            add_letter(l, is_latin_vowel(c) ? 'A' : 'x');
        }
    }
}

/* y is a consonant before a vowel at the start of the word and between two vowels. */
static bool is_vowel(const letters *l, size_t i) {
    if (l->w[i] != 'y') return is_vowel_letter(l->w[i]);
    bool before = i > 0 && is_vowel_letter(l->w[i - 1]), after = is_vowel_letter(l->w[i + 1]);
    return !(after && (before || i == 0));
}

static int count_groups(const letters *l) {
    int groups = 0;
    for (size_t i = 0; i < l->n; i++) groups += is_vowel(l, i) && (i == 0 || !is_vowel(l, i - 1));
    return groups;
}

enum place { START, END, ANY };

/* `delta` is added when the word has `text` at that place, unless the letter before it is in `not_after`. */
typedef struct rule {
    const char *text, *not_after;
    enum place place;
    int delta;
} rule;

enum { RULES_A_LETTER = 9 };

/* By the first letter of `text`; a row ends with NULL. */
static const rule apart[26][RULES_A_LETTER + 1] = {
    ['b' - 'a'] = {{"busi", "", START, -1}},
    ['c' - 'a'] = {{"creat", "", START, 1},
                   {"creatur", "", START, -1},
                   {"clien", "", ANY, 1},
                   {"cooper", "", START, 1},
                   {"coord", "", START, 1},
                   {"ciat", "", ANY, 1}},
    ['d' - 'a'] = {{"dien", "", ANY, 1}},
    ['e' - 'a'] = {{"eo", "", ANY, 1}, {"eing", "", END, 1}},
    ['f' - 'a'] = {{"fluid", "", ANY, 1}},
    ['g' -
        'a'] = {{"geou", "", ANY, -1}, {"geon", "", ANY, -1}, {"gue", "r", END, -1}, {"gues", "rs", END, -1}},
    ['i' - 'a'] = {{"ia", "ctsg", ANY, 1},
                   {"iage", "", ANY, -1},
                   {"io", "", ANY, 1},
                   {"iou", "dnrvpl", ANY, -1},
                   {"ion", "rpd", ANY, -1},
                   {"iu", "", ANY, 1},
                   {"ism", "", END, 1},
                   {"isms", "", END, 1},
                   {"iety", "", ANY, 1}},
    ['n' - 'a'] = {{"nien", "", ANY, 1}},
    ['o' - 'a'] = {{"oing", "", END, 1}},
    ['p' - 'a'] = {{"people", "", ANY, -1}, {"pien", "", ANY, 1}, {"poem", "", ANY, 1}, {"poet", "", ANY, 1}},
    ['q' - 'a'] = {{"quiet", "", ANY, 1}, {"que", "", END, -1}, {"ques", "", END, -1}},
    ['r' - 'a'] = {{"rien", "f", ANY, 1}, {"realit", "", START, 1}, {"react", "", START, 1}},
    ['s' - 'a'] = {{"scien", "", ANY, 1}},
    ['t' - 'a'] = {{"thm", "", END, 1}, {"thms", "", END, 1}, {"tiat", "", ANY, 1}},
    ['u' - 'a'] = {{"ua", "qg", ANY, 1},
                   {"uou", "qg", ANY, 1},
                   {"uin", "qg", ANY, 1},
                   {"uity", "", ANY, 1},
                   {"uiti", "", ANY, 1},
                   {"uen", "qg", ANY, 1},
                   {"uel", "qg", ANY, 1}},
    ['y' - 'a'] = {{"ying", "aeou", END, 1}},
};

static bool stands_at(const letters *l, const rule *r, size_t i) {
    size_t n = 0;
    while (r->text[n] && r->text[n] == l->w[i + n]) n++;
    if (r->text[n]) return false;
    if ((r->place == START && i != 0) || (r->place == END && i + n != l->n)) return false;
    return i == 0 || !strchr(r->not_after, l->w[i - 1]);
}

static int count_apart(const letters *l) {
    int delta = 0;
    for (size_t i = 0; i < l->n; i++) {
        if (l->w[i] < 'a') continue;
        for (const rule *r = apart[l->w[i] - 'a']; r->text; r++)
            if (stands_at(l, r, i)) delta += r->delta;
    }
    return delta;
}

static bool ends(const letters *l, const char *text) {
    size_t n = strlen(text);
    return n <= l->n && !memcmp(l->w + l->n - n, text, n);
}

/* An e at `i` behind a consonant, which is not the e of a spoken "-le" ("table", "handle"). */
static bool can_be_silent(const letters *l, size_t i) {
    if (i < 2 || l->w[i] != 'e' || is_vowel(l, i - 1)) return false;
    return l->w[i - 1] != 'l' || is_vowel(l, i - 2) || l->w[i - 2] == 'l';
}

static bool is_silent_ending(const letters *l) {
    size_t n = l->n;
    if (n < 3) return false;
    if (ends(l, "e")) return can_be_silent(l, n - 1);
    if (!can_be_silent(l, n - 2)) return false;
    char before = l->w[n - 3];
    if (ends(l, "es")) return !strchr("szxcg", before) && !ends(l, "ches") && !ends(l, "shes");
    if (!ends(l, "ed")) return false;
    return before != 't' && before != 'd' &&
           !(before == 'r' && n > 3 && !is_vowel(l, n - 4) && l->w[n - 4] != 'r');
}

/* The silent e in the middle of "statement", "careful", "something". */
static bool is_silent_inside(const letters *l) {
    static const char *const tails[] = {"ely", "ement", "ements", "eful", "efully", "eness", "eless"};
    static const char *const heads[] = {"some", "there", "where", "here", "fore", "home", "life", "time",
                                        "code", "base",  "note",  "make", "name", "type", "like", "file"};
    for (size_t k = 0; k < sizeof tails / sizeof *tails; k++)
        if (ends(l, tails[k])) return can_be_silent(l, l->n - strlen(tails[k]));
    for (size_t k = 0; k < sizeof heads / sizeof *heads; k++) {
        if (l->w[0] != heads[k][0]) continue;
        size_t n = strlen(heads[k]);
        if (l->n >= n + 3 && !memcmp(l->w, heads[k], n) && !is_vowel(l, n)) return true;
    }
    return false;
}

static int exception(const letters *l) {
    static const struct {
        const char *word;
        int syllables;
    } list[] = {
        {"idea", 3},    {"ideas", 3},     {"area", 3},    {"areas", 3},    {"maybe", 2},   {"recipe", 3},
        {"recipes", 3}, {"lion", 2},      {"element", 3}, {"elements", 3}, {"forever", 3}, {"argue", 2},
        {"argues", 2},  {"diet", 2},      {"being", 2},   {"naked", 2},    {"wicked", 2},  {"everyone", 3},
        {"quite", 1},   {"something", 2}, {"create", 2},  {"created", 3},  {"creates", 2}, {"simile", 3},
    };
    for (size_t k = 0; k < sizeof list / sizeof *list; k++)
        if (l->w[0] == list[k].word[0] && !strcmp(l->w, list[k].word)) return list[k].syllables;
    return 0;
}

unsigned mr_text_syllables(mr_span word) {
    letters l;
    read_letters(word, &l);
    if (l.n == 0) return 0;
    int count = exception(&l);
    if (count) return (unsigned)count;
    count = count_groups(&l);
    if (count > 1 && is_silent_ending(&l)) count--;
    if (count > 1 && is_silent_inside(&l)) count--;
    count += count_apart(&l) + l.spoken_not;
    return count > 0 ? (unsigned)count : 1;
}
