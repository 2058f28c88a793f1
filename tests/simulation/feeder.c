/* feeder.c: producers: they bring their tasks into a stream with what `millrace submit` does it with, give up at any point and
 * begin again from the start, and some bring everything once more when all is there. */
#include "broker/cli/producer.h"

#include "broker/core/partitions.h"
#include "tests/simulation/world.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>

typedef struct feed {
    sim_world *w;
    sim_spec *spec;
    uint32_t number, broker; /* broker: whom it asks next when it does not know who owns the stream */
    uint64_t packet; /* the next one that is answered */
} feed;

static bool has_ended(const feed *me) { return me->spec->ended_life >= me->spec->life; }

static void accepted(void *self, uint64_t first, uint32_t tasks, bool existed) {
    feed *me = self;
    const sim_packet *k = sim_packet_of(me->w, me->spec, me->number, me->packet++);
    if (sim_self()->dying) return;
    if (existed) SIM_COUNT(me->w, packet_again);
    if (!k) sim_broken(me->w, "a packet was accepted that is not stored");
    else if (k->first != first || k->tasks != tasks) sim_broken(me->w, "a packet was answered with another place than its own");
}

static void done(void *self, const mr_task_result *r) {
    feed *me = self;
    const sim_node *node = r->task < SIM_NODES ? &me->spec->node[0][0][r->task] : NULL;
    if (sim_self()->dying) return;
    SIM_COUNT(me->w, task_told);
    if (!node || r->task >= me->spec->tasks) sim_broken(me->w, "a producer was told of a task that is not stored");
    else if (r->status != MR_OK && !me->spec->poisoned)
        sim_broken(me->w, "a producer was told that a task was given up: %.*s", MR_SPAN_ARG(r->text));
    else if (r->status == MR_OK && !node->rows) sim_broken(me->w, "a producer was told of a result that is not stored");
    else if (r->status == MR_OK && (r->body.len != sizeof node->value || memcmp(r->body.data, &node->value, r->body.len)))
        sim_broken(me->w, "a producer was told another result than the one that is stored");
}

static mr_status add_tasks(feed *me, mr_producer *p, uint32_t packet, mr_error *err) {
    for (uint32_t t = 0; t < sim_packet_tasks(me->spec, me->number, packet); t++) {
        mr_buf *body;
        MR_TRY(mr_producer_body(p, 100, &body, err));
        sim_task_body(me->number, packet, t, body);
        MR_TRY(mr_producer_add(p, (mr_span){0}, err));
    }
    return mr_producer_flush(p, err);
}

static mr_status bring(feed *me, mr_producer *p, mr_error *err) {
    for (uint32_t n = 0; n < me->spec->packets[me->number]; n++) {
        MR_TRY(add_tasks(me, p, n, err));
        if (sim_faulty(me->w) && sim_chance(me->w, 0.02)) return mr_fail(err, MR_E_CANCELLED, "the producer was killed");
        sim_sleep(me->w, sim_between(me->w, 100, 300000));
    }
    return mr_producer_finish(p, err);
}

/* Only the stream's owner takes tasks. Who asks another is told so for a minute, which makes a schedule long; so most know. */
static uint32_t whom(feed *me) {
    const sim_lease *l = &me->w->db.lease[mr_partition_of(me->spec->run)];
    bool knows = l->owner[0] && sim_chance(me->w, 0.9);
    return knows ? (uint32_t)(l->owner[1] - '0') : me->broker++ % me->w->brokers;
}

/* Who waits for a task of a run that was cancelled waits for ever. */
static mr_status try_once(feed *me, mr_error *err) {
    mr_globals globals = {.timeout_ms = 1000};
    mr_producer_options o = {.globals = &globals, .run = me->spec->run, .producer = me->number + 1, .accepted = accepted,
                             .done = done, .self = me};
    mr_producer *p = NULL;
    o.window = (unsigned)sim_between(me->w, 1, 4);
    o.wait = !me->spec->cancel_at_us && sim_chance(me->w, 0.5);
    snprintf(globals.broker, sizeof globals.broker, "tcp://127.0.0.1:%u", 7000 + whom(me));
    me->packet = 0;
    MR_TRY(mr_producer_open(&o, &p, err));
    mr_status s = bring(me, p, err);
    mr_producer_close(&p);
    return s;
}

static bool is_refusal(mr_status s) { return s == MR_E_INVALID || s == MR_E_EXISTS || s == MR_E_LIMIT || s == MR_E_DENIED; }

static void bring_all(feed *me) {
    mr_status s = MR_E_UNAVAILABLE;
    while (s != MR_OK && !sim_self()->dying) {
        mr_error err = {0};
        s = try_once(me, &err);
        if (s == MR_OK || (s == MR_E_NOT_FOUND && has_ended(me))) return;
        sim_trace(me->w, "producer %u: %s", me->number, err.text);
        if (is_refusal(s)) sim_broken(me->w, "a producer was refused: %s", err.text);
        sim_sleep(me->w, sim_between(me->w, 50000, 500000));
    }
}

void *sim_feeder(void *arg) {
    feed me = *(feed *)arg;
    bring_all(&me);
    me.spec->feeding--;
    if (sim_chance(me.w, 0.4)) bring_all(&me); /* once more, also behind the end of the stream */
    return NULL;
}

void sim_feed(sim_world *w, uint32_t spec) {
    static feed feeds[SIM_SPECS][SIM_PRODUCERS]; /* each copies its own at once */
    sim_spec *s = &w->spec[spec];
    s->feeding = s->producers;
    for (uint32_t i = 0; i < s->producers; i++) {
        feeds[spec][i] = (feed){.w = w, .spec = s, .number = i};
        sim_spawn(w, sim_self(), sim_feeder, &feeds[spec][i], NULL);
    }
}

int __wrap_poll(struct pollfd *fds, nfds_t n, int timeout_ms);
int __real_poll(struct pollfd *fds, nfds_t n, int timeout_ms);

int __wrap_poll(struct pollfd *fds, nfds_t n, int timeout_ms) {
    if (!sim_here()) return __real_poll(fds, n, timeout_ms);
    MR_ASSERT(!n && timeout_ms >= 0);
    sim_sleep(sim_here(), (uint64_t)timeout_ms * 1000);
    return 0;
}
