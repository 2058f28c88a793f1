/* structural_analyzer: the structure of each prompt as a tree of spans, and measures of that tree.
 * docs/components/structural_analyzer.md has the rules. */
#include "worker/component.h"
#include "worker/kit/structure.h"

#include <string.h>

typedef struct config {
    int64_t max_nodes;
    bool trees;
} config;

/* Sums over the rows of a batch. */
typedef struct totals {
    uint64_t holding[MR_NODE_KINDS], counts[MR_NODE_KINDS]; /* rows that hold the kind; nodes of it */
    uint64_t nodes, cycles, truncated;
    uint32_t depth_max;
    double depth, branching, balance;
} totals;

static void add_row(totals *sum, const mr_structure *s, const mr_structure_measures *m) {
    for (int k = 0; k < MR_NODE_KINDS; k++) {
        sum->holding[k] += m->counts[k] > 0;
        sum->counts[k] += m->counts[k];
    }
    sum->nodes += m->nodes;
    sum->cycles += m->cycles;
    sum->truncated += s->truncated;
    if (m->depth > sum->depth_max) sum->depth_max = m->depth;
    sum->depth += m->depth;
    sum->branching += m->branching;
    sum->balance += m->balance;
}

static double share(uint64_t part, uint32_t rows) { return rows ? (double)part / rows : 0; }

/* ---- output ---- */

/* The kinds that have fields of their own: the share of prompts that hold one, and how many there are. */
static const struct {
    mr_node_kind kind;
    const char *share, *count;
} reported[] = {
    {MR_NODE_HEADING, "with_heading", "headings"},
    {MR_NODE_LIST, "with_list", "lists"},
    {MR_NODE_ITEM, NULL, "items"},
    {MR_NODE_CODE_BLOCK, "with_code_block", "code_blocks"},
    {MR_NODE_CODE, "with_inline_code", "inline_codes"},
    {MR_NODE_PLACEHOLDER, "with_placeholder", "placeholders"},
    {MR_NODE_ROLE, "with_role", "roles"},
    {MR_NODE_EXAMPLE, "with_example", "examples"},
    {MR_NODE_CONSTRAINT, "with_constraint", "constraints"},
    {MR_NODE_INSTRUCTION, "with_instruction", "instructions"},
    {MR_NODE_QUESTION, "with_question", "questions"},
};
enum { REPORTED = sizeof reported / sizeof *reported };

static void put_totals(mr_out *out, const totals *sum, uint32_t rows) {
    mr_out_integer(out, "rows", rows);
    for (int i = 0; i < REPORTED; i++)
        if (reported[i].share)
            mr_out_number(out, reported[i].share, share(sum->holding[reported[i].kind], rows));
    for (int i = 0; i < REPORTED; i++)
        mr_out_integer(out, reported[i].count, (int64_t)sum->counts[reported[i].kind]);
    mr_out_integer(out, "nodes", (int64_t)sum->nodes);
    mr_out_integer(out, "reused_placeholders", (int64_t)sum->cycles);
    mr_out_integer(out, "depth_max", sum->depth_max);
    mr_out_number(out, "depth_mean", rows ? sum->depth / rows : 0);
    mr_out_number(out, "branching_mean", rows ? sum->branching / rows : 0);
    mr_out_number(out, "balance_mean", rows ? sum->balance / rows : 0);
    mr_out_integer(out, "truncated", (int64_t)sum->truncated);
}

static void put_node(mr_out *out, const mr_node *n) {
    mr_out_open_list(out, NULL);
    mr_out_text(out, NULL, "%s", mr_node_names[n->kind]);
    const uint32_t v[] = {n->start, n->end, n->parent, n->depth, n->level};
    for (size_t i = 0; i < sizeof v / sizeof *v; i++) mr_out_integer(out, NULL, v[i]);
    mr_out_close(out);
}

static void put_tree(mr_out *out, uint64_t row, const mr_structure *s, const mr_structure_measures *m) {
    mr_out_open_map(out, NULL);
    mr_out_integer(out, "row", (int64_t)row);
    mr_out_integer(out, "nodes", m->nodes);
    mr_out_integer(out, "leaves", m->leaves);
    mr_out_integer(out, "depth", m->depth);
    mr_out_number(out, "branching", m->branching);
    mr_out_number(out, "sackin", m->sackin);
    mr_out_number(out, "balance", m->balance);
    mr_out_integer(out, "cycles", m->cycles);
    mr_out_bool(out, "truncated", s->truncated);
    mr_out_open_list(out, "tree");
    for (uint32_t i = 0; i < s->count; i++) put_node(out, &s->nodes[i]);
    mr_out_close(out);
    mr_out_close(out);
}

static void put_findings(mr_out *out, const totals *sum, const mr_batch *b) {
    if (!b->rows) return;
    const uint64_t *h = sum->holding;
    mr_out_tally(out, 0.3,
                   "of %u prompts %llu give a role, %llu an instruction, %llu a constraint, %llu an example, "
                   "%llu use placeholders, %llu lists, %llu code",
                   b->rows, (unsigned long long)h[MR_NODE_ROLE], (unsigned long long)h[MR_NODE_INSTRUCTION],
                   (unsigned long long)h[MR_NODE_CONSTRAINT], (unsigned long long)h[MR_NODE_EXAMPLE],
                   (unsigned long long)h[MR_NODE_PLACEHOLDER], (unsigned long long)h[MR_NODE_LIST],
                   (unsigned long long)h[MR_NODE_CODE_BLOCK]);
    if (sum->truncated)
        mr_out_tally(out, 0.5, "%llu of %u prompts have more nodes than max_nodes allows; the rest is left out",
                     (unsigned long long)sum->truncated, b->rows);
}

/* One row's tree, kept until the sums are written. */
typedef struct row {
    mr_structure structure;
    mr_structure_measures measures;
} row;

static mr_status keep_nodes(mr_ctx *ctx, mr_structure *s) {
    mr_node *nodes = mr_ctx_alloc(ctx, s->count, sizeof *nodes);
    if (!nodes) return MR_E_MEMORY;
    memcpy(nodes, s->nodes, s->count * sizeof *nodes);
    s->nodes = nodes;
    return MR_OK;
}

static mr_status parse_rows(mr_ctx *ctx, const config *c, const mr_batch *b, row *rows, totals *sum) {
    mr_structure_room room;
    mr_error err;
    if (mr_structure_room_init(&room, mr_ctx_arena(ctx), (uint32_t)c->max_nodes, &err) != MR_OK)
        return MR_E_MEMORY;
    for (uint32_t i = 0; i < b->rows; i++) {
        row *r = &rows[i];
        mr_span text = b->text[MR_TEXT_PROMPT][i];
        MR_TRY(mr_tick(ctx));
        mr_status status = mr_structure_parse(text, &room, &r->structure, &err);
        if (status == MR_E_MEMORY) return status;
        if (status != MR_OK)
            return mr_refuse(ctx, status, "row %llu: %s", (unsigned long long)(b->first + i), err.text);
        r->measures = mr_structure_measure(&r->structure, text, &room);
        add_row(sum, &r->structure, &r->measures);
        if (c->trees) MR_TRY(keep_nodes(ctx, &r->structure));
    }
    return MR_OK;
}

static mr_status process(mr_ctx *ctx, const void *options, const mr_batch *b, mr_out *out) {
    const config *c = options;
    totals sum = {0};
    row *rows = mr_ctx_alloc(ctx, (size_t)b->rows + 1, sizeof *rows);
    if (!rows) return MR_E_MEMORY;
    MR_TRY(parse_rows(ctx, c, b, rows, &sum));
    put_totals(out, &sum, b->rows);
    mr_out_open_list(out, "trees");
    for (uint32_t i = 0; c->trees && i < b->rows; i++)
        put_tree(out, b->first + i, &rows[i].structure, &rows[i].measures);
    mr_out_close(out);
    put_findings(out, &sum, b);
    return MR_OK;
}

static const char *const capabilities[] = {"prompt structure", "spans", NULL};

static const mr_option options[] = {
    {.name = "max_nodes",
     .type = MR_OPT_INT,
     .offset = offsetof(config, max_nodes),
     .def = "1024",
     .min = 16,
     .max = 16384,
     .unit = "nodes",
     .help = "most nodes of one prompt's tree; what is found later is left out and counted"},
    {.name = "trees",
     .type = MR_OPT_BOOL,
     .offset = offsetof(config, trees),
     .def = "true",
     .help = "give each prompt's tree, not only the sums"},
    MR_OPTION_END,
};

#define SHARE(name, what)                                                                                    \
    { name, MR_FIELD_NUMBER, "share of prompts", "prompts with " what, MR_FOLD_MEAN }
#define COUNT(name, what)                                                                                    \
    { name, MR_FIELD_INTEGER, "nodes", what, MR_FOLD_SUM }
static const mr_field outputs[] = {
    {"rows", MR_FIELD_INTEGER, "rows", "prompts of the batch", MR_FOLD_SUM},
    SHARE("with_heading", "a heading or a title line"),
    SHARE("with_list", "a list"),
    SHARE("with_code_block", "a fenced or indented code block"),
    SHARE("with_inline_code", "code between backticks"),
    SHARE("with_placeholder", "a placeholder"),
    SHARE("with_role", "a role sentence or a turn label"),
    SHARE("with_example", "an example"),
    SHARE("with_constraint", "a constraint"),
    SHARE("with_instruction", "an instruction"),
    SHARE("with_question", "a question"),
    COUNT("headings", "headings and title lines"),
    COUNT("lists", "lists, nested ones too"),
    COUNT("items", "list items"),
    COUNT("code_blocks", "code blocks"),
    COUNT("inline_codes", "pieces of inline code"),
    COUNT("placeholders", "placeholders, each use"),
    COUNT("roles", "role sentences and turn labels"),
    COUNT("examples", "examples"),
    COUNT("constraints", "sentences that constrain"),
    COUNT("instructions", "sentences that instruct"),
    COUNT("questions", "sentences that ask"),
    COUNT("nodes", "nodes of all trees"),
    {"reused_placeholders", MR_FIELD_INTEGER, "uses",
     "uses of a placeholder after its first (cyclomatic number)", MR_FOLD_SUM},
    {"depth_max", MR_FIELD_INTEGER, "levels", "greatest depth of a tree", MR_FOLD_MAX},
    {"depth_mean", MR_FIELD_NUMBER, "levels", "mean depth of the trees", MR_FOLD_MEAN},
    {"branching_mean", MR_FIELD_NUMBER, "children",
     "mean over prompts of the mean number of children of inner nodes", MR_FOLD_MEAN},
    {"balance_mean", MR_FIELD_NUMBER, "0 to 1", "mean Sackin balance: 1 flat, 0 a caterpillar", MR_FOLD_MEAN},
    {"truncated", MR_FIELD_INTEGER, "rows", "prompts with more than max_nodes nodes", MR_FOLD_SUM},
    {"trees", MR_FIELD_LIST, NULL,
     "for each prompt a map: row, nodes, leaves, depth, branching, sackin, balance, cycles, "
     "truncated, tree: nodes in preorder as [kind, start byte, end byte, parent, depth, heading level]",
     MR_FOLD_NONE},
    {0},
};

static const mr_example examples[] = {
    {"a role, an instruction with a constraint, a placeholder",
     "{\"prompt\": \"You are a poet. Write at most 9 words about {topic}.\"}\n", NULL, NULL,
     "{\"rows\": 1, \"with_role\": 1, \"with_constraint\": 1, \"placeholders\": 1, \"depth_max\": 4}"},
    {"a nested list", "{\"prompt\": \"Plan:\\n\\n- one\\n  - two\\n- three\"}\n", "trees=false", NULL,
     "{\"lists\": 2, \"items\": 3, \"headings\": 1, \"trees\": []}"},
    {0},
};

const mr_component mr_component_structural_analyzer = {
    .name = "structural_analyzer",
    .summary = "the structure of each prompt as a tree: sections, lists, code, placeholders, roles, "
               "examples, constraints",
    .kind = MR_ANALYZER,
    .shape = MR_MAP,
    .tier = 3,
    .version = 2,
    .columns = MR_COL_PROMPT,
    .capabilities = capabilities,
    .options = options,
    .config_size = sizeof(config),
    .outputs = outputs,
    .examples = examples,
    .deadline_ms = 60000,
    .memory_mb = 256,
    .process = process,
};
