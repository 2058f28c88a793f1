#include "worker/kit/readability.h"

#include <math.h>
#include <string.h>

enum { LONG_LETTERS = 7, POLY_SYLLABLES = 3, WORD_BYTES_MAX = 12 };
static const double MTLD_THRESHOLD = 0.72;

static const char *const subordinators[] = {"after",   "although", "because", "before", "if",    "once",
                                            "since",   "though",   "unless",  "until",  "when",  "whenever",
                                            "whereas", "wherever", "whether", "which",  "while", "who",
                                            "whom",    "whose",    NULL};

static bool is_subordinator(mr_span word) {
    char lower[WORD_BYTES_MAX];
    if (word.len >= sizeof lower) return false;
    for (size_t i = 0; i < word.len; i++) {
        uint8_t c = word.data[i];
        lower[i] = (char)(c >= 'A' && c <= 'Z' ? c + 32 : c);
    }
    lower[word.len] = 0;
    for (const char *const *s = subordinators; *s; s++)
        if (**s == *lower && !strcmp(*s, lower)) return true;
    return false;
}

static void count_word(mr_span word, mr_reading *c) {
    uint64_t letters = 0, digits = 0;
    for (size_t at = 0; at < word.len;) {
        unsigned class = mr_char_class(mr_utf8_next(word, &at));
        letters += (class & MR_CHAR_LETTER) != 0;
        digits += (class & MR_CHAR_NUMBER) != 0;
    }
    unsigned syllables = mr_text_syllables(word);
    c->words++;
    c->letters += letters;
    c->characters += letters + digits;
    c->syllables += syllables ? syllables : 1;
    c->polysyllables += syllables >= POLY_SYLLABLES;
    c->long_words += letters >= LONG_LETTERS;
    c->subordinators += is_subordinator(word);
}

mr_status mr_readability_count(mr_text *t, mr_span text, mr_reading *out, mr_error *err) {
    mr_piece piece;
    *out = (mr_reading){0};
    MR_TRY(mr_text_walk(t, MR_UNIT_SENTENCE, text, err));
    while (mr_text_next(t, MR_UNIT_SENTENCE, &piece)) out->sentences += piece.is_word;
    MR_TRY(mr_text_walk(t, MR_UNIT_WORD, text, err));
    while (mr_text_next(t, MR_UNIT_WORD, &piece))
        if (piece.is_word) count_word((mr_span){text.data + piece.start, piece.end - piece.start}, out);
    if (out->words && !out->sentences) out->sentences = 1;
    return MR_OK;
}

/* a / b, NaN when there is nothing. */
static double ratio(uint64_t a, uint64_t b) { return b ? (double)a / (double)b : NAN; }

double mr_flesch_ease(const mr_reading *c) {
    return 206.835 - 1.015 * ratio(c->words, c->sentences) - 84.6 * ratio(c->syllables, c->words);
}
double mr_kincaid_grade(const mr_reading *c) {
    return 0.39 * ratio(c->words, c->sentences) + 11.8 * ratio(c->syllables, c->words) - 15.59;
}
double mr_gunning_fog(const mr_reading *c) {
    return 0.4 * (ratio(c->words, c->sentences) + 100 * ratio(c->polysyllables, c->words));
}
double mr_smog(const mr_reading *c) {
    return 1.0430 * sqrt(30 * ratio(c->polysyllables, c->sentences)) + 3.1291;
}
double mr_ari(const mr_reading *c) {
    return 4.71 * ratio(c->characters, c->words) + 0.5 * ratio(c->words, c->sentences) - 21.43;
}
double mr_coleman_liau(const mr_reading *c) {
    return 5.88 * ratio(c->letters, c->words) - 29.6 * ratio(c->sentences, c->words) - 15.8;
}

/* ---- MTLD ---- */

/* The words of a text as numbers: equal words have equal numbers. */
typedef struct tokens {
    mr_span text;
    mr_mtld_room *room;
    size_t count, kinds;
} tokens;

static uint64_t hash_of(mr_span word) {
    uint64_t h = 0xcbf29ce484222325u; /* FNV-1a */
    for (size_t i = 0; i < word.len; i++) h = (h ^ word.data[i]) * 0x100000001b3u;
    return h ^ h >> 32;
}

static mr_span word_at(const tokens *k, mr_piece p) {
    return (mr_span){k->text.data + p.start, p.end - p.start};
}

static void add_token(tokens *k, mr_piece piece) {
    mr_mtld_room *r = k->room;
    mr_span word = word_at(k, piece);
    size_t at = hash_of(word) & (r->slot_count - 1);
    while (r->slots[at] && !mr_span_eq(word, word_at(k, r->pieces[r->slots[at] - 1])))
        at = (at + 1) & (r->slot_count - 1);
    if (!r->slots[at]) {
        r->pieces[k->kinds] = piece;
        r->slots[at] = (uint32_t)++k->kinds;
    }
    r->ids[k->count++] = r->slots[at] - 1;
}

/* Mean length of the stretches in which the type-token ratio stays above the threshold; the rest counts as a
 * share. */
static double one_way(const tokens *k, bool backward, uint32_t *stamp) {
    double factors = 0;
    size_t types = 0, length = 0;
    uint32_t now = ++*stamp;
    for (size_t i = 0; i < k->count; i++) {
        uint32_t id = k->room->ids[backward ? k->count - 1 - i : i];
        types += k->room->seen[id] != now;
        k->room->seen[id] = now;
        length++;
        if ((double)types / (double)length > MTLD_THRESHOLD) continue;
        factors++;
        types = length = 0;
        now = ++*stamp;
    }
    if (length) factors += (1 - (double)types / (double)length) / (1 - MTLD_THRESHOLD);
    return factors > 0 ? (double)k->count / factors : NAN;
}

static size_t count_words(mr_text *t) {
    mr_piece piece;
    size_t n = 0;
    while (mr_text_next(t, MR_UNIT_WORD, &piece)) n += piece.is_word;
    return n;
}

static void free_words(mr_mtld_room *r) {
    mr_free(r->mem, r->pieces, r->cap, sizeof *r->pieces);
    mr_free(r->mem, r->ids, r->cap, sizeof *r->ids);
    mr_free(r->mem, r->seen, r->cap, sizeof *r->seen);
    mr_free(r->mem, r->slots, r->slot_count, sizeof *r->slots);
    r->pieces = NULL;
    r->ids = r->seen = r->slots = NULL;
    r->cap = r->slot_count = 0;
}

void mr_mtld_room_free(mr_mtld_room *r) {
    free_words(r);
    mr_buf_free(&r->folded);
}

/* Room for `words` words, with an empty hash table. */
static bool make_room(mr_mtld_room *r, size_t words) {
    if (words > r->cap) {
        size_t cap = words > 2 * r->cap ? words : 2 * r->cap, slots = 16;
        free_words(r);
        while (slots < 2 * cap) slots *= 2;
        r->cap = cap;
        r->slot_count = slots;
        r->pieces = mr_new(r->mem, cap, sizeof *r->pieces);
        r->ids = mr_new(r->mem, cap, sizeof *r->ids);
        r->seen = mr_new(r->mem, cap, sizeof *r->seen);
        r->slots = mr_new(r->mem, slots, sizeof *r->slots);
        return r->pieces && r->ids && r->seen && r->slots;
    }
    memset(r->seen, 0, r->cap * sizeof *r->seen);
    memset(r->slots, 0, r->slot_count * sizeof *r->slots);
    return true;
}

static mr_status mtld_of_folded(mr_text *t, mr_span folded, uint64_t words_min, mr_mtld_room *room,
                                double *out, mr_error *err) {
    tokens k = {.text = folded, .room = room};
    mr_piece piece;
    MR_TRY(mr_text_walk(t, MR_UNIT_WORD, folded, err));
    size_t words = count_words(t);
    if (words < words_min || words == 0) return MR_OK;
    if (!make_room(room, words)) {
        free_words(room);
        return mr_fail(err, MR_E_MEMORY, "no memory for the %zu words of a prompt", words);
    }
    MR_TRY(mr_text_walk(t, MR_UNIT_WORD, folded, err));
    while (mr_text_next(t, MR_UNIT_WORD, &piece))
        if (piece.is_word) add_token(&k, piece);
    uint32_t stamp = 0;
    double forward = one_way(&k, false, &stamp);
    *out = (forward + one_way(&k, true, &stamp)) / 2;
    return MR_OK;
}

mr_status mr_mtld(mr_text *t, mr_span text, uint64_t words_min, mr_mtld_room *room, double *out,
                  mr_error *err) {
    *out = NAN;
    if (!room->folded.max) mr_buf_init(&room->folded, room->mem, SIZE_MAX / 4);
    mr_buf_clear(&room->folded);
    MR_TRY(mr_text_fold(t, text, &room->folded, err));
    return mtld_of_folded(t, mr_buf_span(&room->folded), words_min, room, out, err);
}
