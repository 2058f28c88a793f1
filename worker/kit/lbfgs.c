#include "worker/kit/lbfgs.h"
#include "worker/kit/product.h"

#include <math.h>
#include <string.h>

enum { MEMORY = 8, TRIALS_MAX = 40 };
static const double DECREASE = 1e-4, CURVATURE = 0.9;

typedef struct pair {
    double *step, *change; /* of x, of the gradient */
    double inner;          /* their product, > 0 */
} pair;

typedef struct search {
    mr_objective objective;
    void *self;
    size_t n, pairs; /* pairs seen in all; the last MEMORY are kept */
    pair pair[MEMORY];
    double *x, *gradient, *direction, *trial, *trial_gradient;
    double value;
} search;

/* direction = - H gradient by the two-loop recursion. */
static void aim(search *s) {
    double alpha[MEMORY];
    size_t n = s->n, oldest = s->pairs > MEMORY ? s->pairs - MEMORY : 0;
    double *d = s->direction;
    for (size_t i = 0; i < n; i++) d[i] = -s->gradient[i];
    for (size_t k = s->pairs; k-- > oldest;) {
        const pair *p = &s->pair[k % MEMORY];
        alpha[k % MEMORY] = mr_dot(p->step, d, n) / p->inner;
        for (size_t i = 0; i < n; i++) d[i] -= alpha[k % MEMORY] * p->change[i];
    }
    if (s->pairs > 0) {
        const pair *p = &s->pair[(s->pairs - 1) % MEMORY];
        double scale = p->inner / mr_dot(p->change, p->change, n);
        for (size_t i = 0; i < n; i++) d[i] *= scale;
    }
    for (size_t k = oldest; k < s->pairs; k++) {
        const pair *p = &s->pair[k % MEMORY];
        double beta = mr_dot(p->change, d, n) / p->inner;
        for (size_t i = 0; i < n; i++) d[i] += (alpha[k % MEMORY] - beta) * p->step[i];
    }
}

/* Moves trial along the direction until value and slope have fallen enough; false when no length does. */
static mr_status walk(search *s, double slope, double length, double *value, bool *found) {
    double low = 0, high = INFINITY;
    *found = false;
    for (int i = 0; i < TRIALS_MAX && !*found; i++) {
        for (size_t j = 0; j < s->n; j++) s->trial[j] = s->x[j] + length * s->direction[j];
        MR_TRY(s->objective(s->self, s->trial, value, s->trial_gradient));
        if (!(*value <= s->value + DECREASE * length * slope))
            high = length;
        else if (mr_dot(s->trial_gradient, s->direction, s->n) < CURVATURE * slope)
            low = length;
        else
            *found = true;
        length = isinf(high) ? 2 * length : (low + high) / 2;
    }
    return MR_OK;
}

static void accept(search *s, double value) {
    pair *p = &s->pair[s->pairs % MEMORY];
    for (size_t i = 0; i < s->n; i++) {
        p->step[i] = s->trial[i] - s->x[i];
        p->change[i] = s->trial_gradient[i] - s->gradient[i];
    }
    p->inner = mr_dot(p->step, p->change, s->n);
    if (p->inner > 1e-300) s->pairs++;
    memcpy(s->x, s->trial, s->n * sizeof *s->x);
    memcpy(s->gradient, s->trial_gradient, s->n * sizeof *s->gradient);
    s->value = value;
}

static bool search_alloc(search *s, mr_arena *arena) {
    double **each[] = {&s->gradient, &s->direction, &s->trial, &s->trial_gradient};
    for (size_t i = 0; i < sizeof each / sizeof *each; i++)
        if (!(*each[i] = mr_arena_alloc(arena, s->n, sizeof(double)))) return false;
    for (size_t k = 0; k < MEMORY; k++) {
        s->pair[k].step = mr_arena_alloc(arena, s->n, sizeof(double));
        s->pair[k].change = mr_arena_alloc(arena, s->n, sizeof(double));
        if (!s->pair[k].step || !s->pair[k].change) return false;
    }
    return true;
}

mr_status mr_lbfgs(mr_objective objective, void *self, double *x, size_t n, size_t iterations, double enough,
                   mr_arena *arena, mr_lbfgs_result *out, mr_error *err) {
    search s = {.objective = objective, .self = self, .n = n, .x = x};
    *out = (mr_lbfgs_result){0};
    if (!search_alloc(&s, arena)) return mr_fail(err, MR_E_MEMORY, "no memory to minimise over %zu variables", n);
    MR_TRY(objective(self, x, &s.value, s.gradient));
    while (out->iterations < iterations && !out->converged) {
        double size = sqrt(mr_dot(s.gradient, s.gradient, n)), value;
        if (size <= enough * fmax(1, sqrt(mr_dot(x, x, n)))) {
            out->converged = true;
            break;
        }
        aim(&s);
        double slope = mr_dot(s.gradient, s.direction, n);
        bool found;
        MR_TRY(walk(&s, slope, s.pairs ? 1 : 1 / size, &value, &found));
        if (found) accept(&s, value);
        out->converged = !found;
        out->iterations += found;
    }
    out->value = s.value;
    return MR_OK;
}
