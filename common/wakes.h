/* wakes.h: how quickly processors that have nothing to do wake up, where a message passes through many threads that each sleep
 * in between. Linux lets a program ask for it (PM QoS, Documentation/power/pm_qos_interface.rst): for as long as its file is
 * held, no idle processor of the machine sleeps more deeply than can be left in that time; with 0 it looks for work instead of
 * sleeping, which costs power, and takes the processor from nobody. */
#ifndef MR_COMMON_WAKES_H
#define MR_COMMON_WAKES_H

#include "common/status.h"

#include <stdbool.h>
#include <stdint.h>

#define MR_WAKES_FILE "/dev/cpu_dma_latency"

typedef struct mr_wakes {
    int fd; /* -1: nothing is asked for */
    int32_t us;
    bool held;
    uint64_t work, moved_ms; /* what was done when it was last looked at; when that changed */
} mr_wakes;

/* Processors are to wake within `us` microseconds while there is work; below 0 nothing is opened or asked for. Errors, each with
 * what to do: E_DENIED, E_NOT_FOUND no such kernel, E_IO. */
mr_status mr_wakes_open(const char *path, int64_t us, mr_wakes *out, mr_error *err) MR_MUST_CHECK;
/* `work` counts what was done so far: it is held from the moment at which that changes until a second after it last did. */
void mr_wakes_follow(mr_wakes *w, uint64_t work, uint64_t now_ms);
/* Of one that was opened. The kernel forgets what was asked for. */
void mr_wakes_close(mr_wakes *w);

#endif
