#include "worker/kit/bandit.h"

#include <math.h>

const char *const mr_policy_names[MR_POLICIES] = {"uniform", "epsilon_greedy", "ucb1",
                                                  "kl_ucb",  "thompson_beta",  "thompson_gaussian",
                                                  "linucb",  "thompson_linear"};

bool mr_policy_unit_reward(mr_policy p) { return p == MR_POLICY_KL_UCB || p == MR_POLICY_THOMPSON_BETA; }
bool mr_policy_linear(mr_policy p) { return p == MR_POLICY_LINUCB || p == MR_POLICY_THOMPSON_LINEAR; }

mr_status mr_bandit_init(mr_bandit *b, mr_policy policy, const mr_bandit_options *options, size_t arms,
                         size_t width, uint64_t seed, mr_arena *arena, mr_error *err) {
    *b = (mr_bandit){.policy = policy, .options = *options, .arms = arms, .width = width};
    b->pulls = mr_arena_alloc(arena, arms, sizeof *b->pulls);
    b->sum = mr_arena_alloc(arena, arms, sizeof(double));
    b->score = mr_arena_alloc(arena, arms, sizeof(double));
    b->inverse = mr_arena_alloc(arena, arms * width * width + 1, sizeof(double));
    b->moment = mr_arena_alloc(arena, arms * width + 1, sizeof(double));
    b->theta = mr_arena_alloc(arena, arms * width + 1, sizeof(double));
    b->scratch = mr_arena_alloc(arena, width + 1, sizeof(double));
    if (!b->pulls || !b->sum || !b->score || !b->inverse || !b->moment || !b->theta || !b->scratch)
        return mr_fail(err, MR_E_MEMORY, "no memory for %zu arms with %zu features", arms, width);
    for (size_t a = 0; a < arms; a++)
        for (size_t f = 0; f < width; f++) b->inverse[(a * width + f) * width + f] = 1 / options->lambda;
    mr_rng_stream(&b->rng, seed, (uint64_t)policy, 0);
    return MR_OK;
}

/* ---- what an arm is worth ---- */

static double kl_bernoulli(double p, double q) {
    double sum = 0;
    if (p > 0) sum += p * log(p / q);
    if (p < 1) sum += (1 - p) * log((1 - p) / (1 - q));
    return sum;
}

static double kl_bound(double mean, double pulls, double total) {
    double low = mean, high = 1, most = log(total) / pulls;
    for (int i = 0; i < 60 && high - low > 1e-15; i++) {
        double q = (low + high) / 2;
        if (kl_bernoulli(mean, q) <= most)
            low = q;
        else
            high = q;
    }
    return low;
}

/* Marsaglia and Tsang 2000, shape >= 1. */
static double draw_gamma(mr_rng *rng, double shape) {
    double d = shape - 1.0 / 3, c = 1 / sqrt(9 * d);
    for (;;) {
        double z = mr_rng_normal(rng), v = 1 + c * z;
        if (v <= 0) continue;
        v = v * v * v;
        if (log(1 - mr_rng_unit(rng)) < 0.5 * z * z + d - d * v + d * log(v)) return d * v;
    }
}

static double draw_beta(mr_rng *rng, double a, double b) {
    double x = draw_gamma(rng, a), y = draw_gamma(rng, b);
    return x / (x + y);
}

static double dot(const double *x, const double *y, size_t n) {
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += x[i] * y[i];
    return sum;
}

/* sqrt(x' A^-1 x) */
static double uncertainty(const mr_bandit *b, size_t arm, const double *x) {
    const double *inverse = b->inverse + arm * b->width * b->width;
    double sum = 0;
    for (size_t i = 0; i < b->width; i++) sum += x[i] * dot(inverse + i * b->width, x, b->width);
    return sqrt(fmax(0, sum));
}

double mr_bandit_score(mr_bandit *b, size_t arm, const double *x) {
    double pulls = (double)b->pulls[arm], sum = b->sum[arm], mean = pulls > 0 ? sum / pulls : INFINITY;
    const double *theta = b->theta + arm * b->width;
    switch (b->policy) {
    case MR_POLICY_EPSILON_GREEDY:
        return mean;
    case MR_POLICY_UCB1:
        return pulls > 0 ? mean + b->options.alpha * sqrt(2 * log((double)b->total) / pulls) : INFINITY;
    case MR_POLICY_KL_UCB:
        return pulls > 0 ? kl_bound(mean, pulls, (double)b->total) : INFINITY;
    case MR_POLICY_THOMPSON_BETA:
        return draw_beta(&b->rng, 1 + sum, 1 + pulls - sum);
    case MR_POLICY_THOMPSON_GAUSSIAN:
        return sum / (pulls + 1) + b->options.noise / sqrt(pulls + 1) * mr_rng_normal(&b->rng);
    case MR_POLICY_LINUCB:
        return dot(x, theta, b->width) + b->options.alpha * uncertainty(b, arm, x);
    case MR_POLICY_THOMPSON_LINEAR: /* x'theta of a normal theta is normal itself */
        return dot(x, theta, b->width) + b->options.noise * uncertainty(b, arm, x) * mr_rng_normal(&b->rng);
    case MR_POLICY_UNIFORM:
    case MR_POLICIES:
        break;
    }
    return 0;
}

static size_t best_arm(mr_bandit *b, const double *x) {
    size_t top = 0;
    for (size_t a = 0; a < b->arms; a++) {
        b->score[a] = mr_bandit_score(b, a, x);
        if (b->score[a] > b->score[top]) top = a;
    }
    return top;
}

static bool certain(const mr_bandit *b) {
    return b->policy == MR_POLICY_UCB1 || b->policy == MR_POLICY_KL_UCB;
}

size_t mr_bandit_choose(mr_bandit *b, const double *x) {
    if (b->policy == MR_POLICY_UNIFORM) return mr_rng_below(&b->rng, b->arms);
    if (b->policy == MR_POLICY_EPSILON_GREEDY && b->total >= b->arms &&
        mr_rng_unit(&b->rng) < b->options.epsilon)
        return mr_rng_below(&b->rng, b->arms);
    if (b->known) return b->chosen;
    b->chosen = best_arm(b, x);
    b->known = certain(b) || b->policy == MR_POLICY_EPSILON_GREEDY;
    return b->chosen;
}

/* A^-1 of A + x x' (Sherman and Morrison 1950), and theta. */
static void learn_linear(mr_bandit *b, size_t arm, const double *x, double reward) {
    size_t w = b->width;
    double *inverse = b->inverse + arm * w * w, *moment = b->moment + arm * w, *u = b->scratch;
    for (size_t i = 0; i < w; i++) u[i] = dot(inverse + i * w, x, w);
    double scale = 1 + dot(u, x, w);
    for (size_t i = 0; i < w; i++) {
        moment[i] += reward * x[i];
        for (size_t j = 0; j < w; j++) inverse[i * w + j] -= u[i] * u[j] / scale;
    }
    for (size_t i = 0; i < w; i++) b->theta[arm * w + i] = dot(inverse + i * w, moment, w);
}

void mr_bandit_learn(mr_bandit *b, size_t arm, const double *x, double reward) {
    b->total++;
    b->pulls[arm]++;
    b->sum[arm] += reward;
    b->known = false;
    if (b->width) learn_linear(b, arm, x, reward);
}

mr_status mr_replay_run(mr_bandit *b, const mr_choices *log, const mr_ticker *tick, mr_replay *out) {
    double weighted = 0, weights = 0;
    *out = (mr_replay){.weighted = NAN};
    for (size_t i = 0; i < log->n; i++) {
        MR_TRY(mr_ticker_call(tick));
        const double *x = log->x + i * log->width;
        double r = log->reward[i];
        if (mr_bandit_choose(b, x) != log->arm[i]) continue;
        mr_bandit_learn(b, log->arm[i], x, r);
        out->matched++;
        out->sum += r;
        out->squares += r * r;
        weighted += r / log->propensity[i];
        weights += 1 / log->propensity[i];
    }
    if (out->matched) out->weighted = weighted / weights;
    return MR_OK;
}
