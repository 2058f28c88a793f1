/* view.h: the broker's replies for people and for programs. A list is a msgpack map {"columns": [names],
 * "rows": [[values]], "more": bool}; anything else is shown member by member. As JSON a list is an array of
 * objects. By name: a column `at` or `..._at` is a time (microseconds since 1970 UTC), `..._ms` and `..._us`
 * a duration. */
#ifndef MR_BROKER_CLI_VIEW_H
#define MR_BROKER_CLI_VIEW_H

#include "broker/cli/client.h"

/* A list that was taken apart: columns x rows values, as positions in the bytes. Borrowed from `pack` and the
 * arena. */
typedef struct mr_list {
    uint32_t columns, rows;
    const mr_span *names;
    const mr_unpack *values; /* rows x columns */
    bool more;
} mr_list;

/* E_PROTOCOL when the bytes are no list, or a row is not as wide as the header. */
mr_status mr_list_read(mr_span pack, mr_arena *arena, mr_list *out, mr_error *err) MR_MUST_CHECK;
/* The column of that name, or -1. */
int mr_list_column(const mr_list *list, const char *name);
/* A value as text, as it would stand in a table cell; "" when the column is not there. */
void mr_list_text(const mr_list *list, uint32_t row, const char *column, mr_buf *out);
uint64_t mr_list_u64(const mr_list *list, uint32_t row, const char *column); /* 0 when it is no number */

/* A reply as a table (or members) or, with --json, as JSON; with its line end. */
mr_status mr_view(const mr_cli *cli, mr_span pack, mr_error *err) MR_MUST_CHECK;
/* The same into a buffer. `width` as in mr_cli. */
mr_status mr_view_table(mr_span pack, unsigned width, mr_buf *out, mr_error *err) MR_MUST_CHECK;
mr_status mr_view_json(mr_span pack, mr_buf *out, mr_error *err) MR_MUST_CHECK;

/* Calls a command that answers with something to look at, and shows it. `args` may be NULL; it is freed. */
mr_status mr_view_call(const mr_cli *cli, mr_command command, mr_params *args, mr_error *err) MR_MUST_CHECK;

/* Columns that the text takes on a terminal. */
size_t mr_display_width(mr_span text);

#endif
