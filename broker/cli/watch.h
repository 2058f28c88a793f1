/* watch.h: waiting for a run with a bar for each step. */
#ifndef MR_BROKER_CLI_WATCH_H
#define MR_BROKER_CLI_WATCH_H

#include "broker/cli/term.h"
#include "broker/cli/view.h"

/* Shows the run until it ends, then its end. A broker that goes away is looked for again for a minute. MR_OK
 * when it succeeded; E_CRASHED it failed, E_CANCELLED, E_INTERRUPTED Ctrl-C. *client may be another one
 * afterwards. */
mr_status mr_watch_run(mr_cli *cli, mr_client **client, mr_stop *stop, uint64_t run,
                       mr_error *err) MR_MUST_CHECK;

#endif
