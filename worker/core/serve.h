/* serve.h: the worker process: a link to each broker, the compute processes that they share, the cache and the signals in
 * one loop. */
#ifndef MR_WORKER_CORE_SERVE_H
#define MR_WORKER_CORE_SERVE_H

#include "common/option.h"
#include "worker/component.h"

typedef struct mr_worker_settings {
    mr_option_list broker;
    char redis_url[MR_OPTION_TEXT], name[MR_OPTION_TEXT], config[MR_OPTION_TEXT];
    char key_file[MR_OPTION_TEXT], server_key[MR_OPTION_TEXT];
    int64_t threads, credit, grace_s, held_max, input_max_mb, wake_us, log_level;
    bool log_json, components, json;
} mr_worker_settings;

/* Serves until SIGTERM or SIGINT: then what has not started is released, what runs may finish within the
 * grace, and results are waited for until they are acknowledged. A second signal ends it at once. `program`
 * is what the compute processes execute. MR_OK after a clean end. */
mr_status mr_serve(const mr_worker_settings *settings, const mr_component *const *table, const char *program,
                   mr_error *err) MR_MUST_CHECK;

#endif
