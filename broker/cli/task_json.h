/* task_json.h: a task as one line of JSON:
 *     {"id": "order-7", "features": [[1, 2.5], [3, null]], "names": ["width", "height"], "label": ["a", "b"]}
 * `features` are rows of numbers, `names` what their columns are called; every other member but `id` is a role
 * (common/batch.h) with a list of one text or number a row. null is a missing value. */
#ifndef MR_BROKER_CLI_TASK_JSON_H
#define MR_BROKER_CLI_TASK_JSON_H

#include "common/batch.h"

/* Appends the segment to `body`; `id` is in the arena, empty when there is none. E_INVALID, E_LIMIT: what is wrong with the
 * line; E_MEMORY. */
mr_status mr_task_from_json(mr_span line, mr_arena *arena, mr_buf *body, mr_span *id, mr_error *err) MR_MUST_CHECK;

#endif
