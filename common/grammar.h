/* grammar.h: the seeded generator of synthetic training prompts: a template grammar over eight domains.
 * The same seed gives the same rows on every machine; no two rows of a generator have the same prompt text.
 *
 * A row has: prompt (about 200 characters on average), an enhancement for about 7 rows in 10, source
 * synthetic, a session (a new one about every 8 rows, of one domain), priority, labels {"domain": ...,
 * "intent": ..., "quality": "vague" | "plain" | "specific"}, score, success, created_at (from 2026-01-01,
 * some minutes apart).
 *
 * Planted effects, for tests of the components. Each is one switch of a row, drawn by itself with its chance:
 *
 *     switch        chance  what the text shows (feature)                        added to the latent value
 *     example        0.30   "For example: ..." (example_markers > 0)             +0.90
 *     constraint     0.40   "must", "at most N", "exactly" (constraint_words)    +0.70
 *     list           0.25   numbered or dashed items (list_items >= 2)           +0.40
 *     role           0.25   "You are a ..." at the start                         +0.20
 *     placeholder    0.15   {name} slots (placeholders > 0)                      +0.10
 *     polite         0.30   "please", "thank you" (politeness > 0)               0, a decoy
 *     vague          0.25   the task without any detail                          -1.20
 *     typos          0.12   two to four misspelt words                           -0.30
 *     rant           0.06   long, in capitals, no structure                      -4.00, the failure cluster
 *
 * vague turns example, constraint and list off; rant turns off all but typos. So shares in the rows are lower
 * than the chances, and comparisons of one switch are best made among rows that are not rants.
 * latent = 0.2 + the sum + 0.5 normal noise. score = 1 / (1 + exp(-latent)), rounded to 4 digits. success is
 * 1 with probability score; of a rant's successes 19 in 20 are turned into failures. A rant has at least 500
 * characters and an upper-case share above 0.6. mr_grammar_switches tells the switches of the last row, so
 * that a test need not guess them. */
#ifndef MR_COMMON_GRAMMAR_H
#define MR_COMMON_GRAMMAR_H

#include "common/prompt.h"

enum mr_grammar_switch {
    MR_GRAMMAR_EXAMPLE = 1 << 0,
    MR_GRAMMAR_CONSTRAINT = 1 << 1,
    MR_GRAMMAR_LIST = 1 << 2,
    MR_GRAMMAR_ROLE = 1 << 3,
    MR_GRAMMAR_PLACEHOLDER = 1 << 4,
    MR_GRAMMAR_POLITE = 1 << 5,
    MR_GRAMMAR_VAGUE = 1 << 6,
    MR_GRAMMAR_TYPOS = 1 << 7,
    MR_GRAMMAR_RANT = 1 << 8
};

typedef struct mr_grammar mr_grammar;
mr_status mr_grammar_new(const mr_mem *mem, uint64_t seed, mr_grammar **out, mr_error *err) MR_MUST_CHECK;
void mr_grammar_free(mr_grammar **g);

/* The next row. Its spans are good until the next call. Errors: E_MEMORY. */
mr_status mr_grammar_next(mr_grammar *g, mr_prompt *out, mr_error *err) MR_MUST_CHECK;
unsigned mr_grammar_switches(const mr_grammar *g);

/* The domains and intents that rows can have; both end with NULL. */
extern const char *const mr_grammar_domains[];
extern const char *const mr_grammar_intents[];

#endif
