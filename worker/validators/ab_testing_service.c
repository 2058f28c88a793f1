/* ab_testing_service: did an arm of an experiment do better? Tests for a number of rows planned before, tests
 * that stay valid however often one looks, beliefs, CUPED and learnt strata to see smaller effects, and a
 * check that the split is the planned one. Partials are exact sums by look and a bottom-k sample for the
 * strata, so batches and workers cannot change the outcome. docs/components/ab_testing_service.md */
#include "worker/component.h"
#include "worker/kit/arms.h"
#include "worker/kit/dist.h"
#include "worker/kit/put.h"
#include "worker/kit/roles.h"
#include "worker/kit/text.h"
#include "worker/kit/training.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { RESERVE = 3 << 20 /* of a partial, for the sums */ };
static const double VALUE_MAX = 1e140;
static const char *const horizons[] = {"any", "fixed", "group", NULL};
static const char *const bound_words[] = {"obrien_fleming", "pocock", NULL};

typedef struct ab_config {
    double alpha, power, effect, mixing;
    int64_t first_look, strata, sample, horizon, planned_looks, bounds;
    bool lower_is_better;
    char control[MR_OPTION_TEXT], split[MR_OPTION_TEXT], pre[MR_OPTION_TEXT];
} ab_config;

#define AT(field) .offset = offsetof(ab_config, field)
static const mr_option options[] = {
    {.name = "alpha",
     .type = MR_OPT_NUMBER,
     AT(alpha),
     .def = "0.05",
     .min = 0.0001,
     .max = 0.5,
     .help = "how often no difference at all may be called one"},
    {.name = "power",
     .type = MR_OPT_NUMBER,
     AT(power),
     .def = "0.8",
     .min = 0.5,
     .max = 0.999,
     .help = "how often a difference of `effect` should be found"},
    {.name = "effect",
     .type = MR_OPT_NUMBER,
     AT(effect),
     .def = "0.2",
     .min = 0.001,
     .max = 10,
     .unit = "sd",
     .help = "the difference that the sequential probability ratio test asks for, in standard deviations"},
    {.name = "horizon",
     .type = MR_OPT_CHOICE,
     AT(horizon),
     .def = "any",
     .choices = horizons,
     .help =
         "any: the verdict holds however often one looks; fixed: one look was planned; group: planned_looks"},
    {.name = "planned_looks",
     .type = MR_OPT_INT,
     AT(planned_looks),
     .def = "5",
     .min = 1,
     .max = MR_PLANNED_LOOKS,
     .help = "group sequential: how many looks, equally spaced over the rows"},
    {.name = "bounds",
     .type = MR_OPT_CHOICE,
     AT(bounds),
     .def = "obrien_fleming",
     .choices = bound_words,
     .help = "group sequential: the shape of the bounds"},
    {.name = "mixing",
     .type = MR_OPT_NUMBER,
     AT(mixing),
     .def = "0.1",
     .min = 0.001,
     .max = 10,
     .unit = "sd",
     .help = "the size of effects that the always-valid test is best at, in standard deviations"},
    {.name = "first_look",
     .type = MR_OPT_INT,
     AT(first_look),
     .def = "50",
     .min = 10,
     .max = 1000000,
     .unit = "rows",
     .help = "rows in each arm before the first look counts"},
    {.name = "control",
     .type = MR_OPT_TEXT,
     AT(control),
     .help = "the arm that the others are compared with; empty: the first by number or name"},
    {.name = "split",
     .type = MR_OPT_TEXT,
     AT(split),
     .help = "planned shares of the arms in their order, as 1:1 or 90:10; empty: equal"},
    {.name = "pre",
     .type = MR_OPT_TEXT,
     AT(pre),
     .help =
         "column measured before the treatment, for CUPED; empty: one named pre, pre_..., ..._pre, baseline"},
    {.name = "strata",
     .type = MR_OPT_INT,
     AT(strata),
     .def = "8",
     .min = 0,
     .max = MR_STRATA_LEAVES,
     .help = "strata to learn from the feature columns in each half of the rows; 0 or 1: none"},
    {.name = "sample",
     .type = MR_OPT_INT,
     AT(sample),
     .def = "100000",
     .min = 64,
     .max = 200000,
     .unit = "rows",
     .help = "rows to keep for the strata; of more a uniform sample is drawn"},
    {.name = "lower_is_better",
     .type = MR_OPT_BOOL,
     AT(lower_is_better),
     .def = "false",
     .help = "a lower outcome is the better one"},
    MR_OPTION_END};

static const mr_field outputs[] = {
    {"rows", MR_FIELD_INTEGER, "rows", "rows with an arm and an outcome", MR_FOLD_NONE},
    {"left_out", MR_FIELD_INTEGER, "rows", "rows without", MR_FOLD_NONE},
    {"proportion", MR_FIELD_BOOL, NULL, "every outcome is 0 or 1", MR_FOLD_NONE},
    {"control", MR_FIELD_TEXT, NULL, "the arm that the others are compared with", MR_FOLD_NONE},
    {"arms", MR_FIELD_LIST, NULL,
     "for each arm a map: arm, n, mean, sd, interval (Wilson's for proportions, else Student's t)",
     MR_FOLD_NONE},
    {"srm", MR_FIELD_MAP, NULL,
     "is the split the planned one: test, statistic, df, p, n, ok (p at least 0.001), expected (rows by arm)",
     MR_FOLD_NONE},
    {"covariate", MR_FIELD_TEXT, NULL, "the column that CUPED used", MR_FOLD_NONE},
    {"comparisons", MR_FIELD_LIST, NULL,
     "for each arm but the control a map: arm, n (control, arm), verdict, difference (arm minus control), "
     "interval, relative (difference by the mean of the control), test, statistic, df, p, p_holm, cohen_d, "
     "cohen_d_interval, detectable_d; sequential: "
     "test, p, p_holm, interval, looks, decided_at; sprt: log_ratio, lower, upper, decision, decided_at; "
     "group: bounds, z, decided_at; bayes: "
     "better, loss, loss_control; cuped; strata",
     MR_FOLD_NONE},
    {"look_rows", MR_FIELD_LIST, "rows", "first comparison: position up to which each look goes",
     MR_FOLD_NONE},
    {"look_differences", MR_FIELD_NUMBERS, NULL, "the difference at each look", MR_FOLD_NONE},
    {"look_p", MR_FIELD_NUMBERS, NULL, "the always-valid p at each look", MR_FOLD_NONE},
    {"look_fixed_p", MR_FIELD_NUMBERS, NULL,
     "the p that a test for a planned number of rows would have shown", MR_FOLD_NONE},
    {0}};

static mr_status refuse(mr_ctx *ctx, const mr_error *err) {
    return mr_refuse(ctx, err->status, "%s", err->text);
}

static mr_status tick(void *ctx) { return mr_tick(ctx); }

/* ---- rows ---- */

typedef struct part {
    mr_names names; /* feature columns */
    mr_experiment e;
    mr_sample sample; /* rows: features, key of the arm, outcome */
    bool sampled;
} part;

static bool is_pre(const char *name) {
    size_t n = strlen(name);
    return strcmp(name, "pre") == 0 || strcmp(name, "baseline") == 0 || strncmp(name, "pre_", 4) == 0 ||
           (n > 4 && strcmp(name + n - 4, "_pre") == 0);
}

/* The covariate's column, or -1. */
static mr_status find_pre(const ab_config *o, mr_names names, int *out, mr_error *err) {
    *out = -1;
    for (uint32_t j = 0; j < names.count; j++) {
        if (!(o->pre[0] ? strcmp(names.items[j], o->pre) == 0 : is_pre(names.items[j]))) continue;
        *out = (int)j;
        return MR_OK;
    }
    if (!o->pre[0]) return MR_OK;
    return mr_fail(err, MR_E_INVALID, "there is no number column '%.80s' for CUPED", o->pre);
}

static void part_init(part *p, mr_ctx *ctx, const ab_config *o, mr_names names, bool covariate,
                      uint64_t last) {
    size_t width = names.count + (size_t)2, k = mr_sample_fits(MR_PARTIAL_MAX - RESERVE, width);
    p->names = names;
    p->sampled = o->strata > 1 && names.count > 0;
    mr_experiment_init(&p->e, mr_ctx_arena(ctx), covariate, last);
    if (k > (size_t)o->sample) k = (size_t)o->sample;
    mr_sample_init(&p->sample, mr_ctx_arena(ctx), mr_ctx_seed(ctx), k, width);
}

/* Numbers as text, the last that differ: a treatment has few values. */
typedef struct number_names {
    size_t count;
    double value[MR_ARMS];
    char text[MR_ARMS][MR_NUMBER_TEXT];
} number_names;

static mr_span name_of_number(number_names *names, double v) {
    for (size_t k = 0; k < names->count && k < MR_ARMS; k++)
        if (names->value[k] == v) return mr_span_of(names->text[k]);
    size_t at = names->count++ % MR_ARMS;
    names->value[at] = v;
    mr_number_text(v, names->text[at]);
    return mr_span_of(names->text[at]);
}

/* The name of a row's arm; empty for none. */
static mr_span arm_of(const mr_batch *b, size_t i, number_names *names) {
    const double *v = b->number[MR_NUM_TREATMENT];
    if (b->columns & MR_COL_TREATMENT && v) return isnan(v[i]) ? (mr_span){NULL, 0} : name_of_number(names, v[i] + 0.0);
    return b->text[MR_TEXT_LABEL] ? b->text[MR_TEXT_LABEL][i] : (mr_span){NULL, 0};
}

static mr_status add_row(part *p, const mr_batch *b, size_t i, mr_span arm, double y, int pre, double *row,
                         mr_error *err) {
    uint32_t number;
    uint64_t position = b->first + i;
    const double *x = b->width ? b->features + i * b->width : NULL;
    MR_TRY(mr_experiment_arm(&p->e, arm, &number, err));
    MR_TRY(mr_experiment_add(&p->e, position, number, y, pre >= 0 ? x[pre] : 0, err));
    if (!p->sampled) return MR_OK;
    if (x) memcpy(row, x, b->width * sizeof *row);
    row[b->width] = mr_class_key(arm);
    row[b->width + 1] = y;
    return mr_sample_add(&p->sample, position, row, err);
}

static mr_status add_rows(mr_ctx *ctx, const mr_batch *b, part *p, int pre, mr_error *err) {
    const char *role;
    const double *y = mr_role_result(b, &role);
    double *row = mr_ctx_alloc(ctx, b->width + (size_t)2, sizeof *row);
    number_names names = {0};
    if (!row) return mr_fail(err, MR_E_MEMORY, "no memory for a row");
    if (!y)
        return mr_fail(err, MR_E_INVALID, "there is no outcome; bind a column with --role outcome=COLUMN");
    for (size_t i = 0; i < b->rows; i++) {
        MR_TRY(mr_tick(ctx));
        mr_span arm = arm_of(b, i, &names);
        if (arm.len == 0 || isnan(y[i])) {
            p->e.left_out++;
            continue;
        }
        if (!(fabs(y[i]) <= VALUE_MAX))
            return mr_fail(err, MR_E_INVALID, "row %llu: %s is %g, beyond 1e140",
                           (unsigned long long)(b->first + i), role, y[i]);
        MR_TRY(add_row(p, b, i, arm, y[i], pre, row, err));
    }
    return MR_OK;
}

static mr_status put_part(part *p, mr_buf *out, mr_error *err) {
    MR_TRY(mr_sample_sort(&p->sample, err));
    mr_pack_array(out, 3);
    mr_pack_names(out, p->names);
    mr_experiment_pack(&p->e, out);
    mr_sample_pack(&p->sample, out);
    return MR_OK;
}

static mr_status process(mr_ctx *ctx, const void *config, const mr_batch *b, mr_out *out) {
    const ab_config *o = config;
    mr_error err = {0};
    part p;
    int pre;
    mr_names names = {b->width, b->feature_names};
    mr_status status = find_pre(o, names, &pre, &err);
    if (status == MR_OK && b->width > 0 && (pre >= 0 || o->strata > 1))
        status = mr_check_features(b, MR_TRAINING_WIDTH, &err);
    if (status != MR_OK) return refuse(ctx, &err);
    part_init(&p, ctx, o, names, pre >= 0, b->first + (b->rows ? b->rows - 1 : 0));
    status = add_rows(ctx, b, &p, pre, &err);
    if (status == MR_OK) status = put_part(&p, mr_out_partial_buf(out), &err);
    return err.status == MR_OK ? status : refuse(ctx, &err);
}

/* ---- merge ---- */

/* The names, and where the rest begins. */
static mr_status open_part(mr_ctx *ctx, mr_span bytes, mr_unpack *u, mr_names *names, mr_error *err) {
    uint32_t items;
    mr_unpack_init(u, bytes);
    MR_TRY(mr_unpack_array(u, 3, &items, err));
    return mr_unpack_names(u, mr_ctx_arena(ctx), names, err);
}

static mr_status open_all(mr_ctx *ctx, const ab_config *o, const mr_partials *all, part *p, mr_error *err) {
    uint64_t last = 0, one;
    bool covariate = false;
    mr_names names, first = {0, NULL};
    mr_unpack u;
    for (uint32_t i = 0; i < all->count; i++) {
        MR_TRY(open_part(ctx, all->items[i], &u, &names, err));
        if (i == 0) first = names;
        MR_TRY(mr_same_names(names, first, "the batches before", err));
        MR_TRY(mr_experiment_last((mr_span){u.at, (size_t)(u.end - u.at)}, &one, &covariate, err));
        if (one > last) last = one;
    }
    part_init(p, ctx, o, first, covariate, last);
    for (uint32_t i = 0; i < all->count; i++) {
        MR_TRY(mr_tick(ctx));
        MR_TRY(open_part(ctx, all->items[i], &u, &names, err));
        MR_TRY(mr_experiment_add_packed(&p->e, &u, err));
        MR_TRY(mr_sample_add_packed(&p->sample, &u, err));
    }
    return MR_OK;
}

/* ---- what came of it ---- */

typedef struct result {
    const ab_config *o;
    const part *p;
    mr_arms m;
} result;

static mr_span name_of(const result *r, uint32_t arm) { return r->p->e.arm[arm]; }

static void put_test(mr_out *out, const mr_test *t) {
    mr_out_text(out, "test", "%s", t->name);
    mr_out_number(out, "statistic", t->statistic);
    mr_out_number(out, "df", t->df);
    mr_out_number(out, "p", t->p);
}

static void put_arm(const result *r, uint32_t arm, mr_out *out) {
    const mr_arm_sums *s = &r->m.sums[arm];
    double low, high, level = 1 - r->o->alpha, margin;
    if (r->m.proportion) {
        mr_wilson(round(s->y * s->n), s->n, level, &low, &high);
    } else {
        margin = mr_t_quantile(1 - r->o->alpha / 2, s->n - 1) * sqrt(s->var_y / s->n);
        low = s->y - margin, high = s->y + margin;
    }
    mr_out_open_map(out, NULL);
    mr_out_span(out, "arm", name_of(r, arm));
    mr_out_integer(out, "n", (int64_t)s->n);
    mr_out_number(out, "mean", s->y);
    mr_out_number(out, "sd", sqrt(s->var_y));
    mr_put_pair(out, "interval", low, high);
    mr_out_close(out);
}

static void put_split(const result *r, mr_out *out) {
    const mr_arms *m = &r->m;
    mr_out_open_map(out, "srm");
    put_test(out, &m->srm);
    mr_out_integer(out, "n", (int64_t)r->p->e.rows);
    mr_out_bool(out, "ok", m->srm.p >= MR_SRM_ALPHA);
    mr_out_numbers(out, "expected", m->expected, m->count);
    mr_out_close(out);
    if (m->srm.p >= MR_SRM_ALPHA) return;
    mr_out_finding(out, 1,
                   "the split is not the planned one (%s: p = %.2g, n = %llu): something other than chance "
                   "decides who is in which arm, so no comparison can be trusted; look for lost rows first",
                   m->srm.name, m->srm.p, (unsigned long long)r->p->e.rows);
}

static void put_decided(mr_out *out, uint64_t at) {
    if (at)
        mr_out_integer(out, "decided_at", (int64_t)at);
    else
        mr_out_nil(out, "decided_at");
}

static void put_sequential(const result *r, const mr_comparison *c, mr_out *out) {
    static const char *const decisions[] = {"no such effect", "go on", "effect"};
    mr_sprt_bounds bounds = mr_sprt_bounds_of(r->o->alpha, 1 - r->o->power);
    size_t planned = (size_t)r->o->planned_looks;
    mr_out_open_map(out, "sequential");
    mr_out_text(out, "test", "mixture sequential probability ratio");
    mr_out_number(out, "p", c->any_p);
    mr_out_number(out, "p_holm", c->any_p_holm);
    mr_put_pair(out, "interval", c->difference - c->margin, c->difference + c->margin);
    mr_out_integer(out, "looks", (int64_t)c->looks);
    put_decided(out, c->crossed_at);
    mr_out_close(out);
    mr_out_open_map(out, "sprt");
    mr_out_number(out, "log_ratio", c->sprt_ratio);
    mr_out_number(out, "lower", bounds.low);
    mr_out_number(out, "upper", bounds.high);
    mr_out_text(out, "decision", "%s", decisions[c->sprt + 1]);
    put_decided(out, c->sprt_at);
    mr_out_close(out);
    mr_out_open_map(out, "group");
    mr_out_numbers(out, "bounds", r->m.group.z, planned);
    mr_out_numbers(out, "z", c->group_z, planned);
    put_decided(out, c->group_at);
    mr_out_close(out);
}

static void put_belief(const result *r, const mr_comparison *c, mr_out *out) {
    const mr_belief *b = &c->belief;
    bool low = r->o->lower_is_better;
    mr_out_open_map(out, "bayes");
    mr_out_number(out, "better", low ? 1 - b->better : b->better);
    mr_out_number(out, "loss", low ? b->loss0 : b->loss1);
    mr_out_number(out, "loss_control", low ? b->loss1 : b->loss0);
    mr_out_close(out);
}

static void put_cuped(const result *r, const mr_comparison *c, mr_out *out) {
    const mr_cuped *u = &c->cuped;
    if (!r->p->e.covariate) return;
    mr_out_open_map(out, "cuped");
    mr_out_number(out, "theta", u->theta);
    mr_out_number(out, "difference", u->difference);
    mr_put_pair(out, "interval", u->low, u->high);
    put_test(out, &u->test);
    mr_out_number(out, "variance_cut", u->reduction);
    mr_out_number(out, "variance_cut_predicted", u->predicted);
    mr_out_number(out, "balance_p", u->balance.p);
    mr_out_close(out);
    mr_out_finding(
        out, 0.6,
        "arm %.*s with CUPED: the difference is %.4g (%g %% interval %.4g to %.4g; one-look Welch p = "
        "%.2g, n = %.0f and %.0f); the variance is cut by %.0f %%, where the correlation with the covariate "
        "predicts %.0f %%",
        MR_SPAN_ARG(name_of(r, c->arm)), u->difference, 100 * (1 - r->o->alpha), u->low, u->high, u->test.p,
        c->s0.n, c->s1.n, 100 * u->reduction, 100 * u->predicted);
    if (u->balance.p < MR_SRM_ALPHA)
        mr_out_finding(out, 0.95,
                       "the covariate already differs between arm %.*s and the control (Welch p = %.2g, n = "
                       "%.0f and %.0f), so it "
                       "was not measured before the treatment, or the arms were not drawn by chance",
                       MR_SPAN_ARG(name_of(r, c->arm)), u->balance.p, c->s0.n, c->s1.n);
}

static void put_strata(const result *r, const mr_comparison *c, mr_out *out) {
    const mr_strata *s = &c->strata;
    if (s->n == 0) return;
    double se = sqrt(s->variance), half = mr_normal_quantile(1 - r->o->alpha / 2) * se;
    mr_out_open_map(out, "strata");
    mr_out_integer(out, "n", (int64_t)s->n);
    mr_out_integer(out, "strata", (int64_t)s->strata);
    mr_out_number(out, "difference", s->difference);
    mr_put_pair(out, "interval", s->difference - half, s->difference + half);
    mr_out_text(out, "test", "stratified z");
    mr_out_number(out, "statistic", s->difference / se);
    mr_out_number(out, "p", 2 * mr_normal_sf(fabs(s->difference) / se));
    mr_out_number(out, "variance_cut", 1 - s->variance / s->plain_variance);
    mr_out_close(out);
    if (!(s->variance > 0)) return; /* the outcome does not vary */
    mr_out_finding(
        out, 0.55,
        "arm %.*s with %zu strata learnt from the columns: the difference is %.4g (%g %% interval %.4g to "
        "%.4g, n = %zu); the variance is cut by %.0f %%",
        MR_SPAN_ARG(name_of(r, c->arm)), s->strata, s->difference, 100 * (1 - r->o->alpha),
        s->difference - half, s->difference + half, s->n, 100 * (1 - s->variance / s->plain_variance));
}

static void put_comparison(const result *r, const mr_comparison *c, mr_out *out) {
    mr_out_open_map(out, NULL);
    mr_out_span(out, "arm", name_of(r, c->arm));
    mr_out_integers(out, "n", (int64_t[]){(int64_t)c->s0.n, (int64_t)c->s1.n}, 2);
    mr_out_text(out, "verdict", "%s", c->verdict);
    mr_out_number(out, "difference", c->difference);
    mr_put_pair(out, "interval", c->low, c->high);
    mr_out_number(out, "relative", c->s0.y != 0 ? c->difference / fabs(c->s0.y) : NAN);
    put_test(out, &c->test);
    mr_out_number(out, "p_holm", c->p_holm);
    mr_out_number(out, "cohen_d", c->effect.d);
    mr_put_pair(out, "cohen_d_interval", c->effect.d_low, c->effect.d_high);
    mr_out_number(out, "detectable_d", c->detectable);
    put_sequential(r, c, out);
    put_belief(r, c, out);
    put_cuped(r, c, out);
    put_strata(r, c, out);
    mr_out_close(out);
}

static void put_verdict(const result *r, const mr_comparison *c, mr_out *out) {
    mr_span arm = name_of(r, c->arm), control = name_of(r, r->m.control);
    bool decided = c->verdict[0] == 'b' || c->verdict[0] == 'w';
    double unit = r->m.proportion ? 100 : 1;
    char test[96], interval[160];
    bool any = r->o->horizon == MR_HORIZON_ANY && !isnan(c->margin);
    double low = any ? c->difference - c->margin : c->low, high = any ? c->difference + c->margin : c->high;
    if (r->m.proportion) low = fmax(low, -1), high = fmin(high, 1); /* no share moves by more */
    switch ((mr_horizon)r->o->horizon) {
    case MR_HORIZON_ANY:
        snprintf(test, sizeof test, "always-valid mixture SPRT %s",
                 isnan(c->any_p_holm) ? "has not looked yet" : mr_say_p(c->any_p_holm).text);
        break;
    case MR_HORIZON_FIXED:
        snprintf(test, sizeof test, "%s %s", c->test.name, mr_say_p(c->p_holm).text);
        break;
    case MR_HORIZON_GROUP:
        snprintf(test, sizeof test, "group sequential bounds (%s), %lld looks", bound_words[r->o->bounds],
                 (long long)r->o->planned_looks);
        break;
    }
    snprintf(interval, sizeof interval, "%+.4g%s (%g %% interval%s %.4g to %.4g)", unit * c->difference,
             unit > 1 ? " points" : "", 100 * (1 - r->o->alpha), any ? " for any number of looks" : "",
             unit * low, unit * high);
    if (decided)
        mr_out_finding(out, 0.9, "arm %.*s does %s than arm %.*s: %s; %s%s, n = %.0f and %.0f",
                       MR_SPAN_ARG(arm), c->verdict, MR_SPAN_ARG(control), interval, test,
                       r->m.comparisons == 1               ? ""
                       : r->o->horizon == MR_HORIZON_GROUP ? " at alpha by Bonferroni"
                                                           : " after Holm's correction",
                       c->s0.n, c->s1.n);
    else if (c->verdict[0] == 'u')
        mr_out_finding(
            out, 0.8,
            "no difference of arms %.*s and %.*s is shown yet: %s; %s, n = %.0f and %.0f; %.2g standard "
            "deviations would be found with %.0f %% power",
            MR_SPAN_ARG(arm), MR_SPAN_ARG(control), interval, test, c->s0.n, c->s1.n, c->detectable,
            100 * r->o->power);
    if (!decided && r->o->horizon != MR_HORIZON_FIXED && c->verdict[0] == 'u' && c->p_holm < r->o->alpha)
        mr_out_finding(
            out, 0.7,
            "a test that allows one look only (%s, p = %.2g, n = %.0f and %.0f) calls it a difference; "
            "that counts only if the number of rows was planned before (horizon=fixed)",
            c->test.name, c->p_holm, c->s0.n, c->s1.n);
}

static void put_result(const result *r, const char *covariate, mr_out *out) {
    const mr_arms *m = &r->m;
    mr_out_integer(out, "rows", (int64_t)r->p->e.rows);
    mr_out_integer(out, "left_out", (int64_t)r->p->e.left_out);
    mr_out_bool(out, "proportion", m->proportion);
    mr_out_span(out, "control", name_of(r, m->control));
    mr_out_open_list(out, "arms");
    for (uint32_t i = 0; i < m->count; i++) put_arm(r, m->order[i], out);
    mr_out_close(out);
    put_split(r, out);
    if (covariate) mr_out_text(out, "covariate", "%s", covariate);
    mr_out_open_list(out, "comparisons");
    for (uint32_t k = 0; k < m->comparisons; k++) put_comparison(r, &m->c[k], out);
    mr_out_close(out);
    mr_out_integers(out, "look_rows", m->look_row, m->looks);
    mr_out_numbers(out, "look_differences", m->look_d, m->looks);
    mr_out_numbers(out, "look_p", m->look_p, m->looks);
    mr_out_numbers(out, "look_fixed_p", m->look_fixed, m->looks);
    for (uint32_t k = 0; k < m->comparisons; k++) put_verdict(r, &m->c[k], out);
}

static mr_status finish(mr_ctx *ctx, const ab_config *o, part *p, mr_out *out, mr_error *err) {
    result *r = mr_ctx_alloc(ctx, 1, sizeof *r);
    mr_arms_options options_of = {.alpha = o->alpha,
                                  .power = o->power,
                                  .effect = o->effect,
                                  .mixing = o->mixing,
                                  .first_look = (double)o->first_look,
                                  .strata = (size_t)o->strata,
                                  .seed = mr_ctx_seed(ctx),
                                  .horizon = (mr_horizon)o->horizon,
                                  .planned_looks = (size_t)o->planned_looks,
                                  .bounds = o->bounds ? MR_BOUND_POCOCK : MR_BOUND_OBRIEN_FLEMING,
                                  .lower_is_better = o->lower_is_better,
                                  .control = o->control,
                                  .split = o->split};
    int pre;
    if (!r) return mr_fail(err, MR_E_MEMORY, "no memory for the comparisons");
    *r = (result){.o = o, .p = p};
    MR_TRY(find_pre(o, p->names, &pre, err));
    MR_TRY(mr_sample_sort(&p->sample, err));
    MR_TRY(mr_arms_analyse(&p->e, &p->sample, p->sampled ? p->names.count : 0, &options_of, mr_ctx_arena(ctx),
                           &(mr_ticker){tick, ctx}, &r->m, err));
    put_result(r, pre >= 0 ? p->names.items[pre] : NULL, out);
    return MR_OK;
}

static mr_status merge(mr_ctx *ctx, const void *config, const mr_partials *partials, mr_out *out) {
    mr_error err = {0};
    part *p = mr_ctx_alloc(ctx, 1, sizeof *p);
    if (!p) return MR_E_MEMORY;
    mr_status status = open_all(ctx, config, partials, p, &err);
    if (status == MR_OK && partials->last)
        status = finish(ctx, config, p, out, &err);
    else if (status == MR_OK)
        status = put_part(p, mr_out_partial_buf(out), &err);
    return err.status == MR_OK ? status : refuse(ctx, &err);
}

/* z and p by statsmodels, proportions_ztest([15, 8], [20, 20]). */
static const mr_example examples[] = {
    {.title = "15 of 20 against 8 of 20",
     .input =
         "arm,ok\n0,1\n0,1\n0,1\n0,1\n0,1\n0,1\n0,1\n0,1\n0,0\n0,0\n0,0\n0,0\n0,0\n0,0\n0,0\n0,0\n0,0\n"
         "0,0\n0,0\n0,0\n1,1\n1,1\n1,1\n1,1\n1,1\n1,1\n1,1\n1,1\n1,1\n1,1\n1,1\n1,1\n1,1\n1,1\n1,1\n1,0\n"
         "1,0\n1,0\n1,0\n1,0\n",
     .options = "horizon=fixed",
     .roles = "treatment=arm,success=ok",
     .expect = "{\"rows\": 40, \"proportion\": true, \"control\": \"0\", \"comparisons\": [{\"statistic\": "
               "2.2389255735252, \"p\": 0.0251607592004088}], \"srm\": {\"p\": 1, \"ok\": true}}"},
    {0}};

const mr_component mr_component_ab_testing_service = {
    .name = "ab_testing_service",
    .summary = "did an arm of an experiment do better: fixed and always-valid tests, beliefs, CUPED, strata",
    .kind = MR_VALIDATOR,
    .shape = MR_MERGE,
    .tier = 4,
    .version = 2,
    .columns = 0,
    .columns_wanted =
        MR_COL_FEATURES | MR_COL_TREATMENT | MR_COL_LABEL | MR_COL_OUTCOME | MR_COL_SUCCESS | MR_COL_SCORE,
    .capabilities = (const char *const[]){"experiment", "sequential test", "CUPED", "stratification", NULL},
    .options = options,
    .config_size = sizeof(ab_config),
    .outputs = outputs,
    .examples = examples,
    .deadline_ms = 120000,
    .memory_mb = 512,
    .process = process,
    .merge = merge,
};
