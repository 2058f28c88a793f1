/* Any bytes as JSON. The canonical text must read back to the same canonical text, through msgpack too. */
#include "common/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    mr_error err;
    mr_json *v, *again;
    mr_buf once, twice, pack;
    if (mr_json_parse((mr_span){data, size}, 1 << 20, 64, &v, &err) != MR_OK) return 0;
    mr_buf_init(&once, NULL, 1 << 23);
    mr_buf_init(&twice, NULL, 1 << 23);
    mr_buf_init(&pack, NULL, 1 << 23);
    mr_json_dump(v, &once);
    MR_ASSERT(mr_json_parse(mr_buf_span(&once), 1 << 23, 64, &again, &err) == MR_OK);
    mr_json_dump(again, &twice);
    MR_ASSERT(mr_span_eq(mr_buf_span(&once), mr_buf_span(&twice)));
    mr_buf_clear(&twice);
    mr_json_to_pack(v, &pack);
    MR_ASSERT(mr_json_from_pack(mr_buf_span(&pack), &twice, &err) == MR_OK);
    MR_ASSERT(mr_span_eq(mr_buf_span(&once), mr_buf_span(&twice)));
    mr_json_free(&v);
    mr_json_free(&again);
    mr_buf_free(&once);
    mr_buf_free(&twice);
    mr_buf_free(&pack);
    return 0;
}
