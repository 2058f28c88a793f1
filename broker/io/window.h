/* window.h: a stretch of a version's rows in memory. Batches are small and come in order, so rows are read from the
 * database some thousands at a time and cut into batches here. */
#ifndef MR_BROKER_IO_WINDOW_H
#define MR_BROKER_IO_WINDOW_H

#include "broker/io/run_info.h"

typedef struct mr_window {
    mr_arena *arena;
    uint64_t version, first; /* rows first .. first + rows - 1 of the version; rows 0: nothing is held */
    uint32_t rows, columns;  /* which columns were read */
    mr_prompt *prompts;      /* of prompts, with */
    float *features;         /* rows x 31 */
    mr_cell *cells;          /* or of a table: rows x columns */
    atomic_ulong *seen;      /* counts every row that comes, for the watchdog; may be NULL */
} mr_window;

/* Rows first .. first + rows - 1 of the run's version as a batch; borrows from `arena` and from the window until its next
 * use. Errors: E_CORRUPT rows are missing or broken, E_MEMORY, and those of the database and of the bindings. */
mr_status mr_window_batch(mr_window *w, mr_pg *pg, const mr_run_info *info, uint64_t first, uint32_t rows,
                          uint32_t columns, mr_arena *arena, mr_batch *out, mr_error *err) MR_MUST_CHECK;
void mr_window_free(mr_window *w);

#endif
