#include "worker/kit/off_policy.h"

#include "worker/kit/dist.h"

#include <math.h>

static const double Z95 = 1.959963984540054;

static double weight_of(const mr_choices *log, const double *target, double clip, size_t i) {
    double w = target[i] / log->propensity[i];
    return clip > 0 && w > clip ? clip : w;
}

typedef struct moments {
    double sum, squares;
} moments;

static void add(moments *m, double v) {
    m->sum += v;
    m->squares += v * v;
}

static mr_value mean_of(const moments *m, double n) {
    double mean = m->sum / n, var = n > 1 ? fmax(0, (m->squares - n * mean * mean) / (n - 1)) : NAN;
    double half = Z95 * sqrt(var / n);
    return (mr_value){mean, mean - half, mean + half};
}

mr_off_policy mr_off_policy_value(const mr_choices *log, const double *target, const double *model,
                                  const double *fitted, double clip) {
    moments ips = {0, 0}, dr = {0, 0}, weights = {0, 0};
    double n = (double)log->n, spread = 0;
    mr_off_policy out = {.dr = {NAN, NAN, NAN}};
    for (size_t i = 0; i < log->n; i++) {
        double w = weight_of(log, target, clip, i), r = log->reward[i];
        add(&ips, w * r);
        add(&weights, w);
        if (model) add(&dr, model[i] + w * (r - fitted[i]));
        out.largest_weight = fmax(out.largest_weight, w);
    }
    out.ips = mean_of(&ips, n);
    if (model) out.dr = mean_of(&dr, n);
    out.effective = weights.squares > 0 ? weights.sum * weights.sum / weights.squares : 0;
    double value = ips.sum / weights.sum;
    for (size_t i = 0; i < log->n; i++) {
        double d = weight_of(log, target, clip, i) * (log->reward[i] - value);
        spread += d * d;
    }
    double half = Z95 * sqrt(spread) / weights.sum;
    out.snips = weights.sum > 0 ? (mr_value){value, value - half, value + half} : (mr_value){NAN, NAN, NAN};
    return out;
}

/* ---- which arm is best ---- */

enum { CELLS = 511 };

static double cdf(mr_arm_belief b, bool beta, double x) {
    if (beta) return mr_beta_cdf(fmin(1, fmax(0, x)), b.a, b.b);
    return b.b > 0 ? mr_normal_cdf((x - b.a) / b.b) : x >= b.a;
}

static double quantile(mr_arm_belief b, bool beta, double p) {
    return beta ? mr_beta_quantile(p, b.a, b.b) : b.a + b.b * mr_normal_quantile(p);
}

/* The best arm's mean is hardly ever below every arm's own lower end, so the grid starts at the highest of
 * them. */
static void range(const mr_arm_belief *v, size_t arms, bool beta, double *low, double *high) {
    *low = -INFINITY;
    *high = -INFINITY;
    for (size_t a = 0; a < arms; a++) {
        *low = fmax(*low, quantile(v[a], beta, 1e-6));
        *high = fmax(*high, quantile(v[a], beta, 1 - 1e-9));
    }
    if (!(*high > *low)) *high = *low + 1e-9 * (1 + fabs(*low));
}

mr_status mr_probability_best(const mr_arm_belief *belief, size_t arms, bool beta, double *out,
                              mr_arena *arena, const mr_ticker *tick, mr_error *err) {
    double *at = mr_arena_alloc(arena, arms, sizeof(double)),
           *next = mr_arena_alloc(arena, arms, sizeof(double));
    double *after = mr_arena_alloc(arena, arms + 1, sizeof(double)), low, high, total = 0;
    if (!at || !next || !after) return mr_fail(err, MR_E_MEMORY, "no memory for %zu arms", arms);
    range(belief, arms, beta, &low, &high);
    for (size_t a = 0; a < arms; a++) {
        at[a] = cdf(belief[a], beta, low);
        out[a] = 0;
    }
    for (int i = 1; i <= CELLS; i++) {
        MR_TRY(mr_ticker_call(tick));
        for (size_t a = 0; a < arms; a++) next[a] = cdf(belief[a], beta, low + (high - low) * i / CELLS);
        after[arms] = 1; /* products of the other arms' probabilities to be lower, from both ends */
        for (size_t a = arms; a-- > 0;) after[a] = after[a + 1] * (at[a] + next[a]) / 2;
        double before = 1;
        for (size_t a = 0; a < arms; a++) {
            out[a] += (next[a] - at[a]) * before * after[a + 1];
            before *= (at[a] + next[a]) / 2;
            at[a] = next[a];
        }
    }
    for (size_t a = 0; a < arms; a++) total += out[a];
    for (size_t a = 0; a < arms; a++) out[a] = total > 0 ? out[a] / total : 1 / (double)arms;
    return MR_OK;
}
