/* batch.h: the rows that a component sees, and the segment: the same rows as bytes. A segment is built once for a
 * range of a version, for all the components of a run and all workers, and is named by the hash of its bytes. */
#ifndef MR_COMMON_BATCH_H
#define MR_COMMON_BATCH_H

#include "common/buf.h"

/* Which columns a component needs, by role. A run binds roles to the columns of its data set: prompts have all of
 * them by nature; in a table, `--role label=target` names the column, and `features` are all other number columns. */
enum mr_column {
    MR_COL_FEATURES = 1 << 0,    /* features: rows x width float64 */
    MR_COL_PROMPT = 1 << 1,      /* prompt: text */
    MR_COL_ENHANCEMENT = 1 << 2, /* enhancement: text, empty when absent */
    MR_COL_SESSION = 1 << 3,     /* session: name, empty when absent */
    MR_COL_LABEL = 1 << 4,       /* label: text, empty when absent; numbers as their shortest text */
    MR_COL_LABELS = 1 << 5,      /* labels: the row's labels as one JSON object, empty when absent */
    MR_COL_SCORE = 1 << 6,       /* score: 0..1, NaN when absent */
    MR_COL_SUCCESS = 1 << 7,     /* success: 1, 0, or NaN when absent */
    MR_COL_TREATMENT = 1 << 8,   /* treatment: number, NaN when absent */
    MR_COL_OUTCOME = 1 << 9,     /* outcome: number, NaN when absent */
    MR_COL_TIME = 1 << 10,       /* time: seconds since 1970 UTC, NaN when absent */
    MR_COL_ITEM = 1 << 11        /* item: text */
};
enum { MR_TEXT_COLUMNS = 6, MR_NUMBER_COLUMNS = 5 };

/* A column's role: its name on the command line and where it lies in mr_batch. */
typedef struct mr_column_row {
    const char *name;
    uint32_t column;    /* one bit of enum mr_column */
    bool is_text;       /* else number */
    uint8_t slot;       /* index in mr_batch.text or .number */
} mr_column_row;
extern const mr_column_row mr_column_rows[]; /* ends with name == NULL; features is not in it */
/* NULL when there is no such role. */
const mr_column_row *mr_column_named(const char *name);
/* The name of a role that is among `columns`, which are not none. */
const char *mr_column_first(uint32_t columns);

/* Rows first .. first + rows - 1 of a version. Everything is borrowed from the arena it was decoded into.
 * Columns that the segment does not hold are NULL. */
typedef struct mr_batch {
    uint64_t first;              /* the first row's position in the version */
    uint32_t rows;
    uint32_t columns;            /* bits of enum mr_column: what is here */
    uint32_t width;              /* number of features */
    const double *features;      /* rows x width, row-major; NaN = missing */
    const char *const *feature_names;       /* width names */
    const mr_span *text[MR_TEXT_COLUMNS];   /* each: rows spans, by slot */
    const double *number[MR_NUMBER_COLUMNS]; /* each: rows numbers, by slot */
} mr_batch;

/* Slots, so that components write batch->text[MR_TEXT_PROMPT][i]. */
enum { MR_TEXT_PROMPT, MR_TEXT_ENHANCEMENT, MR_TEXT_SESSION, MR_TEXT_LABEL, MR_TEXT_LABELS, MR_TEXT_ITEM };
enum { MR_NUM_SCORE, MR_NUM_SUCCESS, MR_NUM_TREATMENT, MR_NUM_OUTCOME, MR_NUM_TIME };

/* Segment bytes: msgpack [magic "MRS1", first, rows, columns, width, [feature names], [blocks]], a block for each
 * column in the order of its bit: features as one binary of float32 or float64 (float32 when every value survives it),
 * text as a binary of u32 ends and then the bytes, numbers as one binary of float64. All little-endian. */
mr_status mr_segment_encode(const mr_batch *batch, mr_buf *out) MR_MUST_CHECK;

/* Checks everything (sizes, counts, UTF-8 is not checked again) before it allocates. Only the columns in `wanted` are
 * decoded. Errors: E_CORRUPT with what and where, E_MEMORY. */
mr_status mr_segment_decode(mr_span bytes, uint32_t wanted, mr_arena *arena, mr_batch *out, mr_error *err) MR_MUST_CHECK;

/* The same checks without decoding: is it a whole segment, and which columns (bits of enum mr_column) does it hold? */
mr_status mr_segment_check(mr_span bytes, uint32_t *columns, mr_error *err) MR_MUST_CHECK;
/* The bytes of a segment that holds one matrix of float32 and nothing else, without the matrix: put them before its
 * rows x width little-endian numbers, row-major. E_LIMIT when a segment cannot be so large. */
mr_status mr_segment_matrix(uint32_t rows, uint32_t width, mr_buf *out) MR_MUST_CHECK;
/* What mr_segment_encode makes of a batch whose features are these float32 and that has no other column. */
mr_status mr_segment_floats(uint64_t first, uint32_t rows, uint32_t width, const char *const *names, const float *features,
                            mr_buf *out) MR_MUST_CHECK;

/* The feature names of the segment before: those of one step are all the same. */
typedef struct mr_segment_names {
    mr_arena *arena; /* the caller's, for these alone */
    mr_span bytes;
    uint32_t width;
    const char *const *list;
} mr_segment_names;

/* As mr_segment_decode, with names borrowed from `known` until its next use. */
mr_status mr_segment_decode_like(mr_span bytes, uint32_t wanted, mr_segment_names *known, mr_arena *arena, mr_batch *out,
                                 mr_error *err) MR_MUST_CHECK;

#endif
