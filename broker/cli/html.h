/* html.h: the pieces of a self-contained HTML page: escaped text, tables, and plots as inline SVG. No script, no network:
 * the page says so itself in its content security policy. */
#ifndef MR_BROKER_CLI_HTML_H
#define MR_BROKER_CLI_HTML_H

#include "common/buf.h"

void mr_html_begin(mr_buf *out, const char *title);
void mr_html_end(mr_buf *out);
void mr_html_text(mr_buf *out, mr_span text); /* escaped; control characters become blanks */

/* Columns, one for each value, in their order; for at most MR_HTML_BARS of them. */
enum { MR_HTML_BARS = 64 };
void mr_html_columns(mr_buf *out, const double *v, size_t n);
/* How the values are spread: at most 40 bins of equal width between the least and the most; whole numbers of few different
 * values get a bin each. */
void mr_html_histogram(mr_buf *out, const double *v, size_t n);
/* A bar from 0 to 1. */
void mr_html_share(mr_buf *out, double share);
/* Rows by columns as coloured squares, blue below zero, red above; the colours reach to the largest magnitude. */
enum { MR_HTML_CELLS = 4000 };
void mr_html_heat(mr_buf *out, const double *v, size_t rows, size_t cols);

#endif
