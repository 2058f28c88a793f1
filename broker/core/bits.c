#include "broker/core/bits.h"

static size_t words_for(size_t bits) { return (bits + 63) / 64; }

static uint64_t low_bits(size_t n) { return n >= 64 ? UINT64_MAX : (UINT64_C(1) << n) - 1; }

static void fill(mr_bits *b) {
    size_t members = b->size;
    for (uint32_t level = 0; level < b->levels; level++) {
        size_t words = words_for(members);
        for (size_t w = 0; w < words; w++) b->word[b->at[level] + w] = low_bits(members - w * 64);
        members = words;
    }
    b->count = b->size;
}

mr_status mr_bits_init(mr_bits *b, const mr_mem *mem, uint32_t size, bool full) {
    MR_ASSERT(size > 0);
    *b = (mr_bits){.size = size};
    size_t words = words_for(size);
    while (true) {
        MR_ASSERT(b->levels < MR_BITS_LEVELS);
        b->at[b->levels++] = b->words;
        b->words += words;
        if (words == 1) break;
        words = words_for(words);
    }
    b->word = mr_new(mem, b->words, sizeof *b->word);
    if (!b->word) return MR_E_MEMORY;
    if (full) fill(b);
    return MR_OK;
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
