#include "broker/cli/migrations.h"

#include <limits.h>
#include <stdio.h>

#include "common/hash.h"
#include "common/pack.h"
#include "common/pg.h"

/* The files are found below the root, which is an include path. A new migration is a new row here and in the
 * table; a test compares it with what is in deploy/sql. */
#define SQL(symbol, file)                                                                                    \
    __asm__(".section .rodata\n"                                                                             \
            ".global " #symbol "\n" #symbol ":\n"                                                            \
            ".incbin \"deploy/sql/" file "\"\n"                                                              \
            ".byte 0\n"                                                                                      \
            ".previous\n");                                                                                  \
    extern const char symbol[]
SQL(mr_sql_1_up, "0001_first.up.sql");
SQL(mr_sql_1_down, "0001_first.down.sql");
SQL(mr_sql_2_up, "0002_delivery.up.sql");
SQL(mr_sql_2_down, "0002_delivery.down.sql");
SQL(mr_sql_3_up, "0003_security.up.sql");
SQL(mr_sql_3_down, "0003_security.down.sql");
SQL(mr_sql_4_up, "0004_plural.up.sql");
SQL(mr_sql_4_down, "0004_plural.down.sql");
SQL(mr_sql_5_up, "0005_submit.up.sql");
SQL(mr_sql_5_down, "0005_submit.down.sql");
SQL(mr_sql_6_up, "0006_pipeline.up.sql");
SQL(mr_sql_6_down, "0006_pipeline.down.sql");
SQL(mr_sql_8_up, "0008_damage.up.sql");
SQL(mr_sql_8_down, "0008_damage.down.sql");
SQL(mr_sql_9_up, "0009_intake.up.sql");
SQL(mr_sql_9_down, "0009_intake.down.sql");
SQL(mr_sql_10_up, "0010_partitions.up.sql");
SQL(mr_sql_10_down, "0010_partitions.down.sql");
SQL(mr_sql_11_up, "0011_failure_log.up.sql");
SQL(mr_sql_11_down, "0011_failure_log.down.sql");
SQL(mr_sql_12_up, "0012_failure_once.up.sql");
SQL(mr_sql_12_down, "0012_failure_once.down.sql");
SQL(mr_sql_13_up, "0013_active.up.sql");
SQL(mr_sql_13_down, "0013_active.down.sql");
SQL(mr_sql_14_up, "0014_supersedes.up.sql");
SQL(mr_sql_14_down, "0014_supersedes.down.sql");

const mr_migration mr_migrations[] = {
    {1, "first", mr_sql_1_up, mr_sql_1_down},
    {2, "delivery", mr_sql_2_up, mr_sql_2_down},
    {3, "security", mr_sql_3_up, mr_sql_3_down},
    {4, "plural", mr_sql_4_up, mr_sql_4_down},
    {5, "submit", mr_sql_5_up, mr_sql_5_down},
    {6, "pipeline", mr_sql_6_up, mr_sql_6_down},
    {8, "damage", mr_sql_8_up, mr_sql_8_down},
    {9, "intake", mr_sql_9_up, mr_sql_9_down},
    {10, "partitions", mr_sql_10_up, mr_sql_10_down},
    {11, "failure_log", mr_sql_11_up, mr_sql_11_down},
    {12, "failure_once", mr_sql_12_up, mr_sql_12_down},
    {13, "active", mr_sql_13_up, mr_sql_13_down},
    {14, "supersedes", mr_sql_14_up, mr_sql_14_down},
    {0, NULL, NULL, NULL},
};

static const char table_sql[] = "set client_min_messages = warning;"
                                "create table if not exists public.millrace_migration ("
                                "version integer primary key, name text not null, hash bytea not null,"
                                "applied_at timestamptz not null default now())";
static const mr_pg_statement exists_statement = {
    .name = "migration_table", .sql = "select to_regclass('public.millrace_migration') is not null"};
static const mr_pg_statement lock_statement = {
    .name = "migration_lock", .sql = "select true from (select pg_advisory_xact_lock(5570291833)) l"};
static const mr_pg_statement list_statement = {
    .name = "migration_list",
    .sql = "select version, name, hash, applied_at from public.millrace_migration order by version"};
static const mr_pg_statement insert_statement = {
    .name = "migration_insert",
    .sql = "insert into public.millrace_migration (version, name, hash) values ($1, $2, $3)",
    .count = 3,
    .types = {MR_PG_INT4, MR_PG_TEXT, MR_PG_BYTEA}};
static const mr_pg_statement delete_statement = {
    .name = "migration_delete",
    .sql = "delete from public.millrace_migration where version = $1",
    .count = 1,
    .types = {MR_PG_INT4}};

static const mr_migration *of_version(int64_t version) {
    for (const mr_migration *m = mr_migrations; m->name; m++)
        if (m->version == version) return m;
    return NULL;
}

static mr_hash hash_of(const mr_migration *m) { return mr_hash_of(mr_span_of(m->up)); }

static bool as_applied(const mr_migration *m, mr_span hash) {
    mr_hash h = hash_of(m);
    return mr_span_eq(mr_hash_span(&h), hash);
}

/* ---- what a database has ---- */

static mr_status has_table(mr_pg *pg, bool *has, mr_error *err) {
    mr_pg_result *r;
    MR_TRY(mr_pg_exec(pg, &exists_statement, NULL, &r, err));
    mr_pg_row row = mr_pg_row_at(r, 0);
    *has = mr_pg_bool(&row, 0);
    mr_status status = mr_pg_row_status(&row, err);
    mr_pg_result_free(&r);
    return status;
}

static mr_status check_row(mr_pg_row *row, int *version, mr_error *err) {
    int64_t v = mr_pg_int(row, 0);
    mr_span name = mr_pg_text(row, 1), hash = mr_pg_bytea(row, 2);
    MR_TRY(mr_pg_row_status(row, err));
    const mr_migration *m = of_version(v);
    *version = (int)v;
    if (!m)
        return mr_fail(
            err, MR_E_CONFLICT,
            "the database has migration %lld '%.*s', which this program does not know: use a newer millrace",
            (long long)v, MR_SPAN_ARG(name));
    if (!as_applied(m, hash))
        return mr_fail(err, MR_E_CONFLICT,
                       "migration %lld '%s' was applied in another form than this program has: the schema "
                       "cannot be trusted; "
                       "use the millrace that made it, or a fresh database",
                       (long long)v, m->name);
    return MR_OK;
}

static mr_status current_version(mr_pg *pg, int *version, mr_error *err) {
    bool has;
    mr_pg_result *r;
    *version = 0;
    MR_TRY(has_table(pg, &has, err));
    if (!has) return MR_OK;
    MR_TRY(mr_pg_exec(pg, &list_statement, NULL, &r, err));
    mr_status status = MR_OK;
    for (uint32_t i = 0; status == MR_OK && i < mr_pg_rows(r); i++) {
        mr_pg_row row = mr_pg_row_at(r, i);
        status = check_row(&row, version, err);
    }
    mr_pg_result_free(&r);
    return status;
}

/* ---- one step, inside a transaction that holds the lock ---- */

static mr_status record(mr_pg *pg, const mr_migration *m, bool up, mr_error *err) {
    mr_pg_params p;
    mr_hash hash = hash_of(m);
    mr_pg_params_init(&p, NULL, 64 * 1024);
    mr_pg_put_int4(&p, m->version);
    if (up) {
        mr_pg_put_text(&p, m->name);
        mr_pg_put_bytea(&p, mr_hash_span(&hash));
    }
    mr_status status = mr_pg_exec(pg, up ? &insert_statement : &delete_statement, &p, NULL, err);
    mr_pg_params_free(&p);
    return status;
}

/* The next migration in this direction, or NULL when the target is reached. */
static const mr_migration *next_step(int version, int target, bool up) {
    for (const mr_migration *m = mr_migrations; up && m->name; m++)
        if (m->version > version && m->version <= target) return m;
    return !up && version > target ? of_version(version) : NULL;
}

static mr_status one_step(mr_pg *pg, int target, bool up, bool *moved, mr_error *err) {
    int version;
    mr_pg_outcome outcome;
    *moved = false;
    MR_TRY(mr_pg_exec(pg, &lock_statement, NULL, NULL, err));
    if (up) MR_TRY(mr_pg_run(pg, table_sql, err));
    MR_TRY(current_version(pg, &version, err));
    const mr_migration *m = next_step(version, target, up);
    if (m) {
        if (mr_pg_run(pg, up ? m->up : m->down, err) != MR_OK)
            return mr_fail_in(err, "migration %d '%s' %s", m->version, m->name, up ? "up" : "down");
        MR_TRY(record(pg, m, up, err));
    }
    MR_TRY(mr_pg_commit(pg, &outcome, err));
    *moved = m != NULL;
    return MR_OK;
}

static mr_status migrate(const char *url, int target, bool up, unsigned *done, mr_error *err) {
    mr_pg *pg;
    bool moved = true;
    mr_pg_options o = {.application = "millrace migrate"};
    *done = 0;
    MR_TRY(mr_pg_connect(url, &o, NULL, &pg, err));
    mr_status status = MR_OK;
    while (status == MR_OK && moved) {
        status = mr_pg_begin(pg, err);
        if (status == MR_OK) status = one_step(pg, target, up, &moved, err);
        if (status != MR_OK)
            mr_pg_rollback(pg);
        else
            *done += moved;
    }
    mr_pg_free(&pg);
    return status;
}

mr_status mr_migrate_up(const char *url, int target, unsigned *done, mr_error *err) {
    return migrate(url, target, true, done, err);
}

mr_status mr_migrate_down(const char *url, int target, unsigned *done, mr_error *err) {
    return migrate(url, target, false, done, err);
}

mr_status mr_migrate_version(const char *url, int *version, mr_error *err) {
    mr_pg *pg;
    mr_pg_options o = {.application = "millrace migrate"};
    MR_TRY(mr_pg_connect(url, &o, NULL, &pg, err));
    mr_status status = current_version(pg, version, err);
    mr_pg_free(&pg);
    return status;
}

/* ---- the list ---- */

static void put_row(mr_buf *out, int64_t version, mr_span name, const char *state, const int64_t *at_ns) {
    mr_pack_array(out, 4);
    mr_pack_i64(out, version);
    mr_pack_str(out, name);
    mr_pack_text(out, state);
    if (at_ns)
        mr_pack_i64(out, *at_ns / 1000);
    else
        mr_pack_nil(out);
}

static mr_status put_applied(mr_pg *pg, mr_buf *out, uint32_t *rows, int *last, mr_error *err) {
    bool has;
    mr_pg_result *r;
    MR_TRY(has_table(pg, &has, err));
    if (!has) return MR_OK;
    MR_TRY(mr_pg_exec(pg, &list_statement, NULL, &r, err));
    mr_status status = MR_OK;
    for (uint32_t i = 0; status == MR_OK && i < mr_pg_rows(r); i++) {
        mr_pg_row row = mr_pg_row_at(r, i);
        int64_t version = mr_pg_int(&row, 0), at = mr_pg_time(&row, 3);
        mr_span hash = mr_pg_bytea(&row, 2);
        const mr_migration *m = of_version(version);
        put_row(out, version, mr_pg_text(&row, 1),
                !m                    ? "unknown"
                : as_applied(m, hash) ? "applied"
                                      : "changed",
                &at);
        status = mr_pg_row_status(&row, err);
        *last = (int)version;
        ++*rows;
    }
    mr_pg_result_free(&r);
    return status;
}

mr_status mr_migrate_list(const char *url, mr_buf *out, mr_error *err) {
    static const char *const columns[] = {"version", "name", "state", "applied_at"};
    mr_pg *pg;
    uint32_t rows = 0;
    int last = 0;
    mr_pg_options o = {.application = "millrace migrate"};
    MR_TRY(mr_pg_connect(url, &o, NULL, &pg, err));
    mr_pack_map(out, 2);
    mr_pack_text(out, "columns");
    mr_pack_array(out, 4);
    for (size_t i = 0; i < 4; i++) mr_pack_text(out, columns[i]);
    mr_pack_text(out, "rows");
    size_t at = mr_pack_open_array(out);
    mr_status status = put_applied(pg, out, &rows, &last, err);
    for (const mr_migration *m = mr_migrations; m->name; m++)
        if (m->version > last) put_row(out, m->version, mr_span_of(m->name), "pending", NULL), rows++;
    mr_pack_patch(out, at, rows);
    mr_pg_free(&pg);
    return status;
}
