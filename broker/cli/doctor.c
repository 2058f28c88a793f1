#include "broker/cli/home.h"
#include "broker/cli/migrations.h"
#include "broker/cli/view.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "common/pg.h"
#include "common/redis.h"
#include "broker/cli/term.h"

static const mr_option options[] = {MR_GLOBAL_OPTIONS};

enum { CONNECT_MS = 3000, SPACE_MIB = 512, SLOTS_LEAST = 8, SERVER_LEAST = 150000 };

/* The list in the making: name, ok, text, advice. */
typedef struct report {
    mr_buf pack;
    uint32_t count, broken;
} report;

static void check(report *r, const char *name, bool ok, const char *advice, const char *fmt, ...)
    MR_PRINTF(5, 6);
static void check(report *r, const char *name, bool ok, const char *advice, const char *fmt, ...) {
    char text[1024];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    mr_pack_array(&r->pack, 4);
    mr_pack_text(&r->pack, name);
    mr_pack_bool(&r->pack, ok);
    mr_pack_text(&r->pack, text);
    mr_pack_text(&r->pack, ok ? "" : advice);
    r->count++;
    r->broken += !ok;
}

/* ---- what is here ---- */

static void check_programs(report *r) {
    static const char *const names[] = {"millrace-broker", "millrace-worker"};
    for (size_t i = 0; i < 2; i++) {
        char path[PATH_MAX];
        mr_error err = {0};
        bool ok = mr_proc_beside(names[i], path, &err) == MR_OK;
        check(r, names[i], ok, "build it: cmake --build --preset release", "%s", ok ? path : err.text);
    }
}

static void check_home(report *r, const mr_globals *g) {
    mr_home h;
    mr_error err = {0};
    struct statvfs fs;
    if (mr_home_open(g, &h, &err) != MR_OK) {
        check(r, "home", false, "name a folder with --home", "%s", err.text);
        return;
    }
    if (statvfs(h.path, &fs)) {
        check(r, "home", errno == ENOENT, "choose a folder that can be read with --home", "%s: %s", h.path,
              errno == ENOENT ? "not made yet; 'millrace up' makes it" : strerror(errno));
        return;
    }
    unsigned long long mib = (unsigned long long)fs.f_bavail * fs.f_frsize >> 20;
    check(r, "home", mib >= SPACE_MIB && access(h.path, W_OK) == 0,
          "make room, or choose another folder with --home", "%s: %llu MiB free%s", h.path, mib,
          access(h.path, W_OK) ? ", not writable" : "");
}

/* ---- database ---- */

static const mr_pg_statement facts = {
    .name = "doctor",
    .sql = "select current_setting('fsync') = 'on' and current_setting('full_page_writes') = 'on',"
           " extract(epoch from clock_timestamp())::float8,"
           " current_setting('max_connections')::int8 - (select count(*) from pg_stat_activity where "
           "backend_type ="
           " 'client backend')::int8, current_setting('default_transaction_read_only') = 'on' or "
           "pg_is_in_recovery()"};

static double wall_seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void check_facts(report *r, mr_pg *pg) {
    mr_pg_result *result;
    mr_error err = {0};
    double before = wall_seconds();
    if (mr_pg_exec(pg, &facts, NULL, &result, &err) != MR_OK) {
        check(r, "database settings", false, "see the server's log", "%s", err.text);
        return;
    }
    double now = (before + wall_seconds()) / 2;
    mr_pg_row row = mr_pg_row_at(result, 0);
    bool durable = mr_pg_bool(&row, 0);
    double apart = mr_pg_float(&row, 1) - now;
    int64_t slots = mr_pg_int(&row, 2);
    bool read_only = mr_pg_bool(&row, 3);
    mr_pg_result_free(&result);
    check(r, "database durability", durable,
          "set fsync and full_page_writes to on: without them a crash loses what was acknowledged",
          "fsync and full_page_writes are %son", durable ? "" : "not both ");
    check(r, "database connections", slots >= SLOTS_LEAST,
          "end idle connections of others or raise max_connections", "%lld free", (long long)slots);
    check(r, "database writable", !read_only, "connect to the primary server", "%s",
          read_only ? "read-only" : "yes");
    check(r, "clock", fabs(apart) < 2, "keep both clocks right (NTP): times in tables come from the database",
          "the database's clock is %.3f s %s", fabs(apart), apart < 0 ? "behind" : "ahead");
}

static void check_schema(report *r, const char *url) {
    int version, newest = 0;
    mr_error err = {0};
    for (const mr_migration *m = mr_migrations; m->name; m++) newest = m->version;
    if (mr_migrate_version(url, &version, &err) != MR_OK)
        check(r, "schema", false, "use the millrace that made this database, or a fresh database", "%s",
              err.text);
    else
        check(r, "schema", version == newest, "run 'millrace migrate up'", "version %d of %d", version,
              newest);
}

static void check_database(report *r, const mr_globals *g) {
    char url[1024];
    mr_pg *pg;
    mr_error err = {0};
    mr_buf where;
    mr_pg_options o = {
        .application = "millrace doctor", .connect_timeout_ms = CONNECT_MS, .reply_timeout_ms = CONNECT_MS};
    if (mr_home_database(g, url, &err) != MR_OK) {
        check(r, "database", false, "set MILLRACE_DATABASE_URL, or start a private one with 'millrace up'",
              "%s", err.text);
        return;
    }
    if (mr_pg_connect(url, &o, NULL, &pg, &err) != MR_OK) {
        check(r, "database", false, "start it, or correct MILLRACE_DATABASE_URL", "%s", err.text);
        return;
    }
    mr_buf_init(&where, NULL, 4096);
    mr_pg_describe(url, &where);
    int version = mr_pg_server_version(pg);
    check(r, "database", version >= SERVER_LEAST, "use PostgreSQL 15 or newer", "PostgreSQL %d.%d at %.*s",
          version / 10000, version % 10000, (int)where.len, (const char *)where.data);
    mr_buf_free(&where);
    check_facts(r, pg);
    mr_pg_free(&pg);
    check_schema(r, url);
}

/* ---- cache and broker ---- */

static void check_cache(report *r, const mr_globals *g) {
    mr_home h = {0};
    mr_redis *redis;
    mr_error err = {0};
    const char *url = g->redis_url;
    if (!*url && mr_home_open(g, &h, &err) == MR_OK) url = h.redis_url;
    if (!*url) {
        check(r, "cache", true, "", "no Redis is set; everything works without it, only slower");
        return;
    }
    mr_status status = mr_redis_new(url, NULL, NULL, &redis, &err);
    if (status == MR_OK) {
        status = mr_redis_ping(redis, mr_now_ms() * 1000000, &err);
        mr_redis_free(&redis);
    }
    check(r, "cache", status == MR_OK,
          "start Redis or correct MILLRACE_REDIS_URL; until then everything is slower", "%s",
          status == MR_OK ? "Redis answers" : err.text);
}

static void check_workers(report *r, mr_client *c) {
    mr_span body;
    mr_unpack map, v;
    uint64_t count = 0;
    mr_error err = {0};
    if (mr_client_call(c, MR_CMD_STATUS, (mr_span){0}, CONNECT_MS, &body, &err) != MR_OK) {
        check(r, "workers", false, "see the broker's log", "%s", err.text);
        return;
    }
    mr_unpack_init(&map, body);
    if (mr_unpack_find(&map, "workers", &v) == MR_OK && mr_unpack_find(&v, "count", &v) == MR_OK &&
        mr_unpack_u64(&v, UINT64_MAX, &count, &err) != MR_OK)
        count = 0;
    check(r, "workers", count > 0, "start workers: millrace-worker --broker ADDRESS", "%llu connected",
          (unsigned long long)count);
}

/* What the broker sees of its own database and cache, which may be others than ours. */
static void add_brokers_view(report *r, mr_client *c) {
    mr_span body;
    mr_unpack map, v;
    mr_list list;
    mr_error err = {0};
    mr_arena *arena = mr_arena_new(NULL, 8 << 20);
    if (!arena) return;
    if (mr_client_call(c, MR_CMD_DOCTOR, (mr_span){0}, 2 * CONNECT_MS, &body, &err) != MR_OK) {
        check(r, "broker's view", false, "see the broker's log", "%s", err.text);
    } else {
        mr_unpack_init(&map, body);
        bool found = mr_unpack_find(&map, "checks", &v) == MR_OK &&
                     mr_list_read((mr_span){v.at, (size_t)(v.end - v.at)}, arena, &list, &err) == MR_OK;
        for (uint32_t i = 0; found && i < list.rows; i++) {
            mr_buf cells[4];
            static const char *const columns[] = {"name", "ok", "text", "advice"};
            for (size_t k = 0; k < 4; k++) {
                mr_buf_init(&cells[k], NULL, 4096);
                mr_list_text(&list, i, columns[k], &cells[k]);
                mr_buf_put(&cells[k], "", 1);
            }
            char name[128];
            snprintf(name, sizeof name, "broker: %s", (const char *)cells[0].data);
            check(r, name, !strcmp((const char *)cells[1].data, "yes"), (const char *)cells[3].data, "%s",
                  (const char *)cells[2].data);
            for (size_t k = 0; k < 4; k++) mr_buf_free(&cells[k]);
        }
    }
    mr_arena_free(&arena);
}

static void check_broker(report *r, const mr_cli *cli) {
    mr_client *c;
    mr_error err = {0};
    if (mr_client_connect(cli, &c, &err) != MR_OK) {
        check(r, "broker", false, "start one with 'millrace up', or set MILLRACE_BROKER", "%s", err.text);
        return;
    }
    check(r, "broker", true, "", "answers at %s", mr_client_address(c));
    check_workers(r, c);
    add_brokers_view(r, c);
    mr_client_close(&c);
}

static mr_status run(mr_cli *cli, const void *config, mr_error *err) {
    (void)config;
    static const char *const columns[] = {"name", "ok", "text", "advice"};
    report r = {0};
    mr_buf_init(&r.pack, NULL, 1 << 20);
    mr_pack_map(&r.pack, 2);
    mr_pack_text(&r.pack, "columns");
    mr_pack_array(&r.pack, 4);
    for (size_t i = 0; i < 4; i++) mr_pack_text(&r.pack, columns[i]);
    mr_pack_text(&r.pack, "rows");
    size_t at = mr_pack_open_array(&r.pack);
    check_programs(&r);
    check_home(&r, cli->globals);
    check_database(&r, cli->globals);
    check_cache(&r, cli->globals);
    check_broker(&r, cli);
    mr_pack_patch(&r.pack, at, r.count);
    mr_status status = mr_view(cli, mr_buf_span(&r.pack), err);
    mr_buf_free(&r.pack);
    if (status == MR_OK && r.broken)
        return mr_fail(err, MR_E_UNAVAILABLE, "%u of %u checks failed; the last column says what to do",
                       r.broken, r.count);
    return status;
}

const mr_cli_command mr_cli_doctor = {
    .name = "doctor",
    .summary = "check every part and say what to do about what is broken",
    .detail = "Checks the programs, the home folder, the database (reachable, durable, migrated, clock), the "
              "cache, the\n"
              "broker and its workers. The exit code is 0 only when nothing is broken.",
    .example = "millrace doctor\n",
    .options = options,
    .config_size = sizeof(mr_globals),
    .run = run,
};
