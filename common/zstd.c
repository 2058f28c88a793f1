#include "common/zstd.h"

#include <zstd.h>
#include <zstd_errors.h>

static mr_status failed(size_t code, mr_status other, const char *what, mr_error *err) {
    mr_status status = ZSTD_getErrorCode(code) == ZSTD_error_memory_allocation ? MR_E_MEMORY : other;
    return mr_fail(err, status, "zstd: cannot %s: %s", what, ZSTD_getErrorName(code));
}

/* Room for n bytes at the end of `out`, without counting them yet. */
static uint8_t *room(mr_buf *out, size_t n, mr_error *err) {
    uint8_t *at = mr_buf_extend(out, n);
    if (at)
        out->len -= n;
    else
        mr_fail_text(err, out->status, "zstd: no room for %zu bytes", n);
    return at;
}

mr_status mr_zstd_compress(mr_span bytes, int level, mr_buf *out, mr_error *err) {
    size_t bound = ZSTD_compressBound(bytes.len);
    uint8_t *at = room(out, bound, err);
    if (!at) return mr_buf_status(out);
    size_t n = ZSTD_compress(at, bound, bytes.data, bytes.len, level);
    if (ZSTD_isError(n)) return failed(n, MR_E_INTERNAL, "compress", err);
    out->len += n;
    return MR_OK;
}

mr_status mr_zstd_decompress(mr_span frame, size_t max, mr_buf *out, mr_error *err) {
    unsigned long long size = ZSTD_getFrameContentSize(frame.data, frame.len);
    if (size == ZSTD_CONTENTSIZE_ERROR) return mr_fail(err, MR_E_CORRUPT, "zstd: not a frame");
    if (size == ZSTD_CONTENTSIZE_UNKNOWN) return mr_fail(err, MR_E_CORRUPT, "zstd: the frame states no size");
    if (size > max)
        return mr_fail(err, MR_E_LIMIT, "zstd: the frame states %llu bytes, at most %zu are allowed", size,
                       max);
    size_t length = ZSTD_findFrameCompressedSize(frame.data, frame.len);
    if (ZSTD_isError(length)) return failed(length, MR_E_CORRUPT, "read the frame", err);
    if (length != frame.len)
        return mr_fail(err, MR_E_CORRUPT, "zstd: %zu bytes behind the frame", frame.len - length);
    if (size == 0) return MR_OK;
    uint8_t *at = room(out, (size_t)size, err);
    if (!at) return mr_buf_status(out);
    size_t n = ZSTD_decompress(at, (size_t)size, frame.data, frame.len);
    if (ZSTD_isError(n)) return failed(n, MR_E_CORRUPT, "decompress", err);
    if (n != size)
        return mr_fail(err, MR_E_CORRUPT, "zstd: the frame holds %zu bytes and states %llu", n, size);
    out->len += n;
    return MR_OK;
}
