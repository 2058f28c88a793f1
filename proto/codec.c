#include "proto/codec.h"

#include "common/pack.h"
#include "common/text.h"
#include "proto/gen/wire.h"

#include <math.h>
#include <string.h>

mr_span mr_codec_text_cut(mr_span text, size_t max) {
    if (text.len > max) text.len = max;
    const uint8_t *nul = text.len ? memchr(text.data, 0, text.len) : NULL;
    if (nul) text.len = (size_t)(nul - text.data);
    text.len = mr_utf8_broken_at(text);
    return text;
}

bool mr_codec_text_ok(mr_span text) { return mr_codec_text_cut(text, text.len).len == text.len; }

static size_t item_size(const mr_codec_field *f) {
    return f->kind == MR_CODEC_NUMBERS ? sizeof(uint64_t) : f->of->size;
}

/* ---- encoding ---- */

static mr_status put_fields(mr_buf *b, const mr_codec_shape *shape, const uint8_t *from);

static mr_status put_list(mr_buf *b, const mr_codec_field *f, const uint8_t *from) {
    const uint8_t *items;
    uint32_t count;
    memcpy(&items, from + f->offset, sizeof items);
    memcpy(&count, from + f->count_at, sizeof count);
    if (count > f->max) return MR_E_LIMIT;
    MR_ASSERT(items || !count);
    mr_pack_array(b, count);
    for (uint32_t i = 0; i < count; i++) {
        const uint8_t *item = items + i * item_size(f);
        if (f->kind == MR_CODEC_NUMBERS) {
            mr_pack_u64(b, *(const uint64_t *)(const void *)item);
        } else {
            mr_pack_array(b, f->of->field_count);
            MR_TRY(put_fields(b, f->of, item));
        }
    }
    return MR_OK;
}

static mr_status put_bytes(mr_buf *b, const mr_codec_field *f, mr_span v) {
    if (v.len > f->max) return MR_E_LIMIT;
    if (f->kind == MR_CODEC_BIN) {
        mr_pack_bin(b, v);
        return MR_OK;
    }
    if (!mr_codec_text_ok(v)) return MR_E_INVALID;
    mr_pack_str(b, v);
    return MR_OK;
}

static mr_status put_field(mr_buf *b, const mr_codec_field *f, const uint8_t *from) {
    const void *at = from + f->offset;
    switch (f->kind) {
    case MR_CODEC_U8:
        mr_pack_u64(b, *(const uint8_t *)at);
        break;
    case MR_CODEC_U16:
        mr_pack_u64(b, *(const uint16_t *)at);
        break;
    case MR_CODEC_U32:
        mr_pack_u64(b, *(const uint32_t *)at);
        break;
    case MR_CODEC_U64:
        mr_pack_u64(b, *(const uint64_t *)at);
        break;
    case MR_CODEC_I64:
        mr_pack_i64(b, *(const int64_t *)at);
        break;
    case MR_CODEC_F64:
        if (!isfinite(*(const double *)at)) return MR_E_INVALID;
        mr_pack_f64(b, *(const double *)at);
        break;
    case MR_CODEC_BOOL:
        mr_pack_bool(b, *(const bool *)at);
        break;
    case MR_CODEC_STR:
    case MR_CODEC_BIN:
        return put_bytes(b, f, *(const mr_span *)at);
    case MR_CODEC_HASH:
        mr_pack_bin(b, (mr_span){((const mr_hash *)at)->bytes, sizeof(mr_hash)});
        break;
    case MR_CODEC_NUMBERS:
    case MR_CODEC_STRUCTS:
        return put_list(b, f, from);
    }
    return MR_OK;
}

static mr_status put_fields(mr_buf *b, const mr_codec_shape *shape, const uint8_t *from) {
    for (uint16_t i = 0; i < shape->field_count; i++) MR_TRY(put_field(b, &shape->fields[i], from));
    return mr_buf_status(b);
}

mr_status mr_codec_encode(mr_buf *b, const mr_codec_shape *shape, const void *message) {
    MR_TRY(mr_buf_status(b));
    size_t start = b->len;
    mr_pack_array(b, 2u + shape->field_count);
    mr_pack_u64(b, shape->type);
    mr_pack_u64(b, MR_WIRE_VERSION);
    mr_status status = put_fields(b, shape, message);
    if (status == MR_OK && b->len - start > MR_WIRE_ENVELOPE_MAX) status = MR_E_LIMIT;
    if (status != MR_OK) b->len = start;
    return status;
}

/* ---- decoding ---- */

typedef struct reader {
    mr_unpack u;
    mr_arena *arena;
    mr_error *err;
} reader;

static mr_status get_fields(reader *r, const mr_codec_shape *shape, uint32_t count, uint8_t *out);

static mr_status get_struct(reader *r, const mr_codec_shape *shape, uint8_t *out) {
    uint32_t count;
    MR_TRY(mr_unpack_array(&r->u, UINT32_MAX, &count, r->err));
    return get_fields(r, shape, count, out);
}

static mr_status get_list(reader *r, const mr_codec_field *f, uint8_t *out) {
    uint32_t count;
    MR_TRY(mr_unpack_array(&r->u, f->max, &count, r->err));
    memcpy(out + f->count_at, &count, sizeof count);
    if (!count) return MR_OK;
    uint8_t *items = mr_arena_alloc(r->arena, count, item_size(f));
    if (!items) return mr_fail(r->err, MR_E_MEMORY, "no memory for %u items", count);
    memcpy(out + f->offset, &items, sizeof items);
    for (uint32_t i = 0; i < count; i++) {
        uint8_t *item = items + i * item_size(f);
        if (f->kind == MR_CODEC_NUMBERS)
            MR_TRY(mr_unpack_u64(&r->u, UINT64_MAX, (void *)item, r->err));
        else
            MR_TRY(get_struct(r, f->of, item));
    }
    return MR_OK;
}

static mr_status get_small(reader *r, const mr_codec_field *f, void *at) {
    static const uint64_t largest[] = {
        [MR_CODEC_U8] = UINT8_MAX, [MR_CODEC_U16] = UINT16_MAX, [MR_CODEC_U32] = UINT32_MAX};
    uint64_t v;
    MR_TRY(mr_unpack_u64(&r->u, largest[f->kind], &v, r->err));
    if (f->kind == MR_CODEC_U8)
        *(uint8_t *)at = (uint8_t)v;
    else if (f->kind == MR_CODEC_U16)
        *(uint16_t *)at = (uint16_t)v;
    else
        *(uint32_t *)at = (uint32_t)v;
    return MR_OK;
}

static mr_status get_f64(reader *r, double *out) {
    MR_TRY(mr_unpack_f64(&r->u, out, r->err));
    return isfinite(*out) ? MR_OK : mr_fail(r->err, MR_E_PROTOCOL, "the number is not finite");
}

static mr_status get_text(reader *r, const mr_codec_field *f, mr_span *out) {
    MR_TRY(mr_unpack_str(&r->u, f->max, out, r->err));
    if (mr_codec_text_ok(*out)) return MR_OK;
    return mr_fail(r->err, MR_E_PROTOCOL, "the text is not UTF-8, or holds a NUL");
}

static mr_status get_hash(reader *r, mr_hash *out) {
    mr_span bytes;
    MR_TRY(mr_unpack_bin(&r->u, sizeof *out, &bytes, r->err));
    if (bytes.len != sizeof *out)
        return mr_fail(r->err, MR_E_PROTOCOL, "a hash has 32 bytes, this has %zu", bytes.len);
    memcpy(out->bytes, bytes.data, sizeof *out);
    return MR_OK;
}

static mr_status get_field(reader *r, const mr_codec_field *f, uint8_t *out) {
    void *at = out + f->offset;
    switch (f->kind) {
    case MR_CODEC_U8:
    case MR_CODEC_U16:
    case MR_CODEC_U32:
        return get_small(r, f, at);
    case MR_CODEC_U64:
        return mr_unpack_u64(&r->u, UINT64_MAX, at, r->err);
    case MR_CODEC_I64:
        return mr_unpack_i64(&r->u, at, r->err);
    case MR_CODEC_F64:
        return get_f64(r, at);
    case MR_CODEC_BOOL:
        return mr_unpack_bool(&r->u, at, r->err);
    case MR_CODEC_STR:
        return get_text(r, f, at);
    case MR_CODEC_BIN:
        return mr_unpack_bin(&r->u, f->max, at, r->err);
    case MR_CODEC_HASH:
        return get_hash(r, at);
    case MR_CODEC_NUMBERS:
    case MR_CODEC_STRUCTS:
        return get_list(r, f, out);
    }
    return MR_E_INTERNAL;
}

/* Whatever went wrong in a field is the peer's doing, except that we have no memory. */
static mr_status blame(mr_error *err, mr_status status, const char *shape, const char *field) {
    if (status != MR_E_MEMORY) status = MR_E_PROTOCOL;
    if (!err) return status;
    err->status = status;
    return mr_fail_in(err, "%s.%s", shape, field);
}

static mr_status get_fields(reader *r, const mr_codec_shape *shape, uint32_t count, uint8_t *out) {
    for (uint32_t i = 0; i < count; i++) {
        bool known = i < shape->field_count;
        mr_status status = known ? get_field(r, &shape->fields[i], out) : mr_unpack_skip(&r->u, r->err);
        if (status != MR_OK)
            return blame(r->err, status, shape->name, known ? shape->fields[i].name : "(new field)");
    }
    return MR_OK;
}

/* Leaves the cursor behind type and version; `count` is how many fields follow. */
static mr_status open_envelope(mr_unpack *u, mr_span envelope, uint8_t *type, uint32_t *version,
                               uint32_t *count, mr_error *err) {
    uint64_t t, v;
    if (envelope.len > MR_WIRE_ENVELOPE_MAX)
        return mr_fail(err, MR_E_PROTOCOL, "it has %zu bytes, at most %d are taken", envelope.len,
                       MR_WIRE_ENVELOPE_MAX);
    mr_unpack_init(u, envelope);
    MR_TRY(mr_unpack_array(u, UINT32_MAX, count, err));
    if (*count < 2) return mr_fail(err, MR_E_PROTOCOL, "it has no type and version");
    MR_TRY(mr_unpack_u64(u, UINT8_MAX, &t, err));
    MR_TRY(mr_unpack_u64(u, UINT32_MAX, &v, err));
    *type = (uint8_t)t;
    *version = (uint32_t)v;
    *count -= 2;
    return MR_OK;
}

mr_status mr_codec_peek(mr_span envelope, uint8_t *type, uint32_t *version, mr_error *err) {
    mr_unpack u;
    uint32_t count;
    mr_status status = open_envelope(&u, envelope, type, version, &count, err);
    return status == MR_OK ? MR_OK : blame(err, status, "envelope", "head");
}

static mr_status check_head(const mr_codec_shape *shape, uint8_t type, uint32_t version, mr_error *err) {
    if (type != shape->type)
        return mr_fail(err, MR_E_PROTOCOL, "%s: this is a %s (type %u)", shape->name, mr_msg_name(type),
                       type);
    if (version != MR_WIRE_VERSION)
        return mr_fail(err, MR_E_PROTOCOL, "%s: protocol version %u; this program speaks %d", shape->name,
                       version, MR_WIRE_VERSION);
    return MR_OK;
}

/* One value of bearable depth that fills the frame. An item takes a byte at least: the length bounds the
 * count. */
static mr_status check_whole(mr_span envelope, mr_error *err) {
    size_t length;
    MR_TRY(mr_pack_scan(envelope, MR_WIRE_DEPTH_MAX, envelope.len, &length, err));
    if (length == envelope.len) return MR_OK;
    return mr_fail(err, MR_E_PROTOCOL, "%zu bytes follow the message", envelope.len - length);
}

mr_status mr_codec_decode(const mr_codec_shape *shape, mr_span envelope, mr_arena *arena, void *out,
                          mr_error *err) {
    uint8_t type = 0;
    uint32_t version = 0, count = 0;
    reader r = {.arena = arena, .err = err};
    mr_status status = open_envelope(&r.u, envelope, &type, &version, &count, err);
    if (status != MR_OK) return blame(err, status, shape->name, "head");
    MR_TRY(check_head(shape, type, version, err));
    status = check_whole(envelope, err);
    if (status != MR_OK) return blame(err, status, shape->name, "envelope");
    memset(out, 0, shape->size);
    return get_fields(&r, shape, count, out);
}
