/* call_args.h: the arguments of a call: a msgpack map that was checked against the command's row (proto/gen/session.h),
 * so what is there is of the right type. */
#ifndef MR_BROKER_IO_CALL_ARGS_H
#define MR_BROKER_IO_CALL_ARGS_H

#include "common/pack.h"

/* A cursor at the value; false when the argument is not given. */
bool mr_arg_find(mr_span args, const char *name, mr_unpack *value);
uint64_t mr_arg_number(mr_span args, const char *name, uint64_t def); /* at most INT64_MAX, else the default */
bool mr_arg_beyond(mr_span args, const char *name); /* it is given, and above INT64_MAX */
mr_span mr_arg_text(mr_span args, const char *name);                  /* empty when absent */
bool mr_arg_flag(mr_span args, const char *name);

#endif
