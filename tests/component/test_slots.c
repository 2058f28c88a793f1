/* Compute processes that crash, hang and are cancelled; then the whole worker process against a broker made here.
 * This program is its own compute process: the pool starts it as `/proc/self/exe compute`. */
#include "common/clock.h"
#include "common/net.h"
#include "common/pack.h"
#include "proto/gen/wire.h"
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
    if (partials->last)
        mr_out_integer(out, "rows", sum);
    else
        mr_out_partial(out, &sum, sizeof sum);
    return MR_OK;
}

static mr_status crash(mr_ctx *ctx, const void *config, const mr_batch *batch, mr_out *out) {
    (void)ctx;
    (void)config;
    (void)batch;
    (void)out;
    fprintf(stderr, "caf\xc3\xa9, a broken \xc3 and a bell \a\nthe heap is on fire\n");
    abort();
}

/* Quick and without artifacts: many of them go through the box at a time. */
static mr_status say_rows(mr_ctx *ctx, const void *config, const mr_batch *batch, mr_out *out) {
    (void)ctx;
    (void)config;
    mr_out_integer(out, "rows", batch->rows);
    return MR_OK;
}

static mr_status crash_at_seven(mr_ctx *ctx, const void *config, const mr_batch *batch, mr_out *out) {
    if (batch->rows == 7) {
        for (int i = 0; i < 200; i++) fprintf(stderr, "line %d of its last words\n", i);
        abort();
    }
    mr_ctx_log(ctx, "counted", "%u rows", batch->rows);
    while (batch->rows == 6) MR_TRY(mr_tick(ctx)); /* until it is stopped */
    if (batch->rows == 8) return mr_refuse(ctx, MR_E_INVALID, "eight is too many");
    return say_rows(ctx, config, batch, out);
}

static mr_status hang(mr_ctx *ctx, const void *config, const mr_batch *batch, mr_out *out) {
    (void)ctx;
    (void)config;
    (void)batch;
    (void)out;
    volatile bool forever = true;
    while (forever) {
    }
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
    while (mr_ctx_alloc(ctx, 1, 1 << 16)) {
    }
    return MR_E_MEMORY;
}

static const mr_field row_outputs[] = {{"rows", MR_FIELD_INTEGER, "rows", "rows seen", MR_FOLD_SUM}, {0}};

#define COMPONENT(id, nature, ...)                                                                           \
    static const mr_component component_##id = {.name = #id,                                                 \
                                                .summary = "of the test",                                    \
                                                .kind = MR_ANALYZER,                                         \
                                                .shape = nature,                                             \
                                                .tier = 4,                                                   \
                                                .version = 1,                                                \
                                                .columns_wanted = MR_COL_FEATURES,                           \
                                                .outputs = row_outputs,                                      \
                                                .deadline_ms = 60000,                                        \
                                                .memory_mb = 4,                                              \
                                                __VA_ARGS__}
COMPONENT(count, MR_MAP, .process = count_rows);
COMPONENT(sum, MR_MERGE, .process = give_rows, .merge = add_rows);
COMPONENT(crash, MR_MAP, .process = crash);
COMPONENT(hang, MR_MAP, .process = hang);
COMPONENT(wait, MR_MAP, .process = wait_for_stop);
COMPONENT(devour, MR_MAP, .process = devour);
COMPONENT(plain, MR_MAP, .process = say_rows);
COMPONENT(fussy, MR_MAP, .process = crash_at_seven);
enum { COUNT, SUM, CRASH, HANG, WAIT, DEVOUR, PLAIN, FUSSY };
static const mr_component *const table[] = {&component_count,
                                            &component_sum,
                                            &component_crash,
                                            &component_hang,
                                            &component_wait,
                                            &component_devour,
                                            &component_plain,
                                            &component_fussy,
                                            NULL};

/* A segment of `rows` rows with one feature. */
static mr_buf segment(uint32_t rows) {
    static const double x[8] = {1, 2, 3, 4, 5, 6, 7, 8};
    static const char *const names[] = {"x"};
    mr_batch batch = {
        .rows = rows, .columns = MR_COL_FEATURES, .width = 1, .features = x, .feature_names = names};
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

/* ---- compute processes ---- */

static mr_slots *open_late_slots(uint32_t count, uint32_t grace_ms, uint32_t late_ms) {
    mr_slots *slots;
    mr_error err;
    mr_slots_config config = {.program = "/proc/self/exe", .count = count, .grace_ms = grace_ms, .late_ms = late_ms};
    if (mr_slots_new(&config, &slots, &err) != MR_OK) fail_msg("%s", err.text);
    return slots;
}

static mr_slots *open_slots(uint32_t count, uint32_t grace_ms) { return open_late_slots(count, grace_ms, 600000); }

static void start_job(mr_slots *slots, uint64_t attempt, uint32_t component, uint32_t level, mr_span input,
                      uint32_t deadline_ms) {
    mr_slot_job job = {.attempt = attempt,
                       .component = component,
                       .level = level,
                       .last = level || component != SUM,
                       .deadline_ms = deadline_ms,
                       .input_len = input.len};
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
    assert_string_equal(done.log, "caf\xc3\xa9, a broken ? and a bell ?\nthe heap is on fire");
    mr_buf_free(&body);
    while (mr_slots_idle(slots) == 0)
        assert_false(mr_slots_next(slots, mr_clock_monotonic_ns(), &done, &body));
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

static bool offer_job(mr_slots *slots, uint64_t attempt, uint32_t component, mr_span input, uint32_t deadline_ms) {
    mr_slot_job job = {.attempt = attempt, .component = component, .last = 1, .deadline_ms = deadline_ms,
                       .input_len = input.len};
    mr_error err;
    mr_status status = mr_slots_start(slots, mr_clock_monotonic_ns(), &job, (mr_span){0}, input, &err);
    assert_true(status == MR_OK || status == MR_E_FULL);
    return status == MR_OK;
}

/* How long jobs take is learned from one that runs alone; then as many as fit into a few milliseconds go in. */
static void get_to_know(mr_slots *slots, uint32_t component, mr_span input) {
    mr_buf body;
    for (uint64_t i = 0; i < 60; i++) {
        assert_true(offer_job(slots, 1000000 + i, component, input, 30000));
        assert_int_equal(next_done(slots, &body).status, MR_OK);
        mr_buf_free(&body);
    }
}

static void quick_jobs_queue_up_and_come_back_in_their_order(void **state) {
    (void)state;
    enum { JOBS = 3000 };
    mr_slots *slots = open_slots(1, 1000);
    mr_buf input[9], body;
    for (uint32_t i = 1; i <= 8; i++) input[i] = segment(i);
    get_to_know(slots, PLAIN, mr_buf_span(&input[1]));
    uint32_t given = 0, taken = 0, most = 0;
    while (taken < JOBS) {
        while (given < JOBS && offer_job(slots, given, PLAIN, mr_buf_span(&input[given % 8 + 1]), 30000)) given++;
        if (given - taken > most) most = given - taken;
        mr_slot_done done = next_done(slots, &body);
        assert_int_equal(done.status, MR_OK);
        assert_int_equal(done.attempt, taken);
        assert_int_equal(rows_of(mr_buf_span(&body)), taken % 8 + 1);
        mr_buf_free(&body);
        taken++;
    }
    assert_true(most > 4);
    for (uint32_t i = 1; i <= 8; i++) mr_buf_free(&input[i]);
    mr_slots_free(&slots);
}

/* Whole lines up to that number. */
static void expect_last_lines(const char *log, int last) {
    char line[64];
    snprintf(line, sizeof line, "line %d of its last words", last);
    assert_true(strlen(log) > 900);
    assert_string_equal(log + strlen(log) - strlen(line), line);
    assert_memory_equal(log, "line ", 5);
}

static void a_crash_in_the_middle_of_a_queue_costs_that_attempt_alone(void **state) {
    (void)state;
    mr_slots *slots = open_slots(1, 1000);
    mr_buf small = segment(2), deadly = segment(7), wrong = segment(8), body;
    get_to_know(slots, FUSSY, mr_buf_span(&small));
    uint32_t given = 0, taken = 0;
    while (taken < 40) {
        while (given < 40) {
            mr_span input = mr_buf_span(given == 11 || given == 25 ? &deadly : given == 13 ? &wrong : &small);
            if (!offer_job(slots, given, FUSSY, input, 30000)) break;
            given++;
        }
        mr_slot_done done = next_done(slots, &body);
        mr_status want = taken == 11 || taken == 25 ? MR_E_CRASHED : taken == 13 ? MR_E_INVALID : MR_OK;
        assert_int_equal(done.attempt, taken);
        assert_int_equal(done.status, want);
        if (want == MR_OK) assert_int_equal(rows_of(mr_buf_span(&body)), 2);
        if (want == MR_E_INVALID) assert_string_equal(done.text, "eight is too many");
        if (want == MR_E_CRASHED) expect_last_lines(done.log, 199);
        else assert_string_equal(done.log, want == MR_OK ? "" : "counted: 8 rows");
        mr_buf_free(&body);
        taken++;
    }
    mr_buf_free(&small);
    mr_buf_free(&deadly);
    mr_buf_free(&wrong);
    mr_slots_free(&slots);
}

/* Nobody waits behind a job that takes longer than all before it. */
static void jobs_behind_a_slow_one_come_back_unbegun(void **state) {
    (void)state;
    mr_slots *slots = open_late_slots(1, 1000, 100);
    mr_buf small = segment(2), slow = segment(6), body;
    get_to_know(slots, FUSSY, mr_buf_span(&small));
    assert_true(offer_job(slots, 1, FUSSY, mr_buf_span(&slow), 30000)); /* until it is stopped */
    uint32_t behind = 0;
    while (behind < 20 && offer_job(slots, 2 + behind, FUSSY, mr_buf_span(&small), 30000)) behind++;
    assert_true(behind > 0);
    bool seen[32] = {false};
    for (uint32_t i = 0; i < behind; i++) {
        mr_slot_done done = next_done(slots, &body);
        assert_true(done.unbegun);
        assert_true(done.attempt >= 2 && done.attempt < 2 + behind && !seen[done.attempt]);
        assert_true(done.compute_us > 10000);
        seen[done.attempt] = true;
        mr_buf_free(&body);
    }
    assert_false(offer_job(slots, 50, FUSSY, mr_buf_span(&small), 30000));
    mr_slots_stop(slots, mr_clock_monotonic_ns(), 1, MR_E_CANCELLED);
    mr_slot_done done = next_done(slots, &body);
    assert_true(done.attempt == 1 && done.status == MR_E_CANCELLED);
    mr_buf_free(&body);
    assert_true(offer_job(slots, 51, FUSSY, mr_buf_span(&small), 30000)); /* the box is open again */
    expect_rows(slots, 51, 2);
    mr_buf_free(&small);
    mr_buf_free(&slow);
    mr_slots_free(&slots);
}

static void a_queued_job_that_is_cancelled_does_not_begin(void **state) {
    (void)state;
    mr_slots *slots = open_slots(1, 1000);
    mr_buf input = segment(2), body;
    get_to_know(slots, PLAIN, mr_buf_span(&input));
    start_job(slots, 1, WAIT, 0, mr_buf_span(&input), 30000);
    assert_false(offer_job(slots, 2, PLAIN, mr_buf_span(&input), 30000)); /* nobody knows how long that one takes */
    mr_slots_stop(slots, mr_clock_monotonic_ns(), 1, MR_E_CANCELLED);
    assert_int_equal(next_done(slots, &body).status, MR_E_CANCELLED);
    mr_buf_free(&body);
    for (uint64_t i = 10; i < 14; i++) assert_true(offer_job(slots, i, PLAIN, mr_buf_span(&input), 30000));
    mr_slots_stop(slots, mr_clock_monotonic_ns(), 13, MR_E_CANCELLED);
    for (uint64_t i = 10; i < 14; i++) {
        mr_slot_done done = next_done(slots, &body);
        assert_int_equal(done.attempt, i);
        assert_true(done.status == MR_OK || (i == 13 && done.status == MR_E_CANCELLED));
        mr_buf_free(&body);
    }
    mr_buf_free(&input);
    mr_slots_free(&slots);
}

static void an_input_that_is_too_large_for_the_box_goes_beside_it(void **state) {
    (void)state;
    mr_slots *slots = open_slots(1, 1000);
    mr_buf part = segment(3), partials, body;
    mr_buf_init(&partials, NULL, (size_t)64 << 20);
    enum { PARTS = 30, PART_BYTES = MR_BOX_INPUT / 100 }; /* together more than a quarter of the box */
    uint32_t rows = 5;
    uint8_t *padded = mr_new(NULL, PART_BYTES, 1);
    assert_non_null(padded);
    memcpy(padded, &rows, sizeof rows);
    mr_pack_array(&partials, PARTS);
    for (int i = 0; i < PARTS; i++) mr_pack_bin(&partials, (mr_span){padded, PART_BYTES});
    mr_free(NULL, padded, PART_BYTES, 1);
    for (uint64_t i = 0; i < 6; i++) {
        if (i % 2) start_job(slots, i, PLAIN, 0, mr_buf_span(&part), 30000);
        else start_job(slots, i, SUM, 1, mr_buf_span(&partials), 30000);
        mr_slot_done done = next_done(slots, &body);
        assert_int_equal(done.status, MR_OK);
        assert_int_equal(rows_of((mr_span){body.data, done.size}), i % 2 ? 3 : 5 * PARTS);
        mr_buf_free(&body);
    }
    mr_buf_free(&part);
    mr_buf_free(&partials);
    mr_slots_free(&slots);
}

/* ---- places in a box ---- */

static void places_in_a_box_never_overlap(void **state) {
    (void)state;
    enum { ROOM = 1024, LIVE = 64 };
    uint32_t put = 0, at[LIVE], size[LIVE], first = 0, count = 0, placed = 0;
    for (uint32_t n = 0; n < 20000; n++) {
        uint32_t want = (n * 7919) % 300, where;
        if (count < LIVE && mr_box_place(ROOM, count ? at[first % LIVE] : 0, count == 0, want, &put, &where)) {
            assert_true(where + want <= ROOM);
            for (uint32_t i = 0; i < count; i++) {
                uint32_t k = (first + i) % LIVE;
                assert_true(!want || !size[k] || where + want <= at[k] || at[k] + size[k] <= where);
            }
            at[(first + count) % LIVE] = where;
            size[(first + count) % LIVE] = want;
            count++;
            placed++;
        } else {
            assert_true(count > 0); /* an empty box takes all that is smaller than itself */
            first++;
            count--;
        }
        if (n % 3 == 0 && count) first++, count--;
    }
    assert_true(placed > 5000);
}

static void a_hang_ends_at_its_deadline(void **state) {
    (void)state;
    mr_slots *slots = open_slots(1, 50);
    mr_buf input = segment(4), body;
    start_job(slots, 1, HANG, 0, mr_buf_span(&input), 100);
    mr_slot_done done = next_done(slots, &body);
    assert_int_equal(done.status, MR_E_DEADLINE);
    mr_buf_free(&body);
    while (mr_slots_idle(slots) == 0)
        assert_false(mr_slots_next(slots, mr_clock_monotonic_ns(), &done, &body));
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

static mr_wire welcome(uint64_t session) {
    return (mr_wire){.type = MR_MSG_WELCOME,
                     .as.welcome = {.session = session, .heartbeat_ms = 1000, .lost_after_ms = 4000}};
}

static mr_wire step(const char *component, uint32_t version) {
    return (mr_wire){
        .type = MR_MSG_STEP,
        .as.step = {.run = 7, .step = 0, .component = mr_span_of(component), .version = version, .seed = 42}};
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

typedef struct broker {
    mr_net *net;
    mr_socket *socket;
    mr_net_msg msg;
    mr_arena *arena;
    mr_wire m;
    uint8_t peer[MR_NET_IDENTITY];
    size_t peer_len;
    bool welcomed; /* heartbeats of an unknown session are not answered */
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
    for (int turns = 0; turns < 300; turns++) {
        bool got;
        mr_net_msg_free(&b->msg);
        assert_int_equal(mr_net_receive(b->socket, &b->msg, &got, &err), MR_OK);
        if (!got) {
            mr_poll_item item = {.socket = b->socket};
            if (mr_net_poll(&item, 1, 100, &err) != MR_OK) fail_msg("%s", err.text);
            continue;
        }
        mr_arena_reset(b->arena);
        if (mr_wire_decode(b->msg.envelope, b->arena, &b->m, &err) != MR_OK) fail_msg("%s", err.text);
        b->peer_len = b->msg.from.len;
        memcpy(b->peer, b->msg.from.data, b->peer_len);
        if (b->m.type == MR_MSG_HEARTBEAT && b->welcomed)
            broker_say(b, (mr_wire){.type = MR_MSG_HEARTBEAT}, (mr_span){0});
        if (b->m.type == type) return;
    }
    fail_msg("no %s came", mr_msg_name((uint8_t)type));
}

static void broker_welcome(broker *b, uint64_t session) {
    mr_wire m = welcome(session);
    m.as.welcome.heartbeat_ms = 100;
    m.as.welcome.lost_after_ms = 1000;
    broker_say(b, m, (mr_span){0});
    b->welcomed = true;
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
    mr_worker_settings s = {.name = "test",
                            .threads = 1,
                            .credit = 2,
                            .grace_s = 20,
                            .held_max = 16,
                            .input_max_mb = 64,
                            .wake_us = -1,
                            .log_level = MR_LOG_OFF};
    mr_error err;
    snprintf(s.broker.items[0], sizeof s.broker.items[0], "%s", address);
    s.broker.count = 1;
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
    assert_int_equal(b.m.as.hello.offer_count, 8);
    assert_true(b.msg.body.len > 100);
    broker_welcome(&b, 1);
    broker_wait(&b, MR_MSG_CREDIT);
    hand_out(&b, 1, mr_buf_span(&input));
    broker_wait(&b, MR_MSG_RESULT);
    assert_int_equal(b.m.as.result.items[0].status, MR_OK);
    assert_int_equal(rows_of((mr_span){b.msg.body.data, b.m.as.result.items[0].size}), 6);
    broker_close(&b); /* before the acknowledgement */

    broker_open(&b, address);
    broker_wait(&b, MR_MSG_HELLO);
    broker_welcome(&b, 2);
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
    if (argc > 1 && !strcmp(argv[1], "compute")) return mr_compute_main(table, argc, argv);
    mr_error err;
    if (mr_crypto_init(&err) != MR_OK) return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_compute_process_gives_results_and_artifacts),
        cmocka_unit_test(partials_are_made_and_merged),
        cmocka_unit_test(a_crash_costs_one_attempt_only),
        cmocka_unit_test(quick_jobs_queue_up_and_come_back_in_their_order),
        cmocka_unit_test(a_crash_in_the_middle_of_a_queue_costs_that_attempt_alone),
        cmocka_unit_test(jobs_behind_a_slow_one_come_back_unbegun),
        cmocka_unit_test(a_queued_job_that_is_cancelled_does_not_begin),
        cmocka_unit_test(an_input_that_is_too_large_for_the_box_goes_beside_it),
        cmocka_unit_test(places_in_a_box_never_overlap),
        cmocka_unit_test(a_hang_ends_at_its_deadline),
        cmocka_unit_test(memory_overrun_and_broken_input_are_refused),
        cmocka_unit_test(the_worker_computes_survives_a_new_broker_and_drains),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
