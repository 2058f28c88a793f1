#include "worker/kit/prompt_quality.h"
#include "worker/kit/entities.h"
#include "worker/kit/readability.h"

#include <math.h>
#include <string.h>

enum { WORD_BYTES = 24, CONTENT_MAX = 256, SENTENCE_WORDS = 64 };

const char *const mr_quality_names[MR_QUALITY_DIMENSIONS] = {"clarity", "specificity", "completeness",
                                                             "structure", "coherence"};

static const char *const vague_words[] = {"something", "somehow",  "someone", "anything",  "stuff", "thing",
                                          "things",    "whatever", "etc",     "maybe",     "kinda", "sorta",
                                          "various",   "nice",     "cool",    "basically", NULL};
static const char *const faltering_words[] = {"uh",    "um",   "er",       "erm",    "hmm", "oops",
                                              "sorry", "wait", "actually", "rather", NULL};
static const char *const function_words[] = {
    "about",  "also",  "been",  "both",  "does", "each",  "from",    "have",  "here",   "into",
    "just",   "like",  "more",  "most",  "much", "must",  "only",    "other", "over",   "same",
    "should", "some",  "such",  "than",  "that", "their", "them",    "then",  "there",  "these",
    "they",   "this",  "those", "very",  "what", "when",  "where",   "which", "while",  "will",
    "with",   "would", "your",  "could", "were", "being", "because", "after", "before", NULL};
static const char *const connectives[] = {
    "also",   "and",     "because", "besides", "but",  "finally", "first", "for",       "further",
    "hence",  "however", "if",      "in",      "it",   "its",     "next",  "or",        "otherwise",
    "second", "since",   "so",      "such",    "that", "then",    "there", "therefore", "these",
    "they",   "third",   "this",    "those",   "thus", "when",    "which", "with",      NULL};

/* The word in lower-case ASCII letters, cut to WORD_BYTES - 1. */
static void lower_word(mr_span word, char out[WORD_BYTES]) {
    size_t n = word.len < WORD_BYTES - 1 ? word.len : WORD_BYTES - 1;
    for (size_t i = 0; i < n; i++) {
        uint8_t c = word.data[i];
        out[i] = (char)(c >= 'A' && c <= 'Z' ? c + 32 : c);
    }
    out[n] = 0;
}

static bool listed(const char *const *list, const char *word) {
    for (; *list; list++)
        if (**list == *word && !strcmp(*list, word)) return true;
    return false;
}

static uint64_t hash_word(const char *word) {
    uint64_t h = 14695981039346656037u;
    for (; *word; word++) h = (h ^ (uint8_t)*word) * 1099511628211u;
    return h;
}

/* ---- words ---- */

typedef struct word_set {
    uint64_t items[CONTENT_MAX];
    size_t count, most;
} word_set;

static bool holds(const word_set *s, uint64_t word) {
    for (size_t i = 0; i < s->count; i++)
        if (s->items[i] == word) return true;
    return false;
}

static void put_word(word_set *s, uint64_t word) {
    if (s->count < s->most && !holds(s, word)) s->items[s->count++] = word;
}

typedef struct reader {
    mr_quality_counts *c;
    word_set all, sentence, before;
    uint64_t last[2]; /* the two words before */
    char previous[WORD_BYTES];
} reader;

/* "I mean", "no wait", "make that", "or rather": two words by which a speaker takes something back. */
static bool takes_back(const char *first, const char *second) {
    return (!strcmp(first, "i") && !strcmp(second, "mean")) ||
           (!strcmp(first, "make") && !strcmp(second, "that")) ||
           (!strcmp(first, "no") && !strcmp(second, "no"));
}

static void read_word(reader *r, mr_span word, bool first, bool *linked) {
    char lower[WORD_BYTES];
    lower_word(word, lower);
    uint64_t h = hash_word(lower);
    r->c->vague += listed(vague_words, lower);
    r->c->faltering += listed(faltering_words, lower) || takes_back(r->previous, lower);
    r->c->repeated += h == r->last[0] || h == r->last[1];
    r->c->names += !first && word.len > 1 && word.data[0] >= 'A' && word.data[0] <= 'Z';
    if (first && listed(connectives, lower)) *linked = true;
    if (word.len >= 4 && !listed(function_words, lower)) {
        put_word(&r->all, h);
        put_word(&r->sentence, h);
        if (holds(&r->before, h)) *linked = true;
    }
    r->last[1] = r->last[0];
    r->last[0] = h;
    memcpy(r->previous, lower, sizeof lower);
}

static mr_status read_sentence(mr_text *t, mr_span text, reader *r, mr_error *err) {
    mr_piece piece;
    bool first = true, linked = false;
    r->before = r->sentence;
    r->sentence.count = 0;
    MR_TRY(mr_text_walk(t, MR_UNIT_WORD, text, err));
    while (mr_text_next(t, MR_UNIT_WORD, &piece)) {
        if (!piece.is_word) continue;
        read_word(r, (mr_span){text.data + piece.start, piece.end - piece.start}, first, &linked);
        first = false;
    }
    r->c->linked += linked && r->c->sentences > 0;
    r->c->sentences++;
    return MR_OK;
}

static double quotes(mr_span text) {
    size_t count = 0;
    for (size_t i = 0; i < text.len; i++) count += text.data[i] == '"';
    return (double)(count / 2);
}

static mr_status read_text(mr_text *t, mr_span text, mr_quality_counts *c, mr_error *err) {
    reader r = {.c = c, .all = {.most = CONTENT_MAX}, .sentence = {.most = SENTENCE_WORDS}};
    uint64_t entities[MR_ENTITY_KINDS] = {0};
    mr_reading reading;
    mr_piece piece;
    MR_TRY(mr_readability_count(t, text, &reading, err));
    c->words = (double)reading.words;
    c->flesch = mr_flesch_ease(&reading);
    MR_TRY(mr_text_walk(t, MR_UNIT_SENTENCE, text, err));
    while (mr_text_next(t, MR_UNIT_SENTENCE, &piece))
        if (piece.is_word)
            MR_TRY(read_sentence(t, (mr_span){text.data + piece.start, piece.end - piece.start}, &r, err));
    c->content = (double)r.all.count;
    c->names += quotes(text);
    mr_count_entities(text, entities);
    for (int k = 0; k < MR_ENTITY_KINDS; k++) c->figures += (double)entities[k];
    return MR_OK;
}

static mr_status read_structure(mr_structure_room *room, mr_span text, mr_quality_counts *c, mr_error *err) {
    mr_structure s;
    MR_TRY(mr_structure_parse(text, room, &s, err));
    mr_structure_measures m = mr_structure_measure(&s, text, room);
    c->tasks = m.counts[MR_NODE_INSTRUCTION] + m.counts[MR_NODE_QUESTION];
    c->constraints = m.counts[MR_NODE_CONSTRAINT];
    c->examples = m.counts[MR_NODE_EXAMPLE];
    c->roles = m.counts[MR_NODE_ROLE];
    c->parts = m.counts[MR_NODE_SECTION] + m.counts[MR_NODE_LIST] + m.counts[MR_NODE_CODE_BLOCK] +
               m.counts[MR_NODE_PLACEHOLDER];
    return MR_OK;
}

/* ---- dimensions ---- */

static double inside(double v) { return fmin(fmax(v, 0), 1); }
/* 0 for none, near 1 for several times `scale`. */
static double enough(double count, double scale) { return 1 - exp(-count / scale); }

static void score(const mr_quality_counts *c, double out[MR_QUALITY_DIMENSIONS]) {
    double length = c->words / c->sentences;
    out[MR_QUALITY_CLARITY] =
        (inside(c->flesch / 80) + inside((60 - length) / 40) +
         inside(1 - 10 * (c->vague + c->faltering) / c->words) + (c->tasks > 0 ? 1 : 0.4)) /
        4;
    out[MR_QUALITY_SPECIFICITY] =
        (enough(c->figures, 2) + enough(c->constraints, 2) + enough(c->names, 3) + enough(c->content, 12)) /
        4;
    out[MR_QUALITY_COMPLETENESS] = 0.35 * (c->tasks > 0) + 0.35 * enough(c->words, 40) +
                                   0.15 * enough(c->constraints, 1) + 0.1 * (c->examples > 0) +
                                   0.05 * (c->roles > 0);
    out[MR_QUALITY_STRUCTURE] = 1 - inside((c->words - 40) / 160) * exp(-c->parts / 2);
    double linked = c->sentences > 1 ? c->linked / (c->sentences - 1) : 1;
    out[MR_QUALITY_COHERENCE] = 0.7 * linked + 0.3 * inside(1 - 10 * c->repeated / c->words);
}

mr_status mr_quality_measure(mr_quality_room *room, mr_span prompt, mr_quality_counts *counts,
                             double out[MR_QUALITY_DIMENSIONS], mr_error *err) {
    *counts = (mr_quality_counts){0};
    for (int k = 0; k < MR_QUALITY_DIMENSIONS; k++) out[k] = NAN;
    MR_TRY(read_text(room->text, prompt, counts, err));
    if (counts->words == 0 || counts->sentences == 0) return MR_OK;
    MR_TRY(read_structure(&room->structure, prompt, counts, err));
    score(counts, out);
    return MR_OK;
}
