/* training.h: rows with something to foresee, as partials that merge to the same bytes whichever way the rows
 * were cut: counts, the classes seen, exact sums of products for models that need no rows, and a bottom-k
 * sample (sample.h) for the others. */
#ifndef MR_KIT_TRAINING_H
#define MR_KIT_TRAINING_H

#include "worker/kit/columns.h"
#include "worker/kit/exact.h"
#include "worker/kit/models.h"
#include "worker/kit/sample.h"

enum { MR_TRAINING_WIDTH = 256, MR_CLASS_NAME = 200 };

/* The role that is foreseen. */
typedef enum mr_target {
    MR_TARGET_AUTO,
    MR_TARGET_SUCCESS,
    MR_TARGET_OUTCOME,
    MR_TARGET_SCORE,
    MR_TARGET_LABEL
} mr_target;
extern const char *const mr_target_words[]; /* "auto", "success", ..., NULL */
/* The first of success, outcome and score that the batch has, else the label. */
mr_target mr_target_of(const mr_batch *batch);

typedef struct mr_training_options {
    bool numbers;     /* the target is a number even where it could be a class (success, label) */
    bool sums;        /* keep sums of products, when the target is a number */
    size_t sample;    /* rows to keep at most; fewer when they would not fit into bytes_max */
    size_t bytes_max; /* of a partial */
    uint64_t seed;
} mr_training_options;

typedef struct mr_class {
    mr_span name;
    uint64_t rows;
} mr_class;

typedef struct mr_training {
    mr_arena *arena;
    mr_target target;
    bool number, sums;
    uint64_t rows, left_out; /* with and without a target */
    mr_names names;
    uint32_t class_count; /* 0 when the target is a number */
    mr_class *classes;    /* ascending by the bytes of their names */
    mr_sample sample;     /* rows: the features, then the target: a number, or the key of a class */
    mr_exact *sum;        /* of features and target, then of their products i <= j, row by row */
} mr_training;

/* `target` is not MR_TARGET_AUTO. Errors: E_MEMORY. */
mr_status mr_training_init(mr_training *t, mr_arena *arena, const mr_training_options *o, mr_target target,
                           mr_names names, mr_error *err) MR_MUST_CHECK;

/* A row's target: NaN in *out for none. Errors: E_INVALID for a success other than 0 and 1, a label that is
 * no number where one is wanted, or longer than MR_CLASS_NAME, a number beyond 1e140; the sentence names the
 * row. */
mr_status mr_target_read(const mr_batch *b, mr_target target, bool number, size_t row, double *out,
                         mr_error *err) MR_MUST_CHECK;

/* Takes all rows of a batch; the caller has checked the features. The names of classes stay in the batch.
 * Errors: those of mr_target_read; E_INVALID for more than MR_MODEL_CLASSES classes; what `tick` says. */
mr_status mr_training_add(mr_training *t, const mr_batch *b, const mr_ticker *tick,
                          mr_error *err) MR_MUST_CHECK;

/* The one byte form; afterwards nothing can be added. At most `bytes_max` as long as a sum takes 80 bytes on
 * average. Errors of both: E_CORRUPT, E_MEMORY; E_INVALID for partials of different columns. */
mr_status mr_training_pack(mr_training *t, mr_buf *out, mr_error *err) MR_MUST_CHECK;
/* `first`: initialises *t from the partial. */
mr_status mr_training_add_packed(mr_training *t, mr_arena *arena, const mr_training_options *o, mr_span bytes,
                                 bool first, const mr_ticker *tick, mr_error *err) MR_MUST_CHECK;

/* The sampled rows in the order of their positions, classes numbered as in `classes`. */
mr_status mr_training_rows(mr_training *t, mr_examples *out, mr_error *err) MR_MUST_CHECK;
/* Moments of all rows, each correctly rounded once or twice. Only with `sums`. */
mr_status mr_training_moments(mr_training *t, mr_moments *out, mr_error *err) MR_MUST_CHECK;

/* A name as a number: 53 bits of a hash of it (FNV-1a, mixed). */
double mr_class_key(mr_span name);
/* A target that was read as a class, as its number in `names`; NaN when it is none of them. */
double mr_class_number(double key, const mr_span *names, size_t count);

#endif
