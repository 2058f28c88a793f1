/* intake_seen.h: which contents the intake has stored or found lately, so that it need not ask the database for each row whether
 * it is there: the unique index finds what was not asked for, at the price of a COPY that is undone. A guess, then, that costs
 * time when it is wrong and nothing else; it is made only while it has been right for long enough. Of one thread. */
#ifndef MR_BROKER_IO_INTAKE_SEEN_H
#define MR_BROKER_IO_INTAKE_SEEN_H

#include "common/hash.h"

enum {
    MR_SEEN_TRUST = 4096,         /* rows in a row, at first, that were asked for and told nothing new */
    MR_SEEN_TRUST_MAX = 1 << 20   /* after many wrong guesses */
};

/* Zeroed at birth. Up to a million contents, the oldest forgotten first; 16 MiB at most. */
typedef struct mr_seen {
    uint64_t *now, *before; /* open addressing by sums, 0 is empty; a full one becomes the one before */
    size_t slots, slots_before, count;
    uint64_t seed;          /* contents are a stranger's: no chains on purpose */
    uint64_t right, wanted; /* rows since the last surprise; so many are wanted */
} mr_seen;

void mr_seen_free(mr_seen *s);
bool mr_seen_has(const mr_seen *s, mr_span hash);
/* The content will be looked up or added soon: its places are far away in memory, and fetched meanwhile. */
void mr_seen_expect(const mr_seen *s, mr_span hash);
/* Without memory it is not remembered, and trust begins anew. */
void mr_seen_add(mr_seen *s, mr_span hash);

/* Is what it does not have new to the database too? */
bool mr_seen_trusted(const mr_seen *s);
/* `rows` that it did not have were new. */
void mr_seen_was_right(mr_seen *s, uint64_t rows);
/* One that it did not have was there, which was asked for: they are counted anew. */
void mr_seen_was_told(mr_seen *s);
/* One was there that was not asked for: besides, twice as many are wanted as before. */
void mr_seen_was_wrong(mr_seen *s);

#endif
