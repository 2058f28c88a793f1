#include "tests/unit/services.h"
#include "common/clock.h"
#include "common/pg.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *from_environment(const char *name) {
    const char *url = getenv(name);
    return url && *url ? url : NULL;
}

const char *services_database_url(void) { return from_environment("MILLRACE_TEST_DATABASE_URL"); }
const char *services_redis_url(void) { return from_environment("MILLRACE_TEST_REDIS_URL"); }

/* The same server with another database: the path of a URL, or one more word of "host=... dbname=...". */
static void with_database(const char *url, const char *name, char out[SERVICES_URL]) {
    const char *authority = strstr(url, "://"), *slash = authority ? strchr(authority + 3, '/') : NULL;
    const char *query = authority ? strchr(url, '?') : NULL;
    size_t head = slash ? (size_t)(slash - url) : query ? (size_t)(query - url) : strlen(url);
    if (!authority)
        snprintf(out, SERVICES_URL, "%s dbname=%s", url, name);
    else
        snprintf(out, SERVICES_URL, "%.*s/%s%s", (int)head, url, name, query ? query : "");
}

static mr_status run_on_server(const char *sql, mr_error *err) {
    mr_pg *pg;
    MR_TRY(mr_pg_connect(services_database_url(), NULL, NULL, &pg, err));
    mr_status status = mr_pg_run(pg, sql, err);
    mr_pg_free(&pg);
    return status;
}

mr_status services_database_new(char url[SERVICES_URL], mr_error *err) {
    char name[64], sql[128];
    if (!services_database_url()) return mr_fail(err, MR_E_NOT_FOUND, "there is no test database");
    snprintf(name, sizeof name, "millrace_test_%d_%llu", (int)getpid(),
             (unsigned long long)mr_clock_monotonic_ns());
    snprintf(sql, sizeof sql, "CREATE DATABASE %s TEMPLATE template0 ENCODING 'UTF8'", name);
    MR_TRY(run_on_server(sql, err));
    with_database(services_database_url(), name, url);
    return MR_OK;
}

void services_database_drop(const char *url) {
    const char *name = strstr(url, "millrace_test_");
    char sql[128];
    if (!name) return;
    snprintf(sql, sizeof sql, "DROP DATABASE IF EXISTS %.*s WITH (FORCE)", (int)strcspn(name, "?& "), name);
    if (run_on_server(sql, NULL) != MR_OK) fprintf(stderr, "the test database %s stays behind\n", name);
}
