#include "broker/cli/producer.h"

#include <poll.h>
#include <string.h>

enum { WINDOW = 32, WINDOW_MAX = 1024, RETRY_MS = 60000, PAUSE_MS = 20, BEFORE_MAX = 1 << 26 };

/* One packet; it stays here until it is answered. */
typedef struct slot {
    mr_packet_writer packet;
    uint32_t call;
    bool answered; /* though one before it is not */
    uint64_t first;
    uint32_t tasks;
    bool existed;
} slot;

struct mr_producer {
    const mr_producer_options *options;
    mr_client *client;
    const char *broker;     /* of the addresses in options, from the one that is tried first on */
    slot *slots;            /* a ring of `window`: packet n is in slot n % window */
    unsigned window;
    uint64_t producer;
    uint64_t first, next;   /* packets under way: first .. next - 1; packet `next` is being gathered */
    uint64_t tried_ms;      /* since when one is sent again and again; 0: none is */
    mr_buf before;          /* with `wait`: first and number of tasks that were stored before, whose results must be asked for */
};

typedef struct place {
    uint64_t first;
    uint32_t tasks;
} place;

static slot *slot_of(mr_producer *p, uint64_t packet) { return &p->slots[packet % p->window]; }

/* From p->broker on, and then those before it. */
static mr_status open_client(mr_producer *p, mr_error *err) {
    const mr_globals *g = p->options->globals;
    mr_status s = mr_client_open_with(g, p->broker, (unsigned)g->timeout_ms, &p->client, err);
    if (s != MR_E_UNAVAILABLE || p->broker == g->broker) return s;
    p->broker = g->broker;
    return mr_client_open_with(g, p->broker, (unsigned)g->timeout_ms, &p->client, err);
}

static void turn_to_next(mr_producer *p) {
    const char *comma = strchr(p->broker, ',');
    p->broker = comma ? comma + 1 : p->options->globals->broker;
}

mr_status mr_producer_open(const mr_producer_options *options, mr_producer **out, mr_error *err) {
    mr_producer *p = mr_new(NULL, 1, sizeof *p);
    unsigned window = options->window ? options->window : WINDOW;
    if (window > WINDOW_MAX) window = WINDOW_MAX;
    slot *slots = p ? mr_new(NULL, window + 1, sizeof *slots) : NULL; /* one more, which is being gathered */
    if (!slots) {
        mr_free(NULL, p, 1, sizeof *p);
        return mr_fail(err, MR_E_MEMORY, "out of memory");
    }
    *p = (mr_producer){.options = options, .slots = slots, .window = window + 1, .producer = options->producer};
    for (unsigned i = 0; i < p->window; i++) mr_packet_writer_init(&slots[i].packet, NULL);
    mr_buf_init(&p->before, NULL, BEFORE_MAX);
    if (!p->producer) mr_random_bytes(&p->producer, sizeof p->producer);
    p->producer &= INT64_MAX;
    p->broker = options->globals->broker;
    mr_status s = open_client(p, err);
    if (s == MR_OK) *out = p;
    else mr_producer_close(&p);
    return s;
}

void mr_producer_close(mr_producer **at) {
    mr_producer *p = *at;
    if (!p) return;
    mr_client_close(&p->client); /* before the packets: they may be on their way */
    for (unsigned i = 0; i < p->window; i++) mr_packet_writer_free(&p->slots[i].packet);
    mr_buf_free(&p->before);
    mr_free(NULL, p->slots, p->window, sizeof *p->slots);
    mr_free(NULL, p, 1, sizeof *p);
    *at = NULL;
}

/* ---- sending ---- */

static mr_status send_packet(mr_producer *p, uint64_t packet, mr_error *err) {
    slot *s = slot_of(p, packet);
    mr_params args;
    mr_params_init(&args);
    mr_params_u64(&args, "run", p->options->run);
    mr_params_u64(&args, "producer", p->producer);
    mr_params_u64(&args, "packet", packet);
    if (p->options->wait) mr_params_bool(&args, "wait", true);
    mr_status status = mr_client_send(p->client, MR_CMD_SUBMIT, mr_params_span(&args), mr_buf_span(&s->packet.bytes), &s->call, err);
    mr_params_free(&args);
    return status;
}

/* What was not answered, in order. */
static mr_status send_again(mr_producer *p, mr_error *err) {
    for (uint64_t n = p->first; n < p->next; n++)
        if (!slot_of(p, n)->answered) MR_TRY(send_packet(p, n, err));
    return MR_OK;
}

static mr_status pause(mr_producer *p, mr_error *err) {
    if (p->options->stop ? !mr_stop_wait(p->options->stop, PAUSE_MS) : !poll(NULL, 0, PAUSE_MS)) return MR_OK;
    return mr_fail(err, MR_E_INTERRUPTED, "interrupted");
}

/* True while it is worth another try; begins to count at the first. */
static bool in_time(mr_producer *p) {
    if (!p->tried_ms) p->tried_ms = mr_now_ms();
    return mr_now_ms() - p->tried_ms < RETRY_MS;
}

/* The broker went away, was started again, or has no share of the stream now. */
static mr_status connect_again(mr_producer *p, mr_error *err) {
    mr_status s;
    do {
        mr_client_close(&p->client);
        MR_TRY(pause(p, err));
        s = open_client(p, err);
    } while (s == MR_E_UNAVAILABLE && in_time(p));
    return s == MR_OK ? send_again(p, err) : s;
}

/* ---- answers ---- */

static mr_status read_result(mr_unpack *u, mr_task_result *out, mr_error *err) {
    uint32_t four;
    uint64_t status;
    MR_TRY(mr_unpack_array(u, 4, &four, err));
    if (four != 4) return mr_fail(err, MR_E_PROTOCOL, "the broker tells a result in a form that is not known");
    MR_TRY(mr_unpack_u64(u, UINT64_MAX, &out->task, err));
    MR_TRY(mr_unpack_u64(u, UINT16_MAX, &status, err));
    MR_TRY(mr_unpack_str(u, SIZE_MAX, &out->text, err));
    out->status = mr_status_of((int)status)->status;
    return mr_unpack_bin(u, SIZE_MAX, &out->body, err);
}

static mr_status read_results(mr_producer *p, const mr_unpack *map, mr_error *err) {
    mr_unpack u;
    uint32_t n = 0;
    if (!p->options->done || mr_unpack_find(map, "results", &u) != MR_OK) return MR_OK;
    MR_TRY(mr_unpack_array(&u, MR_PACKET_TASKS, &n, err));
    for (uint32_t i = 0; i < n; i++) {
        mr_task_result r;
        MR_TRY(read_result(&u, &r, err));
        p->options->done(p->options->self, &r);
    }
    return MR_OK;
}

static mr_status read_place(const mr_unpack *map, slot *s, mr_error *err) {
    mr_unpack u;
    uint64_t tasks;
    if (mr_unpack_find(map, "first", &u) != MR_OK) return mr_fail(err, MR_E_PROTOCOL, "the broker does not tell where the tasks are");
    MR_TRY(mr_unpack_u64(&u, INT64_MAX, &s->first, err));
    if (mr_unpack_find(map, "tasks", &u) != MR_OK) return mr_fail(err, MR_E_PROTOCOL, "the broker does not tell how many tasks it took");
    MR_TRY(mr_unpack_u64(&u, MR_PACKET_TASKS, &tasks, err));
    s->tasks = (uint32_t)tasks;
    if (mr_unpack_find(map, "existed", &u) == MR_OK) MR_TRY(mr_unpack_bool(&u, &s->existed, err));
    if (s->tasks == s->packet.count) return MR_OK;
    return mr_fail(err, MR_E_EXISTS, "this producer sent other tasks before: %u in a packet that now has %u; take another key",
                   s->tasks, s->packet.count);
}

static mr_status taken(mr_producer *p, slot *s, mr_span body, mr_error *err) {
    mr_unpack map;
    mr_unpack_init(&map, body);
    MR_TRY(read_place(&map, s, err));
    s->answered = true;
    p->tried_ms = 0;
    if (s->existed && p->options->wait) mr_buf_put(&p->before, &(place){s->first, s->tasks}, sizeof(place));
    if (mr_buf_status(&p->before) != MR_OK) return mr_fail(err, MR_E_MEMORY, "too many tasks were there before to ask for each");
    MR_TRY(read_results(p, &map, err));
    for (; p->first < p->next && slot_of(p, p->first)->answered; p->first++) {
        const slot *done = slot_of(p, p->first);
        if (p->options->accepted) p->options->accepted(p->options->self, done->first, done->tasks, done->existed);
    }
    return MR_OK;
}

static slot *called(mr_producer *p, uint32_t call) {
    for (uint64_t n = p->first; n < p->next; n++)
        if (slot_of(p, n)->call == call && !slot_of(p, n)->answered) return slot_of(p, n);
    return NULL; /* an answer to one that was sent again since */
}

static mr_status wait_for_one(mr_producer *p, mr_error *err) {
    mr_client_reply reply;
    mr_stop *stop = p->options->stop;
    unsigned timeout_ms = p->options->wait ? INT32_MAX : (unsigned)p->options->globals->timeout_ms;
    mr_status s = mr_client_wait(p->client, timeout_ms, stop && !stop->asked ? stop->fd : -1, &reply, err);
    if (s == MR_E_UNAVAILABLE) return connect_again(p, err);
    if (s == MR_E_INTERRUPTED && stop) mr_stop_asked(stop);
    MR_TRY(s);
    slot *at = called(p, reply.call);
    if (!at) return MR_OK;
    if (reply.status == MR_OK) return taken(p, at, reply.body, err);
    if (!mr_status_of((int)reply.status)->retryable || !in_time(p)) return mr_fail(err, reply.status, "%s", reply.text);
    if (reply.status == MR_E_UNAVAILABLE && strchr(p->options->globals->broker, ',')) { /* another one has the stream */
        turn_to_next(p);
        return connect_again(p, err);
    }
    MR_TRY(pause(p, err));
    return send_again(p, err);
}

/* ---- tasks ---- */

mr_status mr_producer_flush(mr_producer *p, mr_error *err) {
    slot *s = slot_of(p, p->next);
    if (!s->packet.count) return MR_OK;
    MR_TRY(mr_packet_finish(&s->packet, err));
    s->answered = false;
    MR_TRY(send_packet(p, p->next, err));
    p->next++;
    while (p->next - p->first == p->window) MR_TRY(wait_for_one(p, err));
    mr_packet_clear(&slot_of(p, p->next)->packet);
    return MR_OK;
}

mr_status mr_producer_body(mr_producer *p, size_t size, mr_buf **body, mr_error *err) {
    if (mr_packet_full(&slot_of(p, p->next)->packet, size)) MR_TRY(mr_producer_flush(p, err));
    *body = mr_packet_body(&slot_of(p, p->next)->packet);
    return MR_OK;
}

mr_status mr_producer_add(mr_producer *p, mr_span id, mr_error *err) {
    MR_TRY(mr_packet_add(&slot_of(p, p->next)->packet, id, err));
    return p->options->single ? mr_producer_flush(p, err) : MR_OK;
}

/* ---- tasks that were there before ---- */

static mr_span text_member(const mr_unpack *map, const char *name) {
    mr_unpack u;
    mr_span v;
    return mr_unpack_find(map, name, &u) == MR_OK && mr_unpack_str(&u, SIZE_MAX, &v, NULL) == MR_OK ? v : (mr_span){0};
}

static mr_status ask_for_task(mr_producer *p, uint64_t task, bool *waiting, mr_error *err) {
    mr_params args;
    mr_span body;
    mr_unpack map, u;
    mr_params_init(&args);
    mr_params_u64(&args, "run", p->options->run);
    mr_params_u64(&args, "task", task);
    mr_params_bool(&args, "body", true);
    mr_status s = mr_client_call(p->client, MR_CMD_TASK, mr_params_span(&args), (unsigned)p->options->globals->timeout_ms, &body, err);
    mr_params_free(&args);
    MR_TRY(s);
    mr_unpack_init(&map, body);
    mr_span state = text_member(&map, "state");
    *waiting = mr_span_eq(state, mr_span_of("waiting"));
    if (*waiting) return MR_OK;
    mr_task_result r = {.task = task, .text = text_member(&map, "reason")};
    uint64_t status = MR_OK;
    bool given_up = mr_unpack_find(&map, "status", &u) == MR_OK && mr_unpack_u64(&u, UINT16_MAX, &status, NULL) == MR_OK;
    if (given_up && !mr_span_eq(state, mr_span_of("done"))) r.status = mr_status_of((int)status)->status;
    if (mr_unpack_find(&map, "body", &u) == MR_OK) MR_TRY(mr_unpack_bin(&u, SIZE_MAX, &r.body, err));
    if (p->options->done) p->options->done(p->options->self, &r);
    return MR_OK;
}

static mr_status ask_for_place(mr_producer *p, const place *at, mr_error *err) {
    for (uint32_t i = 0; i < at->tasks;) {
        bool waiting;
        mr_status s = ask_for_task(p, at->first + i, &waiting, err);
        if (s == MR_E_UNAVAILABLE) s = connect_again(p, err);
        else if (s == MR_OK && waiting) s = pause(p, err);
        else i++;
        MR_TRY(s);
    }
    return MR_OK;
}

mr_status mr_producer_finish(mr_producer *p, mr_error *err) {
    MR_TRY(mr_producer_flush(p, err));
    while (p->first < p->next) MR_TRY(wait_for_one(p, err));
    for (size_t at = 0; at < p->before.len; at += sizeof(place)) {
        place b;
        memcpy(&b, p->before.data + at, sizeof b);
        MR_TRY(ask_for_place(p, &b, err));
    }
    mr_buf_clear(&p->before);
    return MR_OK;
}
