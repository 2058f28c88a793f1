/* grammar_parts.h: the sentences of the synthetic prompts; used by grammar*.c only. A %s is the topic. None
 * of them holds a word of constraint, example or politeness: those come from the generic sentences of
 * grammar.c, so that a planted effect is in the text exactly when its switch is on (test_grammar.c checks
 * it). */
#ifndef MR_COMMON_GRAMMAR_PARTS_H
#define MR_COMMON_GRAMMAR_PARTS_H

enum {
    GRAMMAR_DOMAINS = 8,
    GRAMMAR_INTENTS = 3,
    GRAMMAR_TASKS = 3,
    GRAMMAR_TOPICS = 8,
    GRAMMAR_DETAILS = 5,
    GRAMMAR_ITEMS = 5,
    GRAMMAR_ROLES = 3
};

typedef struct grammar_domain {
    const char *name;
    const char *roles[GRAMMAR_ROLES];
    const char *topics[GRAMMAR_TOPICS];
    struct {
        const char *name;
        const char *tasks[GRAMMAR_TASKS];
    } intents[GRAMMAR_INTENTS];
    const char *details[GRAMMAR_DETAILS];
    const char *items[GRAMMAR_ITEMS];
} grammar_domain;

extern const grammar_domain mr_grammar_table[GRAMMAR_DOMAINS];

#endif
