/* mst.h: the minimum spanning tree of the mutual-reachability graph, whose edge between two points weighs the
 * largest of their distance and their two core distances (Campello, Moulavi and Sander 2013, definition 3).
 */
#ifndef MR_KIT_MST_H
#define MR_KIT_MST_H

#include "worker/kit/neighbours.h"

typedef struct mr_edge {
    uint32_t a, b;  /* b was found from a */
    uint32_t found; /* how many were found before it */
    double weight;
} mr_edge;

/* Prim's algorithm from row 0 on the full graph: O(n^2 width) time, O(n) memory; of several equally light
 * edges the one to the lowest row is taken, from the row that came into the tree first. `edges` gets n - 1
 * edges, sorted by weight, equal ones in the order in which they were found. Errors: E_MEMORY, what `tick`
 * says. */
mr_status mr_mst(const mr_points *p, const double *core, mr_edge *edges, mr_arena *arena,
                 const mr_ticker *tick, mr_error *err) MR_MUST_CHECK;

#endif
