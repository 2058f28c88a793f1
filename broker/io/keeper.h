/* keeper.h: the desk that keeps this broker's leases, in rounds (lease.h), and listens to what other brokers say. */
#ifndef MR_BROKER_IO_KEEPER_H
#define MR_BROKER_IO_KEEPER_H

#include "broker/io/desk.h"
#include "broker/io/lease.h"

/* What a round changed; for the loop. */
typedef struct mr_news_job {
    mr_job head;
    mr_lease_news news;
    int64_t epoch[MR_PARTITIONS]; /* of those taken */
} mr_news_job;

/* What was said on the channel, or "all" when something may have been missed. */
typedef struct mr_heard_job {
    mr_job head;
    char text[128];
} mr_heard_job;

typedef struct mr_keeper_config {
    mr_holding holding; /* after the round of the start */
    mr_lease *lease;    /* outlives the desk */
    void (*news)(struct mr_broker *, mr_job *);  /* takes a mr_news_job */
    void (*heard)(struct mr_broker *, mr_job *); /* takes a mr_heard_job */
} mr_keeper_config;

/* At its end the desk gives back all that it holds. */
mr_status mr_keeper_start(mr_desk *desk, const mr_keeper_config *config, mr_error *err) MR_MUST_CHECK;

/* Jobs for the desk. The partition, under that epoch, is not wanted any more. */
typedef struct mr_give_back_job {
    mr_job head;
    int32_t partition;
    int64_t epoch;
} mr_give_back_job;
void mr_give_back_work(mr_desk *desk, mr_job *job);
/* From now on this broker takes nothing; a plain mr_job. */
void mr_keeper_drain_work(mr_desk *desk, mr_job *job);

#endif
