/* Any bytes as a list of admitted keys, and as a request to the gate: no crash, and nothing comes in but the one key in
 * the one form. */
#include "common/zap.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const mr_key good = {{'g', 'o', 'o', 'd'}};

static bool admit(void *self, mr_span domain, const mr_key *key, mr_span address) {
    (void)self;
    (void)domain;
    (void)address;
    return mr_hash_eq(key, &good);
}

/* Cuts the bytes into frames: a byte of length before each. */
static size_t cut(const uint8_t *data, size_t size, mr_span *frames, size_t most) {
    size_t n = 0;
    for (size_t at = 0; at < size && n < most; n++) {
        size_t len = data[at] < size - at - 1 ? data[at] : size - at - 1;
        frames[n] = (mr_span){data + at + 1, len};
        at += 1 + len;
    }
    return n;
}

static void check_gate(const uint8_t *data, size_t size) {
    mr_span frames[MR_ZAP_FRAMES + 2];
    mr_zap_gate gate = {admit, NULL};
    mr_zap_answer answer;
    size_t n = cut(data, size, frames, MR_ZAP_FRAMES + 2);
    mr_zap_decide(&gate, frames, n, &answer);
    if (strcmp(answer.code, "200")) return;
    MR_ASSERT(n == MR_ZAP_FRAMES && frames[6].len == sizeof good.bytes);
    MR_ASSERT(!memcmp(frames[6].data, good.bytes, sizeof good.bytes));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    mr_key_list list;
    mr_error err = {0};
    mr_status status = mr_key_list_parse((mr_span){data, size}, "x", &list, &err);
    MR_ASSERT(status == MR_OK || (status == err.status && err.text[0] && !list.rows));
    for (size_t i = 0; i < list.count; i++) {
        MR_ASSERT(mr_key_name_ok(mr_span_of(list.rows[i].name)));
        MR_ASSERT((unsigned)list.rows[i].role < MR_KEY_ROLES);
    }
    mr_key_list_free(&list);
    check_gate(data, size);
    return 0;
}
