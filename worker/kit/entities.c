#include "worker/kit/entities.h"

#include <string.h>

const char *const mr_entity_names[MR_ENTITY_KINDS] = {"url",     "email", "date",  "money",
                                                      "percent", "phone", "number"};

enum { PHONE_DIGITS_MIN = 7, PHONE_DIGITS_MAX = 15, PHONE_BYTES_MAX = 24, NUMBER_BYTES_MAX = 64 };

static bool is_digit(uint8_t c) { return c >= '0' && c <= '9'; }
static bool is_letter(uint8_t c) { return (c | 32) >= 'a' && (c | 32) <= 'z'; }
static bool is_word(uint8_t c) { return is_digit(c) || is_letter(c) || c == '_' || c >= 0x80; }
static uint8_t byte(mr_span t, size_t i) { return i < t.len ? t.data[i] : 0; }
static uint8_t lower(uint8_t c) { return c >= 'A' && c <= 'Z' ? (uint8_t)(c + 32) : c; }

/* The length of `word` (lower case) when it stands at `at` and ends there, else 0. */
static size_t word_here(mr_span t, size_t at, const char *word) {
    size_t n = strlen(word);
    for (size_t i = 0; i < n; i++)
        if (lower(byte(t, at + i)) != (uint8_t)word[i]) return 0;
    return is_word(byte(t, at + n)) && is_letter((uint8_t)word[n - 1]) ? 0 : n;
}

static size_t any_here(mr_span t, size_t at, const char *const *words) {
    uint8_t first = lower(byte(t, at)); /* tells nearly all apart */
    for (; *words; words++) {
        size_t n = (uint8_t)**words == first ? word_here(t, at, *words) : 0;
        if (n) return n;
    }
    return 0;
}

static size_t digits_here(mr_span t, size_t at) {
    size_t n = 0;
    while (is_digit(byte(t, at + n))) n++;
    return n;
}

/* Digits with , or . between digits; a longer run counts as several. */
static size_t number_here(mr_span t, size_t at) {
    size_t n = digits_here(t, at);
    while (n && n < NUMBER_BYTES_MAX && (byte(t, at + n) == '.' || byte(t, at + n) == ',') &&
           is_digit(byte(t, at + n + 1)))
        n += 1 + digits_here(t, at + n + 1);
    return n;
}

static size_t blanks_here(mr_span t, size_t at) {
    size_t n = 0;
    while (n < 2 && byte(t, at + n) == ' ') n++;
    return n;
}

/* ---- each gives the length of the entity at `at`, or 0 ---- */

static size_t url_here(mr_span t, size_t at) {
    static const char *const starts[] = {"http://", "https://", "www.", NULL};
    size_t n = any_here(t, at, starts), from = n;
    while (n && byte(t, at + n) > ' ' && !strchr("<>\"`)]}", byte(t, at + n))) n++;
    return n > from ? n : 0;
}

static bool is_local(uint8_t c) { return is_digit(c) || is_letter(c) || (c && strchr("._%+-", c)); }

static size_t email_here(mr_span t, size_t at) {
    size_t n = 0, host, dot = 0;
    while (n < 64 && is_local(byte(t, at + n))) n++;
    if (!n || byte(t, at + n) != '@') return 0;
    host = ++n;
    for (; is_digit(byte(t, at + n)) || is_letter(byte(t, at + n)) || byte(t, at + n) == '-' ||
           (byte(t, at + n) == '.' && is_letter(byte(t, at + n + 1)));
         n++)
        if (byte(t, at + n) == '.') dot = n;
    return dot > host && n - dot > 2 ? n : 0;
}

static const char *const months[] = {
    "january", "february", "march",    "april", "may", "june", "july", "august", "september",
    "october", "november", "december", "jan",   "feb", "mar",  "apr",  "jun",    "jul",
    "aug",     "sep",      "sept",     "oct",   "nov", "dec",  NULL};

static size_t year_behind(mr_span t, size_t at) {
    size_t n = byte(t, at) == ',' ? 1 : 0;
    n += blanks_here(t, at + n);
    return n && digits_here(t, at + n) == 4 ? n + 4 : 0;
}

/* "May 31, 2024", "May 31", "May 2024". */
static size_t month_first(mr_span t, size_t at) {
    size_t n = any_here(t, at, months);
    if (!n) return 0;
    if (byte(t, at + n) == '.') n++;
    size_t day = n + blanks_here(t, at + n), digits = digits_here(t, at + day);
    if (day == n || (digits != 4 && (digits == 0 || digits > 2))) return 0;
    n = day + digits;
    return digits == 4 ? n : n + year_behind(t, at + n);
}

static size_t date_here(mr_span t, size_t at) {
    size_t a = digits_here(t, at), b, c;
    if (!a) return month_first(t, at);
    uint8_t mark = byte(t, at + a);
    if (a <= 2 && mark == ' ') { /* 31 May 2024 */
        size_t word = any_here(t, at + a + 1, months);
        return word ? a + 1 + word + year_behind(t, at + a + 1 + word) : 0;
    }
    if (mark != '-' && mark != '/' && mark != '.') return 0;
    b = digits_here(t, at + a + 1);
    if (b < 1 || b > 2 || byte(t, at + a + 1 + b) != mark) return 0;
    c = digits_here(t, at + a + b + 2);
    bool year_first = a == 4 && (c == 1 || c == 2), year_last = a <= 2 && (c == 4 || c == 2);
    return year_first || year_last ? a + b + c + 2 : 0;
}

static const char *const signs[] = {"$", "\xe2\x82\xac", "\xc2\xa3", "\xc2\xa5", NULL};
static const char *const currencies[] = {"usd",   "eur",  "gbp",   "jpy",    "chf", "dollars", "dollar",
                                         "euros", "euro", "cents", "pounds", "yen", NULL};

static size_t money_here(mr_span t, size_t at) {
    size_t sign = any_here(t, at, signs);
    if (sign) {
        size_t blank = blanks_here(t, at + sign), number = number_here(t, at + sign + blank);
        return number ? sign + blank + number : 0;
    }
    size_t n = number_here(t, at), blank = n ? blanks_here(t, at + n) : 0;
    if (!n) return 0;
    size_t behind = any_here(t, at + n + blank, signs + 1); /* "5 $" is rare, "5$" a shell variable */
    if (!behind) behind = any_here(t, at + n + blank, currencies);
    return behind ? n + blank + behind : 0;
}

static size_t percent_here(mr_span t, size_t at) {
    static const char *const words[] = {"%", "percent", "per cent", NULL};
    size_t n = number_here(t, at), blank = n ? blanks_here(t, at + n) : 0;
    size_t sign = n ? any_here(t, at + n + blank, words) : 0;
    return sign ? n + blank + sign : 0;
}

/* Groups of digits with one of blank, dash, dot, brackets between; a plus sign, or three groups or an area
 * code. */
static size_t phone_here(mr_span t, size_t at) {
    size_t n = byte(t, at) == '+', digits = 0, groups = 0, end = 0;
    bool plus = n > 0, bracket = byte(t, at + n) == '(';
    while (n < PHONE_BYTES_MAX) {
        if (byte(t, at + n) == '(') n++;
        size_t d = digits_here(t, at + n);
        if (!d || (d == 1 && groups > 0)) break;
        digits += d;
        groups++;
        n += d;
        end = n;
        if (byte(t, at + n) == ')') n++;
        uint8_t mark = byte(t, at + n);
        if (mark != ' ' && mark != '-' && mark != '.') break;
        n++;
    }
    bool formed = plus || bracket ? groups >= 2 || plus : groups >= 3;
    return formed && digits >= PHONE_DIGITS_MIN && digits <= PHONE_DIGITS_MAX ? end : 0;
}

void mr_count_entities(mr_span t, uint64_t counts[MR_ENTITY_KINDS]) {
    static size_t (*const here[MR_ENTITY_KINDS])(mr_span, size_t) = {
        url_here, email_here, date_here, money_here, percent_here, phone_here, number_here};
    for (size_t i = 0; i < t.len;) {
        size_t n = 0;
        for (int k = 0; k < MR_ENTITY_KINDS && !n; k++)
            if ((n = here[k](t, i)) > 0) counts[k]++;
        i += n ? n : 1;
        /* The rest of a word is no entity: "x86" holds no number. */
        if (!n)
            while (is_word(byte(t, i)) && is_word(byte(t, i - 1)) && i < t.len) i++;
    }
}
