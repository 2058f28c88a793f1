/* try.h: `millrace try COMPONENT`: one component over one file, in this process, without services. */
#ifndef MR_WORKER_CORE_TRY_H
#define MR_WORKER_CORE_TRY_H

/* argv[0] is "try". Data goes to stdout, messages to stderr. Returns the exit code. */
int mr_try_main(int argc, char **argv);

#endif
