#include "common/man.h"

#include "common/file.h"

#include <ctype.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

/* ---- mdoc ---- */

/* Text of a man page: backslashes doubled, a dot or quote at a line's start and hyphens kept as they are. */
void mr_man_text(mr_buf *out, const char *text) {
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
    mr_man_text(out, first);
    mr_man_text(out, row->help + 1);
    if (row->unit) mr_buf_printf(out, " (%s)", row->unit);
    mr_buf_text(out, ".\n");
    bool bounded = row->min != 0 || row->max != 0;
    if (bounded && (row->type == MR_OPT_INT || row->type == MR_OPT_NUMBER))
        mr_buf_printf(out, "From %.16g to %.16g.\n", row->min, row->max);
    if (row->def && *row->def && row->type != MR_OPT_BOOL) {
        mr_buf_text(out, "Default: ");
        mr_man_text(out, row->def);
        mr_buf_text(out, ".\n");
    }
}

void mr_man_options(mr_buf *out, const mr_option *row) {
    mr_buf_text(out, ".Bl -tag -width indent\n");
    for (; row->name; row++)
        if (!row->secret) put_option(out, row);
    mr_buf_text(out, ".El\n");
}

void mr_man_exit_status(mr_buf *out) {
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

void mr_man_variables(mr_buf *out, const mr_option *row) {
    for (; row->name; row++) {
        mr_buf_text(out, ".It Ev MILLRACE_");
        put_upper(out, row->name);
        mr_buf_text(out, "\n");
        mr_man_text(out, row->help);
        mr_buf_text(out, "\n");
    }
}

void mr_man_head(mr_buf *out, const char *name, const char *source, const char *summary) {
    mr_buf_printf(out, ".\\\" Made by '%s'. Do not edit.\n.Dd $Mdocdate$\n.Dt ", source);
    put_upper(out, name);
    mr_buf_printf(out, " 1\n.Os Millrace\n.Sh NAME\n.Nm %s\n.Nd ", name);
    mr_man_text(out, summary);
    mr_buf_text(out, "\n");
}

void mr_man_example(mr_buf *out, const char *example) {
    if (!example) return;
    mr_buf_text(out, ".Sh EXAMPLES\n.Bd -literal\n");
    mr_man_text(out, example);
    mr_buf_text(out, ".Ed\n");
}

/* ---- Markdown ---- */

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

static void put_plain_flag(mr_buf *out, const char *name) {
    mr_buf_text(out, "`--");
    for (; *name; name++) mr_buf_text(out, *name == '_' ? "-" : (const char[]){*name, 0});
    mr_buf_text(out, "`");
}

void mr_settings_table(mr_buf *out, const mr_option *table) {
    mr_buf_text(out, "| key | flag | environment | values | default | what it is |\n"
                     "| --- | --- | --- | --- | --- | --- |\n");
    for (const mr_option *row = table; row->name; row++) {
        mr_buf_printf(out, "| `%s` | ", row->name);
        if (row->secret)
            mr_buf_text(out, "none: secret");
        else
            put_plain_flag(out, row->name);
        mr_buf_text(out, " | `MILLRACE_");
        put_upper(out, row->name);
        mr_buf_text(out, "` | ");
        put_bounds(out, row);
        mr_buf_printf(out, " | %s%s%s | %s |\n", row->def ? "`" : "", row->def ? row->def : "",
                      row->def ? "`" : "", row->help);
    }
}

/* ---- the pages of a program that has one table ---- */

static void put_page(mr_buf *out, const mr_usage *usage, const mr_option *table) {
    char source[64];
    snprintf(source, sizeof source, "%s docs", usage->program);
    mr_man_head(out, usage->program, source, usage->summary);
    mr_buf_text(out, ".Sh SYNOPSIS\n.Nm\n.Op options\n.Sh DESCRIPTION\n");
    mr_man_text(out, usage->detail);
    mr_buf_text(out, "\n.Sh OPTIONS\n");
    mr_man_options(out, table);
    mr_buf_text(out, ".Sh ENVIRONMENT\n.Bl -tag -width indent\n");
    mr_man_variables(out, table);
    mr_buf_text(out, ".El\n");
    mr_man_exit_status(out);
    mr_man_example(out, usage->example);
    mr_buf_text(out, ".Sh SEE ALSO\n.Xr millrace 1\n");
}

static void put_settings(mr_buf *out, const mr_usage *usage, const mr_option *table) {
    mr_buf_printf(out, "# Settings of `%s`\n\nMade by `%s docs`. Do not edit. Flags come first, then the environment, then "
                       "the YAML file that `--config` names, then defaults.\n\n",
                  usage->program, usage->program);
    mr_settings_table(out, table);
}

static mr_status write_page(const char *folder, const char *fmt, const mr_usage *usage, const mr_option *table,
                            void (*put)(mr_buf *, const mr_usage *, const mr_option *), mr_error *err) {
    char path[PATH_MAX], name[128];
    mr_buf text;
    snprintf(name, sizeof name, fmt, usage->program);
    if ((size_t)snprintf(path, sizeof path, "%s/%s", folder, name) >= sizeof path)
        return mr_fail(err, MR_E_LIMIT, "the path %.200s is too long", folder);
    mr_buf_init(&text, NULL, 1 << 20);
    put(&text, usage, table);
    mr_status s = mr_buf_status(&text);
    if (s == MR_OK) s = mr_file_write(path, mr_buf_span(&text), 0644, err);
    else mr_fail_text(err, s, "%s does not fit into memory", name);
    mr_buf_free(&text);
    return s;
}

mr_status mr_man_write(const char *folder, const mr_usage *usage, const mr_option *table, mr_error *err) {
    MR_TRY(write_page(folder, "man/%s.1", usage, table, put_page, err));
    return write_page(folder, "settings-%s.md", usage, table, put_settings, err);
}
