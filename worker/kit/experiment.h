/* experiment.h: the rows of an experiment with arms, as partials that merge to the same bytes whichever way
 * the rows were cut. Rows are kept in looks: runs of 2^k positions, with k the least for which there are at
 * most MR_LOOKS of them, so that what a person who peeks would have seen can be told afterwards. Of each look
 * and arm the exact sums of the outcome y, a covariate x, and their products are kept (exact.h). */
#ifndef MR_KIT_EXPERIMENT_H
#define MR_KIT_EXPERIMENT_H

#include "common/pack.h"
#include "worker/kit/exact.h"
#include "worker/kit/hypothesis.h"

enum { MR_LOOKS = 256, MR_ARMS = 8, MR_ARM_NAME = 64 };

enum { MR_SUM_Y, MR_SUM_YY, MR_SUM_X, MR_SUM_XX, MR_SUM_XY, MR_SUMS };

typedef struct mr_cell {
    uint64_t n;
    mr_exact sum[MR_SUMS];
} mr_cell;

typedef struct mr_experiment {
    mr_arena *arena;
    bool covariate;
    uint64_t rows, left_out,
        other;      /* with an arm and an outcome; without; outcomes that are neither 0 nor 1 */
    uint64_t last;  /* the highest position seen */
    unsigned shift; /* a look is position >> shift */
    uint32_t arm_count;
    mr_span arm[MR_ARMS];             /* in the order they were met */
    mr_cell *cell[MR_LOOKS][MR_ARMS]; /* NULL: no rows */
} mr_experiment;

/* `last` is the highest position that will be added. */
void mr_experiment_init(mr_experiment *e, mr_arena *arena, bool covariate, uint64_t last);
/* Where a row goes: *out = the arm's number. Errors: E_INVALID for too many arms or too long a name. */
mr_status mr_experiment_arm(mr_experiment *e, mr_span name, uint32_t *out, mr_error *err) MR_MUST_CHECK;
/* One row; x is looked at only with a covariate. Both finite. Errors: E_MEMORY. */
mr_status mr_experiment_add(mr_experiment *e, uint64_t position, uint32_t arm, double y, double x,
                            mr_error *err) MR_MUST_CHECK;

/* At most 8 arms x 256 looks x 5 sums, 2,960 bytes each in the worst case and some 200 in common ones.
 * Errors of reading: E_CORRUPT, E_MEMORY, E_INVALID. */
void mr_experiment_pack(const mr_experiment *e, mr_buf *out);
/* The highest position in a packed experiment, for mr_experiment_init. */
mr_status mr_experiment_last(mr_span bytes, uint64_t *last, bool *covariate, mr_error *err) MR_MUST_CHECK;
mr_status mr_experiment_add_packed(mr_experiment *e, mr_unpack *in, mr_error *err) MR_MUST_CHECK;

/* What is known of an arm, from exact sums: divisor n - 1 for the variances and the covariance. */
typedef struct mr_arm_sums {
    double n, y, x, var_y, var_x, cov;
} mr_arm_sums;
/* Of an arm at the end of each look, all rows up to there; in the arena. Errors: E_MEMORY. */
mr_status mr_experiment_path(const mr_experiment *e, uint32_t arm, mr_arm_sums **out,
                             mr_error *err) MR_MUST_CHECK;
/* Of several arms together: bits of `arms`. */
mr_arm_sums mr_experiment_pooled(const mr_experiment *e, unsigned arms);
unsigned mr_experiment_looks(const mr_experiment *e);

#endif
