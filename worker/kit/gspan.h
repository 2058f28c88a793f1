/* gspan.h: all connected subgraphs that enough labelled graphs hold, exactly, up to isomorphism. gSpan with
 * minimal depth-first codes (Yan and Han 2002). */
#ifndef MR_KIT_GSPAN_H
#define MR_KIT_GSPAN_H

#include "worker/kit/patterns.h"
#include "worker/kit/tick.h"

/* Undirected graphs without loops and parallel edges. Graph g has the vertices vertex_end[g - 1] ..
 * vertex_end[g] - 1 and the edges edge_end[g - 1] .. edge_end[g] - 1, whose ends are vertices of g. */
typedef struct mr_graphs {
    uint32_t count;
    const uint32_t *vertex_end, *edge_end;
    const uint32_t *vertex_label, *edge_label, *from, *to;
} mr_graphs;

/* A pattern is its minimal code: for each edge the numbers of its ends by discovery and three labels. */
enum {
    MR_CODE_I,
    MR_CODE_J,
    MR_CODE_LABEL_I,
    MR_CODE_LABEL_E,
    MR_CODE_LABEL_J,
    MR_CODE_WORDS,
    MR_CODE_EDGES = 60
};

/* Adds every connected subgraph of 1 to `longest` (at most MR_CODE_EDGES) edges that at least `least` > 0
 * graphs hold. *cut: there are longer ones. Memory: 8 bytes for each embedding of the patterns on one path
 * of the search. Errors: those of mr_patterns_add; E_MEMORY; what `tick` says. */
mr_status mr_gspan(const mr_graphs *in, uint32_t least, uint32_t longest, const mr_ticker *tick,
                   mr_patterns *out, bool *cut, mr_error *err) MR_MUST_CHECK;

#endif
