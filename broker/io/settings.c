#include "broker/io/settings.h"

#define AT(field) offsetof(mr_broker_settings, field)

static const char *const levels[] = {"debug", "info", "warn", "error", "off", NULL};

const mr_option mr_broker_options[] = {
    {.name = "listen", .type = MR_OPT_TEXT, .offset = AT(listen), .def = "tcp://127.0.0.1:7411", .flag = 'l',
     .help = "address for workers and clients; loopback or ipc, with keys any"},
    {.name = "events", .type = MR_OPT_TEXT, .offset = AT(events), .def = "tcp://127.0.0.1:*",
     .help = "address of the live events; '*' takes a free port"},
    {.name = "name", .type = MR_OPT_TEXT, .offset = AT(name), .def = "",
     .help = "name of this broker, which owns its leases; empty: host and address"},
    {.name = "database_url", .type = MR_OPT_TEXT, .offset = AT(database_url), .def = "", .secret = true,
     .help = "PostgreSQL: postgresql://user@host:port/database"},
    {.name = "redis_url", .type = MR_OPT_TEXT, .offset = AT(redis_url), .def = "", .secret = true,
     .help = "Redis: redis://host:port or unix:///path; empty: no cache, only slower"},
    {.name = "server_key_file", .type = MR_OPT_TEXT, .offset = AT(server_key_file), .def = "",
     .help = "file with this broker's secret key; with allow_file: only admitted keys come in, encrypted"},
    {.name = "allow_file", .type = MR_OPT_TEXT, .offset = AT(allow_file), .def = "",
     .help = "file that lists the admitted keys ('millrace keys'); followed while the broker runs"},
    {.name = "config", .type = MR_OPT_TEXT, .offset = AT(config), .def = "", .flag = 'c', .help = "YAML file of settings"},
    {.name = "heartbeat_ms", .type = MR_OPT_INT, .offset = AT(heartbeat_ms), .def = "1000", .min = 50, .max = 60000,
     .unit = "ms", .help = "how often a peer must send something"},
    {.name = "lost_after_ms", .type = MR_OPT_INT, .offset = AT(lost_after_ms), .def = "4000", .min = 200, .max = 600000,
     .unit = "ms", .help = "silence after which a worker's batches are dispatched again"},
    {.name = "load_ahead", .type = MR_OPT_INT, .offset = AT(load_ahead), .def = "64", .min = 1, .max = 10000,
     .unit = "batches", .help = "inputs kept loaded beyond what workers asked for"},
    {.name = "max_errors", .type = MR_OPT_INT, .offset = AT(max_errors), .def = "3", .min = 1, .max = 100,
     .unit = "attempts", .help = "failed attempts after which a batch is given up"},
    {.name = "max_crashes", .type = MR_OPT_INT, .offset = AT(max_crashes), .def = "3", .min = 1, .max = 100,
     .unit = "attempts", .help = "crashed attempts after which a batch is quarantined"},
    {.name = "retry_base_ms", .type = MR_OPT_INT, .offset = AT(retry_base_ms), .def = "200", .min = 1, .max = 600000,
     .unit = "ms", .help = "first bound of the random wait before a failed batch is tried again; doubles each time"},
    {.name = "retry_max_ms", .type = MR_OPT_INT, .offset = AT(retry_max_ms), .def = "30000", .min = 1, .max = 3600000,
     .unit = "ms", .help = "largest bound of that wait"},
    {.name = "age_ms", .type = MR_OPT_INT, .offset = AT(age_ms), .def = "100", .min = 1, .max = 3600000, .unit = "ms",
     .help = "waiting that is worth one point of priority, so that low priorities get their turn too"},
    {.name = "max_runs", .type = MR_OPT_INT, .offset = AT(max_runs), .def = "10000", .min = 1, .max = 1000000, .unit = "runs",
     .help = "unfinished runs beyond which a new one is pushed back: it is to be submitted again later"},
    {.name = "watchdog_s", .type = MR_OPT_INT, .offset = AT(watchdog_s), .def = "120", .min = 0, .max = 86400, .unit = "s",
     .help = "time without progress, while there is work and credit, after which the broker alarms and repairs, and after "
             "the same time again ends so that it is restarted; 0: never"},
    {.name = "inline_max", .type = MR_OPT_INT, .offset = AT(inline_max), .def = "65536", .min = 0, .max = 16777216,
     .unit = "bytes", .help = "inputs up to this size travel in the message, larger ones through the cache"},
    {.name = "cache_ttl_s", .type = MR_OPT_INT, .offset = AT(cache_ttl_s), .def = "900", .min = 1, .max = 604800,
     .unit = "s", .help = "how long Redis keeps an input"},
    {.name = "segment_cache_mb", .type = MR_OPT_INT, .offset = AT(segment_cache_mb), .def = "128", .min = 1, .max = 65536,
     .unit = "MiB", .help = "built segments that the broker keeps in memory"},
    {.name = "lease_s", .type = MR_OPT_INT, .offset = AT(lease_s), .def = "15", .min = 2, .max = 3600, .unit = "s",
     .help = "how long the work stays this broker's when it stops answering"},
    {.name = "grace_s", .type = MR_OPT_INT, .offset = AT(grace_s), .def = "10", .min = 0, .max = 3600, .unit = "s",
     .help = "time that SIGTERM leaves for work that is out"},
    {.name = "max_chars", .type = MR_OPT_INT, .offset = AT(max_chars), .def = "4194304", .min = 1, .max = 4194304,
     .unit = "characters", .help = "longest prompt that is taken from any client"},
    {.name = "log_level", .type = MR_OPT_CHOICE, .offset = AT(log_level), .def = "info", .choices = levels,
     .help = "least level that is logged"},
    {.name = "log_json", .type = MR_OPT_BOOL, .offset = AT(log_json), .def = "false", .help = "log JSON objects"},
    MR_OPTION_END,
};

const mr_usage mr_broker_usage = {
    .program = "millrace-broker",
    .summary = "plans runs, hands batches to workers and commits their results in PostgreSQL",
    .detail = "Settings come from flags, then the environment (MILLRACE_LISTEN, MILLRACE_DATABASE_URL, ...), then the\n"
              "YAML file, then defaults. SIGTERM and SIGINT finish or release what is out, then exit 0.",
    .example = "MILLRACE_DATABASE_URL=postgresql://localhost/millrace millrace-broker --listen tcp://127.0.0.1:7411\n",
};
