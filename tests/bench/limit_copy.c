/* limit_copy: what PostgreSQL takes as COPY BINARY of rows (id bigint, body bytea) without an index, one connection.
 * usage: limit_copy DATABASE_URL BYTES ROWS ROWS_A_COMMIT */
#include "tests/bench/limit_pg.h"

#include <stdlib.h>
#include <string.h>

static void write_rows(PGconn *c, long rows, long group, size_t body) {
    copy_rows block;
    uint8_t fill[BODY];
    copy_init(&block, (size_t)group, body);
    for (long at = 0; at < rows; at += group) {
        copy_begin(&block);
        for (long i = at; i < at + group && i < rows; i++) {
            fill_body((uint64_t)i, fill);
            memcpy(copy_row(&block, (uint64_t)i, body), fill, body);
        }
        copy_send(c, "copy bench_rows from stdin (format binary)", &block);
    }
    free(block.bytes);
}

int main(int argc, char **argv) {
    if (argc != 5) die("usage: limit_copy DATABASE_URL BYTES ROWS ROWS_A_COMMIT");
    long body = number_of(argv[2], 4), rows = number_of(argv[3], 1), group = number_of(argv[4], 1);
    if (body > BODY) die("a row has at most %d bytes", BODY);
    PGconn *c = pg_open(argv[1]);
    pg_do(c, "drop table if exists bench_rows");
    pg_do(c, "create table bench_rows (id bigint, body bytea)");
    pg_do(c, "alter table bench_rows alter body set storage plain"); /* in the row: no second table, no compressor */
    pg_do(c, "checkpoint");
    double start = seconds();
    write_rows(c, rows, group, (size_t)body);
    double took = seconds() - start;
    pg_do(c, "drop table bench_rows");
    printf("{\"rate\": %.1f}\n", (double)rows / took);
    PQfinish(c);
}
