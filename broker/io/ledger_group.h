/* ledger_group.h: results that are written together, in one fenced transaction: few by one statement in one round trip,
 * many by COPY. */
#ifndef MR_BROKER_IO_LEDGER_GROUP_H
#define MR_BROKER_IO_LEDGER_GROUP_H

#include "broker/io/ledger.h"

enum { MR_GROUP_MAX = 4096, MR_GROUP_BYTES = 32 * 1024 * 1024 };

/* The jobs stay whoever's they are. */
typedef struct mr_group {
    size_t n, bytes; /* bytes: of bodies and artifacts, at most MR_GROUP_BYTES when there is more than one */
    bool artifacts;  /* some have */
    mr_commit_job *job[MR_GROUP_MAX];
    int64_t run[MR_GROUP_MAX];
} mr_group;

void mr_group_begin(mr_group *g);
/* False when it does not fit any more. */
bool mr_group_add(mr_group *g, mr_commit_job *job);

typedef struct mr_group_writer mr_group_writer;
mr_group_writer *mr_group_writer_new(void); /* NULL without memory */
void mr_group_writer_free(mr_group_writer *w);
/* Writes the group and sets each job's verdict: a row that was there before is another attempt's (stale) or our own, from a
 * commit whose answer was lost (committed). Whatever fails has written nothing, or cannot be known to have. */
mr_status mr_group_write(mr_group_writer *w, mr_pg *pg, const mr_lease *lease, mr_group *g, mr_error *err) MR_MUST_CHECK;

#endif
