#include "tests/bench/limit_pg.h"

#include <stdlib.h>
#include <string.h>

PGconn *pg_open(const char *url) {
    PGconn *c = PQconnectdb(url);
    if (PQstatus(c) != CONNECTION_OK) die("no database: %s", PQerrorMessage(c));
    pg_do(c, "set client_min_messages = warning");
    return c;
}

void pg_do(PGconn *c, const char *sql) {
    PGresult *r = PQexec(c, sql);
    if (PQresultStatus(r) != PGRES_COMMAND_OK && PQresultStatus(r) != PGRES_TUPLES_OK)
        die("%.60s...: %s", sql, PQerrorMessage(c));
    PQclear(r);
}

PGresult *pg_next(PGconn *c, ExecStatusType want) {
    PGresult *r = PQgetResult(c);
    if (PQresultStatus(r) != want)
        die("PostgreSQL: %s, not %s: %s", PQresStatus(PQresultStatus(r)), PQresStatus(want), PQerrorMessage(c));
    return r;
}

void pg_pass(PGconn *c, ExecStatusType want) {
    PQclear(pg_next(c, want));
    if (want != PGRES_PIPELINE_SYNC && PQgetResult(c)) die("a statement gave two results");
}

static const uint8_t head[19] = "PGCOPY\n\377\r\n"; /* the signature's NUL, flags and extension are the zeros */

void copy_init(copy_rows *r, size_t rows, size_t body) {
    r->room = sizeof head + rows * (2 + 4 + 8 + 4 + body) + 2;
    r->bytes = malloc(r->room);
    if (!r->bytes) die("no memory");
}

void copy_begin(copy_rows *r) {
    memcpy(r->bytes, head, sizeof head);
    r->len = sizeof head;
}

uint8_t *copy_row(copy_rows *r, uint64_t id, size_t body) {
    uint8_t *p = r->bytes + r->len;
    r->len += 2 + 4 + 8 + 4 + body;
    if (r->len + 2 > r->room) die("too many rows for one COPY");
    put_u16(p, 2);
    put_u32(p + 2, 8);
    put_u64(p + 6, id);
    put_u32(p + 14, (uint32_t)body);
    return p + 18;
}

void copy_send(PGconn *c, const char *sql, copy_rows *r) {
    put_u16(r->bytes + r->len, 0xFFFF);
    r->len += 2;
    if (!PQsendQuery(c, sql)) die("COPY: %s", PQerrorMessage(c));
    PQclear(pg_next(c, PGRES_COPY_IN));
    if (PQputCopyData(c, (const char *)r->bytes, (int)r->len) != 1 || PQputCopyEnd(c, NULL) != 1)
        die("COPY: %s", PQerrorMessage(c));
    PGresult *done;
    for (PQclear(pg_next(c, PGRES_COMMAND_OK)); (done = PQgetResult(c)); PQclear(done))
        if (PQresultStatus(done) != PGRES_COMMAND_OK) die("COPY: %s", PQerrorMessage(c));
}
