#include "worker/kit/graphtext.h"
#include "common/text.h"

#include <string.h>

static bool blank(uint8_t c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

/* Takes the next word off `text`; empty at the end. */
static mr_span next_word(mr_span *text) {
    size_t at = 0, end;
    while (at < text->len && blank(text->data[at])) at++;
    for (end = at; end < text->len && !blank(text->data[end]);) end++;
    mr_span word = {text->data + at, end - at};
    *text = (mr_span){text->data + end, text->len - end};
    return word;
}

static bool is(mr_span word, char c) { return word.len == 1 && word.data[0] == (uint8_t)c; }

/* A graph while it is read; labels and ends stay in the text until all is known. */
typedef struct reading {
    uint32_t vertices, edges;
    mr_span *edge_label;
    uint32_t *end; /* two for each edge */
} reading;

static mr_status bad(mr_error *err, mr_span word, const char *what) {
    return mr_fail(err, MR_E_INVALID, "the graph %s '%.*s'; write it as v 0 LABEL v 1 LABEL e 0 1 LABEL",
                   what, (int)(word.len < 60 ? word.len : 60), word.len ? (const char *)word.data : "");
}

static mr_status read_vertex(mr_itemrows *rows, mr_span *text, reading *g, mr_error *err) {
    mr_span number = next_word(text), label = next_word(text);
    int64_t v;
    if (!mr_integer_parse(number, &v) || v != g->vertices || g->edges > 0)
        return bad(err, number, "should number its vertices 0, 1, 2, ... before its edges, but has");
    if (!label.len) return bad(err, number, "has no label at vertex");
    if (g->vertices == MR_GRAPH_VERTICES)
        return mr_fail(err, MR_E_LIMIT, "a graph has over %d vertices", MR_GRAPH_VERTICES);
    g->vertices++;
    return mr_itemrows_item(rows, label, err);
}

static mr_status read_edge(mr_span *text, reading *g, mr_error *err) {
    mr_span from = next_word(text), to = next_word(text), label = next_word(text);
    int64_t a, b;
    if (!mr_integer_parse(from, &a) || a < 0 || a >= g->vertices) return bad(err, from, "has no vertex");
    if (!mr_integer_parse(to, &b) || b < 0 || b >= g->vertices) return bad(err, to, "has no vertex");
    if (a == b) return bad(err, from, "has a loop at vertex");
    if (!label.len) return bad(err, to, "has no label at the edge to vertex");
    for (uint32_t k = 0; k < g->edges; k++) {
        uint32_t p = g->end[2 * k], q = g->end[2 * k + 1];
        if ((p == a && q == b) || (p == b && q == a))
            return bad(err, to, "has two edges between a pair with");
    }
    if (g->edges == MR_GRAPH_EDGES)
        return mr_fail(err, MR_E_LIMIT, "a graph has over %d edges", MR_GRAPH_EDGES);
    g->end[2 * g->edges] = (uint32_t)a;
    g->end[2 * g->edges + 1] = (uint32_t)b;
    g->edge_label[g->edges++] = label;
    return MR_OK;
}

static size_t count_edges(mr_span text) {
    size_t n = 0;
    for (mr_span w = next_word(&text); w.len; w = next_word(&text)) n += is(w, 'e');
    return n < MR_GRAPH_EDGES ? n : MR_GRAPH_EDGES;
}

mr_status mr_graph_add(mr_itemrows *rows, mr_span text, mr_error *err) {
    size_t most = count_edges(text) + 1;
    reading g = {.edge_label = mr_arena_alloc(rows->arena, most, sizeof *g.edge_label),
                 .end = mr_arena_alloc(rows->arena, 2 * most, sizeof *g.end)};
    if (!g.edge_label || !g.end) return mr_fail(err, MR_E_MEMORY, "no memory for a graph");
    mr_span word = next_word(&text);
    if (is(word, 't') && is(next_word(&text), '#')) {
        (void)next_word(&text);
        word = next_word(&text);
    }
    for (; word.len; word = next_word(&text)) {
        if (!is(word, 'v') && !is(word, 'e')) return bad(err, word, "has the unknown word");
        MR_TRY(is(word, 'v') ? read_vertex(rows, &text, &g, err) : read_edge(&text, &g, err));
    }
    MR_TRY(mr_itemrows_plain(rows, g.vertices, err));
    for (uint32_t k = 0; k < g.edges; k++) {
        MR_TRY(mr_itemrows_item(rows, g.edge_label[k], err));
        MR_TRY(mr_itemrows_plain(rows, g.end[2 * k], err));
        MR_TRY(mr_itemrows_plain(rows, g.end[2 * k + 1], err));
    }
    return mr_itemrows_end(rows, (mr_span){NULL, 0}, 0, err);
}

/* ---- rows -> graphs ---- */

typedef struct arrays {
    uint32_t *vertex_end, *edge_end, *vertex_label, *edge_label, *from, *to;
} arrays;

static bool alloc(mr_arena *arena, const mr_itemrows *rows, arrays *a) {
    size_t n = rows->rows + (size_t)1, items = rows->rows ? rows->item_end[rows->rows - 1] + (size_t)1 : 1;
    return (a->vertex_end = mr_arena_alloc(arena, n, sizeof(uint32_t))) &&
           (a->edge_end = mr_arena_alloc(arena, n, sizeof(uint32_t))) &&
           (a->vertex_label = mr_arena_alloc(arena, items, sizeof(uint32_t))) &&
           (a->edge_label = mr_arena_alloc(arena, items, sizeof(uint32_t))) &&
           (a->from = mr_arena_alloc(arena, items, sizeof(uint32_t))) &&
           (a->to = mr_arena_alloc(arena, items, sizeof(uint32_t)));
}

mr_status mr_graphs_of(const mr_itemrows *rows, mr_arena *arena, mr_graphs *out, mr_error *err) {
    arrays a;
    uint32_t v = 0, e = 0;
    if (!alloc(arena, rows, &a)) return mr_fail(err, MR_E_MEMORY, "no memory for %u graphs", rows->rows);
    for (uint32_t g = 0; g < rows->rows; g++) {
        uint32_t at = mr_itemrows_at(rows->item_end, g), plain = mr_itemrows_at(rows->plain_end, g);
        uint32_t items = rows->item_end[g] - at, numbers = rows->plain_end[g] - plain, base = v;
        uint32_t vertices = numbers ? rows->plain[plain] : 0;
        if (!numbers || vertices > items || (uint64_t)numbers != 1 + 2 * (uint64_t)(items - vertices))
            return mr_fail(err, MR_E_CORRUPT, "packed graph %u has %u labels and %u numbers", g, items,
                           numbers);
        for (uint32_t k = 0; k < vertices; k++) a.vertex_label[v++] = rows->item[at + k];
        for (uint32_t k = vertices; k < items; k++, e++) {
            uint32_t p = rows->plain[++plain], q = rows->plain[++plain];
            if (p >= vertices || q >= vertices || p == q)
                return mr_fail(err, MR_E_CORRUPT, "packed graph %u has an edge from %u to %u", g, p, q);
            a.from[e] = base + p;
            a.to[e] = base + q;
            a.edge_label[e] = rows->item[at + k];
        }
        a.vertex_end[g] = v;
        a.edge_end[g] = e;
    }
    *out = (mr_graphs){rows->rows, a.vertex_end, a.edge_end, a.vertex_label, a.edge_label, a.from, a.to};
    return MR_OK;
}

static void put_vertex(uint32_t number, mr_span label, mr_buf *out) {
    mr_buf_printf(out, "%sv %u ", number ? " " : "", number);
    mr_buf_put(out, label.data, label.len);
}

void mr_graph_words(const uint32_t *code, size_t words, const mr_terms *labels, mr_buf *out) {
    uint32_t next = 0;
    for (size_t k = 0; k < words; k += MR_CODE_WORDS) {
        const uint32_t *e = code + k;
        if (e[MR_CODE_I] == next) put_vertex(next++, labels->text[e[MR_CODE_LABEL_I]], out);
        if (e[MR_CODE_J] == next) put_vertex(next++, labels->text[e[MR_CODE_LABEL_J]], out);
    }
    for (size_t k = 0; k < words; k += MR_CODE_WORDS) {
        const uint32_t *e = code + k;
        mr_span label = labels->text[e[MR_CODE_LABEL_E]];
        mr_buf_printf(out, " e %u %u ", e[MR_CODE_I], e[MR_CODE_J]);
        mr_buf_put(out, label.data, label.len);
    }
}
