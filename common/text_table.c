#include "common/text_table.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { TABLE_MAX = 4 * 1024 * 1024 };

/* Code points, which is close enough to columns for a table. */
static size_t text_width(const char *text, size_t n) {
    size_t width = 0;
    for (size_t i = 0; i < n; i++) width += ((uint8_t)text[i] & 0xc0) != 0x80;
    return width;
}

size_t mr_text_cut(const char *text, size_t width) {
    size_t i = 0;
    for (; text[i]; i++)
        if (((uint8_t)text[i] & 0xc0) != 0x80 && width-- == 0) break;
    return i;
}

void mr_text_table_init(mr_text_table *t, const mr_mem *mem, size_t cols) {
    MR_ASSERT(cols > 0 && cols <= MR_TABLE_COLS);
    *t = (mr_text_table){.cols = cols};
    mr_buf_init(&t->cells, mem, TABLE_MAX);
}

void mr_text_table_cell(mr_text_table *t, const char *text) {
    if (!text) text = "";
    size_t col = t->count++ % t->cols, n = strlen(text);
    if (col + 1 < t->cols) n = mr_text_cut(text, MR_TABLE_CELL);
    size_t width = text_width(text, n);
    if (width > t->width[col]) t->width[col] = width;
    mr_buf_put(&t->cells, text, n);
    mr_buf_put(&t->cells, "", 1);
}

static void blanks(mr_buf *out, size_t n) { mr_buf_printf(out, "%*s", (int)n, ""); }

void mr_text_table_end(mr_text_table *t, size_t indent, mr_buf *out) {
    const char *at = (const char *)t->cells.data;
    mr_status s = mr_buf_status(&t->cells);
    size_t count = s == MR_OK ? t->count : 0;
    if (s == MR_E_MEMORY) mr_buf_fail(out, s);
    if (s != MR_OK) mr_buf_text(out, "(the table is too large to print)\n");
    for (size_t i = 0; i < count; i++) {
        size_t col = i % t->cols, n = strlen(at), width = text_width(at, n);
        bool last = col + 1 == t->cols;
        if (col == 0) blanks(out, indent);
        if (t->right[col]) blanks(out, t->width[col] - width);
        mr_buf_put(out, at, n);
        if (!last && !t->right[col]) blanks(out, t->width[col] - width);
        if (!last) blanks(out, 2);
        while (last && out->len && out->data[out->len - 1] == ' ') out->len--;
        if (last) mr_buf_text(out, "\n");
        at += n + 1;
    }
    mr_buf_free(&t->cells);
}

/* A sum of rows never reads 1e+06. */
void mr_text_number(double v, char out[32]) {
    bool whole = fabs(v) < 1e15 && v == floor(v);
    snprintf(out, 32, whole ? "%.0f" : "%.6g", v);
}
