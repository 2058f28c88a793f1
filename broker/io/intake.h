/* intake.h: the desk that takes rows in. It checks every row again (a client's word is not enough), computes its features
 * and hash, and stores a call's rows in one transaction, which is answered after COMMIT. Behind it is a second thread, which
 * writes what the first has prepared; calls are answered in the order in which they came, except that refused ones may come
 * first. */
#ifndef MR_BROKER_IO_INTAKE_H
#define MR_BROKER_IO_INTAKE_H

#include "broker/io/desk.h"
#include "proto/gen/session.h"

typedef struct mr_intake_packet mr_intake_packet;

/* A call that writes data: ingest_begin, ingest_rows, ingest_reject, ingest_end, prompt_delete. */
typedef struct mr_intake_job {
    mr_job head;
    uint32_t peer, call; /* whom to answer */
    mr_command command;
    mr_buf args;         /* the call's msgpack map, checked */
    mr_net_body rows;    /* ingest_rows: an array, each row as mr_prompt_pack, or for a table [line, [cells...]] */
    char client[65];
    mr_intake_packet *packet; /* the rows once they are prepared; the intake's own */
    mr_buf reply;        /* out: one msgpack document */
} mr_intake_job;

/* NULL without memory; takes `rows` (which may be NULL) only when it succeeds. */
mr_intake_job *mr_intake_job_new(mr_command command, mr_span args, mr_net_body *rows, const char *client);
void mr_intake_job_free(mr_intake_job *job);

/* `max_chars`: the longest prompt that is taken from any client. */
mr_status mr_intake_start(mr_desk *desk, uint32_t max_chars, mr_error *err) MR_MUST_CHECK;

#endif
