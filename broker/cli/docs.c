#include "broker/cli/pages.h"

#include <limits.h>
#include <stdio.h>

#include "common/file.h"

static const mr_option options[] = {MR_GLOBAL_OPTIONS};

static mr_status write_page(const char *folder, const char *name, mr_buf *text, mr_error *err) {
    char path[PATH_MAX];
    mr_status status = mr_buf_status(text);
    if (status != MR_OK) return mr_fail(err, status, "%s does not fit into memory", name);
    if ((size_t)snprintf(path, sizeof path, "%s/%s", folder, name) >= sizeof path)
        return mr_fail(err, MR_E_LIMIT, "the path %.200s is too long", folder);
    status = mr_file_write(path, mr_buf_span(text), 0644, err);
    mr_buf_clear(text);
    return status;
}

static mr_status write_man(const char *folder, mr_buf *text, mr_error *err) {
    mr_man_page(NULL, text);
    MR_TRY(write_page(folder, "man/millrace.1", text, err));
    for (const mr_cli_command *const *c = mr_cli_commands; *c; c++) {
        char name[128];
        if ((*c)->hidden) continue;
        snprintf(name, sizeof name, "man/millrace-%s.1", (*c)->name);
        mr_man_page(*c, text);
        MR_TRY(write_page(folder, name, text, err));
    }
    return MR_OK;
}

static mr_status write_all(const char *folder, mr_buf *text, mr_error *err) {
    static const struct {
        const char *name;
        void (*put)(mr_buf *);
    } pages[] = {{"completion/millrace.bash", mr_completion_bash},
                 {"completion/_millrace", mr_completion_zsh},
                 {"completion/millrace.fish", mr_completion_fish},
                 {"errors.md", mr_errors_page},
                 {"settings.md", mr_settings_page}};
    for (size_t i = 0; i < sizeof pages / sizeof *pages; i++) {
        pages[i].put(text);
        MR_TRY(write_page(folder, pages[i].name, text, err));
    }
    return write_man(folder, text, err);
}

static mr_status run(mr_cli *cli, const void *config, mr_error *err) {
    (void)config;
    char sub[PATH_MAX];
    const char *folder = mr_cli_operand(cli, 0);
    mr_buf text;
    for (int i = 0; i < 2; i++) {
        if ((size_t)snprintf(sub, sizeof sub, "%s/%s", folder, i ? "completion" : "man") >= sizeof sub)
            return mr_fail(err, MR_E_LIMIT, "the path %.200s is too long", folder);
        MR_TRY(mr_make_dirs(sub, 0755, err));
    }
    mr_buf_init(&text, NULL, 1 << 20);
    mr_status status = write_all(folder, &text, err);
    mr_buf_free(&text);
    return status;
}

const mr_cli_command mr_cli_docs = {
    .name = "docs",
    .summary = "write the pages that are made from the tables into a folder",
    .operands = "FOLDER",
    .example = "millrace docs docs\n",
    .min_operands = 1,
    .max_operands = 1,
    .options = options,
    .config_size = sizeof(mr_globals),
    .hidden = true,
    .run = run,
};
