/* run_info.h: all that the broker knows of a committed run: read back from its rows, both after planning it and after a
 * restart, so there is one way to know a run. Immutable and counted: the loop and the loader share it. */
#ifndef MR_BROKER_IO_RUN_INFO_H
#define MR_BROKER_IO_RUN_INFO_H

#include "broker/core/core.h"
#include "common/given.h"
#include "common/pg.h"
#include "common/rows.h"

#include <stdatomic.h>

/* What a step is given by another (broker/io/chain.h). */
typedef struct mr_run_input {
    mr_use use;
    const char *component, *artifact;
    uint64_t from_run; /* 0: this run */
    uint32_t from_step;
    bool hashed;
    mr_hash hash;
} mr_run_input;

typedef struct mr_run_info {
    atomic_uint owners;
    mr_arena *arena;
    uint64_t run, version, rows, seed;
    int64_t dataset;
    char dataset_name[MR_NAME_MAX + 1];
    bool is_table;
    bool stream, open;      /* as in mr_run_plan; a stream has no version and no data set */
    mr_table_schema schema; /* of a table */
    mr_bindings bindings;
    uint32_t priority;
    int32_t life; /* how often it was reopened when this was read */
    char client[MR_NAME_MAX + 1];
    uint32_t steps;
    mr_step_plan plan[MR_STEPS_MAX];
    uint32_t columns[MR_STEPS_MAX]; /* what the segments of a step hold */
    mr_span options[MR_STEPS_MAX];  /* msgpack map of option name to text */
    uint32_t inputs[MR_STEPS_MAX];
    const mr_run_input *input[MR_STEPS_MAX];
} mr_run_info;

/* E_NOT_FOUND when there is no such run. */
mr_status mr_run_info_read(mr_pg *pg, uint64_t run, mr_run_info **out, mr_error *err) MR_MUST_CHECK;
mr_run_info *mr_run_info_share(mr_run_info *info);
void mr_run_info_drop(mr_run_info *info);
mr_run_plan mr_run_info_plan(const mr_run_info *info);

/* `columns` of millrace.dataset ([{"name", "type"}, ...]) as a schema in `arena`, and back. */
mr_status mr_schema_from_json(mr_span json, mr_arena *arena, mr_table_schema *out, mr_error *err) MR_MUST_CHECK;
void mr_schema_to_json(mr_table_schema schema, mr_buf *out);

#endif
