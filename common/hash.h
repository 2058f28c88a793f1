/* hash.h: names for bytes. mr_hash (BLAKE2b-256) names artifacts, segments and versions; mr_xxh64 is for
 * tables and checks inside one process. The only file that includes libsodium and xxhash. */
#ifndef MR_COMMON_HASH_H
#define MR_COMMON_HASH_H

#include "common/buf.h"

enum { MR_HASH_BYTES = 32, MR_HASH_HEX = 65 /* with the NUL */ };

typedef struct mr_hash {
    uint8_t bytes[MR_HASH_BYTES];
} mr_hash;

/* A hash in the making; opaque, on the caller's stack. */
typedef struct mr_hash_state {
    _Alignas(64) uint8_t opaque[384];
} mr_hash_state;

/* Once a program, before any thread is started and before anything else in this file. */
mr_status mr_crypto_init(mr_error *err) MR_MUST_CHECK;

mr_hash mr_hash_of(mr_span bytes);
void mr_hash_init(mr_hash_state *s);
void mr_hash_update(mr_hash_state *s, mr_span bytes);
mr_hash mr_hash_final(mr_hash_state *s); /* the state is used up */

bool mr_hash_eq(const mr_hash *a, const mr_hash *b);
mr_span mr_hash_span(const mr_hash *h); /* its 32 bytes, borrowed */
/* 64 lower-case hex digits and a NUL. */
void mr_hash_hex(const mr_hash *h, char out[MR_HASH_HEX]);
/* False unless `text` is 64 hex digits, of either case; *out is then left alone. */
bool mr_hash_parse(mr_span text, mr_hash *out);

/* XXH64: fast, not for names and not against an adversary. */
uint64_t mr_xxh64(mr_span bytes, uint64_t seed);

/* Random bytes from the operating system: for ids and tokens, never for computations (common/rng.h). */
void mr_random_bytes(void *out, size_t n);
/* Standard base64 with padding, appended to `out`. */
void mr_base64_put(mr_buf *out, mr_span bytes);

#endif
