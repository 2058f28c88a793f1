/* structure_spans.h: the inside of structure.h: the list of spans that blocks and sentences fill, and what is
 * found inside a stretch of running text. */
#ifndef MR_WORKER_KIT_STRUCTURE_SPANS_H
#define MR_WORKER_KIT_STRUCTURE_SPANS_H

#include "worker/kit/structure.h"

typedef struct mr_spans {
    mr_span text;
    mr_node *nodes;
    uint32_t count, cap;
    bool truncated;
    unsigned quiet; /* above 0: inside an example, where sentences are not judged */
} mr_spans;

void mr_spans_add(mr_spans *s, mr_node_kind kind, size_t start, size_t end, uint32_t level);

/* Sentences, examples in a clause ("e.g."), inline code and placeholders of the text [start, end). */
void mr_spans_running_text(mr_spans *s, size_t start, size_t end);

/* ASCII, without regard to case. True when the text at `at` starts with `phrase` and a word ends there. */
bool mr_spans_phrase(mr_span text, size_t at, size_t end, const char *phrase);
/* The first phrase of the NULL-terminated list that stands at `at`; its length, or 0. */
size_t mr_spans_any(mr_span text, size_t at, size_t end, const char *const *phrases);
/* True when the text at `at` starts with a verb that asks for something. */
bool mr_spans_verb(mr_span text, size_t at, size_t end);

#endif
