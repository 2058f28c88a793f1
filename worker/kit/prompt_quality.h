/* prompt_quality.h: how good a prompt looks, in five named dimensions from 0 to 1, each the mean of a few
 * measurable parts. Rules and small word lists for English; docs/components/quality_scorer.md has the
 * formulas. */
#ifndef MR_KIT_PROMPT_QUALITY_H
#define MR_KIT_PROMPT_QUALITY_H

#include "worker/kit/structure.h"
#include "worker/kit/text.h"

enum {
    MR_QUALITY_CLARITY, /* easy words, short sentences, no vague or faltering words, a task that is said */
    MR_QUALITY_SPECIFICITY,  /* numbers, constraints, names and quotes, words with content */
    MR_QUALITY_COMPLETENESS, /* task, context, constraint, example, role */
    MR_QUALITY_STRUCTURE,    /* as many parts as its length asks for */
    MR_QUALITY_COHERENCE,    /* sentences that take up the one before; no stuttering */
    MR_QUALITY_DIMENSIONS
};
extern const char *const mr_quality_names[MR_QUALITY_DIMENSIONS];

/* What is counted in a prompt. */
typedef struct mr_quality_counts {
    double words, sentences;
    double vague, faltering; /* "something", "stuff"; "uh", "I mean", "no wait" */
    double content;          /* different words of four letters or more that are not function words, to 256 */
    double names;            /* capitalised words inside sentences, and things in quotes */
    double figures;          /* numbers, dates, money, shares, addresses */
    double linked;   /* sentences, from the second, that share a content word with the one before, or open
                        with a connective */
    double repeated; /* words that are the same as the word before or the one before that */
    double flesch;
    double tasks, constraints, examples, roles, parts; /* spans of structure.h; parts: sections, lists, code,
                                                          placeholders */
} mr_quality_counts;

/* Scratch memory that serves one prompt after the other. */
typedef struct mr_quality_room {
    mr_text *text;
    mr_structure_room structure;
} mr_quality_room;

/* Counts, and the five dimensions in `out`; without a word all are NaN. Errors: those of the walks. */
mr_status mr_quality_measure(mr_quality_room *room, mr_span prompt, mr_quality_counts *counts,
                             double out[MR_QUALITY_DIMENSIONS], mr_error *err) MR_MUST_CHECK;

#endif
