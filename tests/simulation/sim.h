/* sim.h: a broker, its workers, its loader and its database in one process under simulated time. The core is
 * the real one; everything around it is simulated here, with faults, all from one seed. A checker watches
 * every step:
 *   - no key has two result rows, and each row holds what the computation without faults gives;
 *   - a merge is loaded only when all its children are in the table;
 *   - an attempt number is never used twice;
 *   - a worker gets the step before the work, only what it offers, and never more than its credit;
 *   - what is answered `committed` or `stale` is in the table; every result gets one answer;
 *   - every body ends in one COMMIT or DROP_BODY, every input in one UNLOAD;
 *   - no commit of a key runs beside another;
 *   - what was in the table when the broker started is not computed again;
 *   - an event that found no memory has changed nothing, and a core leaves no memory behind;
 *   - what is paused sends nothing; no more attempts are out at any moment than a limit lets, and no more are
 *     sent than its rate, also across restarts of the broker;
 *   - nothing goes before ready work of a higher priority that the same worker could have taken, unless it has
 *     aged;
 *   - a batch that was given up is not tried again, also after a restart, until it is replayed: then its run
 *     succeeds;
 *   - every run ends as it must, also when inputs never come (the watchdog), and then nothing is left in the core
 *     or in a worker. */
#ifndef MR_TESTS_SIMULATION_SIM_H
#define MR_TESTS_SIMULATION_SIM_H

#include "common/status.h"

/* Variants that are broken on purpose: the checker must catch each. */
typedef enum sim_variant {
    SIM_SOUND,
    SIM_ACK_BEFORE_COMMIT, /* the shell acknowledges when it hands a result to the ledger */
    SIM_NO_RESEND,         /* a worker sends each result once */
    SIM_REUSE_ATTEMPTS,    /* the broker starts again from the same first attempt */
    SIM_FORGET_DONE,       /* a restarted broker does not tell the core what is in the table */
    SIM_HOPE,              /* a commit of unknown outcome counts as done, without reading back */
    SIM_NO_UNIQUE,   /* a commit of unknown outcome is done again, into a table whose key is not unique */
    SIM_WRONG_INPUT, /* the loader gives a merge other bytes than its children's */
    SIM_FORGET_RULES,  /* a restarted broker does not tell the core of pauses and limits */
    SIM_ONE_MORE,      /* limits are one higher than what was asked for */
    SIM_TWICE_AS_FAST, /* rates are twice what was asked for */
    SIM_NO_PRIORITY,   /* every run has the same priority */
    SIM_FORGET_DEAD,   /* a restarted broker does not tell the core what was given up */
    SIM_NO_WATCHDOG,
    SIM_VARIANTS
} sim_variant;

typedef struct sim_report {
    bool ok;
    char text[256]; /* what was broken, and when */
    uint64_t seed, end_ms, events, sent, committed, retried, lost, broker_starts, worker_starts;
    uint64_t rules, replays, stalls;
} sim_report;

/* Runs one schedule to its end; `trace` prints each step of it. */
void sim_run(uint64_t seed, sim_variant variant, bool trace, sim_report *out);

#endif
