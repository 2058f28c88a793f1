/* peers.h: who is connected. A peer is a routing id with a session, which belongs to its key when there are keys; its number names the session in the core and is never
 * used again. */
#ifndef MR_BROKER_IO_PEERS_H
#define MR_BROKER_IO_PEERS_H

#include "broker/core/core.h"
#include "common/keys.h"
#include "common/net.h"
#include "proto/gen/session.h"

/* Without memory an element is not added, and its table stays NULL; by default uthash ends the process. */
#define HASH_NONFATAL_OOM 1
#include <uthash.h>

typedef struct mr_peer {
    uint32_t number;
    mr_session_state state;
    mr_role role;
    uint8_t identity[MR_NET_IDENTITY];
    uint32_t identity_len;
    char name[MR_NAME_MAX + 1], build[MR_NAME_MAX + 1];
    char who[MR_NAME_MAX + 1];                /* the name of its key; without keys what it calls itself */
    char key[MR_KEY_HEX], address[64];        /* of the key as hex, "" without keys; where it comes from */
    int conn;                                 /* the connection its last message came by, as in mr_net_msg */
    uint64_t seen_ms;
    uint32_t span; /* of a worker: most batches of a work item that it takes; 0: one, with its hash */
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
/* Removes the clients of whom nothing was heard for idle_ms. One may have been heard after now_ms was read. */
void mr_peers_forget_idle(mr_peers *p, uint64_t now_ms, uint64_t idle_ms);
mr_span mr_peer_identity(const mr_peer *peer);
/* Whose work it brings: the name without what follows a slash, which tells one session of a client from the next. */
void mr_peer_client(const mr_peer *peer, char out[MR_NAME_MAX + 1]);

#endif
