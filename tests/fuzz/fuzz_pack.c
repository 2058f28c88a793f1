/* Any bytes as msgpack: scan, walk with the cursor, and write as JSON. What the scan takes, the cursor must
 * take too. */
#include "common/json.h"
#include "common/pack.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    mr_span bytes = {data, size};
    mr_error err;
    mr_unpack u, value;
    size_t length = 0;
    mr_status scanned = mr_pack_scan(bytes, 32, 100000, &length, &err);
    mr_unpack_init(&u, bytes);
    if (scanned == MR_OK) {
        MR_ASSERT(length <= size);
        MR_ASSERT(mr_unpack_skip(&u, &err) == MR_OK);
        MR_ASSERT((size_t)(u.at - u.start) == length);
        mr_unpack_init(&u, bytes);
        if (mr_unpack_find(&u, "data", &value) == MR_OK) MR_ASSERT(mr_unpack_skip(&value, &err) == MR_OK);
    }
    mr_buf out;
    mr_buf_init(&out, NULL, 1 << 22);
    mr_status status = mr_json_from_pack(bytes, &out, &err);
    mr_json *v = NULL;
    if (status == MR_OK && scanned == MR_OK &&
        mr_json_parse(mr_buf_span(&out), 1 << 22, 64, &v, &err) == MR_OK)
        mr_json_free(&v);
    mr_buf_free(&out);
    return 0;
}
