#include "worker/kit/causal_put.h"

#include "worker/kit/put.h"

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

/* ---- the choice of a test ---- */

const char *mr_test_choice_name(const mr_test_choice *c) {
    if (c->scores) return c->kind == MR_RESIDUALS ? "cubic residuals of normal scores" : "Fisher z of normal scores";
    return mr_independence_name(c->kind);
}

void mr_put_test_choice(mr_out *out, const mr_test_choice *c, const char *const *names, size_t width) {
    mr_out_text(out, "transform", "%s", c->scores ? "normal scores" : "none");
    if (c->odd < width) {
        mr_out_open_map(out, "not_normal");
        mr_out_text(out, "column", "%s", names[c->odd]);
        mr_out_text(out, "test", "D'Agostino-Pearson K2");
        mr_out_number(out, "p", c->odd_p);
        mr_out_close(out);
    }
    if (c->bent[0] == width) return;
    mr_out_open_map(out, "not_linear");
    mr_out_text(out, "column", "%s", names[c->bent[0]]);
    mr_out_text(out, "by", "%s", names[c->bent[1]]);
    mr_out_number(out, "statistic", c->bend.statistic);
    mr_out_number(out, "df", c->bend.df);
    mr_out_number(out, "p", c->bend.p);
    mr_out_integer(out, "rows", (int64_t)c->bend_rows);
    mr_out_close(out);
}

void mr_choice_findings(mr_out *out, const mr_test_choice *c, const char *const *names, size_t width, size_t n) {
    if (c->odd < width)
        mr_out_finding(out, 0.3,
                       "columns are not normal, %.60s least of all (D'Agostino-Pearson K2 %s, n = %zu), so the graph "
                       "rests on ranks (normal scores), which no stretching of a scale changes",
                       names[c->odd], mr_say_p(c->odd_p).text, n);
    if (c->bent[0] < width)
        mr_out_finding(out, 0.32,
                       "not every tie is a straight line: %.60s follows %.60s in mean, spread or skewness as no line does "
                       "(Wilks' likelihood ratio %s, n = %zu)%s",
                       names[c->bent[0]], names[c->bent[1]], mr_say_p(c->bend.p).text, c->bend_rows,
                       c->kind == MR_RESIDUALS
                           ? ", so columns are compared by cubic residuals; test=fisher_z looks for straight lines alone"
                           : "; of so many columns straight lines alone are looked for, test=residuals takes longer and finds more");
}
