/* divide.h: limits of components and clients that several brokers keep together. Each has a row that says how much of a
 * limit it may use at most, and takes more only of what the others' rows leave; so the rows of the living never add up to
 * more than the limit. It writes less only after its core has been told to use less, and what is out has come in. Those
 * that want something under a limit get even parts of it, in turns when there are more of them than slots. */
#ifndef MR_BROKER_IO_DIVIDE_H
#define MR_BROKER_IO_DIVIDE_H

#include "broker/core/core.h"
#include "broker/io/desk.h"

typedef struct mr_divided {
    mr_rule_of of;
    char name[MR_NAME_MAX];
    uint32_t max_concurrent; /* of the rule */
    double per_second;
    bool wanted;
    uint32_t used_slots; /* what the core may use or has out; becomes what the row says */
    double used_rate;
    uint32_t slots;      /* out: what the core may use from now on */
    double rate;
} mr_divided;

typedef struct mr_divide_job {
    mr_job head;
    const char *owner; /* the broker's name; outlives the job */
    uint32_t trust;    /* the loop's */
    bool shared;       /* out: other brokers are alive; else all of every limit is this broker's */
    uint32_t count, cap;
    mr_divided *item;
} mr_divide_job;

mr_divide_job *mr_divide_job_new(uint32_t cap); /* NULL without memory */
void mr_divide_job_free(mr_divide_job *job);
/* E_FULL: another broker is at it, or this one's own row has run out; again in a while. */
mr_status mr_divide(mr_pg *pg, mr_divide_job *job, mr_error *err) MR_MUST_CHECK;
void mr_divide_work(mr_desk *desk, mr_job *job);

#endif
