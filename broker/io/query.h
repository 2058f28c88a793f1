/* query.h: the commands that only read: each is a row of a table, with its statement, its arguments and its columns. */
#ifndef MR_BROKER_IO_QUERY_H
#define MR_BROKER_IO_QUERY_H

#include "broker/core/core.h"
#include "broker/io/desk.h"
#include "proto/gen/session.h"

enum { MR_QUERY_REPLY_MAX = 48 * 1024 * 1024 };

/* How far the steps of a run are, as the loop sees it; for run_show. */
typedef struct mr_live_step {
    uint64_t done, total, dead, in_hand;
    mr_run_state state;
    bool waiting;
} mr_live_step;

typedef struct mr_query_job {
    mr_job head;
    uint32_t peer, call; /* whom to answer */
    mr_command command;
    mr_buf args;         /* the call's msgpack map, checked */
    mr_buf reply;        /* out: one msgpack document */
    uint32_t live_steps; /* run_show: 0 when the loop does not know the run */
    mr_live_step live[MR_STEPS_MAX];
} mr_query_job;

/* NULL without memory. */
mr_query_job *mr_query_job_new(mr_command command, mr_span args);
void mr_query_job_free(mr_query_job *job);
void mr_query_work(mr_desk *desk, mr_job *job);

/* `redis_url` "" for none; the reader looks there first for an artifact's bytes. */
mr_status mr_reader_start(mr_desk *desk, const char *redis_url, unsigned ttl_s, mr_error *err) MR_MUST_CHECK;

/* What query_*.c share. */
typedef enum mr_cell_form {
    MR_SHOW_INT, MR_SHOW_FLOAT, MR_SHOW_TEXT, MR_SHOW_BOOL, MR_SHOW_TIME, MR_SHOW_HEX, MR_SHOW_BYTES, MR_SHOW_JSON
} mr_cell_form;

typedef struct mr_query_column {
    const char *name; /* NULL ends the list */
    mr_cell_form form;
} mr_query_column;

enum { MR_QUERY_COLUMNS = 16 };

/* Members of a map: name and cell of each column. */
void mr_query_pack_members(mr_buf *out, mr_pg_row *row, const mr_query_column *columns);
void mr_query_pack_cell(mr_buf *out, mr_pg_row *row, unsigned column, mr_cell_form form);
/* {"columns": [...], "rows": [...], "more": bool} of at most `limit` rows. */
mr_status mr_query_pack_list(mr_buf *out, const mr_pg_result *r, const mr_query_column *columns, uint32_t limit,
                             mr_error *err) MR_MUST_CHECK;
/* The commands that are more than one statement. */
typedef mr_status mr_query_fn(mr_desk *desk, mr_pg *pg, mr_query_job *job, mr_error *err);
/* `chain`, a member of run_show: what each step of a run was given, and where it came from. */
mr_status mr_query_pack_chain(mr_pg *pg, uint64_t run, mr_buf *out, mr_error *err) MR_MUST_CHECK;
mr_query_fn mr_query_prompt, mr_query_dead_show, mr_query_run_show, mr_query_artifact, mr_query_doctor, mr_query_task;

typedef struct mr_reader {
    struct mr_redis *redis; /* NULL for none */
    unsigned ttl_s;
} mr_reader;

#endif
