#include "worker/kit/patterns.h"
#include "common/hash.h"
#include "worker/kit/scratch.h"

#include <math.h>
#include <string.h>

void mr_patterns_init(mr_patterns *p, mr_arena *arena, size_t most) {
    *p = (mr_patterns){.arena = arena, .most = most};
}

static bool make_room(mr_patterns *p, size_t n) {
    if (p->count == p->cap) {
        size_t cap = p->cap ? 2 * p->cap : 256;
        if (!mr_regrow(p->arena, &p->end, p->count, cap, sizeof *p->end) ||
            !mr_regrow(p->arena, &p->support, p->count, cap, sizeof *p->support) ||
            !mr_regrow(p->arena, &p->hits, p->count, cap, sizeof *p->hits))
            return false;
        p->cap = cap;
    }
    if (n > p->cap_words - p->words) {
        size_t cap = 2 * p->cap_words + n + 1024;
        if (!mr_regrow(p->arena, &p->word, p->words, cap, sizeof *p->word)) return false;
        p->cap_words = cap;
    }
    return true;
}

mr_status mr_patterns_add(mr_patterns *p, const uint32_t *word, size_t n, uint32_t support, uint32_t hits,
                          mr_error *err) {
    if (p->count >= p->most)
        return mr_fail(err, MR_E_LIMIT,
                       "there are more than %zu frequent patterns; raise min_support (or min_count), lower "
                       "max_length, or raise max_patterns",
                       p->most);
    if (!make_room(p, n)) return mr_fail(err, MR_E_MEMORY, "no memory for %u patterns", p->count + 1);
    memcpy(p->word + p->words, word, n * sizeof *word);
    p->words += n;
    p->end[p->count] = p->words;
    p->support[p->count] = support;
    p->hits[p->count++] = hits;
    return MR_OK;
}

uint32_t mr_least_count(double share, uint64_t count, uint32_t n) {
    double least = count > 0 ? (double)count : ceil(share * (double)n * (1 - 1e-9));
    if (least > UINT32_MAX) return UINT32_MAX;
    return least >= 1 ? (uint32_t)least : 1;
}

/* The slot that holds the pattern, or the free one where it belongs. */
static size_t slot_of(const mr_pattern_index *x, const uint32_t *word, size_t n) {
    const mr_patterns *p = x->patterns;
    size_t at = mr_xxh64((mr_span){(const uint8_t *)word, n * sizeof *word}, 0) & (x->slots - 1);
    for (; x->slot[at]; at = (at + 1) & (x->slots - 1)) {
        uint32_t i = x->slot[at] - 1;
        if (mr_pattern_length(p, i) == n && memcmp(mr_pattern(p, i), word, n * sizeof *word) == 0) break;
    }
    return at;
}

mr_status mr_pattern_index_make(mr_pattern_index *x, const mr_patterns *p, mr_error *err) {
    *x = (mr_pattern_index){.patterns = p, .slots = 16};
    while (x->slots < 2 * (size_t)p->count) x->slots *= 2;
    x->slot = mr_arena_alloc(p->arena, x->slots, sizeof *x->slot);
    if (!x->slot) return mr_fail(err, MR_E_MEMORY, "no memory for an index of %u patterns", p->count);
    for (uint32_t i = 0; i < p->count; i++)
        x->slot[slot_of(x, mr_pattern(p, i), mr_pattern_length(p, i))] = i + 1;
    return MR_OK;
}

uint32_t mr_pattern_find(const mr_pattern_index *x, const uint32_t *word, size_t n) {
    return x->slot[slot_of(x, word, n)] - 1; /* 0 - 1 is UINT32_MAX */
}
