#include "common/prompt_parts.h"
#include "common/prompt_scan.h"

#include <math.h>

void mr_prompt_pack(mr_buf *b, const mr_prompt *p, uint64_t line) {
    mr_pack_array(b, MR_PROMPT_WIRE);
    mr_pack_u64(b, line);
    mr_pack_str(b, p->prompt);
    if (p->has_enhancement)
        mr_pack_str(b, p->enhancement);
    else
        mr_pack_nil(b);
    mr_pack_bool(b, p->enhancement_is_json);
    mr_pack_u64(b, (uint64_t)p->source);
    mr_pack_u64(b, p->priority);
    mr_pack_str(b, p->session);
    if (isnan(p->score))
        mr_pack_nil(b);
    else
        mr_pack_f64(b, p->score);
    mr_pack_i64(b, p->success);
    mr_pack_str(b, p->labels);
    if (p->created_at_us == INT64_MIN)
        mr_pack_nil(b);
    else
        mr_pack_i64(b, p->created_at_us);
    mr_pack_str(b, p->metadata);
}

/* ---- reading ---- */

static bool skip_nil(mr_unpack *u) {
    mr_unpack ahead = *u;
    mr_pack_value v;
    if (mr_unpack_next(&ahead, &v, NULL) != MR_OK || v.type != MR_PACK_NIL) return false;
    *u = ahead;
    return true;
}

static mr_status take_enhancement(mr_unpack *u, mr_prompt *p, mr_error *err) {
    p->has_enhancement = !skip_nil(u);
    if (p->has_enhancement) MR_TRY(mr_unpack_str(u, SIZE_MAX, &p->enhancement, err));
    MR_TRY(mr_unpack_bool(u, &p->enhancement_is_json, err));
    if (p->enhancement_is_json && !p->has_enhancement)
        return mr_fail(err, MR_E_INVALID, "an absent enhancement cannot be JSON");
    return MR_OK;
}

static mr_status take_numbers(mr_unpack *u, mr_prompt *p, mr_error *err) {
    int64_t success;
    if (!skip_nil(u)) {
        MR_TRY(mr_unpack_f64(u, &p->score, err));
        if (isnan(p->score)) return mr_fail(err, MR_E_INVALID, "'score' is NaN");
    }
    MR_TRY(mr_unpack_i64(u, &success, err));
    if (success < -1 || success > 1) return mr_fail(err, MR_E_INVALID, "'success' must be -1, 0 or 1");
    p->success = (int8_t)success;
    return MR_OK;
}

static mr_status take_time(mr_unpack *u, mr_prompt *p, mr_error *err) {
    if (skip_nil(u)) return MR_OK;
    MR_TRY(mr_unpack_i64(u, &p->created_at_us, err));
    if (p->created_at_us == INT64_MIN) return mr_fail(err, MR_E_INVALID, "'created_at' is out of range");
    return MR_OK;
}

/* The fields as they stand, borrowed from the bytes. */
static mr_status take_fields(mr_unpack *u, mr_prompt *p, uint64_t *line, mr_error *err) {
    uint32_t count;
    uint64_t source, priority;
    MR_TRY(mr_unpack_array(u, 64, &count, err));
    if (count < MR_PROMPT_WIRE)
        return mr_fail(err, MR_E_INVALID, "a row of %u fields, %d are needed", count, MR_PROMPT_WIRE);
    MR_TRY(mr_unpack_u64(u, UINT64_MAX, line, err));
    MR_TRY(mr_unpack_str(u, SIZE_MAX, &p->prompt, err));
    MR_TRY(take_enhancement(u, p, err));
    MR_TRY(mr_unpack_u64(u, MR_SOURCE_COUNT - 1, &source, err));
    MR_TRY(mr_unpack_u64(u, MR_PROMPT_PRIORITY_MAX, &priority, err));
    p->source = (mr_prompt_source)source;
    p->priority = (uint32_t)priority;
    MR_TRY(mr_unpack_str(u, SIZE_MAX, &p->session, err));
    MR_TRY(take_numbers(u, p, err));
    MR_TRY(mr_unpack_str(u, MR_PROMPT_OBJECT_MAX, &p->labels, err));
    MR_TRY(take_time(u, p, err));
    return mr_unpack_str(u, MR_PROMPT_OBJECT_MAX, &p->metadata, err);
}

/* Parses and writes it again, so that equal values have equal bytes whoever sent them. */
static mr_status canonical_text(const char *name, mr_span *text, size_t max, bool list_too, mr_arena *arena,
                                mr_error *err) {
    mr_json *v = NULL;
    if (text->len == 0) return MR_OK;
    if (text->len <= max && mr_prompt_is_canonical(*text)) return mr_prompt_copy(arena, *text, text, err);
    if (mr_json_parse(*text, max, MR_PROMPT_DEPTH, &v, err) != MR_OK) return mr_fail_in(err, "'%s'", name);
    mr_json_type kind = mr_json_kind(v);
    mr_status status = MR_OK;
    if (kind != MR_JSON_OBJECT && !(list_too && kind == MR_JSON_LIST))
        status = mr_fail(err, MR_E_INVALID, "'%s' is %s, an object is wanted", name, mr_json_kind_name(v));
    else if (kind == MR_JSON_OBJECT && !list_too && mr_json_count(v) == 0)
        text->len = 0;
    else
        status = mr_prompt_canonical(name, v, max, arena, text, err);
    mr_json_free(&v);
    return status;
}

static mr_status keep_fields(mr_prompt *p, const mr_prompt_limits *limits, mr_arena *arena, mr_error *err) {
    size_t max = (size_t)mr_prompt_max_chars(limits) * 4;
    if (p->enhancement_is_json && p->enhancement.len == 0)
        return mr_fail(err, MR_E_INVALID, "'enhancement' is marked as JSON and empty");
    if (p->enhancement_is_json) MR_TRY(canonical_text("enhancement", &p->enhancement, max, true, arena, err));
    MR_TRY(canonical_text("labels", &p->labels, MR_PROMPT_OBJECT_MAX, false, arena, err));
    MR_TRY(canonical_text("metadata", &p->metadata, MR_PROMPT_OBJECT_MAX, false, arena, err));
    MR_TRY(mr_prompt_check(p, limits, NULL, err));
    MR_TRY(mr_prompt_copy(arena, p->prompt, &p->prompt, err));
    MR_TRY(mr_prompt_copy(arena, p->session, &p->session, err));
    if (!p->enhancement_is_json) MR_TRY(mr_prompt_copy(arena, p->enhancement, &p->enhancement, err));
    return MR_OK;
}

enum { WIRE_ITEMS = 256 };

mr_status mr_prompt_unpack(mr_unpack *u, const mr_prompt_limits *limits, mr_arena *arena, mr_prompt *out,
                           uint64_t *line, mr_error *err) {
    size_t length;
    MR_TRY(mr_pack_scan((mr_span){u->at, (size_t)(u->end - u->at)}, 4, WIRE_ITEMS, &length, err));
    mr_unpack row;
    mr_unpack_init(&row, (mr_span){u->at, length});
    u->at += length;
    mr_prompt_init(out);
    *line = 0;
    mr_status status = take_fields(&row, out, line, err);
    if (status != MR_OK && status != MR_E_LIMIT) status = MR_E_INVALID; /* sound msgpack, wrong contents */
    if (status == MR_OK) status = keep_fields(out, limits, arena, err);
    if (status == MR_OK) mr_prompt_hash(out);
    if (err && status != MR_OK) err->status = status;
    return status;
}
