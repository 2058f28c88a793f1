#include "worker/kit/time_order.h"

#include <math.h>
#include <stdlib.h>

typedef struct place {
    double time;
    uint32_t at;
} place;

static int by_time(const void *x, const void *y) {
    const place *p = x, *q = y;
    if (p->time != q->time) return p->time < q->time ? -1 : 1;
    return (p->at > q->at) - (p->at < q->at);
}

uint32_t *mr_time_order(const double *time, size_t stride, size_t n, mr_arena *arena) {
    place *v = mr_arena_alloc(arena, n + 1, sizeof *v);
    uint32_t *order = mr_arena_alloc(arena, n + 1, sizeof *order);
    if (!v || !order) return NULL;
    for (uint32_t i = 0; i < n; i++)
        v[i] = (place){isnan(time[i * stride]) ? -INFINITY : time[i * stride], i};
    if (n) qsort(v, n, sizeof *v, by_time);
    for (size_t i = 0; i < n; i++) order[i] = v[i].at;
    return order;
}
