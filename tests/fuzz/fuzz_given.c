/* Any bytes as an input with what other steps gave. What is taken off must be the same when it is wrapped again. */
#include "common/given.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    mr_error err;
    mr_span input, again;
    mr_given items[MR_GIVENS], twice[MR_GIVENS];
    uint32_t count, same;
    mr_arena *arena = mr_arena_new(NULL, 1 << 24);
    mr_buf b;
    mr_buf_init(&b, NULL, 1 << 24);
    if (mr_given_unwrap((mr_span){data, size}, arena, &input, items, &count, &err) == MR_OK && count &&
        mr_given_wrap(input, items, count, &b) == MR_OK) {
        MR_ASSERT(mr_given_unwrap(mr_buf_span(&b), arena, &again, twice, &same, &err) == MR_OK);
        MR_ASSERT(same == count && mr_span_eq(input, again));
        for (uint32_t i = 0; i < count; i++) MR_ASSERT(mr_span_eq(items[i].bytes, twice[i].bytes) && items[i].use == twice[i].use);
    }
    mr_buf_free(&b);
    mr_arena_free(&arena);
    return 0;
}
