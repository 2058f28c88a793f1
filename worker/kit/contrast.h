/* contrast.h: by which features one group of rows differs most from another, for people to read. */
#ifndef MR_KIT_CONTRAST_H
#define MR_KIT_CONTRAST_H

#include "worker/kit/columns.h"

typedef struct mr_contrast {
    uint32_t column;
    double difference;      /* (mean inside - mean against) / sd: the standardised mean difference */
    double inside, against; /* the two means */
} mr_contrast;

/* Compares the rows with group[i] == in with those with group[i] == against; MR_REST: with all others.
 * x is n x width, row-major; sd are the columns' standard deviations, columns with 0 are passed over.
 * Differences below 0.2 in size (Cohen's "small") are left out. Returns how many it wrote, at most `most`,
 * the largest first, ties to the lower column; 0 when one of the two groups is empty. */
#define MR_REST INT32_MIN
size_t mr_contrasts(const double *x, size_t n, size_t width, const int32_t *group, int32_t in,
                    int32_t against, const double *sd, size_t most, mr_contrast *out);

/* "higher words (+1.4 sd), lower entropy (-0.8 sd)"; "no feature in particular" for none. */
void mr_contrast_words(const mr_contrast *c, size_t count, mr_names names, mr_buf *out);

#endif
