#include "broker/cli/home.h"
#include "broker/cli/migrations.h"
#include "broker/cli/term.h"
#include "broker/cli/view.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "common/pg.h"

typedef struct settings {
    mr_globals globals;
    int64_t workers;
    bool foreground;
} settings;

static const mr_option options[] = {
    {.name = "workers", .type = MR_OPT_INT, .offset = offsetof(settings, workers), .def = "4", .min = 1,
     .max = MR_WORKERS_MAX, .unit = "processes", .help = "workers to start", .flag = 'w'},
    {.name = "foreground", .type = MR_OPT_BOOL, .offset = offsetof(settings, foreground), .flag = 'f',
     .help = "stay until Ctrl-C, then stop everything"},
    MR_GLOBAL_OPTIONS,
};

enum { BROKER_MS = 20000, WORKERS_MS = 60000, HELLO_MS = 250, STEP_MS = 50 };

/* ---- servers ---- */

static mr_status note_private(const mr_home *h, mr_error *err) {
    char path[PATH_MAX];
    MR_TRY(mr_home_file(h, "run", "private", path, err));
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0) return mr_fail(err, MR_E_IO, "cannot write %s: %s", path, strerror(errno));
    close(fd);
    return MR_OK;
}

static mr_status start_services(mr_home *h, const mr_globals *g, mr_error *err) {
    char script[PATH_MAX];
    h->database_url[0] = h->redis_url[0] = 0;
    if (!g->database_url[0] || !g->redis_url[0]) {
        MR_TRY(mr_proc_share("services", script, err));
        MR_TRY(note_private(h, err)); /* before: what is started in half is stopped too */
        MR_TRY(mr_home_services(h, "start", err));
    }
    if (g->database_url[0]) snprintf(h->database_url, sizeof h->database_url, "%s", g->database_url);
    if (g->redis_url[0]) snprintf(h->redis_url, sizeof h->redis_url, "%s", g->redis_url);
    if (h->database_url[0]) return MR_OK;
    return mr_fail(err, MR_E_UNAVAILABLE, "the private database did not tell its address; see %s/log",
                   h->path);
}

/* ---- programs ---- */

static mr_status start_program(const mr_home *h, const mr_globals *g, const char *program, const char *name,
                               const char *const *arguments, mr_error *err) {
    char path[PATH_MAX], log[PATH_MAX], pid_file[PATH_MAX], file[64], database[1100], redis[1100],
        broker[300];
    const char *argv[8] = {path};
    pid_t pid;
    size_t n = 1;
    MR_TRY(mr_proc_beside(program, path, err));
    for (size_t i = 0; arguments[i]; i++) argv[n++] = arguments[i];
    if (g->config[0]) argv[n++] = "--config", argv[n++] = g->config;
    snprintf(database, sizeof database, "MILLRACE_DATABASE_URL=%s", h->database_url);
    snprintf(redis, sizeof redis, "MILLRACE_REDIS_URL=%s", h->redis_url);
    snprintf(broker, sizeof broker, "MILLRACE_BROKER=%s", h->broker);
    const char *extra[] = {database, redis, broker, NULL};
    snprintf(file, sizeof file, "%s.log", name);
    MR_TRY(mr_home_file(h, "log", file, log, err));
    MR_TRY(mr_proc_start(argv, extra, log, &pid, err));
    snprintf(file, sizeof file, "%s.pid", name);
    MR_TRY(mr_home_file(h, "run", file, pid_file, err));
    return mr_pid_write(pid_file, pid, err);
}

static mr_status ended(const mr_home *h, const char *name, mr_error *err) {
    char line[256];
    mr_home_last_line(h, name, line);
    return mr_fail(err, MR_E_UNAVAILABLE, "%s ended at once; the last line of %s/log/%s.log: %.200s", name,
                   h->path, name, line);
}

/* A number of the broker's status, group.name. */
static mr_status status_number(mr_client *c, const char *group, const char *name, uint64_t *out,
                               mr_error *err) {
    mr_span body;
    mr_unpack map, v;
    MR_TRY(mr_client_call(c, MR_CMD_STATUS, (mr_span){0}, 5000, &body, err));
    mr_unpack_init(&map, body);
    if (mr_unpack_find(&map, group, &v) == MR_OK && mr_unpack_find(&v, name, &v) == MR_OK &&
        mr_unpack_u64(&v, UINT64_MAX, out, NULL) == MR_OK)
        return MR_OK;
    return mr_fail(err, MR_E_PROTOCOL, "the broker's status does not tell %s.%s", group, name);
}

/* The broker that answers is ours unless it has been up for longer than ours can be. */
static mr_status is_ours(const mr_home *h, mr_client *c, uint64_t started_ms, mr_error *err) {
    uint64_t uptime;
    MR_TRY(status_number(c, "broker", "uptime_ms", &uptime, err));
    if (uptime <= mr_now_ms() - started_ms) return MR_OK;
    return mr_fail(err, MR_E_EXISTS,
                   "another broker answers at %s: stop it, or choose another address with --broker",
                   h->broker);
}

static mr_status start_broker(const mr_home *h, const mr_globals *g, mr_stop *stop, mr_error *err) {
    const char *arguments[] = {"--listen", h->broker, NULL};
    uint64_t started = mr_now_ms(), until = started + BROKER_MS;
    MR_TRY(start_program(h, g, "millrace-broker", "broker", arguments, err));
    for (;;) {
        mr_client *c;
        mr_status status = mr_client_open_with(g, h->broker, HELLO_MS, &c, err);
        if (status == MR_OK) {
            status = is_ours(h, c, started, err);
            mr_client_close(&c);
            return status;
        }
        if (!mr_home_pid(h, "broker")) return ended(h, "broker", err);
        if (status != MR_E_UNAVAILABLE) return status;
        if (mr_now_ms() >= until)
            return mr_fail(err, MR_E_TIMEOUT,
                           "the broker did not answer at %s within %d s; see %s/log/broker.log", h->broker,
                           BROKER_MS / 1000, h->path);
        if (mr_stop_asked(stop)) return mr_fail(err, MR_E_INTERRUPTED, "interrupted");
    }
}

static mr_status count_workers(const mr_home *h, const mr_globals *g, uint64_t *count, mr_error *err) {
    mr_client *c;
    MR_TRY(mr_client_open_with(g, h->broker, 2000, &c, err));
    mr_status status = status_number(c, "workers", "count", count, err);
    mr_client_close(&c);
    return status;
}

static mr_status start_workers(const mr_home *h, const mr_globals *g, int64_t workers, mr_stop *stop,
                               mr_error *err) {
    for (int64_t i = 1; i <= workers; i++) {
        char name[32];
        snprintf(name, sizeof name, "worker-%d", (int)i);
        const char *arguments[] = {"--broker", h->broker, "--name", name, NULL};
        MR_TRY(start_program(h, g, "millrace-worker", name, arguments, err));
    }
    uint64_t until = mr_now_ms() + WORKERS_MS, count = 0;
    for (;;) {
        for (int64_t i = 1; i <= workers; i++) {
            char name[32];
            snprintf(name, sizeof name, "worker-%d", (int)i);
            if (!mr_home_pid(h, name)) return ended(h, name, err);
        }
        MR_TRY(count_workers(h, g, &count, err));
        if (count >= (uint64_t)workers) return MR_OK;
        if (mr_now_ms() >= until)
            return mr_fail(err, MR_E_TIMEOUT, "only %llu of %lld workers joined within %d s; see %s/log",
                           (unsigned long long)count, (long long)workers, WORKERS_MS / 1000, h->path);
        if (mr_stop_wait(stop, STEP_MS)) return mr_fail(err, MR_E_INTERRUPTED, "interrupted");
    }
}

/* ---- the command ---- */

static mr_status print_addresses(const mr_cli *cli, const mr_home *h, int64_t workers, mr_error *err) {
    mr_buf pack, text;
    mr_buf_init(&pack, NULL, 1 << 16);
    mr_buf_init(&text, NULL, 1 << 16);
    mr_pack_map(&pack, 5);
    mr_pack_text(&pack, "broker");
    mr_pack_text(&pack, h->broker);
    mr_pack_text(&pack, "workers");
    mr_pack_u64(&pack, (uint64_t)workers);
    mr_pack_text(&pack, "database");
    mr_pg_describe(h->database_url, &text);
    mr_pack_str(&pack, mr_buf_span(&text));
    mr_pack_text(&pack, "home");
    mr_pack_text(&pack, h->path);
    mr_buf_clear(&text);
    mr_buf_printf(&text, "%s/log", h->path);
    mr_pack_text(&pack, "logs");
    mr_pack_str(&pack, mr_buf_span(&text));
    mr_status status = mr_view(cli, mr_buf_span(&pack), err);
    mr_buf_free(&pack);
    mr_buf_free(&text);
    return status;
}

static mr_status start_all(mr_cli *cli, mr_home *h, const settings *s, mr_stop *stop, mr_error *err) {
    unsigned migrated;
    snprintf(h->broker, sizeof h->broker, "%s", s->globals.broker);
    MR_TRY(start_services(h, &s->globals, err));
    MR_TRY(mr_home_remember(h, err));
    MR_TRY(mr_migrate_up(h->database_url, INT_MAX, &migrated, err));
    if (migrated) fprintf(stderr, "%u migration%s applied\n", migrated, migrated == 1 ? "" : "s");
    MR_TRY(start_broker(h, &s->globals, stop, err));
    MR_TRY(start_workers(h, &s->globals, s->workers, stop, err));
    return print_addresses(cli, h, s->workers, err);
}

static mr_status stay(const mr_home *h, mr_stop *stop, mr_error *err) {
    fputs("running; Ctrl-C stops everything\n", stderr);
    while (!mr_stop_wait(stop, 1000))
        if (!mr_home_pid(h, "broker")) return ended(h, "broker", err);
    return MR_OK;
}

/* One `up` at a time: the lock goes with the process. */
static mr_status lock_home(const mr_home *h, int *fd, mr_error *err) {
    char path[PATH_MAX];
    MR_TRY(mr_home_file(h, "run", "lock", path, err));
    *fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (*fd < 0) return mr_fail(err, MR_E_DENIED, "cannot write to %s: %s", path, strerror(errno));
    if (flock(*fd, LOCK_EX | LOCK_NB) == 0) return MR_OK;
    close(*fd);
    return mr_fail(err, MR_E_EXISTS, "another 'millrace up' has %s: stop it, or use another --home", h->path);
}

static mr_status running_already(mr_cli *cli, const mr_home *h, const settings *s, mr_error *err) {
    unsigned workers = mr_home_workers(h);
    if (s->foreground)
        return mr_fail(err, MR_E_EXISTS, "%s is running already: 'millrace down' stops it", h->path);
    fprintf(stderr, "%s is running already, with %u worker%s; 'millrace down' stops it\n", h->path, workers,
            workers == 1 ? "" : "s");
    return print_addresses(cli, h, workers, err);
}

static mr_status start_or_undo(mr_cli *cli, mr_home *h, const settings *s, mr_error *err) {
    mr_stop stop;
    unsigned stopped;
    MR_TRY(mr_stop_init(&stop, err));
    mr_status status = start_all(cli, h, s, &stop, err);
    bool good = status == MR_OK;
    if (good && s->foreground) status = stay(h, &stop, err);
    if (!good || s->foreground) {
        if (s->foreground && good) fputs("stopping\n", stderr);
        mr_error ignored;
        mr_status undone = mr_home_stop(h, &stopped, &ignored);
        if (undone != MR_OK) fprintf(stderr, "millrace: %s\n", ignored.text);
    }
    mr_stop_close(&stop);
    return status;
}

static mr_status run(mr_cli *cli, const void *config, mr_error *err) {
    const settings *s = config;
    mr_home home;
    int lock;
    MR_TRY(mr_home_open(cli->globals, &home, err));
    MR_TRY(mr_home_make(&home, err));
    if (mr_home_pid(&home, "broker")) return running_already(cli, &home, s, err);
    MR_TRY(lock_home(&home, &lock, err));
    unsigned left = mr_home_workers(&home), stopped; /* of a broker that died */
    mr_status status = left ? mr_home_stop(&home, &stopped, err) : MR_OK;
    if (status == MR_OK) status = start_or_undo(cli, &home, s, err);
    close(lock);
    return status;
}

const mr_cli_command mr_cli_up = {
    .name = "up",
    .summary = "start a private PostgreSQL and Redis, the broker and workers",
    .detail =
        "Everything lives in one home folder: data, logs and pid files. Where MILLRACE_DATABASE_URL or\n"
        "MILLRACE_REDIS_URL is set, that server is used instead of a private one. The schema is migrated. "
        "When\n"
        "anything does not start, what did is stopped again. A second start on the same folder goes on with "
        "what\n"
        "is there.",
    .example = "millrace up --workers 2 --home ./try\n",
    .options = options,
    .config_size = sizeof(settings),
    .run = run,
};
