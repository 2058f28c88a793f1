/* io_rig.h: what the tests of broker/io stand on: a migrated database of their own, an outbox that desks hand
 * jobs back to, rows to run over, and msgpack written as JSON. Everything here asserts; a test that gets a
 * value got a right one. */
#ifndef MR_TESTS_UNIT_IO_RIG_H
#define MR_TESTS_UNIT_IO_RIG_H

#include "broker/io/desk.h"
#include "broker/io/lease.h"
#include "broker/io/plan.h"
#include "tests/unit/services.h"

enum { RIG_WAIT_MS = 20000 };

typedef struct rig {
    char url[SERVICES_URL]; /* empty: there is no server, and the test skips */
    mr_pg *pg;              /* of the test's thread */
    mr_log log;
    mr_queue outbox;
    mr_waker waker;
    mr_job *done; /* taken out of the outbox, not yet asked for */
} rig;

/* For cmocka's group setup and teardown; *state is a rig. */
int rig_start(void **state);
int rig_stop(void **state);
/* The rig, with empty tables; skips without a server. */
rig *rig_of(void **state);

/* Sets what every desk needs; the rest of `desk` is left alone. */
void rig_desk(rig *r, mr_desk *desk);
/* The next finished job, in the order they were handed back. */
mr_job *rig_next(rig *r);

/* ---- the database ---- */
void rig_sql(rig *r, const char *fmt, ...) MR_PRINTF(2, 3);
int64_t rig_number(rig *r, const char *fmt, ...) MR_PRINTF(2, 3); /* the first cell, int4 or int8 */
bool rig_true(rig *r, const char *fmt, ...) MR_PRINTF(2, 3);
/* Ends every other connection of this database. */
void rig_cut_connections(rig *r);
/* Lets nobody connect, and ends those that are; and back. */
void rig_database_away(rig *r, bool away);

/* Takes every partition for `owner`, whoever has it. */
mr_lease rig_lease(rig *r, const char *owner);
/* n prompts with ids in order; the i-th (from 1) has the text "prompt i", score i / n and the label {"label":
 * "a"|"b"}. */
void rig_prompts(rig *r, int n);
/* A table "t" with the columns x number, k integer, note text, score number and n rows; every fifth x is
 * missing. */
void rig_table(rig *r, int n);

/* A job for a run of the data set with `steps` steps, each of the shape; the lease must outlive it. */
mr_plan_job *rig_plan_job(const mr_lease *lease, const char *dataset, uint32_t shape, uint32_t batch_rows,
                          uint32_t columns, uint32_t steps);
/* Plans it on the calling thread. */
mr_run_info *rig_run(rig *r, const mr_lease *lease, const char *dataset, uint32_t shape, uint32_t batch_rows,
                     uint32_t columns);

/* ---- msgpack ---- */
void rig_pack(mr_buf *out, const char *fmt, ...) MR_PRINTF(2, 3); /* appends the JSON as msgpack */
/* The document as JSON; free() it. */
char *rig_json(mr_span pack);

#endif
