/* man.h: man pages (mdoc) and tables of settings, made from the same mr_option tables that the programs read. */
#ifndef MR_COMMON_MAN_H
#define MR_COMMON_MAN_H

#include "common/settings.h"

/* Pieces of a page. `source` is the command that makes it. */
void mr_man_head(mr_buf *out, const char *name, const char *source, const char *summary);
void mr_man_text(mr_buf *out, const char *text); /* escaped */
void mr_man_options(mr_buf *out, const mr_option *table); /* secrets are no flags */
void mr_man_variables(mr_buf *out, const mr_option *table); /* items of an ENVIRONMENT list */
void mr_man_exit_status(mr_buf *out);
void mr_man_example(mr_buf *out, const char *example); /* NULL: nothing */

/* A Markdown table: key, flag, environment, values, default, help. */
void mr_settings_table(mr_buf *out, const mr_option *table);

/* Writes man/PROGRAM.1 and settings-PROGRAM.md of a program with one table into `folder`. */
mr_status mr_man_write(const char *folder, const mr_usage *usage, const mr_option *table, mr_error *err) MR_MUST_CHECK;

#endif
