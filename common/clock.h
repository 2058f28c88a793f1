/* clock.h: the clocks of a program's shell. The pure core gets the time as an argument and never includes
 * this. */
#ifndef MR_COMMON_CLOCK_H
#define MR_COMMON_CLOCK_H

#include <stdint.h>

/* Never jumps; for durations and deadlines. */
uint64_t mr_clock_monotonic_ns(void);
/* Nanoseconds since 1970 UTC; may jump, so only for people and records. */
int64_t mr_clock_wall_ns(void);
/* Processor time of the calling thread. */
uint64_t mr_clock_thread_cpu_ns(void);

enum { MR_CLOCK_TEXT = 32 };
/* "2026-11-20T04:31:05.123456Z" (UTC, microseconds) from nanoseconds since 1970. */
void mr_time_text(int64_t wall_ns, char out[MR_CLOCK_TEXT]);

#endif
