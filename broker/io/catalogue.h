/* catalogue.h: what the connected workers' components are: the descriptors that came with their hellos, as JSON. */
#ifndef MR_BROKER_IO_CATALOGUE_H
#define MR_BROKER_IO_CATALOGUE_H

#include "common/hash.h"
#include "common/json.h"
#include "common/pack.h"

enum { MR_CATALOGUES = 8, MR_CATALOGUE_MAX = 8 * 1024 * 1024 };

/* The newest documents, newest first; equal ones are kept once. */
typedef struct mr_catalogue {
    uint32_t count;
    struct {
        mr_hash hash;
        mr_json *list;
        mr_buf text;
    } doc[MR_CATALOGUES];
} mr_catalogue;

/* Takes a worker's catalogue. E_INVALID when it is not a list of components. */
mr_status mr_catalogue_add(mr_catalogue *c, mr_span json, mr_error *err) MR_MUST_CHECK;
void mr_catalogue_free(mr_catalogue *c);

/* The descriptor with that name, of the newest document that has it; NULL. Borrowed until the next add. */
const mr_json *mr_catalogue_component(const mr_catalogue *c, const char *name);
/* The known name that is nearest; NULL. */
const char *mr_catalogue_nearest(const mr_catalogue *c, const char *name);
/* The newest document, or "[]". */
mr_span mr_catalogue_text(const mr_catalogue *c);

#endif
