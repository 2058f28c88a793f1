/* The wire codec against vectors that another encoder made (proto/vectors.py), and against peers that lie. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "common/pack.h"
#include "proto/gen/wire.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VECTORS MR_SOURCE_DIR "/tests/vectors/wire/"
enum { ARENA = 4 << 20 };

typedef struct world {
    mr_arena *arena;
    mr_buf bytes, text, want;
} world;

static int setup(void **state) {
    world *w = calloc(1, sizeof *w);
    w->arena = mr_arena_new(NULL, ARENA);
    mr_buf_init(&w->bytes, NULL, 1 << 20);
    mr_buf_init(&w->text, NULL, 1 << 20);
    mr_buf_init(&w->want, NULL, 1 << 20);
    *state = w;
    return 0;
}

static int teardown(void **state) {
    world *w = *state;
    mr_arena_free(&w->arena);
    mr_buf_free(&w->bytes);
    mr_buf_free(&w->text);
    mr_buf_free(&w->want);
    free(w);
    return 0;
}

static const mr_codec_shape *shape_named(const char *name) {
    for (unsigned type = 0; type < 256; type++) {
        const mr_codec_shape *shape = mr_wire_shape((uint8_t)type);
        if (shape && !strcmp(shape->name, name)) return shape;
    }
    fail_msg("there is no message %s", name);
    return NULL;
}

/* ---- a decoded message as the text that vectors.py writes ---- */

static void put_hex(mr_buf *b, const uint8_t *bytes, size_t n) {
    if (!n) mr_buf_text(b, "-");
    for (size_t i = 0; i < n; i++) mr_buf_printf(b, "%02x", bytes[i]);
}

static void put_shape(mr_buf *b, const mr_codec_shape *shape, const char *message, const char *prefix);

static void put_list(mr_buf *b, const mr_codec_field *f, const char *message, const char *path) {
    const char *items;
    uint32_t count;
    memcpy(&items, message + f->offset, sizeof items);
    memcpy(&count, message + f->count_at, sizeof count);
    mr_buf_printf(b, "%" PRIu32 "\n", count);
    for (uint32_t i = 0; i < count; i++) {
        char inner[160];
        if (f->kind == MR_CODEC_NUMBERS) {
            uint64_t v;
            memcpy(&v, items + i * sizeof v, sizeof v);
            mr_buf_printf(b, "%s.%" PRIu32 " %" PRIu64 "\n", path, i, v);
        } else {
            snprintf(inner, sizeof inner, "%s.%" PRIu32 ".", path, i);
            put_shape(b, f->of, items + i * f->of->size, inner);
        }
    }
}

static void put_value(mr_buf *b, const mr_codec_field *f, const void *at) {
    uint64_t bits;
    switch (f->kind) {
    case MR_CODEC_U8:
        mr_buf_printf(b, "%u", *(const uint8_t *)at);
        break;
    case MR_CODEC_U16:
        mr_buf_printf(b, "%u", *(const uint16_t *)at);
        break;
    case MR_CODEC_U32:
        mr_buf_printf(b, "%" PRIu32, *(const uint32_t *)at);
        break;
    case MR_CODEC_U64:
        mr_buf_printf(b, "%" PRIu64, *(const uint64_t *)at);
        break;
    case MR_CODEC_I64:
        mr_buf_printf(b, "%" PRId64, *(const int64_t *)at);
        break;
    case MR_CODEC_BOOL:
        mr_buf_text(b, *(const bool *)at ? "true" : "false");
        break;
    case MR_CODEC_F64:
        memcpy(&bits, at, sizeof bits);
        mr_buf_printf(b, "%016" PRIx64, bits);
        break;
    case MR_CODEC_STR:
    case MR_CODEC_BIN:
        put_hex(b, ((const mr_span *)at)->data, ((const mr_span *)at)->len);
        break;
    case MR_CODEC_HASH:
        put_hex(b, at, sizeof(mr_hash));
        break;
    default:
        fail_msg("field %s is a list", f->name);
    }
    mr_buf_text(b, "\n");
}

static void put_shape(mr_buf *b, const mr_codec_shape *shape, const char *message, const char *prefix) {
    for (uint16_t i = 0; i < shape->field_count; i++) {
        const mr_codec_field *f = &shape->fields[i];
        char path[128];
        snprintf(path, sizeof path, "%s%s", prefix, f->name);
        mr_buf_printf(b, "%s ", path);
        if (f->kind == MR_CODEC_NUMBERS || f->kind == MR_CODEC_STRUCTS)
            put_list(b, f, message, path);
        else
            put_value(b, f, message + f->offset);
    }
}

/* ---- reading the vectors ---- */

static void put_from_hex(mr_buf *b, const char *hex) {
    for (; hex[0] && hex[0] != '\n'; hex += 2) {
        char pair[3] = {hex[0], hex[1], 0};
        uint8_t byte = (uint8_t)strtoul(pair, NULL, 16);
        mr_buf_put(b, &byte, 1);
    }
}

typedef void case_fn(world *w, const mr_codec_shape *shape, bool both_ways);

static void end_case(world *w, case_fn *fn, const mr_codec_shape *shape, bool both_ways, size_t *count) {
    if (!w->bytes.len) return;
    fn(w, shape, both_ways);
    mr_buf_clear(&w->bytes);
    mr_buf_clear(&w->want);
    mr_arena_reset(w->arena);
    ++*count;
}

/* Calls `fn` for each case of a message with its bytes in w->bytes and its fields in w->want. */
static size_t each_case(world *w, const mr_codec_shape *shape, case_fn *fn) {
    char path[256], *line = NULL;
    size_t cap = 0, count = 0;
    bool both_ways = false;
    snprintf(path, sizeof path, VECTORS "%s.txt", shape->name);
    FILE *file = fopen(path, "r");
    if (!file) fail_msg("%s is missing; run proto/vectors.py", path);
    while (getline(&line, &cap, file) > 0) {
        if (line[0] == '=' || line[0] == '~') {
            end_case(w, fn, shape, both_ways, &count);
            both_ways = line[0] == '=';
        } else if (line[0] == '>') {
            put_from_hex(&w->bytes, line + 2);
        } else if (line[0] != '\n') {
            mr_buf_text(&w->want, line);
        }
    }
    end_case(w, fn, shape, both_ways, &count);
    free(line);
    fclose(file);
    return count;
}

static void each_message(world *w, case_fn *fn) {
    size_t messages = 0;
    for (unsigned type = 0; type < 256; type++) {
        const mr_codec_shape *shape = mr_wire_shape((uint8_t)type);
        if (!shape) continue;
        assert_true(each_case(w, shape, fn) >= 10);
        messages++;
    }
    assert_true(messages >= 18);
}

/* ---- with the vectors ---- */

static void check_vector(world *w, const mr_codec_shape *shape, bool both_ways) {
    mr_wire m;
    mr_error err = {0};
    mr_buf again;
    if (mr_codec_decode(shape, mr_buf_span(&w->bytes), w->arena, &m.as, &err)) fail_msg("%s", err.text);
    mr_buf_clear(&w->text);
    put_shape(&w->text, shape, (const char *)&m.as, "");
    assert_int_equal(w->text.len, w->want.len);
    assert_memory_equal(w->text.data, w->want.data, w->want.len);
    if (!both_ways) return;
    mr_buf_init(&again, NULL, 1 << 20);
    assert_int_equal(mr_codec_encode(&again, shape, &m.as), MR_OK);
    assert_int_equal(again.len, w->bytes.len);
    assert_memory_equal(again.data, w->bytes.data, again.len);
    mr_buf_free(&again);
}

static void vectors_decode_to_their_fields_and_encode_to_their_bytes(void **state) {
    each_message(*state, check_vector);
}

/* A copy without slack, so that a read past the end is seen by the sanitizer. */
static mr_status decode_exact(const mr_codec_shape *shape, const uint8_t *bytes, size_t n, mr_arena *arena,
                              mr_error *err) {
    uint8_t *exact = malloc(n ? n : 1);
    mr_wire m;
    if (n) memcpy(exact, bytes, n);
    mr_status status = mr_codec_decode(shape, (mr_span){exact, n}, arena, &m.as, err);
    free(exact);
    return status;
}

static void check_cuts(world *w, const mr_codec_shape *shape, bool both_ways) {
    (void)both_ways;
    mr_error err;
    size_t step = w->bytes.len > 2000 ? 61 : 1;
    for (size_t n = 0; n < w->bytes.len; n += step) {
        mr_arena_reset(w->arena);
        assert_int_equal(decode_exact(shape, w->bytes.data, n, w->arena, &err), MR_E_PROTOCOL);
        assert_non_null(strstr(err.text, shape->name));
    }
    mr_buf_put(&w->bytes, "\xc0", 1);
    assert_int_equal(decode_exact(shape, w->bytes.data, w->bytes.len, w->arena, &err), MR_E_PROTOCOL);
}

static void a_message_cut_anywhere_or_with_bytes_behind_it_is_refused(void **state) {
    each_message(*state, check_cuts);
}

static void check_flips(world *w, const mr_codec_shape *shape, bool both_ways) {
    if (!both_ways) return;
    static const uint8_t masks[] = {0x01, 0x10, 0x80, 0xff};
    mr_error err;
    size_t step = w->bytes.len > 500 ? 23 : 1;
    for (size_t i = 0; i < w->bytes.len; i += step) {
        for (size_t k = 0; k < sizeof masks; k++) {
            w->bytes.data[i] ^= masks[k];
            mr_arena_reset(w->arena);
            mr_status status = decode_exact(shape, w->bytes.data, w->bytes.len, w->arena, &err);
            assert_true(status == MR_OK || status == MR_E_PROTOCOL);
            w->bytes.data[i] ^= masks[k];
        }
    }
}

static void a_changed_byte_gives_another_message_or_a_clean_error(void **state) {
    each_message(*state, check_flips);
}

static void check_memory(world *w, const mr_codec_shape *shape, bool both_ways) {
    if (!both_ways) return;
    for (uint64_t n = 1;; n++) {
        mr_mem_failing failing;
        mr_buf b;
        mr_wire m;
        mr_mem_failing_init(&failing, n);
        mr_arena *arena = mr_arena_new(&failing.mem, ARENA);
        mr_status status = MR_E_MEMORY;
        if (arena) status = mr_codec_decode(shape, mr_buf_span(&w->bytes), arena, &m.as, NULL);
        mr_buf_init(&b, &failing.mem, 1 << 20);
        if (status == MR_OK) status = mr_codec_encode(&b, shape, &m.as);
        if (status != MR_OK) assert_int_equal(b.len, 0);
        mr_buf_free(&b);
        mr_arena_free(&arena);
        assert_int_equal(failing.live, 0);
        if (status == MR_OK) return;
        assert_int_equal(status, MR_E_MEMORY);
        assert_true(n < 100);
    }
}

static void every_allocation_may_fail(void **state) { each_message(*state, check_memory); }

static void wrong_types_and_sizes_are_refused_by_name(void **state) {
    world *w = *state;
    char *line = NULL;
    size_t cap = 0, count = 0;
    FILE *file = fopen(VECTORS "refused.txt", "r");
    assert_non_null(file);
    while (getline(&line, &cap, file) > 0) {
        char message[64], field[64], want[160];
        int at = 0;
        mr_error err;
        assert_int_equal(sscanf(line, "%63s %63s %n", message, field, &at), 2);
        mr_buf_clear(&w->bytes);
        put_from_hex(&w->bytes, line + at);
        mr_arena_reset(w->arena);
        mr_status status = decode_exact(shape_named(message), w->bytes.data, w->bytes.len, w->arena, &err);
        if (status != MR_E_PROTOCOL)
            fail_msg("%s.%s: status %d for %.200s", message, field, status, line + at);
        assert_int_equal(err.status, MR_E_PROTOCOL);
        snprintf(want, sizeof want, ".%s: ", field);
        if (!strstr(err.text, want) || strncmp(err.text, message, strlen(message)))
            fail_msg("%s%s is not named in: %s", message, want, err.text);
        count++;
    }
    assert_true(count > 500);
    free(line);
    fclose(file);
}

/* ---- by hand ---- */

static void fields_are_where_c_reads_them(void **state) {
    world *w = *state;
    mr_wire_artifact_item artifacts[2] = {
        {.name = mr_span_of("model"), .media_type = mr_span_of("application/x-millrace"), .size = 7},
        {.name = mr_span_of("report"), .size = UINT64_MAX, .hash = {.bytes = {[31] = 9}}}};
    mr_wire_result_item items[2] = {
        {.attempt = 5, .run = 1, .status = MR_E_MEMORY, .text = mr_span_of("too big")},
        {.attempt = 6,
         .step = 3,
         .level = 2,
         .index = 70000,
         .partial = true,
         .artifacts = artifacts,
         .artifact_count = 2}};
    mr_wire_result in = {items, 2}, out;
    assert_int_equal(mr_wire_encode_result(&w->bytes, &in), MR_OK);
    assert_int_equal(mr_wire_decode_result(mr_buf_span(&w->bytes), w->arena, &out, NULL), MR_OK);
    assert_int_equal(out.item_count, 2);
    assert_int_equal(out.items[0].attempt, 5);
    assert_int_equal(out.items[0].status, MR_E_MEMORY);
    assert_true(mr_span_eq(out.items[0].text, mr_span_of("too big")));
    assert_int_equal(out.items[0].artifact_count, 0);
    assert_null(out.items[0].artifacts);
    assert_int_equal(out.items[1].index, 70000);
    assert_int_equal(out.items[1].step, 3);
    assert_int_equal(out.items[1].level, 2);
    assert_true(out.items[1].partial);
    assert_int_equal(out.items[1].artifact_count, 2);
    assert_true(mr_span_eq(out.items[1].artifacts[0].name, mr_span_of("model")));
    assert_true(out.items[1].artifacts[1].size == UINT64_MAX);
    assert_int_equal(out.items[1].artifacts[1].hash.bytes[31], 9);
}

static void any_message_can_be_read_by_its_type(void **state) {
    world *w = *state;
    uint8_t type;
    uint32_t version;
    mr_wire in = {.type = MR_MSG_PROGRESS, .as.progress = {.attempt = 3, .done = 0.5}}, out;
    assert_int_equal(mr_wire_encode(&w->bytes, &in), MR_OK);
    assert_int_equal(mr_wire_peek(mr_buf_span(&w->bytes), &type, &version, NULL), MR_OK);
    assert_int_equal(type, MR_MSG_PROGRESS);
    assert_int_equal(version, MR_WIRE_VERSION);
    assert_int_equal(mr_wire_decode(mr_buf_span(&w->bytes), w->arena, &out, NULL), MR_OK);
    assert_int_equal(out.type, MR_MSG_PROGRESS);
    assert_int_equal(out.as.progress.attempt, 3);
    assert_true(out.as.progress.done == 0.5);
    assert_string_equal(mr_msg_name(MR_MSG_PROGRESS), "progress");
    assert_string_equal(mr_msg_name(0), "unknown");
    assert_null(mr_wire_shape(255));
}

static mr_status decode_text(world *w, const char *bytes, size_t n, mr_error *err) {
    mr_wire m;
    mr_arena_reset(w->arena);
    return mr_wire_decode((mr_span){(const uint8_t *)bytes, n}, w->arena, &m, err);
}

static void broken_envelopes_are_refused(void **state) {
    static const struct {
        const char *bytes;
        size_t n;
        const char *reason;
    } rows[] = {
        {"", 0, "envelope"},
        {"\x80", 1, "envelope"},
        {"\x91\x04", 2, "no type and version"},
        {"\x92\xcd\x01\x04\x01", 5, "envelope"},
        {"\x92\xc0\x01", 3, "envelope"},
        {"\x92\x09\x01", 3, "there is no message type 9"},
        {"\x92\x00\x01", 3, "there is no message type 0"},
        {"\x92\x04\x02", 3, "protocol version 2"},
        {"\x93\x04\x01\xd4\x01\x01", 6, "heartbeat"},
        {"\x95\x04\x01\x00\x00\x91\x91\x91\x91\x91\x91\x91\x91\xc0", 14, "nested too deep"},
        {"\xdd\xff\xff\xff\xff\x04\x01", 7, "envelope"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        mr_error err = {0};
        assert_int_equal(decode_text(*state, rows[i].bytes, rows[i].n, &err), MR_E_PROTOCOL);
        if (!strstr(err.text, rows[i].reason)) fail_msg("row %zu: %s", i, err.text);
    }
}

static void a_message_of_another_type_is_named(void **state) {
    world *w = *state;
    mr_wire_bye bye;
    mr_error err;
    mr_span heartbeat = {(const uint8_t *)"\x94\x04\x01\x00\x00", 5};
    assert_int_equal(mr_wire_decode_bye(heartbeat, w->arena, &bye, &err), MR_E_PROTOCOL);
    assert_string_equal(err.text, "bye: this is a heartbeat (type 4)");
}

static void counts_that_lie_take_no_memory(void **state) {
    world *w = *state;
    mr_error err;
    static const char huge[] = "\x93\x0e\x01\xdd\xff\xff\xff\xff",
                      most[] = "\x93\x0e\x01\xdc\x10\x00\x92\x01\x01";
    assert_int_equal(decode_text(w, huge, sizeof huge - 1, &err), MR_E_PROTOCOL);
    assert_int_equal(mr_arena_used(w->arena), 0);
    assert_int_equal(decode_text(w, most, sizeof most - 1, &err), MR_E_PROTOCOL);
    assert_int_equal(mr_arena_used(w->arena), 0);
}

static void an_arena_that_is_full_is_out_of_memory(void **state) {
    world *w = *state;
    uint64_t attempts[100] = {0};
    mr_wire_cancel cancel = {attempts, 100}, out;
    mr_arena *small = mr_arena_new(NULL, 100);
    mr_error err;
    assert_int_equal(mr_wire_encode_cancel(&w->bytes, &cancel), MR_OK);
    assert_int_equal(mr_wire_decode_cancel(mr_buf_span(&w->bytes), small, &out, &err), MR_E_MEMORY);
    assert_string_equal(err.text, "cancel.attempts: no memory for 100 items");
    mr_arena_free(&small);
}

static void an_envelope_over_the_limit_is_refused_on_both_sides(void **state) {
    world *w = *state;
    static char sentence[MR_MAX_RESULT_ITEM_TEXT];
    static mr_wire_result_item items[MR_MAX_RESULT_ITEMS];
    mr_wire_result result = {items, MR_MAX_RESULT_ITEMS};
    mr_error err;
    memset(sentence, 'x', sizeof sentence);
    for (size_t i = 0; i < MR_MAX_RESULT_ITEMS; i++)
        items[i].text = (mr_span){(const uint8_t *)sentence, sizeof sentence};
    assert_int_equal(mr_wire_encode_result(&w->bytes, &result), MR_E_LIMIT);
    assert_int_equal(w->bytes.len, 0);
    mr_buf_put(&w->bytes, "\x94\x04\x01\x00\x00", 5);
    memset(mr_buf_extend(&w->bytes, MR_WIRE_ENVELOPE_MAX), 0, MR_WIRE_ENVELOPE_MAX);
    assert_int_equal(decode_text(w, (char *)w->bytes.data, w->bytes.len, &err), MR_E_PROTOCOL);
}

static void the_largest_lists_pass_and_one_more_does_not(void **state) {
    world *w = *state;
    static uint64_t attempts[MR_MAX_CANCEL_ATTEMPTS + 1];
    mr_wire_cancel cancel = {attempts, MR_MAX_CANCEL_ATTEMPTS}, out;
    for (size_t i = 0; i < MR_MAX_CANCEL_ATTEMPTS; i++) attempts[i] = UINT64_MAX - i;
    assert_int_equal(mr_wire_encode_cancel(&w->bytes, &cancel), MR_OK);
    assert_int_equal(mr_wire_decode_cancel(mr_buf_span(&w->bytes), w->arena, &out, NULL), MR_OK);
    assert_memory_equal(out.attempts, attempts, sizeof attempts - sizeof *attempts);
    cancel.attempt_count++;
    mr_buf_clear(&w->bytes);
    assert_int_equal(mr_wire_encode_cancel(&w->bytes, &cancel), MR_E_LIMIT);
}

static void blobs_of_bytes_pass_up_to_their_maximum(void **state) {
    world *w = *state;
    static uint8_t args[MR_MAX_CALL_ARGS + 1];
    mr_wire_call call = {.call = 1, .command = 2, .args = {args, MR_MAX_CALL_ARGS}}, out;
    assert_int_equal(mr_wire_encode_call(&w->bytes, &call), MR_OK);
    assert_int_equal(mr_wire_decode_call(mr_buf_span(&w->bytes), w->arena, &out, NULL), MR_OK);
    assert_int_equal(out.args.len, MR_MAX_CALL_ARGS);
    mr_buf_clear(&w->bytes);
    call.args.len++;
    assert_int_equal(mr_wire_encode_call(&w->bytes, &call), MR_E_LIMIT);
    mr_pack_array(&w->bytes, 5);
    for (uint64_t i = 0; i < 4; i++)
        mr_pack_u64(&w->bytes, (uint64_t[]){MR_MSG_CALL, MR_WIRE_VERSION, 1, 2}[i]);
    mr_pack_bin(&w->bytes, call.args);
    assert_int_equal(mr_wire_decode_call(mr_buf_span(&w->bytes), w->arena, &out, NULL), MR_E_PROTOCOL);
}

static void the_sender_is_told_of_its_own_mistakes(void **state) {
    world *w = *state;
    static const char over[MR_MAX_BYE_REASON + 2] = {[0 ... MR_MAX_BYE_REASON] = 'x'};
    mr_wire_bye bye = {.reason = mr_span_of(over)};
    mr_wire_progress progress = {.done = NAN};
    mr_buf_text(&w->bytes, "before");
    assert_int_equal(mr_wire_encode_bye(&w->bytes, &bye), MR_E_LIMIT);
    bye.reason = mr_span_of("\xff");
    assert_int_equal(mr_wire_encode_bye(&w->bytes, &bye), MR_E_INVALID);
    bye.reason = (mr_span){(const uint8_t *)"a\0b", 3};
    assert_int_equal(mr_wire_encode_bye(&w->bytes, &bye), MR_E_INVALID);
    assert_int_equal(mr_wire_encode_progress(&w->bytes, &progress), MR_E_INVALID);
    assert_true(mr_span_eq(mr_buf_span(&w->bytes), mr_span_of("before")));
    bye.reason = mr_span_of("done");
    assert_int_equal(mr_wire_encode_bye(&w->bytes, &bye), MR_OK);
    assert_memory_equal(w->bytes.data,
                        "before\x93\x05\x01\xa4"
                        "done",
                        14);
}

static void a_sentence_can_be_cut_to_fit(void **state) {
    (void)state;
    assert_true(mr_span_eq(mr_codec_text_cut(mr_span_of("plain"), 10), mr_span_of("plain")));
    assert_true(mr_span_eq(mr_codec_text_cut(mr_span_of("plain"), 3), mr_span_of("pla")));
    assert_true(mr_span_eq(mr_codec_text_cut(mr_span_of("a\xc3\xa9z"), 2), mr_span_of("a")));
    assert_true(mr_span_eq(mr_codec_text_cut(mr_span_of("ok\xff!"), 10), mr_span_of("ok")));
    assert_int_equal(mr_codec_text_cut((mr_span){(const uint8_t *)"a\0b", 3}, 3).len, 1);
    assert_int_equal(mr_codec_text_cut((mr_span){NULL, 0}, 3).len, 0);
}

static void longer_forms_of_the_same_value_are_taken(void **state) {
    world *w = *state;
    mr_wire_heartbeat out;
    mr_span wide = {
        (const uint8_t
             *)"\xdd\x00\x00\x00\x04\xcf\x00\x00\x00\x00\x00\x00\x00\x04\xcd\x00\x01\xce\x00\x00\x00\x07"
               "\xd0\x05",
        24};
    assert_int_equal(mr_wire_decode_heartbeat(wide, w->arena, &out, NULL), MR_OK);
    assert_int_equal(out.busy, 7);
    assert_int_equal(out.held, 5);
}

int main(void) {
    const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
        TEST(vectors_decode_to_their_fields_and_encode_to_their_bytes),
        TEST(a_message_cut_anywhere_or_with_bytes_behind_it_is_refused),
        TEST(a_changed_byte_gives_another_message_or_a_clean_error),
        TEST(every_allocation_may_fail),
        TEST(wrong_types_and_sizes_are_refused_by_name),
        TEST(fields_are_where_c_reads_them),
        TEST(any_message_can_be_read_by_its_type),
        TEST(broken_envelopes_are_refused),
        TEST(a_message_of_another_type_is_named),
        TEST(counts_that_lie_take_no_memory),
        TEST(an_arena_that_is_full_is_out_of_memory),
        TEST(an_envelope_over_the_limit_is_refused_on_both_sides),
        TEST(the_largest_lists_pass_and_one_more_does_not),
        TEST(blobs_of_bytes_pass_up_to_their_maximum),
        TEST(the_sender_is_told_of_its_own_mistakes),
        TEST(a_sentence_can_be_cut_to_fit),
        TEST(longer_forms_of_the_same_value_are_taken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
