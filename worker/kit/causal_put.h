/* causal_put.h: a graph's edges and the columns that an effect was adjusted for, as fields of a result. */
#ifndef MR_KIT_CAUSAL_PUT_H
#define MR_KIT_CAUSAL_PUT_H

#include "worker/component.h"
#include "worker/kit/choose_test.h"
#include "worker/kit/pc.h"
#include "worker/kit/refute.h"

/* The list `edges`: from, to, directed, conflict, statistic, df, p and given of each; empty without a graph. `names` are
 * those of the graph's columns. */
void mr_put_edges(mr_out *out, const mr_pc *graph, const char *const *names);
/* A map into the list that is open. */
void mr_put_confounder(mr_out *out, const mr_confounder *a);

/* What people read: the test, and what it was made on. */
const char *mr_test_choice_name(const mr_test_choice *c);
/* The fields `transform`, `not_normal` and `not_linear`. */
void mr_put_test_choice(mr_out *out, const mr_test_choice *c, const char *const *names, size_t width);
/* Why it is not plain partial correlations, in words; nothing when it is or was asked for. n: rows. */
void mr_choice_findings(mr_out *out, const mr_test_choice *c, const char *const *names, size_t width, size_t n);

#endif
