#include "common/features_parts.h"
#include "common/unicode_ascii.h"

#include <string.h>

typedef struct entry {
    uint32_t start, length; /* its folded text */
    uint32_t count, in_window;
    uint16_t bits, syllables;
} entry;

/* The words of one text, in the scratch memory. A text of n bytes has at most n words. */
typedef struct words {
    entry *distinct;
    uint32_t *order; /* for each word its place in `distinct` */
    uint32_t *slots; /* hash table of places + 1; 0 is empty */
    uint8_t *folded;
    size_t count, distinct_count, slot_count, fill;
    mr_kept_word *kept;
} words;

static bool words_open(words *w, mr_text *t, size_t bytes) {
    *w = (words){.slot_count = 64};
    while (w->slot_count < bytes)
        w->slot_count *= 2; /* words are at most every second byte, but for rare scripts */
    if (w->slot_count < bytes * 5 / 4) w->slot_count *= 2;
    size_t entries = bytes * sizeof(entry), order = bytes * sizeof(uint32_t),
           slots = w->slot_count * sizeof(uint32_t);
    uint8_t *p = mr_text_scratch(t, entries + order + slots + bytes * 3);
    if (!p) return false;
    w->distinct = (entry *)(void *)p;
    w->order = (uint32_t *)(void *)(p + entries);
    w->slots = (uint32_t *)(void *)(p + entries + order);
    w->folded = p + entries + order + slots;
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

static uint64_t hash_bytes(const uint8_t *p, size_t n) {
    uint64_t h = 0xcbf29ce484222325u ^ n;
    for (; n >= 8; p += 8, n -= 8) {
        uint64_t v;
        memcpy(&v, p, 8);
        h = (h ^ v) * 0x9e3779b97f4a7c15u;
        h ^= h >> 32;
    }
    uint64_t tail = 0;
    for (size_t i = 0; i < n; i++) tail = tail << 8 | p[i];
    h = (h ^ tail) * 0x9e3779b97f4a7c15u;
    return h ^ h >> 32;
}

/* What a word means and how it sounds; most words were met before. */
static void look_up(mr_kept_word *w, mr_span text) {
    unsigned syllables = mr_text_syllables(text);
    w->bits = (uint16_t)mr_lexicon(text);
    w->syllables = (uint16_t)(syllables ? syllables : 1); /* a number is read as one */
}

static mr_kept_word facts_of(mr_kept_word *kept, mr_span text, uint64_t hash) {
    mr_kept_word fresh = {.bits = 0};
    if (text.len > MR_KEPT_WORD) {
        look_up(&fresh, text);
        return fresh;
    }
    memcpy(fresh.text, text.data, text.len);
    mr_kept_word *place = &kept[(hash >> 40) % MR_KEPT_WORDS];
    if (memcmp(place->text, fresh.text, MR_KEPT_WORD) == 0) return *place;
    look_up(&fresh, text);
    return *place = fresh;
}

static entry *new_entry(words *w, size_t slot, size_t length, uint64_t hash) {
    entry *e = &w->distinct[w->distinct_count];
    mr_kept_word facts = facts_of(w->kept, (mr_span){w->folded + w->fill, length}, hash);
    *e = (entry){.start = (uint32_t)w->fill, .length = (uint32_t)length, .bits = facts.bits, .syllables = facts.syllables};
    w->slots[slot] = (uint32_t)++w->distinct_count;
    w->fill += length;
    return e;
}

static entry *find_entry(words *w, size_t length) {
    const uint8_t *text = w->folded + w->fill;
    uint64_t hash = hash_bytes(text, length);
    size_t i = (size_t)hash & (w->slot_count - 1);
    for (; w->slots[i]; i = (i + 1) & (w->slot_count - 1)) {
        entry *e = &w->distinct[w->slots[i] - 1];
        if (e->length == length && !memcmp(w->folded + e->start, text, length)) return e;
    }
    return new_entry(w, i, length, hash);
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

typedef struct sentence_walk {
    mr_piece piece;
    uint64_t words;
} sentence_walk;

static void end_sentence(mr_word_counts *out, mr_span s, sentence_walk *walk) {
    if (walk->words) {
        out->sentences++;
        out->questions += is_question(s, &walk->piece);
        if (walk->words > out->longest) out->longest = walk->words;
    }
    walk->words = 0;
}

/* A word belongs to the sentence that it starts in. */
static void count_in_sentence(mr_text *t, mr_word_counts *out, mr_span s, sentence_walk *walk,
                              size_t word_start) {
    while (word_start >= walk->piece.end) {
        end_sentence(out, s, walk);
        if (!mr_text_next(t, MR_UNIT_SENTENCE, &walk->piece)) break;
    }
    walk->words++;
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
    words w;
    *out = (mr_word_counts){0};
    if (!words_open(&w, t, s.len)) return mr_fail(err, MR_E_MEMORY, "out of memory while counting words");
    w.kept = m->words;
    MR_TRY(mr_text_walk(t, MR_UNIT_WORD, s, err));
    MR_TRY(mr_text_walk(t, MR_UNIT_SENTENCE, s, err));
    sentence_walk walk = {.words = 0};
    unsigned before = 0;
    for (mr_piece piece; mr_text_next(t, MR_UNIT_WORD, &piece);) {
        if (!piece.is_word) continue;
        size_t length;
        out->chars += fold_word(&w, s, &piece, &length);
        entry *e = find_entry(&w, length);
        e->count++;
        out->syllables += e->syllables;
        w.order[w.count++] = (uint32_t)(e - w.distinct);
        count_meaning(out, e->bits, before);
        before = e->bits;
        count_in_sentence(t, out, s, &walk, piece.start);
    }
    end_sentence(out, s, &walk);
    sum_up(m, &w, out);
    return MR_OK;
}
