/* graphtext.h: labelled undirected graphs as text on one line:
 *     v 0 6 v 1 8 v 2 6 e 0 1 2 e 1 2 1
 * "v NUMBER LABEL" is a vertex, numbered 0, 1, 2, ... in this order; "e FROM TO LABEL" is an edge between
 * vertices that stand before it. Labels are words without blanks. A leading "t # NAME" is passed over. No
 * loops, no parallel edges. An empty text is a graph without vertices. */
#ifndef MR_KIT_GRAPHTEXT_H
#define MR_KIT_GRAPHTEXT_H

#include "worker/kit/gspan.h"
#include "worker/kit/itemrows.h"

enum { MR_GRAPH_VERTICES = 1024, MR_GRAPH_EDGES = 4096 }; /* of one graph */
/* Graphs are kept in rows with these flags: items are the labels of the vertices and then of the edges; plain
 * numbers are the number of vertices and then the ends of the edges. */
enum { MR_GRAPH_FLAGS = MR_ITEMROWS_ORDERED | MR_ITEMROWS_PLAIN };

/* Adds a graph as a row. Errors: E_INVALID what is wrong with the text; E_LIMIT; E_MEMORY. */
mr_status mr_graph_add(mr_itemrows *rows, mr_span text, mr_error *err) MR_MUST_CHECK;

/* The sorted rows as graphs. Errors: E_CORRUPT rows that are no graphs; E_MEMORY. */
mr_status mr_graphs_of(const mr_itemrows *rows, mr_arena *arena, mr_graphs *out, mr_error *err) MR_MUST_CHECK;

/* A mined code in the same notation. */
void mr_graph_words(const uint32_t *code, size_t words, const mr_terms *labels, mr_buf *out);

#endif
