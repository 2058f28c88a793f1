/* pipeline.h: a pipeline file: which components run over a data set, with which options, and what they take from each other.
 *
 *     name: reduced
 *     about: a model on fewer columns
 *     dataset: wine                 # optional, as are batch_size, seed and roles
 *     roles: {label: target}
 *     steps:
 *       - id: reduce                # the component's name when it is left out
 *         component: dimensionality_reducer
 *         options: {variance: 0.9}
 *       - component: ml_model_service
 *         needs: [reduce]           # or {step: reduce, artifact: model, as: features},
 *                                   # {newest: COMPONENT, ...} or {run: 7, of: STEP, ...}
 *       - id: again
 *         component: ml_model_service
 *         apply: ml_model_service   # in place of learning; also a map as above
 *
 *       - id: patterns
 *         component: pattern_discovery
 *         optional: true            # left out when the data set has no such rows, here: no item
 *
 * Without `needs` a step takes what its component depends on from the steps before it; `needs: []` takes nothing. */
#ifndef MR_COMMON_PIPELINE_H
#define MR_COMMON_PIPELINE_H

#include "common/given.h"
#include "common/yaml.h"

enum { MR_PIPELINE_STEPS = 64, MR_PIPELINE_OPTIONS = 64, MR_PIPELINE_ROLES = 16, MR_PIPELINE_NAME = 64 };

typedef struct mr_pipeline_edge {
    const char *step;   /* id of a step; NULL: from an earlier run */
    const char *newest; /* of this component over the same data set; NULL: not so */
    uint64_t run;       /* 0: not so; else `of`: number, id or component of a step */
    const char *of;
    const char *artifact; /* NULL: what the component takes by its descriptor */
    bool use_said;
    mr_use use;
    uint32_t place; /* of `step` among the steps, which come in an order that fits the edges */
    unsigned line;
} mr_pipeline_edge;

typedef struct mr_pipeline_pair {
    const char *name, *value;
    unsigned line;
} mr_pipeline_pair;

typedef struct mr_pipeline_step {
    const char *id, *component;
    unsigned line, component_line;
    uint32_t options, edges;
    const mr_pipeline_pair *option;
    bool edges_said, optional; /* optional: left out when the data set lacks a column that it must have */
    mr_pipeline_edge *edge;
} mr_pipeline_step;

typedef struct mr_pipeline {
    const char *file;                   /* what errors call it */
    const char *name, *about, *dataset; /* "" when not said */
    int64_t batch_size, seed;           /* -1 when not said */
    uint32_t roles, steps;
    const mr_pipeline_pair *role;
    mr_pipeline_step *step; /* each behind those that it needs; else as in the file */
} mr_pipeline;

/* Everything lives in the arena. Checks all that needs no knowledge of components: members, their forms, ids, edges, cycles.
 * Errors: E_INVALID "file:line:column: what, what to do"; those of mr_yaml_parse. */
mr_status mr_pipeline_parse(mr_span text, const char *file, mr_arena *arena, mr_pipeline *out, mr_error *err) MR_MUST_CHECK;
mr_status mr_pipeline_read(const char *path, mr_arena *arena, mr_pipeline *out, mr_error *err) MR_MUST_CHECK;

#endif
