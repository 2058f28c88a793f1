/* pg.h: PostgreSQL. The only file that includes libpq. Statements are constants with typed parameters, sent
 * in binary; SQL is never built from values. A connection belongs to one thread at a time. */
#ifndef MR_COMMON_PG_H
#define MR_COMMON_PG_H

#include "common/buf.h"

typedef struct mr_pg mr_pg;
typedef struct pg_result mr_pg_result;

/* ---- connection ---- */
typedef struct mr_pg_options {
    const char *application;     /* application_name; NULL: "millrace" */
    unsigned connect_timeout_ms; /* 0: 5000; rounded up to seconds */
    unsigned reply_timeout_ms; /* longest wait for one reply, then the connection is given up; 0: for ever */
    unsigned statement_timeout_ms; /* the server ends a statement that takes longer; 0: no bound */
    bool plan_once; /* statements are planned once and not again for each set of values, which copies large ones several times */
    bool in_order;  /* rows are read in the order in which they lie: the server need not ask the system for each page beforehand */
    unsigned idle_transaction_ms;  /* the server ends a connection that leaves a transaction lying so long; 0: no bound */
} mr_pg_options;

/* `url`: postgresql://user@host:port/db or "host=... dbname=..."; `options` NULL for the defaults. Keepalives
 * are on; synchronous_commit is on whatever the server's default. Errors: E_UNAVAILABLE not reachable (says
 * host and port), E_DENIED wrong user or password, E_NOT_FOUND no such database, E_INVALID the URL, E_MEMORY.
 * No sentence ever holds the password. */
mr_status mr_pg_connect(const char *url, const mr_pg_options *options, const mr_mem *mem, mr_pg **out,
                        mr_error *err) MR_MUST_CHECK;
void mr_pg_free(mr_pg **pg);
/* Connects again with the same URL and options; prepared statements are forgotten. */
mr_status mr_pg_reconnect(mr_pg *pg, mr_error *err) MR_MUST_CHECK;
/* False once the connection broke; then every call gives E_UNAVAILABLE until mr_pg_reconnect. */
bool mr_pg_alive(const mr_pg *pg);
/* The same, and false also when the server has ended it while it had nothing to do, which else only the next call finds out. */
bool mr_pg_idle_alive(const mr_pg *pg);
/* Another number after each reconnect: what the session had (LISTEN, say) is gone with it. Never 0. */
uint64_t mr_pg_session(const mr_pg *pg);
bool mr_pg_in_transaction(const mr_pg *pg);
int mr_pg_server_version(const mr_pg *pg); /* 150004 is 15.4 */
/* The socket to wait on for notifications, or -1. */
int mr_pg_fd(const mr_pg *pg);
/* "user@host:port/db", without password and options; for logs and errors. */
void mr_pg_describe(const char *url, mr_buf *out);

/* ---- statements ---- */
typedef enum mr_pg_type {
    MR_PG_BOOL,
    MR_PG_INT2,
    MR_PG_INT4,
    MR_PG_INT8,
    MR_PG_FLOAT8,
    MR_PG_TEXT,
    MR_PG_BYTEA,
    MR_PG_JSONB,
    MR_PG_TIME,
    MR_PG_BOOLS,
    MR_PG_INT2S,
    MR_PG_INT4S,
    MR_PG_INT8S,
    MR_PG_FLOAT8S,
    MR_PG_TEXTS,
    MR_PG_BYTEAS,
    MR_PG_JSONBS,
    MR_PG_TIMES
} mr_pg_type; /* TIME is timestamptz; the S ones are one-dimensional arrays, for unnest */

enum { MR_PG_PARAMS = 32 };

/* Prepared on a connection at its first use. `name` is unique in the program and at most 63 bytes. */
typedef struct mr_pg_statement {
    const char *name, *sql;
    unsigned count;
    mr_pg_type types[MR_PG_PARAMS];
} mr_pg_statement;

/* Values for one execution, put in the order $1, $2, ... Their types must be those of the statement (an
 * invariant). A put that fails (memory, size) is remembered and comes out of the execution. */
typedef struct mr_pg_params {
    mr_buf bytes;
    unsigned count;
    struct {
        mr_pg_type type;
        bool null;
        size_t at, len;
        const uint8_t *lent; /* the value, when it is not in `bytes` */
    } at[MR_PG_PARAMS];
} mr_pg_params;

void mr_pg_params_init(mr_pg_params *p, const mr_mem *mem, size_t max_bytes);
void mr_pg_params_clear(mr_pg_params *p); /* for the next execution; keeps the memory */
void mr_pg_params_free(mr_pg_params *p);

void mr_pg_put_null(mr_pg_params *p, mr_pg_type type);
void mr_pg_put_bool(mr_pg_params *p, bool v);
void mr_pg_put_int2(mr_pg_params *p, int16_t v);
void mr_pg_put_int4(mr_pg_params *p, int32_t v);
void mr_pg_put_int8(mr_pg_params *p, int64_t v);
void mr_pg_put_float8(mr_pg_params *p, double v);
void mr_pg_put_text(mr_pg_params *p, const char *text); /* NULL is null */
void mr_pg_put_str(mr_pg_params *p, mr_span v);
void mr_pg_put_bytea(mr_pg_params *p, mr_span v);
void mr_pg_lend_bytea(mr_pg_params *p, mr_span v); /* without a copy: the bytes must stay until it is sent */
void mr_pg_put_jsonb(mr_pg_params *p, mr_span json);
void mr_pg_put_time(mr_pg_params *p, int64_t wall_ns);
/* Arrays of n items. `null` (n flags, or NULL for none) marks null items. */
void mr_pg_put_bools(mr_pg_params *p, const bool *v, const bool *null, size_t n);
void mr_pg_put_int2s(mr_pg_params *p, const int16_t *v, const bool *null, size_t n);
void mr_pg_put_int4s(mr_pg_params *p, const int32_t *v, const bool *null, size_t n);
void mr_pg_put_int8s(mr_pg_params *p, const int64_t *v, const bool *null, size_t n);
void mr_pg_put_float8s(mr_pg_params *p, const double *v, const bool *null, size_t n);
void mr_pg_put_times(mr_pg_params *p, const int64_t *wall_ns, const bool *null, size_t n);
void mr_pg_put_texts(mr_pg_params *p, const mr_span *v, const bool *null, size_t n);
void mr_pg_put_byteas(mr_pg_params *p, const mr_span *v, const bool *null, size_t n);
void mr_pg_put_jsonbs(mr_pg_params *p, const mr_span *v, const bool *null, size_t n);

/* Runs a statement and waits. `params` NULL when it has none; `out` NULL when the rows do not matter.
 * Errors, by SQLSTATE: E_UNAVAILABLE connection lost, server stopping, too many clients, disk full; E_EXISTS
 * unique violation; E_CONFLICT other constraint, serialization failure or deadlock (see mr_pg_retryable);
 * E_CANCELLED statement timeout; E_DENIED; E_NOT_FOUND table or column missing ("run millrace migrate up");
 * E_INVALID a value; E_TIMEOUT no reply in time (the connection is given up); E_INTERNAL the rest. The
 * sentence names the statement. */
mr_status mr_pg_exec(mr_pg *pg, const mr_pg_statement *st, const mr_pg_params *params, mr_pg_result **out,
                     mr_error *err) MR_MUST_CHECK;
/* Constant SQL without parameters, several statements at once if need be: migrations, SET, LISTEN. */
mr_status mr_pg_run(mr_pg *pg, const char *sql, mr_error *err) MR_MUST_CHECK;
/* Prepares now, so that a later use costs one round trip. */
mr_status mr_pg_prepare(mr_pg *pg, const mr_pg_statement *st, mr_error *err) MR_MUST_CHECK;
/* The SQLSTATE of the last failed call, "" when there is none. */
const char *mr_pg_sqlstate(const mr_pg *pg);
/* True when the last failed call may succeed when its whole transaction is run again (40001, 40P01). */
bool mr_pg_retryable(const mr_pg *pg);

/* The text of the next notification of a channel that is listened to (LISTEN by mr_pg_run), cut at `size`; *got is false
 * when there is none. Never waits. */
mr_status mr_pg_notified(mr_pg *pg, char *text, size_t size, bool *got, mr_error *err) MR_MUST_CHECK;

/* ---- transactions ---- */
typedef enum mr_pg_outcome {
    MR_PG_COMMITTED,
    MR_PG_ROLLED_BACK,
    MR_PG_UNKNOWN /* the connection broke inside COMMIT: read back what is there */
} mr_pg_outcome;

mr_status mr_pg_begin(mr_pg *pg, mr_error *err) MR_MUST_CHECK;
/* MR_OK only with MR_PG_COMMITTED. `outcome` is always set. */
mr_status mr_pg_commit(mr_pg *pg, mr_pg_outcome *outcome, mr_error *err) MR_MUST_CHECK;
/* Safe in every state, also without a transaction and on a broken connection. */
void mr_pg_rollback(mr_pg *pg);

/* ---- results ---- */
void mr_pg_result_free(mr_pg_result **r);
uint32_t mr_pg_rows(const mr_pg_result *r);
/* Rows that an INSERT, UPDATE, DELETE or COPY changed. */
uint64_t mr_pg_changed(const mr_pg_result *r);

/* One row. The getters remember the first failure (no such column, NULL where none is expected, another
 * type), give 0 or the empty span from then on, and mr_pg_row_status tells. Spans are borrowed from the
 * result. */
typedef struct mr_pg_row {
    const mr_pg_result *result;
    uint32_t row;
    mr_error error;
} mr_pg_row;

mr_pg_row mr_pg_row_at(const mr_pg_result *r, uint32_t row);
bool mr_pg_is_null(mr_pg_row *row, unsigned column);
int64_t mr_pg_int(mr_pg_row *row, unsigned column);  /* int2, int4, int8 */
double mr_pg_float(mr_pg_row *row, unsigned column); /* float4, float8 */
bool mr_pg_bool(mr_pg_row *row, unsigned column);
mr_span mr_pg_text(mr_pg_row *row, unsigned column); /* text, name, json, jsonb ...; null gives empty */
mr_span mr_pg_bytea(mr_pg_row *row, unsigned column); /* null gives empty */
int64_t mr_pg_time(mr_pg_row *row, unsigned column);  /* timestamptz, as nanoseconds since 1970 */
/* The items of an int8 array without nulls, at most `max`, into `out`; returns how many. */
size_t mr_pg_int8s(mr_pg_row *row, unsigned column, int64_t *out, size_t max);
mr_status mr_pg_row_status(const mr_pg_row *row, mr_error *err) MR_MUST_CHECK;

/* ---- large results, row by row: memory stays at one row ---- */
mr_status mr_pg_stream(mr_pg *pg, const mr_pg_statement *st, const mr_pg_params *params,
                       mr_error *err) MR_MUST_CHECK;
/* A result of one row, to be freed; *out is NULL at the end. */
mr_status mr_pg_stream_next(mr_pg *pg, mr_pg_result **out, mr_error *err) MR_MUST_CHECK;
/* Leaves before the end: cancels the statement and reads off what is on the way. Also fine at the end. */
void mr_pg_stream_end(mr_pg *pg);

/* ---- pipeline: many statements, one round trip ---- */
/* Between begin and end only send, flush, sync and next may be called. Statements must have been prepared
 * (E_CONFLICT else). */
mr_status mr_pg_pipeline_begin(mr_pg *pg, mr_error *err) MR_MUST_CHECK;
mr_status mr_pg_pipeline_send(mr_pg *pg, const mr_pg_statement *st, const mr_pg_params *params,
                              mr_error *err) MR_MUST_CHECK;
/* The server begins with what was sent so far, before the group ends. */
mr_status mr_pg_pipeline_flush(mr_pg *pg, mr_error *err) MR_MUST_CHECK;
/* Ends a group: what is between two syncs is one transaction, unless BEGIN was sent. */
mr_status mr_pg_pipeline_sync(mr_pg *pg, mr_error *err) MR_MUST_CHECK;
/* The result of the next statement in order (`out` may be NULL); after the last one of a group *synced is
 * true and *out is NULL. After a failure the rest of its group gives E_CANCELLED. */
mr_status mr_pg_pipeline_next(mr_pg *pg, mr_pg_result **out, bool *synced, mr_error *err) MR_MUST_CHECK;
/* All results must have been read; else the connection is given up. */
mr_status mr_pg_pipeline_end(mr_pg *pg, mr_error *err) MR_MUST_CHECK;
/* Takes the result of a pipeline's n-th statement, from 0, which is freed behind it. */
typedef void mr_pg_take(void *context, size_t n, const mr_pg_result *result);
/* Reads what one group answers and ends the pipeline; `take` (NULL: nobody) gets the results of statements that succeeded. The
 * first error is that of all. When sending it failed, which `sent` says, nothing is read and that is the error. */
mr_status mr_pg_pipeline_finish(mr_pg *pg, mr_status sent, mr_pg_take *take, void *context, mr_error *err) MR_MUST_CHECK;

/* ---- COPY IN, binary ---- */
/* `sql` is "COPY table (columns) FROM STDIN (FORMAT binary)". */
mr_status mr_pg_copy_begin(mr_pg *pg, const char *sql, mr_error *err) MR_MUST_CHECK;
/* One row: the params in the order of the columns. */
mr_status mr_pg_copy_row(mr_pg *pg, const mr_pg_params *row, mr_error *err) MR_MUST_CHECK;
/* The same for many rows, written straight into a buffer: for each the number of its columns, then a cell for each column,
 * in their order. `rows` stays as it is; E_MEMORY or E_LIMIT when it has failed. */
void mr_pg_cells(mr_buf *rows, unsigned columns);
void mr_pg_cell_bool(mr_buf *rows, bool v);
void mr_pg_cell_int2(mr_buf *rows, int16_t v);
void mr_pg_cell_int4(mr_buf *rows, int32_t v);
void mr_pg_cell_int8(mr_buf *rows, int64_t v);
void mr_pg_cell_float8(mr_buf *rows, double v);
void mr_pg_cell_time(mr_buf *rows, int64_t wall_ns);
void mr_pg_cell_bytes(mr_buf *rows, mr_span v); /* text and bytea */
void mr_pg_cell_jsonb(mr_buf *rows, mr_span json);
void mr_pg_cell_null(mr_buf *rows);
mr_status mr_pg_copy_rows(mr_pg *pg, const mr_buf *rows, mr_error *err) MR_MUST_CHECK;
/* A part of them: whole rows of a buffer that has not failed. */
mr_status mr_pg_copy_part(mr_pg *pg, mr_span rows, mr_error *err) MR_MUST_CHECK;
mr_status mr_pg_copy_end(mr_pg *pg, uint64_t *rows, mr_error *err) MR_MUST_CHECK;
void mr_pg_copy_abort(mr_pg *pg);

#endif
