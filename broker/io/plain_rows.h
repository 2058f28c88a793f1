/* plain_rows.h: the features of a stretch of a version's prompts, and nothing else of them. They are read along the primary
 * key, and where stretches follow one another the next one is on its way while this one is used. */
#ifndef MR_BROKER_IO_PLAIN_ROWS_H
#define MR_BROKER_IO_PLAIN_ROWS_H

#include "common/pg.h"

typedef struct mr_plain_stretch {
    uint64_t version, first; /* rows first .. first + rows - 1 of the version; rows 0: none */
    uint32_t rows;
    bool there;              /* they are in `features`; else they do not lie plainly in the table */
    bool gaps;               /* rows of the table that are not the version's lie between them, or may */
    float *features;         /* rows x 31 */
    size_t room;             /* numbers that fit */
} mr_plain_stretch;

/* For one thread. Zeroed at birth. */
typedef struct mr_plain_rows {
    mr_plain_stretch now, next;
    uint64_t session; /* the connection's while `next` is awaited from it; else 0 */
} mr_plain_rows;

/* Row `first` and those behind it, `rows` of them, 31 each; NULL when they are not all held. */
const float *mr_plain_rows_find(const mr_plain_rows *f, uint64_t version, uint64_t first, uint32_t rows);
/* Reads rows first .. first + rows - 1, and asks for as many behind them, up to `end`, when they follow what was held. MR_OK
 * and nothing held: they lie too far apart, or some are missing. Errors: E_MEMORY, and those of the database. */
mr_status mr_plain_rows_move(mr_plain_rows *f, mr_pg *pg, uint64_t version, uint64_t first, uint32_t rows, uint64_t end,
                               mr_error *err) MR_MUST_CHECK;
/* Takes in what was asked for: before any other statement on the connection. */
void mr_plain_rows_settle(mr_plain_rows *f, mr_pg *pg);
void mr_plain_rows_free(mr_plain_rows *f);

#endif
