/* itemrows.h: rows of items in a compact form that merges exactly: every row is kept, so whatever is counted
 * from the merged rows does not depend on how they were cut into batches.
 *
 * A row holds items (texts, kept once in a dictionary), plain numbers, and, where asked for, a session (a
 * text) and a time. The packed form takes, for rows of m different items out of d, about m varints of the
 * gaps between sorted item numbers (one byte each while gaps stay under 128) and 1 or 2 bytes a row, and the
 * dictionary once; with `sessions` a varint more a row, with `times` 8 bytes. */
#ifndef MR_KIT_ITEMROWS_H
#define MR_KIT_ITEMROWS_H

#include "common/pack.h"

enum {
    MR_ITEMROWS_ORDERED = 1,  /* a row's items keep their order and repeats; else they are a set */
    MR_ITEMROWS_SESSIONS = 2, /* rows have a session */
    MR_ITEMROWS_TIMES = 4,    /* rows have a time */
    MR_ITEMROWS_PLAIN = 8     /* rows have plain numbers */
};

/* Texts, each once, numbered from 0: in the order of their coming until the rows are sorted, then by bytes.
 */
typedef struct mr_terms {
    mr_span *text;
    uint32_t count, cap, slots;
    uint32_t *slot; /* open addressing: number + 1, or 0 */
} mr_terms;

typedef struct mr_itemrows {
    mr_arena *arena;
    unsigned flags;
    uint64_t seen; /* rows offered, kept or not; the caller counts */
    mr_terms items, sessions;
    uint32_t rows;
    uint32_t *item_end, *plain_end; /* of row i; it starts where row i - 1 ends */
    uint32_t *item, *plain, *session;
    double *time;
    size_t cap_rows, cap_items, cap_plain;
} mr_itemrows;

enum { MR_NO_SESSION = 0 }; /* mr_itemrows.session is this, or the session's number + 1 */

void mr_itemrows_init(mr_itemrows *r, mr_arena *arena, unsigned flags);

/* A row is begun, gets its items and numbers, and is ended. Texts are borrowed. Errors: E_MEMORY; E_LIMIT
 * over 2^31 items. */
mr_status mr_itemrows_item(mr_itemrows *r, mr_span text, mr_error *err) MR_MUST_CHECK;
/* All words of the text: what stands between blanks (space, tab, line end). */
mr_status mr_itemrows_words(mr_itemrows *r, mr_span text, mr_error *err) MR_MUST_CHECK;
mr_status mr_itemrows_plain(mr_itemrows *r, uint32_t value, mr_error *err) MR_MUST_CHECK;
/* An empty `session` is none; `time` must be finite. */
mr_status mr_itemrows_end(mr_itemrows *r, mr_span session, double time, mr_error *err) MR_MUST_CHECK;

/* Numbers items and sessions by the order of their bytes, and sorts the items of rows that are sets. Needed
 * before packing and before reading item numbers. Errors: E_MEMORY. */
mr_status mr_itemrows_sort(mr_itemrows *r, mr_error *err) MR_MUST_CHECK;

/* The one byte form of sorted rows. */
void mr_itemrows_pack(const mr_itemrows *r, mr_buf *out);
/* Appends packed rows; the texts are borrowed from `bytes`. Errors: E_CORRUPT; E_INVALID other flags than
 * ours; E_MEMORY. */
mr_status mr_itemrows_add_packed(mr_itemrows *r, mr_unpack *in, mr_error *err) MR_MUST_CHECK;

/* The same from a partial, an array of `parts` of which the first is `magic` and the second are packed rows; *rest is at what
 * is behind them. `first`: ours are empty and take the flags of these. */
mr_status mr_itemrows_add_partial(mr_itemrows *r, mr_span partial, const char *magic, uint32_t parts, bool first,
                                  mr_unpack *rest, mr_error *err) MR_MUST_CHECK;

static inline uint32_t mr_itemrows_at(const uint32_t *end, uint32_t row) { return row ? end[row - 1] : 0; }

#endif
