/* The n-th allocation fails, for every n: alone, and with all that follow. All memory of ours comes from one call of realloc
 * in common/mem.c (and uthash's malloc), which the link turns to __wrap_realloc and __wrap_malloc here. What is done either
 * says E_MEMORY or comes out as it would with memory, and leaves nothing behind. */
#include "broker/io/broker.h"
#include "broker/io/delivery.h"
#include "broker/io/intake_rows.h"
#include "broker/io/query.h"
#include "common/csv.h"
#include "common/file.h"
#include "common/grammar.h"
#include "common/json.h"
#include "common/jsonl.h"
#include "common/keys.h"
#include "common/pack.h"
#include "common/prompt.h"
#include "common/show.h"
#include "common/unicode.h"
#include "common/yaml.h"
#include "common/zstd.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/* ---- the failing heap ---- */

void *__real_realloc(void *p, size_t size);
void *__real_malloc(size_t size);
void __real_free(void *p);
void *__wrap_realloc(void *p, size_t size);
void *__wrap_malloc(size_t size);
void __wrap_free(void *p);

enum { SLOTS = 1 << 16 };

/* Which allocations live is known by their addresses, for free() also gets what others have made. */
static struct {
    bool armed, alone;
    uint64_t count, fail_at, live;
    void *slot[SLOTS];
} heap;

static size_t place_of(const void *p) {
    size_t i = (size_t)(((uintptr_t)p >> 4) * 0x9e3779b97f4a7c15u >> 48) % SLOTS;
    while (heap.slot[i] && heap.slot[i] != p) i = (i + 1) % SLOTS;
    return i;
}

static void forget(const void *p) {
    size_t i = place_of(p);
    if (!p || !heap.slot[i]) return;
    heap.live--;
    heap.slot[i] = NULL;
    for (size_t k = (i + 1) % SLOTS; heap.slot[k]; k = (k + 1) % SLOTS) { /* those behind it may have stood nearer */
        void *moved = heap.slot[k];
        heap.slot[k] = NULL;
        heap.slot[place_of(moved)] = moved;
    }
}

static void note(void *p) {
    if (!p) return;
    heap.live++;
    heap.slot[place_of(p)] = p;
}

static bool fails(void) {
    if (!heap.armed) return false;
    heap.count++;
    return heap.fail_at && (heap.alone ? heap.count == heap.fail_at : heap.count >= heap.fail_at);
}

void *__wrap_realloc(void *p, size_t size) {
    if (fails()) return NULL;
    if (!heap.armed) return __real_realloc(p, size);
    forget(p);
    void *fresh = __real_realloc(p, size);
    note(fresh);
    return fresh;
}

void *__wrap_malloc(size_t size) {
    if (fails()) return NULL;
    void *fresh = __real_malloc(size);
    if (heap.armed) note(fresh);
    return fresh;
}

void __wrap_free(void *p) {
    if (heap.armed) forget(p);
    __real_free(p);
}

/* ---- inputs, read while there is memory ---- */

static mr_buf seeds[16];
static size_t seed_count;

static mr_span seed(const char *name) {
    static char names[16][64];
    for (size_t i = 0; i < seed_count; i++)
        if (!strcmp(names[i], name)) return mr_buf_span(&seeds[i]);
    char path[512];
    mr_error err;
    assert_true(seed_count < 16 && !heap.armed);
    snprintf(names[seed_count], sizeof names[0], "%s", name);
    snprintf(path, sizeof path, "%s/tests/fuzz/seeds/%s", MR_SOURCE_DIR, name);
    mr_buf_init(&seeds[seed_count], NULL, 1 << 20);
    if (mr_file_read(path, 1 << 20, &seeds[seed_count], &err) != MR_OK) fail_msg("%s", err.text);
    return mr_buf_span(&seeds[seed_count++]);
}

static mr_span text_input(void) {
    static const char text[] = "Als Gregor Samsa eines Morgens aus unruhigen Traeumen erwachte, fand er sich in \xc3\x9c" "bung: 1 2 3.";
    return mr_span_of(text);
}

/* ---- what is tried: each gives in `*seen` something that tells whether it came out whole ---- */

typedef mr_status trial(uint64_t *seen, mr_error *err);

static uint64_t sum_of(mr_span s) {
    mr_hash h = mr_hash_of(s);
    uint64_t v;
    memcpy(&v, h.bytes, sizeof v);
    return v;
}

static mr_status end(mr_buf *out, mr_status s, uint64_t *seen, mr_error *err) {
    if (s == MR_OK) s = mr_buf_status(out);
    if (s != MR_OK && err->status == MR_OK) (void)mr_fail(err, s, "the buffer took no more");
    *seen += sum_of(mr_buf_span(out));
    mr_buf_free(out);
    return s;
}

static mr_status json_in_and_out(uint64_t *seen, mr_error *err) {
    mr_json *v = NULL;
    mr_buf out, pack;
    mr_buf_init(&out, NULL, 1 << 20);
    mr_buf_init(&pack, NULL, 1 << 20);
    mr_status s = mr_json_parse(mr_span_of("{\"b\": [1, 2.5, null, \"\\u00fc\"], \"a\": {\"x\": true}}"), 1000, 9, &v, err);
    if (s == MR_OK) {
        mr_json_dump(v, &out);
        mr_json_to_pack(v, &pack);
        s = mr_buf_status(&pack);
        if (s == MR_OK) s = mr_json_from_pack(mr_buf_span(&pack), &out, err);
    }
    mr_json_free(&v);
    mr_buf_free(&pack);
    return end(&out, s, seen, err);
}

static mr_status yaml_file(uint64_t *seen, mr_error *err) {
    mr_yaml doc;
    mr_arena *arena = mr_arena_new(NULL, 1 << 20);
    if (!arena) return mr_fail(err, MR_E_MEMORY, "no arena");
    mr_status s = mr_yaml_parse(seed("yaml/config"), "file", arena, &doc, err);
    for (uint32_t i = 0; s == MR_OK && i < doc.count; i++) *seen += sum_of(mr_span_of(doc.nodes[i].value)) + i;
    mr_arena_free(&arena);
    return s;
}

static mr_status jsonl_lines(uint64_t *seen, mr_error *err) {
    mr_source_memory m;
    mr_jsonl *j = NULL;
    mr_status s = mr_jsonl_new(NULL, mr_source_from_memory(&m, seed("jsonl/rows")), 0, &j);
    mr_arena *arena = s == MR_OK ? mr_arena_new(NULL, 1 << 20) : NULL;
    if (!arena && s == MR_OK) s = MR_E_MEMORY;
    while (s == MR_OK) {
        mr_span line;
        uint64_t number;
        mr_jsonl_member *members;
        size_t count = 0;
        s = mr_jsonl_next(j, &line, &number, err);
        if (s == MR_OK) s = mr_jsonl_object(line, 100, arena, &members, &count, NULL, err);
        *seen += number * 100 + count;
    }
    mr_arena_free(&arena);
    mr_jsonl_free(&j);
    return s == MR_E_NOT_FOUND ? MR_OK : s;
}

static mr_status csv_records(uint64_t *seen, mr_error *err) {
    mr_source_memory m;
    mr_csv *c = NULL;
    mr_csv_record r;
    mr_status s = mr_csv_new(NULL, mr_source_from_memory(&m, mr_span_of("a,b\n1,\"x\ny\"\n2,z\n")), &(mr_csv_options){0}, &c);
    while (s == MR_OK && (s = mr_csv_next(c, &r, err)) == MR_OK) *seen += r.count * 10 + r.cells[1].text.len;
    mr_csv_free(&c);
    return s == MR_E_NOT_FOUND ? MR_OK : s;
}

static void refused(void *self, const mr_where *where, const mr_error *why) {
    (void)where;
    (void)why;
    ++*(uint64_t *)self;
}

static mr_status rows_of(const char *name, mr_span bytes, uint32_t columns, uint64_t *seen, mr_error *err) {
    mr_rows *rows = NULL;
    mr_batch batch;
    mr_buf out;
    mr_rows_options o = {.refused = refused, .self = seen};
    mr_buf_init(&out, NULL, 1 << 20);
    mr_arena *arena = mr_arena_new(NULL, 1 << 24);
    mr_status s = arena ? mr_rows_load_memory(NULL, name, bytes, &o, &rows, err) : MR_E_MEMORY;
    if (s == MR_OK) s = mr_rows_batch(rows, 0, mr_rows_count(rows), NULL, columns, arena, &batch, err);
    if (s == MR_OK) s = mr_segment_encode(&batch, &out);
    if (s == MR_OK) s = mr_segment_decode(mr_buf_span(&out), UINT32_MAX, arena, &batch, err);
    mr_rows_free(&rows);
    mr_arena_free(&arena);
    return end(&out, s, seen, err);
}

static mr_status table_rows(uint64_t *seen, mr_error *err) {
    return rows_of("f.csv", mr_span_of("x,y,label,at\n1,2.5,a,2026-01-01\n2,,\"b,c\",2026-01-02\nbad\n3,4,d,2026-01-03\n"),
                   MR_COL_FEATURES | MR_COL_LABEL, seen, err);
}

static mr_status prompt_rows(uint64_t *seen, mr_error *err) {
    return rows_of("f.jsonl",
                   mr_span_of("{\"prompt\": \"Write a poem\", \"score\": 0.5, \"labels\": {\"label\": \"x\"}}\n"
                              "{\"prompt\": 5}\n{\"prompt\": \"Another one\", \"session\": \"s\", \"metadata\": {\"a\": [1]}}\n"),
                   MR_COL_FEATURES | MR_COL_PROMPT | MR_COL_LABEL | MR_COL_SCORE | MR_COL_SESSION, seen, err);
}

static const mr_table_column columns[] = {{"n", MR_CELL_INTEGER}, {"x", MR_CELL_NUMBER}, {"ok", MR_CELL_BOOLEAN},
                                          {"y", MR_CELL_TEXT}, {"at", MR_CELL_TIME}};

/* What came in is stored or refused for its own sake, never because memory ended. */
static mr_status intake(bool table, const char *name, uint64_t *seen, mr_error *err) {
    mr_text *text = NULL;
    mr_intake_rows rows;
    mr_pg_params p;
    mr_span bytes = {seed(name).data + 1, seed(name).len - 1};
    mr_arena *arena = mr_arena_new(NULL, 64 << 20);
    if (!arena) return mr_fail(err, MR_E_MEMORY, "no arena");
    mr_pg_params_init(&p, NULL, 1 << 20);
    mr_status s = mr_text_new(NULL, &text, err);
    if (s == MR_OK)
        s = table ? mr_intake_table(bytes, (mr_table_schema){5, columns}, mr_span_of("f.csv"), arena, &rows, err)
                  : mr_intake_prompts(bytes, 1000, text, arena, &rows, err);
    if (s == MR_OK && !table) mr_intake_put_prompts(&p, &rows);
    if (s == MR_OK) s = mr_buf_status(&p.bytes);
    if (s == MR_OK) *seen += rows.count * 1000 + rows.rejects;
    mr_pg_params_free(&p);
    mr_text_free(&text);
    mr_arena_free(&arena);
    return s;
}

static mr_status intake_of_prompts(uint64_t *seen, mr_error *err) { return intake(false, "intake/prompts", seen, err); }
static mr_status intake_of_broken_prompts(uint64_t *seen, mr_error *err) { return intake(false, "intake/prompt_broken_text", seen, err); }
static mr_status intake_of_a_table(uint64_t *seen, mr_error *err) { return intake(true, "intake/table", seen, err); }

static mr_status key_list(uint64_t *seen, mr_error *err) {
    mr_key_list list = {0};
    mr_status s = mr_key_list_parse(seed("keys/list"), "keys", &list, err);
    if (s == MR_OK) {
        mr_key_row row = list.rows[0];
        row.key.bytes[0] ^= 1;
        snprintf(row.name, sizeof row.name, "another");
        s = mr_key_list_add(&list, &row, err);
        *seen += list.count;
    }
    mr_key_list_free(&list);
    return s;
}

static mr_status tables_for_people(uint64_t *seen, mr_error *err) {
    mr_text_table t;
    mr_buf out;
    mr_buf_init(&out, NULL, 1 << 20);
    mr_text_table_init(&t, NULL, 3);
    for (int i = 0; i < 300; i++) mr_text_table_cell(&t, i % 7 ? "a cell of some length" : NULL);
    mr_text_table_end(&t, 2, &out);
    return end(&out, MR_OK, seen, err);
}

static const char catalogue[] = "[{\"name\": \"echo\", \"version\": 1, \"kind\": \"analyzer\", \"shape\": \"map\", \"tier\": 2,"
                                " \"summary\": \"repeats\", \"columns\": [\"prompt\"], \"columns_wanted\": [], \"batch_rows\": 0,"
                                " \"deadline_ms\": 1000, \"outputs\": [{\"name\": \"n\", \"type\": \"integer\", \"unit\": \"rows\","
                                " \"meaning\": \"rows\", \"fold\": \"sum\"}], \"options\": [{\"name\": \"depth\", \"type\": \"integer\","
                                " \"default\": \"3\", \"min\": 1, \"max\": 9}]}]";

static mr_status results_for_people(uint64_t *seen, mr_error *err) {
    mr_json *v = NULL;
    mr_show show;
    mr_folding f;
    mr_buf out;
    static const uint8_t result[] = "\x82\xa1n\x05\xa8" "findings\x91\x82\xa6weight\xcb\x3f\xe0\0\0\0\0\0\0\xa4text\xa3yes";
    mr_span body = {result, sizeof result - 1};
    mr_buf_init(&out, NULL, 1 << 20);
    mr_arena *arena = mr_arena_new(NULL, 1 << 20);
    mr_status s = arena ? mr_json_parse(mr_span_of(catalogue), 5000, 9, &v, err) : MR_E_MEMORY;
    if (s == MR_OK) s = mr_show_from_json(v, "echo", arena, &show, err);
    if (s == MR_OK) s = mr_show_result(&show, MR_SHOW_FULL, body, &out, err);
    if (s == MR_OK) s = mr_folding_init(&f, &show, arena);
    if (s == MR_OK) s = mr_folding_add(&f, body, 5, err);
    if (s == MR_OK) mr_folding_print(&f, &out);
    mr_json_free(&v);
    mr_arena_free(&arena);
    return end(&out, s, seen, err);
}

static mr_status parameters(uint64_t *seen, mr_error *err) {
    mr_pg_params p;
    int64_t i8[500] = {1, 2, 3};
    mr_span texts[500] = {mr_span_of("a"), mr_span_of("b")};
    mr_pg_params_init(&p, NULL, 1 << 20);
    mr_pg_put_int8s(&p, i8, NULL, 500);
    mr_pg_put_texts(&p, texts, NULL, 500);
    mr_pg_put_byteas(&p, texts, NULL, 500);
    mr_pg_put_jsonb(&p, mr_span_of("{}"));
    mr_pg_put_time(&p, 5);
    mr_status s = mr_buf_status(&p.bytes);
    if (s != MR_OK) (void)mr_fail(err, s, "no parameters");
    *seen += sum_of(mr_buf_span(&p.bytes));
    mr_pg_params_free(&p);
    return s;
}

static mr_status words(uint64_t *seen, mr_error *err) {
    mr_text *t = NULL;
    mr_buf out;
    float f[MR_FEATURES];
    mr_buf_init(&out, NULL, 1 << 20);
    mr_status s = mr_text_new(NULL, &t, err);
    if (s == MR_OK) s = mr_features(t, text_input(), f, err);
    if (s == MR_OK) s = mr_text_nfc(t, text_input(), &out, err);
    if (s == MR_OK) s = mr_text_fold(t, text_input(), &out, err);
    if (s == MR_OK) mr_buf_put(&out, f, sizeof f);
    mr_text_free(&t);
    return end(&out, s, seen, err);
}

static mr_status samples(uint64_t *seen, mr_error *err) {
    mr_grammar *g = NULL;
    mr_prompt p;
    mr_buf out;
    mr_buf_init(&out, NULL, 1 << 20);
    mr_status s = mr_grammar_new(NULL, 3, &g, err);
    for (int i = 0; s == MR_OK && i < 3; i++) {
        s = mr_grammar_next(g, &p, err);
        if (s == MR_OK) mr_prompt_to_json(&p, &out);
    }
    mr_grammar_free(&g);
    return end(&out, s, seen, err);
}

static mr_status compression(uint64_t *seen, mr_error *err) {
    mr_buf small, out;
    mr_buf_init(&small, NULL, 1 << 20);
    mr_buf_init(&out, NULL, 1 << 20);
    mr_status s = mr_zstd_compress(text_input(), 3, &small, err);
    if (s == MR_OK) s = mr_zstd_decompress(mr_buf_span(&small), 1 << 20, &out, err);
    mr_buf_free(&small);
    return end(&out, s, seen, err);
}

static mr_status settings(uint64_t *seen, mr_error *err) {
    mr_broker_settings set = {0};
    mr_origins origins;
    mr_buf out;
    char path[512];
    static const char *const environment[] = {"MILLRACE_HEARTBEAT_MS=700", NULL};
    snprintf(path, sizeof path, "%s/no-such-file.yaml", MR_SOURCE_DIR);
    mr_settings_input input = {.environment = environment, .file = path, .file_may_be_absent = true};
    mr_buf_init(&out, NULL, 1 << 20);
    mr_option_defaults(mr_broker_options, &set);
    mr_status s = mr_settings_load(mr_broker_options, &set, &input, &origins, err);
    for (const mr_option *row = mr_broker_options; s == MR_OK && row->name; row++) {
        mr_option_get(row, &set, &out);
        mr_origin_text(mr_broker_options, row, &origins, &out);
    }
    if (s == MR_OK) mr_argv_help(mr_broker_options, &mr_broker_usage, &out);
    return end(&out, s, seen, err);
}

static mr_status what_workers_offer(uint64_t *seen, mr_error *err) {
    mr_catalogue c = {0};
    mr_status s = mr_catalogue_add(&c, mr_span_of(catalogue), err);
    if (s == MR_OK) *seen += mr_catalogue_component(&c, "echo") != NULL;
    mr_catalogue_free(&c);
    return s;
}

static mr_status who_is_connected(uint64_t *seen, mr_error *err) {
    mr_peers peers = {0};
    mr_status s = MR_OK;
    for (uint32_t i = 0; s == MR_OK && i < 40; i++) {
        const mr_peer *peer = mr_peer_add(&peers, (mr_span){(const uint8_t *)&i, sizeof i});
        if (!peer) s = mr_fail(err, MR_E_MEMORY, "no peer");
        else *seen += mr_peer_numbered(&peers, peer->number) == peer && mr_peer_from(&peers, mr_peer_identity(peer)) == peer;
    }
    mr_peers_free(&peers);
    return s;
}

static mr_status calls(uint64_t *seen, mr_error *err) {
    mr_span args = mr_span_of("\x81\xa3run\x07");
    mr_query_job *query = mr_query_job_new(MR_CMD_RESULTS, args);
    mr_delivery_job *delivery = mr_delivery_job_new(MR_CMD_REPAIR, args, "client");
    mr_recover_job *recover = mr_recover_job_new(7);
    mr_plan_job *plan = mr_plan_job_new();
    mr_status s = query && delivery && recover && plan ? MR_OK : mr_fail(err, MR_E_MEMORY, "no job");
    *seen += s == MR_OK;
    if (query) mr_query_job_free(query);
    if (delivery) mr_delivery_job_free(delivery);
    if (recover) mr_recover_job_free(recover);
    if (plan) mr_plan_job_free(plan);
    return s;
}

static mr_status schema(uint64_t *seen, mr_error *err) {
    mr_table_schema out;
    mr_buf b;
    mr_buf_init(&b, NULL, 1 << 16);
    mr_arena *arena = mr_arena_new(NULL, 1 << 20);
    if (!arena) return mr_fail(err, MR_E_MEMORY, "no arena");
    mr_status s = mr_schema_from_json(mr_span_of("[{\"name\": \"x\", \"type\": \"number\"}]"), arena, &out, err);
    if (s == MR_OK) mr_schema_to_json(out, &b);
    mr_arena_free(&arena);
    return end(&b, s, seen, err);
}

/* ---- the table ---- */

static const struct {
    const char *name;
    trial *fn;
} trials[] = {
    {"json", json_in_and_out}, {"yaml", yaml_file}, {"jsonl", jsonl_lines}, {"csv", csv_records}, {"table rows", table_rows},
    {"prompt rows", prompt_rows}, {"intake of prompts", intake_of_prompts}, {"intake of broken prompts", intake_of_broken_prompts},
    {"intake of a table", intake_of_a_table}, {"keys", key_list}, {"text tables", tables_for_people},
    {"results for people", results_for_people}, {"parameters", parameters}, {"text", words}, {"samples", samples},
    {"zstd", compression}, {"settings", settings}, {"catalogue", what_workers_offer}, {"peers", who_is_connected},
    {"calls", calls}, {"schema", schema},
};

static mr_status attempt(trial *fn, uint64_t fail_at, bool alone, uint64_t *seen) {
    mr_error err = {0};
    *seen = 0;
    heap.count = 0;
    heap.fail_at = fail_at;
    heap.alone = alone;
    heap.armed = true;
    mr_status s = fn(seen, &err);
    heap.armed = false;
    return s;
}

static void each_allocation_fails_once(size_t i, bool alone) {
    uint64_t whole, seen, failures = 0;
    assert_int_equal(attempt(trials[i].fn, 0, alone, &whole), MR_OK);
    uint64_t all = heap.count;
    assert_true(all > 0);
    assert_int_equal(heap.live, 0);
    for (uint64_t n = 1; n <= all; n++) {
        mr_status s = attempt(trials[i].fn, n, alone, &seen);
        if (heap.live) fail_msg("%s: %llu allocations are left when number %llu fails", trials[i].name,
                                (unsigned long long)heap.live, (unsigned long long)n);
        if (s == MR_OK && seen != whole)
            fail_msg("%s: something else comes out when number %llu fails", trials[i].name, (unsigned long long)n);
        if (s != MR_OK && s != MR_E_MEMORY)
            fail_msg("%s: %s when number %llu fails", trials[i].name, mr_status_of((int)s)->name, (unsigned long long)n);
        failures += s != MR_OK;
    }
    print_message("%s: %llu allocations, %llu failures\n", trials[i].name, (unsigned long long)all, (unsigned long long)failures);
    assert_true(failures > 0);
}

static void one_allocation_that_fails_is_an_error_and_no_leak(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof trials / sizeof *trials; i++) each_allocation_fails_once(i, true);
}

static void memory_that_ends_is_an_error_and_no_leak(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof trials / sizeof *trials; i++) each_allocation_fails_once(i, false);
}

/* ---- what a broker was to look at ---- */

/* How many jobs a desk was given; they find nothing. */
static int jobs_of(mr_broker *b, mr_desk *desk) {
    int n = 0;
    for (mr_job *job = mr_queue_take(&desk->in, 0), *next; job; job = next, n++) {
        next = job->next;
        job->done(b, job);
    }
    return n;
}

static void what_there_was_no_memory_to_look_at_is_looked_at_later(void **state) {
    (void)state;
    static mr_broker b;
    mr_core_config config = {0};
    b = (mr_broker){.phase = MR_STOPPED, .reader.started = true, .planner.started = true};
    mr_queue_init(&b.reader.in);
    mr_queue_init(&b.planner.in);
    assert_int_equal(mr_core_new(&config, &b.core), MR_OK);
    for (int i = 0; i < MR_PARTITIONS; i++) b.place[i] = MR_OURS;
    heap.count = 0;
    heap.fail_at = 1;
    heap.alone = false;
    heap.armed = true;
    mr_broker_read_rules(&b);
    mr_broker_find_cancelled(&b);
    mr_broker_find_replays(&b, 0);
    mr_broker_recover(&b, 7);
    mr_broker_missed_tick(&b); /* nor is there any then */
    heap.armed = false;
    assert_int_equal(jobs_of(&b, &b.reader) + jobs_of(&b, &b.planner), 0);
    assert_null(b.again);
    mr_broker_missed_tick(&b);
    assert_int_equal(jobs_of(&b, &b.reader), 3);
    assert_non_null(b.again); /* the runs that the database has */
    b.again->done(&b, b.again);
    b.again = NULL;
    mr_broker_missed_tick(&b);
    assert_int_equal(jobs_of(&b, &b.reader), 0);
    mr_core_free(&b.core);
    mr_queue_destroy(&b.reader.in);
    mr_queue_destroy(&b.planner.in);
}

static int read_seeds(void **state) {
    (void)state;
    mr_error err;
    static const char *const names[] = {"yaml/config", "jsonl/rows", "intake/prompts", "intake/prompt_broken_text", "intake/table",
                                        "keys/list"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) seed(names[i]);
    return mr_crypto_init(&err) == MR_OK ? 0 : -1;
}

static int free_seeds(void **state) {
    (void)state;
    for (size_t i = 0; i < seed_count; i++) mr_buf_free(&seeds[i]);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_allocation_that_fails_is_an_error_and_no_leak),
        cmocka_unit_test(memory_that_ends_is_an_error_and_no_leak),
        cmocka_unit_test(what_there_was_no_memory_to_look_at_is_looked_at_later),
    };
    return cmocka_run_group_tests(tests, read_seeds, free_seeds);
}
