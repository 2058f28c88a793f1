/* audit.h: who did what: a row for each peer that was refused and each command that writes, appended by a desk of its own.
 * Rows that say the same within a second become one with a count, and refusals have a budget, so nobody can fill the disk
 * with them. */
#ifndef MR_BROKER_IO_AUDIT_H
#define MR_BROKER_IO_AUDIT_H

#include "broker/io/desk.h"
#include "broker/io/peers.h"
#include "common/keys.h"

struct mr_broker;

enum { MR_AUDIT_ENTRIES = 64, MR_AUDIT_CALLS = 4096 };

/* Borrowed texts. */
typedef struct mr_audit_who {
    const char *name, *key, *role, *address;
} mr_audit_who;

typedef struct mr_audit_entry {
    bool refused; /* else a command that was carried out, or failed */
    char name[MR_NAME_MAX + 1], key[MR_KEY_HEX], role[16], address[64];
    char what[MR_NAME_MAX], detail[256];
    mr_status status;
    uint64_t count;
    int64_t first_ns, last_ns;
} mr_audit_entry;

/* A command that is under way. */
typedef struct mr_audit_call {
    struct {
        uint32_t peer, call;
    } id;
    const mr_command_row *row;
    char name[MR_NAME_MAX + 1], key[MR_KEY_HEX], role[16], address[64];
    UT_hash_handle hh;
} mr_audit_call;

typedef struct mr_audit {
    mr_desk desk;
    mr_audit_entry entry[MR_AUDIT_ENTRIES];
    unsigned entries, jobs_out;
    mr_audit_call *calls;
    uint64_t budget_ms, budget_at_ms; /* refusals that may be written, as time that they take to grow back */
    uint64_t more;                    /* what there was no room or budget for */
    uint64_t flush_at_ms;
} mr_audit;

mr_status mr_audit_start(struct mr_broker *b, mr_error *err) MR_MUST_CHECK;
/* Writes what is left, then stops the desk. */
void mr_audit_stop(struct mr_broker *b);
void mr_audit_tick(struct mr_broker *b, uint64_t now_ms);

void mr_audit_refused(struct mr_broker *b, const mr_audit_who *who, const char *what, const char *why);
void mr_audit_more(struct mr_broker *b, uint64_t refusals);
/* A call came and its answer went. Those of commands that only read are passed over unless they are denied. */
void mr_audit_called(struct mr_broker *b, const mr_peer *peer, uint32_t call, const mr_command_row *row);
void mr_audit_answered(struct mr_broker *b, uint32_t peer, uint32_t call, mr_status status, const char *text);

#endif
