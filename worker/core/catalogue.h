/* catalogue.h: what is compiled in, for people, for programs and for the broker. */
#ifndef MR_WORKER_CORE_CATALOGUE_H
#define MR_WORKER_CORE_CATALOGUE_H

#include "common/show.h"
#include "worker/component.h"

/* The components as one JSON list: name, version, kind, shape, tier, summary, columns, columns_wanted,
 * batch_rows, capabilities, depends_on, options, outputs, deadline_ms, memory_mb, applies. This form is
 * stable; members are only added. `table` is NULL-terminated. */
mr_status mr_catalogue_json(const mr_component *const *table, mr_buf *out, mr_error *err) MR_MUST_CHECK;
/* A line each: name, kind, tier, shape, version, summary. */
void mr_catalogue_table(const mr_component *const *table, mr_buf *out);
/* One component in full: summary, columns, options, outputs. */
void mr_catalogue_describe(const mr_component *component, mr_buf *out);
/* The description that printing results needs; `fields` holds MR_SHOW_FIELDS. Borrows from the component. */
mr_show mr_catalogue_show(const mr_component *component, mr_show_field *fields);

#endif
