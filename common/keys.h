/* keys.h: who may come in. A party has a CURVE key pair, whose secret half lies in a file of its own; a broker has a
 * list of the public keys that it admits, each with a name and a role. Keys are 32 bytes, written as 64 hex digits. */
#ifndef MR_COMMON_KEYS_H
#define MR_COMMON_KEYS_H

#include "common/clock.h"
#include "common/hash.h"

#include <pthread.h>
#include <time.h>

typedef mr_hash mr_key;
enum { MR_KEY_HEX = MR_HASH_HEX, MR_KEY_NAME = 64 /* with the NUL */, MR_KEYS_MAX = 10000 };

typedef struct mr_key_pair {
    mr_key open, secret;
} mr_key_pair;

/* The first four are the roles of proto/session.toml, in its order: each may do what those before it may. A worker's
 * key opens workers' sessions and nothing else. */
typedef enum mr_key_role {
    MR_KEY_VIEWER,
    MR_KEY_PRODUCER,
    MR_KEY_OPERATOR,
    MR_KEY_ADMIN,
    MR_KEY_WORKER,
    MR_KEY_ROLES
} mr_key_role;

const char *mr_key_role_name(mr_key_role role);
/* False when there is no such role. */
bool mr_key_role_by_name(mr_span name, mr_key_role *out);
/* 1 to 63 letters, digits, '.', '_', '-', and not '.' at first. */
bool mr_key_name_ok(mr_span name);

/* ---- a secret key's file ---- */
/* Writes a new file that only its owner can read. E_EXISTS when there is a file of that name; those of mr_file_write.
 */
mr_status mr_key_write(const char *path, const char *name, const mr_key_pair *pair, mr_error *err) MR_MUST_CHECK;
/* Errors: E_DENIED a symbolic link, not a plain file, another user's, or readable by others; E_INVALID no key file;
 * E_NOT_FOUND, E_IO. A credential of systemd ($CREDENTIALS_DIRECTORY) may be readable by its group. */
mr_status mr_key_read(const char *path, mr_key_pair *out, mr_error *err) MR_MUST_CHECK;

/* What a program connects with: its own key's file and the server's public key as hex, or neither of them (*plain).
 * E_USAGE one without the other, E_INVALID no key; those of mr_key_read. */
mr_status mr_keys_to_connect(const char *key_file, const char *server_key, mr_key_pair *own, mr_key *server, bool *plain,
                             mr_error *err) MR_MUST_CHECK;

/* ---- the list of admitted keys: a text file, one key a line: KEY ROLE NAME CREATED [REVOKED] ---- */
typedef struct mr_key_row {
    mr_key key;
    mr_key_role role;
    char name[MR_KEY_NAME];
    char created[MR_CLOCK_TEXT], revoked[MR_CLOCK_TEXT]; /* revoked: "" while the key is good */
} mr_key_row;

typedef struct mr_key_list {
    mr_key_row *rows;
    size_t count, cap;
} mr_key_list;

/* `path` is for the sentences. E_INVALID with the line's number, E_LIMIT over MR_KEYS_MAX keys, E_MEMORY; *out is then
 * empty. */
mr_status mr_key_list_parse(mr_span text, const char *path, mr_key_list *out, mr_error *err) MR_MUST_CHECK;
/* Errors: those of parsing; E_DENIED when others than the owner can write it; E_NOT_FOUND, E_IO. */
mr_status mr_key_list_read(const char *path, mr_key_list *out, mr_error *err) MR_MUST_CHECK;
/* Replaces the file as a whole. */
mr_status mr_key_list_write(const char *path, const mr_key_list *list, mr_error *err) MR_MUST_CHECK;
mr_status mr_key_list_add(mr_key_list *list, const mr_key_row *row, mr_error *err) MR_MUST_CHECK;
/* The key of that name that is not revoked; NULL when there is none. */
mr_key_row *mr_key_list_named(const mr_key_list *list, const char *name);
void mr_key_list_free(mr_key_list *list);

/* ---- the list as a broker holds it: follows its file, shared by threads ---- */
typedef struct mr_keyring mr_keyring;

/* Reads the list; errors as above. */
mr_status mr_keyring_open(const char *path, mr_keyring **out, mr_error *err) MR_MUST_CHECK;
void mr_keyring_close(mr_keyring **ring);
/* Looks whether the file changed and reads it again. A list that cannot be read admits nobody until it can: then the
 * status is that of reading it, once a change. *changed: what is admitted may differ from the last call. */
mr_status mr_keyring_refresh(mr_keyring *ring, bool *changed, mr_error *err) MR_MUST_CHECK;
/* The key's row, also when it is revoked; false when it is not in the list. */
bool mr_keyring_find(mr_keyring *ring, const mr_key *key, mr_key_row *out);

#endif
