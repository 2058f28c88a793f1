/* pattern_discovery: frequent itemsets, sequences and subgraphs, and rules, ranked by lift. Every batch packs
 * its rows (worker/kit/itemrows.h), merges join them, and the last one mines all rows at once, so the counts
 * are exact and no cut into batches can change them. docs/components/pattern_discovery.md */
#include "worker/component.h"
#include "worker/kit/columns.h"
#include "worker/kit/dist.h"
#include "worker/kit/graphtext.h"
#include "worker/kit/itemviews.h"
#include "worker/kit/rules.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { FINDINGS_SHOWN = 10, ARTIFACT_MAX = 30 << 20, WORDS_SHOWN = 200 };
enum find { FIND_ITEMSETS, FIND_SEQUENCES, FIND_BOTH, FIND_SUBGRAPHS };
enum kind { ITEMSET, SEQUENCE, SUBGRAPH, KINDS };
static const char *const kind_names[KINDS] = {"itemset", "sequence", "subgraph"};
static const char partial_magic[] = "patterns-1";

typedef struct pattern_config {
    int64_t find, min_count, max_length, max_patterns, thin, top;
    double min_support, min_confidence;
} pattern_config;

static mr_status refuse(mr_ctx *ctx, const mr_error *err) {
    return mr_refuse(ctx, err->status, "%s", err->text);
}

static mr_status tick(void *ctx) { return mr_tick(ctx); }

/* ---- process: rows -> packed rows ---- */

/* With sessions a row is one element of a sequence, so a set; without them the row is the sequence. */
static unsigned flags_for(const pattern_config *c, const mr_batch *b) {
    bool sessions = b->columns & MR_COL_SESSION,
         sequences = c->find == FIND_SEQUENCES || c->find == FIND_BOTH;
    if (c->find == FIND_SUBGRAPHS) return MR_GRAPH_FLAGS;
    if (!sequences) return 0;
    if (!sessions) return MR_ITEMROWS_ORDERED;
    return MR_ITEMROWS_SESSIONS | (b->columns & MR_COL_TIME ? MR_ITEMROWS_TIMES : 0u);
}

/* One in `thin`: by the session where there is one, so that sessions stay whole, else by the row. */
static bool is_kept(mr_ctx *ctx, const pattern_config *c, mr_span session, uint64_t row) {
    uint64_t hash = session.len ? 0 : row;
    for (size_t i = 0; i < session.len; i++) hash = mr_mix64(hash + session.data[i] + 1);
    return mr_mix64(hash ^ mr_mix64(mr_ctx_seed(ctx))) % (uint64_t)c->thin == 0;
}

static mr_status add_row(mr_ctx *ctx, const pattern_config *c, const mr_batch *b, uint32_t i, mr_itemrows *r,
                         mr_error *err) {
    mr_span session = {NULL, 0};
    double time = 0;
    if (r->flags & MR_ITEMROWS_SESSIONS) session = b->text[MR_TEXT_SESSION][i];
    if (r->flags & MR_ITEMROWS_TIMES) time = b->number[MR_NUM_TIME][i];
    r->seen++;
    if (!is_kept(ctx, c, session, b->first + i)) return MR_OK;
    if (session.len && !isfinite(time))
        return mr_fail(err, MR_E_INVALID, "the time is missing; fill it in, or bind time to nothing (time=)");
    if (r->flags == MR_GRAPH_FLAGS) return mr_graph_add(r, b->text[MR_TEXT_ITEM][i], err);
    MR_TRY(mr_itemrows_words(r, b->text[MR_TEXT_ITEM][i], err));
    return mr_itemrows_end(r, session, isfinite(time) ? time : 0, err);
}

/* The bound holds for merged rows too, also in the last merge, so that it does not depend on the batches. */
static mr_status pack(mr_itemrows *r, mr_buf *out, mr_error *err) {
    MR_TRY(mr_itemrows_sort(r, err));
    mr_pack_array(out, 2);
    mr_pack_text(out, partial_magic);
    mr_itemrows_pack(r, out);
    if (mr_buf_status(out) != MR_E_LIMIT) return mr_buf_status(out);
    return mr_fail(
        err, MR_E_LIMIT,
        "the items of %u rows take more than %d MiB packed, which is all that exact counting can hold; "
        "raise `thin` to keep one row in so many (counts are then of the kept rows), or use fewer rows",
        r->rows, MR_PARTIAL_MAX >> 20);
}

static mr_status process(mr_ctx *ctx, const void *config, const mr_batch *b, mr_out *out) {
    const pattern_config *c = config;
    mr_error err = {0};
    mr_itemrows r;
    mr_itemrows_init(&r, mr_ctx_arena(ctx), flags_for(c, b));
    for (uint32_t i = 0; i < b->rows; i++) {
        MR_TRY(mr_tick(ctx));
        if (add_row(ctx, c, b, i, &r, &err) == MR_OK) continue;
        return mr_refuse(ctx, err.status, "row %llu: %s", (unsigned long long)(b->first + i), err.text);
    }
    mr_status status = pack(&r, mr_out_partial_buf(out), &err);
    return err.status == MR_OK ? status : refuse(ctx, &err);
}

/* ---- what is mined ---- */

typedef struct found {
    mr_patterns patterns;
    mr_pattern_index index;
    uint32_t of, least; /* rows, sequences or graphs; the least support */
    bool mined, cut;
} found;

/* A pattern of any kind among all. */
typedef struct place {
    double lift, share;
    uint32_t kind, number;
} place;

typedef struct mining {
    const pattern_config *c;
    mr_ctx *ctx;
    mr_itemrows rows;
    uint64_t empty, unplaced;
    found found[KINDS];
    place *ranked;
    mr_rule *rules;
    size_t patterns, rule_count;
    mr_mem mem;
    mr_buf words;
    mr_error *err;
} mining;

static mr_status no_memory(mining *m) {
    return mr_fail(m->err, MR_E_MEMORY, "no memory for the patterns; raise min_support (or min_count)");
}

static found *begin(mining *m, enum kind kind, uint32_t of) {
    found *f = &m->found[kind];
    mr_patterns_init(&f->patterns, mr_ctx_arena(m->ctx), (size_t)m->c->max_patterns);
    f->mined = true;
    f->of = of;
    f->least = mr_least_count(m->c->min_support, (uint64_t)m->c->min_count, of);
    return f;
}

static mr_status mine_itemsets(mining *m) {
    mr_itemsets sets;
    MR_TRY(mr_itemsets_of(&m->rows, mr_ctx_arena(m->ctx), &sets, m->err));
    found *f = begin(m, ITEMSET, m->rows.rows);
    return mr_fpgrowth(&sets, f->least, (uint32_t)m->c->max_length, &(mr_ticker){tick, m->ctx}, &f->patterns,
                       &f->cut, m->err);
}

static mr_status mine_sequences(mining *m) {
    mr_sequences s;
    MR_TRY(mr_sequences_of(&m->rows, mr_ctx_arena(m->ctx), &s, &m->unplaced, m->err));
    found *f = begin(m, SEQUENCE, s.count);
    return mr_prefixspan(&s, f->least, (uint32_t)m->c->max_length, &(mr_ticker){tick, m->ctx}, &f->patterns,
                         &f->cut, m->err);
}

static mr_status mine_subgraphs(mining *m) {
    mr_graphs graphs;
    MR_TRY(mr_graphs_of(&m->rows, mr_ctx_arena(m->ctx), &graphs, m->err));
    found *f = begin(m, SUBGRAPH, graphs.count);
    return mr_gspan(&graphs, f->least, (uint32_t)m->c->max_length, &(mr_ticker){tick, m->ctx}, &f->patterns,
                    &f->cut, m->err);
}

static mr_status mine(mining *m) {
    int64_t find = m->c->find;
    for (uint32_t i = 0; i < m->rows.rows; i++)
        m->empty += m->rows.item_end[i] == mr_itemrows_at(m->rows.item_end, i);
    if (find == FIND_ITEMSETS || find == FIND_BOTH) MR_TRY(mine_itemsets(m));
    if (find == FIND_SEQUENCES || find == FIND_BOTH) MR_TRY(mine_sequences(m));
    if (find == FIND_SUBGRAPHS) MR_TRY(mine_subgraphs(m));
    for (int kind = 0; kind < KINDS; kind++) {
        found *f = &m->found[kind];
        if (!f->mined) continue;
        m->patterns += f->patterns.count;
        MR_TRY(mr_pattern_index_make(&f->index, &f->patterns, m->err));
    }
    return MR_OK;
}

/* ---- ranking ---- */

static double share_of(const found *f, uint32_t i) { return f->patterns.support[i] / (double)f->of; }

/* The share of the smallest part that word k of a pattern adds: an item, an item as a sequence, or an edge.
 */
static double part_share(const found *f, enum kind kind, const uint32_t *word) {
    uint32_t one[MR_CODE_WORDS] = {kind == SEQUENCE ? word[0] | 1 : word[0]};
    if (kind == SUBGRAPH) {
        uint32_t a = word[MR_CODE_LABEL_I], b = word[MR_CODE_LABEL_J];
        uint32_t edge[MR_CODE_WORDS] = {0, 1, a < b ? a : b, word[MR_CODE_LABEL_E], a < b ? b : a};
        memcpy(one, edge, sizeof one);
    }
    uint32_t at = mr_pattern_find(&f->index, one, kind == SUBGRAPH ? MR_CODE_WORDS : 1);
    MR_ASSERT(at != UINT32_MAX); /* a part is at least as frequent as the whole */
    return share_of(f, at);
}

static double lift_of(const found *f, enum kind kind, uint32_t i) {
    size_t n = mr_pattern_length(&f->patterns, i), step = kind == SUBGRAPH ? MR_CODE_WORDS : 1;
    double product = 1;
    for (size_t k = 0; k < n; k += step) product *= part_share(f, kind, mr_pattern(&f->patterns, i) + k);
    return share_of(f, i) / product;
}

static int by_lift(const void *x, const void *y) {
    const place *a = x, *b = y;
    if (a->lift != b->lift) return a->lift > b->lift ? -1 : 1;
    if (a->share != b->share) return a->share > b->share ? -1 : 1;
    if (a->kind != b->kind) return a->kind < b->kind ? -1 : 1;
    return (a->number > b->number) - (a->number < b->number);
}

static mr_status rank(mining *m) {
    size_t at = 0;
    m->ranked = mr_ctx_alloc(m->ctx, m->patterns + 1, sizeof *m->ranked);
    if (!m->ranked) return no_memory(m);
    for (uint32_t kind = 0; kind < KINDS; kind++)
        for (uint32_t i = 0; m->found[kind].mined && i < m->found[kind].patterns.count; i++) {
            const found *f = &m->found[kind];
            MR_TRY(mr_tick(m->ctx));
            m->ranked[at++] = (place){lift_of(f, kind, i), share_of(f, i), kind, i};
        }
    qsort(m->ranked, m->patterns, sizeof *m->ranked, by_lift);
    return MR_OK;
}

/* ---- words ---- */

static void put_item(mining *m, uint32_t item, const char *before) {
    mr_buf_text(&m->words, before);
    mr_buf_put(&m->words, m->rows.items.text[item].data, m->rows.items.text[item].len);
}

static void put_sequence(mining *m, const uint32_t *word, size_t n) {
    for (size_t k = 0; k < n; k++) put_item(m, word[k] / 2, k == 0 ? "" : word[k] & 1 ? " > " : " ");
}

static void put_words(mining *m, enum kind kind, uint32_t i) {
    const mr_patterns *p = &m->found[kind].patterns;
    const uint32_t *word = mr_pattern(p, i);
    size_t n = mr_pattern_length(p, i);
    if (kind == SUBGRAPH) mr_graph_words(word, n, &m->rows.items, &m->words);
    if (kind == SEQUENCE) put_sequence(m, word, n);
    for (size_t k = 0; kind == ITEMSET && k < n; k++) put_item(m, word[k], k ? " " : "");
}

static mr_span pattern_words(mining *m, enum kind kind, uint32_t i) {
    mr_buf_clear(&m->words);
    put_words(m, kind, i);
    return mr_buf_span(&m->words);
}

static mr_span left_words(mining *m, const mr_rule *r) {
    const mr_patterns *p = &m->found[ITEMSET].patterns;
    const uint32_t *word = mr_pattern(p, r->set);
    bool first = true;
    mr_buf_clear(&m->words);
    for (size_t k = 0; k < mr_pattern_length(p, r->set); k++) {
        if (word[k] == r->right) continue;
        put_item(m, word[k], first ? "" : " ");
        first = false;
    }
    return mr_buf_span(&m->words);
}

/* ---- output ---- */

static void put_pattern(mining *m, const place *p, mr_out *out) {
    const mr_patterns *all = &m->found[p->kind].patterns;
    size_t words = mr_pattern_length(all, p->number);
    mr_out_open_map(out, NULL);
    mr_out_text(out, "kind", "%s", kind_names[p->kind]);
    mr_out_span(out, "pattern", pattern_words(m, p->kind, p->number));
    mr_out_integer(out, "length", (int64_t)(p->kind == SUBGRAPH ? words / MR_CODE_WORDS : words));
    mr_out_integer(out, "support", all->support[p->number]);
    mr_out_number(out, "share", p->share);
    mr_out_number(out, "lift", p->lift);
    mr_out_close(out);
}

static void put_rule(mining *m, const mr_rule *r, mr_out *out) {
    mr_out_open_map(out, NULL);
    mr_out_span(out, "left", left_words(m, r));
    mr_out_span(out, "right", m->rows.items.text[r->right]);
    mr_out_integer(out, "support", r->support);
    mr_out_number(out, "share", r->support / (double)m->found[ITEMSET].of);
    mr_out_integer(out, "left_support", r->left_support);
    mr_out_integer(out, "right_support", r->right_support);
    mr_out_number(out, "confidence", r->confidence);
    mr_out_number(out, "lift", r->lift);
    mr_out_number(out, "leverage", r->leverage);
    mr_out_close(out);
}

static int shown(mr_span s) { return (int)(s.len < WORDS_SHOWN ? s.len : WORDS_SHOWN); }

static void rule_finding(mining *m, const mr_rule *r, mr_out *out) {
    double low, high, of = m->found[ITEMSET].of;
    mr_span left = left_words(m, r), right = m->rows.items.text[r->right];
    mr_wilson(r->support, r->left_support, 0.95, &low, &high);
    mr_out_finding(out, r->confidence * (1 - 1 / (1 + r->lift)),
                   "of the %u rows with %.*s, %.1f %% also hold %.*s (95 %% Wilson interval %.1f to %.1f), "
                   "%.3g times the %.1f %% of all %.0f rows",
                   r->left_support, shown(left), (const char *)left.data, 100 * r->confidence, shown(right),
                   (const char *)right.data, 100 * low, 100 * high, r->lift, 100 * r->right_support / of, of);
}

static void pattern_finding(mining *m, const place *p, mr_out *out) {
    const found *f = &m->found[p->kind];
    static const char *const units[KINDS] = {"rows", "sequences", "graphs"};
    double low, high;
    mr_span words = pattern_words(m, p->kind, p->number);
    mr_wilson(f->patterns.support[p->number], f->of, 0.95, &low, &high);
    mr_out_finding(
        out, p->share * (1 - 1 / (1 + p->lift)),
        "the %s %.*s is in %u of %u %s (%.1f %%, 95 %% Wilson interval %.1f to %.1f), %.3g times what "
        "its parts alone would give",
        kind_names[p->kind], shown(words), (const char *)words.data, f->patterns.support[p->number], f->of,
        units[p->kind], 100 * p->share, 100 * low, 100 * high, p->lift);
}

static void limit_findings(const mining *m, mr_out *out) {
    for (int kind = 0; kind < KINDS; kind++) {
        const found *f = &m->found[kind];
        if (f->mined && f->cut)
            mr_out_finding(out, 0.95,
                           "there are frequent %ss longer than max_length=%lld, which are not listed",
                           kind_names[kind], (long long)m->c->max_length);
        if (f->mined && f->patterns.count == 0)
            mr_out_finding(out, 0.5, "no %s is in %u or more of the %u; lower min_support", kind_names[kind],
                           f->least, f->of);
        if (f->mined && f->least == 1)
            mr_out_finding(out, 0.9,
                           "a single occurrence counts as a frequent %s here; raise min_support or min_count",
                           kind_names[kind]);
    }
    if (m->c->thin > 1)
        mr_out_finding(out, 0.9, "counts are of %u of %llu rows (thin=%lld): shares and lifts are estimates",
                       m->rows.rows, (unsigned long long)m->rows.seen, (long long)m->c->thin);
    if (m->unplaced > 0)
        mr_out_finding(out, 0.4, "%llu rows have no session and are in no sequence",
                       (unsigned long long)m->unplaced);
}

static void findings(mining *m, mr_out *out) {
    for (size_t i = 0; i < m->rule_count && i < FINDINGS_SHOWN; i++) rule_finding(m, &m->rules[i], out);
    for (size_t i = 0, k = 0; i < m->patterns && k < FINDINGS_SHOWN; i++)
        if (m->ranked[i].kind != ITEMSET && m->ranked[i].lift > 1 && ++k)
            pattern_finding(m, &m->ranked[i], out);
    limit_findings(m, out);
}

/* All patterns as lines: kind, support, of how many, pattern. */
static mr_status put_artifact(mining *m, mr_out *out) {
    mr_buf lines;
    mr_buf_init(&lines, &m->mem, ARTIFACT_MAX);
    mr_buf_text(&lines, "kind\tsupport\tof\tpattern\n");
    for (uint32_t kind = 0; kind < KINDS; kind++)
        for (uint32_t i = 0; m->found[kind].mined && i < m->found[kind].patterns.count; i++) {
            mr_span words = pattern_words(m, kind, i);
            mr_buf_printf(&lines, "%s\t%u\t%u\t", kind_names[kind], m->found[kind].patterns.support[i],
                          m->found[kind].of);
            mr_buf_put(&lines, words.data, words.len);
            mr_buf_put(&lines, "\n", 1);
        }
    if (mr_buf_status(&lines) == MR_E_LIMIT)
        return mr_fail(m->err, MR_E_LIMIT,
                       "%zu patterns take over %d MiB as text; raise min_support (or min_count)", m->patterns,
                       ARTIFACT_MAX >> 20);
    if (mr_buf_status(&lines) != MR_OK) return no_memory(m);
    mr_out_artifact(out, "patterns", "text/tab-separated-values", mr_buf_span(&lines));
    return MR_OK;
}

static void put_counts(mining *m, mr_out *out) {
    static const char *const of_names[KINDS] = {"itemset_rows", "sequences", "graphs"};
    static const char *const least_names[KINDS] = {"itemset_least", "sequence_least", "subgraph_least"};
    static const char *const count_names[KINDS] = {"itemset_count", "sequence_count", "subgraph_count"};
    bool cut = false;
    mr_out_integer(out, "rows", (int64_t)m->rows.seen);
    mr_out_integer(out, "kept", m->rows.rows);
    mr_out_integer(out, "empty", (int64_t)m->empty);
    mr_out_integer(out, "without_session", (int64_t)m->unplaced);
    mr_out_integer(out, "items", m->rows.items.count);
    for (int kind = 0; kind < KINDS; kind++) {
        const found *f = &m->found[kind];
        cut |= f->cut;
        if (!f->mined) continue;
        mr_out_integer(out, of_names[kind], f->of);
        mr_out_integer(out, least_names[kind], f->least);
        mr_out_integer(out, count_names[kind], f->patterns.count);
    }
    mr_out_integer(out, "rule_count", (int64_t)m->rule_count);
    mr_out_bool(out, "cut", cut);
}

static mr_status put_result(mining *m, mr_out *out) {
    size_t top = (size_t)m->c->top;
    put_counts(m, out);
    mr_out_open_list(out, "patterns");
    for (size_t i = 0; i < m->patterns && i < top; i++) put_pattern(m, &m->ranked[i], out);
    mr_out_close(out);
    mr_out_open_list(out, "rules");
    for (size_t i = 0; i < m->rule_count && i < top; i++) put_rule(m, &m->rules[i], out);
    mr_out_close(out);
    findings(m, out);
    return put_artifact(m, out);
}

/* ---- merge ---- */

static mr_status merge_all(mining *m, const mr_partials *partials, mr_out *out) {
    mr_unpack rest;
    mr_itemrows_init(&m->rows, mr_ctx_arena(m->ctx), 0);
    for (uint32_t i = 0; i < partials->count; i++) {
        MR_TRY(mr_tick(m->ctx));
        MR_TRY(mr_itemrows_add_partial(&m->rows, partials->items[i], partial_magic, 2, i == 0, &rest, m->err));
    }
    if (!partials->last) return pack(&m->rows, mr_out_partial_buf(out), m->err);
    mr_buf_init(&m->words, &m->mem, MR_PARTIAL_MAX);
    MR_TRY(pack(&m->rows, &m->words, m->err));
    MR_TRY(mine(m));
    mr_ctx_progress(m->ctx, 0.7);
    MR_TRY(rank(m));
    found *sets = &m->found[ITEMSET];
    if (sets->mined)
        MR_TRY(mr_rules(&sets->index, sets->of, m->c->min_confidence, &(mr_ticker){tick, m->ctx}, &m->rules,
                        &m->rule_count, m->err));
    return put_result(m, out);
}

static mr_status merge(mr_ctx *ctx, const void *config, const mr_partials *partials, mr_out *out) {
    mr_error err = {0};
    mining m = {.c = config, .ctx = ctx, .mem = mr_arena_mem(mr_ctx_arena(ctx)), .err = &err};
    mr_status status = merge_all(&m, partials, out);
    return err.status == MR_OK ? status : refuse(ctx, &err);
}

/* ---- the descriptor ---- */

static const char *const finds[] = {"itemsets", "sequences", "both", "subgraphs", NULL};

#define WHOLE(field, def_, min_, max_, unit_, help_)                                                         \
    {                                                                                                        \
        .name = #field, .type = MR_OPT_INT, .offset = offsetof(pattern_config, field), .def = def_,          \
        .min = min_, .max = max_, .unit = unit_, .help = help_                                               \
    }

static const mr_option options[] = {
    {.name = "find",
     .type = MR_OPT_CHOICE,
     .offset = offsetof(pattern_config, find),
     .def = "itemsets",
     .choices = finds,
     .help = "what to look for: itemsets, sequences, both, or subgraphs"},
    {.name = "min_support",
     .type = MR_OPT_NUMBER,
     .offset = offsetof(pattern_config, min_support),
     .def = "0.01",
     .min = 1e-7,
     .max = 1,
     .help = "share of the rows (sequences, graphs) that must hold a pattern"},
    WHOLE(min_count, "0", 0, 1e9, "rows", "the same as a count; 0: min_support decides"),
    WHOLE(max_length, "10", 1, 60, NULL, "longest pattern: items, or edges of a subgraph"),
    WHOLE(max_patterns, "200000", 1, 5e6, NULL, "refuse the run when more patterns of a kind are frequent"),
    {.name = "min_confidence",
     .type = MR_OPT_NUMBER,
     .offset = offsetof(pattern_config, min_confidence),
     .def = "0.5",
     .min = 1e-6,
     .max = 1,
     .help = "least confidence of a rule"},
    WHOLE(top, "100", 1, 50000, NULL,
          "patterns and rules to list; the artifact `patterns` holds every pattern"),
    WHOLE(thin, "1", 1, 1e6, "rows",
          "keep one row (session) in so many, chosen by hash, when all are too many"),
    MR_OPTION_END};

static const mr_field outputs[] = {
    {"rows", MR_FIELD_INTEGER, "rows", "rows seen", MR_FOLD_NONE},
    {"kept", MR_FIELD_INTEGER, "rows", "rows that were counted: all, unless `thin` is over 1", MR_FOLD_NONE},
    {"empty", MR_FIELD_INTEGER, "rows", "kept rows without any item; they count as rows", MR_FOLD_NONE},
    {"without_session", MR_FIELD_INTEGER, "rows", "kept rows that belong to no sequence", MR_FOLD_NONE},
    {"items", MR_FIELD_INTEGER, NULL, "different items, or labels of graphs", MR_FOLD_NONE},
    {"itemset_rows", MR_FIELD_INTEGER, "rows", "rows that itemsets are counted in", MR_FOLD_NONE},
    {"itemset_least", MR_FIELD_INTEGER, "rows", "rows that a frequent itemset is in at least", MR_FOLD_NONE},
    {"itemset_count", MR_FIELD_INTEGER, NULL, "frequent itemsets", MR_FOLD_NONE},
    {"sequences", MR_FIELD_INTEGER, NULL, "sequences: sessions, or rows without sessions", MR_FOLD_NONE},
    {"sequence_least", MR_FIELD_INTEGER, NULL, "sequences that a frequent one is in at least", MR_FOLD_NONE},
    {"sequence_count", MR_FIELD_INTEGER, NULL, "frequent sequences", MR_FOLD_NONE},
    {"graphs", MR_FIELD_INTEGER, NULL, "graphs", MR_FOLD_NONE},
    {"subgraph_least", MR_FIELD_INTEGER, NULL, "graphs that a frequent subgraph is in at least",
     MR_FOLD_NONE},
    {"subgraph_count", MR_FIELD_INTEGER, NULL, "frequent connected subgraphs of an edge or more",
     MR_FOLD_NONE},
    {"rule_count", MR_FIELD_INTEGER, NULL, "rules of at least min_confidence", MR_FOLD_NONE},
    {"cut", MR_FIELD_BOOL, NULL, "there are frequent patterns longer than max_length", MR_FOLD_NONE},
    {"patterns", MR_FIELD_LIST, NULL,
     "the top patterns of all kinds by lift: kind, pattern, length, support (a count), share, lift (share "
     "over "
     "the product of the shares of its items or edges)",
     MR_FOLD_NONE},
    {"rules", MR_FIELD_LIST, NULL,
     "the top rules by lift: left (items), right (one item), support (rows with all of them), share, "
     "left_support, right_support, confidence, lift, leverage",
     MR_FOLD_NONE},
    {0}};

/* Counted by hand. */
static const mr_example examples[] = {
    {.title = "four baskets",
     .input = "item\nbread milk\nbread butter milk\nbeer\nbutter bread\n",
     .options = "min_support=0.5 find=both",
     .expect =
         "{\"rows\": 4, \"itemset_least\": 2, \"itemset_count\": 5, \"sequence_count\": 4, \"rules\": ["
         "{\"left\": \"butter\", \"right\": \"bread\", \"support\": 2, \"confidence\": 1, "
         "\"lift\": 1.3333333333333333, \"leverage\": 0.125}, {\"left\": \"milk\", \"right\": \"bread\"}, "
         "{\"left\": \"bread\", \"right\": \"butter\"}, {\"left\": \"bread\", \"right\": \"milk\"}]}"},
    {.title = "two molecules",
     .input = "item\nv 0 C v 1 C v 2 O e 0 1 1 e 1 2 1\nv 0 O v 1 C v 2 C e 0 1 1 e 1 2 1\n",
     .options = "find=subgraphs min_support=1",
     .expect = "{\"graphs\": 2, \"subgraph_count\": 3}"},
    {0}};

const mr_component mr_component_pattern_discovery = {
    .name = "pattern_discovery",
    .summary = "finds itemsets, sequences and subgraphs that many rows share, and rules between items",
    .kind = MR_LEARNER,
    .shape = MR_MERGE,
    .tier = 2,
    .version = 1,
    .columns = MR_COL_ITEM,
    .columns_wanted = MR_COL_SESSION | MR_COL_TIME,
    .batch_rows = 4096,
    .capabilities = (const char *const[]){"itemsets", "sequences", "subgraphs", "rules", NULL},
    .options = options,
    .config_size = sizeof(pattern_config),
    .outputs = outputs,
    .examples = examples,
    .deadline_ms = 300000,
    .memory_mb = 1024,
    .process = process,
    .merge = merge,
};
