/* What was committed about a run's steps and other steps, and the bytes of it. */
#include "broker/io/chain.h"

#include <string.h>

static const mr_pg_statement read_inputs = {
    "chain_inputs",
    "select step, use, component, artifact, coalesce(from_run, 0), from_step, hash from millrace.run_step_input"
    " where run_id = $1 order by step, place",
    1,
    {MR_PG_INT8}};

static const mr_pg_statement read_result = {
    "chain_read_result",
    "select body, body_hash from millrace.result where run_id = $1 and step = $2 and last",
    2,
    {MR_PG_INT8, MR_PG_INT4}};

static const mr_pg_statement read_artifact = {
    "chain_read_artifact",
    "select b.bytes, a.hash from millrace.run_artifact a join millrace.result x on x.run_id = a.run_id and x.step = a.step"
    " and x.level = a.level and x.batch = a.batch and x.last join millrace.artifact b on b.hash = a.hash"
    " where a.run_id = $1 and a.step = $2 and a.name = $3",
    3,
    {MR_PG_INT8, MR_PG_INT4, MR_PG_TEXT}};

/* ---- which ---- */

static const char *copy_text(mr_run_info *info, mr_span text) {
    char *copy = mr_arena_alloc(info->arena, text.len + 1, 1);
    if (copy && text.len) memcpy(copy, text.data, text.len);
    return copy;
}

static mr_status read_input(mr_run_info *info, mr_run_input *all, uint32_t i, mr_pg_row *row, mr_error *err) {
    mr_run_input *in = &all[i];
    int64_t step = mr_pg_int(row, 0);
    *in = (mr_run_input){.use = (mr_use)mr_pg_int(row, 1),
                         .component = copy_text(info, mr_pg_text(row, 2)),
                         .artifact = copy_text(info, mr_pg_text(row, 3)),
                         .from_run = (uint64_t)mr_pg_int(row, 4),
                         .from_step = (uint32_t)mr_pg_int(row, 5),
                         .hashed = !mr_pg_is_null(row, 6)};
    if (!in->component || !in->artifact) return mr_fail(err, MR_E_MEMORY, "no memory for what the steps of a run need");
    if (in->hashed) {
        mr_span hash = mr_pg_bytea(row, 6);
        if (hash.len != MR_HASH_BYTES) return mr_fail(err, MR_E_CORRUPT, "a hash of %zu bytes", hash.len);
        memcpy(in->hash.bytes, hash.data, hash.len);
    }
    MR_TRY(mr_pg_row_status(row, err));
    if (step < 0 || step >= info->steps || (!in->from_run && in->from_step >= step))
        return mr_fail(err, MR_E_CORRUPT, "step %lld of run %llu needs a step that does not come before it", (long long)step,
                       (unsigned long long)info->run);
    if (!info->inputs[step]++) info->input[step] = in;
    if (info->inputs[step] > MR_GIVENS) return mr_fail(err, MR_E_LIMIT, "a step is given at most %d things", MR_GIVENS);
    if (!in->from_run) info->plan[step].needs |= 1ull << in->from_step;
    return MR_OK;
}

mr_status mr_chain_read_run(mr_pg *pg, mr_run_info *info, mr_error *err) {
    mr_pg_params p;
    mr_pg_result *r = NULL;
    mr_pg_params_init(&p, NULL, 64);
    mr_pg_put_int8(&p, (int64_t)info->run);
    mr_status s = mr_pg_exec(pg, &read_inputs, &p, &r, err);
    mr_pg_params_free(&p);
    uint32_t n = s == MR_OK ? mr_pg_rows(r) : 0;
    mr_run_input *all = n ? mr_arena_alloc(info->arena, n, sizeof *all) : NULL;
    if (n && !all) s = mr_fail(err, MR_E_MEMORY, "no memory for what the steps of a run need");
    for (uint32_t i = 0; s == MR_OK && i < n; i++) {
        mr_pg_row row = mr_pg_row_at(r, i);
        s = read_input(info, all, i, &row, err);
    }
    mr_pg_result_free(&r);
    return s;
}

/* ---- the bytes ---- */

void mr_chain_cache_free(mr_chain_cache *cache) {
    for (size_t i = 0; i < MR_CHAIN_KEPT; i++) {
        if (cache->slot[i].bytes) mr_bytes_drop(cache->slot[i].bytes);
        cache->slot[i].bytes = NULL;
    }
}

static mr_bytes *kept(const mr_chain_cache *cache, uint64_t run, const mr_run_input *in) {
    for (size_t i = 0; i < MR_CHAIN_KEPT; i++)
        if (cache->slot[i].bytes && cache->slot[i].run == run && cache->slot[i].step == in->from_step &&
            !strcmp(cache->slot[i].artifact, in->artifact))
            return mr_bytes_share(cache->slot[i].bytes);
    return NULL;
}

static void keep(mr_chain_cache *cache, uint64_t run, const mr_run_input *in, mr_bytes *bytes) {
    if (mr_bytes_span(bytes).len > MR_CHAIN_KEPT_BYTES) return;
    typeof(cache->slot[0]) *slot = &cache->slot[cache->next++ % MR_CHAIN_KEPT];
    if (slot->bytes) mr_bytes_drop(slot->bytes);
    slot->run = run;
    slot->step = in->from_step;
    memcpy(slot->artifact, in->artifact, strlen(in->artifact) + 1);
    slot->bytes = mr_bytes_share(bytes);
}

static mr_status check_bytes(const mr_run_input *in, uint64_t run, mr_pg_row *row, mr_bytes **out, mr_error *err) {
    mr_span bytes = mr_pg_bytea(row, 0), stored = mr_pg_bytea(row, 1);
    mr_buf copy;
    MR_TRY(mr_pg_row_status(row, err));
    mr_hash hash = mr_hash_of(bytes);
    if (!mr_span_eq(stored, mr_hash_span(&hash)) || (in->hashed && !mr_hash_eq(&hash, &in->hash)))
        return mr_fail(
            err, MR_E_CORRUPT,
            "what step %u (%s) of run %llu left does not match its hash: 'millrace repair run %llu' computes it again",
            in->from_step, in->component, (unsigned long long)run, (unsigned long long)run);
    mr_buf_init(&copy, NULL, bytes.len + 1);
    mr_buf_put(&copy, bytes.data, bytes.len);
    *out = mr_buf_status(&copy) == MR_OK ? mr_bytes_of_buf(&copy) : NULL;
    mr_buf_free(&copy);
    if (!*out) return mr_fail(err, MR_E_MEMORY, "no memory for what %s gave", in->component);
    (*out)->hash = hash;
    return MR_OK;
}

static mr_status fetch(mr_pg *pg, uint64_t run, const mr_run_input *in, mr_chain_cache *cache, mr_bytes **out,
                       mr_error *err) {
    mr_pg_params p;
    mr_pg_result *r = NULL;
    if ((*out = kept(cache, run, in))) return MR_OK;
    mr_pg_params_init(&p, NULL, 256);
    mr_pg_put_int8(&p, (int64_t)run);
    mr_pg_put_int4(&p, (int32_t)in->from_step);
    if (in->artifact[0]) mr_pg_put_text(&p, in->artifact);
    mr_status s = mr_pg_exec(pg, in->artifact[0] ? &read_artifact : &read_result, &p, &r, err);
    mr_pg_params_free(&p);
    if (s != MR_OK) return s;
    mr_pg_row row = mr_pg_row_at(r, 0);
    if (mr_pg_rows(r) == 1)
        s = check_bytes(in, run, &row, out, err);
    else
        s = mr_fail(err, MR_E_INVALID, "step %u (%s) of run %llu left no %s%s", in->from_step, in->component,
                    (unsigned long long)run, in->artifact[0] ? "artifact " : "result", in->artifact);
    mr_pg_result_free(&r);
    if (s == MR_OK) keep(cache, run, in, *out);
    return s;
}

/* What is to be read goes to the call that gives the result, what is done to rows to the calls that have rows. */
static bool gives(const mr_run_info *info, const mr_work_key *key, const mr_run_input *in) {
    const mr_step_plan *plan = &info->plan[key->step];
    if (in->use != MR_USE_INPUT) return key->level == 0;
    return key->level + 1 == plan->levels;
}

bool mr_chain_gives(const mr_run_info *info, const mr_work_key *key) {
    for (uint32_t i = 0; i < info->inputs[key->step]; i++)
        if (gives(info, key, &info->input[key->step][i])) return true;
    return false;
}

mr_status mr_chain_wrap(mr_pg *pg, const mr_run_info *info, const mr_work_key *key, mr_span input, mr_chain_cache *cache,
                        mr_buf *out, mr_error *err) {
    mr_bytes *bytes[MR_GIVENS];
    mr_given items[MR_GIVENS] = {0};
    uint32_t count = 0;
    mr_status s = MR_OK;
    for (uint32_t i = 0; s == MR_OK && i < info->inputs[key->step]; i++) {
        const mr_run_input *in = &info->input[key->step][i];
        if (!gives(info, key, in)) continue;
        s = fetch(pg, in->from_run ? in->from_run : info->run, in, cache, &bytes[count], err);
        if (s != MR_OK) break;
        items[count] = (mr_given){.use = in->use,
                                  .component = in->component,
                                  .artifact = in->artifact,
                                  .run = in->from_run,
                                  .step = in->from_step,
                                  .hash = bytes[count]->hash,
                                  .bytes = mr_bytes_span(bytes[count])};
        count++;
    }
    if (s == MR_OK) (void)!mr_given_wrap(input, items, count, out); /* finish looks at the buffer */
    for (uint32_t i = 0; i < count; i++) mr_bytes_drop(bytes[i]);
    return s;
}
