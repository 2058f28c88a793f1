#include "common/zap.h"

#include <string.h>

static bool is(mr_span frame, const char *text) { return mr_span_eq(frame, mr_span_of(text)); }

void mr_zap_decide(const mr_zap_gate *gate, const mr_span *frames, size_t count, mr_zap_answer *out) {
    mr_key key;
    *out = (mr_zap_answer){.code = "400", .text = "refused"};
    if (count != MR_ZAP_FRAMES || !is(frames[0], "1.0") || !is(frames[5], "CURVE")) return;
    if (frames[6].len != sizeof key.bytes) return;
    memcpy(key.bytes, frames[6].data, sizeof key.bytes);
    if (!gate->admit(gate->self, frames[2], &key, frames[3])) return;
    mr_hash_hex(&key, out->user);
    out->code = "200";
    out->text = "welcome";
}
