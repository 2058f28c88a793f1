#include "common/grammar.h"
#include "common/grammar_parts.h"
#include "common/hash.h"
#include "common/json.h"
#include "common/rng.h"
#include "common/unicode.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

const char *const mr_grammar_domains[] = {"code",     "writing",   "data",     "education", "support",
                                          "planning", "marketing", "research", NULL};
const char *const mr_grammar_intents[] = {"generate", "debug",  "explain",  "rewrite", "summarize", "analyze",
                                          "query",    "quiz",   "plan",     "reply",   "classify",  "guide",
                                          "budget",   "review", "critique", NULL};

enum { TEXT_MAX = 8192, SESSION_MAX = 32 };
static const int64_t start_us = 1767225600ll * 1000000; /* 2026-01-01 */

struct mr_grammar {
    const mr_mem *mem;
    mr_rng rng;
    uint64_t seed;
    mr_buf prompt, enhancement, labels;
    char session[SESSION_MAX];
    uint32_t sessions;
    const grammar_domain *domain;
    int64_t clock_us;
    unsigned switches;
    uint64_t *seen; /* hashes of the prompts so far, open addressing; 0 is empty */
    size_t slots, count;
};

mr_status mr_grammar_new(const mr_mem *mem, uint64_t seed, mr_grammar **out, mr_error *err) {
    mr_grammar *g = mr_new(mem, 1, sizeof *g);
    if (!g) return mr_fail(err, MR_E_MEMORY, "out of memory for the prompt generator");
    g->mem = mem;
    g->seed = seed;
    g->clock_us = start_us;
    mr_rng_stream(&g->rng, seed, 0x6772616d, 1);
    mr_buf_init(&g->prompt, mem, TEXT_MAX);
    mr_buf_init(&g->enhancement, mem, TEXT_MAX);
    mr_buf_init(&g->labels, mem, TEXT_MAX);
    *out = g;
    return MR_OK;
}

void mr_grammar_free(mr_grammar **g) {
    if (!*g) return;
    mr_buf_free(&(*g)->prompt);
    mr_buf_free(&(*g)->enhancement);
    mr_buf_free(&(*g)->labels);
    mr_free((*g)->mem, (*g)->seen, (*g)->slots, sizeof *(*g)->seen);
    mr_free((*g)->mem, *g, 1, sizeof **g);
    *g = NULL;
}

unsigned mr_grammar_switches(const mr_grammar *g) { return g->switches; }

/* ---- unique rows ---- */

static size_t seen_slot(const uint64_t *seen, size_t slots, uint64_t key) {
    size_t i = (size_t)key & (slots - 1);
    while (seen[i] && seen[i] != key) i = (i + 1) & (slots - 1);
    return i;
}

static bool grow_seen(mr_grammar *g) {
    size_t slots = g->slots ? g->slots * 2 : 4096;
    uint64_t *fresh = mr_new(g->mem, slots, sizeof *fresh);
    if (!fresh) return false;
    for (size_t i = 0; i < g->slots; i++)
        if (g->seen[i]) fresh[seen_slot(fresh, slots, g->seen[i])] = g->seen[i];
    mr_free(g->mem, g->seen, g->slots, sizeof *g->seen);
    g->seen = fresh;
    g->slots = slots;
    return true;
}

/* Remembers the prompt; *fresh is false when it was there already. */
static mr_status remember(mr_grammar *g, bool *fresh, mr_error *err) {
    if (g->count * 2 >= g->slots && !grow_seen(g))
        return mr_fail(err, MR_E_MEMORY, "out of memory for the prompt generator");
    uint64_t key = mr_xxh64(mr_buf_span(&g->prompt), 1) | 1;
    size_t i = seen_slot(g->seen, g->slots, key);
    *fresh = g->seen[i] == 0;
    g->seen[i] = key;
    g->count += *fresh;
    return MR_OK;
}

/* ---- drawing ---- */

static bool chance(mr_grammar *g, double p) { return mr_rng_unit(&g->rng) < p; }
static size_t below(mr_grammar *g, size_t n) { return (size_t)mr_rng_below(&g->rng, n); }
#define PICK(g, list) ((list)[below((g), sizeof(list) / sizeof *(list))])

static const struct {
    unsigned bit;
    double chance, effect;
} effects[] = {
    {MR_GRAMMAR_EXAMPLE, 0.30, 0.90}, {MR_GRAMMAR_CONSTRAINT, 0.40, 0.70},  {MR_GRAMMAR_LIST, 0.25, 0.40},
    {MR_GRAMMAR_ROLE, 0.25, 0.20},    {MR_GRAMMAR_PLACEHOLDER, 0.15, 0.10}, {MR_GRAMMAR_POLITE, 0.30, 0},
    {MR_GRAMMAR_VAGUE, 0.25, -1.20},  {MR_GRAMMAR_TYPOS, 0.12, -0.30},      {MR_GRAMMAR_RANT, 0.06, -4.00},
};
enum { EFFECTS = sizeof effects / sizeof *effects };

static unsigned draw_switches(mr_grammar *g) {
    unsigned s = 0;
    for (int i = 0; i < EFFECTS; i++) s |= chance(g, effects[i].chance) ? effects[i].bit : 0;
    if (s & MR_GRAMMAR_VAGUE) s &= ~(unsigned)(MR_GRAMMAR_EXAMPLE | MR_GRAMMAR_CONSTRAINT | MR_GRAMMAR_LIST);
    if (s & MR_GRAMMAR_RANT) s &= MR_GRAMMAR_RANT | MR_GRAMMAR_TYPOS;
    return s;
}

/* ---- text ---- */

/* A template with the topic for its %s. */
static void put(mr_buf *b, const char *template, const char *topic) {
    const char *slot = strstr(template, "%s");
    if (!slot) {
        mr_buf_text(b, template);
        return;
    }
    mr_buf_put(b, template, (size_t)(slot - template));
    mr_buf_text(b, topic);
    put(b, slot + 2, topic);
}

/* Not the functions of ctype.h, which follow the locale. */
static bool is_letter(uint8_t b) { return mr_char_class(b) & MR_CHAR_LETTER; }

/* Swaps two inner letters of a word that starts at `at`; false when it is too short. */
static bool misspell(mr_grammar *g, mr_buf *b, size_t at) {
    size_t end = at;
    while (end < b->len && is_letter(b->data[end])) end++;
    if (end - at < 5) return false;
    size_t i = at + 1 + below(g, end - at - 3);
    uint8_t t = b->data[i];
    b->data[i] = b->data[i + 1];
    b->data[i + 1] = t;
    return t != b->data[i];
}

/* Only what is written from `from` on, so that the words of the planted effects stay whole. */
static void add_typos(mr_grammar *g, mr_buf *b, size_t from) {
    size_t wanted = 2 + below(g, 3);
    for (size_t i = from; i < b->len && wanted; i++) {
        bool starts = is_letter(b->data[i]) && (i == from || b->data[i - 1] == ' ');
        if (starts && chance(g, 0.6) && misspell(g, b, i)) wanted--;
    }
}

static const char *const polite_before[] = {"Please help me. ", "Could you please help? ",
                                            "Kindly look at this. "};
static const char *const polite_after[] = {" Thank you.", " Thanks a lot.", " Thanks!"};
static const char *const constraints[] = {" The answer must have at most 200 words.",
                                          " Use exactly five sentences and avoid jargon.",
                                          " It must fit on one page, and never repeat a point.",
                                          " Only use facts that are given here, at most ten of them.",
                                          " The result must be ready to use, with at least three sections."};
static const char *const examples[] = {
    "\nFor example: a good answer about %s starts with the most important fact.",
    "\nExample input: %s.\nExample output: a title, two paragraphs, one open question.",
    " An example of the style I like: \"short, concrete, with one number in each line\"."};
static const char *const placeholders[] = {" Address it to {name} at {company}.",
                                           " Put [DATE] and [PLACE] in the first line.",
                                           " Leave <title> and <author> for me to fill in."};
static const char *const vague_tasks[] = {"Help me with %s.",
                                          "Tell me something about %s.",
                                          "I need %s.",
                                          "Do something with %s.",
                                          "Make %s better.",
                                          "What about %s?",
                                          "Stuff about %s, whatever works."};
static const char *const vague_tails[] = {"", " Make it good.", " You know what I mean.",
                                          " Anything is fine.", " As soon as possible."};
static const char *const rants[] = {
    "I HAVE ASKED ABOUT %s AGAIN AND AGAIN AND NOTHING EVER COMES BACK THAT MAKES SENSE ",
    "WHY IS IT SO HARD TO GET A STRAIGHT ANSWER ABOUT %s WHEN EVERYBODY ELSE GETS ONE ",
    "FORGET EVERYTHING I SAID BEFORE AND JUST DO %s THE WAY I MEANT IT THE FIRST TIME ",
    "I WANT IT SHORT BUT COMPLETE AND FUNNY BUT SERIOUS AND NOT LIKE THE LAST ONE ABOUT %s ",
    "MY BOSS IS WAITING AND THE WHOLE TEAM IS WAITING AND %s IS STILL NOT DONE ",
    "DO NOT ASK ME QUESTIONS ABOUT %s BECAUSE I ALREADY TOLD YOU EVERYTHING THERE IS TO KNOW ",
    "THIS IS THE WORST DAY AND %s IS THE REASON AND SOMEBODY HAS TO FIX IT RIGHT NOW "};

static void put_list(mr_grammar *g, mr_buf *b) {
    size_t n = 2 + below(g, 3), first = below(g, GRAMMAR_ITEMS);
    bool numbered = chance(g, 0.5);
    for (size_t i = 0; i < n; i++) {
        const char *item = g->domain->items[(first + i) % GRAMMAR_ITEMS];
        if (numbered)
            mr_buf_printf(b, "\n%zu. %s", i + 1, item);
        else
            mr_buf_printf(b, "\n- %s", item);
    }
}

static void put_rant(mr_grammar *g, mr_buf *b, const char *topic) {
    size_t wanted = 500 + below(g, 500), first = below(g, sizeof rants / sizeof *rants);
    for (size_t i = 0; b->len < wanted && mr_buf_status(b) == MR_OK; i++)
        put(b, rants[(first + i) % (sizeof rants / sizeof *rants)], topic);
    for (size_t i = 0; i < b->len; i++)
        if (is_letter(b->data[i])) b->data[i] &= (uint8_t)~0x20;
    if (g->switches & MR_GRAMMAR_TYPOS) add_typos(g, b, 0);
}

static void put_details(mr_grammar *g, mr_buf *b) {
    size_t n = below(g, 3), first = below(g, GRAMMAR_DETAILS);
    for (size_t i = 0; i < n; i++) mr_buf_printf(b, " %s", g->domain->details[(first + i) % GRAMMAR_DETAILS]);
}

static void put_core(mr_grammar *g, mr_buf *b, const char *task, const char *topic) {
    size_t from = b->len;
    if (g->switches & MR_GRAMMAR_VAGUE) {
        put(b, PICK(g, vague_tasks), topic);
        mr_buf_text(b, PICK(g, vague_tails));
    } else {
        put(b, task, topic);
        put_details(g, b);
    }
    if (g->switches & MR_GRAMMAR_TYPOS) add_typos(g, b, from);
}

static void put_prompt(mr_grammar *g, const char *task, const char *topic) {
    mr_buf *b = &g->prompt;
    unsigned s = g->switches;
    mr_buf_clear(b);
    if (s & MR_GRAMMAR_RANT) {
        put_rant(g, b, topic);
        return;
    }
    if (s & MR_GRAMMAR_ROLE) put(b, "You are %s. ", PICK(g, g->domain->roles));
    bool before = chance(g, 0.5);
    if ((s & MR_GRAMMAR_POLITE) && before) mr_buf_text(b, PICK(g, polite_before));
    put_core(g, b, task, topic);
    if (s & MR_GRAMMAR_CONSTRAINT) put(b, PICK(g, constraints), topic);
    if (s & MR_GRAMMAR_PLACEHOLDER) put(b, PICK(g, placeholders), topic);
    if (s & MR_GRAMMAR_LIST) put_list(g, b);
    if (s & MR_GRAMMAR_EXAMPLE) put(b, PICK(g, examples), topic);
    if (!(s & MR_GRAMMAR_POLITE) || before) return;
    if (s & MR_GRAMMAR_LIST) mr_buf_text(b, "\n\n"); /* not as a part of the last item */
    mr_buf_text(b, PICK(g, polite_after) + (s & MR_GRAMMAR_LIST ? 1 : 0));
}

/* ---- the other fields ---- */

static void put_member(mr_buf *b, const char *before, const char *template, const char *topic) {
    char text[512];
    mr_buf t;
    snprintf(text, sizeof text, "%s", template);
    mr_buf_init(&t, NULL, sizeof text);
    put(&t, text, topic);
    mr_buf_text(b, before);
    mr_json_put_text(b, mr_buf_span(&t));
    mr_buf_free(&t);
}

static void put_enhancement(mr_grammar *g, const char *task, const char *topic, bool as_json) {
    mr_buf *b = &g->enhancement;
    const char *role = PICK(g, g->domain->roles), *limit = PICK(g, constraints);
    size_t first = below(g, GRAMMAR_ITEMS);
    mr_buf_clear(b);
    if (as_json) { /* keys in sorted order: the canonical form */
        put_member(b, "{\"limit\":", limit + 1, topic);
        put_member(b, ",\"role\":", role, topic);
        put_member(b, ",\"steps\":[", g->domain->items[first], topic);
        put_member(b, ",", g->domain->items[(first + 1) % GRAMMAR_ITEMS], topic);
        put_member(b, "],\"task\":", task, topic);
        mr_buf_text(b, "}");
        return;
    }
    mr_buf_printf(b, "You are %s. ", role);
    put(b, task, topic);
    put(b, limit, topic);
    for (size_t i = 0; i < 3; i++)
        mr_buf_printf(b, "\n%zu. %s", i + 1, g->domain->items[(first + i) % GRAMMAR_ITEMS]);
}

static void next_session(mr_grammar *g) {
    if (g->domain && !chance(g, 1.0 / 8)) return;
    g->domain = &mr_grammar_table[below(g, GRAMMAR_DOMAINS)];
    snprintf(g->session, sizeof g->session, "synthetic-%08x-%06u", (unsigned)(g->seed & 0xffffffffu),
             ++g->sessions);
}

static const char *quality(unsigned s) {
    if (s & (MR_GRAMMAR_VAGUE | MR_GRAMMAR_RANT)) return "vague";
    unsigned good = s & (MR_GRAMMAR_EXAMPLE | MR_GRAMMAR_CONSTRAINT | MR_GRAMMAR_LIST);
    return good & (good - 1) ? "specific" : "plain"; /* two or more of them */
}

static void draw_outcome(mr_grammar *g, mr_prompt *p) {
    double latent = 0.2 + 0.5 * mr_rng_normal(&g->rng);
    for (int i = 0; i < EFFECTS; i++) latent += g->switches & effects[i].bit ? effects[i].effect : 0;
    p->score = floor(10000 / (1 + exp(-latent)) + 0.5) / 10000;
    bool success = chance(g, p->score), spared = chance(g, 0.05);
    p->success = success && (spared || !(g->switches & MR_GRAMMAR_RANT));
}

static void fill(mr_grammar *g, mr_prompt *p, const char *intent) {
    static const uint32_t priorities[] = {10, 50, 200, 500, 900};
    mr_prompt_init(p);
    mr_buf_clear(&g->labels);
    mr_buf_printf(&g->labels, "{\"domain\":\"%s\",\"intent\":\"%s\",\"quality\":\"%s\"}", g->domain->name,
                  intent, quality(g->switches));
    g->clock_us += (int64_t)(30 + below(g, 600)) * 1000000;
    p->prompt = mr_buf_span(&g->prompt);
    p->source = MR_SOURCE_SYNTHETIC;
    p->session = mr_span_of(g->session);
    if (chance(g, 0.1)) p->priority = PICK(g, priorities);
    p->labels = mr_buf_span(&g->labels);
    p->created_at_us = g->clock_us;
    draw_outcome(g, p);
}

mr_status mr_grammar_next(mr_grammar *g, mr_prompt *out, mr_error *err) {
    const char *topic = NULL, *task = NULL;
    size_t intent = 0;
    bool fresh = false;
    next_session(g);
    g->switches = draw_switches(g);
    for (int tries = 0; !fresh; tries++) {
        topic = PICK(g, g->domain->topics);
        intent = below(g, GRAMMAR_INTENTS);
        task = PICK(g, g->domain->intents[intent].tasks);
        put_prompt(g, task, topic);
        if (tries >= 20) mr_buf_printf(&g->prompt, " (request %zu)", g->count + 1);
        if (mr_buf_status(&g->prompt) != MR_OK) break;
        MR_TRY(remember(g, &fresh, err));
    }
    fill(g, out, g->domain->intents[intent].name);
    out->has_enhancement = chance(g, 0.7);
    out->enhancement_is_json = out->has_enhancement && chance(g, 0.2);
    if (out->has_enhancement) {
        put_enhancement(g, task, topic, out->enhancement_is_json);
        out->enhancement = mr_buf_span(&g->enhancement);
    }
    if (mr_buf_status(&g->prompt) != MR_OK || mr_buf_status(&g->enhancement) != MR_OK ||
        mr_buf_status(&g->labels) != MR_OK)
        return mr_fail(err, MR_E_MEMORY, "out of memory for a synthetic prompt");
    mr_prompt_hash(out);
    return MR_OK;
}
