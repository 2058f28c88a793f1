/* rules.h: association rules with one item on the right (Agrawal, Imielinski and Swami 1993). */
#ifndef MR_KIT_RULES_H
#define MR_KIT_RULES_H

#include "worker/kit/patterns.h"
#include "worker/kit/tick.h"

/* "Rows with the other items of pattern `set` also hold the item `right`." */
typedef struct mr_rule {
    double confidence; /* support / left_support */
    double lift;       /* confidence / share of the right item */
    double leverage;   /* share of the set - share of the left x share of the right */
    uint32_t set, right, support, left_support, right_support;
} mr_rule;

/* All rules of at least `min_confidence` from frequent itemsets (with all their subsets) of `rows` rows, by
 * lift, confidence and support, the largest first. Errors: E_MEMORY, what `tick` says. */
mr_status mr_rules(const mr_pattern_index *sets, uint32_t rows, double min_confidence, const mr_ticker *tick,
                   mr_rule **out, size_t *count, mr_error *err) MR_MUST_CHECK;

#endif
