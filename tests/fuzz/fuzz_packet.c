/* Any bytes as a packet of tasks. Its tasks must fill it, one by one and each by itself, and no body may lead astray. */
#include "common/batch.h"
#include "common/packet.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    mr_error err;
    mr_packet p;
    mr_packet_cursor at = {0};
    mr_task task;
    size_t body_at = 0, ids = 0;
    uint32_t n = 0;
    if (mr_packet_open((mr_span){data, size}, &p, &err) != MR_OK) return 0;
    for (; mr_packet_next(&p, &at, &task); n++) {
        uint32_t columns;
        mr_task same = mr_packet_at(&p, n, body_at);
        MR_ASSERT(same.body.data == task.body.data && same.body.len == task.body.len);
        body_at += task.body.len;
        ids += 1 + task.id.len;
        (void)!mr_segment_check(task.body, &columns, &err);
    }
    MR_ASSERT(n == p.count && body_at == p.bodies.len && (!p.ids.len || ids == p.ids.len));
    return 0;
}
