#include "broker/io/access.h"

#include "broker/io/broker.h"

#include <stdio.h>
#include <string.h>

enum { LAST_WORDS_MS = 200 }; /* for a refusal to arrive before the connection ends */
static const char events_domain[] = "millrace-events";

_Static_assert((int)MR_KEY_VIEWER == (int)MR_ROLE_VIEWER && (int)MR_KEY_ADMIN == (int)MR_ROLE_ADMIN &&
                   (int)MR_KEY_WORKER == (int)MR_ROLES,
               "a key's role is a client's role, or worker");

/* ---- the gate, on the network's thread ---- */

static const char *why_not(const mr_access *a, mr_span domain, const mr_key *key, mr_key_row *row) {
    if (!mr_keyring_find(a->ring, key, row)) return "the key is not known";
    if (row->revoked[0]) return "the key is revoked";
    bool events = mr_span_eq(domain, mr_span_of(events_domain));
    return events && row->role == MR_KEY_WORKER ? "a worker's key may not follow events" : NULL;
}

static bool admit(void *self, mr_span domain, const mr_key *key, mr_span address) {
    mr_access *a = self;
    mr_key_row row = {0};
    const char *why = why_not(a, domain, key, &row);
    if (!why) return true;
    pthread_mutex_lock(&a->lock);
    if (a->refusals < MR_REFUSALS_MAX) {
        mr_refusal *r = &a->refused[a->refusals++];
        *r = (mr_refusal){.why = why};
        mr_hash_hex(key, r->key);
        snprintf(r->name, sizeof r->name, "%s", row.name);
        snprintf(r->address, sizeof r->address, "%.*s", MR_SPAN_ARG(address));
    } else {
        a->unnoted++;
    }
    pthread_mutex_unlock(&a->lock);
    return false;
}

/* ---- start and end ---- */

mr_status mr_access_open(mr_access *a, const mr_broker_settings *settings, mr_error *err) {
    pthread_mutex_init(&a->lock, NULL);
    a->gate = (mr_zap_gate){admit, a};
    if (!settings->server_key_file[0] && !settings->allow_file[0]) return MR_OK;
    if (!settings->server_key_file[0] || !settings->allow_file[0])
        return mr_fail(err, MR_E_USAGE, "server_key_file and allow_file go together: set both, or neither for plain loopback");
    MR_TRY(mr_key_read(settings->server_key_file, &a->peers_keys.own, err));
    a->events_keys = a->peers_keys;
    a->peers_keys.domain = "millrace";
    a->events_keys.domain = events_domain;
    return mr_keyring_open(settings->allow_file, &a->ring, err);
}

void mr_access_close(mr_access *a) {
    mr_keyring_close(&a->ring);
    explicit_bzero(&a->peers_keys, sizeof a->peers_keys);
    explicit_bzero(&a->events_keys, sizeof a->events_keys);
}

const mr_net_keys *mr_access_keys(const mr_access *a, bool events) {
    if (!a->ring) return NULL;
    return events ? &a->events_keys : &a->peers_keys;
}

mr_status mr_access_guard(mr_access *a, mr_net *net, mr_error *err) {
    return a->ring ? mr_net_guard(net, &a->gate, err) : MR_OK;
}

mr_status mr_access_prove(mr_access *a, mr_net *net, mr_socket *router, mr_socket *events, mr_error *err) {
    if (!a->ring) return MR_OK;
    MR_TRY(mr_net_prove_guard(net, router, &a->peers_keys, err));
    MR_TRY(mr_net_prove_guard(net, events, &a->events_keys, err));
    pthread_mutex_lock(&a->lock);
    a->refusals = 0; /* the strangers were ours */
    pthread_mutex_unlock(&a->lock);
    return MR_OK;
}

/* ---- messages ---- */

void mr_access_cut_off(mr_broker *b, const mr_net_msg *msg) {
    mr_socket_drop(b->router, msg->conn, mr_broker_now_ms() + LAST_WORDS_MS);
}

static void turn_away(mr_broker *b, const mr_net_msg *msg, const mr_key_row *row, const char *why) {
    mr_broker_refuse(b, msg->from, MR_E_DENIED, true, why);
    mr_access_cut_off(b, msg);
    mr_audit_refused(b, &(mr_audit_who){row->name, msg->user, row->name[0] ? mr_key_role_name(row->role) : "", msg->address},
                     "session", why);
}

/* The row of the message's key, when it is still good. */
static bool good_key(const mr_access *a, const mr_net_msg *msg, mr_key_row *row) {
    mr_key key;
    return mr_hash_parse(mr_span_of(msg->user), &key) && mr_keyring_find(a->ring, &key, row) && !row->revoked[0];
}

bool mr_access_may_say(mr_broker *b) {
    enum { LINES_A_SECOND = 20 };
    uint64_t now_s = mr_broker_now_ms() / 1000;
    if (b->access.said_at_s != now_s) b->access.said = 0;
    b->access.said_at_s = now_s;
    return b->access.said++ < LINES_A_SECOND;
}

bool mr_access_message(mr_broker *b, mr_peer *peer, const mr_net_msg *msg) {
    if (!b->access.ring) {
        if (peer) peer->conn = msg->conn;
        return true;
    }
    if (peer && !strcmp(peer->key, msg->user)) {
        peer->conn = msg->conn;
        return true; /* the list is followed by the tick, which ends what it must */
    }
    mr_key_row row = {0};
    if (!good_key(&b->access, msg, &row)) {
        turn_away(b, msg, &row, "the key is not admitted");
        return false;
    }
    if (!peer) return true;
    turn_away(b, msg, &row, "this routing id belongs to another's session");
    mr_broker_peer_gone(b, peer, "its routing id came by another connection, so its own is gone");
    return false;
}

bool mr_access_hello(mr_broker *b, const mr_net_msg *msg, bool worker, mr_key_row *row) {
    *row = (mr_key_row){.role = worker ? MR_KEY_WORKER : MR_KEY_ADMIN};
    if (!b->access.ring) return true;
    if (!good_key(&b->access, msg, row)) {
        turn_away(b, msg, row, "the key is not admitted");
        return false;
    }
    if (worker == (row->role == MR_KEY_WORKER)) return true;
    turn_away(b, msg, row,
              worker ? "only a worker's key may open a worker's session" : "a worker's key may not open a client's session");
    return false;
}

void mr_access_name(mr_peer *peer, const mr_key_row *row, const mr_net_msg *msg) {
    char told[sizeof peer->name];
    peer->role = row->role < MR_KEY_WORKER ? (mr_role)row->role : MR_ROLE_VIEWER;
    peer->conn = msg->conn;
    snprintf(peer->key, sizeof peer->key, "%s", msg->user);
    snprintf(peer->address, sizeof peer->address, "%s", msg->address);
    snprintf(peer->who, sizeof peer->who, "%s", row->name[0] ? row->name : peer->name);
    if (!row->name[0] || !strcmp(row->name, peer->name)) return;
    snprintf(told, sizeof told, "%s", peer->name); /* what it says of itself stands behind what its key says */
    snprintf(peer->name, sizeof peer->name, "%.40s/%.23s", row->name, told);
}

/* ---- the tick ---- */

const char *mr_access_role(const mr_peer *peer) {
    return mr_key_role_name(peer->state == MR_SESSION_WORKER ? MR_KEY_WORKER : (mr_key_role)peer->role);
}

static void end_session(mr_broker *b, mr_peer *peer) {
    static const char why[] = "the key is not admitted any more";
    mr_audit_refused(b, &(mr_audit_who){peer->who, peer->key, mr_access_role(peer), peer->address}, "session", why);
    mr_broker_refuse(b, mr_peer_identity(peer), MR_E_DENIED, true, why);
    mr_socket_drop(b->router, peer->conn, mr_broker_now_ms() + LAST_WORDS_MS);
    mr_broker_peer_gone(b, peer, why);
}

/* A role that changed counts from the next session on, so such a session ends too. */
static bool still_good(const mr_access *a, const mr_peer *peer) {
    mr_key key;
    mr_key_row row;
    if (!mr_hash_parse(mr_span_of(peer->key), &key) || !mr_keyring_find(a->ring, &key, &row) || row.revoked[0]) return false;
    return peer->state == MR_SESSION_WORKER ? row.role == MR_KEY_WORKER : (int)row.role == (int)peer->role;
}

static void follow_list(mr_broker *b, uint64_t now_ms) {
    mr_error err = {0};
    bool changed = false;
    mr_peer *peer, *next;
    mr_status s = mr_keyring_refresh(b->access.ring, &changed, &err);
    if (!changed) return;
    MR_LOG(&b->log, s == MR_OK ? MR_LOG_INFO : MR_LOG_ERROR, "broker", s == MR_OK ? "keys_read" : "keys_unreadable",
           MR_LOG_TEXT("reason", err.text));
    HASH_ITER(by_number, b->peers.by_number, peer, next)
        if (!still_good(&b->access, peer)) end_session(b, peer);
    mr_socket_drop_all(b->events, now_ms); /* who may, comes back at once */
}

static void note_refusals(mr_broker *b) {
    mr_access *a = &b->access;
    mr_refusal refused[MR_REFUSALS_MAX];
    pthread_mutex_lock(&a->lock);
    unsigned n = a->refusals;
    uint64_t unnoted = a->unnoted;
    memcpy(refused, a->refused, n * sizeof *refused);
    a->refusals = 0;
    a->unnoted = 0;
    pthread_mutex_unlock(&a->lock);
    for (unsigned i = 0; i < n; i++)
        mr_audit_refused(b, &(mr_audit_who){refused[i].name, refused[i].key, "", refused[i].address}, "handshake",
                         refused[i].why);
    mr_audit_more(b, unnoted);
}

void mr_access_tick(mr_broker *b, uint64_t now_ms) {
    if (b->access.ring) {
        follow_list(b, now_ms);
        note_refusals(b);
    }
    unsigned ended = mr_socket_check(b->router, now_ms) + mr_socket_check(b->events, now_ms);
    if (ended) MR_LOG(&b->log, MR_LOG_WARN, "broker", "connections_ended", MR_LOG_INT("count", ended));
}
