/* Any bytes as a segment. What is read must be written again as a segment that reads the same. */
#include "common/batch.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    mr_error err;
    mr_batch first, second;
    mr_buf once, twice;
    mr_arena *arena = mr_arena_new(NULL, 1 << 24);
    mr_buf_init(&once, NULL, 1 << 24);
    mr_buf_init(&twice, NULL, 1 << 24);
    if (mr_segment_decode((mr_span){data, size}, UINT32_MAX, arena, &first, &err) == MR_OK &&
        mr_segment_encode(&first, &once) == MR_OK &&
        mr_segment_decode(mr_buf_span(&once), UINT32_MAX, arena, &second, &err) == MR_OK) {
        MR_ASSERT(mr_segment_encode(&second, &twice) == MR_OK);
        MR_ASSERT(mr_span_eq(mr_buf_span(&once), mr_buf_span(&twice)));
    }
    mr_buf_free(&once);
    mr_buf_free(&twice);
    mr_arena_free(&arena);
    return 0;
}
