/* multi_armed_bandit: what a log of choices and rewards tells about the arms, which policy would have learnt
 * most from it (replay, Li et al. 2011), and what fixed policies are worth on it (IPS, SNIPS, doubly robust).
 * Every batch gives a bottom-k sample of its choices (worker/kit/sample.h), which merges exactly; the last
 * merge puts them in order. */
#include "worker/component.h"
#include "worker/kit/choice_log.h"
#include "worker/kit/cross_fit.h"
#include "worker/kit/dist.h"
#include "worker/kit/policy_put.h"
#include "worker/kit/put.h"

#include <math.h>

static const char model_magic[] = "bandit-1";
enum { MODEL_MAX = 30 << 20 };
static const double LINEAR_WORK_MAX = 2e10; /* rows x arms x features^2 of a linear policy's replay */

typedef struct bandit_config {
    double epsilon, alpha, lambda, noise, clip;
    int64_t sample, policy;
} bandit_config;

#define NUMBER(field, def_, min_, max_, help_)                                                               \
    {                                                                                                        \
        .name = #field, .type = MR_OPT_NUMBER, .offset = offsetof(bandit_config, field), .def = def_,        \
        .min = min_, .max = max_, .help = help_                                                              \
    }

static const mr_option options[] = {
    NUMBER(epsilon, "0.1", 0, 1, "share of choices that epsilon-greedy makes at random"),
    NUMBER(alpha, "1", 0, 100, "width of the confidence bounds of ucb1 and linucb"),
    NUMBER(lambda, "1", 1e-6, 1e6, "ridge of the linear policies: A = lambda I + X'X"),
    NUMBER(noise, "0.5", 1e-6, 1e6, "standard deviation of rewards in thompson_gaussian and thompson_linear"),
    NUMBER(clip, "0", 0, 1e6, "importance weights above this are cut to it; 0: none is"),
    {.name = "sample",
     .type = MR_OPT_INT,
     .offset = offsetof(bandit_config, sample),
     .def = "200000",
     .min = 100,
     .max = 200000,
     .unit = "rows",
     .help = "choices to keep; of more a uniform sample is drawn"},
    {.name = "policy",
     .type = MR_OPT_CHOICE,
     .offset = offsetof(bandit_config, policy),
     .def = "ucb1",
     .choices = (const char *const[]){"uniform", "epsilon_greedy", "ucb1", "kl_ucb", "thompson_beta",
                                      "thompson_gaussian", "linucb", "thompson_linear", NULL},
     .help = "which policy a stored model follows when it chooses arms for new rows"},
    MR_OPTION_END};

static const mr_field outputs[] = {
    {"rows", MR_FIELD_INTEGER, "rows", "rows seen", MR_FOLD_NONE},
    {"skipped", MR_FIELD_INTEGER, "rows", "rows without an arm, a reward or a propensity", MR_FOLD_NONE},
    {"used", MR_FIELD_INTEGER, "rows", "choices that everything below is computed from", MR_FOLD_NONE},
    {"mean_reward", MR_FIELD_NUMBER, NULL, "what the logging policy earned a choice", MR_FOLD_NONE},
    {"mean_reward_interval", MR_FIELD_NUMBERS, NULL, "95 %, Wilson for rewards of 0 and 1, else normal",
     MR_FOLD_NONE},
    {"propensities", MR_FIELD_TEXT, NULL,
     "logged, or estimated as each arm's share of the choices; uniform or not uniform", MR_FOLD_NONE},
    {"arms", MR_FIELD_LIST, NULL,
     "for each arm: arm, pulls, sum, mean, interval (as above), ucb1 and kl_ucb indices, beta (the "
     "posterior's two "
     "parameters), probability_best, and ips, snips, dr: what always choosing it is worth, with intervals",
     MR_FOLD_NONE},
    {"replay", MR_FIELD_LIST, NULL,
     "for each policy: policy, matched (choices that agree with the log), mean (reward of these), interval, "
     "weighted "
     "(mean corrected by 1/propensity), regret (of the matched choices to always choosing the best arm), "
     "lift "
     "(mean - mean of uniform replay)",
     MR_FOLD_NONE},
    {"off_policy", MR_FIELD_LIST, NULL,
     "for each fixed policy: policy, ips, snips, dr with ips_interval, snips_interval, dr_interval, "
     "largest_weight, "
     "effective_rows. What is learnt for it comes from the other half of the rows",
     MR_FOLD_NONE},
    {"columns", MR_FIELD_LIST, NULL, "names of the context columns", MR_FOLD_NONE},
    {"linear", MR_FIELD_LIST, NULL,
     "for each arm: arm, theta (A^-1 X'y over all its choices); empty without context", MR_FOLD_NONE},
    {"choices", MR_FIELD_LIST, NULL, "apply only: the arm that `policy` chooses for each row", MR_FOLD_NONE},
    {"scores", MR_FIELD_MATRIX, NULL,
     "apply only: rows x arms, what each arm is worth to the policy there (nil: untried)", MR_FOLD_NONE},
    {0}};

static mr_status refuse(mr_ctx *ctx, const mr_error *err) {
    return mr_refuse(ctx, err->status, "%s", err->text);
}

static mr_status tick(void *ctx) { return mr_tick(ctx); }

static mr_status process(mr_ctx *ctx, const void *config, const mr_batch *batch, mr_out *out) {
    const bandit_config *o = config;
    mr_error err = {0};
    mr_choice_log log;
    mr_names names = {batch->width, batch->feature_names};
    mr_status status = mr_choice_log_init(&log, mr_ctx_arena(ctx), mr_ctx_seed(ctx), (size_t)o->sample,
                                          MR_PARTIAL_MAX, names, &err);
    if (status == MR_OK) status = mr_choice_log_add(&log, batch, &(mr_ticker){tick, ctx}, &err);
    if (status == MR_OK) status = mr_sample_sort(&log.sample, &err);
    if (status == MR_OK) status = mr_choice_log_pack(&log, mr_out_partial_buf(out), &err);
    return err.status == MR_OK ? status : refuse(ctx, &err);
}

typedef struct arm {
    double pulls, sum, squares;
} arm;

typedef struct study {
    const bandit_config *options;
    const mr_choice_log *all;
    mr_logged in;
    mr_choices log;
    arm *arms;
    double best_mean, *probability_best;
} study;

static mr_status count_arms(mr_ctx *ctx, study *s, mr_error *err) {
    s->log = s->in.log;
    s->arms = mr_ctx_alloc(ctx, s->log.arms + 1, sizeof *s->arms);
    s->probability_best = mr_ctx_alloc(ctx, s->log.arms + 1, sizeof(double));
    if (!s->arms || !s->probability_best)
        return mr_fail(err, MR_E_MEMORY, "no memory for %zu arms", s->log.arms);
    for (size_t i = 0; i < s->log.n; i++) {
        arm *a = &s->arms[s->log.arm[i]];
        a->pulls++;
        a->sum += s->log.reward[i];
        a->squares += s->log.reward[i] * s->log.reward[i];
    }
    return MR_OK;
}

static mr_status check(const study *s, mr_error *err) {
    if (s->log.n == 0)
        return mr_fail(err, MR_E_INVALID, "none of %llu rows has an arm, a reward and a propensity",
                       (unsigned long long)s->all->rows);
    if (s->log.arms < 2)
        return mr_fail(err, MR_E_INVALID,
                       "all %zu choices are of one arm, so there is nothing to choose between", s->log.n);
    return MR_OK;
}

/* ---- arms ---- */

static mr_value interval(const study *s, double n, double sum, double squares) {
    mr_value v = {n > 0 ? sum / n : NAN, NAN, NAN};
    if (s->in.binary && n > 0) mr_wilson(sum, n, 0.95, &v.low, &v.high);
    if (s->in.binary || n < 2) return v;
    double half = 1.959963984540054 * sqrt(fmax(0, (squares - n * v.value * v.value) / (n - 1)) / n);
    return (mr_value){v.value, v.value - half, v.value + half};
}

static mr_status believe(mr_ctx *ctx, study *s, mr_error *err) {
    mr_arm_belief *belief = mr_ctx_alloc(ctx, s->log.arms, sizeof *belief);
    if (!belief) return mr_fail(err, MR_E_MEMORY, "no memory for %zu arms", s->log.arms);
    double all = 0, squares = 0, n = (double)s->log.n;
    for (size_t a = 0; a < s->log.arms; a++) {
        all += s->arms[a].sum;
        squares += s->arms[a].squares;
    }
    double sd = sqrt(fmax(0, squares / n - all / n * (all / n)));
    s->best_mean = -INFINITY;
    for (size_t a = 0; a < s->log.arms; a++) {
        const arm *m = &s->arms[a];
        if (m->pulls > 0) s->best_mean = fmax(s->best_mean, m->sum / m->pulls);
        belief[a] = s->in.unit ? (mr_arm_belief){1 + m->sum, 1 + m->pulls - m->sum}
                               : (mr_arm_belief){m->pulls > 0 ? m->sum / m->pulls : all / n,
                                                 sd / sqrt(fmax(1, m->pulls))};
    }
    return mr_probability_best(belief, s->log.arms, s->in.unit, s->probability_best, mr_ctx_arena(ctx),
                               &(mr_ticker){tick, ctx}, err);
}

/* ---- fixed policies ---- */

static void weight_finding(const study *s, const char *policy, const mr_off_policy *v, mr_out *out) {
    if (v->effective >= 0.05 * (double)s->log.n) return;
    mr_out_finding(
        out, 0.35,
        "the value of %s rests on few choices: %zu weigh like %.0f equal ones (largest weight %.3g), so its "
        "interval may be too narrow",
        policy, s->log.n, v->effective, v->largest_weight);
}

typedef struct shares {
    double *of[MR_FOLDS];
} shares;

static mr_status shares_alloc(mr_ctx *ctx, size_t arms, shares *v) {
    for (int f = 0; f < MR_FOLDS; f++) {
        v->of[f] = mr_ctx_alloc(ctx, arms, sizeof(double));
        if (!v->of[f]) return MR_E_MEMORY;
    }
    return MR_OK;
}

static void fill_greedy(const study *s, const mr_cross_fit *x, double epsilon, shares *v) {
    for (int f = 0; f < MR_FOLDS; f++) {
        for (size_t a = 0; a < s->log.arms; a++) v->of[f][a] = epsilon / (double)s->log.arms;
        v->of[f][x->half[f].best] += 1 - epsilon;
    }
}

static mr_off_policy greedy_value(const study *s, mr_cross_fit *x, double epsilon, shares *v) {
    fill_greedy(s, x, epsilon, v);
    return mr_cross_shares(x, v->of);
}

static void best_fixed_finding(const study *s, const mr_off_policy *v, double logged, mr_out *out) {
    mr_out_finding(
        out, 0.7,
        "always taking the arm that looks best on the other half of the rows is worth %.4g a choice (doubly "
        "robust, 95 %% %.4g to %.4g, n = %zu); the logging policy earned %.4g%s",
        v->dr.value, v->dr.low, v->dr.high, s->log.n, logged,
        v->dr.low > logged ? "" : ", so a gain is not shown");
}

static mr_status put_off_policy(mr_ctx *ctx, const study *s, mr_cross_fit *x, double logged, mr_out *out) {
    shares v;
    mr_off_policy value;
    MR_TRY(shares_alloc(ctx, s->log.arms, &v));
    mr_out_open_list(out, "off_policy");
    if (s->in.has_target) {
        value = mr_off_policy_value(&s->log, s->in.target, NULL, NULL, s->options->clip);
        mr_put_policy(out, "given", &value);
        mr_out_finding(
            out, 0.8,
            "the evaluated policy (role score) is worth %.4g a choice (SNIPS, 95 %% %.4g to %.4g, n = %zu); "
            "the logging policy earned %.4g",
            value.snips.value, value.snips.low, value.snips.high, s->log.n, logged);
        weight_finding(s, "the evaluated policy", &value, out);
    }
    value = greedy_value(s, x, 1, &v);
    mr_put_policy(out, "uniform", &value);
    value = greedy_value(s, x, 0, &v);
    mr_put_policy(out, "best_arm", &value);
    best_fixed_finding(s, &value, logged, out);
    weight_finding(s, "always taking the best arm", &value, out);
    value = greedy_value(s, x, s->options->epsilon, &v);
    mr_put_policy(out, "epsilon_greedy", &value);
    if (s->in.unit) {
        value = mr_cross_shares(x, (double *const[]){x->half[0].thompson, x->half[1].thompson});
        mr_put_policy(out, "thompson_beta", &value);
    }
    if (x->options.linear) {
        MR_TRY(mr_cross_linear(x, &(mr_ticker){tick, ctx}, &value));
        mr_put_policy(out, "linear", &value);
    }
    mr_out_close(out);
    return MR_OK;
}

static mr_status put_arms(mr_ctx *ctx, const study *s, mr_cross_fit *x, mr_out *out, mr_error *err) {
    mr_bandit ucb, kl;
    shares v;
    mr_bandit_options o = {.alpha = s->options->alpha, .lambda = 1};
    MR_TRY(mr_bandit_init(&ucb, MR_POLICY_UCB1, &o, s->log.arms, 0, 0, mr_ctx_arena(ctx), err));
    MR_TRY(mr_bandit_init(&kl, MR_POLICY_KL_UCB, &o, s->log.arms, 0, 0, mr_ctx_arena(ctx), err));
    MR_TRY(shares_alloc(ctx, s->log.arms, &v));
    for (size_t i = 0; i < s->log.n; i++) {
        mr_bandit_learn(&ucb, s->log.arm[i], NULL, s->log.reward[i]);
        mr_bandit_learn(&kl, s->log.arm[i], NULL, s->log.reward[i]);
    }
    mr_out_open_list(out, "arms");
    for (size_t a = 0; a < s->log.arms; a++) {
        MR_TRY(mr_tick(ctx));
        const arm *m = &s->arms[a];
        mr_value mean = interval(s, m->pulls, m->sum, m->squares);
        double beta[] = {1 + m->sum, 1 + m->pulls - m->sum};
        for (int f = 0; f < MR_FOLDS; f++) {
            if (a > 0) v.of[f][a - 1] = 0;
            v.of[f][a] = 1;
        }
        mr_off_policy value = mr_cross_shares(x, v.of);
        mr_out_open_map(out, NULL);
        mr_out_span(out, "arm", s->in.name[a]);
        mr_out_integer(out, "pulls", (int64_t)m->pulls);
        mr_out_number(out, "sum", m->sum);
        mr_out_number(out, "mean", mean.value);
        mr_put_ends(out, "interval", mean);
        mr_out_number(out, "ucb1", mr_bandit_score(&ucb, a, NULL));
        mr_out_number(out, "kl_ucb", s->in.unit ? mr_bandit_score(&kl, a, NULL) : NAN);
        if (s->in.unit) mr_out_numbers(out, "beta", beta, 2);
        mr_out_number(out, "probability_best", s->probability_best[a]);
        mr_put_off_policy(out, &value);
        mr_out_close(out);
    }
    mr_out_close(out);
    return MR_OK;
}

/* ---- replay ---- */

static bool fits(const study *s, mr_policy p) {
    double w = (double)s->log.width, work = (double)s->log.n * (double)s->log.arms * w * w;
    if (mr_policy_linear(p)) return w > 0 && work <= LINEAR_WORK_MAX;
    return s->in.unit || !mr_policy_unit_reward(p);
}

static mr_status put_replay(mr_ctx *ctx, const study *s, mr_out *out, mr_error *err) {
    mr_bandit_options o = {s->options->epsilon, s->options->alpha, s->options->lambda, s->options->noise};
    mr_policy best = MR_POLICY_UNIFORM;
    mr_value best_value = {NAN, NAN, NAN}, uniform = {NAN, NAN, NAN};
    size_t best_matched = 0;
    mr_out_open_list(out, "replay");
    for (int at = 0; at < MR_POLICIES; at++) {
        mr_policy p = (mr_policy)at;
        mr_bandit b;
        mr_replay r;
        if (!fits(s, p)) continue;
        MR_TRY(mr_bandit_init(&b, p, &o, s->log.arms, mr_policy_linear(p) ? s->log.width : 0,
                              mr_ctx_seed(ctx), mr_ctx_arena(ctx), err));
        MR_TRY(mr_replay_run(&b, &s->log, &(mr_ticker){tick, ctx}, &r));
        mr_value v = interval(s, (double)r.matched, r.sum, r.squares);
        if (p == MR_POLICY_UNIFORM) uniform = v;
        mr_out_open_map(out, NULL);
        mr_out_text(out, "policy", "%s", mr_policy_names[p]);
        mr_out_integer(out, "matched", (int64_t)r.matched);
        mr_out_number(out, "mean", v.value);
        mr_put_ends(out, "interval", v);
        mr_out_number(out, "weighted", r.weighted);
        mr_out_number(out, "regret", (double)r.matched * s->best_mean - r.sum);
        mr_out_number(out, "lift", v.value - uniform.value);
        mr_out_close(out);
        if (p == MR_POLICY_UNIFORM || isnan(v.value) ||
            (!isnan(best_value.value) && v.value <= best_value.value))
            continue;
        best = p;
        best_value = v;
        best_matched = r.matched;
        mr_ctx_progress(ctx, (double)(at + 1) / MR_POLICIES);
    }
    mr_out_close(out);
    if (!isnan(best_value.value))
        mr_out_finding(
            out, 0.6,
            "replayed on the log, %s earned most: %.4g a choice (95 %% %.4g to %.4g, %zu matched choices of "
            "%zu); choosing at random %.4g (%.4g to %.4g)%s",
            mr_policy_names[best], best_value.value, best_value.low, best_value.high, best_matched, s->log.n,
            uniform.value, uniform.low, uniform.high,
            best_value.low > uniform.high ? "" : "; the intervals overlap, so this may be chance");
    return MR_OK;
}

/* What the policies need to go on from here; without a linear part when that would not fit. */
static mr_status put_model(mr_ctx *ctx, const study *s, const mr_bandit *b, mr_out *out, mr_error *err) {
    mr_mem mem = mr_arena_mem(mr_ctx_arena(ctx));
    size_t arms = s->log.arms, w = b->width;
    mr_buf bytes;
    mr_buf_init(&bytes, &mem, MODEL_MAX + (1 << 20));
    if (arms * w * w * sizeof(double) > MODEL_MAX) w = 0;
    mr_pack_array(&bytes, 9);
    mr_pack_text(&bytes, model_magic);
    mr_pack_array(&bytes, (uint32_t)arms);
    for (size_t a = 0; a < arms; a++) mr_pack_str(&bytes, s->in.name[a]);
    mr_pack_names(&bytes, w ? s->all->names : (mr_names){0});
    mr_pack_bool(&bytes, s->in.unit);
    mr_pack_bin(&bytes, (mr_span){(const uint8_t *)b->pulls, arms * sizeof *b->pulls});
    mr_pack_doubles(&bytes, b->sum, arms);
    mr_pack_doubles(&bytes, b->inverse, arms * w * w);
    mr_pack_doubles(&bytes, b->moment, arms * w);
    mr_pack_doubles(&bytes, b->theta, arms * w);
    if (mr_buf_status(&bytes) != MR_OK)
        return mr_fail(err, mr_buf_status(&bytes), "no memory for the model of %zu arms", arms);
    mr_out_artifact(out, "model", "application/x-msgpack", mr_buf_span(&bytes));
    return MR_OK;
}

static mr_status put_linear(mr_ctx *ctx, const study *s, mr_out *out, mr_error *err) {
    mr_bandit b;
    mr_bandit_options o = {.lambda = s->options->lambda};
    size_t width = fits(s, MR_POLICY_LINUCB) ? s->log.width : 0;
    MR_TRY(mr_bandit_init(&b, MR_POLICY_LINUCB, &o, s->log.arms, width, 0, mr_ctx_arena(ctx), err));
    for (size_t i = 0; i < s->log.n; i++) {
        MR_TRY(mr_tick(ctx));
        mr_bandit_learn(&b, s->log.arm[i], s->log.x + i * s->log.width, s->log.reward[i]);
    }
    mr_put_names(out, "columns", s->all->names);
    mr_out_open_list(out, "linear");
    for (size_t a = 0; width > 0 && a < s->log.arms; a++) {
        mr_out_open_map(out, NULL);
        mr_out_span(out, "arm", s->in.name[a]);
        mr_out_numbers(out, "theta", b.theta + a * width, width);
        mr_out_close(out);
    }
    mr_out_close(out);
    return put_model(ctx, s, &b, out, err);
}

/* ---- the result ---- */

static void arm_findings(const study *s, mr_out *out) {
    size_t top = 0, few = 0;
    for (size_t a = 1; a < s->log.arms; a++)
        if (s->probability_best[a] > s->probability_best[top]) top = a;
    for (size_t a = 0; a < s->log.arms; a++) few += s->arms[a].pulls < 30;
    const arm *m = &s->arms[top];
    mr_value v = interval(s, m->pulls, m->sum, m->squares);
    double p = s->probability_best[top];
    mr_out_finding(
        out, 0.4 + 0.5 * p,
        "arm %.*s is the most probable best one (%.2f): mean reward %.4g (95 %% %.4g to %.4g, n = %.0f)%s",
        MR_SPAN_ARG(s->in.name[top]), p, v.value, v.low, v.high, m->pulls,
        p < 0.95 ? "; too early to drop the others" : "");
    if (few)
        mr_out_finding(out, 0.3,
                       "%zu of %zu arms were chosen fewer than 30 times, so little is known of them", few,
                       s->log.arms);
}

static void state_findings(const study *s, mr_out *out) {
    if (!s->all->propensities)
        mr_out_finding(
            out, 0.5,
            "no column holds propensities (role treatment), so each arm's share of the choices stands in; "
            "that is right only when the logging policy looked at nothing");
    else if (!s->in.uniform)
        mr_out_finding(
            out, 0.45,
            "the logging policy was not uniform, so the replayed means are biased towards what it liked; "
            "'weighted' and the off-policy values correct for it");
    if (!s->in.unit)
        mr_out_finding(out, 0.2,
                       "rewards are not all from 0 to 1, so kl_ucb and thompson_beta were left out");
    if (s->log.width > 0 && !fits(s, MR_POLICY_LINUCB))
        mr_out_finding(out, 0.3,
                       "the linear policies were left out: %zu choices of %zu arms with %zu features are too "
                       "much work; take fewer of them",
                       s->log.n, s->log.arms, s->log.width);
    if (s->log.n + s->all->skipped < s->all->rows)
        mr_out_finding(out, 0.2, "a uniform sample of %zu of %llu rows was used", s->log.n,
                       (unsigned long long)s->all->rows);
}

static mr_status put_result(mr_ctx *ctx, study *s, mr_out *out, mr_error *err) {
    mr_cross_fit x;
    double sum = 0, squares = 0;
    bool linear = fits(s, MR_POLICY_LINUCB);
    mr_cross_options cross = {s->in.unit, linear, s->options->lambda, s->options->clip};
    MR_TRY(
        mr_cross_fit_init(&x, &s->log, s->in.fold, &cross, mr_ctx_arena(ctx), &(mr_ticker){tick, ctx}, err));
    for (size_t a = 0; a < s->log.arms; a++) {
        sum += s->arms[a].sum;
        squares += s->arms[a].squares;
    }
    mr_value mean = interval(s, (double)s->log.n, sum, squares);
    mr_out_integer(out, "rows", (int64_t)s->all->rows);
    mr_out_integer(out, "skipped", (int64_t)s->all->skipped);
    mr_out_integer(out, "used", (int64_t)s->log.n);
    mr_out_number(out, "mean_reward", mean.value);
    mr_put_ends(out, "mean_reward_interval", mean);
    mr_out_text(out, "propensities", "%s, %s", s->all->propensities ? "logged" : "estimated",
                s->in.uniform ? "uniform" : "not uniform");
    MR_TRY(put_arms(ctx, s, &x, out, err));
    MR_TRY(put_replay(ctx, s, out, err));
    MR_TRY(put_off_policy(ctx, s, &x, mean.value, out));
    MR_TRY(put_linear(ctx, s, out, err));
    arm_findings(s, out);
    state_findings(s, out);
    return MR_OK;
}

static mr_status finish(mr_ctx *ctx, const bandit_config *o, const mr_choice_log *all, mr_out *out,
                        mr_error *err) {
    study s = {.options = o, .all = all};
    MR_TRY(mr_choice_log_order(all, &s.in, err));
    MR_TRY(count_arms(ctx, &s, err));
    MR_TRY(check(&s, err));
    MR_TRY(believe(ctx, &s, err));
    return put_result(ctx, &s, out, err);
}

static mr_status merge(mr_ctx *ctx, const void *config, const mr_partials *partials, mr_out *out) {
    const bandit_config *o = config;
    mr_error err = {0};
    mr_choice_log all = {0};
    mr_status status = MR_OK;
    for (uint32_t i = 0; i < partials->count && status == MR_OK; i++)
        status = mr_choice_log_add_packed(&all, mr_ctx_arena(ctx), mr_ctx_seed(ctx), (size_t)o->sample,
                                          MR_PARTIAL_MAX, partials->items[i], i == 0, &err);
    if (status == MR_OK) status = mr_sample_sort(&all.sample, &err);
    if (status == MR_OK && partials->last)
        status = finish(ctx, o, &all, out, &err);
    else if (status == MR_OK)
        status = mr_choice_log_pack(&all, mr_out_partial_buf(out), &err);
    return err.status == MR_OK ? status : refuse(ctx, &err);
}

/* ---- apply ---- */

typedef struct model {
    mr_names arms, names;
    mr_bandit b;
    bool unit;
} model;

static mr_status read_model(mr_ctx *ctx, const bandit_config *o, mr_span bytes, model *m, mr_error *err) {
    mr_arena *arena = mr_ctx_arena(ctx);
    mr_bandit_options options_of = {o->epsilon, o->alpha, o->lambda, o->noise};
    mr_bandit *b = &m->b;
    mr_unpack u;
    mr_unpack_init(&u, bytes);
    MR_TRY(mr_unpack_magic(&u, model_magic, 9, err));
    MR_TRY(mr_unpack_names(&u, arena, &m->arms, err));
    MR_TRY(mr_unpack_names(&u, arena, &m->names, err));
    size_t arms = m->arms.count, w = m->names.count;
    if (arms < 2 || arms > MR_CHOICE_ARMS_MAX || w > MR_CHOICE_WIDTH_MAX)
        return mr_fail(err, MR_E_CORRUPT, "the model holds %zu arms and %zu columns", arms, w);
    MR_TRY(mr_bandit_init(b, (mr_policy)o->policy, &options_of, arms, 0, 0, arena, err));
    b->width = w;
    MR_TRY(mr_unpack_bool(&u, &m->unit, err));
    MR_TRY(mr_unpack_block(&u, arms, sizeof *b->pulls, arena, &b->pulls, err));
    MR_TRY(mr_unpack_doubles(&u, arms, arena, &b->sum, err));
    MR_TRY(mr_unpack_doubles(&u, arms * w * w, arena, &b->inverse, err));
    MR_TRY(mr_unpack_doubles(&u, arms * w, arena, &b->moment, err));
    MR_TRY(mr_unpack_doubles(&u, arms * w, arena, &b->theta, err));
    for (size_t a = 0; a < arms; a++) {
        if (b->pulls[a] > UINT32_MAX || !(fabs(b->sum[a]) <= 1e150) ||
            (m->unit && !(b->sum[a] >= 0 && b->sum[a] <= (double)b->pulls[a])))
            return mr_fail(err, MR_E_CORRUPT, "the model's arm %zu has impossible counts", a);
        b->total += b->pulls[a];
    }
    return MR_OK;
}

static mr_status check_model(const model *m, const mr_batch *batch, mr_error *err) {
    mr_policy p = m->b.policy;
    if (mr_policy_unit_reward(p) && !m->unit)
        return mr_fail(err, MR_E_INVALID,
                       "%s needs rewards from 0 to 1, and those of the model are not; choose "
                       "another policy",
                       mr_policy_names[p]);
    if (!mr_policy_linear(p)) return MR_OK;
    if (m->names.count == 0)
        return mr_fail(err, MR_E_INVALID, "%s needs a context, and the model has none; choose another policy",
                       mr_policy_names[p]);
    MR_TRY(mr_check_features(batch, MR_CHOICE_WIDTH_MAX, err));
    return mr_same_names((mr_names){batch->width, batch->feature_names}, m->names, "the model", err);
}

/* Each row has a stream of its own, so that batches do not matter. */
static mr_status apply(mr_ctx *ctx, const void *config, const mr_artifact *artifact, const mr_batch *batch,
                       mr_out *out) {
    mr_error err = {0};
    model m = {0};
    if (read_model(ctx, config, artifact->bytes, &m, &err) != MR_OK || check_model(&m, batch, &err) != MR_OK)
        return refuse(ctx, &err);
    size_t arms = m.arms.count, w = mr_policy_linear(m.b.policy) ? batch->width : 0;
    double *score = mr_ctx_alloc(ctx, batch->rows * arms + 1, sizeof *score);
    if (!score) return MR_E_MEMORY;
    mr_out_integer(out, "rows", batch->rows);
    mr_out_open_list(out, "choices");
    for (size_t i = 0; i < batch->rows; i++) {
        MR_TRY(mr_tick(ctx));
        mr_rng_stream(&m.b.rng, mr_ctx_seed(ctx), batch->first + i, (uint64_t)m.b.policy);
        m.b.known = false;
        size_t chosen = mr_bandit_choose(&m.b, w ? batch->features + i * w : NULL);
        mr_out_text(out, NULL, "%s", m.arms.items[chosen]);
        bool rolled = m.b.policy == MR_POLICY_EPSILON_GREEDY; /* may have chosen without looking */
        for (size_t a = 0; a < arms; a++)
            score[i * arms + a] = rolled ? mr_bandit_score(&m.b, a, NULL) : m.b.score[a];
    }
    mr_out_close(out);
    mr_out_matrix(out, "scores", score, batch->rows, arms);
    return MR_OK;
}

/* By hand: UCB1 of a is 0.75 + sqrt(2 ln 8 / 4), IPS of always a (1 + 1 + 1) / 0.5 / 8. */
static const mr_example examples[] = {
    {.title = "two arms, logged at random",
     .input = "arm,click,p\na,1,0.5\nb,0,0.5\na,1,0.5\nb,0,0.5\na,0,0.5\nb,1,0.5\na,1,0.5\nb,0,0.5\n",
     .roles = "item=arm outcome=click treatment=p",
     .expect = "{\"rows\": 8, \"used\": 8, \"mean_reward\": 0.5, \"propensities\": \"logged, uniform\", "
               "\"arms\": [{\"arm\": \"a\", \"pulls\": 4, \"ucb1\": 1.76966699016881, \"ips\": 0.75, "
               "\"beta\": [4, 2]}, {\"arm\": \"b\", \"ips\": 0.25}]}"},
    {0}};

const mr_component mr_component_multi_armed_bandit = {
    .name = "multi_armed_bandit",
    .summary =
        "learns from logged choices which arm is best, which policy learns most, and what policies are worth",
    .kind = MR_LEARNER,
    .shape = MR_MERGE,
    .tier = 2,
    .version = 1,
    .columns_wanted = MR_COL_ITEM | MR_COL_OUTCOME | MR_COL_SUCCESS | MR_COL_TREATMENT | MR_COL_SCORE |
                      MR_COL_TIME | MR_COL_FEATURES,
    .batch_rows = 1024,
    .capabilities = (const char *const[]){"bandit", "replay", "off_policy", NULL},
    .options = options,
    .config_size = sizeof(bandit_config),
    .outputs = outputs,
    .examples = examples,
    .deadline_ms = 300000,
    .memory_mb = 512,
    .process = process,
    .merge = merge,
    .apply = apply,
};
