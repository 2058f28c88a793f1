#include "broker/io/audit.h"

#include "broker/io/broker.h"
#include "common/clock.h"

#include <stdio.h>
#include <string.h>

enum {
    FLUSH_MS = 1000,
    JOBS_MAX = 16,             /* that wait for the database; what comes then is counted */
    REFUSAL_MS = 1000,         /* a row a second ... */
    BUDGET_MS = 60 * REFUSAL_MS /* ... after a first lot */
};

/* ---- the desk ---- */

typedef struct audit_job {
    mr_job head;
    size_t n;
    mr_audit_entry entry[MR_AUDIT_ENTRIES + 1];
} audit_job;

static const mr_pg_statement insert = {
    "audit_insert",
    "insert into millrace.audit (first_at, last_at, event, name, key, role, address, what, status, detail, count)"
    " select * from unnest($1::timestamptz[], $2::timestamptz[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[],"
    " $8::text[], $9::int[], $10::text[], $11::bigint[])",
    11,
    {MR_PG_TIMES, MR_PG_TIMES, MR_PG_TEXTS, MR_PG_TEXTS, MR_PG_TEXTS, MR_PG_TEXTS, MR_PG_TEXTS, MR_PG_TEXTS, MR_PG_INT4S,
     MR_PG_TEXTS, MR_PG_INT8S}};

enum { EVENT, NAME, KEY, ROLE, ADDRESS, WHAT, DETAIL, TEXTS };

static void put_entries(mr_pg_params *p, const audit_job *job) {
    int64_t first[MR_AUDIT_ENTRIES + 1], last[MR_AUDIT_ENTRIES + 1], count[MR_AUDIT_ENTRIES + 1];
    int32_t status[MR_AUDIT_ENTRIES + 1];
    mr_span text[TEXTS][MR_AUDIT_ENTRIES + 1];
    for (size_t i = 0; i < job->n; i++) {
        const mr_audit_entry *e = &job->entry[i];
        first[i] = e->first_ns;
        last[i] = e->last_ns;
        count[i] = (int64_t)e->count;
        status[i] = (int32_t)e->status;
        const char *texts[TEXTS] = {e->refused ? "refused" : "command", e->name, e->key, e->role, e->address, e->what, e->detail};
        for (int t = 0; t < TEXTS; t++) text[t][i] = mr_span_of(texts[t]);
    }
    mr_pg_put_times(p, first, NULL, job->n);
    mr_pg_put_times(p, last, NULL, job->n);
    for (int t = EVENT; t <= WHAT; t++) mr_pg_put_texts(p, text[t], NULL, job->n);
    mr_pg_put_int4s(p, status, NULL, job->n);
    mr_pg_put_texts(p, text[DETAIL], NULL, job->n);
    mr_pg_put_int8s(p, count, NULL, job->n);
}

static void write_entries(mr_desk *desk, mr_job *head) {
    mr_pg *pg;
    mr_pg_params p;
    head->status = mr_desk_database(desk, &pg, &head->error);
    if (head->status != MR_OK) return;
    mr_pg_params_init(&p, NULL, 1024 * 1024);
    put_entries(&p, (audit_job *)head);
    head->status = mr_pg_exec(pg, &insert, &p, NULL, &head->error);
    mr_pg_params_free(&p);
}

/* What was not written is in the log, and counts in the next row. */
static void written(mr_broker *b, mr_job *head) {
    audit_job *job = (audit_job *)head;
    b->audit.jobs_out--;
    if (head->status != MR_OK) {
        for (size_t i = 0; i < job->n; i++) b->audit.more += job->entry[i].count;
        MR_LOG(&b->log, MR_LOG_WARN, "audit", "rows_not_written", MR_LOG_INT("rows", job->n), MR_LOG_TEXT("reason", head->error.text));
    }
    mr_free(NULL, job, 1, sizeof *job);
}

mr_status mr_audit_start(mr_broker *b, mr_error *err) {
    mr_desk *d = &b->audit.desk;
    b->audit.budget_ms = BUDGET_MS;
    b->audit.budget_at_ms = mr_broker_now_ms();
    d->name = "audit";
    d->log = &b->log;
    d->url = b->settings.database_url;
    d->outbox = &b->outbox;
    d->waker = &b->waker;
    return mr_desk_start(d, err);
}

/* ---- entries ---- */

static bool same(const mr_audit_entry *a, const mr_audit_entry *b) {
    return a->refused == b->refused && a->status == b->status && !strcmp(a->what, b->what) && !strcmp(a->name, b->name) &&
           !strcmp(a->key, b->key) && !strcmp(a->role, b->role) && !strcmp(a->address, b->address);
}

static bool may_spend(mr_audit *a, uint64_t now_ms) {
    if (now_ms > a->budget_at_ms) { /* else it was looked at after the round began */
        a->budget_ms += now_ms - a->budget_at_ms;
        a->budget_at_ms = now_ms;
    }
    if (a->budget_ms > BUDGET_MS) a->budget_ms = BUDGET_MS;
    if (a->budget_ms < REFUSAL_MS) return false;
    a->budget_ms -= REFUSAL_MS;
    return true;
}

static void log_entry(const mr_broker *b, const mr_audit_entry *e) {
    MR_LOG(&b->log, e->refused ? MR_LOG_WARN : MR_LOG_INFO, "audit", e->refused ? "refused" : "command",
           MR_LOG_TEXT("name", e->name), MR_LOG_TEXT("key", e->key), MR_LOG_TEXT("role", e->role),
           MR_LOG_TEXT("address", e->address), MR_LOG_TEXT("what", e->what),
           MR_LOG_TEXT("status", mr_status_of((int)e->status)->name), MR_LOG_TEXT("detail", e->detail));
}

static void add(mr_broker *b, const mr_audit_entry *e) {
    mr_audit *a = &b->audit;
    for (unsigned i = 0; i < a->entries; i++) {
        if (!same(&a->entry[i], e)) continue;
        a->entry[i].count++;
        a->entry[i].last_ns = e->last_ns;
        return;
    }
    if (a->entries == MR_AUDIT_ENTRIES || (e->refused && !may_spend(a, mr_broker_now_ms()))) {
        a->more++;
        return;
    }
    a->entry[a->entries++] = *e;
    log_entry(b, e);
}

static mr_audit_entry entry_of(const mr_audit_who *who, const char *what, mr_status status, const char *detail) {
    mr_audit_entry e = {.status = status, .count = 1, .first_ns = mr_clock_wall_ns()};
    e.last_ns = e.first_ns;
    snprintf(e.name, sizeof e.name, "%s", who->name);
    snprintf(e.key, sizeof e.key, "%s", who->key);
    snprintf(e.role, sizeof e.role, "%s", who->role);
    snprintf(e.address, sizeof e.address, "%s", who->address);
    snprintf(e.what, sizeof e.what, "%s", what);
    mr_span cut = mr_codec_text_cut(mr_span_of(detail), sizeof e.detail - 1);
    snprintf(e.detail, sizeof e.detail, "%.*s", MR_SPAN_ARG(cut));
    return e;
}

void mr_audit_refused(mr_broker *b, const mr_audit_who *who, const char *what, const char *why) {
    mr_audit_entry e = entry_of(who, what, MR_E_DENIED, why);
    e.refused = true;
    add(b, &e);
}

void mr_audit_more(mr_broker *b, uint64_t refusals) { b->audit.more += refusals; }

/* ---- commands ---- */

void mr_audit_called(mr_broker *b, const mr_peer *peer, uint32_t call, const mr_command_row *row) {
    bool writes = row->handled != MR_HANDLED_READ && row->role > MR_ROLE_VIEWER;
    if (!writes && peer->role >= row->role) return;
    mr_audit_call *c = HASH_COUNT(b->audit.calls) < MR_AUDIT_CALLS ? mr_new(NULL, 1, sizeof *c) : NULL;
    if (!c) {
        b->audit.more++;
        return;
    }
    c->id.peer = peer->number;
    c->id.call = call;
    c->row = row;
    snprintf(c->name, sizeof c->name, "%s", peer->who);
    snprintf(c->key, sizeof c->key, "%s", peer->key);
    snprintf(c->role, sizeof c->role, "%s", mr_access_role(peer));
    snprintf(c->address, sizeof c->address, "%s", peer->address);
    mr_audit_call *before = NULL; /* of a peer that gave two calls one number */
    HASH_REPLACE(hh, b->audit.calls, id, sizeof c->id, c, before);
    if (!c->hh.tbl) { /* no memory */
        b->audit.more++;
        mr_free(NULL, c, 1, sizeof *c);
    }
    if (!before) return;
    b->audit.more++;
    mr_free(NULL, before, 1, sizeof *before);
}

void mr_audit_answered(mr_broker *b, uint32_t peer, uint32_t call, mr_status status, const char *text) {
    mr_audit_call *c = NULL, key = {.id = {peer, call}};
    HASH_FIND(hh, b->audit.calls, &key.id, sizeof key.id, c);
    if (!c) return;
    HASH_DELETE(hh, b->audit.calls, c);
    mr_audit_who who = {c->name, c->key, c->role, c->address};
    mr_audit_entry e = entry_of(&who, c->row->name, status, status == MR_OK ? "" : text);
    e.refused = status == MR_E_DENIED;
    add(b, &e);
    mr_free(NULL, c, 1, sizeof *c);
}

/* ---- writing ---- */

static void put_more(mr_audit *a, audit_job *job, uint64_t now_ms) {
    if (!a->more || !may_spend(a, now_ms)) return;
    mr_audit_entry *e = &job->entry[job->n++];
    *e = entry_of(&(mr_audit_who){"", "", "", ""}, "more", MR_E_LIMIT, "events that were not written one by one");
    e->refused = true;
    e->count = a->more;
    a->more = 0;
}

static void flush(mr_broker *b, uint64_t now_ms) {
    mr_audit *a = &b->audit;
    if ((!a->entries && !a->more) || a->jobs_out >= JOBS_MAX) return;
    audit_job *job = mr_new(NULL, 1, sizeof *job);
    if (!job) return; /* there may be memory at the next */
    job->head.work = write_entries;
    job->head.done = written;
    job->n = a->entries;
    memcpy(job->entry, a->entry, a->entries * sizeof *a->entry);
    a->entries = 0;
    put_more(a, job, now_ms);
    if (!job->n) {
        mr_free(NULL, job, 1, sizeof *job);
        return;
    }
    a->jobs_out++;
    mr_desk_give(&a->desk, &job->head);
}

void mr_audit_tick(mr_broker *b, uint64_t now_ms) {
    if (now_ms < b->audit.flush_at_ms) return;
    b->audit.flush_at_ms = now_ms + FLUSH_MS;
    flush(b, now_ms);
}

void mr_audit_stop(mr_broker *b) {
    mr_audit_call *c, *next;
    if (b->audit.desk.started) flush(b, mr_broker_now_ms());
    mr_desk_stop(&b->audit.desk);
    HASH_ITER(hh, b->audit.calls, c, next) {
        HASH_DELETE(hh, b->audit.calls, c);
        mr_free(NULL, c, 1, sizeof *c);
    }
}
