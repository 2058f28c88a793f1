/* Made by proto/gen.py from proto/wire.toml. Do not edit. */
#include "proto/gen/wire.h"

#include <stddef.h>

static const mr_codec_field offer_fields[] = {
    {.name = "name", .kind = MR_CODEC_STR, .offset = offsetof(mr_wire_offer, name), .max = 64},
    {.name = "version", .kind = MR_CODEC_U32, .offset = offsetof(mr_wire_offer, version)},
    {.name = "kind", .kind = MR_CODEC_U8, .offset = offsetof(mr_wire_offer, kind)},
    {.name = "shape", .kind = MR_CODEC_U8, .offset = offsetof(mr_wire_offer, shape)},
    {.name = "tier", .kind = MR_CODEC_U8, .offset = offsetof(mr_wire_offer, tier)},
    {.name = "columns", .kind = MR_CODEC_U32, .offset = offsetof(mr_wire_offer, columns)},
    {.name = "columns_wanted", .kind = MR_CODEC_U32, .offset = offsetof(mr_wire_offer, columns_wanted)},
    {.name = "batch_rows", .kind = MR_CODEC_U32, .offset = offsetof(mr_wire_offer, batch_rows)},
    {.name = "deadline_ms", .kind = MR_CODEC_U32, .offset = offsetof(mr_wire_offer, deadline_ms)},
    {.name = "memory_mb", .kind = MR_CODEC_U32, .offset = offsetof(mr_wire_offer, memory_mb)},
};
static const mr_codec_shape shape_offer = {
    .name = "offer", .fields = offer_fields, .field_count = 10, .size = sizeof(mr_wire_offer),
};

static const mr_codec_field work_item_fields[] = {
    {.name = "attempt", .kind = MR_CODEC_U64, .offset = offsetof(mr_wire_work_item, attempt)},
    {.name = "run", .kind = MR_CODEC_U64, .offset = offsetof(mr_wire_work_item, run)},
    {.name = "step", .kind = MR_CODEC_U16, .offset = offsetof(mr_wire_work_item, step)},
    {.name = "level", .kind = MR_CODEC_U8, .offset = offsetof(mr_wire_work_item, level)},
    {.name = "index", .kind = MR_CODEC_U32, .offset = offsetof(mr_wire_work_item, index)},
    {.name = "last", .kind = MR_CODEC_BOOL, .offset = offsetof(mr_wire_work_item, last)},
    {.name = "deadline_ms", .kind = MR_CODEC_U32, .offset = offsetof(mr_wire_work_item, deadline_ms)},
    {.name = "inlined", .kind = MR_CODEC_BOOL, .offset = offsetof(mr_wire_work_item, inlined)},
    {.name = "size", .kind = MR_CODEC_U64, .offset = offsetof(mr_wire_work_item, size)},
    {.name = "hash", .kind = MR_CODEC_HASH, .offset = offsetof(mr_wire_work_item, hash)},
    {.name = "count", .kind = MR_CODEC_U32, .offset = offsetof(mr_wire_work_item, count)},
    {.name = "sizes", .kind = MR_CODEC_NUMBERS, .offset = offsetof(mr_wire_work_item, sizes),
     .count_at = offsetof(mr_wire_work_item, size_count), .max = 64},
};
static const mr_codec_shape shape_work_item = {
    .name = "work_item", .fields = work_item_fields, .field_count = 12, .size = sizeof(mr_wire_work_item),
};

static const mr_codec_field artifact_item_fields[] = {
    {.name = "name", .kind = MR_CODEC_STR, .offset = offsetof(mr_wire_artifact_item, name), .max = 64},
    {.name = "media_type", .kind = MR_CODEC_STR, .offset = offsetof(mr_wire_artifact_item, media_type),
     .max = 64},
    {.name = "size", .kind = MR_CODEC_U64, .offset = offsetof(mr_wire_artifact_item, size)},
    {.name = "hash", .kind = MR_CODEC_HASH, .offset = offsetof(mr_wire_artifact_item, hash)},
};
static const mr_codec_shape shape_artifact_item = {
    .name = "artifact_item", .fields = artifact_item_fields, .field_count = 4,
    .size = sizeof(mr_wire_artifact_item),
};

static const mr_codec_field result_item_fields[] = {
    {.name = "attempt", .kind = MR_CODEC_U64, .offset = offsetof(mr_wire_result_item, attempt)},
    {.name = "run", .kind = MR_CODEC_U64, .offset = offsetof(mr_wire_result_item, run)},
    {.name = "step", .kind = MR_CODEC_U16, .offset = offsetof(mr_wire_result_item, step)},
    {.name = "level", .kind = MR_CODEC_U8, .offset = offsetof(mr_wire_result_item, level)},
    {.name = "index", .kind = MR_CODEC_U32, .offset = offsetof(mr_wire_result_item, index)},
    {.name = "status", .kind = MR_CODEC_U16, .offset = offsetof(mr_wire_result_item, status)},
    {.name = "partial", .kind = MR_CODEC_BOOL, .offset = offsetof(mr_wire_result_item, partial)},
    {.name = "compute_us", .kind = MR_CODEC_U64, .offset = offsetof(mr_wire_result_item, compute_us)},
    {.name = "peak_kb", .kind = MR_CODEC_U64, .offset = offsetof(mr_wire_result_item, peak_kb)},
    {.name = "size", .kind = MR_CODEC_U64, .offset = offsetof(mr_wire_result_item, size)},
    {.name = "hash", .kind = MR_CODEC_HASH, .offset = offsetof(mr_wire_result_item, hash)},
    {.name = "text", .kind = MR_CODEC_STR, .offset = offsetof(mr_wire_result_item, text), .max = 1024},
    {.name = "artifacts", .kind = MR_CODEC_STRUCTS, .offset = offsetof(mr_wire_result_item, artifacts),
     .count_at = offsetof(mr_wire_result_item, artifact_count), .max = 8, .of = &shape_artifact_item},
    {.name = "count", .kind = MR_CODEC_U32, .offset = offsetof(mr_wire_result_item, count)},
    {.name = "sizes", .kind = MR_CODEC_NUMBERS, .offset = offsetof(mr_wire_result_item, sizes),
     .count_at = offsetof(mr_wire_result_item, size_count), .max = 64},
    {.name = "times", .kind = MR_CODEC_NUMBERS, .offset = offsetof(mr_wire_result_item, times),
     .count_at = offsetof(mr_wire_result_item, time_count), .max = 64},
    {.name = "hashes", .kind = MR_CODEC_BIN, .offset = offsetof(mr_wire_result_item, hashes), .max = 2048},
    {.name = "log", .kind = MR_CODEC_STR, .offset = offsetof(mr_wire_result_item, log), .max = 1024},
    {.name = "sums", .kind = MR_CODEC_NUMBERS, .offset = offsetof(mr_wire_result_item, sums),
     .count_at = offsetof(mr_wire_result_item, sum_count), .max = 64},
};
static const mr_codec_shape shape_result_item = {
    .name = "result_item", .fields = result_item_fields, .field_count = 19,
    .size = sizeof(mr_wire_result_item),
};

static const mr_codec_field ack_item_fields[] = {
    {.name = "attempt", .kind = MR_CODEC_U64, .offset = offsetof(mr_wire_ack_item, attempt)},
    {.name = "verdict", .kind = MR_CODEC_U8, .offset = offsetof(mr_wire_ack_item, verdict)},
    {.name = "count", .kind = MR_CODEC_U32, .offset = offsetof(mr_wire_ack_item, count)},
};
static const mr_codec_shape shape_ack_item = {
    .name = "ack_item", .fields = ack_item_fields, .field_count = 3, .size = sizeof(mr_wire_ack_item),
};

static const mr_codec_field hello_fields[] = {
    {.name = "role", .kind = MR_CODEC_U8, .offset = offsetof(mr_wire_hello, role)},
    {.name = "name", .kind = MR_CODEC_STR, .offset = offsetof(mr_wire_hello, name), .max = 64},
    {.name = "build", .kind = MR_CODEC_STR, .offset = offsetof(mr_wire_hello, build), .max = 64},
    {.name = "slots", .kind = MR_CODEC_U16, .offset = offsetof(mr_wire_hello, slots)},
    {.name = "offers", .kind = MR_CODEC_STRUCTS, .offset = offsetof(mr_wire_hello, offers),
     .count_at = offsetof(mr_wire_hello, offer_count), .max = 256, .of = &shape_offer},
    {.name = "span", .kind = MR_CODEC_U32, .offset = offsetof(mr_wire_hello, span)},
};
const mr_codec_shape mr_wire_shape_hello = {
    .name = "hello", .fields = hello_fields, .field_count = 6, .size = sizeof(mr_wire_hello),
    .type = MR_MSG_HELLO, .body = true,
};

static const mr_codec_field welcome_fields[] = {
    {.name = "session", .kind = MR_CODEC_U64, .offset = offsetof(mr_wire_welcome, session)},
    {.name = "broker", .kind = MR_CODEC_STR, .offset = offsetof(mr_wire_welcome, broker), .max = 64},
    {.name = "build", .kind = MR_CODEC_STR, .offset = offsetof(mr_wire_welcome, build), .max = 64},
    {.name = "heartbeat_ms", .kind = MR_CODEC_U32, .offset = offsetof(mr_wire_welcome, heartbeat_ms)},
    {.name = "lost_after_ms", .kind = MR_CODEC_U32, .offset = offsetof(mr_wire_welcome, lost_after_ms)},
    {.name = "inline_max", .kind = MR_CODEC_U32, .offset = offsetof(mr_wire_welcome, inline_max)},
    {.name = "events", .kind = MR_CODEC_STR, .offset = offsetof(mr_wire_welcome, events), .max = 128},
    {.name = "redis", .kind = MR_CODEC_STR, .offset = offsetof(mr_wire_welcome, redis), .max = 256},
    {.name = "span", .kind = MR_CODEC_U32, .offset = offsetof(mr_wire_welcome, span)},
    {.name = "sums", .kind = MR_CODEC_BOOL, .offset = offsetof(mr_wire_welcome, sums)},
};
const mr_codec_shape mr_wire_shape_welcome = {
    .name = "welcome", .fields = welcome_fields, .field_count = 10, .size = sizeof(mr_wire_welcome),
    .type = MR_MSG_WELCOME, .body = false,
};

static const mr_codec_field refuse_fields[] = {
    {.name = "status", .kind = MR_CODEC_U16, .offset = offsetof(mr_wire_refuse, status)},
    {.name = "text", .kind = MR_CODEC_STR, .offset = offsetof(mr_wire_refuse, text), .max = 1024},
    {.name = "fatal", .kind = MR_CODEC_BOOL, .offset = offsetof(mr_wire_refuse, fatal)},
};
const mr_codec_shape mr_wire_shape_refuse = {
    .name = "refuse", .fields = refuse_fields, .field_count = 3, .size = sizeof(mr_wire_refuse),
    .type = MR_MSG_REFUSE, .body = false,
};

static const mr_codec_field heartbeat_fields[] = {
    {.name = "busy", .kind = MR_CODEC_U16, .offset = offsetof(mr_wire_heartbeat, busy)},
    {.name = "held", .kind = MR_CODEC_U32, .offset = offsetof(mr_wire_heartbeat, held)},
};
const mr_codec_shape mr_wire_shape_heartbeat = {
    .name = "heartbeat", .fields = heartbeat_fields, .field_count = 2, .size = sizeof(mr_wire_heartbeat),
    .type = MR_MSG_HEARTBEAT, .body = false,
};

static const mr_codec_field bye_fields[] = {
    {.name = "reason", .kind = MR_CODEC_STR, .offset = offsetof(mr_wire_bye, reason), .max = 256},
};
const mr_codec_shape mr_wire_shape_bye = {
    .name = "bye", .fields = bye_fields, .field_count = 1, .size = sizeof(mr_wire_bye), .type = MR_MSG_BYE,
    .body = false,
};

static const mr_codec_field credit_fields[] = {
    {.name = "amount", .kind = MR_CODEC_U32, .offset = offsetof(mr_wire_credit, amount)},
};
const mr_codec_shape mr_wire_shape_credit = {
    .name = "credit", .fields = credit_fields, .field_count = 1, .size = sizeof(mr_wire_credit),
    .type = MR_MSG_CREDIT, .body = false,
};

static const mr_codec_field step_fields[] = {
    {.name = "run", .kind = MR_CODEC_U64, .offset = offsetof(mr_wire_step, run)},
    {.name = "step", .kind = MR_CODEC_U16, .offset = offsetof(mr_wire_step, step)},
    {.name = "component", .kind = MR_CODEC_STR, .offset = offsetof(mr_wire_step, component), .max = 64},
    {.name = "version", .kind = MR_CODEC_U32, .offset = offsetof(mr_wire_step, version)},
    {.name = "seed", .kind = MR_CODEC_U64, .offset = offsetof(mr_wire_step, seed)},
    {.name = "options", .kind = MR_CODEC_BIN, .offset = offsetof(mr_wire_step, options), .max = 65536},
};
const mr_codec_shape mr_wire_shape_step = {
    .name = "step", .fields = step_fields, .field_count = 6, .size = sizeof(mr_wire_step),
    .type = MR_MSG_STEP, .body = false,
};

static const mr_codec_field work_fields[] = {
    {.name = "items", .kind = MR_CODEC_STRUCTS, .offset = offsetof(mr_wire_work, items),
     .count_at = offsetof(mr_wire_work, item_count), .max = 256, .of = &shape_work_item},
};
const mr_codec_shape mr_wire_shape_work = {
    .name = "work", .fields = work_fields, .field_count = 1, .size = sizeof(mr_wire_work),
    .type = MR_MSG_WORK, .body = true,
};

static const mr_codec_field result_fields[] = {
    {.name = "items", .kind = MR_CODEC_STRUCTS, .offset = offsetof(mr_wire_result, items),
     .count_at = offsetof(mr_wire_result, item_count), .max = 256, .of = &shape_result_item},
};
const mr_codec_shape mr_wire_shape_result = {
    .name = "result", .fields = result_fields, .field_count = 1, .size = sizeof(mr_wire_result),
    .type = MR_MSG_RESULT, .body = true,
};

static const mr_codec_field ack_fields[] = {
    {.name = "items", .kind = MR_CODEC_STRUCTS, .offset = offsetof(mr_wire_ack, items),
     .count_at = offsetof(mr_wire_ack, item_count), .max = 4096, .of = &shape_ack_item},
};
const mr_codec_shape mr_wire_shape_ack = {
    .name = "ack", .fields = ack_fields, .field_count = 1, .size = sizeof(mr_wire_ack), .type = MR_MSG_ACK,
    .body = false,
};

static const mr_codec_field cancel_fields[] = {
    {.name = "attempts", .kind = MR_CODEC_NUMBERS, .offset = offsetof(mr_wire_cancel, attempts),
     .count_at = offsetof(mr_wire_cancel, attempt_count), .max = 4096},
};
const mr_codec_shape mr_wire_shape_cancel = {
    .name = "cancel", .fields = cancel_fields, .field_count = 1, .size = sizeof(mr_wire_cancel),
    .type = MR_MSG_CANCEL, .body = false,
};

static const mr_codec_field release_fields[] = {
    {.name = "attempts", .kind = MR_CODEC_NUMBERS, .offset = offsetof(mr_wire_release, attempts),
     .count_at = offsetof(mr_wire_release, attempt_count), .max = 4096},
};
const mr_codec_shape mr_wire_shape_release = {
    .name = "release", .fields = release_fields, .field_count = 1, .size = sizeof(mr_wire_release),
    .type = MR_MSG_RELEASE, .body = false,
};

static const mr_codec_field fetch_fields[] = {
    {.name = "request", .kind = MR_CODEC_U32, .offset = offsetof(mr_wire_fetch, request)},
    {.name = "attempt", .kind = MR_CODEC_U64, .offset = offsetof(mr_wire_fetch, attempt)},
    {.name = "offset", .kind = MR_CODEC_U64, .offset = offsetof(mr_wire_fetch, offset)},
    {.name = "length", .kind = MR_CODEC_U32, .offset = offsetof(mr_wire_fetch, length)},
};
const mr_codec_shape mr_wire_shape_fetch = {
    .name = "fetch", .fields = fetch_fields, .field_count = 4, .size = sizeof(mr_wire_fetch),
    .type = MR_MSG_FETCH, .body = false,
};

static const mr_codec_field blob_fields[] = {
    {.name = "request", .kind = MR_CODEC_U32, .offset = offsetof(mr_wire_blob, request)},
    {.name = "status", .kind = MR_CODEC_U16, .offset = offsetof(mr_wire_blob, status)},
    {.name = "total", .kind = MR_CODEC_U64, .offset = offsetof(mr_wire_blob, total)},
    {.name = "offset", .kind = MR_CODEC_U64, .offset = offsetof(mr_wire_blob, offset)},
};
const mr_codec_shape mr_wire_shape_blob = {
    .name = "blob", .fields = blob_fields, .field_count = 4, .size = sizeof(mr_wire_blob),
    .type = MR_MSG_BLOB, .body = true,
};

static const mr_codec_field progress_fields[] = {
    {.name = "attempt", .kind = MR_CODEC_U64, .offset = offsetof(mr_wire_progress, attempt)},
    {.name = "done", .kind = MR_CODEC_F64, .offset = offsetof(mr_wire_progress, done)},
};
const mr_codec_shape mr_wire_shape_progress = {
    .name = "progress", .fields = progress_fields, .field_count = 2, .size = sizeof(mr_wire_progress),
    .type = MR_MSG_PROGRESS, .body = false,
};

static const mr_codec_field call_fields[] = {
    {.name = "call", .kind = MR_CODEC_U32, .offset = offsetof(mr_wire_call, call)},
    {.name = "command", .kind = MR_CODEC_U16, .offset = offsetof(mr_wire_call, command)},
    {.name = "args", .kind = MR_CODEC_BIN, .offset = offsetof(mr_wire_call, args), .max = 131072},
};
const mr_codec_shape mr_wire_shape_call = {
    .name = "call", .fields = call_fields, .field_count = 3, .size = sizeof(mr_wire_call),
    .type = MR_MSG_CALL, .body = true,
};

static const mr_codec_field reply_fields[] = {
    {.name = "call", .kind = MR_CODEC_U32, .offset = offsetof(mr_wire_reply, call)},
    {.name = "status", .kind = MR_CODEC_U16, .offset = offsetof(mr_wire_reply, status)},
    {.name = "text", .kind = MR_CODEC_STR, .offset = offsetof(mr_wire_reply, text), .max = 1024},
};
const mr_codec_shape mr_wire_shape_reply = {
    .name = "reply", .fields = reply_fields, .field_count = 3, .size = sizeof(mr_wire_reply),
    .type = MR_MSG_REPLY, .body = true,
};

static const mr_codec_field event_fields[] = {
    {.name = "at_us", .kind = MR_CODEC_I64, .offset = offsetof(mr_wire_event, at_us)},
    {.name = "name", .kind = MR_CODEC_STR, .offset = offsetof(mr_wire_event, name), .max = 64},
    {.name = "object", .kind = MR_CODEC_STR, .offset = offsetof(mr_wire_event, object), .max = 128},
    {.name = "detail", .kind = MR_CODEC_STR, .offset = offsetof(mr_wire_event, detail), .max = 1024},
};
const mr_codec_shape mr_wire_shape_event = {
    .name = "event", .fields = event_fields, .field_count = 4, .size = sizeof(mr_wire_event),
    .type = MR_MSG_EVENT, .body = false,
};

const mr_codec_shape *mr_wire_shape(uint8_t type) {
    switch (type) {
    case MR_MSG_HELLO: return &mr_wire_shape_hello;
    case MR_MSG_WELCOME: return &mr_wire_shape_welcome;
    case MR_MSG_REFUSE: return &mr_wire_shape_refuse;
    case MR_MSG_HEARTBEAT: return &mr_wire_shape_heartbeat;
    case MR_MSG_BYE: return &mr_wire_shape_bye;
    case MR_MSG_CREDIT: return &mr_wire_shape_credit;
    case MR_MSG_STEP: return &mr_wire_shape_step;
    case MR_MSG_WORK: return &mr_wire_shape_work;
    case MR_MSG_RESULT: return &mr_wire_shape_result;
    case MR_MSG_ACK: return &mr_wire_shape_ack;
    case MR_MSG_CANCEL: return &mr_wire_shape_cancel;
    case MR_MSG_RELEASE: return &mr_wire_shape_release;
    case MR_MSG_FETCH: return &mr_wire_shape_fetch;
    case MR_MSG_BLOB: return &mr_wire_shape_blob;
    case MR_MSG_PROGRESS: return &mr_wire_shape_progress;
    case MR_MSG_CALL: return &mr_wire_shape_call;
    case MR_MSG_REPLY: return &mr_wire_shape_reply;
    case MR_MSG_EVENT: return &mr_wire_shape_event;
    default: return NULL;
    }
}

const char *mr_msg_name(uint8_t type) {
    const mr_codec_shape *shape = mr_wire_shape(type);
    return shape ? shape->name : "unknown";
}

mr_status mr_wire_encode(mr_buf *b, const mr_wire *m) {
    const mr_codec_shape *shape = mr_wire_shape((uint8_t)m->type);
    MR_ASSERT(shape);
    return mr_codec_encode(b, shape, &m->as);
}

mr_status mr_wire_decode(mr_span envelope, mr_arena *arena, mr_wire *out, mr_error *err) {
    uint8_t type = 0;
    uint32_t version = 0;
    MR_TRY(mr_codec_peek(envelope, &type, &version, err));
    const mr_codec_shape *shape = mr_wire_shape(type);
    if (!shape)
        return mr_fail(err, MR_E_PROTOCOL, "envelope: there is no message type %u", type);
    out->type = (mr_msg)type;
    return mr_codec_decode(shape, envelope, arena, &out->as, err);
}
