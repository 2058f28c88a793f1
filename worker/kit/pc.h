/* pc.h: which columns are tied to each other directly, and in which direction as far as independences tell:
 * the PC algorithm in its stable form (Spirtes, Glymour and Scheines 2000; Colombo and Maathuis 2014). The
 * answer does not depend on the order of the columns but through ties. It assumes no hidden common causes, no
 * cycles, and that what is independent in the rows is so by the graph (faithfulness). */
#ifndef MR_KIT_PC_H
#define MR_KIT_PC_H

#include "worker/kit/independence.h"

enum { MR_PC_WIDTH_MAX = 128, MR_PC_NO_SINK = MR_PC_WIDTH_MAX };

/* What is known of the pair a < b. */
typedef enum mr_pc_mark { MR_PC_NONE, MR_PC_LINE, MR_PC_FORWARD, MR_PC_BACKWARD, MR_PC_CONFLICT } mr_pc_mark;

typedef struct mr_pc_pair {
    mr_pc_mark mark; /* of a, b with a < b: FORWARD is a -> b; CONFLICT: colliders want both directions */
    mr_independence_result test;  /* with the largest p; of a removed pair, what separated it */
    uint16_t given[MR_GIVEN_MAX]; /* its conditioning columns */
    uint16_t given_count;
} mr_pc_pair;

typedef struct mr_pc {
    size_t width, depth, edges; /* depth: most columns that were conditioned on */
    mr_pc_pair *pair;           /* width x width, used for a < b */
} mr_pc;

/* Skeleton: an edge goes when some p > alpha, over all subsets of either end's neighbours as they were when
 * the round of that size began. `depth_max` < 0: no limit. Colliders: a -> c <- b for an unshielded triple
 * whose separating set, the one with the largest p, lacks c. Then the rules of Meek (1995) until nothing
 * changes. Nothing points out of column `sink` (MR_PC_NO_SINK: none). Errors: E_MEMORY, what `tick` says. */
mr_status mr_pc_search(mr_independence *test, double alpha, long depth_max, size_t sink, mr_arena *arena,
                       const mr_ticker *tick, mr_pc *out, mr_error *err) MR_MUST_CHECK;

mr_pc_pair *mr_pc_at(const mr_pc *g, size_t a, size_t b);
bool mr_pc_adjacent(const mr_pc *g, size_t a, size_t b);
/* a -> b. */
bool mr_pc_points(const mr_pc *g, size_t a, size_t b);

#endif
