/* rows.h: rows of outside files as typed columns: what `millrace ingest --table` streams and `millrace try`
 * holds in memory, their form on the wire, and how columns are bound to the roles of mr_batch. */
#ifndef MR_COMMON_ROWS_H
#define MR_COMMON_ROWS_H

#include "common/batch.h"
#include "common/csv.h"
#include "common/pack.h"
#include "common/prompt.h"

/* ---- columns and cells ---- */

typedef enum mr_cell_type {
    MR_CELL_NUMBER,
    MR_CELL_INTEGER,
    MR_CELL_BOOLEAN,
    MR_CELL_TEXT,
    MR_CELL_TIME,
    MR_CELL_TYPES
} mr_cell_type;
extern const char *const mr_cell_types[]; /* "number", "integer", "boolean", "text", "time", NULL */

enum { MR_TABLE_COLUMNS = 1024, MR_TABLE_NAME = 128, MR_TABLE_TEXT = 1024 * 1024 };

typedef struct mr_table_column {
    char name[MR_TABLE_NAME];
    mr_cell_type type;
} mr_table_column;

typedef struct mr_table_schema {
    uint32_t count;
    const mr_table_column *columns; /* borrowed */
} mr_table_schema;

typedef struct mr_cell {
    bool missing; /* then the value is zero, and NaN as a number */
    union {
        double number;
        int64_t integer, time_us; /* microseconds since 1970 UTC */
        bool boolean;
        mr_span text; /* borrowed */
    } as;
} mr_cell;

/* "a=number,b=text": declared types. Errors: E_USAGE unknown type (with the nearest), no '=', too many. */
typedef struct mr_table_types {
    size_t count;
    mr_table_column items[64];
} mr_table_types;
mr_status mr_table_types_parse(mr_table_types *t, const char *text, mr_error *err) MR_MUST_CHECK;

/* ---- streaming ---- */

typedef enum mr_table_format { MR_TABLE_AUTO, MR_TABLE_CSV, MR_TABLE_TSV, MR_TABLE_JSONL } mr_table_format;

typedef struct mr_table_options {
    /* AUTO: by the name's end (.csv .tsv .tab .jsonl .ndjson), else by the first line */
    mr_table_format format;
    const mr_table_types *types; /* NULL: all are inferred */
    size_t max_record;           /* bytes of one row; 0: 16 MiB */
} mr_table_options;

/* A file that is read twice: first to find the columns and infer their types (the narrowest of integer,
 * number, boolean, time, text that every non-empty cell fits; a column without values is text), then row by
 * row. Declared types are not inferred. Numbers are read as strtod does in the C locale; "nan", "inf" and
 * hexadecimal are text, and refused in a column that is declared a number. Booleans: true false (any case); 0
 * and 1 are integers. Times as in mr_time_parse. */
typedef struct mr_table mr_table;
/* Errors: E_NOT_FOUND, E_IO, E_INVALID (no header, empty or repeated column name, a declared column that is
 * not there, not a regular file), E_LIMIT, E_MEMORY. */
mr_status mr_table_open(const mr_mem *mem, const char *path, const mr_table_options *o, mr_table **out,
                        mr_error *err) MR_MUST_CHECK;
/* The same over bytes in memory, which are borrowed. `name` is for messages and for AUTO. */
mr_status mr_table_open_memory(const mr_mem *mem, const char *name, mr_span bytes, const mr_table_options *o,
                               mr_table **out, mr_error *err) MR_MUST_CHECK;
mr_table_schema mr_table_schema_of(const mr_table *t);
/* The next row: schema.count cells, good until the next call. E_NOT_FOUND: the end. E_INVALID and E_LIMIT:
 * this row is refused (`err` is the reason without the place, `where` the place) and the next call goes on.
 * Others: over. */
mr_status mr_table_next(mr_table *t, const mr_cell **cells, mr_where *where, mr_error *err) MR_MUST_CHECK;
void mr_table_close(mr_table **t);

/* ---- the wire ---- */

/* Schema: array of [name, type number]. Row: array of typed values, nil for missing; booleans as msgpack
 * booleans, times as microseconds. Unpacking checks types and lengths against the schema, UTF-8 and NUL in
 * text; text is borrowed from the bytes, `cells` holds schema.count. Errors: E_PROTOCOL broken msgpack;
 * E_INVALID a bad value (names column). */
void mr_table_schema_pack(mr_buf *b, mr_table_schema s);
mr_status mr_table_schema_unpack(mr_unpack *u, mr_arena *arena, mr_table_schema *out,
                                 mr_error *err) MR_MUST_CHECK;
void mr_table_row_pack(mr_buf *b, mr_table_schema s, const mr_cell *cells);
mr_status mr_table_row_unpack(mr_unpack *u, mr_table_schema s, mr_cell *cells, mr_error *err) MR_MUST_CHECK;

/* ---- roles ---- */

enum { MR_BINDINGS_MAX = 16 };
typedef struct mr_binding {
    const mr_column_row *role;
    char column[MR_TABLE_NAME]; /* empty: bound to nothing */
} mr_binding;
typedef struct mr_bindings {
    size_t count;
    mr_binding items[MR_BINDINGS_MAX];
} mr_bindings;

/* Adds "label=target time=when" (blanks or commas between) to `b`. A column's name may hold blanks, not
 * commas. Errors: E_USAGE unknown role (with the nearest), a role twice, no '='. */
mr_status mr_bindings_parse(mr_bindings *b, const char *text, mr_error *err) MR_MUST_CHECK;

/* Table rows as a batch. A role that is not bound takes the column of its own name, when there is one of a
 * type that fits ("label=" keeps it from that); features are all other number, integer and boolean columns in
 * file order. A text role takes any type (numbers as their shortest text); a number role takes number,
 * integer, boolean, and time takes also time columns. So what is a feature does not depend on which component
 * asks. `columns` are the bits that are wanted; what is not there stays NULL and its bit unset. `cells` are
 * rows x schema.count. Everything new is in `arena`; text is borrowed from the cells. Errors: E_INVALID a
 * bound column that is not there (with the nearest) or of the wrong type; E_MEMORY. */
mr_status mr_table_batch(mr_table_schema s, const mr_cell *cells, uint32_t rows, uint64_t first,
                         const mr_bindings *b, uint32_t columns, mr_arena *arena, mr_batch *out,
                         mr_error *err) MR_MUST_CHECK;

/* Prompt rows as a batch: prompt, enhancement, session, labels, score, success, the time of creation, and the
 * features (rows x 31; NULL leaves them out). `label` is by default the label named "label", or the only
 * label of a row; treatment, outcome and item are absent by default. A binding can name labels.X, metadata.X,
 * score, success, priority, source, created_at or a feature. Errors: E_INVALID a bound name that a prompt
 * does not have (with the nearest); E_MEMORY. */
mr_status mr_prompt_batch(const mr_prompt *prompts, const float *features, uint32_t rows, uint64_t first,
                          const mr_bindings *b, uint32_t columns, mr_arena *arena, mr_batch *out,
                          mr_error *err) MR_MUST_CHECK;

/* ---- rows in memory, for `try` and for the examples of components ---- */

typedef struct mr_rows mr_rows;
typedef struct mr_rows_options {
    mr_table_options table;
    const mr_prompt_map *map; /* for prompt rows */
    uint32_t max_chars;       /* of a prompt; 0: MR_PROMPT_CHARS */
    uint32_t max_rows;        /* 0: 10 million */
    size_t max_bytes;         /* 0: 4 GiB */
    /* Called for each row that is refused; may be NULL, then refused rows are only counted. */
    void (*refused)(void *self, const mr_where *where, const mr_error *why);
    void *self;
} mr_rows_options;

/* JSONL whose first row has the key "prompt" (or whose map has it) holds prompts, and everything else is a
 * table. Errors: as mr_table_open; E_LIMIT too many rows or bytes; E_INVALID no row is good. `o` may be NULL.
 */
mr_status mr_rows_load(const mr_mem *mem, const char *path, const mr_rows_options *o, mr_rows **out,
                       mr_error *err) MR_MUST_CHECK;
mr_status mr_rows_load_memory(const mr_mem *mem, const char *name, mr_span bytes, const mr_rows_options *o,
                              mr_rows **out, mr_error *err) MR_MUST_CHECK;
bool mr_rows_are_prompts(const mr_rows *r);
uint32_t mr_rows_count(const mr_rows *r);
uint64_t mr_rows_refused(const mr_rows *r);
mr_table_schema mr_rows_schema(const mr_rows *r); /* count 0 for prompts */
const mr_prompt *mr_rows_prompt(const mr_rows *r, uint32_t i);
void mr_rows_free(mr_rows **r);

/* Rows `first` .. `first + rows - 1` as a batch (MR_ASSERT: they exist). `b` may be NULL. The batch borrows
 * from `r` and from `arena`. */
mr_status mr_rows_batch(const mr_rows *r, uint32_t first, uint32_t rows, const mr_bindings *b,
                        uint32_t columns, mr_arena *arena, mr_batch *out, mr_error *err) MR_MUST_CHECK;

#endif
