/* registry.h: the components that are compiled into this program. */
#ifndef MR_WORKER_CORE_REGISTRY_H
#define MR_WORKER_CORE_REGISTRY_H

#include "worker/component.h"

/* NULL-terminated; the build makes it from the files in worker/learners, worker/analyzers and
 * worker/validators. */
extern const mr_component *const mr_components[];

/* NULL when there is none of that name. */
const mr_component *mr_component_find(const char *name);
/* As find, but E_NOT_FOUND names the nearest component. */
mr_status mr_component_get(const char *name, const mr_component **out, mr_error *err) MR_MUST_CHECK;

/* Words for people and JSON. */
const char *mr_kind_name(mr_kind kind);
const char *mr_shape_name(mr_shape shape);
const char *mr_field_type_name(mr_field_type type);
const char *mr_fold_name(mr_fold fold);

/* ---- configurations: the component's option struct, filled ---- */

/* A new config with every default; free it with mr_config_free. NULL without memory. */
void *mr_config_new(const mr_component *component, const mr_mem *mem);
void mr_config_free(const mr_component *component, const mr_mem *mem, void **config);
/* Sets options from a msgpack map of name to text. Errors: E_USAGE unknown option (with the nearest name),
 * E_INVALID out of bounds, E_PROTOCOL not such a map. */
mr_status mr_config_unpack(const mr_component *component, void *config, mr_span options,
                           mr_error *err) MR_MUST_CHECK;
/* Sets one option; E_USAGE when the component has none of that name. */
mr_status mr_config_set(const mr_component *component, void *config, const char *name, const char *value,
                        mr_error *err) MR_MUST_CHECK;

#endif
