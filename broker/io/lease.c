#include "broker/io/lease.h"

#include <string.h>

int32_t mr_partition_of(uint64_t run) { return (int32_t)(run % MR_PARTITIONS); }

static const mr_pg_statement take = {
    "lease_take",
    "update millrace.partition_lease set owner = $1, epoch = epoch + 1, expires_at = now() + $2 * interval '1 second'"
    " where owner in ('', $1) or expires_at < now() returning partition, epoch",
    2,
    {MR_PG_TEXT, MR_PG_FLOAT8}};

static const mr_pg_statement holder = {
    "lease_holder",
    "select owner, to_char(expires_at at time zone 'UTC', 'HH24:MI:SS') from millrace.partition_lease"
    " where owner not in ('', $1) and expires_at >= now() order by partition limit 1",
    1,
    {MR_PG_TEXT}};

static const mr_pg_statement draw_block = {
    "lease_block", "select nextval('millrace.attempt_block')", 0, {0}};

static const mr_pg_statement renew = {
    "lease_renew",
    "update millrace.partition_lease l set expires_at = now() + $3 * interval '1 second'"
    " from unnest($1::bigint[]) with ordinality e (epoch, n)"
    " where l.partition = e.n - 1 and l.epoch = e.epoch and l.owner = $2",
    3,
    {MR_PG_INT8S, MR_PG_TEXT, MR_PG_FLOAT8}};

static const mr_pg_statement release = {
    "lease_release",
    "update millrace.partition_lease l set owner = '', expires_at = '-infinity'"
    " from unnest($1::bigint[]) with ordinality e (epoch, n)"
    " where l.partition = e.n - 1 and l.epoch = e.epoch and l.owner = $2",
    2,
    {MR_PG_INT8S, MR_PG_TEXT}};

const mr_pg_statement mr_lease_fence_statement = {
    "lease_fence", "select millrace.fence($1, $2, $3)", 3, {MR_PG_INT4S, MR_PG_INT8S, MR_PG_TEXT}};

void mr_lease_put_fence(mr_pg_params *p, const mr_lease *lease, const int64_t *runs, size_t n) {
    int32_t partition[MR_PARTITIONS];
    int64_t epoch[MR_PARTITIONS];
    bool named[MR_PARTITIONS] = {false};
    size_t count = 0;
    for (size_t i = 0; i < n; i++) named[mr_partition_of((uint64_t)runs[i])] = true;
    for (int32_t i = 0; i < MR_PARTITIONS; i++) {
        if (!named[i]) continue;
        partition[count] = i;
        epoch[count++] = lease->epoch[i];
    }
    mr_pg_params_clear(p);
    mr_pg_put_int4s(p, partition, NULL, count);
    mr_pg_put_int8s(p, epoch, NULL, count);
    mr_pg_put_text(p, lease->owner);
}

/* Somebody else holds a part: say who, and until when. */
static mr_status held_by_another(mr_pg *pg, mr_pg_params *p, const mr_lease *lease, mr_error *err) {
    mr_pg_result *r = NULL;
    mr_pg_params_clear(p);
    mr_pg_put_text(p, lease->owner);
    MR_TRY(mr_pg_exec(pg, &holder, p, &r, err));
    mr_pg_row row = mr_pg_row_at(r, 0);
    mr_span owner = mr_pg_text(&row, 0), until = mr_pg_text(&row, 1);
    mr_status s = mr_fail(err, MR_E_CONFLICT,
                          "the broker '%.*s' holds the work in this database until %.*s UTC: stop it, wait until then, or "
                          "use another database",
                          MR_SPAN_ARG(owner), MR_SPAN_ARG(until));
    mr_pg_result_free(&r);
    return s;
}

static mr_status take_rows(mr_pg *pg, mr_pg_params *p, mr_lease *lease, mr_error *err) {
    mr_pg_result *r = NULL;
    mr_pg_put_text(p, lease->owner);
    mr_pg_put_float8(p, (double)lease->seconds);
    MR_TRY(mr_pg_exec(pg, &take, p, &r, err));
    uint32_t n = mr_pg_rows(r);
    mr_status s = MR_OK;
    for (uint32_t i = 0; i < n && s == MR_OK; i++) {
        mr_pg_row row = mr_pg_row_at(r, i);
        int64_t partition = mr_pg_int(&row, 0);
        if (partition >= 0 && partition < MR_PARTITIONS) lease->epoch[partition] = mr_pg_int(&row, 1);
        s = mr_pg_row_status(&row, err);
    }
    mr_pg_result_free(&r);
    if (s == MR_OK && n < MR_PARTITIONS) s = held_by_another(pg, p, lease, err);
    return s;
}

static mr_status draw_attempts(mr_pg *pg, uint64_t *first_attempt, mr_error *err) {
    mr_pg_result *r = NULL;
    MR_TRY(mr_pg_exec(pg, &draw_block, NULL, &r, err));
    mr_pg_row row = mr_pg_row_at(r, 0);
    *first_attempt = (uint64_t)mr_pg_int(&row, 0) << 32;
    mr_status s = mr_pg_row_status(&row, err);
    mr_pg_result_free(&r);
    return s;
}

mr_status mr_lease_take(mr_pg *pg, mr_lease *lease, uint64_t *first_attempt, mr_error *err) {
    mr_pg_params p;
    mr_pg_outcome outcome;
    mr_pg_params_init(&p, NULL, 8192);
    mr_status s = mr_pg_begin(pg, err);
    if (s == MR_OK) s = take_rows(pg, &p, lease, err);
    if (s == MR_OK) s = draw_attempts(pg, first_attempt, err);
    if (s == MR_OK) s = mr_pg_commit(pg, &outcome, err);
    if (s != MR_OK) mr_pg_rollback(pg);
    mr_pg_params_free(&p);
    return s;
}

mr_status mr_lease_renew(mr_pg *pg, const mr_lease *lease, mr_error *err) {
    mr_pg_params p;
    mr_pg_result *r = NULL;
    mr_pg_params_init(&p, NULL, 8192);
    mr_pg_put_int8s(&p, lease->epoch, NULL, MR_PARTITIONS);
    mr_pg_put_text(&p, lease->owner);
    mr_pg_put_float8(&p, (double)lease->seconds);
    mr_status s = mr_pg_exec(pg, &renew, &p, &r, err);
    if (s == MR_OK && mr_pg_changed(r) < MR_PARTITIONS)
        s = mr_fail(err, MR_E_CONFLICT, "another broker has taken this broker's work over");
    mr_pg_result_free(&r);
    mr_pg_params_free(&p);
    return s;
}

void mr_lease_release(mr_pg *pg, const mr_lease *lease) {
    mr_pg_params p;
    mr_error ignored;
    mr_pg_params_init(&p, NULL, 8192);
    mr_pg_put_int8s(&p, lease->epoch, NULL, MR_PARTITIONS);
    mr_pg_put_text(&p, lease->owner);
    (void)!mr_pg_exec(pg, &release, &p, NULL, &ignored);
    mr_pg_params_free(&p);
}
