/* Any bytes as a line of `millrace submit`. What is taken must be a segment that the broker takes too. */
#include "broker/cli/task_json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    mr_error err;
    mr_span id;
    mr_buf body;
    uint32_t columns;
    mr_arena *arena = mr_arena_new(NULL, 1 << 24);
    mr_buf_init(&body, NULL, 1 << 24);
    if (arena && mr_task_from_json((mr_span){data, size}, arena, &body, &id, &err) == MR_OK)
        MR_ASSERT(mr_segment_check(mr_buf_span(&body), &columns, &err) == MR_OK);
    mr_buf_free(&body);
    mr_arena_free(&arena);
    return 0;
}
