#include "broker/cli/home.h"
#include "broker/cli/migrations.h"
#include "broker/cli/view.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

typedef struct settings {
    mr_globals globals;
    int64_t to;
    bool yes;
} settings;

static const mr_option options[] = {
    {.name = "to",
     .type = MR_OPT_INT,
     .offset = offsetof(settings, to),
     .def = "-1",
     .min = -1,
     .max = 1000000,
     .help = "version to reach; -1: the newest (up), one step back (down)"},
    {.name = "yes",
     .type = MR_OPT_BOOL,
     .offset = offsetof(settings, yes),
     .flag = 'y',
     .help = "down: do not ask before data are dropped"},
    MR_GLOBAL_OPTIONS,
};
static const char *const verbs[] = {"status", "up", "down", NULL};
enum { STATUS, UP, DOWN };

static mr_status show(const mr_cli *cli, const char *url, mr_error *err) {
    mr_buf pack;
    mr_buf_init(&pack, NULL, 1 << 20);
    mr_status status = mr_migrate_list(url, &pack, err);
    if (status == MR_OK) status = mr_view(cli, mr_buf_span(&pack), err);
    mr_buf_free(&pack);
    return status;
}

static mr_status confirm(const settings *s, mr_error *err) {
    char answer[16] = "";
    if (s->yes || !isatty(0) || !isatty(2)) return MR_OK;
    fputs("This drops tables with all their rows. Type yes to go on: ", stderr);
    if (fgets(answer, sizeof answer, stdin) && !strcmp(answer, "yes\n")) return MR_OK;
    return mr_fail(err, MR_E_CANCELLED, "nothing was changed");
}

static mr_status down(const settings *s, const char *url, unsigned *done, mr_error *err) {
    int version;
    MR_TRY(mr_migrate_version(url, &version, err));
    if (version == 0) return MR_OK;
    MR_TRY(confirm(s, err));
    return mr_migrate_down(url, s->to < 0 ? version - 1 : (int)s->to, done, err);
}

static mr_status run(mr_cli *cli, const void *config, mr_error *err) {
    const settings *s = config;
    size_t verb;
    char url[1024];
    unsigned done = 0;
    MR_TRY(mr_cli_verb(cli, &verb, err));
    MR_TRY(mr_home_database(&s->globals, url, err));
    if (verb == UP) MR_TRY(mr_migrate_up(url, s->to < 0 ? INT_MAX : (int)s->to, &done, err));
    if (verb == DOWN) MR_TRY(down(s, url, &done, err));
    if (verb != STATUS)
        fprintf(stderr, "%u migration%s %s\n", done, done == 1 ? "" : "s",
                verb == UP ? "applied" : "taken back");
    return show(cli, url, err);
}

const mr_cli_command mr_cli_migrate = {
    .name = "migrate",
    .summary = "show, apply or take back the versions of the database schema",
    .operands = "[status | up | down]",
    .detail = "Works on MILLRACE_DATABASE_URL, or on the private database of the home folder. Each migration "
              "is one\n"
              "transaction; a database whose applied migrations differ from this program's is refused.",
    .example = "MILLRACE_DATABASE_URL=postgresql://me@localhost/millrace millrace migrate up\n",
    .verbs = verbs,
    .max_operands = 1,
    .options = options,
    .config_size = sizeof(settings),
    .run = run,
};
