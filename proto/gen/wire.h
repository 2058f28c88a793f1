/* Made by proto/gen.py from proto/wire.toml. Do not edit. */
#ifndef MR_PROTO_GEN_WIRE_H
#define MR_PROTO_GEN_WIRE_H

#include "proto/codec.h"

enum {
    MR_WIRE_VERSION = 1,
    MR_WIRE_ENVELOPE_MAX = 262144, /* bytes of an envelope frame */
    MR_WIRE_BODY_MAX = 67108864, /* bytes of a body frame */
    MR_WIRE_DEPTH_MAX = 8 /* containers inside each other */
};

/* Maxima of the fields: bytes of str and bin, items of lists. */
enum {
    MR_MAX_OFFER_NAME = 64,
    MR_MAX_WORK_ITEM_SIZES = 64,
    MR_MAX_ARTIFACT_ITEM_NAME = 64,
    MR_MAX_ARTIFACT_ITEM_MEDIA_TYPE = 64,
    MR_MAX_RESULT_ITEM_TEXT = 1024,
    MR_MAX_RESULT_ITEM_ARTIFACTS = 8,
    MR_MAX_RESULT_ITEM_SIZES = 64,
    MR_MAX_RESULT_ITEM_TIMES = 64,
    MR_MAX_RESULT_ITEM_HASHES = 2048,
    MR_MAX_RESULT_ITEM_LOG = 1024,
    MR_MAX_RESULT_ITEM_SUMS = 64,
    MR_MAX_HELLO_NAME = 64,
    MR_MAX_HELLO_BUILD = 64,
    MR_MAX_HELLO_OFFERS = 256,
    MR_MAX_WELCOME_BROKER = 64,
    MR_MAX_WELCOME_BUILD = 64,
    MR_MAX_WELCOME_EVENTS = 128,
    MR_MAX_WELCOME_REDIS = 256,
    MR_MAX_REFUSE_TEXT = 1024,
    MR_MAX_BYE_REASON = 256,
    MR_MAX_STEP_COMPONENT = 64,
    MR_MAX_STEP_OPTIONS = 65536,
    MR_MAX_WORK_ITEMS = 256,
    MR_MAX_RESULT_ITEMS = 256,
    MR_MAX_ACK_ITEMS = 4096,
    MR_MAX_CANCEL_ATTEMPTS = 4096,
    MR_MAX_RELEASE_ATTEMPTS = 4096,
    MR_MAX_CALL_ARGS = 131072,
    MR_MAX_REPLY_TEXT = 1024,
    MR_MAX_EVENT_NAME = 64,
    MR_MAX_EVENT_OBJECT = 128,
    MR_MAX_EVENT_DETAIL = 1024,
};

typedef enum mr_msg {
    MR_MSG_HELLO = 1,
    MR_MSG_WELCOME = 2,
    MR_MSG_REFUSE = 3,
    MR_MSG_HEARTBEAT = 4,
    MR_MSG_BYE = 5,
    MR_MSG_CREDIT = 10,
    MR_MSG_STEP = 11,
    MR_MSG_WORK = 12,
    MR_MSG_RESULT = 13,
    MR_MSG_ACK = 14,
    MR_MSG_CANCEL = 15,
    MR_MSG_RELEASE = 16,
    MR_MSG_FETCH = 17,
    MR_MSG_BLOB = 18,
    MR_MSG_PROGRESS = 19,
    MR_MSG_CALL = 30,
    MR_MSG_REPLY = 31,
    MR_MSG_EVENT = 40,
} mr_msg;

/* A component that a worker can run. */
typedef struct mr_wire_offer {
    mr_span name; /* component name; at most 64 */
    uint32_t version; /* component version */
    uint8_t kind; /* 0 learner, 1 analyzer, 2 validator */
    uint8_t shape; /* 0 map, 1 merge, 2 whole */
    uint8_t tier; /* 2 optimisation, 3 evaluation, 4 platform */
    uint32_t columns; /* columns it must have: bits of common/batch.h */
    uint32_t columns_wanted; /* columns that it uses when they are there */
    uint32_t batch_rows; /* rows a batch should have at least; 0: the run's batch size */
    uint32_t deadline_ms; /* time one call may take */
    uint32_t memory_mb; /* memory one call may take */
} mr_wire_offer;

/* An attempt at one batch or merge; or, with a count above 1, an attempt at each of `count` batches that
 * follow one another, with attempt numbers that do so too: a span. Its input is `size` bytes of the body
 * (inline), or, with inlined = false, the blob `hash` of `size` bytes from the cache or by fetch. The inputs
 * of a span are inline, one behind the other. */
typedef struct mr_wire_work_item {
    uint64_t attempt; /* number of the attempt; never used again */
    uint64_t run; /* run id */
    uint16_t step; /* the component's place in the run, from 0 */
    uint8_t level; /* 0: process a segment; above: merge partials of the level below */
    uint32_t index; /* the batch's place in its level, from 0 */
    bool last; /* true: the outcome is the step's result, not a partial */
    uint32_t deadline_ms; /* hard limit for this attempt, from its start */
    bool inlined; /* the input is in the body */
    uint64_t size; /* bytes of the input */
    mr_hash hash; /* BLAKE2b-256 of the input; all zero when it is inline and goes without */
    uint32_t count; /* batches of a span; 0 and 1: one batch. Only to a worker whose hello said that it takes
                     * so many */
    const uint64_t *sizes;
    uint32_t size_count; /* of a span: the bytes of each input; at most 64 */
} mr_wire_work_item;

/* An artifact that came with a result. */
typedef struct mr_wire_artifact_item {
    mr_span name; /* name within the run's step; at most 64 */
    mr_span media_type; /* what the bytes are; at most 64 */
    uint64_t size; /* bytes in the body */
    mr_hash hash; /* BLAKE2b-256 of those bytes */
} mr_wire_artifact_item;

/* The outcome of one attempt. Its bytes are the next `size` bytes of the body, then its artifacts' bytes
 * follow. With a count above 1 it is a span: the good outcomes of as many attempts at batches that follow one
 * another, without artifacts; their bytes are the next `size` bytes of the body. */
typedef struct mr_wire_result_item {
    uint64_t attempt; /* as in work_item */
    uint64_t run; /* run id */
    uint16_t step; /* as in work_item */
    uint8_t level; /* as in work_item */
    uint32_t index; /* as in work_item */
    uint16_t status; /* 0, or why there is no result: a number of common/status.def */
    bool partial; /* the bytes are a partial */
    uint64_t compute_us; /* time the call took */
    uint64_t peak_kb; /* most memory the call held */
    uint64_t size; /* bytes of the result in the body */
    mr_hash hash; /* BLAKE2b-256 of those bytes */
    mr_span text; /* the error's sentence; empty when status is 0; at most 1024 */
    const mr_wire_artifact_item *artifacts;
    uint32_t artifact_count; /* what the call left; at most 8 */
    uint32_t count; /* outcomes of a span; 0 and 1: one. Only to a broker whose welcome said that it takes so
                     * many */
    const uint64_t *sizes;
    uint32_t size_count; /* of a span: the bytes of each outcome; at most 64 */
    const uint64_t *times;
    uint32_t time_count; /* of a span: compute_us of each, in microseconds; at most 64 */
    mr_span hashes; /* of a span: BLAKE2b-256 of each, one behind the other; at most 2048 */
    mr_span log; /* of a failed attempt: the end of what its process printed; at most 1024 */
    const uint64_t *sums;
    uint32_t sum_count; /* of a span, in place of hashes: XXH64 of each outcome; the broker computes their
                         * names. Only to a broker whose welcome said that it does; at most 64 */
} mr_wire_result_item;

/* What became of a result. */
typedef struct mr_wire_ack_item {
    uint64_t attempt; /* as in result_item */
    uint8_t verdict; /* 0 committed, 1 stale (another attempt was first, or this one was sent before), 2
                      * refused (unknown, not this worker's, or not valid), 3 retry (not stored; send it again
                      * later) */
    uint32_t count; /* the verdict is about so many attempts from this one on; 0 and 1: one. Only to a worker
                     * that takes spans */
} mr_wire_ack_item;

/* First message of a session. A worker offers components; its catalogue (JSON of descriptors) is the body. */
typedef struct mr_wire_hello {
    uint8_t role; /* 1 worker, 2 client */
    mr_span name; /* for people and logs; at most 64 */
    mr_span build; /* program version; at most 64 */
    uint16_t slots; /* calls that a worker runs at once */
    const mr_wire_offer *offers;
    uint32_t offer_count; /* components compiled into the worker; at most 256 */
    uint32_t span; /* most batches of a work item that it takes; 0: one, and each with its hash */
} mr_wire_hello;

/* The session is open. What a peer sent in an earlier session has no session state any more; results are
 * taken all the same. */
typedef struct mr_wire_welcome {
    uint64_t session; /* session id */
    mr_span broker; /* the broker's name; at most 64 */
    mr_span build; /* program version; at most 64 */
    uint32_t heartbeat_ms; /* send something at least this often */
    uint32_t lost_after_ms; /* silence after which a peer counts as lost */
    uint32_t inline_max; /* inputs up to this size come in the body */
    mr_span events; /* address of the live events (PUB); at most 128 */
    mr_span redis; /* address of the blob cache without credentials; empty: none; at most 256 */
    uint32_t span; /* most outcomes of a result item that it takes; 0: one */
    bool sums; /* it takes a span with sums */
} mr_wire_welcome;

/* The last message could not be taken; the session is closed when `fatal`. */
typedef struct mr_wire_refuse {
    uint16_t status; /* number of common/status.def */
    mr_span text; /* what, where, what to do; at most 1024 */
    bool fatal; /* the session is closed; begin again with hello */
} mr_wire_refuse;

/* I live. Both ways. */
typedef struct mr_wire_heartbeat {
    uint16_t busy; /* worker: calls that are running */
    uint32_t held; /* worker: results not yet acknowledged */
} mr_wire_heartbeat;

/* The session ends by intent; what the peer held is free again. */
typedef struct mr_wire_bye {
    mr_span reason; /* for the log; at most 256 */
} mr_wire_bye;

/* The worker can take this many more items. */
typedef struct mr_wire_credit {
    uint32_t amount; /* items, added to what is left */
} mr_wire_credit;

/* What a worker must know of a run's component; sent once a session before its first work. */
typedef struct mr_wire_step {
    uint64_t run; /* run id */
    uint16_t step; /* the component's place in the run */
    mr_span component; /* name; at most 64 */
    uint32_t version; /* component version */
    uint64_t seed; /* the run's seed for this component */
    mr_span options; /* msgpack map of option name to text; at most 65536 */
} mr_wire_step;

/* Attempts to make. The body holds the inline inputs, one behind the other, in the order of the items. */
typedef struct mr_wire_work {
    const mr_wire_work_item *items;
    uint32_t item_count; /* the attempts; at most 256 */
} mr_wire_work;

/* Outcomes. The body holds for each item its bytes and then those of its artifacts. */
typedef struct mr_wire_result {
    const mr_wire_result_item *items;
    uint32_t item_count; /* the outcomes; at most 256 */
} mr_wire_result;

/* The worker may forget these results (verdict 0 to 2). */
typedef struct mr_wire_ack {
    const mr_wire_ack_item *items;
    uint32_t item_count; /* the verdicts; at most 4096 */
} mr_wire_ack;

/* These attempts are not wanted any more. */
typedef struct mr_wire_cancel {
    const uint64_t *attempts;
    uint32_t attempt_count; /* attempt numbers; at most 4096 */
} mr_wire_cancel;

/* The worker gives these attempts back unstarted. */
typedef struct mr_wire_release {
    const uint64_t *attempts;
    uint32_t attempt_count; /* attempt numbers; at most 4096 */
} mr_wire_release;

/* A part of an attempt's input that the cache did not have. */
typedef struct mr_wire_fetch {
    uint32_t request; /* number that the blob answers with */
    uint64_t attempt; /* whose input */
    uint64_t offset; /* from this byte */
    uint32_t length; /* at most this many bytes (4 MiB and less) */
} mr_wire_fetch;

/* Bytes that were fetched, in the body. */
typedef struct mr_wire_blob {
    uint32_t request; /* as in fetch */
    uint16_t status; /* 0, or why there are none */
    uint64_t total; /* size of the whole input */
    uint64_t offset; /* where the body's bytes belong */
} mr_wire_blob;

/* How far an attempt is; for people who watch. */
typedef struct mr_wire_progress {
    uint64_t attempt; /* attempt number */
    double done; /* 0 to 1 */
} mr_wire_progress;

/* A command of a client. `args` is a msgpack map; ingest rows are the body. */
typedef struct mr_wire_call {
    uint32_t call; /* number that the reply answers with */
    uint16_t command; /* number of session.toml */
    mr_span args; /* msgpack map of the command's arguments; at most 131072 */
} mr_wire_call;

/* The answer; the body is one msgpack document when status is 0. */
typedef struct mr_wire_reply {
    uint32_t call; /* as in call */
    uint16_t status; /* number of common/status.def */
    mr_span text; /* the error's sentence; at most 1024 */
} mr_wire_reply;

/* A live event on the PUB socket: hints for people who watch, never work. The frame before it is the
 * topic. */
typedef struct mr_wire_event {
    int64_t at_us; /* microseconds since 1970 UTC */
    mr_span name; /* stable event name, such as batch_committed; at most 64 */
    mr_span object; /* what it is about, such as run:7; at most 128 */
    mr_span detail; /* key=value pairs; at most 1024 */
} mr_wire_event;

/* Any message. */
typedef struct mr_wire {
    mr_msg type;
    union {
        mr_wire_hello hello;
        mr_wire_welcome welcome;
        mr_wire_refuse refuse;
        mr_wire_heartbeat heartbeat;
        mr_wire_bye bye;
        mr_wire_credit credit;
        mr_wire_step step;
        mr_wire_work work;
        mr_wire_result result;
        mr_wire_ack ack;
        mr_wire_cancel cancel;
        mr_wire_release release;
        mr_wire_fetch fetch;
        mr_wire_blob blob;
        mr_wire_progress progress;
        mr_wire_call call;
        mr_wire_reply reply;
        mr_wire_event event;
    } as;
} mr_wire;

extern const mr_codec_shape mr_wire_shape_hello;
extern const mr_codec_shape mr_wire_shape_welcome;
extern const mr_codec_shape mr_wire_shape_refuse;
extern const mr_codec_shape mr_wire_shape_heartbeat;
extern const mr_codec_shape mr_wire_shape_bye;
extern const mr_codec_shape mr_wire_shape_credit;
extern const mr_codec_shape mr_wire_shape_step;
extern const mr_codec_shape mr_wire_shape_work;
extern const mr_codec_shape mr_wire_shape_result;
extern const mr_codec_shape mr_wire_shape_ack;
extern const mr_codec_shape mr_wire_shape_cancel;
extern const mr_codec_shape mr_wire_shape_release;
extern const mr_codec_shape mr_wire_shape_fetch;
extern const mr_codec_shape mr_wire_shape_blob;
extern const mr_codec_shape mr_wire_shape_progress;
extern const mr_codec_shape mr_wire_shape_call;
extern const mr_codec_shape mr_wire_shape_reply;
extern const mr_codec_shape mr_wire_shape_event;

/* The shape of a message type; NULL when there is no such type. */
const mr_codec_shape *mr_wire_shape(uint8_t type);
/* The name of a message type; "unknown" when there is no such type. */
const char *mr_msg_name(uint8_t type);

/* As mr_codec_encode and mr_codec_decode (proto/codec.h), for whatever type it is. */
mr_status mr_wire_encode(mr_buf *b, const mr_wire *m) MR_MUST_CHECK;
mr_status mr_wire_decode(mr_span envelope, mr_arena *arena, mr_wire *out,
                         mr_error *err) MR_MUST_CHECK;

/* Type and version, and nothing more. */
MR_MUST_CHECK static inline mr_status mr_wire_peek(mr_span envelope, uint8_t *type,
                                                   uint32_t *version, mr_error *err) {
    return mr_codec_peek(envelope, type, version, err);
}

MR_MUST_CHECK static inline mr_status mr_wire_encode_hello(mr_buf *b, const mr_wire_hello *m) {
    return mr_codec_encode(b, &mr_wire_shape_hello, m);
}
MR_MUST_CHECK static inline mr_status mr_wire_decode_hello(mr_span envelope, mr_arena *arena,
                                                               mr_wire_hello *out, mr_error *err) {
    return mr_codec_decode(&mr_wire_shape_hello, envelope, arena, out, err);
}
MR_MUST_CHECK static inline mr_status mr_wire_encode_welcome(mr_buf *b, const mr_wire_welcome *m) {
    return mr_codec_encode(b, &mr_wire_shape_welcome, m);
}
MR_MUST_CHECK static inline mr_status mr_wire_decode_welcome(mr_span envelope, mr_arena *arena,
                                                                 mr_wire_welcome *out, mr_error *err) {
    return mr_codec_decode(&mr_wire_shape_welcome, envelope, arena, out, err);
}
MR_MUST_CHECK static inline mr_status mr_wire_encode_refuse(mr_buf *b, const mr_wire_refuse *m) {
    return mr_codec_encode(b, &mr_wire_shape_refuse, m);
}
MR_MUST_CHECK static inline mr_status mr_wire_decode_refuse(mr_span envelope, mr_arena *arena,
                                                                mr_wire_refuse *out, mr_error *err) {
    return mr_codec_decode(&mr_wire_shape_refuse, envelope, arena, out, err);
}
MR_MUST_CHECK static inline mr_status mr_wire_encode_heartbeat(mr_buf *b, const mr_wire_heartbeat *m) {
    return mr_codec_encode(b, &mr_wire_shape_heartbeat, m);
}
MR_MUST_CHECK static inline mr_status mr_wire_decode_heartbeat(mr_span envelope, mr_arena *arena,
                                                                   mr_wire_heartbeat *out, mr_error *err) {
    return mr_codec_decode(&mr_wire_shape_heartbeat, envelope, arena, out, err);
}
MR_MUST_CHECK static inline mr_status mr_wire_encode_bye(mr_buf *b, const mr_wire_bye *m) {
    return mr_codec_encode(b, &mr_wire_shape_bye, m);
}
MR_MUST_CHECK static inline mr_status mr_wire_decode_bye(mr_span envelope, mr_arena *arena,
                                                             mr_wire_bye *out, mr_error *err) {
    return mr_codec_decode(&mr_wire_shape_bye, envelope, arena, out, err);
}
MR_MUST_CHECK static inline mr_status mr_wire_encode_credit(mr_buf *b, const mr_wire_credit *m) {
    return mr_codec_encode(b, &mr_wire_shape_credit, m);
}
MR_MUST_CHECK static inline mr_status mr_wire_decode_credit(mr_span envelope, mr_arena *arena,
                                                                mr_wire_credit *out, mr_error *err) {
    return mr_codec_decode(&mr_wire_shape_credit, envelope, arena, out, err);
}
MR_MUST_CHECK static inline mr_status mr_wire_encode_step(mr_buf *b, const mr_wire_step *m) {
    return mr_codec_encode(b, &mr_wire_shape_step, m);
}
MR_MUST_CHECK static inline mr_status mr_wire_decode_step(mr_span envelope, mr_arena *arena,
                                                              mr_wire_step *out, mr_error *err) {
    return mr_codec_decode(&mr_wire_shape_step, envelope, arena, out, err);
}
MR_MUST_CHECK static inline mr_status mr_wire_encode_work(mr_buf *b, const mr_wire_work *m) {
    return mr_codec_encode(b, &mr_wire_shape_work, m);
}
MR_MUST_CHECK static inline mr_status mr_wire_decode_work(mr_span envelope, mr_arena *arena,
                                                              mr_wire_work *out, mr_error *err) {
    return mr_codec_decode(&mr_wire_shape_work, envelope, arena, out, err);
}
MR_MUST_CHECK static inline mr_status mr_wire_encode_result(mr_buf *b, const mr_wire_result *m) {
    return mr_codec_encode(b, &mr_wire_shape_result, m);
}
MR_MUST_CHECK static inline mr_status mr_wire_decode_result(mr_span envelope, mr_arena *arena,
                                                                mr_wire_result *out, mr_error *err) {
    return mr_codec_decode(&mr_wire_shape_result, envelope, arena, out, err);
}
MR_MUST_CHECK static inline mr_status mr_wire_encode_ack(mr_buf *b, const mr_wire_ack *m) {
    return mr_codec_encode(b, &mr_wire_shape_ack, m);
}
MR_MUST_CHECK static inline mr_status mr_wire_decode_ack(mr_span envelope, mr_arena *arena,
                                                             mr_wire_ack *out, mr_error *err) {
    return mr_codec_decode(&mr_wire_shape_ack, envelope, arena, out, err);
}
MR_MUST_CHECK static inline mr_status mr_wire_encode_cancel(mr_buf *b, const mr_wire_cancel *m) {
    return mr_codec_encode(b, &mr_wire_shape_cancel, m);
}
MR_MUST_CHECK static inline mr_status mr_wire_decode_cancel(mr_span envelope, mr_arena *arena,
                                                                mr_wire_cancel *out, mr_error *err) {
    return mr_codec_decode(&mr_wire_shape_cancel, envelope, arena, out, err);
}
MR_MUST_CHECK static inline mr_status mr_wire_encode_release(mr_buf *b, const mr_wire_release *m) {
    return mr_codec_encode(b, &mr_wire_shape_release, m);
}
MR_MUST_CHECK static inline mr_status mr_wire_decode_release(mr_span envelope, mr_arena *arena,
                                                                 mr_wire_release *out, mr_error *err) {
    return mr_codec_decode(&mr_wire_shape_release, envelope, arena, out, err);
}
MR_MUST_CHECK static inline mr_status mr_wire_encode_fetch(mr_buf *b, const mr_wire_fetch *m) {
    return mr_codec_encode(b, &mr_wire_shape_fetch, m);
}
MR_MUST_CHECK static inline mr_status mr_wire_decode_fetch(mr_span envelope, mr_arena *arena,
                                                               mr_wire_fetch *out, mr_error *err) {
    return mr_codec_decode(&mr_wire_shape_fetch, envelope, arena, out, err);
}
MR_MUST_CHECK static inline mr_status mr_wire_encode_blob(mr_buf *b, const mr_wire_blob *m) {
    return mr_codec_encode(b, &mr_wire_shape_blob, m);
}
MR_MUST_CHECK static inline mr_status mr_wire_decode_blob(mr_span envelope, mr_arena *arena,
                                                              mr_wire_blob *out, mr_error *err) {
    return mr_codec_decode(&mr_wire_shape_blob, envelope, arena, out, err);
}
MR_MUST_CHECK static inline mr_status mr_wire_encode_progress(mr_buf *b, const mr_wire_progress *m) {
    return mr_codec_encode(b, &mr_wire_shape_progress, m);
}
MR_MUST_CHECK static inline mr_status mr_wire_decode_progress(mr_span envelope, mr_arena *arena,
                                                                  mr_wire_progress *out, mr_error *err) {
    return mr_codec_decode(&mr_wire_shape_progress, envelope, arena, out, err);
}
MR_MUST_CHECK static inline mr_status mr_wire_encode_call(mr_buf *b, const mr_wire_call *m) {
    return mr_codec_encode(b, &mr_wire_shape_call, m);
}
MR_MUST_CHECK static inline mr_status mr_wire_decode_call(mr_span envelope, mr_arena *arena,
                                                              mr_wire_call *out, mr_error *err) {
    return mr_codec_decode(&mr_wire_shape_call, envelope, arena, out, err);
}
MR_MUST_CHECK static inline mr_status mr_wire_encode_reply(mr_buf *b, const mr_wire_reply *m) {
    return mr_codec_encode(b, &mr_wire_shape_reply, m);
}
MR_MUST_CHECK static inline mr_status mr_wire_decode_reply(mr_span envelope, mr_arena *arena,
                                                               mr_wire_reply *out, mr_error *err) {
    return mr_codec_decode(&mr_wire_shape_reply, envelope, arena, out, err);
}
MR_MUST_CHECK static inline mr_status mr_wire_encode_event(mr_buf *b, const mr_wire_event *m) {
    return mr_codec_encode(b, &mr_wire_shape_event, m);
}
MR_MUST_CHECK static inline mr_status mr_wire_decode_event(mr_span envelope, mr_arena *arena,
                                                               mr_wire_event *out, mr_error *err) {
    return mr_codec_decode(&mr_wire_shape_event, envelope, arena, out, err);
}

#endif
