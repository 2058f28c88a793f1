/* ledger.h: the desk that commits results. What waits is written in one transaction (group commit): while one group is
 * being written the next one gathers, so groups grow with the load; only when results come by the hundred does a group wait
 * some milliseconds for more (ADR 29). Every transaction is fenced by the broker's leases; a job is of the epoch under which
 * it was given, and after that nothing is written for it. */
#ifndef MR_BROKER_IO_LEDGER_H
#define MR_BROKER_IO_LEDGER_H

#include "broker/core/core.h"
#include "broker/io/bytes.h"
#include "broker/io/desk.h"
#include "broker/io/lease.h"
#include "proto/gen/wire.h"

enum { MR_ARTIFACTS_MAX = 8 };

/* ---- jobs ---- */

typedef struct mr_artifact_ref {
    char name[MR_NAME_MAX + 1], media_type[MR_NAME_MAX + 1];
    mr_hash hash;
    mr_span bytes; /* in the frame */
} mr_artifact_ref;

/* A received result; what the core calls a body. */
typedef struct mr_commit_job {
    mr_job head;
    int64_t epoch; /* of its run's partition */
    mr_work_key key;
    uint64_t attempt, first_row, rows, compute_us;
    uint32_t peer;
    bool last;
    char worker[MR_NAME_MAX + 1];
    mr_bytes *frame; /* the message body that `body` and the artifacts lie in */
    mr_span body;
    mr_hash hash;
    uint32_t artifacts;
    mr_artifact_ref *artifact; /* `artifacts` of them; NULL when there are none */
    mr_verdict verdict; /* out; MR_REFUSED: the database never takes it, head.error says why */
} mr_commit_job;

void mr_commit_job_free(mr_commit_job *job);
/* Gives up what the job holds. */
void mr_commit_job_clear(mr_commit_job *job);
/* Of a transaction that failed with `err`: was it for something in what it was to write, rather than for a database that is away, or
 * a lost lease? */
bool mr_ledger_at_fault(const mr_pg *pg, const mr_error *err);
/* The first that waits is a commit that failed with `err` by itself. What the database says no to goes back for good (MR_REFUSED);
 * where something else is wrong, with its run's part of the tables say, it waits behind the others. True for the first: then
 * the next can be tried at once. */
bool mr_ledger_set_aside(mr_desk *desk, mr_waiting *waiting, const mr_error *err);

/* A failed attempt, to be appended. */
typedef struct mr_failure_job {
    mr_job head;
    int64_t epoch;
    mr_work_key key;
    uint64_t attempt;
    char worker[MR_NAME_MAX + 1], reason[MR_MAX_RESULT_ITEM_TEXT + 1], log[MR_MAX_RESULT_ITEM_LOG + 1];
    mr_status cause;
    bool dead;
} mr_failure_job;

/* The end of a run. `existed` (out): it had an end already. */
typedef struct mr_run_end_job {
    mr_job head;
    int64_t epoch;
    uint64_t run;
    int32_t life; /* which of its lives ends */
    mr_run_state state;
    char reason[256];
    char counts[2048]; /* JSON */
    bool existed;
    uint32_t peer, call; /* of the client that asked, or peer 0 */
} mr_run_end_job;

/* For jobs of this desk: one statement in a fenced transaction. `*changed` (out): the rows it wrote. */
mr_status mr_ledger_write(mr_desk *desk, uint64_t run, int64_t epoch, const mr_pg_statement *st, const mr_pg_params *p,
                          uint64_t *changed, mr_error *err) MR_MUST_CHECK;
void mr_failure_work(mr_desk *desk, mr_job *job);
void mr_run_end_work(mr_desk *desk, mr_job *job);
/* Locks a run's row against others who end or reopen it at a person's wish; what the transaction reads after it is as they
 * left it. */
extern const mr_pg_statement mr_ledger_lock_run;
/* The same as mr_run_end_work for a person's cancel, which any broker may write: the run's owner is told. */
void mr_run_cancel_work(mr_desk *desk, mr_job *job);

/* ---- the desk ---- */

/* `lease` outlives the desk. */
mr_status mr_ledger_start(mr_desk *desk, mr_lease *lease, mr_error *err) MR_MUST_CHECK;
/* Writes one result in the transaction that is open; sets its verdict. */
mr_status mr_ledger_write_one(mr_pg *pg, mr_commit_job *job, mr_error *err) MR_MUST_CHECK;
/* A result's row in another desk's transaction: its statement and parameters, which borrow the body; its verdict from what
 * the statement gave; and, after COMMIT, whether a row that was there before is its own, from a commit whose answer was lost. */
extern const mr_pg_statement mr_ledger_insert_one;
void mr_ledger_put_one(mr_pg_params *p, const mr_commit_job *job);
void mr_ledger_take_one(mr_commit_job *job, const mr_pg_result *inserted);
mr_status mr_ledger_settle(mr_pg *pg, mr_pg_params *p, mr_commit_job *job, mr_error *err) MR_MUST_CHECK;
/* The `work` of commit jobs is this; they are told apart by it. */
void mr_commit_work(mr_desk *desk, mr_job *job);

#endif
