/* pg_wire.h: PostgreSQL's binary forms, for pg.c alone: parameters and COPY rows out, results in. */
#ifndef MR_COMMON_PG_WIRE_H
#define MR_COMMON_PG_WIRE_H

#include "common/pg.h"

/* The object id of a parameter type (pg_type.dat; fixed since these types exist). */
unsigned mr_pg_oid(mr_pg_type type);
/* Where the bytes of parameter `i`, which is not null, lie. */
const uint8_t *mr_pg_value(const mr_pg_params *p, unsigned i);
/* One row of a binary COPY. */
void mr_pg_copy_put_row(mr_buf *out, const mr_pg_params *row);

#endif
