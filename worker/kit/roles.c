#include "worker/kit/roles.h"

#include <math.h>

const double *mr_role_numbers(const mr_batch *b, int slot) {
    for (uint32_t i = 0; b->number[slot] && i < b->rows; i++)
        if (!isnan(b->number[slot][i])) return b->number[slot];
    return NULL;
}

const double *mr_role_outcome(const mr_batch *b, const char **name) {
    static const struct {
        int slot;
        const char *name;
    } order[] = {{MR_NUM_OUTCOME, "outcome"}, {MR_NUM_SCORE, "score"}, {MR_NUM_SUCCESS, "success"}};
    for (size_t k = 0; k < sizeof order / sizeof *order; k++) {
        const double *v = mr_role_numbers(b, order[k].slot);
        *name = order[k].name;
        if (v) return v;
    }
    return NULL;
}

const double *mr_role_result(const mr_batch *b, const char **name) {
    static const struct {
        uint32_t column;
        int slot;
        const char *name;
    } order[] = {{MR_COL_OUTCOME, MR_NUM_OUTCOME, "outcome"},
                 {MR_COL_SUCCESS, MR_NUM_SUCCESS, "success"},
                 {MR_COL_SCORE, MR_NUM_SCORE, "score"}};
    for (size_t k = 0; k < sizeof order / sizeof *order; k++) {
        *name = order[k].name;
        if (b->columns & order[k].column && b->number[order[k].slot]) return b->number[order[k].slot];
    }
    return NULL;
}
