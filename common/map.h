/* map.h: numbers to pointers: open addressing with linear probing; a removal shifts back what follows (Knuth,
 * TAOCP 3, 6.4, algorithm R), so there are no tombstones and a map that is used for ever does not degrade. */
#ifndef MR_COMMON_MAP_H
#define MR_COMMON_MAP_H

#include "common/mem.h"
#include "common/status.h"

typedef struct mr_map_slot {
    uint64_t key;
    void *value; /* NULL: the slot is empty */
} mr_map_slot;

typedef struct mr_map {
    mr_map_slot *slot;
    size_t cap, count; /* cap: 0 or a power of two */
} mr_map;

/* After this, the next `extra` puts cannot fail. E_MEMORY leaves the map as it was. */
mr_status mr_map_reserve(mr_map *m, const mr_mem *mem, size_t extra) MR_MUST_CHECK;
void mr_map_free(mr_map *m, const mr_mem *mem);
void *mr_map_get(const mr_map *m, uint64_t key); /* NULL when it is not there */
/* The key must not be there, the room must be reserved, `value` is not NULL. */
void mr_map_put(mr_map *m, uint64_t key, void *value);
/* Does nothing when it is not there. */
void mr_map_remove(mr_map *m, uint64_t key);

#endif
