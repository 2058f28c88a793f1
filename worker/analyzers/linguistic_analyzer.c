/* linguistic_analyzer: readability, lexical diversity, complexity and entities of prompts, and for each
 * measure the cut that best separates successes from failures. docs/components/linguistic_analyzer.md
 *
 * A partial is integers only (histograms, counts, sums in fixed point), so any batching gives the same bytes.
 * The cut is chosen on one half of the rows and judged on the other; which half a row is in follows from its
 * position. */
#include "worker/component.h"
#include "worker/kit/columns.h"
#include "worker/kit/dist.h"
#include "worker/kit/entities.h"
#include "worker/kit/histogram.h"
#include "worker/kit/readability.h"

#include <math.h>

typedef struct config {
    double level, score_cut;
    int64_t min_side, mtld_words;
} config;

/* ---- measures ---- */

enum {
    M_FLESCH,
    M_KINCAID,
    M_FOG,
    M_SMOG,
    M_ARI,
    M_COLEMAN,
    M_MTLD,
    M_WORDS,
    M_SENTENCE_WORDS,
    M_LONG_WORDS,
    M_SUBORDINATION,
    MEASURES
};

static const struct {
    const char *name, *unit, *words;
} measures[MEASURES] = {
    {"flesch_ease", "points", "Flesch reading ease"},
    {"kincaid_grade", "grades", "Flesch-Kincaid grade"},
    {"gunning_fog", "grades", "Gunning fog"},
    {"smog", "grades", "SMOG grade"},
    {"ari", "grades", "automated readability index"},
    {"coleman_liau", "grades", "Coleman-Liau index"},
    {"mtld", "words", "lexical diversity (MTLD)"},
    {"words", "words", "length in words"},
    {"sentence_words", "words per sentence", "mean sentence length"},
    {"long_words", "% of words", "share of words over six letters"},
    {"subordination", "per sentence", "subordinate clauses per sentence"},
};

static mr_status measure_row(mr_text *t, mr_span text, const config *c, mr_mtld_room *room,
                             double v[MEASURES], mr_error *err) {
    mr_reading w;
    MR_TRY(mr_readability_count(t, text, &w, err));
    for (int i = 0; i < MEASURES; i++) v[i] = NAN;
    if (!w.words) return MR_OK;
    v[M_FLESCH] = mr_flesch_ease(&w);
    v[M_KINCAID] = mr_kincaid_grade(&w);
    v[M_FOG] = mr_gunning_fog(&w);
    v[M_SMOG] = mr_smog(&w);
    v[M_ARI] = mr_ari(&w);
    v[M_COLEMAN] = mr_coleman_liau(&w);
    v[M_WORDS] = (double)w.words;
    v[M_SENTENCE_WORDS] = (double)w.words / (double)w.sentences;
    v[M_LONG_WORDS] = 100 * (double)w.long_words / (double)w.words;
    v[M_SUBORDINATION] = (double)w.subordinators / (double)w.sentences;
    return mr_mtld(t, text, (uint64_t)c->mtld_words, room, &v[M_MTLD], err);
}

/* ---- the state: what partials add up ---- */

/* Where a row's values go: by outcome, and within an outcome by half. */
enum { FIT_FAILURE, FIT_SUCCESS, JUDGE_FAILURE, JUDGE_SUCCESS, UNLABELLED, CELLS };
enum { FIXED_ONE = 1 << 16, ROWS_MAX_BITS = 26, FORMAT_VERSION = 1 };
static const double FIXED_MAX = 1 << 20; /* values are held inside +-2^20; 2^26 rows of them fit 63 bits */

typedef struct state {
    uint64_t rows, empty, cells[CELLS];
    uint64_t entities[MR_ENTITY_KINDS], entity_rows[MR_ENTITY_KINDS];
    int64_t sum[MEASURES]; /* fixed point, FIXED_ONE to one */
    mr_histogram *h;       /* MEASURES x CELLS */
} state;

static mr_histogram *cell_of(const state *s, int measure, int cell) { return &s->h[measure * CELLS + cell]; }

static mr_status new_state(mr_ctx *ctx, state *s) {
    *s = (state){.h = mr_ctx_alloc(ctx, MEASURES * CELLS, sizeof *s->h)};
    return s->h ? MR_OK : MR_E_MEMORY;
}

static void add_entities(state *s, mr_span text) {
    uint64_t counts[MR_ENTITY_KINDS] = {0};
    mr_count_entities(text, counts);
    for (int k = 0; k < MR_ENTITY_KINDS; k++) {
        s->entities[k] += counts[k];
        s->entity_rows[k] += counts[k] > 0;
    }
}

static int cell_for(const mr_batch *b, uint32_t i, const config *c) {
    double success = b->number[MR_NUM_SUCCESS] ? b->number[MR_NUM_SUCCESS][i] : NAN;
    double score = b->number[MR_NUM_SCORE] ? b->number[MR_NUM_SCORE][i] : NAN;
    if (isnan(success) && !isnan(score)) success = score >= c->score_cut;
    if (isnan(success)) return UNLABELLED;
    bool judge = mr_mix64(b->first + i) & 1;
    return (judge ? JUDGE_FAILURE : FIT_FAILURE) + (success > 0.5);
}

static void add_row(state *s, const double v[MEASURES], int cell) {
    s->rows++;
    s->cells[cell]++;
    s->empty += isnan(v[M_WORDS]) ? 1 : 0;
    for (int m = 0; m < MEASURES; m++) {
        if (isnan(v[m])) continue;
        double held = fmin(fmax(v[m], -FIXED_MAX), FIXED_MAX);
        s->sum[m] += llround(held * FIXED_ONE);
        mr_histogram_add(cell_of(s, m, cell), held, 1);
    }
}

/* ---- partials ---- */

static void pack_counts(mr_buf *b, const uint64_t *v, uint32_t n) {
    for (uint32_t i = 0; i < n; i++) mr_pack_u64(b, v[i]);
}

static void pack_state(const state *s, mr_buf *b) {
    mr_pack_array(b, 3 + CELLS + 2 * MR_ENTITY_KINDS + MEASURES * (1 + CELLS));
    mr_pack_u64(b, FORMAT_VERSION);
    mr_pack_u64(b, s->rows);
    mr_pack_u64(b, s->empty);
    pack_counts(b, s->cells, CELLS);
    pack_counts(b, s->entities, MR_ENTITY_KINDS);
    pack_counts(b, s->entity_rows, MR_ENTITY_KINDS);
    for (int m = 0; m < MEASURES; m++) {
        mr_pack_i64(b, s->sum[m]);
        for (int k = 0; k < CELLS; k++) mr_histogram_pack(cell_of(s, m, k), b);
    }
}

static mr_status add_counts(mr_unpack *u, uint64_t *v, uint32_t n, mr_error *err) {
    uint64_t x;
    for (uint32_t i = 0; i < n; i++) {
        MR_TRY(mr_unpack_u64(u, UINT64_MAX >> 2, &x, err));
        if (__builtin_add_overflow(v[i], x, &v[i]))
            return mr_fail(err, MR_E_LIMIT, "a count of the partials overflows");
    }
    return MR_OK;
}

static mr_status add_measure(state *s, int m, mr_unpack *u, mr_error *err) {
    int64_t sum;
    MR_TRY(mr_unpack_i64(u, &sum, err));
    if (__builtin_add_overflow(s->sum[m], sum, &s->sum[m]))
        return mr_fail(err, MR_E_LIMIT, "the sum of %s overflows", measures[m].name);
    for (int k = 0; k < CELLS; k++) MR_TRY(mr_histogram_unpack(cell_of(s, m, k), u, err));
    return MR_OK;
}

static mr_status add_partial(state *s, mr_span bytes, mr_error *err) {
    mr_unpack u;
    uint32_t items;
    uint64_t version;
    mr_unpack_init(&u, bytes);
    MR_TRY(mr_unpack_array(&u, 3 + CELLS + 2 * MR_ENTITY_KINDS + MEASURES * (1 + CELLS), &items, err));
    MR_TRY(mr_unpack_u64(&u, UINT64_MAX, &version, err));
    if (items != 3 + CELLS + 2 * MR_ENTITY_KINDS + MEASURES * (1 + CELLS) || version != FORMAT_VERSION)
        return mr_fail(err, MR_E_CORRUPT, "a partial of linguistic_analyzer has an unknown form");
    MR_TRY(add_counts(&u, &s->rows, 1, err));
    MR_TRY(add_counts(&u, &s->empty, 1, err));
    MR_TRY(add_counts(&u, s->cells, CELLS, err));
    MR_TRY(add_counts(&u, s->entities, MR_ENTITY_KINDS, err));
    MR_TRY(add_counts(&u, s->entity_rows, MR_ENTITY_KINDS, err));
    for (int m = 0; m < MEASURES; m++) MR_TRY(add_measure(s, m, &u, err));
    if (s->rows >> ROWS_MAX_BITS) return mr_fail(err, MR_E_LIMIT, "more than 2^%d rows", ROWS_MAX_BITS);
    return mr_unpack_done(&u) ? MR_OK : mr_fail(err, MR_E_CORRUPT, "bytes behind the end of a partial");
}

/* ---- calibration ---- */

/* Success on both sides of a cut: below it and from it on. */
typedef struct sides {
    uint64_t n[2], success[2];
} sides;

typedef struct cut {
    bool found; /* enough rows on both sides, in both halves */
    double at, youden;
    sides judged;
    double low, high; /* interval of rate from the cut on minus rate below, at the option's level */
    bool clear; /* the interval at the level corrected for the number of measures leaves out 0, on J's side */
    double odds, odds_low, odds_high;
} cut;

static sides sides_at(const state *s, int m, int half, unsigned bin) {
    sides r = {{0, 0}, {0, 0}};
    const mr_histogram *failure = cell_of(s, m, half), *success = cell_of(s, m, half + 1);
    for (unsigned i = 0; i < MR_HISTOGRAM_BINS; i++) {
        int side = i >= bin;
        r.n[side] += failure->count[i] + success->count[i];
        r.success[side] += success->count[i];
    }
    return r;
}

/* Share of successes from the cut on less share of failures from the cut on (Youden 1950); 0 when a side is
 * too small. */
static double youden(const sides *r, uint64_t successes, uint64_t failures, uint64_t min_side) {
    if (r->n[0] < min_side || r->n[1] < min_side || !successes || !failures) return 0;
    return (double)r->success[1] / (double)successes - (double)(r->n[1] - r->success[1]) / (double)failures;
}

/* The bin with rows at whose lower edge the fitting half separates best; the lowest of equals. `best`: J with
 * its sign. */
static unsigned best_bin(const state *s, int m, uint64_t min_side, double *best) {
    const mr_histogram *failure = cell_of(s, m, FIT_FAILURE), *success = cell_of(s, m, FIT_SUCCESS);
    sides all = sides_at(s, m, FIT_FAILURE, 0), now = {{0, all.n[1]}, {0, all.success[1]}};
    uint64_t successes = all.success[1], failures = all.n[1] - all.success[1];
    unsigned at = 0;
    *best = 0;
    for (unsigned i = 1; i < MR_HISTOGRAM_BINS; i++) {
        uint64_t rows = failure->count[i - 1] + success->count[i - 1];
        now.n[0] += rows;
        now.n[1] -= rows;
        now.success[0] += success->count[i - 1];
        now.success[1] -= success->count[i - 1];
        if (!failure->count[i] && !success->count[i]) continue;
        double j = youden(&now, successes, failures, min_side);
        if (fabs(j) > fabs(*best)) {
            *best = j;
            at = i;
        }
    }
    return at;
}

static double rate(const sides *r, int side) {
    return r->n[side] ? (double)r->success[side] / (double)r->n[side] : NAN;
}

static void put_odds(cut *c, double level) {
    double a = (double)c->judged.success[1], b = (double)(c->judged.n[1] - c->judged.success[1]);
    double x = (double)c->judged.success[0], y = (double)(c->judged.n[0] - c->judged.success[0]);
    double add = a == 0 || b == 0 || x == 0 || y == 0 ? 0.5 : 0;
    a += add, b += add, x += add, y += add;
    double z = mr_normal_quantile(0.5 + level / 2), se = sqrt(1 / a + 1 / b + 1 / x + 1 / y);
    c->odds = a * y / (b * x);
    c->odds_low = c->odds * exp(-z * se);
    c->odds_high = c->odds * exp(z * se);
}

static cut calibrate(const state *s, int m, const config *o) {
    cut c = {0};
    uint64_t min_side = (uint64_t)o->min_side;
    unsigned bin = best_bin(s, m, min_side, &c.youden);
    if (c.youden == 0) return c;
    c.judged = sides_at(s, m, JUDGE_FAILURE, bin);
    c.found = c.judged.n[0] >= min_side && c.judged.n[1] >= min_side;
    if (!c.found) return c;
    const sides *r = &c.judged;
    double low, high, strict = 1 - (1 - o->level) / MEASURES;
    c.at = mr_histogram_low(bin);
    mr_newcombe((double)r->success[0], (double)r->n[0], (double)r->success[1], (double)r->n[1], o->level,
                &c.low, &c.high);
    mr_newcombe((double)r->success[0], (double)r->n[0], (double)r->success[1], (double)r->n[1], strict, &low,
                &high);
    c.clear = c.youden > 0 ? low > 0 : high < 0;
    put_odds(&c, o->level);
    return c;
}

/* ---- output ---- */

static void put_side(mr_out *out, const char *name, const sides *r, int side, double level) {
    double interval[2];
    mr_wilson((double)r->success[side], (double)r->n[side], level, &interval[0], &interval[1]);
    mr_out_open_map(out, name);
    mr_out_integer(out, "n", (int64_t)r->n[side]);
    mr_out_number(out, "success_rate", rate(r, side));
    mr_out_numbers(out, "interval", interval, 2);
    mr_out_close(out);
}

static void put_cut(mr_out *out, const cut *c, double level) {
    double difference[2] = {c->low, c->high}, odds[2] = {c->odds_low, c->odds_high};
    if (!c->found) {
        mr_out_nil(out, "threshold");
        return;
    }
    mr_out_open_map(out, "threshold");
    mr_out_number(out, "cut", c->at);
    mr_out_number(out, "youden_j", c->youden);
    put_side(out, "below", &c->judged, 0, level);
    put_side(out, "from", &c->judged, 1, level);
    mr_out_number(out, "difference", rate(&c->judged, 1) - rate(&c->judged, 0));
    mr_out_numbers(out, "difference_interval", difference, 2);
    mr_out_number(out, "odds_ratio", c->odds);
    mr_out_numbers(out, "odds_ratio_interval", odds, 2);
    mr_out_bool(out, "clear", c->clear);
    mr_out_close(out);
}

static void put_finding(mr_out *out, int m, const cut *c, double level) {
    if (!c->found || !c->clear) return;
    bool less = rate(&c->judged, 0) < rate(&c->judged, 1);
    double points = 100 * fabs(rate(&c->judged, 1) - rate(&c->judged, 0));
    mr_out_finding(out, fmin(1, points / 100 + 0.1),
                   "prompts with %s below %.4g succeed %.0f points %s often (%g %% interval %.0f to %.0f; "
                   "%llu rows below "
                   "and %llu from it on, none of which chose the cut)",
                   measures[m].words, c->at, points, less ? "less" : "more", 100 * level,
                   100 * (less ? c->low : -c->high), 100 * (less ? c->high : -c->low),
                   (unsigned long long)c->judged.n[0], (unsigned long long)c->judged.n[1]);
}

/* All cells of a measure in one histogram. */
static uint64_t pool(const state *s, int m, mr_histogram *all) {
    *all = (mr_histogram){0};
    for (int k = 0; k < CELLS; k++) mr_histogram_merge(all, cell_of(s, m, k));
    return mr_histogram_total(all);
}

static double put_measure(mr_out *out, const state *s, int m, const config *c, const cut *threshold,
                          mr_histogram *all) {
    static const struct {
        const char *name;
        double p;
    } cuts[] = {{"p5", 0.05}, {"p33", 1.0 / 3}, {"p50", 0.5}, {"p67", 2.0 / 3}, {"p95", 0.95}};
    uint64_t n = pool(s, m, all);
    mr_out_open_map(out, NULL);
    mr_out_text(out, "measure", "%s", measures[m].name);
    mr_out_text(out, "unit", "%s", measures[m].unit);
    mr_out_integer(out, "n", (int64_t)n);
    mr_out_number(out, "mean", n ? (double)s->sum[m] / FIXED_ONE / (double)n : NAN);
    for (size_t i = 0; i < sizeof cuts / sizeof *cuts; i++)
        mr_out_number(out, cuts[i].name, mr_histogram_quantile(all, cuts[i].p));
    put_cut(out, threshold, c->level);
    mr_out_close(out);
    return mr_histogram_quantile(all, 0.5);
}

static void put_entities(mr_out *out, const state *s) {
    mr_out_open_list(out, "entities");
    for (int k = 0; k < MR_ENTITY_KINDS; k++) {
        mr_out_open_map(out, NULL);
        mr_out_text(out, "kind", "%s", mr_entity_names[k]);
        mr_out_integer(out, "count", (int64_t)s->entities[k]);
        mr_out_integer(out, "rows", (int64_t)s->entity_rows[k]);
        mr_out_close(out);
    }
    mr_out_close(out);
}

static void put_descriptions(mr_out *out, const state *s, const double median[MEASURES]) {
    if (s->rows == s->empty) return;
    mr_out_finding(out, 0.2,
                   "the median prompt has %.0f words, reads at Flesch-Kincaid grade %.1f and Flesch ease "
                   "%.0f (%llu prompts)",
                   median[M_WORDS], median[M_KINCAID], median[M_FLESCH],
                   (unsigned long long)(s->rows - s->empty));
    uint64_t personal = s->entity_rows[MR_ENTITY_EMAIL] + s->entity_rows[MR_ENTITY_PHONE];
    if (personal)
        mr_out_finding(out, 0.3,
                       "personal data: prompts with an e-mail address: %llu, with something like a telephone number: %llu",
                       (unsigned long long)s->entity_rows[MR_ENTITY_EMAIL],
                       (unsigned long long)s->entity_rows[MR_ENTITY_PHONE]);
}

static mr_status put_result(mr_ctx *ctx, const state *s, const config *c, mr_out *out) {
    mr_histogram *all = mr_ctx_alloc(ctx, 1, sizeof *all);
    cut cuts[MEASURES];
    double median[MEASURES];
    if (!all) return MR_E_MEMORY;
    uint64_t successes = s->cells[FIT_SUCCESS] + s->cells[JUDGE_SUCCESS], calibrated = 0;
    for (int m = 0; m < MEASURES; m++) {
        cuts[m] = calibrate(s, m, c);
        calibrated += cuts[m].found;
    }
    mr_out_integer(out, "rows", (int64_t)s->rows);
    mr_out_integer(out, "empty", (int64_t)s->empty);
    mr_out_integer(out, "labelled", (int64_t)(s->rows - s->cells[UNLABELLED]));
    mr_out_integer(out, "successes", (int64_t)successes);
    mr_out_integer(out, "calibrated", (int64_t)calibrated);
    mr_out_open_list(out, "measures");
    for (int m = 0; m < MEASURES; m++) median[m] = put_measure(out, s, m, c, &cuts[m], all);
    mr_out_close(out);
    put_entities(out, s);
    for (int m = 0; m < MEASURES; m++) put_finding(out, m, &cuts[m], c->level);
    put_descriptions(out, s, median);
    return MR_OK;
}

/* ---- the component ---- */

static mr_status measure_batch(mr_ctx *ctx, const config *c, const mr_batch *b, mr_text *t,
                               mr_mtld_room *room, state *s) {
    double v[MEASURES];
    mr_error err;
    for (uint32_t i = 0; i < b->rows; i++) {
        mr_span text = b->text[MR_TEXT_PROMPT][i];
        MR_TRY(mr_tick(ctx));
        mr_status status = measure_row(t, text, c, room, v, &err);
        if (status == MR_E_MEMORY) return status;
        if (status != MR_OK)
            return mr_refuse(ctx, status, "row %llu: %s", (unsigned long long)(b->first + i), err.text);
        add_row(s, v, cell_for(b, i, c));
        add_entities(s, text);
        mr_ctx_progress(ctx, (double)(i + 1) / b->rows);
    }
    return MR_OK;
}

static mr_status process(mr_ctx *ctx, const void *options, const mr_batch *b, mr_out *out) {
    state s;
    mr_text *t;
    mr_error err;
    mr_mem mem = mr_arena_mem(mr_ctx_arena(ctx));
    MR_TRY(new_state(ctx, &s));
    mr_status status = mr_text_new(&mem, &t, &err);
    if (status != MR_OK) return mr_refuse(ctx, status, "%s", err.text);
    mr_mtld_room room = {.mem = &mem};
    status = measure_batch(ctx, options, b, t, &room, &s);
    mr_mtld_room_free(&room);
    mr_text_free(&t);
    if (status == MR_OK) pack_state(&s, mr_out_partial_buf(out));
    return status;
}

static mr_status merge(mr_ctx *ctx, const void *options, const mr_partials *p, mr_out *out) {
    state s;
    mr_error err;
    MR_TRY(new_state(ctx, &s));
    for (uint32_t i = 0; i < p->count; i++) {
        MR_TRY(mr_tick(ctx));
        mr_status status = add_partial(&s, p->items[i], &err);
        if (status != MR_OK) return mr_refuse(ctx, status, "partial %u: %s", i, err.text);
    }
    if (p->last) return put_result(ctx, &s, options, out);
    pack_state(&s, mr_out_partial_buf(out));
    return MR_OK;
}

static const char *const capabilities[] = {"readability", "lexical diversity", "entities",
                                           "calibrated thresholds", NULL};

static const mr_option options_[] = {
    {.name = "level",
     .type = MR_OPT_NUMBER,
     .offset = offsetof(config, level),
     .def = "0.95",
     .min = 0.5,
     .max = 0.999,
     .help = "confidence level of the intervals"},
    {.name = "score_cut",
     .type = MR_OPT_NUMBER,
     .offset = offsetof(config, score_cut),
     .def = "0.5",
     .min = 0,
     .max = 1,
     .help = "a score from here on is a success, for rows without the column success"},
    {.name = "min_side",
     .type = MR_OPT_INT,
     .offset = offsetof(config, min_side),
     .def = "20",
     .min = 2,
     .max = 1000000,
     .unit = "rows",
     .help = "fewest rows on each side of a cut, in each half of the labelled rows"},
    {.name = "mtld_words",
     .type = MR_OPT_INT,
     .offset = offsetof(config, mtld_words),
     .def = "50",
     .min = 10,
     .max = 10000,
     .unit = "words",
     .help = "shortest prompt for which MTLD is computed"},
    MR_OPTION_END,
};

static const mr_field outputs[] = {
    {"rows", MR_FIELD_INTEGER, "rows", "prompts", MR_FOLD_NONE},
    {"empty", MR_FIELD_INTEGER, "rows", "prompts without a word; they have no measures", MR_FOLD_NONE},
    {"labelled", MR_FIELD_INTEGER, "rows", "prompts with a success or a score", MR_FOLD_NONE},
    {"successes", MR_FIELD_INTEGER, "rows", "labelled prompts that succeeded", MR_FOLD_NONE},
    {"calibrated", MR_FIELD_INTEGER, "measures", "measures with a threshold", MR_FOLD_NONE},
    {"measures", MR_FIELD_LIST, NULL,
     "for each measure a map: measure, unit, n, mean, p5, p33, p50, p67, p95, threshold "
     "(nil, or cut, youden_j, below and from with n, success_rate and Wilson interval, difference with "
     "Newcombe interval, "
     "odds_ratio with Wald interval, clear)",
     MR_FOLD_NONE},
    {"entities", MR_FIELD_LIST, NULL, "for each kind a map: kind, count, rows with one", MR_FOLD_NONE},
    {0},
};

static const mr_example examples[] = {
    {"one sentence of six words, one syllable each", "{\"prompt\": \"The cat sat on the mat.\"}\n", NULL,
     NULL, "{\"rows\": 1, \"empty\": 0, \"labelled\": 0, \"calibrated\": 0}"},
    {"entities are counted, never shown",
     "{\"prompt\": \"Pay $5 to a@b.org by 2024-05-31, see https://b.org\"}\n", NULL, NULL,
     "{\"entities\": [{\"kind\": \"url\", \"count\": 1, \"rows\": 1}, {\"kind\": \"email\", \"count\": 1, "
     "\"rows\": 1}, "
     "{\"kind\": \"date\", \"count\": 1, \"rows\": 1}, {\"kind\": \"money\", \"count\": 1, \"rows\": 1}, "
     "{\"kind\": \"percent\", \"count\": 0, \"rows\": 0}, {\"kind\": \"phone\", \"count\": 0, \"rows\": 0}, "
     "{\"kind\": \"number\", \"count\": 0, \"rows\": 0}]}"},
    {0},
};

const mr_component mr_component_linguistic_analyzer = {
    .name = "linguistic_analyzer",
    .summary = "readability, lexical diversity, complexity and entities, with thresholds calibrated on "
               "labelled rows",
    .kind = MR_ANALYZER,
    .shape = MR_MERGE,
    .tier = 3,
    .version = 2,
    .columns = MR_COL_PROMPT,
    .columns_wanted = MR_COL_SCORE | MR_COL_SUCCESS,
    .capabilities = capabilities,
    .options = options_,
    .config_size = sizeof(config),
    .outputs = outputs,
    .examples = examples,
    .deadline_ms = 60000,
    .memory_mb = 256,
    .process = process,
    .merge = merge,
};
