/* home.h: the folder of the private services: HOME/run (pid files, addresses), HOME/log, and what
 * deploy/services keeps. */
#ifndef MR_BROKER_CLI_HOME_H
#define MR_BROKER_CLI_HOME_H

#include "broker/cli/command.h"
#include "broker/cli/proc.h"

enum { MR_WORKERS_MAX = 256 };

typedef struct mr_home {
    char path[MR_OPTION_TEXT];
    char database_url[1024], redis_url[1024],
        broker[MR_OPTION_TEXT]; /* what the services said; "" when none run */
} mr_home;

/* Finds the folder (it may not be there yet) and reads what is running there. E_INVALID when no home can be
 * told. */
mr_status mr_home_open(const mr_globals *g, mr_home *out, mr_error *err) MR_MUST_CHECK;
/* "HOME/run/NAME", for pid files and others. */
mr_status mr_home_file(const mr_home *h, const char *folder, const char *name, char out[PATH_MAX],
                       mr_error *err) MR_MUST_CHECK;
/* Makes the folders. */
mr_status mr_home_make(const mr_home *h, mr_error *err) MR_MUST_CHECK;
/* Remembers the addresses for other commands, readable by the owner alone. */
mr_status mr_home_remember(const mr_home *h, mr_error *err) MR_MUST_CHECK;
void mr_home_forget(const mr_home *h);

/* The process of "broker" or "worker-K", or 0. */
pid_t mr_home_pid(const mr_home *h, const char *name);
/* How many workers of this home run. */
unsigned mr_home_workers(const mr_home *h);
/* The last line of a program's log, for sentences; "" when there is none. */
void mr_home_last_line(const mr_home *h, const char *name, char out[256]);

/* Runs `deploy/services start|stop`; with "start" the addresses are read from its output. */
mr_status mr_home_services(mr_home *h, const char *verb, mr_error *err) MR_MUST_CHECK;
/* Stops workers, broker and, when this home has them, the two servers. *stopped counts processes. */
mr_status mr_home_stop(mr_home *h, unsigned *stopped, mr_error *err) MR_MUST_CHECK;

/* MILLRACE_DATABASE_URL, or the private database's address. E_UNAVAILABLE when there is neither. */
mr_status mr_home_database(const mr_globals *g, char out[1024], mr_error *err) MR_MUST_CHECK;

#endif
