/* text_table.h: a table of text cells for people: cells are gathered first, then printed with aligned columns. */
#ifndef MR_COMMON_TEXT_TABLE_H
#define MR_COMMON_TEXT_TABLE_H

#include "common/buf.h"

enum { MR_TABLE_COLS = 12, MR_TABLE_CELL = 72 };
typedef struct mr_text_table {
    mr_buf cells; /* NUL-terminated texts, row by row */
    size_t cols, count;
    size_t width[MR_TABLE_COLS];
    bool right[MR_TABLE_COLS]; /* right-aligned */
} mr_text_table;

void mr_text_table_init(mr_text_table *t, const mr_mem *mem, size_t cols);
/* The next cell, from left to right; NULL is empty. What is wider than MR_TABLE_CELL is cut, but in the last
 * column. */
void mr_text_table_cell(mr_text_table *t, const char *text);
/* Prints with `indent` blanks before each row and frees the table. */
void mr_text_table_end(mr_text_table *t, size_t indent, mr_buf *out);

/* The bytes that the first `width` code points of a NUL-terminated text take. */
size_t mr_text_cut(const char *text, size_t width);
/* A number for people: whole ones in full, others to six digits. */
void mr_text_number(double v, char out[32]);

#endif
