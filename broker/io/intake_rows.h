/* intake_rows.h: the rows of one ingest_rows call, decoded, checked and laid out as the columns of an INSERT. */
#ifndef MR_BROKER_IO_INTAKE_ROWS_H
#define MR_BROKER_IO_INTAKE_ROWS_H

#include "common/features.h"
#include "common/hash.h"
#include "common/pg.h"
#include "common/rows.h"

enum { MR_INTAKE_ROWS = 20000 }; /* of one call */

typedef struct mr_intake_reject {
    uint64_t line;
    char reason[256];
} mr_intake_reject;

/* Columns of prompts; of a table only hash, cells and key. Everything lies in the arena. */
typedef struct mr_intake_rows {
    uint32_t count, rejects;
    uint64_t *line; /* of each row, in its file */
    mr_intake_reject *reject;
    mr_span *hash, *prompt, *enhancement, *source, *session, *labels, *metadata, *features; /* prompts */
    bool *no_enhancement, *enhancement_json, *success, *no_success, *no_session, *no_score, *no_labels, *no_metadata, *no_time;
    int32_t *priority;
    double *score;
    int64_t *time_ns;
    bool any_session;
    mr_span *key, *cells; /* tables */
} mr_intake_rows;

/* Bad rows are refused one by one, into `reject`. Errors: E_PROTOCOL the bytes are no rows, E_LIMIT too many, E_MEMORY. */
mr_status mr_intake_prompts(mr_span bytes, uint32_t max_chars, mr_text *text, mr_arena *arena, mr_intake_rows *out,
                            mr_error *err) MR_MUST_CHECK;
mr_status mr_intake_table(mr_span bytes, mr_table_schema schema, mr_span file, mr_arena *arena, mr_intake_rows *out,
                          mr_error *err) MR_MUST_CHECK;
/* Parameters $1 to $13 of the insert. */
void mr_intake_put_prompts(mr_pg_params *p, const mr_intake_rows *rows);

#endif
