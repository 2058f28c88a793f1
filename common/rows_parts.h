/* rows_parts.h: what the rows_*.c files share. */
#ifndef MR_COMMON_ROWS_PARTS_H
#define MR_COMMON_ROWS_PARTS_H

#include "common/jsonl.h"
#include "common/rows.h"

/* Bits 1 << mr_cell_type: the types that a value fits; every value fits text. */
unsigned mr_cell_fits_text(mr_span text, bool quoted);
unsigned mr_cell_fits_json(const mr_jsonl_member *m);
/* A value that its column's type refuses gives E_INVALID, with the value's beginning. Text is borrowed; a
 * value that has to be written as text is put into `arena`. */
mr_status mr_cell_from_text(mr_span text, bool quoted, const mr_table_column *column, mr_cell *out,
                            mr_error *err) MR_MUST_CHECK;
mr_status mr_cell_from_json(const mr_jsonl_member *m, const mr_table_column *column, mr_arena *arena,
                            mr_cell *out, mr_error *err) MR_MUST_CHECK;
/* The cell as text: numbers in their shortest form, times as mr_time_format; empty when missing. */
mr_status mr_cell_text(const mr_cell *cell, mr_cell_type type, mr_arena *arena, mr_span *out,
                       mr_error *err) MR_MUST_CHECK;
/* Number, integer and boolean as a number, a time as seconds; NaN when missing or text. */
double mr_cell_number(const mr_cell *cell, mr_cell_type type);

#endif
