/* act.h: how the core's actions are carried out; the inside of act.c, act_work.c, act_load.c and act_commit.c. All of it runs
 * on the loop's thread. */
#ifndef MR_BROKER_IO_ACT_H
#define MR_BROKER_IO_ACT_H

#include "broker/io/broker.h"

/* act.c: for a desk that gets it with the others of this round. */
void mr_broker_gather(mr_out_jobs *out, mr_job *job);

/* act_work.c: what is for one peer waits until it is flushed. */
void mr_broker_send_work(mr_broker *b, const mr_action *a);
void mr_broker_send_step(mr_broker *b, const mr_action *a);
void mr_broker_cancel_attempt(mr_broker *b, const mr_action *a);
void mr_broker_flush_work(mr_broker *b);
void mr_broker_flush_acks(mr_broker *b);

/* act_load.c */
void mr_broker_load(mr_broker *b, const mr_action *a);

/* act_commit.c */
void mr_broker_commit(mr_broker *b, const mr_action *a);
void mr_broker_record_failure(mr_broker *b, const mr_action *a);
void mr_broker_run_finished(mr_broker *b, const mr_action *a);
void mr_broker_forget_run(mr_broker *b, uint64_t id);

#endif
