#include "broker/io/lease.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { PARAMS_MAX = 8192 };

static const char *const state_words[] = {"serving", "draining", "left"};

static const mr_pg_statement enter_name = {
    "lease_register",
    "insert into millrace.broker (name, instance, address, state, expires_at)"
    " values ($1, $2, $3, 'serving', now() + $4 * interval '1 second') on conflict (name) do update set"
    " instance = excluded.instance, address = excluded.address, state = 'serving', started_at = now(), seen_at = now(),"
    " expires_at = excluded.expires_at, sharing = true",
    4,
    {MR_PG_TEXT, MR_PG_TEXT, MR_PG_TEXT, MR_PG_FLOAT8}};

/* What is in this broker's name though it does not hold it: the process before had it, or a round took it whose COMMIT was
 * not heard. Nobody else can take it until it expires, which may be long when the database's clock went back since. */
static const mr_pg_statement free_own = {
    "lease_free_own",
    "update millrace.partition_lease set owner = '', expires_at = '-infinity' where owner = $1 and partition <> all ($2::int[])",
    2,
    {MR_PG_TEXT, MR_PG_INT4S}};

static const mr_pg_statement come_in = {
    "lease_come_in", "select true from (select pg_advisory_xact_lock(" MR_DIVIDE_LOCK ")) l", 0, {0}};
static const mr_pg_statement free_limits = {
    "lease_free_limits", "delete from millrace.limit_share where broker = $1", 1, {MR_PG_TEXT}};

static const mr_pg_statement forget_old = {
    "lease_forget",
    "delete from millrace.broker where name in (select name from millrace.broker where seen_at < now() - interval '1 day'"
    " for update skip locked)",
    0,
    {0}};

static const mr_pg_statement live_on = {
    "lease_live",
    "update millrace.broker set seen_at = now(), state = $3,"
    " expires_at = case when $3 = 'left' then now() else now() + $4 * interval '1 second' end"
    " where name = $1 and instance = $2",
    4,
    {MR_PG_TEXT, MR_PG_TEXT, MR_PG_TEXT, MR_PG_FLOAT8}};

static const mr_pg_statement give_back = {
    "lease_give_back",
    "update millrace.partition_lease l set owner = '', expires_at = '-infinity'"
    " from unnest($1::bigint[]) with ordinality e (epoch, n)"
    " where l.partition = e.n - 1 and l.epoch = e.epoch and l.owner = $2",
    2,
    {MR_PG_INT8S, MR_PG_TEXT}};

static const mr_pg_statement renew = {
    "lease_renew",
    "update millrace.partition_lease l set expires_at = now() + $3 * interval '1 second'"
    " from unnest($1::bigint[]) with ordinality e (epoch, n)"
    " where l.partition = e.n - 1 and l.epoch = e.epoch and l.owner = $2 returning l.partition",
    3,
    {MR_PG_INT8S, MR_PG_TEXT, MR_PG_FLOAT8}};

static const mr_pg_statement count_brokers = {
    "lease_brokers",
    "select count(*) filter (where state = 'serving'), count(*) filter (where state = 'serving' and name < $1),"
    " count(*) filter (where name <> $1) from millrace.broker where state <> 'left' and expires_at > now()",
    1,
    {MR_PG_TEXT}};

/* What a transaction of its last owner still holds is passed over, and taken in a later round. */
static const mr_pg_statement take = {
    "lease_take",
    "update millrace.partition_lease l set owner = $1, epoch = l.epoch + 1, expires_at = now() + $2 * interval '1 second'"
    " from (select f.partition from millrace.partition_lease f where (f.owner = '' or f.expires_at < now())"
    " and f.partition <> all ($3::int[]) order by f.partition limit $4 for update skip locked) f"
    " where l.partition = f.partition returning l.partition, l.epoch",
    4,
    {MR_PG_TEXT, MR_PG_FLOAT8, MR_PG_INT4S, MR_PG_INT8}};

static const mr_pg_statement next_expiry = {
    "lease_expiry",
    "select coalesce(extract(epoch from min(greatest(expires_at, now())) - now()) * 1000, -1)::float8 from millrace.partition_lease"
    " where owner not in ('', $1)",
    1,
    {MR_PG_TEXT}};

static const mr_pg_statement draw_block = {"lease_block", "select nextval('millrace.attempt_block')", 0, {0}};
static const mr_pg_statement notify = {"lease_notify", "select true from (select pg_notify('" MR_CHANNEL "', $1)) n", 1, {MR_PG_TEXT}};

/* ---- the fence ---- */

const mr_pg_statement mr_lease_fence_statement = {
    "lease_fence", "select millrace.fence($1, $2, $3)", 3, {MR_PG_INT4S, MR_PG_INT8S, MR_PG_TEXT}};

bool mr_lease_holds(const mr_lease *lease, uint64_t run, int64_t epoch) {
    return epoch && atomic_load(&lease->epoch[mr_partition_of(run)]) == epoch;
}

void mr_lease_put_fence(mr_pg_params *p, const mr_lease *lease, const int64_t *runs, size_t n) {
    int32_t partition[MR_PARTITIONS];
    int64_t epoch[MR_PARTITIONS];
    bool named[MR_PARTITIONS] = {false};
    size_t count = 0;
    for (size_t i = 0; i < n; i++) named[mr_partition_of((uint64_t)runs[i])] = true;
    for (int32_t i = 0; i < MR_PARTITIONS; i++) {
        if (!named[i]) continue;
        partition[count] = i;
        epoch[count++] = atomic_load(&lease->epoch[i]);
    }
    mr_pg_params_clear(p);
    mr_pg_put_int4s(p, partition, NULL, count);
    mr_pg_put_int8s(p, epoch, NULL, count);
    mr_pg_put_text(p, lease->owner);
}

static size_t list_set(uint32_t set, int32_t out[MR_PARTITIONS]) {
    size_t n = 0;
    for (int32_t i = 0; i < MR_PARTITIONS; i++)
        if (set & 1u << i) out[n++] = i;
    return n;
}

void mr_lease_put_open(mr_pg_params *p, const mr_lease *lease) {
    int32_t partition[MR_PARTITIONS];
    mr_pg_put_int4s(p, partition, NULL, list_set(atomic_load(&lease->open), partition));
}

/* ---- rounds ---- */

static uint32_t held_by(const mr_holding *h) {
    uint32_t set = 0;
    for (uint32_t i = 0; i < MR_PARTITIONS; i++) set |= (uint32_t)(h->epoch[i] != 0) << i;
    return set;
}

static mr_status say_alive(mr_pg *pg, mr_pg_params *p, const mr_holding *h, bool *replaced, mr_error *err) {
    mr_pg_result *r = NULL;
    mr_pg_params_clear(p);
    mr_pg_put_text(p, h->owner);
    mr_pg_put_text(p, h->instance);
    mr_pg_put_text(p, state_words[h->state]);
    mr_pg_put_float8(p, (double)h->seconds);
    MR_TRY(mr_pg_exec(pg, &live_on, p, &r, err));
    *replaced = mr_pg_changed(r) != 1;
    mr_pg_result_free(&r);
    return !*replaced ? MR_OK : mr_fail(err, MR_E_CONFLICT, "another broker has taken the name '%s', and with it this one's work", h->owner);
}

static bool any_of(const int64_t *epochs) {
    for (int i = 0; i < MR_PARTITIONS; i++)
        if (epochs[i]) return true;
    return false;
}

static mr_status return_some(mr_pg *pg, mr_pg_params *p, const mr_holding *h, mr_error *err) {
    const int64_t *epochs = h->state == MR_LEASE_LEFT ? h->epoch : h->giving;
    if (!any_of(epochs)) return MR_OK;
    mr_pg_params_clear(p);
    mr_pg_put_int8s(p, epochs, NULL, MR_PARTITIONS);
    mr_pg_put_text(p, h->owner);
    MR_TRY(mr_pg_exec(pg, &give_back, p, NULL, err));
    return mr_lease_notify(pg, err, "lease");
}

static mr_status renew_held(mr_pg *pg, mr_pg_params *p, const mr_holding *h, uint32_t *kept, mr_error *err) {
    mr_pg_result *r = NULL;
    *kept = 0;
    if (h->state == MR_LEASE_LEFT || !any_of(h->epoch)) return MR_OK;
    mr_pg_params_clear(p);
    mr_pg_put_int8s(p, h->epoch, NULL, MR_PARTITIONS);
    mr_pg_put_text(p, h->owner);
    mr_pg_put_float8(p, (double)h->seconds);
    MR_TRY(mr_pg_exec(pg, &renew, p, &r, err));
    mr_status s = MR_OK;
    for (uint32_t i = 0; s == MR_OK && i < mr_pg_rows(r); i++) {
        mr_pg_row row = mr_pg_row_at(r, i);
        *kept |= 1u << (mr_pg_int(&row, 0) % MR_PARTITIONS);
        s = mr_pg_row_status(&row, err);
    }
    mr_pg_result_free(&r);
    return s;
}

static mr_status free_but(mr_pg *pg, mr_pg_params *p, const mr_holding *h, uint32_t held, mr_error *err) {
    int32_t these[MR_PARTITIONS];
    mr_pg_result *r = NULL;
    mr_pg_params_clear(p);
    mr_pg_put_text(p, h->owner);
    mr_pg_put_int4s(p, these, NULL, list_set(held, these));
    MR_TRY(mr_pg_exec(pg, &free_own, p, &r, err));
    bool any = mr_pg_changed(r) > 0;
    mr_pg_result_free(&r);
    return any ? mr_lease_notify(pg, err, "lease") : MR_OK;
}

static mr_status own_share(mr_pg *pg, mr_pg_params *p, const mr_holding *h, mr_lease_news *out, uint32_t *share, mr_error *err) {
    mr_pg_result *r = NULL;
    mr_pg_params_clear(p);
    mr_pg_put_text(p, h->owner);
    MR_TRY(mr_pg_exec(pg, &count_brokers, p, &r, err));
    mr_pg_row row = mr_pg_row_at(r, 0);
    out->brokers = (uint32_t)mr_pg_int(&row, 0);
    out->others = (uint32_t)mr_pg_int(&row, 2);
    *share = mr_partitions_share(out->brokers, (uint32_t)mr_pg_int(&row, 1));
    mr_status s = mr_pg_row_status(&row, err);
    mr_pg_result_free(&r);
    return s;
}

/* Up to `most` of the free ones, under new epochs; those that are being given back are not taken again at once. */
static mr_status take_free(mr_pg *pg, mr_pg_params *p, const mr_holding *h, uint32_t held, uint32_t most,
                           int64_t epoch[MR_PARTITIONS], uint32_t *taken, mr_error *err) {
    mr_pg_result *r = NULL;
    int32_t not_these[MR_PARTITIONS];
    for (uint32_t i = 0; i < MR_PARTITIONS; i++) held |= (uint32_t)(h->giving[i] != 0) << i;
    mr_pg_params_clear(p);
    mr_pg_put_text(p, h->owner);
    mr_pg_put_float8(p, (double)h->seconds);
    mr_pg_put_int4s(p, not_these, NULL, list_set(held, not_these));
    mr_pg_put_int8(p, most);
    MR_TRY(mr_pg_exec(pg, &take, p, &r, err));
    mr_status s = MR_OK;
    for (uint32_t i = 0; s == MR_OK && i < mr_pg_rows(r); i++) {
        mr_pg_row row = mr_pg_row_at(r, i);
        uint32_t partition = (uint32_t)mr_pg_int(&row, 0) % MR_PARTITIONS;
        epoch[partition] = mr_pg_int(&row, 1);
        *taken |= 1u << partition;
        s = mr_pg_row_status(&row, err);
    }
    mr_pg_result_free(&r);
    return s;
}

static mr_status read_expiry(mr_pg *pg, mr_pg_params *p, const mr_holding *h, int64_t *out, mr_error *err) {
    mr_pg_result *r = NULL;
    mr_pg_params_clear(p);
    mr_pg_put_text(p, h->owner);
    MR_TRY(mr_pg_exec(pg, &next_expiry, p, &r, err));
    mr_pg_row row = mr_pg_row_at(r, 0);
    *out = (int64_t)mr_pg_float(&row, 0);
    mr_status s = mr_pg_row_status(&row, err);
    mr_pg_result_free(&r);
    return s;
}

static mr_status go_round(mr_pg *pg, mr_pg_params *p, const mr_holding *h, mr_lease_news *out, int64_t epoch[MR_PARTITIONS],
                          mr_error *err) {
    uint32_t kept, share, held = held_by(h);
    MR_TRY(say_alive(pg, p, h, &out->replaced, err));
    MR_TRY(return_some(pg, p, h, err));
    MR_TRY(renew_held(pg, p, h, &kept, err));
    MR_TRY(free_but(pg, p, h, kept, err));
    out->lost = held & ~kept;
    MR_TRY(own_share(pg, p, h, out, &share, err));
    if (h->state == MR_LEASE_SERVING) {
        uint32_t count = mr_partitions_count(kept);
        out->surplus = mr_partitions_surplus(kept, share);
        if (count < share) MR_TRY(take_free(pg, p, h, kept, share - count, epoch, &out->taken, err));
    }
    return read_expiry(pg, p, h, &out->expires_ms, err);
}

static void settle(mr_holding *h, const mr_lease_news *news, const int64_t epoch[MR_PARTITIONS]) {
    for (uint32_t i = 0; i < MR_PARTITIONS; i++) {
        h->giving[i] = 0;
        if (news->lost & 1u << i) h->epoch[i] = 0;
        if (news->taken & 1u << i) h->epoch[i] = epoch[i];
    }
}

mr_status mr_lease_round(mr_pg *pg, mr_holding *h, mr_lease_news *out, mr_error *err) {
    mr_pg_params p;
    mr_pg_outcome outcome;
    int64_t epoch[MR_PARTITIONS] = {0};
    *out = (mr_lease_news){0};
    mr_pg_params_init(&p, NULL, PARAMS_MAX);
    mr_status s = mr_pg_begin(pg, err);
    if (s == MR_OK) s = go_round(pg, &p, h, out, epoch, err);
    if (s == MR_OK) s = mr_pg_commit(pg, &outcome, err);
    if (s == MR_OK) settle(h, out, epoch);
    else mr_pg_rollback(pg);
    mr_pg_params_free(&p);
    return s;
}

static mr_status enter(mr_pg *pg, mr_pg_params *p, const mr_holding *h, mr_error *err) {
    MR_TRY(mr_pg_exec(pg, &come_in, NULL, NULL, err));
    mr_pg_put_text(p, h->owner);
    mr_pg_put_text(p, h->instance);
    mr_pg_put_text(p, h->address);
    mr_pg_put_float8(p, (double)h->seconds);
    MR_TRY(mr_pg_exec(pg, &enter_name, p, NULL, err));
    MR_TRY(mr_pg_exec(pg, &forget_old, NULL, NULL, err));
    MR_TRY(free_but(pg, p, h, 0, err));
    mr_pg_params_clear(p);
    mr_pg_put_text(p, h->owner);
    MR_TRY(mr_pg_exec(pg, &free_limits, p, NULL, err));
    return mr_lease_notify(pg, err, "lease");
}

mr_status mr_lease_register(mr_pg *pg, const mr_holding *h, mr_error *err) {
    mr_pg_params p;
    mr_pg_outcome outcome;
    mr_pg_params_init(&p, NULL, PARAMS_MAX);
    mr_status s = mr_pg_begin(pg, err);
    if (s == MR_OK) s = enter(pg, &p, h, err);
    if (s == MR_OK) s = mr_pg_commit(pg, &outcome, err);
    if (s != MR_OK) mr_pg_rollback(pg);
    mr_pg_params_free(&p);
    return s;
}

mr_status mr_lease_draw_attempts(mr_pg *pg, uint64_t *first_attempt, mr_error *err) {
    mr_pg_result *r = NULL;
    MR_TRY(mr_pg_exec(pg, &draw_block, NULL, &r, err));
    mr_pg_row row = mr_pg_row_at(r, 0);
    *first_attempt = (uint64_t)mr_pg_int(&row, 0) << 32;
    mr_status s = mr_pg_row_status(&row, err);
    mr_pg_result_free(&r);
    return s;
}

mr_status mr_lease_notify(mr_pg *pg, mr_error *err, const char *fmt, ...) {
    char text[256];
    va_list args;
    mr_pg_params p;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    mr_pg_params_init(&p, NULL, PARAMS_MAX);
    mr_pg_put_text(&p, text);
    mr_status s = mr_pg_exec(pg, &notify, &p, NULL, err);
    mr_pg_params_free(&p);
    return s;
}
