/* linalg.h: eigenvalues of symmetric matrices. mr_linalg_eigen is the adapter over LAPACK (OpenBLAS, one
 * thread), whose last bits depend on the processor and on where the memory lies. The others use only +, -, *, / and sqrt
 * in a fixed order: the same bits everywhere, which is what results that are compared byte for byte need. */
#ifndef MR_KIT_LINALG_H
#define MR_KIT_LINALG_H

#include "common/mem.h"
#include "common/status.h"
#include "worker/kit/tick.h"

/* Keeps OpenBLAS to the calling thread; a process that computes calls it once at its start. */
void mr_linalg_one_thread(void);

/* All of the next: `a` is n x n symmetric, row-major, finite, and is destroyed. `values` gets n eigenvalues
 * from the largest down, `vectors` n x n gets the unit eigenvector of values[k] as row k. Signs are left as
 * they fall. */

/* LAPACK dsyevd. Errors: E_MEMORY; E_INTERNAL when it does not converge. */
mr_status mr_linalg_eigen(mr_arena *arena, double *a, size_t n, double *values, double *vectors,
                          mr_error *err) MR_MUST_CHECK;

/* Householder's tridiagonal form and implicit QL steps (Golub and Van Loan, Matrix Computations, 4th ed., section 8.3): about
 * 5 n^3 multiplications. An eigenvalue is off by a few n rounding errors of the largest. Errors: E_MEMORY, what `tick` says,
 * E_INTERNAL after 60 steps for one eigenvalue. */
mr_status mr_eigen_tridiagonal(mr_arena *arena, double *a, size_t n, double *values, double *vectors, const mr_ticker *tick,
                               mr_error *err) MR_MUST_CHECK;

/* For a covariance: tridiagonal, or Jacobi where variances differ so much (2^16 times) that a few rounding errors of the
 * largest eigenvalue would show in the small ones. */
mr_status mr_eigen_covariance(mr_arena *arena, double *a, size_t n, double *values, double *vectors, const mr_ticker *tick,
                              mr_error *err) MR_MUST_CHECK;

/* Cyclic Jacobi (section 8.5 there). O(n^3) a sweep, about 6 to 10 sweeps; small eigenvalues of graded matrices are accurate.
 * Equal eigenvalues keep the order of their columns. Errors: E_MEMORY, what `tick` says, E_INTERNAL after 60 sweeps. */
mr_status mr_eigen_jacobi(mr_arena *arena, double *a, size_t n, double *values, double *vectors,
                          const mr_ticker *tick, mr_error *err) MR_MUST_CHECK;

/* Turns each of the `count` rows of length n so that its entry of largest size (the first of equals) is
 * positive. */
void mr_eigen_fix_signs(double *vectors, size_t count, size_t n);

#endif
