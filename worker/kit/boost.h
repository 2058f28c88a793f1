/* boost.h: gradient-boosted regression trees on histograms (Friedman 2001, "Greedy function approximation";
 * Ke et al. 2017, "LightGBM", for growing the leaf of largest gain first). No randomness: the same rows in
 * the same order give the same trees. */
#ifndef MR_KIT_BOOST_H
#define MR_KIT_BOOST_H

#include "common/pack.h"
#include "worker/kit/scratch.h"
#include "worker/kit/tick.h"

typedef enum mr_boost_loss { MR_BOOST_SQUARES /* half the squared error */, MR_BOOST_LOGISTIC } mr_boost_loss;

enum { MR_BOOST_BINS = 255 };

typedef struct mr_boost_options {
    mr_boost_loss loss;
    size_t rounds, leaves, leaf_rows; /* trees; at most so many leaves each; at least so many rows a leaf */
    double rate, l2;                  /* learning rate; penalty on a leaf's value */
} mr_boost_options;

/* Nodes of all trees in one array; a child lies behind its parent. */
typedef struct mr_boost_node {
    double value;    /* rows with x <= value go left; in a leaf: what it adds */
    int32_t feature; /* -1 in a leaf */
    uint32_t left, right;
} mr_boost_node;

typedef struct mr_boost {
    size_t width, trees, nodes;
    double base; /* the prediction before the first tree */
    uint32_t *root;
    mr_boost_node *node;
    double *gain; /* width: the sum of the gains of the cuts on each column; NULL in a model that was read */
} mr_boost;

/* A column's values in at most 255 bins: each distinct value its own while there are no more, else bins of
 * equal shares; bin b holds the values <= edge[b] and above edge[b - 1]. */
typedef struct mr_bins {
    size_t rows, width;
    uint8_t *bin;    /* width x rows, column by column */
    double *edge;    /* width x MR_BOOST_BINS */
    uint16_t *count; /* width: bins in use */
} mr_bins;
/* The bins lie in the scratch, until the caller gives it back. Errors: E_MEMORY, what `tick` says. */
mr_status mr_bins_make(const double *x, size_t n, size_t width, mr_scratch *scratch, const mr_ticker *tick,
                       mr_bins *out, mr_error *err) MR_MUST_CHECK;

/* y: numbers, or 0 and 1 for MR_BOOST_LOGISTIC. O(rounds n width) time. The model lies in the scratch's
 * arena; what the work took is given back. Errors: E_MEMORY, what `tick` says. */
mr_status mr_boost_fit(const mr_bins *bins, const double *y, const mr_boost_options *o, mr_scratch *scratch,
                       const mr_ticker *tick, mr_boost *out, mr_error *err) MR_MUST_CHECK;

/* The prediction for a row of raw values: a number, or the log odds. */
double mr_boost_at(const mr_boost *b, const double *row);
/* The number of the leaf that the row falls into. */
uint32_t mr_boost_leaf(const mr_boost *b, size_t tree, const double *row);

void mr_boost_pack(const mr_boost *b, mr_buf *out);
/* Checks that every child lies behind its parent and every column inside. Errors: E_CORRUPT, E_MEMORY. */
mr_status mr_boost_unpack(mr_boost *b, mr_arena *arena, size_t width, mr_unpack *in,
                          mr_error *err) MR_MUST_CHECK;

#endif
