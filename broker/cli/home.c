#include "broker/cli/home.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/file.h"

enum { GRACE_MS = 20000, SERVICES_MS = 120000 };
static const char addresses[] = "addresses";

/* ---- the folder ---- */

static mr_status find_home(const mr_globals *g, char out[MR_OPTION_TEXT], mr_error *err) {
    const char *data = getenv("XDG_DATA_HOME"), *user = getenv("HOME");
    int n;
    if (g->home[0] == '/')
        n = snprintf(out, MR_OPTION_TEXT, "%s", g->home);
    else if (g->home[0]) {
        char here[PATH_MAX];
        if (!getcwd(here, sizeof here))
            return mr_fail(err, MR_E_IO, "cannot tell the working folder: %s", strerror(errno));
        n = snprintf(out, MR_OPTION_TEXT, "%s/%s", here, g->home);
    } else if (data && data[0] == '/')
        n = snprintf(out, MR_OPTION_TEXT, "%s/millrace", data);
    else if (user && user[0] == '/')
        n = snprintf(out, MR_OPTION_TEXT, "%s/.local/share/millrace", user);
    else
        return mr_fail(err, MR_E_INVALID, "HOME is not set: name a folder with --home");
    if (n < 0 || n >= MR_OPTION_TEXT)
        return mr_fail(err, MR_E_LIMIT, "the path of the home folder is too long");
    return MR_OK;
}

mr_status mr_home_file(const mr_home *h, const char *folder, const char *name, char out[PATH_MAX],
                       mr_error *err) {
    int n = snprintf(out, PATH_MAX, "%s/%s/%s", h->path, folder, name);
    return n > 0 && n < PATH_MAX ? MR_OK : mr_fail(err, MR_E_LIMIT, "the path %s is too long", h->path);
}

static void take_line(mr_home *h, const char *line, size_t n) {
    static const char *const names[] = {"MILLRACE_DATABASE_URL=", "MILLRACE_REDIS_URL=", "MILLRACE_BROKER="};
    char *const to[] = {h->database_url, h->redis_url, h->broker};
    const size_t room[] = {sizeof h->database_url, sizeof h->redis_url, sizeof h->broker};
    if (n > 7 && !strncmp(line, "export ", 7)) line += 7, n -= 7;
    for (size_t i = 0; i < 3; i++) {
        size_t k = strlen(names[i]);
        if (n < k || strncmp(line, names[i], k)) continue;
        const char *value = line + k;
        size_t len = n - k;
        if (len >= 2 && (value[0] == '\'' || value[0] == '"') && value[len - 1] == value[0])
            value++, len -= 2;
        snprintf(to[i], room[i], "%.*s", (int)(len < room[i] ? len : room[i] - 1), value);
    }
}

static void take_lines(mr_home *h, mr_span text) {
    for (size_t at = 0; at < text.len;) {
        const char *line = (const char *)text.data + at;
        const char *end = memchr(line, '\n', text.len - at);
        size_t n = end ? (size_t)(end - line) : text.len - at;
        take_line(h, line, n);
        at += n + 1;
    }
}

mr_status mr_home_open(const mr_globals *g, mr_home *out, mr_error *err) {
    *out = (mr_home){0};
    char path[PATH_MAX];
    MR_TRY(find_home(g, out->path, err));
    MR_TRY(mr_home_file(out, "run", addresses, path, err));
    mr_buf text;
    mr_buf_init(&text, NULL, 64 * 1024);
    if (mr_file_read(path, 64 * 1024, &text, NULL) == MR_OK) take_lines(out, mr_buf_span(&text));
    mr_buf_free(&text);
    return MR_OK;
}

mr_status mr_home_make(const mr_home *h, mr_error *err) {
    char path[PATH_MAX];
    static const char *const folders[] = {"run", "log"};
    MR_TRY(mr_make_dirs(h->path, 0755, err));
    for (size_t i = 0; i < 2; i++) {
        MR_TRY(mr_home_file(h, folders[i], "", path, err));
        MR_TRY(mr_make_dirs(path, 0755, err));
    }
    return MR_OK;
}

mr_status mr_home_remember(const mr_home *h, mr_error *err) {
    char path[PATH_MAX], text[4096];
    MR_TRY(mr_home_file(h, "run", addresses, path, err));
    int n =
        snprintf(text, sizeof text, "MILLRACE_DATABASE_URL=%s\nMILLRACE_REDIS_URL=%s\nMILLRACE_BROKER=%s\n",
                 h->database_url, h->redis_url, h->broker);
    return mr_file_write(path, (mr_span){(uint8_t *)text, (size_t)n}, 0600, err);
}

void mr_home_forget(const mr_home *h) {
    char path[PATH_MAX];
    if (mr_home_file(h, "run", addresses, path, NULL) == MR_OK) unlink(path);
}

/* ---- its processes ---- */

pid_t mr_home_pid(const mr_home *h, const char *name) {
    char file[64], path[PATH_MAX];
    snprintf(file, sizeof file, "%s.pid", name);
    return mr_home_file(h, "run", file, path, NULL) == MR_OK ? mr_pid_alive(path) : 0;
}

unsigned mr_home_workers(const mr_home *h) {
    unsigned n = 0;
    for (int i = 1; i <= MR_WORKERS_MAX; i++) {
        char name[32];
        snprintf(name, sizeof name, "worker-%d", i);
        n += mr_home_pid(h, name) != 0;
    }
    return n;
}

void mr_home_last_line(const mr_home *h, const char *name, char out[256]) {
    char file[64], path[PATH_MAX], tail[2048];
    out[0] = 0;
    snprintf(file, sizeof file, "%s.log", name);
    if (mr_home_file(h, "log", file, path, NULL) != MR_OK) return;
    FILE *f = fopen(path, "re");
    if (!f) return;
    if (fseek(f, -(long)(sizeof tail - 1), SEEK_END)) rewind(f);
    size_t n = fread(tail, 1, sizeof tail - 1, f);
    fclose(f);
    while (n && (tail[n - 1] == '\n' || tail[n - 1] == '\r')) n--;
    tail[n] = 0;
    char *line = strrchr(tail, '\n');
    snprintf(out, 256, "%.255s", line ? line + 1 : tail);
}

mr_status mr_home_services(mr_home *h, const char *verb, mr_error *err) {
    char script[PATH_MAX];
    int code;
    MR_TRY(mr_proc_share("services", script, err));
    const char *argv[] = {script, verb, h->path, NULL};
    mr_buf text;
    mr_buf_init(&text, NULL, 64 * 1024);
    mr_status status = mr_proc_capture(argv, SERVICES_MS, false, &text, &code, err);
    if (status == MR_OK && code)
        status = mr_fail(err, MR_E_UNAVAILABLE,
                         "the private database and cache did not %s (%s ended with %d); see %s/log", verb,
                         script, code, h->path);
    if (status == MR_OK) take_lines(h, mr_buf_span(&text));
    mr_buf_free(&text);
    return status;
}

static void stop_one(const mr_home *h, const char *name, unsigned *stopped) {
    char file[64], path[PATH_MAX];
    pid_t pid = mr_home_pid(h, name);
    if (pid && mr_pid_end(pid, GRACE_MS))
        fprintf(stderr, "millrace: %s did not stop in time and was killed\n", name);
    snprintf(file, sizeof file, "%s.pid", name);
    if (mr_home_file(h, "run", file, path, NULL) == MR_OK && unlink(path) == 0) ++*stopped;
}

static void stop_workers(const mr_home *h, unsigned *stopped) {
    for (int ask = 1; ask >= 0; ask--) /* all are asked before any is waited for */
        for (int i = 1; i <= MR_WORKERS_MAX; i++) {
            char name[32];
            snprintf(name, sizeof name, "worker-%d", i);
            pid_t pid = ask ? mr_home_pid(h, name) : 0;
            if (pid) kill(pid, SIGTERM);
            if (!ask) stop_one(h, name, stopped);
        }
}

mr_status mr_home_stop(mr_home *h, unsigned *stopped, mr_error *err) {
    char marker[PATH_MAX];
    *stopped = 0;
    stop_workers(h, stopped);
    stop_one(h, "broker", stopped);
    MR_TRY(mr_home_file(h, "run", "private", marker, err));
    if (access(marker, F_OK) == 0) {
        MR_TRY(mr_home_services(h, "stop", err));
        unlink(marker);
        *stopped += 2;
    }
    mr_home_forget(h);
    return MR_OK;
}

mr_status mr_home_database(const mr_globals *g, char out[1024], mr_error *err) {
    mr_home h;
    if (g->database_url[0]) {
        snprintf(out, 1024, "%s", g->database_url);
        return MR_OK;
    }
    MR_TRY(mr_home_open(g, &h, err));
    if (!h.database_url[0])
        return mr_fail(
            err, MR_E_UNAVAILABLE,
            "no database is known: set MILLRACE_DATABASE_URL, or start a private one with 'millrace up'");
    snprintf(out, 1024, "%s", h.database_url);
    return MR_OK;
}
