#include "common/map.h"
#include "common/rng.h"

/* Keys that follow one another, as works and attempts do, lie side by side: eight of them in two cache lines. Longer rows
 * would have to be walked through at each removal. */
static size_t home(const mr_map *m, uint64_t key) { return (size_t)(mr_mix64(key >> 3) + (key & 7)) & (m->cap - 1); }

/* The slot of the key, or the empty one where it belongs. */
static size_t find(const mr_map *m, uint64_t key) {
    size_t i = home(m, key);
    while (m->slot[i].value && m->slot[i].key != key) i = (i + 1) & (m->cap - 1);
    return i;
}

mr_status mr_map_reserve(mr_map *m, const mr_mem *mem, size_t extra) {
    size_t cap = m->cap ? m->cap : 16;
    while (extra > cap / 4 * 3 - m->count) {
        if (cap > SIZE_MAX / 4) return MR_E_MEMORY;
        cap *= 2;
    }
    if (cap == m->cap) return MR_OK;
    mr_map fresh = {.slot = mr_new(mem, cap, sizeof *fresh.slot), .cap = cap};
    if (!fresh.slot) return MR_E_MEMORY;
    for (size_t i = 0; i < m->cap; i++)
        if (m->slot[i].value) mr_map_put(&fresh, m->slot[i].key, m->slot[i].value);
    mr_map_free(m, mem);
    *m = fresh;
    return MR_OK;
}

void mr_map_free(mr_map *m, const mr_mem *mem) {
    mr_free(mem, m->slot, m->cap, sizeof *m->slot);
    *m = (mr_map){0};
}

void *mr_map_get(const mr_map *m, uint64_t key) { return m->cap ? m->slot[find(m, key)].value : NULL; }

void mr_map_put(mr_map *m, uint64_t key, void *value) {
    MR_ASSERT(value && m->count < m->cap / 4 * 3);
    size_t i = find(m, key);
    MR_ASSERT(!m->slot[i].value);
    m->slot[i] = (mr_map_slot){key, value};
    m->count++;
}

void mr_map_remove(mr_map *m, uint64_t key) {
    if (!m->cap) return;
    size_t hole = find(m, key), mask = m->cap - 1;
    if (!m->slot[hole].value) return;
    for (size_t i = (hole + 1) & mask; m->slot[i].value; i = (i + 1) & mask) {
        size_t from = home(m, m->slot[i].key);
        if (((i - from) & mask) < ((i - hole) & mask)) continue;
        m->slot[hole] = m->slot[i];
        hole = i;
    }
    m->slot[hole] = (mr_map_slot){0};
    m->count--;
}
