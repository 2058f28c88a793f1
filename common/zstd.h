/* zstd.h: compression with a bound in both directions. The only file that includes zstd. */
#ifndef MR_COMMON_ZSTD_H
#define MR_COMMON_ZSTD_H

#include "common/buf.h"

/* Appends one frame that states its content size. `level` 1..19. Errors: E_LIMIT, E_MEMORY. */
mr_status mr_zstd_compress(mr_span bytes, int level, mr_buf *out, mr_error *err) MR_MUST_CHECK;

/* Appends what one frame holds. A frame that states no size or more than `max` bytes, or whose content is
 * another size than stated, or with bytes behind it, is refused before that much memory is taken. Errors:
 * E_CORRUPT, E_LIMIT (too large), E_MEMORY. */
mr_status mr_zstd_decompress(mr_span frame, size_t max, mr_buf *out, mr_error *err) MR_MUST_CHECK;

#endif
