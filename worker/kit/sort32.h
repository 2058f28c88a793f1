/* sort32.h: sorts short lists of numbers in place, without memory and without a call for each comparison:
 * Shell's sort with the gaps of Ciura (2001). */
#ifndef MR_KIT_SORT32_H
#define MR_KIT_SORT32_H

#include <stddef.h>
#include <stdint.h>

static inline void mr_sort32(uint32_t *v, size_t n) {
    static const size_t gaps[] = {701, 301, 132, 57, 23, 10, 4, 1};
    size_t gap = 701;
    while (gap < n / 9) gap = gap * 9 / 4;
    for (size_t next = 0;;) {
        for (size_t i = gap; i < n; i++) {
            uint32_t x = v[i];
            size_t at = i;
            for (; at >= gap && v[at - gap] > x; at -= gap) v[at] = v[at - gap];
            v[at] = x;
        }
        if (gap == 1) return;
        if (gap > 701 && gap * 4 / 9 > 701) {
            gap = gap * 4 / 9;
            continue;
        }
        while (gaps[next] >= gap) next++;
        gap = gaps[next];
    }
}

#endif
