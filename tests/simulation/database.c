/* database.c: what common/pg.h gives to programs, over a simulated server: connections, transactions whose writes are seen
 * when they commit, row locks, and commits whose answer is lost (done, not done, or done later). Statements are known by
 * their names (tables.c). */
#include "tests/simulation/database.h"

#include "common/pg_wire.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PIPELINE = 4096, HEARD = 1024 };

typedef struct answer {
    const mr_pg_statement *statement;
    mr_status status;
    mr_pg_result *result;
    bool sync;
} answer;

struct mr_pg {
    struct mr_pg *next;
    sim_process *process;
    bool broken, gone; /* gone: its process was killed; the server may see it later */
    char sqlstate[6];
    sim_transaction t;
    answer *answer;
    size_t answers, answer_cap, answer_at;
    mr_pg_result *stream;
    uint32_t stream_at;
    mr_status copied;
    bool listening;
    uint64_t session;
    char heard[HEARD][128]; /* a ring: from heard_at to heards */
    uint32_t heard_at, heards;
};

sim_transaction *sim_transaction_of(mr_pg *pg) { return &pg->t; }

uint64_t sim_database_now(const sim_world *w) { return (uint64_t)((int64_t)w->now + w->db.clock_us); }

/* ---- transactions and locks ---- */

static void unlock(sim_world *w, uint64_t transaction) {
    sim_database *d = &w->db;
    for (uint32_t i = 0; i < d->locks; i++)
        if (d->lock[i].transaction == transaction) d->lock[i--] = d->lock[--d->locks];
}

/* Nothing is written under a lease that another has taken meanwhile. */
static void apply(sim_world *w, const sim_transaction *t) {
    for (int i = 0; i < MR_PARTITIONS && t->ops; i++)
        if (t->fenced[i] && t->fenced[i] != w->db.lease[i].epoch)
            sim_broken(w, "a transaction under epoch %lld of partition %d was committed under epoch %lld",
                       (long long)t->fenced[i], i, (long long)w->db.lease[i].epoch);
    for (size_t i = 0; i < t->ops && !w->broken; i++) sim_apply(w, &t->op[i]);
}

static void end(sim_world *w, sim_transaction *t, bool committed) {
    if (!t->open) return;
    if (committed) apply(w, t);
    memset(t->fenced, 0, sizeof t->fenced);
    w->db.ended[t->id] = committed ? 1 : 2;
    unlock(w, t->id);
    t->open = t->failed = t->explicit = false;
    t->ops = 0;
}

static void begin(sim_world *w, sim_transaction *t) {
    sim_database *d = &w->db;
    if (t->open) return;
    t->id = ++d->transactions;
    if (t->id >= d->ended_cap) {
        size_t cap = d->ended_cap ? 2 * d->ended_cap : 1024;
        d->ended = realloc(d->ended, cap);
        MR_ASSERT(d->ended);
        memset(d->ended + d->ended_cap, 0, cap - d->ended_cap);
        d->ended_cap = cap;
    }
    t->open = true;
    t->failed = false;
    t->ops = 0;
}

sim_op *sim_do(mr_pg *pg, sim_op_kind kind) {
    sim_transaction *t = &pg->t;
    if (t->ops == t->cap) {
        t->cap = t->cap ? 2 * t->cap : 16;
        t->op = realloc(t->op, t->cap * sizeof *t->op);
        MR_ASSERT(t->op);
    }
    sim_op *op = &t->op[t->ops++];
    *op = (sim_op){.kind = kind};
    return op;
}

static bool in_the_way(const sim_database *d, const sim_transaction *t, uint64_t what, bool shared, bool *ours) {
    bool found = false;
    for (uint32_t i = 0; i < d->locks; i++) {
        const sim_lock *l = &d->lock[i];
        if (l->what != what) continue;
        if (l->transaction == t->id) *ours |= shared || !l->shared;
        else found |= !shared || !l->shared;
    }
    return found;
}

bool sim_lock_row(sim_world *w, mr_pg *pg, uint64_t what, bool shared) {
    sim_database *d = &w->db;
    uint64_t until = w->now + 20000000;
    bool ours = false;
    while (in_the_way(d, &pg->t, what, shared, &ours)) {
        SIM_COUNT(w, lock_wait);
        sim_sleep(w, 2000);
        if (pg->broken || pg->process->dying) return false;
        if (w->now < until) continue;
        sim_refuse(pg, MR_E_CONFLICT, "40P01");
        return false;
    }
    if (ours) return true;
    if (d->locks == d->lock_cap) {
        d->lock_cap = d->lock_cap ? 2 * d->lock_cap : 64;
        d->lock = realloc(d->lock, d->lock_cap * sizeof *d->lock);
        MR_ASSERT(d->lock);
    }
    d->lock[d->locks++] = (sim_lock){.what = what, .transaction = pg->t.id, .shared = shared};
    return true;
}

bool sim_try_lock_row(sim_world *w, mr_pg *pg, uint64_t what) {
    bool ours = false;
    return !in_the_way(&w->db, &pg->t, what, false, &ours) && sim_lock_row(w, pg, what, false);
}

/* ---- a statement's way ---- */

mr_status sim_refuse(mr_pg *pg, mr_status status, const char *sqlstate) {
    snprintf(pg->sqlstate, sizeof pg->sqlstate, "%s", sqlstate);
    pg->t.failed = true;
    return status;
}

static mr_status lost(sim_world *w, mr_pg *pg, mr_error *err) {
    pg->broken = true;
    if (!pg->gone) end(w, &pg->t, false);
    pg->sqlstate[0] = 0;
    return mr_fail(err, MR_E_UNAVAILABLE, "the connection to the database is lost");
}

static bool usable(const sim_world *w, const mr_pg *pg) { return !pg->broken && !pg->process->dying && !w->db.down; }

/* There and back again; false when the connection did not survive it. */
static bool travel(sim_world *w, mr_pg *pg) {
    if (!usable(w, pg)) return false;
    sim_sleep(w, sim_between(w, 50, 600) * w->db.slow);
    return usable(w, pg);
}

static mr_status carry_out(sim_world *w, mr_pg *pg, const mr_pg_statement *st, const mr_pg_params *p, mr_pg_result **out,
                           mr_error *err) {
    sim_statement run = sim_statement_named(st->name);
    mr_pg_result *ignored = NULL;
    SIM_COUNT(w, statement);
    if (!run) {
        sim_broken(w, "the simulated database does not know the statement %s: teach it in tables.c", st->name);
        return mr_fail(err, MR_E_INTERNAL, "statement %s", st->name);
    }
    if (pg->t.failed) return mr_fail(err, MR_E_CANCELLED, "the transaction has failed");
    sim_trace(w, "sql %s", st->name);
    mr_status s = run(w, pg, p, out ? out : &ignored);
    if (ignored) mr_pg_result_free(&ignored);
    if (!usable(w, pg)) {
        if (out && *out) mr_pg_result_free(out);
        return lost(w, pg, err);
    }
    if (s == MR_OK) return s;
    if (out && *out) mr_pg_result_free(out);
    return mr_fail(err, s, "statement %s: %s", st->name, pg->sqlstate);
}

/* ---- commit ---- */

static void commit_later(sim_world *w, mr_pg *pg) {
    sim_transaction *t = malloc(sizeof *t);
    MR_ASSERT(t);
    SIM_COUNT(w, commit_late);
    *t = pg->t;
    t->next = w->db.late;
    w->db.late = t;
    pg->t = (sim_transaction){0};
    sim_at(w, sim_between(w, 1000, 1500000), (sim_item){.kind = SIM_DB_LATE, .a = (uint32_t)t->id});
}

static void unknown(sim_world *w, mr_pg *pg) {
    if (sim_chance(w, 0.3)) {
        commit_later(w, pg);
    } else if (sim_chance(w, 0.5)) {
        SIM_COUNT(w, commit_unknown_done);
        end(w, &pg->t, true);
    } else {
        SIM_COUNT(w, commit_unknown_undone);
        end(w, &pg->t, false);
    }
}

static mr_status commit(sim_world *w, mr_pg *pg, mr_pg_outcome *outcome, mr_error *err) {
    bool writes = pg->t.ops > 0;
    *outcome = MR_PG_ROLLED_BACK;
    if (pg->t.failed || !pg->t.open) {
        end(w, &pg->t, false);
        return mr_fail(err, MR_E_CONFLICT, "the transaction has failed");
    }
    if (!travel(w, pg)) return lost(w, pg, err);
    if (writes && w->db.full) {
        end(w, &pg->t, false);
        snprintf(pg->sqlstate, sizeof pg->sqlstate, "53100");
        return mr_fail(err, MR_E_UNAVAILABLE, "the disk is full");
    }
    if (writes) SIM_COUNT(w, commit);
    if (!writes || !sim_faulty(w) || !sim_chance(w, w->p_unknown)) {
        end(w, &pg->t, true);
        *outcome = MR_PG_COMMITTED;
        return MR_OK;
    }
    sim_trace(w, "the answer to a commit is lost");
    unknown(w, pg);
    if (w->variant == SIM_HOPE) {
        *outcome = MR_PG_COMMITTED;
        return MR_OK;
    }
    *outcome = MR_PG_UNKNOWN;
    pg->broken = true;
    pg->sqlstate[0] = 0;
    return mr_fail(err, MR_E_UNAVAILABLE, "the answer to COMMIT is lost");
}

/* ---- the server's life ---- */

static void late(sim_world *w, uint64_t id, bool committed) {
    for (sim_transaction **at = &w->db.late; *at; at = &(*at)->next) {
        sim_transaction *t = *at;
        if (t->id != id) continue;
        *at = t->next;
        end(w, t, committed);
        free(t->op);
        free(t);
        return;
    }
}

static void down(sim_world *w) {
    SIM_COUNT(w, database_restart);
    w->db.down = true;
    sim_trace(w, "the database stops");
    for (mr_pg *pg = w->db.connections; pg; pg = pg->next) {
        end(w, &pg->t, false);
        pg->broken = true;
    }
    while (w->db.late) late(w, w->db.late->id, sim_chance(w, 0.5));
    sim_at(w, sim_between(w, 100000, 5000000), (sim_item){.kind = SIM_DB_UP, .a = 1});
}

static void kill_backend(sim_world *w) {
    uint32_t n = 0;
    for (mr_pg *pg = w->db.connections; pg; pg = pg->next) n++;
    if (!n) return;
    mr_pg *pg = w->db.connections;
    for (uint64_t i = sim_between(w, 0, n - 1); i > 0; i--) pg = pg->next;
    SIM_COUNT(w, backend_killed);
    end(w, &pg->t, false);
    pg->broken = true;
}

void sim_database_take(sim_world *w, const sim_item *item) {
    switch (item->kind) {
    case SIM_DB_DOWN: down(w); break;
    case SIM_DB_SLOW:
        SIM_COUNT(w, database_slow);
        w->db.slow = (uint32_t)sim_between(w, 20, 200);
        sim_at(w, sim_between(w, 500000, 3000000), (sim_item){.kind = SIM_DB_UP, .a = 2});
        break;
    case SIM_DB_FULL:
        SIM_COUNT(w, database_full);
        w->db.full = true;
        sim_at(w, sim_between(w, 500000, 3000000), (sim_item){.kind = SIM_DB_UP, .a = 3});
        break;
    case SIM_DB_UP:
        if (item->a == 1) w->db.down = false;
        else if (item->a == 2) w->db.slow = 1;
        else w->db.full = false;
        w->db.well_us = w->now;
        break;
    case SIM_DB_KILL: kill_backend(w); break;
    case SIM_DB_CLOCK:
        w->db.clock_us += sim_jump_us(w);
        SIM_COUNT(w, database_clock_jumped);
        sim_trace(w, "the database's clock jumps");
        break;
    default: late(w, item->a, true); break;
    }
}

/* What a killed program had begun is rolled back, at once or when the server sees that it is gone. */
void sim_database_killed(sim_world *w, const sim_process *p) {
    for (mr_pg *pg = w->db.connections; pg; pg = pg->next) {
        if (pg->process != p) continue;
        pg->broken = true;
        end(w, &pg->t, false);
    }
}

void sim_database_free(sim_world *w) {
    while (w->db.late) late(w, w->db.late->id, false);
    MR_ASSERT(!w->db.connections || w->broken);
    free(w->db.lock);
    free(w->db.ended);
    free(w->db.failure);
    sim_packets_free(w);
}

/* ---- pg.h: connections ---- */

static mr_status reach(sim_world *w, mr_pg *pg, mr_error *err) {
    pg->broken = pg->listening = false;
    pg->session++;
    pg->heard_at = pg->heards = 0;
    end(w, &pg->t, false);
    if (travel(w, pg) && travel(w, pg)) return MR_OK;
    pg->broken = true;
    return mr_fail(err, MR_E_UNAVAILABLE, "the database cannot be reached");
}

mr_status mr_pg_connect(const char *url, const mr_pg_options *options, const mr_mem *mem, mr_pg **out, mr_error *err) {
    sim_world *w = sim_here();
    mr_pg *pg = calloc(1, sizeof *pg);
    (void)url;
    (void)options;
    (void)mem;
    MR_ASSERT(pg);
    pg->process = sim_self();
    pg->next = w->db.connections;
    w->db.connections = pg;
    mr_status s = reach(w, pg, err);
    if (s != MR_OK) mr_pg_free(&pg);
    *out = pg;
    return s;
}

static void forget_answers(mr_pg *pg) {
    for (size_t i = pg->answer_at; i < pg->answers; i++)
        if (pg->answer[i].result) mr_pg_result_free(&pg->answer[i].result);
    pg->answers = pg->answer_at = 0;
}

void mr_pg_free(mr_pg **at) {
    sim_world *w = sim_here();
    mr_pg *pg = *at;
    if (!pg) return;
    end(w, &pg->t, false);
    mr_pg **link = &w->db.connections;
    while (*link != pg) link = &(*link)->next;
    *link = pg->next;
    forget_answers(pg);
    if (pg->stream) mr_pg_result_free(&pg->stream);
    free(pg->answer);
    free(pg->t.op);
    free(pg);
    *at = NULL;
}

mr_status mr_pg_reconnect(mr_pg *pg, mr_error *err) { return reach(sim_here(), pg, err); }
uint64_t mr_pg_session(const mr_pg *pg) { return pg->session; }
bool mr_pg_idle_alive(const mr_pg *pg) { return mr_pg_alive(pg); }
bool mr_pg_alive(const mr_pg *pg) { return !pg->broken && !pg->process->dying; }
bool mr_pg_in_transaction(const mr_pg *pg) { return pg->t.open; }
int mr_pg_server_version(const mr_pg *pg) { return pg ? 150004 : 0; }
int mr_pg_fd(const mr_pg *pg) { return pg ? -1 : 0; }
void mr_pg_describe(const char *url, mr_buf *out) { mr_buf_text(out, url); }
const char *mr_pg_sqlstate(const mr_pg *pg) { return pg->sqlstate; }
bool mr_pg_retryable(const mr_pg *pg) { return !strcmp(pg->sqlstate, "40P01") || !strcmp(pg->sqlstate, "40001"); }

/* ---- pg.h: statements ---- */

mr_status mr_pg_exec(mr_pg *pg, const mr_pg_statement *st, const mr_pg_params *params, mr_pg_result **out, mr_error *err) {
    sim_world *w = sim_here();
    bool alone = !pg->t.open;
    mr_pg_outcome outcome;
    pg->sqlstate[0] = 0;
    if (params) MR_TRY(params->bytes.status);
    if (!travel(w, pg)) return lost(w, pg, err);
    if (alone) begin(w, &pg->t);
    mr_status s = carry_out(w, pg, st, params, out, err);
    if (!alone) return s;
    if (s == MR_OK) {
        s = commit(w, pg, &outcome, err);
        if (s != MR_OK && out && *out) mr_pg_result_free(out);
        return s;
    }
    end(w, &pg->t, false);
    return s;
}

void sim_notify(sim_world *w, const char *text) {
    for (mr_pg *pg = w->db.connections; pg; pg = pg->next) {
        if (!pg->listening || pg->broken) continue;
        MR_ASSERT(pg->heards - pg->heard_at < HEARD);
        snprintf(pg->heard[pg->heards++ % HEARD], sizeof pg->heard[0], "%s", text);
    }
}

mr_status mr_pg_notified(mr_pg *pg, char *text, size_t size, bool *got, mr_error *err) {
    *got = false;
    if (!usable(sim_here(), pg)) return lost(sim_here(), pg, err);
    if (pg->heard_at == pg->heards) return MR_OK;
    snprintf(text, size, "%s", pg->heard[pg->heard_at++ % HEARD]);
    *got = true;
    sim_trace(sim_here(), "hears %s", text);
    return MR_OK;
}

mr_status mr_pg_run(mr_pg *pg, const char *sql, mr_error *err) {
    if (!strncmp(sql, "listen ", 7)) {
        if (!travel(sim_here(), pg)) return lost(sim_here(), pg, err);
        pg->listening = true;
        sim_trace(sim_here(), "listens");
        return MR_OK;
    }
    sim_broken(sim_here(), "the simulated database does not know: %s", sql);
    return mr_fail(err, MR_E_INTERNAL, "statement %p", (void *)pg);
}

mr_status mr_pg_prepare(mr_pg *pg, const mr_pg_statement *st, mr_error *err) {
    (void)st;
    return usable(sim_here(), pg) ? MR_OK : lost(sim_here(), pg, err);
}

mr_status mr_pg_begin(mr_pg *pg, mr_error *err) {
    sim_world *w = sim_here();
    pg->sqlstate[0] = 0;
    if (!travel(w, pg)) return lost(w, pg, err);
    MR_ASSERT(!pg->t.open);
    begin(w, &pg->t);
    pg->t.explicit = true;
    return MR_OK;
}

mr_status mr_pg_commit(mr_pg *pg, mr_pg_outcome *outcome, mr_error *err) { return commit(sim_here(), pg, outcome, err); }

void mr_pg_rollback(mr_pg *pg) {
    if (!pg->broken) end(sim_here(), &pg->t, false);
}

/* ---- pg.h: streams ---- */

mr_status mr_pg_stream(mr_pg *pg, const mr_pg_statement *st, const mr_pg_params *params, mr_error *err) {
    pg->stream_at = 0;
    return mr_pg_exec(pg, st, params, &pg->stream, err);
}

/* Every row as a result of its own. */
mr_status mr_pg_stream_next(mr_pg *pg, mr_pg_result **out, mr_error *err) {
    *out = NULL;
    if (!usable(sim_here(), pg)) return lost(sim_here(), pg, err);
    if (pg->stream && pg->stream_at < mr_pg_rows(pg->stream)) *out = sim_row_of(pg->stream, pg->stream_at++);
    return MR_OK;
}

void mr_pg_stream_end(mr_pg *pg) {
    if (pg->stream) mr_pg_result_free(&pg->stream);
}

/* ---- pg.h: pipelines ---- */

mr_status mr_pg_pipeline_begin(mr_pg *pg, mr_error *err) {
    forget_answers(pg);
    pg->sqlstate[0] = 0;
    return usable(sim_here(), pg) ? MR_OK : lost(sim_here(), pg, err);
}

static answer *add_answer(mr_pg *pg) {
    if (pg->answers == pg->answer_cap) {
        pg->answer_cap = pg->answer_cap ? 2 * pg->answer_cap : 16;
        pg->answer = realloc(pg->answer, pg->answer_cap * sizeof *pg->answer);
        MR_ASSERT(pg->answer);
    }
    pg->answer[pg->answers] = (answer){0};
    return &pg->answer[pg->answers++];
}

/* Carried out as it is sent; what is between two syncs is one transaction. */
mr_status mr_pg_pipeline_send(mr_pg *pg, const mr_pg_statement *st, const mr_pg_params *params, mr_error *err) {
    sim_world *w = sim_here();
    mr_error why = {0};
    if (params) MR_TRY(params->bytes.status);
    if (!travel(w, pg)) return lost(w, pg, err);
    if (!pg->t.open) begin(w, &pg->t);
    mr_pg_result *r = NULL;
    mr_status s = carry_out(w, pg, st, params, &r, &why);
    *add_answer(pg) = (answer){.statement = st, .status = s, .result = r};
    return MR_OK;
}

mr_status mr_pg_pipeline_flush(mr_pg *pg, mr_error *err) {
    return usable(sim_here(), pg) ? MR_OK : lost(sim_here(), pg, err);
}

mr_status mr_pg_pipeline_sync(mr_pg *pg, mr_error *err) {
    sim_world *w = sim_here();
    mr_pg_outcome outcome = MR_PG_ROLLED_BACK;
    mr_error why = {0};
    mr_status s = MR_OK;
    if (!usable(w, pg)) return lost(w, pg, err);
    if (pg->t.failed) end(w, &pg->t, false);
    else if (pg->t.open && !pg->t.explicit) s = commit(w, pg, &outcome, &why);
    *add_answer(pg) = (answer){.status = s, .sync = true};
    return MR_OK;
}

mr_status mr_pg_pipeline_next(mr_pg *pg, mr_pg_result **out, bool *synced, mr_error *err) {
    *synced = false;
    if (out) *out = NULL;
    if (pg->answer_at == pg->answers) return lost(sim_here(), pg, err);
    answer *a = &pg->answer[pg->answer_at++];
    if (a->sync && (a->status == MR_OK || !pg->broken)) *synced = true;
    if (a->status != MR_OK) {
        if (a->result) mr_pg_result_free(&a->result);
        return mr_fail(err, a->status, "statement %s: %s", a->statement ? a->statement->name : "commit", pg->sqlstate);
    }
    if (out) *out = a->result;
    else if (a->result) mr_pg_result_free(&a->result);
    a->result = NULL;
    return MR_OK;
}

mr_status mr_pg_pipeline_end(mr_pg *pg, mr_error *err) {
    bool all = pg->answer_at == pg->answers;
    forget_answers(pg);
    if (all && usable(sim_here(), pg)) return MR_OK;
    return lost(sim_here(), pg, err);
}

/* ---- pg.h: COPY, into the table of results alone ---- */

mr_status mr_pg_copy_begin(mr_pg *pg, const char *sql, mr_error *err) {
    pg->sqlstate[0] = 0;
    if (strncmp(sql, "copy millrace.result (run_id, step, level, batch, last, first_row, row_count, attempt, ", 86))
        return mr_pg_run(pg, sql, err);
    pg->copied = MR_OK;
    return travel(sim_here(), pg) ? MR_OK : lost(sim_here(), pg, err);
}

mr_status mr_pg_copy_part(mr_pg *pg, mr_span rows, mr_error *err) {
    sim_world *w = sim_here();
    SIM_COUNT(w, copy);
    if (!usable(w, pg)) return lost(w, pg, err);
    if (pg->copied == MR_OK) pg->copied = sim_copy_results(w, pg, rows);
    return usable(w, pg) ? MR_OK : lost(w, pg, err); /* what is wrong with a row is told at the end */
}

mr_status mr_pg_copy_rows(mr_pg *pg, const mr_buf *rows, mr_error *err) {
    MR_TRY(mr_buf_status(rows));
    return mr_pg_copy_part(pg, mr_buf_span(rows), err);
}

mr_status mr_pg_copy_row(mr_pg *pg, const mr_pg_params *row, mr_error *err) {
    (void)row;
    return mr_pg_run(pg, "copy of one row", err);
}

mr_status mr_pg_copy_end(mr_pg *pg, uint64_t *rows, mr_error *err) {
    sim_world *w = sim_here();
    if (rows) *rows = pg->t.ops;
    if (!travel(w, pg)) return lost(w, pg, err);
    return pg->copied == MR_OK ? MR_OK : mr_fail(err, pg->copied, "copy: %s", pg->sqlstate);
}

void mr_pg_copy_abort(mr_pg *pg) { pg->t.failed = true; }
