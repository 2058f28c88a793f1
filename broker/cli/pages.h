/* pages.h: what is made from the commands' tables: man pages, completion scripts, the tables of errors and
 * settings. */
#ifndef MR_BROKER_CLI_PAGES_H
#define MR_BROKER_CLI_PAGES_H

#include "broker/cli/command.h"

/* A man page in mdoc; `command` NULL: millrace(1) itself. */
void mr_man_page(const mr_cli_command *command, mr_buf *out);

void mr_completion_bash(mr_buf *out);
void mr_completion_zsh(mr_buf *out);
void mr_completion_fish(mr_buf *out);

void mr_errors_page(mr_buf *out);   /* docs/errors.md */
void mr_settings_page(mr_buf *out); /* docs/settings.md: of this program */

#endif
