/* access.h: who may do what. With keys a peer is its key, proven by the handshake and told with every message: the list
 * of admitted keys gives it a name and a role. Without keys the broker listens on this machine alone, and whoever connects
 * is its admin. */
#ifndef MR_BROKER_IO_ACCESS_H
#define MR_BROKER_IO_ACCESS_H

#include "broker/io/peers.h"
#include "broker/io/settings.h"
#include "common/log.h"

#include <pthread.h>

struct mr_broker;

enum { MR_REFUSALS_MAX = 64 };

/* A key that did not come in; noted by the network's thread, taken by the loop. */
typedef struct mr_refusal {
    char key[MR_KEY_HEX], name[MR_KEY_NAME], address[64];
    const char *why;
} mr_refusal;

typedef struct mr_access {
    mr_keyring *ring; /* NULL: plain */
    mr_net_keys peers_keys, events_keys;
    mr_zap_gate gate;
    pthread_mutex_t lock; /* over what follows */
    mr_refusal refused[MR_REFUSALS_MAX];
    unsigned refusals;
    uint64_t unnoted; /* refusals for which there was no room */
    uint64_t said_at_s; /* of the loop alone: when `said` lines were written last */
    unsigned said;
} mr_access;

/* Reads the broker's secret key and the list when the settings name them. Errors: E_USAGE one without the other, those of
 * common/keys.h. */
mr_status mr_access_open(mr_access *a, const mr_broker_settings *settings, mr_error *err) MR_MUST_CHECK;
void mr_access_close(mr_access *a);
/* The keys to bind with; NULL when plain. */
const mr_net_keys *mr_access_keys(const mr_access *a, bool events);
/* Starts the guard, before binding; and proves it, after. Nothing when plain. */
mr_status mr_access_guard(mr_access *a, mr_net *net, mr_error *err) MR_MUST_CHECK;
mr_status mr_access_prove(mr_access *a, mr_net *net, mr_socket *router, mr_socket *events, mr_error *err) MR_MUST_CHECK;

/* Before a message is looked at: false when it is not taken, and all is said and done. `peer` NULL: no session yet. */
bool mr_access_message(struct mr_broker *b, mr_peer *peer, const mr_net_msg *msg);
/* A hello: false when that key may not open such a session; else *row is the peer's. */
bool mr_access_hello(struct mr_broker *b, const mr_net_msg *msg, bool worker, mr_key_row *row);
/* Puts on a new peer what is known of it; `row` as mr_access_hello gave it. */
void mr_access_name(mr_peer *peer, const mr_key_row *row, const mr_net_msg *msg);
/* Ends the connection of one that sent what nobody of ours sends, when the refusal has had time to arrive. */
void mr_access_cut_off(struct mr_broker *b, const mr_net_msg *msg);
/* The name of a peer's role, as its key has it. */
const char *mr_access_role(const mr_peer *peer);
/* Whether a line about a refused message may go to the log: a few a second, whatever peers send. */
bool mr_access_may_say(struct mr_broker *b);
/* Follows the list: sessions of keys that were taken from it end. Notes refusals. Ends connections over their limits. */
void mr_access_tick(struct mr_broker *b, uint64_t now_ms);

#endif
