/* sim.h: brokers, workers, clients, their network and their database in one process under simulated time, from one
 * seed. The programs are the real ones, from their main loops on: only what lies behind the adapters of `common` (sockets,
 * PostgreSQL), threads, clocks, chance, compute processes and the rows of data sets is simulated here. A checker watches
 * every step:
 *   - no key has two result rows, and each row holds what the computation without faults gives;
 *   - a key of a submission gives one run, whatever was repeated;
 *   - an attempt number is never used twice, and its work comes with the input, seed and place that it must have;
 *   - a worker is never sent more than its credit, and only what it offers;
 *   - what is answered `committed` or `stale` is in the table, or its run is over; every result gets one answer;
 *   - every input ends in one UNLOAD, and no commit of a key runs beside another in one broker;
 *   - what was in the table when a broker read a run that it opens is not computed again by it;
 *   - an event that found no memory has changed nothing, and a core leaves no memory behind;
 *   - nothing is written under a lease that another broker has taken;
 *   - what is paused sends nothing; no more attempts are out of one broker than a limit lets, and no more are sent than its
 *     rate, also across restarts of it; and so of all brokers together that have leases and have known the rule for a while;
 *   - nothing goes before ready work of a higher priority that the same worker could have taken, unless it has aged;
 *   - a batch that was given up is not tried again, also after a restart, until it is replayed: then its run succeeds;
 *   - tasks of a stream are numbered without a gap, each packet is stored once and in its order, an accepted one is stored,
 *     and a producer that waits is told the result that is stored;
 *   - a broker that is well answers who asks how it is;
 *   - every run ends as it must, and then nothing is left in a core, in a worker or on the way. */
#ifndef MR_TESTS_SIMULATION_SIM_H
#define MR_TESTS_SIMULATION_SIM_H

#include "common/status.h"

/* Variants that are broken on purpose, each with what it does: the checker must catch each. */
#define SIM_VARIANTS_OF(X)                                                                                               \
    X(SOUND, "nothing is broken")                                                                                        \
    X(ACK_BEFORE_COMMIT, "a result is acknowledged when it is handed to the ledger")                                     \
    X(NO_RESEND, "a worker sends each result once")                                                                      \
    X(HELD_FORGOTTEN, "a worker sends a result only over the connection that it had first")                              \
    X(REUSE_ATTEMPTS, "a broker starts again from the same first attempt")                                               \
    X(FORGET_DONE, "a restarted broker is not told what is in the table")                                                \
    X(HOPE, "a commit of unknown outcome counts as done, without reading back")                                          \
    X(NO_UNIQUE, "the table of results has no unique key")                                                               \
    X(NO_SUBMIT_KEY, "the table of runs has no unique key of submissions")                                               \
    X(WRONG_INPUT, "a merge gets other bytes than its children's")                                                       \
    X(FORGET_RULES, "a restarted broker is not told of pauses and limits")                                               \
    X(ONE_MORE, "limits are one higher than what was asked for")                                                         \
    X(TWICE_AS_FAST, "rates are twice what was asked for")                                                               \
    X(NO_PRIORITY, "every run has the same priority")                                                                    \
    X(FORGET_DEAD, "a restarted broker is not told what was given up")                                                   \
    X(NO_WATCHDOG, "nobody watches for progress")                                                                        \
    X(CREDIT_TWICE, "the credit of a message is counted twice")                                                          \
    X(DEAF_TO_GONE, "a broker learns of a worker's end by time alone, and time is long")                                 \
    X(FORGET_RUNS, "a restarted broker does not look for unfinished runs")                                                \
    X(NO_FENCE, "transactions do not compare the epochs of their leases")                                                \
    X(NO_FENCE_LOCK, "transactions compare the epochs of their leases and do not lock them")                             \
    X(SAME_EPOCH, "a lease that is taken over keeps its epoch")                                                          \
    X(FORGET_HEARD, "a client that was heard since the clock was read is taken for silent")                              \
    X(FORGET_PACKETS, "a restarted broker does not know which packets of a producer it has")                             \
    X(FORGET_REPLAYS, "a broker learns that something of a run was replayed, and not what")                              \
    X(NO_PARTS, "brokers do not see what the others use of a limit")

typedef enum sim_variant {
#define SIM_VARIANT_ENUM(name, text) SIM_##name,
    SIM_VARIANTS_OF(SIM_VARIANT_ENUM) SIM_VARIANTS
} sim_variant;

/* What happened, counted over a schedule: proof that faults and transitions really came about. */
#define SIM_COUNTERS_OF(X)                                                                                               \
    X(events) X(clock_moved) X(clock_jumped) X(database_clock_jumped) X(messages) X(message_lost) X(message_twice) X(message_overtaken) X(link_stalled) X(link_broken)           \
    X(link_half_open) X(link_cut) X(queue_full) X(broker_start) X(broker_killed) X(broker_stopped) X(broker_paused)      \
    X(worker_start) X(worker_killed) X(worker_stopped) X(worker_paused) X(statement) X(commit) X(commit_unknown_done)    \
    X(commit_unknown_undone) X(commit_late) X(database_restart) X(database_slow) X(database_full) X(backend_killed)      \
    X(lock_wait) X(lease_taken_over) X(lease_given_back) X(fence_held) X(paused_fenced) X(foreign) X(no_memory) X(load) X(load_failed)    \
    X(load_stuck) X(sent) X(result) X(job_crashed) X(job_failed)                                                         \
    X(job_stuck) X(deadline) X(committed) X(stale) X(retry) X(read_back) X(cancelled) X(released) X(failure)             \
    X(dead) X(fetch) X(span_down) X(span_up) X(copy) X(worker_lost) X(step_finished) X(run_finished) X(run_found) X(stalled) X(stalled_fatal) X(rule)    \
    X(call) X(call_again) X(asked) X(run_cancelled) X(run_replayed) X(replayed_at_once) X(replay_told) X(submitted_again) \
    X(packet) X(packet_again) X(result_with_task) X(result_unfit) X(task_told) X(task_asked) X(stream_closed)

typedef enum sim_counter {
#define SIM_COUNTER_ENUM(name) SIM_C_##name,
    SIM_COUNTERS_OF(SIM_COUNTER_ENUM) SIM_COUNTERS
} sim_counter;

typedef struct sim_report {
    bool ok;
    char text[256]; /* what was broken, and when */
    uint64_t seed, end_ms, count[SIM_COUNTERS];
} sim_report;

/* Runs one schedule to its end; `trace` prints each step of it. */
void sim_run(uint64_t seed, sim_variant variant, bool trace, sim_report *out);

const char *sim_variant_text(sim_variant variant);
const char *sim_counter_name(sim_counter counter);

#endif
