#include "worker/kit/rules.h"

#include <stdlib.h>

enum { LENGTH_MAX = 64 };

static int best_first(const void *x, const void *y) {
    const mr_rule *a = x, *b = y;
    if (a->lift != b->lift) return a->lift > b->lift ? -1 : 1;
    if (a->confidence != b->confidence) return a->confidence > b->confidence ? -1 : 1;
    if (a->support != b->support) return a->support > b->support ? -1 : 1;
    if (a->set != b->set) return a->set < b->set ? -1 : 1;
    return (a->right > b->right) - (a->right < b->right);
}

/* The rule from the other items of the set to its item k. */
static mr_rule make_rule(const mr_pattern_index *x, uint32_t rows, uint32_t set, size_t k) {
    const mr_patterns *p = x->patterns;
    const uint32_t *word = mr_pattern(p, set);
    uint32_t left[LENGTH_MAX];
    size_t n = mr_pattern_length(p, set), at = 0;
    for (size_t i = 0; i < n; i++)
        if (i != k) left[at++] = word[i];
    mr_rule r = {.set = set, .right = word[k], .support = p->support[set]};
    r.left_support = p->support[mr_pattern_find(x, left, at)];
    r.right_support = p->support[mr_pattern_find(x, &word[k], 1)];
    double of = rows, left_share = r.left_support / of, right_share = r.right_support / of;
    r.confidence = r.support / (double)r.left_support;
    r.lift = r.confidence / right_share;
    r.leverage = r.support / of - left_share * right_share;
    return r;
}

mr_status mr_rules(const mr_pattern_index *sets, uint32_t rows, double min_confidence, const mr_ticker *tick,
                   mr_rule **out, size_t *count, mr_error *err) {
    const mr_patterns *p = sets->patterns;
    *out = mr_arena_alloc(p->arena, p->words + 1, sizeof **out);
    *count = 0;
    if (!*out) return mr_fail(err, MR_E_MEMORY, "no memory for rules; raise min_support (or min_count)");
    for (uint32_t i = 0; i < p->count; i++) {
        size_t n = mr_pattern_length(p, i);
        if (i % 1024 == 0) MR_TRY(mr_ticker_call(tick));
        for (size_t k = 0; n > 1 && k < n; k++) {
            mr_rule r = make_rule(sets, rows, i, k);
            if (r.confidence >= min_confidence) (*out)[(*count)++] = r;
        }
    }
    qsort(*out, *count, sizeof **out, best_first);
    return MR_OK;
}
