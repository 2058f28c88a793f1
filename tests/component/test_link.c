/* The worker's side of the protocol, as a state machine: against a port that records what it does. */
#include "worker/core/link.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/* Nothing is computed here, so a name and a version are enough. */
static const mr_component counter = {.name = "count", .version = 1, .deadline_ms = 60000, .memory_mb = 4};
static const mr_component *const table[] = {&counter, NULL};

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

static mr_status rig_start(void *self, const mr_slot_job *job, mr_span options, mr_span input,
                           mr_error *err) {
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
    mr_link_port port = {
        .self = r, .send = rig_send, .reconnect = rig_reconnect, .start = rig_start, .stop = rig_stop};
    mr_link_config config = {.table = table,
                             .name = "test",
                             .catalogue = mr_span_of("[]"),
                             .slots = 2,
                             .prefetch = 2,
                             .held_max = 3,
                             .held_bytes_max = 1 << 20,
                             .input_max = 1 << 24,
                             .resend_ms = 5000,
                             .hello_ms = 3000,
                             .backoff_ms = 100,
                             .backoff_max_ms = 3000,
                             .seed = 1,
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
    return (mr_wire){.type = MR_MSG_WELCOME,
                     .as.welcome = {.session = session, .heartbeat_ms = 1000, .lost_after_ms = 4000}};
}

static mr_wire step(const char *component, uint32_t version) {
    return (mr_wire){
        .type = MR_MSG_STEP,
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
    return (mr_wire_work_item){.attempt = attempt,
                               .run = 7,
                               .index = (uint32_t)attempt,
                               .last = true,
                               .deadline_ms = 1000,
                               .inlined = true,
                               .size = input.len,
                               .hash = mr_hash_of(input)};
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
    mr_buf_free(&body);
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
    assert_int_equal(hello->m.as.hello.offer_count, 1);
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

/* A span is many attempts from here on; their results go together again. */
static void check_span(bool sums) {
    rig r;
    rig_init(&r, 0);
    r.slots = 8;
    mr_link_tick(r.link, 0);
    mr_wire hello = welcome(1);
    hello.as.welcome.span = 64;
    hello.as.welcome.sums = sums;
    tell(&r, 10, hello, (mr_span){0});
    tell(&r, 10, step("count", 1), (mr_span){0});
    assert_int_equal(must(&r, MR_MSG_HELLO)->m.as.hello.span, 64);
    const uint64_t sizes[3] = {1, 2, 3};
    mr_wire_work_item span = item_of(50, mr_span_of("abbccc"));
    span.count = span.size_count = 3;
    span.sizes = sizes;
    memset(&span.hash, 0, sizeof span.hash); /* inline inputs need none */
    give(&r, 20, span, mr_span_of("abbccc"));
    assert_int_equal(stats(&r).running, 3);
    assert_int_equal(r.job.attempt, 52);
    assert_int_equal(r.job.index, 52);
    assert_true(mr_span_eq(mr_buf_span(&r.input), mr_span_of("ccc")));
    rig_forget(&r);
    for (uint64_t a = 50; a < 53; a++) {
        mr_slot_done done = {.attempt = a, .size = 4, .compute_us = a};
        mr_buf body;
        mr_buf_init(&body, &r.mem.mem, 100);
        mr_buf_printf(&body, "r%llu!", (unsigned long long)a);
        mr_link_done(r.link, 30, &done, &body);
        mr_buf_free(&body);
    }
    mr_link_tick(r.link, 30);
    const sent *s = must(&r, MR_MSG_RESULT);
    assert_int_equal(s->m.as.result.item_count, 1);
    const mr_wire_result_item *item = &s->m.as.result.items[0];
    assert_true(item->attempt == 50 && item->index == 50 && item->count == 3 && item->size == 12);
    assert_true(item->sizes[2] == 4 && item->times[2] == 52);
    mr_hash hash = mr_hash_of(mr_span_of("r51!"));
    assert_int_equal(item->hashes.len, sums ? 0 : 96);
    assert_int_equal(item->sum_count, sums ? 3 : 0);
    if (sums) assert_true(item->sums[1] == mr_xxh64(mr_span_of("r51!"), 0));
    else assert_memory_equal(item->hashes.data + 32, hash.bytes, 32);
    assert_true(mr_span_eq(mr_buf_span(&s->body), mr_span_of("r50!r51!r52!")));
    mr_wire_ack_item some = {.attempt = 51, .verdict = 0, .count = 1000};
    tell(&r, 40, (mr_wire){.type = MR_MSG_ACK, .as.ack = {.items = &some, .item_count = 1}}, (mr_span){0});
    assert_int_equal(stats(&r).held, 1);
    ack(&r, 40, 50, 0);
    assert_int_equal(stats(&r).held, 0);
    rig_free(&r);
}

static void a_span_is_taken_apart_and_its_results_go_as_one(void **state) {
    (void)state;
    check_span(true);
    check_span(false); /* the broker wants their names */
}

static void results_of_quick_work_wait_a_moment_for_those_behind_them(void **state) {
    (void)state;
    rig r;
    uint64_t attempt = 1, now = 20;
    open_session(&r);
    r.slots = 100000;
    for (; attempt < 200; attempt++) { /* the pace is known to be quick */
        give(&r, now, item_of(attempt, mr_span_of("x")), mr_span_of("x"));
        finish(&r, now, attempt, "y");
        ack(&r, now++, attempt, 0);
        rig_forget(&r);
    }
    uint64_t first = attempt;
    for (; attempt < first + 20; attempt++) give(&r, now, item_of(attempt, mr_span_of("x")), mr_span_of("x"));
    rig_forget(&r);
    finish(&r, now, first, "y");
    finish(&r, now + 1, first + 1, "y");
    assert_null(find(&r, MR_MSG_RESULT, 0));
    mr_link_tick(r.link, now + 2);
    assert_non_null(find(&r, MR_MSG_RESULT, 1));
    for (uint64_t a = first + 2; a < first + 13; a++) finish(&r, now + 2, a, "y");
    rig_forget(&r);
    finish(&r, now + 2, first + 13, "y"); /* few are left */
    assert_non_null(find(&r, MR_MSG_RESULT, 0));
    rig_free(&r);
}

/* As long as work is quick, much of it is asked for; what then turns out to be slow goes back. */
static void credit_follows_the_pace_of_the_work(void **state) {
    (void)state;
    rig r;
    uint64_t attempt = 1, now = 20;
    open_session(&r);
    r.slots = 100000;
    for (; attempt < 400; attempt++) {
        give(&r, now, item_of(attempt, mr_span_of("x")), mr_span_of("x"));
        finish(&r, now, attempt, "r");
        ack(&r, now++, attempt, 0);
        rig_forget(&r);
    }
    assert_true(stats(&r).granted > 100);
    r.slots = r.busy = 1;
    uint64_t first = attempt;
    for (uint32_t i = 0; i < 100; i++, attempt++) give(&r, now, item_of(attempt, mr_span_of("x")), mr_span_of("x"));
    assert_null(find(&r, MR_MSG_RELEASE, 0));
    rig_forget(&r);
    r.busy = 0;
    mr_link_tick(r.link, now); /* the first one starts */
    mr_slot_done slow = {.attempt = first, .compute_us = 5000000};
    mr_link_done(r.link, now, &slow, NULL);
    mr_link_tick(r.link, now);
    const sent *s = must(&r, MR_MSG_RELEASE);
    assert_in_range(s->m.as.release.attempt_count, 80, 98); /* all that do not start, but for the credit of a slow worker */
    assert_int_equal(s->m.as.release.attempts[0], attempt - 1);
    rig_free(&r);
}

static uint32_t granted_after(rig *r, uint64_t *attempt, uint64_t took_us) {
    mr_slot_done done = {.attempt = *attempt, .compute_us = took_us};
    give(r, 20, item_of(*attempt, mr_span_of("x")), mr_span_of("x"));
    mr_link_done(r->link, 20, &done, NULL);
    mr_link_tick(r->link, 20);
    ack(r, 20, (*attempt)++, 0);
    rig_forget(r);
    return stats(r).granted;
}

/* On a machine with much to do, now and then an attempt waits for a processor. */
static void one_slow_attempt_among_quick_ones_does_not_shrink_the_credit(void **state) {
    (void)state;
    rig r;
    uint64_t attempt = 1;
    open_session(&r);
    r.slots = 100000;
    uint32_t many = 0;
    for (int i = 0; i < 400; i++) many = granted_after(&r, &attempt, 10);
    assert_true(many > 100);
    for (int i = 0; i < 50; i++) {
        granted_after(&r, &attempt, 8000);
        assert_in_range(granted_after(&r, &attempt, 10), many * 3 / 4, many + many / 4);
    }
    granted_after(&r, &attempt, 8000);
    granted_after(&r, &attempt, 8000);
    for (int i = 0; i < 1000 && stats(&r).granted > 20; i++) granted_after(&r, &attempt, 8000);
    assert_true(stats(&r).granted <= 20);
    rig_free(&r);
}

static void what_came_back_unbegun_is_released(void **state) {
    (void)state;
    rig r;
    open_session(&r);
    give(&r, 20, item_of(1, mr_span_of("a")), mr_span_of("a"));
    assert_int_equal(stats(&r).running, 1);
    mr_slot_done back = {.attempt = 1, .status = MR_E_FULL, .unbegun = 1, .compute_us = 60000};
    mr_buf body;
    mr_buf_init(&body, &r.mem.mem, 100);
    mr_link_done(r.link, 30, &back, &body);
    mr_buf_free(&body);
    mr_link_tick(r.link, 30);
    const sent *s = must(&r, MR_MSG_RELEASE);
    assert_int_equal(s->m.as.release.attempt_count, 1);
    assert_int_equal(s->m.as.release.attempts[0], 1);
    assert_null(find(&r, MR_MSG_RESULT, 0));
    assert_int_equal(stats(&r).items, 0);
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

/* The broker of the first link stays away; the second link's takes its results, when the first one counts as lost. */
static void results_for_a_broker_that_is_away_go_to_another(void **state) {
    (void)state;
    rig first, second;
    open_session(&first);
    open_session(&second);
    tell(&first, 15, step("count", 1), (mr_span){0});
    give(&first, 20, item_of(1, mr_span_of("a")), mr_span_of("a"));
    give(&first, 20, item_of(2, mr_span_of("b")), mr_span_of("b"));
    assert_true(mr_link_has(first.link, 1));
    assert_false(mr_link_has(second.link, 1));
    finish(&first, 30, 1, "one");
    mr_link_hand_on(first.link, second.link, 5000);
    assert_int_equal(stats(&first).held, 1); /* its session is open */
    mr_link_tick(first.link, 4100);
    finish(&first, 4200, 2, "two");
    assert_int_equal(stats(&first).held, 2);
    mr_link_hand_on(first.link, second.link, 8099);
    assert_int_equal(stats(&first).held, 2);
    size_t bytes = stats(&first).held_bytes;
    tell(&second, 8000, (mr_wire){.type = MR_MSG_HEARTBEAT}, (mr_span){0});
    rig_forget(&second);
    mr_link_hand_on(first.link, second.link, 8100);
    assert_int_equal(stats(&first).held, 0);
    assert_int_equal(stats(&first).held_bytes, 0);
    assert_int_equal(stats(&second).held, 2);
    assert_int_equal(stats(&second).held_bytes, bytes);
    mr_link_tick(second.link, 8100);
    const sent *one = find(&second, MR_MSG_RESULT, 0), *two = find(&second, MR_MSG_RESULT, 1);
    assert_true(one && two);
    assert_int_equal(one->m.as.result.items[0].attempt, 1);
    assert_int_equal(two->m.as.result.items[0].attempt, 2);
    mr_wire_ack_item acks[] = {{.attempt = 1, .verdict = 0}, {.attempt = 2, .verdict = 1}};
    tell(&second, 8200, (mr_wire){.type = MR_MSG_ACK, .as.ack = {.items = acks, .item_count = 2}}, (mr_span){0});
    assert_int_equal(stats(&second).held, 0);
    mr_link_hand_on(first.link, first.link, 9000); /* to itself: nothing */
    mr_link_free(&first.link);
    mr_link_free(&second.link);
    second.mem.live += first.mem.live; /* what moved was the first one's */
    first.mem.live = 0;
    rig_free(&first);
    rig_free(&second);
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
    } rows[] = {{"count", "abc", 2, 7, MR_E_CONFLICT},
                {"nobody", "abc", 1, 7, MR_E_NOT_FOUND},
                {"count", "abc", 1, 8, MR_E_NOT_FOUND},
                {"count", "abd", 1, 7, MR_E_CORRUPT}};
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
    assert_int_equal(must(&r, MR_MSG_CREDIT)->m.as.credit.amount,
                     1); /* three of the four were granted before */
    rig_free(&r);
}

static void cancelled_work_ends(void **state) {
    (void)state;
    rig r;
    open_session(&r);
    for (uint64_t a = 1; a <= 3; a++) give(&r, 20, item_of(a, mr_span_of("a")), mr_span_of("a"));
    uint64_t attempts[] = {1, 3, 77};
    tell(&r, 30, (mr_wire){.type = MR_MSG_CANCEL, .as.cancel = {.attempts = attempts, .attempt_count = 3}},
         (mr_span){0});
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
            mr_buf_free(&body);
            mr_link_tick(r.link, 40);
            mr_link_close(r.link, "done");
        }
        rig_free(&r);
    }
}

int main(void) {
    mr_error err;
    if (mr_crypto_init(&err) != MR_OK) return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_session_opens_with_offers_and_credit),
        cmocka_unit_test(a_result_is_kept_and_sent_again_until_it_is_acknowledged),
        cmocka_unit_test(a_span_is_taken_apart_and_its_results_go_as_one),
        cmocka_unit_test(results_of_quick_work_wait_a_moment_for_those_behind_them),
        cmocka_unit_test(credit_follows_the_pace_of_the_work),
        cmocka_unit_test(one_slow_attempt_among_quick_ones_does_not_shrink_the_credit),
        cmocka_unit_test(what_came_back_unbegun_is_released),
        cmocka_unit_test(a_silent_broker_is_lost_and_results_go_to_the_next_session),
        cmocka_unit_test(results_for_a_broker_that_is_away_go_to_another),
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
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
