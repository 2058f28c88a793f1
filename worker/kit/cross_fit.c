#include "worker/kit/cross_fit.h"

/* Counts and sums by arm of the rows outside `fold`. */
typedef struct sums {
    double *n, *sum, rows, all;
} sums;

static mr_status add_up(mr_cross_fit *c, unsigned fold, sums *s, const mr_ticker *tick) {
    const mr_choices *log = c->log;
    for (size_t i = 0; i < log->n; i++) {
        MR_TRY(mr_ticker_call(tick));
        if (c->fold[i] == fold) continue;
        s->n[log->arm[i]]++;
        s->sum[log->arm[i]] += log->reward[i];
        s->rows++;
        s->all += log->reward[i];
        if (c->options.linear)
            mr_bandit_learn(&c->half[fold].linear, log->arm[i], log->x + i * log->width, log->reward[i]);
    }
    return MR_OK;
}

static mr_status learn(mr_cross_fit *c, unsigned fold, mr_arena *arena, const mr_ticker *tick,
                       mr_error *err) {
    size_t arms = c->log->arms;
    mr_cross_half *h = &c->half[fold];
    mr_bandit_options o = {.lambda = c->options.lambda};
    sums s = {.n = mr_arena_alloc(arena, arms, sizeof(double)),
              .sum = mr_arena_alloc(arena, arms, sizeof(double))};
    mr_arm_belief *belief = mr_arena_alloc(arena, arms, sizeof *belief);
    h->model = mr_arena_alloc(arena, arms, sizeof *h->model);
    h->thompson = mr_arena_alloc(arena, arms, sizeof *h->thompson);
    if (!s.n || !s.sum || !belief || !h->model || !h->thompson)
        return mr_fail(err, MR_E_MEMORY, "no memory for %zu arms", arms);
    MR_TRY(mr_bandit_init(&h->linear, MR_POLICY_LINUCB, &o, arms, c->options.linear ? c->log->width : 0, 0,
                          arena, err));
    MR_TRY(add_up(c, fold, &s, tick));
    double mean = s.rows > 0 ? s.all / s.rows : 0;
    for (size_t a = 0; a < arms; a++) {
        h->model[a] = (s.sum[a] + mean) / (s.n[a] + 1);
        if (h->model[a] > h->model[h->best]) h->best = a;
        belief[a] = (mr_arm_belief){1 + s.sum[a], 1 + s.n[a] - s.sum[a]};
    }
    return c->options.unit ? mr_probability_best(belief, arms, true, h->thompson, arena, tick, err) : MR_OK;
}

mr_status mr_cross_fit_init(mr_cross_fit *c, const mr_choices *log, const uint8_t *fold,
                            const mr_cross_options *options, mr_arena *arena, const mr_ticker *tick,
                            mr_error *err) {
    *c = (mr_cross_fit){.log = log,
                        .fold = fold,
                        .options = *options,
                        .target = mr_arena_alloc(arena, log->n, sizeof(double)),
                        .expected = mr_arena_alloc(arena, log->n, sizeof(double)),
                        .fitted = mr_arena_alloc(arena, log->n, sizeof(double))};
    if (!c->target || !c->expected || !c->fitted)
        return mr_fail(err, MR_E_MEMORY, "no memory for %zu choices", log->n);
    for (unsigned f = 0; f < MR_FOLDS; f++) MR_TRY(learn(c, f, arena, tick, err));
    return MR_OK;
}

static mr_off_policy value(const mr_cross_fit *c) {
    return mr_off_policy_value(c->log, c->target, c->expected, c->fitted, c->options.clip);
}

mr_off_policy mr_cross_shares(const mr_cross_fit *c, double *const share[MR_FOLDS]) {
    const mr_choices *log = c->log;
    double expected[MR_FOLDS] = {0};
    for (int f = 0; f < MR_FOLDS; f++)
        for (size_t a = 0; a < log->arms; a++) expected[f] += share[f][a] * c->half[f].model[a];
    for (size_t i = 0; i < log->n; i++) {
        unsigned f = c->fold[i];
        c->target[i] = share[f][log->arm[i]];
        c->expected[i] = expected[f];
        c->fitted[i] = c->half[f].model[log->arm[i]];
    }
    return value(c);
}

mr_status mr_cross_linear(mr_cross_fit *c, const mr_ticker *tick, mr_off_policy *out) {
    const mr_choices *log = c->log;
    for (size_t i = 0; i < log->n; i++) {
        MR_TRY(mr_ticker_call(tick));
        mr_cross_half *h = &c->half[c->fold[i]];
        size_t chosen = mr_bandit_choose(&h->linear, log->x + i * log->width);
        c->target[i] = chosen == log->arm[i];
        c->expected[i] = h->model[chosen];
        c->fitted[i] = h->model[log->arm[i]];
    }
    *out = value(c);
    return MR_OK;
}
