/* intake_store.h: writes the rows of one ingest_rows call in the transaction that is open. */
#ifndef MR_BROKER_IO_INTAKE_STORE_H
#define MR_BROKER_IO_INTAKE_STORE_H

#include "broker/io/intake_rows.h"
#include "broker/io/intake_seen.h"

/* Where the rows go. */
typedef struct mr_intake_target {
    int64_t ingest, dataset;
    bool is_table;
    bool revises; /* known contents with other fields become new revisions */
} mr_intake_target;

/* What became of them. */
typedef struct mr_intake_outcome {
    int64_t stored, updated; /* `stored` counts the updated ones too */
    uint32_t duplicates;
    uint32_t *row; /* of each duplicate its place in the call, ascending */
    int64_t *id;   /* and the row that is there already; 0: another call is storing it right now */
} mr_intake_outcome;

/* Everything in `out` lies in `arena`. `copy` holds the rows as mr_intake_encode wrote them; `params` is scratch; `seen` says
 * what need not be asked for, and learns. With `careful` nothing is assumed about what is there; without, E_EXISTS says that more
 * is than was thought: roll back, and come again, when `seen` was trusted first as before, then with it. */
mr_status mr_intake_store(mr_pg *pg, const mr_intake_target *to, const mr_intake_rows *rows, mr_buf *copy,
                          const char *client, bool careful, mr_seen *seen, mr_pg_params *params, mr_arena *arena,
                          mr_intake_outcome *out, mr_error *err) MR_MUST_CHECK;

/* Keeps the reasons of refused rows: `file`, and of each line and reason. */
mr_status mr_intake_store_rejects(mr_pg *pg, int64_t ingest, size_t n, const mr_span *file, const int64_t *line,
                                  const int32_t *column, const int32_t *status, const mr_span *reason, mr_pg_params *params,
                                  mr_error *err) MR_MUST_CHECK;

#endif
