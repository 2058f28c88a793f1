#include "common/clock.h"
#include "common/status.h"

#include <stdio.h>
#include <time.h>

static int64_t read_clock(clockid_t id) {
    struct timespec t;
    MR_ASSERT(clock_gettime(id, &t) == 0);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

uint64_t mr_clock_monotonic_ns(void) { return (uint64_t)read_clock(CLOCK_MONOTONIC); }
int64_t mr_clock_wall_ns(void) { return read_clock(CLOCK_REALTIME); }
uint64_t mr_clock_thread_cpu_ns(void) { return (uint64_t)read_clock(CLOCK_THREAD_CPUTIME_ID); }

void mr_time_text(int64_t wall_ns, char out[MR_CLOCK_TEXT]) {
    int64_t seconds = wall_ns / 1000000000, rest = wall_ns % 1000000000;
    if (rest < 0) seconds--, rest += 1000000000;
    time_t t = (time_t)seconds;
    struct tm tm;
    gmtime_r(&t, &tm);
    size_t n = strftime(out, MR_CLOCK_TEXT, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(out + n, MR_CLOCK_TEXT - n, ".%06uZ", (unsigned)(rest / 1000) % 1000000u);
}
