#include "common/pack.h"

#include <msgpack/pack.h>
#include <stdlib.h>
#include <string.h>

/* ---- writing ---- */

static int put(void *buf, const char *bytes, size_t n) {
    mr_buf_put(buf, bytes, n);
    return 0; /* a failure stays in the buffer */
}

static msgpack_packer packer(mr_buf *b) {
    msgpack_packer pk;
    msgpack_packer_init(&pk, b, put);
    return pk;
}

void mr_pack_nil(mr_buf *b) {
    msgpack_packer pk = packer(b);
    msgpack_pack_nil(&pk);
}

void mr_pack_bool(mr_buf *b, bool v) {
    msgpack_packer pk = packer(b);
    if (v)
        msgpack_pack_true(&pk);
    else
        msgpack_pack_false(&pk);
}

void mr_pack_u64(mr_buf *b, uint64_t v) {
    msgpack_packer pk = packer(b);
    msgpack_pack_uint64(&pk, v);
}

void mr_pack_i64(mr_buf *b, int64_t v) {
    msgpack_packer pk = packer(b);
    msgpack_pack_int64(&pk, v);
}

/* Written by hand, so that a whole number stays a float64 whatever version of msgpack-c there is. */
void mr_pack_f64(mr_buf *b, double v) {
    uint64_t bits;
    uint8_t *to = mr_buf_extend(b, 1 + sizeof bits);
    if (!to) return;
    memcpy(&bits, &v, sizeof bits);
    bits = __builtin_bswap64(bits);
    *to = 0xcb;
    memcpy(to + 1, &bits, sizeof bits);
}

void mr_pack_text(mr_buf *b, const char *text) {
    if (text)
        mr_pack_str(b, mr_span_of(text));
    else
        mr_pack_nil(b);
}

/* A length that msgpack cannot say makes the buffer fail as one that is full. */
static bool sayable(mr_buf *b, size_t len) {
    if (len > UINT32_MAX && b->status == MR_OK) b->status = MR_E_LIMIT;
    return len <= UINT32_MAX;
}

void mr_pack_str(mr_buf *b, mr_span v) {
    if (!sayable(b, v.len)) return;
    msgpack_packer pk = packer(b);
    msgpack_pack_str(&pk, v.len);
    mr_buf_put(b, v.data, v.len);
}

void mr_pack_bin(mr_buf *b, mr_span v) {
    if (!sayable(b, v.len)) return;
    msgpack_packer pk = packer(b);
    msgpack_pack_bin(&pk, v.len);
    mr_buf_put(b, v.data, v.len);
}

void mr_pack_array(mr_buf *b, uint32_t count) {
    msgpack_packer pk = packer(b);
    msgpack_pack_array(&pk, count);
}

void mr_pack_map(mr_buf *b, uint32_t count) {
    msgpack_packer pk = packer(b);
    msgpack_pack_map(&pk, count);
}

static size_t open_with(mr_buf *b, const char *header) {
    size_t at = b->len;
    mr_buf_put(b, header, 5);
    return at;
}

size_t mr_pack_open_array(mr_buf *b) { return open_with(b, "\xdd\0\0\0"); }
size_t mr_pack_open_map(mr_buf *b) { return open_with(b, "\xdf\0\0\0"); }

void mr_pack_patch(mr_buf *b, size_t at, uint32_t count) {
    if (b->status != MR_OK) return;
    MR_ASSERT(b->len >= 5 && at <= b->len - 5 && (b->data[at] == 0xdd || b->data[at] == 0xdf));
    uint32_t big = __builtin_bswap32(count);
    memcpy(b->data + at + 1, &big, sizeof big);
}

/* ---- reading ---- */

void mr_unpack_init(mr_unpack *u, mr_span bytes) {
    *u = (mr_unpack){bytes.data, bytes.data, bytes.len ? bytes.data + bytes.len : bytes.data};
}

bool mr_unpack_done(const mr_unpack *u) { return u->at == u->end; }

static size_t left(const mr_unpack *u) { return (size_t)(u->end - u->at); }

/* What a value's first byte says: its kind, and how many bytes of number follow it. */
typedef enum kind { FIX_INT, NIL, BOOL, UINT, INT, FLOAT, STR, BIN, ARRAY, MAP, REFUSED } kind;
typedef struct lead {
    uint8_t kind, bytes;
} lead;

/* 0xc0 .. 0xdf; 0xc1 is never used and the extension types (0xc7 .. 0xc9, 0xd4 .. 0xd8) are not ours. */
static const lead leads[32] = {
    {NIL, 0},     {REFUSED, 0}, {BOOL, 0},    {BOOL, 0},    {BIN, 1},   {BIN, 2},  {BIN, 4},
    {REFUSED, 0}, {REFUSED, 0}, {REFUSED, 0}, {FLOAT, 4},   {FLOAT, 8}, {UINT, 1}, {UINT, 2},
    {UINT, 4},    {UINT, 8},    {INT, 1},     {INT, 2},     {INT, 4},   {INT, 8},  {REFUSED, 0},
    {REFUSED, 0}, {REFUSED, 0}, {REFUSED, 0}, {REFUSED, 0}, {STR, 1},   {STR, 2},  {STR, 4},
    {ARRAY, 2},   {ARRAY, 4},   {MAP, 2},     {MAP, 4},
};

static lead lead_of(uint8_t first) {
    if (first < 0x80 || first >= 0xe0) return (lead){FIX_INT, 0};
    if (first < 0x90) return (lead){MAP, 0};
    if (first < 0xa0) return (lead){ARRAY, 0};
    if (first < 0xc0) return (lead){STR, 0};
    return leads[first - 0xc0];
}

/* The count or length that a container, text or binary states: in its first byte or in the number behind it.
 */
static uint64_t stated(uint8_t first, lead l, uint64_t number) {
    if (l.bytes) return number;
    return l.kind == STR ? first & 31u : first & 15u;
}

static mr_status broken(const mr_unpack *u, const uint8_t *at, const char *what, mr_error *err) {
    return mr_fail(err, MR_E_PROTOCOL, "msgpack at byte %zu: %s", (size_t)(at - u->start), what);
}

static mr_status set_int(mr_pack_value *out, int64_t v) {
    if (v < 0)
        *out = (mr_pack_value){MR_PACK_INT, {.i = v}};
    else
        *out = (mr_pack_value){MR_PACK_UINT, {.u = (uint64_t)v}};
    return MR_OK;
}

static double float_of(uint64_t number, unsigned bytes) {
    if (bytes == 8) {
        double d;
        memcpy(&d, &number, sizeof d);
        return d;
    }
    float f;
    uint32_t word = (uint32_t)number;
    memcpy(&f, &word, sizeof f);
    return (double)f;
}

static mr_status scalar(uint8_t first, lead l, uint64_t number, mr_pack_value *out) {
    unsigned shift = l.bytes ? 64 - 8u * l.bytes : 0;
    switch ((kind)l.kind) {
    case FIX_INT:
        return set_int(out, (int8_t)first);
    case BOOL:
        *out = (mr_pack_value){MR_PACK_BOOL, {.boolean = first == 0xc3}};
        break;
    case UINT:
        *out = (mr_pack_value){MR_PACK_UINT, {.u = number}};
        break;
    case INT:
        return set_int(out, (int64_t)(number << shift) >> shift);
    case FLOAT:
        *out = (mr_pack_value){MR_PACK_FLOAT, {.f = float_of(number, l.bytes)}};
        break;
    default:
        *out = (mr_pack_value){.type = MR_PACK_NIL};
        break;
    }
    return MR_OK;
}

static mr_status container(mr_unpack *u, const uint8_t *at, lead l, uint64_t count, mr_pack_value *out,
                           mr_error *err) {
    bool map = l.kind == MAP;
    if (count > left(u) / (map ? 2 : 1)) return broken(u, at, "states more items than bytes are left", err);
    *out = (mr_pack_value){map ? MR_PACK_MAP : MR_PACK_ARRAY, {.count = (uint32_t)count}};
    return MR_OK;
}

static mr_status bytes_of(mr_unpack *u, const uint8_t *at, lead l, uint64_t n, mr_pack_value *out,
                          mr_error *err) {
    if (n > left(u)) return broken(u, at, "states more bytes than are left", err);
    *out = (mr_pack_value){l.kind == STR ? MR_PACK_STR : MR_PACK_BIN, {.bytes = {u->at, (size_t)n}}};
    u->at += n;
    return MR_OK;
}

mr_status mr_unpack_next(mr_unpack *u, mr_pack_value *out, mr_error *err) {
    const uint8_t *at = u->at;
    if (left(u) == 0) return broken(u, at, "ends where a value is expected", err);
    uint8_t first = *at;
    lead l = lead_of(first);
    if (l.kind == REFUSED) return broken(u, at, "a type that is not in use here", err);
    if (l.bytes > left(u) - 1) return broken(u, at, "is cut short", err);
    uint64_t number = 0;
    for (unsigned i = 0; i < l.bytes; i++) number = number << 8 | at[1 + i];
    mr_unpack rest = {u->start, at + 1 + l.bytes, u->end};
    mr_status status;
    if (l.kind == ARRAY || l.kind == MAP)
        status = container(&rest, at, l, stated(first, l, number), out, err);
    else if (l.kind == STR || l.kind == BIN)
        status = bytes_of(&rest, at, l, stated(first, l, number), out, err);
    else
        status = scalar(first, l, number, out);
    if (status == MR_OK) *u = rest; /* a refused value leaves the cursor before it */
    return status;
}

/* One counter is enough to walk a value without a stack, but not to know how deep it is: for that the number
 * of values still open at each level is kept. */
enum { DEPTH_MAX = 128 };

static mr_status walk(mr_unpack *u, unsigned max_depth, size_t max_items, mr_error *err) {
    uint64_t open[DEPTH_MAX + 1] = {1};
    unsigned depth = 0;
    MR_ASSERT(max_depth <= DEPTH_MAX);
    for (size_t items = 0;; items++) {
        while (open[depth] == 0)
            if (depth-- == 0) return MR_OK;
        const uint8_t *at = u->at;
        if (items == max_items) return broken(u, at, "holds more values than are allowed", err);
        mr_pack_value v;
        MR_TRY(mr_unpack_next(u, &v, err));
        open[depth]--;
        if (v.type != MR_PACK_ARRAY && v.type != MR_PACK_MAP) continue;
        if (depth == max_depth) return broken(u, at, "is nested too deep", err);
        open[++depth] = v.type == MR_PACK_MAP ? 2ull * v.as.count : v.as.count;
    }
}

mr_status mr_pack_scan(mr_span bytes, unsigned max_depth, size_t max_items, size_t *length, mr_error *err) {
    mr_unpack u;
    mr_unpack_init(&u, bytes);
    MR_TRY(walk(&u, max_depth < DEPTH_MAX ? max_depth : DEPTH_MAX, max_items, err));
    if (length) *length = bytes.len - left(&u);
    return MR_OK;
}

mr_status mr_unpack_skip(mr_unpack *u, mr_error *err) {
    mr_unpack ahead = *u;
    MR_TRY(walk(&ahead, DEPTH_MAX, SIZE_MAX, err));
    *u = ahead;
    return MR_OK;
}

/* ---- values of a kind that the reader expects ---- */

static const char *const type_names[] = {
    "nil", "a bool", "an integer", "a negative integer", "a float", "text", "binary", "an array", "a map"};

static mr_status unexpected(const mr_unpack *u, const char *wanted, const mr_pack_value *v, mr_error *err) {
    return mr_fail(err, MR_E_PROTOCOL, "msgpack at byte %zu: %s is expected, %s is there",
                   (size_t)(u->at - u->start), wanted, type_names[v->type]);
}

static mr_status over(const mr_unpack *u, const char *what, uint64_t value, uint64_t max, mr_error *err) {
    return mr_fail(err, MR_E_PROTOCOL, "msgpack at byte %zu: %s %llu, at most %llu is allowed",
                   (size_t)(u->at - u->start), what, (unsigned long long)value, (unsigned long long)max);
}

mr_status mr_unpack_u64(mr_unpack *u, uint64_t max, uint64_t *out, mr_error *err) {
    mr_unpack ahead = *u;
    mr_pack_value v;
    MR_TRY(mr_unpack_next(&ahead, &v, err));
    if (v.type != MR_PACK_UINT) return unexpected(u, "a non-negative integer", &v, err);
    if (v.as.u > max) return over(u, "an integer of", v.as.u, max, err);
    *out = v.as.u;
    *u = ahead;
    return MR_OK;
}

mr_status mr_unpack_i64(mr_unpack *u, int64_t *out, mr_error *err) {
    mr_unpack ahead = *u;
    mr_pack_value v;
    MR_TRY(mr_unpack_next(&ahead, &v, err));
    if (v.type == MR_PACK_UINT && v.as.u > INT64_MAX) return over(u, "an integer of", v.as.u, INT64_MAX, err);
    if (v.type != MR_PACK_UINT && v.type != MR_PACK_INT) return unexpected(u, "an integer", &v, err);
    *out = v.as.i;
    *u = ahead;
    return MR_OK;
}

mr_status mr_unpack_f64(mr_unpack *u, double *out, mr_error *err) {
    mr_unpack ahead = *u;
    mr_pack_value v;
    MR_TRY(mr_unpack_next(&ahead, &v, err));
    switch (v.type) {
    case MR_PACK_FLOAT:
        *out = v.as.f;
        break;
    case MR_PACK_UINT:
        *out = (double)v.as.u;
        break;
    case MR_PACK_INT:
        *out = (double)v.as.i;
        break;
    default:
        return unexpected(u, "a number", &v, err);
    }
    *u = ahead;
    return MR_OK;
}

mr_status mr_unpack_bool(mr_unpack *u, bool *out, mr_error *err) {
    mr_unpack ahead = *u;
    mr_pack_value v;
    MR_TRY(mr_unpack_next(&ahead, &v, err));
    if (v.type != MR_PACK_BOOL) return unexpected(u, "a bool", &v, err);
    *out = v.as.boolean;
    *u = ahead;
    return MR_OK;
}

static mr_status take_bytes(mr_unpack *u, mr_pack_type type, size_t max, mr_span *out, mr_error *err) {
    mr_unpack ahead = *u;
    mr_pack_value v;
    MR_TRY(mr_unpack_next(&ahead, &v, err));
    if (v.type == MR_PACK_NIL)
        v.as.bytes = (mr_span){NULL, 0};
    else if (v.type != type)
        return unexpected(u, type_names[type], &v, err);
    if (v.as.bytes.len > max) return over(u, "a length of", v.as.bytes.len, max, err);
    *out = v.as.bytes;
    *u = ahead;
    return MR_OK;
}

mr_status mr_unpack_str(mr_unpack *u, size_t max, mr_span *out, mr_error *err) {
    return take_bytes(u, MR_PACK_STR, max, out, err);
}

mr_status mr_unpack_bin(mr_unpack *u, size_t max, mr_span *out, mr_error *err) {
    return take_bytes(u, MR_PACK_BIN, max, out, err);
}

static mr_status take_count(mr_unpack *u, mr_pack_type type, uint32_t max, uint32_t *count, mr_error *err) {
    mr_unpack ahead = *u;
    mr_pack_value v;
    MR_TRY(mr_unpack_next(&ahead, &v, err));
    if (v.type != type) return unexpected(u, type_names[type], &v, err);
    if (v.as.count > max) return over(u, "a count of", v.as.count, max, err);
    *count = v.as.count;
    *u = ahead;
    return MR_OK;
}

mr_status mr_unpack_array(mr_unpack *u, uint32_t max, uint32_t *count, mr_error *err) {
    return take_count(u, MR_PACK_ARRAY, max, count, err);
}

mr_status mr_unpack_map(mr_unpack *u, uint32_t max, uint32_t *count, mr_error *err) {
    return take_count(u, MR_PACK_MAP, max, count, err);
}

mr_status mr_unpack_find(const mr_unpack *map, const char *key, mr_unpack *value) {
    mr_unpack u = *map;
    mr_span wanted = mr_span_of(key);
    uint32_t count;
    MR_TRY(mr_unpack_map(&u, UINT32_MAX, &count, NULL));
    for (uint32_t i = 0; i < count; i++) {
        mr_unpack at_key = u;
        mr_pack_value k;
        MR_TRY(mr_unpack_skip(&u, NULL));
        MR_TRY(mr_unpack_next(&at_key, &k, NULL));
        if (k.type == MR_PACK_STR && mr_span_eq(k.as.bytes, wanted)) {
            *value = u;
            return MR_OK;
        }
        MR_TRY(mr_unpack_skip(&u, NULL));
    }
    return MR_E_NOT_FOUND;
}
