/* pack.h: msgpack, the one encoding on the wire and in results. Writing goes through msgpack-c; reading is a cursor over
 * borrowed bytes that checks every count against the bytes that are left, so nothing is allocated for a lie. */
#ifndef MR_COMMON_PACK_H
#define MR_COMMON_PACK_H

#include "common/buf.h"

/* ---- writing ---- */
void mr_pack_nil(mr_buf *b);
void mr_pack_bool(mr_buf *b, bool v);
void mr_pack_u64(mr_buf *b, uint64_t v);
void mr_pack_i64(mr_buf *b, int64_t v);
void mr_pack_f64(mr_buf *b, double v);
void mr_pack_text(mr_buf *b, const char *text); /* NULL packs nil */
void mr_pack_str(mr_buf *b, mr_span v);
void mr_pack_bin(mr_buf *b, mr_span v);
void mr_pack_array(mr_buf *b, uint32_t count);
void mr_pack_map(mr_buf *b, uint32_t count);
/* For a count that is known only later: writes a 32-bit array or map header; `at` goes to mr_pack_patch. */
size_t mr_pack_open_array(mr_buf *b);
size_t mr_pack_open_map(mr_buf *b);
void mr_pack_patch(mr_buf *b, size_t at, uint32_t count);

/* ---- reading ---- */
typedef enum mr_pack_type {
    MR_PACK_NIL, MR_PACK_BOOL, MR_PACK_UINT, MR_PACK_INT, MR_PACK_FLOAT, MR_PACK_STR, MR_PACK_BIN, MR_PACK_ARRAY,
    MR_PACK_MAP
} mr_pack_type; /* MR_PACK_INT only for values below zero; extension types are refused */

typedef struct mr_pack_value {
    mr_pack_type type;
    union {
        bool boolean;
        uint64_t u;
        int64_t i;
        double f;
        mr_span bytes;  /* STR, BIN: borrowed */
        uint32_t count; /* ARRAY items, MAP pairs; they follow in the stream */
    } as;
} mr_pack_value;

typedef struct mr_unpack {
    const uint8_t *start, *at, *end;
} mr_unpack;

void mr_unpack_init(mr_unpack *u, mr_span bytes);
bool mr_unpack_done(const mr_unpack *u);

/* Walks one whole value without decoding it. Errors: E_PROTOCOL broken, cut short, deeper than `max_depth` or more than
 * `max_items` values in all. */
mr_status mr_pack_scan(mr_span bytes, unsigned max_depth, size_t max_items, size_t *length, mr_error *err) MR_MUST_CHECK;

/* The next value (a container's header only). A count larger than the bytes left can hold is refused. */
mr_status mr_unpack_next(mr_unpack *u, mr_pack_value *out, mr_error *err) MR_MUST_CHECK;
/* The next value must be of the kind named; u64 takes non-negative integers, f64 takes integers too. */
mr_status mr_unpack_u64(mr_unpack *u, uint64_t max, uint64_t *out, mr_error *err) MR_MUST_CHECK;
mr_status mr_unpack_i64(mr_unpack *u, int64_t *out, mr_error *err) MR_MUST_CHECK;
mr_status mr_unpack_f64(mr_unpack *u, double *out, mr_error *err) MR_MUST_CHECK;
mr_status mr_unpack_bool(mr_unpack *u, bool *out, mr_error *err) MR_MUST_CHECK;
mr_status mr_unpack_str(mr_unpack *u, size_t max, mr_span *out, mr_error *err) MR_MUST_CHECK; /* nil = empty */
mr_status mr_unpack_bin(mr_unpack *u, size_t max, mr_span *out, mr_error *err) MR_MUST_CHECK; /* nil = empty */
mr_status mr_unpack_array(mr_unpack *u, uint32_t max, uint32_t *count, mr_error *err) MR_MUST_CHECK;
mr_status mr_unpack_map(mr_unpack *u, uint32_t max, uint32_t *count, mr_error *err) MR_MUST_CHECK;
mr_status mr_unpack_skip(mr_unpack *u, mr_error *err) MR_MUST_CHECK;
/* Looks up `key` in the map that starts at the cursor; leaves the cursor alone. E_NOT_FOUND when it is not there. */
mr_status mr_unpack_find(const mr_unpack *map, const char *key, mr_unpack *value) MR_MUST_CHECK;

#endif
