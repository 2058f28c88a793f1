/* The rules of the tree: which folder may include which, which file alone may include an outside library,
 * what the pure core of the broker may not touch, and how long a file may be. Read from the sources
 * themselves. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <ctype.h>
#include <fts.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LINES_MAX = 800 };

/* A list of words ends with NULL. A word that ends with '/' means all below it; with '*', all that start so.
 */
typedef const char *const *words;
#define WORDS(...)                                                                                           \
    (const char *const[]) { __VA_ARGS__, NULL }

/* Where a folder's own includes may lie. The first row that fits a file holds for it. */
static const struct layer {
    const char *folder;
    words may;
} layers[] = {
    {"common/", WORDS("common/")},
    {"proto/", WORDS("common/", "proto/")},
    {"broker/core/", WORDS("common/", "proto/", "broker/core/")},
    {"broker/io/", WORDS("common/", "proto/", "broker/core/", "broker/io/")},
    {"broker/cli/", WORDS("common/", "proto/", "broker/cli/")},
    {"worker/kit/", WORDS("common/", "worker/kit/", "worker/component.h")},
    {"worker/learners/", WORDS("worker/kit/", "worker/component.h")},
    {"worker/analyzers/", WORDS("worker/kit/", "worker/component.h")},
    {"worker/validators/", WORDS("worker/kit/", "worker/component.h")},
    {"worker/component.h", WORDS("common/")},
    {"worker/core/", WORDS("common/", "proto/", "worker/core/", "worker/kit/", "worker/component.h")},
    {"broker/", WORDS("common/", "proto/", "broker/")},
};

/* An outside library's headers, and the files that may include them. */
static const struct adapter {
    words headers, files;
} adapters[] = {
    {WORDS("zmq.h", "czmq.h", "zmq*"), WORDS("common/net.c")},
    {WORDS("libpq-fe.h", "libpq/", "postgres*"), WORDS("common/pg.c", "common/pg_*")},
    {WORDS("hiredis/"), WORDS("common/redis.c")},
    {WORDS("jansson.h"), WORDS("common/json.c", "common/json_*")},
    {WORDS("yaml.h"), WORDS("common/yaml.c")},
    {WORDS("zstd.h", "zstd_errors.h", "zdict.h"), WORDS("common/zstd.c")},
    {WORDS("sodium.h", "sodium/", "xxhash.h"), WORDS("common/hash.c")},
    {WORDS("unicode/"), WORDS("common/text*", "common/unicode*")},
    {WORDS("msgpack.h", "msgpack/"), WORDS("common/pack.c")},
    {WORDS("argp.h"), WORDS("common/argv.c")},
    {WORDS("cblas.h", "lapacke.h", "lapack.h", "openblas*"), WORDS("worker/kit/linalg.c")},
};

/* The broker's core has no clock, socket, thread, file, process or random source: no header that would give
 * it one, and of stdio.h and stdlib.h only what works on memory. */
static const char *const core_may_not[] = {
    "time.h",       "signal.h",    "unistd.h",       "fcntl.h",       "poll.h",
    "pthread.h",    "threads.h",   "spawn.h",        "dirent.h",      "netdb.h",
    "semaphore.h",  "sys/",        "netinet/",       "arpa/",         "linux/",
    "common/net.h", "common/pg.h", "common/redis.h", "common/file.h", "common/clock.h",
    "common/log.h", NULL};
static const char *const core_may_not_call[] = {
    "printf", "fprintf",    "vprintf", "vfprintf", "puts",    "fputs",  "putchar",
    "fopen",  "fwrite",     "fread",   "perror",   "getenv",  "system", "rand",
    "random", "arc4random", "malloc",  "calloc",   "realloc", "free",   NULL};

static const char *const folders[] = {"broker", "common", "proto", "tests", "worker"};

static bool fits(const char *pattern, const char *text) {
    size_t n = strlen(pattern);
    char last = pattern[n - 1];
    if (last == '/') return !strncmp(pattern, text, n);
    if (last == '*') return !strncmp(pattern, text, n - 1);
    return !strcmp(pattern, text);
}

static bool fits_one(words patterns, const char *text) {
    for (; *patterns; patterns++)
        if (fits(*patterns, text)) return true;
    return false;
}

/* ---- going through the sources ---- */

/* Called for each include of a file: `name` as it stands, `ours` when it is in quotes. True when it keeps the
 * rule. */
typedef bool include_rule(const char *file, const char *name, bool ours);
/* Called for each line; the word that breaks the rule, or NULL. */
typedef const char *line_rule(const char *line);

static bool is_source(const FTSENT *entry) {
    const char *dot = strrchr(entry->fts_name, '.');
    return entry->fts_info == FTS_F && dot && (!strcmp(dot, ".c") || !strcmp(dot, ".h"));
}

/* The name in an #include line, NUL-terminated in `line` itself; NULL for any other line. */
static char *included(char *line, bool *ours) {
    char *at = line + strspn(line, " \t");
    if (*at++ != '#') return NULL;
    at += strspn(at, " \t");
    if (strncmp(at, "include", 7)) return NULL;
    at += 7 + strspn(at + 7, " \t");
    *ours = *at == '"';
    char *end = *at == '"' || *at == '<' ? strchr(at + 1, *ours ? '"' : '>') : NULL;
    if (!end) return NULL;
    *end = 0;
    return at + 1;
}

typedef struct rules {
    include_rule *include; /* any may be NULL */
    line_rule *line;
    unsigned lines_max;
} rules;

/* How often a file breaks the rules; each place is named. */
static unsigned check_file(const char *path, const char *name, const rules *r) {
    FILE *f = fopen(path, "re");
    char *line = NULL;
    size_t room = 0;
    unsigned broken = 0, number = 0;
    assert_non_null(f);
    while (getline(&line, &room, f) > 0) {
        bool ours = false;
        const char *word = r->line ? r->line(line) : NULL;
        const char *header = included(line, &ours);
        number++;
        if (header && r->include && !r->include(name, header, ours)) word = header;
        if (!word) continue;
        print_error("%s:%u: may not use %s\n", name, number, word);
        broken++;
    }
    if (r->lines_max && number > r->lines_max) {
        print_error("%s: %u lines, more than %u\n", name, number, r->lines_max);
        broken++;
    }
    free(line);
    fclose(f);
    return broken;
}

/* All sources, or those below one folder. */
static void check_tree(const char *below, rules r) {
    unsigned broken = 0, files = 0;
    size_t root = strlen(MR_SOURCE_DIR) + 1;
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        char path[4096];
        snprintf(path, sizeof path, "%s/%s", MR_SOURCE_DIR, folders[i]);
        FTS *walk = fts_open((char *[]){path, NULL}, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
        assert_non_null(walk);
        for (FTSENT *e; (e = fts_read(walk));) {
            if (!is_source(e) || strncmp(e->fts_path + root, below, strlen(below))) continue;
            broken += check_file(e->fts_path, e->fts_path + root, &r);
            files++;
        }
        fts_close(walk);
    }
    assert_true(files > 0);
    assert_int_equal(broken, 0);
}

/* ---- the rules ---- */

static bool starts_at_the_root(const char *file, const char *name, bool ours) {
    (void)file;
    return !strstr(name, "..") && (!ours || strchr(name, '/') || !strcmp(name, "components.c"));
}

static bool keeps_its_layer(const char *file, const char *name, bool ours) {
    if (!ours) return true;
    for (size_t i = 0; i < sizeof layers / sizeof *layers; i++)
        if (fits(layers[i].folder, file)) return fits_one(layers[i].may, name);
    return true; /* tests may include everything */
}

static bool is_an_adapter(const char *file, const char *name, bool ours) {
    (void)ours;
    if (!strncmp(file, "tests/", 6)) return true;
    for (size_t i = 0; i < sizeof adapters / sizeof *adapters; i++)
        if (fits_one(adapters[i].headers, name)) return fits_one(adapters[i].files, file);
    return true;
}

static bool is_pure(const char *file, const char *name, bool ours) {
    (void)file;
    (void)ours;
    return !fits_one(core_may_not, name);
}

static bool calls(const char *line, const char *function) {
    size_t n = strlen(function);
    for (const char *at = line; (at = strstr(at, function)); at += n) {
        bool starts = at == line ||
                      !(isalnum((unsigned char)at[-1]) || at[-1] == '_' || at[-1] == '>' || at[-1] == '.');
        if (starts && at[n] == '(') return true;
    }
    return false;
}

static const char *impure_call(const char *line) {
    for (const char *const *f = core_may_not_call; *f; f++)
        if (calls(line, *f)) return *f;
    return NULL;
}

static void includes_start_at_the_root(void **state) {
    (void)state;
    check_tree("", (rules){.include = starts_at_the_root});
}

static void each_folder_includes_only_what_stands_above_it(void **state) {
    (void)state;
    check_tree("", (rules){.include = keeps_its_layer});
}

static void an_outside_library_has_one_adapter(void **state) {
    (void)state;
    check_tree("", (rules){.include = is_an_adapter});
}

static void the_core_of_the_broker_does_no_io(void **state) {
    (void)state;
    check_tree("broker/core/", (rules){.include = is_pure, .line = impure_call});
}

static void files_stay_short(void **state) {
    (void)state;
    check_tree("", (rules){.lines_max = LINES_MAX});
}

/* The rules themselves see what they are there for. */
static void broken_rules_are_seen(void **state) {
    (void)state;
    assert_false(keeps_its_layer("common/x.c", "proto/gen/wire.h", true));
    assert_false(keeps_its_layer("proto/x.c", "broker/core/core.h", true));
    assert_false(keeps_its_layer("broker/cli/x.c", "worker/core/local.h", true));
    assert_false(keeps_its_layer("worker/core/x.c", "broker/core/core.h", true));
    assert_false(keeps_its_layer("worker/learners/x.c", "common/mem.h", true));
    assert_true(keeps_its_layer("worker/learners/x.c", "worker/kit/linalg.h", true));
    assert_false(starts_at_the_root("common/x.c", "../common/mem.h", true));
    assert_false(starts_at_the_root("common/x.c", "mem.h", true));
    assert_false(is_an_adapter("broker/io/x.c", "zmq.h", false));
    assert_false(is_an_adapter("common/net.c", "libpq-fe.h", false));
    assert_true(is_an_adapter("common/pg.c", "libpq-fe.h", false));
    assert_false(is_pure("broker/core/x.c", "sys/socket.h", false));
    assert_false(is_pure("broker/core/x.c", "time.h", false));
    assert_true(is_pure("broker/core/x.c", "string.h", false));
    assert_string_equal(impure_call("    if (x) printf(\"y\");\n"), "printf");
    assert_null(impure_call("    snprintf(out, size, \"y\"); mr_free(x);\n"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(includes_start_at_the_root),
        cmocka_unit_test(each_folder_includes_only_what_stands_above_it),
        cmocka_unit_test(an_outside_library_has_one_adapter),
        cmocka_unit_test(the_core_of_the_broker_does_no_io),
        cmocka_unit_test(files_stay_short),
        cmocka_unit_test(broken_rules_are_seen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
