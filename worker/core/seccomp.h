/* seccomp.h: what a compute process may ask of the kernel: memory, its two descriptors and what comes through them,
 * clocks, its own signals and its end. A component's code, and whatever a hostile input makes of it, can then reach no
 * file, no network, no other process and no program. A raw BPF filter (seccomp(2)), so no library is needed. */
#ifndef MR_WORKER_CORE_SECCOMP_H
#define MR_WORKER_CORE_SECCOMP_H

#include "common/status.h"

/* For good, for the calling process and its threads. What is not allowed fails with EPERM, so that a library which only
 * tries goes on; starting a program, opening a socket or looking into another process ends the process (SIGSYS).
 * E_UNAVAILABLE where the kernel, the machine's architecture or the container has no such filters. */
mr_status mr_seccomp_confine(mr_error *err) MR_MUST_CHECK;

#endif
