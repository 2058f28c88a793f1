/* option_json.h: the options of a component that is known by its descriptor alone, as JSON: in the broker, which has no
 * components, and where a pipeline is checked before it is sent. */
#ifndef MR_COMMON_OPTION_JSON_H
#define MR_COMMON_OPTION_JSON_H

#include "common/json.h"
#include "common/pack.h"

/* `given`: a msgpack map of option name to text. Appends a JSON object of every option with its value as canonical
 * text, defaults included. Errors: E_USAGE unknown option (with the nearest), E_INVALID a value. */
mr_status mr_option_json(const mr_json *component, mr_unpack *given, mr_buf *out, mr_error *err) MR_MUST_CHECK;

#endif
