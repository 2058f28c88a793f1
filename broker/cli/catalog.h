/* catalog.h: what components are, as JSON: from the broker (what its workers offer) or from millrace-worker
 * beside this program. */
#ifndef MR_BROKER_CLI_CATALOG_H
#define MR_BROKER_CLI_CATALOG_H

#include "broker/cli/view.h"
#include "common/json.h"

/* The catalogue of the programs here. E_NOT_FOUND when there is no millrace-worker. */
mr_status mr_catalog_local(mr_json **out, mr_error *err) MR_MUST_CHECK;
/* The catalogue that came with the broker's reply to `components`. */
mr_status mr_catalog_of_reply(mr_span reply, mr_json **out, mr_error *err) MR_MUST_CHECK;

#endif
