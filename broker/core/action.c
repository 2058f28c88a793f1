#include "broker/core/state.h"

#include <string.h>

enum { HEAD = offsetof(mr_action, text) };

/* The capacity is a power of two. */
mr_status mr_actions_reserve(mr_core *core, size_t extra) {
    mr_action_ring *ring = &core->actions;
    if (extra <= ring->cap - ring->count) return MR_OK;
    size_t cap = ring->cap ? ring->cap : 32;
    while (extra > cap - ring->count) cap *= 2;
    mr_action *fresh = mr_new(core->config.mem, cap, sizeof *fresh);
    if (!fresh) return MR_E_MEMORY;
    for (size_t i = 0; i < ring->count; i++) fresh[i] = ring->item[(ring->first + i) & (ring->cap - 1)];
    mr_free(core->config.mem, ring->item, ring->cap, sizeof *ring->item);
    *ring = (mr_action_ring){.item = fresh, .cap = cap, .count = ring->count};
    return MR_OK;
}

mr_action *mr_act(mr_core *core, mr_action_type type) {
    mr_action_ring *ring = &core->actions;
    MR_ASSERT(ring->count < ring->cap);
    mr_action *a = &ring->item[(ring->first + ring->count++) & (ring->cap - 1)];
    memset(a, 0, HEAD + 1); /* the sentence is long, and nearly always empty */
    a->type = type;
    return a;
}

void mr_act_ack(mr_core *core, uint32_t peer, uint64_t attempt, const mr_work_key *key, mr_verdict verdict) {
    mr_action *a = mr_act(core, MR_ACT_ACK);
    a->peer = peer;
    a->attempt = attempt;
    a->key = *key;
    a->verdict = verdict;
    if (verdict == MR_STALE) core->total.stale++;
    if (verdict == MR_REFUSED) core->total.refused++;
}

bool mr_core_next_action(mr_core *core, mr_action *out) {
    mr_action_ring *ring = &core->actions;
    if (ring->count == 0) return false;
    const mr_action *a = &ring->item[ring->first];
    memcpy(out, a, HEAD + (a->text[0] ? sizeof a->text : 1));
    ring->first = --ring->count ? (ring->first + 1) & (ring->cap - 1) : 0; /* what was used last is in the cache */
    return true;
}

void mr_sentence(char *out, size_t size, const char *text) {
    size_t n = text ? strnlen(text, size) : 0;
    if (n == size)
        for (n = size - 1; n > 0 && ((unsigned char)text[n] & 0xc0) == 0x80;) n--;
    if (n) memcpy(out, text, n);
    out[n] = '\0';
}
