#include "worker/kit/causal_put.h"

static void put_edge(mr_out *out, const mr_pc *graph, const char *const *names, size_t a, size_t b) {
    const mr_pc_pair *e = mr_pc_at(graph, a, b);
    bool turned = e->mark == MR_PC_BACKWARD;
    mr_out_open_map(out, NULL);
    mr_out_text(out, "from", "%s", names[turned ? b : a]);
    mr_out_text(out, "to", "%s", names[turned ? a : b]);
    mr_out_bool(out, "directed", e->mark == MR_PC_FORWARD || turned);
    mr_out_bool(out, "conflict", e->mark == MR_PC_CONFLICT);
    mr_out_number(out, "statistic", e->test.statistic);
    mr_out_number(out, "df", e->test.df);
    mr_out_number(out, "p", e->test.p);
    mr_out_open_list(out, "given");
    for (size_t i = 0; i < e->given_count; i++) mr_out_text(out, NULL, "%s", names[e->given[i]]);
    mr_out_close(out);
    mr_out_close(out);
}

void mr_put_edges(mr_out *out, const mr_pc *graph, const char *const *names) {
    mr_out_open_list(out, "edges");
    for (size_t a = 0; graph->pair && a < graph->width; a++)
        for (size_t b = a + 1; b < graph->width; b++)
            if (mr_pc_adjacent(graph, a, b)) put_edge(out, graph, names, a, b);
    mr_out_close(out);
}

void mr_put_confounder(mr_out *out, const mr_confounder *a) {
    mr_out_open_map(out, NULL);
    mr_out_text(out, "column", "%s", a->name);
    mr_out_bool(out, "confounder", a->confounder);
    mr_out_number(out, "bias", a->bias);
    mr_out_number(out, "balance_before", a->before);
    mr_out_number(out, "balance_after", a->after);
    mr_out_number(out, "treatment_p_welch_t", a->treatment_p);
    mr_out_number(out, "coefficient", a->coefficient);
    mr_out_number(out, "outcome_p_t", a->outcome_p);
    mr_out_close(out);
}
