/* Any bytes as an envelope, and as the arguments of each command: no crash, no read outside, and what decodes
 * encodes again to bytes that decode to the same. Seeds: tests/fuzz/seeds/wire (made by proto/vectors.py). */
#include "proto/gen/session.h"
#include "proto/gen/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_round_trip(const mr_wire *m, mr_arena *arena) {
    mr_buf first, second;
    mr_wire again;
    mr_buf_init(&first, NULL, MR_WIRE_ENVELOPE_MAX * 2);
    mr_buf_init(&second, NULL, MR_WIRE_ENVELOPE_MAX * 2);
    mr_status status = mr_wire_encode(&first, m);
    MR_ASSERT(status == MR_OK || status == MR_E_LIMIT); /* fields that were left out take room as defaults */
    if (status == MR_OK) {
        MR_ASSERT(mr_wire_decode(mr_buf_span(&first), arena, &again, NULL) == MR_OK);
        MR_ASSERT(mr_wire_encode(&second, &again) == MR_OK);
        MR_ASSERT(mr_span_eq(mr_buf_span(&first), mr_buf_span(&second)));
    }
    mr_buf_free(&first);
    mr_buf_free(&second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    mr_span bytes = {data, size};
    mr_arena *arena = mr_arena_new(NULL, 8 << 20);
    mr_error err = {0};
    mr_wire m;
    MR_ASSERT(arena);
    mr_status status = mr_wire_decode(bytes, arena, &m, &err);
    MR_ASSERT(status == MR_OK || (status == MR_E_PROTOCOL && err.status == status && err.text[0]));
    if (status == MR_OK) check_round_trip(&m, arena);
    for (size_t i = 0; i < MR_COMMAND_COUNT; i++) {
        status = mr_command_check_args(&mr_commands[i], bytes, &err);
        MR_ASSERT(status == MR_OK || status == MR_E_INVALID);
    }
    mr_arena_free(&arena);
    return 0;
}
