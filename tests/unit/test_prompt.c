/* Prompt rows: what is taken, what is refused and where, the canonical form, the hash, the wire. */
#include "common/prompt.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static mr_arena *arena;

static int open_arena(void **state) {
    (void)state;
    arena = mr_arena_new(NULL, 64 << 20);
    return arena ? 0 : -1;
}

static int close_arena(void **state) {
    (void)state;
    mr_arena_free(&arena);
    return 0;
}

static bool is(mr_span s, const char *text) { return mr_span_eq(s, mr_span_of(text)); }

static mr_prompt row(const char *line) {
    mr_prompt p;
    mr_error err = {0};
    if (mr_prompt_from_json(mr_span_of(line), NULL, NULL, arena, &p, NULL, &err) != MR_OK)
        fail_msg("%s: %s", line, err.text);
    mr_prompt_hash(&p);
    return p;
}

static void a_bare_row_has_the_defaults(void **state) {
    (void)state;
    mr_prompt p = row("{\"prompt\": \"hello\"}");
    assert_true(is(p.prompt, "hello"));
    assert_false(p.has_enhancement);
    assert_int_equal(p.source, MR_SOURCE_USER);
    assert_int_equal(p.priority, 100);
    assert_true(isnan(p.score));
    assert_int_equal(p.success, -1);
    assert_true(p.created_at_us == INT64_MIN);
    assert_int_equal(p.labels.len + p.metadata.len + p.session.len, 0);
}

static void every_field_is_taken(void **state) {
    (void)state;
    mr_prompt p = row(
        "{\"prompt\":\"p\",\"enhancement\":{\"b\":[1, 2.50],\"a\":null},\"source\":\"api\",\"priority\":7,"
        "\"session\":\"s1\",\"score\":0.25,\"success\":true,\"labels\":{\"z\":1,\"a\":\"x\"},"
        "\"created_at\":\"2026-01-31T12:00:00.25+01:00\",\"zz\":[true],\"extra\":\"\\u00e9\"}");
    assert_true(p.enhancement_is_json && is(p.enhancement, "{\"a\":null,\"b\":[1,2.5]}"));
    assert_int_equal(p.source, MR_SOURCE_API);
    assert_int_equal(p.priority, 7);
    assert_true(is(p.session, "s1") && p.score == 0.25 && p.success == 1);
    assert_true(is(p.labels, "{\"a\":\"x\",\"z\":1}"));
    assert_true(is(p.metadata, "{\"extra\":\"\xC3\xA9\",\"zz\":[true]}"));
    assert_true(p.created_at_us == 1769857200250000ll); /* date -d 2026-01-31T11:00:00Z +%s */
    assert_true(row("{\"prompt\":\"p\",\"created_at\":1.5}").created_at_us == 1500000);
}

static void a_map_renames_keys(void **state) {
    (void)state;
    mr_prompt_map map = {0};
    mr_prompt p;
    assert_int_equal(mr_prompt_map_parse(&map, "prompt=text,labels.intent=in.tent,metadata.n=no", NULL),
                     MR_OK);
    mr_span line = mr_span_of("{\"text\":\"t\",\"prompt\":\"old\",\"in\":{\"tent\":\"ask\"},\"no\":4}");
    assert_int_equal(mr_prompt_from_json(line, &map, NULL, arena, &p, NULL, NULL), MR_OK);
    assert_true(is(p.prompt, "t"));
    assert_true(is(p.labels, "{\"intent\":\"ask\"}"));
    assert_true(is(p.metadata, "{\"in\":{\"tent\":\"ask\"},\"n\":4,\"prompt\":\"old\"}"));
}

static void a_wrong_map_is_refused_with_the_nearest_name(void **state) {
    (void)state;
    mr_error err;
    mr_prompt_map map = {0};
    assert_int_equal(mr_prompt_map_parse(&map, "promt=text", &err), MR_E_USAGE);
    assert_non_null(strstr(err.text, "'prompt'"));
    assert_int_equal(mr_prompt_map_parse(&map, "prompt", &err), MR_E_USAGE);
    assert_int_equal(mr_prompt_map_parse(&map, "=x", &err), MR_E_USAGE);
    assert_int_equal(mr_prompt_map_parse(&map, "labels.=x", &err), MR_E_USAGE);
    assert_int_equal(mr_prompt_map_parse(&map, "prompt=a,prompt=b", &err), MR_E_USAGE);
}

static void bad_rows_are_refused_with_column_and_reason(void **state) {
    (void)state;
    static const struct {
        const char *line, *reason;
        size_t column;
    } bad[] = {
        {"{\"prompt\": }", "broken JSON", 12},
        {"[1]", "a list", 0},
        {"{}", "no 'prompt'", 0},
        {"{\"prompt\": 7}", "'prompt' is an integer, text is wanted", 12},
        {"{\"prompt\": \"  \"}", "empty", 12},
        {"{\"prompt\": \"a\", \"prompt\": \"b\"}", "duplicate", 0},
        {"{\"prompt\": \"a\\u0000b\"}", "u0000", 0},
        {"{\"prompt\": \"a\xFF\"}", "not UTF-8", 14},
        {"{\"prompt\": \"a\", \"score\": NaN}", "broken JSON", 0},
        {"{\"prompt\": \"a\", \"score\": 1e999}", "broken JSON", 0},
        {"{\"prompt\": \"a\", \"score\": 1.5}", "from 0 to 1", 26},
        {"{\"prompt\": \"a\", \"score\": \"0.5\"}", "'score' is text", 26},
        {"{\"prompt\": \"a\", \"n\": 99999999999999999999}", "broken JSON", 0},
        {"{\"prompt\": \"a\", \"priority\": 0}", "from 1 to 1000", 29},
        {"{\"prompt\": \"a\", \"priority\": 2.5}", "'priority' is a number", 29},
        {"{\"prompt\": \"a\", \"source\": \"bot\"}", "synthetic, user or api", 27},
        {"{\"prompt\": \"a\", \"success\": 2}", "true, false", 28},
        {"{\"prompt\": \"a\", \"labels\": []}", "an object is wanted", 27},
        {"{\"prompt\": \"a\", \"created_at\": \"yesterday\"}", "no time", 31},
        {"{\"prompt\": \"a\", \"created_at\": 1e17}", "years 1 and 9999", 31},
        {"{\"prompt\": \"a\", \"enhancement\": 3}", "text, an object or a list", 32},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        mr_prompt p;
        mr_error err = {0};
        size_t column = 0;
        mr_status s = mr_prompt_from_json(mr_span_of(bad[i].line), NULL, NULL, arena, &p, &column, &err);
        if (s != MR_E_INVALID || !strstr(err.text, bad[i].reason) ||
            (bad[i].column && column != bad[i].column))
            fail_msg("%s: status %d, column %zu: %s", bad[i].line, s, column, err.text);
    }
}

static void long_texts_are_refused_by_their_characters(void **state) {
    (void)state;
    char line[256];
    mr_prompt p;
    mr_error err;
    mr_prompt_limits limits = {.max_chars = 3};
    mr_span good = mr_span_of("{\"prompt\":\"\xE2\x82\xAC\xE2\x82\xAC\xE2\x82\xAC\"}"),
            bad = mr_span_of("{\"prompt\":\"abcd\"}");
    assert_int_equal(mr_prompt_from_json(good, NULL, &limits, arena, &p, NULL, &err), MR_OK);
    assert_int_equal(mr_prompt_from_json(bad, NULL, &limits, arena, &p, NULL, &err), MR_E_LIMIT);
    assert_non_null(strstr(err.text, "4 characters"));
    snprintf(line, sizeof line, "{\"prompt\":\"a\",\"session\":\"%0129d\"}", 0);
    assert_int_equal(mr_prompt_from_json(mr_span_of(line), NULL, NULL, arena, &p, NULL, &err), MR_E_LIMIT);
}

static void the_hash_is_of_the_content_alone(void **state) {
    (void)state;
    mr_prompt a = row("{\"prompt\":\"a\",\"enhancement\":\"b\",\"score\":1}"),
              b = row("{\"enhancement\":\"b\",\"prompt\":\"a\"}");
    mr_prompt none = row("{\"prompt\":\"a\"}"), empty = row("{\"prompt\":\"a\",\"enhancement\":\"\"}");
    mr_prompt text = row("{\"prompt\":\"a\",\"enhancement\":\"[1]\"}"),
              list = row("{\"prompt\":\"a\",\"enhancement\":[1]}");
    assert_memory_equal(a.hash, b.hash, 32);
    assert_memory_not_equal(a.hash, none.hash, 32);
    assert_memory_not_equal(none.hash, empty.hash, 32);
    assert_memory_not_equal(text.hash, list.hash, 32);
    /* python3: hashlib.blake2b(b"millrace prompt1" + b"\1" + (1).to_bytes(8,"little") + b"a" + b"\0" +
     * bytes(8), digest_size=32).digest()[:4] */
    static const uint8_t start[] = {0xc3, 0x81, 0x94, 0x1f};
    assert_memory_equal(none.hash, start, sizeof start);
}

static const char full[] =
    "{\"prompt\":\"p\",\"enhancement\":{\"b\":1,\"a\":2},\"source\":\"synthetic\",\"priority\":7,\"session\":"
    "\"s\","
    "\"score\":0.5,\"success\":false,\"labels\":{\"l\":\"x\"},\"created_at\":12,\"more\":1}";

static void same(const mr_prompt *a, const mr_prompt *b) {
    assert_true(mr_span_eq(a->prompt, b->prompt) && mr_span_eq(a->enhancement, b->enhancement));
    assert_true(mr_span_eq(a->session, b->session) && mr_span_eq(a->labels, b->labels));
    assert_true(mr_span_eq(a->metadata, b->metadata));
    assert_true(a->has_enhancement == b->has_enhancement && a->enhancement_is_json == b->enhancement_is_json);
    assert_true(a->source == b->source && a->priority == b->priority && a->success == b->success);
    assert_true(a->created_at_us == b->created_at_us);
    assert_memory_equal(&a->score, &b->score, sizeof a->score);
    assert_memory_equal(a->hash, b->hash, 32);
}

static void rows_go_over_the_wire(void **state) {
    (void)state;
    const char *const lines[] = {full, "{\"prompt\":\"bare\"}", "{\"prompt\":\"p\",\"enhancement\":\"\"}"};
    for (int i = 0; i < 3; i++) {
        mr_prompt a = row(lines[i]), b;
        mr_buf buf;
        mr_unpack u;
        uint64_t line;
        mr_buf_init(&buf, NULL, 4096);
        mr_prompt_pack(&buf, &a, 17);
        mr_unpack_init(&u, mr_buf_span(&buf));
        assert_int_equal(mr_prompt_unpack(&u, NULL, arena, &b, &line, NULL), MR_OK);
        assert_true(mr_unpack_done(&u) && line == 17);
        same(&a, &b);
        mr_buf_free(&buf);
    }
}

/* Whatever one byte becomes, unpacking ends in a status, and a row that passes obeys the rules. */
static void damaged_wire_rows_never_pass_unchecked(void **state) {
    (void)state;
    mr_prompt a = row(full), b;
    mr_buf buf;
    mr_buf_init(&buf, NULL, 4096);
    mr_prompt_pack(&buf, &a, 17);
    for (size_t i = 0; i < buf.len; i++)
        for (unsigned v = 0; v < 256; v += 5) {
            uint8_t old = buf.data[i];
            mr_unpack u;
            uint64_t line;
            buf.data[i] = (uint8_t)v;
            mr_unpack_init(&u, mr_buf_span(&buf));
            if (mr_prompt_unpack(&u, NULL, arena, &b, &line, NULL) == MR_OK) {
                assert_true(b.priority >= 1 && b.priority <= 1000 && b.prompt.len > 0);
                assert_true(isnan(b.score) || (b.score >= 0 && b.score <= 1));
            }
            buf.data[i] = old;
            mr_arena_reset(arena);
            a = row(full);
        }
    mr_buf_free(&buf);
}

static void a_bad_wire_row_leaves_the_cursor_behind_it(void **state) {
    (void)state;
    mr_prompt a = row(full), b;
    mr_buf buf;
    mr_unpack u;
    uint64_t line;
    mr_error err;
    a.priority = 0;
    mr_buf_init(&buf, NULL, 4096);
    mr_prompt_pack(&buf, &a, 1);
    a.priority = 1;
    mr_prompt_pack(&buf, &a, 2);
    mr_unpack_init(&u, mr_buf_span(&buf));
    assert_int_equal(mr_prompt_unpack(&u, NULL, arena, &b, &line, &err), MR_E_INVALID);
    assert_int_equal(mr_prompt_unpack(&u, NULL, arena, &b, &line, &err), MR_OK);
    assert_int_equal(line, 2);
    mr_buf_free(&buf);
}

static void json_out_is_json_in(void **state) {
    (void)state;
    mr_prompt a = row(full);
    mr_buf buf;
    mr_buf_init(&buf, NULL, 4096);
    mr_prompt_to_json(&a, &buf);
    mr_buf_put(&buf, "", 1);
    mr_prompt b = row((const char *)buf.data);
    same(&a, &b);
    mr_buf_free(&buf);
}

/* Reference: `date -u -d TEXT +%s`. */
static void times_are_read_and_written(void **state) {
    (void)state;
    static const struct {
        const char *text;
        int64_t seconds;
    } good[] = {{"1970-01-01", 0},
                {"2000-02-29T23:59:59Z", 951868799},
                {"1969-12-31 23:59:59", -1},
                {"2026-11-20T04:31:06+0530", 1795149066 - 19800},
                {"0001-01-01T00:00:00Z", -62135596800},
                {"9999-12-31T23:59:59Z", 253402300799}};
    static const char *const bad[] = {"",
                                      "2026",
                                      "2026-13-01",
                                      "2026-02-29",
                                      "2026-01-01T24:00:00",
                                      "2026-01-01T1:00",
                                      "2026-01-01T00:00:00.",
                                      "2026-01-01x",
                                      "0000-01-01",
                                      "2026-01-01T00:00:00Z "};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        int64_t us, again;
        char text[MR_TIME_TEXT];
        assert_true(mr_time_parse(mr_span_of(good[i].text), &us));
        if (us != good[i].seconds * 1000000) fail_msg("%s: %lld", good[i].text, (long long)us);
        mr_time_format(us, text);
        assert_true(mr_time_parse(mr_span_of(text), &again) && again == us);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        int64_t us;
        if (mr_time_parse(mr_span_of(bad[i]), &us)) fail_msg("'%s' passed", bad[i]);
    }
}

static void a_failed_allocation_is_told(void **state) {
    (void)state;
    for (size_t ceiling = 0; ceiling < 4000; ceiling += 64) {
        mr_arena *small = mr_arena_new(NULL, ceiling);
        mr_prompt p;
        mr_status s = mr_prompt_from_json(mr_span_of(full), NULL, NULL, small, &p, NULL, NULL);
        assert_true(s == MR_OK || s == MR_E_MEMORY);
        mr_arena_free(&small);
    }
}

/* ---- the short way and the long way ---- */

static const mr_prompt_map no_map = {.count = 0}; /* any map takes the long way */

static void assert_both_ways(mr_span line) {
    mr_prompt a, b;
    mr_error why_a = {0}, why_b = {0};
    size_t column_a, column_b;
    mr_status s = mr_prompt_from_json(line, NULL, NULL, arena, &a, &column_a, &why_a);
    assert_int_equal(s, mr_prompt_from_json(line, &no_map, NULL, arena, &b, &column_b, &why_b));
    assert_int_equal(column_a, column_b);
    assert_string_equal(why_a.text, why_b.text);
    if (s != MR_OK) return;
    mr_buf x, y;
    mr_buf_init(&x, NULL, 1 << 24);
    mr_buf_init(&y, NULL, 1 << 24);
    mr_prompt_pack(&x, &a, 1);
    mr_prompt_pack(&y, &b, 1);
    if (!mr_span_eq(mr_buf_span(&x), mr_buf_span(&y))) fail_msg("read in two ways: %.*s", MR_SPAN_ARG(line));
    mr_buf_free(&x);
    mr_buf_free(&y);
}

static void plain_and_odd_lines_are_read_the_same_by_both_ways(void **state) {
    (void)state;
    static const char *const values[] = {
        "\"x\"",
        "\"\"",
        "\"a\\n\\t\\\"\\/\\\\b\"",
        "\"\\u00e9\"",
        "\"\\q\"",
        "\"\xC3\xA9\"",
        "\"\xC3\"",
        "\"\x01\"",
        "\"open",
        "\"end\\",
        "0",
        "-0",
        "1",
        "-1",
        "01",
        "1000",
        "1001",
        "0.5",
        "0.8655",
        "00.5",
        "0.",
        ".5",
        "1e-1",
        "0.1e0",
        "1.0",
        "123456789012345",
        "1234567890123456789",
        "0.123456789012345678",
        "0.1234567890123",
        "true",
        "false",
        "null",
        "tru",
        "user",
        "\"user\"",
        "\"api\"",
        "{}",
        "[]",
        "[1,2]",
        "{\"a\":1,\"b\":\"x\",\"c\":true}",
        "{\"b\":1,\"a\":2}",
        "{\"a\":1,\"a\":2}",
        "{\"a\": 1}",
        "{\"a\":1.5}",
        "{\"a\":null}",
        "{\"a\":-0}",
        "{\"a\":-7}",
        "{\"a\":{\"b\":1}}",
        "{\"a\":[1,{\"b\":[\"x\",-2]}],\"c\":{\"d\":{\"e\":true}}}",
        "{\"a\":[1, 2]}",
        "{\"a\":[1,]}",
        "{\"a\":[{\"y\":1,\"x\":2}]}",
        "{\"a\":[{\"x\":1,\"x\":2}]}",
        "{\"a\":[0.5]}",
        "{\"a\":[[]]}",
        "{\"a\":{}}",
        "{\"a\":[1}",
        "{\"a\":[1",
        "{\"a\":[[[[[[[7]]]]]]]}",
        "{\"a\":[[[[[[[[[[7]]]]]]]]]]}",
        "[{\"a\":1}]",
        "{\"a\":\"\xC3\xA9\"}",
        "{\"a\":1,}",
        "{\"a\"}",
        "{\"\":1}",
        "\"2026-01-31T12:00:00Z\"",
        "\"2026-01-31\"",
        "\"2026-13-31\"",
        "1769857200",
    };
    static const char *const keys[] = {"prompt",  "enhancement", "source",     "priority", "session", "score",
                                       "success", "labels",      "created_at", "other",    "a\\nb",   "metadata"};
    char line[512];
    for (size_t k = 0; k < sizeof keys / sizeof *keys; k++)
        for (size_t v = 0; v < sizeof values / sizeof *values; v++) {
            snprintf(line, sizeof line, "{\"prompt\":\"p\",\"%s\":%s}", keys[k], values[v]);
            assert_both_ways(mr_span_of(line));
            snprintf(line, sizeof line, " { \"%s\" :\t%s , \"id\": 7,\"prompt\": \"p\",\"z\":\"y\" }\r", keys[k],
                     values[v]);
            assert_both_ways(mr_span_of(line));
        }
    static const char *const lines[] = {"",
                                        "{",
                                        "{}",
                                        "{}x",
                                        "[]",
                                        "7",
                                        "{\"prompt\":\"p\"}x",
                                        "{\"prompt\":\"p\",}",
                                        "{,\"prompt\":\"p\"}",
                                        "{\"prompt\":\"   \"}",
                                        "{\"z\":1,\"y\":2,\"z\":3,\"prompt\":\"p\"}"};
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) assert_both_ways(mr_span_of(lines[i]));
}

static void every_cut_and_every_changed_byte_of_a_line_is_read_the_same_by_both_ways(void **state) {
    (void)state;
    static const char *const lines[] = {
        "{\"prompt\":\"Say \\\"hi\\\" to all of "
        "them\",\"enhancement\":\"\xC3\xA4\\n\",\"source\":\"api\",\"priority\":7,"
        "\"session\":\"s-1\",\"score\":0.8655,\"success\":true,\"labels\":{\"a\":\"x\",\"b\":12},"
        "\"created_at\":\"2026-01-01T00:05:20.000000Z\",\"id\":31,\"split\":\"train\"}",
        "{\"prompt\":\"p\",\"enhancement\":{\"a\":[1,\"x\",{\"b\":true}],\"c\":{\"d\":false}},"
        "\"labels\":{\"l\":[[2],[3]]},\"more\":[{\"e\":-4}]}"};
    static const char changes[] = "\"\\{}[],: 0eE-.\n\x01\x7f\xC3";
    char line[512];
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        size_t whole = strlen(lines[i]);
        for (size_t n = 0; n <= whole; n++) assert_both_ways((mr_span){(const uint8_t *)lines[i], n});
        for (size_t at = 0; at < whole; at++)
            for (size_t c = 0; c + 1 < sizeof changes; c++) {
                memcpy(line, lines[i], whole);
                line[at] = changes[c];
                mr_arena_reset(arena);
                assert_both_ways((mr_span){(const uint8_t *)line, whole});
            }
    }
}

static void real_rows_are_read_the_same_by_both_ways(void **state) {
    (void)state;
    static const char *const files[] = {"disfl_qa_pairs.jsonl", "gsm8k_train_5000.jsonl",
                                        "awesome_chatgpt_prompts.jsonl", "bpo_test_pairs.jsonl"};
    char name[512], *line = NULL;
    size_t room = 0, seen = 0;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        snprintf(name, sizeof name, MR_SOURCE_DIR "/../shared/data/prompts/%s", files[i]);
        FILE *f = fopen(name, "r");
        if (!f) continue;
        for (ssize_t n; (n = getline(&line, &room, f)) > 0; seen++) {
            mr_arena_reset(arena);
            assert_both_ways((mr_span){(const uint8_t *)line, (size_t)n - 1});
        }
        fclose(f);
    }
    free(line);
    if (!seen) skip();
}
int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_and_odd_lines_are_read_the_same_by_both_ways),
        cmocka_unit_test(every_cut_and_every_changed_byte_of_a_line_is_read_the_same_by_both_ways),
        cmocka_unit_test(real_rows_are_read_the_same_by_both_ways),
        cmocka_unit_test(a_bare_row_has_the_defaults),
        cmocka_unit_test(every_field_is_taken),
        cmocka_unit_test(a_map_renames_keys),
        cmocka_unit_test(a_wrong_map_is_refused_with_the_nearest_name),
        cmocka_unit_test(bad_rows_are_refused_with_column_and_reason),
        cmocka_unit_test(long_texts_are_refused_by_their_characters),
        cmocka_unit_test(the_hash_is_of_the_content_alone),
        cmocka_unit_test(rows_go_over_the_wire),
        cmocka_unit_test(damaged_wire_rows_never_pass_unchecked),
        cmocka_unit_test(a_bad_wire_row_leaves_the_cursor_behind_it),
        cmocka_unit_test(json_out_is_json_in),
        cmocka_unit_test(times_are_read_and_written),
        cmocka_unit_test(a_failed_allocation_is_told),
    };
    return cmocka_run_group_tests(tests, open_arena, close_arena);
}
