/* buf.h: a view of bytes, and a byte buffer that grows up to a maximum it was born with. */
#ifndef MR_COMMON_BUF_H
#define MR_COMMON_BUF_H

#include "common/mem.h"
#include "common/status.h"

/* Borrowed bytes; not NUL-terminated. */
typedef struct mr_span {
    const uint8_t *data;
    size_t len;
} mr_span;

mr_span mr_span_of(const char *text); /* NULL gives the empty span */
bool mr_span_eq(mr_span a, mr_span b);
#define MR_SPAN_ARG(s) (int)(s).len, (const char *)(s).data /* for "%.*s" */

/* Once a write fails (memory, or past `max`), the buffer stays failed and ignores further writes, so a writer can
 * put many fields and look once, with mr_buf_status. */
typedef struct mr_buf {
    const mr_mem *mem;
    uint8_t *data;
    size_t len, cap, max;
    mr_status status;
} mr_buf;

void mr_buf_init(mr_buf *b, const mr_mem *mem, size_t max);
void mr_buf_free(mr_buf *b);
void mr_buf_clear(mr_buf *b); /* len = 0 and status = OK; keeps the memory */
mr_status mr_buf_status(const mr_buf *b) MR_MUST_CHECK;
/* What was to be put could not be made: remembered like a failed put. MR_OK changes nothing. */
void mr_buf_fail(mr_buf *b, mr_status status);
mr_span mr_buf_span(const mr_buf *b);
void mr_buf_put(mr_buf *b, const void *bytes, size_t n);
void mr_buf_text(mr_buf *b, const char *text);
void mr_buf_printf(mr_buf *b, const char *fmt, ...) MR_PRINTF(2, 3);
/* Makes room for `n` bytes, adds them to len and returns where they start; NULL when failed. */
uint8_t *mr_buf_extend(mr_buf *b, size_t n);
/* Gives the bytes to the caller (free with mr_free(mem, p, cap, 1)); the buffer is empty again. */
uint8_t *mr_buf_take(mr_buf *b, size_t *len, size_t *cap);
/* Gives back the room behind what is in it. */
void mr_buf_trim(mr_buf *b);

#endif
