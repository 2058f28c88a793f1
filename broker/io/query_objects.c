/* The read commands that answer one thing: a prompt, a run, an artifact, the state of the database and the cache. */
#include "broker/io/call_args.h"
#include "broker/io/loader.h"
#include "broker/io/query.h"
#include "common/clock.h"
#include "common/features.h"
#include "common/json.h"
#include "common/pack.h"
#include "common/redis.h"

#include <stdio.h>
#include <string.h>

enum { PART_MAX = 4 * 1024 * 1024 };

static mr_status one_id(mr_pg *pg, const mr_pg_statement *st, uint64_t id, mr_pg_result **out, mr_error *err) {
    mr_pg_params p;
    mr_pg_params_init(&p, NULL, 64);
    mr_pg_put_int8(&p, (int64_t)id);
    mr_status s = mr_pg_exec(pg, st, &p, out, err);
    mr_pg_params_free(&p);
    return s;
}

/* ---- prompt ---- */

static const mr_pg_statement read_prompt = {
    "q_prompt",
    "select p.id, p.prompt, p.enhancement, p.source, p.priority, s.name, p.score, p.success, p.labels, p.metadata,"
    " p.created_at, p.ingest_id, p.revision, p.supersedes, p.active, p.content_hash, p.features_version, p.features"
    " from millrace.training_prompts p left join millrace.prompt_sessions s on s.id = p.session_id where p.id = $1",
    1, {MR_PG_INT8}};
static const mr_query_column prompt_columns[] = {
    {"id", MR_SHOW_INT}, {"prompt", MR_SHOW_TEXT}, {"enhancement", MR_SHOW_TEXT}, {"source", MR_SHOW_TEXT},
    {"priority", MR_SHOW_INT}, {"session", MR_SHOW_TEXT}, {"score", MR_SHOW_FLOAT}, {"success", MR_SHOW_BOOL},
    {"labels", MR_SHOW_JSON}, {"metadata", MR_SHOW_JSON}, {"created_at", MR_SHOW_TIME}, {"ingest", MR_SHOW_INT},
    {"revision", MR_SHOW_INT}, {"supersedes", MR_SHOW_INT}, {"active", MR_SHOW_BOOL}, {"content_hash", MR_SHOW_HEX},
    {"features_version", MR_SHOW_INT}, {0}};
enum { PROMPT_MEMBERS = 17 };

static const mr_pg_statement read_audit = {
    "q_audit", "select event, reason, client, at, revision from millrace.prompt_audit where prompt_id = $1 order by event <> 'created', at", 1,
    {MR_PG_INT8}};
static const mr_query_column audit_columns[] = {{"event", MR_SHOW_TEXT}, {"reason", MR_SHOW_TEXT}, {"client", MR_SHOW_TEXT},
                                                {"at", MR_SHOW_TIME}, {"revision", MR_SHOW_INT}, {0}};

static void pack_features(mr_buf *out, mr_span bytes) {
    float v[MR_FEATURES] = {0};
    if (bytes.len == sizeof v) memcpy(v, bytes.data, sizeof v);
    mr_pack_map(out, MR_FEATURES);
    for (int i = 0; i < MR_FEATURES; i++) {
        mr_pack_text(out, mr_feature_names[i]);
        mr_pack_f64(out, (double)v[i]);
    }
}

static mr_status pack_audit(mr_pg *pg, uint64_t id, mr_buf *out, mr_error *err) {
    mr_pg_result *r = NULL;
    MR_TRY(one_id(pg, &read_audit, id, &r, err));
    mr_pack_text(out, "audit");
    mr_status s = mr_query_pack_list(out, r, audit_columns, UINT32_MAX, err);
    mr_pg_result_free(&r);
    return s;
}

mr_status mr_query_prompt(mr_desk *desk, mr_pg *pg, mr_query_job *job, mr_error *err) {
    (void)desk;
    uint64_t id = mr_arg_number(mr_buf_span(&job->args), "id", 0);
    mr_pg_result *r = NULL;
    MR_TRY(one_id(pg, &read_prompt, id, &r, err));
    mr_pg_row row = mr_pg_row_at(r, 0);
    mr_status s = MR_OK;
    if (mr_pg_rows(r) != 1) {
        s = mr_fail(err, MR_E_NOT_FOUND, "there is no prompt %llu: 'millrace prompts list' shows them", (unsigned long long)id);
    } else {
        mr_pack_map(&job->reply, PROMPT_MEMBERS + 2);
        mr_query_pack_members(&job->reply, &row, prompt_columns);
        mr_pack_text(&job->reply, "features");
        pack_features(&job->reply, mr_pg_bytea(&row, PROMPT_MEMBERS));
        s = mr_pg_row_status(&row, err);
    }
    mr_pg_result_free(&r);
    return s == MR_OK ? pack_audit(pg, id, &job->reply, err) : s;
}

/* ---- run_show ---- */

static const mr_pg_statement read_run = {
    "q_run",
    "select r.id, r.name, d.name, v.id, coalesce(v.row_count, millrace.task_count(r.id)), r.batch_size, r.seed, coalesce(e.state, 'running'),"
    " coalesce(e.reason, ''), r.created_at, e.ended_at, r.roles, r.priority, r.client,"
    " exists (select 1 from millrace.pause_now w where w.subject = 'run' and w.name = r.id::text and w.paused),"
    " (select count(*) from millrace.run_reopen o where o.run_id = r.id), e.counts"
    " from millrace.run r left join millrace.dataset_version v on v.id = r.version_id"
    " left join millrace.dataset d on d.id = v.dataset_id"
    " left join millrace.run_end e on e.run_id = r.id where r.id = $1",
    1, {MR_PG_INT8}};
static const mr_query_column run_columns[] = {
    {"run", MR_SHOW_INT}, {"name", MR_SHOW_TEXT}, {"dataset", MR_SHOW_TEXT}, {"version", MR_SHOW_INT},
    {"rows", MR_SHOW_INT}, {"batch_size", MR_SHOW_INT}, {"seed", MR_SHOW_INT}, {"state", MR_SHOW_TEXT},
    {"reason", MR_SHOW_TEXT}, {"created_at", MR_SHOW_TIME}, {"ended_at", MR_SHOW_TIME}, {"roles", MR_SHOW_JSON},
    {"priority", MR_SHOW_INT}, {"client", MR_SHOW_TEXT}, {"paused", MR_SHOW_BOOL}, {"reopened", MR_SHOW_INT}, {0}};
enum { RUN_MEMBERS = 16 };

static const mr_pg_statement read_run_steps = {
    "q_run_steps",
    "select s.step, s.component, s.version, s.shape, s.batch_rows,"
    " (select count(*) from millrace.attempt_failure f where f.run_id = s.run_id and f.step = s.step), s.name"
    " from millrace.run_step s where s.run_id = $1 order by s.step",
    1, {MR_PG_INT8}};

static const char *const step_states[] = {"running", "succeeded", "failed", "cancelled"};

/* [done, dead, state] of each step, as they were when the run ended. */
static bool counts_at_end(const mr_json *counts, uint32_t step, mr_live_step *out) {
    const mr_json *item = mr_json_item(counts, step);
    int64_t done = 0, dead = 0, state = 0;
    if (!mr_json_integer(mr_json_item(item, 0), &done) || !mr_json_integer(mr_json_item(item, 1), &dead) ||
        !mr_json_integer(mr_json_item(item, 2), &state) || state < 0 || state > MR_RUN_CANCELLED)
        return false;
    *out = (mr_live_step){.done = (uint64_t)done, .dead = (uint64_t)dead, .state = (mr_run_state)state};
    return true;
}

static uint64_t total_of(uint64_t rows, uint32_t batch_rows, int64_t shape) {
    mr_step_plan plan = {.shape = (mr_step_shape)shape};
    uint64_t total = 0;
    mr_error err;
    if (mr_plan_step(rows, batch_rows, &plan, &err) != MR_OK) return 0;
    for (uint32_t i = 0; i < plan.levels; i++) total += plan.counts[i];
    return total;
}

static void pack_step(mr_query_job *job, mr_pg_row *row, uint64_t rows, const mr_json *counts) {
    static const char *const shapes[] = {"map", "merge", "whole"};
    uint32_t step = (uint32_t)mr_pg_int(row, 0);
    int64_t shape = mr_pg_int(row, 3);
    mr_live_step live = {0};
    if (step < job->live_steps) live = job->live[step];
    else counts_at_end(counts, step, &live);
    mr_pack_array(&job->reply, 11);
    mr_pack_u64(&job->reply, step);
    mr_pack_str(&job->reply, mr_pg_text(row, 1));
    mr_pack_i64(&job->reply, mr_pg_int(row, 2));
    mr_pack_text(&job->reply, shapes[shape >= 0 && shape <= 2 ? shape : 0]);
    mr_pack_text(&job->reply, live.waiting ? "waiting" : step_states[live.state]);
    mr_pack_u64(&job->reply, live.done);
    mr_pack_u64(&job->reply, total_of(rows, (uint32_t)mr_pg_int(row, 4), shape));
    mr_pack_u64(&job->reply, live.dead);
    mr_pack_u64(&job->reply, live.in_hand);
    mr_pack_i64(&job->reply, mr_pg_int(row, 5));
    mr_pack_str(&job->reply, mr_pg_text(row, 6));
}

static mr_status pack_steps(mr_pg *pg, mr_query_job *job, uint64_t run, uint64_t rows, const mr_json *counts, mr_error *err) {
    static const char *const names[] = {"step", "component", "version", "shape", "state", "done", "total", "dead", "in_hand",
                                        "failures", "id"};
    mr_pg_result *r = NULL;
    MR_TRY(one_id(pg, &read_run_steps, run, &r, err));
    mr_status s = MR_OK;
    mr_pack_text(&job->reply, "steps");
    mr_pack_map(&job->reply, 2);
    mr_pack_text(&job->reply, "columns");
    mr_pack_array(&job->reply, 11);
    for (int i = 0; i < 11; i++) mr_pack_text(&job->reply, names[i]);
    mr_pack_text(&job->reply, "rows");
    mr_pack_array(&job->reply, mr_pg_rows(r));
    for (uint32_t i = 0; s == MR_OK && i < mr_pg_rows(r); i++) {
        mr_pg_row row = mr_pg_row_at(r, i);
        pack_step(job, &row, rows, counts);
        s = mr_pg_row_status(&row, err);
    }
    mr_pg_result_free(&r);
    return s;
}

mr_status mr_query_run_show(mr_desk *desk, mr_pg *pg, mr_query_job *job, mr_error *err) {
    (void)desk;
    uint64_t id = mr_arg_number(mr_buf_span(&job->args), "id", 0);
    mr_pg_result *r = NULL;
    MR_TRY(one_id(pg, &read_run, id, &r, err));
    mr_pg_row row = mr_pg_row_at(r, 0);
    mr_json *counts = NULL;
    mr_status s = MR_OK;
    mr_error ignored;
    if (mr_pg_rows(r) != 1) {
        s = mr_fail(err, MR_E_NOT_FOUND, "there is no run %llu: 'millrace runs' lists them", (unsigned long long)id);
    } else {
        if (mr_json_parse(mr_pg_text(&row, RUN_MEMBERS), PART_MAX, 4, &counts, &ignored) != MR_OK) counts = NULL;
        mr_pack_map(&job->reply, RUN_MEMBERS + 2);
        mr_query_pack_members(&job->reply, &row, run_columns);
        s = pack_steps(pg, job, id, (uint64_t)mr_pg_int(&row, 4), counts, err);
        if (s == MR_OK) s = mr_query_pack_chain(pg, id, &job->reply, err);
        if (s == MR_OK) s = mr_pg_row_status(&row, err);
    }
    mr_json_free(&counts);
    mr_pg_result_free(&r);
    return s;
}

/* ---- artifact ---- */

static const mr_pg_statement read_artifact = {
    "q_artifact", "select bytes from millrace.artifact where hash = $1", 1, {MR_PG_BYTEA}};

static bool artifact_in_cache(mr_reader *reader, const mr_hash *hash, mr_buf *out) {
    char key[MR_BLOB_KEY];
    mr_error ignored;
    if (!reader->redis) return false;
    mr_blob_key(hash, key);
    if (mr_redis_get(reader->redis, mr_clock_monotonic_ns(), mr_span_of(key), out, &ignored) != MR_OK) return false;
    mr_hash found = mr_hash_of(mr_buf_span(out));
    if (mr_hash_eq(&found, hash)) return true;
    mr_buf_clear(out); /* wrong bytes in the cache: as if there were none */
    return false;
}

static mr_status artifact_from_database(mr_reader *reader, mr_pg *pg, const mr_hash *hash, mr_buf *out, mr_error *err) {
    mr_pg_params p;
    mr_pg_result *r = NULL;
    char key[MR_BLOB_KEY];
    mr_error ignored;
    mr_pg_params_init(&p, NULL, 256);
    mr_pg_put_bytea(&p, mr_hash_span(hash));
    mr_status s = mr_pg_exec(pg, &read_artifact, &p, &r, err);
    mr_pg_params_free(&p);
    if (s != MR_OK) return s;
    mr_pg_row row = mr_pg_row_at(r, 0);
    mr_span bytes = mr_pg_rows(r) ? mr_pg_bytea(&row, 0) : (mr_span){0};
    mr_hash found = mr_hash_of(bytes);
    if (!mr_pg_rows(r)) s = mr_fail(err, MR_E_NOT_FOUND, "there is no such artifact: 'millrace artifacts' lists them");
    else if (!mr_hash_eq(&found, hash)) s = mr_fail(err, MR_E_CORRUPT, "the stored artifact does not match its hash: 'millrace repair run N' of its run computes it again");
    else mr_buf_put(out, bytes.data, bytes.len);
    mr_blob_key(hash, key);
    if (s == MR_OK && reader->redis)
        (void)!mr_redis_set(reader->redis, mr_clock_monotonic_ns(), mr_span_of(key), bytes, reader->ttl_s, &ignored);
    mr_pg_result_free(&r);
    return s;
}

static void pack_part(mr_query_job *job, mr_span bytes) {
    uint64_t offset = mr_arg_number(mr_buf_span(&job->args), "offset", 0), length = mr_arg_number(mr_buf_span(&job->args), "length", PART_MAX);
    if (offset > bytes.len) offset = bytes.len;
    if (length > PART_MAX) length = PART_MAX;
    if (length > bytes.len - offset) length = bytes.len - offset;
    mr_pack_map(&job->reply, 4);
    mr_pack_text(&job->reply, "hash");
    mr_pack_str(&job->reply, mr_arg_text(mr_buf_span(&job->args), "hash"));
    mr_pack_text(&job->reply, "total");
    mr_pack_u64(&job->reply, bytes.len);
    mr_pack_text(&job->reply, "offset");
    mr_pack_u64(&job->reply, offset);
    mr_pack_text(&job->reply, "bytes");
    mr_pack_bin(&job->reply, (mr_span){bytes.data + offset, length});
}

mr_status mr_query_artifact(mr_desk *desk, mr_pg *pg, mr_query_job *job, mr_error *err) {
    mr_reader *reader = desk->state;
    mr_hash hash;
    mr_buf bytes;
    if (!mr_hash_parse(mr_arg_text(mr_buf_span(&job->args), "hash"), &hash))
        return mr_fail(err, MR_E_INVALID, "an artifact is named by its hash of 64 hex digits: 'millrace artifacts' lists them");
    mr_buf_init(&bytes, NULL, (size_t)1 << 30);
    mr_status s = artifact_in_cache(reader, &hash, &bytes) ? MR_OK : artifact_from_database(reader, pg, &hash, &bytes, err);
    if (s == MR_OK) pack_part(job, mr_buf_span(&bytes));
    mr_buf_free(&bytes);
    return s;
}

/* ---- doctor ---- */

static const mr_pg_statement read_settings = {
    "q_settings",
    "select current_setting('server_version'), current_setting('fsync'), current_setting('synchronous_commit'),"
    " current_setting('full_page_writes'), current_setting('max_connections')::bigint,"
    " (select count(*) from pg_stat_activity where backend_type = 'client backend'),"
    " abs(extract(epoch from clock_timestamp()) - $1)::float8",
    1, {MR_PG_FLOAT8}};

static void pack_check(mr_buf *out, const char *name, bool ok, const char *text, const char *advice) {
    mr_pack_array(out, 4);
    mr_pack_text(out, name);
    mr_pack_bool(out, ok);
    mr_pack_text(out, text);
    mr_pack_text(out, ok ? "" : advice);
}

static void pack_database_checks(mr_buf *out, mr_pg_row *row) {
    char text[160];
    snprintf(text, sizeof text, "PostgreSQL %.*s", MR_SPAN_ARG(mr_pg_text(row, 0)));
    pack_check(out, "database", true, text, "");
    bool durable = mr_span_eq(mr_pg_text(row, 1), mr_span_of("on")) && mr_span_eq(mr_pg_text(row, 3), mr_span_of("on"));
    pack_check(out, "durability", durable, durable ? "fsync and full_page_writes are on" : "fsync or full_page_writes is off",
               "set fsync = on and full_page_writes = on in postgresql.conf: without them a crash can lose accepted work");
    int64_t used = mr_pg_int(row, 5), most = mr_pg_int(row, 4);
    snprintf(text, sizeof text, "%lld of %lld connections are in use", (long long)used, (long long)most);
    pack_check(out, "connections", used + 5 < most, text, "end idle clients of the database or raise max_connections");
    double skew = mr_pg_float(row, 6);
    snprintf(text, sizeof text, "the clocks of broker and database differ by %.3f s", skew);
    pack_check(out, "clock", skew < 2, text, "run a time service on both machines");
}

static void pack_cache_check(mr_buf *out, mr_reader *reader) {
    mr_error err = {0};
    if (!reader->redis) {
        pack_check(out, "cache", true, "no Redis is configured; inputs come from the broker", "");
        return;
    }
    mr_status s = mr_redis_ping(reader->redis, mr_clock_monotonic_ns(), &err);
    pack_check(out, "cache", s == MR_OK, s == MR_OK ? "Redis answers" : err.text,
               "start Redis or correct MILLRACE_REDIS_URL; until then everything works, only slower");
}

/* A broker that left in order is missed by nobody; one that is silent is, for an hour. */
static const mr_pg_statement read_shares = {
    "q_shares",
    "select (select count(*) from millrace.partition_lease where owner = '' or expires_at <= now()),"
    " count(*) filter (where state <> 'left' and expires_at > now()),"
    " coalesce(string_agg(name || ' at ' || address, ', ' order by name) filter (where state <> 'left' and expires_at <= now()"
    " and seen_at > now() - interval '1 hour'), '') from millrace.broker",
    0, {0}};

static mr_status pack_brokers_check(mr_pg *pg, mr_buf *out, mr_error *err) {
    char text[512];
    mr_pg_result *r = NULL;
    MR_TRY(mr_pg_exec(pg, &read_shares, NULL, &r, err));
    mr_pg_row row = mr_pg_row_at(r, 0);
    int64_t unowned = mr_pg_int(&row, 0), brokers = mr_pg_int(&row, 1);
    mr_span silent = mr_pg_text(&row, 2);
    bool ok = !unowned && !silent.len;
    if (silent.len) snprintf(text, sizeof text, "%lld share the work; silent: %.*s", (long long)brokers,
                              (int)(silent.len < 400 ? silent.len : 400), (const char *)silent.data);
    else if (unowned) snprintf(text, sizeof text, "%lld of 16 partitions of the work are owned by nobody", (long long)unowned);
    else snprintf(text, sizeof text, "%lld share the work", (long long)brokers);
    pack_check(out, "brokers", ok, text,
               "'millrace brokers' shows who owns what; others take over what a silent one had when its lease ends: start it "
               "again, or see why it does not reach the database");
    mr_status s = mr_pg_row_status(&row, err);
    mr_pg_result_free(&r);
    return s;
}

mr_status mr_query_doctor(mr_desk *desk, mr_pg *pg, mr_query_job *job, mr_error *err) {
    mr_pg_params p;
    mr_pg_result *r = NULL;
    mr_pg_params_init(&p, NULL, 64);
    mr_pg_put_float8(&p, (double)mr_clock_wall_ns() / 1e9);
    mr_status s = mr_pg_exec(pg, &read_settings, &p, &r, err);
    mr_pg_params_free(&p);
    if (s != MR_OK) return s;
    mr_pg_row row = mr_pg_row_at(r, 0);
    static const char *const names[] = {"name", "ok", "text", "advice"};
    mr_pack_map(&job->reply, 1);
    mr_pack_text(&job->reply, "checks");
    mr_pack_map(&job->reply, 2);
    mr_pack_text(&job->reply, "columns");
    mr_pack_array(&job->reply, 4);
    for (int i = 0; i < 4; i++) mr_pack_text(&job->reply, names[i]);
    mr_pack_text(&job->reply, "rows");
    mr_pack_array(&job->reply, 6);
    pack_database_checks(&job->reply, &row);
    pack_cache_check(&job->reply, desk->state);
    s = mr_pg_row_status(&row, err);
    mr_pg_result_free(&r);
    return s == MR_OK ? pack_brokers_check(pg, &job->reply, err) : s;
}
