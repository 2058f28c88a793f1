/* autoencoder.h: a small network that squeezes a row through a few numbers and gives it back (Hinton and Salakhutdinov 2006):
 * columns brought to [0, 1] by their minimum and maximum, one hidden layer of tanh on either side of a linear code, linear
 * output, least squares by L-BFGS on all rows at once. Deterministic from the seed, the same bits on every machine. */
#ifndef MR_KIT_AUTOENCODER_H
#define MR_KIT_AUTOENCODER_H

#include "common/pack.h"
#include "worker/kit/tick.h"

typedef struct mr_autoencoder_options {
    size_t code, hidden, iterations; /* code and hidden >= 1 */
    double decay;                    /* weight of the squared weights beside the mean squared error */
    uint64_t seed;
} mr_autoencoder_options;

typedef struct mr_autoencoder {
    size_t width, hidden, code;
    double *low, *range; /* width: minimum, and maximum - minimum (1 where that is 0) of the columns */
    double *weights;     /* of the four layers: each inputs x outputs, then outputs biases */
    /* of a fit only */
    double error;        /* mean squared error over rows and columns, in [0, 1] units, of the rows it was fitted on */
    size_t iterations;
    bool converged;
} mr_autoencoder;

/* x: n x width, finite. O(iterations n width hidden) time, about 16 n (width + 2 hidden + code) bytes.
 * Errors: E_MEMORY, what `tick` says. */
mr_status mr_autoencoder_fit(const double *x, size_t n, size_t width, const mr_autoencoder_options *o, mr_arena *arena,
                             const mr_ticker *tick, mr_autoencoder *out, mr_error *err) MR_MUST_CHECK;

/* code: n x code, back: n x width, the rows given back in their own units; either may be NULL. A row's numbers do not depend
 * on what other rows come with it. Errors: E_MEMORY, what `tick` says. */
mr_status mr_autoencoder_run(const mr_autoencoder *a, const double *x, size_t n, double *code, double *back,
                             mr_arena *arena, const mr_ticker *tick, mr_error *err) MR_MUST_CHECK;

void mr_autoencoder_pack(const mr_autoencoder *a, mr_buf *out);
/* Errors: E_CORRUPT, E_MEMORY. */
mr_status mr_autoencoder_unpack(mr_autoencoder *a, mr_arena *arena, size_t width, mr_unpack *in,
                                mr_error *err) MR_MUST_CHECK;

#endif
