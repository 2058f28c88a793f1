/* given.h: what a step of a run was given by other steps, beside its rows: artifacts and results, each with where it came
 * from. The broker wraps the input of a batch or merge with them; the worker takes them off again. An input that nothing
 * was given to travels bare. */
#ifndef MR_COMMON_GIVEN_H
#define MR_COMMON_GIVEN_H

#include "common/buf.h"
#include "common/hash.h"

/* What is done with it. */
typedef enum mr_use {
    MR_USE_INPUT,    /* the component reads it (mr_ctx_given) */
    MR_USE_FEATURES, /* the component that made it applies it to the rows; the outcome takes the place of their features */
    MR_USE_MODEL,    /* the component applies it to the rows, in place of learning anew */
    MR_USES
} mr_use;
extern const char *const mr_use_names[]; /* ends with NULL */

enum { MR_GIVENS = 8, MR_GIVEN_NAME = 64 };

typedef struct mr_given {
    mr_use use;
    const char *component; /* that made it */
    const char *artifact;  /* its name there; "" for the result itself, a msgpack map */
    uint64_t run;          /* 0: the run of the step that it was given to */
    uint32_t step;
    mr_hash hash;          /* of the bytes */
    mr_span bytes;
} mr_given;

/* Appends `input` with what was given. Errors: those of `out`. */
mr_status mr_given_wrap(mr_span input, const mr_given *items, uint32_t count, mr_buf *out) MR_MUST_CHECK;
/* The other way round: `items` has room for MR_GIVENS; names live in `arena`, bytes are borrowed. A bare input gives
 * itself and a count of 0. Errors: E_CORRUPT with what is wrong, also when bytes do not match their hash; E_MEMORY. */
mr_status mr_given_unwrap(mr_span bytes, mr_arena *arena, mr_span *input, mr_given *items, uint32_t *count,
                          mr_error *err) MR_MUST_CHECK;
/* The first that is used so; of that component, unless it is NULL. NULL when there is none. */
const mr_given *mr_given_find(const mr_given *items, uint32_t count, mr_use use, const char *component);

#endif
