/* structure.h: the structure of a prompt as a tree of spans. Markdown-like blocks (headings, lists, code),
 * sentences that give a role, an instruction, a constraint or a question, examples, placeholders and inline
 * code. Rules on bytes, no model; docs/components/structural_analyzer.md lists them. Text is UTF-8; spans are
 * byte offsets [start, end). */
#ifndef MR_WORKER_KIT_STRUCTURE_H
#define MR_WORKER_KIT_STRUCTURE_H

#include "common/buf.h"

/* In the order in which spans that are equal contain each other. */
typedef enum mr_node_kind {
    MR_NODE_DOCUMENT,
    MR_NODE_SECTION,
    MR_NODE_EXAMPLE,
    MR_NODE_LIST,
    MR_NODE_ITEM,
    MR_NODE_PARAGRAPH,
    MR_NODE_HEADING,
    MR_NODE_CODE_BLOCK,
    MR_NODE_ROLE,
    MR_NODE_QUESTION,
    MR_NODE_INSTRUCTION,
    MR_NODE_CONSTRAINT,
    MR_NODE_CODE,
    MR_NODE_PLACEHOLDER,
    MR_NODE_KINDS
} mr_node_kind;

extern const char *const mr_node_names[MR_NODE_KINDS];

typedef struct mr_node {
    mr_node_kind kind;
    uint32_t start, end;
    uint32_t level;  /* headings and sections: 1 to 6 for Markdown, 7 for "Title:" lines; else 0 */
    uint32_t parent; /* index; the document's is its own */
    uint32_t depth;  /* 0 for the document */
} mr_node;

/* Nodes in preorder; nodes[0] is the document. */
typedef struct mr_structure {
    mr_node *nodes;
    uint32_t count;
    bool truncated; /* there were more than `nodes_max`; the first that were found are kept */
} mr_structure;

/* Scratch for one text after the other: a parse overwrites what the one before gave. */
typedef struct mr_structure_room {
    mr_arena *arena;
    mr_node *nodes;   /* nodes_max */
    uint32_t *counts; /* 2 x nodes_max */
    uint32_t nodes_max;
    void *lines;
    size_t lines_max;
} mr_structure_room;

/* Errors: E_MEMORY. */
mr_status mr_structure_room_init(mr_structure_room *room, mr_arena *arena, uint32_t nodes_max,
                                 mr_error *err) MR_MUST_CHECK;

/* `out->nodes` lies in `room`. Errors: E_MEMORY; E_LIMIT over 256 MiB of text. */
mr_status mr_structure_parse(mr_span text, mr_structure_room *room, mr_structure *out,
                             mr_error *err) MR_MUST_CHECK;

typedef struct mr_structure_measures {
    uint32_t counts[MR_NODE_KINDS];
    uint32_t nodes, leaves, depth; /* depth: the greatest, 0 for a lone document */
    double branching;              /* mean number of children of nodes that have any; 0 without */
    double sackin;                 /* sum over leaves of their ancestors with two children or more */
    double balance;  /* 1 - (sackin - leaves) / (leaves (leaves + 1) / 2 - 1 - leaves): 1 for a star, 0 for a
                      * caterpillar  (Sackin 1972; Shao and Sokal 1990); 1 below three leaves */
    uint32_t cycles; /* cyclomatic number of the tree with an edge from each placeholder to the last one of
                      * the same text: how often a placeholder is used again */
} mr_structure_measures;

/* Of what was parsed last into `room`. */
mr_structure_measures mr_structure_measure(const mr_structure *s, mr_span text, mr_structure_room *room);

#endif
