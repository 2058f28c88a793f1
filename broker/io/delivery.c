#include "broker/io/delivery.h"

#include "broker/io/call_args.h"
#include "broker/io/repair.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { REPLY_MAX = 1 << 20, PARAMS_MAX = 1 << 20 };

mr_delivery_job *mr_delivery_job_new(mr_command command, mr_span args, const char *client) {
    mr_delivery_job *job = mr_new(NULL, 1, sizeof *job);
    if (!job) return NULL;
    job->command = command;
    job->head.work = mr_delivery_work;
    snprintf(job->client, sizeof job->client, "%s", client);
    mr_buf_init(&job->args, NULL, args.len + 1);
    mr_buf_put(&job->args, args.data, args.len);
    mr_buf_init(&job->reply, NULL, REPLY_MAX);
    if (mr_buf_status(&job->args) == MR_OK) return job;
    mr_delivery_job_free(job);
    return NULL;
}

void mr_delivery_job_free(mr_delivery_job *job) {
    mr_buf_free(&job->args);
    mr_buf_free(&job->reply);
    mr_free(NULL, job, 1, sizeof *job);
}

static mr_span arg_text(const mr_delivery_job *job, const char *name) {
    return mr_arg_text(mr_buf_span(&job->args), name);
}

static void put_text_or_null(mr_pg_params *p, mr_span text) {
    if (text.len)
        mr_pg_put_str(p, text);
    else
        mr_pg_put_null(p, MR_PG_TEXT);
}

/* ---- dead letters ---- */

#define CHOSEN                                                                                                \
    " ($1::bigint is null or d.id = $1) and ($2::bigint is null or d.run_id = $2) and ($3::text is null or "  \
    "d.component = $3) and ($4::text is null or strpos(lower(d.reason), lower($4)) > 0)"

/* A replay takes letters of runs that go on or have failed. */
#define TAKEN_OF(run)                                                                                           \
    " ($5 = 'discarded' or not exists (select 1 from millrace.run_end e where e.run_id = " run " and e.state <> " \
    "'failed'))"

/* The runs of the letters that were chosen, at most 256, locked against a cancel and other replays: what is read after this
 * is as they left it, and the next life of a run is begun by one. */
static const mr_pg_statement lock_runs = {
    "dead_lock",
    "select r.id from millrace.run r where r.id in (select d.run_id from millrace.dead_letter d where" CHOSEN ")"
    " and" TAKEN_OF("r.id") " order by r.id limit 256 for no key update of r",
    5,
    {MR_PG_INT8, MR_PG_INT8, MR_PG_TEXT, MR_PG_TEXT, MR_PG_TEXT}};

static const mr_pg_statement take_letters = {
    "dead_take",
    "with chosen as (select d.id, d.run_id from millrace.dead_letter d where d.run_id = any ($8) and" CHOSEN
    " and" TAKEN_OF("d.run_id") "), taken as (insert into millrace.dead_letter_end (failure_id, action, reason, client)"
    "  select id, $5, $6, $7 from chosen on conflict do nothing returning failure_id)"
    " select c.run_id, count(*) from taken t join chosen c on c.id = t.failure_id group by 1 order by 1",
    8,
    {MR_PG_INT8, MR_PG_INT8, MR_PG_TEXT, MR_PG_TEXT, MR_PG_TEXT, MR_PG_TEXT, MR_PG_TEXT, MR_PG_INT8S}};

static const mr_pg_statement count_letters = {
    "dead_left",
    "select count(*) from millrace.dead_letter d where" CHOSEN,
    4,
    {MR_PG_INT8, MR_PG_INT8, MR_PG_TEXT, MR_PG_TEXT}};

static const mr_pg_statement reopen_runs = {
    "dead_reopen",
    "insert into millrace.run_reopen (run_id, life, reason, client)"
    " select r, 1 + coalesce((select max(o.life) from millrace.run_reopen o where o.run_id = r), 0), $2, $3"
    " from unnest($1::bigint[]) r",
    3,
    {MR_PG_INT8S, MR_PG_TEXT, MR_PG_TEXT}};

static void put_choice(mr_pg_params *p, const mr_delivery_job *job) {
    static const char *const numbers[] = {"id", "run"};
    mr_unpack ignored;
    mr_span args = mr_buf_span(&job->args);
    mr_pg_params_clear(p);
    for (int i = 0; i < 2; i++) {
        if (mr_arg_find(args, numbers[i], &ignored))
            mr_pg_put_int8(p, (int64_t)mr_arg_number(args, numbers[i], 0));
        else
            mr_pg_put_null(p, MR_PG_INT8);
    }
    put_text_or_null(p, arg_text(job, "component"));
    put_text_or_null(p, arg_text(job, "search"));
}

static mr_status check_choice(const mr_delivery_job *job, mr_error *err) {
    static const char *const ways[] = {"id", "run", "component", "search"};
    mr_unpack ignored;
    mr_span args = mr_buf_span(&job->args);
    bool some = mr_arg_flag(args, "all");
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) some |= mr_arg_find(args, ways[i], &ignored);
    return some ? MR_OK
                : mr_fail(err, MR_E_USAGE,
                          "which dead letters? Name one by its id, a run, a component or a search, or all");
}

typedef struct chosen_runs {
    uint32_t count;
    int64_t run[MR_REOPENED_MAX];
} chosen_runs;

static mr_status lock(mr_pg *pg, mr_pg_params *p, const mr_delivery_job *job, const char *action, chosen_runs *out, mr_error *err) {
    mr_pg_result *r = NULL;
    put_choice(p, job);
    mr_pg_put_text(p, action);
    MR_TRY(mr_pg_exec(pg, &lock_runs, p, &r, err));
    mr_status s = MR_OK;
    for (uint32_t i = 0; s == MR_OK && i < mr_pg_rows(r); i++) {
        mr_pg_row row = mr_pg_row_at(r, i);
        out->run[out->count++] = mr_pg_int(&row, 0);
        s = mr_pg_row_status(&row, err);
    }
    mr_pg_result_free(&r);
    return s;
}

static mr_status take(mr_pg *pg, mr_pg_params *p, mr_delivery_job *job, const char *action, uint64_t *letters,
                      mr_error *err) {
    mr_pg_result *r = NULL;
    chosen_runs of = {0};
    MR_TRY(lock(pg, p, job, action, &of, err));
    if (!of.count) return MR_OK;
    put_choice(p, job);
    mr_pg_put_text(p, action);
    mr_pg_put_str(p, arg_text(job, "reason"));
    mr_pg_put_text(p, job->client);
    mr_pg_put_int8s(p, of.run, NULL, of.count);
    MR_TRY(mr_pg_exec(pg, &take_letters, p, &r, err));
    mr_status s = MR_OK;
    for (uint32_t i = 0; s == MR_OK && i < mr_pg_rows(r); i++) {
        mr_pg_row row = mr_pg_row_at(r, i);
        job->run[job->runs++] = mr_pg_int(&row, 0);
        *letters += (uint64_t)mr_pg_int(&row, 1);
        s = mr_pg_row_status(&row, err);
    }
    mr_pg_result_free(&r);
    return s;
}

static mr_status left_over(mr_pg *pg, mr_pg_params *p, const mr_delivery_job *job, uint64_t *left,
                           mr_error *err) {
    mr_pg_result *r = NULL;
    put_choice(p, job);
    MR_TRY(mr_pg_exec(pg, &count_letters, p, &r, err));
    mr_pg_row row = mr_pg_row_at(r, 0);
    *left = (uint64_t)mr_pg_int(&row, 0);
    mr_status s = mr_pg_row_status(&row, err);
    mr_pg_result_free(&r);
    return s;
}

/* The letters' runs get a new life, also those that go on: so an end of the life before that is being written at this moment
 * counts for nothing, whichever of the two is committed first. Whose run it is is told, and reads what was replayed (replay.c);
 * nothing is written that its leases would have to fence. */
static mr_status reopen(mr_pg *pg, mr_pg_params *p, const mr_delivery_job *job, mr_error *err) {
    mr_pg_params_clear(p);
    mr_pg_put_int8s(p, job->run, NULL, job->runs);
    mr_pg_put_str(p, arg_text(job, "reason"));
    mr_pg_put_text(p, job->client);
    MR_TRY(mr_pg_exec(pg, &reopen_runs, p, NULL, err));
    for (uint32_t i = 0; i < job->runs; i++) MR_TRY(mr_lease_notify(pg, err, "run %lld", (long long)job->run[i]));
    return MR_OK;
}

static mr_status settle_letters(mr_pg *pg, mr_pg_params *p, mr_delivery_job *job, mr_error *err) {
    bool replay = job->command == MR_CMD_DEAD_REPLAY;
    uint64_t letters = 0, left = 0;
    MR_TRY(check_choice(job, err));
    MR_TRY(take(pg, p, job, replay ? "replayed" : "discarded", &letters, err));
    MR_TRY(left_over(pg, p, job, &left, err));
    if (!letters && left)
        return mr_fail(
            err, MR_E_CONFLICT,
            "the runs of these were cancelled: nothing of them is tried again");
    if (!letters)
        return mr_fail(err, MR_E_NOT_FOUND,
                       "there are no such dead letters: 'millrace dead list' shows what there is");
    if (replay) MR_TRY(reopen(pg, p, job, err));
    mr_pack_map(&job->reply, 3);
    mr_pack_text(&job->reply, replay ? "replayed" : "discarded");
    mr_pack_u64(&job->reply, letters);
    mr_pack_text(&job->reply, "runs");
    mr_pack_u64(&job->reply, job->runs);
    mr_pack_text(&job->reply, "left"); /* of runs that were cancelled, or beyond what one call takes */
    mr_pack_u64(&job->reply, left);
    return MR_OK;
}

/* ---- pauses and limits ---- */

static const char *const rule_words[MR_RULES] = {"component", "run", "client"};

const char *mr_rule_word(mr_rule_of of) { return rule_words[of]; }

bool mr_rule_of_word(mr_span word, mr_rule_of *out) {
    for (int i = 0; i < MR_RULES; i++)
        if (mr_span_eq(word, mr_span_of(rule_words[i]))) return *out = (mr_rule_of)i, true;
    return false;
}

static const mr_pg_statement run_there = {
    "rule_run", "select exists (select 1 from millrace.run where id = $1)", 1, {MR_PG_INT8}};
static const mr_pg_statement insert_pause = {
    "rule_pause",
    "insert into millrace.pause (subject, name, paused, reason, client) values ($1, $2, $3, $4, $5)",
    5,
    {MR_PG_TEXT, MR_PG_TEXT, MR_PG_BOOL, MR_PG_TEXT, MR_PG_TEXT}};
static const mr_pg_statement insert_limit = {
    "rule_limit",
    "insert into millrace.limit_rule (subject, name, max_concurrent, per_second, burst, client) values ($1, "
    "$2, $3, $4, $5, $6)",
    6,
    {MR_PG_TEXT, MR_PG_TEXT, MR_PG_INT4, MR_PG_FLOAT8, MR_PG_INT4, MR_PG_TEXT}};
static const mr_pg_statement read_rule = {"rule_read",
                                          "select subject, name, paused, max_concurrent, per_second, burst "
                                          "from millrace.rule_now where subject = $1 and name = $2",
                                          2,
                                          {MR_PG_TEXT, MR_PG_TEXT}};
static const mr_pg_statement read_rules = {
    "rule_all",
    "select subject, name, paused, max_concurrent, per_second, burst from millrace.rule_now"
    " where paused or max_concurrent > 0 or per_second > 0 or $1",
    1,
    {MR_PG_BOOL}};

static mr_status rule_of_row(mr_pg_row *row, mr_rule *out, mr_error *err) {
    *out = (mr_rule){.paused = mr_pg_bool(row, 2),
                     .max_concurrent = (uint32_t)mr_pg_int(row, 3),
                     .per_second = mr_pg_float(row, 4),
                     .burst = (uint32_t)mr_pg_int(row, 5)};
    mr_span name = mr_pg_text(row, 1);
    snprintf(out->name, sizeof out->name, "%.*s", MR_SPAN_ARG(name));
    if (!mr_rule_of_word(mr_pg_text(row, 0), &out->of) || name.len >= sizeof out->name)
        return mr_fail(err, MR_E_CORRUPT, "the rule of '%.*s' is of no kind that is known",
                       MR_SPAN_ARG(name));
    return mr_pg_row_status(row, err);
}

mr_status mr_rules_read(mr_pg *pg, bool idle, mr_status (*tell)(void *, const mr_rule *, mr_error *), void *context,
                        mr_error *err) {
    mr_pg_params p;
    mr_pg_result *r = NULL;
    mr_pg_params_init(&p, NULL, 64);
    mr_pg_put_bool(&p, idle);
    mr_status s = mr_pg_exec(pg, &read_rules, &p, &r, err);
    mr_pg_params_free(&p);
    if (s != MR_OK) return s;
    for (uint32_t i = 0; s == MR_OK && i < mr_pg_rows(r); i++) {
        mr_pg_row row = mr_pg_row_at(r, i);
        mr_rule rule;
        s = rule_of_row(&row, &rule, err);
        if (s == MR_OK) s = tell(context, &rule, err);
    }
    mr_pg_result_free(&r);
    return s;
}

static mr_status check_run(mr_pg *pg, mr_pg_params *p, mr_rule *rule, mr_error *err) {
    char *end;
    unsigned long long id = strtoull(rule->name, &end, 10);
    if (rule->name[0] < '1' || rule->name[0] > '9' || *end || id > INT64_MAX)
        return mr_fail(err, MR_E_INVALID, "'%s' is not the number of a run", rule->name);
    mr_pg_result *r = NULL;
    mr_pg_params_clear(p);
    mr_pg_put_int8(p, (int64_t)id);
    MR_TRY(mr_pg_exec(pg, &run_there, p, &r, err));
    mr_pg_row row = mr_pg_row_at(r, 0);
    bool there = mr_pg_bool(&row, 0);
    mr_pg_result_free(&r);
    return there ? MR_OK
                 : mr_fail(err, MR_E_NOT_FOUND, "there is no run %llu: 'millrace runs' lists them", id);
}

/* What the arguments say; a name is checked so far as the database can. */
static mr_status read_name(mr_pg *pg, mr_pg_params *p, const mr_delivery_job *job, mr_rule *rule,
                           mr_error *err) {
    mr_span kind = arg_text(job, "kind"), name = arg_text(job, "name");
    *rule = (mr_rule){0};
    if (!mr_rule_of_word(kind, &rule->of))
        return mr_fail(err, MR_E_INVALID, "'%.*s': a rule is for a component, a run or a client",
                       (int)(kind.len < 40 ? kind.len : 40), (const char *)kind.data);
    if (!name.len || name.len >= sizeof rule->name)
        return mr_fail(err, MR_E_INVALID, "the name of a %s has 1 to %d bytes", rule_words[rule->of],
                       MR_NAME_MAX - 1);
    snprintf(rule->name, sizeof rule->name, "%.*s", MR_SPAN_ARG(name));
    return rule->of == MR_RULE_RUN ? check_run(pg, p, rule, err) : MR_OK;
}

static mr_status read_rate(const mr_delivery_job *job, double *out, mr_error *err) {
    char text[32], *end;
    mr_span given = arg_text(job, "per_second");
    *out = 0;
    if (!given.len) return MR_OK;
    snprintf(text, sizeof text, "%.*s", (int)(given.len < sizeof text ? given.len : sizeof text - 1),
             (const char *)given.data);
    *out = strtod(text, &end);
    if (*end || !(*out >= 1e-4 && *out <= 1e6))
        return mr_fail(err, MR_E_INVALID, "'%s' is not a rate: 0.0001 to 1000000 a second", text);
    return MR_OK;
}

static mr_status put_limit(mr_pg_params *p, const mr_delivery_job *job, mr_error *err) {
    mr_span args = mr_buf_span(&job->args);
    uint64_t most = 0, burst = 1;
    double rate = 0;
    if (job->command == MR_CMD_LIMIT_SET) {
        most = mr_arg_number(args, "max_concurrent", 0);
        burst = mr_arg_number(args, "burst", 1);
        MR_TRY(read_rate(job, &rate, err));
        if (!most && rate <= 0)
            return mr_fail(err, MR_E_USAGE,
                           "a limit needs a number at once or a rate; 'limits remove' takes one away");
    }
    if (most > INT32_MAX || burst < 1 || burst > 1000000)
        return mr_fail(err, MR_E_INVALID, "a limit is at most %d at once, with bursts of 1 to 1000000",
                       INT32_MAX);
    mr_pg_put_int4(p, (int32_t)most);
    mr_pg_put_float8(p, rate);
    mr_pg_put_int4(p, (int32_t)burst);
    return MR_OK;
}

static void pack_rule(mr_buf *out, const mr_rule *rule) {
    mr_pack_map(out, 6);
    mr_pack_text(out, "kind");
    mr_pack_text(out, rule_words[rule->of]);
    mr_pack_text(out, "name");
    mr_pack_text(out, rule->name);
    mr_pack_text(out, "paused");
    mr_pack_bool(out, rule->paused);
    mr_pack_text(out, "max_concurrent");
    mr_pack_u64(out, rule->max_concurrent);
    mr_pack_text(out, "per_second");
    mr_pack_f64(out, rule->per_second);
    mr_pack_text(out, "burst");
    mr_pack_u64(out, rule->burst);
}

static mr_status read_back(mr_pg *pg, mr_pg_params *p, mr_delivery_job *job, mr_error *err) {
    mr_pg_result *r = NULL;
    mr_pg_params_clear(p);
    mr_pg_put_text(p, rule_words[job->rule.of]);
    mr_pg_put_text(p, job->rule.name);
    MR_TRY(mr_pg_exec(pg, &read_rule, p, &r, err));
    mr_pg_row row = mr_pg_row_at(r, 0);
    mr_status s = rule_of_row(&row, &job->rule, err);
    mr_pg_result_free(&r);
    job->has_rule = s == MR_OK;
    if (s == MR_OK) pack_rule(&job->reply, &job->rule);
    return s;
}

static mr_status change_rule(mr_pg *pg, mr_pg_params *p, mr_delivery_job *job, mr_error *err) {
    bool pause = job->command == MR_CMD_PAUSE || job->command == MR_CMD_RESUME;
    MR_TRY(read_name(pg, p, job, &job->rule, err));
    mr_pg_params_clear(p);
    mr_pg_put_text(p, rule_words[job->rule.of]);
    mr_pg_put_text(p, job->rule.name);
    if (pause) {
        mr_pg_put_bool(p, job->command == MR_CMD_PAUSE);
        mr_pg_put_str(p, arg_text(job, "reason"));
    } else {
        MR_TRY(put_limit(p, job, err));
    }
    mr_pg_put_text(p, job->client);
    MR_TRY(mr_pg_exec(pg, pause ? &insert_pause : &insert_limit, p, NULL, err));
    MR_TRY(mr_lease_notify(pg, err, "rules"));
    return read_back(pg, p, job, err);
}

/* ---- the job ---- */

static mr_status carry_out(mr_desk *desk, mr_pg *pg, mr_pg_params *p, mr_delivery_job *job, mr_error *err) {
    switch (job->command) {
    case MR_CMD_DEAD_REPLAY:
    case MR_CMD_DEAD_DISCARD:
        return settle_letters(pg, p, job, err);
    case MR_CMD_REPAIR:
        return mr_repair_run(pg, p, job, err);
    case MR_CMD_SCHEDULE_ADD:
        return mr_schedule_add(desk, pg, job, err);
    case MR_CMD_SCHEDULE_REMOVE:
        return mr_schedule_remove(pg, job, err);
    default:
        return change_rule(pg, p, job, err);
    }
}

void mr_delivery_work(mr_desk *desk, mr_job *head) {
    mr_delivery_job *job = (mr_delivery_job *)head;
    mr_error *err = &head->error;
    mr_pg *pg;
    mr_pg_params p;
    mr_pg_outcome outcome;
    mr_pg_params_init(&p, NULL, PARAMS_MAX);
    mr_status s = mr_desk_database(desk, &pg, err);
    if (s == MR_OK) s = mr_pg_begin(pg, err);
    if (s == MR_OK) {
        s = carry_out(desk, pg, &p, job, err);
        if (s == MR_OK) s = mr_pg_commit(pg, &outcome, err);
        if (s != MR_OK) mr_pg_rollback(pg);
    }
    mr_pg_params_free(&p);
    head->status = s;
}
