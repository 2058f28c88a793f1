#include "broker/cli/pages.h"

#include <ctype.h>
#include <string.h>

/* ---- mdoc ---- */

/* Text of a man page: backslashes doubled, a dot or quote at a line's start and hyphens kept as they are. */
static void put_roff(mr_buf *out, const char *text) {
    bool start = true;
    for (; *text; text++) {
        if (start && (*text == '.' || *text == '\'')) mr_buf_text(out, "\\&");
        if (*text == '\\')
            mr_buf_text(out, "\\e");
        else if (*text == '-')
            mr_buf_text(out, "\\-");
        else
            mr_buf_put(out, text, 1);
        start = *text == '\n';
    }
}

static void put_upper(mr_buf *out, const char *text) {
    for (; *text; text++) {
        char c = (char)toupper((unsigned char)*text);
        mr_buf_put(out, &c, 1);
    }
}

static void put_flag_name(mr_buf *out, const char *name) {
    mr_buf_text(out, "\\-\\-");
    for (; *name; name++) mr_buf_text(out, *name == '_' ? "\\-" : (const char[]){*name, 0});
}

static void put_value_name(mr_buf *out, const mr_option *row) {
    static const char *const words[] = {NULL, "N", "X", "TEXT", NULL, "TEXT"};
    if (row->type == MR_OPT_CHOICE) {
        for (size_t i = 0; row->choices[i]; i++) mr_buf_printf(out, "%s%s", i ? "|" : "", row->choices[i]);
    } else if (words[row->type]) {
        mr_buf_text(out, words[row->type]);
    }
}

static void put_option(mr_buf *out, const mr_option *row) {
    mr_buf_text(out, ".It Sy ");
    if (row->flag) mr_buf_printf(out, "\\-%c , ", row->flag);
    put_flag_name(out, row->name);
    if (row->type != MR_OPT_BOOL) {
        mr_buf_text(out, " Ar ");
        put_value_name(out, row);
    }
    mr_buf_text(out, "\n");
    char first[2] = {(char)toupper((unsigned char)row->help[0]), 0};
    put_roff(out, first);
    put_roff(out, row->help + 1);
    if (row->unit) mr_buf_printf(out, " (%s)", row->unit);
    mr_buf_text(out, ".\n");
    bool bounded = row->min != 0 || row->max != 0;
    if (bounded && (row->type == MR_OPT_INT || row->type == MR_OPT_NUMBER))
        mr_buf_printf(out, "From %.16g to %.16g.\n", row->min, row->max);
    if (row->def && *row->def && row->type != MR_OPT_BOOL) {
        mr_buf_text(out, "Default: ");
        put_roff(out, row->def);
        mr_buf_text(out, ".\n");
    }
}

static void put_options(mr_buf *out, const mr_option *row) {
    mr_buf_text(out, ".Bl -tag -width indent\n");
    for (; row->name; row++)
        if (!row->secret) put_option(out, row);
    mr_buf_text(out, ".El\n");
}

static void put_exit_codes(mr_buf *out) {
    int seen = -1;
    mr_buf_text(out, ".Sh EXIT STATUS\n.Bl -tag -width indent -compact\n");
    for (size_t i = 0; i < mr_status_count(); i++) {
        const mr_status_row *row = mr_status_at(i);
        if (row->exit_code == seen)
            mr_buf_printf(out, "or: %s\n", row->text);
        else
            mr_buf_printf(out, ".It %d\n%s\n", row->exit_code, row->text);
        seen = row->exit_code;
    }
    mr_buf_text(out, ".El\n");
}

static void put_environment(mr_buf *out) {
    mr_buf_text(
        out, ".Sh ENVIRONMENT\nFlags come first, then the environment, then the YAML file, then defaults.\n"
             ".Bl -tag -width indent\n");
    for (const mr_option *row = mr_global_options; row->name; row++) {
        mr_buf_text(out, ".It Ev MILLRACE_");
        put_upper(out, row->name);
        mr_buf_text(out, "\n");
        put_roff(out, row->help);
        mr_buf_text(out, "\n");
    }
    mr_buf_text(out, ".It Ev MILLRACE_SHARE\nfolder with the files that come with the programs\n.El\n");
}

static void put_head(mr_buf *out, const char *command, const char *summary) {
    mr_buf_text(out, ".\\\" Made by 'millrace docs' from the tables of broker/cli. Do not edit.\n.Dd "
                     "$Mdocdate$\n.Dt MILLRACE");
    if (command) {
        mr_buf_text(out, "-");
        put_upper(out, command);
    }
    mr_buf_printf(out, " 1\n.Os Millrace\n.Sh NAME\n.Nm millrace%s%s\n.Nd ", command ? "-" : "",
                  command ? command : "");
    put_roff(out, summary);
    mr_buf_text(out, "\n");
}

static void put_example(mr_buf *out, const char *example) {
    if (!example) return;
    mr_buf_text(out, ".Sh EXAMPLES\n.Bd -literal\n");
    put_roff(out, example);
    mr_buf_text(out, ".Ed\n");
}

static void put_program_page(mr_buf *out) {
    put_head(out, NULL, "feed training batches to workers and keep what they find");
    mr_buf_text(out, ".Sh SYNOPSIS\n.Nm\n.Ar command\n.Op options\n.Op operands\n.Sh DESCRIPTION\n"
                     "Data go to standard output, messages to standard error.\nThe commands:\n.Bl -tag "
                     "-width completion\n");
    for (const mr_cli_command *const *c = mr_cli_commands; *c; c++) {
        if ((*c)->hidden) continue;
        mr_buf_printf(out, ".It Sy %s\n", (*c)->name);
        put_roff(out, (*c)->summary);
        mr_buf_text(out, "\n");
    }
    mr_buf_text(out, ".El\n.Sh OPTIONS\nEvery command takes these:\n");
    put_options(out, mr_global_options);
    put_environment(out);
    put_exit_codes(out);
    put_example(out, "millrace up\nmillrace sample --rows 500 --output rows.jsonl\nmillrace ingest "
                     "rows.jsonl\nmillrace run\n");
}

void mr_man_page(const mr_cli_command *command, mr_buf *out) {
    if (!command) {
        put_program_page(out);
        return;
    }
    put_head(out, command->name, command->summary);
    mr_buf_printf(out, ".Sh SYNOPSIS\n.Nm millrace %s\n.Op options\n", command->name);
    if (command->operands) {
        mr_buf_text(out, ".No ");
        put_roff(out, command->operands);
        mr_buf_text(out, "\n");
    }
    if (command->detail) {
        mr_buf_text(out, ".Sh DESCRIPTION\n");
        put_roff(out, command->detail);
        mr_buf_text(out, "\n");
    }
    mr_buf_text(out, ".Sh OPTIONS\n");
    put_options(out, command->options);
    put_example(out, command->example);
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

static void put_bounds(mr_buf *out, const mr_option *row) {
    bool bounded = row->min != 0 || row->max != 0;
    if (row->type == MR_OPT_BOOL)
        mr_buf_text(out, "true, false");
    else if (row->type == MR_OPT_CHOICE)
        for (size_t i = 0; row->choices[i]; i++) mr_buf_printf(out, "%s%s", i ? ", " : "", row->choices[i]);
    else if (bounded)
        mr_buf_printf(out, "%.16g to %.16g%s%s", row->min, row->max, row->unit ? " " : "",
                      row->unit ? row->unit : "");
    else
        mr_buf_text(out, "text");
}

void mr_settings_page(mr_buf *out) {
    mr_buf_text(
        out,
        "# Settings of `millrace`\n\n"
        "Made by `millrace docs` from the table in `broker/cli/command.h`. Do not edit. "
        "`millrace-broker --help` and `millrace-worker --help` print theirs.\n\n"
        "Flags come first, then the environment, then the YAML file that `--config` names, then defaults. "
        "`millrace config` shows each value and where it came from.\n\n"
        "| key | flag | environment | values | default | what it is |\n| --- | --- | --- | --- | --- | --- "
        "|\n");
    for (const mr_option *row = mr_global_options; row->name; row++) {
        mr_buf_printf(out, "| `%s` | ", row->name);
        if (row->secret)
            mr_buf_text(out, "none: secret");
        else
            mr_buf_printf(out, "`--%s`", row->name);
        mr_buf_text(out, " | `MILLRACE_");
        put_upper(out, row->name);
        mr_buf_text(out, "` | ");
        put_bounds(out, row);
        mr_buf_printf(out, " | %s%s%s | %s |\n", row->def ? "`" : "", row->def ? row->def : "",
                      row->def ? "`" : "", row->help);
    }
}
