/* cron.h: when a schedule is due: once, each so many seconds, or by the five fields of cron (POSIX crontab)
 * in UTC. Times are microseconds since 1970 by the database's clock, and come from outside. */
#ifndef MR_BROKER_CORE_CRON_H
#define MR_BROKER_CORE_CRON_H

#include "common/status.h"

/* Bits of the values that fit. When both days are restricted, one of them is enough, as in crontab. */
typedef struct mr_cron {
    uint64_t minute;
    uint32_t hour, day, month, weekday; /* day and month from 1; weekday 0 is Sunday */
    bool any_day, any_weekday;
} mr_cron;

/* "minute hour day month weekday": numbers, lists, ranges, steps (1-5; 0,30; *; each 15th as * with /15).
 * E_INVALID says which field; also for what never comes, such as 30 February. */
mr_status mr_cron_parse(const char *text, mr_cron *out, mr_error *err) MR_MUST_CHECK;
/* The first full minute after that time. */
int64_t mr_cron_next(const mr_cron *c, int64_t after_us);

typedef enum mr_recurrence { MR_ONCE, MR_EVERY, MR_CRON } mr_recurrence;

typedef struct mr_timetable {
    mr_recurrence kind;
    int64_t every_us;
    mr_cron cron;
} mr_timetable;

#define MR_NEVER INT64_MAX

/* `pending` has come: which time is to be fired, and which is pending after it (MR_NEVER: none). Of several
 * that were missed it is the last one alone. */
void mr_timetable_fire(const mr_timetable *t, int64_t pending_us, int64_t now_us, int64_t *due_us,
                       int64_t *next_us);

#endif
