/* window.h: a stretch of a version's rows in memory. Batches are small and come in order, so rows are read from the
 * database some thousands at a time and cut into batches here. */
#ifndef MR_BROKER_IO_WINDOW_H
#define MR_BROKER_IO_WINDOW_H

#include "broker/io/plain_rows.h"
#include "broker/io/run_info.h"

typedef struct mr_window {
    mr_arena *arena;
    uint64_t version, first; /* rows first .. first + rows - 1 of the version; rows 0: nothing is held */
    uint32_t rows, columns;  /* which columns were read */
    mr_prompt *prompts;      /* of prompts, with */
    float *features;         /* rows x 31 */
    mr_cell *cells;          /* or of a table: rows x columns */
    mr_plain_rows plain;     /* what is read when features alone are wanted */
    atomic_ulong *seen;      /* counts every row that comes, for the watchdog; may be NULL */
} mr_window;

/* Rows first .. first + rows - 1 of the run's version as a segment, behind what is in `out`; `arena` is for what is needed
 * meanwhile. Errors: E_CORRUPT rows are missing or broken, E_MEMORY, E_LIMIT, and those of the database and of the bindings. */
mr_status mr_window_segment(mr_window *w, mr_pg *pg, const mr_run_info *info, uint64_t first, uint32_t rows,
                            uint32_t columns, mr_arena *arena, mr_buf *out, mr_error *err) MR_MUST_CHECK;
/* Takes in the rows that are on their way, if any: before any other statement on the connection, and before it is left lying. */
void mr_window_settle(mr_window *w, mr_pg *pg);
bool mr_window_awaits(const mr_window *w);
void mr_window_free(mr_window *w);

#endif
