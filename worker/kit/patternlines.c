#include "worker/kit/patternlines.h"
#include "worker/kit/sort32.h"

#include <string.h>

enum { LENGTH_MAX = 64 };

static const char header[] = "kind\tsupport\tof\tpattern";

/* Takes what stands before the next `end` off `text`. */
static mr_span take(mr_span *text, char end) {
    const uint8_t *at = text->len ? memchr(text->data, end, text->len) : NULL;
    size_t n = at ? (size_t)(at - text->data) : text->len, skip = n + (at != NULL);
    mr_span part = {text->data, n};
    *text = (mr_span){text->data + skip, text->len - skip};
    return part;
}

/* The number of a term of sorted rows, or UINT32_MAX. */
static uint32_t find_term(const mr_terms *t, mr_span text) {
    uint32_t low = 0, high = t->count;
    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        mr_span a = t->text[mid];
        int c = memcmp(a.data, text.data, a.len < text.len ? a.len : text.len);
        if (!c) c = (a.len > text.len) - (a.len < text.len);
        if (c == 0) return mid;
        if (c < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return UINT32_MAX;
}

typedef struct counting {
    const mr_itemsets *sets;
    size_t words;    /* of a set of rows */
    uint64_t **held; /* of an item: the rows that hold it, made when first asked for */
    uint32_t *order; /* places in sets->item, item by item */
    uint32_t *start; /* of an item in `order` */
    uint64_t *marked, *both;
} counting;

/* Which rows hold which item: the rows turned round. */
static bool turn_round(const mr_itemsets *s, mr_arena *arena, counting *c) {
    size_t n = s->rows ? s->end[s->rows - 1] : 0;
    *c = (counting){.sets = s, .words = s->rows / 64 + (size_t)1};
    c->held = mr_arena_alloc(arena, s->items + (size_t)1, sizeof *c->held);
    c->order = mr_arena_alloc(arena, n + 1, sizeof *c->order);
    c->start = mr_arena_alloc(arena, s->items + (size_t)2, sizeof *c->start);
    c->marked = mr_arena_alloc(arena, c->words, sizeof *c->marked);
    c->both = mr_arena_alloc(arena, c->words, sizeof *c->both);
    if (!c->held || !c->order || !c->start || !c->marked || !c->both) return false;
    for (size_t k = 0; k < n; k++) c->start[s->item[k] + 2]++;
    for (uint32_t i = 2; i <= s->items; i++) c->start[i] += c->start[i - 1];
    for (uint32_t row = 0, k = 0; row < s->rows; row++) {
        for (; k < s->end[row]; k++) c->order[c->start[s->item[k] + 1]++] = row;
        if (s->marked && s->marked[row]) c->marked[row / 64] |= (uint64_t)1 << row % 64;
    }
    return true;
}

static const uint64_t *rows_with(counting *c, uint32_t item, mr_arena *arena) {
    if (c->held[item]) return c->held[item];
    uint64_t *held = c->held[item] = mr_arena_alloc(arena, c->words, sizeof *held);
    for (uint32_t k = c->start[item]; held && k < c->start[item + 1]; k++)
        held[c->order[k] / 64] |= (uint64_t)1 << c->order[k] % 64;
    return held;
}

static mr_status count(counting *c, const uint32_t *item, size_t n, mr_patterns *out, mr_error *err) {
    uint32_t support = 0, hits = 0;
    memset(c->both, 0xff, c->words * sizeof *c->both);
    for (size_t k = 0; k < n; k++) {
        const uint64_t *held = rows_with(c, item[k], out->arena);
        if (!held) return mr_fail(err, MR_E_MEMORY, "no memory to count patterns in %u rows", c->sets->rows);
        for (size_t w = 0; w < c->words; w++) c->both[w] &= held[w];
    }
    for (size_t w = 0; w < c->words; w++) {
        support += (uint32_t)__builtin_popcountll(c->both[w]);
        hits += (uint32_t)__builtin_popcountll(c->both[w] & c->marked[w]);
    }
    return mr_patterns_add(out, item, n, support, hits, err);
}

/* The items of a pattern, sorted; 0 when one is in no row or there are too many. */
static size_t items_of(mr_span pattern, const mr_terms *terms, uint32_t *item) {
    size_t n = 0;
    while (pattern.len) {
        mr_span word = take(&pattern, ' ');
        uint32_t at = find_term(terms, word);
        if (at == UINT32_MAX || n == LENGTH_MAX) return 0;
        item[n++] = at;
    }
    mr_sort32(item, n);
    return n;
}

mr_status mr_pattern_lines(mr_span lines, const mr_itemrows *rows, const mr_itemsets *sets,
                           const mr_ticker *tick, mr_patterns *out, uint64_t *passed, mr_error *err) {
    counting c;
    uint32_t item[LENGTH_MAX];
    *passed = 0;
    if (!mr_span_eq(take(&lines, '\n'), mr_span_of(header)))
        return mr_fail(err, MR_E_INVALID, "this is no list of patterns: it should start with the line '%s'",
                       header);
    if (!turn_round(sets, out->arena, &c)) return mr_fail(err, MR_E_MEMORY, "no memory to count patterns");
    for (uint64_t number = 2; lines.len; number++) {
        mr_span line = take(&lines, '\n'), kind = take(&line, '\t');
        (void)take(&line, '\t');
        (void)take(&line, '\t');
        MR_TRY(mr_ticker_call(tick));
        if (!line.len)
            return mr_fail(err, MR_E_INVALID, "line %llu of the patterns has no pattern",
                           (unsigned long long)number);
        size_t n = mr_span_eq(kind, mr_span_of("itemset")) ? items_of(line, &rows->items, item) : 0;
        if (n)
            MR_TRY(count(&c, item, n, out, err));
        else
            ++*passed;
    }
    return MR_OK;
}
