/* feed.h: rows on their way to the broker: gathered into calls of `ingest_rows`, of which some are under way
 * at once, so that a slow COMMIT does not leave the line idle; not more of them than that, as a client that runs far ahead
 * takes processor time from the database that it waits for in the end. The first calls are small, so that all stages have
 * work soon. Small files of prompts share a call, since
 * each call costs a COMMIT; then the rows of the files behind the first have their lines counted on, and
 * replies are told apart by that. (A row that the broker refuses is recorded there under the call's first
 * file; rows are checked here before, so that happens only where the broker's limits are lower.) A call that
 * the broker cannot take now is sent again, and so are all that it has not answered when it was away. */
#ifndef MR_BROKER_CLI_FEED_H
#define MR_BROKER_CLI_FEED_H

#include "broker/cli/client.h"
#include "broker/cli/term.h"

enum {
    MR_FEED_CALLS = 128,
    MR_FEED_ROWS = 4000,
    MR_FEED_FIRST = 250,
    MR_FEED_BYTES = 2 << 20,
    MR_FEED_AHEAD = 4 << 20,
    MR_FEED_FILES = 256
};

typedef struct mr_feed_file {
    const char *name;
    uint64_t refused; /* rows so far */
} mr_feed_file;

/* A file's rows in a call: their lines on the wire are base + line. */
typedef struct mr_feed_part {
    mr_feed_file *file;
    uint64_t base;
} mr_feed_part;

/* One call: its rows stay here until the reply. */
typedef struct mr_feed_slot {
    mr_buf body;
    size_t at; /* of the array's header */
    uint32_t rows, call;
    bool busy;
    uint64_t first_ms;  /* when it was sent first */
    uint64_t last_line; /* on the wire */
    uint32_t parts;
    mr_feed_part part[MR_FEED_FILES];
} mr_feed_slot;

typedef struct mr_feed {
    mr_client *client;   /* another one after the broker was lost: close this one */
    const char *address; /* of the broker */
    mr_stop *stop;
    mr_progress progress;
    uint64_t ingest;
    unsigned timeout_ms;
    bool verbose, duplicates, join; /* verbose, duplicates: tell all of them; join: files may share a call */
    mr_feed_file *file;
    mr_feed_slot slots[MR_FEED_CALLS], *open;
    size_t bytes_ahead;
    uint32_t call_rows; /* when the call that is open is full: from MR_FEED_FIRST up to MR_FEED_ROWS */
    mr_buf rejects; /* msgpack items of the next ingest_reject */
    uint32_t reject_count;
    uint64_t read, stored, updated, duplicate, rejected, files, bytes;
} mr_feed;

/* `f` is large: keep it on the heap. Everything in it is borrowed. */
void mr_feed_init(mr_feed *f, mr_client *client, const char *address, mr_stop *stop, uint64_t ingest,
                  unsigned timeout_ms);
/* The client must be closed before: bodies may be on their way until then. */
void mr_feed_free(mr_feed *f);

void mr_feed_begin(mr_feed *f, mr_feed_file *file);
/* Where the next row is packed to; waits for a free call. *line becomes the line to pack. */
mr_status mr_feed_row(mr_feed *f, uint64_t *line, mr_buf **to, mr_error *err) MR_MUST_CHECK;
/* The row is packed. E_INTERRUPTED when Ctrl-C was pressed. */
mr_status mr_feed_added(mr_feed *f, mr_error *err) MR_MUST_CHECK;
/* A row that this side refuses: told on stderr, and to the broker. */
mr_status mr_feed_reject(mr_feed *f, uint64_t line, uint64_t column, mr_status why, const char *reason,
                         mr_error *err) MR_MUST_CHECK;
/* The file is at its end; without `join` what is gathered is sent. */
mr_status mr_feed_end(mr_feed *f, mr_error *err) MR_MUST_CHECK;
/* Sends the rejects, waits for all replies. */
mr_status mr_feed_finish(mr_feed *f, mr_error *err) MR_MUST_CHECK;
void mr_feed_progress(mr_feed *f);

#endif
