/* entities.h: things in a text that have a form: addresses, numbers, dates. Only kinds and counts leave this
 * file, never the values. Rules on ASCII bytes; no model, so a name or a place is not found. */
#ifndef MR_WORKER_KIT_ENTITIES_H
#define MR_WORKER_KIT_ENTITIES_H

#include "common/buf.h"

typedef enum mr_entity_kind {
    MR_ENTITY_URL,     /* http://, https://, www. up to a blank */
    MR_ENTITY_EMAIL,   /* name@host.tld */
    MR_ENTITY_DATE,    /* 2024-05-31, 31.5.2024, 5/31/24, May 31, 2024, 31 May 2024 */
    MR_ENTITY_MONEY,   /* $5, 5 EUR, 5 dollars, with the signs of dollar, euro, pound and yen */
    MR_ENTITY_PERCENT, /* 5 %, 5 percent */
    MR_ENTITY_PHONE,   /* 7 to 15 digits in groups, or after a plus sign */
    MR_ENTITY_NUMBER,  /* any other number: 7, 3.14, 1,000,000 */
    MR_ENTITY_KINDS
} mr_entity_kind;

extern const char *const mr_entity_names[MR_ENTITY_KINDS];

/* Adds the number of each kind in `text` to counts; every byte belongs to one entity at most. */
void mr_count_entities(mr_span text, uint64_t counts[MR_ENTITY_KINDS]);

#endif
