/* A result message: two bytes of length, the envelope, the body. Its items are cut as the broker does it;
 * what is taken lies in the body, piece behind piece. An odd length has the hashes of the items made right
 * first. */
#include "broker/io/broker.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static mr_hash hash_of_next(mr_span *rest, uint64_t size) {
    size_t n = size < rest->len ? (size_t)size : rest->len;
    mr_hash hash = mr_hash_of((mr_span){rest->data, n});
    rest->data += n;
    rest->len -= n;
    return hash;
}

/* The items as they would be with true hashes. */
static void make_right(const mr_wire_result *m, mr_span rest, mr_wire_result_item *items,
                       mr_wire_artifact_item *artifacts) {
    for (uint32_t i = 0; i < m->item_count; i++) {
        items[i].hash = hash_of_next(&rest, items[i].size);
        for (uint32_t k = 0; k < items[i].artifact_count; k++, artifacts++) {
            *artifacts = m->items[i].artifacts[k];
            artifacts->hash = hash_of_next(&rest, artifacts->size);
        }
        items[i].artifacts = artifacts - items[i].artifact_count;
    }
}

static void cut_all(const mr_wire_result_item *items, uint32_t n, mr_span body) {
    mr_span rest = body;
    const uint8_t *at = body.data;
    for (uint32_t i = 0; i < n; i++) {
        mr_commit_job job = {0};
        if (mr_broker_cut_result(&items[i], &rest, &job)) {
            mr_free(NULL, job.artifact, job.artifacts, sizeof *job.artifact);
            return;
        }
        MR_ASSERT(job.body.data == at && job.body.len == items[i].size && job.artifacts <= MR_ARTIFACTS_MAX);
        at += job.body.len;
        for (uint32_t k = 0; k < job.artifacts; k++, at += job.artifact[k - 1].bytes.len)
            MR_ASSERT(job.artifact[k].bytes.data == at && job.artifact[k].name[MR_NAME_MAX] == 0);
        MR_ASSERT(at == rest.data && at + rest.len == body.data + body.len);
        mr_free(NULL, job.artifact, job.artifacts, sizeof *job.artifact);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    mr_error err = {0};
    mr_wire_result m;
    MR_ASSERT(mr_crypto_init(&err) == MR_OK);
    if (size < 2) return 0;
    size_t length = (size_t)data[0] << 8 | data[1];
    if (length > size - 2) length = size - 2;
    mr_span envelope = {data + 2, length}, body = {data + 2 + length, size - 2 - length};
    mr_arena *arena = mr_arena_new(NULL, 16 << 20);
    MR_ASSERT(arena);
    if (mr_wire_decode_result(envelope, arena, &m, &err) == MR_OK) {
        mr_wire_result_item *items = mr_arena_alloc(arena, m.item_count + 1, sizeof *items);
        mr_wire_artifact_item *artifacts =
            mr_arena_alloc(arena, (size_t)m.item_count * MR_MAX_RESULT_ITEM_ARTIFACTS + 1, sizeof *artifacts);
        MR_ASSERT(items && artifacts);
        for (uint32_t i = 0; i < m.item_count; i++) items[i] = m.items[i];
        if (data[1] & 1) make_right(&m, body, items, artifacts);
        cut_all(items, m.item_count, body);
    }
    mr_arena_free(&arena);
    return 0;
}
