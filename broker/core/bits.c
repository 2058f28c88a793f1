#include "broker/core/bits.h"

#include <string.h>

static size_t words_for(size_t bits) { return (bits + 63) / 64; }

static uint64_t low_bits(size_t n) { return n >= 64 ? UINT64_MAX : (UINT64_C(1) << n) - 1; }

/* Where each level lies when there is room for `room` numbers. */
static void lay_out(mr_bits *b, uint32_t room) {
    size_t words = words_for(room);
    b->room = room;
    while (true) {
        MR_ASSERT(b->levels < MR_BITS_LEVELS);
        b->at[b->levels++] = b->words;
        b->words += words;
        if (words == 1) break;
        words = words_for(words);
    }
}

/* A level's words as bits of the level above, for as many as there are members. */
static void summarise(mr_bits *b) {
    size_t members = b->size;
    for (uint32_t level = 1; level < b->levels; level++) {
        members = words_for(members);
        const uint64_t *below = &b->word[b->at[level - 1]];
        for (size_t i = 0; i < members; i++)
            if (below[i]) b->word[b->at[level] + i / 64] |= UINT64_C(1) << (i % 64);
    }
}

mr_status mr_bits_init(mr_bits *b, const mr_mem *mem, uint32_t size, bool full) {
    *b = (mr_bits){0};
    lay_out(b, size ? size : 64);
    b->word = mr_new(mem, b->words, sizeof *b->word);
    if (!b->word) return MR_E_MEMORY;
    mr_bits_extend(b, size, full);
    return MR_OK;
}

mr_status mr_bits_reserve(mr_bits *b, const mr_mem *mem, uint32_t size) {
    enum { LEAST = 4096, MOST = 1u << 31 };
    if (size <= b->room) return MR_OK;
    MR_ASSERT(size <= MOST);
    uint32_t room = b->room < MOST / 2 ? 2 * b->room : MOST;
    if (room < size) room = size;
    mr_bits grown = {.size = b->size, .count = b->count};
    lay_out(&grown, room < LEAST ? LEAST : room);
    grown.word = mr_new(mem, grown.words, sizeof *grown.word);
    if (!grown.word) return MR_E_MEMORY;
    memcpy(grown.word, b->word, words_for(b->size) * sizeof *b->word);
    summarise(&grown);
    mr_bits_free(b, mem);
    *b = grown;
    return MR_OK;
}

/* Whole words at a time, from the first that `before` does not fill; each of them gets a member. */
static void fill(mr_bits *b, uint32_t before) {
    size_t from = before / 64, to = words_for(b->size);
    for (size_t w = from; w < to; w++) {
        uint64_t word = low_bits(b->size - w * 64);
        b->word[w] |= w * 64 < before ? word & ~low_bits(before - w * 64) : word;
    }
    for (uint32_t level = 1; level < b->levels; level++) {
        for (size_t i = from; i < to; i++) b->word[b->at[level] + i / 64] |= UINT64_C(1) << (i % 64);
        from /= 64;
        to = words_for(to);
    }
    b->count += b->size - before;
}

void mr_bits_extend(mr_bits *b, uint32_t size, bool full) {
    uint32_t before = b->size;
    MR_ASSERT(size >= before && size <= b->room);
    b->size = size;
    if (full && size > before) fill(b, before);
}

void mr_bits_free(mr_bits *b, const mr_mem *mem) {
    mr_free(mem, b->word, b->words, sizeof *b->word);
    *b = (mr_bits){0};
}

bool mr_bits_has(const mr_bits *b, uint32_t i) {
    MR_ASSERT(i < b->size);
    return b->word[i / 64] >> (i % 64) & 1;
}

bool mr_bits_add(mr_bits *b, uint32_t i) {
    if (mr_bits_has(b, i)) return false;
    for (uint32_t level = 0; level < b->levels; level++) {
        uint64_t *word = &b->word[b->at[level] + i / 64], before = *word;
        *word |= UINT64_C(1) << (i % 64);
        if (before) break;
        i /= 64;
    }
    b->count++;
    return true;
}

bool mr_bits_remove(mr_bits *b, uint32_t i) {
    if (!mr_bits_has(b, i)) return false;
    for (uint32_t level = 0; level < b->levels; level++) {
        uint64_t *word = &b->word[b->at[level] + i / 64];
        *word &= ~(UINT64_C(1) << (i % 64));
        if (*word) break;
        i /= 64;
    }
    b->count--;
    return true;
}

uint32_t mr_bits_first(const mr_bits *b) {
    MR_ASSERT(b->count > 0);
    size_t i = 0;
    for (uint32_t level = b->levels; level-- > 0;)
        i = i * 64 + (size_t)__builtin_ctzll(b->word[b->at[level] + i]);
    return (uint32_t)i;
}

bool mr_bits_has_all(const mr_bits *b, uint32_t first, uint32_t n) {
    MR_ASSERT(n > 0 && first % 64 + n <= 64 && n <= b->size && first <= b->size - n);
    uint64_t want = low_bits(n) << (first % 64);
    return (b->word[first / 64] & want) == want;
}
