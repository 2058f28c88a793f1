/* peers.h: who is connected. A peer is a routing id with a session; its number names the session in the core and is never
 * used again. */
#ifndef MR_BROKER_IO_PEERS_H
#define MR_BROKER_IO_PEERS_H

#include "broker/core/core.h"
#include "common/net.h"
#include "proto/gen/session.h"

#include <uthash.h>

typedef struct mr_peer {
    uint32_t number;
    mr_session_state state;
    mr_role role;
    uint8_t identity[MR_NET_IDENTITY];
    uint32_t identity_len;
    char name[MR_NAME_MAX + 1], build[MR_NAME_MAX + 1];
    uint64_t seen_ms;
    UT_hash_handle by_identity, by_number;
} mr_peer;

typedef struct mr_peers {
    mr_peer *by_identity, *by_number;
    uint32_t next;
} mr_peers;

mr_peer *mr_peer_from(const mr_peers *p, mr_span identity); /* NULL when there is none */
mr_peer *mr_peer_numbered(const mr_peers *p, uint32_t number);
/* NULL without memory. */
mr_peer *mr_peer_add(mr_peers *p, mr_span identity);
void mr_peer_remove(mr_peers *p, mr_peer *peer);
void mr_peers_free(mr_peers *p);
mr_span mr_peer_identity(const mr_peer *peer);

#endif
