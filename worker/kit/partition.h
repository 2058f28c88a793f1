/* partition.h: how good a partition of rows into clusters is, by three indices that need no truth. Rows
 * labelled MR_NOISE belong to no cluster: they are neither scored nor counted among the others. */
#ifndef MR_KIT_PARTITION_H
#define MR_KIT_PARTITION_H

#include "worker/kit/hdbscan.h"

typedef struct mr_partition {
    const int32_t *label; /* n: MR_NOISE or 0 .. clusters - 1, none of them empty; borrowed */
    size_t clusters;
    size_t noise; /* all below are results */
    double silhouette, silhouette_sd;
    double davies_bouldin, calinski_harabasz;
} mr_partition;

/* Numbers the clusters of `label` anew by the lowest row they hold; any number below 0 becomes MR_NOISE,
 * others must be below `most`. Returns how many clusters there are. Errors are not possible but for memory:
 * SIZE_MAX. */
size_t mr_number_labels(int32_t *label, size_t n, size_t most, mr_arena *arena);

/* Sets noise, silhouette and silhouette_sd (between rows, divisor rows) of each partition: Rousseeuw 1987,
 * Euclidean, 0 for a row that is alone in its cluster. All partitions share one pass over the distances, so
 * the time is O(n^2 (width + count)) and the memory O(n). NaN with fewer than two clusters. `row`, when not
 * NULL, has n places and gets the rows' own values of the first partition, NaN for noise. Errors: E_MEMORY,
 * what `tick` says. */
mr_status mr_silhouettes(const mr_points *p, mr_partition *parts, size_t count, double *row, mr_arena *arena,
                         const mr_ticker *tick, mr_error *err) MR_MUST_CHECK;

/* Sets davies_bouldin (Davies and Bouldin 1979, mean distances to the centroid) and calinski_harabasz
 * (Calinski and Harabasz 1974). NaN with fewer than two clusters, or as many clusters as rows; 1 for the
 * latter when no cluster has any spread, 0 for the former when all centroids or no rows are apart. Errors:
 * E_MEMORY. */
mr_status mr_scatter_indices(const mr_points *p, mr_partition *part, mr_arena *arena,
                             mr_error *err) MR_MUST_CHECK;

#endif
