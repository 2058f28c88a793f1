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

/* Finds a span among others by its bytes. */
typedef struct mr_intake_index {
    uint32_t *slot; /* place + 1; 0 is empty */
    size_t slots;   /* a power of two */
    uint64_t seed;
} mr_intake_index;

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
    mr_intake_index contents; /* of `hash` */
    uint32_t *first;          /* the first row of the call with the same content */
    mr_span *names;           /* the sessions, each once */
    uint32_t *name;           /* of each row with a session its place in `names` */
    uint32_t name_count;
    mr_intake_index sessions; /* of `names` */
    size_t *copy_at;          /* where each row begins in what mr_intake_encode wrote; one more than rows */
    mr_span *key, *cells; /* tables */
} mr_intake_rows;

/* Bad rows are refused one by one, into `reject`. Errors: E_PROTOCOL the bytes are no rows, E_LIMIT too many, E_MEMORY. */
mr_status mr_intake_prompts(mr_span bytes, uint32_t max_chars, mr_text *text, mr_arena *arena, mr_intake_rows *out,
                            mr_error *err) MR_MUST_CHECK;
mr_status mr_intake_table(mr_span bytes, mr_table_schema schema, mr_span file, mr_arena *arena, mr_intake_rows *out,
                          mr_error *err) MR_MUST_CHECK;
/* The place of `what` in `items`, or UINT32_MAX. */
uint32_t mr_intake_find(const mr_intake_index *index, const mr_span *items, mr_span what);
/* Writes prompts as rows of a binary COPY: created_at, session_id, content_hash, prompt, enhancement, enhancement_json,
 * source, priority, score, success, labels, metadata, features, features_version, ingest_id. A time that the row does not
 * tell, and the id of its session, are zero: 8 bytes at these offsets of the row. Errors: E_LIMIT, E_MEMORY. */
enum { MR_INTAKE_TIME_AT = 2 + 4, MR_INTAKE_SESSION_AT = MR_INTAKE_TIME_AT + 8 + 4 };
mr_status mr_intake_encode(mr_intake_rows *rows, int64_t ingest, mr_buf *copy, mr_error *err) MR_MUST_CHECK;
/* Parameters $1 to $13 of the insert. */
void mr_intake_put_prompts(mr_pg_params *p, const mr_intake_rows *rows);

#endif
