#include "broker/io/peers.h"

#include <string.h>

mr_peer *mr_peer_from(const mr_peers *p, mr_span identity) {
    mr_peer *peer = NULL;
    HASH_FIND(by_identity, p->by_identity, identity.data, (unsigned)identity.len, peer);
    return peer;
}

mr_peer *mr_peer_numbered(const mr_peers *p, uint32_t number) {
    mr_peer *peer = NULL;
    HASH_FIND(by_number, p->by_number, &number, sizeof number, peer);
    return peer;
}

mr_peer *mr_peer_add(mr_peers *p, mr_span identity) {
    mr_peer *peer = mr_new(NULL, 1, sizeof *peer);
    if (!peer) return NULL;
    MR_ASSERT(identity.len <= sizeof peer->identity);
    memcpy(peer->identity, identity.data, identity.len);
    peer->identity_len = (uint32_t)identity.len;
    peer->number = ++p->next;
    HASH_ADD(by_identity, p->by_identity, identity, peer->identity_len, peer);
    if (!peer->by_identity.tbl) {
        mr_free(NULL, peer, 1, sizeof *peer);
        return NULL;
    }
    HASH_ADD(by_number, p->by_number, number, sizeof peer->number, peer);
    if (peer->by_number.tbl) return peer;
    HASH_DELETE(by_identity, p->by_identity, peer);
    mr_free(NULL, peer, 1, sizeof *peer);
    return NULL;
}

void mr_peer_remove(mr_peers *p, mr_peer *peer) {
    HASH_DELETE(by_identity, p->by_identity, peer);
    HASH_DELETE(by_number, p->by_number, peer);
    mr_free(NULL, peer, 1, sizeof *peer);
}

void mr_peers_free(mr_peers *p) {
    while (p->by_number) mr_peer_remove(p, p->by_number);
}

void mr_peers_forget_idle(mr_peers *p, uint64_t now_ms, uint64_t idle_ms) {
    mr_peer *peer, *next;
    HASH_ITER(by_number, p->by_number, peer, next)
        if (peer->state == MR_SESSION_CLIENT && now_ms > peer->seen_ms + idle_ms) mr_peer_remove(p, peer);
}

mr_span mr_peer_identity(const mr_peer *peer) { return (mr_span){peer->identity, peer->identity_len}; }

void mr_peer_client(const mr_peer *peer, char out[MR_NAME_MAX + 1]) {
    size_t n = strcspn(peer->who, "/");
    if (n == 0) n = strlen(peer->who);
    memcpy(out, peer->who, n);
    out[n] = 0;
}
