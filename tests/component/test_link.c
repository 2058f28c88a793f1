/* The worker's side of the protocol: first the state machine against a port that records what it does, then compute
 * processes that crash, hang and are cancelled, then the whole worker process against a broker made here. */
#include "common/clock.h"
#include "common/net.h"
#include "common/pack.h"
#include "worker/core/link.h"
#include "worker/core/serve.h"
#include "worker/core/slots.h"

#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

/* ---- components to run ---- */

static mr_status count_rows(mr_ctx *ctx, const void *config, const mr_batch *batch, mr_out *out) {
    (void)ctx;
    (void)config;
    mr_out_integer(out, "rows", batch->rows);
    mr_out_artifact(out, "note", "text/plain", mr_span_of("two words"));
    return MR_OK;
}

static mr_status give_rows(mr_ctx *ctx, const void *config, const mr_batch *batch, mr_out *out) {
    (void)ctx;
    (void)config;
    mr_out_partial(out, &batch->rows, sizeof batch->rows);
    return MR_OK;
}

static mr_status add_rows(mr_ctx *ctx, const void *config, const mr_partials *partials, mr_out *out) {
    (void)ctx;
    (void)config;
    uint32_t sum = 0;
    for (uint32_t i = 0; i < partials->count; i++) {
        uint32_t rows;
        memcpy(&rows, partials->items[i].data, sizeof rows);
        sum += rows;
    }
    if (partials->last) mr_out_integer(out, "rows", sum);
    else mr_out_partial(out, &sum, sizeof sum);
    return MR_OK;
}

static mr_status crash(mr_ctx *ctx, const void *config, const mr_batch *batch, mr_out *out) {
    (void)ctx;
    (void)config;
    (void)batch;
    (void)out;
    abort();
}

static mr_status hang(mr_ctx *ctx, const void *config, const mr_batch *batch, mr_out *out) {
    (void)ctx;
    (void)config;
    (void)batch;
    (void)out;
    volatile bool forever = true;
    while (forever) {}
    return MR_OK;
}

static mr_status wait_for_stop(mr_ctx *ctx, const void *config, const mr_batch *batch, mr_out *out) {
    (void)config;
    (void)batch;
    (void)out;
    for (;;) MR_TRY(mr_tick(ctx));
}

static mr_status devour(mr_ctx *ctx, const void *config, const mr_batch *batch, mr_out *out) {
    (void)config;
    (void)batch;
    (void)out;
    while (mr_ctx_alloc(ctx, 1, 1 << 16)) {}
    return MR_E_MEMORY;
}

static const mr_field row_outputs[] = {{"rows", MR_FIELD_INTEGER, "rows", "rows seen", MR_FOLD_SUM}, {0}};

#define COMPONENT(id, nature, ...)                                                                                \
    static const mr_component component_##id = {.name = #id, .summary = "of the test", .kind = MR_ANALYZER,       \
        .shape = nature, .tier = 4, .version = 1, .columns_wanted = MR_COL_FEATURES, .outputs = row_outputs,      \
        .deadline_ms = 60000, .memory_mb = 4, __VA_ARGS__}
COMPONENT(count, MR_MAP, .process = count_rows);
COMPONENT(sum, MR_MERGE, .process = give_rows, .merge = add_rows);
COMPONENT(crash, MR_MAP, .process = crash);
COMPONENT(hang, MR_MAP, .process = hang);
COMPONENT(wait, MR_MAP, .process = wait_for_stop);
COMPONENT(devour, MR_MAP, .process = devour);
enum { COUNT, SUM, CRASH, HANG, WAIT, DEVOUR };
static const mr_component *const table[] = {&component_count, &component_sum, &component_crash, &component_hang,
                                            &component_wait, &component_devour, NULL};

/* A segment of `rows` rows with one feature. */
static mr_buf segment(uint32_t rows) {
    static const double x[8] = {1, 2, 3, 4, 5, 6, 7, 8};
    static const char *const names[] = {"x"};
    mr_batch batch = {.rows = rows, .columns = MR_COL_FEATURES, .width = 1, .features = x, .feature_names = names};
    mr_buf out;
    assert_true(rows <= 8);
    mr_buf_init(&out, NULL, 1 << 20);
    assert_int_equal(mr_segment_encode(&batch, &out), MR_OK);
    return out;
}

static int64_t rows_of(mr_span result) {
    mr_unpack u, at;
    int64_t rows;
    mr_unpack_init(&u, result);
    assert_int_equal(mr_unpack_find(&u, "rows", &at), MR_OK);
    assert_int_equal(mr_unpack_i64(&at, &rows, NULL), MR_OK);
    return rows;
}

/* ---- a port that records ---- */

enum { SENT_MAX = 64 };

typedef struct sent {
    mr_wire m;
    mr_buf envelope, body;
} sent;

typedef struct rig {
    mr_link *link;
    mr_arena *arena;
    sent sent[SENT_MAX];
    size_t count;
    uint32_t slots, busy, reconnects;
    mr_slot_job job; /* the last one that was started */
    mr_buf input;
    uint64_t stopped;
    bool full; /* sends are refused */
    mr_mem_failing mem;
} rig;

static mr_status rig_send(void *self, mr_span envelope, mr_span body) {
    rig *r = self;
    mr_error err;
    if (r->full) return MR_E_FULL;
    assert_true(r->count < SENT_MAX);
    sent *s = &r->sent[r->count++];
    mr_buf_init(&s->envelope, NULL, MR_WIRE_ENVELOPE_MAX);
    mr_buf_init(&s->body, NULL, MR_WIRE_BODY_MAX);
    mr_buf_put(&s->envelope, envelope.data, envelope.len);
    mr_buf_put(&s->body, body.data, body.len);
    if (mr_wire_decode(mr_buf_span(&s->envelope), r->arena, &s->m, &err) != MR_OK) fail_msg("%s", err.text);
    return MR_OK;
}

static void rig_reconnect(void *self) { ((rig *)self)->reconnects++; }

static mr_status rig_start(void *self, const mr_slot_job *job, mr_span options, mr_span input, mr_error *err) {
    rig *r = self;
    (void)options;
    if (r->busy == r->slots) return mr_fail(err, MR_E_FULL, "all are busy");
    r->busy++;
    r->job = *job;
    mr_buf_clear(&r->input);
    mr_buf_put(&r->input, input.data, input.len);
    return MR_OK;
}

static void rig_stop(void *self, uint64_t attempt, mr_status why) {
    assert_int_equal(why, MR_E_CANCELLED);
    ((rig *)self)->stopped = attempt;
}

static void rig_forget(rig *r) {
    for (size_t i = 0; i < r->count; i++) {
        mr_buf_free(&r->sent[i].envelope);
        mr_buf_free(&r->sent[i].body);
    }
    r->count = 0;
    mr_arena_reset(r->arena);
}

static void rig_init(rig *r, uint64_t fail_at) {
    *r = (rig){.slots = 2};
    mr_mem_failing_init(&r->mem, fail_at);
    r->arena = mr_arena_new(NULL, 1 << 24);
    mr_buf_init(&r->input, NULL, 1 << 26);
    mr_link_port port = {.self = r, .send = rig_send, .reconnect = rig_reconnect, .start = rig_start, .stop = rig_stop};
    mr_link_config config = {.table = table, .name = "test", .catalogue = mr_span_of("[]"), .slots = 2, .prefetch = 2,
                             .held_max = 3, .held_bytes_max = 1 << 20, .input_max = 1 << 24, .resend_ms = 5000,
                             .hello_ms = 3000, .backoff_ms = 100, .backoff_max_ms = 3000, .seed = 1,
                             .mem = &r->mem.mem};
    mr_error err;
    if (mr_link_new(&config, &port, &r->link, &err) != MR_OK) r->link = NULL;
}

static void rig_free(rig *r) {
    mr_link_free(&r->link);
    rig_forget(r);
    mr_buf_free(&r->input);
    mr_arena_free(&r->arena);
    assert_int_equal(r->mem.live, 0);
}

/* A message of the broker. */
static void tell(rig *r, uint64_t now, mr_wire m, mr_span body) {
    mr_buf envelope;
    mr_buf_init(&envelope, NULL, MR_WIRE_ENVELOPE_MAX);
    assert_int_equal(mr_wire_encode(&envelope, &m), MR_OK);
    mr_link_message(r->link, now, mr_buf_span(&envelope), body);
    mr_link_tick(r->link, now);
    mr_buf_free(&envelope);
}

/* The i-th message of that type that was sent; NULL when there are fewer. */
static const sent *find(const rig *r, mr_msg type, size_t i) {
    for (size_t k = 0; k < r->count; k++)
        if (r->sent[k].m.type == type && i-- == 0) return &r->sent[k];
    return NULL;
}

static const sent *must(const rig *r, mr_msg type) {
    const sent *s = find(r, type, 0);
    if (!s) fail_msg("no %s was sent", mr_msg_name((uint8_t)type));
    return s;
}

static mr_wire welcome(uint64_t session) {
    return (mr_wire){.type = MR_MSG_WELCOME, .as.welcome = {.session = session, .heartbeat_ms = 1000, .lost_after_ms = 4000}};
}

static mr_wire step(const char *component, uint32_t version) {
    return (mr_wire){.type = MR_MSG_STEP,
                     .as.step = {.run = 7, .step = 0, .component = mr_span_of(component), .version = version, .seed = 42}};
}

static void open_session(rig *r) {
    rig_init(r, 0);
    mr_link_tick(r->link, 0);
    must(r, MR_MSG_HELLO);
    tell(r, 10, welcome(1), (mr_span){0});
    tell(r, 10, step("count", 1), (mr_span){0});
}

static mr_wire_work_item item_of(uint64_t attempt, mr_span input) {
    return (mr_wire_work_item){.attempt = attempt, .run = 7, .index = (uint32_t)attempt, .last = true,
                               .deadline_ms = 1000, .inlined = true, .size = input.len, .hash = mr_hash_of(input)};
}

static void give(rig *r, uint64_t now, mr_wire_work_item item, mr_span body) {
    tell(r, now, (mr_wire){.type = MR_MSG_WORK, .as.work = {.items = &item, .item_count = 1}}, body);
}

static void finish(rig *r, uint64_t now, uint64_t attempt, const char *bytes) {
    mr_slot_done done = {.attempt = attempt, .size = strlen(bytes), .compute_us = 5, .peak_bytes = 4096};
    mr_buf body;
    mr_buf_init(&body, &r->mem.mem, 1 << 20);
    mr_buf_text(&body, bytes);
    r->busy--;
    mr_link_done(r->link, now, &done, &body);
    mr_link_tick(r->link, now);
}

static void ack(rig *r, uint64_t now, uint64_t attempt, uint8_t verdict) {
    mr_wire_ack_item item = {.attempt = attempt, .verdict = verdict};
    tell(r, now, (mr_wire){.type = MR_MSG_ACK, .as.ack = {.items = &item, .item_count = 1}}, (mr_span){0});
}

static mr_link_stats stats(const rig *r) {
    mr_link_stats s;
    mr_link_stats_get(r->link, &s);
    return s;
}

/* ---- the state machine ---- */

static void a_session_opens_with_offers_and_credit(void **state) {
    (void)state;
    rig r;
    open_session(&r);
    const sent *hello = must(&r, MR_MSG_HELLO);
    assert_int_equal(hello->m.as.hello.offer_count, 6);
    assert_int_equal(hello->m.as.hello.slots, 2);
    assert_true(mr_span_eq(mr_buf_span(&hello->body), mr_span_of("[]")));
    assert_int_equal(must(&r, MR_MSG_CREDIT)->m.as.credit.amount, 4);
    assert_non_null(find(&r, MR_MSG_HEARTBEAT, 0));
    rig_free(&r);
}

static void a_result_is_kept_and_sent_again_until_it_is_acknowledged(void **state) {
    (void)state;
    rig r;
    open_session(&r);
    give(&r, 20, item_of(100, mr_span_of("abc")), mr_span_of("abc"));
    assert_int_equal(r.job.attempt, 100);
    assert_int_equal(r.job.seed, 42);
    assert_true(mr_span_eq(mr_buf_span(&r.input), mr_span_of("abc")));
    rig_forget(&r);
    finish(&r, 30, 100, "result");
    const sent *s = must(&r, MR_MSG_RESULT);
    mr_hash hash = mr_hash_of(mr_span_of("result"));
    assert_true(mr_hash_eq(&s->m.as.result.items[0].hash, &hash));
    assert_true(mr_span_eq(mr_buf_span(&s->body), mr_span_of("result")));
    for (uint64_t t = 1000; t < 5000; t += 1000) {
        tell(&r, t, (mr_wire){.type = MR_MSG_HEARTBEAT}, (mr_span){0});
        assert_null(find(&r, MR_MSG_RESULT, 1));
    }
    tell(&r, 5100, (mr_wire){.type = MR_MSG_HEARTBEAT}, (mr_span){0});
    assert_non_null(find(&r, MR_MSG_RESULT, 1));
    ack(&r, 5200, 100, 3); /* not stored */
    assert_int_equal(stats(&r).held, 1);
    tell(&r, 7000, (mr_wire){.type = MR_MSG_HEARTBEAT}, (mr_span){0});
    assert_non_null(find(&r, MR_MSG_RESULT, 2));
    ack(&r, 7100, 100, 0);
    assert_int_equal(stats(&r).held, 0);
    ack(&r, 7100, 100, 0); /* twice does no harm */
    rig_free(&r);
}

static void a_silent_broker_is_lost_and_results_go_to_the_next_session(void **state) {
    (void)state;
    rig r;
    open_session(&r);
    give(&r, 20, item_of(1, mr_span_of("a")), mr_span_of("a"));
    give(&r, 20, item_of(2, mr_span_of("b")), mr_span_of("b"));
    give(&r, 20, item_of(3, mr_span_of("c")), mr_span_of("c")); /* waits: two slots */
    finish(&r, 30, 1, "one");
    mr_link_tick(r.link, 4100);
    assert_false(stats(&r).open);
    assert_int_equal(stats(&r).running, 2); /* 2, and 3 which took the free slot */
    rig_forget(&r);
    finish(&r, 4150, 2, "two"); /* ends without a session */
    assert_null(find(&r, MR_MSG_RESULT, 0));
    mr_link_tick(r.link, 4100 + 101); /* past the largest first pause */
    assert_int_equal(r.reconnects, 2);
    must(&r, MR_MSG_HELLO);
    tell(&r, 4300, welcome(2), (mr_span){0});
    assert_non_null(find(&r, MR_MSG_RESULT, 1));
    finish(&r, 4400, 3, "three");
    const sent *third = find(&r, MR_MSG_RESULT, 2);
    assert_non_null(third);
    assert_int_equal(third->m.as.result.items[0].attempt, 3);
    assert_int_equal(third->m.as.result.items[0].run, 7);
    assert_int_equal(stats(&r).held, 3);
    rig_free(&r);
}

static void pauses_grow_while_no_broker_answers(void **state) {
    (void)state;
    rig r;
    rig_init(&r, 0);
    uint32_t in_first_minute = 0;
    for (uint64_t t = 0; t < 600000; t += 50) {
        mr_link_tick(r.link, t);
        if (t == 60000) in_first_minute = r.reconnects;
        rig_forget(&r);
    }
    assert_in_range(in_first_minute, 10, 25); /* 3 s for a welcome, then up to 3 s */
    assert_in_range(r.reconnects, 100, 210);
    rig_free(&r);
}

static void work_that_cannot_be_done_is_answered_at_once(void **state) {
    (void)state;
    static const struct {
        const char *component, *body;
        uint32_t version;
        uint16_t run;
        mr_status status;
    } rows[] = {{"count", "abc", 2, 7, MR_E_CONFLICT}, {"nobody", "abc", 1, 7, MR_E_NOT_FOUND},
                {"count", "abc", 1, 8, MR_E_NOT_FOUND}, {"count", "abd", 1, 7, MR_E_CORRUPT}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        rig r;
        open_session(&r);
        tell(&r, 15, step(rows[i].component, rows[i].version), (mr_span){0});
        mr_wire_work_item item = item_of(5, mr_span_of("abc"));
        item.run = rows[i].run;
        give(&r, 20, item, mr_span_of(rows[i].body));
        const mr_wire_result_item *result = &must(&r, MR_MSG_RESULT)->m.as.result.items[0];
        assert_int_equal(result->status, rows[i].status);
        assert_true(result->text.len > 10);
        assert_int_equal(r.busy, 0);
        rig_free(&r);
    }
}

static void large_inputs_are_fetched_in_pieces(void **state) {
    (void)state;
    rig r;
    open_session(&r);
    enum { SIZE = 5 * 1024 * 1024, FIRST = 4 * 1024 * 1024 };
    uint8_t *bytes = malloc(SIZE);
    for (size_t i = 0; i < SIZE; i++) bytes[i] = (uint8_t)(i * 7);
    mr_wire_work_item item = item_of(9, (mr_span){bytes, SIZE});
    item.inlined = false;
    give(&r, 20, item, (mr_span){0});
    const sent *fetch = must(&r, MR_MSG_FETCH);
    assert_int_equal(fetch->m.as.fetch.length, FIRST);
    mr_wire blob = {.type = MR_MSG_BLOB, .as.blob = {.request = fetch->m.as.fetch.request, .total = SIZE}};
    tell(&r, 30, blob, (mr_span){bytes, FIRST});
    fetch = find(&r, MR_MSG_FETCH, 1);
    assert_non_null(fetch);
    assert_int_equal(fetch->m.as.fetch.offset, FIRST);
    tell(&r, 35, blob, (mr_span){bytes, FIRST}); /* the first piece again: of an earlier request */
    blob.as.blob.request = fetch->m.as.fetch.request;
    blob.as.blob.offset = FIRST;
    tell(&r, 40, blob, (mr_span){bytes + FIRST, SIZE - FIRST});
    assert_int_equal(r.input.len, SIZE);
    assert_memory_equal(r.input.data, bytes, SIZE);
    free(bytes);
    rig_free(&r);
}

static void work_that_comes_twice_is_done_once(void **state) {
    (void)state;
    rig r;
    open_session(&r);
    for (int i = 0; i < 3; i++) give(&r, 20, item_of(1, mr_span_of("a")), mr_span_of("a"));
    assert_int_equal(stats(&r).items, 1);
    finish(&r, 30, 1, "x");
    give(&r, 40, item_of(1, mr_span_of("a")), mr_span_of("a"));
    assert_int_equal(stats(&r).items, 0);
    rig_free(&r);
}

static void no_more_work_is_asked_for_while_results_pile_up(void **state) {
    (void)state;
    rig r;
    open_session(&r);
    for (uint64_t a = 1; a <= 3; a++) {
        give(&r, 20, item_of(a, mr_span_of("a")), mr_span_of("a"));
        finish(&r, 30, a, "x");
    }
    rig_forget(&r);
    mr_link_tick(r.link, 700);
    assert_null(find(&r, MR_MSG_CREDIT, 0));
    ack(&r, 800, 1, 0);
    assert_int_equal(must(&r, MR_MSG_CREDIT)->m.as.credit.amount, 1); /* three of the four were granted before */
    rig_free(&r);
}

static void cancelled_work_ends(void **state) {
    (void)state;
    rig r;
    open_session(&r);
    for (uint64_t a = 1; a <= 3; a++) give(&r, 20, item_of(a, mr_span_of("a")), mr_span_of("a"));
    uint64_t attempts[] = {1, 3, 77};
    tell(&r, 30, (mr_wire){.type = MR_MSG_CANCEL, .as.cancel = {.attempts = attempts, .attempt_count = 3}}, (mr_span){0});
    assert_int_equal(r.stopped, 1);
    const mr_wire_result_item *result = &must(&r, MR_MSG_RESULT)->m.as.result.items[0];
    assert_int_equal(result->attempt, 3);
    assert_int_equal(result->status, MR_E_CANCELLED);
    rig_free(&r);
}

static void draining_releases_what_has_not_started(void **state) {
    (void)state;
    rig r;
    open_session(&r);
    for (uint64_t a = 1; a <= 4; a++) give(&r, 20, item_of(a, mr_span_of("a")), mr_span_of("a"));
    rig_forget(&r);
    mr_link_drain(r.link, 30);
    assert_int_equal(must(&r, MR_MSG_RELEASE)->m.as.release.attempt_count, 2);
    give(&r, 40, item_of(5, mr_span_of("a")), mr_span_of("a"));
    assert_int_equal(find(&r, MR_MSG_RELEASE, 1)->m.as.release.attempts[0], 5);
    finish(&r, 50, 1, "x");
    finish(&r, 50, 2, "y");
    assert_false(mr_link_drained(r.link));
    ack(&r, 60, 1, 0);
    ack(&r, 60, 2, 1);
    assert_true(mr_link_drained(r.link));
    mr_link_close(r.link, "drained");
    must(&r, MR_MSG_BYE);
    rig_free(&r);
}

static void broken_messages_end_the_session(void **state) {
    (void)state;
    rig r;
    open_session(&r);
    mr_link_message(r.link, 20, mr_span_of("\xc1\xc1\xc1"), (mr_span){0});
    assert_false(stats(&r).open);
    rig_free(&r);
    open_session(&r);
    give(&r, 20, item_of(1, mr_span_of("longer than the body")), mr_span_of("short"));
    assert_false(stats(&r).open);
    rig_free(&r);
}

static void a_full_queue_loses_nothing(void **state) {
    (void)state;
    rig r;
    open_session(&r);
    give(&r, 20, item_of(1, mr_span_of("a")), mr_span_of("a"));
    rig_forget(&r);
    r.full = true;
    finish(&r, 30, 1, "x");
    mr_link_tick(r.link, 100);
    r.full = false;
    mr_link_tick(r.link, 150);
    must(&r, MR_MSG_RESULT);
    rig_free(&r);
}

static void every_failing_allocation_is_survived(void **state) {
    (void)state;
    for (uint64_t n = 1; n < 60; n++) {
        rig r;
        rig_init(&r, n);
        if (r.link) {
            mr_link_tick(r.link, 0);
            tell(&r, 10, welcome(1), (mr_span){0});
            tell(&r, 10, step("count", 1), (mr_span){0});
            give(&r, 20, item_of(1, mr_span_of("a")), mr_span_of("a"));
            mr_slot_done done = {.attempt = 1};
            mr_buf body;
            mr_buf_init(&body, &r.mem.mem, 100);
            mr_link_done(r.link, 30, &done, &body);
            mr_link_tick(r.link, 40);
            mr_link_close(r.link, "done");
        }
        rig_free(&r);
    }
}

/* ---- compute processes ---- */

static mr_slots *open_slots(uint32_t count, uint32_t grace_ms) {
    mr_slots *slots;
    mr_error err;
    mr_slots_config config = {.program = "/proc/self/exe", .count = count, .grace_ms = grace_ms};
    if (mr_slots_new(&config, &slots, &err) != MR_OK) fail_msg("%s", err.text);
    return slots;
}

static void start_job(mr_slots *slots, uint64_t attempt, uint32_t component, uint32_t level, mr_span input,
                      uint32_t deadline_ms) {
    mr_slot_job job = {.attempt = attempt, .component = component, .level = level, .last = level || component != SUM,
                       .deadline_ms = deadline_ms, .input_len = input.len};
    mr_error err;
    mr_status status = mr_slots_start(slots, mr_clock_monotonic_ns(), &job, (mr_span){0}, input, &err);
    if (status != MR_OK) fail_msg("%s", err.text);
}

/* Waits for the next job to end. */
static mr_slot_done next_done(mr_slots *slots, mr_buf *body) {
    mr_slot_done done;
    mr_buf_init(body, NULL, 1 << 24);
    while (!mr_slots_next(slots, mr_clock_monotonic_ns(), &done, body)) {
        struct pollfd p = {.fd = mr_slots_fd(slots), .events = POLLIN};
        poll(&p, 1, 20);
    }
    return done;
}

static void expect_rows(mr_slots *slots, uint64_t attempt, int64_t rows) {
    mr_buf body;
    mr_slot_done done = next_done(slots, &body);
    if (done.status != MR_OK) fail_msg("%s", done.text);
    assert_int_equal(done.attempt, attempt);
    assert_int_equal(rows_of((mr_span){body.data, done.size}), rows);
    mr_buf_free(&body);
}

static void a_compute_process_gives_results_and_artifacts(void **state) {
    (void)state;
    mr_slots *slots = open_slots(1, 1000);
    mr_buf input = segment(5), body;
    start_job(slots, 1, COUNT, 0, mr_buf_span(&input), 30000);
    mr_slot_done done = next_done(slots, &body);
    assert_int_equal(done.status, MR_OK);
    assert_int_equal(done.artifact_count, 1);
    assert_string_equal(done.artifacts[0].name, "note");
    assert_int_equal(body.len, done.size + 9);
    assert_memory_equal(body.data + done.size, "two words", 9);
    mr_buf_free(&body);
    mr_buf_free(&input);
    mr_slots_free(&slots);
}

static void partials_are_made_and_merged(void **state) {
    (void)state;
    mr_slots *slots = open_slots(1, 1000);
    mr_buf input = segment(3), body, partials;
    mr_buf_init(&partials, NULL, 1000);
    mr_pack_array(&partials, 2);
    for (uint64_t a = 1; a <= 2; a++) {
        start_job(slots, a, SUM, 0, mr_buf_span(&input), 30000);
        mr_slot_done done = next_done(slots, &body);
        assert_int_equal(done.status, MR_OK);
        assert_true(done.partial);
        mr_pack_bin(&partials, mr_buf_span(&body));
        mr_buf_free(&body);
    }
    start_job(slots, 3, SUM, 1, mr_buf_span(&partials), 30000);
    expect_rows(slots, 3, 6);
    mr_buf_free(&partials);
    mr_buf_free(&input);
    mr_slots_free(&slots);
}

static void a_crash_costs_one_attempt_only(void **state) {
    (void)state;
    mr_slots *slots = open_slots(2, 1000);
    mr_buf input = segment(4), body;
    start_job(slots, 1, WAIT, 0, mr_buf_span(&input), 30000);
    start_job(slots, 2, CRASH, 0, mr_buf_span(&input), 30000);
    mr_slot_done done = next_done(slots, &body);
    assert_int_equal(done.attempt, 2);
    assert_int_equal(done.status, MR_E_CRASHED);
    assert_non_null(strstr(done.text, "signal 6"));
    mr_buf_free(&body);
    while (mr_slots_idle(slots) == 0) assert_false(mr_slots_next(slots, mr_clock_monotonic_ns(), &done, &body));
    start_job(slots, 3, COUNT, 0, mr_buf_span(&input), 30000);
    expect_rows(slots, 3, 4);
    assert_int_equal(mr_slots_busy(slots), 1); /* the first still waits */
    mr_slots_stop(slots, mr_clock_monotonic_ns(), 1, MR_E_CANCELLED);
    done = next_done(slots, &body);
    assert_int_equal(done.attempt, 1);
    assert_int_equal(done.status, MR_E_CANCELLED);
    mr_buf_free(&body);
    mr_buf_free(&input);
    mr_slots_free(&slots);
}

static void a_hang_ends_at_its_deadline(void **state) {
    (void)state;
    mr_slots *slots = open_slots(1, 50);
    mr_buf input = segment(4), body;
    start_job(slots, 1, HANG, 0, mr_buf_span(&input), 100);
    mr_slot_done done = next_done(slots, &body);
    assert_int_equal(done.status, MR_E_DEADLINE);
    mr_buf_free(&body);
    while (mr_slots_idle(slots) == 0) assert_false(mr_slots_next(slots, mr_clock_monotonic_ns(), &done, &body));
    start_job(slots, 2, HANG, 0, mr_buf_span(&input), 60000);
    mr_slots_stop(slots, mr_clock_monotonic_ns(), 2, MR_E_CANCELLED);
    done = next_done(slots, &body);
    assert_int_equal(done.status, MR_E_CANCELLED);
    mr_buf_free(&body);
    mr_buf_free(&input);
    mr_slots_free(&slots);
}

static void memory_overrun_and_broken_input_are_refused(void **state) {
    (void)state;
    mr_slots *slots = open_slots(1, 1000);
    mr_buf input = segment(4), body;
    start_job(slots, 1, DEVOUR, 0, mr_buf_span(&input), 30000);
    mr_slot_done done = next_done(slots, &body);
    assert_int_equal(done.status, MR_E_MEMORY);
    assert_non_null(strstr(done.text, "4 MiB"));
    mr_buf_free(&body);
    start_job(slots, 2, COUNT, 0, mr_span_of("no segment at all"), 30000);
    done = next_done(slots, &body);
    assert_int_equal(done.status, MR_E_CORRUPT);
    mr_buf_free(&body);
    start_job(slots, 3, COUNT, 0, (mr_span){0}, 30000);
    done = next_done(slots, &body);
    assert_int_equal(done.status, MR_E_CORRUPT);
    mr_buf_free(&body);
    mr_buf_free(&input);
    mr_slots_free(&slots);
}

/* ---- the whole worker against a broker of this test ---- */

typedef struct broker {
    mr_net *net;
    mr_socket *socket;
    mr_net_msg msg;
    mr_arena *arena;
    mr_wire m;
    uint8_t peer[MR_NET_IDENTITY];
    size_t peer_len;
} broker;

static void broker_say(broker *b, mr_wire m, mr_span body) {
    mr_buf envelope;
    mr_error err;
    mr_net_body out = {.data = body.data, .len = body.len};
    mr_buf_init(&envelope, NULL, MR_WIRE_ENVELOPE_MAX);
    assert_int_equal(mr_wire_encode(&envelope, &m), MR_OK);
    mr_status status = mr_net_send(b->socket, (mr_span){b->peer, b->peer_len}, mr_buf_span(&envelope),
                                   body.len ? &out : NULL, &err);
    assert_int_equal(status, MR_OK);
    mr_buf_free(&envelope);
}

/* Waits for the next message of that type; others are passed over, and heartbeats are answered. */
static void broker_wait(broker *b, mr_msg type) {
    mr_error err;
    for (int turns = 0; turns < 600; turns++) {
        bool got;
        mr_net_msg_free(&b->msg);
        assert_int_equal(mr_net_receive(b->socket, &b->msg, &got, &err), MR_OK);
        if (!got) {
            mr_poll_item item = {.socket = b->socket};
            if (mr_net_poll(&item, 1, 100, &err) == MR_OK) continue;
            continue;
        }
        mr_arena_reset(b->arena);
        if (mr_wire_decode(b->msg.envelope, b->arena, &b->m, &err) != MR_OK) fail_msg("%s", err.text);
        b->peer_len = b->msg.from.len;
        memcpy(b->peer, b->msg.from.data, b->peer_len);
        if (b->m.type == MR_MSG_HEARTBEAT) broker_say(b, (mr_wire){.type = MR_MSG_HEARTBEAT}, (mr_span){0});
        if (b->m.type == type) return;
    }
    fail_msg("no %s came", mr_msg_name((uint8_t)type));
}

static void broker_open(broker *b, const char *address) {
    mr_error err;
    *b = (broker){.arena = mr_arena_new(NULL, 1 << 24)};
    assert_int_equal(mr_net_new(NULL, &b->net, &err), MR_OK);
    if (mr_net_bind(b->net, MR_ROUTER, address, NULL, &b->socket, &err) != MR_OK) fail_msg("%s", err.text);
}

static void broker_close(broker *b) {
    mr_net_msg_free(&b->msg);
    mr_socket_close(&b->socket);
    mr_net_free(&b->net);
    mr_arena_free(&b->arena);
}

static pid_t start_worker(const char *address) {
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid) return pid;
    mr_worker_settings s = {.name = "test", .threads = 1, .credit = 2, .grace_s = 20, .held_max = 16, .input_max_mb = 64,
                            .log_level = MR_LOG_OFF};
    mr_error err;
    snprintf(s.broker, sizeof s.broker, "%s", address);
    mr_status status = mr_serve(&s, table, "/proc/self/exe", &err);
    if (status != MR_OK) fprintf(stderr, "the worker: %s\n", err.text);
    _exit(status == MR_OK ? 0 : 1);
}

static void hand_out(broker *b, uint64_t attempt, mr_span input) {
    mr_wire_work_item item = item_of(attempt, input);
    item.deadline_ms = 30000;
    broker_say(b, step("count", 1), (mr_span){0});
    broker_say(b, (mr_wire){.type = MR_MSG_WORK, .as.work = {.items = &item, .item_count = 1}}, input);
}

static void the_worker_computes_survives_a_new_broker_and_drains(void **state) {
    (void)state;
    char address[64];
    int wait_status;
    broker b;
    snprintf(address, sizeof address, "ipc:///tmp/millrace-test-link-%d", (int)getpid());
    pid_t worker = start_worker(address);
    mr_buf input = segment(6);

    broker_open(&b, address);
    broker_wait(&b, MR_MSG_HELLO);
    assert_int_equal(b.m.as.hello.offer_count, 6);
    assert_true(b.msg.body.len > 100);
    broker_say(&b, welcome(1), (mr_span){0});
    broker_wait(&b, MR_MSG_CREDIT);
    hand_out(&b, 1, mr_buf_span(&input));
    broker_wait(&b, MR_MSG_RESULT);
    assert_int_equal(b.m.as.result.items[0].status, MR_OK);
    assert_int_equal(rows_of((mr_span){b.msg.body.data, b.m.as.result.items[0].size}), 6);
    broker_close(&b); /* before the acknowledgement */

    broker_open(&b, address);
    broker_wait(&b, MR_MSG_HELLO);
    broker_say(&b, welcome(2), (mr_span){0});
    broker_wait(&b, MR_MSG_RESULT);
    assert_int_equal(b.m.as.result.items[0].attempt, 1);
    mr_wire_ack_item acked = {.attempt = 1};
    broker_say(&b, (mr_wire){.type = MR_MSG_ACK, .as.ack = {.items = &acked, .item_count = 1}}, (mr_span){0});
    hand_out(&b, 2, mr_buf_span(&input));
    broker_wait(&b, MR_MSG_RESULT);
    assert_int_equal(b.m.as.result.items[0].attempt, 2);
    kill(worker, SIGTERM);
    acked.attempt = 2;
    broker_say(&b, (mr_wire){.type = MR_MSG_ACK, .as.ack = {.items = &acked, .item_count = 1}}, (mr_span){0});
    broker_wait(&b, MR_MSG_BYE);
    assert_int_equal(waitpid(worker, &wait_status, 0), worker);
    assert_true(WIFEXITED(wait_status));
    assert_int_equal(WEXITSTATUS(wait_status), 0);
    broker_close(&b);
    mr_buf_free(&input);
    unlink(address + 6);
}

int main(int argc, char **argv) {
    if (argc > 1 && !strcmp(argv[1], "compute")) return mr_compute_main(table);
    mr_error err;
    if (mr_crypto_init(&err) != MR_OK) return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_session_opens_with_offers_and_credit),
        cmocka_unit_test(a_result_is_kept_and_sent_again_until_it_is_acknowledged),
        cmocka_unit_test(a_silent_broker_is_lost_and_results_go_to_the_next_session),
        cmocka_unit_test(pauses_grow_while_no_broker_answers),
        cmocka_unit_test(work_that_cannot_be_done_is_answered_at_once),
        cmocka_unit_test(large_inputs_are_fetched_in_pieces),
        cmocka_unit_test(work_that_comes_twice_is_done_once),
        cmocka_unit_test(no_more_work_is_asked_for_while_results_pile_up),
        cmocka_unit_test(cancelled_work_ends),
        cmocka_unit_test(draining_releases_what_has_not_started),
        cmocka_unit_test(broken_messages_end_the_session),
        cmocka_unit_test(a_full_queue_loses_nothing),
        cmocka_unit_test(every_failing_allocation_is_survived),
        cmocka_unit_test(a_compute_process_gives_results_and_artifacts),
        cmocka_unit_test(partials_are_made_and_merged),
        cmocka_unit_test(a_crash_costs_one_attempt_only),
        cmocka_unit_test(a_hang_ends_at_its_deadline),
        cmocka_unit_test(memory_overrun_and_broken_input_are_refused),
        cmocka_unit_test(the_worker_computes_survives_a_new_broker_and_drains),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
