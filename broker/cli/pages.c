#include "broker/cli/pages.h"

#include "common/man.h"

#include <stdio.h>

/* ---- mdoc ---- */

static void put_environment(mr_buf *out) {
    mr_buf_text(
        out, ".Sh ENVIRONMENT\nFlags come first, then the environment, then the YAML file, then defaults.\n"
             ".Bl -tag -width indent\n");
    mr_man_variables(out, mr_global_options);
    mr_buf_text(out, ".It Ev MILLRACE_SHARE\nfolder with the files that come with the programs\n.El\n");
}

static void put_program_page(mr_buf *out) {
    mr_man_head(out, "millrace", "millrace docs", "feed training batches to workers and keep what they find");
    mr_buf_text(out, ".Sh SYNOPSIS\n.Nm\n.Ar command\n.Op options\n.Op operands\n.Sh DESCRIPTION\n"
                     "Data go to standard output, messages to standard error.\nThe commands:\n.Bl -tag "
                     "-width completion\n");
    for (const mr_cli_command *const *c = mr_cli_commands; *c; c++) {
        if ((*c)->hidden) continue;
        mr_buf_printf(out, ".It Sy %s\n", (*c)->name);
        mr_man_text(out, (*c)->summary);
        mr_buf_text(out, "\n");
    }
    mr_buf_text(out, ".El\n.Sh OPTIONS\nEvery command takes these:\n");
    mr_man_options(out, mr_global_options);
    put_environment(out);
    mr_man_exit_status(out);
    mr_man_example(out, "millrace up\nmillrace sample --rows 500 --output rows.jsonl\nmillrace ingest "
                     "rows.jsonl\nmillrace run\n");
}

void mr_man_page(const mr_cli_command *command, mr_buf *out) {
    if (!command) {
        put_program_page(out);
        return;
    }
    char name[64];
    snprintf(name, sizeof name, "millrace-%s", command->name);
    mr_man_head(out, name, "millrace docs", command->summary);
    mr_buf_printf(out, ".Sh SYNOPSIS\n.Nm millrace %s\n.Op options\n", command->name);
    if (command->operands) {
        mr_buf_text(out, ".No ");
        mr_man_text(out, command->operands);
        mr_buf_text(out, "\n");
    }
    if (command->detail) {
        mr_buf_text(out, ".Sh DESCRIPTION\n");
        mr_man_text(out, command->detail);
        mr_buf_text(out, "\n");
    }
    mr_buf_text(out, ".Sh OPTIONS\n");
    mr_man_options(out, command->options);
    mr_man_example(out, command->example);
    mr_buf_text(out, ".Sh SEE ALSO\n.Xr millrace 1\n");
}

/* ---- Markdown ---- */

void mr_errors_page(mr_buf *out) {
    mr_buf_text(out, "# Errors\n\n"
                     "Made by `millrace docs` from `common/status.def`. Do not edit.\n\n"
                     "Every failure has one of these names. The number goes over the wire and into tables; "
                     "the exit code is "
                     "what a program ends with.\n\n"
                     "| name | number | exit code | HTTP | try again | meaning |\n| --- | --- | --- | --- | "
                     "--- | --- |\n");
    for (size_t i = 0; i < mr_status_count(); i++) {
        const mr_status_row *row = mr_status_at(i);
        mr_buf_printf(out, "| `%s` | %d | %d | %d | %s | %s |\n", row->name, (int)row->status, row->exit_code,
                      row->http, row->retryable ? "yes" : "no", row->text);
    }
}

void mr_settings_page(mr_buf *out) {
    mr_buf_text(
        out,
        "# Settings of `millrace`\n\n"
        "Made by `millrace docs` from the table in `broker/cli/command.h`. Do not edit. "
        "[settings-millrace-broker.md](settings-millrace-broker.md) and "
        "[settings-millrace-worker.md](settings-millrace-worker.md) have theirs.\n\n"
        "Flags come first, then the environment, then the YAML file that `--config` names, then defaults. "
        "`millrace config` shows each value and where it came from.\n\n");
    mr_settings_table(out, mr_global_options);
}
