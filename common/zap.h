/* zap.h: the answer to a request of the ZeroMQ Authentication Protocol (RFC 27): may this key come in? Pure; the thread
 * and its socket are in net.c. Whatever is not exactly a CURVE request of version 1.0 is refused. */
#ifndef MR_COMMON_ZAP_H
#define MR_COMMON_ZAP_H

#include "common/keys.h"

enum { MR_ZAP_FRAMES = 7 }; /* version, request id, domain, address, routing id, mechanism, key */

/* Who decides. Called on the network's own thread. */
typedef struct mr_zap_gate {
    bool (*admit)(void *self, mr_span domain, const mr_key *key, mr_span address);
    void *self;
} mr_zap_gate;

typedef struct mr_zap_answer {
    const char *code, *text; /* "200" or "400"; nothing else is said */
    char user[MR_KEY_HEX];   /* the key as hex, "" when refused: what the peer's messages carry from now on */
} mr_zap_answer;

/* `frames` are those of the request without the empty one before them. */
void mr_zap_decide(const mr_zap_gate *gate, const mr_span *frames, size_t count, mr_zap_answer *out);

#endif
