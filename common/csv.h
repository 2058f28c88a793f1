/* csv.h: a streaming reader of CSV and TSV: RFC 4180 quoting, newlines inside quotes, CR LF or LF, a UTF-8
 * byte order mark. Memory is bounded by the longest record that is allowed. It also defines where such
 * readers take bytes from. */
#ifndef MR_COMMON_CSV_H
#define MR_COMMON_CSV_H

#include "common/buf.h"

/* Where a reader of outside files takes its bytes from. `read` gives at least one byte, or *got = 0 at the
 * end. */
typedef struct mr_source {
    mr_status (*read)(void *self, void *to, size_t room, size_t *got, mr_error *err);
    void *self;
} mr_source;

typedef struct mr_source_memory {
    mr_span left;
} mr_source_memory;
mr_source mr_source_from_memory(mr_source_memory *m, mr_span bytes); /* `m` and the bytes are borrowed */
typedef struct mr_source_fd {
    int fd;
} mr_source_fd;
mr_source mr_source_from_fd(mr_source_fd *f, int fd); /* borrowed; E_IO when reading fails */

/* Where in a file something is: both from 1; 0 when not known. Columns count bytes. */
typedef struct mr_where {
    uint64_t line;
    size_t column;
} mr_where;

typedef struct mr_csv mr_csv;
typedef struct mr_csv_options {
    char separator;    /* 0: ',' */
    size_t max_record; /* bytes; 0: 16 MiB */
    size_t max_cells;  /* of a record; 0: 4096 */
} mr_csv_options;

typedef struct mr_csv_cell {
    mr_span text; /* without its quotes */
    mr_where start;
    bool quoted; /* it stood in quotes: when empty it is empty text, not missing */
} mr_csv_cell;

typedef struct mr_csv_record {
    mr_where where; /* where it starts, or what was refused */
    size_t count;
    const mr_csv_cell *cells; /* good until the next call */
} mr_csv_record;

mr_status mr_csv_new(const mr_mem *mem, mr_source source, const mr_csv_options *o,
                     mr_csv **out) MR_MUST_CHECK;
void mr_csv_free(mr_csv **c);

/* The next record; empty lines are passed over. Errors: E_NOT_FOUND the end. E_INVALID (a quote inside a bare
 * cell, which is taken as text in TSV alone; text behind a closing quote; bad UTF-8; a NUL; a quote that is
 * never closed) and E_LIMIT (too long, too many cells): this record is refused, `out->where` says where,
 * reading goes on behind the line where it went wrong; a quote that is never closed takes what follows with
 * it, as nothing tells where it should have ended. E_IO, E_MEMORY: over. */
mr_status mr_csv_next(mr_csv *c, mr_csv_record *out, mr_error *err) MR_MUST_CHECK;

#endif
