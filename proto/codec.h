/* codec.h: turns the C structs of proto/gen/wire.h into envelopes and back by walking their tables. Callers
 * use the typed functions of proto/gen/wire.h; this is what those stand on. */
#ifndef MR_PROTO_CODEC_H
#define MR_PROTO_CODEC_H

#include "common/buf.h"
#include "common/hash.h"

/* How a field is held in C: an integer, double or bool; an mr_span; an mr_hash; or, for the lists, a pointer
 * to the items with a uint32_t count elsewhere in the struct. */
typedef enum mr_codec_kind {
    MR_CODEC_U8, MR_CODEC_U16, MR_CODEC_U32, MR_CODEC_U64, MR_CODEC_I64, MR_CODEC_F64, MR_CODEC_BOOL,
    MR_CODEC_STR, MR_CODEC_BIN, MR_CODEC_HASH, MR_CODEC_NUMBERS /* list of u64 */, MR_CODEC_STRUCTS
} mr_codec_kind;

struct mr_codec_shape;

typedef struct mr_codec_field {
    const char *name;
    mr_codec_kind kind;
    uint16_t offset, count_at;       /* bytes from the start of the struct; count_at for the lists alone */
    uint32_t max;                    /* bytes of STR and BIN, items of the lists */
    const struct mr_codec_shape *of; /* what STRUCTS is a list of */
} mr_codec_field;

typedef struct mr_codec_shape {
    const char *name;
    const mr_codec_field *fields;
    uint16_t field_count, size; /* size: of the C struct, in bytes */
    uint8_t type;               /* of a message; 0 for a struct that messages hold */
    bool body;                  /* a body frame may follow the envelope */
} mr_codec_shape;

/* Appends one envelope to `b`. Errors: E_LIMIT a field is over its maximum, or the envelope over
 * MR_WIRE_ENVELOPE_MAX or the buffer's maximum; E_INVALID a str is not UTF-8 or holds a NUL, or an f64 is not
 * finite; E_MEMORY. After an error `b` is as long as it was. */
mr_status mr_codec_encode(mr_buf *b, const mr_codec_shape *shape, const void *message) MR_MUST_CHECK;

/* Fills `out` (shape->size bytes) from an envelope of this type. Spans borrow from the envelope, lists come
 * from the arena. Errors: E_PROTOCOL, with the message's and the field's name; E_MEMORY. `out` is undefined
 * after an error. */
mr_status mr_codec_decode(const mr_codec_shape *shape, mr_span envelope, mr_arena *arena, void *out,
                          mr_error *err) MR_MUST_CHECK;

/* Reads type and version and nothing more: enough to choose what to do, or to answer a peer that speaks
 * another version. Error: E_PROTOCOL. */
mr_status mr_codec_peek(mr_span envelope, uint8_t *type, uint32_t *version, mr_error *err) MR_MUST_CHECK;

/* UTF-8 without a NUL, which the database could not hold. */
bool mr_codec_text_ok(mr_span text);
/* The longest beginning of `text` that a str field of that maximum can hold: for sentences that may have been
 * cut inside a character, or came from elsewhere. */
mr_span mr_codec_text_cut(mr_span text, size_t max);

#endif
