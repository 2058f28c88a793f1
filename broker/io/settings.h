/* settings.h: the settings of millrace-broker: one table, from which flags, environment, file, help and pages come. */
#ifndef MR_BROKER_IO_SETTINGS_H
#define MR_BROKER_IO_SETTINGS_H

#include "common/settings.h"

typedef struct mr_broker_settings {
    char listen[MR_OPTION_TEXT], events[MR_OPTION_TEXT], name[MR_OPTION_TEXT];
    char database_url[MR_OPTION_TEXT], redis_url[MR_OPTION_TEXT];
    char config[MR_OPTION_TEXT];
    char server_key_file[MR_OPTION_TEXT], allow_file[MR_OPTION_TEXT];
    int64_t age_ms, watchdog_s, max_runs;
    int64_t heartbeat_ms, lost_after_ms, turn, load_ahead, max_errors, max_crashes, max_timeouts, retry_base_ms, retry_max_ms;
    int64_t inline_max, cache_ttl_s, segment_cache_mb, task_cache_mb, lease_s, grace_s, wake_us, max_chars, log_level;
    bool log_json;
} mr_broker_settings;

extern const mr_option mr_broker_options[];
extern const mr_usage mr_broker_usage;

#endif
