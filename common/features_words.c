#include "common/features_parts.h"
#include "common/unicode_ascii.h"

#include <endian.h>
#include <string.h>

typedef struct entry {
    uint64_t hash;
    uint32_t start, length; /* its folded text */
    uint32_t count, in_window;
    uint16_t bits, syllables;
} entry;

/* The words of one text, in the scratch memory. A text of n bytes has at most n words. */
typedef struct words {
    entry *distinct;
    uint32_t *order; /* for each word its place in `distinct` */
    uint32_t *slots; /* hash table of places + 1; 0 is empty */
    uint64_t *bits;  /* of mr_ascii_fold */
    uint8_t *folded; /* some bytes may be read behind what is in it */
    size_t count, distinct_count, slot_count, fill;
    mr_kept_word *kept;
} words;

static bool words_open(words *w, mr_text *t, size_t bytes) {
    *w = (words){.slot_count = 64};
    while (w->slot_count < bytes)
        w->slot_count *= 2; /* words are at most every second byte, but for rare scripts */
    if (w->slot_count < bytes * 5 / 4) w->slot_count *= 2;
    size_t entries = bytes * sizeof(entry), bits = MR_ASCII_BITS(bytes) * sizeof(uint64_t),
           order = bytes * sizeof(uint32_t), slots = w->slot_count * sizeof(uint32_t);
    uint8_t *p = mr_text_scratch(t, entries + bits + order + slots + bytes * 3 + MR_KEPT_WORD);
    if (!p) return false;
    w->distinct = (entry *)(void *)p;
    w->bits = (uint64_t *)(void *)(p + entries);
    w->order = (uint32_t *)(void *)(p + entries + bits);
    w->slots = (uint32_t *)(void *)(p + entries + bits + order);
    w->folded = p + entries + bits + order + slots;
    memset(w->slots, 0, slots);
    return true;
}

/* Writes the word in lower case behind what is kept, with a straight apostrophe; returns its code points. */
static size_t fold_word(words *w, mr_span s, const mr_piece *piece, size_t *length) {
    uint8_t *to = w->folded + w->fill, *start = to;
    size_t chars = 0;
    for (size_t at = piece->start; at < piece->end; chars++) {
        uint8_t b = s.data[at];
        if (b < 128) {
            *to++ = (uint8_t)(mr_ascii_class[b] & MR_CHAR_UPPER ? b + 32 : b);
            at++;
        } else {
            uint32_t c = mr_char_fold(mr_utf8_next(s, &at));
            to += mr_utf8_put(c == 0x2019 ? '\'' : c, to);
        }
    }
    *length = (size_t)(to - start);
    return chars;
}

/* The first `n` of eight bytes, and zeros. */
static uint64_t load(const uint8_t *p, size_t n) {
    uint64_t v;
    memcpy(&v, p, sizeof v);
    v = le64toh(v);
    return n >= 8 ? v : v & ((1ull << 8 * n) - 1);
}

/* Words without NUL of up to eight bytes have a hash each: every step can be undone. */
static uint64_t hash_bytes(const uint8_t *p, size_t n) {
    uint64_t h = 0xcbf29ce484222325u ^ n;
    for (; n > 8; p += 8, n -= 8) {
        h = (h ^ load(p, 8)) * 0x9e3779b97f4a7c15u;
        h ^= h >> 32;
    }
    h = (h ^ load(p, n)) * 0x9e3779b97f4a7c15u;
    return h ^ h >> 32;
}

/* What a word means and how it sounds; most words were met before. */
static void look_up(mr_kept_word *w, mr_span text) {
    unsigned syllables = mr_text_syllables(text);
    w->bits = (uint16_t)mr_lexicon(text);
    w->syllables = (uint16_t)(syllables ? syllables : 1); /* a number is read as one */
}

/* In `fresh` when they are not kept. */
static const mr_kept_word *facts_of(mr_kept_word *kept, mr_span text, uint64_t hash, mr_kept_word *fresh) {
    *fresh = (mr_kept_word){.bits = 0};
    if (text.len > MR_KEPT_WORD) {
        look_up(fresh, text);
        return fresh;
    }
    for (size_t i = 0; i * 8 < text.len; i++) fresh->text[i] = load(text.data + i * 8, text.len - i * 8);
    mr_kept_word *place = &kept[(hash >> 40) % MR_KEPT_WORDS];
    if (place->text[0] != fresh->text[0] || place->text[1] != fresh->text[1] || place->text[2] != fresh->text[2]) {
        look_up(fresh, text);
        *place = *fresh;
    }
    return place;
}

static bool is_same(const words *w, const entry *e, mr_span text, uint64_t hash) {
    return e->hash == hash && e->length == text.len &&
           (text.len <= 8 || !memcmp(w->folded + e->start, text.data, text.len));
}

/* The entry of the word that stands at `start` in the folded text. */
static entry *find_entry(words *w, size_t start, size_t length) {
    mr_span text = {w->folded + start, length};
    uint64_t hash = hash_bytes(text.data, length);
    size_t i = (size_t)hash & (w->slot_count - 1);
    for (; w->slots[i]; i = (i + 1) & (w->slot_count - 1)) {
        entry *e = &w->distinct[w->slots[i] - 1];
        if (is_same(w, e, text, hash)) return e;
    }
    mr_kept_word fresh;
    const mr_kept_word *facts = facts_of(w->kept, text, hash, &fresh);
    entry *e = &w->distinct[w->distinct_count];
    *e = (entry){.hash = hash, .start = (uint32_t)start, .length = (uint32_t)length, .bits = facts->bits,
                 .syllables = facts->syllables};
    w->slots[i] = (uint32_t)++w->distinct_count;
    return e;
}

static void count_meaning(mr_word_counts *out, unsigned bits, unsigned before) {
    out->stop += (bits & MR_LEX_STOP) != 0;
    out->second += (bits & MR_LEX_SECOND) != 0;
    out->polite += (bits & MR_LEX_POLITE) != 0;
    out->limits += (bits & MR_LEX_LIMIT) || ((bits & MR_LEX_AFTER_AT) && (before & MR_LEX_AT));
    out->examples += (bits & MR_LEX_EXAMPLE) || ((bits & MR_LEX_AFTER_FOR) && (before & MR_LEX_FOR)) ||
                     ((bits & MR_LEX_AFTER_SUCH) && (before & MR_LEX_SUCH));
}

/* The sentence ends in a question mark, also inside quotes, brackets or more marks. */
static bool is_question(mr_span s, const mr_piece *sentence) {
    size_t end = sentence->end;
    while (end > sentence->start && s.data[end - 1] && strchr(" \t\r\n\"')]}*_!.", s.data[end - 1])) end--;
    mr_span text = {s.data + sentence->start, end - sentence->start};
    if (text.len && text.data[text.len - 1] == '?') return true;
    static const char *const marks[] = {"\xEF\xBC\x9F", "\xD8\x9F"}; /* full-width, Arabic */
    for (int i = 0; i < 2; i++) {
        size_t n = strlen(marks[i]);
        if (text.len >= n && !memcmp(text.data + text.len - n, marks[i], n)) return true;
    }
    return false;
}

/* What a walk over the words has come to. */
typedef struct reading {
    words w;
    mr_word_counts *out;
    mr_text *t; /* NULL for plain text */
    mr_span s;
    mr_piece sentence;
    uint64_t sentence_words;
    unsigned before; /* what the word before means */
} reading;

static void end_sentence(reading *r) {
    mr_word_counts *out = r->out;
    if (r->sentence_words) {
        out->sentences++;
        out->questions += is_question(r->s, &r->sentence);
        if (r->sentence_words > out->longest) out->longest = r->sentence_words;
    }
    r->sentence_words = 0;
}

static bool next_sentence(reading *r) {
    size_t end = r->sentence.end;
    if (r->t) return mr_text_next(r->t, MR_UNIT_SENTENCE, &r->sentence);
    r->sentence = (mr_piece){.start = end, .end = mr_ascii_sentence_end(r->s, end)};
    return true;
}

/* A word belongs to the sentence that it starts in. */
static void count_in_sentence(reading *r, size_t word_start) {
    while (word_start >= r->sentence.end) {
        end_sentence(r);
        if (!next_sentence(r)) break;
    }
    r->sentence_words++;
}

/* A word of the text at `at`, whose folded text is at `start`. */
static void count_word(reading *r, size_t at, size_t start, size_t length) {
    words *w = &r->w;
    entry *e = find_entry(w, start, length);
    e->count++;
    r->out->syllables += e->syllables;
    w->order[w->count++] = (uint32_t)(e - w->distinct);
    if (e->bits) count_meaning(r->out, e->bits, r->before);
    r->before = e->bits;
    count_in_sentence(r, at);
}

static mr_status read_walked(reading *r, mr_error *err) {
    MR_TRY(mr_text_walk(r->t, MR_UNIT_WORD, r->s, err));
    MR_TRY(mr_text_walk(r->t, MR_UNIT_SENTENCE, r->s, err));
    for (mr_piece piece; mr_text_next(r->t, MR_UNIT_WORD, &piece);) {
        if (!piece.is_word) continue;
        size_t length, known = r->w.distinct_count;
        r->out->chars += fold_word(&r->w, r->s, &piece, &length);
        count_word(r, piece.start, r->w.fill, length);
        if (r->w.distinct_count > known) r->w.fill += length; /* else the next word is written over it */
    }
    return MR_OK;
}

/* Plain text is folded as a whole and stays as long as it is, so a word stands at the same place in both. */
static void read_plain(reading *r) {
    mr_ascii_fold(r->s, r->w.folded, r->w.bits);
    for (mr_piece piece = {.end = 0}; mr_ascii_next_word(r->s, r->w.bits, &piece);) {
        r->out->chars += piece.end - piece.start;
        count_word(r, piece.start, piece.start, piece.end - piece.start);
    }
}

/* The first word is a verb of request, after any "please". */
static bool starts_with_verb(const words *w) {
    size_t i = 0;
    while (i < w->count && (w->distinct[w->order[i]].bits & MR_LEX_POLITE)) i++;
    return i < w->count && (w->distinct[w->order[i]].bits & MR_LEX_VERB);
}

enum { WINDOW = 25 };

/* Moving-average type-token ratio (Covington and McFall 2010). */
static double mattr(words *w) {
    if (w->count == 0) return 0;
    if (w->count <= WINDOW) return (double)w->distinct_count / (double)w->count;
    uint64_t types = 0, sum = 0;
    for (size_t i = 0; i < w->count; i++) {
        types += w->distinct[w->order[i]].in_window++ == 0;
        if (i >= WINDOW) types -= --w->distinct[w->order[i - WINDOW]].in_window == 0;
        if (i >= WINDOW - 1) sum += types;
    }
    return (double)sum / ((double)WINDOW * (double)(w->count - WINDOW + 1));
}

static void sum_up(mr_feature_memory *m, words *w, mr_word_counts *out) {
    double sum = 0;
    for (size_t i = 0; i < w->distinct_count; i++) {
        uint32_t n = w->distinct[i].count;
        out->once += n == 1;
        if (n > 1) sum += mr_n_log2_n(m, n);
    }
    out->words = w->count;
    out->distinct = w->distinct_count;
    out->mattr = mattr(w);
    out->verb_first = starts_with_verb(w);
    if (w->count) out->entropy = mr_log2_exact(w->count) - sum / (double)w->count;
}

mr_status mr_count_words(mr_text *t, mr_feature_memory *m, mr_span s, mr_word_counts *out, mr_error *err) {
    reading r = {.out = out, .s = s};
    *out = (mr_word_counts){0};
    if (!words_open(&r.w, t, s.len)) return mr_fail(err, MR_E_MEMORY, "out of memory while counting words");
    r.w.kept = m->words;
    if (mr_text_is_plain(t, s)) {
        read_plain(&r);
    } else {
        r.t = t;
        MR_TRY(read_walked(&r, err));
    }
    end_sentence(&r);
    sum_up(m, &r.w, out);
    return MR_OK;
}
