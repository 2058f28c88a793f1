#include "common/hash.h"

#include <sodium.h>
#include <string.h>
#include <xxhash.h>

_Static_assert(sizeof(crypto_generichash_state) <= sizeof(mr_hash_state), "libsodium's state fits");

mr_status mr_crypto_init(mr_error *err) {
    if (sodium_init() >= 0) return MR_OK;
    return mr_fail(err, MR_E_UNAVAILABLE, "libsodium cannot start: the system gives no random numbers");
}

static crypto_generichash_state *inner(mr_hash_state *s) {
    return (crypto_generichash_state *)(void *)s->opaque;
}

void mr_hash_init(mr_hash_state *s) { crypto_generichash_init(inner(s), NULL, 0, MR_HASH_BYTES); }

void mr_hash_update(mr_hash_state *s, mr_span bytes) {
    crypto_generichash_update(inner(s), bytes.data, bytes.len);
}

mr_hash mr_hash_final(mr_hash_state *s) {
    mr_hash h;
    crypto_generichash_final(inner(s), h.bytes, sizeof h.bytes);
    return h;
}

mr_hash mr_hash_of(mr_span bytes) {
    mr_hash h;
    crypto_generichash(h.bytes, sizeof h.bytes, bytes.data, bytes.len, NULL, 0);
    return h;
}

bool mr_hash_eq(const mr_hash *a, const mr_hash *b) { return !memcmp(a->bytes, b->bytes, MR_HASH_BYTES); }
mr_span mr_hash_span(const mr_hash *h) { return (mr_span){h->bytes, MR_HASH_BYTES}; }

void mr_hash_hex(const mr_hash *h, char out[MR_HASH_HEX]) {
    sodium_bin2hex(out, MR_HASH_HEX, h->bytes, MR_HASH_BYTES);
}

bool mr_hash_parse(mr_span text, mr_hash *out) {
    mr_hash h;
    size_t got;
    if (text.len != MR_HASH_HEX - 1) return false;
    if (sodium_hex2bin(h.bytes, sizeof h.bytes, (const char *)text.data, text.len, NULL, &got, NULL))
        return false;
    if (got != MR_HASH_BYTES) return false;
    *out = h;
    return true;
}

uint64_t mr_xxh64(mr_span bytes, uint64_t seed) { return XXH64(bytes.data, bytes.len, seed); }

void mr_random_bytes(void *out, size_t n) { randombytes_buf(out, n); }

void mr_base64_put(mr_buf *out, mr_span bytes) {
    const size_t piece = 3 * 1024; /* a multiple of 3, so pieces join without padding between them */
    char text[4 * 1024 + 1];
    while (bytes.len) {
        size_t n = bytes.len < piece ? bytes.len : piece;
        sodium_bin2base64(text, sizeof text, bytes.data, n, sodium_base64_VARIANT_ORIGINAL);
        mr_buf_text(out, text);
        bytes.data += n;
        bytes.len -= n;
    }
}
