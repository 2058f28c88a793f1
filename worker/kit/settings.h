/* settings.h: a grid of clusterings of the same rows: k-means, Gaussian mixtures and HDBSCAN in many
 * settings, scored by the silhouette of the rows that are not noise. */
#ifndef MR_KIT_SETTINGS_H
#define MR_KIT_SETTINGS_H

#include "common/buf.h"
#include "worker/kit/kmeans.h"
#include "worker/kit/mixture.h"
#include "worker/kit/partition.h"

#define MR_SETTING_NOISE_MAX 0.3

typedef enum mr_setting_method {
    MR_SETTING_KMEANS,
    MR_SETTING_MIXTURE_FULL,
    MR_SETTING_MIXTURE_DIAGONAL,
    MR_SETTING_HDBSCAN,
    MR_SETTING_METHODS
} mr_setting_method;
extern const char *const mr_setting_methods[MR_SETTING_METHODS];

typedef struct mr_setting {
    mr_setting_method method;
    size_t k;                             /* asked for; not HDBSCAN */
    size_t min_cluster_size, min_samples; /* HDBSCAN */
    const char *excluded;                 /* why it does not count; NULL when it does */
    mr_partition part;
    int32_t *label;
    double inertia, bic; /* k-means; mixtures. Else NaN */
    union {
        mr_kmeans kmeans;
        mr_mixture mixture;
        mr_hdbscan hdbscan;
    } fit;
} mr_setting;

typedef struct mr_settings_options {
    size_t clusters_max;
    unsigned starts;
} mr_settings_options;

typedef struct mr_settings {
    size_t count;
    mr_setting *items;
    size_t best; /* count when none counts */
} mr_settings;

/* A setting does not count when it gives fewer than two clusters, more than MR_SETTING_NOISE_MAX of noise, or
 * could not be fitted. Of equal scores the earlier setting is the best. Everything lives in the arena.
 * Errors: E_MEMORY, what `tick` says. */
mr_status mr_settings_run(const mr_points *p, const mr_settings_options *options, uint64_t seed,
                          mr_arena *arena, const mr_ticker *tick, mr_settings *out,
                          mr_error *err) MR_MUST_CHECK;

/* "k-means, 3 clusters". */
void mr_setting_words(const mr_setting *s, mr_buf *out);

#endif
