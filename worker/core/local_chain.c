#include "worker/core/local_chain.h"

#include "worker/core/registry.h"

#include <string.h>

static mr_status open_step(const mr_pipeline *p, mr_local_step *s, const mr_pipeline_step *step, mr_error *err) {
    s->step = step;
    if (mr_component_get(step->component, &s->component, err) != MR_OK)
        return mr_fail_in(err, "%.200s:%u", p->file, step->component_line);
    s->config = mr_config_new(s->component, NULL);
    if (!s->config) return mr_fail(err, MR_E_MEMORY, "no memory for the options of %s", step->component);
    for (uint32_t k = 0; k < step->options; k++)
        if (mr_config_set(s->component, s->config, step->option[k].name, step->option[k].value, err) != MR_OK)
            return mr_fail_in(err, "%.200s:%u: %s", p->file, step->option[k].line, step->component);
    for (uint32_t k = 0; k < step->edges; k++)
        if (!step->edge[k].step)
            return mr_fail(err, MR_E_INVALID,
                           "%.200s:%u: what earlier runs left is known to the broker alone: 'millrace run --pipeline'",
                           p->file, step->edge[k].line);
    return MR_OK;
}

mr_status mr_local_chain_open(const mr_pipeline *p, mr_local_step *steps, mr_error *err) {
    memset(steps, 0, p->steps * sizeof *steps);
    for (uint32_t i = 0; i < p->steps; i++) MR_TRY(open_step(p, &steps[i], &p->step[i], err));
    return MR_OK;
}

/* ---- edges ---- */

static const mr_dependency *dependency(const mr_component *c, const char *on, const mr_pipeline_edge *edge) {
    for (const mr_dependency *d = c->depends_on; d && d->component; d++)
        if (!strcmp(d->component, on) && (!edge || !edge->use_said || edge->use == d->use)) return d;
    return NULL;
}

static bool find_bytes(const mr_outcome *o, const char *artifact, mr_span *out) {
    if (!*artifact) *out = mr_buf_span(&o->bytes);
    for (size_t i = 0; *artifact && i < o->artifact_count; i++)
        if (!strcmp(o->artifacts[i].name, artifact)) *out = mr_buf_span(&o->artifacts[i].bytes);
    return out->data != NULL;
}

static mr_status give(const mr_pipeline *p, const mr_local_step *from, uint32_t place, mr_local_step *to, mr_use use,
                      const char *artifact, mr_error *err) {
    mr_given *g = &to->given[to->givens];
    *g = (mr_given){.use = use, .component = from->component->name, .artifact = artifact, .step = place};
    if (!from->done || from->results.count != 1 || !find_bytes(&from->results.items[0].outcome, artifact, &g->bytes))
        return mr_fail(err, MR_E_INVALID, "%.200s:%u: '%s' was not run: it needs %s%s of '%s', which is not there", p->file,
                       to->step->line, to->step->id, *artifact ? "the artifact " : "the result", artifact, from->step->id);
    g->hash = mr_hash_of(g->bytes);
    to->givens++;
    if (use == MR_USE_FEATURES) to->reducer = from->component;
    if (use != MR_USE_MODEL) return MR_OK;
    to->applies = true;
    to->model = (mr_artifact){g->artifact, g->bytes};
    return MR_OK;
}

static mr_status take_edge(const mr_pipeline *p, mr_local_step *steps, mr_local_step *to, const mr_pipeline_edge *e,
                           mr_error *err) {
    mr_local_step *from = &steps[e->place];
    const mr_dependency *d = dependency(to->component, from->component->name, e);
    if (from->left_out) return MR_OK;
    if (!d && (!e->use_said || e->use == MR_USE_INPUT))
        return mr_fail(err, MR_E_INVALID, "%.200s:%u: '%s' takes nothing from '%s' by itself: say what for", p->file,
                       e->line, to->component->name, from->component->name);
    const char *usual = d ? (d->artifact ? d->artifact : "") : "model";
    return give(p, from, e->place, to, e->use_said ? e->use : d->use, e->artifact ? e->artifact : usual, err);
}

/* A model that was trained on made features sees the same ones. */
static void inherit_features(const mr_local_step *steps, mr_local_step *to) {
    const mr_given *model = mr_given_find(to->given, to->givens, MR_USE_MODEL, NULL);
    if (!model || to->reducer || to->givens == MR_GIVENS) return;
    const mr_local_step *from = &steps[model->step];
    const mr_given *features = mr_given_find(from->given, from->givens, MR_USE_FEATURES, NULL);
    if (features) to->given[to->givens++] = *features;
    if (features) to->reducer = from->reducer;
}

static mr_status take_defaults(const mr_pipeline *p, mr_local_step *steps, uint32_t i, mr_error *err) {
    for (const mr_dependency *d = steps[i].component->depends_on; d && d->component; d++)
        for (uint32_t k = i; k-- > 0;) {
            bool many = steps[k].component->shape == MR_MAP || steps[k].applies;
            if (strcmp(steps[k].component->name, d->component) != 0 || many || steps[k].left_out) continue;
            MR_TRY(give(p, &steps[k], k, &steps[i], d->use, d->artifact ? d->artifact : "", err));
            break;
        }
    return MR_OK;
}

mr_status mr_local_chain_take(const mr_pipeline *p, mr_local_step *steps, uint32_t i, mr_error *err) {
    mr_local_step *s = &steps[i];
    if (!s->step->edges_said) return take_defaults(p, steps, i, err);
    for (uint32_t k = 0; k < s->step->edges; k++) MR_TRY(take_edge(p, steps, s, &s->step->edge[k], err));
    inherit_features(steps, s);
    return MR_OK;
}

/* ---- the run ---- */

uint32_t mr_local_chain_columns(const mr_local_step *s) {
    uint32_t columns = s->component->columns | s->component->columns_wanted;
    return s->reducer ? columns | s->reducer->columns | s->reducer->columns_wanted : columns;
}

mr_status mr_local_chain_run(mr_local_step *s, const mr_batch *rows, uint64_t seed, uint32_t batch_rows, mr_error *err) {
    mr_local run = {.component = s->component,
                    .config = s->config,
                    .seed = seed,
                    .batch_rows = batch_rows,
                    .model = s->applies ? &s->model : NULL,
                    .given = s->given,
                    .given_count = s->givens,
                    .reducer = s->reducer};
    MR_TRY(mr_run_local(&run, rows, &s->results, err));
    s->done = true;
    return MR_OK;
}

void mr_local_chain_free(mr_local_step *steps, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        mr_local_results_free(&steps[i].results);
        if (steps[i].config) mr_config_free(steps[i].component, NULL, &steps[i].config);
    }
}
