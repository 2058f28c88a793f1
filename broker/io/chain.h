/* chain.h: what a step of a run is given by other steps: of its own run, or of an earlier one. Asked for by name when a run
 * is submitted, resolved to a run, a step and, where it is known, a hash when it is planned, and committed with the step; so
 * a step gets the same bytes after a restart, and whoever looks sees what was used. */
#ifndef MR_BROKER_IO_CHAIN_H
#define MR_BROKER_IO_CHAIN_H

#include "broker/io/bytes.h"
#include "broker/io/run_info.h"
#include "common/given.h"
#include "common/json.h"
#include "common/pack.h"

/* Where what is needed comes from, as it was asked for. */
typedef enum mr_need_source {
    MR_NEED_STEP,   /* an earlier step of this run */
    MR_NEED_NEWEST, /* the newest run of component `who` over the same data set that has it */
    MR_NEED_RUN,    /* step `who` (number, name or component) of run `run` */
    MR_NEED_HASH    /* the artifact with that hash, of the newest run that left it */
} mr_need_source;

typedef struct mr_need {
    mr_need_source source;
    uint64_t run; /* 0: this run; set by the resolution for NEWEST and HASH */
    uint32_t step;
    char who[MR_NAME_MAX + 1];
    mr_hash hash;
    bool hashed;                     /* `hash` is what it must have */
    bool artifact_said, use_said;    /* else what the component's descriptor takes of `component` */
    char component[MR_NAME_MAX + 1]; /* that made it; "" before the resolution of RUN and HASH */
    char artifact[MR_GIVEN_NAME + 1];
    mr_use use;
} mr_need;

/* What a component takes from another by its descriptor. */
typedef struct mr_need_default {
    char component[MR_NAME_MAX + 1], artifact[MR_GIVEN_NAME + 1];
    mr_use use;
} mr_need_default;

/* The part of a step's request that is about other steps. */
typedef struct mr_chain_request {
    char name[MR_NAME_MAX + 1]; /* the step's id in its pipeline; "": none */
    char at[128];               /* where the step is written, to begin errors with; "": nowhere */
    bool applies;               /* the component can apply a stored model */
    bool optional;              /* left out when the data set lacks a column that it must have */
    uint32_t defaults, needs;
    bool needs_said; /* false: each default whose component is an earlier step of the run */
    mr_need_default def[MR_GIVENS];
    mr_need need[MR_GIVENS];
} mr_chain_request;

struct mr_plan_job;

/* `id`, `at` and `needs` of one item of a run's components, and the defaults of its descriptor. E_INVALID. */
mr_status mr_chain_read(mr_span item, const mr_json *component, mr_chain_request *out, mr_error *err) MR_MUST_CHECK;
/* Puts the steps of a run that names no edges and no ids behind those that their descriptors depend on; else as they came.
 */
void mr_chain_order(struct mr_plan_job *job);
/* Steps of the job were left out: `place` has the new place of each of the `count` before this one, MR_STEPS_MAX when it is
 * gone; what would come from one that is gone is not needed any more. */
void mr_chain_moved(mr_chain_request *chain, const uint32_t *place, uint32_t count);
/* Settles what every step of the job needs, in the transaction that plans it; a step that applies a model becomes a map and
 * gets the features that the model was trained on. Errors: E_INVALID an edge to a later step, the wrong kind of artifact;
 * E_NOT_FOUND there is no such run, step, artifact, or nothing newest yet. */
mr_status mr_chain_resolve(mr_pg *pg, struct mr_plan_job *job, int64_t dataset, mr_error *err) MR_MUST_CHECK;
/* Binds the roles that the run of an applied model had, where the data set has those columns; for a job that names none. */
mr_status mr_chain_roles(mr_pg *pg, struct mr_plan_job *job, int64_t dataset, mr_error *err) MR_MUST_CHECK;
/* Commits what a step needs. */
mr_status mr_chain_put(mr_pg *pg, const mr_chain_request *chain, int64_t run, uint32_t step, mr_error *err) MR_MUST_CHECK;

/* Reads what was committed for all steps of a run into `info`. */
mr_status mr_chain_read_run(mr_pg *pg, mr_run_info *info, mr_error *err) MR_MUST_CHECK;

/* What was given lately, kept by the loader. Zeroed at first. */
enum { MR_CHAIN_KEPT = 8, MR_CHAIN_KEPT_BYTES = 32 * 1024 * 1024 };
typedef struct mr_chain_cache {
    struct {
        uint64_t run;
        uint32_t step;
        char artifact[MR_GIVEN_NAME + 1];
        mr_bytes *bytes; /* its hash is set */
    } slot[MR_CHAIN_KEPT];
    uint32_t next;
} mr_chain_cache;
void mr_chain_cache_free(mr_chain_cache *cache);

/* Is this batch or merge given anything? */
bool mr_chain_gives(const mr_run_info *info, const mr_work_key *key);
/* Appends `input` with all that the work is given. E_CORRUPT when what is stored has not the hash that was planned. */
mr_status mr_chain_wrap(mr_pg *pg, const mr_run_info *info, const mr_work_key *key, mr_span input, mr_chain_cache *cache,
                        mr_buf *out, mr_error *err) MR_MUST_CHECK;

#endif
