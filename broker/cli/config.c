#include "broker/cli/view.h"

#include <stdio.h>

typedef struct settings {
    mr_globals globals;
    bool of_broker;
} settings;

static const mr_option options[] = {
    {.name = "of_broker", .type = MR_OPT_BOOL, .offset = offsetof(settings, of_broker),
     .help = "the settings of the running broker instead of this program's"},
    MR_GLOBAL_OPTIONS,
};

static mr_status run(mr_cli *cli, const void *config, mr_error *err) {
    const settings *s = config;
    if (s->of_broker) return mr_view_call(cli, MR_CMD_CONFIG, NULL, err);
    mr_buf pack, text;
    mr_buf_init(&pack, NULL, 1 << 20);
    mr_buf_init(&text, NULL, 1 << 20);
    mr_pack_map(&pack, 2);
    mr_pack_text(&pack, "columns");
    mr_pack_array(&pack, 4);
    static const char *const columns[] = {"name", "value", "source", "help"};
    for (size_t i = 0; i < 4; i++) mr_pack_text(&pack, columns[i]);
    mr_pack_text(&pack, "rows");
    uint32_t rows = 0;
    size_t at = mr_pack_open_array(&pack);
    for (const mr_option *row = mr_global_options; row->name; row++, rows++) {
        mr_pack_array(&pack, 4);
        mr_pack_text(&pack, row->name);
        mr_buf_clear(&text);
        mr_option_get(row, cli->globals, &text);
        mr_pack_str(&pack, mr_buf_span(&text));
        mr_buf_clear(&text);
        mr_origin_text(mr_global_options, row, cli->origins, &text);
        mr_pack_str(&pack, mr_buf_span(&text));
        mr_pack_text(&pack, row->help);
    }
    mr_pack_patch(&pack, at, rows);
    mr_status status = mr_view(cli, mr_buf_span(&pack), err);
    mr_buf_free(&pack);
    mr_buf_free(&text);
    return status;
}

const mr_cli_command mr_cli_config = {
    .name = "config",
    .summary = "show each setting, its value and where it came from",
    .detail = "Flags come first, then the environment (MILLRACE_NAME), then the YAML file, then defaults. "
              "Secrets show only\n"
              "whether they are set.",
    .example = "MILLRACE_TIMEOUT=5000 millrace config\n",
    .options = options,
    .config_size = sizeof(settings),
    .run = run,
};
