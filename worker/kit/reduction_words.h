/* reduction_words.h: what a reduction of dimensions says to a person. */
#ifndef MR_KIT_REDUCTION_WORDS_H
#define MR_KIT_REDUCTION_WORDS_H

#include "worker/component.h"
#include "worker/kit/reduction.h"

typedef struct mr_reduced {
    mr_names names;
    const mr_sample *sample;
    mr_spread spread;
    mr_pca pca, even; /* even: of the z-scores; found == 0 in a wide table */
    bool scaled;      /* the columns were scaled as asked for */
    mr_reduction r;
    bool is_update, refitted; /* new rows met a stored model; a new one was fitted */
    double drift;             /* their error by the stored model over the usual one, less 1 */
} mr_reduced;

/* Findings: what the components carry and what drives them, whether scaling would help, which way was kept and why, how the
 * autoencoder fares, drift, constant columns. */
void mr_reduced_findings(const mr_reduced *a, mr_arena *arena, mr_out *out);

#endif
