#include "worker/kit/comparison.h"

#include "worker/kit/dist.h"

#include <math.h>

static mr_test paired_t(const mr_summary *d) {
    mr_test t = {"paired t", NAN, (double)d->n - 1, NAN, NAN};
    if (d->n < 2 || !(d->var > 0)) return t;
    t.statistic = d->mean / sqrt(d->var / (double)d->n);
    t.p = mr_t_two_sided(t.statistic, t.df);
    return t;
}

static void by_t(mr_comparison *e, bool pairs, double level) {
    const mr_summary *a = &e->of[1], *b = &e->of[0];
    if (pairs) {
        e->test = paired_t(a);
        e->se = sqrt(a->var / (double)a->n);
        double half = a->n > 1 ? mr_t_quantile(0.5 + level / 2, e->test.df) * e->se : NAN;
        e->t_low = a->mean - half;
        e->t_high = a->mean + half;
    } else {
        e->test = mr_welch(a, b);
        e->se = sqrt(a->var / (double)a->n + b->var / (double)b->n);
        mr_welch_interval(a, b, level, &e->t_low, &e->t_high);
    }
}

mr_status mr_compare(const mr_samples *s, double level, unsigned rounds, mr_boot want, mr_rng *rng, mr_arena *arena,
                     const mr_ticker *tick, mr_comparison *e, mr_error *err) {
    size_t n0 = s->pairs ? 0 : s->n[0];
    for (int k = 0; k < 2; k++) e->of[k] = mr_summarise(s->y[k], k ? s->n[1] : n0);
    e->difference = e->of[1].mean - (s->pairs ? 0 : e->of[0].mean);
    by_t(e, s->pairs, level);
    return mr_boot_means(s->y[1], s->n[1], s->y[0], n0, rounds, level, want, rng, arena, tick, &e->boot, err);
}

/* Sums of squares and products around the pooled means. */
typedef struct products {
    double x, y, xx, xy, yy; /* x: the earlier measure */
} products;

static bool sum_products(const mr_samples *s, products *p) {
    double n = (double)(s->n[0] + s->n[1]);
    *p = (products){0};
    for (int k = 0; k < 2; k++)
        for (size_t i = 0; i < s->n[k]; i++) {
            p->x += s->pre[k][i] / n;
            p->y += s->y[k][i] / n;
        }
    for (int k = 0; k < 2; k++)
        for (size_t i = 0; i < s->n[k]; i++) {
            double dx = s->pre[k][i] - p->x, dy = s->y[k][i] - p->y;
            p->xx += dx * dx, p->xy += dx * dy, p->yy += dy * dy;
        }
    return p->xx > 0 && p->yy > 0; /* false for NaN too */
}

mr_status mr_cuped_compare(const mr_samples *s, const mr_comparison *plain, double level, unsigned rounds,
                           mr_boot want, mr_rng *rng, mr_arena *arena, const mr_ticker *tick, mr_cuped *out,
                           mr_error *err) {
    products p;
    *out = (mr_cuped){.done = sum_products(s, &p)};
    if (!out->done) return MR_OK;
    out->theta = p.xy / p.xx;
    out->correlation = p.xy / sqrt(p.xx * p.yy);
    double *room = mr_arena_alloc(arena, s->n[0] + s->n[1], sizeof *room),
           *adjusted[2] = {room, room + s->n[0]};
    if (!room) return mr_fail(err, MR_E_MEMORY, "no memory to adjust %zu rows", s->n[0] + s->n[1]);
    for (int k = 0; k < 2; k++)
        for (size_t i = 0; i < s->n[k]; i++) adjusted[k][i] = s->y[k][i] - out->theta * (s->pre[k][i] - p.x);
    mr_summary pre1 = mr_summarise(s->pre[1], s->n[1]), pre0 = mr_summarise(s->pre[0], s->n[0]);
    mr_samples less = {.y = {adjusted[0], adjusted[1]}, .n = {s->n[0], s->n[1]}};
    out->balance = mr_welch(&pre1, &pre0);
    MR_TRY(mr_compare(&less, level, rounds, want, rng, arena, tick, &out->adjusted, err));
    out->reduction = 1 - out->adjusted.se * out->adjusted.se / (plain->se * plain->se);
    return MR_OK;
}
