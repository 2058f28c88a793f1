/* early_stopping_framework: when could one have stopped? With the role item the rows are reports of trials
 * (item, step, value), and rules that stop trials are played on them; without it they are outcomes of one or
 * two groups in their order, and sequential tests are run on them. Every batch gives its rows as a partial
 * (worker/kit/sample.h, nothing left out), so batches and workers cannot change the outcome. */
#include "worker/component.h"
#include "worker/kit/dist.h"
#include "worker/kit/put.h"
#include "worker/kit/report_log.h"
#include "worker/kit/stream.h"
#include "worker/kit/time_order.h"
#include "worker/kit/trials.h"

#include <math.h>
#include <string.h>

typedef struct stop_config {
    double alpha, beta, null, effect, futility, eta, min_resource;
    int64_t looks, planned, goal;
    bool two_sided;
} stop_config;

#define NUMBER(field, def_, min_, max_, help_)                                                               \
    {                                                                                                        \
        .name = #field, .type = MR_OPT_NUMBER, .offset = offsetof(stop_config, field), .def = def_,          \
        .min = min_, .max = max_, .help = help_                                                              \
    }

static const mr_option options[] = {
    NUMBER(alpha, "0.05", 1e-6, 0.4, "type I error of the tests"),
    NUMBER(beta, "0.2", 1e-6, 0.5, "type II error of the tests: 1 - power"),
    {.name = "looks",
     .type = MR_OPT_INT,
     .offset = offsetof(stop_config, looks),
     .def = "5",
     .min = 1,
     .max = MR_LOOKS_MAX,
     .help = "equally spaced looks of the group sequential tests"},
    {.name = "planned",
     .type = MR_OPT_INT,
     .offset = offsetof(stop_config, planned),
     .def = "0",
     .min = 0,
     .max = 1e9,
     .unit = "rows",
     .help = "rows at the last look; 0: as many as there are"},
    {.name = "two_sided",
     .type = MR_OPT_BOOL,
     .offset = offsetof(stop_config, two_sided),
     .def = "true",
     .help = "whether the group sequential tests look for an effect in both directions"},
    NUMBER(null, "0.5", -1e12, 1e12, "mean under the null hypothesis, when there is one group"),
    NUMBER(effect, "0.1", -1e12, 1e12, "difference that the sequential probability ratio test looks for"),
    NUMBER(futility, "0.1", 0, 1, "a test is futile when its predictive power is below this"),
    {.name = "goal",
     .type = MR_OPT_CHOICE,
     .offset = offsetof(stop_config, goal),
     .def = "max",
     .choices = (const char *const[]){"max", "min", NULL},
     .help = "whether large or small values of a trial are good"},
    NUMBER(eta, "3", 1.5, 16, "successive halving, ASHA and Hyperband keep one in this many"),
    NUMBER(min_resource, "1", 1e-9, 1e9, "step of the first rung"),
    MR_OPTION_END};

static const mr_field outputs[] = {
    {"rows", MR_FIELD_INTEGER, "rows", "rows seen", MR_FOLD_NONE},
    {"used", MR_FIELD_INTEGER, "rows", "rows with all that is needed", MR_FOLD_NONE},
    {"kind", MR_FIELD_TEXT, NULL, "trials, two groups or one group", MR_FOLD_NONE},
    {"design", MR_FIELD_LIST, NULL,
     "group sequential bounds: scheme, constant, z and p (two-sided or one-sided, nominal) at each look, "
     "spent "
     "(type I error so far), inflation (largest sample over that of a test with one look and the same "
     "power), "
     "expected_null and expected_effect (mean sample over that of one look, without and with the effect)",
     MR_FOLD_NONE},
    {"looks", MR_FIELD_LIST, NULL,
     "groups: look, rows, share of the planned rows, effect, se, z, predictive_power (to pass the last "
     "O'Brien-Fleming bound, flat prior), futile",
     MR_FOLD_NONE},
    {"decisions", MR_FIELD_LIST, NULL,
     "groups: for each test: test, decision (effect, no effect, no effect shown, futile, open), rows (when "
     "it stopped), saved "
     "(share "
     "of the planned rows)",
     MR_FOLD_NONE},
    {"sprt", MR_FIELD_MAP, NULL, "groups: low and high bounds, log likelihood ratio, rows, decision",
     MR_FOLD_NONE},
    {"trials", MR_FIELD_INTEGER, NULL, "trials that reported", MR_FOLD_NONE},
    {"best", MR_FIELD_MAP, NULL, "trials: the best value of all reports, and its trial", MR_FOLD_NONE},
    {"rules", MR_FIELD_LIST, NULL,
     "trials: for each rule: rule, used (reports), saved (share of all reports), finished (trials run to "
     "their end), "
     "best, best_trial, gap (best of all - best, 0 when nothing was missed), rank (of best_trial among all)",
     MR_FOLD_NONE},
    {"stops", MR_FIELD_LIST, NULL,
     "trials: for each trial: trial, reports, and how many of these each rule let it make", MR_FOLD_NONE},
    {"brackets", MR_FIELD_LIST, NULL, "trials: Hyperband's brackets: s, n (trials), r (first step)",
     MR_FOLD_NONE},
    {0}};

static mr_status refuse(mr_ctx *ctx, const mr_error *err) {
    return mr_refuse(ctx, err->status, "%s", err->text);
}

static mr_status tick(void *ctx) { return mr_tick(ctx); }

static mr_status process(mr_ctx *ctx, const void *config, const mr_batch *batch, mr_out *out) {
    (void)config;
    mr_error err = {0};
    mr_report_log p;
    mr_status status = mr_report_log_init(&p, mr_ctx_arena(ctx), MR_PARTIAL_MAX, &err);
    if (status == MR_OK) status = mr_report_log_add(&p, batch, &(mr_ticker){tick, ctx}, &err);
    if (status == MR_OK) status = mr_sample_sort(&p.reports, &err);
    if (status == MR_OK) status = mr_report_log_pack(&p, mr_out_partial_buf(out), &err);
    return err.status == MR_OK ? status : refuse(ctx, &err);
}

/* ---- groups ---- */

typedef struct groups {
    const stop_config *o;
    mr_stream stream;
    size_t planned;
    double level[2];
    mr_group_design design[MR_BOUNDS];
    double z[MR_LOOKS_MAX];
    size_t rows[MR_LOOKS_MAX], reached; /* looks that the rows reach */
    double predictive[MR_LOOKS_MAX];
} groups;

static mr_status two_levels(const mr_report_log *p, double level[2], mr_error *err) {
    size_t n = p->reports.count;
    level[0] = INFINITY;
    level[1] = -INFINITY;
    for (size_t i = 0; i < n; i++) {
        double v = p->reports.values[i * MR_REPORT_WIDTH + MR_REPORT_TREATMENT];
        level[0] = fmin(level[0], v);
        level[1] = fmax(level[1], v);
    }
    if (!(level[0] < level[1]))
        return mr_fail(err, MR_E_INVALID,
                       "all %zu rows have the same treatment, so there is nothing to compare", n);
    for (size_t i = 0; i < n; i++) {
        double v = p->reports.values[i * MR_REPORT_WIDTH + MR_REPORT_TREATMENT];
        if (v != level[0] && v != level[1])
            return mr_fail(err, MR_E_INVALID,
                           "row %llu: treatment is %g; there are already %g and %g, and only two "
                           "groups can be compared",
                           (unsigned long long)p->reports.row[i], v, level[0], level[1]);
    }
    return MR_OK;
}

static mr_status load_groups(mr_ctx *ctx, const mr_report_log *p, groups *g, mr_error *err) {
    size_t n = p->reports.count;
    double *outcome = mr_ctx_alloc(ctx, n + 1, sizeof *outcome);
    uint8_t *group = mr_ctx_alloc(ctx, n + 1, 1);
    const uint32_t *order =
        mr_time_order(p->reports.values + MR_REPORT_TIME, MR_REPORT_WIDTH, n, mr_ctx_arena(ctx));
    if (!outcome || !group || !order) return mr_fail(err, MR_E_MEMORY, "no memory for %zu outcomes", n);
    if (p->treatment) MR_TRY(two_levels(p, g->level, err));
    g->stream = (mr_stream){n, outcome, p->treatment ? group : NULL, true, g->o->null};
    for (size_t i = 0; i < n; i++) {
        const double *row = p->reports.values + order[i] * (size_t)MR_REPORT_WIDTH;
        outcome[i] = row[MR_REPORT_OUTCOME];
        group[i] = p->treatment && row[MR_REPORT_TREATMENT] == g->level[1];
        g->stream.binary &= outcome[i] == 0 || outcome[i] == 1;
    }
    bool inside =
        g->o->null > 0 && g->o->null < 1 && g->o->null + g->o->effect > 0 && g->o->null + g->o->effect < 1;
    if (!p->treatment && g->stream.binary && !inside)
        return mr_fail(err, MR_E_INVALID,
                       "outcomes are 0 and 1, but null (%g) and null + effect (%g) do not both lie "
                       "between them",
                       g->o->null, g->o->null + g->o->effect);
    if (g->o->effect == 0) return mr_fail(err, MR_E_INVALID, "effect is 0; set the difference that matters");
    g->planned = g->o->planned ? (size_t)g->o->planned : n;
    return MR_OK;
}

static void look_at(groups *g) {
    const mr_group_design *obf = &g->design[MR_BOUND_OBRIEN_FLEMING];
    size_t looks = obf->looks, row = 0;
    mr_stream_state s = {0};
    for (size_t k = 0; k < looks; k++) {
        size_t until = (k + 1) * g->planned / looks;
        if (until > g->stream.n || until == 0) break;
        while (row < until) mr_stream_add(&s, &g->stream, row++);
        mr_stream_effect e = mr_stream_effect_of(&g->stream, &s);
        g->rows[k] = until;
        g->z[k] = e.effect / e.se;
        g->predictive[k] =
            mr_predictive_power(g->z[k], (double)(k + 1) / (double)looks, obf->z[looks - 1], obf->two_sided);
        g->reached = k + 1;
    }
}

typedef struct decision {
    const char *test, *what;
    size_t rows;
} decision;

static decision group_sequential(const groups *g, const mr_group_design *d) {
    for (size_t k = 0; k < g->reached; k++) {
        double z = d->two_sided ? fabs(g->z[k]) : g->z[k];
        if (z >= d->z[k]) return (decision){mr_bound_names[d->kind], "effect", g->rows[k]};
    }
    bool over = g->reached == d->looks;
    return (decision){mr_bound_names[d->kind], over ? "no effect shown" : "open",
                      over ? g->planned : g->stream.n};
}

/* Stops for futility at the first look before the last whose predictive power is too small; else as
 * O'Brien-Fleming. */
static decision with_futility(const groups *g) {
    decision d = group_sequential(g, &g->design[MR_BOUND_OBRIEN_FLEMING]);
    d.test = "obrien_fleming_with_futility";
    for (size_t k = 0; k + 1 < g->design[0].looks && k < g->reached && g->rows[k] < d.rows; k++)
        if (g->predictive[k] < g->o->futility) return (decision){d.test, "futile", g->rows[k]};
    return d;
}

static void put_design(const mr_group_design *d, mr_out *out) {
    double p[MR_LOOKS_MAX];
    for (size_t k = 0; k < d->looks; k++) p[k] = mr_normal_sf(d->z[k]) * (d->two_sided ? 2 : 1);
    mr_out_open_map(out, NULL);
    mr_out_text(out, "scheme", "%s", mr_bound_names[d->kind]);
    mr_out_number(out, "constant", d->constant);
    mr_out_numbers(out, "z", d->z, d->looks);
    mr_out_numbers(out, "p", p, d->looks);
    mr_out_numbers(out, "spent", d->spent, d->looks);
    mr_out_number(out, "inflation", d->inflation);
    mr_out_number(out, "expected_null", d->expected_null);
    mr_out_number(out, "expected_effect", d->expected_drift);
    mr_out_close(out);
}

static mr_status make_designs(mr_ctx *ctx, const stop_config *o, mr_group_design *design, mr_out *out) {
    mr_out_open_list(out, "design");
    for (int kind = 0; kind < MR_BOUNDS; kind++) {
        MR_TRY(mr_tick(ctx));
        design[kind] = mr_group_design_of((mr_bound_kind)kind, (size_t)o->looks, o->alpha,
                                          fmax(1 - o->beta, o->alpha + 1e-3), o->two_sided);
        put_design(&design[kind], out);
    }
    mr_out_close(out);
    return MR_OK;
}

static void put_looks(const groups *g, mr_out *out) {
    mr_stream_state s = {0};
    size_t row = 0;
    mr_out_open_list(out, "looks");
    for (size_t k = 0; k < g->reached; k++) {
        while (row < g->rows[k]) mr_stream_add(&s, &g->stream, row++);
        mr_stream_effect e = mr_stream_effect_of(&g->stream, &s);
        mr_out_open_map(out, NULL);
        mr_out_integer(out, "look", (int64_t)k + 1);
        mr_out_integer(out, "rows", (int64_t)g->rows[k]);
        mr_out_number(out, "share", (double)(k + 1) / (double)g->o->looks);
        mr_out_number(out, "effect", e.effect);
        mr_out_number(out, "se", e.se);
        mr_out_number(out, "z", g->z[k]);
        mr_out_number(out, "predictive_power", g->predictive[k]);
        mr_out_bool(out, "futile", g->predictive[k] < g->o->futility);
        mr_out_close(out);
    }
    mr_out_close(out);
}

static void put_decision(const groups *g, decision d, mr_out *out) {
    double saved = 1 - (double)d.rows / (double)g->planned;
    mr_out_open_map(out, NULL);
    mr_out_text(out, "test", "%s", d.test);
    mr_out_text(out, "decision", "%s", d.what);
    mr_out_integer(out, "rows", (int64_t)d.rows);
    mr_out_number(out, "saved", fmax(0, saved));
    mr_out_close(out);
    if (!strcmp(d.what, "open"))
        mr_out_finding(out, 0.3, "%s has not decided after %zu of %zu planned rows", d.test, d.rows,
                       g->planned);
    else
        mr_out_finding(out, 0.4 + 0.4 * fmax(0, saved),
                       "%s decides '%s' after %zu of %zu rows (%.0f %% saved)", d.test, d.what, d.rows,
                       g->planned, 100 * fmax(0, saved));
}

static void put_sprt(const mr_sprt *t, const char *what, mr_out *out) {
    mr_out_open_map(out, "sprt");
    mr_out_number(out, "low", t->bounds.low);
    mr_out_number(out, "high", t->bounds.high);
    mr_out_number(out, "log_likelihood_ratio", t->ratio);
    mr_out_integer(out, "rows", (int64_t)t->rows);
    mr_out_text(out, "decision", "%s", what);
    mr_out_close(out);
}

static void final_finding(const groups *g, mr_out *out) {
    mr_stream_state s = {0};
    for (size_t i = 0; i < g->stream.n; i++) mr_stream_add(&s, &g->stream, i);
    mr_stream_effect e = mr_stream_effect_of(&g->stream, &s);
    const mr_group_design *d = &g->design[MR_BOUND_OBRIEN_FLEMING];
    if (!(e.se > 0)) {
        mr_out_finding(out, 0.35, "the rows do not vary (%zu rows), so no boundary can be met", g->stream.n);
        return;
    }
    mr_out_finding(
        out, 0.35,
        "over all %zu rows the effect (%s) is %.4g (standard error %.3g, z = %.2f); with %zu looks the last "
        "O'Brien-Fleming bound is %.2f instead of %.2f",
        g->stream.n,
        g->stream.group ? "mean of the larger treatment minus that of the smaller" : "mean minus null",
        e.effect, e.se, e.effect / e.se, d->looks, d->z[d->looks - 1],
        mr_normal_quantile(1 - g->o->alpha / (g->o->two_sided ? 2 : 1)));
}

static mr_status study_groups(mr_ctx *ctx, const stop_config *o, const mr_report_log *p, mr_out *out,
                              mr_error *err) {
    groups g = {.o = o};
    MR_TRY(load_groups(ctx, p, &g, err));
    mr_out_text(out, "kind", "%s", p->treatment ? "two groups" : "one group");
    MR_TRY(make_designs(ctx, o, g.design, out));
    look_at(&g);
    put_looks(&g, out);
    mr_sprt t = mr_sprt_run(&g.stream, o->effect, o->alpha, o->beta);
    const char *what = t.decision > 0 ? "effect" : t.decision < 0 ? "no effect" : "open";
    mr_out_open_list(out, "decisions");
    for (int kind = 0; kind < MR_BOUNDS; kind++) put_decision(&g, group_sequential(&g, &g.design[kind]), out);
    put_decision(&g, with_futility(&g), out);
    put_decision(&g, (decision){"sprt", what, t.rows}, out);
    mr_out_close(out);
    put_sprt(&t, what, out);
    final_finding(&g, out);
    return MR_OK;
}

/* ---- trials ---- */

enum { RULES = 4 };
static const char *const rule_names[RULES] = {"median", "successive_halving", "asha", "hyperband"};

typedef struct races {
    mr_trials trials;
    mr_span *name;
    mr_stopping rule[RULES];
    double sign, best;
    uint32_t best_trial;
} races;

static mr_status load_trials(mr_ctx *ctx, const mr_report_log *p, double sign, races *r, mr_error *err) {
    size_t n = p->reports.count, count = 0;
    mr_report *row = mr_ctx_alloc(ctx, n + 1, sizeof *row);
    uint32_t *number = mr_ctx_alloc(ctx, p->names.count + 1, sizeof *number);
    double *last = mr_ctx_alloc(ctx, p->names.count + 1, sizeof *last);
    bool *seen = mr_ctx_alloc(ctx, p->names.count + 1, sizeof *seen);
    r->name = mr_ctx_alloc(ctx, p->names.count + 1, sizeof *r->name);
    if (!row || !number || !last || !seen || !r->name)
        return mr_fail(err, MR_E_MEMORY, "no memory for %zu reports", n);
    for (size_t i = 0; i < n; i++) {
        const double *from = p->reports.values + i * MR_REPORT_WIDTH;
        double hash = from[MR_REPORT_TRIAL];
        size_t word = hash >= 0 && hash < 0x1p53 ? mr_words_find(&p->names, (uint64_t)hash) : SIZE_MAX;
        if (word == SIZE_MAX) return mr_fail(err, MR_E_CORRUPT, "a stored report names no trial");
        if (!number[word]) {
            r->name[count] = p->names.items[word].text;
            number[word] = (uint32_t)++count;
        }
        uint32_t k = number[word] - 1;
        double step = p->time ? from[MR_REPORT_TIME] : last[k] + 1;
        if (p->time && seen[k] && !(step > last[k]))
            return mr_fail(
                err, MR_E_INVALID, "row %llu: trial '%.80s' goes from step %g to %g; its steps must rise",
                (unsigned long long)p->reports.row[i], (const char *)r->name[k].data, last[k], step);
        last[k] = step;
        seen[k] = true;
        row[i] = (mr_report){k, step, sign * from[MR_REPORT_OUTCOME]};
    }
    return mr_trials_init(&r->trials, row, n, count, mr_ctx_arena(ctx), err);
}

static mr_status race(mr_ctx *ctx, const stop_config *o, races *r, mr_error *err) {
    const mr_trials *t = &r->trials;
    mr_arena *arena = mr_ctx_arena(ctx);
    mr_ticker ticker = {tick, ctx};
    r->best = -INFINITY;
    for (size_t i = 0; i < t->n; i++) {
        if (t->row[i].value <= r->best) continue;
        r->best = t->row[i].value;
        r->best_trial = t->row[i].trial;
    }
    MR_TRY(mr_median_rule(t, 3, 5, arena, &ticker, &r->rule[0], err));
    MR_TRY(mr_successive_halving(t, o->min_resource, o->eta, arena, &ticker, &r->rule[1], err));
    MR_TRY(mr_asha(t, o->min_resource, o->eta, arena, &ticker, &r->rule[2], err));
    return mr_hyperband(t, o->min_resource, o->eta, arena, &ticker, &r->rule[3], err);
}

static void put_rule(mr_ctx *ctx, const races *r, size_t at, mr_out *out) {
    const mr_stopping *s = &r->rule[at];
    double saved = 1 - (double)s->used / (double)r->trials.n, gap = fabs(r->best - s->best);
    mr_out_open_map(out, NULL);
    mr_out_text(out, "rule", "%s", rule_names[at]);
    mr_out_integer(out, "used", (int64_t)s->used);
    mr_out_number(out, "saved", saved);
    mr_out_integer(out, "finished", (int64_t)s->finished);
    mr_out_number(out, "best", r->sign * s->best);
    mr_out_span(out, "best_trial", r->name[s->best_trial]);
    mr_out_number(out, "gap", gap);
    mr_out_integer(out, "rank", (int64_t)s->rank);
    mr_out_close(out);
    mr_mem mem = mr_arena_mem(mr_ctx_arena(ctx));
    mr_buf words;
    mr_buf_init(&words, &mem, 4096);
    if (gap > 0)
        mr_buf_printf(&words,
                      "fell %.3g short of the best value: the trial it ends with is number %zu of %zu", gap,
                      s->rank, r->trials.trials);
    else
        mr_buf_printf(&words, "found the best value");
    mr_out_finding(
        out, gap > 0 ? 0.3 + 0.2 * saved : 0.5 + 0.4 * saved,
        "%s would have used %zu of %zu reports (%.0f %% saved, %zu of %zu trials run to their end) and %.*s",
        rule_names[at], s->used, r->trials.n, 100 * saved, s->finished, r->trials.trials,
        MR_SPAN_ARG(mr_buf_span(&words)));
}

static void put_trials(mr_ctx *ctx, const stop_config *o, const races *r, mr_out *out) {
    mr_bracket bracket[MR_BRACKETS_MAX];
    mr_out_integer(out, "trials", (int64_t)r->trials.trials);
    mr_out_open_map(out, "best");
    mr_out_number(out, "value", r->sign * r->best);
    mr_out_span(out, "trial", r->name[r->best_trial]);
    mr_out_close(out);
    mr_out_open_list(out, "rules");
    for (size_t i = 0; i < RULES; i++) put_rule(ctx, r, i, out);
    mr_out_close(out);
    mr_out_open_list(out, "stops");
    for (size_t k = 0; k < r->trials.trials; k++) {
        mr_out_open_map(out, NULL);
        mr_out_span(out, "trial", r->name[k]);
        mr_out_integer(out, "reports", (int64_t)(r->trials.first[k + 1] - r->trials.first[k]));
        for (size_t i = 0; i < RULES; i++) mr_out_integer(out, rule_names[i], (int64_t)r->rule[i].kept[k]);
        mr_out_close(out);
    }
    mr_out_close(out);
    size_t count = mr_hyperband_brackets(o->min_resource, o->eta, r->trials.last_step, bracket);
    mr_out_open_list(out, "brackets");
    for (size_t i = 0; i < count; i++) {
        mr_out_open_map(out, NULL);
        mr_out_integer(out, "s", bracket[i].s);
        mr_out_integer(out, "n", (int64_t)bracket[i].n);
        mr_out_number(out, "r", bracket[i].r);
        mr_out_close(out);
    }
    mr_out_close(out);
}

static mr_status study_trials(mr_ctx *ctx, const stop_config *o, const mr_report_log *p, mr_out *out,
                              mr_error *err) {
    races r = {.sign = o->goal ? -1 : 1};
    MR_TRY(load_trials(ctx, p, r.sign, &r, err));
    MR_TRY(race(ctx, o, &r, err));
    mr_group_design design[MR_BOUNDS];
    mr_out_text(out, "kind", "trials");
    MR_TRY(make_designs(ctx, o, design, out));
    put_trials(ctx, o, &r, out);
    if (r.trials.trials < 6)
        mr_out_finding(out, 0.3, "%zu trials are few: the median rule needs five that have run to their end",
                       r.trials.trials);
    return MR_OK;
}

static mr_status finish(mr_ctx *ctx, const stop_config *o, const mr_report_log *all, mr_out *out,
                        mr_error *err) {
    if (all->reports.count == 0)
        return mr_fail(err, MR_E_INVALID,
                       "none of %llu rows has all that is needed: an outcome, and a trial, treatment "
                       "and time where there are such columns",
                       (unsigned long long)all->rows);
    mr_out_integer(out, "rows", (int64_t)all->rows);
    mr_out_integer(out, "used", (int64_t)all->reports.count);
    return all->trials ? study_trials(ctx, o, all, out, err) : study_groups(ctx, o, all, out, err);
}

static mr_status merge(mr_ctx *ctx, const void *config, const mr_partials *partials, mr_out *out) {
    mr_error err = {0};
    mr_report_log all;
    mr_status status = mr_report_log_init(&all, mr_ctx_arena(ctx), MR_PARTIAL_MAX, &err);
    for (uint32_t i = 0; i < partials->count && status == MR_OK; i++)
        status = mr_report_log_add_packed(&all, partials->items[i], &err);
    if (status == MR_OK) status = mr_sample_sort(&all.reports, &err);
    if (status == MR_OK && partials->last)
        status = finish(ctx, config, &all, out, &err);
    else if (status == MR_OK)
        status = mr_report_log_pack(&all, mr_out_partial_buf(out), &err);
    return err.status == MR_OK ? status : refuse(ctx, &err);
}

/* By hand: each 1 adds ln(0.8 / 0.5), the 0 ln(0.2 / 0.5) to the ratio, which passes ln 16 with the tenth
 * row. */
static const mr_example examples[] = {
    {.title = "one group of outcomes against a half",
     .input = "y\n1\n1\n1\n0\n1\n1\n1\n1\n1\n1\n1\n1\n",
     .options = "looks=2 effect=0.3",
     .roles = "outcome=y",
     .expect = "{\"rows\": 12, \"kind\": \"one group\", \"sprt\": {\"high\": 2.77258872223978, \"rows\": 9, "
               "\"decision\": \"effect\"}}"},
    {.title = "three trials of three steps",
     .input = "run,loss\na,3\na,2\na,1\nb,5\nb,5\nb,5\nc,4\nc,3\nc,3\n",
     .options = "goal=min eta=2",
     .roles = "item=run outcome=loss",
     .expect = "{\"kind\": \"trials\", \"trials\": 3, \"best\": {\"value\": 1, \"trial\": \"a\"}}"},
    {0}};

const mr_component mr_component_early_stopping_framework = {
    .name = "early_stopping_framework",
    .summary = "tells when one could have stopped: sequential tests on outcomes, stopping rules on trials",
    .kind = MR_LEARNER,
    .shape = MR_MERGE,
    .tier = 2,
    .version = 2,
    .columns = 0,
    .columns_wanted =
        MR_COL_ITEM | MR_COL_OUTCOME | MR_COL_SUCCESS | MR_COL_SCORE | MR_COL_TREATMENT | MR_COL_TIME,
    .batch_rows = 1024,
    .capabilities = (const char *const[]){"sequential_tests", "stopping_rules", NULL},
    .options = options,
    .config_size = sizeof(stop_config),
    .outputs = outputs,
    .examples = examples,
    .deadline_ms = 120000,
    .memory_mb = 512,
    .process = process,
    .merge = merge,
};
