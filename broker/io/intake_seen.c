#include "broker/io/intake_seen.h"

#include "common/mem.h"

enum { SLOTS_MIN = 1 << 14, SLOTS_MAX = 1 << 20 };

void mr_seen_free(mr_seen *s) {
    mr_free(NULL, s->now, s->slots, sizeof *s->now);
    mr_free(NULL, s->before, s->slots_before, sizeof *s->before);
    *s = (mr_seen){0};
}

static uint64_t sum_of(const mr_seen *s, mr_span hash) {
    uint64_t sum = mr_xxh64(hash, s->seed);
    return sum ? sum : 1;
}

static uint64_t *slot_of(uint64_t *table, size_t slots, uint64_t sum) {
    size_t i = (size_t)sum & (slots - 1);
    while (table[i] && table[i] != sum) i = (i + 1) & (slots - 1);
    return &table[i];
}

static bool holds(uint64_t *table, size_t slots, uint64_t sum) { return table && *slot_of(table, slots, sum); }

bool mr_seen_has(const mr_seen *s, mr_span hash) {
    uint64_t sum = sum_of(s, hash);
    return holds(s->now, s->slots, sum) || holds(s->before, s->slots_before, sum);
}

void mr_seen_expect(const mr_seen *s, mr_span hash) {
    uint64_t sum = sum_of(s, hash);
    if (s->now) __builtin_prefetch(&s->now[sum & (s->slots - 1)], 1);
    if (s->before) __builtin_prefetch(&s->before[sum & (s->slots_before - 1)]);
}

/* A table with room; what the largest one held is kept for as long as it takes to fill the next. */
static bool make_room(mr_seen *s) {
    bool turn = s->slots == SLOTS_MAX;
    size_t slots = turn ? SLOTS_MAX : s->slots ? s->slots * 2 : SLOTS_MIN;
    uint64_t *fresh = mr_new(NULL, slots, sizeof *fresh);
    if (!fresh) return false;
    if (!s->now) mr_random_bytes(&s->seed, sizeof s->seed);
    for (size_t i = 0; !turn && i < s->slots; i++)
        if (s->now[i]) *slot_of(fresh, slots, s->now[i]) = s->now[i];
    uint64_t **old = turn ? &s->before : &s->now;
    mr_free(NULL, *old, turn ? s->slots_before : s->slots, sizeof **old);
    if (turn) {
        s->before = s->now;
        s->slots_before = s->slots;
        s->count = 0;
    }
    s->now = fresh;
    s->slots = slots;
    return true;
}

void mr_seen_add(mr_seen *s, mr_span hash) {
    if (s->count * 2 >= s->slots && !make_room(s)) {
        s->right = 0;
        return;
    }
    uint64_t *slot = slot_of(s->now, s->slots, sum_of(s, hash));
    s->count += !*slot;
    *slot = sum_of(s, hash);
}

static uint64_t wanted(const mr_seen *s) { return s->wanted ? s->wanted : MR_SEEN_TRUST; }

bool mr_seen_trusted(const mr_seen *s) { return s->right >= wanted(s); }

/* Trust that held four times over makes the next surprise cheaper. */
void mr_seen_was_right(mr_seen *s, uint64_t rows) {
    s->right += rows;
    if (s->right >= 4 * wanted(s) && wanted(s) > MR_SEEN_TRUST) s->wanted = wanted(s) / 2;
}

void mr_seen_was_told(mr_seen *s) { s->right = 0; }

void mr_seen_was_wrong(mr_seen *s) {
    s->right = 0;
    if (wanted(s) < MR_SEEN_TRUST_MAX) s->wanted = 2 * wanted(s);
}
