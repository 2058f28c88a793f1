#include "worker/kit/structure_spans.h"

#include <string.h>

enum {
    TAB = 4,
    FENCE_MIN = 3,
    TITLE_BYTES_MAX = 60,
    TITLE_WORDS_MAX = 6,
    TITLE_LEVEL = 7,
    UNDERLINED_BYTES_MAX = 80,
    LIST_DEPTH_MAX = 16
};

const char *const mr_node_names[MR_NODE_KINDS] = {
    "document",   "section", "example",  "list",        "item",       "paragraph", "heading",
    "code_block", "role",    "question", "instruction", "constraint", "code",      "placeholder",
};

/* A line [start, end) without its break; `text` is its first byte that is not blank, `stop` is behind the
 * last one. */
typedef struct line {
    size_t start, text, stop;
    unsigned indent; /* columns before `text` */
    bool blank;
} line;

typedef struct parser {
    mr_spans spans;
    const line *lines;
    size_t count;
} parser;

/* ---- lines ---- */

static line read_line(mr_span t, size_t start, size_t end) {
    line l = {.start = start, .text = start, .stop = end};
    for (; l.text < end; l.text++) {
        uint8_t c = t.data[l.text];
        if (c == '\t')
            l.indent = (l.indent / TAB + 1) * TAB;
        else if (c == ' ')
            l.indent++;
        else if (c != '\r')
            break;
    }
    while (l.stop > l.text && strchr(" \t\r", t.data[l.stop - 1]) && t.data[l.stop - 1]) l.stop--;
    l.blank = l.text == end;
    if (l.blank) l.stop = l.text;
    return l;
}

static mr_status make_lines(mr_structure_room *room, size_t count, mr_error *err) {
    if (count <= room->lines_max) return MR_OK;
    size_t max = count > 2 * room->lines_max ? count : 2 * room->lines_max;
    room->lines_max = 0;
    room->lines = mr_arena_alloc(room->arena, max, sizeof(line));
    if (!room->lines) return mr_fail(err, MR_E_MEMORY, "no memory for the %zu lines of a prompt", count);
    room->lines_max = max;
    return MR_OK;
}

static mr_status read_lines(parser *p, mr_structure_room *room, mr_error *err) {
    mr_span t = p->spans.text;
    size_t count = 1;
    for (size_t i = 0; i < t.len; i++) count += t.data[i] == '\n';
    MR_TRY(make_lines(room, count, err));
    line *lines = room->lines;
    for (size_t i = 0, start = 0; i <= t.len; i++) {
        if (i < t.len && t.data[i] != '\n') continue;
        lines[p->count++] = read_line(t, start, i);
        start = i + 1;
    }
    p->lines = lines;
    return MR_OK;
}

static uint8_t at(const parser *p, size_t i) { return i < p->spans.text.len ? p->spans.text.data[i] : 0; }
static bool is_digit(uint8_t c) { return c >= '0' && c <= '9'; }
static bool is_upper(uint8_t c) { return c >= 'A' && c <= 'Z'; }

/* ---- what a line is ---- */

static size_t run_length(const parser *p, size_t from, size_t end, uint8_t c) {
    size_t n = 0;
    while (from + n < end && at(p, from + n) == c) n++;
    return n;
}

static size_t fence_length(const parser *p, const line *l) {
    uint8_t c = at(p, l->text);
    size_t n = c == '`' || c == '~' ? run_length(p, l->text, l->stop, c) : 0;
    if (n < FENCE_MIN) return 0;
    for (size_t i = l->text + n; c == '`' && i < l->stop; i++)
        if (at(p, i) == '`') return 0; /* inline code */
    return n;
}

static unsigned hash_level(const parser *p, const line *l) {
    size_t n = run_length(p, l->text, l->stop, '#');
    return n >= 1 && n <= 6 && l->text + n < l->stop && at(p, l->text + n) == ' ' ? (unsigned)n : 0;
}

/* Three or more of one of "=", "-", "*", "_", and nothing else. */
static bool is_rule(const parser *p, const line *l, const char *of) {
    uint8_t c = at(p, l->text);
    return !l->blank && l->stop - l->text >= 3 && c && strchr(of, c) &&
           run_length(p, l->text, l->stop, c) == l->stop - l->text;
}

/* Bytes of the marker "-", "*", "+", a bullet sign, "12." or "12)" with a blank behind it; 0 when it is no
 * list item. */
static size_t marker_length(const parser *p, const line *l) {
    size_t i = l->text;
    if (l->blank || is_rule(p, l, "-*_")) return 0;
    if (at(p, i) && strchr("-*+", at(p, i)))
        i++;
    else if (l->stop - i >= 3 && !memcmp(p->spans.text.data + i, "\xe2\x80\xa2", 3))
        i += 3;
    else {
        while (i < l->stop && is_digit(at(p, i)) && i - l->text < 3) i++;
        if (i == l->text || (at(p, i) != '.' && at(p, i) != ')')) return 0;
        i++;
    }
    return i < l->stop && (at(p, i) == ' ' || at(p, i) == '\t') ? i - l->text : 0;
}

/* ---- labels: a word or two and a colon at the start of a line ---- */

static const char *const example_labels[] = {"example",       "examples",     "sample", "for example",
                                             "example input", "sample input", NULL};
static const char *const input_labels[] = {"input", "q", "question", NULL};
static const char *const output_labels[] = {"output", "a", "answer", "expected output", NULL};
static const char *const turn_labels[] = {"system", "user", "assistant", "human", "ai", "bot", NULL};

/* The byte behind "Label:" or "Label 3:" (bold allowed) when the line starts with one of `labels`, else 0. */
static size_t label_end(const parser *p, const line *l, const char *const *labels) {
    size_t i = l->text;
    i += run_length(p, i, l->stop, '*');
    size_t n = 0;
    for (const char *const *k = labels; *k; k++) /* the longest that fits */
        if (strlen(*k) > n && mr_spans_phrase(p->spans.text, i, l->stop, *k)) n = strlen(*k);
    if (!n) return 0;
    i += n;
    while (at(p, i) == ' ' || at(p, i) == '#' || is_digit(at(p, i))) i++;
    i += run_length(p, i, l->stop, '*');
    if (i >= l->stop || at(p, i) != ':') return 0;
    i++;
    return i + run_length(p, i, l->stop, '*');
}

static size_t turn_end(const parser *p, const line *l) {
    return !l->blank && is_upper(at(p, l->text)) ? label_end(p, l, turn_labels) : 0;
}

static bool is_example_label(const parser *p, const line *l) { return label_end(p, l, example_labels) != 0; }

static const char *const no_title[] = {"you", "here", "the following", "please", "i",    "this", "these",
                                       "if",  "when", "for",           "now",    "then", NULL};

/* "Title:" alone on its line behind a blank line or the start, with something below it. */
static bool is_title(const parser *p, size_t i, size_t from) {
    const line *l = &p->lines[i];
    size_t n = l->stop - l->text, words = 1;
    if (l->blank || n < 2 || n > TITLE_BYTES_MAX || at(p, l->stop - 1) != ':' || !is_upper(at(p, l->text)))
        return false;
    if ((i > from && !p->lines[i - 1].blank) || i + 1 >= p->count) return false;
    for (size_t k = l->text; k + 1 < l->stop; k++) {
        if (strchr(".?!:;{[<`", at(p, k))) return false;
        words += at(p, k) == ' ';
    }
    if (words > TITLE_WORDS_MAX || mr_spans_any(p->spans.text, l->text, l->stop, no_title)) return false;
    return !mr_spans_verb(p->spans.text, l->text, l->stop) && !turn_end(p, l) &&
           !label_end(p, l, input_labels) && !label_end(p, l, output_labels);
}

/* A short line of its own with "===" or "---" under it. */
static bool is_underlined(const parser *p, size_t i, size_t end) {
    const line *l = &p->lines[i];
    return i + 1 < end && l->stop - l->text <= UNDERLINED_BYTES_MAX && is_rule(p, &p->lines[i + 1], "=-");
}

/* Whether a paragraph ends before this line. */
static bool starts_block(const parser *p, const line *l) {
    return l->blank || fence_length(p, l) || hash_level(p, l) || marker_length(p, l) ||
           is_example_label(p, l) || turn_end(p, l) || is_rule(p, l, "-*_");
}

/* ---- blocks; each takes the line that it starts at and returns the line behind it ---- */

static size_t parse_fence(parser *p, size_t i, size_t end) {
    const line *open = &p->lines[i];
    uint8_t c = at(p, open->text);
    size_t n = fence_length(p, open), stop = open->stop, k = i + 1;
    for (; k < end; k++) {
        const line *l = &p->lines[k];
        if (!l->blank) stop = l->stop;
        size_t run = run_length(p, l->text, l->stop, c);
        if (run >= n && l->text + run == l->stop) {
            k++;
            break;
        }
    }
    mr_spans_add(&p->spans, MR_NODE_CODE_BLOCK, open->text, stop, 0);
    return k;
}

static size_t parse_indented(parser *p, size_t i, size_t end) {
    size_t stop = p->lines[i].stop, k = i, behind = i + 1;
    for (; k < end && (p->lines[k].blank || p->lines[k].indent >= TAB); k++) {
        if (p->lines[k].blank) continue;
        stop = p->lines[k].stop;
        behind = k + 1;
    }
    mr_spans_add(&p->spans, MR_NODE_CODE_BLOCK, p->lines[i].start, stop, 0);
    return behind;
}

static size_t parse_heading(parser *p, size_t i, unsigned level, size_t stop) {
    mr_spans_add(&p->spans, MR_NODE_HEADING, p->lines[i].text, stop, level);
    return i + 1;
}

static size_t parse_paragraph(parser *p, size_t i, size_t end, size_t start) {
    size_t k = i + 1;
    while (k < end && !starts_block(p, &p->lines[k])) k++;
    size_t stop = p->lines[k - 1].stop;
    while (start < stop && at(p, start) == ' ') start++;
    if (start >= stop) return k;
    mr_spans_add(&p->spans, MR_NODE_PARAGRAPH, start, stop, 0);
    mr_spans_running_text(&p->spans, start, stop);
    return k;
}

static size_t parse_turn(parser *p, size_t i, size_t end) {
    size_t stop = turn_end(p, &p->lines[i]);
    mr_spans_add(&p->spans, MR_NODE_ROLE, p->lines[i].text, stop, 0);
    return stop < p->lines[i].stop ? parse_paragraph(p, i, end, stop) : i + 1;
}

/* ---- lists ---- */

typedef struct open_list {
    unsigned indent;
    size_t list, item, stop; /* starts of the list and of its open item; the end so far */
} open_list;

static void close_list(parser *p, open_list *open, size_t *depth) {
    const open_list *top = &open[--*depth];
    mr_spans_add(&p->spans, MR_NODE_ITEM, top->item, top->stop, 0);
    mr_spans_add(&p->spans, MR_NODE_LIST, top->list, top->stop, 0);
    if (*depth && open[*depth - 1].stop < top->stop) open[*depth - 1].stop = top->stop;
}

static void open_item(parser *p, open_list *open, size_t *depth, const line *l) {
    while (*depth > 1 && l->indent < open[*depth - 1].indent) close_list(p, open, depth);
    open_list *top = *depth ? &open[*depth - 1] : NULL;
    if (!top || (l->indent >= top->indent + 2 && *depth < LIST_DEPTH_MAX)) {
        open[(*depth)++] = (open_list){l->indent, l->text, l->text, l->stop};
        return;
    }
    mr_spans_add(&p->spans, MR_NODE_ITEM, top->item, top->stop, 0);
    top->item = l->text;
    top->stop = l->stop;
}

/* Whether the list goes on at line k: an item, or a line that is indented deeper than the open item's marker.
 */
static bool list_goes_on(const parser *p, size_t k, size_t end, const open_list *top) {
    return k < end && !p->lines[k].blank &&
           (marker_length(p, &p->lines[k]) || p->lines[k].indent > top->indent) && !turn_end(p, &p->lines[k]);
}

static size_t parse_list(parser *p, size_t i, size_t end) {
    open_list open[LIST_DEPTH_MAX];
    size_t depth = 0, k = i;
    while (k < end) {
        const line *l = &p->lines[k];
        size_t marker = marker_length(p, l), text = l->text;
        if (fence_length(p, l)) {
            k = parse_fence(p, k, end);
        } else {
            if (marker) open_item(p, open, &depth, l);
            for (k++;
                 k < end && !starts_block(p, &p->lines[k]) && p->lines[k].indent > open[depth - 1].indent;)
                k++;
            mr_spans_running_text(&p->spans, text + marker, p->lines[k - 1].stop);
        }
        open[depth - 1].stop = p->lines[k - 1].stop;
        size_t next = k;
        while (next < end && p->lines[next].blank) next++;
        if (!list_goes_on(p, next, end, &open[depth - 1])) break;
        k = next;
    }
    while (depth) close_list(p, open, &depth);
    return k;
}

/* ---- examples ---- */

static void parse_blocks(parser *p, size_t from, size_t end);

/* The line behind the run of lines without a blank that starts at k; fences are passed over whole. */
static size_t run_end(const parser *p, size_t k, size_t end) {
    for (;
         k < end && !p->lines[k].blank && !hash_level(p, &p->lines[k]) && !is_example_label(p, &p->lines[k]);
         k++) {
        size_t n = fence_length(p, &p->lines[k]);
        if (!n) continue;
        uint8_t c = at(p, p->lines[k].text);
        for (k++; k < end && run_length(p, p->lines[k].text, p->lines[k].stop, c) < n; k++) {
        }
        if (k == end) break;
    }
    return k;
}

static size_t skip_blank(const parser *p, size_t k, size_t end) {
    while (k < end && p->lines[k].blank) k++;
    return k;
}

/* For an "Input:" line: the line behind the output that belongs to it, or 0. One blank line may lie between.
 * An output with nothing behind it is a slot to fill, not an example. */
static size_t pair_end(const parser *p, size_t i, size_t end) {
    bool gap = false;
    for (size_t k = i + 1; k < end; k++) {
        const line *l = &p->lines[k];
        size_t stop = label_end(p, l, output_labels);
        if (stop) {
            bool filled = stop < l->stop || (k + 1 < end && !p->lines[k + 1].blank);
            size_t behind = k + 1;
            while (filled && behind < end && !p->lines[behind].blank &&
                   !label_end(p, &p->lines[behind], input_labels))
                behind++;
            return filled ? behind : 0;
        }
        if ((l->blank && gap) || hash_level(p, l) || label_end(p, l, input_labels)) return 0;
        gap = gap || l->blank;
    }
    return 0;
}

static void parse_example_body(parser *p, size_t i, size_t end, size_t rest) {
    const line *l = &p->lines[i];
    p->spans.quiet++;
    if (rest < l->stop) mr_spans_running_text(&p->spans, rest, l->stop);
    parse_blocks(p, i + 1, end);
    p->spans.quiet--;
}

static size_t add_example(parser *p, size_t i, size_t behind, size_t rest) {
    size_t last = behind - 1;
    while (last > i && p->lines[last].blank) last--;
    mr_spans_add(&p->spans, MR_NODE_EXAMPLE, p->lines[i].text, p->lines[last].stop, 0);
    parse_example_body(p, i, behind, rest);
    return behind;
}

static size_t parse_example(parser *p, size_t i, size_t end) {
    size_t rest = label_end(p, &p->lines[i], example_labels), behind = run_end(p, i + 1, end);
    if (behind == i + 1 && rest >= p->lines[i].stop) { /* a bare label: the next block is the example */
        size_t next = skip_blank(p, behind, end);
        behind = run_end(p, next, end);
        if (behind == next) behind = i + 1;
    }
    return add_example(p, i, behind, rest);
}

/* ---- all blocks ---- */

static size_t parse_block(parser *p, size_t i, size_t from, size_t end) {
    const line *l = &p->lines[i];
    size_t pair;
    if (fence_length(p, l)) return parse_fence(p, i, end);
    if (hash_level(p, l)) return parse_heading(p, i, hash_level(p, l), l->stop);
    if (l->indent >= TAB && (i == from || p->lines[i - 1].blank)) return parse_indented(p, i, end);
    if (marker_length(p, l)) return parse_list(p, i, end);
    if (is_rule(p, l, "-*_")) return i + 1;
    if (!p->spans.quiet && is_example_label(p, l)) return parse_example(p, i, end);
    if (!p->spans.quiet && label_end(p, l, input_labels) && (pair = pair_end(p, i, end)))
        return add_example(p, i, pair, label_end(p, l, input_labels));
    if (turn_end(p, l) && !p->spans.quiet) return parse_turn(p, i, end);
    if (is_underlined(p, i, end))
        return parse_heading(p, i, at(p, p->lines[i + 1].text) == '=' ? 1 : 2, p->lines[i + 1].stop) + 1;
    if (!p->spans.quiet && is_title(p, i, from)) return parse_heading(p, i, TITLE_LEVEL, l->stop);
    return parse_paragraph(p, i, end, l->text);
}

static void parse_blocks(parser *p, size_t from, size_t end) {
    for (size_t i = from; i < end;) i = p->lines[i].blank ? i + 1 : parse_block(p, i, from, end);
}

/* A section reaches from its heading to the next one of its level or a higher one. Headings lie in order
 * here. */
static void add_sections(parser *p) {
    mr_spans *s = &p->spans;
    size_t text_end = s->text.len, found = s->count;
    while (text_end && strchr(" \t\r\n", s->text.data[text_end - 1]) && s->text.data[text_end - 1])
        text_end--;
    for (size_t i = 0; i < found; i++) {
        if (s->nodes[i].kind != MR_NODE_HEADING) continue;
        size_t end = text_end, k = i + 1;
        while (k < found && (s->nodes[k].kind != MR_NODE_HEADING || s->nodes[k].level > s->nodes[i].level))
            k++;
        if (k < found) end = s->nodes[k].start;
        while (end && strchr(" \t\r\n", s->text.data[end - 1]) && s->text.data[end - 1]) end--;
        mr_spans_add(s, MR_NODE_SECTION, s->nodes[i].start, end, s->nodes[i].level);
    }
}

/* ---- the tree ---- */

void mr_spans_add(mr_spans *s, mr_node_kind kind, size_t start, size_t end, uint32_t level) {
    if (s->count == s->cap) {
        s->truncated = true;
        return;
    }
    s->nodes[s->count++] =
        (mr_node){.kind = kind, .start = (uint32_t)start, .end = (uint32_t)end, .level = level};
}

static bool before(const mr_node *a, const mr_node *b) {
    if (a->start != b->start) return a->start < b->start;
    if (a->end != b->end) return a->end > b->end;
    return a->kind < b->kind;
}

static void sort_nodes(mr_node *v, size_t n) {
    static const size_t gaps[] = {8929, 3905, 1750, 701, 301, 132,
                                  57,   23,   10,   4,   1}; /* shell sort (Ciura 2001) */
    for (size_t g = 0; g < sizeof gaps / sizeof *gaps; g++) {
        for (size_t i = gaps[g]; i < n; i++) {
            mr_node x = v[i];
            size_t k = i;
            for (; k >= gaps[g] && before(&x, &v[k - gaps[g]]); k -= gaps[g]) v[k] = v[k - gaps[g]];
            v[k] = x;
        }
    }
}

/* The parent is the nearest earlier node that holds the whole span, so a span that crosses another's end
 * moves up. */
static void link_nodes(mr_node *v, uint32_t n) {
    for (uint32_t i = 1; i < n; i++) {
        uint32_t up = i - 1;
        while (up && v[up].end < v[i].end) up = v[up].parent;
        v[i].parent = up;
        v[i].depth = v[up].depth + 1;
    }
}

mr_status mr_structure_room_init(mr_structure_room *room, mr_arena *arena, uint32_t nodes_max,
                                 mr_error *err) {
    *room = (mr_structure_room){.arena = arena, .nodes_max = nodes_max};
    room->nodes = mr_arena_alloc(arena, nodes_max, sizeof *room->nodes);
    room->counts = mr_arena_alloc(arena, 2 * (size_t)nodes_max, sizeof *room->counts);
    if (!room->nodes || !room->counts)
        return mr_fail(err, MR_E_MEMORY, "no memory for %u nodes of a structure", nodes_max);
    return MR_OK;
}

mr_status mr_structure_parse(mr_span text, mr_structure_room *room, mr_structure *out, mr_error *err) {
    if (text.len > 256u << 20)
        return mr_fail(err, MR_E_LIMIT, "a text of %zu bytes; the structure takes 256 MiB", text.len);
    parser p = {.spans = {.text = text, .nodes = room->nodes, .cap = room->nodes_max}};
    MR_TRY(read_lines(&p, room, err));
    mr_spans_add(&p.spans, MR_NODE_DOCUMENT, 0, text.len, 0);
    parse_blocks(&p, 0, p.count);
    add_sections(&p);
    sort_nodes(p.spans.nodes, p.spans.count);
    link_nodes(p.spans.nodes, p.spans.count);
    *out = (mr_structure){p.spans.nodes, p.spans.count, p.spans.truncated};
    return MR_OK;
}

/* ---- measures ---- */

static bool same_text(mr_span text, const mr_node *a, const mr_node *b) {
    return a->end - a->start == b->end - b->start &&
           !memcmp(text.data + a->start, text.data + b->start, a->end - a->start);
}

static uint32_t count_reuse(const mr_structure *s, mr_span text) {
    uint32_t reused = 0;
    for (uint32_t i = 1; i < s->count; i++) {
        if (s->nodes[i].kind != MR_NODE_PLACEHOLDER) continue;
        uint32_t k = i;
        while (--k &&
               !(s->nodes[k].kind == MR_NODE_PLACEHOLDER && same_text(text, &s->nodes[k], &s->nodes[i]))) {
        }
        reused += k > 0;
    }
    return reused;
}

static double balance_of(double sackin, double leaves) {
    double least = leaves, most = leaves * (leaves + 1) / 2 - 1;
    return leaves < 3 ? 1 : 1 - (sackin - least) / (most - least);
}

mr_structure_measures mr_structure_measure(const mr_structure *s, mr_span text, mr_structure_room *room) {
    mr_structure_measures m = {.nodes = s->count, .cycles = count_reuse(s, text)};
    uint32_t *children = room->counts, *forks = children + s->count, inner = 0;
    memset(children, 0, 2 * (size_t)s->count * sizeof *children);
    for (uint32_t i = 1; i < s->count; i++) children[s->nodes[i].parent]++;
    for (uint32_t i = 0; i < s->count; i++) {
        const mr_node *n = &s->nodes[i];
        if (i)
            forks[i] = forks[n->parent] + (children[n->parent] > 1); /* ancestors with two children or more */
        m.counts[n->kind]++;
        if (n->depth > m.depth) m.depth = n->depth;
        inner += children[i] > 0;
        if (children[i]) continue;
        m.leaves++;
        m.sackin += forks[i];
    }
    m.branching = inner ? (double)(s->count - 1) / (double)inner : 0;
    m.balance = balance_of(m.sackin, m.leaves);
    return m;
}
