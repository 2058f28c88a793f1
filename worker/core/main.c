/* millrace-worker: computes what the broker hands out; `millrace-worker try` runs one component alone. */
#include "common/hash.h"
#include "common/log.h"
#include "common/man.h"
#include "common/settings.h"
#include "worker/core/catalogue.h"
#include "worker/core/job.h"
#include "worker/core/registry.h"
#include "worker/core/serve.h"
#include "worker/core/slots.h"
#include "worker/core/try.h"
#include "worker/kit/linalg.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

extern char **environ;

enum { OURS_MAX = 64, OUTPUT_MAX = 16 * 1024 * 1024 };

#define AT(field) offsetof(mr_worker_settings, field)
static const char *const levels[] = {"debug", "info", "warn", "error", "off", NULL};

static const mr_option table[] = {
    {.name = "broker",
     .type = MR_OPT_LIST,
     .offset = AT(broker),
     .def = "tcp://127.0.0.1:7411",
     .flag = 'b',
     .help = "address of a broker; all that are named are served, and are brokers of one database"},
    {.name = "threads",
     .type = MR_OPT_INT,
     .offset = AT(threads),
     .def = "1",
     .min = 1,
     .max = MR_SLOTS_MAX,
     .flag = 't',
     .unit = "slots",
     .help = "calls that run at once, each in a process of its own"},
    {.name = "credit",
     .type = MR_OPT_INT,
     .offset = AT(credit),
     .def = "2",
     .min = 1,
     .max = 1000,
     .unit = "batches",
     .help = "batches held for each slot, the running one included; shared out among the brokers, at least one for each"},
    {.name = "name",
     .type = MR_OPT_TEXT,
     .offset = AT(name),
     .flag = 'n',
     .help = "name of this worker, for people; empty: host and process id"},
    {.name = "redis_url",
     .type = MR_OPT_TEXT,
     .offset = AT(redis_url),
     .secret = true,
     .help = "Redis: redis://host:port or unix:///path; empty: what the broker names"},
    {.name = "key_file",
     .type = MR_OPT_TEXT,
     .offset = AT(key_file),
     .secret = true,
     .help = "file with the secret key to connect with, for a broker that has keys"},
    {.name = "server_key",
     .type = MR_OPT_TEXT,
     .offset = AT(server_key),
     .secret = true,
     .help = "that broker's public key: 64 hex digits"},
    {.name = "config",
     .type = MR_OPT_TEXT,
     .offset = AT(config),
     .flag = 'c',
     .help = "YAML file of settings"},
    {.name = "grace_s",
     .type = MR_OPT_INT,
     .offset = AT(grace_s),
     .def = "10",
     .min = 0,
     .max = 3600,
     .unit = "s",
     .help = "time that SIGTERM leaves for what runs"},
    {.name = "held_max",
     .type = MR_OPT_INT,
     .offset = AT(held_max),
     .def = "4096",
     .min = 1,
     .max = 100000,
     .unit = "results",
     .help = "unacknowledged results above which no more work is taken"},
    {.name = "input_max_mb",
     .type = MR_OPT_INT,
     .offset = AT(input_max_mb),
     .def = "1024",
     .min = 1,
     .max = 65536,
     .unit = "MiB",
     .help = "largest input of one batch"},
    {.name = "wake_us",
     .type = MR_OPT_INT,
     .offset = AT(wake_us),
     .def = "-1",
     .min = -1,
     .max = 1000000,
     .unit = "us",
     .help = "processors wake within so long while work comes and goes: 0 answers soonest and costs power; -1: as the system likes"},
    {.name = "log_level",
     .type = MR_OPT_CHOICE,
     .offset = AT(log_level),
     .def = "info",
     .choices = levels,
     .help = "least level that is logged"},
    {.name = "log_json", .type = MR_OPT_BOOL, .offset = AT(log_json), .help = "log JSON objects"},
    {.name = "components",
     .type = MR_OPT_BOOL,
     .offset = AT(components),
     .help = "list what is compiled in, and end"},
    {.name = "json",
     .type = MR_OPT_BOOL,
     .offset = AT(json),
     .help = "with --components: JSON with every option and output"},
    MR_OPTION_END,
};

static const mr_usage usage = {
    .program = "millrace-worker",
    .summary = "computes the batches that the broker hands out",
    .detail = "Settings come from flags, then the environment (MILLRACE_BROKER, MILLRACE_REDIS_URL, ...), "
              "then the YAML\n"
              "file, then defaults. SIGTERM and SIGINT finish or release what was taken, then exit 0.\n"
              "`millrace-worker try --help`: run one component on one file, without a broker.",
    .example = "millrace-worker --broker tcp://127.0.0.1:7411 --threads 4\n"
               "millrace-worker --broker tcp://10.0.0.1:7411 --broker tcp://10.0.0.2:7411\n",
};

/* Only what this program knows: the environment is shared with programs that have settings of their own. */
static void our_environment(const char *out[OURS_MAX + 1]) {
    size_t n = 0;
    for (char **e = environ; *e && n < OURS_MAX; e++) {
        char name[MR_OPTION_NAME];
        size_t len = strcspn(*e, "=");
        if (strncmp(*e, "MILLRACE_", 9) != 0 || len - 9 >= sizeof name) continue;
        for (size_t i = 9; i < len; i++)
            name[i - 9] = (char)((*e)[i] >= 'A' && (*e)[i] <= 'Z' ? (*e)[i] + 32 : (*e)[i]);
        name[len - 9] = 0;
        if (mr_option_find(table, name)) out[n++] = *e;
    }
    out[n] = NULL;
}

static const char *config_file(const mr_args *args, const char *const *environment) {
    for (size_t i = 0; i < args->flag_count; i++)
        if (!strcmp(args->flags[i].row->name, "config")) return args->flags[i].value;
    for (; *environment; environment++)
        if (!strncmp(*environment, "MILLRACE_CONFIG=", 16) && (*environment)[16]) return *environment + 16;
    return NULL;
}

static mr_status load(const mr_args *args, mr_worker_settings *s, mr_error *err) {
    const char *environment[OURS_MAX + 1];
    mr_origins *origins = mr_new(NULL, 1, sizeof *origins);
    if (!origins) return mr_fail(err, MR_E_MEMORY, "no memory for the settings");
    our_environment(environment);
    mr_settings_input input = {
        .args = args, .environment = environment, .file = config_file(args, environment)};
    mr_status status = mr_settings_load(table, s, &input, origins, err);
    mr_free(NULL, origins, 1, sizeof *origins);
    if (status != MR_OK || s->name[0]) return status;
    char host[64] = "worker";
    if (gethostname(host, sizeof host - 1) != 0) host[0] = 0;
    snprintf(s->name, sizeof s->name, "%s:%d", host, (int)getpid());
    return MR_OK;
}

static mr_status show_components(bool json, mr_error *err) {
    mr_buf out;
    mr_status status = MR_OK;
    mr_buf_init(&out, NULL, OUTPUT_MAX);
    if (json)
        status = mr_catalogue_json(mr_components, &out, err);
    else
        mr_catalogue_table(mr_components, &out);
    if (json) mr_buf_text(&out, "\n");
    if (status == MR_OK) status = mr_program_print(&out, err);
    mr_buf_free(&out);
    return status;
}

static mr_status run(int argc, char **argv, mr_error *err) {
    mr_args args;
    mr_worker_settings settings = {0};
    MR_TRY(mr_argv_parse(table, NULL, argc, argv, &usage, &args, err));
    if (args.action != MR_ARGS_RUN) return mr_program_answer(table, &usage, args.action, err);
    MR_TRY(load(&args, &settings, err));
    if (settings.components) return show_components(settings.json, err);
    return mr_serve(&settings, mr_components, "/proc/self/exe", err);
}

int main(int argc, char **argv) {
    mr_error err = {0};
    mr_linalg_one_thread();
    if (argc > 1 && !strcmp(argv[1], "compute")) return mr_compute_main(mr_components, argc, argv);
    if (argc > 1 && !strcmp(argv[1], "try")) return mr_try_main(argc - 1, argv + 1);
    bool docs = argc == 3 && !strcmp(argv[1], "docs"); /* for whoever changes the table */
    mr_status status = docs ? mr_man_write(argv[2], &usage, table, &err) : run(argc, argv, &err);
    return mr_program_end("millrace-worker", status, &err);
}
