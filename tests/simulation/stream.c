/* stream.c: streams: the tasks that each producer has, the statements that store and read them, and what is checked when one
 * is stored. A task is its producer, its packet and its place in it; which number it gets is the broker's to say. */
#include "common/batch.h"
#include "common/packet.h"
#include "tests/simulation/database.h"
#include "tests/simulation/values.h"

#include <stdlib.h>
#include <string.h>

enum { LOCK_CLOSE = 6000 }; /* beside the rows of tables.c */

/* ---- what producers send ---- */

uint32_t sim_packet_tasks(const sim_spec *s, uint32_t producer, uint32_t packet) {
    return 1 + (uint32_t)(mr_mix64(s->seed * 1000 + producer * 100 + packet) % 5);
}

/* Those of some packets are large. */
void sim_task_body(uint32_t producer, uint32_t packet, uint32_t task, mr_buf *out) {
    enum { LARGE = 45000 };
    static const uint8_t zeros[LARGE];
    mr_span prompt = {zeros, LARGE};
    mr_batch batch = {.first = (producer * 1000 + packet) * 100 + task, .rows = 1};
    if (mr_mix64(producer * 100 + packet) % 4 == 0) {
        batch.columns = MR_COL_PROMPT;
        batch.text[MR_TEXT_PROMPT] = &prompt;
    }
    MR_ASSERT(mr_segment_encode(&batch, out) == MR_OK);
}

static uint64_t task_bytes(uint32_t producer, uint32_t packet, uint32_t task) {
    mr_buf b;
    mr_buf_init(&b, NULL, 1 << 16);
    sim_task_body(producer, packet, task, &b);
    uint64_t bytes = sim_bytes(mr_buf_span(&b));
    mr_buf_free(&b);
    return bytes;
}

bool sim_is_task(const sim_spec *s, uint64_t input) {
    for (uint32_t p = 0; p < s->producers; p++)
        for (uint32_t n = 0; n < s->packets[p]; n++)
            for (uint32_t t = 0; t < sim_packet_tasks(s, p, n); t++)
                if (task_bytes(p, n, t) == input) return true;
    return false;
}

/* ---- what is stored ---- */

static const sim_packet *named(const sim_world *w, uint64_t run, uint64_t producer, uint64_t packet) {
    for (uint32_t i = 0; i < w->db.packets; i++) {
        const sim_packet *k = &w->db.packet[i];
        if (k->stored && k->run == run && k->producer == producer && k->packet == packet) return k;
    }
    return NULL;
}

const sim_packet *sim_packet_of(const sim_world *w, const sim_spec *s, uint32_t producer, uint64_t packet) {
    return named(w, s->run, producer + 1, packet); /* producers have numbers from 1 */
}

/* The one with the lowest first task from `task` on, or, with `holds`, the one that holds it. */
static const sim_packet *next_packet(const sim_world *w, uint64_t run, uint64_t task, bool holds) {
    const sim_packet *found = NULL;
    for (uint32_t i = 0; i < w->db.packets; i++) {
        const sim_packet *k = &w->db.packet[i];
        if (!k->stored || k->run != run) continue;
        bool fits = holds ? task >= k->first && task - k->first < k->tasks : k->first >= task;
        if (fits && (!found || k->first < found->first)) found = k;
    }
    return found;
}

void sim_packets_free(sim_world *w) {
    for (uint32_t i = 0; i < w->db.packets; i++) free(w->db.packet[i].bytes);
    free(w->db.packet);
}

/* ---- what a commit changes ---- */

static void expect_tasks(sim_world *w, sim_spec *s, const sim_packet *k) {
    mr_packet view;
    mr_packet_cursor at = {0};
    mr_task task;
    if (mr_packet_open((mr_span){k->bytes, k->len}, &view, NULL) != MR_OK || view.count != k->tasks) {
        sim_broken(w, "what was stored of a stream is not a packet");
        return;
    }
    for (uint32_t i = 0; mr_packet_next(&view, &at, &task); i++) {
        uint32_t number = (uint32_t)k->first + i;
        uint64_t input = sim_bytes(task.body);
        if (input != task_bytes((uint32_t)k->producer - 1, (uint32_t)k->packet, i))
            sim_broken(w, "task %u of run %llu is not what its producer sent", number, (unsigned long long)k->run);
        s->node[0][0][number].expected = sim_compute(input, s->seed, s->step[0].component, 0, number);
    }
}

void sim_apply_packet(sim_world *w, uint32_t index) {
    sim_packet *k = &w->db.packet[index];
    sim_spec *s = sim_spec_of_run(w, k->run);
    uint32_t producer = (uint32_t)k->producer - 1;
    if (k->first != s->tasks)
        sim_broken(w, "tasks are stored from number %llu on, and there are %u", (unsigned long long)k->first, s->tasks);
    if (s->closed) sim_broken(w, "tasks were stored behind the end of their stream");
    if (producer >= s->producers || k->packet != s->packets_stored[producer])
        sim_broken(w, "packet %llu of a producer was stored, twice or before the one before it", (unsigned long long)k->packet);
    if (w->broken) return;
    SIM_COUNT(w, packet);
    k->stored = true;
    expect_tasks(w, s, k);
    s->packets_stored[producer]++;
    s->tasks += k->tasks;
}

void sim_apply_close(sim_world *w, uint64_t run) {
    sim_spec *s = sim_spec_of_run(w, run);
    SIM_COUNT(w, stream_closed);
    if (s->tasks != s->step[0].plan.counts[0]) sim_broken(w, "a stream was closed before all that was accepted was stored");
    s->closed = true;
}

/* ---- statements ---- */

static uint64_t lock_of(uint64_t run, uint64_t a, uint64_t b) { return mr_mix64(run * 31 + mr_mix64(a * 17 + mr_mix64(b + 1))) | 1; }

/* In the table, or written by this transaction. */
static const sim_packet *visible(sim_world *w, mr_pg *pg, uint64_t run, uint64_t producer, uint64_t packet, uint64_t first) {
    const sim_transaction *t = sim_transaction_of(pg);
    for (uint32_t i = 0; i < w->db.packets; i++) {
        const sim_packet *k = &w->db.packet[i];
        bool there = k->stored;
        for (size_t o = 0; o < t->ops; o++) there |= t->op[o].kind == SIM_OP_PACKET && t->op[o].index == i;
        if (there && k->run == run && (k->first == first || (k->producer == producer && k->packet == packet))) return k;
    }
    return NULL;
}

static uint32_t add_packet(sim_world *w, const sim_packet *like, mr_span bytes) {
    sim_database *d = &w->db;
    if (d->packets == d->packet_cap) {
        d->packet_cap = d->packet_cap ? 2 * d->packet_cap : 64;
        d->packet = realloc(d->packet, d->packet_cap * sizeof *d->packet);
        MR_ASSERT(d->packet);
    }
    sim_packet *k = &d->packet[d->packets];
    *k = *like;
    k->len = bytes.len;
    k->bytes = malloc(bytes.len);
    MR_ASSERT(k->bytes);
    memcpy(k->bytes, bytes.data, bytes.len);
    return d->packets++;
}

static mr_status submit_packet(sim_world *w, mr_pg *pg, const mr_pg_params *p, mr_pg_result **out) {
    sim_packet k = {.run = (uint64_t)sim_p_int(p, 0), .first = (uint64_t)sim_p_int(p, 1), .tasks = (uint32_t)sim_p_int(p, 2),
                    .producer = (uint64_t)sim_p_int(p, 3), .packet = (uint64_t)sim_p_int(p, 4)};
    if (!sim_lock_row(w, pg, lock_of(k.run, k.first, SIM_NEVER), false) || !sim_lock_row(w, pg, lock_of(k.run, k.producer, k.packet), false))
        return sim_refuse(pg, MR_E_CONFLICT, "40P01");
    if (visible(w, pg, k.run, k.producer, k.packet, k.first)) return sim_changed(out, 0);
    uint32_t index = add_packet(w, &k, sim_param(p, 8));
    sim_do(pg, SIM_OP_PACKET)->index = index;
    return sim_changed(out, 1);
}

static mr_status submit_find(sim_world *w, mr_pg *pg, const mr_pg_params *p, mr_pg_result **out) {
    const sim_packet *k = visible(w, pg, (uint64_t)sim_p_int(p, 0), (uint64_t)sim_p_int(p, 1), (uint64_t)sim_p_int(p, 2), SIM_NEVER);
    *out = sim_result_of(2, (const unsigned[]){OID_INT8, OID_INT8}, 0);
    if (!k) return MR_OK;
    sim_set_int(*out, 0, 0, (int64_t)k->first);
    sim_set_int(*out, 0, 1, k->tasks);
    return MR_OK;
}

static mr_status submit_end(sim_world *w, mr_pg *pg, const mr_pg_params *p, mr_pg_result **out) {
    uint64_t run = (uint64_t)sim_p_int(p, 0);
    if (!sim_lock_row(w, pg, LOCK_CLOSE + run * 2, false)) return sim_refuse(pg, MR_E_CONFLICT, "40P01");
    if (sim_spec_of_run(w, run)->closed) return sim_changed(out, 0);
    sim_do(pg, SIM_OP_CLOSE)->key.run = run;
    return sim_changed(out, 1);
}

static mr_status recover_producers(sim_world *w, mr_pg *pg, const mr_pg_params *p, mr_pg_result **out) {
    const sim_spec *s = sim_spec_of_run(w, (uint64_t)sim_p_int(p, 0));
    int row = 0;
    (void)pg;
    *out = sim_result_of(2, (const unsigned[]){OID_INT8, OID_INT8}, 0);
    for (uint32_t i = 0; s && i < s->producers && w->variant != SIM_FORGET_PACKETS; i++) {
        if (!s->packets_stored[i]) continue;
        sim_set_int(*out, row, 0, i + 1);
        sim_set_int(*out, row++, 1, s->packets_stored[i]);
    }
    return MR_OK;
}

static mr_status tasks_blocks(sim_world *w, mr_pg *pg, const mr_pg_params *p, mr_pg_result **out) {
    uint64_t run = (uint64_t)sim_p_int(p, 0);
    const sim_packet *k = next_packet(w, run, (uint64_t)sim_p_int(p, 1), true);
    (void)pg;
    *out = sim_result_of(2, (const unsigned[]){OID_INT8, OID_INT8}, 0);
    for (int row = 0; k && row < sim_p_int(p, 2); row++, k = next_packet(w, run, k->first + k->tasks, false)) {
        sim_set_int(*out, row, 0, (int64_t)k->first);
        sim_set_int(*out, row, 1, (int64_t)k->len);
    }
    return MR_OK;
}

/* Each packet is one piece. */
static mr_status tasks_pieces(sim_world *w, mr_pg *pg, const mr_pg_params *p, mr_pg_result **out) {
    uint64_t run = (uint64_t)sim_p_int(p, 0);
    const sim_packet *k = next_packet(w, run, (uint64_t)sim_p_int(p, 1), false);
    (void)pg;
    *out = sim_result_of(3, (const unsigned[]){OID_INT8, OID_INT8, OID_BYTEA}, 0);
    for (int row = 0; k && (int64_t)k->first <= sim_p_int(p, 2); row++, k = next_packet(w, run, k->first + k->tasks, false)) {
        sim_set_int(*out, row, 0, (int64_t)k->first);
        sim_set_int(*out, row, 1, 0);
        sim_set(*out, row, 2, k->bytes, k->len);
    }
    return MR_OK;
}

static mr_status q_task(sim_world *w, mr_pg *pg, const mr_pg_params *p, mr_pg_result **out) {
    static const unsigned types[15] = {OID_INT8, OID_INT8, OID_TEXT, OID_TEXT, OID_TEXT, OID_TIME, OID_TEXT, OID_INT8,
                                       OID_INT8, OID_INT8, OID_BYTEA, OID_TIME, OID_INT8, OID_TEXT, OID_BYTEA};
    mr_work_key key = {.run = (uint64_t)sim_p_int(p, 0), .index = (uint32_t)sim_p_int(p, 1)};
    const sim_spec *s = sim_spec_of_run(w, key.run);
    const sim_node *node = sim_node_of(w, &key);
    const sim_failure *dead = NULL;
    (void)pg;
    SIM_COUNT(w, task_asked);
    *out = sim_result_of(15, types, 0);
    if (!s || !node || key.index >= s->tasks) return MR_OK;
    for (uint32_t i = 0; i < w->db.failures; i++)
        if (w->db.failure[i].dead && !memcmp(&w->db.failure[i].key, &key, sizeof key)) dead = &w->db.failure[i];
    sim_set_int(*out, 0, 0, (int64_t)key.run);
    sim_set_int(*out, 0, 1, key.index);
    sim_set_text(*out, 0, 3, node->rows ? "done" : dead ? "dead" : "waiting");
    if (dead) sim_set_int(*out, 0, 12, dead->status);
    if (node->rows) sim_set(*out, 0, 14, &node->value, sizeof node->value);
    return MR_OK;
}

static mr_status task_partition(sim_world *w, mr_pg *pg, const mr_pg_params *p, mr_pg_result **out) {
    (void)w;
    (void)pg;
    (void)p;
    return sim_changed(out, 1);
}

static const struct {
    const char *name;
    sim_statement run;
} statements[] = {
    {"submit_packet", submit_packet}, {"submit_find", submit_find},   {"submit_end", submit_end}, {"recover_producers", recover_producers},
    {"tasks_blocks", tasks_blocks},   {"tasks_pieces", tasks_pieces}, {"q_task", q_task},         {"plan_task_partition", task_partition},
};

sim_statement sim_stream_named(const char *name) {
    for (size_t i = 0; i < sizeof statements / sizeof *statements; i++)
        if (!strcmp(statements[i].name, name)) return statements[i].run;
    return NULL;
}
