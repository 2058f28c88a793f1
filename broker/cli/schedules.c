#include "broker/cli/run.h"

#include "broker/cli/view.h"

static const char *const verbs[] = {"list", "add", "remove", NULL};

static mr_status run(mr_cli *cli, const void *config, mr_error *err) {
    size_t verb;
    uint64_t id;
    MR_TRY(mr_cli_verb(cli, &verb, err));
    MR_TRY(mr_cli_at_most(cli, verb == 2 ? 2 : 1, err));
    if (verb == 1 && !mr_run_is_later(config))
        return mr_fail(err, MR_E_USAGE, "millrace schedules add needs --at, --every or --cron");
    if (verb == 1) return mr_run_command(cli, config, err);
    mr_params p;
    mr_params_init(&p);
    if (verb == 0) {
        mr_params_u64(&p, "limit", 1000);
        return mr_view_call(cli, MR_CMD_SCHEDULES, &p, err);
    }
    mr_status s = mr_cli_number(cli, 1, "the number of a schedule", &id, err);
    if (s != MR_OK) {
        mr_params_free(&p);
        return s;
    }
    mr_params_u64(&p, "id", id);
    return mr_view_call(cli, MR_CMD_SCHEDULE_REMOVE, &p, err);
}

const mr_cli_command mr_cli_schedules = {
    .name = "schedules",
    .summary = "list, add or remove runs that start later, once or again and again",
    .operands = "[list | add | remove ID]",
    .detail = "What is to run is described by the same flags as for 'millrace run', and when by --at, "
              "--every or --cron.\n"
              "The database's clock counts. Each time is fired once, whatever restarts; of several that were "
              "missed the\n"
              "last one is fired.",
    .example = "millrace schedules add --every '1 hour' --component structural_analyzer --name hourly\n"
               "millrace schedules add --cron '30 4 * * 1-5'\n",
    .verbs = verbs,
    .max_operands = 2,
    .options = mr_run_options,
    .config_size = sizeof(mr_run_settings),
    .run = run,
};
