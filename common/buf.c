#include "common/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

mr_span mr_span_of(const char *text) { return (mr_span){(const uint8_t *)text, text ? strlen(text) : 0}; }

bool mr_span_eq(mr_span a, mr_span b) { return a.len == b.len && (a.len == 0 || !memcmp(a.data, b.data, a.len)); }

void mr_buf_init(mr_buf *b, const mr_mem *mem, size_t max) { *b = (mr_buf){.mem = mem, .max = max}; }

void mr_buf_free(mr_buf *b) {
    mr_free(b->mem, b->data, b->cap, 1);
    mr_buf_init(b, b->mem, b->max);
}

void mr_buf_clear(mr_buf *b) {
    b->len = 0;
    b->status = MR_OK;
}

void mr_buf_fail(mr_buf *b, mr_status status) {
    if (b->status == MR_OK) b->status = status;
}

mr_status mr_buf_status(const mr_buf *b) { return b->status; }
mr_span mr_buf_span(const mr_buf *b) { return (mr_span){b->data, b->len}; }

static bool reserve(mr_buf *b, size_t n) {
    if (b->status != MR_OK) return false;
    if (n > b->max - b->len) {
        b->status = MR_E_LIMIT;
        return false;
    }
    if (n <= b->cap - b->len) return true;
    size_t cap = b->cap ? b->cap : 256;
    while (cap < b->len + n) cap *= 2;
    if (cap > b->max) cap = b->max;
    uint8_t *fresh = mr_grow_raw(b->mem, b->data, b->cap, cap, 1);
    if (!fresh) {
        b->status = MR_E_MEMORY;
        return false;
    }
    b->data = fresh;
    b->cap = cap;
    return true;
}

uint8_t *mr_buf_extend(mr_buf *b, size_t n) {
    if (!reserve(b, n)) return NULL;
    uint8_t *at = b->data + b->len;
    b->len += n;
    return at;
}

void mr_buf_put(mr_buf *b, const void *bytes, size_t n) {
    if (n == 0) return;
    uint8_t *at = mr_buf_extend(b, n);
    if (at) memcpy(at, bytes, n);
}

void mr_buf_text(mr_buf *b, const char *text) { mr_buf_put(b, text, strlen(text)); }

void mr_buf_printf(mr_buf *b, const char *fmt, ...) {
    va_list args, again;
    va_start(args, fmt);
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, fmt, args);
    if (n > 0 && reserve(b, (size_t)n + 1)) {
        vsnprintf((char *)b->data + b->len, (size_t)n + 1, fmt, again);
        b->len += (size_t)n;
    }
    va_end(again);
    va_end(args);
}

uint8_t *mr_buf_take(mr_buf *b, size_t *len, size_t *cap) {
    uint8_t *data = b->data;
    *len = b->len;
    *cap = b->cap;
    mr_buf_init(b, b->mem, b->max);
    return data;
}

void mr_buf_trim(mr_buf *b) {
    if (b->len == b->cap || !b->len) return;
    uint8_t *less = mr_grow_raw(b->mem, b->data, b->cap, b->len, 1);
    if (!less) return; /* it stays as it was */
    b->data = less;
    b->cap = b->len;
}
