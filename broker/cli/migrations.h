/* migrations.h: the schema's versions, compiled in from deploy/sql, and what a database has of them (table
 * public.millrace_migration). Each migration is one transaction under an advisory lock, so two programs may
 * try at once. */
#ifndef MR_BROKER_CLI_MIGRATIONS_H
#define MR_BROKER_CLI_MIGRATIONS_H

#include "common/buf.h"

typedef struct mr_migration {
    int version;
    const char *name, *up, *down; /* SQL, NUL-terminated */
} mr_migration;

extern const mr_migration mr_migrations[]; /* from version 1 without gaps; ends with name == NULL */

/* Brings the database to `target` (INT_MAX: the newest), upwards only. *done: how many were applied.
 * Errors: E_CONFLICT an applied one has another hash, or the database is newer than this program; those of
 * pg.h. */
mr_status mr_migrate_up(const char *url, int target, unsigned *done, mr_error *err) MR_MUST_CHECK;
/* Takes back all above `target`, the newest first. Their data are gone. */
mr_status mr_migrate_down(const char *url, int target, unsigned *done, mr_error *err) MR_MUST_CHECK;
/* The highest version that is applied, 0 for none; E_CONFLICT as above. */
mr_status mr_migrate_version(const char *url, int *version, mr_error *err) MR_MUST_CHECK;
/* A list (as view.h says): version, name, state (applied, pending, changed, unknown), applied_at. */
mr_status mr_migrate_list(const char *url, mr_buf *out, mr_error *err) MR_MUST_CHECK;

#endif
