/* limit_pg.h: libpq for the programs that show what PostgreSQL alone does. Every error ends the program. */
#ifndef MR_BENCH_LIMIT_PG_H
#define MR_BENCH_LIMIT_PG_H

#include "tests/bench/limit.h"

#include <libpq-fe.h>

PGconn *pg_open(const char *url);
void pg_do(PGconn *c, const char *sql);
/* The next result, which must have this status. The caller clears it. */
PGresult *pg_next(PGconn *c, ExecStatusType want);
/* Reads a result of this status and what stands behind it up to the end of its statement. */
void pg_pass(PGconn *c, ExecStatusType want);

/* ---- COPY BINARY of rows (id bigint, body bytea), built in one buffer and sent whole ---- */
typedef struct copy_rows {
    uint8_t *bytes;
    size_t len, room;
} copy_rows;

void copy_init(copy_rows *r, size_t rows, size_t body);
void copy_begin(copy_rows *r);
/* Room for the body of the next row; the caller fills it. */
uint8_t *copy_row(copy_rows *r, uint64_t id, size_t body);
/* Runs `sql`, whose first statement is the COPY, sends the rows, and waits for all. */
void copy_send(PGconn *c, const char *sql, copy_rows *r);

#endif
