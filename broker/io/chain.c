/* Reading what a step needs, and settling it in the database. broker/io/chain_load.c brings the bytes. */
#include "broker/io/chain.h"

#include "broker/io/call_args.h"
#include "broker/io/plan.h"

#include <stdio.h>
#include <string.h>

/* ---- as it was asked for ---- */

static mr_status read_text(mr_span map, const char *name, char *out, size_t size, mr_error *err) {
    mr_span text = mr_arg_text(map, name);
    if (text.len >= size)
        return mr_fail(err, MR_E_INVALID, "run: '%s' of a component has at most %zu bytes", name, size - 1);
    snprintf(out, size, "%.*s", MR_SPAN_ARG(text));
    return MR_OK;
}

static bool use_named(mr_span name, mr_use *out) {
    for (int i = 0; mr_use_names[i]; i++)
        if (mr_span_eq(name, mr_span_of(mr_use_names[i]))) return *out = (mr_use)i, true;
    return false;
}

static mr_status read_source(mr_span map, mr_need *n, mr_error *err) {
    mr_unpack step;
    mr_span newest = mr_arg_text(map, "newest"), hash = mr_arg_text(map, "hash");
    n->run = mr_arg_number(map, "run", 0);
    if (n->run) {
        n->source = MR_NEED_RUN;
        return read_text(map, "of", n->who, sizeof n->who, err);
    }
    if (newest.len) {
        n->source = MR_NEED_NEWEST;
        MR_TRY(read_text(map, "newest", n->component, sizeof n->component, err));
        memcpy(n->who, n->component, sizeof n->who);
        return MR_OK;
    }
    if (hash.len) {
        n->source = MR_NEED_HASH;
        n->hashed = mr_hash_parse(hash, &n->hash);
        return n->hashed ? MR_OK : mr_fail(err, MR_E_INVALID, "run: an artifact is named by its hash of 64 hex digits");
    }
    if (!mr_arg_find(map, "step", &step)) return mr_fail(err, MR_E_INVALID, "run: a need names step, newest, run or hash");
    uint64_t place = mr_arg_number(map, "step", MR_STEPS_MAX);
    n->step = place < MR_STEPS_MAX ? (uint32_t)place : MR_STEPS_MAX;
    return MR_OK;
}

static mr_status read_need(mr_span map, mr_need *n, mr_error *err) {
    mr_span artifact = mr_arg_text(map, "artifact"), use = mr_arg_text(map, "use");
    *n = (mr_need){0};
    MR_TRY(read_source(map, n, err));
    MR_TRY(read_text(map, "artifact", n->artifact, sizeof n->artifact, err));
    n->artifact_said = artifact.len > 0;
    n->use_said = use.len > 0;
    if (!n->use_said || use_named(use, &n->use)) return MR_OK;
    return mr_fail(err, MR_E_INVALID, "run: '%.*s' is no use of an artifact; there are input, features and model",
                   MR_SPAN_ARG(use));
}

static mr_status read_needs(mr_span item, mr_chain_request *out, mr_error *err) {
    mr_unpack u;
    uint32_t n;
    out->needs_said = mr_arg_find(item, "needs", &u);
    if (!out->needs_said) return MR_OK;
    MR_TRY(mr_unpack_array(&u, MR_GIVENS, &n, err));
    for (; out->needs < n; out->needs++) {
        mr_unpack before = u;
        MR_TRY(mr_unpack_skip(&u, err));
        MR_TRY(read_need((mr_span){before.at, (size_t)(u.at - before.at)}, &out->need[out->needs], err));
    }
    return MR_OK;
}

/* What the descriptor does not say well is not there: it is a worker's word. */
static void read_default(const mr_json *row, mr_chain_request *out) {
    mr_need_default *d = &out->def[out->defaults];
    mr_span component, artifact, use;
    if (out->defaults == MR_GIVENS || !mr_json_text(mr_json_member(row, "component"), &component) ||
        !mr_json_text(mr_json_member(row, "artifact"), &artifact) || !mr_json_text(mr_json_member(row, "use"), &use) ||
        component.len >= sizeof d->component || artifact.len >= sizeof d->artifact || !use_named(use, &d->use))
        return;
    snprintf(d->component, sizeof d->component, "%.*s", MR_SPAN_ARG(component));
    snprintf(d->artifact, sizeof d->artifact, "%.*s", MR_SPAN_ARG(artifact));
    out->defaults++;
}

mr_status mr_chain_read(mr_span item, const mr_json *component, mr_chain_request *out, mr_error *err) {
    const mr_json *defaults = mr_json_member(component, "depends_on");
    *out = (mr_chain_request){0};
    (void)!mr_json_boolean(mr_json_member(component, "applies"), &out->applies);
    for (size_t i = 0; i < mr_json_count(defaults); i++) read_default(mr_json_item(defaults, i), out);
    out->optional = mr_arg_flag(item, "optional");
    MR_TRY(read_text(item, "id", out->name, sizeof out->name, err));
    MR_TRY(read_text(item, "at", out->at, sizeof out->at, err));
    return read_needs(item, out, err);
}

/* Does the descriptor of step i depend on a component that comes from place `from` on? */
static bool depends_on_later(const mr_plan_job *job, uint32_t i, uint32_t from) {
    const mr_chain_request *c = &job->step[i].chain;
    for (uint32_t d = 0; d < c->defaults; d++)
        for (uint32_t k = from; k < job->steps; k++)
            if (k != i && !strcmp(job->step[k].component, c->def[d].component)) return true;
    return false;
}

void mr_chain_order(mr_plan_job *job) {
    for (uint32_t i = 0; i < job->steps; i++)
        if (job->step[i].chain.name[0] || job->step[i].chain.needs_said) return;
    for (uint32_t to = 0; to < job->steps; to++) {
        uint32_t i = to;
        while (i < job->steps && depends_on_later(job, i, to)) i++;
        if (i == job->steps || i == to) continue; /* components that depend on each other stay as they came */
        mr_plan_step_request step = job->step[i];
        memmove(&job->step[to + 1], &job->step[to], (i - to) * sizeof step);
        job->step[to] = step;
    }
}

void mr_chain_moved(mr_chain_request *chain, const uint32_t *place, uint32_t count) {
    uint32_t kept = 0;
    for (uint32_t i = 0; i < chain->needs; i++) {
        mr_need need = chain->need[i];
        if (need.source == MR_NEED_STEP && need.step < count && place[need.step] == MR_STEPS_MAX) continue;
        if (need.source == MR_NEED_STEP && need.step < count) need.step = place[need.step];
        chain->need[kept++] = need;
    }
    chain->needs = kept;
}

/* ---- settled ---- */

static const mr_pg_statement find_newest = {
    "chain_newest",
    "select s.run_id, s.step from millrace.run_step s join millrace.run r on r.id = s.run_id"
    " join millrace.dataset_version v on v.id = r.version_id join millrace.result x on x.run_id = s.run_id and x.step = "
    "s.step"
    " and x.last where v.dataset_id = $1 and s.component = $2 and s.shape <> 0 and ($3 = '' or exists (select 1 from"
    " millrace.run_artifact a where a.run_id = x.run_id and a.step = x.step and a.level = x.level and a.batch = x.batch"
    " and a.name = $3)) order by s.run_id desc, s.step desc limit 1",
    3,
    {MR_PG_INT8, MR_PG_TEXT, MR_PG_TEXT}};

static const mr_pg_statement find_step = {"chain_step",
                                          "select s.step, s.component, s.shape from millrace.run_step s where s.run_id = $1"
                                          " and (s.step::text = $2 or s.name = $2 or s.component = $2)",
                                          2,
                                          {MR_PG_INT8, MR_PG_TEXT}};

static const mr_pg_statement find_artifact = {"chain_artifact",
                                              "select a.run_id, a.step, s.component, a.name from millrace.run_artifact a"
                                              " join millrace.run_step s on s.run_id = a.run_id and s.step = a.step where "
                                              "a.hash = $1 order by a.run_id desc, a.step limit 1",
                                              1,
                                              {MR_PG_BYTEA}};

static const mr_pg_statement find_hash = {
    "chain_hash",
    "select case when $3 = '' then x.body_hash else (select a.hash from millrace.run_artifact a where a.run_id = x.run_id"
    " and a.step = x.step and a.level = x.level and a.batch = x.batch and a.name = $3) end"
    " from millrace.result x where x.run_id = $1 and x.step = $2 and x.last",
    3,
    {MR_PG_INT8, MR_PG_INT4, MR_PG_TEXT}};

static const mr_pg_statement find_features = {
    "chain_features",
    "select component, artifact, from_run, from_step from millrace.run_chain where run_id = $1 and step = $2 and use = 1",
    2,
    {MR_PG_INT8, MR_PG_INT4}};

static const mr_pg_statement insert_input = {
    "chain_put",
    "insert into millrace.run_step_input (run_id, step, place, use, component, artifact, from_run, from_step, hash)"
    " values ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    9,
    {MR_PG_INT8, MR_PG_INT4, MR_PG_INT4, MR_PG_INT2, MR_PG_TEXT, MR_PG_TEXT, MR_PG_INT8, MR_PG_INT4, MR_PG_BYTEA}};

static void copy_name(char *out, size_t size, mr_span text) { snprintf(out, size, "%.*s", MR_SPAN_ARG(text)); }

static const char *what(const mr_need *n) { return n->artifact[0] ? n->artifact : "result"; }

static mr_status settle_newest(mr_pg *pg, mr_need *n, int64_t dataset, mr_error *err) {
    mr_pg_params p;
    mr_pg_result *r = NULL;
    mr_pg_params_init(&p, NULL, 1024);
    mr_pg_put_int8(&p, dataset);
    mr_pg_put_text(&p, n->who);
    mr_pg_put_text(&p, n->artifact);
    mr_status s = mr_pg_exec(pg, &find_newest, &p, &r, err);
    mr_pg_params_free(&p);
    if (s != MR_OK) return s;
    mr_pg_row row = mr_pg_row_at(r, 0);
    if (!mr_pg_rows(r)) {
        s = mr_fail(err, MR_E_NOT_FOUND, "no run of '%s' over this data set has left its %s yet: run it first", n->who,
                    what(n));
    } else {
        n->run = (uint64_t)mr_pg_int(&row, 0);
        n->step = (uint32_t)mr_pg_int(&row, 1);
        s = mr_pg_row_status(&row, err);
    }
    mr_pg_result_free(&r);
    return s;
}

static mr_status one_step(const mr_pg_result *r, mr_need *n, mr_error *err) {
    unsigned long long run = n->run;
    mr_pg_row row = mr_pg_row_at(r, 0);
    if (mr_pg_rows(r) == 0)
        return mr_fail(err, MR_E_NOT_FOUND, "run %llu has no step '%s': 'millrace runs show %llu' lists them", run, n->who,
                       run);
    if (mr_pg_rows(r) > 1)
        return mr_fail(err, MR_E_INVALID, "run %llu has several steps '%s': name one by its number", run, n->who);
    n->step = (uint32_t)mr_pg_int(&row, 0);
    copy_name(n->component, sizeof n->component, mr_pg_text(&row, 1));
    if (mr_pg_int(&row, 2) == MR_STEP_MAP)
        return mr_fail(err, MR_E_INVALID,
                       "step '%s' of run %llu gives a result for each batch; only one that gives one result can be used",
                       n->who, run);
    return mr_pg_row_status(&row, err);
}

static mr_status settle_run(mr_pg *pg, mr_need *n, mr_error *err) {
    mr_pg_params p;
    mr_pg_result *r = NULL;
    mr_pg_params_init(&p, NULL, 1024);
    mr_pg_put_int8(&p, (int64_t)n->run);
    mr_pg_put_text(&p, n->who);
    mr_status s = mr_pg_exec(pg, &find_step, &p, &r, err);
    mr_pg_params_free(&p);
    if (s == MR_OK) s = one_step(r, n, err);
    mr_pg_result_free(&r);
    return s;
}

static mr_status settle_hash(mr_pg *pg, mr_need *n, mr_error *err) {
    mr_pg_params p;
    mr_pg_result *r = NULL;
    mr_pg_params_init(&p, NULL, 1024);
    mr_pg_put_bytea(&p, mr_hash_span(&n->hash));
    mr_status s = mr_pg_exec(pg, &find_artifact, &p, &r, err);
    mr_pg_params_free(&p);
    if (s != MR_OK) return s;
    mr_pg_row row = mr_pg_row_at(r, 0);
    if (!mr_pg_rows(r)) {
        s = mr_fail(err, MR_E_NOT_FOUND, "there is no artifact with that hash: 'millrace artifacts' lists them");
    } else {
        n->run = (uint64_t)mr_pg_int(&row, 0);
        n->step = (uint32_t)mr_pg_int(&row, 1);
        copy_name(n->component, sizeof n->component, mr_pg_text(&row, 2));
        copy_name(n->artifact, sizeof n->artifact, mr_pg_text(&row, 3));
        n->artifact_said = true;
        s = mr_pg_row_status(&row, err);
    }
    mr_pg_result_free(&r);
    return s;
}

/* What is there already has a hash, which is what the step must find later. */
static mr_status settle_content(mr_pg *pg, mr_need *n, mr_error *err) {
    mr_pg_params p;
    mr_pg_result *r = NULL;
    mr_pg_params_init(&p, NULL, 1024);
    mr_pg_put_int8(&p, (int64_t)n->run);
    mr_pg_put_int4(&p, (int32_t)n->step);
    mr_pg_put_text(&p, n->artifact);
    mr_status s = mr_pg_exec(pg, &find_hash, &p, &r, err);
    mr_pg_params_free(&p);
    if (s != MR_OK) return s;
    mr_pg_row row = mr_pg_row_at(r, 0);
    mr_span hash = mr_pg_rows(r) && !mr_pg_is_null(&row, 0) ? mr_pg_bytea(&row, 0) : (mr_span){0};
    if (hash.len == MR_HASH_BYTES) {
        memcpy(n->hash.bytes, hash.data, hash.len);
        n->hashed = true;
    } else {
        s = mr_fail(err, MR_E_NOT_FOUND, "step %u (%s) of run %llu has no %s: 'millrace artifacts %llu' lists what there is",
                    n->step, n->component, (unsigned long long)n->run, what(n), (unsigned long long)n->run);
    }
    mr_pg_result_free(&r);
    return s;
}

/* ---- what for ---- */

static const mr_need_default *default_of(const mr_chain_request *c, const mr_need *n) {
    for (uint32_t i = 0; i < c->defaults; i++)
        if (!strcmp(c->def[i].component, n->component) && (!n->use_said || c->def[i].use == n->use)) return &c->def[i];
    return NULL;
}

static mr_status set_use(const char *component, const mr_chain_request *c, mr_need *n, mr_error *err) {
    const mr_need_default *d = default_of(c, n);
    if (!d && !n->use_said)
        return mr_fail(err, MR_E_INVALID,
                       "'%s' takes nothing from '%s' by itself: say what for (features: it makes the features; "
                       "model: it is applied), or leave the edge out",
                       component, n->component);
    if (!n->use_said) n->use = d->use;
    if (!n->artifact_said) snprintf(n->artifact, sizeof n->artifact, "%s", d ? d->artifact : "model");
    if (n->use == MR_USE_INPUT && (!d || strcmp(d->artifact, n->artifact) != 0))
        return mr_fail(err, MR_E_INVALID, "'%s' cannot read %s%s of '%s'%s%s", component,
                       n->artifact[0] ? "the artifact " : "the result", n->artifact, n->component, d ? ", it reads " : "",
                       d ? d->artifact[0] ? d->artifact : "the result" : "");
    if (n->use != MR_USE_INPUT && !n->artifact[0])
        return mr_fail(err, MR_E_INVALID, "'%s': a result is no %s; name the artifact", component, mr_use_names[n->use]);
    if (n->use == MR_USE_MODEL && !c->applies)
        return mr_fail(err, MR_E_INVALID, "'%s' cannot apply what it left to rows", component);
    if (n->use == MR_USE_MODEL && strcmp(component, n->component) != 0)
        return mr_fail(err, MR_E_INVALID, "'%s' applies its own models, not those of '%s'", component, n->component);
    return MR_OK;
}

static mr_status check_source(const mr_plan_job *job, uint32_t step, mr_need *n, mr_error *err) {
    if (n->step >= step)
        return mr_fail(err, MR_E_INVALID, "'%s' needs step %u of its run, which does not come before it",
                       job->step[step].component, n->step);
    const mr_plan_step_request *from = &job->step[n->step];
    memcpy(n->component, from->component, sizeof n->component);
    if (from->shape != MR_STEP_MAP) return MR_OK;
    return mr_fail(err, MR_E_INVALID, "'%s' gives a result for each batch; only a step that gives one result can be used",
                   from->component);
}

static mr_status settle(mr_pg *pg, mr_plan_job *job, uint32_t step, mr_need *n, int64_t dataset, mr_error *err) {
    mr_plan_step_request *s = &job->step[step];
    switch (n->source) {
    case MR_NEED_STEP:
        MR_TRY(check_source(job, step, n, err));
        break;
    case MR_NEED_RUN:
        MR_TRY(settle_run(pg, n, err));
        break;
    case MR_NEED_HASH:
        MR_TRY(settle_hash(pg, n, err));
        break;
    case MR_NEED_NEWEST:
        break;
    }
    MR_TRY(set_use(s->component, &s->chain, n, err));
    if (n->use == MR_USE_FEATURES && !((s->columns | s->columns_wanted) & MR_COL_FEATURES))
        return mr_fail(err, MR_E_INVALID, "'%s' takes no features, so none can be made for it", s->component);
    if (n->use == MR_USE_FEATURES && n->source == MR_NEED_STEP && !job->step[n->step].chain.applies)
        return mr_fail(err, MR_E_INVALID, "'%s' makes no features: it has no model to apply to rows", n->component);
    if (n->source == MR_NEED_NEWEST) MR_TRY(settle_newest(pg, n, dataset, err));
    return n->source == MR_NEED_STEP ? MR_OK : settle_content(pg, n, err);
}

/* The components before it that the descriptor depends on, the last of each. */
static void take_defaults(const mr_plan_job *job, uint32_t step, mr_chain_request *c) {
    for (uint32_t d = 0; d < c->defaults; d++)
        for (uint32_t i = step; i-- > 0;) {
            const mr_plan_step_request *from = &job->step[i];
            if (strcmp(from->component, c->def[d].component) != 0 || from->shape == MR_STEP_MAP) continue;
            c->need[c->needs++] = (mr_need){.source = MR_NEED_STEP, .step = i};
            break;
        }
}

/* ---- a model that is applied ---- */

static const mr_need *need_for(const mr_chain_request *c, mr_use use) {
    for (uint32_t i = 0; i < c->needs; i++)
        if (c->need[i].use == use) return &c->need[i];
    return NULL;
}

static mr_status read_features(mr_pg *pg, const mr_need *model, mr_need *out, bool *there, mr_error *err) {
    mr_pg_params p;
    mr_pg_result *r = NULL;
    mr_pg_params_init(&p, NULL, 256);
    mr_pg_put_int8(&p, (int64_t)model->run);
    mr_pg_put_int4(&p, (int32_t)model->step);
    mr_status s = mr_pg_exec(pg, &find_features, &p, &r, err);
    mr_pg_params_free(&p);
    if (s != MR_OK) return s;
    mr_pg_row row = mr_pg_row_at(r, 0);
    *there = mr_pg_rows(r) > 0;
    if (*there) {
        *out = (mr_need){.source = MR_NEED_RUN, .use = MR_USE_FEATURES, .use_said = true, .artifact_said = true};
        copy_name(out->component, sizeof out->component, mr_pg_text(&row, 0));
        copy_name(out->artifact, sizeof out->artifact, mr_pg_text(&row, 1));
        out->run = (uint64_t)mr_pg_int(&row, 2);
        out->step = (uint32_t)mr_pg_int(&row, 3);
        s = mr_pg_row_status(&row, err);
    }
    mr_pg_result_free(&r);
    return s == MR_OK && *there ? settle_content(pg, out, err) : s;
}

/* A model that was trained on features that another one made sees the same kind of features. */
static mr_status inherit_features(mr_pg *pg, const mr_plan_job *job, mr_chain_request *c, mr_error *err) {
    const mr_need *model = need_for(c, MR_USE_MODEL);
    mr_need features;
    bool there = false;
    if (need_for(c, MR_USE_FEATURES) || c->needs == MR_GIVENS) return MR_OK;
    if (model->source == MR_NEED_STEP) {
        const mr_need *theirs = need_for(&job->step[model->step].chain, MR_USE_FEATURES);
        if (theirs) features = *theirs;
        there = theirs != NULL;
    } else {
        MR_TRY(read_features(pg, model, &features, &there, err));
    }
    if (there) c->need[c->needs++] = features;
    return MR_OK;
}

static mr_status check_once(const char *component, const mr_chain_request *c, mr_error *err) {
    static const mr_use once[] = {MR_USE_FEATURES, MR_USE_MODEL};
    for (size_t k = 0; k < sizeof once / sizeof *once; k++) {
        uint32_t n = 0;
        for (uint32_t i = 0; i < c->needs; i++) n += c->need[i].use == once[k];
        if (n > 1)
            return mr_fail(err, MR_E_INVALID, "'%s' is given %u artifacts as %s; one is possible", component, n,
                           mr_use_names[once[k]]);
    }
    return MR_OK;
}

static mr_status resolve_step(mr_pg *pg, mr_plan_job *job, uint32_t step, int64_t dataset, mr_error *err) {
    mr_plan_step_request *s = &job->step[step];
    mr_chain_request *c = &s->chain;
    if (!c->needs_said) take_defaults(job, step, c);
    for (uint32_t i = 0; i < c->needs; i++) MR_TRY(settle(pg, job, step, &c->need[i], dataset, err));
    MR_TRY(check_once(s->component, c, err));
    if (!need_for(c, MR_USE_MODEL)) return MR_OK;
    s->shape = MR_STEP_MAP;
    return inherit_features(pg, job, c, err);
}

mr_status mr_chain_resolve(mr_pg *pg, mr_plan_job *job, int64_t dataset, mr_error *err) {
    for (uint32_t i = 0; i < job->steps; i++) {
        mr_status s = resolve_step(pg, job, i, dataset, err);
        const char *at = job->step[i].chain.at;
        if (s != MR_OK) return *at ? mr_fail_in(err, "%s", at) : s;
    }
    return MR_OK;
}

static void put_need(mr_pg_params *p, const mr_need *n, int64_t run, uint32_t step, uint32_t place) {
    mr_pg_params_clear(p);
    mr_pg_put_int8(p, run);
    mr_pg_put_int4(p, (int32_t)step);
    mr_pg_put_int4(p, (int32_t)place);
    mr_pg_put_int2(p, (int16_t)n->use);
    mr_pg_put_text(p, n->component);
    mr_pg_put_text(p, n->artifact);
    if (n->run)
        mr_pg_put_int8(p, (int64_t)n->run);
    else
        mr_pg_put_null(p, MR_PG_INT8);
    mr_pg_put_int4(p, (int32_t)n->step);
    if (n->hashed)
        mr_pg_put_bytea(p, mr_hash_span(&n->hash));
    else
        mr_pg_put_null(p, MR_PG_BYTEA);
}

mr_status mr_chain_put(mr_pg *pg, const mr_chain_request *chain, int64_t run, uint32_t step, mr_error *err) {
    mr_pg_params p;
    mr_status s = MR_OK;
    mr_pg_params_init(&p, NULL, 1024);
    for (uint32_t i = 0; s == MR_OK && i < chain->needs; i++) {
        put_need(&p, &chain->need[i], run, step, i);
        s = mr_pg_exec(pg, &insert_input, &p, NULL, err);
    }
    mr_pg_params_free(&p);
    return s;
}

/* ---- the roles of a model's run ---- */

static const mr_pg_statement roles_of_run = {
    "chain_roles",
    "select r.key, r.value from millrace.run u, jsonb_each_text(u.roles) r, millrace.dataset d where d.id = $3"
    " and u.id = coalesce($1, (select max(run_id) from millrace.run_artifact where hash = $2)) and exists (select 1 from jsonb_array_elements(d.columns) c where c->>'name' = r.value) order by r.key",
    3,
    {MR_PG_INT8, MR_PG_BYTEA, MR_PG_INT8}};

/* The first model that is applied and comes from an earlier run; NULL: none. */
static const mr_need *earlier_model(const mr_plan_job *job) {
    for (uint32_t i = 0; i < job->steps; i++)
        for (uint32_t k = 0; k < job->step[i].chain.needs; k++) {
            const mr_need *n = &job->step[i].chain.need[k];
            bool earlier = n->source == MR_NEED_RUN || n->source == MR_NEED_HASH;
            if (earlier && n->use_said && n->use == MR_USE_MODEL) return n;
        }
    return NULL;
}

static void bind(mr_bindings *b, mr_span role, mr_span column) {
    char word[32];
    mr_binding *to = &b->items[b->count];
    if (b->count == MR_BINDINGS_MAX || role.len >= sizeof word || column.len >= sizeof to->column) return;
    snprintf(word, sizeof word, "%.*s", MR_SPAN_ARG(role));
    snprintf(to->column, sizeof to->column, "%.*s", MR_SPAN_ARG(column));
    to->role = mr_column_named(word);
    if (to->role) b->count++;
}

mr_status mr_chain_roles(mr_pg *pg, mr_plan_job *job, int64_t dataset, mr_error *err) {
    const mr_need *model = earlier_model(job);
    if (!model || job->bindings.count) return MR_OK;
    mr_pg_params p;
    mr_pg_result *r = NULL;
    mr_pg_params_init(&p, NULL, 256);
    if (model->source == MR_NEED_RUN) mr_pg_put_int8(&p, (int64_t)model->run);
    else mr_pg_put_null(&p, MR_PG_INT8);
    if (model->source == MR_NEED_HASH) mr_pg_put_bytea(&p, mr_hash_span(&model->hash));
    else mr_pg_put_null(&p, MR_PG_BYTEA);
    mr_pg_put_int8(&p, dataset);
    mr_status s = mr_pg_exec(pg, &roles_of_run, &p, &r, err);
    mr_pg_params_free(&p);
    for (uint32_t i = 0; s == MR_OK && i < mr_pg_rows(r); i++) {
        mr_pg_row row = mr_pg_row_at(r, i);
        bind(&job->bindings, mr_pg_text(&row, 0), mr_pg_text(&row, 1));
        s = mr_pg_row_status(&row, err);
    }
    mr_pg_result_free(&r);
    return s;
}
